"""The operators' commands about teams and their seats. On both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bridge import desk
from bridge.commands.seats import seats as seats_group
from bridge.commands.team_seats import PROBLEMS, SAID
from bridge.commands.teams import operator_of
from bridge.commands.teams import teams as teams_group
from bridge.domain.roster_cells import Problem
from bridge.domain.seats import SeatState, Wait, Why
from bridge.domain.teams import TeamRole
from bridge.health import NO_WORKER
from bridge.kinds import ALL, WATCH
from bridge.office import MOST_LETTERS, NotAllowed
from bridge.store import models, pooled, teams
from bridge.store.batches import Invitee
from bridge.store.db import utc_now
from bridge.store.models import team_members
from tests.test_mail import Inbox, Server
from tests.test_story_letters import mail
from tests.test_story_people import person_of, proves
from tests.test_story_teams import ADA, BO, BOSS, SECRET, accepts, buys, counts, invitation, owner, pools, seats
from tests.world import Run, World

BY = ("--by", "M. Vella", "--why", "ticket 88")


@pytest.fixture
def world(make_world: Callable[..., World], server: Server) -> World:
    return make_world(sso={"shop_secrets": [SECRET], "wait_seconds": 0}, mail=mail(server))


@pytest.fixture
def boss(world: World) -> int:
    return world.shop.add_customer(BOSS, first_name="Bea", last_name="Boss")


@pytest.fixture
def order(world: World, boss: int) -> int:
    """The company has bought three seats of a course."""
    return buys(world, boss, world.sell(world.course("ONE")), 3)


def done(bridge_command: Run, *words: str) -> str:
    result = bridge_command(*words)
    assert result.exit_code == 0, result.output
    return result.output


def refused(bridge_command: Run, *words: str) -> str:
    result = bridge_command(*words)
    assert result.exit_code == 1, result.output
    return result.output


def people(path: Path, *lines: str) -> str:
    """A file with a list of people."""
    path = path / "people.csv"
    path.write_text("\n".join(["E-mail,First name,Last name", *lines, ""]), encoding="utf-8")
    return str(path)


def history(world: World) -> list[tuple[str, str, str]]:
    """What the team's history tells: what happened, who did it, and why."""
    return [(row.event, row.actor, row.cause) for row in world.rows("audit") if row.team_id and row.event != "seats"]


def watched(world: World) -> None:
    """A worker has looked at shop and Totara, as one does that runs."""
    world.owe(WATCH, ALL)
    world.settle()


@contextmanager
def working(world: World) -> Iterator[None]:
    """A worker works meanwhile."""
    watched(world)
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.02):
            world.settle()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# --- finding a team --------------------------------------------------------------------------------------------------


def test_a_team_is_found_by_its_name_and_shown(world: World, bridge_command: Run, order: int) -> None:
    (team,) = json.loads(done(bridge_command, "teams", "list", "--search", "HARBOUR", "--json"))
    assert (team["name"], team["buyer"]) == ("Harbour & Sons", owner(world).person)
    assert "Harbour & Sons" in done(bridge_command, "teams", "list")
    assert "no such team" in done(bridge_command, "teams", "list", "--search", "100%")
    for word in (str(team["team"]), team["key"], team["key"].upper()):
        shown = json.loads(done(bridge_command, "teams", "show", word, "--json"))
        assert (shown["pools"][0]["seats"], shown["orders"][0]["order"]) == ({"open": 3}, order)
    told = done(bridge_command, "teams", "show", str(team["team"]))
    for said in ("Team 1 (Harbour & Sons)", "owner", "3 open", str(order), "No list was given in"):
        assert said in told, said
    assert "@" not in told


@pytest.mark.parametrize("word", ["7", "nobody", "0", "9" * 18, "a" * 24])
@pytest.mark.parametrize("command", ["teams show {}", "seats list team {}", "seats assign {} --email ada@corp.test"])
def test_a_team_that_is_not_there_is_said_so(world: World, bridge_command: Run, word: str, command: str) -> None:
    assert "there is no such team" in refused(bridge_command, *command.format(word).split())


