"""The ledger: which order pays for which seat, who sits on it, and which enrolments were given for it.

Functions take the caller's connection, so that what belongs together commits together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, insert, or_, select, update

from bridge.domain.enrolments import Held, State
from bridge.domain.identity import Contact, Identity, new_key
from bridge.domain.purchases import Gives, Order, Seat, SeatPlan
from bridge.store.db import Store
from bridge.store.models import accounts, enrolments, notes, orders, persons, products, purchases, seats

# --- persons -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody we know. ``totara_id`` is None until the account is made; ``reserved`` is the address kept for it."""

    id: int
    key: str
    customer_id: int | None
    email: str
    first_name: str
    last_name: str
    totara_id: int | None = None
    reserved: str | None = None


_PERSON = select(
    persons.c.id,
    persons.c.key,
    persons.c.customer_id,
    persons.c.email,
    persons.c.first_name,
    persons.c.last_name,
    accounts.c.totara_id,
    accounts.c.email,
).select_from(persons.outerjoin(accounts, accounts.c.person_id == persons.c.id))


_BY_ID = _PERSON.where(persons.c.id == bindparam("person"))
_BY_CUSTOMER = _PERSON.where(persons.c.customer_id == bindparam("customer"))
_BY_GUEST = _PERSON.where(persons.c.guest_email == bindparam("guest"))


def find_person(connection: Connection, identity: Identity) -> Person | None:
    """The person of this identity, if we have met."""
    if identity.customer_id is not None:
        row = connection.execute(_BY_CUSTOMER, {"customer": identity.customer_id}).first()
    else:
        row = connection.execute(_BY_GUEST, {"guest": identity.guest_email}).first()
    return Person(*row) if row else None


def get_person(connection: Connection, person_id: int) -> Person | None:
    """The person with this id."""
    row = connection.execute(_BY_ID, {"person": person_id}).first()
    return Person(*row) if row else None


def ensure_person(store: Store, connection: Connection, who: Contact | int, now: datetime) -> int:
    """The person's id; a new one is written down, a known one without an account yet gets the newer contact.

    The address is reserved for the account to come, unless another has it. An id is given back as it is.
    """
    if isinstance(who, int):
        return who
    contact = {"email": who.email, "first_name": who.first_name[:100], "last_name": who.last_name[:100]}
    identity = {"customer_id": who.identity.customer_id, "guest_email": who.identity.guest_email}
    person = find_person(connection, who.identity)
    if person is None:
        made = connection.execute(
            store.insert(persons)
            .values(key=new_key(), created_at=now, **identity, **contact)
            .on_conflict_do_nothing()
            .returning(persons.c.id)
        ).scalar()
        person = find_person(connection, who.identity) if made is None else None
        if person is None:
            if made is None:
                raise LookupError("the person vanished while being written")
            reserve_account(store, connection, int(made), who.email)
            return int(made)
    if person.totara_id is None and (person.email, person.first_name, person.last_name) != tuple(contact.values()):
        connection.execute(update(persons).where(persons.c.id == person.id).values(contact))
        reserve_account(store, connection, person.id, who.email)
    return person.id


def reserve_account(store: Store, connection: Connection, person_id: int, email: str) -> int | None:
    """Reserve an address for a person's one account. None when it is theirs, else the id of whose it is.

    The key on the address makes this the place where two workers, or two persons, can't both win.
    """
    taken = store.insert(accounts).values(person_id=person_id, email=email).on_conflict_do_nothing()
    if connection.execute(taken.returning(accounts.c.person_id)).scalar() is not None:
        return None
    holder = connection.execute(select(accounts.c.person_id).where(accounts.c.email == email)).scalar()
    if holder is None:  # theirs is for an address they have changed since: no account was made for it
        connection.execute(
            update(accounts)
            .where(accounts.c.person_id == person_id, accounts.c.totara_id.is_(None))
            .values(email=email)
        )
        return None
    return None if holder == person_id else int(holder)


