"""People: who we know, and the learning account of each.

Functions take the caller's connection, so that what belongs together commits together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, literal, or_, select, update

from bridge.domain.identity import Contact, How, Identity, Party, Proof, clean_name, new_key, standing
from bridge.domain.purchases import Role
from bridge.store.db import Store
from bridge.store.models import accounts, orders, persons, proofs, seats, subscriptions


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody we know. ``totara_id`` is None until the account is made; ``reserved`` is the address kept for it.

    ``merged_into`` is who this one turned out to be; ``linked`` tells that the account was there before us, ``vouched``
    that an operator said whose it is. ``shop_email`` is what the shop has for the customer, where it is another address
    than ``email``.
    """

    id: int
    key: str
    customer_id: int | None
    email: str
    first_name: str
    last_name: str
    totara_id: int | None = None
    reserved: str | None = None
    language: str = ""
    merged_into: int | None = None
    linked: bool | None = None
    vouched: bool | None = None
    shop_email: str | None = None

    @property
    def has(self) -> str:
        """The address that is theirs to prove: of a customer, what the shop has for them."""
        return self.shop_email or self.email

    @property
    def name(self) -> str:
        """The whole name, "" for none."""
        return " ".join(f"{self.first_name} {self.last_name}".split())

    @property
    def party(self) -> Party:
        """What matters of the person when two may be one."""
        merged = self.merged_into is not None
        return Party(self.id, self.customer_id is not None, self.totara_id, merged)


#: What a person is made of, with their account if there is one.
COLUMNS = (
    persons.c.id,
    persons.c.key,
    persons.c.customer_id,
    persons.c.email,
    persons.c.first_name,
    persons.c.last_name,
    accounts.c.totara_id,
    accounts.c.email,
    persons.c.language,
    persons.c.merged_into,
    accounts.c.linked,
    accounts.c.vouched,
    persons.c.shop_email,
)
_PERSON = select(*COLUMNS).select_from(persons.outerjoin(accounts, accounts.c.person_id == persons.c.id))


#: A person's whole name, "" for none.
WHOLE_NAME = func.trim(persons.c.first_name + literal(" ") + persons.c.last_name)

_BY_ID = _PERSON.where(persons.c.id == bindparam("person"))
_BY_CUSTOMER = _PERSON.where(persons.c.customer_id == bindparam("customer"))
_BY_GUEST = _PERSON.where(persons.c.guest_email == bindparam("guest"))
#: The same, and whoever reads so is not merged into another before the reader has committed. SQLite's writers take
#: turns anyway.
_BY_ID_HELD, _BY_CUSTOMER_HELD, _BY_GUEST_HELD = (
    query.with_for_update(read=True, key_share=True, of=persons) for query in (_BY_ID, _BY_CUSTOMER, _BY_GUEST)
)


def find_person(connection: Connection, identity: Identity, *, hold: bool = False) -> Person | None:
    """The person of this identity, if we have met; of one who was merged into another, the other.

    With ``hold`` nobody merges the person before the caller's transaction has ended.
    """
    if identity.customer_id is not None:
        query = _BY_CUSTOMER_HELD if hold else _BY_CUSTOMER
        row = connection.execute(query, {"customer": identity.customer_id}).first()
    else:
        query = _BY_GUEST_HELD if hold else _BY_GUEST
        row = connection.execute(query, {"guest": identity.guest_email}).first()
    return living(connection, Person(*row)) if row else None


def living(connection: Connection, person: Person) -> Person | None:
    """Whoever this person is by now; of one who was merged nobody merges the other before the transaction has ended."""
    return person if person.merged_into is None else hold_person(connection, person.merged_into)


def get_person(connection: Connection, person_id: int) -> Person | None:
    """The person with this id, also one who was merged into another."""
    row = connection.execute(_BY_ID, {"person": person_id}).first()
    return Person(*row) if row else None


def hold_person(connection: Connection, person_id: int) -> Person | None:
    """The person with this id, or whoever it became, whom nobody merges before the caller's transaction has ended."""
    row = connection.execute(_BY_ID_HELD, {"person": person_id}).first()
    return living(connection, Person(*row)) if row else None


