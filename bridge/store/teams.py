"""Teams in the database: pools of seats, who may give them away, and to whom they were given.

Functions take the caller's connection, so that what belongs together commits together. That a seat is given once is
the database's affair: a seat is a row, and it is changed only while it is as it was seen.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    update,
)

from bridge.domain.offers import Item, Kind, Offer, offer_from_json
from bridge.domain.purchases import Role
from bridge.domain.seats import SeatState, TeamSeat, Wait
from bridge.domain.teams import TeamRole, team_name
from bridge.store.db import Store
from bridge.store.ledger import Source, given_by_seat
from bridge.store.models import access, consents, persons, purchase_items, purchases, seats, team_members, teams

# --- teams and their members -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Team:
    """A team. ``key`` is what stands in addresses; ``name`` is "" where the buyer told none."""

    id: int
    key: str
    buyer: int
    name: str
    approval: bool
    made_at: datetime


_TEAM = select(teams.c.id, teams.c.key, teams.c.buyer_id, teams.c.name, teams.c.approval, teams.c.made_at)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who may manage a team, or was asked to."""

    person: int
    role: TeamRole
    asked_at: datetime
    accepted_at: datetime | None
    email: str
    name: str


def ensure_team(store: Store, connection: Connection, buyer: int, company: str, now: datetime) -> int:
    """The buyer's team; a new one is theirs, and called as their company. Teams are never joined by name."""
    known = connection.execute(select(teams.c.id).where(teams.c.buyer_id == buyer)).scalar()
    if known is not None:
        return int(known)
    row = {"key": secrets.token_hex(12), "buyer_id": buyer, "name": team_name(company), "made_at": now}
    made = connection.execute(store.insert(teams).values(row).on_conflict_do_nothing().returning(teams.c.id)).scalar()
    if made is None:
        return ensure_team(store, connection, buyer, company, now)
    owner = {"team_id": made, "person_id": buyer, "role": TeamRole.OWNER, "asked_at": now, "accepted_at": now}
    connection.execute(insert(team_members).values(owner))
    return int(made)


def add_to_pool(
    store: Store, connection: Connection, purchase_id: int, offer: Offer, buyer: int, company: str, now: datetime
) -> None:
    """Make a purchase part of the pools of its buyer's team, once: whatever is delivered again adds nothing."""
    team = ensure_team(store, connection, buyer, company, now)
    mine = (purchases.c.id == purchase_id, purchases.c.team_id.is_(None))
    values = {"team_id": team, "pool": offer.pool, "assign_until": offer.last_day_from(now)}
    connection.execute(update(purchases).where(*mine).values(values))


def find_team(connection: Connection, key: str) -> Team | None:
    """The team of this key."""
    row = connection.execute(_TEAM.where(teams.c.key == key)).first()
    return Team(*row) if row else None


def get_team(connection: Connection, team_id: int) -> Team:
    """The team with this id. Raises LookupError for one that is not there."""
    row = connection.execute(_TEAM.where(teams.c.id == team_id)).first()
    if row is None:
        raise LookupError(f"there is no team {team_id}")
    return Team(*row)


def hold_team(connection: Connection, team_id: int) -> None:
    """Let whoever else holds the team wait before the transaction has ended."""
    connection.execute(select(teams.c.id).where(teams.c.id == team_id).with_for_update()).all()


def set_team(connection: Connection, team_id: int, **values: Any) -> None:
    """Change a team: its name, whether acceptances wait for a yes."""
    connection.execute(update(teams).where(teams.c.id == team_id).values(**values))


def teams_of(connection: Connection, person_id: int) -> list[tuple[Team, TeamRole]]:
    """The teams that a person may do something with, and as what."""
    query = _TEAM.add_columns(team_members.c.role).join(team_members, team_members.c.team_id == teams.c.id)
    mine = (team_members.c.person_id == person_id, team_members.c.accepted_at.is_not(None))
    rows = connection.execute(query.where(*mine).order_by(teams.c.name, teams.c.id))
    return [(Team(*row[:-1]), TeamRole(row[-1])) for row in rows]


