"""Where somebody who signs in may go: words from a list, never addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from bridge.domain.offers import Item, Kind


class Place(StrEnum):
    """What a target is about."""

    HOME = "home"  # Totara's own first page
    COURSES = "courses"  # the bridge's list of somebody's courses
    TEAM = "team"
    RESUME = "resume"  # whatever the browser came for
    COURSE = "course"
    PROGRAM = "program"
    ORDER = "order"  # what was bought by it


_WORD = re.compile(r"(home|courses|team|resume)|(course|program|order):([1-9][0-9]{0,17})", re.ASCII)

#: Pages of Totara, as paths on its site.
_PAGES = {
    Place.COURSE: "/course/view.php?id={}",
    Place.PROGRAM: "/totara/program/view.php?id={}",
}
_HOME = "/totara/dashboard/index.php"
_OF_ITEM = {Kind.COURSE: Place.COURSE, Kind.PROGRAM: Place.PROGRAM, Kind.CERTIFICATION: Place.PROGRAM}


@dataclass(frozen=True, slots=True)
class Target:
    """A place to go to; ``id`` is 0 for those that need none."""

    place: Place
    id: int = 0

    def __str__(self) -> str:
        return f"{self.place}:{self.id}" if self.id else str(self.place)

    @property
    def path(self) -> str:
        """The page of Totara: a path on its site, made here and never taken from outside. "/" leaves it to Totara,
        which then goes on to the page that was wanted there before signing in.
        """
        if self.place is Place.RESUME:
            return "/"
        return _PAGES[self.place].format(self.id) if self.place in _PAGES else _HOME

    def is_of(self, item: Item) -> bool:
        """Whether it leads to this course, program or certification."""
        return self.id == item.id and _OF_ITEM.get(item.kind) is self.place


HOME, RESUME = Target(Place.HOME), Target(Place.RESUME)
#: The path by which Totara's plugin knows that it may choose the page.
NOWHERE = "/"


def read_target(word: object) -> Target:
    """The target that a word names. Raises ValueError for all that is not exactly one of the list."""
    found = _WORD.fullmatch(word) if isinstance(word, str) else None
    if found is None:
        raise ValueError("it is no place that one may sign in to")
    simple, kind, number = found.groups()
    return Target(Place(simple or kind), int(number or 0))


def target_of(item: Item) -> Target:
    """Where an item is learned; Totara's first page for an audience, which has none of its own."""
    place = _OF_ITEM.get(item.kind)
    return Target(place, item.id) if place else HOME
