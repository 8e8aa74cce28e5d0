"""Lists of people who are to be given seats of a pool, and what became of each of them.

Functions take the caller's connection, so that what belongs together commits together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, not_, or_, select, update

from bridge.domain.offers import Item, Kind
from bridge.domain.rosters import Doubt, Problem
from bridge.domain.seats import Why
from bridge.store.db import Store
from bridge.store.models import batch_rows, batches


@dataclass(frozen=True, slots=True)
class Invitee:
    """Somebody who is to be given a seat, as a list tells of them. ``number`` is the line of the list."""

    number: int
    email: str
    first_name: str = ""
    last_name: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row of a list by which nobody can be given a seat, as it may be shown, and why. ``first`` is the row that has
    the same address, if that is why.
    """

    invitee: Invitee
    problem: Problem
    first: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A list. Until it is confirmed (``begun``) nobody is given anything. ``actor`` has made it, or confirmed it;
    ``doubts`` are to be looked at before.
    """

    id: int
    team: int
    key: str
    pool: str
    picked: Item | None
    actor: str
    made: datetime
    begun: datetime | None
    done: datetime | None
    doubts: Mapping[Doubt, str]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one row; None while it was not looked at. A misfit has its problem instead."""

    invitee: Invitee
    why: Why | None
    seat: int | None
    problem: Problem | None = None
    first: int | None = None


#: Before the problem of a misfit, in the column of results: nobody ever looks at it.
_MISFIT = "row:"
_IS_MISFIT = func.coalesce(batch_rows.c.result, "").like(f"{_MISFIT}%")


def make_batch(
    store: Store,
    connection: Connection,
    team_id: int,
    key: str,
    pool: str,
    picked: Item | None,
    actor: str,
    rows: Sequence[Invitee],
    now: datetime,
    wrong: Sequence[Misfit] = (),
    doubts: Mapping[Doubt, str] | None = None,
) -> tuple[int, bool]:
    """Keep a list; its id, and whether it is new: of two with the same key the first stays. ``wrong`` and ``doubts``
    are kept with it to be shown.
    """
    chosen = {"item_kind": picked.kind, "item_id": picked.id} if picked else {}
    values = {"team_id": team_id, "key": key, "pool": pool, "actor": actor[:64], "made_at": now, **chosen}
    values["doubts"] = dict(doubts) if doubts else None
    made = connection.execute(
        store.insert(batches).values(values).on_conflict_do_nothing().returning(batches.c.id)
    ).scalar()
    if made is None:
        mine = (batches.c.team_id == team_id, batches.c.key == key)
        return int(connection.execute(select(batches.c.id).where(*mine)).scalar_one()), False
    kept = [_as_row(row) for row in rows] + [_as_row(row.invitee, _word_of(row)) for row in wrong]
    if kept:
        connection.execute(insert(batch_rows), [{"batch_id": made, **row} for row in kept])
    return int(made), True


def _as_row(row: Invitee, result: str | None = None) -> dict[str, Any]:
    names = {"first_name": row.first_name[:100], "last_name": row.last_name[:100]}
    return {"number": row.number, "email": row.email, "language": row.language[:16], "result": result, **names}


def _word_of(row: Misfit) -> str:
    return f"{_MISFIT}{row.problem}:{row.first or ''}"


def find_batch(connection: Connection, batch_id: int, team_id: int | None = None) -> Batch | None:
    """The list with this id, if it is the team's."""
    query = select(batches).where(batches.c.id == batch_id)
    row = connection.execute(query if team_id is None else query.where(batches.c.team_id == team_id)).first()
    if row is None:
        return None
    picked = Item(Kind(row.item_kind), row.item_id) if row.item_kind else None
    doubts = {Doubt(word): told for word, told in (row.doubts or {}).items()}
    moments = (row.made_at, row.begun_at, row.done_at)
    return Batch(row.id, row.team_id, row.key, row.pool, picked, row.actor, *moments, doubts)


def begin_batch(connection: Connection, batch_id: int, actor: str, now: datetime) -> bool:
    """Confirm a list: it is theirs who did, whoever made it. False if it was confirmed before."""
    still = (batches.c.id == batch_id, batches.c.begun_at.is_(None))
    return connection.execute(update(batches).where(*still).values(begun_at=now, actor=actor[:64])).rowcount == 1


