"""Hold the embedded shop to what a real WooCommerce answered and delivered."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from woocommerce import API

from bridge.sandbox.server import Served
from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_hooks import sign
from bridge.sandbox.shop_shapes import php_json
from tests.world import Clock

SAMPLES = Path(__file__).parent / "samples"
SECRET = "lab-webhook-secret"
DELIVERIES = sorted((SAMPLES / "woocommerce").glob("*.json"), key=lambda path: path.name)
SIGNED = [path for path in DELIVERIES if not path.name.startswith("ping")]


def recorded(name: str) -> Any:
    """A recorded REST answer: request, status, headers, body."""
    return json.loads((SAMPLES / "woocommerce-rest" / f"{name}.json").read_text())


def scenario(name: str) -> list[Any]:
    """The recorded deliveries of one scenario, in the order of their arrival."""
    found = [json.loads(path.read_text()) for path in DELIVERIES if path.stem.endswith(f"--{name}")]
    return sorted(found, key=lambda delivery: delivery["received"])


def kind(value: Any) -> str:
    """The JSON type."""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


def differences(fake: Any, real: Any, path: str = "") -> Iterator[str]:
    """Where the fake has other keys or other types than the recording.

    A date may be there in one and null in the other; metadata values are anybody's; of a list each item
    of the fake is held against the first recorded one.
    """
    name = path.rpartition(".")[2]
    if name in ("value", "display_value"):
        return
    if kind(fake) != kind(real):
        if not (name.startswith("date_") and {kind(fake), kind(real)} == {"string", "null"}):
            yield f"{path}: {kind(fake)} for {kind(real)}"
    elif isinstance(fake, dict):
        if missing := real.keys() - fake.keys():
            yield f"{path}: lacks {sorted(missing)}"
        if extra := fake.keys() - real.keys():
            yield f"{path}: has {sorted(extra)} of its own"
        for key in fake.keys() & real.keys():
            yield from differences(fake[key], real[key], f"{path}.{key}")
    elif isinstance(fake, list) and real:
        for item in fake:
            yield from differences(item, real[0], f"{path}[]")


def same_shape(fake: Any, real: Any) -> bool:
    """Assert that there are no differences, and say which there are."""
    assert list(differences(fake, real)) == []
    return True


class World:
    """A shop like the recorded one, served, with a receiver that takes everything."""

    def __init__(self, shop: Shop, url: str, receiver: str) -> None:
        self.shop, self.url, self.receiver = shop, url, receiver
        self.api = API(url, "ck_sandbox", "cs_sandbox")
        it, compliance = shop.add_category("IT Skills"), shop.add_category("Compliance")
        text = "<p>Fire Safety Awareness & more</p>"
        self.fire = shop.add_product(
            "Fire Safety Awareness",
            sku="TOT-101",
            price="25.00",
            description=text,
            short_description="batched",
            categories=[{"id": compliance}],
            meta_data=[
                {"key": "_totara_course_id", "value": 101},
                {"key": "totara_sync", "value": {"hash": "abc", "v": 1}},
            ],
        )
        self.excel = shop.add_product("Excel for Analysts", sku="TOT-104", price="49.99", categories=[{"id": it}])
        self.project = shop.add_product("Project Management", sku="TOT-VAR-1", type="variable")
        self.spring = shop.add_variation(
            self.project, sku="TOT-VAR-1-Spring", price="80", attributes=[("Session", "Spring")]
        )
        shop.add_variation(self.project, sku="TOT-VAR-1-Autumn", price="81", attributes=[("Session", "Autumn")])
        self.bundle = shop.add_product("Bundle", sku="TOT-GRP-1", type="grouped")
        shop.edit_product(self.bundle, grouped_products=[self.fire, self.excel])

    def get(self, path: str, **params: Any) -> Any:
        """The parsed answer."""
        return self.api.get(path, params=params).json()

    def listen(self, *topics: str) -> None:
        """Webhooks for these topics."""
        for topic in topics:
            data = {"topic": topic, "delivery_url": self.receiver, "secret": SECRET, "name": topic}
            assert self.api.post("webhooks", data).status_code == 201

    def told(self) -> list[str]:
        """Deliver, and say which topics went out."""
        before = len(self.shop.deliveries)
        self.shop.deliver()
        return [delivery["topic"] for delivery in self.shop.deliveries[before:]]


def _accept(environ: Any, start_response: Any) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


@pytest.fixture
def clock() -> Clock:
    return Clock(1_795_000_000.0)


@pytest.fixture
def world(clock: Clock) -> Iterator[World]:
    shop = Shop(currency="GBP", utc_offset=0, now=clock)
    with Served(shop.app) as served, Served(_accept) as receiver:
        yield World(shop, served.url, receiver.url)


GUEST: dict[str, Any] = {"email": "gina@guest.test", "first_name": "Gina", "last_name": "Guest"}


# --- what was recorded can be checked with our own means --------------------------------------------------


@pytest.mark.parametrize("path", SIGNED, ids=lambda path: path.stem)
def test_a_recorded_signature_is_that_of_the_recorded_body(path: Path) -> None:
    delivery = json.loads(path.read_text())
    body = php_json(delivery["body_json"])
    assert len(body) == int(delivery["headers"]["Content-Length"])
    assert sign(SECRET, body) == delivery["headers"]["X-WC-Webhook-Signature"]


def test_the_raw_recording_has_the_form_that_the_others_were_parsed_from() -> None:
    head, _, body = (SAMPLES / "woocommerce" / "00-delivery.raw.http").read_bytes().partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert php_json(json.loads(body)) == body.rstrip(b"\n")
    assert int(headers["Content-Length"]) == len(body.rstrip(b"\n"))


def test_a_body_encoded_in_pythons_way_does_not_have_the_recorded_signature() -> None:
    [delivery] = [d for d in scenario("purchase-block-card") if "order.created" in str(d["headers"])]
    body = json.dumps(delivery["body_json"]).encode()
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
    assert base64.b64encode(digest).decode() != delivery["headers"]["X-WC-Webhook-Signature"]


# --- orders -----------------------------------------------------------------------------------------------


def test_a_guests_order_by_card_looks_as_recorded(world: World) -> None:
    one = world.shop.place_order([(world.fire, 1)], **GUEST)
    fake, real = world.get(f"orders/{one}"), recorded("order-guest-card")["body"]
    assert same_shape(fake, real)
    assert list(fake) == list(real)
    same = "status customer_id created_via needs_payment needs_processing is_editable currency currency_symbol"
    assert [fake[key] for key in same.split()] == [real[key] for key in same.split()]
    assert fake["date_paid"] and fake["transaction_id"]


def test_a_guests_order_with_cash_on_delivery_is_processing_without_a_date_of_payment(world: World) -> None:
    one = world.shop.place_order([(world.excel, 1)], payment="cod", **GUEST)
    fake, real = world.get(f"orders/{one}"), recorded("order-guest-cod")["body"]
    assert same_shape(fake, real)
    same = "status payment_method payment_method_title transaction_id date_paid date_completed total"
    assert [fake[key] for key in same.split()] == [real[key] for key in same.split()]
    assert fake["line_items"][0]["price"] == real["line_items"][0]["price"] == 49.99


def test_an_order_of_five_seats_by_rest_looks_as_recorded(world: World) -> None:
    buyer = world.shop.add_customer("bob@lab.test", "Bob", "Baker")
    real = recorded("order-bulk-5")["body"]
    line = {"product_id": world.fire, "quantity": 5, "total": "600.00"}
    line["meta_data"] = [{"key": m["key"], "value": m["value"]} for m in real["line_items"][0]["meta_data"]]
    answer = world.api.post(
        "orders",
        {
            "payment_method": "bacs",
            "set_paid": True,
            "customer_id": buyer,
            "billing": real["billing"],
            "line_items": [line],
        },
    )
    assert answer.status_code == 201
    fake = answer.json()
    assert same_shape(fake, real)
    same = "status payment_method payment_method_title created_via customer_ip_address billing shipping total"
    assert [fake[key] for key in same.split()] == [real[key] for key in same.split()]
    assert fake["line_items"][0]["price"] == 120
    shown = [(m["key"], m["display_value"]) for m in fake["line_items"][0]["meta_data"]]
    assert shown == [(m["key"], m["display_value"]) for m in real["line_items"][0]["meta_data"]]


def test_refunds_look_as_recorded_and_leave_the_order_as_it_was(world: World) -> None:
    one = world.shop.place_order([(world.fire, 5)], **GUEST)
    line = world.shop.orders[one]["line_items"][0]["id"]
    world.shop.refund(one, lines={line: 2}, reason="two seats back")
    world.shop.refund(one, "10.00", reason="goodwill")
    assert world.shop.orders[one]["status"] == "processing"
    world.shop.refund(one, "65.00", {line: 3})
    answer = world.api.get(f"orders/{one}/refunds")
    real = recorded("order-30-refunds")
    assert same_shape(answer.json(), real["body"])
    assert answer.headers["X-WP-Total"] == real["headers"]["X-WP-Total"]

    def told(refunds: Any) -> Any:
        keys = ("name", "quantity", "subtotal", "total", "price")
        lines = [[[item[key] for key in keys] for item in refund["line_items"]] for refund in refunds]
        kinds = [refund["meta_data"][0]["value"] for refund in refunds]
        return [(r["amount"], r["reason"]) for r in refunds], kinds, lines

    assert told(answer.json()) == told(real["body"])
    origins = [m["value"] for r in answer.json() for item in r["line_items"] for m in item["meta_data"]]
    assert origins == [str(line)] * 2

    order, recorded_order = world.get(f"orders/{one}"), recorded("order-refunded-partial-then-full")["body"]
    assert same_shape(order["refunds"], recorded_order["refunds"])
    for key in ("status", "total"):
        assert order[key] == recorded_order[key]
    assert order["line_items"][0]["quantity"] == recorded_order["line_items"][0]["quantity"] == 5
    sums = [sorted(r["total"] for r in found["refunds"]) for found in (order, recorded_order)]
    assert sums[0] == sums[1]


def test_the_status_refunded_set_by_hand_makes_a_refund_without_lines(world: World) -> None:
    one = world.shop.place_order([(world.fire, 1)], **GUEST)
    world.shop.set_status(one, "refunded")
    [fake], [real] = world.get(f"orders/{one}/refunds"), recorded("order-34-refunds-status-refunded")["body"]
    assert same_shape(fake, real)
    for key in ("amount", "reason", "line_items"):
        assert fake[key] == real[key]


def test_a_subscription_and_its_order_look_as_recorded(world: World) -> None:
    world.shop.has_subscriptions = True
    buyer = world.shop.add_customer("nia@guest.test", "Nia", "Noon")
    one = world.shop.place_order([(world.fire, 1)], customer_id=buyer)
    made = world.shop.subscribe(one)
    world.listen("subscription.updated", "order.created", "order.updated", "action.woocommerce_payment_complete")
    world.shop.deliver()
    renewal = world.shop.renew(made)
    real = recorded("subscription-45")["body"]
    assert same_shape(world.get(f"subscriptions/{made}"), real)
    [of_order] = world.get(f"orders/{one}/subscriptions")
    [of_renewal] = world.get(f"orders/{renewal}/subscriptions")
    assert of_order == of_renewal and same_shape(of_order, recorded("order-44-subscriptions")["body"][0])
    assert of_order["status"] == "active"
    topics = [d["headers"]["X-WC-Webhook-Topic"] for d in scenario("sub-renewal-auto-paid")]
    assert world.told() == [topic for topic in topics if "renewal" not in topic]
    world.shop.change_subscription(made, "cancelled")
    body = world.get(f"subscriptions/{made}")
    for key in ("status", "next_payment_date_gmt", "billing_period", "billing_interval"):
        assert body[key] == real[key]


def test_notes_look_as_recorded(world: World) -> None:
    one = world.shop.place_order([(world.fire, 1)], **GUEST)
    fake, real = world.api.get(f"orders/{one}/notes"), recorded("order-notes")
    assert same_shape(fake.json(), real["body"])
    assert "X-WP-Total" not in fake.headers and "X-WP-Total" not in real["headers"]


def test_a_list_of_orders_has_the_recorded_headers(world: World) -> None:
    for _ in range(6):
        world.shop.place_order([(world.fire, 1)], **GUEST)
    fake, real = world.api.get("orders", params={"per_page": 5}), recorded("orders-list")
    assert same_shape(fake.json()[0], real["body"][0])
    for name in ("Content-Type", "Allow"):
        assert fake.headers[name] == real["headers"][name]
    assert (fake.headers["X-WP-Total"], fake.headers["X-WP-TotalPages"]) == ("6", "2")
    for link in (fake.headers["Link"], real["headers"]["Link"]):
        assert "per_page=5&oauth_consumer_key=" in link and link.endswith('page=2>; rel="next"')
    ids = [order["id"] for order in fake.json()]
    assert ids == sorted(ids, reverse=True)


# --- the catalogue ----------------------------------------------------------------------------------------


def test_a_simple_product_looks_as_recorded(world: World) -> None:
    fake, real = world.get(f"products/{world.fire}"), recorded("product-simple")["body"]
    assert same_shape(fake, real)
    assert list(fake) == list(real)
    same = "description short_description purchasable virtual shipping_required type status has_options"
    assert [fake[key] for key in same.split()] == [real[key] for key in same.split()]
    assert [m["value"] for m in fake["meta_data"]] == [m["value"] for m in real["meta_data"]]
    assert fake["price_html"] == real["price_html"].replace("26.00", "25.00")


def test_a_draft_looks_as_recorded(world: World) -> None:
    world.listen("product.created")
    given = {"name": "Draft course", "status": "draft", "sku": "TOT-DRAFT", "regular_price": "5"}
    fake = world.api.post("products", given).json()
    [delivery] = scenario("product-created-draft")
    real = delivery["body_json"]
    assert same_shape(fake, real)
    same = "slug status price regular_price purchasable virtual shipping_required categories price_html"
    assert [fake[key] for key in same.split()] == [real[key] for key in same.split()]
    assert fake["permalink"].endswith(f"/?post_type=product&p={fake['id']}")


def test_a_variable_product_and_its_variations_look_as_recorded(world: World) -> None:
    fake, real = world.get(f"products/{world.project}"), recorded("product-variable")["body"]
    assert same_shape(fake, real)
    same = "price regular_price purchasable virtual attributes has_options"
    assert [fake[key] for key in same.split()] == [real[key] for key in same.split()]
    listed, kept = world.get(f"products/{world.project}/variations"), recorded("product-variations")["body"]
    assert same_shape(listed, kept)
    assert list(listed[0]) == list(kept[0])
    for key in ("name", "sku", "price", "attributes", "type", "status", "image"):
        assert [item[key] for item in listed] == [item[key] for item in kept]
    assert listed[0]["permalink"].endswith("/product/project-management/?attribute_session=Autumn")


def test_a_grouped_product_looks_as_recorded(world: World) -> None:
    fake, real = world.get(f"products/{world.bundle}"), recorded("product-grouped")["body"]
    assert same_shape(fake, real)
    same = "price regular_price purchasable virtual shipping_required"
    assert [fake[key] for key in same.split()] == [real[key] for key in same.split()]
    assert fake["grouped_products"] == [world.fire, world.excel]


def test_a_subscription_product_looks_as_recorded(world: World) -> None:
    world.shop.has_subscriptions = True
    one = world.shop.add_product("Learning Pass", type="subscription", sku="TOT-SUB-1", price="15.00")
    fake, real = world.get(f"products/{one}"), recorded("product-subscription")["body"]
    assert same_shape(fake, real)
    assert fake["type"] == real["type"]
    assert {m["key"]: m["value"] for m in fake["meta_data"]}.items() <= {
        m["key"]: m["value"] for m in real["meta_data"]
    }.items()


def test_a_list_of_products_has_the_recorded_headers(world: World) -> None:
    fake, real = world.api.get("products", params={"per_page": 3}), recorded("products-list")
    assert same_shape([item for item in fake.json() if item["type"] == "simple"], real["body"][2:])
    assert fake.headers["Link"].endswith(real["headers"]["Link"][-len('&page=2>; rel="next"') :])
    assert fake.headers["Allow"] == real["headers"]["Allow"]


def test_categories_look_as_recorded_and_come_by_name(world: World) -> None:
    world.shop.add_category("Leadership", description="Leadership courses")
    fake, real = world.api.get("products/categories"), recorded("categories")
    assert same_shape(fake.json(), real["body"])
    assert [item["name"] for item in fake.json()] == [item["name"] for item in real["body"]]
    assert fake.headers["X-WP-Total"] == real["headers"]["X-WP-Total"]
    assert fake.json()[3]["id"] == real["body"][3]["id"]


# --- customers, webhooks, errors --------------------------------------------------------------------------


def test_customers_look_as_recorded(world: World) -> None:
    world.shop.add_customer("bob@lab.test", "Bob", "Baker")
    [fake], real = world.get("customers"), recorded("customers")["body"][0]
    assert same_shape(fake, real)
    for key in ("email", "username", "role", "avatar_url", "first_name"):
        assert fake[key] == real[key]


def test_webhooks_look_as_recorded(world: World) -> None:
    topics = ("customer.created", "customer.updated", "action.wc_lab_nothing")
    world.listen(*topics)
    fake, real = world.api.get("webhooks", params={"order": "asc"}), recorded("webhooks")
    assert same_shape(fake.json(), real["body"])
    for key in ("status", "topic", "resource", "event", "hooks"):
        assert [item[key] for item in fake.json()] == [item[key] for item in real["body"]]


def test_errors_are_as_recorded(world: World) -> None:
    answer, real = world.api.get("orders/999999"), recorded("order-404")
    assert (answer.status_code, answer.json()) == (real["status"], real["body"])
    for name in ("Content-Type", "Allow"):
        assert answer.headers[name] == real["headers"][name]
    assert answer.headers["Link"] == f'<{world.url}/wp-json/>; rel="https://api.w.org/"'

    world.shop.add_key("ck_customer", "cs_customer", role="customer")
    answer, real = (
        API(world.url, "ck_customer", "cs_customer").get("orders"),
        recorded("error-403-customer-key"),
    )
    assert (answer.status_code, answer.json()) == (real["status"], real["body"])


def test_errors_in_a_batch_are_as_recorded(world: World) -> None:
    answer = world.api.post(
        "products/batch",
        {"create": [{"name": "Again", "sku": "tot-101"}], "update": [{"id": 999999, "name": "None"}]},
    )
    real = recorded("batch-errors")
    data = real["body"]["create"][0]["error"]["data"]
    data |= {"resource_id": world.fire, "unique_sku": "tot-101-1"}
    assert (answer.status_code, answer.json()) == (real["status"], real["body"])


# --- deliveries -------------------------------------------------------------------------------------------


def test_a_delivery_has_the_recorded_headers(world: World) -> None:
    world.listen("order.updated")
    world.shop.place_order([(world.fire, 1)], **GUEST)
    assert world.told() == ["order.updated"]
    [sent] = world.shop.deliveries
    [real] = [d for d in scenario("purchase-block-card") if d["path"] == "/hook/order-updated"]
    added = {"Host", "Accept", "Content-Length"}  # by the library
    assert sent["headers"].keys() | added == real["headers"].keys()
    for name in sent["headers"].keys() - {
        "X-WC-Webhook-Source",
        "X-WC-Webhook-Signature",
        "X-WC-Webhook-ID",
        "X-WC-Webhook-Delivery-ID",
    }:
        assert sent["headers"][name] == real["headers"][name]
    assert sent["headers"]["X-WC-Webhook-Source"] == world.url + "/"
    assert sent["headers"]["X-WC-Webhook-Signature"] == sign(SECRET, sent["body"])
    assert len(sent["headers"]["X-WC-Webhook-Delivery-ID"]) == len(real["headers"]["X-WC-Webhook-Delivery-ID"])
    assert same_shape(json.loads(sent["body"]), real["body_json"])


def test_a_ping_is_a_form_without_a_signature() -> None:
    heard: list[Any] = []

    def listen(environ: Any, start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        heard.append((environ["CONTENT_TYPE"], body, [key for key in environ if "X_WC" in key]))
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    shop = Shop()
    with Served(listen) as receiver:
        one = shop.add_webhook("order.updated", receiver.url)
    real = json.loads((SAMPLES / "woocommerce" / "ping--ping-order.updated.json").read_text())
    assert heard == [(real["headers"]["Content-Type"], f"webhook_id={one}".encode(), [])]
    assert real["body_text"].startswith("webhook_id=")


TOPICS = [
    "order.created",
    "order.updated",
    "order.deleted",
    "customer.created",
    "customer.updated",
    "product.created",
    "product.updated",
    "product.deleted",
    "action.woocommerce_payment_complete",
    "action.woocommerce_order_status_completed",
    "action.woocommerce_order_refunded",
]


def happen(world: World, clock: Clock, what: str) -> None:
    """Do in the fake what was done in the recorded shop."""
    shop, buy = world.shop, [(world.fire, 1)]
    rest = {"line_items": [{"product_id": world.fire, "quantity": 1}], "billing": {"email": "d@guest.test"}}
    one = 0
    if what.startswith(("order-", "refund-", "purchase-admin", "rest-order-completed", "onhold-")):
        one = shop.place_order(buy, payment="authorised" if what.startswith("onhold") else "card", **GUEST)
        if "before" in what:
            shop.delete_order(one)
        shop.deliver()
    clock.now += 1
    if what in ("purchase-block-card", "storeapi-guest-card-paid"):
        shop.place_order(buy, **GUEST)
    elif what == "storeapi-grouped-children-card":
        shop.place_order([(world.bundle, 1)], **GUEST)
    elif what == "storeapi-card-declined":
        shop.place_order(buy, payment="declined", **GUEST)
    elif what == "storeapi-card-authorised-onhold":
        shop.place_order(buy, payment="authorised", **GUEST)
    elif what == "storeapi-guest-cod":
        shop.place_order(buy, payment="cod", **GUEST)
    elif what == "storeapi-guest-create-account":
        shop.place_order(buy, payment="cod", create_account=True, **GUEST)
    elif what == "classic-guest-cod":
        shop.place_order(buy, payment="cod", created_via="checkout", **GUEST)
    elif what == "rest-order-unpaid":
        world.api.post("orders", rest)
    elif what == "rest-order-bulk-5":
        buyer = shop.add_customer("bob@lab.test")
        shop.deliver()
        world.api.post("orders", rest | {"customer_id": buyer, "set_paid": True})
    elif what in ("rest-order-completed", "purchase-admin-completes"):
        shop.set_status(one, "completed")
    elif what == "onhold-captured-by-admin-processing":
        shop.set_status(one, "processing")
    elif what == "order-trash":
        shop.trash_order(one)
    elif what == "order-4-changes-before-delivery":
        one = world.api.post("orders", rest).json()["id"]
        for status in ("on-hold", "processing", "completed"):
            world.api.put(f"orders/{one}", {"status": status})
    elif what == "order-trashed-before-delivery":
        one = world.api.post("orders", rest | {"set_paid": True}).json()["id"]
        world.api.delete(f"orders/{one}")
    elif what == "order-meta-by-middleware":
        world.api.put(f"orders/{one}", {"meta_data": [{"key": "_lms_enrolled", "value": "1"}]})
    elif what == "order-line-meta-by-middleware":
        line = shop.orders[one]["line_items"][0]["id"]
        given = [{"id": line, "meta_data": [{"key": "_lms_ref", "value": "e1"}]}]
        world.api.put(f"orders/{one}", {"line_items": given})
    elif what == "refund-partial-2-of-5":
        shop.refund(one, "5.00")
    elif what == "customer-created-rest":
        world.api.post("customers", {"email": "oli@lab.test", "first_name": "Oli", "last_name": "O"})
    elif what == "product-created-draft":
        world.api.post("products", {"name": "Draft course", "status": "draft"})
    elif what in ("product-edit", "product-no-change"):
        world.api.put(f"products/{world.fire}", {} if what == "product-no-change" else {"name": "Fire"})
    elif what == "product-trash":
        world.api.delete(f"products/{world.fire}")
    else:
        raise AssertionError(what)


@pytest.mark.parametrize(
    "what",
    [
        "purchase-block-card",
        "storeapi-guest-card-paid",
        "storeapi-grouped-children-card",
        "storeapi-card-declined",
        "storeapi-card-authorised-onhold",
        "storeapi-guest-cod",
        "storeapi-guest-create-account",
        "classic-guest-cod",
        "rest-order-unpaid",
        "rest-order-bulk-5",
        "rest-order-completed",
        "purchase-admin-completes",
        "onhold-captured-by-admin-processing",
        "order-trash",
        "order-4-changes-before-delivery",
        "order-trashed-before-delivery",
        "order-meta-by-middleware",
        "order-line-meta-by-middleware",
        "refund-partial-2-of-5",
        "customer-created-rest",
        "product-created-draft",
        "product-edit",
        "product-no-change",
        "product-trash",
    ],
)
def test_what_happens_is_told_as_recorded(world: World, clock: Clock, what: str) -> None:
    real = [d for d in scenario(what) if d["headers"].get("X-WC-Webhook-Topic") in TOPICS]
    world.listen(*TOPICS)
    world.shop.deliver()
    happen(world, clock, what)
    assert world.told() == [d["headers"]["X-WC-Webhook-Topic"] for d in real]
    for sent, delivery in zip(world.shop.deliveries[-len(real) :], real, strict=True):
        body = json.loads(sent["body"])
        left_out = {"meta_data", "coupon_lines", "line_items", "_links"} if "order" in sent["topic"] else set()
        for key in ("meta_data", "line_items"):
            if body.get(key) and delivery["body_json"].get(key):
                assert same_shape(body[key], delivery["body_json"][key])
        assert same_shape(
            {key: value for key, value in body.items() if key not in left_out},
            {key: value for key, value in delivery["body_json"].items() if key not in left_out},
        )
        for key in ("status", "is_editable", "needs_payment", "action"):
            assert body.get(key) == delivery["body_json"].get(key)


def test_a_webhook_whose_user_lost_the_right_tells_the_recorded_error_signed(world: World) -> None:
    world.listen("order.updated")
    world.shop.webhook_user_lost_rights = True
    world.shop.place_order([(world.fire, 1)], **GUEST)
    world.told()
    [sent] = world.shop.deliveries
    path = "order.updated-WEBHOOK-USER-LACKS-CAPABILITY--webhook-user-no-capability.json"
    real = json.loads((SAMPLES / "woocommerce" / path).read_text())
    assert sent["body"] == php_json(real["body_json"])
    assert sent["headers"]["X-WC-Webhook-Signature"] == real["headers"]["X-WC-Webhook-Signature"]
