"""What people do in the running sandbox, each in a browser of their own: they buy, get letters, and learn."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from bridge.sandbox.town import Town


def until(look: Callable[[], object], what: str) -> None:
    """Wait for what no page shows, 20 seconds at most."""
    for _ in range(200):
        if look():
            return
        time.sleep(0.1)
    raise AssertionError(what)


def product(town: Town, code: str) -> int:
    """The product of a course, once the bridge has put it up."""
    sku = f"totara-course-{town.ids[code]}"

    def found() -> list[int]:
        return [int(p["id"]) for p in town.shop.products.values() if p["sku"] == sku and p["status"] == "publish"]

    until(found, f"{code} is not in the shop")
    return found()[0]


def buys(page: Page, town: Town, code: str, name: str, address: str, *, seats: int = 1, company: str = "") -> int:
    """Somebody buys seats of a course, with an account; the order."""
    first, last = name.split()
    page.goto(f"{town.shop_url}/product/{product(town, code)}")
    page.get_by_label("First name").fill(first)
    page.get_by_label("Last name").fill(last)
    page.get_by_label("E-mail").fill(address)
    page.get_by_label("Company").fill(company)
    page.get_by_label("Seats").fill(str(seats))
    page.get_by_label("Checkout").select_option("With an account")
    page.get_by_role("button", name="Buy").click()
    expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
    return max(town.shop.orders)


def to_team(page: Page, town: Town) -> str:
    """Whoever has bought goes on to the team's pages; their address."""
    page.get_by_role("link", name="Give places to your team").click()
    expect(page).to_have_url(re.compile(f"{re.escape(town.url)}/team/."))
    return page.url


def told(town: Town) -> str:
    """What the newest order's newest note says."""
    return str(town.shop.notes[max(town.shop.orders)][-1]["note"])


def course_url(town: Town, code: str) -> str:
    """Where a course is in Totara."""
    return f"{town.totara_url}/course/view.php?id={town.ids[code]}"


def is_in(page: Page, town: Town, code: str, fullname: str) -> None:
    """The browser comes to a course, signed in as somebody who learns there."""
    expect(page).to_have_url(course_url(town, code))
    expect(page.get_by_role("banner")).to_contain_text(f"You are signed in as {fullname}")
    expect(page.get_by_role("main")).not_to_contain_text("not enrolled")


def letter(town: Town, page: Page, address: str, path: str, subject: str = "") -> Locator:
    """Open the newest letter to an address, once it is one with this subject; its link to a path of the bridge's."""
    until(lambda: any(subject in one.subject for one in town.mailbox.letters(address)[:1]), f"no letter {subject}")
    page.goto(f"{town.mail_url}/?to={address}")
    page.get_by_role("listitem").first.locator(".letter").click()
    return page.locator(".text").get_by_role("link", name=f"{town.url}{path}")
