"""The embedded Totara's behaviour: what it promises, and the real one's odd parts that it must not lose."""

import base64
import json
import threading
import xml.etree.ElementTree
from typing import Any

import pytest

from bridge.sandbox.totara import Totara
from bridge.sandbox.totara_text import cleaned, escaped, in_language, stripped
from bridge.sandbox.world import both, picture, seed_academy

NOW = 1795444800
CREATE = "mutation($i: core_user_create_user_input!) { core_user_create_user(input: $i) { user { id } } }"
ENROL = (
    "mutation($i: enrol_manual_enrol_user_input!) { enrol_manual_enrol_user(input: $i) "
    "{ success was_already_enrolled enrolment { timestart timeend } } }"
)
UNENROL = (
    "mutation($i: enrol_manual_unenrol_user_input!) { enrol_manual_unenrol_user(input: $i) "
    "{ success user_had_manual_enrolment } }"
)


class Site:
    """A Totara with two tenants and three courses, and callers of its APIs."""

    def __init__(self, **settings: Any) -> None:
        self.time = float(NOW)
        self.totara = Totara(now=lambda: self.time, **settings)
        self.client: Any = self.totara.app.test_client()
        for idnumber in ("academy", "members"):
            self.totara.add_tenant(idnumber, idnumber.title())
        self.public = self.totara.add_category("Public")
        self.open = self.totara.add_course("Open", shortname="OPEN", category=self.public)
        theirs = self.totara.tenant("academy").category_id
        self.academy = self.totara.add_course("Academy", shortname="ACA", category=theirs)
        theirs = self.totara.tenant("members").category_id
        self.members = self.totara.add_course("Members", shortname="MEM", category=theirs)
        self.anna = self.totara.add_user("anna@shop.example", username="anna")
        self.amy = self.totara.add_user("amy@academy.example", username="amy", tenant="academy")

    def ws(self, function: str, **parameters: Any) -> Any:
        """Call a web service; nested parameters are written PHP's way."""
        return self.ws_answer(function, **parameters).json

    def ws_answer(self, function: str, **parameters: Any) -> Any:
        form = {"wstoken": "sandbox-ws-token", "wsfunction": function, "moodlewsrestformat": "json"}
        for name, value in parameters.items():
            form |= flat(name, value)
        return self.client.post("/webservice/rest/server.php", data=form)

    def token(self, **form: str) -> Any:
        """What the token endpoint says."""
        given = {"grant_type": "client_credentials", "client_id": "sandbox-client"}
        given |= {"client_secret": "sandbox-client-secret"} | form
        return json.loads(self.client.post("/totara/oauth2/token.php", data=given).text)

    def gql(self, query: str, **variables: Any) -> Any:
        """Call the GraphQL API with a new token."""
        return self.gql_answer({"query": query, "variables": variables}).json

    def gql_answer(self, body: Any, token: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {token or self.token()['access_token']}"}
        return self.client.post("/api/graphql.php", json=body, headers=headers)

    def enrol(self, user: int, course: int, **more: int) -> Any:
        """Enrol by web service."""
        one = {"roleid": 5, "userid": user, "courseid": course} | more
        return self.ws("enrol_manual_enrol_users", enrolments=[one])

    def gql_enrol(self, user: int, course: int, **more: Any) -> Any:
        """Enrol by GraphQL."""
        return self.gql(ENROL, i={"user": {"id": user}, "course": {"id": course}} | more)


def flat(name: str, value: Any) -> dict[str, str]:
    """A nested parameter as PHP reads it."""
    if isinstance(value, dict):
        return {k: v for key, below in value.items() for k, v in flat(f"{name}[{key}]", below).items()}
    if isinstance(value, list):
        return {k: v for i, below in enumerate(value) for k, v in flat(f"{name}[{i}]", below).items()}
    return {name: str(value)}


def newcomer(email: str, username: str = "", **more: Any) -> dict[str, Any]:
    """What both APIs want of a new account."""
    names = {"firstname": "New", "lastname": "Comer", "password": "Learner-1!"}
    return {"username": username or email.lower(), "email": email} | names | more


def debug(answer: Any) -> str:
    """The debugMessage of an answer's first error."""
    return str(answer["errors"][0]["debugMessage"])


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def site20() -> Site:
    return Site(version="20")


# The token endpoint.


def test_a_token_is_given_for_basic_credentials_too(site: Site) -> None:
    answer = site.client.post(
        "/totara/oauth2/token.php",
        data={"grant_type": "client_credentials"},
        auth=("sandbox-client", "sandbox-client-secret"),
    )
    assert json.loads(answer.text)["token_type"] == "Bearer"


def test_a_get_for_a_token_is_an_unsupported_grant_with_status_200(site: Site) -> None:
    answer = site.client.get("/totara/oauth2/token.php?grant_type=client_credentials")
    assert (answer.status_code, json.loads(answer.text)["error"]) == (200, "unsupported_grant_type")


def test_a_token_is_refused_once_it_has_expired(site: Site) -> None:
    site.totara.token_seconds = 60
    given = site.token()
    assert given["expires_in"] == 60
    body = {"query": "{ totara_webapi_status { status } }"}
    assert site.gql_answer(body, given["access_token"]).json == {"data": {"totara_webapi_status": {"status": "ok"}}}
    site.time += 60
    assert "expired or invalid" in debug(site.gql_answer(body, given["access_token"]).json)


def test_a_revoked_token_is_refused_and_a_new_one_works(site: Site) -> None:
    token = site.token()["access_token"]
    site.totara.revoke_tokens()
    assert "errors" in site.gql_answer({"query": "{ core_user_users { total } }"}, token).json
    assert "data" in site.gql("{ core_user_users { total } }")


def test_a_site_without_the_api_feature_refuses_tokens_with_200_and_queries_with_400() -> None:
    site = Site(graphql=False)
    assert site.token()["error"] == "access_denied"
    answer = site.gql_answer({"query": "{ core_user_users { total } }"}, "any")
    assert (answer.status_code, answer.json["error"]) == (400, "Feature api is not available.")


# GraphQL: the protocol.


def test_an_unknown_operation_is_silence_and_so_is_an_unknown_field(site: Site) -> None:
    assert site.gql("{ core_course_courses { total } }") == {"data": []}
    answer = site.gql("{ core_user_users { total nosuch { deeper } } nosuch { a } }")
    assert answer == {"data": {"core_user_users": {"total": 5}}}


def test_a_variable_of_a_type_the_version_does_not_have_is_an_error(site: Site) -> None:
    query = "query($q: core_course_courses_query) { core_course_courses(query: $q) { total } }"
    assert site.gql(query, q={})["errors"][0]["extensions"] == {"category": "graphql"}
    assert site.gql(query.replace("course_courses", "user_users"), q={})["data"]["core_user_users"]["total"] == 5


def test_aliases_fragments_and_directives_are_understood(site: Site) -> None:
    answer = site.gql(
        "query named($yes: Boolean!, $no: Boolean = false) { all: core_user_users { ...page "
        "next_cursor @include(if: $no) ... on core_user_users_result { items @skip(if: $yes) { id } } } } "
        "fragment page on core_user_users_result { many: total __typename }",
        yes=True,
    )
    assert answer == {"data": {"all": {"many": 5}}}


def test_an_operation_name_in_camel_case_is_refused(site: Site) -> None:
    for name, key in (("get_users", "data"), ("getUsers", "errors")):
        body = {"query": f"query {name} {{ core_user_users {{ total }} }}", "operationName": name}
        assert key in site.gql_answer(body).json


def test_of_several_operations_the_named_one_is_run(site: Site) -> None:
    query = "query one { totara_webapi_status { status } } query two { core_user_users { total } }"
    answer = site.gql_answer({"query": query, "operationName": "two"}).json
    assert answer == {"data": {"core_user_users": {"total": 5}}}
    assert "errors" in site.gql(query)


def test_a_syntax_error_is_of_the_category_graphql(site: Site) -> None:
    assert site.gql("query {")["errors"][0]["extensions"] == {"category": "graphql"}


def test_a_body_that_is_no_request_is_an_error_and_not_a_crash(site: Site) -> None:
    for body in (None, "text", {}, {"query": 5}, [5]):
        answer = site.gql_answer(body)
        assert answer.status_code == 200
        assert "errors" in json.dumps(answer.json)


def test_an_expensive_query_is_refused_by_its_complexity(site: Site) -> None:
    site.totara.max_complexity = 20
    query = "{ core_user_users { items { id username email } } }"
    assert site.gql(query)["errors"][0]["extensions"] == {"category": "query_complexity"}
    site.totara.max_complexity = 21  # 5 for the query, 1 for items, 3 for each of five accounts
    assert len(site.gql(query)["data"]["core_user_users"]["items"]) == 5


def test_introspection_is_off_as_on_a_site_where_nobody_allowed_it(site: Site) -> None:
    assert "introspection" in site.gql("{ __schema { types { name } } }")["errors"][0]["message"]


def test_mutations_before_the_failing_one_stay_done_and_those_after_it_are_not_run(site: Site) -> None:
    answer = site.gql(
        'mutation { a: core_user_update_user(target_user: {username: "anna"}, input: {city: "A"}) '
        "{ user { id } } "
        'b: core_user_update_user(target_user: {username: "nobody"}, input: {city: "B"}) { user { id } } '
        'c: core_user_update_user(target_user: {username: "amy"}, input: {city: "C"}) { user { id } } }'
    )
    assert "data" not in answer
    assert [site.totara.users[user].city for user in (site.anna, site.amy)] == ["A", ""]
    assert site.totara.requests == ["token", "gql core_user_update_user", "gql core_user_update_user"]


def test_with_error_responses_off_nothing_tells_one_failure_from_another() -> None:
    site = Site(response_debug=0)
    duplicate = site.gql(CREATE, i=newcomer("anna@shop.example"))
    no_tenant = site.gql(CREATE, i=newcomer("new@shop.example", tenant={"idnumber": "nosuch"}))
    assert duplicate == no_tenant
    assert duplicate["errors"][0]["message"] == "Internal server error"
    assert "debugMessage" not in json.dumps(duplicate)


def test_a_missing_argument_and_a_wrong_literal_are_errors_of_the_request(site: Site) -> None:
    for query in (
        "mutation { core_user_create_user { user { id } } }",
        'mutation { core_user_create_user(input: {username: "x"}) { user { id } } }',
        'mutation { core_user_delete_user(target_user: "anna") { user_id } }',
    ):
        assert site.gql(query)["errors"][0]["extensions"] == {"category": "graphql"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"email": "not an address"}, "Expected type param_email at value.email"),
        ({"suspended": "yes"}, "Boolean cannot represent a non boolean value"),
        ({"tenantid": 3}, 'Field "tenantid" is not defined by type core_user_create_user_input.'),
        (
            {"tenant": "academy"},
            "Expected type totara_tenant_tenant_reference to be an object at value.tenant",
        ),
        (
            {"custom_fields": [{"data": "x"}]},
            "Field value.custom_fields[0].shortname of required type String!",
        ),
        ({"firstname": None}, "Expected non-nullable type String! not to be null at value.firstname"),
    ],
)
def test_a_variable_that_does_not_fit_is_refused_with_its_place(site: Site, given: Any, message: str) -> None:
    answer = site.gql(CREATE, i=newcomer("new@shop.example") | given)
    assert message in answer["errors"][0]["message"]
    assert site.totara.user_by_email("new@shop.example") is None


