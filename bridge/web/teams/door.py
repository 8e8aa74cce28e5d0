"""Who may do what on a team's pages. Every page of a team is behind this door."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from flask import current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from bridge.desk import Desk
from bridge.domain.teams import Action, may
from bridge.office import Actor, NotAllowed
from bridge.sso import SignOn
from bridge.store import teams
from bridge.store.db import Store
from bridge.store.signon import Visit
from bridge.web.browser import Browser
from bridge.web.dates import day, last_day

#: A page: it is given who looks, their visit, and what its address names.
View = Callable[..., Response]
#: The attribute of a page by which tests know what it takes to see it.
ACTION = "team_action"


class Stopped(HTTPException):
    """Answers at once, from wherever it is raised."""

    def __init__(self, answer: Response) -> None:
        super().__init__(response=answer)


class Door:
    """Lets people in to the pages of their teams, and nobody else; refusals are written down.

    Whoever is nothing in a team is told the same as of a team that is not there.
    """

    def __init__(self, sign_on: SignOn, store: Store, desk: Desk) -> None:
        self.browser = Browser(sign_on)
        self.desk = desk
        self._sign_on = sign_on
        self._store = store

    def visit(self) -> Visit:
        """Who is signed in. Whoever is not is sent to sign in, and comes back; a form of theirs is refused."""
        visit = self.browser.visit()
        if visit is None:
            if request.method != "GET":
                self._sign_on.refused("a form from a browser in which nobody is signed in")
                raise Stopped(self.browser.page("refused", HTTPStatus.FORBIDDEN))
            raise Stopped(self.browser.to_sign_in())
        if request.method != "GET" and not self._sign_on.is_form_of(visit, request.form.get("form", "")):
            self._sign_on.refused("a form that was not given to this visitor", person=visit.person_id)
            raise Stopped(self.browser.page("refused", HTTPStatus.FORBIDDEN))
        return visit

    def person(self, visit: Visit) -> int:
        """The person who visits; whoever never bought, and was never asked for anything, has no team."""
        with self._store.read() as connection:
            person = self._sign_on.person(connection, visit)
        if person is None:
            raise self.nothing()
        return person.id

    def nothing(self) -> Stopped:
        """What is told of all that is not there, or not theirs."""
        return Stopped(self.browser.page("team/nothing", HTTPStatus.NOT_FOUND))

    def missing(self, actor: Actor, what: str) -> Stopped:
        """The same, of what a member asks for and the team has not: that is written down."""
        self._sign_on.refused(f"no {what} of the team", person=actor.person, team=actor.team.id)
        return self.nothing()

    def actor(self, visit: Visit, key: str, action: Action) -> Actor:
        """Who visits, as a member of this team who may do this."""
        person = self.person(visit)
        with self._store.read() as connection:
            team = teams.find_team(connection, key) if key.isalnum() else None
            role = teams.role_in(connection, team.id, person) if team else None
        if team is None or role is None:
            self._sign_on.refused("no team of theirs", person=person, action=str(action))
            raise self.nothing()
        if not may(role, action):
            self._sign_on.refused("their role in the team does not allow it", person=person, action=str(action))
            raise Stopped(self.browser.page("team/not_allowed", HTTPStatus.FORBIDDEN, team=team, role=role))
        return Actor(team, role, f"person {person}", person)

    def guards(self, action: Action) -> Callable[[View], View]:
        """Puts a page behind the door: it is called with ``actor`` and ``visit``, and ``key`` is taken out."""

        def wrap(view: View) -> View:
            @wraps(view)
            def guarded(key: str, **named: Any) -> Response:
                visit = self.visit()
                actor = self.actor(visit, key, action)
                try:
                    return view(actor=actor, visit=visit, **named)
                except NotAllowed as err:
                    self._sign_on.refused(str(err), person=actor.person)
                    raise Stopped(self.browser.page("team/not_allowed", HTTPStatus.FORBIDDEN)) from err

            setattr(guarded, ACTION, action)
            return guarded

        return wrap

    def page(self, name: str, actor: Actor, visit: Visit, status: int = HTTPStatus.OK, **values: Any) -> Response:
        """A page of a team: ``team/NAME.html.j2`` is given team, role, the form's word, and what else it shows."""
        own: dict[str, Any] = {"team": actor.team, "role": actor.role, "form": visit.form, "may": may, "Action": Action}
        own |= {"day": day, "last_day": last_day, "there": current_app.view_functions}
        return self.browser.page(f"team/{name}", status, **own, **values)
