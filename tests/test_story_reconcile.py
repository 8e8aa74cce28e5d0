"""Stories: access that is not what is paid for is found without anybody's word. On both databases."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from bridge.store import learning
from bridge.store.models import access, seats
from tests.test_story_offers import meta
from tests.world import World


def bought(world: World, *, days: int | None = None, email: str = "a@b.test") -> int:
    """A course that was bought, for good or for some days."""
    course = world.course(f"C-{email}")
    product = world.sell(course)
    if days:
        world.shop.edit_product(product, meta_data=meta(days=days))
    order = world.shop.place_order([(product, 1)], email=email)
    world.look(order)
    return order


def adrift(world: World, after: int = 0) -> list[int]:
    with world.bridge.store.read() as connection:
        return learning.adrift(connection, after, world.now())


def reconcile(world: World) -> None:
    world.owe("reconcile", "all")
    world.settle()


def statuses(world: World) -> list[str]:
    return sorted(world.access().values())


def at(world: World, moment: datetime) -> None:
    world.clock.set(moment)
    world.settle()


def test_a_clock_that_was_a_year_ahead_and_is_right_again_leaves_nobody_outside(world: World) -> None:
    bought(world, days=30)
    start = world.now()
    at(world, start + timedelta(days=400))
    assert statuses(world) == ["suspended"]
    at(world, start + timedelta(hours=1))
    reconcile(world)
    assert statuses(world) == ["active"]
    assert adrift(world) == []


def test_days_of_grace_that_a_wrong_clock_ended_go_on(world: World) -> None:
    order = bought(world)
    world.shop.set_status(order, "on-hold")
    world.look(order)
    start = world.now()
    at(world, start + timedelta(days=400))
    at(world, start + timedelta(hours=1))
    reconcile(world)
    assert statuses(world) == ["active"]
    at(world, start + timedelta(days=8))
    assert statuses(world) == ["suspended"]


@pytest.mark.parametrize("lost", ["access", "verified"])
def test_access_that_a_seat_pays_for_and_that_is_not_there_is_looked_at(world: World, lost: str) -> None:
    bought(world)
    with world.bridge.store.begin() as connection:
        values = {"state": "suspended"} if lost == "access" else {"verified_at": None}
        connection.execute(update(access).values(**values))
    assert adrift(world) == [1]
    reconcile(world)
    assert adrift(world) == []
    (row,) = world.rows("access")
    assert (row.state, row.verified_at is not None) == ("active", True)


def test_access_that_nothing_pays_for_ends(world: World) -> None:
    bought(world)
    with world.bridge.store.begin() as connection:
        connection.execute(update(seats).values(ended_at=world.now(), ended_why="by a hand in the database"))
    reconcile(world)
    assert statuses(world) == ["suspended"]
    assert adrift(world) == []


def test_what_is_as_it_should_be_or_waits_for_a_person_is_left_alone(world: World) -> None:
    bought(world)
    world.totara.add_user("anna@members.test")
    waits = bought(world, email="anna@members.test")
    over = bought(world, days=3, email="over@b.test")
    held = bought(world, email="held@b.test")
    world.shop.set_status(held, "cancelled")
    world.look(held)
    at(world, world.now() + timedelta(days=5))
    assert any("did not make" in reason for reason in world.parked().values())
    assert (adrift(world), waits < over) == ([], True)
    calls = len(world.totara.requests)
    reconcile(world)
    assert len(world.totara.requests) == calls


def test_many_are_found_page_by_page(world: World) -> None:
    course = world.course("ONE")
    people = ", ".join(f"p{n}@b.test" for n in range(120))
    line = {"product_id": world.sell(course), "quantity": 120, "meta": {"_bridge_gift_to": people}}
    order = world.shop.place_order([line], email="boss@b.test")
    world.owe("order", order)
    assert world.worker.run_once()
    first = adrift(world)
    assert len(first) == 100
    assert len(adrift(world, first[-1])) == 20
    assert world.bridge.jobs.reconcile() == 120
