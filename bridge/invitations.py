"""Invitations: a letter to whoever was asked to take a seat or to help manage a team, and what they answer.

The letter's link proves the address, as any link does that was mailed: whoever opens it is who was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from bridge.addresses import Addresses
from bridge.domain.enrolments import lasting, wanted
from bridge.domain.identity import How
from bridge.domain.letters import CourseLine, Letter, Message
from bridge.domain.offers import Item, Offer
from bridge.domain.roster_cells import Problem, read_name
from bridge.domain.seats import SeatRules, SeatState, Wait
from bridge.domain.targets import Place, Target, target_of
from bridge.domain.teams import CONSENT_TEXT, TeamRole
from bridge.domain.texts import plain
from bridge.errors import BadSignature, Refused
from bridge.handing_out import of_pool
from bridge.kinds import INVITATION, LEARNER, NOTE
from bridge.mail import Mailer
from bridge.naming import Names
from bridge.office import MEMBER, MOST_LETTERS, waits_for
from bridge.store import audit, learning, ledger, people, placing, pooled, signon, teams
from bridge.store.db import Store
from bridge.store.people import Person
from bridge.store.pooled import SeatRow
from bridge.store.signon import Link, Visit, new_secret
from bridge.store.teams import Team
from bridge.store.work import Claim, Work
from bridge.team_letters import APPROVAL, OWNER, TeamLetters
from bridge.ways_in import WaysIn
from bridge.who import may_become, prove
from bridge.worker import Done


class Answer(StrEnum):
    """What came of an answer."""

    TAKEN = "taken"
    WAITS = "waits"  # for a manager's yes
    HAS_IT = "has_it"  # has all of it already: the seat stays free for somebody else
    DECLINED = "declined"
    MANAGES = "manages"


class Resting(BadSignature):
    """What pays for the place is being settled: the invitation works again after that."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a link invites to. ``role`` is given for a part in a team, ``items`` for a seat."""

    team: Team
    person: Person
    email: str
    name: str = ""  # what the seat gives, as it was sold
    items: tuple[Item, ...] = ()
    gives: tuple[str, ...] = ()  # what these are called, where the name does not say so
    seat: int | None = None
    role: TeamRole | None = None
    reports: bool = False  # the team sees how they get on, as part of what was bought
    until: datetime | None = None
    picked: Item | None = None
    customer: Person | None = None  # of the shop, with the same address: whoever proves it may be both

    @property
    def names_them(self) -> bool:
        """Whether they are asked for their name: as long as no account was made with one."""
        return self.seat is not None and self.person.totara_id is None


