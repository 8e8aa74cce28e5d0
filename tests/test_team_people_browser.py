"""An employee accepts a letter in a browser of their own, and is in the course; the manager's browser is another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.sandbox.town import Town
from tests.browser import Browser, Page
from tests.test_story_one_click import is_in, product
from tests.test_story_team_pages import axe as axe  # a fixture
from tests.test_story_team_pages import fits

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Where pictures of the pages are kept for somebody to look at; "" for nowhere.
PICTURES = os.environ.get("BRIDGE_PICTURES", "")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """What ``make run`` runs."""
    with Town(tmp_path, port=0, quiet=True, totara_host="localhost") as running:
        yield running


def pictured(page: Page, name: str, axe: str = "") -> None:
    """Nothing is cut off on a phone, and the page has all that a screen reader needs first; axe finds nothing."""
    for width in (1280, 390):
        page.size(width, 844)
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide <= 0, f"{name} at {width} is {too_wide} pixels too wide"
        if axe:
            fits(page, axe)
        if PICTURES:
            page.screenshot(Path(PICTURES) / f"{name}-{width}.png")
    assert (
        page.evaluate("document.title && document.documentElement.lang && document.querySelectorAll('h1').length") == 1
    )
    unnamed = (
        "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')].filter(f => !f.labels.length)"
    )
    assert page.evaluate(f"{unnamed}.map(f => f.id)") == []
    ids = "[...document.querySelectorAll('[id]')].map(e => e.id)"
    assert page.evaluate(f"{ids}.filter((id, n, all) => all.indexOf(id) !== n)") == [], "each id is there once"
    page.size(1280, 844)


def in_arabic(page: Page) -> None:
    """The same page for somebody whose browser asks for Arabic."""
    page.call("Network.enable")
    page.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": "ar"})
    page.go(page.url)
    assert page.evaluate("getComputedStyle(document.querySelector('main')).direction") == "rtl"


def manager(town: Town, chromium: Browser) -> Page:
    """The browser of a customer who bought three seats for a company, on the team's page."""
    page = chromium.page()
    page.go(f"{town.shop_url}/product/{product(town, 'VAL', page)}")
    fields = {"first_name": "Bea", "last_name": "Boss", "email": "bea@corp.test", "account": "yes", "quantity": "3"}
    for field, value in {**fields, "company": "Harbour & Sons"}.items():
        page.fill(f"form.box [name={field}]", value)
    page.click("form.box button")
    page.wait("document.querySelector('#start-learning')")
    page.wait_at(
        f"{town.shop_url}/?academy_bridge=launch&target=team",
        "location.pathname.startsWith('/team/') && document.querySelector('nav')",
        40,
    )
    return page


def letter(town: Town, page: Page, address: str) -> str:
    """Open the newest letter to an address; where on its page the invitation's link is."""
    page.wait_at(f"{town.mail_url}/?to={address}", "document.querySelector('li:first-child .letter')")
    page.click("li:first-child .letter")
    link = f".text a[href^='{town.url}/team/invitation']"
    page.wait(f'document.querySelector("{link}")')
    return link


def test_an_employee_accepts_in_another_browser_and_is_in_the_course(town: Town, chromium: Browser, axe: str) -> None:
    boss, employee = manager(town, chromium), chromium.page()
    boss.click("main a[href*='/pools/'], main a[href*='/pool']")
    boss.fill("#one-email", "ada@corp.test")
    boss.fill("#one-first_name", "Ada")
    boss.click("section[aria-labelledby=give-one] button")
    boss.wait("document.body.innerText.includes('ada@corp.test')")
    boss.go(boss.url.split("/pool")[0] + "/settings")
    boss.fill("#email", "bo@corp.test")
    boss.click("section[aria-labelledby=invite] button")
    boss.wait("document.querySelector('[role=status]')")

    employee.click(letter(town, employee, "ada@corp.test"))
    employee.wait("document.querySelector('#by-hand')?.hidden")
    assert employee.url == f"{town.url}/team/invitation", "the secret is in no history"
    pictured(employee, "invitation", axe)
    employee.click("#open button")
    employee.wait("document.querySelector('#first-name')")
    assert employee.url == f"{town.url}/team/invitation/look"
    assert employee.evaluate("document.querySelector('[name=consents]').checked") is False
    pictured(employee, "invitation-look", axe)
    employee.fill("#last-name", "Byte")
    employee.click("[name=consents]")
    employee.click("form button")
    is_in(employee, town, "VAL", "Ada Byte")
    employee.go(f"{town.url}/learn")
    assert "Harbour & Sons sees your progress" in employee.text
    pictured(employee, "learn", axe)

    boss.go(boss.url.split("?")[0].replace("/settings", "/history"))
    assert "invitation accepted" in boss.text
    pictured(boss, "history", axe)
    boss.go(boss.url.replace("/history", "/orders"))
    assert "Harbour & Sons" in boss.text
    pictured(boss, "orders", axe)

    other = chromium.page(390, 844, javascript=False)
    found = letter(town, other, "bo@corp.test")
    link = other.evaluate(f'document.querySelector("{found}").href')
    other.go(f"{town.url}/team/invitation")
    other.fill("#invitation", link)
    other.click("#open button")
    other.wait("document.body.innerText.includes('help manage')")
    pictured(other, "invitation-manage")
    other.click("form button")
    other.wait("location.pathname.startsWith('/team/') && document.querySelector('nav')")

    boss.go(boss.url.replace("/orders", "/settings"))
    boss.fill("section[aria-labelledby=tokens] [name=name]", "Payroll")
    boss.click("section[aria-labelledby=tokens] .fields + button")
    boss.wait("document.querySelector('#secret')")
    pictured(boss, "token", axe)
    boss.go(boss.url.split("/settings")[0] + "/settings")
    pictured(boss, "settings", axe)
    in_arabic(boss)
    pictured(boss, "settings-ar", axe)
    boss.go(boss.url.replace("/settings", "/history"))
    pictured(boss, "history-ar", axe)
    boss.call("Network.setExtraHTTPHeaders", headers={})
    boss.go(boss.url.replace("/history", "/settings"))
    boss.click("section[aria-labelledby=hand-over] button")
    boss.wait("document.querySelector('[name=sure]')")
    pictured(boss, "hand-over", axe)
    other.go(boss.url.split("/settings")[0] + "/leave")
    pictured(other, "leave")
