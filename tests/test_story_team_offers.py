"""Stories: what an offer says of the seats that a team buys: until when they are given, and what the team sees. And
seats that a subscription pays for. Over the wire, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bridge.domain.seats import SeatState, Why
from bridge.errors import BadSignature
from bridge.invitations import Answer
from bridge.kinds import PROGRESS
from bridge.store import teams
from bridge.store.batches import Invitee
from tests.test_mail import Inbox, Server
from tests.test_story_letters import mail
from tests.test_story_refunds import line_of
from tests.test_story_teams import ADA, BO, BOSS, SECRET, accepts, buys, counts, give, invitation, owner, pools, seats
from tests.world import World


@pytest.fixture
def world(make_world: Callable[..., World], server: Server) -> World:
    return make_world(subscriptions=True, sso={"shop_secrets": [SECRET], "wait_seconds": 0}, mail=mail(server))


@pytest.fixture
def boss(world: World) -> int:
    return world.shop.add_customer(BOSS, first_name="Bea", last_name="Boss")


def sold(world: World, **said: str) -> int:
    """A product whose meta says how the seats of a course are given."""
    course = world.course("ONE")
    world.sell(course)
    meta = {"bridge_gives": f"course:{course}", **{f"bridge_{name}": value for name, value in said.items()}}
    return world.shop.add_product("Seats", sku="SEATS", price="90.00", meta=meta)


# --- until when seats are given --------------------------------------------------------------------------------------


def test_seats_that_nobody_was_given_in_time_are_closed(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, sold(world, assign_days="10"), 3)
    assert give(world, ADA) == [Why.GIVEN]
    world.clock.advance(days=11)
    assert counts(world) == {"closed": 2, "invited": 1}
    assert give(world, BO) == [Why.NO_SEATS]
    assert accepts(world, inbox, ADA).answer is Answer.TAKEN, "who was asked in time may still say yes"
    assert counts(world) == {"closed": 2, "taken": 1}


def test_what_is_bought_later_is_given_later(world: World, boss: int) -> None:
    product = sold(world, assign_days="10")
    buys(world, boss, product, 2)
    world.clock.advance(days=6)
    buys(world, boss, product, 2)
    world.clock.advance(days=5)
    assert counts(world) == {"closed": 2, "open": 2}, "of one pool"
    assert give(world, ADA, BO, "cy@corp.test") == [Why.GIVEN, Why.GIVEN, Why.NO_SEATS]


def test_a_fixed_last_day_is_included(world: World, boss: int) -> None:
    last = (world.now() + timedelta(days=2)).date()
    buys(world, boss, sold(world, assign_days="30", assign_until=last.isoformat()), 2)
    (row, _) = seats(world)
    assert row.seat.assign_until is not None
    assert (row.seat.assign_until - timedelta(seconds=1)).date() == last
    world.clock.advance(days=1)
    assert counts(world) == {"open": 2}
    world.clock.advance(days=2)
    assert counts(world) == {"closed": 2}


def test_after_the_last_day_a_seat_is_taken_back_and_not_given_on(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, sold(world, assign_days="10"), 2)
    give(world, ADA)
    accepts(world, inbox, ADA)
    world.clock.advance(days=11)
    (row,) = seats(world, search="ada@")
    desk, actor = world.bridge.desk, owner(world)
    assert desk.reassign(actor, row.seat.id, Invitee(1, BO, "Bo", "Byte")) is Why.NOT_OPEN
    assert counts(world) == {"closed": 1, "taken": 1}
    assert desk.give_back(actor, row.seat.id) is Why.GIVEN
    assert counts(world) == {"closed": 2}


def test_a_refund_takes_closed_seats_before_anybodys(world: World, boss: int, inbox: Inbox) -> None:
    order = buys(world, boss, sold(world, assign_days="10"), 4)
    give(world, ADA, BO)
    accepts(world, inbox, ADA)
    world.clock.advance(days=11)
    assert counts(world) == {"closed": 2, "invited": 1, "taken": 1}
    world.shop.refund(order, lines={line_of(world, order): 2})
    world.look(order)
    assert counts(world) == {"invited": 1, "taken": 1}
    world.shop.refund(order, lines={line_of(world, order): 1})
    world.look(order)
    assert counts(world) == {"taken": 1}
    with pytest.raises(BadSignature):
        world.bridge.invitations.accept(invitation(inbox, BO))
    assert set(world.access().values()) == {"active"}


# --- what the team sees ----------------------------------------------------------------------------------------------


def learns(world: World, address: str) -> None:
    """Somebody completes the course, and the bridge has looked."""
    world.totara.complete(world.user(address), next(iter(world.access()))[1])
    (person,) = {row.seat.person for row in seats(world, search=address)}
    world.owe(PROGRESS, person)
    world.settle()


def test_where_the_offer_says_so_the_team_sees_who_has_completed(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, sold(world, report="yes"), 2)
    (pool,) = pools(world)
    assert pool.offer.report
    give(world, ADA)
    assert world.bridge.invitations.look(invitation(inbox, ADA)).reports, "and whoever is asked is told so"
    accepts(world, inbox, ADA)
    assert [(row.shows, row.seat.completed) for row in seats(world, search=ADA)] == [(True, False)]
    learns(world, ADA)
    assert [(row.state, row.seat.completed) for row in seats(world, search=ADA)] == [(SeatState.COMPLETED, True)]
    assert world.rows("consents") == []


def test_else_it_sees_it_of_those_who_agree(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, sold(world), 3)
    give(world, ADA, BO)
    accepts(world, inbox, ADA)
    accepts(world, inbox, BO, consents=True)
    learns(world, ADA)
    learns(world, BO)
    found = {row.email: (row.shows, row.state, row.seat.completed) for row in seats(world) if row.email}
    assert found == {ADA: (False, SeatState.TAKEN, None), BO: (True, SeatState.COMPLETED, True)}


def test_whoever_agrees_no_longer_is_seen_no_longer(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, sold(world), 2)
    give(world, ADA)
    accepts(world, inbox, ADA, consents=True)
    learns(world, ADA)
    (row,) = seats(world, search=ADA)
    assert row.state is SeatState.COMPLETED
    assert row.seat.person is not None
    with world.bridge.store.begin() as connection:
        assert teams.withdraw_consent(connection, owner(world).team.id, row.seat.person, world.now())
    (row,) = seats(world, search=ADA)
    assert (row.shows, row.state, row.seat.completed) == (False, SeatState.TAKEN, None)
    assert seats(world, states=frozenset({SeatState.COMPLETED})) == []


# --- seats that a subscription pays for ------------------------------------------------------------------------------


def subscribed(world: World, boss: int, inbox: Inbox) -> int:
    """The company pays by the month for three seats, of which Ada has taken one; the subscription."""
    course = world.course("ONE")
    world.sell(course)
    meta = {"bridge_gives": f"course:{course}", "bridge_for": "team"}
    product = world.shop.add_product("Seats by the month", type="subscription", sku="MONTHLY", price="20.00", meta=meta)
    order = world.shop.place_order([(product, 3)], customer_id=boss, email=BOSS, company="Harbour & Sons")
    look(world, order)
    give(world, ADA)
    accepts(world, inbox, ADA)
    assert (counts(world), world.access()) == ({"open": 2, "taken": 1}, {(ADA, course): "active"})
    return max(world.shop.subscriptions)


def look(world: World, *orders: int) -> None:
    """These orders and every subscription are looked at."""
    world.owe("subscription", *world.shop.subscriptions)
    world.look(*orders)


def states(world: World) -> dict[str, Any]:
    """How the seats stand, and whether access is there."""
    return {"seats": counts(world), "access": set(world.access().values())}


def test_a_late_payment_throws_nobody_out(world: World, boss: int, inbox: Inbox) -> None:
    subscription = subscribed(world, boss, inbox)
    before = states(world)
    world.clock.advance(days=31)
    renewal = world.shop.renew(subscription, "declined")
    look(world, renewal)
    assert world.shop.subscriptions[subscription]["status"] == "on-hold"
    assert states(world) == before
    world.clock.advance(days=3)
    world.shop.pay_order(renewal)
    look(world, renewal)
    world.clock.advance(days=10)
    look(world)
    assert states(world) == before
    assert world.suspensions == []


def test_when_the_days_of_grace_are_over_the_seats_rest_and_come_back_to_the_same_people(
    world: World, boss: int, inbox: Inbox
) -> None:
    subscription = subscribed(world, boss, inbox)
    before = states(world)
    world.clock.advance(days=31)
    renewal = world.shop.renew(subscription, "declined")
    look(world, renewal)
    world.clock.advance(days=8)
    look(world)
    assert states(world) == {"seats": {"held": 3}, "access": {"suspended"}}
    assert give(world, BO) == [Why.NO_SEATS]
    world.shop.pay_order(renewal)
    look(world, renewal)
    assert states(world) == before
    assert [row.email for row in seats(world) if row.email] == [ADA]


def test_what_the_team_takes_back_is_noted_on_the_newest_order(world: World, boss: int, inbox: Inbox) -> None:
    subscription = subscribed(world, boss, inbox)
    world.clock.advance(days=31)
    newest = world.shop.renew(subscription)
    look(world, newest)
    assert "1 × access ready" in world.told(newest)
    world.clock.advance(hours=2)
    (row,) = seats(world, search=ADA)
    assert world.bridge.desk.give_back(owner(world), row.seat.id) is Why.GIVEN
    world.settle()
    assert "3 × open seat" in world.told(newest)


def test_renewals_change_nothing(world: World, boss: int, inbox: Inbox) -> None:
    subscription = subscribed(world, boss, inbox)
    before, mailed = states(world), len(inbox.mails)
    for _ in range(3):
        world.clock.advance(days=31)
        look(world, world.shop.renew(subscription))
    assert states(world) == before
    assert (len(inbox.mails), len(world.rows("teams")), len(world.rows("seats"))) == (mailed, 1, 3)
