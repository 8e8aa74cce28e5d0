"""Group commit: many requests that each must be durable before they are answered share one write to the disk."""

from __future__ import annotations

import threading

from bridge.store.work import Work


class _Batch:
    """Marks that will commit together. ``error`` is why they did not."""

    __slots__ = ("done", "error", "things")

    def __init__(self) -> None:
        self.things: set[tuple[str, str]] = set()
        self.done = False
        self.error: Exception | None = None


class GroupMarker:
    """Marks things due, durably on return.

    On SQLite, whoever gets the lane commits all that has gathered meanwhile; the others find their batch done. No
    thread of its own, nothing to stop. PostgreSQL groups commits by itself, and is left to it.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._direct = not work.store.is_sqlite
        self._open = _Batch()
        self._gathering = threading.Lock()
        self._lane = threading.Lock()

    def mark(self, kind: str, key: str) -> None:
        """Owe a look at something. Raises Unavailable if the database did not take it."""
        if self._direct:
            self._work.mark_due(kind, key)
            return
        with self._gathering:
            batch = self._open
            batch.things.add((kind, key))
        with self._lane:
            if not batch.done:
                with self._gathering:
                    self._open = _Batch()
                try:
                    self._work.mark_many(sorted(batch.things))
                except Exception as err:
                    batch.error = err
                batch.done = True
        if batch.error is not None:
            raise batch.error
