"""A team's desk: seats given to people, taken back, given to others. Everything that pages, machines and operators do
with a team's seats is done here, and written into the audit log with who did it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bridge.domain.identity import Contact, Identity, is_email
from bridge.domain.offers import Item
from bridge.domain.rosters import Doubt
from bridge.domain.seats import LEARNING, Begun, SeatRules, SeatState, Wait, Why, may_ask, may_give_back
from bridge.domain.teams import Action, TeamRole, may, team_name
from bridge.errors import Refused, Unavailable
from bridge.kinds import BATCH, INVITATION, LEARNER, NOTE, PROGRESS
from bridge.starting import Starting
from bridge.store import (
    audit,
    batches,
    learning,
    ledger,
    people,
    placing,
    pooled,
    progress,
    signon,
    team_tokens,
    teams,
)
from bridge.store.batches import Batch, Invitee, Misfit
from bridge.store.db import Store
from bridge.store.pooled import Pool, SeatRow
from bridge.store.team_tokens import TeamToken
from bridge.store.teams import Team
from bridge.store.work import Claim, Work
from bridge.team_letters import OWNER
from bridge.worker import Done

#: How the key of an invitation to manage begins; team and person follow.
MEMBER = "member"
#: Rows of a list that are given seats in one transaction, and as one claim of work.
CHUNK, CHUNKS = 100, 10
#: Seats that a team gives in a day: so many for each that it has, and so many beside. Each is a letter to somebody.
MOST_ASKED, MOST_BESIDE = 3, 20
#: Letters that invite one person to one seat, or to help manage one team, as long as their links work.
MOST_LETTERS = 5
#: Seats that are given again or taken back by one action.
MOST_AT_ONCE = 1_000
#: Whoever was asked so short a time ago is not asked again with all others.
ASKED_JUST_NOW = timedelta(hours=1)
#: How often Totara is asked how far those are whom a team looks at.
LOOK_EVERY = timedelta(minutes=15)
#: Tokens that a team can have.
MOST_TOKENS = 20
#: Who can help manage a team, with those who were asked to.
MOST_MEMBERS = 100


class NotAllowed(Refused):
    """Whoever asks may not do this. To be told apart from "not there" by nobody who is no member."""


class TooManyLetters(Refused):
    """As many letters went out as do for one invitation."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something for a team; ``name`` is what the audit log calls them: "person 12", "token 3".

    ``operator``: an operator of the bridge, "operator Vella", who may do as an owner and a little more.
    """

    team: Team
    role: TeamRole
    name: str
    person: int | None = None
    operator: bool = False

    def must(self, action: Action) -> None:
        """Raises NotAllowed, if they may not."""
        if not may(self.role, action):
            raise NotAllowed(f"{self.name} may not {action} for team {self.team.id}")


class Desk:
    """Gives seats away and takes them back. ``rules`` are the organisation's."""

    def __init__(
        self,
        store: Store,
        work: Work,
        starting: Starting,
        rules: SeatRules,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._work = work
        self._starting = starting
        self.rules = rules
        self._now = now

    # --- giving ----------------------------------------------------------------------------------------------------

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
            alone = sum(batches.progress(connection, batch.id).values()) == 1
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
        are named ``alone``.
        """
        now = self._now()
        placing.hold_pool(connection, team_id, pool)
        persons = {row.number: self._person(connection, row, now) for row in rows if is_email(row.email)}
        asked = (connection, team_id, pool, set(persons.values()), picked)
        has = placing.who_has(*asked, now)
        no = set() if alone else _declined(*asked)
        free = self._seats(connection, team_id, pool, set(persons.values()), actor, now)
        results: dict[int, tuple[Why, int | None]] = {}
        for row in rows:
            person = persons.get(row.number)
            if person is None:
                results[row.number] = (Why.NO_ADDRESS, None)
            elif person in has:
                lapsed, has[person] = has[person], None
                again = Why.HAS_ONE if lapsed is None else self._ask_again(connection, team_id, lapsed, person, actor)
                results[row.number] = (again, lapsed if again is Why.GIVEN else None)
            elif person in no:
                results[row.number] = (Why.DECLINED, None)
            elif (seat := next(free, None)) is None:
                results[row.number] = (Why.NO_SEATS, None)
            else:
                has[person] = None
                self._ask(connection, team_id, seat, person, picked, actor, now, why)
                results[row.number] = (Why.GIVEN, seat)
        return results

    def _seats(
        self, connection: Connection, team_id: int, pool: str, persons: Collection[int], actor: str, now: datetime
    ) -> Iterator[int]:
        """Seats to give to some of these persons: open ones, then those that wait in vain for somebody else. A team's
        own people give one only so often, and not without end on one day.
        """
        of_team = not actor.startswith("operator ")
        left = self._left_today(connection, team_id, now) if of_team else len(persons)
        most = {"most": min(len(persons), left), "times": self.rules.most_times if of_team else 0}
        given = placing.open_seats(connection, team_id, pool, now, **most)
        yield from given
        most["most"] -= len(given)
        for seat in placing.lapsed_seats(connection, team_id, pool, now, **most, but_of=persons):
            row = pooled.find_seat(connection, team_id, seat, now)
            assert row is not None, "nobody else gives this pool's seats meanwhile"
            self._free(connection, team_id, row, actor, "", now, {"lapsed": True})
            yield seat

    def _left_today(self, connection: Connection, team_id: int, now: datetime) -> int:
        """How many people the team may still ask today. Taking back and giving writes to strangers, too."""
        asked = audit.count_since(connection, team_id, "seat given", now - timedelta(days=1))
        return max(0, MOST_ASKED * pooled.count_live(connection, team_id) + MOST_BESIDE - asked)

    def _person(self, connection: Connection, row: Invitee, now: datetime) -> int:
        """Whoever has this address; somebody new is written down. Of those we know nothing is changed by a list, but
        what lists alone say of them: how they are called, and their language.
        """
        guest = Identity(None, row.email)
        known = people.find_person(connection, guest, hold=True)
        if known is not None:
            if not people.is_known_otherwise(connection, known):
                people.call_anew(connection, known, row.first_name, row.last_name, row.language)
            return known.id
        contact = Contact(guest, row.email, row.first_name, row.last_name, row.language)
        return people.ensure_person(self._store, connection, contact, now)

    def _ask(
        self,
        connection: Connection,
        team_id: int,
        seat: int,
        person: int,
        picked: Item | None,
        actor: str,
        now: datetime,
        why: str,
    ) -> None:
        if not placing.ask_seat(connection, seat, person, self.rules.answer_until(now), picked):
            raise Refused(f"seat {seat} was given to somebody else meanwhile")
        self._work.mark(connection, INVITATION, [seat])
        pool = placing.pool_of_seat(connection, seat)
        self._note(connection, team_id, "seat given", actor, now, person, seat, why, of_pool(pool, picked))

    def _ask_again(self, connection: Connection, team_id: int, seat: int, person: int, actor: str) -> Why:
        """The answer is waited for as long as at first, and another letter is owed."""
        now = self._now()
        if signon.count_invitations(connection, now, seat_id=seat) >= MOST_LETTERS:
            return Why.WRITTEN_OFTEN
        placing.ask_again(connection, [seat], self.rules.answer_until(now))
        self._work.mark(connection, INVITATION, [seat])
        self._note(connection, team_id, "invitation sent again", actor, now, person, seat)
        return Why.GIVEN

    # --- one seat --------------------------------------------------------------------------------------------------

    def resend(self, actor: Actor, seat_id: int) -> Why:
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
            why = self._ask_again(connection, actor.team.id, seat_id, row.seat.person, actor.name)
        self._store.bell.ring()
        return why

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
                self._ask(connection, actor.team.id, seat_id, person, picked, actor.name, now, why)
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
        pool = placing.pool_of_seat(connection, row.seat.id)
        person = self._person(connection, to, now)
        has = placing.who_has(connection, actor.team.id, pool, [person], picked, now)
        return Why.HAS_ONE if has else None

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

    def _begun(self, row: SeatRow) -> Begun:
        """Whether somebody has begun to learn on a seat. Asks Totara where the ledger can't tell."""
        if row.seat.person is None or row.seat.waits is not None:
            return Begun.NO
        return self._starting.begun(row.seat.person, row.seat.id)

    # --- all of a pool -----------------------------------------------------------------------------------------------

    def resend_all(self, actor: Actor, pool: str) -> int:
        """Invite again all who were asked to take a seat of a pool and did not answer; to how many another letter goes.

        Left out are those who were asked within the last hour, so that a click too many writes to nobody twice, and
        those who got as many letters as one may. MOST_AT_ONCE at a time, who wait for long first.
        """
        actor.must(Action.RESEND)
        now = self._now()
        until = self.rules.answer_until(now)
        with self._store.begin() as connection:
            placing.hold_pool(connection, actor.team.id, pool)
            before = until - ASKED_JUST_NOW
            found = placing.unanswered(connection, actor.team.id, pool, now, until=before, most=MOST_AT_ONCE)
            ids = {one.seat for one in found}
            ids -= signon.written_to_often(connection, ids, now, MOST_LETTERS)
            if ids:
                placing.ask_again(connection, ids, until)
                self._work.mark(connection, INVITATION, ids)
                self._note_many(connection, actor, "invitations sent again", pool, len(ids), now)
        self._store.bell.ring()
        return len(ids)

    def take_back_lapsed(self, actor: Actor, pool: str) -> int:
        """Make all seats of a pool open again that wait for somebody who did not answer in time; how many there were,
        MOST_AT_ONCE at a time.
        """
        actor.must(Action.GIVE_BACK)
        now = self._now()
        with self._store.begin() as connection:
            placing.hold_pool(connection, actor.team.id, pool)
            found = placing.unanswered(connection, actor.team.id, pool, now, until=now, most=MOST_AT_ONCE)
            if found:
                ids = [one.seat for one in found]
                placing.free_unanswered(connection, ids, now)
                signon.forget_invitations(connection, ids)
                self._work.mark(connection, LEARNER, {one.person for one in found})
                self._work.mark(connection, NOTE, {one.order for one in found if one.order is not None})
                self._note_many(connection, actor, "lapsed seats taken back", pool, len(ids), now)
        self._store.bell.ring()
        return len(found)

    def _note_many(
        self, connection: Connection, actor: Actor, event: str, pool: str, number: int, now: datetime
    ) -> None:
        self._note(connection, actor.team.id, event, actor.name, now, facts={"seats": number, "pool": pool})

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

    # --- the team --------------------------------------------------------------------------------------------------

    def configure(self, actor: Actor, *, name: str, approval: bool) -> None:
        """Name the team, and say whether acceptances wait for a yes. What waits when that is switched off is given."""
        actor.must(Action.SETTINGS)
        now = self._now()
        with self._store.begin() as connection:
            teams.set_team(connection, actor.team.id, name=name, approval=approval)
            self._note(connection, actor.team.id, "team settings", actor.name, now, facts={"approval": approval})
            if not approval:
                for seat, person in placing.waiting_for_yes(connection, actor.team.id):
                    placing.approve_seat(connection, seat)
                    self._work.mark(connection, LEARNER, [person])
                    self._note(connection, actor.team.id, "acceptance approved", actor.name, now, person, seat)
        self._store.bell.ring()

    def invite_member(self, actor: Actor, invitee: Invitee, role: TeamRole) -> bool:
        """Ask somebody to help manage the team, or ask again who did not answer; they may once they have proven the
        address. False for whoever does.

        Raises TooManyLetters where as many were sent as are for one invitation, and Refused where a team has as many
        members as it can.
        """
        actor.must(Action.MEMBERS)
        if role is TeamRole.OWNER:
            raise Refused("an owner is made by handing the team over")
        now, team = self._now(), actor.team.id
        with self._store.begin() as connection:
            teams.hold_team(connection, team)
            person = self._person(connection, invitee, now)
            _must_have_room(connection, team, person)
            if signon.count_invitations(connection, now, team_id=team, person_id=person) >= MOST_LETTERS:
                raise TooManyLetters(f"person {person} was asked {MOST_LETTERS} times to help manage team {team}")
            asked = teams.put_member(self._store, connection, team, person, role, now)
            if asked:
                self._work.mark(connection, INVITATION, [f"{MEMBER}:{team}:{person}"])
                self._note(connection, team, "member invited", actor.name, now, person, facts={"role": role})
        self._store.bell.ring()
        return asked

    def change_member(self, actor: Actor, person: int, role: TeamRole | None) -> bool:
        """Change what a member may do, or with None take it away; False for the owner, and for whoever is none."""
        actor.must(Action.MEMBERS)
        if role is TeamRole.OWNER:
            raise Refused("an owner is made by handing the team over")
        now = self._now()
        with self._store.begin() as connection:
            teams.hold_team(connection, actor.team.id)
            if role is None:
                # What was mailed works no more, and counts still: else whoever is asked and not asked, again and again,
                # would be mailed without an end.
                done = teams.drop_member(connection, actor.team.id, person)
            else:
                done = teams.set_role(connection, actor.team.id, person, role)
            if done:
                event = "member removed" if role is None else "member changed"
                self._note(connection, actor.team.id, event, actor.name, now, person, facts={"role": str(role or "")})
        return done

    def leave(self, actor: Actor) -> bool:
        """Give up managing a team; False for its owner, who hands it over first."""
        if actor.person is None:
            return False
        with self._store.begin() as connection:
            teams.hold_team(connection, actor.team.id)
            done = teams.drop_member(connection, actor.team.id, actor.person)
            if done:
                self._note(connection, actor.team.id, "member left", actor.name, self._now(), actor.person)
        return done

    def hand_over(self, actor: Actor, heir: int, *, why: str = "") -> bool:
        """Make a member the owner; whoever was it is a manager from then on. False if the heir is no member.

        An operator makes the heir a member too. Raises Refused for one who has not proven an address: nobody would
        know into whose hands the team comes.
        """
        actor.must(Action.TRANSFER)
        if actor.person is None and not actor.operator:
            return False
        now, team = self._now(), actor.team.id
        with self._store.begin() as connection:
            # The heir must not leave between the two steps: the team would be without an owner.
            teams.hold_team(connection, team)
            owner = actor.person
            if actor.operator:
                owner, heir = teams.owner_of(connection, team), self._made_member(connection, team, heir, now)
            done = teams.hand_over(connection, team, owner, heir)
            if done:
                self._work.mark(connection, INVITATION, [f"{OWNER}:{team}:{heir}"])
                self._note(connection, team, "team handed over", actor.name, now, heir, why=why)
        self._store.bell.ring()
        return done

    def _made_member(self, connection: Connection, team: int, person_id: int, now: datetime) -> int:
        """Whoever this person is by now, a member of the team. Raises Refused in words."""
        person = people.hold_person(connection, person_id)
        if person is None:
            raise Refused(f"there is no person {person_id}")
        if teams.role_in(connection, team, person.id) is None:
            if not people.proofs_of(connection, person.id):
                said = f"person {person.id} has not proven an address"
                raise Refused(f"{said}: once they have signed in, from the shop or by a link, the team can be theirs")
            _must_have_room(connection, team, person.id)
            teams.put_member(self._store, connection, team, person.id, TeamRole.MANAGER, now)
            teams.accept_member(connection, team, person.id, now)
        return person.id

    # --- tokens for machines ---------------------------------------------------------------------------------------

    def tokens(self, actor: Actor) -> list[TeamToken]:
        """The team's tokens, the newest first."""
        actor.must(Action.TOKENS)
        with self._store.read() as connection:
            return team_tokens.tokens_of(connection, actor.team.id)

    def make_token(self, actor: Actor, name: str, role: TeamRole) -> tuple[int, str]:
        """A token for one of the team's machines: its id, and its secret, which nobody can be told again.

        Raises Refused for an owner's, and where the team has as many as it can.
        """
        actor.must(Action.TOKENS)
        if role is TeamRole.OWNER or actor.person is None:
            raise Refused("a token is made by a person, for a machine that manages or looks")
        now = self._now()
        with self._store.begin() as connection:
            teams.hold_team(connection, actor.team.id)
            if team_tokens.count_tokens(connection, actor.team.id) >= MOST_TOKENS:
                raise Refused(f"team {actor.team.id} has {MOST_TOKENS} tokens already")
            called = team_name(name)[:64]
            token, secret = team_tokens.make_token(connection, actor.team.id, called, role, actor.person, now)
            facts = {"token": token, "role": role}
            self._note(connection, actor.team.id, "token made", actor.name, now, facts=facts)
        return token, secret

    def revoke_token(self, actor: Actor, token_id: int) -> bool:
        """Let nobody in by a token any more; False for one that is not there, or another team's."""
        actor.must(Action.TOKENS)
        with self._store.begin() as connection:
            done = team_tokens.drop_token(connection, actor.team.id, token_id)
            if done:
                facts = {"token": token_id}
                self._note(connection, actor.team.id, "token revoked", actor.name, self._now(), facts=facts)
        return done

    def _note(
        self,
        connection: Connection,
        team_id: int,
        event: str,
        actor: str,
        now: datetime,
        person: int | None = None,
        seat: int | None = None,
        why: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        told = {**({"seat": seat} if seat is not None else {}), **(facts or {})}
        audit.note(connection, event, why, now, actor=actor, person_id=person, team_id=team_id, facts=told)


def _must_have_room(connection: Connection, team: int, person: int) -> None:
    """Raises Refused where a team has as many members as it can, and this person is none of them."""
    there = teams.members(connection, team)
    if len(there) >= MOST_MEMBERS and person not in {one.person for one in there}:
        raise Refused(f"team {team} has {MOST_MEMBERS} members already")


def may_still(connection: Connection, team: int, name: str, action: Action) -> bool:
    """Whether somebody who began something, as the audit log calls them, may do it for the team still."""
    kind, _, number = name.partition(" ")
    if kind == "person":
        role = teams.role_in(connection, team, people.living_id(connection, int(number)))
    elif kind == "token":
        role = team_tokens.role_of(connection, team, int(number))
    else:
        return kind == "operator"
    return role is not None and may(role, action)


def of_pool(pool: str, picked: Item | None) -> dict[str, str]:
    """By what it is remembered in the audit log of which pool somebody was asked to take a seat, or declined one."""
    return {"pool": pool, **({"picked": str(picked)} if picked else {})}


def _declined(
    connection: Connection, team_id: int, pool: str, persons: Collection[int], picked: Item | None
) -> set[int]:
    return audit.declined(connection, team_id, persons, pool, str(picked) if picked else None)


def waits_for(team: Team) -> Wait | None:
    """What an acceptance waits for."""
    return Wait.APPROVAL if team.approval else None
