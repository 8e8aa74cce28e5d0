"""Who asks too often."""

from __future__ import annotations

import threading
import time
from collections import deque


class Often:
    """Tells who asks more than so many times within a minute. In this process only: each node counts for itself."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._asked: dict[int, deque[float]] = {}
        self._lock = threading.Lock()

    def __call__(self, who: int = 0) -> bool:
        """Whether it is too often now; if not, it is counted."""
        now = time.monotonic()
        with self._lock:
            if len(self._asked) > 10_000:
                self._asked = {one: times for one, times in self._asked.items() if times and times[-1] > now - 60}
            times = self._asked.setdefault(who, deque(maxlen=self._most))
            too_often = len(times) == self._most and times[0] > now - 60
            if not too_often:
                times.append(now)
            return too_often
