"""Buyers and recipients: for whom the lines of an order or a subscription were bought."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from bridge.addresses import Addresses
from bridge.bookkeeping import Look
from bridge.domain.gifts import without_seat
from bridge.domain.identity import Contact, Identity, identity_of, is_email, normal_email
from bridge.domain.purchases import Buyer, Line, Unresolved, said_of, seat_counts
from bridge.errors import Refused
from bridge.store import ledger, people
from bridge.store.db import Store
from bridge.store.ledger import Source
from bridge.store.people import Person


class Buyers:
    """Tells for whom. ``gift_meta`` is the key of the line's meta in which recipients stand."""

    def __init__(self, store: Store, addresses: Addresses, gift_meta: str) -> None:
        self._store = store
        self._addresses = addresses
        self._gift_meta = gift_meta

    def who_buys(self, contact: Buyer, source: Source, known_id: int | None) -> int | Contact:
        """The buyer. The shop is asked for a registered customer: the account's address counts, not the bill's.

        Raises Refused if mail could reach nobody there.
        """
        identity = identity_of(contact.customer_id, contact.email)
        with self._store.read() as connection:
            before = people.get_person(connection, known_id) if known_id is not None else None
            known = before
            if known is None or known.totara_id is None:
                known = people.find_person(connection, identity) if contact.customer_id else None
        if known is not None and known.totara_id is not None:
            # Whatever the order says by now: what was given to somebody stays theirs.
            return known.id
        if before is not None and before.customer_id and not contact.customer_id and self._stays(before, contact):
            return before.id
        if contact.customer_id and (customer := self._addresses.customer(contact.customer_id)):
            contact = Buyer(
                customer.customer_id,
                customer.email or contact.email,
                customer.first_name or contact.first_name,
                customer.last_name or contact.last_name,
                contact.language,
            )
        email = normal_email(contact.email)
        if not is_email(email):
            raise Refused(f"{source} has no address that mail could reach: correct it in the shop")
        if not contact.customer_id:
            self._addresses.look(email)
        return Contact(identity, email, contact.first_name, contact.last_name, contact.language)

    def _stays(self, customer: Person, contact: Buyer) -> bool:
        """Whether an order that names no customer is a customer's all the same: it was bought as a guest before that
        guest turned out to be the customer; or the shop has deleted the account, and so taken it off its orders."""
        email = normal_email(contact.email)
        with self._store.read() as connection:
            if any(guest.email == email for guest in people.merged_into(connection, customer.id)):
                return True
        return self._addresses.customer(customer.customer_id or 0) is None

    def addressed(self, look: Look) -> tuple[Look, list[Unresolved]]:
        """The look with the recipients of its gifts; gifts to where no mail could reach are left out, and as they are.

        Their recipients stand in the line's meta, several of them with commas between. Where these are more than there
        are seats for, who gets one is for a person to say.
        """
        recipients: dict[int, list[Contact]] = {}
        nowhere: list[Unresolved] = []
        for line in (gift.line for gift in look.gives if gift.offer.items):
            words = said_of(line, self._gift_meta, look.gives).replace(";", ",").split(",")
            emails = dict.fromkeys(email for word in words if (email := normal_email(word)))
            if not all(map(is_email, emails)):
                said = f"line {line.id} is a gift to an address that mail could not reach: correct it in the shop"
                nowhere.append(Unresolved(line, said))
            elif emails:
                for email in emails:
                    self._addresses.look(email)
                recipients[line.id] = [Contact(Identity(None, email), email) for email in emails]
        out = {one.line.id for one in nowhere}
        gives = [gift for gift in look.gives if gift.line.id not in out]
        untold = look.untold | {look.keys[number] for number in out}
        look = replace(look, gives=gives, untold=untold, recipients=recipients)
        crowded = self._crowded(look)
        recipients |= {one.line.id: [] for one in crowded}
        return replace(look, recipients=recipients), [*nowhere, *crowded]

    def _crowded(self, look: Look) -> list[Unresolved]:
        """The gifts to more people than there are seats for. Whoever sat on one before needs none."""
        counts = seat_counts(look.gives, look.units)
        lines: dict[Hashable, list[Line]] = {}
        for gift in look.gives:
            if gift.line.id in look.recipients:
                lines.setdefault(look.keys[gift.line.id], []).append(gift.line)
        known = {one.key: one.id for one in look.known}
        crowded: list[Unresolved] = []
        for key, mine in lines.items():
            emails = {one.identity.guest_email: one for line in mine for one in look.recipients[line.id]}
            paid = sum(counts[gift.line.id] for gift in look.gives if look.keys[gift.line.id] == key)
            new, room = self._without_seat(known.get(key), list(emails.values()), paid)
            if new > room:
                crowded += [Unresolved(line, _too_many(line, look.source, new, room)) for line in mine]
        return crowded

    def _without_seat(self, purchase: int | None, named: Sequence[Contact], paid: int) -> tuple[int, int]:
        with self._store.read() as connection:
            found = [people.find_person(connection, one.identity) for one in named]
            seats = ledger.seats_of(connection, {purchase: purchase}) if purchase is not None else []
            waiting = people.without_account(connection, [seat.person for seat in seats if seat.person is not None])
        return without_seat(seats, [person.id if person else None for person in found], waiting, paid)


def _too_many(line: Line, source: Source, new: int, room: int) -> str:
    shown = f"{source.id}" if source.kind == "order" else f"{source.kind}:{source.id}"
    return (
        f"line {line.id} is a gift to more people than there are seats for: {new} of them have none, and {room} are "
        f"open. Take addresses off the line, or raise its quantity; `bridge seats list {shown}` shows who sits there"
    )
