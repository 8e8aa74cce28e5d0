"""What a company's machines ask for its team, version 1: the same that its managers do on the pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Blueprint, Response, current_app, g, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from bridge.desk import Desk, Many
from bridge.domain.rosters import MOST_ROWS
from bridge.domain.seats import SeatState, Why
from bridge.domain.teams import Action
from bridge.errors import BadSignature, Refused, Unavailable
from bridge.machines import Machine, Machines, TooOften
from bridge.naming import Names
from bridge.office import Actor, NotAllowed
from bridge.store import audit, batches, people, pooled
from bridge.store.batches import Batch, Result
from bridge.store.db import Store
from bridge.store.pooled import Pool, SeatRow
from bridge.store.signon import digest
from bridge.web.strict_json import Wrong, answer, body_as, no_body, problem, query_as
from bridge.web.team_shapes import (
    Cursors,
    GiveIn,
    HolderIn,
    NothingAsked,
    PageAsked,
    SeatsAsked,
    SeatsSearched,
    entry_as_json,
    list_as_json,
    persons_in,
    seat_as_json,
    team_as_json,
)

#: Bytes that a body may have; a list of people may have more.
MOST_BYTES, MOST_LIST_BYTES = 16 * 1024, 4 * 1024 * 1024
#: So many people are given seats while the request waits.
FEW = 20
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
#: The attribute of a view by which it is known what it takes to ask for it.
ACTION = "team_action"
_BIGGEST = 2**63

V = TypeVar("V", bound=Callable[..., Response])


def needs(action: Action) -> Callable[[V], V]:
    """Says what a token has to be allowed, for a view to be reached."""

    def wrap(view: V) -> V:
        setattr(view, ACTION, action)
        return view

    return wrap


def team_api(store: Store, desk: Desk, machines: Machines, names: Names, now: Callable[[], datetime]) -> Blueprint:
    """``/api/v1/team/…``; described in docs/openapi.yaml."""
    blueprint = Blueprint("team_api", __name__, url_prefix="/api/v1/team")
    blueprint.record(lambda state: state.app.url_map.converters.update(pool=PoolKey))
    _answers_to_errors(blueprint, machines)

    @blueprint.before_request
    def come_in() -> None:
        """Nobody gets any further without a token, nor with one that may not."""
        request.max_content_length = MOST_LIST_BYTES if request.endpoint == "team_api.give" else MOST_BYTES
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        g.machine = machines.let_in(secret.strip() if kind.lower() == "bearer" else "", _at())
        actor().must(getattr(current_app.view_functions[request.endpoint or ""], ACTION))

    def actor() -> Actor:
        machine: Machine = g.machine
        return machine.actor

    def cursors() -> Cursors:
        machine: Machine = g.machine
        return Cursors(machine.secret)

    def nothing(what: str) -> Wrong:
        """What is told of all that is not there, or another team's."""
        machines.refused(f"no such {what} of the team", _at(), actor())
        return Wrong(HTTPStatus.NOT_FOUND, "not_found", f"There is no such {what}.")

    # --- looking -----------------------------------------------------------------------------------------------------

    @blueprint.get("")
    @needs(Action.SEE)
    def team() -> Response:
        """The team, and its pools."""
        query_as(NothingAsked)
        with store.read() as connection:
            pools = pooled.pools_of(connection, actor().team.id, now())
        return answer(team_as_json(actor().team, actor().role, pools))

    @blueprint.get("/seats")
    @needs(Action.SEE)
    def seats() -> Response:
        """Seats, piece by piece."""
        return _seats(query_as(SeatsAsked))

    @blueprint.post("/seats/search")
    @needs(Action.SEE)
    def search() -> Response:
        """Seats of whoever is searched for, piece by piece."""
        return _seats(body_as(SeatsSearched))

    def _seats(asked: SeatsAsked) -> Response:
        place = cursors().read_seat(asked.wanted, asked.cursor) if asked.cursor else None
        most = asked.limit + 1
        with store.read() as connection:
            found = pooled.seats_behind(connection, actor().team.id, asked.wanted, now(), most=most, place=place)
        page = found[: asked.limit]
        onward = cursors().write_seat(asked.wanted, page[-1][1]) if len(found) == most else None
        return answer({"seats": _told([row for row, _ in page]), "next": onward})

    def _told(rows: list[SeatRow]) -> list[dict[str, Any]]:
        called = names.of(dict.fromkeys(item for row in rows for item in row.gives), "")
        return [seat_as_json(row, called) for row in rows]

    @blueprint.get("/seats/<int:seat>")
    @needs(Action.SEE)
    def one_seat(seat: int) -> Response:
        """One seat."""
        query_as(NothingAsked)
        return _seat(seat)

    def _seat(seat: int) -> Response:
        with store.read() as connection:
            found = pooled.find_seat(connection, actor().team.id, seat, now()) if seat < _BIGGEST else None
        if found is None:
            raise nothing("seat")
        return answer(_told([found])[0])

    @blueprint.get("/history")
    @needs(Action.HISTORY)
    def history() -> Response:
        """Who did what, the newest first."""
        asked = query_as(PageAsked)
        before = cursors().read("history", asked.cursor)[0] if asked.cursor else None
        most = asked.limit + 1
        with store.read() as connection:
            found = audit.of_team(connection, actor().team.id, most=most, before=before)
            concerned = {entry.person_id for entry in found if entry.person_id is not None}
            emails = people.emails_of(connection, concerned | persons_in(entry.actor for entry in found))
        page = found[: asked.limit]
        onward = cursors().write("history", page[-1].id) if len(found) == most else None
        return answer({"entries": [entry_as_json(entry, emails) for entry in page], "next": onward})

    # --- giving ------------------------------------------------------------------------------------------------------

    @blueprint.post("/seats")
    @needs(Action.GIVE)
    def give() -> Response:
        """Give seats to people: to a few at once, to many in the background. The same key and body do it once."""
        query_as(NothingAsked)
        key = request.headers.get("Idempotency-Key", "")
        if not _KEY.fullmatch(key):
            raise Wrong(HTTPStatus.BAD_REQUEST, "key_missing", "The header Idempotency-Key has to name this request.")
        batch, length = _prepared(body_as(GiveIn), key)
        if length <= FEW:
            desk.confirm_now(actor(), batch.id)
            return _list(batch.id, 0, FEW)
        desk.confirm(actor(), batch.id)
        taken = answer({"list": batch.id}, HTTPStatus.ACCEPTED)
        taken.headers["Location"] = url_for("team_api.one_list", number=batch.id)
        return taken

    def _prepared(wanted: GiveIn, key: str) -> tuple[Batch, int]:
        """The list, kept under its key, and its length. Raises Wrong where another was kept under it before."""
        pool = _pool(wanted.pool)
        if not pool.may_give(wanted.item):
            raise _not_done(Why.NOTHING_PICKED)
        rows = wanted.invitees
        batch = desk.prepare(actor(), pool, rows, digest(f"api {key}"), wanted.item)
        with store.read() as connection:
            kept = [one.invitee for one in batches.results_of(connection, batch.id, most=MOST_ROWS + 1)]
        if batch.done is not None and not kept:
            raise Wrong(HTTPStatus.CONFLICT, "key_used", "What this key named was done, and is forgotten by now.")
        if (batch.pool, batch.picked, kept) != (pool.key, wanted.item, rows):
            raise Wrong(HTTPStatus.UNPROCESSABLE_ENTITY, "key_used", "This key has named another request before.")
        return batch, len(rows)

    def _pool(key: str) -> Pool:
        with store.read() as connection:
            pool = pooled.find_pool(connection, actor().team.id, key, now())
        if pool is None:
            raise nothing("pool")
        return pool

    @blueprint.get("/lists/<int:number>")
    @needs(Action.SEE)
    def one_list(number: int) -> Response:
        """How far a list is, and what became of whom."""
        asked = query_as(PageAsked)
        after = cursors().read(f"list {number}", asked.cursor)[0] if asked.cursor else 0
        return _list(number, after, asked.limit)

    def _list(number: int, after: int, limit: int) -> Response:
        with store.read() as connection:
            batch = batches.find_batch(connection, number, actor().team.id) if number < _BIGGEST else None
            if batch is None or batch.begun is None:
                raise nothing("list")
            counts = batches.progress(connection, number)
            found: list[Result] = batches.results_of(connection, number, most=limit + 1, after=after)
            emails = people.emails_of(connection, persons_in([batch.actor]))
        onward = cursors().write(f"list {number}", after + limit) if len(found) > limit else None
        return answer({**list_as_json(batch, counts, found[:limit], emails), "next": onward})

    # --- one seat ----------------------------------------------------------------------------------------------------

    @blueprint.post("/seats/<int:seat>/resend")
    @needs(Action.RESEND)
    def resend(seat: int) -> Response:
        """Invite again."""
        no_body()
        return _done(seat, desk.resend)

    @blueprint.post("/seats/<int:seat>/approval")
    @needs(Action.APPROVE)
    def approve(seat: int) -> Response:
        """Say yes to whoever accepted."""
        no_body()
        return _done(seat, desk.approve)

    @blueprint.delete("/seats/<int:seat>/holder")
    @needs(Action.GIVE_BACK)
    def give_back(seat: int) -> Response:
        """Take the seat back from whoever has it."""
        no_body()
        return _done(seat, desk.give_back)

    @blueprint.put("/seats/<int:seat>/holder")
    @needs(Action.REASSIGN)
    def reassign(seat: int) -> Response:
        """Give the seat to somebody else. Whoever has it already keeps it, so that asking twice is asking once."""
        body = body_as(HolderIn)
        to = body.as_invitee()
        with store.read() as connection:
            found = pooled.find_seat(connection, actor().team.id, seat, now()) if seat < _BIGGEST else None
        same = body.item is None or (found is not None and found.seat.picked == body.item)
        if found is not None and to.email and found.email == to.email and same:
            if found.state is SeatState.LAPSED:  # the letter's link is dead: they are asked again
                return _done(seat, desk.resend)
            return answer(_told([found])[0])
        return _done(seat, lambda who, number: desk.reassign(who, number, to, picked=body.item))

    def _done(seat: int, do: Callable[[Actor, int], Why]) -> Response:
        query_as(NothingAsked)
        why = do(actor(), seat) if seat < _BIGGEST else Why.NOT_OF_TEAM
        if why is Why.NOT_OF_TEAM:
            raise nothing("seat")
        if why is not Why.GIVEN:
            raise _not_done(why)
        return _seat(seat)

    # --- all of a pool -----------------------------------------------------------------------------------------------

    @blueprint.post("/pools/<pool:pool>/resend")
    @needs(Action.RESEND)
    def resend_all(pool: str) -> Response:
        """Invite again whoever was asked and did not answer."""
        return _done_to_all(pool, desk.resend_all)

    @blueprint.post("/pools/<pool:pool>/take-back")
    @needs(Action.GIVE_BACK)
    def take_back_all(pool: str) -> Response:
        """Take back the seats that wait for somebody who did not answer in time."""
        return _done_to_all(pool, desk.take_back_lapsed)

    def _done_to_all(key: str, do: Callable[[Actor, str], Many]) -> Response:
        no_body()
        query_as(NothingAsked)
        return answer(asdict(do(actor(), _pool(key).key)))

    return blueprint


