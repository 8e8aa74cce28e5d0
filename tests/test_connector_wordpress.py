"""The shop's plugin, as far as it needs no WordPress: its signer, its grammars, its texts, and that PHP reads it."""

from __future__ import annotations

import base64
import gettext
import hmac
import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from bridge.domain.catalogue import sold_by
from bridge.domain.offers import META, Offer, offer_from_meta, read_item
from bridge.shop_tokens import ShopTokens
from tests.php_age import too_new
from tests.wordpress import PHP_FILES, PLUGIN

SECRET = "shared-between-shop-and-bridge_0123456789"
SOURCES = sorted(PLUGIN.rglob("*.php"))
Php = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def php(php_program: str) -> Php:
    """Calls functions of the plugin: each call is (class, function, argument, …)."""

    def as_argument(value: Any) -> Any:
        if isinstance(value, bytes):
            return {"bytes": base64.b64encode(value).decode()}
        return {key: as_argument(one) for key, one in value.items()} if isinstance(value, dict) else value

    def call(*calls: tuple[Any, ...]) -> list[Any]:
        asked = [[one[0], one[1], [as_argument(argument) for argument in one[2:]]] for one in calls]
        done = subprocess.run(
            [php_program, "-d", "display_errors=stderr", str(PHP_FILES / "plain.php")],
            input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "PLUGIN": str(PLUGIN)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answers: list[Any] = json.loads(done.stdout)
        return answers

    return call


# --- PHP ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_php_reads_every_file(php_program: str, source: Any) -> None:
    done = subprocess.run([php_program, "-l", str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_file_needs_a_php_later_than_7_4(php_program: str, source: Any) -> None:
    assert too_new(php_program, source) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_file_does_anything_when_it_is_called_by_itself(source: Any) -> None:
    assert re.search(
        r"^defined\( '(ABSPATH|WP_UNINSTALL_PLUGIN)' \) \|\| exit;$", source.read_text("utf-8"), re.MULTILINE
    )


# --- the signer --------------------------------------------------------------------------------------------------


def test_base64url_is_as_in_rfc_7515_appendix_c(php: Php) -> None:
    octets = bytes([3, 236, 255, 224, 193])
    assert php(("Token", "base64url", octets), ("Token", "base64url", "")) == ["A-z_4ME", ""]


def test_the_mac_is_that_of_rfc_7515_appendix_a1_and_rfc_7519_section_3_1(php: Php) -> None:
    header = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    secret = base64.urlsafe_b64decode(key + "==")
    assert php(("Token", "mac", f"{header}.{claims}", secret)) == ["dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"]


def test_pyjwt_reads_what_the_plugin_signs(php: Php) -> None:
    claims = {
        "sub": "12",
        "email": "änne@example.org",
        "given_name": 'O"\\</script>',
        "email_verified": False,
        "order": 7,
    }
    (token,) = php(("Token", "sign", "launch+jwt", claims, SECRET))
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "launch+jwt"}
    assert jwt.decode(token, SECRET, algorithms=["HS256"]) == claims
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, SECRET[:-1] + "x", algorithms=["HS256"])


def test_text_that_is_not_utf_8_does_not_keep_anybody_out(php: Php) -> None:
    (token,) = php(("Token", "sign", "launch+jwt", {"given_name": b"J\xfcrgen"}, SECRET))
    assert jwt.decode(token, SECRET, algorithms=["HS256"]) == {"given_name": "J\N{REPLACEMENT CHARACTER}rgen"}


def test_the_plugin_makes_the_signature_that_pyjwt_makes(php: Php) -> None:
    tokens = [
        jwt.encode({"n": secrets.token_hex(n), "ü": "€"}, SECRET, algorithm="HS256", headers={"typ": "poke+jwt"})
        for n in range(1, 40)
    ]
    signed = php(*(("Token", "mac", token.rpartition(".")[0], SECRET) for token in tokens))
    assert signed == [token.rpartition(".")[2] for token in tokens]


def test_every_token_lives_a_minute_and_is_one_of_its_kind(php: Php) -> None:
    now = int(time.time())
    made = php(*[("Token", "common_claims", "https://shop.test", "https://bridge.test", now)] * 50)
    assert all(re.fullmatch("[0-9a-f]{32}", one["jti"]) for one in made)
    assert len({one["jti"] for one in made}) == 50
    assert all(one | {"jti": ""} == {
        "iss": "https://shop.test", "aud": "https://bridge.test", "iat": now, "exp": now + 60, "jti": "",
    } for one in made)  # fmt: skip


def test_the_name_of_a_login_tells_nothing_of_it_and_is_one_that_the_bridge_takes(php: Php) -> None:
    tokens = [secrets.token_urlsafe(32) for _ in range(20)]
    names = php(*(("Sign_Out", "sid", token) for token in tokens))
    right = [hmac.digest(token.encode(), b"academy-bridge sid", "sha256") for token in tokens]
    assert names == [base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in right]
    assert php(("Sign_Out", "sid", "")) == [""]
    read = ShopTokens([SECRET], "https://shop.test", "https://bridge.test", lambda: datetime.now(UTC))
    (common,) = php(("Token", "common_claims", "https://shop.test", "https://bridge.test", int(time.time())))
    (told,) = php(("Token", "sign", "sign-out+jwt", {"sub": "12", "sid": names[0], **common}, SECRET))
    assert read.signed_out(told) == (12, names[0])


# --- grammars ----------------------------------------------------------------------------------------------------

TARGETS = ["home", "courses", "team", "resume", "course:7", "program:12", "order:123456789012345678"]
NO_TARGETS = [
    "", "Home", "home ", " home", "home\n", "course:", "course:0", "course:07", "course:-1", "audience:5",
    "course:1234567890123456789", "course:７", "course:7\n", "course:7/../x", "//evil.test", "https://evil.test",
    "course:7?x", "home\0", "courses\r\nX: y", "\\\\evil.test", "order:1,order:2",
]  # fmt: skip


def test_a_target_is_a_word_of_the_grammar_and_nothing_else(php: Php) -> None:
    right = php(*(("Target", "is_valid", word) for word in TARGETS + NO_TARGETS))
    assert right == [True] * len(TARGETS) + [False] * len(NO_TARGETS)


OFFERS: list[dict[str, str]] = [
    {"bridge_gives": "course:12"},
    {"bridge_gives": " Course:12 ,audience: 5,, "},
    {"bridge_gives": "nothing"},
    {"bridge_gives": "NOTHING"},
    {"bridge_gives": "course:12, course:12"},
    {"bridge_gives": "course:012"},
    {"bridge_gives": "12"},
    {"bridge_gives": "course:12 program:7"},
    {"bridge_gives": ","},
    {"bridge_gives": "nothing, course:12"},
    {"bridge_gives": "cohort:5"},
    {"bridge_gives": "certification:3"},
    {"bridge_gives": "course:12", "bridge_days": "365", "bridge_seats": "10", "bridge_for": "team"},
    {"bridge_gives": "course:12", "bridge_days": "0"},
    {"bridge_gives": "course:12", "bridge_days": "36500"},
    {"bridge_gives": "course:12", "bridge_days": "36501"},
    {"bridge_gives": "course:12", "bridge_days": "-3"},
    {"bridge_gives": "course:12", "bridge_days": "a year"},
    {"bridge_gives": "course:12", "bridge_seats": "1000"},
    {"bridge_gives": "course:12", "bridge_seats": "1001"},
    {"bridge_gives": "course:12", "bridge_for": "ask"},
    {"bridge_gives": "course:12", "bridge_for": "buyer"},
    {"bridge_gives": "course:12", "bridge_for": "me"},
    {"bridge_gives": "course:12", "bridge_starts": "2027-01-01", "bridge_until": "2027-12-31"},
    {"bridge_gives": "course:12", "bridge_starts": "2027-12-31", "bridge_until": "2027-01-01"},
    {"bridge_gives": "course:12", "bridge_starts": "2027-01-01", "bridge_until": "2027-01-01"},
    {"bridge_gives": "course:12", "bridge_until": "2027-02-29"},
    {"bridge_gives": "course:12", "bridge_until": "31.12.2027"},
    {"bridge_gives": "course:12", "bridge_until": "1999-12-31"},
    {"bridge_gives": "course:12", "bridge_until": "3000-01-01"},
    {"bridge_days": "30"},
    {"bridge_gives": "course:12, course:14", "bridge_pick": "yes", "bridge_report": "no"},
    {"bridge_gives": "course:12, course:14", "bridge_pick": "1", "bridge_report": "True"},
    {"bridge_gives": "course:12, course:14", "bridge_pick": "off"},
    {"bridge_gives": "course:12, course:14", "bridge_pick": "perhaps"},
    {"bridge_gives": "course:12, course:14", "bridge_pick": "yes", "bridge_for": "team"},
    {"bridge_gives": "course:12, course:14", "bridge_pick": "yes", "bridge_for": "buyer"},
    {"bridge_gives": "course:12", "bridge_pick": "yes"},
    {"bridge_gives": "course:12", "bridge_pick": "no", "bridge_for": "buyer"},
    {"bridge_pick": "yes"},
    {"bridge_gives": "course:12", "bridge_report": "2"},
    {"bridge_gives": "course:12", "bridge_assign_days": "365", "bridge_assign_until": "2027-12-31"},
    {"bridge_gives": "course:12", "bridge_assign_days": "0"},
    {"bridge_gives": "course:12", "bridge_assign_until": "soon"},
]  # fmt: skip


def _read_by_the_bridge(fields: dict[str, str]) -> Offer | None:
    every = {read_item(f"{kind}:{n}") for kind in ("audience", "program", "certification") for n in range(1, 20)}
    try:
        return offer_from_meta(fields, every, Offer(items=(read_item("course:1"),)))
    except ValueError:
        return None


@pytest.mark.parametrize("fields", OFFERS, ids=str)
def test_the_product_box_takes_what_the_bridge_can_read(php: Php, fields: dict[str, str]) -> None:
    (normal,) = php(("Offer", "normal", fields))
    (wrong,) = php(("Offer", "wrong", normal))
    meant = _read_by_the_bridge(fields)
    assert (not wrong) == (meant is not None), wrong
    assert meant is None or _read_by_the_bridge(normal) == meant, "its normal form means the same"


def test_the_product_box_knows_every_field_of_the_bridge() -> None:
    source = (PLUGIN / "includes" / "class-offer.php").read_text(encoding="utf-8")
    listed = re.search(r"const FIELDS\s*= array\((.*?)\)", source)
    assert listed and set(re.findall(r"'(\w+)'", listed[1])) == set(META)


@pytest.mark.parametrize("variation", [False, True])
def test_a_sku_means_the_course_that_it_means_to_the_bridge(php: Php, variation: bool) -> None:
    skus = [
        "totara-course-12",
        "Totara-Course-12",
        "totara-course-12-gold",
        "totara-course-x",
        "totara-course-0",
        "X",
        "",
    ]
    found = php(*(("Offer", "course_of_sku", sku, variation) for sku in skus))
    assert found == [sold_by(sku, 1 if variation else 0) or 0 for sku in skus]


def test_only_an_address_that_may_hold_secrets_is_the_bridges(php: Php) -> None:
    right = {
        "https://bridge.example.org": "https://bridge.example.org",
        " https://bridge.example.org:8443/sub/ ": "https://bridge.example.org:8443/sub",
        "http://127.0.0.1:8080": "http://127.0.0.1:8080",
        "http://[::1]:8080/": "http://[::1]:8080",
    }
    wrong = [
        "", "bridge.example.org", "http://bridge.example.org", "http://127.0.0.1.evil.test", "ftp://bridge.example.org",
        "https://user:word@bridge.example.org", "https://bridge.example.org?x=1", "https://bridge.example.org#x",
        "javascript:alert(1)", "https://", 'https://x"onload=', "https://bridge example.org", "https://bridge.test\n.x",
    ]  # fmt: skip
    cleaned = php(*(("Settings", "clean_address", address) for address in [*right, *wrong]))
    assert cleaned == [*right.values(), *[""] * len(wrong)]


def test_a_secret_is_long_and_of_letters_that_nobody_changes_on_the_way(php: Php) -> None:
    right, wrong = (
        ["a" * 32, SECRET, "A-Z_" * 9],
        ["", "a" * 31, "a" * 31 + "&", "ä" * 32, "a" * 32 + "\n", " " + "a" * 32],
    )
    said = php(*(("Settings", "is_secret", secret) for secret in right + wrong))
    assert said == [True] * len(right) + [False] * len(wrong)


def test_what_the_bridge_says_of_courses_is_not_trusted_blindly(php: Php) -> None:
    good = {"name": "A", "sold_as": ["x"], "state": "ready", "reason": "", "target": "course:7", "until": None,
            "progress": 140, "completed": "yes", "certificate": "javascript:alert(1)"}  # fmt: skip
    answers = [
        {"customer": 12, "courses": [good, "x", {"name": ["x"], "state": "ready"}, {"name": "B", "state": "lost"}]},
        {"customer": 13, "courses": [good]},
        {"customer": "12", "courses": []},
        {"customer": 12, "courses": "none"},
        {},
    ]
    (first, *others) = php(*(("Courses", "read", answer, 12) for answer in answers))
    assert first == [good | {"sold_as": "", "until": 0, "progress": 100, "completed": False, "certificate": ""}]
    assert others == [None] * 4


# --- texts -------------------------------------------------------------------------------------------------------

#: __( 'text', … ) and _n( 'one', 'many', …
_ONE = re.compile(r"(?:__|esc_html__|esc_attr__)\( '((?:[^'\\]|\\.)*)', 'academy-bridge'")
_MANY = re.compile(r"_n\( '((?:[^'\\]|\\.)*)', '((?:[^'\\]|\\.)*)',")


def _texts() -> set[str]:
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    found = {*_ONE.findall(source), *(text for pair in _MANY.findall(source) for text in pair)}
    return {text.replace("\\'", "'") for text in found}


def test_every_text_is_in_the_template_and_nothing_else() -> None:
    template = (PLUGIN / "languages" / "academy-bridge.pot").read_text(encoding="utf-8")
    listed = re.findall(r'^msgid(?:_plural)? "(.+)"$', template, re.MULTILINE)
    assert {text.replace('\\"', '"') for text in listed} == _texts()


def test_every_text_is_there_in_french_with_the_same_places_to_fill() -> None:
    with (PLUGIN / "languages" / "academy-bridge-fr_FR.mo").open("rb") as file:
        french = gettext.GNUTranslations(file)
    places = re.compile(r"%(?:\d\$)?[ds]|%%")
    for one, many in _MANY.findall("".join(path.read_text(encoding="utf-8") for path in SOURCES)):
        for count in (1, 2):
            assert places.findall(french.ngettext(one, many, count)) == places.findall(one)
            assert french.ngettext(one, many, count) not in (one, many) or "%d place" in one
    plain = _texts() - {text for pair in _MANY.findall("".join(p.read_text("utf-8") for p in SOURCES)) for text in pair}
    for text in plain:
        said = french.gettext(text)
        assert said != text or text in SAME_IN_FRENCH, text
        assert sorted(places.findall(said)) == sorted(places.findall(text)), text


SAME_IN_FRENCH = {"Secret", "name@example.org"}
