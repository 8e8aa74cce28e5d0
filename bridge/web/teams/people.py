"""Who manages a team, and as what; its name and its rule of approval; the tokens of its machines; leaving it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from bridge.domain.identity import is_email
from bridge.domain.teams import Action, TeamRole, team_name
from bridge.errors import Refused
from bridge.office import Actor, NotAllowed, TooManyLetters
from bridge.often import Often
from bridge.store import teams
from bridge.store.batches import Invitee
from bridge.store.db import Store
from bridge.store.signon import Visit
from bridge.web.browser import strict, words_asked_for
from bridge.web.teams.door import Door

#: Invitations to manage that one process mails for a team within a minute.
MOST_INVITATIONS = 10
#: What the settings tell after something was done: the word in their address, and what it is told by.
TOLD: Mapping[str, str] = {
    "saved": "team_done_saved",
    "invited": "team_invited",
    "member": "team_is_member",
    "not": "team_done_not",
}
#: Of these, what went as it should.
WELL = ("saved", "invited")
_OWNER = TeamRole.OWNER
_PERSON, _TOKEN = (f"<int(max={2**63 - 1}):{name}>" for name in ("person", "token"))


def add_people(blueprint: Blueprint, door: Door, store: Store) -> None:
    """``/team/KEY/settings…`` and ``/team/KEY/leave``."""
    often = Often(MOST_INVITATIONS)

    def page(actor: Actor, visit: Visit, status: int = HTTPStatus.OK, **values: Any) -> Response:
        with store.read() as connection:
            members = teams.members(connection, actor.team.id)
        tokens = door.desk.tokens(actor)
        shown: dict[str, Any] = {"members": members, "tokens": tokens, "given": {}, "wrong": {}, **values}
        return door.page("settings", actor, visit, status, **shown)

    def back(actor: Actor, done: str) -> Response:
        return strict(redirect(url_for("teams.settings", key=actor.team.key, done=done), HTTPStatus.SEE_OTHER))

    @blueprint.get("/<key>/settings")
    @door.guards(Action.SETTINGS)
    def settings(*, actor: Actor, visit: Visit) -> Response:
        """All that an owner decides."""
        done = request.args.get("done", "")
        return page(actor, visit, told=TOLD.get(done), well=done in WELL)

    @blueprint.post("/<key>/settings")
    @door.guards(Action.SETTINGS)
    def configure(*, actor: Actor, visit: Visit) -> Response:
        """The team's name, and whether acceptances wait for a yes."""
        name = team_name(request.form.get("name", ""))
        door.desk.configure(actor, name=name, approval=request.form.get("approval") == "yes")
        return back(actor, "saved")

    @blueprint.post("/<key>/settings/members")
    @door.guards(Action.MEMBERS)
    def invite_member(*, actor: Actor, visit: Visit) -> Response:
        """Ask somebody to help manage the team."""
        form = request.form
        given = {name: form.get(name, "").strip() for name in ("email", "first_name", "last_name")}
        role = _role(form.get("role", ""))
        if not is_email(given["email"]) or role is None:
            wrong = {"email": words_asked_for()["team_problem_not_an_address"]}
            return page(actor, visit, HTTPStatus.UNPROCESSABLE_ENTITY, wrong=wrong, given=given)
        if often(actor.team.id):
            return page(actor, visit, HTTPStatus.TOO_MANY_REQUESTS, told="later_text", well=False, given=given)
        names = {name: " ".join(given[name].split())[:100] for name in ("first_name", "last_name")}
        try:
            asked = door.desk.invite_member(actor, Invitee(1, given["email"], **names), role)
        except NotAllowed:
            raise
        except Refused as err:
            why = "team_members_often" if isinstance(err, TooManyLetters) else "team_members_full"
            return page(actor, visit, HTTPStatus.CONFLICT, told=why, well=False, given=given)
        return back(actor, "invited" if asked else "member")

    @blueprint.post(f"/<key>/settings/members/{_PERSON}/role")
    @door.guards(Action.MEMBERS)
    def change_member(*, actor: Actor, visit: Visit, person: int) -> Response:
        """What a member may do from now on."""
        role = _role(request.form.get("role", ""))
        if role is None:
            return page(actor, visit, HTTPStatus.UNPROCESSABLE_ENTITY, told="team_done_not", well=False)
        if not door.desk.change_member(actor, person, role):
            raise door.missing(actor, "member")
        return back(actor, "saved")

    @blueprint.post(f"/<key>/settings/members/{_PERSON}/remove")
    @door.guards(Action.MEMBERS)
    def remove_member(*, actor: Actor, visit: Visit, person: int) -> Response:
        """Nothing any more; an invitation that was not answered is taken back."""
        if not door.desk.change_member(actor, person, None):
            raise door.missing(actor, "member")
        return back(actor, "saved")

    @blueprint.post("/<key>/settings/hand-over")
    @door.guards(Action.TRANSFER)
    def hand_over(*, actor: Actor, visit: Visit) -> Response:
        """Make somebody else the owner: asked once more, and then done."""
        with store.read() as connection:
            members = teams.members(connection, actor.team.id)
        chosen = request.form.get("to", "")
        heir = next((m for m in members if str(m.person) == chosen and m.accepted_at and m.role is not _OWNER), None)
        if heir is None:
            raise door.missing(actor, "member")
        if request.form.get("sure") != "yes":
            return door.page("hand_over", actor, visit, heir=heir)
        if not door.desk.hand_over(actor, heir.person):
            return back(actor, "not")
        return door.browser.page("team/told", title="team_handed_over", text="team_handed_over_text")

    @blueprint.get("/<key>/leave")
    @door.guards(Action.SEE)
    def leave(*, actor: Actor, visit: Visit) -> Response:
        """Whether a manager or a viewer really wants to go."""
        return door.page("leave", actor, visit)

    @blueprint.post("/<key>/leave")
    @door.guards(Action.SEE)
    def left(*, actor: Actor, visit: Visit) -> Response:
        """They do. An owner hands the team over first."""
        if not door.desk.leave(actor):
            return door.page("leave", actor, visit, HTTPStatus.CONFLICT)
        return door.browser.page("team/told", title="team_left", text="team_leave_text")

    @blueprint.post("/<key>/settings/tokens")
    @door.guards(Action.TOKENS)
    def make_token(*, actor: Actor, visit: Visit) -> Response:
        """A token for a machine. Its secret stands on this one answer, which no cache keeps."""
        role, name = _role(request.form.get("role", "")), team_name(request.form.get("name", ""))
        if role is None or not name:
            wrong = {"name": words_asked_for()["team_token_unnamed"]}
            return page(actor, visit, HTTPStatus.UNPROCESSABLE_ENTITY, wrong=wrong)
        try:
            _, secret = door.desk.make_token(actor, name, role)
        except NotAllowed:
            raise
        except Refused:
            return page(actor, visit, HTTPStatus.CONFLICT, told="team_tokens_full", well=False)
        return door.page("token", actor, visit, called=name, secret=secret)

    @blueprint.post(f"/<key>/settings/tokens/{_TOKEN}/revoke")
    @door.guards(Action.TOKENS)
    def revoke_token(*, actor: Actor, visit: Visit, token: int) -> Response:
        """Nobody comes in by it any more."""
        if not door.desk.revoke_token(actor, token):
            raise door.missing(actor, "token")
        return back(actor, "saved")


def _role(word: str) -> TeamRole | None:
    """What may be given to somebody; the owner's part is handed over, and not given."""
    return TeamRole(word) if word in (TeamRole.MANAGER, TeamRole.VIEWER) else None
