"""The embedded shop: a stateful WooCommerce in memory that speaks the real wire format, quirks included.

``make run`` sells from it and the tests use it as their fake. :class:`Shop` is its state and what staff and
shoppers do; shop_api.py is the REST interface, shop_hooks.py the webhooks, shop_pages.py the pages.
Everything about what it answers was recorded from WooCommerce 11.0.1 on WordPress 7.1; a contract test holds
it to the recordings.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from flask import Flask

from bridge.sandbox.faults import Faults
from bridge.sandbox.shop_goods import Goods
from bridge.sandbox.shop_shapes import (
    NAMES_OF_STATUSES,
    Json,
    address,
    links,
    merge_meta,
    money,
    new_customer,
    new_line,
    new_note,
    new_order,
    new_refund,
    new_subscription,
    stamp,
)
from bridge.sandbox.shop_world import WpError

PAID = ("processing", "completed")
CARD = ("stripe", "Credit / Debit Card")
# How the shopper pays: the method and its title, the status it leads to, whether WooCommerce calls it a
# payment.
PAYMENTS: dict[str, tuple[tuple[str, str], str, bool]] = {
    "card": (CARD, "processing", True),
    "declined": (CARD, "failed", False),
    "authorised": (CARD, "on-hold", False),
    "bacs": (("bacs", "Direct bank transfer"), "on-hold", False),
    "cod": (("cod", "Cash on delivery"), "processing", False),
    "free": (("", ""), "processing", True),
    "unpaid": (("", ""), "pending", False),
}


class Shop(Goods):
    """The state of the shop, and what its staff and its shoppers do. Safe to use from many threads.

    ``now`` is the shop's clock; ``auth_now`` is what OAuth timestamps are held against. ``utc_offset`` (in
    seconds) is the shop's time zone. ``behind_tls`` accepts Basic authentication although the request came
    by http. ``subscriptions`` switches the routes of WooCommerce Subscriptions on. ``url`` is the shop's
    address; without it the shop learns it from the first request.
    """

    def __init__(
        self,
        *,
        consumer_key: str = "ck_sandbox",
        consumer_secret: str = "cs_sandbox",  # noqa: S107 - the sandbox's own
        currency: str = "EUR",
        utc_offset: int = -5 * 3600,
        now: Callable[[], float] = time.time,
        auth_now: Callable[[], float] = time.time,
        behind_tls: bool = False,
        subscriptions: bool = False,
        url: str = "",
        title: str = "The Sandbox Shop",
    ) -> None:
        super().__init__(now, utc_offset, currency, url)
        self.auth_now = auth_now
        self.behind_tls = behind_tls
        self.has_subscriptions = subscriptions
        self.title = title
        self.orders: dict[int, Json] = {}
        self.customers: dict[int, Json] = {}
        self.subscriptions: dict[int, Json] = {}
        self.notes: dict[int, list[Json]] = {}
        self.refunds: dict[int, list[Json]] = {}
        self.requests: list[str] = []
        self.faults = Faults()
        self.add_key(consumer_key, consumer_secret)
        self.app: Flask = self._make_app()

    def _make_app(self) -> Flask:
        from bridge.sandbox.shop_api import make_api
        from bridge.sandbox.shop_pages import make_pages

        app = Flask("bridge.sandbox")
        self.faults.install(app)
        app.register_blueprint(make_api(self))
        app.register_blueprint(make_pages(self))
        return app

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

    def _write_customer(self, customer: Json, fields: Json) -> None:
        for key in ("email", "first_name", "last_name", "username", "role"):
            customer[key] = str(fields.get(key, customer[key]))
        for key in ("billing", "shipping"):
            customer[key] |= fields.get(key) or {}
        merge_meta(customer["meta_data"], fields.get("meta_data"), self._new_meta)

    # --- a shopper buys -----------------------------------------------------------------------------------

    def place_order(
        self,
        lines: Sequence[tuple[int, int] | Json],
        *,
        customer_id: int = 0,
        email: str = "",
        first_name: str = "",
        last_name: str = "",
        payment: str = "card",
        company: str = "",
        coupon: tuple[str, int] | None = None,
        order_id: int | None = None,
        create_account: bool = False,
        created_via: str = "store-api",
    ) -> int:
        """A purchase; the result is the order's id.

        A line is (product or variation, quantity), or a dictionary as REST takes it. The children of a
        grouped product become lines of their own, without a mark of the group. ``payment`` is card (paid),
        declined (failed, :meth:`pay_order` pays the same order), bacs (on hold), cod (processing and not
        paid), free, authorised (on hold with a transaction) or unpaid (pending). ``coupon`` is a code and
        its per cent.

        The block checkout ("store-api") tells order.updated before order.created, every other way after it.
        """
        with self.lock:
            if order_id in self.orders:
                raise ValueError(f"order {order_id} exists")
            one = order_id or self._next(self._posts, self.orders)
            order = new_order(one, self.now(), self.utc_offset, self.currency)
            by_hand = created_via in ("rest-api", "subscription")
            buy = self._given_line if by_hand else self._bought_lines
            order["line_items"] = [line for spec in lines for line in buy(spec)]
            if payment == "free" and coupon is None:
                coupon = ("free", 100)
            if create_account:
                customer_id = next(self._users)
                self.customers[customer_id] = new_customer(customer_id, email, self.now(), self.utc_offset)
                self.customers[customer_id] |= {"first_name": first_name, "last_name": last_name}
            customer = self.customers.get(customer_id, {})
            names = {
                "first_name": first_name or customer.get("first_name", ""),
                "last_name": last_name or customer.get("last_name", ""),
                "company": company,
            }
            order |= {
                "customer_id": customer_id,
                "created_via": created_via,
                "billing": address(email or customer.get("email", ""), **names),
                "shipping": address(**names),
            }
            if not by_hand:
                order |= {"customer_ip_address": "127.0.0.1", "customer_user_agent": "Mozilla/5.0"}
                meta = [{"key": "is_vat_exempt", "value": "no"}]
                merge_meta(order["meta_data"], meta, self._new_meta)
            self._apply_coupon(order, coupon)
            self._sum_up(order)
            self.orders[one], self.notes[one], self.refunds[one] = order, [], []
            told = ["order.updated", "order.created"]
            for topic in told if created_via == "store-api" else reversed(told):
                if topic == "order.created" and create_account:
                    self.hooks.fire("customer.created", customer_id)
                    self.hooks.fire("customer.updated", customer_id)
                self.hooks.fire(topic, one)
            self._pay(order, payment)
            return one

    def pay_order(self, order_id: int, *, email: str | None = None) -> None:
        """The shopper pays an unpaid or failed order by card: the same order, perhaps under
        another address.
        """
        with self.lock:
            order = self._order(order_id)
            if email is not None:
                order["billing"]["email"] = email
            self._pay(order, "card")

    def _pay(self, order: Json, payment: str) -> None:
        (method, title), status, complete = PAYMENTS[payment]
        one = order["id"]
        order |= {"payment_method": method, "payment_method_title": title}
        if method == "stripe" and payment != "declined":
            order["transaction_id"] = f"ch_sandbox{one}"
            intent = [{"key": "_stripe_intent_id", "value": f"pi_sandbox{one}"}]
            merge_meta(order["meta_data"], intent, self._new_meta)
            if complete:
                self.add_note(one, f"Payment via {title} ({order['transaction_id']}).")
        if complete:
            self._payment_complete(order)
        else:
            self._move(order, status)
        if status != "pending":
            self.add_note(one, 'Email "New order" sent.')

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

    def _bought_lines(self, spec: tuple[int, int] | Json) -> list[Json]:
        """The lines of one thing in a cart. Raises ValueError for what nobody can buy."""
        given: Json = {"product_id": spec[0], "quantity": spec[1]} if isinstance(spec, tuple) else spec
        one = given.get("variation_id") or given.get("product_id") or 0
        item = self.products.get(one) or self.variations.get(one)
        if item is None:
            if "name" not in given:
                raise ValueError(f"there is no product {one}")
        elif item["type"] == "grouped":
            children = [(child, int(given.get("quantity", 1))) for child in item["grouped_products"]]
            return [line for child in children for line in self._bought_lines(child)]
        elif not item["price"] or item["status"] not in ("publish", "private"):
            raise ValueError(
                f"product {one} is {item['status']} at {item['price'] or 'no price'}: not for sale"
            )
        return self._given_line(given)

    def _given_line(self, given: Any) -> list[Json]:
        """A line as REST takes it, whatever its product."""
        quantity = int(given.get("quantity", 1))
        one = given.get("variation_id") or given.get("product_id") or 0
        item = self.products.get(one) or self.variations.get(one)
        price = Decimal((item["price"] if item else "") or "0")
        subtotal = Decimal(str(given.get("subtotal", given.get("total", price * quantity))))
        total = Decimal(str(given.get("total", subtotal)))
        line = new_line(next(self._lines), "", quantity, subtotal, total)
        line |= self._line_of(item) if item else {}
        line["name"] = given.get("name") or line["name"]
        merge_meta(line["meta_data"], given.get("meta_data"), self._new_meta, of_line=True)
        return [line]

    def _line_of(self, item: Json) -> Json:
        """What a line says of its product."""
        if item["type"] != "variation":
            image = item["images"][0] if item["images"] else {"id": "", "src": ""}
            kept = {"id": image["id"], "src": image["src"]}
            return {"product_id": item["id"], "name": item["name"], "sku": item["sku"], "image": kept}
        parent = self.products[item["parent_id"]]
        meta: list[Json] = []
        for chosen in item["attributes"]:
            entry = {"key": chosen["slug"], "value": chosen["option"], "display_key": chosen["name"]}
            merge_meta(meta, [entry], self._new_meta, of_line=True)
        image = item["image"] or {"id": 0, "src": ""}
        return {
            "product_id": parent["id"],
            "variation_id": item["id"],
            "name": f"{parent['name']} - {item['name']}",
            "sku": item["sku"],
            "meta_data": meta,
            "image": {"id": image["id"], "src": image["src"]},
            "parent_name": parent["name"],
        }

    def _apply_coupon(self, order: Json, coupon: tuple[str, int] | None) -> None:
        """A percentage off each line: ``subtotal`` stays, ``total`` and ``price`` do not. Codes are
        lower-cased.
        """
        if coupon is None:
            return
        code, percent = coupon
        saved = Decimal(0)
        for line in order["line_items"]:
            off = Decimal(money(Decimal(line["subtotal"]) * percent / 100))
            total = Decimal(line["subtotal"]) - off
            saved += off
            line |= {"total": money(total), "price": new_line(0, "", line["quantity"], total, total)["price"]}
        order["discount_total"] = money(saved)
        order["coupon_lines"] = [
            {
                "id": next(self._lines),
                "code": code.lower(),
                "discount": money(saved),
                "discount_tax": "0.00",
                "meta_data": [],
                "discount_type": "percent",
                "nominal_amount": percent,
                "free_shipping": False,
            }
        ]

    def _sum_up(self, order: Json) -> None:
        order["total"] = money(sum((Decimal(line["total"]) for line in order["line_items"]), Decimal(0)))

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

    def add_note(
        self, order_id: int, text: str, *, author: str = "WooCommerce", to_customer: bool = False
    ) -> int:
        """A note. Nothing is told about it, and the order counts as unchanged."""
        with self.lock:
            self._order(order_id)
            note = new_note(next(self._comments), text, author, self.now(), self.utc_offset, to_customer)
            self.notes[order_id].append(note)
            return int(note["id"])

    def refund(
        self, order_id: int, amount: str = "", lines: dict[int, int] | None = None, reason: str = ""
    ) -> int:
        """Give money back; ``lines`` says for how many of which line, ``amount`` defaults to what these cost.

        Without lines no seat is given back. The order's own quantities and totals never change, and its
        status only when everything is refunded.
        """
        with self.lock:
            order = self._order(order_id)
            back = [(self._line(order, line_id), quantity) for line_id, quantity in (lines or {}).items()]
            costs = [
                Decimal(money(Decimal(line["total"]) * quantity / line["quantity"]))
                for line, quantity in back
            ]
            total = Decimal(amount or sum(costs, Decimal(0)))
            if costs:
                costs[-1] += total - sum(costs, Decimal(0))
            if total > self._left(order):
                raise WpError("woocommerce_rest_cannot_create_order_refund", "Invalid refund amount.", 500)
            made = [
                self._refund_line(line, quantity, cost)
                for (line, quantity), cost in zip(back, costs, strict=True)
            ]
            one = self._add_refund(order, total, reason, made)
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

    def _add_refund(self, order: Json, amount: Decimal, reason: str, lines: list[Json]) -> int:
        one = next(self._posts)
        refund = new_refund(one, amount, reason, self.now(), self.utc_offset) | {"line_items": lines}
        self.refunds[order["id"]].insert(0, refund)
        short = {"id": one, "reason": reason, "total": money(-amount), "total_tax": "0.00"}
        order["refunds"].insert(0, short)
        kind = [{"key": "_refund_type", "value": "full" if self._left(order) == 0 else "partial"}]
        merge_meta(refund["meta_data"], kind, self._new_meta)
        self._save(order)
        self.hooks.fire("action.woocommerce_order_refunded", order["id"])
        return one

    # --- subscriptions, where the plugin is there -------------------------------------------------------------

    def subscribe(self, order_id: int, *, period: str = "month", interval: int = 1, days: int = 30) -> int:
        """The order begins a subscription, which the order itself doesn't say. Its lines have ids of their own."""
        with self.lock:
            order, one = copy.deepcopy(self._order(order_id)), next(self._posts)
            self.subscriptions[one] = new_subscription(one, order, period, interval)
            for line in self.subscriptions[one]["line_items"]:
                line["id"] = next(self._lines)
            due = stamp(self.now() + days * 86400)
            self.change_subscription(one, next_payment_date_gmt=due)
            self.hooks.fire("subscription.created", one)
            return one

    def change_subscription(self, one: int, status: str = "", **fields: Any) -> None:
        """A status (active, on-hold, pending-cancel, cancelled, expired) with the dates that go with it."""
        with self.lock:
            found = self.subscriptions[one]
            now = stamp(self.now())
            if status == "pending-cancel":
                found |= {"end_date_gmt": found["next_payment_date_gmt"], "next_payment_date_gmt": ""}
            if status in ("cancelled", "expired"):
                found |= {"end_date_gmt": now, "next_payment_date_gmt": ""}
            if status in ("cancelled", "pending-cancel"):
                found["cancelled_date_gmt"] = now
            found |= {"status": status or found["status"], **fields, **self._moment("modified")}
            self.hooks.fire("subscription.updated", one)

    def renew(self, subscription_id: int, payment: str = "card", days: int = 30) -> int:
        """A renewal: an order of its own, marked by metadata. One that isn't paid puts the subscription on hold."""
        with self.lock:
            held = self.subscriptions[subscription_id]
            kept = ("product_id", "variation_id", "name", "quantity", "subtotal", "total")
            self.change_subscription(subscription_id, "on-hold")
            one = self.place_order(
                [{key: line[key] for key in kept} for line in held["line_items"]],
                customer_id=held["customer_id"],
                email=held["billing"]["email"],
                first_name=held["billing"]["first_name"],
                last_name=held["billing"]["last_name"],
                company=held["billing"]["company"],
                payment=payment,
                created_via="subscription",
            )
            mark = [{"key": "_subscription_renewal", "value": str(subscription_id)}]
            merge_meta(self.orders[one]["meta_data"], mark, self._new_meta)
            if self.orders[one]["status"] in PAID:
                paid, due = stamp(self.now()), stamp(self.now() + days * 86400)
                dates = {"last_payment_date_gmt": paid, "next_payment_date_gmt": due}
                self.change_subscription(subscription_id, "active", **dates)
            return one

    # --- as REST writes -----------------------------------------------------------------------------------

    def create_order(self, fields: Json) -> int:
        """A new order by REST: created is told before updated."""
        with self.lock:
            for line in fields.get("line_items") or ():
                known = (line.get("variation_id") or line.get("product_id")) in {
                    *self.products,
                    *self.variations,
                }
                if not known:
                    text = "Product ID or SKU is required."
                    raise WpError("woocommerce_rest_required_product_reference", text, 400)
            one = self.place_order(
                fields.get("line_items") or [],
                customer_id=int(fields.get("customer_id", 0)),
                payment="unpaid",
                created_via="rest-api",
            )
            order = self.orders[one]
            order["shipping"] = address()
            self._write_order(order, {k: v for k, v in fields.items() if k not in ("line_items", "status")})
            status = fields.get("status", "pending")
            if fields.get("set_paid"):
                self._payment_complete(order)
            elif status != "pending":
                self._move(order, status)
            return one

    def change_order(self, one: int, fields: Json) -> None:
        """PUT on an order. It counts as modified and order.updated is sent, even if nothing changed.

        ``set_paid`` does nothing unless the order needs payment.
        """
        with self.lock:
            order = copy.deepcopy(self._order(one, 400))
            self._write_order(order, fields)
            self.orders[one] |= order
            order = self.orders[one]
            if fields.get("set_paid") and self._needs_payment(order):
                self._payment_complete(order)
            elif "status" in fields and fields["status"] != order["status"]:
                self.set_status(one, fields["status"])
            else:
                self._save(order)

    def _write_order(self, order: Json, fields: Json) -> None:
        for key in (
            "payment_method",
            "payment_method_title",
            "transaction_id",
            "customer_note",
            "customer_id",
        ):
            if key in fields:
                order[key] = fields[key]
        for key in ("billing", "shipping"):
            order[key] |= fields.get(key) or {}
        merge_meta(order["meta_data"], fields.get("meta_data"), self._new_meta)
        for given in fields.get("line_items") or ():
            if not given.get("id"):
                order["line_items"] += self._given_line(given)
                self._sum_up(order)
                continue
            line = self._line(order, given["id"])
            if given.get("quantity") == 0 or given.get("product_id", 1) is None:
                order["line_items"].remove(line)
                continue
            for key in ("quantity", "name"):
                line[key] = given.get(key, line[key])
            for key in ("subtotal", "total"):
                line[key] = money(given.get(key, line[key]))
            merge_meta(line["meta_data"], given.get("meta_data"), self._new_meta, of_line=True)

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

    def _forget_in_lines(self, gone: set[int]) -> None:
        every = [line for order in self.orders.values() for line in order["line_items"]]
        every += [line for refunds in self.refunds.values() for r in refunds for line in r["line_items"]]
        for line in every:
            if line["product_id"] in gone or line["variation_id"] in gone:
                line |= {"product_id": 0, "variation_id": 0, "sku": None}

    # --- as REST shows ------------------------------------------------------------------------------------

    def show(self, resource: str, one: int) -> Json:
        """One order, product, customer or subscription as ``GET`` answers it."""
        shows = {
            "order": self.show_order,
            "product": self.show_product,
            "customer": self.show_customer,
            "subscription": self.show_subscription,
        }
        if resource not in shows:
            raise WpError("rest_no_route", "No route was found matching the URL and request method.", 404)
        return shows[resource](one)

    def show_order(self, one: int) -> Json:
        """An order as orders/ID answers it, and as its webhooks carry it."""
        with self.lock:
            order = copy.deepcopy(self._order(one))
            pay = f"{self.url}/checkout/order-pay/{one}/?pay_for_order=true&key={order['order_key']}"
            customer = {"customer": f"customers/{order['customer_id']}"} if order["customer_id"] else {}
            return order | {
                "payment_url": pay,
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

    def show_subscription(self, one: int) -> Json:
        """A subscription as subscriptions/ID answers it."""
        with self.lock:
            if one not in self.subscriptions:
                raise WpError("woocommerce_rest_shop_subscription_invalid_id", "Invalid ID.", 404)
            found = copy.deepcopy(self.subscriptions[one])
            customer = {"customer": f"customers/{found['customer_id']}"} if found["customer_id"] else {}
            parent = {"up": f"orders/{found['parent_id']}"} if found["parent_id"] else {}
            return found | {"_links": links(self.url, "subscriptions", one, **customer, **parent)}

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
