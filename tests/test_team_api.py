"""Stories: a company's HR system does by itself what its training managers do on pages. On both databases."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from bridge import desk, machines
from bridge.domain.seats import Wait
from bridge.domain.teams import Action, TeamRole, may
from bridge.office import Actor
from bridge.store import audit, placing, pooled, teams
from bridge.store.batches import Invitee
from bridge.store.signon import new_secret
from bridge.store.team_tokens import PREFIX
from bridge.web.team_api import FEW
from tests.test_mail import Inbox
from tests.test_story_teams import ADA, BO, BOSS, accepts, boss, buys, counts, world
from tests.world import World

__all__ = ["boss", "world"]

MANAGER, VIEWER = TeamRole.MANAGER, TeamRole.VIEWER


def owner_of(world: World, email: str) -> Actor:
    """The owner of the team that whoever has this address bought seats for."""
    with world.bridge.store.read() as connection:
        buyers = {row.id for row in world.rows("persons") if row.email == email}
        (team,) = [row.id for row in world.rows("teams") if row.buyer_id in buyers]
        found = teams.get_team(connection, team)
    return Actor(found, TeamRole.OWNER, f"person {found.buyer}", found.buyer)


@dataclass
class Machine:
    """A company's program, with its token."""

    web: Client
    token: str
    number: int
    keys: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        named = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        sent = {} if body is None else {"json": body}
        return self.web.open(f"/api/v1/team{path}", method=method, headers={**named, **headers}, **sent)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def give(self, *emails: str, key: str = "", **more: Any) -> TestResponse:
        pool = self.get("")["pools"][0]["pool"]
        body = {"pool": pool, "people": [{"email": email} for email in emails], **more}
        return self.ask("POST", "/seats", body, **{"Idempotency-Key": key or f"key-{next(self.keys)}"})


def machine(world: World, role: TeamRole = MANAGER, email: str = BOSS) -> Machine:
    number, secret = world.bridge.desk.make_token(owner_of(world, email), "HR", role)
    return Machine(world.web, secret, number)


@pytest.fixture
def course(world: World) -> int:
    return world.course("ONE")


@pytest.fixture
def hr(world: World, boss: int, course: int) -> Machine:
    """The HR system of a company that has bought three seats."""
    buys(world, boss, world.sell(course), 3)
    return machine(world)


def code(answer: TestResponse) -> tuple[int, str]:
    """What a refusal says to programs."""
    body = answer.get_json()
    assert answer.mimetype == "application/problem+json"
    assert body.keys() >= {"type", "title", "status", "code", "detail"}
    assert body["status"] == answer.status_code
    return answer.status_code, body["code"]


def refusals(world: World) -> list[tuple[str, int | None, str]]:
    """By whom, of which team, and at what: what the audit log says was refused."""
    entries = sorted(world.rows("audit"), key=lambda row: row.id)
    return [(row.actor, row.team_id, row.facts["at"]) for row in entries if row.event == "refused"]


# --- the team and its seats ------------------------------------------------------------------------------------------


def test_a_machine_sees_the_team_and_what_its_pools_give(world: World, hr: Machine, course: int) -> None:
    hr.give(ADA)
    body = hr.get("")
    (pool,) = body["pools"]
    assert (body["name"], body["role"], body["approval"]) == ("Harbour & Sons", "manager", False)
    assert (pool["gives"], pool["picks"], pool["total"]) == ([f"course:{course}"], False, 3)
    assert {state: number for state, number in pool["seats"].items() if number} == {"open": 2, "invited": 1}
    (token,) = world.rows("team_tokens")
    assert token.used_at is not None


def test_people_are_invited_accept_and_learn(world: World, hr: Machine, inbox: Inbox, course: int) -> None:
    answer = hr.give(ADA, "no address", ADA)
    assert answer.status_code == 200
    body = answer.get_json()
    assert [(one["number"], one["code"]) for one in body["results"]] == [
        (1, "given"),
        (2, "no_address"),
        (3, "has_one"),
    ]
    assert (body["done"], body["waiting"], body["by"]) == (True, 0, f"token {hr.number}")
    assert body["counts"] == {"given": 1, "no_address": 1, "has_one": 1}
    world.settle()
    accepts(world, inbox, ADA)
    assert world.access() == {(ADA, course): "active"}
    seat = hr.get(f"/seats/{body['results'][0]['seat']}")
    assert (seat["state"], seat["person"]["email"], seat["completed"]) == ("taken", ADA, None)
    assert [row.actor for row in world.rows("batches")] == [f"token {hr.number}"]
    given = [row.actor for row in world.rows("audit") if row.event == "seat given"]
    assert given == [f"token {hr.number}"]


