"""Stories: a subscription gives access for as long as it stands, whatever its orders say. On both databases.

What the shop does is told by its own deliveries, over the wire, unless a story says that they were lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.domain.identity import Contact, Identity
from bridge.sandbox.server import Served
from bridge.seating import carry_out, decide, lay_out
from bridge.store import people
from bridge.store.ledger import Source
from bridge.store.models import seats as table
from bridge.sync_jobs import SUBSCRIPTION_TOPICS, TOPICS
from tests.world import SECRET, World

NIA = "nia@pass.test"


@pytest.fixture
def world(make_world: Callable[..., World]) -> Iterator[World]:
    """A shop that sells by subscription, and that delivers to the bridge."""
    world = make_world(subscriptions=True)
    with Served(world.bridge.web()) as served:
        for topic in (*TOPICS, *SUBSCRIPTION_TOPICS):
            world.shop.add_webhook(topic, f"{served.url}/webhooks/woocommerce", SECRET)
        yield world


def goes_on(world: World) -> None:
    """What has happened is delivered, and done."""
    world.shop.deliver()
    world.settle()


def monthly(world: World, *courses: int, seats: int = 1, **fields: Any) -> int:
    """A pass to courses, by the month, of the plugin's own product type."""
    fields = {"type": "subscription", "price": "20.00", **fields}
    sku = fields.pop("sku", f"pass-{'-'.join(map(str, courses))}")
    gives = ",".join(f"course:{course}" for course in courses)
    meta = [{"key": "bridge_gives", "value": gives}, {"key": "bridge_seats", "value": str(seats)}]
    for course in courses:
        if not any(row.course_id == course for row in world.rows("products")):
            world.sell(course)
    return world.shop.add_product(f"Pass to {gives}", sku=sku, meta_data=meta, **fields)


def tiers(world: World, *tiers: tuple[str, list[int]]) -> list[int]:
    """A pass in tiers: the variations of one product."""
    for course in {course for _, courses in tiers for course in courses}:
        world.sell(course)
    product = world.shop.add_product("Academy pass", type="variable-subscription", sku="pass")
    return [
        world.shop.add_variation(
            product,
            sku=f"pass-{name}",
            price=price,
            attributes=[("Tier", name)],
            meta_data=[{"key": "bridge_gives", "value": ",".join(f"course:{course}" for course in courses)}],
        )
        for price, (name, courses) in zip(("10.00", "20.00", "30.00"), tiers, strict=False)
    ]


def buy(world: World, *lines: tuple[int, int] | dict[str, Any], **fields: Any) -> tuple[int, int]:
    """Nia buys; the order and the (last) subscription that it began."""
    fields = {"email": NIA, "first_name": "Nia", "last_name": "Noon", **fields}
    order = world.shop.place_order(lines, **fields)
    goes_on(world)
    return order, max(world.shop.subscriptions, default=0)


def line_of(world: World, subscription: int, at: int = 0) -> int:
    """The id of a subscription's line."""
    return int(world.shop.subscriptions[subscription]["line_items"][at]["id"])


def seats(world: World) -> list[bool]:
    """Of every live seat whether somebody sits there."""
    return sorted(seat.person_id is not None for seat in world.rows("seats") if seat.ended_at is None)


def note(world: World, order: int) -> str:
    """The last note that the bridge left on an order."""
    return next((n["note"] for n in reversed(world.shop.notes[order]) if "Learning access" in n["note"]), "")


# --- what is sold by subscription ------------------------------------------------------------------------------------


def test_a_product_of_the_type_gives_by_its_subscription_and_the_order_gives_nothing(world: World) -> None:
    course = world.course("ONE")
    order, subscription = buy(world, (monthly(world, course), 1))
    assert world.access() == {(NIA, course): "active"}
    (of_order, of_subscription) = sorted(world.rows("purchases"), key=lambda row: row.subscription_id or 0)
    assert (of_order.order_id, of_order.offer) == (order, {"gives": [], "by_subscription": True})
    assert of_subscription.subscription_id == subscription
    assert len(world.rows("seats")) == 1
    assert f"subscription {subscription}, course {course}: access ready" in note(world, order)
    assert world.parked() == {}


