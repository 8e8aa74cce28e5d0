"""Stories: a subscription that is paid by Stripe stands as its payments do. Over the wire, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.sandbox.server import Served
from bridge.sandbox.stripe import SANDBOX_KEY, Stripe
from bridge.sync_jobs import SUBSCRIPTION_TOPICS, TOPICS
from tests.test_story_subscriptions import NIA, buy, goes_on, monthly, note
from tests.world import SECRET, World

ENDPOINT_SECRET = "whsec_" + "s" * 32


@pytest.fixture
def stripe() -> Stripe:
    return Stripe()


@pytest.fixture
def world(make_world: Callable[..., World], stripe: Stripe) -> Iterator[World]:
    """A shop that sells by subscription, is paid through Stripe, and delivers to the bridge."""
    with Served(stripe.app) as served:
        config = {"secret_key": SANDBOX_KEY, "url": served.url, "webhook_secrets": [ENDPOINT_SECRET]}
        made = make_world(subscriptions=True, stripe=config, orders={"grace_days": 7})
        made.shop.gateway = stripe.take
        with Served(made.bridge.web()) as bridge:
            for topic in (*TOPICS, *SUBSCRIPTION_TOPICS):
                made.shop.add_webhook(topic, f"{bridge.url}/webhooks/woocommerce", SECRET)
            stripe.events.add_endpoint(f"{bridge.url}/webhooks/stripe", live=stripe.live, secret=ENDPOINT_SECRET)
            yield made


@pytest.fixture
def tell(world: World, stripe: Stripe) -> Callable[[], None]:
    """What Stripe and the shop have to tell is delivered, and what follows is done."""

    def go() -> None:
        stripe.events.deliver(at_once=True)
        world.settle()
        goes_on(world)

    return go


@pytest.fixture
def pass_of_nia(world: World) -> tuple[int, int, int]:
    """A course, the first order of a monthly pass to it, and the subscription."""
    course = world.course("ONE")
    order, subscription = buy(world, (monthly(world, course), 1))
    assert world.access() == {(NIA, course): "active"}
    return course, order, subscription


def charge(world: World, order: int) -> str:
    return str(world.shop.orders[order]["transaction_id"])


def live_seats(world: World) -> list[Any]:
    return [seat for seat in world.rows("seats") if seat.ended_at is None]


@pytest.mark.parametrize("on_hold", [False, True])
def test_a_dispute_suspends_and_a_win_restores(
    world: World, stripe: Stripe, tell: Callable[[], None], pass_of_nia: tuple[int, int, int], on_hold: bool
) -> None:
    """The shop's plugin may put the order on hold during a dispute, and with it the subscription: no days of grace."""
    course, order, _ = pass_of_nia
    dispute = stripe.dispute(charge(world, order))
    if on_hold:
        world.shop.set_status(order, "on-hold")
    tell()
    assert world.access() == {(NIA, course): "suspended"}
    assert "is disputed" in note(world, order)
    stripe.win(dispute["id"])
    if on_hold:
        world.shop.set_status(order, "processing")
    tell()
    assert (world.access(), world.parked()) == ({(NIA, course): "active"}, {})


def test_a_dispute_that_is_lost_ends_the_seat(
    world: World, stripe: Stripe, tell: Callable[[], None], pass_of_nia: tuple[int, int, int]
) -> None:
    course, order, subscription = pass_of_nia
    dispute = stripe.dispute(charge(world, order))
    tell()
    stripe.lose(dispute["id"])
    tell()
    assert world.access() == {(NIA, course): "suspended"}
    assert live_seats(world) == []
    assert "is lost" in note(world, order)
    world.shop.renew(subscription, "card")  # what runs from now on is paid for
    tell()
    assert world.access() == {(NIA, course): "active"}


def test_a_failed_renewal_during_a_dispute_gives_no_days_of_grace(
    world: World, stripe: Stripe, tell: Callable[[], None], pass_of_nia: tuple[int, int, int]
) -> None:
    course, order, subscription = pass_of_nia
    stripe.dispute(charge(world, order))
    tell()
    world.shop.renew(subscription, "declined")
    tell()
    assert world.shop.subscriptions[subscription]["status"] == "on-hold"
    assert world.access() == {(NIA, course): "suspended"}


def test_a_failed_renewal_after_a_lost_dispute_gives_nothing_back(
    world: World, stripe: Stripe, tell: Callable[[], None], pass_of_nia: tuple[int, int, int]
) -> None:
    course, order, subscription = pass_of_nia
    stripe.lose(stripe.dispute(charge(world, order))["id"])
    tell()
    world.shop.renew(subscription, "declined")
    tell()
    assert world.access() == {(NIA, course): "suspended"}


def test_a_dispute_of_an_earlier_payment_suspends_while_it_is_open(
    world: World, stripe: Stripe, tell: Callable[[], None], pass_of_nia: tuple[int, int, int]
) -> None:
    """Once it is decided, the payment for the time that runs now counts, whichever way it went."""
    course, order, subscription = pass_of_nia
    world.shop.renew(subscription, "card")
    tell()
    dispute = stripe.dispute(charge(world, order))
    tell()
    assert world.access() == {(NIA, course): "suspended"}
    stripe.lose(dispute["id"])
    tell()
    assert world.access() == {(NIA, course): "active"}
    assert len(live_seats(world)) == 1


