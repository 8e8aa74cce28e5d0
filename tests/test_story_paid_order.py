"""Stories: a paid order becomes an enrolment, whatever happens on the way. On both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bridge import logs
from bridge.sandbox.server import Served
from bridge.store import learning, ledger
from bridge.store.models import orders as table
from bridge.sync_jobs import TOPICS
from tests.world import SECRET, World

PAID_WAYS: dict[str, dict[str, Any]] = {
    "a card": {"payment": "card"},
    "nothing, since it was free": {"payment": "free"},
    "cash on delivery": {"payment": "cod"},
}


@pytest.mark.parametrize("how", PAID_WAYS)
def test_a_guest_pays_and_is_enrolled_in_the_academy(world: World, how: str) -> None:
    course = world.course("FIRE101")
    product = world.sell(course)
    order = world.shop.place_order(
        [(product, 1)], email="Mia@guest.test", first_name="Mia", last_name="Guest", **PAID_WAYS[how]
    )
    world.owe("order", order)
    world.settle()
    assert world.access() == {("mia@guest.test", course): "active"}
    user = world.totara.user_by_email("mia@guest.test")
    assert user is not None
    assert user.tenant == world.totara.tenant("academy").id
    assert (user.firstname, user.lastname) == ("Mia", "Guest")
    assert world.totara.reachable(user.id, course)
    assert world.parked() == {}


def test_a_registered_customer_gets_the_account_at_the_customers_address_not_the_bills(world: World) -> None:
    course = world.course("HS1")
    customer = world.shop.add_customer("nia@trader.test", "Nia", "Trader")
    order = world.shop.place_order([(world.sell(course), 1)], customer_id=customer, email="accounts@trader.test")
    world.owe("order", order)
    world.settle()
    assert world.access() == {("nia@trader.test", course): "active"}


def test_a_variation_gives_the_course_of_its_product(world: World) -> None:
    course = world.course("HS1")
    product = world.shop.add_product("HS", sku=f"totara-course-{course}", type="variable")
    autumn = world.shop.add_variation(product, sku="autumn", price="90.00", attributes=[("Session", "Autumn")])
    world.know(course, product)
    world.owe("order", world.shop.place_order([(autumn, 1)], email="v@guest.test"))
    world.settle()
    assert world.access() == {("v@guest.test", course): "active"}


def test_a_variation_is_known_by_its_own_sku_too(world: World) -> None:
    course = world.course("HS1")
    world.sell(course)
    product = world.shop.add_product("HS by session", sku="hs-sessions", type="variable")
    spring = world.shop.add_variation(
        product, sku=f"totara-course-{course}-spring", price="90.00", attributes=[("Session", "Spring")]
    )
    world.owe("order", world.shop.place_order([(spring, 1)], email="v@guest.test"))
    world.settle()
    assert world.access() == {("v@guest.test", course): "active"}


def test_the_children_of_a_grouped_product_are_each_given(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    children = [(world.sell(one), 1), (world.sell(two), 1)]
    world.owe("order", world.shop.place_order(children, email="g@guest.test"))
    world.settle()
    assert world.access() == {("g@guest.test", one): "active", ("g@guest.test", two): "active"}


def test_several_units_make_open_seats_and_enrol_nobody(world: World) -> None:
    course, other = world.course("ONE"), world.course("TWO")
    order = world.shop.place_order([(world.sell(course), 5), (world.sell(other), 1)], email="boss@company.test")
    world.owe("order", order)
    world.settle()
    assert world.access() == {("boss@company.test", other): "active"}
    seats = world.rows("seats")
    assert [seat.person_id is None for seat in seats].count(True) == 5
    assert len(seats) == 6


def test_one_course_on_two_lines_is_two_units(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    order = world.shop.place_order(
        [{"product_id": product, "quantity": 1}, {"product_id": product, "quantity": 1}], email="a@guest.test"
    )
    assert len(world.shop.orders[order]["line_items"]) == 2
    world.owe("order", order)
    world.settle()
    assert world.access() == {}
    assert [seat.person_id for seat in world.rows("seats")] == [None, None]


def test_a_bank_transfer_gives_nothing_until_the_money_is_there(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="tom@bank.test", payment="bacs")
    world.owe("order", order)
    world.settle()
    assert world.access() == {}
    assert world.totara.user_by_email("tom@bank.test") is None
    world.shop.set_status(order, "processing")
    world.owe("order", order)
    world.settle()
    assert world.access() == {("tom@bank.test", course): "active"}


def test_cash_on_delivery_can_be_told_to_wait_until_the_order_is_completed(
    make_world: Callable[..., World],
) -> None:
    world = make_world(orders={"unconfirmed_cash": "waits"})
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="c@cash.test", payment="cod")
    world.owe("order", order)
    world.settle()
    assert world.access() == {}
    world.shop.set_status(order, "completed")
    world.owe("order", order)
    world.settle()
    assert world.access() == {("c@cash.test", course): "active"}


def test_a_declined_card_gives_nothing_and_the_second_try_pays_the_same_order_with_another_address(
    world: World,
) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="typo@declined.test", payment="declined")
    world.owe("order", order)
    world.settle()
    assert world.totara.user_by_email("typo@declined.test") is None
    world.shop.pay_order(order, email="dora@declined.test")
    world.owe("order", order)
    world.settle()
    assert world.access() == {("dora@declined.test", course): "active"}


def test_a_product_deleted_after_the_order_was_seen_still_gives_its_course(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    order = world.shop.place_order([(product, 1)], email="late@guest.test", payment="bacs")
    world.owe("order", order)
    world.settle()
    world.shop.delete_product(product, force=True)
    world.shop.set_status(order, "processing")
    assert world.shop.orders[order]["line_items"][0]["product_id"] == 0
    world.owe("order", order)
    world.settle()
    assert world.access() == {("late@guest.test", course): "active"}


def test_a_product_deleted_before_anybody_looked_is_parked_with_its_name(world: World) -> None:
    product = world.shop.add_product("Fire safety", sku="totara-course-77", price="10.00")
    order = world.shop.place_order([(product, 1)], email="late@guest.test")
    world.shop.delete_product(product, force=True)
    world.owe("order", order)
    world.settle()
    assert "'Fire safety'" in world.parked()[f"order {order}"]
    assert world.access() == {}


def test_a_book_in_the_order_passes_untouched_and_the_course_beside_it_is_given(world: World) -> None:
    course = world.course("ONE")
    book = world.shop.add_product("A book", sku="book-1", price="20.00")
    world.owe("order", world.shop.place_order([(book, 2), (world.sell(course), 1)], email="b@guest.test"))
    world.settle()
    assert world.access() == {("b@guest.test", course): "active"}
    assert world.parked() == {}


def test_one_course_of_three_fails_and_the_other_two_are_given(world: World) -> None:
    courses = [world.course("ONE"), world.course("TWO", enrol_methods=("self",)), world.course("THREE")]
    order = world.shop.place_order([(world.sell(c), 1) for c in courses], email="three@guest.test")
    world.owe("order", order)
    world.settle()
    assert world.access() == {("three@guest.test", c): "active" for c in (courses[0], courses[2])}
    assert f"course {courses[1]}" in world.parked()["learner 1"]
    note = world.shop.notes[order][-1]["note"]
    assert "access ready" in note
    assert "waiting" in note
    # Mended in Totara, and tried again:
    world.totara.edit_course(courses[1], enrol_methods=("manual",))
    world.owe("learner", 1)
    world.settle()
    assert world.access()[("three@guest.test", courses[1])] == "active"
    assert world.parked() == {}


def test_cancelled_and_completed_again_ends_enrolled(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="carl@guest.test")
    for status, expected in (("cancelled", "suspended"), ("completed", "active"), ("trash", "suspended")):
        world.owe("order", order)
        world.settle()
        if status == "trash":
            world.shop.trash_order(order)
        else:
            world.shop.set_status(order, status)
        world.owe("order", order)
        world.settle()
        assert world.access() == {("carl@guest.test", course): expected}, status


def test_an_order_deleted_for_good_ends_what_it_gave(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="carl@guest.test")
    world.owe("order", order)
    world.settle()
    world.shop.delete_order(order)
    world.owe("order", order)
    world.settle()
    assert world.access() == {("carl@guest.test", course): "suspended"}


def test_cancelling_one_order_leaves_what_another_paid_order_covers(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    customer = world.shop.add_customer("two@guest.test", "Two", "Times")
    first = world.shop.place_order([(product, 1)], customer_id=customer, email="two@guest.test")
    second = world.shop.place_order([(product, 1)], customer_id=customer, email="two@guest.test")
    world.owe("order", first, second)
    world.settle()
    world.totara.requests.clear()
    world.shop.set_status(first, "cancelled")
    world.owe("order", first)
    world.settle()
    assert world.access() == {("two@guest.test", course): "active"}
    assert world.totara.requests == []


def test_completion_is_read_before_access_is_suspended(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="done@guest.test")
    world.owe("order", order)
    world.settle()
    user = world.totara.user_by_email("done@guest.test")
    assert user is not None
    world.totara.complete(user.id, course)
    world.shop.set_status(order, "cancelled")
    world.owe("order", order)
    world.settle()
    (row,) = world.rows("access")
    assert (row.state, row.completed) == ("suspended", True)
    assert (user.id, course) in world.totara.completions


def test_the_order_is_told_once_what_was_done(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@guest.test")
    for _ in range(3):
        world.owe("order", order)
        world.owe("note", order)
        world.settle()
    ours = [note for note in world.shop.notes[order] if "Learning access" in note["note"]]
    assert len(ours) == 1
    assert f"course {course}: access ready" in ours[0]["note"]
    assert not ours[0]["customer_note"]
    meta = {m["key"]: m["value"] for m in world.shop.orders[order]["meta_data"]}
    assert meta["_bridge_access"] == "ready"
    assert "a@guest.test" not in ours[0]["note"]


def test_a_note_whose_answer_was_lost_is_not_written_twice(world: World) -> None:
    order = world.shop.place_order([(world.sell(world.course("ONE")), 1)], email="a@guest.test")
    world.shop.faults.cut("/notes", times=1)
    world.owe("order", order)
    world.settle()
    world.pass_time()
    world.settle()
    assert len([note for note in world.shop.notes[order] if "Learning access" in note["note"]]) == 1


def test_an_order_without_a_usable_address_is_parked(world: World) -> None:
    order = world.shop.place_order([(world.sell(world.course("ONE")), 1)], email="nobody")
    world.owe("order", order)
    world.settle()
    assert "no address" in world.parked()[f"order {order}"]


# --- outages -----------------------------------------------------------------------------------------------------


def test_an_hour_without_totara_delays_and_loses_nothing(world: World) -> None:
    courses = [world.course(f"C{n}") for n in range(3)]
    products = [world.sell(course) for course in courses]
    world.totara.faults.down()
    orders = [world.shop.place_order([(product, 1)], email=f"p{n}@outage.test") for n, product in enumerate(products)]
    world.owe("order", *orders)
    for _ in range(12):
        world.settle()
        world.pass_time(300)
    assert world.access() == {}
    assert world.parked() == {}
    world.totara.faults.clear()
    world.pass_time()
    world.settle()
    assert world.access() == {(f"p{n}@outage.test", course): "active" for n, course in enumerate(courses)}


@pytest.mark.parametrize("fault", ["down", "rate_limited", "cut"])
@pytest.mark.parametrize("system", ["shop", "totara"])
def test_every_request_may_fail_once_and_all_ends_well(world: World, system: str, fault: str) -> None:
    course = world.course("ONE")
    customer = world.shop.add_customer("a@guest.test", "A", "B")
    order = world.shop.place_order([(world.sell(course), 1)], customer_id=customer, email="a@guest.test")
    faults = world.shop.faults if system == "shop" else world.totara.faults
    world.owe("order", order)
    for _ in range(12):
        getattr(faults, fault)(times=1)
        world.settle()
        world.pass_time()
    faults.clear()
    world.settle()
    assert world.access() == {("a@guest.test", course): "active"}
    assert len([u for u in world.totara.users.values() if u.email.lower() == "a@guest.test"]) == 1
    assert len([n for n in world.shop.notes[order] if "access ready" in n["note"]]) == 1
    assert world.parked() == {}


@pytest.mark.parametrize("ends", ["cancelled", "completed"])
def test_an_order_turned_round_while_totaras_answer_was_lost_ends_right(world: World, ends: str) -> None:
    """Totara did as it was told, and we never heard: what we believe is then the opposite of what is."""
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@guest.test")
    if ends == "completed":
        world.owe("order", order)
        world.settle()
        world.shop.set_status(order, "cancelled")
    world.totara.faults.cut("enrol_manual_enrol_users")
    world.owe("order", order)
    world.settle()
    world.shop.set_status(order, ends)
    world.totara.faults.clear()
    world.owe("order", order)
    world.pass_time()
    world.settle()
    assert world.access() == {("a@guest.test", course): "active" if ends == "completed" else "suspended"}


def test_a_wrong_secret_makes_everything_wait_and_nothing_parked(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@guest.test")
    broken = world.new_bridge(totara={"client_secret": "wrong", "ws_token": "wrong"})
    broken.work.mark_due("order", order)
    broken.worker().drain()
    assert world.parked() == {}
    world.pass_time()
    world.settle()
    assert world.access() == {("a@guest.test", course): "active"}


# --- hints ---------------------------------------------------------------------------------------------------------


def _install(world: World) -> None:
    for topic in TOPICS:
        world.shop.add_webhook(topic, "http://127.0.0.1:9/webhooks/woocommerce", SECRET)


def _deliver(world: World) -> int:
    """What the shop would send, handed to the receiver."""
    with Served(world.bridge.web()) as served:
        for hook in world.shop.webhooks.values():
            hook["delivery_url"] = f"{served.url}/webhooks/woocommerce"
        return world.shop.deliver()


def test_from_the_shops_own_delivery_to_the_enrolment(world: World) -> None:
    _install(world)
    course = world.course("ONE")
    world.shop.place_order([(world.sell(course), 1)], email="a@guest.test")
    assert _deliver(world) > 0
    world.settle()
    assert world.access() == {("a@guest.test", course): "active"}


def test_fifty_deliveries_at_once_give_one_enrolment(world: World) -> None:
    _install(world)
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@guest.test")
    _deliver(world)
    delivery = next(d for d in world.shop.deliveries if d["resource_id"] == order)
    statuses: list[int] = []
    workers = [world.new_bridge() for _ in range(2)]
    draining = [threading.Thread(target=lambda b=bridge: b.worker().drain(5)) for bridge in workers]
    posting = [
        threading.Thread(
            target=lambda: statuses.append(
                world.web.post(
                    "/webhooks/woocommerce", data=delivery["body"], headers=dict(delivery["headers"])
                ).status_code
            )
        )
        for _ in range(50)
    ]
    for thread in (*posting, *draining):
        thread.start()
    for thread in (*posting, *draining):
        thread.join()
    world.settle()
    assert statuses == [200] * 50
    assert world.access() == {("a@guest.test", course): "active"}
    assert len([u for u in world.totara.users.values() if u.email == "a@guest.test"]) == 1
    assert len([n for n in world.shop.notes[order] if "Learning access" in n["note"]]) == 1


def test_a_delivery_before_the_order_can_be_read_is_not_forgotten(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    world.owe("order", 4711)
    world.settle()
    assert world.parked() == {}
    world.shop.place_order([(product, 1)], email="a@guest.test", order_id=4711)
    world.pass_time()
    world.settle()
    assert world.access() == {("a@guest.test", course): "active"}


def test_an_order_that_never_was_is_let_go_after_some_tries(world: World) -> None:
    world.owe("order", 999_999)
    for _ in range(10):
        world.settle()
        world.pass_time()
    row = world.bridge.work.find("order", "999999")
    assert row is not None
    assert row.due_at is None
    assert world.parked() == {}
    assert world.rows("orders") == []


def test_the_sweep_finds_what_no_delivery_told_and_asks_for_each_once(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    world.owe("sweep", "all")
    world.settle()
    orders = [world.shop.place_order([(product, 1)], email=f"s{n}@guest.test") for n in range(3)]
    world.shop.trash_order(orders[2])
    world.owe("sweep", "all")
    world.settle()
    assert world.access() == {(f"s{n}@guest.test", course): "active" for n in range(2)}
    # Seen some seconds after it was modified, an order is not looked at again.
    for order in orders:
        world.owe("order", order)
    world.settle()
    with world.bridge.store.begin() as connection:
        for row in world.rows("orders"):
            connection.execute(
                table.update().where(table.c.id == row.id).values(looked_at=row.looked_at + timedelta(seconds=60))
            )
    world.shop.requests.clear()
    world.owe("sweep", "all")
    world.settle()
    assert [r for r in world.shop.requests if "/orders/" in r] == []


def test_resync_gives_back_what_somebody_took_away_in_totara(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@guest.test")
    world.owe("order", order)
    world.settle()
    (key,) = world.totara.enrolments
    del world.totara.enrolments[key]
    with world.bridge.store.begin() as connection:
        learning.doubt(connection, learning.learners_of(connection, order))
    world.owe("learner", 1)
    world.settle()
    assert world.access() == {("a@guest.test", course): "active"}


# --- who is who ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["an officer's", "a site user's", "an administrator's"])
def test_an_address_of_somebody_elses_account_is_parked_and_the_account_left_alone(world: World, whose: str) -> None:
    world.totara.add_tenant("memberland", "Memberland")
    makers: dict[str, Callable[[], int]] = {
        "an officer's": lambda: world.totara.add_user("Anna@members.test", tenant="memberland"),
        "a site user's": lambda: world.totara.add_user("anna@members.test"),
        "an administrator's": lambda: 2,
    }
    user_id = makers[whose]()
    address = world.totara.users[user_id].email
    before = world.totara.users[user_id]
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email=address.upper())
    world.owe("order", order)
    world.settle()
    assert f"Totara user {user_id}" in world.parked()["learner 1"]
    assert "left alone" in world.parked()["learner 1"]
    assert world.access() == {}
    assert world.totara.users[user_id] == before
    assert [r for r in world.totara.requests if "create" in r or "update" in r or "enrol_manual" in r] == []
    assert "waiting" in world.shop.notes[order][-1]["note"]


def test_a_customer_with_a_guests_address_is_not_taken_for_the_guest(world: World) -> None:
    course, other = world.course("ONE"), world.course("TWO")
    world.owe("order", world.shop.place_order([(world.sell(course), 1)], email="v@victim.test"))
    world.settle()
    attacker = world.shop.add_customer("V@victim.test", "Mallory", "M")
    world.owe("order", world.shop.place_order([(world.sell(other), 1)], customer_id=attacker, email="m@mallory.test"))
    world.settle()
    assert world.access() == {("v@victim.test", course): "active"}
    assert "proven" in world.parked()["learner 2"]


def test_an_address_corrected_in_the_shop_moves_a_seat_that_waits_and_no_other(world: World) -> None:
    world.totara.add_user("anna@members.test")
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="anna@members.test")
    world.owe("order", order)
    world.settle()
    assert list(world.parked()) == ["learner 1"]
    world.shop.orders[order]["billing"]["email"] = "anna@private.test"
    world.owe("order", order)
    world.settle()
    assert world.access() == {("anna@private.test", course): "active"}
    assert world.parked() == {}
    world.shop.orders[order]["billing"]["email"] = "another@private.test"
    world.owe("order", order)
    world.settle()
    assert world.access() == {("anna@private.test", course): "active"}


def test_the_same_guest_twice_has_one_account(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    for course, address in ((one, "Gus@guest.test"), (two, "gus@GUEST.test")):
        world.owe("order", world.shop.place_order([(world.sell(course), 1)], email=address))
        world.settle()
    assert world.access() == {("gus@guest.test", one): "active", ("gus@guest.test", two): "active"}
    assert len([u for u in world.totara.users.values() if "gus" in u.email.lower()]) == 1


def test_two_workers_make_one_account_though_totara_would_take_two(world: World) -> None:
    world.totara.race_window = 0.2
    one, two = world.course("ONE"), world.course("TWO")
    customer = world.shop.add_customer("r@race.test", "R", "Ace")
    orders = [
        world.shop.place_order([(world.sell(one), 1)], customer_id=customer, email="r@race.test"),
        world.shop.place_order([(world.sell(two), 1)], email="R@race.test"),  # the same address, as a guest
    ]
    bridges = [world.new_bridge() for _ in range(2)]
    bridges[0].work.mark_due("order", *orders)
    threads = [threading.Thread(target=lambda b=bridge: b.worker().drain(10)) for bridge in bridges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.settle()
    assert len([u for u in world.totara.users.values() if u.email.lower() == "r@race.test"]) == 1
    assert len(world.access()) == 1
    assert len(world.parked()) == 1


def test_an_account_whose_making_was_cut_off_is_found_again_by_its_name(world: World) -> None:
    course = world.course("ONE")
    world.totara.faults.cut("core_user_create_user", times=1)
    world.owe("order", world.shop.place_order([(world.sell(course), 1)], email="cut@guest.test"))
    world.settle()
    world.pass_time()
    world.settle()
    assert world.access() == {("cut@guest.test", course): "active"}
    assert len([u for u in world.totara.users.values() if u.email == "cut@guest.test"]) == 1


def test_a_course_restricted_since_it_was_sold_is_not_given(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@guest.test", payment="bacs")
    world.totara.move_course(course, world.restricted)
    world.shop.set_status(order, "processing")
    world.owe("order", order)
    world.settle()
    assert world.access() == {}
    assert "denied by the rule" in world.parked()["learner 1"]


def test_a_product_that_staff_made_for_a_restricted_course_gives_nothing(world: World) -> None:
    course = world.course("SECRET", category=world.restricted)
    product = world.shop.add_product("Leak", sku=f"totara-course-{course}", price="1.00")
    world.owe("order", world.shop.place_order([(product, 1)], email="a@guest.test"))
    world.settle()
    assert world.access() == {}
    assert "denied" in world.parked()["learner 1"]


def test_an_enrolment_that_totara_reports_but_that_leads_nowhere_is_not_called_access(world: World) -> None:
    """With isolation on, a member of the academy is enrolled in a site course without a word, and can't enter it."""
    world.totara.isolation = True
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@guest.test")
    world.owe("order", order)
    world.settle()
    assert "can't enter" in world.parked()["learner 1"]
    assert "access ready" not in world.shop.notes[order][-1]["note"]
    world.totara.isolation = False
    world.owe("learner", 1)
    world.settle()
    assert world.parked() == {}
    assert "access ready" in world.shop.notes[order][-1]["note"]


