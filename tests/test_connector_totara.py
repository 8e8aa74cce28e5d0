"""Totara's half of the sign-on: the PHP plugin's own tests, and tokens exchanged between Python and PHP."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from jwt.utils import base64url_encode

from tests.conftest import not_here
from tests.php_age import too_new

PLUGIN = Path(__file__).parents[1] / "connectors" / "totara" / "auth" / "bridge"
PLAIN = PLUGIN / "tests" / "plain"
SOURCES = sorted(PLUGIN.rglob("*.php"))
NOW = 1_700_000_000
ISSUER = "https://bridge.example.com"
SITE = "https://learn.example.com"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """The bridge's key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    """The public half as the bridge publishes it: named by its thumbprint (RFC 7638)."""
    whole: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    named = {name: whole[name] for name in ("e", "kty", "n")}
    canonical = json.dumps(named, separators=(",", ":")).encode()
    kid = base64url_encode(hashlib.sha256(canonical).digest()).decode()
    return {**named, "use": "sig", "alg": "RS256", "kid": kid}


def claims(**other: Any) -> dict[str, Any]:
    """Right claims, but for those that are given."""
    right = {
        "iss": ISSUER,
        "aud": SITE,
        "sub": "42",
        "username": "anna",
        "nonce": "0" * 32,
        "target": "/course/view.php?id=7",
        "iat": NOW,
        "exp": NOW + 60,
        "jti": "f" * 32,
    }
    return {**right, **other}


def sign(key: rsa.RSAPrivateKey, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **other: Any) -> str:
    """A site token as PyJWT makes it."""
    named = {"typ": "site+jwt", "kid": public_jwk(key)["kid"], **(headers or {})}
    return jwt.encode(claims(**other), key, algorithm, named)


def run(
    php_program: str, *arguments: str, given: str = "", folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run PHP with every warning shown. ``folder`` is for what it makes of files meanwhile."""
    command = [php_program, "-d", "error_reporting=-1", "-d", "display_errors=stderr", *arguments]
    environment = {**os.environ, **({"TMPDIR": str(folder)} if folder else {})}
    return subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, timeout=300, env=environment
    )


def exchange(php_program: str, **asked: Any) -> Any:
    """Ask the PHP side to verify or to make tokens."""
    done = run(php_program, str(PLAIN / "exchange.php"), given=json.dumps(asked))
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def verify(php_program: str, key: rsa.RSAPrivateKey, *tokens: str) -> list[dict[str, Any]]:
    """What the plugin makes of tokens, with the key as it is published."""
    published = json.dumps({"keys": [public_jwk(key)]})
    answers: list[dict[str, Any]] = exchange(
        php_program, do="verify", tokens=tokens, jwks=published, issuer=ISSUER, audience=SITE, now=NOW
    )
    return answers


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_file_of_the_plugin_is_php(php_program: str, path: Path) -> None:
    done = run(php_program, "-l", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_file_of_the_plugin_needs_a_php_later_than_7_4(php_program: str, path: Path) -> None:
    assert too_new(php_program, path) == []


@pytest.fixture(scope="session")
def php_with_sqlite(php_program: str) -> str:
    """Where PHP is, with what the plugin's plain tests need of it."""
    if "pdo_sqlite" not in run(php_program, "-m").stdout.split():
        not_here("PHP has no SQLite on this machine: apt-get install php-sqlite3")
    return php_program


@pytest.mark.timeout(300)
@pytest.mark.parametrize("cases", sorted(PLAIN.glob("cases_*.php")), ids=lambda path: path.stem)
def test_the_plugin_s_plain_tests_pass(php_with_sqlite: str, cases: Path, tmp_path: Path) -> None:
    done = run(php_with_sqlite, str(PLAIN / "run.php"), str(cases), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"[1-9]\d* passed, 0 failed\n", done.stdout)


def test_the_plugin_takes_what_pyjwt_signs(php_program: str, key: rsa.RSAPrivateKey) -> None:
    answers = verify(php_program, key, sign(key), sign(key, target="/", username="jörg@example.com", sid="a" * 32))
    assert answers[1]["sid"] == "a" * 32
    assert answers[0] == {
        "userid": 42,
        "username": "anna",
        "nonce": "0" * 32,
        "target": "/course/view.php?id=7",
        "jti": "f" * 32,
        "sid": "",
        "expires": NOW + 60,
    }
    assert (answers[1]["target"], answers[1]["username"]) == ("/", "jörg@example.com")


def test_the_plugin_refuses_what_pyjwt_signs_wrongly(php_program: str, key: rsa.RSAPrivateKey) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kid = public_jwk(key)["kid"]
    named = {"typ": "site+jwt", "kid": kid}
    wrong = {
        "another key": sign(other),
        "another key by our name": sign(other, headers={"kid": kid}),
        "RS512": sign(key, "RS512"),
        "PS256": sign(key, "PS256"),
        "none": jwt.encode(claims(), "", "none", named),
        "a shared secret": jwt.encode(claims(), "s" * 40, "HS256", named),
        "a launch token": sign(key, headers={"typ": "launch+jwt"}),
        "its own key": sign(other, headers={"jwk": public_jwk(other)}),
        "two audiences": sign(key, aud=[SITE, ISSUER]),
        "times in fractions": sign(key, exp=NOW + 59.5),
        "two hours": sign(key, exp=NOW + 7200),
        "elsewhere": sign(key, target="//elsewhere.example"),
    }
    answers = dict(zip(wrong, verify(php_program, key, *wrong.values()), strict=True))
    assert {name: answer.get("refused") for name, answer in answers.items()} == {
        "another key": "key",
        "another key by our name": "signature",
        "RS512": "header",
        "PS256": "header",
        "none": "header",
        "a shared secret": "header",
        "a launch token": "header",
        "its own key": "malformed",
        "two audiences": "malformed",
        "times in fractions": "malformed",
        "two hours": "lifetime",
        "elsewhere": "target",
    }


def test_pyjwt_takes_what_php_signs(php_program: str, key: rsa.RSAPrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    token = exchange(php_program, do="make", key=pem, claims={"iss": ISSUER, "aud": SITE, "sub": "7"})
    read = jwt.decode_complete(
        token,
        key.public_key(),
        ["RS256"],
        audience=SITE,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "jti", "sub"]},
    )
    assert read["header"] == {"alg": "RS256", "typ": "site+jwt", "kid": public_jwk(key)["kid"]}
    assert read["payload"]["sub"] == "7"


def test_every_text_is_there_in_both_languages(php_program: str) -> None:
    words = {language: set(texts(php_program, language)) for language in ("en", "fr")}
    assert words["en"] == words["fr"]
    for path in PLUGIN.rglob("*.php"):
        source = path.read_text(encoding="utf-8")
        used = re.findall(r"get_string\('(\w+)', 'auth_bridge'", source) + re.findall(r"\$text\('(\w+)'", source)
        assert set(used) <= words["en"], path
        if "classes" in path.parts:
            reasons = re.findall(r"new refused\('(\w+)'", source)
            assert {f"refused_{reason}" for reason in reasons} <= words["en"], path


def texts(php_program: str, language: str) -> list[str]:
    """The names of the texts of one language."""
    path = PLUGIN / "lang" / language / "auth_bridge.php"
    script = f"define('MOODLE_INTERNAL', true); $string = []; require '{path}'; echo json_encode(array_keys($string));"
    names: list[str] = json.loads(run(php_program, "-r", script).stdout)
    return names