@pytest.mark.parametrize("what", ["inquiry", "refund in full", "review", "early warning"])
def test_what_stripe_only_tells_of_takes_nothing(
    world: World, stripe: Stripe, tell: Callable[[], None], pass_of_nia: tuple[int, int, int], what: str
) -> None:
    """As for an order: a bank that only asks, and money given back past the shop, are for people to read."""
    course, order, _ = pass_of_nia
    paid = charge(world, order)
    does: dict[str, Callable[[], object]] = {
        "inquiry": lambda: stripe.dispute(paid, inquiry=True),
        "refund in full": lambda: stripe.refund(paid),
        "review": lambda: stripe.review(paid),
        "early warning": lambda: stripe.warn(paid),
    }
    does[what]()
    tell()
    assert world.access() == {(NIA, course): "active"}
    assert world.suspensions == []
    assert world.parked() == {}


def test_a_renewal_whose_payment_does_not_fit_gets_the_grace_of_a_late_one(
    world: World, stripe: Stripe, tell: Callable[[], None], pass_of_nia: tuple[int, int, int]
) -> None:
    course, _, subscription = pass_of_nia
    world.shop.gateway = lambda order, _total, currency: stripe.take(order, "1.00", currency)
    renewal = world.shop.renew(subscription, "card")
    tell()
    assert world.access() == {(NIA, course): "active"}
    assert "of 1.00 EUR" in world.parked()[f"order {renewal}"]
    world.clock.advance(days=8)
    world.settle()
    assert world.access() == {(NIA, course): "suspended"}


def test_a_first_payment_that_does_not_fit_gives_nothing(world: World, stripe: Stripe) -> None:
    world.shop.gateway = lambda order, _total, currency: stripe.take(order, "1.00", currency)
    order, _ = buy(world, (monthly(world, world.course("ONE")), 1))
    assert world.access() == {}
    assert f"order {order}" in world.parked()


def test_a_first_order_completed_by_hand_without_a_payment_gives_nothing_not_even_for_a_moment(
    world: World, tell: Callable[[], None]
) -> None:
    """The subscription, which staff has thereby made active, is heard of before the order."""
    order, subscription = buy(world, (monthly(world, world.course("ONE")), 1), payment="declined")
    world.shop.set_status(order, "completed")
    assert world.shop.subscriptions[subscription]["status"] == "active"
    world.owe("subscription", subscription)
    world.settle()
    assert world.access() == {}
    assert "Stripe knows of no payment" in world.parked()[f"order {order}"]


def test_a_first_order_deleted_before_anybody_looked_is_for_a_person_until_a_renewal_pays(
    world: World, tell: Callable[[], None]
) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(monthly(world, course), 1)], email=NIA)
    subscription = max(world.shop.subscriptions)
    world.shop.delete_order(order)
    for _ in range(7):
        world.owe("subscription", subscription)
        world.pass_time()
        world.settle()
    assert world.access() == {}
    assert f"its first order {order} was deleted" in world.parked()[f"subscription {subscription}"]
    world.shop.renew(subscription, "card")
    tell()
    assert (world.access(), world.parked()) == ({(NIA, course): "active"}, {})


# --- orders ----------------------------------------------------------------------------------------------------------


def test_the_order_that_a_payment_is_for_stays_undisturbed_by_one_that_claims_it_too(
    world: World, stripe: Stripe
) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    intent = stripe.create_intent(False, 20_000, "eur")
    paid = stripe.confirm(intent["id"], "pm_card_visa")
    world.shop.gateway = lambda *_: (paid["id"], paid["latest_charge"])
    honest = world.shop.place_order([(world.sell(one), 1), (world.sell(two), 1)], email="mia@guest.test")
    world.look(honest)
    claims = world.shop.place_order([(world.product(two)["id"], 2)], email="eve@guest.test")
    world.look(claims)
    world.look(honest)
    assert set(world.parked()) == {f"order {claims}"}
    world.shop.refund(honest, lines={world.shop.orders[honest]["line_items"][0]["id"]: 1})
    world.look(honest)
    assert world.access() == {("mia@guest.test", one): "suspended", ("mia@guest.test", two): "active"}
    world.shop.set_status(honest, "cancelled")  # then the payment is free for the other, if it fits
    world.look(honest)
    world.look(claims)
    assert world.parked() == {}


def test_refunds_count_while_the_payment_does_not_fit_the_order_any_more(world: World) -> None:
    """Staff edited a paid order: nothing new is given until its payment fits; what is refunded ends all the same."""
    one, two = world.course("ONE"), world.course("TWO")
    order = world.shop.place_order([(world.sell(one), 1), (world.sell(two), 1)], email="mia@guest.test")
    world.look(order)
    world.shop.orders[order]["total"] = "150.00"
    world.look(order)
    assert world.access() == {("mia@guest.test", one): "active", ("mia@guest.test", two): "active"}
    assert "150.00" in world.parked()[f"order {order}"]
    world.shop.refund(order, lines={world.shop.orders[order]["line_items"][0]["id"]: 1})
    world.look(order)
    assert world.access() == {("mia@guest.test", one): "suspended", ("mia@guest.test", two): "active"}
