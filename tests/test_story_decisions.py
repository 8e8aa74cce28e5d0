"""Stories: fewer seats are paid for than are in use, and a person says which go. On both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from bridge.store import models
from bridge.store.db import utc_now
from tests.world import Run, World

PEOPLE = ("ann@guest.test", "bob@guest.test", "cyd@guest.test")


def give_to(world: World, course: int, *people: str) -> int:
    """An order whose seats all have somebody who began to learn."""
    line = {"product_id": world.sell(course), "quantity": len(people), "meta": {"_bridge_gift_to": ", ".join(people)}}
    order = world.shop.place_order([line], email="boss@company.test")
    look(world, order)
    for user in world.totara.users.values():
        user.lastaccess = int(world.clock())
    return order


def look(world: World, *orders: int) -> None:
    """Have these orders looked at."""
    world.owe("order", *orders)
    world.settle()


def refund(world: World, order: int, units: int) -> int:
    """Give back so many units of the order's first line, and look at it."""
    (line, *_) = world.shop.orders[order]["line_items"]
    made = world.shop.refund(order, lines={line["id"]: units})
    look(world, order)
    return made


def seat_of(world: World, email: str) -> int:
    """The seat on which somebody with this address sits."""
    (person,) = (row.id for row in world.rows("persons") if row.email == email)
    (seat,) = (row.id for row in world.rows("seats") if row.person_id == person)
    return int(seat)


def active(world: World) -> set[str]:
    """Who is in."""
    return {email for (email, _), state in world.access().items() if state == "active"}


@pytest.fixture
def order(world: World) -> int:
    """Three seats in use, of which one was given back."""
    order = give_to(world, world.course("ONE"), *PEOPLE)
    refund(world, order, 1)
    return order


def test_a_refund_of_a_seat_in_use_waits_for_a_person_who_is_told_how_to_decide(
    world: World, order: int, bridge_command: Run
) -> None:
    assert active(world) == set(PEOPLE)
    reason = world.parked()[f"order {order}"]
    assert f"`bridge seats decide order {order} --end SEAT`" in reason
    shown = bridge_command("parked", "show", "order", str(order)).output
    assert "1 of these have to go" in shown
    (choice,) = json.loads(bridge_command("parked", "show", "order", str(order), "--json").output)["choices"]
    assert (choice["pays_for"], choice["to_go"], len(choice["seats"])) == (2, 1, 3)
    assert {seat["state"] for seat in choice["seats"]} == {"ready"}
    assert "@" not in shown


def test_the_seat_that_a_person_names_goes_and_the_others_stay(world: World, order: int, bridge_command: Run) -> None:
    bob = seat_of(world, "bob@guest.test")
    told = ("--yes", "--by", "M. Vella", "--why", "ticket 88")
    done = bridge_command("seats", "decide", "order", str(order), "--end", str(bob), *told)
    assert (done.exit_code, "decided" in done.output) == (0, True)
    world.settle()
    assert active(world) == {"ann@guest.test", "cyd@guest.test"}
    assert world.parked() == {}
    (entry,) = [row for row in world.rows("audit") if row.event == "seats decided"]
    assert (entry.actor, entry.cause, entry.order_id, entry.facts["seats"]) == ("M. Vella", "ticket 88", order, [bob])
    note = world.shop.notes[order][-1]["note"]
    assert "1 × access ended, as an operator decided" in note
    assert "2 × access ready" not in note  # each has a Totara user of their own
    look(world, order)
    assert active(world) == {"ann@guest.test", "cyd@guest.test"}


def test_nothing_is_ended_before_the_operator_has_said_yes(world: World, order: int, bridge_command: Run) -> None:
    bob = seat_of(world, "bob@guest.test")
    asked = bridge_command("seats", "decide", "order", str(order), "--end", str(bob))  # nobody answers
    assert (asked.exit_code, f"seat {bob} ends" in asked.output) == (1, True)
    world.settle()
    assert active(world) == set(PEOPLE)
    assert f"order {order}" in world.parked()


def test_a_decision_outlives_an_order_that_is_cancelled_and_paid_again(
    world: World, order: int, bridge_command: Run
) -> None:
    ann = seat_of(world, "ann@guest.test")
    assert bridge_command("seats", "decide", "order", str(order), "--end", str(ann), "--yes").exit_code == 0
    world.settle()
    for status in ("cancelled", "processing"):
        world.shop.set_status(order, status)
        look(world, order)
    assert active(world) == {"bob@guest.test", "cyd@guest.test"}


