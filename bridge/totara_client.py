"""Totara, versions 17 to 20: the External GraphQL API, and the legacy web services for what it lacks on a site.

Knows nothing of orders. Every method is a read or may be repeated; each says what Totara promises and what it does not.
Behaviour described as measured was measured on a running Totara 17.3; what concerns 18 to 20 was read in public
material, and is probed on the site at hand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bridge.domain import rights
from bridge.domain.identity import throwaway_password
from bridge.domain.lms import (
    SITE_COURSE,
    Account,
    Category,
    Completion,
    Course,
    CourseImage,
    Insight,
    NewAccount,
    Tree,
)
from bridge.errors import NotFound, Refused, Unsupported
from bridge.http import Wire
from bridge.totara_answers import (
    account_of,
    category_of,
    completion_of,
    course_of,
    dicts,
    graphql_completion_of,
    graphql_course_of,
    marked,
    others,
    whole,
)
from bridge.totara_wire import TotaraWire

MAX_IMAGE_BYTES = 8 * 1024 * 1024
PAGE = 100

#: The accounts that every site begins with: the guest's and the first administrator's. Whoever may see accounts sees
#: them, so they tell "there is no such account" from "you are shown none", which Totara answers alike.
FIRST_ACCOUNTS = (1, 2)
FIRST_USERNAMES = ("guest", "admin")

#: The function of the bridge's plugin in Totara that tells what kind of account somebody has.
LOOK_AT_ACCOUNT = "auth_bridge_look_at_account"

_GQL_COURSE = "id fullname shortname idnumber summary lang image timemodified category { id }"
#: A category and the eight above it: the API allows fifteen levels of depth.
_GQL_PARENTS = "id name parent { " * 8 + "id name parent { id } " + "} " * 8

# --- what a site can do --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the site at hand can do for us. ``release`` is "" where it isn't told."""

    graphql: bool
    operations: frozenset[str]
    web_services: bool
    functions: frozenset[str]
    release: str = ""

    def can(self, name: str) -> bool:
        """Whether a web-service function or a GraphQL operation is there."""
        return name in self.functions or name in self.operations


#: What the bridge needs, by purpose: any one of the names serves it.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "read categories": ("core_course_get_categories", "core_course_courses"),
    "read courses": ("core_course_get_courses_by_field", "core_course_courses"),
    "look up an account by address": ("core_user_get_users", "core_user_user_v2", "core_user_user"),
    "make an account": ("core_user_create_user", "core_user_create_users"),
    "enrol": ("enrol_manual_enrol_users", "enrol_manual_enrol_user"),
    "see which courses a learner can enter": ("core_enrol_get_users_courses", "core_course_is_user_enrolled"),
    "read completion": (
        "core_completion_get_course_completion_status",
        "core_completion_get_course_completion",
    ),
}

#: A harmless query per operation of the External API, by which a site is asked whether it knows it. Mutations can't be
#: asked so: the versions that have the first three queries have them too.
_PROBES = {
    "core_course_courses": "core_course_courses(query: {pagination: {limit: 1}}) { total }",
    "core_user_user_v2": 'core_user_user_v2(reference: {username: "nobody-at-all"}) { found }',
    "core_course_is_user_enrolled": "core_course_is_user_enrolled(course: {id: 0}, user: {id: 0}) "
    "{ user_currently_enrolled }",
    "core_completion_get_course_completion": "core_completion_get_course_completion"
    "(query: {course: {id: 0}, user: {id: 0}}) { completion { status } }",
}


