"""The two ways into a Totara site: its External GraphQL API by OAuth 2, and its web services by a token.

No answer leaves this module but as :mod:`bridge.totara_answers` judges it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

from bridge.errors import Refused, Unauthorized, Unavailable, Unsupported
from bridge.http import Wire
from bridge.totara_answers import SYSTEM, judge_gql, judge_ws

#: PHP cuts a form after max_input_vars (1000 by default) without a word.
MAX_VARIABLES = 900


class TotaraWire:
    """Calls one site. Made without network; safe to use from many threads.

    ``client_id`` and ``client_secret`` are those of a system-level API client, ``ws_token`` is a web service token;
    either may be "", and calls by that way raise Unsupported.
    """

    def __init__(
        self,
        url: str,
        wire: Wire,
        *,
        client_id: str = "",
        client_secret: str = "",
        ws_token: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.http = wire
        self.by_graphql = bool(client_id)
        self.by_web_service = bool(ws_token)
        self._url = url
        self._client = (client_id, client_secret)
        self._ws_token = ws_token
        self._clock = clock
        self._token: tuple[str, float] | None = None
        self._token_made = 0.0
        self._token_lock = threading.Lock()

    def _access_token(self, stale: str = "") -> str:
        """A live access token. Each one is a row in Totara's database, so it is kept for as long as it lasts."""
        with self._token_lock:
            if self._token and self._token[0] != stale and self._clock() < self._token[1]:
                return self._token[0]
            client_id, secret = self._client
            _, body = self.http.send_json(
                "POST",
                f"{self._url}/totara/oauth2/token.php",
                what="token",
                data={"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret},
            )
            # A wrong secret is answered 200 as well: only the token tells.
            token = body.get("access_token") if isinstance(body, dict) else None
            if not isinstance(token, str) or not token:
                raise Unauthorized("Totara gives no access token to this API client", system=SYSTEM)
            told = body.get("expires_in")
            lifetime = float(told) if isinstance(told, (int, float)) and told > 0 else 3600.0
            self._token_made = self._clock()
            self._token = token, self._clock() + max(lifetime - 60.0, lifetime / 2)
            return token

    def _aged(self, token: str) -> bool:
        """Whether a token is more than a minute old."""
        with self._token_lock:
            return self._token is not None and self._token[0] == token and self._clock() - self._token_made > 60.0

    def run(self, operation: str, document: str, variables: Mapping[str, Any]) -> Any:
        """Run a document with one top-level field, called ``operation``, once."""
        if not self.by_graphql:
            raise Unsupported(f"{operation} needs an API client, and none is configured", code="noclient")
        stale = ""
        for last_try in (False, True):
            token = self._access_token(stale)
            answer, body = self.http.send_json(
                "POST",
                f"{self._url}/api/graphql.php",
                what=operation,
                json={"query": document, "variables": variables},
                headers={"Authorization": f"Bearer {token}"},
            )
            try:
                if answer.status_code == 401:
                    raise Unauthorized("Totara does not accept the access token", system=SYSTEM)
                return judge_gql(operation, body)
            except (Unauthorized, Refused) as err:
                # It may have run out, or been withdrawn when the client's secret was changed: ask for another, once.
                # Where Totara tells no reasons, a withdrawn token looks like any refusal.
                withdrawn = isinstance(err, Unauthorized) or (err.data.get("untold") and self._aged(token))
                if last_try or not withdrawn:
                    raise
                stale = token
        raise AssertionError("unreachable")

    def call(self, function: str, **parameters: Any) -> Any:
        """Call a web service, once. Nested lists and dicts become PHP's ``users[0][email]``."""
        if not self.by_web_service:
            raise Unsupported(f"{function} needs a web service token, and none is configured", code="notoken")
        form = {
            "wstoken": self._ws_token,
            "wsfunction": function,
            "moodlewsrestformat": "json",
            **php_form(parameters),
        }
        if len(form) > MAX_VARIABLES:
            raise ValueError(f"{function} with {len(form)} variables: PHP would cut them off at max_input_vars")
        answer, body = self.http.send_json("POST", f"{self._url}/webservice/rest/server.php", what=function, data=form)
        if answer.status_code == 403 and not answer.content:
            raise Unauthorized("Totara's REST web services are switched off", system=SYSTEM)
        if answer.status_code != 200:  # Totara says 200 to everything: this is not its answer
            raise Unavailable(f"{function} was answered {answer.status_code}, not by Totara", system=SYSTEM)
        return judge_ws(function, body)

    def read(self, function: str, **parameters: Any) -> Any:
        """Call a web service that may be called again: a read, or one after which things are as said."""
        return self.http.reading(lambda: self.call(function, **parameters))

    def query(self, operation: str, document: str, variables: Mapping[str, Any]) -> Any:
        """Run a document that may be run again."""
        return self.http.reading(lambda: self.run(operation, document, variables))

    def file(self, url: str, what: str) -> requests.Response:
        """A file of the site, whatever the answer. The token travels in the form, never in the address."""
        form = {"token": self._ws_token}
        answer: requests.Response = self.http.reading(lambda: self.http.send("POST", url, what=what, data=form))
        return answer


def php_form(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Nested parameters as PHP reads them: ``{"users": [{"email": "x"}]}`` is ``users[0][email]=x``."""
    form: dict[str, str] = {}

    def put(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                put(f"{name}[{key}]", item)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                put(f"{name}[{index}]", item)
        else:
            form[name] = str(int(value)) if isinstance(value, bool) else str(value)

    for name, value in parameters.items():
        put(name, value)
    return form
