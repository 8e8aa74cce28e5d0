"""One row, or many at once, put in or brought up to date by one statement that is built once."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, Text, bindparam, cast, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import JSON

from bridge.store.db import Store


def upsert(
    store: Store,
    connection: Connection,
    table: Table,
    key: Sequence[str],
    row: Mapping[str, Any],
    keep: Collection[str] = (),
) -> None:
    """Insert a row or bring it up to date; columns in ``keep`` stay as they are once they are set."""
    connection.execute(upserting(store.is_sqlite, table, tuple(key), tuple(row), frozenset(keep)), dict(row))


@lru_cache(maxsize=256)
def upserting(
    is_sqlite: bool, table: Table, key: tuple[str, ...], columns: tuple[str, ...], keep: frozenset[str]
) -> Any:
    """The statement, built once for each set of columns: building costs more than running."""
    insertion = (sqlite if is_sqlite else postgresql).insert(table).values({name: bindparam(name) for name in columns})
    set_ = {
        name: func.coalesce(table.c[name], insertion.excluded[name]) if name in keep else insertion.excluded[name]
        for name in columns
        if name not in key
    }
    return insertion.on_conflict_do_update(index_elements=[table.c[name] for name in key], set_=set_)


class Upsert:
    """Rows of a table by its primary key: new ones are put in, of those that are there the columns ``names`` are set.

    ``also`` are columns set to what is the same for all rows, on those that are there. No two rows of one call may
    have the same key. SQLite repeats the statement inside of its driver; PostgreSQL would be sent each row by itself,
    and is handed all of them as one JSON document instead.
    """

    def __init__(
        self, store: Store, table: Table, names: Collection[str], also: Mapping[str, Any] | None = None
    ) -> None:
        keys = [column.name for column in table.primary_key]
        columns = [table.c[name] for name in (*keys, *sorted(set(names) - set(keys)))]
        self._one_document = not store.is_sqlite
        statement = store.insert(table)
        if self._one_document:
            statement = statement.from_select([column.name for column in columns], _rows_of_document(columns))
        else:
            statement = statement.values({column.name: bindparam(column.name) for column in columns})
        self._statement = statement.on_conflict_do_update(
            index_elements=keys,
            set_={**{column.name: statement.excluded[column.name] for column in columns[len(keys) :]}, **(also or {})},
        )

    def __call__(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Put them in, in the caller's transaction. Each row holds the key and all of ``names``."""
        if not rows:
            return
        parameters: Any = {"document": json.dumps(rows)} if self._one_document else rows
        connection.execute(self._statement, parameters)


def _rows_of_document(columns: Sequence[Any]) -> Any:
    document = cast(bindparam("document", type_=Text()), postgresql.JSON())
    shaped = func.json_to_recordset(document).table_valued(*(_shape(column) for column in columns), name="given")
    given = shaped.render_derived(with_types=True)
    return select(*(given.c[column.name] for column in columns))


def _shape(column: Any) -> Any:
    from sqlalchemy import column as named

    return named(column.name, postgresql.JSON() if isinstance(column.type, JSON) else column.type)
