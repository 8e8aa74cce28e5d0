"""Accepting a signed webhook durably, against a bare WSGI application doing one durable insert."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.floor_server import make_table
from bench.measure import Row, alternate, percentile, row
from bench.places import SQLITE, Places
from bench.processes import Process, bridge, environment, free_port, wait_for

CONNECTIONS = 16


class Load:
    """The load generator, in a process of its own, aimed at one server."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", "bench.load", str(port), "/webhooks/woocommerce", str(CONNECTIONS)]
        self._process = subprocess.Popen(
            command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._next = 1000
        self.latencies: list[list[float]] = []

    def fire(self, count: int, *, same: bool) -> float:
        """Requests per second."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{self._next} {count} {int(same)}\n")
        self._process.stdin.flush()
        self._next += count
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the load generator ended")
        seconds, latencies = json.loads(answer)
        self.latencies.append(latencies)
        return count / float(seconds)

    def close(self) -> None:
        """End it."""
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()


@contextmanager
def _servers(places: Places, kind: str) -> Iterator[tuple[Load, Load]]:
    running: list[Process] = []
    loads: list[Load] = []
    more = {} if kind == SQLITE else {"server_processes": 2, "server_threads": 8}
    try:
        for what in ("ours", "floor"):
            port = free_port()
            database = places.new(kind)
            # It calls neither of the two.
            environ = environment(database, "http://127.0.0.1:9", "http://127.0.0.1:9", port, **more)
            log = places.folder / f"accept-{what}-{kind}.log"
            if what == "ours":
                running.append(bridge("serve", environ, log))
                wait_for(f"http://127.0.0.1:{port}/healthz", running[-1])
            else:
                make_table(database)
                running.append(Process([sys.executable, "-m", "bench.floor_server"], environ, log))
                wait_for(f"http://127.0.0.1:{port}/", running[-1])
            loads.append(Load(port))
        yield loads[0], loads[1]
    finally:
        for load in loads:
            load.close()
        for process in running:
            process.stop()


def accept(places: Places, kind: str, *, quick: bool) -> Iterator[Row]:
    """Requests per second over 16 keep-alive connections: different orders, and always the same one."""
    count, pairs = (800, 2) if quick else (1500, 5)
    goal = 0.8 if kind == SQLITE else 0.7
    with _servers(places, kind) as (ours, floor):
        for load in (ours, floor):
            load.fire(400, same=False)
        for same in (False, True):
            ours.latencies.clear()
            floor.latencies.clear()
            figures = alternate(
                lambda same=same: ours.fire(count, same=same),  # type: ignore[misc]
                lambda same=same: floor.fire(count, same=same),  # type: ignore[misc]
                pairs,
            )
            more = {}
            for name, load in (("ours", ours), ("floor", floor)):
                for share in (0.5, 0.99):
                    value = statistics.median(percentile(run, share) for run in load.latencies)
                    more[f"{name}_p{share * 100:.0f}_ms"] = round(value, 1)
            name = "accept, the same order" if same else "accept"
            yield row(name, kind, figures, "req/s", goal, "at least", **more)
            if not same and kind == SQLITE:
                # The same runs, looked at in another way: how much longer the slowest wait than the usual.
                slowest = [percentile(run, 0.99) for run in ours.latencies]
                usual = [percentile(run, 0.5) for run in ours.latencies]
                yield row("accept, p99 to p50", kind, (slowest, usual), "ms", 3.0, "at most")