# GraphQL: pages.


def pages(site: Site, column: str, limit: int = 3) -> list[str]:
    """The ids of all accounts, read by pages sorted by a column."""
    query = "query($q: core_user_users_query) { core_user_users(query: $q) { total next_cursor items { id } } }"
    sort = [{"column": column, "direction": "ASC"}]
    found: list[str] = []
    pagination: dict[str, Any] = {"limit": limit}
    while True:
        page = site.gql(query, q={"pagination": pagination, "sort": sort})["data"]["core_user_users"]
        found += [item["id"] for item in page["items"]]
        if not page["next_cursor"]:
            return found
        pagination = {"cursor": page["next_cursor"]}


def test_pages_sorted_by_a_column_that_ties_lose_accounts(site: Site) -> None:
    everybody = sorted(str(user.id) for user in site.totara.live_users())
    assert sorted(pages(site, "id")) == everybody
    assert len(pages(site, "timemodified")) == 3
    assert sorted(pages(site, "timemodified,id")) == everybody


def test_a_cursor_keeps_its_limit_and_two_sort_columns_are_refused(site: Site) -> None:
    held = base64.b64encode(b'{"limit":2,"columns":{"id":"1"}}').decode()
    pagination = f'pagination: {{cursor: "{held}", limit: 50}}'
    answer = site.gql(f"{{ core_user_users(query: {{{pagination}}}) {{ next_cursor items {{ id }} }} }}")
    assert [item["id"] for item in answer["data"]["core_user_users"]["items"]] == ["2", "3"]
    sort = 'sort: [{column: "id"}, {column: "username"}]'
    assert "errors" in site.gql(f"{{ core_user_users(query: {{{sort}}}) {{ total }} }}")
    assert "errors" in site.gql('{ core_user_users(query: {pagination: {cursor: "x"}}) { total } }')


