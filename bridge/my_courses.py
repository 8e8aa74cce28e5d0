"""What somebody has bought, as it stands now: for their own eyes, in the shop and on the bridge's pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from bridge.domain.enrolments import wanted
from bridge.domain.letters import Reason
from bridge.domain.news import ended_by, waits_for
from bridge.domain.offers import Item, offer_from_json
from bridge.domain.targets import Target, target_of
from bridge.domain.texts import plain
from bridge.store import learning
from bridge.store.learning import Sat
from bridge.store.progress import Learnt
from bridge.telling import ended_of


class Standing(StrEnum):
    """How a course stands for its learner."""

    READY = "ready"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class MyCourse:
    """One thing that somebody bought, or was given. ``reason`` is why it waits or ended; None while it is prepared.

    ``starts`` is when it begins, if that is still to come. ``progress`` is in per cent, None while it is not known.
    ``certificate`` is where it can be had by now, a path on Totara's site: a page for whoever can enter the course.
    ``of_several``: it was sold with others under the name that it has, or picked among them; ``sold_as`` is that name
    once it has one of its own.
    """

    item: Item
    name: str
    standing: Standing
    reason: Reason | None = None
    starts: datetime | None = None
    until: datetime | None = None
    completed: bool = False
    progress: int | None = None
    certificate: str | None = None
    of_several: bool = False
    sold_as: str = ""

    def called(self, name: str) -> MyCourse:
        """The same by a name of its own."""
        return replace(self, name=name, sold_as=self.name if self.name != name else "")

    @property
    def target(self) -> Target:
        """Where it is learned."""
        return target_of(self.item)


def my_courses(connection: Connection, person_id: int, now: datetime) -> list[MyCourse]:
    """Everything a person sits, or sat, a seat for, in the order of its numbers. Read from the ledger: nobody is asked.

    Ready means that Totara was seen to let the learner in.
    """
    sat = learning.sat_by(connection, person_id)
    rights = [one.right for one in sat if one.right is not None]
    paid = wanted(rights, now).items
    starts: dict[Item, datetime] = {}
    for right in rights:
        if right.starts is not None and right.starts > now and not right.held:
            starts[right.item] = min(right.starts, starts.get(right.item, right.starts))
    last = {one.item: one for one in sat}
    return [_as_learnt(_course(one, paid, starts.get(item), now), one.learnt) for item, one in sorted(last.items())]


def _as_learnt(course: MyCourse, learnt: Learnt) -> MyCourse:
    """With how far the learner is. The certificate is there once it is earned, while the course lets its learner in."""
    completed = bool(learnt.completed)
    earned = completed and course.standing is Standing.READY
    return replace(
        course,
        completed=completed,
        progress=100 if completed else learnt.progress,
        certificate=learnt.certificate if earned else None,
    )


def _course(sat: Sat, paid: Mapping[Item, datetime | None], starts: datetime | None, now: datetime) -> MyCourse:
    item, row, it = sat.item, sat.row, sat.held
    several = len(offer_from_json(row.offer).items) > 1
    course = MyCourse(item, plain(row.name, "") or str(item), Standing.WAITING, of_several=several)
    if item in paid:
        if it is not None and it.trouble:
            return replace(course, reason=waits_for(it), until=paid[item])
        ready = it is not None and it.reached
        return replace(course, standing=Standing.READY if ready else Standing.WAITING, until=paid[item])
    if starts is not None:
        return replace(course, starts=starts)
    ended = ended_of(row, now)
    if ended.held:
        return replace(course, reason=Reason.PAYMENT_REVIEW)
    return replace(course, standing=Standing.ENDED, reason=ended_by(ended), until=it.until if it else None)


def of_target(courses: Sequence[MyCourse], target: Target) -> MyCourse | None:
    """The one that a target leads to."""
    return next((course for course in courses if target.is_of(course.item)), None)
