"""Pools of seats as their team sees them: how many stand how, and page by page who has them. Only read here.

Functions take the caller's connection.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    not_,
    or_,
    select,
)

from bridge.domain.enrolments import lasting
from bridge.domain.offers import Item, Kind, Offer, offer_from_json, read_item
from bridge.domain.purchases import Role
from bridge.domain.seats import SeatState, TeamSeat, Wait
from bridge.store.folding import folded
from bridge.store.ledger import given_by_seat
from bridge.store.models import access, consents, persons, purchase_items, purchases, seats, work
from bridge.store.people import WHOLE_NAME

# --- pools -----------------------------------------------------------------------------------------------------------

#: Somebody's name and language for a team's eyes: not before they have answered, since whoever types an address would
#: learn from them who is behind it.
_UNANSWERED = and_(seats.c.waits.is_not(None), seats.c.waits == Wait.ANSWER)
_SHOWN_NAME = case((_UNANSWERED, ""), else_=WHOLE_NAME)
_SHOWN_LANGUAGE = case((_UNANSWERED, ""), else_=persons.c.language)
OF_TEAM = seats.join(purchases, purchases.c.id == seats.c.purchase_id)


@dataclass(frozen=True, slots=True)
class Pool:
    """Alike seats of a team. ``counts`` has how many of them stand how; ended ones are not among them.

    ``give_by`` is when the first of the open ones can't be given any more, None if all can for ever.
    """

    key: str
    name: str
    offer: Offer
    counts: Mapping[SeatState, int]
    give_by: datetime | None = None

    @property
    def total(self) -> int:
        """The seats that are paid for."""
        return sum(self.counts.values())

    @property
    def open(self) -> int:
        """The seats that may be given now."""
        return self.counts.get(SeatState.OPEN, 0)

    @property
    def lapsed(self) -> int:
        """The seats that wait for somebody who did not answer in time."""
        return self.counts.get(SeatState.LAPSED, 0)

    @property
    def to_give(self) -> int:
        """The seats that people can be given: open ones, then those that wait in vain."""
        return self.open + self.lapsed

    def may_give(self, picked: Item | None) -> bool:
        """Whether a seat can give this: something of the pool where it is picked, and nothing else where it is not."""
        return picked in self.offer.items if self.offer.pick else picked is None


def state_in_sql(now: datetime) -> ColumnElement[str]:
    """How a seat stands, as :func:`bridge.domain.seats.state_of` has it; what is started or completed is taken."""
    over = or_(purchases.c.until <= now, purchases.c.grace_until <= now, seats.c.until <= now)
    return case(
        (seats.c.ended_at.is_not(None), SeatState.ENDED.value),
        (or_(purchases.c.held.is_not(None), over), SeatState.HELD.value),
        (and_(seats.c.person_id.is_(None), purchases.c.assign_until <= now), SeatState.CLOSED.value),
        (seats.c.person_id.is_(None), SeatState.OPEN.value),
        (seats.c.waits == Wait.APPROVAL, SeatState.APPROVAL.value),
        (and_(seats.c.waits == Wait.ANSWER, seats.c.answer_until <= now), SeatState.LAPSED.value),
        (seats.c.waits == Wait.ANSWER, SeatState.INVITED.value),
        else_=SeatState.TAKEN.value,
    )


def pools_of(connection: Connection, team_id: int, now: datetime, *, key: str = "") -> list[Pool]:
    """All pools of a team, by the names under which they were sold; with ``key`` that one alone."""
    state = state_in_sql(now).label("state")
    query = (
        select(purchases.c.pool, state, func.count(), func.max(purchases.c.id), func.min(purchases.c.assign_until))
        .select_from(OF_TEAM)
        .where(purchases.c.team_id == team_id, *([purchases.c.pool == key] if key else []))
        .group_by(purchases.c.pool, state)
    )
    counts: dict[str, dict[SeatState, int]] = {}
    newest: dict[str, int] = {}
    give_by: dict[str, datetime | None] = {}
    for pool, word, number, purchase, until in connection.execute(query):
        newest[pool] = max(purchase, newest.get(pool, 0))
        if word != SeatState.ENDED:
            counts.setdefault(pool, {})[SeatState(word)] = number
        if word == SeatState.OPEN:
            give_by[pool] = until
    sold = select(purchases.c.pool, purchases.c.name, purchases.c.offer).where(purchases.c.id.in_(newest.values()))
    found = [
        Pool(pool, name, offer_from_json(offer), counts.get(pool, {}), give_by.get(pool))
        for pool, name, offer in connection.execute(sold)
    ]
    return sorted(found, key=lambda pool: (pool.name.casefold(), pool.key))


def with_learning(connection: Connection, team_id: int, pools: Sequence[Pool], now: datetime) -> list[Pool]:
    """The pools with those who have started, and who have completed, counted apart, as far as the team may see it."""
    completed = _completed().label("completed")
    query = (
        select(purchases.c.pool, completed, func.count())
        .select_from(OF_TEAM)
        .where(purchases.c.team_id == team_id, state_in_sql(now) == SeatState.TAKEN.value, _SHOWS, _begun())
        .group_by(purchases.c.pool, completed)
    )
    seen: dict[str, dict[SeatState, int]] = {}
    for pool, done, number in connection.execute(query):
        seen.setdefault(pool, {})[SeatState.COMPLETED if done else SeatState.STARTED] = number
    return [_apart(pool, seen.get(pool.key, {})) for pool in pools]


def _apart(pool: Pool, seen: Mapping[SeatState, int]) -> Pool:
    taken = pool.counts.get(SeatState.TAKEN, 0) - sum(seen.values())
    return replace(pool, counts={**pool.counts, SeatState.TAKEN: taken, **seen}) if seen else pool


def find_pool(connection: Connection, team_id: int, key: str, now: datetime) -> Pool | None:
    """One pool of a team."""
    if not key.isalnum():  # PostgreSQL refuses some of what may stand in an address
        return None
    return next(iter(pools_of(connection, team_id, now, key=key)), None)


# --- seats -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SeatRow:
    """A seat and whoever has it, for a team's eyes. ``shows`` tells that the team may see how they get on. ``gives`` is
    what was picked for it, or all that each seat of its pool gives; nothing where that is still to be picked;
    ``undelivered`` tells that the invitation could not be delivered.
    """

    seat: TeamSeat
    state: SeatState
    email: str
    name: str
    language: str
    order: int | None
    subscription: int | None
    shows: bool
    pool: str
    sold_as: str = ""
    gives: tuple[Item, ...] = ()
    undelivered: bool = False

    @property
    def told_apart(self) -> tuple[Item, ...]:
        """What it gives, where the name under which it was sold does not say so."""
        return self.gives if self.seat.picked or len(self.gives) > 1 else ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which seats of a team, and in which order: ``sort`` is seat, name, email, state or since, "-" before it turns it.

    ``search`` is part of a name or an address, in any case.
    """

    pool: str = ""
    states: frozenset[SeatState] = frozenset()
    search: str = ""
    sort: str = "seat"
    person: int | None = None


