"""Teams in the database: what SQL says of a seat is what the rules say. On both databases."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from bridge.domain.identity import Contact, Identity
from bridge.domain.offers import Offer, course
from bridge.domain.purchases import Line
from bridge.domain.seats import SeatState, Wait, state_of
from bridge.domain.teams import TeamRole
from bridge.store import ledger, people, teams
from bridge.store.db import Store
from bridge.store.ledger import Source
from bridge.store.models import purchases, seats, team_members
from bridge.store.teams import Wanted

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BEFORE, LATER = NOW - timedelta(days=1), NOW + timedelta(days=1)
OFFER = Offer((course(7),))


def person(store: Store, connection: Any, email: str) -> int:
    return people.ensure_person(store, connection, Contact(Identity(None, email), email, "Ada", "Byte"), NOW)


def purchase(store: Store, connection: Any, number: int, buyer: int, **values: Any) -> int:
    """A purchase in the buyer's pool."""
    ledger.record_order(store, connection, number, buyer, status="processing", looked_at=NOW)
    line = Line(number, "A course", 1, 0, 1)
    one = ledger.record_purchase(
        store, connection, Source("order", number), line, OFFER, quantity=1, paid=1,
        **{"starts": None, "until": None, "grace_until": None, "held": None, **values},
    )  # fmt: skip
    teams.add_to_pool(store, connection, one, OFFER, buyer, "Harbour", NOW)
    return one


def test_what_the_database_says_of_a_seat_is_what_the_rules_say(store: Store) -> None:
    """Every combination of what decides."""
    moments = (None, BEFORE, NOW, LATER)
    with store.begin() as connection:
        buyer, learner = person(store, connection, "boss@corp.test"), person(store, connection, "ada@corp.test")
        number = itertools.count(1)
        for held, until, grace, assign in itertools.product((None, "disputed"), moments, moments, moments):
            one = purchase(store, connection, next(number), buyer, held=held, until=until, grace_until=grace)
            connection.execute(purchases.update().where(purchases.c.id == one).values(assign_until=assign))
            given = {"person_id": learner, "role": "assigned"}
            rows: list[dict[str, Any]] = [
                {},
                {"ended_at": BEFORE},
                {"until": BEFORE},
                {**given, "taken_at": BEFORE},
                {**given, "waits": "approval"},
                *({**given, "waits": "answer", "answer_until": moment} for moment in (BEFORE, NOW, LATER)),
            ]
            for unit, row in enumerate(rows, 1):
                connection.execute(insert(seats).values(purchase_id=one, unit=unit, since=BEFORE, **row))
    with store.read() as connection:
        (team, _role), *_ = teams.teams_of(connection, buyer)
        found = teams.seats_page(connection, team.id, Wanted(), NOW, most=10_000)
        ended = teams.seats_page(connection, team.id, Wanted(states=frozenset({SeatState.ENDED})), NOW, most=9999)
        counted = teams.pools_of(connection, team.id, NOW)
    assert len(found) == 128 * 7
    assert len(ended) == 128
    assert [row for row in (*found, *ended) if row.state is not state_of(row.seat, NOW)] == []
    assert sum(pool.total for pool in counted) == len(found)


def test_one_seat_can_only_be_given_once(store: Store) -> None:
    with store.begin() as connection:
        buyer, ada = person(store, connection, "boss@corp.test"), person(store, connection, "ada@corp.test")
        one = purchase(store, connection, 1, buyer)
        connection.execute(insert(seats).values(purchase_id=one, unit=1, since=NOW))
        (seat,) = teams.open_seats(connection, 1, OFFER.pool, NOW, most=5, times=0)
        assert teams.ask_seat(connection, seat, ada, LATER, None)
        assert not teams.ask_seat(connection, seat, buyer, LATER, None)
        assert teams.open_seats(connection, 1, OFFER.pool, NOW, most=5, times=0) == []


@pytest.mark.parametrize(
    "row",
    [
        {"waits": "answer"},  # nobody is asked
        {"waits": "nothing", "person_id": 1, "role": "assigned"},
        {"unit": 1},  # there is one of that number already
    ],
)
def test_what_must_not_be_is_refused_by_the_database(store: Store, row: dict[str, Any]) -> None:
    with store.begin() as connection:
        buyer = person(store, connection, "boss@corp.test")
        one = purchase(store, connection, 1, buyer)
        connection.execute(insert(seats).values(purchase_id=one, unit=1, since=NOW))
    with pytest.raises(IntegrityError), store.begin() as connection:
        connection.execute(insert(seats).values({"purchase_id": one, "unit": 2, "since": NOW, **row}))


def test_a_team_has_one_owner(store: Store) -> None:
    with store.begin() as connection:
        buyer, ada = person(store, connection, "boss@corp.test"), person(store, connection, "ada@corp.test")
        team = teams.ensure_team(store, connection, buyer, "Harbour", NOW)
    with pytest.raises(IntegrityError), store.begin() as connection:
        owner = {"team_id": team, "person_id": ada, "role": "owner", "asked_at": NOW, "accepted_at": NOW}
        connection.execute(insert(team_members).values(owner))
    with store.begin() as connection:
        teams.put_member(store, connection, team, ada, TeamRole.VIEWER, NOW)
        assert not teams.hand_over(connection, team, buyer, ada), "she has not said yes"
        assert teams.role_in(connection, team, buyer) is TeamRole.OWNER
        teams.accept_member(connection, team, ada, NOW)
        assert teams.hand_over(connection, team, buyer, ada)
        roles = {member.person: member.role for member in teams.members(connection, team)}
    assert roles == {ada: TeamRole.OWNER, buyer: TeamRole.MANAGER}


def test_whoever_searches_finds_what_was_typed_and_no_pattern(store: Store) -> None:
    with store.begin() as connection:
        buyer = person(store, connection, "boss@corp.test")
        one = purchase(store, connection, 1, buyer)
        for unit, email in enumerate(("a_b@corp.test", "axb@corp.test", "100%@corp.test"), 1):
            row = {"purchase_id": one, "unit": unit, "since": NOW, "role": "assigned", "waits": Wait.ANSWER}
            connection.execute(insert(seats).values(person_id=person(store, connection, email), **row))

    def found(search: str) -> list[str]:
        with store.read() as connection:
            return [row.email for row in teams.seats_page(connection, 1, Wanted(search=search), NOW, most=9)]

    assert found("A_B") == ["a_b@corp.test"]
    assert found("%") == ["100%@corp.test"]
    assert len(found("ada b")) == 3
    assert found("\\") == []
