"""Stories: two people, one after the other, in the same browser, with Totara's own OAuth 2. On both databases."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import Client, TestResponse

from bridge.sandbox.server import Served
from bridge.sandbox.totara_visitors import COOKIE
from bridge.web.words import LANGUAGES, words_for
from tests.test_oidc import CLIENT, CLIENT_SECRET, SHOP_SECRET, SSO, Site
from tests.world import World

BEA, DORA = "bea@trader.test", "dora@trader.test"


class Shared:
    """One browser, with cookies for the bridge and for Totara; and both customers of the same course."""

    def __init__(self, world: World, served: Served) -> None:
        self.site = Site(world)
        self.customers = {name: self.site.customer(name) for name in (BEA, DORA)}
        world.totara.sign_on.connect(served.url, self.site.totara_url)
        world.totara.oauth2.connect(CLIENT, CLIENT_SECRET)
        self.bridge, self.totara = self.site.browser(), Client(world.totara.app)
        self.addresses = {served.url: self.bridge, world.bridge.settings.server.public_url: self.bridge}
        self.addresses[self.site.totara_url] = self.totara

    def clicks(self, name: str) -> TestResponse:
        """Come from the shop, signed in there, for the course: where the browser gets to."""
        answer = self.site.launch(self.bridge, self.customers[name], f"course:{self.site.course}")
        return self.follow(self.bridge, answer)

    def follow(self, browser: Client, answer: TestResponse) -> TestResponse:
        """Where redirects lead to, from one to the other."""
        for _ in range(12):
            if answer.location is None:
                return answer
            parts = urlsplit(answer.location)
            origin = f"{parts.scheme}://{parts.netloc}"
            browser = self.addresses[origin] if parts.netloc else browser
            answer = browser.get(f"{parts.path}?{parts.query}".removesuffix("?"))
        raise AssertionError("the browser is sent in a circle")

    def goes_to(self, browser: Client, href: str) -> TestResponse:
        """A click on a link."""
        parts = urlsplit(href)
        browser = self.addresses[f"{parts.scheme}://{parts.netloc}"] if parts.netloc else browser
        return self.follow(browser, browser.get(f"{parts.path}?{parts.query}"))

    def signs_in(self, login_page: TestResponse) -> TestResponse:
        """The button of Totara's login page."""
        return self.goes_to(self.totara, link(login_page, "oauth2"))

    def who(self) -> str:
        """Whose session lives at Totara in this browser."""
        cookie = self.totara.get_cookie(COOKIE)
        user = self.site.world.totara.sign_on.user(
            self.site.world.totara.sign_on.find_session(cookie.value if cookie else "")
        )
        return user.email if user else ""

    def mark(self) -> str:
        cookie = self.bridge.get_cookie("bridge-last-in")
        return cookie.value if cookie else ""


