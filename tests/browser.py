"""A headless Chromium of the machine's own packages, driven by Playwright, and what the pages in it promise."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

#: Opens a page with cookies of its own, with the options of Playwright's ``Browser.new_page``.
NewPage = Callable[..., Page]
DESK: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
HERE = ("127.0.0.1", "localhost")
#: What the pages promise: the levels A and AA of WCAG 2.2.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: How long a test waits for what it expects, in milliseconds: the machine may be busy with something else.
PATIENCE = 20_000


def find_chromium() -> str | None:
    """The browser's program, or None when the machine has none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def launched(program: str) -> Iterator[Browser]:
    """A running browser, which finds nobody but this machine. Until its end, the thread counts as an event loop's."""
    expect.set_options(timeout=PATIENCE)
    only_here = f"--host-resolver-rules=MAP * ~NOTFOUND, {', '.join(f'EXCLUDE {name}' for name in HERE)}"
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root.
        sandbox = os.geteuid() != 0
        launch = playwright.chromium.launch
        with launch(executable_path=program, chromium_sandbox=sandbox, args=[only_here]) as browser:
            yield browser


def is_outside(url: str) -> bool:
    """Whether an address is another machine's."""
    return urlsplit(url).hostname not in (None, *HERE)


def fits(page: Page, *, javascript: bool = True) -> None:
    """Nobody has to scroll sideways; and axe, where it can run, finds nothing that keeps somebody out."""
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"{page.url} is {wider} pixels too wide"
    if javascript:
        # What is right is not told node by node, which would take longer than to look for what is wrong.
        found = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]})
        assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"
