"""The embedded shop's plugin for the bridge: what it signs, and what it tells at once.

As connectors/wordpress/academy-bridge does, without its settings page and its list of courses.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import jwt
import requests

from bridge.sandbox.shop_hooks import outgoing
from bridge.sandbox.shop_shapes import Json

if TYPE_CHECKING:
    from bridge.sandbox.shop import Shop

TARGET = re.compile(r"(?:home|courses|team|resume|(?:course|program|order):[1-9][0-9]{0,17})", re.ASCII)
#: Seconds that a token lives, and that a poke may take.
LIFE, PATIENCE = 60, 1.0
#: After these the bridge is told of the order; what else changes an order is the bridge's own doing, or owes nothing.
TOLD_OF = (
    "action.woocommerce_order_status_changed",
    "action.woocommerce_payment_complete",
    "action.woocommerce_order_refunded",
    "order.deleted",
    "order.restored",
)


class Plugin:
    """The plugin of one shop, set up for one bridge. ``home`` is the shop's own address."""

    def __init__(self, shop: Shop, bridge_url: str, secret: str, home: str) -> None:
        self._shop = shop
        self._secret = secret
        self._due: dict[int, None] = {}
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.bridge_url = bridge_url
        self.home = home
        self.muted = False  # nothing is told at once: the webhooks have to do
        shop.hooks.watcher = self._happened

    def token(self, kind: str, claims: Mapping[str, Any]) -> str:
        """A token of a kind: "launch", "read" or "poke"."""
        now = int(self._shop.now())
        common = {"iss": self.home, "aud": self.bridge_url, "iat": now, "exp": now + LIFE, "jti": secrets.token_hex(16)}
        return jwt.encode({**common, **claims}, self._secret, algorithm="HS256", headers={"typ": f"{kind}+jwt"})

    def launch_token(self, customer: Json, target: str) -> str:
        """What lets a customer of the shop in at the bridge, once."""
        address = customer["email"]
        verified = next((m["value"] for m in customer["meta_data"] if m["key"] == "_wc_email_verified"), "")
        claims = {
            "sub": str(customer["id"]),
            "email": address,
            "email_verified": bool(verified) and verified == address.lower(),
            "given_name": customer["first_name"],
            "family_name": customer["last_name"],
            "locale": "en_US",
            "target": target,
        }
        return self.token("launch", claims)

    # --- pokes -----------------------------------------------------------------------------------------------------

    def _happened(self, topic: str, argument: Any) -> None:
        """Something happened in the shop, which is locked meanwhile. The bridge is told when it is done."""
        if topic in TOLD_OF:
            self._due[int(argument)] = None
        elif topic == "action.woocommerce_subscription_status_changed":
            self._due[int(self._shop.show("subscription", argument)["parent_id"])] = None
        else:
            return
        self._woken.set()

    def poke(self) -> int:
        """Tell the bridge of the orders that changed; how many. One that gets lost is not told again: webhooks do."""
        with self._shop.lock:
            orders, self._due = [order for order in self._due if order and not self.muted], {}
        with outgoing() as session:
            for order in orders:
                headers = {"Authorization": f"Bearer {self.token('poke', {'order': order})}"}
                with suppress(requests.RequestException):
                    session.post(f"{self.bridge_url}/api/v1/pokes", headers=headers, timeout=PATIENCE)
        return len(orders)

    def start(self) -> None:
        """Tell it by itself, in a thread."""
        self._thread = threading.Thread(target=self._run, daemon=True, name="shop pokes")
        self._thread.start()

    def stop(self) -> None:
        """Tell it only when asked."""
        self._stopped.set()
        self._woken.set()
        if self._thread:
            self._thread.join(5)

    def _run(self) -> None:
        while self._woken.wait() and not self._stopped.is_set():
            self._woken.clear()
            self.poke()
