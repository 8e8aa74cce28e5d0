"""An order that was settled, looked at again although nothing has changed: by far the most frequent look of all."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.by_hand import Hands
from bench.measure import Row, alternate, row
from bench.places import Places
from bench.processes import environment, free_port
from bench.systems import Systems
from bridge.kinds import ORDER
from bridge.settings import load
from bridge.wiring import Bridge

LINES = 3
READS = 1  # the order itself: its refunds, subscriptions, products and learners are as they are known


def _settled(systems: Systems, made: Bridge, orders: int) -> list[int]:
    """So many orders, each given and told."""
    bought = list(systems.ask("buy_several", orders, LINES))
    made.work.mark_due(ORDER, *bought)
    made.worker().drain()
    if (given := systems.ask("enrolled")) != LINES * orders or systems.ask("notes") != orders:
        raise RuntimeError(f"of {LINES * orders} courses {given} were given")
    return bought


def _only_reads(systems: Systems, looks: int) -> None:
    """RuntimeError unless there was no write, no call to Totara, and no read but the needed ones since last asked."""
    calls, needed = systems.ask("requests"), {"shop GET": READS * looks}
    if calls != needed:
        raise RuntimeError(f"nothing had changed: {looks} looks should have been {needed}, and were {calls}")


def unchanged(places: Places, kind: str, *, quick: bool) -> Iterator[Row]:
    """From "look at order 123" to settled, one after the other, with systems that answer at once and in 20 ms."""
    orders, pairs = (20, 3) if quick else (50, 9)
    with Systems() as systems:
        systems.ask("sell", 20)
        made = Bridge(load(environ=environment(places.new(kind), systems.shop, systems.totara, free_port())))
        hands = Hands(systems.shop, systems.totara)
        known = _settled(systems, made, orders)
        worker = made.worker()

        def ours() -> float:
            systems.ask("forget_requests")
            began = time.monotonic()
            for order_id in known:
                made.work.mark_due(ORDER, order_id)
                worker.drain()
            took = time.monotonic() - began
            _only_reads(systems, orders)
            return took * 1000 / orders

        def floor() -> float:
            began = time.monotonic()
            for order_id in known:
                hands.order(order_id)
            return (time.monotonic() - began) * 1000 / orders

        for slow in (0.0, 0.02):
            systems.ask("slow", slow)
            figures = alternate(ours, floor, pairs)
            name = f"an order with nothing changed, systems answer after {slow * 1000:.0f} ms"
            yield row(name, kind, figures, "ms", 1.2, "at most", reads=READS, writes=0)
        hands.close()
        made.store.close()
