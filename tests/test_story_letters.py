"""Stories: what learners are written, and when. Over the wire to a real SMTP server, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from bridge.sandbox.server import Served
from bridge.sandbox.stripe import SANDBOX_KEY, Stripe
from tests.test_mail import Inbox, Server
from tests.world import Offering, World


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
    world.owe("sweep", "all")
    world.settle()
    world.pass_time()
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


# --- access ends soon ------------------------------------------------------------------------------------------------

SOON = timedelta(days=7)


def at(world: World, moment: datetime) -> None:
    """Go to a moment, and a minute on, and do what is due there. The shop is swept as it is all the time."""
    for later in (0, 60):
        world.clock.set(moment + timedelta(seconds=later))
        world.bridge.jobs.sweep()
        world.settle()


def for_days(world: World, offers: Offering, course: int, days: int = 30) -> int:
    """A product that gives the course for so many days."""
    offers(f'[[offer]]\nsku = "DAYS"\ngives = ["course:{course}"]\ndays = {days}')
    return world.shop.add_product("Thirty days", sku="DAYS", price="9.00")


def bought_for_days(world: World, product: int, **order: Any) -> int:
    """Mia buys it."""
    number = world.shop.place_order([(product, 1)], email="mia@guest.test", first_name="Mia", last_name="G", **order)
    world.look(number)
    return number


def ends(world: World) -> datetime:
    """When the one access ends."""
    (row,) = world.rows("access")
    assert row.until is not None
    return row.until  # type: ignore[no-any-return]


def test_that_access_for_some_days_ends_soon_is_told_at_its_moment_and_once(
    world: World, inbox: Inbox, offers: Offering
) -> None:
    course = world.course("ONE", name="Fire safety")
    order = bought_for_days(world, for_days(world, offers, course))
    end = ends(world)
    at(world, end - SOON - timedelta(minutes=2))
    assert ["ready" in subject.lower() for subject in subjects(inbox)] == [True]
    at(world, end - SOON + timedelta(seconds=1))
    assert len(inbox.mails) == 2
    assert subjects(inbox)[-1] == "Your access to “Fire safety” ends soon"
    assert f"{end.day} {end:%B %Y}" in text(inbox)
    for moment in (end - timedelta(days=3), end - timedelta(hours=1)):
        at(world, moment)
        world.bridge.jobs.look_again("order", [order])
        world.settle()
    assert len(inbox.mails) == 2
    at(world, end + timedelta(minutes=1))
    assert len(inbox.mails) == 3
    assert "ended" in subjects(inbox)[-1].lower()


def test_access_that_is_bought_again_meanwhile_does_not_end_soon_and_later_it_does(
    world: World, inbox: Inbox, offers: Offering
) -> None:
    customer = world.shop.add_customer("mia@guest.test", "Mia", "G")
    product = for_days(world, offers, world.course("ONE"))
    bought_for_days(world, product, customer_id=customer)
    first = ends(world)
    at(world, first - timedelta(days=10))
    bought_for_days(world, product, customer_id=customer)
    assert ends(world) == first + timedelta(days=30)
    at(world, first - SOON + timedelta(minutes=1))
    at(world, first + timedelta(minutes=1))
    assert len(inbox.mails) == 1
    at(world, first + timedelta(days=30) - SOON + timedelta(minutes=1))
    assert [("ends soon" in subject) for subject in subjects(inbox)] == [False, True]


def test_whoever_is_given_access_for_less_time_is_not_told_that_it_ends_soon(
    world: World, inbox: Inbox, offers: Offering
) -> None:
    bought_for_days(world, for_days(world, offers, world.course("ONE"), days=5))
    at(world, ends(world) - timedelta(days=1))
    assert len(inbox.mails) == 1


def test_a_day_without_the_bridge_delays_the_letter_that_access_ends_soon(
    world: World, inbox: Inbox, offers: Offering
) -> None:
    bought_for_days(world, for_days(world, offers, world.course("ONE")))
    end = ends(world)
    at(world, end - SOON + timedelta(days=1))
    at(world, end - SOON + timedelta(days=1, minutes=2))
    assert len(inbox.mails) == 2
    assert "ends soon" in subjects(inbox)[-1]


def test_after_a_day_without_the_bridge_the_shop_is_heard_before_anybody_is_told_that_access_ends_soon(
    world: World, inbox: Inbox, offers: Offering
) -> None:
    customer = world.shop.add_customer("mia@guest.test", "Mia", "G")
    product = for_days(world, offers, world.course("ONE"))
    bought_for_days(world, product, customer_id=customer)
    at(world, ends(world) - timedelta(days=20))  # swept last
    first = ends(world)
    world.clock.set(first - SOON + timedelta(hours=12))  # bought again, while the bridge is down
    world.shop.place_order([(product, 1)], email="mia@guest.test", customer_id=customer)
    world.clock.set(first - SOON + timedelta(days=1))
    world.settle()  # the letter is due, and nothing was heard yet
    assert len(inbox.mails) == 1
    at(world, first - SOON + timedelta(days=1, minutes=1))
    at(world, first - SOON + timedelta(days=1, minutes=5))
    assert ends(world) == first + timedelta(days=30)
    assert len(inbox.mails) == 1


@pytest.fixture
def by_the_month(make_world: Callable[..., World], server: Server) -> tuple[World, int]:
    """A shop where somebody has access by a subscription, and the subscription."""
    world = make_world(subscriptions=True, mail=mail(server))
    course = world.course("ONE", name="Fire safety")
    world.sell(course)
    meta = [{"key": "bridge_gives", "value": f"course:{course}"}]
    pass_ = world.shop.add_product("Pass", type="subscription", sku="PASS", price="20.00", meta_data=meta)
    order = world.shop.place_order([(pass_, 1)], email="mia@guest.test", first_name="Mia", last_name="G")
    world.look(order)
    (subscription,) = world.shop.subscriptions
    return world, subscription


def test_whoever_cancels_a_subscription_is_told_before_what_is_paid_for_ends_and_once(
    by_the_month: tuple[World, int], inbox: Inbox
) -> None:
    world, subscription = by_the_month
    assert len(inbox.mails) == 1
    world.clock.advance(days=5)
    world.shop.cancel_subscription(subscription)
    at(world, world.now())
    end = ends(world)
    assert world.shop.subscriptions[subscription]["status"] == "pending-cancel"
    assert len(inbox.mails) == 1
    at(world, end - SOON + timedelta(minutes=1))
    at(world, end - timedelta(days=1))
    assert [("ends soon" in subject) for subject in subjects(inbox)] == [False, True]
    world.clock.set(end + timedelta(minutes=1))
    world.shop.run_schedule()
    at(world, world.now())
    assert len(inbox.mails) == 3
    assert "ended" in subjects(inbox)[-1].lower()


def test_whoever_cancels_shortly_before_the_end_is_told_at_once(by_the_month: tuple[World, int], inbox: Inbox) -> None:
    world, subscription = by_the_month
    world.clock.advance(days=26)
    world.shop.cancel_subscription(subscription)
    at(world, world.now())
    assert [("ends soon" in subject) for subject in subjects(inbox)] == [False, True]


def test_whoever_takes_the_cancellation_back_is_not_told_that_access_ends_soon(
    by_the_month: tuple[World, int], inbox: Inbox
) -> None:
    world, subscription = by_the_month
    world.shop.cancel_subscription(subscription)
    at(world, world.now())
    end = ends(world)
    world.clock.set(end - SOON - timedelta(hours=1))  # the delivery is lost, and the bridge down for a day
    world.shop.change_subscription(subscription, "active")
    world.clock.set(end - SOON + timedelta(days=1))
    world.settle()
    at(world, end - SOON + timedelta(days=1, minutes=1))
    at(world, end - SOON + timedelta(days=1, minutes=5))
    assert [row.until for row in world.rows("access")] == [None]
    assert len(inbox.mails) == 1


# --- payments that are taken back ------------------------------------------------------------------------------------


@pytest.fixture
def stripe() -> Stripe:
    return Stripe()


@pytest.fixture
def paid(make_world: Callable[..., World], server: Server, stripe: Stripe) -> Iterator[World]:
    """A world whose shop is paid through Stripe."""
    with Served(stripe.app) as served:
        config = {"secret_key": SANDBOX_KEY, "url": served.url, "webhook_secrets": ["whsec_" + "s" * 32]}
        made = make_world(mail=mail(server), stripe=config)
        made.shop.gateway = stripe.take
        yield made


def test_a_dispute_is_told_as_a_rest_and_its_loss_even_months_later(paid: World, stripe: Stripe, inbox: Inbox) -> None:
    order = bought(paid, paid.course("ONE"))
    dispute = stripe.dispute(str(paid.shop.orders[order]["transaction_id"]))
    paid.look(order)
    assert "is on hold" in subjects(inbox)[-1]
    assert "not ready yet" not in text(inbox)
    paid.clock.advance(days=40)
    paid.settle()
    assert len(inbox.mails) == 2
    stripe.lose(dispute["id"])
    paid.look(order)
    paid.look(order)
    assert len(inbox.mails) == 3
    assert "taken back" in text(inbox)


def test_the_end_of_days_of_grace_is_told_as_a_payment_that_did_not_come(world: World, inbox: Inbox) -> None:
    order = bought(world, world.course("ONE"))
    world.clock.advance(days=3)
    world.shop.set_status(order, "on-hold")
    world.look(order)
    world.clock.advance(days=8)
    world.settle()
    assert "has not reached us" in text(inbox)