@pytest.mark.usefixtures("logging_undone")
def test_no_secret_and_no_address_gets_into_the_logs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("debug", "json")
    course = world.course("ONE")
    world.totara.faults.cut(times=2)
    world.shop.faults.down(times=2)
    world.owe("order", world.shop.place_order([(world.sell(course), 1)], email="private@guest.test", first_name="Priv"))
    for _ in range(4):
        world.settle()
        world.pass_time()
    world.web.post("/webhooks/woocommerce", data=b"{}", headers={"X-WC-Webhook-Signature": "x"})
    said = capsys.readouterr()
    text = said.err + said.out
    assert '"event": "settled"' in text
    for secret in (
        "private@",
        "Priv",
        "cs_sandbox",
        "sandbox-client-secret",
        "sandbox-ws-token",
        "oauth_signature",
        SECRET,
    ):
        assert secret not in text


# --- what the note calls things --------------------------------------------------------------------------------------


def test_the_note_names_what_was_sold_and_the_course_beside_the_numbers(world: World) -> None:
    course = world.course("FIRE", name="Fire safety &amp; you")
    product = world.shop.add_product("Warden pass", sku=f"totara-course-{course}", price="9.00")
    world.know(course, product)
    order = world.shop.place_order([(product, 1)], email="mia@guest.test", first_name="Mia", last_name="Guest")
    world.look(order)
    line = world.shop.orders[order]["line_items"][0]["id"]
    told = f"“Warden pass”, “Fire safety &amp; you” – line {line}, course {course}: access ready"
    assert told in world.told(order)
    assert "Mia" not in world.told(order)
    assert "mia@" not in world.told(order)
    meta = {row["key"]: row["value"] for row in world.shop.orders[order]["meta_data"]}
    assert meta["_bridge_seats"].startswith(f"line {line}, course {course}: access ready")


