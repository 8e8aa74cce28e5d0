"""The seats of one order or subscription laid out for a person, and what a person decided about them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from bridge.domain.notes import stands
from bridge.errors import NotFound, Refused
from bridge.kinds import LEARNER
from bridge.store import audit, learning, ledger, placing
from bridge.store.ledger import Source
from bridge.store.work import Work

#: The reason of the end, as the order's note tells it.
DECIDED = "as an operator decided"


@dataclass(frozen=True, slots=True)
class SeatLaidOut:
    """A seat as an operator sees it: ids only. ``state`` is open, waiting, ready, held or ended."""

    id: int
    unit: int
    person: int | None
    user: int | None
    since: datetime
    live: bool
    state: str
    said: str


@dataclass(frozen=True, slots=True)
class LaidOut:
    """One purchase: what it gives, how many seats it pays for, and its seats. ``to_go``: so many live too many.
    ``team`` and ``pool`` are of the team that gives them to its people.
    """

    purchase: int
    name: str
    gives: tuple[str, ...]
    pays_for: int
    to_go: int
    team: int | None
    pool: str | None
    seats: tuple[SeatLaidOut, ...]

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def lay_out(connection: Connection, source: Source, now: datetime) -> list[LaidOut]:
    """Every purchase of an order or a subscription that has seats. Raises NotFound for one that is not known.

    How many seats are paid for is what the last look at it found.
    """
    find = ledger.find_order if source.kind == "order" else ledger.find_subscription
    if find(connection, source.id) is None:
        raise NotFound(f"{source} is not known: if the shop has it, `bridge resync` has it looked at")
    if source.kind == "order":
        rows = [row for row in learning.report(connection, source.id) if row.subscription_id is None]
    else:
        rows = learning.report_of_subscription(connection, source.id)
    paid = {one.id: one.seats_paid for one in ledger.purchases_of(connection, source)}
    pools = placing.pools_of_source(connection, source)
    return [
        _purchase(paid[number], pools.get(number), list(group), now)
        for number, group in groupby(sorted(rows, key=lambda row: row.purchase_id), key=lambda row: row.purchase_id)
    ]


_WORST = ("kept", "waiting", "held", "open", "ready", "ended")


def _purchase(pays_for: int, pool: tuple[int, str] | None, rows: list[learning.SeatReport], now: datetime) -> LaidOut:
    seats = []
    for _, group in groupby(sorted(rows, key=lambda row: row.unit), key=lambda row: row.seat_id):
        of_seat = list(group)
        first, words = of_seat[0], [stands(row, now) for row in of_seat]
        state = min((word for word, _ in words), key=_WORST.index)
        said = "; ".join(dict.fromkeys(text for _, text in words))
        seats.append(
            SeatLaidOut(
                first.seat_id,
                first.unit,
                first.person_id,
                first.totara_id,
                first.since,
                first.live,
                state,
                said,
            )
        )
    live = sum(seat.live for seat in seats)
    name = f"subscription {rows[0].subscription_id}" if rows[0].subscription_id else f"line {rows[0].line_id}"
    gives = tuple(dict.fromkeys(str(row.item) for row in rows))
    to_go = max(live - pays_for, 0)
    team, of_pool = pool or (None, None)
    return LaidOut(rows[0].purchase_id, name, gives, pays_for, to_go, team, of_pool, tuple(seats))


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a choice of seats: those that end, and those that are paid for and whose access ends all the
    same, since a seat that is paid for would be given back."""

    end: tuple[int, ...]
    cut_short: tuple[int, ...]


def decide(connection: Connection, source: Source, chosen: Collection[int], now: datetime) -> Decision:
    """Sort out the chosen seats. Raises Refused in words for seats that are not the source's, or ended before."""
    laid_out = lay_out(connection, source, now)
    known = {seat.id: seat for purchase in laid_out for seat in purchase.seats}
    strange = sorted(set(chosen) - set(known))
    if strange:
        raise Refused(f"{_seats(strange)} of {source}: `bridge seats list` shows which are")
    ended = sorted(seat for seat in chosen if not known[seat].live)
    if ended:
        raise Refused(f"{', '.join(f'seat {one}' for one in ended)} ended before: nothing was changed")
    end: list[int] = []
    short: list[int] = []
    for purchase in laid_out:
        mine = [one for one in dict.fromkeys(chosen) if one in {seat.id for seat in purchase.seats}]
        end += mine[: purchase.to_go]
        short += mine[purchase.to_go :]
    return Decision(tuple(end), tuple(short))


def _seats(numbers: Collection[int]) -> str:
    words = ", ".join(f"seat {one}" for one in numbers)
    return f"{words} is no seat" if len(numbers) == 1 else f"{words} are no seats"


def carry_out(
    connection: Connection, work: Work, source: Source, decision: Decision, now: datetime, *, by: str, why: str
) -> None:
    """End what was decided, write down who decided, and owe a look at whoever sat there and at the source."""
    for seat in (*decision.end, *decision.cut_short):
        sits = placing.person_of_seat(connection, seat)
        if sits is not None:
            learning.let_go(connection, sits, placing.items_of_seat(connection, seat), now)
    touched = ledger.end_seats(connection, decision.end, DECIDED, now) if decision.end else set()
    touched |= ledger.cut_short(connection, decision.cut_short, now) if decision.cut_short else set()
    facts = {"seats": list(decision.end), "cut_short": list(decision.cut_short), "persons": sorted(touched)}
    told = {name: numbers for name, numbers in facts.items() if numbers}
    order, subscription = (source.id, None) if source.kind == "order" else (None, source.id)
    of: dict[str, Any] = {"order_id": order, "subscription_id": subscription}
    of["team_id"] = placing.team_of_source(connection, source)
    audit.note(connection, "seats decided", why, now, actor=by, facts=told, **of)
    for person in sorted(touched):
        audit.note(connection, "seat taken", why, now, actor=by, person_id=person, facts={"of": str(source)})
    work.mark(connection, LEARNER, sorted(touched))
    work.mark(connection, source.kind, [source.id])
