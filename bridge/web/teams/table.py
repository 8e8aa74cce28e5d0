"""The table of a team's seats: which of them, in which order, one page at a time.

What is searched for may be somebody's name or address, so that it stands in no address of a page: it is posted, and
then kept by the visitor's browser, for this visit and this table only. It is sealed by what the browser shows to be let
in: once its user has signed out, whoever has the browser can't read there whom they looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import request
from werkzeug.wrappers import Response

from bridge.domain.seats import SeatState
from bridge.office import Actor
from bridge.store import pooled
from bridge.store.db import Store
from bridge.store.pooled import SeatRow, Wanted
from bridge.web.browser import Browser
from bridge.web.sealing import Seal

#: Rows on a page, and signs of what may be searched for.
PAGE, MOST_SIGNS = 50, 100
SORTS = ("name", "email", "state", "since", "seat")
DEFAULT = "name"  # whoever has a seat comes before the open ones
#: The states that a table can be narrowed to, in the order in which seats go through them.
STATES = (
    SeatState.OPEN,
    SeatState.INVITED,
    SeatState.LAPSED,
    SeatState.APPROVAL,
    SeatState.TAKEN,
    SeatState.STARTED,
    SeatState.COMPLETED,
    SeatState.HELD,
    SeatState.CLOSED,
    SeatState.ENDED,
)
_COOKIE = "bridge-search"


@dataclass(frozen=True, slots=True)
class Table:
    """One page of seats, and what leads to the others."""

    rows: list[SeatRow]
    wanted: Wanted
    total: int
    page: int
    pages: int

    @property
    def state(self) -> str:
        """The one state that it is narrowed to, "" for none."""
        return next(iter(self.wanted.states)).value if self.wanted.states else ""

    def query(self, **other: object) -> dict[str, object]:
        """What stands in the address of this table, but for this."""
        default = {"state": "", "sort": DEFAULT, "page": 1}
        named = {"state": self.state, "sort": self.wanted.sort, "page": 1, **other}
        return {name: value for name, value in named.items() if value != default[name]}

    def turned(self, sort: str) -> str:
        """The order that a click on this column asks for."""
        return f"-{sort}" if self.wanted.sort == sort else sort

    def sorted_by(self, sort: str) -> str:
        """How a column is ordered, for ``aria-sort``; "" if the table is not ordered by it."""
        return {sort: "ascending", f"-{sort}": "descending"}.get(self.wanted.sort, "")


def wanted_by(given: Mapping[str, str], pool: str) -> Wanted:
    """Which seats, by a form or an address; what is none of our words is passed over."""
    state, sort = given.get("state", ""), given.get("sort", "")
    states = frozenset({SeatState(state)}) if state in set(STATES) else frozenset()
    return Wanted(pool, states, sort=sort if sort.removeprefix("-") in SORTS else DEFAULT)


def table_of(store: Store, actor: Actor, wanted: Wanted, now: datetime) -> Table:
    """The page of seats that the address asks for; the last one, if there are not so many."""
    with store.read() as connection:
        total = pooled.count_seats(connection, actor.team.id, wanted, now)
        page, pages = page_asked_for(total)
        rows = pooled.seats_page(connection, actor.team.id, wanted, now, most=PAGE, after=(page - 1) * PAGE)
    return Table(rows, wanted, total, page, pages)


def page_asked_for(total: int) -> tuple[int, int]:
    """The number of the page that the address asks for, the last if there are not so many, and how many there are."""
    pages, text = max(1, -(-total // PAGE)), request.args.get("page", "")
    asked = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
    return min(max(asked, 1), pages), pages


# --- what is searched for --------------------------------------------------------------------------------------------


def searched(browser: Browser, actor: Actor, pool: str) -> str:
    """What this visitor searches for in this table."""
    match _seal(browser).open(browser.kept(_COOKIE)):
        case [actor.team.key, table, str(word)] if table == pool:
            return word
    return ""


def keep_search(browser: Browser, answer: Response, actor: Actor, pool: str, word: str) -> None:
    """Has the browser keep what is searched for; nothing any more, if that is nothing."""
    clean = _clean(word)
    browser.keep(answer, _COOKIE, _seal(browser).close(actor.team.key, pool, clean) if clean else "")


def _seal(browser: Browser) -> Seal:
    return Seal("search", browser.secret())


def _clean(word: str) -> str:
    seen = "".join(sign if sign.isprintable() else " " for sign in word)
    return " ".join(seen.split())[:MOST_SIGNS]
