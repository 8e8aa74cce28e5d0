"""The embedded shop's webhooks: the queue, the signature, the ping, and every way in which WooCommerce loses
events.

What is imitated: a delivery waits in a queue and is built when it is sent, so two changes before that are
one delivery; nothing is ever sent twice; the seventh failure in a row disables the webhook without telling
anybody.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import requests

from bridge.sandbox.shop_shapes import Json, dated, php_json

USER_AGENT = "WooCommerce/11.0.1 Hookshot (WordPress/7.1)"
RESOURCES = ("coupon", "customer", "order", "product")
EVENTS = ("created", "updated", "deleted", "restored")
HOOKS = {
    "customer.created": ["user_register", "woocommerce_created_customer", "woocommerce_new_customer"],
    "customer.updated": ["profile_update", "woocommerce_update_customer"],
    "customer.deleted": ["delete_user"],
    "order.created": ["woocommerce_new_order"],
    "order.updated": ["woocommerce_update_order", "woocommerce_order_refunded"],
    "order.deleted": ["wp_trash_post", "woocommerce_trash_order"],
    "order.restored": ["untrashed_post", "woocommerce_untrash_order"],
    "product.created": ["woocommerce_new_product", "woocommerce_new_product_variation"],
    "product.updated": ["woocommerce_update_product", "woocommerce_update_product_variation"],
    "product.deleted": ["wp_trash_post"],
    "product.restored": ["untrashed_post"],
}
HEADERS = {"User-Agent": USER_AGENT, "Accept-Encoding": "deflate, gzip, br, zstd", "Connection": "close"}


def valid_topic(topic: str, subscriptions: bool = False) -> bool:
    """Whether WooCommerce knows this topic, which has to be in lower case here."""
    if topic.startswith(("action.woocommerce_", "action.wc_")):
        return True
    resource, _, event = topic.partition(".")
    if subscriptions and resource == "subscription" and event in (*EVENTS, "switched"):
        return True
    return resource in RESOURCES and event in EVENTS


def sign(secret: str, body: bytes) -> str:
    """The value of X-WC-Webhook-Signature."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def outgoing() -> requests.Session:
    """A connection that no proxy of the environment gets between: everything here is on this machine."""
    session = requests.Session()
    session.trust_env = False
    return session


