"""The ledger: which order or subscription pays for which seat, and who sits on it.

Functions take the caller's connection, so that what belongs together commits together.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Row, and_, bindparam, distinct, func, insert, not_, or_, select, update

from bridge.domain.enrolments import Run, State
from bridge.domain.offers import Item, Kind, Offer, offer_from_json
from bridge.domain.purchases import Line, Paying, Role, Seat, SeatPlan, Standing, Terms
from bridge.store.db import Store
from bridge.store.models import (
    access,
    accounts,
    notes,
    order_subscriptions,
    orders,
    persons,
    products,
    purchase_items,
    purchases,
    seats,
    subscriptions,
)
from bridge.store.upsert import upsert, upserting

# --- orders and subscriptions ----------------------------------------------------------------------------------------

_ORDER = select(orders).where(orders.c.id == bindparam("order"))
_SUBSCRIPTION = select(subscriptions).where(subscriptions.c.id == bindparam("subscription"))


def find_order(connection: Connection, order_id: int) -> Row[Any] | None:
    """The order as it was last written down."""
    return connection.execute(_ORDER, {"order": order_id}).first()


def find_subscription(connection: Connection, subscription_id: int) -> Row[Any] | None:
    """The subscription as it was last written down."""
    return connection.execute(_SUBSCRIPTION, {"subscription": subscription_id}).first()


def set_order(connection: Connection, order_id: int, **values: Any) -> None:
    """Write down something about an order that is known."""
    connection.execute(update(orders).where(orders.c.id == order_id).values(**values))


#: Stands in place of the last note that we know of, where a person has asked us to look at what the shop has.
FORGOTTEN = "?"


def forget_notes(connection: Connection, order_ids: Collection[int]) -> None:
    """Believe no more that the notes we wrote on these orders are there. One that was never written stays so."""
    written = orders.c.note_written.is_not(None)
    connection.execute(update(orders).where(orders.c.id.in_(sorted(order_ids)), written).values(note_written=FORGOTTEN))


def record_order(store: Store, connection: Connection, order_id: int, person_id: int | None, **values: Any) -> None:
    """Write down the order as it was seen. A person once set stays."""
    upsert(store, connection, orders, ("id",), {"id": order_id, **values, "person_id": person_id}, keep=("person_id",))


def record_subscription(
    store: Store, connection: Connection, subscription_id: int, person_id: int | None, **values: Any
) -> None:
    """Write down the subscription as it was seen. A person once set stays."""
    row = {"id": subscription_id, **values, "person_id": person_id}
    upsert(store, connection, subscriptions, ("id",), row, keep=("person_id",))


def subscriptions_of(connection: Connection, order_id: int) -> list[int]:
    """The subscriptions that an order was seen to belong to."""
    query = select(order_subscriptions.c.subscription_id).where(order_subscriptions.c.order_id == order_id)
    return sorted(int(one) for (one,) in connection.execute(query))


def needs_of(connection: Connection, order_id: int) -> list[str]:
    """What of an order, and of the subscriptions that it belongs to, needs a person, and how it is mended."""
    t = order_subscriptions
    theirs = (
        select(subscriptions.c.parked)
        .join(t, t.c.subscription_id == subscriptions.c.id)
        .where(t.c.order_id == order_id)
        .order_by(subscriptions.c.id)
    )
    found = connection.execute(select(orders.c.parked).where(orders.c.id == order_id)).scalars().all()
    return [said for said in (*found, *connection.execute(theirs).scalars()) if said]


def record_subscriptions(
    store: Store, connection: Connection, order_id: int, subscription_ids: Collection[int]
) -> None:
    """Write down which subscriptions an order belongs to."""
    rows = [{"order_id": order_id, "subscription_id": one} for one in sorted(subscription_ids)]
    if rows:
        connection.execute(store.insert(order_subscriptions).on_conflict_do_nothing(), rows)


def record_gone(connection: Connection, source: Source, now: datetime) -> None:
    """Write down that a known order or subscription has been deleted for good."""
    table = orders if source.kind == "order" else subscriptions
    values = {"status": "deleted", "stands": "ended", "looked_at": now}
    connection.execute(update(table).where(table.c.id == source.id).values(values))


def newest_order(connection: Connection, subscription_id: int) -> list[int]:
    """The newest order of a subscription that was seen; none when none was."""
    t = order_subscriptions
    newest = connection.execute(select(func.max(t.c.order_id)).where(t.c.subscription_id == subscription_id)).scalar()
    return [] if newest is None else [int(newest)]


def noted_on(connection: Connection, order_id: int | None, subscription_id: int | None) -> list[int]:
    """The order whose note tells of what was bought by an order or a subscription."""
    if order_id is not None:
        return [order_id]
    return newest_order(connection, subscription_id) if subscription_id is not None else []


def unsaid(connection: Connection, order_id: int) -> bool:
    """Whether an order has no note yet though it pays, or renews what was paid for."""
    row = find_order(connection, order_id)
    return row is not None and row.note_written is None and (row.stands == Standing.PAYS or row.renews is not None)


def bought_by(connection: Connection, person_id: int) -> list[Source]:
    """The orders and subscriptions whose buyer the person is."""
    found: list[Source] = []
    kinds: tuple[tuple[Literal["order", "subscription"], Any], ...] = (
        ("order", orders),
        ("subscription", subscriptions),
    )
    for kind, table in kinds:
        query = select(table.c.id).where(table.c.person_id == person_id).order_by(table.c.id)
        found += [Source(kind, int(one)) for (one,) in connection.execute(query)]
    return found


def items_of_order(connection: Connection, order_id: int) -> set[Item]:
    """Everything that an order, or a subscription that it belongs to, gives."""
    through = select(order_subscriptions.c.subscription_id).where(order_subscriptions.c.order_id == order_id)
    mine = or_(purchases.c.order_id == order_id, purchases.c.subscription_id.in_(through))
    query = select(purchase_items.c.kind, purchase_items.c.item_id).join(
        purchases, purchases.c.id == purchase_items.c.purchase_id
    )
    return {Item(Kind(kind), number) for kind, number in connection.execute(query.where(mine))}


def paying_for(connection: Connection, subscription_id: int) -> list[Paying]:
    """The orders of a subscription as they were last seen, the newest first."""
    query = (
        select(orders.c.stands, orders.c.trouble)
        .join(order_subscriptions, order_subscriptions.c.order_id == orders.c.id)
        .where(order_subscriptions.c.subscription_id == subscription_id)
        .order_by(orders.c.id.desc())
    )
    return [Paying(Standing(stands), trouble or "") for stands, trouble in connection.execute(query)]


def subscribed_products(connection: Connection, subscription_ids: Collection[int]) -> set[tuple[int, int]]:
    """Every product that was ever seen on one of these subscriptions: a switch takes the old one off."""
    if not subscription_ids:
        return set()
    t = purchases
    query = select(t.c.product_id, t.c.variation_id).where(t.c.subscription_id.in_(sorted(subscription_ids)))
    return {(product, variation) for product, variation in connection.execute(query) if product}


def orders_paid_by(connection: Connection, payments: Collection[str]) -> dict[int, Standing]:
    """The orders whose payment has one of these names, in the order of their numbers, and what each stands for."""
    query = select(orders.c.id, orders.c.stands).where(orders.c.payment.in_(sorted(payments))).order_by(orders.c.id)
    return {int(one): Standing(stands) for one, stands in connection.execute(query)}


def orders_that_matter(connection: Connection, after: int) -> dict[int, bool]:
    """The next hundred orders with seats that have not ended, by id -> whether something of them was refunded."""
    with_seats = (
        select(purchases.c.order_id)
        .join(seats, seats.c.purchase_id == purchases.c.id)
        .where(seats.c.ended_at.is_(None), purchases.c.order_id > after)
    )
    query = select(orders.c.id, orders.c.refunds > 0).where(
        or_(orders.c.id.in_(with_seats), orders.c.refunds > 0), orders.c.id > after, orders.c.status != "deleted"
    )
    return dict(connection.execute(query.order_by(orders.c.id).limit(100)).all())


def subscriptions_that_matter(connection: Connection, after: int) -> list[int]:
    """The next hundred subscriptions with seats that have not ended."""
    query = (
        select(purchases.c.subscription_id)
        .join(seats, seats.c.purchase_id == purchases.c.id)
        .where(seats.c.ended_at.is_(None), purchases.c.subscription_id > after)
    )
    rows = connection.execute(query.distinct().order_by(purchases.c.subscription_id).limit(100))
    return [int(one) for (one,) in rows]


def seen_orders(connection: Connection, order_ids: Collection[int]) -> dict[int, tuple[datetime | None, datetime]]:
    """Order id -> (modified as seen, when we looked)."""
    query = select(orders.c.id, orders.c.modified, orders.c.looked_at).where(orders.c.id.in_(sorted(order_ids)))
    return {order: (modified, looked) for order, modified, looked in connection.execute(query)}


def seen_subscriptions(connection: Connection, ids: Collection[int]) -> dict[int, tuple[datetime | None, datetime]]:
    """Subscription id -> (modified as seen, when we looked)."""
    t = subscriptions
    query = select(t.c.id, t.c.modified, t.c.looked_at).where(t.c.id.in_(sorted(ids)))
    return {one: (modified, looked) for one, modified, looked in connection.execute(query)}


# --- purchases -------------------------------------------------------------------------------------------------------


class Source(NamedTuple):
    """Where a purchase comes from: an order or a subscription, by its id."""

    kind: Literal["order", "subscription"]
    id: int

    def __str__(self) -> str:
        """As a person would say it."""
        return f"{self.kind} {self.id}"


@dataclass(frozen=True, slots=True)
class Purchase:
    """One line as it was last seen. ``key`` is the line's id, or of a subscription its product and variation.

    ``ask_anew`` tells that it gave nothing when it was sold, and that an operator wants it asked once more.
    """

    id: int
    line_id: int | None
    key: Hashable
    offer: Offer
    quantity: int
    paid: int
    starts: datetime | None
    until: datetime | None
    grace_until: datetime | None
    held: str | None
    ask_anew: bool = False
    team: int | None = None

    @property
    def seats_paid(self) -> int:
        """The seats that it paid for when it was last looked at."""
        return self.paid * self.offer.seats if self.offer.items else 0

    def stands_as(self, **state: Any) -> bool:
        """Whether it pays from when until when, and rests or not, just so."""
        return all(getattr(self, name) == value for name, value in state.items())


#: Kept in place of an offer that gave nothing, until the line is looked at.
_ASK_ANEW = {"gives": [], "ask_anew": True}

_PURCHASE = select(purchases)
_OF_ORDER = _PURCHASE.where(purchases.c.order_id == bindparam("source")).order_by(purchases.c.id)
_OF_SUBSCRIPTION = _PURCHASE.where(purchases.c.subscription_id == bindparam("source")).order_by(purchases.c.id)


def purchases_of(connection: Connection, source: Source) -> list[Purchase]:
    """Every line ever seen of the source."""
    query = _OF_ORDER if source.kind == "order" else _OF_SUBSCRIPTION
    return [
        Purchase(
            row.id,
            row.line_id,
            row.line_id if source.kind == "order" else (row.product_id, row.variation_id),
            offer_from_json(row.offer),
            row.quantity,
            row.paid,
            row.starts,
            row.until,
            row.grace_until,
            row.held,
            row.offer == _ASK_ANEW,
            row.team_id,
        )
        for row in connection.execute(query, {"source": source.id})
    ]


def ask_anew(connection: Connection, source: Source) -> None:
    """Have lines that gave nothing when they were sold asked once more what they give."""
    mine = purchases.c.order_id if source.kind == "order" else purchases.c.subscription_id
    for row in connection.execute(select(purchases.c.id, purchases.c.offer).where(mine == source.id)).all():
        if offer_from_json(row.offer) == Offer():
            connection.execute(update(purchases).where(purchases.c.id == row.id).values(offer=_ASK_ANEW))


def record_purchase(
    store: Store, connection: Connection, source: Source, line: Line, offer: Offer, **values: Any
) -> int:
    """Write down one line and what it was sold with; its purchase's id. What it gives is written down once."""
    key = ("order_id", "line_id") if source.kind == "order" else ("subscription_id", "product_id", "variation_id")
    row = {
        f"{source.kind}_id": source.id,
        "line_id": line.id,
        "product_id": line.product_id,
        "variation_id": line.variation_id,
        "name": line.name,
        "offer": offer.as_json(),
        "picks": offer.pick,
        **values,
    }
    statement = upserting(store.is_sqlite, purchases, key, tuple(row), frozenset())
    purchase_id = int(connection.execute(statement.returning(purchases.c.id), row).scalar_one())
    items = [{"purchase_id": purchase_id, "kind": item.kind, "item_id": item.id} for item in offer.items]
    if items:
        connection.execute(store.insert(purchase_items).on_conflict_do_nothing(), items)
    return purchase_id


