"""What learners let a team see of how they get on: given and withdrawn at any time, and written into the audit log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from bridge.domain.teams import CONSENT_TEXT, TeamRole
from bridge.store import audit, people, placing, teams
from bridge.store.db import Store
from bridge.store.sharing import Share, shares_of
from bridge.store.teams import Team


class Sharing:
    """Asks the ledger, and writes down what a learner decides."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def of(self, person_id: int) -> Sequence[Share]:
        """The teams that see how a person gets on, or might."""
        with self._store.read() as connection:
            return shares_of(connection, person_id)

    def manages(self, person_id: int) -> Sequence[tuple[Team, TeamRole]]:
        """The teams that a person helps manage, and as what."""
        with self._store.read() as connection:
            return teams.teams_of(connection, person_id)

    def waits(self, person_id: int) -> bool:
        """Whether a person accepted a place, and a team has not said yes yet."""
        with self._store.read() as connection:
            return placing.waits_for_yes(connection, person_id)

    def decide(self, person_id: int, key: str, gives: bool) -> bool:
        """Let a team see, or no longer; False where there is nothing to decide. The same again changes nothing."""
        now = self._now()
        with self._store.begin() as connection:
            people.hold_person(connection, person_id)
            share = next((one for one in shares_of(connection, person_id) if one.team.key == key), None)
            if share is None:
                return False
            if gives is (share.since is not None):
                return True
            if gives:
                teams.give_consent(self._store, connection, share.team.id, person_id, CONSENT_TEXT, now)
            else:
                teams.withdraw_consent(connection, share.team.id, person_id, now)
            event = "consent given" if gives else "consent withdrawn"
            who, team = f"person {person_id}", share.team.id
            audit.note(connection, event, "", now, actor=who, person_id=person_id, team_id=team)
        return True