def test_of_several_pools_one_has_to_be_named(world: World, bridge_command: Run, boss: int, order: int) -> None:
    buys(world, boss, world.sell(world.course("TWO")), 2)
    told = refused(bridge_command, "seats", "assign", "1", "--email", ADA)
    pools = json.loads(done(bridge_command, "teams", "show", "1", "--json"))["pools"]
    assert all(pool["pool"] in told for pool in pools)
    assert "none of them is called so" in refused(bridge_command, "seats", "assign", "1", "--pool", "x", "--email", ADA)
    two = next(pool["pool"] for pool in pools if pool["seats"] == {"open": 2})
    done(bridge_command, "seats", "assign", "1", "--pool", two[:6], "--email", ADA)
    listed = json.loads(done(bridge_command, "seats", "list", "team", "1", "--pool", two[:6], "--json"))
    assert [row["state"] for row in listed["seats"]] == ["invited", "open"]


# --- list ------------------------------------------------------------------------------------------------------------


def test_the_seats_of_a_team_are_listed_by_how_they_stand_and_who_has_them(
    world: World, bridge_command: Run, order: int, inbox: Inbox
) -> None:
    for address in (ADA, BO):
        done(bridge_command, "seats", "assign", "1", "--email", address)
    world.settle()
    accepts(world, inbox, ADA)
    all_of_them = done(bridge_command, "seats", "list", "team", "1")
    assert all(state in all_of_them for state in ("taken", "invited", "open"))
    assert "@" not in all_of_them
    listed = ["seats", "list", "team:1", "--json"]
    (found,) = json.loads(done(bridge_command, *listed, "--search", "ada@"))["seats"]
    assert (found["state"], found["order"]) == ("taken", order)
    (found,) = json.loads(done(bridge_command, *listed, "--state", "invited"))["seats"]
    assert found["person"] == seats(world, search="bo@")[0].seat.person
    assert "There are no such seats" in done(bridge_command, "seats", "list", "team", "1", "--state", "completed")
    assert bridge_command("seats", "list", str(order), "--state", "open").exit_code == 2
    assert bridge_command("seats", "list", "team").exit_code == 2


def test_a_letter_that_nobody_takes_is_told_with_the_seat(
    world: World, bridge_command: Run, order: int, inbox: Inbox
) -> None:
    inbox.answers["RCPT"] = "550 5.1.1 No such user here"
    done(bridge_command, "seats", "assign", "1", "--email", ADA)
    world.settle()
    assert "delivered" in done(bridge_command, "seats", "list", "team", "1"), "a narrow terminal breaks between words"
    listed = json.loads(done(bridge_command, "seats", "list", "team", "1", "--json"))["seats"]
    assert [(row["state"], row["undelivered"]) for row in listed] == [
        ("invited", True),
        ("open", False),
        ("open", False),
    ]


def test_an_order_tells_whose_its_seats_are_and_who_was_asked(world: World, bridge_command: Run, order: int) -> None:
    done(bridge_command, "seats", "assign", "1", "--email", ADA)
    listed = done(bridge_command, "seats", "list", str(order))
    assert "of team 1, pool " in listed
    (purchase,) = json.loads(done(bridge_command, "seats", "list", str(order), "--json"))["purchases"]
    assert purchase["team"] == 1
    said = [seat["said"] for seat in purchase["seats"]]
    assert said.count("seat that somebody was asked to take") == 1, "a table may break it, on a narrow terminal"


# --- give ------------------------------------------------------------------------------------------------------------


def test_an_operator_gives_a_seat_and_the_history_tells_who_and_why(
    world: World, bridge_command: Run, order: int, inbox: Inbox
) -> None:
    told = done(bridge_command, "seats", "assign", "1", "--email", " Ada@Corp.test ", "--first", "Ada", *BY)
    assert "given: seat 1 of team 1" in told
    assert ADA not in told.lower()
    assert history(world) == [("seat given", "operator M. Vella", "ticket 88")]
    world.settle()
    assert invitation(inbox, ADA)
    assert "has a seat of the pool already" in refused(bridge_command, "seats", "assign", "1", "--email", ADA)
    told = done(bridge_command, "audit", "show", "--team", "1")
    assert "operator M. Vella: seat given, person 2, team 1: ticket 88 (seat 1, pool " in told
    assert json.loads(done(bridge_command, "audit", "show", "--team", "2", "--json")) == []


