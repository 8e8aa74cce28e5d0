"""The forms by which seats are given: what was sent, or what is wrong with it in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping

from babel import Locale
from flask import request

from bridge.domain.offers import Item, read_item
from bridge.domain.roster_cells import read_name
from bridge.domain.rosters import Problem, Roster, Row, Unreadable, read_file, read_typed, row_of
from bridge.store.pooled import Pool
from bridge.web.browser import words_asked_for
from bridge.web.words import LANGUAGES

_OF_NAMES = frozenset({Problem.NAME_SIGNS, Problem.NAME_TOO_LONG, Problem.FORMULA})


class Wrong(Exception):
    """A form that can't be taken: field -> why, in the reader's language."""

    def __init__(self, **fields: str) -> None:
        super().__init__(", ".join(fields))
        self.fields = fields


def languages() -> Mapping[str, str]:
    """The languages that somebody can be written in, each as it calls itself."""
    return {code: str(Locale.parse(code).display_name).capitalize() for code in LANGUAGES}


def one_person() -> Row:
    """Who was typed into the form for one person. Raises Wrong."""
    row = row_of(1, *(request.form.get(field, "") for field in ("email", "first_name", "last_name", "language")))
    if row.problem is None:
        return row
    field = _misnamed() if row.problem in _OF_NAMES else "email"
    problem = Problem.NOT_AN_ADDRESS if row.problem is Problem.NO_ADDRESS else row.problem
    raise Wrong(**{field: words_asked_for()[f"team_problem_{problem}"]})


def _misnamed() -> str:
    """Which of the names is wrong."""
    return "first_name" if read_name(request.form.get("first_name", ""))[1] else "last_name"


def several_people() -> Roster:
    """Those who were typed or pasted, or are in the file. Raises Wrong."""
    words, file = words_asked_for(), request.files.get("file")
    text, data = request.form.get("people", ""), file.read() if file else b""
    field = "file" if data else "people"
    if data and text.strip():
        raise Wrong(file=words["team_list_both"])
    try:
        roster = read_file(data) if data else read_typed(text)
    except Unreadable as err:
        where = words["team_list_line"].format(line=err.line) + " " if err.line else ""
        raise Wrong(**{field: where + words[f"team_list_{err.why}"]}) from err
    if not roster.rows:
        raise Wrong(**{field: words["team_list_empty"]})
    return roster


def picked_of(pool: Pool) -> Item | None:
    """What was picked, where the pool lets one pick. Raises Wrong."""
    if not pool.offer.pick:
        return None
    try:
        item = read_item(request.form.get("picked", ""))
    except ValueError:
        item = None
    if item not in pool.offer.items:
        raise Wrong(picked=words_asked_for()["team_why_nothing_picked"])
    return item
