"""Stories: a training manager gives seats, sees who has them, and takes them back. Over the wire, on both databases."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import update
from werkzeug.test import Client, TestResponse

from bridge.domain.rosters import read_file
from bridge.domain.seats import SeatState
from bridge.store import batches, models, pooled, teams
from bridge.web.sealing import Seal
from bridge.web.words import LANGUAGES, words_for
from tests.test_mail import Inbox
from tests.test_story_refunds import line_of
from tests.test_story_sign_on import claims, launch, signed
from tests.test_story_teams import ADA, BO, BOSS, accepts, buys, counts, give, owner, pools, seats, told
from tests.world import World

CSV = b"Email;First name;Last name;Language\r\n"


@pytest.fixture
def world(world_with_letters: World) -> World:
    return world_with_letters


@pytest.fixture
def boss(world: World) -> int:
    """A customer of the shop, whose company buys."""
    return world.shop.add_customer(BOSS, first_name="Bea", last_name="Boss")


class Manager:
    """Somebody's browser at the pages of a team: it follows what it is sent on to, and sends forms back."""

    def __init__(self, world: World, customer: int, email: str = BOSS, language: str = "en", **claimed: Any) -> None:
        self.world = world
        self.browser = Client(world.bridge.web())
        self._language = {"Accept-Language": language}
        launch(world, signed(claims(world, customer, email=email, target="team", **claimed)), self.browser)
        self.home = f"/team/{world.rows('teams')[0].key}"
        self.form = max(world.rows("visits"), key=lambda row: row.began).form

    def get(self, path: str = "/", **query: Any) -> TestResponse:
        named: dict[str, Any] = {"query_string": query} if query else {}
        return self.browser.get(self.home + path, headers=self._language, follow_redirects=True, **named)

    def post(self, path: str, **form: Any) -> TestResponse:
        answer = self.sends(path, form)
        return self.browser.get(answer.location, headers=self._language) if answer.location else answer

    def sends(self, path: str, form: Mapping[str, Any]) -> TestResponse:
        """What a form answers by itself."""
        return self.browser.post(self.home + path, data={"form": self.form, **form}, headers=self._language)

    def upload(self, pool: str, data: bytes, word: str = "once", **form: Any) -> TestResponse:
        file = (io.BytesIO(data), "people.csv")
        return self.post(f"/pools/{pool}/upload", word=word, people="", file=file, **form)


@pytest.fixture
def product(world: World, boss: int) -> int:
    """What the company has 40 seats of."""
    made = world.sell(world.course("ONE"))
    buys(world, boss, made, 40)
    return made


@pytest.fixture
def bea(world: World, boss: int, product: int) -> Manager:
    """The owner of the team."""
    assert product
    return Manager(world, boss)


def pool_of(world: World) -> str:
    return pools(world)[0].key


def pools_of(world: World, manager: Manager) -> list[pooled.Pool]:
    with world.bridge.store.read() as connection:
        team = teams.find_team(connection, manager.home.removeprefix("/team/"))
        assert team is not None
        return pooled.pools_of(connection, team.id, world.now())


def seat_of(world: World, address: str) -> int:
    (row,) = seats(world, search=address)
    return row.seat.id


def text(page: TestResponse) -> str:
    """What a person reads, on one line."""
    body = re.sub(r"<(style|script).*?</\1>", "", page.text, flags=re.S)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def all_accepted(world: World) -> None:
    """Whoever was asked has said yes: only then a team sees their names."""
    with world.bridge.store.begin() as connection:
        s = models.seats
        connection.execute(update(s).where(s.c.waits.is_not(None)).values(waits=None, taken_at=world.now()))


def people(number: int, word: str = "p") -> bytes:
    rows = "".join(f"{word}{n}@corp.test;Pia;Number {n};fr\r\n" for n in range(number))
    return CSV + rows.encode()


# --- the overview ----------------------------------------------------------------------------------------------------