def test_completion_is_shown_to_a_team_that_may_see_it(world: World, hr: Machine, inbox: Inbox, course: int) -> None:
    hr.give(ADA, BO)
    world.settle()
    accepts(world, inbox, ADA, consents=True)
    accepts(world, inbox, BO)
    with world.bridge.store.begin() as connection:
        connection.exec_driver_sql("UPDATE access SET completed = TRUE")
    shown = {
        one["person"]["email"]: (one["state"], one["completed"]) for one in hr.get("/seats?sort=seat")["seats"][:2]
    }
    assert shown == {ADA: ("completed", True), BO: ("taken", None)}
    assert [one["person"]["email"] for one in hr.get("/seats?state=completed")["seats"]] == [ADA]
    assert [one["person"]["email"] for one in hr.get("/seats?state=taken")["seats"]] == [BO]


def test_seats_are_found_sorted_and_paged(world: World, hr: Machine) -> None:
    hr.give("cy@corp.test", ADA)
    everything = hr.get("/seats?sort=-email")
    assert [one["person"] and one["person"]["email"] for one in everything["seats"]] == ["cy@corp.test", ADA, None]
    assert everything["next"] is None
    searched = hr.ask("POST", "/seats/search", {"search": "CY@"}).get_json()
    assert [one["person"]["email"] for one in searched["seats"]] == ["cy@corp.test"]
    assert len(hr.get("/seats?state=open,invited")["seats"]) == 3
    assert hr.get(f"/seats?pool={'0' * 16}")["seats"] == []
    first = hr.get("/seats?sort=email&limit=1")
    hr.give("aa@corp.test")  # comes before the place where we are, and moves nothing
    second = hr.get(f"/seats?sort=email&limit=1&cursor={first['next']}")
    found = [page["seats"][0]["person"]["email"] for page in (first, second)]
    assert found == [ADA, "cy@corp.test"]


def test_a_cursor_tells_nobody_anything_and_is_good_for_one_thing(world: World, hr: Machine) -> None:
    hr.give("cy@corp.test", ADA)
    cursor = hr.get("/seats?sort=email&limit=1")["next"]
    assert "ada" not in cursor.lower()
    for path in (f"/seats?sort=name&cursor={cursor}", f"/history?cursor={cursor}", "/seats?cursor=abc"):
        assert code(hr.ask("GET", path)) == (422, "invalid")
    assert code(machine(world).ask("GET", f"/seats?sort=email&limit=1&cursor={cursor}")) == (422, "invalid")


def test_the_history_tells_who_did_what_the_newest_first(world: World, hr: Machine) -> None:
    hr.give(ADA, BO)
    first = hr.get("/history?limit=2")
    assert [(one["event"], one["person"], one["by"]) for one in first["entries"]] == [
        ("seat given", BO, f"token {hr.number}"),
        ("seat given", ADA, f"token {hr.number}"),
    ]
    rest = hr.get(f"/history?limit=2&cursor={first['next']}")
    assert [(one["event"], one["by"]) for one in rest["entries"]] == [("token made", BOSS), ("seats", "bridge")]
    assert rest["next"] is None
    with world.bridge.store.begin() as connection:
        audit.note(connection, "decided", "", world.now(), actor="joan@office", team_id=owner_of(world, BOSS).team.id)
    assert hr.get("/history?limit=1")["entries"][0]["by"] == "operator"


def test_a_list_that_a_person_gave_is_theirs(world: World, hr: Machine) -> None:
    actor = owner_of(world, BOSS)
    with world.bridge.store.read() as connection:
        (pool,) = pooled.pools_of(connection, actor.team.id, world.now())
    rows = [Invitee(n, f"p{n}@corp.test") for n in range(1, 151)]
    batch = world.bridge.desk.prepare(actor, pool, rows, "by hand")
    assert code(hr.ask("GET", f"/lists/{batch.id}")) == (404, "not_found"), "nobody has confirmed it"
    assert world.bridge.desk.confirm_now(actor, batch.id)
    assert not world.bridge.desk.confirm_now(actor, batch.id)
    begun = hr.get(f"/lists/{batch.id}")
    assert (begun["by"], begun["done"], begun["waiting"]) == (BOSS, False, 50)
    world.settle()
    done = hr.get(f"/lists/{batch.id}")
    assert (done["done"], done["counts"]) == (True, {"given": 3, "no_seats": 147})


