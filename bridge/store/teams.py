"""Teams in the database: who may give their seats away, and whom their people let see how they get on.

Functions take the caller's connection, so that what belongs together commits together.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    String,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from bridge.domain.offers import Offer
from bridge.domain.teams import TeamRole, team_name
from bridge.store.db import Store
from bridge.store.models import consents, persons, purchases, team_members, teams
from bridge.store.people import WHOLE_NAME
from bridge.store.pooled import as_part, undelivered

# --- teams and their members -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Team:
    """A team. ``key`` is what stands in addresses; ``name`` is "" where the buyer told none; ``buyer`` is None once
    whoever bought first has left.
    """

    id: int
    key: str
    buyer: int | None
    name: str
    approval: bool
    made_at: datetime


_TEAM = select(teams.c.id, teams.c.key, teams.c.buyer_id, teams.c.name, teams.c.approval, teams.c.made_at)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who may manage a team, or was asked to. ``undelivered`` tells that the letter that asks them is not."""

    person: int
    role: TeamRole
    asked_at: datetime
    accepted_at: datetime | None
    email: str
    name: str
    undelivered: bool = False


def ensure_team(store: Store, connection: Connection, buyer: int, company: str, now: datetime) -> int:
    """The team that what somebody buys for others goes to; a new one is theirs, and called as their company. Teams are
    never joined by name.
    """
    known = _buys_for(connection, buyer)
    if known is not None:
        return known
    row = {"key": secrets.token_hex(12), "buyer_id": buyer, "name": team_name(company), "made_at": now}
    made = connection.execute(store.insert(teams).values(row).on_conflict_do_nothing().returning(teams.c.id)).scalar()
    if made is None:
        known = _buys_for(connection, buyer)
        if known is None:
            raise LookupError("the team vanished while being written")
        return known
    owner = {"team_id": made, "person_id": buyer, "role": TeamRole.OWNER, "asked_at": now, "accepted_at": now}
    connection.execute(insert(team_members).values(owner))
    return int(made)


def _buys_for(connection: Connection, person_id: int) -> int | None:
    """The team that somebody made by buying, as long as they are a member; else the one that they own. None where they
    have neither, or own several: nobody can tell which is meant.
    """
    m = team_members.c
    theirs = select(teams.c.id).join(team_members, m.team_id == teams.c.id)
    theirs = theirs.where(m.person_id == person_id, m.accepted_at.is_not(None))
    made = connection.execute(theirs.where(teams.c.buyer_id == person_id)).scalar()
    if made is not None:
        return int(made)
    owned = connection.execute(theirs.where(m.role == TeamRole.OWNER).limit(2)).scalars().all()
    return int(owned[0]) if len(owned) == 1 else None


def team_of_line(connection: Connection, line_id: int) -> int | None:
    """The team that a subscription's line gives to, or gave."""
    its = (purchases.c.line_id == line_id, purchases.c.subscription_id.is_not(None), purchases.c.team_id.is_not(None))
    found = connection.execute(select(purchases.c.team_id).where(*its).limit(1)).scalar() if line_id else None
    return None if found is None else int(found)


def add_to_pool(
    store: Store,
    connection: Connection,
    purchase_id: int,
    offer: Offer,
    buyer: int,
    company: str,
    now: datetime,
    team: int | None = None,
) -> None:
    """Make a purchase part of the pools of its buyer's team, or of this ``team``, once: whatever is delivered again
    adds nothing.
    """
    if team is None:
        team = ensure_team(store, connection, buyer, company, now)
    mine = (purchases.c.id == purchase_id, purchases.c.team_id.is_(None))
    values = {"team_id": team, "pool": offer.pool, "assign_until": offer.last_day_from(now)}
    connection.execute(update(purchases).where(*mine).values(values))


def prolong(connection: Connection, purchase_id: int, offer: Offer, now: datetime) -> None:
    """Let the open seats of a purchase be given for as long again: it was paid for anew, or more of it."""
    if offer.assign_days is None:
        return
    connection.execute(
        update(purchases).where(purchases.c.id == purchase_id).values(assign_until=offer.last_day_from(now))
    )