class PoolKey(BaseConverter):
    """The key of a pool in an address. Whatever else is typed there is no address, and so is written down nowhere."""

    regex = "[0-9a-f]{16}"


def _not_done(why: Why) -> Wrong:
    wrong = why in (Why.NO_ADDRESS, Why.NOTHING_PICKED)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.CONFLICT
    return Wrong(status, why.value, _WORDS[why])


#: Why a thing was not done, for people.
_WORDS: Mapping[Why, str] = {
    Why.NO_SEATS: "No seat is open.",
    Why.HAS_ONE: "They have a seat of this pool already, or were asked to take one.",
    Why.NOT_OPEN: "The last day to give this seat to somebody has passed.",
    Why.NOT_WAITING: "The seat waits for nothing of this kind, or changed hands meanwhile.",
    Why.BEGUN: "Whoever has the seat has begun to learn.",
    Why.MAYBE_BEGUN: "Whoever has the seat may have begun to learn.",
    Why.TOO_OFTEN: "The seat was given as often as it can be.",
    Why.WRITTEN_OFTEN: "As many letters went out as do for one invitation.",
    Why.ENDED: "The seat is not paid for any more.",
    Why.BOUGHT_FOR: "The seat was bought for just this person, which the order says.",
    Why.NO_ADDRESS: "No mail can be sent to this address.",
    Why.DECLINED: "They said no to a seat of this pool.",
    Why.NOTHING_PICKED: "What the seats are to give has to be picked where the pool picks, and only there.",
}


