"""Two persons become one, in one transaction, and as far as that can be undone, two again.

Both keep their rows, so that the old number is found. What belongs to the one who goes moves to the one who stays:
orders, subscriptions, seats, parts in teams, letters told, and the Totara account with the access that was given by it,
which never parts from it. Functions take the caller's connection.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, delete, exists, insert, literal, select, update

from bridge.domain.identity import new_key
from bridge.domain.teams import TeamRole
from bridge.errors import Refused
from bridge.store import audit
from bridge.store.models import (
    access,
    accounts,
    consents,
    letters,
    orders,
    persons,
    seats,
    subscriptions,
    team_members,
    teams,
)
from bridge.store.models import audit as audit_log
from bridge.store.people import Person, get_person

MERGED = "persons merged"
_BELONGINGS: Mapping[str, Table] = {"orders": orders, "subscriptions": subscriptions, "seats": seats}


def lock(connection: Connection, *person_ids: int) -> list[Person]:
    """These persons as they are, for nobody else to change or to give anything before the transaction has ended; nor to
    change who is what in their teams.
    """
    theirs = select(team_members.c.team_id).where(team_members.c.person_id.in_(person_ids))
    in_order = select(teams.c.id).where(teams.c.id.in_(theirs)).order_by(teams.c.id)
    connection.execute(in_order.with_for_update(key_share=True)).all()
    rows = select(persons.c.id).where(persons.c.id.in_(sorted(person_ids))).order_by(persons.c.id)
    connection.execute(rows.with_for_update())
    found = [get_person(connection, one) for one in person_ids]
    if None in found:
        raise Refused("there is no such person")
    return [one for one in found if one is not None]


def merge(
    connection: Connection, goes: Person, stays: Person, now: datetime, *, why: str, actor: str = audit.BRIDGE
) -> None:
    """Make ``goes`` a part of ``stays``. Both were read by :func:`lock`, in this transaction.

    If each has a Totara account, that of the one who goes stays theirs with its access: nothing pays for that any more,
    and the next look at them ends it.
    """
    moved = {name: _move(connection, table, goes.id, stays.id) for name, table in _BELONGINGS.items()}
    both = bool(goes.totara_id and stays.totara_id)
    of_teams = _move_teams(connection, goes.id, stays.id)
    if not both:
        _take_account(connection, goes, stays)
        _move_rows(connection, letters, goes.id, stays.id, ("fact",))
    free = {} if goes.customer_id is not None else {"guest_email": f"merged:{goes.id}"}
    connection.execute(update(persons).where(persons.c.id == goes.id).values(merged_into=stays.id, **free))
    connection.execute(update(persons).where(persons.c.merged_into == goes.id).values(merged_into=stays.id))
    account = None if both else goes.totara_id
    facts = {"from": goes.id, "into": stays.id, **moved, "account": account, **of_teams}
    for person in (goes.id, stays.id):
        audit.note(connection, MERGED, why, now, actor=actor, person_id=person, facts=facts)


def sweep_up(connection: Connection, goes: int, stays: int) -> bool:
    """Move what somebody who was merged may still have been given, by a worker that was late; whether there was any."""
    moved = [_move(connection, table, goes, stays) for table in _BELONGINGS.values()]
    return any(moved)


def _move(connection: Connection, table: Table, of: int, to: int) -> list[int]:
    moved = update(table).where(table.c.person_id == of).values(person_id=to).returning(table.c.id)
    return sorted(int(one) for (one,) in connection.execute(moved))


def _move_rows(connection: Connection, table: Table, of: int, to: int, keys: tuple[str, ...]) -> None:
    """Move rows whose key names the person; of those that the other has too, the other's stays."""
    there = table.alias()
    same = and_(there.c.person_id == to, *(there.c[key] == table.c[key] for key in keys))
    connection.execute(delete(table).where(table.c.person_id == of, exists().where(same)))
    connection.execute(update(table).where(table.c.person_id == of).values(person_id=to))


