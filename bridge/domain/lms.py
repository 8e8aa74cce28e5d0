"""Totara's things as plain values. ``None`` in a field means: this site or this account does not tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

#: The front page is a course with this id on every site; it is never a course anybody takes.
SITE_COURSE = 1

#: Names of the categories that Totara keeps for its own containers, at the top and again inside every tenant.
SYSTEM_CATEGORIES = frozenset({"Space category", "performance-activities", "mod-approval-workflow-category"})


@dataclass(frozen=True, slots=True)
class CourseImage:
    """Where a course's picture is, and when it last changed. ``url`` carries no token."""

    url: str
    filename: str
    modified: int

    @property
    def fingerprint(self) -> str:
        """Changes whenever the picture does."""
        return f"{self.url}#{self.modified}"


@dataclass(frozen=True, slots=True)
class Course:
    """A course as the service account sees it. Names are plain text, the summary is HTML, both may hold multilang."""

    id: int
    fullname: str
    shortname: str
    category_id: int
    summary: str = ""
    idnumber: str | None = None
    language: str = ""
    visible: bool | None = None
    audience_visible: int | None = None
    enrol_methods: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    image: CourseImage | None = None

    @property
    def sellable(self) -> str:
        """ "" when a sold seat could become an enrolment, else why not."""
        if self.enrol_methods is not None and "manual" not in self.enrol_methods:
            return "manual enrolment is off in the course"
        if self.audience_visible == 3:
            return "the course is visible to nobody"
        return ""


@dataclass(frozen=True, slots=True)
class Category:
    """A course category; ``parent`` is 0 at the top. ``courses`` counts those directly in it."""

    id: int
    name: str
    parent: int
    courses: int = 0
    idnumber: str | None = None


def is_called(category: Category, reference: int | str) -> bool:
    """Whether a category is meant by an id, a name, or an idnumber (which not every account is shown)."""
    return reference in (category.id, str(category.id), category.name, category.idnumber)


class Tree:
    """The category tree, without the categories Totara keeps for itself."""

    def __init__(self, categories: Iterable[Category]) -> None:
        self._by_id = {category.id: category for category in categories}
        self._paths: dict[int, tuple[Category, ...]] = {}
        self._tenants = {one.parent for one in self._by_id.values() if one.name in SYSTEM_CATEGORIES and one.parent}

    def __iter__(self) -> Iterator[Category]:
        return (c for c in self._by_id.values() if not self.is_system(c.id))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def path(self, category_id: int) -> tuple[Category, ...]:
        """From the top down to the category itself; empty when it is unknown. A broken chain gives its known end."""
        if category_id not in self._paths:
            path: list[Category] = []
            at = category_id
            while at and (category := self._by_id.get(at)) and category not in path:
                path.append(category)
                at = category.parent
            self._paths[category_id] = tuple(reversed(path))
        return self._paths[category_id]

    def has(self, reference: int | str) -> bool:
        """Whether any category goes by this id, name or idnumber."""
        return any(is_called(category, reference) for category in self._by_id.values())

    def is_whole(self, category_id: int) -> bool:
        """Whether the path is known up to the top."""
        path = self.path(category_id)
        return bool(path) and path[0].parent == 0

    def tenant_home(self, category_id: int) -> Category | None:
        """The category of the tenant that a category lies in, None for the site's own.

        No call tells which category is a tenant's. But Totara keeps its containers at the top and inside of every
        tenant's category, and nowhere else (measured on 17.3).
        """
        return next((place for place in self.path(category_id) if place.id in self._tenants), None)

    def is_system(self, category_id: int) -> bool:
        """Whether it is one of Totara's own, or lies inside one."""
        return any(category.name in SYSTEM_CATEGORIES for category in self.path(category_id))


@dataclass(frozen=True, slots=True)
class Account:
    """A Totara user as far as the bridge looks."""

    id: int
    username: str
    email: str
    auth: str | None = None
    suspended: bool = False
    seen_at: datetime | None = None  # when somebody was last there with it: in 1970 for never, None where it isn't told


@dataclass(frozen=True, slots=True)
class Insight:
    """What kind of account it is, as far as the site tells: most tell nothing of this. ``tenant`` is the idnumber of
    the tenant whose member it is, "" for none's; of no tenant nothing is suspended. ``opened`` are the courses that it
    has opened, of those that it is enrolled in."""

    administrator: bool | None = None
    staff: bool | None = None
    tenant: str | None = None
    tenant_suspended: bool | None = None
    opened: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """How far a learner is in a course. ``progress`` is in per cent, None where it can't be told."""

    completed: bool
    progress: int | None = None


def per_cent_of(met: Iterable[tuple[int, bool]], *, any_will_do: bool) -> int | None:
    """How much of a course is done, in per cent: of each of its criteria the type, and whether it is met.

    As Totara itself counts (17's totara_core/progressinfo, and measured): rounded down, but at least 1 once something
    is done; where any kind of criterion will do, as much as of the kind that is done most. An activity that is done in
    part counts as not done, since its part is in no answer; Totara's own bar may then be further.
    """
    kinds: dict[int, list[bool]] = {}
    for kind, done in met:
        kinds.setdefault(kind if any_will_do else 0, []).append(done)
    if not kinds:
        return None
    return max(max(100 * sum(kind) // len(kind), int(any(kind))) for kind in kinds.values())


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What it takes to make an account. The password is made up on the spot and kept by nobody."""

    username: str
    email: str
    firstname: str
    lastname: str
    language: str = ""
    idnumber: str = ""