def find_team(connection: Connection, key: str) -> Team | None:
    """The team of this key."""
    row = connection.execute(_TEAM.where(teams.c.key == key)).first()
    return Team(*row) if row else None


def get_team(connection: Connection, team_id: int) -> Team:
    """The team with this id. Raises LookupError for one that is not there."""
    row = connection.execute(_TEAM.where(teams.c.id == team_id)).first()
    if row is None:
        raise LookupError(f"there is no team {team_id}")
    return Team(*row)


def hold_team(connection: Connection, team_id: int) -> None:
    """Let whoever else holds the team wait before the transaction has ended. What is bought for it meanwhile does not
    wait: that only points at it.
    """
    connection.execute(select(teams.c.id).where(teams.c.id == team_id).with_for_update(key_share=True)).all()


def set_team(connection: Connection, team_id: int, **values: Any) -> None:
    """Change a team: its name, whether acceptances wait for a yes."""
    connection.execute(update(teams).where(teams.c.id == team_id).values(**values))


def teams_of(connection: Connection, person_id: int) -> list[tuple[Team, TeamRole]]:
    """The teams that a person may do something with, and as what."""
    query = _TEAM.add_columns(team_members.c.role).join(team_members, team_members.c.team_id == teams.c.id)
    mine = (team_members.c.person_id == person_id, team_members.c.accepted_at.is_not(None))
    rows = connection.execute(query.where(*mine).order_by(teams.c.name, teams.c.id))
    return [(Team(*row[:-1]), TeamRole(row[-1])) for row in rows]


def newest_teams(connection: Connection, search: str, most: int) -> list[Team]:
    """The teams that have this in their names, in any case; the newest first, so many."""
    query = _TEAM.order_by(teams.c.id.desc()).limit(most)
    if search:
        query = query.where(func.lower(teams.c.name).like(f"%{as_part(search.lower())}%", escape="\\"))
    return [Team(*row) for row in connection.execute(query)]


def role_in(connection: Connection, team_id: int, person_id: int) -> TeamRole | None:
    """What a person is in a team; None for whoever is nothing there, or has not accepted."""
    mine = (team_members.c.team_id == team_id, team_members.c.person_id == person_id)
    query = select(team_members.c.role).where(*mine, team_members.c.accepted_at.is_not(None))
    role = connection.execute(query).scalar()
    return TeamRole(role) if role else None


def members(connection: Connection, team_id: int) -> list[Member]:
    """Everybody who manages a team, or was asked to: the owner first. Nobody's name is told before they have accepted,
    since whoever types an address would learn from it who is behind it.
    """
    m = team_members.c
    name = case((m.accepted_at.is_(None), ""), else_=WHOLE_NAME)
    letter = undelivered(literal(f"member:{team_id}:").concat(cast(m.person_id, String)))
    query = (
        select(m.person_id, m.role, m.asked_at, m.accepted_at, persons.c.email, name, letter)
        .join(persons, persons.c.id == m.person_id)
        .where(m.team_id == team_id)
        .order_by(case((m.role == TeamRole.OWNER, 0), (m.role == TeamRole.MANAGER, 1), else_=2), persons.c.email)
    )
    return [Member(row[0], TeamRole(row[1]), *row[2:]) for row in connection.execute(query)]


def put_member(
    store: Store, connection: Connection, team_id: int, person_id: int, role: TeamRole, now: datetime
) -> bool:
    """Ask somebody to manage a team, or ask anew who has not answered: as what, the last word counts. False for
    whoever manages it already.
    """
    row = {"team_id": team_id, "person_id": person_id, "role": role, "asked_at": now}
    keys = [team_members.c.team_id, team_members.c.person_id]
    asked = store.insert(team_members).values(row)
    asked = asked.on_conflict_do_update(
        index_elements=keys, set_={"role": role, "asked_at": now}, where=team_members.c.accepted_at.is_(None)
    )
    return connection.execute(asked.returning(team_members.c.person_id)).scalar() is not None


def accept_member(connection: Connection, team_id: int, person_id: int, now: datetime) -> TeamRole | None:
    """Whoever was asked says yes; what they are from now on, None for whoever was not asked (any more)."""
    mine = (team_members.c.team_id == team_id, team_members.c.person_id == person_id)
    connection.execute(update(team_members).where(*mine, team_members.c.accepted_at.is_(None)).values(accepted_at=now))
    return role_in(connection, team_id, person_id)


