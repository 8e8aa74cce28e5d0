"""Stories: what comes in at the bridge's doors is held to measure. Over the wire, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import pytest
from sqlalchemy import Connection
from werkzeug.test import Client, TestResponse

from bridge.check import check
from bridge.mailed_links import MOST_OF_CLIENT
from bridge.web.api import MOST_A_MINUTE
from tests.test_mail import Inbox
from tests.test_story_sign_on import NIA, SECRET, asked, claims, launch, refusals, signed
from tests.test_story_teams import ADA, BOSS, buys, give, invitation
from tests.test_team_people import answers
from tests.world import World


@pytest.fixture
def world(world_with_letters: World) -> World:
    return world_with_letters


@pytest.fixture
def nia(world: World) -> int:
    """A customer of the shop."""
    return world.shop.add_customer(NIA, first_name="Nia", last_name="Noon")


# --- who keeps a thread of the server's waiting -----------------------------------------------------------------------


def waits(ask: Callable[[int], TestResponse], asked: int, kept: int, then: Callable[[], object]) -> list[str | None]:
    """Of so many who ask at once, so many are kept waiting until something is done; where those are sent ``then``."""
    with ThreadPoolExecutor(asked) as many:
        started = [many.submit(ask, number) for number in range(asked)]
        at_once = zip(range(asked - kept), as_completed(started, timeout=15), strict=False)
        assert {one.result().location for _, one in at_once} == {"/sso/go?again=1"}
        waiting = [one for one in started if not one.done()]
        assert len(waiting) == kept
        then()
        return [one.result().location for one in waiting]


@pytest.mark.parametrize("threads", [8, 3])
def test_those_who_wait_leave_the_server_most_of_its_threads(world: World, nia: int, threads: int) -> None:
    bridge = world.new_bridge(sso={"shop_secrets": [SECRET], "wait_seconds": 20}, server={"threads": threads})
    app, course = bridge.web(), world.course("ONE")
    world.shop.place_order([(world.sell(course), 1)], customer_id=nia, email=NIA)
    browsers = [Client(app) for _ in range(10)]
    for browser in browsers:
        launch(world, signed(claims(world, nia, target=f"course:{course}")), browser)
    onward = waits(lambda n: browsers[n].get("/sso/go"), 10, threads // 4, world.settle)
    assert onward == [f"{world.bridge.settings.totara.url}/auth/bridge/start.php"] * (threads // 4)


def test_nobody_waits_twice_at_the_same_time(world: World, nia: int) -> None:
    app = world.new_bridge(sso={"shop_secrets": [SECRET], "wait_seconds": 20}).web()
    browser = Client(app)

    def asks(_: int) -> TestResponse:
        copy, cookie = Client(app), browser.get_cookie("bridge-visit")
        assert cookie is not None
        copy.set_cookie("bridge-visit", cookie.value)
        return copy.get("/sso/go")

    for many in (6, 2):  # the place is free again afterwards
        launch(world, signed(claims(world, nia, target="course:7")), browser)
        waits(asks, many, 1, world.settle)


@pytest.mark.parametrize("kind", ["customer", "order", "learner"])
def test_what_is_done_between_two_questions_is_not_taken_for_nothing(
    world: World, nia: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is settled while it is asked what is still to be looked at."""
    course, work = world.course("ONE"), world.bridge.work
    world.shop.place_order([(world.sell(course), 1)], customer_id=nia, email=NIA)
    launch(world, signed(claims(world, nia, target=f"course:{course}")), browser := Client(world.bridge.web()))
    asks = work.is_due

    def settled_first(connection: Connection, asked_for: str, key: str = "") -> bool:
        if asked_for == kind:
            world.settle()
        return asks(connection, asked_for, key)

    monkeypatch.setattr(work, "is_due", settled_first)
    answer = browser.get("/sso/go")
    assert answer.location in ("/sso/go?again=1", f"{world.bridge.settings.totara.url}/auth/bridge/start.php")


# --- the shop's hints ------------------------------------------------------------------------------------------------


def test_a_token_that_is_shown_again_and_again_has_an_order_looked_at_only_so_often(world: World) -> None:
    token = signed(claims(world, 0, order=5), typ="poke+jwt")
    codes = [asked(world, "/pokes", token, "POST").status_code for _ in range(MOST_A_MINUTE + 2)]
    assert codes == [*[202] * MOST_A_MINUTE, 429, 429]
    other = signed(claims(world, 0, order=6), typ="poke+jwt")
    assert asked(world, "/pokes", other, "POST").status_code == 202
    assert asked(world, "/pokes", token[:-6] + "aaaaaa", "POST").status_code == 401, "the token is looked at first"


def test_a_customer_is_signed_out_only_so_often(world: World, nia: int) -> None:
    codes = [
        asked(world, f"/customers/{who}/sign-out", signed(claims(world, who), typ="sign-out+jwt"), "POST").status_code
        for who in [*[nia] * (MOST_A_MINUTE + 1), nia + 1]
    ]
    assert codes == [*[200] * MOST_A_MINUTE, 429, 200]


# --- what was used once ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [10, 540])
def test_what_one_node_has_forgotten_is_not_taken_again_by_one_whose_clock_is_behind(
    world: World, nia: int, ahead: int
) -> None:
    token = signed(claims(world, nia))
    assert launch(world, token).status_code == 303
    world.clock.advance(seconds=60 + ahead)
    world.owe("tidy", "all")
    world.settle()
    world.clock.advance(seconds=-ahead)
    assert launch(world, token).status_code == 403
    assert refusals(world) == ["it was used before"]


