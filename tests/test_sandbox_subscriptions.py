"""Subscriptions in the embedded shop: their dates, their orders, their changes, and what the wire tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from woocommerce import API

from bridge.sandbox.clock import Clock
from bridge.sandbox.server import Served
from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_plans import add_periods

START = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
NIA: dict[str, Any] = {"email": "nia@guest.test", "first_name": "Nia", "last_name": "Noon"}


@pytest.fixture
def shop() -> Shop:
    return Shop(now=Clock(START, frozen=True), subscriptions=True)


@pytest.fixture
def api(shop: Shop) -> Iterator[API]:
    with Served(shop.app) as served:
        yield API(served.url, "ck_sandbox", "cs_sandbox")


def begun(shop: Shop, *, quantity: int = 1, payment: str = "card", **fields: Any) -> int:
    """A subscription to a product of its own."""
    product = shop.add_product(f"Pass {len(shop.products)}", type="subscription", price="15.00", **fields)
    shop.place_order([(product, quantity)], payment=payment, **NIA)
    return max(shop.subscriptions)


def meta(thing: dict[str, Any]) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in thing["meta_data"]}


def test_months_end_on_the_last_day_that_there_is() -> None:
    def later(period: str, count: int) -> str:
        start = datetime(2027, 1, 31, 8, tzinfo=UTC).timestamp()
        return datetime.fromtimestamp(add_periods(start, period, count), UTC).strftime("%Y-%m-%d %H")

    assert [later("month", n) for n in (1, 2, 12)] == ["2027-02-28 08", "2027-03-31 08", "2028-01-31 08"]
    assert (later("year", 1), later("week", 2), later("day", 3)) == ("2028-01-31 08", "2027-02-14 08", "2027-02-03 08")


def test_a_clock_stands_or_runs_and_goes_where_it_is_told() -> None:
    clock = Clock(START, frozen=True)
    clock.advance(days=1, hours=2)
    assert clock() == START.timestamp() + 26 * 3600
    clock.set(START)
    assert clock() == START.timestamp()
    running = Clock(START)
    assert START.timestamp() <= running() <= START.timestamp() + 60
    with pytest.raises(ValueError, match="time zone"):
        clock.set(datetime(2027, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(TypeError):
        _ = Shop(now=lambda: 0.0).clock


def test_a_trial_a_fee_and_an_end_are_in_the_dates_and_in_the_first_order(shop: Shop) -> None:
    one = begun(shop, quantity=2, interval=1, length=6, trial=2, trial_period="week", fee="5.00")
    found = shop.show_subscription(one)
    assert shop.orders[found["parent_id"]]["total"] == "10.00" and found["total"] == "30.00"
    assert found["trial_end_date_gmt"] == found["next_payment_date_gmt"] == "2026-12-14T12:00:00"
    assert found["end_date_gmt"] == "2027-06-14T12:00:00"
    assert (found["trial_period"], found["line_items"][0]["quantity"]) == ("week", 2)


def test_as_time_goes_by_a_subscription_renews_and_comes_to_its_end(shop: Shop) -> None:
    one = begun(shop, length=2)
    assert shop.run_schedule() == []
    shop.clock.advance(days=31)
    assert shop.run_schedule() == [one]
    assert shop.subscriptions[one]["status"] == "active" and len(shop.related(one)["renewal"]) == 1
    assert shop.subscriptions[one]["next_payment_date_gmt"] == ""  # it would be after the end
    assert shop.run_schedule() == []
    shop.clock.advance(days=31)
    assert shop.run_schedule() == [one]
    assert shop.subscriptions[one]["status"] == "expired"


def test_a_declined_renewal_is_paid_later_and_the_next_counts_from_there(shop: Shop) -> None:
    one = begun(shop, quantity=3)
    shop.clock.advance(days=30)
    assert shop.run_schedule("declined") == [one]
    [order] = shop.related(one)["renewal"]
    assert (shop.subscriptions[one]["status"], shop.orders[order]["status"]) == ("on-hold", "failed")
    assert shop.run_schedule() == []
    shop.clock.advance(days=5)
    shop.pay_order(order)
    assert shop.subscriptions[one]["status"] == "active"
    assert shop.subscriptions[one]["next_payment_date_gmt"] == "2027-01-30T12:00:00"
    assert shop.orders[order]["line_items"][0]["quantity"] == 3
    assert meta(shop.orders[order])["_subscription_renewal"] == str(one)


def test_whoever_cancels_keeps_what_is_paid_for(shop: Shop) -> None:
    one = begun(shop)
    shop.cancel_subscription(one)
    found = shop.subscriptions[one]
    assert (found["status"], found["end_date_gmt"]) == ("pending-cancel", "2026-12-30T12:00:00")
    shop.change_subscription(one, "active")
    assert (found["next_payment_date_gmt"], found["end_date_gmt"]) == ("2026-12-30T12:00:00", "")
    shop.cancel_subscription(one)
    shop.clock.advance(days=31)
    assert shop.run_schedule() == [one] and found["status"] == "cancelled"
    other = begun(shop)
    shop.cancel_subscription(other)
    shop.cancel_subscription(other)
    assert shop.subscriptions[other]["status"] == "cancelled"


def test_an_early_renewal_puts_the_next_payment_off_or_does_not_come_to_pass(shop: Shop) -> None:
    one = begun(shop)
    order = shop.renew(one, early=True)
    assert meta(shop.orders[order])["_subscription_renewal_early"] == str(one)
    assert shop.subscriptions[one]["next_payment_date_gmt"] == "2027-01-30T12:00:00"
    assert shop.renew(one, "declined", early=True) not in shop.orders
    assert shop.subscriptions[one]["status"] == "active"


@pytest.mark.parametrize(
    ("status", "then"),
    [("cancelled", "pending-cancel"), ("on-hold", "on-hold"), ("refunded", "active"), ("completed", "active")],
)
def test_a_subscription_follows_its_first_order(shop: Shop, status: str, then: str) -> None:
    one = begun(shop)
    shop.set_status(shop.subscriptions[one]["parent_id"], status)
    assert shop.subscriptions[one]["status"] == then


def test_a_refund_of_the_last_order_ends_what_was_cancelled_already(shop: Shop) -> None:
    one = begun(shop)
    shop.cancel_subscription(one)
    shop.refund(shop.subscriptions[one]["parent_id"], "15.00")
    assert shop.subscriptions[one]["status"] == "cancelled"


def test_a_declined_first_payment_holds_the_subscription_until_it_is_made(shop: Shop) -> None:
    one = begun(shop, payment="declined")
    assert shop.subscriptions[one]["status"] == "on-hold"
    shop.pay_order(shop.subscriptions[one]["parent_id"])
    assert shop.subscriptions[one]["status"] == "active"


def test_with_its_first_order_a_subscription_is_binned(shop: Shop, api: API) -> None:
    one = begun(shop)
    shop.trash_order(shop.subscriptions[one]["parent_id"])
    assert api.get(f"subscriptions/{one}").json()["status"] == "trash"
    assert api.get("subscriptions").json() == []
    assert [s["id"] for s in api.get("subscriptions", params={"status": "trash"}).json()] == [one]


def test_one_order_begins_a_subscription_for_each_rhythm_and_recipient(shop: Shop) -> None:
    friend = shop.add_customer("friend@guest.test")
    monthly, more = (shop.add_product(f"M{n}", type="subscription", price="10.00") for n in (1, 2))
    yearly = shop.add_product("Y", type="subscription", price="90.00", period="year")
    course = shop.add_product("Course", price="20.00")
    gift = {"product_id": monthly, "quantity": 1, "recipient": friend}
    order = shop.place_order([(monthly, 1), (more, 2), (yearly, 1), (course, 1), gift], **NIA)
    found = [shop.show_subscription(one) for one in shop.subscriptions_of(order)]
    held = [([line["product_id"] for line in s["line_items"]], meta(s).get("_recipient_user")) for s in found]
    assert held == [([monthly, more], None), ([yearly], None), ([monthly], str(friend))]
    assert meta(found[2]["line_items"][0])["wcsg_recipient"] == f"wcsg_recipient_id_{friend}"
    assert {s["status"] for s in found} == {"active"} and shop.orders[order]["total"] == "150.00"
    own = {line["id"] for s in found for line in s["line_items"]}
    assert not own & {line["id"] for line in shop.orders[order]["line_items"]}


def test_an_order_without_such_products_begins_one_by_hand(shop: Shop) -> None:
    course = shop.add_product("Course", price="20.00")
    order = shop.place_order([(course, 2), (course, 3)], **NIA)
    assert not shop.subscriptions
    second = shop.orders[order]["line_items"][1]["id"]
    one = shop.subscribe(order, lines=[second], period="year", length=1)
    found = shop.show_subscription(one)
    assert (found["status"], found["billing_period"], found["line_items"][0]["quantity"]) == ("active", "year", 3)
    assert (found["next_payment_date_gmt"], found["end_date_gmt"]) == ("", "2027-11-30T12:00:00")


def test_without_the_plugin_nothing_begins() -> None:
    shop = Shop()
    begun_with = shop.add_product("Pass", type="subscription", price="15.00")
    shop.place_order([(begun_with, 1)], **NIA)
    assert not shop.subscriptions and not shop.customers


def test_a_switch_that_costs_something_waits_for_its_payment(shop: Shop, api: API) -> None:
    one = begun(shop)
    better = shop.add_product("Better", type="subscription", price="40.00", period="year")
    old = shop.subscriptions[one]["line_items"][0]["id"]
    order = shop.switch(one, old, better, quantity=4, charge="25.00", payment="declined", period="year")
    assert shop.subscriptions[one]["line_items"][0]["id"] == old
    shop.pay_order(order)
    found = api.get(f"subscriptions/{one}").json()
    [line] = found["line_items"]
    assert (line["product_id"], line["quantity"], found["total"], found["billing_period"]) == (
        better,
        4,
        "160.00",
        "year",
    )
    assert found["next_payment_date_gmt"] == "2027-11-30T12:00:00"
    kinds = {o["id"]: o["order_type"] for o in api.get(f"subscriptions/{one}/orders").json()}
    assert kinds == {found["parent_id"]: "parent_order", order: "switch_order"}
    assert [s["id"] for s in api.get(f"orders/{order}/subscriptions").json()] == [one]
    assert meta(shop.orders[order])["_subscription_switch"] == str(one)
    assert shop.orders[order]["total"] == "25.00" and list(shop.subscriptions) == [one]


def test_who_subscribes_again_has_another_subscription_and_both_know_it(shop: Shop, api: API) -> None:
    one = begun(shop, quantity=2)
    shop.change_subscription(one, "expired")
    order, new = shop.resubscribe(one)
    before, after = (api.get(f"subscriptions/{n}").json() for n in (one, new))
    assert (before["resubscribed_subscription"], after["resubscribed_from"]) == (str(new), str(one))
    assert (before["status"], after["status"], after["parent_id"]) == ("expired", "active", order)
    assert after["line_items"][0]["quantity"] == 2 and meta(after)["_subscription_resubscribe"] == str(one)
    assert [s["id"] for s in api.get(f"orders/{order}/subscriptions").json()] == [new, one]
    assert not after["requires_manual_renewal"]


def test_the_staff_changes_lines_and_the_next_renewal_has_them(shop: Shop, api: API) -> None:
    one = begun(shop)
    [line] = shop.subscriptions[one]["line_items"]
    shop.edit_subscription_line(one, line["id"], 5)
    assert (shop.subscriptions[one]["total"], line["quantity"]) == ("15.00", 5)
    shop.edit_subscription_line(one, line["id"], 5, "75.00")
    course = shop.add_product("Course", price="20.00")
    added = shop.add_subscription_line(one, (course, 2))
    renewal = shop.orders[shop.renew(one)]
    assert [entry["quantity"] for entry in renewal["line_items"]] == [5, 2] and renewal["total"] == "115.00"
    shop.remove_subscription_line(one, added, by_customer=True)
    found = api.get(f"subscriptions/{one}").json()
    assert [entry["id"] for entry in found["removed_line_items"]] == [added] and found["total"] == "75.00"
    body = {"line_items": [{"id": line["id"], "quantity": 7}]}
    assert api.put(f"subscriptions/{one}", body).json()["line_items"][0]["quantity"] == 7


def test_a_list_of_subscriptions_is_narrowed_down(shop: Shop, api: API) -> None:
    ids = [begun(shop, payment="bacs") for _ in range(3)]
    shop.clock.advance(minutes=5)
    shop.change_subscription(ids[1], "active")
    buyer = shop.subscriptions[ids[2]]["customer_id"]

    def found(**params: Any) -> list[int]:
        return [one["id"] for one in api.get("subscriptions", params=params).json()]

    assert found() == ids[::-1]
    assert found(status="active") == [ids[1]] and found(status="active,pending", order="asc") == ids
    assert found(customer=buyer) == [ids[2]]
    assert found(modified_after="2026-11-30T12:01:00", dates_are_gmt="true") == [ids[1]]
    assert found(include=f"{ids[0]},{ids[2]}", orderby="include") == [ids[0], ids[2]]
    assert found(parent=shop.subscriptions[ids[0]]["parent_id"]) == [ids[0]]
    pages = [api.get("subscriptions", params={"per_page": 2, "page": n}) for n in (1, 2, 3)]
    assert [len(page.json()) for page in pages] == [2, 1, 0] and pages[0].headers["X-WP-TotalPages"] == "2"
    assert api.get("subscriptions", params={"status": "gone"}).status_code == 400
    changed = api.put(f"subscriptions/{ids[0]}", {"transition_status": "cancelled"}).json()
    assert (changed["status"], changed["cancelled_date_gmt"]) == ("cancelled", "2026-11-30T12:05:00")
    assert api.put(f"subscriptions/{ids[2]}", {"status": "cancelled"}).json()["cancelled_date_gmt"] == ""


@pytest.mark.parametrize(
    "path",
    ["subscriptions", "subscriptions/7", "subscriptions/7/orders", "orders/7/subscriptions", "subscriptions/statuses"],
)
def test_without_the_plugin_there_are_no_routes(shop: Shop, api: API, path: str) -> None:
    shop.has_subscriptions = False
    answer = api.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "rest_no_route")


def test_the_orders_of_no_subscription(api: API) -> None:
    answer = api.get("subscriptions/999/orders")
    assert (answer.status_code, answer.json()["code"]) == (404, "woocommerce_rest_invalid_shop_subscription_id")


def test_a_delivery_about_a_subscription_may_be_hollow(shop: Shop) -> None:
    one = begun(shop)
    shop.hollow.add(one)
    with Served(lambda environ, start: (start("200 OK", []), [b""])[1]) as receiver:
        shop.add_webhook("subscription.updated", receiver.url)
        for _ in range(2):
            shop.change_subscription(one)
            shop.deliver()
    assert [delivery["body"][:2] for delivery in shop.deliveries] == [b"[]", b'{"']