# --- one seat --------------------------------------------------------------------------------------------------------


def invited(hr: Machine, email: str = ADA) -> int:
    """Somebody is invited; the seat."""
    return int(hr.give(email).get_json()["results"][0]["seat"])


def test_a_seat_is_taken_back_and_given_to_somebody_else(world: World, hr: Machine, inbox: Inbox) -> None:
    seat = invited(hr)
    answer = hr.ask("PUT", f"/seats/{seat}/holder", {"email": BO, "first_name": "Bo", "last_name": "Byte"})
    assert (answer.status_code, answer.get_json()["person"]["email"]) == (200, BO)
    again = hr.ask("PUT", f"/seats/{seat}/holder", {"email": BO})
    assert (again.status_code, again.get_json()["seat"]) == (200, seat), "asked twice it is done once"
    assert code(hr.ask("PUT", f"/seats/{seat}/holder", {"email": "nobody"})) == (422, "no_address")
    answer = hr.ask("DELETE", f"/seats/{seat}/holder")
    assert (answer.status_code, answer.get_json()["state"], answer.get_json()["person"]) == (200, "open", None)
    assert code(hr.ask("DELETE", f"/seats/{seat}/holder")) == (409, "not_waiting")


def test_nobody_who_may_have_begun_is_thrown_out(world: World, hr: Machine, inbox: Inbox) -> None:
    seat = invited(hr)
    world.settle()
    accepts(world, inbox, ADA)
    world.totara.users[world.user(ADA)].lastaccess = int(world.clock())
    assert code(hr.ask("DELETE", f"/seats/{seat}/holder")) == (409, "maybe_begun")
    assert code(hr.ask("PUT", f"/seats/{seat}/holder", {"email": BO})) == (409, "maybe_begun")
    world.totara.faults.down()
    answer = hr.ask("DELETE", f"/seats/{seat}/holder")
    assert code(answer) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_an_invitation_is_sent_again(world: World, hr: Machine, inbox: Inbox) -> None:
    seat = invited(hr)
    world.clock.advance(days=15)
    assert hr.get(f"/seats/{seat}")["state"] == "lapsed"
    assert hr.ask("POST", f"/seats/{seat}/resend").get_json()["state"] == "invited"
    world.settle()
    accepts(world, inbox, ADA)
    assert code(hr.ask("POST", f"/seats/{seat}/resend")) == (409, "not_waiting")


def test_an_acceptance_is_approved(world: World, hr: Machine, inbox: Inbox, course: int) -> None:
    world.bridge.desk.configure(owner_of(world, BOSS), name="Harbour", approval=True)
    seat = invited(hr)
    world.settle()
    accepts(world, inbox, ADA)
    assert world.access() == {}
    assert hr.ask("POST", f"/seats/{seat}/approval", {}).get_json()["state"] == "taken"
    world.settle()
    assert world.access() == {(ADA, course): "active"}
    assert code(hr.ask("POST", f"/seats/{seat}/approval")) == (409, "not_waiting")


def test_what_a_seat_is_to_give_is_picked_where_the_pool_picks(world: World, boss: int, offers: Any) -> None:
    courses = [world.course(f"C{n}") for n in range(2)]
    product = world.shop.add_product("Training credit", sku="CREDIT", price="90.00")
    offers(f'[[offer]]\nsku = "CREDIT"\ngives = ["course:{courses[0]}", "course:{courses[1]}"]\npick = true\n')
    buys(world, boss, product, 2)
    hr = machine(world)
    assert hr.get("")["pools"][0]["picks"] is True
    assert code(hr.give(ADA)) == (422, "nothing_picked")
    assert code(hr.give(ADA, picked="course:999999")) == (422, "nothing_picked")
    seat = hr.give(ADA, picked=f"course:{courses[1]}").get_json()["results"][0]["seat"]
    assert hr.get(f"/seats/{seat}")["picked"] == f"course:{courses[1]}"