def test_a_page_holds_twenty_unless_told_otherwise(site: Site) -> None:
    for number in range(30):
        site.totara.add_user(f"u{number}@shop.example")
    assert len(site.gql("{ core_user_users { items { id } } }")["data"]["core_user_users"]["items"]) == 20


# GraphQL: accounts.


def test_an_account_is_made_in_the_tenant_that_is_named_and_its_email_comes_back_as_null(site: Site) -> None:
    query = CREATE.replace("user { id }", "user { id email }")
    made = site.gql(query, i=newcomer("New@shop.example", tenant={"idnumber": "academy"}))
    user = site.totara.users[int(made["data"]["core_user_create_user"]["user"]["id"])]
    assert (user.email, user.username) == ("New@shop.example", "new@shop.example")
    assert user.tenant == site.totara.tenant("academy").id
    assert made["data"]["core_user_create_user"]["user"]["email"] is None
    by_id = site.gql(CREATE, i=newcomer("other@shop.example", tenant={"id": str(user.tenant)}))
    assert "data" in by_id


@pytest.mark.parametrize("tenant", [{}, {"idnumber": "academy", "id": "1"}, {"id": "99"}])
def test_a_tenant_reference_must_identify_exactly_one_tenant(site: Site, tenant: Any) -> None:
    answer = site.gql(CREATE, i=newcomer("new@shop.example", tenant=tenant))
    assert debug(answer) == "Tenant reference must identify exactly one tenant."


def test_upper_case_in_a_username_is_refused_and_in_an_email_it_makes_another_account(site: Site) -> None:
    assert "lower case" in debug(site.gql(CREATE, i=newcomer("x@shop.example", username="Anna2")))
    assert "username can only" in debug(site.gql(CREATE, i=newcomer("x@shop.example", username="anna ß")))
    assert "data" in site.gql(CREATE, i=newcomer("ANNA@shop.example", username="anna2"))
    assert [u.username for u in site.totara.live_users() if u.email.lower() == "anna@shop.example"] == [
        "anna",
        "anna2",
    ]


def test_a_user_is_moved_to_a_tenant_only_by_who_may(site: Site) -> None:
    query = (
        'mutation { core_user_update_user(target_user: {username: "anna"}, input: '
        '{tenant: {idnumber: "academy"}}) '
        "{ user { id } } }"
    )
    assert "tenancy membership" in debug(site.gql(query))
    site.totara.may_move_tenants = True
    assert "data" in site.gql(query)
    assert site.totara.users[site.anna].tenant == 1


def test_an_update_without_changes_touches_the_time_of_the_last_change(site: Site) -> None:
    site.time += 100
    site.gql('mutation { core_user_update_user(target_user: {username: "anna"}, input: {}) { user { id } } }')
    assert site.totara.users[site.anna].timemodified == NOW + 100


def test_a_deleted_account_is_gone_and_its_address_is_free(site: Site) -> None:
    site.totara.enrol(site.anna, site.open)
    query = 'mutation { core_user_delete_user(target_user: {email: "anna@shop.example"}) { user_id } }'
    assert site.gql(query) == {"data": {"core_user_delete_user": {"user_id": str(site.anna)}}}
    assert site.totara.user_by_email("anna@shop.example") is None
    assert not site.totara.enrolments
    gone = site.totara.users[site.anna]
    assert (gone.email, gone.idnumber, gone.username == "anna") == ("", "", False)
    assert "data" in site.gql(CREATE, i=newcomer("anna@shop.example", username="anna"))


def test_a_reference_must_name_an_account_in_exactly_one_way(site: Site) -> None:
    query = "mutation($t: core_user_user_reference!) { core_user_delete_user(target_user: $t) { user_id } }"
    site.totara.add_user("anna@shop.example", username="anna2")
    for reference in ({}, {"id": site.amy, "username": "amy"}, {"email": "anna@shop.example"}):
        assert "finding a single user" in debug(site.gql(query, t=reference))
    assert "data" in site.gql(query, t={"id": site.amy, "username": None})


def test_the_list_of_users_leaves_out_the_suspended_from_18_on_unless_all_are_asked_for() -> None:
    for version, status, number in (("17", "", 5), ("19", "", 4), ("20", "ALL", 5), ("20", "SUSPENDED", 1)):
        site = Site(version=version)
        site.totara.users[site.anna].suspended = True
        query = f"(query: {{filters: {{status: {status}}}}})" if status else ""
        answer = site.gql(f"{{ core_user_users{query} {{ total }} }}")
        assert answer["data"]["core_user_users"]["total"] == number


def test_one_user_can_be_asked_for_from_18_on(site20: Site) -> None:
    query = "query($r: core_user_user_reference!) { %s(reference: $r) { found user { username } } }"
    answer = site20.gql(query % "core_user_user_v2", r={"email": "anna@shop.example"})
    assert answer == {"data": {"core_user_user_v2": {"found": True, "user": {"username": "anna"}}}}
    answer = site20.gql(query % "core_user_user_v2", r={"email": "ANNA@shop.example"})
    assert answer == {"data": {"core_user_user_v2": {"found": False, "user": None}}}
    assert "finding a single user" in debug(site20.gql(query % "core_user_user", r={"username": "nobody"}))
    site20.totara.add_user("anna@shop.example", username="anna2")
    answer = site20.gql(query % "core_user_user", r={"email": "anna@shop.example"})
    assert debug(answer) == "Multiple users returned with the same email."
    assert Site(version="19").gql(query % "core_user_user_v2", r={"username": "anna"}) == {"data": []}


# GraphQL: courses, enrolments and completion, from 18 on.


