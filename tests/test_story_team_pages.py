"""Stories in a real browser: seats are given on a desk and on a phone, by whoever sees and whoever does not."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.domain.seats import SeatState
from bridge.store import pooled
from tests.browser import Browser, Page, find_chromium
from tests.conftest import NEEDED
from tools.pictures import Stage, stage_of

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None and not NEEDED, reason="there is no Chromium on this machine")
BOSS = "boss@harbour.example"
SIZES = [(1280, 900), (390, 844)]
#: What the pages promise: the levels A and AA of WCAG, up to what axe knows of 2.2.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def axe() -> str:
    """The program by which pages are checked for whoever can't see them, or uses no mouse."""
    return importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A company has 60 seats of one course, and 40 of another."""
    with stage_of() as made:
        boss = made.world.shop.add_customer(BOSS, first_name="Bea", last_name="Boss")
        for name, seats in (("Rules of origin", 60), ("Classifying goods", 40)):
            _, product = made.course(name)
            shop = made.world.shop
            made.world.look(shop.place_order([(product, seats)], customer_id=boss, email=BOSS, company="Harbour <Ltd>"))
        yield made


@pytest.fixture
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None
    with Browser(CHROMIUM) as running:
        yield running


def comes(stage: Stage, page: Page) -> str:
    """The owner comes from the shop to the team's page; its address."""
    (boss,) = [one["id"] for one in stage.world.shop.customers.values() if one["email"] == BOSS]
    stage.comes(page, stage.token(boss, BOSS, "team"))
    page.wait("location.pathname.startsWith('/team/')")
    return page.url


def fits(page: Page, axe: str) -> None:
    """Nobody has to scroll sideways, and axe finds nothing."""
    at = page.evaluate("location.pathname")
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"), at
    page.evaluate(f"{axe}; true")
    run = f"axe.run({{runOnly: {json.dumps(RULES)}}})"
    found = page.evaluate(f"{run}.then(done => done.violations.map(one => [one.id, one.nodes.map(n => n.html)]))")
    assert found == [], at


def counts(stage: Stage) -> dict[str, int]:
    """How the seats of the first course stand."""
    (row,) = stage.world.rows("teams")
    with stage.world.bridge.store.read() as connection:
        pools = pooled.pools_of(connection, row.id, stage.world.now())
    (pool,) = [one for one in pools if one.name == "Rules of origin"]
    return {str(state): number for state, number in pool.counts.items()}


def chooses(page: Page, selector: str, path: Path) -> None:
    """A file is chosen in a form."""
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
    page.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("javascript", [True, False])
def test_seats_are_given_by_typing_and_by_a_list_of_thirty(
    stage: Stage, browser: Browser, axe: str, tmp_path: Path, size: tuple[int, int], javascript: bool
) -> None:
    page = browser.page(*size, javascript=javascript)

    def look() -> None:
        if javascript:  # which axe is written in
            fits(page, axe)

    if not javascript:  # the shop's page hands the token over by a script
        page.call("Emulation.setScriptExecutionDisabled", value=False)
    comes(stage, page)
    page.call("Emulation.setScriptExecutionDisabled", value=not javascript)
    look()
    page.click("section:nth-of-type(2) h2 a")
    page.wait("location.pathname.includes('/pools/')")
    look()
    page.fill("#one-email", "ada@harbour.example")
    page.fill("#one-first_name", "Ada")
    page.click("form[action$='/give'] button")
    page.wait("document.querySelector('[role=status].good')")
    assert "1 seat was given" in page.text
    look()
    people = "".join(f"p{n}@harbour.example,Pia,Number {n}\n" for n in range(30))
    (tmp_path / "people.csv").write_text(f"Email,First name,Last name\n{people}nobody,No,Body\n", encoding="utf-8")
    chooses(page, "#many-file", tmp_path / "people.csv")
    page.click("form[action$='/upload'] button")
    page.wait("location.pathname.includes('/lists/')")
    assert "30 people can be given a seat" in page.text
    look()
    page.click("form[action$='/confirm'] button")
    page.wait("document.querySelector('progress')")
    assert "0 of 30 done" in page.text
    look()
    stage.bridge.worker().drain()
    page.wait("document.body.innerText.includes('30 of 30 done')")  # it looks again by itself
    look()
    assert counts(stage) == {"open": 29, "invited": 31}


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_and_can_be_used_without_seeing_it(
    stage: Stage, browser: Browser, axe: str, size: tuple[int, int], language: str
) -> None:
    page = browser.page(*size)
    page.call("Network.enable")
    page.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": language})
    home = comes(stage, page)
    assert page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")
    page.click("section:nth-of-type(2) h2 a")
    page.wait("location.pathname.includes('/pools/')")
    page.fill("#many-people", "Ada Lovelace <ada@harbour.example>, bo@harbour.example")
    page.click("form[action$='/upload'] button")
    page.wait("document.querySelector('[role=status].good')")
    (row,) = stage.world.rows("teams")
    with stage.world.bridge.store.read() as connection:
        wanted = pooled.Wanted(states=frozenset({SeatState.INVITED}))
        seat = pooled.seats_page(connection, row.id, wanted, stage.world.now(), most=1)[0].seat.id
    for path in ("seats", f"seats/{seat}", f"seats/{seat}/give-back", f"seats/{seat}/reassign"):
        page.go(home + path)
        fits(page, axe)
    page.evaluate("document.querySelector('form[action$=reassign]').noValidate = true")
    page.fill("#email", "nonsense")
    page.click("form[action$='reassign'] button")
    page.wait("document.querySelector('[role=alert]')")
    fits(page, axe)
