"""Stories: what a product gives beyond the one course of its SKU. On both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.world import Offering, World


def ends(world: World, address: str, course: int) -> datetime | None:
    """When Totara itself ends an enrolment."""
    moment = world.totara.enrolments[world.user(address), course].timeend
    return datetime.fromtimestamp(moment, UTC) if moment else None


def meta(**told: Any) -> list[dict[str, Any]]:
    """Product meta as the staff writes them: ``gives="course:12"``."""
    return [{"key": f"bridge_{key.rstrip('_')}", "value": str(value)} for key, value in told.items()]


# --- what one unit gives ---------------------------------------------------------------------------------------------


def test_one_product_gives_every_course_and_audience_that_its_offer_names(world: World, offers: Offering) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    officers = world.totara.add_audience("Officers")
    offers(f'[[offer]]\nsku = "BASICS"\ngives = ["course:{one}", "course:{two}", "audience:{officers}"]')
    order = world.shop.place_order([(world.shop.add_product("Basics", sku="basics", price="90"), 1)], email="a@b.test")
    world.look(order)
    assert world.access() == {("a@b.test", one): "active", ("a@b.test", two): "active"}
    assert world.totara.members_of(officers) == {world.user("a@b.test")}
    assert len(world.rows("seats")) == 1
    for item in (f"course {one}", f"course {two}", f"audience {officers}"):
        assert f"{item}: access ready" in world.told(order)
    assert world.parked() == {}


def test_days_of_access_begin_with_the_first_enrolment_not_with_the_order(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    offers(f'[[offer]]\nsku = "MONTH"\ngives = ["course:{course}"]\ndays = 30')
    product = world.shop.add_product("A month", sku="MONTH", price="30.00")
    order = world.shop.place_order([(product, 1)], email="a@b.test", payment="bacs")
    world.look(order)
    world.clock.advance(days=3)
    begun = world.now()
    world.shop.set_status(order, "processing")
    world.look(order)
    end = ends(world, "a@b.test", course)
    assert end is not None
    assert begun + timedelta(days=30, seconds=-1) <= end <= world.now() + timedelta(days=30)
    assert [seat.until for seat in world.rows("seats")] == [end]
    assert f"until {end:%Y-%m-%d}" in world.told(order)
    # Looked at again later, they have not begun anew.
    world.clock.advance(days=5)
    world.owe("learner", 1)
    world.look(order)
    assert ends(world, "a@b.test", course) == end


def test_days_of_access_do_not_begin_while_the_course_can_not_be_given(world: World, offers: Offering) -> None:
    good, late = world.course("ONE"), world.course("TWO", enrol_methods=("self",))
    offers("\n".join(f'[[offer]]\nsku = "M{one}"\ngives = ["course:{one}"]\ndays = 30' for one in (good, late)))
    products = [world.shop.add_product(f"M {one}", sku=f"M{one}", price="30.00") for one in (good, late)]
    world.look(world.shop.place_order([(product, 1) for product in products], email="a@b.test"))
    world.clock.advance(days=10)
    world.totara.edit_course(late, enrol_methods=("manual",))
    mended = world.now()
    world.owe("learner", 1)
    world.settle()
    end, first = ends(world, "a@b.test", late), ends(world, "a@b.test", good)
    assert end is not None
    assert first is not None
    assert end >= mended + timedelta(days=30, seconds=-1)
    assert first < mended + timedelta(days=21)


def test_days_from_a_fixed_date_end_the_same_for_everybody(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    start = (world.now() - timedelta(days=10)).date()
    offers(f'[[offer]]\nsku = "AUTUMN"\ngives = ["course:{course}"]\ndays = 30\nstarts = {start}')
    product = world.shop.add_product("Autumn", sku="AUTUMN", price="30.00")
    early = world.shop.place_order([(product, 1)], email="early@b.test")
    world.look(early)
    world.clock.advance(days=5)
    world.look(world.shop.place_order([(product, 1)], email="late@b.test"))
    end = datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=30)
    assert ends(world, "early@b.test", course) == ends(world, "late@b.test", course) == end


def test_a_unit_of_several_seats_makes_as_many(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    offers(f'[[offer]]\nsku = "TEN"\ngives = ["course:{course}"]\nseats = 10')
    product = world.shop.add_product("Ten seats", sku="TEN", price="900.00")
    world.look(world.shop.place_order([(product, 2)], email="boss@b.test"))
    assert [seat.person_id for seat in world.rows("seats")] == [None] * 20
    assert world.access() == {}


@pytest.mark.parametrize(
    ("whom", "seats", "quantity", "line", "taken"),
    [
        ("buyer", 1, 3, {}, 1),
        ("buyer", 3, 1, {"_bridge_for": "team"}, 1),
        ("team", 1, 1, {}, 0),
        ("team", 1, 1, {"_bridge_for": "me"}, 0),
        ("ask", 1, 1, {}, 1),
        ("ask", 1, 3, {}, 0),
        ("ask", 1, 1, {"_bridge_for": "team"}, 0),
        ("ask", 1, 3, {"_bridge_for": "me"}, 1),
    ],
)
def test_who_sits_on_the_seats_is_told_by_the_offer_or_by_the_buyer(
    world: World, offers: Offering, whom: str, seats: int, quantity: int, line: dict[str, str], taken: int
) -> None:
    course = world.course("ONE")
    offers(f'[[offer]]\nsku = "IT"\ngives = ["course:{course}"]\nseats = {seats}\nfor = "{whom}"')
    product = world.shop.add_product("It", sku="IT", price="9.00")
    world.look(world.shop.place_order([{"product_id": product, "quantity": quantity, "meta": line}], email="a@b.test"))
    sitting = [seat.person_id is not None for seat in world.rows("seats")]
    assert (sitting.count(True), len(sitting)) == (taken, seats * quantity)
    assert len(world.access()) == taken


# --- where it is set -------------------------------------------------------------------------------------------------


def test_the_staff_sets_an_offer_in_the_products_own_meta(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    fields = meta(gives=f"course:{one}, course:{two}", days=10, seats=2, for_="buyer")
    product = world.shop.add_product("Both", sku="BOTH", price="9.00", meta_data=fields)
    # Courses must be selected for sale, wherever they are named: these have products of their own.
    world.sell(one)
    world.sell(two)
    world.look(world.shop.place_order([(product, 1)], email="a@b.test"))
    assert world.access() == {("a@b.test", one): "active", ("a@b.test", two): "active"}
    assert len(world.rows("seats")) == 2
    assert ends(world, "a@b.test", one) == ends(world, "a@b.test", two)
    assert ends(world, "a@b.test", one) is not None


def test_meta_without_a_course_only_changes_how_the_products_own_course_is_given(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    world.shop.edit_product(product, meta_data=meta(days=7))
    world.look(world.shop.place_order([(product, 1)], email="a@b.test"))
    end = ends(world, "a@b.test", course)
    assert end is not None
    assert timedelta(days=6, hours=23) < end - world.now() <= timedelta(days=7)


def test_the_meta_of_a_variation_counts_before_that_of_its_product(world: World) -> None:
    course = world.course("ONE")
    product = world.shop.add_product("HS", sku="HS", type="variable", meta_data=meta(gives=f"course:{course}", days=10))
    world.sell(course)
    for name, own in (("short", []), ("long", meta(days=100))):
        variation = world.shop.add_variation(product, price="9.00", attributes=[("Time", name)], meta_data=own)
        world.look(world.shop.place_order([(variation, 1)], email=f"{name}@b.test"))
    short, long = (ends(world, f"{name}@b.test", course) for name in ("short", "long"))
    assert short is not None
    assert long is not None
    assert (long - short).days in (89, 90)


def test_the_operators_file_counts_before_the_products_meta(world: World, offers: Offering) -> None:
    filed, told = world.course("ONE"), world.course("TWO")
    product = world.shop.add_product("It", price="9.00", meta_data=meta(gives=f"course:{told}"))
    offers(f'[[offer]]\nproduct = {product}\ngives = ["course:{filed}"]')
    world.look(world.shop.place_order([(product, 1)], email="a@b.test"))
    assert world.access() == {("a@b.test", filed): "active"}


def test_what_a_line_was_sold_with_counts_before_whatever_is_set_later(world: World, offers: Offering) -> None:
    old, new = world.course("ONE"), world.course("TWO")
    offers(f'[[offer]]\nsku = "IT"\ngives = ["course:{old}"]')
    product = world.shop.add_product("It", sku="IT", price="9.00")
    order = world.shop.place_order([(product, 1)], email="a@b.test", payment="bacs")
    world.look(order)
    offers(f'[[offer]]\nsku = "IT"\ngives = ["course:{new}"]')
    world.shop.set_status(order, "processing")
    world.look(order)
    world.look(world.shop.place_order([(product, 1)], email="next@b.test"))
    assert world.access() == {("a@b.test", old): "active", ("next@b.test", new): "active"}


@pytest.mark.parametrize("how", ["file", "meta"])
def test_a_product_of_a_course_can_be_told_to_give_nothing(world: World, offers: Offering, how: str) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    if how == "file":
        offers(f"[[offer]]\nproduct = {product}\ngives = []")
    else:
        world.shop.edit_product(product, meta_data=meta(gives="nothing"))
    order = world.shop.place_order([(product, 1)], email="a@b.test")
    world.look(order)
    assert world.access() == {}
    assert world.parked() == {}
    assert world.told(order) == ""
    assert world.totara.user_by_email("a@b.test") is None


def test_a_line_that_gives_nothing_passes_untouched(world: World) -> None:
    book = world.shop.add_product("A book", sku="book-1", price="20.00")
    order = world.shop.place_order([(book, 2)], email="a@b.test")
    before = dict(world.shop.orders[order])
    world.look(order)
    assert world.shop.orders[order] == before
    assert world.rows("seats") == []
    assert world.rows("persons") == []
    assert world.totara.requests == []
    assert world.parked() == {}


# --- what can't be told ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"sku": "totara-course-fire"}, "no course's"),
        ({"meta_data": meta(gives="curse:12")}, "course:12"),
        ({"meta_data": meta(gives="course:12", days="soon")}, "bridge_days"),
        ({"meta_data": meta(days=10)}, "bridge_gives is missing"),
        ({"meta_data": meta(gives="audience:77")}, "may_sell"),
    ],
)
def test_a_product_that_should_give_something_and_can_not_is_parked_with_its_name_and_the_fix(
    world: World, fields: dict[str, Any], problem: str
) -> None:
    course = world.course("ONE")
    product = world.shop.add_product("Fire safety", price="10.00", **fields)
    order = world.shop.place_order([(product, 1), (world.sell(course), 1)], email="a@b.test")
    world.look(order)
    reason = world.parked()[f"order {order}"]
    assert "'Fire safety'" in reason
    assert problem in reason
    assert world.access() == {("a@b.test", course): "active"}
    # Mended as it was told, and tried again:
    mended = world.course("TWO")
    world.sell(mended)
    world.shop.edit_product(product, sku="", meta_data=meta(gives=f"course:{mended}", days=5))
    world.restart()
    world.look(order)
    assert world.access() == {("a@b.test", course): "active", ("a@b.test", mended): "active"}
    assert world.parked() == {}


def test_a_product_put_into_the_bin_before_anybody_looked_gives_what_it_was_sold_with(world: World) -> None:
    course = world.course("ONE")
    world.sell(course)
    product = world.shop.add_product("Fire safety", price="10.00", meta_data=meta(gives=f"course:{course}"))
    order = world.shop.place_order([(product, 1)], email="a@b.test")
    world.shop.delete_product(product)
    world.look(order)
    assert world.access() == {("a@b.test", course): "active"}
    assert world.parked() == {}


def test_a_course_without_a_product_is_not_given_by_a_products_meta(world: World) -> None:
    course = world.course("ONE", category=world.restricted)
    product = world.shop.add_product("Cheap", price="1.00", meta_data=meta(gives=f"course:{course}"))
    order = world.shop.place_order([(product, 1)], email="a@b.test")
    world.look(order)
    assert world.access() == {}
    assert f"course {course}" in world.parked()["learner 1"]
    assert "denied" in world.parked()["learner 1"]


# --- bundles ---------------------------------------------------------------------------------------------------------


def test_a_grouped_product_gives_each_of_its_children_once(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    group = world.shop.add_product("Both", type="grouped", grouped_products=[world.sell(one), world.sell(two)])
    order = world.shop.place_order([(group, 1)], email="a@b.test")
    world.look(order)
    assert world.access() == {("a@b.test", one): "active", ("a@b.test", two): "active"}
    first = world.shop.orders[order]["line_items"][0]["id"]
    world.shop.refund(order, lines={first: 1})
    world.look(order)
    assert world.access() == {("a@b.test", one): "suspended", ("a@b.test", two): "active"}


@pytest.mark.parametrize("priced_individually", [False, True])
def test_a_bundle_gives_its_children_and_the_refund_of_its_line_takes_them(
    world: World, priced_individually: bool
) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    children = [world.sell(one, "40.00"), world.sell(two, "60.00")]
    bundle = world.shop.add_bundle("Both", children, price="50.00", priced_individually=priced_individually)
    order = world.shop.place_order([(bundle, 1)], email="a@b.test")
    world.look(order)
    assert world.access() == {("a@b.test", one): "active", ("a@b.test", two): "active"}
    assert len(world.rows("seats")) == 2
    # Something else stays, so that the order is not refunded as a whole.
    world.shop.add_line(order, (world.shop.add_product("A book", price="5.00"), 1))
    parent = world.shop.orders[order]["line_items"][0]["id"]
    world.shop.refund(order, lines={parent: 1})
    assert world.shop.orders[order]["status"] == "processing"
    world.look(order)
    assert world.access() == {("a@b.test", one): "suspended", ("a@b.test", two): "suspended"}
    assert world.parked() == {}


def test_of_a_bundle_whose_children_have_prices_one_child_can_be_refunded(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    children = [world.sell(one, "40.00"), world.sell(two, "60.00")]
    order = world.shop.place_order(
        [(world.shop.add_bundle("Both", children, priced_individually=True), 1)], email="a@b.test"
    )
    world.look(order)
    second = world.shop.orders[order]["line_items"][2]["id"]
    world.shop.refund(order, lines={second: 1})
    world.look(order)
    assert world.access() == {("a@b.test", one): "active", ("a@b.test", two): "suspended"}


def test_what_the_bundle_gives_itself_its_children_do_not_give_twice(world: World, offers: Offering) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    offers(f'[[offer]]\nsku = "BOTH"\ngives = ["course:{one}"]\ndays = 30')
    bundle = world.shop.add_bundle("Both", [world.sell(one), world.sell(two)], price="50.00", sku="BOTH")
    order = world.shop.place_order([(bundle, 1)], email="a@b.test")
    for _ in range(2):
        world.look(order)
        assert world.access() == {("a@b.test", one): "active", ("a@b.test", two): "active"}
        assert len(world.rows("seats")) == 2
    assert ends(world, "a@b.test", one) is not None
    assert ends(world, "a@b.test", two) is None


def test_two_of_a_bundle_with_two_of_a_course_and_one_is_refunded(world: World) -> None:
    course = world.course("ONE")
    bundle = world.shop.add_bundle("Pairs", [(world.sell(course), 2)], price="50.00")
    order = world.shop.place_order([(bundle, 2)], email="boss@b.test")
    world.look(order)
    assert [seat.ended_at for seat in world.rows("seats")] == [None] * 4
    world.shop.refund(order, lines={world.shop.orders[order]["line_items"][0]["id"]: 1})
    world.look(order)
    assert [seat.ended_at is None for seat in world.rows("seats")].count(True) == 2


def test_a_course_of_a_bundle_that_was_denied_waits_while_the_others_are_given(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    bundle = world.shop.add_bundle("Both", [world.sell(one), world.sell(two)], price="50.00")
    world.totara.move_course(two, world.restricted)
    order = world.shop.place_order([(bundle, 1)], email="a@b.test")
    world.look(order)
    assert world.access() == {("a@b.test", one): "active"}
    assert f"course {two}: it is denied" in world.parked()["learner 1"] or "denied" in world.parked()["learner 1"]
    assert f"course {one}: access ready" in world.told(order)
    assert f"course {two}: waiting" in world.told(order)
    world.totara.move_course(two, world.public)
    world.restart()
    world.owe("learner", 1)
    world.settle()
    assert world.access() == {("a@b.test", one): "active", ("a@b.test", two): "active"}
    assert world.parked() == {}


# --- audiences, programs, certifications -----------------------------------------------------------------------------


def test_membership_in_an_audience_is_given_and_taken_back(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    officers = world.totara.add_audience("Officers", courses=[course])
    offers(f'[[offer]]\nsku = "CLUB"\ngives = ["audience:{officers}"]')
    order = world.shop.place_order([(world.shop.add_product("Club", sku="CLUB", price="9.00"), 1)], email="a@b.test")
    for status, expected in (("processing", True), ("cancelled", False), ("completed", True), ("cancelled", False)):
        world.shop.set_status(order, status)
        world.look(order)
        user = world.user("a@b.test")
        assert (user in world.totara.members_of(officers)) is expected, status
        assert world.totara.reachable(user, course) is expected, status
    assert world.parked() == {}


@pytest.mark.parametrize("kind", ["program", "certification"])
def test_an_assignment_to_a_program_is_given_and_taken_back(world: World, offers: Offering, kind: str) -> None:
    course = world.course("ONE")
    program = world.totara.add_program(
        "Officer", shortname="OFF", courses=[course], certification=kind == "certification"
    )
    offers(f'[[offer]]\nsku = "OFF"\ngives = ["{kind}:{program}"]')
    order = world.shop.place_order([(world.shop.add_product("Officer", sku="OFF", price="9.00"), 1)], email="a@b.test")
    for status, expected in (("processing", True), ("cancelled", False), ("completed", True), ("cancelled", False)):
        world.shop.set_status(order, status)
        world.look(order)
        user = world.user("a@b.test")
        assert (user in world.totara.program_learners(program)) is expected, status
        assert world.totara.open_course(user, course) is expected, status
    assert world.parked() == {}


@pytest.mark.parametrize("kind", ["audience", "program"])
def test_what_somebody_else_gave_before_stays_when_our_reason_for_it_ends(
    world: World, offers: Offering, kind: str
) -> None:
    first = world.course("ONE")
    one = (
        world.totara.add_audience("Officers")
        if kind == "audience"
        else world.totara.add_program("Officer", shortname="OFF")
    )

    def there() -> bool:
        held = world.totara.members_of(one) if kind == "audience" else world.totara.program_learners(one)
        return world.user("a@b.test") in held

    world.look(world.shop.place_order([(world.sell(first), 1)], email="a@b.test"))
    if kind == "audience":
        world.totara.add_member(one, world.user("a@b.test"))
    else:
        world.totara.assign(one, user=world.user("a@b.test"))
    offers(f'[[offer]]\nsku = "CLUB"\ngives = ["{kind}:{one}"]')
    order = world.shop.place_order([(world.shop.add_product("Club", sku="CLUB", price="9.00"), 1)], email="a@b.test")
    world.look(order)
    assert there()
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert there()
    assert world.parked() == {}


@pytest.mark.parametrize("fault", ["down", "cut"])
def test_a_membership_from_before_stays_also_when_the_first_try_to_give_it_failed(
    world: World, offers: Offering, fault: str
) -> None:
    first, officers = world.course("ONE"), world.totara.add_audience("Officers")
    world.look(world.shop.place_order([(world.sell(first), 1)], email="a@b.test"))
    world.totara.add_member(officers, world.user("a@b.test"))
    offers(f'[[offer]]\nsku = "CLUB"\ngives = ["audience:{officers}"]')
    product = world.shop.add_product("Club", sku="CLUB", price="9.00")
    order = world.shop.place_order([(product, 1)], email="a@b.test")
    for name in ("core_cohort_get_cohort_members", "core_cohort_add_cohort_members"):
        getattr(world.totara.faults, fault)(name, times=1)
    world.look(order)
    for _ in range(3):
        world.pass_time()
        world.settle()
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert world.user("a@b.test") in world.totara.members_of(officers)


def test_a_membership_that_others_had_given_is_ours_once_they_took_it_and_we_gave_it(
    world: World, offers: Offering
) -> None:
    first, officers = world.course("ONE"), world.totara.add_audience("Officers")
    world.look(world.shop.place_order([(world.sell(first), 1)], email="a@b.test"))
    user = world.user("a@b.test")
    world.totara.add_member(officers, user)
    offers(f'[[offer]]\nsku = "CLUB"\ngives = ["audience:{officers}"]')
    product = world.shop.add_product("Club", sku="CLUB", price="9.00")
    order = world.shop.place_order([(product, 1)], email="a@b.test")
    world.look(order)
    world.totara.remove_member(officers, user)
    world.bridge.jobs.look_again("order", [order])
    world.settle()
    assert user in world.totara.members_of(officers)
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert user not in world.totara.members_of(officers)


def test_an_audience_that_is_gone_keeps_nobody_from_the_course_beside_it(world: World, offers: Offering) -> None:
    course, officers = world.course("ONE"), world.totara.add_audience("Officers")
    offers(f'[[offer]]\nsku = "CLUB"\ngives = ["audience:{officers}", "course:{course}"]')
    world.totara.delete_audience(officers)
    order = world.shop.place_order([(world.shop.add_product("Club", sku="CLUB", price="9.00"), 1)], email="a@b.test")
    world.look(order)
    assert world.access() == {("a@b.test", course): "active"}
    assert f"audience {officers}" in world.parked()["learner 1"]


def test_an_audience_deleted_in_totara_is_let_go_of_when_the_order_ends(world: World, offers: Offering) -> None:
    course, officers = world.course("ONE"), world.totara.add_audience("Officers")
    offers(f'[[offer]]\nsku = "CLUB"\ngives = ["audience:{officers}", "course:{course}"]')
    order = world.shop.place_order([(world.shop.add_product("Club", sku="CLUB", price="9.00"), 1)], email="a@b.test")
    world.look(order)
    world.totara.delete_audience(officers)
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert world.access() == {("a@b.test", course): "suspended"}
    assert world.parked() == {}


def test_an_audience_that_the_operator_did_not_name_is_refused_and_nobody_joins(world: World, offers: Offering) -> None:
    allowed, admins = world.totara.add_audience("Officers"), world.totara.add_audience("Administrators")
    offers(f'may_sell = ["audience:{allowed}"]')
    product = world.shop.add_product(
        "Sneaky", price="1.00", meta_data=meta(gives=f"audience:{allowed},audience:{admins}")
    )
    order = world.shop.place_order([(product, 1)], email="a@b.test")
    world.look(order)
    assert f"audience {admins} may not be sold" in world.parked()[f"order {order}"]
    assert world.totara.members_of(admins) == set()
    world.shop.edit_product(product, meta_data=meta(gives=f"audience:{allowed}"))
    world.restart(orders=world.bridge.settings.orders.model_dump())
    world.look(order)
    assert world.totara.members_of(allowed) == {world.user("a@b.test")}
    assert world.parked() == {}


def test_an_audience_that_is_not_sold_any_more_is_not_given_again(world: World, offers: Offering) -> None:
    officers = world.totara.add_audience("Officers")
    offers(f'[[offer]]\nsku = "CLUB"\ngives = ["audience:{officers}"]')
    order = world.shop.place_order(
        [(world.shop.add_product("Club", sku="CLUB", price="9.00"), 1)], email="a@b.test", payment="bacs"
    )
    world.look(order)
    offers("")
    world.shop.set_status(order, "processing")
    world.look(order)
    assert world.totara.members_of(officers) == set()
    assert f"audience {officers}: it is not for sale" in world.parked()["learner 1"]