def test_courses_are_listed_without_visibility_and_with_their_categories(site20: Site) -> None:
    inner = site20.totara.add_category("Inner", parent=site20.public)
    hidden = site20.totara.add_course(
        both("Hidden & new", "Caché"),
        shortname="H",
        category=inner,
        visible=0,
        image=b"png",
        summary=both("a", "b"),
    )
    site20.totara.edit_course(site20.open, viewable=False)
    query = (
        "query($q: core_course_courses_query) { core_course_courses(query: $q) { total items "
        "{ id fullname visible "
        "tags raw: fullname(format: RAW) summary image category { id parent { name parent { id } } } } } }"
    )
    page = site20.gql(query, q={"sort": {"column": "id", "direction": "DESC"}})["data"]["core_course_courses"]
    assert page["total"] == 3
    first = page["items"][0]
    assert first.pop("image").endswith("/image") and first.pop("raw").startswith("<span")
    category = {"id": str(inner), "parent": {"name": "Public", "parent": None}}
    assert first == {"id": str(hidden), "fullname": "Hidden & new", "summary": "a", "category": category}
    site20.totara.multilang_filter = False
    assert site20.gql(query)["data"]["core_course_courses"]["items"][-1]["fullname"] == "Hidden & newCaché"


def test_courses_are_filtered_by_tag_and_by_the_time_of_their_change(site20: Site) -> None:
    query = "{ core_course_courses(query: {filters: {%s}}) { items { id } } }"

    def found(filters: str) -> list[str]:
        page = site20.gql(query % filters)["data"]["core_course_courses"]
        return [item["id"] for item in page["items"]]

    site20.time += 100
    site20.totara.edit_course(site20.academy, tags={"shop"})
    assert found('tag_filter: "shop"') == [str(site20.academy)]
    assert found(f"since_timemodified: {NOW + 100}") == [str(site20.academy)]
    assert found('since_timemodified: "2026-11-23T14:41:00+00:00"') == [str(site20.academy)]
    assert len(found(f"since_timecreated: {NOW}")) == 3


def test_enrolling_takes_the_first_method_and_fails_if_it_is_not_the_manual_one(site20: Site) -> None:
    site20.totara.edit_course(site20.open, enrol_methods=["self", "manual"])
    assert "invalid enrol instance!" in debug(site20.gql_enrol(site20.anna, site20.open))
    assert site20.enrol(site20.anna, site20.open) is None


def test_enrolling_again_by_graphql_moves_the_start_and_loses_the_end(site20: Site) -> None:
    site20.gql_enrol(site20.anna, site20.open, timeend=NOW + 500, suspended=True)
    enrolment = site20.totara.enrolments[site20.anna, site20.open]
    assert (enrolment.status, enrolment.timestart, enrolment.timeend) == ("suspended", NOW, NOW + 500)
    site20.time += 100
    again = site20.gql_enrol(site20.anna, site20.open)["data"]["enrol_manual_enrol_user"]
    assert again == {
        "success": True,
        "was_already_enrolled": True,
        "enrolment": {"timestart": NOW + 100, "timeend": None},
    }
    assert site20.totara.enrolments[site20.anna, site20.open].active(NOW + 10**9)


def test_a_start_of_more_than_a_day_ago_and_an_end_before_the_start_are_refused(site20: Site) -> None:
    yesterday = NOW - 86400
    assert "in the past" in debug(site20.gql_enrol(site20.anna, site20.open, timestart=yesterday - 1))
    assert "end date" in debug(site20.gql_enrol(site20.anna, site20.open, timeend=NOW - 1))
    assert "data" in site20.gql_enrol(site20.anna, site20.open, timestart=yesterday)
    assert site20.totara.enrolments[site20.anna, site20.open].timestart == NOW


def test_another_role_than_the_learners_is_refused(site20: Site) -> None:
    assert "errors" in site20.gql_enrol(site20.anna, site20.open, role={"id": 3})
    assert "data" in site20.gql_enrol(site20.anna, site20.open, role={"shortname": "student"})


def test_graphql_refuses_a_member_for_another_tenants_course_but_not_for_a_system_course(
    site20: Site,
) -> None:
    site20.totara.isolation = True
    assert "errors" in site20.gql_enrol(site20.amy, site20.members)
    assert "data" in site20.gql_enrol(site20.amy, site20.open)
    assert not site20.totara.reachable(site20.amy, site20.open)


def test_unenrolling_by_graphql_says_success_to_a_suspended_enrolment_and_leaves_it(site20: Site) -> None:
    both_ids = {"user": {"id": site20.anna}, "course": {"shortname": "OPEN"}}
    site20.gql_enrol(site20.anna, site20.open, suspended=True)
    answer = site20.gql(UNENROL, i=both_ids)["data"]["enrol_manual_unenrol_user"]
    assert answer == {"success": True, "user_had_manual_enrolment": False}
    assert (site20.anna, site20.open) in site20.totara.enrolments
    site20.gql_enrol(site20.anna, site20.open)
    answer = site20.gql(UNENROL, i=both_ids)["data"]["enrol_manual_unenrol_user"]
    assert answer == {"success": True, "user_had_manual_enrolment": True}
    assert not site20.totara.enrolments


def test_enrolment_and_completion_can_be_asked_for(site20: Site) -> None:
    pair = f"user: {{id: {site20.anna}}}, course: {{id: {site20.open}}}"
    completion = "completion { statuskey progress timecompleted }"
    query = (
        f"{{ core_course_is_user_enrolled({pair}) {{ user_currently_enrolled }} "
        f"core_completion_get_course_completion(query: {{{pair}}}) {{ {completion} }} }}"
    )

    def told() -> tuple[bool, Any]:
        data = site20.gql(query)["data"]
        enrolled = data["core_course_is_user_enrolled"]["user_currently_enrolled"]
        return enrolled, data["core_completion_get_course_completion"]["completion"]

    assert told() == (False, None)
    site20.totara.enrol(site20.anna, site20.open, method="cohort")
    assert told() == (True, {"statuskey": "notyetstarted", "progress": 0.0, "timecompleted": None})
    site20.totara.complete(site20.anna, site20.open)
    assert told() == (True, {"statuskey": "complete", "progress": 100.0, "timecompleted": NOW})
    assert "single course" in debug(site20.gql(query.replace(f"{{id: {site20.open}}}", "{id: 99}")))


# Web services: the protocol.


def test_switched_off_web_services_answer_403_with_nothing() -> None:
    answer = Site(web_services=False).ws_answer("core_course_get_courses")
    assert (answer.status_code, answer.text) == (403, "")


def test_a_function_outside_the_service_is_an_access_exception_and_site_info_lists_those_inside() -> None:
    site = Site(ws_functions={"core_webservice_get_site_info", "core_course_get_courses"})
    assert site.ws("core_user_get_users", criteria=[])["errorcode"] == "accessexception"
    names = [function["name"] for function in site.ws("core_webservice_get_site_info")["functions"]]
    assert names == ["core_course_get_courses", "core_webservice_get_site_info"]


