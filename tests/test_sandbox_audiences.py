"""Audiences, programs, dates of enrolments and suspended accounts in the embedded Totara."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.sandbox.clock import Clock
from bridge.sandbox.totara import Totara
from tests.test_sandbox_totara import flat

START = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
ADD = 'mutation { core_cohort_add_cohort_member(user: {id: %d}, cohort: {idnumber: "gold"})'
ADD += " { success was_already_member cohort { members_count } } }"


class Site:
    """A Totara with an audience that enrols in one course, and two people."""

    def __init__(self, version: str = "17") -> None:
        self.totara = Totara(version=version, now=Clock(START, frozen=True))
        self.client: Any = self.totara.app.test_client()
        self.totara.add_tenant("academy", "Academy")
        category = self.totara.add_category("Public")
        self.one, self.two = (
            self.totara.add_course(code, shortname=code, category=category, audiencevisible=1)
            for code in ("ONE", "TWO")
        )
        self.gold = self.totara.add_audience("Gold", idnumber="gold", courses=[self.one])
        self.anna = self.totara.add_user("anna@shop.example")
        self.amy = self.totara.add_user("amy@academy.example", tenant="academy")

    def ws(self, function: str, **parameters: Any) -> Any:
        form = {"wstoken": "sandbox-ws-token", "wsfunction": function, "moodlewsrestformat": "json"}
        for name, value in parameters.items():
            form |= flat(name, value)
        return self.client.post("/webservice/rest/server.php", data=form).json

    def gql(self, query: str) -> Any:
        given = {"grant_type": "client_credentials", "client_id": "sandbox-client"}
        given["client_secret"] = "sandbox-client-secret"
        token = json.loads(self.client.post("/totara/oauth2/token.php", data=given).text)["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.post("/api/graphql.php", json={"query": query}, headers=headers).json

    def add(self, user: int, audience: Any = None) -> Any:
        who = {"type": "id", "value": user}
        what = {"type": "id", "value": audience or self.gold}
        return self.ws("core_cohort_add_cohort_members", members=[{"cohorttype": what, "usertype": who}])

    def mine(self, user: int) -> list[str]:
        """The courses a learner has, by the web service."""
        return sorted(course["shortname"] for course in self.ws("core_enrol_get_users_courses", userid=user))


@pytest.fixture
def site() -> Site:
    return Site()


def test_in_an_audience_and_out_of_it_the_enrolment_follows_at_once(site: Site) -> None:
    assert site.add(site.anna) == {"warnings": []}
    assert site.mine(site.anna) == ["ONE"]
    assert site.add(site.anna)["warnings"][0]["warningcode"] == "3"
    assert site.ws("core_cohort_get_cohort_members", cohortids=[site.gold])[0]["userids"] == [site.anna]
    gone = [{"cohortid": site.gold, "userid": site.anna}]
    assert site.ws("core_cohort_delete_cohort_members", members=gone) is None
    assert site.mine(site.anna) == [] and site.ws("core_cohort_delete_cohort_members", members=gone) is None


def test_what_can_not_be_added_is_a_warning_and_the_rest_is_added(site: Site) -> None:
    def member(audience: Any, user: Any) -> dict[str, Any]:
        return {"cohorttype": {"type": "idnumber", "value": audience}, "usertype": {"type": "username", "value": user}}

    members = [member("none", "anna@shop.example"), member("gold", "nobody"), member("gold", "anna@shop.example")]
    warnings = site.ws("core_cohort_add_cohort_members", members=members)["warnings"]
    assert [w["message"] for w in warnings] == ["cohort idnumber=none not exists", "user username=nobody not exists"]
    assert site.totara.members_of(site.gold) == {site.anna}
    unknown = [{"cohortid": site.gold, "userid": site.anna}, {"cohortid": 99, "userid": site.anna}]
    assert site.ws("core_cohort_delete_cohort_members", members=unknown)["errorcode"] == "invalidrecordunknown"
    assert site.totara.members_of(site.gold) == {site.anna}
    assert site.ws("core_cohort_get_cohorts", cohortids=[99]) == []  # measured on 17.3


def test_the_audience_of_a_tenant_is_not_changed(site: Site) -> None:
    [tenants] = [one for one in site.totara.audiences.values() if one.tenant is not None]
    assert site.totara.members_of(tenants.id) == {site.amy}
    assert site.add(site.anna, tenants.id)["warnings"][0]["warningcode"] == "1"
    assert site.totara.members_of(tenants.id) == {site.amy}


def test_two_audiences_hold_an_enrolment_together_and_a_manual_one_is_another(site: Site) -> None:
    silver = site.totara.add_audience("Silver", courses=[site.one, site.two], members=[site.anna])
    site.add(site.anna)
    site.totara.remove_member(silver, site.anna)
    assert site.mine(site.anna) == ["ONE"]
    site.totara.enrol(site.anna, site.two)
    site.totara.delete_audience(site.gold)
    assert site.mine(site.anna) == ["TWO"]
    site.totara.enrol_audience(silver, site.one)
    site.totara.add_member(silver, site.amy)
    site.totara.delete_user(site.totara.users[site.amy])
    site.totara.delete_course(site.two)
    site.totara.follow_audiences()
    assert not site.totara.other_enrolments


def test_audiences_are_made_and_deleted(site: Site) -> None:
    kind = {"type": "system", "value": ""}
    given = {"categorytype": kind, "name": "Order 42", "idnumber": "order-42"}
    [made] = site.ws("core_cohort_create_cohorts", cohorts=[given])
    assert site.ws("core_cohort_get_cohorts", cohortids=[made["id"]]) == [made]
    assert site.ws("core_cohort_create_cohorts", cohorts=[given])["errorcode"] == "invalidparameter"
    assert site.ws("core_cohort_delete_cohorts", cohortids=[made["id"]]) is None
    assert made["id"] not in site.totara.audiences


def test_an_audience_sees_what_is_shown_to_it(site: Site) -> None:
    site.totara.edit_course(site.two, seen_by={site.gold})
    program = site.totara.add_program("P", shortname="P", courses=[site.two], audiencevisible=1, seen_by=[site.gold])
    assert not site.totara.sees_course(site.anna, site.two) and not site.totara.sees_program(site.anna, program)
    site.add(site.anna)
    assert site.totara.sees_course(site.anna, site.two) and site.totara.sees_program(site.anna, program)
    assert site.mine(site.anna) == ["ONE"]
    site.totara.edit_course(site.two, audiencevisible=0)
    assert not site.totara.sees_course(site.anna, site.two)
    site.totara.enrol(site.anna, site.two)
    assert site.totara.sees_course(site.anna, site.two)
    site.totara.edit_course(site.two, audiencevisible=3)
    assert not site.totara.sees_course(site.anna, site.two)


# --- programs and certifications ----------------------------------------------------------------------------


@pytest.mark.parametrize("certification", [False, True])
def test_an_assigned_learner_is_enrolled_on_opening_a_course(site: Site, certification: bool) -> None:
    totara = site.totara
    program = totara.add_program("P", shortname="P", courses=[site.one, site.two], certification=certification)
    answer = site.ws("totara_program_assignment_create", programid=program, typeid=5, items=[site.anna])
    assert [item["learnercount"] for item in answer["items"]] == [1] and totara.program_learners(program) == {site.anna}
    assert site.mine(site.anna) == []
    assert totara.open_course(site.anna, site.two) and not totara.open_course(site.amy, site.two)
    assert site.mine(site.anna) == ["TWO"]
    for course in (site.one, site.two):
        assert not totara.program_complete(site.anna, program)
        totara.complete(site.anna, course)
    assert totara.program_complete(site.anna, program)
    again = site.ws("totara_program_assignment_create", programid=program, typeid=5, items=[site.anna])
    assert [item["id"] for item in again["items"]] == [0]
    ours = {"categories": [5], "recent": 0, "term": "", "program_id": program}
    [held] = site.ws("totara_program_assignment_filter", **ours)["items"]
    assert site.ws("totara_program_assignment_delete", assignment_id=held["id"])["success"] is True
    assert site.mine(site.anna) == [] and totara.program_learners(program) == set()
    again = site.ws("totara_program_assignment_delete", assignment_id=held["id"])
    assert again["errorcode"] == "invalidrecordunknown"


def test_an_audience_is_assigned_with_whoever_is_in_it(site: Site) -> None:
    program = site.totara.add_program("P", shortname="P", courses=[site.two])
    answer = site.ws("totara_program_assignment_create", programid=program, typeid=3, items=[site.gold])
    assert answer["items"][0]["type"] == "Audience"
    site.add(site.anna)
    assert site.totara.open_course(site.anna, site.two)
    site.totara.remove_member(site.gold, site.anna)
    assert site.mine(site.anna) == []
    for wrong, code in (({"programid": 9}, "invalidrecordunknown"), ({"typeid": 7}, "invalidparameter")):
        given = {"programid": program, "typeid": 5, "items": [site.anna]} | wrong
        assert site.ws("totara_program_assignment_create", **given)["errorcode"] == code


# --- GraphQL ------------------------------------------------------------------------------------------------


def test_from_18_on_members_are_added_and_removed_by_graphql() -> None:
    site = Site("19")
    first, again = (site.gql(ADD % site.anna)["data"]["core_cohort_add_cohort_member"] for _ in range(2))
    assert first == {"success": True, "was_already_member": False, "cohort": {"members_count": 1}}
    assert again["was_already_member"] is True and site.totara.members_of(site.gold) == {site.anna}
    asked = (
        f"{{ core_cohort_is_user_member(user: {{id: {site.anna}}}, cohort: {{id: {site.gold}}}) {{ user_is_member }} }}"
    )
    assert site.gql(asked)["data"]["core_cohort_is_user_member"] == {"user_is_member": True}
    remove = (ADD % site.anna).replace("add_cohort", "remove_cohort").replace("was_already_member", "user_was_member")
    told = [site.gql(remove)["data"]["core_cohort_remove_cohort_member"]["user_was_member"] for _ in range(2)]
    assert told == [True, False]
    site.totara.add_audience("Rule", idnumber="rule", dynamic=True)
    refused = site.gql((ADD % site.anna).replace("gold", "rule"))
    assert refused["errors"][0]["debugMessage"] == "You can only add member to static audience."
    listed = site.gql("{ core_cohort_static_cohorts(query: {}) { items { name idnumber } total } }")
    assert listed["data"]["core_cohort_static_cohorts"] == {"items": [{"name": "Gold", "idnumber": "gold"}], "total": 1}
    assert Site("17").gql("{ core_cohort_static_cohorts { total } }")["data"] == []


def test_20_lists_programs_and_certifications() -> None:
    site = Site("20")
    site.totara.add_program("Fire", shortname="F", idnumber="fire")
    site.totara.add_program("Driver", shortname="D", idnumber="driver", certification=True)
    query = """{
      totara_program_programs_v2(query: {}) { items { fullname } }
      totara_certification_certifications_v2(query: {}) { items { idnumber } }
      totara_program_program_v2(reference: {idnumber: "driver"}) { found program { id } }
      totara_certification_certification_v2(reference: {idnumber: "driver"}) { found certification { fullname } }
    }"""
    assert site.gql(query)["data"] == {
        "totara_program_programs_v2": {"items": [{"fullname": "Fire"}]},
        "totara_certification_certifications_v2": {"items": [{"idnumber": "driver"}]},
        "totara_program_program_v2": {"found": False, "program": None},
        "totara_certification_certification_v2": {"found": True, "certification": {"fullname": "Driver"}},
    }
    assert Site("19").gql("{ totara_program_programs_v2 { total } }")["data"] == []


# --- dates and suspended accounts ---------------------------------------------------------------------------


def test_an_enrolment_opens_and_ends_by_the_clock_that_can_be_set(site: Site) -> None:
    now = site.totara.now()
    one = {"roleid": 5, "userid": site.anna, "courseid": site.two, "timestart": now + 3600, "timeend": now + 86400}
    assert site.ws("enrol_manual_enrol_users", enrolments=[one]) is None
    told = []
    for hours in (0, 2, 23):
        site.totara.clock.advance(hours=hours)
        told.append(site.mine(site.anna))
    assert told == [[], ["TWO"], []]
    with pytest.raises(TypeError):
        _ = Totara(now=lambda: 0.0).clock


def test_a_suspended_account_says_so_everywhere_and_keeps_its_enrolments() -> None:
    site = Site("19")
    site.totara.enrol(site.anna, site.two)
    for suspended in (True, False):
        assert site.ws("core_user_update_users", users=[{"id": site.anna, "suspended": int(suspended)}]) is None
        found = site.ws("core_user_get_users", criteria=[{"key": "id", "value": site.anna}])["users"]
        found += site.ws("core_user_get_users_by_field", field="id", values=[site.anna])
        asked = f"{{ core_user_user(reference: {{id: {site.anna}}}) {{ user {{ suspended }} }} }}"
        found.append(site.gql(asked)["data"]["core_user_user"]["user"])
        assert [user["suspended"] for user in found] == [suspended] * 3
        assert site.totara.reachable(site.anna, site.two) is not suspended
        listed = site.gql("{ core_user_users(query: {filters: {status: SUSPENDED}}) { total } }")
        assert listed["data"]["core_user_users"]["total"] == int(suspended)


@pytest.mark.parametrize(
    ("right", "function", "parameters"),
    [
        ("may_view_audiences", "core_cohort_get_cohorts", {}),
        ("may_view_audiences", "core_cohort_get_cohort_members", {"cohortids": [1]}),
        ("may_assign_audiences", "core_cohort_delete_cohort_members", {"members": [{"cohortid": 2, "userid": 4}]}),
        ("may_manage_audiences", "core_cohort_delete_cohorts", {"cohortids": [2]}),
        ("may_assign_programs", "totara_program_assignment_delete", {"assignment_id": 1}),
    ],
)
def test_without_the_right_nothing_is_told_and_nothing_done(
    site: Site, right: str, function: str, parameters: dict[str, Any]
) -> None:
    site.add(site.anna)
    program = site.totara.add_program("P", shortname="P")
    site.totara.assign(program, user=site.anna)
    setattr(site.totara, right, False)
    answer = site.ws(function, **parameters)
    assert (answer["exception"], answer["errorcode"]) == ("required_capability_exception", "nopermissions")
    create = {"programid": program, "typeid": 5, "items": [4]}
    if right == "may_assign_programs":  # this one has a word of its own for it
        assert site.ws("totara_program_assignment_create", **create)["errorcode"] == "error:cannotupdateassignment"
    assert site.totara.members_of(site.gold) == site.totara.program_learners(program) == {site.anna}


def test_an_audience_is_renamed(site: Site) -> None:
    given = {"id": site.gold, "categorytype": {"type": "system", "value": ""}, "name": "Platinum", "idnumber": "pt"}
    assert site.ws("core_cohort_update_cohorts", cohorts=[given]) is None
    [found] = site.ws("core_cohort_get_cohorts", cohortids=[site.gold])
    assert (found["name"], found["idnumber"], found["visible"]) == ("Platinum", "pt", True)


def test_a_page_shows_audiences_and_programs(site: Site) -> None:
    site.add(site.anna)
    program = site.totara.add_program("<b>P", shortname="P", courses=[site.two], certification=True)
    site.totara.assign(program, audience=site.gold)
    page = site.client.get("/audiences").text
    for text in ("Gold", "Academy participants", "Test Person", "enrols in", "&lt;b&gt;P", "certification", "TWO"):
        assert text in page
