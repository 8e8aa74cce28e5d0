"""The floor of accepting: a bare WSGI application doing one durable insert, under the bridge's own web server.

``python -m bench.floor_server`` takes the settings of ``bridge serve``.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psycopg

from bridge.commands.run import WebServer
from bridge.settings import load

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def opened(url: str) -> Any:
    """A connection that commits each statement by itself, and durably."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection
    return psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), autocommit=True)


def make_table(url: str) -> None:
    """The table of the floor."""
    connection = opened(url)
    kind = "INTEGER" if url.startswith("sqlite") else "BIGSERIAL"
    connection.execute(f"CREATE TABLE accepted (id {kind} PRIMARY KEY, body TEXT)")
    connection.close()


def application(url: str) -> Application:
    """Read the body, insert its beginning, answer.

    On SQLite the inserts queue up: left to themselves they would sleep, and this would be no floor.
    """
    local = threading.local()
    lane: AbstractContextManager[object] = threading.Lock() if url.startswith("sqlite") else nullcontext()
    mark = "?" if url.startswith("sqlite") else "%s"
    insert = f"INSERT INTO accepted (body) VALUES ({mark})"

    def accept(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            if not hasattr(local, "connection"):
                local.connection = opened(url)
            with lane:
                local.connection.execute(insert, (body[:20].decode(),))
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"noted"]

    return accept


class FloorServer(WebServer):
    """The bridge's web server with the floor in it."""

    def load(self) -> Application:
        """The floor."""
        return application(self._settings.database.url.get_secret_value())


if __name__ == "__main__":
    settings = load()
    FloorServer(settings, settings.server.bind, working=False).run()
