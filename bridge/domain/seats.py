"""Seats that a team gives to its people: how each stands, and what may be done with it. Nothing here asks anybody.

open -> invited -> (waits for a yes) -> taken -> started -> completed
  ^        |                 |            |
  +--------+-----------------+------------+   given back, as long as nobody began to learn on it
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.domain.offers import Item


class SeatState(StrEnum):
    """How a seat stands for whoever gives it away."""

    OPEN = "open"
    CLOSED = "closed"  # open, and its last day to be given has passed
    INVITED = "invited"  # somebody was asked to take it
    LAPSED = "lapsed"  # somebody was asked, and did not answer in time
    APPROVAL = "approval"  # was accepted, and waits for a manager's yes
    TAKEN = "taken"
    STARTED = "started"
    COMPLETED = "completed"
    HELD = "held"  # rests: a dispute, or what pays for it has run out
    ENDED = "ended"  # is not paid for any more


#: How a seat stands on which somebody learns, or may begin to.
LEARNING = frozenset({SeatState.TAKEN, SeatState.STARTED})


class Wait(StrEnum):
    """What a seat waits for before it gives anything."""

    ANSWER = "answer"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True)
class TeamSeat:
    """A seat of a pool as its team sees it. ``until`` is when what pays for it ends. Whether whoever has it has begun,
    their ``progress`` in per cent, and whether they have completed it are None where that is not known, or not the
    team's to know.
    """

    id: int
    purchase: int
    unit: int
    person: int | None
    live: bool
    waits: Wait | None = None
    answer_until: datetime | None = None
    times: int = 0
    taken_at: datetime | None = None
    assign_until: datetime | None = None
    until: datetime | None = None
    held: bool = False
    begun: bool | None = None
    progress: int | None = None
    completed: bool | None = None
    picked: Item | None = None
    given: bool = True  # by the team; else it was bought for this person


def state_of(seat: TeamSeat, now: datetime) -> SeatState:
    """How the seat stands."""
    if not seat.live:
        return SeatState.ENDED
    if seat.held or (seat.until is not None and seat.until <= now):
        return SeatState.HELD
    if seat.person is None:
        over = seat.assign_until is not None and seat.assign_until <= now
        return SeatState.CLOSED if over else SeatState.OPEN
    if seat.waits is Wait.APPROVAL:
        return SeatState.APPROVAL
    if seat.waits is Wait.ANSWER:
        lapsed = seat.answer_until is not None and seat.answer_until <= now
        return SeatState.LAPSED if lapsed else SeatState.INVITED
    if seat.completed:
        return SeatState.COMPLETED
    return SeatState.STARTED if seat.begun else SeatState.TAKEN


class Begun(StrEnum):
    """Whether somebody has begun to learn on a seat."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class Why(StrEnum):
    """Why something can't be done with a seat, or what became of one who was to be given one."""

    GIVEN = "given"
    NO_SEATS = "no_seats"  # none is open
    HAS_ONE = "has_one"  # sits on a seat of this pool already, or was asked to
    NOT_OPEN = "not_open"
    NOT_WAITING = "not_waiting"
    BEGUN = "begun"
    MAYBE_BEGUN = "maybe_begun"
    TOO_OFTEN = "too_often"
    WRITTEN_OFTEN = "written_often"  # got as many letters as go out for one invitation
    ENDED = "ended"
    BOUGHT_FOR = "bought_for"  # was bought for just this person
    NOT_OF_TEAM = "not_of_team"
    NO_ADDRESS = "no_address"
    NOTHING_PICKED = "nothing_picked"
    STOPPED = "stopped"  # whoever confirmed the list may not give seats any more
    DECLINED = "declined"  # said no to a seat of this pool, and was not asked by name since


@dataclass(frozen=True, slots=True)
class SeatRules:
    """The organisation's rules. ``reclaim_days``: also who began gives a seat up within so many days of taking it, 0
    for never; ``most_times``: how often one seat may be given in all, 0 for no limit.
    """

    reclaim_days: float = 0.0
    most_times: int = 5
    answer_days: float = 14.0

    def answer_until(self, now: datetime) -> datetime:
        """Until when an invitation of now is answered."""
        return (now + timedelta(days=self.answer_days)).replace(microsecond=0)


def may_ask(seat: TeamSeat, rules: SeatRules, now: datetime) -> Why | None:
    """Why nobody can be asked to take this seat; None if somebody can."""
    if state_of(seat, now) is not SeatState.OPEN:
        return Why.NOT_OPEN
    return Why.TOO_OFTEN if rules.most_times and seat.times >= rules.most_times else None


def may_give_back(seat: TeamSeat, begun: Begun, rules: SeatRules, now: datetime) -> Why | None:
    """Why the seat can't be taken back from whoever has it; None if it can.

    Whoever learns is never thrown out by a manager, but where the organisation allows it for some days; and where
    nobody can tell whether they do, they are taken to.
    """
    state = state_of(seat, now)
    if state is SeatState.ENDED:
        return Why.ENDED
    if seat.person is None:
        return Why.NOT_WAITING
    if not seat.given:  # the order says whose it is, and would seat them again
        return Why.BOUGHT_FOR
    if seat.waits is not None:
        return None
    if seat.completed:
        return Why.BEGUN
    young = seat.taken_at is not None and now < seat.taken_at + timedelta(days=rules.reclaim_days)
    if begun is Begun.NO or young:
        return None
    return Why.BEGUN if begun is Begun.YES else Why.MAYBE_BEGUN
