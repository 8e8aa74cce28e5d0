"""Stories: learners without an account in the shop sign in by a mailed link. Over the wire, on both databases."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import event
from werkzeug.test import Client, TestResponse

from bridge.domain.identity import How
from bridge.mailed_links import LINK_LIFE, MOST_LINKS, MOST_OF_CLIENT, MOST_OF_ONE
from bridge.web.words import words_for
from bridge.who import prove
from tests.test_mail import Inbox
from tests.test_story_letters import text
from tests.test_story_sign_on import SECRET, claims, launch, refusals, signed, target_in
from tests.world import World

MIA = "mia@guest.test"


@pytest.fixture
def world(world_with_letters: World) -> World:
    return world_with_letters


@pytest.fixture
def course(world: World, inbox: Inbox) -> Iterator[int]:
    """A course that Mia bought as a guest, and has; the letter about it is read."""
    number = world.course("ONE")
    bought(world, number)
    inbox.mails.clear()
    yield number


def bought(world: World, course: int, email: str = MIA, **order: Any) -> int:
    number = world.shop.place_order([(world.sell(course), 1)], email=email, first_name="Mia", last_name="G", **order)
    world.owe("order", number)
    world.settle()
    return number


def ask(world: World, address: str = MIA, browser: Client | None = None, **headers: str) -> TestResponse:
    given = {"Origin": world.bridge.settings.server.public_url, **headers}
    return (browser or Client(world.bridge.web())).post("/sso/link", data={"address": address}, headers=given)


def link_in(inbox: Inbox, number: int = -1) -> str:
    found = re.search(r"https?://\S+/sso/link/open#(\S+)", text(inbox, number))
    assert found, text(inbox, number)
    return found[1]


def mailed(world: World, inbox: Inbox, address: str = MIA) -> str:
    """The secret of a link that was asked for and mailed."""
    assert ask(world, address).status_code == 200
    world.settle()
    return link_in(inbox)


def opened(world: World, secret: str, browser: Client | None = None, **headers: str) -> TestResponse:
    given = {"Origin": world.bridge.settings.server.public_url, **headers}
    return (browser or Client(world.bridge.web())).post("/sso/link/open", data={"link": secret}, headers=given)


# --- the way in ------------------------------------------------------------------------------------------------------


def test_a_guest_asks_for_a_link_and_begins_to_learn(world: World, inbox: Inbox, course: int) -> None:
    browser = Client(world.bridge.web())
    assert "Mail me a link" in browser.get("/sso/link").text
    secret = mailed(world, inbox)
    assert str(inbox.mails[-1]["To"]) == "Mia G <mia@guest.test>"
    assert opened(world, secret, browser).location == "/sso/go"
    page = browser.get("/sso/go", follow_redirects=True)
    assert (page.request.path, f"course:{course}" in page.text) == ("/learn", True)
    form = re.search(r'name="form" value="([^"]+)"', page.text)
    assert form
    browser.post("/learn/go", data={"form": form[1], "target": f"course:{course}"})
    going = browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")
    assert target_in(going) == f"/course/view.php?id={course}"


def test_opening_a_link_proves_the_address(world: World, inbox: Inbox, course: int) -> None:
    """What is bought with it afterwards by nobody else can be taken for theirs."""
    opened(world, mailed(world, inbox))
    (proof,) = world.rows("proofs")
    assert (proof.email, proof.how) == (MIA, "link")
    causes = [(row.event, row.cause) for row in world.rows("audit") if row.event in ("link mailed", "signed in")]
    assert causes == [("link mailed", "somebody asked for it"), ("signed in", "by a mailed link")]


def test_the_letter_that_access_is_ready_leads_guests_to_the_link_and_customers_to_the_shop(
    world: World, inbox: Inbox
) -> None:
    course = world.course("ONE")
    bought(world, course)
    assert f"{world.bridge.settings.server.public_url}/sso/link" in text(inbox).split()
    nia = world.shop.add_customer("nia@pass.test")
    two = world.course("TWO")
    bought(world, two, "nia@pass.test", customer_id=nia)
    shop = world.bridge.settings.shop.url
    assert f"{shop}/?academy_bridge=launch&target=course%3A{two}" in text(inbox).split()


def test_the_link_leads_on_to_what_the_browser_came_for(world: World, inbox: Inbox, course: int) -> None:
    nonce = secrets.token_hex(16)
    browser = Client(world.bridge.web())
    browser.get(f"/sso/totara?nonce={nonce}")
    assert opened(world, mailed(world, inbox), browser).location == f"/sso/totara?nonce={nonce}"


def test_the_letter_is_in_the_language_that_was_asked_in_unless_the_order_had_one(
    world: World, inbox: Inbox, course: int
) -> None:
    ask(world, MIA, None, **{"Accept-Language": "fr"})
    world.settle()
    assert str(inbox.mails[-1]["Subject"]) == "Votre lien de connexion"


def test_the_whole_link_may_be_pasted_where_scripts_are_off(world: World, inbox: Inbox, course: int) -> None:
    secret = mailed(world, inbox)
    assert opened(world, f" {world.bridge.settings.server.public_url}/sso/link/open#{secret} ").location == "/sso/go"


@pytest.mark.parametrize(
    ("accepts", "language", "direction"),
    [
        ("ar-EG,ar;q=0.9,en;q=0.8", "ar", "rtl"), ("es-MX", "es", "ltr"), ("fr", "fr", "ltr"), ("en", "en", "ltr"),
        ("nl,ar;q=0.5,fr;q=0.7", "fr", "ltr"), ("nl", "en", "ltr"), ("", "en", "ltr"),
    ],
)  # fmt: skip
def test_the_page_speaks_the_browsers_language_in_its_direction(
    world: World, accepts: str, language: str, direction: str
) -> None:
    page = world.web.get("/sso/link", headers={"Accept-Language": accepts}).text
    assert f'<html lang="{language}" dir="{direction}">' in page
    assert words_for(language)["link_text"] in unescape(page)
    assert '<input id="address" name="address" type="email" dir="ltr"' in page


def test_where_no_mail_is_sent_the_page_tells_of_the_other_way(make_world: Callable[..., World]) -> None:
    world = make_world(sso={"shop_secrets": [SECRET]})
    page = world.web.get("/sso/link")
    assert f"{world.bridge.settings.totara.url}/login/forgot_password.php" in page.text
    assert ask(world).status_code == 403


def test_whoever_came_by_a_link_is_asked_for_the_next_one_and_not_for_a_shop_account(
    world: World, inbox: Inbox, course: int
) -> None:
    browser = Client(world.bridge.web())
    assert "academy_bridge=launch" in str(browser.get("/learn").location)
    opened(world, mailed(world, inbox), browser)
    world.clock.advance(hours=2)
    assert browser.get("/learn").location == f"{world.bridge.settings.server.public_url}/sso/link"
    assert "academy_bridge=launch&amp;target=resume" in browser.get("/sso/link").text
    assert opened(world, mailed(world, inbox), browser).location == "/learn"


def looked(world: World, secret: str, browser: Client) -> TestResponse:
    """What is asked before the click."""
    ours = {"Origin": world.bridge.settings.server.public_url}
    return browser.post("/sso/link/look", data={"link": secret}, headers=ours)


def test_before_the_click_one_sees_whom_the_link_signs_in_and_nobody_learns_the_address_from_it(
    world: World, inbox: Inbox, course: int
) -> None:
    browser, secret = Client(world.bridge.web()), mailed(world, inbox)
    for _ in range(2):
        page = looked(world, secret, browser)
        assert (page.status_code, "m…@g….test" in page.text, MIA in page.text) == (200, True, False)
        assert ('name="instead"' in page.text, "Stay signed in" in page.text) == (False, False)
        assert world.rows("visits") == []
    assert opened(world, secret, browser).status_code == 303
    assert looked(world, secret, browser).status_code == 403


def test_whoever_is_signed_in_is_asked_before_anothers_link_signs_them_in_as_the_other(
    world: World, inbox: Inbox, course: int
) -> None:
    """Mallory has the victim open a link of Mallory's own: what the victim then does would be done in that account."""
    nia = world.shop.add_customer("nia@pass.test")
    victim, secret = Client(world.bridge.web()), mailed(world, inbox)
    launch(world, signed(claims(world, nia, target="courses")), victim)
    for page in (looked(world, secret, victim), opened(world, secret, victim)):
        assert (page.status_code, "Somebody else is signed in" in page.text, "m…@g….test" in page.text) == (
            200,
            True,
            True,
        )
    assert [row.customer_id for row in world.rows("visits")] == [nia], "the link is not used up, nor the visit ended"
    word = re.search(r'name="instead" value="([^"]+)"', page.text)
    assert word
    ours = {"Origin": world.bridge.settings.server.public_url}
    for instead, status in (("x", 200), (word[1], 303)):
        form = {"link": secret, "instead": instead}
        assert victim.post("/sso/link/open", data=form, headers=ours).status_code == status
    assert [row.customer_id for row in world.rows("visits")] == [None]


