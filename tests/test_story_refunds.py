"""Stories: money goes back, and so do seats: the right ones, and no other. On both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.world import World


def company(world: World, product: int, quantity: int, *people: str) -> int:
    """An order of several seats, of which these people have one each; a book besides keeps it from ending whole."""
    line = {"product_id": product, "quantity": quantity, "meta": {"_bridge_gift_to": ", ".join(people)}}
    book = world.shop.add_product("A book", price="1000.00")
    order = world.shop.place_order([line, (book, 1)], email="boss@company.test")
    world.look(order)
    return order


def line_of(world: World, order: int, number: int = 0) -> int:
    """The id of one of an order's lines."""
    return int(world.shop.orders[order]["line_items"][number]["id"])


def refund(world: World, order: int, quantity: int, number: int = 0) -> int:
    """So many units of a line are refunded, and the bridge looks."""
    made = world.shop.refund(order, lines={line_of(world, order, number): quantity})
    world.look(order)
    return made


def begin(world: World, *people: str) -> None:
    """These people have signed in and begun to learn."""
    for address in people:
        world.totara.users[world.user(address)].lastaccess = world.totara.now()


def active(world: World) -> set[str]:
    """Whose enrolments give access."""
    return {address for (address, _), status in world.access().items() if status == "active"}


def live(world: World) -> int:
    """How many seats have not ended."""
    return [seat.ended_at for seat in world.rows("seats")].count(None)


# --- full ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["by amount", "by lines", "by hand"])
def test_an_order_refunded_in_full_ends_all_its_access(world: World, how: str) -> None:
    courses = [world.course("ONE"), world.course("TWO")]
    order = world.shop.place_order([(world.sell(course), 1) for course in courses], email="a@b.test")
    world.look(order)
    if how == "by amount":
        world.shop.refund(order, "200.00")
    elif how == "by lines":
        world.shop.refund(order, lines={line["id"]: 1 for line in world.shop.orders[order]["line_items"]})
    else:
        world.shop.set_status(order, "refunded")
    assert world.shop.orders[order]["status"] == "refunded"
    world.look(order)
    assert world.access() == {("a@b.test", course): "suspended" for course in courses}
    assert world.parked() == {}
    assert "the order is refunded" in world.told(order)