def test_a_plan_on_a_simple_product_gives_by_its_subscription(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    plan = world.shop.add_plan(product, period="month")
    _, subscription = buy(world, {"product_id": product, "quantity": 1, "plan": plan})
    assert world.access() == {(NIA, course): "active"}
    assert [row.subscription_id for row in world.rows("purchases") if row.offer["gives"]] == [subscription]
    world.shop.change_subscription(subscription, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}


def test_the_same_product_bought_once_without_its_plan_is_bought_for_good(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    world.shop.add_plan(product)
    order, _ = buy(world, (product, 1))
    assert world.access() == {(NIA, course): "active"}
    assert [row.order_id for row in world.rows("purchases") if row.offer["gives"]] == [order]


def test_one_product_on_one_order_by_plan_and_for_good_is_both(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    plan = world.shop.add_plan(product)
    _, subscription = buy(world, {"product_id": product, "quantity": 1, "plan": plan}, (product, 1))
    assert len([row for row in world.rows("purchases") if row.offer["gives"]]) == 2
    world.shop.change_subscription(subscription, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    assert world.suspensions == []


def test_a_mixed_cart_ends_what_is_subscribed_to_and_leaves_what_was_bought(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    order, subscription = buy(world, (monthly(world, one), 1), (world.sell(two), 1))
    assert world.access() == {(NIA, one): "active", (NIA, two): "active"}
    world.shop.change_subscription(subscription, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, one): "suspended", (NIA, two): "active"}
    said = note(world, order)
    assert f"course {two}: access ready" in said
    assert f"subscription {subscription}, course {one}: access ended, the subscription is cancelled" in said


def test_an_order_may_begin_several_subscriptions_and_each_stands_by_itself(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    order, _ = buy(world, (monthly(world, one), 1), (monthly(world, two, period="year"), 1))
    first, second = world.shop.subscriptions
    assert world.access() == {(NIA, one): "active", (NIA, two): "active"}
    world.shop.change_subscription(first, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, one): "suspended", (NIA, two): "active"}
    assert f"subscription {second}, course {two}: access ready" in note(world, order)


def test_two_subscriptions_to_one_course_are_one_access_until_both_have_ended(world: World) -> None:
    course = world.course("ONE")
    product = monthly(world, course)
    buy(world, (product, 1))
    customer = next(iter(world.shop.customers))
    buy(world, (product, 1), customer_id=customer)
    first, second = world.shop.subscriptions
    world.shop.change_subscription(first, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    assert world.suspensions == []
    world.shop.change_subscription(second, "expired")
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}


# --- the first payment -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payment", ["bacs", "declined"])
def test_a_first_payment_that_comes_late_makes_no_purchase_for_good(world: World, payment: str) -> None:
    course = world.course("ONE")
    order, subscription = buy(world, (monthly(world, course), 1), payment=payment)
    assert world.access() == {}
    world.shop.pay_order(order)
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    world.shop.change_subscription(subscription, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}


def test_a_free_trial_gives_at_once(world: World) -> None:
    course = world.course("ONE")
    order, _ = buy(world, (monthly(world, course, trial=1), 1))
    assert world.shop.orders[order]["total"] == "0.00"
    assert world.access() == {(NIA, course): "active"}


def test_an_order_seen_before_its_subscription_was_made_is_asked_again_when_it_pays(world: World) -> None:
    """Between the order and its subscription lies a moment, in which a delivery may have us look."""
    course = world.course("ONE")
    product = world.sell(course)
    order = world.shop.place_order([(product, 1)], email=NIA, customer_id=world.shop.add_customer(NIA), payment="bacs")
    goes_on(world)
    subscription = world.shop.subscribe(order)
    world.shop.pay_order(order)
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    world.shop.change_subscription(subscription, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}


# --- the status of the subscription ----------------------------------------------------------------------------------


def test_the_status_of_the_subscription_counts_and_not_that_of_its_first_order(world: World) -> None:
    """A first order refunded by hand leaves its subscription active: it is for the shop's staff to cancel that too."""
    course = world.course("ONE")
    order, subscription = buy(world, (monthly(world, course), 1))
    world.shop.set_status(order, "refunded")
    goes_on(world)
    assert world.shop.subscriptions[subscription]["status"] == "active"
    assert world.access() == {(NIA, course): "active"}
    assert world.suspensions == []


def test_on_hold_lets_some_days_pass_and_then_suspends(world: World) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    world.shop.change_subscription(subscription, "on-hold")
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    world.clock.advance(days=6, hours=23)
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    world.clock.advance(hours=2)
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}
    world.shop.change_subscription(subscription, "active")
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    assert len(world.rows("seats")) == 1


def test_on_hold_twice_begins_new_days_of_grace_and_a_second_word_of_it_does_not(world: World) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    world.shop.change_subscription(subscription, "on-hold")
    goes_on(world)
    world.clock.advance(days=5)
    world.shop.change_subscription(subscription)  # edited, and on hold as before
    goes_on(world)
    world.clock.advance(days=3)
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}
    world.shop.change_subscription(subscription, "active")
    goes_on(world)
    world.shop.change_subscription(subscription, "on-hold")
    goes_on(world)
    world.clock.advance(days=6)
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}


def test_without_days_of_grace_on_hold_suspends_at_once(make_world: Callable[..., World]) -> None:
    world = make_world(subscriptions=True, orders={"grace_days": 0})
    course = world.course("ONE")
    order, subscription = buy(world, (monthly(world, course), 1))
    world.owe("order", order)
    world.settle()
    assert world.access() == {(NIA, course): "active"}
    world.shop.change_subscription(subscription, "on-hold")
    world.owe("subscription", subscription)
    world.settle()
    assert world.access() == {(NIA, course): "suspended"}


def test_whoever_cancels_keeps_what_is_paid_for_to_its_end(world: World) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    world.shop.cancel_subscription(subscription)
    goes_on(world)
    assert world.shop.subscriptions[subscription]["status"] == "pending-cancel"
    assert world.access() == {(NIA, course): "active"}
    (enrolment,) = world.totara.enrolments.values()
    assert enrolment.timeend > world.clock()
    world.clock.advance(days=27)
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    world.clock.advance(days=6)
    world.shop.run_schedule()
    goes_on(world)
    assert world.shop.subscriptions[subscription]["status"] == "cancelled"
    assert world.access() == {(NIA, course): "suspended"}


def test_whoever_cancels_and_thinks_better_of_it_goes_on(world: World) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    world.shop.cancel_subscription(subscription)
    goes_on(world)
    world.shop.change_subscription(subscription, "active")
    goes_on(world)
    (enrolment,) = world.totara.enrolments.values()
    assert (enrolment.status, enrolment.timeend) == ("active", 0)
    assert world.suspensions == []


def test_pending_cancel_without_a_date_lasts_until_the_shop_cancels(world: World) -> None:
    """Set by REST's ``status`` the end stays empty."""
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    world.shop.change_subscription(subscription, "pending-cancel", end_date_gmt="")
    goes_on(world)
    world.clock.advance(days=90)
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    world.shop.change_subscription(subscription, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}


@pytest.mark.parametrize("status", ["cancelled", "expired", "switched"])
def test_a_subscription_that_is_over_gives_nothing(world: World, status: str) -> None:
    course = world.course("ONE")
    order, subscription = buy(world, (monthly(world, course), 1))
    world.shop.change_subscription(subscription, status)
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}
    assert f"access ended, the subscription is {status}" in note(world, order)


