"""One seat: how it stands, what happened to it, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from bridge.domain.seats import LEARNING, SeatState, Why
from bridge.domain.teams import Action
from bridge.errors import Refused, Unavailable
from bridge.office import Actor, NotAllowed
from bridge.store import audit, pooled
from bridge.store.batches import Invitee
from bridge.store.db import Store
from bridge.store.pooled import SeatRow
from bridge.store.signon import Visit
from bridge.web.browser import strict, words_asked_for
from bridge.web.teams.door import Door
from bridge.web.teams.forms import Wrong, languages, one_person, picked_of
from bridge.web.teams.seats import Pools
from bridge.web.teams.telling import told

_SEAT = f"<int(max={2**63 - 1}):seat>"
#: How a seat stands that somebody has, or was asked to take.
HAD = LEARNING | {SeatState.INVITED, SeatState.LAPSED, SeatState.APPROVAL, SeatState.COMPLETED, SeatState.HELD}


def add_seat(blueprint: Blueprint, door: Door, store: Store, pools: Pools, now: Callable[[], datetime]) -> None:
    """``/team/KEY/seats/SEAT`` and what is done there."""

    def find(actor: Actor, seat: int) -> SeatRow:
        with store.read() as connection:
            row = pooled.find_seat(connection, actor.team.id, seat, now())
        if row is None:
            raise door.missing(actor, "seat")
        return row

    def page(actor: Actor, visit: Visit, row: SeatRow, status: int = HTTPStatus.OK, **values: Any) -> Response:
        words = words_asked_for()
        with store.read() as connection:
            history = told(connection, actor, audit.of_seat(connection, actor.team.id, row.seat.id), words)
        may_act = row.state in HAD and row.seat.person is not None
        shown = {"row": row, "given": pools.given_by([row]), "history": history, "had": may_act, **values}
        return door.page("seat", actor, visit, status, **shown)

    def done(actor: Actor, visit: Visit, row: SeatRow, why: Why, word: str) -> Response:
        """Back to the seat, or what stood in the way."""
        if why is Why.NOT_OF_TEAM:
            raise door.missing(actor, "seat")
        if why is not Why.GIVEN:
            return page(actor, visit, find(actor, row.seat.id), HTTPStatus.CONFLICT, refused=why)
        return _back(actor, row.seat.id, word)

    @blueprint.get(f"/<key>/seats/{_SEAT}")
    @door.guards(Action.SEE)
    def seat(*, actor: Actor, visit: Visit, seat: int) -> Response:
        """The seat."""
        return page(actor, visit, find(actor, seat), done=request.args.get("done", ""))

    @blueprint.post(f"/<key>/seats/{_SEAT}/resend")
    @door.guards(Action.RESEND)
    def resend(*, actor: Actor, visit: Visit, seat: int) -> Response:
        """Whoever was asked is asked again."""
        row = find(actor, seat)
        return done(actor, visit, row, door.desk.resend(actor, seat), "resent")

    @blueprint.post(f"/<key>/seats/{_SEAT}/approve")
    @door.guards(Action.APPROVE)
    def approve(*, actor: Actor, visit: Visit, seat: int) -> Response:
        """Whoever accepted is given access."""
        row = find(actor, seat)
        return done(actor, visit, row, door.desk.approve(actor, seat), "approved")

    @blueprint.get(f"/<key>/seats/{_SEAT}/give-back")
    @door.guards(Action.GIVE_BACK)
    def ask_give_back(*, actor: Actor, visit: Visit, seat: int) -> Response:
        """What taking it back would do."""
        row = find(actor, seat)
        return door.page("give_back", actor, visit, row=row, given=pools.given_by([row]))

    @blueprint.post(f"/<key>/seats/{_SEAT}/give-back")
    @door.guards(Action.GIVE_BACK)
    def give_back(*, actor: Actor, visit: Visit, seat: int) -> Response:
        """It is taken back."""
        row = find(actor, seat)
        try:
            why = _changed(lambda: door.desk.give_back(actor, seat))
        except Unavailable:  # whether somebody has begun is not known: nothing was changed
            shown = {"row": row, "given": pools.given_by([row]), "away": True}
            return door.page("give_back", actor, visit, HTTPStatus.SERVICE_UNAVAILABLE, **shown)
        return done(actor, visit, row, why, "given_back")

    def asks(actor: Actor, row: SeatRow, typed: Mapping[str, str]) -> dict[str, Any]:
        """What the form shows by which a seat is given to somebody else."""
        pool, picked = pools.find(actor, row.pool), row.seat.picked
        before = {"picked": f"{picked.kind}:{picked.id}"} if picked else {}
        shown = {"row": row, "pool": pool, "names": pools.names(pool), "languages": languages()}
        return {**shown, "typed": typed or before, "given": pools.given_by([row])}

    @blueprint.get(f"/<key>/seats/{_SEAT}/reassign")
    @door.guards(Action.REASSIGN)
    def ask_reassign(*, actor: Actor, visit: Visit, seat: int) -> Response:
        """To whom is it to be given?"""
        row = find(actor, seat)
        return door.page("reassign", actor, visit, **asks(actor, row, {}))

    @blueprint.post(f"/<key>/seats/{_SEAT}/reassign")
    @door.guards(Action.REASSIGN)
    def reassign(*, actor: Actor, visit: Visit, seat: int) -> Response:
        """It is given to somebody else."""
        row = find(actor, seat)
        again = asks(actor, row, request.form)
        try:
            picked, to = picked_of(again["pool"]), one_person()
            invitee = Invitee(to.number, to.email, to.first_name, to.last_name, to.language)
            why = _changed(lambda: door.desk.reassign(actor, seat, invitee, picked=picked))
        except Wrong as err:
            return door.page("reassign", actor, visit, HTTPStatus.UNPROCESSABLE_ENTITY, wrong=err.fields, **again)
        except Unavailable:
            return door.page("reassign", actor, visit, HTTPStatus.SERVICE_UNAVAILABLE, away=True, **again)
        if why is Why.HAS_ONE:
            wrong = {"email": words_asked_for()["team_why_has_one"]}
            return door.page("reassign", actor, visit, HTTPStatus.CONFLICT, wrong=wrong, **again)
        return done(actor, visit, row, why, "reassigned")


def _changed(change: Callable[[], Why]) -> Why:
    """What came of a change; that somebody else was faster is no error."""
    try:
        return change()
    except NotAllowed:
        raise
    except Refused:
        return Why.NOT_WAITING


def _back(actor: Actor, seat: int, word: str) -> Response:
    """To the page from which it was done, which says that it was."""
    if request.form.get("back") == "overview":
        return strict(redirect(url_for("teams.overview", key=actor.team.key, done=word), HTTPStatus.SEE_OTHER))
    return strict(redirect(url_for("teams.seat", key=actor.team.key, seat=seat, done=word), HTTPStatus.SEE_OTHER))
