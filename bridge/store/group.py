"""Group commit: many requests that each must be durable before they are answered share one write to the disk."""

from __future__ import annotations

import threading

from bridge.errors import Unavailable
from bridge.store.work import Work


class _Batch:
    """Marks that will commit together. ``error`` is why they did not."""

    __slots__ = ("done", "error", "things")

    def __init__(self) -> None:
        self.things: set[tuple[str, str]] = set()
        self.done = threading.Event()
        self.error: Exception | None = None


class GroupMarker:
    """Marks things due, durably on return.

    The first to come commits, in one transaction, all that gathers until the lane is free; the others wait for their
    batch. No thread of its own, nothing to stop. PostgreSQL groups commits by itself, but the price of a transaction
    is paid in Python, and NOTIFY makes those of all processes queue up.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._open = _Batch()
        self._gathering = threading.Lock()
        self._lane = threading.Lock()

    def mark(self, kind: str, key: str) -> None:
        """Owe a look at something. Raises Unavailable if the database did not take it."""
        with self._gathering:
            batch = self._open
            leads = not batch.things
            batch.things.add((kind, key))
        if leads:  # whoever came first commits for all that come until the lane is free
            with self._lane:
                with self._gathering:
                    self._open = _Batch()
                try:
                    self._commit(sorted(batch.things))
                except Exception as err:
                    batch.error = err
                finally:
                    batch.done.set()
        else:
            batch.done.wait()
        if batch.error is not None:
            raise batch.error

    def _commit(self, things: list[tuple[str, str]]) -> None:
        try:
            self._work.mark_many(things)
        except Unavailable:
            # PostgreSQL was restarted, or a firewall closed an idle connection: the pool is fresh by now.
            self._work.mark_many(things)
