"""The bridge as an OpenID provider, for the OAuth 2 plugin that every Totara has. Nothing is installed there.

The protocol is served by own code, and PyJWT for what is signed: with one client, one grant and one redirect URI most
of a framework such as Authlib would have to be kept switched off, and what matters here (one use, whose account it is)
be written all the same. Codes and access tokens are signed by the bridge's own keys, each by a type of its own, so
that every node can read them and nothing is kept but the names of used codes.

What Totara asks, and what it needs to be answered, was measured on a running Totara 17.3.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl, urlencode

import jwt

from bridge.domain.identity import names_of
from bridge.domain.lms import Account
from bridge.errors import BadSignature, BridgeError, Refused
from bridge.jws import claims_of, opened
from bridge.keys import SigningKeys
from bridge.settings import Settings
from bridge.shop_tokens import LEEWAY
from bridge.sso import ONWARD, SignOn
from bridge.store import audit, people, signon
from bridge.store.db import Store
from bridge.store.people import Person
from bridge.store.signon import Visit
from bridge.totara_client import TotaraClient

T = TypeVar("T")

#: What the audit log says of a request of a kind that no client of ours makes; which, follows.
NOT_SERVED = "a request of a kind that is not served"

CODE, ACCESS, ID = "code+jwt", "at+jwt", "JWT"
#: Seconds that a code lives, and an id token. The access token lives for 10 at most: Totara keeps it in its session and
#: would ask with it again, for whoever signs in next in the same browser; it thinks of it as gone 10 seconds early.
CODE_LIFE, ACCESS_LIFE, ID_LIFE = 60, 10, 60
SCOPES = ("openid", "profile", "email")
MOST_BYTES = 8 * 1024
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_MOST_NONCE = 255


class Wrong(BridgeError):
    """What is told to the client: ``code`` is one of the protocol's own words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Asked:
    """What Totara asks by way of the browser. ``silent``: no page may be shown; "" for what was not asked."""

    nonce: str
    challenge: str
    silent: bool

    def or_page(self, code: str, page: T) -> T:
        """The page, if one may be shown. Raises Wrong with the code otherwise."""
        if self.silent:
            raise Wrong(code, "this takes a page, and none may be shown")
        return page


