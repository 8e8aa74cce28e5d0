"""The embedded shop's REST routes for products, variations and categories."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flask import request

from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_goods import TYPES
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
from bridge.sandbox.shop_shapes import Json, words
from bridge.sandbox.shop_text import shown_name, slugify
from bridge.sandbox.shop_world import WpError

GOODS_STATUSES = ("draft", "pending", "private", "publish", "future")
MOST_IN_BATCH = 100

# --- products ---------------------------------------------------------------------------------------------


def list_products(shop: Shop) -> Answer:
    """Every product but the binned. meta_key and meta_value are ignored, so a search by them finds
    everything.

    Variations are found by SKU only. ``search`` looks at names, not at SKUs.
    """
    status, kind = one_arg("status", "any"), one_arg("type")
    check_choice("status", [status], ["any", "future", "trash", "draft", "pending", "private", "publish"])
    if kind:
        allowed = _types(shop)
        check_choice("type", [kind], allowed)
    skus, part = {sku.lower() for sku in list_arg("sku")[:100]}, one_arg("search_sku").lower()
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
        if search := one_arg("search").lower():
            items = [i for i in items if search in i["name"].lower() or search in i["description"].lower()]
        if category := ids_arg("category"):
            items = [i for i in items if any(c["id"] in category for c in i.get("categories", ()))]
        return one_page(in_order(by_id(by_date(shop, items))), partial(shop.show_product, edit=_editing()))


def _types(shop: Shop) -> list[str]:
    """The types that REST takes. Of subscriptions, "subscription" is none of them in a new shop."""
    more = {"variable-subscription": shop.has_subscriptions, "bundle": shop.has_bundles}
    return [*TYPES, *(name for name, there in more.items() if there)]


def get_product(shop: Shop, one: int) -> Answer:
    """One product or variation."""
    return Answer(shop.show_product(one, edit=_editing()))


def _editing() -> bool:
    return one_arg("context") == "edit"


def create_product(shop: Shop) -> Answer:
    """A new product."""
    body = body_of()
    _check_product(shop, body)
    one = shop.create_product(body)
    return Answer(shop.show_product(one, edit=True), 201, {"Location": f"{request.base_url}/{one}"})


def change_product(shop: Shop, one: int) -> Answer:
    """Change a product."""
    body = body_of()
    _check_product(shop, body)
    shop.change_product(one, body)
    return Answer(shop.show_product(one, edit=True))


def _check_product(shop: Shop, body: Json) -> None:
    """The schema, which single requests are held to, and sub-requests of a batch are not."""
    kinds: dict[str, tuple[str, type]] = {
        **dict.fromkeys(words("name description short_description sku regular_price sale_price"), ("string", str)),
        **dict.fromkeys(words("images categories meta_data attributes"), ("array", list)),
    }
    choices = {
        "type": _types(shop),
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
        raise invalid(problems)


def delete_product(shop: Shop, one: int) -> Answer:
    """Into the bin, or with ``force`` for ever."""
    return Answer(_delete_product(shop, one, is_true("force")))


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
    body = body_of()
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
    return shop.show_product(shop.create_product(item), edit=True)


def _change(shop: Shop, item: Json) -> Json:
    one = int(item.get("id") or 0)
    shop.change_product(one, {key: value for key, value in item.items() if key != "id"})
    return shop.show_product(one, edit=True)


def list_variations(shop: Shop, one: int) -> Answer:
    """The variations of a product, the newest first."""
    items = [item for item in shop.variations.values() if item["parent_id"] == one]
    return one_page(in_order(by_date(shop, items)), shop.show_variation)


def create_variation(shop: Shop, one: int) -> Answer:
    """A new variation."""
    made = shop.create_variation(one, body_of())
    return Answer(shop.show_variation(made), 201, {"Location": f"{request.base_url}/{made}"})


def get_variation(shop: Shop, parent: int, one: int) -> Answer:
    """One variation."""
    return Answer(shop.show_variation(_variation(shop, parent, one)))


def change_variation(shop: Shop, parent: int, one: int) -> Answer:
    """Change a variation; product.updated is sent with the variation in it."""
    shop.change_product(_variation(shop, parent, one), body_of())
    return Answer(shop.show_variation(one))


def _variation(shop: Shop, parent: int, one: int) -> int:
    if shop.variations.get(one, {}).get("parent_id") != parent:
        raise WpError("woocommerce_rest_product_variation_invalid_id", "Invalid ID.", 404)
    return one


# --- categories -------------------------------------------------------------------------------------------


def list_categories(shop: Shop) -> Answer:
    """The categories by name; ``search`` is for a part of the name."""
    items = list(shop.categories.values())
    if one_arg("parent") != "":
        items = [item for item in items if str(item["parent"]) == one_arg("parent")]
    if slug := one_arg("slug"):
        items = [item for item in items if item["slug"] == slug]
    if search := shown_name(one_arg("search")).lower():
        items = [item for item in items if search in item["name"].lower()]
    shown = {item["id"]: item for item in shop.show_categories(item["id"] for item in by_id(items))}
    if is_true("hide_empty"):
        shown = {one: item for one, item in shown.items() if item["count"]}
    return one_page(in_order(list(shown.values()), "name"), shown.__getitem__)


def get_category(shop: Shop, one: int) -> Answer:
    """One category."""
    return Answer(shop.show_category(one))


def create_category(shop: Shop) -> Answer:
    """A new category."""
    body = body_of()
    require(body, "name")
    parent = int(body.get("parent") or 0)
    if parent and parent not in shop.categories:
        raise WpError("woocommerce_rest_term_invalid", "Parent resource does not exist.", 404)
    texts = {key: str(body.get(key) or "") for key in ("slug", "description")}
    one = shop.add_category(str(body["name"]), parent=parent, **texts)
    return Answer(shop.show_category(one), 201, {"Location": f"{request.base_url}/{one}"})


def change_category(shop: Shop, one: int) -> Answer:
    """Rename or move a category; its products follow."""
    shop.show_category(one)
    body = body_of()
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
    if not is_true("force"):
        text = "Resource does not support trashing."
        raise WpError("woocommerce_rest_trash_not_supported", text, 501)
    with shop.lock:
        del shop.categories[one]
        for product in shop.products.values():
            kept = [held for held in product["categories"] if held["id"] != one]
            product["categories"] = kept or shop.no_category()
    return Answer(before)
