"""Bundles, as the extension Product Bundles sells them: a parent line, and a line for each thing in the bundle.

After its REST reference (https://woocommerce.com/document/bundles-rest-api-reference) and the metadata its lines
are known by. Not recorded: the shop that was recorded had no bundles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from bridge.sandbox.shop_goods import Files, Goods
from bridge.sandbox.shop_shapes import Json, entries, merge_meta, words

#: Of products, with what a product that is no bundle has in them.
NO_BUNDLE: Json = {
    "bundled_by": [],
    "bundle_stock_status": "",
    "bundle_stock_quantity": "",
    "bundle_virtual": False,
    "bundle_layout": "",
    "bundle_add_to_cart_form_location": "",
    "bundle_editable_in_cart": False,
    "bundle_sold_individually_context": "",
    "bundle_item_grouping": "",
    "bundle_min_size": "",
    "bundle_max_size": "",
    "bundle_price": [],
    "bundled_items": [],
}


class Bundles(Goods):
    """A catalogue with bundles. ``has_bundles`` says that the extension is there: it adds fields to every
    product and to every line of an order.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.has_bundles = False
        super().__init__(*args, **options)

    def add_bundle(
        self,
        name: str,
        items: Iterable[int | tuple[int, int]],
        *,
        price: str = "0",
        priced_individually: bool = False,
        **fields: Any,
    ) -> int:
        """A bundle of products or variations, some perhaps more than once: (product, how many).

        It costs ``price``, and with ``priced_individually`` what its children cost besides.
        """
        with self.lock:
            self.has_bundles = True
            given = [item if isinstance(item, tuple) else (item, 1) for item in items]
            held = [
                _bundled_item(at, one, quantity, priced_individually) for at, (one, quantity) in enumerate(given, 1)
            ]
            return self.add_product(name, type="bundle", price=price, bundled_items=held, **fields)

    def _write(self, item: Json, fields: Json, files: Files) -> None:
        super()._write(item, fields, files)
        if item["type"] == "bundle":
            given: list[Json] = fields.get("bundled_items") or item.get("bundled_items") or []
            item["bundled_items"] = [
                _bundled_item(at, one["product_id"], int(one.get("quantity_default", 1)), False) | one
                for at, one in enumerate(given, 1)
            ]

    def _refresh(self, item: Json) -> None:
        super()._refresh(item)
        if item["type"] == "bundle":
            own = Decimal(item["regular_price"] or "0")
            item["price"] = str(own + sum((self._adds(held) for held in item["bundled_items"]), Decimal(0)))
            item["purchasable"] = True

    def _adds(self, held: Json) -> Decimal:
        child = self.products.get(held["product_id"]) or self.variations.get(held["product_id"])
        if not child or not held["priced_individually"]:
            return Decimal(0)
        return Decimal(child["price"] or "0") * int(held["quantity_default"])

    def show_product(self, one: int, *, edit: bool = False) -> Json:
        """A product with the extension's fields, where the extension is."""
        with self.lock:
            shown = super().show_product(one, edit=edit)
            shown.pop("bundled_items", None)
            if not self.has_bundles:
                return shown
            more, item = dict(NO_BUNDLE), self._goods(one)
            if item["type"] == "bundle":
                more |= {"bundled_items": item["bundled_items"], "bundle_layout": "default"}
                more |= {"bundle_virtual": item["virtual"], "bundle_item_grouping": "parent"}
                more |= {"bundle_stock_status": "instock", "bundle_add_to_cart_form_location": "default"}
                more["bundle_sold_individually_context"] = "product"
                more["bundle_price"] = {which: _range(item[which]) for which in ("price", "regular_price")}
            more["bundled_by"] = [
                other["id"]
                for other in self.products.values()
                if any(held["product_id"] == one for held in other.get("bundled_items", ()))
            ]
            tail = {"_links": shown.pop("_links")}
            return shown | more | tail

    def _show_lines(self, lines: list[Json]) -> list[Json]:
        """Lines of an order as REST shows them: where the extension is, each says what it belongs to."""
        if not self.has_bundles:
            return lines
        by_key = {key: line["id"] for line in lines if (key := _meta(line, "_bundle_cart_key"))}
        parents = {line["id"]: by_key.get(_meta(line, "_bundled_by")) for line in lines}
        return [
            line
            | {"bundled_by": parents[line["id"]] or "", "bundled_item_title": ""}
            | {"bundled_items": [child for child, parent in parents.items() if parent == line["id"]]}
            for line in lines
        ]


def _bundled_item(at: int, product: int, quantity: int, priced_individually: bool) -> Json:
    texts = words("title description discount")
    shown = words("single_product cart order single_product_price cart_price order_price")
    yes_no = words("shipped_individually override_title override_description optional hide_thumbnail")
    return {
        "bundled_item_id": at,
        "product_id": product,
        "menu_order": at - 1,
        **dict.fromkeys(words("quantity_min quantity_max quantity_default"), quantity),
        "priced_individually": priced_individually,
        **dict.fromkeys(yes_no, False),
        **dict.fromkeys(texts, ""),
        "override_variations": False,
        "allowed_variations": [],
        "override_default_variation_attributes": False,
        "default_variation_attributes": [],
        **{f"{name}_visibility": "visible" for name in shown},
        "stock_status": "in_stock",
    }


def _range(price: str) -> Json:
    return {end: {"incl_tax": price, "excl_tax": price} for end in ("min", "max")}


def _meta(line: Json, key: str) -> Any:
    return next((entry["value"] for entry in line["meta_data"] if entry["key"] == key), None)


def tie_bundle(bundle: Json, parent: Json, children: list[Json], new_id: Callable[[], int]) -> None:
    """Write into the lines of one bundle what ties them together: keys of the cart, not ids of lines."""
    held = bundle["bundled_items"]
    keys = [hashlib.md5(f"line {line['id']}".encode()).hexdigest() for line in (parent, *children)]  # noqa: S324
    stamp = {
        str(item["bundled_item_id"]): {
            "product_id": item["product_id"],
            "quantity": item["quantity_default"],
            "discount": "",
        }
        for item in held
    }
    meta = {"_bundled_items": keys[1:], "_bundle_group_mode": "parent", "_stamp": stamp, "_bundle_cart_key": keys[0]}
    merge_meta(parent["meta_data"], entries(meta), new_id, of_line=True)
    for item, line, key in zip(held, children, keys[1:], strict=True):
        meta = {
            "_bundled_by": keys[0],
            "_bundled_item_id": item["bundled_item_id"],
            "_bundled_item_priced_individually": "yes" if item["priced_individually"] else "no",
            "_stamp": stamp,
            "_bundle_cart_key": key,
            "_bundled_item_needs_shipping": "no",
        }
        merge_meta(line["meta_data"], entries(meta), new_id, of_line=True)
