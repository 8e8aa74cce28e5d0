"""A company's list of 5,000 people becomes 5,000 invitations; those who accept are enrolled; and a page of a team that
has 10,000 seats.

For the list and the page nobody is called. The floor of the list is a bare program that writes what has to be written
for each person (the person, the seat, the row of the list, the entry of the audit log, the letter that is owed), a
hundred in a transaction; that of the page is the same page of a team with a hundred seats; that of enrolling the same
calls from 8 threads.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, update

from bench.by_hand import Hands, at_once
from bench.measure import Row, alternate, row
from bench.places import Places
from bench.processes import environment, free_port
from bench.town import town, until_idle
from bridge.domain.identity import Contact, Identity, new_key
from bridge.domain.offers import Offer, course
from bridge.domain.purchases import Line
from bridge.domain.seats import SeatState, Wait
from bridge.domain.teams import TeamRole
from bridge.kinds import BATCH, LEARNER
from bridge.office import Actor
from bridge.settings import load
from bridge.store import batches, ledger, people, placing, pooled, teams
from bridge.store.batches import Invitee
from bridge.store.db import Store
from bridge.store.ledger import Source
from bridge.store.models import audit, batch_rows, persons, seats, work
from bridge.store.pooled import Wanted
from bridge.store.work import Work
from bridge.wiring import Bridge

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OFFER = Offer((course(7),))
LIST, MANY, FEW, PAGE = 5_000, 10_000, 100, 50


def _bought(store: Store, connection: Connection, number: int, units: int, offer: Offer) -> tuple[int, int]:
    """A purchase of so many for a team, without seats, and who bought it."""
    email = f"boss{number}@bench.example"
    buyer = people.ensure_person(store, connection, Contact(Identity(None, email), email, "Bea"), NOW)
    ledger.record_order(store, connection, number, buyer, status="processing", looked_at=NOW)
    state = {"starts": None, "until": None, "grace_until": None, "held": None}
    source, line = Source("order", number), Line(number, "A course", 1, 0, units)
    one = ledger.record_purchase(store, connection, source, line, offer, quantity=units, paid=units, **state)
    teams.add_to_pool(store, connection, one, offer, buyer, "Bench", NOW)
    return one, buyer


def _team(made: Bridge, number: int, units: int) -> Actor:
    """A team with so many open seats."""
    with made.store.begin() as connection:
        one, buyer = _bought(made.store, connection, number, units, OFFER)
        rows = [{"purchase_id": one, "unit": unit, "since": NOW} for unit in range(1, units + 1)]
        connection.execute(insert(seats), rows)
        ((team, _),) = teams.teams_of(connection, buyer)
    return Actor(team, TeamRole.OWNER, f"person {buyer}", buyer)


def _people(word: str, count: int) -> list[Invitee]:
    return [Invitee(n, f"{word}{n}@bench.example", "Ada", f"Byte {n}") for n in range(1, count + 1)]


class _Lists:
    """Lists of so many, each into a pool with as many seats."""

    def __init__(self, made: Bridge, count: int) -> None:
        self._made = made
        self._count = count
        self._number = 0
        self.accepted: list[float] = []

    def _next(self) -> tuple[Actor, list[Invitee]]:
        self._number += 1
        return _team(self._made, self._number, self._count), _people(f"l{self._number}x", self._count)

    def ours(self) -> float:
        """From the list as it was read to everybody's being asked, by people a second."""
        actor, rows = self._next()
        with self._made.store.read() as connection:
            (pool,) = pooled.pools_of(connection, actor.team.id, NOW)
        began = time.monotonic()
        batch = self._made.desk.prepare(actor, pool, rows, "list")
        self._made.desk.confirm(actor, batch.id)
        self.accepted.append(time.monotonic() - began)
        while (claim := self._made.work.take(BATCH, str(batch.id))) is not None:
            done = self._made.desk.settle_batch(claim)
            with self._made.store.begin() as connection:
                if done is not None:
                    done.write(connection)
            self._made.work.release(claim)
            with self._made.store.read() as connection:
                if batches.progress(connection, batch.id).get(None, 0) == 0:
                    break
        took = time.monotonic() - began
        with self._made.store.read() as connection:
            (pool,) = pooled.pools_of(connection, actor.team.id, NOW)
        if pool.counts != {SeatState.INVITED: self._count}:
            raise RuntimeError(f"of {self._count} people not all were asked: {pool.counts}")
        return self._count / took

    def floor(self) -> float:
        """The same rows written by a bare program."""
        actor, rows = self._next()
        with self._made.store.begin() as connection:
            number, _ = batches.make_batch(
                self._made.store, connection, actor.team.id, "bare", OFFER.pool, None, "bench", rows, NOW
            )
            free = placing.open_seats(connection, actor.team.id, OFFER.pool, NOW, most=self._count, times=0)
        began = time.monotonic()
        for first in range(0, self._count, 100):
            with self._made.store.begin() as connection:
                for one, seat in zip(rows[first : first + 100], free[first : first + 100], strict=True):
                    self._write(connection, actor, number, one, seat)
        return self._count / (time.monotonic() - began)

    def _write(self, connection: Any, actor: Actor, batch: int, one: Invitee, seat: int) -> None:
        who = {"key": new_key(), "guest_email": one.email, "email": one.email, "created_at": NOW}
        person = connection.execute(
            insert(persons).values(**who, first_name="Ada", last_name="B").returning(persons.c.id)
        ).scalar()
        asked = {"person_id": person, "role": "assigned", "waits": Wait.ANSWER, "answer_until": NOW}
        connection.execute(update(seats).where(seats.c.id == seat).values(asked))
        mine = (batch_rows.c.batch_id == batch, batch_rows.c.number == one.number)
        connection.execute(update(batch_rows).where(*mine).values(result="given", seat_id=seat))
        told = {"at": NOW, "actor": "bench", "event": "seat given", "cause": "", "facts": {"seat": seat}}
        connection.execute(insert(audit).values(**told, person_id=person, team_id=actor.team.id))
        connection.execute(insert(work).values(kind="bench", key=str(seat), due_at=NOW))


