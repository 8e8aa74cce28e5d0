"""From a person's live seats to the enrolments that should stand in Totara."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What we last made of an enrolment that is ours."""

    WANTED = "wanted"  # paid for, not made yet
    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Held:
    """An enrolment we gave. ``verified`` tells that Totara was seen to let the learner in since the last doubt."""

    course_id: int
    state: State
    verified: bool


@dataclass(frozen=True, slots=True)
class EnrolmentPlan:
    """What to do in Totara for one person: courses to enrol in, to look at again, and to suspend."""

    enrol: tuple[int, ...] = ()
    verify: tuple[int, ...] = ()
    suspend: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.enrol or self.verify or self.suspend)


def plan_enrolments(wanted: Collection[int], held: Mapping[int, Held]) -> EnrolmentPlan:
    """Access is the OR of live seats: ``wanted`` are the courses that at least one of them pays for.

    Only enrolments that we gave are ever suspended, and an active, verified one costs no call at all.
    """
    active = {course for course, it in held.items() if it.state is State.ACTIVE}
    return EnrolmentPlan(
        enrol=tuple(sorted(set(wanted) - active)),
        verify=tuple(sorted(c for c in active & set(wanted) if not held[c].verified)),
        suspend=tuple(sorted(active - set(wanted))),
    )
