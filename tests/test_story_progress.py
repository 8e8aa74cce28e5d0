"""Stories: how far somebody is, and their certificate, told where they look at their courses. On both databases."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from werkzeug.test import Client, TestResponse

from bridge.domain import rights as named
from bridge.progress import FRESH
from bridge.sso import origin_of
from bridge.store import people
from tests.world import World

SECRET = "the-secret-that-the-shop-shares-01234567"
NIA = "nia@pass.test"
LESSONS = ["Reading", "Cases", "Test"]
COMPLETION, CONTENTS = "ws core_completion_get_course_completion_status", "ws core_course_get_contents"


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    made = make_world(sso={"shop_secrets": [SECRET], "wait_seconds": 0})
    made.bridge.keys.first()
    return made


@pytest.fixture
def nia(world: World) -> int:
    """A customer of the shop."""
    return world.shop.add_customer(NIA, first_name="Nia", last_name="Noon")


def token(world: World, typ: str, customer: int, **others: Any) -> str:
    now = int(world.now().timestamp())
    claims = {
        "iss": world.bridge.settings.shop.url,
        "aud": world.bridge.settings.server.public_url,
        "sub": str(customer),
        "iat": now,
        "exp": now + 60,
        "jti": secrets.token_hex(16),
        **others,
    }
    return jwt.encode(claims, SECRET, algorithm="HS256", headers={"typ": typ})


def asked(world: World, customer: int) -> dict[str, tuple[object, object, object]]:
    """What the shop is told: by item the progress, whether it is completed, and the certificate."""
    headers = {"Authorization": f"Bearer {token(world, 'read+jwt', customer)}"}
    answer = world.web.get(f"/api/v1/customers/{customer}/courses", headers=headers)
    assert answer.status_code == 200, answer.text
    courses = answer.get_json()["courses"]
    return {one["item"]: (one["progress"], one["completed"], one["certificate"]) for one in courses}


def page(world: World, customer: int) -> TestResponse:
    """The bridge's own list, as a browser shows it that comes from the shop."""
    browser = Client(world.bridge.web())
    others = {"email": NIA, "email_verified": False, "target": "courses"}
    form = {"token": token(world, "launch+jwt", customer, **others)}
    browser.post("/sso/launch", data=form, headers={"Origin": origin_of(world.bridge.settings.shop.url)})
    return browser.get("/learn")


def bought(world: World, customer: int, *courses: int) -> list[int]:
    orders = [world.shop.place_order([(world.sell(one), 1)], customer_id=customer, email=NIA) for one in courses]
    world.look(*orders)
    return orders


def calls(world: World, name: str) -> int:
    return world.totara.requests.count(name)


def test_how_far_somebody_is_is_read_when_they_look_and_told_at_the_next_look(world: World, nia: int) -> None:
    course = world.course("ONE", lessons=LESSONS)
    bought(world, nia, course)
    user = world.user(NIA)
    world.totara.finish(user, course, "Reading")
    assert asked(world, nia) == {f"course:{course}": (None, False, None)}
    world.settle()
    assert asked(world, nia) == {f"course:{course}": (33, False, None)}
    world.totara.finish(user, course, "Cases")
    world.settle()
    assert asked(world, nia) == {f"course:{course}": (33, False, None)}, "what is fresh is not asked for again"
    world.clock.advance(minutes=4)
    asked(world, nia)
    world.settle()
    assert asked(world, nia) == {f"course:{course}": (66, False, None)}


def test_the_certificate_is_linked_once_it_is_earned(world: World, nia: int) -> None:
    course = world.course("ONE", lessons=LESSONS, certificate="Certificate")
    plain = world.course("TWO")
    bought(world, nia, course, plain)
    user = world.user(NIA)
    asked(world, nia)
    world.settle()
    assert calls(world, CONTENTS) == 0, "nobody has earned one"
    world.totara.complete(user, course)
    world.totara.complete(user, plain)
    world.clock.advance(minutes=4)
    asked(world, nia)
    world.settle()
    number = world.totara.courses[course].certificate_id
    certificate = f"{world.bridge.settings.totara.url}/mod/certificate/view.php?id={number}"
    expected = {f"course:{course}": (100, True, certificate), f"course:{plain}": (100, True, None)}
    assert asked(world, nia) == expected
    text = page(world, nia).text
    assert f'<a href="{certificate}" rel="noopener noreferrer">Certificate</a>' in text
    assert "<progress" not in text


def test_the_page_shows_a_bar_with_its_label(world: World, nia: int) -> None:
    course = world.course("ONE", lessons=LESSONS)
    bought(world, nia, course)
    world.totara.finish(world.user(NIA), course, "Test")
    assert "<progress" not in page(world, nia).text
    world.settle()
    text = page(world, nia).text
    assert '<label>33 % done <progress max="100" value="33">33 %</progress></label>' in text
    assert "Certificate" not in text


