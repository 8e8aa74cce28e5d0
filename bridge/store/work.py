"""The work engine: one row for each thing owed, claimed under a lease, settled, put off, or parked for a person.

A row is not a message. Marking a thing due twice is marking it due once; what is to be done is found out by looking at
the thing when its turn comes. Everything else follows from the row:

- *order per key and single execution*: a row has one lease, and only its owner can settle it; what a job writes down
  commits together with its settlement, so that one which has lost its lease writes nothing;
- *nothing lost*: marking commits with whatever made it necessary, and a lease that its owner can't renew runs out;
- *nothing missed while working*: ``hints`` counts markings, and settling leaves the row due if it moved meanwhile.

Clocks of several nodes should agree within a few seconds (NTP): a lease is compared with the node's own clock.
"""

from __future__ import annotations

import itertools
import os
import random
import secrets
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Update, bindparam, case, func, or_, select, text, tuple_, update
from sqlalchemy import delete as sql_delete

from bridge.errors import Unavailable
from bridge.store.db import Store, utc_now
from bridge.store.models import Moment
from bridge.store.models import work as t
from bridge.store.together import Part, put

CHANNEL = "bridge_work"  # what PostgreSQL's LISTEN/NOTIFY calls it


@dataclass(frozen=True, slots=True)
class Claim:
    """A thing this process has taken on, until its lease runs out. ``hints`` is what it knew when it began."""

    kind: str
    key: str
    hints: int
    attempts: int
    lease: str = ""  # a name for this one lease: a thread may lose it to another of the same process


@dataclass(frozen=True, slots=True)
class Parked:
    """A thing that needs a person. ``due`` tells that it is being tried again."""

    kind: str
    key: str
    reason: str
    since: datetime
    attempts: int
    due: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """What becomes of a claim: settled, put off, parked, or given back. Made by :class:`Work`, for :meth:`Work.end`."""

    statement: Update
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """``kept`` is False when the lease had been lost to another; ``following`` is the thing taken on after it."""

    kept: bool
    following: Claim | None = None


def _ending(**values: Any) -> Update:
    """An UPDATE that only the holder of the lease can make. Built once: building costs more than running."""
    mine = (t.c.kind == bindparam("of_kind"), t.c.key == bindparam("of_key"), t.c.lease_owner == bindparam("lease"))
    return update(t).where(*mine).values(lease_until=None, lease_owner=None, **values)


_NOW, _AGAIN = bindparam("now", type_=Moment), bindparam("again", type_=Moment)
_UNMOVED = t.c.hints == bindparam("known_hints")
_SETTLED = _ending(
    due_at=case((_UNMOVED, _AGAIN), else_=t.c.due_at),
    first_due_at=case((_UNMOVED, _AGAIN), else_=_NOW),
    settled_at=_NOW,
    attempts=0,
    parked_at=None,
    reason=None,
)
# A hint that came meanwhile does not jump the queue: whoever could not answer still can't.
_LATER = _ending(due_at=_AGAIN, attempts=bindparam("tried"), reason=bindparam("why"))
_PARKED = _ending(
    due_at=case((_UNMOVED, _AGAIN), else_=t.c.due_at),
    first_due_at=case((_UNMOVED, _AGAIN), else_=_NOW),
    attempts=bindparam("tried"),
    parked_at=func.coalesce(t.c.parked_at, _NOW),
    reason=bindparam("why"),
)
_RELEASED = _ending()

