"""Stories: what a team may do, and what it may know, holds at the moment at which it is done. On both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge import handing_out
from bridge.commands.teams import operator_of
from bridge.domain.seats import SeatState, Why
from bridge.domain.teams import TeamRole
from bridge.invitations import Answer
from bridge.office import Actor
from bridge.store import batches
from bridge.store.batches import Batch, Invitee
from bridge.store.models import access
from tests.test_mail import Inbox
from tests.test_story_team_members import as_member, colleague, links, put, two
from tests.test_story_teams import ADA, BO, accepts, boss, buys, counts, give, owner, pools, seats, world
from tests.test_team_api import code, machine
from tests.test_team_people import browser, home, posts, signed_in
from tests.world import World

__all__ = ["boss", "world"]

MANAGER, VIEWER = TeamRole.MANAGER, TeamRole.VIEWER


# --- a list goes on as long as whoever confirmed it may --------------------------------------------------------------


def prepared(world: World, actor: Actor, people: int = 6) -> Batch:
    rows = [Invitee(n, f"x{n}@corp.test") for n in range(1, people + 1)]
    return world.bridge.desk.prepare(actor, pools(world)[0], rows, f"key {actor.name}")


def results(world: World, batch: Batch) -> dict[Why | None, int]:
    with world.bridge.store.read() as connection:
        return batches.progress(connection, batch.id)


def some(world: World, batch: Batch) -> None:
    """A worker has given seats to the first rows, and no more."""
    claim = world.bridge.work.take("batch", str(batch.id))
    assert claim is not None
    world.bridge.desk.settle_batch(claim)
    world.bridge.work.release(claim)


def removed(world: World, manager: int) -> None:
    assert world.bridge.desk.change_member(owner(world), manager, None)


def lowered(world: World, manager: int) -> None:
    assert world.bridge.desk.change_member(owner(world), manager, VIEWER)


@pytest.mark.parametrize("loses", [removed, lowered])
def test_a_list_stops_when_its_manager_may_not_give_seats_any_more(
    world: World, boss: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, loses: Callable[[World, int], None]
) -> None:
    monkeypatch.setattr(handing_out, "CHUNK", 2)
    monkeypatch.setattr(handing_out, "CHUNKS", 1)
    buys(world, boss, world.sell(world.course("ONE")), 10)
    max_ = colleague(world, inbox)
    actor = as_member(world, 1, max_)
    batch = prepared(world, actor)
    assert world.bridge.desk.confirm(actor, batch.id)
    some(world, batch)
    loses(world, max_)
    world.settle()
    assert results(world, batch) == {Why.GIVEN: 2, Why.STOPPED: 4}
    assert counts(world) == {"open": 8, "invited": 2}
    assert [row.done_at is not None for row in world.rows("batches")] == [True]
    assert [row.facts for row in world.rows("audit") if row.event == "list stopped"] == [{"list": batch.id}]


def test_a_list_that_was_stopped_says_so_on_its_page(world: World, boss: int, inbox: Inbox) -> None:
    world.bridge.keys.first()
    buys(world, boss, world.sell(world.course("ONE")), 10)
    max_ = colleague(world, inbox)
    actor = as_member(world, 1, max_)
    batch = prepared(world, actor)
    world.bridge.desk.confirm(actor, batch.id)
    removed(world, max_)
    world.settle()
    bea = signed_in(world, boss)
    page = bea.get(home(world, "lists", batch.id)).text
    assert "This list was stopped before its end" in page
    assert page.count("it was stopped, and they were given none") == 7, "once in all, and for each of the six"
    assert "it was stopped" in bea.get(home(world, "lists", batch.id, "results.csv")).text
    assert "a list was stopped" in bea.get(home(world, "history")).text


def test_a_list_of_a_machine_stops_when_its_token_is_revoked(world: World, boss: int) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 30)
    hr = machine(world)
    told = hr.give(*(f"x{n}@corp.test" for n in range(25)))
    assert told.status_code == 202
    assert world.bridge.desk.revoke_token(owner(world), hr.number)
    world.settle()
    assert counts(world) == {"open": 30}
    found = machine(world).get(f"/lists/{told.get_json()['list']}")
    assert (found["done"], found["counts"], found["results"][0]["code"]) == (True, {"stopped": 25}, "stopped")


@pytest.mark.parametrize("who", ["its owner", "an operator", "one who became another"])
def test_a_list_of_whoever_may_goes_on_to_its_end(world: World, boss: int, inbox: Inbox, who: str) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 10)
    guest, account = two(world)
    put(world, guest, MANAGER, True)
    actors = {"its owner": owner(world), "an operator": operator_of(owner(world).team, "Vella")}
    actor = actors.get(who) or as_member(world, 1, guest)
    batch = prepared(world, actor)
    assert world.bridge.desk.confirm(actor, batch.id)
    if who == "one who became another":
        links(world, account, guest)
    world.settle()
    assert results(world, batch) == {Why.GIVEN: 6}


def test_a_list_is_whose_who_confirmed_it(world: World, boss: int, inbox: Inbox) -> None:
    """Whoever only prepared it may be gone."""
    buys(world, boss, world.sell(world.course("ONE")), 10)
    max_ = colleague(world, inbox)
    batch = prepared(world, as_member(world, 1, max_))
    assert world.bridge.desk.confirm(owner(world), batch.id)
    removed(world, max_)
    world.settle()
    assert results(world, batch) == {Why.GIVEN: 6}
    assert {row.actor for row in world.rows("audit") if row.event == "seat given"} == {owner(world).name}


# --- who has begun is told to nobody who may not know ----------------------------------------------------------------


def learning(world: World, boss: int, inbox: Inbox, *, consents: bool, completed: bool) -> int:
    """Ada has a seat, and has begun to learn; the seat's id."""
    buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    accepts(world, inbox, ADA, consents=consents)
    world.totara.users[world.user(ADA)].lastaccess = int(world.clock())
    if completed:
        with world.bridge.store.begin() as connection:
            connection.execute(access.update().values(completed=True))
    (row,) = seats(world, search="ada@")
    return row.seat.id