# --- their teams -----------------------------------------------------------------------------------------------------


def _move_teams(connection: Connection, of: int, to: int) -> dict[str, list[int]]:
    """Move the parts in teams, what teams may see, and for which team is bought: what was moved as a whole, and of
    which teams.

    Of two parts in one team the one that may more stays, so that a team has its owner still. Of two words on what a
    team may see, a withdrawn one does. Teams are never joined: where both had bought for one, what is bought from now
    on goes to that of the one who stays, and both go on managing, or owning, the other.
    """
    parts = _move_better(connection, team_members, of, to, _may_more)
    shown = _move_better(connection, consents, of, to, lambda one, other: bool(one.withdrawn_at))
    has = connection.execute(select(teams.c.id).where(teams.c.buyer_id == to)).scalar()
    buyer = update(teams).where(teams.c.buyer_id == of).values(buyer_id=to if has is None else None)
    bought = [team for (team,) in connection.execute(buyer.returning(teams.c.id)) if has is None]
    told = {"parts": parts, "consents": shown, "buys_for": bought}
    return {name: ids for name, ids in told.items() if ids}


def _may_more(one: Row[Any], other: Row[Any]) -> bool:
    """Whether the first of two parts in one team is the better. What nobody has accepted yet may nothing."""
    ranks = [(row.accepted_at is not None, TeamRole(row.role).rank) for row in (one, other)]
    return ranks[0] > ranks[1]


def _move_better(
    connection: Connection, table: Table, of: int, to: int, better: Callable[[Row[Any], Row[Any]], bool]
) -> list[int]:
    """Move rows about teams. Where the other has one too, theirs stays, unless the one that comes is ``better`` than
    it. The teams of which the other had none.
    """
    rows = {person: _by_team(connection, table, person) for person in (of, to)}
    for team, row in rows[of].items():
        there = rows[to].get(team)
        goes_on = there is None or better(row, there)
        if there is not None:
            loser = to if goes_on else of
            connection.execute(delete(table).where(table.c.team_id == team, table.c.person_id == loser))
        if goes_on:
            mine = (table.c.team_id == team, table.c.person_id == of)
            connection.execute(update(table).where(*mine).values(person_id=to))
    return sorted(rows[of].keys() - rows[to].keys())


def _by_team(connection: Connection, table: Table, person: int) -> dict[int, Row[Any]]:
    return {row.team_id: row for row in connection.execute(select(table).where(table.c.person_id == person))}


def _move_teams_back(connection: Connection, facts: Mapping[str, Any], goes: int, stays: int) -> None:
    """What was moved as a whole, as far as it is still there. A part that both had stays where it is."""
    parts = _move_back(connection, team_members, facts.get("parts", ()), stays, goes)
    _move_back(connection, consents, facts.get("consents", ()), stays, goes)
    bought = teams.c.id.in_(parts & set(facts.get("buys_for", ())))
    connection.execute(update(teams).where(bought, teams.c.buyer_id == stays).values(buyer_id=goes))


def _move_back(connection: Connection, table: Table, of_teams: Collection[int], of: int, to: int) -> set[int]:
    mine = (table.c.person_id == of, table.c.team_id.in_(sorted(of_teams)))
    moved = update(table).where(*mine).values(person_id=to).returning(table.c.team_id)
    return {int(team) for (team,) in connection.execute(moved)}


# --- their account ---------------------------------------------------------------------------------------------------


def _take_account(connection: Connection, goes: Person, stays: Person) -> None:
    """The one account, made or still to be made, is the one who stays'; so is the access that was given by it."""
    taken = goes.totara_id is not None or (stays.reserved is None and goes.reserved is not None)
    loser = stays if taken else goes
    connection.execute(delete(accounts).where(accounts.c.person_id == loser.id))
    if loser.totara_id is None:  # without an account nothing was given: what is written down is only what waits
        connection.execute(delete(access).where(access.c.person_id == loser.id))
    if taken:
        _hand_account(connection, goes, stays)


