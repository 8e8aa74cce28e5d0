"""What an operator decides about persons: conflicts laid out, persons and accounts linked, and separated again."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bridge.domain.identity import How, Says, may_be_one, normal_email
from bridge.domain.lms import Account
from bridge.errors import NotFound, Refused
from bridge.kinds import LEARNER
from bridge.store import audit, learning, merging, people
from bridge.store.db import Store
from bridge.store.people import Person
from bridge.store.work import Parked, Work
from bridge.who import APART, EXISTING, TAKEN

# --- conflicts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conflict:
    """A learner who waits because of an address, and what an operator may do about it. Ids only."""

    person: int
    kind: str
    reason: str
    since: datetime
    persons: tuple[int, ...]
    users: tuple[int, ...]
    orders: tuple[int, ...]
    proven: str
    choices: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


_KINDS = {APART: "two accounts", TAKEN: "two persons", EXISTING: "an account that was there before"}


def conflicts(store: Store, work: Work) -> list[Conflict]:
    """Every learner that is parked because of an address, the oldest first."""
    found = []
    for parked in work.parked():
        kind = next((name for mark, name in _KINDS.items() if mark in parked.reason), "")
        if parked.kind == LEARNER and kind:
            with store.read() as connection:
                found.append(_laid_out(connection, parked, kind))
    return found


def _laid_out(connection: Connection, parked: Parked, kind: str) -> Conflict:
    number = int(parked.key)
    person = people.get_person(connection, number)
    proven = people.proofs_of(connection, number).get(person.email) if person else None
    others = sorted({int(one) for one in re.findall(r"\bpersons? (\d+)", parked.reason)} - {number})
    named = re.findall(r"\busers? \(?(\d+(?:(?:, | and )\d+)*)", parked.reason)
    users = sorted({int(one) for words in named for one in re.findall(r"\d+", words)})
    return Conflict(
        person=number,
        kind=kind,
        reason=parked.reason,
        since=parked.since,
        persons=tuple(others),
        users=tuple(users),
        orders=tuple(learning.orders_of(connection, number)),
        proven=f"by {proven.how} on {proven.at:%Y-%m-%d}" if proven else "not proven",
        choices=tuple(_choices(number, kind, others, users)),
    )


def _choices(person: int, kind: str, others: Sequence[int], users: Sequence[int]) -> list[str]:
    one = "if both are one human"
    if kind == "two accounts":
        keep = "|".join(map(str, users))
        return [
            *(f"`bridge people link {person} --person {other} --keep {keep}`, {one}" for other in others),
            f"`bridge people separate {person}`, if they are two",
        ]
    correct = "correct the address in the shop, if it is wrong, and have the order looked at again"
    if kind == "two persons":
        return [*(f"`bridge people link {person} --person {other}`, {one}" for other in others), correct]
    return [
        *(f"`bridge people link {person} --totara {user}`, if the account is the buyer's" for user in users),
        f"if it is a left-over, give it another address in Totara, then `bridge parked retry learner {person}`",
        correct,
    ]


# --- linking two persons ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Union:
    """Two persons to be made one, and what an operator has to know of it."""

    stays: Person
    goes: Person
    why_asked: str

    @property
    def both(self) -> bool:
        """Whether each has a Totara account."""
        return bool(self.stays.totara_id and self.goes.totara_id)


def plan_union(connection: Connection, first: int, second: int, keep: int | None) -> Union:
    """Who would stay and who would go: a registered customer stays, else the first. Raises Refused if it can't be."""
    one, other = _known(connection, first), _known(connection, second)
    stays, goes = (other, one) if other.customer_id and not one.customer_id else (one, other)
    owners = people.owners_of(connection, goes.email)
    ruling = may_be_one(stays.party, goes.party, proven=stays.id in owners, claimed=len(owners) > 1)
    if ruling.says is Says.NEVER:
        raise Refused(ruling.why)
    union = Union(stays, goes, ruling.why)
    accounts = {stays.totara_id, goes.totara_id} - {None}
    if union.both and keep is None:
        raise Refused(f"{ruling.why}: --keep USER says it. The other is not deleted; only the access in it ends")
    if keep is not None and keep not in accounts:
        raise Refused(f"Totara user {keep} is neither person's")
    return union


def unite(
    connection: Connection, work: Work, union: Union, keep: int | None, now: datetime, *, by: str, why: str
) -> None:
    """Make two persons one by an operator's word, who by that gives the address of the one to the other."""
    merging.lock(connection, union.stays.id, union.goes.id)
    again = plan_union(connection, union.stays.id, union.goes.id, keep)
    if again.both and keep == again.goes.totara_id:
        merging.swap_accounts(connection, again.stays, again.goes)
        again = plan_union(connection, union.stays.id, union.goes.id, keep)
    merging.merge(connection, again.goes, again.stays, now, why=why, actor=by)
    people.record_proof(connection, again.stays.id, again.goes.email, How.OPERATOR, now)
    work.mark(connection, LEARNER, [again.goes.id, again.stays.id])


