"""A company's whole way with real browsers over the running sandbox: the shop, the team's pages, letters, and Totara.

The manager and each employee have a browser of their own, as they would.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.sandbox.totara import Totara
from bridge.sandbox.town import Town
from tests.browser import Browser, Page
from tests.test_story_one_click import is_in, product
from tests.test_story_team_pages import chooses
from tests.test_team_people_browser import letter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
ADA, BEN, CY, DEE = (f"{name}@harbour.test" for name in ("ada", "ben", "cy", "dee"))
#: As a French spreadsheet saves it: semicolons, and letters in its own encoding.
PEOPLE = f"Courriel;Prénom;Nom\r\n{ADA};Ada;Byte\r\n{BEN};Ben;Beam\r\n{CY};Cyrène;Quai\r\nnobody;No;Body\r\n"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """What ``make run`` runs."""
    with Town(tmp_path, port=0, quiet=True, totara_host="localhost") as running:
        yield running


def buys_ten(town: Town, page: Page) -> str:
    """The manager buys in the shop, and goes by its plugin to the team's pages; their address."""
    page.go(f"{town.shop_url}/product/{product(town, 'INTRO', page)}")
    fields = {"first_name": "Bea", "last_name": "Boss", "email": "bea@harbour.test", "account": "yes", "quantity": "10"}
    for field, value in {**fields, "company": "Harbour & Sons"}.items():
        page.fill(f"form.box [name={field}]", value)
    page.click("form.box button")
    page.wait("document.querySelector('#start-learning')")
    until(lambda: "10 × open seat" in told(town), "the order's note tells of the seats")
    page.click("#start-learning")
    page.wait("location.pathname.startsWith('/team/') && document.querySelector('nav')")
    return page.url


def gives_by_list(page: Page, file: Path) -> None:
    """The pool's page takes the file, shows what is wrong with it, and gives the seats once that is confirmed."""
    page.click("h2 a[href*='/pools/']")
    page.wait("document.querySelector('#many-file')")
    chooses(page, "#many-file", file)
    page.click("form[action$='/upload'] button")
    page.wait("document.querySelector('form[action$=confirm]')")
    assert "3 people can be given a seat" in page.text and "1 row with a problem" in page.text
    page.click("form[action$='/confirm'] button")
    page.wait("document.body.innerText.includes('3 of 3 done')")


def accepts(town: Town, page: Page, address: str, first: str, last: str) -> None:
    """An employee follows the letter, accepts, and is in the course."""
    page.click(letter(town, page, address))
    page.wait("document.querySelector('#by-hand')?.hidden")
    page.click("#open button")
    page.wait("document.querySelector('#last-name')")
    page.fill("#first-name", first)
    page.fill("#last-name", last)
    page.click("form[action$='/accept'] button")
    is_in(page, town, "INTRO", f"{first} {last}")


def seat_of(page: Page, home: str, called: str) -> None:
    """The manager goes to somebody's seat, by the table."""
    page.go(f"{home}seats")
    page.fill("#search", called)
    page.click("form.find button")
    row = f"document.querySelector('tbody th').innerText.includes({json.dumps(called)})"
    page.wait(f"{row} && document.querySelectorAll('tbody tr').length === 1")
    page.click("tbody th a")
    page.wait("location.pathname.match('/seats/[0-9]+$')")


def told(town: Town) -> str:
    """What the order's newest note says."""
    return str(town.shop.notes[max(town.shop.orders)][-1]["note"])


def access(totara: Totara, town: Town, address: str) -> str:
    user = totara.user_by_email(address)
    found = totara.enrolments.get((user.id, town.ids["INTRO"])) if user else None
    return found.status if found else "none"


def until(look: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    for _ in range(200):
        if look():
            return
        time.sleep(0.1)
    raise AssertionError(what)


def test_a_company_buys_ten_gives_takes_back_and_two_are_refunded(
    town: Town, chromium: Browser, tmp_path: Path
) -> None:
    boss, totara = chromium.page(), town.totara
    home = buys_ten(town, boss)
    (tmp_path / "people.csv").write_bytes(PEOPLE.encode("cp1252"))
    gives_by_list(boss, tmp_path / "people.csv")
    assert [access(totara, town, one) for one in (ADA, BEN, CY)] == ["none"] * 3, "nobody has an account unasked"

    accepts(town, chromium.page(390, 844), ADA, "Ada", "Byte")
    ada = totara.user_by_email(ADA)
    assert ada is not None
    totara.finish(ada.id, town.ids["INTRO"], "Reading")
    seat_of(boss, home, "Byte")
    boss.click("a[href$='/give-back']")
    boss.click("form[action$='/give-back'] button")
    boss.wait("document.querySelector('[role=alert]')")
    assert access(totara, town, ADA) == "active", "whoever learns keeps the seat"

    seat_of(boss, home, BEN)
    boss.click("a[href$='/reassign']")
    boss.fill("#email", DEE)
    boss.click("form[action$='/reassign'] button")
    boss.wait("document.querySelector('[role=status].good')")
    ben = chromium.page()
    ben.click(letter(town, ben, BEN))
    ben.click("#open button")
    ben.wait("document.body.innerText.includes('can’t be answered any more')")
    accepts(town, chromium.page(), DEE, "Dee", "Dock")

    seat_of(boss, home, CY)
    boss.click("a[href$='/give-back']")
    boss.click("form[action$='/give-back'] button")
    boss.wait("document.querySelector('[role=status].good')")
    boss.go(home)
    assert "8 seats are open" in boss.text, "what was taken back is open again"

    order = max(town.shop.orders)
    staff = chromium.page()
    staff.go(f"{town.shop_url}/staff/orders/{order}")
    staff.fill("[aria-label^='How many to refund']", "2")
    staff.click("[aria-label^='How many to refund'] + button")
    until(lambda: "6 × open seat" in told(town) and "2 × access ended" in told(town), "open seats were refunded")
    assert [access(totara, town, one) for one in (ADA, DEE, BEN, CY)] == ["active", "active", "none", "none"]
    boss.go(home)
    assert "8 seats" in boss.text and "6 seats are open" in boss.text
