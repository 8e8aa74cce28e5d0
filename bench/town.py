"""Systems and a bridge between them in processes of its own, which have nothing to do until a measurement begins."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import func, select

from bench.places import Places, store_at
from bench.processes import Process, bridge, environment, free_port, wait_for
from bench.systems import Systems
from bridge.store.db import Store
from bridge.store.models import work

PATIENCE = 60.0
QUIET = {"orders_sweep_seconds": 3600, "work_watch_seconds": 3600, "catalogue_every_seconds": 3600}


@dataclass(frozen=True)
class Town:
    """What is there: the systems, the bridge's database and settings, where deliveries go to, and its processes."""

    systems: Systems
    store: Store
    environ: Mapping[str, str]
    port: int
    running: Sequence[Process]


def _due(store: Store) -> int:
    """How many things are owed or held."""
    query = select(func.count()).where(work.c.due_at.is_not(None) | work.c.lease_owner.is_not(None))
    with store.read() as connection:
        return int(connection.execute(query).scalar() or 0)


def until_idle(store: Store, every: float = 0.02, seconds: float = PATIENCE) -> None:
    """Wait until nothing is owed or held. Raises RuntimeError when that takes longer than ``seconds``."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if _due(store) == 0:
            return
        time.sleep(every)
    raise RuntimeError("the bridge has not finished in time")


@contextmanager
def town(places: Places, kind: str, commands: Sequence[str], **settings: object) -> Iterator[Town]:
    """A shop with twenty courses, a new database, and a process for each command; all is idle when the block begins."""
    running: list[Process] = []
    with Systems() as systems:
        systems.ask("sell", 20)
        database, port = places.new(kind), free_port()
        environ = environment(database, systems.shop, systems.totara, port, **{**QUIET, **settings})
        store = store_at(database)
        try:
            for number, command in enumerate(commands):
                running.append(bridge(command, environ, places.folder / f"{command}-{kind}-{number}.log"))
            if commands[0] != "work":
                wait_for(f"http://127.0.0.1:{port}/healthz", running[0])
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until:  # the clock's first round, and every worker's first claim
                with store.read() as connection:
                    if connection.execute(select(func.count()).where(work.c.settled_at.is_not(None))).scalar():
                        break
                time.sleep(0.05)
            time.sleep(1.0)
            until_idle(store)
            yield Town(systems, store, environ, port, running)
        finally:
            store.close()
            for process in running:
                process.stop()