# --- nobody gets in who should not -----------------------------------------------------------------------------------


def test_of_fifty_who_open_a_link_at_once_one_gets_in(world: World, inbox: Inbox, course: int) -> None:
    secret = mailed(world, inbox)
    app = world.bridge.web()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: opened(world, secret, Client(app)).status_code, range(50)))
    assert sorted(answers) == [303, *[403] * 49]
    assert len(world.rows("visits")) == 1


@pytest.mark.parametrize("late", [LINK_LIFE, timedelta(days=2)])
def test_a_link_runs_out(world: World, inbox: Inbox, course: int, late: timedelta) -> None:
    secret = mailed(world, inbox)
    world.clock.advance(seconds=late.total_seconds())
    answer = opened(world, secret)
    assert (answer.status_code, "can’t be used" in answer.text) == (403, True)
    assert world.rows("visits") == []
    assert refusals(world)[-1].startswith("a mailed link")


@pytest.mark.parametrize("given", ["", "x", "a" * 43, "#", "http://[", "\x00", "ÿ" * 43, "'; DROP TABLE links; --"])
def test_what_is_no_link_opens_nothing(world: World, inbox: Inbox, course: int, given: str) -> None:
    mailed(world, inbox)
    assert opened(world, given).status_code == 403
    assert (world.rows("visits"), len(world.rows("links"))) == ([], 1)


