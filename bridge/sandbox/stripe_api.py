"""The embedded Stripe's interface: who may ask, how requests are written, what is answered, and what is done once."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from bridge.sandbox.stripe import Stripe, is_live
from bridge.sandbox.stripe_form import check_names, expanded, need, parse_form, whole
from bridge.sandbox.stripe_payments import Problem
from bridge.sandbox.stripe_shapes import VERSION, Json

Handler = Callable[..., Json]
PAGING = ("limit", "starting_after", "ending_before")


@dataclass(frozen=True)
class Route:
    """One address: who handles it, which parameters it knows, and by which right of a restricted key."""

    method: str
    rule: str
    handler: Handler
    params: Collection[str]

    @property
    def right(self) -> str:
        """The resource that a restricted key must be allowed."""
        return self.rule.split("/")[2]


# --- the handlers: (stripe, live, params, id) -> the object that is answered --------------------------------------


def getter(kind: str) -> Handler:
    """Read one object."""
    return lambda stripe, live, params, one: stripe.get(kind, one, live)


def lister(kind: str, *filters: str) -> Handler:
    """Read a page of a kind, the newest first."""

    def page(stripe: Stripe, live: bool, params: Json) -> Json:
        found = stripe.every(kind, live)
        for name in filters:
            if name in params:
                found = [one for one in found if one.get(name) == params[name]]
        return one_page(found, params)

    return page


def one_page(found: list[Json], params: Json) -> Json:
    """A page of a list, cut by ``limit``, ``starting_after`` and ``ending_before``."""
    limit = whole(params, "limit") or 10
    if not 1 <= limit <= 100:
        raise Problem("Invalid limit: must be between 1 and 100", code="parameter_invalid_integer", param="limit")
    ids = [one["id"] for one in found]
    for name in ("starting_after", "ending_before"):
        if name in params:
            if params[name] not in ids:
                raise Problem(f"No such object: '{params[name]}'", code="resource_missing", param=name)
            at = ids.index(params[name])
            found = found[at + 1 :] if name == "starting_after" else found[:at]
            break
    page = found[-limit:] if "ending_before" in params else found[:limit]
    return {"object": "list", "data": page, "has_more": len(found) > len(page), "url": request.path}


def create_intent(stripe: Stripe, live: bool, params: Json) -> Json:
    """https://docs.stripe.com/api/payment_intents/create"""
    amount, currency = whole(params, "amount"), need(params, "currency").lower()
    if amount is None:
        need(params, "amount")
    if not re.fullmatch(r"[a-z]{3}", currency):
        raise Problem(f"Invalid currency: {currency}.", param="currency")
    fields: Json = {name: params[name] for name in ("metadata", "description", "capture_method") if name in params}
    if method := method_of(params):
        fields["payment_method"] = method
    intent = stripe.create_intent(live, amount or 0, currency, **fields)
    return stripe.confirm(intent["id"]) if params.get("confirm") == "true" else intent


def method_of(params: Json) -> str:
    """The method to pay with, by its id or by its data."""
    data = params.get("payment_method_data")
    return f"pm_{data.get('type')}" if isinstance(data, dict) else str(params.get("payment_method", ""))


def change_intent(stripe: Stripe, live: bool, params: Json, one: str) -> Json:
    """https://docs.stripe.com/api/payment_intents/update - only what a shop changes."""
    intent = stripe.get("payment_intent", one, live)
    with stripe.lock:
        intent["metadata"] |= params.get("metadata") or {}
        intent["description"] = params.get("description", intent["description"])
    return intent


def confirm_intent(stripe: Stripe, live: bool, params: Json, one: str) -> Json:
    """https://docs.stripe.com/api/payment_intents/confirm"""
    stripe.get("payment_intent", one, live)
    return stripe.confirm(one, method_of(params))


def capture_intent(stripe: Stripe, live: bool, params: Json, one: str) -> Json:
    """https://docs.stripe.com/api/payment_intents/capture"""
    stripe.get("payment_intent", one, live)
    return stripe.capture(one, whole(params, "amount_to_capture"))


def cancel_intent(stripe: Stripe, live: bool, params: Json, one: str) -> Json:
    """https://docs.stripe.com/api/payment_intents/cancel"""
    stripe.get("payment_intent", one, live)
    return stripe.cancel(one, params.get("cancellation_reason"))


def create_refund(stripe: Stripe, live: bool, params: Json) -> Json:
    """https://docs.stripe.com/api/refunds/create - of a charge, or of an intent's last one."""
    if "payment_intent" in params:
        charge_id = stripe.get("payment_intent", params["payment_intent"], live)["latest_charge"]
    else:
        charge_id = stripe.get("charge", need(params, "charge"), live)["id"]
    if charge_id is None:
        raise Problem("This PaymentIntent does not have a successful charge to refund.")
    return stripe.refund(charge_id, whole(params, "amount"), params.get("reason"), params.get("metadata"))


