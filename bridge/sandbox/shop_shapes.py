"""The shapes of the embedded shop's answers: what WooCommerce's JSON looks like, without any state.

The order of the keys, empty strings where one expects null, numbers that are strings: all of it is as
recorded from a real shop, since a middleware meets it every day.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from hashlib import sha256
from typing import Any

Json = dict[str, Any]


def words(text: str) -> list[str]:
    """Names to list, without quoting each."""
    return text.split()


SYMBOLS = {
    "EUR": ("€", "&euro;"),
    "GBP": ("£", "&pound;"),
    "USD": ("$", "&#36;"),
    "CHF": ("CHF", "&#67;&#72;&#70;"),
}
EDITABLE = ["GET", "POST", "PUT", "PATCH", "DELETE"]
NAMES_OF_STATUSES = {
    "pending": "Pending payment",
    "processing": "Processing",
    "on-hold": "On hold",
    "completed": "Completed",
    "cancelled": "Cancelled",
    "refunded": "Refunded",
    "failed": "Failed",
    "checkout-draft": "Draft",
    "trash": "trash",
}


def php_json(value: Any) -> bytes:
    """JSON as PHP writes it: no spaces, slashes escaped, everything outside ASCII as \\uXXXX, 25.0 as 25."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode()


def money(value: Decimal | str | int | float) -> str:
    """Money of an order: a string with two decimals."""
    return str(Decimal(str(value or 0)).quantize(Decimal("0.01"), ROUND_HALF_UP))


def number(value: Decimal) -> int | float:
    """The ``price`` of a line, the one sum which is a JSON number."""
    return int(value) if value == value.to_integral_value() else float(value)


def decimal_text(value: Any) -> str:
    """A price as products keep it: not rounded, thousands commas lost, and "" (not for sale) for what is no
    number.
    """
    text = re.sub(r"[^0-9.\-]", "", str("" if value is None else value))
    try:
        Decimal(text)
    except InvalidOperation:
        return ""
    return text


def stamp(moment: float | None) -> str | None:
    """A moment as WooCommerce writes it: whole seconds, neither offset nor Z."""
    return None if moment is None else datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%S")


def dated(name: str, moment: float | None, offset: int) -> Json:
    """``date_NAME`` in shop time and ``date_NAME_gmt`` in UTC."""
    return {
        f"date_{name}": stamp(None if moment is None else moment + offset),
        f"date_{name}_gmt": stamp(moment),
    }


# --- meta_data --------------------------------------------------------------------------------------------


def meta_value(value: Any) -> Any:
    """A meta value as it reads back: 7 is "7", true "1", false "". Objects and lists survive."""
    if isinstance(value, bool):
        return "1" if value else ""
    return value if isinstance(value, dict | list) else str(value)


def entries(meta: Mapping[str, Any] | None) -> list[Json]:
    """Metadata as REST writes them, from a mapping."""
    return [{"key": key, "value": value} for key, value in (meta or {}).items()]


def merge_meta(meta: list[Json], given: Any, new_id: Callable[[], int], *, of_line: bool = False) -> None:
    """Write ``given`` into ``meta`` as WooCommerce does.

    An entry with a known id changes that one; otherwise its key is replaced, so that several entries of one
    key collapse to the last. null deletes. Keys which are not mentioned stay, so an empty list changes
    nothing.
    """
    for entry in given or ():
        by_id = [m for m in meta if entry.get("id") and m["id"] == entry["id"]]
        same = by_id or [m for m in meta if m["key"] == entry.get("key")]
        if entry.get("value") is None:
            meta[:] = [m for m in meta if m not in same]
            continue
        if not same:
            same = [{"id": new_id(), "key": str(entry.get("key", "")), "value": ""}]
            meta += same
        if entry.get("key"):
            same[0]["key"] = str(entry["key"])
        same[0]["value"] = meta_value(entry["value"])
        if of_line:
            same[0]["display_key"] = entry.get("display_key", same[0]["key"])
            same[0]["display_value"] = same[0]["value"]


# --- The things -------------------------------------------------------------------------------------------


