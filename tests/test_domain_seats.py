"""The seats that follow from what is paid for: given, taken, revived, ended, moved, or left for a person to decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.purchases import Choice, NewSeat, Role, Seat, SeatPlan, Standing, Taker, Want, plan_seats
from bridge.domain.switching import carried

# --- seats ---------------------------------------------------------------------------------------------------------

BUYER = Taker(100, Role.BUYER)
MIA, NOA, LEO = (Taker(person, Role.ASSIGNED) for person in (101, 102, 103))


def seat(number: int, unit: int, who: Taker | None = None, *, key: Hashable = 1, live: bool = True) -> Seat:
    return Seat(number, key, unit, who.person if who else None, live, who.role if who else None)


def switched(
    wants: Collection[Want],
    seats: Collection[Seat],
    *,
    grow: bool = True,
    idle: Collection[int] = (),
    carry: bool = True,
    into: Mapping[Hashable, Hashable] | None = None,
) -> SeatPlan:
    """The plan of a subscription, whose people move along; of an order they stay, and it is no other than was."""
    plan = plan_seats(wants, seats, grow=grow, idle=idle)
    return carried(plan, seats, idle=idle, into=into) if carry else plan


def want(seats: int, *takers: Taker, key: Hashable = 1) -> list[Want]:
    return [Want(key, seats, takers)]


def test_one_unit_bought_is_a_seat_taken_at_once() -> None:
    assert plan_seats(want(1, BUYER), []) == SeatPlan(give=(NewSeat(1, 1, BUYER),))


def test_several_units_are_open_seats() -> None:
    assert plan_seats(want(3), []) == SeatPlan(give=(NewSeat(1, 1), NewSeat(1, 2), NewSeat(1, 3)))


def test_gifts_to_several_people_take_the_first_seats_and_leave_the_others_open() -> None:
    assert plan_seats(want(3, MIA, NOA), []).give == (NewSeat(1, 1, MIA), NewSeat(1, 2, NOA), NewSeat(1, 3))
    assert plan_seats(want(1, MIA, NOA), []).give == (NewSeat(1, 1, MIA),), "no more seats than are paid for"


@pytest.mark.parametrize("seats", [0, -1])
def test_a_line_of_nothing_gives_nothing_and_takes_nothing_from_another(seats: int) -> None:
    assert plan_seats([Want(1, seats, (BUYER,)), Want(2, 1, (BUYER,))], []).give == (NewSeat(2, 1, BUYER),)


def test_whoever_has_a_seat_gets_no_second_one() -> None:
    assert not plan_seats(want(2, BUYER), [seat(1, 1, BUYER), seat(2, 2)])
    assert plan_seats(want(2, BUYER), [seat(1, 1, BUYER)]).give == (NewSeat(1, 2),)


def test_whoever_has_none_takes_an_open_one_before_a_new_one() -> None:
    plan = plan_seats(want(3, MIA, NOA), [seat(1, 1, BUYER), seat(2, 2)])
    assert plan == SeatPlan(give=(NewSeat(1, 3, NOA),), take=((seat(2, 2), MIA),))


def test_what_is_over_ends_every_seat_that_lives() -> None:
    seats = [seat(1, 1, MIA), seat(2, 2, live=False), seat(3, 3)]
    assert plan_seats([], seats) == SeatPlan(end=(seats[0], seats[2]))
    assert plan_seats(want(0), seats) == SeatPlan(end=(seats[0], seats[2]))


def test_paid_again_the_same_seats_live_again_with_the_same_people() -> None:
    ended = [seat(1, 1, MIA, live=False), seat(2, 2, live=False)]
    assert plan_seats(want(2, BUYER), ended) == SeatPlan(revive=(ended[0], ended[1]), take=((ended[1], BUYER),))


def test_of_the_seats_given_back_those_that_were_taken_come_first() -> None:
    ended = [seat(1, 1, live=False), seat(2, 2, MIA, live=False), seat(3, 3, NOA, live=False)]
    assert plan_seats(want(2), ended).revive == (ended[1], ended[2])


def test_a_quantity_that_staff_changed_adds_or_ends_the_difference() -> None:
    two = [seat(1, 1), seat(2, 2)]
    assert plan_seats(want(4), two) == SeatPlan(give=(NewSeat(1, 3), NewSeat(1, 4)))
    less = plan_seats(want(1, BUYER), two)
    assert less == SeatPlan(take=((two[0], BUYER),), end=(two[1],)), "the one that is left is the buyer's"


def test_a_line_that_staff_removed_ends_its_seats_only() -> None:
    seats = [seat(1, 1, BUYER), seat(2, 1, BUYER, key=2)]
    assert plan_seats(want(1, BUYER, key=2), seats) == SeatPlan(end=(seats[0],))


def test_a_seat_once_taken_stays_with_its_person() -> None:
    plan = plan_seats(want(3), [seat(1, 1, MIA)])
    assert plan == SeatPlan(give=(NewSeat(1, 2), NewSeat(1, 3)))


def test_a_unit_is_never_counted_twice() -> None:
    plan = plan_seats(want(3), [seat(1, 1), seat(9, 4, live=False)])
    assert plan == SeatPlan(give=(NewSeat(1, 5),), revive=(seat(9, 4, live=False),))


def test_open_seats_go_before_those_of_people_who_never_began() -> None:
    seats = [seat(1, 1, MIA), seat(2, 2), seat(3, 3, NOA), seat(4, 4)]
    assert plan_seats(want(3), seats, idle=[1, 3]).end == (seats[3],)
    assert plan_seats(want(2), seats, idle=[1, 3]).end == (seats[3], seats[1])
    assert plan_seats(want(1), seats, idle=[1, 3]).end == (seats[3], seats[1], seats[2])


def test_which_of_the_seats_in_use_go_is_for_a_person_to_say() -> None:
    seats = [seat(1, 1, MIA), seat(2, 2), seat(3, 3, NOA), seat(4, 4, LEO)]
    plan = plan_seats(want(1), seats, idle=[4])
    assert plan.end == (seats[1], seats[3])
    assert plan.undecided == (Choice(1, 1, (seats[0], seats[2])),)
    undecided = plan_seats(want(1), [seats[0], seats[2]])
    assert undecided == SeatPlan(undecided=(Choice(1, 1, (seats[0], seats[2])),))
    assert not undecided, "there is nothing to carry out"


def test_while_nothing_new_is_given_what_there_is_only_gets_less() -> None:
    seats = [seat(1, 1, MIA), seat(2, 2), seat(3, 3, NOA, live=False)]
    assert plan_seats(want(5, BUYER), seats, grow=False) == SeatPlan()
    assert plan_seats(want(1, BUYER), seats, grow=False) == SeatPlan(end=(seats[1],))
    assert plan_seats([], seats, grow=False) == SeatPlan(end=(seats[0], seats[1]))


# --- a subscription that was switched ------------------------------------------------------------------------------


def test_when_a_subscription_was_switched_its_people_move_with_it() -> None:
    seats = [seat(1, 1, BUYER), seat(2, 2, MIA), seat(3, 3)]
    plan = switched(want(3, key=2), seats)
    assert plan.end == tuple(seats)
    assert plan.give == (NewSeat(2, 1, BUYER), NewSeat(2, 2, MIA), NewSeat(2, 3))
    assert plan_seats(want(3, key=2), seats).give == (NewSeat(2, 1), NewSeat(2, 2), NewSeat(2, 3)), "an order's stay"


def test_whoever_takes_a_seat_of_the_new_line_anyway_gets_no_second_one() -> None:
    plan = switched(want(2, BUYER, key=2), [seat(1, 1, BUYER), seat(2, 2, MIA)])
    assert plan.give == (NewSeat(2, 1, BUYER), NewSeat(2, 2, MIA))


def test_switched_to_fewer_seats_the_first_move() -> None:
    plan = switched(want(1, key=2), [seat(1, 1, MIA), seat(2, 2, NOA)])
    assert plan.give == (NewSeat(2, 1, MIA),)


def test_switched_back_people_who_joined_meanwhile_take_the_open_seats_that_live_again() -> None:
    seats = [
        seat(1, 1, live=False),
        seat(2, 2, live=False),
        seat(3, 1, MIA, key=2),
        seat(4, 2, NOA, key=2),
    ]
    plan = switched(want(2), seats)
    assert plan.revive == (seats[0], seats[1])
    assert plan.end == (seats[2], seats[3])
    assert plan.take == ((seats[0], MIA), (seats[1], NOA))


def test_switched_back_whoever_has_their_old_seat_again_gets_no_second_one() -> None:
    seats = [seat(1, 1, MIA, live=False), seat(2, 1, MIA, key=2), seat(3, 2, NOA, key=2)]
    plan = switched(want(3), seats)
    assert plan.revive == (seats[0],)
    assert plan.give == (NewSeat(1, 2, NOA), NewSeat(1, 3))


def test_moved_to_a_line_on_which_they_sit_already_nobody_gets_a_second_seat() -> None:
    seats = [seat(1, 1, MIA), seat(2, 1, MIA, key=2)]
    assert switched(want(2, key=2), seats).give == (NewSeat(2, 2),)


INTO: Mapping[Hashable, Hashable] = {1: 2}


def test_people_take_the_open_seats_of_the_line_that_theirs_was_switched_into() -> None:
    seats = [seat(1, 1, MIA), seat(2, 2, NOA), seat(3, 3), seat(4, 1, key=2), seat(5, 2, LEO, key=2), seat(6, 3, key=2)]
    plan = switched(want(3, key=2), seats, into=INTO)
    assert (plan.end, plan.take) == (tuple(seats[:3]), ((seats[3], MIA), (seats[5], NOA)))
    assert switched(want(3, key=2), seats).take == (), "a line taken off is no line switched"


def test_of_too_few_seats_those_get_none_who_never_began() -> None:
    seats = [seat(1, 1, MIA), seat(2, 2, NOA), seat(3, 3, LEO)]
    plan = switched(want(2, key=2), seats, idle=[1], into=INTO)
    assert plan.end == tuple(seats)
    assert plan.give == (NewSeat(2, 1, NOA), NewSeat(2, 2, LEO))


def test_who_of_those_in_use_moves_to_too_few_seats_is_for_a_person_to_say() -> None:
    seats = [seat(1, 1, MIA), seat(2, 2, NOA), seat(3, 3, LEO), seat(4, 4)]
    plan = switched(want(1, key=2), seats, idle=[3], into=INTO)
    assert (plan.end, plan.give) == ((seats[2], seats[3]), (NewSeat(2, 1),))
    assert plan.undecided == (Choice(1, 1, (seats[0], seats[1])),)


def test_where_the_new_line_gives_no_seat_there_is_nothing_to_choose() -> None:
    seats = [seat(1, 1, MIA), seat(2, 2, NOA)]
    assert switched([], seats, into=INTO) == SeatPlan(end=tuple(seats))


def test_whoever_sits_on_the_new_line_already_needs_no_seat_of_it() -> None:
    seats = [seat(1, 1, MIA), seat(2, 2, NOA), seat(3, 1, MIA, key=2), seat(4, 2, key=2)]
    plan = switched(want(2, key=2), seats, into=INTO)
    assert (plan.end, plan.take, plan.undecided) == ((seats[0], seats[1]), ((seats[3], NOA),), ())


def test_two_lines_switched_into_one_share_its_seats() -> None:
    seats = [seat(1, 1, MIA), seat(2, 1, NOA, key=3), seat(3, 2, MIA, key=3)]
    plan = switched(want(2, key=2), seats, into={1: 2, 3: 2})
    assert plan.give == (NewSeat(2, 1, MIA), NewSeat(2, 2, NOA))


# --- whatever happens ----------------------------------------------------------------------------------------------


def after(plan: SeatPlan, seats: Sequence[Seat]) -> list[Seat]:
    """The ledger once a plan has been carried out."""
    ended, revived = {one.id for one in plan.end}, {one.id for one in plan.revive}
    sat = {one.id: taker for one, taker in plan.take}
    kept = []
    for one in seats:
        who = sat.get(one.id, Taker(one.person, one.role) if one.person is not None and one.role else None)
        live = (one.live or one.id in revived) and one.id not in ended
        kept.append(seat(one.id, one.unit, who, key=one.key, live=live))
    first = max((one.id for one in seats), default=0) + 1
    return kept + [seat(first + n, new.unit, new.taker, key=new.key) for n, new in enumerate(plan.give)]


def living(seats: Collection[Seat]) -> Counter[Hashable]:
    return Counter(one.key for one in seats if one.live)


TAKERS = st.sampled_from([BUYER, MIA, NOA])
KEYS = st.sampled_from([1, (50, 0)])
WANTS = st.lists(
    st.builds(Want, KEYS, st.integers(-1, 4), st.lists(TAKERS, max_size=2, unique=True).map(tuple)),
    max_size=3,
    unique_by=lambda one: one.key,
)


def numbered(shapes: list[tuple[Hashable, Taker | None, bool]]) -> list[Seat]:
    """Seats of distinct ids and units."""
    return [seat(n, n, who, key=key, live=live) for n, (key, who, live) in enumerate(shapes, 1)]


SEATS = st.lists(st.tuples(KEYS, st.none() | TAKERS, st.booleans()), max_size=8).map(numbered)
IDLE = st.frozensets(st.integers(1, 8))


@given(WANTS, SEATS, st.booleans(), IDLE, st.booleans())
def test_there_are_never_more_seats_than_are_paid_for_unless_a_person_has_to_choose(
    wants: list[Want], seats: list[Seat], grow: bool, idle: frozenset[int], carry: bool
) -> None:
    plan = switched(wants, seats, grow=grow, idle=idle, carry=carry)
    there = living(after(plan, seats))
    paid = Counter({one.key: max(one.seats, 0) for one in wants})
    left = Counter({choice.key: choice.count for choice in plan.undecided})
    for key in {*there, *paid}:
        assert there[key] <= paid[key] + left[key]
        if grow or living(seats)[key] >= paid[key]:
            assert there[key] == paid[key] + left[key]
    for choice in plan.undecided:
        assert 0 < choice.count < len(choice.among), "where all have to go, there is nothing to choose"


@given(WANTS, SEATS, st.booleans(), IDLE, st.booleans())
def test_nobody_who_learns_loses_a_seat_while_an_open_or_idle_one_could_go(
    wants: list[Want], seats: list[Seat], grow: bool, idle: frozenset[int], carry: bool
) -> None:
    plan = switched(wants, seats, grow=grow, idle=idle, carry=carry)
    stay = [one for one in seats if one.live and one not in plan.end]
    for ended in plan.end:
        beside = [one for one in stay if one.key == ended.key]
        if ended.person is not None:
            assert all(one.person is not None for one in beside), "an open one went first"
        if ended.person is not None and ended.id not in idle:
            assert not beside, "of those in use all go, or none"
    for choice in plan.undecided:
        assert {one for one in stay if one.key == choice.key} == set(choice.among)
        assert all(one.person is not None and one.id not in idle for one in choice.among)


@given(WANTS, SEATS, st.booleans(), IDLE, st.booleans())
def test_a_plan_that_was_carried_out_leaves_nothing_to_do_but_what_a_person_has_to_decide(
    wants: list[Want], seats: list[Seat], grow: bool, idle: frozenset[int], carry: bool
) -> None:
    plan = switched(wants, seats, grow=grow, idle=idle, carry=carry)
    again = switched(wants, after(plan, seats), grow=grow, idle=idle, carry=carry)
    assert not again
    assert again.undecided == plan.undecided


@given(WANTS, SEATS, st.booleans(), IDLE, st.booleans())
def test_whoever_sits_stays_and_no_unit_is_given_twice(
    wants: list[Want], seats: list[Seat], grow: bool, idle: frozenset[int], carry: bool
) -> None:
    plan = switched(wants, seats, grow=grow, idle=idle, carry=carry)
    changed = after(plan, seats)
    for was, now in zip(seats, changed, strict=False):
        assert was.person in (None, now.person), "neither a revived seat nor another changes its person"
    assert all(one in seats and not one.live for one in plan.revive)
    assert all(one in seats and one.live for one in plan.end)
    units = [(one.key, one.unit) for one in changed]
    assert len(units) == len(set(units))
    before = Counter((one.key, one.person) for one in seats if one.person is not None)
    many = Counter((one.key, one.person) for one in changed if one.live and one.person is not None)
    for place, count in many.items():
        assert count <= max(before[place], 1), "nobody gets a second seat of one purchase"


@given(WANTS, SEATS, IDLE)
def test_what_is_paid_for_somebody_is_theirs_as_long_as_there_is_a_seat(
    wants: list[Want], seats: list[Seat], idle: frozenset[int]
) -> None:
    there = after(plan_seats(wants, seats, idle=idle), seats)
    for one in wants:
        live = [seat for seat in there if seat.key == one.key and seat.live]
        waiting = {taker.person for taker in one.takers} - {seat.person for seat in live}
        assert not waiting or all(seat.person is not None for seat in live)


STEPS = st.lists(st.tuples(st.sampled_from([Standing.PAYS, Standing.GRACE, Standing.ENDED]), WANTS), max_size=6)


@given(STEPS)
def test_whatever_a_purchase_went_through_it_has_the_seats_it_pays_for_now(
    history: list[tuple[Standing, list[Want]]],
) -> None:
    seats: list[Seat] = []
    for stands, wants in history:
        asked = [] if stands is Standing.ENDED else wants
        idle = [one.id for one in seats]
        plan = plan_seats(asked, seats, grow=stands.gives, idle=idle)
        before, seats = seats, after(plan, seats)
        assert not plan.undecided
        paid = Counter({one.key: max(one.seats, 0) for one in asked})
        for key in {one.key for one in seats}:
            assert living(seats)[key] == (paid[key] if stands.gives else min(paid[key], living(before)[key]))


def test_what_was_chosen_to_go_stays_away_when_the_rest_comes_back() -> None:
    before, after = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    ended = [Seat(n, 1, n, n, False, Role.ASSIGNED, before if n == 1 else after) for n in (1, 2, 3)]
    assert [seat.id for seat in plan_seats([Want(1, 2)], ended).revive] == [2, 3]
    assert {seat.id for seat in plan_seats([Want(1, 3)], ended).revive} == {1, 2, 3}


@given(st.integers(0, 4), SEATS, IDLE)
def test_whoever_began_learns_on_after_a_switch_until_a_person_says_otherwise_or_there_is_no_seat(
    many: int, shapes: list[Seat], idle: frozenset[int]
) -> None:
    seats = [one for one in shapes if one.key == 1 or one.live]
    old, new = 1, (50, 0)
    wants = [Want(new, many)]
    plan = switched(wants, seats, idle=idle, into={old: new})
    there = [one for one in after(plan, seats) if one.live]
    kept = {one.person for one in there if one.person is not None}
    began = {one.person for one in seats if one.live and one.key == old and one.person and one.id not in idle}
    asked = any(choice.key == old for choice in plan.undecided)
    if asked or any(one.key == new and one.person is None for one in there):
        assert began <= kept, "nobody was left out while there was a seat, or a choice"
    again = switched(wants, after(plan, seats), idle=idle, into={old: new})
    assert not again
    assert again.undecided == plan.undecided
