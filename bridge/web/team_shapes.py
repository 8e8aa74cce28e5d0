"""What the API for teams takes and gives, as JSON. Described in docs/openapi.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from bridge.domain.offers import Item, read_item
from bridge.domain.roster_cells import read_language, read_name
from bridge.domain.rosters import MOST_ROWS, row_of
from bridge.domain.seats import SeatState, Why
from bridge.domain.teams import TeamRole
from bridge.domain.texts import plain
from bridge.store.audit import BRIDGE
from bridge.store.batches import Batch, Invitee, Result
from bridge.store.pooled import Place, Pool, SeatRow, Wanted
from bridge.store.teams import Team
from bridge.web.sealing import Seal
from bridge.web.strict_json import Asked, Strict, Wrong

# --- taken -----------------------------------------------------------------------------------------------------------


def _name(text: str) -> str:
    name, wrong = read_name(text)
    if wrong:
        raise ValueError(wrong.value)
    return name


def _language(text: str) -> str:
    code = read_language(text)
    if text and not code:
        raise ValueError("no language")
    return code


def _states(text: str) -> str:
    for word in filter(None, text.split(",")):
        SeatState(word)
    return text


def _search(text: str) -> str:
    if not text.isprintable():
        raise ValueError("signs that nobody sees")
    return text


def _item(text: str) -> str:
    read_item(text)
    return text


_Name = Annotated[str, Field(max_length=100), AfterValidator(_name)]
_POOL = r"^[0-9a-f]{16}$"


class PersonIn(Strict):
    """Somebody who is to have a seat."""

    email: str = Field(min_length=1, max_length=254)
    first_name: _Name = ""
    last_name: _Name = ""
    language: Annotated[str, Field(max_length=16), AfterValidator(_language)] = ""

    def as_invitee(self, number: int = 1) -> Invitee:
        """As the desk takes it: without an address where it was none."""
        row = row_of(number, self.email)
        return Invitee(number, "" if row.problem else row.email, self.first_name, self.last_name, self.language)


class HolderIn(PersonIn):
    """The same, and what the seat is to give them where that is picked; without, what it gave before."""

    picked: Annotated[str, Field(max_length=40), AfterValidator(_item)] | None = None

    @property
    def item(self) -> Item | None:
        """What was picked."""
        return read_item(self.picked) if self.picked else None


class GiveIn(Strict):
    """A list of people who are to have seats of a pool."""

    pool: str = Field(pattern=_POOL)
    people: list[PersonIn] = Field(min_length=1, max_length=MOST_ROWS)
    picked: Annotated[str, Field(max_length=40), AfterValidator(_item)] | None = None

    @property
    def item(self) -> Item | None:
        """What was picked."""
        return read_item(self.picked) if self.picked else None

    @property
    def invitees(self) -> list[Invitee]:
        """The people, counted from one."""
        return [person.as_invitee(number) for number, person in enumerate(self.people, 1)]


class NothingAsked(Asked):
    """Nothing."""


class PageAsked(Asked):
    """Which piece of something long."""

    cursor: str = Field(default="", max_length=1000, pattern=r"^[A-Za-z0-9_=-]*$")
    limit: int = Field(default=100, ge=1, le=200)


class SeatsAsked(PageAsked):
    """Which seats."""

    pool: str = Field(default="", pattern=_POOL)
    state: Annotated[str, Field(max_length=100), AfterValidator(_states)] = ""
    sort: Literal[
        "seat", "-seat", "name", "-name", "email", "-email", "state", "-state", "since", "-since"
    ] = "seat"  # fmt: skip

    @property
    def wanted(self) -> Wanted:
        """As the store takes it."""
        states = frozenset(SeatState(word) for word in self.state.split(",") if word)
        return Wanted(self.pool, states, "", self.sort)


class SeatsSearched(SeatsAsked):
    """The same, of people whose name or address has this in it: in a body, since addresses get into logs."""

    search: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_search)]

    @property
    def wanted(self) -> Wanted:
        """As the store takes it."""
        return replace(super().wanted, search=self.search)


# --- given -----------------------------------------------------------------------------------------------------------


_PERSON, _TOKEN = re.compile(r"person ([0-9]{1,18})"), re.compile(r"token [0-9]{1,18}")


def team_as_json(team: Team, role: TeamRole, pools: list[Pool]) -> dict[str, Any]:
    """A team, and what it has."""
    return {
        "name": team.name,
        "approval": team.approval,
        "role": role,
        "pools": [_pool_as_json(pool) for pool in pools],
    }


def _pool_as_json(pool: Pool) -> dict[str, Any]:
    # The first are not of a pool any more; the others are counted as taken.
    never = (SeatState.ENDED, SeatState.STARTED, SeatState.COMPLETED)
    return {
        "pool": pool.key,
        "name": plain(pool.name, "") or pool.name,
        "gives": [word_of(item) for item in pool.offer.items],
        "picks": pool.offer.pick,
        "reports": pool.offer.report,
        "total": pool.total,
        "seats": {state: pool.counts.get(state, 0) for state in SeatState if state not in never},
    }


def word_of(item: Item) -> str:
    """``course:12``."""
    return f"{item.kind}:{item.id}"


def seat_as_json(row: SeatRow, names: Mapping[Item, str]) -> dict[str, Any]:
    """A seat. How far somebody is is null where the team may not see it; ``names`` has what it gives."""
    seat = row.seat
    person = {"email": row.email, "name": row.name, "language": row.language}
    return {
        "seat": seat.id,
        "pool": row.pool,
        "state": row.state,
        "person": person if seat.person is not None else None,
        "picked": word_of(seat.picked) if seat.picked else None,
        "gives": [{"item": word_of(item), "name": names[item]} for item in row.gives],
        "times": seat.times,
        "answer_until": moment(seat.answer_until),
        "undelivered": row.undelivered,
        "taken_at": moment(seat.taken_at),
        "assign_until": moment(seat.assign_until),
        "until": moment(seat.until),
        "progress": seat.progress,
        "completed": seat.completed,
    }


def persons_in(actors: Iterable[str]) -> set[int]:
    """The persons among those who did something."""
    return {int(found[1]) for actor in actors if (found := _PERSON.fullmatch(actor))}


def who(actor: str, emails: Mapping[int, str]) -> str:
    """Who did something, as a team is told: an address, "token 3", "bridge"; of operators no more than that."""
    found = _PERSON.fullmatch(actor)
    if found is not None:
        return emails.get(int(found[1]), actor)
    return actor if actor == BRIDGE or _TOKEN.fullmatch(actor) else "operator"


def list_as_json(
    batch: Batch, counts: Mapping[Why | None, int], results: list[Result], emails: Mapping[int, str]
) -> dict[str, Any]:
    """A list of people, how far it is, and what became of some of them."""
    return {
        "list": batch.id,
        "pool": batch.pool,
        "picked": word_of(batch.picked) if batch.picked else None,
        "by": who(batch.actor, emails),
        "at": moment(batch.made),
        "done": batch.done is not None,
        "waiting": counts.get(None, 0),
        "counts": {why: number for why, number in counts.items() if why is not None},
        "results": [
            {"number": one.invitee.number, "email": one.invitee.email, "code": one.why, "seat": one.seat}
            for one in results
        ],
    }


def entry_as_json(entry: Any, emails: Mapping[int, str]) -> dict[str, Any]:
    """An entry of a team's history."""
    many = entry.facts.get("seats")
    return {
        "at": moment(entry.at),
        "by": who(entry.actor, emails),
        "event": entry.event,
        "seat": entry.facts.get("seat"),
        "pool": entry.facts.get("pool"),
        "seats": many if isinstance(many, int) else None,
        "person": emails.get(entry.person_id) if entry.person_id is not None else None,
    }


