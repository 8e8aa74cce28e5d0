"""The audit log: what happened, by whom and why. Only ever added to, and sealed into a chain of hashes.

Entries hold ids, never names or addresses, so that they outlive the erasure of a person. Sealing comes after writing,
so that no transaction waits for another one's place in the chain: an entry is safe against being altered unnoticed
from its sealing on, which is due every minute. Whoever keeps the newest hash elsewhere will also notice that the end
of the log was cut off.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, false, func, insert, or_, select

from bridge.store.db import Store
from bridge.store.models import audit, audit_seals
from bridge.store.together import Part, put

BRIDGE = "bridge"
#: That somebody was asked to take a seat, and that they said no: what is remembered of them when they are to be asked.
_GIVEN, _DECLINED = "seat given", "invitation declined"
FIRST = "0" * 64
_INSERT = insert(audit)


def note(
    connection: Connection,
    event: str,
    cause: str,
    now: datetime,
    *,
    actor: str = BRIDGE,
    order_id: int | None = None,
    subscription_id: int | None = None,
    person_id: int | None = None,
    team_id: int | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write down one event, in the transaction of what it tells of."""
    about = {"order_id": order_id, "subscription_id": subscription_id, "person_id": person_id, "team_id": team_id}
    connection.execute(_INSERT, {**entry(event, cause, now, facts or {}, actor=actor), **about})


def entry(event: str, cause: str, now: datetime, facts: Mapping[str, Any], *, actor: str = BRIDGE) -> dict[str, Any]:
    """The values of an entry, but for what it is about."""
    return {"at": now, "actor": actor[:64], "event": event, "cause": cause, "facts": dict(facts)}


def noting(store: Store, of: str) -> Part:
    """Writes down one event about a person together with something else: the values of :func:`entry`, and their id."""
    return put(store, audit, ("at", "actor", "event", "person_id", "cause", "facts"), of=(of,))


def trail(
    connection: Connection,
    *,
    orders: Collection[int] = (),
    subscriptions: Collection[int] = (),
    persons: Collection[int] = (),
    teams: Collection[int] = (),
    since: datetime | None = None,
) -> list[Row[Any]]:
    """What happened to any of these orders, subscriptions, persons and teams, in order."""
    c = audit.c
    asked = ((c.order_id, orders), (c.subscription_id, subscriptions), (c.person_id, persons), (c.team_id, teams))
    about = [column.in_(sorted(ids)) for column, ids in asked if ids]
    query = _entries(since).where(or_(false(), *about))
    return list(connection.execute(query.order_by(audit.c.at, audit.c.id)))


def of_seat(connection: Connection, team_id: int, seat_id: int, most: int = 200) -> list[Row[Any]]:
    """What happened to a team's seat, the newest first, so many entries."""
    query = select(audit).where(audit.c.team_id == team_id, audit.c.facts["seat"].as_integer() == seat_id)
    return list(connection.execute(query.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(most)))


def of_team(connection: Connection, team_id: int, *, most: int, before: int | None = None) -> list[Row[Any]]:
    """What happened to a team, so many entries, the newest first; ``before`` the one with this id."""
    query = select(audit).where(audit.c.team_id == team_id)
    if before is not None:
        query = query.where(audit.c.id < before)
    return list(connection.execute(query.order_by(audit.c.id.desc()).limit(most)))


def count_since(connection: Connection, team_id: int, event: str, since: datetime) -> int:
    """How often something happened to a team since then."""
    mine = (audit.c.team_id == team_id, audit.c.event == event, audit.c.at > since)
    return int(connection.execute(select(func.count()).select_from(audit).where(*mine)).scalar_one())


def everything(connection: Connection, since: datetime | None = None) -> Iterator[Row[Any]]:
    """All entries, as they were written down."""
    yield from _paged(connection, _entries(since), audit.c.id)


def _entries(since: datetime | None) -> Select[Any]:
    return select(audit) if since is None else select(audit).where(audit.c.at >= since)


