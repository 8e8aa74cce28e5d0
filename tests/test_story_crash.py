"""A crash between any two steps: whatever was cut off, the end is the same.

A step is a request or a letter sent, its answer received, a transaction begun, about to commit, or committed. The
process is stopped at each of them in turn, as if the power had gone; another takes over when the lease has run out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection

from bridge.wiring import Bridge
from tests.test_mail import Inbox, Server
from tests.test_story_letters import mail
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

    def taking(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            take()
            answer = call(*args, **kwargs)
            take()
            return answer

        return called

    for wire in (bridge.shop._wire, bridge.totara._site.http):
        wire.send = taking(wire.send)  # type: ignore[method-assign]
    if bridge.mailer:
        post = bridge.mailer._post
        post.hand_over = taking(post.hand_over)  # type: ignore[method-assign]
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


def end_state(world: World, inbox: Inbox) -> dict[str, Any]:
    """What counts in the end, as the shop, Totara and the learners hold it, and the ledger's sums."""
    return {
        "access": world.access(),
        "accounts": sorted(user.email for user in world.totara.users.values()),
        "notes": {
            order: [_unnumbered(note["note"]) for note in notes if "Learning access" in note["note"]][-1:]
            for order, notes in world.shop.notes.items()
            if order not in _followed(world)
        },
        "products": sorted((p["sku"], p["status"], len(p["images"])) for p in world.shop.products.values()),
        "seats": sorted((s.unit, s.person_id is None, s.ended_at is None) for s in world.rows("seats")),
        "given": sorted((a.item_id, a.state, a.verified_at is not None) for a in world.rows("access")),
        "known": sorted((p.course_id, p.retired, tuple(p.held)) for p in world.rows("products")),
        "lasting": sorted((p.paid, p.until is None, p.grace_until is None, p.held) for p in world.rows("purchases")),
        "letters": sorted(letters(inbox).values()),
        "parked": world.parked(),
    }


def _followed(world: World) -> set[int]:
    """First orders of subscriptions that were renewed: their notes tell how things were when the newest was not known
    yet, and which one that was depends on what was heard first.
    """
    related = [world.shop.related(one) for one in world.shop.subscriptions]
    return {first for kinds in related if kinds["renewal"] for first in kinds["parent"]}


def letters(inbox: Inbox) -> dict[str, tuple[str, str]]:
    """The letters that were sent, each once: what was sent again is known by its Message-ID."""
    return {mail["Message-ID"]: (str(mail["To"]), str(mail["Subject"])) for mail in inbox.mails}


def _unnumbered(note: str) -> str:
    """The note without what depends on who was first, and when that was."""
    return re.sub(r"user \d+|[\d-]{10} [\d:]{5} UTC|\[bridge .*", "", note)


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


def _subscribed(world: World) -> int:
    """Nia has a pass to two courses by the month, paid for and settled; the subscription."""
    courses = [world.course("ONE"), world.course("TWO")]
    for course in courses:
        world.sell(course)
    meta = [{"key": "bridge_gives", "value": ",".join(f"course:{course}" for course in courses)}]
    product = world.shop.add_product("Pass", type="subscription", sku="PASS", price="20.00", meta_data=meta)
    world.owe("order", world.shop.place_order([(product, 1)], email="nia@pass.test", first_name="Nia", last_name="N"))
    world.settle()
    (subscription,) = world.shop.subscriptions
    return int(subscription)


def _renewed(world: World) -> None:
    """A subscription that renews, the renewal being paid a while later."""
    subscription = _subscribed(world)
    order = world.shop.renew(subscription, "unpaid")
    world.owe("order", order)
    world.owe("subscription", subscription)
    world.settle()
    world.shop.pay_order(order)
    world.owe("order", order)
    world.owe("subscription", subscription)


def _on_hold(world: World) -> None:
    """A renewal that failed: days of grace begin."""
    subscription = _subscribed(world)
    order = world.shop.renew(subscription, "unpaid")
    world.owe("order", order)
    world.owe("subscription", subscription)


def _grace_is_over(world: World) -> None:
    """A renewal that failed, and was not paid in the days of grace: access is suspended."""
    _on_hold(world)
    world.settle()
    world.clock.advance(days=8)


def _leaving(world: World) -> None:
    """A subscription that was cancelled, and whose time is over: its end is told and comes."""
    subscription = _subscribed(world)
    world.shop.cancel_subscription(subscription)
    world.owe("subscription", subscription)
    world.settle()
    world.clock.advance(days=32)
    world.shop.run_schedule()
    world.owe("subscription", subscription)


def world_is_sqlite(world: World) -> bool:
    """Which of the two databases it is."""
    return world.bridge.store.is_sqlite


SITUATIONS = {
    "orders": _orders,
    "cancelled": _cancelled,
    "catalogue": _catalogue,
    "renewed": _renewed,
    "on hold": _on_hold,
    "grace is over": _grace_is_over,
    "leaving": _leaving,
}
#: What somebody may be left with: how many letters, and access of which kinds.
LEFT = {
    "renewed": (1, {"active"}),
    "on hold": (1, {"active"}),
    "grace is over": (2, {"suspended"}),
    "leaving": (2, {"suspended"}),
}


@pytest.fixture
def post() -> Iterator[tuple[Inbox, dict[str, Any]]]:
    """A mail server: what it was given, and the settings for it."""
    inbox = Inbox()
    running = Server(inbox)
    running.start()
    yield inbox, mail(running)
    running.stop()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_crash_between_any_two_steps_changes_nothing_in_the_end(
    make_world: Callable[..., World],
    situation: str,
    reset_database: Callable[[], None],
    post: tuple[Inbox, dict[str, Any]],
) -> None:
    inbox, to_learners = post
    settings: dict[str, Any] = {"catalogue": {"images": False}, "mail": to_learners, "subscriptions": True}
    undisturbed = make_world(**settings)
    SITUATIONS[situation](undisturbed)
    undisturbed.settle()
    undisturbed.pass_time()  # what is looked at once more after a while
    undisturbed.settle()
    expected = end_state(undisturbed, inbox)
    assert expected["parked"] == {}
    if situation in LEFT:
        assert (len(letters(inbox)), set(undisturbed.access().values())) == LEFT[situation]
    # Every step on SQLite; every third on PostgreSQL, where the same code only takes longer.
    stride = 1 if world_is_sqlite(undisturbed) else 3
    step = 1 - stride
    crashed = True
    while crashed:
        step += stride
        assert step < 500
        reset_database()
        inbox.mails.clear()
        world = make_world(**settings)
        SITUATIONS[situation](world)
        crashed = crashes(world, step)
        world.pass_time()
        world.settle()
        world.pass_time()
        world.settle()
        assert end_state(world, inbox) == expected, f"after a crash at step {step}"
        notes = [(o, n["note"]) for o, ns in world.shop.notes.items() for n in ns if "Learning access" in n["note"]]
        assert len(notes) == len(set(notes)), f"a note twice after a crash at step {step}"
        world.close()
    assert step > 15
