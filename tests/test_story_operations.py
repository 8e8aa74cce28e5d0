"""Stories: operators see what happens, and repair it with one command. On both databases."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from bridge.cli import main
from bridge.commands.common import out
from bridge.commands.shop import install_webhooks
from bridge.kinds import ALL, SWEEP, WATCH
from bridge.sandbox.server import Served
from bridge.sandbox.town import free_port
from bridge.sync_jobs import TOPICS
from tests.world import SECRET, Run, World, environment


def test_check_says_what_is_missing_and_then_that_all_is_there(world: World, bridge_command: Run) -> None:
    world.course("ONE")
    first = bridge_command("check", "--json")
    assert first.exit_code == 1
    said = [f["said"] for f in json.loads(first.output)["findings"] if f["level"] == "problem"]
    assert [what for what in said if "not registered" in what] == [f"{topic} is not registered" for topic in TOPICS]
    assert bridge_command("webhooks", "install").exit_code == 0
    assert bridge_command("catalogue", "apply").exit_code == 0
    second = bridge_command("check", "--json")
    assert json.loads(second.output)["ok"], second.output
    assert second.exit_code == 0


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"BRIDGE_TOTARA_WS_TOKEN": "wrong"}, "token is not valid"),
        ({"BRIDGE_TOTARA_CLIENT_SECRET": "wrong"}, "no access token"),
        ({"BRIDGE_TOTARA_TENANT": "nosuch"}, "nosuch does not exist"),
        ({"BRIDGE_SHOP_CONSUMER_SECRET": "wrong"}, "REST key"),
        ({"BRIDGE_SHOP_URL": "http://127.0.0.1:9"}, "did not answer"),
        ({"BRIDGE_CATALOGUE_DENY": '[{"category": "Nowhere"}]'}, "Nowhere"),
        (
            {
                "BRIDGE_MAIL_HOST": "127.0.0.1",
                "BRIDGE_MAIL_PORT": "9",
                "BRIDGE_MAIL_FROM_ADDRESS": "learning@example.org",
            },
            "the mail server can't be used",
        ),
        ({"BRIDGE_MAIL_TEMPLATES": "nowhere"}, "mail.templates names no folder"),
        ({"BRIDGE_MAIL_LANGUAGE": "de"}, "not all templates in the language de"),
    ],
)
def test_check_finds_each_thing_that_is_wrong(bridge_command: Run, broken: dict[str, str], said: str) -> None:
    done = bridge_command("check", "--json", **broken)
    problems = [f for f in json.loads(done.output)["findings"] if f["level"] == "problem"]
    assert any(said in problem["said"] for problem in problems), problems
    assert all(problem["mend"] for problem in problems)
    assert done.exit_code == 1


def test_webhooks_are_installed_once_and_their_secret_verifies(world: World, bridge_command: Run) -> None:
    assert bridge_command("webhooks", "install").exit_code == 0
    assert bridge_command("webhooks", "install").exit_code == 0
    assert sorted(hook["topic"] for hook in world.shop.webhooks.values()) == sorted(TOPICS)
    assert set(world.shop.hooks.secrets.values()) == {SECRET}
    assert SECRET not in bridge_command("webhooks", "list").output


def test_without_a_configured_secret_the_bridge_makes_one_and_rotates_it(make_world: Callable[..., World]) -> None:
    world = make_world(shop={"webhook_secrets": []})
    with Served(world.bridge.web()) as served:
        world.bridge.settings.server.__dict__["public_url"] = served.url
        install_webhooks(world.bridge)
        (old,) = set(world.shop.hooks.secrets.values())
        world.shop.place_order([(world.sell(world.course("ONE")), 1)], email="a@guest.test")
        world.shop.deliver()
        assert {d["status"] for d in world.shop.deliveries} == {200}
        install_webhooks(world.bridge, rotate=True)
        (new,) = set(world.shop.hooks.secrets.values())
        assert new != old
        assert world.bridge.kept_secrets() == [new, old]


def test_a_webhook_that_the_shop_disabled_is_woken_and_what_was_missed_is_found(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    world.owe(SWEEP, ALL)
    world.settle()
    install_webhooks(world.bridge)  # at an address where nobody listens
    for n in range(8):
        world.shop.place_order([(product, 1)], email=f"g{n}@guest.test")
        world.shop.deliver()
    assert "disabled" in {hook["status"] for hook in world.shop.webhooks.values()}
    world.owe(WATCH, ALL)
    world.settle()
    assert {hook["status"] for hook in world.shop.webhooks.values()} == {"active"}
    assert len(world.access()) == 8


def test_a_webhook_that_lost_its_topic_has_it_again(make_world: Callable[..., World]) -> None:
    """A delivery while WooCommerce Subscriptions is away leaves a webhook of its topics without any (measured)."""
    world = make_world(subscriptions=True)
    install_webhooks(world.bridge)
    before = {number: hook["topic"] for number, hook in world.shop.webhooks.items()}
    lost = next(number for number, topic in before.items() if topic == "subscription.updated")
    world.shop.webhooks[lost]["topic"] = ""
    world.shop.has_subscriptions = False
    world.owe(WATCH, ALL)
    world.settle()
    assert world.shop.webhooks[lost]["topic"] == "", "it can't be said while the plugin is away"
    world.shop.has_subscriptions = True
    world.owe(WATCH, ALL)
    world.settle()
    assert {number: hook["topic"] for number, hook in world.shop.webhooks.items()} == before
    assert world.web.get("/readyz").status_code == 200


def test_readyz_says_whether_an_order_would_get_through(world: World) -> None:
    assert world.web.get("/healthz").status_code == 200
    answer = world.web.get("/readyz")
    assert answer.status_code == 503
    assert "no worker" in answer.json["problems"][0]  # type: ignore[index]
    install_webhooks(world.bridge)
    world.settle()
    assert world.web.get("/readyz").json == {"ready": True, "problems": []}
    world.totara.faults.down()
    world.owe(WATCH, ALL)
    world.settle()
    answer = world.web.get("/readyz")
    assert answer.status_code == 503
    assert "totara" in answer.json["problems"][0]  # type: ignore[index]


def test_metrics_count_and_name_nobody(world: World) -> None:
    world.owe("order", world.shop.place_order([(world.sell(world.course("ONE")), 1)], email="who@guest.test"))
    world.settle()
    text = world.web.get("/metrics").text
    assert 'bridge_work_total{kind="order",outcome="settled"}' in text
    assert 'bridge_work_due{kind="order"} 0.0' in text
    assert "who@" not in text


def test_what_is_parked_is_listed_shown_retried_and_dropped(world: World, bridge_command: Run) -> None:
    course = world.course("ONE", enrol_methods=("self",))
    order = world.shop.place_order([(world.sell(course), 1)], email="a@guest.test")
    world.owe("order", order)
    world.settle()
    assert "manual enrolment" in bridge_command("parked", "list").output
    shown = json.loads(bridge_command("parked", "show", "learner", "1", "--json").output)
    assert shown["orders"] == [order]
    told = bridge_command("parked", "show", "learner", "1").output.splitlines()
    assert f"since: {shown['since'][:16].replace('T', ' ')} UTC" in told and "being retried: no" in told, told
    assert f"reason: {shown['reason']}" in told, "in one line, to be searched for"
    world.totara.edit_course(course, enrol_methods=("manual",))
    assert bridge_command("parked", "retry", "--all").output == "1 due again\n"
    world.settle()
    assert world.access() == {("a@guest.test", course): "active"}
    assert json.loads(bridge_command("parked", "list", "--json").output) == []
    assert bridge_command("parked", "show", "learner", "1").exit_code == 1
    world.owe("order", world.shop.place_order([(world.sell(world.course("B")), 1)], email="bad"))
    world.settle()
    (item,) = json.loads(bridge_command("parked", "list", "--json").output)
    assert bridge_command("parked", "drop", item["kind"], item["key"], "--yes").exit_code == 0
    assert world.parked() == {}


def test_resync_by_number_and_by_date(world: World, bridge_command: Run) -> None:
    course = world.course("ONE")
    order = world.shop.place_order([(world.sell(course), 1)], email="a@guest.test")
    assert "1 orders" in bridge_command("resync", str(order)).output
    world.settle()
    assert world.access() == {("a@guest.test", course): "active"}
    world.totara.enrolments.clear()
    assert "1 orders" in bridge_command("resync", "--since", "2020-01-01").output
    world.settle()
    assert world.access() == {("a@guest.test", course): "active"}
    assert bridge_command("resync").exit_code == 2
    assert bridge_command("resync", "0").exit_code == 2


def test_resync_of_a_whole_shop_owes_no_note_to_orders_that_nobody_has_looked_at(world: World) -> None:
    product = world.sell(world.course("ONE"))
    orders = [world.shop.place_order([(product, 1)], email=f"{n}@b.test") for n in range(3)]
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    world.bridge.jobs.sweep(long_ago)
    assert world.settle() == 9, "an order, a learner and a note, for each of the three"
    assert all("access ready" in world.told(order) for order in orders)
    # A note that the staff deleted is written again, by the same command.
    world.shop.notes[orders[0]].clear()
    world.bridge.jobs.sweep(long_ago)
    world.settle()
    assert "access ready" in world.told(orders[0])


def test_status_in_words_and_for_machines(world: World, bridge_command: Run) -> None:
    world.owe("order", 1)
    said = json.loads(bridge_command("status", "--json").output)
    assert said["work"]["order"]["due"] == 1
    assert not said["ready"]
    assert "not ready" in bridge_command("status").output


def test_the_catalogue_is_planned_and_the_named_plan_applied(world: World, bridge_command: Run) -> None:
    world.course("ONE")
    plan = json.loads(bridge_command("catalogue", "plan", "--json").output)
    assert [change["action"] for change in plan["changes"]] == ["create"]
    assert world.shop.products == {}
    assert "Course ONE" in bridge_command("catalogue", "plan").output
    other = bridge_command("catalogue", "apply", "--plan", "000000000000")
    assert other.exit_code == 1
    assert world.shop.products == {}
    assert bridge_command("catalogue", "apply", "--plan", plan["plan"]).exit_code == 0
    assert len(world.shop.products) == 1
    assert "Nothing to change" in bridge_command("catalogue", "plan").output
    assert bridge_command("catalogue", "handback", "2").output == "nothing was held by the shop\n"


def test_the_plan_shows_names_prices_and_what_the_staff_hold_with_both_values(
    world: World, bridge_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "width", 160)  # else long names are broken into lines
    course = world.course("ONE", name="The first course")
    planned = bridge_command("catalogue", "plan").output
    assert "The first course" in planned
    assert "100.00" in planned
    assert "Held by" not in planned
    assert bridge_command("catalogue", "apply").exit_code == 0
    world.shop.edit_product(world.product(course)["id"], regular_price="77.00")
    raised = {"BRIDGE_CATALOGUE_PRICES": '[{"shortname": "*", "price": "120.00"}]'}
    for _ in range(2):  # when it is noticed, and whenever it is known
        told = json.loads(bridge_command("catalogue", "plan", "--json", **raised).output)
        (held,) = told["held"]
        assert (held["name"], held["field"]) == ("The first course", "regular_price")
        assert (held["ours"], held["theirs"]) == ("120.00", "77.00")
    shown = bridge_command("catalogue", "plan", **raised).output
    (line,) = [line for line in shown.splitlines() if "77.00" in line]
    assert "120.00" in line
    assert "handback" in shown


def test_a_command_waits_its_turn_while_a_worker_is_at_the_catalogue(world: World, bridge_command: Run) -> None:
    assert world.bridge.work.take("catalogue", ALL) is not None
    done = bridge_command("catalogue", "apply")
    assert done.exit_code == 1
    assert "busy" in done.output


def test_a_database_without_tables_is_said_plainly(bridge_command: Run, tmp_path: Path) -> None:
    done = bridge_command("status", BRIDGE_DATABASE_URL=f"sqlite:///{tmp_path}/new.sqlite3")
    assert (done.exit_code, "bridge migrate" in done.output) == (1, True)
    checked = bridge_command("check", "--json", BRIDGE_DATABASE_URL=f"sqlite:///{tmp_path}/new.sqlite3")
    assert "bridge migrate" in checked.output
    assert bridge_command("migrate", BRIDGE_DATABASE_URL=f"sqlite:///{tmp_path}/new.sqlite3").exit_code == 0


@pytest.mark.parametrize(
    "command",
    ["", "run", "serve", "work", "migrate", "check", "webhooks install", "webhooks list", "webhooks remove",
     "catalogue plan", "catalogue apply", "catalogue handback", "resync", "status", "parked list", "parked show",
     "parked retry", "parked drop", "sandbox", "explain", "seats list", "seats decide", "audit verify", "audit show",
     "brake status", "brake release", "reconcile", "people conflicts", "people show", "people link",
     "people separate"],
)  # fmt: skip
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = CliRunner().invoke(main, [*command.split(), "--help"])
    assert done.exit_code == 0
    if command:
        assert f"bridge {command}" in done.output.split("Usage:")[1].split("\n", 1)[1]


# --- real processes ----------------------------------------------------------------------------------------------


@contextmanager
def process(world: World, *arguments: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real `bridge …`, ended at last."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    running = subprocess.Popen(
        [sys.executable, "-m", "bridge", *arguments],
        env={**others, **environment(world, BRIDGE_LOG_LEVEL="info", **more)},
        stderr=subprocess.PIPE,
    )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def wait_until(look: Callable[[], object], seconds: float = 20.0) -> None:
    """Until something is so."""
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def slow_to_enrol(world: World, seconds: float) -> int:
    """An order for which an enrolment is needed that takes so long."""
    world.owe(WATCH, ALL)
    world.settle()  # the watch enrols nobody, but by the same call: it must not be what is slow
    world.totara.faults.slow(seconds, "enrol_manual_enrol_users", times=1)
    return world.shop.place_order([(world.sell(world.course("ONE")), 1)], email="a@guest.test")


def test_a_worker_told_to_stop_finishes_what_it_holds(world: World) -> None:
    order = slow_to_enrol(world, 1.5)
    with process(world, "work") as worker:
        world.owe("order", order)
        wait_until(lambda: world.totara.faults.spent)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    assert list(world.access().values()) == ["active"]
    assert not any(row.lease_owner for row in world.rows("work"))


def test_a_worker_that_cannot_finish_in_time_gives_back_what_it_holds(world: World) -> None:
    order = slow_to_enrol(world, 8)
    with process(world, "work", BRIDGE_WORK_STOP_SECONDS="0.5") as worker:
        world.owe("order", order)
        wait_until(lambda: world.totara.faults.spent)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(6) == 0
    row = world.bridge.work.find("learner", "1")
    assert row is not None
    assert (row.lease_owner, row.due_at is not None) == (None, True)
    world.settle()
    assert list(world.access().values()) == ["active"]


def test_receiver_and_worker_as_two_processes_enrol_within_seconds(world: World) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    url = f"http://127.0.0.1:{free_port(0)}"
    with (
        process(world, "serve", "--bind", url.removeprefix("http://"), BRIDGE_SERVER_PUBLIC_URL=url),
        process(world, "work"),
    ):
        for topic in TOPICS:
            world.shop.add_webhook(topic, f"{url}/webhooks/woocommerce", SECRET)
        wait_until(lambda: _answers(url))
        world.shop.place_order([(product, 1)], email="a@guest.test")
        began = time.monotonic()
        assert world.shop.deliver() > 0
        wait_until(lambda: world.access() == {("a@guest.test", course): "active"})
        assert time.monotonic() - began < 10
        assert requests.get(f"{url}/metrics", timeout=5).status_code == 200


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=1).status_code == 200
    except requests.RequestException:
        return False


def test_the_tour_of_the_sandbox_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "sandbox", "--tour", "--json", "--port", "0"],
        capture_output=True,
        timeout=110,
        check=False,
    )
    told = json.loads(done.stdout)
    assert [step["name"] for step in told["steps"] if not step["ok"]] == [], done.stdout.decode()
    assert done.returncode == 0
