"""Stories: who is who. Addresses that are proven, persons who turn out to be one, accounts that were there before us.

On both databases.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import DBAPIError

from bridge.errors import NotFound
from bridge.store import models, people
from bridge.who import prove
from bridge.wiring import Bridge
from tests.test_story_crash import crashes
from tests.world import World

MIA = "mia@guest.test"


def proves(world: World, person: int, email: str = MIA, how: str = "link") -> None:
    """Somebody proves an address, as signing in does it; and whatever follows is done."""
    told(world.bridge, person, email, how)
    world.settle()


def told(bridge: Bridge, person: int, email: str = MIA, how: str = "link") -> None:
    """The same, and nothing is done yet."""
    with bridge.store.begin() as connection:
        prove(bridge.store, connection, person, email, how, bridge.now())
    bridge.store.bell.ring()


def as_guest(world: World, course: int, email: str = MIA, **order: Any) -> int:
    """Bought without an account of the shop."""
    number = world.shop.place_order([(world.sell(course), 1)], email=email, **order)
    world.look(number)
    return number


def as_customer(world: World, customer: int, course: int, **order: Any) -> int:
    """Bought with one."""
    number = world.shop.place_order([(world.sell(course), 1)], customer_id=customer, **order)
    world.look(number)
    return number


def person_of(world: World, customer: int) -> int:
    """Our number of a customer of the shop."""
    (found,) = [row.id for row in world.rows("persons") if row.customer_id == customer]
    return int(found)


def events(world: World, *names: str) -> list[Any]:
    """Entries of the audit log."""
    return [row for row in world.rows("audit") if row.event in names]


def seats(world: World) -> set[tuple[int, int | None]]:
    """Which person sits on which seat."""
    return {(row.id, row.person_id) for row in world.rows("seats")}


def leases_run_out(world: World) -> None:
    """Nobody holds anything any more, also what is not due."""
    with world.bridge.store.begin() as connection:
        connection.execute(update(models.work).values(lease_until=None, lease_owner=None))


# --- a guest registers -----------------------------------------------------------------------------------------------


def test_what_a_guest_bought_is_the_customers_once_the_address_is_proven(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    first = as_guest(world, one)
    customer = world.shop.add_customer("Mia@guest.test", "Mia", "Guest")
    second = as_customer(world, customer, two)
    assert "proven" in world.parked()["learner 2"]
    assert world.access() == {(MIA, one): "active"}
    proves(world, 2)
    assert world.parked() == {}
    assert world.access() == {(MIA, one): "active", (MIA, two): "active"}
    assert len([u for u in world.totara.users.values() if u.email == MIA]) == 1
    assert seats(world) == {(1, 2), (2, 2)}
    assert {row.id: row.person_id for row in world.rows("orders")} == {first: 2, second: 2}
    assert [row.person_id for row in world.rows("accounts")] == [2]
    assert {row.person_id for row in world.rows("access")} == {2}
    assert "access ready" in world.told(second)
    assert {row.id: row.merged_into for row in world.rows("persons")} == {1: 2, 2: None}
    merged = events(world, "persons merged")
    assert [(row.person_id, row.actor) for row in merged] == [(1, "bridge"), (2, "bridge")]
    assert merged[0].facts == {
        "from": 1, "into": 2, "orders": [first], "subscriptions": [], "seats": [1], "account": world.user(MIA)
    }  # fmt: skip


def test_what_was_merged_goes_on_as_the_orders_say(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    first = as_guest(world, one)
    customer = world.shop.add_customer(MIA, "Mia", "Guest")
    second = as_customer(world, customer, two)
    proves(world, 2)
    world.look(first, second)
    assert world.access() == {(MIA, one): "active", (MIA, two): "active"}
    world.shop.set_status(first, "cancelled")
    world.look(first)
    assert world.access() == {(MIA, one): "suspended", (MIA, two): "active"}
    assert world.parked() == {}


def test_an_address_that_anybody_registered_opens_nothing(world: World) -> None:
    """Registering with a victim's address logs in at once in the shop; nothing of the victim's is touched."""
    one, two = world.course("ONE"), world.course("TWO")
    as_guest(world, one, "victim@company.test")
    attacker = world.shop.add_customer("victim@company.test", "Mallory", "M")
    as_customer(world, attacker, two)
    proves(world, person_of(world, attacker), "mallory@evil.test")  # what is theirs they may prove
    assert world.access() == {("victim@company.test", one): "active"}
    assert "proven" in world.parked()["learner 2"]
    assert {row.merged_into for row in world.rows("persons")} == {None}
    assert events(world, "persons merged") == []


def test_a_customer_who_bought_nothing_as_a_customer_yet_is_found_by_the_proof(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    customer = world.shop.add_customer(MIA, "Mia", "Guest")
    as_customer(world, customer, one)
    proves(world, 1)
    order = as_guest(world, two, "MIA@guest.test")
    assert world.access() == {(MIA, one): "active", (MIA, two): "active"}
    assert [row.customer_id for row in world.rows("persons")] == [customer]
    assert {row.id: row.person_id for row in world.rows("orders")}[order] == 1


def test_a_gift_to_a_proven_address_is_its_owners(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    as_customer(world, world.shop.add_customer(MIA, "Mia", "Guest"), one)
    proves(world, 1)
    line = {"product_id": world.sell(two), "quantity": 1, "meta": {"_bridge_gift_to": MIA}}
    world.look(world.shop.place_order([line], email="uncle@b.test"))
    assert world.access() == {(MIA, one): "active", (MIA, two): "active"}


def test_a_guest_whose_order_was_looked_at_while_the_customer_proved_the_address_is_found(world: World) -> None:
    """The proof's look is over before the guest is there: the guest's own look hands over."""
    one, two = world.course("ONE"), world.course("TWO")
    as_customer(world, world.shop.add_customer(MIA, "Mia", "Guest"), one)
    order = world.shop.place_order([(world.sell(two), 1)], email=MIA)
    world.owe("order", order)
    bridge = world.new_bridge()
    claim = bridge.work.claim(["order"])
    assert claim is not None
    done = bridge.jobs.handlers["order"](claim)
    assert done is not None
    bridge.work.end(claim, bridge.work.settled(claim), write=done.write)
    told(world.bridge, 1)
    world.bridge.work.drop("learner", "1")  # as if it had been looked at an instant before
    world.settle()
    assert world.access() == {(MIA, one): "active", (MIA, two): "active"}
    assert {row.id: row.merged_into for row in world.rows("persons")} == {1: None, 2: 1}


def test_two_accounts_in_totara_are_for_a_person_to_choose_from(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    customer = world.shop.add_customer("mia@work.test", "Mia", "Guest")
    as_customer(world, customer, one)
    as_guest(world, two)
    world.shop.change_customer(customer, {"email": MIA})
    proves(world, 1, MIA, "shop")
    work, guest = world.user("mia@work.test"), world.user(MIA)
    assert f"users {work} and {guest}" in world.parked()["learner 1"]
    assert world.access() == {("mia@work.test", one): "active", (MIA, two): "active"}
    assert events(world, "persons merged") == []


def test_nobody_is_told_anew_what_the_guest_was_told(world: World) -> None:
    as_guest(world, world.course("ONE"))
    as_customer(world, world.shop.add_customer(MIA, "Mia", "Guest"), world.course("TWO"))
    with world.bridge.store.begin() as connection:
        for person, fact in ((1, "ready course:2 1"), (1, "waiting"), (2, "waiting")):
            connection.execute(insert(models.letters).values(person_id=person, fact=fact, begun_at=world.now()))
    proves(world, 2)
    assert {(row.person_id, row.fact) for row in world.rows("letters")} == {(2, "ready course:2 1"), (2, "waiting")}


def test_what_a_late_worker_still_gave_the_guest_is_the_customers(world: World) -> None:
    one, two, late = (world.course(name) for name in ("ONE", "TWO", "LATE"))
    as_guest(world, one)
    as_customer(world, world.shop.add_customer(MIA, "Mia", "Guest"), two)
    proves(world, 2)
    order = as_guest(world, late, "other@b.test")
    with world.bridge.store.begin() as connection:
        connection.execute(update(models.seats).where(models.seats.c.person_id == 3).values(person_id=1))
        connection.execute(update(models.orders).where(models.orders.c.id == order).values(person_id=1))
    world.owe("learner", 1)
    world.settle()
    assert {row.person_id for row in world.rows("seats")} == {2}
    assert world.access()[MIA, late] == "active"


# --- two at once, and crashes ----------------------------------------------------------------------------------------


def test_two_workers_at_once_make_one_of_two_persons_once(world: World) -> None:
    one, two, three = (world.course(name) for name in ("ONE", "TWO", "THREE"))
    as_guest(world, one)
    customer = world.shop.add_customer(MIA, "Mia", "Guest")
    as_customer(world, customer, two)
    third = world.shop.place_order([(world.sell(three), 1)], email=MIA)
    told(world.bridge, 2)
    world.owe("order", third)
    world.owe("learner", 1, 2)
    bridges = [world.new_bridge() for _ in range(3)]
    threads = [threading.Thread(target=lambda b=bridge: b.worker().drain(10)) for bridge in bridges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(3):
        world.pass_time()
        world.settle()
    assert world.access() == {(MIA, course): "active" for course in (one, two, three)}
    assert len([u for u in world.totara.users.values() if u.email == MIA]) == 1
    assert {row.person_id for row in world.rows("seats")} == {2}
    assert len(events(world, "persons merged")) == 2
    assert world.parked() == {}


def test_a_worker_that_still_looks_at_the_guest_is_waited_for(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    as_guest(world, one)
    as_customer(world, world.shop.add_customer(MIA, "Mia", "Guest"), two)
    busy = world.new_bridge()
    claim = busy.work.take("learner", "1")
    assert claim is not None
    told(world.bridge, 2)
    world.settle()
    assert events(world, "persons merged") == []
    busy.work.release(claim)
    world.pass_time()
    world.settle()
    assert world.access() == {(MIA, one): "active", (MIA, two): "active"}


@pytest.mark.timeout(300)
def test_a_crash_between_any_two_steps_of_a_merge_changes_nothing_in_the_end(
    make_world: Callable[..., World], reset_database: Callable[[], None]
) -> None:
    def begun() -> tuple[World, dict[tuple[str, int], str]]:
        world = make_world(catalogue={"images": False})
        one, two = world.course("ONE"), world.course("TWO")
        as_guest(world, one)
        as_customer(world, world.shop.add_customer(MIA, "Mia", "Guest"), two)
        told(world.bridge, 2)
        return world, {(MIA, one): "active", (MIA, two): "active"}

    step, crashed = 0, True
    while crashed:
        step += 1
        reset_database()
        world, wanted = begun()
        crashed = crashes(world, step)
        leases_run_out(world)
        for _ in range(3):
            world.pass_time()
            world.settle()
        assert world.access() == wanted, f"after a crash at step {step}"
        assert world.parked() == {}
        assert {row.person_id for row in world.rows("seats")} == {2}
        assert len(events(world, "persons merged")) == 2
        assert len([u for u in world.totara.users.values() if u.email == MIA]) == 1
        world.close()
    assert step > 8


def test_an_account_whose_making_was_cut_off_is_the_customers_after_the_merge(world: World) -> None:
    """The guest's account was made in Totara and not written down: its name tells, whoever the guest has become."""
    one, two = world.course("ONE"), world.course("TWO")
    order = world.shop.place_order([(world.sell(one), 1)], email=MIA)
    world.owe("order", order)
    world.totara.faults.cut("core_user_create_user", times=1)
    world.settle()
    assert [row.totara_id for row in world.rows("accounts")] == [None]
    world.bridge.work.drop("learner", "1")  # the guest is not looked at before the merge
    customer = world.shop.add_customer(MIA, "Mia", "Guest")
    world.owe("order", world.shop.place_order([(world.sell(two), 1)], customer_id=customer))
    world.settle()
    proves(world, 2)
    for _ in range(3):
        world.pass_time()
        world.settle()
    assert world.access() == {(MIA, one): "active", (MIA, two): "active"}
    assert len([u for u in world.totara.users.values() if u.email == MIA]) == 1


