"""The operators' commands about persons. On both databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.store import people as store_people
from tests.test_story_people import MIA, as_customer, as_guest, events, person_of, proves
from tests.world import Run, World

BY = ("--yes", "--by", "M. Vella", "--why", "ticket 88")


def listed(bridge_command: Run) -> list[dict[str, Any]]:
    """The conflicts, as machines are told."""
    done = bridge_command("people", "conflicts", "--json")
    assert done.exit_code == 0, done.output
    assert "@" not in done.output
    found: list[dict[str, Any]] = json.loads(done.output)
    return found


def done(bridge_command: Run, *arguments: str) -> str:
    """What a command says that goes well, to the end."""
    result = bridge_command("people", *arguments)
    assert result.exit_code == 0, result.output
    assert "@" not in result.output
    return str(result.output)


def refused(bridge_command: Run, *arguments: str) -> str:
    """What a command says that is refused."""
    result = bridge_command("people", *arguments)
    assert result.exit_code == 1, result.output
    return str(result.output)


# --- conflicts -------------------------------------------------------------------------------------------------------


def test_conflicts_are_laid_out_with_what_may_be_done(world: World, bridge_command: Run) -> None:
    officer = world.totara.add_user("anna@members.test")
    first = as_guest(world, world.course("ONE"), "anna@members.test")
    as_guest(world, world.course("TWO"))
    customer = world.shop.add_customer(MIA, "Mia", "G")
    second = as_customer(world, customer, world.course("THREE"))
    world.totara.edit_course(world.course("FOUR"), enrol_methods=[])
    (account, two) = listed(bridge_command)
    assert (account["person"], account["users"], account["orders"], account["proven"]) == (
        1, [officer], [first], "not proven",
    )  # fmt: skip
    assert f"`bridge people link 1 --totara {officer}`" in account["choices"][0]
    assert (two["person"], two["persons"], two["orders"]) == (3, [2], [second])
    assert "`bridge people link 3 --person 2`" in two["choices"][0]
    assert "Person 3: two persons" in done(bridge_command, "conflicts")


def test_no_conflict_is_said_in_words(world: World, bridge_command: Run) -> None:
    as_guest(world, world.course("ONE"))
    assert listed(bridge_command) == []
    assert "Nobody waits" in done(bridge_command, "conflicts")


# --- an account ------------------------------------------------------------------------------------------------------


def test_an_operator_links_an_account_and_the_seat_is_given(world: World, bridge_command: Run) -> None:
    user = world.totara.add_user(MIA)
    course = world.course("ONE")
    order = as_guest(world, course)
    asked = bridge_command("people", "link", "1", "--totara", str(user))  # nobody answers
    assert asked.exit_code == 1
    assert "does not tell whether it is an administrator's" in asked.output
    assert [row.totara_id for row in world.rows("accounts")] == [None]
    done(bridge_command, "link", "1", "--totara", MIA, *BY)
    world.settle()
    assert world.access() == {(MIA, course): "active"}
    assert world.parked() == {}
    assert "access ready" in world.told(order)
    (entry,) = events(world, "account linked")
    assert (entry.actor, entry.cause, entry.person_id, entry.facts) == ("M. Vella", "ticket 88", 1, {"user": user})
    assert [row.how for row in world.rows("proofs")] == ["operator"]
    told = bridge_command("explain", "person:1").output
    assert f"Totara user {user}, which was there before us" in told


@pytest.mark.parametrize("whose", ["guest", "admin", "another administrator's", "system", "service", "kept out"])
def test_not_even_an_operator_links_an_administrators_or_a_systems_account(
    world: World, bridge_command: Run, whose: str
) -> None:
    world.totara.has_plugin = whose != "kept out"
    users: dict[str, Callable[[], int]] = {
        "guest": lambda: 1,
        "admin": lambda: 2,
        "another administrator's": lambda: world.totara.add_user("chief@b.test"),
        "system": lambda: world.totara.add_user("robot@b.test", auth="nologin"),
        "service": lambda: 3,
        "kept out": lambda: world.totara.add_user("anna@agency.test"),
    }
    user = users[whose]()
    world.totara.administrators |= {user} if "another" in whose else set()
    address = world.totara.users[user].email
    if whose == "guest":  # who has an address that no mail could reach
        address = world.totara.users[world.totara.add_user("root@b.test")].email
    as_guest(world, world.course("ONE"), address)
    settings = {"BRIDGE_TOTARA_NEVER_LINK": "@agency.test"}
    said = bridge_command("people", "link", "1", "--totara", str(user), *BY, **settings)
    assert (said.exit_code, "never linked" in said.output) == (1, True), said.output
    assert [row.totara_id for row in world.rows("accounts")] == [None]
    world.settle()
    assert world.access() == {}


def test_an_account_that_is_anothers_or_gone_or_not_needed_is_refused(world: World, bridge_command: Run) -> None:
    world.totara.add_user("two@b.test")
    as_guest(world, world.course("ONE"), "one@b.test")
    as_guest(world, world.course("TWO"), "two@b.test")
    mine = world.user("one@b.test")
    assert "the account of person 1" in refused(bridge_command, "link", "2", "--totara", str(mine), *BY)
    assert "no such user" in refused(bridge_command, "link", "2", "--totara", "999", *BY)
    other = world.user("two@b.test")
    assert f"has Totara user {mine} already" in refused(bridge_command, "link", "1", "--totara", str(other), *BY)
    assert "no person 9" in refused(bridge_command, "link", "9", "--totara", "9", *BY)


def test_a_linked_account_is_let_go_and_only_an_operator_links_it_again(world: World, bridge_command: Run) -> None:
    user = world.totara.add_user(MIA)
    theirs, ours = world.course("THEIRS"), world.course("OURS")
    world.totara.enrol(user, theirs)
    for course in (theirs, ours):
        as_guest(world, course)
    done(bridge_command, "link", "1", "--totara", str(user), *BY)
    world.settle()
    assert world.access() == {(MIA, theirs): "active", (MIA, ours): "active"}
    assert "can't be undone" in done(bridge_command, "separate", "1", *BY)
    assert world.access() == {(MIA, theirs): "active", (MIA, ours): "suspended"}
    world.settle()
    assert "left alone" in world.parked()["learner 1"]
    proves(world, 1)
    proves(world, 1, how="shop")
    assert "left alone" in world.parked()["learner 1"]
    assert [row.actor for row in events(world, "account let go")] == ["M. Vella"]
    done(bridge_command, "link", "1", "--totara", str(user), *BY)
    world.settle()
    assert world.access() == {(MIA, theirs): "active", (MIA, ours): "active"}


# --- two persons -----------------------------------------------------------------------------------------------------


def test_an_operator_makes_one_of_a_customer_and_a_guest_and_two_again(world: World, bridge_command: Run) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    as_guest(world, one)
    customer = world.shop.add_customer("mia@work.test", "Mia", "G")
    as_customer(world, customer, two, email="mia@work.test")
    users = (world.user(MIA), world.user("mia@work.test"))
    assert "--keep" in refused(bridge_command, "link", "1", "--person", "2", *BY)
    assert "neither person's" in refused(bridge_command, "link", "1", "--person", "2", "--keep", "2", *BY)
    said = done(bridge_command, "link", "1", "--person", "2", "--keep", str(users[0]), *BY)
    assert "person 1 is person 2" in said  # the customer stays, whoever is named first
    world.settle()
    # The account that was kept was the guest's; access in the other has ended.
    assert world.access() == {(MIA, one): "active", (MIA, two): "active", ("mia@work.test", two): "suspended"}
    assert {row.person_id: row.totara_id for row in world.rows("accounts")} == {1: users[1], 2: users[0]}
    assert world.parked() == {}
    told = bridge_command("explain", "person:1").output
    assert "turned out to be person 2" in told
    assert "was known as person 1 too" in bridge_command("explain", "person:2").output
    order = as_guest(world, world.course("THREE"))
    assert {row.id: row.person_id for row in world.rows("orders")}[order] == 2
    done(bridge_command, "separate", "1", *BY)
    world.settle()
    assert {row.id: row.merged_into for row in world.rows("persons")} == {1: None, 2: None}
    assert world.parked() == {}
    assert {row.person_id for row in world.rows("seats")} == {1, 2}


def test_a_merge_that_was_wrong_is_undone_with_the_account(world: World, bridge_command: Run) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    first = as_guest(world, one)
    customer = world.shop.add_customer(MIA, "Mia", "G")
    second = as_customer(world, customer, two)
    proves(world, 2)
    assert world.access() == {(MIA, one): "active", (MIA, two): "active"}
    assert "can't be undone" in done(bridge_command, "separate", "1", *BY)
    world.settle()
    assert world.access() == {(MIA, one): "active", (MIA, two): "suspended"}
    assert {row.id: row.person_id for row in world.rows("orders")} == {first: 1, second: 2}
    assert [row.person_id for row in world.rows("accounts")] == [1]
    assert "proven" in world.parked()["learner 2"]
    proves(world, 2, how="shop")  # signing in again does not undo what the operator did
    assert {row.merged_into for row in world.rows("persons")} == {None}
    world.look(first, second)
    assert world.access() == {(MIA, one): "active", (MIA, two): "suspended"}
    assert [(row.person_id, row.actor) for row in events(world, "persons separated")] == [
        (1, "M. Vella"), (2, "M. Vella"),
    ]  # fmt: skip
    done(bridge_command, "link", "2", "--person", "1", *BY)
    world.settle()
    assert world.access() == {(MIA, one): "active", (MIA, two): "active"}


def test_a_merge_is_not_undone_over_somebody_who_has_the_address_by_now(world: World, bridge_command: Run) -> None:
    as_guest(world, world.course("ONE"))
    customer = world.shop.add_customer(MIA, "Mia", "G")
    as_customer(world, customer, world.course("TWO"))
    proves(world, 2)
    proves(world, 2, "new@b.test", "shop")
    as_guest(world, world.course("THREE"))  # somebody else, to whom the mailbox was given
    assert "person 3 bought with that guest's address" in refused(bridge_command, "separate", "1", *BY)
    assert {row.id: row.merged_into for row in world.rows("persons")} == {1: 2, 2: None, 3: None}
    assert world.bridge.work.find("learner", "1") is not None
    assert world.bridge.work.find("learner", "1").lease_owner is None  # type: ignore[union-attr]


def test_two_customers_are_made_one_and_orders_of_both_are_the_ones(world: World, bridge_command: Run) -> None:
    one, two, three = (world.course(name) for name in ("ONE", "TWO", "THREE"))
    first, second = (world.shop.add_customer(f"{name}@b.test", "Mia", "B") for name in ("old", "new"))
    as_customer(world, first, one)
    world.totara.add_user("new@b.test")  # so that the second has no account yet
    as_customer(world, second, two)
    done(bridge_command, "link", "1", "--person", "2", *BY)
    world.settle()
    as_customer(world, second, three)
    assert world.access() == {("old@b.test", course): "active" for course in (one, two, three)}
    assert world.parked() == {}
    with world.bridge.store.read() as connection:
        assert [person.id for person in store_people.merged_into(connection, 1)] == [2]


def test_two_who_are_kept_apart_are_asked_about_no_more(world: World, bridge_command: Run) -> None:
    customer = world.shop.add_customer("mia@work.test", "Mia", "G")
    as_customer(world, customer, world.course("ONE"))
    as_guest(world, world.course("TWO"))
    world.shop.change_customer(customer, {"email": MIA})
    proves(world, 1, MIA, "shop")
    (conflict,) = listed(bridge_command)
    assert (conflict["kind"], conflict["persons"]) == ("two accounts", [2])
    assert set(conflict["users"]) == {world.user(MIA), world.user("mia@work.test")}
    done(bridge_command, "separate", "1", *BY)
    world.settle()
    assert world.parked() == {}
    assert listed(bridge_command) == []


def test_there_is_nothing_to_separate_where_nothing_was_linked(world: World, bridge_command: Run) -> None:
    as_guest(world, world.course("ONE"))
    as_customer(world, world.shop.add_customer(MIA, "Mia", "G"), world.course("TWO"))
    assert "neither merged" in refused(bridge_command, "separate", "1", *BY)
    proves(world, 2)
    assert "name the one who was merged into it (1)" in refused(bridge_command, "separate", "2", *BY)
    assert "one already" in refused(bridge_command, "link", "2", "--person", "1", *BY)
    assert "is person 2: link that one" in refused(bridge_command, "link", "1", "--totara", "9", *BY)


@pytest.mark.parametrize(
    "words", [("1",), ("1", "--totara", "4", "--person", "2"), ("1", "--totara", "4", "--keep", "4"), ("x",)]
)
def test_a_link_says_what_is_linked(world: World, bridge_command: Run, words: tuple[str, ...]) -> None:
    assert bridge_command("people", "link", *words).exit_code == 2


# --- show ------------------------------------------------------------------------------------------------------------


def test_somebody_is_shown_as_shop_and_totara_know_them(world: World, bridge_command: Run) -> None:
    customer = world.shop.add_customer(MIA, "Mia", "G")
    as_customer(world, customer, world.course("ONE"))
    number = person_of(world, customer)
    user = world.user(MIA)
    said = done(bridge_command, "show", MIA)
    for words in (
        f"customer {customer} of the shop",
        "has proven no address",
        "the address that we know",
        "made by us",
    ):
        assert words in said, words
    proves(world, number)
    world.shop.change_customer(customer, {"email": "new@b.test"})
    world.totara.users[user].suspended = True
    said = done(bridge_command, "show", str(number))
    for words in ("has proven the address, by link", "the shop has another address", "suspended in Totara"):
        assert words in said, words
    world.shop.delete_customer(customer)
    world.totara.delete_user(world.totara.users[user])
    (shown,) = json.loads(done(bridge_command, "show", f"person:{number}", "--json"))
    assert (shown["customer"], shown["totara_user"], shown["merged_into"]) == (customer, user, None)
    assert "the shop has deleted the customer: access goes on as the orders say" in shown["said"]
    assert "the account was deleted in Totara" in shown["said"]
    assert "nobody like that" in refused(bridge_command, "show", "nobody@b.test")