class Hooks:
    """Webhooks and their queue. ``webhooks`` is as REST shows them; what REST hides is kept beside it.

    ``build`` makes the body of one delivery, from (topic, argument), at the time it is sent. ``lock`` guards
    the shop's state and is never held while something is sent.
    """

    def __init__(
        self,
        build: Callable[[str, Any], Any],
        source: Callable[[], str],
        now: Callable[[], float],
        offset: int,
        lock: threading.RLock,
    ) -> None:
        self.webhooks: dict[int, Json] = {}
        self.secrets: dict[int, str] = {}
        self.failures: dict[int, int] = {}
        self.pending_ping: set[int] = set()
        self.deliveries: list[Json] = []
        self.pings: list[Json] = []
        self.timeout = 60.0
        self.watcher: Callable[[str, Any], None] | None = None  # is told of everything at once, the shop being locked
        self._build, self._source, self._now, self._offset, self._lock = build, source, now, offset, lock
        self._queue: dict[tuple[int, Any], None] = {}
        self._runner = threading.Lock()
        self._stopped: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def add(self, one: int, topic: str, url: str, *, name: str = "", secret: str = "", status: str = "") -> None:
        """Keep a new webhook. A topic that is not in lower case is kept as an empty one: it never fires."""
        self.webhooks[one] = {"id": one, "name": name, "status": status or "active"}
        self.set_topic(one, topic)
        now = self._now()
        self.webhooks[one] |= {
            "delivery_url": url,
            **dated("created", now, self._offset),
            **dated("modified", now, self._offset),
        }
        self.secrets[one] = secret
        self.failures[one] = 0

    def set_topic(self, one: int, topic: str) -> None:
        """Change a topic, and what follows from it."""
        kept = topic if topic == topic.lower() else ""
        resource, _, event = kept.partition(".")
        hooks = [event] if resource == "action" else HOOKS.get(kept, [])
        self.webhooks[one] |= {"topic": kept, "resource": resource, "event": event, "hooks": hooks}

    def touch(self, one: int) -> None:
        """Note that a webhook was modified."""
        self.webhooks[one] |= dated("modified", self._now(), self._offset)

    def remove(self, one: int) -> None:
        """Forget a webhook."""
        for kept in (self.webhooks, self.secrets, self.failures):
            kept.pop(one, None)
        self.pending_ping.discard(one)

    def fire(self, topic: str, argument: Any) -> None:
        """Something happened. Queue it for every active webhook of the topic; what is queued already stays
        once.
        """
        if self.watcher:
            self.watcher(topic, argument)
        for one, webhook in self.webhooks.items():
            if webhook["status"] == "active" and webhook["topic"] == topic:
                self._queue.setdefault((one, argument), None)

    def deliver(self) -> int:
        """Send what is queued now, one after the other, and say how many were sent.

        What happens meanwhile is queued for the next time.
        """
        with self._runner:
            with self._lock:
                waiting = list(self._queue)
            return sum(self._send(*entry) for entry in waiting)

    def waiting(self) -> int:
        """How many deliveries are queued."""
        return len(self._queue)

    def start_queue(self, every: float) -> None:
        """Deliver by itself, in a thread, as WP-Cron does."""
        self._stopped = stopped = threading.Event()

        def run() -> None:
            while not stopped.wait(every):
                self.deliver()

        self._thread = threading.Thread(target=run, daemon=True, name="shop webhooks")
        self._thread.start()

    def stop_queue(self) -> None:
        """Deliver only when asked."""
        if self._stopped and self._thread:
            self._stopped.set()
            self._thread.join(5)

    def ping(self, one: int) -> None:
        """Tell the receiver that the webhook exists: a form body without a signature.

        Only exactly 200 will do; after anything else the ping is repeated after each delivery.
        """
        self.pending_ping.add(one)
        url, status = self.webhooks[one]["delivery_url"], None
        with suppress(requests.RequestException), outgoing() as session:
            status = session.post(url, {"webhook_id": one}, headers=HEADERS, timeout=5).status_code
        if status == 200:
            self.pending_ping.discard(one)
        self.pings.append({"webhook_id": one, "url": url, "status": status})

    def _send(self, one: int, argument: Any) -> bool:
        with self._lock:
            self._queue.pop((one, argument), None)
            webhook = self.webhooks.get(one)
            if webhook is None:
                return False
            body = php_json(self._build(webhook["topic"], argument))
            headers = self._headers(webhook, body)
            url = webhook["delivery_url"]
        status: int | None = None
        with suppress(requests.RequestException), outgoing() as session:
            answer = session.post(url, body, headers=headers, timeout=self.timeout, allow_redirects=False)
            status = answer.status_code
        self.deliveries.append(
            {
                "webhook_id": one,
                "topic": webhook["topic"],
                "resource_id": argument,
                "body": body,
                "headers": headers,
                "status": status,
            }
        )
        with self._lock:
            self._count(one, status is not None and 200 <= status <= 302)
            ping_again = one in self.pending_ping
        if ping_again:
            self.ping(one)
        return True

    def _headers(self, webhook: Json, body: bytes) -> dict[str, str]:
        one = webhook["id"]
        return HEADERS | {
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": self._source() + "/",
            "X-WC-Webhook-Topic": webhook["topic"],
            "X-WC-Webhook-Resource": webhook["resource"],
            "X-WC-Webhook-Event": webhook["event"],
            "X-WC-Webhook-Signature": sign(self.secrets[one], body),
            "X-WC-Webhook-ID": str(one),
            # Not unique: two deliveries of one webhook within a second share it.
            "X-WC-Webhook-Delivery-ID": hmac.new(b"salt", f"{one}{int(self._now())}".encode(), "md5").hexdigest(),
        }

    def _count(self, one: int, success: bool) -> None:
        """Six failures in a row are counted, the seventh disables. Only a success sets the counter back."""
        if one not in self.webhooks:
            return
        if success:
            self.failures[one] = 0
        elif self.failures[one] > 5:
            self.webhooks[one]["status"] = "disabled"
            self.touch(one)
        else:
            self.failures[one] += 1
