"""Workers: threads that claim what is due, do it, and say what became of it."""

from __future__ import annotations

import select as os_select
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from sqlalchemy import Connection

from bridge import metrics
from bridge.errors import Refused, Unavailable
from bridge.http import Breaker
from bridge.store.db import Store
from bridge.store.work import CHANNEL, Claim, Ending, Work

log = structlog.get_logger()

#: How often something we did not foresee is tried before a person has to look.
TRIES_OF_THE_UNFORESEEN = 8


@dataclass(frozen=True, slots=True)
class Done:
    """What a handler leaves to be written down, in the transaction that settles its claim or not at all.

    ``write`` returns what is worth a line in the log. With ``parked``, all of it is written and a person has to look.
    """

    write: Callable[[Connection], Mapping[str, Any] | None]
    parked: str = ""


#: Does one thing. None: nothing is left to be written down. Raises Unavailable (later) or Refused (a person).
Handler = Callable[[Claim], Done | None]


class Worker:
    """Runs handlers for what is due, in ``threads`` threads, until stopped."""

    def __init__(
        self,
        work: Work,
        handlers: Mapping[str, Handler],
        *,
        needs: Mapping[str, Collection[str]],
        breakers: Mapping[str, Breaker],
        threads: int = 4,
        poll: float = 1.0,
    ) -> None:
        self._work = work
        self._handlers = handlers
        self._needs = needs
        self._breakers = breakers
        self._poll = poll
        self._stopping = threading.Event()
        self._held: dict[int, Claim] = {}
        self._lock = threading.Lock()
        names = [self._loop] * threads + [self._keep_leases]
        self._threads = [threading.Thread(target=run, daemon=True, name=f"work-{n}") for n, run in enumerate(names)]
        self._listener = None if work.store.is_sqlite else Listener(work.store)

    # --- one piece of work -------------------------------------------------------------------------------------

    def run_once(self) -> bool:
        """Claim one thing and do it. False when nothing is due that could be done now."""
        claim = self._work.claim(self._ready_kinds())
        if claim is not None:
            self._do(claim, follow=False)
        return claim is not None

    def _do(self, claim: Claim, *, follow: bool) -> Claim | None:
        """Do one thing, and with ``follow`` take on the next in the transaction that ends it."""
        self._work.store.bell.ring()  # there may be more: wake the next
        with self._lock:
            self._held[id(claim)] = claim
        try:
            return self._perform(claim, follow=follow)
        finally:
            with self._lock:
                self._held.pop(id(claim), None)

    def _ready_kinds(self) -> list[str]:
        """The kinds whose systems are believed to be up. The others wait as they are, and no attempt is spent."""
        down = {name for name, breaker in self._breakers.items() if not breaker.ready}
        return [kind for kind in self._handlers if not down & set(self._needs.get(kind, ()))]

    def _perform(self, claim: Claim, *, follow: bool) -> Claim | None:
        bound = log.bind(kind=claim.kind, key=claim.key)
        began = time.perf_counter()
        try:
            done = self._handlers[claim.kind](claim)
            outcome, following = self._end_well(claim, done, follow, bound)
        except Exception as err:  # the one broad except: a mistake of ours must not stop the worker
            outcome, ending = self._judge(claim, err, bound)
            following = self._work.end(claim, ending, then=self._next_kinds(follow)).following
        metrics.WORK.labels(claim.kind, outcome).inc()
        metrics.WORK_SECONDS.labels(claim.kind).observe(time.perf_counter() - began)
        return following

    def _end_well(self, claim: Claim, done: Done | None, follow: bool, bound: Any) -> tuple[str, Claim | None]:
        facts: dict[str, Any] = {}
        parked = done.parked if done else ""
        ended = self._work.end(
            claim,
            self._work.parked_for(claim, parked) if parked else self._work.settled(claim),
            write=(lambda connection: facts.update(done.write(connection) or {})) if done else None,
            then=self._next_kinds(follow),
        )
        self._work.store.bell.ring()  # what was written may be owed by now
        if not ended.kept:
            bound.warning("lease lost while working; another has taken it on")
            return "lost", ended.following
        if facts:
            bound.info("settled", **facts)
        if parked:
            bound.warning("parked: a person has to look", reason=parked)
        return "parked" if parked else "settled", ended.following

    def _judge(self, claim: Claim, error: Exception, bound: Any) -> tuple[str, Ending]:
        """What becomes of a claim whose handler raised."""
        if isinstance(error, Unavailable):
            breaker = self._breakers.get(error.system)
            bound.info("put off", reason=str(error), attempts=claim.attempts + 1)
            counts = breaker is None or breaker.ready
            return "later", self._work.put_off(claim, str(error), wait=error.retry_after, counts=counts)
        if isinstance(error, Refused):
            bound.warning("parked: a person has to look", reason=str(error))
            return "parked", self._work.parked_for(claim, str(error))
        bound.error("failed", attempts=claim.attempts + 1, exc_info=error)
        reason = f"unexpected {type(error).__name__}; the log has the details"
        again = claim.attempts + 1 < TRIES_OF_THE_UNFORESEEN
        return "failed", self._work.put_off(claim, reason) if again else self._work.parked_for(claim, reason)

    def _next_kinds(self, follow: bool) -> list[str]:
        return self._ready_kinds() if follow and not self._stopping.is_set() else []

    def drain(self, seconds: float = 30.0) -> int:
        """Do, in this thread, all that is due now; returns how many things. For commands and tests."""
        done, until = 0, time.monotonic() + seconds
        claim = self._work.claim(self._ready_kinds())
        while claim:
            claim = self._do(claim, follow=time.monotonic() < until)
            done += 1
        return done

    # --- running -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work."""
        if self._listener:
            self._listener.start()
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 30.0) -> None:
        """Take on nothing new, finish what is held if that takes no longer than ``seconds``, and give back the rest."""
        self._stopping.set()
        for _ in self._threads:
            self._work.store.bell.ring()
        until = time.monotonic() + seconds
        for thread in self._threads[:-1]:
            thread.join(max(0.0, until - time.monotonic()))
        if self._listener:
            self._listener.stop()
        with self._lock:
            left = list(self._held.values())
        for claim in left:
            try:
                self._work.release(claim)
                log.warning("given back undone", kind=claim.kind, key=claim.key)
            except Unavailable:
                log.warning("could not be given back; its lease will run out", kind=claim.kind, key=claim.key)

    def _loop(self) -> None:
        claim: Claim | None = None
        while not self._stopping.is_set():
            try:
                claim = claim or self._work.claim(self._ready_kinds())
                if claim:
                    claim = self._do(claim, follow=True)
                    continue
            except Unavailable as err:
                log.error("the database is away", problem=str(err))
                claim = None
                self._stopping.wait(self._poll)
            except Exception:
                log.exception("the worker stumbled")
                claim = None
                self._stopping.wait(self._poll)
            self._work.store.bell.wait(self._poll)
        if claim:
            with suppress(Unavailable):  # its lease will run out
                self._work.release(claim)
        self._work.store.bell.ring()  # pass the word on

    def _keep_leases(self) -> None:
        while not self._stopping.wait(self._work.lease / 3):
            with self._lock:
                held = list(self._held.values())
            try:
                self._work.renew(held)
            except Exception as err:  # without this thread every lease would run out
                log.warning("leases not renewed", problem=type(err).__name__)


class Listener:
    """Rings the bell when another process has marked something due in PostgreSQL."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="listen")

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopping.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        url = self._store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        while not self._stopping.is_set():
            try:
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._store.bell.ring()  # for what was marked before we listened
                    while not self._stopping.is_set():
                        readable, _, _ = os_select.select([connection.fileno()], [], [], 0.5)
                        if readable and any(True for _ in connection.notifies(timeout=0)):
                            self._store.bell.ring()
            except psycopg.Error as err:
                log.warning("not listening; polling meanwhile", problem=type(err).__name__)
                self._stopping.wait(1.0)
