"""The whole way with a real browser, over sockets: from the order in a shop, by the bridge, into the course in Totara.

Totara is reached by another name than shop and bridge, so that for the browser it is another site: it keeps Totara's
cookie back from the form that the bridge's page sends there, as it would on the internet.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bridge.sandbox.shop_shapes import new_customer
from bridge.sandbox.totara_visitors import REFUSED
from bridge.sandbox.town import Town
from tests.browser import Browser, Page
from tests.wordpress import PASSWORD, SECRET, WordPress

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """What ``make run`` runs."""
    with Town(tmp_path, port=0, quiet=True, totara_host="localhost") as running:
        yield running


@pytest.fixture
def page(chromium: Browser) -> Page:
    """A fresh browser."""
    return chromium.page()


def product(town: Town, code: str, page: Page) -> int:
    """The product of a course, once the bridge has put it up."""
    sku = f"totara-course-{town.ids[code]}"
    page.go(town.shop_url)
    for _ in range(100):
        found = [p["id"] for p in town.shop.products.values() if p["sku"] == sku and p["status"] == "publish"]
        if found:
            return int(found[0])
        time.sleep(0.1)  # not in the page: without JavaScript it has no clock
    raise AssertionError(f"{code} is not in the shop")


def buy(page: Page, town: Town, code: str, name: str) -> int:
    """Buy a course as a person does, with an account; the order."""
    page.go(f"{town.shop_url}/product/{product(town, code, page)}")
    fields = {"first_name": name, "last_name": "Click", "email": f"{name.lower()}@click.test", "account": "yes"}
    for field, value in fields.items():
        page.fill(f"form.box [name={field}]", value)
    page.click("form.box button")
    page.wait("document.querySelector('#start-learning')")
    return max(town.shop.orders)


def course_url(town: Town, code: str) -> str:
    return f"{town.totara_url}/course/view.php?id={town.ids[code]}"


def is_in(page: Page, town: Town, code: str, fullname: str) -> None:
    """The browser comes to a course, signed in as somebody."""
    page.wait(f"location.href === '{course_url(town, code)}' && document.querySelector('#visitor')")
    assert fullname in page.evaluate("document.querySelector('#visitor').innerText")
    assert "not enrolled" not in page.text


def signed_in_users(town: Town) -> list[int]:
    """Who was let in at Totara, one after the other, as its log has it."""
    return [user for outcome, _, user in town.totara.sign_on.log if outcome == "accepted"]


def visits(town: Town) -> int:
    """How many browsers are signed in at the bridge."""
    with closing(sqlite3.connect(town.folder / "bridge.sqlite3")) as database:
        return int(database.execute("SELECT count(*) FROM visits").fetchone()[0])


def user(town: Town, address: str) -> int:
    found = town.totara.user_by_email(address)
    assert found is not None
    return found.id


def test_from_the_order_into_the_course_with_one_click(town: Town, page: Page) -> None:
    """The account did not exist when the order was placed; nobody is asked for a password."""
    buy(page, town, "VAL", "Nia")
    page.click("#start-learning")
    is_in(page, town, "VAL", "Nia Click")
    assert page.evaluate("document.querySelector('h1').innerText") == "Customs valuation & origin"
    assert signed_in_users(town) == [user(town, "nia@click.test")]
    history = page.call("Page.getNavigationHistory")["entries"]
    assert not [entry["url"] for entry in history if "eyJ" in entry["url"]], "no token is in an address"


def test_without_javascript_it_takes_a_button_each(town: Town, chromium: Browser) -> None:
    page = chromium.page(390, 844, javascript=False)
    buy(page, town, "INTRO", "Jo")
    page.click("#start-learning")
    for where in (f"{town.shop_url}/", f"{town.url}/sso/totara", f"{town.totara_url}/auth/bridge/login.php"):
        page.wait(f"location.href.startsWith('{where}') && document.querySelector('form button')")
        page.click("form button")
    is_in(page, town, "INTRO", "Jo Click")


def test_a_guest_signs_in_by_a_link_out_of_the_mailbox(town: Town, page: Page) -> None:
    """All of it by clicks: from the letter that access is ready, by the one with the link, into the course."""
    town.shop.place_order([(product(town, "INTRO", page), 1)], email="gil@guest.test", first_name="Gil", last_name="G")

    def follow(subject: str) -> None:
        page.wait_at(f"{town.mail_url}/?to=gil@guest.test", f"document.body.innerText.includes('{subject}')")
        page.click("li:first-child .letter")
        page.click(f".text a[href^='{town.url}/sso/link']")

    follow("is ready")
    page.fill("#address", "gil@guest.test")
    page.click("form button")
    page.wait("document.title === 'Look into your mailbox'")
    follow("Your link to sign in")
    page.wait("document.querySelector('#by-hand')?.hidden")
    page.click("#open button")
    page.wait("location.pathname === '/learn'")
    page.click("form[action='/learn/go'] button")
    is_in(page, town, "INTRO", "Gil G")


def test_whoever_signs_out_everywhere_has_to_sign_in_again(town: Town, page: Page) -> None:
    buy(page, town, "VAL", "Nia")
    page.click("#start-learning")
    is_in(page, town, "VAL", "Nia Click")

    page.go(f"{town.totara_url}/login/logout.php")
    page.click("#log-out")
    page.wait("location.pathname === '/sso/ended' && document.querySelector('#shop-sign-out')")
    assert visits(town) == 0, "whoever logs out of Totara is signed out of the bridge"
    page.click("#shop-sign-out")
    page.wait("location.pathname === '/my-account/'")
    page.click("#sign-out")
    page.wait("location.pathname === '/'")

    page.go(course_url(town, "VAL"))
    page.wait("document.title.startsWith('Log in')")
    assert page.evaluate("!document.querySelector('#visitor')")
    page.click("a[href='/auth/bridge/start.php']")
    page.wait("document.title.startsWith('My account')")
    assert page.url.startswith(f"{town.shop_url}/my-account/"), "the shop asks who it is, and nobody else"
    (customer,) = town.shop.customers
    page.click(f"#customer-{customer}")
    is_in(page, town, "VAL", "Nia Click")
    assert signed_in_users(town) == [user(town, "nia@click.test")] * 2


def test_whoever_signs_out_of_the_shop_leaves_nothing_at_the_bridge_for_the_next_person(town: Town, page: Page) -> None:
    buy(page, town, "VAL", "Nia")
    page.click("#start-learning")
    is_in(page, town, "VAL", "Nia Click")
    assert visits(town) == 1
    page.go(f"{town.shop_url}/my-account/")
    page.click("#sign-out")
    page.wait("location.pathname === '/'")
    for _ in range(50):
        if visits(town) == 0:
            break
        page.evaluate("new Promise(done => setTimeout(done, 100))")
    page.go(f"{town.url}/learn")
    page.wait("document.title.startsWith('My account')")
    assert page.url.startswith(f"{town.shop_url}/my-account/"), "the shop asks who it is"


def test_a_second_person_in_the_same_browser_gets_their_own_account(town: Town, page: Page) -> None:
    buy(page, town, "VAL", "Nia")
    page.click("#start-learning")
    is_in(page, town, "VAL", "Nia Click")
    before = dict(town.totara.sign_on.sessions)

    buy(page, town, "INTRO", "Omar")
    page.click("#start-learning")
    is_in(page, town, "INTRO", "Omar Click")
    assert signed_in_users(town) == [user(town, "nia@click.test"), user(town, "omar@click.test")]
    assert not before.keys() & town.totara.sign_on.sessions.keys(), "the first one's session is over"
    page.go(course_url(town, "VAL"))
    assert "You are not enrolled" in page.text, "what was the first one's is not the second one's"


def test_whoever_became_staff_meanwhile_is_not_let_in_and_not_told_why(town: Town, page: Page) -> None:
    buy(page, town, "VAL", "Nia")
    page.click("#start-learning")
    is_in(page, town, "VAL", "Nia Click")
    town.totara.staff.add(user(town, "nia@click.test"))
    page.go(f"{town.totara_url}/login/logout.php")
    page.click("#log-out")
    page.wait("location.pathname === '/sso/ended'")
    page.go(f"{town.totara_url}/login/index.php")
    page.click("a[href='/auth/bridge/start.php']")
    page.wait("document.querySelector('[role=alert]')")
    assert REFUSED in page.text
    assert town.totara.sign_on.log[-1] == ("refused", "capability", user(town, "nia@click.test"))


def test_from_a_real_wordpress_into_the_course_with_one_click(tmp_path: Path, wordpress: WordPress, page: Page) -> None:
    """The shop's own plugin signs; behind it, the embedded shop tells the bridge of the same customer and order."""
    ids = wordpress.inside("echo wp_json_encode( array_column( get_users(), 'ID', 'user_login' ) );")
    anna = int(ids["anna"])
    more = {"BRIDGE_SSO_SHOP_ADDRESS": wordpress.home, "BRIDGE_SSO_SHOP_SECRETS": SECRET}
    with Town(tmp_path, port=0, quiet=True, totara_host="localhost", more=more) as town:
        town.shop.customers[anna] = new_customer(anna, "anna@shop.test", town.shop.now(), 0)
        bought = product(town, "VAL", page)
        order = town.shop.place_order([(bought, 1)], customer_id=anna, first_name="Anna", last_name="Click")
        line = {"sku": f"totara-course-{town.ids['VAL']}", "meta": {}}
        placed = {"customer": anna, "status": "processing", "lines": [{"product": 1}]}
        wordpress.option("shop", {"products": {"1": line}, "orders": {str(order): placed}})
        wordpress.option("academy_bridge", {"address": town.url, "secret": SECRET})

        page.go(f"{wordpress.home}/wp-login.php")
        sign_in_to_wordpress(page, "anna")
        page.go(f"{wordpress.home}/?shop=thankyou&order={order}")
        page.click(".academy-bridge-button")
        is_in(page, town, "VAL", "Anna Click")
        assert signed_in_users(town) == [user(town, "anna@shop.test")]


def sign_in_to_wordpress(page: Page, login: str) -> None:
    """Fill in WordPress' own form."""
    page.wait("document.querySelector('#user_login') && document.readyState === 'complete'")
    page.evaluate("new Promise(done => setTimeout(done, 400))")  # its script moves the cursor 0.2 s after the page
    page.fill("#user_login", login)
    page.fill("#user_pass", PASSWORD)
    page.click("#wp-submit")
    page.wait("location.pathname.startsWith('/wp-admin')")