def test_the_refund_of_one_line_ends_what_it_gave_and_nothing_else(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    order = world.shop.place_order([(world.sell(one), 1), (world.sell(two), 1)], email="a@b.test")
    world.look(order)
    begin(world, "a@b.test")
    refund(world, order, 1, number=1)
    assert world.access() == {("a@b.test", one): "active", ("a@b.test", two): "suspended"}
    assert "fewer units are paid for" in world.told(order)
    assert world.parked() == {}


# --- which seats -----------------------------------------------------------------------------------------------------


def test_open_seats_go_first(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 5, "a@b.test", "c@b.test")
    begin(world, "a@b.test")
    refund(world, order, 2)
    assert active(world) == {"a@b.test", "c@b.test"}
    assert live(world) == 3
    refund(world, order, 1)
    assert active(world) == {"a@b.test", "c@b.test"}
    assert live(world) == 2
    assert world.parked() == {}


def test_then_the_seats_of_those_who_never_began(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 4, "a@b.test", "c@b.test", "d@b.test")
    begin(world, "a@b.test", "d@b.test")
    refund(world, order, 2)
    assert active(world) == {"a@b.test", "d@b.test"}
    assert world.access()["c@b.test", 2] == "suspended"
    assert world.parked() == {}


def test_a_seat_in_use_is_never_picked_but_laid_out_for_a_person(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 4, "a@b.test", "c@b.test", "d@b.test")
    begin(world, "a@b.test", "c@b.test")
    refund(world, order, 3)
    # The open seat and that of who never began are gone; of the two in use one has to go.
    assert active(world) == {"a@b.test", "c@b.test"}
    assert live(world) == 2
    reason = world.parked()[f"order {order}"]
    assert "1 of 2 seats in use have to go" in reason
    using = [seat for seat in world.rows("seats") if seat.ended_at is None]
    for seat in using:
        assert f"seat {seat.id} (person {seat.person_id})" in reason
    assert f"bridge seats decide order {order} --end SEAT" in reason
    assert "@" not in reason
    # Looked at again, nobody is picked either.
    world.look(order)
    assert active(world) == {"a@b.test", "c@b.test"}


def test_of_seats_in_use_all_go_when_all_are_refunded(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 2, "a@b.test", "c@b.test")
    begin(world, "a@b.test", "c@b.test")
    refund(world, order, 2)
    assert active(world) == set()
    assert world.parked() == {}


def test_a_choice_that_is_not_needed_any_more_is_parked_no_more(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 2, "a@b.test", "c@b.test")
    begin(world, "a@b.test", "c@b.test")
    made = refund(world, order, 1)
    assert f"order {order}" in world.parked()
    world.shop.delete_refund(order, made)
    world.look(order)
    assert world.parked() == {}
    assert active(world) == {"a@b.test", "c@b.test"}


# --- how much --------------------------------------------------------------------------------------------------------


def test_a_refund_of_an_amount_takes_nothing_and_is_told(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@b.test")
    world.look(order)
    world.shop.refund(order, "10.00")
    world.look(order)
    assert world.access() == {("a@b.test", course): "active"}
    assert "10.00 was given back without naming lines, and takes no seat" in world.told(order)
    assert "access ready" in world.told(order)
    assert world.parked() == {}
    # A second one is told as well, and both stay told when something else changes.
    world.shop.refund(order, "5.00")
    world.look(order)
    for amount in ("10.00", "5.00"):
        assert f"{amount} was given back" in world.told(order)
    assert world.access() == {("a@b.test", course): "active"}


def test_money_off_a_line_without_a_unit_takes_nothing(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@b.test")
    world.look(order)
    world.shop.refund(order, lines={line_of(world, order): (0, "10.00")})
    world.look(order)
    assert world.access() == {("a@b.test", course): "active"}
    assert world.parked() == {}


def test_several_refunds_seconds_apart_all_count(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 5)
    for quantity in (1, 1, 2):
        world.shop.refund(order, lines={line_of(world, order): quantity})
        world.owe("order", order)
        world.clock.advance(seconds=2)
    world.settle()
    assert live(world) == 1
    refund(world, order, 1)
    assert live(world) == 0


def test_two_and_two_refunded_of_three_end_three(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 3)
    refund(world, order, 2)
    world.shop.refund(order, "1.00", lines={line_of(world, order): (2, "1.00")})
    world.look(order)
    assert live(world) == 0
    assert world.parked() == {}


# --- taken back ------------------------------------------------------------------------------------------------------


def test_a_deleted_refund_is_found_by_reconciling_and_gives_the_same_people_their_seats(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 3, "a@b.test", "c@b.test", "d@b.test")
    begin(world, "a@b.test")
    made = refund(world, order, 2)
    assert active(world) == {"a@b.test"}
    before = {seat.id: seat.person_id for seat in world.rows("seats")}
    world.shop.delete_refund(order, made)
    world.settle()
    assert active(world) == {"a@b.test"}, "nothing tells of it"
    world.owe("reconcile", "all")
    world.settle()
    assert active(world) == {"a@b.test", "c@b.test", "d@b.test"}
    assert {seat.id: seat.person_id for seat in world.rows("seats")} == before
    assert live(world) == 3


def test_one_of_two_deleted_refunds_gives_its_seats_back_only(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 4, "a@b.test", "c@b.test")
    refund(world, order, 1)
    made = refund(world, order, 2)
    assert live(world) == 1
    world.shop.delete_refund(order, made)
    world.owe("reconcile", "all")
    world.settle()
    assert live(world) == 3
    assert active(world) == {"a@b.test", "c@b.test"}


def test_a_refund_deleted_after_the_line_was_reduced_gives_no_more_than_is_paid_for(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 3)
    made = refund(world, order, 1)
    world.shop.edit_line(order, line_of(world, order), 2)
    world.look(order)
    assert live(world) == 1
    world.shop.delete_refund(order, made)
    world.owe("reconcile", "all")
    world.settle()
    assert live(world) == 2


# --- what else happens to an order -----------------------------------------------------------------------------------

ENDS: dict[str, Callable[[World, int], None]] = {
    "cancelled": lambda world, order: world.shop.set_status(order, "cancelled"),
    "failed": lambda world, order: world.shop.set_status(order, "failed"),
    "trashed": lambda world, order: world.shop.trash_order(order),
}


@pytest.mark.parametrize("how", ENDS)
def test_an_order_that_ends_suspends_everybody_on_it_and_deletes_nothing(world: World, how: str) -> None:
    order = company(world, world.sell(world.course("ONE")), 3, "a@b.test", "c@b.test")
    people = {world.user("a@b.test"), world.user("c@b.test")}
    ENDS[how](world, order)
    world.look(order)
    assert active(world) == set()
    assert set(world.access().values()) == {"suspended"}
    assert {user.id for user in world.totara.live_users()} >= people
    assert live(world) == 0
    assert world.parked() == {}


def test_an_order_restored_from_the_bin_gives_the_same_people_their_seats(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 3, "a@b.test", "c@b.test")
    world.shop.trash_order(order)
    world.look(order)
    assert active(world) == set()
    world.shop.restore_order(order)
    world.look(order)
    assert active(world) == {"a@b.test", "c@b.test"}
    assert live(world) == 3
    assert len(world.rows("seats")) == 3


def test_a_restored_order_that_no_delivery_told_of_is_found_by_the_sweep(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 1, "a@b.test")
    world.owe("sweep", "all")
    world.settle()
    world.clock.advance(hours=1)
    world.shop.trash_order(order)
    world.owe("sweep", "all")
    world.settle()
    assert active(world) == set()
    world.clock.advance(hours=1)
    world.shop.restore_order(order)
    world.owe("sweep", "all")
    world.settle()
    assert active(world) == {"a@b.test"}


def test_an_order_deleted_for_good_is_found_by_reconciling(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 2, "a@b.test")
    other = world.shop.place_order([(world.sell(world.course("TWO")), 1)], email="b@b.test")
    world.look(other)
    world.shop.delete_order(order)
    world.owe("reconcile", "all")
    world.settle()
    assert active(world) == {"b@b.test"}
    assert live(world) == 1
    assert world.parked() == {}


def test_reconciling_while_the_shop_answers_nonsense_ends_nothing(world: World) -> None:
    company(world, world.sell(world.course("ONE")), 1, "a@b.test")
    world.shop.faults.down()
    world.owe("reconcile", "all")
    world.settle()
    world.shop.faults.clear()
    world.pass_time()
    world.settle()
    assert active(world) == {"a@b.test"}


@pytest.mark.parametrize(("quantity", "seats"), [(2, 2), (3, 3), (5, 5)])
def test_a_line_edited_after_payment_has_as_many_seats_as_it_says(world: World, quantity: int, seats: int) -> None:
    order = company(world, world.sell(world.course("ONE")), 3, "a@b.test")
    world.shop.edit_line(order, line_of(world, order), quantity)
    world.look(order)
    assert live(world) == seats
    assert active(world) == {"a@b.test"}
    assert world.parked() == {}


def test_a_line_that_is_taken_off_takes_its_access_and_leaves_the_rest(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    order = world.shop.place_order([(world.sell(one), 1), (world.sell(two), 1)], email="a@b.test")
    world.look(order)
    world.shop.remove_line(order, line_of(world, order))
    world.look(order)
    assert world.access() == {("a@b.test", one): "suspended", ("a@b.test", two): "active"}
    assert world.parked() == {}


def test_a_line_put_onto_a_paid_order_is_given(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    order = world.shop.place_order([(world.sell(one), 1)], email="a@b.test")
    world.look(order)
    world.shop.add_line(order, (world.sell(two), 1))
    world.look(order)
    assert world.access() == {("a@b.test", one): "active", ("a@b.test", two): "active"}


def test_cancelled_and_completed_again_gives_everybody_the_same_seat(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 3, "a@b.test", "c@b.test")
    before = [(seat.id, seat.person_id) for seat in world.rows("seats")]
    for _ in range(2):
        world.shop.set_status(order, "cancelled")
        world.look(order)
        assert active(world) == set()
        world.shop.set_status(order, "completed")
        world.look(order)
        assert active(world) == {"a@b.test", "c@b.test"}
        assert [(seat.id, seat.person_id) for seat in world.rows("seats")] == before
    assert world.parked() == {}


def test_completed_again_after_a_refund_gives_back_only_what_is_paid_for(world: World) -> None:
    order = company(world, world.sell(world.course("ONE")), 2, "a@b.test", "c@b.test")
    begin(world, "a@b.test")
    refund(world, order, 1)
    assert active(world) == {"a@b.test"}
    world.shop.set_status(order, "cancelled")
    world.look(order)
    world.shop.set_status(order, "completed")
    world.look(order)
    assert active(world) == {"a@b.test"}
    assert live(world) == 1


def test_a_refund_in_one_order_leaves_what_another_paid_order_covers(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    customer = world.shop.add_customer("a@b.test", "A", "B")
    first, second = (world.shop.place_order([(product, 1)], customer_id=customer) for _ in range(2))
    world.look(first, second)
    world.shop.refund(first, "100.00")
    world.look(first)
    assert active(world) == {"a@b.test"}
    world.shop.trash_order(second)
    world.look(second)
    assert active(world) == set()
    world.shop.restore_order(second)
    world.look(second)
    assert active(world) == {"a@b.test"}


def test_a_refund_that_came_before_the_order_was_ever_looked_at_counts(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    order = world.shop.place_order([(world.sell(one), 1), (world.sell(two), 1)], email="a@b.test")
    world.shop.refund(order, lines={line_of(world, order): 1})
    world.look(order)
    assert world.access() == {("a@b.test", two): "active"}
