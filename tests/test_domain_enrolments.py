"""From a person's seats to the access that should stand, now and at the next moment that matters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.enrolments import (
    LAST_LOOK,
    AccessPlan,
    Held,
    Right,
    State,
    Wanted,
    lasting,
    plan_access,
    too_many,
    wanted,
)
from bridge.domain.offers import Item, Kind, course

NOW = datetime(2026, 11, 23, 9, 30, 15, 250_000, tzinfo=UTC)
SECOND = NOW.replace(microsecond=0)
SEVEN, EIGHT = course(7), course(8)


def day(number: float) -> datetime:
    """That many days from now, in whole seconds."""
    return SECOND + timedelta(days=number)


def right(
    seat: int,
    item: Item = SEVEN,
    *,
    starts: datetime | None = None,
    until: datetime | None = None,
    days: int | None = None,
    held: str = "",
    begun: datetime | None = None,
    dated: bool = False,
) -> Right:
    return Right(seat, item, starts, until, days, held, begun, dated=dated)


def ends(found: Wanted) -> dict[int, datetime]:
    """When the days run out that begin now."""
    return {seat: run.until for seat, run in found.begin.items()}


# --- what is wanted ------------------------------------------------------------------------------------------------


def test_nobody_without_a_seat_is_let_in() -> None:
    assert wanted([], NOW) == Wanted()


def test_a_seat_without_an_end_lets_in_for_good() -> None:
    assert wanted([right(1)], NOW) == Wanted({SEVEN: None})


def test_access_is_there_while_one_seat_pays_and_until_the_last_ends() -> None:
    found = wanted([right(1, until=day(3)), right(2, until=day(9)), right(3, EIGHT, until=day(1))], NOW)
    assert found.items == {SEVEN: day(9), EIGHT: day(1)}
    assert wanted([right(1, until=day(3)), right(2)], NOW).items == {SEVEN: None}
    assert wanted([right(1), right(2, until=day(3))], NOW).items == {SEVEN: None}


def test_a_seat_that_rests_pays_for_nothing_and_another_still_does() -> None:
    assert wanted([right(1, held="in dispute"), right(2, EIGHT, days=30, held="in dispute")], NOW) == Wanted()
    both = wanted([right(1, held="in dispute"), right(2, until=day(3))], NOW)
    assert both.items == {SEVEN: day(3)}


def test_access_begins_when_it_is_said_to() -> None:
    later = [right(1, starts=day(2), until=day(30))]
    assert wanted(later, NOW) == Wanted(next_look=day(2))
    assert wanted(later, day(2)).items == {SEVEN: day(30)}, "at that very moment"


def test_access_ends_when_it_is_said_to() -> None:
    one = [right(1, until=day(2))]
    assert wanted(one, day(2) - timedelta(seconds=1)).items == {SEVEN: day(2)}
    assert wanted(one, day(2)) == Wanted(), "at that very moment"


def test_what_is_over_before_it_begins_is_not_waited_for_for_ever() -> None:
    assert wanted([right(1, starts=day(-3), until=day(-2))], NOW) == Wanted()


# --- days ----------------------------------------------------------------------------------------------------------


def test_days_begin_with_the_first_enrolment_and_end_in_whole_seconds() -> None:
    found = wanted([right(1, days=30)], NOW)
    assert (found.items, ends(found)) == ({SEVEN: day(30)}, {1: day(30)})


def test_one_seats_days_are_the_same_for_everything_that_it_gives() -> None:
    found = wanted([right(1, days=30), right(1, EIGHT, days=30)], NOW)
    assert (found.items, ends(found)) == ({SEVEN: day(30), EIGHT: day(30)}, {1: day(30)})


def test_bought_again_early_the_days_follow_one_another() -> None:
    found = wanted([right(1, until=day(5)), right(2, days=30), right(3, days=10)], NOW)
    assert ends(found) == {2: day(35), 3: day(45)}
    assert found.items == {SEVEN: day(45)}


def test_days_of_another_course_do_not_wait() -> None:
    found = wanted([right(1, until=day(5)), right(2, EIGHT, days=30)], NOW)
    assert ends(found) == {2: day(30)}


def test_days_that_have_run_out_are_not_followed_but_begun_anew() -> None:
    found = wanted([right(1, until=day(-5)), right(2, days=30)], NOW)
    assert ends(found) == {2: day(30)}


def test_days_wait_neither_for_what_has_no_end_nor_for_what_rests_or_has_not_begun() -> None:
    others = [right(1), right(2, until=day(5), held="in dispute"), right(3, starts=day(1), until=day(5))]
    found = wanted([*others, right(4, days=30)], NOW)
    assert ends(found) == {4: day(30)}
    assert found.items == {SEVEN: None}


def test_days_that_have_not_begun_do_not_outlast_the_fixed_end() -> None:
    found = wanted([right(1, until=day(5), days=30)], NOW)
    assert (found.items, ends(found)) == ({SEVEN: day(5)}, {1: day(30)})
    found = wanted([right(1, until=day(50), days=30)], NOW)
    assert (found.items, ends(found)) == ({SEVEN: day(30)}, {1: day(30)}), "nor the end the days"


def test_days_do_not_begin_when_nothing_is_given() -> None:
    assert wanted([right(1, until=day(-1), days=30)], NOW) == Wanted()
    assert wanted([right(1, starts=day(1), days=30)], NOW).begin == {}
    assert wanted([right(1, days=30, held="in dispute")], NOW).begin == {}


def runs(seat: int, begun: float, days: int, item: Item = SEVEN, **more: Any) -> Right:
    """Days of a seat that began some days from now (before now: less than 0)."""
    return right(seat, item, days=days, begun=day(begun), **more)


def test_days_that_run_follow_those_that_are_still_paid_for_and_no_others() -> None:
    one, two, three = runs(1, -20, 30), runs(2, -15, 30), runs(3, -10, 30)
    assert wanted([one, two, three], NOW).moved == {1: day(10), 2: day(40), 3: day(70)}
    assert wanted([two, three], NOW).moved == {2: day(15), 3: day(45)}, "the first was given back"
    assert wanted([one, three], NOW).moved == {1: day(10), 3: day(40)}, "the one in the middle was given back"
    assert wanted([one, two, three], NOW).items == {SEVEN: day(70)}, "it is paid for again"


def test_days_in_dispute_shift_nothing_meanwhile() -> None:
    found = wanted([runs(1, -20, 30, held="in dispute"), runs(2, -15, 30)], NOW)
    assert (found.items, found.moved) == ({SEVEN: day(15)}, {2: day(15)})


def test_days_of_what_is_not_paid_any_more_shift_something_until_the_end_of_grace() -> None:
    both = [runs(1, -20, 30, until=day(7)), runs(2, -15, 30)]
    both[0] = replace(both[0], grace=day(7))
    assert wanted(both, NOW).items == {SEVEN: day(37)}
    assert wanted(both, day(7)).items == {SEVEN: day(15)}, "as if it had been given back"


def test_days_that_were_used_up_before_others_began_to_count_are_over_all_the_same() -> None:
    both = [runs(1, -40, 30), runs(2, -30, 30)]
    assert wanted(both, NOW).items == {SEVEN: day(20)}
    assert wanted(both[1:], NOW).items == {}, "thirty days were paid for, and it is forty since"


def test_an_end_that_is_as_it_was_written_down_is_not_written_again() -> None:
    assert wanted([replace(runs(1, -20, 30), written=day(10))], NOW).moved == {}


def test_days_follow_what_was_sold_with_an_end_while_that_is_paid_for() -> None:
    dated = right(1, until=day(10), dated=True)
    assert wanted([dated, right(2, days=30)], NOW).begin[2].begun == NOW
    assert wanted([dated, runs(2, -1, 30)], NOW).moved == {2: day(40)}
    assert wanted([runs(2, -1, 30)], NOW).moved == {2: day(29)}
    assert wanted([replace(dated, since=day(0)), runs(2, -1, 30)], NOW).moved == {2: day(29)}, "bought later"


def test_an_end_that_came_to_be_later_stretches_no_days_that_run() -> None:
    """Somebody who has it for good and is put on hold, or leaves."""
    assert wanted([right(1, until=day(10)), runs(2, -1, 30)], NOW).moved == {2: day(29)}


def test_days_begun_after_an_end_that_may_change_begin_there() -> None:
    assert wanted([right(1, until=day(5)), right(2, days=30)], NOW).begin[2].begun == day(5)


def test_each_seats_days_are_whole_whatever_order_they_were_bought_in() -> None:
    both = [runs(1, -3, 10, EIGHT), runs(1, -3, 10), runs(2, -2, 30)]
    assert wanted(both, NOW).items == {EIGHT: day(7), SEVEN: day(37)}


# --- when to look again --------------------------------------------------------------------------------------------


def test_completion_is_looked_at_shortly_before_an_end_and_then_the_end_is_made_sure_of() -> None:
    one = [right(1, until=day(2))]
    assert wanted(one, NOW).next_look == day(2) - LAST_LOOK
    assert wanted(one, day(2) - LAST_LOOK).next_look == day(2)
    assert wanted(one, day(2)).next_look is None


def test_the_next_look_is_at_the_earliest_moment_that_matters() -> None:
    rights = [right(1, until=day(9)), right(2, EIGHT, starts=day(4)), right(3, course(9), days=6)]
    assert wanted(rights, NOW).next_look == day(4)
    assert wanted([rights[0], rights[2]], NOW).next_look == day(6) - LAST_LOOK
    assert wanted([right(1), right(2, until=day(1), held="in dispute")], NOW).next_look is None


MOMENTS = st.none() | st.integers(-5, 40).map(day)
#: Of one seat: all that it gives is until the same moment, and its days are the same.
SEAT = st.builds(
    lambda items, **fields: [right(0, item, **fields) for item in sorted(items)],
    st.frozensets(st.sampled_from([SEVEN, EIGHT]), min_size=1),
    starts=MOMENTS,
    until=MOMENTS,
    days=st.none() | st.integers(1, 40),
    held=st.sampled_from(["", "in dispute"]),
    begun=st.none() | st.integers(-40, 0).map(day),
    dated=st.booleans(),
)
RIGHTS = st.lists(SEAT, max_size=6).map(
    lambda seats: [replace(one, seat=number) for number, seat in enumerate(seats, 1) for one in seat]
)


@given(RIGHTS)
def test_until_the_next_look_nothing_would_have_changed(rights: list[Right]) -> None:
    first = wanted(rights, NOW)
    begun = [_begun(one, first) for one in rights]
    assert wanted(begun, NOW).items == first.items, "what was begun and written down is found again"
    last = first.next_look - timedelta(seconds=1) if first.next_look else day(1_000)
    assert wanted(begun, last).items == first.items
    assert first.next_look is None or first.next_look > NOW
    assert all(until is None or until > NOW for until in first.items.values())


def _begun(one: Right, found: Wanted) -> Right:
    if one.days is None or one.seat not in found.begin:
        return one
    run = found.begin[one.seat]
    return replace(one, begun=run.begun, written=run.until)


@given(RIGHTS, RIGHTS)
def test_one_more_seat_never_takes_anything_away(some: list[Right], more: list[Right]) -> None:
    fixed = [replace(one, seat=one.seat + len(some)) for one in more if one.days is None]
    less, found = wanted(some, NOW).items, wanted([*some, *fixed], NOW).items
    assert set(less) <= set(found)
    for item, until in less.items():
        now = found[item]
        assert now is None or (until is not None and now >= until)


# --- the plan ------------------------------------------------------------------------------------------------------


def held(item: Item, state: State, verified: bool = True, until: datetime | None = None) -> Held:
    return Held(item, state, verified, until)


def test_access_is_given_where_a_seat_pays_and_none_is_held() -> None:
    there = {
        one.item: one
        for one in (
            held(course(1), State.ACTIVE),
            held(course(2), State.ACTIVE, verified=False),
            held(course(3), State.SUSPENDED),
            held(course(4), State.WANTED, verified=False),
            held(course(5), State.ACTIVE),
            held(course(6), State.SUSPENDED, verified=False),
            held(course(7), State.WANTED, verified=False),
        )
    }
    plan = plan_access(dict.fromkeys(map(course, (1, 2, 3, 4, 8))), there)
    assert plan == AccessPlan(give=(course(3), course(4), course(8)), verify=(course(2),), end=(course(5),))


def test_what_ends_at_another_time_than_it_should_is_given_anew() -> None:
    for was, should in ((None, day(3)), (day(3), None), (day(3), day(4)), (day(4), day(3))):
        plan = plan_access({SEVEN: should}, {SEVEN: held(SEVEN, State.ACTIVE, until=was)})
        assert plan == AccessPlan(give=(SEVEN,))


def test_things_of_one_number_and_different_kinds_are_different() -> None:
    program = Item(Kind.PROGRAM, 7)
    plan = plan_access({program: None}, {SEVEN: held(SEVEN, State.ACTIVE)})
    assert plan == AccessPlan(give=(program,), end=(SEVEN,))


def test_a_person_with_nothing_owed_costs_no_call() -> None:
    assert not plan_access({SEVEN: day(3)}, {SEVEN: held(SEVEN, State.ACTIVE, until=day(3))})
    assert not plan_access({}, {})
    assert not plan_access(
        {}, {SEVEN: held(SEVEN, State.SUSPENDED, verified=False), EIGHT: held(EIGHT, State.WANTED, verified=False)}
    )


ENDS = st.none() | st.integers(1, 3).map(day)
ITEMS = st.builds(Item, st.sampled_from([Kind.COURSE, Kind.AUDIENCE]), st.integers(1, 5))
HELD = st.dictionaries(ITEMS, st.tuples(st.sampled_from(State), st.booleans(), ENDS)).map(
    lambda found: {item: Held(item, *it) for item, it in found.items()}
)


@given(st.dictionaries(ITEMS, ENDS), HELD)
def test_once_a_plan_is_carried_out_exactly_what_is_paid_for_is_open(
    items: dict[Item, datetime | None], there: dict[Item, Held]
) -> None:
    plan = plan_access(items, there)
    assert not set(plan.give) & set(plan.verify), "what is given is looked at anyway"
    assert not set(plan.end) & set(items), "never while something else pays for it"
    assert set(plan.end) <= {item for item, it in there.items() if it.state is State.ACTIVE}, "only what we gave"
    now = dict(there)
    now |= {item: Held(item, State.ACTIVE, True, items[item]) for item in (*plan.give, *plan.verify)}
    now |= {item: Held(item, State.SUSPENDED, False) for item in plan.end}
    assert {item: it.until for item, it in now.items() if it.state is State.ACTIVE} == items
    assert all(now[item].verified for item in items)
    assert not plan_access(items, now)


# --- the brake -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "lately", "there", "stops"),
    [
        (1, 0, 1, False),  # a small site: a few may always end
        (10, 0, 10, False),
        (11, 0, 100, True),
        (11, 0, 1_000, False),
        (100, 0, 1_000, False),
        (101, 0, 1_000, True),
        (1, 100, 900, True),  # bit by bit is as much
        (1, 99, 901, False),
        (1, 10, 10, True),
        (11, 0, 0, True),
    ],
)
def test_too_many_ends_at_once_or_bit_by_bit_need_a_persons_word(
    ending: int, lately: int, there: int, stops: bool
) -> None:
    assert too_many(ending, lately, there, share=0.1, count=10) is stops


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 500), st.floats(0, 1), st.integers(0, 20))
def test_where_the_brake_stops_some_it_stops_more(
    ending: int, lately: int, there: int, share: float, count: int
) -> None:
    if too_many(ending, lately, there, share=share, count=count):
        assert too_many(ending + 1, lately, there, share=share, count=count)
        assert too_many(ending, lately, max(there - 1, 0), share=share, count=count)


def test_of_several_ends_the_earliest_counts() -> None:
    assert lasting([day(3), None, day(2)]) == day(2)
    assert lasting([None, None]) is None
    assert lasting([]) is None


CHAIN = st.lists(st.tuples(st.integers(-60, 0), st.integers(1, 40)), min_size=1, max_size=5)


@given(CHAIN, st.integers(0, 4))
def test_what_is_given_back_takes_its_own_days_and_what_is_paid_for_again_brings_them_back(
    chain: list[tuple[int, int]], back: int
) -> None:
    seats = [runs(number, begun, days) for number, (begun, days) in enumerate(sorted(chain), 1)]
    left = [seat for seat in seats if seat.seat != back]
    whole, less = wanted(seats, NOW), wanted(left, NOW)
    end = begin = day(-60)
    for seat in left:  # a person with paper and pencil
        begin = max(end, seat.begun or NOW)
        end = begin + timedelta(days=seat.days or 0)
        assert less.moved[seat.seat] == end
        assert timedelta() <= whole.moved[seat.seat] - end <= timedelta(days=chain_of(seats, back))
    assert wanted(seats, NOW) == whole


def chain_of(seats: list[Right], number: int) -> int:
    """The days of one seat, 0 for none."""
    return sum(seat.days or 0 for seat in seats if seat.seat == number)
