"""What an embedded Totara is made of: tenants, categories, courses, accounts, enrolments."""

from __future__ import annotations

from dataclasses import dataclass, field

SITE_COURSE = 1
GUEST, ADMIN, SERVICE_ACCOUNT = 1, 2, 3
SYSTEM_CATEGORIES = ("Space category", "performance-activities", "mod-approval-workflow-category")
# In this order they are the enrolment methods of a new course; "manual" must come first for GraphQL to work.
USUAL_METHODS = ("manual", "totara_program", "totara_learningplan")
# Authentication plugins that keep a password of their own; only these can be created through GraphQL.
AUTHS_WITH_PASSWORD = ("manual", "email", "db", "ldap", "connect", "approved")


@dataclass
class Tenant:
    """A tenant and the course category that belongs to it."""

    id: int
    idnumber: str
    name: str
    category_id: int
    suspended: bool = False


@dataclass
class Category:
    """A course category. ``tenant``: the id of the one it lies in; ``system``: Totara's own container."""

    id: int
    name: str
    parent: int = 0
    idnumber: str = ""
    description: str = ""
    tenant: int | None = None
    system: bool = False


@dataclass
class Course:
    """A course. ``audiencevisible``: 0 enrolled only, 1 enrolled and audiences, 2 everybody, 3 nobody.

    ``enterable`` False is a course the service account may not enter: one such course fails the whole of
    core_course_get_courses. ``viewable`` False is one it can't even see.
    """

    id: int
    fullname: str
    shortname: str
    category: int
    idnumber: str = ""
    summary: str = ""
    visible: int = 1
    audiencevisible: int = 2
    lang: str = ""
    startdate: int = 0
    enddate: int = 0
    timecreated: int = 0
    timemodified: int = 0
    image: bytes | None = None
    image_name: str = "card.png"
    image_modified: int = 0
    enrol_methods: list[str] = field(default_factory=lambda: list(USUAL_METHODS))
    self_completion: bool = True
    tags: set[str] = field(default_factory=set)
    enterable: bool = True
    viewable: bool = True
    seen_by: set[int] = field(default_factory=set)  # the audiences it is shown to where audiencevisible is 1
    lessons: list[str] = field(default_factory=list)  # activities whose completion makes up the course's
    certificate: str = ""  # the name of its certificate activity, "" for none

    @property
    def shown(self) -> bool:
        """Whether it isn't hidden from learners altogether."""
        return bool(self.visible) and self.audiencevisible != 3

    @property
    def context_id(self) -> int:
        """The id by which files of this course are addressed; not the course's id."""
        return 46 + 7 * self.id

    def module_id(self, number: int) -> int:
        """The id of one of its activities: 0 is the forum, then come the lessons."""
        return 100 * self.id + number

    @property
    def certificate_id(self) -> int:
        """The id of its certificate activity."""
        return self.module_id(99)


@dataclass
class User:
    """An account. ``tenant`` is the id of the tenant it is a member of; None is a system user."""

    id: int
    username: str
    email: str
    firstname: str = ""
    lastname: str = ""
    idnumber: str = ""
    auth: str = "manual"
    confirmed: bool = True
    suspended: bool = False
    deleted: bool = False
    tenant: int | None = None
    city: str = ""
    country: str = ""
    department: str = ""
    institution: str = ""
    lang: str = "en"
    timezone: str = "99"
    maildisplay: int = 2
    timecreated: int = 0
    timemodified: int = 0
    firstaccess: int = 0
    lastaccess: int = 0

    @property
    def fullname(self) -> str:
        """First and last name."""
        return f"{self.firstname} {self.lastname}"


@dataclass
class Enrolment:
    """One enrolment. ``timestart`` and ``timeend`` are in seconds since 1970; 0 is no limit."""

    status: str = "active"  # or "suspended"
    timestart: int = 0
    timeend: int = 0
    method: str = "manual"
    since: int = 0
    followed: bool = False  # by an audience or a program, and gone when that is

    def active(self, now: int) -> bool:
        """Whether it gives access at the time ``now``."""
        return self.status == "active" and self.timestart <= now and (not self.timeend or now < self.timeend)


def weak_password(password: str) -> list[str]:
    """What the default password policy has against a password, in Totara's words; empty if nothing."""
    special = sum(not (c.isascii() and c.isalnum()) for c in password)
    rules = (
        (len(password) >= 8, "Passwords must be at least 8 characters long."),
        (any(c.isdigit() for c in password), "Passwords must have at least 1 digit(s)."),
        (any(c.islower() for c in password), "Passwords must have at least 1 lower case letter(s)."),
        (any(c.isupper() for c in password), "Passwords must have at least 1 upper case letter(s)."),
        (
            special >= 1,
            "Passwords must have at least 1 non-alphanumeric character(s) such as as *, -, or #.",
        ),
    )
    return [text for kept, text in rules if not kept]
