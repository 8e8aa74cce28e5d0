"""A plan of the catalogue carried out: what is sent to the shop, and what is written down of it.

A hundred products at a time: while the shop works on one batch, the next is made ready and the one before is written
down. If we are cut off, what the shop has taken on without our writing it down is known again by the marks that it
carries; so at most three batches are ever looked at anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import delete, select

from bridge import metrics
from bridge.ahead import Ahead
from bridge.domain.catalogue import course_of, digest, digests, sku_of
from bridge.domain.lms import Category, CourseImage, Tree
from bridge.domain.texts import plain
from bridge.errors import NotFound, Refused
from bridge.store.db import Store
from bridge.store.models import pictures, product_categories, products
from bridge.store.shelf import Shelf
from bridge.store.upsert import Upsert
from bridge.totara_client import TotaraClient
from bridge.woo_client import WooClient

SENT_META = "_bridge_sent"  # what we sent, kept on the product: by it a product of ours is known again
COURSE_META = "_totara_course_id"
IMAGE_ERRORS = ("woocommerce_product_image_upload_error", "woocommerce_rest_invalid_image")
PLAIN_FIELDS = ("name", "description", "status", "regular_price")
ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}


def shown_fields(product: Mapping[str, Any]) -> dict[str, Any]:
    """A product's fields as the shop shows them, in the shape in which we compare them."""
    images = product.get("images") or []
    return {
        "name": product.get("name"),
        "description": product.get("description"),
        "categories": sorted(int(c["id"]) for c in product.get("categories") or [] if c.get("slug") != "uncategorized"),
        "image": images[0]["id"] if images else None,
        "status": product.get("status"),
        "regular_price": product.get("regular_price"),
    }


def sent_before(product: Mapping[str, Any]) -> dict[str, str]:
    """The digests of what we last sent, as they stand on the product itself; empty if it is not of our making."""
    meta = {m["key"]: m["value"] for m in product.get("meta_data") or ()}
    if meta.get(COURSE_META) != str(course_of(product.get("sku"))):
        return {}  # a duplicate carries the marks of what it was made from
    sent = meta.get(SENT_META)
    return sent if isinstance(sent, dict) else {}


@dataclass(slots=True)
class Batch:
    """Up to a hundred products on their way. ``bodies`` is what is sent, by course; ``quiet`` needs no sending."""

    create: list[Any] = field(default_factory=list)
    update: list[Any] = field(default_factory=list)
    quiet: list[Any] = field(default_factory=list)
    bodies: dict[int, dict[str, Any]] = field(default_factory=dict)
    sent: dict[int, dict[str, str]] = field(default_factory=dict)  # digests of the fields, by course
    shown: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # the quiet ones as the shop has them
    outcomes: Sequence[dict[str, Any] | Refused] = ()
    troubles: list[str] = field(default_factory=list)

    def put(self, row: Any, made: tuple[dict[str, Any], dict[str, str]]) -> None:
        """One more to be sent."""
        self.bodies[row.course_id], self.sent[row.course_id] = made
        (self.create if row.action == "create" else self.update).append(row)

    def of(self, rows: Iterable[Any]) -> list[dict[str, Any]]:
        """What is sent for these."""
        return [self.bodies[row.course_id] for row in rows]


