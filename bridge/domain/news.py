"""What there is to tell a learner: facts that have come to be, each told once, and none before it is one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.domain.enrolments import Held, State
from bridge.domain.letters import Letter, Reason
from bridge.domain.offers import Item

#: What came to be longer ago is no news: whoever switches letters on does not write to everybody of former times.
NEWS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a seat of an item pays no more: the words of the ledger, whether its time had come, or that of the grace it
    was given; and since when.
    """

    why: str
    by_date: bool
    held: bool = False
    by_grace: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to tell. ``key`` is the same whenever the same fact is looked at again."""

    key: str
    kind: Letter
    item: Item
    reason: Reason | None = None
    until: datetime | None = None


def facts(
    held: Mapping[Item, Held],
    wanted: Mapping[Item, datetime | None],
    ended: Mapping[Item, Ended],
    told: Collection[str],
    now: datetime,
    soon: timedelta,
) -> list[Fact]:
    """The facts about one learner that are not told yet. ``wanted`` is what is paid for now, and until when.

    Access is ready when Totara was seen to give it, and waits when something needs a person. That it ends soon is
    told to whom it was given before that, and only while what Totara was told is still what is paid for.
    """
    found = [
        _fact(it, item in wanted, wanted.get(item), ended.get(item), told, now, soon)
        for item, it in sorted(held.items())
    ]
    return [fact for fact in found if fact is not None and fact.key not in told]


def next_fact(held: Mapping[Item, Held], now: datetime, soon: timedelta) -> datetime | None:
    """When there will be something to tell by itself: that access ends soon."""
    moments = [it.until - soon for it in held.values() if it.until and it.state is State.ACTIVE]
    return min((moment for moment in moments if moment > now), default=None)


def _fact(
    it: Held,
    wanted: bool,
    ends: datetime | None,
    ended: Ended | None,
    told: Collection[str],
    now: datetime,
    soon: timedelta,
) -> Fact | None:
    news = it.since is not None and it.since > now - NEWS
    if wanted and it.trouble:
        return _waiting(it, waits_for(it))
    if wanted and it.state is State.ACTIVE and it.verified:
        if it.until and it.since and it.since < it.until - soon <= now < it.until:
            key = f"{Letter.ENDS_SOON} {it.item} {it.until:%Y-%m-%d}"
            return Fact(key, Letter.ENDS_SOON, it.item, None, it.until) if ends == it.until else None
        return Fact(f"{Letter.READY} {it.item} {it.times}", Letter.READY, it.item, None, it.until) if news else None
    if not wanted and it.state is State.SUSPENDED and it.times:
        rests = _waiting(it, Reason.PAYMENT_REVIEW)
        if ended and ended.held:
            return rests if news else None
        # A review may take months: to whom was told that access rests, its end is news when that is decided.
        decided = rests.key in told and ended is not None and ended.at is not None and ended.at > now - NEWS
        if not (news or decided):
            return None
        reason = Reason.TAKEN_BACK if taken_back(it, ended) else ended_by(ended)
        return Fact(f"{Letter.ENDED} {it.item} {it.times}", Letter.ENDED, it.item, reason)
    return None


def taken_back(it: Held, ended: Ended | None) -> bool:
    """Whether an access ended since a team took the seat back, and not since what paid for another ended later."""
    if it.let_go_team is None or it.let_go_at is None:
        return False
    return ended is None or (not (ended.held or ended.by_date) and (ended.at is None or ended.at < it.let_go_at))


def _waiting(it: Held, reason: Reason) -> Fact:
    return Fact(f"{Letter.WAITING} {it.item} {it.times} {reason}", Letter.WAITING, it.item, reason)


def waits_for(it: Held) -> Reason:
    """What of a trouble a learner may know: the address, the course, or that somebody looks at it."""
    trouble = it.trouble or ""
    if trouble.startswith("the address of person"):
        return Reason.ADDRESS_TAKEN
    return Reason.COURSE_CLOSED if trouble.startswith(f"{it.item}:") else Reason.OTHER


#: How the ledger's words for the end of a seat begin, and what a learner is told.
_WORDS: Sequence[tuple[str, Reason]] = (
    ("the order is refunded", Reason.REFUNDED),
    ("fewer units", Reason.REFUNDED),
    ("the order", Reason.ORDER_CANCELLED),
    ("the subscription", Reason.SUBSCRIPTION_ENDED),
    ("the dispute", Reason.NOT_PAID),
)


def ended_by(ended: Ended | None) -> Reason:
    """Why an access ended, as a learner may know it."""
    if ended is None:
        return Reason.OTHER
    if ended.by_date:
        return Reason.TERM_OVER
    if ended.by_grace:
        return Reason.NOT_PAID
    return next((reason for words, reason in _WORDS if ended.why.startswith(words)), Reason.OTHER)
