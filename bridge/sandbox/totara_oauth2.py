"""The embedded Totara's own OAuth 2 authentication, with the bridge as its provider.

As measured on Totara 17.3: it begins on the login page, which asks nobody who is signed in, and only with the session's
sesskey; a page of a course asks for no sign-in where a session lives, whoever's it is. That who is told of takes the
place of whoever was in was read in its code (``complete_user_login``), not measured.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from flask import abort, redirect, request
from werkzeug.wrappers import Response

from bridge.sandbox.shop_hooks import outgoing
from bridge.sandbox.totara_sign_on import NOWHERE, Session, SignOn, local_path
from bridge.sandbox.totara_things import User

if TYPE_CHECKING:
    from bridge.sandbox.totara import Totara
    from bridge.sandbox.totara_visitors import Visitors

LOGIN, CALLBACK = "/auth/oauth2/login.php", "/admin/oauth2callback.php"


class OAuth2:
    """One service, with the bridge's endpoints. It is offered once it has a client's id."""

    def __init__(self, totara: Totara, sign_on: SignOn) -> None:
        self._totara, self._sign_on = totara, sign_on
        self.client_id = self._secret = ""
        self._linked: dict[str, int] = {}  # a name that the provider told -> the account that was linked by it

    def connect(self, client_id: str, secret: str) -> None:
        """Fill in the service. Where the bridge and the site are, the plugin's settings say."""
        self.client_id, self._secret = client_id, secret

    def begins_at(self, session: Session) -> str:
        """The login page's button; "" where there is none."""
        wants = local_path(session.wanted) or NOWHERE
        query = urlencode({"wantsurl": wants, "sesskey": session.sesskey, "id": 1})
        return f"{LOGIN}?{query}" if self.client_id else ""

    @property
    def _redirect_uri(self) -> str:
        return f"{self._sign_on.site_url}{CALLBACK}"

    def asks_at(self, state: str) -> str:
        """The provider's address to go to. As Totara's, without a challenge and without a nonce."""
        asked = {"client_id": self.client_id, "response_type": "code", "redirect_uri": self._redirect_uri}
        query = urlencode({**asked, "state": state, "scope": "openid profile email"})
        return f"{self._sign_on.bridge_url}/oidc/authorize?{query}"

    def told(self, code: str) -> User | None:
        """Whom the provider tells of, if there is such an account that may sign in."""
        try:
            said = self._said(code)
        except (requests.RequestException, ValueError, KeyError):
            return None
        with self._totara.lock:
            user = self._totara.users.get(self._linked.get(said["sub"], 0)) or self._by_address(said["email"])
            if user is None or user.deleted or user.suspended:
                return None
            self._linked[said["sub"]] = user.id
        return user

    def _said(self, code: str) -> dict[str, Any]:
        form = {"code": code, "grant_type": "authorization_code", "redirect_uri": self._redirect_uri}
        form |= {"client_id": self.client_id, "client_secret": self._secret}
        with outgoing() as session:
            answer = session.post(f"{self._sign_on.bridge_url}/oidc/token", data=form, timeout=30)
            answer.raise_for_status()
            bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            answer = session.get(f"{self._sign_on.bridge_url}/oidc/userinfo", headers=bearer, timeout=30)
            answer.raise_for_status()
            return dict(answer.json())

    def _by_address(self, email: str) -> User | None:
        users = self._totara.users.values()
        same = [one for one in users if one.email.lower() == email.lower() and one.confirmed and not one.deleted]
        return same[0] if len(same) == 1 else None


class OAuth2Pages:
    """What browsers are sent to."""

    def __init__(self, visitors: Visitors, oauth2: OAuth2) -> None:
        self._visitors, self._oauth2 = visitors, oauth2

    def login(self) -> Response:
        """To the provider, and once more with its code. Only from the login page of the same session."""
        _, session = self._visitors.session()
        if not self._oauth2.client_id or request.args.get("sesskey") != session.sesskey:
            abort(HTTPStatus.NOT_FOUND)
        if not (code := request.args.get("oauth2code")):
            return redirect(self._oauth2.asks_at(request.full_path), HTTPStatus.SEE_OTHER)
        return self._visitors.enter(self._oauth2.told(code), local_path(request.args.get("wantsurl", "")) or NOWHERE)

    def callback(self) -> Response:
        """Back from the provider, to where the state says, if that is of this session."""
        state = request.args.get("state", "")
        _, session = self._visitors.session()
        ours = urlsplit(state).path == LOGIN and parse_qs(urlsplit(state).query).get("sesskey") == [session.sesskey]
        if not ours:
            abort(HTTPStatus.NOT_FOUND)
        code = request.args.get("code", "")
        onward = f"{state}&{urlencode({'oauth2code': code})}" if code else "/login/index.php"
        return redirect(onward, HTTPStatus.SEE_OTHER)