# --- all of a pool ---------------------------------------------------------------------------------------------------


def of_pool(hr: Machine, what: str) -> TestResponse:
    """Something is asked for all seats of the team's pool."""
    return hr.ask("POST", f"/pools/{hr.get('')['pools'][0]['pool']}/{what}")


def test_all_who_did_not_answer_are_asked_again_by_one_request(
    world: World, hr: Machine, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_AT_ONCE", 2)
    hr.give(ADA, BO, "cy@corp.test")
    world.clock.advance(days=15)
    answers = [of_pool(hr, "resend") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.get_json() for answer in answers] == [
        {"seats": 2, "more": True},
        {"seats": 1, "more": False},
        {"seats": 0, "more": False},
    ]
    assert counts(world) == {"invited": 3}
    (first, second) = (row for row in world.rows("audit") if row.event == "invitations sent again")
    assert (first.actor, first.facts["seats"], second.facts["seats"]) == (f"token {hr.number}", 2, 1)
    world.settle()
    accepts(world, inbox, ADA)


def test_all_that_lapsed_is_taken_back_by_one_request(
    world: World, hr: Machine, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_AT_ONCE", 1)
    hr.give(ADA, BO)
    world.clock.advance(days=15)
    hr.give("cy@corp.test")
    answers = [of_pool(hr, "take-back").get_json() for _ in range(3)]
    assert answers == [{"seats": 1, "more": True}, {"seats": 1, "more": False}, {"seats": 0, "more": False}]
    assert counts(world) == {"open": 2, "invited": 1}
    pool, told = hr.get("")["pools"][0]["pool"], hr.get("/history?limit=2")["entries"]
    wanted = (f"token {hr.number}", "lapsed seats taken back", pool, 1)
    assert [(one["by"], one["event"], one["pool"], one["seats"]) for one in told] == [wanted] * 2


@pytest.mark.parametrize("pool", ["0" * 15, "0" * 17, "F" * 16, "ada@corp.test", "a" * 15 + "%00"])
@pytest.mark.parametrize("what", ["resend", "take-back"])
def test_what_is_no_key_of_a_pool_is_nowhere_and_is_written_down_nowhere(hr: Machine, pool: str, what: str) -> None:
    before = hr.get("/history")
    assert hr.ask("POST", f"/pools/{pool}/{what}").status_code == 404
    assert hr.get("/history") == before


# --- lists and keys --------------------------------------------------------------------------------------------------


def test_many_people_are_given_seats_in_the_background(world: World, hr: Machine) -> None:
    people = [f"p{n}@corp.test" for n in range(FEW + 5)]
    answer = hr.give(*people)
    assert answer.status_code == 202
    where = answer.headers["Location"]
    assert where == f"/api/v1/team/lists/{answer.get_json()['list']}"
    path = where.removeprefix("/api/v1/team")
    before = hr.get(path)
    assert (before["done"], before["waiting"], before["counts"]) == (False, 25, {})
    world.settle()
    first = hr.get(f"{path}?limit=20")
    assert (first["done"], first["waiting"], first["counts"]) == (True, 0, {"given": 3, "no_seats": 22})
    rest = hr.get(f"{path}?limit=20&cursor={first['next']}")
    assert [one["email"] for one in first["results"] + rest["results"]] == people
    assert rest["next"] is None
    assert counts(world) == {"invited": 3}


def test_five_thousand_people_are_taken_at_once(world: World, hr: Machine) -> None:
    people = [{"email": f"p{n}@corp.test", "first_name": "Ada", "last_name": f"Byte {n}"} for n in range(5000)]
    began = time.monotonic()
    answer = hr.give(people=people)
    took = time.monotonic() - began
    assert answer.status_code == 202
    assert took < 15
    assert hr.get(f"/lists/{answer.get_json()['list']}")["waiting"] == 5000
    assert code(hr.give(people=[*people, {"email": ADA}])) == (422, "invalid")


@pytest.mark.parametrize("people", [1, FEW + 1])
def test_the_same_key_is_the_same_request(world: World, hr: Machine, people: int) -> None:
    emails = [f"p{n}@corp.test" for n in range(people)]
    first, again = hr.give(*emails, key="monday"), hr.give(*emails, key="monday")
    assert (first.status_code, first.get_json()) == (again.status_code, again.get_json())
    assert first.headers.get("Location") == again.headers.get("Location")
    assert code(hr.give(*emails, "one@more.test", key="monday")) == (422, "key_used")
    assert code(hr.give("somebody@else.test", *emails[1:], key="monday")) == (422, "key_used")
    world.settle()
    assert len(world.rows("batches")) == 1
    assert counts(world)["invited"] == min(people, 3)


@pytest.mark.parametrize("people", [1, FEW + 1])
def test_twice_at_once_is_once(world: World, hr: Machine, people: int) -> None:
    emails = [f"p{n}@corp.test" for n in range(people)]
    nodes = [Machine(Client(world.new_bridge().web()), hr.token, hr.number) for _ in range(2)]
    with ThreadPoolExecutor(8) as many:
        answers = list(many.map(lambda n: nodes[n % 2].give(*emails, key="monday"), range(8)))
    assert len({(answer.status_code, json.dumps(answer.get_json(), sort_keys=True)) for answer in answers}) == 1
    world.settle()
    assert len(world.rows("batches")) == 1
    assert len([row for row in world.rows("audit") if row.event == "seat given"]) == min(people, 3)


def test_other_bodies_at_once_under_one_key_are_one_and_refusals(world: World, hr: Machine) -> None:
    with ThreadPoolExecutor(6) as many:
        answers = list(many.map(lambda n: hr.give(f"p{n}@corp.test", key="monday"), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 5
    assert counts(world) == {"open": 2, "invited": 1}


def test_a_key_of_what_was_forgotten_gives_nothing_again(world: World, hr: Machine) -> None:
    hr.give(ADA, key="monday")
    world.clock.advance(days=31)
    world.owe("tidy", "all")
    world.settle()
    assert world.rows("batch_rows") == []
    assert code(hr.give(ADA, key="monday")) == (409, "key_used")


def test_without_a_key_nobody_is_given_anything(world: World, hr: Machine) -> None:
    body = {"pool": hr.get("")["pools"][0]["pool"], "people": [{"email": ADA}]}
    for headers in ({}, {"Idempotency-Key": ""}, {"Idempotency-Key": "a b"}, {"Idempotency-Key": "x" * 256}):
        assert code(hr.ask("POST", "/seats", body, **headers)) == (400, "key_missing")
    assert counts(world) == {"open": 3}


# --- what is sent ----------------------------------------------------------------------------------------------------

POOL = "0123456789abcdef"
GOOD = {"pool": POOL, "people": [{"email": "ada@corp.test"}]}


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ([], ""),
        ({**GOOD, "more": 1}, "more"),
        ({**GOOD, "pool": "../x"}, "pool"),
        ({**GOOD, "pool": 7}, "pool"),
        ({**GOOD, "people": []}, "people"),
        ({**GOOD, "people": {"email": ADA}}, "people"),
        ({**GOOD, "people": ["ada@corp.test"]}, "people/0"),
        ({**GOOD, "people": [{"email": 5}]}, "people/0/email"),
        ({**GOOD, "people": [{"email": "a" * 255}]}, "people/0/email"),
        ({**GOOD, "people": [{"email": ADA, "first_name": "x" * 101}]}, "people/0/first_name"),
        ({**GOOD, "people": [{"email": ADA, "first_name": "=1+1"}]}, "people/0/first_name"),
        ({**GOOD, "people": [{"email": ADA, "last_name": "a\x00b"}]}, "people/0/last_name"),
        ({**GOOD, "people": [{"email": ADA, "last_name": "\ud800"}]}, "people/0/last_name"),
        ({**GOOD, "people": [{"email": ADA, "language": "Klingon!"}]}, "people/0/language"),
        ({**GOOD, "people": [{"email": ADA, "role": "owner"}]}, "people/0/role"),
        ({**GOOD, "picked": "seat:1"}, "picked"),
    ],
    ids=str,
)
def test_what_is_not_as_described_is_refused_and_not_repeated(hr: Machine, body: Any, at: str) -> None:
    answer = hr.ask("POST", "/seats", body, **{"Idempotency-Key": "k"})
    assert code(answer) == (422, "invalid")
    (error,) = answer.get_json()["errors"]
    assert error["at"] == at
    assert "ada@" not in answer.text and "Klingon" not in answer.text


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"{", 400),
        (b'{"pool": NaN}', 400),
        (b'{"pool": "0123456789abcdef", "pool": "0123456789abcdef"}', 400),
        (b"\xff\xfe{}", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 5_000, 400),
        (b"1" * 10_000, 400),
        (b" " * (4 * 1024 * 1024 + 1), 413),
    ],
    ids=["half", "NaN", "twice", "not UTF-8", "deep", "deep objects", "a long number", "too big"],
)
def test_what_is_no_json_is_refused(hr: Machine, data: bytes, status: int) -> None:
    headers = {"Authorization": f"Bearer {hr.token}", "Idempotency-Key": "k"}
    answer = hr.web.post("/api/v1/team/seats", data=data, headers=headers, content_type="application/json")
    assert code(answer) == (status, "too_big" if status == 413 else "not_json")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]
)
def test_only_json_is_read(hr: Machine, kind: str) -> None:
    headers = {"Authorization": f"Bearer {hr.token}", "Idempotency-Key": "k"}
    answer = hr.web.post("/api/v1/team/seats", data=b"{}", headers=headers, content_type=kind)
    assert code(answer) == (415, "not_json")


