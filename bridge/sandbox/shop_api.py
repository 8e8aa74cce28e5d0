"""The embedded shop's REST interface, ``/wp-json/wc/v3``, in the shapes and with the traps of WooCommerce."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from flask import Blueprint, Response, request

from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_auth import Authenticator
from bridge.sandbox.shop_goods import TYPES
from bridge.sandbox.shop_hooks import valid_topic
from bridge.sandbox.shop_shapes import Json, links, number, php_json, shown_name, slugify, words
from bridge.sandbox.shop_world import Key, WpError

STATUSES = words("auto-draft pending processing on-hold completed cancelled refunded failed checkout-draft")
GOODS_STATUSES = ("draft", "pending", "private", "publish", "future")
ANY_ORDER = [status for status in STATUSES if status not in ("auto-draft", "checkout-draft")]
WRITES = ("POST", "PUT", "PATCH", "DELETE")
MOST_IN_BATCH = 100


@dataclass
class Answer:
    """What a handler answers with."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[..., Answer]


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
        answer.body = _pick(answer.body, request.args.get("_fields", ""))
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
    if handler is batch_products:
        text = "Sorry, you are not allowed to batch manipulate this resource."
        raise WpError("woocommerce_rest_cannot_batch", text, status)
    if method == "GET":
        text = "Sorry, you cannot view this resource." if single else "Sorry, you cannot list resources."
        raise WpError("woocommerce_rest_cannot_view", text, status)
    if method == "DELETE":
        text = "Sorry, you are not allowed to delete this resource."
        raise WpError("woocommerce_rest_cannot_delete", text, status)
    if single:
        raise WpError(
            "woocommerce_rest_cannot_edit", "Sorry, you are not allowed to edit this resource.", status
        )
    raise WpError("woocommerce_rest_cannot_create", "Sorry, you are not allowed to create resources.", status)


def _pick(body: Any, names: str) -> Any:
    """``_fields``: keys at the top, ``billing.email`` below them; but nothing below a list ever gets
    through.
    """
    if not names:
        return body
    if isinstance(body, list):
        return [_pick(item, names) for item in body]
    picked: Json = {}
    for name in names.split(","):
        top, _, rest = name.strip().partition(".")
        if top not in body:
            continue
        if not rest:
            picked[top] = body[top]
        elif isinstance(body[top], dict):
            picked[top] = picked.get(top, {}) | _pick(body[top], rest)
        else:
            picked[top] = []
    return picked


# --- parameters -------------------------------------------------------------------------------------------


def _one_arg(name: str, default: str = "") -> str:
    """A parameter of the query. Sent twice (the usual client does it), the last one counts."""
    values = request.args.getlist(name)
    return values[-1] if values else default


def _list_arg(name: str) -> list[str]:
    """A parameter that is a list: with commas, or as ``name[]`` or ``name[0]``."""
    nested = [value for key, value in parse_qsl(request.query_string.decode()) if key.startswith(f"{name}[")]
    values = nested or _one_arg(name).split(",")
    return [value.strip() for value in values if value.strip()]


def _ids_arg(name: str) -> list[int]:
    return [int(value) for value in _list_arg(name) if value.lstrip("-").isdigit()]


def _true(name: str) -> bool:
    return _one_arg(name).lower() in ("1", "true", "yes")


def _body() -> Json:
    if not request.data:
        return request.form.to_dict()
    given = request.get_json(silent=True, force=True)
    if given is None:
        raise WpError("rest_invalid_json", "Invalid JSON body passed.", 400, json_error_code=4)
    return given if isinstance(given, dict) else {}


def _invalid(problems: dict[str, tuple[str, str]]) -> WpError:
    """``rest_invalid_param`` from name -> (code, text)."""
    texts = {name: text for name, (_, text) in problems.items()}
    details = {name: {"code": code, "message": text, "data": None} for name, (code, text) in problems.items()}
    message = f"Invalid parameter(s): {', '.join(texts)}"
    return WpError("rest_invalid_param", message, 400, params=texts, details=details)


