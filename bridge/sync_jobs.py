"""The jobs: from "look at order 123" to a learner who can begin. Read it from the top; that is the flow.

    webhook, sweep, operator -> order -> learner -> note
    clock                    -> sweep, watch, catalogue

Each job looks at how things are now, compares with what it wrote down, does the difference by calls that may be
repeated, and writes down what it did. So any of them may be run twice, or be cut off anywhere and run again. No call
is made inside a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Connection

from bridge.domain.catalogue import digest, sold_by
from bridge.domain.identity import Contact, identity_of, is_email, normal_email
from bridge.domain.notes import NOTE_MARK, order_note
from bridge.domain.purchases import Buyer, Gives, Order, Standing, Unresolved, plan_seats, resolve, standing
from bridge.errors import BridgeError, NotFound, Refused, Unavailable
from bridge.learners import Learners
from bridge.settings import Settings
from bridge.store import ledger
from bridge.store.db import Store, utc_now
from bridge.store.work import Claim, Work
from bridge.totara_client import TotaraClient
from bridge.woo_client import WooClient
from bridge.worker import Done, Handler

log = structlog.get_logger()

ORDER, LEARNER, NOTE = "order", "learner", "note"
SWEEP, WATCH, CATALOGUE = "sweep", "watch", "catalogue"
ALL = "all"  # the key of work that is about everything

#: The deliveries that together tell of every change of an order. order.created adds nothing to them, and
#: payment_complete is silent for bank transfers and cash; the status action also covers what order.updated leaves out.
TOPICS = (
    "order.updated",
    "order.deleted",
    "action.woocommerce_order_status_changed",
    "action.woocommerce_order_refunded",
)

#: What each kind of work can't do without: while one of them is down, the work waits undisturbed.
SYSTEMS: Mapping[str, frozenset[str]] = {
    ORDER: frozenset({"shop"}),
    LEARNER: frozenset({"totara"}),
    NOTE: frozenset({"shop"}),
    SWEEP: frozenset({"shop"}),
    WATCH: frozenset(),
    CATALOGUE: frozenset({"shop", "totara"}),
}


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
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._store = store
        self._work = work
        self._shop = shop
        self._totara = totara
        self._now = now
        self.learners = Learners(settings, store, totara, self._owe_notes, now)
        self.handlers: Mapping[str, Handler] = {
            ORDER: self.settle_order,
            LEARNER: self.learners.settle,
            NOTE: self.write_note,
            SWEEP: _plain(self.sweep),
            WATCH: _plain(self.watch),
            CATALOGUE: _plain(catalogue.sync),
        }

    # --- 1. an order becomes seats -----------------------------------------------------------------------------

    def settle_order(self, claim: Claim) -> Done | None:
        """Bring the ledger in line with one order, as the shop tells it now.

        1. Fetch the order: whatever woke us was only a hint.
        2. Tell what each line gives, and who buys.
        3. Compare the seats it pays for with the seats there are; write the difference down in one transaction, and
           owe a look at each learner whose seats changed.

        Lines of which nobody can tell what they give need a person, after everything else was done. Raises Refused
        for a buyer whom no mail could reach.
        """
        order_id = int(claim.key)
        try:
            order = self._shop.get_order(order_id)
        except NotFound:
            return self._order_is_gone(order_id, claim.attempts)
        if order.status in ("checkout-draft", "auto-draft"):
            return None
        stands = standing(
            order,
            self._settings.orders.paid_statuses,
            unconfirmed_cash_pays=self._settings.orders.unconfirmed_cash == "pays",
        )
        gives, unresolved = self._what_it_gives(order)
        buyer = self._who_buys(order) if stands is Standing.PAYS and any(gift.course_id for gift in gives) else None
        # Of a line that nobody can tell of, what it has stays as it is.
        untold = {line.line.id for line in unresolved} if stands is not Standing.ENDED else set()

        def write(connection: Connection) -> Mapping[str, Any] | None:
            now = self._now()
            person_id = ledger.ensure_person(self._store, connection, buyer, now) if buyer else None
            ledger.record_order(self._store, connection, order, person_id, gives, now)
            seats = [seat for seat in ledger.seats_of(connection, order_id) if seat.line_id not in untold]
            plan = plan_seats(stands, gives, seats)
            learners = ledger.apply_seats(connection, order_id, plan, person_id, f"the order is {order.status}", now)
            if person_id is not None:
                learners |= ledger.move_seats(connection, order_id, person_id)
            self._work.mark(connection, LEARNER, sorted(learners))
            if plan and not learners:  # with a learner, the note waits for what comes of it
                self._work.mark(connection, NOTE, [order_id])
            counts = {"given": len(plan.give), "revived": len(plan.revive), "ended": len(plan.end)}
            return {"status": order.status, "stands": stands.value, **counts} if plan else None

        needs_person = "; ".join(line.reason for line in unresolved) if stands is Standing.PAYS else ""
        return Done(write, parked=needs_person)

    def _order_is_gone(self, order_id: int, attempts: int) -> Done:
        """A known order that was deleted for good ends its seats; an unknown one may only not be readable yet."""
        with self._store.read() as connection:
            known = ledger.is_known(connection, order_id)
        if not known and attempts < 5:
            raise Unavailable(f"order {order_id} can't be read yet", system="shop")

        def write(connection: Connection) -> Mapping[str, Any]:
            now = self._now()
            ledger.record_gone(connection, order_id, now)
            plan = plan_seats(Standing.ENDED, (), ledger.seats_of(connection, order_id))
            learners = ledger.apply_seats(connection, order_id, plan, None, "the order was deleted", now)
            self._work.mark(connection, LEARNER, sorted(learners))
            return {"gone": True, "known": known}

        return Done(write)

    def _what_it_gives(self, order: Order) -> tuple[list[Gives], list[Unresolved]]:
        products = {product for line in order.lines for product in (line.product_id, line.variation_id) if product}
        with self._store.read() as connection:
            remembered = ledger.known_lines(connection, order.id)
            by_product = ledger.courses_of_products(connection, products) if products else {}
        results = [
            resolve(line, remembered=remembered, by_product=by_product, by_sku=sold_by(line.sku, line.variation_id))
            for line in order.lines
        ]
        gives = [result for result in results if isinstance(result, Gives)]
        return gives, [result for result in results if isinstance(result, Unresolved)]

    def _who_buys(self, order: Order) -> int | Contact:
        """The buyer. The shop is asked for a registered customer: the account's address counts, not the bill's.

        Raises Refused if mail could reach nobody there.
        """
        contact = order.buyer
        identity = identity_of(contact.customer_id, contact.email)
        with self._store.read() as connection:
            known = ledger.buyer_of(connection, order.id)
            if known is None or known.totara_id is None:
                known = ledger.find_person(connection, identity) if contact.customer_id else None
        if known is not None and known.totara_id is not None:
            # Whatever the order says by now: what was given to somebody stays theirs.
            return known.id
        if contact.customer_id and (customer := self._shop.find_customer(contact.customer_id)):
            contact = Buyer(
                customer.customer_id,
                customer.email or contact.email,
                customer.first_name or contact.first_name,
                customer.last_name or contact.last_name,
            )
        email = normal_email(contact.email)
        if not is_email(email):
            raise Refused(f"order {order.id} has no address that mail could reach: correct it in the shop")
        return Contact(identity, email, contact.first_name, contact.last_name)

    # --- 2. seats become enrolments: see bridge/learners.py ---------------------------------------------------------

    def _owe_notes(self, connection: Connection, person_id: int) -> None:
        if self._settings.orders.notes:
            self._work.mark(connection, NOTE, ledger.orders_of(connection, person_id))

    # --- 3. the order tells what was done ------------------------------------------------------------------------

    def write_note(self, claim: Claim) -> Done | None:
        """Write a private note and meta on the order, once for each state of things.

        That a note is being written is written down first: after a crash the order's notes are looked through for it,
        since the shop would take the same note twice.
        """
        order_id = int(claim.key)
        if not self._settings.orders.notes:
            return None
        with self._store.read() as connection:
            seats = ledger.report(connection, order_id)
            row = ledger.find_order(connection, order_id)
        if row is None or row.status == "deleted" or not seats:
            return None
        if any(seat.live and seat.person_id and not seat.trouble and not seat.verified for seat in seats):
            return None  # its learner is owed a look, and a note follows from that
        note = order_note(seats)
        # What it says, and what was said before: "ready" after "ended" is another note than the first "ready".
        content = digest([note.text, note.meta])[:8]
        if (row.note_written or "").startswith(content):
            return None
        mark = content + digest([content, row.note_written])[:8]
        text = f"{note.text} {NOTE_MARK.format(mark)}"
        begun = row.note_begun == mark
        if not begun:
            with self._store.begin() as connection:
                ledger.set_order(connection, order_id, note_begun=mark)
        try:
            self._shop.set_order_meta(order_id, note.meta)
            if not (begun and any(NOTE_MARK.format(mark) in old for old in self._shop.order_notes(order_id))):
                self._shop.add_order_note(order_id, text)
        except NotFound as err:
            if err.code != "woocommerce_rest_shop_order_invalid_id":
                raise Unavailable(f"no note can be written: {err}", system="shop") from err
            return None  # deleted meanwhile; its own turn will come
        return Done(lambda connection: ledger.set_order(connection, order_id, note_written=mark))

    # --- what no delivery told -------------------------------------------------------------------------------------

    def sweep(self, since: datetime | None = None) -> int:
        """Owe a look at every order that was modified and that we have not seen so; returns how many.

        With ``since`` given by a person: at every order modified since then, seen or not, and at its learners.

        Begins some minutes before the last sweep: the shop filters by whole seconds, and its clock is not ours. An
        order is taken as seen only if we looked some seconds after it was modified.
        """
        with self._store.read() as connection:
            last = ledger.read_note(connection, "sweep")
        begun = self._now()
        overlap = timedelta(seconds=self._settings.orders.sweep_overlap_seconds)
        start = since or (datetime.fromisoformat(last[0]) if last else begun) - overlap
        found = 0
        for binned in (False, True):
            for page in self._shop.orders_modified_after(start, binned=binned):
                if since is None:
                    found += self._owe_unseen(page)
                else:
                    found += len(page)
                    self.look_again([order_id for order_id, _ in page])
        if since is None:
            with self._store.begin() as connection:
                ledger.write_note(self._store, connection, "sweep", begun.isoformat(), begun)
        return found

    def look_again(self, order_ids: Collection[int]) -> int:
        """Owe a look at these orders, and at the access of everybody on their seats; returns how many those are."""
        with self._store.begin() as connection:
            learners = sorted({person for order in order_ids for person in ledger.learners_of(connection, order)})
            ledger.doubt(connection, learners)
            self._work.mark(connection, LEARNER, learners)
            self._work.mark(connection, ORDER, sorted(order_ids))
        self._store.bell.ring()
        return len(learners)

    def _owe_unseen(self, page: Collection[tuple[int, datetime]]) -> int:
        with self._store.read() as connection:
            seen = ledger.seen_orders(connection, [order_id for order_id, _ in page])
        due = [
            order_id
            for order_id, modified in page
            if order_id not in seen
            or seen[order_id][0] != modified
            or seen[order_id][1] < modified + timedelta(seconds=10)
        ]
        if due:
            self._work.mark_due(ORDER, *due)
            log.info("sweep found orders", count=len(due))
        return len(due)

    def watch(self) -> None:
        """See whether orders would get through, write it down for ``/readyz``, and mend what can be mended.

        WooCommerce disables a webhook after seven failed deliveries, tells nobody, and what happened meanwhile is
        never delivered: it is switched on again here, and a sweep is owed.
        """
        found: dict[str, str] = {}
        for name, look in (("shop", self._look_at_shop), ("totara", self._look_at_totara)):
            try:
                found[name] = look()
            except BridgeError as err:
                found[name] = str(err)
        now = self._now()
        with self._store.begin() as connection:
            ledger.write_note(self._store, connection, "watch", found, now)

    def _look_at_shop(self) -> str:
        ours = [hook for hook in self._shop.webhooks() if hook["delivery_url"] == self.delivery_url]
        asleep = [hook for hook in ours if hook["status"] == "disabled"]  # staff may have paused one
        for hook in asleep:
            self._shop.update_webhook(int(hook["id"]), status="active")
            log.warning("webhook was disabled by the shop, and is active again", webhook=hook["id"])
        if asleep:
            self._work.mark_due(SWEEP, ALL)
        missing = sorted(set(TOPICS) - {hook["topic"] for hook in ours})
        if missing:
            return f"no webhook for {', '.join(missing)}: run `bridge webhooks install` (sweeps go on)"
        return ""

    def _look_at_totara(self) -> str:
        self._totara.capabilities(again=True)
        return ""

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
