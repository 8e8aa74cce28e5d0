"""What can go wrong with an embedded system, on demand: down, slow, refusing, or gone in the middle of an answer.

Both embedded systems run every request through :meth:`Faults.before`, so that a test or a person can say "be down
for the next five requests" and the wire shows what a real outage shows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, jsonify, request

HTML_OF_A_PROXY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass
class Fault:
    """One fault. ``match`` is looked for in "METHOD /path" (and, for Totara, in the function or operation name)."""

    kind: str  # "down" | "slow" | "html" | "ratelimit" | "cut"
    match: str = ""
    seconds: float = 0.0
    status: int = 503
    left: int | None = None  # how many requests it still hits; None: until cleared


class Faults:
    """The faults of one embedded system. Safe to use from many threads."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def down(self, match: str = "", status: int = 503, times: int | None = None) -> None:
        """Answer with an error status and a proxy's HTML page. Nothing is done."""
        self._add(Fault("down", match, status=status, left=times))

    def slow(self, seconds: float, match: str = "", times: int | None = None) -> None:
        """Wait before the request is carried out."""
        self._add(Fault("slow", match, seconds=seconds, left=times))

    def rate_limited(self, match: str = "", times: int | None = None) -> None:
        """Answer 429 without Retry-After, as Totara and most web application firewalls do."""
        self._add(Fault("ratelimit", match, status=429, left=times))

    def cut(self, match: str = "", times: int | None = None) -> None:
        """Carry the request out, then answer 502: the caller can't know whether it was done."""
        self._add(Fault("cut", match, status=502, left=times))

    def clear(self) -> None:
        """Everything works again."""
        with self._lock:
            self._faults.clear()

    def take(self, name: str, *kinds: str) -> Fault | None:
        """The first fault of one of ``kinds`` that hits the request called ``name``, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.kind in kinds and fault.match in name and fault.left != 0:
                    if fault.left is not None:
                        fault.left -= 1
                    return fault
        return None

    @property
    def spent(self) -> bool:
        """Whether all that was to happen so many times has begun to happen for the last time."""
        with self._lock:
            return not any(fault.left for fault in self._faults)

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def install(self, app: Flask, name: Callable[[], str] | None = None) -> None:
        """Run every request of ``app`` through the faults; ``name`` tells what to match (default "METHOD /path")."""
        called = name or (lambda: f"{request.method} {request.path}")

        @app.before_request
        def before() -> Response | None:
            what = called()
            if slow := self.take(what, "slow"):
                time.sleep(slow.seconds)
            if fault := self.take(what, "down", "ratelimit"):
                if fault.kind == "ratelimit":
                    answer = jsonify({"errors": [{"message": "Too many requests"}], "error": "Too many requests"})
                    answer.status_code = 429
                    return answer
                return Response(HTML_OF_A_PROXY, fault.status, mimetype="text/html")
            return None

        @app.after_request
        def after(answer: Response) -> Response:
            if fault := self.take(called(), "cut"):
                return Response(HTML_OF_A_PROXY, fault.status, mimetype="text/html")
            return answer