def account_made(connection: Connection, person_id: int, totara_id: int, now: datetime) -> None:
    """Write down which Totara account is the person's."""
    connection.execute(
        update(accounts).where(accounts.c.person_id == person_id).values(totara_id=totara_id, made_at=now)
    )


# --- orders --------------------------------------------------------------------------------------------------------


def known_lines(connection: Connection, order_id: int) -> dict[int, int | None]:
    """Line id -> course, for every line ever seen of the order."""
    query = select(purchases.c.line_id, purchases.c.course_id).where(purchases.c.order_id == order_id)
    return dict(connection.execute(query).all())


def courses_of_products(connection: Connection, product_ids: Collection[int]) -> dict[int, int]:
    """Product id -> course, for our products."""
    query = select(products.c.product_id, products.c.course_id).where(products.c.product_id.in_(sorted(product_ids)))
    return dict(connection.execute(query).all())


def seats_of(connection: Connection, order_id: int) -> list[Seat]:
    """All seats of an order, ended ones too."""
    query = (
        select(
            purchases.c.line_id,
            seats.c.unit,
            purchases.c.course_id,
            seats.c.person_id.is_not(None),
            seats.c.ended_at.is_(None),
        )
        .join(purchases, purchases.c.id == seats.c.purchase_id)
        .where(purchases.c.order_id == order_id)
    )
    return [Seat(*row) for row in connection.execute(query)]


def record_order(
    store: Store,
    connection: Connection,
    order: Order,
    person_id: int | None,
    gives: Iterable[Gives],
    now: datetime,
) -> None:
    """Write down the order as it was seen, and what each line gives. A person once set stays."""
    values = {"status": order.status, "modified": order.modified, "looked_at": now}
    statement = store.insert(orders).values(id=order.id, person_id=person_id, **values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[orders.c.id],
            set_={**values, "person_id": func.coalesce(orders.c.person_id, statement.excluded.person_id)},
        )
    )
    for gift in gives:
        line = store.insert(purchases).values(
            order_id=order.id, line_id=gift.line.id, course_id=gift.course_id, quantity=gift.line.quantity
        )
        connection.execute(
            line.on_conflict_do_update(
                index_elements=[purchases.c.order_id, purchases.c.line_id],
                set_={
                    "quantity": line.excluded.quantity,
                    "course_id": func.coalesce(purchases.c.course_id, line.excluded.course_id),
                },
            )
        )


def buyer_of(connection: Connection, order_id: int) -> Person | None:
    """The person who was written down as the order's buyer."""
    row = connection.execute(
        _PERSON.join(orders, orders.c.person_id == persons.c.id).where(orders.c.id == order_id)
    ).first()
    return Person(*row) if row else None


def is_known(connection: Connection, order_id: int) -> bool:
    """Whether the order was ever written down."""
    return find_order(connection, order_id) is not None


_ORDER = select(orders).where(orders.c.id == bindparam("order"))


def find_order(connection: Connection, order_id: int) -> Row[Any] | None:
    """The order as it was last written down."""
    return connection.execute(_ORDER, {"order": order_id}).first()


def set_order(connection: Connection, order_id: int, **values: Any) -> None:
    """Write down something about an order that is known."""
    connection.execute(update(orders).where(orders.c.id == order_id).values(**values))


def record_gone(connection: Connection, order_id: int, now: datetime) -> bool:
    """Write down that a known order has been deleted for good. False if it never was known."""
    done = connection.execute(update(orders).where(orders.c.id == order_id).values(status="deleted", looked_at=now))
    return done.rowcount == 1


