"""What a product gives: an offer. Where offers are set, and which of them counts.

In this order: what a line was sold with when the bridge first saw it; the operator's file; the product's own meta,
the variation's before its parent's; the course of the catalogue's product, or of the SKU ``totara-course-N``.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator


class Kind(StrEnum):
    """The things in Totara that can be given."""

    COURSE = "course"
    AUDIENCE = "audience"
    PROGRAM = "program"
    CERTIFICATION = "certification"


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One thing in Totara, by its id."""

    kind: Kind
    id: int

    def __str__(self) -> str:
        """As a person would say it."""
        return f"{self.kind} {self.id}"


def course(course_id: int) -> Item:
    """A course as an item."""
    return Item(Kind.COURSE, course_id)


def read_item(word: str) -> Item:
    """``course:12`` as an item. Raises ValueError in words."""
    kind, _, number = word.strip().lower().partition(":")
    if kind not in set(Kind) or not re.fullmatch(r"[1-9][0-9]{0,17}", number.strip()):
        kinds = ", ".join(f"{one}:12" for one in Kind)
        raise ValueError(f"{word!r} is none of {kinds}")
    return Item(Kind(kind), int(number))


class ForWhom(StrEnum):
    """Who sits on the seats. ASK: as the buyer said on the line; else one unit is the buyer's, several stay open."""

    BUYER = "buyer"
    TEAM = "team"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Offer:
    """What one unit gives. Without items it gives nothing, and that is meant.

    ``days`` count from the first enrolment, or from ``starts`` where that is given. ``by_subscription`` tells that a
    subscription pays for the line, so that the order gives nothing for it.

    ``pick`` tells that each seat gives one of the items, which is picked when the seat is given to somebody. Open seats
    may be given away until ``assign_until``, and for ``assign_days`` from when they were bought, whichever ends first.
    ``report``: whoever manages the seats may see how those who take them get on, without being asked for consent.
    """

    items: tuple[Item, ...] = ()
    days: int | None = None
    starts: datetime | None = None
    until: datetime | None = None
    seats: int = 1
    for_whom: ForWhom = ForWhom.ASK
    by_subscription: bool = False
    pick: bool = False
    assign_days: int | None = None
    assign_until: datetime | None = None
    report: bool = False

    @property
    def ends(self) -> datetime | None:
        """The fixed end of access, if there is one."""
        if self.starts is not None and self.days is not None:
            counted = self.starts + timedelta(days=self.days)
            return min(counted, self.until) if self.until else counted
        return self.until

    @property
    def days_from_first(self) -> int | None:
        """The days that count from the first enrolment."""
        return self.days if self.starts is None else None

    def last_day_from(self, bought: datetime) -> datetime | None:
        """Until when open seats that were bought then may be given away."""
        counted = (bought + timedelta(days=self.assign_days)).replace(microsecond=0) if self.assign_days else None
        return min((moment for moment in (counted, self.assign_until) if moment), default=None)

    @property
    def pool(self) -> str:
        """What it gives and on what terms, as a digest of 16 signs: seats of alike offers can stand for one another."""
        terms = {name: value for name, value in self.as_json().items() if name not in _NOT_OF_A_SEAT}
        terms["gives"] = sorted(terms["gives"])
        return hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()[:16]

    def without(self, items: Collection[Item]) -> Offer:
        """The same without what another already gives."""
        return replace(self, items=tuple(item for item in self.items if item not in items))

    def as_json(self) -> dict[str, Any]:
        """For keeping it beside the line that it was sold on."""
        values = {
            "gives": [f"{item.kind}:{item.id}" for item in self.items],
            "days": self.days,
            "starts": self.starts.isoformat() if self.starts else None,
            "until": self.until.isoformat() if self.until else None,
            "seats": self.seats if self.seats != 1 else None,
            "for": str(self.for_whom) if self.for_whom is not ForWhom.ASK else None,
            "by_subscription": self.by_subscription or None,
            "pick": self.pick or None,
            "assign_days": self.assign_days,
            "assign_until": self.assign_until.isoformat() if self.assign_until else None,
            "report": self.report or None,
        }
        return {name: value for name, value in values.items() if value is not None}


