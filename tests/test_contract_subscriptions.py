"""Hold the embedded shop's subscriptions to what WooCommerce Subscriptions answered and delivered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.sandbox.clock import Clock
from bridge.sandbox.server import Served
from bridge.sandbox.shop import Shop
from tests.test_contract_shop import World, _accept, recorded, same_shape, scenario

TOPICS = [
    *("order.created", "order.updated", "customer.created", "customer.updated", "subscription.created"),
    *("subscription.updated", "subscription.deleted", "action.woocommerce_payment_complete"),
    "action.woocommerce_subscription_renewal_payment_complete",
]
NIA: dict[str, Any] = {"email": "nia@guest.test", "first_name": "Nia", "last_name": "Noon"}
DATES = [
    *("trial_end_date_gmt", "next_payment_date_gmt", "last_payment_date_gmt", "cancelled_date_gmt"),
    *("end_date_gmt", "date_paid_gmt", "date_completed_gmt"),
]
SAME = (
    "status",
    "requires_manual_renewal",
    "billing_period",
    "billing_interval",
    "total",
    "needs_payment",
    "suspension_count",
)


@pytest.fixture
def clock() -> Clock:
    return Clock(1_795_000_000, frozen=True)


@pytest.fixture
def world(clock: Clock) -> Iterator[World]:
    shop = Shop(currency="GBP", utc_offset=0, now=clock, subscriptions=True)
    with Served(shop.app) as served, Served(_accept) as receiver:
        world = World(shop, served.url, receiver.url)
        world.listen(*TOPICS)
        yield world


@pytest.fixture
def monthly(world: World) -> int:
    return world.shop.add_product("Learning Pass (monthly)", type="subscription", sku="TOT-SUB-1", price="15.00")


@pytest.fixture
def card(world: World, monthly: int) -> int:
    """A subscription begun by card; its first deliveries are out."""
    world.shop.place_order([(monthly, 1)], **NIA)
    world.shop.deliver()
    [one] = world.shop.subscriptions
    return one


@pytest.fixture
def manual(world: World, monthly: int) -> int:
    """A subscription begun by bank transfer, which nobody has made yet."""
    world.shop.place_order([(monthly, 1)], payment="bacs", **NIA)
    world.shop.deliver()
    [one] = world.shop.subscriptions
    return one


def held_to(world: World, name: str, one: int) -> None:
    """What was just told is what was told in a recorded scenario, and the subscription as it was then."""
    deliveries = [d for d in scenario(name) if d["headers"].get("X-WC-Webhook-Topic")]
    assert world.told() == [d["headers"]["X-WC-Webhook-Topic"] for d in deliveries]
    bodies = [d["body_json"] for d in deliveries if d["headers"]["X-WC-Webhook-Topic"] == "subscription.updated"]
    if not bodies:
        return
    fake, real = world.shop.show_subscription(one), bodies[-1]
    assert same_shape(fake, real)
    assert list(fake) == list(real)
    assert {key: fake[key] for key in SAME} == {key: real[key] for key in SAME}
    assert {key: bool(fake[key]) for key in DATES} == {key: bool(real[key]) for key in DATES}


def test_a_checkout_by_card(world: World, monthly: int) -> None:
    world.shop.place_order([(monthly, 1)], **NIA)
    [one] = world.shop.subscriptions
    held_to(world, "sub-checkout-card", one)
    assert world.shop.subscriptions[one]["customer_id"] in world.shop.customers


def test_a_checkout_by_bank_transfer(world: World, monthly: int) -> None:
    world.shop.place_order([(monthly, 1)], payment="bacs", **NIA)
    [one] = world.shop.subscriptions
    held_to(world, "sub-checkout-new-account-bacs", one)


def test_a_renewal_by_card(world: World, card: int) -> None:
    world.shop.renew(card)
    held_to(world, "sub-renewal-auto-paid", card)


def test_a_renewal_that_is_declined(world: World, card: int) -> None:
    world.shop.renew(card, "declined")
    held_to(world, "sub-renewal-failed", card)


def test_a_renewal_by_hand_is_due_and_then_paid(world: World, manual: int) -> None:
    shop = world.shop
    shop.set_status(shop.subscriptions[manual]["parent_id"], "processing")
    held_to(world, "sub-manual-parent-to-processing", manual)
    renewal = shop.renew(manual)
    held_to(world, "sub-manual-renewal-due", manual)
    shop.pay_order(renewal)
    held_to(world, "sub-manual-renewal-paid", manual)
    shop.change_subscription(manual, "expired")
    held_to(world, "sub-expired", manual)


def test_a_subscription_that_is_cancelled(world: World, card: int) -> None:
    world.shop.change_subscription(card, "cancelled")
    held_to(world, "sub-cancelled", card)


def test_a_subscription_by_rest_and_its_end(world: World, monthly: int) -> None:
    buyer = world.shop.add_customer("ann@lab.test", "Ann", "Archer")
    world.shop.deliver()
    given = {"customer_id": buyer, "status": "active", "billing_period": "month", "billing_interval": 1}
    given |= {"start_date": "2026-11-23 00:00:00", "next_payment_date": "2026-12-23 00:00:00"}
    given |= {"payment_method": "labpay", "line_items": [{"product_id": monthly, "quantity": 1}]}
    made = world.api.post("subscriptions", given)
    assert made.status_code == 201
    one = made.json()["id"]
    held_to(world, "sub-rest-created", one)
    assert made.json()["start_date_gmt"] == "2026-11-23T00:00:00"
    world.api.delete(f"subscriptions/{one}")
    held_to(world, "sub-trash", one)
    world.api.delete(f"subscriptions/{one}", params={"force": True})
    held_to(world, "sub-force-delete", one)
    assert world.api.get(f"subscriptions/{one}").status_code == 404


def test_a_date_with_a_t_is_refused(world: World, card: int) -> None:
    answer = world.api.put(f"subscriptions/{card}", {"next_payment_date": "2027-01-01T00:00:00"})
    assert (answer.status_code, answer.json()["code"]) == (400, "rest_invalid_param")


def test_the_orders_of_a_subscription_look_as_recorded(world: World, card: int) -> None:
    first = world.shop.subscriptions[card]["parent_id"]
    paid, failed = world.shop.renew(card), world.shop.renew(card, "declined")
    answer, real = world.api.get(f"subscriptions/{card}/orders"), recorded("subscription-45-orders")
    fake = answer.json()
    assert [same_shape(one, other) for one, other in zip(fake, real["body"], strict=True)]
    assert [list(one) for one in fake] == [list(one) for one in real["body"]]
    assert [one["id"] for one in fake] == [first, failed, paid]
    assert [one["order_type"] for one in fake] == [one["order_type"] for one in real["body"]]
    for name in ("X-WP-Total", "X-WP-TotalPages", "Allow"):
        assert answer.headers[name] == real["headers"][name]
    tails = [[one["payment_url"].partition("&subscription")[2] for one in found] for found in (fake, real["body"])]
    assert tails[0] == tails[1]
    caches = {m["key"]: m["value"] for m in world.get(f"subscriptions/{card}")["meta_data"]}
    assert caches["_subscription_renewal_order_ids_cache"] == [failed, paid]


def test_the_subscriptions_of_an_order_and_the_list_look_as_recorded(world: World, card: int) -> None:
    order = world.shop.subscriptions[card]["parent_id"]
    for path, name in (
        (f"orders/{order}/subscriptions", "order-44-subscriptions"),
        ("subscriptions", "subscriptions-list"),
    ):
        answer, real = world.api.get(path), recorded(name)
        assert same_shape(answer.json()[0], real["body"][-1])
        assert answer.headers["X-WP-TotalPages"] == real["headers"]["X-WP-TotalPages"]
    assert world.get("subscriptions/statuses") == recorded("subscription-statuses")["body"]


def test_a_subscriptions_number_is_answered_among_the_orders_too(world: World, card: int) -> None:
    fake, real = world.get(f"orders/{card}"), recorded("order-that-is-a-subscription")["body"]
    assert list(fake) == list(real)
    assert same_shape({**fake, "line_items": []}, {**real, "line_items": []})  # one is of a variation
    assert fake["parent_id"] and real["parent_id"]
    caches = [{m["key"] for m in found["meta_data"] if m["key"].endswith("_order_ids_cache")} for found in (fake, real)]
    assert caches[0] == caches[1] != set()
    assert card not in [order["id"] for order in world.get("orders")]


def test_a_switch_leaves_the_subscription_its_id_and_a_new_line(world: World) -> None:
    shop = world.shop
    world.listen("subscription.switched")
    tiers = shop.add_product("Learning Pass tiers", type="variable-subscription", sku="TOT-VSUB-1")
    silver, gold = (
        shop.add_variation(tiers, sku=f"TOT-VSUB-1-{tier}", price=price, attributes=[("Tier", tier)])
        for tier, price in (("Silver", "10"), ("Gold", "20"))
    )
    shop.place_order([(silver, 1)], **NIA)
    [one] = shop.subscriptions
    shop.deliver()
    old = shop.subscriptions[one]["line_items"][0]["id"]
    order = shop.switch(one, old, gold)
    assert world.told()[-2:] == ["subscription.updated", "subscription.switched"]
    fake = world.get(f"subscriptions/{one}")
    real = next(s for s in recorded("subscriptions-list")["body"] if s["id"] == 1237)
    assert same_shape(fake, real)
    [line], [recorded_line] = fake["line_items"], real["line_items"]
    for key in ("name", "quantity", "total", "price", "sku", "parent_name"):
        assert line[key] == recorded_line[key]
    assert [m["key"] for m in line["meta_data"]] == [m["key"] for m in recorded_line["meta_data"]]
    assert (line["variation_id"], line["meta_data"][1]["value"]) == (gold, str(old)) and line["id"] != old
    assert shop.orders[order]["status"] == "completed" and shop.orders[order]["total"] == "0.00"
    for found in (fake, real):
        assert found["date_completed_gmt"] and not found["removed_line_items"]
    assert fake["total"] == real["total"]


def test_a_plan_is_known_by_its_line_only(world: World) -> None:
    plan = world.shop.add_plan(world.excel, period="year", discount=10)
    order = world.shop.place_order([{"product_id": world.excel, "quantity": 1, "plan": plan}], **NIA)
    [one] = world.shop.subscriptions
    fake = world.get(f"subscriptions/{one}")
    real = next(s for s in recorded("subscriptions-list")["body"] if s["id"] == 1232)
    assert same_shape(fake, real)
    for found in (fake, real):
        [line] = found["line_items"]
        assert [m["key"] for m in line["meta_data"]] == ["_wcsatt_scheme"]
        assert found["next_payment_date_gmt"][:4] > found["start_date_gmt"][:4]
    assert world.shop.show_product(world.excel)["type"] == "simple"
    assert world.get(f"orders/{order}")["total"] == fake["total"] == "44.99"


def test_products_that_are_subscriptions_look_as_recorded(world: World, monthly: int) -> None:
    fake, real = world.get(f"products/{monthly}"), recorded("product-subscription")["body"]
    assert same_shape(fake, real)
    keys = [m["key"] for m in real["meta_data"] if m["key"].startswith("_subscription")]
    assert [m["key"] for m in fake["meta_data"]] == keys
    assert [fake[k] for k in ("type", "price", "purchasable")] == [real[k] for k in ("type", "price", "purchasable")]


def test_a_variable_product_by_subscription_looks_as_recorded(world: World) -> None:
    tiers = world.shop.add_product("Learning Pass tiers", type="variable-subscription", sku="TOT-VSUB-1")
    for tier, price in (("Silver", "10"), ("Gold", "20")):
        world.shop.add_variation(tiers, sku=f"TOT-VSUB-1-{tier}", price=price, attributes=[("Tier", tier)])
    fake, real = world.get(f"products/{tiers}"), recorded("product-variable-subscription")["body"]
    assert same_shape(fake, real)
    for key in ("type", "price", "regular_price", "has_options", "purchasable"):
        assert fake[key] == real[key]
    assert [v["price"] for v in world.get(f"products/{tiers}/variations")] == ["20", "10"]
    refused = world.api.get("products", params={"type": "subscription"})
    assert (refused.status_code, refused.json()["code"]) == (400, "rest_invalid_param")