def pay_for(connection: Connection, units: Mapping[int, int]) -> None:
    """Write down for how many units these purchases pay now."""
    for purchase_id, paid in sorted(units.items()):
        mine = (purchases.c.id == purchase_id, purchases.c.paid != paid)
        connection.execute(update(purchases).where(*mine).values(paid=paid))


def hold_still(connection: Connection, purchase_ids: Collection[int]) -> None:
    """Let nobody else change the seats of these purchases before the transaction ends."""
    if purchase_ids:
        query = select(purchases.c.id).where(purchases.c.id.in_(sorted(purchase_ids))).order_by(purchases.c.id)
        connection.execute(query.with_for_update()).all()


def seats_by_line(connection: Connection, line_ids: Collection[int]) -> list[tuple[int, int | None]]:
    """Of every seat of a subscription that has not ended and that one of these lines gave: subscription, person."""
    query = (
        select(purchases.c.subscription_id, seats.c.person_id)
        .join(seats, seats.c.purchase_id == purchases.c.id)
        .where(purchases.c.line_id.in_(sorted(line_ids)), purchases.c.subscription_id.is_not(None))
        .where(seats.c.ended_at.is_(None))
    )
    return [(int(subscription), person) for subscription, person in connection.execute(query)]


def courses_of_products(connection: Connection, product_ids: Collection[int]) -> dict[int, int]:
    """Product id -> course, for our products."""
    query = select(products.c.product_id, products.c.course_id).where(products.c.product_id.in_(sorted(product_ids)))
    return dict(connection.execute(query).all())


