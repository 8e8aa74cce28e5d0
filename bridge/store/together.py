"""Writes that follow a first one, if that did something: built once, and for PostgreSQL a single statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, Table, bindparam, exists, select, union_all
from sqlalchemy import delete as sql_delete

from bridge.store.db import Store

#: Makes the statements of a part: those for PostgreSQL, which look at what the first has returned, or for None those
#: that are executed one by one.
Part = Callable[[CTE | None], Sequence[Any]]


class Together:
    """A statement that returns a row if it does something, and what is then written with it.

    PostgreSQL is sent all of it at once: it commits by itself, and is one wait for the server instead of one for each
    statement, for BEGIN and for COMMIT. None of them sees what the others write. SQLite, which waits for nobody, is
    given one after the other, in a transaction.
    """

    def __init__(self, store: Store, first: Any, *parts: Part) -> None:
        if store.is_sqlite:
            self._statements = [first, *(one for part in parts for one in part(None))]
        else:
            given = first.cte("given")
            others = [one.cte(f"then_{n}") for n, one in enumerate(one for part in parts for one in part(given))]
            self._statements = [select(given).add_cte(*others)]

    def __call__(self, connection: Connection, values: Mapping[str, Any]) -> bool:
        """Whether the first did something, and so all of it was written. To be run by :meth:`Store.together`, or in a
        transaction.
        """
        first, *others = self._statements
        if connection.execute(first, values).first() is None:
            return False
        for statement in others:
            connection.execute(statement, values)
        return True


def put(
    store: Store,
    table: Table,
    columns: Sequence[str],
    *,
    of: Sequence[str],
    made: Mapping[str, ColumnElement[Any]] | None = None,
    finish: Callable[[Any], Any] | None = None,
) -> Part:
    """Rows put into a table, one for each name in ``of``: the values of its columns are called ``name_column``.

    ``made`` are columns that are worked out, ``finish`` adds to the INSERT what follows it.
    """

    def row(name: str) -> dict[str, Any]:
        given = {column: bindparam(f"{name}_{column}", type_=table.c[column].type) for column in columns}
        return {**given, **(made or {})}

    def part(given: CTE | None) -> Sequence[Any]:
        insertion = store.insert(table)
        if given is None:
            found = [insertion.values(row(name)) for name in of]
        else:
            rows = [select(*row(name).values()).select_from(given) for name in of]
            found = [insertion.from_select([*row("")], rows[0] if len(rows) == 1 else union_all(*rows))]
        return [finish(one) for one in found] if finish else found

    return part


def named(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a row as :func:`put` calls them."""
    return {f"{name}_{column}": value for column, value in row.items()}


def gone(table: Table, which: ColumnElement[bool]) -> Part:
    """Rows taken out of a table."""

    def part(given: CTE | None) -> Sequence[Any]:
        removal = sql_delete(table).where(which)
        return [removal if given is None else removal.where(exists(select(given)))]

    return part