_FREE = or_(t.c.lease_until.is_(None), t.c.lease_until < _NOW)
_DUE = (
    select(t.c.kind, t.c.key)
    .where(t.c.due_at <= _NOW, _FREE, t.c.kind.in_(bindparam("kinds", expanding=True)))
    .order_by(t.c.due_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_TAKEN = (t.c.kind, t.c.key, t.c.hints, t.c.attempts, t.c.lease_owner)
_LEASED: dict[str, Any] = {"lease_until": bindparam("until", type_=Moment), "lease_owner": bindparam("lease")}
# A common table expression that locks is run once; a subquery might be run, and lock, more often.
_FOUND = _DUE.cte("one")
_CLAIM = update(t).where(t.c.kind == _FOUND.c.kind, t.c.key == _FOUND.c.key, _FREE).values(_LEASED).returning(*_TAKEN)
_TAKE = (
    update(t)
    .where(t.c.kind == bindparam("of_kind"), t.c.key == bindparam("of_key"), _FREE)
    .values(_LEASED)
    .returning(*_TAKEN)
)


def _marking(insert: Any) -> Any:
    """An INSERT of what is owed, which is owed once however often it is marked."""
    later = [or_(column.is_(None), column > insert.excluded[column.name]) for column in (t.c.due_at, t.c.first_due_at)]
    return insert.on_conflict_do_update(
        index_elements=[t.c.kind, t.c.key],
        set_={
            "hints": t.c.hints + 1,
            "due_at": case((later[0], insert.excluded.due_at), else_=t.c.due_at),
            # What was to be looked at later is owed since now.
            "first_due_at": case((later[1], insert.excluded.first_due_at), else_=t.c.first_due_at),
        },
    )


def owner_name() -> str:
    """A name for this process that no other has, also not the next one on this host with the same process id."""
    return f"{socket.gethostname()[:30]}:{os.getpid()}:{secrets.token_hex(4)}"


class Work:
    """What is owed. ``lease``, ``backoff`` and ``cap`` are in seconds."""

    def __init__(
        self,
        store: Store,
        *,
        lease: float = 60.0,
        backoff: float = 2.0,
        cap: float = 300.0,
        now: Callable[[], datetime] = utc_now,
        owner: str = "",
    ) -> None:
        self.store = store
        self.owner = owner or owner_name()
        self.lease = lease
        self._backoff = backoff
        self._cap = cap
        self._now = now
        self._leases = itertools.count(1)
        insert = store.insert(t).values(
            kind=bindparam("kind"),
            key=bindparam("key"),
            due_at=bindparam("at"),
            first_due_at=bindparam("at"),
            hints=1,
        )
        self._mark = _marking(insert)
        self._mark_and_tell = self._telling(insert)

    def _telling(self, insert: Any) -> Any:
        """One statement also for many rows, and one wait for the server: the word to the others goes with it."""
        return _marking(insert) if self.store.is_sqlite else _marking(insert).returning(func.pg_notify(CHANNEL, ""))

    # --- marking -------------------------------------------------------------------------------------------

    def mark(self, connection: Connection, kind: str, keys: Iterable[object], at: datetime | None = None) -> None:
        """Owe something, in the caller's transaction. Call ``store.bell.ring()`` after it has committed."""
        self._upsert(connection, [(kind, str(key)) for key in keys], at)

    def _upsert(self, connection: Connection, things: Iterable[tuple[str, str]], at: datetime | None) -> None:
        moment = at or self._now()
        # In one order everywhere, so that two writers never wait for each other's rows in a circle.
        rows = [{"kind": kind, "key": key, "at": moment} for kind, key in sorted(set(things))]
        if rows:
            connection.execute(self._mark_and_tell if at is None else self._mark, rows)

    def marking(self, of: Sequence[str]) -> Part:
        """Owes things together with something else: the values of :meth:`owed`, for each. Ring the bell afterwards.

        Of several, those come first whose kind and key do: two writers never wait for each other's rows in a circle.
        """
        return put(self.store, t, ("kind", "key", "due_at", "first_due_at", "hints"), of=of, finish=self._telling)

    def owed(self, kind: str, key: object) -> dict[str, Any]:
        """The values of a thing that is owed now."""
        now = self._now()
        return {"kind": kind, "key": str(key), "due_at": now, "first_due_at": now, "hints": 1}

    def mark_due(self, kind: str, *keys: object, at: datetime | None = None) -> None:
        """Owe something, durably on return. A thing already due stays due at the earlier moment."""
        self.mark_many([(kind, str(key)) for key in keys], at=at)

    def mark_many(self, things: Sequence[tuple[str, str]], at: datetime | None = None) -> None:
        """The same for things of several kinds. If it raises Unavailable, a part of very many may be marked."""
        with self.store.one_statement() as connection:
            self._upsert(connection, things, at)
        self.store.bell.ring()

    def mark_recurring(self, kind: str, key: str, every: float) -> None:
        """Owe a recurring thing, unless it is owed already or was settled within the last ``every`` seconds.

        Any number of nodes may call this on clocks of their own: the thing still runs once in a period.
        """
        now = self._now()
        again = now - timedelta(seconds=every * 0.9)
        insert = self.store.insert(t).values(kind=kind, key=key, due_at=now, first_due_at=now, hints=1)
        with self.store.begin() as connection:
            connection.execute(
                insert.on_conflict_do_update(
                    index_elements=[t.c.kind, t.c.key],
                    set_={"hints": t.c.hints + 1, "due_at": now, "first_due_at": now},
                    where=t.c.due_at.is_(None) & or_(t.c.settled_at.is_(None), t.c.settled_at <= again),
                )
            )
            if not self.store.is_sqlite:
                connection.execute(text(f"NOTIFY {CHANNEL}"))
        self.store.bell.ring()

    # --- doing ---------------------------------------------------------------------------------------------

    def claim(self, kinds: Collection[str]) -> Claim | None:
        """Take on the thing that is due the longest, or None. One conditional UPDATE: two can't take the same."""
        if not kinds:
            return None
        if self.store.is_sqlite:
            with self.store.read() as connection:  # without taking the write lock for nothing
                if connection.execute(_DUE, {"now": self._now(), "kinds": sorted(kinds)}).first() is None:
                    return None
        with self.store.begin() as connection:
            return self._claim(connection, kinds)

    def _claim(self, connection: Connection, kinds: Collection[str]) -> Claim | None:
        row = connection.execute(_CLAIM, {"kinds": sorted(kinds), **self._lease()}).first()
        return None if row is None else Claim(*row)

    def _lease(self) -> dict[str, Any]:
        now = self._now()
        return {"now": now, "until": now + timedelta(seconds=self.lease), "lease": self._lease_name()}

    def _lease_name(self) -> str:
        return f"{self.owner}:{next(self._leases)}"

    def take(self, kind: str, key: str) -> Claim | None:
        """Take on one particular thing, due or not. None while another holds it."""
        insert = self.store.insert(t).values(kind=kind, key=key, hints=0)
        with self.store.begin() as connection:
            connection.execute(insert.on_conflict_do_nothing())
            row = connection.execute(_TAKE, {"of_kind": kind, "of_key": key, **self._lease()}).first()
        return None if row is None else Claim(*row)

    @contextmanager
    def keeping(self, claim: Claim) -> Iterator[None]:
        """Renew one lease for as long as the block takes."""
        done = threading.Event()

        def keep() -> None:
            while not done.wait(self.lease / 3):
                with suppress(Unavailable):
                    self.renew([claim])

        keeper = threading.Thread(target=keep, daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()

    def end(
        self,
        claim: Claim,
        ending: Ending,
        *,
        write: Callable[[Connection], object] | None = None,
        then: Collection[str] = (),
    ) -> Ended:
        """End a claim, write down what came of it, and take on the next thing of the kinds ``then``, all or nothing.

        Where the lease has been lost to another, nothing is written: what was read under it may be old.
        """
        with self.store.begin() as connection:
            kept = self.end_within(connection, claim, ending)
            if kept and write is not None:
                write(connection)
            following = self._claim(connection, then) if then else None
        return Ended(kept, following)

    def end_within(self, connection: Connection, claim: Claim, ending: Ending) -> bool:
        """End a claim in the caller's transaction. False if the lease had been lost to another."""
        mine = {"of_kind": claim.kind, "of_key": claim.key, "lease": claim.lease}
        return connection.execute(ending.statement, {**mine, **ending.values}).rowcount == 1

    def settled(self, claim: Claim, again_at: datetime | None = None) -> Ending:
        """Nothing is owed any more, or only from ``again_at`` on."""
        return Ending(_SETTLED, {"known_hints": claim.hints, "again": again_at, "now": self._now()})

    def put_off(self, claim: Claim, reason: str, *, wait: float | None = None, counts: bool = True) -> Ending:
        """Try again, however long it takes: after ``wait`` seconds, or after a growing, jittered, capped time."""
        attempts = claim.attempts + counts
        delay = self._cap if attempts > 30 else min(self._cap, self._backoff * 2 ** max(attempts - 1, 0))
        seconds = max(wait or 0.0, delay * random.uniform(0.5, 1.0))  # noqa: S311
        return Ending(_LATER, {"again": self._now() + timedelta(seconds=seconds), "tried": attempts, "why": reason})

    def parked_for(self, claim: Claim, reason: str, again_at: datetime | None = None) -> Ending:
        """A person has to look. A hint that came meanwhile, or comes later, has it tried again all the same."""
        values = {"known_hints": claim.hints, "again": again_at, "now": self._now()}
        return Ending(_PARKED, {**values, "tried": claim.attempts + 1, "why": reason})

    def settle(self, claim: Claim, again_at: datetime | None = None) -> bool:
        """End a claim as :meth:`settled`. False if the lease had been lost to another."""
        return self.end(claim, self.settled(claim, again_at)).kept

    def later(self, claim: Claim, reason: str, *, wait: float | None = None, counts: bool = True) -> bool:
        """End a claim as :meth:`put_off`. False if the lease had been lost to another."""
        return self.end(claim, self.put_off(claim, reason, wait=wait, counts=counts)).kept

    def park(self, claim: Claim, reason: str) -> bool:
        """End a claim as :meth:`parked_for`. False if the lease had been lost to another."""
        return self.end(claim, self.parked_for(claim, reason)).kept

    def release(self, claim: Claim) -> bool:
        """Give it back undone, for another to take at once. False if the lease had been lost already."""
        return self.end(claim, Ending(_RELEASED)).kept

    def renew(self, claims: Collection[Claim]) -> None:
        """Keep what is being worked on."""
        if not claims:
            return
        keys = [(claim.kind, claim.key, claim.lease) for claim in claims]
        with self.store.begin() as connection:
            connection.execute(
                update(t)
                .where(tuple_(t.c.kind, t.c.key, t.c.lease_owner).in_(keys))
                .values(lease_until=self._now() + timedelta(seconds=self.lease))
            )

    # --- looking -------------------------------------------------------------------------------------------

    def parked(self) -> list[Parked]:
        """Everything that needs a person, the oldest first."""
        query = select(t.c.kind, t.c.key, t.c.reason, t.c.parked_at, t.c.attempts, t.c.due_at.is_not(None))
        with self.store.read() as connection:
            rows = connection.execute(query.where(t.c.parked_at.is_not(None)).order_by(t.c.parked_at))
            return [Parked(*row) for row in rows]

    def lately(self, kind: str, since: datetime) -> tuple[int, list[str]]:
        """Of this kind, since then: how many things were settled, and why others were parked and still are."""
        mine = t.c.kind == kind
        settled = select(func.count()).where(mine, t.c.settled_at >= since, t.c.parked_at.is_(None))
        still = or_(t.c.due_at.is_(None), t.c.due_at > self._now())
        parked = select(t.c.reason).where(mine, t.c.parked_at >= since, still).order_by(t.c.parked_at)
        with self.store.read() as connection:
            reasons = [str(reason or "") for (reason,) in connection.execute(parked)]
            return int(connection.execute(settled).scalar() or 0), reasons

    def waiting(self, kinds: Collection[str]) -> bool:
        """Whether something of these kinds is due that has not been looked at since it became so."""
        unseen = or_(t.c.attempts == 0, t.c.parked_at.is_not(None))
        query = select(t.c.key).where(t.c.kind.in_(sorted(kinds)), t.c.due_at <= self._now(), unseen).limit(1)
        with self.store.read() as connection:
            return connection.execute(query).first() is not None

    def find(self, kind: str, key: str) -> Row[Any] | None:
        """The row of one thing, as it is."""
        with self.store.read() as connection:
            return connection.execute(select(t).where(t.c.kind == kind, t.c.key == key)).first()

    def is_due(self, connection: Connection, kind: str, key: str = "") -> bool:
        """Whether this thing, or any of its kind, is due now and waits for no person."""
        query = select(t.c.kind).where(t.c.kind == kind, t.c.due_at <= self._now(), t.c.parked_at.is_(None))
        query = query.where(t.c.key == key) if key else query
        return connection.execute(query.limit(1)).first() is not None

    def drop(self, kind: str, key: str) -> bool:
        """Owe it no more, without doing it. False if there was nothing."""
        with self.store.begin() as connection:
            done = connection.execute(sql_delete(t).where(t.c.kind == kind, t.c.key == key, t.c.lease_owner.is_(None)))
        return done.rowcount == 1

    def counts(self) -> dict[str, dict[str, Any]]:
        """By kind: how many are due, held, parked, and since when the oldest has been owed (None: none)."""
        now = self._now()
        query = select(
            t.c.kind,
            func.sum(case((t.c.due_at <= now, 1), else_=0)),
            func.sum(case((t.c.lease_until >= now, 1), else_=0)),
            func.sum(case((t.c.parked_at.is_not(None), 1), else_=0)),
            func.min(case((t.c.due_at <= now, t.c.first_due_at))),
        ).group_by(t.c.kind)
        with self.store.read() as connection:
            return {
                kind: {
                    "due": int(due or 0),
                    "held": int(held or 0),
                    "parked": int(parked or 0),
                    "oldest": oldest,
                }
                for kind, due, held, parked, oldest in connection.execute(query.order_by(t.c.kind))
            }
