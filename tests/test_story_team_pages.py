"""Stories in a real browser: seats are given on a desk and on a phone, by whoever sees and whoever does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from bridge.domain.seats import SeatState
from bridge.store import pooled
from tests.browser import DESK, PHONE, NewPage, fits
from tools.pictures import Stage, stage_of

BOSS = "boss@harbour.example"
SIZES: list[dict[str, Any]] = [{"viewport": DESK}, {"viewport": PHONE, "is_mobile": True}]


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


def comes(stage: Stage, page: Page) -> str:
    """The owner comes from the shop to the team's page; its address."""
    (boss,) = [one["id"] for one in stage.world.shop.customers.values() if one["email"] == BOSS]
    stage.comes(page, stage.token(boss, BOSS, "team"))
    page.wait_for_url("**/team/**")
    return page.url


def counts(stage: Stage) -> dict[str, int]:
    """How the seats of the first course stand."""
    (row,) = stage.world.rows("teams")
    with stage.world.bridge.store.read() as connection:
        pools = pooled.pools_of(connection, row.id, stage.world.now())
    (pool,) = [one for one in pools if one.name == "Rules of origin"]
    return {str(state): number for state, number in pool.counts.items()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("javascript", [True, False])
def test_seats_are_given_by_typing_and_by_a_list_of_thirty(
    stage: Stage, new_page: NewPage, tmp_path: Path, size: dict[str, Any], javascript: bool
) -> None:
    page = new_page(**size, java_script_enabled=javascript)
    comes(stage, page)
    fits(page, javascript=javascript)
    page.get_by_role("link", name="Rules of origin", exact=True).click()
    one = page.get_by_role("region", name="Give a seat to one person")
    expect(one).to_be_visible()
    fits(page, javascript=javascript)
    one.get_by_label("E-mail address").fill("ada@harbour.example")
    one.get_by_label("First name").fill("Ada")
    one.get_by_role("button").click()
    expect(page.get_by_text("1 seat was given")).to_be_visible()
    fits(page, javascript=javascript)
    people = "".join(f"p{n}@harbour.example,Pia,Number {n}\n" for n in range(30))
    (tmp_path / "people.csv").write_text(f"Email,First name,Last name\n{people}nobody,No,Body\n", encoding="utf-8")
    many = page.get_by_role("region", name="Give seats to several people")
    many.get_by_label("Upload a list").set_input_files(tmp_path / "people.csv")
    many.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("30 people can be given a seat")).to_be_visible()
    fits(page, javascript=javascript)
    page.get_by_role("button", name="Give 30 seats").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_text("0 of 30 done")).to_be_visible()
    fits(page, javascript=javascript)
    stage.bridge.worker().drain()
    expect(page.get_by_text("30 of 30 done")).to_be_visible()  # it looks again by itself
    fits(page, javascript=javascript)
    assert counts(stage) == {"open": 29, "invited": 31}


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_and_can_be_used_without_seeing_it(
    stage: Stage, new_page: NewPage, size: dict[str, Any], language: str
) -> None:
    page = new_page(**size, locale=language)
    home = comes(stage, page)
    expect(page.locator("html")).to_have_attribute("dir", "rtl" if language == "ar" else "ltr")
    page.get_by_role("link", name="Rules of origin", exact=True).click()
    page.locator("#many-people").fill("Ada Lovelace <ada@harbour.example>, bo@harbour.example")
    page.locator("form[action$='/upload'] button").click()
    expect(page.locator("[role=status].good")).to_be_visible()
    (row,) = stage.world.rows("teams")
    with stage.world.bridge.store.read() as connection:
        wanted = pooled.Wanted(states=frozenset({SeatState.INVITED}))
        seat = pooled.seats_page(connection, row.id, wanted, stage.world.now(), most=1)[0].seat.id
    for path in ("seats", f"seats/{seat}", f"seats/{seat}/give-back", f"seats/{seat}/reassign"):
        page.goto(home + path)
        fits(page)
    form = page.locator("form[action$='/reassign']")
    form.evaluate("form => { form.noValidate = true; }")
    form.locator("#email").fill("nonsense")
    form.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    fits(page)