def link(page: TestResponse, name: str) -> str:
    found = re.search(f'id="{name}"[^>]* href="([^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])


def warns(page: TestResponse) -> bool:
    return 'id="sign-out-there"' in page.text


@pytest.fixture
def shared(make_world: Callable[..., World]) -> Iterator[Shared]:
    world = make_world(sso=SSO)
    served = Served(world.bridge.web()).start()
    try:
        yield Shared(world, served)
    finally:
        served.stop()


def by_hand(shared: Shared, page: TestResponse) -> TestResponse:
    form = re.search(r'name="form" value="([^"]+)"', page.text)
    assert form
    return shared.bridge.post("/sso/left", data={"form": form[1]})


def test_the_second_person_is_shown_the_way_out_first_and_gets_to_their_own_account(shared: Shared) -> None:
    assert shared.signs_in(shared.clicks(BEA)).status_code == 200
    assert shared.who() == BEA
    page = shared.clicks(DORA)
    assert warns(page)
    assert shared.who() == BEA  # nothing was done yet, and Totara was not gone to
    login_page = shared.goes_to(shared.bridge, link(page, "sign-out-there"))
    assert shared.who() == ""
    assert shared.signs_in(login_page).status_code == 200
    assert shared.who() == DORA
    assert not warns(shared.clicks(DORA))  # and her own session is gone on with
    assert shared.who() == DORA


def test_a_living_session_of_another_stays_where_nobody_asks(shared: Shared) -> None:
    """What the page is for: Totara's own pages open as whoever is in, whoever comes."""
    shared.signs_in(shared.clicks(BEA))
    shared.bridge.delete_cookie("bridge-last-in")
    assert shared.clicks(DORA).status_code == 200
    assert shared.who() == BEA


def test_the_same_person_is_never_asked(shared: Shared) -> None:
    assert not warns(shared.clicks(BEA))
    shared.signs_in(shared.clicks(BEA))
    assert not warns(shared.clicks(BEA))


def test_whoever_says_to_have_signed_out_goes_on_and_is_asked_again_until_totara_asked(shared: Shared) -> None:
    shared.signs_in(shared.clicks(BEA))
    page = shared.clicks(DORA)
    assert by_hand(shared, page).location == f"{shared.site.totara_url}/course/view.php?id={shared.site.course}"
    page = shared.clicks(DORA)
    assert warns(page)
    shared.totara.post("/login/logout.php")
    shared.signs_in(shared.follow(shared.bridge, by_hand(shared, page)))
    assert shared.who() == DORA
    assert not warns(shared.clicks(DORA))


def test_a_session_that_has_ended_already_is_no_hindrance(shared: Shared) -> None:
    shared.signs_in(shared.clicks(BEA))
    shared.totara.post("/login/logout.php")
    shared.signs_in(shared.goes_to(shared.bridge, link(shared.clicks(DORA), "sign-out-there")))
    assert shared.who() == DORA


def test_whom_totara_asks_for_takes_the_place_of_whoever_was_in(shared: Shared) -> None:
    """So a code may be given: the login page was open before another signed in, in another tab."""
    login_page = shared.clicks(DORA)
    shared.site.launch(shared.bridge, shared.customers[BEA])
    name = shared.totara.get_cookie(COOKIE)
    assert name
    session = shared.site.world.totara.sign_on.find_session(name.value)
    session.user_id = shared.site.account(BEA).id
    shared.site.launch(shared.bridge, shared.customers[DORA])
    shared.signs_in(login_page)
    assert shared.who() == DORA


def test_the_mark_tells_nobody_whose_it_is_and_lasts(shared: Shared) -> None:
    shared.clicks(BEA)
    answer = shared.site.authorize(shared.bridge)
    cookie = next(one for one in answer.headers.getlist("Set-Cookie") if one.startswith("bridge-last-in="))
    assert {"HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={180 * 86_400}"} <= set(cookie.split("; "))
    mark = shared.mark()
    assert re.fullmatch("[0-9a-f]{64}", mark)
    sign_on, user = shared.site.world.bridge.sign_on, shared.site.account(BEA).id
    assert sign_on is not None
    last_in = sign_on.last_in
    assert not last_in.is_anothers(mark, user)
    assert last_in.is_anothers(mark, user + 1)
    assert last_in.is_anothers("é", user)


@pytest.mark.parametrize("of", ["", "0" * 64, "é"])
def test_nobody_elses_page_has_the_mark_forgotten(shared: Shared, of: str) -> None:
    shared.signs_in(shared.clicks(BEA))
    assert shared.bridge.get("/sso/left", query_string={"of": of}).status_code == 303
    assert shared.mark()
    assert shared.bridge.post("/sso/left", data={"form": "x"}).status_code == 403
    assert warns(shared.clicks(DORA))


def test_after_the_secret_was_changed_the_same_person_is_known_still(shared: Shared) -> None:
    shared.signs_in(shared.clicks(BEA))
    newer = "newer-secret-with-the-shops-plugin-01234"
    sso = {**SSO, "shop_secrets": [newer, SHOP_SECRET]}
    sign_on = shared.site.world.new_bridge(sso=sso).sign_on
    assert sign_on is not None
    other = sign_on.last_in
    assert not other.is_anothers(shared.mark(), shared.site.account(BEA).id)
    assert other.is_anothers(shared.mark(), shared.site.account(DORA).id)


def test_totaras_sign_out_has_the_mark_forgotten(shared: Shared) -> None:
    shared.signs_in(shared.clicks(BEA))
    assert shared.mark()
    shared.bridge.get("/sso/ended")
    assert not shared.mark()


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_told_in_every_language_and_leads_to_totara_and_back_only(shared: Shared, language: str) -> None:
    shared.signs_in(shared.clicks(BEA))
    shared.clicks(DORA)
    page = shared.bridge.get("/sso/go", headers={"Accept-Language": language})
    assert words_for(language)["another_text"] in unescape(page.text)
    address, _, query = link(page, "sign-out-there").partition("?")
    assert address == f"{shared.site.totara_url}/login/logout.php"
    assert parse_qs(query)["redirecturl"][0].startswith(f"{shared.site.issuer}/sso/left?of=")
    assert "<script" not in page.text
    assert "script-src 'nonce-" in page.headers["Content-Security-Policy"]


def test_with_the_plugin_nobody_is_asked_since_it_ends_the_session_of_another(make_world: Callable[..., World]) -> None:
    world = make_world(sso={**SSO, "way": "plugin"})
    site = Site(world)
    browser, bea, dora = site.browser(), site.customer(BEA), site.customer(DORA)
    site.launch(browser, bea)
    browser.get(f"/sso/totara?nonce={'a' * 32}")
    before = browser.get_cookie("bridge-last-in")
    site.launch(browser, dora)
    assert browser.get("/sso/go").location == f"{site.totara_url}/auth/bridge/start.php"
    browser.get(f"/sso/totara?nonce={'b' * 32}")
    after = browser.get_cookie("bridge-last-in")
    assert before and after and before.value != after.value
