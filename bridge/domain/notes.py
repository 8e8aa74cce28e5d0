"""The private note on an order: what was done for it, in words its shop's staff understand. Ids only, no addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Protocol

from bridge.domain.enrolments import State
from bridge.domain.offers import Item

#: Ends every note: by it a note is known again, however the shop escapes the text.
NOTE_MARK = "[bridge {}]"
_MARK = re.compile(r"\[bridge ([0-9a-f]{16})\]")


def mark_of(text: str) -> str:
    """The mark of a note of ours, as the shop has it; "" for somebody else's."""
    found = _MARK.findall(text)
    return str(found[-1]) if found else ""


class SeatStands(Protocol):
    """How one item of one seat stands. Read-only members, so that frozen values fit."""

    @property
    def line_id(self) -> int: ...
    @property
    def subscription_id(self) -> int | None: ...
    @property
    def item(self) -> Item: ...
    @property
    def live(self) -> bool: ...
    @property
    def why(self) -> str | None: ...
    @property
    def person_id(self) -> int | None: ...
    @property
    def totara_id(self) -> int | None: ...
    @property
    def state(self) -> str | None: ...
    @property
    def verified(self) -> bool: ...
    @property
    def trouble(self) -> str | None: ...
    @property
    def held(self) -> str | None: ...
    @property
    def starts(self) -> datetime | None: ...
    @property
    def until(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class OrderNote:
    """A note's text, and the order meta that says the same to machines."""

    text: str
    meta: Mapping[str, str]


def day(moment: datetime) -> str:
    """A moment as staff read it."""
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def stands(seat: SeatStands, now: datetime) -> tuple[str, str]:
    """How a seat stands, in one word and in words."""
    over = seat.until is not None and seat.until <= now
    if not seat.live or over or seat.held:
        return _rests(seat, over)
    if seat.person_id is None:
        return "open", "open seat"
    if seat.starts is not None and seat.starts > now:
        return "waiting", f"waiting: access begins on {day(seat.starts)}"
    until = f" until {day(seat.until)}" if seat.until else ""
    if seat.trouble:
        return "waiting", f"waiting: {seat.trouble}"
    if seat.state == State.ACTIVE and seat.verified:
        return "ready", f"access ready for Totara user {seat.totara_id}{until}"
    return "waiting", "waiting"


def _rests(seat: SeatStands, over: bool) -> tuple[str, str]:
    if seat.state == State.ACTIVE and seat.trouble:
        return "waiting", f"access could not be ended: {seat.trouble}"
    if not seat.live:
        return "ended", f"access ended, {seat.why}" if seat.why else "access ended"
    if seat.held:
        return "held", f"access rests: {seat.held}"
    return "ended", f"access ended on {day(seat.until)}" if over and seat.until else "access ended"


def order_note(
    seats: Sequence[SeatStands], now: datetime, said: Sequence[str] = (), completed: Sequence[Item] = ()
) -> OrderNote:
    """The note for an order's seats, line by line, and whatever else its staff should know.

    ``completed`` are the items of a renewed subscription that were completed before it was renewed.
    """
    parts, states = [], []
    for (line, subscription, item), group in groupby(seats, key=lambda s: (s.line_id, s.subscription_id, s.item)):
        words = [stands(seat, now) for seat in group]
        states += [state for state, _ in words]
        told = [
            f"{sum(1 for w in words if w[1] == text)} × {text}" if len(words) > 1 else text
            for text in dict.fromkeys(text for _, text in words)
        ]
        of = f"subscription {subscription}" if subscription else f"line {line}"
        parts.append(f"{of}, {item}: {', '.join(told)}")
    parts += said
    parts += [f"{item} was completed before this renewal, and Totara shows it as complete" for item in completed]
    worst = next((state for state in ("waiting", "held", "open", "ready", "ended") if state in states), "none")
    meta = {"_bridge_access": worst, "_bridge_seats": "; ".join(parts)}
    return OrderNote(f"Learning access: {'; '.join(parts)}.", meta)