# --- seats -----------------------------------------------------------------------------------------------------------

_TERMS = (seats.c.waits, seats.c.answer_until, seats.c.times, seats.c.taken_at, seats.c.item_kind, seats.c.item_id)
_SEAT = select(
    seats.c.id, seats.c.purchase_id, seats.c.unit, seats.c.person_id, seats.c.role, seats.c.ended_at, *_TERMS
)
_SEATS_OF = _SEAT.where(seats.c.purchase_id.in_(bindparam("purchases", expanding=True)))


def seats_of(connection: Connection, of: Mapping[int, Hashable]) -> list[Seat]:
    """All seats of these purchases, ended ones too. ``of`` maps the purchases' ids to their keys."""
    if not of:
        return []
    rows = connection.execute(_SEATS_OF, {"purchases": sorted(of)})
    return [
        Seat(seat, of[purchase], unit, person, ended is None, Role(role) if role else None, ended, _terms(*terms))
        for seat, purchase, unit, person, role, ended, *terms in rows
    ]


def _terms(
    waits: str | None, answer_until: datetime | None, times: int, taken: datetime | None, kind: str | None, number: Any
) -> Terms:
    return Terms(waits or "", answer_until, times, taken, Item(Kind(kind), int(number)) if kind else None)


def terms_row(terms: Terms | None) -> dict[str, Any]:
    """The same as columns of a seat; none where nothing is said of it."""
    if terms is None:
        return {}
    picked = {"item_kind": terms.picked.kind, "item_id": terms.picked.id} if terms.picked else {}
    return {
        "waits": terms.waits or None,
        "answer_until": terms.answer_until,
        "times": terms.times,
        "taken_at": terms.taken,
        **({"item_kind": None, "item_id": None} | picked),
    }


