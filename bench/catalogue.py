"""The catalogue: how long a run takes against the raw calls, and whether its memory grows with the courses."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.by_hand import Hands
from bench.measure import Row, alternate, row
from bench.places import SQLITE, Places
from bench.processes import bridge, environment, free_port
from bench.systems import Systems
from bridge.settings import load
from bridge.wiring import Bridge

COURSES = 1000


def catalogue(places: Places, kind: str, *, quick: bool) -> Iterator[Row]:
    """A thousand new courses, then nothing changed."""
    pairs = 2 if quick else 5
    with Systems() as systems:
        categories = systems.ask("courses", COURSES)
        hands = Hands(systems.shop, systems.totara)
        port = free_port()
        sent: list[Sequence[Mapping[str, Any]]] = []

        def new_bridge() -> Bridge:
            made = Bridge(load(environ=environment(places.new(kind), systems.shop, systems.totara, port)))
            made.totara.capabilities()
            return made

        def run(made: Bridge) -> float:
            began = time.monotonic()
            outcome = made.catalogue.apply(made.catalogue.plan(), anyway=True)
            took = time.monotonic() - began
            if outcome.troubles:
                raise RuntimeError(outcome.troubles[0])
            return took

        def first_time() -> float:
            systems.ask("forget_products")
            made = new_bridge()
            took = run(made)
            made.store.close()
            return took

        def by_hand() -> float:
            systems.ask("forget_products")
            began = time.monotonic()
            hands.courses(categories)
            for create in sent:
                hands.batch(create)
            return time.monotonic() - began

        # Once to see what is sent, and to make the categories in the shop.
        made = new_bridge()
        batch = made.shop.batch_products

        def keep(create: Any = (), update: Any = ()) -> Any:
            sent.append(create)
            return batch(create, update)

        made.shop.batch_products = keep  # type: ignore[method-assign]
        run(made)
        made.store.close()
        figures = alternate(first_time, by_hand, pairs)
        yield row("catalogue, 1,000 new courses", kind, figures, "s", 1.15, "at most")

        systems.ask("forget_products")
        made = new_bridge()
        run(made)
        systems.ask("forget_requests")
        run(made)
        calls = systems.ask("requests")
        writes = {name: n for name, n in calls.items() if name.startswith("shop ") and name != "shop GET"}
        if writes:
            raise RuntimeError(f"nothing had changed, and the shop was written to: {writes}")

        def raw_reads() -> float:
            began = time.monotonic()
            if hands.courses(categories) != COURSES or hands.product_ids() != COURSES:
                raise RuntimeError("not everything was read")
            return time.monotonic() - began

        figures = alternate(lambda: run(made), raw_reads, pairs + 4)
        more = {"calls": float(sum(calls.values())), "writes": 0.0}
        yield row("catalogue, nothing changed", kind, figures, "s", 1.2, "at most", **more)
        made.store.close()
        hands.close()


def _apply(places: Places, environ: Mapping[str, str], name: str) -> float:
    process = bridge("catalogue apply --anyway", environ, places.folder / name)
    peak = 0.0
    while process.returncode() is None:
        peak = max(peak, process.peak())
        time.sleep(0.01)
    if process.returncode():
        raise RuntimeError(process.told()[-2000:])
    return peak


def memory(places: Places, kind: str, *, quick: bool) -> Iterator[Row]:
    """The peak of ``bridge catalogue apply`` with many courses, against few: all new, then nothing changed."""
    if kind != SQLITE:
        return
    many = 4000 if quick else 20_000
    peaks: dict[tuple[int, str], list[float]] = {}
    for number in (COURSES, many):
        with Systems() as systems:
            systems.ask("courses", number)
            environ = environment(places.new(kind), systems.shop, systems.totara, free_port())
            for stage in ("all new", "nothing changed"):
                peaks[number, stage] = [_apply(places, environ, f"memory-{number}.log")]
    for stage in ("all new", "nothing changed"):
        figures = peaks[many, stage], peaks[COURSES, stage]
        name = f"memory, {many:,} to {COURSES:,} courses, {stage}"
        yield row(name, kind, figures, "MiB", 1.1, "at most")