@pytest.mark.parametrize("completed", [False, True])
def test_whoever_does_not_share_it_is_not_told_of_by_what_is_refused(
    world: World, boss: int, inbox: Inbox, completed: bool
) -> None:
    """The answer is the same whether the ledger knows that they have completed it, or nobody can tell."""
    world.bridge.keys.first()
    seat = learning(world, boss, inbox, consents=False, completed=completed)
    assert world.bridge.desk.give_back(owner(world), seat) is Why.MAYBE_BEGUN
    assert world.bridge.desk.reassign(owner(world), seat, Invitee(1, BO)) is Why.MAYBE_BEGUN
    assert code(machine(world).ask("DELETE", f"/seats/{seat}/holder")) == (409, "maybe_begun")
    page = posts(signed_in(world, boss), home(world, "seats", seat, "give-back"))
    assert (page.status_code, "or that it was not can’t be told for certain" in page.text) == (409, True)
    assert [row.state for row in seats(world, search="ada@")] == [SeatState.TAKEN]


def test_a_team_that_may_know_is_told_that_they_have_begun(world: World, boss: int, inbox: Inbox) -> None:
    seat = learning(world, boss, inbox, consents=True, completed=True)
    assert world.bridge.desk.give_back(owner(world), seat) is Why.BEGUN
    assert code(machine(world).ask("DELETE", f"/seats/{seat}/holder")) == (409, "begun")


def test_an_operator_is_told_that_they_have_begun(world: World, boss: int, inbox: Inbox) -> None:
    seat = learning(world, boss, inbox, consents=False, completed=True)
    assert world.bridge.desk.give_back(operator_of(owner(world).team, "Vella"), seat) is Why.BEGUN


# --- whoever has it already ------------------------------------------------------------------------------------------


def test_whoever_paid_for_it_and_is_not_let_in_takes_the_seat(world: World, boss: int, inbox: Inbox) -> None:
    """They are told neither that they have it, nor that nothing changes."""
    officer = world.totara.add_user(ADA, username="officer")
    product = world.sell(world.course("ONE"))
    world.look(world.shop.place_order([(product, 1)], email=ADA, first_name="Ada"))
    assert (world.access(), len(world.parked())) == ({}, 1)
    buys(world, boss, product, 2)
    give(world, ADA)
    assert accepts(world, inbox, ADA).answer is Answer.TAKEN
    assert counts(world) == {"open": 1, "taken": 1}
    assert world.totara.users[officer].username == "officer"


@pytest.mark.parametrize("state", ["suspended", "unseen"])
def test_access_that_was_not_seen_to_be_there_is_none(world: World, boss: int, inbox: Inbox, state: str) -> None:
    product = world.sell(world.course("ONE"))
    world.look(world.shop.place_order([(product, 1)], email=ADA, first_name="Ada"))
    buys(world, boss, product, 2)
    give(world, ADA)
    values: dict[str, Any] = {"verified_at": None} if state == "unseen" else {"state": "suspended"}
    with world.bridge.store.begin() as connection:
        connection.execute(access.update().values(values))
    assert accepts(world, inbox, ADA).answer is Answer.TAKEN


# --- letters to colleagues, on the page ------------------------------------------------------------------------------


def test_an_owner_is_told_that_a_colleague_was_asked_often_enough(world: World, boss: int, inbox: Inbox) -> None:
    world.bridge.keys.first()
    buys(world, boss, world.sell(world.course("ONE")), 2)
    bea = signed_in(world, boss)
    for _ in range(5):
        assert posts(bea, home(world, "settings", "members"), email=BO, role="viewer").status_code == 303
        world.settle()
    page = posts(bea, home(world, "settings", "members"), email=BO, role="manager")
    assert (page.status_code, "asked often enough" in page.text) == (409, True)
    assert {row.role for row in world.rows("team_members")} == {"owner", "viewer"}
    assert browser(world).get(home(world, "settings")).status_code == 303
