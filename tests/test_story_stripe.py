"""Stories: what Stripe says of a payment decides, whatever the shop says. Over the wire, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from bridge.sandbox.server import Served
from bridge.sandbox.stripe import SANDBOX_KEY, Stripe
from tests.world import World

ENDPOINT_SECRET = "whsec_" + "s" * 32


@pytest.fixture
def stripe() -> Stripe:
    return Stripe()


@pytest.fixture
def served(stripe: Stripe) -> Iterator[Served]:
    running = Served(stripe.app).start()
    yield running
    running.stop()


@pytest.fixture
def world(make_world: Callable[..., World], stripe: Stripe, served: Served) -> World:
    made = make_world(
        stripe={"secret_key": SANDBOX_KEY, "url": served.url, "webhook_secrets": [ENDPOINT_SECRET]},
        orders={"grace_days": 0},
    )
    made.shop.gateway = stripe.take
    return made


@pytest.fixture
def deliver(world: World, stripe: Stripe) -> Iterator[Callable[[], None]]:
    """Has Stripe's waiting events delivered to the bridge, and what follows done."""
    bridge = Served(world.bridge.web()).start()
    stripe.events.add_endpoint(f"{bridge.url}/webhooks/stripe", live=stripe.live, secret=ENDPOINT_SECRET)

    def go() -> None:
        stripe.events.deliver(at_once=True)
        world.settle()

    yield go
    bridge.stop()


def bought(world: World, course: int, price: str = "100.00", **order: str) -> int:
    product = world.shop.add_product(f"Course {course}", sku=f"totara-course-{course}", price=price)
    world.know(course, product)
    number = world.shop.place_order([(product, 1)], email="mia@guest.test", **order)  # type: ignore[arg-type]
    world.owe("order", number)
    world.settle()
    return number


def charge_of(world: World, order: int) -> str:
    return str(world.shop.orders[order]["transaction_id"])


def told(world: World, order: int) -> str:
    return [str(note["note"]) for note in world.shop.notes[order] if "Learning access" in note["note"]][-1]


@pytest.mark.parametrize(
    ("price", "currency"), [("100.00", "EUR"), ("1200.00", "JPY"), ("10.500", "KWD"), ("19.99", "USD")]
)
def test_an_order_that_stripe_confirms_is_given(world: World, price: str, currency: str) -> None:
    course = world.course("ONE")
    bought(world, course, price, currency=currency)
    assert world.access() == {("mia@guest.test", course): "active"}
    assert world.parked() == {}


def test_an_order_that_the_shop_takes_for_paid_and_stripe_does_not_know_gives_nothing(world: World) -> None:
    world.shop.gateway = None  # "paid", with payments that Stripe has never heard of
    order = bought(world, world.course("ONE"))
    assert world.access() == {}
    assert world.totara.user_by_email("mia@guest.test") is None
    assert "Stripe knows of no payment" in world.parked()[f"order {order}"]


def test_a_payment_of_another_amount_or_currency_is_parked_and_given_once_it_fits(world: World, stripe: Stripe) -> None:
    world.shop.gateway = lambda order, total, currency: stripe.take(order, "1.00", currency)
    course = world.course("ONE")
    order = bought(world, course)
    assert world.access() == {}
    assert "100.00 EUR" in world.parked()[f"order {order}"]
    right = stripe.take(order, "100.00", "EUR")
    world.shop.change_order(order, {"transaction_id": right[1]})
    meta = [{"key": "_stripe_intent_id", "value": right[0]}]
    world.shop.change_order(order, {"meta_data": meta})
    world.owe("order", order)
    world.settle()
    assert world.access() == {("mia@guest.test", course): "active"}
    assert world.parked() == {}


def test_one_payment_pays_one_order(world: World, stripe: Stripe) -> None:
    """A payment that names no order, as those of old plugins, is put on a second order by somebody."""
    one, two = world.course("ONE"), world.course("TWO")
    intent = stripe.create_intent(False, 10_000, "eur")
    paid = stripe.confirm(intent["id"], "pm_card_visa")
    world.shop.gateway = lambda *_: (paid["id"], paid["latest_charge"])
    bought(world, one)
    second = bought(world, two)
    assert world.access() == {("mia@guest.test", one): "active"}
    assert "already" in world.parked()[f"order {second}"]


def test_the_payment_of_another_order_does_not_pay_this_one(world: World, stripe: Stripe) -> None:
    world.shop.gateway = lambda _order, total, currency: stripe.take(999_999, total, currency)
    order = bought(world, world.course("ONE"))
    assert world.access() == {}
    assert "999999" in world.parked()[f"order {order}"]


def test_a_live_payment_for_a_test_key_is_refused(world: World, stripe: Stripe) -> None:
    def live(order: int, _total: str, _currency: str) -> tuple[str, str]:
        paid = stripe.pay(order, 10_000, "eur", live=True)
        return paid["id"], paid["latest_charge"]

    world.shop.gateway = live
    order = bought(world, world.course("ONE"))
    assert world.access() == {}
    assert "live mode" in world.parked()[f"order {order}"]


