"""The embedded shop's plugin for the bridge: what it signs, and what it tells at once.

As connectors/wordpress/academy-bridge does, without its settings page and its list of courses.
"""

from __future__ import annotations

import base64
import hmac
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
LABEL = b"academy-bridge sid"
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
        self._ended: list[tuple[int, str]] = []  # customers who signed out, and of which login
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.bridge_url = bridge_url
        self.home = home
        self.muted = False  # nothing is told at once: the webhooks have to do
        shop.hooks.watcher = self._happened

    def token(self, kind: str, claims: Mapping[str, Any]) -> str:
        """A token of a kind: "launch", "read", "poke" or "sign-out"."""
        now = int(self._shop.now())
        common = {"iss": self.home, "aud": self.bridge_url, "iat": now, "exp": now + LIFE, "jti": secrets.token_hex(16)}
        return jwt.encode({**common, **claims}, self._secret, algorithm="HS256", headers={"typ": f"{kind}+jwt"})

    def launch_token(self, customer: Json, target: str, session: str = "") -> str:
        """What lets a customer of the shop in at the bridge, once. ``session`` is their browser's secret here."""
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
            **({"sid": sid_of(session)} if session else {}),
        }
        return self.token("launch", claims)

    # --- what is told at once --------------------------------------------------------------------------------------

    def signed_out(self, customer: int, session: str) -> None:
        """A customer signed out in the browser with this secret. The bridge is told when the page is there."""
        with self._shop.lock:
            self._ended.append((customer, sid_of(session)))
        self._woken.set()

    def tell_ended(self) -> int:
        """Tell the bridge who has signed out; how many."""
        with self._shop.lock:
            ended, self._ended = self._ended, []
        for customer, sid in ended:
            self._post(f"/customers/{customer}/sign-out", "sign-out", {"sub": str(customer), "sid": sid})
        return len(ended)

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
        for order in orders:
            self._post("/pokes", "poke", {"order": order})
        return len(orders)

    def _post(self, path: str, kind: str, claims: Mapping[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {self.token(kind, claims)}"}
        with outgoing() as session, suppress(requests.RequestException):
            session.post(f"{self.bridge_url}/api/v1{path}", headers=headers, timeout=PATIENCE)

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
            self.tell_ended()
            self.poke()


def sid_of(session: str) -> str:
    """The name by which the bridge knows a login: nobody gets from it to the login's secret."""
    return base64.urlsafe_b64encode(hmac.digest(session.encode(), LABEL, "sha256")).rstrip(b"=").decode()