def change_dispute(stripe: Stripe, live: bool, params: Json, one: str) -> Json:
    """https://docs.stripe.com/api/disputes/update"""
    stripe.get("dispute", one, live)
    evidence = params.get("evidence")
    submit = params.get("submit", "true") != "false"
    return stripe.respond(one, evidence if isinstance(evidence, dict) else {}, submit=submit)


def close_dispute(stripe: Stripe, live: bool, params: Json, one: str) -> Json:
    """https://docs.stripe.com/api/disputes/close"""
    stripe.get("dispute", one, live)
    return stripe.lose(one)


def approve_review(stripe: Stripe, live: bool, params: Json, one: str) -> Json:
    """https://docs.stripe.com/api/radar/reviews/approve"""
    stripe.get("review", one, live)
    return stripe.close_review(one)


def get_event(stripe: Stripe, live: bool, params: Json, one: str) -> Json:
    """https://docs.stripe.com/api/events/retrieve"""
    found = stripe.events.events.get(one)
    if found is None or found["livemode"] is not live:
        raise Problem(f"No such event: '{one}'", status=404, code="resource_missing", param="id")
    return found


def list_events(stripe: Stripe, live: bool, params: Json) -> Json:
    """https://docs.stripe.com/api/events/list"""
    since = int((params.get("created") or {}).get("gte", 0))
    wanted = {params["type"]} if "type" in params else set(params.get("types") or ())
    found = [one for one in stripe.events.events.values() if one["livemode"] is live and one["created"] >= since]
    return one_page([one for one in found[::-1] if not wanted or one["type"] in wanted], params)


def create_endpoint(stripe: Stripe, live: bool, params: Json) -> Json:
    """https://docs.stripe.com/api/webhook_endpoints/create - the only answer with the secret in it."""
    events = params.get("enabled_events")
    if not isinstance(events, list):
        need({}, "enabled_events")
    made = stripe.events.add_endpoint(need(params, "url"), events, live=live)
    return made | {"secret": stripe.events.secrets[made["id"]][0]}


def list_endpoints(stripe: Stripe, live: bool, params: Json) -> Json:
    """https://docs.stripe.com/api/webhook_endpoints/list"""
    found = [one for one in stripe.events.endpoints.values() if one["livemode"] is live]
    return one_page(found[::-1], params)


def delete_endpoint(stripe: Stripe, live: bool, params: Json, one: str) -> Json:
    """https://docs.stripe.com/api/webhook_endpoints/delete"""
    if stripe.events.endpoints.pop(one, None) is None:
        raise Problem(f"No such webhook endpoint: '{one}'", status=404, code="resource_missing", param="id")
    return {"id": one, "object": "webhook_endpoint", "deleted": True}


INTENT = ("metadata", "description", "payment_method", "payment_method_data")
ROUTES = (
    Route("GET", "/v1/payment_intents", lister("payment_intent"), PAGING),
    Route("POST", "/v1/payment_intents", create_intent, (*INTENT, "amount", "currency", "capture_method", "confirm")),
    Route("GET", "/v1/payment_intents/<one>", getter("payment_intent"), ("client_secret",)),
    Route("POST", "/v1/payment_intents/<one>", change_intent, ("metadata", "description")),
    Route("POST", "/v1/payment_intents/<one>/confirm", confirm_intent, ("payment_method", "payment_method_data")),
    Route("POST", "/v1/payment_intents/<one>/capture", capture_intent, ("amount_to_capture",)),
    Route("POST", "/v1/payment_intents/<one>/cancel", cancel_intent, ("cancellation_reason",)),
    Route("GET", "/v1/charges", lister("charge", "payment_intent"), (*PAGING, "payment_intent")),
    Route("GET", "/v1/charges/<one>", getter("charge"), ()),
    Route("GET", "/v1/refunds", lister("refund", "charge", "payment_intent"), (*PAGING, "charge", "payment_intent")),
    Route("POST", "/v1/refunds", create_refund, ("amount", "charge", "payment_intent", "reason", "metadata")),
    Route("GET", "/v1/refunds/<one>", getter("refund"), ()),
    Route("GET", "/v1/disputes", lister("dispute", "charge", "payment_intent"), (*PAGING, "charge", "payment_intent")),
    Route("GET", "/v1/disputes/<one>", getter("dispute"), ()),
    Route("POST", "/v1/disputes/<one>", change_dispute, ("evidence", "submit")),
    Route("POST", "/v1/disputes/<one>/close", close_dispute, ()),
    Route("GET", "/v1/reviews", lister("review"), PAGING),
    Route("GET", "/v1/reviews/<one>", getter("review"), ()),
    Route("POST", "/v1/reviews/<one>/approve", approve_review, ()),
    Route(
        "GET",
        "/v1/radar/early_fraud_warnings",
        lister("radar.early_fraud_warning", "charge", "payment_intent"),
        (*PAGING, "charge", "payment_intent"),
    ),
    Route("GET", "/v1/radar/early_fraud_warnings/<one>", getter("radar.early_fraud_warning"), ()),
    Route("GET", "/v1/events", list_events, (*PAGING, "created", "type", "types")),
    Route("GET", "/v1/events/<one>", get_event, ()),
    Route("GET", "/v1/webhook_endpoints", list_endpoints, PAGING),
    Route("POST", "/v1/webhook_endpoints", create_endpoint, ("url", "enabled_events")),
    Route("DELETE", "/v1/webhook_endpoints/<one>", delete_endpoint, ()),
)