_CONSENT = exists().where(
    consents.c.team_id == purchases.c.team_id,
    consents.c.person_id == seats.c.person_id,
    consents.c.withdrawn_at.is_(None),
)
#: Whether the team may see how whoever has the seat gets on.
_SHOWS = or_(_CONSENT, func.coalesce(purchases.c.offer["report"].as_boolean(), false()))
#: How the letters that invite are called among what is owed.
_LETTER = "invitation"


def undelivered(key: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the letter of an invitation, by the key of the work of sending it, waits for a person: nobody takes it.
    One that is about to be sent once more is none of these.
    """
    mine = (work.c.kind == _LETTER, work.c.key == key, work.c.parked_at.is_not(None), work.c.due_at.is_(None))
    return exists().where(*mine).correlate_except(work)


_LETTER_PARKED = undelivered(cast(seats.c.id, String))
#: Joins what a seat gives to what is known of whoever has the seat.
_LEARNT = and_(
    access.c.person_id == seats.c.person_id,
    access.c.kind == purchase_items.c.kind,
    access.c.item_id == purchase_items.c.item_id,
)
_SORTS: Mapping[str, ColumnElement[Any]] = {
    "seat": seats.c.id,
    "name": folded(func.coalesce(func.nullif(_SHOWN_NAME, ""), persons.c.email)),
    "email": persons.c.email,
    "since": seats.c.taken_at,
}


# In the three, without `correlate` the inner query would have seats of its own: everybody's.


def _begun() -> ColumnElement[bool]:
    """Whether whoever has the seat is known to have begun with some of what it gives."""
    known = or_(access.c.opened.is_(True), access.c.progress > 0, access.c.completed.is_(True))
    some = select(access.c.item_id).where(given_by_seat(), _LEARNT, known)
    return some.correlate(seats, purchases).exists()


def _completed() -> ColumnElement[bool]:
    """Whether whoever has the seat has completed all that it gives."""
    has = exists().where(_LEARNT, access.c.completed.is_(True)).correlate(seats, purchase_items)
    lacking = select(purchase_items.c.item_id).where(given_by_seat(), not_(has))
    return and_(seats.c.person_id.is_not(None), not_(lacking.correlate(seats, purchases).exists()))


def _progress() -> ColumnElement[float | None]:
    """How far whoever has the seat is with all that it gives, in per cent; NULL if of some of it that is not known."""
    known = case((access.c.completed.is_(True), 100), else_=access.c.progress)
    whole = case((func.count(known) == func.count(), func.avg(known)))
    given = select(whole).select_from(purchase_items.outerjoin(access, _LEARNT)).where(given_by_seat())
    return given.correlate(seats, purchases).scalar_subquery()


def _seats(now: datetime) -> Select[Any]:
    s, p = seats.c, purchases.c
    return (
        select(
            s.id, s.purchase_id, s.unit, s.person_id, s.ended_at, s.waits, s.answer_until, s.times, s.taken_at, s.role,
            p.assign_until, s.until, p.until.label("paid_until"), p.grace_until, p.held, s.item_kind, s.item_id,
            state_in_sql(now).label("state"), p.order_id, p.subscription_id, p.offer, p.pool,
            p.name.label("sold_as"),
            persons.c.email, _SHOWN_NAME.label("name"), _SHOWN_LANGUAGE.label("language"),
            _SHOWS.label("shows"), _begun().label("begun"), _completed().label("completed"),
            _progress().label("progress"), and_(_UNANSWERED, _LETTER_PARKED).label("undelivered"),
        )
        .select_from(OF_TEAM.outerjoin(persons, persons.c.id == seats.c.person_id))
    )  # fmt: skip


def _row(row: Any) -> SeatRow:
    shows = bool(row.shows)
    learning = shows and row.waits is None and row.person_id is not None
    begun, completed = (bool(row.begun), bool(row.completed)) if learning else (None, None)
    progress = int(row.progress) if learning and row.progress is not None else None
    seat = TeamSeat(
        row.id,
        row.purchase_id,
        row.unit,
        row.person_id,
        row.ended_at is None,
        Wait(row.waits) if row.waits else None,
        row.answer_until,
        row.times,
        row.taken_at,
        row.assign_until,
        lasting((row.until, row.paid_until, row.grace_until)),
        row.held is not None,
        begun,
        progress,
        completed,
        Item(Kind(row.item_kind), row.item_id) if row.item_kind else None,
        row.role in (None, Role.ASSIGNED),
    )
    state = SeatState(row.state)
    if state is SeatState.TAKEN and begun:
        state = SeatState.COMPLETED if completed else SeatState.STARTED
    told = (row.email or "", row.name or "", row.language or "")
    gives = _gives(seat.picked, row.offer)
    seen = SeatRow(seat, state, *told, row.order_id, row.subscription_id, shows, row.pool, row.sold_as, gives)
    return replace(seen, undelivered=True) if row.undelivered else seen


def _gives(picked: Item | None, offer: Mapping[str, Any]) -> tuple[Item, ...]:
    if picked is not None:
        return (picked,)
    return () if offer.get("pick") else tuple(read_item(word) for word in offer.get("gives", ()))


def _matching(team_id: int, wanted: Wanted, now: datetime) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [purchases.c.team_id == team_id]
    if wanted.pool:
        where.append(purchases.c.pool == wanted.pool)
    if wanted.person is not None:
        where.append(seats.c.person_id == wanted.person)
    if wanted.states:
        where.append(_stands(wanted.states, now))
    else:
        where.append(seats.c.ended_at.is_(None))
    if wanted.search:
        part = f"%{as_part(wanted.search.lower())}%"
        where.append(
            or_(persons.c.email.like(part, escape="\\"), folded(_SHOWN_NAME).like(part, escape="\\")),
        )
    return where


def _stands(states: Collection[SeatState], now: datetime) -> ColumnElement[bool]:
    """Whether a seat stands in one of these ways, as the team is shown it."""
    state, begun = state_in_sql(now), and_(_SHOWS, _begun())
    taken = state == SeatState.TAKEN.value
    found: list[ColumnElement[bool]] = [state.in_([one.value for one in states if one is not SeatState.TAKEN])]
    if SeatState.TAKEN in states:
        found.append(and_(taken, not_(begun)))
    if SeatState.STARTED in states:
        found.append(and_(taken, begun, not_(_completed())))
    if SeatState.COMPLETED in states:
        found.append(and_(taken, begun, _completed()))
    return or_(*found)


def as_part(text: str) -> str:
    """A text as a part of a pattern of LIKE, none of its signs meaning more than itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def count_live(connection: Connection, team_id: int) -> int:
    """How many seats of a team are paid for."""
    query = select(func.count()).select_from(OF_TEAM).where(purchases.c.team_id == team_id, seats.c.ended_at.is_(None))
    return int(connection.execute(query).scalar_one())


def count_seats(connection: Connection, team_id: int, wanted: Wanted, now: datetime) -> int:
    """How many seats match."""
    query = select(func.count()).select_from(OF_TEAM.outerjoin(persons, persons.c.id == seats.c.person_id))
    return int(connection.execute(query.where(*_matching(team_id, wanted, now))).scalar_one())


def seats_page(
    connection: Connection, team_id: int, wanted: Wanted, now: datetime, *, most: int, after: int = 0
) -> list[SeatRow]:
    """Seats that match, so many, leaving out the first ``after``."""
    found = _found(team_id, wanted, now).limit(most).offset(after)
    return [_row(row) for row in connection.execute(_sorted(_seats(now).where(seats.c.id.in_(found)), wanted, now))]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an order a seat stands: by what it is sorted, and its id."""

    value: Any
    seat: int


def seats_behind(
    connection: Connection, team_id: int, wanted: Wanted, now: datetime, *, most: int, place: Place | None = None
) -> list[tuple[SeatRow, Place]]:
    """Seats that match, so many, that come behind a place. Whatever is given or bought between two pages, no seat that
    stays where it is comes twice or is left out.
    """
    column = _sorted_by(wanted, now)
    found = _found(team_id, wanted, now)
    if place is not None:
        found = found.where(_behind(column, place, turned=wanted.sort.startswith("-")))
    query = _seats(now).add_columns(column.label("place")).where(seats.c.id.in_(found.limit(most)))
    return [(_row(row), Place(row.place, row.id)) for row in connection.execute(_sorted(query, wanted, now))]


def _behind(column: ColumnElement[Any], place: Place, *, turned: bool) -> ColumnElement[bool]:
    """Nulls come last, whichever way it is sorted; among equals the id decides."""
    if place.value is None:
        return and_(column.is_(None), seats.c.id > place.seat)
    further = column < place.value if turned else column > place.value
    return or_(further, and_(column == place.value, seats.c.id > place.seat), column.is_(None))


def _sorted_by(wanted: Wanted, now: datetime) -> ColumnElement[Any]:
    word = wanted.sort.removeprefix("-")
    return state_in_sql(now) if word == "state" else _SORTS.get(word, seats.c.id)


def _found(team_id: int, wanted: Wanted, now: datetime) -> Select[Any]:
    """The seats that match, in order, by their ids: what else is shown of them is looked up for those of one page."""
    of_whom = OF_TEAM.outerjoin(persons, persons.c.id == seats.c.person_id)
    return _sorted(select(seats.c.id).select_from(of_whom).where(*_matching(team_id, wanted, now)), wanted, now)


def _sorted(query: Select[Any], wanted: Wanted, now: datetime) -> Select[Any]:
    column = _sorted_by(wanted, now)
    order = column.desc() if wanted.sort.startswith("-") else column.asc()
    return query.order_by(order.nulls_last(), seats.c.id)


def find_seat(connection: Connection, team_id: int, seat_id: int, now: datetime) -> SeatRow | None:
    """One seat of a team."""
    row = connection.execute(_seats(now).where(purchases.c.team_id == team_id, seats.c.id == seat_id)).first()
    return _row(row) if row else None
