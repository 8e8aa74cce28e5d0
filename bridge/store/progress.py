"""How far learners are in what they were given, as Totara last told. Functions take the caller's connection."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, or_, select, update

from bridge.domain.enrolments import State
from bridge.domain.offers import Item, Kind
from bridge.store.models import access


@dataclass(frozen=True, slots=True)
class Learnt:
    """How far somebody is: ``progress`` in per cent, where the certificate is given, a path on Totara's site, and
    whether they have ever been inside.

    None is what is not known.
    """

    completed: bool | None = None
    progress: int | None = None
    certificate: str | None = None
    opened: bool | None = None

    @property
    def begun(self) -> bool:
        """Whether they are known to have begun."""
        return bool(self.opened or self.progress or self.completed)


_MINE = access.c.person_id == bindparam("person")
_LEARNT = select(
    access.c.kind, access.c.item_id, access.c.completed, access.c.progress, access.c.certificate, access.c.opened
).where(_MINE)
#: Courses that can be read of: of all else Totara tells nothing, and of an enrolment that is not active neither.
_READABLE: ColumnElement[bool] = and_(access.c.kind == Kind.COURSE, access.c.state == State.ACTIVE)


def learnt_by(connection: Connection, person_id: int) -> dict[Item, Learnt]:
    """What is known, by item."""
    rows = connection.execute(_LEARNT, {"person": person_id})
    return {Item(Kind(kind), number): Learnt(*rest) for kind, number, *rest in rows}


def readable(connection: Connection, person_id: int) -> list[Item]:
    """What Totara can be asked about, in the order of its numbers."""
    query = select(access.c.item_id).where(_MINE, _READABLE).order_by(access.c.item_id)
    return [Item(Kind.COURSE, number) for (number,) in connection.execute(query, {"person": person_id})]


def is_old(connection: Connection, person_id: int, before: datetime) -> bool:
    """Whether anything that Totara can be asked about was not asked for since then."""
    old = or_(access.c.looked_at.is_(None), access.c.looked_at < before)
    query = select(access.c.item_id).where(_MINE, _READABLE, access.c.verified_at.is_not(None), old).limit(1)
    return connection.execute(query, {"person": person_id}).first() is not None


def old_among(connection: Connection, person_ids: Collection[int], before: datetime) -> list[int]:
    """Those of these persons of whom something that Totara can be asked about was not asked for since then."""
    old = or_(access.c.looked_at.is_(None), access.c.looked_at < before)
    mine = (access.c.person_id.in_(sorted(person_ids)), _READABLE, access.c.verified_at.is_not(None), old)
    query = select(access.c.person_id).where(*mine).distinct().order_by(access.c.person_id)
    return [int(person) for (person,) in connection.execute(query)]


def record(
    connection: Connection, person_id: int, asked: Collection[Item], moved: Mapping[Item, Learnt], now: datetime
) -> None:
    """Write down what has moved, and of everything that was asked about that it was. What has ended meanwhile stays."""
    mine = (access.c.person_id == person_id, _READABLE)
    numbers = sorted(item.id for item in asked)
    connection.execute(update(access).where(*mine, access.c.item_id.in_(numbers)).values(looked_at=now))
    for item, learnt in sorted(moved.items()):
        values: dict[str, Any] = {
            "progress": learnt.progress,
            "certificate": learnt.certificate,
            "opened": learnt.opened,
        }
        values |= {} if learnt.completed is None else {"completed": learnt.completed}
        connection.execute(update(access).where(*mine, access.c.item_id == item.id).values(values))
