"""The embedded shop's catalogue: products, variations, categories and images, with WooCommerce's habits."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import requests

from bridge.sandbox.shop_hooks import outgoing
from bridge.sandbox.shop_shapes import (
    Json,
    decimal_text,
    entries,
    links,
    merge_meta,
    new_category,
    new_product,
    new_variation,
    price_html,
    words,
)
from bridge.sandbox.shop_text import autop, kses, shown_name, slugify
from bridge.sandbox.shop_world import World, WpError

IMAGES = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png", "gif": "gif", "webp": "webp", "avif": "avif"}
TYPES = ("simple", "grouped", "external", "variable")
TYPES_OF_EXTENSIONS = ("subscription", "variable-subscription", "bundle")
# Written as they are given; everything else that can be written has a rule of its own.
PLAIN = words(
    "slug status featured catalog_visibility virtual downloadable external_url button_text tax_status "
    "tax_class manage_stock stock_quantity stock_status sold_individually weight dimensions reviews_allowed "
    "upsell_ids cross_sell_ids parent_id menu_order default_attributes grouped_products tags brands "
    "purchase_note total_sales low_stock_amount global_unique_id"
)
# Metadata with these keys are the product's own fields.
FIELDS_OF_META = {
    "_sku": "sku",
    "_regular_price": "regular_price",
    "_price": "price",
    "_stock": "stock_quantity",
}
Files = dict[str, tuple[bytes, str]]


class Goods(World):
    """Products, variations, categories, images. The dictionaries hold things as REST shows them, less
    ``_links``.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.products: dict[int, Json] = {}
        self.variations: dict[int, Json] = {}
        self.categories: dict[int, Json] = {}
        self.attachments: dict[int, tuple[bytes, str]] = {}  # id -> bytes, extension
        self._by_sku: dict[str, int] = {}
        self.uncategorized = self.add_category("Uncategorized")

    # --- as the staff -------------------------------------------------------------------------------------

    def add_category(self, name: str, *, parent: int = 0, slug: str = "", description: str = "") -> int:
        """A category. The same name under the same parent is refused, under another one it is fine."""
        with self.lock:
            shown = shown_name(name)
            for other in self.categories.values():
                if other["parent"] == parent and other["name"].lower() == shown.lower():
                    text = "A term with the name provided already exists with this parent."
                    raise WpError("term_exists", text, 400, resource_id=other["id"])
            one = next(self._terms)
            slug = slugify(slug or shown)
            if any(other["slug"] == slug for other in self.categories.values()):
                slug = f"{slug}-{one}"
            self.categories[one] = new_category(one, shown, slug, parent, description)
            return one

    def add_product(
        self,
        name: str,
        *,
        sku: str = "",
        price: str = "",
        status: str = "publish",
        type: str = "simple",
        parent: int = 0,
        meta: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> int:
        """A product as the staff makes it: virtual, as courses are. ``parent`` is a grouped product to put
        it in, ``meta`` its custom fields.
        """
        given = {
            "name": name,
            "sku": sku,
            "status": status,
            "type": type,
            "virtual": True,
            "regular_price": price,
        }
        if type in ("variable", "variable-subscription", "grouped"):
            given |= {"virtual": False, "regular_price": ""}
        fields["meta_data"] = [*fields.get("meta_data", ()), *entries(meta or {})]
        one = self.create_product(given | fields)
        if parent:
            self.products[parent]["grouped_products"].append(one)
            self._refresh(self.products[parent])
        return one

    def add_variation(
        self,
        product_id: int,
        *,
        sku: str = "",
        price: str = "",
        attributes: Iterable[tuple[str, str]] = (),
        **fields: Any,
    ) -> int:
        """A variation, for example with ``attributes=[("Session", "Autumn")]``."""
        given = [{"name": name, "option": option} for name, option in attributes]
        return self.create_variation(product_id, {"sku": sku, "regular_price": price, "attributes": given} | fields)

    def edit_product(self, product_id: int, **fields: Any) -> None:
        """What the staff does on the edit page of a product or a variation."""
        self.change_product(product_id, fields)

    def delete_product(self, product_id: int, force: bool = False) -> None:
        """Into the bin, where it keeps its SKU; or, with ``force``, gone.

        The lines of orders then show product 0 and no SKU, and only the name is left. Only the bin sends
        product.deleted.
        """
        with self.lock:
            item = self._goods(product_id)
            if not force:
                item["status"] = "trash"
                item |= self._moment("modified")
                self.hooks.fire("product.deleted", product_id)
                return
            gone = {product_id, *item.get("variations", ())}
            for one in gone:
                found = self.products.pop(one, None) or self.variations.pop(one, None)
                if found:
                    self._by_sku.pop(found["sku"].lower(), None)
            if item["type"] == "variation" and item["parent_id"] in self.products:
                self._refresh(self.products[item["parent_id"]])
            self._forget_in_lines(gone)

    def _forget_in_lines(self, gone: set[int]) -> None:
        raise NotImplementedError

    # --- as REST writes -----------------------------------------------------------------------------------

    def create_product(self, fields: Json) -> int:
        """A new product from REST's fields. Raises :class:`WpError`; then nothing was made."""
        files = self._download(fields)
        with self.lock:
            one = next(self._posts)
            product = new_product(one, self.now(), self.utc_offset)
            self._write(product, fields, files)
            self.products[one] = product
            self._index(product)
            self._refresh(product)
            self.hooks.fire("product.created", one)
            return one

    def create_variation(self, product_id: int, fields: Json) -> int:
        """A new variation from REST's fields."""
        files = self._download(fields)
        with self.lock:
            parent = self._goods(product_id)
            one = next(self._posts)
            variation = new_variation(one, product_id, self.now(), self.utc_offset)
            self._write(variation, fields, files)
            self.variations[one] = variation
            self._index(variation)
            parent["variations"].append(one)
            for attribute in variation["attributes"]:
                self._offer_option(parent, attribute["name"], attribute["option"])
            self._refresh(variation)
            self.hooks.fire("product.created", one)
            return one

    def change_product(self, one: int, fields: Json) -> None:
        """Change a product or a variation. Even when nothing changes, it is modified and product.updated is
        sent.
        """
        files = self._download(fields)
        with self.lock:
            item = self._goods(one, 400)
            changed = copy.deepcopy(item)
            self._write(changed, fields, files)
            self._by_sku.pop(item["sku"].lower(), None)
            item.clear()
            item |= changed | self._moment("modified")
            self._index(item)
            self._refresh(item)
            self.hooks.fire("product.updated", one)

    def _goods(self, one: int, status: int = 404) -> Json:
        """A product or a variation. Not to find it is 404 to who reads, and 400 to who writes."""
        found = self.products.get(one) or self.variations.get(one)
        if found is None:
            raise WpError("woocommerce_rest_product_invalid_id", "Invalid ID.", status)
        return found

    def _write(self, item: Json, fields: Json, files: Files) -> None:
        fields = dict(fields)
        meta = fields.pop("meta_data", None) or []
        for entry in meta:
            if entry.get("key") in FIELDS_OF_META:
                fields[FIELDS_OF_META[entry["key"]]] = entry.get("value")
        merge_meta(item["meta_data"], [m for m in meta if m.get("key") not in FIELDS_OF_META], self._new_meta)
        for key in PLAIN:
            if key in item and fields.get(key) is not None:
                item[key] = fields[key]
        if item["type"] != "variation":
            item["name"] = shown_name(fields.get("name", item["name"]))
            # An unknown type, which only a batch lets through, becomes a simple product.
            kind = fields.get("type", item["type"])
            item["type"] = kind if kind in (*TYPES, *TYPES_OF_EXTENSIONS) else "simple"
        for key in ("description", "short_description"):
            if key in item and key in fields:
                item[key] = kses(str(fields[key] or ""))
        if fields.get("sku") is not None:
            self._check_sku(str(fields["sku"]), item["id"])
            item["sku"] = str(fields["sku"])
        for key in ("regular_price", "sale_price", "price"):
            if key in fields:
                item[key] = decimal_text(fields[key])
        if "attributes" in fields:
            item["attributes"] = [self._attribute(item, n, a) for n, a in enumerate(fields["attributes"] or ())]
        if "categories" in item and ("categories" in fields or not item["categories"]):
            item["categories"] = self._categories(fields.get("categories"))
        if "images" in item and fields.get("images") is not None:
            item["images"] = [self._image(image, files) for image in fields["images"]]
        if item["type"] == "variation" and fields.get("image"):
            item["image"] = self._image(fields["image"], files)

    def _attribute(self, item: Json, position: int, given: Json) -> Json:
        name = str(given.get("name", ""))
        if item["type"] == "variation":
            return {"id": 0, "name": name, "slug": slugify(name), "option": str(given.get("option", ""))}
        return {
            "id": 0,
            "name": name,
            "slug": name,
            "position": position,
            "visible": bool(given.get("visible", False)),
            "variation": bool(given.get("variation", False)),
            "options": list(given.get("options", ())),
        }

    def _offer_option(self, parent: Json, name: str, option: str) -> None:
        for attribute in parent["attributes"]:
            if attribute["name"] == name:
                if option not in attribute["options"]:
                    attribute["options"].append(option)
                return
        given = {"name": name, "visible": True, "variation": True, "options": [option]}
        parent["attributes"].append(self._attribute(parent, len(parent["attributes"]), given))

    def _refresh(self, item: Json) -> None:
        """Work out what follows from the other fields: price, address, what can be bought."""
        if item["type"] == "variation":
            parent = self.products[item["parent_id"]]
            item["name"] = ", ".join(attribute["option"] for attribute in item["attributes"])
            item["price"] = item["sale_price"] or item["regular_price"]
            item["purchasable"] = item["price"] != ""
            self._refresh(parent)
            return
        if item["type"] in ("variable", "variable-subscription", "grouped"):
            item["variations"] = [v["id"] for v in self.variations.values() if v["parent_id"] == item["id"]]
            children = [self.variations[one] for one in item["variations"]]
            children += [self.products[one] for one in item["grouped_products"] if one in self.products]
            prices = [child["price"] for child in children if child["price"]]
            item["price"] = min(prices, key=Decimal) if prices else ""
        elif item["regular_price"] or item["sale_price"] or not item["price"]:
            item["price"] = item["sale_price"] or item["regular_price"]
        item["on_sale"] = item["sale_price"] != ""
        # True for drafts as well: an administrator's key may buy them.
        item["purchasable"] = item["price"] != "" and item["type"] not in ("grouped", "external")
        item["has_options"] = item["type"].startswith("variable")
        item["shipping_required"] = item["shipping_taxable"] = not item["virtual"]
        item["price_html"] = price_html(item["price"], self.currency)
        if not item["slug"] and item["status"] not in ("draft", "pending", "auto-draft"):
            item["slug"] = slugify(item["name"])

    # --- SKUs, categories, images -------------------------------------------------------------------------

    def find_by_sku(self, sku: str) -> Json | None:
        """The product or variation with this SKU, whatever its case, in the bin too."""
        one = self._by_sku.get(sku.lower(), 0)
        return self.products.get(one) or self.variations.get(one)

    def _index(self, item: Json) -> None:
        if item["sku"]:
            self._by_sku[item["sku"].lower()] = item["id"]

    def _check_sku(self, sku: str, besides: int) -> None:
        holder = self.find_by_sku(sku) if sku else None
        if holder is None or holder["id"] == besides:
            return
        if holder["status"] == "trash":
            text = f"The product with SKU ({sku}) you are trying to insert is already present in the lookup"
            text += " table"
            raise WpError("woocommerce_rest_product_not_created", text, 400)
        free = next(n for n in range(1, 10**6) if self.find_by_sku(f"{sku}-{n}") is None)
        raise WpError(
            "product_invalid_sku",
            "Invalid or duplicated SKU.",
            400,
            resource_id=holder["id"],
            unique_sku=f"{sku}-{free}",
        )

    def _categories(self, given: Any) -> list[Json]:
        """Unknown ids, names without ids, and an empty list all become "Uncategorized" without an error."""
        ids = [entry.get("id") for entry in given or () if isinstance(entry, dict)]
        known = [one for one in dict.fromkeys(ids) if one in self.categories]
        return [self._short_category(one) for one in known] or self.no_category()

    def no_category(self) -> list[Json]:
        """What a product without a category is in."""
        return [self._short_category(self.uncategorized)]

    def _short_category(self, one: int) -> Json:
        return {key: self.categories[one][key] for key in ("id", "name", "slug")}

    def _download(self, fields: Json) -> Files:
        """Fetch the images that come with an address; one which has an id already is left alone."""
        images = [*(fields.get("images") or ()), fields.get("image") or {}]
        wanted = [str(image["src"]) for image in images if image.get("src") and not image.get("id")]
        files: Files = {}
        for src in wanted:
            kind = PurePosixPath(urlsplit(src).path).suffix.lstrip(".").lower()
            if kind not in IMAGES:
                text = "Invalid image: Sorry, you are not allowed to upload this file type."
                raise WpError("woocommerce_product_image_upload_error", text, 400)
            try:
                with outgoing() as session:
                    answer = session.get(src, timeout=10)
                answer.raise_for_status()
            except requests.RequestException as error:
                text = f"Error getting remote image {src}. Error: {type(error).__name__}."
                raise WpError("woocommerce_product_image_upload_error", text, 400) from error
            files[src] = answer.content, kind
        return files

    def _image(self, given: Json, files: Files) -> Json:
        """An image of a product: a new attachment for each ``src``, the same one for an ``id``."""
        one, src = given.get("id") or 0, str(given.get("src", ""))
        name = given.get("name", "")
        if not one and src in files:
            one = next(self._posts)
            self.attachments[one] = files[src]
            name = name or PurePosixPath(urlsplit(src).path).name
        if one not in self.attachments:
            raise WpError("woocommerce_product_invalid_image_id", f"#{one} is an invalid image ID.", 400)
        return {
            "id": one,
            **self._moment("created"),
            **self._moment("modified"),
            "src": f"{self.url}/wp-content/uploads/{one}.{self.attachments[one][1]}",
            "name": name,
            "alt": given.get("alt", ""),
        }

    # --- as REST shows ------------------------------------------------------------------------------------

    def show_product(self, one: int, *, edit: bool = False) -> Json:
        """A product, or a variation in the shape of a product, as products/ID answers it.

        Texts come rendered, in the context of editing as they are stored.
        """
        with self.lock:
            item = copy.deepcopy(self._goods(one))
            if not edit:
                texts = ("description", "short_description")
                item |= {name: autop(item[name]) for name in texts if item.get(name)}
            if item["type"] == "variation":
                item = self._variation_as_product(item)
            if item["slug"] and item["type"] != "variation":
                item["permalink"] = f"{self.url}/product/{item['slug']}/"
            elif item["type"] != "variation":
                item["permalink"] = f"{self.url}/?post_type=product&p={one}"
            return item | {"_links": links(self.url, "products", one)}

    def _variation_as_product(self, variation: Json) -> Json:
        parent = self.products[variation["parent_id"]]
        item = new_product(variation["id"], self.now(), self.utc_offset)
        item |= {key: value for key, value in variation.items() if key in item}
        return item | {
            "name": f"{parent['name']} - {variation['name']}",
            "slug": f"{parent['slug']}-{slugify(variation['name'])}",
            "permalink": self._variation_url(variation),
            "images": [variation["image"]] if variation["image"] else [],
            "price_html": price_html(variation["price"], self.currency),
            "shipping_required": not variation["virtual"],
            "shipping_taxable": not variation["virtual"],
        }

    def _variation_url(self, variation: Json) -> str:
        choice = "&".join(f"attribute_{a['slug']}={a['option']}" for a in variation["attributes"])
        return f"{self.url}/product/{self.products[variation['parent_id']]['slug']}/?{choice}"

    def show_variation(self, one: int) -> Json:
        """A variation as products/ID/variations answers it."""
        with self.lock:
            item = copy.deepcopy(self._goods(one))
            item["permalink"] = self._variation_url(item)
            parent = item["parent_id"]
            more = links(self.url, f"products/{parent}/variations", one, up=f"products/{parent}")
            return item | {"_links": more}

    def show_category(self, one: int) -> Json:
        """A category with the number of its published products."""
        with self.lock:
            if one not in self.categories:
                raise WpError("woocommerce_rest_term_invalid", "Resource does not exist.", 404)
            more = {
                "count": self._in_categories()[one],
                "_links": links(self.url, "products/categories", one),
            }
            return self.categories[one] | more

    def show_categories(self, ids: Iterable[int]) -> list[Json]:
        """Several categories, the products counted once."""
        with self.lock:
            counts = self._in_categories()
            return [
                self.categories[one] | {"count": counts[one], "_links": links(self.url, "products/categories", one)}
                for one in ids
            ]

    def _in_categories(self) -> Counter[int]:
        published = (p for p in self.products.values() if p["status"] == "publish")
        return Counter(category["id"] for product in published for category in product["categories"])