class CatalogueWriter:
    """Carries out one plan, once. ``done`` counts products by action, ``troubles`` says what could not be done."""

    def __init__(
        self,
        shelf: Shelf,
        tree: Tree,
        store: Store,
        shop: WooClient,
        totara: TotaraClient,
        *,
        language: str,
        public_url: str,
    ) -> None:
        self._shelf = shelf
        self._tree = tree
        self._store = store
        self._shop = shop
        self._totara = totara
        self._language = language
        self._public_url = public_url
        self._terms: dict[int, int] = {}
        self._new_terms: list[dict[str, Any]] = []
        self._put_terms = Upsert(store, product_categories, ("term_id", "sent"))
        self.done: dict[str, int] = {}
        self.troubles: list[str] = []
        recorded = ("product_id", "sent", "seen", "held", "retired")
        self._with_picture = Upsert(store, products, (*recorded, "image_id", "image"))
        self._without_picture = Upsert(store, products, recorded)

    def write(self, finished: Callable[[int], None]) -> None:
        """Everything that the plan says; ``finished`` is told how many products each batch has dealt with."""
        with Ahead(self._answered()) as batches:
            for batch in batches:
                self._note(batch)
                finished(len(batch.create) + len(batch.update) + len(batch.quiet) + len(batch.troubles))

    def _answered(self) -> Iterator[Batch]:
        with Ahead(self._prepared()) as batches:
            for batch in batches:
                self._shelf.check()
                if batch.bodies:
                    made, changed = self._shop.batch_products(batch.of(batch.create), batch.of(batch.update))
                    batch.outcomes = (*made, *changed)
                if batch.quiet:
                    found = self._shop.products_by_id(row.product_id for row in batch.quiet)
                    batch.shown = {product["id"]: product for product in found}
                yield batch

    def _prepared(self) -> Iterator[Batch]:
        for rows in self._shelf.planned("create", "adopt", "update", "retire", "mark"):
            batch = Batch()
            for row in rows:
                if row.action != "create" and not row.fields:
                    batch.quiet.append(row)  # adopted or marked as it is
                    continue
                try:
                    batch.put(row, self._body(row))
                except Refused as err:
                    batch.troubles.append(f"course {row.course_id}: {err}")
            self._record_terms()
            yield batch

    # --- what is sent ------------------------------------------------------------------------------------------------

    def _body(self, row: Any) -> tuple[dict[str, Any], dict[str, str]]:
        """What is sent for one product, and the digests of its fields."""
        fields = row.fields
        of_fields = digests(fields)
        marked = {**(row.sent or {}), **of_fields}
        body: dict[str, Any] = {name: fields[name] for name in PLAIN_FIELDS if name in fields}
        if "categories" in fields:
            body["categories"] = [{"id": self._term(category)} for category in fields["categories"]]
        if "image" in fields:
            image = self._image(row, of_fields["image"])
            if image is None:
                marked.pop("image", None)
            else:
                body["images"] = [image]
        body["meta_data"] = [
            {"key": SENT_META, "value": marked},
            {"key": COURSE_META, "value": str(row.course_id)},
        ]
        if row.action == "create":
            body |= {"sku": sku_of(row.course_id), "type": "simple", "virtual": True}
        else:
            body["id"] = row.product_id
        return body, of_fields

    # --- categories and pictures -----------------------------------------------------------------------------------

    def _term(self, category_id: int) -> int:
        """The shop's id for one of Totara's categories, with those above it; made or renamed if need be."""
        parent = 0
        for category in self._tree.path(category_id):
            if category.id not in self._terms:
                self._terms[category.id] = self._ensure_term(category, parent)
            parent = self._terms[category.id]
        return parent

    def _ensure_term(self, category: Category, parent: int) -> int:
        name = plain(category.name, self._language)
        sent = digest([name, parent])
        before = self._written_terms.get(category.id)
        if before and before[1] == sent:
            return before[0]
        term = before[0] if before else self._shop.ensure_category(name, parent)
        if before:
            try:
                self._shop.rename_category(term, name, parent)
            except NotFound:
                term = self._shop.ensure_category(name, parent)
        self._new_terms.append({"category_id": category.id, "term_id": term, "sent": sent})
        return term

    @cached_property
    def _written_terms(self) -> dict[int, tuple[int, str]]:
        """What is written down of the categories: the shop's id and a digest of what was sent. They are few."""
        with self._store.read() as connection:
            return {row.category_id: (row.term_id, row.sent) for row in connection.execute(select(product_categories))}

    def _record_terms(self) -> None:
        if self._new_terms:
            with self._shelf.writing() as connection:
                self._put_terms(connection, self._new_terms)
            self._new_terms.clear()

    def _image(self, row: Any, wanted: str) -> dict[str, Any] | None:
        """The picture as the shop wants it: by id if it has it already, else by an address of ours.

        The bytes are copied: Totara's own address works only with a token that must not leave the bridge.
        """
        if row.image == wanted and row.image_id:
            return {"id": row.image_id}
        fetched = self._totara.fetch_image(CourseImage(*row.wanted["picture"]))
        if fetched is None:
            return None
        body, mime = fetched
        name = f"{hashlib.sha256(body).hexdigest()[:32]}.{ENDINGS[mime]}"
        with self._store.begin() as connection:
            connection.execute(
                self._store.insert(pictures)
                .values(name=name, fingerprint=row.fields["image"], body=body, mime=mime)
                .on_conflict_do_nothing()
            )
        return {"src": f"{self._public_url}/pictures/{name}"}

    # --- what is written down ----------------------------------------------------------------------------------------

    def _note(self, batch: Batch) -> None:
        """Write down what was sent, and how the shop shows it now: a batch in one transaction."""
        self.troubles += batch.troubles
        records: list[dict[str, Any]] = []
        for row in batch.quiet:
            if product := batch.shown.get(row.product_id):
                records.append(self._to_record(row, product, {}, without_image=False))
                self.done[row.action] = self.done.get(row.action, 0) + 1
        try:
            for row, outcome in zip((*batch.create, *batch.update), batch.outcomes, strict=True):
                if record := self._note_outcome(row, outcome, batch):
                    records.append(record)
        finally:  # also when a second call fails: what the shop has taken on is written down
            self._record(records)

    def _note_outcome(self, row: Any, outcome: dict[str, Any] | Refused | None, batch: Batch) -> dict[str, Any] | None:
        body = batch.bodies[row.course_id]
        without_image = isinstance(outcome, Refused) and "images" in body and outcome.code in IMAGE_ERRORS
        if without_image:
            # A picture that the shop could not fetch fails the whole product: sell it without.
            self.troubles.append(f"course {row.course_id}: {outcome} (from {self._public_url})")
            outcome = self._without_image(row, body)
        if isinstance(outcome, Refused):
            self.troubles.append(f"course {row.course_id}: {outcome}")
            return None
        if outcome is None:
            return None
        self.done[row.action] = self.done.get(row.action, 0) + 1
        metrics.CATALOGUE.labels(row.action).inc()
        without_image = without_image or "images" not in body  # it could not be had from Totara
        return self._to_record(row, outcome, batch.sent[row.course_id], without_image=without_image)

    def _without_image(self, row: Any, body: dict[str, Any]) -> dict[str, Any] | Refused | None:
        rest = {name: value for name, value in body.items() if name != "images"}
        if row.action == "create":
            return self._shop.batch_products(create=[rest])[0][0]
        if set(rest) <= {"id", "meta_data"}:
            return None
        return self._shop.batch_products(update=[rest])[1][0]

    def _record(self, records: Sequence[Mapping[str, Any]]) -> None:
        taken = select(products.c.course_id, products.c.product_id).where(
            products.c.product_id.in_([record["product_id"] for record in records])
        )
        ours = {record["product_id"]: record["course_id"] for record in records}
        with self._shelf.writing() as connection:
            others = [row.course_id for row in connection.execute(taken) if row.course_id != ours[row.product_id]]
            if others:  # its SKU was changed: it gives another course by now
                connection.execute(delete(products).where(products.c.course_id.in_(others)))
            self._with_picture(connection, [record for record in records if "image" in record])
            self._without_picture(connection, [record for record in records if "image" not in record])

    def _to_record(
        self, row: Any, product: Mapping[str, Any], of_fields: Mapping[str, str], *, without_image: bool
    ) -> dict[str, Any]:
        fields = dict(of_fields)
        shown = shown_fields(product)
        if without_image or ("image" in fields and shown["image"] is None):
            fields.pop("image", None)
        creating = row.action in ("create", "adopt")
        sent = {**({} if creating else row.sent or {}), **fields}
        held = set() if creating else set(row.held or ())
        if row.action == "adopt":
            wanted = row.wanted.get("fields", {})
            sent = {**sent_before(product), **sent}
            held = {name for name in wanted if name not in sent and shown.get(name) != wanted[name]}
            sent |= {name: digest(value) for name, value in wanted.items() if name not in sent and name not in held}
        if row.action == "mark" and sent_before(product).get("status") != digest("draft"):
            held.add("status")  # taken off sale by the staff, not by a run of ours that was cut off
        # Only of what was written: the rest may have been edited by the staff since we last looked.
        written = sent if creating else fields
        seen = {} if creating else row.seen or {}
        values = {
            "course_id": row.course_id,
            "product_id": int(product["id"]),
            "sent": sent,
            "seen": {**seen, **digests({name: shown[name] for name in written if name in shown})},
            "held": sorted(held),
            "retired": row.action in ("retire", "mark"),
        }
        if shown["image"] and "image" in fields:
            values |= {"image_id": int(shown["image"]), "image": fields["image"]}
        return values
