"""What a team has bought, who has it, and lists of that to take along."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bridge.desk import Many
from bridge.domain.offers import Item
from bridge.domain.seats import SeatState, Wait
from bridge.domain.teams import Action
from bridge.domain.texts import plain
from bridge.naming import Names
from bridge.office import Actor
from bridge.rosters_out import Cell, as_csv, as_xlsx
from bridge.store import batches, pooled
from bridge.store.db import Store
from bridge.store.pooled import Pool, SeatRow, Wanted
from bridge.store.signon import Visit, new_secret
from bridge.web.browser import language_asked_for, strict, words_asked_for
from bridge.web.teams.door import Door
from bridge.web.teams.forms import languages
from bridge.web.teams.table import DEFAULT, STATES, keep_search, searched, table_of, wanted_by
from bridge.web.words import Words

#: Acceptances that are shown before all else, and rows that are read at a time for a list to take along.
MOST_APPROVALS, CHUNK = 10, 2_000
_MIMES = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


class Pools:
    """The pools of teams, as pages show them."""

    def __init__(self, door: Door, store: Store, names: Names, now: Callable[[], datetime]) -> None:
        self._door = door
        self._store = store
        self._names = names
        self._now = now

    def find(self, actor: Actor, key: str) -> Pool:
        """The team's pool of this key; else whoever asks is told that there is none."""
        now = self._now()
        with self._store.read() as connection:
            pool = pooled.find_pool(connection, actor.team.id, key, now)
            if pool is not None:
                return pooled.with_learning(connection, actor.team.id, [pool], now)[0]
        raise self._door.missing(actor, "pool")

    def names(self, *pools: Pool) -> dict[Item, str]:
        """What the things are called that these pools give."""
        items = dict.fromkeys(item for pool in pools if len(pool.offer.items) > 1 for item in pool.offer.items)
        return dict(self._names.of(items, language_asked_for()))

    def given_by(self, rows: Iterable[SeatRow]) -> Mapping[Item, str]:
        """What the things are called that these seats give, where that is to be told."""
        return self._names.of(dict.fromkeys(item for row in rows for item in row.told_apart), language_asked_for())

    def page(self, actor: Actor, visit: Visit, pool: Pool, status: int = HTTPStatus.OK, **values: Any) -> AnyResponse:
        """A pool's page: what it has, the forms by which its seats are given, and who has them. ``values`` are what
        was typed into the forms and what is wrong with it, if they come back.
        """
        search = searched(self._door.browser, actor, pool.key)
        wanted = replace(wanted_by(request.args, pool.key), search=search)
        table = table_of(self._store, actor, wanted, self._now())
        self._door.desk.look_how_far(table.rows)
        shown: dict[str, Any] = {
            "pool": pool,
            "names": self.names(pool),
            "table": table,
            "given": self.given_by(table.rows),
            "states": STATES,
            "languages": languages(),
            "word": new_secret(),
            "typed": {},
            "wrong": {},
        }
        return self._door.page("pool", actor, visit, status, **{**shown, **values})


