"""What is sold and how it looks in the shop: the rules that select courses, and the plan that changes products.

A plan is a list of values; :mod:`bridge.sync_jobs` carries it out. Every change carries its reason in words.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property, lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from bridge.domain.lms import SITE_COURSE, Course, Tree, is_called
from bridge.domain.texts import clean_html, plain

#: The fields of a product that the bridge may write. Who owns each is configuration.
FIELDS = ("name", "description", "categories", "image", "status", "regular_price")

SKU_PREFIX = "totara-course-"


def sku_of(course_id: int) -> str:
    """The SKU by which a product is known to give a course."""
    return f"{SKU_PREFIX}{course_id}"


def course_of(sku: str | None) -> int | None:
    """The course a SKU stands for: ``totara-course-12``, or ``totara-course-12-anything`` as variations have."""
    if not sku or not sku.lower().startswith(SKU_PREFIX):
        return None
    number = sku[len(SKU_PREFIX) :].split("-", 1)[0]
    good = number.isascii() and number.isdigit() and 0 < len(number) < 19
    return (int(number) or None) if good else None


def sold_by(sku: str, variation_id: int) -> int | str | None:
    """The course that a line's SKU gives; None when it says nothing of courses, "" when it only looks as if it did.

    A suffix is for variations. On a product of its own it is what WooCommerce writes on a duplicate, which may be
    anything by now.
    """
    course_id = course_of(sku)
    if course_id is not None and (variation_id or sku.strip().lower() == sku_of(course_id)):
        return course_id
    return "" if sku.strip().lower().startswith(SKU_PREFIX) else None


# --- rules -----------------------------------------------------------------------------------------------------


class Rule(BaseModel):
    """One rule. All conditions that are given must hold. Patterns know ``*`` and ``?`` and ignore case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: int | str | None = None
    subtree: bool = True
    idnumber: str | None = None
    shortname: str | None = None
    language: str | None = None
    visible: bool | None = None
    tag: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if not self.conditions:
            raise ValueError('a rule needs a condition (for every course: shortname = "*")')
        return self

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions that are given."""
        return {name: value for name, value in self.model_dump(exclude={"subtree"}).items() if value is not None}

    def __str__(self) -> str:
        """As a person would write it."""
        return self.words

    @cached_property
    def words(self) -> str:
        """As a person would write it, put together once: every course that is judged tells its rule."""
        words = ", ".join(f"{name} {value}" for name, value in self.conditions.items())
        return f"{words} only" if self.category is not None and not self.subtree else words

    @cached_property
    def asked(self) -> Sequence[Callable[[Any, Course, Tree], bool | None]]:
        """What is asked of a course: whether it meets each of the conditions that are given."""
        return [answer for name, answer in _CONDITIONS.items() if getattr(self, name) is not None]

    def matches(self, course: Course, tree: Tree) -> bool | None:
        """Whether the course meets every condition; None when a condition can't be told from what Totara shows."""
        answers = [answer(self, course, tree) for answer in self.asked]
        if False in answers:
            return False
        return None if None in answers else True


class PriceRule(Rule):
    """The price of the courses that it matches, as WooCommerce writes prices: "120.00"."""

    price: str

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions, without the price."""
        return {name: value for name, value in super().conditions.items() if name != "price"}


def _in_category(rule: Rule, course: Course, tree: Tree) -> bool | None:
    path = tree.path(course.category_id)
    places = path if rule.subtree else path[-1:]
    wanted = rule.category
    if wanted is None or any(is_called(place, wanted) for place in places):
        return True
    if not tree.has(wanted):
        return None  # renamed, deleted, or named by an idnumber that the account is not shown
    whole = tree.is_whole(course.category_id) if rule.subtree else bool(path)
    return False if whole else None


def _like(pattern: str, value: str | None) -> bool | None:
    return None if value is None else _compiled(pattern).match(value.casefold()) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    # "[" is a sign like any other here; fnmatch would begin a set with it.
    return re.compile(translate(pattern.casefold().replace("[", "[[]")))


_CONDITIONS: Mapping[str, Callable[[Any, Course, Tree], bool | None]] = {
    "category": _in_category,
    "idnumber": lambda rule, course, tree: _like(rule.idnumber, course.idnumber),
    "shortname": lambda rule, course, tree: _like(rule.shortname, course.shortname),
    "language": lambda rule, course, tree: _like(rule.language, course.language),
    "visible": lambda rule, course, tree: None if course.visible is None else course.visible is rule.visible,
    "tag": lambda rule, course, tree: None if course.tags is None else rule.tag in course.tags,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a course may be sold. ``denied`` is the stronger no: not even what was paid for is enrolled."""

    selected: bool
    denied: bool
    reason: str


