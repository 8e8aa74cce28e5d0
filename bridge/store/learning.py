"""Learners: what their seats claim, the access that was given for it, and how it stands.

Functions take the caller's connection, so that what belongs together commits together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, func, or_, select, union, update

from bridge.domain.enrolments import Held, Right, State, lasting
from bridge.domain.offers import Item, Kind, offer_from_json
from bridge.store.db import Store
from bridge.store.ledger import given_by_seat, subscriptions_of
from bridge.store.models import access, accounts, letters, order_subscriptions, purchase_items, purchases, seats
from bridge.store.progress import Learnt
from bridge.store.upsert import upsert

_SEATS_TO_PURCHASES = seats.join(purchases, purchases.c.id == seats.c.purchase_id)
_OF_RIGHT = (
    seats.c.id,
    seats.c.since,
    seats.c.begun_at,
    seats.c.until.label("seat_until"),
    purchases.c.starts,
    purchases.c.until,
    purchases.c.grace_until,
    purchases.c.held,
    purchases.c.offer,
    purchase_items.c.kind,
    purchase_items.c.item_id,
)
_RIGHTS = (
    select(*_OF_RIGHT)
    .select_from(_SEATS_TO_PURCHASES.join(purchase_items, given_by_seat()))
    .where(seats.c.person_id == bindparam("person"), seats.c.ended_at.is_(None), seats.c.waits.is_(None))
    .order_by(seats.c.id)
)


def rights_of(connection: Connection, person_id: int) -> list[Right]:
    """What the person's seats claim that have not ended, and wait for nobody's word."""
    return [_right(*row) for row in connection.execute(_RIGHTS, {"person": person_id})]


def _right(
    seat: int,
    since: datetime,
    begun: datetime | None,
    seat_until: datetime | None,
    starts: datetime | None,
    until: datetime | None,
    grace: datetime | None,
    held: str | None,
    offer: Any,
    kind: str,
    number: int,
) -> Right:
    """A seat that ends without having begun was cut short: its days are over, whatever they were."""
    sold = offer_from_json(offer)
    runs = begun is not None or seat_until is None
    dated = sold.ends is not None or not runs
    return Right(
        seat,
        Item(Kind(kind), number),
        starts=starts,
        until=lasting((None if runs else seat_until, until)),
        days=sold.days_from_first if runs else None,
        held=held or "",
        begun=begun,
        written=seat_until if begun is not None else None,
        dated=dated,
        since=max(since, starts or since) if dated else None,
        grace=grace,
    )


_OF_HELD = (
    access.c.state,
    access.c.verified_at.is_not(None).label("verified"),
    access.c.until.label("access_until"),
    access.c.times,
    access.c.completed,
    access.c.reference,
    access.c.trouble,
    access.c.since.label("access_since"),
    access.c.let_go_at,
    access.c.let_go_team,
)
_HELD = select(access.c.kind, access.c.item_id, *_OF_HELD).where(access.c.person_id == bindparam("person"))


def held_by(connection: Connection, person_id: int) -> dict[Item, Held]:
    """The access we gave the person, or tried to give, by item."""
    rows = connection.execute(_HELD, {"person": person_id})
    return {(item := Item(Kind(kind), number)): Held(item, State(state), *rest) for kind, number, state, *rest in rows}


@dataclass(frozen=True, slots=True)
class Sat:
    """An item of a seat on which a person sits, or sat: ``row`` is what it was sold as, and how the seat ended;
    ``right`` what it claims, None once it has ended. ``held`` is the access we gave, ``learnt`` how far they are.
    """

    item: Item
    row: Any
    right: Right | None
    held: Held | None
    learnt: Learnt


_OF_LEARNT = (access.c.completed, access.c.progress, access.c.certificate, access.c.opened)
_SAME_ITEM = and_(
    access.c.person_id == seats.c.person_id,
    access.c.kind == purchase_items.c.kind,
    access.c.item_id == purchase_items.c.item_id,
)
_SAT = (
    select(*_OF_RIGHT, *_OF_HELD, *_OF_LEARNT, purchases.c.name, seats.c.ended_at, seats.c.ended_why)
    .select_from(_SEATS_TO_PURCHASES.join(purchase_items, given_by_seat()).outerjoin(access, _SAME_ITEM))
    .where(seats.c.person_id == bindparam("person"), seats.c.waits.is_(None))
    .order_by(seats.c.ended_at.asc().nulls_last(), seats.c.id)
)


def sat_by(connection: Connection, person_id: int) -> list[Sat]:
    """All of a person's seats that wait for nobody's word, in the order in which they ended; those that have not, last.

    One question instead of four: whoever signs in waits for it.
    """
    return [_sat(row) for row in connection.execute(_SAT, {"person": person_id})]


def _sat(row: Any) -> Sat:
    of_right, rest = row[: len(_OF_RIGHT)], row[len(_OF_RIGHT) :]
    (state, *of_held), of_learnt = rest[: len(_OF_HELD)], rest[len(_OF_HELD) : len(_OF_HELD) + len(_OF_LEARNT)]
    item = Item(Kind(row.kind), row.item_id)
    right = _right(*of_right) if row.ended_at is None else None
    return Sat(item, row, right, Held(item, State(state), *of_held) if state is not None else None, Learnt(*of_learnt))


def record_access(
    store: Store, connection: Connection, person_id: int, item: Item, now: datetime, *, anew: bool, **values: Any
) -> None:
    """Write down what became of an access: ``state``, ``until``, ``verified_at``, ``completed``, ``trouble`` …

    ``anew`` tells that it stands so since now, and not as before.
    """
    row = {"person_id": person_id, "kind": item.kind, "item_id": item.id, "since": now, **values}
    if anew and values.get("state") is State.ACTIVE:
        row |= {"let_go_at": None, "let_go_team": None}
    upsert(store, connection, access, ("person_id", "kind", "item_id"), row, keep=() if anew else ("since",))


def record_trouble(
    store: Store, connection: Connection, person_id: int, item: Item, trouble: str, now: datetime
) -> None:
    """Write down why an access waits for a person; what is known of it stays."""
    row = {"person_id": person_id, "kind": item.kind, "item_id": item.id, "since": now, "state": State.WANTED}
    row["trouble"] = trouble
    upsert(store, connection, access, ("person_id", "kind", "item_id"), row, keep=("since", "state"))


def let_go(
    connection: Connection, person_id: int, items: Collection[Item], now: datetime, *, team: int | None = None
) -> None:
    """Write down that a person said that this access may end, which the brake then does not hold. ``team`` is the one
    that took it back.
    """
    for item in sorted(items):
        mine = (access.c.person_id == person_id, access.c.kind == item.kind, access.c.item_id == item.id)
        connection.execute(update(access).where(*mine).values(let_go_at=now, let_go_team=team))


def doubt(connection: Connection, person_ids: Collection[int]) -> None:
    """Have the access of these persons looked at again in Totara."""
    connection.execute(update(access).where(access.c.person_id.in_(sorted(person_ids))).values(verified_at=None))


def ended_since(connection: Connection, moment: datetime) -> tuple[int, int]:
    """How much access ended since then before its time and with nobody's word, and how much there is."""
    count = select(func.count()).select_from(access)
    early = or_(access.c.until.is_(None), access.c.until > access.c.since)
    sudden = and_(early, or_(access.c.let_go_at.is_(None), access.c.let_go_at < moment))
    ended = connection.execute(
        count.where(access.c.state == State.SUSPENDED, access.c.since >= moment, sudden)
    ).scalar()
    there = connection.execute(count.where(access.c.state == State.ACTIVE)).scalar()
    return int(ended or 0), int(there or 0)


