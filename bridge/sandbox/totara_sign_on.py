"""The embedded Totara's sign-on: browsers' sessions, and the bridge's plugin there, auth_bridge.

What the plugin in connectors/totara/auth/bridge checks is checked here in the same order, and refused by the same
words: both are held to one table, tests/plain/who_gets_in.json there. PHP, and Totara's own session handling, are not
imitated.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jwt
import requests

from bridge.jws import decoded
from bridge.sandbox.shop_hooks import outgoing
from bridge.sandbox.totara_things import GUEST, SERVICE_ACCOUNT, User

if TYPE_CHECKING:
    from bridge.sandbox.totara import Totara

#: Seconds: the longest life of a token, of a nonce, the difference of clocks; for how long keys are fresh, and at most
#: how often they are asked for.
TOKEN_LIFE, NONCE_LIFE, LEEWAY, KEYS_FRESH, KEYS_PAUSE = 60, 300, 5, 3600, 60
#: Sign-ons that one browser may have begun at the same time; characters of a token.
MOST_NONCES, MOST_CHARACTERS = 5, 4096
NOWHERE = "/"
_HEX = re.compile(r"[0-9a-f]{32}", re.ASCII)
_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_KID = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_USERNAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_LOCAL = re.compile(r"/(?!/)[!#-;=?-\[\]^_a-z|~]*", re.ASCII)
_ENCODED = re.compile(r"%(?:[01][0-9a-f]|7f)|%(?![0-9a-f]{2})", re.IGNORECASE)
_SIGN_IN_PAGE = re.compile(r"/(?:login|auth)/")
_OTHER_FOLDER = re.compile(r"%(?:2e|2f|5c|25)|//|/\.\.?(?:/|$)", re.IGNORECASE)


class NotLetIn(Exception):
    """A sign-on is refused. ``reason`` is the plugin's word for why, for the site's log; browsers are not told."""

    def __init__(self, reason: str, user_id: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.user_id = user_id


@dataclass
class Session:
    """One browser's session. ``nonces`` are the sign-ons it began: until when each is good, and the page that was
    wanted; ``wanted`` is the page to come to after signing in, ``message`` what the login page says once, and ``sid``
    what ends the visit to the bridge.
    """

    user_id: int = 0
    nonces: dict[str, tuple[int, str]] = field(default_factory=dict)
    wanted: str = ""
    message: str = ""
    sid: str = ""


@dataclass(frozen=True)
class Claims:
    """What a token says whose signature, addressee and times are right."""

    user_id: int
    username: str
    nonce: str
    target: str
    jti: str
    sid: str


class SignOn:
    """Sessions of a site, and its plugin. ``log`` keeps (outcome, reason, user id) as Totara's log does."""

    def __init__(self, totara: Totara) -> None:
        self._totara = totara
        self._keys_lock = threading.Lock()
        self._keys: Mapping[str, Any] = {}
        self._fetched = self._tried = float("-inf")
        self._used: dict[str, str] = {}  # jti -> the session that it was handed over to, "" for none
        self.sessions: dict[str, Session] = {}
        self.bridge_url = ""
        self.site_url = ""
        self.tenant = ""
        self.auth_methods = ("bridge", "manual")
        self.enabled = ("bridge",)  # the site's own list; manual accounts are on it always
        self.end_visit = True
        self.log: list[tuple[str, str, int]] = []

    def connect(self, bridge_url: str, site_url: str, tenant: str = "") -> None:
        """Fill in the plugin's settings. ``site_url`` is the site's own address; only members of ``tenant`` get in."""
        self.bridge_url, self.site_url, self.tenant = bridge_url, site_url, tenant

    def let_in(self, user: User) -> None:
        """Write down that somebody was let in; from the first time on, the account is one that was used."""
        self.log.append(("accepted", "", user.id))
        user.lastaccess = self._totara.now()
        user.firstaccess = user.firstaccess or user.lastaccess

    # --- sessions --------------------------------------------------------------------------------------------------

    def find_session(self, name: str) -> Session:
        """The session of a cookie; a new one, kept nowhere yet, where there is none."""
        return self.sessions.get(name) or Session()

    def keep(self, name: str, session: Session) -> str:
        """Keep a session under its name, or under a new one."""
        name = name if name in self.sessions else secrets.token_urlsafe(24)
        self.sessions[name] = session
        return name

    def renew(self, name: str, session: Session) -> str:
        """Keep a session under a new name, and forget the old one's."""
        self.sessions.pop(name, None)
        return self.keep("", session)

    def user(self, session: Session) -> User | None:
        """Who is signed in: nobody any more, once the account is suspended or deleted."""
        found = self._totara.users.get(session.user_id)
        return found if found and not (found.suspended or found.deleted) else None

    # --- a sign-on -------------------------------------------------------------------------------------------------

    def begin(self, session: Session) -> str:
        """Give this browser a nonce; the bridge's address to go to. Raises NotLetIn while nothing is set up."""
        self._be_configured()
        now, nonce = self._totara.now(), secrets.token_hex(16)
        good = [(one, begun) for one, begun in session.nonces.items() if begun[0] > now]
        session.nonces = dict([*good, (nonce, (now + NONCE_LIFE, _wanted(session)))][-MOST_NONCES:])
        return f"{self.bridge_url}/sso/totara?nonce={nonce}"

    def _be_configured(self) -> None:
        if not self.bridge_url or "bridge" not in self.enabled:
            raise NotLetIn("notconfigured")

    def accept(self, token: str, name: str, session: Session) -> tuple[User, str, Claims]:
        """Whom a token signs in, where to, and what it says. Raises NotLetIn, written down.

        1. The token: the bridge's signature, for this site, now.
        2. It was made for this browser, and comes for the first time; it is used up from here on.
        3. The account may be signed in in this way.
        """
        self._be_configured()
        claims = self._verified(token)
        with self._totara.lock:
            wanted = NOWHERE
            if not name or self._used.get(claims.jti) != name:
                wanted = self._take_nonce(session, claims)
                if claims.jti in self._used:
                    raise NotLetIn("replay", claims.user_id)
            self._used[claims.jti] = ""
            user = self._admitted(claims)
        return user, (wanted if claims.target == NOWHERE else claims.target), claims

    def ends_visit_at(self, session: Session) -> str:
        """The bridge's address that ends the visit by which a session began; "" if it is not to be gone to."""
        goes = self.end_visit and self.bridge_url and session.sid
        return f"{self.bridge_url}/sso/ended?sid={session.sid}" if goes else ""

    def hand_over(self, jti: str, name: str) -> None:
        """A token that was accepted may come once more, from this session: the one before was somebody else's."""
        self._used[jti] = name

    def _take_nonce(self, session: Session, claims: Claims) -> str:
        until, wanted = session.nonces.pop(claims.nonce, (0, NOWHERE))
        if until <= self._totara.now():
            raise NotLetIn("nonce", claims.user_id)
        return wanted

    # --- the token -------------------------------------------------------------------------------------------------

    def _verified(self, token: str) -> Claims:
        parts = token.split(".")
        if len(token) > MOST_CHARACTERS or len(parts) != 3:
            raise NotLetIn("malformed")
        kid = _key_name(_members(parts[0]))
        if not decoded(parts[2]):
            raise NotLetIn("malformed")
        try:
            jwt.PyJWS().decode(token, self._key(kid), algorithms=["RS256"])
        except jwt.PyJWTError as err:
            raise NotLetIn("signature") from err
        said = _members(parts[1])
        for name, right, reason in (("iss", self.bridge_url, "issuer"), ("aud", self.site_url, "audience")):
            if said.get(name) != right:
                raise NotLetIn(reason)
        self._in_time(said)
        return _claims(said)

    def _in_time(self, said: Mapping[str, Any]) -> None:
        now = self._totara.now()
        iat, exp, nbf = (said.get(name) for name in ("iat", "exp", "nbf"))
        if type(iat) is not int or type(exp) is not int or min(iat, exp) < 1:
            raise NotLetIn("claims")
        for wrong, reason in (
            (iat > now + LEEWAY, "future"),
            (exp <= now - LEEWAY, "expired"),
            (not 0 < exp - iat <= TOKEN_LIFE, "lifetime"),
            ("nbf" in said and (type(nbf) is not int or nbf > now + LEEWAY), "future"),
        ):
            if wrong:
                raise NotLetIn(reason)

    def _key(self, kid: str) -> Any:
        """A key that the bridge publishes: kept for an hour, and asked for at most once a minute."""
        with self._keys_lock:
            now = self._totara.seconds()
            stale = now - self._fetched >= KEYS_FRESH
            if (stale or kid not in self._keys) and now - self._tried >= KEYS_PAUSE:
                self._tried = now
                if found := self._published():
                    self._keys, self._fetched = found, now
            if kid not in self._keys:
                raise NotLetIn("key")
            return self._keys[kid]

    def _published(self) -> Mapping[str, Any]:
        try:
            with outgoing() as session:
                answer = session.get(f"{self.bridge_url}/.well-known/jwks.json", timeout=5, allow_redirects=False)
                answer.raise_for_status()
                return {key["kid"]: jwt.PyJWK(key, "RS256").key for key in answer.json()["keys"]}
        except (requests.RequestException, jwt.PyJWTError, ValueError, KeyError, TypeError):
            return {}  # no answer: what is known already goes on being used

    # --- the account -----------------------------------------------------------------------------------------------

    def _admitted(self, claims: Claims) -> User:
        user = self._totara.users.get(claims.user_id)
        if user is None or user.deleted:
            raise NotLetIn("nouser")
        reason = self._objection(user) if user.username == claims.username else "username"
        if reason:
            raise NotLetIn(reason, user.id)
        return user

    def _objection(self, user: User) -> str:
        """Why this account is not signed in from outside; "" for no reason."""
        tenant = self._totara.tenants.get(user.tenant or 0)
        objections = {
            "guest": user.id == GUEST,
            "unconfirmed": not user.confirmed,
            "suspended": user.suspended,
            "authmethod": user.auth not in self.auth_methods or user.auth not in (*self.enabled, "manual"),
            "tenantsuspended": user.tenant is not None and (tenant is None or tenant.suspended),
            "tenant": bool(self.tenant) and (tenant is None or tenant.idnumber != self.tenant),
            "administrator": user.id in self._totara.administrators,
            "capability": user.id in self._totara.staff or user.id == SERVICE_ACCOUNT,
        }
        return next((reason for reason, true in objections.items() if true), "")


