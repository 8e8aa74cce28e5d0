"""Stories: the pages of whoever is invited, of a team's owner, and of a learner. Over the wire, on both databases."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from tests.test_mail import Inbox, Server
from tests.test_story_letters import mail
from tests.test_story_links import link_in
from tests.test_story_sign_on import claims, launch, signed
from tests.test_story_teams import ADA, BO, BOSS, SECRET, buys, counts, give, invitation, owner, pools
from tests.world import World

EVE = "eve@else.test"


@pytest.fixture
def world(make_world: Callable[..., World], server: Server) -> World:
    made = make_world(sso={"shop_secrets": [SECRET], "wait_seconds": 0}, mail=mail(server))
    made.bridge.keys.first()
    return made


@pytest.fixture
def boss(world: World) -> int:
    """A customer of the shop, whose company buys."""
    return world.shop.add_customer(BOSS, first_name="Bea", last_name="Boss")


@pytest.fixture
def seats(world: World, boss: int) -> int:
    """The course that the company has three seats of."""
    course = world.course("ONE")
    buys(world, boss, world.sell(course), 3)
    return course


def browser(world: World) -> Client:
    return Client(world.bridge.web())


def answers(world: World, secret: str, step: str, by: Client | None = None, **form: str) -> TestResponse:
    """What one of the invitation's forms answers, sent by a page of the bridge."""
    ours = {"Origin": world.bridge.settings.server.public_url}
    return (by or browser(world)).post(f"/team/invitation/{step}", data={"invitation": secret, **form}, headers=ours)


def signed_in(world: World, customer: int) -> Client:
    """A browser in which a customer of the shop is signed in."""
    one = browser(world)
    launch(world, signed(claims(world, customer, target="team")), one)
    return one


def accepted(world: World, inbox: Inbox, address: str, **form: str) -> Client:
    """The browser of an employee who was given a seat, and has accepted."""
    give(world, address)
    one = browser(world)
    assert answers(world, invitation(inbox, address), "accept", one, **form).status_code in (200, 303)
    world.settle()
    return one


def home(world: World, *more: object) -> str:
    """The address of the one team's page."""
    return "/".join(map(str, ["/team", owner(world).team.key, *more]))


