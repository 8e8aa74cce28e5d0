"""Teams in the database: what SQL says of a seat is what the rules say. On both databases."""

from __future__ import annotations

import itertools
from dataclasses import replace
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
from bridge.store import ledger, people, placing, pooled, teams
from bridge.store.db import Store
from bridge.store.ledger import Source
from bridge.store.models import access, purchases, seats, team_members
from bridge.store.pooled import Wanted

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
        found = pooled.seats_page(connection, team.id, Wanted(), NOW, most=10_000)
        ended = pooled.seats_page(connection, team.id, Wanted(states=frozenset({SeatState.ENDED})), NOW, most=9999)
        counted = pooled.pools_of(connection, team.id, NOW)
    assert len(found) == 128 * 7
    assert len(ended) == 128
    assert [row for row in (*found, *ended) if row.state is not state_of(row.seat, NOW)] == []
    assert sum(pool.total for pool in counted) == len(found)


def test_one_seat_can_only_be_given_once(store: Store) -> None:
    with store.begin() as connection:
        buyer, ada = person(store, connection, "boss@corp.test"), person(store, connection, "ada@corp.test")
        one = purchase(store, connection, 1, buyer)
        connection.execute(insert(seats).values(purchase_id=one, unit=1, since=NOW))
        (seat,) = placing.open_seats(connection, 1, OFFER.pool, NOW, most=5, times=0)
        assert placing.ask_seat(connection, seat, ada, LATER, None)
        assert not placing.ask_seat(connection, seat, buyer, LATER, None)
        assert placing.open_seats(connection, 1, OFFER.pool, NOW, most=5, times=0) == []


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
            return [row.email for row in pooled.seats_page(connection, 1, Wanted(search=search), NOW, most=9)]

    assert found("A_B") == ["a_b@corp.test"]
    assert found("%") == ["100%@corp.test"]
    assert found("ada b") == [], "they have not answered"
    assert found("\\") == []


SORTS = ("seat", "name", "email", "since", "state")


@pytest.mark.parametrize("sort", [f"{sign}{word}" for word in SORTS for sign in ("", "-")])
def test_pages_of_seats_hold_each_seat_once_in_the_order_of_the_whole(store: Store, sort: str) -> None:
    with store.begin() as connection:
        buyer = person(store, connection, "boss@corp.test")
        one = purchase(store, connection, 1, buyer)
        for unit in range(1, 12):
            row: dict[str, Any] = {}
            if unit % 3:
                row = {"person_id": person(store, connection, f"p{unit * 7 % 11}@corp.test"), "role": "assigned"}
                row |= {"taken_at": NOW - timedelta(days=unit % 4)} if unit % 2 else {"waits": "answer"}
            connection.execute(insert(seats).values(purchase_id=one, unit=unit, since=NOW, **row))
    wanted = Wanted(sort=sort)
    with store.read() as connection:
        whole = [row.seat.id for row in pooled.seats_page(connection, 1, wanted, NOW, most=99)]
        found: list[int] = []
        place = None
        while page := pooled.seats_behind(connection, 1, wanted, NOW, most=2, place=place):
            found += [row.seat.id for row, _ in page]
            place = page[-1][1]
    assert found == whole and len(set(found)) == 11


def test_seats_are_found_as_their_team_is_shown_them(store: Store) -> None:
    """Completed is what somebody has completed who lets the team see it; to all others they took the seat."""
    with store.begin() as connection:
        buyer = person(store, connection, "boss@corp.test")
        one = purchase(store, connection, 1, buyer)
        for unit, consents in ((1, True), (2, False)):
            ada = person(store, connection, f"ada{unit}@corp.test")
            row = {"purchase_id": one, "unit": unit, "since": NOW, "role": "assigned", "person_id": ada}
            connection.execute(insert(seats).values(taken_at=NOW, **row))
            given = {"person_id": ada, "kind": "course", "item_id": 7, "state": "active", "since": NOW}
            connection.execute(insert(access).values(completed=True, **given))
            if consents:
                teams.give_consent(store, connection, 1, ada, "2026-11", NOW)

    def found(*states: SeatState) -> list[str]:
        wanted = Wanted(states=frozenset(states))
        with store.read() as connection:
            return [row.state.value for row in pooled.seats_page(connection, 1, wanted, NOW, most=9)]

    assert found(SeatState.COMPLETED) == ["completed"]
    assert found(SeatState.TAKEN) == ["taken"]
    assert sorted(found(SeatState.TAKEN, SeatState.COMPLETED)) == ["completed", "taken"]
    assert found(SeatState.OPEN) == []
    with store.begin() as connection:
        report = replace(OFFER, report=True).as_json()
        connection.execute(purchases.update().values(offer=report))
    assert (found(SeatState.COMPLETED), found(SeatState.TAKEN)) == (["completed"] * 2, [])
