"""Stories in which somebody, or something, does what nobody expects. On both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import request

from bridge.commands.common import holding
from bridge.domain.purchases import MOST_SEATS
from bridge.store.models import products
from tests.world import World


def bought(world: World, course: int, **more: Any) -> int:
    """A settled order of one guest for one course that is on sale."""
    order = world.shop.place_order([(world.sell(course), 1)], **{"email": "g@guest.test", **more})
    world.owe("order", order)
    world.settle()
    return order


def test_while_woocommerce_is_switched_off_nobody_loses_access(world: World) -> None:
    course = world.course("ONE")
    order = bought(world, course)

    def off() -> Any:
        return (
            ({"code": "rest_no_route", "message": "No route", "data": {"status": 404}}, 404) if switched_off else None
        )

    switched_off = True
    world.shop.app.before_request_funcs.setdefault(None, []).append(off)
    world.owe("order", order)
    world.settle()
    assert world.access() == {("g@guest.test", course): "active"}
    switched_off = False
    world.pass_time()
    world.settle()
    assert world.access() == {("g@guest.test", course): "active"}
    assert world.parked() == {}


def test_looking_again_gives_nothing_that_is_denied_by_now(world: World) -> None:
    course = world.course("ONE")
    order = bought(world, course)
    world.totara.move_course(course, world.restricted)
    world.totara.enrolments[next(iter(world.totara.enrolments))].status = "suspended"
    world.bridge = world.new_bridge()
    world.bridge.jobs.look_again("order", [order])
    world.settle()
    assert world.access() == {("g@guest.test", course): "suspended"}
    assert "denied" in world.parked()["learner 1"]


def test_a_hidden_course_with_a_denied_tag_is_not_given(make_world: Callable[..., World]) -> None:
    world = make_world(catalogue={"deny": [{"tag": "1"}]})
    course = world.course("ONE", visible=0)
    bought(world, course)
    assert world.access() == {}
    assert "does not show" in world.parked()["learner 1"]


def test_audience_visibility_counts_for_a_paid_order_too(make_world: Callable[..., World]) -> None:
    world = make_world(catalogue={"visibility": "audience", "deny": [{"visible": False}]})
    course = world.course("ONE", audiencevisible=0)
    bought(world, course)
    assert world.access() == {}
    assert "denied" in world.parked()["learner 1"]


def test_a_product_whose_sku_staff_changed_is_neither_doubled_nor_forgotten(world: World) -> None:
    course = world.course("ONE")
    world.bridge.catalogue.sync()
    one = world.product(course)["id"]
    world.shop.edit_product(one, sku="HS-101")
    world.bridge.catalogue.sync()
    assert len(world.shop.products) == 1
    world.owe("order", world.shop.place_order([(one, 1)], email="g@guest.test"))
    world.settle()
    assert world.access() == {("g@guest.test", course): "active"}


def test_what_staff_wrote_survives_a_retirement_and_the_return(world: World) -> None:
    courses = [world.course(f"C{n}", summary="<p>old</p>") for n in range(4)]
    world.bridge.catalogue.sync()
    one = world.product(courses[0])["id"]
    world.shop.edit_product(one, description="<p>written by staff</p>")
    world.totara.edit_course(courses[0], visible=0)
    world.bridge.catalogue.sync()
    world.totara.edit_course(courses[0], visible=1, summary="<p>new from Totara</p>")
    world.bridge.catalogue.sync()
    assert "written by staff" in world.shop.products[one]["description"]


def test_a_product_that_staff_took_off_sale_is_not_published_again(world: World) -> None:
    courses = [world.course(f"C{n}") for n in range(4)]
    world.bridge.catalogue.sync()
    one = world.product(courses[0])["id"]
    world.shop.edit_product(one, status="draft")
    for visible in (0, 1):
        world.totara.edit_course(courses[0], visible=visible)
        world.bridge.catalogue.sync()
    assert world.shop.products[one]["status"] == "draft"


def test_a_category_that_answers_with_nothing_takes_nothing_off_sale(world: World) -> None:
    other = world.totara.add_category("Other")
    courses = [world.course(f"C{n}", category=other if n < 3 else None) for n in range(8)]
    world.bridge.catalogue.sync()
    real = world.bridge.totara.courses_in
    world.bridge.totara.courses_in = (  # type: ignore[method-assign]
        lambda category_id: [] if category_id == other else real(category_id)
    )
    world.bridge.catalogue.sync()
    assert {world.product(course)["status"] for course in courses} == {"publish"}


def test_two_seats_reduced_to_one_leave_it_to_the_team_to_say_whose_it_is(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 2)], email="g@guest.test")
    world.owe("order", order)
    world.settle()
    assert world.access() == {}
    world.shop.edit_line(order, world.shop.orders[order]["line_items"][0]["id"], 1)
    world.owe("order", order)
    world.settle()
    assert world.access() == {}
    assert [row.person_id for row in world.rows("seats") if row.ended_at is None] == [None]


def test_a_duplicate_of_a_product_gives_no_course_and_the_order_says_so(world: World) -> None:
    course = world.course("ONE")
    world.sell(course)
    copy = world.shop.add_product("A book", sku=f"totara-course-{course}-1", price="5.00")
    order = world.shop.place_order([(copy, 1)], email="g@guest.test")
    world.owe("order", order)
    world.settle()
    assert world.access() == {}
    assert f"totara-course-{course}-1" in world.parked()[f"order {order}"]


def test_marks_copied_to_another_product_do_not_make_it_ours(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    world.bridge.catalogue.sync()
    copied = world.product(one)["meta_data"]
    world.shop.delete_product(world.product(two)["id"], force=True)
    other = world.shop.add_product("Staff's name", sku=f"totara-course-{two}", price="9.00", meta_data=copied)
    with world.bridge.store.begin() as connection:
        connection.execute(products.delete().where(products.c.course_id == two))
    world.bridge.catalogue.sync()
    assert world.shop.products[other]["name"] == "Staff's name"


def test_a_firewalls_empty_refusal_is_not_taken_for_totaras_yes(world: World) -> None:
    course = world.course("ONE")
    order = bought(world, course)
    blocking = True

    def firewall() -> Any:
        return ("", 406) if blocking and request.form.get("wsfunction") == "enrol_manual_enrol_users" else None

    world.totara.app.before_request_funcs.setdefault(None, []).append(firewall)
    world.shop.set_status(order, "cancelled")
    world.owe("order", order)
    world.settle()
    assert world.access() == {("g@guest.test", course): "active"}
    blocking = False
    world.pass_time()
    world.settle()
    assert world.access() == {("g@guest.test", course): "suspended"}


def test_an_old_look_at_an_order_does_not_undo_a_newer_one(world: World) -> None:
    """A node stood still for longer than its lease, with the order as it was in its hands."""
    course = world.course("ONE")
    order = bought(world, course)
    slow = world.new_bridge()
    read = slow.shop.get_order

    def read_and_stand_still(order_id: int) -> Any:
        held = read(order_id)
        if world.shop.orders[order]["status"] != "cancelled":
            world.shop.set_status(order, "cancelled")
            world.pass_time()  # its lease has run out
            assert world.settle() > 0
            assert world.access() == {("g@guest.test", course): "suspended"}
        return held

    slow.shop.get_order = read_and_stand_still  # type: ignore[method-assign]
    slow.work.mark_due("order", order)
    slow.worker().drain()
    assert world.rows("orders")[0].status == "cancelled"
    world.pass_time()
    world.settle()
    assert world.access() == {("g@guest.test", course): "suspended"}


def test_ready_after_ended_is_told_again_though_the_process_died_before_telling(world: World) -> None:
    course = world.course("ONE")
    order = bought(world, course)
    for status in ("cancelled", "completed"):
        world.shop.set_status(order, status)
        if status == "completed":
            world.shop.faults.down("/notes", times=1)  # begun, and not written
        world.owe("order", order)
        world.settle()
    world.pass_time()
    world.settle()
    told = [note["note"] for note in world.shop.notes[order] if "Learning access" in note["note"]]
    assert ["ready" if "ready" in note else "ended" for note in told] == ["ready", "ended", "ready"]


def test_a_note_never_says_ended_of_access_that_could_not_be_ended(world: World) -> None:
    course = world.course("ONE")
    order = bought(world, course)
    world.totara.edit_course(course, enrol_methods=("self",))
    world.shop.set_status(order, "cancelled")
    world.owe("order", order)
    world.settle()
    assert "could not be ended" in world.shop.notes[order][-1]["note"]


def test_an_absurd_quantity_is_parked_and_costs_nothing(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), MOST_SEATS + 1)], email="g@guest.test")
    world.owe("order", order)
    world.settle()
    assert str(MOST_SEATS) in world.parked()[f"order {order}"]
    assert world.rows("seats") == []


def test_looking_at_the_plan_does_not_hide_that_the_catalogue_is_parked(world: World) -> None:
    claim = world.bridge.work.take("catalogue", "all")
    assert claim is not None
    world.bridge.work.park(claim, "something to see")
    with holding(world.bridge, "catalogue", "all", only_look=True):
        pass
    assert world.parked() == {"catalogue all": "something to see"}


@pytest.mark.parametrize("customer", [False, True])
def test_an_address_emptied_after_payment_keeps_nobody_from_anything(world: World, customer: bool) -> None:
    course = world.course("ONE")
    who = world.shop.add_customer("g@guest.test", "G", "H") if customer else 0
    order = bought(world, course, customer_id=who)
    world.shop.orders[order]["billing"]["email"] = ""
    world.shop.set_status(order, "completed")
    world.owe("order", order)
    world.settle()
    assert world.access() == {("g@guest.test", course): "active"}
    assert world.parked() == {}


def test_an_account_made_under_the_former_address_is_known_by_its_name(world: World) -> None:
    """Made, the answer lost, and the address changed before the next try."""
    course = world.course("ONE")
    customer = world.shop.add_customer("old@guest.test", "G", "H")
    order = world.shop.place_order([(world.sell(course), 1)], customer_id=customer, email="old@guest.test")
    world.totara.faults.cut("core_user_create_user", times=1)
    world.owe("order", order)
    world.settle()
    world.shop.customers[customer]["email"] = "new@guest.test"
    world.owe("order", order)
    world.pass_time()
    world.settle()
    assert world.access() == {("old@guest.test", course): "active"}
    assert world.parked() == {}


def test_a_quantity_raised_beyond_reason_ends_nothing_that_was_given(world: World) -> None:
    course = world.course("ONE")
    order = bought(world, course)
    world.shop.edit_line(order, world.shop.orders[order]["line_items"][0]["id"], MOST_SEATS + 1)
    world.owe("order", order)
    world.settle()
    assert world.access() == {("g@guest.test", course): "active"}
    assert f"order {order}" in world.parked()