def test_parameters_are_taken_from_the_address_too_and_without_json_the_answer_is_xml(site: Site) -> None:
    address = "/webservice/rest/server.php?wstoken=sandbox-ws-token&wsfunction=core_course_get_categories"
    assert site.client.get(f"{address}&moodlewsrestformat=json").json[0]["name"] == "Miscellaneous"
    answer = site.client.get(address)
    assert xml.etree.ElementTree.fromstring(answer.text).tag == "RESPONSE"
    answer = site.client.get(f"{address}&nope=1")
    assert xml.etree.ElementTree.fromstring(answer.text).findtext("ERRORCODE") == "invalidparameter"


def test_a_multipart_form_is_read_as_well(site: Site) -> None:
    form = {
        "wstoken": "sandbox-ws-token",
        "wsfunction": "core_course_get_categories",
        "moodlewsrestformat": "json",
    }
    answer = site.client.post("/webservice/rest/server.php", data=form, content_type="multipart/form-data")
    assert answer.json[0]["name"] == "Miscellaneous"


def test_variables_beyond_the_thousandth_are_dropped_without_a_word(site: Site) -> None:
    users = [newcomer(f"u{number}@shop.example") for number in range(200)]
    assert site.ws("core_user_create_users", users=users)["errorcode"] == "invalidparameter"
    # Three variables go first, so 997 are left: 249 enrolments of four, and one variable of the 250th.
    numbers = [site.totara.add_user(f"u{number}@shop.example") for number in range(260)]
    one = [{"roleid": 5, "userid": n, "courseid": site.open, "suspend": 0} for n in numbers]
    assert site.ws("enrol_manual_enrol_users", enrolments=one)["errorcode"] == "invalidparameter"
    # On a border between two records nobody is told: 332 of three fit, the rest is lost.
    one = [{"roleid": 5, "userid": n, "courseid": site.open} for n in numbers]
    one += [one[0]] * (332 - len(one)) + [one[-1] | {"courseid": site.academy}] * 5
    assert site.ws("enrol_manual_enrol_users", moodlewssettingraw=0, enrolments=one) is None
    assert {course for _, course in site.totara.enrolments} == {site.open}


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        ("core_course_get_courses", {"options": {"ids": ["x"]}}),
        ("core_course_get_courses", {"options": {"nope": ["1"]}}),
        ("core_course_get_courses_by_field", {"field": "fullname", "value": "x"}),
        ("core_course_search_courses", {"criterianame": "blocklist", "criteriavalue": "1"}),
        ("core_user_get_users_by_field", {"field": "lastname", "values": ["x"]}),
        (
            "core_user_get_users",
            {"criteria": [{"key": "email", "value": "a"}, {"key": "email", "value": "b"}]},
        ),
        ("core_user_create_users", {"users": [newcomer("no-address")]}),
        ("core_user_create_users", {"users": [newcomer("a@b.example", nope=1)]}),
        ("core_user_create_users", {"users": "x"}),
        ("core_user_update_users", {"users": [{"firstname": "x"}]}),
        ("core_user_update_users", {"users": [{"id": 2, "suspended": "maybe"}]}),
        ("core_enrol_get_users_courses", {"userid": {"0": "1"}}),
    ],
)
def test_anything_malformed_is_an_invalid_parameter(site: Site, function: str, parameters: Any) -> None:
    assert site.ws(function, **parameters)["errorcode"] == "invalidparameter"


# Web services: courses and categories.


def test_one_course_the_account_may_not_enter_fails_the_whole_list(site: Site) -> None:
    assert {course["id"] for course in site.ws("core_course_get_courses")} == {1, *site.totara.courses}
    site.totara.edit_course(site.members, enterable=False)
    assert site.ws("core_course_get_courses")["errorcode"] == "errorcoursecontextnotvalid"
    answer = site.ws("core_course_get_courses", options={"ids": [site.open, 999]})
    assert [course["id"] for course in answer] == [site.open]
    assert len(site.ws("core_course_get_courses_by_field")["courses"]) == 4


def test_what_the_account_cannot_see_is_left_out_of_a_search_by_field(site: Site) -> None:
    site.totara.edit_course(site.members, viewable=False)

    def found(field: str, value: Any) -> list[int]:
        courses = site.ws("core_course_get_courses_by_field", field=field, value=value)["courses"]
        return [course["id"] for course in courses]

    assert found("ids", f"{site.members},{site.open},1,77") == [1, site.open]
    assert found("category", site.public) == [site.open]
    assert found("shortname", "ACA") == [site.academy]


def test_without_the_right_to_update_courses_their_idnumber_and_visibility_are_not_told(site: Site) -> None:
    site.totara.may_update_courses = False
    told = site.ws("core_course_get_courses")[0]
    assert not {"idnumber", "visible", "audiencevisible", "lang", "timemodified"} & told.keys()
    assert {"id", "fullname", "shortname", "categoryid", "summary"} <= told.keys()
    told = site.ws("core_course_get_courses_by_field")["courses"][1]
    assert "idnumber" not in told and "enrollmentmethods" in told
    assert site.ws("core_course_get_courses_by_field", field="idnumber", value="x")["courses"] == []


def test_names_lose_their_languages_markup_unless_they_are_asked_for_raw(site: Site) -> None:
    name = both("Tools & toys", "Outils")
    site.totara.edit_course(site.open, fullname=name, summary=both("a", "b") + "<script>x()</script>")

    def told(**settings: int) -> tuple[str, str]:
        course = site.ws("core_course_get_courses", options={"ids": [site.open]}, **settings)[0]
        return course["fullname"], course["summary"]

    assert told() == ("Tools &#38; toysOutils", both("a", "b"))
    assert told(moodlewssettingfilter=1) == ("Tools &#38; toys", "a")
    assert told(moodlewssettingraw=1) == (name, both("a", "b") + "<script>x()</script>")
    site.totara.strip_names = False
    assert told()[0] == escaped(name)
    site.totara.multilang_filter = False
    assert told(moodlewssettingfilter=1) == told()


def test_one_name_with_other_markup_fails_a_raw_list_as_a_whole(site: Site) -> None:
    site.totara.edit_course(site.open, fullname="A <b>bold</b> name")
    assert site.ws("core_course_get_courses")[0]["fullname"] == "A bold name"
    assert site.ws("core_course_get_courses", moodlewssettingraw=1)["errorcode"] == "invalidresponse"
    site.totara.enrol(site.anna, site.open)
    told = site.ws("core_enrol_get_users_courses", userid=site.anna, moodlewssettingraw=1)
    assert told[0]["fullname"] == "A <b>bold</b> name"


