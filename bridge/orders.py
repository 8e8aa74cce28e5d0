"""Orders and subscriptions: what the shop tells of them now becomes seats in the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, Row

from bridge.domain.enrolments import lasting
from bridge.domain.gifts import corrected, without_seat
from bridge.domain.identity import Contact, Identity, identity_of, is_email, normal_email
from bridge.domain.offers import Offer, Offers
from bridge.domain.purchases import (
    Buyer,
    Choice,
    Gives,
    Line,
    Order,
    Paying,
    Role,
    SeatPlan,
    Standing,
    Subscription,
    Taker,
    Unresolved,
    Want,
    for_one,
    paid_units,
    plan_seats,
    said_of,
    seat_counts,
    standing,
    subscribed,
    subscribed_and_paid,
)
from bridge.domain.switching import carried
from bridge.errors import NotFound, Refused, Unavailable
from bridge.kinds import LEARNER, NOTE, ORDER, SUBSCRIPTION
from bridge.offering import Offering, key_of
from bridge.settings import Orders as OrderSettings
from bridge.settings import Settings
from bridge.store import audit, ledger, people
from bridge.store.db import Store
from bridge.store.ledger import Purchase, Source
from bridge.store.people import Person
from bridge.store.work import Claim, Work
from bridge.switches import Elsewhere, Switches, within
from bridge.totara_client import TotaraClient
from bridge.woo_client import A_SUBSCRIPTION, WooClient
from bridge.worker import Done

#: How often something waits for another thing that is to be looked at before it.
MOST_WAITS = 5

#: When an order is looked at again that waits for the shop's subscriptions to be back.
LOOK_AGAIN = timedelta(minutes=15)


class Payments(Protocol):
    """Whoever can tell whether an order was paid: nothing is believed because the shop says so."""

    def covers(self, order: Order) -> bool:
        """Whether it took this order's payment."""

    def judge(self, order: Order) -> tuple[Standing | None, str]:
        """What the payment means for the order (None: nothing against it), and why, in words."""

    def changed_since(self, moment: datetime) -> Iterator[str]:
        """The payments that something happened to since then."""

    def about(self, reference: str) -> tuple[frozenset[str], int | None]:
        """Every name that a payment has, and the order that it says it is for."""


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


