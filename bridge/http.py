"""Talking to the other systems: one pooled session each, timeouts, retries of reads, a circuit breaker, no leaks.

Whatever goes wrong on the wire leaves here as Unavailable with a message of ours: the messages of the libraries below
quote whole addresses, and an address may hold a signature or a token.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from bridge import metrics
from bridge.errors import Unauthorized, Unavailable

#: Statuses that say "not now" whatever the body holds.
LATER = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


class Breaker:
    """A circuit breaker: after ``failures`` in a row it refuses for ``seconds``, then lets one through to try.

    Not a library's: see docs/decisions.
    """

    def __init__(
        self,
        system: str,
        *,
        failures: int = 5,
        seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.system = system
        self._allowed = failures
        self._seconds = seconds
        self._clock = clock
        self._failed = 0
        self._open_until = 0.0
        self._lock = threading.Lock()
        #: Called after the first call that goes well after one that did not.
        self.on_recovery: Callable[[], None] = lambda: None

    @property
    def ready(self) -> bool:
        """Whether a call would be let through."""
        return self._failed < self._allowed or self._clock() >= self._open_until

    def enter(self) -> None:
        """Before a call. Raises Unavailable, with the time left, while it is open."""
        with self._lock:
            if self._failed < self._allowed:
                return
            left = self._open_until - self._clock()
            if left > 0:
                raise Unavailable(f"{self.system} has just failed several times", system=self.system, retry_after=left)
            self._open_until = self._clock() + self._seconds  # this call is the one that tries

    def note(self, ok: bool) -> None:
        """After a call."""
        with self._lock:
            recovered = ok and self._failed > 0
            self._failed = 0 if ok else self._failed + 1
            if self._failed >= self._allowed:
                self._open_until = self._clock() + self._seconds
        if recovered:
            self.on_recovery()


class Wire:
    """One outside system on the wire. ``tries`` bounds the retries of reads; 1 switches them off."""

    def __init__(
        self,
        system: str,
        *,
        timeout: float = 30.0,
        tries: int = 3,
        breaker: Breaker | None = None,
        connections: int = 32,
        session: requests.Session | None = None,
    ) -> None:
        self.system = system
        self.breaker = breaker or Breaker(system)
        self._timeout = (min(timeout, 10.0), timeout)
        self.session = session or requests.Session()
        if session is None:
            adapter = HTTPAdapter(pool_connections=2, pool_maxsize=connections, max_retries=0)
            self.session.mount("https://", adapter)
            self.session.mount("http://", adapter)
            # Credentials come from the settings only: not from ~/.netrc, and no proxy by accident of the environment.
            self.session.trust_env = False
            # A cookie would carry one Totara session through all calls, where each must stand by itself.
            self.session.cookies.set_policy(_NoCookies())
        self._retrying = Retrying(
            stop=stop_after_attempt(tries),
            retry=retry_if_exception(_may_pass),
            wait=_wait,
            reraise=True,
        )

    def reading(self, call: Callable[[], Any]) -> Any:
        """Do something that may safely be done again: a read, or an ``ensure_*``."""
        return self._retrying(call)

    def send_json(self, method: str, url: str, *, what: str, **options: Any) -> tuple[requests.Response, Any]:
        """The same, with the answer's JSON; None for an error without a body.

        HTML, nothing, or half of an answer where JSON was due is Unavailable: a proxy, a crash, an upgrade.
        """

        def read(answer: requests.Response) -> Any:
            if answer.is_redirect:
                raise Unavailable(
                    f"{self.system} redirects {what} elsewhere: the address in the settings must be its final one",
                    system=self.system,
                )
            if not answer.content and answer.status_code >= 400:
                return None
            try:
                return json.loads(answer.content)
            except ValueError:
                raise Unavailable(
                    f"{self.system} answered {what} without JSON ({answer.status_code})", system=self.system
                ) from None

        return self._send(method, url, what, read, options)

    def send(self, method: str, url: str, *, what: str, **options: Any) -> requests.Response:
        """One request. ``what`` names it in messages and metrics.

        Raises Unavailable for whatever may pass: no connection, no answer in time, "too many requests", a server's or
        a proxy's failure. Every other answer is returned, for the client to judge.
        """
        return self._send(method, url, what, lambda answer: None, options)[0]

    def _send(
        self,
        method: str,
        url: str,
        what: str,
        read: Callable[[requests.Response], Any],
        options: Mapping[str, Any],
    ) -> tuple[requests.Response, Any]:
        self.breaker.enter()
        began = time.perf_counter()
        outcome = "unavailable"
        try:
            answer = self.session.request(method, url, timeout=self._timeout, allow_redirects=False, **options)
            if answer.status_code in LATER:
                raise Unavailable(
                    f"{self.system} answered {answer.status_code} to {what}",
                    system=self.system,
                    retry_after=_retry_after(answer),
                )
            body = read(answer)
            outcome = "answered"
            return answer, body
        except requests.RequestException as err:
            # Not chained: the library's message quotes the address.
            problem = type(err).__name__
            raise Unavailable(f"{self.system} did not answer {what}: {problem}", system=self.system) from None
        finally:
            self.breaker.note(outcome == "answered")
            metrics.CALLS.labels(self.system, what, outcome).observe(time.perf_counter() - began)


def _may_pass(error: BaseException) -> bool:
    """Whether a read may go better in a moment. Credentials that are not accepted do not mend themselves."""
    return isinstance(error, Unavailable) and not isinstance(error, Unauthorized)


def _retry_after(answer: requests.Response) -> float | None:
    """The seconds asked for; Totara and most firewalls ask for none with a 429, and a minute is what they mean."""
    value = answer.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return min(float(value), 3600.0)
    return 60.0 if answer.status_code == 429 else None


_jittered = wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.3)


def _wait(state: RetryCallState) -> float:
    """Between the tries of one read. A longer wait that was asked for is left to the engine: it holds up nothing."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Unavailable) and error.retry_after is not None:
        if error.retry_after > 5.0:
            raise error
        return error.retry_after
    return _jittered(state)


class _NoCookies(requests.cookies.cookielib.DefaultCookiePolicy):  # type: ignore[name-defined,misc]
    def set_ok(self, cookie: object, request: object) -> bool:
        return False
