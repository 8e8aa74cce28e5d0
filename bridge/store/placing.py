"""Seats that change hands: given, taken, given back, one row at a time.

That a seat is given once is the database's affair: a seat is a row, and it is changed only while it is as it was seen.
Functions take the caller's connection, so that what belongs together commits together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    func,
    or_,
    select,
    update,
)

from bridge.domain.offers import Item, Kind, Offer, offer_from_json
from bridge.domain.purchases import Role
from bridge.domain.seats import SeatState, Wait
from bridge.domain.standing_in import Spare
from bridge.store.ledger import Source, given_by_seat
from bridge.store.models import purchase_items, purchases, seats
from bridge.store.pooled import OF_TEAM, state_in_sql
from bridge.store.signon import written_to_often


def team_of_seat(connection: Connection, seat_id: int) -> int | None:
    """Whose a seat is to give away."""
    query = select(purchases.c.team_id).select_from(OF_TEAM).where(seats.c.id == seat_id)
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def pools_of_source(connection: Connection, source: Source) -> dict[int, tuple[int, str]]:
    """The team and the pool of each purchase of an order or a subscription that is part of one."""
    p = purchases.c
    mine = p.order_id == source.id if source.kind == "order" else p.subscription_id == source.id
    rows = connection.execute(select(p.id, p.team_id, p.pool).where(mine, p.team_id.is_not(None)))
    return {int(purchase): (int(team), str(pool)) for purchase, team, pool in rows}


def team_of_source(connection: Connection, source: Source) -> int | None:
    """The team that has what was bought by an order or a subscription; None if it is none's."""
    return next((team for team, _ in pools_of_source(connection, source).values()), None)


def spare_seats(
    connection: Connection, team_id: int, pool: str, now: datetime, *, but: Collection[int], idle: Collection[int] = ()
) -> list[Spare]:
    """The seats of a pool that nobody uses, of other purchases than these: also those that were taken of which it is
    known (``idle``, by their ids) that whoever has them never began.
    """
    state, p = state_in_sql(now), purchases.c
    nobodys = (SeatState.OPEN, SeatState.CLOSED, SeatState.INVITED, SeatState.LAPSED, SeatState.APPROVAL)
    unused = or_(state.in_([one.value for one in nobodys]), and_(_assigned(now), seats.c.id.in_(sorted(idle))))
    where = (p.team_id == team_id, p.pool == pool, p.id.not_in(sorted(but)), unused)
    query = select(seats.c.id, p.id, seats.c.unit, seats.c.person_id.is_not(None), _assigned(now))
    rows = connection.execute(query.select_from(OF_TEAM).where(*where).order_by(p.id, seats.c.unit))
    return [Spare(seat, purchase, unit, asked, bool(taken)) for seat, purchase, unit, asked, taken in rows]


def _assigned(now: datetime) -> ColumnElement[bool]:
    """Whether a seat is taken, by somebody to whom the team gave it."""
    return and_(state_in_sql(now) == SeatState.TAKEN.value, seats.c.role == Role.ASSIGNED)


def taken_elsewhere(
    connection: Connection, team_id: int, pool: str, now: datetime, *, but: Collection[int]
) -> list[tuple[int, int]]:
    """The seats of a pool that somebody has taken, of other purchases than these, and whose they are: the last to be
    taken first.
    """
    p = purchases.c
    where = (p.team_id == team_id, p.pool == pool, p.id.not_in(sorted(but)), _assigned(now))
    query = select(seats.c.id, seats.c.person_id).select_from(OF_TEAM).where(*where)
    rows = connection.execute(query.order_by(seats.c.taken_at.desc(), seats.c.id.desc()))
    return [(int(seat), int(person)) for seat, person in rows]


def change_places(connection: Connection, seat: tuple[int, int, int], spare: Spare) -> None:
    """Let what pays for a spare seat pay for this one, and the reverse. ``seat`` is its id, purchase and unit.

    Whoever has it keeps it, and all that was written of it.
    """
    number, purchase, unit = seat
    highest = select(func.max(seats.c.unit) + 1).where(seats.c.purchase_id == spare.purchase).scalar_subquery()
    there = update(seats).where(seats.c.id == number)
    connection.execute(there.values(purchase_id=spare.purchase, unit=highest))
    connection.execute(update(seats).where(seats.c.id == spare.id).values(purchase_id=purchase, unit=unit))
    connection.execute(there.values(unit=spare.unit))


