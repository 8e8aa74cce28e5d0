"""What is sold by subscription: products of the type, their variations, and plans on simple products; and the
arithmetic of billing periods.
"""

from __future__ import annotations

import calendar
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bridge.sandbox.shop_shapes import Json, entries, money
from bridge.sandbox.shop_till import Till

PERIODS = ("day", "week", "month", "year")


def add_periods(moment: float, period: str, count: int) -> float:
    """So many days, weeks, months or years later. The 31st is followed by the last of a shorter month."""
    at = datetime.fromtimestamp(moment, UTC)
    if period in ("day", "week"):
        return (at + timedelta(days=count * (7 if period == "week" else 1))).timestamp()
    months = at.year * 12 + at.month - 1 + count * (12 if period == "year" else 1)
    year, month = months // 12, months % 12 + 1
    day = min(at.day, calendar.monthrange(year, month)[1])
    return at.replace(year=year, month=month, day=day).timestamp()


@dataclass(frozen=True)
class Schedule:
    """How something recurs: what one costs each time, every ``interval`` periods; ``length`` and ``trial`` count
    periods too, and a length of 0 has no end.
    """

    price: Decimal
    period: str = "month"
    interval: int = 1
    length: int = 0
    trial: int = 0
    trial_period: str = "month"
    fee: Decimal = Decimal(0)

    @property
    def rhythm(self) -> tuple[str, int, int, int, str]:
        """What two things of one checkout must have in common to become one subscription."""
        return self.period, self.interval, self.length, self.trial, self.trial_period

    @property
    def first(self) -> Decimal:
        """What one costs at the checkout."""
        return self.fee + (Decimal(0) if self.trial else self.price)


def schedule_meta(
    price: str,
    *,
    period: str = "month",
    interval: int = 1,
    length: int = 0,
    trial: int = 0,
    trial_period: str = "",
    fee: str = "0",
) -> list[Json]:
    """The metadata of a product or variation that is sold by subscription."""
    meta: dict[str, Any] = {
        "_subscription_price": price,
        "_subscription_period": period,
        "_subscription_period_interval": interval,
        "_subscription_length": length,
        "_subscription_trial_length": trial,
        "_subscription_sign_up_fee": fee,
    }
    return entries(meta | ({"_subscription_trial_period": trial_period or period} if trial else {}))


class Plans(Till):
    """A shop that sells by subscription. ``plans`` holds the plans of simple products: product -> key -> plan.

    ``has_subscriptions`` says that the plugin is there.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.has_subscriptions = False
        super().__init__(*args, **options)
        self.plans: dict[int, dict[str, tuple[Schedule, int]]] = {}

    def add_product(self, name: str, *, type: str = "simple", price: str = "", **fields: Any) -> int:
        """As ever; one of the type "subscription" is monthly, unless ``period``, ``interval``, ``length``,
        ``trial``, ``trial_period`` and ``fee`` say otherwise.
        """
        if type == "subscription":
            fields["meta_data"] = [*_schedule_fields(price, fields), *fields.get("meta_data", ())]
        return super().add_product(name, type=type, price=price, **fields)

    def add_variation(
        self, product_id: int, *, price: str = "", attributes: Iterable[tuple[str, str]] = (), **fields: Any
    ) -> int:
        """As ever; of a "variable-subscription", with the same words as a product of the type "subscription"."""
        if self.products[product_id]["type"] == "variable-subscription":
            fields["meta_data"] = [*_schedule_fields(price, fields), *fields.get("meta_data", ())]
        return super().add_variation(product_id, price=price, attributes=attributes, **fields)

    def add_plan(
        self, product_id: int, *, period: str = "month", interval: int = 1, length: int = 0, discount: int = 0
    ) -> str:
        """A plan on a product that stays simple; ``discount`` is in per cent. Gives the key by which a line of an
        order names it: ``{"product_id": 7, "plan": key}``.
        """
        with self.lock:
            key = str(uuid.uuid4())
            plan = Schedule(Decimal(0), period, interval, length)
            self.plans.setdefault(product_id, {})[key] = plan, discount
            return key

    def schedule_of(self, line: Json) -> Schedule | None:
        """How a line of an order recurs; None if it doesn't."""
        key = next((m["value"] for m in line["meta_data"] if m["key"] == "_wcsatt_scheme"), "")
        item = self.variations.get(line["variation_id"]) or self.products.get(line["product_id"])
        return self._schedule(item, key) if item else None

    def _schedule(self, item: Json, plan: str = "") -> Schedule | None:
        if plan:
            held, discount = self.plans[item["id"]][plan]
            price = Decimal(money(Decimal(item["price"] or "0") * (100 - discount) / 100))
            return Schedule(price, held.period, held.interval, held.length)
        meta = {m["key"]: str(m["value"]) for m in item["meta_data"]}
        if not self.has_subscriptions or item["type"] not in ("subscription", "variation"):
            return None
        if "_subscription_period" not in meta:
            return None
        return Schedule(
            Decimal(item["price"] or "0"),
            meta["_subscription_period"],
            int(meta["_subscription_period_interval"]),
            int(meta["_subscription_length"]),
            int(meta["_subscription_trial_length"]),
            meta.get("_subscription_trial_period", "month"),
            Decimal(meta["_subscription_sign_up_fee"]),
        )

    def show_product(self, one: int, *, edit: bool = False) -> Json:
        """As ever; while the plugin is away nobody knows its types, and its products are shown as simple ones."""
        shown = super().show_product(one, edit=edit)
        known = self.has_subscriptions or shown["type"] not in ("subscription", "variable-subscription")
        return shown if known else shown | {"type": "simple"}

    def _price(self, item: Json, given: Json) -> str:
        schedule = self._schedule(item, given.get("plan", ""))
        return str(schedule.first) if schedule else super()._price(item, given)

    def _given_line(self, given: Any) -> list[Json]:
        """A line may name a ``plan``, and the account (``recipient``) it is a gift to, as the gifting of
        WooCommerce Subscriptions writes it.
        """
        meta = dict(given.get("meta") or {})
        if given.get("plan"):
            meta["_wcsatt_scheme"] = given["plan"]
        if given.get("recipient"):
            meta["wcsg_recipient"] = f"wcsg_recipient_id_{given['recipient']}"
        return super()._given_line({**given, "meta": meta})

    def _needs_account(self, order: Json) -> bool:
        """Nobody subscribes as a guest: an account is made, asked for or not."""
        return any(self.schedule_of(line) for line in order["line_items"])


def _schedule_fields(price: str, fields: dict[str, Any]) -> list[Json]:
    names = ("period", "interval", "length", "trial", "trial_period", "fee")
    return schedule_meta(price, **{name: fields.pop(name) for name in names if name in fields})