def links(url: str, path: str, one: int, allow: Iterable[str] = EDITABLE, **more: str) -> Json:
    """``_links`` of one thing in the collection at ``path``; ``more`` are further relations."""
    base = f"{url}/wp-json/wc/v3"
    found: Json = {
        "self": [{"href": f"{base}/{path}/{one}", "targetHints": {"allow": list(allow)}}],
        "collection": [{"href": f"{base}/{path}"}],
    }
    if path in ("orders", "subscriptions"):
        found["email_templates"] = [{"embeddable": True, "href": f"{base}/{path}/{one}/actions/email_templates"}]
    return found | {relation: [{"href": f"{base}/{target}"}] for relation, target in more.items()}


def address(email: str | None = None, **fields: str) -> Json:
    """A billing address (with ``email``) or a shipping address (without)."""
    keys = words("first_name last_name company address_1 address_2 city state postcode country")
    found = {key: fields.get(key, "") for key in keys}
    if email is not None:
        found["email"] = email
    return found | {"phone": fields.get("phone", "")}


def new_order(one: int, moment: float, offset: int, currency: str) -> Json:
    """An order of nothing, pending."""
    created, modified = dated("created", moment, offset), dated("modified", moment, offset)
    zero = dict.fromkeys(
        words("discount_total discount_tax shipping_total shipping_tax cart_tax total total_tax"), "0.00"
    )
    return {
        "id": one,
        "parent_id": 0,
        "status": "pending",
        "currency": currency,
        "version": "11.0.1",
        "prices_include_tax": False,
        "date_created": created["date_created"],
        "date_modified": modified["date_modified"],
        **zero,
        "customer_id": 0,
        "order_key": "wc_order_" + sha256(f"order {one}".encode()).hexdigest()[:13],
        "billing": address(""),
        "shipping": address(),
        "payment_method": "",
        "payment_method_title": "",
        "transaction_id": "",
        "customer_ip_address": "",
        "customer_user_agent": "",
        "created_via": "rest-api",
        "customer_note": "",
        "date_completed": None,
        "date_paid": None,
        "cart_hash": "",
        "number": str(one),
        "meta_data": [],
        "line_items": [],
        "tax_lines": [],
        "shipping_lines": [],
        "fee_lines": [],
        "coupon_lines": [],
        "refunds": [],
        "payment_url": "",
        "is_editable": True,
        "needs_payment": True,
        "needs_processing": True,
        "date_created_gmt": created["date_created_gmt"],
        "date_modified_gmt": modified["date_modified_gmt"],
        "date_completed_gmt": None,
        "date_paid_gmt": None,
        "currency_symbol": SYMBOLS.get(currency, (currency, ""))[0],
    }


def new_line(one: int, name: str, quantity: int, subtotal: Decimal, total: Decimal) -> Json:
    """A line of an order or, with negative numbers, of a refund."""
    return {
        "id": one,
        "name": name,
        "product_id": 0,
        "variation_id": 0,
        "quantity": quantity,
        "tax_class": "",
        "subtotal": money(subtotal),
        "subtotal_tax": "0.00",
        "total": money(total),
        "total_tax": "0.00",
        "taxes": [],
        "meta_data": [],
        "sku": None,
        "global_unique_id": "",
        "price": number(total / quantity) if quantity else 0,
        "image": {"id": "", "src": ""},
        "parent_name": None,
    }


def _sale() -> Json:
    return {
        "date_on_sale_from": None,
        "date_on_sale_from_gmt": None,
        "date_on_sale_to": None,
        "date_on_sale_to_gmt": None,
        "on_sale": False,
    }


def _download() -> Json:
    return {"downloadable": False, "downloads": [], "download_limit": -1, "download_expiry": -1}


