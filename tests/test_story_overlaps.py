"""Stories: what is bought together may give the same in part, and the buyer gets all of it. On both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.test_story_offers import meta
from tests.world import World

BUYER = "a@b.test"


def product(world: World, *courses: int, **fields: Any) -> int:
    """A product of one's own that gives these courses, each of which is sold by itself too."""
    sold = {row.course_id for row in world.rows("products")}
    for course in set(courses) - sold:
        world.sell(course)
    name = "+".join(map(str, courses))
    gives = ",".join(f"course:{one}" for one in courses)
    return world.shop.add_product(name, price="10.00", meta_data=meta(gives=gives), **fields)


def lines_of(world: World, order: int) -> list[int]:
    """The order's lines, by id."""
    return [line["id"] for line in world.shop.orders[order]["line_items"]]


def bought(world: World, *lines: tuple[int, int] | dict[str, Any]) -> int:
    """An order of these lines that was looked at twice: the second look finds what the first one wrote down."""
    order = world.shop.place_order(list(lines), email=BUYER)
    world.look(order)
    world.look(order)
    return order


def all_of(*courses: int, status: str = "active") -> dict[tuple[str, int], str]:
    return {(BUYER, course): status for course in courses}


def test_a_bundle_whose_children_give_the_same_in_part_gives_all_of_it_to_the_buyer_once(world: World) -> None:
    a, b, c = (world.course(code) for code in "ABC")
    bundle = world.shop.add_bundle("ABC", [product(world, a, b), product(world, b, c)], price="50.00")
    order = bought(world, (bundle, 1))
    assert world.access() == all_of(a, b, c)
    assert sorted(row.item_id for row in world.rows("purchase_items")) == sorted([a, b, c])
    # Something else stays, so that the order is not refunded as a whole.
    world.shop.add_line(order, (world.shop.add_product("A book", price="5.00"), 1))
    world.shop.refund(order, lines={lines_of(world, order)[0]: 1})
    world.look(order)
    assert world.access() == all_of(a, b, c, status="suspended")
    assert world.parked() == {}


def test_two_of_such_a_bundle_are_two_seats_of_each_course(world: World) -> None:
    a, b, c = (world.course(code) for code in "ABC")
    bundle = world.shop.add_bundle("ABC", [product(world, a, b), product(world, b, c)], price="50.00")
    bought(world, (bundle, 2))
    assert world.access() == {}
    assert [seat.person_id for seat in world.rows("seats")] == [None] * 4


Together = Callable[[World, int, int], list[tuple[int, int]]]


def a_course_and_a_product_of_both(world: World, a: int, b: int) -> list[tuple[int, int]]:
    return [(world.sell(a), 1), (product(world, b, a), 1)]


def a_bundle_and_one_of_its_children(world: World, a: int, b: int) -> list[tuple[int, int]]:
    child = world.sell(a)
    return [(world.shop.add_bundle("AB", [child, world.sell(b)], price="50.00"), 1), (child, 1)]


@pytest.mark.parametrize("together", [a_course_and_a_product_of_both, a_bundle_and_one_of_its_children])
def test_who_buys_one_each_of_what_gives_the_same_in_part_sits_on_each_and_loses_only_what_is_refunded(
    world: World, together: Together
) -> None:
    a, b = world.course("A"), world.course("B")
    lines = together(world, a, b)
    order = bought(world, *lines)
    assert world.access() == all_of(a, b)
    assert "open" not in world.told(order)
    first, last = lines_of(world, order)[0], lines_of(world, order)[-1]
    world.shop.refund(order, lines={first: 1})
    world.look(order)
    left = all_of(a, b) if together is a_course_and_a_product_of_both else all_of(a) | all_of(b, status="suspended")
    assert world.access() == left
    world.shop.refund(order, lines={last: 1})
    world.look(order)
    assert world.access() == all_of(a, b, status="suspended")
    assert world.parked() == {}


def test_the_same_whole_bought_twice_is_left_open_to_be_given_away(world: World) -> None:
    a, b = world.course("A"), world.course("B")
    bundle = world.shop.add_bundle("AB", [world.sell(a), world.sell(b)], price="50.00")
    order = bought(world, (bundle, 1), (product(world, b, a), 1))
    assert world.access() == {}
    assert world.told(order).count("open") >= 2