def persons_with(connection: Connection, email: str) -> list[Person]:
    """Everybody who has this address, typed it as a guest, or has an account that was made with it."""
    columns = (persons.c.email, persons.c.shop_email, persons.c.guest_email, accounts.c.email)
    mine = or_(*(column == email for column in columns))
    return [Person(*row) for row in connection.execute(_PERSON.where(mine).order_by(persons.c.id))]


def customers_with(connection: Connection, email: str) -> list[Person]:
    """The registered customers to whom the shop has this address, proven or not, and who are nobody else by now."""
    has = func.coalesce(persons.c.shop_email, persons.c.email)
    mine = (has == email, persons.c.customer_id.is_not(None), persons.c.merged_into.is_(None))
    return [Person(*row) for row in connection.execute(_PERSON.where(*mine).order_by(persons.c.id))]


def reached_by(connection: Connection, email: str) -> Person | None:
    """Who may sign in by a link that is mailed to this address, if anybody: the customer who has proven it, or whoever
    is known by it alone. What somebody typed into an account of the shop is no reason to write to anybody.
    """
    owner = owner_of(connection, email)
    if owner is not None:
        return get_person(connection, owner)
    guest = connection.execute(_BY_GUEST, {"guest": email}).first()
    person = Person(*guest) if guest else None
    return person if person is not None and person.merged_into is None else None


def living_id(connection: Connection, person_id: int) -> int:
    """The id of whoever this person is by now."""
    became = connection.execute(select(persons.c.merged_into).where(persons.c.id == person_id)).scalar()
    return person_id if became is None else living_id(connection, int(became))


def merged_into(connection: Connection, person_id: int) -> list[Person]:
    """Whoever turned out to be this person."""
    query = _PERSON.where(persons.c.merged_into == person_id).order_by(persons.c.id)
    return [Person(*row) for row in connection.execute(query)]


def ids_of(connection: Connection, person_id: int) -> list[int]:
    """A person, and whoever turned out to be this person."""
    return [person_id, *(part.id for part in merged_into(connection, person_id))]


def ensure_person(store: Store, connection: Connection, who: Contact | int, now: datetime) -> int:
    """The person's id; a new one is written down, a known one without an account yet gets the newer contact.

    The address is reserved for the account to come, unless another has it. Whoever was merged into another is that
    other, and a guest's address that a customer has proven is the customer's: what is bought for it is theirs. Who is
    found so is not merged before the caller's transaction has ended.
    """
    if isinstance(who, int):
        living = hold_person(connection, who)
        return living.id if living else who
    contact = {"email": who.email, "first_name": who.first_name, "last_name": who.last_name}
    contact |= {"language": who.language} if who.language else {}
    identity = {"customer_id": who.identity.customer_id, "guest_email": who.identity.guest_email}
    person = find_person(connection, who.identity, hold=True)
    if person is None and who.identity.guest_email and (owner := owner_of(connection, who.identity.guest_email)):
        return ensure_person(store, connection, owner, now)
    if person is None:
        made = connection.execute(
            store.insert(persons)
            .values(key=new_key(), created_at=now, **identity, **contact)
            .on_conflict_do_nothing()
            .returning(persons.c.id)
        ).scalar()
        person = find_person(connection, who.identity, hold=True) if made is None else None
        if person is None:
            if made is None:
                raise LookupError("the person vanished while being written")
            reserve_account(store, connection, int(made), who.email)
            return int(made)
    theirs = person.customer_id == who.identity.customer_id  # else these are the words of one who was merged
    if theirs and person.totara_id is None and any(getattr(person, name) != value for name, value in contact.items()):
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


def account_made(
    connection: Connection,
    person_id: int,
    totara_id: int,
    now: datetime,
    *,
    linked: bool = False,
    vouched: bool = False,
) -> None:
    """Write down which Totara account is the person's. ``linked``: it was there before us; ``vouched``: an operator
    said so.
    """
    values = {"totara_id": totara_id, "made_at": now, "linked": linked, "vouched": vouched}
    connection.execute(update(accounts).where(accounts.c.person_id == person_id).values(values))