def declined(
    connection: Connection, team_id: int, person_ids: Collection[int], pool: str, picked: str | None
) -> set[int]:
    """Those of these persons who said no to a seat of this pool, and were not asked to take one since; where each seat
    gives what was picked for it, one that gives this.
    """
    c = audit.c
    query = select(c.person_id, c.event, c.facts).where(c.team_id == team_id, c.person_id.in_(sorted(person_ids)))
    rows = connection.execute(query.where(c.event.in_([_GIVEN, _DECLINED])).order_by(c.id))
    last = {
        int(person): event
        for person, event, facts in rows
        if facts.get("pool") == pool and (picked is None or facts.get("picked") == picked)
    }
    return {person for person, event in last.items() if event == _DECLINED}


# --- the chain -------------------------------------------------------------------------------------------------------


def hash_of(previous: str, entry: Row[Any]) -> str:
    """The hash that ties an entry to everything sealed before it.

    A column that came later counts only where it says something: what was sealed before stays as it was.
    """
    content = {name: value for name, value in entry._mapping.items() if name in audit.c}
    if content["team_id"] is None:
        del content["team_id"]
    content["at"] = entry.at.astimezone(UTC).isoformat()
    text = json.dumps([previous, content], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def seal(store: Store, most: int = 1000) -> int:
    """Seal what is not sealed yet, up to so many entries; how many were. One at a time: its work row sees to it."""
    with store.begin() as connection:
        last = connection.execute(select(audit_seals).order_by(audit_seals.c.number.desc()).limit(1)).first()
        number, previous = (last.number, last.hash) if last else (0, FIRST)
        unsealed = (
            select(audit)
            .outerjoin(audit_seals, audit_seals.c.audit_id == audit.c.id)
            .where(audit_seals.c.audit_id.is_(None))
            .order_by(audit.c.id)
            .limit(most)
        )
        rows = []
        for entry in connection.execute(unsealed):
            number, previous = number + 1, hash_of(previous, entry)
            rows.append({"number": number, "audit_id": entry.id, "hash": previous})
        if rows:
            connection.execute(insert(audit_seals), rows)
    return len(rows)


@dataclass(frozen=True, slots=True)
class Verified:
    """What verifying found. ``head`` is the newest hash; ``problems`` is empty when the chain is whole."""

    sealed: int
    unsealed: int
    head: str
    problems: tuple[str, ...]


def verify(connection: Connection, head: str = "") -> Verified:
    """Walk the chain from its beginning. ``head``, a hash kept from an earlier time, must be in it."""
    problems: list[str] = []
    previous, number, seen = FIRST, 0, head in ("", FIRST)
    for row in _sealed(connection):
        number += 1
        if row.number != number:
            problems.append(f"seal {number} is missing")
            number = row.number
        if row.id is None or hash_of(previous, row) != row.hash:
            problems.append(f"entry {row.audit_id} is not what was sealed as number {row.number}")
        previous = row.hash
        seen = seen or previous == head
    if not seen:
        problems.append("the hash kept from earlier is not in the chain: the end was cut off, or all of it replaced")
    total = connection.execute(select(func.count()).select_from(audit)).scalar() or 0
    sealed = connection.execute(select(func.count()).select_from(audit_seals)).scalar() or 0
    return Verified(int(sealed), int(total) - int(sealed), previous, tuple(problems))


def _sealed(connection: Connection) -> Iterator[Row[Any]]:
    """Every seal with its entry, in order."""
    query = select(audit_seals.c.number, audit_seals.c.audit_id, audit_seals.c.hash, *audit.c).outerjoin(
        audit, audit.c.id == audit_seals.c.audit_id
    )
    yield from _paged(connection, query, audit_seals.c.number)


def _paged(connection: Connection, query: Select[Any], key: ColumnElement[int]) -> Iterator[Row[Any]]:
    """The rows by their key, a thousand at a time: a log of any size, on a connection without a transaction too,
    where PostgreSQL has no cursors."""
    after = 0
    while rows := list(connection.execute(query.where(key > after).order_by(key).limit(1000))):
        yield from rows
        after = rows[-1]._mapping[key]
