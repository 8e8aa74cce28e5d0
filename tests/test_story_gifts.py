"""Stories: a gift is its recipients', each of whom gets one seat, whatever address was mistyped first. On both
databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.test_story_access import gift
from tests.test_story_subscriptions import monthly
from tests.world import World

UNCLE = "uncle@b.test"


def order_of(world: World, *lines: dict[str, object]) -> int:
    """An order by the uncle, not looked at yet."""
    return world.shop.place_order(list(lines), email=UNCLE)


def meant_for(line: dict[str, Any], *people: str) -> None:
    """Staff correct the addresses of a line."""
    next(entry for entry in line["meta_data"] if entry["key"] == "_bridge_gift_to")["value"] = ", ".join(people)


def lines_of(world: World, order: int) -> list[dict[str, Any]]:
    return list(world.shop.orders[order]["line_items"])


@contextmanager
def no_accounts_yet(world: World) -> Iterator[None]:
    """Totara is away: whatever is bought waits."""
    world.totara.faults.down()
    yield
    world.totara.faults.clear()
    world.pass_time()
    world.settle()


def people_in(world: World, course: int) -> list[str]:
    """Who is in the course."""
    return sorted(email for (email, one), state in world.access().items() if (one, state) == (course, "active"))


def seats(world: World) -> list[bool]:
    """Of every live seat whether somebody sits there."""
    return sorted(seat.person_id is not None for seat in world.rows("seats") if seat.ended_at is None)


# --- addresses that are corrected ------------------------------------------------------------------------------------


def test_one_mistyped_address_of_two_can_be_corrected_while_nobody_has_it(world: World) -> None:
    course = world.course("ONE")
    order = order_of(world, gift(world.sell(course), "x@g.test", "typo@g.test", quantity=2))
    with no_accounts_yet(world):
        world.look(order)
        meant_for(lines_of(world, order)[0], "x@g.test", "right@g.test")
        world.look(order)
        world.look(order)
    assert people_in(world, course) == ["right@g.test", "x@g.test"]
    assert world.parked() == {}


def test_of_two_addresses_the_one_with_an_account_stays_whatever_is_typed_later(world: World) -> None:
    world.totara.add_user("typo@members.test")
    course = world.course("ONE")
    order = order_of(world, gift(world.sell(course), "x@g.test", "typo@members.test", quantity=2))
    world.look(order)
    assert people_in(world, course) == ["x@g.test"]
    meant_for(lines_of(world, order)[0], "right@g.test", "x@g.test")
    world.look(order)
    assert people_in(world, course) == ["right@g.test", "x@g.test"]
    assert world.parked() == {}


def test_an_address_that_was_taken_off_before_anybody_had_it_leaves_an_open_seat(world: World) -> None:
    course = world.course("ONE")
    order = order_of(world, gift(world.sell(course), "x@g.test", "typo@g.test", quantity=2))
    with no_accounts_yet(world):
        world.look(order)
        meant_for(lines_of(world, order)[0], "x@g.test")
        world.look(order)
    assert people_in(world, course) == ["x@g.test"]
    assert seats(world) == [False, True]
    meant_for(lines_of(world, order)[0], "x@g.test", "right@g.test")
    world.look(order)
    assert people_in(world, course) == ["right@g.test", "x@g.test"]


def test_a_corrected_address_takes_one_seat_though_another_is_open(world: World) -> None:
    course = world.course("ONE")
    order = order_of(world, gift(world.sell(course), "typo@g.test", quantity=2))
    with no_accounts_yet(world):
        world.look(order)
        meant_for(lines_of(world, order)[0], "right@g.test")
        world.look(order)
    assert people_in(world, course) == ["right@g.test"]
    assert seats(world) == [False, True]


# --- more people than seats, and fewer --------------------------------------------------------------------------------


def test_a_gift_to_more_people_than_seats_is_parked_and_nobody_is_picked(world: World) -> None:
    course, own = world.course("ONE"), world.course("TWO")
    order = order_of(
        world, gift(world.sell(course), "x@g.test", "y@g.test"), {"product_id": world.sell(own), "quantity": 1}
    )
    for _ in range(2):
        world.look(order)
        assert (people_in(world, course), people_in(world, own)) == ([], [UNCLE])
        reason = world.parked()[f"order {order}"]
        assert f"line {lines_of(world, order)[0]['id']} is a gift to more people than there are seats for" in reason
        assert "2 of them have none, and 1 are open" in reason
        assert "Take addresses off the line, or raise its quantity" in reason
        assert "g.test" not in reason
    meant_for(lines_of(world, order)[0], "y@g.test")
    world.look(order)
    assert people_in(world, course) == ["y@g.test"]
    assert world.parked() == {}


def test_it_is_mended_by_a_higher_quantity_too(world: World) -> None:
    course = world.course("ONE")
    order = order_of(world, gift(world.sell(course), "x@g.test", "y@g.test"))
    world.look(order)
    world.shop.edit_line(order, lines_of(world, order)[0]["id"], 2)
    world.look(order)
    assert people_in(world, course) == ["x@g.test", "y@g.test"]
    assert world.parked() == {}


def test_an_address_put_onto_a_gift_whose_seats_are_taken_is_parked_and_those_who_sit_there_stay(
    world: World,
) -> None:
    course = world.course("ONE")
    order = order_of(world, gift(world.sell(course), "x@g.test", "y@g.test", quantity=2))
    world.look(order)
    meant_for(lines_of(world, order)[0], "x@g.test", "z@g.test")
    world.look(order)
    assert people_in(world, course) == ["x@g.test", "y@g.test"]
    assert "1 of them have none, and 0 are open" in world.parked()[f"order {order}"]


def test_a_gift_of_which_a_unit_was_refunded_is_no_gift_to_too_many(world: World) -> None:
    course = world.course("ONE")
    order = order_of(world, gift(world.sell(course), "x@g.test", "y@g.test", quantity=2))
    world.look(order)
    world.shop.refund(order, lines={lines_of(world, order)[0]["id"]: 1})
    for _ in range(2):
        world.look(order)
        assert len(people_in(world, course)) == 1
        assert world.parked() == {}


def test_somebody_named_twice_takes_one_seat_and_the_other_is_open_to_be_given(world: World) -> None:
    course = world.course("ONE")
    order = order_of(world, gift(world.sell(course), "x@g.test", " X@G.test", quantity=2))
    world.look(order)
    world.look(order)
    assert people_in(world, course) == ["x@g.test"]
    assert seats(world) == [False, True]
    assert "open" in world.told(order)
    assert world.parked() == {}


def test_somebody_named_by_two_lines_of_one_subscription_takes_one_seat(make_world: Callable[..., World]) -> None:
    world = make_world(subscriptions=True)
    course = world.course("ONE")
    product = monthly(world, course)
    order = order_of(world, gift(product, "x@g.test"), gift(product, "x@g.test"))
    world.owe("subscription", *world.shop.subscriptions)
    world.look(order)
    assert people_in(world, course) == ["x@g.test"]
    assert seats(world) == [False, True]


# --- several lines ---------------------------------------------------------------------------------------------------


def test_two_gift_lines_of_one_product_on_one_subscription_are_of_two_people(
    make_world: Callable[..., World],
) -> None:
    world = make_world(subscriptions=True)
    course = world.course("ONE")
    product = monthly(world, course)
    order = order_of(world, gift(product, "x@g.test"), gift(product, "y@g.test"))
    (subscription,) = world.shop.subscriptions
    assert len(world.shop.subscriptions[subscription]["line_items"]) == 2
    with no_accounts_yet(world):
        for _ in range(2):
            world.owe("subscription", subscription)
            world.look(order)
    assert people_in(world, course) == ["x@g.test", "y@g.test"]


def test_the_same_for_oneself_beside_a_gift_is_ones_own(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    world.look(order_of(world, gift(product, "x@g.test"), {"product_id": product, "quantity": 1}))
    assert people_in(world, course) == [UNCLE, "x@g.test"]


@pytest.mark.parametrize("meta", ["_bridge_gift_to", "_bridge_for"])
def test_what_is_said_of_a_bundles_line_is_said_of_all_that_belongs_to_it(world: World, meta: str) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    bundle = world.shop.add_bundle("Both", [world.sell(one), world.sell(two)], price="50.00")
    said = {"_bridge_gift_to": "x@g.test", "_bridge_for": "team"}[meta]
    world.look(order_of(world, {"product_id": bundle, "quantity": 1, "meta": {meta: said}}))
    there = ["x@g.test"] if meta == "_bridge_gift_to" else []
    assert (people_in(world, one), people_in(world, two)) == (there, there)
    assert seats(world) == [bool(there)] * 2
