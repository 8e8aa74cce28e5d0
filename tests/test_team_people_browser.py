"""An employee accepts a letter in a browser of their own, and is in the course; the manager's browser is another."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bridge.sandbox.town import Town
from tests.browser import DESK, PHONE, NewPage, fits
from tests.town import buys, is_in, letter, to_team, told, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Where pictures of the pages are kept for somebody to look at; "" for nowhere.
PICTURES = os.environ.get("BRIDGE_PICTURES", "")


def pictured(page: Page, name: str, *, javascript: bool = True) -> None:
    """The page is right on a desk and on a phone, for whoever sees it and whoever does not."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    for size in (DESK, PHONE):
        page.set_viewport_size(size)
        fits(page, javascript=javascript)
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / f"{name}-{size['width']}.png", full_page=True)
    ids = "[...document.querySelectorAll('[id]')].map(e => e.id)"
    assert page.evaluate(f"{ids}.filter((id, n, all) => all.indexOf(id) !== n)") == [], "each id is there once"
    page.set_viewport_size(DESK)


def to(boss: Page, home: str, path: str, heading: str) -> None:
    """The manager goes to a page of the team's, which is headed so."""
    boss.goto(f"{home}{path}")
    expect(boss.get_by_role("heading", level=1)).to_have_text(heading)


def manager(town: Town, page: Page) -> str:
    """A customer buys three seats for a company, and goes to the team's page; its address."""
    buys(page, town, "VAL", "Bea Boss", "bea@corp.test", seats=3, company="Harbour & Sons")
    until(lambda: "3 × open seat" in told(town), "the order's note tells of the seats")
    return to_team(page, town)


def asks_two(page: Page, home: str) -> None:
    """The manager gives a seat to one person, and asks another to help manage the team."""
    page.get_by_role("heading", level=2).get_by_role("link").click()
    one = page.get_by_role("region", name="Give a seat to one person")
    one.get_by_label("E-mail address").fill("ada@corp.test")
    one.get_by_label("First name").fill("Ada")
    one.get_by_role("button").click()
    expect(page.get_by_text("1 seat was given")).to_be_visible()
    to(page, home, "settings", "Settings")
    invite = page.get_by_role("region", name="Invite")
    invite.get_by_label("E-mail address").fill("bo@corp.test")
    invite.get_by_role("button").click()
    expect(page.get_by_role("status")).to_be_visible()


def accepts(town: Town, page: Page) -> None:
    """An employee follows the letter, accepts, and is in the course; then they see who sees their progress."""
    letter(town, page, "ada@corp.test", "/team/invitation").click()
    expect(page.get_by_label("The link from the letter")).to_be_hidden()
    expect(page, "the secret is in no history").to_have_url(f"{town.url}/team/invitation")
    pictured(page, "invitation")
    page.get_by_role("button", name="See the invitation").click()
    expect(page).to_have_url(f"{town.url}/team/invitation/look")
    consent = page.get_by_role("checkbox", name="may see my progress")
    expect(consent).not_to_be_checked()
    pictured(page, "invitation-look")
    page.get_by_label("Last name").fill("Byte")
    consent.check()
    page.get_by_role("button", name="Accept").click()
    is_in(page, town, "VAL", "Ada Byte")
    page.goto(f"{town.url}/learn")
    expect(page.get_by_text("Harbour & Sons sees your progress")).to_be_visible()
    pictured(page, "learn")


def helps(town: Town, page: Page) -> None:
    """A colleague without JavaScript pastes the link of the letter, and accepts."""
    link = letter(town, page, "bo@corp.test", "/team/invitation").get_attribute("href")
    page.goto(f"{town.url}/team/invitation")
    page.get_by_label("The link from the letter").fill(link or "")
    page.get_by_role("button", name="See the invitation").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("help manage")
    pictured(page, "invitation-manage", javascript=False)
    page.get_by_role("button", name="Accept").click()
    expect(page).to_have_url(re.compile(f"{re.escape(town.url)}/team/."))


def test_an_employee_accepts_in_another_browser_and_is_in_the_course(town: Town, new_page: NewPage) -> None:
    boss = new_page()
    home = manager(town, boss)
    asks_two(boss, home)
    accepts(town, new_page())

    to(boss, home, "history", "History")
    expect(boss.get_by_text("invitation accepted")).to_be_visible()
    pictured(boss, "history")
    to(boss, home, "orders", "Orders")
    expect(boss.get_by_role("main")).to_contain_text("Harbour & Sons")
    pictured(boss, "orders")

    other = new_page(viewport=PHONE, java_script_enabled=False)
    helps(town, other)

    to(boss, home, "settings", "Settings")
    tokens = boss.get_by_role("region", name="Access for machines")
    tokens.get_by_label("What it is for").fill("Payroll")
    tokens.get_by_role("button", name="Make a token").click()
    expect(boss.get_by_role("textbox", name="Token")).to_be_visible()
    pictured(boss, "token")
    to(boss, home, "settings", "Settings")
    pictured(boss, "settings")
    boss.get_by_role("region", name="Hand the team over").get_by_role("button").click()
    expect(boss.get_by_role("heading", level=1)).to_have_text("Hand the team over")
    pictured(boss, "hand-over")
    to(other, home, "leave", "Leave the team")
    pictured(other, "leave", javascript=False)

    arab = new_page(locale="ar", storage_state=boss.context.storage_state())
    for path in ("settings", "history"):
        arab.goto(f"{home}{path}")
        expect(arab.get_by_role("main")).to_have_css("direction", "rtl")
        pictured(arab, f"{path}-ar")