# --- proofs ----------------------------------------------------------------------------------------------------------


def test_a_proof_is_written_down_once_for_each_way_and_owes_a_look_only_then(world: World) -> None:
    as_guest(world, world.course("ONE"))
    for how in ("link", "link", "shop", "link"):
        told(world.bridge, 1, " Mia@GUEST.test ", how)
    assert [(row.person_id, row.email, row.how) for row in world.rows("proofs")] == [(1, MIA, "link"), (1, MIA, "shop")]
    world.settle()
    told(world.bridge, 1)
    assert world.settle() == 0
    assert [row.facts["how"] for row in events(world, "address proven")] == ["link", "shop"]
    assert all("@" not in str(row._mapping) for row in world.rows("audit"))


@pytest.mark.parametrize(("email", "how"), [("no address", "link"), (MIA, "word of mouth"), (MIA, "withdrawn")])
def test_what_proves_nothing_is_refused(world: World, email: str, how: str) -> None:
    as_guest(world, world.course("ONE"))
    with pytest.raises(ValueError, match=r".+"):
        told(world.bridge, 1, email, how)
    with pytest.raises(NotFound):
        told(world.bridge, 99)
    assert world.rows("proofs") == []


def test_a_proof_is_never_altered(world: World) -> None:
    as_guest(world, world.course("ONE"))
    told(world.bridge, 1)
    with pytest.raises(DBAPIError, match="never altered"), world.bridge.store.begin() as connection:
        connection.execute(update(models.proofs).values(email="mallory@evil.test"))