def test_a_subscription_of_some_months_expires_by_itself(world: World) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course, length=2), 1))
    for _ in range(2):
        world.clock.advance(days=32)
        world.shop.run_schedule()
        goes_on(world)
    assert world.shop.subscriptions[subscription]["status"] == "expired"
    assert world.access() == {(NIA, course): "suspended"}


def test_whoever_subscribes_again_learns_on(world: World) -> None:
    course = world.course("ONE")
    _, first = buy(world, (monthly(world, course), 1))
    world.shop.change_subscription(first, "cancelled")
    goes_on(world)
    _, second = world.shop.resubscribe(first)
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    assert len(world.totara.enrolments) == 1
    world.shop.change_subscription(second, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}


# --- renewals --------------------------------------------------------------------------------------------------------


def enrolling(world: World) -> list[str]:
    """The calls by which Totara was told of an enrolment."""
    return [request for request in world.totara.requests if "enrol_manual" in request]


@pytest.mark.parametrize("early", [False, True])
def test_a_renewal_extends_without_enrolling_again_and_without_a_seat(world: World, early: bool) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    told = enrolling(world)
    for _ in range(3):
        if not early:
            world.clock.advance(days=31)
        world.shop.renew(subscription, early=early)
        goes_on(world)
    assert enrolling(world) == told
    assert world.access() == {(NIA, course): "active"}
    assert seats(world) == [True]
    assert world.parked() == {}


def test_a_failed_renewal_heard_of_after_its_subscription_has_a_note_of_its_own(world: World) -> None:
    order, subscription = buy(world, (monthly(world, world.course("ONE")), 1))
    renewal = world.shop.renew(subscription, "declined")
    world.owe("subscription", subscription)
    world.settle()
    world.owe("order", renewal)
    world.settle()
    ours = [one["note"] for one in world.shop.notes[renewal] if "Learning access" in one["note"]]
    assert len(ours) == 1
    assert "until" in ours[0]
    assert note(world, order)


def test_a_renewal_that_fails_and_is_paid_in_time_was_never_noticed_by_the_learner(world: World) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    world.clock.advance(days=31)
    renewal = world.shop.renew(subscription, "declined")
    goes_on(world)
    assert (world.shop.orders[renewal]["status"], world.shop.subscriptions[subscription]["status"]) == (
        "failed",
        "on-hold",
    )
    assert world.access() == {(NIA, course): "active"}
    world.clock.advance(days=3)
    world.shop.pay_order(renewal)
    goes_on(world)
    world.clock.advance(days=10)
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    assert (world.suspensions, seats(world)) == ([], [True])


def test_a_renewal_that_fails_and_is_paid_late_gives_the_same_seat_back(world: World) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    world.clock.advance(days=31)
    renewal = world.shop.renew(subscription, "declined")
    goes_on(world)
    world.clock.advance(days=8)
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}
    world.shop.pay_order(renewal)
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    assert len(world.rows("seats")) == 1


def test_a_renewal_refunded_in_full_leaves_the_subscription_as_it_is(world: World) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    renewal = world.shop.renew(subscription)
    goes_on(world)
    world.shop.refund(renewal, world.shop.orders[renewal]["total"])
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    assert world.suspensions == []


@pytest.mark.parametrize("payment", ["card", "unpaid"])
def test_a_renewal_of_a_course_completed_before_says_so_on_its_order(world: World, payment: str) -> None:
    """Totara shows it complete on day one, and has no reset: whoever sold the renewal should know."""
    one, two = world.course("ONE"), world.course("TWO")
    order, subscription = buy(world, (monthly(world, one, two), 1))
    user = world.totara.user_by_email(NIA)
    assert user is not None
    world.totara.complete(user.id, one)
    assert "completed" not in note(world, order)
    world.clock.advance(days=31)
    renewal = world.shop.renew(subscription, payment)
    goes_on(world)
    if payment == "unpaid":
        world.shop.pay_order(renewal)
        goes_on(world)
    assert f"course {one} was completed before this renewal" in note(world, renewal)
    assert f"course {two} was completed" not in note(world, renewal)
    assert "completed" not in note(world, order)


