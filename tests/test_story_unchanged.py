"""Stories: what was settled is looked at again, and nothing has changed. Nobody is written to, and little is read.

It is by far the most frequent look: deliveries come in threes, sweeps overlap, and the staff saves without a change.
On both databases.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.kinds import LEARNER, ORDER
from tests.world import World

BUYER = "a@b.test"

#: A line that gave nothing, as a bundle's own does, may give something by now: its product's meta may have been set.


def buy(world: World, *lines: tuple[int, int] | dict[str, object], **fields: object) -> int:
    """A paid order of a guest, settled; its number."""
    order = world.shop.place_order(lines, **{"email": BUYER, **fields})  # type: ignore[arg-type]
    world.look(order)
    return order


def sold(world: World, *codes: str) -> list[int]:
    """Products of new courses."""
    return [world.sell(world.course(code)) for code in codes]


def refund(world: World, order: int, line: int, quantity: int) -> None:
    """Units of a line are refunded, and that is settled."""
    world.shop.refund(order, lines={world.shop.orders[order]["line_items"][line]["id"]: quantity})
    world.look(order)


def offered(world: World, offers: Path, *gives: str) -> int:
    """A product that gives what the operator's file says."""
    named = ", ".join(f'"{item}"' for item in gives)
    offers.write_text(f'[[offer]]\nsku = "IT"\ngives = [{named}]', encoding="utf-8")
    world.restart()
    return world.shop.add_product("It", sku="IT", price="9.00")


# --- the kinds of orders: each is made and settled, and tells what its next look may ask besides the order ------------


def single(world: World, _: Path) -> tuple[int, list[str]]:
    return buy(world, *((product, 1) for product in sold(world, "ONE", "TWO", "THREE"))), []


def of_a_customer(world: World, _: Path) -> tuple[int, list[str]]:
    customer = world.shop.add_customer(BUYER, "Nia", "Trader")
    return buy(world, (sold(world, "ONE")[0], 1), customer_id=customer), []


def bundle(world: World, _: Path) -> tuple[int, list[str]]:
    order = buy(world, (world.shop.add_bundle("Both", sold(world, "ONE", "TWO"), price="50.00"), 1))
    assert len(world.access()) == 2
    return order, []


def course_and_book(world: World, _: Path) -> tuple[int, list[str]]:
    return buy(world, (sold(world, "ONE")[0], 1), (world.shop.add_product("A book", price="20.00"), 1)), []


def subscription(world: World, _: Path) -> tuple[int, list[str]]:
    course = world.course("ONE")
    world.sell(course)
    gives = [{"key": "bridge_gives", "value": f"course:{course}"}]
    order = buy(world, (world.shop.add_product("Pass", type="subscription", price="20.00", meta_data=gives), 1))
    return order, [f"GET /wp-json/wc/v3/subscriptions/{max(world.shop.subscriptions)}"]


def renewal(world: World, offers: Path) -> tuple[int, list[str]]:
    _, reads = subscription(world, offers)
    order = world.shop.renew(max(world.shop.subscriptions))
    world.look(order)
    return order, reads


def refunded_in_part(world: World, _: Path) -> tuple[int, list[str]]:
    order = buy(world, *((product, 1) for product in sold(world, "ONE", "TWO")))
    refund(world, order, 1, 1)
    assert sorted(world.access().values()) == ["active", "suspended"]
    return order, [f"GET /wp-json/wc/v3/orders/{order}/refunds"]


def refunded(world: World, _: Path) -> tuple[int, list[str]]:
    order = buy(world, (sold(world, "ONE")[0], 1))
    refund(world, order, 0, 1)
    assert [*world.access().values()] == ["suspended"]
    return order, []


def team(world: World, _: Path) -> tuple[int, list[str]]:
    line = {"product_id": sold(world, "ONE")[0], "quantity": 5, "meta": {"_bridge_gift_to": "x@b.test, y@b.test"}}
    order = buy(world, line)
    assert sorted(seat.person_id is None for seat in world.rows("seats")) == [False, False, True, True, True]
    return order, []


def audience(world: World, offers: Path) -> tuple[int, list[str]]:
    officers = world.totara.add_audience("Officers")
    order = buy(world, (offered(world, offers, f"audience:{officers}"), 1))
    assert world.totara.members_of(officers) == {world.user(BUYER)}
    return order, []


def program(world: World, offers: Path) -> tuple[int, list[str]]:
    number = world.totara.add_program("Officer", shortname="OFF", courses=[world.course("ONE")])
    order = buy(world, (offered(world, offers, f"program:{number}"), 1))
    assert world.user(BUYER) in world.totara.program_learners(number)
    return order, []


KINDS = (
    single,
    of_a_customer,
    bundle,
    course_and_book,
    subscription,
    renewal,
    refunded_in_part,
    refunded,
    team,
    audience,
    program,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_nothing_changed_means_no_write_and_no_read_but_what_may_have_changed(
    make_world: Callable[..., World], tmp_path: Path, kind: Callable[[World, Path], tuple[int, list[str]]]
) -> None:
    offers = tmp_path / "offers.toml"
    offers.touch()
    world = make_world(subscriptions=True, orders={"offers_file": str(offers)})
    order, besides = kind(world, offers)
    assert world.parked() == {}
    assert world.told(order)
    world.restart()  # what it only remembers must not be what keeps it from asking
    world.bridge.totara.capabilities()  # what a process asks once
    world.shop.requests.clear()
    world.totara.requests.clear()
    world.owe(ORDER, order)
    world.owe(LEARNER, *(person.id for person in world.rows("persons")))
    assert world.settle() >= 2
    assert world.shop.requests + world.totara.requests == [f"GET /wp-json/wc/v3/orders/{order}", *besides]
    assert world.parked() == {}