def add_seats(blueprint: Blueprint, door: Door, store: Store, pools: Pools, now: Callable[[], datetime]) -> None:
    """``/team/KEY/``, the pools and the tables of seats."""

    @blueprint.get("/<key>/")
    @door.guards(Action.SEE)
    def overview(*, actor: Actor, visit: Visit) -> AnyResponse:
        """The team's pools, and before them who waits for a yes."""
        waiting = Wanted(states=frozenset({SeatState.APPROVAL}), sort="since")
        team, moment = actor.team.id, now()
        with store.read() as connection:
            own = pooled.with_learning(connection, team, pooled.pools_of(connection, team, moment), moment)
            waits = pooled.seats_page(connection, team, waiting, moment, most=MOST_APPROVALS)
            many = pooled.count_seats(connection, team, waiting, moment) if len(waits) == MOST_APPROVALS else len(waits)
            running = [batch for batch in batches.batches_of(connection, team, 5) if batch.done is None]
        told: dict[str, Any] = {
            "pools": own,
            "names": pools.names(*own),
            "waits": waits,
            "given": pools.given_by(waits),
            "many": many,
            "running": running,
        }
        return door.page("overview", actor, visit, done=request.args.get("done", ""), **told)

    @blueprint.get("/<key>/pools/<pool>")
    @door.guards(Action.SEE)
    def pool(*, actor: Actor, visit: Visit, pool: str) -> AnyResponse:
        """One pool. ``given`` in the address is a short list that was given a moment ago, to tell what became of it."""
        found = pools.find(actor, pool)
        number = request.args.get("given", "")
        with store.read() as connection:
            given = batches.find_batch(connection, int(number), actor.team.id) if _is_id(number) else None
            results = batches.results_of(connection, given.id) if given and given.done and given.pool == pool else []
        acted, number = request.args.get("done", ""), request.args.get("n", "")
        done: dict[str, Any] = {"acted": acted, "number": int(number) if _is_id(number) else 0}
        done["more"] = "more" in request.args
        return pools.page(actor, visit, found, results=results, **done)

    def acted(actor: Actor, pool: str, word: str, done: Many) -> AnyResponse:
        query: dict[str, Any] = {"done": word, "n": done.seats, **({"more": 1} if done.more else {})}
        to = url_for("teams.pool", key=actor.team.key, pool=pool, **query)
        return strict(redirect(to, HTTPStatus.SEE_OTHER))

    @blueprint.post("/<key>/pools/<pool>/resend")
    @door.guards(Action.RESEND)
    def resend_all(*, actor: Actor, visit: Visit, pool: str) -> AnyResponse:
        """Whoever was asked and did not answer is asked again."""
        key = pools.find(actor, pool).key
        return acted(actor, key, "resent_all", door.desk.resend_all(actor, key))

    @blueprint.post("/<key>/pools/<pool>/take-back")
    @door.guards(Action.GIVE_BACK)
    def take_back_all(*, actor: Actor, visit: Visit, pool: str) -> AnyResponse:
        """Seats that wait in vain are open again."""
        key = pools.find(actor, pool).key
        return acted(actor, key, "taken_back_all", door.desk.take_back_lapsed(actor, key))

    @blueprint.get("/<key>/seats")
    @door.guards(Action.SEE)
    def seats(*, actor: Actor, visit: Visit) -> AnyResponse:
        """All seats of the team."""
        wanted = replace(wanted_by(request.args, ""), search=searched(door.browser, actor, ""))
        table = table_of(store, actor, wanted, now())
        door.desk.look_how_far(table.rows)
        given = pools.given_by(table.rows)
        return door.page("seats", actor, visit, table=table, given=given, states=STATES, pool=None)

    @blueprint.post("/<key>/seats/find")
    @door.guards(Action.SEE)
    def find(*, actor: Actor, visit: Visit) -> AnyResponse:
        """Narrow a table, and look for a name or an address in it."""
        key = request.form.get("pool", "")
        wanted = wanted_by(request.form, key and pools.find(actor, key).key)
        named: dict[str, Any] = {"pool": key, "state": "".join(wanted.states), "sort": wanted.sort}
        query = {name: value for name, value in named.items() if value not in ("", DEFAULT)}
        to = url_for("teams.pool" if key else "teams.seats", key=actor.team.key, **query)
        answer = strict(redirect(f"{to}#seats", HTTPStatus.SEE_OTHER))
        keep_search(door.browser, answer, actor, key, request.form.get("search", ""))
        return answer

    @blueprint.post("/<key>/seats/export")
    @door.guards(Action.EXPORT)
    def export(*, actor: Actor, visit: Visit) -> AnyResponse:
        """All seats of a table, as a file."""
        key, form = request.form.get("pool", ""), request.form.get("format", "")
        wanted = wanted_by(request.form, key and pools.find(actor, key).key)
        wanted = replace(wanted, search=searched(door.browser, actor, key))
        words = words_asked_for()
        found = list(_all(actor, wanted))
        given = pools.given_by(found)
        rows = [_cells(row, given, words) for row in found]
        door.desk.exported(actor, len(rows))
        kind = form if form in _MIMES else "csv"
        return as_file((as_xlsx if kind == "xlsx" else as_csv)(_header(words), rows), "seats", kind)

    def _all(actor: Actor, wanted: Wanted) -> Iterator[SeatRow]:
        moment = now()
        with store.read() as connection:
            place = None
            while rows := pooled.seats_behind(connection, actor.team.id, wanted, moment, most=CHUNK, place=place):
                yield from (row for row, _ in rows)
                place = rows[-1][1]


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _header(words: Words) -> list[str]:
    named = ("seat", "product", "gives", "name_of", "address", "language", "status", "since", "answer_by")
    return [words[f"team_{one}"] for one in (*named, "letter_failed", "order", "learnt", "completed")]


def _cells(row: SeatRow, given: Mapping[Item, str], words: Words) -> list[Cell]:
    """A seat as a row of a spreadsheet. Days are written as spreadsheets everywhere read them."""
    seat = row.seat
    since = seat.taken_at.date().isoformat() if seat.taken_at else None
    until = seat.answer_until.date().isoformat() if seat.answer_until else None
    failed = _said(row.undelivered if seat.waits is Wait.ANSWER else None, words)
    state = words[f"team_state_{row.state}"]
    got = (seat.progress, _said(seat.completed, words))
    sold_as, gives = as_sold(row.sold_as, words["language"]), " · ".join(given[item] for item in row.told_apart)
    return [seat.id, sold_as, gives, row.name, row.email, row.language, state, since, until, failed, row.order, *got]


def _said(fact: bool | None, words: Words) -> str | None:
    """Yes or no, by which spreadsheets can filter; nothing where it can't be told, or there is nothing to tell."""
    return None if fact is None else words["team_yes" if fact else "team_no"]


def as_sold(name: str, language: str) -> str:
    """The name of what was sold, as a text: as letters and the notes on orders have it."""
    return plain(name, language) or name


def as_file(content: bytes, name: str, kind: str) -> Response:
    """A file that the browser saves."""
    answer = Response(content, mimetype=_MIMES[kind])
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    return strict(answer)