def _known(connection: Connection, person_id: int) -> Person:
    person = people.get_person(connection, person_id)
    if person is None:
        raise NotFound(f"there is no person {person_id}")
    return person


# --- linking an account ----------------------------------------------------------------------------------------------


def linkable(connection: Connection, person_id: int, user_id: int | None = None) -> Person:
    """The person, if an account may be linked to them at all, or the one with this id is theirs already. Raises Refused
    in words if not.
    """
    person = _known(connection, person_id)
    if person.merged_into is not None:
        raise Refused(f"person {person_id} is person {person.merged_into}: link that one")
    if person.totara_id is not None and user_id not in (None, person.totara_id):
        raise Refused(f"person {person_id} has Totara user {person.totara_id} already")
    return person


def link(
    store: Store, connection: Connection, work: Work, person_id: int, account: Account, now: datetime, by: str, why: str
) -> None:
    """Write down that a Totara account is a person's, by an operator's word; also of one that is theirs already, and
    was moved or renamed in Totara since.

    Raises Refused if it is another's, or its address is reserved for another.
    """
    person = linkable(connection, person_id, account.id)
    facts = {"user": account.id}
    audit.note(connection, "account linked", why, now, actor=by, person_id=person.id, facts=facts)
    work.mark(connection, LEARNER, [person.id])
    if person.totara_id is not None:
        people.vouch(connection, person.id)
        return
    holder = people.holder_of(connection, account.id)
    if holder is not None:
        raise Refused(f"Totara user {account.id} is the account of person {holder}")
    theirs = normal_email(account.email)
    other = people.reserve_account(store, connection, person.id, person.email)
    if other and (theirs == person.email or people.reserve_account(store, connection, person.id, theirs)):
        first = f"`bridge people link {person.id} --person {other}` comes first"
        raise Refused(f"the address is that of person {other}: {first}")
    people.account_made(connection, person.id, account.id, now, linked=True, vouched=True)
    if theirs == person.email:
        people.record_proof(connection, person.id, theirs, How.OPERATOR, now)


# --- separating ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parting:
    """What separating a person would undo: one of the three, and what it can't undo, in words."""

    person: Person
    merged: int | None = None
    linked: int | None = None
    withdrawn: tuple[str, ...] = ()
    told: str = ""

    @property
    def persons(self) -> list[int]:
        """Everybody whom it concerns."""
        return [self.person.id] + ([self.merged] if self.merged is not None else [])


def plan_parting(connection: Connection, person_id: int) -> Parting:
    """What there is to be undone for a person. Raises Refused if there is nothing."""
    person = _known(connection, person_id)
    if (into := person.merged_into) is not None:
        said = (
            f"person {person_id} and person {into} are two again: what was moved when they became one moves back, with "
            f"the Totara account if it came from there, and all access that was given in it. It can't be undone what "
            f"was learnt in that one account, nor letters and notes that were written; what was bought since, and "
            f"a part in a team that both had, stays with person {into}."
        )
        return Parting(person, merged=into, told=said)
    if person.totara_id is not None and person.linked:
        said = (
            f"person {person_id} has Totara user {person.totara_id} no more: the access that we gave in it ends now, "
            "and the account is left as it is. It can't be undone what was learnt in it, nor that its owner saw it."
        )
        return Parting(person, linked=person.totara_id, told=said)
    proven = people.proofs_of(connection, person_id)
    apart = sorted({guest.email for guest in people.guests_with(connection, proven) if guest.id != person_id})
    if apart:
        said = f"person {person_id} counts no more as the owner of an address that a guest has: they stay two."
        return Parting(person, withdrawn=tuple(apart), told=said)
    parts = people.merged_into(connection, person_id)
    also = f": name the one who was merged into it ({_numbers(parts)})" if parts else ""
    raise Refused(f"person {person_id} was neither merged into another nor linked to an account{also}")


def _numbers(persons: Collection[Person]) -> str:
    return ", ".join(str(person.id) for person in persons)


def part(connection: Connection, work: Work, parting: Parting, now: datetime, *, by: str, why: str) -> None:
    """Carry it out. Of a linked account, what we gave in it was ended in Totara before."""
    person = parting.person
    loses = person.id if parting.merged is None else parting.merged
    emails = parting.withdrawn or (person.email,)
    if parting.merged is not None:
        goes, stays = merging.lock(connection, person.id, parting.merged)
        merging.unmerge(connection, goes, stays, now, why=why, actor=by)
    elif parting.linked is not None:
        people.account_left(connection, person.id)
        facts = {"user": parting.linked}
        audit.note(connection, "account let go", why, now, actor=by, person_id=person.id, facts=facts)
    else:
        audit.note(connection, "persons kept apart", why, now, actor=by, person_id=person.id)
    for email in emails:
        people.record_proof(connection, loses, email, How.WITHDRAWN, now)
    work.mark(connection, LEARNER, parting.persons)
