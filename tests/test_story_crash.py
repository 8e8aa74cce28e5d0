"""A crash between any two steps: whatever was cut off, the end is the same.

A step is a request sent, its answer received, a transaction begun, about to commit, or committed. The process is
stopped at each of them in turn, as if the power had gone; another takes over when the lease has run out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection

from bridge.wiring import Bridge
from tests.world import World


class Crash(BaseException):
    """The end of a process. No ``except`` of the program may hold it up."""


def crash_at(bridge: Bridge, step: int) -> None:
    """Have this bridge crash at the given step."""
    taken = 0

    def take() -> None:
        nonlocal taken
        taken += 1
        if taken == step:
            raise Crash

    for wire in (bridge.shop._wire, bridge.totara._wire):

        def send(*args: Any, _send: Callable[..., Any] = wire.send, **kwargs: Any) -> Any:
            take()
            answer = _send(*args, **kwargs)
            take()
            return answer

        wire.send = send  # type: ignore[method-assign]
    begin = bridge.store.begin

    @contextmanager
    def crashing_begin() -> Iterator[Connection]:
        take()
        with begin() as connection:
            yield connection
            take()
        take()

    bridge.store.begin = crashing_begin  # type: ignore[method-assign]


def crashes(world: World, step: int) -> bool:
    """Work until the crash; False when all was done before it came."""
    bridge = world.new_bridge()
    crash_at(bridge, step)
    try:
        bridge.worker().drain()
    except Crash:
        return True
    finally:
        bridge.store.close()
    return False


def end_state(world: World) -> dict[str, Any]:
    """What counts in the end, as the shop and Totara hold it, and the ledger's sums."""
    return {
        "access": world.access(),
        "accounts": sorted(user.email for user in world.totara.users.values()),
        "notes": {
            order: [_unnumbered(note["note"]) for note in notes if "Learning access" in note["note"]][-1:]
            for order, notes in world.shop.notes.items()
        },
        "products": sorted((p["sku"], p["status"], len(p["images"])) for p in world.shop.products.values()),
        "seats": sorted((s.unit, s.person_id is None, s.ended_at is None) for s in world.rows("seats")),
        "enrolments": sorted((e.course_id, e.state, e.verified_at is not None) for e in world.rows("enrolments")),
        "known": sorted((p.course_id, p.retired, tuple(p.held)) for p in world.rows("products")),
        "parked": world.parked(),
    }


def _unnumbered(note: str) -> str:
    """The note without the numbers that depend on who was first."""
    return re.sub(r"user \d+|\[bridge .*", "", note)


def _orders(world: World) -> None:
    """A customer buys two courses, a guest buys seats and a course."""
    one, two = world.course("ONE"), world.course("TWO")
    products = [world.sell(one), world.sell(two)]
    customer = world.shop.add_customer("nia@trader.test", "Nia", "Trader")
    orders = [
        world.shop.place_order([(p, 1) for p in products], customer_id=customer, email="nia@trader.test"),
        world.shop.place_order([(products[0], 2), (products[1], 1)], email="gus@guest.test"),
    ]
    world.owe("order", *orders)


def _cancelled(world: World) -> None:
    """An order that was paid, settled and then cancelled."""
    _orders(world)
    world.settle()
    first = min(world.shop.orders)
    world.shop.set_status(first, "cancelled")
    world.owe("order", first)


def _catalogue(world: World) -> None:
    """A new course, a changed one, and one that is gone."""
    changed, gone = world.course("CHANGED"), world.course("GONE", image=b"\x89PNG\r\n\x1a\n1")
    world.bridge.catalogue.sync()
    world.totara.edit_course(changed, fullname="Another name")
    world.totara.edit_course(gone, visible=0)
    world.course("NEW")
    world.owe("catalogue", "all")


def world_is_sqlite(world: World) -> bool:
    """Which of the two databases it is."""
    return world.bridge.store.is_sqlite


SITUATIONS = {"orders": _orders, "cancelled": _cancelled, "catalogue": _catalogue}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_crash_between_any_two_steps_changes_nothing_in_the_end(
    make_world: Callable[..., World], situation: str, reset_database: Callable[[], None]
) -> None:
    settings: dict[str, Any] = {"catalogue": {"images": False}}
    undisturbed = make_world(**settings)
    SITUATIONS[situation](undisturbed)
    undisturbed.settle()
    expected = end_state(undisturbed)
    assert expected["parked"] == {}
    # Every step on SQLite; every third on PostgreSQL, where the same code only takes longer.
    stride = 1 if world_is_sqlite(undisturbed) else 3
    step = 1 - stride
    crashed = True
    while crashed:
        step += stride
        assert step < 500
        reset_database()
        world = make_world(**settings)
        SITUATIONS[situation](world)
        crashed = crashes(world, step)
        world.pass_time()
        world.settle()
        world.pass_time()
        world.settle()
        assert end_state(world) == expected, f"after a crash at step {step}"
        notes = [n["note"] for ns in world.shop.notes.values() for n in ns if "Learning access" in n["note"]]
        assert len(notes) == len(set(notes)), f"a note twice after a crash at step {step}"
        world.close()
    assert step > 15
