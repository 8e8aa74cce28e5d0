"""The catalogue: read what Totara has and what the shop has, plan, and carry the plan out.

Everything goes a hundred at a time, and the plan lies in the database (table ``shelf``), so that memory does not grow
with the catalogue. Nothing is written to the shop before both sides have been read to the end and the plan as a whole
is found sound: an answer that is cut short or empty changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import structlog
from sqlalchemy import bindparam, delete, func, insert, literal, select, update

from bridge import metrics
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
    too_much,
    wanted_product,
)
from bridge.domain.lms import Course, CourseImage, Tree
from bridge.domain.texts import plain
from bridge.errors import NotFound, Refused
from bridge.settings import Settings
from bridge.store import ledger
from bridge.store.db import Store, utc_now
from bridge.store.models import pictures, product_categories, products, shelf
from bridge.totara_client import TotaraClient
from bridge.woo_client import WooClient

log = structlog.get_logger()

CHUNK = 100
SENT_META = "_bridge_sent"  # what we sent, kept on the product: by it a product of ours is known again
COURSE_META = "_totara_course_id"
IMAGE_ERRORS = ("woocommerce_product_image_upload_error", "woocommerce_rest_invalid_image")
ON_SALE = ("publish", "future", "private")
T = TypeVar("T")
Progress = Callable[[str, int, int | None], None]  # stage, done, of how many (None: not known)


def in_chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """The items, ``size`` at a time."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did: how many products by action, and what could not be done."""

    totals: Totals
    done: Mapping[str, int]
    troubles: Sequence[str] = ()


