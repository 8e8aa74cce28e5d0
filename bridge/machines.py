"""A company's machines come in: by the tokens that the team's owner made, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from bridge.errors import BadSignature, BridgeError
from bridge.office import Actor
from bridge.often import Often
from bridge.store import audit, team_tokens, teams
from bridge.store.db import Store
from bridge.store.team_tokens import PREFIX

log = structlog.get_logger()

#: Questions of one token that one process answers within a minute.
MOST_A_MINUTE = 240
#: Refusals that one process writes down within a minute: for each team, and for whoever is let in to none.
MOST_REFUSALS = 100
#: A secret has 55 characters; what is much longer is not looked for.
_LONGEST = 100


class TooOften(BridgeError):
    """The token is right, and was shown too often within a minute."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Who asks. ``secret`` is what it showed: kept while the request lasts."""

    actor: Actor
    token: int
    secret: str


class Machines:
    """Lets machines in, and writes down who was not."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._asking = Often(MOST_A_MINUTE)
        self._refusing = Often(MOST_REFUSALS)

    def let_in(self, secret: str, at: str) -> Machine:
        """Whose machine shows this secret. Raises BadSignature, once that is written down, and TooOften."""
        machine = self._find(secret) if secret.startswith(PREFIX) and len(secret) <= _LONGEST else None
        if machine is None:
            self.refused("no token of a team was shown" if not secret else "the token is no team's", at)
            raise BadSignature("no team lets it in")
        if self._asking(machine.token):
            raise TooOften(f"token {machine.token} was shown too often")
        return machine

    def _find(self, secret: str) -> Machine | None:
        now = self._now()
        with self._store.read() as connection:
            token = team_tokens.find_token(connection, secret)
            team = teams.get_team(connection, token.team) if token else None
        if token is None or team is None:
            return None
        if token.used_at is None or token.used_at <= now - team_tokens.USED_EVERY:
            with self._store.one_statement() as connection:
                team_tokens.token_used(connection, token.id, now)
        return Machine(Actor(team, token.role, f"token {token.id}"), token.id, secret)

    def refused(self, why: str, at: str, actor: Actor | None = None) -> None:
        """Write down that somebody was refused something. Ids only; what was shown is kept nowhere.

        Nobody can fill the audit log by knocking: beyond so many a minute they are only counted in the program's log.
        """
        team = actor.team.id if actor else None
        if self._refusing(team or 0):
            log.warning("a team's machines refused too often to write down each", why=why, team=team)
            return
        name = actor.name if actor else audit.BRIDGE
        with self._store.begin() as connection:
            audit.note(connection, "refused", why, self._now(), actor=name, team_id=team, facts={"at": at})