# --- what all of them share ---------------------------------------------------------------------------------------


class Once:
    """What was answered to requests that came with an idempotency key: the same again, and nothing is done twice."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], tuple[str, Response | None]] = {}

    def find(self, key: str, given: str) -> Response | None:
        """The earlier answer; None for a new key, which is then taken. Raises Problem for one used otherwise."""
        if not key:
            return None
        before, answer = self._answers.setdefault((_key(), key), (given, None))
        if before != given:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
            )
            raise Problem(message, type="idempotency_error")
        return answer

    def keep(self, key: str, given: str, answer: Response) -> None:
        """Remember an answer; but not that a request was not valid, since then nothing was begun."""
        if answer.status_code in (400, 401, 403, 404, 409):
            self._answers.pop((_key(), key), None)
        elif key:
            self._answers[_key(), key] = given, answer


def make_api(stripe: Stripe) -> Blueprint:
    """The interface, as a blueprint for one account."""
    api = Blueprint("api", __name__)
    once = Once()
    for route in ROUTES:
        view = _view(stripe, route, once)
        name = f"{route.method} {route.rule}".replace(".", "_")
        api.add_url_rule(route.rule, name, view, methods=[route.method])

    def nothing(rest: str) -> Response:
        message = f"Unrecognized request URL ({request.method}: {request.path})."
        return _answer(stripe, {"error": {"message": message, "type": "invalid_request_error"}}, 404)

    api.add_url_rule("/v1/<path:rest>", "nothing", nothing, methods=["GET", "POST", "DELETE"])
    return api


def _view(stripe: Stripe, route: Route, once: Once) -> Callable[..., Response]:
    def view(**ids: str) -> Response:
        try:
            live = _authorized(stripe, route)
        except Problem as problem:
            return _answer(stripe, {"error": problem.error}, problem.status)
        stripe.requests.append(f"{request.method} {request.path}")
        given = f"{request.method} {request.path} {sorted(request.form.items(multi=True))}"
        key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
        with stripe.lock:
            try:
                if (before := once.find(key, given)) is not None:
                    again = Response(before.get_data(), before.status_code, dict(before.headers))
                    again.headers["Idempotent-Replayed"] = "true"
                    return again
                answer = _answer(stripe, _carried_out(stripe, route, live, ids), 200)
            except Problem as problem:
                answer = _answer(stripe, {"error": problem.error}, problem.status)
                if problem.error["type"] == "idempotency_error":
                    return answer
            once.keep(key, given, answer)
            return answer

    return view


def _carried_out(stripe: Stripe, route: Route, live: bool, ids: dict[str, str]) -> Json:
    params = parse_form((request.form if request.method == "POST" else request.args).items(multi=True))
    paths = params.pop("expand", [])
    if not isinstance(paths, list):
        raise Problem("Invalid array", param="expand")
    check_names(params, route.params)
    return expanded(stripe.objects, copy.deepcopy(route.handler(stripe, live, params, **ids)), paths)


def _authorized(stripe: Stripe, route: Route) -> bool:
    """Whether the key is for live mode. Raises Problem for a key that is none, or may not do this."""
    key = _key()
    if not key:
        raise Problem("You did not provide an API key.", status=401)
    if key.startswith("pk_"):
        message = "This API call cannot be made with a publishable API key. Please use a secret API key."
        raise Problem(message, status=401, code="secret_key_required")
    if key not in stripe.keys:
        raise Problem(f"Invalid API Key provided: {key[:8]}{'*' * 12}{key[-4:]}", status=401)
    may = stripe.keys[key]
    if may is not None and route.right not in may:
        message = "The provided key does not have the required permissions for this endpoint."
        raise Problem(message, status=403, code="more_permissions_required_for_application")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(\.[a-z]+)?", request.headers.get("Stripe-Version", VERSION), re.ASCII):
        raise Problem("Invalid Stripe API version.")
    return is_live(key)


def _key() -> str:
    auth = request.authorization
    if auth is None:
        return ""
    return str(auth.token or "") if auth.type == "bearer" else str(auth.username or "")


def _answer(stripe: Stripe, body: Any, status: int) -> Response:
    answer = Response(json.dumps(body, indent=2) + "\n", status, mimetype="application/json")
    answer.headers["Request-Id"] = stripe.new_id("req")
    answer.headers["Stripe-Version"] = request.headers.get("Stripe-Version", VERSION)
    if key := request.headers.get("Idempotency-Key"):
        answer.headers["Idempotency-Key"] = key
    return answer