def orders_paying_for(connection: Connection, seat_ids: Collection[int]) -> list[int]:
    """The orders that pay for these seats."""
    mine = (seats.c.id.in_(sorted(seat_ids)), purchases.c.order_id.is_not(None))
    query = select(purchases.c.order_id).select_from(OF_TEAM).where(*mine).distinct()
    return sorted(int(order) for (order,) in connection.execute(query))


def pool_of_seat(connection: Connection, seat_id: int) -> str:
    """The pool that a seat is of."""
    return str(connection.execute(select(purchases.c.pool).select_from(OF_TEAM).where(seats.c.id == seat_id)).scalar())


def offer_of_seat(connection: Connection, seat_id: int) -> Offer:
    """What a seat was sold with."""
    return offer_from_json(
        connection.execute(select(purchases.c.offer).select_from(OF_TEAM).where(seats.c.id == seat_id)).scalar_one()
    )


def waiting_for_yes(connection: Connection, team_id: int) -> list[tuple[int, int]]:
    """Seats that were accepted and wait for a yes, and whose they are."""
    query = select(seats.c.id, seats.c.person_id).select_from(OF_TEAM)
    mine = (purchases.c.team_id == team_id, seats.c.waits == Wait.APPROVAL, seats.c.ended_at.is_(None))
    return [(int(seat), int(person)) for seat, person in connection.execute(query.where(*mine))]


def yes_awaited_since(connection: Connection, team_id: int) -> datetime | None:
    """When the last of those accepted who wait for a team's yes; None if nobody does."""
    mine = (purchases.c.team_id == team_id, seats.c.waits == Wait.APPROVAL, seats.c.ended_at.is_(None))
    pays = purchases.c.held.is_(None)
    query = select(func.max(seats.c.taken_at, type_=seats.c.taken_at.type)).select_from(OF_TEAM).where(*mine, pays)
    found: datetime | None = connection.execute(query).scalar()
    return found


def waits_for_yes(connection: Connection, person_id: int) -> bool:
    """Whether somebody accepted a seat that waits for a yes."""
    mine = (seats.c.person_id == person_id, seats.c.waits == Wait.APPROVAL, seats.c.ended_at.is_(None))
    return connection.execute(select(seats.c.id).where(*mine).limit(1)).first() is not None


def hold_pool(connection: Connection, team_id: int, pool: str) -> None:
    """Let nobody else give, take back or end seats of a pool before the transaction has ended.

    On PostgreSQL by the rows of its purchases, which whoever looks at their orders holds too; SQLite's writers take
    turns anyway.
    """
    mine = (purchases.c.team_id == team_id, purchases.c.pool == pool)
    query = select(purchases.c.id).where(*mine).order_by(purchases.c.id)
    connection.execute(query.with_for_update()).all()


def hold_seat(connection: Connection, seat_id: int) -> None:
    """The same for one seat's purchase."""
    of = select(seats.c.purchase_id).where(seats.c.id == seat_id).scalar_subquery()
    connection.execute(select(purchases.c.id).where(purchases.c.id == of).with_for_update()).all()


def open_seats(connection: Connection, team_id: int, pool: str, now: datetime, *, most: int, times: int) -> list[int]:
    """Seats of a pool that may be given now, those whose last day is nearest first, then the oldest.

    ``times``: none that was given so often already; 0 for no limit.
    """
    where: list[ColumnElement[bool]] = [purchases.c.team_id == team_id, purchases.c.pool == pool]
    where.append(state_in_sql(now) == SeatState.OPEN.value)
    if times:
        where.append(seats.c.times < times)
    order = (purchases.c.assign_until.asc().nulls_last(), purchases.c.id, seats.c.unit)
    query = select(seats.c.id).select_from(OF_TEAM).where(*where).order_by(*order).limit(most)
    return [int(one) for (one,) in connection.execute(query)]


