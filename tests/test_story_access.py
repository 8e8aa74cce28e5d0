"""Stories: nobody loses access that is paid for, and nobody keeps what is not. On both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from bridge.learners import BRAKE
from bridge.store import ledger
from tests.world import Offering, World


def statuses(world: World) -> list[str]:
    """How all enrolments stand."""
    return sorted(world.access().values())


# --- ending ----------------------------------------------------------------------------------------------------------


def test_access_that_ends_is_suspended_and_the_record_of_learning_stays(world: World) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@b.test")
    world.look(order)
    user = world.user("a@b.test")
    world.totara.complete(user, course)
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert world.totara.enrolments[user, course].status == "suspended"
    assert not world.totara.reachable(user, course)
    assert (user, course) in world.totara.completions
    assert not world.totara.users[user].suspended
    called = [request for request in world.totara.requests if "unenrol" in request or "delete" in request]
    assert called == []
    world.shop.set_status(order, "completed")
    world.look(order)
    assert world.totara.reachable(user, course)
    assert (user, course) in world.totara.completions


def test_an_enrolment_that_was_not_ours_is_left_alone(world: World) -> None:
    sold, own = world.course("ONE"), world.course("TWO")
    order = world.shop.place_order([(world.sell(sold), 1)], email="a@b.test")
    world.look(order)
    world.totara.enrol(world.user("a@b.test"), own)
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert world.access() == {("a@b.test", sold): "suspended", ("a@b.test", own): "active"}


def test_access_by_an_audience_of_others_stays_when_the_bought_one_ends(world: World) -> None:
    course = world.course("ONE")
    staff = world.totara.add_audience("Staff", courses=[course])
    order = world.shop.place_order([(world.sell(course), 1)], email="a@b.test")
    world.look(order)
    user = world.user("a@b.test")
    world.totara.add_member(staff, user)
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert world.totara.reachable(user, course)
    assert world.totara.members_of(staff) == {user}


def test_an_item_that_two_products_give_stays_until_both_have_ended(world: World, offers: Offering) -> None:
    club = world.totara.add_audience("Club")
    offers("\n".join(f'[[offer]]\nsku = "{sku}"\ngives = ["audience:{club}"]' for sku in ("GOLD", "SILVER")))
    customer = world.shop.add_customer("a@b.test", "A", "B")
    products = [world.shop.add_product(sku, sku=sku, price="9.00") for sku in ("GOLD", "SILVER")]
    orders = [world.shop.place_order([(product, 1)], customer_id=customer) for product in products]
    world.look(*orders)
    for order, members in zip(orders, (1, 0), strict=True):
        world.shop.set_status(order, "cancelled")
        world.look(order)
        assert len(world.totara.members_of(club)) == members


def test_the_longer_of_two_times_counts_and_the_shorter_takes_nothing(world: World, offers: Offering) -> None:
    course = world.course("ONE")
    day = (world.now() + timedelta(days=10)).date()
    offers(
        f'[[offer]]\nsku = "SHORT"\ngives = ["course:{course}"]\nuntil = {day}\n'
        f'[[offer]]\nsku = "LONG"\ngives = ["course:{course}"]\nuntil = {day + timedelta(days=10)}'
    )
    customer = world.shop.add_customer("a@b.test", "A", "B")
    short, long = (
        world.shop.place_order([(world.shop.add_product(sku, sku=sku, price="9.00"), 1)], customer_id=customer)
        for sku in ("SHORT", "LONG")
    )
    world.look(long, short)
    world.clock.advance(days=12)
    world.settle()
    assert statuses(world) == ["active"]
    world.shop.set_status(long, "cancelled")
    world.look(long)
    assert statuses(world) == ["suspended"]


# --- the brake -------------------------------------------------------------------------------------------------------


def crowd(world: World, count: int) -> list[int]:
    """So many orders of as many people."""
    product = world.sell(world.course("ONE"))
    orders = [world.shop.place_order([(product, 1)], email=f"p{n}@crowd.test") for n in range(count)]
    world.look(*orders)
    return orders


@pytest.fixture
def braked(make_world: Callable[..., World]) -> World:
    """A world whose brake holds after three."""
    return make_world(orders={"brake_count": 3, "brake_share": 0.2})


def test_a_mass_withdrawal_stops_parks_itself_and_says_so(braked: World) -> None:
    world = braked
    orders = crowd(world, 10)
    for order in orders:
        world.shop.set_status(order, "cancelled")
    world.look(*orders)
    assert statuses(world) == ["active"] * 7 + ["suspended"] * 3
    stopped = [reason for key, reason in world.parked().items() if key.startswith("learner")]
    assert len(stopped) == 7
    assert all("so much access would end at once" in reason and "bridge brake release" in reason for reason in stopped)
    notes = [world.told(order) for order in orders]
    assert sum("access could not be ended: so much access" in note for note in notes) == 7
    # Tried again within the hour, it still holds.
    world.owe("learner", *range(1, 11))
    world.settle()
    assert statuses(world).count("suspended") == 3


def test_a_person_releases_the_brake_and_the_rest_ends(braked: World) -> None:
    world = braked
    orders = crowd(world, 10)
    for order in orders:
        world.shop.set_status(order, "cancelled")
    world.look(*orders)
    until = (world.now() + timedelta(hours=1)).isoformat()
    with world.bridge.store.begin() as connection:
        ledger.write_note(world.bridge.store, connection, BRAKE, until, world.now())
    world.owe("learner", *range(1, 11))
    world.settle()
    assert statuses(world) == ["suspended"] * 10
    assert world.parked() == {}


def test_the_brake_holds_neither_a_few_nor_what_ends_by_its_date(braked: World, offers: Offering) -> None:
    world = braked
    course = world.course("ONE")
    path = world.bridge.settings.orders.offers_file
    assert path == ""
    product = world.shop.add_product(
        "Month",
        price="9.00",
        meta_data=[{"key": "bridge_gives", "value": f"course:{course}"}, {"key": "bridge_days", "value": "30"}],
    )
    world.sell(course)
    orders = [world.shop.place_order([(product, 1)], email=f"p{n}@crowd.test") for n in range(10)]
    world.look(*orders)
    for order in orders[:3]:
        world.shop.set_status(order, "cancelled")
    world.look(*orders[:3])
    assert statuses(world) == ["active"] * 7 + ["suspended"] * 3
    world.clock.advance(days=30, seconds=10)
    world.settle()
    assert statuses(world) == ["suspended"] * 10
    assert world.parked() == {}


def test_days_of_grace_that_end_for_many_at_once_wait_for_a_person(braked: World) -> None:
    """A gateway that is away for a while puts everybody on hold: nobody gave notice."""
    world = braked
    orders = crowd(world, 10)
    for order in orders:
        world.shop.set_status(order, "on-hold")
    world.look(*orders)
    assert statuses(world) == ["active"] * 10
    world.clock.advance(days=8)
    world.settle()
    assert statuses(world) == ["active"] * 7 + ["suspended"] * 3
    assert sum("so much access would end at once" in reason for reason in world.parked().values()) == 7
    inside = [world.totara.reachable(user, course) for user, course in world.totara.enrolments]
    assert inside.count(True) == 7, "those whom the brake holds can really enter"
    # The gateway is back, and everybody is in again.
    for order in orders:
        world.shop.set_status(order, "processing")
    world.look(*orders)
    assert statuses(world) == ["active"] * 10
    assert world.parked() == {}


def test_those_whom_the_brake_held_stay_when_their_orders_turn_out_to_be_paid(braked: World) -> None:
    world = braked
    orders = crowd(world, 10)
    for order in orders:
        world.shop.set_status(order, "cancelled")
    world.look(*orders)
    for order in orders:
        world.shop.set_status(order, "completed")
    world.look(*orders)
    assert statuses(world) == ["active"] * 10
    assert world.parked() == {}


# --- gifts -----------------------------------------------------------------------------------------------------------


def gift(product: int, *people: str, key: str = "_bridge_gift_to", quantity: int = 1) -> dict[str, object]:
    """A line that was bought for somebody else."""
    return {"product_id": product, "quantity": quantity, "meta": {key: ", ".join(people)}}


def test_a_gift_gives_the_seat_to_its_recipient_and_not_to_the_buyer(world: World) -> None:
    present, own = world.course("ONE"), world.course("TWO")
    order = world.shop.place_order(
        [gift(world.sell(present), "Nia@guest.test"), (world.sell(own), 1)], email="uncle@b.test"
    )
    world.look(order)
    assert world.access() == {("nia@guest.test", present): "active", ("uncle@b.test", own): "active"}
    assert "@" not in world.told(order)
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert statuses(world) == ["suspended", "suspended"]


def test_the_meta_that_names_a_gifts_recipient_is_a_setting(make_world: Callable[..., World]) -> None:
    world = make_world(orders={"gift_meta": "gift_email"})
    course = world.course("ONE")
    product = world.sell(course)
    world.look(world.shop.place_order([gift(product, "nia@guest.test", key="gift_email")], email="uncle@b.test"))
    world.look(world.shop.place_order([gift(product, "other@guest.test")], email="aunt@b.test"))
    assert world.access() == {("nia@guest.test", course): "active", ("aunt@b.test", course): "active"}


def test_a_gift_to_somebody_who_has_an_account_of_others_waits_and_the_account_is_left_alone(world: World) -> None:
    officer = world.totara.add_user("anna@members.test")
    course = world.course("ONE")
    order = world.shop.place_order([gift(world.sell(course), "anna@members.test")], email="uncle@b.test")
    world.look(order)
    assert world.access() == {}
    assert any(f"Totara user {officer}" in reason for reason in world.parked().values())
    assert "waiting" in world.told(order)


def test_a_gifts_mistyped_address_can_be_corrected_while_nobody_has_it(world: World) -> None:
    world.totara.add_user("typo@members.test")
    course = world.course("ONE")
    order = world.shop.place_order([gift(world.sell(course), "typo@members.test")], email="uncle@b.test")
    world.look(order)
    meta = world.shop.orders[order]["line_items"][0]["meta_data"]
    next(entry for entry in meta if entry["key"] == "_bridge_gift_to")["value"] = "nia@guest.test"
    world.look(order)
    assert world.access() == {("nia@guest.test", course): "active"}
    assert world.parked() == {}


def test_a_gift_to_no_address_is_parked_and_the_rest_of_the_order_is_given(world: World) -> None:
    present, own = world.course("ONE"), world.course("TWO")
    order = world.shop.place_order(
        [gift(world.sell(present), "nia at guest"), (world.sell(own), 1)], email="uncle@b.test"
    )
    world.look(order)
    assert world.access() == {("uncle@b.test", own): "active"}
    reason = world.parked()[f"order {order}"]
    assert f"line {world.shop.orders[order]['line_items'][0]['id']}" in reason
    assert "correct it in the shop" in reason
    assert "nia" not in reason
    meta = world.shop.orders[order]["line_items"][0]["meta_data"]
    next(entry for entry in meta if entry["key"] == "_bridge_gift_to")["value"] = "nia@guest.test"
    world.look(order)
    assert world.access() == {("uncle@b.test", own): "active", ("nia@guest.test", present): "active"}
    assert world.parked() == {}


# --- accounts --------------------------------------------------------------------------------------------------------


def test_an_account_suspended_in_totara_is_told_and_given_again_once_it_may_sign_in(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    customer = world.shop.add_customer("a@b.test", "A", "B")
    world.look(world.shop.place_order([(world.sell(one), 1)], customer_id=customer))
    user = world.user("a@b.test")
    world.totara.users[user].suspended = True
    order = world.shop.place_order([(world.sell(two), 1)], customer_id=customer)
    world.look(order)
    assert f"Totara user {user} is suspended in Totara" in world.parked()["learner 1"]
    assert f"Totara user {user} is suspended in Totara" in world.told(order)
    assert world.totara.users[user].suspended
    assert world.access() == {("a@b.test", one): "active"}
    world.totara.users[user].suspended = False
    world.owe("learner", 1)
    world.settle()
    assert statuses(world) == ["active", "active"]
    assert world.parked() == {}
    assert "access ready" in world.told(order)


def test_access_of_a_suspended_account_ends_all_the_same(world: World) -> None:
    order = world.shop.place_order([(world.sell(world.course("ONE")), 1)], email="a@b.test")
    world.look(order)
    world.totara.users[world.user("a@b.test")].suspended = True
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert statuses(world) == ["suspended"]
    assert world.parked() == {}


def test_an_account_deleted_in_totara_is_told_and_no_second_one_is_made(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    customer = world.shop.add_customer("a@b.test", "A", "B")
    world.look(world.shop.place_order([(world.sell(one), 1)], customer_id=customer))
    user = world.user("a@b.test")
    world.totara.delete_user(world.totara.users[user])
    order = world.shop.place_order([(world.sell(two), 1)], customer_id=customer)
    before = len(world.totara.users)
    world.look(order)
    assert f"Totara user {user} was deleted in Totara" in world.parked()["learner 1"]
    assert f"Totara user {user} was deleted in Totara" in world.told(order)
    assert len(world.totara.users) == before


@pytest.mark.parametrize("gives", ["course", "audience", "program"])
def test_with_a_deleted_account_its_access_is_gone_and_its_end_needs_nobody(
    world: World, offers: Offering, gives: str
) -> None:
    number = {
        "course": lambda: world.course("ONE"),
        "audience": lambda: world.totara.add_audience("Club"),
        "program": lambda: world.totara.add_program("Officer", shortname="OFF"),
    }[gives]()
    offers(f'[[offer]]\nsku = "IT"\ngives = ["{gives}:{number}"]')
    order = world.shop.place_order([(world.shop.add_product("It", sku="IT", price="9.00"), 1)], email="a@b.test")
    world.look(order)
    world.totara.delete_user(world.totara.users[world.user("a@b.test")])
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert [row.state for row in world.rows("access")] == ["suspended"]
    assert world.parked() == {}
    assert "access ended" in world.told(order)
