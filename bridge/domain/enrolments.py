"""From a person's seats to the access that should stand in Totara, now and at the next moment that matters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
    as it is.
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


@dataclass(frozen=True, slots=True)
class Right:
    """One seat's claim to one item, until ``until`` at the latest: a date that it was sold with.

    ``days`` are those that have not begun yet: they count from the first enrolment. ``held`` is the reason why it
    rests, "" for none. ``grace`` is when it ends because it was not paid again, and is nobody's promise: Totara is not
    told of it, so that the brake can hold when that would end much access at once.
    """

    seat: int
    item: Item
    starts: datetime | None = None
    until: datetime | None = None
    days: int | None = None
    held: str = ""
    grace: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The access that is paid for now, each with its end; seats whose days begin now; when to look again."""

    items: Mapping[Item, datetime | None] = field(default_factory=dict)
    begin: Mapping[int, datetime] = field(default_factory=dict)
    next_look: datetime | None = None


#: How long before the end of an access completion is read: afterwards Totara does not tell it any more.
LAST_LOOK = timedelta(minutes=5)


def wanted(rights: Sequence[Right], now: datetime) -> Wanted:
    """Access is the OR of live seats: an item is wanted while one right to it is, until the last of them ends.

    Days of access begin when nothing else that is bought for a time pays for the same item: bought again early, they
    follow one another. Ends are in whole seconds, as Totara keeps them.
    """
    items: dict[Item, datetime | None] = {}
    begin: dict[int, datetime] = {}
    moments: list[datetime] = []
    for right in sorted(rights, key=lambda right: (right.days is not None, right.seat)):
        if right.held:
            continue
        if right.starts is not None and right.starts > now:
            moments.append(right.starts)
            continue
        until = right.until
        if any(end is not None and end <= now for end in (until, right.grace)):
            continue
        if right.grace is not None:
            moments.append(right.grace)
        if right.days is not None:
            if right.seat not in begin:
                begin[right.seat] = _counted(right, [one.item for one in rights if one.seat == right.seat], items, now)
            until = lasting((until, begin[right.seat]))
        if until is not None:
            moments += [moment for moment in (until - LAST_LOOK, until) if moment > now]
        both = (items[right.item], until) if right.item in items else (until,)
        items[right.item] = None if None in both else max(moment for moment in both if moment is not None)
    return Wanted(items, begin, min(moments, default=None))


def _counted(right: Right, alike: Sequence[Item], items: Mapping[Item, datetime | None], now: datetime) -> datetime:
    """When the days of a seat run out: counted from the last end of anything that it gives."""
    after = max([now, *(until for item in alike if (until := items.get(item)) is not None)])
    return (after + timedelta(days=right.days or 0)).replace(microsecond=0)


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
