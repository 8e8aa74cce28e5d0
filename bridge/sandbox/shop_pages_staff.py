"""The embedded shop's pages for its staff: the orders, one order with its refunds, and the subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal, InvalidOperation

from flask import abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_shapes import Json
from bridge.sandbox.shop_shapes_subscriptions import ENDED, STATUSES
from bridge.sandbox.shop_world import WpError

CHANGES = {
    "processing": "Mark as paid",
    "completed": "Complete",
    "on-hold": "Hold",
    "failed": "Fail",
    "cancelled": "Cancel",
    "refunded": "Refund",
    "trash": "Bin",
    "restore": "Restore",
}
# What can be done to a subscription: its words, the statuses it is offered in, and what it does.
ACTIONS: dict[str, tuple[str, tuple[str, ...], Callable[[Shop, int], object]]] = {
    "renew": ("Renew", ("active",), lambda shop, one: shop.renew(one)),
    "fail": ("Renew, declined", ("active",), lambda shop, one: shop.renew(one, "declined")),
    "pay": ("Pay what is due", ("on-hold", "pending"), lambda shop, one: pay_due(shop, one)),
    "hold": ("Hold", ("active",), lambda shop, one: shop.change_subscription(one, "on-hold")),
    "activate": (
        "Activate",
        ("on-hold", "pending", "pending-cancel"),
        lambda shop, one: shop.change_subscription(one, "active"),
    ),
    "cancel": ("Cancel", ("active", "on-hold", "pending"), lambda shop, one: shop.cancel_subscription(one)),
    "end": (
        "Cancel now",
        ("active", "on-hold", "pending-cancel"),
        lambda shop, one: shop.change_subscription(one, "cancelled"),
    ),
    "expire": ("Expire", ("active",), lambda shop, one: shop.change_subscription(one, "expired")),
    "again": ("Subscribe again", ENDED[:-1], lambda shop, one: shop.resubscribe(one)),
}


def staff(shop: Shop) -> str:
    """Every order, the newest first, with what can be done."""
    with shop.lock:
        orders = sorted(shop.orders.values(), key=lambda item: -item["id"])
    return render_template("shop_staff.html", orders=orders, changes=CHANGES)


def staff_change(shop: Shop, one: int, change: str) -> Response:
    """A member of the staff presses a button."""
    if one not in shop.orders or change not in CHANGES:
        abort(404)
    if change == "trash":
        shop.trash_order(one)
    elif change == "restore":
        shop.restore_order(one)
    else:
        shop.set_status(one, change)
    return redirect(url_for("pages.staff"), 303)


def staff_order(shop: Shop, one: int) -> str:
    """One order: its lines, what of them was given back, and the refunds."""
    with shop.lock:
        try:
            order, refunds = shop.show_order(one), shop.show_refunds(one)
        except WpError:
            abort(404)
        back = _given_back(refunds)
        subscriptions = shop.subscriptions_of(one) if shop.has_subscriptions else []
        return render_template(
            "shop_staff_order.html", order=order, refunds=refunds, back=back, subscriptions=subscriptions
        )


def _given_back(refunds: list[Json]) -> dict[str, int]:
    """How many of each line were given back, by the line's id as refunds write it."""
    back: dict[str, int] = {}
    for refund in refunds:
        for line in refund["line_items"]:
            origin = next(str(m["value"]) for m in line["meta_data"] if m["key"] == "_refunded_item_id")
            back[origin] = back.get(origin, 0) - line["quantity"]
    return back


def staff_refund(shop: Shop, one: int) -> Response:
    """Give back so many of a line, everything that is left by its lines, or a sum of money only."""
    form = request.form
    try:
        if form.get("what") == "all":
            refund_rest(shop, one)
        elif form.get("what") == "line":
            shop.refund(one, lines={form.get("line", 0, int): form.get("quantity", 1, int)}, reason="By the staff")
        else:
            shop.refund(one, str(Decimal(form.get("amount", ""))), reason="By the staff")
    except WpError as error:
        abort(400 if error.status >= 500 else error.status, str(error))
    except InvalidOperation:
        abort(400, "A sum of money is needed.")
    return redirect(url_for("pages.staff_order", one=one), 303)


def refund_rest(shop: Shop, one: int) -> None:
    """Give back whatever of an order was not given back yet, line by line."""
    with shop.lock:
        back, order = _given_back(shop.show_refunds(one)), shop.show_order(one)
        left = {line["id"]: line["quantity"] - back.get(str(line["id"]), 0) for line in order["line_items"]}
        paid = Decimal(order["total"]) + sum((Decimal(r["total"]) for r in order["refunds"]), Decimal(0))
        shop.refund(one, str(paid), {line: quantity for line, quantity in left.items() if quantity > 0})


def staff_line(shop: Shop, one: int, line: int) -> Response:
    """Change how many of a line there are; none takes it away."""
    quantity = request.form.get("quantity", -1, int)
    if not 0 <= quantity <= 1000:
        abort(400, "A quantity is needed.")
    try:
        if quantity:
            shop.edit_line(one, line, quantity)
        else:
            shop.remove_line(one, line)
    except WpError:
        abort(404)
    return redirect(url_for("pages.staff_order", one=one), 303)


def staff_unrefund(shop: Shop, one: int, refund: int) -> Response:
    """Delete a refund, of which nobody is told."""
    try:
        shop.delete_refund(one, refund)
    except WpError:
        abort(404)
    return redirect(url_for("pages.staff_order", one=one), 303)


def staff_subscriptions(shop: Shop) -> str:
    """Every subscription, the newest first, with what can be done."""
    if not shop.has_subscriptions:
        abort(404)
    with shop.lock:
        rows = [(shop.show_subscription(one), shop.related(one)) for one in sorted(shop.subscriptions, reverse=True)]
    return render_template("shop_staff_subscriptions.html", rows=rows, actions=ACTIONS, names=STATUSES)


def staff_subscription(shop: Shop, one: int, action: str) -> Response:
    """A member of the staff presses a button."""
    if one not in shop.subscriptions or action not in ACTIONS:
        abort(404)
    _, allowed, work = ACTIONS[action]
    if shop.subscriptions[one]["status"] in allowed:
        work(shop, one)
    return redirect(url_for("pages.staff_subscriptions"), 303)


def pay_due(shop: Shop, one: int) -> None:
    """Pay the newest order of a subscription, if it is not paid."""
    with shop.lock:
        orders = shop.related(one)
        newest = max(orders["parent"] + orders["renewal"], default=0)
        with suppress(WpError):
            if shop.orders.get(newest, {}).get("status") in ("pending", "failed", "on-hold"):
                shop.pay_order(newest)


RULES = (
    ("/staff/orders", "GET", staff),
    ("/staff/orders/<int:one>/<change>", "POST", staff_change),
    ("/staff/orders/<int:one>", "GET", staff_order),
    ("/staff/orders/<int:one>/refund", "POST", staff_refund),
    ("/staff/orders/<int:one>/lines/<int:line>", "POST", staff_line),
    ("/staff/orders/<int:one>/refunds/<int:refund>/delete", "POST", staff_unrefund),
    ("/staff/subscriptions", "GET", staff_subscriptions),
    ("/staff/subscriptions/<int:one>/<action>", "POST", staff_subscription),
)
