"""The embedded shop's plugin: what it signs is what the bridge takes, and it tells of orders at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask, request
from werkzeug.test import Client

from bridge.domain.targets import read_target
from bridge.errors import BadSignature
from bridge.sandbox.server import Served
from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_plugin import Plugin
from bridge.shop_tokens import ShopTokens

HOME, SECRET = "http://shop.test", "the-secret-that-shop-and-bridge-share-0123"


@pytest.fixture
def heard() -> list[str]:
    """The pokes and sign-outs that came, as tokens."""
    return []


@pytest.fixture
def bridge(heard: list[str]) -> Iterator[str]:
    """The address of what takes pokes."""
    app = Flask("bridge")

    @app.post("/api/v1/pokes")
    def poke() -> str:
        heard.append(request.headers["Authorization"].removeprefix("Bearer "))
        return ""

    @app.post("/api/v1/customers/<int:customer>/sign-out")
    def sign_out(customer: int) -> str:
        return poke()

    with Served(app) as served:
        yield served.url


@pytest.fixture
def shop(bridge: str) -> Shop:
    made = Shop(subscriptions=True)
    made.install_plugin(bridge, SECRET, HOME)
    return made


@pytest.fixture
def plugin(shop: Shop) -> Plugin:
    assert shop.plugin
    return shop.plugin


@pytest.fixture
def tokens(shop: Shop, bridge: str) -> ShopTokens:
    """What the bridge verifies tokens with."""
    return ShopTokens([SECRET], HOME, bridge, lambda: datetime.fromtimestamp(shop.now(), UTC))


def test_a_customer_is_signed_in_first_and_then_vouched_for(shop: Shop, bridge: str, tokens: ShopTokens) -> None:
    nia = shop.add_customer("Nia@shop.test", "Nia", "Noon")
    browser, start = Client(shop.app), "/?academy_bridge=launch&target=course:7"
    assert browser.get(start).location == "/my-account/?target=course:7"
    assert f'id="customer-{nia}"' in browser.get("/my-account/?target=course:7").text
    assert browser.post("/my-account/sign-in", data={"customer": nia, "target": "course:7"}).location == start
    page = browser.get(start)
    assert f'action="{bridge}/sso/launch"' in page.text
    assert (page.headers["Referrer-Policy"], page.headers["Cache-Control"]) == ("strict-origin", "no-store")
    found = re.search(r'name="token" value="([^"]+)"', page.text)
    assert found
    launch = tokens.launch(found[1])
    assert (launch.customer_id, launch.email, launch.email_verified) == (nia, "nia@shop.test", False)
    assert (launch.first_name, launch.last_name, launch.target) == ("Nia", "Noon", read_target("course:7"))
    with pytest.raises(BadSignature):
        tokens.reads(found[1])
    browser.post("/my-account/sign-out")
    assert browser.get(start).status_code == 303


def test_only_an_address_that_was_checked_and_is_still_the_customers_is_told_as_such(
    shop: Shop, plugin: Plugin, tokens: ShopTokens
) -> None:
    checked = [{"key": "_wc_email_verified", "value": "nia@shop.test"}]
    nia = shop.add_customer("Nia@shop.test", meta_data=checked)
    assert tokens.launch(plugin.launch_token(shop.customers[nia], "home")).email_verified
    shop.change_customer(nia, {"email": "other@shop.test"})
    assert not tokens.launch(plugin.launch_token(shop.customers[nia], "home")).email_verified


@pytest.mark.parametrize("target", ["", "https://evil.test", "course:0", "course:٣", "home\n"])
def test_a_target_that_is_none_is_refused(shop: Shop, target: str) -> None:
    answer = Client(shop.app).get("/", query_string={"academy_bridge": "launch", "target": target})
    assert answer.status_code == 400


def test_staff_are_not_vouched_for_and_without_the_plugin_nobody_is(shop: Shop) -> None:
    boss = shop.add_customer("boss@shop.test", role="shop_manager")
    browser = Client(shop.app)
    browser.post("/my-account/sign-in", data={"customer": boss})
    answer = browser.get("/?academy_bridge=launch&target=home")
    assert (answer.status_code, "eyJ" in answer.text) == (403, False)
    assert Client(Shop().app).get("/?academy_bridge=launch&target=home").status_code == 503


def test_whoever_signs_out_is_told_of_by_the_login_that_the_launch_named(
    shop: Shop, plugin: Plugin, tokens: ShopTokens, heard: list[str]
) -> None:
    nia = shop.add_customer("nia@shop.test")
    browsers, names = [Client(shop.app), Client(shop.app)], []
    for browser in browsers:
        browser.post("/my-account/sign-in", data={"customer": nia})
        found = re.search(r'name="token" value="([^"]+)"', browser.get("/?academy_bridge=launch&target=home").text)
        assert found
        names.append(tokens.launch(found[1]).sid)
    assert None not in names and names[0] != names[1]
    assert browsers[1].get("/?academy_bridge=sign-out").location == "/my-account/"
    assert plugin.tell_ended() == 0, "that link signs nobody out"
    browsers[1].post("/my-account/sign-out")
    browsers[1].post("/my-account/sign-out")
    assert plugin.tell_ended() == 1
    assert [tokens.signed_out(token) for token in heard] == [(nia, names[1])]
    assert all(session not in str(names) for session in shop.sessions)


def test_start_learning_is_offered_for_what_is_paid_and_has_an_account(shop: Shop) -> None:
    product, nia = shop.add_product("Origin", sku="totara-course-7", price="10.00"), shop.add_customer("nia@shop.test")
    paid = shop.place_order([(product, 1)], customer_id=nia)
    unpaid = shop.place_order([(product, 1)], customer_id=nia, payment="bacs")
    guests = shop.place_order([(product, 1)], email="gus@shop.test")
    browser = Client(shop.app)
    assert f"target=order:{paid}" in browser.get(f"/order/{paid}").text
    for order in (unpaid, guests):
        assert "Start learning" not in browser.get(f"/order/{order}").text


def test_buying_with_an_account_signs_in(shop: Shop) -> None:
    product, browser = shop.add_product("Origin", price="10.00"), Client(shop.app)
    form = {"product": product, "email": "nia@shop.test", "payment": "card", "account": "yes", "first_name": "Nia"}
    browser.post("/buy", data=form)
    (order,) = shop.orders
    assert f"/order/{order}" in browser.get("/my-account/").text
    assert f"/order/{order}" not in Client(shop.app).get("/my-account/").text


def test_the_bridge_is_told_once_of_each_order_that_changed(
    shop: Shop, plugin: Plugin, tokens: ShopTokens, heard: list[str]
) -> None:
    product = shop.add_product("Origin", price="10.00")
    one = shop.place_order([(product, 1)], email="a@shop.test")
    two = shop.place_order([(product, 2)], email="b@shop.test")
    assert plugin.poke() == 2
    assert [tokens.poked(token) for token in heard] == [one, two]
    assert plugin.poke() == 0, "nothing happened since"
    shop.refund(two, "1.00")
    shop.trash_order(one)
    plugin.poke()
    assert [tokens.poked(token) for token in heard[2:]] == [two, one]


def test_a_subscription_is_told_of_by_the_order_it_began_with(
    shop: Shop, plugin: Plugin, tokens: ShopTokens, heard: list[str]
) -> None:
    product = shop.add_product("Pass", type="subscription", period="month", price="15.00")
    order = shop.place_order([(product, 1)], customer_id=shop.add_customer("sam@shop.test"))
    plugin.poke()
    heard.clear()
    (subscription,) = shop.subscriptions_of(order)
    shop.change_subscription(subscription, "on-hold")
    plugin.poke()
    assert [tokens.poked(token) for token in heard] == [order]


def test_a_bridge_that_is_down_disturbs_nobody(shop: Shop, plugin: Plugin) -> None:
    plugin.bridge_url = "http://127.0.0.1:9"
    shop.place_order([(shop.add_product("Origin", price="10.00"), 1)], email="a@shop.test")
    assert plugin.poke() == 1
