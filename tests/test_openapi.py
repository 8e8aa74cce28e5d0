"""docs/openapi.yaml says what the bridge really answers: the same addresses, and answers that fit its schemas."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from werkzeug.test import TestResponse

from bridge.domain.offers import Kind
from bridge.my_courses import Standing
from bridge.web import api
from tests.world import World

SECRET = "the-secret-that-the-shop-shares-01234567"
NIA = "nia@pass.test"
DOCUMENT: Mapping[str, Any] = yaml.safe_load((Path(__file__).parent.parent / "docs/openapi.yaml").read_text("utf-8"))

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}
#: The words of a schema that say nothing about the value.
_SILENT = {"description", "default"}


def resolved(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of the document, or what it refers to."""
    while "$ref" in part:
        found: Any = DOCUMENT
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def misfits(value: Any, schema: Mapping[str, Any], at: str = "") -> list[str]:
    """Where a value does not fit a schema. Knows the words that the document uses; raises KeyError for any other."""
    schema = resolved(schema)
    found: list[str] = []
    for word, rule in schema.items():
        if word not in _SILENT:
            found += [f"{at or 'it'}: {word}" for ok in [_RULES[word](value, rule)] if not ok]
    if isinstance(value, dict):
        known = schema.get("properties", {})
        if schema.get("additionalProperties") is False:
            found += [f"{at}.{name}: not in the document" for name in value.keys() - known.keys()]
        for name in value.keys() & known.keys():
            found += misfits(value[name], known[name], f"{at}.{name}")
    if isinstance(value, list):
        for one in value:
            found += misfits(one, schema["items"], f"{at}[]")
    return found


def is_a(value: Any, kind: str | list[str]) -> bool:
    kinds = [kind] if isinstance(kind, str) else kind
    return any(isinstance(value, _TYPES[k]) and not (k == "integer" and isinstance(value, bool)) for k in kinds)


_RULES: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": is_a,
    "enum": lambda value, rule: value in rule,
    "const": lambda value, rule: bool(value == rule),
    "pattern": lambda value, rule: not isinstance(value, str) or bool(re.search(rule, value)),
    "minimum": lambda value, rule: value is None or value >= rule,
    "maximum": lambda value, rule: value is None or value <= rule,
    "minLength": lambda value, rule: not isinstance(value, str) or len(value) >= rule,
    "maxLength": lambda value, rule: not isinstance(value, str) or len(value) <= rule,
    "minItems": lambda value, rule: not isinstance(value, list) or len(value) >= rule,
    "maxItems": lambda value, rule: not isinstance(value, list) or len(value) <= rule,
    "required": lambda value, rule: set(rule) <= set(value),
    "oneOf": lambda value, rule: sum(is_a(value, resolved(s)["type"]) and not misfits(value, s) for s in rule) == 1,
    # These are looked at with the value's parts.
    "properties": lambda value, rule: True,
    "additionalProperties": lambda value, rule: rule is False,
    "items": lambda value, rule: True,
}


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world(sso={"shop_secrets": [SECRET]})


def token(world: World, typ: str, **more: Any) -> str:
    now = int(world.now().timestamp())
    config = world.bridge.settings
    claims = {"iss": config.shop.url, "aud": config.server.public_url, "iat": now, "exp": now + 60}
    whole = {**claims, "jti": secrets.token_hex(16), **more}
    return jwt.encode(whole, SECRET, algorithm="HS256", headers={"typ": typ})


def asked(world: World, method: str, path: str, bearer: str) -> TestResponse:
    return world.web.open(f"/api/v1{path}", method=method, headers={"Authorization": f"Bearer {bearer}"})


def fits(answer: TestResponse, method: str, path: str, status: int) -> Any:
    """The answer's body, once it is as the document says of this status."""
    assert answer.status_code == status, answer.text
    described = resolved(DOCUMENT["paths"][path][method]["responses"][str(status)])
    assert misfits(answer.get_json(), described["content"][answer.mimetype]["schema"]) == []
    return answer.get_json()


def test_the_document_and_the_bridge_have_the_same_addresses(world: World) -> None:
    described = {(method.upper(), path) for path, one in DOCUMENT["paths"].items() for method in one}
    served = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix("/api/v1")))
        for rule in world.bridge.web().url_map.iter_rules()
        if rule.endpoint.startswith(("api.", "team_api."))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == described


def test_the_document_lists_every_state_and_kind() -> None:
    course = DOCUMENT["components"]["schemas"]["Course"]["properties"]
    assert set(course["state"]["enum"]) == set(Standing)
    kinds = re.findall(r"[a-z]+", course["item"]["pattern"])
    assert set(kinds) == set(Kind)


