"""Tokens by which a team's machines come in. A token is the team's, and not whoever's made it; of its secret only the
digest is kept.

Functions take the caller's connection, so that what belongs together commits together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from bridge.domain.teams import TeamRole
from bridge.store.models import team_tokens
from bridge.store.signon import digest, new_secret

#: What each secret begins with, so that people and scanners know it where it must not be.
PREFIX = "bridge_team_"
#: How exactly it is written down when a token was used last.
USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class TeamToken:
    """A token. ``used_at`` is when it was used last, to the minute; None for never."""

    id: int
    team: int
    name: str
    role: TeamRole
    made_by: int
    made_at: datetime
    used_at: datetime | None


_T = team_tokens.c
_TOKEN = select(_T.id, _T.team_id, _T.name, _T.role, _T.made_by, _T.made_at, _T.used_at)


def make_token(
    connection: Connection, team_id: int, name: str, role: TeamRole, made_by: int, now: datetime
) -> tuple[int, str]:
    """A new token; its id, and its secret, which is told this once."""
    secret = PREFIX + new_secret()
    row = {"team_id": team_id, "name": name, "role": role, "made_by": made_by, "digest": digest(secret)}
    made = connection.execute(insert(team_tokens).values(made_at=now, **row).returning(_T.id)).scalar_one()
    return int(made), secret


def tokens_of(connection: Connection, team_id: int) -> list[TeamToken]:
    """A team's tokens, the newest first."""
    return [_token(row) for row in connection.execute(_TOKEN.where(_T.team_id == team_id).order_by(_T.id.desc()))]


def role_of(connection: Connection, team_id: int, token_id: int) -> TeamRole | None:
    """What a team's token may; None for one that is not there any more."""
    role = connection.execute(select(_T.role).where(_T.team_id == team_id, _T.id == token_id)).scalar()
    return TeamRole(role) if role else None


def count_tokens(connection: Connection, team_id: int) -> int:
    """How many there are."""
    return int(connection.execute(select(func.count()).where(_T.team_id == team_id)).scalar_one())


def find_token(connection: Connection, secret: str) -> TeamToken | None:
    """The token of this secret, unless it was revoked."""
    row = connection.execute(_TOKEN.where(_T.digest == digest(secret))).first()
    return _token(row) if row else None


def token_used(connection: Connection, token_id: int, now: datetime) -> None:
    """Write down that a token is in use, if that was not done within the last minute."""
    stale = or_(_T.used_at.is_(None), _T.used_at <= now - USED_EVERY)
    connection.execute(update(team_tokens).where(_T.id == token_id, stale).values(used_at=now))


def drop_token(connection: Connection, team_id: int, token_id: int) -> bool:
    """Nobody comes in by it any more; False for one that is not there, or another team's."""
    return connection.execute(delete(team_tokens).where(_T.team_id == team_id, _T.id == token_id)).rowcount == 1


def _token(row: Any) -> TeamToken:
    return TeamToken(row.id, row.team_id, row.name, TeamRole(row.role), row.made_by, row.made_at, row.used_at)
