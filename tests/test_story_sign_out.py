"""Stories: whoever signs out of the shop, or of Totara, is signed out of the bridge. On both databases."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from werkzeug.test import Client, TestResponse

from bridge.store import signon
from tests.test_story_sign_on import NIA, SECRET, asked, bought, claims, launch, refusals, signed, token_in
from tests.world import World

FIRST, SECOND = "a" * 43, "b" * 43


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    made = make_world(sso={"shop_secrets": [SECRET], "wait_seconds": 0})
    made.bridge.keys.first()
    return made


@pytest.fixture
def nia(world: World) -> int:
    """A customer of the shop, with a course."""
    customer = world.shop.add_customer(NIA, first_name="Nia", last_name="Noon")
    world.look(bought(world, customer, world.course("ONE")))
    return customer


def comes(world: World, customer: int, browser: Client | None = None, **others: Any) -> Client:
    """Somebody comes from the shop to their courses; their browser."""
    browser = browser or Client(world.bridge.web())
    assert launch(world, signed(claims(world, customer, target="courses", **others)), browser).status_code == 303
    return browser


def is_in(browser: Client) -> bool:
    return browser.get("/learn").status_code == 200


def leaves(world: World, customer: int, **others: Any) -> TestResponse:
    """The shop tells that somebody signed out there."""
    token = signed(claims(world, customer, **others), typ="sign-out+jwt")
    return asked(world, f"/customers/{customer}/sign-out", token, "POST")


def sid_of(browser: Client) -> str | None:
    """What Totara is told to end the visit of this browser by."""
    page = browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")
    told = jwt.decode(token_in(page), options={"verify_signature": False}).get("sid")
    return None if told is None else str(told)


def signed_out(world: World) -> list[tuple[str, int | None, Any]]:
    return [(row.cause, row.person_id, row.facts) for row in world.rows("audit") if row.event == "signed out"]


def person(world: World) -> int:
    return int(world.rows("persons")[0].id)


# --- the shop --------------------------------------------------------------------------------------------------------


def test_whoever_signs_out_of_the_shop_is_signed_out_here_in_that_browser_only(world: World, nia: int) -> None:
    one, two = comes(world, nia, sid=FIRST), comes(world, nia, sid=SECOND)
    answer = leaves(world, nia, sid=FIRST)
    assert (answer.status_code, answer.get_json()) == (200, {"customer": nia, "ended": 1})
    assert (is_in(one), is_in(two)) == (False, True)
    assert signed_out(world) == [("by the shop", person(world), {"customer": nia, "visits": 1})]
    assert leaves(world, nia, sid=FIRST).get_json()["ended"] == 0, "to tell it twice does no harm"
    assert len(signed_out(world)) == 1
    assert is_in(two)


def test_without_the_login_all_visits_of_the_customer_end_and_nobody_elses(world: World, nia: int) -> None:
    other = world.shop.add_customer("omar@pass.test")
    hers = [comes(world, nia, sid=FIRST), comes(world, nia, sid=SECOND), comes(world, nia)]
    his = comes(world, other, email="omar@pass.test", sid=FIRST)
    assert leaves(world, nia).get_json()["ended"] == 3
    assert [is_in(browser) for browser in [*hers, his]] == [False, False, False, True]


def test_a_plugin_that_tells_no_login_is_served_as_before(world: World, nia: int) -> None:
    browser = comes(world, nia)
    assert is_in(browser)
    assert leaves(world, nia, sid=FIRST).get_json()["ended"] == 0, "it may be another browser's"
    assert is_in(browser)


def test_only_the_shop_signs_its_customers_out(world: World, nia: int) -> None:
    browser = comes(world, nia, sid=FIRST)
    path, right = f"/customers/{nia}/sign-out", claims(world, nia)
    for typ in ("launch+jwt", "read+jwt", "poke+jwt"):
        assert asked(world, path, signed(right, typ=typ), "POST").status_code == 401
    assert asked(world, path, signed(right, "x" * 40, typ="sign-out+jwt"), "POST").status_code == 401
    assert asked(world, path, signed(claims(world, nia + 1), typ="sign-out+jwt"), "POST").status_code == 403
    assert refusals(world)[-1] == "the token is for another customer"
    assert (
        asked(world, "/customers/0/sign-out", signed(claims(world, 0), typ="sign-out+jwt"), "POST").status_code == 403
    )
    assert world.web.post(f"/api/v1{path}").status_code == 401
    token = signed(right, typ="sign-out+jwt")
    assert launch(world, token).status_code == 403
    assert asked(world, f"/customers/{nia}/courses", token).status_code == 401
    assert is_in(browser)


@pytest.mark.parametrize("sid", ["", "short", "x" * 65, "x" * 42 + "\n", "ü" * 43, 5, True, ["a" * 43]])
def test_a_login_that_is_none_is_refused(world: World, nia: int, sid: object) -> None:
    browser = comes(world, nia, sid=FIRST)
    assert leaves(world, nia, sid=sid).status_code == 401
    assert launch(world, signed(claims(world, nia, sid=sid))).status_code == 403
    assert refusals(world) == ["its sid is none"] * 2
    assert is_in(browser)


def test_a_browser_never_has_two_visits(world: World, nia: int) -> None:
    other = world.shop.add_customer("omar@pass.test")
    browser = comes(world, nia)
    first = world.rows("visits")
    comes(world, other, browser, email="omar@pass.test")
    (left,) = world.rows("visits")
    assert (left.customer_id, left.name == first[0].name) == (other, False)
    assert launch(world, "x", browser).status_code == 403
    assert is_in(browser), "what is refused ends nothing"


# --- Totara ----------------------------------------------------------------------------------------------------------


def test_whoever_signs_out_of_totara_is_signed_out_here(world: World, nia: int) -> None:
    browser, elsewhere = comes(world, nia), comes(world, nia)
    sid = sid_of(browser)
    assert sid and re.fullmatch("[0-9a-f]{32}", sid)
    page = browser.get(f"/sso/ended?sid={sid}")
    assert (page.status_code, "You are signed out here" in page.text) == (200, True)
    assert f'href="{world.bridge.settings.shop.url}"' in page.text
    assert "academy_bridge=sign-out" in page.text, "the shop's session is the shop's"
    assert (is_in(browser), is_in(elsewhere)) == (False, True)
    assert signed_out(world) == [("by Totara", person(world), {})]


def test_it_ends_a_visit_in_whichever_browser_it_is_told(world: World, nia: int) -> None:
    """Some send no cookie along; and what ends it is the word itself."""
    browser = comes(world, nia)
    sid = sid_of(browser)
    assert Client(world.bridge.web()).get(f"/sso/ended?sid={sid}").status_code == 200
    assert not is_in(browser)


@pytest.mark.parametrize("query", ["", "sid=", "sid=x", f"sid={'0' * 32}", f"sid={'A' * 32}", "sid=%00", "sid=%27--"])
def test_what_ends_nothing_gets_the_same_page(world: World, nia: int, query: str) -> None:
    def page(browser: Client, asked_for: str) -> tuple[int, str, list[str]]:
        answer = browser.get(f"/sso/ended?{asked_for}")
        cookies = [re.sub("Expires=[^;]+", "", cookie) for cookie in answer.headers.getlist("Set-Cookie")]
        return answer.status_code, re.sub(r'nonce="[^"]+"', "", answer.text), cookies

    browser, other = comes(world, nia), comes(world, nia)
    nothing = page(browser, query)
    assert is_in(browser)
    assert nothing == page(other, f"sid={sid_of(other)}")
    assert not is_in(other)


def test_it_leads_nowhere_but_to_the_shop(world: World, nia: int) -> None:
    browser = comes(world, nia)
    more = "&".join(f"{name}=https://evil.test" for name in ("redirect", "post_logout_redirect_uri", "target", "iss"))
    page = browser.get(f"/sso/ended?sid={sid_of(browser)}&{more}")
    assert ("evil" in page.text, "Location" in page.headers) == (False, False)


def test_what_totara_was_told_ends_a_later_visit_of_the_same_browser_too(world: World, nia: int) -> None:
    """Its session there goes on, and is not told anew unless somebody goes there by the bridge."""
    browser = comes(world, nia, sid=FIRST)
    sid = sid_of(browser)
    comes(world, nia, browser, sid=SECOND)
    assert sid_of(browser) == sid, "by its cookie"
    later = comes(world, nia, sid=SECOND)
    assert sid_of(later) == sid, "by the shop's login, where the cookie was not sent along"
    assert sid_of(comes(world, nia)) != sid
    browser.get(f"/sso/ended?sid={sid}")
    assert (is_in(browser), is_in(later)) == (False, False)


def test_what_totara_was_told_of_one_person_does_not_end_the_visit_of_the_next(world: World, nia: int) -> None:
    other = world.shop.add_customer("omar@pass.test")
    browser = comes(world, nia, sid=FIRST)
    sid = sid_of(browser)
    comes(world, other, browser, email="omar@pass.test", sid=FIRST)
    browser.get(f"/sso/ended?sid={sid}")
    assert is_in(browser)


def test_it_is_good_for_nothing_but_ending(world: World, nia: int) -> None:
    sid = sid_of(comes(world, nia))
    assert sid
    thief = Client(world.bridge.web())
    for name in ("bridge-visit", "__Host-bridge-visit"):
        thief.set_cookie(name, sid)
    assert not is_in(thief)


def test_a_visit_from_before_says_nothing_of_it_and_goes_on(world: World, nia: int) -> None:
    """One that the version before began: its node writes neither of the two columns."""
    browser = comes(world, nia)
    with world.bridge.store.begin() as connection:
        signon.set_visit(connection, world.rows("visits")[0].name, sid=None, shop_session=None)
    assert sid_of(browser) is None
    assert is_in(browser)


# --- the bridge's own page -------------------------------------------------------------------------------------------


def test_the_way_out_here_tells_where_the_other_two_end(world: World, nia: int) -> None:
    browser = comes(world, nia)
    form = re.search(r'name="form" value="([^"]+)"', browser.get("/learn").text)
    assert form
    page = browser.post("/sso/sign-out", data={"form": form[1]}).text
    assert f'href="{world.bridge.settings.totara.url}/login/logout.php"' in page
    assert f'href="{world.bridge.settings.shop.url}/?academy_bridge=sign-out"' in page
    assert signed_out(world) == [("by the visitor", person(world), {})]