def lapsed_seats(
    connection: Connection, team_id: int, pool: str, now: datetime, *, most: int, times: int, but_of: Collection[int]
) -> list[int]:
    """Seats of a pool that wait for somebody who did not answer in time, and may be given to others now; those that
    wait for long come first. ``times`` as for :func:`open_seats`; none that waits for one of ``but_of``.
    """
    where: list[ColumnElement[bool]] = [purchases.c.team_id == team_id, purchases.c.pool == pool]
    where.append(state_in_sql(now) == SeatState.LAPSED.value)
    where.append(or_(purchases.c.assign_until.is_(None), purchases.c.assign_until > now))
    where.append(seats.c.person_id.not_in(sorted(but_of)))
    if times:
        where.append(seats.c.times < times)
    query = select(seats.c.id).select_from(OF_TEAM).where(*where).order_by(seats.c.answer_until, seats.c.id)
    return [int(one) for (one,) in connection.execute(query.limit(most))]


def who_has(
    connection: Connection, team_id: int, pool: str, person_ids: Collection[int], picked: Item | None, now: datetime
) -> dict[int, int | None]:
    """Those of these persons who have a seat of the pool, or were asked to take one; where each seat gives what was
    picked for it, one that gives this. With the seat of whoever only let the time to answer pass.
    """
    mine: list[ColumnElement[bool]] = [purchases.c.team_id == team_id, purchases.c.pool == pool]
    mine.append(seats.c.ended_at.is_(None))
    if picked is not None:
        mine += [seats.c.item_kind == picked.kind, seats.c.item_id == picked.id]
    lapsed = case((state_in_sql(now) == SeatState.LAPSED.value, seats.c.id), else_=None)
    query = select(seats.c.person_id, lapsed).select_from(OF_TEAM).where(*mine)
    found: dict[int, int | None] = {}
    for person, seat in connection.execute(query.where(seats.c.person_id.in_(sorted(person_ids)))):
        found[int(person)] = seat if person not in found else None
    return found


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A seat that somebody was asked to take who has not answered, and the order that paid for it."""

    seat: int
    person: int
    order: int | None


def unanswered(
    connection: Connection, team_id: int, pool: str, now: datetime, *, until: datetime, most: int, letters: int = 0
) -> list[Unanswered]:
    """Seats of a pool that wait for an answer, or have in vain, so many, those that wait for long first; only where the
    time to answer ends by ``until``. ``letters``: none about which so many letters of now went out; 0 for all.
    """
    waits = state_in_sql(now).in_([SeatState.INVITED.value, SeatState.LAPSED.value])
    where = [purchases.c.team_id == team_id, purchases.c.pool == pool, waits, seats.c.answer_until <= until]
    if letters:
        where.append(seats.c.id.not_in(written_to_often(now, letters)))
    query = select(seats.c.id, seats.c.person_id, purchases.c.order_id).select_from(OF_TEAM).where(*where)
    rows = connection.execute(query.order_by(seats.c.answer_until, seats.c.id).limit(most))
    return [Unanswered(int(seat), int(person), order) for seat, person, order in rows]


def ask_seat(connection: Connection, seat_id: int, person_id: int, until: datetime, picked: Item | None) -> bool:
    """Ask somebody to take an open seat; False if it is not open any more."""
    still = (seats.c.id == seat_id, seats.c.person_id.is_(None), seats.c.ended_at.is_(None))
    chosen = {"item_kind": picked.kind, "item_id": picked.id} if picked else {}
    values = {"person_id": person_id, "role": Role.ASSIGNED, "waits": Wait.ANSWER, "answer_until": until, **chosen}
    asked = update(seats).where(*still).values(taken_at=None, **values)
    return connection.execute(asked).rowcount == 1


def ask_again(connection: Connection, seat_ids: Collection[int], until: datetime) -> int:
    """Prolong invitations; how many there were, since a seat may wait for no answer any more."""
    still = (seats.c.id.in_(sorted(seat_ids)), seats.c.waits == Wait.ANSWER, seats.c.ended_at.is_(None))
    return connection.execute(update(seats).where(*still).values(answer_until=until)).rowcount


def take_seat(connection: Connection, seat_id: int, person_id: int, waits: Wait | None, now: datetime) -> bool:
    """Whoever was asked takes the seat; with ``waits`` it then waits for a yes. False if they may not any more."""
    still = (
        seats.c.id == seat_id,
        seats.c.person_id == person_id,
        seats.c.waits == Wait.ANSWER,
        seats.c.answer_until > now,
        seats.c.ended_at.is_(None),
    )
    moment = now.replace(microsecond=0)
    values = {"waits": waits, "taken_at": moment, "answer_until": None, "times": seats.c.times + 1}
    return connection.execute(update(seats).where(*still).values(values)).rowcount == 1


def approve_seat(connection: Connection, seat_id: int) -> int | None:
    """Say yes to an acceptance; whose it is, None if none waits for it."""
    still = (seats.c.id == seat_id, seats.c.waits == Wait.APPROVAL, seats.c.ended_at.is_(None))
    done = update(seats).where(*still).values(waits=None).returning(seats.c.person_id)
    found = connection.execute(done).scalar()
    return None if found is None else int(found)


def free_seat(connection: Connection, seat_id: int, person_id: int) -> bool:
    """Make a seat open again; False if somebody else has it by now, or nobody."""
    return _freed(connection, seats.c.id == seat_id, seats.c.person_id == person_id) == 1


def free_unanswered(connection: Connection, seat_ids: Collection[int], now: datetime) -> int:
    """Make seats open again whose time to answer has passed; how many there were."""
    lapsed = (seats.c.waits == Wait.ANSWER, seats.c.answer_until <= now)
    return _freed(connection, seats.c.id.in_(sorted(seat_ids)), *lapsed)


def _freed(connection: Connection, *still: ColumnElement[bool]) -> int:
    nobody = {"person_id": None, "role": None, "waits": None, "answer_until": None, "taken_at": None}
    # An end that an operator set (without days having begun) stays; days that ran are for the next one to begin anew.
    until = case((seats.c.begun_at.is_(None), seats.c.until), else_=None)
    clean = {"item_kind": None, "item_id": None, "begun_at": None, "until": until}
    free = update(seats).where(*still, seats.c.ended_at.is_(None)).values({**nobody, **clean})
    return connection.execute(free).rowcount


def items_of_seat(connection: Connection, seat_id: int) -> list[Item]:
    """What a seat gives."""
    query = select(purchase_items.c.kind, purchase_items.c.item_id).select_from(
        OF_TEAM.join(purchase_items, given_by_seat())
    )
    rows = connection.execute(
        query.where(seats.c.id == seat_id).order_by(purchase_items.c.kind, purchase_items.c.item_id)
    )
    return [Item(Kind(kind), number) for kind, number in rows]


def person_of_seat(connection: Connection, seat_id: int) -> int | None:
    """Who has a seat."""
    found = connection.execute(select(seats.c.person_id).where(seats.c.id == seat_id)).scalar()
    return None if found is None else int(found)


def taken_since(connection: Connection, seat_id: int) -> datetime:
    """Since when whoever has a seat has it, to the second."""
    since: datetime = connection.execute(
        select(func.coalesce(seats.c.taken_at, seats.c.since, type_=seats.c.since.type)).where(seats.c.id == seat_id)
    ).scalar_one()
    return since.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Bought:
    """What a team's pools were bought by: of an order or a subscription what it was called, and its units paid for."""

    id: int
    order: int | None
    subscription: int | None
    name: str
    units: int


def orders_of_team(
    connection: Connection, team_id: int, *, most: int | None = None, before: int | None = None
) -> list[Bought]:
    """A team's purchases, so many, the newest first; ``before`` the one with this id."""
    p = purchases.c
    query = select(p.id, p.order_id, p.subscription_id, p.name, p.paid).where(p.team_id == team_id)
    if before is not None:
        query = query.where(p.id < before)
    return [Bought(*row) for row in connection.execute(query.order_by(p.id.desc()).limit(most))]
