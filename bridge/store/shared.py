"""Transactions that those who write at the same time share: many writes to the disk become one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import Connection

from bridge.errors import Unavailable

R = TypeVar("R")


class _Batch:
    """Writes that will commit together, and what came of each. ``error`` is why they did not."""

    __slots__ = ("done", "error", "results", "writes")

    def __init__(self) -> None:
        self.writes: list[Callable[[Connection], Any]] = []
        self.results: list[Any] = []
        self.done = threading.Event()
        self.error: Exception | None = None


class Shared:
    """Runs writes in transactions that ``begin`` begins, one at a time; a write is durable when its call returns.

    The first to come leads: what gathers until its transaction has begun is written in it, and the others wait for its
    commit. No thread of its own, nothing to stop. A write may be run twice, if another has failed that was to commit
    with it: it has to be good for that.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._begin = begin
        self._open = _Batch()
        self._gathering = threading.Lock()

    def __call__(self, write: Callable[[Connection], R]) -> R:
        """What the write returned, once it has committed. Raises Unavailable, and what the write raises."""
        with self._gathering:
            batch, place = self._open, len(self._open.writes)
            batch.writes.append(write)
        if place == 0:
            self._lead(batch)
        else:
            batch.done.wait()
        if batch.error is None:
            result: R = batch.results[place]
            return result
        if len(batch.writes) == 1 or isinstance(batch.error, Unavailable):
            raise batch.error
        with self._begin() as connection:  # it may have been another's fault
            return write(connection)

    def _lead(self, batch: _Batch) -> None:
        try:
            with self._begin() as connection:
                self._close(batch)
                batch.results = [write(connection) for write in batch.writes]
        except Exception as err:
            batch.error = err
        finally:
            self._close(batch)
            batch.done.set()

    def _close(self, batch: _Batch) -> None:
        """Whoever comes from now on commits with the next."""
        with self._gathering:
            if self._open is batch:
                self._open = _Batch()
