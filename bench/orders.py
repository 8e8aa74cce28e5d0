"""From a paid order to an enrolment: how long one takes on an idle system, and how many a backlog does in a second."""

from __future__ import annotations

import time
from collections.abc import Iterator

import requests

from bench.by_hand import Hands, at_once
from bench.load import deliveries
from bench.measure import Row, alternate, row
from bench.places import SQLITE, Places
from bench.town import PATIENCE, town, until_idle
from bridge.store.work import Work

# --- one order on an idle system -----------------------------------------------------------------------------------


def hint(places: Places, kind: str, *, quick: bool) -> Iterator[Row]:
    """From the delivery to the answer that verifies the enrolment, with systems that answer at once and in 20 ms."""
    commands = ["run"] if kind == SQLITE else ["serve", "work"]
    with town(places, kind, commands) as made:
        systems, store, port = made.systems, made.store, made.port
        hands = Hands(systems.shop, systems.totara)
        url = f"http://127.0.0.1:{port}/webhooks/woocommerce"
        session = requests.Session()
        session.trust_env = False

        def delivery(order_id: int) -> requests.PreparedRequest:
            head, _, body = deliveries(port, "/webhooks/woocommerce", order_id, 1, True)[0].partition(b"\r\n\r\n")
            lines = [line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:]]
            headers = {name: value for name, value in lines if name not in ("Host", "Content-Length")}
            return session.prepare_request(requests.Request("POST", url, headers=headers, data=body))

        enrolled: list[float] = []

        def moments(began: float) -> float:
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until:
                first = systems.ask("first_moments")
                if len(first) == 2:
                    enrolled.append((first["enrol_manual_enrol_users"] - began) * 1000)
                    return float(first["core_enrol_get_users_courses"] - began) * 1000
                time.sleep(0.01)
            raise RuntimeError(f"nobody was enrolled in time: {first}")

        def ours() -> float:
            [(order_id, _, _)] = systems.ask("buy", 1)
            request = delivery(order_id)
            began = time.monotonic()
            session.send(request).raise_for_status()
            took = moments(began)
            until_idle(store)
            time.sleep(0.15)  # idle again: workers wait at the bell
            return took

        def floor() -> float:
            [(order_id, _, course)] = systems.ask("buy", 1)
            began = time.monotonic()
            hands.enrol(order_id, course, cold=True)
            return moments(began)

        for _ in range(3):  # connections, the token, what the site can do, the categories
            ours()
            floor()
        for slow, pairs in ((0.0, 5 if quick else 21), (0.02, 3 if quick else 7)):
            systems.ask("slow", slow)
            figures = alternate(ours, floor, pairs)
            name = f"hint to enrolled, systems answer after {slow * 1000:.0f} ms"
            yield row(name, kind, figures, "ms", 1.2, "at most")
            systems.ask("slow", 0.0)
        hands.close()
        session.close()


# --- a backlog -----------------------------------------------------------------------------------------------------


def drain(places: Places, kind: str, *, quick: bool) -> Iterator[Row]:
    """Orders per second of 2 processes of 4 threads, against the same calls from 8 threads."""
    orders, pairs = (60, 2) if quick else (200, 5)
    # Marked by another process than they are worked in: SQLite has only the poll to tell of that.
    with town(places, kind, ["work", "work"], work_poll_seconds=0.1) as made:
        systems, store = made.systems, made.store
        engine = Work(store)
        more: dict[str, float] = {}

        def ours() -> float:
            bought = systems.ask("buy", orders)
            before = systems.ask("notes")
            systems.ask("forget_requests")
            began = time.monotonic()
            engine.mark_due("order", *(order_id for order_id, _, _ in bought))
            time.sleep(0.02)
            until_idle(store, every=0.05)
            took = time.monotonic() - began
            more["calls_per_order"] = round(sum(systems.ask("requests").values()) / orders, 2)
            if systems.ask("notes") != before + orders:
                raise RuntimeError("not every order has its note")
            return orders / took

        def by_hand(hands: Hands, task: tuple[int, str, int]) -> None:
            order_id, _, course = task
            hands.enrol(order_id, course)
            hands.tell(order_id, course)

        def floor() -> float:
            bought = systems.ask("buy", orders)
            systems.ask("forget_requests")
            began = time.monotonic()
            at_once(8, lambda: Hands(systems.shop, systems.totara), bought, by_hand)
            took = time.monotonic() - began
            more["floor_calls_per_order"] = round(sum(systems.ask("requests").values()) / orders, 2)
            return orders / took

        ours()
        floor()
        figures = alternate(ours, floor, pairs)
        yield row("drain a backlog", kind, figures, "orders/s", 0.8, "at least", **more)
        systems.ask("slow", 0.02)
        orders = 60
        figures = alternate(ours, floor, 2 if quick else 5)
        name = "drain a backlog, systems answer after 20 ms"
        yield row(name, kind, figures, "orders/s", 0.8, "at least", **more)