def test_a_refund_that_is_taken_back_gives_the_seat_back_to_whoever_sat_there(
    world: World, bridge_command: Run
) -> None:
    order = give_to(world, world.course("ONE"), *PEOPLE)
    made = refund(world, order, 1)
    ann = seat_of(world, "ann@guest.test")
    assert bridge_command("seats", "decide", "order", str(order), "--end", str(ann), "--yes").exit_code == 0
    world.settle()
    world.shop.delete_refund(order, made)
    assert bridge_command("reconcile").output == "1 orders, subscriptions and learners are due\n"
    world.settle()
    assert active(world) == set(PEOPLE)


def test_seats_that_are_paid_for_are_refused_with_clear_words(world: World, order: int, bridge_command: Run) -> None:
    ends = [word for email in PEOPLE for word in ("--end", str(seat_of(world, email)))]
    done = bridge_command("seats", "decide", "order", str(order), *ends, "--yes")
    assert done.exit_code == 1
    assert "1 of these have to go; still paid for: seat" in done.output
    assert "Nothing was changed" in done.output
    world.settle()
    assert active(world) == set(PEOPLE)
    assert f"order {order}" in world.parked()
    assert not [row for row in world.rows("audit") if row.actor != "bridge"]


def test_anyway_ends_access_to_a_paid_seat_and_no_look_gives_it_back(
    world: World, order: int, bridge_command: Run
) -> None:
    ends = [word for email in PEOPLE[:2] for word in ("--end", str(seat_of(world, email)))]
    assert bridge_command("seats", "decide", "order", str(order), *ends, "--anyway", "--yes").exit_code == 0
    world.settle()
    assert active(world) == {"cyd@guest.test"}
    assert bridge_command("resync", str(order)).exit_code == 0
    world.settle()
    assert active(world) == {"cyd@guest.test"}
    assert world.parked() == {}
    (entry,) = [row for row in world.rows("audit") if row.event == "seats decided"]
    assert [len(entry.facts[name]) for name in ("seats", "cut_short")] == [1, 1]


@pytest.mark.parametrize(
    ("kind", "number", "seat", "said"),
    [
        ("order", 0, 9999, "is no seat of order"),
        ("order", 999_999, 1, "order 999999 is not known"),
        ("subscription", 999_999, 1, "subscription 999999 is not known"),
    ],
)
def test_what_is_not_there_can_not_be_decided(
    world: World, order: int, bridge_command: Run, kind: str, number: int, seat: int, said: str
) -> None:
    before = len(world.rows("work"))
    done = bridge_command("seats", "decide", kind, str(number or order), "--end", str(seat), "--yes")
    assert (done.exit_code, said in done.output) == (1, True)
    assert len(world.rows("work")) == before


def test_a_seat_that_ended_can_not_be_ended_again_nor_one_of_another_order(
    world: World, order: int, bridge_command: Run
) -> None:
    bob = str(seat_of(world, "bob@guest.test"))
    assert bridge_command("seats", "decide", "order", str(order), "--end", bob, "--yes").exit_code == 0
    world.settle()
    again = bridge_command("seats", "decide", "order", str(order), "--end", bob, "--yes", "--anyway")
    assert (again.exit_code, "ended before" in again.output) == (1, True)
    other = give_to(world, world.course("TWO"), "dan@guest.test")
    stranger = bridge_command("seats", "decide", "order", str(other), "--end", bob, "--yes", "--anyway")
    assert (stranger.exit_code, "is no seat of" in stranger.output) == (1, True)


def test_a_decision_waits_while_a_worker_looks_at_the_order(world: World, order: int, bridge_command: Run) -> None:
    assert world.bridge.work.take("order", str(order)) is not None
    done = bridge_command("seats", "decide", "order", str(order), "--end", str(seat_of(world, PEOPLE[0])), "--yes")
    assert (done.exit_code, "busy" in done.output) == (1, True)
    assert active(world) == set(PEOPLE)


def test_a_cause_with_an_address_is_refused(world: World, order: int, bridge_command: Run) -> None:
    end = ("--end", str(seat_of(world, PEOPLE[0])))
    done = bridge_command("seats", "decide", "order", str(order), *end, "--yes", "--why", "ann@guest.test asked")
    assert (done.exit_code, "no addresses" in done.output) == (2, True)
    assert active(world) == set(PEOPLE)