def test_what_is_completed_after_a_renewal_is_never_said_to_have_been_before(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    _, subscription = buy(world, (monthly(world, one, two), 1))
    user = world.user(NIA)
    world.totara.complete(user, one)
    world.clock.advance(days=31)
    renewal = world.shop.renew(subscription, "card")
    goes_on(world)
    world.totara.complete(user, two)
    world.shop.change_subscription(subscription, "on-hold")  # another note is due
    goes_on(world)
    world.bridge.jobs.look_again("order", [renewal])
    world.settle()
    assert "until" in note(world, renewal)
    assert f"course {one} was completed before this renewal" in note(world, renewal)
    assert f"course {two} was completed" not in note(world, renewal)


def test_the_note_says_what_a_subscription_needs_a_person_for(world: World) -> None:
    """Of the order there is nothing to mend: its line gives by the subscription."""
    product = world.shop.add_product("Pass", sku="totara-course-none", type="subscription", price="20.00")
    order, subscription = buy(world, (product, 1))
    assert f"subscription {subscription}" in world.parked()
    assert "needs a person: line " in note(world, order)
    assert "correct the SKU" in note(world, order)


# --- switching -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upwards", [True, False])
def test_a_switch_takes_what_only_the_old_gave_and_touches_nothing_that_both_give(world: World, upwards: bool) -> None:
    one, two, three = (world.course(code) for code in ("ONE", "TWO", "THREE"))
    basic, plus = tiers(world, ("basic", [one, two]), ("plus", [one, three]))
    old, new = (basic, plus) if upwards else (plus, basic)
    lost, won = (two, three) if upwards else (three, two)
    _, subscription = buy(world, (old, 1))
    assert world.access() == {(NIA, one): "active", (NIA, lost): "active"}
    world.totara.requests.clear()
    order = world.shop.switch(subscription, line_of(world, subscription), new)
    goes_on(world)
    assert world.access() == {(NIA, one): "active", (NIA, lost): "suspended", (NIA, won): "active"}
    assert world.suspensions == [(NIA, lost)]
    assert seats(world) == [True]
    assert f"course {won}: access ready" in note(world, order)
    assert world.parked() == {}


def test_a_switch_of_a_team_takes_everybody_along(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    basic, plus = tiers(world, ("basic", [one]), ("plus", [one, two]))
    _, subscription = buy(world, (basic, 3))
    sit(world, "a@team.test", "b@team.test")
    world.shop.switch(subscription, line_of(world, subscription), plus)
    goes_on(world)
    everybody = ["a@team.test", "b@team.test"]
    assert world.access() == {(who, course): "active" for who in everybody for course in (one, two)}
    assert seats(world) == [False, True, True]
    assert world.suspensions == []


def test_there_and_back_again_is_the_same_seat(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    basic, plus = tiers(world, ("basic", [one]), ("plus", [one, two]))
    _, subscription = buy(world, (basic, 1))
    for tier in (plus, basic, plus):
        world.shop.switch(subscription, line_of(world, subscription), tier)
        goes_on(world)
    assert world.access() == {(NIA, one): "active", (NIA, two): "active"}
    assert seats(world) == [True]
    assert set(world.suspensions) == {(NIA, two)}


def test_a_switch_that_has_to_be_paid_for_counts_once_it_is(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    basic, plus = tiers(world, ("basic", [one]), ("plus", [one, two]))
    _, subscription = buy(world, (basic, 1))
    order = world.shop.switch(subscription, line_of(world, subscription), plus, charge="5.00", payment="bacs")
    goes_on(world)
    assert world.access() == {(NIA, one): "active"}
    world.shop.pay_order(order)
    goes_on(world)
    assert world.access() == {(NIA, one): "active", (NIA, two): "active"}


@pytest.mark.parametrize("by_plan", [True, False])
def test_a_first_order_looked_at_only_after_a_switch_gives_nothing_itself(
    make_world: Callable[..., World], by_plan: bool
) -> None:
    world = make_world(subscriptions=True)
    one, two = world.course("ONE"), world.course("TWO")
    if by_plan:
        basic, plus = world.sell(one), world.sell(two)
        bought: Any = {"product_id": basic, "quantity": 1, "plan": world.shop.add_plan(basic)}
    else:
        basic, plus = tiers(world, ("basic", [one]), ("plus", [two]))
        bought = (basic, 1)
    order, subscription = buy(world, bought)
    switch = world.shop.switch(subscription, line_of(world, subscription), plus)
    world.owe("order", order, switch)
    world.settle()
    assert world.access() == {(NIA, two): "active"}
    world.shop.change_subscription(subscription, "cancelled")
    world.owe("subscription", subscription)
    world.settle()
    assert world.access() == {(NIA, two): "suspended"}


def test_a_line_switched_into_a_subscription_of_its_own_suspends_nobody_in_between(world: World) -> None:
    """To another rhythm than its neighbour's: the line leaves its subscription, and another one begins."""
    one, two = world.course("ONE"), world.course("TWO")
    _, subscription = buy(world, (monthly(world, one), 1), (monthly(world, two), 1))
    held = world.shop.subscriptions[subscription]
    yearly = monthly(world, two, period="year", sku="yearly")
    line = line_of(world, subscription, 1)
    world.shop.remove_subscription_line(subscription, line)
    meta = {"_subscription_switch": subscription}
    order = world.shop.place_order([(yearly, 1)], customer_id=held["customer_id"], email=NIA, meta=meta)
    other = world.shop.subscribe(order, period="year")
    world.owe("subscription", subscription)  # the first of the deliveries to arrive
    world.settle()
    goes_on(world)
    world.pass_time()
    goes_on(world)
    assert world.access() == {(NIA, one): "active", (NIA, two): "active"}
    assert world.suspensions == []
    world.shop.change_subscription(other, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, one): "active", (NIA, two): "suspended"}


def switch_apart(world: World, subscription: int, line: int, product: int, quantity: int) -> int:
    """To another rhythm than its neighbour's: the line leaves, and another subscription begins with it."""
    held = world.shop.subscriptions[subscription]
    world.shop.remove_subscription_line(subscription, line)
    bought = {"product_id": product, "quantity": quantity, "meta": {"_switched_subscription_item_id": line}}
    meta = {"_subscription_switch": subscription}
    order = world.shop.place_order([bought], customer_id=held["customer_id"], email=NIA, meta=meta)
    return world.shop.subscribe(order, period="year")


def team(world: World, *people: str) -> tuple[int, int, int, int, int]:
    """A pass of one's own and one of three seats, on which these sit: the subscription, its line, what it gives, and
    what the yearly pass gives besides."""
    one, two, three = (world.course(code) for code in ("ONE", "TWO", "THREE"))
    _, subscription = buy(world, (monthly(world, one), 1), (monthly(world, two), 3))
    sit(world, *people)
    return subscription, line_of(world, subscription, 1), monthly(world, two, three, period="year"), two, three


def everybody_began(world: World) -> None:
    """All have been there."""
    for user in world.totara.users.values():
        user.lastaccess = int(world.clock())


TEAM = ("a@team.test", "b@team.test", "c@team.test")


@pytest.mark.parametrize("first", ["the old", "the new"])
def test_a_team_whose_line_is_switched_into_a_subscription_of_its_own_moves_along(world: World, first: str) -> None:
    subscription, line, yearly, two, three = team(world, *TEAM)
    other = switch_apart(world, subscription, line, yearly, 3)
    world.owe("subscription", subscription if first == "the old" else other)
    world.settle()
    goes_on(world)
    world.pass_time()
    goes_on(world)
    learning = {(who, course): "active" for who in TEAM for course in (two, three)}
    assert {key: state for key, state in world.access().items() if key[0] != NIA} == learning
    assert (world.suspensions, world.parked()) == ([], {})
    world.shop.change_subscription(other, "cancelled")
    goes_on(world)
    assert {state for (who, _), state in world.access().items() if who != NIA} == {"suspended"}


def test_of_a_team_switched_to_fewer_seats_whoever_never_began_stays_behind(world: World) -> None:
    subscription, line, yearly, two, three = team(world, *TEAM)
    world.totara.users[world.user("c@team.test")].lastaccess = int(world.clock())
    world.totara.users[world.user("b@team.test")].lastaccess = int(world.clock())
    switch_apart(world, subscription, line, yearly, 2)
    goes_on(world)
    world.pass_time()
    goes_on(world)
    assert world.suspensions == [("a@team.test", two)]
    assert {world.access()[who, three] for who in TEAM[1:]} == {"active"}
    assert world.parked() == {}


@pytest.mark.parametrize("apart", [True, False])
def test_who_of_a_team_in_use_moves_to_fewer_seats_is_for_a_person_to_say(world: World, apart: bool) -> None:
    subscription, line, yearly, two, three = team(world, *TEAM)
    everybody_began(world)
    if apart:
        switch_apart(world, subscription, line, yearly, 2)
    else:
        world.shop.switch(subscription, line, yearly, quantity=2)
    for _ in range(2):  # to look once more changes nothing
        goes_on(world)
        world.pass_time()
        world.owe("subscription", subscription)
    goes_on(world)
    assert "1 of 3 seats in use have to go" in world.parked()[f"subscription {subscription}"]
    assert {world.access()[who, two] for who in TEAM} == {"active"}
    assert world.suspensions == []
    source = Source("subscription", subscription)
    with world.bridge.store.begin() as connection:
        laid_out = next(one for one in lay_out(connection, source, world.now()) if one.to_go)
        assert laid_out.to_go == 1
        chosen = decide(connection, source, [laid_out.seats[1].id], world.now())
        assert not chosen.cut_short
        carry_out(connection, world.bridge.work, source, chosen, world.now(), by="M. Vella", why="a ticket")
    goes_on(world)
    learning = {(who, course): "active" for who in ("a@team.test", "c@team.test") for course in (two, three)}
    assert learning.items() <= world.access().items()
    assert world.suspensions == [("b@team.test", two)]
    assert world.parked() == {}


def test_nobody_loses_a_seat_while_nobody_can_tell_what_the_switched_line_gives(world: World) -> None:
    subscription, line, yearly, _, three = team(world, *TEAM)
    meta = world.shop.products[yearly]["meta_data"]
    gives = next(entry for entry in meta if entry["key"] == "bridge_gives")
    gives["value"], right = "course:999999 and more", gives["value"]
    other = switch_apart(world, subscription, line, yearly, 3)
    for _ in range(8):
        goes_on(world)
        world.pass_time()
    assert set(world.parked()) == {f"subscription {subscription}", f"subscription {other}"}
    assert f"switched into subscription {other}" in world.parked()[f"subscription {subscription}"]
    assert world.suspensions == []
    gives["value"] = right
    world.restart()
    world.owe("subscription", other)
    world.settle()
    assert {world.access()[who, three] for who in TEAM} == {"active"}
    assert (world.suspensions, world.parked()) == ([], {})


@pytest.mark.parametrize("apart", [True, False])
def test_the_buyer_of_a_switch_to_one_seat_does_not_take_it_from_who_sits_there(world: World, apart: bool) -> None:
    subscription, line, yearly, _, three = team(world, "a@team.test")
    if apart:
        switch_apart(world, subscription, line, yearly, 1)
    else:
        world.shop.switch(subscription, line, yearly, quantity=1)
    goes_on(world)
    world.pass_time()
    goes_on(world)
    assert {key for key in world.access() if key[1] == three} == {("a@team.test", three)}
    assert (world.suspensions, world.parked()) == ([], {})


# --- how many, and for whom ------------------------------------------------------------------------------------------


def sit(world: World, *addresses: str) -> None:
    """People are given the open seats, as their buyer would have it."""
    for address in addresses:
        free = next(seat.id for seat in world.rows("seats") if seat.person_id is None and seat.ended_at is None)
        with world.bridge.store.begin() as connection:
            contact = Contact(Identity(None, address), address)
            person = people.ensure_person(world.bridge.store, connection, contact, world.now())
            connection.execute(table.update().where(table.c.id == free).values(person_id=person, role="assigned"))
            world.bridge.work.mark(connection, "learner", [person])
    world.settle()


def test_a_team_of_several_seats_learns_for_as_long_as_the_subscription_stands(world: World) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 3))
    assert world.access() == {}
    assert seats(world) == [False] * 3
    sit(world, "a@team.test")
    sit(world, "b@team.test")
    world.shop.renew(subscription)
    goes_on(world)
    assert seats(world) == [False, True, True]
    assert world.access() == {(f"{who}@team.test", course): "active" for who in "ab"}
    world.shop.change_subscription(subscription, "cancelled")
    goes_on(world)
    assert world.access() == {(f"{who}@team.test", course): "suspended" for who in "ab"}
    world.shop.change_subscription(subscription, "active")
    goes_on(world)
    assert world.access() == {(f"{who}@team.test", course): "active" for who in "ab"}
    assert seats(world) == [False, True, True]


def test_a_unit_may_have_several_seats(world: World) -> None:
    course = world.course("ONE")
    buy(world, (monthly(world, course, seats=5), 2))
    assert seats(world) == [False] * 10


def test_more_on_the_subscriptions_line_are_more_seats_and_fewer_end_the_open_ones_first(world: World) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    line = line_of(world, subscription)
    world.shop.edit_subscription_line(subscription, line, 3)
    goes_on(world)
    assert seats(world) == [False, False, True]
    assert world.access() == {(NIA, course): "active"}
    world.shop.renew(subscription)  # carries the quantity, and is nothing new
    goes_on(world)
    assert seats(world) == [False, False, True]
    world.shop.edit_subscription_line(subscription, line, 1)
    goes_on(world)
    assert seats(world) == [True]
    assert world.suspensions == []


def test_fewer_units_than_people_on_them_ask_a_person_which(world: World) -> None:
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 2))
    sit(world, "a@team.test")
    sit(world, "b@team.test")
    for user in world.totara.users.values():
        user.lastaccess = int(world.clock())
    world.shop.edit_subscription_line(subscription, line_of(world, subscription), 1)
    goes_on(world)
    assert "which is for you to say" in world.parked()[f"subscription {subscription}"]
    assert world.suspensions == []
    world.shop.edit_subscription_line(subscription, line_of(world, subscription), 2)
    goes_on(world)
    assert world.parked() == {}


