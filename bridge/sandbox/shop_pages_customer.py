"""The embedded shop's pages for its customers: signing in, their orders, and the way to the learning site.

Nobody has a password here: whoever signs in chooses who they are.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus

from flask import make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_plugin import TARGET
from bridge.sandbox.shop_shapes import Json

COOKIE = "wordpress_logged_in_sandbox"


def visitor(shop: Shop) -> Json | None:
    """The customer who is signed in in the browser that asks."""
    return shop.customers.get(shop.sessions.get(request.cookies.get(COOKIE, ""), 0))


def signed_in(shop: Shop, answer: AnyResponse, customer: int) -> AnyResponse:
    """The answer, with this customer signed in."""
    secret = secrets.token_urlsafe(24)
    shop.sessions[secret] = customer
    answer.set_cookie(COOKIE, secret, httponly=True, samesite="Lax", path="/")
    return answer


def account(shop: Shop) -> str:
    """Who is signed in and their orders; or whom one may sign in as. ``then`` is a target to go on to."""
    customer, then = visitor(shop), _target()
    with shop.lock:
        orders = [o for o in shop.orders.values() if customer and o["customer_id"] == customer["id"]]
        everybody = sorted(shop.customers.values(), key=lambda one: str(one["email"]))
    return render_template("shop_account.html", customer=customer, orders=orders, everybody=everybody, then=then)


def sign_in(shop: Shop) -> AnyResponse:
    """Sign in as somebody, and go on to where they wanted to."""
    customer, then = request.form.get("customer", 0, int), _target()
    if customer not in shop.customers:
        return redirect(url_for("pages.account", target=then or None), HTTPStatus.SEE_OTHER)
    onward = launch_url(then) if then else url_for("pages.account")
    return signed_in(shop, redirect(onward, HTTPStatus.SEE_OTHER), customer)


def sign_out(shop: Shop) -> AnyResponse:
    """Sign out."""
    session = request.cookies.get(COOKIE, "")
    customer = shop.sessions.pop(session, None)
    if customer is not None and shop.plugin is not None:
        shop.plugin.signed_out(customer, session)
    answer = redirect(url_for("pages.front"), HTTPStatus.SEE_OTHER)
    answer.delete_cookie(COOKIE)
    return answer


def _target() -> str:
    """The target that a request names, "" for none."""
    word = request.values.get("target", "")
    return word if TARGET.fullmatch(word) else ""


def launch_url(target: str) -> str:
    """Where the way to a target begins."""
    return f"/?academy_bridge=launch&target={target}"


def launch(shop: Shop) -> AnyResponse:
    """``/?academy_bridge=launch&target=WORD``: a form that hands the customer's token to the bridge by itself."""
    target, customer = _target(), visitor(shop)
    if not target:
        return make_response("This link is not right.", HTTPStatus.BAD_REQUEST)
    if shop.plugin is None:
        return make_response("The way to the learning site is not set up.", HTTPStatus.SERVICE_UNAVAILABLE)
    if customer is None:
        return _strict(redirect(url_for("pages.account", target=target), HTTPStatus.SEE_OTHER))
    if customer["role"] != "customer":
        return _strict(make_response("Staff sign in to the learning site themselves.", HTTPStatus.FORBIDDEN))
    nonce, token = secrets.token_urlsafe(18), shop.plugin.launch_token(customer, target, request.cookies[COOKIE])
    action = f"{shop.plugin.bridge_url}/sso/launch"
    page = make_response(render_template("shop_launch.html", action=action, token=token, nonce=nonce))
    script = f"default-src 'none'; script-src 'nonce-{nonce}'"
    page.headers["Content-Security-Policy"] = f"{script}; base-uri 'none'; frame-ancestors 'none'"
    return _strict(page)


def _strict(answer: AnyResponse) -> AnyResponse:
    """By its origin alone the bridge knows that a page of the shop handed a token over."""
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "strict-origin", "X-Frame-Options": "DENY"}
    answer.headers.update(headers)
    return answer


RULES = (
    ("/my-account/", "GET", account),
    ("/my-account/sign-in", "POST", sign_in),
    ("/my-account/sign-out", "POST", sign_out),
)
