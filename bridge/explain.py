"""Why somebody has access, or has not: what the ledger, the work that is owed, and the audit log say of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row

from bridge.domain.notes import day, stands
from bridge.domain.offers import Item
from bridge.domain.purchases import Standing
from bridge.domain.seats import Wait
from bridge.kinds import LEARNER
from bridge.store import audit, learning, ledger, people, placing, teams
from bridge.store.db import Store
from bridge.store.learning import SeatReport
from bridge.store.ledger import Purchase, Source
from bridge.store.people import Person
from bridge.store.work import Work

#: What each state means for somebody who asks, the best first.
HAS = {
    "ready": "has access",
    "kept": "still has access, which could not be ended",
    "waiting": "has no access yet",
    "held": "has no access while it rests",
    Wait.ANSWER: "was asked to take it, and has no access yet",
    Wait.APPROVAL: "has said yes, and has no access before a manager of the team does",
    "open": "nobody sits there yet",
    "ended": "has no access",
}
_STANDS = {
    Standing.PAYS: "pays",
    Standing.WAITS: "does not pay (yet)",
    Standing.GRACE: "paid, and does not now",
    Standing.HELD: "is in dispute",
    Standing.ENDED: "does not pay any more",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that one seat gives: what pays for it, since when, until when, and how it stands in Totara."""

    seat: int
    person: int | None
    user: int | None
    order: int | None
    line: int | None
    subscription: int | None
    unit: int
    seats_paid: int
    paid_by: str
    role: str | None
    item: str
    name: str
    since: datetime
    starts: datetime | None
    until: datetime | None
    days: int | None
    state: str
    said: str
    team: int | None = None
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """All about one person, order or subscription. ``has`` is the answer for each thing bought, in words."""

    subject: str
    facts: Sequence[str]
    has: Sequence[str] = ()
    claims: Sequence[Claim] = ()
    owed: Sequence[str] = ()
    events: Sequence[Row[Any]] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        values = {"subject": self.subject, "facts": list(self.facts), "has": list(self.has), "owed": list(self.owed)}
        seats = [asdict(claim) for claim in self.claims]
        return {**values, "seats": seats, "events": [dict(event._mapping) for event in self.events]}


class Explainer:
    """Looks things up. ``names`` are what courses are called, where somebody could say."""

    def __init__(self, store: Store, work: Work, now: datetime) -> None:
        self._store = store
        self._work = work
        self._now = now

    def person(self, person: Person, names: Mapping[Item, str]) -> Explained:
        """Everything about somebody: no name, no address."""
        with self._store.read() as connection:
            seats = learning.report_of_person(connection, person.id)
            claims = self._claims(connection, seats, names)
            known = _known(connection, person)
            bought = [self._bought(connection, source) for source in ledger.bought_by(connection, person.id)]
            managed = _teams(connection, person)
            orders, subscriptions = _sources(seats)
            events = audit.trail(connection, orders=orders, subscriptions=subscriptions, persons=[person.id])
        who = f"customer {person.customer_id} of the shop" if person.customer_id else "a guest of the shop"
        account = f"Totara user {person.totara_id}" if person.totara_id else "no Totara account yet"
        owed = self._owed([(LEARNER, person.id), *(("order", n) for n in orders)])
        owed += self._owed([("subscription", n) for n in subscriptions])
        facts = [f"{who}, {account}{', which was there before us' if person.linked else ''}", *known, *managed, *bought]
        if not seats:
            facts.append("sits on no seat: nothing that was paid for is this person's")
        return Explained(f"person {person.id}", facts, _has(claims), claims, owed, events)

    def source(self, source: Source, names: Mapping[Item, str]) -> Explained | None:
        """Everything about an order or a subscription, and about who sits on its seats. None if it is not known."""
        with self._store.read() as connection:
            find = ledger.find_order if source.kind == "order" else ledger.find_subscription
            if (row := find(connection, source.id)) is None:
                return None
            seats = self._seats_of(connection, source)
            claims = self._claims(connection, seats, names)
            orders, subscriptions = _sources(seats, source)
            persons = sorted({seat.person_id for seat in seats if seat.person_id is not None})
            events = audit.trail(connection, orders=orders, subscriptions=subscriptions, persons=persons)
            facts = [self._paid_by(connection, source)]
        facts += [f"its buyer is person {row.person_id}"] if row.person_id is not None else []
        facts += [row.said] if source.kind == "order" and row.said else []
        facts += [] if seats else ["it gives no seat"]
        owed = self._owed([(source.kind, source.id), *((LEARNER, person) for person in persons)])
        owed += self._owed([("subscription", n) for n in subscriptions if source.kind == "order"])
        return Explained(str(source), facts, _has(claims), claims, owed, events)

    @staticmethod
    def _seats_of(connection: Connection, source: Source) -> list[SeatReport]:
        if source.kind == "order":
            return learning.report(connection, source.id)
        return learning.report_of_subscription(connection, source.id)

    def items(self, persons: Collection[Person], source: Source | None) -> set[Item]:
        """What there is to be named."""
        with self._store.read() as connection:
            found = {seat.item for one in persons for seat in learning.report_of_person(connection, one.id)}
            return found | {seat.item for seat in (self._seats_of(connection, source) if source else ())}

    # --- seats -----------------------------------------------------------------------------------------------------

    def _claims(self, connection: Connection, seats: Sequence[SeatReport], names: Mapping[Item, str]) -> list[Claim]:
        sources = {_source_of(seat) for seat in seats}
        paid_by = {source: self._paid_by(connection, source) for source in sources}
        purchases = {one.id: one for source in sources for one in ledger.purchases_of(connection, source)}
        pools = {number: pool for one in sources for number, pool in placing.pools_of_source(connection, one).items()}
        claims = []
        for seat in sorted(seats, key=lambda seat: (seat.person_id or 0, seat.item, not seat.live, seat.seat_id)):
            purchase = purchases[seat.purchase_id]
            claim = self._claim(seat, purchase, paid_by[_source_of(seat)], names.get(seat.item, ""))
            team, pool = pools.get(seat.purchase_id, (None, None))
            claims.append(replace(claim, team=team, pool=pool))
        return claims

    def _claim(self, seat: SeatReport, purchase: Purchase, paid_by: str, name: str) -> Claim:
        state, said = stands(seat, self._now)
        return Claim(
            seat=seat.seat_id,
            person=seat.person_id,
            user=seat.totara_id,
            order=seat.order_id,
            line=seat.line_id or None,
            subscription=seat.subscription_id,
            unit=seat.unit,
            seats_paid=purchase.seats_paid,
            paid_by=paid_by,
            role=seat.role,
            item=str(seat.item),
            name=name,
            since=seat.since,
            starts=seat.starts,
            until=seat.until,
            days=purchase.offer.days_from_first,
            state=seat.waits if seat.waits and state == "open" else state,
            said=said,
        )

    def _paid_by(self, connection: Connection, source: Source) -> str:
        """What an order or a subscription is, and whether it pays."""
        find = ledger.find_order if source.kind == "order" else ledger.find_subscription
        row = find(connection, source.id)
        if row is None:
            return f"{source} is not known"
        said = f"{source} is {row.status} and {_STANDS[Standing(row.stands)]}"
        if source.kind == "subscription":
            newest = ledger.newest_order(connection, source.id)
            troubles = (paying.trouble for paying in ledger.paying_for(connection, source.id))
            trouble = "; ".join(dict.fromkeys(filter(None, troubles)))
            said += f", its newest order is {newest[0]}" if newest else ""
        else:
            trouble = row.trouble
            said += f", by payment {row.payment}" if row.payment else ""
        graces = [one.grace_until for one in ledger.purchases_of(connection, source) if one.grace_until]
        said += f", grace until {day(min(graces))}" if graces else ""
        return f"{said}; {trouble}" if trouble else said

    def _bought(self, connection: Connection, source: Source) -> str:
        seats = {one.seat_id: one for one in self._seats_of(connection, source) if _source_of(one) == source}
        live = [seat for seat in seats.values() if seat.live]
        free = sum(seat.person_id is None for seat in live)
        asked = sum(seat.waits is not None for seat in live)
        wait = f", and {asked} wait for an answer or a yes" if asked else ""
        return f"bought {source}: {len(live)} seats, of which {free} are open{wait}"

    # --- what is owed ----------------------------------------------------------------------------------------------

    def _owed(self, things: Sequence[tuple[str, int]]) -> list[str]:
        """What needs a person, and what is still to be done."""
        said = []
        for kind, number in things:
            row = self._work.find(kind, str(number))
            of = f"{'person' if kind == LEARNER else kind} {number}"
            if row is not None and row.parked_at is not None:
                said.append(f"{of} needs a person since {day(row.parked_at)}: {row.reason}")
            elif row is not None and row.due_at is not None and row.due_at <= self._now:
                said.append(f"a look at {of} is due{f', after: {row.reason}' if row.reason else ''}")
            elif row is not None and row.due_at is not None:
                again = "will be tried again" if row.attempts else "will be looked at"
                said.append(f"{of} {again} at {day(row.due_at)}{f': {row.reason}' if row.reason else ''}")
        return said


