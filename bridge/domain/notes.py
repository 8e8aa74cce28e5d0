"""The private note on an order: what was done for it, in words its shop's staff understand.

Ids, and the names of what was sold: nothing of people but their number in Totara. Seats that a team has are counted:
who sits there is the team's to say, and may change with every hour.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import groupby
from typing import Protocol

from bridge.domain.enrolments import State
from bridge.domain.offers import Item
from bridge.domain.texts import plain

#: Ends every note: by it a note is known again, however the shop escapes the text.
NOTE_MARK = "[bridge {}]"
_MARK = re.compile(r"\[bridge ([0-9a-f]{16})\]")


def mark_of(text: str) -> str:
    """The mark of a note of ours, as the shop has it; "" for somebody else's."""
    found = _MARK.findall(text)
    return str(found[-1]) if found else ""


#: A name that is longer is cut short.
LONGEST_NAME = 80


class SeatStands(Protocol):
    """How one item of one seat stands. Read-only members, so that frozen values fit."""

    @property
    def line_id(self) -> int: ...
    @property
    def subscription_id(self) -> int | None: ...
    @property
    def name(self) -> str: ...
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
    @property
    def waits(self) -> str | None: ...
    @property
    def team(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class OrderNote:
    """A note's text with numbers only, by which two notes are compared, and the order meta that says it to machines.

    ``about`` tells of each part of the text what the line was sold as, and which item it is about; the parts after
    those are of none. ``lasting`` is what no team changes by giving seats and taking them back: as long as it is the
    same, another text may wait.
    """

    text: str
    meta: Mapping[str, str]
    lasting: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    about: tuple[tuple[str, Item], ...] = ()

    def shown(self, items: Mapping[Item, str], language: str, why: str = "") -> str:
        """The text with names beside the numbers, as HTML: that is what the shop takes a note for.

        ``why`` is what it waits for, in words that may change from one look to the next. Of several parts about one
        line the first names it, and nothing is said twice that is called the same.
        """
        parts, last = list(self.parts), ""
        for at, (sold_as, item) in enumerate(self.about):
            names = [items.get(item, "")] if sold_as == last else [plain(sold_as, language), items.get(item, "")]
            last = sold_as
            words = ", ".join(f"“{escape(_short(name), quote=False)}”" for name in dict.fromkeys(names) if name)
            parts[at] = f"{words} – {parts[at]}" if words else parts[at]
        return _sentence([*parts, why] if why else parts)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _sentence(parts: Sequence[str]) -> str:
    return f"Learning access: {'; '.join(parts)}."


def day(moment: datetime) -> str:
    """A moment as staff read it."""
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def stands(seat: SeatStands, now: datetime, waits: datetime | None = None, *, counted: bool = False) -> tuple[str, str]:
    """How a seat stands, in one word and in words. ``waits`` is since when it has been owed a look.

    ``counted``: in words that fit many seats, without what is one person's alone.
    """
    over = seat.until is not None and seat.until <= now
    if not seat.live or over or seat.held:
        return _rests(seat, over, counted=counted)
    if seat.person_id is None:
        return "open", "open seat"
    if seat.waits:
        return "open", "seat that somebody was asked to take" if seat.waits == "answer" else "seat that waits for a yes"
    if seat.starts is not None and seat.starts > now:
        return "waiting", f"waiting: access begins on {day(seat.starts)}"
    until = f" until {day(seat.until)}" if seat.until else ""
    if seat.trouble:
        return "waiting", f"waiting: {seat.trouble}"
    if seat.state == State.ACTIVE and seat.verified and counted:
        return "ready", "access ready"
    if seat.state == State.ACTIVE and seat.verified:
        return "ready", f"access ready for Totara user {seat.totara_id}{until}"
    return "waiting", f"waiting since {day(waits)}" if waits else "waiting"


def _rests(seat: SeatStands, over: bool, *, counted: bool) -> tuple[str, str]:
    if seat.state == State.ACTIVE and seat.trouble:
        return "kept", f"access could not be ended: {seat.trouble}"
    if not seat.live:
        # Where nobody sat, or had answered, no access ended.
        ended = "unused seat ended" if seat.person_id is None or seat.waits else "access ended"
        return "ended", f"{ended}, {seat.why}" if seat.why else ended
    if seat.held:
        return "held", f"access rests: {seat.held}"
    if over and counted:
        return "ended", "access ended, its time is over"
    return "ended", f"access ended on {day(seat.until)}" if over and seat.until else "access ended"


def _lasting(seats: Sequence[SeatStands], words: Sequence[tuple[str, str]]) -> str:
    """Of seats that a team has and their words, what is not the team's doing: how many are paid for and how the others
    stand, and whether somebody waits for Totara, or for a person.
    """
    rest = Counter(text for state, text in words if state in ("held", "ended", "kept"))
    waits = {
        "a person" if seat.trouble else "Totara"
        for seat, (state, text) in zip(seats, words, strict=True)
        if state == "waiting" and (seat.trouble or " since " in text)
    }
    return f"{len(words) - rest.total()} {sorted(rest.items())} {sorted(waits)}"


def order_note(
    seats: Sequence[SeatStands],
    now: datetime,
    said: Sequence[str] = (),
    completed: Sequence[Item] = (),
    needs: Sequence[str] = (),
    waits: Mapping[int, datetime] | None = None,
) -> OrderNote:
    """The note for an order's seats, line by line, and whatever else its staff should know.

    ``completed`` are the items of a renewed subscription that were completed before it was renewed. ``needs`` is what
    waits for a person, with what there is to be done; ``waits`` tells since when which persons have been owed a look.
    """
    parts, states, about, lasting = [], [], [], []
    owed = waits or {}
    first = min(owed.values(), default=None)
    for (line, subscription, name, item), grouped in groupby(
        seats, key=lambda s: (s.line_id, s.subscription_id, s.name, s.item)
    ):
        group = list(grouped)
        since = [owed.get(seat.person_id or 0) for seat in group]
        words = [
            stands(seat, now, first if seat.team and at else at, counted=seat.team)
            for seat, at in zip(group, since, strict=True)
        ]
        states += ["waiting" if state == "kept" else state for state, _ in words]
        told = [
            f"{sum(1 for w in words if w[1] == text)} × {text}" if len(words) > 1 else text
            for text in dict.fromkeys(text for _, text in words)
        ]
        of = f"subscription {subscription}" if subscription else f"line {line}"
        parts.append(f"{of}, {item}: {', '.join(told)}")
        lasting.append(f"{of}, {item}: {_lasting(group, words)}" if group[0].team else parts[-1])
        about.append((name, item))
    more = [f"needs a person: {what}" for what in needs]
    states += ["waiting" for _ in needs]
    more += said
    more += [f"{item} was completed before this renewal, and Totara shows it as complete" for item in completed]
    parts = [*parts, *more] or ["nothing is given"]
    worst = next((state for state in ("waiting", "held", "open", "ready", "ended") if state in states), "none")
    meta = {"_bridge_access": worst, "_bridge_seats": "; ".join(parts)}
    return OrderNote(_sentence(parts), meta, (*lasting, *more), tuple(parts), tuple(about))