@pytest.mark.parametrize(
    "body", [{}, {"search": ""}, {"search": "x" * 101}, {"search": "\x00"}, {"search": "ada", "more": 1}, [], "ada"]
)
def test_what_is_searched_for_is_read_strictly(hr: Machine, body: Any) -> None:
    assert code(hr.ask("POST", "/seats/search", body)) == (422, "invalid")


@pytest.mark.parametrize(
    "path",
    [
        "?more=1",
        "/seats?more=1",
        "/seats?limit=0",
        "/seats?limit=201",
        "/seats?limit=x",
        "/seats?limit=5&limit=6",
        "/seats?sort=password",
        "/seats?state=free",
        "/seats?pool=x",
        "/seats?search=ada",
        "/seats?cursor=%C3%A9",
        "/history?sort=seat",
    ],
)
def test_what_is_asked_for_is_read_strictly(hr: Machine, path: str) -> None:
    assert code(hr.ask("GET", path)) == (422, "invalid")


@pytest.mark.parametrize("path", ["/seats/{}", "/lists/{}"])
def test_no_number_is_too_big_to_be_missing(hr: Machine, path: str) -> None:
    for number in (0, 2**63 - 1, 2**63, 10**40):
        assert code(hr.ask("GET", path.format(number))) == (404, "not_found")