def test_a_proof_by_somebody_who_was_merged_is_the_others(world: World) -> None:
    as_guest(world, world.course("ONE"))
    as_customer(world, world.shop.add_customer(MIA, "Mia", "Guest"), world.course("TWO"))
    proves(world, 2)
    told(world.bridge, 1, "mia@other.test")
    with world.bridge.store.read() as connection:
        assert set(people.proofs_of(connection, 2)) == {MIA, "mia@other.test"}


# --- an address that changes, an account of the shop that goes -------------------------------------------------------


def test_a_customer_with_another_address_keeps_the_account_and_nothing_changes_by_itself(world: World) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    customer = world.shop.add_customer("old@b.test", "Mia", "B")
    as_customer(world, customer, one)
    world.totara.add_user("new@b.test", tenant="academy")  # somebody's
    world.shop.change_customer(customer, {"email": "new@b.test"})
    as_customer(world, customer, two, email="new@b.test")
    assert world.access() == {("old@b.test", one): "active", ("old@b.test", two): "active"}
    assert world.parked() == {}
    (person,) = world.rows("persons")
    assert person.email == "old@b.test"


def test_the_new_address_is_written_to_once_the_shop_has_checked_it(world: World) -> None:
    customer = world.shop.add_customer("old@b.test", "Mia", "B")
    as_customer(world, customer, world.course("ONE"))
    world.shop.change_customer(customer, {"email": "new@b.test"})
    proves(world, 1, "new@b.test", "shop")
    (person,) = world.rows("persons")
    (account,) = world.rows("accounts")
    assert (person.email, account.email) == ("new@b.test", "new@b.test")
    assert world.totara.users[account.totara_id].email == "old@b.test"
    assert [row.person_id for row in events(world, "address changed")] == [1]
    # The old address is anybody's now: what is bought for it is not this customer's.
    order = as_guest(world, world.course("TWO"), "old@b.test")
    assert {row.id: row.person_id for row in world.rows("orders")}[order] == 2
    assert "the account of person 1" in world.parked()["learner 2"]