def test_the_overview_tells_what_was_bought_and_how_it_stands(world: World, bea: Manager, inbox: Inbox) -> None:
    give(world, ADA, BO)
    accepts(world, inbox, ADA)
    page = bea.get()
    assert page.status_code == 200
    for words in ("Harbour & Sons".replace("&", "&amp;"), "1 taken", "1 invited", "38 open", "40 seats"):
        assert words in text(page)
    assert f"/pools/{pool_of(world)}" in page.text
    widths = [float(one) for one in re.findall(r'<rect class="is-\w+" x="[\d.]+" y="0" width="([\d.]+)"', page.text)]
    assert sum(widths) == pytest.approx(1000, abs=10)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ("1 invited", "1 taken", "38 open")),
        ("fr", ("1 invitation envoyée", "1 occupée", "38 libres")),
        ("es", ("1 invitación enviada", "1 ocupada", "38 libres")),
        ("ar", ("1 دعوة مُرسلة", "1 مشغول", "38 شاغرًا")),
    ],
)
def test_the_picture_tells_one_and_many_as_each_language_does(
    world: World, boss: int, product: int, inbox: Inbox, language: str, told: tuple[str, ...]
) -> None:
    give(world, ADA, BO)
    accepts(world, inbox, ADA)
    manager = Manager(world, boss, language=language)
    for path in ("/", f"/pools/{pool_of(world)}"):
        page = text(manager.get(path))
        assert [one for one in told if one not in page] == [], path


def test_a_team_whose_seats_were_all_refunded_is_told_how_it_gets_some(world: World, bea: Manager) -> None:
    order = world.rows("orders")[0].id
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert "There are no seats yet" in text(bea.get())


def test_who_waits_for_a_yes_stands_on_top_and_is_approved_there(world: World, bea: Manager, inbox: Inbox) -> None:
    world.bridge.desk.configure(owner(world), name="Harbour", approval=True)
    give(world, ADA)
    accepts(world, inbox, ADA)
    page = bea.get()
    assert text(page).index("Waiting for your yes") < text(page).index("40 seats")
    answer = bea.post(f"/seats/{seat_of(world, ADA)}/approve", back="overview")
    assert answer.request.path == f"{bea.home}/"
    assert "Approved: access is being prepared." in text(answer)
    assert "Waiting for your yes" not in text(answer)
    assert counts(world) == {"open": 39, "taken": 1}


def test_every_page_of_a_team_says_whose_it_is(world: World, bea: Manager) -> None:
    world.bridge.desk.configure(owner(world), name="Harbour & Sons", approval=False)
    for path in ("/", f"/pools/{pool_of(world)}", "/seats", "/history", "/orders", "/settings"):
        assert "<bdi>Harbour &amp; Sons</bdi>" in bea.get(path).text, path


def test_whoever_waits_for_a_yes_can_be_declined_from_there(world: World, bea: Manager, inbox: Inbox) -> None:
    world.bridge.desk.configure(owner(world), name="Harbour", approval=True)
    give(world, ADA)
    accepts(world, inbox, ADA)
    asks = f"/seats/{seat_of(world, ADA)}/give-back"
    assert f'<a href="{bea.home}{asks}" aria-label="Decline: ' in bea.get().text
    assert "Take this seat back?" in text(bea.get(asks))
    bea.post(asks)
    assert counts(world) == {"open": 40}


def test_completion_is_counted_where_it_may_be_seen(world: World, bea: Manager, inbox: Inbox) -> None:
    give(world, ADA, BO)
    accepts(world, inbox, ADA, consents=True)
    accepts(world, inbox, BO)
    with world.bridge.store.begin() as connection:
        connection.execute(update(models.access).values(completed=True))
    assert "1 completed" in text(bea.get())
    shown = {row.email: row.state for row in seats(world) if row.email}
    assert shown == {ADA: SeatState.COMPLETED, BO: SeatState.TAKEN}
    for state, address in (("completed", ADA), ("taken", BO)):
        (row,) = seats(world, states=frozenset({SeatState(state)}))
        assert row.email == address


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ("40 new", "1 ended")),
        ("fr", ("40 nouvelles", "1 terminée ")),
        ("es", ("40 nuevas", "1 terminada ")),
        ("ar", ("جديدة: 40", "منتهية: 1")),
    ],
)
def test_the_history_tells_one_and_many_as_each_language_does(
    world: World, boss: int, product: int, language: str, told: tuple[str, ...]
) -> None:
    (order,) = (row.id for row in world.rows("orders"))
    world.shop.refund(order, lines={line_of(world, order): 1})
    world.look(order)
    page = text(Manager(world, boss, language=language).get("/history"))
    assert [one for one in told if one not in page] == []