def _members(part: str) -> dict[str, Any]:
    """What a part of a token says: texts, whole numbers, true, false and null, and nothing twice."""
    try:
        members = json.loads((decoded(part) or b"").decode(), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as err:
        raise NotLetIn("malformed") from err
    if not isinstance(members, dict) or any(isinstance(value, float | list | dict) for value in members.values()):
        raise NotLetIn("malformed")
    return members


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is told twice")
    return members


def _key_name(header: Mapping[str, Any]) -> str:
    kid = header.get("kid")
    if set(header) != {"alg", "typ", "kid"} or (header["alg"], header["typ"]) != ("RS256", "site+jwt"):
        raise NotLetIn("header")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise NotLetIn("header")
    return kid


def _claims(said: Mapping[str, Any]) -> Claims:
    sub, username, nonce, jti = (_text(said, name) for name in ("sub", "username", "nonce", "jti"))
    if not (_ID.fullmatch(sub) and _USERNAME.fullmatch(username) and _HEX.fullmatch(nonce) and _HEX.fullmatch(jti)):
        raise NotLetIn("claims")
    if "sid" in said and not _HEX.fullmatch(_text(said, "sid")):
        raise NotLetIn("claims")
    if (target := local_path(_text(said, "target"))) is None:
        raise NotLetIn("target", int(sub))
    return Claims(int(sub), username, nonce, target, jti, said.get("sid", ""))


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value:
        raise NotLetIn("claims")
    return value


def _wanted(session: Session) -> str:
    """The page to come to if the token names none: not one of those for signing in, which would be a circle."""
    path = local_path(session.wanted)
    return NOWHERE if path is None or _SIGN_IN_PAGE.match(path) else path


def local_path(path: str) -> str | None:
    """The path itself, or None when it could lead out of the site in any reader's eyes."""
    if len(path) > 1000 or not _LOCAL.fullmatch(path) or _ENCODED.search(path):
        return None
    return None if _OTHER_FOLDER.search(urlsplit(path).path) else path
