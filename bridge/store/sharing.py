"""Which teams see how a person gets on, and which might."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select

from bridge.domain.offers import offer_from_json
from bridge.domain.seats import Wait
from bridge.store import teams
from bridge.store.models import purchases, seats
from bridge.store.teams import Team


@dataclass(frozen=True, slots=True)
class Share:
    """A team on whose seats a person sits, or that sees how they get on. ``since`` is when they allowed it, None
    where they do not; ``sold`` tells that all they have from the team was sold with it.
    """

    team: Team
    since: datetime | None
    sold: bool


def shares_of(connection: Connection, person_id: int) -> list[Share]:
    """All of them, in the order in which the teams were made. Who was only asked to take a seat has none yet."""
    since = {team.id: (team, given) for team, given in teams.consents_of(connection, person_id)}
    sold: dict[int, bool] = {}
    taken = or_(seats.c.waits.is_(None), seats.c.waits != Wait.ANSWER)
    mine = (seats.c.person_id == person_id, seats.c.ended_at.is_(None), purchases.c.team_id.is_not(None), taken)
    query = select(purchases.c.team_id, purchases.c.offer).join(seats, seats.c.purchase_id == purchases.c.id)
    for team_id, offer in connection.execute(query.where(*mine)):
        sold[team_id] = sold.get(team_id, True) and offer_from_json(offer).report
    return [
        Share(since[one][0] if one in since else teams.get_team(connection, one), since.get(one, (0, None))[1], has)
        for one, has in sorted({**dict.fromkeys(since, False), **sold}.items())
    ]