def _at() -> str:
    return f"{request.method} {request.path}"[:200]


def _answers_to_errors(blueprint: Blueprint, machines: Machines) -> None:
    @blueprint.errorhandler(BadSignature)
    def nobody(_err: BadSignature) -> Response:
        """Why is in the audit log only."""
        said = problem(HTTPStatus.UNAUTHORIZED, "unauthorized", "The token is missing, or not right.")
        said.headers["WWW-Authenticate"] = "Bearer"
        return said

    @blueprint.errorhandler(NotAllowed)
    def not_allowed(err: NotAllowed) -> Response:
        machines.refused(str(err), _at(), g.machine.actor)
        return problem(HTTPStatus.FORBIDDEN, "forbidden", "The token's role does not allow it.")

    @blueprint.errorhandler(TooOften)
    def too_often(_err: TooOften) -> Response:
        said = problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many", "Asked too often: try again in a minute.")
        said.headers["Retry-After"] = "60"
        return said

    @blueprint.errorhandler(Unavailable)
    def unavailable(err: Unavailable) -> Response:
        said = problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "The bridge can't tell just now.")
        said.headers["Retry-After"] = str(int(err.retry_after or 5))
        return said

    @blueprint.errorhandler(Refused)
    def refused(_err: Refused) -> Response:
        return problem(HTTPStatus.CONFLICT, "conflict", "Somebody else changed it meanwhile: look again.")

    @blueprint.errorhandler(HTTPException)
    def other(err: HTTPException) -> Response:
        status = HTTPStatus(err.code or HTTPStatus.BAD_REQUEST)
        code = {413: "too_big", 500: "failed"}.get(status, "invalid")
        return problem(status, code, status.description or status.phrase)