class TotaraClient:
    """One Totara site. Made without network; safe to use from many threads.

    ``url`` is the site's address, ``client_id`` and ``client_secret`` those of a system-level API client, ``ws_token``
    a web service token; either may be "". ``tenant`` is the idnumber of the tenant whose members we make.
    """

    def __init__(
        self,
        url: str,
        wire: Wire,
        *,
        client_id: str = "",
        client_secret: str = "",
        ws_token: str = "",
        tenant: str = "",
        learner_role: int = 5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        self.tenant = tenant
        login = {"client_id": client_id, "client_secret": client_secret, "ws_token": ws_token}
        self._site = TotaraWire(self.url, wire, **login, clock=clock)
        self._role = learner_role
        self._capabilities: Capabilities | None = None

    # --- what it can do ----------------------------------------------------------------------------------------

    def capabilities(self, *, again: bool = False) -> Capabilities:
        """What this site can do for us, asked once and remembered."""
        if self._capabilities is None or again:
            self._capabilities = self._probe()
        return self._capabilities

    def _probe(self) -> Capabilities:
        functions: frozenset[str] = frozenset()
        operations: set[str] = set()
        release = ""
        if self._site.by_web_service:
            info = whole("core_webservice_get_site_info", self._site.read("core_webservice_get_site_info"), "functions")
            functions = frozenset(str(function["name"]) for function in info["functions"])
            release = str(info.get("release", ""))
        if self._site.by_graphql:
            self._site.query("totara_webapi_status", "query { totara_webapi_status { status } }", {})
            operations |= {"totara_webapi_status", "core_user_users", "core_user_create_user"}
            operations |= {name for name, query in _PROBES.items() if self._knows(name, query)}
            if "core_course_is_user_enrolled" in operations:
                operations |= {"enrol_manual_enrol_user", "enrol_manual_unenrol_user", "core_user_user"}
        return Capabilities(bool(operations), frozenset(operations), bool(functions), functions, release)

    def _knows(self, operation: str, query: str) -> bool:
        try:
            self._site.query(operation, f"query {{ {query} }}", {})
        except Unsupported:
            return False
        except Refused as err:
            return err.code not in ("graphql", "nopermissions")
        return True

    def has(self, function: str) -> bool:
        """Whether a web-service function is there for us."""
        return self._site.by_web_service and function in self.capabilities().functions

    def web_service(self, function: str, **parameters: Any) -> Any:
        """Call a web service that may be called again: a read, or one after which things are as said."""
        return self._site.read(function, **parameters)

    def graphql(self, operation: str, document: str, variables: Mapping[str, Any]) -> Any:
        """Run a GraphQL operation that may be run again."""
        return self._site.query(operation, document, variables)

    # --- categories and courses --------------------------------------------------------------------------------

    def tree(self) -> Tree:
        """All course categories that the account may see. Names are plain but may hold multilang markup."""
        if self.has("core_course_get_categories"):
            rows = self._named("core_course_get_categories")
            return Tree(category_of(row) for row in rows)
        found: dict[int, Category] = {}
        for course in self._graphql_courses(f"id category {{ {_GQL_PARENTS} }}"):
            category = course.get("category")
            # GraphQL lists no categories: they are learnt from the courses in them.
            while category and "name" in category:
                whole("core_course_courses", category, "id", "parent")  # one without would look like the top
                parent = category.get("parent") or {}
                number = int(category["id"])
                found[number] = Category(number, str(category["name"]), int(parent.get("id") or 0), courses=1)
                category = parent
        return Tree(found.values())

    def courses_in(self, category_id: int) -> list[Course]:
        """The courses directly in one category.

        With web services this is core_course_get_courses_by_field, which leaves out what the account may not view
        (core_course_get_courses fails as a whole for one such course, and has no pages). It tells the enrolment
        methods and the overview image, but not the audience visibility: see :meth:`audience_visibility`.
        """
        body = self._named("core_course_get_courses_by_field", field="category", value=category_id)
        return [course_of(row) for row in whole("core_course_get_courses_by_field", body, "courses")["courses"]]

    def courses(self, tree: Tree, may_read: Callable[[int], bool]) -> Iterator[Course]:
        """Every course in the categories that ``may_read`` allows, category by category, never all at once."""
        if self.has("core_course_get_courses_by_field"):
            for category in tree:
                if category.courses and may_read(category.id):
                    yield from (course for course in self.courses_in(category.id) if course.id != SITE_COURSE)
            return
        for row in self._graphql_courses(_GQL_COURSE):
            course = graphql_course_of(row)
            if course.id != SITE_COURSE and may_read(course.category_id):
                yield course

    def find_courses(self, course_ids: Iterable[int]) -> dict[int, Course]:
        """Those of the courses that are there and that the account may view, as they are now."""
        wanted = sorted(set(course_ids))
        if not wanted:
            return {}
        if self.has("core_course_get_courses_by_field"):
            body = self._named("core_course_get_courses_by_field", field="ids", value=",".join(map(str, wanted)))
            found = map(course_of, whole("core_course_get_courses_by_field", body, "courses")["courses"])
        else:  # the API has no query for one
            found = map(graphql_course_of, self._graphql_courses(_GQL_COURSE))
        return {course.id: course for course in found if course.id in wanted}

    def audience_visibility(self, course_ids: Sequence[int]) -> dict[int, int]:
        """The audience visibility (0 enrolled, 1 enrolled and audiences, 2 all, 3 nobody) of those that tell it.

        It needs the capability moodle/course:update; without it, or without web services, nothing is told.
        """
        if not self.has("core_course_get_courses"):
            return {}
        found: dict[int, int] = {}
        for start in range(0, len(course_ids), PAGE):
            ids = list(course_ids[start : start + PAGE])
            rows = self._site.read("core_course_get_courses", options={"ids": ids})
            found |= {int(row["id"]): int(row["audiencevisible"]) for row in rows if "audiencevisible" in row}
        return found

    def tagged(self, tag_id: str) -> frozenset[int]:
        """The courses with a tag, by the tag's id. Hidden courses are never among them (measured)."""
        if not self.has("core_course_search_courses"):
            raise Unsupported("tags can't be read on this site: core_course_search_courses is missing", code="notags")
        found: set[int] = set()
        for page in range(10_000):
            body = self._site.read(
                "core_course_search_courses",
                criterianame="tagid",
                criteriavalue=tag_id,
                page=page,
                perpage=PAGE,
            )
            rows = whole("core_course_search_courses", body, "courses")["courses"]
            found |= {int(row["id"]) for row in rows}
            if len(rows) < PAGE:
                break
        return frozenset(found)

    def _named(self, function: str, **parameters: Any) -> Any:
        """A read of things with names, with their multilang markup.

        By default Totara strips the markup from names and glues the languages together. Its raw mode keeps it, but
        fails as a whole when one name holds other markup; filtered names in the account's language are then the best
        there is.
        """
        try:
            return marked(self._site.read(function, **parameters, moodlewssettingraw=1), raw=True)
        except Refused as err:
            if err.code != "invalidresponse":
                raise
            return marked(self._site.read(function, **parameters, moodlewssettingfilter=1), raw=False)

    def _graphql_courses(self, fields: str) -> Iterator[dict[str, Any]]:
        """Pages sorted by id: Totara's cursor holds nothing but the sorted column, and loses rows that tie in it."""
        document = (
            "query($q: core_course_courses_query) { core_course_courses(query: $q) "
            f"{{ next_cursor items {{ {fields} }} }} }}"
        )
        cursor = ""
        for _ in range(100_000):
            pagination = {"cursor": cursor} if cursor else {"limit": PAGE}
            query = {"pagination": pagination, "sort": [{"column": "id", "direction": "ASC"}]}
            page = self._site.query("core_course_courses", document, {"q": query})
            yield from whole("core_course_courses", page, "items", "next_cursor")["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return

    def fetch_image(self, image: CourseImage) -> tuple[bytes, str] | None:
        """The picture's bytes and MIME type, or None where there is none to be had.

        The token travels in the form, never in the address. A missing or forbidden file is answered 200 with JSON.
        """
        parts = urlsplit(image.url)
        if not image.url.startswith(f"{self.url}/") or ".." in parts.path:
            return None  # never send the token anywhere else
        answer = self._site.file(image.url, "image")
        mime = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
        good = answer.status_code == 200 and mime in ("image/png", "image/jpeg", "image/gif", "image/webp")
        return (answer.content, mime) if good and 0 < len(answer.content) <= MAX_IMAGE_BYTES else None

    # --- accounts ----------------------------------------------------------------------------------------------

    def find_accounts(self, email: str) -> list[Account]:
        """Every account with this address in any spelling of case, in any tenant.

        core_user_get_users compares with LIKE, so that ``_`` and ``%`` in an address match anything: its answer is
        compared again here. The GraphQL reference is case-sensitive; a site with nothing else is asked for the
        address in lower case only, which is how the bridge itself writes addresses.

        Raises Refused if there may be one whose address is not shown to us: it must not be taken for nobody's.
        """
        if self.has("core_user_get_users"):
            body = self._site.read("core_user_get_users", criteria=[{"key": "email", "value": email}])
            rows = whole("core_user_get_users", body, "users")["users"]
            if any(row.get("email") is None for row in rows):
                raise Refused(
                    f"Totara shows no e-mail addresses: the service account lacks {rights.VIEW_IDENTITY}",
                    code="nopermissions",
                )
            return [account_of(row) for row in rows if str(row.get("email", "")).lower() == email.lower()]
        return self._graphql_account({"email": email.lower()})

    def find_account(self, user_id: int) -> Account | None:
        """The account with this id, or None once it has been deleted.

        Raises Refused where no account is shown to us: ours must not be taken for deleted then.
        """
        if self.has("core_user_get_users_by_field"):
            rows = self._site.read("core_user_get_users_by_field", field="id", values=[user_id, *FIRST_ACCOUNTS])
            return next((account_of(row) for row in others(rows) if int(row.get("id", 0)) == user_id), None)
        return next(iter(self._graphql_account({"id": str(user_id)})), None)

    def find_account_by_username(self, username: str) -> Account | None:
        """The account with exactly this username. Raises Refused where no account is shown to us."""
        if self.has("core_user_get_users_by_field"):
            values = list(dict.fromkeys((username, *FIRST_USERNAMES)))
            rows = self._site.read("core_user_get_users_by_field", field="username", values=values)
            return next((account_of(row) for row in others(rows) if row.get("username") == username), None)
        return next(iter(self._graphql_account({"username": username})), None)

    def _graphql_account(self, reference: Mapping[str, str]) -> list[Account]:
        fields = "id username email suspended"
        can = self.capabilities().can
        try:
            if can("core_user_user_v2"):
                document = (
                    "query($r: core_user_user_reference!) { core_user_user_v2(reference: $r) "
                    f"{{ found user {{ {fields} }} }} }}"
                )
                body = self._site.query("core_user_user_v2", document, {"r": reference})
                return [account_of(body["user"])] if whole("core_user_user_v2", body, "found")["found"] else []
            if can("core_user_user"):
                document = (
                    "query($r: core_user_user_reference!) { core_user_user(reference: $r) "
                    f"{{ user {{ {fields} }} }} }}"
                )
                body = self._site.query("core_user_user", document, {"r": reference})
                return [account_of(whole("core_user_user", body, "user")["user"])]
        except NotFound:
            return []
        raise Unsupported(
            "this site can't be asked who has an address: allow core_user_get_users in the web service",
            code="nolookup",
        )

    def insight(self, user_id: int) -> Insight:
        """What kind of account it is: an administrator's, staff's, whose tenant's member; and what it has opened, which
        the plugin tells from its release 1.3 on.

        No call of Totara's own tells any of this (measured on 17.3); the bridge's plugin in Totara does, where it is
        installed, its function is in the web service and the service account may call it. Elsewhere nothing is known.
        """
        if not self.has(LOOK_AT_ACCOUNT):
            return Insight()
        try:
            row = self._site.read(LOOK_AT_ACCOUNT, userid=user_id)
        except Refused as err:
            if err.code == "nopermissions":  # for want of rights.LOOK_AT_ACCOUNTS
                return Insight()
            raise
        whole(LOOK_AT_ACCOUNT, row, "administrator", "staff", "tenant", "tenant_suspended")
        administrator, staff, suspended = (bool(row[key]) for key in ("administrator", "staff", "tenant_suspended"))
        opened = frozenset(map(int, row["opened"])) if "opened" in row else None
        return Insight(administrator, staff, str(row["tenant"]), suspended, opened)

    def own_username(self) -> str:
        """The service account's username, "" where it is not told, or is not to be found under it."""
        if not self.has("core_webservice_get_site_info"):
            return ""
        name = str(self._site.read("core_webservice_get_site_info").get("username") or "")
        return name if name and self.find_account_by_username(name) is not None else ""

    def tenant_exists(self) -> bool | None:
        """Whether the configured tenant is there; None when it can't be told.

        No call lists tenants. But Totara looks at the tenant before it looks at the username (measured on 17.3), so
        that asking for an account under the service account's own name, which is taken, tells, and never makes one.
        """
        if not (self.tenant and self._site.by_graphql and (taken := self.own_username())):
            return None
        try:
            self.create_account(NewAccount(taken, "nobody@invalid.invalid", "Nobody", "Nobody"))
        except Refused as err:
            # Rights in the tenant are looked at after the tenant, and before the username.
            return {"badtenant": False, "duplicateusername": True, "nopermissions": True}.get(err.code)
        return None

    def create_account(self, new: NewAccount) -> int:
        """Make an account, in the configured tenant if there is one, and return its id.

        GraphQL's is the only call that can make a tenant's member. The password is random and kept by nobody:
        Totara demands one, and having it generate one would mail it.

        Raises Refused with code duplicateusername, duplicateemail or badtenant, or "invalidparameter" from the web
        service, which does not say which of them it was: look up, don't guess.
        """
        if self._site.by_graphql:
            fields: dict[str, Any] = {
                "username": new.username,
                "email": new.email,
                "firstname": new.firstname,
                "lastname": new.lastname,
                "password": throwaway_password(),
                "auth": "manual",
            }
            fields |= {"lang": new.language} if new.language else {}
            fields |= {"idnumber": new.idnumber} if new.idnumber else {}
            fields |= {"tenant": {"idnumber": self.tenant}} if self.tenant else {}
            document = (
                "mutation($i: core_user_create_user_input!) "
                "{ core_user_create_user(input: $i) { user { id username } } }"
            )
            body = self._site.run("core_user_create_user", document, {"i": fields})
            user = whole("core_user_create_user", body, "user")["user"]
            return int(whole("core_user_create_user", user, "id")["id"])
        if self.tenant:
            raise Unsupported("only an API client can make an account in a tenant", code="noclient")
        user = {
            "username": new.username,
            "email": new.email,
            "firstname": new.firstname,
            "lastname": new.lastname,
            "password": throwaway_password(),
            "auth": "manual",
        }
        user |= {"idnumber": new.idnumber} if new.idnumber else {}
        rows = self._site.call("core_user_create_users", users=[user])
        return int(rows[0]["id"])

    # --- enrolments ----------------------------------------------------------------------------------------------

    def ensure_enrolment(self, user_id: int, course_id: int, *, suspended: bool = False, ends: int = 0) -> None:
        """Enrol, enrol again, or suspend: the enrolment is as said afterwards. ``ends`` is a Unix time, 0 for never.

        Both ways are upserts in which whatever is not sent is reset, so all is always sent. The start is 0 ("has
        begun"): a clock of ours that runs ahead would else lock the learner out. Success does not tell that the
        learner can enter: a member of another tenant is enrolled without a word and sees nothing. See
        :meth:`reachable_courses`.
        """
        if self.has("enrol_manual_enrol_users"):
            enrolment = {
                "roleid": self._role,
                "userid": user_id,
                "courseid": course_id,
                "timestart": 0,
                "timeend": ends,
                "suspend": int(suspended),
            }
            self._site.read("enrol_manual_enrol_users", enrolments=[enrolment])
            return
        # GraphQL takes the course's first enabled method whatever it is, and refuses a start before yesterday: it is
        # left out there, and becomes now.
        document = "mutation($i: enrol_manual_enrol_user_input!) { enrol_manual_enrol_user(input: $i) { success } }"
        wanted = {
            "user": {"id": user_id},
            "course": {"id": course_id},
            "role": {"id": self._role},
            "timeend": ends,
            "suspended": suspended,
        }
        body = self._site.query("enrol_manual_enrol_user", document, {"i": wanted})
        if not whole("enrol_manual_enrol_user", body, "success")["success"]:
            raise Refused(f"Totara did not enrol user {user_id} in course {course_id}", code="notenrolled")

    def reachable_courses(self, user_id: int, course_ids: Iterable[int]) -> set[int]:
        """Those of the courses that the learner can enter now: active enrolment, visible course, right tenant.

        With web services this is core_enrol_get_users_courses, which leaves out what tenancy keeps the learner from.
        The GraphQL check only tells that an enrolment is active.
        """
        wanted = set(course_ids)
        if self.has("core_enrol_get_users_courses"):
            rows = self._site.read("core_enrol_get_users_courses", userid=user_id)
            if not isinstance(rows, list):
                raise Unsupported("Totara answered core_enrol_get_users_courses without a list", code="missingfield")
            return wanted & {int(row["id"]) for row in rows}
        document = (
            "query($c: core_course_course_reference!, $u: core_user_user_reference!) "
            "{ core_course_is_user_enrolled(course: $c, user: $u) { user_currently_enrolled } }"
        )
        found = set()
        for course_id in wanted:
            body = self._site.query(
                "core_course_is_user_enrolled", document, {"c": {"id": course_id}, "u": {"id": user_id}}
            )
            if whole("core_course_is_user_enrolled", body, "user_currently_enrolled")["user_currently_enrolled"]:
                found.add(course_id)
        return found

    def completed(self, user_id: int, course_id: int) -> bool | None:
        """Whether the learner has completed the course; None when it can't be told.

        It can be read while the enrolment is active only, so read it before suspending.
        """
        found = self.completion(user_id, course_id)
        return None if found is None else found.completed

    def completion(self, user_id: int, course_id: int) -> Completion | None:
        """How far the learner is in the course; None when it can't be told, as of an enrolment that is not active.

        By the web service from the criteria that it tells of, each with whether it is met (measured on 17.3, where
        Totara's own bar showed the same number); by the API of later versions as they work it out themselves.
        """
        try:
            if self.has("core_completion_get_course_completion_status"):
                body = self._site.read(
                    "core_completion_get_course_completion_status", courseid=course_id, userid=user_id
                )
                status = whole("core_completion_get_course_completion_status", body, "completionstatus")
                return completion_of(whole("completionstatus", status["completionstatus"], "completed"))
            document = (
                "query($q: core_completion_get_course_completion_query!) "
                "{ core_completion_get_course_completion(query: $q) { completion { status progress timecompleted } } }"
            )
            body = self._site.query(
                "core_completion_get_course_completion",
                document,
                {"q": {"course": {"id": course_id}, "user": {"id": user_id}}},
            )
            return graphql_completion_of((body or {}).get("completion"))
        except Refused as err:
            if err.code in ("usernotenroled", "nocriteriaset") or isinstance(err, Unsupported):
                return None
            raise

    def certificate(self, course_id: int) -> str | None:
        """Where learners of the course get its certificate, as a path on the site; None if none is seen.

        No web service and no operation of the API tells of certificates themselves. The course's contents do name its
        certificate activity, by core_course_get_contents, to an account with mod/certificate:view; and, where the
        activity opens only to those who have got so far, with moodle/course:viewhiddenactivities too (measured on
        17.3). For the learner it is Totara that opens it, or not yet.
        """
        if not self.has("core_course_get_contents"):
            return None
        options = [{"name": "excludecontents", "value": "1"}, {"name": "modname", "value": "certificate"}]
        sections = self._site.read("core_course_get_contents", courseid=course_id, options=options)
        modules = (one for section in dicts(sections) for one in dicts(section.get("modules")))
        shown = (one for one in modules if one.get("modname") == "certificate" and one.get("visible"))
        first = next(shown, None)
        if first is None:
            return None
        return f"/mod/certificate/view.php?id={int(whole('core_course_get_contents', first, 'id')['id'])}"
