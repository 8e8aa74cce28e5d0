"""The embedded shop's customers and orders: how an order changes, what that sends, and how REST shows it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from bridge.sandbox.shop_bundles import Bundles
from bridge.sandbox.shop_shapes import (
    NAMES_OF_STATUSES,
    Json,
    links,
    merge_meta,
    money,
    new_customer,
    new_line,
    new_note,
    new_refund,
)
from bridge.sandbox.shop_world import WpError

PAID = ("processing", "completed")


def _share(given: int | tuple[int, str]) -> tuple[int, str]:
    return given if isinstance(given, tuple) else (given, "")


def _cost(line: Json, quantity: int, told: str) -> Decimal:
    """What so many of a line cost, unless it was told."""
    if told:
        return Decimal(told)
    return Decimal(money(Decimal(line["total"]) * quantity / line["quantity"])) if line["quantity"] else Decimal(0)


class Orders(Bundles):
    """Customers, orders, notes, refunds. The dictionaries hold things as REST shows them, less ``_links``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.orders: dict[int, Json] = {}
        self.customers: dict[int, Json] = {}
        self.notes: dict[int, list[Json]] = {}  # order id -> notes, the oldest first
        self.refunds: dict[int, list[Json]] = {}  # order id -> refunds, the newest first

    # --- customers ----------------------------------------------------------------------------------------

    def add_customer(self, email: str, first_name: str = "", last_name: str = "", **fields: Any) -> int:
        """Somebody registers. The address is not verified: no shop does that by itself."""
        with self.lock:
            if any(other["email"].lower() == email.lower() for other in self.customers.values()):
                text = "An account is already registered with your email address."
                raise WpError("registration-error-email-exists", text, 400)
            one = next(self._users)
            customer = new_customer(one, email, self.now(), self.utc_offset)
            self.customers[one] = customer | {"first_name": first_name, "last_name": last_name}
            self._write_customer(self.customers[one], fields)
            self.hooks.fire("customer.created", one)
            self.hooks.fire("customer.updated", one)
            return one

    def change_customer(self, one: int, fields: Json) -> None:
        """A customer, or the staff, edits an account."""
        with self.lock:
            self.show_customer(one)
            self._write_customer(self.customers[one], fields)
            self.customers[one] |= self._moment("modified")
            self.hooks.fire("customer.updated", one)

    def delete_customer(self, one: int) -> None:
        """The staff deletes an account: its orders stay, and name no customer any more. Nothing tells of them."""
        with self.lock:
            self.show_customer(one)
            del self.customers[one]
            for order in self.orders.values():
                if order["customer_id"] == one:
                    order["customer_id"] = 0
            self.hooks.fire("customer.deleted", one)

    def _write_customer(self, customer: Json, fields: Json) -> None:
        for key in ("email", "first_name", "last_name", "username", "role"):
            customer[key] = str(fields.get(key, customer[key]))
        for key in ("billing", "shipping"):
            customer[key] |= fields.get(key) or {}
        merge_meta(customer["meta_data"], fields.get("meta_data"), self._new_meta)

    # --- the staff works on an order ----------------------------------------------------------------------

    def set_status(self, order_id: int, status: str) -> None:
        """Any change of status, by hand. From the bin it is a restore: order.updated stays silent then."""
        with self.lock:
            order = self._order(order_id)
            if order["status"] == "trash":
                self._untrash_meta(order)
                self._move(order, status, tell=False)
            else:
                self._move(order, status)

    def trash_order(self, order_id: int) -> None:
        """Into the bin: order.deleted, with nothing but the id."""
        with self.lock:
            order = self._order(order_id)
            meta = {
                "_wp_trash_meta_status": f"wc-{order['status']}",
                "_wp_trash_meta_time": str(int(self.now())),
            }
            given = [{"key": key, "value": value} for key, value in meta.items()]
            merge_meta(order["meta_data"], given, self._new_meta)
            order |= {"status": "trash", **self._moment("modified")}
            self.hooks.fire("order.deleted", order_id)

    def restore_order(self, order_id: int) -> None:
        """Out of the bin, to the status from before. No order.updated tells of it."""
        with self.lock:
            order = self._order(order_id)
            before = next((m["value"] for m in order["meta_data"] if m["key"] == "_wp_trash_meta_status"), "")
            self.set_status(order_id, str(before).removeprefix("wc-") or "pending")
            self.hooks.fire("order.restored", order_id)

    def delete_order(self, order_id: int) -> None:
        """For ever: no webhook, and 404 from now on."""
        with self.lock:
            self._order(order_id)
            for kept in (self.orders, self.notes, self.refunds):
                kept.pop(order_id, None)

    def edit_line(self, order_id: int, line_id: int, quantity: int) -> None:
        """Change a quantity. The totals stay as they were, as they do over REST."""
        with self.lock:
            self._line(self._order(order_id), line_id)["quantity"] = quantity
            self._save(self._order(order_id))

    def remove_line(self, order_id: int, line_id: int) -> None:
        """Take a line away."""
        with self.lock:
            order = self._order(order_id)
            order["line_items"].remove(self._line(order, line_id))
            self._save(order)

    def add_note(self, order_id: int, text: str, *, author: str = "WooCommerce", to_customer: bool = False) -> int:
        """A note. Nothing is told about it, and the order counts as unchanged."""
        with self.lock:
            self._order(order_id)
            note = new_note(next(self._comments), text, author, self.now(), self.utc_offset, to_customer)
            self.notes[order_id].append(note)
            return int(note["id"])

    def refund(
        self,
        order_id: int,
        amount: str = "",
        lines: Mapping[int, int | tuple[int, str]] | None = None,
        reason: str = "",
        *,
        by_gateway: bool = False,
    ) -> int:
        """Give money back; ``lines`` says for how many of which line, ``amount`` defaults to what these cost.

        A line may also be (quantity, money): money off a line without a seat given back is (0, "10.00").
        Without lines no seat is given back. The order's own quantities and totals never change, and its
        status only when everything is refunded. ``by_gateway``: the money was sent back through it.
        """
        with self.lock:
            order = self._order(order_id)
            back = [(self._line(order, one), *_share(given)) for one, given in (lines or {}).items()]
            told = [(line, quantity, _cost(line, quantity, cost)) for line, quantity, cost in back]
            costs = [cost for _, _, cost in told]
            total = Decimal(amount or sum(costs, Decimal(0)))
            if costs:
                costs[-1] += total - sum(costs, Decimal(0))
            if total > self._left(order):
                raise WpError("woocommerce_rest_cannot_create_order_refund", "Invalid refund amount.", 500)
            made = [self._refund_line(line, q, cost) for (line, q, _), cost in zip(told, costs, strict=True)]
            one = self._add_refund(order, total, reason, made, by_gateway)
            if self._left(order) == 0 and order["status"] != "refunded":
                self._move(order, "refunded")
            return one

    def delete_refund(self, order_id: int, refund_id: int) -> None:
        """Take a refund back: no webhook, and the order counts as unchanged."""
        with self.lock:
            order = self._order(order_id)
            order["refunds"] = [refund for refund in order["refunds"] if refund["id"] != refund_id]
            self.refunds[order_id] = [r for r in self.refunds[order_id] if r["id"] != refund_id]

    def _refund_line(self, line: Json, quantity: int, cost: Decimal) -> Json:
        made = new_line(next(self._lines), line["name"], -quantity, -cost, -cost)
        kept = ("product_id", "variation_id", "sku", "image", "parent_name")
        made |= {key: copy.copy(line[key]) for key in kept}
        origin = [{"key": "_refunded_item_id", "value": line["id"]}]
        merge_meta(made["meta_data"], origin, self._new_meta, of_line=True)
        return made

    def _left(self, order: Json) -> Decimal:
        """What is not refunded yet. (A refund's total is negative.)"""
        return Decimal(order["total"]) + sum((Decimal(r["total"]) for r in order["refunds"]), Decimal(0))

    def _add_refund(
        self, order: Json, amount: Decimal, reason: str, lines: list[Json], by_gateway: bool = False
    ) -> int:
        one = next(self._posts)
        refund = new_refund(one, amount, reason, self.now(), self.utc_offset)
        refund |= {"line_items": lines, "refunded_payment": by_gateway}
        self.refunds[order["id"]].insert(0, refund)
        short = {"id": one, "reason": reason, "total": money(-amount), "total_tax": "0.00"}
        order["refunds"].append(short)
        # The newest come first, but of those in one second the older.
        made = {each["id"]: each["date_created_gmt"] for each in self.refunds[order["id"]]}
        order["refunds"].sort(key=lambda each: int(each["id"]))
        order["refunds"].sort(key=lambda each: str(made[each["id"]]), reverse=True)
        kind = [{"key": "_refund_type", "value": "full" if self._left(order) == 0 else "partial"}]
        merge_meta(refund["meta_data"], kind, self._new_meta)
        self._save(order)
        self.hooks.fire("action.woocommerce_order_refunded", order["id"])
        return one

    # --- how an order changes -----------------------------------------------------------------------------

    def _order(self, one: int, status: int = 404) -> Json:
        """An order. Not to find it is 404 to who reads, and 400 to who writes."""
        if one not in self.orders:
            raise WpError("woocommerce_rest_shop_order_invalid_id", "Invalid ID.", status)
        return self.orders[one]

    def _line(self, order: Json, line_id: int) -> Json:
        lines: list[Json] = order["line_items"]
        for line in lines:
            if line["id"] == line_id:
                return line
        text = "Order item ID provided is not associated with order."
        raise WpError("woocommerce_rest_invalid_item_id", text, 400)

    def _save(self, order: Json) -> None:
        order |= self._moment("modified")
        self.hooks.fire("order.updated", order["id"])

    def _move(self, order: Json, status: str, *, tell: bool = True) -> None:
        """Change the status and tell of it, in WooCommerce's order.

        The date of payment is set when the order first counts as paid, which for cash on delivery is
        "completed".
        """
        before, one = order["status"], order["id"]
        order["status"] = status
        counts = status == "completed" or (status == "processing" and order["payment_method"] != "cod")
        if counts and order["date_paid"] is None:
            order |= self._moment("paid")
        if status == "completed" and before != "completed":
            order |= self._moment("completed")
        order |= self._moment("modified")
        if tell:
            self.hooks.fire("order.updated", one)
        if before == status:
            return
        names = [NAMES_OF_STATUSES.get(name, name) for name in (before, status)]
        self.add_note(one, f"Order status changed from {names[0]} to {names[1]}.")
        self.hooks.fire(f"action.woocommerce_order_status_{status}", one)
        self.hooks.fire("action.woocommerce_order_status_changed", one)
        if status == "refunded" and self._left(order) > 0:
            # By hand: a refund of everything that is left, without lines.
            self._add_refund(order, self._left(order), "Order fully refunded.", [])
        self._status_changed(order, before)

    def _status_changed(self, order: Json, before: str) -> None:
        """For what hangs on an order: its status is another one now."""

    def _untrash_meta(self, order: Json) -> None:
        doomed = ("_wp_trash_meta_status", "_wp_trash_meta_time")
        order["meta_data"] = [entry for entry in order["meta_data"] if entry["key"] not in doomed]

    def _needs_processing(self, order: Json) -> bool:
        for line in order["line_items"]:
            item = self.variations.get(line["variation_id"]) or self.products.get(line["product_id"])
            if item and not (item["virtual"] and item["downloadable"]):
                return True
        return False

    def _needs_payment(self, order: Json) -> bool:
        return order["status"] in ("pending", "failed") and Decimal(order["total"]) > 0

    def _payment_complete(self, order: Json) -> None:
        """What gateways call. Only orders of nothing but downloads (or of deleted products) complete by
        themselves.
        """
        order |= self._moment("paid")
        self._move(order, "processing" if self._needs_processing(order) else "completed")
        for line in order["line_items"]:
            if product := self.products.get(line["product_id"]):
                product["total_sales"] += line["quantity"]
        customer = self.customers.get(order["customer_id"])
        if customer and not customer["is_paying_customer"]:
            customer["is_paying_customer"] = True
            self.hooks.fire("customer.updated", customer["id"])
        self.hooks.fire("action.woocommerce_payment_complete", order["id"])

    def _forget_in_lines(self, gone: set[int]) -> None:
        every = [line for order in self.orders.values() for line in order["line_items"]]
        every += [line for refunds in self.refunds.values() for r in refunds for line in r["line_items"]]
        self._forget(gone, every)

    def _forget(self, gone: set[int], lines: Iterable[Json]) -> None:
        for line in lines:
            if line["product_id"] in gone or line["variation_id"] in gone:
                line |= {"product_id": 0, "variation_id": 0, "sku": None}

    def _pay_url(self, order: Json) -> str:
        url = f"{self.url}/checkout/order-pay/{order['id']}/?pay_for_order=true&key={order['order_key']}"
        renewal = any(entry["key"] == "_subscription_renewal" for entry in order["meta_data"])
        return f"{url}&subscription_renewal=true" if renewal else url

    # --- as REST shows ------------------------------------------------------------------------------------

    def show_order(self, one: int) -> Json:
        """An order as orders/ID answers it, and as its webhooks carry it."""
        with self.lock:
            order = copy.deepcopy(self._order(one))
            customer = {"customer": f"customers/{order['customer_id']}"} if order["customer_id"] else {}
            order["line_items"] = self._show_lines(order["line_items"])
            return order | {
                "payment_url": self._pay_url(order),
                "is_editable": order["status"] in ("pending", "on-hold", "auto-draft"),
                "needs_payment": self._needs_payment(order),
                "needs_processing": self._needs_processing(order),
                "_links": links(self.url, "orders", one, **customer),
            }

    def show_customer(self, one: int) -> Json:
        """A customer as customers/ID answers it."""
        with self.lock:
            if one not in self.customers:
                raise WpError("woocommerce_rest_invalid_id", "Invalid resource ID.", 404)
            return copy.deepcopy(self.customers[one]) | {"_links": links(self.url, "customers", one)}

    def show_notes(self, order_id: int) -> list[Json]:
        """The notes of an order as orders/ID/notes answers them."""
        with self.lock:
            self._order(order_id)
            path = f"orders/{order_id}/notes"
            return [
                note
                | {
                    "_links": links(self.url, path, note["id"], ("GET", "DELETE"), up=f"orders/{order_id}"),
                }
                for note in self.notes[order_id]
            ]

    def show_refunds(self, order_id: int) -> list[Json]:
        """The refunds of an order, the newest first, as orders/ID/refunds answers them."""
        with self.lock:
            self._order(order_id)
            path = f"orders/{order_id}/refunds"
            return [
                copy.deepcopy(refund)
                | {"_links": links(self.url, path, refund["id"], ("GET", "DELETE"), up=f"orders/{order_id}")}
                for refund in self.refunds[order_id]
            ]
