"""Ten thousand orders of three lines, settled by a bridge that has never seen one: as on the first day at a shop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from sqlalchemy import func, select

from bench.by_hand import Hands, at_once
from bench.measure import Row, alternate, row
from bench.places import Places
from bench.processes import bridge
from bench.systems import Systems
from bench.town import PATIENCE, Town, town, until_idle
from bridge.store.db import Store
from bridge.store.models import orders as table

LINES = 3
SINCE = "2020-01-01T00:00:00"  # before any of the orders


def _noted(store: Store) -> int:
    """How many orders have been told what was done."""
    query = select(func.count()).where(table.c.note_written.is_not(None))
    with store.read() as connection:
        return int(connection.execute(query).scalar() or 0)


def _peak(made: Town) -> float:
    """The peak of the larger of the bridge's processes, in MiB."""
    return max(process.peak() for process in made.running)


def _resync(places: Places, made: Town) -> None:
    """Have the bridge look through the whole shop, as an operator would."""
    process = bridge(f"resync --since {SINCE}", made.environ, places.folder / "resync.log")
    if process.wait(PATIENCE * 10):
        raise RuntimeError(process.told()[-2000:])


def _peak_at_a_tenth(made: Town, orders: int) -> float:
    """Wait until all is done; what the peak was when a tenth was."""
    early, until = 0.0, time.monotonic() + PATIENCE + orders
    while (done := _noted(made.store)) < orders and time.monotonic() < until:
        if not early and done >= orders / 10:
            early = _peak(made)
        time.sleep(0.25)
    until_idle(made.store)
    return early


def _held_to(systems: Systems, orders: int) -> Mapping[str, int]:
    """The requests there were. RuntimeError unless every order is given and told."""
    requests: Mapping[str, int] = systems.ask("requests")
    given, told = systems.ask("enrolled"), systems.ask("notes")
    if (given, told) != (LINES * orders, orders):
        raise RuntimeError(f"of {orders} orders of {LINES} courses, {given} enrolments and {told} notes were made")
    return requests


def cold(places: Places, kind: str, *, quick: bool) -> Iterator[Row]:
    """Orders per second from `bridge resync --since` on an empty database to the last note, by 2 processes of 4
    threads; the floor lists the orders and makes the same calls from 8 threads. Systems of its own for each run.
    """
    orders, pairs = (300, 2) if quick else (10_000, 1)
    more: dict[str, float] = {}

    def calls(systems: Systems) -> float:
        return round(sum(_held_to(systems, orders).values()) / orders, 2)

    def ours() -> float:
        with town(places, kind, ["work", "work"], work_poll_seconds=0.1) as made:
            made.systems.ask("buy_several", orders, LINES)
            made.systems.ask("forget_requests")
            began = time.monotonic()
            _resync(places, made)
            early = _peak_at_a_tenth(made, orders)
            took = time.monotonic() - began
            more["calls_per_order"] = calls(made.systems)
            more["mib"], more["mib_at_a_tenth"] = round(_peak(made), 1), round(early, 1)
        return orders / took

    def floor() -> float:
        with Systems() as systems:
            systems.ask("sell", 20)
            bought: dict[int, list[int]] = systems.ask("buy_several", orders, LINES)
            systems.ask("forget_requests")

            def settle(hands: Hands, order_id: int) -> None:
                hands.enrol(order_id, *bought[order_id])
                hands.tell(order_id, *bought[order_id])

            began = time.monotonic()
            lister = Hands(systems.shop, systems.totara)
            at_once(8, lambda: Hands(systems.shop, systems.totara), lister.orders_modified(SINCE), settle)
            took = time.monotonic() - began
            lister.close()
            more["floor_calls_per_order"] = calls(systems)
        return orders / took

    figures = alternate(ours, floor, pairs)
    yield row(f"{orders:,} orders of {LINES} lines, from cold", kind, figures, "orders/s", 0.8, "at least", **more)