def new_product(one: int, moment: float, offset: int) -> Json:
    """A published simple product without name or price."""
    return {
        "id": one,
        "name": "",
        "slug": "",
        "permalink": "",
        **dated("created", moment, offset),
        **dated("modified", moment, offset),
        "type": "simple",
        "status": "publish",
        "featured": False,
        "catalog_visibility": "visible",
        "description": "",
        "short_description": "",
        "sku": "",
        "price": "",
        "regular_price": "",
        "sale_price": "",
        **_sale(),
        "purchasable": False,
        "total_sales": 0,
        "virtual": False,
        **_download(),
        "external_url": "",
        "button_text": "",
        "tax_status": "taxable",
        "tax_class": "",
        "manage_stock": False,
        "stock_quantity": None,
        "backorders": "no",
        "backorders_allowed": False,
        "backordered": False,
        "low_stock_amount": None,
        "sold_individually": False,
        "weight": "",
        "dimensions": {"length": "", "width": "", "height": ""},
        "shipping_required": True,
        "shipping_taxable": True,
        "shipping_class": "",
        "shipping_class_id": 0,
        "reviews_allowed": True,
        "average_rating": "0.00",
        "rating_count": 0,
        "upsell_ids": [],
        "cross_sell_ids": [],
        "parent_id": 0,
        "purchase_note": "",
        "categories": [],
        "brands": [],
        "tags": [],
        "images": [],
        "attributes": [],
        "default_attributes": [],
        "variations": [],
        "grouped_products": [],
        "menu_order": 0,
        "price_html": "",
        "related_ids": [],
        "meta_data": [],
        "stock_status": "instock",
        "has_options": False,
        "post_password": "",
        "global_unique_id": "",
    }


def new_variation(one: int, parent: int, moment: float, offset: int) -> Json:
    """A published variation without a price."""
    return {
        "id": one,
        "type": "variation",
        **dated("created", moment, offset),
        **dated("modified", moment, offset),
        "description": "",
        "permalink": "",
        "sku": "",
        "global_unique_id": "",
        "price": "",
        "regular_price": "",
        "sale_price": "",
        **_sale(),
        "status": "publish",
        "purchasable": False,
        "virtual": True,
        **_download(),
        "tax_status": "taxable",
        "tax_class": "",
        "manage_stock": False,
        "stock_quantity": None,
        "stock_status": "instock",
        "backorders": "no",
        "backorders_allowed": False,
        "backordered": False,
        "low_stock_amount": None,
        "weight": "",
        "dimensions": {"length": "", "width": "", "height": ""},
        "shipping_class": "",
        "shipping_class_id": 0,
        "image": None,
        "gallery_image_ids": [],
        "attributes": [],
        "menu_order": 0,
        "meta_data": [],
        "name": "",
        "parent_id": parent,
    }


def price_html(price: str, currency: str) -> str:
    """A price as the shop's pages print it."""
    if not price:
        return ""
    symbol = SYMBOLS.get(currency, (currency, currency))[1]
    return (
        '<span class="woocommerce-Price-amount amount"><bdi><span class="woocommerce-Price-currencySymbol" '
        f'translate="no">{symbol}</span>{money(price)}</bdi></span>'
    )


def new_customer(one: int, email: str, moment: float, offset: int) -> Json:
    """A customer account."""
    avatar = sha256(email.lower().encode()).hexdigest()
    return {
        "id": one,
        **dated("created", moment, offset),
        **dated("modified", moment, offset),
        "email": email,
        "first_name": "",
        "last_name": "",
        "role": "customer",
        "username": email.split("@")[0],
        "billing": address(""),
        "shipping": address(),
        "is_paying_customer": False,
        "avatar_url": f"https://secure.gravatar.com/avatar/{avatar}?s=96&d=mm&r=g",
        "meta_data": [],
    }


def new_category(one: int, name: str, slug: str, parent: int = 0, description: str = "") -> Json:
    """A product category."""
    return {
        "id": one,
        "name": name,
        "slug": slug,
        "parent": parent,
        "description": description,
        "display": "default",
        "image": None,
        "menu_order": 0,
        "count": 0,
    }


def new_note(one: int, text: str, author: str, moment: float, offset: int, to_customer: bool = False) -> Json:
    """A note of an order."""
    return {
        "id": one,
        "author": author,
        **dated("created", moment, offset),
        "note": text,
        "customer_note": to_customer,
    }


def new_refund(one: int, amount: Decimal, reason: str, moment: float, offset: int) -> Json:
    """A refund without lines: money only."""
    return {
        "id": one,
        **dated("created", moment, offset),
        "amount": money(amount),
        "reason": reason,
        "refunded_by": 1,
        "refunded_payment": False,
        "meta_data": [],
        "line_items": [],
        "shipping_lines": [],
        "tax_lines": [],
        "fee_lines": [],
    }
