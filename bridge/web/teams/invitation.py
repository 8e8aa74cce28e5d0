"""The pages of whoever was invited: a letter leads here, one looks, and accepts or declines.

Nobody has to be signed in: the letter's secret says who it is. It comes in the address's fragment, which browsers send
to nobody, and from then on in the bodies of forms. As there is no visit whose word the forms could bring along, they
are taken only from pages of ours.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from bridge.errors import BadSignature, Refused
from bridge.invitations import Answer, Answered, Invitation, Invitations, Resting, WrongName
from bridge.sso import SignOn, origin_of
from bridge.web.browser import REMEMBERED, Browser, language_asked_for, strict
from bridge.web.words import words_for

#: What the browser keeps of an invitation while its user signs in to the shop: the letter's secret, which is in no
#: address that way.
KEPT = "bridge-invitation"


def add_invitation(blueprint: Blueprint, sign_on: SignOn, invitations: Invitations) -> None:
    """``/team/invitation…``."""
    browser = Browser(sign_on)

    def page(name: str, status: int = HTTPStatus.OK, **values: Any) -> Response:
        """A page whose form tells where it is from: by the pages' own policy browsers would hide that from us too."""
        answer = browser.page(f"team/{name}", status, **values)
        answer.headers["Referrer-Policy"] = "same-origin"
        return answer

    def secret() -> str:
        """What the form brings along. Raises BadSignature where it is no page of ours that sends it."""
        if request.headers.get("Origin") != origin_of(sign_on.bridge_url):
            raise BadSignature("a form from elsewhere answers an invitation")
        given = request.form.get("invitation", "").strip()
        try:
            return urlsplit(given).fragment or given
        except ValueError:
            return given

    def over(err: Exception) -> Response:
        """What is told of every invitation that can't be answered, whatever the reason; of one that only rests, that it
        does.
        """
        if isinstance(err, Resting):
            return page("invitation_rests", HTTPStatus.CONFLICT)
        sign_on.refused(f"an invitation: {err}")
        answer = page("invitation_over", HTTPStatus.FORBIDDEN)
        return forgotten(answer) if browser.kept(KEPT) else answer

    @blueprint.get("/invitation")
    def invitation() -> Response:
        """Where the letter leads. Nothing is used up: programs that look through mail open links too. Whoever comes
        back from the shop's sign-in need not open the letter again.
        """
        return page("invitation", kept=browser.kept(KEPT))

    @blueprint.post("/invitation/look")
    def look() -> Response:
        """What one is invited to."""
        try:
            mine = secret()
            found = invitations.look(mine)
        except (BadSignature, Refused) as err:
            return over(err)
        return shown(found, mine)

    def shown(found: Invitation, secret: str, status: int = HTTPStatus.OK, **values: Any) -> Response:
        told = {**_told(found), **who_is_here(found), "typed": {}, "wrong": {}, **values, "secret": secret}
        # Accepting leads on to Totara, and some browsers hold that against the policy of the page with the form.
        answer = page("invitation_look", status, posts_to=sign_on.site_url, **told)
        if told["to_shop"]:
            browser.keep(answer, KEPT, secret, REMEMBERED)
            browser.comes_back(answer, url_for("teams.invitation"))
        return answer

    def who_is_here(found: Invitation) -> dict[str, Any]:
        """Whether the browser is the customer's who has the same address in the shop, or else could become it; and
        whether it is somebody else's. ``mine`` is the word by which the customer's own form is known.
        """
        visit, customer = browser.visit(), found.customer
        is_theirs = visit is not None and customer is not None and visit.customer_id == customer.customer_id
        other = visit is not None and not is_theirs and sign_on.person_id(visit) != found.person.id
        return {
            "mine": visit.form if visit is not None and is_theirs else "",
            "to_shop": sign_on.ways.by_shop("resume") if customer is not None and not is_theirs else "",
            "other": other,
        }

    @blueprint.post("/invitation/accept")
    def accept() -> Response:
        """Yes. Whoever was signed in by this browser is signed out: the letter says who it is now. Or it is their own
        account of the shop, and they say so.
        """
        form, visit = request.form, browser.visit()
        if (word := form.get("mine")) and visit is not None and sign_on.is_form_of(visit, word):
            try:
                answered = invitations.accept_as(secret(), visit, consents=form.get("consents") == "yes")
            except (BadSignature, Refused) as err:
                return over(err)
            return forgotten(onward(answered))
        names = {"first_name": form.get("first_name", ""), "last_name": form.get("last_name", "")}
        try:
            mine, consents, before = secret(), form.get("consents") == "yes", browser.secret()
            found = invitations.look(mine)
            if found.names_them and not all(names.values()):
                raise WrongName({field: None for field, name in names.items() if not name})
            answered = invitations.accept(mine, **names, consents=consents, before=before)
        except WrongName as err:
            return shown(found, mine, HTTPStatus.UNPROCESSABLE_ENTITY, typed=form, wrong=_said(err, found))
        except (BadSignature, Refused) as err:
            return over(err)
        return forgotten(browser.signed_in(onward(answered), answered.session, by_link=True))

    def forgotten(answer: Response) -> Response:
        """The answer, with nothing to come back to."""
        browser.keep(answer, KEPT, "")
        return browser.resumed(answer)

    def onward(answered: Answered) -> Response:
        if answered.answer is Answer.TAKEN:
            return strict(redirect(url_for("entrance.go"), HTTPStatus.SEE_OTHER))
        if answered.answer is Answer.MANAGES:
            return strict(redirect(url_for("teams.home"), HTTPStatus.SEE_OTHER))
        return page("invitation_answer", answer=answered.answer, language=request.form.get("language", ""))

    @blueprint.post("/invitation/decline")
    def decline() -> Response:
        """No, thank you."""
        try:
            answered = invitations.decline(secret())
        except (BadSignature, Refused) as err:
            return over(err)
        return forgotten(page("invitation_answer", answer=answered.answer, language=request.form.get("language", "")))


def _said(err: WrongName, found: Invitation) -> dict[str, str]:
    """What is wrong with the names, in the language of the page."""
    words = words_for(_language(found))
    return {
        field: words[f"team_problem_{problem}" if problem else "team_name_missing"]
        for field, problem in err.fields.items()
    }


def _language(found: Invitation) -> str:
    return found.person.language or language_asked_for()


def _told(invitation: Invitation) -> dict[str, Any]:
    """What the page of an invitation shows, in the language of whoever is invited."""
    person = invitation.person
    return {
        "language": _language(invitation),
        "invitation": invitation,
        "team": invitation.team.name,
        "person": person,
    }