def test_categories_are_chosen_by_criteria_with_those_below_them(site: Site) -> None:
    inner = site.totara.add_category("Inner", parent=site.public, idnumber="in")

    def found(key: str, value: Any, **more: int) -> list[int]:
        criteria = [{"key": key, "value": value}]
        return [c["id"] for c in site.ws("core_course_get_categories", criteria=criteria, **more)]

    assert found("id", site.public) == [site.public, inner]
    assert found("id", site.public, addsubcategories=0) == [site.public]
    assert found("name", "Space category") == [4, 6, 10]
    site.totara.may_manage_categories = True
    (told,) = site.ws("core_course_get_categories", criteria=[{"key": "idnumber", "value": "in"}])
    assert (told["idnumber"], told["path"]) == ("in", f"/{site.public}/{inner}")


def test_a_search_never_finds_hidden_courses_and_gives_pages(site: Site) -> None:
    site.totara.edit_course(site.open, tags={"shop"})
    site.totara.edit_course(site.members, tags={"shop"}, audiencevisible=3)
    answer = site.ws("core_course_search_courses", criterianame="tagid", criteriavalue=1)
    assert [course["id"] for course in answer["courses"]] == [site.open]
    for number in range(5):
        site.totara.add_course(f"Lesson {number}", shortname=f"L{number}", category=site.public)
    search = {"criterianame": "search", "criteriavalue": "LESSON", "perpage": 2}
    pages = [site.ws("core_course_search_courses", page=page, **search) for page in range(3)]
    assert [len(page["courses"]) for page in pages] == [2, 2, 1]
    assert {page["total"] for page in pages} == {5}


def test_moving_a_course_moves_it_between_tenants_and_deleting_it_ends_its_enrolments(site: Site) -> None:
    site.totara.enrol(site.amy, site.academy)
    site.totara.complete(site.amy, site.academy)
    assert site.totara.reachable(site.amy, site.academy)
    site.totara.move_course(site.academy, site.totara.tenant("members").category_id)
    assert not site.totara.reachable(site.amy, site.academy)
    site.totara.delete_course(site.academy)
    assert not site.totara.enrolments and not site.totara.completions
    assert site.ws("core_course_get_courses", options={"ids": [site.academy]}) == []


def test_an_unknown_attribute_of_a_course_is_an_error_of_the_test(site: Site) -> None:
    with pytest.raises(AttributeError):
        site.totara.edit_course(site.open, colour="red")


# Web services: accounts.


def test_one_bad_account_undoes_all_others_of_the_call(site: Site) -> None:
    users = [
        newcomer("one@shop.example"),
        newcomer("anna@shop.example", "anna2"),
        newcomer("two@shop.example"),
    ]
    assert site.ws("core_user_create_users", users=users)["errorcode"] == "invalidparameter"
    assert len(site.totara.users) == 5
    made = site.ws("core_user_create_users", users=[users[0], users[2]])
    assert [each["username"] for each in made] == ["one@shop.example", "two@shop.example"]
    assert {site.totara.users[each["id"]].tenant for each in made} == {None}


def test_two_accounts_with_one_address_cannot_be_made_in_one_call(site: Site) -> None:
    users = [newcomer("one@shop.example", "a1"), newcomer("one@shop.example", "a2")]
    assert site.ws("core_user_create_users", users=users)["errorcode"] == "invalidparameter"
    assert site.totara.user_by_email("one@shop.example") is None


def test_an_address_with_an_underscore_finds_its_neighbours_too(site: Site) -> None:
    site.totara.add_user("a_b@shop.example")
    site.totara.add_user("axb@SHOP.example")
    found = site.ws("core_user_get_users", criteria=[{"key": "email", "value": "a_b@shop.example"}])["users"]
    assert [user["email"] for user in found] == ["a_b@shop.example", "axb@SHOP.example"]
    both_criteria = [{"key": "email", "value": "a%"}, {"key": "username", "value": "anna"}]
    assert [user["id"] for user in site.ws("core_user_get_users", criteria=both_criteria)["users"]] == [site.anna]
    answer = site.ws("core_user_get_users", criteria=[{"key": "shoe", "value": "9"}])
    assert answer["warnings"][0]["item"] == "shoe"


def test_an_update_of_an_administrator_or_to_a_taken_address_is_skipped_in_silence(site: Site) -> None:
    users = [
        {"id": 2, "suspended": 1},
        {"id": 1, "suspended": 1},
        {"id": 99, "suspended": 1},
        {"id": site.anna, "email": "amy@academy.example", "suspended": 1},
        {"id": site.amy, "suspended": 1, "auth": "oauth2"},
    ]
    assert site.ws("core_user_update_users", users=users) is None
    assert [user.id for user in site.totara.live_users() if user.suspended] == [site.amy]
    assert site.totara.users[site.amy].auth == "oauth2"


def test_a_caller_that_does_not_serialise_makes_two_accounts_with_one_address(site: Site) -> None:
    site.totara.race_window = 0.2

    def by_ws(number: int) -> None:
        site.totara.app.test_client().post(
            "/webservice/rest/server.php",
            data={
                "wstoken": "sandbox-ws-token",
                "wsfunction": "core_user_create_users",
                "moodlewsrestformat": "json",
                **flat("users", [newcomer("twin@shop.example", f"twin{number}")]),
            },
        )

    together(by_ws, 3)
    assert sum(user.email == "twin@shop.example" for user in site.totara.live_users()) == 3


def test_only_one_of_many_at_once_gets_a_username(site: Site) -> None:
    site.totara.race_window = 0.1
    answers: list[str] = []
    headers = {"Authorization": f"Bearer {site.token()['access_token']}"}

    def by_gql(number: int) -> None:
        body = {"query": CREATE, "variables": {"i": newcomer(f"t{number}@shop.example", "twin")}}
        caller: Any = site.totara.app.test_client()
        answer = caller.post("/api/graphql.php", json=body, headers=headers)
        answers.append("data" if "data" in answer.json else debug(answer.json))

    together(by_gql, 4)
    assert sorted(answers) == ["Error writing to database"] * 3 + ["data"]
    assert sum(user.username == "twin" for user in site.totara.live_users()) == 1


