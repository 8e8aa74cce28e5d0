"""Whether an order would get through, and what is counted."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import prometheus_client
from flask import Blueprint, Response, jsonify
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from bridge.errors import BridgeError, Unavailable
from bridge.kinds import LEARNER, ORDER, SUBSCRIPTION
from bridge.store import ledger
from bridge.store.db import Store, schema_is_current, utc_now
from bridge.store.work import Work

#: Work that has been owed for longer than this is held up by something.
OLD = timedelta(minutes=5)

#: What was parked within this time tells of the next order, if it is more than half of all, and not just a few.
LATELY = timedelta(hours=1)
FEW = 3


NO_WORKER = "no worker has looked at the shop and at Totara lately: is `bridge work` or `bridge run` running?"


def is_worked(store: Store, *, watch_seconds: float) -> bool:
    """Whether a worker has looked at the shop and at Totara lately, as each does."""
    with store.read() as connection:
        watch = ledger.read_note(connection, "watch")
    return watch is not None and _is_fresh(watch[1], watch_seconds)


def _is_fresh(watched: datetime, watch_seconds: float) -> bool:
    return utc_now() - watched <= timedelta(seconds=3 * watch_seconds + 60)


def problems(store: Store, work: Work, *, watch_seconds: float) -> list[str]:
    """Everything that keeps an order from getting through, in words. Empty: it would."""
    try:
        if not schema_is_current(store):
            return ["the database has another version's tables: run `bridge migrate`"]
        with store.read() as connection:
            watch = ledger.read_note(connection, "watch")
            catalogue = ledger.read_note(connection, "catalogue")
        counts = work.counts()
        found = _one_reason(work, now := utc_now())
    except Unavailable as err:
        return [str(err)]
    if watch is None or not _is_fresh(watch[1], watch_seconds):
        found.append(NO_WORKER)
    else:
        found += [f"{system}: {problem}" for system, problem in watch[0].items() if problem]
    for kind, count in counts.items():
        if count["oldest"] and now - count["oldest"] > OLD:
            found.append(f"{kind} work has been owed for {int((now - count['oldest']).total_seconds() // 60)} minutes")
    if catalogue and catalogue[0].get("unresolved"):
        found.append(
            f"{catalogue[0]['unresolved']} products are on sale that give nothing: see `bridge catalogue plan`"
        )
    return found


def _one_reason(work: Work, now: datetime) -> list[str]:
    """Whether most of one kind was parked lately for one and the same reason: then so will the next be."""
    found = []
    for kind in (ORDER, SUBSCRIPTION, LEARNER):
        settled, reasons = work.lately(kind, now - LATELY)
        total = settled + len(reasons)
        shapes = Counter(map(_shape, reasons))
        for shape, count in shapes.most_common(1):
            if count >= FEW and count * 2 > total:
                last = next(reason for reason in reversed(reasons) if _shape(reason) == shape)
                found.append(f"{count} of the last {total} {kind}s were parked for the same reason: {last}")
    return found


def _shape(reason: str) -> str:
    """A reason without the ids in it."""
    return re.sub(r"\d+", "N", reason)


class WorkCollector:
    """What is owed, counted when asked."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def collect(self) -> Iterator[Metric]:
        """Gauges per kind, and the age of the oldest thing owed."""
        gauges = {
            name: GaugeMetricFamily(f"bridge_work_{name}", f"Work {words}", labels=["kind"])
            for name, words in (("due", "due now"), ("held", "being done"), ("parked", "that needs a person"))
        }
        oldest = GaugeMetricFamily("bridge_work_oldest_seconds", "Age of the oldest work due", labels=["kind"])
        try:
            counts = self._work.counts()
        except BridgeError:
            counts = {}
        now = utc_now()
        for kind, count in counts.items():
            for name, gauge in gauges.items():
                gauge.add_metric([kind], count[name])
            oldest.add_metric([kind], (now - count["oldest"]).total_seconds() if count["oldest"] else 0.0)
        yield from (*gauges.values(), oldest)


def health(store: Store, work: Work, *, watch_seconds: float) -> Blueprint:
    """``/healthz`` (the process answers), ``/readyz`` (an order would get through), ``/metrics``."""
    blueprint = Blueprint("health", __name__)
    collector = WorkCollector(work)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return Response("ok", mimetype="text/plain")

    @blueprint.get("/readyz")
    def readyz() -> Response:
        found = problems(store, work, watch_seconds=watch_seconds)
        answer = jsonify(ready=not found, problems=found)
        answer.status_code = 503 if found else 200
        return answer

    @blueprint.get("/metrics")
    def metrics() -> Response:
        registry = CollectorRegistry()
        registry.register(collector)
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            body = prometheus_client.generate_latest(registry)
        else:
            body = prometheus_client.generate_latest(registry) + prometheus_client.generate_latest()
        return Response(body, content_type=prometheus_client.CONTENT_TYPE_LATEST)

    return blueprint
