"""WooCommerce Subscriptions, the orders that follow the first: renewals, switches, and subscribing again."""

from __future__ import annotations

import copy
import hashlib
from decimal import Decimal
from typing import Any

from bridge.sandbox.shop_orders import PAID
from bridge.sandbox.shop_plans import Schedule, add_periods
from bridge.sandbox.shop_shapes import Json, entries, merge_meta, new_order, stamp
from bridge.sandbox.shop_shapes_subscriptions import RELATED_CACHES, RESUBSCRIBE, new_subscription
from bridge.sandbox.shop_subscriptions import Subscriptions, moment_of

CHARGES = {"stripe": "card", "stripe_sepa_debit": "sepa"}


def _price_of(thing: Json) -> Decimal:
    return Decimal(thing["price"] or "0")


class Renewals(Subscriptions):
    """A shop whose subscriptions renew, switch and begin anew."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._switches: dict[int, tuple[int, int, Json]] = {}  # order -> subscription, line, what it becomes

    def renew(self, one: int, payment: str = "", *, early: bool = False) -> int:
        """A renewal: an order of its own, marked by metadata only. Gives the order.

        ``payment`` is as in :meth:`place_order`; by default the way of the subscription, and "unpaid" for one that
        is renewed by hand. Until it is paid the subscription is on hold, and :meth:`pay_order` makes it active.
        An ``early`` renewal leaves the subscription as it is and is paid or does not come to pass.
        """
        with self.lock:
            held = self._subscription(one)
            by_hand = held["requires_manual_renewal"] and not early
            payment = payment or ("unpaid" if by_hand else CHARGES.get(held["payment_method"], "card"))
            if not early:
                self.change_subscription(one, "on-hold")
            meta = {"_subscription_renewal": one} | ({"_subscription_renewal_early": one} if early else {})
            order = self._follow_up(held, payment, meta)
            if early and self.orders[order]["status"] in PAID:
                self._put_off(one, held)
            elif early:
                self.delete_order(order)
            return order

    def _follow_up(self, held: Json, payment: str, meta: Json, lines: Any = None, via: str = "subscription") -> int:
        """An order in the name of a subscription's customer, by default of what it holds."""
        kept = ("product_id", "variation_id", "name", "quantity", "subtotal", "total", "meta_data")
        same = [{key: copy.deepcopy(line[key]) for key in kept} for line in held["line_items"]]
        one = self.place_order(
            same if lines is None else lines,
            customer_id=held["customer_id"],
            email=held["billing"]["email"],
            payment=payment,
            created_via=via,
            currency=held["currency"],
            meta=meta,
        )
        if one in self.orders:
            self.orders[one] |= {name: copy.deepcopy(held[name]) for name in ("billing", "shipping")}
        return one

    def _put_off(self, one: int, held: Json) -> None:
        """Paid early, the next payment is one period later than it was."""
        due = moment_of(held["next_payment_date_gmt"])
        following = add_periods(due, held["billing_period"], int(held["billing_interval"]))
        self.change_subscription(one, next_payment_date_gmt=stamp(following))

    def run_schedule(self, payment: str = "") -> list[int]:
        """What the shop does by itself as time goes by: renew what is due, end what has come to its end.

        ``payment`` is how the renewals are paid. Gives the subscriptions that something happened to.
        """
        with self.lock:
            return [one for one in list(self.subscriptions) if self._is_due(one, payment)]

    def _is_due(self, one: int, payment: str) -> bool:
        found, now = self.subscriptions[one], self.now()
        end, due = found["end_date_gmt"], found["next_payment_date_gmt"]
        if end and moment_of(end) <= now and found["status"] in ("active", "pending-cancel"):
            self.change_subscription(one, "expired" if found["status"] == "active" else "cancelled")
            return True
        if due and moment_of(due) <= now and found["status"] == "active":
            self.renew(one, payment)
            return True
        return False

    # --- switching ----------------------------------------------------------------------------------------

    def switch(
        self,
        one: int,
        line_id: int,
        product_id: int,
        *,
        quantity: int = 0,
        charge: str = "0.00",
        payment: str = "card",
        price: str = "",
        period: str = "",
        interval: int = 0,
    ) -> int:
        """The customer changes one line for another product, variation or quantity (0: as before). Gives the order.

        ``charge`` is what the change costs now; without any, the order is complete at once. When it is paid, the
        subscription keeps its id and has a new line in the place of the old; ``price`` is what one costs from then
        on (by default what it costs in the shop), ``period`` and ``interval`` a new rhythm.
        """
        with self.lock:
            held = self._subscription(one)
            old = self._line(held, line_id)
            line = {"product_id": product_id, "quantity": quantity or old["quantity"]}
            line |= {"subtotal": charge, "total": charge, "meta": {"_switched_subscription_item_id": line_id}}
            order = self._follow_up(held, "unpaid", {"_subscription_switch": one}, [line], "checkout")
            self._switches[order] = one, line_id, {"price": price, "period": period, "interval": interval}
            data = {str(one): {"switches": {str(line_id): {"remove_line_item": line_id}}}}
            told = entries({"_subscription_switch_data": data})
            merge_meta(self.orders[order]["meta_data"], told, self._new_meta)
            if float(charge):
                self._pay(self.orders[order], payment)
            else:
                self._move(self.orders[order], "completed")
            return order

    def _status_changed(self, order: Json, before: str) -> None:
        super()._status_changed(order, before)
        if order["status"] in PAID and order["id"] in self._switches:
            self._switch_line(order, *self._switches.pop(order["id"]))

    def _switch_line(self, order: Json, one: int, line_id: int, change: Json) -> None:
        held = self._subscription(one)
        at = held["line_items"].index(self._line(held, line_id))
        [bought] = order["line_items"]
        item = self.variations.get(bought["variation_id"]) or self.products[bought["product_id"]]
        schedule = self.schedule_of(bought) or Schedule(_price_of(item))
        if change["price"]:
            schedule = Schedule(_price_of(change), schedule.period, schedule.interval)
        made = self._recurring(bought, schedule)
        key = hashlib.md5(f"switch {made['id']}".encode()).hexdigest()  # noqa: S324
        merge_meta(
            made["meta_data"], entries({"_cart_item_key_subscription_switch": key}), self._new_meta, of_line=True
        )
        held["line_items"][at] = made
        self._sum_up(held)
        self.change_subscription(one, **self._new_rhythm(held, change))
        self.hooks.fire("subscription.switched", one)

    def _new_rhythm(self, held: Json, change: Json) -> Json:
        period = change["period"] or held["billing_period"]
        interval = int(change["interval"] or held["billing_interval"])
        if (period, str(interval)) == (held["billing_period"], held["billing_interval"]):
            return {}
        following = stamp(add_periods(self.now(), period, interval))
        return {"billing_period": period, "billing_interval": str(interval), "next_payment_date_gmt": following}

    # --- subscribing again --------------------------------------------------------------------------------

    def resubscribe(self, one: int, payment: str = "card") -> tuple[int, int]:
        """Whoever's subscription has ended begins another of the same. Gives the order and the new subscription."""
        with self.lock:
            held = self._subscription(one)
            order = self._follow_up(held, "unpaid", {RESUBSCRIBE: one}, None, "checkout")
            found = self.orders[order]
            schedule = Schedule(Decimal(0), held["billing_period"], int(held["billing_interval"]))
            made = self._begin(found, [(line, None) for line in found["line_items"]], schedule)
            merge_meta(self.subscriptions[made]["meta_data"], entries({RESUBSCRIBE: one}), self._new_meta)
            held["resubscribed_subscription"] = str(made)
            self._pay(found, payment)
            payer = {key: found[key] for key in ("payment_method", "payment_method_title")}
            self.subscriptions[made] |= payer | {"requires_manual_renewal": payment in ("bacs", "cheque", "cod")}
            return order, made

    # --- as REST writes -----------------------------------------------------------------------------------

    def create_subscription(self, fields: Json) -> int:
        """A subscription from REST's fields, ``dates`` by the names they are kept under. It begins with no order,
        and only subscription.updated tells of it.
        """
        with self.lock:
            one, now = next(self._posts), self.now()
            order = new_order(one, now, self.utc_offset, self.currency)
            made = new_subscription(one, order | {"id": 0}, "month", 1) | {"status": "pending", "parent_id": 0}
            merge_meta(made["meta_data"], entries(RELATED_CACHES), self._new_meta)
            self.subscriptions[one] = made
            self.write_subscription(one, fields)
            return one

    def write_subscription(self, one: int, fields: Json) -> None:
        """What a PUT changes. Totals follow added and removed lines, but not a changed quantity."""
        with self.lock:
            found = self._subscription(one, 400)
            written = copy.deepcopy(found)
            self._write_order(written, fields)
            for name in ("billing_period", "billing_interval"):
                written[name] = str(fields.get(name, written[name]))
            found |= written | {"parent_id": int(fields.get("parent_id") or written["parent_id"])} | fields["dates"]
            self._sum_up(found)
            if "status" in fields:
                found["status"] = fields["status"]
            self.change_subscription(one, fields.get("transition_status", ""))
