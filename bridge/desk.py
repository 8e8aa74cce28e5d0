"""A team's desk: seats given to people, taken back, given to others. Everything that pages, machines and operators do
with a team's seats is done here, and written into the audit log with who did it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bridge.domain.identity import is_email
from bridge.domain.offers import Item
from bridge.domain.seats import LEARNING, Begun, SeatRules, SeatState, Why, may_ask, may_give_back
from bridge.domain.teams import Action
from bridge.errors import Unavailable
from bridge.handing_out import Giving
from bridge.kinds import INVITATION, LEARNER, NOTE, PROGRESS
from bridge.office import MOST_LETTERS, Actor, NotAllowed
from bridge.starting import Starting
from bridge.store import (
    placing,
    pooled,
    progress,
    signon,
)
from bridge.store.batches import Invitee
from bridge.store.db import Store
from bridge.store.placing import Unanswered
from bridge.store.pooled import SeatRow
from bridge.store.work import Work

#: Seats that are given again or taken back by one action.
MOST_AT_ONCE = 1_000
#: Whoever was asked so short a time ago is not asked again with all others.
ASKED_JUST_NOW = timedelta(hours=1)
#: How often Totara is asked how far those are whom a team looks at.
LOOK_EVERY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Many:
    """To how many seats of a pool something was done, and whether there are more to which the next time does it."""

    seats: int
    more: bool


class Desk(Giving):
    """Gives seats away and takes them back, and does what concerns the team itself."""

    def __init__(
        self, store: Store, work: Work, starting: Starting, rules: SeatRules, now: Callable[[], datetime]
    ) -> None:
        super().__init__(store, work, rules, now)
        self._starting = starting

    # --- one seat ----------------------------------------------------------------------------------------------------

    def resend(self, actor: Actor, seat_id: int, *, why: str = "") -> Why:
        """Invite again whoever was asked and did not answer: the answer is waited for as long as at first."""
        actor.must(Action.RESEND)
        now = self._now()
        with self._store.begin() as connection:
            placing.hold_seat(connection, seat_id)
            row = pooled.find_seat(connection, actor.team.id, seat_id, now)
            if row is None:
                return Why.NOT_OF_TEAM
            if row.state not in (SeatState.INVITED, SeatState.LAPSED):
                return Why.NOT_WAITING
            assert row.seat.person is not None, "somebody was asked"
            done = self._ask_again(connection, actor.team.id, seat_id, row.seat.person, actor.name, why)
        self._store.bell.ring()
        return done

    def give_back(self, actor: Actor, seat_id: int, *, why: str = "", anyway: bool = False) -> Why:
        """Take a seat back from whoever has it, if they did not begin: it is open again. Raises Unavailable, where
        only Totara can tell and it is away. ``anyway``: also if they did, which is an operator's to say.
        """
        actor.must(Action.GIVE_BACK)
        if anyway and not actor.operator:
            raise NotAllowed(f"{actor.name} may not take a seat from somebody who has begun")
        return self._change(actor, seat_id, None, why, anyway=anyway)

    def reassign(self, actor: Actor, seat_id: int, to: Invitee, *, picked: Item | None = None, why: str = "") -> Why:
        """The same, and ask somebody else to take it, in one transaction. ``picked`` is what it is to give them, where
        that is picked; without, what it gave before.
        """
        actor.must(Action.REASSIGN)
        return self._change(actor, seat_id, to, why, picked=picked)

    def _change(
        self,
        actor: Actor,
        seat_id: int,
        to: Invitee | None,
        why: str,
        *,
        anyway: bool = False,
        picked: Item | None = None,
    ) -> Why:
        with self._store.read() as connection:
            row = pooled.find_seat(connection, actor.team.id, seat_id, self._now())
        if row is None:
            return Why.NOT_OF_TEAM
        begun = Begun.NO if anyway else self._begun(row)
        now = self._now()
        with self._store.begin() as connection:
            placing.hold_seat(connection, seat_id)
            again = pooled.find_seat(connection, actor.team.id, seat_id, now)
            if again is None or again.seat.person != row.seat.person or again.seat.waits != row.seat.waits:
                return Why.NOT_WAITING
            refused = may_give_back(again.seat, begun, self.rules, now)
            refused = None if anyway and refused is Why.BEGUN else refused  # has completed it
            if refused is Why.BEGUN and not (again.shows or actor.operator):
                refused = Why.MAYBE_BEGUN  # that they have begun is told to nobody who may not see how they get on
            picked = picked or again.seat.picked
            if refused is None and to is not None:
                refused = self._may_take(connection, actor, again, to, picked, now)
            if refused is not None:
                return refused
            self._free(connection, actor.team.id, again, actor.name, why, now, {"anyway": True} if anyway else {})
            if to is not None:
                person = self._person(connection, to, now)
                self._ask(connection, actor.team.id, seat_id, person, again.pool, picked, actor.name, now, why)
        self._store.bell.ring()
        return Why.GIVEN

    def _may_take(
        self,
        connection: Connection,
        actor: Actor,
        row: SeatRow,
        to: Invitee,
        picked: Item | None,
        now: datetime,
    ) -> Why | None:
        """Why somebody else can't be asked to take a seat that is taken back."""
        if not is_email(to.email):
            return Why.NO_ADDRESS
        offer = placing.offer_of_seat(connection, row.seat.id)
        if picked not in offer.items if offer.pick else picked is not None:
            return Why.NOTHING_PICKED
        rules = replace(self.rules, most_times=0) if actor.operator else self.rules
        if why := may_ask(replace(row.seat, person=None, waits=None), rules, now):
            return why
        if not actor.operator and not self._left_today(connection, actor.team.id, now):
            return Why.TOO_OFTEN
        person = self._person(connection, to, now)
        has = placing.who_has(connection, actor.team.id, row.pool, [person], picked, now)
        return Why.HAS_ONE if has else None

    def _begun(self, row: SeatRow) -> Begun:
        """Whether somebody has begun to learn on a seat. Asks Totara where the ledger can't tell."""
        if row.seat.person is None or row.seat.waits is not None:
            return Begun.NO
        return self._starting.begun(row.seat.person, row.seat.id)

    def approve(self, actor: Actor, seat_id: int) -> Why:
        """Say yes to somebody who accepted: now they are given access."""
        actor.must(Action.APPROVE)
        now = self._now()
        with self._store.begin() as connection:
            if placing.team_of_seat(connection, seat_id) != actor.team.id:
                return Why.NOT_OF_TEAM
            person = placing.approve_seat(connection, seat_id)
            if person is None:
                return Why.NOT_WAITING
            self._work.mark(connection, LEARNER, [person])
            self._note(connection, actor.team.id, "acceptance approved", actor.name, now, person, seat_id)
        self._store.bell.ring()
        return Why.GIVEN

    # --- all of a pool -----------------------------------------------------------------------------------------------

    def resend_all(self, actor: Actor, pool: str, *, why: str = "") -> Many:
        """Invite again all who were asked to take a seat of a pool and did not answer, MOST_AT_ONCE at a time, who wait
        for long first.

        Left out are those who were asked within the last hour, so that a click too many writes to nobody twice, and
        those who got as many letters as one may.
        """
        actor.must(Action.RESEND)
        now = self._now()
        until = self.rules.answer_until(now)
        before = until - ASKED_JUST_NOW
        with self._store.begin() as connection:
            placing.hold_pool(connection, actor.team.id, pool)
            found, more = _unanswered(connection, actor, pool, now, until=before, letters=MOST_LETTERS)
            if found:
                ids = [one.seat for one in found]
                placing.ask_again(connection, ids, until)
                self._work.mark(connection, INVITATION, ids)
                self._note_many(connection, actor, "invitations sent again", pool, len(ids), now, why)
        self._store.bell.ring()
        return Many(len(found), more)

    def take_back_lapsed(self, actor: Actor, pool: str, *, why: str = "") -> Many:
        """Make all seats of a pool open again that wait for somebody who did not answer in time, MOST_AT_ONCE at a
        time.
        """
        actor.must(Action.GIVE_BACK)
        now = self._now()
        with self._store.begin() as connection:
            placing.hold_pool(connection, actor.team.id, pool)
            found, more = _unanswered(connection, actor, pool, now, until=now)
            if found:
                ids = [one.seat for one in found]
                placing.free_unanswered(connection, ids, now)
                signon.forget_invitations(connection, ids)
                self._work.mark(connection, LEARNER, {one.person for one in found})
                self._work.mark(connection, NOTE, {one.order for one in found if one.order is not None})
                self._note_many(connection, actor, "lapsed seats taken back", pool, len(ids), now, why)
        self._store.bell.ring()
        return Many(len(found), more)

    def _note_many(
        self, connection: Connection, actor: Actor, event: str, pool: str, number: int, now: datetime, why: str
    ) -> None:
        facts = {"seats": number, "pool": pool}
        self._note(connection, actor.team.id, event, actor.name, now, why=why, facts=facts)

    # --- looks -------------------------------------------------------------------------------------------------------

    def look_how_far(self, rows: Sequence[SeatRow]) -> None:
        """Have Totara asked how far those people are whom a team may see, if that was not done of late: for its next
        look, since nobody waits for Totara.
        """
        seen = [row.seat.person for row in rows if row.shows and row.state in LEARNING and row.seat.person]
        with self._store.read() as connection:
            old = progress.old_among(connection, seen, self._now() - LOOK_EVERY) if seen else []
        for person in old:
            with suppress(Unavailable):
                self._work.mark_recurring(PROGRESS, str(person), 0)

    def exported(self, actor: Actor, number: int) -> None:
        """Write down that somebody took a list of so many seats along."""
        actor.must(Action.EXPORT)
        with self._store.begin() as connection:
            self._note(connection, actor.team.id, "list exported", actor.name, self._now(), facts={"seats": number})


def _unanswered(
    connection: Connection, actor: Actor, pool: str, now: datetime, *, until: datetime, letters: int = 0
) -> tuple[list[Unanswered], bool]:
    """As many of the seats that wait for an answer as one action takes, and whether there are more."""
    most = MOST_AT_ONCE
    found = placing.unanswered(connection, actor.team.id, pool, now, until=until, most=most + 1, letters=letters)
    return found[:most], len(found) > most
