"""Stories: lists that are given again, answers that never come, what a list would do, what seats give. On both
databases.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from bridge import desk, handing_out
from bridge.desk import Many
from bridge.domain.seats import SeatState, Why
from bridge.domain.teams import TeamRole
from bridge.office import MOST_LETTERS, Actor, NotAllowed
from bridge.store import models
from bridge.store.batches import Invitee
from tests.test_mail import Inbox
from tests.test_story_teams import (
    ADA,
    BO,
    accepts,
    boss,
    buys,
    counts,
    give,
    invitation,
    owner,
    pools,
    seats,
    told,
)  # fmt: skip
from tests.test_team_api import machine
from tests.test_team_pages import CSV, Manager, pool_of, text, world
from tests.world import World

__all__ = ["boss", "world"]

CY, DEE = "cy@corp.test", "dee@corp.test"


@pytest.fixture
def product(world: World, boss: int) -> int:
    """What the company has three seats of."""
    made = world.sell(world.course("ONE"))
    buys(world, boss, made, 3)
    return made


@pytest.fixture
def bea(world: World, boss: int, product: int) -> Manager:
    """The owner of the team."""
    assert product
    return Manager(world, boss)


@pytest.fixture
def credit(world: World, boss: int, offers: Callable[[str], None]) -> list[int]:
    """The courses of which each of the company's three seats gives one."""
    courses = [world.course(f"C{n}", name=f"Course number {n}") for n in range(3)]
    sold = world.shop.add_product("Training <b>credit</b>", sku="CREDIT", price="90.00")
    gives = ", ".join(f'"course:{one}"' for one in courses)
    offers(f'[[offer]]\nsku = "CREDIT"\ngives = [{gives}]\npick = true\n')
    buys(world, boss, sold, 3)
    return courses


def seat(world: World, address: str) -> int:
    (row,) = seats(world, search=address)
    return row.seat.id


def letters(inbox: Inbox, address: str) -> int:
    return sum(address in str(one["To"]) for one in inbox.mails)


def lapse(world: World) -> None:
    world.clock.advance(days=20)


# --- who did not answer ----------------------------------------------------------------------------------------------


def test_who_did_not_answer_in_time_is_asked_again_on_the_same_seat(world: World, product: int, inbox: Inbox) -> None:
    assert give(world, ADA, BO) == [Why.GIVEN, Why.GIVEN]
    accepts(world, inbox, BO)
    mine = seat(world, ADA)
    lapse(world)
    assert counts(world) == {"open": 1, "lapsed": 1, "taken": 1}
    assert give(world, ADA, BO) == [Why.GIVEN, Why.HAS_ONE]
    assert (seat(world, ADA), counts(world)) == (mine, {"open": 1, "invited": 1, "taken": 1})
    assert (letters(inbox, ADA), told(world).count("invitation sent again")) == (2, 1)
    accepts(world, inbox, ADA)
    assert counts(world) == {"open": 1, "taken": 2}
    assert {row.times for row in world.rows("seats") if row.person_id} == {1}


def test_a_seat_that_waits_in_vain_goes_to_others_when_none_is_open(world: World, product: int, inbox: Inbox) -> None:
    give(world, ADA)
    world.clock.advance(days=1)
    give(world, BO, CY)
    lapse(world)
    longest = seat(world, ADA)
    old = invitation(inbox, ADA)
    assert give(world, DEE, BO) == [Why.GIVEN, Why.GIVEN], "Bo keeps the seat that waits for him"
    assert seat(world, DEE) == longest
    assert counts(world) == {"invited": 2, "lapsed": 1}
    with pytest.raises(Exception, match="invitation"):
        world.bridge.invitations.look(old)
    assert give(world, "eve@corp.test", "fay@corp.test") == [Why.GIVEN, Why.NO_SEATS]
    assert letters(inbox, ADA) == 1, "whose seat it was is told nothing"


def test_an_open_seat_is_given_before_one_that_waits_in_vain(world: World, product: int) -> None:
    give(world, ADA)
    lapse(world)
    give(world, BO)
    assert counts(world) == {"open": 1, "lapsed": 1, "invited": 1}


