"""Bookkeeping: what one look at an order or a subscription found is compared with the ledger, and written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bridge.domain.enrolments import lasting
from bridge.domain.gifts import corrected
from bridge.domain.identity import Contact
from bridge.domain.offers import Offer
from bridge.domain.purchases import (
    Choice,
    Gives,
    Role,
    Seat,
    SeatPlan,
    Standing,
    Taker,
    Terms,
    Want,
    for_one,
    plan_seats,
    seat_counts,
)
from bridge.domain.seats import Begun
from bridge.domain.standing_in import Spare, in_use, seatless, stand_ins
from bridge.domain.switching import carried, switched_from
from bridge.kinds import LEARNER, NOTE
from bridge.settings import Orders as OrderSettings
from bridge.starting import Starting
from bridge.store import audit, ledger, people, placing, teams
from bridge.store.db import Store
from bridge.store.ledger import Purchase, Source
from bridge.store.work import Work
from bridge.switches import Elsewhere, Switches


@dataclass(frozen=True)
class Look:
    """All that one look at an order or a subscription found, before anything is written down."""

    source: Source
    status: str
    stands: Standing
    gives: Sequence[Gives]
    units: Mapping[int, int]  # line -> units that are paid for
    keys: Mapping[int, Hashable]  # line -> what its purchase is known by
    known: Sequence[Purchase]
    untold: frozenset[Hashable] = frozenset()  # lines of which nobody can tell: they keep what they have
    buyer: int | Contact | None = None
    company: str = ""  # what the buyer calls it
    recipients: Mapping[int, Sequence[Contact]] = field(default_factory=dict)  # line -> whom it was bought for, if told
    ends: datetime | None = None
    why: str = ""
    idle: frozenset[int] = frozenset()
    into: Mapping[Hashable, Hashable] = field(default_factory=dict)  # key -> that of the line it was switched for

    @property
    def beyond(self) -> dict[int, Hashable]:
        """The purchases of other subscriptions that lines were switched into, and their keys."""
        return {key.purchase: key for key in self.into.values() if isinstance(key, Elsewhere)}

    def is_told(self, key: Hashable) -> bool:
        """Whether it can be told what becomes of the seats of this key: what gives them, or what they went into."""
        return self.stands is Standing.ENDED or not {key, self.into.get(key)} & self.untold

    @property
    def gone(self) -> list[Purchase]:
        """What was bought by lines that are not there any more."""
        return [one for one in self.known if one.key not in self.keys.values()]


class Bookkeeping:
    """Plans which seats come and go, and writes that down together with what pays for them."""

    def __init__(
        self, settings: OrderSettings, store: Store, work: Work, starting: Starting, switches: Switches
    ) -> None:
        self._settings = settings
        self._store = store
        self._work = work
        self._starting = starting
        self._switches = switches

    def planned(self, look: Look, now: datetime) -> tuple[Look, SeatPlan]:
        """The plan as far as it can be told before anybody is written down; asks who began, if that decides."""
        with self._store.read() as connection:
            seats = ledger.seats_of(connection, {one.id: one.key for one in look.known} | look.beyond)
            plan = self._plan(look, seats, {})
            pools = placing.pools_of_source(connection, look.source) if plan.uses else {}
        asked: set[int] = set()
        if pools:
            look, asked = self._who_began(look, seats, pools, now)
            plan = self._plan(look, seats, {})
            with self._store.read() as connection:
                pairs = stand_ins(plan, self._spare(connection, look, pools, now), look.idle)
            if pairs:
                seats = _changed_places(seats, pairs)
                plan = self._plan(look, seats, {})
        among = {seat.id: seat.person for choice in plan.undecided for seat in choice.among if seat.id not in asked}
        if not among:
            return look, plan
        look = replace(look, idle=look.idle | self._idle(among))
        return look, self._plan(look, seats, {})

    def _who_began(
        self, look: Look, seats: Collection[Seat], pools: Mapping[int, tuple[int, str]], now: datetime
    ) -> tuple[Look, set[int]]:
        """The look with who never began, and the seats of its own of which that was asked.

        As long as somebody whose seat goes can have one that is open, or waits, nobody has to be asked. Then who of
        these never began goes first; and where others of the pool never began, whoever did is seated for them.
        """
        plan = self._plan(look, seats, {})
        with self._store.read() as connection:
            spare, others = self._spare(connection, look, pools, now), self._elsewhere(connection, look, pools, now)
        left = seatless(plan, spare)
        mine = {seat.id: seat.person for key in left if spare[key] or others[key] for seat in in_use(plan, key)}
        if not mine:
            return look, set()
        idle = set(look.idle | self._idle(mine))
        plan = self._plan(replace(look, idle=frozenset(idle)), seats, {})
        for key, begun in seatless(plan, spare, idle).items():
            idle |= self._idle({seat: one for seat, one in others[key] if seat not in idle}, most=len(begun))
        return replace(look, idle=frozenset(idle)), set(mine)

    def _idle(self, sitting: Mapping[int, int | None], most: int | None = None) -> frozenset[int]:
        """On which of these seats somebody sits who never began; no more of them than ``most``."""
        idle: set[int] = set()
        for seat, person in sitting.items():
            if person is not None and (most is None or len(idle) < most):
                idle |= {seat} if self._starting.begun(person, seat) is Begun.NO else set()
        return frozenset(idle)

    def _spare(
        self, connection: Connection, look: Look, pools: Mapping[int, tuple[int, str]], now: datetime
    ) -> dict[Hashable, list[Spare]]:
        """For each purchase that a team has: what its pool has beyond all that is looked at."""
        found = {
            one: placing.spare_seats(connection, *one, now, but=pools, idle=look.idle)
            for one in sorted(set(pools.values()))
        }
        return {key: found[pool] for key, pool in _pools_by_key(look, pools).items()}

    def _elsewhere(
        self, connection: Connection, look: Look, pools: Mapping[int, tuple[int, str]], now: datetime
    ) -> dict[Hashable, list[tuple[int, int]]]:
        """The same of the seats that are taken, and whose they are."""
        found = {one: placing.taken_elsewhere(connection, *one, now, but=pools) for one in sorted(set(pools.values()))}
        return {key: found[pool] for key, pool in _pools_by_key(look, pools).items()}

    def _plan(self, look: Look, seats: Collection[Any], takers: Mapping[int, tuple[Taker, ...]]) -> SeatPlan:
        told = [seat for seat in seats if look.is_told(seat.key) and not isinstance(seat.key, Elsewhere)]
        if look.stands is Standing.WAITS and look.source.kind == "subscription":
            return SeatPlan()  # its lines may be about to change; what an order has is only taken from by refunds
        counts = seat_counts(look.gives, look.units)
        wants = [
            Want(look.keys[gift.line.id], counts[gift.line.id], takers.get(gift.line.id, ()))
            for gift in look.gives
            if look.stands is not Standing.ENDED
        ]
        plan = plan_seats(_summed(wants), told, grow=look.stands.gives, idle=look.idle)
        return carried(plan, seats, idle=look.idle, into=look.into) if look.source.kind == "subscription" else plan

    def write(
        self, connection: Connection, look: Look, buyer: int | None, now: datetime
    ) -> tuple[dict[str, Any], set[int]]:
        """Write down purchases and seats, and owe a look at whoever is touched. What changed, and who is touched."""
        known = {one.key: one for one in look.known}
        ids: dict[Hashable, int] = {one.key: one.id for one in look.known}
        of_team = any(one.team is not None for one in look.known)
        pools = placing.pools_of_source(connection, look.source) if of_team else {}
        for team, pool in sorted(set(pools.values())):
            placing.hold_pool(connection, team, pool)
        moved: set[int] = set()
        quantity, paid = _per_purchase(look)
        for gift in look.gives:
            key = look.keys[gift.line.id]
            state = self._state(look, gift.offer, known.get(key), now)
            line = gift.line
            if look.source.kind == "subscription" and isinstance(key, tuple):
                line = replace(line, product_id=key[0], variation_id=key[1])
            ids[key] = ledger.record_purchase(
                self._store,
                connection,
                look.source,
                line,
                gift.offer,
                quantity=quantity[key],
                paid=paid[key],
                **state,
            )
            if key in known and not known[key].stands_as(**state):
                moved.add(ids[key])
        ledger.hold_still(connection, [*look.beyond, *(one.id for one in look.gone if one.team is not None)])
        takers, learners = self._takers(connection, look, buyer, ids, now)
        seats = ledger.seats_of(connection, {number: key for key, number in ids.items()} | look.beyond)
        plan = self._plan(look, seats, takers)
        uses = plan.uses and bool(pools)
        pairs = stand_ins(plan, self._spare(connection, look, pools, now), look.idle) if uses else []
        if pairs:
            learners |= self._change_places(connection, look.source, pairs, ids)
            seats = ledger.seats_of(connection, {number: key for key, number in ids.items()} | look.beyond)
            plan = self._plan(look, seats, takers)
        fewer = "fewer units are paid for"
        why = dict.fromkeys(ids, look.why if look.stands is Standing.ENDED else fewer)
        learners |= ledger.apply_seats(connection, ids, plan, why, now)
        grown = {seat.key for seat in plan.give} | {seat.key for seat in plan.revive}
        grown |= {key for key in known if ids[key] in moved}
        for one in look.known:
            if one.team is not None and one.key in grown and look.stands.gives:
                teams.prolong(connection, one.id, one.offer, now)
        self._for_a_team(connection, look, buyer, takers, ids, now)
        learners |= ledger.sitting(connection, moved) if moved else set()
        if look.stands is not Standing.WAITS:
            ledger.pay_for(connection, {one.id: _kept(one, plan) for one in look.gone})
        self._work.mark(connection, LEARNER, sorted(learners))
        if learners and self._settings.notes:  # sooner, once they were looked at
            patience = timedelta(seconds=self._settings.waiting_note_seconds)
            self._work.mark(connection, NOTE, _noted_on(connection, look.source), at=now + patience)
        changed = {
            name: len(part)
            for name, part in (
                ("given", plan.give),
                ("exchanged", pairs),
                ("taken", plan.take),
                ("revived", plan.revive),
                ("ended", plan.end),
            )
            if part
        } | ({"moved": len(moved)} if moved else {})
        if changed:
            order, subscription = (look.source.id, None) if look.source.kind == "order" else (None, look.source.id)
            whose = placing.team_of_source(connection, look.source)
            of: dict[str, Any] = {"order_id": order, "subscription_id": subscription, "team_id": whose}
            audit.note(connection, "seats", look.why, now, facts=changed, **of)
        return changed, learners

    def _change_places(
        self, connection: Connection, source: Source, pairs: Sequence[tuple[Seat, Spare]], ids: Mapping[Hashable, int]
    ) -> set[int]:
        """Have something else of the pool pay for these people's seats; both notes tell of it. Who they are."""
        for seat, spare in pairs:
            placing.change_places(connection, (seat.id, ids[seat.key], seat.unit), spare)
        others = placing.orders_paying_for(connection, [seat.id for seat, _ in pairs])
        self._work.mark(connection, NOTE, [*others, *_noted_on(connection, source)])
        return {seat.person for seat, _ in pairs if seat.person is not None}

    def _for_a_team(
        self,
        connection: Connection,
        look: Look,
        buyer: int | None,
        takers: Mapping[int, Sequence[Taker]],
        ids: Mapping[Hashable, int],
        now: datetime,
    ) -> None:
        """Put what has seats for others into the pools of the buyer's team, each purchase once. What an order or a
        subscription has given to a team, it gives there still, also by another line, whoever left the team since.
        """
        if buyer is None or not look.stands.gives:
            return
        counts = seat_counts(look.gives, look.units)
        there = {one.key: one.team for one in look.known if one.team is not None}
        team = next(iter(there.values()), None)
        for gift in look.gives:
            key = look.keys[gift.line.id]
            if key not in there and counts[gift.line.id] > len(takers.get(gift.line.id, ())):
                whose = team or teams.team_of_line(connection, switched_from(gift.line))
                teams.add_to_pool(self._store, connection, ids[key], gift.offer, buyer, look.company, now, whose)

    def _state(self, look: Look, offer: Offer, known: Purchase | None, now: datetime) -> dict[str, Any]:
        """From when until when the purchase pays, and whether it rests."""
        grace = known.grace_until if known else None
        if look.stands is Standing.GRACE:
            grace = grace or (now + timedelta(days=self._settings.grace_days)).replace(microsecond=0)
        elif look.stands is not Standing.WAITS:
            grace = None
        held = known.held if known and look.stands is Standing.WAITS else None
        return {
            "starts": offer.starts,
            "until": lasting((offer.ends, look.ends)),
            "grace_until": grace,
            "held": look.why if look.stands is Standing.HELD else held,
        }

    def _takers(
        self,
        connection: Connection,
        look: Look,
        buyer: int | None,
        ids: Mapping[Hashable, int],
        now: datetime,
    ) -> tuple[dict[int, tuple[Taker, ...]], set[int]]:
        """Line -> who is to sit on its seats; and whoever is touched because an address was corrected."""
        takers: dict[int, tuple[Taker, ...]] = {}
        touched: set[int] = set()
        if buyer is None:
            return takers, touched
        counts = seat_counts(look.gives, look.units)
        own = [gift for gift in look.gives if gift.line.id not in look.recipients]
        before = {one.id for one in look.known}  # a purchase that is new has no seats to move
        of_team = {one.key for one in look.known if one.team is not None}  # who sits there is the team's to say
        named: dict[int, list[int]] = {}
        for gift in look.gives:
            purchase = ids[look.keys[gift.line.id]]
            if gift.line.id in look.recipients:
                to = look.recipients[gift.line.id]
                persons = [people.ensure_person(self._store, connection, one, now) for one in to]
                takers[gift.line.id] = tuple(Taker(person, Role.RECIPIENT) for person in persons)
                named.setdefault(purchase, []).extend(persons)
            elif (
                look.keys[gift.line.id] not in of_team
                and for_one(gift, own, counts)
                and not self._switches.was_others(connection, gift.line, buyer)
            ):
                takers[gift.line.id] = (Taker(buyer, Role.BUYER),)
            touched |= ledger.move_seats(connection, before & {purchase}, buyer, Role.BUYER)
        for purchase, persons in ((one, all_of) for one, all_of in named.items() if all_of):
            touched |= self._corrected(connection, before & {purchase}, persons)
        return takers, touched

    def _corrected(self, connection: Connection, known: Collection[int], persons: Sequence[int]) -> set[int]:
        """Whoever is touched because an address was corrected. ``persons`` are all whom the purchase was bought for."""
        seats = ledger.seats_of(connection, {number: number for number in known})
        waiting = people.without_account(connection, [seat.person for seat in seats if seat.person is not None])
        return ledger.reseat(connection, corrected(seats, persons, waiting))

    def laid_out(self, source: Source) -> Callable[[Choice], str]:
        """How a choice is laid out for the person who has to make it."""

        def words(choice: Choice) -> str:
            seats = ", ".join(f"seat {seat.id} (person {seat.person})" for seat in choice.among)
            return (
                f"{choice.count} of {len(choice.among)} seats in use have to go, and which is for you to say: {seats}. "
                f"`bridge seats decide {source.kind} {source.id} --end SEAT` for each"
            )

        return words


