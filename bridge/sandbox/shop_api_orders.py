"""The embedded shop's REST routes for orders, customers and webhooks."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from functools import partial

from flask import request

from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_hooks import valid_topic
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
    one_arg,
    one_page,
    require,
)
from bridge.sandbox.shop_shapes import Json, links, words
from bridge.sandbox.shop_world import WpError

STATUSES = words("auto-draft pending processing on-hold completed cancelled refunded failed checkout-draft")
ANY_ORDER = [status for status in STATUSES if status not in ("auto-draft", "checkout-draft")]

# --- orders -----------------------------------------------------------------------------------------------


def list_orders(shop: Shop) -> Answer:
    """Without a status every order but the binned; ``any`` with another status finds nothing."""
    wanted = list_arg("status") or ["any"]
    check_choice("status", wanted, ["any", "trash", *STATUSES])
    if wanted == ["any"]:
        wanted = ANY_ORDER
    elif "any" in wanted:
        wanted = []
    with shop.lock:
        items = [order for order in shop.orders.values() if order["status"] in wanted]
        items = by_id(by_date(shop, items))
        if customer := one_arg("customer"):
            items = [order for order in items if str(order["customer_id"]) == customer]
        if product := one_arg("product"):
            items = [o for o in items if any(str(line["product_id"]) == product for line in o["line_items"])]
        if parent := ids_arg("parent"):
            items = [order for order in items if order["parent_id"] in parent]
        if search := one_arg("search").lower():
            items = [order for order in items if _order_matches(order, search)]
        return one_page(in_order(items), shop.show_order, none_past_end=True)


def _order_matches(order: Json, search: str) -> bool:
    texts = [str(order["id"]), *order["billing"].values(), *(line["name"] for line in order["line_items"])]
    return any(search in text.lower() for text in texts)


def get_order(shop: Shop, one: int) -> Answer:
    """One order. A subscription's number is answered too, with the subscription as if it were an order."""
    if one in shop.subscriptions:
        return Answer(shop.show_subscription_as_order(one))
    return Answer(shop.show_order(one))


def create_order(shop: Shop) -> Answer:
    """A new order."""
    body = body_of()
    _check_order(body)
    one = shop.create_order(body)
    return Answer(shop.show_order(one), 201, {"Location": f"{request.base_url}/{one}"})


def change_order(shop: Shop, one: int) -> Answer:
    """Change an order; changing nothing counts as a change."""
    body = body_of()
    _check_order(body)
    shop.change_order(one, body)
    return Answer(shop.show_order(one))


def _check_order(body: Json) -> None:
    if "status" in body and body["status"] not in STATUSES:
        text = f"status is not one of {', '.join(STATUSES[:-1])}, and {STATUSES[-1]}."
        raise invalid({"status": ("rest_not_in_enum", text)})
    for name in ("meta_data", "line_items"):
        if not isinstance(body.get(name, []), list):
            raise invalid({name: ("rest_invalid_type", f"{name} is not of type array.")})


def delete_order(shop: Shop, one: int) -> Answer:
    """Into the bin, or with ``force`` for ever."""
    before = shop.show_order(one)
    if is_true("force"):
        shop.delete_order(one)
        return Answer(before)
    if before["status"] == "trash":
        text = "The shop_order has already been deleted."
        raise WpError("woocommerce_rest_already_trashed", text, 410)
    shop.trash_order(one)
    return Answer(shop.show_order(one))


def list_notes(shop: Shop, one: int) -> Answer:
    """The notes of an order, without paging."""
    kinds = {"customer": (True,), "internal": (False,)}.get(one_arg("type"), (True, False))
    return Answer([note for note in shop.show_notes(one) if note["customer_note"] in kinds])


def create_note(shop: Shop, one: int) -> Answer:
    """A note; the order counts as unchanged and nothing is told."""
    body = body_of()
    require(body, "note")
    author = "admin" if body.get("added_by_user") else "WooCommerce"
    shop.add_note(one, str(body["note"]), author=author, to_customer=bool(body.get("customer_note")))
    return Answer(shop.show_notes(one)[-1], 201)


def list_refunds(shop: Shop, one: int) -> Answer:
    """The refunds of an order: quantities are negative here, and lines without them are about money only."""
    refunds = {refund["id"]: refund for refund in shop.show_refunds(one)}
    return one_page(list(refunds.values()), refunds.__getitem__)


def get_refund(shop: Shop, parent: int, one: int) -> Answer:
    """One refund."""
    for refund in shop.show_refunds(parent):
        if refund["id"] == one:
            return Answer(refund)
    raise WpError("woocommerce_rest_shop_order_refund_invalid_id", "Invalid ID.", 404)


def create_refund(shop: Shop, one: int) -> Answer:
    """A refund, of an amount or of lines; a line may give money back without a seat."""
    body = body_of()
    lines: dict[int, tuple[int, str]] = {}
    for line in body.get("line_items") or ():
        quantity, cost = int(line.get("quantity", 0)), str(line.get("refund_total") or "")
        if quantity or cost:
            lines[int(line["id"])] = quantity, cost
    amount, reason = str(body.get("amount", "")), str(body.get("reason", ""))
    made = shop.refund(one, amount, lines, reason, by_gateway=False)
    return Answer(next(refund for refund in shop.show_refunds(one) if refund["id"] == made), 201)


