"""The jobs: from "look at order 123" to a learner who can begin. Read it from the top; that is the flow.

    webhook, sweep, operator -> order -> learner -> note
    clock                    -> sweep, watch, catalogue

Each job looks at how things are now, compares with what it wrote down, does the difference by calls that may be
repeated, and writes down what it did. So any of them may be run twice, or be cut off anywhere and run again. No call
is made inside a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Connection

from bridge.desk import Desk
from bridge.domain.offers import NO_OFFERS, Offers
from bridge.errors import BridgeError, NotFound, Unavailable
from bridge.invitations import Invitations
from bridge.kinds import (
    ALL,
    BATCH,
    CATALOGUE,
    CUSTOMER,
    INVITATION,
    LEARNER,
    LETTERS,
    LINKS,
    NOTE,
    ORDER,
    PAYMENT,
    PAYMENTS,
    PROGRESS,
    RECONCILE,
    SEAL,
    SUBSCRIPTION,
    SWEEP,
    TIDY,
    WATCH,
)
from bridge.learners import Learners
from bridge.mail import Mailer
from bridge.mailed_links import MailedLinks
from bridge.order_notes import OrderNotes
from bridge.orders import Orders, Payments
from bridge.progress import Progress
from bridge.rights_watch import RightsWatch
from bridge.settings import Settings
from bridge.store import audit, batches, learning, ledger, signon
from bridge.store.db import Store, utc_now
from bridge.store.ledger import Source
from bridge.store.work import Claim, Work
from bridge.telling import Telling
from bridge.totara_client import TotaraClient
from bridge.who import Who
from bridge.woo_client import WooClient
from bridge.worker import Done, Handler

log = structlog.get_logger()

#: The deliveries that together tell of every change of an order. order.created adds nothing to them, and
#: payment_complete is silent for bank transfers and cash; the status action also covers what order.updated leaves out,
#: and only the last one tells of an order that is deleted for good (all measured).
TOPICS = (
    "order.updated",
    "order.deleted",
    "action.woocommerce_order_status_changed",
    "action.woocommerce_order_refunded",
    "action.woocommerce_delete_order",
)

#: How the names of our webhooks begin; the topic follows.
WEBHOOK_NAME = "Learning bridge: "

#: The same for subscriptions, where the shop has them.
SUBSCRIPTION_TOPICS = (
    "subscription.updated",
    "subscription.deleted",
    "action.woocommerce_subscription_status_changed",
)

LOOK_AGAIN = timedelta(seconds=10)

#: For how long the addresses on a list of people are kept.
LISTS_KEPT = timedelta(days=30)


class Catalogue(Protocol):
    """What the jobs need of :mod:`bridge.catalogue`."""

    def sync(self) -> None:
        """Plan, and apply unless it would change too much."""


def _plain(job: Callable[[], object]) -> Handler:
    """A handler of work that is about everything, and that writes down by itself."""

    def run(_claim: Claim) -> None:
        job()

    return run


class Jobs:
    """Everything the worker can do, by kind."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        work: Work,
        shop: WooClient,
        totara: TotaraClient,
        catalogue: Catalogue,
        *,
        offers: Offers = NO_OFFERS,
        payments: Payments | None = None,
        mailer: Mailer | None = None,
        links: MailedLinks | None = None,
        desk: Desk | None = None,
        invitations: Invitations | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._store = store
        self._work = work
        self._shop = shop
        self._totara = totara
        self._now = now
        self._payments = payments
        self.orders = Orders(settings, store, work, shop, totara, offers, payments, now)
        self.who = Who(settings.totara, store, work, totara)
        self.learners = Learners(settings, store, totara, offers, self.who, self._owe, now)
        self._rights = RightsWatch(store, work, totara, offers, now)
        self.handlers: Mapping[str, Handler] = {
            ORDER: self.orders.settle_order,
            SUBSCRIPTION: self.orders.settle_subscription,
            PAYMENT: self.look_at_payment,
            CUSTOMER: self.look_at_customer,
            LEARNER: self.learners.settle,
            PROGRESS: Progress(store, totara, now).settle,
            NOTE: OrderNotes(settings, store, work, shop, totara, now).write,
            SWEEP: _plain(self.sweep),
            WATCH: self._watch_turn,
            CATALOGUE: _plain(catalogue.sync),
            RECONCILE: _plain(self.reconcile),
            SEAL: _plain(self.seal),
            TIDY: _plain(self.tidy),
            **({LINKS: links.settle} if links is not None and links.there else {}),
            **({BATCH: desk.settle_batch} if desk is not None else {}),
            **({INVITATION: invitations.settle} if invitations is not None else {}),
            **({PAYMENTS: _plain(self.sweep_payments)} if payments else {}),
            **({LETTERS: Telling(settings, store, work, totara, mailer, now).settle} if mailer else {}),
        }

    def _owe(self, connection: Connection, person_id: int) -> None:
        """What follows from a look at a learner."""
        if self._settings.orders.notes:
            self._work.mark(connection, NOTE, learning.orders_of(connection, person_id))
        if LETTERS in self.handlers:
            self._work.mark(connection, LETTERS, [person_id])

    # --- what no delivery told -------------------------------------------------------------------------------------

    def sweep(self, since: datetime | None = None, *, anew: bool = False) -> int:
        """Owe a look at every order that was modified and that we have not seen so; returns how many.

        With ``since`` given by a person: at every order modified since then, seen or not, and at its learners.

        Begins some minutes before the last sweep: the shop filters by whole seconds, and its clock is not ours. An
        order is taken as seen only if we looked some seconds after it was modified.
        """
        with self._store.read() as connection:
            last = ledger.read_note(connection, SWEEP)
        begun = self._now()
        overlap = timedelta(seconds=self._settings.orders.sweep_overlap_seconds)
        start = since or (datetime.fromisoformat(last[0]) if last else begun) - overlap
        found = 0
        for kind, pages in self._modified_since(start):
            for page in pages:
                if since is None:
                    found += self._owe_unseen(kind, page)
                else:
                    found += len(page)
                    self.look_again(kind, [number for number, _ in page], anew=anew)
        if since is None:
            with self._store.begin() as connection:
                ledger.write_note(self._store, connection, SWEEP, begun.isoformat(), begun)
        return found

    def _modified_since(self, start: datetime) -> Iterator[tuple[str, Iterator[list[tuple[int, datetime]]]]]:
        yield ORDER, self._shop.orders_modified_after(start)
        yield ORDER, self._shop.orders_modified_after(start, binned=True)
        yield SUBSCRIPTION, self._shop.subscriptions_modified_after(start)
        yield SUBSCRIPTION, self._shop.subscriptions_modified_after(start, binned=True)

    def look_again(self, kind: str, numbers: Collection[int], *, anew: bool = False) -> int:
        """Owe a look at these orders or subscriptions, at the access of everybody on their seats, and at the notes in
        the shop, which are compared with what it has; how many people.

        ``anew``: lines that gave nothing when they were sold are asked once more what they give.
        """
        with self._store.begin() as connection:
            for number in numbers if anew else ():
                ledger.ask_anew(connection, Source("order" if kind == ORDER else "subscription", number))
            of = learning.learners_of if kind == ORDER else learning.subscribers_of
            learners = sorted({person for number in numbers for person in of(connection, number)})
            learning.doubt(connection, learners)
            self._work.mark(connection, LEARNER, learners)
            self._work.mark(connection, kind, sorted(numbers))
            if kind == ORDER:  # one that was never looked at has no note yet: it follows from the look
                noted = sorted(ledger.seen_orders(connection, numbers))
            else:
                noted = [order for number in numbers for order in ledger.newest_order(connection, number)]
            ledger.forget_notes(connection, noted)
            self._work.mark(connection, NOTE, noted)
        self._store.bell.ring()
        return len(learners)

    def _owe_unseen(self, kind: str, page: Collection[tuple[int, datetime]]) -> int:
        with self._store.read() as connection:
            find = ledger.seen_orders if kind == ORDER else ledger.seen_subscriptions
            seen = find(connection, [number for number, _ in page])
        due = [
            number
            for number, modified in page
            if number not in seen or seen[number][0] != modified or seen[number][1] < modified + timedelta(seconds=10)
        ]
        if due:
            self._work.mark_due(kind, *due)
            log.info("sweep found something", kind=kind, count=len(due))
        return len(due)

    def look_at_customer(self, claim: Claim) -> None:
        """Owe a look at what a customer has ordered lately: who comes from the shop is faster than its deliveries."""
        self._owe_unseen(ORDER, self._shop.newest_orders(int(claim.key)))

    def sweep_payments(self) -> int:
        """Owe a look at every payment that something happened to since the last sweep; how many those are."""
        if self._payments is None:
            return 0
        begun = self._now()
        with self._store.read() as connection:
            last = ledger.read_note(connection, PAYMENTS)
        start = datetime.fromisoformat(last[0]) if last else begun
        overlap = timedelta(seconds=self._settings.orders.sweep_overlap_seconds)
        found = set(self._payments.changed_since(start - overlap))
        self._work.mark_due(PAYMENT, *found)
        with self._store.begin() as connection:
            ledger.write_note(self._store, connection, PAYMENTS, begun.isoformat(), begun)
        return len(found)

    def reconcile(self) -> int:
        """Owe a look at what nothing tells of: what was deleted for good, refunds that were deleted, and learners whose
        access is not what their seats pay for. How many.
        """
        found, after = self._adrift(), 0
        while True:
            with self._store.read() as connection:
                page = ledger.orders_that_matter(connection, after)
            if not page:
                return found + self._missing_subscriptions()
            there = self._shop.orders_there(list(page))
            due = [number for number, refunded in page.items() if refunded or number not in there]
            self._work.mark_due(ORDER, *due)
            found, after = found + len(due), max(page)

    def _adrift(self) -> int:
        """As after a clock that was wrong: it ended access by a date that had not come, and nothing is due any more."""
        found, after = 0, 0
        while True:
            with self._store.read() as connection:
                page = learning.adrift(connection, after, self._now())
            if not page:
                return found
            self._work.mark_due(LEARNER, *page)
            found, after = found + len(page), max(page)

    def _missing_subscriptions(self) -> int:
        found, after = 0, 0
        while True:
            with self._store.read() as connection:
                page = ledger.subscriptions_that_matter(connection, after)
            if not page:
                return found
            try:
                there = self._shop.subscriptions_there(page)
            except NotFound:  # the plugin is off: each of them waits until it is on again
                return found
            due = [number for number in page if number not in there]
            self._work.mark_due(SUBSCRIPTION, *due)
            found, after = found + len(due), max(page)

    def look_at_payment(self, claim: Claim) -> Done | None:
        """A payment changed: owe a look at the order that it pays, found by our own books or by whoever took it."""
        names, told = frozenset({claim.key}), None
        with self._store.read() as connection:
            due = set(ledger.orders_paid_by(connection, names))
        if not due and self._payments is not None:
            names, told = self._payments.about(claim.key)
            with self._store.read() as connection:
                due = set(ledger.orders_paid_by(connection, names)) | ({told} if told else set())

        def write(connection: Connection) -> Mapping[str, Any] | None:
            self._work.mark(connection, ORDER, sorted(due))
            return {"orders": sorted(due)} if due else None

        return Done(write)

    def seal(self) -> None:
        """Seal what was written into the audit log."""
        while audit.seal(self._store) == 1000:
            pass

    def tidy(self) -> None:
        """Forget what has run out: of signing in, and lists of people that were given their seats long ago."""
        config, now = self._settings.sso, self._now()
        idle, longest = timedelta(minutes=config.idle_minutes), timedelta(hours=config.session_hours)
        with self._store.begin() as connection:
            signon.tidy(connection, now, seen_before=now - idle, began_before=now - longest)
            batches.forget(connection, made_before=now - LISTS_KEPT)

    def _watch_turn(self, _claim: Claim) -> Done | None:
        """While a system is away, look again soon: nobody should wait for the clock once it is back."""
        return None if self.watch() else Done(lambda connection: None, again_at=self._now() + LOOK_AGAIN)

    def watch(self) -> bool:
        """See whether orders would get through, write it down for ``/readyz``, and mend what can be mended.

        Returns whether both systems answered.

        WooCommerce disables a webhook after seven failed deliveries, tells nobody, and what happened meanwhile is
        never delivered: it is switched on again here, and a sweep is owed.
        """
        found: dict[str, str] = {}
        answered = True
        for name, look in (("shop", self._look_at_shop), ("totara", self._rights.look)):
            try:
                found[name] = look()
            except BridgeError as err:
                found[name] = str(err)
                answered = answered and not isinstance(err, Unavailable)
        now = self._now()
        with self._store.begin() as connection:
            ledger.write_note(self._store, connection, WATCH, found, now)
        return answered

    def _look_at_shop(self) -> str:
        ours = self.our_webhooks()
        asleep = [hook for hook in ours if hook["status"] == "disabled"]  # staff may have paused one
        for hook in asleep:
            self._shop.update_webhook(int(hook["id"]), status="active")
            log.warning("webhook was disabled by the shop, and is active again", webhook=hook["id"])
        if asleep:
            self._work.mark_due(SWEEP, ALL)
        missing = sorted(set(self.topics()) - {hook["topic"] for hook in ours})
        if missing:
            return f"no webhook for {', '.join(missing)}: run `bridge webhooks install` (sweeps go on)"
        return ""

    def topics(self) -> tuple[str, ...]:
        """The deliveries that the bridge wants of this shop."""
        return (*TOPICS, *SUBSCRIPTION_TOPICS) if self._shop.sells_subscriptions() else TOPICS

    def our_webhooks(self) -> list[dict[str, Any]]:
        """The webhooks that deliver to us, each with a topic.

        While WooCommerce Subscriptions is away, a delivery leaves a webhook of its topics without any, for good
        (measured): it is given back here, since the name that we gave it tells which.
        """
        ours = [hook for hook in self._shop.webhooks() if hook["delivery_url"] == self.delivery_url]
        there, wanted = {hook["topic"] for hook in ours}, set(self.topics())
        for hook in ours:
            topic = str(hook["name"]).removeprefix(WEBHOOK_NAME)
            if not hook["topic"] and topic in wanted - there:
                self._shop.update_webhook(int(hook["id"]), topic=topic)
                hook["topic"] = topic
                log.warning("webhook had lost its topic, and has it again", webhook=hook["id"])
        return ours

    @property
    def delivery_url(self) -> str:
        """Where the shop delivers to."""
        return f"{self._settings.server.public_url}/webhooks/woocommerce"