def vouch(connection: Connection, person_id: int) -> None:
    """Write down that an operator said that the account is the person's."""
    connection.execute(update(accounts).where(accounts.c.person_id == person_id).values(vouched=True))


def account_left(connection: Connection, person_id: int) -> None:
    """Write down that the person has no Totara account any more. The address stays reserved."""
    none = {"totara_id": None, "made_at": None, "linked": False, "vouched": False}
    connection.execute(update(accounts).where(accounts.c.person_id == person_id).values(none))


def holder_of(connection: Connection, totara_id: int) -> int | None:
    """Whose a Totara account is among the persons we know."""
    found = connection.execute(select(accounts.c.person_id).where(accounts.c.totara_id == totara_id)).scalar()
    return None if found is None else int(found)


def change_address(store: Store, connection: Connection, person_id: int, email: str) -> None:
    """Another address for a person, to write to; reserved for the person too, unless another has it.

    The Totara account that was made stays as it is, and the old address is free for others.
    """
    connection.execute(update(persons).where(persons.c.id == person_id).values(email=email, shop_email=None))
    if reserve_account(store, connection, person_id, email) is None:
        connection.execute(update(accounts).where(accounts.c.person_id == person_id).values(email=email))


def shop_has(store: Store, connection: Connection, person: Person, email: str) -> None:
    """The shop has this address for a customer, which may not be checked there.

    Before there is an account that is where they are written to; afterwards they are written to where they were, but
    what the shop has no more is no longer theirs to prove.
    """
    mine = update(persons).where(persons.c.id == person.id)
    if person.totara_id is not None:
        connection.execute(mine.values(shop_email=None if email == person.email else email))
        return
    connection.execute(mine.values(email=email, shop_email=None))
    reserve_account(store, connection, person.id, email)


def without_account(connection: Connection, person_ids: Collection[int]) -> set[int]:
    """Those of these persons for whom no account was made yet."""
    query = select(accounts.c.person_id).where(
        accounts.c.person_id.in_(sorted(set(person_ids))), accounts.c.totara_id.is_not(None)
    )
    return set(person_ids) - {int(person) for (person,) in connection.execute(query)}


def call_by(connection: Connection, person: Person, first_name: str, last_name: str) -> None:
    """The names by which somebody says they are called, as long as no account was made with others."""
    first, last = clean_name(first_name), clean_name(last_name)
    if person.totara_id is None and (first or last):
        mine = persons.c.id == person.id
        connection.execute(update(persons).where(mine).values(first_name=first, last_name=last))


def is_known_otherwise(connection: Connection, person: Person) -> bool:
    """Whether more is known of somebody than what lists of teams say: they have an account here or in the shop, have
    proven an address, have bought something, or were given it by somebody who bought it for them.
    """
    if person.customer_id is not None or person.totara_id is not None or proofs_of(connection, person.id):
        return True
    named = select(seats.c.id).where(seats.c.person_id == person.id, seats.c.role != Role.ASSIGNED).limit(1)
    bought = [select(table.c.id).where(table.c.person_id == person.id).limit(1) for table in (orders, subscriptions)]
    return any(connection.execute(query).first() is not None for query in (named, *bought))


def call_anew(connection: Connection, person: Person, first_name: str, last_name: str, language: str) -> None:
    """Somebody's name and language, as far as they are told now."""
    first, last = clean_name(first_name), clean_name(last_name)
    values = {"first_name": first, "last_name": last} if first or last else {}
    values |= {"language": language[:16]} if language else {}
    if values:
        connection.execute(update(persons).where(persons.c.id == person.id).values(**values))


def correct_buyer(connection: Connection, order_id: int, person_id: int) -> None:
    """Another buyer of the order, while no account was made for the one who was written down."""
    with_account = select(accounts.c.person_id).where(accounts.c.totara_id.is_not(None))
    connection.execute(
        update(orders)
        .where(orders.c.id == order_id, orders.c.person_id != person_id, orders.c.person_id.not_in(with_account))
        .values(person_id=person_id)
    )