def seated(places: Places, kind: str, *, quick: bool) -> Iterator[Row]:
    """How many who have accepted are enrolled in a second, by 2 processes of 4 threads; without the order's note."""
    count, pairs = (60, 2) if quick else (200, 5)
    with town(places, kind, ["work", "work"], work_poll_seconds=0.1, orders_notes="false") as made:
        [(_, _, course_id)] = made.systems.ask("buy", 1)
        offer, engine, numbers = Offer((course(course_id),)), Work(made.store), itertools.count(1)

        def enrolled(began: float, before: int) -> float:
            took = time.monotonic() - began
            if made.systems.ask("enrolled") != before + count:
                raise RuntimeError("not everybody was enrolled")
            return count / took

        def ours() -> float:
            taken = _taken(made.store, next(numbers), count, offer)
            before, began = made.systems.ask("enrolled"), time.monotonic()
            engine.mark_due(LEARNER, *taken)
            time.sleep(0.02)
            until_idle(made.store, every=0.05)
            return enrolled(began, before)

        def floor() -> float:
            names = [f"f{next(numbers)}x{n}" for n in range(count)]
            before, began = made.systems.ask("enrolled"), time.monotonic()
            at_once(8, lambda: Hands(made.systems.shop, made.systems.totara), names, by_hand)
            return enrolled(began, before)

        def by_hand(hands: Hands, name: str) -> None:
            hands.seat(name, f"{name}@bench.example", "Ada", course_id)

        for slow in (0.0, 0.02):
            made.systems.ask("slow", slow)
            figures = alternate(ours, floor, pairs)
            name = f"those who accepted are enrolled, systems answer after {slow * 1000:.0f} ms"
            yield row(name, kind, figures, "a second", 0.8, "at least")


def _taken(store: Store, number: int, units: int, offer: Offer) -> list[int]:
    """So many people who have each taken a seat of a new team."""
    with store.begin() as connection:
        purchase = _bought(store, connection, number, units, offer)[0]
        found = []
        for unit in range(1, units + 1):
            email = f"a{number}x{unit}@bench.example"
            who = Contact(Identity(None, email), email, "Ada", "Byte")
            found.append(people.ensure_person(store, connection, who, NOW))
        rows = [
            {"purchase_id": purchase, "unit": unit, "since": NOW, "person_id": one, "role": "assigned", "taken_at": NOW}
            for unit, one in enumerate(found, 1)
        ]
        connection.execute(insert(seats), rows)
    return found


def _page(made: Bridge, actor: Actor) -> float:
    """What a page of a team reads, in milliseconds: its pools, a page of its seats, and how many there are."""
    began = time.monotonic()
    with made.store.read() as connection:
        (pool,) = pooled.pools_of(connection, actor.team.id, NOW)
        wanted = Wanted(pool=pool.key)
        there = pooled.count_seats(connection, actor.team.id, wanted, NOW)
        shown = pooled.seats_page(connection, actor.team.id, wanted, NOW, most=PAGE, after=max(there - PAGE, 0))
    if len(shown) != min(PAGE, there):
        raise RuntimeError(f"the page should have had {PAGE} seats, and had {len(shown)}")
    return (time.monotonic() - began) * 1000


def team(places: Places, kind: str, *, quick: bool) -> Iterator[Row]:
    """A list of people, and a page of seats."""
    count, pairs = (500, 3) if quick else (LIST, 5)
    made = Bridge(load(environ=environment(places.new(kind), "http://127.0.0.1:1", "http://127.0.0.1:1", free_port())))
    lists = _Lists(made, count)
    figures = alternate(lists.ours, lists.floor, pairs)
    accepted = sorted(lists.accepted)[len(lists.accepted) // 2]
    yield row(
        f"a list of {count:,} people given seats",
        kind,
        figures,
        "a second",
        0.6,
        "at least",
        accepted_s=round(accepted, 2),
    )
    large, small = _team(made, 900_001, MANY), _team(made, 900_002, FEW)
    for actor in (large, small):
        _page(made, actor)
    figures = alternate(lambda: _page(made, large), lambda: _page(made, small), 5 if quick else 41)
    yield row(f"the last page of a team with {MANY:,} seats", kind, figures, "ms", 10.0, "at most", seats=MANY)
    made.store.close()