def test_another_name_of_a_course_is_no_reason_for_another_note(world: World) -> None:
    course = world.course("FIRE", name="Fire safety")
    order = world.shop.place_order([(world.sell(course), 1)], email="mia@guest.test")
    world.look(order)
    world.totara.edit_course(course, fullname="Fire safety 2027")
    world.restart()
    for _ in range(2):
        world.bridge.jobs.look_again("order", [order])
        world.settle()
    assert len([note for note in world.shop.notes[order] if "Learning access" in note["note"]]) == 1
    assert "“Fire safety”" in world.told(order)


def test_a_note_does_not_wait_for_a_courses_name(world: World) -> None:
    course = world.course("FIRE", name="Fire safety")
    order = world.shop.place_order([(world.sell(course), 1)], email="mia@guest.test")
    world.look(order)
    world.restart()
    world.shop.set_status(order, "cancelled")
    world.owe("order", order)
    world.totara.faults.down("core_course_get_courses_by_field", times=50)
    world.settle()
    assert f"“Course {course}” – line " in world.told(order)
    assert f"course {course}: access ended" in world.told(order)
    assert "Fire safety" not in world.told(order)


# --- what the note says of an order that needs a person --------------------------------------------------------------


def ours(world: World, order: int) -> list[str]:
    """Our notes on an order."""
    return [note["note"] for note in world.shop.notes[order] if "Learning access" in note["note"]]


