"""The embedded shop: a stateful WooCommerce in memory that speaks the real wire format, quirks included.

``make run`` sells from it and the tests use it as their fake. It follows WooCommerce 11.0.1 on WordPress 7.1,
and a contract test holds it to recordings of that; of coupons and images there is no recording.

From the bottom up: shop_shapes.py and shop_text.py (what JSON and text look like), shop_hooks.py (webhooks),
shop_world.py (clock, ids, keys), shop_goods.py (products), shop_orders.py, shop_till.py (buying), and here
the whole. Beside it stand shop_api.py with its routes (REST) and shop_pages.py.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

from flask import Flask

from bridge.sandbox.faults import Faults
from bridge.sandbox.shop_orders import PAID
from bridge.sandbox.shop_shapes import Json, links, merge_meta, new_subscription, stamp
from bridge.sandbox.shop_till import Till
from bridge.sandbox.shop_world import WpError


class Shop(Till):
    """The state of the shop, and what its staff and its shoppers do. Safe to use from many threads.

    ``now`` is the shop's clock; ``auth_now`` is what OAuth timestamps are held against. ``utc_offset`` (in
    seconds) is the shop's time zone. ``behind_tls`` accepts Basic authentication although the request came
    by http. ``subscriptions`` switches the routes of WooCommerce Subscriptions on. ``url`` is the shop's
    address; without it the shop learns it from the first request.
    """

    def __init__(
        self,
        *,
        consumer_key: str = "ck_sandbox",
        consumer_secret: str = "cs_sandbox",  # noqa: S107 - the sandbox's own
        currency: str = "EUR",
        utc_offset: int = -5 * 3600,
        now: Callable[[], float] = time.time,
        auth_now: Callable[[], float] = time.time,
        behind_tls: bool = False,
        subscriptions: bool = False,
        url: str = "",
        title: str = "The Sandbox Shop",
    ) -> None:
        super().__init__(now, utc_offset, currency, url)
        self.auth_now = auth_now
        self.behind_tls = behind_tls
        self.has_subscriptions = subscriptions
        self.title = title
        self.subscriptions: dict[int, Json] = {}
        self.requests: list[str] = []
        self.faults = Faults()
        self.add_key(consumer_key, consumer_secret)
        self.app: Flask = self._make_app()

    def _make_app(self) -> Flask:
        from bridge.sandbox.shop_api import make_api
        from bridge.sandbox.shop_pages import make_pages

        app = Flask("bridge.sandbox")
        self.faults.install(app)
        app.register_blueprint(make_api(self))
        app.register_blueprint(make_pages(self))
        return app

    # --- subscriptions, where the plugin is there ---------------------------------------------------------

    def subscribe(self, order_id: int, *, period: str = "month", interval: int = 1, days: int = 30) -> int:
        """The order begins a subscription, without saying so itself. The lines get ids of their own."""
        with self.lock:
            order, one = copy.deepcopy(self._order(order_id)), next(self._posts)
            self.subscriptions[one] = new_subscription(one, order, period, interval)
            for line in self.subscriptions[one]["line_items"]:
                line["id"] = next(self._lines)
            due = stamp(self.now() + days * 86400)
            self.change_subscription(one, next_payment_date_gmt=due)
            self.hooks.fire("subscription.created", one)
            return one

    def change_subscription(self, one: int, status: str = "", **fields: Any) -> None:
        """A status (active, on-hold, pending-cancel, cancelled, expired) with the dates that go with it."""
        with self.lock:
            found = self.subscriptions[one]
            now = stamp(self.now())
            if status == "pending-cancel":
                found |= {"end_date_gmt": found["next_payment_date_gmt"], "next_payment_date_gmt": ""}
            if status in ("cancelled", "expired"):
                found |= {"end_date_gmt": now, "next_payment_date_gmt": ""}
            if status in ("cancelled", "pending-cancel"):
                found["cancelled_date_gmt"] = now
            found |= {"status": status or found["status"], **fields, **self._moment("modified")}
            self.hooks.fire("subscription.updated", one)

    def renew(self, subscription_id: int, payment: str = "card", days: int = 30) -> int:
        """A renewal: an order of its own, marked by metadata. Unpaid, it leaves the subscription on hold."""
        with self.lock:
            held = self.subscriptions[subscription_id]
            kept = ("product_id", "variation_id", "name", "quantity", "subtotal", "total")
            self.change_subscription(subscription_id, "on-hold")
            one = self.place_order(
                [{key: line[key] for key in kept} for line in held["line_items"]],
                customer_id=held["customer_id"],
                email=held["billing"]["email"],
                first_name=held["billing"]["first_name"],
                last_name=held["billing"]["last_name"],
                company=held["billing"]["company"],
                payment=payment,
                created_via="subscription",
            )
            mark = [{"key": "_subscription_renewal", "value": str(subscription_id)}]
            merge_meta(self.orders[one]["meta_data"], mark, self._new_meta)
            if self.orders[one]["status"] in PAID:
                paid, due = stamp(self.now()), stamp(self.now() + days * 86400)
                dates = {"last_payment_date_gmt": paid, "next_payment_date_gmt": due}
                self.change_subscription(subscription_id, "active", **dates)
            return one

    # --- as REST shows ------------------------------------------------------------------------------------

    def show(self, resource: str, one: int) -> Json:
        """One order, product, customer or subscription as ``GET`` answers it."""
        shows = {
            "order": self.show_order,
            "product": self.show_product,
            "customer": self.show_customer,
            "subscription": self.show_subscription,
        }
        if resource not in shows:
            raise WpError("rest_no_route", "No route was found matching the URL and request method.", 404)
        return shows[resource](one)

    def show_subscription(self, one: int) -> Json:
        """A subscription as subscriptions/ID answers it."""
        with self.lock:
            if one not in self.subscriptions:
                raise WpError("woocommerce_rest_shop_subscription_invalid_id", "Invalid ID.", 404)
            found = copy.deepcopy(self.subscriptions[one])
            customer = {"customer": f"customers/{found['customer_id']}"} if found["customer_id"] else {}
            parent = {"up": f"orders/{found['parent_id']}"} if found["parent_id"] else {}
            return found | {"_links": links(self.url, "subscriptions", one, **customer, **parent)}
