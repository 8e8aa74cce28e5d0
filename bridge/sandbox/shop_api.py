"""The embedded shop's REST interface, ``/wp-json/wc/v3``, in the shapes and with the traps of WooCommerce."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from bridge.sandbox import shop_api_goods as goods
from bridge.sandbox import shop_api_orders as orders
from bridge.sandbox import shop_api_subscriptions as subscriptions
from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_auth import Authenticator
from bridge.sandbox.shop_rest import Answer, Handler, no_route, pick
from bridge.sandbox.shop_shapes import Json, number, php_json
from bridge.sandbox.shop_world import Key, WpError

WRITES = ("POST", "PUT", "PATCH", "DELETE")


def make_api(shop: Shop) -> Blueprint:
    """The routes, as a blueprint for one shop."""
    blueprint = Blueprint("api", __name__, url_prefix="/wp-json")
    authenticator = Authenticator(shop)
    for methods, rule, handler in ROUTES:
        view = partial(_answer, shop, authenticator, handler)
        name = f"{handler.__name__} {methods}"
        blueprint.add_url_rule(f"/wc/v3/{rule}", name.replace(".", "_"), view, methods=methods.split())
    every = ["GET", *WRITES]
    nothing = partial(_answer, shop, authenticator, no_route)
    blueprint.add_url_rule("/<path:rest>", "no_route", nothing, methods=every)
    blueprint.add_url_rule("/", "index", lambda: _respond(shop, Answer(index(shop))))
    return blueprint


def index(shop: Shop) -> Json:
    """What the shop says of itself to everybody."""
    namespaces = ["wc/v1", "wc/v2", "wc/v3", "wc/store/v1", "wp/v2"]
    return {
        "name": shop.title,
        "description": "",
        "url": _home(shop),
        "home": _home(shop),
        "gmt_offset": number(Decimal(shop.utc_offset) / 3600),
        "timezone_string": "",
        "namespaces": namespaces,
        "authentication": [],
        "routes": {f"/{name}": {"namespace": name, "methods": ["GET"]} for name in namespaces},
    }


def _home(shop: Shop) -> str:
    if not shop.fixed_url:
        shop.url = request.host_url.rstrip("/")
    return shop.url


def _answer(shop: Shop, authenticator: Authenticator, handler: Handler, **ids: Any) -> Response:
    """Authenticate, allow, carry out, and put the answer (or the error) on the wire."""
    _home(shop)
    try:
        key = authenticator.key()
        if handler is not no_route:
            _allow(key, "one" in ids, handler)
            shop.requests.append(f"{request.method} {request.path}")
        answer = handler(shop, **ids)
        answer.body = pick(answer.body, request.args.get("_fields", ""))
    except WpError as error:
        answer = Answer(error.body, error.status)
    return _respond(shop, answer)


def _respond(shop: Shop, answer: Answer) -> Response:
    response = Response(php_json(answer.body), answer.status, content_type="application/json; charset=UTF-8")
    response.headers["Link"] = f'<{shop.url}/wp-json/>; rel="https://api.w.org/"'
    response.headers.update(answer.headers)
    if request.url_rule is not None:
        rules = [rule for rule in ROUTES if request.url_rule.rule == f"/wp-json/wc/v3/{rule[1]}"]
        response.headers["Allow"] = ", ".join(dict.fromkeys(" ".join(rule[0] for rule in rules).split()))
    return response


def _allow(key: Key | None, single: bool, handler: Handler) -> None:
    """Without a key and with a customer's one gets the same words, but another status."""
    method = request.method
    if key and method in WRITES and key.permissions == "read":
        text = "The API key provided does not have write permissions."
        raise WpError("woocommerce_rest_authentication_error", text, 401)
    if key and method == "GET" and key.permissions == "write":
        text = "The API key provided does not have read permissions."
        raise WpError("woocommerce_rest_authentication_error", text, 401)
    if key and key.role in ("administrator", "shop_manager"):
        return
    status = 403 if key else 401
    if handler is goods.batch_products:
        text = "Sorry, you are not allowed to batch manipulate this resource."
        raise WpError("woocommerce_rest_cannot_batch", text, status)
    if method == "GET":
        text = "Sorry, you cannot view this resource." if single else "Sorry, you cannot list resources."
        raise WpError("woocommerce_rest_cannot_view", text, status)
    if method == "DELETE":
        text = "Sorry, you are not allowed to delete this resource."
        raise WpError("woocommerce_rest_cannot_delete", text, status)
    if single:
        raise WpError("woocommerce_rest_cannot_edit", "Sorry, you are not allowed to edit this resource.", status)
    raise WpError("woocommerce_rest_cannot_create", "Sorry, you are not allowed to create resources.", status)


EDIT = "POST PUT PATCH"
ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "orders", orders.list_orders),
    ("POST", "orders", orders.create_order),
    ("GET", "orders/<int:one>", orders.get_order),
    (EDIT, "orders/<int:one>", orders.change_order),
    ("DELETE", "orders/<int:one>", orders.delete_order),
    ("GET", "orders/<int:one>/notes", orders.list_notes),
    ("POST", "orders/<int:one>/notes", orders.create_note),
    ("GET", "orders/<int:one>/refunds", orders.list_refunds),
    ("POST", "orders/<int:one>/refunds", orders.create_refund),
    ("GET", "orders/<int:parent>/refunds/<int:one>", orders.get_refund),
    ("DELETE", "orders/<int:parent>/refunds/<int:one>", orders.delete_refund),
    ("GET", "orders/<int:one>/subscriptions", subscriptions.list_of_order),
    ("GET", "subscriptions", subscriptions.list_subscriptions),
    ("POST", "subscriptions", subscriptions.create_subscription),
    ("GET", "subscriptions/statuses", subscriptions.list_statuses),
    ("GET", "subscriptions/<int:one>", subscriptions.get_subscription),
    (EDIT, "subscriptions/<int:one>", subscriptions.change_subscription),
    ("DELETE", "subscriptions/<int:one>", subscriptions.delete_subscription),
    ("GET", "subscriptions/<int:one>/orders", subscriptions.list_orders_of),
    ("GET", "products", goods.list_products),
    ("POST", "products", goods.create_product),
    (EDIT, "products/batch", goods.batch_products),
    ("GET", "products/<int:one>", goods.get_product),
    (EDIT, "products/<int:one>", goods.change_product),
    ("DELETE", "products/<int:one>", goods.delete_product),
    ("GET", "products/<int:one>/variations", goods.list_variations),
    ("POST", "products/<int:one>/variations", goods.create_variation),
    ("GET", "products/<int:parent>/variations/<int:one>", goods.get_variation),
    (EDIT, "products/<int:parent>/variations/<int:one>", goods.change_variation),
    ("GET", "products/categories", goods.list_categories),
    ("POST", "products/categories", goods.create_category),
    ("GET", "products/categories/<int:one>", goods.get_category),
    (EDIT, "products/categories/<int:one>", goods.change_category),
    ("DELETE", "products/categories/<int:one>", goods.delete_category),
    ("GET", "customers", orders.list_customers),
    ("POST", "customers", orders.create_customer),
    ("GET", "customers/<int:one>", orders.get_customer),
    (EDIT, "customers/<int:one>", orders.change_customer),
    ("GET", "webhooks", orders.list_webhooks),
    ("POST", "webhooks", orders.create_webhook),
    ("GET", "webhooks/<int:one>", orders.get_webhook),
    (EDIT, "webhooks/<int:one>", orders.change_webhook),
    ("DELETE", "webhooks/<int:one>", orders.delete_webhook),
]
