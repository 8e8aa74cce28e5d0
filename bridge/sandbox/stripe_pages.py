"""The embedded Stripe's page: every payment, and what a bank or a person may do to it next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bridge.domain.payments import in_words
from bridge.sandbox.stripe import Stripe
from bridge.sandbox.stripe_disputes import INQUIRIES, OPEN
from bridge.sandbox.stripe_payments import Problem
from bridge.sandbox.stripe_shapes import Json

#: What can be done: the words on the button, and how.
ACTIONS: dict[str, tuple[str, Callable[[Stripe, str], object]]] = {
    "dispute": ("Dispute", lambda stripe, one: stripe.dispute(one)),
    "inquire": ("Inquire", lambda stripe, one: stripe.dispute(one, inquiry=True)),
    "warn": ("Warn of fraud", lambda stripe, one: stripe.warn(one)),
    "review": ("Put under review", lambda stripe, one: stripe.review(one)),
    "approve": ("Approve", lambda stripe, one: stripe.close_review(one)),
    "refund": ("Refund", lambda stripe, one: stripe.refund(one)),
    "half": ("Refund half", lambda stripe, one: stripe.refund(one, stripe.objects[one]["amount"] // 2)),
    "escalate": ("Make it a dispute", lambda stripe, one: stripe.escalate(one)),
    "win": ("Shop wins", lambda stripe, one: stripe.win(one)),
    "lose": ("Shop loses", lambda stripe, one: stripe.lose(one)),
    "capture": ("Capture", lambda stripe, one: stripe.capture(one)),
    "cancel": ("Cancel", lambda stripe, one: stripe.cancel(one)),
    "settle": ("Money comes", lambda stripe, one: stripe.settle(one)),
    "bounce": ("Money does not come", lambda stripe, one: stripe.settle(one, ok=False)),
}


def make_pages(stripe: Stripe) -> Blueprint:
    """The pages, as a blueprint for one account. They need no CSRF protection: nothing here is worth it."""
    pages = Blueprint("pages", __name__, template_folder="templates")
    pages.add_url_rule("/", "payments", partial(payments, stripe))
    pages.add_url_rule("/do/<action>/<one>", "act", partial(act, stripe), methods=["POST"])
    pages.add_app_template_filter(moment, "moment")
    return pages


def payments(stripe: Stripe) -> str:
    """All payments of both modes, the newest first."""
    with stripe.lock:
        rows = [_row(stripe, intent) for live in (True, False) for intent in stripe.every("payment_intent", live)]
    rows.sort(key=lambda row: -row["intent"]["created"])
    return render_template("stripe_payments.html", rows=rows, words=ACTIONS, problem=request.args.get("problem", ""))


def act(stripe: Stripe, action: str, one: str) -> AnyResponse:
    """A button."""
    if action not in ACTIONS or one not in stripe.objects:
        abort(404)
    try:
        ACTIONS[action][1](stripe, one)
    except Problem as problem:
        return redirect(url_for("pages.payments", problem=str(problem)), 303)
    return redirect(url_for("pages.payments"), 303)


def _row(stripe: Stripe, intent: Json) -> Json:
    charge = stripe.objects.get(intent["latest_charge"] or "")
    disputes = [one for one in stripe.every("dispute", intent["livemode"]) if charge and one["charge"] == charge["id"]]
    refunded = in_words(charge["amount_refunded"], charge["currency"]) if charge and charge["amount_refunded"] else ""
    return {
        "intent": intent,
        "charge": charge,
        "amount": in_words(intent["amount"], intent["currency"]),
        "refunded": refunded,
        "disputes": disputes,
        "actions": list(_possible(stripe, intent, charge, disputes)),
    }


def _possible(stripe: Stripe, intent: Json, charge: Json | None, disputes: list[Json]) -> Iterator[tuple[str, str]]:
    """The actions that make sense now, as (action, id)."""
    if intent["status"] == "requires_capture":
        yield from (("capture", intent["id"]), ("cancel", intent["id"]))
    if intent["status"] == "processing":
        yield from (("settle", intent["id"]), ("bounce", intent["id"]))
    for dispute in disputes:
        if dispute["status"] in INQUIRIES:
            yield from (("escalate", dispute["id"]), ("win", dispute["id"]))
        if dispute["status"] in OPEN:
            yield from (("win", dispute["id"]), ("lose", dispute["id"]))
    if charge is None or not charge["captured"]:
        return
    if charge["review"] and stripe.objects[charge["review"]]["open"]:
        yield "approve", charge["review"]
    elif not charge["review"]:
        yield "review", charge["id"]
    if not disputes:
        yield from (("dispute", charge["id"]), ("inquire", charge["id"]), ("warn", charge["id"]))
    if not charge["refunded"] and stripe.refundable(charge["id"]):
        yield from (("refund", charge["id"]), ("half", charge["id"]))


def moment(seconds: int) -> str:
    """A time, to the minute, for a reader."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y, %H:%M UTC")
