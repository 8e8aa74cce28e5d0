"""How it stands with what a visitor came for: told of what the ledger says, and of nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bridge.domain.letters import Reason
from bridge.domain.targets import Place, Target
from bridge.my_courses import MyCourse, Standing, of_target
from bridge.store.people import Person

#: These are pages of the bridge itself.
OURS = (Place.COURSES, Place.TEAM)


class State(StrEnum):
    """What a visitor is told."""

    READY = "ready"  # go on
    LOOKING = "looking"  # the bridge is at it
    WAITING = "waiting"  # for a person, or for a day
    NOTHING = "nothing"  # there is nothing to go to


@dataclass(frozen=True, slots=True)
class Seen:
    """How it stands with what a visitor wants to go to. ``course`` is the one it is about."""

    state: State
    target: Target
    reason: Reason | None = None
    course: MyCourse | None = None


def ready(target: Target, person: Person | None, courses: list[MyCourse]) -> Seen | None:
    """How it stands, if there is nothing to wait for."""
    if target.place in OURS:
        return Seen(State.READY, target) if courses else None
    if target.place in (Place.COURSE, Place.PROGRAM):
        course = of_target(courses, target)
        return Seen(State.READY, target, course=course) if course and course.standing is Standing.READY else None
    return Seen(State.READY, target) if person is not None and person.totara_id is not None else None


def not_yet(target: Target, courses: list[MyCourse], busy: bool) -> Seen:
    """How it stands otherwise. ``busy``: the bridge is at something that could change it."""
    if target.place in OURS:
        return Seen(State.LOOKING if busy else State.READY, target)
    if target.place in (Place.COURSE, Place.PROGRAM):
        return _of_course(target, of_target(courses, target), busy)
    waits = next((course for course in courses if course.reason), None)
    if busy or waits is None:
        return Seen(State.LOOKING if busy else State.NOTHING, target)
    return Seen(State.WAITING, target, waits.reason, waits)


def _of_course(target: Target, course: MyCourse | None, busy: bool) -> Seen:
    if busy:
        return Seen(State.LOOKING, target, course=course)
    if course is not None and course.standing is Standing.WAITING:
        preparing = course.reason is None and course.starts is None
        return Seen(State.LOOKING if preparing else State.WAITING, target, course.reason, course)
    return Seen(State.NOTHING, target, course.reason if course else None, course)