# --- giving ----------------------------------------------------------------------------------------------------------


def test_one_person_is_given_a_seat_and_told_so(world: World, bea: Manager, inbox: Inbox) -> None:
    one = {"email": " Ada@Corp.test ", "first_name": "Ada", "last_name": "Byron", "language": "fr", "word": "w1"}
    page = bea.post(f"/pools/{pool_of(world)}/give", **one)
    assert "1 seat was given" in text(page)
    world.settle()
    assert [mail["To"] for mail in inbox.mails] == ["Ada Byron <ada@corp.test>"]
    (person,) = [row for row in world.rows("persons") if row.email == ADA]
    assert (person.first_name, person.language) == ("Ada", "fr")


def test_the_same_form_sent_twice_gives_once(world: World, bea: Manager) -> None:
    path, people_ = f"/pools/{pool_of(world)}/upload", "a@corp.test\nb@corp.test"
    for _ in range(3):
        page = bea.post(path, word="w1", people=people_)
        assert "2 seats were given" in text(page)
    assert len(world.rows("batches")) == 1
    assert counts(world) == {"open": 38, "invited": 2}
    page = bea.post(path, word="w1", people="c@corp.test")
    assert "1 seat was given" in text(page), "who goes back and types others sends another list"


def test_who_has_one_already_is_told_of_and_given_nothing(world: World, bea: Manager) -> None:
    give(world, ADA)
    page = bea.post(f"/pools/{pool_of(world)}/upload", word="w", people=f"{ADA}\n{BO}")
    assert "1 seat was given" in text(page)
    assert "ada@corp.test : Has one of these seats already" in text(page)


@pytest.mark.parametrize(
    ("field", "typed", "told_so"),
    [
        ("email", {"email": "ada at corp"}, "This is no e-mail address."),
        ("email", {"email": ""}, "This is no e-mail address."),
        ("first_name", {"email": ADA, "first_name": "=1+1"}, "A spreadsheet would take this name for a formula."),
    ],
)
def test_what_is_wrong_with_a_person_stands_beside_the_field_and_nothing_typed_is_lost(
    world: World, bea: Manager, field: str, typed: dict[str, str], told_so: str
) -> None:
    page = bea.post(f"/pools/{pool_of(world)}/give", last_name="King", word="w", **typed)
    assert page.status_code == 422
    assert f'<span class="wrong" id="one-{field}-wrong">{told_so}</span>' in page.text
    assert 'role="alert"' in page.text
    assert f'href="#one-{field}"' in page.text
    assert 'value="King"' in page.text
    assert counts(world) == {"open": 40}


def test_where_one_of_several_is_picked_it_is_asked_by_name(world: World, boss: int, offers: Any) -> None:
    courses = [world.course(f"C{n}", name=f"Course & {n}") for n in range(3)]
    sold = world.shop.add_product("Training credit", sku="CREDIT", price="90.00")
    gives = ", ".join(f'"course:{one}"' for one in courses)
    offers(f'[[offer]]\nsku = "CREDIT"\ngives = [{gives}]\npick = true\n')
    buys(world, boss, sold, 3)
    bea = Manager(world, boss)
    page = bea.get(f"/pools/{pool_of(world)}")
    assert "Course &amp; 2" in page.text
    path = f"/pools/{pool_of(world)}/give"
    for picked in ("", "course:999999", "nonsense"):
        again = bea.post(path, email=ADA, picked=picked, word="w")
        assert (again.status_code, "Choose first what the seats are to give." in text(again)) == (422, True)
    bea.post(path, email=ADA, picked=f"course:{courses[1]}", word="w")
    assert "Course &amp; 1" in bea.get(f"/seats/{seat_of(world, ADA)}").text
    (row,) = seats(world, search=ADA)
    assert row.seat.picked is not None
    assert row.seat.picked.id == courses[1]


# --- lists -----------------------------------------------------------------------------------------------------------


