"""Letters in lower case, the same on both databases and whatever language a server was set up for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction


class folded(GenericFunction[str]):
    """A text in lower case, for comparing and ordering it: by code points, as SQLite does."""

    type = String()
    inherit_cache = True
    name = "folded"


@compiles(folded, "sqlite")
def _on_sqlite(element: folded, compiler: SQLCompiler, **how: Any) -> str:
    # SQLite's own lower() knows ASCII only; `fold` is given to every connection by bridge.store.db.
    return f"fold({compiler.process(element.clauses, **how)})"


@compiles(folded, "postgresql")
def _on_postgresql(element: folded, compiler: SQLCompiler, **how: Any) -> str:
    # A server of the locale C knows ASCII only as well. ICU is part of PostgreSQL's packages everywhere.
    # https://www.postgresql.org/docs/current/collation.html#ICU-COLLATIONS
    return f'(lower(({compiler.process(element.clauses, **how)}) COLLATE "und-x-icu") COLLATE "C")'
