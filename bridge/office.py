"""A team's office: its name, who helps to manage it, whose it is, and the tokens of its machines. Who does it is an
:class:`Actor`; each thing done is written into the audit log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bridge.domain.identity import Contact, Identity
from bridge.domain.seats import Wait
from bridge.domain.teams import Action, TeamRole, may, team_name
from bridge.errors import Refused
from bridge.kinds import INVITATION, LEARNER
from bridge.store import (
    audit,
    people,
    placing,
    signon,
    team_tokens,
    teams,
)
from bridge.store.batches import Invitee
from bridge.store.db import Store
from bridge.store.team_tokens import TeamToken
from bridge.store.teams import Team
from bridge.store.work import Work
from bridge.team_letters import OWNER

#: How the key of an invitation to manage begins; team and person follow.
MEMBER = "member"
#: Letters that invite one person to one seat, or to help manage one team, as long as their links work.
MOST_LETTERS = 5
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


class Office:
    """What concerns a team itself, and none of its seats."""

    def __init__(self, store: Store, work: Work, now: Callable[[], datetime]) -> None:
        self._store = store
        self._work = work
        self._now = now

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

    # --- tokens for machines -----------------------------------------------------------------------------------------

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

    # --- what is written down ----------------------------------------------------------------------------------------

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


def waits_for(team: Team) -> Wait | None:
    """What an acceptance waits for."""
    return Wait.APPROVAL if team.approval else None