def adrift(connection: Connection, after: int, now: datetime) -> list[int]:
    """The next hundred persons whose access is not what their seats pay for, and of whom nobody knows why.

    Either a seat pays for it now, and it was not seen to be there; or it is there, and nothing pays for it. Where a
    trouble is written down, somebody was told already.
    """
    ends = (seats.c.until, purchases.c.until, purchases.c.grace_until)
    pays = and_(
        seats.c.ended_at.is_(None),
        seats.c.waits.is_(None),
        purchases.c.held.is_(None),
        or_(purchases.c.starts.is_(None), purchases.c.starts <= now),
        *(or_(end.is_(None), end > now) for end in ends),
    )
    items = _SEATS_TO_PURCHASES.join(purchase_items, given_by_seat())
    same = and_(
        access.c.person_id == seats.c.person_id,
        access.c.kind == purchase_items.c.kind,
        access.c.item_id == purchase_items.c.item_id,
    )
    not_there = or_(access.c.state != State.ACTIVE, access.c.verified_at.is_(None))
    lacking = select(seats.c.person_id).select_from(items.outerjoin(access, same)).where(pays)
    lacking = lacking.where(or_(access.c.state.is_(None), and_(access.c.trouble.is_(None), not_there)))
    paid = select(seats.c.id).select_from(items).where(same, pays).correlate(access).exists()
    unpaid = select(access.c.person_id).where(access.c.state == State.ACTIVE, access.c.trouble.is_(None), ~paid)
    both = union(lacking.where(seats.c.person_id > after), unpaid.where(access.c.person_id > after)).subquery()
    query = select(both.c.person_id).order_by(both.c.person_id).limit(100)
    return [int(person) for (person,) in connection.execute(query)]