def test_to_look_at_a_link_does_not_use_it_up(world: World, inbox: Inbox, course: int) -> None:
    """Programs that look through mail open every link in it."""
    secret = mailed(world, inbox)
    for _ in range(3):
        page = Client(world.bridge.web()).get("/sso/link/open")
        assert (page.status_code, secret in page.text) == (200, False)
    assert opened(world, secret).status_code == 303


@pytest.mark.parametrize("origin", ["https://evil.test", "null", ""])
def test_forms_of_other_pages_are_refused(world: World, inbox: Inbox, course: int, origin: str) -> None:
    secret = mailed(world, inbox)
    assert ask(world, Origin=origin).status_code == 403
    assert opened(world, secret, Origin=origin).status_code == 403
    assert (len(world.rows("links")), world.rows("link_requests")) == (1, [])
    assert refusals(world) == ["a form of another page than ours"] * 2


def test_the_answer_is_the_same_whether_somebody_is_known_or_not(world: World, inbox: Inbox, course: int) -> None:
    """In words, in headers, and in what is done before it: the same statements, so the same time."""
    known, unknown = ask(world), ask(world, "nobody@else.test")
    assert (known.status_code, nonceless(known)) == (unknown.status_code, nonceless(unknown))
    assert [row.email for row in world.rows("link_requests")] == [MIA, "nobody@else.test"]
    world.settle()
    assert len(inbox.mails) == 1
    assert world.rows("link_requests") == []