@dataclass(frozen=True)
class Rules:
    """Allow and deny. A deny rule beats every allow rule; what can't be told counts as denied, never as allowed.

    A hidden course is sold only by a rule that says ``visible = false`` itself.
    """

    allow: Sequence[Rule] = ()
    deny: Sequence[Rule] = ()

    def judge(self, course: Course, tree: Tree) -> Verdict:
        """May this course be sold, and why (not)?"""
        if course.id == SITE_COURSE or tree.is_system(course.category_id):
            return Verdict(False, True, "it is one of Totara's own containers, not a course")
        for rule in self.deny:
            answer = rule.matches(course, tree)
            if answer:
                return Verdict(False, True, f"denied by the rule: {rule}")
            if answer is None:
                return Verdict(False, True, f"Totara does not show what the deny rule asks: {rule}")
        for rule in self.allow:
            if rule.matches(course, tree) and (course.visible is not False or rule.visible is False):
                if why := course.sellable:
                    return Verdict(False, False, why)
                return Verdict(True, False, f"allowed by the rule: {rule}")
        return Verdict(False, False, "it is hidden in Totara" if course.visible is False else "no rule allows it")

    def unknown_categories(self, tree: Tree) -> list[int | str]:
        """The categories that rules name and that Totara does not show: a rule about one of them can't be kept."""
        named = {rule.category for rule in (*self.allow, *self.deny) if rule.category is not None}
        return sorted((name for name in named if not tree.has(name)), key=str)

    def may_read(self, category_id: int, tree: Tree) -> bool:
        """Whether a course of this category could be selected at all: restricted ones are then never even read."""
        if tree.is_system(category_id):
            return False
        probe = Course(id=0, fullname="", shortname="", category_id=category_id)
        for rule in self.deny:
            if set(rule.conditions) == {"category"} and rule.matches(probe, tree) is not False:
                return False
        return any(_in_category(rule, probe, tree) for rule in self.allow)


def price_of(course: Course, tree: Tree, prices: Sequence[PriceRule]) -> str | None:
    """The first price that matches, or None: the shop decides."""
    return next((rule.price for rule in prices if rule.matches(course, tree)), None)


# --- products --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """The product that a selected course should be. A field that is absent is the shop's own affair."""

    course_id: int
    fields: Mapping[str, Any]

    @property
    def sku(self) -> str:
        """See :func:`sku_of`."""
        return sku_of(self.course_id)


def wanted_product(
    course: Course, tree: Tree, *, language: str, price: str | None, with_categories: bool, with_image: bool
) -> Wanted:
    """How the course looks in the shop's language.

    ``categories`` are Totara's category ids (the deepest one), ``image`` is the picture's fingerprint: whoever sends
    the product puts the shop's own ids in their place. ``status`` is wanted only where a price is known; else it is
    the staff's to publish what they have priced.
    """
    fields: dict[str, Any] = {
        "name": html.escape(plain(course.fullname, language), quote=False),
        "description": clean_html(course.summary, language),
    }
    if with_categories and tree.path(course.category_id):
        fields["categories"] = [course.category_id]
    if with_image and course.image:
        fields["image"] = course.image.fingerprint
    if price is not None:
        fields["regular_price"] = price
        fields["status"] = "publish"
    return Wanted(course.id, fields)


_as_json = json.JSONEncoder(sort_keys=True).encode  # json.dumps with options makes an encoder for every call


def digest(value: Any) -> str:
    """A short hash of a field's value, to tell "the same as before" without keeping the text."""
    return hashlib.sha256(_as_json(value).encode()).hexdigest()[:16]


