"""Stories in a real browser, where it decides what is sent and what may be gone on to."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser import PHONE, NewPage, fits
from tools.pictures import GUEST, MIA, Stage, stage_of


@pytest.fixture
def stage() -> Iterator[Stage]:
    with stage_of() as made:
        yield made


def bought(stage: Stage) -> int:
    """Mia has bought a course, and has it."""
    mia = stage.world.shop.add_customer(MIA, first_name="Mia", last_name="Moor")
    _, product = stage.course("Rules of origin")
    stage.world.look(stage.world.shop.place_order([(product, 1)], customer_id=mia, email=MIA))
    return mia


def sees_courses(stage: Stage, page: Page) -> None:
    """Mia comes from the shop to her list of courses."""
    stage.comes(page, stage.token(bought(stage), MIA, "courses"))
    stage.world.settle()
    expect(page).to_have_url(f"{stage.url}/learn")


def is_in_totara(stage: Stage) -> re.Pattern[str]:
    """Where a browser is that was led on."""
    return re.compile(re.escape(stage.bridge.settings.totara.url))


def test_a_click_in_the_list_of_courses_leads_on_to_totara(stage: Stage, page: Page) -> None:
    """Chromium holds what a form leads on to against our policy too."""
    sees_courses(stage, page)
    page.get_by_role("button", name="Open").click()
    expect(page).to_have_url(is_in_totara(stage))


def test_what_was_come_for_is_found_again_after_signing_in_to_a_shop_on_another_site(stage: Stage, page: Page) -> None:
    """localhost and 127.0.0.1 are two sites: the cookie that remembers it does not come with the shop's POST."""
    mia = bought(stage)
    shop = stage.bridge.settings.shop.url.replace("127.0.0.1", "localhost")
    stage.shop_is_at(shop)
    page.goto(f"{stage.url}/learn")
    assert page.url == f"{shop}/?academy_bridge=launch&target=resume"
    stage.posts(page, stage.token(mia, MIA, "resume"))
    expect(page).to_have_url(f"{stage.url}/learn")


def test_while_totara_is_away_the_page_says_so_and_goes_on_by_itself(stage: Stage, page: Page) -> None:
    sees_courses(stage, page)
    stage.world.totara.faults.down()
    page.goto(f"{stage.url}/sso/totara?nonce={'0' * 32}")
    expect(page.get_by_role("heading", level=1)).to_have_text("The learning site does not answer just now")
    expect(page.get_by_role("main")).not_to_contain_text("being prepared")
    fits(page)
    stage.world.totara.faults.clear()
    expect(page).to_have_url(is_in_totara(stage), timeout=40_000)


def test_the_list_of_courses_leads_back_to_the_shop(stage: Stage, page: Page) -> None:
    sees_courses(stage, page)
    page.get_by_role("link", name="Back to the shop").click()
    expect(page).to_have_url(re.compile(re.escape(stage.shop)))


def guest(stage: Stage) -> None:
    """A guest has bought a course, and has it."""
    _, product = stage.course("Rules of origin")
    stage.world.look(stage.world.shop.place_order([(product, 1)], email=GUEST, first_name="Gil"))


def test_a_guest_asks_for_a_link_and_opens_it(stage: Stage, new_page: NewPage) -> None:
    """Chromium tells where a form is from only as far as our own policy lets it."""
    guest(stage)
    page = new_page(viewport=PHONE, is_mobile=True)
    page.goto(f"{stage.url}/sso/link")
    fits(page)
    page.get_by_label("E-mail address").fill(GUEST)
    page.get_by_role("button", name="Mail me a link").click()
    expect(page.get_by_role("status")).to_contain_text("a link is on its way")
    fits(page)
    assert [row.email for row in stage.world.rows("link_requests")] == [GUEST]
    link = stage.mailed(GUEST)
    page.goto(link)
    expect(page).to_have_url(f"{stage.url}/sso/link/look")  # what is kept of it in the history opens nothing
    expect(page.get_by_role("main")).to_contain_text(GUEST[0] + "…@")
    fits(page)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{stage.url}/learn")
    expect(page.get_by_role("listitem")).to_contain_text("Rules of origin")
    fits(page)
    page.goto(link)
    expect(page.get_by_role("alert")).to_contain_text("used before")
    fits(page)


def test_without_scripts_the_link_is_pasted(stage: Stage, new_page: NewPage) -> None:
    guest(stage)
    page = new_page(viewport=PHONE, is_mobile=True, java_script_enabled=False)
    link = stage.mailed(GUEST)
    page.goto(link)
    page.get_by_label("The link from the letter").fill(link)
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{stage.url}/learn")
