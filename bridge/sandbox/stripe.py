"""The embedded Stripe: a small stateful one in memory that speaks the published interface.

It follows version 2026-10-28 as the official library describes it, and a contract test holds it to that. From the
bottom up: stripe_shapes.py (what objects look like), stripe_events.py (events and their deliveries),
stripe_payments.py (intents, charges, refunds), stripe_disputes.py, and here the whole. Beside it stand stripe_api.py
(the interface), stripe_form.py (how its requests are written) and stripe_pages.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from flask import Flask

from bridge.domain.payments import minor_units
from bridge.sandbox.faults import Faults
from bridge.sandbox.stripe_disputes import Disputes

SANDBOX_KEY = "sk_test_sandbox0123456789"


class Stripe(Disputes):
    """One account. Objects made in test mode and in live mode don't see each other: the key tells which it is.

    ``now`` is its clock, by which deliveries are signed. ``requests`` lists what was asked for.
    """

    def __init__(self, *, secret_key: str = SANDBOX_KEY, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.keys: dict[str, frozenset[str] | None] = {}
        self.requests: list[str] = []
        self.faults = Faults()
        self.live = is_live(secret_key)
        self.add_key(secret_key)
        self.app: Flask = self._make_app()

    def add_key(self, key: str, may: Collection[str] | None = None) -> None:
        """Accept another key; a restricted one may only read and write what is named ("charges", "disputes", …)."""
        self.keys[key] = None if may is None else frozenset(may)

    def take(self, order_id: int, total: str, currency: str) -> tuple[str, str]:
        """Take an order's payment as the shop's plugin has it taken; the names of intent and charge."""
        intent = self.pay(order_id, minor_units(total, currency), currency.lower(), live=self.live)
        return intent["id"], intent["latest_charge"]

    def _make_app(self) -> Flask:
        from bridge.sandbox.stripe_api import make_api
        from bridge.sandbox.stripe_pages import make_pages

        app = Flask("bridge.sandbox")
        self.faults.install(app)
        app.register_blueprint(make_api(self))
        app.register_blueprint(make_pages(self))
        return app


def is_live(key: str) -> bool:
    """Whether a key is for live mode."""
    return key[2:].startswith("_live_")
