"""What a plan of the catalogue is shown with: the courses' names and prices, and what the shop's staff hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from bridge.ahead import in_chunks
from bridge.catalogue_writer import shown_fields
from bridge.domain.catalogue import price_of, wanted_product
from bridge.domain.lms import Course, Tree
from bridge.domain.texts import plain
from bridge.settings import Settings
from bridge.store.db import Store
from bridge.store.models import products
from bridge.store.shelf import CHUNK
from bridge.totara_client import TotaraClient
from bridge.woo_client import WooClient

LONGEST = 60  # of a text that is shown


@dataclass(frozen=True, slots=True)
class HeldField:
    """A field that the shop's staff have taken over: what the rules would write, and what stands in the shop."""

    course_id: int
    product_id: int
    name: str
    field: str
    ours: str
    theirs: str


class CatalogueShow:
    """Looks up what a plan does not hold itself. Changes nothing."""

    def __init__(self, settings: Settings, store: Store, shop: WooClient, totara: TotaraClient, tree: Tree) -> None:
        self._config = settings.catalogue
        self._language = settings.shop.language
        self._store = store
        self._shop = shop
        self._totara = totara
        self._tree = tree

    def names_and_prices(self, course_ids: Iterable[int]) -> dict[int, tuple[str, str]]:
        """The name and the price by the rules ("" for none) of those courses that Totara shows."""
        found: dict[int, tuple[str, str]] = {}
        for chunk in in_chunks(course_ids, CHUNK):
            for course in self._totara.find_courses(chunk).values():
                price = price_of(course, self._tree, self._config.prices) or ""
                found[course.id] = (plain(course.fullname, self._language), price)
        return found

    def held(self) -> Iterator[HeldField]:
        """Every field of a product on sale that the staff hold and that differs from what the rules would write."""
        query = select(products.c.course_id, products.c.product_id, products.c.held)
        with self._store.read() as connection:
            rows = list(connection.execute(query.where(products.c.retired.is_(False)).order_by(products.c.course_id)))
        for chunk in in_chunks([row for row in rows if row.held], CHUNK):
            courses = self._totara.find_courses(row.course_id for row in chunk)
            current = {int(one["id"]): one for one in self._shop.products_by_id(row.product_id for row in chunk)}
            for row in chunk:
                if row.course_id in courses and row.product_id in current:
                    yield from self._differing(row, courses[row.course_id], shown_fields(current[row.product_id]))

    def _differing(self, row: Any, course: Course, shown: Mapping[str, Any]) -> Iterator[HeldField]:
        product = wanted_product(
            course,
            self._tree,
            language=self._language,
            price=price_of(course, self._tree, self._config.prices),
            with_categories=False,
            with_image=False,
        )
        name = plain(course.fullname, self._language)
        for field in sorted(row.held):
            ours, theirs = product.fields.get(field), shown.get(field)
            if field in ("categories", "image"):  # the shop's own numbers, which compare with nothing
                yield HeldField(course.id, row.product_id, name, field, "by Totara", "by the shop")
            elif ours != theirs:
                yield HeldField(course.id, row.product_id, name, field, self._short(ours), self._short(theirs))

    def _short(self, value: Any) -> str:
        text = plain(str(value), self._language) if value not in (None, "") else "(none)"
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