def test_a_list_is_looked_at_confirmed_and_given_while_its_page_tells_how_far_it_is(
    world: World, bea: Manager, inbox: Inbox
) -> None:
    preview = bea.upload(pool_of(world), people(30) + b"nobody;No;Body;\r\np1@corp.test;Again;And;\r\n")
    assert preview.request.path.startswith(f"{bea.home}/lists/")
    for words in ("30 people can be given a seat", "2 rows with problems", "40 seats are open", "This is no e-mail"):
        assert words in text(preview)
    assert "This address stands in row 3 already." in text(preview)
    assert counts(world) == {"open": 40}
    assert preview.headers.get("Refresh") is None
    (batch,) = world.rows("batches")
    for _ in range(2):
        running = bea.post(f"/lists/{batch.id}/confirm")
    assert ("0 of 30 done" in text(running), running.headers["Refresh"]) == (True, "3")
    still = bea.get(f"/lists/{batch.id}", still=1)
    assert "Refresh" not in still.headers
    assert "Seats are being given to a list" in text(bea.get())
    world.settle()
    done = bea.get(f"/lists/{batch.id}")
    assert ("30 of 30 done" in text(done), "Refresh" in done.headers) == (True, False)
    assert counts(world) == {"open": 10, "invited": 30}
    assert len(inbox.mails) == 30
    assert told(world).count("seat given") == 30


def test_a_list_with_too_few_seats_is_warned_of_and_gives_what_there_is(world: World, bea: Manager) -> None:
    page = bea.upload(pool_of(world), people(45))
    assert "There are more people on the list than open seats" in text(page)
    assert "Give 40 seats" in text(page)
    (batch,) = world.rows("batches")
    bea.post(f"/lists/{batch.id}/confirm")
    world.settle()
    page = bea.get(f"/lists/{batch.id}", only="lacking")
    assert "Rows without a seat (5)" in text(page)
    assert "No seat is open any more." in text(page)
    assert "p44@corp.test" in page.text
    assert "p1@corp.test" not in page.text
    file = bea.get(f"/lists/{batch.id}/results.csv")
    rows = file.data.decode("utf-8-sig").split("\r\n")
    assert rows[0] == '"Row","E-mail address","First name","Last name","Language","Result","Seat"'
    assert rows[1].startswith('"2","p0@corp.test","Pia","Number 0","fr","is given a seat, and invited","')
    assert rows[45] == '"46","p44@corp.test","Pia","Number 44","fr","No seat is open any more.",""'
    assert file.headers["Content-Disposition"].startswith("attachment")


def test_nobody_can_be_given_anything_by_a_list_of_nonsense(world: World, bea: Manager) -> None:
    page = bea.upload(pool_of(world), CSV + b"x@;;;\r\ny@;;;\r\n")
    assert "Nobody on this list can be given a seat." in text(page)
    assert "/confirm" not in page.text


