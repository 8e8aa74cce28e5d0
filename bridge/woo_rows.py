"""WooCommerce's JSON, read into the values that the rules use. Shapes as measured on WooCommerce 11."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bridge.domain.purchases import Buyer, Line, Order, Refund, Subscription
from bridge.errors import Unavailable

SYSTEM = "shop"


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """What of a product says what it gives. ``type`` is "" for a variation."""

    id: int
    type: str = ""
    sku: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)


def read_moment(value: str | None) -> datetime | None:
    """A ``*_gmt`` date: UTC without an offset or a Z; null or "" when unset."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if value else None


def read_meta(row: Mapping[str, Any]) -> dict[str, str]:
    """The meta data that are plain words, by key; lists and objects are other plugins' own."""
    entries = row.get("meta_data") or ()
    return {str(one["key"]): str(one["value"]) for one in entries if isinstance(one.get("value"), (str, int, float))}


def read_line(row: Mapping[str, Any]) -> Line:
    """One line item. The Product Bundles extension shows ``bundled_by`` as the parent line's id."""
    bundled_by = str(row.get("bundled_by") or "")
    return Line(
        id=int(row["id"]),
        name=str(row.get("name") or ""),
        product_id=int(row.get("product_id") or 0),
        variation_id=int(row.get("variation_id") or 0),
        quantity=int(row.get("quantity") or 0),
        sku=str(row.get("sku") or ""),
        bundled_by=int(bundled_by) if bundled_by.isdigit() else 0,
        meta=read_meta(row),
    )


def read_lines(row: Mapping[str, Any]) -> tuple[Line, ...]:
    """The line items. Where a line's bundle is told in its meta only, it is found by the bundle's key."""
    lines = [read_line(line) for line in row["line_items"]]
    by_key = {line.meta["_bundle_cart_key"]: line.id for line in lines if "_bundle_cart_key" in line.meta}
    return tuple(
        replace(line, bundled_by=by_key[line.meta["_bundled_by"]])
        if not line.bundled_by and line.meta.get("_bundled_by") in by_key
        else line
        for line in lines
    )


def _whole(row: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(row, Mapping) or "status" not in row or "line_items" not in row:
        raise Unavailable(f"the shop answered with something that is no {what}", system=SYSTEM)
    return row


def _modified(row: Mapping[str, Any], what: str) -> datetime:
    modified = read_moment(row.get("date_modified_gmt")) or read_moment(row.get("date_created_gmt"))
    if modified is None:
        raise Unavailable(f"the shop told {what} {row.get('id')} without a date", system=SYSTEM)
    return modified


def _buyer(row: Mapping[str, Any], meta: Mapping[str, str]) -> Buyer:
    billing = row.get("billing") or {}
    return Buyer(
        customer_id=int(row.get("customer_id") or 0),
        email=billing.get("email") or "",
        first_name=billing.get("first_name") or "",
        last_name=billing.get("last_name") or "",
        language=meta.get("wpml_language", ""),
        company=billing.get("company") or "",
    )


def read_order(row: Any) -> Order:
    """An order. The payment is called by its intent where Stripe's plugin kept one, else by its transaction."""
    row = _whole(row, "order")
    meta = read_meta(row)
    renews, switches = meta.get("_subscription_renewal", ""), meta.get("_subscription_switch", "")
    return Order(
        id=int(row["id"]),
        status=str(row["status"]),
        buyer=_buyer(row, meta),
        lines=read_lines(row),
        modified=_modified(row, "order"),
        paid_at=read_moment(row.get("date_paid_gmt")),
        payment_method=str(row.get("payment_method") or ""),
        total=str(row.get("total") or "0"),
        currency=str(row.get("currency") or ""),
        transaction=meta.get("_stripe_intent_id", "") or str(row.get("transaction_id") or ""),
        refunds=len(row.get("refunds") or ()),
        renews=int(renews) if renews.isdigit() else 0,
        switches=int(switches) if switches.isdigit() else 0,
        number=str(row.get("number") or ""),
    )


@dataclass(frozen=True, slots=True)
class Billed:
    """What of an order or a subscription its buyer's company is shown. ``address`` is by lines."""

    id: int
    number: str
    date: datetime | None
    company: str
    address: tuple[str, ...]
    meta: Mapping[str, str]


def read_billed(row: Any) -> Billed:
    """Whom an order or a subscription was billed to."""
    if not isinstance(row, Mapping) or not isinstance(row.get("billing"), Mapping):
        raise Unavailable("the shop answered with something that is no order", system=SYSTEM)
    to = {key: str(value or "").strip() for key, value in row["billing"].items()}
    name = f"{to.get('first_name', '')} {to.get('last_name', '')}".strip()
    town = f"{to.get('postcode', '')} {to.get('city', '')}".strip()
    lines = (name, to.get("address_1", ""), to.get("address_2", ""), town, to.get("state", ""), to.get("country", ""))
    return Billed(
        id=int(row["id"]),
        number=str(row.get("number") or row["id"]),
        date=read_moment(row.get("date_created_gmt")),
        company=to.get("company", ""),
        address=tuple(line for line in lines if line),
        meta=read_meta(row),
    )


def is_subscription(row: Mapping[str, Any]) -> bool:
    """Whether what orders/NUMBER answered is a subscription: only those keep caches of the orders that they have."""
    keys = (str(entry.get("key")) for entry in row.get("meta_data") or ())
    return any(key.startswith("_subscription_") and key.endswith("_order_ids_cache") for key in keys)


def read_refund(row: Mapping[str, Any]) -> Refund:
    """A refund. Its quantities are negative, and say in ``_refunded_item_id`` of which line of the order."""
    units: dict[int, int] = {}
    for line in row.get("line_items") or ():
        original = read_meta(line).get("_refunded_item_id", "")
        quantity = abs(int(line.get("quantity") or 0))
        if original.isdigit() and quantity:
            units[int(original)] = units.get(int(original), 0) + quantity
    return Refund(int(row["id"]), str(row.get("amount") or "0"), units)


def read_subscription(row: Any) -> Subscription:
    """A subscription. Its end is "" while there is none; a gift names the customer it was given to."""
    row = _whole(row, "subscription")
    meta = read_meta(row)
    recipient = meta.get("_recipient_user", "")
    return Subscription(
        id=int(row["id"]),
        status=str(row["status"]),
        buyer=_buyer(row, meta),
        lines=read_lines(row),
        modified=_modified(row, "subscription"),
        ends=read_moment(row.get("end_date_gmt")),
        recipient_id=int(recipient) if recipient.isdigit() else 0,
        parent_id=int(row.get("parent_id") or 0),
    )


def read_product(row: Mapping[str, Any]) -> ProductFacts:
    """What of a product says what it gives."""
    return ProductFacts(int(row["id"]), str(row.get("type") or ""), str(row.get("sku") or ""), read_meta(row))