def test_every_reference_leads_somewhere_and_every_schema_can_be_checked() -> None:
    def walk(part: Any) -> int:
        if isinstance(part, dict):
            return ("$ref" in part and bool(resolved(part))) + sum(walk(one) for one in part.values())
        return sum(walk(one) for one in part) if isinstance(part, list) else 0

    assert walk(DOCUMENT) > 10
    for schema in DOCUMENT["components"]["schemas"].values():
        words = schema.keys() | {word for one in schema.get("properties", {}).values() for word in one}
        assert words <= _RULES.keys() | _SILENT | {"$ref"}


@pytest.mark.parametrize(
    "broken",
    [
        {"item": "seat:1"},
        {"state": "soon"},
        {"reason": None},
        {"progress": 101},
        {"progress": True},
        {"completed": None},
        {"until": "2027-03-01"},
        {"certificate": 5},
        {"certificate": "/mod/certificate/view.php?id=7"},
        {"more": 1},
    ],
    ids=str,
)
def test_an_answer_that_does_not_fit_is_found(broken: dict[str, Any]) -> None:
    right = {
        "item": "course:7",
        "name": "Rules of origin",
        "sold_as": "",
        "state": "ready",
        "reason": "",
        "target": "course:7",
        "starts": None,
        "until": "2027-03-01T00:00:00Z",
        "progress": 100,
        "completed": True,
        "certificate": None,
    }
    schema = DOCUMENT["components"]["schemas"]["Course"]
    assert misfits(right, schema) == []
    assert len(misfits({**right, **broken}, schema)) > 0
    assert misfits({name: right[name] for name in list(right)[1:]}, schema) == ["it: required"]


def test_the_answers_about_courses_are_as_described(world: World) -> None:
    nia = world.shop.add_customer(NIA, first_name="Nia", last_name="Noon")
    ready, ended, coming = (world.course(code) for code in ("ONE", "TWO", "THREE"))
    orders = [world.shop.place_order([(world.sell(c), 1)], customer_id=nia, email=NIA) for c in (ready, ended)]
    world.look(*orders)
    world.shop.set_status(orders[1], "cancelled")
    last = world.shop.place_order([(world.sell(coming), 1)], customer_id=nia, email=NIA)
    world.totara.faults.down()
    world.look(orders[1], last)
    path = "/customers/{customer}/courses"
    answer = asked(world, "GET", f"/customers/{nia}/courses", token(world, "read+jwt", sub=str(nia)))
    body = fits(answer, "get", path, 200)
    assert {one["item"]: one["state"] for one in body["courses"]} == {
        f"course:{ready}": "ready",
        f"course:{ended}": "ended",
        f"course:{coming}": "waiting",
    }
    fits(asked(world, "GET", f"/customers/{nia}/courses", "x"), "get", path, 401)
    fits(asked(world, "GET", "/customers/999/courses", token(world, "read+jwt", sub=str(nia))), "get", path, 403)
    for _ in range(api.MOST_A_MINUTE):
        answer = asked(world, "GET", f"/customers/{nia}/courses", token(world, "read+jwt", sub=str(nia)))
    fits(answer, "get", path, 429)


def test_the_other_answers_are_as_described(world: World) -> None:
    fits(asked(world, "GET", "/status", token(world, "read+jwt", sub="0")), "get", "/status", 200)
    fits(asked(world, "GET", "/status", token(world, "read+jwt", sub="7")), "get", "/status", 403)
    fits(asked(world, "GET", "/status", token(world, "poke+jwt", order=7)), "get", "/status", 401)
    poked = asked(world, "POST", "/pokes", token(world, "poke+jwt", order=7))
    assert fits(poked, "post", "/pokes", 202) == {"order": 7}
    fits(asked(world, "POST", "/pokes", token(world, "read+jwt", sub="7")), "post", "/pokes", 401)
    for _ in range(api.MOST_A_MINUTE):
        poked = asked(world, "POST", "/pokes", token(world, "poke+jwt", order=7))
    fits(poked, "post", "/pokes", 429)


def test_the_answers_about_signing_out_are_as_described(world: World) -> None:
    path = "/customers/{customer}/sign-out"
    told = asked(world, "POST", "/customers/7/sign-out", token(world, "sign-out+jwt", sub="7", sid="s" * 43))
    assert fits(told, "post", path, 200) == {"customer": 7, "ended": 0}
    fits(asked(world, "POST", "/customers/7/sign-out", token(world, "sign-out+jwt", sub="7")), "post", path, 200)
    fits(asked(world, "POST", "/customers/7/sign-out", token(world, "sign-out+jwt", sub="8")), "post", path, 403)
    fits(asked(world, "POST", "/customers/7/sign-out", token(world, "read+jwt", sub="7")), "post", path, 401)
