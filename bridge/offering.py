"""What the lines of an order or a subscription give: by what they were sold with, by the operator's file, by the
products' own meta, and by the catalogue."""

from __future__ import annotations

import time
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from threading import Lock

from bridge.domain.catalogue import sold_by
from bridge.domain.offers import Offer, Offers, course, offer_from_meta
from bridge.domain.purchases import MOST_SEATS, Gives, Line, Subscription, Unresolved, without_repeats
from bridge.store import ledger
from bridge.store.db import Store
from bridge.store.ledger import Purchase, Source
from bridge.woo_client import WooClient
from bridge.woo_rows import ProductFacts


class ProductShelf:
    """What the shop's products say of what they give, asked for when needed and remembered for a little while."""

    def __init__(self, shop: WooClient, seconds: float = 30.0) -> None:
        self._shop = shop
        self._seconds = seconds
        self._found: dict[tuple[int, int], tuple[float, ProductFacts | None]] = {}
        self._lock = Lock()

    def facts(self, lines: Collection[Line]) -> dict[tuple[int, int], ProductFacts | None]:
        """(product, 0) and (product, variation) -> what it says; None for one that is not there."""
        keys = {(line.product_id, 0) for line in lines if line.product_id}
        keys |= {line.product for line in lines if line.product_id and line.variation_id}
        fresh = time.monotonic() - self._seconds
        with self._lock:
            self._found = {key: kept for key, kept in self._found.items() if kept[0] > fresh}
            known = {key: self._found[key][1] for key in keys if key in self._found}
        asked = self._ask(keys - known.keys())
        with self._lock:
            self._found |= {key: (time.monotonic(), facts) for key, facts in asked.items()}
        return known | asked

    def _ask(self, keys: Collection[tuple[int, int]]) -> dict[tuple[int, int], ProductFacts | None]:
        products = [product for product, variation in keys if not variation]
        by_id = self._shop.product_facts(products) if products else {}
        found: dict[tuple[int, int], ProductFacts | None] = {(one, 0): by_id.get(one) for one in products}
        for product, variation in sorted(keys):
            if variation:
                found[product, variation] = self._shop.variation_facts(product, variation)
        return found


class Offering:
    """Tells what lines give."""

    def __init__(self, store: Store, shop: WooClient, offers: Offers) -> None:
        self._store = store
        self._offers = offers
        self._shelf = ProductShelf(shop)

    def of(
        self,
        source: Source,
        lines: Sequence[Line],
        known: Sequence[Purchase],
        subscriptions: Collection[Subscription] | None,
        *,
        given: bool = True,
        follows: bool = False,
    ) -> tuple[list[Gives], list[Unresolved]]:
        """What each line gives, in their order, and the lines of which nobody can tell.

        What a line was sold with stays, also that it gave nothing: who bought a book does not get the course that the
        book became. Only while nothing was ``given`` for it, a subscription found since takes it, and what gave
        nothing is asked again; later only if an operator wants so.
        ``subscriptions`` are the order's that the shop tells of, None where it can't tell. ``follows``: the order
        says itself that it renews or switches one.
        """
        remembered = {one.key: one.offer for one in known}
        nothing = {one.key for one in known if given and not one.offer.items and not one.ask_anew}
        results: list[Gives | Unresolved] = []
        unsure: list[Line] = []
        for line in lines:
            key = line.id if source.kind == "order" else key_of(line, known)
            kept = remembered.get(key)
            stays = key in nothing or (kept is not None and kept.items and (given or not subscriptions))
            if kept is not None and (kept.by_subscription or stays):
                results.append(Gives(line, kept))
            else:
                unsure.append(line)
        settled = {result.line.id for result in results}
        if unsure:
            results += self._resolved(source, unsure, remembered, subscriptions, follows)
        if source.kind == "subscription":
            results = [_as_long_as_it_stands(result) for result in results]
        results = [_not_too_many(result) for result in results]
        order = {line.id: n for n, line in enumerate(lines)}
        gives = sorted((one for one in results if isinstance(one, Gives)), key=lambda one: order[one.line.id])
        return without_repeats(gives, settled), [one for one in results if isinstance(one, Unresolved)]

    def _resolved(
        self,
        source: Source,
        lines: Sequence[Line],
        seen: Mapping[Hashable, Offer],
        told: Collection[Subscription] | None,
        follows: bool,
    ) -> list[Gives | Unresolved]:
        """What these lines give, by their subscription, the operator's file, the products' meta, and the catalogue."""
        subscriptions = told or ()
        ids = {product for line in lines for product in line.product if product}
        with self._store.read() as connection:
            courses = ledger.courses_of_products(connection, ids) if ids else {}
            subscribed_to = ledger.subscribed_products(connection, [one.id for one in subscriptions])
        subscribed_to |= {line.product for one in subscriptions for line in one.lines if line.product_id}
        # Bought by plan and for good on one order: the line without the plan is the one for good.
        subscribed_to -= {line.product for line in lines if _has_plan(line)}
        # Once the product was deleted only the name is left of it.
        subscribed_names = {line.name for one in subscriptions for line in one.lines if not line.product_id}
        of_order = source.kind == "order"
        in_file = {line.id for line in lines if self._offers.find(line.variation_id, line.product_id, line.sku)}
        asked = [line for line in lines if line.id not in in_file]
        # Of what the operator's file tells, no more than whether it is sold by subscription.
        asked += [replace(line, variation_id=0) for line in lines if of_order and line.id in in_file]
        facts = self._shelf.facts(asked)

        def one(line: Line) -> Gives | Unresolved:
            products = [about for key in ((line.product_id, 0), line.product) if (about := facts.get(key))]
            by_subscription = of_order and _sold_by_subscription(line, products, told is None)
            gone = not line.product_id and line.name in subscribed_names
            if subscriptions and (line.product in subscribed_to or gone or by_subscription):
                return Gives(line, Offer(by_subscription=True))
            if (kept := seen.get(line.id)) is not None and kept.items:
                return Gives(line, kept)
            found = self._one(line, line.id in seen or line.product in seen, courses, facts)
            if not of_order or isinstance(found, Unresolved) or not (by_subscription or follows):
                return found
            if follows or not found.offer.items:
                return Gives(line, Offer(by_subscription=True))
            return Unresolved(line, _without_one(line, told is None))

        return [one(line) for line in lines]

    def _one(
        self,
        line: Line,
        seen: bool,
        courses: Mapping[int, int],
        facts: Mapping[tuple[int, int], ProductFacts | None],
    ) -> Gives | Unresolved:
        if (found := self._offers.find(line.variation_id, line.product_id, line.sku)) is not None:
            return Gives(line, found)
        by_sku = sold_by(line.sku, line.variation_id)
        number = next((courses[one] for one in (line.variation_id, line.product_id) if one in courses), by_sku)
        fallback = Offer((course(number),)) if isinstance(number, int) else None
        meta: dict[str, str] = {}
        for key in ((line.product_id, 0), line.product):
            about = facts.get(key)
            meta |= {name: word for name, word in about.meta.items() if word.strip()} if about else {}
        if isinstance(number, str) and "bridge_gives" not in meta:
            said = (
                f"line {line.id} ({line.name!r}) has the SKU {line.sku!r}, which is no course's: correct the SKU, or "
                "say in the product's bridge_gives what it gives"
            )
            return Unresolved(line, said)
        try:
            offer = offer_from_meta(meta, self._offers.sellable, fallback)
        except ValueError as err:
            said = f"line {line.id} ({line.name!r}): product {line.product_id} can't be given: {err}"
            return Unresolved(line, said)
        if offer is None and not line.product_id and not seen:
            said = (
                f"line {line.id} ({line.name!r}) is of a product that was deleted before the bridge saw the order: "
                "refund it, or put a line of the right product beside it"
            )
            return Unresolved(line, said)
        return Gives(line, offer or Offer())