def test_any_number_of_looks_while_totara_is_away_are_answered_and_owe_one_reading(world: World, nia: int) -> None:
    course = world.course("ONE", lessons=LESSONS)
    bought(world, nia, course)
    world.totara.finish(world.user(NIA), course, "Test")
    before = calls(world, COMPLETION)
    world.totara.faults.down()
    for _ in range(5):
        assert asked(world, nia) == {f"course:{course}": (None, False, None)}
        world.settle()
    assert [(row.kind, row.hints) for row in world.rows("work") if row.kind == "progress"] == [("progress", 1)]
    assert world.parked() == {}
    world.totara.faults.clear()
    world.pass_time()
    world.settle()
    assert calls(world, COMPLETION) == before + 1
    assert asked(world, nia) == {f"course:{course}": (33, False, None)}


def test_what_the_service_account_may_not_read_is_not_known_and_parks_nothing(world: World, nia: int) -> None:
    course = world.course("ONE", lessons=LESSONS, certificate="Certificate")
    bought(world, nia, course)
    world.totara.complete(world.user(NIA), course)
    world.totara.lacking.add(named.VIEW_COMPLETION)
    asked(world, nia)
    world.settle()
    assert asked(world, nia) == {f"course:{course}": (None, False, None)}
    world.settle()
    assert calls(world, COMPLETION) == 1, "it is not asked for again at every look"
    world.totara.lacking = {named.VIEW_CERTIFICATES}
    world.clock.advance(minutes=4)
    asked(world, nia)
    world.settle()
    assert asked(world, nia) == {f"course:{course}": (100, True, None)}
    assert world.parked() == {}


def test_whose_access_has_ended_keeps_what_was_known_and_is_sent_to_no_certificate(world: World, nia: int) -> None:
    done, half = (world.course(code, lessons=LESSONS, certificate="Certificate") for code in ("ONE", "TWO"))
    orders = bought(world, nia, done, half)
    world.totara.complete(world.user(NIA), done)
    world.totara.finish(world.user(NIA), half, "Cases")
    asked(world, nia)
    world.settle()
    assert asked(world, nia)[f"course:{done}"][2] is not None
    for order in orders:
        world.shop.set_status(order, "cancelled")
    world.look(*orders)
    before = calls(world, COMPLETION)
    world.clock.advance(minutes=4)
    assert asked(world, nia) == {f"course:{done}": (100, True, None), f"course:{half}": (33, False, None)}
    world.settle()
    assert calls(world, COMPLETION) == before, "of an enrolment that has ended Totara tells nothing"


def test_what_was_read_of_an_account_that_has_changed_hands_is_not_written_down(world: World, nia: int) -> None:
    """While Totara was asked, an operator gave the account to somebody else."""
    course = world.course("ONE", lessons=LESSONS)
    bought(world, nia, course)
    world.totara.finish(world.user(NIA), course, "Test")
    (person,) = [row.id for row in world.rows("persons")]
    asked(world, nia)
    claim = world.bridge.work.take("progress", str(person))
    assert claim is not None
    done = world.bridge.jobs.handlers["progress"](claim)
    assert done is not None
    with world.bridge.store.begin() as connection:
        people.account_left(connection, person)
        assert done.write(connection) is None
    assert [row.progress for row in world.rows("access")] == [None]


def test_a_customer_without_an_account_owes_nothing(world: World, nia: int) -> None:
    assert asked(world, nia) == {}
    world.totara.faults.down()
    bought(world, nia, world.course("ONE"))
    assert [one[0] for one in asked(world, nia).values()] == [None]
    assert [row for row in world.rows("work") if row.kind == "progress"] == []


def test_only_what_moved_is_written_and_every_look_is_noted(world: World, nia: int) -> None:
    courses = [world.course(code, lessons=LESSONS) for code in ("ONE", "TWO")]
    bought(world, nia, *courses)
    asked(world, nia)
    world.settle()
    first = {row.item_id: row.looked_at for row in world.rows("access")}
    assert {row.item_id: row.progress for row in world.rows("access")} == dict.fromkeys(courses, 0)
    world.totara.finish(world.user(NIA), courses[0], "Test")
    world.clock.advance(seconds=FRESH.total_seconds() + 1)
    asked(world, nia)
    world.settle()
    rows = {row.item_id: row for row in world.rows("access")}
    assert [rows[one].progress for one in courses] == [33, 0]
    assert all(row.looked_at - first[number] > timedelta(minutes=3) for number, row in rows.items())