class Orders:
    """Settles orders and subscriptions."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        work: Work,
        shop: WooClient,
        totara: TotaraClient,
        offers: Offers,
        payments: Payments | None,
        now: Callable[[], datetime],
    ) -> None:
        self._settings: OrderSettings = settings.orders
        self._store = store
        self._work = work
        self._shop = shop
        self._totara = totara
        self._payments = payments
        self._now = now
        self._offering = Offering(store, shop, offers)
        self._switches = Switches(store, work, shop)

    # --- an order --------------------------------------------------------------------------------------------------

    def settle_order(self, claim: Claim) -> Done | None:
        """Bring the ledger in line with one order, as the shop tells it now.

        1. Fetch the order, its refunds and its subscriptions: whatever woke us was only a hint.
        2. Ask whoever took the payment whether it is there.
        3. Tell what each line gives, how many units are paid for, and who buys.
        4. Compare the seats it pays for with the seats there are; write the difference down in one transaction, and
           owe a look at each learner whose seats changed, and at each subscription.

        Lines of which nobody can tell what they give, seats in use of which some have to go, and payments that do
        not fit need a person, after everything else was done; so does a buyer whom no mail could reach, before anything
        is. The order's note tells of it.
        """
        order_id = int(claim.key)
        source = Source("order", order_id)
        try:
            order = self._shop.get_order(order_id)
        except NotFound as err:
            if err.code == A_SUBSCRIPTION:
                return Done(lambda connection: self._work.mark(connection, SUBSCRIPTION, [order_id]))
            return self._is_gone(source, claim.attempts)
        if order.status in ("checkout-draft", "auto-draft"):
            return None
        with self._store.read() as connection:
            row = ledger.find_order(connection, order_id)
            known = ledger.purchases_of(connection, source)
            subscriptions = ledger.subscriptions_of(connection, order_id)
        was_paid = row is not None and row.stands in (Standing.PAYS, Standing.GRACE, Standing.HELD)
        stands, trouble = self._paid_for(order, self._standing(order, was_paid=was_paid), was_paid=was_paid)
        refunds = self._shop.refunds(order_id) if order.refunds and stands is not Standing.ENDED else []
        found: list[Subscription] | None = []
        # Also of an order that does not pay yet: what its lines give is written down now. And once more when it pays,
        # since the checkout makes the order before the subscription.
        if {line.id for line in order.lines} - {one.key for one in known} or (stands.gives and not was_paid):
            found = self._shop.subscriptions(order_id)
            named = {order.renews, order.switches} - {0}
            subscriptions = sorted({*subscriptions, *named, *(one.id for one in found or ())})
        follows = bool(order.renews or order.switches)
        gives, unresolved = self._offering.of(source, order.lines, known, found, given=was_paid, follows=follows)
        counts = (
            paid_units(order.lines, refunds)
            if stands is not Standing.ENDED
            else dict.fromkeys((line.id for line in order.lines), 0)
        )
        amounts = [refund.amount for refund in refunds if not refund.units]
        said = "; ".join(f"{amount} was given back without naming lines, and takes no seat" for amount in amounts)
        look = Look(
            source,
            order.status,
            stands,
            gives,
            counts,
            {line.id: line.id for line in order.lines},
            known,
            untold=frozenset(line.line.id for line in unresolved),
            why=trouble or f"the order is {order.status}",
        )
        if stands.gives and any(gift.offer.items for gift in gives):
            look, nowhere = self._addressed(look)
            unresolved += nowhere
            try:
                buyer = self._who_buys(order.buyer, source, row.person_id if row else None)
            except Refused as err:
                return self._nobody_buys(order, row, str(err))
            look = replace(look, buyer=buyer)
        look, plan = self._planned(look)
        reasons = [one.reason for one in unresolved if counts[one.line.id]] if stands.gives else []
        parked = "; ".join([*reasons, *map(self._laid_out(source), plan.undecided)])

        def write(connection: Connection) -> Mapping[str, Any] | None:
            now = self._now()
            buyer = people.ensure_person(self._store, connection, look.buyer, now) if look.buyer is not None else None
            values = {"status": order.status, "modified": order.modified, "looked_at": now, "stands": stands}
            values |= {"payment": order.transaction or None, "refunds": order.refunds, "renews": order.renews or None}
            values |= {"trouble": trouble or None, "said": said or None, "parked": parked or None}
            if buyer is not None and row is not None and row.person_id != buyer:
                people.correct_buyer(connection, order_id, buyer)
            ledger.record_order(self._store, connection, order_id, buyer, **values)
            ledger.record_subscriptions(self._store, connection, order_id, subscriptions)
            changed, learners = self._write(connection, look, buyer, now)
            self._work.mark(connection, SUBSCRIPTION, subscriptions)
            before = (row.trouble or "", row.said or "", row.parked or "") if row else ("", "", "")
            news = (trouble, said, parked) != before
            if (changed and not learners) or (news and not changed):
                self._work.mark(connection, NOTE, [order_id])  # with a learner, it waits for what comes of that
            return {"status": order.status, "stands": stands.value, **changed} if changed else None

        needs = "; ".join(filter(None, [parked, trouble if stands is Standing.WAITS else ""]))
        return Done(write, parked=needs, again_at=self._now() + LOOK_AGAIN if needs and found is None else None)

    def _nobody_buys(self, order: Order, row: Row[Any] | None, why: str) -> Done:
        """Park a paid order whose buyer can't be reached, and have its note say so. Its seats stay as they are."""

        def write(connection: Connection) -> None:
            values = {"status": order.status, "modified": order.modified, "looked_at": self._now(), "parked": why}
            values |= {"payment": order.transaction or None, "refunds": order.refunds, "renews": order.renews or None}
            ledger.record_order(self._store, connection, order.id, None, **values)
            if row is None or row.parked != why:
                self._work.mark(connection, NOTE, [order.id])

        return Done(write, parked=why)

    def _standing(self, order: Order, *, was_paid: bool = False) -> Standing:
        cash = self._settings.unconfirmed_cash == "pays"
        return standing(order, self._settings.paid_statuses, unconfirmed_cash_pays=cash, was_paid=was_paid)

    def _paid_for(self, order: Order, stands: Standing, *, was_paid: bool) -> tuple[Standing, str]:
        """What the payment makes of the order's standing, and why.

        One payment pays for one order: for the one that stands by it already, and of two that do, for the older.
        """
        if self._payments is None or stands not in (Standing.PAYS, Standing.GRACE):
            return stands, ""
        if not self._payments.covers(order):
            return stands, ""
        with self._store.read() as connection:
            others = ledger.orders_paid_by(connection, [order.transaction]) if order.transaction else {}
        paying = (one for one, its in others.items() if its in (Standing.PAYS, Standing.GRACE, Standing.HELD))
        if first := next((one for one in paying if one < order.id or (one > order.id and not was_paid)), None):
            return Standing.WAITS, f"its payment {order.transaction} is that of order {first} already"
        found, why = self._payments.judge(order)
        return found or stands, why

    # --- a subscription --------------------------------------------------------------------------------------------

    def settle_subscription(self, claim: Claim) -> Done | None:
        """Bring the ledger in line with one subscription: its status pays for its lines, whatever its orders say.

        A renewal changes nothing, since the lines stay the same. When it was switched, people move to the seats of
        the new line; what both lines give stays untouched.
        """
        subscription_id = int(claim.key)
        source = Source("subscription", subscription_id)
        try:
            subscription = self._shop.get_subscription(subscription_id)
        except NotFound:
            return self._is_gone(source, claim.attempts)
        with self._store.read() as connection:
            row = ledger.find_subscription(connection, subscription_id)
            known = ledger.purchases_of(connection, source)
            orders = ledger.paying_for(connection, subscription_id)
            parent = ledger.find_order(connection, subscription.parent_id) if subscription.parent_id else None
            known_to = ledger.subscriptions_of(connection, subscription.parent_id)
            had = any(seat.live for seat in ledger.seats_of(connection, {one.id: one.key for one in known}))
        stands, trouble = subscribed_and_paid(subscribed(subscription), orders, had=had)
        nobody_knows = ""
        if stands.gives and self._payments is not None and not any(order.pays for order in orders):
            stands, trouble, nobody_knows = self._unheard(subscription, parent, had=had)
        gives, unresolved = self._offering.of(source, subscription.lines, known, ())
        look = Look(
            source,
            subscription.status,
            stands,
            gives,
            {line.id: line.quantity for line in subscription.lines},
            {line.id: key_of(line, known) for line in subscription.lines},
            known,
            untold=frozenset(key_of(line.line, known) for line in unresolved),
            into=within(subscription.lines, known),
            ends=subscription.ends if subscription.status == "pending-cancel" else None,
            why=trouble or f"the subscription is {subscription.status}",
        )
        if stands.gives and any(gift.offer.items for gift in gives):
            whose = subscription.buyer
            if subscription.recipient_id:
                whose = Buyer(subscription.recipient_id, "")
            look, nowhere = self._addressed(look)
            unresolved += nowhere
            look = replace(look, buyer=self._who_buys(whose, source, row.person_id if row else None))
        look, plan = self._planned(look)
        if any(seat.person is not None for seat in plan.end):
            moved = self._switches.into(subscription, look.gone, patient=claim.attempts < MOST_WAITS)
            look, plan = self._planned(replace(look, into={**look.into, **moved})) if moved else (look, plan)
        reasons = [line.reason for line in unresolved] if stands.gives else [nobody_knows] if nobody_knows else []
        parked = "; ".join([*reasons, *map(self._laid_out(source), plan.undecided)])

        def write(connection: Connection) -> Mapping[str, Any] | None:
            now = self._now()
            buyer = people.ensure_person(self._store, connection, look.buyer, now) if look.buyer is not None else None
            values = {"status": subscription.status, "modified": subscription.modified, "looked_at": now}
            values |= {"parked": parked or None}
            ledger.record_subscription(self._store, connection, subscription_id, buyer, stands=stands, **values)
            if parent is not None and subscription_id not in known_to and subscription.status != "trash":
                # The order was looked at while the shop did not tell of its subscription: in the bin, or made since.
                ledger.record_subscriptions(self._store, connection, subscription.parent_id, [subscription_id])
                self._work.mark(connection, ORDER, [subscription.parent_id])
            changed, learners = self._write(connection, look, buyer, now)
            self._switches.look_where_they_sat(connection, subscription)
            newest = ledger.newest_order(connection, subscription_id)
            # A renewal's note waits for this look: it changes nothing by itself.
            unsaid = any(ledger.unsaid(connection, order_id) for order_id in newest)
            if (changed or unsaid or parked != ((row.parked or "") if row else "")) and not learners:
                self._work.mark(connection, NOTE, newest)
            return {"status": subscription.status, "stands": stands.value, **changed} if changed else None

        return Done(write, parked=parked)

    def _unheard(self, subscription: Subscription, seen: Row[Any] | None, *, had: bool) -> tuple[Standing, str, str]:
        """What a subscription stands for of which no order is known to pay, why, and what a person has to know of it.

        If its first order is another one than was ``seen``, whoever took its payment is asked now, so that nothing is
        given before that, and nobody waits for it. What was begun without an order, or had its order refunded, stands
        by its status.
        """
        if not subscription.parent_id:
            return Standing.PAYS, "", ""
        try:
            first = self._shop.get_order(subscription.parent_id)
        except NotFound:
            if seen is not None:
                return Standing.PAYS, "", ""
            said = f"its first order {subscription.parent_id} was deleted, so that nobody can confirm its payment"
            return Standing.WAITS, "", f"{said}: a paid renewal will do, or else cancel it in the shop"
        if seen is not None and (seen.status, seen.modified) == (first.status, first.modified):
            return Standing.PAYS, "", ""
        self._work.mark_due(ORDER, first.id)
        paying = Paying(*self._paid_for(first, self._standing(first), was_paid=False))
        return *subscribed_and_paid(Standing.PAYS, [paying], had=had), ""

    # --- both ------------------------------------------------------------------------------------------------------

    def _is_gone(self, source: Source, attempts: int) -> Done:
        """What was deleted for good pays for nothing; an id that is not known may only not be readable yet."""
        with self._store.read() as connection:
            find = ledger.find_order if source.kind == "order" else ledger.find_subscription
            row = find(connection, source.id)
            known = ledger.purchases_of(connection, source)
        if row is None and attempts < MOST_WAITS:
            raise Unavailable(f"{source} can't be read yet", system="shop")
        look = Look(source, "deleted", Standing.ENDED, (), {}, {}, known, why=f"the {source.kind} was deleted")

        def write(connection: Connection) -> Mapping[str, Any]:
            now = self._now()
            if row is not None:
                ledger.record_gone(connection, source, now)
            changed, _ = self._write(connection, look, None, now)
            return {"gone": True, "known": row is not None, **changed}

        return Done(write)

    def _planned(self, look: Look) -> tuple[Look, SeatPlan]:
        """The plan as far as it can be told before anybody is written down; asks who began, if that decides."""
        with self._store.read() as connection:
            seats = ledger.seats_of(connection, {one.id: one.key for one in look.known} | look.beyond)
        plan = self._plan(look, seats, {})
        if not plan.undecided:
            return look, plan
        among = [seat.id for choice in plan.undecided for seat in choice.among]
        with self._store.read() as connection:
            sitting = people.persons_of_seats(connection, among)
        look = replace(look, idle=frozenset(seat for seat, one in sitting.items() if not self._began(one.totara_id)))
        return look, self._plan(look, seats, {})

    def _began(self, totara_id: int | None) -> bool:
        """Whether somebody may have begun to learn: whoever never signed in has not."""
        if totara_id is None:
            return False
        account = self._totara.find_account(totara_id)
        return account is not None and account.seen is not False

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

    def _write(
        self, connection: Connection, look: Look, buyer: int | None, now: datetime
    ) -> tuple[dict[str, Any], set[int]]:
        """Write down purchases and seats, and owe a look at whoever is touched. What changed, and who is touched."""
        known = {one.key: one for one in look.known}
        ids: dict[Hashable, int] = {one.key: one.id for one in look.known}
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
        ledger.hold_still(connection, look.beyond)
        takers, learners = self._takers(connection, look, buyer, ids, now)
        seats = ledger.seats_of(connection, {number: key for key, number in ids.items()} | look.beyond)
        plan = self._plan(look, seats, takers)
        fewer = "fewer units are paid for"
        why = dict.fromkeys(ids, look.why if look.stands is Standing.ENDED else fewer)
        learners |= ledger.apply_seats(connection, ids, plan, why, now)
        learners |= ledger.sitting(connection, moved) if moved else set()
        if look.stands is not Standing.WAITS:
            ledger.pay_for(connection, {one.id: _kept(one, plan) for one in look.gone})
        self._work.mark(connection, LEARNER, sorted(learners))
        if learners and self._settings.notes:  # sooner, once they were looked at
            patience = timedelta(seconds=self._settings.waiting_note_seconds)
            of_order = look.source.kind == "order"
            noted = [look.source.id] if of_order else ledger.newest_order(connection, look.source.id)
            self._work.mark(connection, NOTE, noted, at=now + patience)
        changed = {
            name: len(part)
            for name, part in (
                ("given", plan.give),
                ("taken", plan.take),
                ("revived", plan.revive),
                ("ended", plan.end),
            )
            if part
        } | ({"moved": len(moved)} if moved else {})
        if changed:
            order, subscription = (look.source.id, None) if look.source.kind == "order" else (None, look.source.id)
            audit.note(connection, "seats", look.why, now, order_id=order, subscription_id=subscription, facts=changed)
        return changed, learners

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
        named: dict[int, list[int]] = {}
        for gift in look.gives:
            purchase = ids[look.keys[gift.line.id]]
            if gift.line.id in look.recipients:
                to = look.recipients[gift.line.id]
                persons = [people.ensure_person(self._store, connection, one, now) for one in to]
                takers[gift.line.id] = tuple(Taker(person, Role.RECIPIENT) for person in persons)
                named.setdefault(purchase, []).extend(persons)
            elif for_one(gift, own, counts) and not self._switches.was_others(connection, gift.line, buyer):
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

    # --- who -------------------------------------------------------------------------------------------------------

    def _who_buys(self, contact: Buyer, source: Source, known_id: int | None) -> int | Contact:
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
        if contact.customer_id and (customer := self._shop.find_customer(contact.customer_id)):
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
        return Contact(identity, email, contact.first_name, contact.last_name, contact.language)

    def _stays(self, customer: Person, contact: Buyer) -> bool:
        """Whether an order that names no customer is a customer's all the same: it was bought as a guest before that
        guest turned out to be the customer; or the shop has deleted the account, and so taken it off its orders."""
        email = normal_email(contact.email)
        with self._store.read() as connection:
            if any(guest.email == email for guest in people.merged_into(connection, customer.id)):
                return True
        return self._shop.find_customer(customer.customer_id or 0) is None

    def _addressed(self, look: Look) -> tuple[Look, list[Unresolved]]:
        """The look with the recipients of its gifts; gifts to where no mail could reach are left out, and as they are.

        Their recipients stand in the line's meta, several of them with commas between. Where these are more than there
        are seats for, who gets one is for a person to say.
        """
        recipients: dict[int, list[Contact]] = {}
        nowhere: list[Unresolved] = []
        for line in (gift.line for gift in look.gives if gift.offer.items):
            words = said_of(line, self._settings.gift_meta, look.gives).replace(";", ",").split(",")
            emails = dict.fromkeys(email for word in words if (email := normal_email(word)))
            if not all(map(is_email, emails)):
                said = f"line {line.id} is a gift to an address that mail could not reach: correct it in the shop"
                nowhere.append(Unresolved(line, said))
            elif emails:
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

    def _laid_out(self, source: Source) -> Callable[[Choice], str]:
        def words(choice: Choice) -> str:
            seats = ", ".join(f"seat {seat.id} (person {seat.person})" for seat in choice.among)
            return (
                f"{choice.count} of {len(choice.among)} seats in use have to go, and which is for you to say: {seats}. "
                f"`bridge seats decide {source.kind} {source.id} --end SEAT` for each"
            )

        return words


def _too_many(line: Line, source: Source, new: int, room: int) -> str:
    shown = f"{source.id}" if source.kind == "order" else f"{source.kind}:{source.id}"
    return (
        f"line {line.id} is a gift to more people than there are seats for: {new} of them have none, and {room} are "
        f"open. Take addresses off the line, or raise its quantity; `bridge seats list {shown}` shows who sits there"
    )


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