def moment(at: datetime | None) -> str | None:
    """A moment in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


# --- cursors ---------------------------------------------------------------------------------------------------------


class Cursors:
    """Says where to go on, in an address. By what seats are sorted may be somebody's name: so a cursor can be read, and
    made, by us only, and only while whoever got it asks again, with the same token and for the same.
    """

    def __init__(self, secret: str) -> None:
        self._seal = Seal("cursor", secret)

    def write(self, of: str, *place: str | int | None) -> str:
        """A place in what is asked for."""
        return self._seal.close(of, *place)

    def read(self, of: str, cursor: str) -> list[Any]:
        """The place. Raises Wrong for a cursor that was not given for this."""
        kept = self._seal.open(cursor)
        if kept is None or kept[0] != of:
            raise Wrong(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "The cursor was not given for this.")
        return kept[1:]

    def write_seat(self, wanted: Wanted, place: Place) -> str:
        """The place of a seat among those that are wanted."""
        value = place.value.isoformat() if isinstance(place.value, datetime) else place.value
        return self.write(_of(wanted), value, place.seat)

    def read_seat(self, wanted: Wanted, cursor: str) -> Place:
        """The same, read."""
        value, seat = self.read(_of(wanted), cursor)
        since = wanted.sort.endswith("since") and value is not None
        return Place(datetime.fromisoformat(value) if since else value, seat)


def _of(wanted: Wanted) -> str:
    return json.dumps(["seats", wanted.pool, sorted(wanted.states), wanted.search, wanted.sort])
