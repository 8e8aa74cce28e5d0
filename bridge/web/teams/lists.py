"""Giving seats to people: to one, to several that are typed or pasted, or to a list of up to 5,000 in a file.

All of them are lists to the desk: a short one without a question is given at once, any other is shown before. The form
has a word of its own, so that sent twice it is the same list, which is given once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from bridge.domain.offers import Item
from bridge.domain.rosters import Roster, Row
from bridge.domain.seats import Why
from bridge.domain.teams import Action
from bridge.office import Actor
from bridge.rosters_out import Cell, as_csv
from bridge.store import batches
from bridge.store.batches import Batch, Invitee, Misfit, Result
from bridge.store.db import Store
from bridge.store.pooled import Pool
from bridge.store.signon import Visit, new_secret
from bridge.web.browser import strict, words_asked_for
from bridge.web.teams.door import Door
from bridge.web.teams.forms import Wrong, one_person, picked_of, several_people
from bridge.web.teams.seats import Pools, as_file
from bridge.web.teams.table import PAGE, page_asked_for
from bridge.web.words import Words

#: People of a list that is given at once, if nothing about it is to be asked.
AT_ONCE = 20
#: Seconds after which the page of a list that is being given looks again.
LOOK_AGAIN = 3
_NUMBER = f"<int(max={2**63 - 1}):number>"


def add_lists(blueprint: Blueprint, door: Door, store: Store, pools: Pools) -> None:
    """``/team/KEY/pools/POOL/give`` and ``upload``, and ``/team/KEY/lists/…``."""

    def given(actor: Actor, visit: Visit, key: str, read: Callable[[], Roster]) -> Response:
        pool = pools.find(actor, key)
        try:
            picked, roster = picked_of(pool), read()
        except Wrong as err:
            again = {"typed": request.form, "wrong": err.fields}
            return pools.page(actor, visit, pool, HTTPStatus.UNPROCESSABLE_ENTITY, **again)
        batch = _prepared(door, actor, pool, roster, picked)
        if roster.wrong or roster.doubts or not 0 < len(roster.good) <= min(AT_ONCE, pool.to_give):
            return _to("teams.list_of", actor, number=batch.id)
        door.desk.confirm_now(actor, batch.id)
        return _to("teams.pool", actor, pool=pool.key, given=batch.id)

    @blueprint.post("/<key>/pools/<pool>/give")
    @door.guards(Action.GIVE)
    def give(*, actor: Actor, visit: Visit, pool: str) -> Response:
        """One person is given a seat."""
        return given(actor, visit, pool, lambda: Roster((one_person(),)))

    @blueprint.post("/<key>/pools/<pool>/upload")
    @door.guards(Action.GIVE)
    def upload(*, actor: Actor, visit: Visit, pool: str) -> Response:
        """Several are: what was typed or pasted, or a file."""
        return given(actor, visit, pool, several_people)

    def _find(actor: Actor, number: int) -> Batch:
        with store.read() as connection:
            batch = batches.find_batch(connection, number, actor.team.id)
        if batch is None:
            raise door.missing(actor, "list")
        return batch

    @blueprint.get(f"/<key>/lists/{_NUMBER}")
    @door.guards(Action.GIVE)
    def list_of(*, actor: Actor, visit: Visit, number: int) -> Response:
        """A list: what it would do, as long as it is not confirmed; then how far it is, and what became of it."""
        batch = _find(actor, number)
        pool = pools.find(actor, batch.pool)
        foreseen = {} if batch.begun else door.desk.foresee(batch)
        with store.read() as connection:
            told = batches.progress(connection, number)
            wrong = batches.misfits(connection, number)
            passed = [row for row, why in foreseen.items() if why is not Why.GIVEN]
            # Whoever looks before confirming looks for what is wrong first.
            only = request.args.get("only", "lacking" if wrong and not batch.begun else "")
            lacking = wrong + len(passed) + sum(many for why, many in told.items() if why not in (None, Why.GIVEN))
            total = lacking if only == "lacking" else wrong + sum(told.values())
            page, last = page_asked_for(total)
            which: dict[str, Any] = {"lacking": only == "lacking", "also": passed}
            rows = batches.results_of(connection, number, **which, most=PAGE, after=(page - 1) * PAGE)
        all_good = sum(told.values())
        shown: dict[str, Any] = {
            "told": told,
            "wrong": wrong,
            "good": all_good,
            "done": all_good - told.get(None, 0),
            "lacking": lacking,
            "foreseen": foreseen,
            **_what_would_be(pool, all_good, foreseen),
        }
        running = batch.begun is not None and batch.done is None
        return door.page(
            "list", actor, visit, batch=batch, pool=pool, names=pools.names(pool), rows=rows, only=only, page=page,
            pages=last, total=total, running=running, again=LOOK_AGAIN if running else 0, told_of=told_of, **shown,
        )  # fmt: skip

    @blueprint.post(f"/<key>/lists/{_NUMBER}/confirm")
    @door.guards(Action.GIVE)
    def confirm(*, actor: Actor, visit: Visit, number: int) -> Response:
        """The seats of a list are given."""
        door.desk.confirm(actor, _find(actor, number).id)
        return _to("teams.list_of", actor, number=number)

    @blueprint.get(f"/<key>/lists/{_NUMBER}/results.csv")
    @door.guards(Action.GIVE)
    def results(*, actor: Actor, visit: Visit, number: int) -> Response:
        """What became of every row, as a file."""
        _find(actor, number)
        words = words_asked_for()
        named = ("row", "address", "first_name", "last_name", "language", "result", "seat")
        with store.read() as connection:
            rows = [_cells(row, words) for row in _rows(connection, number)]
        return as_file(as_csv([words[f"team_{one}"] for one in named], rows), f"list-{number}", "csv")


def _what_would_be(pool: Pool, good: int, foreseen: Mapping[int, Why]) -> dict[str, int]:
    """What confirming a list would do to how many. ``renewed`` are asked once more to take a seat that waits for them;
    ``fresh`` would be given another of the ``seats`` that there are.
    """
    many = Counter(foreseen.values())
    renewed, seats = many[Why.GIVEN], pool.to_give - many[Why.GIVEN]
    fresh = good - len(foreseen)
    numbers = {"renewed": renewed, "fresh": fresh, "seats": seats, "gives": renewed + min(fresh, max(seats, 0))}
    return {**numbers, "has": many[Why.HAS_ONE], "no": many[Why.DECLINED]}


def _rows(connection: Any, number: int) -> Iterator[Result]:
    after = 0
    while rows := batches.results_of(connection, number, most=1_000, after=after):
        yield from rows
        after += len(rows)


def _cells(row: Result, words: Words) -> list[Cell]:
    one = row.invitee
    return [one.number, one.email, one.first_name, one.last_name, one.language, told_of(row, words), row.seat]


def told_of(row: Result, words: Words) -> str:
    """What became of a row, in words; "" as long as nothing has."""
    if row.problem is not None:
        return words[f"team_problem_{row.problem}"].format(first=row.first)
    return words[f"team_why_{row.why}"] if row.why else ""


# --- what was sent ---------------------------------------------------------------------------------------------------


def _prepared(door: Door, actor: Actor, pool: Pool, roster: Roster, picked: Item | None) -> Batch:
    good = [_invitee(row) for row in roster.good]
    wrong = [Misfit(_invitee(row), row.problem, row.first) for row in roster.wrong if row.problem]
    return door.desk.prepare(actor, pool, good, _key(pool, roster, picked), picked, wrong, roster.doubts)


def _invitee(row: Row) -> Invitee:
    return Invitee(row.number, row.email, row.first_name, row.last_name, row.language)


def _key(pool: Pool, roster: Roster, picked: Item | None) -> str:
    """The same for the same form, sent once more with the same in it. Whoever goes back and types something else sends
    another list.
    """
    word = request.form.get("word", "") or new_secret()
    said = hashlib.sha256(f"{word} {pool.key} {picked}".encode("utf-8", "replace"))
    for row in roster.rows:
        said.update(repr(row).encode("utf-8", "replace"))
    return f"page {said.hexdigest()[:56]}"


def _to(endpoint: str, actor: Actor, **named: Any) -> Response:
    return strict(redirect(url_for(endpoint, key=actor.team.key, **named), HTTPStatus.SEE_OTHER))