def test_a_link_to_another_address_proves_it_and_changes_nothing(world: World) -> None:
    customer = world.shop.add_customer("old@b.test", "Mia", "B")
    as_customer(world, customer, world.course("ONE"))
    proves(world, 1, "new@b.test", "link")
    (person,) = world.rows("persons")
    assert person.email == "old@b.test"
    order = as_guest(world, world.course("TWO"), "new@b.test")  # proven, but not this customer's address
    assert {row.id: row.person_id for row in world.rows("orders")}[order] == 2


@pytest.mark.parametrize("with_account", [True, False])
def test_a_customer_who_is_deleted_in_the_shop_keeps_what_the_orders_pay_for(world: World, with_account: bool) -> None:
    course = world.course("ONE")
    customer = world.shop.add_customer("mia@b.test", "Mia", "B")
    if not with_account:
        world.totara.edit_course(course, enrol_methods=[])
        world.totara.add_user("mia@b.test")
    order = as_customer(world, customer, course, email="bill@b.test")
    world.shop.delete_customer(customer)
    assert world.shop.orders[order]["customer_id"] == 0
    world.look(order)
    assert [(row.id, row.customer_id) for row in world.rows("persons")] == [(1, customer)]
    assert seats(world) == {(1, 1)}
    if with_account:
        assert world.access() == {("mia@b.test", course): "active"}
        world.shop.set_status(order, "cancelled")
        world.look(order)
        assert world.access() == {("mia@b.test", course): "suspended"}
        assert world.parked() == {}


