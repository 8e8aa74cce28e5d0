"""The whole way with a real browser, over sockets: from the order in a shop, by the bridge, into the course in Totara.

Totara is reached by another name than shop and bridge, so that for the browser it is another site: it keeps Totara's
cookie back from the form that the bridge's page sends there, as it would on the internet.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bridge.sandbox.shop_shapes import new_customer
from bridge.sandbox.totara_visitors import REFUSED
from bridge.sandbox.town import Town
from tests.browser import PHONE, NewPage
from tests.town import buys, course_url, is_in, letter, product, until
from tests.wordpress import SECRET, WordPress, sign_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def begins(page: Page, town: Town, code: str, name: str) -> None:
    """Somebody buys a course, and comes into it by a click on the order's page."""
    buys(page, town, code, name, f"{name.split()[0].lower()}@click.test")
    page.get_by_role("link", name="Start learning").click()
    is_in(page, town, code, name)


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
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    begins(page, town, "VAL", "Nia Click")
    expect(page.get_by_role("heading", level=1)).to_have_text("Customs valuation & origin")
    assert signed_in_users(town) == [user(town, "nia@click.test")]
    assert course_url(town, "VAL") in addresses
    assert not [address for address in addresses if "eyJ" in address], "no token is in an address"


def test_without_javascript_it_takes_a_button_each(town: Town, new_page: NewPage) -> None:
    page = new_page(viewport=PHONE, is_mobile=True, java_script_enabled=False)
    buys(page, town, "INTRO", "Jo Click", "jo@click.test")
    page.get_by_role("link", name="Start learning").click()
    for button, site in (
        ("Go on to the learning site", town.shop_url),
        ("Go on", town.url),
        ("Continue", town.totara_url),
    ):
        shown = page.get_by_role("button", name=button, exact=True)
        expect(shown).to_be_visible()
        assert page.url.startswith(site)
        shown.click()
    is_in(page, town, "INTRO", "Jo Click")


def test_a_guest_signs_in_by_a_link_out_of_the_mailbox(town: Town, page: Page) -> None:
    """All of it by clicks: from the letter that access is ready, by the one with the link, into the course."""
    town.shop.place_order([(product(town, "INTRO"), 1)], email="gil@guest.test", first_name="Gil", last_name="G")
    letter(town, page, "gil@guest.test", "/sso/link", "is ready").click()
    page.get_by_label("E-mail address").fill("gil@guest.test")
    page.get_by_role("button", name="Mail me a link").click()
    expect(page).to_have_title("Look into your mailbox")
    letter(town, page, "gil@guest.test", "/sso/link", "Your link to sign in").click()
    expect(page.get_by_label("The link from the letter")).to_be_hidden()
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{town.url}/learn")
    page.get_by_role("button", name="Open").click()
    is_in(page, town, "INTRO", "Gil G")


def log_out_of_totara(page: Page, town: Town) -> None:
    """By Totara's own page, which asks first; it leads on to the bridge's."""
    page.goto(f"{town.totara_url}/login/logout.php")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="You are signed out here")).to_be_visible()
    assert page.url.startswith(town.url)


def sign_out_of_the_shop(page: Page, town: Town) -> None:
    """By the shop's page of the account, which is shown."""
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{town.shop_url}/")


def is_asked_who_it_is(page: Page, town: Town) -> None:
    """The shop asks, and nobody else."""
    expect(page.get_by_role("heading", name="Sign in as")).to_be_visible()
    assert page.url.startswith(f"{town.shop_url}/my-account/")


def test_whoever_signs_out_everywhere_has_to_sign_in_again(town: Town, page: Page) -> None:
    begins(page, town, "VAL", "Nia Click")

    log_out_of_totara(page, town)
    assert visits(town) == 0, "whoever logs out of Totara is signed out of the bridge"
    page.get_by_role("link", name="Sign out of the shop").click()
    sign_out_of_the_shop(page, town)

    page.goto(course_url(town, "VAL"))
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    expect(page.get_by_role("banner")).not_to_contain_text("You are signed in")
    page.get_by_role("link", name="Sign in with the academy shop").click()
    is_asked_who_it_is(page, town)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    is_in(page, town, "VAL", "Nia Click")
    assert signed_in_users(town) == [user(town, "nia@click.test")] * 2


def test_whoever_signs_out_of_the_shop_leaves_nothing_at_the_bridge_for_the_next_person(town: Town, page: Page) -> None:
    begins(page, town, "VAL", "Nia Click")
    assert visits(town) == 1
    page.goto(f"{town.shop_url}/my-account/")
    sign_out_of_the_shop(page, town)
    until(lambda: visits(town) == 0, "the shop tells the bridge")
    page.goto(f"{town.url}/learn")
    is_asked_who_it_is(page, town)


def test_a_second_person_in_the_same_browser_gets_their_own_account(town: Town, page: Page) -> None:
    begins(page, town, "VAL", "Nia Click")
    before = dict(town.totara.sign_on.sessions)

    begins(page, town, "INTRO", "Omar Click")
    assert signed_in_users(town) == [user(town, "nia@click.test"), user(town, "omar@click.test")]
    assert not before.keys() & town.totara.sign_on.sessions.keys(), "the first one's session is over"
    page.goto(course_url(town, "VAL"))
    expect(page.get_by_role("main"), "what was the first one's is not the second one's").to_contain_text(
        "You are not enrolled"
    )


def test_whoever_became_staff_meanwhile_is_not_let_in_and_not_told_why(town: Town, page: Page) -> None:
    begins(page, town, "VAL", "Nia Click")
    town.totara.staff.add(user(town, "nia@click.test"))
    log_out_of_totara(page, town)
    page.goto(f"{town.totara_url}/login/index.php")
    page.get_by_role("link", name="Sign in with the academy shop").click()
    expect(page.get_by_role("alert")).to_contain_text(REFUSED)
    assert town.totara.sign_on.log[-1] == ("refused", "capability", user(town, "nia@click.test"))


def test_from_a_real_wordpress_into_the_course_with_one_click(tmp_path: Path, wordpress: WordPress, page: Page) -> None:
    """The shop's own plugin signs; behind it, the embedded shop tells the bridge of the same customer and order."""
    ids = wordpress.inside("echo wp_json_encode( array_column( get_users(), 'ID', 'user_login' ) );")
    anna = int(ids["anna"])
    more = {"BRIDGE_SSO_SHOP_ADDRESS": wordpress.home, "BRIDGE_SSO_SHOP_SECRETS": SECRET}
    with Town(tmp_path, port=0, quiet=True, totara_host="localhost", more=more) as town:
        town.shop.customers[anna] = new_customer(anna, "anna@shop.test", town.shop.now(), 0)
        bought = product(town, "VAL")
        order = town.shop.place_order([(bought, 1)], customer_id=anna, first_name="Anna", last_name="Click")
        line = {"sku": f"totara-course-{town.ids['VAL']}", "meta": {}}
        placed = {"customer": anna, "status": "processing", "lines": [{"product": 1}]}
        wordpress.option("shop", {"products": {"1": line}, "orders": {str(order): placed}})
        wordpress.option("academy_bridge", {"address": town.url, "secret": SECRET})

        page.goto(f"{wordpress.home}/wp-login.php")
        sign_in(page, "anna")
        expect(page).to_have_url(re.compile("/wp-admin/"))
        page.goto(f"{wordpress.home}/?shop=thankyou&order={order}")
        page.get_by_role("link", name="Start learning").click()
        is_in(page, town, "VAL", "Anna Click")
        assert signed_in_users(town) == [user(town, "anna@shop.test")]
