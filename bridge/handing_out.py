"""Giving seats to people: to a few at once, or to a list that the worker goes through. What is not there is given to
nobody, and nobody is given two.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bridge.domain.identity import is_email
from bridge.domain.offers import Item
from bridge.domain.rosters import Doubt
from bridge.domain.seats import SeatRules, Why
from bridge.domain.teams import Action
from bridge.errors import Refused
from bridge.kinds import BATCH, INVITATION, LEARNER, NOTE
from bridge.office import MOST_LETTERS, Actor, Office, may_still
from bridge.store import (
    audit,
    batches,
    learning,
    ledger,
    people,
    placing,
    pooled,
    signon,
)
from bridge.store.batches import Batch, Invitee, Misfit
from bridge.store.db import Store
from bridge.store.pooled import Pool, SeatRow
from bridge.store.work import Claim, Work
from bridge.worker import Done

#: Rows of a list that are given seats in one transaction, and as one claim of work.
CHUNK, CHUNKS = 100, 10
#: Seats that a team gives in a day: so many for each that it has, and so many beside. Each is a letter to somebody.
MOST_ASKED, MOST_BESIDE = 3, 20


class Giving(Office):
    """Gives seats away. ``rules`` are the organisation's."""

    def __init__(self, store: Store, work: Work, rules: SeatRules, now: Callable[[], datetime]) -> None:
        super().__init__(store, work, now)
        self.rules = rules

    def prepare(
        self,
        actor: Actor,
        pool: Pool,
        rows: Sequence[Invitee],
        key: str,
        picked: Item | None = None,
        wrong: Sequence[Misfit] = (),
        doubts: Mapping[Doubt, str] | None = None,
    ) -> Batch:
        """Keep a list of people who are to be given seats, for :meth:`confirm`. The same key is the same list.

        ``wrong`` are rows of it that are only shown, as ``doubts`` are. Raises Refused where a thing has to be picked
        and is not, or is none of the pool's.
        """
        actor.must(Action.GIVE)
        if not pool.may_give(picked):
            raise Refused("what the seats are to give has to be picked, from what the pool has")
        with self._store.begin() as connection:
            made = (actor.name, rows, self._now(), wrong, doubts)
            number, _ = batches.make_batch(self._store, connection, actor.team.id, key, pool.key, picked, *made)
            batch = batches.find_batch(connection, number, actor.team.id)
        assert batch is not None, "it was just written"
        return batch

    def foresee(self, batch: Batch) -> dict[int, Why]:
        """Row -> what would become of it now; without those who would be given the next seat. GIVEN is whoever would be
        asked again to take a seat that waits for them.
        """
        now = self._now()
        with self._store.read() as connection:
            rows = batches.all_waiting(connection, batch.id)
            known = people.known_by(connection, {row.email for row in rows})
            asked = (connection, batch.team, batch.pool, set(known.values()), batch.picked)
            has = placing.who_has(*asked, now)
            no = set() if len(rows) == 1 else _declined(*asked)
        told = {person: Why.HAS_ONE if seat is None else Why.GIVEN for person, seat in has.items()}
        told |= dict.fromkeys(no - has.keys(), Why.DECLINED)
        return {row.number: told[known[row.email]] for row in rows if known.get(row.email) in told}

    def confirm(self, actor: Actor, batch_id: int, *, why: str = "") -> bool:
        """Owe the giving of a list; False if it was confirmed before, or is none of the team's. A reason is told in
        the team's history once, for the whole list.
        """
        now = self._now()
        with self._store.begin() as connection:
            if self._confirmed(connection, actor, batch_id, now) is None:
                return False
            self._work.mark(connection, BATCH, [batch_id])
            if why:
                facts = {"list": batch_id}
                self._note(connection, actor.team.id, "list confirmed", actor.name, now, why=why, facts=facts)
        self._store.bell.ring()
        return True

    def confirm_now(self, actor: Actor, batch_id: int) -> bool:
        """Give seats to a short list at once, in one transaction; False as for :meth:`confirm`."""
        now = self._now()
        with self._store.begin() as connection:
            batch = self._confirmed(connection, actor, batch_id, now)
            if batch is None:
                return False
            if self._give_some(connection, batch) < CHUNK:
                batches.end_batch(connection, batch_id, now)
            else:
                self._work.mark(connection, BATCH, [batch_id])
        self._store.bell.ring()
        return True

    def _confirmed(self, connection: Connection, actor: Actor, batch_id: int, now: datetime) -> Batch | None:
        """The team's list, confirmed now; None if it was before, or is another's."""
        actor.must(Action.GIVE)
        batch = batches.find_batch(connection, batch_id, actor.team.id)
        if batch is None or not batches.begin_batch(connection, batch_id, actor.name, now):
            return None
        return replace(batch, actor=actor.name, begun=now)

    def settle_batch(self, claim: Claim) -> Done | None:
        """The worker's part: give seats to a list, some rows at a time, each time in one transaction."""
        with self._store.read() as connection:
            batch = batches.find_batch(connection, int(claim.key))
        if batch is None or batch.begun is None or batch.done is not None:
            return None
        for _ in range(CHUNKS):
            with self._store.begin() as connection:
                rows = self._give_some(connection, batch)
            if not rows:
                return Done(lambda connection: batches.end_batch(connection, batch.id, self._now()))
            self._store.bell.ring()
        return Done(lambda connection: None, again_at=self._now())

    def _give_some(self, connection: Connection, batch: Batch) -> int:
        """Give seats to the next rows of a list; how many there were. None of them, if whoever confirmed it may not any
        more: then it ends here.
        """
        if not may_still(connection, batch.team, batch.actor, Action.GIVE):
            if batches.stop_batch(connection, batch.id):
                facts = {"list": batch.id}
                self._note(connection, batch.team, "list stopped", audit.BRIDGE, self._now(), facts=facts)
            return 0
        rows = batches.waiting_rows(connection, batch.id, CHUNK)
        if rows:
            alone = len(rows) == 1 and sum(batches.progress(connection, batch.id).values()) == 1
            results = self._give(connection, batch.team, batch.pool, rows, batch.picked, batch.actor, alone=alone)
            batches.record_results(connection, batch.id, results)
        return len(rows)

    def give(
        self, actor: Actor, pool: Pool, rows: Sequence[Invitee], picked: Item | None = None, *, why: str = ""
    ) -> dict[int, tuple[Why, int | None]]:
        """Give seats to a few people at once: row -> what became of it, and the seat. All in one transaction."""
        actor.must(Action.GIVE)
        if not pool.may_give(picked):
            return {row.number: (Why.NOTHING_PICKED, None) for row in rows}
        with self._store.begin() as connection:
            given = (actor.team.id, pool.key, rows, picked, actor.name, why)
            results = self._give(connection, *given, alone=len(rows) == 1)
        self._store.bell.ring()
        return results

    def _give(
        self,
        connection: Connection,
        team_id: int,
        pool: str,
        rows: Sequence[Invitee],
        picked: Item | None,
        actor: str,
        why: str = "",
        *,
        alone: bool,
    ) -> dict[int, tuple[Why, int | None]]:
        """Row -> what became of it. Seats that are not there are given to nobody; nobody is given two.

        Whoever let the time to answer pass is asked again, and keeps their seat. Whoever said no is not, unless they
        are named ``alone``. Strangers are written down only if there is a seat for them.
        """
        now = self._now()
        placing.hold_pool(connection, team_id, pool)
        addressed = [row for row in rows if is_email(row.email)]
        known = people.known_by(connection, {row.email for row in addressed})
        persons = {row.email: self._person(connection, row, now) for row in addressed if row.email in known}
        asked = (connection, team_id, pool, set(persons.values()), picked)
        has = placing.who_has(*asked, now)
        no = set() if alone else _declined(*asked)
        free = self._seats(connection, team_id, pool, len(addressed), set(persons.values()), actor, now)
        results: dict[int, tuple[Why, int | None]] = {row.number: (Why.NO_ADDRESS, None) for row in rows}
        for row in addressed:
            person = persons.get(row.email)
            if person in has:
                lapsed, has[person] = has[person], None
                again = (
                    Why.HAS_ONE if lapsed is None else self._ask_again(connection, team_id, lapsed, person, actor, why)
                )
                results[row.number] = (again, lapsed if again is Why.GIVEN else None)
            elif person in no:
                results[row.number] = (Why.DECLINED, None)
            elif (seat := next(free, None)) is None:
                results[row.number] = (Why.NO_SEATS, None)
            else:
                person = persons[row.email] = person or self._person(connection, row, now)
                has[person] = None
                self._ask(connection, team_id, seat, person, pool, picked, actor, now, why)
                results[row.number] = (Why.GIVEN, seat)
        return results

    def _seats(
        self,
        connection: Connection,
        team_id: int,
        pool: str,
        wanted: int,
        but_of: Collection[int],
        actor: str,
        now: datetime,
    ) -> Iterator[int]:
        """So many seats to give: open ones, then those that wait in vain for somebody who is none of ``but_of``. A
        team's own people give one only so often, and not without end on one day.
        """
        of_team = not actor.startswith("operator ")
        left = self._left_today(connection, team_id, now) if of_team else wanted
        most = {"most": min(wanted, left), "times": self.rules.most_times if of_team else 0}
        given = placing.open_seats(connection, team_id, pool, now, **most)
        yield from given
        most["most"] -= len(given)
        for seat in placing.lapsed_seats(connection, team_id, pool, now, **most, but_of=but_of):
            row = pooled.find_seat(connection, team_id, seat, now)
            assert row is not None, "nobody else gives this pool's seats meanwhile"
            self._free(connection, team_id, row, actor, "", now, {"lapsed": True})
            yield seat

    def _left_today(self, connection: Connection, team_id: int, now: datetime) -> int:
        """How many people the team may still ask today. Taking back and giving writes to strangers, too."""
        asked = audit.count_since(connection, team_id, "seat given", now - timedelta(days=1))
        return max(0, MOST_ASKED * pooled.count_live(connection, team_id) + MOST_BESIDE - asked)

    def _ask(
        self,
        connection: Connection,
        team_id: int,
        seat: int,
        person: int,
        pool: str,
        picked: Item | None,
        actor: str,
        now: datetime,
        why: str,
    ) -> None:
        if not placing.ask_seat(connection, seat, person, self.rules.answer_until(now), picked):
            raise Refused(f"seat {seat} was given to somebody else meanwhile")
        self._work.mark(connection, INVITATION, [seat])
        self._note(connection, team_id, "seat given", actor, now, person, seat, why, of_pool(pool, picked))

    def _ask_again(
        self, connection: Connection, team_id: int, seat: int, person: int, actor: str, why: str = ""
    ) -> Why:
        """The answer is waited for as long as at first, and another letter is owed."""
        now = self._now()
        if signon.count_invitations(connection, now, seat_id=seat) >= MOST_LETTERS:
            return Why.WRITTEN_OFTEN
        placing.ask_again(connection, [seat], self.rules.answer_until(now))
        self._work.mark(connection, INVITATION, [seat])
        self._note(connection, team_id, "invitation sent again", actor, now, person, seat, why)
        return Why.GIVEN

    def _free(
        self,
        connection: Connection,
        team_id: int,
        row: SeatRow,
        actor: str,
        why: str,
        now: datetime,
        facts: Mapping[str, Any],
    ) -> None:
        person = int(row.seat.person or 0)
        learning.let_go(connection, person, placing.items_of_seat(connection, row.seat.id), now, team=team_id)
        if not placing.free_seat(connection, row.seat.id, person):
            raise Refused(f"seat {row.seat.id} has changed hands meanwhile")
        signon.forget_invitations(connection, [row.seat.id])
        self._work.mark(connection, LEARNER, [person])
        # Nobody sits there any more, by whom it would be found.
        self._work.mark(connection, NOTE, ledger.noted_on(connection, row.order, row.subscription))
        self._note(connection, team_id, "seat taken back", actor, now, person, row.seat.id, why, facts)


def of_pool(pool: str, picked: Item | None) -> dict[str, str]:
    """By what it is remembered in the audit log of which pool somebody was asked to take a seat, or declined one."""
    return {"pool": pool, **({"picked": str(picked)} if picked else {})}


def _declined(
    connection: Connection, team_id: int, pool: str, persons: Collection[int], picked: Item | None
) -> set[int]:
    return audit.declined(connection, team_id, persons, pool, str(picked) if picked else None)
