"""Stories: what begins and ends by itself does so at its moment, late at most. On both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

import pytest

from bridge.domain.enrolments import LAST_LOOK
from bridge.seating import carry_out, decide
from bridge.store.ledger import Source
from tests.world import Offering, World


def midnight(day: datetime) -> datetime:
    """The beginning of a day in UTC."""
    return datetime.combine(day.date(), time(), UTC)


def sold(world: World, offers: Offering, course: int, how: str) -> int:
    """A product that gives the course in this way, at a world whose bridge knows it."""
    offers(f'[[offer]]\nsku = "IT"\ngives = ["course:{course}"]\n{how}')
    return world.shop.add_product("It", sku="IT", price="9.00")


def at(world: World, moment: datetime) -> None:
    """Go to a moment, and do what is due then and not a second before: nobody tells the bridge anything."""
    world.clock.set(moment)
    world.settle()


def status(world: World, address: str, course: int) -> str | None:
    """How the enrolment stands in Totara, None for none."""
    return world.access().get((address, course))


def ends(world: World, address: str, course: int) -> datetime | None:
    """When Totara itself ends the enrolment."""
    moment = world.totara.enrolments[world.user(address), course].timeend
    return datetime.fromtimestamp(moment, UTC) if moment else None


def seat_ends(world: World) -> list[datetime | None]:
    """When the bridge ends each seat."""
    return [seat.until for seat in world.rows("seats")]


def test_access_until_a_day_ends_with_that_day(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    last = midnight(world.now() + timedelta(days=20))
    product = sold(world, offers, course, f"until = {last.date()}")
    order = world.shop.place_order([(product, 1)], email="a@b.test")
    world.look(order)
    end = last + timedelta(days=1)
    assert ends(world, "a@b.test", course) == end
    at(world, end - timedelta(seconds=30))
    assert status(world, "a@b.test", course) == "active"
    assert world.totara.reachable(world.user("a@b.test"), course)
    at(world, end)
    assert status(world, "a@b.test", course) == "suspended"
    assert f"access ended on {end:%Y-%m-%d}" in world.told(order)
    assert world.parked() == {}


def test_days_of_access_end_on_the_second_and_totara_ends_them_at_the_same(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(sold(world, offers, course, "days = 30"), 1)], email="a@b.test")
    world.look(order)
    end = ends(world, "a@b.test", course)
    assert end is not None
    assert seat_ends(world) == [end]
    assert [row.until for row in world.rows("access")] == [end]
    at(world, end - timedelta(seconds=30))
    assert status(world, "a@b.test", course) == "active"
    at(world, end)
    assert status(world, "a@b.test", course) == "suspended"
    at(world, end + timedelta(days=1))
    assert world.bridge.work.find("learner", "1").due_at is None  # type: ignore[union-attr]


def test_what_was_ordered_before_it_starts_begins_at_its_start(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    start = midnight(world.now() + timedelta(days=10))
    product = sold(world, offers, course, f"starts = {start.date()}\ndays = 5")
    order = world.shop.place_order([(product, 1)], email="a@b.test")
    world.look(order)
    assert world.access() == {}
    assert f"access begins on {start:%Y-%m-%d}" in world.told(order)
    at(world, start - timedelta(seconds=30))
    assert world.access() == {}
    at(world, start)
    assert status(world, "a@b.test", course) == "active"
    assert ends(world, "a@b.test", course) == start + timedelta(days=5)
    assert "access ready" in world.told(order)
    at(world, start + timedelta(days=5))
    assert status(world, "a@b.test", course) == "suspended"


def test_what_was_ordered_before_its_start_and_cancelled_never_begins(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    start = midnight(world.now() + timedelta(days=10))
    order = world.shop.place_order([(sold(world, offers, course, f"starts = {start.date()}"), 1)], email="a@b.test")
    world.look(order)
    world.shop.set_status(order, "cancelled")
    world.look(order)
    at(world, start)
    assert world.access() == {}
    assert world.parked() == {}


def test_a_paid_order_on_hold_keeps_its_access_for_the_days_of_grace_and_then_not(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@b.test")
    world.look(order)
    world.shop.set_status(order, "on-hold")
    held = world.now()
    world.look(order)
    assert status(world, "a@b.test", course) == "active"
    (end,) = (row.grace_until for row in world.rows("purchases"))
    assert timedelta(days=7, seconds=-1) <= end - held < timedelta(days=7, seconds=30)
    assert f"until {end:%Y-%m-%d}" in world.told(order)
    # Each later look leaves the end where it was. Totara is not told: whether it ends is for us to say then.
    world.clock.advance(days=3)
    world.look(order)
    assert [row.grace_until for row in world.rows("purchases")] == [end]
    assert ends(world, "a@b.test", course) is None
    at(world, end - timedelta(seconds=30))
    assert status(world, "a@b.test", course) == "active"
    at(world, end)
    assert status(world, "a@b.test", course) == "suspended"
    # The review is over: all is as before, without an end.
    world.shop.set_status(order, "processing")
    world.look(order)
    assert status(world, "a@b.test", course) == "active"
    assert ends(world, "a@b.test", course) is None
    assert world.parked() == {}


def test_every_change_of_an_end_is_in_the_audit_log(world: World, offers: Offering) -> None:
    product = sold(world, offers, world.course("ONE"), "days = 30")
    first, second = (world.shop.place_order([(product, 1)], email="mia@guest.test") for _ in range(2))
    world.look(first)
    world.look(second)
    world.look(second)
    world.shop.set_status(second, "cancelled")
    world.look(second)
    told = [row.facts["until"] for row in world.rows("audit") if row.event == "access given"]
    assert len(told) == 3
    assert told[0] == told[2] < told[1]


def test_grace_that_ends_early_leaves_no_end_behind(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@b.test")
    world.look(order)
    world.shop.set_status(order, "on-hold")
    world.look(order)
    world.clock.advance(days=2)
    world.shop.set_status(order, "completed")
    world.look(order)
    assert ends(world, "a@b.test", course) is None
    at(world, world.now() + timedelta(days=30))
    assert status(world, "a@b.test", course) == "active"


def test_a_day_without_the_bridge_delays_what_was_due_and_skips_nothing(world: World, offers: Offering) -> None:
    short, late = world.course("ONE"), world.course("TWO")
    start = midnight(world.now() + timedelta(days=11))
    offers(
        f'[[offer]]\nsku = "SHORT"\ngives = ["course:{short}"]\ndays = 10\n'
        f'[[offer]]\nsku = "LATE"\ngives = ["course:{late}"]\nstarts = {start.date()}'
    )
    products = [world.shop.add_product(sku, sku=sku, price="9.00") for sku in ("SHORT", "LATE")]
    order = world.shop.place_order([(product, 1) for product in products], email="a@b.test")
    other = world.shop.place_order([(world.sell(world.course("THREE")), 1)], email="b@b.test")
    world.look(order, other)
    world.shop.set_status(other, "on-hold")
    world.look(other)
    # The bridge is away from before the first moment until after the last.
    at(world, start + timedelta(days=1))
    assert status(world, "a@b.test", short) == "suspended"
    assert status(world, "a@b.test", late) == "active"
    assert [state for (who, _), state in world.access().items() if who == "b@b.test"] == ["suspended"]
    assert world.parked() == {}


def test_a_day_without_totara_delays_what_was_due_and_skips_nothing(world: World, offers: Offering) -> None:
    course, late = world.course("ONE"), world.course("TWO")
    start = midnight(world.now() + timedelta(days=10))
    offers(
        f'[[offer]]\nsku = "SHORT"\ngives = ["course:{course}"]\ndays = 10\n'
        f'[[offer]]\nsku = "LATE"\ngives = ["course:{late}"]\nstarts = {start.date()}'
    )
    products = [world.shop.add_product(sku, sku=sku, price="9.00") for sku in ("SHORT", "LATE")]
    order = world.shop.place_order([(product, 1) for product in products], email="a@b.test")
    world.look(order)
    world.totara.faults.down()
    for hours in range(0, 48, 6):
        at(world, start + timedelta(hours=hours))
        world.pass_time()
    assert status(world, "a@b.test", late) is None
    world.totara.faults.clear()
    world.pass_time()
    world.settle()
    assert status(world, "a@b.test", course) == "suspended"
    assert status(world, "a@b.test", late) == "active"
    assert world.parked() == {}


def test_completion_is_read_shortly_before_access_ends(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    world.look(world.shop.place_order([(sold(world, offers, course, "days = 30"), 1)], email="a@b.test"))
    end = ends(world, "a@b.test", course)
    assert end is not None
    world.totara.complete(world.user("a@b.test"), course)
    at(world, end - LAST_LOOK)
    assert [row.completed for row in world.rows("access")] == [True]
    assert status(world, "a@b.test", course) == "active"
    at(world, end)
    (row,) = world.rows("access")
    assert (row.state, row.completed) == ("suspended", True)


def test_completion_is_read_too_when_somebody_has_the_access_looked_at_just_then(
    world: World, offers: Offering
) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(sold(world, offers, course, "days = 30"), 1)], email="a@b.test")
    world.look(order)
    end = ends(world, "a@b.test", course)
    assert end is not None
    world.totara.complete(world.user("a@b.test"), course)
    world.clock.set(end - LAST_LOOK)
    world.bridge.jobs.look_again("order", [order])
    world.settle()
    at(world, end)
    (row,) = world.rows("access")
    assert (row.state, row.completed) == ("suspended", True)


def test_bought_again_early_the_days_add_up(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    product = sold(world, offers, course, "days = 365")
    customer = world.shop.add_customer("a@b.test", "A", "B")
    world.look(world.shop.place_order([(product, 1)], customer_id=customer))
    first = ends(world, "a@b.test", course)
    assert first is not None
    world.clock.advance(days=300)
    world.look(world.shop.place_order([(product, 1)], customer_id=customer))
    assert ends(world, "a@b.test", course) == first + timedelta(days=365)
    at(world, first)
    assert status(world, "a@b.test", course) == "active"
    at(world, first + timedelta(days=365))
    assert status(world, "a@b.test", course) == "suspended"


def about(moment: datetime | None, expected: datetime) -> bool:
    """Whether it is that moment, but for the seconds that a test takes."""
    return moment is not None and abs(moment - expected) < timedelta(seconds=30)


def bought_three_times(world: World, offers: Offering, course: int) -> tuple[list[int], datetime]:
    """30 days on the first, the eleventh and the twenty-first day: the orders, and the end of the first 30 days."""
    product = sold(world, offers, course, "days = 30")
    customer = world.shop.add_customer("a@b.test", "A", "B")
    orders = []
    for n in range(3):
        world.clock.advance(days=10 if n else 0)
        orders.append(world.shop.place_order([(product, 1)], customer_id=customer))
        world.look(orders[-1])
    end = seat_ends(world)[0]
    assert end is not None
    assert ends(world, "a@b.test", course) == end + timedelta(days=60)
    return orders, end


@pytest.mark.parametrize(("back", "later"), [(0, 40), (1, 30), (2, 30)])
def test_of_what_was_bought_three_times_the_days_that_were_given_back_are_given_back(
    world: World, offers: Offering, back: int, later: int
) -> None:
    """With the first gone, the days count from when it was bought the second time."""
    course = world.course("ONE")
    orders, first = bought_three_times(world, offers, course)
    line = world.shop.orders[orders[back]]["line_items"][0]["id"]
    refund = world.shop.refund(orders[back], lines={line: 1})
    world.look(orders[back])
    assert about(ends(world, "a@b.test", course), first + timedelta(days=later))
    live = [seat for seat in world.rows("seats") if seat.ended_at is None]
    assert max(seat.until for seat in live) == ends(world, "a@b.test", course)
    world.shop.delete_refund(orders[back], refund)
    world.shop.set_status(orders[back], "completed")
    world.look(orders[back])
    assert ends(world, "a@b.test", course) == first + timedelta(days=60)
    assert seat_ends(world) == [first + timedelta(days=days) for days in (0, 30, 60)]
    assert (world.suspensions, world.parked()) == ([], {})


def test_a_shorter_end_comes_when_it_should_and_one_that_has_passed_at_once(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    orders, first = bought_three_times(world, offers, course)
    world.shop.set_status(orders[0], "cancelled")
    world.look(orders[0])
    at(world, first + timedelta(days=40, minutes=-1))
    assert status(world, "a@b.test", course) == "active"
    world.shop.set_status(orders[1], "refunded")
    world.look(orders[1])
    assert status(world, "a@b.test", course) == "suspended"
    assert world.parked() == {}
    world.shop.set_status(orders[1], "completed")
    world.look(orders[1])
    assert status(world, "a@b.test", course) == "active"
    at(world, first + timedelta(days=40, minutes=1))
    assert status(world, "a@b.test", course) == "suspended"


def test_days_after_what_was_sold_until_a_date_come_forward_when_that_is_given_back(
    world: World, offers: Offering
) -> None:
    course = world.course("ONE")
    last = midnight(world.now() + timedelta(days=20))
    offers(
        f'[[offer]]\nsku = "DATED"\ngives = ["course:{course}"]\nuntil = {last.date()}\n'
        f'[[offer]]\nsku = "DAYS"\ngives = ["course:{course}"]\ndays = 30'
    )
    customer = world.shop.add_customer("a@b.test", "A", "B")
    products = [world.shop.add_product(sku, sku=sku, price="9.00") for sku in ("DATED", "DAYS")]
    orders = [world.shop.place_order([(product, 1)], customer_id=customer) for product in products]
    for order in orders:
        world.look(order)
    then = world.now()
    assert ends(world, "a@b.test", course) == last + timedelta(days=31)
    world.shop.set_status(orders[0], "on-hold")  # and its end comes a little nearer
    world.look(orders[0])
    world.shop.set_status(orders[0], "completed")
    world.look(orders[0])
    assert ends(world, "a@b.test", course) == last + timedelta(days=31)
    world.shop.set_status(orders[0], "refunded")
    world.look(orders[0])
    end = ends(world, "a@b.test", course)
    assert end is not None
    assert timedelta(days=30, seconds=-60) <= end - then <= timedelta(days=30)
    assert (world.suspensions, world.parked()) == ([], {})


def test_a_seat_cut_short_is_over_and_what_was_bought_again_begins_there(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    orders, first = bought_three_times(world, offers, course)
    source = Source("order", orders[0])
    with world.bridge.store.begin() as connection:
        decision = decide(connection, source, [world.rows("seats")[0].id], world.now())
        carry_out(connection, world.bridge.work, source, decision, world.now(), by="M. Vella", why="a ticket")
    world.settle()
    assert about(ends(world, "a@b.test", course), first + timedelta(days=50))
    assert about(seat_ends(world)[0], first - timedelta(days=10))
    assert (world.suspensions, world.parked()) == ([], {})


def test_bought_again_late_the_days_begin_anew(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    product = sold(world, offers, course, "days = 10")
    customer = world.shop.add_customer("a@b.test", "A", "B")
    world.look(world.shop.place_order([(product, 1)], customer_id=customer))
    at(world, world.now() + timedelta(days=50))
    assert status(world, "a@b.test", course) == "suspended"
    again = world.now()
    world.look(world.shop.place_order([(product, 1)], customer_id=customer))
    end = ends(world, "a@b.test", course)
    assert end is not None
    assert timedelta(days=10, seconds=-1) <= end - again < timedelta(days=10, seconds=30)


def test_days_begin_at_once_also_where_the_course_is_had_for_good(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    timed = sold(world, offers, course, "days = 30")
    customer = world.shop.add_customer("a@b.test", "A", "B")
    for_good = world.shop.place_order([(world.sell(course), 1)], customer_id=customer)
    world.look(for_good)
    world.look(world.shop.place_order([(timed, 1)], customer_id=customer))
    _, until = seat_ends(world)
    assert until is not None
    assert ends(world, "a@b.test", course) is None
    world.clock.advance(days=10)
    world.shop.set_status(for_good, "cancelled")
    world.look(for_good)
    assert status(world, "a@b.test", course) == "active"
    assert ends(world, "a@b.test", course) == until


def test_days_do_not_count_for_what_a_subscription_pays_for(make_world: Callable[..., World]) -> None:
    world = make_world(subscriptions=True)
    course = world.course("ONE")
    world.sell(course)
    fields = [{"key": "bridge_gives", "value": f"course:{course}"}, {"key": "bridge_days", "value": "31"}]
    product = world.shop.add_product("Pass", type="subscription", price="20.00", sku="pass", meta_data=fields)
    order = world.shop.place_order([(product, 1)], email="a@b.test")
    (subscription,) = world.shop.subscriptions
    world.owe("subscription", subscription)
    world.look(order)
    assert seat_ends(world) == [None]
    world.clock.advance(days=30)
    renewal = world.shop.renew(subscription)
    world.owe("subscription", subscription)
    world.look(renewal)
    at(world, world.now() + timedelta(days=10))
    assert status(world, "a@b.test", course) == "active"
    assert ends(world, "a@b.test", course) is None
    world.shop.change_subscription(subscription, "cancelled")
    world.owe("subscription", subscription)
    world.settle()
    assert status(world, "a@b.test", course) == "suspended"


def test_days_for_two_courses_add_up_to_the_later_of_what_is_there(world: World, offers: Offering) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    offers(
        f'[[offer]]\nsku = "TWO"\ngives = ["course:{two}"]\ndays = 10\n'
        f'[[offer]]\nsku = "BOTH"\ngives = ["course:{one}", "course:{two}"]\ndays = 30'
    )
    customer = world.shop.add_customer("a@b.test", "A", "B")
    for sku in ("TWO", "BOTH"):
        product = world.shop.add_product(sku, sku=sku, price="9.00")
        world.look(world.shop.place_order([(product, 1)], customer_id=customer))
    first, both = seat_ends(world)
    assert first is not None
    assert both == first + timedelta(days=30)
    assert ends(world, "a@b.test", one) == ends(world, "a@b.test", two) == both


def test_an_end_is_kept_although_something_else_of_the_learner_needs_a_person(world: World, offers: Offering) -> None:
    course, officers = world.course("ONE"), world.totara.add_audience("Officers")
    offers(f'[[offer]]\nsku = "IT"\ngives = ["course:{course}", "audience:{officers}"]\ndays = 30')
    order = world.shop.place_order([(world.shop.add_product("It", sku="IT", price="9.00"), 1)], email="a@b.test")
    world.look(order)
    end = ends(world, "a@b.test", course)
    assert end is not None
    world.totara.delete_audience(officers)
    world.bridge.jobs.look_again("order", [order])
    world.settle()
    assert f"audience {officers}" in world.parked()["learner 1"]
    at(world, end)
    assert status(world, "a@b.test", course) == "suspended"
    assert world.parked() == {}


@pytest.mark.parametrize("status_then", ["cancelled", "on-hold"])
def test_days_that_have_begun_run_on_while_an_order_is_cancelled_or_held(
    world: World, offers: Offering, status_then: str
) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(sold(world, offers, course, "days = 30"), 1)], email="a@b.test")
    world.look(order)
    end = ends(world, "a@b.test", course)
    world.shop.set_status(order, status_then)
    world.look(order)
    world.clock.advance(days=2)
    world.shop.set_status(order, "completed")
    world.look(order)
    assert status(world, "a@b.test", course) == "active"
    assert ends(world, "a@b.test", course) == end
