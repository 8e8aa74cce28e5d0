"""What somebody has bought, as it stands now: for their own eyes, in the shop and on the bridge's pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from bridge.domain.enrolments import Held, State, wanted
from bridge.domain.letters import Reason
from bridge.domain.news import ended_by, waits_for
from bridge.domain.offers import Item, offer_from_json
from bridge.domain.targets import Target, target_of
from bridge.domain.texts import plain
from bridge.store import learning, progress
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
    held = learning.held_by(connection, person_id)
    learnt = progress.learnt_by(connection, person_id)
    rights = learning.rights_of(connection, person_id)
    seats = learning.last_of_each(connection, person_id)
    paid = wanted(rights, now).items
    starts: dict[Item, datetime] = {}
    for right in rights:
        if right.starts is not None and right.starts > now and not right.held:
            starts[right.item] = min(right.starts, starts.get(right.item, right.starts))
    found = [_course(item, row, held.get(item), paid, starts.get(item), now) for item, row in sorted(seats.items())]
    several = {item for item, row in seats.items() if len(offer_from_json(row.offer).items) > 1}
    return [
        _as_learnt(replace(course, of_several=course.item in several), learnt.get(course.item, Learnt()))
        for course in found
    ]


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


def _course(
    item: Item,
    row: Any,
    it: Held | None,
    paid: dict[Item, datetime | None] | Any,
    starts: datetime | None,
    now: datetime,
) -> MyCourse:
    name = plain(row.name, "") or str(item)
    if item in paid:
        if it is not None and it.trouble:
            return MyCourse(item, name, Standing.WAITING, waits_for(it), None, paid[item])
        ready = it is not None and it.state is State.ACTIVE and it.verified
        return MyCourse(item, name, Standing.READY if ready else Standing.WAITING, None, None, paid[item])
    if starts is not None:
        return MyCourse(item, name, Standing.WAITING, None, starts)
    ended = ended_of(row, now)
    if ended.held:
        return MyCourse(item, name, Standing.WAITING, Reason.PAYMENT_REVIEW)
    return MyCourse(item, name, Standing.ENDED, ended_by(ended), None, it.until if it else None)


def of_target(courses: Sequence[MyCourse], target: Target) -> MyCourse | None:
    """The one that a target leads to."""
    return next((course for course in courses if target.is_of(course.item)), None)
