"""The embedded shop and the embedded Totara in a process of their own, and a channel to arrange them by."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from multiprocessing.connection import Connection
from typing import Any

from flask import Response, request

from bridge.sandbox.server import Served
from bridge.sandbox.shop import Shop
from bridge.sandbox.totara import Totara

#: Web services whose answers are waited for: the moments at which they were given are kept.
MOMENTS = ("enrol_manual_enrol_users", "core_enrol_get_users_courses")


class Stage:
    """What the other process holds, and what it does when asked. Every method may be called through the channel."""

    def __init__(self) -> None:
        self.shop = Shop(behind_tls=False)
        self.totara = Totara()
        self.totara.add_tenant("academy", "Academy")
        self.moments: list[tuple[str, float]] = []
        self._products: list[tuple[int, int]] = []
        self._bought = 0
        self.totara.app.after_request(self._note_moment)
        self._served = [Served(self.shop.app).start(), Served(self.totara.app).start()]

    def _note_moment(self, answer: Response) -> Response:
        function = request.form.get("wsfunction")
        if function in MOMENTS:
            self.moments.append((function, time.monotonic()))
        return answer

    def urls(self) -> tuple[str, str]:
        """Where the two are."""
        shop, totara = self._served
        return shop.url, totara.url

    def sell(self, courses: int) -> list[tuple[int, int]]:
        """So many courses, and a product for each: (product, course)."""
        category = self.totara.add_category("Public")
        for n in range(courses):
            course = self.totara.add_course(f"Course {n}", shortname=f"C{n}", category=category)
            product = self.shop.add_product(f"Course {n}", sku=f"totara-course-{course}", price="100.00")
            self._products.append((product, course))
        return self._products

    def buy(self, orders: int) -> list[tuple[int, str, int]]:
        """So many paid orders of guests nobody knows yet: (order, address, course)."""
        made = []
        for _ in range(orders):
            self._bought += 1
            product, course = self._products[self._bought % len(self._products)]
            address = f"buyer{self._bought}@bench.example"
            one = self.shop.place_order([(product, 1)], email=address, first_name="Bo", last_name="Buyer")
            made.append((one, address, course))
        return made

    def buy_known(self, orders: int) -> list[tuple[int, int, str, int]]:
        """So many paid orders, each of another customer of the shop: (order, customer, their address, course)."""
        made = []
        for n in range(orders):
            product, course = self._products[n % len(self._products)]
            address = f"customer-with-account{n}@bench.example"
            customer = self.shop.add_customer(address, first_name="Bo", last_name="Buyer")
            order = self.shop.place_order([(product, 1)], customer_id=customer, email=address)
            made.append((order, customer, address, course))
        return made

    def buy_several(self, orders: int, lines: int) -> dict[int, list[int]]:
        """So many paid orders of so many lines each, every one of another guest, and one a minute until now: order ->
        the courses of its lines.
        """
        made: dict[int, list[int]] = {}
        self.shop.clock.advance(minutes=-orders)
        for _ in range(orders):
            self._bought += 1
            size = len(self._products)
            chosen = [self._products[(self._bought + n) % size] for n in range(lines)]
            address = f"buyer{self._bought}@bench.example"
            wanted = [(product, 1) for product, _ in chosen]
            one = self.shop.place_order(wanted, email=address, first_name="Bo", last_name="Buyer")
            made[one] = [course for _, course in chosen]
            self.shop.clock.advance(minutes=1)
        return made

    def slow(self, seconds: float) -> None:
        """Both wait so long before they do what they are asked for."""
        for faults in (self.shop.faults, self.totara.faults):
            faults.clear()
            if seconds:
                faults.slow(seconds)

    def first_moments(self) -> dict[str, float]:
        """When each web service of note was answered for the first time since the last time this was asked."""
        first: dict[str, float] = {}
        for function, moment in self.moments:
            first.setdefault(function, moment)
        if len(first) == len(MOMENTS):
            self.moments.clear()
        return first

    def enrolled(self) -> int:
        """How many enrolments are active."""
        return sum(enrolment.status == "active" for enrolment in self.totara.enrolments.values())

    def notes(self) -> int:
        """How many orders have a note of the bridge."""
        return sum(any("Learning access:" in note["note"] for note in notes) for notes in self.shop.notes.values())

    def courses(self, number: int, in_one_category: int = 100) -> list[int]:
        """So many courses, in categories of so many; the categories' ids."""
        text = "<p>Why goods are declared, how, and what follows from it.</p>" * 8
        categories: list[int] = []
        for n in range(number):
            if n % in_one_category == 0:
                categories.append(self.totara.add_category(f"Category {len(categories)}"))
            self.totara.add_course(
                f"A course with a name, number {n}", shortname=f"N{n}", category=categories[-1], summary=text
            )
        return categories

    def forget_products(self) -> None:
        """Empty the shop's shelves."""
        with self.shop.lock:
            for one in list(self.shop.products):
                del self.shop.products[one]

    def forget_requests(self) -> None:
        """Count requests from here on."""
        self.shop.requests.clear()
        self.totara.requests.clear()

    def requests(self) -> dict[str, int]:
        """How many requests of each kind there were: "shop GET", "totara core_user_get_users" and so on."""
        found = Counter(f"shop {told.split()[0]}" for told in self.shop.requests)
        found.update(f"totara {told}" for told in self.totara.requests)
        return dict(found)


def _serve(channel: Connection) -> None:
    stage = Stage()
    while True:
        name, arguments = channel.recv()
        if name == "stop":
            return
        try:
            channel.send((True, getattr(stage, name)(*arguments)))
        except Exception as err:
            channel.send((False, repr(err)))


class Systems:
    """The two systems, from outside. Use as a context; call the methods of :class:`Stage` through :meth:`ask`."""

    def __enter__(self) -> Systems:
        context = multiprocessing.get_context("spawn")
        self._channel, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        self.shop, self.totara = self.ask("urls")
        return self

    def ask(self, name: str, *arguments: Any) -> Any:
        """Have a method of the stage called."""
        self._channel.send((name, arguments))
        ok, answer = self._channel.recv()
        if not ok:
            raise RuntimeError(f"{name}: {answer}")
        return answer

    def __exit__(self, *error: object) -> None:
        self._channel.send(("stop", ()))
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
