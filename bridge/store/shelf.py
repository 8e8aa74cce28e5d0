"""The shelf: what the last reading of both sides found, and what follows from it for each course.

It stays from run to run. A row that was found *settled* (nothing to do) needs no second look for as long as neither
its course, by ``digest``, nor its product, by id and status, has moved; whatever moves one of them takes the mark away
in the same statement. So a run that is cut off anywhere leaves rows that are true or that will be looked at again.

Each run has a name, written down when it begins. Whoever writes to the shelf holds that name against his own, and so
does whoever is about to send what he has read from it: a run that lost its lease and was overtaken goes no further.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, false, func, insert, literal, select, update

from bridge.errors import Unavailable
from bridge.store import ledger
from bridge.store.db import Store
from bridge.store.models import notes, products, shelf
from bridge.store.upsert import Upsert

CHUNK = 100
IDS = 2000  # of bare ids, more go at a time
RUN = "catalogue-run"
ON_SALE = ("publish", "future", "private")
LOOKED_AT = ("read", "denied", "verdict", "wanted", "action", "reason", "fields", "digest", "settled")

_among: Any = bindparam("ids", expanding=True)
_with_products = shelf.outerjoin(products, products.c.course_id == shelf.c.course_id)
# What we remember of our products may be lost while the shelf is not: then nothing is settled.
_settled = and_(shelf.c.settled, products.c.product_id.is_not_distinct_from(shelf.c.product_id))
_standing = (
    select(
        shelf.c.course_id,
        shelf.c.product_id,
        shelf.c.status,
        shelf.c.digest,
        products.c.product_id.label("ours"),
        _settled.label("settled"),
    )
    .select_from(_with_products)
    .where(shelf.c.course_id.in_(_among))
)
_listed = select(shelf.c.course_id, shelf.c.product_id, shelf.c.status).where(shelf.c.course_id.in_(_among))
_products = select(products).where(products.c.course_id.in_(_among))
_planned = select(
    shelf.c.course_id,
    shelf.c.product_id,
    shelf.c.action,
    shelf.c.reason,
    shelf.c.fields,
    shelf.c.wanted,
    products.c.sent,
    products.c.seen,
    products.c.held,
    products.c.image_id,
    products.c.image,
).select_from(_with_products)
_unread = select(shelf.c.course_id).select_from(_with_products).where(shelf.c.read.is_(False))
_missing = select(products.c.course_id, literal(False), literal(False)).where(
    products.c.course_id.not_in(select(shelf.c.course_id))
)
_nothing_left = delete(shelf).where(
    shelf.c.read.is_(False), shelf.c.product_id.is_(None), shelf.c.course_id.not_in(select(products.c.course_id))
)
_run = select(notes.c.value).where(notes.c.name == RUN)


class Shelf:
    """The shelf in the hands of one run.

    Every method that writes raises Unavailable once another run has begun, and so does :meth:`check`. Reading does
    not: what was read is the run's own if a check afterwards, or the writing of what follows from it, goes well.
    """

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self.run = run
        self._put = Upsert(store, shelf, LOOKED_AT)
        self._offer = Upsert(store, shelf, ("product_id", "status"), {"settled": false()})

    @classmethod
    def taken_over(cls, store: Store, now: datetime) -> Shelf:
        """Begin a run: whatever run went on before stops at its next step. Every product of ours has a row then."""
        run = secrets.token_hex(8)
        with store.begin() as connection:
            ledger.write_note(store, connection, RUN, run, now)
            connection.execute(_nothing_left)
            connection.execute(insert(shelf).from_select(["course_id", "read", "denied"], _missing))
        return cls(store, run)

    # --- whose it is -------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises Unavailable when another run has begun."""
        with self._store.read() as connection:
            self._check(connection)

    def _check(self, connection: Connection, *, hold: bool = False) -> None:
        # Held until the commit, so that another run can't begin between our look and our write.
        run = connection.execute(_run.with_for_update(read=True) if hold else _run).scalar()
        if run != self.run:
            raise Unavailable("another run of the catalogue has begun: this one goes no further", system="database")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction of this run."""
        with self._store.begin() as connection:
            self._check(connection, hold=True)
            yield connection

    def _read(self, query: Any, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        with self._store.read() as connection:
            return list(connection.execute(query, parameters))

    def _pieces(self, query: Any, size: int = CHUNK) -> Iterator[list[Any]]:
        return in_pieces(query, self._read, size)

    # --- what the shop shows -----------------------------------------------------------------------------------------

    def offer(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note the product of each course (course_id, product_id, status) where it isn't the one that was known."""
        known = {row.course_id: (row[1], row[2]) for row in self._of(_listed, [row["course_id"] for row in rows])}
        moved = [row for row in rows if known.get(row["course_id"]) != (row["product_id"], row["status"])]
        if moved:
            with self.writing() as connection:
                self._offer(connection, moved)

    def keep_offered(self, seen: Collection[int]) -> None:
        """The shop shows no products but those of these courses."""
        gone = update(shelf).where(shelf.c.course_id == bindparam("key"))
        self._forget(shelf.c.product_id.is_not(None), seen, gone.values(product_id=None, status=None, settled=False))

    # --- what Totara shows -------------------------------------------------------------------------------------------

    def keep_read(self, seen: Collection[int]) -> None:
        """Totara shows no courses but these."""
        gone = update(shelf).where(shelf.c.course_id == bindparam("key"))
        nothing = {"read": False, "denied": False, "verdict": None, "wanted": None, "digest": None, "settled": False}
        self._forget(shelf.c.read, seen, gone.values(**nothing))

    def _forget(self, condition: Any, seen: Collection[int], statement: Any) -> None:
        for rows in self._pieces(select(shelf.c.course_id).where(condition), IDS):
            gone = [{"key": row.course_id} for row in rows if row.course_id not in seen]
            if gone:
                with self.writing() as connection:
                    connection.execute(statement, gone)

    # --- what follows ------------------------------------------------------------------------------------------------

    def _of(self, query: Any, course_ids: Sequence[int]) -> list[Any]:
        return self._read(query, {"ids": course_ids}) if course_ids else []

    def standing(self, course_ids: Sequence[int]) -> dict[int, Any]:
        """What is known of these courses, if anything.

        ``product_id`` and ``status`` as the shop shows them, ``ours`` the product that we remember, ``digest`` of when
        it was last looked at, and whether it was found ``settled`` then.
        """
        return {row.course_id: row for row in self._of(_standing, course_ids)}

    def products(self, course_ids: Sequence[int]) -> dict[int, Any]:
        """What we remember of the products of these courses: rows of the table ``products``."""
        return {row.course_id: row for row in self._of(_products, course_ids)}

    def put(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """Write down, by course, what was found and what follows: ``course_id``, and all of LOOKED_AT."""
        if rows:
            with self.writing() as connection:
                self._put(connection, list(rows.values()))

    def unread(self, *, everything: bool) -> Iterator[list[int]]:
        """The courses that Totara did not show and that are not settled, or all of them, a hundred at a time."""
        for rows in self._pieces(_unread if everything else _unread.where(~_settled)):
            yield [row.course_id for row in rows]

    def planned(self, *actions: str) -> Iterator[list[Any]]:
        """What the plan says, with what we remember of the products: everything with one of these actions."""
        return self._pieces(_planned.where(shelf.c.action.in_(actions)))

    def numbers(self) -> tuple[dict[str, int], int]:
        """How many courses there are by action, and how many products of ours are on sale."""
        by_action = select(shelf.c.action, func.count()).where(shelf.c.action != "").group_by(shelf.c.action)
        live = (
            select(func.count())
            .select_from(shelf.join(products, products.c.course_id == shelf.c.course_id))
            .where(shelf.c.status.in_(ON_SALE))
        )
        with self._store.read() as connection:
            counts = {row[0]: int(row[1]) for row in connection.execute(by_action)}
            on_sale = int(connection.execute(live).scalar() or 0)
        return counts, on_sale

    def strangers(self, connection: Connection) -> int:
        """How many products are on sale under our SKUs that are not ours, and give no course that may be sold."""
        query = select(func.count()).where(
            shelf.c.action == "keep",
            shelf.c.wanted.is_(None),
            shelf.c.course_id.not_in(select(products.c.course_id)),
        )
        return int(connection.execute(query).scalar() or 0)


def in_pieces(query: Any, read: Callable[..., list[Any]], size: int = CHUNK) -> Iterator[list[Any]]:
    """A query's rows in the order of their course ids, some at a time, each read when its turn comes."""
    later = query.where(shelf.c.course_id > bindparam("last")).order_by(shelf.c.course_id).limit(size)
    last = 0
    while rows := read(later, {"last": last}):
        yield rows
        last = rows[-1].course_id


def plan_that_lies(store: Store) -> Iterator[Any]:
    """Everything on the shelf that has something to say, whosever run it is from."""

    def read(query: Any, parameters: Mapping[str, Any]) -> list[Any]:
        with store.read() as connection:
            return list(connection.execute(query, parameters))

    for rows in in_pieces(_planned.where(shelf.c.action != ""), read):
        yield from rows


def unsettle(connection: Connection, course_id: int) -> None:
    """Have the next run look at a course again, in the caller's transaction."""
    connection.execute(update(shelf).where(shelf.c.course_id == course_id).values(settled=False))