_ORDERS_OF = (
    select(purchases.c.order_id)
    .select_from(_SEATS_TO_PURCHASES)
    .where(seats.c.person_id == bindparam("person"), purchases.c.order_id.is_not(None))
    .union(
        select(func.max(order_subscriptions.c.order_id))
        .select_from(
            _SEATS_TO_PURCHASES.join(
                order_subscriptions, order_subscriptions.c.subscription_id == purchases.c.subscription_id
            )
        )
        .where(seats.c.person_id == bindparam("person"))
        .group_by(order_subscriptions.c.subscription_id)
    )
)


def orders_of(connection: Connection, person_id: int) -> list[int]:
    """The orders that pay, or paid, for a seat of the person; of a subscription, the newest."""
    return sorted(order for (order,) in connection.execute(_ORDERS_OF, {"person": person_id}))


def learners_of(connection: Connection, order_id: int) -> list[int]:
    """The persons who sit, or sat, on a seat of the order or of its subscriptions."""
    mine = or_(
        purchases.c.order_id == order_id,
        purchases.c.subscription_id.in_(
            select(order_subscriptions.c.subscription_id).where(order_subscriptions.c.order_id == order_id)
        ),
    )
    query = select(seats.c.person_id).select_from(_SEATS_TO_PURCHASES).where(mine, seats.c.person_id.is_not(None))
    return sorted(int(person) for (person,) in connection.execute(query.distinct()))


def subscribers_of(connection: Connection, subscription_id: int) -> list[int]:
    """The persons who sit, or sat, on a seat of the subscription."""
    mine = purchases.c.subscription_id == subscription_id
    query = select(seats.c.person_id).select_from(_SEATS_TO_PURCHASES).where(mine, seats.c.person_id.is_not(None))
    return sorted(int(person) for (person,) in connection.execute(query.distinct()))


@dataclass(frozen=True, slots=True)
class SeatReport:
    """One item of one seat, for whoever tells how it stands. ``line_id`` is 0 for a subscription's.

    ``name`` is what the shop called it when it was sold.
    """

    seat_id: int
    purchase_id: int
    order_id: int | None
    line_id: int
    subscription_id: int | None
    name: str
    item: Item
    unit: int
    role: str | None
    since: datetime
    live: bool
    why: str | None
    person_id: int | None
    totara_id: int | None
    state: str | None
    verified: bool
    trouble: str | None
    completed: bool | None
    held: str | None
    starts: datetime | None
    until: datetime | None
    waits: str | None = None
    team: bool = False  # a team gives it to its people


_REPORT: Select[Any] = (
    select(
        seats.c.id.label("seat_id"),
        seats.c.purchase_id,
        seats.c.role,
        seats.c.since,
        purchases.c.order_id,
        purchases.c.line_id,
        purchases.c.subscription_id,
        purchases.c.name,
        purchase_items.c.kind,
        purchase_items.c.item_id,
        seats.c.unit,
        seats.c.waits,
        seats.c.ended_at.is_(None).label("live"),
        seats.c.ended_why,
        seats.c.person_id,
        accounts.c.totara_id,
        access.c.state,
        access.c.verified_at.is_not(None).label("verified"),
        access.c.trouble,
        access.c.completed,
        purchases.c.held,
        purchases.c.team_id.is_not(None).label("team"),
        purchases.c.starts,
        seats.c.until.label("seat_until"),
        purchases.c.until.label("purchase_until"),
        purchases.c.grace_until,
    )
    .select_from(
        _SEATS_TO_PURCHASES.join(purchase_items, given_by_seat(open_too=True))
        .outerjoin(accounts, accounts.c.person_id == seats.c.person_id)
        .outerjoin(
            access,
            and_(
                access.c.person_id == seats.c.person_id,
                access.c.kind == purchase_items.c.kind,
                access.c.item_id == purchase_items.c.item_id,
            ),
        )
    )
    .order_by(purchases.c.id, purchase_items.c.kind, purchase_items.c.item_id, seats.c.unit)
)
_REPORT_OF_ORDER = _REPORT.where(purchases.c.order_id == bindparam("order"))
_REPORT_OF_SUBSCRIPTION = _REPORT.where(purchases.c.subscription_id == bindparam("subscription"))
_REPORT_OF_PERSON = _REPORT.where(seats.c.person_id == bindparam("person"))