def test_a_line_added_by_staff_is_given_and_a_line_removed_is_ended(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    first, second = monthly(world, one), monthly(world, two)
    _, subscription = buy(world, (first, 1))
    added = world.shop.add_subscription_line(subscription, (second, 1))
    goes_on(world)
    assert world.access() == {(NIA, one): "active", (NIA, two): "active"}
    world.shop.remove_subscription_line(subscription, added)
    goes_on(world)
    assert world.access() == {(NIA, one): "active", (NIA, two): "suspended"}


def test_a_gift_is_its_recipients_and_the_buyer_gets_nothing(world: World) -> None:
    course = world.course("ONE")
    recipient = world.shop.add_customer("gus@gift.test", "Gus", "Gift")
    _, subscription = buy(world, {"product_id": monthly(world, course), "quantity": 1, "recipient": recipient})
    assert world.access() == {("gus@gift.test", course): "active"}
    world.shop.renew(subscription)
    goes_on(world)
    world.shop.change_subscription(subscription, "cancelled")
    goes_on(world)
    assert world.access() == {("gus@gift.test", course): "suspended"}
    assert world.totara.user_by_email(NIA) is None


def test_one_order_with_a_gift_and_one_for_oneself_is_two_subscriptions(world: World) -> None:
    course = world.course("ONE")
    product = monthly(world, course)
    recipient = world.shop.add_customer("gus@gift.test", "Gus", "Gift")
    buy(world, {"product_id": product, "quantity": 1, "recipient": recipient}, (product, 1))
    assert len(world.shop.subscriptions) == 2
    assert world.access() == {("gus@gift.test", course): "active", (NIA, course): "active"}


def test_a_gift_to_an_address_that_the_line_names_is_the_addressees(world: World) -> None:
    course = world.course("ONE")
    line = {"product_id": monthly(world, course), "quantity": 1, "meta": {"_bridge_gift_to": "gus@gift.test"}}
    _, subscription = buy(world, line)
    assert world.access() == {("gus@gift.test", course): "active"}
    world.shop.renew(subscription)
    goes_on(world)
    assert world.access() == {("gus@gift.test", course): "active"}


def test_a_gift_to_an_account_that_was_deleted_waits_for_a_person(world: World) -> None:
    course = world.course("ONE")
    recipient = world.shop.add_customer("gus@gift.test", "Gus", "Gift")
    product = monthly(world, course)
    world.shop.place_order([{"product_id": product, "quantity": 1, "recipient": recipient}], email=NIA)
    del world.shop.customers[recipient]
    goes_on(world)
    assert world.access() == {}
    (subscription,) = world.shop.subscriptions
    assert "no address" in world.parked()[f"subscription {subscription}"]


# --- what is deleted -------------------------------------------------------------------------------------------------


def test_a_product_deleted_since_goes_on_to_give_what_it_gave(world: World) -> None:
    course = world.course("ONE")
    product = monthly(world, course)
    _, subscription = buy(world, (product, 1))
    world.shop.delete_product(product, force=True)
    assert world.shop.subscriptions[subscription]["line_items"][0]["product_id"] == 0
    world.shop.renew(subscription)
    goes_on(world)
    assert world.access() == {(NIA, course): "active"}
    assert (world.suspensions, seats(world), world.parked()) == ([], [True], {})
    world.shop.change_subscription(subscription, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}


def test_a_product_deleted_before_anybody_looked_needs_a_person(make_world: Callable[..., World]) -> None:
    world = make_world(subscriptions=True)
    course = world.course("ONE")
    product = monthly(world, course)
    order, subscription = buy(world, (product, 1))
    world.shop.delete_product(product, force=True)
    world.owe("order", order)
    world.owe("subscription", subscription)
    world.settle()
    assert world.access() == {}
    assert "deleted before" in world.parked()[f"subscription {subscription}"]


@pytest.mark.parametrize("how", ["trash_subscription", "delete_subscription"])
def test_a_subscription_in_the_bin_or_deleted_for_good_ends_what_it_gave(world: World, how: str) -> None:
    course = world.course("ONE")
    order, subscription = buy(world, (monthly(world, course), 1))
    getattr(world.shop, how)(subscription)
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}
    assert "access ended" in note(world, order)
    assert world.parked() == {}


