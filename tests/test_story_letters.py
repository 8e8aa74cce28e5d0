"""Stories: what learners are written, and when. Over the wire to a real SMTP server, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.test_mail import Inbox, Server
from tests.world import World


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def server(inbox: Inbox) -> Iterator[Server]:
    running = Server(inbox)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def world(make_world: Callable[..., World], server: Server) -> World:
    return make_world(mail=mail(server))


def mail(server: Server, **others: Any) -> dict[str, Any]:
    """Settings for this mail server."""
    where = {"host": "127.0.0.1", "port": server.port, "security": "none", "from_address": "learning@academy.test"}
    return where | others


def bought(world: World, course: int, email: str = "mia@guest.test", **order: Any) -> int:
    number = world.shop.place_order([(world.sell(course), 1)], email=email, first_name="Mia", last_name="G", **order)
    world.owe("order", number)
    world.settle()
    return number


def subjects(inbox: Inbox) -> list[str]:
    return [str(mail["Subject"]) for mail in inbox.mails]


def text(inbox: Inbox, number: int = -1) -> str:
    part = inbox.mails[number].get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def test_whoever_has_access_is_told_once_with_the_courses_name_and_where_it_is(world: World, inbox: Inbox) -> None:
    course = world.course("FIRE", name="Fire safety &amp; you")
    bought(world, course)
    assert [mail["To"] for mail in inbox.mails] == ["Mia G <mia@guest.test>"]
    assert "ready" in subjects(inbox)[0].lower()
    assert f"{world.served[1].url}/course/view.php?id={course}" in text(inbox)
    world.bridge.jobs.look_again("order", list(world.shop.orders))
    world.settle()
    assert len(inbox.mails) == 1


def test_two_courses_of_one_order_are_told_in_one_letter(world: World, inbox: Inbox) -> None:
    products = [world.sell(world.course(code, name=f"Course {code}")) for code in ("ONE", "TWO")]
    number = world.shop.place_order([(p, 1) for p in products], email="mia@guest.test", first_name="Mia", last_name="G")
    world.owe("order", number)
    world.settle()
    assert len(inbox.mails) == 1
    assert "Course ONE" in text(inbox)
    assert "Course TWO" in text(inbox)


def test_nobody_is_told_that_access_is_ready_before_totara_was_seen_to_give_it(world: World, inbox: Inbox) -> None:
    course = world.course("ONE")
    world.totara.faults.down("enrol_manual_enrol_users", times=2)
    bought(world, course)
    assert inbox.mails == []
    for _ in range(3):
        world.pass_time()
        world.settle()
    assert world.access() == {("mia@guest.test", course): "active"}
    assert len(inbox.mails) == 1


def test_whose_address_belongs_to_another_account_is_told_that_it_waits_and_why_and_nobody_else_is(
    world: World, inbox: Inbox
) -> None:
    world.totara.add_user("officer@customs.test")
    bought(world, world.course("ONE"), email="officer@customs.test")
    assert world.parked()
    assert len(inbox.mails) == 1
    assert "not ready yet" in subjects(inbox)[0]
    world.pass_time()
    world.owe("learner", 1)
    world.settle()
    assert len(inbox.mails) == 1


def test_whoever_waited_is_told_when_it_is_ready(world: World, inbox: Inbox) -> None:
    course = world.course("ONE", visible=0)
    bought(world, course)
    assert len(inbox.mails) == 1
    world.totara.edit_course(course, visible=1)
    world.owe("learner", 1)
    world.settle()
    assert world.access() == {("mia@guest.test", course): "active"}
    assert len(inbox.mails) == 2
    assert "ready" in subjects(inbox)[-1].lower()


def test_the_end_of_access_is_told_with_its_reason_and_a_new_beginning_as_well(world: World, inbox: Inbox) -> None:
    order = bought(world, world.course("ONE"))
    for status in ("cancelled", "processing"):
        world.shop.set_status(order, status)
        world.owe("order", order)
        world.settle()
    assert len(inbox.mails) == 3
    ended, again = subjects(inbox)[1:]
    assert "ended" in ended.lower()
    assert "cancelled" in text(inbox, 1)
    assert "ready" in again.lower()


def test_that_access_ends_with_the_days_of_grace_is_told_before(world: World, inbox: Inbox) -> None:
    order = bought(world, world.course("ONE"))
    world.clock.advance(days=10)
    world.shop.set_status(order, "on-hold")
    world.owe("order", order)
    world.settle()
    (end,) = (row.grace_until for row in world.rows("purchases"))
    assert "ends soon" in subjects(inbox)[-1]
    assert str(end.day) in text(inbox)
    told = len(inbox.mails)
    world.clock.set(end)
    world.settle()
    assert "ended" in subjects(inbox)[-1]
    assert len(inbox.mails) == told + 1


def test_a_mail_server_that_is_down_delays_letters_and_loses_none(world: World, inbox: Inbox) -> None:
    course = world.course("ONE")
    inbox.answers["MAIL"] = "451 try later"
    bought(world, course)
    assert world.access() == {("mia@guest.test", course): "active"}
    assert inbox.mails == []
    assert world.parked() == {}
    inbox.answers.clear()
    world.pass_time()
    world.settle()
    assert len(inbox.mails) == 1


def test_an_address_that_the_mail_server_refuses_is_parked_and_access_stays(world: World, inbox: Inbox) -> None:
    course = world.course("ONE")
    inbox.answers["RCPT"] = "550 5.1.1 no such user"
    bought(world, course)
    assert world.access() == {("mia@guest.test", course): "active"}
    assert list(world.parked()) == ["letters 1"]
    assert "mia@" not in str(world.parked())


def test_a_letter_of_which_nobody_knows_whether_it_was_sent_goes_again_as_the_same_letter(
    world: World, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bridge.store import learning

    class Crash(BaseException):
        pass

    def crash(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(learning, "letters_sent", crash)
        with pytest.raises(Crash):
            bought(world, world.course("ONE"))
    assert len(inbox.mails) == 1
    world.pass_time()
    world.settle()
    assert len(inbox.mails) == 2
    assert inbox.mails[0]["Message-ID"] == inbox.mails[1]["Message-ID"]


def test_letters_switched_on_later_do_not_write_to_everybody_of_former_times(
    make_world: Callable[..., World], server: Server, inbox: Inbox
) -> None:
    from datetime import timedelta

    from bridge.store.models import access

    world = make_world()
    course = world.course("ONE")
    bought(world, course)
    with world.bridge.store.begin() as connection:
        row = world.rows("access")[0]
        connection.execute(access.update().values(since=row.since - timedelta(days=30)))
    later = world.new_bridge(mail=mail(server))
    later.jobs.look_again("order", list(world.shop.orders))
    world.settle(later.worker())
    assert inbox.mails == []


def test_without_a_mail_server_nothing_is_owed(make_world: Callable[..., World]) -> None:
    world = make_world()
    bought(world, world.course("ONE"))
    assert {row.kind for row in world.rows("work")} == {"order", "learner", "note"}


def test_a_letter_is_in_the_language_of_the_order_where_the_shop_tells_it(world: World, inbox: Inbox) -> None:
    bought(world, world.course("ONE"), meta={"wpml_language": "fr"})
    assert inbox.mails[0]["Content-Language"] == "fr"