def test_the_seats_of_a_subscription_are_decided_like_those_of_an_order(world: World, bridge_command: Run) -> None:
    subscription, _ = subscribed(world, 2)
    world.shop.edit_subscription_line(subscription, world.shop.subscriptions[subscription]["line_items"][0]["id"], 1)
    world.owe("subscription", subscription)
    world.settle()
    assert f"subscription {subscription}" in world.parked()
    listed = json.loads(bridge_command("seats", "list", f"subscription:{subscription}", "--json").output)
    assert listed["purchases"][0]["to_go"] == 1
    ann = str(seat_of(world, "ann@guest.test"))
    assert bridge_command("seats", "decide", "subscription", str(subscription), "--end", ann, "--yes").exit_code == 0
    world.settle()
    assert active(world) == {"bob@guest.test"}
    assert world.parked() == {}


def test_two_lines_of_one_product_of_a_subscription_pay_for_the_seats_of_both(
    world: World, bridge_command: Run
) -> None:
    subscription, _ = subscribed(world, 2)
    ((product, _),) = (
        (line["product_id"], line["id"]) for line in world.shop.subscriptions[subscription]["line_items"]
    )
    world.shop.add_subscription_line(subscription, (product, 2))
    world.owe("subscription", subscription)
    world.settle()
    listed = json.loads(bridge_command("seats", "list", f"subscription:{subscription}", "--json").output)
    assert [(one["pays_for"], one["to_go"], len(one["seats"])) for one in listed["purchases"]] == [(4, 0, 4)]


def subscribed(world: World, quantity: int) -> tuple[int, int]:
    """An active subscription with people on its first seats, who began to learn; and its first order."""
    world.shop.has_subscriptions = True
    course = world.course("ONE")
    product = world.sell(course)
    order = world.shop.place_order([(product, quantity)], email="boss@company.test")
    subscription = world.shop.subscribe(order)
    world.owe("order", order)
    world.settle()
    # People get seats of a subscription by being given them; whoever gives writes so.
    with world.bridge.store.begin() as connection:
        for n, email in enumerate(PEOPLE[:quantity], start=1):
            row = {"key": f"key{n}", "guest_email": email, "email": email, "first_name": "A", "last_name": "B"}
            made = connection.execute(
                models.persons.insert().values(created_at=utc_now(), **row).returning(models.persons.c.id)
            ).scalar_one()
            connection.execute(
                update(models.seats).where(models.seats.c.unit == n).values(person_id=made, role="assigned")
            )
            world.bridge.work.mark(connection, "learner", [made])
    world.settle()
    for user in world.totara.users.values():
        user.lastaccess = int(world.clock())
    assert active(world) == set(PEOPLE[:quantity])
    return subscription, order


# --- the brake -------------------------------------------------------------------------------------------------------


def test_access_kept_by_the_brake_ends_once_a_person_lets_it(world: World, bridge_command: Run) -> None:
    world.bridge.settings.orders.__dict__.update(brake_count=1, brake_share=0.1)
    few = {"BRIDGE_ORDERS_BRAKE_COUNT": "1"}
    order = give_to(world, world.course("ONE"), *PEOPLE)
    world.shop.set_status(order, "cancelled")
    look(world, order)
    held = json.loads(bridge_command("brake", "status", "--json", **few).output)
    assert (len(held["learners"]), held["released_until"], held["count"]) == (2, None, 1)
    assert len(active(world)) == 2
    assert "holds 2 learners" in bridge_command("brake", "status", **few).output
    done = bridge_command("brake", "release", "--for", "30", "--by", "M. Vella", "--why", "the contract ended")
    assert "2 learners are due" in done.output
    world.settle()
    assert active(world) == set()
    assert world.parked() == {}
    entry = next(row for row in world.rows("audit") if row.event == "brake released" and row.person_id is None)
    assert (entry.actor, entry.cause) == ("M. Vella", "the contract ended")
    until = datetime.fromisoformat(json.loads(bridge_command("brake", "status", "--json").output)["released_until"])
    assert timedelta(minutes=29) < until - datetime.now(UTC) <= timedelta(minutes=30)


def test_a_release_runs_out(world: World, bridge_command: Run) -> None:
    assert bridge_command("brake", "release", "--for", "1").exit_code == 0
    with world.bridge.store.begin() as connection:
        past = (utc_now() - timedelta(minutes=1)).isoformat()
        connection.execute(update(models.notes).where(models.notes.c.name == "brake").values(value=past))
    assert "holds nobody" in bridge_command("brake", "status").output
    assert "released" not in bridge_command("brake", "status").output
    assert bridge_command("brake", "release", "--for", "0").exit_code == 2
