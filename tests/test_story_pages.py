"""Stories in a real browser, where it decides what is sent and what may be gone on to. Needs Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.browser import Browser, Page, find_chromium
from tests.conftest import NEEDED
from tools.pictures import GUEST, MIA, Stage, stage_of

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None and not NEEDED, reason="there is no Chromium on this machine")


@pytest.fixture
def page() -> Iterator[Page]:
    assert CHROMIUM is not None
    with Browser(CHROMIUM) as browser:
        yield browser.page()


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


def test_a_click_in_the_list_of_courses_leads_on_to_totara(stage: Stage, page: Page) -> None:
    """Chromium holds what a form leads on to against our policy too."""
    stage.comes(page, stage.token(bought(stage), MIA, "courses"))
    stage.world.settle()
    page.wait("location.pathname === '/learn'")
    page.click('form[action="/learn/go"] button')
    page.wait(f"location.href.startsWith({json.dumps(stage.bridge.settings.totara.url)})")


def test_what_was_come_for_is_found_again_after_signing_in_to_a_shop_on_another_site(stage: Stage, page: Page) -> None:
    """localhost and 127.0.0.1 are two sites: the cookie that remembers it does not come with the shop's POST."""
    mia = bought(stage)
    shop = stage.bridge.settings.shop.url.replace("127.0.0.1", "localhost")
    stage.shop_is_at(shop)
    page.go(f"{stage.url}/learn")
    assert page.url == f"{shop}/?academy_bridge=launch&target=resume"
    stage.posts(page, stage.token(mia, MIA, "resume"))
    page.wait(f"location.href === {json.dumps(stage.url + '/learn')}")


def test_while_totara_is_away_the_page_says_so_and_goes_on_by_itself(stage: Stage, page: Page) -> None:
    stage.comes(page, stage.token(bought(stage), MIA, "courses"))
    stage.world.settle()
    page.wait("location.pathname === '/learn'")
    stage.world.totara.faults.down()
    page.go(f"{stage.url}/sso/totara?nonce={'0' * 32}")
    assert "The learning site does not answer just now" in page.text and "being prepared" not in page.text
    stage.world.totara.faults.clear()
    page.wait(f"location.href.startsWith({json.dumps(stage.bridge.settings.totara.url)})", 40)


def test_the_list_of_courses_leads_back_to_the_shop(stage: Stage, page: Page) -> None:
    stage.comes(page, stage.token(bought(stage), MIA, "courses"))
    stage.world.settle()
    page.wait("location.pathname === '/learn'")
    page.click(f'a[href="{stage.shop}"]')
    page.wait(f"location.href.startsWith({json.dumps(stage.shop)})")


def guest(stage: Stage) -> None:
    """A guest has bought a course, and has it."""
    _, product = stage.course("Rules of origin")
    stage.world.look(stage.world.shop.place_order([(product, 1)], email=GUEST, first_name="Gil"))


def test_a_guest_asks_for_a_link_and_opens_it(stage: Stage, page: Page) -> None:
    """Chromium tells where a form is from only as far as our own policy lets it."""
    guest(stage)
    page.go(f"{stage.url}/sso/link")
    page.fill("#address", GUEST)
    page.click("button")
    page.wait("document.querySelector('[role=status]')")
    assert "a link is on its way" in page.text
    assert [row.email for row in stage.world.rows("link_requests")] == [GUEST]
    link = stage.mailed(GUEST)
    page.go(link)
    page.wait("location.hash === ''")  # what is kept of it in the history opens nothing
    page.click("button")
    page.wait("location.pathname === '/learn'")
    assert "Rules of origin" in page.text
    page.go(link)
    page.click("button")
    page.wait("document.querySelector('[role=alert]')")
    assert "used before" in page.text


def test_without_scripts_the_link_is_pasted(stage: Stage) -> None:
    guest(stage)
    assert CHROMIUM is not None
    with Browser(CHROMIUM) as browser:
        page = browser.page(390, 844, javascript=False)
        link = stage.mailed(GUEST)
        page.go(link)
        page.fill("#link", link)
        page.click("button")
        page.wait("location.pathname === '/learn'")
