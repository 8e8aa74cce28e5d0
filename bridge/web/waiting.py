"""Who may keep one of the server's threads waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Waiting:
    """Places for so many who wait at the same time, one for each of them. In this process only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._there: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def place(self, who: str) -> Iterator[bool]:
        """Whether there is a place: not if all are taken, nor for whoever has one already. It is free again at the
        end.
        """
        with self._lock:
            has = len(self._there) < self._most and who not in self._there
            if has:
                self._there.add(who)
        try:
            yield has
        finally:
            if has:
                with self._lock:
                    self._there.remove(who)