@pytest.mark.parametrize(
    ("data", "told_so"),
    [
        (b"PK\x03\x04whatever", "This is a workbook. Save it as CSV (UTF-8)"),
        (b"Email\n\0\0", "This is no list."),
        (b'Email,Name\n"a@x.test,b\n', "The quotation marks in this file don’t match."),
        (b" \n\n", "There is nobody on this list."),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_does_nothing(
    world: World, bea: Manager, data: bytes, told_so: str
) -> None:
    page = bea.upload(pool_of(world), data)
    assert page.status_code == 422
    assert told_so in text(page)
    assert world.rows("batches") == []


def test_a_list_and_a_file_at_once_are_told_apart_and_what_was_typed_stays(world: World, bea: Manager) -> None:
    file = (io.BytesIO(people(2)), "people.csv")
    page = bea.post(f"/pools/{pool_of(world)}/upload", word="w", people="typed@corp.test", file=file)
    assert page.status_code == 422
    assert "Either type the people or choose a file" in text(page)
    assert "typed@corp.test</textarea>" in page.text


def test_five_thousand_are_taken_on_and_one_more_is_told_to_be_too_many(world: World, bea: Manager) -> None:
    page = bea.upload(pool_of(world), people(5000))
    assert "5000 people can be given a seat" in text(page)
    assert "1 of 100" in text(page)
    assert "p4999@corp.test" in bea.get(page.request.path.removeprefix(bea.home), page=10**8).text
    page = bea.upload(pool_of(world), people(5001), word="more")
    assert "A list has 5,000 people at most." in text(page)


def test_what_is_too_large_to_be_a_form_is_told_so(world: World, bea: Manager) -> None:
    path = f"/pools/{pool_of(world)}"
    for form in ({"path": "give", "email": "x" * 70_000}, {"path": "upload", "people": "x" * 4_000_000}):
        page = bea.post(f"{path}/{form.pop('path')}", **form)
        assert (page.status_code, "This is too much at once" in text(page)) == (413, True)


def test_what_a_list_shows_of_nonsense_is_only_text(world: World, bea: Manager) -> None:
    named = "<script>alert(1)</script>"
    page = bea.upload(pool_of(world), CSV + f"{named};{named};x;\r\n".encode() + people(30)[len(CSV) :])
    assert named not in page.text
    assert "&lt;script&gt;" in page.text


# --- finding ---------------------------------------------------------------------------------------------------------


def test_what_is_searched_for_stands_in_no_address_and_in_no_log(
    world: World, bea: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    give(world, ADA, BO)
    caplog.clear()
    sent = bea.sends("/seats/find", {"search": "ADA@corp", "state": "invited", "sort": "-name"})
    assert sent.status_code == 303
    assert sent.location == f"{bea.home}/seats?state=invited&sort=-name#seats"
    assert "Path=/;" in sent.headers["Set-Cookie"] + ";"
    kept = bea.browser.get_cookie("bridge-search")
    assert kept is not None
    for part in (kept.value, *kept.value.split(".")):
        assert b"ada@" not in part.lower().encode() + base64.urlsafe_b64decode(f"{part}===").lower(), "nor in disguise"
    assert "HttpOnly" in sent.headers["Set-Cookie"]
    for path in (sent.location.removeprefix(bea.home), "/seats?sort=email"):
        page = bea.get(path)
        assert ("ada@corp.test" in page.text, "bo@corp.test" in page.text) == (True, False)
        assert 'value="ADA@corp"' in page.text
        assert "ADA@corp" not in "".join(re.findall(r'(?:href|action)="([^"]*)"', page.text))
    assert "bo@corp.test" in bea.get(f"/pools/{pool_of(world)}").text, "every table has a search of its own"
    assert "ada@corp" not in caplog.text.lower()
    bea.post("/seats/find", search="")
    assert "bo@corp.test" in bea.get("/seats").text


def test_what_one_visitor_searched_for_is_not_there_for_the_next(world: World, boss: int, bea: Manager) -> None:
    give(world, ADA, BO)
    bea.post("/seats/find", search="ada@")
    assert "bo@corp.test" not in bea.get("/seats").text
    launch(world, signed(claims(world, boss, email=BOSS, target="team")), bea.browser)
    assert "bo@corp.test" in bea.get("/seats").text


def test_what_is_searched_for_in_one_team_or_table_is_not_in_another(world: World, boss: int, bea: Manager) -> None:
    give(world, ADA, BO)
    bea.post("/seats/find", search="ada@", pool=pool_of(world))
    assert "bo@corp.test" not in bea.get(f"/pools/{pool_of(world)}").text
    assert "bo@corp.test" in bea.get("/seats").text
    kept = bea.browser.get_cookie("bridge-search")
    assert kept is not None
    bea.browser.set_cookie("bridge-search", kept.value[:-4] + "AAAA")
    assert "bo@corp.test" in bea.get(f"/pools/{pool_of(world)}").text, "and nobody can change it"


@pytest.mark.parametrize("word", ["%", "_", "\\", "'; DROP TABLE seats; --", "\0", "ä" * 500, "<b>"])
def test_any_word_can_be_searched_for(world: World, bea: Manager, word: str) -> None:
    give(world, ADA)
    page = bea.post("/seats/find", search=word, pool=pool_of(world))
    assert page.status_code == 200
    assert "<b>" not in page.text.split("<main>")[1].replace("<bdi>", "")


def test_a_cookie_that_somebody_made_up_finds_everything(world: World, bea: Manager) -> None:
    give(world, ADA)
    for value in (
        "x",
        "x.y",
        "." * 50,
        "%00",
        "é",
        Seal("search", "x").close(bea.home.removeprefix("/team/"), "", "bo@"),
    ):
        bea.browser.set_cookie("bridge-search", value)
        assert "ada@corp.test" in bea.get("/seats").text


def test_a_table_is_narrowed_ordered_and_paged(world: World, boss: int, product: int, bea: Manager) -> None:
    buys(world, boss, product, 40)
    give(world, *[f"p{n:02}@corp.test" for n in range(60)])

    def shown(**query: Any) -> list[str]:
        return re.findall(r"<bdi>([^<]*@[^<]*)</bdi></a>", bea.get("/seats", **query).text)

    everybody = [f"p{n:02}@corp.test" for n in range(60)]
    assert sorted(shown() + shown(page=2)) == everybody
    assert shown(sort="email") == everybody[:50]
    assert shown(sort="-email", page=2)[:10] == everybody[9::-1]
    assert shown(state="open") == []
    assert "20 seats" in text(bea.get("/seats", state="open"))
    for nonsense in ({"page": "x"}, {"page": "-3"}, {"page": "9" * 30}, {"sort": "password"}, {"state": "none"}):
        assert bea.get("/seats", **nonsense).status_code == 200
    assert 'aria-sort="descending"' in bea.get("/seats", sort="-name").text


# --- one seat --------------------------------------------------------------------------------------------------------


def test_a_seat_tells_what_happened_to_it_and_who_did_it(world: World, bea: Manager, inbox: Inbox) -> None:
    give(world, ADA)
    accepts(world, inbox, ADA)
    page = text(bea.get(f"/seats/{seat_of(world, ADA)}"))
    for words in ("Ada Byte", "ada@corp.test", "taken", "not shared with you", "seat given", "Bea Boss"):
        assert words in page
    assert page.index("invitation accepted") < page.index("seat given"), "the newest comes first"
    assert "Send again" not in page


def test_an_open_seats_page_leads_to_where_it_is_given(world: World, bea: Manager) -> None:
    give(world, ADA)
    way = f'href="{bea.home}/pools/{pool_of(world)}#give">Give a seat</a>'
    (seat,) = [row.seat.id for row in seats(world) if row.state is SeatState.OPEN][:1]
    assert way in bea.get(f"/seats/{seat}").text
    assert way not in bea.get(f"/seats/{seat_of(world, ADA)}").text
    with world.bridge.store.begin() as connection:
        connection.execute(update(models.team_members).values(role="viewer"))
    assert way not in bea.get(f"/seats/{seat}").text


def test_an_invitation_is_sent_again(world: World, bea: Manager, inbox: Inbox) -> None:
    give(world, ADA)
    page = bea.post(f"/seats/{seat_of(world, ADA)}/resend")
    assert "The invitation is on its way once more." in text(page)
    world.settle()
    assert len(inbox.mails) == 2


def test_a_seat_is_taken_back_after_one_was_told_what_that_does(world: World, bea: Manager) -> None:
    give(world, ADA)
    seat = seat_of(world, ADA)
    asked = bea.get(f"/seats/{seat}/give-back")
    assert "Whoever has it now loses it" in text(asked)
    assert counts(world) == {"open": 39, "invited": 1}
    page = bea.post(f"/seats/{seat}/give-back")
    assert "The seat was taken back. It is open again." in text(page)
    assert counts(world) == {"open": 40}
    again = bea.post(f"/seats/{seat}/give-back")
    assert (again.status_code, "This has changed meanwhile." in text(again)) == (409, True)


def test_nobody_who_learns_is_thrown_out_and_the_page_says_why(
    world: World, boss: int, bea: Manager, inbox: Inbox
) -> None:
    give(world, ADA)
    accepts(world, inbox, ADA)
    world.totara.users[world.user(ADA)].lastaccess = int(world.clock())
    seat = seat_of(world, ADA)
    for path, form in (("give-back", {}), ("reassign", {"email": BO})):
        page = bea.post(f"/seats/{seat}/{path}", **form)
        assert page.status_code == 409
        assert "or that it was not can’t be told for certain" in text(page)
    french = Manager(world, boss, language="fr").post(f"/seats/{seat}/give-back")
    assert "ou il n’est pas certain qu’il ne l’ait pas été" in text(french)
    assert counts(world) == {"open": 39, "taken": 1}


def test_a_seat_goes_to_somebody_else(world: World, bea: Manager, inbox: Inbox) -> None:
    give(world, ADA)
    seat = seat_of(world, ADA)
    assert "ada@corp.test" in bea.get(f"/seats/{seat}/reassign").text
    page = bea.post(f"/seats/{seat}/reassign", email=BO, first_name="Bo", last_name="Byte")
    assert "the new person is invited" in text(page)
    assert seat_of(world, BO) == seat
    world.settle()
    assert inbox.mails[-1]["To"] == "Bo Byte <bo@corp.test>"


def test_what_stands_in_the_way_of_another_is_told_beside_the_address(world: World, bea: Manager) -> None:
    give(world, ADA, BO)
    seat = seat_of(world, ADA)
    has = bea.post(f"/seats/{seat}/reassign", email=BO, last_name="Typed")
    assert (has.status_code, "Has one of these seats already" in text(has)) == (409, True)
    wrong = bea.post(f"/seats/{seat}/reassign", email="no address", last_name="Typed")
    assert (wrong.status_code, "This is no e-mail address." in text(wrong)) == (422, True)
    for page in (has, wrong):
        assert 'value="Typed"' in page.text
    assert counts(world) == {"open": 38, "invited": 2}


def test_while_totara_is_away_nothing_is_changed_and_nothing_typed_is_lost(
    world: World, bea: Manager, inbox: Inbox
) -> None:
    give(world, ADA)
    accepts(world, inbox, ADA)
    seat = seat_of(world, ADA)
    world.totara.faults.down()
    for path, form in (("give-back", {}), ("reassign", {"email": BO, "last_name": "Typed"})):
        page = bea.post(f"/seats/{seat}/{path}", **form)
        assert page.status_code == 503
        assert "the learning site does not answer. Nothing was changed." in text(page)
    assert 'value="Typed"' in page.text
    assert counts(world) == {"open": 39, "taken": 1}
    world.totara.faults.clear()
    world.pass_time()
    assert "is open again" in text(bea.post(f"/seats/{seat}/give-back"))


# --- taking along ----------------------------------------------------------------------------------------------------


def test_all_seats_that_match_are_taken_along_and_that_is_written_down(world: World, bea: Manager) -> None:
    evil = '=HYPERLINK("http://x.test")'
    bea.post(f"/pools/{pool_of(world)}/upload", word="w", people=f"{ADA}\n{BO}")
    all_accepted(world)
    with world.bridge.store.begin() as connection:
        p = models.persons
        connection.execute(update(p).where(p.c.email == ADA).values(first_name=evil))
    bea.post("/seats/find", search="ada@")
    for pool, rows in (("", 2), (pool_of(world), 41)):
        taken = bea.post("/seats/export", format="csv", pool=pool, sort="email")
        lines = taken.data.decode("utf-8-sig").strip().split("\r\n")
        assert len(lines) == rows
        assert ADA in lines[1]
        assert "\"'=HYPERLINK" in lines[1]
    book = bea.post("/seats/export", format="xlsx")
    assert book.data.startswith(b"PK")
    assert "spreadsheetml" in book.headers["Content-Type"]
    assert [row.facts["seats"] for row in world.rows("audit") if row.event == "list exported"] == [1, 40, 1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_list_that_is_taken_along_tells_whose_letter_could_not_be_delivered(
    world: World, boss: int, product: int, inbox: Inbox, language: str
) -> None:
    give(world, "cy@corp.test")
    accepts(world, inbox, "cy@corp.test")
    inbox.answers["RCPT"] = "550 5.1.1 No such user here"
    give(world, ADA)
    del inbox.answers["RCPT"]
    give(world, BO)
    words, manager = words_for(language), Manager(world, boss, language=language)
    data = manager.post("/seats/export", format="csv", sort="email").data
    address, failed = words["team_address"], words["team_letter_failed"]
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))[:4]
    told = {row[address]: row[failed] for row in rows}
    assert told == {ADA: words["team_yes"], BO: words["team_no"], "cy@corp.test": "", "": ""}
    assert {row.email for row in read_file(data).good} == {ADA, BO, "cy@corp.test"}, "it is still read as a list"


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_form_without_the_visits_word_or_with_anothers_does_nothing(world: World, boss: int, bea: Manager) -> None:
    other = Manager(world, boss)
    path = f"{bea.home}/pools/{pool_of(world)}/give"
    for word in ({}, {"form": ""}, {"form": other.form}):
        answer = bea.browser.post(path, data={"email": ADA, "word": "w", **word})
        assert answer.status_code == 403
    assert counts(world) == {"open": 40}
    assert [row.cause for row in world.rows("audit") if row.event == "sign-on refused"] == [
        "a form that was not given to this visitor"
    ] * 3


def test_a_list_and_a_pool_of_another_team_are_not_there(world: World, boss: int, bea: Manager) -> None:
    eve = world.shop.add_customer("eve@else.test", first_name="Eve")
    sold = world.sell(world.course("TWO"))
    number = world.shop.place_order([(sold, 30)], customer_id=eve, email="eve@else.test", company="Else")
    world.look(number)
    theirs = Manager(world, eve, "eve@else.test")
    theirs.home = f"/team/{world.rows('teams')[1].key}"
    pool = pools_of(world, theirs)[0].key
    theirs.upload(pool, people(25))
    (batch,) = world.rows("batches")
    for path in (f"/lists/{batch.id}", f"/lists/{batch.id}/results.csv", f"/pools/{pool}"):
        assert bea.get(path).status_code == 404
    assert bea.post(f"/lists/{batch.id}/confirm").status_code == 404
    assert bea.post("/seats/export", pool=pool).status_code == 404
    with world.bridge.store.read() as connection:
        found = batches.find_batch(connection, batch.id)
    assert found is not None
    assert found.begun is None
    own = pools_of(world, bea)
    assert "p1@corp.test" not in bea.get(f"/pools/{own[0].key}", given=batch.id).text


def test_the_name_of_a_team_and_of_people_is_only_text(world: World, bea: Manager) -> None:
    named = "<img src=x onerror=alert(1)>"
    world.bridge.desk.configure(owner(world), name=named, approval=False)
    bea.post(f"/pools/{pool_of(world)}/give", email=ADA, first_name=named, last_name="x", word="w")
    all_accepted(world)
    for path in ("/", f"/pools/{pool_of(world)}", "/seats", f"/seats/{seat_of(world, ADA)}"):
        page = bea.get(path)
        assert named not in page.text
        assert "&lt;img src=x" in page.text


@pytest.mark.parametrize(
    "path", ["/team/%00/", "/team/%00/seats", "/team/x%00y/seats/1", f"/team/{'9' * 24}/seats/{'9' * 30}"]
)
def test_nothing_is_found_by_nonsense(bea: Manager, path: str) -> None:
    assert bea.browser.get(path).status_code == 404
    assert bea.get("/pools/%00").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/seats/abc", 404),
        ("/nowhere", 404),
        (f"/seats/{'9' * 30}", 404),
        ("/seats/find", 405),
        ("/seats/1/resend", 405),
    ],
)
def test_an_address_that_is_none_is_told_so_in_words_of_ours(bea: Manager, path: str, status: int) -> None:
    """Whoever opens the address of a form's answer anew comes by GET."""
    page = Manager(bea.world, bea.world.rows("persons")[0].customer_id, language="fr").get(path)
    assert (page.status_code, words_for("fr")["team_nothing"] in page.text) == (status, True)
    assert 'lang="fr"' in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert ("POST" in page.headers.get("Allow", "")) == (status == 405)