def apply_seats(
    connection: Connection, order_id: int, plan: SeatPlan, person_id: int | None, why: str, now: datetime
) -> set[int]:
    """Carry out a seat plan. Returns the persons whose seats changed."""
    query = select(purchases.c.line_id, purchases.c.id).where(purchases.c.order_id == order_id)
    ids = dict(connection.execute(query).all())
    if plan.give:
        connection.execute(
            insert(seats),
            [
                {
                    "purchase_id": ids[seat.line_id],
                    "unit": seat.unit,
                    "person_id": person_id if seat.taken else None,
                    "since": now,
                }
                for seat in plan.give
            ],
        )
    for ending, group in ((False, plan.revive), (True, plan.end)):
        for seat in group:
            connection.execute(
                update(seats)
                .where(seats.c.purchase_id == ids[seat.line_id], seats.c.unit == seat.unit)
                .values(ended_at=now if ending else None, ended_why=why if ending else None)
            )
    for seat in plan.take:
        connection.execute(
            update(seats)
            .where(seats.c.purchase_id == ids[seat.line_id], seats.c.unit == seat.unit, seats.c.person_id.is_(None))
            .values(person_id=person_id)
        )
    touched_seats = (*plan.give, *plan.revive, *plan.end, *plan.take)
    changed = [(ids[seat.line_id], seat.unit) for seat in touched_seats if seat.taken or seat in plan.take]
    if not changed:
        return set()
    touched = select(seats.c.person_id).where(
        or_(*(and_(seats.c.purchase_id == purchase, seats.c.unit == unit) for purchase, unit in changed))
    )
    return {int(person) for (person,) in connection.execute(touched) if person is not None}


def move_seats(connection: Connection, order_id: int, person_id: int) -> set[int]:
    """Give this person the order's taken seats whose holder has no account yet; returns everybody concerned.

    So a mistyped address can be corrected in the shop. Once an account was made, a seat stays where it is.
    """
    without_account = select(persons.c.id).where(
        persons.c.id.not_in(select(accounts.c.person_id).where(accounts.c.totara_id.is_not(None)))
    )
    mine = select(purchases.c.id).where(purchases.c.order_id == order_id)
    waiting = (seats.c.purchase_id.in_(mine), seats.c.person_id != person_id, seats.c.person_id.in_(without_account))
    connection.execute(
        update(orders)
        .where(orders.c.id == order_id, orders.c.person_id.in_(without_account))
        .values(person_id=person_id)
    )
    before = {int(person) for (person,) in connection.execute(select(seats.c.person_id).where(*waiting).distinct())}
    if not before:
        return set()
    connection.execute(update(seats).where(*waiting).values(person_id=person_id))
    return before | {person_id}


def seen_orders(connection: Connection, order_ids: Collection[int]) -> dict[int, tuple[datetime | None, datetime]]:
    """Order id -> (modified as seen, when we looked)."""
    query = select(orders.c.id, orders.c.modified, orders.c.looked_at).where(orders.c.id.in_(sorted(order_ids)))
    return {order: (modified, looked) for order, modified, looked in connection.execute(query)}


# --- learners ------------------------------------------------------------------------------------------------------


def wanted_courses(connection: Connection, person_id: int) -> set[int]:
    """The courses that at least one live seat of the person pays for."""
    query = (
        select(purchases.c.course_id)
        .join(seats, seats.c.purchase_id == purchases.c.id)
        .where(seats.c.person_id == person_id, seats.c.ended_at.is_(None), purchases.c.course_id.is_not(None))
    )
    return {int(course) for (course,) in connection.execute(query)}


def held_enrolments(connection: Connection, person_id: int) -> dict[int, Held]:
    """The enrolments we gave, or tried to give, by course."""
    query = select(enrolments.c.course_id, enrolments.c.state, enrolments.c.verified_at.is_not(None)).where(
        enrolments.c.person_id == person_id
    )
    return {course: Held(course, State(state), verified) for course, state, verified in connection.execute(query)}


def record_enrolment(
    store: Store, connection: Connection, person_id: int, course_id: int, now: datetime, **values: Any
) -> None:
    """Write down what became of an enrolment: ``state``, ``verified_at``, ``completed``, ``trouble``."""
    statement = store.insert(enrolments).values(person_id=person_id, course_id=course_id, since=now, **values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[enrolments.c.person_id, enrolments.c.course_id], set_={"since": now, **values}
        )
    )