def test_the_same_is_done_whether_somebody_is_known_or_not(world: World, inbox: Inbox, course: int) -> None:
    """Before the answer the database is asked the same, so that the time tells nothing."""
    ask(world, "first@else.test")
    done: list[str] = []
    event.listen(world.bridge.store.engine, "before_cursor_execute", lambda *given: done.append(given[2]))
    ask(world)
    known = list(done)
    done.clear()
    ask(world, "nobody@else.test")
    assert known == done
    assert any("link_requests" in statement for statement in known)


def nonceless(answer: TestResponse) -> tuple[str, list[tuple[str, str]]]:
    headers = [(name, re.sub(r"nonce-[^']+", "", value)) for name, value in answer.headers.items()]
    return re.sub(r'nonce="[^"]+"', "", answer.text), headers


def test_a_shop_account_with_a_victims_address_gets_no_link_and_the_victim_none_of_its_orders(
    world: World, inbox: Inbox
) -> None:
    """The shop lets anybody register any address. What was not proven is no reason to write, nor to let in."""
    eve = world.shop.add_customer(MIA, first_name="Eve")
    bought(world, world.course("EVIL"), customer_id=eve)
    inbox.mails.clear()
    ask(world)
    world.settle()
    assert (inbox.mails, world.rows("links")) == ([], [])


def test_a_customer_who_has_proven_the_address_may_use_a_link_too(world: World, inbox: Inbox) -> None:
    nia = world.shop.add_customer("nia@pass.test", first_name="Nia")
    course = world.course("ONE")
    bought(world, course, "nia@pass.test", customer_id=nia)
    (person,) = world.rows("persons")
    with world.bridge.store.begin() as connection:
        prove(world.bridge.store, connection, person.id, "nia@pass.test", How.SHOP, world.now())
    world.settle()
    browser = Client(world.bridge.web())
    opened(world, mailed(world, inbox, "Nia@Pass.test"), browser)
    assert f"course:{course}" in browser.get("/learn").text


def test_a_link_to_an_address_that_became_a_customers_meanwhile_opens_nothing_else(
    world: World, inbox: Inbox, course: int
) -> None:
    """The guest registered and the shop checked the address: both are one, and the link is that one's."""
    secret = mailed(world, inbox)
    mia = world.shop.add_customer(MIA)
    two = world.course("TWO")
    bought(world, two, customer_id=mia)
    customer = next(row.id for row in world.rows("persons") if row.customer_id == mia)
    with world.bridge.store.begin() as connection:
        prove(world.bridge.store, connection, customer, MIA, How.SHOP, world.now())
    world.settle()
    browser = Client(world.bridge.web())
    answer = opened(world, secret, browser)
    merged = [row.merged_into for row in world.rows("persons") if row.id != customer]
    assert merged == [customer]
    assert answer.status_code == 303
    assert f"course:{two}" in browser.get("/learn").text


def test_a_link_to_an_address_that_became_somebody_elses_opens_nothing(world: World, inbox: Inbox, course: int) -> None:
    """A customer has proven it, and the guest is not theirs yet: the link was mailed to the guest."""
    secret = mailed(world, inbox)
    mia = world.shop.add_customer(MIA)
    bought(world, world.course("TWO"), customer_id=mia)
    customer = next(row.id for row in world.rows("persons") if row.customer_id == mia)
    with world.bridge.store.begin() as connection:
        prove(world.bridge.store, connection, customer, MIA, How.SHOP, world.now())
    assert opened(world, secret).status_code == 403
    assert (world.rows("visits"), refusals(world)) == ([], ["a mailed link that can't be opened, or not any more"])