def report(connection: Connection, order_id: int) -> list[SeatReport]:
    """How every seat of an order stands, and every seat of the subscriptions that it belongs to."""
    rows = list(connection.execute(_REPORT_OF_ORDER, {"order": order_id}))
    for subscription_id in subscriptions_of(connection, order_id):
        rows += connection.execute(_REPORT_OF_SUBSCRIPTION, {"subscription": subscription_id})
    return [_seat_report(row) for row in rows]


def report_of_subscription(connection: Connection, subscription_id: int) -> list[SeatReport]:
    """How every seat of a subscription stands."""
    rows = connection.execute(_REPORT_OF_SUBSCRIPTION, {"subscription": subscription_id})
    return [_seat_report(row) for row in rows]


def report_of_person(connection: Connection, person_id: int) -> list[SeatReport]:
    """How every seat stands on which the person sits, or sat."""
    return [_seat_report(row) for row in connection.execute(_REPORT_OF_PERSON, {"person": person_id})]


def _seat_report(row: Row[Any]) -> SeatReport:
    return SeatReport(
        seat_id=row.seat_id,
        purchase_id=row.purchase_id,
        order_id=row.order_id,
        line_id=row.line_id if row.subscription_id is None else 0,
        subscription_id=row.subscription_id,
        name=row.name,
        item=Item(Kind(row.kind), row.item_id),
        unit=row.unit,
        role=row.role,
        since=row.since,
        live=row.live,
        why=row.ended_why,
        person_id=row.person_id,
        totara_id=row.totara_id,
        state=row.state,
        verified=row.verified,
        trouble=row.trouble,
        completed=row.completed,
        held=row.held,
        starts=row.starts,
        until=lasting((row.seat_until, row.purchase_until, row.grace_until)),
        waits=row.waits,
        team=bool(row.team),
    )


# --- letters -------------------------------------------------------------------------------------------------------


def told(connection: Connection, person_id: int) -> dict[str, bool]:
    """What the person was written about, by the fact's key -> whether the mail server is known to have taken it."""
    query = select(letters.c.fact, letters.c.sent_at.is_not(None)).where(letters.c.person_id == person_id)
    return dict(connection.execute(query).all())


def begin_letters(store: Store, connection: Connection, person_id: int, facts: Collection[str], now: datetime) -> None:
    """Write down that the person is being written about these facts."""
    rows = [{"person_id": person_id, "fact": fact, "begun_at": now} for fact in sorted(facts)]
    connection.execute(store.insert(letters).on_conflict_do_nothing(), rows)


def letters_sent(connection: Connection, person_id: int, facts: Collection[str], now: datetime) -> None:
    """Write down that the mail server has taken the letters about these facts."""
    mine = (letters.c.person_id == person_id, letters.c.fact.in_(sorted(facts)))
    connection.execute(update(letters).where(*mine).values(sent_at=now))


def last_of_each(connection: Connection, person_id: int) -> dict[Item, Any]:
    """Of each item the person's seat that ended, or will end, last: why, until when, and what it was sold as."""
    query = (
        select(
            purchase_items.c.kind,
            purchase_items.c.item_id,
            purchases.c.name,
            purchases.c.offer,
            purchases.c.order_id,
            purchases.c.team_id,
            purchases.c.held,
            purchases.c.until,
            purchases.c.grace_until,
            seats.c.until.label("seat_until"),
            seats.c.ended_at,
            seats.c.ended_why,
        )
        .select_from(_SEATS_TO_PURCHASES.join(purchase_items, given_by_seat()))
        .where(seats.c.person_id == person_id, seats.c.waits.is_(None))
        .order_by(seats.c.ended_at.asc().nulls_last(), seats.c.id)
    )
    return {Item(Kind(row.kind), row.item_id): row for row in connection.execute(query)}