@pytest.mark.parametrize("path", ["/learn/x", "/sso/x", "/sso/launch", "/team/invitation/look"])
def test_pages_for_learners_that_are_none_are_told_so_too(world: World, path: str) -> None:
    page = world.web.get(path)
    assert page.status_code in {404, 405}
    assert words_for("en")["team_nothing"] in page.text


@pytest.mark.parametrize("language", ["en", "fr", "es", "ar"])
def test_the_pages_have_words_in_every_language(world: World, boss: int, bea: Manager, language: str) -> None:
    give(world, ADA)
    bea.upload(pool_of(world), people(30) + b"nobody;No;Body;\r\n")
    reader = Manager(world, boss, language=language)
    (batch,) = world.rows("batches")
    seat = seat_of(world, ADA)
    paths = ("/", f"/pools/{pool_of(world)}", "/seats", f"/lists/{batch.id}", f"/seats/{seat}")
    for path in (*paths, f"/seats/{seat}/give-back", f"/seats/{seat}/reassign"):
        page = reader.get(path)
        assert page.status_code == 200
        assert f'lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}"' in page.text
        empty = re.findall(r"<(h1|h2|button|label|th|a|caption)\b[^>]*>\s*</\1>", page.text)
        assert empty == [], f"{path} has something without a word"
