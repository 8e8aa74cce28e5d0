"""The embedded Stripe's events: kept, signed, and delivered again until they are taken.

Like the real ones they come at least once and in no order: ``resend`` delivers one again, ``shuffle`` mixes those that
wait.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests

from bridge.sandbox.stripe_shapes import Json, new_endpoint, new_event

USER_AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
#: How long a failed delivery is tried again; the wait between doubles.
KEEP_TRYING = 3 * 86400.0


def sign(signing: list[str], body: bytes, moment: int) -> str:
    """The value of Stripe-Signature: the moment, and a signature by each secret that is valid at it."""
    signed = f"{moment}.".encode() + body
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in signing]
    return ",".join([f"t={moment}", *(f"v1={mark}" for mark in marks)])


@dataclass
class Waiting:
    """A delivery that has not been taken yet."""

    event: str
    endpoint: str
    due: float
    attempts: int = 0


class Events:
    """Events and the endpoints that hear of them. Safe to use from many threads."""

    def __init__(self, now: Callable[[], float], new_id: Callable[[str], str], lock: threading.RLock) -> None:
        self.events: dict[str, Json] = {}
        self.endpoints: dict[str, Json] = {}
        self.secrets: dict[str, list[str]] = {}
        self.deliveries: list[Json] = []
        self.timeout = 20.0
        self._now, self._new_id, self._lock = now, new_id, lock
        self._waiting: list[Waiting] = []
        self._runner = threading.Lock()
        self._stopped: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def add_endpoint(self, url: str, events: list[str] | None = None, *, live: bool = False, secret: str = "") -> Json:
        """Register an endpoint for some types of events (default: all); its secret is in ``secrets``."""
        with self._lock:
            made = new_endpoint(self._new_id("we"), int(self._now()), live, url, events or ["*"])
            self.endpoints[made["id"]] = made
            self.secrets[made["id"]] = [secret or f"whsec_{secrets.token_hex(16)}"]
            return made

    def roll_secret(self, one: str, secret: str) -> None:
        """Sign with a new secret, and for the time being with the old one as well."""
        with self._lock:
            self.secrets[one] = [secret, *self.secrets[one]][:2]

    def fire(self, kind: str, about: Json, *, live: bool, previous: Json | None = None) -> str:
        """Something happened to an object. Every enabled endpoint of the same mode will hear of it."""
        with self._lock:
            event = new_event(self._new_id("evt"), int(self._now()), live, kind, about, previous)
            self.events[event["id"]] = event
            for one, endpoint in self.endpoints.items():
                wanted = "*" in endpoint["enabled_events"] or kind in endpoint["enabled_events"]
                if wanted and endpoint["status"] == "enabled" and endpoint["livemode"] is live:
                    event["pending_webhooks"] += 1
                    self._waiting.append(Waiting(event["id"], one, self._now()))
            return str(event["id"])

    def resend(self, event: str) -> None:
        """Deliver an event once more to all endpoints, as somebody may in Stripe's dashboard."""
        with self._lock:
            self._waiting += [Waiting(event, one, self._now()) for one in self.endpoints]

    def shuffle(self, seed: int) -> None:
        """Mix what waits: Stripe promises no order."""
        with self._lock:
            random.Random(seed).shuffle(self._waiting)  # noqa: S311

    def waiting(self) -> list[str]:
        """The types of the events that wait to be delivered."""
        with self._lock:
            return [self.events[one.event]["type"] for one in self._waiting]

    def deliver(self, *, at_once: bool = False) -> int:
        """Send what is due (``at_once``: also what would be tried again later); returns how many were taken."""
        with self._runner:
            with self._lock:
                due = [one for one in self._waiting if at_once or one.due <= self._now()]
            return sum(self._send(one) for one in due)

    def start(self, every: float) -> None:
        """Deliver by itself, in a thread."""
        self._stopped = stopped = threading.Event()

        def run() -> None:
            while not stopped.wait(every):
                self.deliver()

        self._thread = threading.Thread(target=run, daemon=True, name="stripe webhooks")
        self._thread.start()

    def stop(self) -> None:
        """Deliver only when asked."""
        if self._stopped and self._thread:
            self._stopped.set()
            self._thread.join(5)

    def _send(self, one: Waiting) -> bool:
        with self._lock:
            endpoint, event = self.endpoints.get(one.endpoint), self.events[one.event]
            if endpoint is None:
                self._waiting.remove(one)
                return False
            body = json.dumps(event, indent=2).encode()
            url, header = endpoint["url"], sign(self.secrets[one.endpoint], body, int(self._now()))
        status = self._post(url, body, header)
        with self._lock:
            self.deliveries.append({"event": one.event, "type": event["type"], "endpoint": one.endpoint, "body": body})
            self.deliveries[-1] |= {"signature": header, "status": status}
            taken = status is not None and 200 <= status < 300
            one.attempts += 1
            one.due = self._now() + 60.0 * 2**one.attempts
            if taken or one.due > event["created"] + KEEP_TRYING:
                self._waiting.remove(one)
                event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
        return taken

    def _post(self, url: str, body: bytes, signature: str) -> int | None:
        headers: dict[str, Any] = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": USER_AGENT,
            "Stripe-Signature": signature,
        }
        with suppress(requests.RequestException), requests.Session() as session:
            session.trust_env = False
            return session.post(url, body, headers=headers, timeout=self.timeout, allow_redirects=False).status_code
        return None