def _missing(body: Json, *names: str) -> None:
    absent = [name for name in names if name not in body]
    if absent:
        text = f"Missing parameter(s): {', '.join(absent)}"
        raise WpError("rest_missing_callback_param", text, 400, params=absent)


def _number_arg(name: str, default: int, least: int, most: int | None = None) -> int:
    text = _one_arg(name, str(default))
    if not text.lstrip("-").isdigit():
        raise _invalid({name: ("rest_invalid_type", f"{name} is not of type integer.")})
    value = int(text)
    if most is not None and not least <= value <= most:
        text = f"{name} must be between {least} (inclusive) and {most} (inclusive)"
        raise _invalid({name: ("rest_out_of_bounds", text)})
    if value < least:
        raise _invalid({name: ("rest_out_of_bounds", f"{name} must be greater than or equal to {least}")})
    return value


def _check_choice(name: str, values: Iterable[str], allowed: Iterable[str]) -> None:
    choices = list(allowed)
    for at, value in enumerate(values):
        if value not in choices:
            text = f"{', '.join(choices[:-1])}, and {choices[-1]}"
            label = f"{name}[{at}]" if name == "status" else name
            raise _invalid({name: ("rest_not_in_enum", f"{label} is not one of {text}.")})


def _date_arg(name: str, offset: int) -> str | None:
    """A date filter as WordPress understands it.

    With Z or an offset, it is turned into shop time; without, it is taken as it stands. Which column it is
    then compared with is another matter (``dates_are_gmt``), so that both together are off by the shop's
    offset.
    """
    text = _one_arg(name)
    if not text:
        return None
    try:
        if "T" not in text.upper().replace(" ", "T", 1):
            raise ValueError(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _invalid({name: ("rest_invalid_date", "Invalid date.")}) from None
    if moment.tzinfo:
        moment = moment.astimezone(UTC) + timedelta(seconds=offset)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


# --- lists ------------------------------------------------------------------------------------------------


def _dated(shop: Shop, items: list[Json]) -> list[Json]:
    """modified_after, modified_before, after, before: strictly, in whole seconds."""
    suffix = "_gmt" if _true("dates_are_gmt") else ""
    for name, column in (("modified_", "date_modified"), ("", "date_created")):
        after = _date_arg(f"{name}after", shop.utc_offset)
        before = _date_arg(f"{name}before", shop.utc_offset)
        if after:
            items = [item for item in items if item[column + suffix] > after]
        if before:
            items = [item for item in items if item[column + suffix] < before]
    return items


def _chosen(items: list[Json]) -> list[Json]:
    """include and exclude."""
    if include := _ids_arg("include"):
        items = [item for item in items if item["id"] in include]
    exclude = _ids_arg("exclude")
    return [item for item in items if item["id"] not in exclude]


def _sorted(items: list[Json], default: str = "date") -> list[Json]:
    by, order = _one_arg("orderby", default), _one_arg("order", "asc" if default == "name" else "desc")
    _check_choice("order", [order], ["asc", "desc"])
    columns = {"date": "date_created_gmt", "modified": "date_modified_gmt", "title": "name", "slug": "slug"}
    if by == "include":
        include = _ids_arg("include")
        return sorted(items, key=lambda item: include.index(item["id"]) if item["id"] in include else -1)
    _check_choice(
        "orderby", [by], [*columns, "id", "include", "name", "registered_date", "menu_order", "price"]
    )
    column = columns.get(by, by if by in ("name", "menu_order") else "id")
    return sorted(items, key=lambda item: (item[column], item["id"]), reverse=order == "desc")


def _page(items: list[Json], show: Callable[[int], Json], *, none_past_end: bool = False) -> Answer:
    """One page. Past the end it is empty, and for orders even the total is 0 there."""
    size = _number_arg("per_page", 10, 1, 100)
    page = _number_arg("page", 1, 1)
    start = _number_arg("offset", (page - 1) * size, 0)
    shown = [show(item["id"]) for item in items[start : start + size]]
    total = 0 if none_past_end and not shown else len(items)
    pages = -(-total // size)
    headers = {"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)}
    # The whole query is echoed, with the OAuth values in it: nothing to follow, nothing to log.
    query = {key: value for key, value in parse_qsl(request.query_string.decode()) if key != "page"}
    around = []
    if page > 1:
        around.append(f'<{_address(query, min(page - 1, max(pages, 1)))}>; rel="prev"')
    if page < pages:
        around.append(f'<{_address(query, page + 1)}>; rel="next"')
    if around:
        headers["Link"] = ", ".join(around)
    return Answer(shown, 200, headers)


def _address(query: dict[str, str], page: int) -> str:
    return f"{request.base_url}?{urlencode(query | {'page': str(page)}, quote_via=quote, safe='')}"


# --- orders -----------------------------------------------------------------------------------------------


def list_orders(shop: Shop) -> Answer:
    """Without a status every order but the binned; ``any`` with another status finds nothing."""
    wanted = _list_arg("status") or ["any"]
    _check_choice("status", wanted, ["any", "trash", *STATUSES])
    if wanted == ["any"]:
        wanted = ANY_ORDER
    elif "any" in wanted:
        wanted = []
    with shop.lock:
        items = [order for order in shop.orders.values() if order["status"] in wanted]
        items = _chosen(_dated(shop, items))
        if customer := _one_arg("customer"):
            items = [order for order in items if str(order["customer_id"]) == customer]
        if product := _one_arg("product"):
            items = [o for o in items if any(str(line["product_id"]) == product for line in o["line_items"])]
        if parent := _ids_arg("parent"):
            items = [order for order in items if order["parent_id"] in parent]
        if search := _one_arg("search").lower():
            items = [order for order in items if _order_matches(order, search)]
        return _page(_sorted(items), shop.show_order, none_past_end=True)


def _order_matches(order: Json, search: str) -> bool:
    texts = [str(order["id"]), *order["billing"].values(), *(line["name"] for line in order["line_items"])]
    return any(search in text.lower() for text in texts)


def get_order(shop: Shop, one: int) -> Answer:
    """One order."""
    return Answer(shop.show_order(one))


def create_order(shop: Shop) -> Answer:
    """A new order."""
    body = _body()
    _check_order(body)
    one = shop.create_order(body)
    return Answer(shop.show_order(one), 201, {"Location": f"{request.base_url}/{one}"})


def change_order(shop: Shop, one: int) -> Answer:
    """Change an order; changing nothing counts as a change."""
    body = _body()
    _check_order(body)
    shop.change_order(one, body)
    return Answer(shop.show_order(one))


def _check_order(body: Json) -> None:
    if "status" in body and body["status"] not in STATUSES:
        text = f"status is not one of {', '.join(STATUSES[:-1])}, and {STATUSES[-1]}."
        raise _invalid({"status": ("rest_not_in_enum", text)})
    for name in ("meta_data", "line_items"):
        if not isinstance(body.get(name, []), list):
            raise _invalid({name: ("rest_invalid_type", f"{name} is not of type array.")})


def delete_order(shop: Shop, one: int) -> Answer:
    """Into the bin, or with ``force`` for ever."""
    before = shop.show_order(one)
    if _true("force"):
        shop.delete_order(one)
        return Answer(before)
    if before["status"] == "trash":
        text = "The shop_order has already been deleted."
        raise WpError("woocommerce_rest_already_trashed", text, 410)
    shop.trash_order(one)
    return Answer(shop.show_order(one))


def list_notes(shop: Shop, one: int) -> Answer:
    """The notes of an order, without paging."""
    kinds = {"customer": (True,), "internal": (False,)}.get(_one_arg("type"), (True, False))
    return Answer([note for note in shop.show_notes(one) if note["customer_note"] in kinds])


def create_note(shop: Shop, one: int) -> Answer:
    """A note; the order counts as unchanged and nothing is told."""
    body = _body()
    _missing(body, "note")
    author = "admin" if body.get("added_by_user") else "WooCommerce"
    shop.add_note(one, str(body["note"]), author=author, to_customer=bool(body.get("customer_note")))
    return Answer(shop.show_notes(one)[-1], 201)


def list_refunds(shop: Shop, one: int) -> Answer:
    """The refunds of an order: quantities are negative here, and lines without them are about money only."""
    refunds = {refund["id"]: refund for refund in shop.show_refunds(one)}
    return _page(list(refunds.values()), refunds.__getitem__)


def create_refund(shop: Shop, one: int) -> Answer:
    """A refund, of an amount or of lines."""
    body = _body()
    lines = {int(line["id"]): int(line.get("quantity", 0)) for line in body.get("line_items") or ()}
    lines = {line: quantity for line, quantity in lines.items() if quantity}
    made = shop.refund(one, str(body.get("amount", "")), lines, str(body.get("reason", "")))
    return Answer(next(refund for refund in shop.show_refunds(one) if refund["id"] == made), 201)


# --- subscriptions, where the plugin is there -------------------------------------------------------------


def _with_subscriptions(shop: Shop) -> list[Json]:
    if not shop.has_subscriptions:
        no_route(shop)
    return list(shop.subscriptions.values())


def list_subscriptions(shop: Shop) -> Answer:
    """Every subscription."""
    items = _chosen(_dated(shop, _with_subscriptions(shop)))
    if wanted := [status for status in _list_arg("status") if status != "any"]:
        items = [item for item in items if item["status"] in wanted]
    if customer := _one_arg("customer"):
        items = [item for item in items if str(item["customer_id"]) == customer]
    return _page(_sorted(items), shop.show_subscription)


def get_subscription(shop: Shop, one: int) -> Answer:
    """One subscription."""
    _with_subscriptions(shop)
    return Answer(shop.show_subscription(one))


def list_subscriptions_of_order(shop: Shop, one: int) -> Answer:
    """The subscriptions an order began or renews: the order itself does not say that it is one."""
    every = _with_subscriptions(shop)
    order = shop.show_order(one)
    renews = {str(m["value"]) for m in order["meta_data"] if m["key"] == "_subscription_renewal"}
    return _page(
        [s for s in every if s["parent_id"] == one or str(s["id"]) in renews], shop.show_subscription
    )


# --- products ---------------------------------------------------------------------------------------------


def list_products(shop: Shop) -> Answer:
    """Every product but the binned. meta_key and meta_value are ignored, so a search by them finds
    everything.

    Variations are found by SKU only. ``search`` looks at names, not at SKUs.
    """
    status, kind = _one_arg("status", "any"), _one_arg("type")
    _check_choice("status", [status], ["any", "future", "trash", "draft", "pending", "private", "publish"])
    if kind:
        allowed = [*TYPES, *(["variable-subscription"] if shop.has_subscriptions else [])]
        _check_choice("type", [kind], allowed)
    skus, part = {sku.lower() for sku in _list_arg("sku")[:100]}, _one_arg("search_sku").lower()
    with shop.lock:
        items = list(shop.products.values())
        if skus or part:
            items += shop.variations.values()
        wanted = GOODS_STATUSES if status == "any" else (status,)
        items = [item for item in items if item["status"] in wanted and kind in ("", item["type"])]
        if skus:
            items = [item for item in items if item["sku"].lower() in skus]
        if part:
            items = [item for item in items if part in item["sku"].lower()]
        if search := _one_arg("search").lower():
            items = [i for i in items if search in i["name"].lower() or search in i["description"].lower()]
        if category := _ids_arg("category"):
            items = [i for i in items if any(c["id"] in category for c in i.get("categories", ()))]
        return _page(_sorted(_chosen(_dated(shop, items))), shop.show_product)


def get_product(shop: Shop, one: int) -> Answer:
    """One product or variation."""
    return Answer(shop.show_product(one))


def create_product(shop: Shop) -> Answer:
    """A new product."""
    body = _body()
    _check_product(shop, body)
    one = shop.create_product(body)
    return Answer(shop.show_product(one), 201, {"Location": f"{request.base_url}/{one}"})


def change_product(shop: Shop, one: int) -> Answer:
    """Change a product."""
    body = _body()
    _check_product(shop, body)
    shop.change_product(one, body)
    return Answer(shop.show_product(one))


def _check_product(shop: Shop, body: Json) -> None:
    """The schema, which single requests are held to, and sub-requests of a batch are not."""
    kinds: dict[str, tuple[str, type]] = {
        **dict.fromkeys(
            words("name description short_description sku regular_price sale_price"), ("string", str)
        ),
        **dict.fromkeys(words("images categories meta_data attributes"), ("array", list)),
    }
    choices = {
        "type": [*TYPES, *(["variable-subscription"] if shop.has_subscriptions else [])],
        "status": ["draft", "pending", "private", "publish", "future", "auto-draft", "trash"],
        "catalog_visibility": ["visible", "catalog", "search", "hidden"],
    }
    problems: dict[str, tuple[str, str]] = {}
    for name, value in body.items():
        if name in kinds and not isinstance(value, kinds[name][1]):
            problems[name] = ("rest_invalid_type", f"{name} is not of type {kinds[name][0]}.")
        if name in choices and value not in choices[name]:
            text = f"{', '.join(choices[name][:-1])}, and {choices[name][-1]}"
            problems[name] = ("rest_not_in_enum", f"{name} is not one of {text}.")
        if name in ("virtual", "downloadable") and str(value).lower() not in ("true", "false", "0", "1"):
            problems[name] = ("rest_invalid_type", f"{name} is not of type boolean.")
    if problems:
        raise _invalid(problems)


def delete_product(shop: Shop, one: int) -> Answer:
    """Into the bin, or with ``force`` for ever."""
    return Answer(_delete_product(shop, one, _true("force")))


def _delete_product(shop: Shop, one: int, force: bool) -> Json:
    before = shop.show_product(one)
    if before["status"] == "trash" and not force:
        text = "The product has already been deleted."
        raise WpError("woocommerce_rest_already_trashed", text, 410)
    shop.delete_product(one, force)
    return before if force else shop.show_product(one)


def batch_products(shop: Shop) -> Answer:
    """Up to a hundred at once: always 200, with an error per item; nothing is validated, and deleting is for
    ever.
    """
    body = _body()
    if sum(len(body.get(verb) or ()) for verb in ("create", "update", "delete")) > MOST_IN_BATCH:
        text = f"Unable to accept more than {MOST_IN_BATCH} items for this request."
        raise WpError("woocommerce_rest_request_entity_too_large", text, 413)
    answer: Json = {}
    for item in body.get("create") or ():
        answer.setdefault("create", []).append(_attempt(0, partial(_create, shop, item)))
    for item in body.get("update") or ():
        answer.setdefault("update", []).append(_attempt(item.get("id", 0), partial(_change, shop, item)))
    for one in body.get("delete") or ():
        answer.setdefault("delete", []).append(_attempt(one, partial(_delete_product, shop, one, True)))
    return Answer(answer)


def _attempt(one: int, work: Callable[[], Json]) -> Json:
    try:
        return work()
    except WpError as error:
        return {"id": one, "error": error.body}


def _create(shop: Shop, item: Json) -> Json:
    return shop.show_product(shop.create_product(item))


def _change(shop: Shop, item: Json) -> Json:
    one = int(item.get("id") or 0)
    shop.change_product(one, {key: value for key, value in item.items() if key != "id"})
    return shop.show_product(one)


def list_variations(shop: Shop, one: int) -> Answer:
    """The variations of a product, the newest first."""
    items = [item for item in shop.variations.values() if item["parent_id"] == one]
    return _page(_sorted(_dated(shop, items)), shop.show_variation)


def create_variation(shop: Shop, one: int) -> Answer:
    """A new variation."""
    made = shop.create_variation(one, _body())
    return Answer(shop.show_variation(made), 201, {"Location": f"{request.base_url}/{made}"})


def get_variation(shop: Shop, parent: int, one: int) -> Answer:
    """One variation."""
    return Answer(shop.show_variation(_variation(shop, parent, one)))


def change_variation(shop: Shop, parent: int, one: int) -> Answer:
    """Change a variation; product.updated is sent with the variation in it."""
    shop.change_product(_variation(shop, parent, one), _body())
    return Answer(shop.show_variation(one))


def _variation(shop: Shop, parent: int, one: int) -> int:
    if shop.variations.get(one, {}).get("parent_id") != parent:
        raise WpError("woocommerce_rest_product_variation_invalid_id", "Invalid ID.", 404)
    return one


# --- categories -------------------------------------------------------------------------------------------


def list_categories(shop: Shop) -> Answer:
    """The categories by name; ``search`` is for a part of the name."""
    items = list(shop.categories.values())
    if _one_arg("parent") != "":
        items = [item for item in items if str(item["parent"]) == _one_arg("parent")]
    if slug := _one_arg("slug"):
        items = [item for item in items if item["slug"] == slug]
    if search := shown_name(_one_arg("search")).lower():
        items = [item for item in items if search in item["name"].lower()]
    shown = {item["id"]: item for item in shop.show_categories(item["id"] for item in _chosen(items))}
    if _true("hide_empty"):
        shown = {one: item for one, item in shown.items() if item["count"]}
    return _page(_sorted(list(shown.values()), "name"), shown.__getitem__)


def get_category(shop: Shop, one: int) -> Answer:
    """One category."""
    return Answer(shop.show_category(one))


def create_category(shop: Shop) -> Answer:
    """A new category."""
    body = _body()
    _missing(body, "name")
    parent = int(body.get("parent") or 0)
    if parent and parent not in shop.categories:
        raise WpError("woocommerce_rest_term_invalid", "Parent resource does not exist.", 404)
    texts = {key: str(body.get(key) or "") for key in ("slug", "description")}
    one = shop.add_category(str(body["name"]), parent=parent, **texts)
    return Answer(shop.show_category(one), 201, {"Location": f"{request.base_url}/{one}"})


def change_category(shop: Shop, one: int) -> Answer:
    """Rename or move a category; its products follow."""
    shop.show_category(one)
    body = _body()
    with shop.lock:
        category = shop.categories[one]
        for key in ("description", "parent", "display", "menu_order"):
            category[key] = body.get(key, category[key])
        category["name"] = shown_name(body.get("name", category["name"]))
        category["slug"] = slugify(str(body.get("slug") or category["slug"]))
        for product in shop.products.values():
            for held in product["categories"]:
                if held["id"] == one:
                    held |= {key: category[key] for key in ("name", "slug")}
    return Answer(shop.show_category(one))


def delete_category(shop: Shop, one: int) -> Answer:
    """Categories have no bin."""
    before = shop.show_category(one)
    if not _true("force"):
        text = "Resource does not support trashing."
        raise WpError("woocommerce_rest_trash_not_supported", text, 501)
    with shop.lock:
        del shop.categories[one]
        for product in shop.products.values():
            kept = [held for held in product["categories"] if held["id"] != one]
            product["categories"] = kept or shop.no_category()
    return Answer(before)


# --- customers --------------------------------------------------------------------------------------------


def list_customers(shop: Shop) -> Answer:
    """The customers by registration."""
    items = _chosen(list(shop.customers.values()))
    if email := _one_arg("email").lower():
        items = [item for item in items if item["email"].lower() == email]
    if search := _one_arg("search").lower():
        items = [
            i
            for i in items
            if search in f"{i['email']} {i['username']} {i['first_name']} {i['last_name']}".lower()
        ]
    return _page(sorted(items, key=lambda item: item["id"]), shop.show_customer)


def get_customer(shop: Shop, one: int) -> Answer:
    """One customer."""
    return Answer(shop.show_customer(one))


def create_customer(shop: Shop) -> Answer:
    """A new account."""
    body = _body()
    _missing(body, "email")
    one = shop.add_customer(**{key: value for key, value in body.items() if key != "password"})
    return Answer(shop.show_customer(one), 201, {"Location": f"{request.base_url}/{one}"})


def change_customer(shop: Shop, one: int) -> Answer:
    """Change an account."""
    shop.change_customer(one, _body())
    return Answer(shop.show_customer(one))


# --- webhooks ---------------------------------------------------------------------------------------------


def _show_webhook(shop: Shop, one: int) -> Json:
    if one not in shop.webhooks:
        raise WpError("woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.", 404)
    return shop.webhooks[one] | {"_links": links(shop.url, "webhooks", one)}


def list_webhooks(shop: Shop) -> Answer:
    """The webhooks. Neither a secret nor the count of failures is ever shown."""
    wanted = _one_arg("status", "all")
    _check_choice("status", [wanted], ["all", "active", "paused", "disabled"])
    items = [item for item in shop.webhooks.values() if wanted in ("all", item["status"])]
    return _page(_sorted(items), partial(_show_webhook, shop))


def get_webhook(shop: Shop, one: int) -> Answer:
    """One webhook."""
    return Answer(_show_webhook(shop, one))


def create_webhook(shop: Shop) -> Answer:
    """A new webhook; its receiver is pinged, and 201 is the answer whatever it says to that.

    The topic is checked in lower case but kept as it came, so "Order.Created" makes a dead webhook.
    """
    body = _body()
    _missing(body, "topic", "delivery_url")
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
    body = _body()
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
            raise _invalid(
                {"status": ("rest_not_in_enum", "status is not one of active, paused, and disabled.")}
            )


def delete_webhook(shop: Shop, one: int) -> Answer:
    """Webhooks have no bin."""
    before = _show_webhook(shop, one)
    if not _true("force"):
        text = "Webhooks do not support being trashed."
        raise WpError("woocommerce_rest_trash_not_supported", text, 501)
    with shop.lock:
        shop.hooks.remove(one)
    return Answer(before)


def no_route(shop: Shop, **ids: Any) -> Answer:
    """There is nothing here."""
    raise WpError("rest_no_route", "No route was found matching the URL and request method.", 404)


EDIT = "POST PUT PATCH"
ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "orders", list_orders),
    ("POST", "orders", create_order),
    ("GET", "orders/<int:one>", get_order),
    (EDIT, "orders/<int:one>", change_order),
    ("DELETE", "orders/<int:one>", delete_order),
    ("GET", "orders/<int:one>/notes", list_notes),
    ("POST", "orders/<int:one>/notes", create_note),
    ("GET", "orders/<int:one>/refunds", list_refunds),
    ("POST", "orders/<int:one>/refunds", create_refund),
    ("GET", "orders/<int:one>/subscriptions", list_subscriptions_of_order),
    ("GET", "subscriptions", list_subscriptions),
    ("GET", "subscriptions/<int:one>", get_subscription),
    ("GET", "products", list_products),
    ("POST", "products", create_product),
    (EDIT, "products/batch", batch_products),
    ("GET", "products/<int:one>", get_product),
    (EDIT, "products/<int:one>", change_product),
    ("DELETE", "products/<int:one>", delete_product),
    ("GET", "products/<int:one>/variations", list_variations),
    ("POST", "products/<int:one>/variations", create_variation),
    ("GET", "products/<int:parent>/variations/<int:one>", get_variation),
    (EDIT, "products/<int:parent>/variations/<int:one>", change_variation),
    ("GET", "products/categories", list_categories),
    ("POST", "products/categories", create_category),
    ("GET", "products/categories/<int:one>", get_category),
    (EDIT, "products/categories/<int:one>", change_category),
    ("DELETE", "products/categories/<int:one>", delete_category),
    ("GET", "customers", list_customers),
    ("POST", "customers", create_customer),
    ("GET", "customers/<int:one>", get_customer),
    (EDIT, "customers/<int:one>", change_customer),
    ("GET", "webhooks", list_webhooks),
    ("POST", "webhooks", create_webhook),
    ("GET", "webhooks/<int:one>", get_webhook),
    (EDIT, "webhooks/<int:one>", change_webhook),
    ("DELETE", "webhooks/<int:one>", delete_webhook),
]
