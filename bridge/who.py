"""Who is who: what follows from a proven address, and what two persons or an account have to be to become one.

The rules are in :mod:`bridge.domain.identity`; here they meet the ledger and Totara.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bridge.domain.identity import How, Identity, Ruling, Says, is_email, may_be_one, may_link, normal_email
from bridge.domain.lms import Account
from bridge.errors import NotFound, Refused, Unavailable
from bridge.kinds import LEARNER
from bridge.settings import Totara as TotaraSettings
from bridge.shop_tokens import Launch
from bridge.store import audit, merging, people, signon
from bridge.store.db import Store
from bridge.store.people import Person
from bridge.store.work import Work
from bridge.totara_client import TotaraClient
from bridge.worker import Done

#: What the audit log says of each way.
_PROVEN = {
    How.LINK: "a link that was mailed there was opened",
    How.SHOP: "the shop has checked it",
    How.OPERATOR: "an operator said so",
}

#: How the reasons of parked learners speak of addresses: by these a conflict is known.
TAKEN, EXISTING, APART = (
    "has to be proven before both can be one",
    "an account the bridge did not make",
    "has proven the address of person",
)


def prove(store: Store, connection: Connection, person_id: int, email: str, how: str, now: datetime) -> None:
    """Write down that a person has proven an address, and owe the look at them that follows from it.

    ``how`` is "link": a link that we mailed there was opened; "shop": the shop's own check of its customer's address;
    or "operator". To be called in the transaction of whatever proved it; ring ``store.bell`` after it has committed.
    May be called at each sign-in: what was proven before costs a look into the table, and owes nothing.

    What the shop has checked is the customer's address from now on, to write to. An account that was made stays as it
    is. Raises NotFound for a person whom nobody knows, ValueError for what is no address or no such way.
    """
    email, way = normal_email(email), How(how)
    if way is How.WITHDRAWN or not is_email(email):
        raise ValueError("an address is proven by link, shop or operator")
    person = people.hold_person(connection, person_id)
    if person is None:
        raise NotFound(f"there is no person {person_id}")
    moved = way is How.SHOP and person.customer_id is not None and (email != person.email or person.has != email)
    if moved:
        people.change_address(store, connection, person.id, email)
        why = "the shop has another for the customer, and has checked it"
        audit.note(connection, "address changed", why, now, person_id=person.id)
    new = way is How.OPERATOR or way not in people.ways_proven(connection, person.id, email)
    if new:
        people.record_proof(connection, person.id, email, way, now)
        audit.note(connection, "address proven", _PROVEN[way], now, person_id=person.id, facts={"how": str(way)})
    if new or moved:
        Work(store, now=lambda: now).mark(connection, LEARNER, [person.id])


def shop_tells(store: Store, connection: Connection, customer_id: int, email: str, now: datetime) -> None:
    """Heed which address the shop has for a customer just now, checked or not.

    Whatever it has no more the customer has given up: that address may be somebody else's by now. What was proven of it
    counts no more, links that were mailed there open nothing, and whoever came by one is signed out.
    """
    email, person = normal_email(email), people.find_person(connection, Identity(customer_id, None), hold=True)
    # Of a customer whom an operator made a part of another, the other's address says nothing.
    if person is None or person.customer_id != customer_id or not is_email(email) or email == person.has:
        return
    theirs = person.id in people.owners_of(connection, person.has)
    people.shop_has(store, connection, person, email)
    if theirs and person.id not in people.owners_of(connection, person.has):
        everybody = people.ids_of(connection, person.id)
        signon.forget_ways_in(connection, everybody, person.has)
        signon.end_link_visits(connection, everybody)
        why = "the shop has another for the customer"
        audit.note(connection, "address given up", why, now, person_id=person.id)


def tells_news(connection: Connection, person: Person, launch: Launch) -> bool:
    """Whether there may be something to write down of what the shop tells of a customer who comes in, by
    :func:`shop_tells` and :func:`prove`: not of one who has their account, the same address everywhere, and the shop's
    check of it, if it has one, in the ledger.
    """
    same = person.customer_id == launch.customer_id and person.email == person.has == launch.email
    if not same or person.totara_id is None:
        return True
    return launch.email_verified and How.SHOP not in people.ways_proven(connection, person.id, launch.email)


def may_become(connection: Connection, guest: Person, customer: Person, email: str) -> bool:
    """Whether a guest becomes this customer, without an operator, once the customer has proven an address.

    Nobody does against an operator's word, nor where another customer has proven it too.
    """
    claimed = set(people.owners_of(connection, email)) - {customer.id}
    withdrawn = How.WITHDRAWN in people.ways_proven(connection, customer.id, email)
    ruling = may_be_one(customer.party, guest.party, proven=not withdrawn, claimed=bool(claimed))
    return ruling.says is Says.YES


class Who:
    """Decides who is who, where a rule can; what only an operator can say is told as a reason."""

    def __init__(self, settings: TotaraSettings, store: Store, work: Work, totara: TotaraClient) -> None:
        self._settings = settings
        self._store = store
        self._work = work
        self._totara = totara

    # --- persons ---------------------------------------------------------------------------------------------------

    def moved_on(self, person: Person) -> Done | None:
        """What is left to do for somebody who is another, or whose address is; None if they are to be looked at.

        A guest without an account whose address a customer has proven waits for that customer's look, which makes
        both one.
        """
        if person.totara_id is not None:
            return None
        if (stays := person.merged_into) is not None:
            return Done(lambda connection: self._swept(connection, person.id, stays))
        if person.customer_id is not None:
            return None
        with self._store.read() as connection:
            owner = people.owner_of(connection, person.email)
            customer = people.get_person(connection, owner) if owner is not None else None
        if customer is None or customer.customer_id is None:
            return None
        return Done(lambda connection: self._work.mark(connection, LEARNER, [customer.id]))

    def _swept(self, connection: Connection, goes: int, stays: int) -> Mapping[str, Any] | None:
        if merging.sweep_up(connection, goes, stays):
            self._work.mark(connection, LEARNER, [stays])
        return None

    def gather(self, person: Person, now: datetime) -> list[str]:
        """Make the guests one with this customer whose addresses the customer has proven; why others are not.

        Raises Unavailable while somebody else is looking at one of them.
        """
        if person.customer_id is None:
            return []
        reasons = []
        for guest in self._guests_of(person):
            ruling = self._unite(guest, person, now)
            if ruling.says is Says.OPERATOR:
                reasons.append(f"person {person.id} {APART} {guest.id}: {ruling.why}")
        return reasons

    def _guests_of(self, person: Person) -> list[Person]:
        with self._store.read() as connection:
            proven = people.proofs_of(connection, person.id)
            guests = people.guests_with(connection, proven) if proven else []
            return [guest for guest in guests if person.id in people.owners_of(connection, guest.email)]

    def _unite(self, goes: Person, stays: Person, now: datetime) -> Ruling:
        """Make two persons one, if that may be, in one transaction, while nobody works on the one who goes."""
        claim = self._work.take(LEARNER, str(goes.id))
        if claim is None:
            raise Unavailable(f"person {goes.id} is being looked at just now", system="database")
        merged = False
        try:
            with self._store.begin() as connection:
                one, other = merging.lock(connection, goes.id, stays.id)
                owners = people.owners_of(connection, one.email)
                proven, claimed = other.id in owners, len(owners) > 1
                ruling = may_be_one(other.party, one.party, proven=proven, claimed=claimed)
                if ruling.says is Says.YES:
                    if not self._work.end_within(connection, claim, self._work.settled(claim)):
                        raise Unavailable(f"person {goes.id} was taken on by another", system="database")
                    merging.merge(connection, one, other, now, why="the customer has proven the guest's address")
                    merged = True
        finally:
            if not merged:
                self._work.release(claim)
        return ruling

    # --- accounts --------------------------------------------------------------------------------------------------

    def existing(self, person: Person, found: Sequence[Account]) -> Account:
        """The account with the person's address that we did not make, if it may be linked by itself.

        Raises Refused in words for a person to read if not.
        """
        of = f"the address of person {person.id} belongs to"
        if len(found) > 1:
            users = ", ".join(str(account.id) for account in found)
            raise Refused(f"{of} several Totara users ({users}), each {EXISTING}: they were left alone, the seat waits")
        (account,) = found
        with self._store.read() as connection:
            holder = people.holder_of(connection, account.id)
            proven = person.email in people.proofs_of(connection, person.id)
        if holder is not None:
            raise Refused(f"{of} Totara user {account.id}, the account of person {holder}: it {TAKEN}")
        ruling = self.ruling(account, proven=proven)
        if ruling.says is not Says.YES:
            why = f" ({ruling.why})" if proven else ""
            said = f"{of} Totara user {account.id}, {EXISTING}: it was left alone, and the seat waits"
            raise Refused(said + why)
        return account

    def ruling(self, account: Account, *, proven: bool) -> Ruling:
        """Whether an account that we did not make may be linked. Asks Totara what kind of account it is."""
        return may_link(
            account,
            self._totara.insight(account.id),
            academy=self._settings.tenant,
            proven=proven,
            never=self._settings.never_link,
            own=self._totara.own_username(),
        )
