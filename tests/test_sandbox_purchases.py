"""Purchases in the embedded shop and how they end: refunds of every kind, bundles, lines that change, ways to pay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from woocommerce import API

from bridge.sandbox.clock import Clock
from bridge.sandbox.server import Served
from bridge.sandbox.shop import Shop

START = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
ANNA: dict[str, Any] = {"email": "anna@guest.test", "first_name": "Anna", "last_name": "Ash"}
MARKS = ["_bundled_items", "_bundle_group_mode", "_stamp", "_bundle_cart_key"]
CHILD = ["_bundled_by", "_bundled_item_id", "_bundled_item_priced_individually", "_stamp", "_bundle_cart_key"]


@pytest.fixture
def shop() -> Shop:
    return Shop(now=Clock(START, frozen=True))


@pytest.fixture
def api(shop: Shop) -> Iterator[API]:
    with Served(shop.app) as served:
        yield API(served.url, "ck_sandbox", "cs_sandbox")


@pytest.fixture
def fire(shop: Shop) -> int:
    return shop.add_product("Fire safety", sku="FIRE", price="25.00")


@pytest.fixture
def excel(shop: Shop) -> int:
    return shop.add_product("Excel", sku="EXCEL", price="40.00")


def lines_of(shop: Shop, order: int) -> list[int]:
    return [line["id"] for line in shop.orders[order]["line_items"]]


def meta(thing: dict[str, Any]) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in thing["meta_data"]}


# --- refunds ----------------------------------------------------------------------------------------------


def test_a_refund_of_several_lines_says_how_many_of_each(shop: Shop, api: API, fire: int, excel: int) -> None:
    one = shop.place_order([(fire, 5), (excel, 2)], **ANNA)
    first, second = lines_of(shop, one)
    shop.refund(one, lines={first: 2, second: 1})
    [refund] = api.get(f"orders/{one}/refunds").json()
    told = [(line["quantity"], line["total"], meta(line)["_refunded_item_id"]) for line in refund["line_items"]]
    assert told == [(-2, "-50.00", str(first)), (-1, "-40.00", str(second))]
    assert refund["amount"] == "90.00" and refund["refunded_payment"] is False
    assert [line["quantity"] for line in shop.orders[one]["line_items"]] == [5, 2]
    assert api.get(f"orders/{one}/refunds/{refund['id']}").json() == refund


def test_money_off_a_line_gives_no_seat_back(shop: Shop, api: API, fire: int) -> None:
    one = shop.place_order([(fire, 5)], **ANNA)
    [line] = lines_of(shop, one)
    body = {"amount": "10.00", "line_items": [{"id": line, "quantity": 0, "refund_total": 10}]}
    assert api.post(f"orders/{one}/refunds", body).status_code == 201
    shop.refund(one, lines={line: (1, "5.00")}, by_gateway=True)
    newest, oldest = api.get(f"orders/{one}/refunds").json()
    assert [(x["quantity"], x["total"]) for x in oldest["line_items"]] == [(0, "-10.00")]
    assert [(x["quantity"], x["total"]) for x in newest["line_items"]] == [(-1, "-5.00")]
    assert newest["refunded_payment"] and newest["amount"] == "5.00"


def test_of_refunds_in_one_second_the_order_lists_the_older_first(shop: Shop, fire: int) -> None:
    one = shop.place_order([(fire, 5)], **ANNA)
    first = shop.refund(one, "1.00")
    shop.clock.advance(seconds=1)
    second, third = shop.refund(one, "2.00"), shop.refund(one, "3.00")
    assert [r["id"] for r in shop.show_order(one)["refunds"]] == [second, third, first]
    assert [r["id"] for r in shop.show_refunds(one)] == [third, second, first]


def test_a_deleted_refund_leaves_no_trace_but_its_absence(shop: Shop, api: API, fire: int) -> None:
    one = shop.place_order([(fire, 2)], **ANNA)
    refund = shop.refund(one, lines={lines_of(shop, one)[0]: 2})
    before = shop.show_order(one)
    shop.clock.advance(minutes=5)
    waiting = shop.hooks.waiting()
    assert api.delete(f"orders/{one}/refunds/{refund}").status_code == 501
    assert api.delete(f"orders/{one}/refunds/{refund}", params={"force": True}).status_code == 200
    after = shop.show_order(one)
    assert after["refunds"] == [] and after["date_modified_gmt"] == before["date_modified_gmt"]
    assert after["status"] == "refunded" and shop.hooks.waiting() == waiting
    assert api.get(f"orders/{one}/refunds/{refund}").status_code == 404


# --- orders and their lines -------------------------------------------------------------------------------


def test_a_line_carries_what_the_shopper_wrote_and_an_order_too(shop: Shop, api: API, fire: int) -> None:
    gift = {"product_id": fire, "quantity": 1, "meta": {"gift_email": "bo@guest.test"}}
    one = shop.place_order([gift, (fire, 2)], customer_note="Please hurry", meta={"_po": "42"}, currency="USD", **ANNA)
    order = api.get(f"orders/{one}").json()
    assert [meta(line) for line in order["line_items"]] == [{"gift_email": "bo@guest.test"}, {}]
    assert (order["customer_note"], meta(order)["_po"]) == ("Please hurry", "42")
    assert (order["currency"], order["currency_symbol"]) == ("USD", "$")


@pytest.mark.parametrize(
    ("payment", "method", "status", "paid"),
    [
        ("card", "stripe", "processing", True),
        ("authorised", "stripe", "on-hold", False),
        ("sepa", "stripe_sepa_debit", "on-hold", False),
        ("bacs", "bacs", "on-hold", False),
        ("cheque", "cheque", "on-hold", False),
        ("cod", "cod", "processing", False),
    ],
)
def test_each_way_to_pay_leaves_its_marks(
    shop: Shop, fire: int, payment: str, method: str, status: str, paid: bool
) -> None:
    order = shop.orders[shop.place_order([(fire, 1)], payment=payment, **ANNA)]
    assert (order["payment_method"], order["status"], bool(order["date_paid"])) == (method, status, paid)
    by_stripe = method.startswith("stripe")
    assert bool(order["transaction_id"]) == by_stripe == ("_stripe_intent_id" in meta(order))
    if status == "on-hold":
        shop.pay_order(order["id"])
        assert order["status"] == "processing" and order["date_paid"] and order["payment_method"] == method


def test_another_gateway_goes_as_the_card_does(shop: Shop, fire: int) -> None:
    order = shop.orders[shop.place_order([(fire, 1)], method=("ppcp-gateway", "PayPal"), **ANNA)]
    assert (order["payment_method"], order["payment_method_title"]) == ("ppcp-gateway", "PayPal")
    assert order["date_paid"] and "_stripe_intent_id" not in meta(order)


def test_after_payment_lines_are_added_changed_and_removed(shop: Shop, api: API, fire: int, excel: int) -> None:
    one = shop.place_order([(fire, 2)], **ANNA)
    added = shop.add_line(one, (excel, 3))
    order = api.get(f"orders/{one}").json()
    assert [line["quantity"] for line in order["line_items"]] == [2, 3] and order["total"] == "170.00"
    shop.edit_line(one, added, 1)
    shop.remove_line(one, order["line_items"][0]["id"])
    assert [(line["id"], line["quantity"]) for line in shop.show_order(one)["line_items"]] == [(added, 1)]


# --- bundles ----------------------------------------------------------------------------------------------


def test_a_bundle_has_a_parent_with_the_price_and_children_that_know_it(
    shop: Shop, api: API, fire: int, excel: int
) -> None:
    bundle = shop.add_bundle("Starter", [fire, (excel, 2)], price="70.00", sku="STARTER")
    one = shop.place_order([(bundle, 3), (fire, 1)], **ANNA)
    parent, first, second, alone = api.get(f"orders/{one}").json()["line_items"]
    assert [line["quantity"] for line in (parent, first, second, alone)] == [3, 3, 6, 1]
    assert [line["total"] for line in (parent, first, second, alone)] == ["210.00", "0.00", "0.00", "25.00"]
    assert parent["bundled_items"] == [first["id"], second["id"]] and parent["bundled_by"] == ""
    assert first["bundled_by"] == second["bundled_by"] == parent["id"]
    assert (alone["bundled_by"], alone["bundled_items"], alone["bundled_item_title"]) == ("", [], "")
    assert [m["key"] for m in parent["meta_data"]] == MARKS
    assert [m["key"] for m in first["meta_data"]] == [*CHILD, "_bundled_item_needs_shipping"]
    keys = [meta(line)["_bundle_cart_key"] for line in (parent, first, second)]
    assert meta(parent)["_bundled_items"] == keys[1:] and meta(second)["_bundled_by"] == keys[0]
    assert meta(parent)["_stamp"]["2"]["product_id"] == excel and meta(second)["_bundled_item_id"] == "2"


def test_of_a_bundle_children_are_given_back_with_or_without_their_parent(shop: Shop, fire: int, excel: int) -> None:
    one = shop.place_order([(shop.add_bundle("Starter", [fire, (excel, 2)], price="70.00"), 3)], **ANNA)
    parent, first, second = lines_of(shop, one)
    shop.refund(one, lines={parent: 1, first: 1, second: 2})
    shop.refund(one, lines={second: (1, "5.00")})
    told = [[(line["quantity"], line["total"]) for line in r["line_items"]] for r in shop.show_refunds(one)]
    assert told == [[(-1, "-5.00")], [(-1, "-70.00"), (-1, "0.00"), (-2, "0.00")]]


def test_a_bundle_may_be_priced_by_its_children(shop: Shop, api: API, fire: int, excel: int) -> None:
    bundle = shop.add_bundle("Set", [fire, (excel, 2)], priced_individually=True)
    product = api.get(f"products/{bundle}").json()
    assert (product["type"], product["price"]) == ("bundle", "105.00")
    assert [item["product_id"] for item in product["bundled_items"]] == [fire, excel]
    assert api.get(f"products/{fire}").json()["bundled_by"] == [bundle]
    order = shop.orders[shop.place_order([(bundle, 1)], **ANNA)]
    assert [line["total"] for line in order["line_items"]] == ["0.00", "25.00", "80.00"]
    assert meta(order["line_items"][1])["_bundled_item_priced_individually"] == "yes"


def test_by_rest_a_bundle_has_children_only_if_it_is_configured(shop: Shop, api: API, fire: int, excel: int) -> None:
    bundle = shop.add_bundle("Starter", [fire, excel], price="50.00")
    plain = {"product_id": bundle, "quantity": 1}
    given = {"line_items": [plain, {**plain, "bundle_configuration": [{"bundled_item_id": 1, "quantity": 1}]}]}
    lines = api.post("orders", given).json()["line_items"]
    assert [line["product_id"] for line in lines] == [bundle, bundle, fire, excel]
    assert [len(line["bundled_items"]) for line in lines] == [0, 2, 0, 0]


def test_without_the_extension_nothing_speaks_of_bundles(shop: Shop, api: API, fire: int) -> None:
    one = shop.place_order([(fire, 1)], **ANNA)
    assert "bundled_by" not in api.get(f"orders/{one}").json()["line_items"][0]
    assert "bundled_items" not in api.get(f"products/{fire}").json()
    refused = api.post("products", {"name": "B", "type": "bundle"})
    assert (refused.status_code, refused.json()["code"]) == (400, "rest_invalid_param")


def test_a_subscription_to_a_bundle_renews_with_its_children() -> None:
    shop = Shop(subscriptions=True)
    fire = shop.add_product("Fire safety", price="25.00")
    bundle = shop.add_bundle("Starter", [fire], price="50.00")
    one = shop.subscribe(shop.place_order([(bundle, 2)], **ANNA))
    parent, child = shop.show_order(shop.renew(one))["line_items"]
    assert child["bundled_by"] == parent["id"] and (child["quantity"], parent["total"]) == (2, "100.00")
    held = shop.show_subscription(one)["line_items"]
    assert held[1]["bundled_by"] == held[0]["id"] != parent["id"]


# --- metadata of products ---------------------------------------------------------------------------------


def test_the_metadata_of_products_and_variations_are_read_by_many_at_once(shop: Shop, api: API, fire: int) -> None:
    variable = shop.add_product("Project", type="variable", meta_data=[{"key": "_seats", "value": 3}])
    spring = shop.add_variation(variable, price="80", attributes=[("Session", "Spring")])
    body = {"meta_data": [{"key": "_totara_course_id", "value": 7}]}
    assert api.put(f"products/{variable}/variations/{spring}", body).status_code == 200
    params = {"include": f"{variable},{fire}", "_fields": "id,meta_data,type"}
    found = {row["id"]: row for row in api.get("products", params=params).json()}
    assert found.keys() == {variable, fire} and found[fire]["meta_data"] == []
    assert meta(found[variable]) == {"_seats": "3"} and set(found[variable]) == {"id", "meta_data", "type"}
    rows = api.get(f"products/{variable}/variations", params={"_fields": "id,meta_data"}).json()
    assert [meta(row) for row in rows] == [{"_totara_course_id": "7"}]


# --- the pages --------------------------------------------------------------------------------------------


def test_the_staff_gives_back_lines_sums_and_everything_on_a_page(shop: Shop, fire: int, excel: int) -> None:
    web = shop.app.test_client()
    one = shop.place_order([(fire, 5), (excel, 1)], **ANNA)
    first, second = lines_of(shop, one)

    def refund(**form: Any) -> int:
        return web.post(f"/staff/orders/{one}/refund", data=form).status_code

    assert refund(what="line", line=first, quantity=2) == refund(what="amount", amount="5.00") == 303
    assert [refund(what="amount", amount=sum) for sum in ("", "9000")] == [400, 400]
    page = web.get(f"/staff/orders/{one}").text
    assert "money only" in page and "2 × Fire safety" in page and f"refunds/{shop.refunds[one][0]['id']}/delete" in page
    assert refund(what="all") == 303 and shop.orders[one]["status"] == "refunded"
    told = [line["quantity"] for line in shop.refunds[one][0]["line_items"]]
    assert told == [-3, -1] and shop.refunds[one][0]["amount"] == "110.00"
    web.post(f"/staff/orders/{one}/refunds/{shop.refunds[one][0]['id']}/delete")
    web.post(f"/staff/orders/{one}/lines/{first}", data={"quantity": 4})
    web.post(f"/staff/orders/{one}/lines/{second}", data={"quantity": 0})
    assert len(shop.refunds[one]) == 2
    assert [(line["id"], line["quantity"]) for line in shop.orders[one]["line_items"]] == [(first, 4)]
    assert web.get("/staff/orders/999").status_code == 404
    assert web.post("/staff/orders/999/refund", data={"what": "all"}).status_code == 404


def test_the_staff_works_on_subscriptions_on_a_page() -> None:
    shop = Shop(subscriptions=True)
    web = shop.app.test_client()
    course = shop.add_product("Course", price="10.00")
    plan = shop.add_plan(course, period="year")
    page = web.get(f"/product/{course}").text
    assert plan in page and "Every year" in page
    form = {"product": course, "quantity": 3, "plan": plan, "email": "nia@guest.test", "payment": "card"}
    assert web.post("/buy", data=form).status_code == 303
    assert web.post("/buy", data={**form, "plan": "another"}).status_code == 400
    [one] = shop.subscriptions
    assert shop.subscriptions[one]["line_items"][0]["quantity"] == 3
    statuses = []
    for action in ("fail", "pay", "renew", "hold", "activate", "cancel", "end", "again", "renew"):
        assert web.post(f"/staff/subscriptions/{one}/{action}").status_code == 303
        statuses.append(shop.subscriptions[one]["status"])
    kept = ["on-hold", "active", "active", "on-hold", "active", "pending-cancel", "cancelled", "cancelled", "cancelled"]
    assert statuses == kept and len(shop.related(one)["renewal"]) == 2 and len(shop.subscriptions) == 2
    page = web.get("/staff/subscriptions").text
    assert "Cancelled" in page and "every year" in page
    assert web.post(f"/staff/subscriptions/{one}/explode").status_code == 404
    assert Shop().app.test_client().get("/staff/subscriptions").status_code == 404


def test_whoever_is_signed_in_buys_with_their_account_and_types_nothing_again(shop: Shop, fire: int) -> None:
    web = shop.app.test_client()
    assert "selected" not in web.get(f"/product/{fire}").text
    form = {"product": fire, "quantity": 2, "payment": "card", "account": "yes", **ANNA}
    web.post("/buy", data=form)
    page = web.get(f"/product/{fire}").text
    for told in ("Anna", "Ash", "anna@guest.test"):
        assert f'value="{told}"' in page, told
    assert '<option value="yes" selected>' in page


def test_the_page_of_an_order_shows_notes_as_the_staffs_own_page_does(shop: Shop, api: API, fire: int) -> None:
    """WooCommerce shows a note as HTML, without what could do harm in it."""
    one = shop.place_order([(fire, 1)], **ANNA)
    api.post(f"orders/{one}/notes", {"note": "access to “Valuation &amp; origin” <script>alert(1)</script>"})
    page = shop.app.test_client().get(f"/order/{one}").text
    assert "access to “Valuation &amp; origin”" in page
    assert "&amp;amp;" not in page and "alert(1)" not in page
