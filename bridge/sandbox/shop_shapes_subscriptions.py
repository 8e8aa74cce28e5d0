"""What WooCommerce Subscriptions' JSON looks like, without any state."""

from __future__ import annotations

import copy
from typing import Any

from bridge.sandbox.shop_shapes import Json

STATUSES = {
    "pending": "Pending",
    "active": "Active",
    "on-hold": "On hold",
    "cancelled": "Cancelled",
    "switched": "Switched",
    "expired": "Expired",
    "pending-cancel": "Pending Cancellation",
}
ENDED = ("cancelled", "switched", "expired", "trash")
#: The kinds of an order's relation to a subscription, with the metadata that tells of it.
RELATIONS = {"renewal": "_subscription_renewal", "switch": "_subscription_switch"}
RELATED_CACHES: Json = {f"_subscription_{kind}_order_ids_cache": [] for kind in ("renewal", "resubscribe", "switch")}
RESUBSCRIBE = "_subscription_resubscribe"
RENEWAL_DONE = "action.woocommerce_subscription_renewal_payment_complete"


def new_subscription(one: int, order: Json, period: str, interval: int) -> Json:
    """A subscription of what ``order`` holds, active. The interval is a string; dates it lacks are "", not null."""
    without = ("transaction_id", "cart_hash", "refunds", "currency_symbol")
    meta = [m for m in order["meta_data"] if m["key"] == "is_vat_exempt"]
    return {key: copy.deepcopy(value) for key, value in order.items() if key not in without} | {
        "id": one,
        "parent_id": order["id"],
        "status": "active",
        "number": str(one),
        "meta_data": copy.deepcopy(meta),
        "date_completed": None,
        "date_completed_gmt": None,
        "billing_period": period,
        "billing_interval": str(interval),
        "trial_period": "",
        "suspension_count": 0,
        "requires_manual_renewal": False,
        "start_date_gmt": order["date_created_gmt"],
        "trial_end_date_gmt": "",
        "next_payment_date_gmt": "",
        "last_payment_date_gmt": "",
        "cancelled_date_gmt": "",
        "end_date_gmt": "",
        "resubscribed_from": "",
        "resubscribed_subscription": "",
        "removed_line_items": [],
    }


def order_of_subscription(url: str, shown: Json, kind: str) -> Json:
    """An order as subscriptions/ID/orders shows it: a little less than elsewhere, and what it is to the
    subscription.
    """
    links = shown["_links"] | {"collection": [{"href": f"{url}/wp-json/wc/v3/subscriptions"}]}
    mails = f"{url}/wp-json/wc/v3/subscriptions/{shown['id']}/actions/email_templates"
    links["email_templates"] = [{"embeddable": True, "href": mails}]
    kept = {key: value for key, value in shown.items() if key not in ("refunds", "currency_symbol", "_links")}
    return kept | {"order_type": f"{kind}_order", "_links": links}


def meta_of(thing: Json, key: str) -> Any:
    """The value of a thing's metadata; "" without."""
    return next((entry["value"] for entry in thing["meta_data"] if entry["key"] == key), "")
