"""What a real shop delivered, replayed whole: in order, shuffled, doubled, and not at all. One and the same ledger."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request

from bridge.sandbox.server import Served
from tests.world import World

SAMPLES = Path(__file__).parent / "samples" / "woocommerce"
LAB_SECRET = "lab-webhook-secret"
Deliveries = list[tuple[dict[str, str], bytes]]


def recorded() -> Deliveries:
    """Every recorded delivery: its headers and its bytes, in the order of what they tell of."""
    found = []
    for path in sorted(SAMPLES.glob("*.json")):
        record = json.loads(path.read_text())
        headers = {k: v for k, v in record["headers"].items() if k not in ("Host", "Content-Length", "Connection")}
        body = record.get("body_json")
        modified = body.get("date_modified_gmt") or "" if isinstance(body, dict) else ""
        found.append((modified, path.stem, headers, path.with_suffix(".body").read_bytes()))
    return [(headers, body) for _, _, headers, body in sorted(found, key=lambda one: one[:2])]


class Remembered:
    """A shop that holds what its recordings last told: each order and subscription as it was in the end."""

    def __init__(self, deliveries: Deliveries) -> None:
        self.orders: dict[int, dict[str, Any]] = {}
        self.subscriptions: dict[int, dict[str, Any]] = {}
        for headers, body in deliveries:
            topic = headers.get("X-WC-Webhook-Topic", "")
            told = json.loads(body) if body[:1] == b"{" else None
            if isinstance(told, dict) and "line_items" in told:
                kept = self.subscriptions if topic.startswith("subscription.") else self.orders
                kept[told["id"]] = told
        self.app = Flask("remembered")
        api = "/wp-json/wc/v3"
        views: dict[str, Callable[..., Any]] = {
            "orders/<int:one>": lambda one: self._one(self.orders, one, "order"),
            "orders/<int:one>/refunds": lambda one: jsonify(self._refunds(one)),
            "orders/<int:one>/subscriptions": lambda one: jsonify(self._subscribed(one)),
            "subscriptions/<int:one>": lambda one: self._one(self.subscriptions, one, "subscription"),
            "subscriptions": lambda: jsonify([]),
            "customers/<int:one>": self._customer,
            "products": self._products,
            "products/<int:_>/variations/<int:one>": lambda _, one: jsonify(id=one, sku="", meta_data=[]),
        }
        for rule, view in views.items():
            self.app.add_url_rule(f"{api}/{rule}", rule, view)

    def _one(self, kept: dict[int, dict[str, Any]], one: int, what: str) -> Response:
        if one in kept:
            return jsonify(kept[one])
        answer = jsonify(
            code="woocommerce_rest_shop_order_invalid_id", message=f"No such {what}.", data={"status": 404}
        )
        answer.status_code = 404
        return answer

    def _refunds(self, one: int) -> list[dict[str, Any]]:
        """Of the deliveries only sums are known: amounts, without lines."""
        return [
            {"id": refund["id"], "amount": refund["total"].lstrip("-"), "line_items": []}
            for refund in self.orders[one]["refunds"]
        ]

    def _subscribed(self, one: int) -> list[dict[str, Any]]:
        meta = {entry["key"]: str(entry["value"]) for entry in self.orders[one]["meta_data"]}
        renews = meta.get("_subscription_renewal")
        return [s for n, s in self.subscriptions.items() if s["parent_id"] == one or str(n) == renews]

    def _customer(self, one: int) -> Response:
        return jsonify(id=one, email=f"customer{one}@replay.test", first_name="Customer", last_name=str(one))

    def _products(self) -> Response:
        wanted = [int(word) for word in request.args.get("include", "").split(",") if word]
        return jsonify([{"id": one, "type": "simple", "sku": "", "meta_data": []} for one in wanted])

    def products(self) -> set[int]:
        """Every product that was sold."""
        told = (*self.orders.values(), *self.subscriptions.values())
        return {line["product_id"] for one in told for line in one["line_items"] if line["product_id"]}


@pytest.fixture
def replay(make_world: Callable[..., World], reset_database: Callable[[], None]) -> Iterator[Callable[..., Any]]:
    """Replays deliveries to a new world and tells what is in the ledger, and who has access, in the end."""
    served: list[Served] = []
    shop = Remembered(recorded())

    def play(deliveries: Deliveries, *, at_once: int = 1000) -> dict[str, Any]:
        reset_database()
        served.append(Served(shop.app).start())
        world = make_world(
            shop={"url": served[-1].url, "webhook_secrets": [LAB_SECRET]}, orders={"notes": False, "grace_days": 0}
        )
        for product in sorted(shop.products()):
            world.know(world.course(f"P{product}"), product)
        for number, (headers, body) in enumerate(deliveries, 1):
            answer = world.web.post("/webhooks/woocommerce", data=body, headers=headers)
            assert answer.status_code == 200
            if number % at_once == 0:
                world.settle()
        for _ in range(8):  # what could not be read was let go in the end
            world.settle()
            world.pass_time()
        return ledger(world)

    yield play
    for one in served:
        one.stop()


def ledger(world: World) -> dict[str, Any]:
    """The ledger without the numbers that tell who came first, and the access in Totara."""
    lines = {row.id: (row.order_id, row.subscription_id, row.line_id) for row in world.rows("purchases")}
    people = {row.id: row.customer_id or row.guest_email for row in world.rows("persons")}
    return {
        "orders": sorted((row.id, row.status, row.stands) for row in world.rows("orders")),
        "subscriptions": sorted((row.id, row.status, row.stands) for row in world.rows("subscriptions")),
        "seats": sorted(
            (str(lines[row.purchase_id]), row.unit, str(people.get(row.person_id)))
            for row in world.rows("seats")
            if row.ended_at is None
        ),
        "access": {key: status for key, status in world.access().items() if status == "active"},
        "owed": sorted((row.kind, row.key) for row in world.rows("work") if row.due_at is not None),
    }


@pytest.mark.timeout(300)
def test_in_order_shuffled_doubled_and_one_by_one_the_deliveries_lead_to_one_ledger(replay: Callable[..., Any]) -> None:
    deliveries = recorded()
    expected = replay(deliveries)
    assert len(expected["orders"]) > 20
    assert len(expected["subscriptions"]) >= 3
    assert expected["access"]
    assert expected["seats"]
    assert expected["owed"] == []
    assert replay(deliveries, at_once=10) == expected
    for seed in (1, 2):
        shuffled = deliveries * 2
        random.Random(seed).shuffle(shuffled)
        assert replay(shuffled, at_once=40) == expected