def test_what_was_used_is_forgotten_in_the_end(world: World, nia: int) -> None:
    launch(world, signed(claims(world, nia)))
    world.clock.advance(hours=1)
    world.owe("tidy", "all")
    world.settle()
    assert world.rows("used") == []


# --- names that can't be written down --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["N\x00ia", "N\ud800ia"])
def test_whoever_has_half_a_character_in_their_name_is_let_in(world: World, nia: int, name: str) -> None:
    words = dict.fromkeys(("given_name", "family_name", "locale"), name)
    assert launch(world, signed(claims(world, nia, email_verified=True, **words))).status_code == 303
    (person,) = world.rows("persons")
    assert (person.first_name, person.last_name, person.language) == ("N ia", "N ia", "N ia")


def test_what_was_paid_for_by_somebody_with_a_null_byte_for_a_name_is_given(world: World) -> None:
    course = world.course("ONE")
    names: dict[str, Any] = {"first_name": "M\x00ia", "last_name": "\u202eG"}
    world.look(world.shop.place_order([(world.sell(course), 1)], email="mia@guest.test", **names))
    assert world.access() == {("mia@guest.test", course): "active"}
    assert [(row.first_name, row.last_name) for row in world.rows("persons")] == [("M ia", "G")]


def test_a_name_that_is_none_is_refused_and_uses_nothing_up(world: World, inbox: Inbox) -> None:
    boss = world.shop.add_customer(BOSS, first_name="Bea", last_name="Boss")
    buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    letter = invitation(inbox, ADA)
    went = answers(world, letter, "accept", first_name="A\x00da", last_name="By\u2028te")
    assert went.status_code == 422
    assert answers(world, letter, "accept", first_name="Ada", last_name="Byte").status_code == 303
    assert ("Ada", "Byte") in [(row.first_name, row.last_name) for row in world.rows("persons")]


# --- who asks, behind a web server -----------------------------------------------------------------------------------


def asks(world: World, browser: Client, number: int, at: str, *said: str) -> int:
    """What somebody gets who asks for a link, from a network address, with what web servers said of others."""
    given = {"Origin": world.bridge.settings.server.public_url}
    headers = [*given.items(), *(("X-Forwarded-For", one) for one in said)]
    data, where = {"address": f"nobody{number}@else.test"}, {"REMOTE_ADDR": at}
    return browser.post("/sso/link", data=data, headers=headers, environ_overrides=where).status_code


@pytest.mark.parametrize("at", ["127.0.0.1", "10.0.0.5", "::1"])
def test_behind_a_web_server_one_client_who_asks_often_stops_nobody_else(world: World, at: str) -> None:
    browser = Client(world.new_bridge(server={"trusted_proxies": 1}).web())
    one = [asks(world, browser, n, at, f"198.51.100.{n}, 203.0.113.9") for n in range(MOST_OF_CLIENT + 2)]
    assert one == [*[200] * MOST_OF_CLIENT, 429, 429], "whatever the client itself says"
    assert asks(world, browser, 100, at, "203.0.113.9", "198.51.100.1") == 200
    assert asks(world, browser, 101, at, "198.51.100.1", "203.0.113.9") == 429, "the last of them is the web server's"


def test_behind_two_web_servers_the_outer_one_says_who_asks(world: World) -> None:
    browser = Client(world.new_bridge(server={"trusted_proxies": 2}).web())
    told = [asks(world, browser, n, "127.0.0.1", "203.0.113.9, 10.0.0.7") for n in range(MOST_OF_CLIENT + 1)]
    assert told == [*[200] * MOST_OF_CLIENT, 429]
    assert asks(world, browser, 100, "127.0.0.1", "203.0.113.10, 10.0.0.7") == 200


def test_without_a_web_server_nobody_is_believed_who_says_to_be_somebody_else(world: World) -> None:
    browser = Client(world.bridge.web())
    told = [asks(world, browser, n, "192.0.2.7", f"198.51.100.{n}") for n in range(MOST_OF_CLIENT + 1)]
    assert told == [*[200] * MOST_OF_CLIENT, 429]


def test_whoever_has_a_whole_network_is_one_client_all_the_same(world: World) -> None:
    browser = Client(world.bridge.web())
    told = [asks(world, browser, n, f"2001:db8::{n:x}:7") for n in range(MOST_OF_CLIENT + 1)]
    assert told == [*[200] * MOST_OF_CLIENT, 429]
    assert [asks(world, browser, 100, "2001:db8:0:1::7"), asks(world, browser, 101, "::7")] == [200, 200]
    mapped = [asks(world, browser, 200 + n, f"::ffff:192.0.2.{n + 1}") for n in range(MOST_OF_CLIENT + 1)]
    assert set(mapped) == {200}, "these are clients of IPv4, each its own"


def test_a_web_server_says_nothing_but_who_asks(world: World) -> None:
    """What it was asked for by, and how, is in the settings."""
    browser = Client(world.new_bridge(server={"trusted_proxies": 1}).web())
    evil = {"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil"}
    for path in ("/learn", "/sso/go", "/sso/link"):
        answer = browser.get(path, headers={"X-Forwarded-For": "203.0.113.9", **evil})
        assert "evil" not in f"{answer.location} {answer.text}"


def test_the_check_tells_that_clients_can_not_be_told_apart_behind_a_web_server(world: World) -> None:
    def told(**server: object) -> list[str]:
        found = check(world.new_bridge(server={"public_url": "https://bridge.example", **server}))
        return [one.mend for one in found if one.what == "proxies"]

    assert told() == ["set server.trusted_proxies to how many of them stand before the bridge"]
    assert told(trusted_proxies=1) == []