def test_a_program_that_names_who_did_not_answer_asks_them_again(world: World, product: int, inbox: Inbox) -> None:
    give(world, ADA)
    lapse(world)
    hr, path = machine(world), f"/seats/{seat(world, ADA)}/holder"
    for _ in range(2):
        answer = hr.ask("PUT", path, {"email": ADA})
        world.settle()
        assert (answer.status_code, answer.get_json()["state"]) == (200, "invited")
    assert letters(inbox, ADA) == 2, "the second time nothing was overdue"


def test_all_who_did_not_answer_are_asked_again_by_one_click(
    world: World, boss: int, product: int, inbox: Inbox
) -> None:
    give(world, ADA, BO)
    lapse(world)
    bea = Manager(world, boss)
    give(world, CY)
    accepts(world, inbox, CY)
    before = letters(inbox, CY)
    page = bea.get(f"/pools/{pool_of(world)}")
    assert "2 more wait for people who did not answer in time" in text(page)
    for words, many in (("2 invitations are on their way once more.", 2), ("Nobody was written to", 2)):
        assert words in text(bea.post(f"/pools/{pool_of(world)}/resend"))
        world.settle()
        assert (letters(inbox, ADA), letters(inbox, BO), letters(inbox, CY)) == (many, many, before)
    assert counts(world) == {"invited": 2, "taken": 1}
    assert [row.facts["seats"] for row in world.rows("audit") if row.event == "invitations sent again"] == [2]
    assert "2 seats" in text(bea.get("/history"))
    world.clock.advance(hours=2)
    assert world.bridge.desk.resend_all(owner(world), pool_of(world)) == Many(2, more=False)
    world.settle()
    assert letters(inbox, ADA) == 3, "who was asked and may still answer is reminded"
    for _ in range(5):
        world.clock.advance(hours=2)
        world.bridge.desk.resend_all(owner(world), pool_of(world))
        world.settle()
    assert letters(inbox, ADA) == 1 + MOST_LETTERS, "no more than one person may get"


def test_all_that_lapsed_is_taken_back_by_one_click(world: World, boss: int, product: int, inbox: Inbox) -> None:
    give(world, ADA, BO)
    lapse(world)
    bea = Manager(world, boss)
    give(world, CY)
    old = invitation(inbox, ADA)
    page = bea.post(f"/pools/{pool_of(world)}/take-back")
    assert "2 seats were taken back. They are open again." in text(page)
    assert counts(world) == {"open": 2, "invited": 1}
    assert [row.facts["seats"] for row in world.rows("audit") if row.event == "lapsed seats taken back"] == [2]
    assert "No seat waits" in text(bea.post(f"/pools/{pool_of(world)}/take-back"))
    assert old not in str(world.rows("links"))
    assert [row.seat_id for row in world.rows("links")] == [seat(world, CY)]
    order = world.rows("orders")[0].id
    world.settle()
    assert "2 × open seat" in world.told(order)


