"""WooCommerce Subscriptions: how a subscription begins, and how it follows its orders, its dates and its staff.

Statuses and dates follow the plugin's own rules where they were recorded (a renewal, a failed one, a manual one,
ends of every kind); that a failed first payment puts on hold, and that a cancelled order cancels, is as its source
has it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bridge.sandbox.shop_orders import PAID
from bridge.sandbox.shop_plans import Plans, Schedule, add_periods
from bridge.sandbox.shop_shapes import Json, entries, links, merge_meta, money, stamp
from bridge.sandbox.shop_shapes_subscriptions import (
    ENDED,
    RELATED_CACHES,
    RELATIONS,
    RENEWAL_DONE,
    RESUBSCRIBE,
    meta_of,
    new_subscription,
    order_of_subscription,
)
from bridge.sandbox.shop_world import WpError

MANUAL = ("bacs", "cheque", "cod", "")  # ways to pay that cannot be charged by the shop
UNPAID = ("pending", "on-hold", "failed")
STOPS = (("failed", "pending"), ("failed", "active"))  # an order's status and the subscription's
SOON = 2 * 3600  # a next payment that is nearer than this is worked out anew


def moment_of(text: str) -> float:
    """The seconds since 1970 of a date in UTC, as this shop writes it."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Subscriptions(Plans):
    """Subscriptions, as REST shows them less what follows from their orders. Where the plugin is not installed
    nothing begins at the checkout, and REST has no routes for any of it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.subscriptions: dict[int, Json] = {}
        self.hollow: set[int] = set()  # of these the next subscription.updated is "[]", as was seen after REST
        self._followers: dict[tuple[int, str], list[int]] = {}  # subscription, kind -> orders, the oldest first

    # --- how they begin -----------------------------------------------------------------------------------

    def subscribe(
        self,
        order_id: int,
        *,
        lines: Iterable[int] | None = None,
        period: str = "month",
        interval: int = 1,
        length: int = 0,
        trial: int = 0,
        recipient: int = 0,
    ) -> int:
        """An order that is there already begins a subscription, by all its lines or by these.

        It is active if the order is paid. ``length`` and ``trial`` count periods; ``recipient`` is the account
        it is given to. Lines that are sold by subscription need no such call: they begin one at the checkout.
        """
        with self.lock:
            order, chosen = self._order(order_id), None if lines is None else set(lines)
            held = [line for line in order["line_items"] if chosen is None or line["id"] in chosen]
            schedule = Schedule(Decimal(0), period, interval, length, trial, period)
            one = self._begin(order, [(line, None) for line in held], schedule, recipient)
            if order["status"] in PAID:
                self.change_subscription(one, "active")
            return one

    def _checked_out(self, order: Json) -> None:
        """Lines that recur begin subscriptions: one for each rhythm and each recipient."""
        super()._checked_out(order)
        for kind, key in RELATIONS.items():
            if one := meta_of(order, key):
                self._followers.setdefault((int(one), kind), []).append(order["id"])
        begun_otherwise = meta_of(order, "_subscription_switch") or meta_of(order, RESUBSCRIBE)
        if not self.has_subscriptions or order["created_via"] in ("rest-api", "subscription") or begun_otherwise:
            return
        groups: dict[Any, list[tuple[Json, Schedule]]] = {}
        for line in order["line_items"]:
            if schedule := self.schedule_of(line):
                groups.setdefault((schedule.rhythm, meta_of(line, "wcsg_recipient")), []).append((line, schedule))
        for (_, recipient), held in groups.items():
            self._begin(order, held, held[0][1], int(recipient.rpartition("_")[2] or 0))

    def _begin(
        self, order: Json, held: Iterable[tuple[Json, Schedule | None]], schedule: Schedule, recipient: int = 0
    ) -> int:
        """A pending subscription. Its lines have ids of their own, and cost what they cost each time."""
        one, now = next(self._posts), self.now()
        made = new_subscription(one, order, schedule.period, schedule.interval)
        made |= {"status": "pending", "line_items": [self._recurring(*each) for each in held]}
        made["requires_manual_renewal"] = order["payment_method"] in MANUAL
        made |= self._moment("created", now) | self._moment("modified", now) | self._dates(schedule, now)
        self._sum_up(made)
        if recipient:
            merge_meta(made["meta_data"], entries({"_recipient_user": recipient}), self._new_meta)
        merge_meta(made["meta_data"], entries(RELATED_CACHES), self._new_meta)
        self.subscriptions[one] = made
        self.hooks.fire("subscription.updated", one)
        self.hooks.fire("subscription.created", one)
        return one

    def _recurring(self, line: Json, schedule: Schedule | None) -> Json:
        made = copy.deepcopy(line) | {"id": next(self._lines)}
        if schedule:
            each = money(schedule.price * line["quantity"])
            made |= {"subtotal": each, "total": each, "price": float(schedule.price)}
        return made

    def _dates(self, schedule: Schedule, start: float) -> Json:
        trial_end = add_periods(start, schedule.trial_period, schedule.trial) if schedule.trial else None
        begins = trial_end or start
        end = add_periods(begins, schedule.period, schedule.interval * schedule.length) if schedule.length else None
        due = trial_end or add_periods(start, schedule.period, schedule.interval)
        return {
            "start_date_gmt": stamp(start),
            "trial_period": schedule.trial_period if schedule.trial else "",
            "trial_end_date_gmt": stamp(trial_end) or "",
            "next_payment_date_gmt": "" if end and due >= end else stamp(due),
            "end_date_gmt": stamp(end) or "",
        }

    # --- how they change ----------------------------------------------------------------------------------

    def change_subscription(self, one: int, status: str = "", **fields: Any) -> None:
        """A status (pending, active, on-hold, pending-cancel, cancelled, expired, switched) with the dates that go
        with it, or any fields. subscription.updated is sent.
        """
        with self.lock:
            found = self._subscription(one)
            if status and status != found["status"]:
                found |= self._dates_for(found, status)
            changed = status not in ("", found["status"])
            found |= {"status": status or found["status"], **fields, **self._moment("modified")}
            self.hooks.fire("subscription.updated", one)
            if changed:
                self.hooks.fire("action.woocommerce_subscription_status_changed", one)

    def _dates_for(self, found: Json, status: str) -> Json:
        now = stamp(self.now()) or ""
        if status == "on-hold":
            return {"suspension_count": found["suspension_count"] + 1}
        if status == "pending-cancel":
            ends = found["next_payment_date_gmt"] or found["end_date_gmt"] or now
            return {"end_date_gmt": max(ends, now), "next_payment_date_gmt": "", "cancelled_date_gmt": now}
        if status in ("cancelled", "expired", "switched"):
            dates = {"end_date_gmt": now, "next_payment_date_gmt": ""}
            asked = found["cancelled_date_gmt"] or now
            return dates | ({"cancelled_date_gmt": asked} if status == "cancelled" else {})
        if status == "active":
            return self._dates_of_active(found)
        return {}

    def _dates_of_active(self, found: Json) -> Json:
        """The next payment stays if it is some way off. Whoever was leaving does not leave any more."""
        if found["status"] == "pending-cancel":
            return {"next_payment_date_gmt": found["end_date_gmt"], "end_date_gmt": "", "cancelled_date_gmt": ""}
        due = found["next_payment_date_gmt"]
        if not due or moment_of(due) >= self.now() + SOON:
            return {}
        last = self._last_payment(found) or found["start_date_gmt"]
        period, interval = found["billing_period"], int(found["billing_interval"])
        following = add_periods(moment_of(last), period, interval)
        while following < self.now() + SOON:
            following = add_periods(following, period, interval)
        end = found["end_date_gmt"]
        return {"next_payment_date_gmt": "" if end and following > moment_of(end) else stamp(following)}

    def cancel_subscription(self, one: int) -> None:
        """The customer cancels: at the end of what is paid for, or at once if nothing is, or asked twice."""
        with self.lock:
            found = self._subscription(one)
            due = found["next_payment_date_gmt"]
            prepaid = due and moment_of(due) > self.now() and found["status"] == "active"
            if found["status"] not in ENDED:
                self.change_subscription(one, "pending-cancel" if prepaid else "cancelled")

    def trash_subscription(self, one: int) -> None:
        """Into the bin, cancelled before that."""
        with self.lock:
            if self._subscription(one)["status"] not in ENDED:
                self.change_subscription(one, "cancelled")
            self.change_subscription(one, "trash")
            self.hooks.fire("subscription.deleted", one)

    def delete_subscription(self, one: int) -> None:
        """For ever. Other than with an order, subscription.deleted tells of it."""
        with self.lock:
            self._subscription(one)
            del self.subscriptions[one]
            self.hooks.fire("subscription.deleted", one)

    def edit_subscription_line(self, one: int, line_id: int, quantity: int, total: str = "") -> None:
        """The staff changes a quantity. Without ``total`` the line costs what it did, as it does over REST."""
        with self.lock:
            found = self._subscription(one)
            line = self._line(found, line_id)
            line["quantity"] = quantity
            if total:
                line |= {"subtotal": money(total), "total": money(total)}
            self._sum_up(found)
            self.change_subscription(one)

    def add_subscription_line(self, one: int, spec: tuple[int, int] | Json) -> int:
        """The staff adds a line, at the recurring price. Gives its id."""
        with self.lock:
            found = self._subscription(one)
            made = [self._recurring(line, self.schedule_of(line)) for line in self._bought_lines(spec)]
            found["line_items"] += made
            self._sum_up(found)
            self.change_subscription(one)
            return int(made[0]["id"])

    def remove_subscription_line(self, one: int, line_id: int, *, by_customer: bool = False) -> None:
        """Take a line away. What the customer removed is still shown, among the removed ones."""
        with self.lock:
            found = self._subscription(one)
            line = self._line(found, line_id)
            found["line_items"].remove(line)
            if by_customer:
                found["removed_line_items"].append(line)
            self._sum_up(found)
            self.change_subscription(one)

    # --- how they follow their orders ---------------------------------------------------------------------

    def _status_changed(self, order: Json, before: str) -> None:
        super()._status_changed(order, before)
        if order["status"] not in PAID and meta_of(order, "_subscription_renewal_early"):
            return
        renewed = str(meta_of(order, RELATIONS["renewal"]))
        for one, found in list(self.subscriptions.items()):
            if order["id"] == found["parent_id"] or str(one) == renewed:
                self._follow(one, found, order, before)

    def _follow(self, one: int, found: Json, order: Json, before: str) -> None:
        """What a change of its first order or of a renewal does to a subscription."""
        first, now = order["id"] == found["parent_id"], found["status"]
        if order["status"] in PAID and before in UNPAID and now in ("pending", "on-hold"):
            self.change_subscription(one, "active", suspension_count=0)
            if not first:
                self.hooks.fire(RENEWAL_DONE, one)
        elif (order["status"], now) in STOPS or (first and (order["status"], now) == ("on-hold", "active")):
            self.change_subscription(one, "on-hold")
        elif order["status"] == "cancelled" and first:
            self.cancel_subscription(one)
        elif order["status"] == "refunded" and now == "pending-cancel" and self._last_order(found) == order["id"]:
            self.change_subscription(one, "cancelled")

    def trash_order(self, order_id: int) -> None:
        """With the order, the subscriptions that it began."""
        with self.lock:
            super().trash_order(order_id)
            for one, found in list(self.subscriptions.items()):
                if found["parent_id"] == order_id and found["status"] != "trash":
                    self.trash_subscription(one)

    def _forget_in_lines(self, gone: set[int]) -> None:
        super()._forget_in_lines(gone)
        self._forget(gone, [line for found in self.subscriptions.values() for line in found["line_items"]])

    # --- how they are shown -------------------------------------------------------------------------------

    def _subscription(self, one: int, status: int = 404) -> Json:
        """A subscription. Not to find it is 404 to who reads, and 400 to who writes."""
        if one not in self.subscriptions:
            raise WpError("woocommerce_rest_shop_subscription_invalid_id", "Invalid ID.", status)
        return self.subscriptions[one]

    def related(self, one: int) -> dict[str, list[int]]:
        """The orders of a subscription by their kind (parent, renewal, switch), the newest first."""
        with self.lock:
            parent = self._subscription(one)["parent_id"]
            found = {"parent": [parent] if parent in self.orders else []}
            for kind in RELATIONS:
                found[kind] = [n for n in reversed(self._followers.get((one, kind), ())) if n in self.orders]
            return found

    def subscriptions_of(self, order_id: int) -> list[int]:
        """The subscriptions an order belongs to in any way: those it began, renews, switches or follows. None of
        those in the bin.
        """
        with self.lock:
            order = self._order(order_id)
            named = {str(meta_of(order, key)) for key in (*RELATIONS.values(), RESUBSCRIBE)}
            there = {one: found for one, found in self.subscriptions.items() if found["status"] != "trash"}
            begun = [one for one, found in there.items() if found["parent_id"] == order_id]
            return begun + [one for one in there if str(one) in named and one not in begun]

    def _last_order(self, found: Json) -> int:
        related = self.related(found["id"])
        return max(related["parent"] + related["renewal"], default=0)

    def _last_payment(self, found: Json) -> str:
        """When the latest order was made, paid or not."""
        last = self._last_order(found)
        return str(self.orders[last]["date_created_gmt"]) if last else ""

    def _latest(self, orders: list[int], column: str) -> str | None:
        return next((self.orders[one][column] for one in orders if self.orders[one][column]), None)

    def show_subscription(self, one: int) -> Json:
        """A subscription as subscriptions/ID answers it."""
        with self.lock:
            found = copy.deepcopy(self._subscription(one))
            related = self.related(one)
            for kind in ("renewal", "switch"):
                for entry in found["meta_data"]:
                    if entry["key"] == f"_subscription_{kind}_order_ids_cache":
                        entry["value"] = related[kind]
            every = sorted({order for ids in related.values() for order in ids}, reverse=True)
            for column in ("date_paid", "date_paid_gmt", "date_completed", "date_completed_gmt"):
                found[column] = self._latest(every, column)
            found["last_payment_date_gmt"] = self._last_payment(found)
            found["resubscribed_from"] = str(meta_of(found, RESUBSCRIBE))
            found["line_items"] = self._show_lines(found["line_items"])
            found |= {"payment_url": self._pay_url(found), "is_editable": True, "needs_processing": True}
            owed = (last := self._last_order(found)) and self.orders[last]["status"] in UNPAID
            found["needs_payment"] = bool(owed or found["status"] == "pending") and Decimal(found["total"]) > 0
            customer = {"customer": f"customers/{found['customer_id']}"} if found["customer_id"] else {}
            parent = {"up": f"orders/{found['parent_id']}"} if found["parent_id"] else {}
            return found | {"_links": links(self.url, "subscriptions", one, **customer, **parent)}

    def show_subscription_as_order(self, one: int) -> Json:
        """A subscription as orders/ID answers it: an order that has a parent, and the caches of its own orders."""
        with self.lock:
            found, order = self.show_subscription(one), self.show_order(next(iter(self.orders)))
            missing = {"transaction_id": "", "cart_hash": "", "refunds": [], "currency_symbol": "", "_links": {}}
            return {key: found.get(key, missing.get(key)) for key in order}

    def show_orders_of(self, one: int) -> list[Json]:
        """The orders of a subscription as subscriptions/ID/orders answers them: parent, renewals, switches."""
        with self.lock:
            related = self.related(one)
            pairs = [(order, kind) for kind, ids in related.items() for order in ids]
            return [order_of_subscription(self.url, self.show_order(order), kind) for order, kind in pairs]

    def _payload(self, topic: str, argument: Any) -> Any:
        if topic == "subscription.updated" and argument in self.hollow:
            self.hollow.discard(argument)
            return []
        if topic == RENEWAL_DONE:
            # What is handed over is a whole subscription, of which this is all that is left.
            left = {"refunds": [], "order_type": "shop_subscription"}
            return {"action": RENEWAL_DONE.removeprefix("action."), "arg": left}
        return super()._payload(topic, argument)