def test_seats_that_are_not_there_are_given_to_nobody(world: World, bridge_command: Run, order: int) -> None:
    for number in range(3):
        done(bridge_command, "seats", "assign", "1", "--email", f"x{number}@corp.test")
    assert "no seat of the pool may be given" in refused(bridge_command, "seats", "assign", "1", "--email", ADA)


@pytest.mark.parametrize(
    "words",
    [
        ("--email", "ada"),
        ("--email", ADA, "--first", "=1+1"),
        ("--email", ADA, "--pick", "lesson:3"),
        ("--email", ADA, "--by", ""),
        ("--email", ADA, "--why", "ada@corp.test asked"),
        (),
    ],
)
def test_what_nobody_can_be_asked_by_is_a_bad_command_line(
    world: World, bridge_command: Run, order: int, words: tuple[str, ...]
) -> None:
    assert bridge_command("seats", "assign", "1", *words).exit_code == 2
    assert counts(world) == {"open": 3}


def test_what_a_seat_gives_is_picked(world: World, bridge_command: Run, boss: int, tmp_path: Path) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    meta = {"bridge_gives": f"course:{one},course:{two}", "bridge_pick": "yes"}
    buys(world, boss, world.shop.add_product("Credit", sku="CREDIT", price="9.00", meta=meta), 2)
    for wrong in ((), ("--pick", "course:999")):
        assert "--pick names one thing" in refused(bridge_command, "seats", "assign", "1", "--email", ADA, *wrong)
        file = people(tmp_path, ADA)
        assert "--pick names one thing" in refused(bridge_command, "seats", "import", "1", file, "--dry-run", *wrong)
    done(bridge_command, "seats", "assign", "1", "--email", ADA, "--pick", f"course:{two}")
    (row, _) = json.loads(done(bridge_command, "seats", "list", "team", "1", "--json"))["seats"]
    assert row["picked"] == f"course:{two}"
    assert f"course:{one} or course:{two}" in done(bridge_command, "teams", "show", "1")


def test_it_is_said_when_no_worker_runs_that_would_do_the_rest(world: World, bridge_command: Run, order: int) -> None:
    assert NO_WORKER in done(bridge_command, "seats", "assign", "1", "--email", ADA)
    watched(world)
    assert NO_WORKER not in done(bridge_command, "seats", "assign", "1", "--email", BO)


# --- take back -------------------------------------------------------------------------------------------------------


def taken(world: World, bridge_command: Run, inbox: Inbox) -> None:
    """Ada has taken seat 1."""
    done(bridge_command, "seats", "assign", "1", "--email", ADA)
    world.settle()
    accepts(world, inbox, ADA)
    assert counts(world) == {"open": 2, "taken": 1}


def test_a_seat_is_taken_back_before_anybody_began(world: World, bridge_command: Run, order: int, inbox: Inbox) -> None:
    taken(world, bridge_command, inbox)
    assert "person 2" in refused(bridge_command, "seats", "revoke", "1")  # is asked, and nobody answers
    assert counts(world) == {"open": 2, "taken": 1}
    assert "seat 1 of team 1 is open" in done(bridge_command, "seats", "revoke", "1", "--yes", *BY)
    world.settle()
    assert (counts(world), set(world.access().values())) == ({"open": 3}, {"suspended"})
    assert history(world)[-1] == ("seat taken back", "operator M. Vella", "ticket 88")
    assert "nobody has it" in refused(bridge_command, "seats", "revoke", "1", "--yes")


