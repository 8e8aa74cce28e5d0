"""From a person's seats to the access that should stand in Totara, now and at the next moment that matters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bridge.domain.offers import Item


class State(StrEnum):
    """What we last made of an access that is ours."""

    WANTED = "wanted"  # paid for, not made yet
    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Held:
    """An access we gave. ``verified`` tells that Totara was seen to let the learner in since the last doubt.

    ``until`` is the end that Totara was told, None for none; ``times`` how often it was given anew; ``completed`` what
    was last read; ``reference`` Totara's id of what was made, where ending it needs one; ``since`` when it came to be
    as it is, and ``let_go_at`` when a person said that it may end, since it was given; ``let_go_team`` is
    the team that took it back, if it was one.
    """

    item: Item
    state: State
    verified: bool
    until: datetime | None = None
    times: int = 0
    completed: bool | None = None
    reference: int | None = None
    trouble: str | None = None
    since: datetime | None = None
    let_go_at: datetime | None = None
    let_go_team: int | None = None

    @property
    def reached(self) -> bool:
        """Whether the learner gets in, as far as is known."""
        return self.state is State.ACTIVE and self.verified


@dataclass(frozen=True, slots=True)
class Right:
    """One seat's claim to one item, until ``until`` at the latest: a date that it was sold with.

    ``days`` are those that count from the first enrolment: from ``begun`` on, None while they have not begun, and then
    until ``written``, as far as was worked out so far. ``dated`` tells that it was sold with an end of its own, and
    ``since`` when such a seat was given, or began. ``held`` is the reason why it rests, "" for none. ``grace`` is when
    it ends because it was not paid again, and is nobody's promise: Totara is not told of it, so that the brake can hold
    when that would end much access at once.
    """

    seat: int
    item: Item
    starts: datetime | None = None
    until: datetime | None = None
    days: int | None = None
    held: str = ""
    begun: datetime | None = None
    written: datetime | None = None
    dated: bool = False
    since: datetime | None = None
    grace: datetime | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """The days of one seat: the first moment from which they may count, and when they run out."""

    begun: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """The access that is paid for now, each with its end; by seat, the days that begin now; and the ends of days
    begun before that are others than was written down; when to look again."""

    items: Mapping[Item, datetime | None] = field(default_factory=dict)
    begin: Mapping[int, Run] = field(default_factory=dict)
    moved: Mapping[int, datetime] = field(default_factory=dict)
    next_look: datetime | None = None


#: How long before the end of an access completion is read: afterwards Totara does not tell it any more.
LAST_LOOK = timedelta(minutes=5)


def wanted(rights: Sequence[Right], now: datetime) -> Wanted:
    """Access is the OR of live seats: an item is wanted while one right to it is, until the last of them ends.

    Days of access begin when nothing else that is bought for a time pays for the same item: bought again early, they
    follow one another. Where they end is worked out from the rights there are, each time: what was given back shifts
    nothing any more, and shifts again what it did once it is paid for again. Ends are in whole seconds, as Totara
    keeps them.
    """
    paid = [right for right in rights if not right.held and (right.grace is None or right.grace > now)]
    there = [right for right in paid if right.starts is None or right.starts <= now]
    runs = _runs(there, now)
    items: dict[Item, datetime | None] = {}
    moments = [right.starts for right in paid if right.starts is not None and right.starts > now]
    moments += [right.grace for right in there if right.grace is not None]
    for right in there:
        until = right.until if right.days is None else _end_of(right, runs)
        if until is not None and until <= now:
            continue
        if until is not None:
            moments += [moment for moment in (until - LAST_LOOK, until) if moment > now]
        both = (items[right.item], until) if right.item in items else (until,)
        items[right.item] = None if None in both else max(moment for moment in both if moment is not None)
    new = {right.seat for right in there if right.days is not None and right.begun is None}
    written = {right.seat: right.written for right in there if right.seat not in new}
    return Wanted(
        items,
        {seat: run for seat, run in runs.items() if seat in new},
        {seat: run.until for seat, run in runs.items() if seat not in new and run.until != written[seat]},
        min(moments, default=None),
    )


def _end_of(right: Right, runs: Mapping[int, Run]) -> datetime | None:
    """When a right to days ends. Days that did not begin are of a right that is over."""
    return lasting((right.until, runs[right.seat].until)) if right.seat in runs else right.until


def _runs(there: Sequence[Right], now: datetime) -> dict[int, Run]:
    """The days of each seat, one after the other: those that began first, then those that begin now."""
    fixed = [right for right in there if right.days is None and right.until is not None]
    seats: dict[int, list[Right]] = {}
    for right in sorted((one for one in there if one.days is not None), key=lambda one: (one.begun or now, one.seat)):
        seats.setdefault(right.seat, []).append(right)
    runs: dict[int, Run] = {}
    last: dict[Item, datetime] = {}
    for seat, rights in seats.items():
        one, alike = rights[0], [right.item for right in rights]
        if one.begun is None and one.until is not None and one.until <= now:
            continue
        begun = one.begun or max([now, *(_until(right) for right in fixed if right.item in alike and not right.dated)])
        dated = [_until(right) for right in fixed if right.dated and right.item in alike and _before(right, begun)]
        after = max([begun, *dated, *(last[item] for item in alike if item in last)])
        runs[seat] = Run(begun, (after + timedelta(days=one.days or 0)).replace(microsecond=0))
        end = _end_of(one, runs) or runs[seat].until
        last |= {item: max(end, last.get(item, end)) for item in alike}
    return runs


def _until(right: Right) -> datetime:
    return right.until or datetime.max.replace(tzinfo=UTC)


def _before(right: Right, moment: datetime) -> bool:
    """Whether it was there already: what is bought later stretches nothing that runs."""
    return right.since is None or right.since <= moment


@dataclass(frozen=True, slots=True)
class AccessPlan:
    """What to do in Totara for one person: to give (or to give with another end), to look at again, to end."""

    give: tuple[Item, ...] = ()
    verify: tuple[Item, ...] = ()
    end: tuple[Item, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.give or self.verify or self.end)


def plan_access(items: Mapping[Item, datetime | None], held: Mapping[Item, Held]) -> AccessPlan:
    """Only access that we gave is ever ended. What is active, verified, and ends when it should costs no call."""
    active = {item for item, it in held.items() if it.state is State.ACTIVE}
    right = {item for item in active & set(items) if held[item].until == items[item]}
    return AccessPlan(
        give=tuple(sorted(set(items) - right)),
        verify=tuple(sorted(item for item in right if not held[item].verified)),
        end=tuple(sorted(active - set(items))),
    )


def too_many(ending: int, ended_lately: int, there: int, *, share: float, count: int) -> bool:
    """The brake: whether ending so many more would go beyond what may end without a person's word."""
    total = ending + ended_lately
    return total > count and total > share * (there + ended_lately)


def lasting(moments: Collection[datetime | None]) -> datetime | None:
    """The earliest of several ends, None when there is none."""
    return min((moment for moment in moments if moment is not None), default=None)