class Provider:
    """Tells one client, Totara, whose visit it is: only ever of accounts that are in the bridge's own ledger."""

    def __init__(
        self,
        settings: Settings,
        sign_on: SignOn,
        store: Store,
        totara: TotaraClient,
        keys: SigningKeys,
        now: Callable[[], datetime],
    ) -> None:
        self.sign_on = sign_on
        self._store = store
        self._totara = totara
        self._keys = keys
        self._now = now
        self._client_id = settings.sso.client_id
        self._secret = settings.sso.client_secret.get_secret_value()
        self._issuer = sign_on.bridge_url
        self.redirect_uri = f"{sign_on.site_url}/admin/oauth2callback.php"

    def discovery(self) -> dict[str, Any]:
        """The document by which Totara configures itself: it stores every ``…_endpoint``."""
        return {
            "issuer": self._issuer,
            "authorization_endpoint": f"{self._issuer}/oidc/authorize",
            "token_endpoint": self._at("token"),
            "userinfo_endpoint": self._at("userinfo"),
            "jwks_uri": f"{self._issuer}/.well-known/jwks.json",
            "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "claims_supported": [
                *("iss", "sub", "aud", "iat", "exp", "nonce"),
                *("email", "email_verified", "given_name", "family_name", "preferred_username"),
            ],
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
            "claims_parameter_supported": False,
        }

    def _at(self, endpoint: str) -> str:
        return f"{self._issuer}/oidc/{endpoint}"

    # --- what comes by the browser ---------------------------------------------------------------------------------

    def query(self, raw: bytes) -> Mapping[str, str]:
        """What an authorization request asks, once it is sure where the answer goes to.

        Raises Refused for another client or redirect URI, written down: such a browser is sent nowhere.
        """
        query = _fields(raw) or {}
        known = query.get("client_id") == self._client_id and query.get("redirect_uri") == self.redirect_uri
        if not known:
            self.sign_on.refused("another client than ours, or another address to go back to")
            raise Refused("it is another client, or another redirect URI")
        return query

    def back(self, query: Mapping[str, str], **answer: str) -> str:
        """Where the browser goes with an answer. The state, which holds addresses of Totara's, is as it came."""
        state = {"state": query["state"]} if "state" in query else {}
        return f"{self.redirect_uri}?{urlencode({**answer, **state}, errors='surrogateescape')}"

    def asked(self, query: Mapping[str, str]) -> Asked:
        """The request, if it is one that is served. Raises Wrong, written down."""
        try:
            return _asked(query)
        except Wrong as err:
            self.sign_on.refused(f"{NOT_SERVED}: {err}")
            raise

    def person(self, visit: Visit) -> Person | None:
        """Who visits, if somebody whom the ledger knows."""
        with self._store.read() as connection:
            return self.sign_on.person(connection, visit)

    def code(self, person: Person, asked: Asked) -> str:
        """A code for Totara to ask with who it is. Raises Refused, written down, if the account can't be used."""
        if person.totara_id is None:
            raise Refused("there is no account yet")
        self._account(person.id, person.totara_id)
        claims = {"aud": self._at("token"), "person": person.id, "user": person.totara_id}
        claims |= {"nonce": asked.nonce} if asked.nonce else {}
        claims |= {"challenge": asked.challenge} if asked.challenge else {}
        return self._signed(claims, CODE, CODE_LIFE)

    # --- what Totara itself asks -----------------------------------------------------------------------------------

    def authenticate(self, client_id: str, secret: str) -> None:
        """Let only the client go on. Raises Wrong, written down. Takes as long for any wrong secret."""
        right = [
            hmac.compare_digest(_digest(given), _digest(ours))
            for given, ours in ((client_id, self._client_id), (secret, self._secret))
        ]
        if not all(right):
            self.sign_on.refused("another client than ours, or a wrong secret")
            raise Wrong("invalid_client", "the client is not known by this secret")

    def exchange(self, form: Mapping[str, str]) -> dict[str, Any]:
        """The tokens for a code. Raises Wrong. A code is used up by being shown, whatever comes of it.

        What was given for its first use is not taken back by a second one: it has run out before that is of use.
        """
        if form.get("grant_type") != "authorization_code":
            self._not_served("unsupported_grant_type", "the grant type is authorization_code")
        if not form.get("code"):
            self._not_served("invalid_request", "there is no code")
        try:
            claims = self._verified(form["code"], CODE, self._at("token"))
            self._use(claims)
            self._fits(claims, form)
            person, account = self._account(claims["person"], claims["user"])
            tokens = self._tokens(claims, account)
        except BadSignature as err:
            self.sign_on.refused(f"a code: {err}")
            raise Wrong("invalid_grant", "the code is not valid, or not any more") from err
        except Refused as err:
            raise Wrong("invalid_grant", "the account can't be used") from err
        self._told(person, account)
        return tokens

    def _not_served(self, code: str, why: str) -> NoReturn:
        self.sign_on.refused(f"{NOT_SERVED}: {why}")
        raise Wrong(code, why)

    def _told(self, person: Person, account: Account) -> None:
        """Write down, before it is told, that Totara is told who somebody is."""
        with self._store.one_statement() as connection:
            audit.note(connection, ONWARD, "by OAuth 2", self._now(), person_id=person.id, facts={"user": account.id})

    def _use(self, claims: Mapping[str, Any]) -> None:
        until = datetime.fromtimestamp(claims["exp"] + LEEWAY, UTC)
        with self._store.one_statement() as connection:
            fresh = signon.use_once(self._store, connection, f"{CODE} {claims['jti']}", until)
        if not fresh:
            raise BadSignature("it was used before")

    def _fits(self, claims: Mapping[str, Any], form: Mapping[str, str]) -> None:
        """Nothing, if the code is shown by whoever asked for it, in the way that was asked for."""
        if form.get("redirect_uri") != self.redirect_uri:
            raise BadSignature("it was given for another redirect URI")
        challenge, verifier = claims.get("challenge", ""), form.get("code_verifier", "")
        if not challenge and not verifier:
            return
        if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(_s256(verifier), challenge):
            raise BadSignature("it was asked for by somebody else")

    def _tokens(self, claims: Mapping[str, Any], account: Account) -> dict[str, Any]:
        whose = {"sub": account.username, "person": claims["person"], "user": account.id}
        id_token = {"aud": self._client_id, "sub": account.username}
        id_token |= {"nonce": claims["nonce"]} if "nonce" in claims else {}
        return {
            "access_token": self._signed({"aud": self._at("userinfo"), **whose}, ACCESS, ACCESS_LIFE),
            "token_type": "Bearer",
            "expires_in": ACCESS_LIFE,
            "scope": " ".join(SCOPES),
            "id_token": self._signed(id_token, ID, ID_LIFE),
        }

    def userinfo(self, token: str) -> dict[str, Any]:
        """Whose access token it is. Raises Wrong.

        ``sub`` is the username, by which Totara keeps apart the accounts that it has linked; by the address it finds
        the account when it links it.
        """
        try:
            claims = self._verified(token, ACCESS, self._at("userinfo"))
            person, account = self._account(claims["person"], claims["user"], named=claims["sub"])
            self._only_one(person, account)
        except BadSignature as err:
            self.sign_on.refused(f"an access token: {err}")
            raise Wrong("invalid_token", "the access token is not valid, or not any more") from err
        except Refused as err:
            raise Wrong("invalid_token", "the account can't be used") from err
        first, last = names_of(person.first_name, person.last_name, account.email)
        return {
            "sub": account.username,
            "preferred_username": account.username,
            "email": account.email,
            "email_verified": True,
            "given_name": first,
            "family_name": last,
        }

    # --- whose account it is ---------------------------------------------------------------------------------------

    def _account(self, person_id: int, user_id: int, *, named: str = "") -> tuple[Person, Account]:
        """The person, and the account as Totara has it at this moment. Raises Refused, written down.

        ``named`` is what it was called when it was last asked for. By this way a name tells Totara which account is
        meant, so one that was given to another account meanwhile would open that.
        """
        with self._store.read() as connection:
            person = people.get_person(connection, person_id)
        if person is None or person.totara_id != user_id:
            return self._refuse("the account is not the person's any more", person_id, user_id)
        account = self.sign_on.admitted(person, named=named)
        if not account.email:  # Totara is told of it by its address
            return self._refuse("the account's address is not shown", person_id, user_id)
        return person, account

    def _only_one(self, person: Person, account: Account) -> None:
        """Nothing, if no other account has the address. Raises Refused, written down.

        Of an address that it has not linked Totara opens whichever confirmed account it finds: measured, an
        administrator's too.
        """
        if any(other.id != account.id for other in self._totara.find_accounts(account.email)):
            self._refuse("another account has the same address", person.id, account.id)

    def _refuse(self, why: str, person_id: int, user_id: int) -> NoReturn:
        self.sign_on.refused(why, person=person_id, user=user_id)
        raise Refused(why)

    # --- what the bridge signs, for itself and for Totara ----------------------------------------------------------

    def _signed(self, claims: Mapping[str, Any], typ: str, life: int) -> str:
        now = int(self._now().timestamp())
        whole = {"iss": self._issuer, **claims, "iat": now, "exp": now + life, "jti": secrets.token_hex(16)}
        return self._keys.sign(whole, typ)

    def _verified(self, token: str, typ: str, audience: str) -> dict[str, Any]:
        """The claims of a token that a bridge of this database signed for this purpose. Raises BadSignature."""
        if len(token) > MOST_BYTES:
            raise BadSignature("it is no token as one is written")
        try:
            kid = str(jwt.get_unverified_header(token).get("kid", ""))
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as err:
            raise BadSignature(f"it was refused: {type(err).__name__}") from err
        header, payload = opened(token, [self._key(kid)], "RS256")
        if header != {"alg": "RS256", "kid": kid, "typ": typ}:
            raise BadSignature("it is a token of another kind")
        claims = claims_of(payload, self._issuer, audience)
        # By our own clock: that of another node, which signed it, may differ a little.
        if not claims["iat"] - LEEWAY <= self._now().timestamp() < claims["exp"]:
            raise BadSignature("it has expired")
        return claims

    def _key(self, kid: str) -> jwt.PyJWK:
        """The published key of this name; what another node made just now is looked for once."""
        for again in (False, True):
            if again:
                self._keys.all(again=True)
            found = next((key.public for key in self._keys.published() if key.kid == kid), None)
            if found is not None:
                return jwt.PyJWK(found)
        raise BadSignature("no key of ours signed it")


