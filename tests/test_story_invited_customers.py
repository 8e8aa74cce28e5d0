"""Stories: somebody is invited who is a customer of the shop too, with the same address. On both databases."""

from __future__ import annotations

import re

import pytest
from werkzeug.test import Client, TestResponse

from bridge.domain.identity import How
from bridge.store import people
from tests.test_mail import Inbox
from tests.test_story_sign_on import claims, launch, signed
from tests.test_story_teams import ADA, BOSS, buys, counts, give, invitation, owner
from tests.test_team_people import EVE, answers, browser, home, posts, signed_in
from tests.world import World

MINE = re.compile(r'name="mine" value="([^"]+)"')
SHOP = "There is an account with this address in the shop"


@pytest.fixture
def world(world_with_letters: World) -> World:
    return world_with_letters


@pytest.fixture
def seats(world: World) -> int:
    """The course that a company has seats of."""
    course, boss = world.course("ONE"), world.shop.add_customer(BOSS, first_name="Bea", last_name="Boss")
    buys(world, boss, world.sell(course), 3)
    return course


@pytest.fixture
def own(world: World) -> int:
    """The course that the customer has bought alone."""
    return world.course("OWN")


@pytest.fixture
def customer(world: World, own: int) -> int:
    """A customer whose address the shop has not checked, with an account."""
    number = world.shop.add_customer(ADA, first_name="Augusta", last_name="King")
    world.look(world.shop.place_order([(world.sell(own), 1)], customer_id=number, email=ADA))
    return number


def comes(world: World, customer: int, one: Client | None = None, email: str = ADA, target: str = "courses") -> Client:
    """A browser in which a customer is signed in, from the shop."""
    one = one or browser(world)
    assert launch(world, signed(claims(world, customer, email=email, target=target)), one).status_code == 303
    world.settle()
    return one


def looks(world: World, secret: str, one: Client) -> TestResponse:
    page = answers(world, secret, "look", one)
    assert page.status_code == 200
    return page


def word(page: TestResponse) -> str:
    found = MINE.search(page.text)
    assert found, page.text
    return found[1]


def merged(world: World) -> list[int | None]:
    """Who became another: customers' numbers, None for guests."""
    return [row.customer_id for row in world.rows("persons") if row.merged_into is not None]


def proven(world: World) -> set[int | None]:
    """The customers' numbers of those who have proven the address."""
    numbers = {row.id: row.customer_id for row in world.rows("persons")}
    return {numbers[row.person_id] for row in world.rows("proofs") if row.email == ADA}


def test_a_customer_who_is_signed_in_takes_the_seat_with_the_account_of_the_shop(
    world: World, seats: int, own: int, customer: int, inbox: Inbox
) -> None:
    give(world, ADA)
    one, secret = comes(world, customer), invitation(inbox, ADA)
    page = looks(world, secret, one)
    assert ("Augusta King" in page.text, SHOP in page.text, 'name="first_name"' in page.text) == (True, False, False)
    went = answers(world, secret, "accept", one, mine=word(page), consents="yes")
    assert (went.status_code, went.location) == (303, "/sso/go")
    assert "Look again" in one.get("/sso/go", follow_redirects=True).text
    world.settle()
    assert world.access() == {(ADA, own): "active", (ADA, seats): "active"}
    assert (merged(world), world.parked(), proven(world)) == ([None], {}, {customer})
    assert counts(world) == {"open": 2, "taken": 1}
    assert one.get("/sso/go").location == f"{world.bridge.settings.totara.url}/auth/bridge/start.php"
    assert [row.customer_id for row in world.rows("visits")] == [customer], "the visit goes on"
    (consent,) = world.rows("consents")
    assert [row.customer_id for row in world.rows("persons") if row.id == consent.person_id] == [customer]
    assert answers(world, secret, "look", one).status_code == 403