def test_what_takes_no_body_takes_none(hr: Machine) -> None:
    seat = invited(hr)
    for method, path in (("POST", "resend"), ("POST", "approval"), ("DELETE", "holder")):
        assert code(hr.ask(method, f"/seats/{seat}/{path}", {"why": "x"})) == (422, "invalid")
        assert code(hr.ask(method, f"/seats/{seat}/{path}?why=x")) == (422, "invalid")
    pool = hr.get("")["pools"][0]["pool"]
    for path in ("resend", "take-back"):
        assert code(hr.ask("POST", f"/pools/{pool}/{path}", {"why": "x"})) == (422, "invalid")
        assert code(hr.ask("POST", f"/pools/{pool}/{path}?why=x")) == (422, "invalid")
    assert code(hr.ask("PUT", f"/seats/{seat}/holder")) == (415, "not_json")


# --- who may ---------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_in_its_header_and_nowhere_else(world: World, hr: Machine) -> None:
    bare = Client(world.bridge.web())
    bare.set_cookie("token", hr.token)
    assert code(bare.get(f"/api/v1/team?token={hr.token}&access_token={hr.token}")) == (401, "unauthorized")
    for word in (hr.token, f"Basic {hr.token}", "Bearer", "Bearer ", f"Bearer {hr.token[:-1]}", "Bearer é"):
        answer = bare.get("/api/v1/team", headers={"Authorization": word})
        assert code(answer) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert len({answer for _, _, answer in refusals(world)}) == 1