def move_part(connection: Connection, team_id: int, of: int, to: int) -> None:
    """What somebody was asked to be in a team is another's; of one who is something there already, it is dropped."""
    mine = (team_members.c.team_id == team_id, team_members.c.person_id == of)
    there = select(team_members.c.role).where(team_members.c.team_id == team_id, team_members.c.person_id == to)
    if connection.execute(there).first() is None:
        connection.execute(update(team_members).where(*mine).values(person_id=to))
    else:
        connection.execute(delete(team_members).where(*mine))


def set_role(connection: Connection, team_id: int, person_id: int, role: TeamRole) -> bool:
    """What somebody other than the owner is from now on; whether there was somebody."""
    mine = (team_members.c.team_id == team_id, team_members.c.person_id == person_id)
    changed = update(team_members).where(*mine, team_members.c.role != TeamRole.OWNER).values(role=role)
    return connection.execute(changed).rowcount == 1


def drop_member(connection: Connection, team_id: int, person_id: int) -> bool:
    """Take away what somebody other than the owner may do; whether there was somebody. What they buy from then on is
    the team's no more; what they bought stays.
    """
    mine = (team_members.c.team_id == team_id, team_members.c.person_id == person_id)
    gone = delete(team_members).where(*mine, team_members.c.role != TeamRole.OWNER)
    if connection.execute(gone).rowcount != 1:
        return False
    bought = update(teams).where(teams.c.id == team_id, teams.c.buyer_id == person_id)
    connection.execute(bought.values(buyer_id=None))
    return True


def owner_of(connection: Connection, team_id: int) -> int | None:
    """Whose a team is; None where two persons who became one left it without an owner."""
    query = select(team_members.c.person_id).where(team_members.c.team_id == team_id)
    found = connection.execute(query.where(team_members.c.role == TeamRole.OWNER)).scalar()
    return None if found is None else int(found)


def hand_over(connection: Connection, team_id: int, owner: int | None, heir: int) -> bool:
    """Make a member who has accepted the owner, and the owner, if there is one, a manager; else nothing is changed."""
    if owner == heir or role_in(connection, team_id, heir) is None:
        return False
    mine = (team_members.c.team_id == team_id, team_members.c.person_id == owner)
    down = update(team_members).where(*mine, team_members.c.role == TeamRole.OWNER).values(role=TeamRole.MANAGER)
    if owner is not None and connection.execute(down).rowcount != 1:
        return False
    up = update(team_members).where(team_members.c.team_id == team_id, team_members.c.person_id == heir)
    connection.execute(up.values(role=TeamRole.OWNER))
    return True


# --- consent ---------------------------------------------------------------------------------------------------------


def give_consent(store: Store, connection: Connection, team_id: int, person_id: int, text: str, now: datetime) -> None:
    """Write down that a person lets a team see how they get on."""
    row = {"team_id": team_id, "person_id": person_id, "text": text, "given_at": now, "withdrawn_at": None}
    keys = [consents.c.team_id, consents.c.person_id]
    statement = store.insert(consents).values(row)
    again = {name: row[name] for name in ("text", "given_at", "withdrawn_at")}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=again))


def withdraw_consent(connection: Connection, team_id: int, person_id: int, now: datetime) -> bool:
    """Write down that a person does not any more; whether they did."""
    mine = (consents.c.team_id == team_id, consents.c.person_id == person_id, consents.c.withdrawn_at.is_(None))
    return connection.execute(update(consents).where(*mine).values(withdrawn_at=now)).rowcount == 1


def consents_of(connection: Connection, person_id: int) -> list[tuple[Team, datetime]]:
    """The teams that a person lets see how they get on, and since when."""
    query = _TEAM.add_columns(consents.c.given_at).join(consents, consents.c.team_id == teams.c.id)
    mine = (consents.c.person_id == person_id, consents.c.withdrawn_at.is_(None))
    return [(Team(*row[:-1]), row[-1]) for row in connection.execute(query.where(*mine).order_by(teams.c.id))]