def test_more_than_one_action_takes_is_done_by_the_next(
    world: World, product: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_AT_ONCE", 2)
    give(world, ADA, BO, CY)
    for do in (world.bridge.desk.resend_all, world.bridge.desk.take_back_lapsed):
        lapse(world)
        done = [do(owner(world), pool_of(world)) for _ in range(3)]
        assert done == [Many(2, more=True), Many(1, more=False), Many(0, more=False)]
        world.settle()
    assert [letters(inbox, one) for one in (ADA, BO, CY)] == [2, 2, 2]
    assert counts(world) == {"open": 3}


def test_the_page_says_so_when_a_click_has_not_taken_all(
    world: World, boss: int, product: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_AT_ONCE", 2)
    give(world, ADA, BO, CY)
    for path in ("resend", "take-back"):
        lapse(world)
        bea = Manager(world, boss)
        pages = [text(bea.post(f"/pools/{pool_of(world)}/{path}")) for _ in range(2)]
        assert ["some are left: do the same again" in page for page in pages] == [True, False]


def test_who_got_all_letters_that_one_may_keeps_nobody_else_from_theirs(
    world: World, product: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_AT_ONCE", 1)
    give(world, ADA)
    for _ in range(MOST_LETTERS - 1):
        assert world.bridge.desk.resend(owner(world), seat(world, ADA)) is Why.GIVEN
        world.settle()
    world.clock.advance(hours=1)
    give(world, BO)
    world.clock.advance(hours=2)
    assert world.bridge.desk.resend_all(owner(world), pool_of(world)) == Many(1, more=False)
    world.settle()
    assert (letters(inbox, ADA), letters(inbox, BO)) == (MOST_LETTERS, 2)


def test_a_viewer_asks_nobody_again_and_takes_nothing_back(world: World, product: int) -> None:
    give(world, ADA)
    lapse(world)
    viewer = Actor(owner(world).team, TeamRole.VIEWER, "person 9", 9)
    for do in (world.bridge.desk.resend_all, world.bridge.desk.take_back_lapsed):
        with pytest.raises(NotAllowed):
            do(viewer, pool_of(world))
    assert counts(world) == {"open": 2, "lapsed": 1}


# --- who declined ----------------------------------------------------------------------------------------------------


def test_who_declined_is_asked_again_by_name_only(world: World, product: int, inbox: Inbox) -> None:
    give(world, ADA)
    world.bridge.invitations.decline(invitation(inbox, ADA))
    world.settle()
    assert give(world, ADA, BO) == [Why.DECLINED, Why.GIVEN]
    assert letters(inbox, ADA) == 1
    assert give(world, ADA) == [Why.GIVEN], "typed alone"
    assert letters(inbox, ADA) == 2
    assert world.bridge.desk.give_back(owner(world), seat(world, ADA)) is Why.GIVEN
    assert give(world, ADA, CY) == [Why.GIVEN, Why.GIVEN], "was asked by name since, and did not decline"


def test_a_last_piece_of_a_list_is_not_one_person_typed_alone(
    world: World, product: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_out, "CHUNK", 1)
    give(world, ADA)
    world.bridge.invitations.decline(invitation(inbox, ADA))
    world.settle()
    desk, rows = world.bridge.desk, [Invitee(1, BO), Invitee(2, ADA)]
    batch = desk.prepare(owner(world), pools(world)[0], rows, "key")
    assert desk.foresee(batch) == {2: Why.DECLINED}
    assert desk.confirm(owner(world), batch.id)
    world.settle()
    assert {row.number: row.result for row in world.rows("batch_rows")} == {1: "given", 2: "declined"}


def test_to_decline_one_of_several_courses_is_to_decline_that_one(
    world: World, credit: list[int], inbox: Inbox
) -> None:
    (pool,) = pools(world)
    one, other, _ = pool.offer.items
    give(world, ADA, picked=one)
    world.bridge.invitations.decline(invitation(inbox, ADA))
    world.settle()
    assert give(world, ADA, BO, picked=one)[0] is Why.DECLINED
    assert give(world, ADA, CY, picked=other)[0] is Why.GIVEN


# --- what a list would do --------------------------------------------------------------------------------------------


def test_a_preview_tells_those_apart_who_have_a_seat_or_declined_one(
    world: World, boss: int, product: int, inbox: Inbox
) -> None:
    give(world, ADA, BO)
    accepts(world, inbox, BO)
    lapse(world)
    bea = Manager(world, boss)
    give(world, CY)
    world.bridge.invitations.decline(invitation(inbox, CY))
    world.settle()
    rows = "".join(f"{one};;;\r\n" for one in (ADA, BO, CY, DEE, "nonsense"))
    page = bea.upload(pool_of(world), CSV + rows.encode())
    for words in (
        "2 people can be given a seat · 1 of them did not answer in time, and is asked again",
        "1 person has one of these seats already",
        "1 person has declined one of these seats",
        "1 row with a problem",
        "Give 2 seats",
    ):
        assert words in text(page)
    assert "more people on the list than open seats" not in text(page)
    assert (BO in page.text, CY in page.text, DEE in page.text) == (True, True, False), "what is not given comes first"
    assert "Did not answer in time: is asked again." in text(
        bea.get(f"/lists/{world.rows('batches')[0].id}", only="all")
    )
    bea.post(f"/lists/{world.rows('batches')[0].id}/confirm")
    world.settle()
    kept = sorted(world.rows("batch_rows"), key=lambda row: row.number)
    assert [row.result for row in kept][:4] == ["given", "has_one", "declined", "given"]


def test_a_preview_of_people_who_all_have_a_seat_gives_nothing(world: World, bea: Manager) -> None:
    give(world, ADA, BO)
    page = bea.upload(pool_of(world), CSV + f"{ADA};;;\r\n{BO};;;\r\nnonsense;;;\r\n".encode())
    assert "Nobody on this list can be given a seat." in text(page)
    assert "/confirm" not in page.text


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (f"Name;E-mail\r\nZoé Núñez;{ADA}\r\n".encode("cp1252"), "Check that these names are written right"),
        (f"Name;Manager Email;Work email\r\nAda;max@corp.test;{ADA}\r\n".encode(), "Work email"),
    ],
)
def test_a_short_list_is_looked_at_first_if_there_is_a_doubt(
    world: World, bea: Manager, data: bytes, shown: str
) -> None:
    page = bea.upload(pool_of(world), data)
    assert page.request.path.startswith(f"{bea.home}/lists/")
    assert shown in text(page)
    assert counts(world) == {"open": 3}
    bea.post(f"/lists/{world.rows('batches')[0].id}/confirm")
    world.settle()
    assert [row.email for row in seats(world) if row.email] == [ADA]


def test_a_file_in_an_alphabet_that_was_lost_is_refused(world: World, bea: Manager) -> None:
    page = bea.upload(pool_of(world), f"Name;E-mail\r\nJiří Dvořák;{ADA}\r\n".encode("cp1250"))
    assert (page.status_code, counts(world)) == (422, {"open": 3})
    assert "save it as CSV (UTF-8)" in text(page).replace("Save", "save")


def test_a_list_of_more_than_one_claim_of_work_goes_on(
    world: World, product: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_out, "CHUNK", 1)
    monkeypatch.setattr(handing_out, "CHUNKS", 1)
    rows = [Invitee(n, f"p{n}@corp.test") for n in range(1, 4)]
    batch = world.bridge.desk.prepare(owner(world), pools(world)[0], rows, "key")
    world.bridge.desk.confirm(owner(world), batch.id)
    world.settle()
    assert counts(world) == {"invited": 3}
    assert world.rows("batches")[0].done_at is not None


# --- what a seat gives -----------------------------------------------------------------------------------------------


def test_which_course_was_picked_is_told_wherever_seats_are(
    world: World, credit: list[int], boss: int, inbox: Inbox
) -> None:
    bea = Manager(world, boss)
    (pool,) = pools(world)
    give(world, ADA, picked=pool.offer.items[1])
    accepts(world, inbox, ADA)
    for path in ("/seats", f"/pools/{pool.key}", f"/seats/{seat(world, ADA)}", f"/seats/{seat(world, ADA)}/give-back"):
        page = bea.get(path, sort="email")
        assert "Course number 1" in page.text.split('<h2 id="who">')[-1], path
        assert "Training credit" in text(page), "in plain words, as orders and letters have it"
        assert "&lt;b&gt;" not in page.text, path
    csv = bea.post("/seats/export", format="csv", sort="email").data.decode("utf-8-sig").split("\r\n")
    assert '"Product","Gives"' in csv[0]
    assert '"Training credit","Course number 1"' in csv[1]
    assert '"Training credit",""' in csv[2], "is still to be picked"
    (one,) = (row for row in machine(world).ask("GET", "/seats").get_json()["seats"] if row["person"])
    assert one["gives"] == [{"item": f"course:{credit[1]}", "name": "Course number 1"}]


def test_what_a_seat_of_several_courses_gives_is_told(world: World, boss: int, offers: Callable[[str], None]) -> None:
    courses = [world.course(f"C{n}", name=f"Course number {n}") for n in range(2)]
    sold = world.shop.add_product("Bundle", sku="BUNDLE", price="90.00")
    gives = ", ".join(f'"course:{one}"' for one in courses)
    offers(f'[[offer]]\nsku = "BUNDLE"\ngives = [{gives}]\n')
    buys(world, boss, sold, 2)
    csv = Manager(world, boss).post("/seats/export", format="csv").data.decode("utf-8-sig").split("\r\n")
    assert '"Bundle","Course number 0 · Course number 1"' in csv[1]


def test_a_seat_of_several_courses_may_give_the_next_one_another(
    world: World, credit: list[int], boss: int, inbox: Inbox
) -> None:
    bea = Manager(world, boss)
    (pool,) = pools(world)
    give(world, ADA, picked=pool.offer.items[1])
    accepts(world, inbox, ADA)
    form = bea.get(f"/seats/{seat(world, ADA)}/reassign")
    assert re.findall(r'value="(course:\d+)" required checked', form.text) == [f"course:{credit[1]}"]
    path = f"/seats/{seat(world, ADA)}/reassign"
    assert bea.post(path, email=BO, picked="course:99").status_code == 422
    bea.post(path, email=BO, picked=f"course:{credit[2]}")
    world.settle()
    accepts(world, inbox, BO)
    assert world.access()[(BO, credit[2])] == "active"
    assert world.access().get((ADA, credit[1])) != "active"
    (row,) = seats(world, search=BO)
    assert row.gives == (pool.offer.items[2],)
    assert world.bridge.desk.reassign(owner(world), row.seat.id, Invitee(1, CY)) is Why.GIVEN
    (row,) = seats(world, search=CY)
    assert row.gives == (pool.offer.items[2],), "without a word, what it gave before"
    answer = machine(world).ask("PUT", f"/seats/{row.seat.id}/holder", {"email": DEE, "picked": f"course:{credit[0]}"})
    assert answer.get_json()["picked"] == f"course:{credit[0]}"


def test_what_was_picked_is_cleared_when_a_seat_is_open_again(world: World, credit: list[int]) -> None:
    (pool,) = pools(world)
    give(world, ADA, picked=pool.offer.items[1])
    assert world.bridge.desk.give_back(owner(world), seat(world, ADA)) is Why.GIVEN
    assert {row.seat.picked for row in seats(world)} == {None}
    assert {row.gives for row in seats(world)} == {()}


# --- small things ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["Élodie", "élodie", "ÉLODIE", "lod", "şahİn".replace("İ", "i"), "ŞAHIN"])
def test_a_name_is_found_in_any_case(world: World, product: int, inbox: Inbox, word: str) -> None:
    give(world, ADA)
    accepts(world, inbox, ADA, first_name="Élodie", last_name="ŞAHIN")
    assert [row.email for row in seats(world, search=word)] == [ADA]


def test_what_is_wrong_with_the_last_name_is_told_beside_it(world: World, bea: Manager) -> None:
    page = bea.post(f"/pools/{pool_of(world)}/give", email=ADA, first_name="Ada", last_name="=1+1", word="w")
    assert re.findall(r'id="one-(\w+)"[^>]*aria-invalid', page.text) == ["last_name"]
    page = bea.post(f"/pools/{pool_of(world)}/give", email=ADA, first_name="=1+1", last_name="Byte", word="w")
    assert re.findall(r'id="one-(\w+)"[^>]*aria-invalid', page.text) == ["first_name"]


def test_the_next_ones_days_begin_anew(world: World, boss: int, inbox: Inbox, offers: Callable[[str], None]) -> None:
    course = world.course("ONE")
    sold = world.shop.add_product("Days", sku="DAYS", price="9.00")
    offers(f'[[offer]]\nsku = "DAYS"\ngives = ["course:{course}"]\ndays = 30\n')
    buys(world, boss, sold, 2)
    give(world, ADA)
    accepts(world, inbox, ADA)
    (before,) = (row for row in world.rows("seats") if row.person_id)
    assert before.until is not None
    world.clock.advance(days=10)
    assert world.bridge.desk.reassign(owner(world), before.id, Invitee(1, BO)) is Why.GIVEN
    world.settle()
    (freed,) = (row for row in world.rows("seats") if row.person_id)
    assert (freed.begun_at, freed.until, freed.taken_at) == (None, None, None)
    accepts(world, inbox, BO)
    (after,) = (row for row in world.rows("seats") if row.person_id)
    assert (after.until - before.until).days == 10


def test_a_seat_is_given_to_somebody_else_as_often_as_it_may_be_and_no_more(
    world: World, product: int, inbox: Inbox
) -> None:
    give(world, ADA)
    accepts(world, inbox, ADA)
    number = seat(world, ADA)
    desk, most = world.bridge.desk, world.bridge.desk.rules.most_times
    for n in range(1, most):
        assert desk.reassign(owner(world), number, Invitee(1, f"p{n}@corp.test")) is Why.GIVEN
        world.settle()
        accepts(world, inbox, f"p{n}@corp.test")
    assert desk.reassign(owner(world), number, Invitee(1, BO)) is Why.TOO_OFTEN
    (row,) = (row for row in seats(world) if row.seat.person)
    assert (row.email, row.state) == (f"p{most - 1}@corp.test", SeatState.TAKEN), "they keep it"


@pytest.mark.parametrize(("owned", "free"), [(1, 2), (2, 3)])
def test_who_has_some_of_several_courses_takes_the_seat_and_who_has_all_leaves_it(
    world: World, boss: int, inbox: Inbox, offers: Callable[[str], None], owned: int, free: int
) -> None:
    courses = [world.course(f"C{n}") for n in range(2)]
    sold = world.shop.add_product("Bundle", sku="BUNDLE", price="90.00")
    gives = ", ".join(f'"course:{one}"' for one in courses)
    offers(f'[[offer]]\nsku = "BUNDLE"\ngives = [{gives}]\n')
    for course in courses[:owned]:
        world.look(world.shop.place_order([(world.sell(course), 1)], email=ADA))
    buys(world, boss, sold, 3)
    (pool,) = (pool for pool in pools(world) if pool.name == "Bundle")
    give(world, ADA, pool=pool)
    accepts(world, inbox, ADA)
    assert pools(world)[0].counts.get(SeatState.OPEN) == free


def test_who_has_the_course_for_less_long_takes_the_seat(
    world: World, boss: int, inbox: Inbox, offers: Callable[[str], None]
) -> None:
    course = world.course("ONE")
    short = world.shop.add_product("Short", sku="SHORT", price="9.00")
    long = world.shop.add_product("Long", sku="LONG", price="90.00")
    offers(
        f'[[offer]]\nsku = "SHORT"\ngives = ["course:{course}"]\ndays = 10\n'
        f'[[offer]]\nsku = "LONG"\ngives = ["course:{course}"]\ndays = 300\n'
    )
    world.look(world.shop.place_order([(short, 1)], email=ADA))
    buys(world, boss, long, 2)
    give(world, ADA)
    accepts(world, inbox, ADA)
    assert counts(world) == {"open": 1, "taken": 1}


def test_seats_whose_last_day_is_nearest_are_given_first(
    world: World, boss: int, offers: Callable[[str], None]
) -> None:
    course = world.course("ONE")
    sold = world.shop.add_product("Days", sku="DAYS", price="9.00")
    orders = []
    for days in (90, 30, 60):
        offers(f'[[offer]]\nsku = "DAYS"\ngives = ["course:{course}"]\nassign_days = {days}\n')
        orders.append(buys(world, boss, sold, 2))
    give(world, ADA, BO, CY)
    given: list[Any] = [(row.order, row.email) for row in seats(world) if row.email]
    assert sorted(given) == sorted([(orders[1], ADA), (orders[1], BO), (orders[2], CY)])


def test_who_only_looks_is_told_of_a_running_list_and_led_nowhere(world: World, bea: Manager, boss: int) -> None:
    batch = world.bridge.desk.prepare(owner(world), pools(world)[0], [Invitee(1, ADA)], "key")
    world.bridge.desk.confirm(owner(world), batch.id)
    assert "/lists/" in bea.get().text
    with world.bridge.store.begin() as connection:
        connection.execute(update(models.team_members).values(role="viewer"))
    page = bea.get()
    assert ("Seats are being given to a list" in text(page), "/lists/" in page.text) == (True, False)