def test_a_customer_who_has_bought_nothing_is_asked_too(world: World, seats: int, inbox: Inbox) -> None:
    number = world.shop.add_customer(ADA, first_name="Augusta", last_name="King")
    give(world, ADA)
    one, secret = comes(world, number), invitation(inbox, ADA)
    assert answers(world, secret, "accept", one, mine=word(looks(world, secret, one))).status_code == 303
    world.settle()
    assert (world.access(), merged(world), proven(world)) == ({(ADA, seats): "active"}, [None], {number})
    world.look(world.shop.place_order([(world.sell(world.course("OWN")), 1)], customer_id=number, email=ADA))
    assert (len(world.access()), world.parked()) == (2, {})


def test_of_a_customer_whose_address_was_never_heard_of_nothing_is_written_down(world: World, seats: int) -> None:
    comes(world, world.shop.add_customer(EVE), email=EVE)
    assert EVE not in str(world.rows("persons"))


def test_whoever_is_not_signed_in_is_told_and_comes_back_from_the_shop_to_the_invitation(
    world: World, seats: int, own: int, customer: int, inbox: Inbox
) -> None:
    give(world, ADA)
    one, secret = browser(world), invitation(inbox, ADA)
    page = looks(world, secret, one)
    assert SHOP in page.text
    (to_shop,) = re.findall(r'href="([^"]*academy_bridge=launch[^"]*)"', page.text)
    assert (to_shop.endswith("target=resume"), secret in to_shop) == (True, False)
    comes(world, customer, one, target="resume")
    back = one.get("/sso/go")
    assert back.location == "/team/invitation"
    page = one.get(back.location)
    assert f'name="invitation" value="{secret}"' in page.text
    assert page.headers["Cache-Control"] == "no-store"
    page = looks(world, secret, one)
    went = answers(world, secret, "accept", one, mine=word(page))
    assert one.get_cookie("bridge-invitation") is None
    world.settle()
    assert (went.status_code, world.access()) == (303, {(ADA, own): "active", (ADA, seats): "active"})
    assert secret not in str(world.rows("audit"))


def test_nobody_else_is_told_of_accounts_in_the_shop(world: World, seats: int, customer: int, inbox: Inbox) -> None:
    give(world, "bo@corp.test")
    page = looks(world, invitation(inbox, "bo@corp.test"), browser(world))
    assert (SHOP in page.text, "Set-Cookie" in page.headers) == (False, False)


def test_a_customer_who_is_asked_to_manage_does_so_with_the_account_of_the_shop(
    world: World, seats: int, customer: int, inbox: Inbox
) -> None:
    bea = signed_in(world, min(world.shop.customers))
    posts(bea, home(world, "settings", "members"), email=ADA, role="manager")
    world.settle()
    one, secret = comes(world, customer), invitation(inbox, ADA)
    went = answers(world, secret, "accept", one, mine=word(looks(world, secret, one)))
    assert (went.location, one.get("/team/").location) == ("/team/", home(world) + "/")
    world.settle()
    assert (merged(world), world.parked()) == ([None], {})
    assert one.get(home(world) + "/").status_code == 200


# --- nobody gets what is another's -----------------------------------------------------------------------------------


