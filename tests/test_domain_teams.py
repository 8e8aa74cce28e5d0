"""The rules of teams' seats: how each stands, what may be done with it, and who may do it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.seats import Begun, SeatRules, SeatState, TeamSeat, Wait, Why, may_ask, may_give_back, state_of
from bridge.domain.teams import LEAST, Action, TeamRole, may, team_name

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BEFORE, LATER = NOW - timedelta(days=1), NOW + timedelta(days=1)
OPEN = TeamSeat(1, 1, 1, None, live=True)
INVITED = replace(OPEN, person=7, waits=Wait.ANSWER, answer_until=LATER, times=1)
TAKEN = replace(OPEN, person=7, taken_at=BEFORE, times=1)
RULES = SeatRules()


@pytest.mark.parametrize(
    ("seat", "state"),
    [
        (OPEN, SeatState.OPEN),
        (replace(OPEN, assign_until=LATER), SeatState.OPEN),
        (replace(OPEN, assign_until=NOW), SeatState.CLOSED),
        (replace(OPEN, until=NOW), SeatState.HELD),
        (replace(OPEN, held=True), SeatState.HELD),
        (replace(OPEN, live=False), SeatState.ENDED),
        (INVITED, SeatState.INVITED),
        (replace(INVITED, answer_until=NOW), SeatState.LAPSED),
        (replace(INVITED, assign_until=BEFORE), SeatState.INVITED),
        (replace(INVITED, live=False), SeatState.ENDED),
        (replace(TAKEN, waits=Wait.APPROVAL), SeatState.APPROVAL),
        (TAKEN, SeatState.TAKEN),
        (replace(TAKEN, completed=True), SeatState.COMPLETED),
        (replace(TAKEN, completed=True, held=True), SeatState.HELD),
    ],
)
def test_how_a_seat_stands(seat: TeamSeat, state: SeatState) -> None:
    assert state_of(seat, NOW) is state


@pytest.mark.parametrize(
    ("seat", "begun", "why"),
    [
        (OPEN, Begun.NO, Why.NOT_WAITING),
        (replace(TAKEN, live=False), Begun.NO, Why.ENDED),
        (replace(TAKEN, given=False), Begun.NO, Why.BOUGHT_FOR),
        (INVITED, Begun.UNKNOWN, None),
        (replace(INVITED, answer_until=NOW), Begun.NO, None),
        (replace(TAKEN, waits=Wait.APPROVAL), Begun.UNKNOWN, None),
        (TAKEN, Begun.NO, None),
        (TAKEN, Begun.YES, Why.BEGUN),
        (TAKEN, Begun.UNKNOWN, Why.MAYBE_BEGUN),
        (replace(TAKEN, completed=True), Begun.NO, Why.BEGUN),
        (replace(TAKEN, taken_at=None), Begun.UNKNOWN, Why.MAYBE_BEGUN),
    ],
)
def test_who_learns_is_not_thrown_out(seat: TeamSeat, begun: Begun, why: Why | None) -> None:
    assert may_give_back(seat, begun, RULES, NOW) is why


def test_the_organisation_may_allow_it_for_some_days_but_never_after_completion() -> None:
    rules = SeatRules(reclaim_days=2)
    assert may_give_back(TAKEN, Begun.YES, rules, NOW) is None
    assert may_give_back(TAKEN, Begun.YES, rules, LATER) is Why.BEGUN
    assert may_give_back(replace(TAKEN, completed=True), Begun.YES, rules, NOW) is Why.BEGUN


def test_a_seat_is_given_so_often_and_no_more() -> None:
    assert may_ask(OPEN, RULES, NOW) is None
    assert may_ask(replace(OPEN, times=5), RULES, NOW) is Why.TOO_OFTEN
    assert may_ask(replace(OPEN, times=5), SeatRules(most_times=0), NOW) is None
    assert may_ask(INVITED, RULES, NOW) is Why.NOT_OPEN
    assert may_ask(replace(OPEN, assign_until=NOW), RULES, NOW) is Why.NOT_OPEN


@given(st.sampled_from(Action))
def test_whoever_is_more_may_do_all_that_whoever_is_less_may(action: Action) -> None:
    allowed = [may(role, action) for role in TeamRole]
    assert allowed == sorted(allowed)
    assert allowed[-1]


def test_every_action_has_a_least_role() -> None:
    assert set(LEAST) == set(Action)
    assert not may(TeamRole.VIEWER, Action.GIVE)
    assert not may(TeamRole.MANAGER, Action.MEMBERS)


@pytest.mark.parametrize(
    ("company", "name"),
    [("  Harbour \r\n & Sons ", "Harbour & Sons"), ("", ""), ("x" * 300, "x" * 200), ("\x00\x07", "")],
)
def test_a_team_is_called_as_its_company_in_one_line(company: str, name: str) -> None:
    assert team_name(company) == name
