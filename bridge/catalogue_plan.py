"""Planning the catalogue: what each course's product needs, and why.

The shop's list is read first, and Totara's beside it. Then the courses are held against what is remembered of them,
some hundreds at a time, and those that have moved are decided and written to the shelf, once. What only the shop or our
own tables know comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from sqlalchemy import update

from bridge import __version__
from bridge.ahead import Ahead, in_chunks
from bridge.catalogue_writer import sent_before, shown_fields
from bridge.domain.basis import Basis
from bridge.domain.catalogue import (
    SKU_PREFIX,
    Change,
    Known,
    Listed,
    Rules,
    Totals,
    Wanted,
    course_of,
    digest,
    digests,
    plan_product,
    price_of,
    sku_of,
    staff_changed,
    wanted_product,
)
from bridge.domain.lms import Course, Tree
from bridge.settings import Catalogue
from bridge.store.models import products
from bridge.store.shelf import CHUNK, Shelf
from bridge.totara_client import TotaraClient
from bridge.woo_client import WooClient

MANY = 250  # courses and products are held against the shelf, and written to it, so many at a time
AHEAD = 2  # so many times as many courses may wait while the shop is still being read
NOT_THERE = "the course is not there, or in a category that no rule allows"
Progress = Callable[[str, int, int | None], None]  # stage, done, of how many (None: not known)


@dataclass(slots=True)
class Item:
    """One course that is being looked at, with everything that decides about its product."""

    course_id: int
    read: bool = False
    denied: bool = False
    verdict: str | None = None
    digest: str | None = None
    wanted: Wanted | None = None
    picture: tuple[str, str, int] | None = None
    known: Known | None = None
    listed: Listed | None = None

    @property
    def lost(self) -> bool:
        """Whether it has a product of ours that the shop did not show."""
        return self.known is not None and self.listed is None

    def row(self, change: Change) -> dict[str, Any]:
        """For the shelf: what was found, what follows, and what carrying it out takes."""
        kept: dict[str, Any] | None = None
        if self.wanted is not None:
            kept = {"picture": self.picture} if "image" in change.fields else {}
            if change.action == "adopt":
                kept["fields"] = dict(self.wanted.fields)
        return {
            "course_id": self.course_id,
            "read": self.read,
            "denied": self.denied,
            "verdict": self.verdict,
            "wanted": kept,
            "action": change.action,
            "reason": change.reason,
            "fields": dict(change.fields),
            "digest": self.digest,
            "settled": not change.action and not self.lost,  # a lost product may turn up anywhere
        }


class Planner:
    """Makes one plan, once. ``language`` is the shop's."""

    def __init__(
        self,
        shelf: Shelf,
        tree: Tree,
        shop: WooClient,
        totara: TotaraClient,
        config: Catalogue,
        *,
        language: str,
        progress: Progress,
    ) -> None:
        self._shelf = shelf
        self._tree = tree
        self._shop = shop
        self._totara = totara
        self._config = config
        self._language = language
        self._progress = progress
        self._rules = Rules(config.allow, config.deny)
        self._owned = frozenset(config.shop_owns)
        self._all_rules = (*config.allow, *config.deny, *config.prices)
        how = (len(config.allow), len(config.deny), config.categories, config.images, config.visibility)
        programs = (__version__, version("nh3"))
        self._basis = Basis(tree, self._all_rules, programs, language, how, sorted(self._owned))

    def plan(self, *, afresh: bool = False) -> Totals:
        """Read both sides to the end, and put down what each product needs. See CatalogueSync.plan."""
        with Ahead(self._pages()) as pages, Ahead(in_chunks(self._courses(), MANY), AHEAD) as chunks:
            self._read_shop(pages)
            courses = self._read_totara(chunks, afresh)
        for ids in self._shelf.unread(everything=afresh):
            left_out = [Item(course_id, verdict=NOT_THERE) for course_id in ids]
            self._shelf.put(self._decide(left_out, self._shelf.standing(ids)))
        counts, live = self._shelf.numbers()
        return Totals(courses, live, **{a: counts.get(a, 0) for a in ("create", "adopt", "update", "retire")})

    # --- reading -----------------------------------------------------------------------------------------------------

    def _pages(self) -> Iterator[list[dict[str, Any]]]:
        return self._shop.products_with_sku_like(SKU_PREFIX, "id,sku,status,type", status="any")

    def _read_shop(self, pages: Iterable[list[dict[str, Any]]]) -> None:
        seen: set[int] = set()
        count = 0
        for rows in in_chunks((row for page in pages for row in page), MANY):
            # By course: a list that moved while it was read tells some products twice.
            offered = {row["course_id"]: row for one in rows if (row := _offered(one))}
            self._shelf.offer(list(offered.values()))
            seen.update(offered)
            count += len(rows)
            self._progress("reading the shop", count, None)
        self._shelf.keep_offered(seen)

    def _courses(self) -> Iterator[Course]:
        """Every course that a rule could select, with everything that it is judged by."""
        tags = {rule.tag: self._totara.tagged(rule.tag) for rule in self._all_rules if rule.tag}
        stream = self._totara.courses(self._tree, lambda category: self._rules.may_read(category, self._tree))
        if tags:
            stream = (_with_tags(course, tags) for course in stream)
        if self._config.visibility != "audience":
            return stream
        return (course for chunk in in_chunks(stream, CHUNK) for course in self._with_audiences(chunk))

    def _with_audiences(self, chunk: list[Course]) -> list[Course]:
        seen = self._totara.audience_visibility([course.id for course in chunk])
        return [
            replace(course, audience_visible=seen.get(course.id), visible=seen[course.id] in (1, 2))
            if course.id in seen
            else replace(course, visible=None)
            for course in chunk
        ]

    def _read_totara(self, chunks: Iterable[list[Course]], afresh: bool) -> int:
        seen: set[int] = set()
        rows: dict[int, dict[str, Any]] = {}
        for chunk in chunks:
            standing = self._shelf.standing([course.id for course in chunk])
            moved: list[Item] = []
            for course in chunk:
                basis, before = self._basis.digest(course), standing.get(course.id)
                if afresh or before is None or not before.settled or before.digest != basis:
                    moved.append(self._item(course, basis))
            rows |= self._decide(moved, standing)
            if len(rows) >= MANY:
                self._shelf.put(rows)
                rows.clear()
            seen.update(course.id for course in chunk)
            self._progress("reading Totara", len(seen), None)
        self._shelf.put(rows)
        self._shelf.keep_read(seen)
        return len(seen)

    def _item(self, course: Course, basis: str) -> Item:
        verdict = self._rules.judge(course, self._tree)
        item = Item(course.id, True, verdict.denied, verdict.reason, basis)
        if verdict.selected:
            item.wanted = wanted_product(
                course,
                self._tree,
                language=self._language,
                price=price_of(course, self._tree, self._config.prices),
                with_categories=self._config.categories == "tree",
                with_image=self._config.images,
            )
            if course.image:
                item.picture = (course.image.url, course.image.filename, course.image.modified)
        return item

    # --- deciding ----------------------------------------------------------------------------------------------------

    def _decide(self, items: Sequence[Item], standing: Mapping[int, Any]) -> dict[int, dict[str, Any]]:
        """What to do about each of these: rows for the shelf, by course."""
        if not items:
            return {}
        known = self._shelf.products([one.course_id for one in standing.values() if one.ours])
        for item in items:
            item.known = _known(known.get(item.course_id))
            item.listed = _listed(standing.get(item.course_id))
        renamed, binned = self._look_for([item for item in items if item.lost])
        by_course = {item.course_id: item for item in items}
        changes = [self._change(item, renamed, binned) for item in items]
        changes = self._heed_staff(self._confirm(changes, by_course), by_course)
        return {change.course_id: by_course[change.course_id].row(change) for change in changes}

    def _look_for(self, lost: Sequence[Item]) -> tuple[set[int], set[int]]:
        """The courses whose products have another SKU by now, and those whose products are in the bin."""
        by_product = {item.known.product_id: item.course_id for item in lost if item.known}
        renamed = {by_product[int(product["id"])] for product in self._shop.products_by_id(by_product)}
        rest = set(by_product.values()) - renamed
        if not rest:
            return renamed, set()
        found = self._shop.products_by_sku(map(sku_of, rest), status="trash", _fields="id,sku")
        return renamed, {course for row in found if (course := course_of(row.get("sku"))) is not None}

    def _change(self, item: Item, renamed: Collection[int], binned: Collection[int]) -> Change:
        if item.course_id in renamed and item.known:
            return Change("keep", item.course_id, item.known.product_id, "its SKU was changed: put it back")
        return plan_product(
            item.course_id,
            item.wanted,
            item.known,
            item.listed,
            verdict=item.verdict or NOT_THERE,
            denied=item.denied,
            binned=item.course_id in binned,
            shop_owns=self._owned,
        )

    def _confirm(self, changes: list[Change], items: Mapping[int, Item]) -> list[Change]:
        """Before a product is retired because its course was not in the list: is the course really not there?

        A list that came back short, or a course that was moved while we read, must not take anything off sale.
        """
        missing = [c.course_id for c in changes if c.action == "retire" and not items[c.course_id].read]
        still = self._totara.find_courses(missing) if missing else {}
        return [
            Change("keep", c.course_id, c.product_id, "Totara left the course out of its category's list: look again")
            if c.course_id in still and self._rules.may_read(still[c.course_id].category_id, self._tree)
            else c
            for c in changes
        ]

    def _heed_staff(self, changes: list[Change], items: Mapping[int, Item]) -> list[Change]:
        """Take out of the changes whatever the shop's staff have written, by looking at the products as they are."""
        wanted = [c.product_id for c in changes if c.product_id and _must_look(c)]
        if not wanted:
            return changes
        current = {int(product["id"]): product for product in self._shop.products_by_id(wanted)}
        result = []
        for change in changes:
            product = current.get(change.product_id or 0)
            if product is None or not _must_look(change):
                result.append(change)
            elif change.action == "adopt":
                result.append(self._adopt(change, product))
            else:
                result.append(self._leave_held(change, product, items[change.course_id].known))
        return result

    def _leave_held(self, change: Change, product: Mapping[str, Any], known: Known | None) -> Change:
        known = known or Known(int(product["id"]))
        theirs = staff_changed(known, digests(shown_fields(product)), sent_before(product))
        if known.retired and "status" in change.fields:
            theirs -= {"status"}
        if theirs - known.held:
            self._hold(change.course_id, theirs | known.held)
        fields = {name: value for name, value in change.fields.items() if name not in theirs}
        kept = sorted(set(change.fields) & theirs)
        if not kept:
            return change
        reason = f"{change.reason}; {', '.join(kept)} changed in the shop, and left as it is"
        return replace(change, action="update" if fields else "keep", fields=fields, reason=reason)

    def _adopt(self, change: Change, product: Mapping[str, Any]) -> Change:
        """A product with our SKU that we don't know: our own from before a crash, or one that staff made."""
        shown = shown_fields(product)
        if sent := sent_before(product):  # ours: as if we had never forgotten it
            fields = {name: v for name, v in change.fields.items() if sent.get(name) != digest(v)}
            return replace(change, fields=fields, reason="a product of ours that was not written down")
        fields = {name: value for name, value in change.fields.items() if not shown.get(name)}
        held = sorted(name for name in change.fields if name not in fields and shown[name] != change.fields[name])
        reason = f"{change.reason}: adopted"
        return replace(change, fields=fields, reason=f"{reason}, {', '.join(held)} left as it is" if held else reason)

    def _hold(self, course_id: int, held: Collection[str]) -> None:
        with self._shelf.writing() as connection:
            connection.execute(update(products).where(products.c.course_id == course_id).values(held=sorted(held)))


def _offered(product: Mapping[str, Any]) -> dict[str, Any] | None:
    """For the shelf: a product that gives a course; None for variations and for SKUs that only look alike."""
    course_id = course_of(product.get("sku"))
    if course_id is None or str(product["sku"]).lower() != sku_of(course_id) or product.get("type") == "variation":
        return None
    return {"course_id": course_id, "product_id": int(product["id"]), "status": product["status"]}


def _with_tags(course: Course, tags: Mapping[str, Collection[int]]) -> Course:
    if course.visible is False:
        return course  # a search by tag leaves hidden courses out: their tags can't be told
    return replace(course, tags=frozenset(tag for tag, ids in tags.items() if course.id in ids))


def _must_look(change: Change) -> bool:
    return change.action == "adopt" or (change.action == "update" and bool(change.fields))


def _listed(row: Any) -> Listed | None:
    return Listed(row.product_id, row.status) if row is not None and row.product_id else None


def _known(row: Any) -> Known | None:
    if row is None or row.product_id is None:
        return None
    held = frozenset(row.held or ())
    return Known(row.product_id, row.sent or {}, row.seen or {}, held, bool(row.retired))