def newest_teams(connection: Connection, search: str, most: int) -> list[Team]:
    """The teams that have this in their names, in any case; the newest first, so many."""
    query = _TEAM.order_by(teams.c.id.desc()).limit(most)
    if search:
        query = query.where(func.lower(teams.c.name).like(f"%{_plain(search.lower())}%", escape="\\"))
    return [Team(*row) for row in connection.execute(query)]


def role_in(connection: Connection, team_id: int, person_id: int) -> TeamRole | None:
    """What a person is in a team; None for whoever is nothing there, or has not accepted."""
    mine = (team_members.c.team_id == team_id, team_members.c.person_id == person_id)
    query = select(team_members.c.role).where(*mine, team_members.c.accepted_at.is_not(None))
    role = connection.execute(query).scalar()
    return TeamRole(role) if role else None


def members(connection: Connection, team_id: int) -> list[Member]:
    """Everybody who manages a team, or was asked to: the owner first. Nobody's name is told before they have accepted,
    since whoever types an address would learn from it who is behind it.
    """
    m = team_members.c
    name = case((m.accepted_at.is_(None), ""), else_=_NAME)
    query = (
        select(m.person_id, m.role, m.asked_at, m.accepted_at, persons.c.email, name)
        .join(persons, persons.c.id == m.person_id)
        .where(m.team_id == team_id)
        .order_by(case((m.role == TeamRole.OWNER, 0), (m.role == TeamRole.MANAGER, 1), else_=2), persons.c.email)
    )
    return [Member(row[0], TeamRole(row[1]), *row[2:]) for row in connection.execute(query)]


def put_member(
    store: Store, connection: Connection, team_id: int, person_id: int, role: TeamRole, now: datetime
) -> bool:
    """Ask somebody to manage a team; False for whoever does, or was asked, already."""
    row = {"team_id": team_id, "person_id": person_id, "role": role, "asked_at": now}
    made = store.insert(team_members).values(row).on_conflict_do_nothing().returning(team_members.c.person_id)
    return connection.execute(made).scalar() is not None


def accept_member(connection: Connection, team_id: int, person_id: int, now: datetime) -> TeamRole | None:
    """Whoever was asked says yes; what they are from now on, None for whoever was not asked (any more)."""
    mine = (team_members.c.team_id == team_id, team_members.c.person_id == person_id)
    connection.execute(update(team_members).where(*mine, team_members.c.accepted_at.is_(None)).values(accepted_at=now))
    return role_in(connection, team_id, person_id)


def set_role(connection: Connection, team_id: int, person_id: int, role: TeamRole) -> bool:
    """What somebody other than the owner is from now on; whether there was somebody."""
    mine = (team_members.c.team_id == team_id, team_members.c.person_id == person_id)
    changed = update(team_members).where(*mine, team_members.c.role != TeamRole.OWNER).values(role=role)
    return connection.execute(changed).rowcount == 1


def drop_member(connection: Connection, team_id: int, person_id: int) -> bool:
    """Take away what somebody other than the owner may do; whether there was somebody."""
    mine = (team_members.c.team_id == team_id, team_members.c.person_id == person_id)
    gone = delete(team_members).where(*mine, team_members.c.role != TeamRole.OWNER)
    return connection.execute(gone).rowcount == 1


def hand_over(connection: Connection, team_id: int, owner: int, heir: int) -> bool:
    """Make a member who has accepted the owner, and the owner a manager; else nothing is changed."""
    if owner == heir or role_in(connection, team_id, heir) is None:
        return False
    mine = (team_members.c.team_id == team_id, team_members.c.person_id == owner)
    down = update(team_members).where(*mine, team_members.c.role == TeamRole.OWNER).values(role=TeamRole.MANAGER)
    if connection.execute(down).rowcount != 1:
        return False
    up = update(team_members).where(team_members.c.team_id == team_id, team_members.c.person_id == heir)
    connection.execute(up.values(role=TeamRole.OWNER))
    return True


# --- pools -----------------------------------------------------------------------------------------------------------

