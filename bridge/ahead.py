"""Fetching ahead: the next thing is got while the one before is worked on."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def in_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, ``size`` at a time."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


class Ahead(Generic[T]):
    """Items that a thread of their own fetches from when the block begins, at most ``depth`` before they are asked for.

    An error is raised in its place, after whatever came before it. Leaving the block ends the fetching: the call that
    is under way is waited for, and none comes after it.
    """

    def __init__(self, items: Iterable[T], depth: int = 1) -> None:
        self._items = items
        self._ready: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._room = threading.Semaphore(depth)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._fetch, daemon=True)

    def __enter__(self) -> Ahead[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._room.release()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while True:
            kind, item = self._ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            self._room.release()
            yield item

    def _fetch(self) -> None:
        rest = iter(self._items)
        try:
            while self._may_go_on():
                self._ready.put(("item", next(rest)))
        except StopIteration:
            self._ready.put(("end", None))
        except BaseException as err:
            self._ready.put(("error", err))
        finally:
            if close := getattr(rest, "close", None):
                close()  # here, where it ran: it may hold another such block open

    def _may_go_on(self) -> bool:
        self._room.acquire()
        return not self._left.is_set()
