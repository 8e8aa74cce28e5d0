"""Stories: a right of the service account is missing in Totara, is named, and is given back. On both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bridge.check import check
from bridge.check_totara import capabilities, connection, tenant
from bridge.commands.shop import install_webhooks
from bridge.domain import rights as named
from bridge.domain.offers import Item, Kind, read_offers
from bridge.findings import Finding
from bridge.kinds import ALL, WATCH
from bridge.rights import Used, probe
from bridge.sandbox.totara_ws import FUNCTIONS
from bridge.wiring import Bridge
from tests.world import World

#: Capabilities whose want the embedded Totara shows as the real one does, that an order with one course needs.
NEEDED = (
    named.ENROL,
    named.ASSIGN_ROLE,
    named.CREATE_USERS,
    named.VIEW_USERS,
    named.VIEW_IDENTITY,
    named.VIEW_PARTICIPANTS,
    named.VIEW_COMPLETION,
)


def told(findings: Iterator[Finding] | list[Finding], level: str) -> list[str]:
    return [one.said for one in findings if one.level == level]


def bought(world: World, name: str = "a", course: int | None = None) -> int:
    """A course that somebody bought, and that the bridge looked after."""
    course = course or world.course(name.upper())
    product = world.product(course)["id"] if world.shop.products else world.sell(course)
    world.owe("order", world.shop.place_order([(product, 1)], email=f"{name}@guest.test"))
    world.settle()
    return course


def watched(world: World) -> list[str]:
    """What /readyz says after the watch has looked."""
    world.owe(WATCH, ALL)
    world.settle()
    return list(world.web.get("/readyz").json["problems"])  # type: ignore[index]


@contextmanager
def without(world: World, capability: str) -> Iterator[None]:
    world.totara.lacking.add(capability)
    try:
        yield
    finally:
        world.totara.lacking.discard(capability)


def notes_of(world: World, capability: str) -> list[str]:
    """What the check notes of one capability."""
    return [note for note in told(capabilities(world.bridge), "note") if note.startswith(capability)]


def test_with_every_right_the_check_finds_no_fault_and_changes_nothing(world: World) -> None:
    world.totara.has_plugin = True
    bought(world, course=world.course("A", lessons=["Test"], certificate="Certificate"))
    before = (dict(world.totara.enrolments), {u.id: u.email for u in world.totara.users.values()})
    found = list(capabilities(world.bridge))
    assert told(found, "problem") == told(found, "note") == []
    assert before == (dict(world.totara.enrolments), {u.id: u.email for u in world.totara.users.values()})


@pytest.mark.parametrize("capability", NEEDED)
def test_each_missing_right_is_a_problem_of_the_check_by_its_name(world: World, capability: str) -> None:
    bought(world)
    with without(world, capability):
        problems = [one for one in capabilities(world.bridge) if one.level == "problem"]
    assert [one.said.partition(": ")[0] for one in problems] == [capability]
    assert all("Define roles" in one.mend for one in problems)
    assert told(capabilities(world.bridge), "problem") == []


@pytest.mark.parametrize("capability", [named.VIEW_CERTIFICATES, named.VIEW_HIDDEN_ACTIVITIES])
def test_certificates_that_are_not_shown_are_a_note_of_the_check_and_no_trouble(world: World, capability: str) -> None:
    bought(world, course=world.course("A", lessons=["Test"], certificate="Certificate"))
    seen = f"{named.VIEW_CERTIFICATES}: certificates of courses that are sold are seen"
    assert seen in told(capabilities(world.bridge), "ok")
    with without(world, capability):
        (note,) = notes_of(world, named.VIEW_CERTIFICATES)
        assert note.startswith(f"{named.VIEW_CERTIFICATES}: no certificate is seen")
        assert note.endswith(named.VIEW_HIDDEN_ACTIVITIES)
        assert not any("certificate" in said for said in watched(world))


def test_a_service_that_tells_of_no_certificates_is_a_note_of_the_check(world: World) -> None:
    bought(world, course=world.course("A", certificate="Certificate"))
    world.totara.ws_functions = {name for name in FUNCTIONS if name != "core_course_get_contents"}
    world.bridge.totara.capabilities(again=True)
    (note,) = notes_of(world, named.VIEW_CERTIFICATES)
    assert "allow core_course_get_contents" in note
    assert told(capabilities(world.bridge), "problem") == []


def test_hidden_courses_that_are_not_shown_are_missed_in_their_category(world: World) -> None:
    world.course("SEEN")
    hidden = world.course("HIDDEN", visible=0)
    assert told(capabilities(world.bridge), "problem") == []
    with without(world, named.VIEW_HIDDEN):
        assert hidden not in world.bridge.totara.find_courses([hidden])
        (problem,) = told(capabilities(world.bridge), "problem")
    assert problem.startswith(f"{named.VIEW_HIDDEN}: not all courses of the categories {world.public}")


@pytest.mark.parametrize(("deny", "level"), [([{"idnumber": "*-INTERNAL"}], "problem"), ([{"language": "xx"}], "note")])
def test_id_numbers_that_are_not_shown_matter_where_a_rule_asks_for_them(
    make_world: Callable[..., World], deny: list[dict[str, str]], level: str
) -> None:
    world = make_world(catalogue={"deny": deny})
    world.course("ONE")
    world.totara.may_update_courses = False
    assert [said.partition(": ")[0] for said in told(capabilities(world.bridge), level)].count(
        named.UPDATE_COURSES
    ) == 1


def test_what_cannot_be_told_is_a_note_and_never_ok(world: World) -> None:
    found = list(capabilities(world.bridge))
    untold = {said.partition(": ")[0] for said in told(found, "note")}
    assert {named.ENROL, named.ASSIGN_ROLE, named.VIEW_PARTICIPANTS, named.VIEW_COMPLETION} <= untold
    assert not untold & {said.partition(": ")[0] for said in told(found, "ok")}


def test_without_web_services_for_the_account_the_check_says_which_right_that_is(world: World) -> None:
    world.totara.may_use_rest = False
    (problem,) = [one for one in connection(world.bridge) if one.level == "problem"]
    assert named.USE_REST in problem.said + problem.mend


def test_a_function_that_is_not_allowed_is_named(world: World) -> None:
    world.totara.ws_functions = {"core_webservice_get_site_info", "core_course_get_categories"}
    said = told(capabilities(world.bridge), "problem")
    assert "can't enrol on this site" in said


@pytest.mark.parametrize("plugin", [True, False])
def test_that_totara_does_not_tell_what_accounts_are_is_a_note_that_says_what_follows(
    world: World, plugin: bool
) -> None:
    """Not a problem: orders do without it."""
    world.totara.has_plugin = plugin
    bought(world)
    with without(world, named.LOOK_AT_ACCOUNTS):
        found = list(capabilities(world.bridge))
    assert told(found, "problem") == []
    (note,) = [one for one in told(found, "note") if one.startswith(named.LOOK_AT_ACCOUNTS)]
    assert note.startswith(f"{named.LOOK_AT_ACCOUNTS}: ")
    assert ("not in the web service" not in note, "an operator will be asked" in note) == (plugin, True)


# --- orders --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "capability", [named.ENROL, named.ASSIGN_ROLE, named.CREATE_USERS, named.VIEW_PARTICIPANTS, named.VIEW_USERS]
)
def test_an_order_that_fails_for_a_right_says_which_and_goes_on_by_itself_when_it_is_given_back(
    world: World, capability: str
) -> None:
    install_webhooks(world.bridge)
    course = bought(world)
    assert watched(world) == []
    with without(world, capability):
        bought(world, "b", course)
        ((key, reason),) = world.parked().items()
        assert key.startswith("learner")
        assert capability in reason
        (problem,) = watched(world)
        assert problem.startswith("totara: the service account lacks")
        assert capability in problem
        assert key in world.parked()
    assert watched(world) == []
    assert world.parked() == {}
    assert world.access() == {("a@guest.test", course): "active", ("b@guest.test", course): "active"}


def test_an_account_whose_address_is_not_shown_is_not_taken_for_nobody(world: World) -> None:
    world.totara.add_user("b@guest.test")
    course = bought(world)
    with without(world, named.VIEW_IDENTITY):
        bought(world, "b", course)
        (reason,) = world.parked().values()
    assert named.VIEW_IDENTITY in reason
    assert "taken" not in reason


def test_a_learner_whose_account_is_not_shown_is_not_taken_for_deleted(world: World) -> None:
    bought(world)
    with without(world, named.VIEW_USERS):
        world.bridge.jobs.look_again("order", [1])
        world.owe("learner", 1)
        with world.bridge.store.begin() as connection_:
            from bridge.store import learning

            learning.doubt(connection_, [1])
        world.settle()
        (reason,) = world.parked().values()
    assert named.VIEW_USERS in reason
    assert "deleted" not in reason


def test_who_cannot_enter_a_course_of_another_tenant_is_told_so_where_rights_are_there(world: World) -> None:
    world.totara.add_tenant("other", "Other")
    foreign = world.course("FOREIGN", category=world.totara.tenant("other").category_id)
    bought(world)
    world.owe("order", world.shop.place_order([(world.sell(foreign), 1)], email="c@guest.test"))
    world.settle()
    (reason,) = world.parked().values()
    assert "in another tenant" in reason
    assert named.VIEW_PARTICIPANTS not in reason


def test_a_right_that_only_one_course_lacks_is_not_tried_for_ever(world: World) -> None:
    install_webhooks(world.bridge)
    course = bought(world)
    watched(world)
    with without(world, named.ENROL):
        bought(world, "b", course)
    world.totara.edit_course(course, enrol_methods=("self",))  # it stays parked, for another reason by then
    assert watched(world) == []
    (once,) = world.bridge.work.parked()
    watched(world)
    (twice,) = world.bridge.work.parked()
    assert (once.attempts, twice.attempts) == (2, 2)


# --- not ready -----------------------------------------------------------------------------------------------------


def test_not_ready_while_most_orders_are_parked_for_one_reason(world: World) -> None:
    install_webhooks(world.bridge)
    course = bought(world)
    assert watched(world) == []
    world.totara.edit_course(course, enrol_methods=("self",))
    for name in "bcd":
        bought(world, name, course)
    problems = world.web.get("/readyz").json["problems"]  # type: ignore[index]
    assert len(problems) == 1
    assert problems[0].startswith("3 of the last 4 learners were parked for the same reason: ")
    assert "no enabled manual enrolment" in problems[0]


def test_a_few_that_are_parked_among_many_do_not_matter(world: World) -> None:
    install_webhooks(world.bridge)
    course = bought(world)
    watched(world)
    for name in "bcdefgh":
        bought(world, name, course)
    world.totara.edit_course(course, enrol_methods=("self",))
    for name in "ijk":
        bought(world, name, course)
    assert len(world.parked()) == 3
    assert world.web.get("/readyz").status_code == 200


def test_ready_again_as_soon_as_a_call_goes_well_after_an_outage(world: World) -> None:
    install_webhooks(world.bridge)
    course = bought(world)
    assert watched(world) == []
    world.totara.faults.down()
    assert watched(world)[0].startswith("totara: ")
    world.totara.faults.clear()
    assert world.web.get("/readyz").status_code == 503
    bought(world, "b", course)  # no watch is owed by anybody but the call that went well
    assert world.web.get("/readyz").json == {"ready": True, "problems": []}


def test_while_a_system_is_away_the_watch_looks_again_soon(world: World) -> None:
    install_webhooks(world.bridge)
    watched(world)
    row = world.bridge.work.find(WATCH, ALL)
    assert row is not None
    assert row.due_at is None
    world.shop.faults.down()
    watched(world)
    row = world.bridge.work.find(WATCH, ALL)
    assert row is not None
    assert row.due_at is not None


# --- what only some shops sell -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "capability"),
    [
        ("may_view_audiences", named.VIEW_AUDIENCES),
        ("may_assign_audiences", named.ASSIGN_AUDIENCES),
        ("may_assign_programs", named.ASSIGN_PROGRAMS),
    ],
)
def test_rights_over_audiences_and_programs_are_tried_where_they_are_sold(
    world: World, flag: str, capability: str
) -> None:
    audience = world.totara.add_audience("Gold", members=[1])
    program = world.totara.add_program("P", shortname="P")
    items = [Item(Kind.AUDIENCE, audience), Item(Kind.PROGRAM, program)]
    before = (set(world.totara.audiences[audience].members), dict(world.totara.assignments))
    tried = {right.name: right.there for right in probe(world.bridge.totara, Used(items=items))}
    assert tried[capability] is True
    setattr(world.totara, flag, False)
    tried = {right.name: right.there for right in probe(world.bridge.totara, Used(items=items))}
    assert tried[capability] is False
    assert capability not in {right.name for right in probe(world.bridge.totara, Used())}
    assert before[1] == dict(world.totara.assignments)


def with_offers(world: World, text: str) -> Bridge:
    bridge = world.new_bridge()
    bridge.__dict__["offers"] = read_offers(text)
    return bridge


def test_offers_that_name_what_is_not_there_are_problems_with_their_mend(world: World) -> None:
    course = world.course("ONE")
    denied = world.course("DENIED", category=world.restricted)
    product = world.sell(course)
    bridge = with_offers(
        world,
        f"""
        may_sell = ["program:77", "certification:78"]
        [[offer]]
        sku = "NO-SUCH"
        gives = ["course:{course}", "course:999", "audience:55"]
        [[offer]]
        product = 4711
        gives = ["course:{denied}"]
        [[offer]]
        product = {product}
        gives = ["course:{course}"]
        """,
    )
    found = [one for one in check(bridge) if one.what == "offers"]
    said = "\n".join(told(found, "problem"))
    for words in (
        "no product of the shop has the SKU 'NO-SUCH'",
        "product 4711 is not in the shop",
        "names course 999: it is not in Totara",
        f"names course {denied}: it can't be given, since denied by the rule",
        "names audience 55: it is not in Totara",
        "may_sell names program 77: it is not in Totara",
        "may_sell names certification 78: it is not in Totara",
    ):
        assert words in said
    assert f"product {product} " not in said
    assert all(one.mend for one in found if one.level == "problem")


def test_offers_in_order_are_said_to_be(world: World) -> None:
    course = world.course("ONE")
    bridge = with_offers(world, f'[[offer]]\nproduct = {world.sell(course)}\ngives = ["course:{course}"]')
    assert [one.level for one in check(bridge) if one.what == "offers"] == ["ok"]


def test_days_in_an_offer_for_a_subscription_are_said_to_be_ignored(make_world: Callable[..., World]) -> None:
    world = make_world(subscriptions=True)
    course = world.course("ONE")
    world.sell(course)
    product = world.shop.add_product("Pass", type="subscription", price="20.00", sku="pass")
    bridge = with_offers(world, f'[[offer]]\nproduct = {product}\ngives = ["course:{course}"]\ndays = 31')
    (said,) = told([one for one in check(bridge) if one.what == "offers"], "note")
    assert f"product {product} is a subscription" in said
    assert "days are ignored" in said


@pytest.mark.parametrize(("version", "level"), [("17", "note"), ("19", "problem")])
def test_a_dynamic_audience_is_flagged_as_far_as_it_can_be_told(world: World, version: str, level: str) -> None:
    world.totara.version = version
    static = world.totara.add_audience("Static")
    dynamic = world.totara.add_audience("Dynamic", dynamic=True)
    bridge = with_offers(world, f'may_sell = ["audience:{static}", "audience:{dynamic}"]')
    found = {one.said.partition(":")[0]: one.level for one in check(bridge) if one.what == "offers"}
    assert found[f"may_sell names audience {dynamic}"] == level
    assert found.get(f"may_sell names audience {static}") == ("note" if version == "17" else None)


# --- tenants -------------------------------------------------------------------------------------------------------


def test_courses_of_another_tenant_are_a_problem_once_learners_have_entered_ours(world: World) -> None:
    ours = world.course("OURS", category=world.tenant_category)
    world.sell(ours)
    notes = told(tenant(world.bridge), "note")
    assert any("whether it is academy's can't be told" in said for said in notes)
    bought(world, "a", ours)
    assert told(tenant(world.bridge), "note") == told(tenant(world.bridge), "problem") == []
    world.totara.add_tenant("other", "Other")
    foreign = world.course("FOREIGN", category=world.totara.tenant("other").category_id)
    world.sell(foreign)
    (problem,) = told(tenant(world.bridge), "problem")
    assert f"the courses {foreign} are in another tenant's category" in problem


def test_whether_members_can_enter_the_sites_own_courses_is_told_by_who_could(make_world: Callable[..., World]) -> None:
    world = make_world()
    course = world.course("COMMON")
    world.sell(course)
    assert any("if tenants are isolated" in said for said in told(tenant(world.bridge), "note"))
    world.totara.isolation = True
    bought(world, "a", course)
    (problem,) = told(tenant(world.bridge), "problem")
    assert f"learners were enrolled in the courses {course} and can't enter them" in problem
    world.totara.isolation = False
    world.bridge.work.mark_many([(item.kind, item.key) for item in world.bridge.work.parked()])
    world.settle()
    assert told(tenant(world.bridge), "problem") == []
    assert any("tenants are not isolated" in said for said in told(tenant(world.bridge), "ok"))