def _asked(query: Mapping[str, str]) -> Asked:
    """The request, if it is one that is served. Raises Wrong."""
    for name in ("request", "request_uri"):
        if name in query:
            raise Wrong(f"{name}_not_supported", "requests come as plain parameters only")
    if query.get("response_type") != "code":
        raise Wrong("unsupported_response_type", "the response type is code")
    if query.get("response_mode", "query") != "query":
        raise Wrong("invalid_request", "the response mode is query")
    if "openid" not in query.get("scope", "").split(" "):
        raise Wrong("invalid_scope", "the scope has to contain openid")
    if query.get("prompt", "none") != "none":
        raise Wrong("login_required", "nobody can be asked to sign in anew here")
    nonce = query.get("nonce", "")
    if len(nonce) > _MOST_NONCE or not nonce.isprintable():
        raise Wrong("invalid_request", "the nonce is too long, or no text")
    return Asked(nonce, _challenge(query), query.get("prompt") == "none")


def _challenge(query: Mapping[str, str]) -> str:
    """The PKCE challenge of a request, "" for none. Raises Wrong: the method ``plain``, which is meant by none, proves
    nothing to whoever has seen the request.
    """
    challenge = query.get("code_challenge", "")
    if not challenge and "code_challenge_method" not in query:
        return ""
    if query.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise Wrong("invalid_request", "the code challenge is made by S256")
    return challenge


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(_digest(verifier)).rstrip(b"=").decode()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _fields(raw: bytes) -> dict[str, str] | None:
    """The parameters of a query, byte for byte; None if one is there twice, or there is more than anybody asks."""
    if len(raw) > MOST_BYTES:
        return None
    try:
        pairs = parse_qsl(
            raw.decode("ascii", "surrogateescape"), keep_blank_values=True, errors="surrogateescape", max_num_fields=50
        )
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None
