"""docs/openapi.yaml says what the bridge really answers a company's machines, and what it takes from them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from werkzeug.test import TestResponse

from bridge import machines
from bridge.desk import MOST_AT_ONCE
from bridge.domain.rosters import MOST_ROWS
from bridge.domain.seats import SeatState, Why
from bridge.domain.teams import TeamRole
from bridge.web import team_api
from bridge.web.team_api import PoolKey
from bridge.web.team_shapes import GiveIn, PageAsked, SeatsAsked, SeatsSearched
from tests.test_mail import Inbox
from tests.test_openapi import DOCUMENT, fits, misfits, resolved
from tests.test_story_teams import ADA, BO, accepts, boss, world
from tests.test_team_api import GOOD, POOL, Machine, course, hr, machine
from tests.world import World

__all__ = ["boss", "course", "hr", "world"]

SCHEMAS = DOCUMENT["components"]["schemas"]
SEAT, HOLDER = "/team/seats/{seat}", "/team/seats/{seat}/holder"


def test_the_document_lists_every_word() -> None:
    assert set(SCHEMAS["SeatState"]["enum"]) == set(SeatState)
    codes = set(SCHEMAS["TeamProblem"]["properties"]["code"]["enum"])
    assert set(Why) - codes == {Why.GIVEN, Why.NOT_OF_TEAM, Why.STOPPED}
    written = re.findall(r"`(\w+)`", (Path(__file__).parent.parent / "docs/teams-api.md").read_text("utf-8"))
    assert codes <= set(written), "docs/teams-api.md says what each code means"


def test_the_document_has_the_limits_that_the_bridge_has() -> None:
    assert SCHEMAS["Give"]["properties"]["people"]["maxItems"] == MOST_ROWS
    named = {one["name"]: resolved(one["schema"]) for one in map(resolved, parameters("/team/seats", "get"))}
    assert named.keys() == SeatsAsked.model_fields.keys()
    assert SCHEMAS["Search"]["properties"].keys() == SeatsSearched.model_fields.keys()
    limit = PageAsked.model_json_schema()["properties"]["limit"]
    assert {word: limit[word] for word in ("minimum", "maximum", "default")} == {
        word: named["limit"][word] for word in ("minimum", "maximum", "default")
    }
    assert named["sort"]["enum"] == SeatsAsked.model_json_schema()["properties"]["sort"]["enum"]
    assert f"Up to {team_api.FEW} people" in DOCUMENT["paths"]["/team/seats"]["post"]["description"]
    assert f"{machines.MOST_A_MINUTE} requests" in DOCUMENT["info"]["description"]
    assert f"{team_api.MOST_LIST_BYTES // 1024 // 1024} MiB" in str(DOCUMENT["paths"]["/team/seats"]["post"])


def parameters(path: str, method: str) -> Any:
    return DOCUMENT["paths"][path][method]["parameters"]


@pytest.mark.parametrize(
    "change",
    [
        {"people": []},
        {"people": [{}]},
        {"people": [{"email": ""}]},
        {"people": [{"email": "x" * 255}]},
        {"people": [{"email": ADA, "first_name": None}]},
        {"people": [{"email": ADA, "language": "x" * 17}]},
        {"people": [{"email": ADA, "role": "x"}]},
        {"picked": "seat:1"},
        {"picked": 7},
        {"pool": "X"},
        {"more": 1},
    ],
    ids=str,
)
def test_what_the_document_refuses_the_bridge_refuses(change: dict[str, Any]) -> None:
    assert misfits(GOOD, SCHEMAS["Give"]) == []
    GiveIn.model_validate(GOOD)
    assert misfits({**GOOD, **change}, SCHEMAS["Give"]) != []
    with pytest.raises(ValidationError):
        GiveIn.model_validate({**GOOD, **change})


def test_what_is_answered_to_who_looks_is_as_described(world: World, hr: Machine, inbox: Inbox) -> None:
    hr.give(ADA, BO)
    world.settle()
    accepts(world, inbox, ADA, consents=True)
    fits(hr.ask("GET", ""), "get", "/team", 200)
    page = fits(hr.ask("GET", "/seats?limit=1"), "get", "/team/seats", 200)
    assert page["next"]
    for row in fits(hr.ask("GET", "/seats"), "get", "/team/seats", 200)["seats"]:
        fits(hr.ask("GET", f"/seats/{row['seat']}"), "get", SEAT, 200)
    fits(hr.ask("GET", "/history?limit=2"), "get", "/team/history", 200)
    fits(hr.ask("GET", "/seats?sort=x"), "get", "/team/seats", 422)
    fits(hr.ask("POST", "/seats/search", {"search": "corp", "limit": 1}), "post", "/team/seats/search", 200)
    fits(hr.ask("POST", "/seats/search", {}), "post", "/team/seats/search", 422)
    fits(hr.ask("GET", "/seats/999"), "get", SEAT, 404)
    fits(hr.ask("GET", "/lists/999"), "get", "/team/lists/{number}", 404)


def test_what_is_answered_to_who_gives_is_as_described(world: World, hr: Machine) -> None:
    few = fits(hr.give(ADA, "nobody", ADA), "post", "/team/seats", 200)
    many = hr.give(*(f"p{n}@corp.test" for n in range(21)))
    number = fits(many, "post", "/team/seats", 202)["list"]
    fits(hr.ask("GET", f"/lists/{number}"), "get", "/team/lists/{number}", 200)
    world.settle()
    fits(hr.ask("GET", f"/lists/{number}?limit=5"), "get", "/team/lists/{number}", 200)
    seat = few["results"][0]["seat"]
    fits(hr.ask("POST", f"/seats/{seat}/resend"), "post", f"{SEAT}/resend", 200)
    fits(hr.ask("POST", f"/seats/{seat}/approval"), "post", f"{SEAT}/approval", 409)
    fits(hr.ask("PUT", f"/seats/{seat}/holder", {"email": BO}), "put", HOLDER, 200)
    fits(hr.ask("DELETE", f"/seats/{seat}/holder"), "delete", HOLDER, 200)
    fits(hr.ask("DELETE", f"/seats/{seat}/holder"), "delete", HOLDER, 409)


@pytest.mark.parametrize("what", ["resend", "take-back"])
def test_what_is_answered_to_who_asks_for_all_of_a_pool_is_as_described(world: World, hr: Machine, what: str) -> None:
    described = f"/team/pools/{{pool}}/{what}"
    hr.give(ADA, BO)
    world.clock.advance(days=15)
    path = f"/pools/{hr.get('')['pools'][0]['pool']}/{what}"
    assert fits(hr.ask("POST", path), "post", described, 200) == {"seats": 2, "more": False}
    fits(hr.ask("GET", "/history"), "get", "/team/history", 200)
    fits(hr.ask("POST", path, {"all": True}), "post", described, 422)
    fits(hr.ask("POST", f"/pools/{POOL}/{what}"), "post", described, 404)
    fits(machine(world, TeamRole.VIEWER).ask("POST", path), "post", described, 403)
    fits(Machine(hr.web, "", 0).ask("POST", path), "post", described, 401)
    assert f"{MOST_AT_ONCE:,} seats" in DOCUMENT["paths"][described]["post"]["description"]
    assert parameters(described, "post")[0]["$ref"].endswith("/PoolOfTeam")
    assert re.fullmatch(SCHEMAS["PoolKey"]["pattern"], POOL)
    assert PoolKey.regex == SCHEMAS["PoolKey"]["pattern"].strip("^$"), "what is no key is no address"


def test_refusals_are_as_described(world: World, hr: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/team/seats"
    fits(hr.ask("POST", "/seats", GOOD), "post", path, 400)
    fits(hr.ask("POST", "/seats", GOOD, **{"Idempotency-Key": "k"}), "post", path, 404)
    fits(hr.ask("POST", "/seats", {}, **{"Idempotency-Key": "k"}), "post", path, 422)
    fits(machine(world, TeamRole.VIEWER).ask("POST", "/seats", GOOD), "post", path, 403)
    fits(Machine(hr.web, "", 0).ask("POST", "/seats", GOOD), "post", path, 401)
    fits(posted(hr, b"{}", "text/plain"), "post", path, 415)
    fits(posted(hr, b" " * (team_api.MOST_LIST_BYTES + 1), "application/json"), "post", path, 413)
    for _ in range(machines.MOST_A_MINUTE):
        answer = hr.ask("GET", "")
    fits(answer, "get", "/team", 429)


def posted(hr: Machine, data: bytes, kind: str) -> TestResponse:
    headers = {"Authorization": f"Bearer {hr.token}", "Idempotency-Key": "k"}
    return hr.web.post("/api/v1/team/seats", data=data, headers=headers, content_type=kind)
