"""What everything in the embedded shop stands on: its clock, its ids, its lock, its API keys and its
webhooks.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bridge.sandbox.clock import Clock
from bridge.sandbox.shop_hooks import Hooks
from bridge.sandbox.shop_shapes import Json, dated


class WpError(Exception):
    """An error as WordPress answers it: ``{"code", "message", "data": {"status", ...}}``."""

    def __init__(self, code: str, message: str, status: int, **data: Any) -> None:
        super().__init__(message)
        self.body: Json = {"code": code, "message": message, "data": {"status": status, **data}}
        self.status = status


@dataclass(frozen=True)
class Key:
    """A REST API key. ``role`` is the role of the user it belongs to."""

    secret: str
    permissions: str = "read_write"  # | "read" | "write"
    role: str = "administrator"  # | "shop_manager" | "customer"


class World:
    """Clock, ids, lock, keys, webhooks. ``lock`` is held while the state is read or changed, never while
    waiting.
    """

    def __init__(
        self, now: Callable[[], float] | None = None, utc_offset: int = 0, currency: str = "EUR", url: str = ""
    ) -> None:
        self.now = now = now or Clock()
        self.utc_offset = utc_offset
        self.currency = currency
        self.fixed_url = bool(url)
        self.url = url.rstrip("/") or "http://shop.test"
        self.lock = threading.RLock()
        self.keys: dict[str, Key] = {}
        self.webhook_user_lost_rights = False
        self.hooks = Hooks(self._payload, lambda: self.url, now, utc_offset, self.lock)
        # Orders, refunds, products, variations and images share one sequence, so gaps are normal.
        self._posts = itertools.count(10)
        self._lines = itertools.count(1)
        self._meta = itertools.count(1)
        self._terms = itertools.count(15)
        self._comments = itertools.count(70)
        self._users = itertools.count(4)
        self._hook_ids = itertools.count(1)

    def add_key(self, key: str, secret: str, permissions: str = "read_write", role: str = "administrator") -> None:
        """Another REST API key."""
        self.keys[key] = Key(secret, permissions, role)

    @property
    def webhooks(self) -> dict[int, Json]:
        """The webhooks as REST shows them: no secret and no count of failures."""
        return self.hooks.webhooks

    @property
    def deliveries(self) -> list[Json]:
        """What was sent: webhook_id, topic, resource_id, body, headers, status (None: nobody answered)."""
        return self.hooks.deliveries

    @property
    def pings(self) -> list[Json]:
        """The pings: webhook_id, url, status."""
        return self.hooks.pings

    @property
    def clock(self) -> Clock:
        """The shop's clock, to be set. TypeError if the shop was given one that can't be."""
        if not isinstance(self.now, Clock):
            raise TypeError("the shop was given a clock of another kind; set that one")
        return self.now

    def deliver(self) -> int:
        """Run the webhook queue now; say how many deliveries were sent."""
        return self.hooks.deliver()

    def start_queue(self, every: float) -> None:
        """Run the webhook queue by itself, every so many seconds."""
        self.hooks.start_queue(every)

    def stop_queue(self) -> None:
        """Run the webhook queue only when asked."""
        self.hooks.stop_queue()

    def add_webhook(self, topic: str, url: str, secret: str = "", name: str = "", status: str = "active") -> int:
        """A webhook as REST makes it: the ping is sent at once, and creation succeeds whatever it brings."""
        with self.lock:
            one = next(self._hook_ids)
            self.hooks.add(one, topic, url, name=name, secret=secret, status=status)
        self.hooks.ping(one)
        return one

    def _moment(self, name: str, moment: float | None = None) -> Json:
        """``date_NAME`` and ``date_NAME_gmt`` of a moment, by default of now."""
        return dated(name, self.now() if moment is None else moment, self.utc_offset)

    def _next(self, sequence: Iterator[int], taken: Any = ()) -> int:
        return next(one for one in sequence if one not in taken)

    def _new_meta(self) -> int:
        return next(self._meta)

    def _payload(self, topic: str, argument: Any) -> Any:
        """The body of a delivery, built when it is sent."""
        if topic.startswith("action."):
            return {"action": topic.removeprefix("action."), "arg": argument}
        if topic.endswith(".deleted"):
            return {"id": argument}
        try:
            if self.webhook_user_lost_rights:
                raise WpError("woocommerce_rest_cannot_view", "Sorry, you cannot view this resource.", 403)
            return self.show(topic.partition(".")[0], argument)
        except WpError as error:
            return error.body

    def show(self, resource: str, one: int) -> Json:
        """One thing as ``GET`` answers it. Raises :class:`WpError` when there is none."""
        raise NotImplementedError
