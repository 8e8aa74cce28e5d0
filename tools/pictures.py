"""Pictures of the bridge's own pages for docs/sign-on.md and docs/teams.md:
``PYTHONPATH=. python tools/pictures.py docs/pictures``.

A bridge with the embedded shop and the embedded Totara, and a headless Chromium that comes by the shop. What is shown
is what those visitors really get.
"""

from __future__ import annotations

import html
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import jwt
from playwright.sync_api import Page, ViewportSize

from bridge.domain.teams import TeamRole
from bridge.mailed_links import LINK_LIFE
from bridge.office import Actor
from bridge.sandbox.server import Served
from bridge.store import people, pooled, signon, teams
from bridge.store.batches import Invitee
from bridge.store.db import Store, migrate
from bridge.store.pooled import Pool
from bridge.ways_in import WaysIn
from bridge.wiring import Bridge
from tests.browser import NewPage, find_chromium, launched
from tests.test_mail import Inbox, Server
from tests.world import World

SECRET = "the-secret-of-these-pictures-0123456789"  # noqa: S105  of a shop that lives as long as a picture takes
MIA, OFFICER, GUEST = "mia@example.org", "officer@example.org", "gil@example.org"
BOSS, COMPANY = "bea@harbour.example", "Harbour & Sons"
#: Whom the company asks to take a place. The first so many have answered; from one of them on, a yes is waited for.
PEOPLE = (
    ("Ada", "Anchor"), ("Ben", "Beam"), ("Cleo", "Quai"), ("Dov", "Dock"), ("Ela", "Estuary"), ("Fay", "Ferry"),
    ("Gus", "Gull"), ("Hal", "Haven"), ("Iris", "Isle"), ("Jon", "Jetty"),
)  # fmt: skip
AT_ONCE, ANSWERED = 5, 7
#: A list as somebody pastes it from a spreadsheet, with what goes wrong in such lists.
LIST = """E-mail;First name;Last name;Language
kim@harbour.example;Kim;Keel;en
lou@harbour.example;Lou;Lagune;fr
mia@@harbour.example;Mia;Mast;en
noa@harbour.example;Noa;Nord;es
kim@harbour.example;Kim;Keel;en
;Ole;Oar;en
"""
#: Width and height of the window: a desk's, and a phone's.
WINDOWS: dict[str, ViewportSize] = {
    "desktop": {"width": 900, "height": 420},
    "phone": {"width": 375, "height": 560},
}


