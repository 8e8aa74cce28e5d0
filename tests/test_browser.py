"""That what looks at our pages finds what is wrong with one."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Error, Page

from tests.browser import PHONE, NewPage, fits, is_outside

PAGE = '<html lang="en"><title>A page</title><main><h1>A page</h1>{}</main>'


def test_a_page_that_is_right_is_let_be(page: Page) -> None:
    page.set_content(PAGE.format('<p><a href="/there">There</a></p>'))
    fits(page)


def test_targets_that_are_too_small_for_a_finger_are_found(page: Page) -> None:
    """A rule of WCAG 2.2, which older copies of axe do not know."""
    small = '<a href="/{0}" style="display: block; height: 8px; font-size: 8px">{0}</a>'
    page.set_content(PAGE.format(small.format("one") + small.format("two")))
    with pytest.raises(AssertionError, match="target-size"):
        fits(page)


def test_a_page_that_is_wider_than_a_phone_is_found(new_page: NewPage) -> None:
    page = new_page(viewport=PHONE, java_script_enabled=False)
    page.set_content(PAGE.format('<p style="width: 400px">Wide</p>'))
    with pytest.raises(AssertionError, match="pixels too wide"):
        fits(page, javascript=False)


@pytest.mark.parametrize("machine", ["example.org", "192.0.2.1", "[2001:db8::1]", "localhost.example.org"])
def test_the_browser_finds_no_other_machine(chromium: Browser, machine: str) -> None:
    with chromium.new_page() as page, pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        page.goto(f"http://{machine}/")


@pytest.mark.parametrize(
    ("url", "outside"),
    [
        ("http://127.0.0.1:8080/", False),
        ("http://localhost/", False),
        ("data:text/plain,x", False),
        ("about:blank", False),
        ("https://example.org/", True),
        ("http://localhost.example.org/", True),
    ],
)
def test_another_machines_address_is_told_from_ours(url: str, outside: bool) -> None:
    assert is_outside(url) is outside