class Clock:
    """Marks the recurring work due. On every node: marking is idempotent, and the claim is exclusive."""

    def __init__(self, settings: Settings, work: Work) -> None:
        self._work = work
        self._scheduler = BackgroundScheduler(timezone="UTC")
        recurring = {
            SWEEP: settings.orders.sweep_seconds,
            WATCH: settings.work.watch_seconds,
            CATALOGUE: settings.catalogue.every_seconds,
            RECONCILE: settings.orders.reconcile_seconds,
            SEAL: 60.0,
            TIDY: 3600.0,
            **({PAYMENTS: settings.stripe.sweep_seconds} if settings.stripe.secret_key else {}),
        }
        for kind, every in recurring.items():
            self._scheduler.add_job(
                self._mark,
                "interval",
                args=(kind, every),
                seconds=every,
                coalesce=True,
                next_run_time=utc_now(),
                misfire_grace_time=None,
            )

    def _mark(self, kind: str, every: float) -> None:
        try:
            self._work.mark_recurring(kind, ALL, every)
        except Unavailable as err:
            log.warning("could not mark recurring work", kind=kind, problem=str(err))

    def start(self) -> None:
        """Begin to tick."""
        self._scheduler.start()

    def stop(self) -> None:
        """Tick no more."""
        self._scheduler.shutdown(wait=False)