def test_a_suspended_learner_gets_in_to_the_bridge_and_no_further(world: World, inbox: Inbox, course: int) -> None:
    browser = Client(world.bridge.web())
    opened(world, mailed(world, inbox), browser)
    world.totara.users[world.user(MIA)].suspended = True
    answer = browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")
    assert 'name="token"' not in answer.text and "you were not signed in" in answer.text
    assert "suspended" in refusals(world)[-1]


# --- often, and when something is down -------------------------------------------------------------------------------


def test_nobody_is_written_to_more_often_than_that(world: World, inbox: Inbox, course: int) -> None:
    for _ in range(MOST_LINKS + 2):
        another = Client(world.new_bridge().web())  # each process counts for itself
        assert ask(world, MIA, another).status_code == 200
        world.settle()
    assert len(inbox.mails) == MOST_LINKS
    world.clock.advance(seconds=LINK_LIFE.total_seconds())
    mailed(world, inbox)
    assert len(inbox.mails) == MOST_LINKS + 1


def test_what_has_run_out_is_forgotten_within_an_hour(world: World, inbox: Inbox, course: int) -> None:
    opened(world, mailed(world, inbox))
    mailed(world, inbox)
    assert (len(world.rows("links")), len(world.rows("visits"))) == (1, 1)
    world.clock.advance(hours=13)
    world.owe("tidy", "all")
    world.settle()
    assert (world.rows("links"), world.rows("visits")) == ([], [])


def test_one_address_and_one_client_may_ask_only_so_often(world: World, inbox: Inbox) -> None:
    browser = Client(world.bridge.web())
    answers = [ask(world, "nobody@else.test", browser).status_code for _ in range(MOST_OF_ONE + 1)]
    assert answers == [*[200] * MOST_OF_ONE, 429]

    def asks(client: str, number: int) -> int:
        given = {"Origin": world.bridge.settings.server.public_url}
        data, where = {"address": f"nobody{number}@{client.replace(':', '-')}.test"}, {"REMOTE_ADDR": client}
        return browser.post("/sso/link", data=data, headers=given, environ_overrides=where).status_code

    for client in ("192.0.2.7", "2001:db8::7"):
        answers = [asks(client, number) for number in range(MOST_OF_CLIENT + 2)]
        assert answers == [*[200] * MOST_OF_CLIENT, 429, 429], "the others are let in as before"
    answers = [asks("127.0.0.1", number) for number in range(MOST_OF_CLIENT + 2)]
    assert set(answers) == {200}, "a proxy on this machine is everybody"
    world.settle()
    assert (world.rows("link_requests"), inbox.mails) == ([], [])


def test_the_session_that_a_browser_had_ends_with_a_mailed_link(world: World, inbox: Inbox, course: int) -> None:
    browser = Client(world.bridge.web())
    for _ in range(2):
        opened(world, mailed(world, inbox), browser)
    assert len(world.rows("visits")) == 1


@pytest.mark.parametrize(
    "given",
    [
        "",
        "mia",
        "mia@",
        "a b@c.test",
        "mia@guest.test\r\nBcc: x@y.test",
        "x" * 90 + "@guest.test",
        "mi\x00a@guest.test",
        "\u202emia@guest.test",
    ],
)
def test_what_is_no_address_is_said_to_be_none(world: World, given: str) -> None:
    answer = ask(world, given)
    assert (answer.status_code, "This is no e-mail address." in answer.text) == (422, True)
    assert world.rows("link_requests") == []


def test_a_mail_server_that_is_away_loses_no_request_and_old_ones_are_forgotten(
    world: World, inbox: Inbox, course: int
) -> None:
    inbox.answers["RCPT"] = "451 4.3.0 Not now"
    ask(world)
    world.settle()
    assert (len(world.rows("link_requests")), world.rows("links")) == (1, [])
    inbox.answers.clear()
    world.pass_time(60)
    world.settle()
    assert (link_in(inbox) != "", world.rows("link_requests")) == (True, [])