def apply_seats(
    connection: Connection, ids: Mapping[Hashable, int], plan: SeatPlan, why: Mapping[Hashable, str], now: datetime
) -> set[int]:
    """Carry out a seat plan; who is touched. ``ids`` maps keys to purchases, ``why`` to the reason of an end."""
    if plan.give:
        connection.execute(
            insert(seats),
            [
                {
                    "purchase_id": ids[seat.key],
                    "unit": seat.unit,
                    "person_id": seat.taker.person if seat.taker else None,
                    "role": seat.taker.role if seat.taker else None,
                    "since": now,
                    **terms_row((seat.taker.terms if seat.taker else None) or Terms()),
                }
                for seat in plan.give
            ],
        )
    for seat in plan.end:
        _set_seat(connection, seat.id, ended_at=now, ended_why=why.get(seat.key, ""))
    for seat in plan.revive:
        _set_seat(connection, seat.id, ended_at=None, ended_why=None)
    for seat, taker in plan.take:
        _set_seat(connection, seat.id, person_id=taker.person, role=taker.role, **terms_row(taker.terms))
    touched = {seat.person for seat in (*plan.end, *plan.revive)}
    touched |= {seat.taker.person for seat in plan.give if seat.taker} | {taker.person for _, taker in plan.take}
    return {person for person in touched if person is not None}


