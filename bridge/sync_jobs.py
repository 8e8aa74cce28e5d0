"""The jobs: from "look at order 123" to a learner who can begin. Read it from the top; that is the flow.

    webhook, sweep, operator -> order -> learner -> note
    clock                    -> sweep, watch, catalogue

Each job looks at how things are now, compares with what it wrote down, does the difference by calls that may be
repeated, and writes down what it did. So any of them may be run twice, or be cut off anywhere and run again. No call
is made inside a transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Protocol, TypeVar

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from bridge.domain.catalogue import Rules, digest, sold_by
from bridge.domain.enrolments import State, plan_enrolments
from bridge.domain.identity import identity_of, is_email, names_of, normal_email
from bridge.domain.lms import Account, Course, NewAccount, Tree
from bridge.domain.notes import NOTE_MARK, order_note
from bridge.domain.purchases import Buyer, Gives, Order, Standing, Unresolved, plan_seats, resolve, standing
from bridge.errors import BridgeError, NotFound, Refused, Unavailable
from bridge.settings import Settings
from bridge.store import ledger
from bridge.store.db import Store, utc_now
from bridge.store.ledger import Person
from bridge.store.models import orders
from bridge.store.work import Claim, Work
from bridge.totara_client import TotaraClient
from bridge.woo_client import WooClient

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

T = TypeVar("T")


class Catalogue(Protocol):
    """What the jobs need of :mod:`bridge.catalogue`."""

    def sync(self) -> None:
        """Plan, and apply unless it would change too much."""


class Recent:
    """A value that is read again when it is older than ``seconds``."""

    def __init__(self, seconds: float, read: Callable[[], T]) -> None:
        self._seconds = seconds
        self._read = read
        self._value: tuple[float, Any] | None = None
        self._lock = Lock()

    def __call__(self) -> Any:
        with self._lock:
            if self._value is None or time.monotonic() - self._value[0] > self._seconds:
                self._value = time.monotonic(), self._read()
            return self._value[1]


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
        self._rules = Rules(settings.catalogue.allow, settings.catalogue.deny)
        self._tree = Recent(60.0, totara.tree)
        self._tags = {
            tag: Recent(60.0, lambda tag=tag: totara.tagged(tag))  # type: ignore[misc]
            for tag in {rule.tag for rule in (*settings.catalogue.allow, *settings.catalogue.deny) if rule.tag}
        }
        self.handlers: Mapping[str, Callable[[Claim], None]] = {
            ORDER: self.settle_order,
            LEARNER: self.settle_learner,
            NOTE: self.write_note,
            SWEEP: self._sweep,
            WATCH: lambda _claim: self.watch(),
            CATALOGUE: lambda _claim: catalogue.sync(),
        }

    # --- 1. an order becomes seats -----------------------------------------------------------------------------

    def settle_order(self, claim: Claim) -> None:
        """Bring the ledger in line with one order, as the shop tells it now.

        1. Fetch the order: whatever woke us was only a hint.
        2. Tell what each line gives, and who buys.
        3. Compare the seats it pays for with the seats there are; write the difference down in one transaction, and
           owe a look at each learner whose seats changed.

        Raises Refused, after everything else was done, for lines or buyers that need a person.
        """
        order_id = int(claim.key)
        begun = self._now()
        try:
            order = self._shop.get_order(order_id)
        except NotFound:
            self._order_is_gone(order_id, claim.attempts)
            return
        stands = standing(
            order,
            self._settings.orders.paid_statuses,
            unconfirmed_cash_pays=self._settings.orders.unconfirmed_cash == "pays",
        )
        if order.status in ("checkout-draft", "auto-draft"):
            return
        gives, unresolved = self._what_it_gives(order)
        buyer = self._who_buys(order, stands, gives)
        now = self._now()
        with self._store.begin() as connection:
            person_id = buyer if isinstance(buyer, int) else None
            if buyer is not None and person_id is None:
                identity, contact = buyer
                person_id = ledger.ensure_person(
                    self._store, connection, identity, contact, normal_email(contact.email), now
                )
            if ledger.looked_since(connection, order_id, begun):
                raise Unavailable(f"order {order_id} was read before somebody else's look at it", system="database")
            ledger.record_order(self._store, connection, order, person_id, gives, now)
            # Of a line that nobody can tell of, what it has stays as it is.
            untold = {line.line.id for line in unresolved} if stands is not Standing.ENDED else set()
            seats = [seat for seat in ledger.seats_of(connection, order_id) if seat.line_id not in untold]
            plan = plan_seats(stands, gives, seats)
            learners = ledger.apply_seats(connection, order_id, plan, person_id, f"the order is {order.status}", now)
            if person_id is not None:
                learners |= ledger.move_seats(connection, order_id, person_id)
            self._work.mark(connection, LEARNER, learners)
            if plan and not learners:  # with a learner, the note waits for what comes of it
                self._work.mark(connection, NOTE, [order_id])
        self._store.bell.ring()
        if plan:
            log.info(
                "order settled",
                order=order_id,
                status=order.status,
                stands=stands.value,
                given=len(plan.give),
                revived=len(plan.revive),
                ended=len(plan.end),
            )
        if unresolved and stands is Standing.PAYS:
            raise Refused("; ".join(line.reason for line in unresolved))

    def _order_is_gone(self, order_id: int, attempts: int) -> None:
        """A known order that was deleted for good ends its seats; an unknown one may only not be readable yet."""
        now = self._now()
        with self._store.begin() as connection:
            known = ledger.record_gone(connection, order_id, now)
            if known:
                plan = plan_seats(Standing.ENDED, (), ledger.seats_of(connection, order_id))
                learners = ledger.apply_seats(connection, order_id, plan, None, "the order was deleted", now)
                self._work.mark(connection, LEARNER, learners)
        self._store.bell.ring()
        if not known and attempts < 5:
            raise Unavailable(f"order {order_id} can't be read yet", system="shop")
        log.info("order is gone", order=order_id, known=known)

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

    def _who_buys(self, order: Order, stands: Standing, gives: Collection[Gives]) -> Any:
        """The identity and the contact of the buyer, or None while the order gives nothing to anybody.

        A registered customer is asked for at the shop once, for the address of the account and not of the bill.
        """
        if stands is not Standing.PAYS or not any(gift.course_id is not None for gift in gives):
            return None
        with self._store.read() as connection:
            known = ledger.buyer_of(connection, order.id)
        if known is not None and known.totara_id is not None:
            return known.id  # whatever the order says by now: what was given to somebody stays theirs
        contact = order.buyer
        identity = identity_of(contact.customer_id, contact.email)
        if contact.customer_id:
            with self._store.read() as connection:
                person = ledger.find_person(connection, identity)
            if person is not None and person.totara_id is not None:
                contact = Buyer(contact.customer_id, person.email, person.first_name, person.last_name)
            elif customer := self._shop.find_customer(contact.customer_id):
                contact = Buyer(
                    customer.customer_id,
                    customer.email or contact.email,
                    customer.first_name or contact.first_name,
                    customer.last_name or contact.last_name,
                )
        if not is_email(normal_email(contact.email)):
            raise Refused(f"order {order.id} has no address that mail could reach: correct it in the shop")
        return identity, contact

    # --- 2. seats become enrolments ------------------------------------------------------------------------------

    def settle_learner(self, claim: Claim) -> None:
        """Bring Totara in line with all live seats of one person.

        1. Compare the courses that are paid for with the enrolments we gave. Equal and verified: no call at all.
        2. Make sure of the account: ours, or newly made in the academy's tenant; never somebody else's.
        3. Enrol, unless a deny rule forbids the course by now; then look whether the learner can enter.
        4. Suspend what nothing pays for any more, having read completion first.
        5. Write down, and owe a note to each order.

        What went well is kept when something else did not; the rest is Refused in one message.
        """
        person_id = int(claim.key)
        with self._store.read() as connection:
            person = ledger.get_person(connection, person_id)
            if person is None:
                return None
            held = ledger.held_enrolments(connection, person_id)
            plan = plan_enrolments(ledger.wanted_courses(connection, person_id), held)
        if not plan:
            return self._owe_notes(person_id)
        troubles: dict[int, str] = {}
        try:
            user_id = self._ensure_account(person)
            for course_id in plan.suspend:
                self._suspend(person, user_id, course_id, troubles)
            self._enrol(person, user_id, plan.enrol, plan.verify, troubles)
        except Refused as err:
            troubles |= {course_id: str(err) for course_id in (*plan.enrol, *plan.verify)}
        self._record_troubles(person_id, troubles)
        self._owe_notes(person_id)
        if troubles:
            raise Refused("; ".join(sorted(set(troubles.values()))))
        return None

    def _ensure_account(self, person: Person) -> int:
        """The person's Totara user id.

        The address is reserved in our own database before Totara is asked, since nothing there keeps two accounts
        from having one address. An account that is there already and does not carry our key is somebody else's: an
        address proves nothing, and it is left alone.
        """
        if person.totara_id is not None:
            return person.totara_id
        with self._store.begin() as connection:
            other = ledger.reserve_account(self._store, connection, person)
        if other is not None:
            raise Refused(
                f"the address of person {person.id} is that of person {other} already: "
                "it has to be proven before both can be one"
            )
        username = self._settings.totara.username_prefix + person.key
        user_id = self._our_account(person, username)
        if user_id is None:
            first, last = names_of(person.first_name, person.last_name, person.email)
            try:
                user_id = self._totara.create_account(NewAccount(username, person.email, first, last))
            except Refused:
                # Taken meanwhile, or made by a call whose answer got lost: look, don't guess from the message.
                mine = self._totara.find_account_by_username(username)
                user_id = mine.id if mine else self._our_account(person, username)
                if user_id is None:
                    raise
            log.info("account made", person=person.id, user=user_id)
        with self._store.begin() as connection:
            ledger.account_made(connection, person.id, user_id, self._now())
        return user_id

    def _our_account(self, person: Person, username: str) -> int | None:
        """The id of the account that carries our key, if the address leads to one; Refused if it is somebody else's."""
        found: list[Account] = self._totara.find_accounts(person.email)
        ours = [account for account in found if account.username == username]
        if found and not ours:
            # The address may have been changed since ours was made and the answer lost: the key tells for certain.
            ours = [account for account in (self._totara.find_account_by_username(username),) if account]
        if found and not ours:
            raise Refused(
                f"the address of person {person.id} belongs to Totara user {found[0].id}, an account the bridge did "
                "not make: it was left alone, and the seat waits"
            )
        return ours[0].id if ours else None

    def _enrol(
        self,
        person: Person,
        user_id: int,
        enrol: Collection[int],
        verify: Collection[int],
        troubles: dict[int, str],
    ) -> None:
        reachable = self._totara.reachable_courses(user_id, verify) if verify else set()
        # Those that were there once, and that somebody has taken away, are given again, by the same rules.
        give = sorted({*enrol, *verify} - reachable)
        courses = self._totara.find_courses(give)
        allowed = []
        for course_id in give:
            try:
                self._may_enrol(course_id, courses.get(course_id))
                allowed.append(course_id)
            except Refused as err:
                troubles[course_id] = f"course {course_id}: {err}"
        self._in_doubt(person.id, allowed)
        done = set(verify) & reachable
        for course_id in allowed:
            try:
                self._totara.ensure_enrolment(user_id, course_id)
                done.add(course_id)
            except Refused as err:
                troubles[course_id] = f"course {course_id}: {err}"
                self._record_troubles(person.id, {course_id: troubles[course_id]}, state=State.WANTED)
        if not done:
            return
        if set(allowed) & done:
            reachable = self._totara.reachable_courses(user_id, done)
        now = self._now()
        with self._store.begin() as connection:
            for course_id in sorted(done):
                ok = course_id in reachable
                if not ok:
                    troubles.setdefault(
                        course_id,
                        f"course {course_id}: Totara user {user_id} is enrolled but can't enter: is the course hidden, "
                        "or in another tenant?",
                    )
                ledger.record_enrolment(
                    self._store,
                    connection,
                    person.id,
                    course_id,
                    now,
                    state=State.ACTIVE,
                    verified_at=now if ok else None,
                    trouble=troubles.get(course_id),
                )
        log.info("learner settled", person=person.id, user=user_id, courses=sorted(done & reachable))

    def _may_enrol(self, course_id: int, course: Course | None) -> None:
        """The deny rules, once more: a course may have been restricted since it was sold."""
        if course is None:
            raise Refused("it is not in Totara any more, or the service account may not see it")
        tree: Tree = self._tree()
        verdict = self._rules.judge(self.as_judged(course), tree)
        if verdict.denied:
            raise Refused(verdict.reason)
        if not verdict.selected and not self._was_sold(course_id):
            raise Refused(f"it was never for sale: {verdict.reason}")

    def as_judged(self, course: Course) -> Course:
        """The course with everything that the catalogue judges it by."""
        tagged = self._with_tags(course)
        if self._settings.catalogue.visibility != "audience":
            return tagged
        seen = self._totara.audience_visibility([course.id]).get(course.id)
        return replace(tagged, audience_visible=seen, visible=None if seen is None else seen in (1, 2))

    def _with_tags(self, course: Course) -> Course:
        if not self._tags or course.visible is False:  # a search by tag leaves hidden courses out: it can't be told
            return course
        return replace(course, tags=frozenset(tag for tag, courses in self._tags.items() if course.id in courses()))

    def _was_sold(self, course_id: int) -> bool:
        with self._store.read() as connection:
            return ledger.is_our_product(connection, course_id)

    def _suspend(self, person: Person, user_id: int, course_id: int, troubles: dict[int, str]) -> None:
        """End access without deleting anything. Completion can't be read any more afterwards."""
        try:
            completed = self._totara.completed(user_id, course_id)
            told = {} if completed is None else {"completed": completed}
            self._in_doubt(person.id, [course_id], **told)
            self._totara.ensure_enrolment(user_id, course_id, suspended=True)
        except Refused as err:
            # An unknown course is "invalidparameter"; one that is only hidden from the service account is not.
            if err.code != "invalidparameter" or self._totara.find_courses([course_id]):
                troubles[course_id] = f"course {course_id}: {err}"
                return
            completed = None  # the course is gone, and the enrolment with it
        now = self._now()
        with self._store.begin() as connection:
            ledger.record_enrolment(
                self._store,
                connection,
                person.id,
                course_id,
                now,
                state=State.SUSPENDED,
                verified_at=now,
                trouble=None,
                **({} if completed is None else {"completed": completed}),
            )
        log.info("access ended", person=person.id, user=user_id, course=course_id)

    def _in_doubt(self, person_id: int, course_ids: Collection[int], **values: Any) -> None:
        """Written down before Totara is told: should we die before the answer, the next look must not believe that
        things are as they were. It then sees for itself, and gives or ends the access as is due by then.
        """
        if not course_ids:
            return
        now = self._now()
        with self._store.begin() as connection:
            for course_id in sorted(course_ids):
                ledger.record_enrolment(
                    self._store,
                    connection,
                    person_id,
                    course_id,
                    now,
                    state=State.ACTIVE,
                    verified_at=None,
                    **values,
                )

    def _record_troubles(self, person_id: int, troubles: Mapping[int, str], state: State | None = None) -> None:
        if not troubles:
            return
        now = self._now()
        with self._store.begin() as connection:
            held = ledger.held_enrolments(connection, person_id)
            for course_id, trouble in troubles.items():
                stands = state or (held[course_id].state if course_id in held else State.WANTED)
                ledger.record_enrolment(
                    self._store, connection, person_id, course_id, now, state=stands, trouble=trouble
                )

    def _owe_notes(self, person_id: int) -> None:
        if not self._settings.orders.notes:
            return
        with self._store.begin() as connection:
            self._work.mark(connection, NOTE, ledger.orders_of(connection, person_id))
        self._store.bell.ring()

    # --- 3. the order tells what was done ------------------------------------------------------------------------

    def write_note(self, claim: Claim) -> None:
        """Write a private note and meta on the order, once for each state of things.

        That a note is being written is written down first: after a crash the order's notes are looked through for it,
        since the shop would take the same note twice.
        """
        order_id = int(claim.key)
        if not self._settings.orders.notes:
            return
        with self._store.read() as connection:
            seats = ledger.report(connection, order_id)
            row = connection.execute(orders.select().where(orders.c.id == order_id)).first()
        if row is None or row.status == "deleted" or not seats:
            return
        if any(seat.live and seat.person_id and not seat.trouble and not seat.verified for seat in seats):
            return  # its learner is owed a look, and a note follows from that
        note = order_note(seats)
        # What it says, and what was said before: "ready" after "ended" is another note than the first "ready".
        content = digest([note.text, note.meta])[:8]
        if (row.note_written or "").startswith(content):
            return
        mark = content + digest([content, row.note_written])[:8]
        text = f"{note.text} {NOTE_MARK.format(mark)}"
        try:
            begun = row.note_begun == mark
            self._set_order(order_id, note_begun=mark)
            self._shop.set_order_meta(order_id, note.meta)
            if not (begun and any(NOTE_MARK.format(mark) in old for old in self._shop.order_notes(order_id))):
                self._shop.add_order_note(order_id, text)
        except NotFound as err:
            if err.code != "woocommerce_rest_shop_order_invalid_id":
                raise Unavailable(f"no note can be written: {err}", system="shop") from err
            return  # deleted meanwhile; its own turn will come
        self._set_order(order_id, note_written=mark)

    def _set_order(self, order_id: int, **values: Any) -> None:
        with self._store.begin() as connection:
            connection.execute(orders.update().where(orders.c.id == order_id).values(**values))

    # --- what no delivery told -------------------------------------------------------------------------------------

    def _sweep(self, _claim: Claim) -> None:
        self.sweep()

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