#: What is said of a line, and tells nothing of what one seat of it gives.
_NOT_OF_A_SEAT = ("seats", "for", "assign_days", "assign_until")


def offer_from_json(kept: Mapping[str, Any]) -> Offer:
    """An offer as :meth:`Offer.as_json` kept it."""
    known = ("starts", "until", "assign_until")
    moments = {name: datetime.fromisoformat(kept[name]) for name in known if name in kept}
    return Offer(
        items=tuple(read_item(word) for word in kept.get("gives", ())),
        days=kept.get("days"),
        seats=kept.get("seats", 1),
        for_whom=ForWhom(kept.get("for", ForWhom.ASK)),
        by_subscription=kept.get("by_subscription", False),
        pick=kept.get("pick", False),
        assign_days=kept.get("assign_days"),
        report=kept.get("report", False),
        **moments,
    )


# --- as people write them ------------------------------------------------------------------------------------------

#: More than this from one unit is a mistake, or an attempt to drown us.
MOST_SEATS_PER_UNIT = 1_000
_Items = Annotated[list[str], AfterValidator(lambda words: [read_item(word) and word for word in words])]


def _day(value: object) -> date:
    """A day as TOML has it, or as text. Never a number: a 0 that a plugin left there would be a day in 1970."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        day = None
    if not isinstance(day, date) or isinstance(day, datetime):
        raise ValueError("a day is written like 2027-12-31")
    if not 2000 <= day.year < 3000:
        raise ValueError(f"{day} lies too far away; for no limit leave it out")
    return day


_Day = Annotated[date, BeforeValidator(_day)]


class OfferText(BaseModel):
    """An offer as it is written in the file or in a product's meta.

    Dates are days in UTC; ``until`` and ``assign_until`` are included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    gives: _Items
    days: int | None = Field(default=None, ge=1, le=36_500)
    starts: _Day | None = None
    until: _Day | None = None
    seats: int = Field(default=1, ge=1, le=MOST_SEATS_PER_UNIT)
    for_: ForWhom = Field(default=ForWhom.ASK, alias="for")
    pick: bool = False
    assign_days: int | None = Field(default=None, ge=1, le=36_500)
    assign_until: _Day | None = None
    report: bool = False

    @model_validator(mode="after")
    def _whole(self) -> OfferText:
        if len(set(map(read_item, self.gives))) < len(self.gives):
            raise ValueError("gives names the same thing twice")
        if self.starts and self.until and self.until < self.starts:
            raise ValueError("until lies before starts")
        if self.pick and len(self.gives) < 2:
            raise ValueError("pick needs more than one thing that it gives")
        if self.pick and self.for_ is ForWhom.BUYER:
            raise ValueError("what is picked is picked for each seat: for can't be buyer")
        return self

    @property
    def offer(self) -> Offer:
        """As the rules use it."""
        return Offer(
            items=tuple(read_item(word) for word in self.gives),
            days=self.days,
            starts=datetime.combine(self.starts, time(), UTC) if self.starts else None,
            until=_end_of_day(self.until),
            seats=self.seats,
            for_whom=self.for_,
            pick=self.pick,
            assign_days=self.assign_days,
            assign_until=_end_of_day(self.assign_until),
            report=self.report,
        )


def _end_of_day(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), UTC) + timedelta(days=1) if day else None


class FileOffer(OfferText):
    """An offer in the file: for one product or variation by its id, or for one SKU."""

    product: int | None = Field(default=None, ge=1)
    sku: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _of_one(self) -> FileOffer:
        if (self.product is None) == (self.sku is None):
            raise ValueError("an offer is for a product or for a sku: give one of them")
        return self

    def __str__(self) -> str:
        """Whose offer it is."""
        return f"product {self.product}" if self.product else f"SKU {self.sku}"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    may_sell: _Items = Field(default_factory=list)
    offer: list[FileOffer] = Field(default_factory=list)