def _known(connection: Connection, person: Person) -> list[str]:
    """Who this turned out to be, and which addresses were proven; without any of them."""
    said = []
    if (into := person.merged_into) is not None:
        said.append(f"turned out to be person {into}: what was bought is theirs, see `bridge explain person:{into}`")
    if parts := people.merged_into(connection, person.id):
        said.append(f"was known as person {', '.join(str(part.id) for part in parts)} too")
    for email, proof in people.proofs_of(connection, person.id).items():
        which = "the address" if email == person.email else "another address"
        said.append(f"has proven {which} ({proof.how}, {day(proof.at)})")
    return said


def _teams(connection: Connection, person: Person) -> list[str]:
    """What this person is to teams: who manages them, and whom they let see how they get on."""
    said = [f"{role} of team {team.id}" for team, role in teams.teams_of(connection, person.id)]
    for team, since in teams.consents_of(connection, person.id):
        said.append(f"lets team {team.id} see how they get on, since {day(since)}")
    return said


def _source_of(seat: SeatReport) -> Source:
    if seat.subscription_id is not None:
        return Source("subscription", seat.subscription_id)
    return Source("order", int(seat.order_id or 0))


def _sources(seats: Sequence[SeatReport], also: Source | None = None) -> tuple[list[int], list[int]]:
    """The orders and the subscriptions of these seats."""
    found = {_source_of(seat) for seat in seats} | ({also} if also else set())
    return tuple(sorted(one.id for one in found if one.kind == kind) for kind in ("order", "subscription"))  # type: ignore[return-value]


def _has(claims: Sequence[Claim]) -> list[str]:
    """For each person and thing, whether there is access: one seat that is ready is enough."""
    said = []
    for (person, item, name), group in groupby(claims, key=lambda claim: (claim.person, claim.item, claim.name)):
        states = {claim.state for claim in group}
        best = next(state for state in HAS if state in states)
        who = f"person {person}" if person is not None else "open seats"
        said.append(
            f"{item}{f' ({name})' if name else ''}: " + (f"{who}: " if person is None else f"{who} ") + HAS[best]
        )
    return said


def find_persons(store: Store, email: str) -> list[Person]:
    """Everybody with this address, which is only looked up."""
    with store.read() as connection:
        return people.persons_with(connection, email)
