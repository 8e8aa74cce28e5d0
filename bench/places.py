"""Databases to measure on: empty, with this version's tables, durable as in production, and gone afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bridge.store.db import Store, migrate
from tests.postgres import Cluster, find_binaries

SQLITE, POSTGRESQL = "sqlite", "postgresql"


def store_at(url: str) -> Store:
    """The database at an address as settings write it."""
    return Store(url.replace("postgresql://", "postgresql+psycopg://"))


class Places:
    """Makes databases of both kinds. The PostgreSQL server is started when it is first needed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bridge-bench-")
        self.folder = Path(self._folder.name)
        self._cluster: Cluster | None = None
        self._made = 0

    def kinds(self) -> Sequence[str]:
        """The kinds of databases that this machine has."""
        return (SQLITE, POSTGRESQL) if find_binaries() else (SQLITE,)

    def new(self, kind: str, *, migrated: bool = True) -> str:
        """The address of a new database."""
        self._made += 1
        if kind == SQLITE:
            url = f"sqlite:///{self.folder / f'bridge{self._made}.sqlite3'}"
        else:
            if self._cluster is None:
                binaries = find_binaries()
                if binaries is None:
                    raise RuntimeError("no PostgreSQL server on this machine")
                self._cluster = Cluster(binaries)
            url = self._cluster.create(f"bench{self._made}")
        if migrated:
            store = store_at(url)
            migrate(store)
            store.close()
        return url

    def close(self) -> None:
        """Leave nothing behind."""
        if self._cluster:
            self._cluster.stop()
        self._folder.cleanup()


@contextmanager
def places() -> Iterator[Places]:
    """Databases for the length of a block."""
    made = Places()
    try:
        yield made
    finally:
        made.close()