_NAME = func.trim(persons.c.first_name + literal(" ") + persons.c.last_name)
#: Somebody's name and language for a team's eyes: not before they have answered, since whoever types an address would
#: learn from them who is behind it.
_UNANSWERED = and_(seats.c.waits.is_not(None), seats.c.waits == Wait.ANSWER)
_SHOWN_NAME = case((_UNANSWERED, ""), else_=_NAME)
_SHOWN_LANGUAGE = case((_UNANSWERED, ""), else_=persons.c.language)
_OF_TEAM = seats.join(purchases, purchases.c.id == seats.c.purchase_id)


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

    def may_give(self, picked: Item | None) -> bool:
        """Whether a seat can give this: something of the pool where it is picked, and nothing else where it is not."""
        return picked in self.offer.items if self.offer.pick else picked is None


def _state(now: datetime) -> ColumnElement[str]:
    """How a seat stands, as :func:`bridge.domain.seats.state_of` has it; what is completed is taken."""
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


def pools_of(connection: Connection, team_id: int, now: datetime) -> list[Pool]:
    """All pools of a team, by the names under which they were sold."""
    state = _state(now).label("state")
    query = (
        select(purchases.c.pool, state, func.count(), func.max(purchases.c.id), func.min(purchases.c.assign_until))
        .select_from(_OF_TEAM)
        .where(purchases.c.team_id == team_id)
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


def with_completed(connection: Connection, team_id: int, pools: Sequence[Pool], now: datetime) -> list[Pool]:
    """The pools with those who have completed counted apart from those who have not, as far as the team may see it."""
    query = (
        select(purchases.c.pool, func.count())
        .select_from(_OF_TEAM)
        .where(purchases.c.team_id == team_id, _state(now) == SeatState.TAKEN.value, _seen_completed())
    )
    seen = {pool: int(number) for pool, number in connection.execute(query.group_by(purchases.c.pool))}
    return [_apart(pool, seen.get(pool.key, 0)) for pool in pools]


def _apart(pool: Pool, completed: int) -> Pool:
    if not completed:
        return pool
    taken = pool.counts.get(SeatState.TAKEN, 0) - completed
    return replace(pool, counts={**pool.counts, SeatState.TAKEN: taken, SeatState.COMPLETED: completed})


def find_pool(connection: Connection, team_id: int, key: str, now: datetime) -> Pool | None:
    """One pool of a team."""
    return next((pool for pool in pools_of(connection, team_id, now) if pool.key == key), None)


# --- seats -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SeatRow:
    """A seat and whoever has it, for a team's eyes. ``shows`` tells that the team may see how they get on."""

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
_SORTS: Mapping[str, ColumnElement[Any]] = {
    "seat": seats.c.id,
    "name": func.lower(func.coalesce(func.nullif(_SHOWN_NAME, ""), persons.c.email)),
    "email": persons.c.email,
    "since": seats.c.taken_at,
}


def _completed() -> ColumnElement[bool]:
    """Whether whoever has the seat has completed all that it gives."""
    same = and_(
        access.c.person_id == seats.c.person_id,
        access.c.kind == purchase_items.c.kind,
        access.c.item_id == purchase_items.c.item_id,
        access.c.completed.is_(True),
    )
    # Without the word, the inner query would have seats of its own: everybody's.
    has = exists().where(same).correlate(seats, purchase_items)
    lacking = select(purchase_items.c.item_id).where(given_by_seat(), not_(has))
    return and_(seats.c.person_id.is_not(None), not_(lacking.correlate(seats, purchases).exists()))


def _seen_completed() -> ColumnElement[bool]:
    """Whether the team may see of a seat that whoever has it has completed it."""
    return and_(or_(_CONSENT, purchases.c.offer["report"].as_boolean().is_(True)), _completed())


def _seats(now: datetime) -> Select[Any]:
    s, p = seats.c, purchases.c
    return (
        select(
            s.id, s.purchase_id, s.unit, s.person_id, s.ended_at, s.waits, s.answer_until, s.times, s.taken_at,
            p.assign_until, s.until, p.until.label("paid_until"), p.grace_until, p.held, s.item_kind, s.item_id,
            _state(now).label("state"), p.order_id, p.subscription_id, p.offer, p.pool,
            p.name.label("sold_as"),
            persons.c.email, _SHOWN_NAME.label("name"), _SHOWN_LANGUAGE.label("language"),
            _CONSENT.label("consents"), _completed().label("completed"),
        )
        .select_from(_OF_TEAM.outerjoin(persons, persons.c.id == seats.c.person_id))
    )  # fmt: skip


def _row(row: Any) -> SeatRow:
    ends = [moment for moment in (row.until, row.paid_until, row.grace_until) if moment is not None]
    shows = bool(row.consents) or offer_from_json(row.offer).report
    completed = bool(row.completed) if shows and row.waits is None and row.person_id is not None else None
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
        min(ends, default=None),
        row.held is not None,
        completed,
        Item(Kind(row.item_kind), row.item_id) if row.item_kind else None,
    )
    state = SeatState(row.state)
    state = SeatState.COMPLETED if state is SeatState.TAKEN and completed else state
    told = (row.email or "", row.name or "", row.language or "")
    return SeatRow(seat, state, *told, row.order_id, row.subscription_id, shows, row.pool, row.sold_as)


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
        part = f"%{_plain(wanted.search.lower())}%"
        where.append(
            or_(persons.c.email.like(part, escape="\\"), func.lower(_SHOWN_NAME).like(part, escape="\\")),
        )
    return where