def together(work: Any, times: int) -> None:
    """Run the same in several threads at once."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Web services: enrolments and completion.


def test_what_is_not_sent_when_enrolling_again_is_reset(site: Site) -> None:
    site.enrol(site.anna, site.open, timestart=NOW - 10, timeend=NOW + 10, suspend=1)
    enrolment = site.totara.enrolments[site.anna, site.open]
    assert (enrolment.status, enrolment.timestart, enrolment.timeend) == ("suspended", NOW - 10, NOW + 10)
    site.time += 5
    site.enrol(site.anna, site.open)
    enrolment = site.totara.enrolments[site.anna, site.open]
    assert (enrolment.status, enrolment.timestart, enrolment.timeend) == ("active", 0, 0)
    assert (enrolment.since, enrolment.method) == (NOW, "manual")


def test_the_first_bad_enrolment_undoes_the_good_ones(site: Site) -> None:
    good = {"roleid": 5, "userid": site.anna, "courseid": site.open}
    for bad, code in (
        ({"courseid": 99}, "invalidparameter"),
        ({"userid": 99}, "codingerror"),
        ({"roleid": 3}, "wsusercannotassign"),
    ):
        assert site.ws("enrol_manual_enrol_users", enrolments=[good, good | bad])["errorcode"] == code
    site.totara.edit_course(site.academy, enrol_methods=["self"])
    bad = {"courseid": site.academy}
    assert site.ws("enrol_manual_enrol_users", enrolments=[good, good | bad])["errorcode"] == "wsnoinstance"
    site.totara.edit_course(site.academy, enterable=False)
    assert site.ws("enrol_manual_enrol_users", enrolments=[good, good | bad])["errorcode"] == "requireloginerror"
    assert not site.totara.enrolments


@pytest.mark.parametrize(("isolation", "reached"), [(False, ["ACA", "OPEN"]), (True, ["ACA"])])
def test_a_member_is_enrolled_anywhere_and_gets_only_where_the_tenant_allows(
    isolation: bool, reached: list[str]
) -> None:
    site = Site(isolation=isolation)
    for course in (site.open, site.academy, site.members):
        assert site.enrol(site.amy, course) is None
        assert site.enrol(site.anna, course) is None
    listed = site.ws("core_enrol_get_users_courses", userid=site.amy)
    assert sorted(course["shortname"] for course in listed) == reached
    for each in site.totara.courses.values():
        assert site.totara.reachable(site.amy, each.id) == (each.shortname in reached)
        assert site.totara.reachable(site.anna, each.id)


def test_access_begins_and_ends_with_the_enrolments_times(site: Site) -> None:
    site.enrol(site.anna, site.open, timestart=NOW + 10, timeend=NOW + 20)
    for seconds, inside in ((0, False), (10, True), (19, True), (20, False)):
        site.time = NOW + seconds
        assert site.totara.reachable(site.anna, site.open) == inside
        assert bool(site.ws("core_enrol_get_users_courses", userid=site.anna)) == inside


def test_nobody_gets_in_who_is_suspended_or_whose_tenant_is_or_when_the_course_is_hidden(site: Site) -> None:
    site.totara.enrol(site.amy, site.academy)
    assert site.totara.reachable(site.amy, site.academy)
    site.totara.suspend_tenant("academy")
    assert not site.totara.reachable(site.amy, site.academy)
    site.totara.suspend_tenant("academy", False)
    site.totara.users[site.amy].suspended = True
    assert not site.totara.reachable(site.amy, site.academy)
    site.totara.users[site.amy].suspended = False
    for fields in ({"visible": 0}, {"visible": 1, "audiencevisible": 3}):
        site.totara.edit_course(site.academy, **fields)
        assert not site.totara.reachable(site.amy, site.academy)
    assert not site.totara.reachable(site.amy, 99) and not site.totara.reachable(99, site.open)


def test_unenrolling_takes_the_manual_enrolment_and_leaves_the_audiences(site: Site) -> None:
    site.totara.enrol(site.anna, site.open, method="cohort")
    site.enrol(site.anna, site.open)
    assert site.ws("enrol_manual_unenrol_users", enrolments=[{"userid": site.anna, "courseid": site.open}]) is None
    assert not site.totara.enrolments
    assert site.totara.reachable(site.anna, site.open)
    listed = site.ws("core_enrol_get_enrolled_users", courseid=site.open)
    assert [user["id"] for user in listed] == [site.anna]


def test_the_list_of_the_enrolled_has_pages(site: Site) -> None:
    for number in range(5):
        site.totara.enrol(site.totara.add_user(f"u{number}@shop.example"), site.open)
    options = [{"name": "limitfrom", "value": 3}, {"name": "limitnumber", "value": 1}]
    options.append({"name": "userfields", "value": "email"})
    (found,) = site.ws("core_enrol_get_enrolled_users", courseid=site.open, options=options)
    assert found["email"] == "u3@shop.example"


def test_a_completion_outlives_the_enrolment_but_cannot_be_read_without_it(site: Site) -> None:
    def status() -> Any:
        return site.ws("core_completion_get_course_completion_status", courseid=site.open, userid=site.anna)

    site.enrol(site.anna, site.open)
    assert status()["completionstatus"]["completed"] is False
    site.totara.complete(site.anna, site.open)
    site.ws("enrol_manual_unenrol_users", enrolments=[{"userid": site.anna, "courseid": site.open}])
    assert status()["errorcode"] == "usernotenroled"
    site.enrol(site.anna, site.open)
    assert status()["completionstatus"]["completed"] is True
    site.totara.edit_course(site.open, self_completion=False)
    assert status()["errorcode"] == "nocriteriaset"


# Files, faults and the record of calls.


def test_a_picture_is_given_for_the_token_and_refused_without_it_by_a_200(site: Site) -> None:
    site.totara.edit_course(site.open, image=picture(0xFF0000))
    (course,) = site.ws("core_course_get_courses_by_field", field="id", value=site.open)["courses"]
    (file,) = course["overviewfiles"]
    path = file["fileurl"].removeprefix("http://localhost")
    given = site.client.get(f"{path}?token=sandbox-ws-token")
    assert (given.data, given.mimetype) == (picture(0xFF0000), "image/png")
    assert len(given.data) == file["filesize"]
    assert site.client.post(path, data={"token": "sandbox-ws-token"}).data == given.data
    card = path.replace(f"overviewfiles/{file['filename']}", "images/7/image")
    assert site.client.get(f"{card}?token=sandbox-ws-token").data == given.data
    for address, status, code in (
        (path, 200, "missingparam"),
        (f"{path}?token=wrong", 200, "invalidtoken"),
        (f"{path}x?token=sandbox-ws-token", 404, "filenotfound"),
    ):
        refused = site.client.get(address)
        assert (refused.status_code, refused.json["errorcode"]) == (status, code)
    assert "file overviewfiles/card.png" in site.totara.requests


def test_a_new_picture_has_a_new_time(site: Site) -> None:
    for seconds in (0, 50):
        site.time = NOW + seconds
        site.totara.edit_course(site.open, image=b"png")
        (course,) = site.ws("core_course_get_courses_by_field", field="id", value=site.open)["courses"]
        assert course["overviewfiles"][0]["timemodified"] == course["timemodified"] == NOW + seconds


def test_a_fault_hits_the_operation_it_names_and_no_other(site: Site) -> None:
    site.totara.faults.down("POST /api/graphql.php core_user_create_user")
    site.totara.faults.down("enrol_manual_enrol_users", status=500, times=1)
    body = {"query": CREATE, "variables": {"i": newcomer("new@shop.example")}}
    assert site.gql_answer(body).status_code == 503
    assert "data" in site.gql("{ core_user_users { total } }")
    one = [{"roleid": 5, "userid": site.anna, "courseid": site.open}]
    assert site.ws_answer("enrol_manual_enrol_users", enrolments=one).status_code == 500
    assert site.ws("core_user_get_users_by_field", field="username", values=["anna"])
    assert not site.totara.enrolments
    assert site.totara.requests == [
        "token",
        "token",
        "gql core_user_users",
        "ws core_user_get_users_by_field",
    ]


def test_an_answer_that_is_cut_off_hides_that_the_work_was_done(site: Site) -> None:
    site.totara.faults.cut("enrol_manual_enrol_users", times=1)
    one = [{"roleid": 5, "userid": site.anna, "courseid": site.open}]
    assert site.ws_answer("enrol_manual_enrol_users", enrolments=one).status_code == 502
    assert site.totara.reachable(site.anna, site.open)


# Pages and the first world.


def test_pages_show_courses_people_and_learners_and_escape_what_they_show(site: Site) -> None:
    evil = "<script>alert(1)</script>"
    course = site.totara.add_course(f"Evil {evil}", shortname=evil, category=site.public, summary=evil, visible=0)
    user = site.totara.add_user("x@shop.example", username="x", firstname=evil, lastname="<b>", tenant="academy")
    site.totara.enrol(user, course)
    site.totara.enrol(site.anna, site.open, timeend=NOW - 1)
    for path, words in (
        ("/", ("Public", "Open", "1 enrolled", "hidden")),
        ("/user", ("x@shop.example", "Academy", "Evil", "since 23 Nov 2026")),
        (f"/course/{course}", ("x@shop.example", "out of reach", "Mark complete")),
        (f"/course/{site.open}", ("ended", "anna@shop.example")),
        (f"/course/{site.academy}", ("Nobody is enrolled",)),
    ):
        page = site.client.get(path).text
        assert evil not in page
        for word in words:
            assert word in page, (path, word)
    assert site.client.get("/course/99").status_code == 404


def test_a_button_marks_a_course_complete(site: Site) -> None:
    site.totara.enrol(site.anna, site.open)
    answer = site.client.post(f"/course/{site.open}/complete/{site.anna}", follow_redirects=True)
    assert "completed 23 Nov 2026" in answer.text
    assert site.totara.completions == {(site.anna, site.open): NOW}
    assert site.client.post(f"/course/{site.open}/complete/99").status_code == 404
    assert not site.totara.requests


def test_a_course_with_lessons_is_complete_once_all_are_finished(site: Site) -> None:
    site.totara.courses[site.open].lessons = ["Reading", "Test"]
    site.totara.enrol(site.anna, site.open)
    path = f"/course/{site.open}/finish/{site.anna}"
    page = site.client.post(path, data={"lesson": "Test"}, follow_redirects=True).text
    assert 'value="Reading"' in page and 'value="Test"' not in page
    assert (site.totara.per_cent(site.anna, site.open), site.totara.completions) == (50, {})
    assert "completed 23 Nov 2026" in site.client.post(path, data={"lesson": "Reading"}, follow_redirects=True).text
    assert site.totara.completions == {(site.anna, site.open): NOW}
    assert site.client.post(path, data={"lesson": "No such"}).status_code == 400
    assert site.client.post(f"/course/{site.open}/finish/99", data={"lesson": "Test"}).status_code == 404


def test_contents_are_of_a_known_course_and_by_known_options(site: Site) -> None:
    unknown = site.ws("core_course_get_contents", courseid=99)
    assert unknown["errorcode"] == "invalidrecordunknown"
    options = [{"name": "colour", "value": "red"}]
    assert site.ws("core_course_get_contents", courseid=site.open, options=options)["errorcode"] == "invalidparameter"
    site.totara.courses[site.open].certificate = "Certificate"
    sections = site.ws("core_course_get_contents", courseid=site.open)
    assert [one["modname"] for section in sections for one in section["modules"]] == ["forum", "certificate"]


def test_the_academy_has_what_a_first_run_needs() -> None:
    totara = Totara()
    ids = seed_academy(totara)
    assert {tenant.idnumber for tenant in totara.tenants.values()} == {"academy", "memberland"}
    assert len(totara.courses) == 9
    for officer in ("officer_ama", "officer_bo"):
        assert totara.users[ids[officer]].tenant == ids["tenant_memberland"]
        assert totara.reachable(ids[officer], ids["MEM"])
    assert totara.courses[ids["RISK"]].audiencevisible == 1
    client = totara.app.test_client()
    page = client.get("/").text
    assert "Customs valuation &amp; origin" in page and "Valeur en douane" not in page
    assert client.get(f"/course/{ids['HS1']}/picture").data.startswith(b"\x89PNG")
    assert client.get(f"/course/{ids['AEO']}/picture").status_code == 404


def test_texts_are_cleaned_escaped_and_read_in_one_language() -> None:
    assert cleaned('<p onclick="x()">a<script>b</script><STYLE>c</STYLE></p>') == "<p>a</p>"
    assert escaped("""A & "b" c's""") == "A &#38; &#34;b&#34; c&#39;s"
    text = f"<p>{both('one', 'un')} and {both('two', 'deux')}</p>"
    assert in_language(text) == "<p>one and two</p>"
    assert in_language(text, "fr") == "<p>un and deux</p>"
    assert in_language(both("one", "un"), "de") == "one"
    assert stripped(both("one", "un")) == "oneun"
