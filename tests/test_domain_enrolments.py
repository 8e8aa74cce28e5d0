"""From a person's seats to the access that should stand, now and at the next moment that matters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
) -> Right:
    return Right(seat, item, starts, until, days, held)


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
    assert (found.items, found.begin) == ({SEVEN: day(30)}, {1: day(30)})


def test_one_seats_days_are_the_same_for_everything_that_it_gives() -> None:
    found = wanted([right(1, days=30), right(1, EIGHT, days=30)], NOW)
    assert (found.items, found.begin) == ({SEVEN: day(30), EIGHT: day(30)}, {1: day(30)})


def test_bought_again_early_the_days_follow_one_another() -> None:
    found = wanted([right(1, until=day(5)), right(2, days=30), right(3, days=10)], NOW)
    assert found.begin == {2: day(35), 3: day(45)}
    assert found.items == {SEVEN: day(45)}


def test_days_of_another_course_do_not_wait() -> None:
    found = wanted([right(1, until=day(5)), right(2, EIGHT, days=30)], NOW)
    assert found.begin == {2: day(30)}


def test_days_that_have_run_out_are_not_followed_but_begun_anew() -> None:
    found = wanted([right(1, until=day(-5)), right(2, days=30)], NOW)
    assert found.begin == {2: day(30)}


def test_days_wait_neither_for_what_has_no_end_nor_for_what_rests_or_has_not_begun() -> None:
    others = [right(1), right(2, until=day(5), held="in dispute"), right(3, starts=day(1), until=day(5))]
    found = wanted([*others, right(4, days=30)], NOW)
    assert found.begin == {4: day(30)}
    assert found.items == {SEVEN: None}


def test_days_that_have_not_begun_do_not_outlast_the_fixed_end() -> None:
    found = wanted([right(1, until=day(5), days=30)], NOW)
    assert (found.items, found.begin) == ({SEVEN: day(5)}, {1: day(30)})
    found = wanted([right(1, until=day(50), days=30)], NOW)
    assert (found.items, found.begin) == ({SEVEN: day(30)}, {1: day(30)}), "nor the end the days"


def test_days_do_not_begin_when_nothing_is_given() -> None:
    assert wanted([right(1, until=day(-1), days=30)], NOW) == Wanted()
    assert wanted([right(1, starts=day(1), days=30)], NOW).begin == {}
    assert wanted([right(1, days=30, held="in dispute")], NOW).begin == {}


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
RIGHTS = st.lists(
    st.builds(
        right,
        st.integers(1, 6),
        st.sampled_from([SEVEN, EIGHT]),
        starts=MOMENTS,
        until=MOMENTS,
        days=st.none() | st.integers(1, 40),
        held=st.sampled_from(["", "in dispute"]),
    ),
    max_size=6,
    unique_by=lambda one: (one.seat, one.item),
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
    return Right(one.seat, one.item, one.starts, lasting((one.until, found.begin[one.seat])), None, one.held)


@given(RIGHTS, RIGHTS)
def test_one_more_seat_never_takes_anything_away(some: list[Right], more: list[Right]) -> None:
    there = {one.seat for one in some}
    fixed = [one for one in more if one.days is None and one.seat not in there]
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
