"""What `bridge check` looks at in the operator's offers: whether what they name is there, on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bridge import rights
from bridge.domain.catalogue import Rules
from bridge.domain.offers import Item, Kind
from bridge.errors import BridgeError, NotFound, Refused, Unavailable
from bridge.findings import Finding
from bridge.giving import audiences_there, static_audiences
from bridge.wiring import Bridge

WHAT = "offers"


def offers(bridge: Bridge) -> Iterator[Finding]:
    """Every offer of the file, and everything that the shop's staff may sell."""
    if not bridge.offers.sellable and not list(bridge.offers):
        return
    told = [*_products(bridge), *_things(bridge)]
    yield from told
    if all(one.level == "ok" for one in told):
        yield Finding("ok", WHAT, f"{len(list(bridge.offers))} offers name what is there")


# --- in the shop ---------------------------------------------------------------------------------------------------


def _products(bridge: Bridge) -> Iterator[Finding]:
    ids = [one.product for one in bridge.offers if one.product]
    there = bridge.shop.product_facts(ids) if ids else {}
    for product in ids:
        if product not in there and not bridge.shop.is_product(product):
            yield Finding("problem", WHAT, f"product {product} is not in the shop", _MEND_OFFER)
    for offer in bridge.offers:
        facts = there.get(offer.product or 0)
        if offer.days and facts is not None and "subscription" in facts.type:
            yield Finding("note", WHAT, f"product {offer.product} is a subscription: {_IGNORED}", _MEND_DAYS)
    skus = [one.sku for one in bridge.offers if one.sku]
    rows = list(bridge.shop.products_by_sku(skus)) if skus else []
    found = {str(row.get("sku", "")).casefold() for row in rows}
    for sku in skus:
        if sku.casefold() not in found:
            yield Finding("problem", WHAT, f"no product of the shop has the SKU {sku!r}", _MEND_OFFER)


_IGNORED = "its offer's days are ignored, since its status alone says for how long it gives access"
_MEND_DAYS = "take days out of the offer"
_MEND_OFFER = "correct the offer in the offers file, or take it out; or put the product back into the shop"


# --- in Totara -----------------------------------------------------------------------------------------------------


def _things(bridge: Bridge) -> Iterator[Finding]:
    """Each thing that is named, by whom."""
    by: dict[Item, list[str]] = {item: [] for item in sorted(bridge.offers.may_sell)}
    for offer in bridge.offers:
        for item in offer.offer.items:
            by.setdefault(item, []).append(str(offer))
    looks: Mapping[Kind, Callable[[Bridge, list[Item]], dict[Item, Finding]]] = {
        Kind.COURSE: _courses,
        Kind.AUDIENCE: _audiences,
        Kind.PROGRAM: _programs,
        Kind.CERTIFICATION: _programs,
    }
    for kind, look in looks.items():
        items = [item for item in by if item.kind is kind]
        try:
            for item, finding in (look(bridge, items) if items else {}).items():
                whose = f"the offer for {', '.join(by[item])}" if by[item] else "may_sell"
                said = f"{whose} names {item}: {finding.said}"
                yield Finding(finding.level, WHAT, said, finding.mend)
        except Unavailable:
            raise
        except BridgeError as err:
            yield Finding("note", WHAT, f"whether what offers name as {kind} is there can't be told: {err}")


def _problem(said: str, mend: str) -> Finding:
    return Finding("problem", WHAT, said, mend)


def _courses(bridge: Bridge, items: list[Item]) -> dict[Item, Finding]:
    rules = Rules(bridge.settings.catalogue.allow, bridge.settings.catalogue.deny)
    tree = bridge.totara.tree()
    found = bridge.totara.find_courses(item.id for item in items)
    told = {}
    for item in items:
        course = found.get(item.id)
        if course is None:
            told[item] = _problem("it is not in Totara, or not shown to the service account", _MEND_OFFER)
        elif not (verdict := rules.judge(bridge.jobs.learners.as_judged(course), tree)).selected:
            mend = "have a rule in [catalogue] select it, or take it out of the offer"
            told[item] = _problem(f"it can't be given, since {verdict.reason}", mend)
    return told


def _audiences(bridge: Bridge, items: list[Item]) -> dict[Item, Finding]:
    ids = [item.id for item in items]
    static = static_audiences(bridge.totara)
    there = static if static is not None else audiences_there(bridge.totara, ids)
    told = {}
    for item in items:
        if item.id not in there and static is not None:
            said = "it is no static audience of the site: a dynamic one is ruled by Totara, and keeps nobody we add"
            told[item] = _problem(said, "name a static audience")
        elif item.id not in there:
            told[item] = _problem("it is not in Totara", _MEND_OFFER)
        elif static is None:
            said = "whether it is a dynamic one can't be told on this site, and a dynamic one keeps nobody we add"
            told[item] = Finding("note", WHAT, said, "see that its type is Set (Totara: Users > Audiences)")
    return told


def _programs(bridge: Bridge, items: list[Item]) -> dict[Item, Finding]:
    if not bridge.totara.has("totara_program_assignment_filter"):
        raise Refused("totara_program_assignment_filter is not allowed in the web service")
    told = {}
    for item in items:
        try:
            rights.assignments(bridge.totara, item.id)
        except NotFound:
            told[item] = _problem("it is not in Totara", _MEND_OFFER)
    return told