def meta(world: World, order: int) -> dict[str, str]:
    """What machines are told."""
    return {row["key"]: row["value"] for row in world.shop.orders[order]["meta_data"]}


def test_the_note_of_an_order_with_a_sku_that_is_no_courses_says_so_and_how_to_mend_it(world: World) -> None:
    course = world.course("ONE")
    product = world.shop.add_product("First steps", sku="totara-course-fire", price="9.00")
    order = world.shop.place_order([(product, 1), (world.sell(course), 1)], email="mia@guest.test")
    world.look(order)
    assert world.access() == {("mia@guest.test", course): "active"}
    told = world.told(order)
    assert f"course {course}: access ready" in told
    assert "needs a person: line " in told
    assert "has the SKU 'totara-course-fire', which is no course's: correct the SKU" in told
    assert meta(world, order)["_bridge_access"] == "waiting"
    world.look(order)
    assert len(ours(world, order)) == 1
    world.shop.edit_product(product, meta_data=[{"key": "bridge_gives", "value": f"course:{course}"}])
    world.restart()
    world.look(order)
    assert len(ours(world, order)) == 2
    assert "needs a person" not in world.told(order)
    assert world.parked() == {}


def test_the_note_of_an_order_that_gives_nothing_else_says_what_it_needs(world: World) -> None:
    product = world.shop.add_product("First steps", sku="totara-course-fire", price="9.00")
    order = world.shop.place_order([(product, 1)], email="mia@guest.test")
    world.look(order)
    assert "Learning access: needs a person: line " in world.told(order)
    assert meta(world, order)["_bridge_access"] == "waiting"
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert world.parked() == {}
    assert "Learning access: nothing is given." in world.told(order)
    assert (meta(world, order)["_bridge_access"], meta(world, order)["_bridge_seats"]) == ("none", "nothing is given")


