"""The note on an order: how each seat stands, in words for its shop's staff and in one word for machines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.domain.enrolments import State
from bridge.domain.notes import order_note, stands
from bridge.domain.offers import Item, Kind, course

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
SEVEN = course(7)
LATER, EARLIER = NOW + timedelta(days=2), NOW - timedelta(days=2)


@dataclass(frozen=True)
class Seat:
    """A seat on which somebody sits who has access, unless told otherwise."""

    line_id: int = 1
    subscription_id: int | None = None
    name: str = ""
    item: Item = SEVEN
    live: bool = True
    why: str | None = None
    person_id: int | None = 100
    totara_id: int | None = 55
    state: str | None = State.ACTIVE
    verified: bool = True
    trouble: str | None = None
    held: str | None = None
    starts: datetime | None = None
    until: datetime | None = None
    waits: str | None = None
    team: bool = False


OPEN: dict[str, Any] = {"person_id": None, "totara_id": None, "state": None, "verified": False}
UNSEEN: dict[str, Any] = {"totara_id": None, "state": None, "verified": False}
ENDED: dict[str, Any] = {"live": False, "state": State.SUSPENDED, "verified": False}


@pytest.mark.parametrize(
    ("seat", "state", "words"),
    [
        (Seat(), "ready", "access ready for Totara user 55"),
        (Seat(until=LATER), "ready", "access ready for Totara user 55 until 2026-11-25 09:30 UTC"),
        (Seat(verified=False), "waiting", "waiting"),
        (Seat(**UNSEEN), "waiting", "waiting"),
        (Seat(state=State.WANTED), "waiting", "waiting"),
        (Seat(state=State.SUSPENDED), "waiting", "waiting"),
        (Seat(trouble="course 7: it is closed"), "waiting", "waiting: course 7: it is closed"),
        (Seat(**OPEN), "open", "open seat"),
        (Seat(**OPEN, starts=LATER), "open", "open seat"),
        (Seat(**UNSEEN, starts=LATER), "waiting", "waiting: access begins on 2026-11-25 09:30 UTC"),
        (Seat(starts=EARLIER), "ready", "access ready for Totara user 55"),
        (Seat(starts=NOW), "ready", "access ready for Totara user 55"),
        # what is over
        (Seat(**ENDED), "ended", "access ended"),
        (Seat(**ENDED, why="the order is refunded"), "ended", "access ended, the order is refunded"),
        (Seat(**ENDED, why="fewer units are paid for", held="in dispute"), "ended",
         "access ended, fewer units are paid for"),
        (Seat(live=False, why="fewer units are paid for", **OPEN), "ended",
         "unused seat ended, fewer units are paid for"),
        (Seat(live=False, waits="answer", **UNSEEN), "ended", "unused seat ended"),
        (Seat(live=False, waits="approval", **UNSEEN), "ended", "unused seat ended"),
        (Seat(until=EARLIER), "ended", "access ended on 2026-11-21 09:30 UTC"),
        (Seat(until=NOW), "ended", "access ended on 2026-11-23 09:30 UTC"),
        (Seat(**OPEN, until=EARLIER), "ended", "access ended on 2026-11-21 09:30 UTC"),
        (Seat(live=False, why="the order is refunded", trouble="it refuses"), "kept",
         "access could not be ended: it refuses"),
        (Seat(until=EARLIER, trouble="it refuses"), "kept", "access could not be ended: it refuses"),
        (Seat(**ENDED, trouble="it refused once"), "ended", "access ended"),
        # what rests
        (Seat(held="the payment is in dispute"), "held", "access rests: the payment is in dispute"),
        (Seat(**OPEN, held="the payment is in dispute"), "held", "access rests: the payment is in dispute"),
        (Seat(held="the payment is in dispute", trouble="it refuses"), "kept",
         "access could not be ended: it refuses"),
    ],
)  # fmt: skip
def test_how_a_seat_stands(seat: Seat, state: str, words: str) -> None:
    assert stands(seat, NOW) == (state, words)


def test_a_note_tells_each_line_once() -> None:
    program = Item(Kind.PROGRAM, 3)
    note = order_note([Seat(), Seat(2, item=program, **UNSEEN), Seat(0, 9, item=course(8), until=LATER)], NOW)
    assert note.text == (
        "Learning access: line 1, course 7: access ready for Totara user 55; line 2, program 3: waiting; "
        "subscription 9, course 8: access ready for Totara user 55 until 2026-11-25 09:30 UTC."
    )
    assert note.meta["_bridge_seats"] == note.text.removeprefix("Learning access: ").removesuffix(".")


def test_what_one_line_gives_is_told_thing_by_thing() -> None:
    note = order_note([Seat(), Seat(item=course(8), **UNSEEN)], NOW)
    assert note.meta["_bridge_seats"] == (
        "line 1, course 7: access ready for Totara user 55; line 1, course 8: waiting"
    )


def test_seats_of_one_line_that_stand_alike_are_counted() -> None:
    seats = [Seat(**OPEN), Seat(totara_id=56), Seat(**OPEN), Seat(**ENDED, why="fewer units are paid for")]
    assert order_note(seats, NOW).meta["_bridge_seats"] == (
        "line 1, course 7: 2 × open seat, 1 × access ready for Totara user 56, "
        "1 × access ended, fewer units are paid for"
    )


@pytest.mark.parametrize(
    ("seats", "word"),
    [
        ([], "none"),
        ([Seat(**ENDED)], "ended"),
        ([Seat(**ENDED), Seat()], "ready"),
        ([Seat(**ENDED), Seat(), Seat(**OPEN)], "open"),
        ([Seat(), Seat(**OPEN), Seat(held="in dispute")], "held"),
        ([Seat(), Seat(**OPEN), Seat(held="in dispute"), Seat(**UNSEEN)], "waiting"),
    ],
)
def test_for_machines_the_order_stands_as_its_worst_seat(seats: list[Seat], word: str) -> None:
    assert order_note(seats, NOW).meta["_bridge_access"] == word


def test_what_staff_should_know_comes_after_the_seats() -> None:
    note = order_note([Seat()], NOW, ["5.00 was given back without naming lines"], [course(7)])
    assert note.text == (
        "Learning access: line 1, course 7: access ready for Totara user 55; "
        "5.00 was given back without naming lines; "
        "course 7 was completed before this renewal, and Totara shows it as complete."
    )
    assert order_note([], NOW, ["the payment is not there"]).text == "Learning access: the payment is not there."


def test_the_same_is_said_in_the_same_words() -> None:
    assert order_note([Seat(), Seat(**OPEN)], NOW) == order_note([Seat(), Seat(**OPEN)], NOW + timedelta(hours=1))


def test_names_stand_beside_the_numbers_for_people_and_are_left_out_for_machines() -> None:
    seats = [Seat(name="Starter bundle"), Seat(name="Starter bundle", item=course(8)), Seat(2, name="Fire")]
    note = order_note(seats, NOW, ["5.00 was given back"])
    assert note.shown({SEVEN: "Fire", course(8): "R&D <b>"}, "en") == (
        "Learning access: “Starter bundle”, “Fire” – line 1, course 7: access ready for Totara user 55; "
        "“R&amp;D &lt;b&gt;” – line 1, course 8: access ready for Totara user 55; "
        "“Fire” – line 2, course 7: access ready for Totara user 55; 5.00 was given back."
    )
    assert "Fire" not in note.text + str(note.meta)
    assert note.shown({}, "en").startswith("Learning access: “Starter bundle” – line 1, course 7: access")


def test_a_name_in_several_languages_is_shown_in_the_shops_and_a_long_one_cut_short() -> None:
    name = '<span lang="en" class="multilang">Fire</span><span lang="fr" class="multilang">Feu</span>'
    assert "“Feu” – line 1" in order_note([Seat(name=name)], NOW).shown({}, "fr")
    assert f"“{'x' * 79}…” – line 1" in order_note([Seat(name="x" * 200)], NOW).shown({}, "en")


def test_without_names_a_note_is_shown_as_it_is() -> None:
    note = order_note([Seat()], NOW)
    assert note.shown({}, "en") == note.text