def _stands(states: Collection[SeatState], now: datetime) -> ColumnElement[bool]:
    """Whether a seat stands in one of these ways, as the team is shown it."""
    state, done = _state(now), and_(_SHOWS, _completed())
    taken = state == SeatState.TAKEN.value
    found: list[ColumnElement[bool]] = [state.in_([one.value for one in states if one is not SeatState.TAKEN])]
    if SeatState.TAKEN in states:
        found.append(and_(taken, not_(done)))
    if SeatState.COMPLETED in states:
        found.append(and_(taken, done))
    return or_(*found)


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def count_seats(connection: Connection, team_id: int, wanted: Wanted, now: datetime) -> int:
    """How many seats match."""
    query = select(func.count()).select_from(_OF_TEAM.outerjoin(persons, persons.c.id == seats.c.person_id))
    return int(connection.execute(query.where(*_matching(team_id, wanted, now))).scalar_one())


def seats_page(
    connection: Connection, team_id: int, wanted: Wanted, now: datetime, *, most: int, after: int = 0
) -> list[SeatRow]:
    """Seats that match, so many, leaving out the first ``after``."""
    query = _sorted(team_id, wanted, now)
    return [_row(row) for row in connection.execute(query.limit(most).offset(after))]


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
    query = _sorted(team_id, wanted, now).add_columns(column.label("place"))
    if place is not None:
        query = query.where(_behind(column, place, turned=wanted.sort.startswith("-")))
    return [(_row(row), Place(row.place, row.id)) for row in connection.execute(query.limit(most))]


def _behind(column: ColumnElement[Any], place: Place, *, turned: bool) -> ColumnElement[bool]:
    """Nulls come last, whichever way it is sorted; among equals the id decides."""
    if place.value is None:
        return and_(column.is_(None), seats.c.id > place.seat)
    further = column < place.value if turned else column > place.value
    return or_(further, and_(column == place.value, seats.c.id > place.seat), column.is_(None))


def _sorted_by(wanted: Wanted, now: datetime) -> ColumnElement[Any]:
    word = wanted.sort.removeprefix("-")
    return _state(now) if word == "state" else _SORTS.get(word, seats.c.id)


def _sorted(team_id: int, wanted: Wanted, now: datetime) -> Select[Any]:
    column = _sorted_by(wanted, now)
    order = column.desc() if wanted.sort.startswith("-") else column.asc()
    return _seats(now).where(*_matching(team_id, wanted, now)).order_by(order.nulls_last(), seats.c.id)


def find_seat(connection: Connection, team_id: int, seat_id: int, now: datetime) -> SeatRow | None:
    """One seat of a team."""
    row = connection.execute(_seats(now).where(purchases.c.team_id == team_id, seats.c.id == seat_id)).first()
    return _row(row) if row else None