def digests(fields: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each field."""
    return {name: digest(value) for name, value in fields.items()}


@dataclass(frozen=True, slots=True)
class Known:
    """What we remember of a product: hashes of what we sent, of what the shop then showed, and who holds what."""

    product_id: int
    sent: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, str] = field(default_factory=dict)
    held: frozenset[str] = frozenset()  # fields the shop's staff changed: theirs until handed back
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """What the shop's list says of the product with the course's SKU."""

    product_id: int
    status: str


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to do to one product, and why.

    ``action`` is one of create, adopt, update, retire, mark (retired already, but not written down), keep (nothing to
    do, but something worth saying) and "" for nothing at all. ``fields`` are the wanted values that would be written.
    """

    action: str
    course_id: int
    product_id: int | None
    reason: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Whether it changes the shop."""
        return self.action in ("create", "update", "retire") or (self.action == "adopt" and bool(self.fields))


def plan_product(
    course_id: int,
    wanted: Wanted | None,
    known: Known | None,
    listed: Listed | None,
    *,
    verdict: str,
    denied: bool = False,
    binned: bool = False,
    shop_owns: frozenset[str] = frozenset(),
) -> Change:
    """What to do about one course's product.

    ``wanted`` is None for a course that may not be sold, or that is gone; ``verdict`` says why. ``binned`` tells that
    the product lies in the shop's bin, where it still holds its SKU.
    """
    if wanted is None:
        return _plan_unwanted(course_id, known, listed, verdict, denied)
    mine = {name: value for name, value in wanted.fields.items() if name not in shop_owns}
    if listed is None:
        if binned:
            return Change("keep", course_id, None, "the product is in the shop's bin: restore it, or empty the bin")
        again = " again: the product is gone from the shop" if known else f": {verdict}"
        # What the shop owns gets a first value too; a product is on sale at once only where a price is known.
        first = {"status": "draft", **wanted.fields}
        fields = first | ({"status": "draft"} if "status" in shop_owns else {})
        return Change("create", course_id, None, f"new{again}", fields)
    if known is None or known.product_id != listed.product_id:
        return Change("adopt", course_id, listed.product_id, "a product with this SKU is there already", mine)
    changed = {
        name: value for name, value in mine.items() if name not in known.held and known.sent.get(name) != digest(value)
    }
    if known.retired:
        if "status" not in mine and listed.status != "publish":
            changed.pop("status", None)
            back = Change("keep", course_id, listed.product_id, "the course is back; publish the product when priced")
            return back if not changed else Change("update", course_id, listed.product_id, back.reason, changed)
        if "status" in mine and "status" not in known.held:
            changed["status"] = mine["status"]
        if changed:
            return Change("update", course_id, listed.product_id, f"the course is back: {verdict}", changed)
    if not changed:
        return Change("", course_id, listed.product_id, "unchanged")
    return Change("update", course_id, listed.product_id, f"changed: {', '.join(sorted(changed))}", changed)


def _plan_unwanted(course_id: int, known: Known | None, listed: Listed | None, verdict: str, denied: bool) -> Change:
    if listed is None:
        return Change("", course_id, None, verdict)
    on_sale = listed.status in ("publish", "future")
    if known is None and not denied:
        if on_sale:
            return Change("keep", course_id, listed.product_id, f"sold, but not by us, and it gives nothing: {verdict}")
        return Change("", course_id, listed.product_id, verdict)
    if on_sale or listed.status == "private":
        return Change("retire", course_id, listed.product_id, verdict, {"status": "draft"})
    if known is not None and not known.retired:
        return Change("mark", course_id, listed.product_id, f"off sale already: {verdict}")
    return Change("", course_id, listed.product_id, verdict)


def staff_changed(known: Known, shown: Mapping[str, str], marked: Mapping[str, str]) -> frozenset[str]:
    """The fields that somebody edited in the shop since our last write.

    ``shown`` are digests of what the shop shows now. ``marked`` is what our last write left on the product itself of
    what it sent: where that differs from what we remember, it was us, and we were cut off before writing it down.
    """
    return frozenset(
        name
        for name, seen in known.seen.items()
        if shown.get(name, seen) != seen and marked.get(name, known.sent.get(name)) == known.sent.get(name)
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """What a plan would do, in numbers. ``live`` counts our products that are on sale before it."""

    courses: int
    live: int
    create: int = 0
    adopt: int = 0
    update: int = 0
    retire: int = 0


def too_much(totals: Totals, *, share: float, count: int) -> str:
    """Why a run must not go ahead by itself, or "".

    Stops an empty answer that would retire anything, the loss of more than half of what is on sale, and any run that
    would change more than ``share`` of it (and more than ``count`` products).
    """
    if totals.retire and not totals.courses:
        return f"Totara showed no course at all, and {totals.retire} products would be taken off sale"
    if totals.retire > 1 and totals.retire * 2 > totals.live:
        return f"{totals.retire} of {totals.live} products would be taken off sale"
    touched = totals.update + totals.retire
    if touched > count and touched > share * max(totals.live, 1):
        return f"{touched} of {totals.live} products would be changed or taken off sale"
    return ""
