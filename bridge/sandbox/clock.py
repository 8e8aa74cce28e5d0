"""A clock that can be set, so that a test or a person may see next month's renewal today."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta


class Clock:
    """The time in seconds since 1970. It runs on from where it was set; ``frozen``, it moves only when told.

    One clock may be shared by an embedded shop and an embedded Totara.
    """

    def __init__(self, start: float | datetime | None = None, *, frozen: bool = False) -> None:
        self._lock = threading.Lock()
        self._frozen = frozen
        self._base = _seconds(time.time() if start is None else start)
        self._since = time.monotonic()

    def __call__(self) -> float:
        with self._lock:
            return self._base + (0.0 if self._frozen else time.monotonic() - self._since)

    def set(self, moment: float | datetime) -> None:
        """Go to a moment, forwards or backwards. A datetime needs a time zone."""
        with self._lock:
            self._base, self._since = _seconds(moment), time.monotonic()

    def advance(self, **span: float) -> None:
        """Go on by a span in the words of a timedelta: ``advance(days=31, hours=2)``."""
        self.set(self() + timedelta(**span).total_seconds())


def _seconds(moment: float | datetime) -> float:
    if not isinstance(moment, datetime):
        return float(moment)
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone is not one")
    return moment.timestamp()