def test_an_order_in_the_bin_takes_its_subscription_along(world: World) -> None:
    course = world.course("ONE")
    order, _ = buy(world, (monthly(world, course), 1))
    world.shop.trash_order(order)
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}


def test_an_order_back_from_the_bin_gives_nothing_for_good_while_its_subscription_is_in_there(
    make_world: Callable[..., World],
) -> None:
    """Both were binned before the bridge had looked; staff takes the order out, and later the subscription."""
    world = make_world(subscriptions=True)
    course = world.course("ONE")
    order, subscription = buy(world, (monthly(world, course), 1))
    world.shop.trash_order(order)
    world.shop.restore_order(order)
    world.owe("order", order)
    world.settle()
    assert world.access() == {}
    assert "take it out of the bin" in world.parked()[f"order {order}"]
    world.shop.change_subscription(subscription, "active")
    world.owe("subscription", subscription)
    world.settle()
    assert (world.access(), world.parked()) == ({(NIA, course): "active"}, {})
    world.shop.change_subscription(subscription, "cancelled")
    world.owe("subscription", subscription)
    world.settle()
    assert world.access() == {(NIA, course): "suspended"}


def test_a_renewal_whose_subscription_is_in_the_bin_is_no_purchase_for_good(make_world: Callable[..., World]) -> None:
    world = make_world(subscriptions=True)
    _, subscription = buy(world, (monthly(world, world.course("ONE")), 1))
    renewal = world.shop.renew(subscription, "card")
    world.shop.trash_subscription(subscription)
    world.owe("order", renewal)
    world.settle()
    assert (world.access(), world.parked()) == ({}, {})