def test_from_whoever_may_have_begun_only_an_operator_takes_it_and_says_so_in_words(
    world: World, bridge_command: Run, order: int, inbox: Inbox
) -> None:
    taken(world, bridge_command, inbox)
    world.totara.users[world.user(ADA)].lastaccess = int(world.clock())
    assert "--anyway" in refused(bridge_command, "seats", "revoke", "1", "--yes")
    assert counts(world) == {"open": 2, "taken": 1}
    with pytest.raises(NotAllowed):
        world.bridge.desk.give_back(owner(world), 1, anyway=True)
    done(bridge_command, "seats", "revoke", "1", "--yes", "--anyway", *BY)
    world.settle()
    assert set(world.access().values()) == {"suspended"}
    assert [row.facts for row in world.rows("audit") if row.event == "seat taken back"] == [{"seat": 1, "anyway": True}]


def test_an_operator_takes_a_seat_back_while_totara_is_away(
    world: World, bridge_command: Run, order: int, inbox: Inbox
) -> None:
    taken(world, bridge_command, inbox)
    world.totara.faults.down()
    assert "totara" in refused(bridge_command, "seats", "revoke", "1", "--yes").lower()
    done(bridge_command, "seats", "revoke", "1", "--yes", "--anyway")
    assert counts(world) == {"open": 3}


def test_a_seat_is_given_to_somebody_else(world: World, bridge_command: Run, order: int, inbox: Inbox) -> None:
    taken(world, bridge_command, inbox)
    assert "given: seat 1" in done(bridge_command, "seats", "reassign", "1", "--email", BO, "--yes", *BY)
    world.settle()
    assert accepts(world, inbox, BO)
    assert sorted(world.access().values()) == ["active", "suspended"]
    assert ("seat given", "operator M. Vella", "ticket 88") in history(world)
    assert "has a seat of the pool" in refused(bridge_command, "seats", "reassign", "1", "--email", BO, "--yes")


# --- who did not answer ----------------------------------------------------------------------------------------------


def unanswered(world: World, *, days: int = 1) -> None:
    """Whoever was asked has let the time to answer pass, so many days ago. Commands look at the real clock."""
    with world.bridge.store.begin() as connection:
        asked = update(models.seats).where(models.seats.c.waits == Wait.ANSWER)
        connection.execute(asked.values(answer_until=utc_now() - timedelta(days=days)))


def test_an_operator_has_an_invitation_sent_again(world: World, bridge_command: Run, order: int, inbox: Inbox) -> None:
    done(bridge_command, "seats", "assign", "1", "--email", ADA)
    world.settle()
    unanswered(world)
    assert "asked again: seat 1 of team 1" in done(bridge_command, "seats", "resend", "1", *BY)
    assert history(world)[-1] == ("invitation sent again", "operator M. Vella", "ticket 88")
    world.settle()
    assert len(inbox.mails) == 2
    accepts(world, inbox, ADA)
    assert "waits for nobody's answer" in refused(bridge_command, "seats", "resend", "1")


def test_as_many_letters_go_out_as_to_anybody(world: World, bridge_command: Run, order: int, inbox: Inbox) -> None:
    done(bridge_command, "seats", "assign", "1", "--email", ADA)
    world.settle()
    for _ in range(MOST_LETTERS - 1):
        done(bridge_command, "seats", "resend", "1")
        world.settle()
    assert "as many letters went out" in refused(bridge_command, "seats", "resend", "1")
    unanswered(world)
    assert "asked again: 0 seats of the 1 seat" in done(bridge_command, "seats", "resend-all", "1", "--yes")
    world.settle()
    assert len(inbox.mails) == MOST_LETTERS