# --- proofs ----------------------------------------------------------------------------------------------------------


def record_proof(connection: Connection, person_id: int, email: str, how: How, now: datetime) -> None:
    """Write down that a person has proven an address, or that it is not so."""
    connection.execute(insert(proofs).values(person_id=person_id, email=email, how=how, at=now))


def _proofs(connection: Connection, *where: ColumnElement[bool]) -> list[Proof]:
    """Proofs as those of whom their persons became, the oldest first."""
    of = func.coalesce(persons.c.merged_into, persons.c.id)
    query = select(of, proofs.c.email, proofs.c.how, proofs.c.at).join(persons, persons.c.id == proofs.c.person_id)
    rows = connection.execute(query.where(*where).order_by(proofs.c.id))
    return [Proof(int(person), email, How(how), at) for person, email, how, at in rows]


def proofs_of(connection: Connection, person_id: int) -> dict[str, Proof]:
    """The addresses that a person, or who became the person, has proven, with the newest proof of each."""
    found = sorted(_proofs(connection, _part_of(person_id)), key=lambda proof: proof.email)
    told = {email: standing(list(group)) for email, group in groupby(found, key=lambda proof: proof.email)}
    return {email: proof for email, proof in told.items() if proof is not None}


def _part_of(person_id: int) -> ColumnElement[bool]:
    return or_(persons.c.id == person_id, persons.c.merged_into == person_id)


def ways_proven(connection: Connection, person_id: int, email: str) -> set[How]:
    """How a person has ever proven an address, whether it counts or not."""
    return {proof.how for proof in _proofs(connection, _part_of(person_id), proofs.c.email == email)}


def owner_of(connection: Connection, email: str) -> int | None:
    """The registered customer who has proven an address and still has it; None if there is none, or more than one."""
    owners = owners_of(connection, email)
    return owners[0] if len(owners) == 1 else None


def owners_of(connection: Connection, email: str) -> list[int]:
    """Every registered customer who has proven an address and has it in the shop still, or whom an operator gave it."""
    found = sorted(_proofs(connection, proofs.c.email == email), key=lambda proof: proof.person)
    owners = []
    for person_id, group in groupby(found, key=lambda proof: proof.person):
        said = list(group)
        person = get_person(connection, person_id) if standing(said) else None
        if person is None or person.merged_into is not None:
            continue
        given = any(proof.how is How.OPERATOR for proof in said)
        if given or (person.customer_id is not None and email == person.has):
            owners.append(person_id)
    return owners


def emails_of(connection: Connection, person_ids: Collection[int]) -> dict[int, str]:
    """The addresses of these persons."""
    query = select(persons.c.id, persons.c.email).where(persons.c.id.in_(sorted(set(person_ids))))
    return {int(one): email for one, email in connection.execute(query)}


def known_by(connection: Connection, emails: Collection[str]) -> dict[str, int]:
    """Address -> whoever is known by it and would be found as a guest; without those whom nobody is known by."""
    query = select(persons.c.guest_email, persons.c.id, persons.c.merged_into)
    rows = connection.execute(query.where(persons.c.guest_email.in_(sorted(emails)))).all()
    found = {email: int(one) if became is None else living_id(connection, became) for email, one, became in rows}
    proven = select(proofs.c.email).where(proofs.c.email.in_(sorted(set(emails) - found.keys()))).distinct()
    owners = {email: owner_of(connection, email) for (email,) in connection.execute(proven)}
    return found | {email: person for email, person in owners.items() if person is not None}


def guests_with(connection: Connection, emails: Collection[str]) -> list[Person]:
    """The guests who typed one of these addresses, and are nobody else yet."""
    mine = (persons.c.guest_email.in_(sorted(emails)), persons.c.merged_into.is_(None))
    return [Person(*row) for row in connection.execute(_PERSON.where(*mine).order_by(persons.c.id))]
