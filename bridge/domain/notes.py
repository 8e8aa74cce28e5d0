"""The private note on an order: what was done for it, in words its shop's staff understand. Ids only, no addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from bridge.domain.enrolments import State

#: Ends every note: by it a note is known again, however the shop escapes the text.
NOTE_MARK = "[bridge {}]"


class SeatStands(Protocol):
    """How one seat stands. Read-only members, so that frozen values fit."""

    @property
    def line_id(self) -> int: ...
    @property
    def course_id(self) -> int: ...
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


@dataclass(frozen=True, slots=True)
class OrderNote:
    """A note's text, and the order meta that says the same to machines."""

    text: str
    meta: Mapping[str, str]


def _one(seat: SeatStands) -> tuple[str, str]:
    """A seat's state in one word and in words."""
    if not seat.live and seat.state == State.ACTIVE and seat.trouble:
        return "waiting", f"access could not be ended: {seat.trouble}"
    if not seat.live:
        return "ended", f"access ended, {seat.why}" if seat.why else "access ended"
    if seat.person_id is None:
        return "open", "open seat"
    if seat.state == State.ACTIVE and seat.verified:
        return "ready", f"access ready for Totara user {seat.totara_id}"
    return "waiting", f"waiting: {seat.trouble}" if seat.trouble else "waiting"


def order_note(seats: Sequence[SeatStands]) -> OrderNote:
    """The note for an order's seats, sorted by line."""
    parts, states = [], []
    for line_id, group in groupby(seats, key=lambda seat: seat.line_id):
        of_line = list(group)
        words = [_one(seat) for seat in of_line]
        states += [state for state, _ in words]
        told = [
            f"{sum(1 for w in words if w[1] == text)} × {text}" if len(words) > 1 else text
            for text in dict.fromkeys(text for _, text in words)
        ]
        parts.append(f"line {line_id}, course {of_line[0].course_id}: {', '.join(told)}")
    worst = next((state for state in ("waiting", "open", "ready", "ended") if state in states), "none")
    meta = {"_bridge_access": worst, "_bridge_seats": "; ".join(parts)}
    return OrderNote(f"Learning access: {'; '.join(parts)}.", meta)
