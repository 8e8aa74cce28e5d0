"""Why an access ended that a team once took back: the newest reason is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bridge.domain.enrolments import Held, State
from bridge.domain.letters import Letter, Reason
from bridge.domain.news import Ended, facts
from bridge.domain.offers import course

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
SEVEN = course(7)
TAKEN = NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (None, Reason.TAKEN_BACK),
        (Ended("the order is refunded", by_date=False, at=TAKEN - timedelta(days=9)), Reason.TAKEN_BACK),
        (Ended("the order is refunded", by_date=False, at=TAKEN + timedelta(minutes=5)), Reason.REFUNDED),
        (Ended("", by_date=True), Reason.TERM_OVER),
    ],
)
def test_what_is_told_of_an_access_that_a_team_took_back(ended: Ended | None, reason: Reason) -> None:
    held = Held(SEVEN, State.SUSPENDED, verified=True, times=1, since=NOW, let_go_at=TAKEN, let_go_team=3)
    told = facts({SEVEN: held}, {}, {SEVEN: ended} if ended else {}, (), NOW, timedelta(days=7))
    assert [(fact.kind, fact.reason) for fact in told] == [(Letter.ENDED, reason)]
