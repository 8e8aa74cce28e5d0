"""The embedded shop's REST routes for subscriptions. A shop without the plugin has none of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import request

from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_rest import (
    Answer,
    body_of,
    by_date,
    by_id,
    check_choice,
    ids_arg,
    in_order,
    invalid,
    is_true,
    list_arg,
    no_route,
    one_arg,
    one_page,
)
from bridge.sandbox.shop_shapes import Json
from bridge.sandbox.shop_shapes_subscriptions import STATUSES
from bridge.sandbox.shop_world import WpError

# Written without _gmt, in UTC all the same.
DATES = {
    "start_date": "start_date_gmt",
    "trial_end_date": "trial_end_date_gmt",
    "next_payment_date": "next_payment_date_gmt",
    "cancelled_date": "cancelled_date_gmt",
    "end_date": "end_date_gmt",
}
PERIODS = ("day", "week", "month", "year")


def _there(shop: Shop) -> None:
    if not shop.has_subscriptions:
        no_route(shop)


def list_subscriptions(shop: Shop) -> Answer:
    """Every subscription but the binned."""
    _there(shop)
    wanted = list_arg("status") or ["any"]
    check_choice("status", wanted, ["any", "trash", *STATUSES])
    with shop.lock:
        items = by_id(by_date(shop, list(shop.subscriptions.values())))
        if wanted == ["any"]:
            items = [item for item in items if item["status"] != "trash"]
        else:
            items = [item for item in items if item["status"] in wanted]
        if customer := one_arg("customer"):
            items = [item for item in items if str(item["customer_id"]) == customer]
        if product := one_arg("product"):
            items = [i for i in items if any(str(line["product_id"]) == product for line in i["line_items"])]
        if parent := ids_arg("parent"):
            items = [item for item in items if item["parent_id"] in parent]
        return one_page(in_order(items), shop.show_subscription, none_past_end=True)


def list_statuses(shop: Shop) -> Answer:
    """The statuses by the names the database has for them."""
    _there(shop)
    return Answer({f"wc-{status}": name for status, name in STATUSES.items()})


def get_subscription(shop: Shop, one: int) -> Answer:
    """One subscription."""
    _there(shop)
    return Answer(shop.show_subscription(one))


def list_of_order(shop: Shop, one: int) -> Answer:
    """The subscriptions an order began, renews, switches or follows: the order does not say that it is one of
    a subscription. Not by the page.
    """
    _there(shop)
    shown = [shop.show_subscription(found) for found in shop.subscriptions_of(one)]
    return Answer(shown, 200, {"X-WP-Total": str(len(shown)), "X-WP-TotalPages": "1"})


def list_orders_of(shop: Shop, one: int) -> Answer:
    """The orders of a subscription: its first, the renewals, the switches. Not by the page."""
    _there(shop)
    if one not in shop.subscriptions:
        raise WpError("woocommerce_rest_invalid_shop_subscription_id", "Invalid subscription ID.", 404)
    shown = shop.show_orders_of(one)
    return Answer(shown, 200, {"X-WP-Total": str(len(shown)), "X-WP-TotalPages": "1"})


def create_subscription(shop: Shop) -> Answer:
    """A new subscription: subscription.updated tells of it, subscription.created does not."""
    _there(shop)
    body = body_of()
    given = _checked(body)
    one = shop.create_subscription(body | given)
    return Answer(shop.show_subscription(one), 201, {"Location": f"{request.base_url}/{one}"})


def change_subscription(shop: Shop, one: int) -> Answer:
    """Change a subscription. ``transition_status`` goes by the rules of dates, ``status`` is just set."""
    _there(shop)
    body = body_of()
    given = _checked(body)
    shop.write_subscription(one, body | given)
    return Answer(shop.show_subscription(one))


def _checked(body: Json) -> Json:
    """The dates of a body, by the names they are kept under; they are taken with a blank, not with a T."""
    choices: dict[str, Any] = {"status": STATUSES, "transition_status": STATUSES, "billing_period": PERIODS}
    problems: dict[str, tuple[str, str]] = {}
    for name, allowed in choices.items():
        if name in body and body[name] not in allowed:
            text = f"{', '.join(list(allowed)[:-1])}, and {list(allowed)[-1]}"
            problems[name] = ("rest_not_in_enum", f"{name} is not one of {text}.")
    dates: Json = {}
    for name, column in DATES.items():
        if name not in body:
            continue
        text = str(body[name] or "")
        try:
            dates[column] = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").strftime("%Y-%m-%dT%H:%M:%S") if text else ""  # noqa: DTZ007 - UTC
        except ValueError:
            problems[name] = ("rest_invalid_date", "Invalid date.")
    if problems:
        raise invalid(problems)
    return {"dates": dates}


def delete_subscription(shop: Shop, one: int) -> Answer:
    """Into the bin, or with ``force`` for ever; either way subscription.deleted tells of it."""
    _there(shop)
    before = shop.show_subscription(one)
    if is_true("force"):
        shop.delete_subscription(one)
        return Answer(before)
    if before["status"] == "trash":
        raise WpError("woocommerce_rest_already_trashed", "The shop_subscription has already been deleted.", 410)
    shop.trash_subscription(one)
    return Answer(shop.show_subscription(one))