class CatalogueSync:
    """One catalogue. Only one run may go on at a time: hold the work row ("catalogue", "all") around each method."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        shop: WooClient,
        totara: TotaraClient,
        *,
        now: Callable[[], datetime] = utc_now,
        progress: Progress = lambda stage, done, total: None,
    ) -> None:
        self._config = settings.catalogue
        self._language = settings.shop.language
        self._public_url = settings.server.public_url
        self._store = store
        self._shop = shop
        self._totara = totara
        self._now = now
        self._progress = progress
        self._rules = Rules(self._config.allow, self._config.deny)
        self._owned = frozenset(self._config.shop_owns)
        self._terms: dict[int, int] = {}  # of one run
        self._tree = Tree(())  # of one run

    def sync(self) -> None:
        """Plan and apply. Raises Refused when the plan would change too much, or when parts of it could not be done."""
        outcome = self.apply(self.plan())
        if outcome.troubles:
            shown = "; ".join(outcome.troubles[:10])
            more = f"; and {len(outcome.troubles) - 10} more" if len(outcome.troubles) > 10 else ""
            raise Refused(f"{len(outcome.troubles)} products could not be made right: {shown}{more}")

    # --- plan ------------------------------------------------------------------------------------------------------

    def plan(self) -> Totals:
        """Read both sides, and put down what each product needs and why. Changes nothing in the shop."""
        with self._store.begin() as connection:
            connection.execute(delete(shelf))
        tree = self._tree = self._totara.tree()
        if unknown := self._rules.unknown_categories(tree):
            raise Refused(
                f"nothing was changed: rules name categories that Totara does not show: {', '.join(map(str, unknown))} "
                "(give a category's id or name; its ID number is shown only to accounts with moodle/category:manage)"
            )
        courses = self._read_courses(tree)
        self._read_shop()
        with self._store.begin() as connection:  # products of ours that neither side showed
            missing = select(products.c.course_id, literal(False), literal(False)).where(
                products.c.course_id.not_in(select(shelf.c.course_id))
            )
            connection.execute(insert(shelf).from_select(["course_id", "read", "denied"], missing))
        self._decide()
        return self._totals(courses)

    def _read_courses(self, tree: Tree) -> int:
        tags = {
            rule.tag: self._totara.tagged(rule.tag)
            for rule in (*self._config.allow, *self._config.deny, *self._config.prices)
            if rule.tag
        }
        count = 0
        stream = self._totara.courses(tree, lambda category: self._rules.may_read(category, tree))
        for chunk in in_chunks(stream):
            if tags:
                chunk = [
                    c  # a search by tag leaves hidden courses out: their tags can't be told
                    if c.visible is False
                    else replace(c, tags=frozenset(t for t, ids in tags.items() if c.id in ids))
                    for c in chunk
                ]
            if self._config.visibility == "audience":
                chunk = self._with_audiences(chunk)
            rows = [self._course_row(course, tree) for course in chunk]
            with self._store.begin() as connection:
                connection.execute(insert(shelf), rows)
            count += len(rows)
            self._progress("reading Totara", count, None)
        return count

    def _with_audiences(self, chunk: list[Course]) -> list[Course]:
        seen = self._totara.audience_visibility([course.id for course in chunk])
        return [
            replace(course, audience_visible=seen.get(course.id), visible=seen[course.id] in (1, 2))
            if course.id in seen
            else replace(course, visible=None)
            for course in chunk
        ]

    def _course_row(self, course: Course, tree: Tree) -> dict[str, Any]:
        verdict = self._rules.judge(course, tree)
        wanted = None
        if verdict.selected:
            product = wanted_product(
                course,
                tree,
                language=self._language,
                price=price_of(course, tree, self._config.prices),
                with_categories=self._config.categories == "tree",
                with_image=self._config.images,
            )
            picture = (course.image.url, course.image.filename, course.image.modified) if course.image else None
            wanted = {"fields": dict(product.fields), "picture": picture}
        return {
            "course_id": course.id,
            "read": True,
            "denied": verdict.denied,
            "verdict": verdict.reason,
            "wanted": wanted,
        }

    def _read_shop(self) -> None:
        count = 0
        for page in self._shop.products_with_sku_like(SKU_PREFIX, "id,sku,status,type", status="any"):
            rows = []
            for row in page:
                course_id = course_of(row.get("sku"))
                exact = course_id is not None and str(row["sku"]).lower() == sku_of(course_id)
                if exact and row.get("type") != "variation":
                    rows.append({"course_id": course_id, "product_id": int(row["id"]), "status": row["status"]})
            count += len(page)
            self._progress("reading the shop", count, None)
            if not rows:
                continue
            statement = self._store.insert(shelf)
            with self._store.begin() as connection:
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=[shelf.c.course_id],
                        set_={
                            "product_id": statement.excluded.product_id,
                            "status": statement.excluded.status,
                        },
                    ),
                    rows,
                )

    def _chunks(self, *conditions: Any) -> Iterator[list[Any]]:
        """Rows of the shelf with what we know of their products, in the order of their course ids."""
        last = 0
        query = select(shelf, products).outerjoin(products, products.c.course_id == shelf.c.course_id)
        while True:
            with self._store.read() as connection:
                result = connection.execute(
                    query.where(shelf.c.course_id > last, *conditions).order_by(shelf.c.course_id).limit(CHUNK)
                )
                rows = [row._mapping for row in result]
            if not rows:
                return
            yield rows
            last = rows[-1][shelf.c.course_id]

    def _decide(self) -> None:
        done = 0
        for rows in self._chunks():
            lost = {
                r[products.c.product_id]: r[shelf.c.course_id]
                for r in rows
                if r[shelf.c.product_id] is None and r[products.c.product_id]
            }
            renamed = {lost[int(p["id"])] for p in self._shop.products_by_id(lost)}
            binned = self._binned(set(lost.values()) - renamed)
            changes = [
                Change("keep", row[shelf.c.course_id], row[products.c.product_id], "its SKU was changed: put it back")
                if row[shelf.c.course_id] in renamed
                else self._change(row, binned)
                for row in rows
            ]
            changes = self._confirm(changes, {row[shelf.c.course_id]: row for row in rows})
            changes = self._heed_staff(changes, {row[shelf.c.course_id]: row for row in rows})
            told = [change for change in changes if change.action]  # of the others there is nothing to say
            if told:
                with self._store.begin() as connection:
                    connection.execute(
                        update(shelf).where(shelf.c.course_id == bindparam("key")),
                        [
                            {
                                "key": change.course_id,
                                "action": change.action,
                                "reason": change.reason,
                                "fields": dict(change.fields),
                            }
                            for change in told
                        ],
                    )
            done += len(rows)
            self._progress("planning", done, None)

    def _confirm(self, changes: list[Change], rows: Mapping[int, Any]) -> list[Change]:
        """Before a product is retired because its course was not in the list: is the course really not there?

        A list that came back short, or a course that was moved while we read, must not take anything off sale.
        """
        missing = [c.course_id for c in changes if c.action == "retire" and not rows[c.course_id][shelf.c.read]]
        still = self._totara.find_courses(missing) if missing else {}
        return [
            Change("keep", c.course_id, c.product_id, "Totara left the course out of its category's list: look again")
            if c.course_id in still and self._rules.may_read(still[c.course_id].category_id, self._tree)
            else c
            for c in changes
        ]

    def _binned(self, course_ids: Collection[int]) -> set[int]:
        if not course_ids:
            return set()
        found = self._shop.products_by_sku(map(sku_of, course_ids), status="trash", _fields="id,sku")
        return {course for row in found if (course := course_of(row.get("sku"))) is not None}

    def _change(self, row: Any, binned: Collection[int]) -> Change:
        course_id = row[shelf.c.course_id]
        wanted = row[shelf.c.wanted]
        listed = row[shelf.c.product_id]
        return plan_product(
            course_id,
            Wanted(course_id, wanted["fields"]) if wanted else None,
            _known(row),
            Listed(listed, row[shelf.c.status]) if listed else None,
            verdict=row[shelf.c.verdict] or "the course is not there, or in a category that no rule allows",
            denied=row[shelf.c.denied],
            binned=course_id in binned,
            shop_owns=self._owned,
        )

    def _heed_staff(self, changes: list[Change], rows: Mapping[int, Any]) -> list[Change]:
        """Take out of the changes whatever the shop's staff have written, by looking at the products as they are."""
        looked_at = [
            c for c in changes if c.product_id and (c.action == "adopt" or (c.action == "update" and c.fields))
        ]
        if not looked_at:
            return changes
        current = {int(p["id"]): p for p in self._shop.products_by_id(c.product_id for c in looked_at if c.product_id)}
        result = []
        for change in changes:
            product = current.get(change.product_id or 0)
            if product is None or change not in looked_at:
                result.append(change)
            elif change.action == "adopt":
                result.append(self._adopt(change, product))
            else:
                result.append(self._leave_held(change, product, rows[change.course_id]))
        return result

    def _leave_held(self, change: Change, product: Mapping[str, Any], row: Any) -> Change:
        known = _known(row) or Known(int(product["id"]))
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
        with self._store.begin() as connection:
            connection.execute(update(products).where(products.c.course_id == course_id).values(held=sorted(held)))

    def _totals(self, courses: int) -> Totals:
        with self._store.read() as connection:
            counts: dict[str, int] = dict(
                connection.execute(
                    select(shelf.c.action, func.count()).where(shelf.c.action != "").group_by(shelf.c.action)
                ).all()
            )
            live = connection.execute(
                select(func.count())
                .select_from(shelf.join(products, products.c.course_id == shelf.c.course_id))
                .where(shelf.c.status.in_(ON_SALE))
            ).scalar()
        return Totals(courses, int(live or 0), **{a: counts.get(a, 0) for a in ("create", "adopt", "update", "retire")})

    def changes(self) -> Iterator[Change]:
        """The plan as it lies there: everything that has something to say."""
        for rows in self._chunks(shelf.c.action.is_not(None), shelf.c.action != ""):
            for row in rows:
                yield Change(
                    row[shelf.c.action],
                    row[shelf.c.course_id],
                    row[shelf.c.product_id],
                    row[shelf.c.reason],
                    row[shelf.c.fields] or {},
                )

    def fingerprint(self) -> str:
        """A short name for the plan as it lies there: the same plan has the same name."""
        summing = hashlib.sha256()
        for change in self.changes():
            summing.update(digest([change.action, change.course_id, change.product_id, change.fields]).encode())
        return summing.hexdigest()[:12]

    # --- apply -----------------------------------------------------------------------------------------------------

    def apply(self, totals: Totals, *, anyway: bool = False) -> Outcome:
        """Carry out the plan that lies there, and nothing else. Raises Refused when it would change too much."""
        why = too_much(totals, share=self._config.max_change, count=self._config.max_change_count)
        if why and not anyway:
            raise Refused(
                f"nothing was changed: {why}. See `bridge catalogue plan`, then `bridge catalogue apply --anyway`"
            )
        self._terms.clear()
        done: dict[str, int] = {}
        troubles: list[str] = []
        todo = totals.create + totals.adopt + totals.update + totals.retire
        tree = self._totara.tree() if todo and self._config.categories == "tree" else Tree(())
        finished = 0
        for rows in self._chunks(shelf.c.action.in_(("create", "adopt", "update", "retire", "mark"))):
            self._apply_chunk(rows, tree, done, troubles)
            finished += len(rows)
            self._progress("writing to the shop", finished, todo)
        now = self._now()
        with self._store.begin() as connection:
            strangers = connection.execute(
                select(func.count()).where(
                    shelf.c.action == "keep",
                    shelf.c.wanted.is_(None),
                    shelf.c.course_id.not_in(select(products.c.course_id)),
                )
            ).scalar()
            summary = {
                "courses": totals.courses,
                "unresolved": int(strangers or 0),
                "troubles": len(troubles),
                **done,
            }
            ledger.write_note(self._store, connection, "catalogue", summary, now)
        if done or troubles:
            log.info("catalogue applied", **done, troubles=len(troubles))
        return Outcome(totals, done, troubles)

    def _apply_chunk(self, rows: Sequence[Any], tree: Tree, done: dict[str, int], troubles: list[str]) -> None:
        create: list[Any] = []
        change: list[Any] = []
        records: list[dict[str, Any]] = []
        for row in rows:
            (create if row[shelf.c.action] == "create" else change).append(row)
        quiet = [row for row in change if not row[shelf.c.fields]]  # adopted or marked as it is
        change = [row for row in change if row[shelf.c.fields]]
        bodies: dict[int, dict[str, Any]] = {}
        for row in (*create, *change):
            try:
                bodies[row[shelf.c.course_id]] = self._body(row, tree)
            except Refused as err:
                troubles.append(f"course {row[shelf.c.course_id]}: {err}")
        create = [row for row in create if row[shelf.c.course_id] in bodies]
        change = [row for row in change if row[shelf.c.course_id] in bodies]
        if bodies:
            made, changed = self._shop.batch_products(
                [bodies[row[shelf.c.course_id]] for row in create],
                [bodies[row[shelf.c.course_id]] for row in change],
            )
        else:
            made, changed = [], []
        if quiet:
            shown = {p["id"]: p for p in self._shop.products_by_id(row[shelf.c.product_id] for row in quiet)}
            for row in quiet:
                if product := shown.get(row[shelf.c.product_id]):
                    records.append(self._to_record(row, product, without_image=False))
                    done[row[shelf.c.action]] = done.get(row[shelf.c.action], 0) + 1
        try:
            for row, outcome in zip((*create, *change), (*made, *changed), strict=True):
                self._note_outcome(row, outcome, bodies[row[shelf.c.course_id]], records, done, troubles)
        finally:  # also when a second call fails: what the shop has taken on is written down
            self._record(records)

    def _note_outcome(
        self,
        row: Any,
        outcome: dict[str, Any] | Refused | None,
        body: dict[str, Any],
        records: list[dict[str, Any]],
        done: dict[str, int],
        troubles: list[str],
    ) -> None:
        course_id = row[shelf.c.course_id]
        without_image = isinstance(outcome, Refused) and "images" in body and outcome.code in IMAGE_ERRORS
        if without_image:
            # A picture that the shop could not fetch fails the whole product: sell it without.
            troubles.append(f"course {course_id}: {outcome} (from {self._public_url})")
            outcome = self._without_image(row, body)
        if isinstance(outcome, Refused):
            troubles.append(f"course {course_id}: {outcome}")
        elif outcome is not None:
            without_image = without_image or "images" not in body  # it could not be had from Totara
            records.append(self._to_record(row, outcome, without_image=without_image))
            action = row[shelf.c.action]
            done[action] = done.get(action, 0) + 1
            metrics.CATALOGUE.labels(action).inc()

    def _without_image(self, row: Any, body: dict[str, Any]) -> dict[str, Any] | Refused | None:
        rest = {name: value for name, value in body.items() if name != "images"}
        if row[shelf.c.action] == "create":
            return self._shop.batch_products(create=[rest])[0][0]
        if set(rest) <= {"id", "meta_data"}:
            return None
        return self._shop.batch_products(update=[rest])[1][0]

    def _body(self, row: Any, tree: Tree) -> dict[str, Any]:
        """What is sent for one product."""
        course_id = row[shelf.c.course_id]
        fields = dict(row[shelf.c.fields])
        sent = {**(row[products.c.sent] or {}), **digests(fields)}
        body: dict[str, Any] = {
            name: fields[name] for name in ("name", "description", "status", "regular_price") if name in fields
        }
        if "categories" in fields:
            body["categories"] = [{"id": self._term(category, tree)} for category in fields["categories"]]
        if "image" in fields:
            image = self._image(row)
            if image is None:
                sent.pop("image", None)
            else:
                body["images"] = [image]
        meta = [{"key": SENT_META, "value": sent}, {"key": COURSE_META, "value": str(course_id)}]
        if row[shelf.c.action] == "create":
            return {**body, "sku": sku_of(course_id), "type": "simple", "virtual": True, "meta_data": meta}
        return {**body, "id": row[shelf.c.product_id], "meta_data": meta}

    def _record(self, records: Collection[dict[str, Any]]) -> None:
        """Write down what was sent, and how the shop shows it now: a chunk in one transaction."""
        with self._store.begin() as connection:
            for names in {frozenset(record) for record in records}:  # with and without a picture
                group = [record for record in records if names == record.keys()]
                connection.execute(
                    delete(products).where(
                        products.c.product_id == bindparam("product"), products.c.course_id != bindparam("course")
                    ),
                    [{"product": record["product_id"], "course": record["course_id"]} for record in group],
                )
                statement = self._store.insert(products)
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=[products.c.course_id],
                        set_={name: statement.excluded[name] for name in names - {"course_id"}},
                    ),
                    group,
                )

    def _to_record(self, row: Any, product: Mapping[str, Any], *, without_image: bool) -> dict[str, Any]:
        course_id = row[shelf.c.course_id]
        fields = dict(row[shelf.c.fields] or {})
        shown = shown_fields(product)
        if without_image or ("image" in fields and shown["image"] is None):
            fields.pop("image", None)
        creating = row[shelf.c.action] in ("create", "adopt")
        sent = {**({} if creating else row[products.c.sent] or {}), **digests(fields)}
        if row[shelf.c.action] == "adopt":
            sent = {**sent_before(product), **sent}
        wanted = (row[shelf.c.wanted] or {}).get("fields", {})
        held = set() if creating else set(row[products.c.held] or ())
        if row[shelf.c.action] == "adopt":
            held = {name for name in wanted if name not in sent and shown.get(name) != wanted[name]}
            sent |= {name: digest(value) for name, value in wanted.items() if name not in sent and name not in held}
        if row[shelf.c.action] == "mark" and sent_before(product).get("status") != digest("draft"):
            held.add("status")  # taken off sale by the staff, not by a run of ours that was cut off
        # Only of what was written: the rest may have been edited by the staff since we last looked.
        written = sent if creating else fields
        seen = {} if creating else row[products.c.seen] or {}
        values = {
            "course_id": course_id,
            "product_id": int(product["id"]),
            "sent": sent,
            "seen": {**seen, **digests({name: shown[name] for name in written if name in shown})},
            "held": sorted(held),
            "retired": row[shelf.c.action] in ("retire", "mark"),
        }
        if shown["image"] and "image" in fields:
            values |= {"image_id": int(shown["image"]), "image": digest(fields["image"])}
        return values

    # --- categories and pictures -----------------------------------------------------------------------------------

    def _term(self, category_id: int, tree: Tree) -> int:
        """The shop's id for one of Totara's categories, with those above it; made or renamed if need be."""
        if category_id in self._terms:
            return self._terms[category_id]
        parent = 0
        for category in tree.path(category_id):
            name = plain(category.name, self._language)
            sent = digest([name, parent])
            with self._store.read() as connection:
                row = connection.execute(
                    select(product_categories).where(product_categories.c.category_id == category.id)
                ).first()
            if row is None:
                term = self._shop.ensure_category(name, parent)
            elif row.sent == sent:
                parent = row.term_id
                continue
            else:
                term = row.term_id
                try:
                    self._shop.rename_category(term, name, parent)
                except NotFound:
                    term = self._shop.ensure_category(name, parent)
            statement = self._store.insert(product_categories).values(category_id=category.id, term_id=term, sent=sent)
            with self._store.begin() as connection:
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=[product_categories.c.category_id],
                        set_={"term_id": term, "sent": sent},
                    )
                )
            parent = term
        self._terms[category_id] = parent
        return parent

    def _image(self, row: Any) -> dict[str, Any] | None:
        """The picture as the shop wants it: by id if it has it already, else by an address of ours.

        The bytes are copied: Totara's own address works only with a token that must not leave the bridge.
        """
        wanted = digest(row[shelf.c.fields]["image"])
        if row[products.c.image] == wanted and row[products.c.image_id]:
            return {"id": row[products.c.image_id]}
        source = row[shelf.c.wanted]["picture"]
        fetched = self._totara.fetch_image(CourseImage(*source))
        if fetched is None:
            return None
        body, mime = fetched
        ending = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}[mime]
        name = f"{hashlib.sha256(body).hexdigest()[:32]}.{ending}"
        with self._store.begin() as connection:
            connection.execute(
                self._store.insert(pictures)
                .values(name=name, fingerprint=row[shelf.c.fields]["image"], body=body, mime=mime)
                .on_conflict_do_nothing()
            )
        return {"src": f"{self._public_url}/pictures/{name}"}

    # --- operators -------------------------------------------------------------------------------------------------

    def hand_back(self, course_id: int, fields: Collection[str] = ()) -> list[str]:
        """Take fields back from the shop's staff: the next run writes them again. All held ones if none are named."""
        with self._store.begin() as connection:
            row = connection.execute(select(products).where(products.c.course_id == course_id)).first()
            if row is None:
                raise Refused(f"course {course_id} has no product of ours")
            back = sorted(set(row.held) & set(fields) if fields else set(row.held))
            left = sorted(set(row.held) - set(back))
            sent = {name: value for name, value in row.sent.items() if name not in back}
            seen = {name: value for name, value in row.seen.items() if name not in back}
            connection.execute(
                update(products).where(products.c.course_id == course_id).values(held=left, sent=sent, seen=seen)
            )
        return back


def _known(row: Any) -> Known | None:
    if row[products.c.product_id] is None:
        return None
    return Known(
        row[products.c.product_id],
        row[products.c.sent] or {},
        row[products.c.seen] or {},
        frozenset(row[products.c.held] or ()),
        bool(row[products.c.retired]),
    )
