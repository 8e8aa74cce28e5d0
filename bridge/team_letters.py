"""Letters to those who manage a team: that somebody waits for their yes, and that the team is theirs now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from bridge.domain.letters import Letter, Message
from bridge.domain.teams import Action, TeamRole, may
from bridge.mail import Mailer
from bridge.store import learning, people, placing, teams
from bridge.store.db import Store
from bridge.store.teams import Team
from bridge.ways_in import WaysIn
from bridge.worker import Done

#: How the keys of the work begin by which these letters are owed; the team follows, and whom it is about.
APPROVAL, OWNER = "approval", "owner"
#: One is written to at most so often about those who wait for a yes, and no more about one who waited so long.
EVERY, LONGEST = timedelta(days=1), timedelta(days=7)


class TeamLetters:
    """Writes them. ``mailer`` is None where the bridge sends no mail: then nobody is written to."""

    def __init__(self, store: Store, mailer: Mailer | None, ways: WaysIn, now: Callable[[], datetime]) -> None:
        self._store = store
        self._mailer = mailer
        self._ways = ways
        self._now = now

    def ask_yes(self, team_id: int) -> Done | None:
        """Write to all who may say yes while somebody waits for it, each of them at most once a day.

        That a letter is being written is written down first: after a crash the same one is sent again, under the same
        Message-ID.
        """
        now = self._now()
        with self._store.read() as connection:
            team, since = teams.get_team(connection, team_id), placing.yes_awaited_since(connection, team_id)
            asked = [
                one.person
                for one in teams.members(connection, team_id)
                if one.accepted_at is not None and may(one.role, Action.APPROVE)
            ]
        if since is None or since < now - LONGEST or self._mailer is None:
            return None
        again = [self._ask(team, person, now) for person in asked]
        due = min((one for one in again if one is not None), default=None)
        return Done(lambda connection: None, again_at=due) if due is not None else None

    def _ask(self, team: Team, person_id: int, now: datetime) -> datetime | None:
        """Write to one of them, unless that was done within a day; when it may be done again."""
        before = f"{Letter.APPROVAL} {team.id} "
        with self._store.read() as connection:
            told = learning.told(connection, person_id)
        last = max((fact for fact in told if fact.startswith(before)), default="")
        if last and told[last] and (then := datetime.fromisoformat(last.removeprefix(before)) + EVERY) > now:
            return then
        fact = last if last and not told[last] else f"{before}{now.replace(microsecond=0).isoformat()}"
        with self._store.begin() as connection:
            learning.begin_letters(self._store, connection, person_id, [fact], now)
        if not self._send(Letter.APPROVAL, team, person_id, fact):
            return None
        with self._store.begin() as connection:
            learning.letters_sent(connection, person_id, [fact], now)
        return now + EVERY

    def tell_owner(self, team_id: int, person_id: int, hints: int) -> None:
        """Tell somebody that the team is theirs, if it still is. ``hints`` tells this hand-over from others."""
        with self._store.read() as connection:
            team = teams.get_team(connection, team_id)
            owns = teams.role_in(connection, team_id, person_id) is TeamRole.OWNER
        if owns and self._mailer is not None:
            self._send(Letter.OWNER, team, person_id, f"{Letter.OWNER} {team_id} {hints}")

    def _send(self, kind: Letter, team: Team, person_id: int, key: str) -> bool:
        """To the address that all is mailed to: whoever opens the link there has to sign in first."""
        assert self._mailer is not None, "asked before"
        with self._store.read() as connection:
            person = people.get_person(connection, person_id)
        if person is None:
            return False
        start = self._ways.for_manager(person.customer_id is not None)
        message = Message(kind, person.email, person.name, person.language, (), start_url=start, team=team.name)
        self._mailer.send(message, key=f"{person.key} {key}")
        return True
