"""What ``bench.launch`` measures: the bridge with a Totara that answers at once, and the floor beside it.

``python -m bench.launch_server ours`` or ``… floor`` takes the settings of ``bridge serve``. The floor signs and
verifies what ours does, with one durable insert for the token's one use and the session that begins, one look at whose
that session is, and nothing else.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import select

from bench.floor_server import Application, opened
from bridge.commands.run import WebServer
from bridge.domain.lms import Account, Insight
from bridge.keys import new_key
from bridge.settings import Settings, load
from bridge.store.db import Store, utc_now
from bridge.store.models import accounts, persons
from bridge.wiring import Bridge


class AtOnce:
    """As much of Totara's client as signing in asks: of a site with the accounts that the bridge made, which tells
    nothing else of them.
    """

    tenant = ""

    def __init__(self, store: Store) -> None:
        query = select(accounts.c.totara_id, persons.c.key).join_from(persons, accounts)
        with store.read() as connection:
            self._keys = {user: key for user, key in connection.execute(query) if user is not None}

    def find_account(self, user_id: int) -> Account:
        """The account, under a name that the bridge gave it."""
        return Account(user_id, f"learner-{self._keys[user_id]}", f"learner{user_id}@bench.example")

    def insight(self, user_id: int) -> Insight:
        """Nothing, as of most sites."""
        return Insight()


class Ours(WebServer):
    """The bridge's web server, with a Totara that takes no time."""

    def load(self) -> Any:
        """The application."""
        made = Bridge(self._settings)
        # In the place of the one that would be made when it is first asked for.
        vars(made)["totara"] = AtOnce(made.store)
        return made.web()


class Floor(WebServer):
    """The bridge's web server, with the floor in it."""

    def load(self) -> Application:
        """The floor."""
        return _floor(self._settings)


class Sessions:
    """The floor's sessions: one durable insert when one begins, one look when it is come back with.

    On SQLite the inserts queue up, as those of :mod:`bench.floor_server`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._local = threading.local()
        self._lane: AbstractContextManager[object] = threading.Lock() if url.startswith("sqlite") else nullcontext()
        mark = "?" if url.startswith("sqlite") else "%s"
        self._begin = f"INSERT INTO sessions VALUES ({mark}, {mark})"
        self._find = f"SELECT whose FROM sessions WHERE name = {mark}"

    def make_table(self) -> None:
        """Their table."""
        connection = opened(self._url)
        connection.execute("CREATE TABLE sessions (name TEXT PRIMARY KEY, whose TEXT)")
        connection.close()

    def _connection(self) -> Any:
        if not hasattr(self._local, "connection"):
            self._local.connection = opened(self._url)
        return self._local.connection

    def begin(self, name: str, whose: str) -> None:
        """A new session: its name, which was never used before, uses the token up too."""
        connection = self._connection()
        with self._lane:
            connection.execute(self._begin, (name, whose))

    def whose(self, name: str) -> str:
        """Whose session it is."""
        return str(self._connection().execute(self._find, (name,)).fetchone()[0])


def _floor(settings: Settings) -> Application:
    """POST: verify a token, begin a session. GET: sign one for whoever's it is, and show it."""
    secret = settings.sso.shop_secrets[0].get_secret_value()
    key = load_pem_private_key(new_key(utc_now(), utc_now()).private.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    sessions = Sessions(settings.database.url.get_secret_value())

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            token = parse_qs(body.decode())["token"][0]
            claims = jwt.decode(token, secret, ["HS256"], audience=settings.server.public_url)
            sessions.begin(claims["jti"], claims["sub"])
            return _said(start_response, b"noted", ("Set-Cookie", f"session={claims['jti']}"))
        if not (cookie := environ.get("HTTP_COOKIE", "")):
            return _said(start_response, b"here")
        now, whose = int(time.time()), sessions.whose(cookie.partition("=")[2])
        token = jwt.encode({"iat": now, "exp": now + 60, "sub": whose, "nonce": "0" * 32}, key, "RS256")
        return _said(start_response, token.encode())

    return answer


def _said(start_response: Callable[..., Any], words: bytes, *headers: tuple[str, str]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(words))), *headers])
    return [words]


if __name__ == "__main__":
    found = load()
    kinds: dict[str, type[WebServer]] = {"ours": Ours, "floor": Floor}
    kinds[sys.argv[1]](found, found.server.bind, working=False).run()