def test_the_note_of_an_order_without_an_address_says_so_once(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="")
    for _ in range(2):
        world.look(order)
    (told,) = ours(world, order)
    assert "needs a person: order" in told
    assert "correct it in the shop" in told
    world.shop.orders[order]["billing"]["email"] = "mia@guest.test"
    world.look(order)
    assert world.access() == {("mia@guest.test", course): "active"}
    assert "needs a person" not in world.told(order)


# --- an order that waits for Totara ----------------------------------------------------------------------------------


def waited(world: World, **span: float) -> None:
    """So much later everything that is due has been tried again."""
    world.clock.advance(**span)
    world.pass_time()
    world.settle()


def test_an_order_that_waits_long_for_totara_says_so_once_and_then_that_it_is_ready(world: World) -> None:
    course = world.course("ONE")
    world.totara.faults.down()
    order = world.shop.place_order([(world.sell(course), 1)], email="mia@guest.test")
    since = world.now()
    world.look(order)
    waited(world, minutes=10)
    assert ours(world, order) == []
    waited(world, minutes=6)
    (told,) = ours(world, order)
    assert f"course {course}: waiting since {since:%Y-%m-%d %H:%M} UTC" in told
    assert "it waits since Totara could not be told: " in told
    assert "it is tried again until it goes through" in told
    assert "mia@" not in told
    assert meta(world, order)["_bridge_access"] == "waiting"
    for _ in range(3):
        waited(world, hours=2)
        world.look(order)
    assert len(ours(world, order)) == 1
    world.totara.faults.clear()
    waited(world, hours=1)
    assert len(ours(world, order)) == 2
    assert f"course {course}: access ready" in world.told(order)
    assert "waits" not in world.told(order)
    assert meta(world, order)["_bridge_access"] == "ready"


