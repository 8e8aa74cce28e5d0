"""The embedded Totara's sign-on lets in and refuses whom the plugin does: both play the same table.

The plugin's own tests play it in PHP (see test_connector_totara.py).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.utils import base64url_encode
from werkzeug.test import Client, TestResponse

from bridge.sandbox.clock import Clock
from bridge.sandbox.totara import Totara, User
from bridge.sandbox.totara_sign_on import Session
from bridge.sandbox.totara_things import ADMIN, GUEST
from bridge.sandbox.totara_visitors import COOKIE, REFUSED
from tests.test_connector_totara import ISSUER, PLAIN, SITE, public_jwk

TABLE: Mapping[str, Any] = json.loads((PLAIN / "who_gets_in.json").read_text(encoding="utf-8"))
START, LOGIN = "/auth/bridge/start.php", "/auth/bridge/login.php"
Case = Mapping[str, Any]


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    """The bridge's key."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def other_key() -> RSAPrivateKey:
    """A key of somebody else's."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def totara() -> Totara:
    """A site with the table's tenants."""
    made = Totara(now=Clock(frozen=True))
    for idnumber in ("academy", "memberland", "closed"):
        made.add_tenant(idnumber, idnumber.title())
    made.suspend_tenant("closed")
    made.sign_on.connect(ISSUER, SITE)
    return made


@pytest.fixture
def bridge(key: RSAPrivateKey, wire: responses.RequestsMock) -> RSAPrivateKey:
    """The bridge's key, which it publishes."""
    wire.get(f"{ISSUER}/.well-known/jwks.json", json={"keys": [public_jwk(key)]})
    return key


def arrange(totara: Totara, case: Case) -> None:
    """The settings of a case. What makes staff is what the case says of it: there are no roles here."""
    settings = case.get("settings", {})
    totara.sign_on.tenant = settings.get("tenant", "")
    if "authmethods" in settings:
        totara.sign_on.auth_methods = tuple(settings["authmethods"].split(","))
    if "enabled" in case:
        totara.sign_on.enabled = tuple(case["enabled"].split(","))


def account(totara: Totara, case: Case) -> User:
    """Whose sign-on it is."""
    if (who := case.get("who")) == "nobody":
        return User(987654, "nobody", "")
    if who:
        return totara.users[{"guest": GUEST, "administrator": ADMIN}[who]]
    told = {"username": "anna", "tenant": "academy", "auth": "manual", **case.get("account", {})}
    known = told["tenant"] if told["tenant"] not in ("", "gone") else None
    new = totara.add_user("anna@learn.test", username=told["username"], auth=told["auth"], tenant=known)
    user = totara.users[new]
    user.confirmed, user.suspended, user.deleted = (
        bool(told.get(name, usual)) for name, usual in (("confirmed", 1), ("suspended", 0), ("deleted", 0))
    )
    if told["tenant"] == "gone":
        user.tenant = 987654
    if case.get("staff"):
        totara.staff.add(user.id)
    return user


def begin(browser: Client) -> str:
    """Begin a sign-on; its nonce."""
    return parse_qs(urlsplit(browser.get(START).location).query)["nonce"][0]


def bring(browser: Client, token: str) -> TestResponse:
    """Post a token as the bridge's page does, and once more if the site's own form asks for that."""
    answer = browser.post(LOGIN, data={"token": token})
    if 'name="again" value="1"' in answer.text:
        answer = browser.post(LOGIN, data={"token": token, "again": "1"})
    return answer


def right(totara: Totara, user: User, nonce: str, jti: str) -> dict[str, Any]:
    """Right claims."""
    now = totara.now()
    named = {"iss": ISSUER, "aud": SITE, "sub": str(user.id), "username": user.username, "nonce": nonce}
    return {**named, "target": "/course/view.php?id=7", "iat": now, "exp": now + 60, "jti": jti}


def write(key: RSAPrivateKey, header: Mapping[str, Any], claims: Mapping[str, Any], more: str = "") -> str:
    """A signed token of any members but those that are None, with a text put behind the last claim."""
    parts = [json.dumps({name: value for name, value in one.items() if value is not None}) for one in (header, claims)]
    parts[1] = parts[1][:-1] + more + "}"
    signed = ".".join(base64url_encode(part.encode()).decode() for part in parts)
    signature = key.sign(signed.encode(), padding.PKCS1v15(), SHA256())
    return f"{signed}.{base64url_encode(signature).decode()}"


def header_of(key: RSAPrivateKey) -> dict[str, Any]:
    return {"alg": "RS256", "typ": "site+jwt", "kid": public_jwk(key)["kid"]}


def sign_ben_in(totara: Totara, case: Case, browser: Client, bridge: RSAPrivateKey, nonce: str, jti: str) -> None:
    """What a case tells to come before: somebody else has signed in with the same nonce, the same jti, or both."""
    here = "nonce" in case["before"]
    earlier = browser if here else Client(totara.app)
    ben = totara.users[totara.add_user("ben@learn.test", tenant="academy")]
    used = jti if "jti" in case["before"] else secrets.token_hex(16)
    claims = right(totara, ben, nonce if here else begin(earlier), used)
    assert bring(earlier, write(bridge, header_of(bridge), claims)).location.startswith("/course")


def claims_of(totara: Totara, case: Case, user: User, browser: Client, bridge: RSAPrivateKey) -> dict[str, Any]:
    """What the token of a case says, once everything has happened that comes before."""
    nonce, jti = begin(browser), secrets.token_hex(16)
    if "before" in case:
        sign_ben_in(totara, case, browser, bridge, nonce, jti)
    if "nonce" in case:
        nonce = "0" * 32 if case["nonce"] == "made up" else begin(Client(totara.app))
    totara.clock.advance(seconds=case.get("age", 0))
    times = {name: totara.now() + seconds for name, seconds in case.get("times", {}).items()}
    return {**right(totara, user, nonce, jti), **case.get("claims", {}), **times}


def token_of(case: Case, claims: Mapping[str, Any], bridge: RSAPrivateKey, other: RSAPrivateKey) -> str:
    """The token of a case, signed as that tells."""
    kind = case.get("key")
    named = header_of(other if kind == "another" else bridge) | case.get("header", {})
    token = write(other if kind in ("another", "borrowed") else bridge, named, claims, case.get("more", ""))
    return token.rpartition(".")[0] + "." if kind == "none" else token


def session_of(totara: Totara, browser: Client) -> Session:
    """What a browser's cookie stands for."""
    cookie = browser.get_cookie(COOKIE)
    return totara.sign_on.find_session(cookie.value if cookie else "")


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["is"])
def test_the_imitation_does_as_the_plugin(
    totara: Totara, bridge: RSAPrivateKey, other_key: RSAPrivateKey, case: Case
) -> None:
    arrange(totara, case)
    user, browser = account(totara, case), Client(totara.app)
    if "wanted" in case:
        browser.get(START)
        session_of(totara, browser).wanted = case["wanted"]
    token = token_of(case, claims_of(totara, case, user, browser, bridge), bridge, other_key)
    before = session_of(totara, browser).user_id
    totara.sign_on.log.clear()
    answer = bring(browser, token)
    if "in" in case:
        assert (answer.location, totara.sign_on.log) == (case["in"], [("accepted", "", user.id)])
        assert session_of(totara, browser).user_id == user.id
        return
    about = 0 if case["refused"] in TABLE["unnamed"] else user.id
    assert (answer.location, totara.sign_on.log) == ("/login/index.php", [("refused", case["refused"], about)])
    assert session_of(totara, browser).user_id == before
    assert REFUSED in browser.get("/login/index.php").text