def test_an_invitation_signs_nobody_in_where_links_do(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    bea = signed_in(world, min(world.shop.customers))
    posts(bea, home(world, "settings", "members"), email=EVE, role="manager")
    world.settle()
    for address in (ADA, EVE):
        secret, one = invitation(inbox, address), browser(world)
        ours = {"Origin": world.bridge.settings.server.public_url}
        for step in ("look", "open"):
            assert one.post(f"/sso/link/{step}", data={"link": secret}, headers=ours).status_code == 403
        assert one.get("/learn").status_code == 303
        assert looks(world, secret, one).status_code == 200, "nothing is used up"


@pytest.mark.parametrize("form", [{}, {"mine": "x"}, {"mine": ""}])
def test_who_has_registered_the_victims_address_gets_nothing_unless_the_victim_says_it_is_theirs(
    world: World, seats: int, own: int, customer: int, inbox: Inbox, form: dict[str, str]
) -> None:
    """Eve has registered Ada's address, and has Ada's browser sign in with her account before the letter is opened."""
    give(world, ADA)
    ada, eve = comes(world, customer), comes(world, customer)
    secret = invitation(inbox, ADA)
    page = looks(world, secret, ada)
    assert "only if the account is yours" in page.text
    if form.get("mine"):
        form = {"mine": word(page)[:-1] + "_"}
    assert answers(world, secret, "accept", ada, first_name="Ada", last_name="Byte", **form).status_code == 303
    world.settle()
    assert (merged(world), proven(world)) == ([], {None})
    assert world.access() == {(ADA, own): "active"}, "the seat is kept for Ada"
    assert f"course:{seats}" not in eve.get("/learn").text
    assert "has to be proven before both can be one" in str(world.parked())
    assert counts(world) == {"open": 2, "taken": 1}


def test_one_visitors_word_is_not_anothers(world: World, seats: int, customer: int, inbox: Inbox) -> None:
    give(world, ADA)
    ada, eve = comes(world, customer), comes(world, customer)
    secret = invitation(inbox, ADA)
    hers = word(looks(world, secret, eve))
    answers(world, secret, "accept", ada, mine=hers)
    world.settle()
    assert (merged(world), proven(world)) == ([], {None})


def test_who_is_invited_by_a_friend_gets_nothing_of_whose_address_they_typed_into_the_shop(
    world: World, seats: int, own: int, customer: int, inbox: Inbox
) -> None:
    """Eve's account of the shop has Ada's address. A friend's company invites Eve, at her own: she proves no other."""
    world.look(world.shop.place_order([(world.sell(world.course("GUEST")), 1)], email="ada@else.test"))
    give(world, EVE, ADA)
    eve = comes(world, customer)
    secret = invitation(inbox, EVE)
    page = looks(world, secret, eve)
    assert (MINE.search(page.text), SHOP in page.text) == (None, False)
    assert "Somebody else is signed in" in page.text
    form = re.search(r'name="form" value="([^"]+)"', eve.get("/learn").text)
    assert form
    assert answers(world, secret, "accept", eve, mine=form[1]).status_code == 403
    world.settle()
    assert (merged(world), proven(world)) == ([], set())
    assert counts(world) == {"open": 1, "invited": 2}, "and nothing is used up"


def test_another_customers_browser_is_not_taken_for_the_one_with_the_address(
    world: World, seats: int, customer: int, inbox: Inbox
) -> None:
    give(world, ADA)
    bea, secret = signed_in(world, min(world.shop.customers)), invitation(inbox, ADA)
    page = looks(world, secret, bea)
    assert (MINE.search(page.text), SHOP in page.text, "Somebody else is signed in" in page.text) == (None, True, True)
    form = re.search(r'name="form" value="([^"]+)"', bea.get("/learn").text)
    assert form
    assert answers(world, secret, "accept", bea, mine=form[1]).status_code == 403
    assert (proven(world), counts(world)) == (set(), {"open": 2, "invited": 1})


def test_what_an_operator_took_back_no_letter_proves_again(
    world: World, seats: int, customer: int, inbox: Inbox
) -> None:
    (person,) = [row for row in world.rows("persons") if row.customer_id == customer]
    with world.bridge.store.begin() as connection:
        people.record_proof(connection, person.id, ADA, How.WITHDRAWN, world.now())
    give(world, ADA)
    page = looks(world, invitation(inbox, ADA), comes(world, customer))
    assert (MINE.search(page.text), SHOP in page.text) == (None, False)


def test_of_two_accounts_in_totara_an_operator_says_which_stays(
    world: World, seats: int, own: int, inbox: Inbox
) -> None:
    """Ada learned as a guest, and has another account as a customer: neither is taken for the other's by a letter."""
    product, customer = world.sell(own), world.shop.add_customer("ada@home.test")
    world.look(world.shop.place_order([(product, 1)], email=ADA))
    world.look(world.shop.place_order([(product, 1)], customer_id=customer, email="ada@home.test"))
    with world.bridge.store.begin() as connection:
        connection.exec_driver_sql("UPDATE persons SET email = 'ada@corp.test' WHERE customer_id IS NOT NULL")
    give(world, ADA)
    secret, one = invitation(inbox, ADA), comes(world, customer)
    assert MINE.search(looks(world, secret, one).text) is None
    assert answers(world, secret, "accept", one).status_code == 303
    world.settle()
    assert (merged(world), counts(world)) == ([], {"open": 2, "taken": 1})
    assert owner(world).team.id == 1
