"""People: who we know, and the learning account of each.

Functions take the caller's connection, so that what belongs together commits together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, or_, select, update

from bridge.domain.identity import Contact, Identity, new_key
from bridge.store.db import Store
from bridge.store.models import accounts, orders, persons, seats


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
    language: str = ""


_PERSON = select(
    persons.c.id,
    persons.c.key,
    persons.c.customer_id,
    persons.c.email,
    persons.c.first_name,
    persons.c.last_name,
    accounts.c.totara_id,
    accounts.c.email,
    persons.c.language,
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


def persons_with(connection: Connection, email: str) -> list[Person]:
    """Everybody who has this address, typed it as a guest, or has an account that was made with it."""
    mine = or_(persons.c.email == email, persons.c.guest_email == email, accounts.c.email == email)
    return [Person(*row) for row in connection.execute(_PERSON.where(mine).order_by(persons.c.id))]


def ensure_person(store: Store, connection: Connection, who: Contact | int, now: datetime) -> int:
    """The person's id; a new one is written down, a known one without an account yet gets the newer contact.

    The address is reserved for the account to come, unless another has it. An id is given back as it is.
    """
    if isinstance(who, int):
        return who
    contact = {"email": who.email, "first_name": who.first_name[:100], "last_name": who.last_name[:100]}
    contact |= {"language": who.language[:16]} if who.language else {}
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
    if person.totara_id is None and any(getattr(person, name) != value for name, value in contact.items()):
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


def without_account(connection: Connection, person_ids: Collection[int]) -> set[int]:
    """Those of these persons for whom no account was made yet."""
    query = select(accounts.c.person_id).where(
        accounts.c.person_id.in_(sorted(set(person_ids))), accounts.c.totara_id.is_not(None)
    )
    return set(person_ids) - {int(person) for (person,) in connection.execute(query)}


def correct_buyer(connection: Connection, order_id: int, person_id: int) -> None:
    """Another buyer of the order, while no account was made for the one who was written down."""
    with_account = select(accounts.c.person_id).where(accounts.c.totara_id.is_not(None))
    connection.execute(
        update(orders)
        .where(orders.c.id == order_id, orders.c.person_id != person_id, orders.c.person_id.not_in(with_account))
        .values(person_id=person_id)
    )


def persons_of_seats(connection: Connection, seat_ids: Collection[int]) -> dict[int, Person]:
    """Seat id -> who sits there."""
    query = _PERSON.add_columns(seats.c.id).join(seats, seats.c.person_id == persons.c.id)
    rows = connection.execute(query.where(seats.c.id.in_(sorted(seat_ids))))
    return {int(row[-1]): Person(*row[:-1]) for row in rows}