def test_a_test_payment_for_a_live_key_is_refused(make_world: Callable[..., World]) -> None:
    live_key = "sk_live_0123456789abcdef"
    stripe = Stripe(secret_key=live_key)
    with Served(stripe.app) as served:
        world = make_world()
        # The settings refuse a live key that would be sent without TLS: only the embedded Stripe is asked so.
        fields = world.bridge.settings.stripe.model_copy(update={"secret_key": SecretStr(live_key), "url": served.url})
        world.bridge.__dict__["settings"] = world.bridge.settings.model_copy(update={"stripe": fields})
        world.shop.gateway = lambda order, _total, _currency: _names(stripe.pay(order, 10_000, "eur", live=False))
        order = bought(world, world.course("ONE"))
        assert world.access() == {}
        assert f"order {order}" in world.parked()
        world.shop.gateway = lambda order, _total, _currency: _names(stripe.pay(order, 10_000, "eur", live=True))
        bought(world, world.course("TWO"))
        assert len(world.access()) == 1


def _names(paid: dict[str, Any]) -> tuple[str, str]:
    return paid["id"], paid["latest_charge"]


def test_a_dispute_suspends_and_a_win_restores(world: World, stripe: Stripe, deliver: Callable[[], None]) -> None:
    course = world.course("ONE")
    order = bought(world, course)
    dispute = stripe.dispute(charge_of(world, order))
    deliver()
    assert world.access() == {("mia@guest.test", course): "suspended"}
    assert "disputed" in told(world, order)
    stripe.win(dispute["id"])
    deliver()
    assert world.access() == {("mia@guest.test", course): "active"}
    (seat,) = world.rows("seats")
    assert seat.ended_at is None
    assert len(world.totara.enrolments) == 1


def test_a_dispute_that_is_lost_ends_the_seat_and_keeps_the_record(
    world: World, stripe: Stripe, deliver: Callable[[], None]
) -> None:
    course = world.course("ONE")
    order = bought(world, course)
    user = world.totara.user_by_email("mia@guest.test")
    assert user is not None
    world.totara.complete(user.id, course)
    stripe.lose(stripe.dispute(charge_of(world, order))["id"])
    deliver()
    assert world.access() == {("mia@guest.test", course): "suspended"}
    assert (user.id, course) in world.totara.completions
    (seat,) = world.rows("seats")
    assert seat.ended_at is not None
    assert "lost" in seat.ended_why


def test_a_dispute_leaves_alone_what_another_order_pays_for(
    world: World, stripe: Stripe, deliver: Callable[[], None]
) -> None:
    course = world.course("ONE")
    first = bought(world, course)
    second = world.shop.place_order(
        [(next(iter(world.shop.products)), 1)], email="mia@guest.test", first_name="Mia", last_name="G"
    )
    world.owe("order", second)
    world.settle()
    stripe.dispute(charge_of(world, first))
    deliver()
    assert world.access() == {("mia@guest.test", course): "active"}


def test_a_dispute_of_which_no_delivery_told_is_found_by_asking_for_events(world: World, stripe: Stripe) -> None:
    course = world.course("ONE")
    order = bought(world, course)
    world.owe("payments", "all")
    world.settle()
    stripe.dispute(charge_of(world, order))
    world.owe("payments", "all")
    world.settle()
    assert world.access() == {("mia@guest.test", course): "suspended"}


def test_an_event_that_comes_before_the_bridge_knows_the_order_leads_to_it_all_the_same(
    world: World, stripe: Stripe, deliver: Callable[[], None]
) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    world.shop.place_order([(product, 1)], email="mia@guest.test")
    deliver()  # payment_intent.succeeded names the order
    assert world.access() == {("mia@guest.test", course): "active"}


def test_while_stripe_is_down_orders_wait_and_nobody_loses_anything(
    world: World, stripe: Stripe, deliver: Callable[[], None]
) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    first = bought(world, one)
    stripe.faults.down()
    bought(world, two)
    world.owe("order", first)
    world.settle()
    assert world.access() == {("mia@guest.test", one): "active"}
    assert world.parked() == {}
    stripe.faults.clear()
    world.pass_time()
    world.settle()
    assert world.access()["mia@guest.test", two] == "active"


def test_a_full_refund_in_stripe_alone_is_told_and_takes_nothing(
    world: World, stripe: Stripe, deliver: Callable[[], None]
) -> None:
    course = world.course("ONE")
    order = bought(world, course)
    stripe.refund(charge_of(world, order))
    deliver()
    assert world.access() == {("mia@guest.test", course): "active"}
    assert "refunded in full" in told(world, order)


def test_orders_paid_otherwise_are_not_asked_for_at_stripe(world: World, stripe: Stripe) -> None:
    course = world.course("ONE")
    stripe.requests.clear()
    order = bought(world, course, payment="bacs")
    world.shop.set_status(order, "processing")
    world.owe("order", order)
    world.settle()
    assert world.access() == {("mia@guest.test", course): "active"}
    assert stripe.requests == []