def test_an_order_that_staff_take_off_a_customer_follows_its_bill_while_there_is_no_account(world: World) -> None:
    world.totara.add_user("mia@b.test")
    course = world.course("ONE")
    order = as_customer(world, world.shop.add_customer("mia@b.test", "Mia", "B"), course, email="nia@b.test")
    world.shop.orders[order]["customer_id"] = 0
    world.look(order)
    assert world.access() == {("nia@b.test", course): "active"}


# --- an account that was there before us -----------------------------------------------------------------------------


def test_a_proven_account_of_the_academys_is_linked_where_totara_tells_what_it_is(world: World) -> None:
    world.totara.has_plugin = True
    world.bridge.totara.capabilities(again=True)
    user = world.totara.add_user(MIA, tenant="academy")
    course = world.course("ONE", category=world.tenant_category)
    order = as_guest(world, course)
    assert "left alone" in world.parked()["learner 1"]
    proves(world, 1)
    assert world.access() == {(MIA, course): "active"}
    assert "access ready" in world.told(order)
    (account,) = world.rows("accounts")
    assert (account.totara_id, account.linked) == (user, True)
    (entry,) = events(world, "account linked")
    assert (entry.actor, entry.facts) == ("bridge", {"user": user})
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert world.access() == {(MIA, course): "suspended"}


def test_a_course_that_others_gave_a_linked_account_is_never_ended_by_us(world: World) -> None:
    world.totara.has_plugin = True
    user = world.totara.add_user(MIA, tenant="academy")
    theirs, ours = (world.course(name, category=world.tenant_category) for name in ("THEIRS", "OURS"))
    world.totara.enrol(user, theirs, timeend=0)
    orders = [as_guest(world, course) for course in (theirs, ours)]
    proves(world, 1)
    assert world.access() == {(MIA, theirs): "active", (MIA, ours): "active"}
    for order in orders:
        assert "access ready" in world.told(order)
        world.shop.set_status(order, "cancelled")
    world.look(*orders)
    assert world.access() == {(MIA, theirs): "active", (MIA, ours): "suspended"}


@pytest.mark.parametrize("plugin", [True, False])
@pytest.mark.parametrize(
    "whose",
    [
        *("an officer's", "a site user's", "an administrator's", "staff's", "a suspended learner's", "kept out"),
        "a suspended tenant's",
    ],
)
def test_a_proof_alone_opens_no_account_but_a_learners_of_the_academy(
    make_world: Callable[..., World], whose: str, plugin: bool
) -> None:
    """A mailbox that was taken over, or is read by several, opens no account of an officer or an administrator."""
    world = make_world(totara={"never_link": ["@agency.test"]})
    world.totara.has_plugin = plugin
    world.totara.add_tenant("memberland", "Memberland")
    makers: dict[str, Callable[[], int]] = {
        "an officer's": lambda: world.totara.add_user("anna@members.test", tenant="memberland"),
        "a site user's": lambda: world.totara.add_user("anna@members.test"),
        "an administrator's": lambda: 2,
        "staff's": lambda: world.totara.add_user("anna@members.test", tenant="academy"),
        "a suspended learner's": lambda: world.totara.add_user("a@b.test", tenant="academy", suspended=True),
        "kept out": lambda: world.totara.add_user("anna@agency.test", tenant="academy"),
        "a suspended tenant's": lambda: world.totara.add_user("anna@members.test", tenant="academy"),
    }
    user = makers[whose]()
    world.totara.staff |= {user} if whose == "staff's" else set()
    for tenant in world.totara.tenants.values():
        tenant.suspended = whose == "a suspended tenant's"
    before = world.totara.users[user]
    as_guest(world, world.course("ONE"), before.email)
    proves(world, 1, before.email)
    assert "left alone" in world.parked()["learner 1"]
    assert world.access() == {}
    assert [row.totara_id for row in world.rows("accounts")] == [None]
    assert [r for r in world.totara.requests if "create" in r or "update" in r or "enrol_manual" in r] == []


def test_of_several_accounts_with_one_address_none_is_taken(world: World) -> None:
    world.totara.has_plugin = True
    users = [world.totara.add_user(MIA, username=name, tenant="academy") for name in ("mia", "mia2")]
    as_guest(world, world.course("ONE"))
    proves(world, 1)
    assert f"several Totara users ({users[0]}, {users[1]})" in world.parked()["learner 1"]
    assert world.access() == {}
