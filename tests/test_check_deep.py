"""`bridge check --deep`: an account of its own enters every course on sale, and leaves it. On both databases."""

from __future__ import annotations

import json
from typing import Any

from tests.world import Run, World

CANARY = "canary@academy.test"


def looked(bridge_command: Run, *more: str, **settings: str) -> list[tuple[str, str]]:
    """What the deep part of the check says: level and words."""
    done = bridge_command("check", "--json", "--deep", "--canary", CANARY, *more, **settings)
    assert "@" not in done.output
    findings: list[dict[str, Any]] = json.loads(done.output)["findings"]
    at = [finding["what"] for finding in findings].index("canary")
    return [(finding["level"], finding["said"]) for finding in findings[at:]]


def canaries(world: World) -> list[Any]:
    """The accounts that the check made."""
    return [user for user in world.totara.users.values() if "canary-" in user.username]


def states(world: World) -> dict[int, str]:
    """The canary's enrolments by course."""
    (canary,) = canaries(world)
    return {course: one.status for (user, course), one in world.totara.enrolments.items() if user == canary.id}


def test_every_course_on_sale_is_entered_and_left_again(world: World, bridge_command: Run) -> None:
    courses = [world.course("ONE"), world.course("TWO", category=world.tenant_category)]
    for course in courses:
        world.sell(course)
    before = dict(world.totara.users)
    said = looked(bridge_command)
    assert ("ok", "entered 2 of 2 courses on sale, and left them again") in said
    assert any(level == "ok" and "no isolation" in words for level, words in said)
    (canary,) = canaries(world)
    assert (canary.email, canary.tenant) == (CANARY, world.totara.tenant("academy").id)
    assert canary.firstname == "Canary"
    assert states(world) == dict.fromkeys(courses, "suspended")
    assert {number: user for number, user in world.totara.users.items() if number != canary.id} == before
    looked(bridge_command)  # again: the same account
    assert canaries(world) == [canary]
    assert [row.event for row in world.rows("audit")].count("canary made") == 1
    assert world.rows("persons") == []


def test_courses_that_isolation_keeps_a_member_from_are_named(world: World, bridge_command: Run) -> None:
    common, own = world.course("ONE"), world.course("TWO", category=world.tenant_category)
    for course in (common, own):
        world.sell(course)
    world.totara.isolation = True
    said = looked(bridge_command)
    assert any(level == "problem" and f"in the courses {common} and can't enter" in words for level, words in said)
    assert ("note", "entered 1 of 2 courses on sale, and left them again") in said
    assert any("tenants are isolated" in words for _, words in said)
    assert states(world) == {common: "suspended", own: "suspended"}


def test_a_course_that_nobody_can_be_enrolled_in_is_told(world: World, bridge_command: Run) -> None:
    shut, good = world.course("ONE"), world.course("TWO")
    for course in (shut, good):
        world.sell(course)
    world.totara.lacking.add("moodle/role:assign")
    said = looked(bridge_command)
    assert any(level == "problem" and f"can't be enrolled in course {shut}" in words for level, words in said)
    assert states(world) == {}


def test_a_restricted_course_is_not_entered(world: World, bridge_command: Run) -> None:
    secret, good = world.course("SECRET", category=world.restricted), world.course("TWO")
    for course in (secret, good):
        world.sell(course)
    looked(bridge_command)
    assert states(world) == {good: "suspended"}


def test_an_address_of_somebody_is_left_alone(world: World, bridge_command: Run) -> None:
    world.sell(world.course("ONE"))
    user = world.totara.add_user(CANARY.upper())
    said = looked(bridge_command)
    assert any(level == "problem" and f"that of Totara user {user}" in words for level, words in said)
    assert world.totara.enrolments == {}
    assert canaries(world) == []


def test_learners_are_not_disturbed(world: World, bridge_command: Run) -> None:
    course = world.course("ONE")
    world.look(world.shop.place_order([(world.sell(course), 1)], email="mia@guest.test"))
    looked(bridge_command)
    assert world.access() == {("mia@guest.test", course): "active", (CANARY, course): "suspended"}
    world.look(*world.shop.orders)
    assert world.parked() == {}


def test_without_deep_nothing_is_made_and_without_an_address_it_is_asked_for(world: World, bridge_command: Run) -> None:
    world.sell(world.course("ONE"))
    assert bridge_command("check", "--canary", CANARY).exit_code == 2
    assert bridge_command("check", "--deep", "--canary", "nobody").exit_code == 2
    bridge_command("check")
    asked = bridge_command("check", "--deep", "--json")
    assert "totara.canary_address" in asked.output
    assert canaries(world) == []
    bridge_command("check", "--deep", BRIDGE_TOTARA_CANARY_ADDRESS=CANARY)
    assert len(canaries(world)) == 1


def test_a_tenant_that_is_not_there_makes_no_canary(world: World, bridge_command: Run) -> None:
    world.sell(world.course("ONE"))
    said = looked(bridge_command, BRIDGE_TOTARA_TENANT="elsewhere")
    assert ("problem", "is not made, since the tenant is not there") in said
    assert canaries(world) == []