def test_an_operator_has_all_invitations_of_a_pool_sent_again(
    world: World, bridge_command: Run, order: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_AT_ONCE", 1)  # it goes on by itself
    for address in (ADA, BO):
        done(bridge_command, "seats", "assign", "1", "--email", address)
    world.settle()
    unanswered(world)
    before = history(world)
    told = refused(bridge_command, "seats", "resend-all", "1")  # is asked, and nobody answers
    assert "2 seats wait for an answer" in told
    assert (history(world), counts(world)) == (before, {"open": 1, "lapsed": 2})
    assert "2 seats of the 2 seats of team 1" in done(bridge_command, "seats", "resend-all", "1", "--yes", *BY)
    assert history(world)[-2:] == [("invitations sent again", "operator M. Vella", "ticket 88")] * 2
    assert "0 seats of the 2 seats" in done(bridge_command, "seats", "resend-all", "1", "--yes"), "within the hour"
    world.settle()
    assert (len(inbox.mails), counts(world)) == (4, {"open": 1, "invited": 2})


def test_an_operator_takes_back_all_seats_of_a_pool_that_lapsed(
    world: World, bridge_command: Run, order: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_AT_ONCE", 1)
    for address in (ADA, BO):
        done(bridge_command, "seats", "assign", "1", "--email", address)
    unanswered(world)
    done(bridge_command, "seats", "assign", "1", "--email", "cy@corp.test")
    assert "2 seats that lapsed" in refused(bridge_command, "seats", "revoke-lapsed", "1")
    assert counts(world) == {"lapsed": 2, "invited": 1}
    assert "taken back: 2 seats of team 1" in done(bridge_command, "seats", "revoke-lapsed", "1", "--yes", *BY)
    assert counts(world) == {"open": 2, "invited": 1}
    assert history(world)[-2:] == [("lapsed seats taken back", "operator M. Vella", "ticket 88")] * 2
    assert "taken back: 0 seats" in done(bridge_command, "seats", "revoke-lapsed", "1", "--yes")


@pytest.mark.parametrize("command", ["resend-all", "revoke-lapsed"])
def test_of_several_pools_one_is_meant(world: World, bridge_command: Run, boss: int, order: int, command: str) -> None:
    buys(world, boss, world.sell(world.course("TWO")), 2)
    done(bridge_command, "seats", "assign", "1", "--pool", pools(world)[1].key, "--email", ADA)
    unanswered(world)
    assert "say by --pool which one is meant" in refused(bridge_command, "seats", command, "1", "--yes")
    keys = [pool.key for pool in pools(world)]
    told = [done(bridge_command, "seats", command, "1", "--yes", "--pool", key[:6]) for key in keys]
    assert [": 0 seats" in one for one in told] == [True, False]


def test_a_seat_of_no_team_is_said_so(world: World, bridge_command: Run) -> None:
    world.look(world.shop.place_order([(world.sell(world.course("ONE")), 1)], email=ADA))
    for words in (("revoke", "1"), ("revoke", "9"), ("reassign", "1", "--email", BO)):
        assert "no seat of a team" in refused(bridge_command, "seats", *words, "--yes")
    assert "no seat of a team" in refused(bridge_command, "seats", "resend", "1")


# --- lists -----------------------------------------------------------------------------------------------------------


def test_a_list_is_shown_with_its_problems_before_anybody_is_asked(
    world: World, bridge_command: Run, order: int, tmp_path: Path
) -> None:
    file = people(tmp_path, f"{ADA},Ada,Byte", "ada", f"{ADA},A,B", f"{BO},=1,B", "c@corp.test", "d@corp.test", BOSS)
    told = refused(bridge_command, "seats", "import", "1", file, "--dry-run")
    for said in (
        "4 people for 3 open seats of team 1",
        "1 of them get none",
        "row 3 is left out: what stands for the address is none",
        "row 4 is left out: has the address of row 2",
        "row 5 is left out: the name is a formula",
    ):
        assert said in told, said
    assert "@" not in told
    shown = json.loads(bridge_command("seats", "import", "1", file, "--dry-run", "--json").stdout)
    assert [(row["row"], row["problem"]) for row in shown["rows"]][:3] == [
        (2, None), (3, "not_an_address"), (4, "twice"),
    ]  # fmt: skip
    refused(bridge_command, "seats", "import", "1", file)  # is asked, and nobody answers
    assert (counts(world), world.rows("batches")) == ({"open": 3}, [])


def test_a_list_is_given_by_a_worker_and_the_results_are_told(
    world: World, bridge_command: Run, order: int, tmp_path: Path, inbox: Inbox
) -> None:
    done(bridge_command, "seats", "assign", "1", "--email", ADA)
    with working(world):
        told = done(bridge_command, "seats", "import", "1", people(tmp_path, ADA, BO), "--yes", *BY)
    assert "row 2: has a seat of the pool already" in told
    assert "given: 1 seats" in told
    assert counts(world) == {"open": 1, "invited": 2}
    assert ("list confirmed", "operator M. Vella", "ticket 88") in history(world)
    (given_in,) = json.loads(done(bridge_command, "teams", "show", "1", "--json"))["lists"]
    assert (given_in["people"], given_in["by"]) == ({"given": 1, "has_one": 1}, "operator M. Vella")
    world.settle()
    assert invitation(inbox, BO)


def test_machines_are_told_the_results_row_by_row_and_an_exit_code(
    world: World, bridge_command: Run, order: int, tmp_path: Path
) -> None:
    file = people(tmp_path, *(f"x{number}@corp.test" for number in range(4)), "nobody")
    with working(world):
        result = bridge_command("seats", "import", "1", file, "--yes", "--json")
    assert result.exit_code == 1, result.output
    rows = json.loads(result.stdout)["rows"]
    assert [row["result"] for row in rows] == ["given"] * 3 + ["no_seats", None]
    assert [row["seat"] for row in rows] == [1, 2, 3, None, None]
    assert rows[-1]["problem"] == "not_an_address"
    assert "@" not in result.output


def test_without_a_worker_the_list_waits_for_one(world: World, bridge_command: Run, order: int, tmp_path: Path) -> None:
    told = refused(bridge_command, "seats", "import", "1", people(tmp_path, ADA, BO), "--yes")
    assert NO_WORKER in told
    assert counts(world) == {"open": 3}
    assert "2 waiting" in done(bridge_command, "teams", "show", "1")
    world.settle()
    assert counts(world) == {"open": 1, "invited": 2}


def test_whoever_stops_waiting_loses_nothing(
    world: World, bridge_command: Run, order: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    watched(world)
    monkeypatch.setattr("bridge.commands.team_import.sleep", interrupted)
    told = refused(bridge_command, "seats", "import", "1", people(tmp_path, ADA, BO), "--yes")
    assert "the worker goes on" in told
    assert "`bridge teams show 1` tells how far list 1 is" in told
    monkeypatch.undo()
    world.settle()
    assert counts(world) == {"open": 1, "invited": 2}


def test_a_list_that_cannot_be_read_changes_nothing(
    world: World, bridge_command: Run, order: int, tmp_path: Path
) -> None:
    book = tmp_path / "people.xlsx"
    book.write_bytes(b"PK\x03\x04" + bytes(60))
    assert "this is a workbook" in refused(bridge_command, "seats", "import", "1", str(book), "--yes")
    assert "nobody on the list" in refused(bridge_command, "seats", "import", "1", people(tmp_path, "ada"), "--yes")
    assert bridge_command("seats", "import", "1", str(tmp_path / "none.csv"), "--yes").exit_code == 2
    assert world.rows("batches") == []


# --- explain ---------------------------------------------------------------------------------------------------------


def test_whoever_was_asked_is_told_so_and_of_the_team(
    world: World, bridge_command: Run, order: int, inbox: Inbox
) -> None:
    done(bridge_command, "seats", "assign", "1", "--email", ADA)
    told = done(bridge_command, "explain", ADA)
    assert "person 2 was asked to take it, and has no access yet" in told
    assert "team 1 gives it to its people" in told
    assert "person 2, asked to take it" in told
    told = done(bridge_command, "explain", BOSS)
    assert "owner of team 1" in told
    assert "3 seats, of which 2 are open, and 1 wait for an answer or a yes" in told
    (one,) = json.loads(done(bridge_command, "explain", str(order), "--json"))
    assert {(seat["team"], seat["state"]) for seat in one["seats"]} == {(1, "answer"), (1, "open")}
    world.settle()
    accepts(world, inbox, ADA, consents=True)
    told = done(bridge_command, "explain", ADA)
    assert "person 2 has access" in told
    assert "lets team 1 see how they get on" in told


def test_whoever_waits_for_a_yes_is_told_so(world: World, bridge_command: Run, order: int, inbox: Inbox) -> None:
    world.bridge.desk.configure(owner(world), name="Harbour", approval=True)
    done(bridge_command, "seats", "assign", "1", "--email", ADA)
    world.settle()
    accepts(world, inbox, ADA)
    assert "before a manager of the team does" in done(bridge_command, "explain", ADA)
    assert "wait for a manager's yes" in done(bridge_command, "teams", "show", "1")
    (row,) = seats(world, states=frozenset({SeatState.APPROVAL}))
    assert world.bridge.desk.approve(owner(world), row.seat.id) is Why.GIVEN


def test_every_result_and_problem_has_words() -> None:
    assert set(SAID) == set(Why)
    assert set(PROBLEMS) == set(Problem)


def test_a_person_of_a_list_is_nowhere_in_the_log(
    world: World, bridge_command: Run, order: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with working(world):
        done(bridge_command, "seats", "import", "1", people(tmp_path, ADA, BO), "--yes", *BY)
    assert not [row for row in caplog.records if row.name != "mail.log" and "@corp.test" in row.getMessage()]
    assert [row for row in world.rows("audit") if "@corp.test" in str(row)] == []


# --- what an operator may do with whose ------------------------------------------------------------------------------

#: How each command is asked about a team or its seat. A command that is not here fails the matrix.
COMMANDS = {
    ("teams", "list"): "",
    ("teams", "show"): "{team}",
    ("teams", "hand-over"): "{team} --to {heir} --yes",
    ("seats", "list"): "team {team}",
    ("seats", "assign"): "{team} --email new-{team}@corp.test",
    ("seats", "import"): "{team} {file} --yes",
    ("seats", "revoke"): "{seat} --yes",
    ("seats", "reassign"): "{seat} --email other-{seat}@corp.test --yes",
    ("seats", "resend"): "{seat}",
    ("seats", "resend-all"): "{team} --yes",
    ("seats", "revoke-lapsed"): "{team} --yes",
}
#: Of no team: it is about orders and subscriptions.
OF_NO_TEAM = {("seats", "decide")}
#: Those that only look.
LOOKING = {("teams", "list"), ("teams", "show"), ("seats", "list")}


def test_every_command_of_teams_is_in_the_matrix() -> None:
    groups = {"teams": teams_group, "seats": seats_group}
    there = {(group, name) for group, one in groups.items() for name in one.commands}
    assert there == COMMANDS.keys() | OF_NO_TEAM


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_operator_may_do_everything_with_every_team_and_nothing_with_none(
    world: World, bridge_command: Run, boss: int, order: int, tmp_path: Path, command: tuple[str, str]
) -> None:
    """And the history of whose it is tells of it; that of the others does not."""
    eve = world.shop.add_customer("eve@else.test")
    product = world.sell(world.course("TWO"))
    world.look(world.shop.place_order([(product, 3)], customer_id=eve, email="eve@else.test", company="Else"))
    heir, file = somebody(world, "new@corp.test", proven=True), people(tmp_path, "list@corp.test")
    with world.bridge.store.read() as connection:
        both = [teams.get_team(connection, number) for number in (1, 2)]
        pools = [pooled.pools_of(connection, team.id, world.now())[0] for team in both]
    for team, pool in [*zip(both, pools, strict=True), (None, None)]:
        seat = 999_999
        if team is not None and pool is not None:
            given = world.bridge.desk.give(operator_of(team, "Else"), pool, [Invitee(1, f"x{team.id}@corp.test")])
            seat = given[1][1] or 0
            unanswered(world)
        named = {"team": team.id if team else 999_999, "seat": seat, "heir": heir, "file": file}
        before = max(row.id for row in world.rows("audit"))
        with working(world):
            result = bridge_command(*command, *COMMANDS[command].format(**named).split(), *by_of(command))
        news = [row for row in world.rows("audit") if row.id > before]
        by_operator = [row.team_id for row in news if row.actor == "operator M. Vella"]
        there = team is not None or not COMMANDS[command]
        assert result.exit_code == (0 if there else 1), result.output
        assert set(by_operator) == (set() if team is None or command in LOOKING else {team.id})


def by_of(command: tuple[str, str]) -> tuple[str, ...]:
    return () if command in LOOKING else BY


# --- handing a team over ---------------------------------------------------------------------------------------------


def somebody(world: World, address: str, *, proven: bool) -> int:
    """Who has bought something for themselves; their number."""
    customer = world.shop.add_customer(address)
    world.look(world.shop.place_order([(world.sell(world.course("OWN")), 1)], customer_id=customer, email=address))
    person = person_of(world, customer)
    if proven:
        proves(world, person, address)
    return person


def roles(world: World) -> dict[int, str]:
    return {row.person_id: row.role for row in world.rows("team_members") if row.accepted_at is not None}


def test_an_operator_hands_a_team_to_whoever_proved_an_address(
    world: World, bridge_command: Run, order: int, inbox: Inbox
) -> None:
    before, heir = owner(world).person, somebody(world, "new@corp.test", proven=True)
    told = done(bridge_command, "teams", "hand-over", "1", "--to", str(heir), "--yes", *BY)
    assert f"team 1 is person {heir}'s" in told
    assert roles(world) == {before: "manager", heir: "owner"}
    entry = [row for row in world.rows("audit") if row.event == "team handed over"][-1]
    assert (entry.actor, entry.cause, entry.person_id, entry.team_id) == ("operator M. Vella", "ticket 88", heir, 1)
    assert "theirs already" in refused(bridge_command, "teams", "hand-over", "1", "--to", str(heir), "--yes", *BY)


def test_a_team_comes_into_no_unknown_hands(world: World, bridge_command: Run, order: int) -> None:
    heir, before = somebody(world, "new@corp.test", proven=False), roles(world)
    assert "has not proven an address" in refused(bridge_command, "teams", "hand-over", "1", "--to", str(heir), "--yes")
    assert "there is no person 999" in refused(bridge_command, "teams", "hand-over", "1", "--to", "999", "--yes")
    assert "there is no such team" in refused(bridge_command, "teams", "hand-over", "9", "--to", str(heir), "--yes")
    assert bridge_command("teams", "hand-over", "1", "--to", str(heir)).exit_code == 1, "is asked, and nobody says yes"
    assert roles(world) == before


def test_whoever_was_asked_and_did_not_answer_is_made_the_owner(
    world: World, bridge_command: Run, order: int, inbox: Inbox
) -> None:
    heir = somebody(world, "new@corp.test", proven=True)
    with world.bridge.store.begin() as connection:
        teams.put_member(world.bridge.store, connection, 1, heir, TeamRole.VIEWER, world.now())
    done(bridge_command, "teams", "hand-over", "1", "--to", str(heir), "--yes", *BY)
    assert roles(world)[heir] == "owner"


def test_a_team_without_an_owner_has_one_again(world: World, bridge_command: Run, order: int) -> None:
    heir = somebody(world, "new@corp.test", proven=True)
    with world.bridge.store.begin() as connection:
        connection.execute(team_members.update().values(role="manager"))
    done(bridge_command, "teams", "hand-over", "1", "--to", str(heir), "--yes", *BY)
    assert sorted(roles(world).values()) == ["manager", "owner"]


def test_a_team_whose_buyer_has_left_is_shown(world: World, bridge_command: Run, order: int) -> None:
    before, heir = owner(world), somebody(world, "new@corp.test", proven=True)
    done(bridge_command, "teams", "hand-over", "1", "--to", str(heir), "--yes", *BY)
    assert world.bridge.desk.leave(before)
    assert "its buyer has left" in done(bridge_command, "teams", "show", "1")
    assert json.loads(done(bridge_command, "teams", "list", "--json"))[0]["buyer"] is None
    assert "Harbour" in done(bridge_command, "teams", "list")
