"""What an order pays for: which lines give a course, whether it pays now, which seats and enrolments follow."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.enrolments import EnrolmentPlan, Held, State, plan_enrolments
from bridge.domain.purchases import (
    Buyer,
    Gives,
    Line,
    Order,
    Seat,
    SeatPlan,
    Standing,
    Unresolved,
    plan_seats,
    resolve,
    standing,
)

THEN = datetime(2026, 11, 23, tzinfo=UTC)
PAID = ("processing", "completed")


def order(status: str, *, method: str = "stripe", paid: bool = True) -> Order:
    return Order(1, status, Buyer(0, "mia@guest.test"), (), THEN, THEN if paid else None, method)


def line(number: int = 1, quantity: int = 1, *, product: int = 50, variation: int = 0, sku: str = "") -> Line:
    return Line(number, "First steps", product, variation, quantity, sku)


# --- does it pay? -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "stands"),
    [
        ("processing", Standing.PAYS),
        ("completed", Standing.PAYS),
        ("pending", Standing.WAITS),
        ("on-hold", Standing.WAITS),
        ("checkout-draft", Standing.WAITS),
        ("auto-draft", Standing.WAITS),
        ("a-status-of-a-plugin", Standing.WAITS),
        ("", Standing.WAITS),
        ("cancelled", Standing.ENDED),
        ("refunded", Standing.ENDED),
        ("failed", Standing.ENDED),
        ("trash", Standing.ENDED),
    ],
)
def test_what_each_status_means(status: str, stands: Standing) -> None:
    for cash in (True, False):
        assert standing(order(status), PAID, unconfirmed_cash_pays=cash) is stands


def test_which_statuses_count_as_paid_is_configured() -> None:
    assert standing(order("completed"), ["processing"], unconfirmed_cash_pays=True) is Standing.WAITS
    assert standing(order("invoiced"), [*PAID, "invoiced"], unconfirmed_cash_pays=True) is Standing.PAYS


@pytest.mark.parametrize("status", ["cancelled", "refunded", "failed", "trash"])
def test_what_is_over_does_not_pay_even_if_somebody_lists_it_as_paid(status: str) -> None:
    assert standing(order(status), [status], unconfirmed_cash_pays=True) is Standing.ENDED


@pytest.mark.parametrize(
    ("status", "method", "paid", "counts", "stands"),
    [
        ("processing", "cod", False, True, Standing.PAYS),
        ("processing", "cod", False, False, Standing.WAITS),
        ("processing", "cod", True, False, Standing.PAYS),
        ("completed", "cod", False, False, Standing.PAYS),
        ("processing", "", False, False, Standing.PAYS),
        ("processing", "bacs", False, False, Standing.PAYS),
        ("cancelled", "cod", False, False, Standing.ENDED),
    ],
)
def test_whether_cash_that_nobody_confirmed_counts_is_configured(
    status: str, method: str, paid: bool, counts: bool, stands: Standing
) -> None:
    assert standing(order(status, method=method, paid=paid), PAID, unconfirmed_cash_pays=counts) is stands


# --- what a line gives ---------------------------------------------------------------------------------------------


def test_a_line_gives_what_it_gave_when_it_was_first_seen() -> None:
    one = line(sku="totara-course-9", variation=51)
    assert resolve(one, remembered={1: 7}, by_product={50: 8, 51: 6}, by_sku=9) == Gives(one, 7)


def test_then_its_variation_then_its_product_then_its_sku_tells() -> None:
    one = line(variation=51)
    assert resolve(one, remembered={}, by_product={50: 8, 51: 6}, by_sku=9) == Gives(one, 6)
    assert resolve(one, remembered={}, by_product={50: 8}, by_sku=9) == Gives(one, 8)
    assert resolve(one, remembered={}, by_product={}, by_sku=9) == Gives(one, 9)


def test_a_book_gives_no_course() -> None:
    assert resolve(line(), remembered={}, by_product={}, by_sku=None) == Gives(line(), None)


def test_a_book_that_became_a_course_later_gives_it() -> None:
    assert resolve(line(), remembered={1: None}, by_product={50: 8}, by_sku=None) == Gives(line(), 8)
    assert resolve(line(), remembered={1: None}, by_product={}, by_sku=9) == Gives(line(), 9)


def test_a_line_of_a_deleted_product_is_known_again() -> None:
    gone = line(product=0)
    assert resolve(gone, remembered={1: 7}, by_product={}, by_sku=None) == Gives(gone, 7)
    assert resolve(gone, remembered={1: None}, by_product={}, by_sku=None) == Gives(gone, None)


def test_a_line_of_a_product_that_was_deleted_unseen_is_told_to_a_person() -> None:
    gone = line(3, product=0)
    found = resolve(gone, remembered={1: 7}, by_product={0: 4}, by_sku=None)
    assert isinstance(found, Unresolved)
    assert found.line == gone
    assert "line 3" in found.reason
    assert "First steps" in found.reason


def test_a_product_without_a_number_is_never_looked_up_by_it() -> None:
    assert resolve(line(product=50), remembered={}, by_product={0: 4}, by_sku=None) == Gives(line(product=50), None)


# --- seats --------------------------------------------------------------------------------------------------------


def after(plan: SeatPlan, seats: list[Seat]) -> list[Seat]:
    """The ledger once a plan has been carried out."""
    revived = {(s.line_id, s.unit) for s in plan.revive}
    ended = {(s.line_id, s.unit) for s in plan.end}
    kept = [
        replace(s, live=True) if (s.line_id, s.unit) in revived else replace(s, live=False)
        if (s.line_id, s.unit) in ended else s
        for s in seats
    ]  # fmt: skip
    sat = {(s.line_id, s.unit) for s in plan.take}
    return [replace(s, taken=True) if (s.line_id, s.unit) in sat else s for s in kept] + list(plan.give)


def live(seats: list[Seat]) -> Counter[int]:
    return Counter(seat.course_id for seat in seats if seat.live)


def gives(*lines: tuple[int, int, int | None]) -> list[Gives]:
    """(line, quantity, course) each."""
    return [Gives(line(number, quantity), course) for number, quantity, course in lines]


def test_one_unit_bought_is_a_seat_taken_at_once() -> None:
    assert plan_seats(Standing.PAYS, gives((1, 1, 7)), []) == SeatPlan(give=(Seat(1, 1, 7, True, True),))


def test_several_units_are_open_seats() -> None:
    plan = plan_seats(Standing.PAYS, gives((1, 3, 7)), [])
    assert plan.give == tuple(Seat(1, unit, 7, False, True) for unit in (1, 2, 3))


def test_one_course_on_two_lines_is_several_units() -> None:
    plan = plan_seats(Standing.PAYS, gives((1, 1, 7), (2, 1, 7), (3, 1, 8)), [])
    assert {(s.line_id, s.course_id, s.taken) for s in plan.give} == {(1, 7, False), (2, 7, False), (3, 8, True)}


def test_a_line_that_gives_no_course_gives_no_seat() -> None:
    assert not plan_seats(Standing.PAYS, gives((1, 5, None)), [])


@pytest.mark.parametrize("quantity", [0, -1])
def test_a_line_of_nothing_gives_nothing_and_takes_nothing_from_another(quantity: int) -> None:
    plan = plan_seats(Standing.PAYS, gives((1, quantity, 7), (2, 1, 7)), [])
    assert plan.give == (Seat(2, 1, 7, True, True),)


def test_nothing_changes_while_an_order_waits() -> None:
    seats = [Seat(1, 1, 7, True, True), Seat(1, 2, 7, False, False)]
    assert plan_seats(Standing.WAITS, gives((1, 5, 7)), seats) == SeatPlan()
    assert plan_seats(Standing.WAITS, [], seats) == SeatPlan()


def test_what_is_over_ends_every_seat_that_lives() -> None:
    seats = [Seat(1, 1, 7, True, True), Seat(1, 2, 7, False, False)]
    assert plan_seats(Standing.ENDED, gives((1, 2, 7)), seats) == SeatPlan(end=(seats[0],))


def test_paid_again_the_same_seats_live_again_with_the_same_people() -> None:
    ended = [Seat(1, 1, 7, True, False), Seat(2, 1, 8, False, False)]
    plan = plan_seats(Standing.PAYS, gives((1, 1, 7), (2, 1, 8)), ended)
    assert plan == SeatPlan(revive=tuple(ended), take=(ended[1],))


def test_a_quantity_that_staff_changed_adds_or_ends_the_difference() -> None:
    two = [Seat(1, unit, 7, False, True) for unit in (1, 2)]
    more = plan_seats(Standing.PAYS, gives((1, 4, 7)), two)
    assert more == SeatPlan(give=(Seat(1, 3, 7, False, True), Seat(1, 4, 7, False, True)))
    less = plan_seats(Standing.PAYS, gives((1, 1, 7)), two)
    assert less == SeatPlan(take=(two[0],), end=(two[1],)), "the one that is left is the buyer's"


def test_a_line_that_staff_removed_ends_its_seats_only() -> None:
    seats = [Seat(1, 1, 7, True, True), Seat(2, 1, 8, True, True)]
    assert plan_seats(Standing.PAYS, gives((2, 1, 8)), seats) == SeatPlan(end=(seats[0],))


def test_a_seat_once_taken_stays_with_its_person() -> None:
    taken = [Seat(1, 1, 7, True, True)]
    plan = plan_seats(Standing.PAYS, gives((1, 3, 7)), taken)
    assert [(s.unit, s.taken) for s in plan.give] == [(2, False), (3, False)]
    assert not plan.end
    assert not plan.revive


LINES = st.lists(
    st.tuples(st.integers(1, 5), st.integers(-1, 4), st.sampled_from([None, 7, 8, 9])),
    max_size=5,
    unique_by=lambda one: one[0],
)
STANDINGS = st.sampled_from(Standing)


@given(st.lists(st.tuples(STANDINGS, LINES), min_size=1, max_size=5))
def test_whatever_an_order_went_through_it_has_the_seats_it_pays_for_now(
    history: list[tuple[Standing, list[tuple[int, int, int | None]]]],
) -> None:
    # A line gives the same course for as long as it exists: that is remembered (see resolve).
    course_of_line: dict[int, int | None] = {}
    seats: list[Seat] = []
    for stands, shown in history:
        lines = [(number, quantity, course_of_line.setdefault(number, course)) for number, quantity, course in shown]
        before = list(seats)
        plan = plan_seats(stands, gives(*lines), seats)
        seats = after(plan, seats)
        keys = [(seat.line_id, seat.unit) for seat in seats]
        assert len(keys) == len(set(keys)), "one seat for one unit of one line"
        if stands is Standing.WAITS:
            assert seats == before
            assert not plan
        elif stands is Standing.ENDED:
            assert not live(seats)
        else:
            paid = Counter[int]()
            for _, quantity, course in lines:
                if course is not None and quantity > 0:
                    paid[course] += quantity
            assert live(seats) == paid
            for seat in plan.give:
                assert seat.taken is (paid[seat.course_id] == 1)
        for seat, was in zip(seats, before, strict=False):
            assert seat.course_id == was.course_id
            assert seat.taken or not was.taken, "nobody loses a seat to another"
        assert not plan_seats(stands, gives(*lines), seats), "again is nothing"


# --- enrolments -----------------------------------------------------------------------------------------------------


def test_access_is_given_where_a_seat_pays_and_none_is_held() -> None:
    held = {
        1: Held(1, State.ACTIVE, True),
        2: Held(2, State.ACTIVE, False),
        3: Held(3, State.SUSPENDED, True),
        4: Held(4, State.WANTED, False),
        5: Held(5, State.ACTIVE, True),
        6: Held(6, State.SUSPENDED, False),
        7: Held(7, State.WANTED, False),
    }
    assert plan_enrolments([1, 2, 3, 4, 8, 8], held) == EnrolmentPlan(enrol=(3, 4, 8), verify=(2,), suspend=(5,))


def test_a_person_with_nothing_owed_costs_no_call() -> None:
    assert not plan_enrolments([1], {1: Held(1, State.ACTIVE, True)})
    assert not plan_enrolments([], {})
    assert not plan_enrolments([], {1: Held(1, State.SUSPENDED, False), 2: Held(2, State.WANTED, False)})


COURSES = st.frozensets(st.integers(1, 8))
HOLDINGS = st.dictionaries(st.integers(1, 8), st.tuples(st.sampled_from(State), st.booleans())).map(
    lambda found: {course: Held(course, *it) for course, it in found.items()}
)


@given(COURSES, HOLDINGS)
def test_once_a_plan_is_carried_out_exactly_what_is_paid_for_is_open(
    wanted: frozenset[int], held: dict[int, Held]
) -> None:
    plan = plan_enrolments(wanted, held)
    assert not set(plan.enrol) & set(plan.suspend)
    assert not set(plan.suspend) & wanted, "never while something else pays for it"
    assert set(plan.suspend) <= {course for course, it in held.items() if it.state is State.ACTIVE}, "only what we gave"
    now = dict(held)
    now |= {course: Held(course, State.ACTIVE, True) for course in (*plan.enrol, *plan.verify)}
    now |= {course: Held(course, State.SUSPENDED, False) for course in plan.suspend}
    assert {course for course, it in now.items() if it.state is State.ACTIVE} == wanted
    assert all(now[course].verified for course in wanted)
    assert not plan_enrolments(wanted, now)