def _set_seat(connection: Connection, seat_id: int, **values: Any) -> None:
    connection.execute(update(seats).where(seats.c.id == seat_id).values(**values))


def move_seats(connection: Connection, purchase_ids: Collection[int], person_id: int, role: Role) -> set[int]:
    """Give this person the seats of that role whose holder has no account yet; returns everybody concerned.

    So a mistyped address can be corrected in the shop. Once an account was made, a seat stays where it is.
    """
    if not purchase_ids:
        return set()
    with_account = select(accounts.c.person_id).where(accounts.c.totara_id.is_not(None))
    waiting = (
        seats.c.purchase_id.in_(sorted(purchase_ids)),
        seats.c.role == role,
        seats.c.person_id != person_id,
        seats.c.person_id.not_in(with_account),
    )
    before = {int(person) for (person,) in connection.execute(select(seats.c.person_id).where(*waiting).distinct())}
    if before:
        connection.execute(update(seats).where(*waiting).values(person_id=person_id))
        before.add(person_id)
    return before


def reseat(connection: Connection, moves: Mapping[int, int | None]) -> set[int]:
    """Seat -> who sits there from now on, None for nobody; returns everybody concerned.

    A seat whose holder was given an account meanwhile stays where it is.
    """
    query = select(seats.c.id, seats.c.person_id).where(seats.c.id.in_(sorted(moves)))
    before = dict(connection.execute(query).all()) if moves else {}
    with_account = select(accounts.c.person_id).where(accounts.c.totara_id.is_not(None))
    for seat_id, person in sorted(moves.items()):
        role = None if person is None else Role.RECIPIENT
        statement = update(seats).where(seats.c.id == seat_id, seats.c.person_id.not_in(with_account))
        connection.execute(statement.values(person_id=person, role=role))
    return {person for person in (*before.values(), *moves.values()) if person is not None}


def begin_days(connection: Connection, begin: Mapping[int, Run]) -> None:
    """Write down from when the days of these seats count and when they run out, now that they have begun."""
    for seat_id, run in sorted(begin.items()):
        open_ended = (seats.c.id == seat_id, seats.c.until.is_(None))
        connection.execute(update(seats).where(*open_ended).values(begun_at=run.begun, until=run.until))


def move_days(connection: Connection, ends: Mapping[int, datetime]) -> None:
    """Write down when the days of these seats run out, where that has changed with what else is paid for."""
    for seat_id, until in sorted(ends.items()):
        running = (seats.c.id == seat_id, seats.c.begun_at.is_not(None))
        connection.execute(update(seats).where(*running).values(until=until))


def end_seats(connection: Connection, seat_ids: Collection[int], why: str, now: datetime) -> set[int]:
    """End these seats by a person's word; who sat on them."""
    mine = seats.c.id.in_(sorted(seat_ids))
    sat = {int(p) for (p,) in connection.execute(select(seats.c.person_id).where(mine)) if p is not None}
    connection.execute(update(seats).where(mine, seats.c.ended_at.is_(None)).values(ended_at=now, ended_why=why))
    return sat


def cut_short(connection: Connection, seat_ids: Collection[int], now: datetime) -> set[int]:
    """Let the access of seats that are still paid for end now, by a person's word; who sits on them.

    They stay seats of their purchase: one that had ended would be given back with the next look.
    """
    mine = seats.c.id.in_(sorted(seat_ids))
    sit = {int(p) for (p,) in connection.execute(select(seats.c.person_id).where(mine)) if p is not None}
    later = or_(seats.c.until.is_(None), seats.c.until > now)
    connection.execute(update(seats).where(mine, later).values(begun_at=None, until=now.replace(microsecond=0)))
    return sit


