"""The pages of teams: a company's training managers give its seats to its people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from bridge.desk import Actor, Desk
from bridge.domain.teams import Action, TeamRole
from bridge.errors import Unavailable
from bridge.invitations import Invitations
from bridge.letters.render import moment
from bridge.sso import SignOn
from bridge.store import teams
from bridge.store.db import Store
from bridge.store.signon import Visit
from bridge.web.browser import strict
from bridge.web.teams.door import Door
from bridge.web.teams.invitation import add_invitation
from bridge.web.teams.people import add_people

#: Bytes that a form may have; a list of people may have more.
MOST_BYTES = 64 * 1024
MOST_LIST_BYTES = 3 * 1024 * 1024


def team_pages(
    sign_on: SignOn,
    store: Store,
    desk: Desk,
    invitations: Invitations,
    now: Callable[[], datetime],
    timezone: str = "UTC",
) -> Blueprint:
    """``/team/…``. Moments are told in ``timezone``."""
    blueprint = Blueprint("teams", __name__, url_prefix="/team", template_folder="../templates")
    door, zone = Door(sign_on, store, desk), ZoneInfo(timezone)
    add_invitation(blueprint, sign_on, invitations)
    add_people(blueprint, door, store)

    @blueprint.app_template_filter("moment")
    def _moment(when: datetime, language: str) -> str:
        return moment(when, language, zone)

    @blueprint.errorhandler(Unavailable)
    def _unavailable(_err: Unavailable) -> Response:
        answer = door.browser.page("later", HTTPStatus.SERVICE_UNAVAILABLE)
        answer.headers["Retry-After"] = "5"
        return answer

    @blueprint.before_request
    def _small() -> None:
        most = MOST_LIST_BYTES if request.endpoint == "teams.upload" else MOST_BYTES
        request.max_content_length = most
        request.max_form_memory_size = most

    @blueprint.get("/")
    def home() -> Response:
        """The visitor's teams; straight on to the one, where there is one."""
        visit = door.visit()
        mine = _teams_of(visit)
        if len(mine) == 1:
            return strict(redirect(url_for("teams.overview", key=mine[0][0].key)))
        return door.browser.page("team/teams", teams=mine, form=visit.form)

    def _teams_of(visit: Visit) -> list[tuple[teams.Team, TeamRole]]:
        with store.read() as connection:
            person = sign_on.person(connection, visit)
            return teams.teams_of(connection, person.id) if person else []

    @blueprint.get("/<key>/")
    @door.guards(Action.SEE)
    def overview(*, actor: Actor, visit: Visit) -> Response:
        """The team's pools."""
        with store.read() as connection:
            pools = teams.pools_of(connection, actor.team.id, now())
        return door.page("overview", actor, visit, pools=pools)

    return blueprint