def by_staff(world: World, product: int) -> int:
    """An order that staff has put together for Nia, and that is paid."""
    lines = [{"product_id": product, "quantity": 1}]
    return world.shop.create_order({"line_items": lines, "billing": {"email": NIA}, "set_paid": True})


def test_an_order_by_staff_of_what_is_sold_by_subscription_needs_a_person(world: World) -> None:
    """WooCommerce makes no subscription for an order that staff has put together."""
    course = world.course("ONE")
    order = by_staff(world, monthly(world, course))
    goes_on(world)
    assert world.access() == {}
    assert "make one that begins with this order" in world.parked()[f"order {order}"]
    line = world.shop.orders[order]["line_items"][0]["id"]
    world.shop.refund(order, lines={line: 1})
    goes_on(world)
    assert world.parked() == {}, "of what was given back nobody has to know what it gives"


def test_a_subscription_that_staff_makes_for_an_order_pays_for_what_it_is_of(world: World) -> None:
    course = world.course("ONE")
    product = monthly(world, course)
    order = by_staff(world, product)
    goes_on(world)
    fields = {"parent_id": order, "status": "active", "billing_period": "month", "billing_interval": 1}
    fields |= {"line_items": [{"product_id": product, "quantity": 1}], "dates": {}, "billing": {"email": NIA}}
    made = world.shop.create_subscription(fields)
    goes_on(world)
    assert (world.access(), world.parked()) == ({(NIA, course): "active"}, {})
    world.shop.change_subscription(made, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}


def test_while_the_plugin_is_away_nothing_sold_by_subscription_is_given_for_good(
    make_world: Callable[..., World],
) -> None:
    """It is deactivated for an update, say; what is sold for good goes on to be given, and the rest by itself later."""
    world = make_world(subscriptions=True)
    one, two, three = (world.course(code) for code in ("ONE", "TWO", "THREE"))
    tier, _ = tiers(world, ("basic", [three]), ("plus", [one, three]))
    nia = world.shop.add_customer(NIA)
    bought = [buy(world, (product, 1), customer_id=nia)[0] for product in (monthly(world, one), tier)]
    world.shop.has_subscriptions = False
    book = world.shop.place_order([(world.sell(two), 1)], email="ida@guest.test")
    for order in (*bought, book):
        world.owe("order", order)
    world.settle()
    assert world.access() == {("ida@guest.test", two): "active"}
    assert [("is away" in world.parked()[f"order {order}"]) for order in bought] == [True, True]
    world.shop.has_subscriptions = True
    world.owe("sweep", "all")
    world.settle()
    world.pass_time()
    world.settle()
    assert (world.access(), world.parked()) == (
        {("ida@guest.test", two): "active", (NIA, one): "active", (NIA, three): "active"},
        {},
    )
    for subscription in list(world.shop.subscriptions):
        world.shop.change_subscription(subscription, "cancelled")
        world.owe("subscription", subscription)
    world.settle()
    ended = {(NIA, one): "suspended", (NIA, three): "suspended"}
    assert world.access() == {("ida@guest.test", two): "active"} | ended


