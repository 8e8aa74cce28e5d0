"""The embedded shop's checkout: carts, coupons and ways to pay, and the orders that REST writes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from bridge.sandbox.shop_bundles import tie_bundle
from bridge.sandbox.shop_orders import Orders
from bridge.sandbox.shop_shapes import (
    SYMBOLS,
    Json,
    address,
    entries,
    merge_meta,
    money,
    new_customer,
    new_line,
    new_order,
)
from bridge.sandbox.shop_world import WpError

CARD = ("stripe", "Credit / Debit Card")
SEPA = ("stripe_sepa_debit", "SEPA Direct Debit")
# How the shopper pays: method and title, the status it leads to, whether WooCommerce calls it a payment.
PAYMENTS: dict[str, tuple[tuple[str, str], str, bool]] = {
    "card": (CARD, "processing", True),
    "declined": (CARD, "failed", False),
    "authorised": (CARD, "on-hold", False),
    "sepa": (SEPA, "on-hold", False),
    "bacs": (("bacs", "Direct bank transfer"), "on-hold", False),
    "cheque": (("cheque", "Check payments"), "on-hold", False),
    "cod": (("cod", "Cash on delivery"), "processing", False),
    "free": (("", ""), "processing", True),
    "unpaid": (("", ""), "pending", False),
}


class Till(Orders):
    """Where orders come from: the checkout, and REST.

    ``gateway`` takes an order's payment (its id, total and currency) and gives the names of intent and charge.
    """

    gateway: Callable[[int, str, str], tuple[str, str]] | None = None

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
        customer_note: str = "",
        currency: str = "",
        meta: Mapping[str, Any] | None = None,
        method: tuple[str, str] | None = None,
    ) -> int:
        """A purchase; the result is the order's id.

        A line is (product or variation, quantity), or a dictionary as REST takes it, where ``meta`` may
        stand for ``meta_data``: {"gift_email": "nia@guest.test"}. The children of a grouped product become
        lines of their own, without a mark of the group; those of a bundle follow their parent. ``payment``
        is card (paid), declined (failed, :meth:`pay_order` pays the same order), bacs or cheque (on hold), cod
        (processing and not paid), free, sepa and authorised (on hold with a transaction, until
        :meth:`pay_order`) or unpaid (pending). ``coupon`` is a code and its per cent.
        ``meta`` is the order's. ``method`` is the name and title of another way to pay that
        goes as ``payment`` does: ("ppcp-gateway", "PayPal").

        The block checkout ("store-api") tells order.updated before order.created, every other way after it.
        """
        with self.lock:
            if order_id in self.orders:
                raise ValueError(f"order {order_id} exists")
            one = order_id or self._next(self._posts, self.orders)
            order = new_order(one, self.now(), self.utc_offset, currency or self.currency)
            by_hand = created_via in ("rest-api", "subscription")
            buy = self._given_line if by_hand else self._bought_lines
            order["line_items"] = [line for spec in lines for line in buy(spec)]
            if payment == "free" and coupon is None:
                coupon = ("free", 100)
            if create_account or (not by_hand and not customer_id and self._needs_account(order)):
                create_account, customer_id = True, next(self._users)
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
                "customer_note": customer_note,
                "billing": address(email or customer.get("email", ""), **names),
                "shipping": address(**names),
            }
            if not by_hand:
                order |= {"customer_ip_address": "127.0.0.1", "customer_user_agent": "Mozilla/5.0"}
                exempt = [{"key": "is_vat_exempt", "value": "no"}]
                merge_meta(order["meta_data"], exempt, self._new_meta)
            merge_meta(order["meta_data"], entries(meta), self._new_meta)
            self._apply_coupon(order, coupon)
            self._sum_up(order)
            self.orders[one], self.notes[one], self.refunds[one] = order, [], []
            told = ["order.updated", "order.created"]
            for topic in told if created_via == "store-api" else reversed(told):
                if topic == "order.created" and create_account:
                    self.hooks.fire("customer.created", customer_id)
                    self.hooks.fire("customer.updated", customer_id)
                self.hooks.fire(topic, one)
            order["payment_method"], order["payment_method_title"] = method or PAYMENTS[payment][0]
            self._checked_out(order)
            self._pay(order, payment, method)
            return one

    def _needs_account(self, order: Json) -> bool:
        """Whether the checkout makes an account even if the shopper did not ask for one."""
        return False

    def _checked_out(self, order: Json) -> None:
        """For what begins with an order: it was placed, and is about to be paid."""

    def pay_order(self, order_id: int, *, email: str | None = None) -> None:
        """The shopper pays an unpaid or failed order by card: the same order, perhaps under
        another address. Or the money of one on hold arrives, whichever way it was sent.
        """
        with self.lock:
            order = self._order(order_id)
            if email is not None:
                order["billing"]["email"] = email
            if order["status"] == "on-hold":
                self._payment_complete(order)
            else:
                self._pay(order, "card")

    def add_line(self, order_id: int, spec: tuple[int, int] | Json) -> int:
        """The staff adds to an order, whatever its status. Gives the id of the (first) new line."""
        with self.lock:
            order = self._order(order_id)
            made = self._bought_lines(spec)
            order["line_items"] += made
            self._sum_up(order)
            self._save(order)
            return int(made[0]["id"])

    def _pay(self, order: Json, payment: str, way: tuple[str, str] | None = None) -> None:
        usual, status, complete = PAYMENTS[payment]
        method, title = way or usual
        one = order["id"]
        order |= {"payment_method": method, "payment_method_title": title}
        if method.startswith("stripe") and payment != "declined":
            paid = self.gateway(one, order["total"], order["currency"]) if self.gateway else None
            intent_id, order["transaction_id"] = paid or (f"pi_sandbox{one}", f"ch_sandbox{one}")
            intent = [{"key": "_stripe_intent_id", "value": intent_id}]
            merge_meta(order["meta_data"], intent, self._new_meta)
            if complete:
                self.add_note(one, f"Payment via {title} ({order['transaction_id']}).")
        if complete:
            self._payment_complete(order)
        else:
            self._move(order, status)
        if status != "pending":
            self.add_note(one, 'Email "New order" sent.')

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
        elif item["type"] == "bundle":
            return self._bundled(item, given)
        elif not item["price"] or item["status"] not in ("publish", "private"):
            raise ValueError(f"product {one} is {item['status']} at {item['price'] or 'no price'}: not for sale")
        return self._given_line(given)

    def _bundled(self, bundle: Json, given: Json) -> list[Json]:
        """The lines of a bundle: the parent's, with its own price, and after it the children's."""
        [parent] = self._given_line({**given, "price": bundle["regular_price"] or "0", "bundle_configuration": None})
        children = []
        for item in bundle["bundled_items"]:
            product = self._goods(item["product_id"])
            price = product["price"] if item["priced_individually"] else "0"
            quantity = parent["quantity"] * item["quantity_default"]
            children += self._given_line({"product_id": product["id"], "quantity": quantity, "price": price})
        tie_bundle(bundle, parent, children, self._new_meta)
        return [parent, *children]

    def _price(self, item: Json, given: Json) -> str:
        """What one of a thing costs at the checkout."""
        return str(item["price"])

    def _given_line(self, given: Any) -> list[Json]:
        """A line as REST takes it, whatever its product."""
        quantity = int(given.get("quantity", 1))
        one = given.get("variation_id") or given.get("product_id") or 0
        item = self.products.get(one) or self.variations.get(one)
        if item and item["type"] == "bundle" and given.get("bundle_configuration"):
            return self._bundled(item, given)
        price = Decimal(str(given.get("price", self._price(item, given) if item else "")) or "0")
        subtotal = Decimal(str(given.get("subtotal", given.get("total", price * quantity))))
        total = Decimal(str(given.get("total", subtotal)))
        line = new_line(next(self._lines), "", quantity, subtotal, total)
        line |= self._line_of(item) if item else {}
        line["name"] = given.get("name") or line["name"]
        merge_meta(line["meta_data"], given.get("meta_data"), self._new_meta, of_line=True)
        merge_meta(line["meta_data"], entries(given.get("meta")), self._new_meta, of_line=True)
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
        if currency := fields.get("currency"):
            order |= {"currency": currency, "currency_symbol": SYMBOLS.get(currency, (currency, ""))[0]}
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
