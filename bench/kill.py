"""The kill test: real processes are killed at random moments under load, and in the end everything must be right.

``python -m bench.kill`` is the long form; the test suite runs a short one. What counts is what the embedded shop and
the embedded Totara hold in the end, and the bridge's ledger; nothing that the bridge says of itself.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import requests
from flask import Flask, Response, request
from sqlalchemy import select

from bench.places import places, store_at
from bench.processes import Process, bridge, environment, free_port, wait_for
from bridge import logs
from bridge.commands.shop import install_webhooks
from bridge.sandbox.server import Served
from bridge.sandbox.shop import Shop
from bridge.sandbox.totara import Totara
from bridge.settings import load
from bridge.store.models import purchase_items, purchases, seats, work
from bridge.wiring import Bridge

#: What is done elsewhere for the sake of which kind of work, and can't be taken back by a rollback.
WRITES = {"enrol_manual_enrol_users": "learner", "core_user_create_user": "learner", "/notes": "note"}
KINDS = ("order", "learner", "note")
PAID = ("processing", "completed")
NOTE = "Learning access:"
#: Events in the bridge's log that tell of a mistake in the program.
MISTAKES = ("failed", "the worker stumbled")


@dataclass
class Report:
    """What was done, and what is wrong in the end."""

    database: str
    seed: int
    kills: int = 0
    at_work: int = 0  # of these, how many hit a process that held work
    orders: int = 0
    changes: int = 0
    lost_deliveries: int = 0
    lost_leases: int = 0
    seconds: float = 0.0
    settled_after: float = 0.0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Buyer:
    """Somebody who orders. ``address`` is where their account must be; ``customer_id`` 0 is a guest."""

    address: str
    customer_id: int = 0


def _written() -> str | None:
    """The kind of work for which the request at hand has just written something."""
    if request.method != "POST":
        return None
    told = f"{request.path} {request.form.get('wsfunction')} {request.get_data(as_text=True)}"
    return next((kind for what, kind in WRITES.items() if what in told), None)


class Battle:
    """A shop, a Totara, shoppers who never rest, and processes of the bridge that are killed."""

    def __init__(self, database: str, folder: Path, rng: random.Random, *, workers: int = 2) -> None:
        self._rng = rng
        self._dice = threading.Lock()
        self._folder = folder
        self._lag = 0.06
        self._carried_out: SimpleQueue[str] = SimpleQueue()
        self.shop = Shop()
        self.totara = Totara()
        self.totara.add_tenant("academy", "Academy")
        self.totara.race_window = 0.02
        self._answer_late(self.shop.app, 0.4)
        self._answer_late(self.totara.app, 1.0)
        category = self.totara.add_category("Public")
        self._courses = {
            self.shop.add_product(f"Course {code}", sku=f"totara-course-{one}", price="100.00"): one
            for code in "ABCDEF"
            for one in [self.totara.add_course(f"Course {code}", shortname=code, category=category)]
        }
        self._served = [Served(self.shop.app), Served(self.totara.app)]
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/webhooks/woocommerce"
        self._settings = {
            "work_lease_seconds": 1,
            "work_poll_seconds": 0.1,
            "work_backoff_seconds": 0.05,
            "work_backoff_cap_seconds": 0.5,
            "work_breaker_seconds": 0.3,
            "work_watch_seconds": 2,
            "work_stop_seconds": 10,
            "orders_sweep_seconds": 2,
            # It finds nothing to do, but is killed as everything else.
            "catalogue_every_seconds": 3,
            "log_level": "info",
            **({} if database.startswith("sqlite") else {"server_processes": 2, "server_threads": 8}),
        }
        self._environment = environment(
            database, self._served[0].url, self._served[1].url, self._port, **self._settings
        )
        self.store = store_at(database)
        self._commands = ["serve"] + ["work"] * workers
        self._processes: list[Process] = []
        self._buyers: dict[int, Buyer] = {}
        self._changed: set[int] = set()
        self._deaths: list[str] = []
        self.changes = 0

    def _answer_late(self, app: Flask, share: float) -> None:
        """Carry out at once, answer late: what was done is not known yet, and that is when the killing hurts."""

        @app.after_request
        def late(answer: Response) -> Response:
            if self._lag:
                kind = _written()
                if kind:
                    self._carried_out.put(kind)
                time.sleep(self._lag if kind else random.uniform(0, self._lag * share))
            return answer

    # --- beginning and end -----------------------------------------------------------------------------------

    @contextmanager
    def raging(self) -> Iterator[None]:
        """Everything runs, and is ended afterwards."""
        try:
            for served in self._served:
                served.start()
            made = Bridge(load(environ=self._environment))
            made.catalogue.apply(made.catalogue.plan(), anyway=True)
            self._processes = [self._start(n) for n in range(len(self._commands))]
            wait_for(f"http://127.0.0.1:{self._port}/healthz", self._processes[0])
            install_webhooks(made)
            made.store.close()
            self.shop.start_queue(every=0.1)
            yield
        finally:
            self.shop.stop_queue()
            for process in self._processes:
                process.kill()
            self.store.close()
            for served in self._served:
                served.stop()

    def _start(self, number: int) -> Process:
        return bridge(self._commands[number], self._environment, self._folder / f"{number}.log")

    def finish(self) -> None:
        """Stop the workers as an operator would, then do here what the last sweep may have marked meanwhile."""
        for number, process in enumerate(self._processes):
            ready = process.ready()
            code = process.stop()
            # One that is still starting has nothing to finish, and may end by the signal itself.
            if code and (ready or code != -signal.SIGTERM):
                self._deaths.append(f"bridge {self._commands[number]} ended with {code} when told to stop")
        self.shop.stop_queue()
        last = Bridge(load(environ=self._environment | {"BRIDGE_LOG_LEVEL": "error"}))
        worker = last.worker()
        last.jobs.sweep()
        worker.drain()
        last.store.close()

    # --- shopping ----------------------------------------------------------------------------------------------

    def shopping(self, stop: threading.Event) -> None:
        """Order, pay, cancel, complete again, refund, bin, take out of the bin, until told to stop."""
        rng = random.Random(self._rng.random())
        people = [Buyer(f"guest{n}@buyer.example") for n in range(12)]
        for n in range(8):
            address = f"customer{n}@trader.example"
            people.append(Buyer(address, self.shop.add_customer(address, "Cora", f"Number {n}")))
        while not stop.wait(rng.uniform(0.02, 0.15)):
            if rng.random() < 0.5:
                self._order(rng, people)
            elif rng.random() < 0.2:
                self._tell_again(rng)
            else:
                self.change(rng)
        for order_id in list(self.shop.orders):
            if self.shop.orders[order_id]["status"] == "trash" and rng.random() < 0.5:
                self.shop.restore_order(order_id)

    def _order(self, rng: random.Random, people: Sequence[Buyer]) -> None:
        buyer = rng.choice(people) if rng.random() < 0.5 else Buyer(f"once{len(self._buyers)}@buyer.example")
        chosen = rng.sample(list(self._courses), k=rng.choice((1, 1, 1, 2)))
        quantity = rng.choice((1, 1, 1, 1, 1, 1, 3))
        payment = rng.choice(("card", "card", "card", "card", "bacs", "cod", "unpaid", "declined"))
        address = "bills@buyer.example" if buyer.customer_id else buyer.address
        with self.shop.lock:
            one = self.shop.place_order(
                [(product, quantity) for product in chosen],
                customer_id=buyer.customer_id,
                email=rng.choice((address, address.upper(), address.title())),
                first_name="Bo",
                last_name="Buyer",
                payment=payment,
            )
            self._buyers[one] = buyer

    def change(self, rng: random.Random, order_id: int | None = None) -> None:
        """Something happens to an order: this one, or any."""
        with self.shop.lock:
            if order_id is None and self.shop.orders:
                order_id = rng.choice(list(self.shop.orders))
            if order_id not in self.shop.orders:
                return
            status = self.shop.orders[order_id]["status"]
            self._changed.add(order_id)
            self.changes += 1
            if status in PAID:
                what = rng.choice(("cancelled", "cancelled", "cancelled", "completed", "refunded", "trash", "both"))
                if what == "trash":
                    self.shop.trash_order(order_id)
                elif what == "both":
                    self.shop.set_status(order_id, "cancelled")
                    self.shop.set_status(order_id, "completed")
                else:
                    self.shop.set_status(order_id, what)
            elif status == "trash":
                self.shop.restore_order(order_id)
            elif status in ("pending", "failed"):
                self.shop.pay_order(order_id)
            else:  # on hold, cancelled, refunded
                self.shop.set_status(order_id, "completed")

    def _tell_again(self, rng: random.Random) -> None:
        """Deliver something old once more: nothing of it may be believed."""
        if self.shop.deliveries:
            old = rng.choice(self.shop.deliveries)
            with suppress(requests.RequestException), requests.Session() as session:
                session.trust_env = False
                session.post(self.url, old["body"], headers=old["headers"], timeout=5)

    # --- killing -----------------------------------------------------------------------------------------------

    def strike(self) -> tuple[int, int]:
        """Kill one process, or now and then all; start them again. Returns (how many, how many held work)."""
        rng = self._rng
        time.sleep(rng.uniform(0.0, 0.6))
        working = [n for n, command in enumerate(self._commands) if command == "work"]
        numbers = [rng.choice(working)]
        how = rng.choice(("written", "written", "held", "held", "any", "web", "all"))
        if how == "written":
            numbers = [self._that_has_written(numbers[0])]
        elif how == "held":
            self._until(lambda: self._held_by(numbers[0]))
            time.sleep(rng.uniform(0.0, 0.1))
        elif how == "web":
            numbers = [0]
        elif how == "all":
            numbers = list(range(len(self._commands)))
        held: list[tuple[str, str]] = []
        at_work = 0
        for number in numbers:
            code = self._processes[number].returncode()
            if code is not None:
                self._deaths.append(f"bridge {self._commands[number]} ended by itself with {code}")
            self._processes[number].kill()
            of_this = self._held_by(number)
            held += of_this
            at_work += bool(of_this)
        self._spite(held)
        for number in numbers:
            self._processes[number] = self._start(number)
        return len(numbers), at_work

    def _that_has_written(self, otherwise: int) -> int:
        """The worker that waits for the answer to a write, which has been carried out already."""
        while not self._carried_out.empty():
            self._carried_out.get()
        try:
            kind = self._carried_out.get(timeout=4.0)
        except Empty:
            return otherwise
        waiting = [
            number for number in range(len(self._commands)) if any(held == kind for held, _ in self._held_by(number))
        ]
        return self._rng.choice(waiting) if waiting else otherwise

    def _until(self, look: Callable[[], Any], seconds: float = 4.0) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not look():
            time.sleep(0.005)

    def _held_by(self, number: int) -> list[tuple[str, str]]:
        pid = self._processes[number].pid
        with self.store.read() as connection:
            query = select(work.c.kind, work.c.key).where(work.c.lease_owner.like(f"%:{pid}:%"))
            return [(kind, key) for kind, key in connection.execute(query)]

    def _spite(self, held: Sequence[tuple[str, str]]) -> None:
        """Turn things round while nobody knows how far the dead process got."""
        for kind, key in held:
            if self._rng.random() < 0.3:
                continue
            if kind in ("order", "note"):
                self.change(self._rng, int(key))
            elif kind == "learner":
                with self.store.read() as connection:
                    query = select(purchases.c.order_id).join(seats).where(seats.c.person_id == int(key))
                    orders = sorted({order for (order,) in connection.execute(query)})
                for order in orders:
                    self.change(self._rng, order)

    # --- what is wrong -----------------------------------------------------------------------------------------

    def calm(self) -> None:
        """Systems answer at once, and whatever was to be delivered is."""
        self._lag = 0.0
        self.totara.race_window = 0.0

    def wrong(self, *, due: bool = True) -> list[str]:
        """Everything that is not as it must be in the end, in words; without ``due``, work may still be owed: sweeps
        look at an order again for ten seconds after its last change.
        """
        found = self._deaths + [what for what in self._wrong_work() if due or not what.endswith(" is due")]
        with self.shop.lock, self.totara.lock:
            return found + self._wrong_access() + self._wrong_seats() + self._wrong_notes()

    def _wrong_work(self) -> list[str]:
        with self.store.read() as connection:
            rows = connection.execute(select(work)).all()
        found = [f"{row.kind} {row.key} is parked: {row.reason}" for row in rows if row.parked_at]
        found += [f"{row.kind} {row.key} is due" for row in rows if row.kind in KINDS and row.due_at]
        return found

    def still_leased(self) -> list[str]:
        """Rows that somebody holds, when nobody is left."""
        with self.store.read() as connection:
            rows = connection.execute(select(work).where(work.c.lease_owner.is_not(None))).all()
        return [f"{row.kind} {row.key} is leased to {row.lease_owner} until {row.lease_until}" for row in rows]

    def _wanted(self, order_id: int) -> dict[tuple[int, int], tuple[int, bool]]:
        """(line, unit) -> (course, whether the buyer takes it), of the seats that an order must have."""
        order = self.shop.orders[order_id]
        if order["status"] not in PAID:
            return {}
        units: Counter[int] = Counter()
        for line in order["line_items"]:
            units[self._courses[line["product_id"]]] += line["quantity"]
        return {
            (line["id"], unit): (course, units[course] == 1)
            for line in order["line_items"]
            for course in [self._courses[line["product_id"]]]
            for unit in range(1, line["quantity"] + 1)
        }

    def _wrong_access(self) -> list[str]:
        wanted = {
            (buyer.address, course)
            for order_id, buyer in self._buyers.items()
            for course, taken in self._wanted(order_id).values()
            if taken
        }
        found = []
        accounts = Counter(u.email.lower() for u in self.totara.live_users() if u.tenant is not None)
        found += [f"{number} accounts have the address {who}" for who, number in accounts.items() if number > 1]
        known = {buyer.address for buyer in self._buyers.values()}
        found += [f"an account was made for {who}" for who in accounts if who not in known]
        access = {}
        for (user, course), enrolment in self.totara.enrolments.items():
            who = self.totara.users[user].email.lower()
            reach = self.totara.reachable(user, course)
            access[who, course] = enrolment.status if reach == (enrolment.status == "active") else "out of reach"
        for who, course in sorted(wanted):
            if access.get((who, course)) != "active":
                found.append(f"{who} paid for course {course} and is {access.get((who, course), 'not enrolled')}")
        for (who, course), status in sorted(access.items()):
            if (who, course) not in wanted and status != "suspended":
                found.append(f"{who} is {status} in course {course}, and nothing pays for it")
        return found

    def _wrong_seats(self) -> list[str]:
        query = (
            select(purchases.c.order_id, purchases.c.line_id, seats.c.unit, purchase_items.c.item_id, seats.c.person_id)
            .join(seats, seats.c.purchase_id == purchases.c.id)
            .join(purchase_items, purchase_items.c.purchase_id == purchases.c.id)
            .where(seats.c.ended_at.is_(None))
        )
        live: dict[int, dict[tuple[int, int], tuple[int, bool]]] = {}
        found = []
        with self.store.read() as connection:
            for order_id, line, unit, course, person in connection.execute(query):
                of_order = live.setdefault(order_id, {})
                if (line, unit) in of_order:
                    found.append(f"order {order_id}, line {line}, unit {unit} has two seats")
                of_order[line, unit] = (course, person is not None)
        for order_id in self._buyers:
            status = self.shop.orders[order_id]["status"]
            wanted = self._wanted(order_id)
            if live.get(order_id, {}) != wanted:
                found.append(f"order {order_id} ({status}) has seats {live.get(order_id, {})}, not {wanted}")
        return found

    def _wrong_notes(self) -> list[str]:
        found = []
        for order_id in self._buyers:
            order = self.shop.orders[order_id]
            notes = [note["note"] for note in self.shop.notes[order_id] if NOTE in note["note"]]
            for before, after in itertools.pairwise(notes):
                if before == after:
                    found.append(f"order {order_id} has the same note twice: {after}")
            meta = next((m["value"] for m in order["meta_data"] if m["key"] == "_bridge_access"), None)
            wanted = self._wanted(order_id)
            expected = "ended" if notes else None
            if wanted:
                expected = "open" if not all(taken for _, taken in wanted.values()) else "ready"
            # Where nobody had taken any of its seats, no access ended.
            ended = ("access ended", "unused seat ended")
            words = {"ready": ("access ready",), "ended": ended, "open": ("open seat",), None: ("",)}[expected]
            if meta != expected:
                found.append(f"order {order_id} ({order['status']}) shows access {meta}, not {expected}")
            if expected and not any(word in note for note in notes[-1:] for word in words):
                found.append(f"order {order_id} ({order['status']}): the last note is {notes[-1:]}, not of {words}")
            ready = [note for note in notes if "access ready" in note]
            if expected == "ready" and order_id not in self._changed and len(ready) != 1:
                found.append(f"order {order_id} was never changed and has {len(ready)} notes of its access")
        return found

    def lost_deliveries(self) -> int:
        """How many deliveries nobody took."""
        return sum(delivery["status"] != 200 for delivery in self.shop.deliveries)

    def events(self) -> tuple[int, list[str]]:
        """How often a lease was lost, and what the processes told of mistakes in the program."""
        lost, mistakes = 0, Counter[str]()
        for log in sorted(self._folder.glob("*.log")):
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError):
                    told = json.loads(line)
                    lost += str(told.get("event", "")).startswith("lease lost")
                    if told.get("event") in MISTAKES:
                        cause = (told.get("exception") or [{}])[0]
                        mistakes[f"a mistake: {cause.get('exc_type')}: {cause.get('exc_value')}"] += 1
        return lost, [f"{what} ({times} times)" for what, times in mistakes.items()]


def run_kills(
    database: str,
    kills: int,
    seed: int,
    *,
    patience: float = 60.0,
    workers: int = 2,
    tell: Callable[[str], None] = lambda text: None,
) -> Report:
    """Kill ``kills`` times under load, let it settle, and look."""
    report = Report(database.split(":", 1)[0], seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bridge-kill-") as folder:
        battle = Battle(database, Path(folder), random.Random(seed), workers=workers)
        with battle.raging():
            stop = threading.Event()
            shopper = threading.Thread(target=battle.shopping, args=(stop,))
            shopper.start()
            try:
                while report.kills < kills:
                    struck, at_work = battle.strike()
                    report.kills += struck
                    report.at_work += at_work
                    tell(f"{report.kills} kills, {report.at_work} at work, {len(battle.shop.orders)} orders")
            finally:
                stop.set()
                shopper.join()
            battle.calm()
            calm = time.monotonic()
            while (wrong := battle.wrong(due=False)) and time.monotonic() - calm < patience:
                time.sleep(0.1)
            report.settled_after = round(time.monotonic() - calm, 1)
            report.wrong = [f"not settled after {patience:.0f} s: {what}" for what in wrong]
            battle.finish()
            report.wrong += battle.wrong() + battle.still_leased()
            report.orders, report.changes = len(battle.shop.orders), battle.changes
            report.lost_deliveries = battle.lost_deliveries()
            report.lost_leases, mistakes = battle.events()
            report.wrong += mistakes
    report.seconds = round(time.monotonic() - began, 1)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """The long form, from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="SIGKILLs on each database (default 30)")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), help="only on this one")
    parser.add_argument("--seed", type=int, help="repeat the choices of an earlier run")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    options = parser.parse_args(arguments)
    logs.set_up("error")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    reports = []
    with places() as made:
        for kind in made.kinds() if options.database is None else (options.database,):
            if not options.json:
                print(f"{kind}: {options.kills} kills, seed {seed}", flush=True)
            report = run_kills(
                made.new(kind),
                options.kills,
                seed,
                tell=(lambda text: None) if options.json else (lambda text: print(f"  {text}", flush=True)),
            )
            reports.append(report)
            if not options.json:
                _print(report)
    if options.json:
        print(json.dumps([asdict(report) for report in reports], indent=2))
    return int(any(report.wrong for report in reports))


def _print(report: Report) -> None:
    print(
        f"  {report.orders} orders, {report.changes} changes to them; {report.kills} kills, {report.at_work} of "
        f"them of processes at work; {report.lost_deliveries} deliveries lost, {report.lost_leases} leases "
        f"lost; settled {report.settled_after} s after the last kill; {report.seconds} s in all"
    )
    for what in report.wrong:
        print(f"  WRONG: {what}")
    print("  all as it must be" if not report.wrong else f"  {len(report.wrong)} things are wrong")


if __name__ == "__main__":
    sys.exit(main())