def test_a_subscription_that_never_was_is_let_go(world: World) -> None:
    world.owe("subscription", 999_999)
    for _ in range(10):
        world.settle()
        world.pass_time()
    assert (world.parked(), world.rows("subscriptions")) == ({}, [])


# --- what no delivery told -------------------------------------------------------------------------------------------


def test_the_sweep_finds_subscriptions_and_their_ends(make_world: Callable[..., World]) -> None:
    world = make_world(subscriptions=True)
    course = world.course("ONE")
    product = monthly(world, course)
    ends: dict[str, Callable[[int], None]] = {
        "kept": lambda one: None,
        "cancelled": lambda one: world.shop.change_subscription(one, "cancelled"),
        "binned": world.shop.trash_subscription,
    }
    for who in ends:
        world.shop.place_order([(product, 1)], email=f"{who}@pass.test")
    world.owe("sweep", "all")
    world.settle()
    assert world.access() == {(f"{who}@pass.test", course): "active" for who in ends}
    world.clock.advance(seconds=60)
    world.owe("sweep", "all")  # from now on all of it counts as seen
    world.settle()
    world.clock.advance(seconds=60)
    for one, end in zip(list(world.shop.subscriptions), ends.values(), strict=True):
        end(one)
    world.owe("sweep", "all")
    world.settle()
    assert {who: state for (who, _), state in world.access().items()} == {
        "kept@pass.test": "active",
        "cancelled@pass.test": "suspended",
        "binned@pass.test": "suspended",
    }


def test_a_subscription_deleted_for_good_without_a_word_is_missed_by_the_reconciliation(
    make_world: Callable[..., World],
) -> None:
    world = make_world(subscriptions=True)
    course = world.course("ONE")
    product = monthly(world, course)
    for who in ("gone", "kept", "binned"):
        world.shop.place_order([(product, 1)], email=f"{who}@pass.test")
    world.owe("sweep", "all")
    world.settle()
    gone, kept, binned = world.shop.subscriptions
    world.shop.delete_subscription(gone)
    world.shop.trash_subscription(binned)
    world.owe("reconcile", "all")
    world.settle()
    assert {who for (who, _), state in world.access().items() if state == "active"} == {"kept@pass.test"}
    world.shop.requests.clear()
    world.owe("reconcile", "all")
    world.settle()
    assert [r for r in world.shop.requests if r.endswith(f"/{kept}")] == []


# --- what is no subscription, and what is no order -------------------------------------------------------------------


def test_a_shop_without_the_plugin_is_not_asked_about_subscriptions_again_and_again(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    product = world.sell(world.course("ONE"))
    for n in range(4):
        world.owe("order", world.shop.place_order([(product, 1)], email=f"p{n}@guest.test"))
        world.settle()
        world.owe("sweep", "all")
        world.settle()
    assert len(world.access()) == 4
    assert len([request for request in world.shop.requests if re.search(r"orders/\d+/subscriptions", request)]) == 1


def test_a_plugin_installed_meanwhile_is_noticed(make_world: Callable[..., World]) -> None:
    world = make_world()
    course = world.course("ONE")
    world.owe("order", world.shop.place_order([(world.sell(course), 1)], email="before@guest.test"))
    world.settle()
    world.shop.has_subscriptions = True
    world.owe("sweep", "all")
    world.settle()
    order, subscription = buy(world, (monthly(world, course), 1))
    world.owe("order", order)
    world.settle()
    world.shop.change_subscription(subscription, "cancelled")
    world.owe("subscription", subscription)
    world.settle()
    assert world.access() == {("before@guest.test", course): "active", (NIA, course): "suspended"}


@pytest.mark.parametrize("status", ["active", "on-hold", "cancelled", "processing"])
def test_a_subscriptions_number_is_never_settled_as_an_order(world: World, status: str) -> None:
    """orders/NUMBER answers a subscription's number with the subscription, as if it were an order."""
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    world.shop.subscriptions[subscription]["status"] = status
    orders, purchases = len(world.rows("orders")), len(world.rows("purchases"))
    world.owe("order", subscription)
    world.settle()
    world.owe("note", subscription)
    world.settle()
    assert (len(world.rows("orders")), len(world.rows("purchases"))) == (orders, purchases)
    assert world.parked() == {}
    # What it is, is looked at instead.
    assert world.rows("subscriptions")[0].status == status


def test_without_the_shop_nothing_ends(world: World) -> None:
    """The plugin switched off for an hour, a proxy's page, a shop that is down: none says that access has ended."""
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    world.shop.has_subscriptions = False
    world.owe("subscription", subscription)
    world.owe("reconcile", "all")
    for _ in range(8):
        world.settle()
        world.pass_time()
    assert world.access() == {(NIA, course): "active"}
    world.shop.has_subscriptions = True
    world.pass_time()
    world.settle()
    assert (world.parked(), world.suspensions) == ({}, [])


def test_hollow_deliveries_lose_nothing(world: World) -> None:
    """After a change by REST, subscription.updated may come as ``[]``: the action of the status names it."""
    course = world.course("ONE")
    _, subscription = buy(world, (monthly(world, course), 1))
    world.shop.hollow.add(subscription)
    world.shop.change_subscription(subscription, "cancelled")
    goes_on(world)
    assert world.access() == {(NIA, course): "suspended"}
