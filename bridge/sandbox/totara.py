"""An embedded Totara: people, courses, tenants, enrolments in memory, behind the real wire format.

It is what a person meets on the first run and the fake of all tests, so it imitates what was measured on a
real Totara, the odd parts above all: a failure is a 200, an unknown GraphQL field is silence, an enrolment
succeeds although the learner can't get in. The state is here; the wire is in :mod:`.totara_ws` (legacy web
services), :mod:`.totara_graphql` (token and External GraphQL API), :mod:`.totara_pages` (pages to watch
it, and files) and :mod:`.totara_visitors` (pages of those who sign in, by :mod:`.totara_sign_on`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flask import Flask

from bridge.sandbox.clock import Clock
from bridge.sandbox.faults import Faults
from bridge.sandbox.totara_audiences import Audiences
from bridge.sandbox.totara_oauth2 import OAuth2
from bridge.sandbox.totara_sign_on import SignOn
from bridge.sandbox.totara_things import (
    SYSTEM_CATEGORIES,
    USUAL_METHODS,
    Category,
    Course,
    Enrolment,
    Tenant,
    User,
)

__all__ = ["Category", "Course", "Enrolment", "Tenant", "Totara", "User"]


class Totara(Audiences):
    """One embedded Totara. Serve ``app``, arrange the world by methods, read what became of it in the dicts.

    ``enrolments`` holds the manual enrolments; those by an audience or another method are in
    ``other_enrolments``, and no web service takes them away. Every request is carried out under one lock,
    as one transaction would be; only with ``race_window`` > 0 the making of a user sleeps that long between
    its checks and the insert, as on the real system nothing but the username has a unique index.
    """

    def __init__(
        self,
        *,
        version: str = "17",
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-client-secret",  # noqa: S107 - the sandbox's own, meant to be known
        ws_token: str = "sandbox-ws-token",  # noqa: S107
        isolation: bool = False,
        web_services: bool = True,
        graphql: bool = True,
        response_debug: int = 1,
        ws_functions: set[str] | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        super().__init__()
        self.version = version
        self.client_id = client_id
        self.client_secret = client_secret
        self.ws_token = ws_token
        self.isolation = isolation
        self.web_services = web_services
        self.graphql = graphql
        self.response_debug = response_debug
        self.ws_functions = ws_functions
        self.seconds = now or Clock()
        # Settings of the site and rights of the service account, for a test to change.
        self.token_seconds = 86400
        self.race_window = 0.0
        self.email_visible = False  # moodle/site:viewuseridentity; without it GraphQL shows nobody's e-mail
        self.may_update_courses = True  # moodle/course:update: idnumber, visible, lang and times of a course
        self.may_manage_categories = False  # moodle/category:manage: idnumber and visibility of a category
        self.may_move_tenants = False  # totara/tenant:manageparticipants
        self.may_use_rest = True  # webservice/rest:use
        self.has_plugin = False  # the bridge's own plugin, which tells what kind of account somebody has
        self.staff: set[int] = set()  # users with a role that no learner has
        self.administrators: set[int] = {2}
        self.lacking: set[str] = set()  # other capabilities of the service account that were taken away, by name
        self.multilang_filter = True  # the multi-language filter is on; web services use it only when asked
        self.strip_names = True  # tags in names are stripped: unfiltered, their languages run together
        self.max_complexity = 6000
        self.sitename = "Totara sandbox"
        self.site_shortname = "sandbox"

        self.lock = threading.RLock()
        self.requests: list[str] = []
        self.tokens: dict[str, float] = {}
        self.users: dict[int, User] = {}
        self.courses: dict[int, Course] = {}
        self.categories: dict[int, Category] = {}
        self.tenants: dict[int, Tenant] = {}
        self.enrolments: dict[tuple[int, int], Enrolment] = {}
        self.other_enrolments: dict[tuple[int, int], Enrolment] = {}
        kinds = ("user", "category", "tenant", "audience", "program", "assignment")
        self.next_ids = dict.fromkeys(kinds, 1) | {"course": 2}
        self._furnish()
        self.sign_on = SignOn(self)
        self.oauth2 = OAuth2(self, self.sign_on)
        self.app = self._make_app()
        self.faults = Faults()
        from bridge.sandbox import totara_graphql, totara_pages, totara_visitors, totara_ws

        self.faults.install(self.app, name=totara_graphql.request_name)
        totara_ws.install(self)
        totara_graphql.install(self)
        totara_pages.install(self)
        totara_visitors.install(self)

    def now(self) -> int:
        """The time, in whole seconds since 1970."""
        return int(self.seconds())

    @property
    def clock(self) -> Clock:
        """The site's clock, to be set. TypeError if it was given one that can't be."""
        if not isinstance(self.seconds, Clock):
            raise TypeError("this Totara was given a clock of another kind; set that one")
        return self.seconds

    def shows_course(self, course: Course) -> bool:
        """Whether the service account sees a course: a hidden one only by a capability."""
        hidden = not course.visible and "moodle/course:viewhiddencourses" in self.lacking
        return course.viewable and not hidden

    def note(self, what: str) -> None:
        """Remember that an API call was carried out."""
        self.requests.append(what)

    def revoke_tokens(self) -> None:
        """Refuse every access token given so far, as after a change of the client or at its expiry."""
        with self.lock:
            self.tokens.clear()

    # The world, as an administrator would arrange it.

    def add_tenant(self, idnumber: str, name: str) -> int:
        """Make a tenant with its category, and Totara's three containers below that.

        Gives the tenant's id.
        """
        with self.lock:
            tenant_id = self._next("tenant")
            category_id = self.add_category(name)
            self.tenants[tenant_id] = Tenant(tenant_id, idnumber, name, category_id)
            self.categories[category_id].tenant = tenant_id
            self.add_audience(f"{name} participants", tenant=tenant_id)
            for title in SYSTEM_CATEGORIES:
                self.categories[self.add_category(title, parent=category_id)].system = True
            return tenant_id

    def add_category(self, name: str, parent: int = 0, idnumber: str = "", description: str = "") -> int:
        """Make a course category; inside a tenant's category it belongs to the tenant."""
        with self.lock:
            tenant = self.categories[parent].tenant if parent else None
            category = Category(self._next("category"), name, parent, idnumber, description, tenant)
            self.categories[category.id] = category
            return category.id

    def add_course(
        self,
        fullname: str,
        *,
        shortname: str,
        category: int,
        idnumber: str = "",
        summary: str = "",
        visible: int = 1,
        audiencevisible: int = 2,
        lang: str = "",
        image: bytes | None = None,
        enrol_methods: Sequence[str] = USUAL_METHODS,
        self_completion: bool = True,
        **others: Any,
    ) -> int:
        """Make a course. ``others`` are further attributes of :class:`Course`."""
        with self.lock:
            self.categories[category]
            now = self.now()
            others = {"timecreated": now, "timemodified": now, "image_modified": now} | others
            course = Course(
                self._next("course"),
                fullname,
                shortname,
                category,
                idnumber=idnumber,
                summary=summary,
                visible=visible,
                audiencevisible=audiencevisible,
                lang=lang,
                image=image,
                enrol_methods=list(enrol_methods),
                self_completion=self_completion,
                **others,
            )
            self.courses[course.id] = course
            return course.id

    def edit_course(self, course_id: int, **fields: Any) -> None:
        """Change attributes of a course, as its editor would."""
        with self.lock:
            course = self.courses[course_id]
            _set(course, {"timemodified": self.now()} | fields)
            if "image" in fields:
                course.image_modified = self.now()

    def move_course(self, course_id: int, category: int) -> None:
        """Put a course into another category, perhaps another tenant's."""
        self.categories[category]
        self.edit_course(course_id, category=category)

    def delete_course(self, course_id: int) -> None:
        """Delete a course with its enrolments and completions."""
        with self.lock:
            del self.courses[course_id]
            for kept in (self.enrolments, self.other_enrolments, self.completions, self.finished):
                for key in [key for key in kept if key[1] == course_id]:
                    del kept[key]

    def add_user(
        self,
        email: str,
        *,
        username: str | None = None,
        firstname: str = "Test",
        lastname: str = "Person",
        tenant: str | int | None = None,
        auth: str = "manual",
        suspended: bool = False,
        idnumber: str = "",
        **others: Any,
    ) -> int:
        """Make an account; ``tenant`` (idnumber or id) makes it a member.

        A taken username is a ValueError.
        """
        with self.lock:
            names = {"firstname": firstname, "lastname": lastname, "idnumber": idnumber}
            tenant_id = None if tenant is None else self.tenant(tenant).id
            given = {
                "email": email,
                "username": username or email.lower(),
                "auth": auth,
                "suspended": suspended,
            }
            return self.insert_user(**given, **names, tenant=tenant_id, **others).id

    def enrol(
        self,
        user_id: int,
        course_id: int,
        *,
        method: str = "manual",
        status: str = "active",
        timestart: int = 0,
        timeend: int = 0,
    ) -> None:
        """Enrol somebody, or change the enrolment to exactly this."""
        with self.lock:
            held = self.enrolments if method == "manual" else self.other_enrolments
            before = held.get((user_id, course_id))
            since = before.since if before else self.now()
            held[user_id, course_id] = Enrolment(status, timestart, timeend, method, since)

    def suspend_tenant(self, idnumber: str, suspended: bool = True) -> None:
        """Lock a tenant's members out, or let them in again."""
        self.tenant(idnumber).suspended = suspended

    # Questions about the world.

    def user_by_email(self, email: str) -> User | None:
        """The account with this e-mail, however written; the oldest of several."""
        found = (u for u in self.live_users() if u.email.lower() == email.lower())
        return next(found, None)

    def tag_name(self, tag_id: int) -> str | None:
        """The tag with this id: tags are numbered from 1 in the order of their names."""
        names = sorted(set().union(*(course.tags for course in self.courses.values())))
        return names[tag_id - 1] if 0 < tag_id <= len(names) else None

    def live_users(self) -> list[User]:
        """Every account that isn't deleted, oldest first."""
        with self.lock:
            return [user for user in self.users.values() if not user.deleted]

    def tenant(self, reference: str | int) -> Tenant:
        """The tenant with this idnumber or id; KeyError if there is none."""
        for tenant in self.tenants.values():
            if reference in (tenant.idnumber, tenant.id):
                return tenant
        raise KeyError(f"no tenant {reference!r}")

    def tenant_of_course(self, course: Course) -> int | None:
        """The id of the tenant a course belongs to; None is a course of the system."""
        return self.categories[course.category].tenant

    def tenancy_allows(self, user: User, course: Course) -> bool:
        """The rule of tenants: only members are held back; isolation shuts them out of system courses too."""
        tenant = self.tenant_of_course(course)
        if user.tenant is None or user.tenant == tenant:
            return True
        return tenant is None and not self.isolation

    def enrolled(self, user_id: int, course_id: int, *, only_active: bool) -> bool:
        """Whether somebody is enrolled by any method."""
        key, now = (user_id, course_id), self.now()
        held = (self.enrolments.get(key), self.other_enrolments.get(key))
        return any(one is not None and (not only_active or one.active(now)) for one in held)

    def listed(self, user: User, course: Course) -> bool:
        """Whether a course is among the learner's own: tenancy, a visible course and an active enrolment."""
        return (
            course.shown and self.tenancy_allows(user, course) and self.enrolled(user.id, course.id, only_active=True)
        )

    def reachable(self, user_id: int, course_id: int) -> bool:
        """Whether this learner, signed in, really gets into the course now."""
        with self.lock:
            user, course = self.users.get(user_id), self.courses.get(course_id)
            if user is None or course is None or user.deleted or user.suspended:
                return False
            if user.tenant is not None and self.tenants[user.tenant].suspended:
                return False
            return self.listed(user, course)

    def learners(self, course_id: int) -> list[int]:
        """The ids of everybody enrolled in a course by any method, suspended or not."""
        with self.lock:
            pairs = self.enrolments.keys() | self.other_enrolments.keys()
        return sorted(u for u, c in pairs if c == course_id and u in self.users and not self.users[u].deleted)

    def category_orders(self) -> dict[int, int]:
        """The sort order of each category: a walk down the tree, Totara's own containers after the rest."""
        below: dict[int, list[Category]] = {}
        for category in self.categories.values():
            below.setdefault(category.parent, []).append(category)
        orders: dict[int, int] = {}

        def walk(parent: int) -> None:
            for category in sorted(below.get(parent, ()), key=lambda c: (c.system and not parent, c.id)):
                orders[category.id] = 10000 * (len(orders) + 1)
                walk(category.id)

        walk(0)
        return orders

    def course_orders(self, among: Iterable[Course]) -> dict[int, int]:
        """The sort order of courses, and of all others in their categories: the newest comes first there."""
        categories = {course.category for course in among}
        place, orders = self.category_orders(), {}
        for course in reversed(self.courses.values()):
            if course.category in categories:
                place[course.category] += 1
                orders[course.id] = place[course.category]
        return orders

    # Changes the wire makes.

    def insert_user(self, **fields: Any) -> User:
        """Insert an account under the one unique index there is: ValueError if the username is taken."""
        if any(user.username == fields["username"] for user in self.users.values()):
            raise ValueError(f"username {fields['username']!r} is taken")
        now = self.now()
        user = User(self._next("user"), **({"timecreated": now, "timemodified": now} | fields))
        self.users[user.id] = user
        return user

    def change_user(self, user: User, fields: dict[str, Any]) -> None:
        """Change an account; even no change at all counts as one to ``timemodified``."""
        _set(user, fields)
        user.timemodified = self.now()

    def delete_user(self, user: User) -> None:
        """Delete an account: what identified it is scrambled or cleared, and its enrolments go."""
        self.change_user(user, {"username": f"{user.email}.{self.now()}", "email": "", "idnumber": "", "deleted": True})
        for kept in (self.enrolments, self.other_enrolments):
            for key in [key for key in kept if key[0] == user.id]:
                del kept[key]

    def _next(self, kind: str) -> int:
        number = self.next_ids[kind]
        self.next_ids[kind] = number + 1
        return number

    def _furnish(self) -> None:
        """What every new installation has: three accounts, the first category, Totara's own containers."""
        self.insert_user(username="guest", email="root@localhost", firstname="Guest user", lastname=" ")
        self.insert_user(
            username="admin", email="admin@totara.example", firstname="Admin", lastname="User", maildisplay=1
        )
        self.insert_user(
            username="svc_bridge", email="bridge@totara.example", firstname="Service", lastname="svc_bridge"
        )
        self.add_category("Miscellaneous")
        for title in reversed(SYSTEM_CATEGORIES):
            self.categories[self.add_category(title)].system = True

    def _make_app(self) -> Flask:
        app = Flask("bridge.sandbox", template_folder="templates", static_folder=None)
        app.config["MAX_FORM_MEMORY_SIZE"] = None
        return app


def _set(thing: object, fields: dict[str, Any]) -> None:
    """Set attributes that exist; AttributeError on any other."""
    for name, value in fields.items():
        if not hasattr(thing, name):
            raise AttributeError(f"{type(thing).__name__} has no {name}")
        setattr(thing, name, value)