class Stage:
    """A shop, a Totara and a bridge that browsers can reach, with two customers and what they bought."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'pictures.sqlite3'}"
        store = Store(url)
        migrate(store)
        store.close()
        self._letters = Server(Inbox())
        self._letters.start()
        where = {"host": "127.0.0.1", "port": self._letters.port, "security": "none"}
        self._mail = {**where, "from_address": "learning@example.org"}
        self.world = World(url, sso={"shop_secrets": [SECRET], "wait_seconds": 0}, mail=self._mail)
        self.world.totara.has_plugin = True
        # A port has to be known before there can be an application that knows it.
        self._served = Served(lambda environ, start: self._app(environ, start)).start()
        self.shop = self.world.bridge.settings.shop.url
        self.shop_is_at(self.shop)
        self.bridge.keys.first()

    def shop_is_at(self, address: str) -> None:
        """Browsers see the shop at this address from now on."""
        self.shop = address
        sso = {"shop_secrets": [SECRET], "wait_seconds": 0, "shop_address": address}
        self.bridge: Bridge = self.world.new_bridge(server={"public_url": self._served.url}, sso=sso, mail=self._mail)
        self._app: Any = self.bridge.web()

    def stop(self) -> None:
        """Answer no more."""
        self._served.stop()
        self.world.close()
        self._letters.stop()

    @property
    def url(self) -> str:
        """Where the bridge is."""
        return self._served.url

    def course(self, name: str) -> tuple[int, int]:
        """A course and its product."""
        course = self.world.course(name[:3] + secrets.token_hex(3), name=name)
        product = self.world.shop.add_product(name, sku=f"totara-course-{course}", price="100.00")
        self.world.know(course, product)
        return course, product

    def token(self, customer: int, email: str, target: str) -> str:
        """What the shop's plugin would sign."""
        now = int(self.world.now().timestamp())
        claims = {
            "iss": self.shop,
            "aud": self.url,
            "sub": str(customer),
            "email": email,
            "target": target,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode(claims, SECRET, algorithm="HS256", headers={"typ": "launch+jwt"})

    def mailed(self, address: str) -> str:
        """A link that a guest with this address was mailed."""
        with self.bridge.store.begin() as connection:
            guest = people.reached_by(connection, address)
            assert guest is not None, "nobody may sign in by this address"
            secret = signon.new_secret()
            signon.keep_link(connection, secret, guest.id, address, self.world.now() + LINK_LIFE)
        return WaysIn(self.bridge.settings).opened(secret)

    def comes(self, page: Page, token: str) -> None:
        """A browser comes from the shop with a token, and is with the bridge, or further on."""
        page.goto(f"{self.shop}/")
        self.posts(page, token)
        page.wait_for_url(lambda url: not url.startswith(self.shop))

    def posts(self, page: Page, token: str) -> None:
        """The page, one of the shop's, hands a token over, with or without a script."""
        field = f'<input type="hidden" name="token" value="{html.escape(token)}">'
        page.set_content(f'<form method="post" action="{self.url}/sso/launch">{field}<button>Go on</button></form>')
        page.get_by_role("button").click()


def _bought(stage: Stage) -> dict[str, int]:
    """Mia's courses: two that are ready, one that ended, and one bought a moment ago."""
    world = stage.world
    mia = world.shop.add_customer(MIA, first_name="Mia", last_name="Moor")
    names = ["Rules of origin in practice", "Classifying goods", "Customs valuation"]
    courses = [stage.course(name) for name in names]
    orders = [world.shop.place_order([(product, 1)], customer_id=mia, email=MIA) for _, product in courses]
    world.look(*orders)
    world.shop.set_status(orders[2], "cancelled")
    world.look(orders[2])
    new, product = stage.course("Export controls: a first course")
    world.shop.place_order([(product, 1)], customer_id=mia, email=MIA)
    return {"mia": mia, "ready": courses[0][0], "ended": courses[2][0], "new": new}


def _officer(stage: Stage) -> tuple[int, int]:
    """Somebody whose address has an account already, and the course that they bought."""
    world = stage.world
    customer = world.shop.add_customer(OFFICER, first_name="Ola", last_name="Ohm")
    world.totara.add_user(OFFICER, username="officer")
    course, product = stage.course("Transit procedures")
    world.look(world.shop.place_order([(product, 1)], customer_id=customer, email=OFFICER))
    return customer, course


class Company:
    """A company that bought twelve places in one course and twenty in another, and how far it is with them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        shop, world = stage.world.shop, stage.world
        self.boss = shop.add_customer(BOSS, first_name="Bea", last_name="Boss")
        for name, seats in (("Rules of origin in practice", 20), ("Classifying goods", 12)):
            self.course, product = stage.course(name)
            world.look(shop.place_order([(product, seats)], customer_id=self.boss, email=BOSS, company=COMPANY))
        (row,) = world.rows("teams")
        with stage.bridge.store.read() as connection:
            self.team = teams.get_team(connection, row.id)
        self.actor = Actor(self.team, TeamRole.OWNER, f"person {row.buyer_id}", row.buyer_id)
        self._people()

    def pool(self, name: str) -> Pool:
        """The pool of what was sold by this name."""
        with self._stage.bridge.store.read() as connection:
            pools = pooled.pools_of(connection, self.team.id, self._stage.world.now())
        return next(pool for pool in pools if pool.name == name)

    def _people(self) -> None:
        """Five have their places, two wait for a yes, three have not answered; a colleague helps."""
        bridge, world = self._stage.bridge, self._stage.world
        for number, (first, last) in enumerate(PEOPLE):
            if number == AT_ONCE:
                bridge.desk.configure(self.actor, name=COMPANY, approval=True)
            secret = self.asked(first, last)
            if number < ANSWERED:
                consents = number % 2 == 0
                bridge.invitations.accept(secret, first_name=first, last_name=last, consents=consents)
                world.settle()
        done, begun = (f"{PEOPLE[number][0].lower()}@harbour.example" for number in (0, 2))
        world.totara.complete(world.user(done), self.course)
        world.totara.open_course(world.user(begun), self.course)
        for address in (done, begun):
            with bridge.store.read() as connection:
                learner = people.reached_by(connection, address)
            assert learner is not None
            world.owe("progress", learner.id)  # as when they look at their list of courses
        world.settle()
        bridge.desk.invite_member(self.actor, Invitee(1, "max@harbour.example", "Max", "Mole"), TeamRole.MANAGER)

    def asked(self, first: str, last: str) -> str:
        """Somebody is asked to take a place; the secret of the letter."""
        bridge, secret, email = self._stage.bridge, signon.new_secret(), f"{first.lower()}@harbour.example"
        given = bridge.desk.give(self.actor, self.pool("Classifying goods"), [Invitee(1, email, first, last)])
        (_, seat) = given[1]
        with bridge.store.begin() as connection:
            found = pooled.find_seat(connection, self.team.id, seat or 0, self._stage.world.now())
            assert found is not None and found.seat.person is not None, f"{email} was not asked"
            until = self._stage.world.now() + timedelta(days=14)
            signon.keep_link(connection, secret, found.seat.person, email, until, seat_id=seat)
        return secret


def team_pictures(stage: Stage, page_of: NewPage) -> Iterator[tuple[str, Page]]:
    """The pages of a team, as its owner sees them, and the one of whoever is invited."""
    company, page = Company(stage), page_of()
    stage.comes(page, stage.token(company.boss, BOSS, "team"))
    page.wait_for_url("**/team/**")
    home = page.url
    yield "team-overview", page
    page.goto(f"{home}pools/{company.pool('Classifying goods').key}")
    yield "team-pool", page
    page.goto(f"{home}pools/{company.pool('Rules of origin in practice').key}")
    page.locator("#many-people").fill(LIST)
    page.locator("form[action$='/upload'] button").click()
    page.wait_for_url("**/lists/**")
    yield "team-list", page
    page.goto(f"{home}settings")
    yield "team-settings", page
    page = page_of()
    page.goto(f"{stage.url}/team/invitation#{company.asked('Ina', 'Inlet')}")
    page.get_by_role("button").click()
    page.get_by_role("checkbox").wait_for()
    yield "team-invitation", page


def pictures(stage: Stage, page_of: NewPage) -> Iterator[tuple[str, Page]]:
    """Each page by its name, shown in a new window. The page that looks comes first: later all is done."""
    customer, course = _officer(stage)
    known = _bought(stage)
    mia = known["mia"]

    def shown(name: str, token: str, path: str = "", *, settled: bool = True) -> tuple[str, Page]:
        page = page_of(java_script_enabled=not settled)  # or the page goes on by itself
        stage.comes(page, token)
        if settled:
            stage.world.settle()
            page.goto(f"{stage.url}{path or '/sso/go'}")
        return name, page

    yield from _links(stage, page_of)
    yield shown("looking", stage.token(mia, MIA, f"course:{known['new']}"), settled=False)
    yield shown("waiting", stage.token(customer, OFFICER, f"course:{course}"))
    yield shown("nothing", stage.token(mia, MIA, "course:777"))
    yield shown("my-courses", stage.token(mia, MIA, "courses"))
    yield shown("refused", "no.token.at-all", settled=False)
    yield shown("going-on", stage.token(mia, MIA, "courses"), f"/sso/totara?nonce={'0' * 32}")
    yield from team_pictures(stage, page_of)


def _links(stage: Stage, page_of: NewPage) -> Iterator[tuple[str, Page]]:
    """The pages of a guest who asks for a link and opens it."""
    _, product = stage.course("Rules of origin in practice")
    stage.world.look(stage.world.shop.place_order([(product, 1)], email=GUEST, first_name="Gil"))
    page = page_of()
    page.goto(f"{stage.url}/sso/link")
    yield "link", page
    page.get_by_role("textbox").fill(GUEST)
    page.get_by_role("button").click()
    page.get_by_role("status").wait_for()
    yield "link-sent", page
    page = page_of()
    page.goto(stage.mailed(GUEST))
    page.wait_for_url("**/sso/link/look")
    yield "link-open", page


@contextmanager
def stage_of() -> Iterator[Stage]:
    """A stage for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="bridge-pictures-") as folder:
        stage = Stage(Path(folder))
        try:
            yield stage
        finally:
            stage.stop()


def take(folder: Path) -> None:
    """Take all pictures, in all widths."""
    program = find_chromium()
    if program is None:
        raise SystemExit("there is no chromium on this machine")
    with launched(program) as browser:
        for window, size in WINDOWS.items():
            page_of = partial(browser.new_page, viewport=size, is_mobile=window == "phone", locale="en")
            with stage_of() as stage:
                for name, page in pictures(stage, page_of):
                    page.screenshot(path=folder / f"{name}-{window}.png", full_page=True)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    where.mkdir(exist_ok=True)
    take(where)