def test_of_a_totara_that_is_away_for_a_moment_the_note_says_nothing(world: World) -> None:
    course = world.course("ONE")
    world.totara.faults.down()
    order = world.shop.place_order([(world.sell(course), 1)], email="mia@guest.test")
    world.look(order)
    waited(world, minutes=10)
    world.totara.faults.clear()
    waited(world, minutes=1)
    waited(world, minutes=20)
    (told,) = ours(world, order)
    assert "access ready" in told


def test_how_long_an_order_waits_before_its_note_says_so_is_a_setting(make_world: Callable[..., World]) -> None:
    world = make_world(orders={"waiting_note_seconds": 60})
    world.totara.faults.down()
    order = world.shop.place_order([(world.sell(world.course("ONE")), 1)], email="mia@guest.test")
    world.look(order)
    waited(world, minutes=2)
    assert len(ours(world, order)) == 1


def test_the_note_says_what_the_watch_saw_of_totara(world: World) -> None:
    world.totara.faults.down()
    order = world.shop.place_order([(world.sell(world.course("ONE")), 1)], email="mia@guest.test")
    world.look(order)
    world.bridge.jobs.watch()
    with world.bridge.store.read() as connection:
        seen = ledger.read_note(connection, "watch")
    assert seen is not None
    waited(world, minutes=16)
    assert f"could not be told: {seen[0]['totara']}; it is tried again" in world.told(order)