def test_no_page_of_another_site_is_answered(hr: Machine) -> None:
    for method in ("GET", "OPTIONS"):
        answer = hr.ask(method, "", Origin="https://else.test", **{"Access-Control-Request-Method": "GET"})
        assert [name for name, _ in answer.headers if name.lower().startswith("access-control")] == []
    assert hr.web.options("/api/v1/team/seats").status_code == 401
    assert hr.ask("GET", "").headers["Cache-Control"] == "no-store"


def test_who_asks_too_often_waits(world: World, hr: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "MOST_A_MINUTE", 3)
    other = machine(world)
    web = Client(world.bridge.web())
    hr.web = other.web = web
    answers = [hr.ask("GET", "") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert code(answers[-1]) == (429, "too_many")
    assert answers[-1].headers["Retry-After"] == "60"
    assert other.ask("GET", "").status_code == 200, "each token counts for itself"


def test_nobody_fills_the_audit_log_by_knocking(world: World, hr: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "MOST_REFUSALS", 3)
    web = Client(world.bridge.web())
    for _ in range(9):
        assert web.get("/api/v1/team").status_code == 401
    assert len(refusals(world)) == 3
    hr.web = web
    hr.ask("GET", "/seats/999999")
    assert len(refusals(world)) == 4, "who knocks hides nobody else's refusals"


def test_secrets_and_people_are_in_no_log(world: World, hr: Machine, caplog: pytest.LogCaptureFixture) -> None:
    hr.give(ADA)
    hr.ask("GET", "/seats?sort=email&limit=1")
    wrong = PREFIX + new_secret()
    hr.web.get("/api/v1/team", headers={"Authorization": f"Bearer {wrong}"})
    told = caplog.text + repr([tuple(row) for row in world.rows("audit")])
    for secret in (hr.token, wrong, ADA):
        assert secret not in told


Case = tuple[str, str, str]  # a route, who asks, and whose thing it is about
Outcome = tuple[int, list[tuple[str, int | None, str]]]  # the status, and the refusals that were written down

#: What each route takes. A route that is not here fails the matrix.
ROUTES: dict[str, Action] = {
    "search": Action.SEE,
    "team": Action.SEE,
    "seats": Action.SEE,
    "one_seat": Action.SEE,
    "history": Action.HISTORY,
    "give": Action.GIVE,
    "one_list": Action.SEE,
    "resend": Action.RESEND,
    "approve": Action.APPROVE,
    "give_back": Action.GIVE_BACK,
    "reassign": Action.REASSIGN,
    "resend_all": Action.RESEND,
    "take_back_all": Action.GIVE_BACK,
}
#: Those that are not about one thing.
WHOLE = {"team", "seats", "search", "history"}


class Things:
    """What a team has, or what nobody has: for each route the thing it is asked about."""

    def __init__(self, world: World, email: str = "") -> None:
        self.pool, self.list, self.seats = "0" * 16, 999_999, dict.fromkeys(ROUTES, 999_999)
        if email:
            self._make(world, machine(world, MANAGER, email))

    def _make(self, world: World, hr: Machine) -> None:
        names = ("one_seat", "resend", "approve", "give_back", "reassign")
        body = hr.give(*(f"{name}-{hr.number}@corp.test" for name in names)).get_json()
        self.pool, self.list = hr.get("")["pools"][0]["pool"], body["list"]
        self.seats |= {name: one["seat"] for name, one in zip(names, body["results"], strict=True)}
        with world.bridge.store.begin() as connection:
            row = next(row for row in world.rows("seats") if row.id == self.seats["approve"])
            assert placing.take_seat(connection, row.id, row.person_id, Wait.APPROVAL, world.now())

    def request(self, name: str, rule: str) -> tuple[str, Any]:
        """The address and body of a request to a route."""
        things = {"number": self.list, "pool": self.pool, "seat": self.seats[name]}
        path = re.sub(r"<\w+:(\w+)>", lambda m: str(things[m[1]]), rule)
        body = {
            "give": {"pool": self.pool, "people": [{"email": "new@corp.test"}]},
            "reassign": {"email": "other@corp.test"},
            "search": {"search": "corp"},
        }.get(name)
        return path.removeprefix("/api/v1/team"), body


@dataclass
class Caller:
    """Who asks: a team's token, or none that is any good."""

    token: str
    number: int = 0
    team: str = ""
    role: TeamRole | None = None


def test_the_matrix_of_who_may_do_what_with_whose(world: World, boss: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "MOST_REFUSALS", 1_000_000)  # each of them is looked for
    web = Client(world.bridge.web())
    eve = "eve@else.test"
    buys(world, boss, world.sell(world.course("ONE")), 8)
    order = world.shop.place_order([(world.sell(world.course("TWO")), 8)], email=eve, company="Else")
    world.look(order)
    things = {"ours": Things(world, BOSS), "theirs": Things(world, eve), "missing": Things(world)}
    owners = {"ours": owner_of(world, BOSS), "theirs": owner_of(world, eve)}
    revoked = machine(world)
    world.bridge.desk.revoke_token(owners["ours"], revoked.number)
    good = [("ours", VIEWER, BOSS), ("ours", MANAGER, BOSS), ("theirs", MANAGER, eve)]
    made = [(team, role, machine(world, role, email)) for team, role, email in good]
    callers = {
        "nobody": Caller(""),
        "wrong": Caller(PREFIX + new_secret()),
        "operator": Caller("operator Vella"),  # has commands, and no way in here
        "revoked": Caller(revoked.token),
        **{f"{team} {role}": Caller(one.token, one.number, team, role) for team, role, one in made},
    }
    expected: dict[Case, Outcome] = {}
    found: dict[Case, Outcome] = {}
    before = len(refusals(world))
    rules = [rule for rule in world.bridge.web().url_map.iter_rules() if rule.rule.startswith("/api/v1/team")]
    for rule, (who, caller), whose in itertools.product(rules, callers.items(), things):
        name = rule.endpoint.removeprefix("team_api.")
        (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        path, body = things[whose].request(name, rule.rule)
        answer = Machine(web, caller.token, 0).ask(
            method, path, body, **{"Idempotency-Key": f"{who} {whose}".replace(" ", "-")}
        )
        case, at = (name, who, whose), f"{method} /api/v1/team{path}"
        known = refusals(world)
        found[case], before = (answer.status_code, known[before:]), len(known)
        if caller.role is None:
            expected[case] = 401, [("bridge", None, at)]
        elif not may(caller.role, ROUTES[name]):
            expected[case] = 403, [(f"token {caller.number}", owners[caller.team].team.id, at)]
        elif name not in WHOLE and whose != caller.team:
            expected[case] = 404, [(f"token {caller.number}", owners[caller.team].team.id, at)]
        else:
            expected[case] = 200, []
    assert found == expected
    assert len(found) == len(ROUTES) * len(callers) * len(things)


@pytest.mark.parametrize("number", [-1, 2**63, 10**30])
def test_a_number_that_is_none_is_nowhere(world: World, hr: Machine, number: int) -> None:
    """Whatever is asked of it: nothing fails."""
    viewer = machine(world, VIEWER)
    asked = 0
    for rule in world.bridge.web().url_map.iter_rules():
        if not rule.rule.startswith("/api/v1/team") or not rule.arguments:
            continue
        name = rule.endpoint.removeprefix("team_api.")
        (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        path = re.sub(r"<\w+:\w+>", str(number), rule.rule).removeprefix("/api/v1/team")
        body = {"email": BO} if name == "reassign" else None
        nowhere = number < 0 or "pool" in rule.arguments  # is no number, and no key, to the router
        for one, status in (
            (hr, 404),
            (viewer, 404 if nowhere or may(VIEWER, ROUTES[name]) else 403),
            (Machine(world.web, "", 0), 404 if nowhere else 401),
        ):
            assert one.ask(method, path, body).status_code == status, (method, path, status)
            asked += 1
    assert asked == 3 * (len(ROUTES) - len(WHOLE) - 1), "but giving, which names a pool in its body"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/seats/abc", 404, "not_found"),
        ("GET", "/nowhere", 404, "not_found"),
        ("PATCH", "/seats/1", 405, "invalid"),
        ("DELETE", "", 405, "invalid"),
    ],
)
def test_what_is_not_there_is_a_problem_too(hr: Machine, method: str, path: str, status: int, code: str) -> None:
    answer = hr.ask(method, path)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.get_json()["code"] == code
    assert ("Allow" in answer.headers) == (status == 405)


def test_other_addresses_are_not_told_of_in_this_way(world: World) -> None:
    assert world.web.get("/api/v1/teams").content_type.startswith("text/html")