def stop_batch(connection: Connection, batch_id: int) -> int:
    """Whoever was not looked at is given nothing, and it is written down why; how many these are."""
    waiting = (batch_rows.c.batch_id == batch_id, batch_rows.c.result.is_(None))
    return connection.execute(update(batch_rows).where(*waiting).values(result=Why.STOPPED.value)).rowcount


def end_batch(connection: Connection, batch_id: int, now: datetime) -> None:
    """Write down that every row has a result."""
    connection.execute(update(batches).where(batches.c.id == batch_id).values(done_at=now))


def waiting_rows(connection: Connection, batch_id: int, most: int) -> list[Invitee]:
    """The next rows without a result, so many, for nobody else to work on before the transaction has ended."""
    b = batch_rows.c
    query = select(b.number, b.email, b.first_name, b.last_name, b.language).where(
        b.batch_id == batch_id, b.result.is_(None)
    )
    rows = connection.execute(query.order_by(b.number).limit(most).with_for_update())
    return [Invitee(*row) for row in rows]


def all_waiting(connection: Connection, batch_id: int) -> list[Invitee]:
    """The rows without a result, only to look at."""
    b = batch_rows.c
    query = select(b.number, b.email, b.first_name, b.last_name, b.language)
    return [Invitee(*row) for row in connection.execute(query.where(b.batch_id == batch_id, b.result.is_(None)))]


def record_results(connection: Connection, batch_id: int, results: Mapping[int, tuple[Why, int | None]]) -> None:
    """Row -> what became of it, and the seat."""
    for number, (why, seat) in sorted(results.items()):
        mine = (batch_rows.c.batch_id == batch_id, batch_rows.c.number == number)
        connection.execute(update(batch_rows).where(*mine).values(result=why.value, seat_id=seat))


def progress(connection: Connection, batch_id: int) -> dict[Why | None, int]:
    """How many rows ended how; None has those that wait. Misfits are not among them."""
    query = select(batch_rows.c.result, func.count()).where(batch_rows.c.batch_id == batch_id, not_(_IS_MISFIT))
    rows = connection.execute(query.group_by(batch_rows.c.result))
    return {Why(result) if result else None: int(number) for result, number in rows}


def misfits(connection: Connection, batch_id: int) -> int:
    """How many rows of a list nobody can be given a seat by."""
    query = select(func.count()).where(batch_rows.c.batch_id == batch_id, _IS_MISFIT)
    return int(connection.execute(query).scalar_one())


def results_of(
    connection: Connection,
    batch_id: int,
    *,
    lacking: bool = False,
    also: Collection[int] = (),
    most: int = 100,
    after: int = 0,
) -> list[Result]:
    """Rows in order, so many, leaving out the first ``after``; ``lacking``: only misfits, those who were looked at and
    given nothing, and those with a number of ``also``.
    """
    b = batch_rows.c
    query = select(b.number, b.email, b.first_name, b.last_name, b.language, b.result, b.seat_id)
    query = query.where(b.batch_id == batch_id).order_by(b.number).limit(most).offset(after)
    if lacking:
        query = query.where(or_(b.result != Why.GIVEN.value, b.number.in_(sorted(also))))
    return [_result(Invitee(*row[:5]), row[5], row[6]) for row in connection.execute(query)]


def _result(invitee: Invitee, word: str | None, seat: int | None) -> Result:
    if word is None or not word.startswith(_MISFIT):
        return Result(invitee, Why(word) if word else None, seat)
    problem, _, first = word.removeprefix(_MISFIT).partition(":")
    return Result(invitee, None, None, Problem(problem), int(first) if first else None)


def batches_of(connection: Connection, team_id: int, most: int = 20) -> list[Batch]:
    """The newest lists of a team that were confirmed."""
    query = select(batches.c.id).where(batches.c.team_id == team_id, batches.c.begun_at.is_not(None))
    ids = connection.execute(query.order_by(batches.c.id.desc()).limit(most)).scalars().all()
    return [found for one in ids if (found := find_batch(connection, one)) is not None]


def forget(connection: Connection, *, made_before: datetime) -> None:
    """Forget lists that were never confirmed, and the addresses on those that were done long ago."""
    old = select(batches.c.id).where(
        batches.c.made_at < made_before, (batches.c.begun_at.is_(None)) | (batches.c.done_at.is_not(None))
    )
    connection.execute(delete(batch_rows).where(batch_rows.c.batch_id.in_(old)))
    connection.execute(delete(batches).where(batches.c.id.in_(old), batches.c.begun_at.is_(None)))
