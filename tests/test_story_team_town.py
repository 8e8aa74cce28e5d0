"""A company's whole way with real browsers over the running sandbox: the shop, the team's pages, letters, and Totara.

The manager and each employee have a browser of their own, as they would.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bridge.sandbox.totara import Totara
from bridge.sandbox.town import Town
from tests.browser import PHONE, NewPage
from tests.town import buys, is_in, letter, to_team, told, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
ADA, BEN, CY, DEE = (f"{name}@harbour.test" for name in ("ada", "ben", "cy", "dee"))
#: As a French spreadsheet saves it: semicolons, and letters in its own encoding.
PEOPLE = f"Courriel;Prénom;Nom\r\n{ADA};Ada;Byte\r\n{BEN};Ben;Beam\r\n{CY};Cyrène;Quai\r\nnobody;No;Body\r\n"


def buys_ten(town: Town, page: Page) -> str:
    """The manager buys in the shop, and goes by its plugin to the team's pages; their address."""
    buys(page, town, "INTRO", "Bea Boss", "bea@harbour.test", seats=10, company="Harbour & Sons")
    until(lambda: "10 × open seat" in told(town), "the order's note tells of the seats")
    return to_team(page, town)


def gives_by_list(page: Page, file: Path) -> None:
    """The pool's page takes the file, shows what is wrong with it, and gives the seats once that is confirmed."""
    page.get_by_role("heading", level=2).get_by_role("link").click()
    many = page.get_by_role("region", name="Give seats to several people")
    many.get_by_label("Upload a list").set_input_files(file)
    many.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("3 people can be given a seat")).to_be_visible()
    expect(page.get_by_text("1 row with a problem")).to_be_visible()
    page.get_by_role("button", name="Give 3 seats").click()
    expect(page.get_by_text("3 of 3 done")).to_be_visible()


def opens(town: Town, page: Page, address: str) -> None:
    """An employee follows the letter to the invitation, and looks at it."""
    letter(town, page, address, "/team/invitation").click()
    expect(page.get_by_label("The link from the letter")).to_be_hidden()
    page.get_by_role("button", name="See the invitation").click()


def accepts(town: Town, page: Page, address: str, first: str, last: str) -> None:
    """An employee follows the letter, accepts, and is in the course."""
    opens(town, page, address)
    page.get_by_label("First name").fill(first)
    page.get_by_label("Last name").fill(last)
    page.get_by_role("button", name="Accept").click()
    is_in(page, town, "INTRO", f"{first} {last}")


def seat_of(page: Page, home: str, called: str) -> None:
    """The manager goes to somebody's seat, by the table."""
    page.goto(f"{home}seats")
    page.get_by_label("Search a name or address").fill(called)
    page.get_by_role("button", name="Search").click()
    found = page.get_by_role("rowheader")
    expect(found).to_have_count(1)
    expect(found).to_contain_text(called)
    found.get_by_role("link").click()
    expect(page).to_have_url(re.compile("/seats/[0-9]+$"))


def takes_back(page: Page) -> None:
    """The manager asks for the seat that is shown, and says so again where it is asked."""
    page.get_by_role("link", name="Take back").click()
    page.get_by_role("button", name="Take back").click()


def access(totara: Totara, town: Town, address: str) -> str:
    user = totara.user_by_email(address)
    found = totara.enrolments.get((user.id, town.ids["INTRO"])) if user else None
    return found.status if found else "none"


def test_a_company_buys_ten_gives_takes_back_and_two_are_refunded(
    town: Town, new_page: NewPage, tmp_path: Path
) -> None:
    boss, totara = new_page(), town.totara
    home = buys_ten(town, boss)
    (tmp_path / "people.csv").write_bytes(PEOPLE.encode("cp1252"))
    gives_by_list(boss, tmp_path / "people.csv")
    assert [access(totara, town, one) for one in (ADA, BEN, CY)] == ["none"] * 3, "nobody has an account unasked"

    accepts(town, new_page(viewport=PHONE, is_mobile=True), ADA, "Ada", "Byte")
    ada = totara.user_by_email(ADA)
    assert ada is not None
    totara.finish(ada.id, town.ids["INTRO"], "Reading")
    seat_of(boss, home, "Byte")
    takes_back(boss)
    expect(boss.get_by_role("alert")).to_contain_text("This was not done.")
    assert access(totara, town, ADA) == "active", "whoever learns keeps the seat"

    seat_of(boss, home, BEN)
    boss.get_by_role("link", name="Give to somebody else").click()
    boss.get_by_label("E-mail address").fill(DEE)
    boss.get_by_role("button", name="Give to somebody else").click()
    expect(boss.get_by_role("status")).to_contain_text("the new person is invited")
    ben = new_page()
    opens(town, ben, BEN)
    expect(ben.get_by_role("heading", level=1)).to_contain_text("can’t be answered any more")
    accepts(town, new_page(), DEE, "Dee", "Dock")

    seat_of(boss, home, CY)
    takes_back(boss)
    expect(boss.get_by_role("status")).to_contain_text("The seat was taken back")
    boss.goto(home)
    expect(boss.get_by_text("8 seats are open")).to_be_visible()

    staff = new_page()
    staff.goto(f"{town.shop_url}/staff/orders/{max(town.shop.orders)}")
    staff.get_by_label("How many to refund").fill("2")
    staff.get_by_role("button", name="Refund", exact=True).click()
    until(lambda: "6 × open seat" in told(town) and "2 × unused seat ended" in told(town), "open seats were refunded")
    assert [access(totara, town, one) for one in (ADA, DEE, BEN, CY)] == ["active", "active", "none", "none"]
    boss.goto(home)
    expect(boss.get_by_text("8 seats")).to_be_visible()
    expect(boss.get_by_text("6 seats are open")).to_be_visible()