def doubt(connection: Connection, person_ids: Collection[int]) -> None:
    """Have the enrolments of these persons looked at again in Totara."""
    connection.execute(
        update(enrolments).where(enrolments.c.person_id.in_(sorted(person_ids))).values(verified_at=None)
    )


def orders_of(connection: Connection, person_id: int) -> list[int]:
    """The orders that pay, or paid, for a seat of the person."""
    query = (
        select(purchases.c.order_id)
        .join(seats, seats.c.purchase_id == purchases.c.id)
        .where(seats.c.person_id == person_id)
        .distinct()
    )
    return sorted(order for (order,) in connection.execute(query))


def learners_of(connection: Connection, order_id: int) -> list[int]:
    """The persons who sit, or sat, on a seat of the order."""
    query = (
        select(seats.c.person_id)
        .join(purchases, purchases.c.id == seats.c.purchase_id)
        .where(purchases.c.order_id == order_id, seats.c.person_id.is_not(None))
        .distinct()
    )
    return sorted(int(person) for (person,) in connection.execute(query))


@dataclass(frozen=True, slots=True)
class SeatReport:
    """One seat, for the note on its order."""

    line_id: int
    course_id: int
    unit: int
    live: bool
    why: str | None
    person_id: int | None
    totara_id: int | None
    state: str | None
    verified: bool
    trouble: str | None


def report(connection: Connection, order_id: int) -> list[SeatReport]:
    """How every seat of an order stands."""
    query = (
        select(
            purchases.c.line_id,
            purchases.c.course_id,
            seats.c.unit,
            seats.c.ended_at.is_(None),
            seats.c.ended_why,
            seats.c.person_id,
            accounts.c.totara_id,
            enrolments.c.state,
            enrolments.c.verified_at.is_not(None),
            enrolments.c.trouble,
        )
        .select_from(
            seats.join(purchases, purchases.c.id == seats.c.purchase_id)
            .outerjoin(accounts, accounts.c.person_id == seats.c.person_id)
            .outerjoin(
                enrolments,
                and_(
                    enrolments.c.person_id == seats.c.person_id,
                    enrolments.c.course_id == purchases.c.course_id,
                ),
            )
        )
        .where(purchases.c.order_id == order_id)
        .order_by(purchases.c.line_id, seats.c.unit)
    )
    return [SeatReport(*row) for row in connection.execute(query)]


# --- small facts by name --------------------------------------------------------------------------------------------


def read_note(connection: Connection, name: str) -> tuple[Any, datetime] | None:
    """A small fact and when it was written down."""
    row = connection.execute(select(notes.c.value, notes.c.at).where(notes.c.name == name)).first()
    return (row[0], row[1]) if row else None


def write_note(store: Store, connection: Connection, name: str, value: Any, now: datetime) -> None:
    """Write down a small fact, in place of what was there."""
    statement = store.insert(notes).values(name=name, value=value, at=now)
    connection.execute(statement.on_conflict_do_update(index_elements=[notes.c.name], set_={"value": value, "at": now}))


def counts(connection: Connection) -> Mapping[str, int]:
    """The ledger in numbers."""
    queries = {
        "orders": select(func.count()).select_from(orders),
        "persons": select(func.count()).select_from(persons),
        "seats": select(func.count()).select_from(seats).where(seats.c.ended_at.is_(None)),
        "open_seats": select(func.count())
        .select_from(seats)
        .where(seats.c.ended_at.is_(None), seats.c.person_id.is_(None)),
        "enrolments": select(func.count()).select_from(enrolments).where(enrolments.c.state == State.ACTIVE),
        "products": select(func.count()).select_from(products).where(products.c.retired.is_(False)),
    }
    return {name: int(connection.execute(query).scalar() or 0) for name, query in queries.items()}


def is_our_product(connection: Connection, course_id: int) -> bool:
    """Whether the course was ever put on sale by the bridge."""
    query = select(products.c.course_id).where(products.c.course_id == course_id)
    return connection.execute(query).first() is not None