def _hand_account(connection: Connection, of: Person, to: Person) -> None:
    """Hand over an account, its access, and the key by which Totara's account is known to be ours."""
    connection.execute(update(accounts).where(accounts.c.person_id == of.id).values(person_id=to.id))
    _move_rows(connection, access, of.id, to.id, ("kind", "item_id"))
    _swap_keys(connection, of, to)


def swap_accounts(connection: Connection, one: Person, other: Person) -> None:
    """Each of two persons gets the other's Totara account, with the access that was given in it and its key."""
    to = {one.id: other.id, other.id: one.id}
    for table in (accounts, access):
        mine = table.c.person_id.in_(to)
        rows = [dict(row._mapping) for row in connection.execute(select(table).where(mine))]
        connection.execute(delete(table).where(mine))
        for row in rows:
            connection.execute(insert(table).values({**row, "person_id": to[row["person_id"]]}))
    _swap_keys(connection, one, other)


def _swap_keys(connection: Connection, one: Person, other: Person) -> None:
    for person, key in ((one.id, new_key()), (other.id, one.key), (one.id, other.key)):  # a key is never two persons'
        connection.execute(update(persons).where(persons.c.id == person).values(key=key))


# --- two again -------------------------------------------------------------------------------------------------------


def unmerge(connection: Connection, goes: Person, stays: Person, now: datetime, *, why: str, actor: str) -> None:
    """Make two again of two who became one: what moved then moves back, as far as it is still there.

    Raises Refused where somebody else has the guest's address by now. Letters that were sent stay told to both.
    """
    facts = _how_merged(connection, goes.id)
    _give_address_back(connection, goes)
    for name, table in _BELONGINGS.items():
        mine = (table.c.id.in_(facts.get(name) or ()), table.c.person_id == stays.id)
        connection.execute(update(table).where(*mine).values(person_id=goes.id))
    _move_teams_back(connection, facts, goes.id, stays.id)
    connection.execute(update(persons).where(persons.c.id == goes.id).values(merged_into=None))
    if facts.get("account") and facts["account"] == stays.totara_id:
        connection.execute(delete(accounts).where(accounts.c.person_id == goes.id))
        _hand_account(connection, stays, goes)
    _tell_both(connection, goes.id, stays.id)
    told = {"from": goes.id, "into": stays.id}
    for person in (goes.id, stays.id):
        audit.note(connection, "persons separated", why, now, actor=actor, person_id=person, facts=told)


def _how_merged(connection: Connection, person_id: int) -> Mapping[str, Any]:
    """What the audit log says was moved when the person became another."""
    mine = (audit_log.c.person_id == person_id, audit_log.c.event == MERGED)
    rows = connection.execute(select(audit_log.c.facts).where(*mine).order_by(audit_log.c.id.desc()))
    return next((facts for (facts,) in rows if facts["from"] == person_id), {})


def _give_address_back(connection: Connection, goes: Person) -> None:
    if goes.customer_id is not None:
        return
    other = connection.execute(select(persons.c.id).where(persons.c.guest_email == goes.email)).scalar()
    if other is not None:
        raise Refused(f"person {other} bought with that guest's address since: they can't be made two again")
    connection.execute(update(persons).where(persons.c.id == goes.id).values(guest_email=goes.email))


def _tell_both(connection: Connection, goes: int, stays: int) -> None:
    """What one of them was told, nobody is told again."""
    there = letters.alias()
    told = select(literal(goes), letters.c.fact, letters.c.begun_at, letters.c.sent_at).where(
        letters.c.person_id == stays,
        ~exists().where(there.c.person_id == goes, there.c.fact == letters.c.fact),
    )
    connection.execute(insert(letters).from_select(["person_id", "fact", "begun_at", "sent_at"], told))