def _sold_by_subscription(line: Line, products: Collection[ProductFacts], plugin_away: bool) -> bool:
    """Whether what was bought is a subscription, though the shop may tell of none: by the product and its variation.

    Without WooCommerce Subscriptions its products are shown as simple ones, and only their period is left of it. While
    it is there the type counts: a product that was a subscription once keeps the period.
    """
    of_type = any(one.type in ("subscription", "variable-subscription") for one in products)
    had_period = plugin_away and any(one.meta.get("_subscription_period") for one in products)
    return of_type or had_period or _has_plan(line)


def _without_one(line: Line, plugin_away: bool) -> str:
    name = f"line {line.id} ({line.name!r})"
    if plugin_away:
        return (
            f"{name} is sold by subscription, and WooCommerce Subscriptions is away, so that nobody can tell how it "
            f"stands: activate it, or, if product {line.product_id} is sold for good now, remove its "
            "_subscription_period"
        )
    return (
        f"{name} is sold by subscription, and the shop tells of none for this order: take it out of the bin, make "
        "one that begins with this order, or refund the line"
    )


def _has_plan(line: Line) -> bool:
    """Whether the line was bought by a plan of a product that may also be bought for good."""
    return line.meta.get("_wcsatt_scheme", "0") not in ("", "0")


def key_of(line: Line, known: Sequence[Purchase]) -> Hashable:
    """What a subscription's line is known by: its product, or the line itself once the product was deleted."""
    if line.product_id:
        return line.product
    return next((one.key for one in known if one.line_id == line.id), line.product)


def _as_long_as_it_stands(result: Gives | Unresolved) -> Gives | Unresolved:
    """Without days: a subscription's status alone says for how long, else a renewal would pay for nothing."""
    if isinstance(result, Unresolved) or result.offer.days is None:
        return result
    return replace(result, offer=replace(result.offer, days=None))


def _not_too_many(result: Gives | Unresolved) -> Gives | Unresolved:
    if isinstance(result, Unresolved) or not result.offer.items:
        return result
    line = result.line
    seats = line.quantity * result.offer.seats
    if seats <= MOST_SEATS:
        return result
    return Unresolved(line, f"line {line.id} is of {seats} seats: more than {MOST_SEATS} need a person")
