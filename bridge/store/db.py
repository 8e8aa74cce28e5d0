"""The database: one engine, short transactions, and SQLite made to behave like a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from bridge.errors import Unavailable
from bridge.store.shared import Shared

R = TypeVar("R")


def utc_now() -> datetime:
    """The moment it is."""
    return datetime.now(UTC)


class Bell:
    """Wakes workers of this process. One ring wakes one; whoever then finds work rings for the next."""

    def __init__(self) -> None:
        self._rung = False
        self._condition = threading.Condition()

    def ring(self) -> None:
        """There may be work."""
        with self._condition:
            self._rung = True
            self._condition.notify()

    def wait(self, seconds: float) -> None:
        """Until it rings, or for that long."""
        with self._condition:
            if not self._rung:
                self._condition.wait(seconds)
            self._rung = False


class Store:
    """A database, and a bell that rings in this process after something has been marked due.

    ``begin()`` gives a connection in one transaction; keep it short, and never call anybody inside.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            self.engine = create_engine(
                url,
                connect_args={"timeout": 30, "check_same_thread": False},
                pool_size=40,
                hide_parameters=True,
            )
            event.listen(self.engine, "connect", _sqlite_connect)
            event.listen(self.engine, "begin", _sqlite_begin)
        else:
            self.engine = create_engine(url, pool_size=20, max_overflow=20, hide_parameters=True)
        # A single statement needs no transaction, and a server would have to be told of its beginning and its end.
        without = {"reads_only": True} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._direct = self.engine.execution_options(**without)
        self.bell = Bell()
        # SQLite's busy handler sleeps and so starves writers; within a process they queue up here instead.
        self._lane = threading.Lock() if self.is_sqlite else None
        self._shared = Shared(self.begin)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that commits on leaving. Raises Unavailable when the database can't be reached."""
        with translated(), self._in_lane(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def one_statement(self) -> Iterator[Connection]:
        """A connection for a single statement, which is durable when it has returned. Raises Unavailable.

        PostgreSQL needs no BEGIN and no COMMIT for that, and each would be a wait for the server.
        """
        if self.is_sqlite:
            with self.begin() as connection:
                yield connection
        else:
            with translated(), self._direct.connect() as connection:
                yield connection

    def together(self, write: Callable[[Connection], R]) -> R:
        """What a write returned that is a single statement on PostgreSQL, durable by now. Raises Unavailable.

        On SQLite it may be several statements: all of it commits, together with those of others who come meanwhile.
        """
        if self.is_sqlite:
            return self._shared(write)
        with self.one_statement() as connection:
            return write(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read from; each statement reads what is there when it runs.

        Raises Unavailable when the database can't be reached.
        """
        with translated(), self._direct.connect() as connection:
            yield connection

    @contextmanager
    def _in_lane(self) -> Iterator[None]:
        if self._lane is None:
            yield
        else:
            with self._lane:
                yield

    def insert(self, table: Any) -> Any:
        """An INSERT that knows ON CONFLICT, in this database's dialect."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


@contextmanager
def translated() -> Iterator[None]:
    """Turn "the database is not there" into Unavailable; what the database refuses stays as it is."""
    try:
        yield
    except (OperationalError, ProgrammingError) as err:
        if "no such table" in str(err.orig) or "UndefinedTable" in type(err.orig).__name__:
            raise Unavailable(
                "the database has no tables of this version: run `bridge migrate`", system="database"
            ) from err
        if isinstance(err, ProgrammingError):
            raise
        raise Unavailable("the database can't be reached, or is locked", system="database") from err
    except DBAPIError as err:
        if err.connection_invalidated:
            raise Unavailable("the connection to the database broke", system="database") from err
        raise


def _sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    connection.create_function("fold", 1, _fold, deterministic=True)


def _fold(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _sqlite_begin(connection: Connection) -> None:
    # A transaction that reads first and writes later can't wait for another writer: take the lock at once.
    if not connection.get_execution_options().get("reads_only"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


# --- migrations ------------------------------------------------------------------------------------------------


def _alembic(store: Store) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = store.engine
    return config


def migrate(store: Store) -> None:
    """Bring the tables to this version's shape. May be run again, and by several nodes at once."""
    with translated():
        command.upgrade(_alembic(store), "head")


def schema_is_current(store: Store) -> bool:
    """Whether the tables have this version's shape."""
    with translated(), store.engine.connect() as connection:
        now = MigrationContext.configure(connection).get_current_revision()
    return now == ScriptDirectory.from_config(_alembic(store)).get_current_head()