def team_of_seat(connection: Connection, seat_id: int) -> int | None:
    """Whose a seat is to give away."""
    query = select(purchases.c.team_id).select_from(_OF_TEAM).where(seats.c.id == seat_id)
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def pools_of_source(connection: Connection, source: Source) -> dict[int, tuple[int, str]]:
    """The team and the pool of each purchase of an order or a subscription that is part of one."""
    p = purchases.c
    mine = p.order_id == source.id if source.kind == "order" else p.subscription_id == source.id
    rows = connection.execute(select(p.id, p.team_id, p.pool).where(mine, p.team_id.is_not(None)))
    return {int(purchase): (int(team), str(pool)) for purchase, team, pool in rows}


def pool_of_seat(connection: Connection, seat_id: int) -> str:
    """The pool that a seat is of."""
    return str(connection.execute(select(purchases.c.pool).select_from(_OF_TEAM).where(seats.c.id == seat_id)).scalar())


def offer_of_seat(connection: Connection, seat_id: int) -> Offer:
    """What a seat was sold with."""
    return offer_from_json(
        connection.execute(select(purchases.c.offer).select_from(_OF_TEAM).where(seats.c.id == seat_id)).scalar_one()
    )


def sold_as(connection: Connection, seat_id: int) -> str:
    """What the shop called it when it was sold."""
    return str(connection.execute(select(purchases.c.name).select_from(_OF_TEAM).where(seats.c.id == seat_id)).scalar())


def waiting_for_yes(connection: Connection, team_id: int) -> list[tuple[int, int]]:
    """Seats that were accepted and wait for a yes, and whose they are."""
    query = select(seats.c.id, seats.c.person_id).select_from(_OF_TEAM)
    mine = (purchases.c.team_id == team_id, seats.c.waits == Wait.APPROVAL, seats.c.ended_at.is_(None))
    return [(int(seat), int(person)) for seat, person in connection.execute(query.where(*mine))]


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
    where.append(_state(now) == SeatState.OPEN.value)
    if times:
        where.append(seats.c.times < times)
    order = (purchases.c.assign_until.asc().nulls_last(), purchases.c.id, seats.c.unit)
    query = select(seats.c.id).select_from(_OF_TEAM).where(*where).order_by(*order).limit(most)
    return [int(one) for (one,) in connection.execute(query)]


def has_one(
    connection: Connection, team_id: int, pool: str, person_ids: Collection[int], picked: Item | None
) -> set[int]:
    """Those of these persons who have a seat of the pool, or were asked to take one; where each seat gives what was
    picked for it, one that gives this."""
    mine: list[ColumnElement[bool]] = [purchases.c.team_id == team_id, purchases.c.pool == pool]
    mine.append(seats.c.ended_at.is_(None))
    if picked is not None:
        mine += [seats.c.item_kind == picked.kind, seats.c.item_id == picked.id]
    query = select(seats.c.person_id).select_from(_OF_TEAM).where(*mine, seats.c.person_id.in_(sorted(person_ids)))
    return {int(one) for (one,) in connection.execute(query)}


def ask_seat(connection: Connection, seat_id: int, person_id: int, until: datetime, picked: Item | None) -> bool:
    """Ask somebody to take an open seat; False if it is not open any more."""
    still = (seats.c.id == seat_id, seats.c.person_id.is_(None), seats.c.ended_at.is_(None))
    chosen = {"item_kind": picked.kind, "item_id": picked.id} if picked else {}
    values = {"person_id": person_id, "role": Role.ASSIGNED, "waits": Wait.ANSWER, "answer_until": until, **chosen}
    asked = update(seats).where(*still).values(times=seats.c.times + 1, taken_at=None, **values)
    return connection.execute(asked).rowcount == 1


def ask_again(connection: Connection, seat_id: int, until: datetime) -> bool:
    """Prolong an invitation; False if the seat does not wait for an answer any more."""
    still = (seats.c.id == seat_id, seats.c.waits == Wait.ANSWER, seats.c.ended_at.is_(None))
    return connection.execute(update(seats).where(*still).values(answer_until=until)).rowcount == 1


