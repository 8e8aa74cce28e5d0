"""The embedded shop's pages for shoppers: a catalogue, a product, a thank-you page. Beside them stand the customers'
own, and the staff's.
"""

from __future__ import annotations

import html
from functools import partial
from http import HTTPStatus

import nh3
from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_goods import IMAGES
from bridge.sandbox.shop_orders import PAID
from bridge.sandbox.shop_pages_customer import RULES as CUSTOMERS_RULES
from bridge.sandbox.shop_pages_customer import launch, launch_url, signed_in, visitor
from bridge.sandbox.shop_pages_staff import RULES as STAFF_RULES
from bridge.sandbox.shop_shapes import NAMES_OF_STATUSES, SYMBOLS, Json, money
from bridge.sandbox.shop_world import WpError

PAYMENTS = {
    "card": "Card",
    "declined": "Card that is declined",
    "sepa": "SEPA direct debit",
    "bacs": "Bank transfer",
    "cod": "Cash on delivery",
}


def make_pages(shop: Shop) -> Blueprint:
    """The pages, as a blueprint for one shop. They need no CSRF protection: nothing here is worth it."""
    pages = Blueprint("pages", __name__, template_folder="templates")
    for rule, method, view in (
        ("/", "GET", front),
        ("/product/<int:one>", "GET", product),
        ("/product/<slug>/", "GET", product_by_slug),
        ("/buy", "POST", buy),
        ("/order/<int:one>", "GET", order),
        ("/order/<int:one>/pay", "POST", pay),
        *CUSTOMERS_RULES,
        *STAFF_RULES,
        ("/wp-content/uploads/<int:one>.<kind>", "GET", upload),
    ):
        pages.add_url_rule(rule, view.__name__, partial(view, shop), methods=[method])
    pages.app_context_processor(lambda: {"shop": shop, "statuses": NAMES_OF_STATUSES, "visitor": visitor(shop)})
    pages.add_app_template_filter(html.unescape, "plain")
    pages.add_app_template_filter(lambda text: Markup(nh3.clean(text)), "safe_html")  # noqa: S704
    pages.add_app_template_filter(partial(_price, shop), "price")
    return pages


def _price(shop: Shop, value: str) -> str:
    return f"{SYMBOLS.get(shop.currency, (shop.currency, ''))[0]} {money(value)}"


def front(shop: Shop) -> str | AnyResponse:
    """What is for sale: published and with a price. Its address is the plugin's too, when a parameter says so."""
    if request.args.get("academy_bridge") == "launch":
        return launch(shop)
    if request.args.get("academy_bridge") == "sign-out":
        return redirect(url_for("pages.account"), HTTPStatus.SEE_OTHER)
    return render_template("shop_front.html", products=_for_sale(shop))


def _for_sale(shop: Shop) -> list[Json]:
    with shop.lock:
        return [
            item
            for item in shop.products.values()
            if item["status"] == "publish" and item["price"] and item["catalog_visibility"] != "hidden"
        ]


def product(shop: Shop, one: int) -> str:
    """A product, with the form to buy it."""
    item = shop.products.get(one)
    if item is None or item["status"] != "publish":
        abort(404)
    choices = [shop.variations[v] for v in item["variations"] if shop.variations[v]["price"]]
    plans = {key: rhythm(plan.interval, plan.period) for key, (plan, _) in shop.plans.get(one, {}).items()}
    return render_template("shop_product.html", item=item, choices=choices, plans=plans, payments=PAYMENTS)


def rhythm(interval: int, period: str) -> str:
    """How often, in words."""
    return f"every {period}" if interval == 1 else f"every {interval} {period}s"


def product_by_slug(shop: Shop, slug: str) -> str:
    """The same under the address that REST tells."""
    return product(shop, next((i["id"] for i in shop.products.values() if i["slug"] == slug), 0))


def buy(shop: Shop) -> AnyResponse:
    """The checkout."""
    form = request.form
    email = form.get("email", "").strip()
    chosen, quantity = form.get("product", 0, int), form.get("quantity", 1, int)
    if "@" not in email or not 1 <= quantity <= 1000 or form.get("payment") not in PAYMENTS:
        abort(400, "An e-mail address, a quantity and a way to pay are needed.")
    plan = form.get("plan", "")
    if plan and plan not in shop.plans.get(chosen, {}):
        abort(400, "There is no such plan.")
    known = next((c["id"] for c in shop.customers.values() if c["email"].lower() == email.lower()), 0)
    with_account = form.get("account") == "yes"
    try:
        made = shop.place_order(
            [{"product_id": chosen, "quantity": quantity, "plan": plan}],
            customer_id=known if with_account else 0,
            create_account=with_account and not known,
            email=email,
            first_name=form.get("first_name", ""),
            last_name=form.get("last_name", ""),
            company=form.get("company", ""),
            payment=form["payment"],
        )
    except ValueError as error:
        abort(400, str(error))
    answer = redirect(url_for("pages.order", one=made), 303)
    customer = shop.orders[made]["customer_id"]
    return signed_in(shop, answer, customer) if customer else answer


def order(shop: Shop, one: int) -> str:
    """Thank you; and, since this is a sandbox, the notes which only the staff sees."""
    try:
        found, notes = shop.show_order(one), shop.show_notes(one)
    except WpError:
        abort(404)
    paid = found["status"] in PAID
    for_team = any(line["quantity"] > 1 for line in found["line_items"])
    target = "team" if for_team else f"order:{one}"
    onward = launch_url(target) if shop.plugin and paid and found["customer_id"] else ""
    return render_template("shop_order.html", order=found, notes=notes, paid=paid, onward=onward, for_team=for_team)


def pay(shop: Shop, one: int) -> AnyResponse:
    """Try again with a card that works: it is the same order."""
    try:
        if shop.show_order(one)["needs_payment"]:
            shop.pay_order(one)
    except WpError:
        abort(404)
    return redirect(url_for("pages.order", one=one), 303)


def upload(shop: Shop, one: int, kind: str) -> Response:
    """An image that REST uploaded."""
    data, stored = shop.attachments.get(one, (b"", ""))
    if not stored or stored != kind:
        abort(404)
    return Response(data, mimetype=f"image/{IMAGES[kind]}")
