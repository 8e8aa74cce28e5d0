"""The operators' commands that tell what is in the ledger, and that have it looked at again. On both databases."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from bridge.kinds import SEAL
from bridge.learners import BRAKED
from bridge.store import models
from bridge.store.db import utc_now
from tests.world import Run, World

MIA = "mia@guest.test"


def look(world: World, *orders: int) -> None:
    """Have these orders looked at."""
    world.owe("order", *orders)
    world.settle()


def bought(world: World, code: str = "ONE", email: str = MIA, quantity: int = 1, **more: Any) -> tuple[int, int]:
    """A course that somebody bought, and the order."""
    course = world.course(code, name=f"Course {code}")
    order = world.shop.place_order([(world.sell(course), quantity)], email=email, **more)
    look(world, order)
    return order, course


# --- explain ---------------------------------------------------------------------------------------------------------


def test_whoever_has_access_is_told_what_pays_for_it(world: World, bridge_command: Run) -> None:
    order, course = bought(world)
    done = bridge_command("explain", " Mia@Guest.test ")
    assert done.exit_code == 0, done.output
    person = world.rows("persons")[0].id
    user = world.totara.user_by_email(MIA)
    assert user is not None
    for said in (
        f"Person {person}",
        f"a guest of the shop, Totara user {user.id}",
        f"course {course} (Course ONE): person {person} has access",
        f"order {order} is processing and pays",
        "line 1, unit 1, of a purchase that pays for 1",
        "without an end",
        f"access ready for Totara user {user.id}",
        f"bridge: seats, order {order}: the order is processing (given 1)",
        f"bridge: access given, person {person}: a seat pays for it",
    ):
        assert said in done.output, said
    assert "@" not in done.output


def test_every_way_to_ask_leads_to_the_same_seat(world: World, bridge_command: Run) -> None:
    order, course = bought(world)
    person = world.rows("persons")[0].id
    seats = []
    for who in (MIA, str(order), f"order:{order}", f"person:{person}"):
        (one,) = json.loads(bridge_command("explain", who, "--json").output)
        assert [event["event"] for event in one["events"]] == ["seats", "access given"]
        seats.append(one["seats"])
    assert seats[1:] == seats[:-1]
    (seat,) = seats[0]
    assert (seat["order"], seat["person"], seat["item"], seat["state"]) == (order, person, f"course {course}", "ready")


@pytest.mark.parametrize(
    ("change", "has", "said"),
    [
        (lambda world, order: world.shop.set_status(order, "cancelled"), "has no access", "the order is cancelled"),
        (lambda world, order: world.shop.trash_order(order), "has no access", "does not pay any more"),
        (lambda world, order: world.shop.set_status(order, "on-hold"), "has access", "paid, and does not now"),
    ],
)
def test_it_is_told_why_access_ended_or_goes_on(
    world: World, bridge_command: Run, change: Callable[[World, int], None], has: str, said: str
) -> None:
    order, course = bought(world)
    change(world, order)
    look(world, order)
    output = bridge_command("explain", MIA).output
    person = world.rows("persons")[0].id
    assert f"course {course} (Course ONE): person {person} {has}\n" in output
    assert said in output


def test_it_is_told_what_access_waits_for(world: World, bridge_command: Run) -> None:
    course = world.course("ONE", enrol_methods=("self",))
    order = world.shop.place_order([(world.sell(course), 1)], email=MIA)
    look(world, order)
    output = bridge_command("explain", str(order)).output
    assert "has no access yet" in output
    assert f"waiting: course {course}: Totara refused" in output
    assert "person 1 needs a person since" in output


def test_a_seat_that_rests_says_why(world: World, bridge_command: Run) -> None:
    order, course = bought(world)
    with world.bridge.store.begin() as connection:
        connection.execute(update(models.purchases).values(held="the payment is in dispute"))
        connection.execute(update(models.orders).values(stands="held", trouble="the payment is in dispute"))
        world.bridge.work.mark(connection, "learner", [1])
    world.settle()
    output = bridge_command("explain", MIA).output
    assert f"course {course} (Course ONE): person 1 has no access while it rests" in output
    assert "access rests: the payment is in dispute" in output
    assert f"order {order} is processing and is in dispute" in output


def test_an_access_that_could_not_be_ended_is_said_to_be_there(world: World, bridge_command: Run) -> None:
    order, course = bought(world)
    world.totara.lacking.add("enrol/manual:enrol")
    world.shop.set_status(order, "cancelled")
    look(world, order)
    assert world.access() == {(MIA, course): "active"}
    output = bridge_command("explain", MIA).output
    assert f"course {course} (Course ONE): person 1 still has access, which could not be ended" in output
    assert "waiting" in [meta["value"] for meta in world.shop.orders[order]["meta_data"] if "access" in meta["key"]]


def test_one_seat_that_is_ready_is_enough(world: World, bridge_command: Run) -> None:
    order, course = bought(world)
    second = world.shop.place_order([(world.shop.orders[order]["line_items"][0]["product_id"], 1)], email=MIA)
    look(world, second)
    world.shop.set_status(order, "cancelled")
    look(world, order)
    output = bridge_command("explain", MIA).output
    assert f"course {course} (Course ONE): person 1 has access\n" in output
    assert "access ended, the order is cancelled" in output


def test_the_buyer_of_open_seats_is_told_so(world: World, bridge_command: Run) -> None:
    order, _ = bought(world, quantity=3)
    output = bridge_command("explain", MIA).output
    assert f"bought order {order}: 3 seats, of which 3 are open" in output
    assert "sits on no seat" in output
    assert "open seats: nobody sits there yet" in bridge_command("explain", str(order)).output


def test_days_and_dates_are_told(make_world: Callable[..., World], bridge_command: Run, world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    world.shop.change_product(product, {"meta_data": [{"key": "bridge_days", "value": "30"}]})
    order = world.shop.place_order([(product, 1)], email=MIA)
    look(world, order)
    (one,) = json.loads(bridge_command("explain", str(order), "--json").output)
    assert one["seats"][0]["days"] == 30
    assert one["seats"][0]["until"] is not None
    assert ", until 20" in bridge_command("explain", str(order)).output


def test_without_totara_courses_are_told_by_their_numbers(world: World, bridge_command: Run) -> None:
    order, course = bought(world)
    world.totara.faults.down()
    done = bridge_command("explain", str(order))
    assert done.exit_code == 0
    assert f"course {course}: person 1 has access" in done.output
    assert "Totara does not answer" in done.output


def test_a_subscription_is_explained_with_its_orders(world: World, bridge_command: Run) -> None:
    world.shop.has_subscriptions = True
    order = world.shop.place_order([(world.sell(world.course("ONE")), 1)], email=MIA)
    subscription = world.shop.subscribe(order)
    look(world, order)
    for who in (f"subscription:{subscription}", str(order), MIA):
        output = bridge_command("explain", who).output
        said = f"subscription {subscription} is active and pays, its newest order is {order}"
        assert said in output, (who, output)
        assert "access ready" in output


@pytest.mark.parametrize("who", ["nobody@guest.test", "999", "order:999", "subscription:999", "person:999"])
def test_whoever_is_not_known_is_said_so(world: World, bridge_command: Run, who: str) -> None:
    done = bridge_command("explain", who)
    assert (done.exit_code, "known" in done.output or "there is no person" in done.output) == (1, True)
    assert "nobody@" not in done.output
    assert bridge_command("explain", who, "--json").exit_code == 1


@pytest.mark.parametrize("who", ["mia", "0", "order:", "person:x", "@"])
def test_what_is_none_of_these_is_a_bad_command_line(world: World, bridge_command: Run, who: str) -> None:
    refused = bridge_command("explain", who)
    assert (refused.exit_code, "give an address, an order's number, subscription 45 or person 7" in refused.output) == (
        2,
        True,
    )


@pytest.mark.parametrize("whose", ["team", "person 4", "abc"])
def test_seats_of_what_has_none_are_told_whose_can_be_listed(world: World, bridge_command: Run, whose: str) -> None:
    refused = bridge_command("seats", "list", *whose.split())
    assert (refused.exit_code, "give an order's number, subscription 45, or team 3" in refused.output) == (2, True)


def test_the_address_that_was_asked_for_is_written_nowhere(
    world: World, bridge_command: Run, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    bought(world)
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        for who in (MIA, "nobody@guest.test"):
            bridge_command("explain", who, BRIDGE_LOG_LEVEL="debug")
    told = capsys.readouterr()
    assert "@guest.test" not in caplog.text + told.out + told.err
    assert not [row for name in ("audit", "notes", "work") for row in world.rows(name) if "@guest.test" in str(row)]


# --- the audit log ---------------------------------------------------------------------------------------------------


def test_the_log_is_verified_and_its_newest_hash_is_kept_elsewhere(world: World, bridge_command: Run) -> None:
    order, _ = bought(world)
    world.owe(SEAL, "all")
    world.settle()
    first = json.loads(bridge_command("audit", "verify", "--json").output)
    assert (first["ok"], first["sealed"], first["unsealed"]) == (True, 2, 0)
    world.shop.set_status(order, "cancelled")
    look(world, order)
    done = bridge_command("audit", "verify", "--head", first["head"])
    assert (done.exit_code, "2 entries are sealed, 2 are not yet" in done.output) == (0, True)
    assert f"newest hash: {first['head']}" in done.output
    none = bridge_command("audit", "verify", "--head", "9f2c…")
    assert (none.exit_code, "64 signs" in none.stderr) == (2, True), "what is no hash tells nothing of the log"
    lost = bridge_command("audit", "verify", "--head", "0" * 63 + "1")
    assert (lost.exit_code, "the end was cut off" in lost.output) == (1, True)


def test_an_entry_that_somebody_altered_is_found(world: World, bridge_command: Run) -> None:
    bought(world)
    world.owe(SEAL, "all")
    world.settle()
    with world.bridge.store.begin() as connection:
        if world.bridge.store.is_sqlite:
            triggers = [
                row[0] for row in connection.execute(text("SELECT name FROM sqlite_master WHERE type='trigger'"))
            ]
            for name in triggers:
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(update(models.audit).where(models.audit.c.id == 1).values(cause="nothing"))
    done = bridge_command("audit", "verify")
    assert (done.exit_code, "entry 1 is not what was sealed as number 1" in done.output) == (1, True)


def test_what_happened_is_shown_for_each_thing_and_from_a_moment_on(world: World, bridge_command: Run) -> None:
    order, _ = bought(world)
    other, _ = bought(world, "TWO", "bob@guest.test")
    shown = bridge_command("audit", "show", "--order", str(order)).output
    assert shown.count("\n") == 1
    assert f"order {order}: the order is processing (given 1)" in shown
    events = json.loads(bridge_command("audit", "show", "--order", str(other), "--person", "2", "--json").output)
    assert [event["event"] for event in events] == ["seats", "access given"]
    assert bridge_command("audit", "show").output.count("\n") == 4
    assert bridge_command("audit", "show", "--since", "2100-01-01").output == "There are no such entries.\n"
    assert json.loads(bridge_command("audit", "show", "--subscription", "9", "--json").output) == []


def test_a_long_log_is_walked_to_its_end(world: World, bridge_command: Run) -> None:
    now = utc_now()
    row = {"at": now, "actor": "bridge", "event": "seats", "cause": "x", "facts": {}}
    with world.bridge.store.begin() as connection:
        connection.execute(models.audit.insert(), [row] * 2001)
    world.owe(SEAL, "all")
    world.settle()
    assert json.loads(bridge_command("audit", "verify", "--json").output)["sealed"] == 2001
    assert bridge_command("audit", "show").output.count("\n") == 2001


# --- looking again ---------------------------------------------------------------------------------------------------


def test_a_subscription_is_looked_at_again_by_its_number(world: World, bridge_command: Run) -> None:
    world.shop.has_subscriptions = True
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email=MIA)
    subscription = world.shop.subscribe(order)
    look(world, order)
    assert world.access() == {(MIA, course): "active"}
    world.totara.enrolments.clear()
    done = bridge_command("resync", "--subscription", str(subscription))
    assert done.output == "1 subscriptions and 1 learners are due\n"
    world.settle()
    assert world.access() == {(MIA, course): "active"}
    assert bridge_command("resync", "--subscription", "1", "--since", "2026-01-01").exit_code == 2


def notes_of(world: World, order: int) -> list[str]:
    return [note["note"] for note in world.shop.notes[order] if "[bridge " in note["note"]]


def meta_of(world: World, order: int) -> dict[str, str]:
    return {m["key"]: m["value"] for m in world.shop.orders[order]["meta_data"] if m["key"].startswith("_bridge")}


def test_a_resync_mends_the_orders_meta_and_writes_no_second_note(world: World, bridge_command: Run) -> None:
    order, _ = bought(world)
    right, before = meta_of(world, order), notes_of(world, order)
    for meta in world.shop.orders[order]["meta_data"]:
        meta["value"] = "something else"
    look(world, order)
    assert meta_of(world, order) != right, "an ordinary look believes what was written"
    assert bridge_command("resync", str(order)).exit_code == 0
    world.settle()
    assert meta_of(world, order) == right
    assert notes_of(world, order) == before


def test_a_resync_writes_a_note_that_somebody_deleted_once(world: World, bridge_command: Run) -> None:
    order, _ = bought(world)
    before = notes_of(world, order)
    world.shop.notes[order].clear()
    for _ in range(2):
        assert bridge_command("resync", str(order)).exit_code == 0
        world.settle()
    assert notes_of(world, order) == before


def test_a_resync_writes_the_note_again_where_the_newest_says_something_else(world: World, bridge_command: Run) -> None:
    order, _ = bought(world)
    for status in ("cancelled", "processing"):
        world.shop.set_status(order, status)
        look(world, order)
    assert len(notes_of(world, order)) == 3
    kept = [note for note in world.shop.notes[order] if "access ready" not in note["note"]]
    world.shop.notes[order][:] = kept
    assert bridge_command("resync", str(order)).exit_code == 0
    world.settle()
    assert ["access ready" in note for note in notes_of(world, order)] == [False, True]


def test_a_resync_of_what_is_right_writes_nothing_to_the_shop(world: World, bridge_command: Run) -> None:
    order, _ = bought(world)
    before = world.shop.orders[order]["date_modified_gmt"], json.dumps(world.shop.notes[order])
    world.shop.orders[order]["date_modified_gmt"] = "2020-01-01T00:00:00"
    assert bridge_command("resync", str(order)).exit_code == 0
    world.settle()
    assert world.shop.orders[order]["date_modified_gmt"] == "2020-01-01T00:00:00"
    assert json.dumps(world.shop.notes[order]) == before[1]


def test_a_note_that_was_cut_off_after_a_resync_is_not_written_twice(world: World, bridge_command: Run) -> None:
    order, _ = bought(world)
    world.shop.notes[order].clear()
    world.shop.faults.cut(f"POST /wp-json/wc/v3/orders/{order}/notes", times=1)
    assert bridge_command("resync", str(order)).exit_code == 0
    world.settle()
    world.pass_time()
    world.settle()
    assert len(notes_of(world, order)) == 1


def test_what_nothing_tells_of_is_found_when_asked_for(world: World, bridge_command: Run) -> None:
    order, course = bought(world)
    bought(world, "TWO", "bob@guest.test")
    world.shop.delete_order(order)
    assert bridge_command("reconcile").output == "1 orders, subscriptions and learners are due\n"
    world.settle()
    assert world.access()[MIA, course] == "suspended"
    assert bridge_command("reconcile").output == "0 orders, subscriptions and learners are due\n"
    assert world.bridge.work.take("reconcile", "all") is not None
    assert bridge_command("reconcile").exit_code == 1


# --- status and seats ------------------------------------------------------------------------------------------------


def test_status_counts_subscriptions_and_seats_that_rest_or_wait(world: World, bridge_command: Run) -> None:
    world.shop.has_subscriptions = True
    order, _ = bought(world)
    world.shop.subscribe(world.shop.place_order([(world.sell(world.course("S")), 1)], email="sam@guest.test"))
    look(world, *world.shop.orders)
    closed = world.course("TWO", enrol_methods=("self",))
    look(world, world.shop.place_order([(world.sell(closed), 1)], email="bob@guest.test"))
    rests, _ = bought(world, "THREE", "cyd@guest.test")
    with world.bridge.store.begin() as connection:
        mine = models.purchases.c.order_id == rests
        connection.execute(update(models.purchases).where(mine).values(held="in dispute"))
    totals = json.loads(bridge_command("status", "--json").output)["ledger"]
    assert {name: totals[name] for name in ("orders", "subscriptions", "seats", "held", "waiting")} == {
        "orders": 4,
        "subscriptions": 1,
        "seats": 4,
        "held": 1,
        "waiting": 1,
    }
    with world.bridge.store.begin() as connection:  # what begins later, or is over, waits for nothing
        later = utc_now() + timedelta(days=1)
        connection.execute(update(models.purchases).where(models.purchases.c.held.is_(None)).values(starts=later))
    assert json.loads(bridge_command("status", "--json").output)["ledger"]["waiting"] == 0
    assert "subscriptions" in bridge_command("status").output
    assert order


def test_the_seats_of_an_order_are_listed(world: World, bridge_command: Run) -> None:
    order, course = bought(world, quantity=2)
    listed = bridge_command("seats", "list", str(order)).output
    assert f"course {course}, pays for 2" in listed
    assert listed.count("open seat") == 2
    unknown = bridge_command("seats", "list", "999")
    assert (unknown.exit_code, "order 999 is not known" in unknown.output) == (1, True)
    assert bridge_command("seats", "list", "mia").exit_code == 2


@pytest.mark.parametrize("how", ["number", "since"])
def test_what_staff_set_late_is_given_to_those_who_bought_before_only_when_an_operator_says_so(
    world: World, bridge_command: Run, how: str
) -> None:
    course = world.course("LATE")
    world.sell(course)
    product = world.shop.add_product("Course or book", price="9.00")
    order = world.shop.place_order([(product, 1)], email="mia@guest.test")
    world.look(order)
    fields = [{"key": "bridge_gives", "value": f"course:{course}"}]
    world.shop.edit_product(product, meta_data=fields)
    world.restart()
    bridge_command("resync", str(order))
    world.look(order)
    assert world.access() == {}
    named = [str(order)] if how == "number" else ["--since", "2020-01-01"]
    assert bridge_command("resync", *named, "--gave-nothing").exit_code == 0
    world.settle()
    assert world.access() == {("mia@guest.test", course): "active"}


@pytest.mark.parametrize("words", [("{}",), ("order", "{}"), ("order:{}",)])
def test_an_order_is_named_in_either_form_whatever_the_command(
    world: World, bridge_command: Run, words: tuple[str, ...]
) -> None:
    order, _ = bought(world, quantity=2)
    named = [word.format(order) for word in words]
    assert "pays for 2" in bridge_command("seats", "list", *named).output
    decided = bridge_command("seats", "decide", *named, "--end", "1", "--yes")
    assert f"seat 1 of order {order}" in decided.output
    assert str(order) in bridge_command("explain", *named).output
    for command in (["seats", "list"], ["seats", "decide", "--end", "1"], ["explain"]):
        for form in (["subscription", "45"], ["subscription:45"]):
            assert "subscription 45 is not known" in bridge_command(*command, *form).output


@pytest.mark.parametrize(
    "words",
    [
        "seats decide order {} --end 1",
        "seats decide order 1 --end {}",
        "seats list {}",
        "resync {}",
        "resync --subscription {}",
        "audit show --order {}",
        "explain person:{}",
        "catalogue handback {}",
        "people link {} --person 1",
        "people link 1 --person {}",
        "people link 1 --person 2 --keep {}",
        "people separate {}",
    ],
)
def test_a_number_that_no_database_could_keep_is_refused_in_words(bridge_command: Run, words: str) -> None:
    refused = bridge_command(*words.format("9" * 23).split())
    assert (refused.exit_code, "Usage:" in refused.output) == (2, True)


def test_the_brake_is_only_released_for_those_whom_it_holds(world: World, bridge_command: Run) -> None:
    bought(world)
    claim = world.bridge.work.take("learner", "1")
    assert claim is not None
    world.bridge.work.park(claim, "something else")
    assert "0 learners are due" in bridge_command("brake", "release").output
    claim = world.bridge.work.take("learner", "1")
    assert claim is not None
    world.bridge.work.park(claim, f"something else; {BRAKED}")
    assert "1 learners are due" in bridge_command("brake", "release").output