def sitting(connection: Connection, purchase_ids: Collection[int]) -> set[int]:
    """Who sits on a seat of these purchases that has not ended."""
    query = select(seats.c.person_id).where(
        seats.c.purchase_id.in_(sorted(purchase_ids)), seats.c.person_id.is_not(None), seats.c.ended_at.is_(None)
    )
    return {int(person) for (person,) in connection.execute(query)}


# --- small facts by name --------------------------------------------------------------------------------------------


def read_note(connection: Connection, name: str) -> tuple[Any, datetime] | None:
    """A small fact and when it was written down."""
    row = connection.execute(select(notes.c.value, notes.c.at).where(notes.c.name == name)).first()
    return (row[0], row[1]) if row else None


def write_note(store: Store, connection: Connection, name: str, value: Any, now: datetime) -> None:
    """Write down a small fact, in place of what was there."""
    statement = store.insert(notes).values(name=name, value=value, at=now)
    connection.execute(statement.on_conflict_do_update(index_elements=[notes.c.name], set_={"value": value, "at": now}))


def given_by_seat(*, open_too: bool = False) -> Any:
    """Joins a seat and its purchase to what it gives: all of that, or the one thing that was picked for the seat.

    ``open_too``: to all that may be picked, where nothing was yet.
    """
    i = purchase_items.c
    picked = and_(i.kind == seats.c.item_kind, i.item_id == seats.c.item_id)
    unpicked = (seats.c.item_id.is_(None),) if open_too else ()
    return and_(i.purchase_id == purchases.c.id, or_(purchases.c.picks.is_(False), picked, *unpicked))


def _waiting(now: datetime) -> Any:
    """Whoever sits on a seat that pays now, and whose access is not there, or can't be ended or changed."""
    begun = or_(purchases.c.starts.is_(None), purchases.c.starts <= now)
    going = [or_(end.is_(None), end > now) for end in (seats.c.until, purchases.c.until, purchases.c.grace_until)]
    ready = and_(access.c.state == State.ACTIVE, access.c.verified_at.is_not(None), access.c.trouble.is_(None))
    same = [access.c[name] == purchase_items.c[name] for name in ("kind", "item_id")]
    paid = seats.join(purchases, purchases.c.id == seats.c.purchase_id)
    items = paid.join(purchase_items, given_by_seat())
    given = items.outerjoin(access, and_(access.c.person_id == seats.c.person_id, *same))
    there = (seats.c.ended_at.is_(None), seats.c.person_id.is_not(None))
    sits = (*there, seats.c.waits.is_(None), purchases.c.held.is_(None))
    missing = or_(access.c.state.is_(None), not_(ready))
    return select(func.count(distinct(seats.c.id))).select_from(given).where(*sits, begun, *going, missing)


def counts(connection: Connection, now: datetime) -> Mapping[str, int]:
    """The ledger in numbers. ``held``: seats that rest; ``waiting``: seats in use whose access is not there yet."""
    queries = {
        "orders": select(func.count()).select_from(orders),
        "subscriptions": select(func.count()).select_from(subscriptions),
        "persons": select(func.count()).select_from(persons),
        "seats": select(func.count()).select_from(seats).where(seats.c.ended_at.is_(None)),
        "open_seats": select(func.count())
        .select_from(seats)
        .where(seats.c.ended_at.is_(None), seats.c.person_id.is_(None)),
        "held": select(func.count())
        .select_from(seats.join(purchases, purchases.c.id == seats.c.purchase_id))
        .where(seats.c.ended_at.is_(None), purchases.c.held.is_not(None)),
        "waiting": _waiting(now),
        "access": select(func.count()).select_from(access).where(access.c.state == State.ACTIVE),
        "products": select(func.count()).select_from(products).where(products.c.retired.is_(False)),
    }
    return {name: int(connection.execute(query).scalar() or 0) for name, query in queries.items()}


def is_our_product(connection: Connection, course_id: int) -> bool:
    """Whether the course was ever put on sale by the bridge."""
    query = select(products.c.course_id).where(products.c.course_id == course_id)
    return connection.execute(query).first() is not None