def delete_refund(shop: Shop, parent: int, one: int) -> Answer:
    """Refunds have no bin. Nothing is told, and the order counts as unchanged."""
    before = get_refund(shop, parent, one)
    if not is_true("force"):
        text = "The shop_order_refund does not support trashing."
        raise WpError("woocommerce_rest_trash_not_supported", text, 501)
    shop.delete_refund(parent, one)
    return before


# --- customers --------------------------------------------------------------------------------------------


def list_customers(shop: Shop) -> Answer:
    """The customers by registration."""
    items = by_id(list(shop.customers.values()))
    if email := one_arg("email").lower():
        items = [item for item in items if item["email"].lower() == email]
    if search := one_arg("search").lower():
        items = [
            i for i in items if search in f"{i['email']} {i['username']} {i['first_name']} {i['last_name']}".lower()
        ]
    return one_page(sorted(items, key=lambda item: item["id"]), shop.show_customer)


def get_customer(shop: Shop, one: int) -> Answer:
    """One customer."""
    return Answer(shop.show_customer(one))


def create_customer(shop: Shop) -> Answer:
    """A new account."""
    body = body_of()
    require(body, "email")
    one = shop.add_customer(**{key: value for key, value in body.items() if key != "password"})
    return Answer(shop.show_customer(one), 201, {"Location": f"{request.base_url}/{one}"})


def change_customer(shop: Shop, one: int) -> Answer:
    """Change an account."""
    shop.change_customer(one, body_of())
    return Answer(shop.show_customer(one))


# --- webhooks ---------------------------------------------------------------------------------------------


def _show_webhook(shop: Shop, one: int) -> Json:
    if one not in shop.webhooks:
        raise WpError("woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.", 404)
    return shop.webhooks[one] | {"_links": links(shop.url, "webhooks", one)}


def list_webhooks(shop: Shop) -> Answer:
    """The webhooks. Neither a secret nor the count of failures is ever shown."""
    wanted = one_arg("status", "all")
    check_choice("status", [wanted], ["all", "active", "paused", "disabled"])
    items = [item for item in shop.webhooks.values() if wanted in ("all", item["status"])]
    return one_page(in_order(items), partial(_show_webhook, shop))


def get_webhook(shop: Shop, one: int) -> Answer:
    """One webhook."""
    return Answer(_show_webhook(shop, one))


def create_webhook(shop: Shop) -> Answer:
    """A new webhook; its receiver is pinged, and 201 is the answer whatever it says to that.

    The topic is checked in lower case but kept as it came, so "Order.Created" makes a dead webhook.
    """
    body = body_of()
    require(body, "topic", "delivery_url")
    _check_webhook(shop, body)
    name = datetime.fromtimestamp(shop.now(), UTC).strftime("Webhook created on %b %d, %Y @ %I:%M %p")
    one = shop.add_webhook(
        str(body["topic"]),
        str(body["delivery_url"]),
        str(body.get("secret") or secrets.token_urlsafe(37)),
        str(body.get("name") or name),
        str(body.get("status") or "active"),
    )
    return Answer(_show_webhook(shop, one), 201, {"Location": f"{request.base_url}/{one}"})


def change_webhook(shop: Shop, one: int) -> Answer:
    """Change a webhook. A new address is pinged; activating neither pings nor forgets earlier failures."""
    before = _show_webhook(shop, one)
    body = body_of()
    _check_webhook(shop, body)
    with shop.lock:
        webhook = shop.webhooks[one]
        for key in ("name", "status", "delivery_url"):
            webhook[key] = str(body.get(key, webhook[key]))
        if "topic" in body:
            shop.hooks.set_topic(one, str(body["topic"]))
        if body.get("secret"):
            shop.hooks.secrets[one] = str(body["secret"])
        shop.hooks.touch(one)
    if webhook["delivery_url"] != before["delivery_url"]:
        shop.hooks.ping(one)
    return Answer(_show_webhook(shop, one))


def _check_webhook(shop: Shop, body: Json) -> None:
    if "topic" in body and not valid_topic(str(body["topic"]).lower(), shop.has_subscriptions):
        text = "Webhook topic is required and must be valid."
        raise WpError("woocommerce_rest_shop_webhook_invalid_topic", text, 400)
    if "delivery_url" in body and not str(body["delivery_url"]).startswith(("http://", "https://")):
        text = "Webhook delivery URL must be a valid URL starting with http:// or https://."
        raise WpError("woocommerce_rest_shop_webhook_invalid_delivery_url", text, 400)
    if "status" in body:
        statuses = ["active", "paused", "disabled"]
        if body["status"] not in statuses:
            raise invalid({"status": ("rest_not_in_enum", "status is not one of active, paused, and disabled.")})


def delete_webhook(shop: Shop, one: int) -> Answer:
    """Webhooks have no bin."""
    before = _show_webhook(shop, one)
    if not is_true("force"):
        text = "Webhooks do not support being trashed."
        raise WpError("woocommerce_rest_trash_not_supported", text, 501)
    with shop.lock:
        shop.hooks.remove(one)
    return Answer(before)