class WrongName(ValueError):
    """A name that can't stand on a certificate: field -> what is wrong with it, None where nothing was given."""

    def __init__(self, fields: Mapping[str, Problem | None]) -> None:
        super().__init__(", ".join(fields))
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of it, and the secret of the session of whoever answered: "" for none, or for the one they had."""

    answer: Answer
    session: str = ""
    target: str = str(Place.COURSES)


class Invitations:
    """Writes invitations, and takes the answers. ``mailer`` is None where the bridge sends no mail."""

    def __init__(
        self,
        store: Store,
        work: Work,
        mailer: Mailer | None,
        addresses: Addresses,
        ways: WaysIn,
        rules: SeatRules,
        names: Names,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._work = work
        self._mailer = mailer
        self._addresses = addresses
        self._ways = ways
        self._rules = rules
        self._names = names
        self._now = now
        self._team_letters = TeamLetters(store, mailer, ways, now)

    # --- letters ---------------------------------------------------------------------------------------------------

    def settle(self, claim: Claim) -> Done | None:
        """Write to whoever was asked. Whoever answered meanwhile, or was asked no more, is not written to."""
        about, *numbers = claim.key.split(":")
        if about == MEMBER:
            return self._ask_member(*map(int, numbers))
        if about == APPROVAL:
            return self._team_letters.ask_yes(int(numbers[0]))
        if about == OWNER:
            self._team_letters.tell_owner(int(numbers[0]), int(numbers[1]), claim.hints)
            return None
        return self._ask_learner(int(claim.key))

    def _ask_learner(self, seat_id: int) -> Done | None:
        now = self._now()
        with self._store.read() as connection:
            team_id = placing.team_of_seat(connection, seat_id)
            row = pooled.find_seat(connection, team_id, seat_id, now) if team_id is not None else None
            if team_id is None or row is None or row.state is not SeatState.INVITED or row.seat.person is None:
                return None
            team = teams.get_team(connection, team_id)
            person = people.get_person(connection, row.seat.person)
            items = placing.items_of_seat(connection, seat_id)
        if person is None:
            return None
        sold_as = _name(row, person)
        own = self._names.apart(items, person.language, picked=row.seat.picked is not None)
        lines = tuple(CourseLine(own[item], sold_as=sold_as) for item in items if item in own)
        lines = lines or (CourseLine(sold_as),)
        return self._mail(person, Letter.INVITATION, team, row.seat.answer_until or now, lines, seat_id=seat_id)

    def _ask_member(self, team_id: int, person_id: int) -> Done | None:
        with self._store.read() as connection:
            asked = next((one for one in teams.members(connection, team_id) if one.person == person_id), None)
            if asked is None or asked.accepted_at is not None:
                return None
            team, person = teams.get_team(connection, team_id), people.get_person(connection, person_id)
        until = (self._now() + timedelta(days=self._rules.answer_days)).replace(microsecond=0)
        return self._mail(person, Letter.MANAGE, team, until, (), team_id=team_id) if person else None

    def _mail(
        self,
        person: Person,
        kind: Letter,
        team: Team,
        until: datetime,
        courses: tuple[CourseLine, ...],
        *,
        seat_id: int | None = None,
        team_id: int | None = None,
    ) -> Done | None:
        """Send a letter, unless as many went out as do for one invitation: counted here too, since whoever asked for
        it was told by what had been sent until then.
        """
        if self._mailer is None:
            raise Refused("there is no mail server: an invitation can't be sent")
        secret, whose = new_secret(), None if team_id is None else person.id
        if person.customer_id is not None:
            self._addresses.customer(person.customer_id)
            with self._store.read() as connection:
                person = people.get_person(connection, person.id) or person
        with self._store.begin() as connection:
            sent = signon.count_invitations(connection, self._now(), seat_id=seat_id, team_id=team_id, person_id=whose)
            if sent >= MOST_LETTERS:
                return None
            address = _address_of(connection, person)
            signon.keep_link(connection, secret, person.id, address, until, seat_id=seat_id, team_id=team_id)
        message = Message(
            kind=kind,
            to_address=address,
            name=person.name,
            language=person.language,
            courses=courses,
            start_url=self._ways.invited(secret),
            team=team.name,
            answer_until=until,
        )
        self._mailer.send(message, key=f"invitation {signon.digest(secret)}")

        def write(connection: Connection) -> None:
            facts = {"seat": seat_id} if seat_id is not None else {}
            now = self._now()
            audit.note(connection, "invitation sent", "", now, person_id=person.id, team_id=team.id, facts=facts)

        return Done(write)

    # --- answers ---------------------------------------------------------------------------------------------------

    def look(self, secret: str) -> Invitation:
        """What a link invites to, without using it up. Raises BadSignature for one that invites to nothing (more)."""
        with self._store.read() as connection:
            found = self._of(connection, signon.look_at_link(connection, secret, self._now()))
        own = self._names.apart(found.items, found.person.language, picked=found.picked is not None)
        return replace(found, gives=tuple(own.values()))

    def _of(self, connection: Connection, link: Link | None) -> Invitation:
        """Raises BadSignature where there is nothing to answer."""
        person = people.get_person(connection, people.living_id(connection, link.person_id)) if link else None
        if link is None or person is None or not _reaches(connection, person, link.email):
            raise BadSignature("no invitation that was mailed can still be answered by it")
        customer = _customer_like(connection, person, link.email)
        if link.seat_id is not None:
            return replace(self._to_learn(connection, person, link.email, link.seat_id), customer=customer)
        if link.team_id is not None:
            return replace(self._to_manage(connection, person, link.email, link.team_id), customer=customer)
        raise BadSignature("it is a link to sign in, and no invitation")

    def _to_learn(self, connection: Connection, person: Person, email: str, seat_id: int) -> Invitation:
        team_id = placing.team_of_seat(connection, seat_id)
        row = pooled.find_seat(connection, team_id, seat_id, self._now()) if team_id is not None else None
        mine = row is not None and row.seat.person == person.id and row.seat.waits is Wait.ANSWER
        if mine and row is not None and row.state is SeatState.HELD:
            raise Resting("the seat rests until what pays for it is settled")
        if team_id is None or row is None or row.state is not SeatState.INVITED or not mine:
            raise BadSignature("the seat was given to somebody else, or is not paid for any more")
        return Invitation(
            teams.get_team(connection, team_id),
            person,
            email,
            _name(row, person),
            tuple(placing.items_of_seat(connection, seat_id)),
            seat=seat_id,
            reports=placing.offer_of_seat(connection, seat_id).report,
            until=row.seat.answer_until,
            picked=row.seat.picked,
        )

    def _to_manage(self, connection: Connection, person: Person, email: str, team_id: int) -> Invitation:
        asked = next((one for one in teams.members(connection, team_id) if one.person == person.id), None)
        if asked is None:
            raise BadSignature("nobody asks them to manage this team any more")
        return Invitation(teams.get_team(connection, team_id), person, email, role=asked.role)

    def accept(
        self, secret: str, *, first_name: str = "", last_name: str = "", consents: bool = False, before: str = ""
    ) -> Answered:
        """Take the seat, or the part in the team, and sign in. The address is proven by it.

        Of any number who answer at once, one does. ``before`` is the secret of the session that the browser had until
        now, which ends. Raises BadSignature, as :meth:`look`; and WrongName, where a name is asked for and is none by
        the rules of a list: nothing is used up then. No name at all leaves them with the one that is known.
        """
        now = self._now()
        with self._store.begin() as connection:
            invitation = self._taken(connection, secret, now)
            person = invitation.person
            prove(self._store, connection, person.id, invitation.email, How.LINK, now)
            if invitation.names_them and (first_name or last_name):
                people.call_by(connection, person, *_names(first_name=first_name, last_name=last_name))
            answer = self._answer(connection, invitation, person, consents, now)
            target = _target_of(invitation, answer)
            session = new_secret()
            signon.begin_visit(connection, session, person.id, target, now, before=before)
            audit.note(connection, "signed in", "by an invitation", now, person_id=person.id)
        self._store.bell.ring()
        return Answered(answer, session, target)

    def accept_as(self, secret: str, visit: Visit, *, consents: bool = False) -> Answered:
        """The same for a customer of the shop who is signed in and has the address that was written to: it is proven
        for that customer, who becomes one with whoever was asked, and stays signed in.

        Raises BadSignature also where they are none of whom :meth:`look` tells: then nothing is used up.
        """
        now = self._now()
        with self._store.begin() as connection:
            invitation = self._taken(connection, secret, now)
            customer = invitation.customer
            if customer is None or customer.customer_id != visit.customer_id:
                raise BadSignature("another customer than the one who has the address is signed in")
            prove(self._store, connection, customer.id, invitation.email, How.LINK, now)
            answer = self._answer(connection, invitation, customer, consents, now)
            target = _target_of(invitation, answer)
            signon.set_visit(connection, visit.name, target=target)
            # At this look both become one, and whatever the other was given moves along.
            self._work.mark(connection, LEARNER, [customer.id])
        self._store.bell.ring()
        return Answered(answer, target=target)

    def _taken(self, connection: Connection, secret: str, now: datetime) -> Invitation:
        """What the link is for, which is used up. The seat is held first, as by whoever takes it back: in any other
        order the two would wait for each other.
        """
        link = signon.look_at_link(connection, secret, now)
        if link is not None and link.seat_id is not None:
            placing.hold_seat(connection, link.seat_id)
        return self._of(connection, signon.take_link(connection, secret, now))

    def _answer(
        self, connection: Connection, invitation: Invitation, whose: Person, consents: bool, now: datetime
    ) -> Answer:
        """``whose`` it is: that of the one who was asked, or of the customer whom they turned out to be."""
        team, person = invitation.team, invitation.person
        if invitation.seat is None:
            if whose.id != person.id:
                teams.move_part(connection, team.id, person.id, whose.id)
            teams.accept_member(connection, team.id, whose.id, now)
            self._note(connection, invitation, "member accepted", now)
            return Answer.MANAGES
        if self._has_all(connection, invitation, whose, now):
            self._free(connection, invitation, invitation.seat, now)
            self._note(connection, invitation, "had it already", now)
            return Answer.HAS_IT
        waits = waits_for(team)
        if not placing.take_seat(connection, invitation.seat, person.id, waits, now):
            raise BadSignature("the seat was given to somebody else, or is not paid for any more")
        if consents and not invitation.reports:
            teams.give_consent(self._store, connection, team.id, person.id, CONSENT_TEXT, now)
            self._note(connection, invitation, "consent given", now)
        self._note(connection, invitation, "invitation accepted", now)
        self._work.mark(connection, LEARNER, [person.id])
        if waits:
            self._work.mark(connection, INVITATION, [f"{APPROVAL}:{team.id}"])
        return Answer.WAITS if waits else Answer.TAKEN

    def _has_all(self, connection: Connection, invitation: Invitation, whose: Person, now: datetime) -> bool:
        """Whether they have all of it without the seat, for as long as the seat would give it. What is paid for, and
        waits for a person to look at it, they do not have.
        """
        assert invitation.seat is not None, "asked of seats only"
        there = wanted(learning.rights_of(connection, whose.id), now).items
        held = learning.held_by(connection, whose.id)
        until = _end_of(placing.offer_of_seat(connection, invitation.seat), now)
        return all(
            item in there and item in held and held[item].reached and _lasts(there[item], until)
            for item in invitation.items
        )

    def decline(self, secret: str) -> Answered:
        """Say no: the seat is free for somebody else. Raises BadSignature, as :meth:`look`."""
        now = self._now()
        with self._store.begin() as connection:
            invitation = self._taken(connection, secret, now)
            facts: Mapping[str, str] = {}
            if invitation.seat is not None:
                facts = of_pool(placing.pool_of_seat(connection, invitation.seat), invitation.picked)
                self._free(connection, invitation, invitation.seat, now)
                signon.forget_invitations(connection, [invitation.seat])
            else:
                teams.drop_member(connection, invitation.team.id, invitation.person.id)
            self._note(connection, invitation, "invitation declined", now, facts)
        self._store.bell.ring()
        return Answered(Answer.DECLINED)

    def _free(self, connection: Connection, invitation: Invitation, seat_id: int, now: datetime) -> None:
        """The seat is open again, and the note on its order says so."""
        row = pooled.find_seat(connection, invitation.team.id, seat_id, now)
        placing.free_seat(connection, seat_id, invitation.person.id)
        if row is not None:
            self._work.mark(connection, NOTE, ledger.noted_on(connection, row.order, row.subscription))

    def _note(
        self,
        connection: Connection,
        invitation: Invitation,
        event: str,
        now: datetime,
        more: Mapping[str, str] | None = None,
    ) -> None:
        facts = {**({"seat": invitation.seat} if invitation.seat is not None else {}), **(more or {})}
        who = invitation.person.id
        audit.note(
            connection, event, "", now, actor=f"person {who}", person_id=who, team_id=invitation.team.id, facts=facts
        )


def _names(**given: str) -> list[str]:
    """The names as they are kept. Raises WrongName."""
    read = {field: read_name(text) for field, text in given.items()}
    wrong = {field: problem for field, (name, problem) in read.items() if problem or not name}
    if wrong:
        raise WrongName(wrong)
    return [name for name, _ in read.values()]


def _reaches(connection: Connection, person: Person, address: str) -> bool:
    """Whether a letter to this address reaches this person and nobody else. What somebody typed into an account of the
    shop may be another's: that one would be signed in as them, and would prove the address for them.
    """
    if person.customer_id is None:  # is known by the address itself
        return True
    found = people.reached_by(connection, address)
    return found is not None and found.id == person.id


def _customer_like(connection: Connection, person: Person, email: str) -> Person | None:
    """The customer of the shop whom a guest with this address becomes, if the one who opens the letter is both."""
    if person.customer_id is not None:
        return None
    found = people.customers_with(connection, email)
    return next((one for one in found if may_become(connection, person, one, email)), None)


def _address_of(connection: Connection, person: Person) -> str:
    """Where they are written to. Raises Refused where they have proven no address that they still have."""
    for address in (person.has, *people.proofs_of(connection, person.id)):
        if _reaches(connection, person, address):
            return address
    raise Refused("they have not proven the address that the shop has of them: an invitation can't be sent")


def _end_of(offer: Offer, now: datetime) -> datetime | None:
    """When access by a seat would end that is taken now; None for never."""
    counted = now + timedelta(days=offer.days_from_first) if offer.days_from_first else None
    return lasting((counted, offer.ends))


def _lasts(there: datetime | None, until: datetime | None) -> bool:
    return there is None or (until is not None and there >= until)


def _name(row: SeatRow, person: Person | None) -> str:
    """What a seat gives, as it was sold."""
    return plain(row.sold_as, person.language if person else "") or row.sold_as


def _target_of(invitation: Invitation, answer: Answer) -> str:
    if answer is Answer.MANAGES:
        return str(Target(Place.TEAM))
    if answer is Answer.TAKEN and len(invitation.items) == 1:
        return str(target_of(invitation.items[0]))
    return str(Target(Place.COURSES))
