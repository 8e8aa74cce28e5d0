"""Orders and subscriptions: what the shop tells of them now becomes seats in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, Row

from bridge.addresses import Addresses
from bridge.bookkeeping import Bookkeeping, Look
from bridge.buyers import Buyers
from bridge.domain.offers import Offers
from bridge.domain.purchases import (
    Buyer,
    Order,
    Paying,
    Standing,
    Subscription,
    paid_units,
    standing,
    subscribed,
    subscribed_and_paid,
)
from bridge.errors import NotFound, Refused, Unavailable
from bridge.kinds import NOTE, ORDER, SUBSCRIPTION
from bridge.offering import Offering, key_of
from bridge.settings import Orders as OrderSettings
from bridge.settings import Settings
from bridge.starting import Starting
from bridge.store import ledger, people
from bridge.store.db import Store
from bridge.store.ledger import Source
from bridge.store.work import Claim, Work
from bridge.switches import Switches, within
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
        self._payments = payments
        self._now = now
        self._offering = Offering(store, shop, offers)
        self._switches = Switches(store, work, shop)
        self._books = Bookkeeping(settings.orders, store, work, Starting(store, totara), self._switches)
        self._buyers = Buyers(store, Addresses(store, shop, now), settings.orders.gift_meta)

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
            company=order.buyer.company,
        )
        if stands.gives and any(gift.offer.items for gift in gives):
            look, nowhere = self._buyers.addressed(look)
            unresolved += nowhere
            try:
                buyer = self._buyers.who_buys(order.buyer, source, row.person_id if row else None)
            except Refused as err:
                return self._nobody_buys(order, row, str(err))
            look = replace(look, buyer=buyer)
        look, plan = self._books.planned(look, self._now())
        reasons = [one.reason for one in unresolved if counts[one.line.id]] if stands.gives else []
        parked = "; ".join([*reasons, *map(self._books.laid_out(source), plan.undecided)])

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
            changed, learners = self._books.write(connection, look, buyer, now)
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
            company=subscription.buyer.company,
        )
        if stands.gives and any(gift.offer.items for gift in gives):
            whose = subscription.buyer
            if subscription.recipient_id:
                whose = Buyer(subscription.recipient_id, "")
            look, nowhere = self._buyers.addressed(look)
            unresolved += nowhere
            look = replace(look, buyer=self._buyers.who_buys(whose, source, row.person_id if row else None))
        look, plan = self._books.planned(look, self._now())
        if any(seat.person is not None for seat in plan.end):
            moved = self._switches.into(subscription, look.gone, patient=claim.attempts < MOST_WAITS)
            look, plan = (
                self._books.planned(replace(look, into={**look.into, **moved}), self._now()) if moved else (look, plan)
            )
        reasons = [line.reason for line in unresolved] if stands.gives else [nobody_knows] if nobody_knows else []
        parked = "; ".join([*reasons, *map(self._books.laid_out(source), plan.undecided)])

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
            changed, learners = self._books.write(connection, look, buyer, now)
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
            changed, _ = self._books.write(connection, look, None, now)
            return {"gone": True, "known": row is not None, **changed}

        return Done(write)