def _noted_on(connection: Connection, source: Source) -> list[int]:
    """The order whose note tells of what this one gives."""
    of_order = source.kind == "order"
    return ledger.noted_on(connection, source.id if of_order else None, None if of_order else source.id)


def _pools_by_key(look: Look, pools: Mapping[int, tuple[int, str]]) -> dict[Hashable, tuple[int, str]]:
    """The pools of what is looked at. Who sits on a subscription's line that is taken off goes where that was switched
    to, and not into another seat of the pool.
    """
    switched = look.gone if look.source.kind == "subscription" and look.stands is not Standing.ENDED else []
    return {one.key: pools[one.id] for one in look.known if one.id in pools and one not in switched}


def _changed_places(seats: Sequence[Any], pairs: Sequence[tuple[Seat, Spare]]) -> list[Any]:
    """The seats of a source as they are once these have changed places."""
    spare = {mine.id: replace(mine, id=other.id, person=None, terms=Terms()) for mine, other in pairs}
    return [spare.get(seat.id, seat) for seat in seats]


def _per_purchase(look: Look) -> tuple[Mapping[Hashable, int], Mapping[Hashable, int]]:
    """Units bought and units paid for: a subscription may have two lines of one product."""
    quantity: Counter[Hashable] = Counter()
    paid: Counter[Hashable] = Counter()
    for gift in look.gives:
        key = look.keys[gift.line.id]
        quantity[key] += gift.line.quantity
        paid[key] += look.units[gift.line.id]
    return quantity, paid


def _kept(gone: Purchase, plan: SeatPlan) -> int:
    """The units that a line that is not there any more still pays for: while a person has to say who moves, as many
    as will."""
    moving = sum(len(choice.among) - choice.count for choice in plan.undecided if choice.key == gone.key)
    return moving // gone.offer.seats


def _summed(wants: Sequence[Want]) -> list[Want]:
    """One want for each purchase: a subscription may have two lines of one product."""
    summed: dict[Hashable, Want] = {}
    for want in wants:
        before = summed.get(want.key, Want(want.key, 0))
        takers = dict.fromkeys((*before.takers, *want.takers))  # whom two lines name takes one seat
        summed[want.key] = Want(want.key, before.seats + want.seats, tuple(takers))
    return list(summed.values())