@dataclass(frozen=True)
class Offers:
    """The operator's offers. ``may_sell`` are the audiences and programs that the shop's staff may put into meta."""

    by_product: Mapping[int, FileOffer]
    by_sku: Mapping[str, FileOffer]
    may_sell: frozenset[Item] = frozenset()

    def find(self, variation_id: int, product_id: int, sku: str) -> Offer | None:
        """The offer for a line: by its variation, its product, or its SKU in any case."""
        found = self.by_product.get(variation_id) or self.by_product.get(product_id) or self.by_sku.get(sku.casefold())
        return found.offer if found else None

    def __iter__(self) -> Iterator[FileOffer]:
        """Every offer of the file."""
        yield from (*self.by_product.values(), *self.by_sku.values())

    @property
    def sellable(self) -> frozenset[Item]:
        """What the operator's own word selects for sale, beside what the catalogue's rules do."""
        named = {item for one in self for item in one.offer.items if item.kind is not Kind.COURSE}
        return self.may_sell | named


NO_OFFERS = Offers({}, {})


def read_offers(text: str) -> Offers:
    """The operator's file. Raises ValueError whose message lists every problem, one a line."""
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as err:
        raise ValueError(str(err)) from err
    except ValidationError as err:
        raise ValueError("\n".join(_in_words(problem) for problem in err.errors(include_url=False))) from err
    problems = _twice([one.product for one in file.offer if one.product], "product")
    problems += _twice([one.sku.casefold() for one in file.offer if one.sku], "sku")
    if problems:
        raise ValueError("\n".join(problems))
    return Offers(
        {one.product: one for one in file.offer if one.product},
        {one.sku.casefold(): one for one in file.offer if one.sku},
        frozenset(read_item(word) for word in file.may_sell),
    )


def _twice(values: list[Any], what: str) -> list[str]:
    return [f"two offers are for {what} {value}" for value in sorted({v for v in values if values.count(v) > 1})]


def _in_words(problem: Any) -> str:
    place = ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in problem["loc"])
    said = str(problem["msg"]).removeprefix("Value error, ")
    return f"{place}: {said}" if place else said


#: The product meta that staff can write in the shop, under "Custom fields", and what each becomes.
META = {
    f"bridge_{name}": name
    for name in ("gives", "days", "starts", "until", "seats", "for", "pick", "assign_days", "assign_until", "report")
}


def offer_from_meta(meta: Mapping[str, Any], may_sell: Collection[Item], fallback: Offer | None) -> Offer | None:
    """The offer in a product's meta, or ``fallback`` when there is none.

    Without ``bridge_gives`` the meta only changes how the fallback is given: for how long, to whom, how many seats.
    Raises ValueError in words for meta that says nothing sensible, or that gives what the operator did not allow.
    """
    given = {META[key]: str(value).strip() for key, value in meta.items() if key in META and str(value).strip()}
    if not given:
        return fallback
    if "gives" not in given:
        if fallback is None:
            raise ValueError("its meta says how it is given, but not what: bridge_gives is missing")
        words = [f"{item.kind}:{item.id}" for item in fallback.items]
    else:
        said = given.pop("gives")
        words = [] if said.lower() == "nothing" else [word for word in said.split(",") if word.strip()] or [said]
    try:
        offer = OfferText.model_validate({**given, "gives": words}).offer
    except ValidationError as err:
        problems = err.errors(include_url=False)
        raise ValueError("; ".join(f"bridge_{_in_words(p)}" if p["loc"] else _in_words(p) for p in problems)) from err
    known = fallback.items if fallback else ()
    unsold = [i for i in offer.items if i.kind is not Kind.COURSE and i not in may_sell and i not in known]
    if unsold:
        raise ValueError(f"{', '.join(map(str, unsold))} may not be sold: name it under may_sell in the offers file")
    return offer
