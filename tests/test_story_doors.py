"""Stories: what comes in at the bridge's doors is held to measure. Over the wire, on both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.test_mail import Inbox, Server
from tests.test_story_letters import mail
from tests.test_story_sign_on import NIA, SECRET, claims, launch, refusals, signed
from tests.test_story_teams import ADA, BOSS, buys, give, invitation
from tests.test_team_people import answers
from tests.world import World


@pytest.fixture
def world(make_world: Callable[..., World], server: Server) -> World:
    made = make_world(sso={"shop_secrets": [SECRET], "wait_seconds": 0}, mail=mail(server))
    made.bridge.keys.first()
    return made


@pytest.fixture
def nia(world: World) -> int:
    """A customer of the shop."""
    return world.shop.add_customer(NIA, first_name="Nia", last_name="Noon")


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
    names = {"first_name": "M\x00ia", "last_name": "\u202eG"}
    world.look(world.shop.place_order([(world.sell(course), 1)], email="mia@guest.test", **names))
    assert world.access() == {("mia@guest.test", course): "active"}
    assert [(row.first_name, row.last_name) for row in world.rows("persons")] == [("M ia", "G")]


def test_an_employee_may_type_what_they_like_for_a_name(world: World, inbox: Inbox) -> None:
    boss = world.shop.add_customer(BOSS, first_name="Bea", last_name="Boss")
    buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    went = answers(world, invitation(inbox, ADA), "accept", first_name="A\x00da", last_name="By\u2028te")
    assert went.status_code == 303
    assert ("A da", "By te") in [(row.first_name, row.last_name) for row in world.rows("persons")]