def word(page: TestResponse) -> str:
    found = re.search(r'name="form" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def posts(one: Client, path: str, **form: Any) -> TestResponse:
    """A form of the visitor's, with the word that was given to them."""
    return one.post(path, data={"form": word(one.get("/learn")), **form})


def events(world: World, event: str) -> list[Mapping[str, Any]]:
    return [row for row in world.rows("audit") if row.event == event]


def refusals(world: World) -> list[str]:
    return [row.cause for row in events(world, "sign-on refused")]


# --- the invited employee --------------------------------------------------------------------------------------------


def test_an_employee_accepts_and_goes_straight_into_the_course(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    secret = invitation(inbox, ADA)
    one = browser(world)
    assert "See the invitation" in one.get("/team/invitation").text
    page = answers(world, secret, "look", one)
    assert "Harbour &amp; Sons has bought a place for you" in page.text
    assert f"Course {seats}" in page.text
    assert 'value="Ada"' in page.text
    assert "checked" not in page.text
    assert counts(world) == {"open": 2, "invited": 1}, "looking uses nothing up"
    went = answers(world, secret, "accept", one, first_name="Augusta", last_name="King", consents="yes")
    assert (went.status_code, went.location) == (303, "/sso/go")
    world.settle()
    assert world.access() == {(ADA, seats): "active"}
    assert world.totara.users[world.user(ADA)].firstname == "Augusta"
    assert one.get("/sso/go").location == f"{world.bridge.settings.totara.url}/auth/bridge/start.php"
    assert [row.withdrawn_at for row in world.rows("consents")] == [None]


def test_consent_is_not_given_by_accepting(world: World, seats: int, inbox: Inbox) -> None:
    accepted(world, inbox, ADA, first_name="Ada", last_name="Byte")
    assert world.rows("consents") == []


def test_what_a_mail_scanner_opens_is_not_used_up(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    for _ in range(3):
        assert browser(world).get("/team/invitation").status_code == 200
        assert answers(world, invitation(inbox, ADA), "look").status_code == 200
    assert answers(world, invitation(inbox, ADA), "accept").status_code == 303


def test_the_whole_link_may_be_pasted(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    whole = f" {world.bridge.settings.server.public_url}/team/invitation#{invitation(inbox, ADA)} "
    assert "Harbour" in answers(world, whole, "look").text


def test_where_the_offer_reports_it_is_said_and_nobody_is_asked(
    world: World, boss: int, inbox: Inbox, offers: Any
) -> None:
    product = world.shop.add_product("Reported", sku="REPORTED", price="90.00")
    offers(f'[[offer]]\nsku = "REPORTED"\ngives = ["course:{world.course("ONE")}"]\nreport = true\n')
    buys(world, boss, product, 2)
    give(world, ADA)
    page = answers(world, invitation(inbox, ADA), "look").text
    assert "this is part of what was bought" in page
    assert "checkbox" not in page


def test_whoever_declines_is_thanked_and_the_seat_is_open(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    one = browser(world)
    page = answers(world, invitation(inbox, ADA), "decline", one)
    assert "You have declined" in page.text
    assert counts(world) == {"open": 3}
    assert one.get("/learn").status_code == 303, "nobody is signed in by declining"


def test_an_invitation_is_in_the_language_of_whoever_is_invited(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    with world.bridge.store.begin() as connection:
        connection.exec_driver_sql("UPDATE persons SET language = 'fr' WHERE email = 'ada@corp.test'")
    page = answers(world, invitation(inbox, ADA), "look").text
    assert '<html lang="fr"' in page
    assert 'name="language" value="fr"' in page
    thanks = answers(world, invitation(inbox, ADA), "decline", language="fr").text
    assert '<html lang="fr"' in thanks


def test_whoever_waits_for_a_yes_is_told_so(world: World, seats: int, inbox: Inbox) -> None:
    world.bridge.desk.configure(owner(world), name="Harbour", approval=True)
    give(world, ADA)
    page = answers(world, invitation(inbox, ADA), "accept")
    assert "It waits for your company’s yes" in page.text
    assert counts(world) == {"open": 2, "approval": 1}


def test_whoever_has_the_course_is_told_that_nothing_was_wasted(world: World, seats: int, inbox: Inbox) -> None:
    product = next(p["id"] for p in world.shop.products.values() if p["sku"] == f"totara-course-{seats}")
    world.look(world.shop.place_order([(product, 1)], email=ADA, first_name="Ada"))
    give(world, ADA)
    page = answers(world, invitation(inbox, ADA), "look").text
    assert 'name="first_name"' not in page, "an account was made with their name"
    assert "You have this course already" in answers(world, invitation(inbox, ADA), "accept").text
    assert counts(world) == {"open": 3}


def test_a_member_officer_is_told_plainly_and_the_seat_is_kept(world: World, seats: int, inbox: Inbox) -> None:
    world.totara.add_user(ADA, username="officer")
    one = accepted(world, inbox, ADA)
    page = one.get("/sso/go", follow_redirects=True).text
    assert "An account with your address is there already." in page
    assert "kept for you" in page
    assert counts(world) == {"open": 2, "taken": 1}


@pytest.mark.parametrize("spoil", ["used", "reclaimed", "lapsed", "wrong", "long", "nothing"])
def test_an_invitation_that_is_over_gets_one_page_whatever_the_reason(
    world: World, seats: int, inbox: Inbox, spoil: str
) -> None:
    give(world, ADA)
    secret = invitation(inbox, ADA)
    if spoil == "used":
        answers(world, secret, "accept")
    elif spoil == "reclaimed":
        (row,) = [row for row in world.rows("seats") if row.person_id is not None]
        world.bridge.desk.give_back(owner(world), row.id)
    elif spoil == "lapsed":
        world.clock.advance(days=15)
    else:
        secret = {"wrong": secret[:-1] + ("x" if secret[-1] != "x" else "y"), "long": "a" * 3000, "nothing": ""}[spoil]
    before = counts(world)
    pages = [answers(world, secret, step) for step in ("look", "accept", "decline")]
    assert {page.status_code for page in pages} == {403}
    assert all("Ask whoever invited you for a new one" in page.text for page in pages)
    assert len({re.sub(r'nonce="[^"]*"', "", page.text) for page in pages}) == 1
    assert all("Set-Cookie" not in page.headers for page in pages)
    assert len(refusals(world)) == 3
    assert counts(world) == before


@pytest.mark.parametrize("origin", ["https://evil.test", "null", ""])
@pytest.mark.parametrize("step", ["look", "accept", "decline"])
def test_only_the_bridges_own_pages_may_answer(world: World, seats: int, inbox: Inbox, origin: str, step: str) -> None:
    give(world, ADA)
    form = {"invitation": invitation(inbox, ADA)}
    page = browser(world).post(f"/team/invitation/{step}", data=form, headers={"Origin": origin} if origin else {})
    assert page.status_code == 403
    assert counts(world) == {"open": 2, "invited": 1}


def test_nothing_of_the_secret_is_in_an_address_or_the_log(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    secret = invitation(inbox, ADA)
    page = answers(world, secret, "look")
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert not [href for href in re.findall(r'(?:href|action|formaction)="([^"]*)"', page.text) if secret in href]
    went = answers(world, secret, "accept")
    assert secret not in went.location + str(world.rows("audit"))


def test_names_are_shown_and_not_run(world: World, boss: int, inbox: Inbox) -> None:
    product = world.sell(world.course("ONE"))
    buys(world, boss, product, 2, company="<script>alert(1)</script>{team}")
    give(world, "x@corp.test")
    page = answers(world, invitation(inbox, "x@corp.test"), "look").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{team} has bought" in page


def test_whoever_was_signed_in_before_is_not_any_more(world: World, seats: int, boss: int, inbox: Inbox) -> None:
    """The manager tries an employee's letter in her own browser, where she is signed in."""
    one, other = signed_in(world, boss), browser(world)
    for cookie in ("bridge-visit",):
        kept = one.get_cookie(cookie)
        assert kept is not None
        other.set_cookie(cookie, kept.value)
    give(world, ADA)
    answers(world, invitation(inbox, ADA), "accept", one)
    assert one.get(home(world) + "/").status_code == 404, "Ada manages nothing"
    assert other.get("/learn").status_code == 303, "the former visit has ended"


def test_twenty_clicks_at_once_accept_once(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    secret = invitation(inbox, ADA)
    with ThreadPoolExecutor(8) as many:
        codes = list(many.map(lambda _: answers(world, secret, "accept").status_code, range(20)))
    assert (codes.count(303), codes.count(403)) == (1, 19)
    assert counts(world) == {"open": 2, "taken": 1}
