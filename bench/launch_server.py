"""What ``bench.launch`` measures: the bridge with a Totara that answers at once, and the floor beside it.

``python -m bench.launch_server ours`` or ``… floor`` takes the settings of ``bridge serve``. The floor signs and
verifies what ours does, with one durable insert for the token's one use, and nothing else.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import select

from bench.floor_server import Application, application
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


def _floor(settings: Settings) -> Application:
    """POST: verify a token, insert. GET: sign one, and show it."""
    secret = settings.sso.shop_secrets[0].get_secret_value()
    key = load_pem_private_key(new_key(utc_now(), utc_now()).private.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    keep = application(settings.database.url.get_secret_value())

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            jwt.decode(parse_qs(body.decode())["token"][0], secret, ["HS256"], audience=settings.server.public_url)
            return keep(environ | {"wsgi.input": _Read(body)}, start_response)
        now = int(time.time())
        token = jwt.encode({"iat": now, "exp": now + 60, "sub": "7", "nonce": "0" * 32}, key, "RS256")
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(token)))])
        return [token.encode()]

    return answer


class _Read:
    """A body that was read already."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, _size: int) -> bytes:
        """All of it."""
        return self._body


if __name__ == "__main__":
    found = load()
    kinds: dict[str, type[WebServer]] = {"ours": Ours, "floor": Floor}
    kinds[sys.argv[1]](found, found.server.bind, working=False).run()
