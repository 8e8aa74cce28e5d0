"""Totara's client on the wire: what is sent, what answers mean, and what is never written down."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
import responses
from graphql import build_client_schema, parse, validate

from bridge.domain.lms import Account, Completion, Course, CourseImage, NewAccount, Tree, per_cent_of
from bridge.errors import NotFound, Refused, Unauthorized, Unavailable, Unsupported
from bridge.http import Wire
from bridge.sandbox.server import Served
from bridge.sandbox.totara import Totara
from bridge.sandbox.world import both, picture
from bridge.totara_answers import GQL_ERRORS, WS_ERRORS, judge_gql, judge_ws
from bridge.totara_client import NEEDS, TotaraClient
from bridge.totara_wire import MAX_VARIABLES, php_form

SAMPLES = Path(__file__).parent / "samples" / "totara"
SITE = "https://learn.example"
WS, API, TOKEN = f"{SITE}/webservice/rest/server.php", f"{SITE}/api/graphql.php", f"{SITE}/totara/oauth2/token.php"
CLIENT_SECRET, WS_TOKEN = "client-SENSITIVE-secret", "ws-SENSITIVE-token"


def sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return found


def client(url: str = SITE, *, tries: int = 1, **options: Any) -> TotaraClient:
    usual = {"client_id": "sandbox-client", "client_secret": CLIENT_SECRET, "ws_token": WS_TOKEN}
    return TotaraClient(url, Wire("totara", tries=tries), **usual | options)


class Site:
    """An embedded Totara that is served, and clients of it."""

    def __init__(self, **options: Any) -> None:
        secrets = {"client_secret": CLIENT_SECRET, "ws_token": WS_TOKEN}
        self.totara = Totara(**secrets | options)
        self.totara.add_tenant("academy", "Academy")
        self.public = self.totara.add_category("Public")
        self.served = Served(self.totara.app).start()
        self.web_services = options.get("web_services", True)
        self.graphql = options.get("graphql", True)

    def client(self, **options: Any) -> TotaraClient:
        usual: dict[str, Any] = {} if self.web_services else {"ws_token": ""}
        usual |= {} if self.graphql else {"client_id": "", "client_secret": ""}
        return client(self.served.url, **usual | options)

    def course(self, code: str, **fields: Any) -> int:
        named: dict[str, Any] = {"shortname": code, "category": self.public} | fields
        return self.totara.add_course(named.pop("name", f"Course {code}"), **named)

    def calls(self, name: str) -> int:
        return sum(name in one for one in self.totara.requests)


@pytest.fixture
def make() -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def new(**options: Any) -> Site:
        made.append(Site(**options))
        return made[-1]

    yield new
    for site in made:
        site.served.stop()


@pytest.fixture
def site(make: Callable[..., Site]) -> Site:
    """A Totara 17 with both ways in."""
    return make()


# --- what answers mean: every recorded one ---------------------------------------------------------------------------

#: errorcode of a web service -> the exception. The code is the caller's to look at.
WS_MEANING: dict[str, type[Exception]] = {
    "invalidtoken": Unauthorized,
    "accessexception": Unsupported,
    "invalidrecordunknown": NotFound,
    "nopermissions": Refused,
    "errorcoursecontextnotvalid": Refused,
    "wsnoinstance": Refused,
    "wsusercannotassign": Refused,
    "codingerror": Refused,
    "invalidparameter": Refused,
    "usernotenroled": Refused,
    "notlocalisederrormessage": Refused,
}

#: Recorded answer of the GraphQL API -> the exception and its code.
GQL_MEANING: dict[str, tuple[type[Exception], str]] = {
    "gql-aliased-mutations-partial-error": (NotFound, "nouser"),
    "gql-bad-token": (Unauthorized, ""),
    "gql-create-user-bad-tenant": (Refused, "badtenant"),
    "gql-create-user-dup-email-same-case": (Refused, "duplicateemail"),
    "gql-create-user-dup-idnumber": (Refused, "duplicateidnumber"),
    "gql-create-user-dup-username": (Refused, "duplicateusername"),
    "gql-create-user-missing-required": (Refused, "graphql"),
    "gql-create-user-no-password": (Refused, "internal"),
    "gql-create-user-oauth2": (Refused, "internal"),
    "gql-create-user-oauth2-generate": (Refused, "internal"),
    "gql-create-user-oauth2-with-password": (Refused, "internal"),
    "gql-create-user-weak-password": (Refused, "internal"),
    "gql-delete-admin": (Refused, "internal"),
    "gql-depth-error": (Refused, "graphql"),
    "gql-move-tenant": (Refused, "nopermissions"),
    "gql-no-token": (Unauthorized, ""),
    "gql-tenant-iso0-create": (Refused, "nopermissions"),
    "gql-tenant-iso0-create-other": (Refused, "nopermissions"),
    "gql-update-user-auth": (Refused, "internal"),
    "gql-update-user-by-email-case": (NotFound, "nouser"),
    "gql-update-user-not-found": (NotFound, "nouser"),
}


def recorded(where: Callable[[Any], bool]) -> list[tuple[str, Any]]:
    """The recorded answers that are of a kind."""
    found = []
    for path in sorted(SAMPLES.glob("*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        answer = body.get("response") if isinstance(body, dict) else None
        if where(answer):
            found.append((path.stem, answer))
    return found


WS_FAILURES = recorded(lambda body: isinstance(body, dict) and "exception" in body)
GQL_FAILURES = recorded(lambda body: isinstance(body, dict) and "errors" in body)
GQL_ANSWERS = recorded(lambda body: isinstance(body, dict) and isinstance(body.get("data"), dict))
WS_ANSWERS = [
    (name, body)
    for name, body in recorded(
        lambda body: not (isinstance(body, dict) and ({"exception", "errors", "data"} & body.keys()))
    )
    if name.startswith(("ws-", "iso"))
]


def test_there_are_recorded_failures_of_every_kind() -> None:
    assert {body["errorcode"] for _, body in WS_FAILURES} == WS_MEANING.keys()
    assert {name for name, _ in GQL_FAILURES} - {"gql-rate-limit"} == GQL_MEANING.keys()
    assert len(WS_ANSWERS) > 40
    assert len(GQL_ANSWERS) > 10


@pytest.mark.parametrize(("name", "body"), WS_FAILURES, ids=[name for name, _ in WS_FAILURES])
def test_a_recorded_failure_of_a_web_service(wire: responses.RequestsMock, name: str, body: Any) -> None:
    wire.post(WS, json=body)
    kind = WS_MEANING[body["errorcode"]]
    with pytest.raises(Exception) as caught:
        client()._site.call("some_function")
    assert type(caught.value) is kind
    if isinstance(caught.value, Refused):
        assert caught.value.code == body["errorcode"]
    assert body["message"] not in str(caught.value)
    assert "some_function" in str(caught.value)


@pytest.mark.parametrize(("name", "body"), WS_ANSWERS, ids=[name for name, _ in WS_ANSWERS])
def test_a_recorded_good_answer_of_a_web_service_is_no_failure(name: str, body: Any) -> None:
    assert judge_ws("f", body) == body


@pytest.mark.parametrize(("name", "body"), [f for f in GQL_FAILURES if f[0] in GQL_MEANING], ids=lambda v: str(v)[:50])
def test_a_recorded_failure_of_the_api(name: str, body: Any) -> None:
    kind, code = GQL_MEANING[name]
    with pytest.raises(Exception) as caught:
        judge_gql("core_user_create_user", body)
    assert type(caught.value) is kind
    assert getattr(caught.value, "code", "") == code
    for error in body["errors"]:
        for words in (error["message"], error.get("debugMessage")):
            assert not words or words not in str(caught.value)


@pytest.mark.parametrize(("name", "body"), GQL_ANSWERS, ids=[name for name, _ in GQL_ANSWERS])
def test_a_recorded_good_answer_of_the_api_is_its_data(name: str, body: Any) -> None:
    for operation, data in body["data"].items():
        assert judge_gql(operation, body) == data
    with pytest.raises(Unsupported):
        judge_gql("core_course_courses", body)


def test_the_recorded_answer_to_what_a_version_does_not_know_is_unsupported() -> None:
    with pytest.raises(Unsupported) as caught:
        judge_gql("nosuch", sample("gql-bad-query")["response"])
    assert caught.value.code == "nooperation"


def test_the_recorded_rate_limit_is_unavailable_for_a_minute(wire: responses.RequestsMock) -> None:
    limit = sample("gql-rate-limit")
    wire.post(TOKEN, json={"access_token": "t", "expires_in": 60})
    wire.post(API, json=limit["response"], status=limit["http_status"])
    with pytest.raises(Unavailable) as caught:
        client()._site.run("totara_webapi_status", "query { totara_webapi_status { status } }", {})
    assert (type(caught.value), caught.value.retry_after) == (Unavailable, 60.0)


@pytest.mark.parametrize("code", sorted(WS_ERRORS))
def test_every_known_errorcode_is_what_the_table_says(code: str) -> None:
    kind, meaning = WS_ERRORS[code]
    with pytest.raises(kind, match=re.escape(meaning)) as caught:
        judge_ws("f", {"exception": "moodle_exception", "errorcode": code, "message": "m"})
    assert type(caught.value) is kind


@pytest.mark.parametrize(("begins", "kind", "code", "meaning"), GQL_ERRORS, ids=[row[2] for row in GQL_ERRORS])
@pytest.mark.parametrize("place", ["top", "extensions"])
def test_every_known_debug_message_is_what_the_table_says(
    begins: str, kind: type[Exception], code: str, meaning: str, place: str
) -> None:
    error: dict[str, Any] = {"message": "Internal server error", "extensions": {"category": "internal"}}
    (error if place == "top" else error["extensions"])["debugMessage"] = f"{begins} and more: x@y.example"
    with pytest.raises(kind, match=re.escape(meaning)) as caught:
        judge_gql("op", {"errors": [error]})
    assert type(caught.value) is kind
    assert "x@y.example" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        ({"errors": [{"message": "Feature api is not available."}]}, Unsupported, "apioff"),
        ({"errors": [{"message": "x", "extensions": {"category": "query_complexity"}}]}, Refused, "query_complexity"),
        (
            {"errors": [{"message": "Internal server error", "extensions": {"category": "internal"}}]},
            Refused,
            "internal",
        ),
        ({"errors": [{"message": "x"}]}, Refused, "unknown"),
        ({"errors": ["x"]}, Refused, "unknown"),
        ({"errors": {"message": "x"}}, Refused, "unknown"),
        ({"errors": [{"extensions": None}]}, Refused, "unknown"),
        ({"errors": [], "data": {"op": 1}}, None, ""),
        ({"data": []}, Unsupported, "nooperation"),
        ({"data": {}}, Unsupported, "nooperation"),
        ({"data": None}, Unsupported, "nooperation"),
        ({}, Unsupported, "nooperation"),
        ({"data": {"op": None}}, None, ""),
        ([], Unavailable, ""),
        (None, Unavailable, ""),
        ("text", Unavailable, ""),
    ],
)
def test_an_answer_of_the_api_that_is_none_or_strange(body: Any, kind: type[Exception] | None, code: str) -> None:
    if kind is None:
        judge_gql("op", body)
        return
    with pytest.raises(kind) as caught:
        judge_gql("op", body)
    assert type(caught.value) is kind
    assert getattr(caught.value, "code", "") == code


def test_without_a_reason_the_setting_to_change_is_named() -> None:
    error = {"message": "Internal server error", "extensions": {"category": "internal"}}
    with pytest.raises(Refused, match='error response to "Normal"'):
        judge_gql("op", {"errors": [error]})


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_that_says_not_now_is_unavailable(wire: responses.RequestsMock, status: int) -> None:
    wire.post(WS, json={"exception": "x", "errorcode": "invalidtoken"}, status=status)
    with pytest.raises(Unavailable) as caught:
        client()._site.call("f")
    assert type(caught.value) is Unavailable
    assert caught.value.system == "totara"


@pytest.mark.parametrize(
    "body", ["<html>Upgrade running</html>", "", "<?xml version='1.0'?><RESPONSE/>", '{"exception']
)
def test_what_is_not_json_is_unavailable(wire: responses.RequestsMock, body: str) -> None:
    wire.post(WS, body=body)
    wire.post(TOKEN, body=body)
    with pytest.raises(Unavailable):
        client()._site.call("f")
    with pytest.raises(Unavailable):
        client()._site.run("op", "{ op }", {})


def test_web_services_that_are_switched_off_are_told_as_such(make: Callable[..., Site]) -> None:
    site = make(web_services=False)
    with pytest.raises(Unauthorized, match="switched off"):
        client(site.served.url)._site.call("core_webservice_get_site_info")


def test_an_api_that_is_switched_off_gives_no_token(make: Callable[..., Site]) -> None:
    site = make(graphql=False)
    with pytest.raises(Unauthorized, match="no access token"):
        client(site.served.url)._site.run("op", "{ op }", {})


def test_what_is_not_configured_is_never_tried(wire: responses.RequestsMock) -> None:
    nothing = client(client_id="", client_secret="", ws_token="")
    with pytest.raises(Unsupported, match="none is configured"):
        nothing._site.call("f")
    with pytest.raises(Unsupported, match="none is configured"):
        nothing._site.run("op", "{ op }", {})
    assert len(wire.calls) == 0


# --- the access token ------------------------------------------------------------------------------------------------


def recorded_text(name: str) -> str:
    """The body of an answer that was recorded with its head."""
    text = (SAMPLES / name).read_text(encoding="utf-8")
    return re.split(r"\r?\n\r?\n", text)[-1] if text.startswith("HTTP") else text.splitlines()[0]


@pytest.mark.parametrize("name", ["gql-token-wrong-secret.txt", "gql-token-json-body.txt"])
def test_a_recorded_refusal_of_the_token_endpoint_is_seen_though_its_status_is_200(
    wire: responses.RequestsMock, name: str
) -> None:
    wire.post(TOKEN, body=recorded_text(name), content_type="text/html; charset=utf-8")
    with pytest.raises(Unauthorized) as caught:
        client()._site.run("op", "{ op }", {})
    assert CLIENT_SECRET not in str(caught.value)
    assert len(wire.calls) == 1


def test_a_recorded_token_is_taken_though_it_comes_as_html(wire: responses.RequestsMock) -> None:
    body = recorded_text("gql-token-response.txt")
    wire.post(TOKEN, body=body, content_type="text/html; charset=utf-8", headers={"Set-Cookie": "TotaraSession=x"})
    wire.post(API, json={"data": {"op": 1}})
    assert client()._site.run("op", "{ op }", {}) == 1
    sent = dict(parse_qsl(str(wire.calls[0].request.body)))
    assert sent == {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": CLIENT_SECRET}
    assert wire.calls[1].request.headers["Authorization"] == f"Bearer {json.loads(body)['access_token']}"
    assert "Cookie" not in wire.calls[1].request.headers
    assert "SENSITIVE" not in "".join(str(call.request.url) for call in wire.calls)


@pytest.mark.parametrize("body", [{"access_token": ""}, {"access_token": None}, {"access_token": 5}, [], None, "x", {}])
def test_what_is_no_token_is_none(wire: responses.RequestsMock, body: Any) -> None:
    wire.post(TOKEN, body=json.dumps(body))
    with pytest.raises(Unauthorized):
        client()._site.run("op", "{ op }", {})


def status(one: TotaraClient) -> None:
    one._site.run("totara_webapi_status", "query { totara_webapi_status { status } }", {})


def test_a_token_is_asked_for_once_and_kept(site: Site) -> None:
    one = site.client()
    for _ in range(5):
        status(one)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: status(one), range(16)))
    assert site.calls("token") == 1


def test_many_threads_at_the_start_ask_for_one_token(site: Site) -> None:
    one, start = site.client(), threading.Barrier(8)

    def ask(_: int) -> None:
        start.wait()
        status(one)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert site.calls("token") == 1


def test_a_token_is_renewed_before_it_runs_out(site: Site) -> None:
    now = [1000.0]
    site.totara.token_seconds = 600
    one = site.client(clock=lambda: now[0])
    status(one)
    now[0] += 539
    status(one)
    assert site.calls("token") == 1
    now[0] += 2
    status(one)
    assert site.calls("token") == 2


def test_a_token_that_was_withdrawn_is_renewed_once(site: Site) -> None:
    one = site.client()
    status(one)
    site.totara.revoke_tokens()
    status(one)
    assert site.calls("token") == 2


def test_threads_whose_token_was_withdrawn_do_not_each_ask_for_a_new_one(site: Site) -> None:
    one = site.client()
    status(one)
    site.totara.revoke_tokens()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: status(one), range(8)))
    assert site.calls("token") == 2


def test_a_withdrawn_token_is_renewed_even_where_totara_tells_no_reasons(make: Callable[..., Site]) -> None:
    """Then a bad token looks like any other internal error; only a token of more than a minute is doubted."""
    now = [1000.0]
    site = make(response_debug=0)
    one = site.client(clock=lambda: now[0])
    status(one)
    site.totara.revoke_tokens()
    now[0] += 120
    status(one)
    assert site.calls("token") == 2
    with pytest.raises(Refused):
        one._site.run(
            "core_user_create_user",
            "mutation($i: core_user_create_user_input!) { core_user_create_user(input: $i) { user { id username } } }",
            {"i": {"username": "A", "email": "a@b.co", "firstname": "a", "lastname": "b", "password": "Aa1!aaaaaaaa"}},
        )
    assert site.calls("token") == 2, "a new token is believed, and the refusal is the account's"


def test_a_token_that_does_not_say_when_it_runs_out_is_used_all_the_same(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN, json={"access_token": "t", "expires_in": "soon"})
    wire.post(API, json={"data": {"op": 1}})
    assert client()._site.run("op", "{ op }", {}) == 1


def ever_new_tokens(wire: responses.RequestsMock) -> None:
    """The token endpoint gives another token each time."""
    tokens = iter(range(100))
    wire.add_callback(
        responses.POST, TOKEN, lambda _: (200, {}, json.dumps({"access_token": f"t{next(tokens)}", "expires_in": 60}))
    )


def test_a_read_whose_token_is_never_accepted_is_not_tried_three_times(wire: responses.RequestsMock) -> None:
    ever_new_tokens(wire)
    wire.post(API, json=sample("gql-bad-token")["response"])
    with pytest.raises(Unauthorized):
        client(tries=3)._site.query("op", "{ op }", {})
    assert [call.request.url for call in wire.calls] == [TOKEN, API, TOKEN, API]


@pytest.mark.parametrize("how", ["text", "status"])
def test_a_token_that_is_never_accepted_does_not_loop(wire: responses.RequestsMock, how: str) -> None:
    ever_new_tokens(wire)
    if how == "text":
        wire.post(API, json=sample("gql-bad-token")["response"])
    else:
        wire.post(API, json={"error": "unauthorized"}, status=401)
    with pytest.raises(Unauthorized):
        status(client())
    assert [call.request.url for call in wire.calls] == [TOKEN, API, TOKEN, API]


# --- the form of a web service ---------------------------------------------------------------------------------------


def form_of(call: Any) -> dict[str, str]:
    return dict(parse_qsl(str(call.request.body), keep_blank_values=True))


def test_parameters_are_written_as_php_reads_them() -> None:
    assert php_form(
        {"users": [{"email": "x", "tags": ["a", "b"]}, {"ok": True}], "n": 0, "no": False, "empty": []}
    ) == {
        "users[0][email]": "x",
        "users[0][tags][0]": "a",
        "users[0][tags][1]": "b",
        "users[1][ok]": "1",
        "n": "0",
        "no": "0",
    }


def test_the_token_goes_in_the_form_and_never_in_the_address(wire: responses.RequestsMock) -> None:
    wire.post(WS, body="null")
    client()._site.call("f", a=1)
    (call,) = wire.calls
    assert call.request.url == WS
    assert call.request.method == "POST"
    assert form_of(call) == {"wstoken": WS_TOKEN, "wsfunction": "f", "moodlewsrestformat": "json", "a": "1"}


def test_a_form_that_php_would_cut_is_never_sent(wire: responses.RequestsMock) -> None:
    wire.post(WS, body="null")
    one = client()
    one._site.call("f", ids=list(range(MAX_VARIABLES - 3)))
    with pytest.raises(ValueError, match="max_input_vars"):
        one._site.call("f", ids=list(range(MAX_VARIABLES - 2)))
    assert len(wire.calls) == 1


def test_every_call_of_the_client_stays_far_below_what_php_reads(site: Site) -> None:
    ids = [site.course(f"C{number}") for number in range(250)]
    one = site.client()
    assert one.audience_visibility(ids) == dict.fromkeys(ids, 2)
    assert one.find_courses(ids).keys() == set(ids)
    assert site.calls("core_course_get_courses") >= 3


# --- retries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        lambda one: one.tree(),
        lambda one: one.courses_in(1),
        lambda one: one.find_accounts("x@y.example"),
        lambda one: one.ensure_enrolment(1, 2),
        lambda one: one.reachable_courses(1, [2]),
        lambda one: one.completed(1, 2),
    ],
)
def test_a_read_or_what_may_be_repeated_is_tried_three_times(site: Site, read: Callable[[TotaraClient], Any]) -> None:
    one = site.client(tries=3)
    one.capabilities()
    site.totara.faults.down(times=2)
    read(client_with_world(site, one))
    site.totara.faults.down(times=3)
    with pytest.raises(Unavailable):
        read(one)


def client_with_world(site: Site, one: TotaraClient) -> TotaraClient:
    """The user 1 and the course 2 of the calls above."""
    if 2 not in site.totara.courses:
        assert site.course("TWO") == 2
    return one


@pytest.mark.parametrize("graphql", [True, False])
def test_making_an_account_is_sent_exactly_once(make: Callable[..., Site], graphql: bool) -> None:
    site = make(graphql=graphql)
    one = site.client(tries=3)
    one.capabilities()
    site.totara.faults.cut("create_user")
    with pytest.raises(Unavailable):
        one.create_account(NewAccount("academy-x", "mia@guest.test", "Mia", "Guest"))
    assert site.calls("create_user") == 1
    site.totara.faults.clear()
    (found,) = one.find_accounts("mia@guest.test")
    assert found.username == "academy-x", "it was made, and the caller looks before it tries again"


def test_what_totara_refuses_is_not_asked_again(wire: responses.RequestsMock) -> None:
    wire.post(WS, json={"exception": "x", "errorcode": "nopermissions", "message": "m"})
    with pytest.raises(Refused):
        client(tries=3)._site.read("f")
    assert len(wire.calls) == 1


# --- names and texts -------------------------------------------------------------------------------------------------


def test_names_keep_their_languages_and_come_as_plain_text(site: Site) -> None:
    name = both("Valuation & origin", "Valeur & origine")
    course = site.course("VAL", name=name, summary=f"<p>{name}</p>")
    found = site.client().find_courses([course])[course]
    assert found.fullname == name
    assert "<p>" in found.summary


def test_names_that_are_escaped_on_the_wire_are_unescaped(wire: responses.RequestsMock) -> None:
    info = sample("ws-site-info")["response"]
    one = client(client_id="", client_secret="")
    recorded = sample("ws-courses-by-field-all")["response"]
    escaped = [row for row in recorded["courses"] if "&#" in row["fullname"]]
    assert escaped, "the recording holds a name with entities"

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        form = dict(parse_qsl(request.body))
        if form["wsfunction"] == "core_webservice_get_site_info":
            functions = [{"name": "core_course_get_courses_by_field", "version": "1"}]
            return 200, {}, json.dumps(info | {"functions": functions})
        if "moodlewssettingraw" in form:
            return 200, {}, json.dumps({"exception": "x", "errorcode": "invalidresponse", "message": "m"})
        assert form["moodlewssettingfilter"] == "1"
        return 200, {}, json.dumps({"courses": escaped, "warnings": []})

    wire.add_callback(responses.POST, WS, answer)
    found = one.find_courses([escaped[0]["id"]])[escaped[0]["id"]]
    assert found.fullname == 'Data protection & privacy "in practice"'


def test_one_name_with_other_markup_falls_back_to_filtered_names(site: Site) -> None:
    good = site.course("A", name=both("Trade & customs", "Commerce"))
    bad = site.course("B", name='<b>Bold</b> "name"')
    found = site.client().find_courses([good, bad])
    assert found[good].fullname == "Trade & customs"
    assert "Bold" in found[bad].fullname
    assert "&#" not in found[bad].fullname


def test_any_other_refusal_of_raw_names_is_told(wire: responses.RequestsMock) -> None:
    wire.post(WS, json={"exception": "x", "errorcode": "nopermissions", "message": "m"})
    with pytest.raises(Refused):
        client(client_id="", client_secret="")._named("core_course_get_categories")
    assert len(wire.calls) == 1


def test_a_recorded_course_is_read_with_its_picture_and_its_methods(wire: responses.RequestsMock) -> None:
    one = client(client_id="", client_secret="")
    functions = [{"name": "core_course_get_courses_by_field"}]

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        form = dict(parse_qsl(request.body))
        site_info = form["wsfunction"] == "core_webservice_get_site_info"
        body = {"functions": functions} if site_info else sample("ws-courses-by-field-all")["response"]
        return 200, {}, json.dumps(body)

    wire.add_callback(responses.POST, WS, answer)
    found = {course.id: course for course in one.courses_in(15)}
    fire = found[2]
    assert (fire.fullname, fire.shortname, fire.category_id, fire.idnumber) == (
        "Fire safety essentials", "FIRE101", 15, "SKU-FIRE101",
    )  # fmt: skip
    assert fire.visible is True
    assert fire.enrol_methods is not None
    assert "manual" in fire.enrol_methods
    assert fire.image is not None
    assert fire.image.url.endswith("/webservice/pluginfile.php/60/course/overviewfiles/fire.png")
    assert fire.tags is None, "no call tells the tags"
    assert found[8].sellable == "manual enrolment is off in the course"


@pytest.mark.parametrize("missing", ["id", "fullname", "shortname", "categoryid"])
def test_a_course_without_a_field_that_was_asked_for_is_unsupported(wire: responses.RequestsMock, missing: str) -> None:
    row = {"id": 2, "fullname": "A", "shortname": "A", "categoryid": 1}
    del row[missing]
    wire.post(WS, json={"courses": [row]})
    with pytest.raises(Unsupported) as caught:
        client().courses_in(1)
    assert caught.value.code == "missingfield"
    assert missing in str(caught.value)


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (lambda one: one.courses_in(1), {"warnings": []}),
        (lambda one: one.courses_in(1), []),
        (lambda one: one.courses_in(1), None),
        (lambda one: one.capabilities(), {"release": "x"}),
        (lambda one: one.capabilities(), None),
    ],
)
def test_an_answer_without_what_was_asked_for_is_unsupported(
    wire: responses.RequestsMock, read: Callable[[TotaraClient], Any], body: Any
) -> None:
    wire.post(WS, body=json.dumps(body))
    with pytest.raises(Unsupported):
        read(client(client_id="", client_secret=""))


# --- categories and courses by web services ---------------------------------------------------------------------------


def test_the_tree_leaves_out_what_totara_keeps_for_itself(site: Site) -> None:
    below = site.totara.add_category("Below", parent=site.public)
    tree = site.client().tree()
    assert [category.name for category in tree.path(below)] == ["Public", "Below"]
    assert not any("Space category" in category.name for category in tree)


def test_courses_are_read_only_where_something_may_be_sold(site: Site) -> None:
    secret = site.totara.add_category("Enforcement")
    empty = site.totara.add_category("Empty")
    open_, hidden = site.course("OPEN"), site.course("SECRET", category=secret)
    one = site.client()
    tree = one.tree()
    asked: list[int] = []

    def may_read(category: int) -> bool:
        asked.append(category)
        return category != secret

    found = {course.id for course in one.courses(tree, may_read)}
    assert found == {open_}
    assert hidden not in found
    assert secret in asked
    assert empty not in asked
    assert site.calls("core_course_get_courses_by_field") == 1


def test_the_front_page_is_no_course(site: Site) -> None:
    site.course("OPEN")
    one = site.client()
    assert 1 not in {course.id for course in one.courses(one.tree(), lambda _: True)}


def test_courses_are_found_by_id_and_unknown_ones_left_out(site: Site) -> None:
    known = site.course("OPEN")
    one = site.client()
    assert one.find_courses([known, known, 999]).keys() == {known}
    before = len(site.totara.requests)
    assert one.find_courses([]) == {}
    assert len(site.totara.requests) == before


def test_the_audience_visibility_is_told_only_to_who_may_update_courses(site: Site) -> None:
    course = site.course("OPEN", audiencevisible=3)
    assert site.client().audience_visibility([course]) == {course: 3}
    site.totara.may_update_courses = False
    assert site.client().audience_visibility([course]) == {}
    assert site.client(ws_token="").audience_visibility([course]) == {}


def test_tagged_courses_are_read_page_by_page(site: Site) -> None:
    ids = {site.course(f"T{number}", tags={"sale"}) for number in range(130)}
    site.course("OTHER")
    assert site.client().tagged("1") == ids
    with pytest.raises(Unsupported):
        site.client(ws_token="").tagged("1")


# --- pictures --------------------------------------------------------------------------------------------------------

PNG = picture(0x336699, 8, 8)


def test_a_picture_is_fetched_with_the_token_in_the_body(site: Site) -> None:
    course = site.course("PIC", image=PNG)
    one = site.client()
    image = one.find_courses([course])[course].image
    assert image is not None
    assert "token" not in image.url
    assert one.fetch_image(image) == (PNG, "image/png")


def test_the_token_of_a_picture_is_not_in_its_address(wire: responses.RequestsMock) -> None:
    url = f"{SITE}/webservice/pluginfile.php/60/course/overviewfiles/fire.png"
    wire.post(url, body=PNG, content_type="image/png; charset=binary")
    assert client().fetch_image(CourseImage(url, "fire.png", 1)) == (PNG, "image/png")
    assert wire.calls[0].request.url == url
    assert form_of(wire.calls[0]) == {"token": WS_TOKEN}


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/webservice/pluginfile.php/1/x.png",
        f"{SITE}.evil.example/webservice/pluginfile.php/1/x.png",
        f"{SITE}@evil.example/x.png",
        f"{SITE}:8080/x.png",
        "http://learn.example/x.png",
        "//learn.example/x.png",
        f"{SITE}/webservice/../../evil/x.png",
        f"{SITE}",
        "",
        "file:///etc/passwd",
    ],
)
def test_the_token_is_sent_to_nobody_else(wire: responses.RequestsMock, url: str) -> None:
    assert client().fetch_image(CourseImage(url, "x.png", 1)) is None
    assert len(wire.calls) == 0


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "application/json", b'{"error":"A required parameter (token) was missing","errorcode":"missingparam"}'),
        (404, "application/json", b'{"errorcode":"filenotfound"}'),
        (404, "image/png", PNG),
        (200, "text/html", b"<html>Log in</html>"),
        (303, "text/html", b""),
        (200, "image/svg+xml", b"<svg onload=alert(1)/>"),
        (200, "image/png", b""),
        (200, "image/png", b"x" * (8 * 1024 * 1024 + 1)),
        (200, "", PNG),
    ],
)
def test_what_is_no_picture_is_none(wire: responses.RequestsMock, status: int, kind: str, body: bytes) -> None:
    url = f"{SITE}/webservice/pluginfile.php/60/course/overviewfiles/fire.png"
    headers = {"Location": "https://evil.example/x.png"} if status == 303 else {}
    wire.post(url, body=body, status=status, content_type=kind, headers=headers)
    assert client().fetch_image(CourseImage(url, "fire.png", 1)) is None
    assert len(wire.calls) == 1


def test_a_picture_that_can_not_be_had_now_is_unavailable(wire: responses.RequestsMock) -> None:
    url = f"{SITE}/webservice/pluginfile.php/60/course/overviewfiles/fire.png"
    wire.post(url, status=503)
    with pytest.raises(Unavailable):
        client().fetch_image(CourseImage(url, "fire.png", 1))


# --- accounts --------------------------------------------------------------------------------------------------------


def test_an_address_with_a_wildcard_finds_only_itself(site: Site) -> None:
    for name in ("ann_", "anna", "annb", "ann%"):
        site.totara.add_user(f"{name}@members.example", username=f"u{ord(name[-1])}")
    one = site.client()
    for name in ("ann_", "anna", "ann%"):
        (found,) = one.find_accounts(f"{name}@members.example")
        assert found.email == f"{name}@members.example"
    assert one.find_accounts("an%@members.example") == []
    assert one.find_accounts("%") == []


def test_an_address_is_found_in_any_case_and_in_any_tenant(site: Site) -> None:
    site.totara.add_user("Anna@Members.Example", username="anna", tenant="academy")
    site.totara.add_user("anna@members.example", username="anna2", suspended=True, auth="oauth2")
    found = site.client().find_accounts("ANNA@members.example")
    assert [(account.username, account.suspended, account.auth) for account in found] == [
        ("anna", False, "manual"),
        ("anna2", True, "oauth2"),
    ]


def test_the_recorded_answer_to_a_wildcard_is_filtered(wire: responses.RequestsMock) -> None:
    one = client(client_id="", client_secret="")

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        form = dict(parse_qsl(request.body))
        if form["wsfunction"] == "core_webservice_get_site_info":
            return 200, {}, json.dumps({"functions": [{"name": "core_user_get_users"}]})
        return 200, {}, json.dumps(sample("ws-get-users-wildcard")["response"])

    wire.add_callback(responses.POST, WS, answer)
    assert one.find_accounts("ann_@members.example") == []
    assert one.find_accounts("ANNA@members.example") == [
        Account(6, "anna", "anna@members.example", "manual", False, datetime.fromtimestamp(1795446308, UTC))
    ]


def test_a_username_is_found_exactly(site: Site) -> None:
    number = site.totara.add_user("anna@members.example", username="anna")
    found = site.client().find_account_by_username("anna")
    assert found is not None
    assert (found.id, found.username) == (number, "anna")
    assert site.client().find_account_by_username("ann") is None
    assert site.client().find_account_by_username("ann_") is None


NEW = NewAccount("academy-abc", "mia@guest.test", "Mia", "Guest", language="fr", idnumber="shop-31")


def test_an_account_is_made_in_the_configured_tenant(site: Site) -> None:
    number = site.client(tenant="academy").create_account(NEW)
    user = site.totara.users[number]
    assert (user.username, user.email, user.firstname, user.lastname) == (
        "academy-abc", "mia@guest.test", "Mia", "Guest",
    )  # fmt: skip
    assert user.tenant == site.totara.tenant("academy").id
    assert (user.lang, user.idnumber, user.auth) == ("fr", "shop-31", "manual")


def test_the_tenant_and_a_random_password_are_on_the_wire(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN, json={"access_token": "t", "expires_in": 60})
    user = {"id": "7", "username": "academy-abc"}
    wire.post(API, json={"data": {"core_user_create_user": {"user": user}}})
    one = client(tenant="academy")
    assert one.create_account(NEW) == one.create_account(NEW) == 7
    sent = [json.loads(call.request.body or b"")["variables"]["i"] for call in wire.calls if call.request.url == API]
    assert [each["tenant"] for each in sent] == [{"idnumber": "academy"}] * 2
    passwords = {each["password"] for each in sent}
    assert len(passwords) == 2
    assert all(len(password) > 30 for password in passwords)
    assert all("generate_password" not in each for each in sent), "Totara would mail it"


def test_without_the_api_the_web_service_makes_the_account(make: Callable[..., Site]) -> None:
    site = make(graphql=False)
    number = site.client().create_account(NEW)
    user = site.totara.users[number]
    assert (user.username, user.tenant, user.idnumber) == ("academy-abc", None, "shop-31")


def test_an_account_for_a_tenant_is_never_made_outside_of_it_for_want_of_the_api(make: Callable[..., Site]) -> None:
    site = make(graphql=False)
    with pytest.raises(Unsupported):
        site.client(tenant="academy").create_account(NEW)
    assert site.totara.user_by_email("mia@guest.test") is None


@pytest.mark.parametrize(
    ("taken", "code"),
    [
        ({"email": "other@guest.test", "username": "academy-abc"}, "duplicateusername"),
        ({"email": "mia@guest.test", "username": "other"}, "duplicateemail"),
        ({"email": "other@guest.test", "username": "other", "idnumber": "shop-31"}, "duplicateidnumber"),
    ],
)
def test_a_taken_value_is_told_by_its_code(site: Site, taken: dict[str, Any], code: str) -> None:
    site.totara.add_user(**taken)
    with pytest.raises(Refused) as caught:
        site.client(tenant="academy").create_account(NEW)
    assert caught.value.code == code


def test_a_tenant_that_is_not_there_makes_no_account(site: Site) -> None:
    with pytest.raises(Refused) as caught:
        site.client(tenant="nowhere").create_account(NEW)
    assert caught.value.code == "badtenant"
    assert site.totara.user_by_email("mia@guest.test") is None


def test_whether_the_tenant_is_there_can_be_told_without_making_anybody(site: Site) -> None:
    before = dict(site.totara.users)
    assert site.client(tenant="academy").tenant_exists() is True
    assert site.client(tenant="nowhere").tenant_exists() is False
    assert site.client().tenant_exists() is None
    assert site.client(tenant="academy", ws_token="").tenant_exists() is None
    assert site.totara.users == before


@pytest.mark.parametrize("where", ["debugMessage", "message", "extensions"])
def test_nothing_of_a_new_account_is_told_even_when_totara_repeats_it(
    wire: responses.RequestsMock, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    wire.post(TOKEN, json={"access_token": "t-SENSITIVE", "expires_in": 60})
    passwords = []

    def echo(request: Any) -> tuple[int, dict[str, str], str]:
        sent = json.loads(request.body)["variables"]["i"]
        passwords.append(sent["password"])
        words = f'Variable "$i" got invalid value {json.dumps(sent)}'
        error: dict[str, Any] = {"message": "x", "extensions": {"category": "graphql"}}
        error |= (
            {"extensions": {"category": "internal", "debugMessage": words}} if where == "extensions" else {where: words}
        )
        return 200, {}, json.dumps({"errors": [error], "error": words})

    wire.add_callback(responses.POST, API, echo)
    with pytest.raises(Refused) as caught:
        client(tenant="academy").create_account(NEW)
    everything = f"{caught.value!r} {caught.value.code} {caught.value.data} {caught.value.__cause__} {caplog.text}"
    for word in (*passwords, "mia@guest.test", "Mia", "academy-abc", "SENSITIVE"):
        assert word not in everything


def test_nothing_secret_is_told_when_totara_does_not_answer(
    wire: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    wire.post(TOKEN, body=requests.ConnectionError(f"{TOKEN}?client_secret={CLIENT_SECRET}"))
    wire.post(WS, body=requests.ReadTimeout(f"{WS}?wstoken={WS_TOKEN} mia@guest.test"))
    one = client()
    for call in (lambda: one.create_account(NEW), lambda: one._site.call("f", email="mia@guest.test")):
        with pytest.raises(Unavailable) as caught:
            call()
        told = f"{caught.value!r} {caught.getrepr(style='short')}"
        assert "SENSITIVE" not in told
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
    assert "SENSITIVE" not in caplog.text
    assert "mia@guest.test" not in caplog.text


def test_against_a_whole_site_nothing_secret_and_nobody_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    one = site.client(tenant="academy")
    course = site.course("PIC", image=PNG)
    number = one.create_account(NEW)
    one.ensure_enrolment(number, course)
    one.find_accounts("mia@guest.test")
    image = one.find_courses([course])[course].image
    assert image is not None
    one.fetch_image(image)
    with pytest.raises(Refused):
        one.create_account(NEW)
    for word in ("SENSITIVE", "mia@guest.test", "Mia", "token="):
        assert word not in caplog.text


# --- enrolments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {"suspend": "0", "timeend": "0"}),
        ({"suspended": True}, {"suspend": "1", "timeend": "0"}),
        ({"ends": 1800000000}, {"suspend": "0", "timeend": "1800000000"}),
        ({"suspended": True, "ends": 1800000000}, {"suspend": "1", "timeend": "1800000000"}),
    ],
)
def test_start_end_and_suspension_are_always_on_the_wire(
    wire: responses.RequestsMock, options: dict[str, Any], sent: dict[str, str]
) -> None:
    forms = []

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        form = dict(parse_qsl(request.body, keep_blank_values=True))
        if form["wsfunction"] == "core_webservice_get_site_info":
            return 200, {}, json.dumps({"functions": [{"name": "enrol_manual_enrol_users"}]})
        forms.append({k: v for k, v in form.items() if k.startswith("enrolments")})
        return 200, {}, "null"

    wire.add_callback(responses.POST, WS, answer)
    client(client_id="", client_secret="", learner_role=9).ensure_enrolment(14, 2, **options)
    (form,) = forms
    assert form == {
        "enrolments[0][roleid]": "9",
        "enrolments[0][userid]": "14",
        "enrolments[0][courseid]": "2",
        "enrolments[0][timestart]": "0",
        "enrolments[0][timeend]": sent["timeend"],
        "enrolments[0][suspend]": sent["suspend"],
    }


def test_an_enrolment_is_as_said_whatever_it_was(site: Site) -> None:
    course, user = site.course("A"), site.totara.add_user("a@b.example")
    one = site.client()
    for options, status in (
        ({}, "active"), ({"suspended": True}, "suspended"), ({}, "active"), ({}, "active"),
    ):  # fmt: skip
        one.ensure_enrolment(user, course, **options)
        assert site.totara.enrolments[user, course].status == status
        assert one.reachable_courses(user, [course, 99]) == ({course} if status == "active" else set())
    assert len(site.totara.enrolments) == 1


def test_enrolling_where_it_can_not_work_says_why(site: Site) -> None:
    user = site.totara.add_user("a@b.example")
    closed = site.course("CLOSED", enrol_methods=("self",))
    one = site.client()
    for user_id, course_id, code in (
        (user, closed, "wsnoinstance"),
        (user, 999, "invalidparameter"),
        (999, closed, None),
    ):
        with pytest.raises(Refused) as caught:
            one.ensure_enrolment(user_id, course_id)
        assert code is None or caught.value.code == code


def test_success_does_not_tell_that_a_member_of_another_tenant_can_enter(site: Site) -> None:
    site.totara.add_tenant("members", "Members")
    theirs = site.course("MEM", category=site.totara.tenant("members").category_id)
    amy = site.totara.add_user("amy@academy.example", tenant="academy")
    one = site.client()
    one.ensure_enrolment(amy, theirs)
    assert one.reachable_courses(amy, [theirs]) == set()


def test_completion_is_told_while_the_enrolment_is_active_and_never_guessed(site: Site) -> None:
    course, user = site.course("A"), site.totara.add_user("a@b.example")
    none = site.course("NO", self_completion=False)
    one = site.client()
    assert one.completed(user, course) is None
    one.ensure_enrolment(user, course)
    one.ensure_enrolment(user, none)
    assert one.completed(user, course) is False
    assert one.completed(user, none) is None
    site.totara.complete(user, course)
    assert one.completed(user, course) is True
    one.ensure_enrolment(user, course, suspended=True)
    assert one.completed(user, course) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ws-completion-none", Completion(False, 0)),
        ("ws-completion-one-of-three", Completion(False, 33)),
        ("ws-completion-three-of-three", Completion(True, 100)),
        ("ws-completion-enrolled", Completion(False, 0)),
        ("ws-completion-not-enrolled", None),
    ],
)
def test_how_far_a_learner_is_is_what_totara_showed_beside_what_was_recorded(
    wire: responses.RequestsMock, name: str, found: Completion | None
) -> None:
    one = knowing(wire, "core_completion_get_course_completion_status")
    wire.replace(responses.POST, WS, json=sample(name)["response"])
    assert one.completion(180, 17) == found


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ws-course-contents-certificate", "/mod/certificate/view.php?id=21"),
        ("ws-course-contents-all", "/mod/certificate/view.php?id=21"),
        ("ws-course-contents-restricted", None),
        ("ws-course-contents-without-rights", None),
    ],
)
def test_a_certificate_is_found_in_what_was_recorded_of_its_course(
    wire: responses.RequestsMock, name: str, path: str | None
) -> None:
    one = knowing(wire, "core_course_get_contents")
    wire.replace(responses.POST, WS, json=sample(name)["response"])
    assert one.certificate(17) == path


def test_a_hidden_certificate_is_none_and_so_is_any_without_the_function(wire: responses.RequestsMock) -> None:
    contents = sample("ws-course-contents-certificate")["response"]
    contents[1]["modules"][0]["visible"] = 0
    one = knowing(wire, "core_course_get_contents")
    wire.replace(responses.POST, WS, json=contents)
    assert one.certificate(17) is None
    wire.replace(responses.POST, WS, json={"functions": []})
    one.capabilities(again=True)
    wire.remove(responses.POST, WS)
    assert one.certificate(17) is None


def knowing(wire: responses.RequestsMock, function: str) -> TotaraClient:
    """A client that knows the site to have this web service."""
    wire.post(WS, json={"functions": [{"name": function}]})
    one = client(client_id="", client_secret="")
    one.capabilities()
    return one


@pytest.mark.parametrize(
    ("met", "any_will_do", "expected"),
    [
        ([], False, None),
        ([(4, False)], False, 0),
        ([(4, True), (4, True), (4, False)], False, 66),
        ([(1, True)] + [(4, False)] * 199, False, 1),
        ([(1, False), (4, True), (4, False)], False, 33),
        ([(1, False), (4, True), (4, False)], True, 50),
        ([(1, True), (4, False)], True, 100),
    ],
)
def test_the_share_that_is_done_is_counted_as_totara_counts_it(
    met: list[tuple[int, bool]], any_will_do: bool, expected: int | None
) -> None:
    assert per_cent_of(met, any_will_do=any_will_do) == expected


def test_nothing_for_an_answer_about_a_learner_is_not_taken_for_no_courses(wire: responses.RequestsMock) -> None:
    names = ("core_enrol_get_users_courses", "core_completion_get_course_completion_status")
    wire.post(WS, json={"functions": [{"name": name} for name in names]})
    one = client(client_id="", client_secret="")
    one.capabilities()
    wire.replace(responses.POST, WS, body="null")
    with pytest.raises(Unsupported):
        one.reachable_courses(1, [2])
    assert one.completed(1, 2) is None


# --- a site with the API alone ---------------------------------------------------------------------------------------


@pytest.fixture(params=["19", "20"])
def modern(request: pytest.FixtureRequest, make: Callable[..., Site]) -> Site:
    """A later Totara without web services."""
    return make(version=request.param, web_services=False)


def test_a_later_site_can_do_all_that_the_bridge_needs(modern: Site) -> None:
    can = modern.client().capabilities()
    assert can.graphql
    assert not can.web_services
    assert all(any(can.can(name) for name in names) for names in NEEDS.values())
    assert can.can("core_user_user_v2") is (modern.totara.version == "20")


def test_a_site_is_asked_what_it_can_do_once(modern: Site) -> None:
    one = modern.client()
    one.capabilities()
    before = len(modern.totara.requests)
    one.capabilities()
    assert len(modern.totara.requests) == before
    one.capabilities(again=True)
    assert len(modern.totara.requests) > before


def test_totara_17_has_no_courses_in_its_api(make: Callable[..., Site]) -> None:
    site = make(web_services=False)
    can = site.client().capabilities()
    assert can.operations == {"totara_webapi_status", "core_user_users", "core_user_create_user"}
    one = site.client()
    with pytest.raises(Refused):
        one.tree()
    with pytest.raises(Unsupported):
        one.find_accounts("x@y.example")
    with pytest.raises(Refused):
        one.ensure_enrolment(1, 2)


def test_with_both_ways_in_both_are_known(site: Site) -> None:
    can = site.client().capabilities()
    assert can.graphql
    assert can.web_services
    assert can.can("enrol_manual_enrol_users")
    assert not can.can("enrol_manual_enrol_user")


def test_an_account_is_found_made_and_enrolled_by_the_api_alone(modern: Site) -> None:
    modern.totara.email_visible = True
    one = modern.client(tenant="academy")
    course = modern.course("A")
    assert one.find_accounts("mia@guest.test") == []
    number = one.create_account(NEW)
    assert modern.totara.users[number].tenant == modern.totara.tenant("academy").id
    assert one.find_accounts("MIA@guest.test") == [Account(number, "academy-abc", "mia@guest.test")]
    found = one.find_account_by_username("academy-abc")
    assert found is not None
    assert found.id == number
    assert one.find_account_by_username("nobody-at-all") is None
    assert one.reachable_courses(number, [course]) == set()
    assert one.completed(number, course) is None
    one.ensure_enrolment(number, course)
    assert one.reachable_courses(number, [course]) == {course}
    assert one.completion(number, course) == Completion(False, 0)
    modern.totara.courses[course].lessons = ["A", "B", "C"]
    modern.totara.finish(number, course, "B")
    assert one.completion(number, course) == Completion(False, 33)
    modern.totara.complete(number, course)
    assert one.completed(number, course) is True
    one.ensure_enrolment(number, course, suspended=True)
    assert modern.totara.enrolments[number, course].status == "suspended"
    assert one.reachable_courses(number, [course]) == set()
    one.ensure_enrolment(number, course)
    assert modern.totara.enrolments[number, course].status == "active"


def test_two_accounts_with_one_address_are_told_to_the_caller(modern: Site) -> None:
    for name in ("a", "b"):
        modern.totara.add_user("anna@members.example", username=name)
    with pytest.raises(Refused) as caught:
        modern.client().find_accounts("anna@members.example")
    assert caught.value.code == "severalusers"


def test_by_the_api_manual_enrolment_has_to_be_the_first_method(modern: Site) -> None:
    course = modern.course("A", enrol_methods=("self", "manual"))
    user = modern.totara.add_user("a@b.example")
    with pytest.raises(Refused) as caught:
        modern.client().ensure_enrolment(user, course)
    assert caught.value.code == "notmanualfirst"


def test_end_and_suspension_are_always_in_the_document_s_variables(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN, json={"access_token": "t", "expires_in": 60})
    wire.post(API, json={"data": {"enrol_manual_enrol_user": {"success": True}}})
    client(ws_token="").ensure_enrolment(14, 2)
    client(ws_token="").ensure_enrolment(14, 2, suspended=True, ends=1800000000)
    sent = [json.loads(call.request.body or b"")["variables"]["i"] for call in wire.calls if call.request.url == API]
    usual = {"user": {"id": 14}, "course": {"id": 2}, "role": {"id": 5}}
    assert sent == [
        usual | {"timeend": 0, "suspended": False},
        usual | {"timeend": 1800000000, "suspended": True},
    ]


def test_an_enrolment_that_did_not_succeed_is_refused(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN, json={"access_token": "t", "expires_in": 60})
    wire.post(API, json={"data": {"enrol_manual_enrol_user": {"success": False}}})
    with pytest.raises(Refused) as caught:
        client(ws_token="").ensure_enrolment(14, 2)
    assert caught.value.code == "notenrolled"


@pytest.mark.parametrize("changed", [None, 42])
def test_all_courses_are_read_by_pages_sorted_by_id(modern: Site, changed: int | None) -> None:
    ids = [modern.course(f"C{number:03}", timemodified=1_000_000) for number in range(230)]
    one = modern.client()
    seen = []
    for course in one.courses(Tree([]), lambda _: True):
        seen.append(course.id)
        if len(seen) == changed:
            modern.totara.edit_course(ids[120])
    assert seen == ids
    assert one.find_courses([ids[7], 9999]).keys() == {ids[7]}


def test_the_sort_and_the_cursor_are_as_totara_wants_them(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN, json={"access_token": "t", "expires_in": 60})
    pages = [{"items": [], "next_cursor": "abc"}, {"items": [], "next_cursor": ""}]
    for page in pages:
        wire.post(API, json={"data": {"core_course_courses": page}})
    assert list(client(ws_token="").courses(Tree([]), lambda _: True)) == []
    sent = [json.loads(call.request.body or b"")["variables"]["q"] for call in wire.calls if call.request.url == API]
    sort = [{"column": "id", "direction": "ASC"}]
    assert sent == [
        {"pagination": {"limit": 100}, "sort": sort},
        {"pagination": {"cursor": "abc"}, "sort": sort},
    ]
    assert all(
        "operationName" not in json.loads(call.request.body or b"{}") for call in wire.calls if call.request.url == API
    )


def test_a_restricted_course_is_dropped_as_it_is_read(modern: Site) -> None:
    secret = modern.totara.add_category("Enforcement")
    open_ = modern.course("OPEN")
    modern.course("SECRET", category=secret)
    found = list(modern.client().courses(Tree([]), lambda category: category != secret))
    assert [course.id for course in found] == [open_]


def test_the_tree_is_learnt_from_the_courses_in_it(modern: Site) -> None:
    deep = modern.public
    for level in range(6):
        deep = modern.totara.add_category(f"Level {level}", parent=deep)
    modern.totara.add_category("Nothing in it")
    modern.course("DEEP", category=deep)
    tree = modern.client().tree()
    assert [category.name for category in tree.path(deep)] == ["Public", *(f"Level {level}" for level in range(6))]
    assert tree.is_whole(deep)
    assert not tree.has("Nothing in it")


def test_a_category_too_deep_to_be_seen_whole_is_not_taken_for_whole(modern: Site) -> None:
    deep = modern.public
    for level in range(12):
        deep = modern.totara.add_category(f"Level {level}", parent=deep)
    modern.course("DEEP", category=deep)
    tree = modern.client().tree()
    assert [category.name for category in tree.path(deep)][-1] == "Level 11"
    assert not tree.is_whole(deep), "so that no deny rule is taken for kept"


def test_a_category_that_comes_without_its_parent_is_not_taken_for_the_top(wire: responses.RequestsMock) -> None:
    wire.post(TOKEN, json={"access_token": "t", "expires_in": 60})
    page = {"items": [{"id": "2", "category": {"id": "5", "name": "Covert"}}], "next_cursor": ""}
    wire.post(API, json={"data": {"core_course_courses": page, "totara_webapi_status": {"status": "ok"}}})
    with pytest.raises(Unsupported):
        client(ws_token="").tree()


def test_a_course_of_the_api_tells_less_and_makes_nothing_up(modern: Site) -> None:
    number = modern.course("A", idnumber="SKU-A", lang="fr", image=PNG)
    found = modern.client().find_courses([number])[number]
    assert (found.idnumber, found.language, found.category_id) == ("SKU-A", "fr", modern.public)
    assert (found.visible, found.audience_visible, found.enrol_methods, found.tags) == (None, None, None, None)


@pytest.mark.parametrize("missing", ["id", "fullname", "shortname", "category"])
def test_a_field_that_a_version_leaves_out_is_unsupported(wire: responses.RequestsMock, missing: str) -> None:
    wire.post(TOKEN, json={"access_token": "t", "expires_in": 60})
    item: dict[str, Any] = {"id": "2", "fullname": "A", "shortname": "A", "category": {"id": "1"}}
    del item[missing]
    wire.post(API, json={"data": {"core_course_courses": {"items": [item], "next_cursor": ""}}})
    with pytest.raises(Unsupported) as caught:
        list(client(ws_token="").courses(Tree([]), lambda _: True))
    assert caught.value.code == "missingfield"


@pytest.mark.parametrize("page", [{"items": []}, {"next_cursor": ""}, {}, None])
def test_a_page_without_its_parts_is_unsupported_and_not_the_end(wire: responses.RequestsMock, page: Any) -> None:
    wire.post(TOKEN, json={"access_token": "t", "expires_in": 60})
    wire.post(API, json={"data": {"core_course_courses": page}})
    with pytest.raises(Unsupported):
        list(client(ws_token="").courses(Tree([]), lambda _: True))


def test_with_web_services_the_api_makes_the_member_and_they_do_the_rest(site: Site) -> None:
    one = site.client(tenant="academy")
    course = site.course("A")
    number = one.create_account(NEW)
    one.ensure_enrolment(number, course)
    assert one.reachable_courses(number, [course]) == {course}
    assert site.calls("gql core_user_create_user") == 1
    assert site.calls("ws enrol_manual_enrol_users") == 1


# --- the documents ---------------------------------------------------------------------------------------------------


def documents_sent(version: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Every document that the client sends to a site, by its operation, with the variables."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}

    totara = Totara(version=version, client_secret=CLIENT_SECRET, web_services=False)
    totara.add_tenant("academy", "Academy")
    course = totara.add_course("A", shortname="A", category=totara.add_category("Public"))
    totara.email_visible = True
    with Served(totara.app) as served:
        one = client(served.url, ws_token="", tenant="academy")
        run = one._site.run

        def listening(operation: str, document: str, variables: Any) -> Any:
            found[operation] = (document, dict(variables))
            return run(operation, document, variables)

        one._site.run = listening  # type: ignore[method-assign]
        one.capabilities()
        number = one.create_account(NEW)
        if version != "17":
            one.tree()
            list(one.courses(Tree([]), lambda _: True))
            one.find_accounts("mia@guest.test")
            one.ensure_enrolment(number, course)
            one.reachable_courses(number, [course])
            one.completed(number, course)
    return found


def test_the_documents_of_17_fit_the_schema_that_17_tells() -> None:
    schema = build_client_schema(sample("gql-introspection")["response"]["data"])
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    known = schema.query_type.fields.keys() | schema.mutation_type.fields.keys()
    checked = []
    for operation, (document, variables) in documents_sent("17").items():
        if operation not in known:
            continue
        assert validate(schema, parse(document)) == [], operation
        definition: Any = parse(document).definitions[0]
        for variable in definition.variable_definitions or ():
            assert variable.variable.name.value in variables
        checked.append(operation)
    assert {"totara_webapi_status", "core_user_create_user"} <= set(checked)


def test_what_is_sent_for_a_new_account_are_fields_that_17_takes() -> None:
    schema = build_client_schema(sample("gql-introspection")["response"]["data"])
    _, variables = documents_sent("17")["core_user_create_user"]
    taken: Any = schema.type_map["core_user_create_user_input"]
    assert variables["i"].keys() <= taken.fields.keys()
    tenant: Any = schema.type_map["totara_tenant_tenant_reference"]
    assert variables["i"]["tenant"].keys() <= tenant.fields.keys()


@pytest.mark.parametrize("version", ["17", "19", "20"])
def test_every_document_has_one_operation_with_one_field_and_no_name(version: str) -> None:
    for operation, (document, _) in documents_sent(version).items():
        parsed: Any = parse(document)
        (definition,) = parsed.definitions
        (field,) = definition.selection_set.selections
        assert field.name.value == operation
        assert definition.name is None, "Totara refuses the usual names"


def test_a_client_is_made_without_a_network() -> None:
    one = client("https://nobody.invalid/")
    assert one.url == "https://nobody.invalid"
    assert isinstance(Course(1, "a", "b", 2), Course)