def take_seat(connection: Connection, seat_id: int, person_id: int, waits: Wait | None, now: datetime) -> bool:
    """Whoever was asked takes the seat; with ``waits`` it then waits for a yes. False if they may not any more."""
    still = (
        seats.c.id == seat_id,
        seats.c.person_id == person_id,
        seats.c.waits == Wait.ANSWER,
        seats.c.answer_until > now,
        seats.c.ended_at.is_(None),
    )
    values = {"waits": waits, "taken_at": now.replace(microsecond=0), "answer_until": None}
    return connection.execute(update(seats).where(*still).values(values)).rowcount == 1


def approve_seat(connection: Connection, seat_id: int) -> int | None:
    """Say yes to an acceptance; whose it is, None if none waits for it."""
    still = (seats.c.id == seat_id, seats.c.waits == Wait.APPROVAL, seats.c.ended_at.is_(None))
    done = update(seats).where(*still).values(waits=None).returning(seats.c.person_id)
    found = connection.execute(done).scalar()
    return None if found is None else int(found)


def free_seat(connection: Connection, seat_id: int, person_id: int) -> bool:
    """Make a seat open again; False if somebody else has it by now, or nobody."""
    still = (seats.c.id == seat_id, seats.c.person_id == person_id, seats.c.ended_at.is_(None))
    nobody = {"person_id": None, "role": None, "waits": None, "answer_until": None, "taken_at": None}
    # An end that an operator set (without days having begun) stays; days that ran are for the next one to begin anew.
    until = case((seats.c.begun_at.is_(None), seats.c.until), else_=None)
    clean = {"item_kind": None, "item_id": None, "begun_at": None, "until": until}
    return connection.execute(update(seats).where(*still).values({**nobody, **clean})).rowcount == 1


def items_of_seat(connection: Connection, seat_id: int) -> list[Item]:
    """What a seat gives."""
    query = select(purchase_items.c.kind, purchase_items.c.item_id).select_from(
        _OF_TEAM.join(purchase_items, given_by_seat())
    )
    rows = connection.execute(
        query.where(seats.c.id == seat_id).order_by(purchase_items.c.kind, purchase_items.c.item_id)
    )
    return [Item(Kind(kind), number) for kind, number in rows]


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


# --- consent ---------------------------------------------------------------------------------------------------------


def give_consent(store: Store, connection: Connection, team_id: int, person_id: int, text: str, now: datetime) -> None:
    """Write down that a person lets a team see how they get on."""
    row = {"team_id": team_id, "person_id": person_id, "text": text, "given_at": now, "withdrawn_at": None}
    keys = [consents.c.team_id, consents.c.person_id]
    statement = store.insert(consents).values(row)
    again = {name: row[name] for name in ("text", "given_at", "withdrawn_at")}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=again))


def withdraw_consent(connection: Connection, team_id: int, person_id: int, now: datetime) -> bool:
    """Write down that a person does not any more; whether they did."""
    mine = (consents.c.team_id == team_id, consents.c.person_id == person_id, consents.c.withdrawn_at.is_(None))
    return connection.execute(update(consents).where(*mine).values(withdrawn_at=now)).rowcount == 1


def consents_of(connection: Connection, person_id: int) -> list[tuple[Team, datetime]]:
    """The teams that a person lets see how they get on, and since when."""
    query = _TEAM.add_columns(consents.c.given_at).join(consents, consents.c.team_id == teams.c.id)
    mine = (consents.c.person_id == person_id, consents.c.withdrawn_at.is_(None))
    return [(Team(*row[:-1]), row[-1]) for row in connection.execute(query.where(*mine).order_by(teams.c.id))]


def teams_seating(connection: Connection, person_id: int) -> Sequence[int]:
    """The teams on whose seats a person sits, or was asked to."""
    query = select(purchases.c.team_id).select_from(_OF_TEAM).distinct()
    mine = (seats.c.person_id == person_id, seats.c.ended_at.is_(None), purchases.c.team_id.is_not(None))
    return sorted(int(one) for (one,) in connection.execute(query.where(*mine)))
