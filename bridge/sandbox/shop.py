"""The embedded shop: a stateful WooCommerce in memory that speaks the real wire format, quirks included.

``make run`` sells from it and the tests use it as their fake. It follows WooCommerce 11.0.1 on WordPress 7.1,
and a contract test holds it to recordings of that; of coupons and images there is no recording.

From the bottom up: shop_shapes.py, shop_shapes_subscriptions.py and shop_text.py (what JSON and text look
like), shop_hooks.py (webhooks), shop_world.py (clock, ids, keys), shop_goods.py (products), shop_bundles.py,
shop_orders.py, shop_till.py (buying), shop_plans.py, shop_subscriptions.py and shop_renewals.py (WooCommerce
Subscriptions), and here the whole. Beside it stand shop_api.py with its routes (REST), shop_pages.py, and
shop_plugin.py, the bridge's plugin.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Flask

from bridge.sandbox.faults import Faults
from bridge.sandbox.shop_plugin import Plugin
from bridge.sandbox.shop_renewals import Renewals
from bridge.sandbox.shop_shapes import Json
from bridge.sandbox.shop_world import WpError


class Shop(Renewals):
    """The state of the shop, and what its staff and its shoppers do. Safe to use from many threads.

    ``now`` is the shop's clock, by default one that can be set; ``auth_now`` is what OAuth timestamps are held
    against. ``utc_offset`` (in seconds) is the shop's time zone. ``behind_tls`` accepts Basic authentication
    although the request came by http. ``subscriptions`` and ``bundles`` say that WooCommerce Subscriptions and
    Product Bundles are installed. ``url`` is the shop's address; without it the shop learns it from the first
    request.
    """

    def __init__(
        self,
        *,
        consumer_key: str = "ck_sandbox",
        consumer_secret: str = "cs_sandbox",  # noqa: S107 - the sandbox's own
        currency: str = "EUR",
        utc_offset: int = -5 * 3600,
        now: Callable[[], float] | None = None,
        auth_now: Callable[[], float] = time.time,
        behind_tls: bool = False,
        subscriptions: bool = False,
        bundles: bool = False,
        url: str = "",
        title: str = "The Sandbox Shop",
    ) -> None:
        super().__init__(now, utc_offset, currency, url)
        self.auth_now = auth_now
        self.behind_tls = behind_tls
        self.has_subscriptions = subscriptions
        self.has_bundles = bundles
        self.title = title
        self.requests: list[str] = []
        self.sessions: dict[str, int] = {}  # the secret in a browser's cookie -> the customer who is signed in there
        self.plugin: Plugin | None = None
        self.faults = Faults()
        self.add_key(consumer_key, consumer_secret)
        self.app: Flask = self._make_app()

    def install_plugin(self, bridge_url: str, secret: str, home: str) -> Plugin:
        """Install the bridge's plugin, with a secret shared with the bridge. ``home`` is the shop's own address."""
        self.plugin = Plugin(self, bridge_url, secret, home)
        return self.plugin

    def _make_app(self) -> Flask:
        from bridge.sandbox.shop_api import make_api
        from bridge.sandbox.shop_pages import make_pages

        app = Flask("bridge.sandbox")
        self.faults.install(app)
        app.register_blueprint(make_api(self))
        app.register_blueprint(make_pages(self))
        return app

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
