"""The pages of signing in by a mailed link: asking for it, and opening it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from bridge.domain.identity import masked
from bridge.errors import BadSignature, Unavailable
from bridge.mailed_links import MailedLinks
from bridge.sso import SignOn, origin_of
from bridge.web.browser import Browser, language_asked_for, strict, takes_no_more

#: Bytes that a form may have.
MOST_BYTES = 4 * 1024


def by_link(sign_on: SignOn, links: MailedLinks) -> Blueprint:
    """``/sso/link`` and below it ``open`` and ``look``."""
    blueprint = Blueprint("links", __name__, template_folder="templates")
    browser = Browser(sign_on)

    def page(name: str, status: int = HTTPStatus.OK, **values: Any) -> Response:
        """A page whose form tells where it is from: by the pages' own policy browsers would hide that from us too."""
        account = sign_on.ways.by_shop("resume" if browser.came_for() else "courses")
        answer = browser.page(name, status, account=account, site=sign_on.site_url, **values)
        answer.headers["Referrer-Policy"] = "same-origin"
        return answer

    def refused(why: str = "a form of another page than ours") -> Response:
        sign_on.refused(why)
        return browser.page("refused", HTTPStatus.FORBIDDEN)

    def is_ours() -> bool:
        return request.headers.get("Origin") == origin_of(sign_on.bridge_url)

    takes_no_more(blueprint, MOST_BYTES, refused)

    @blueprint.errorhandler(Unavailable)
    def unavailable(_err: Unavailable) -> Response:
        answer = page("later", HTTPStatus.SERVICE_UNAVAILABLE)
        answer.headers["Retry-After"] = "5"
        return answer

    @blueprint.get("/sso/link")
    def form() -> Response:
        """Where one asks for a link."""
        return page("link" if links.there else "no_links")

    @blueprint.post("/sso/link")
    def ask() -> Response:
        """Somebody asks. The answer is the same for every address, and so is the time that it takes."""
        if not is_ours() or not links.there:
            return refused()
        try:
            taken_on = links.ask(request.form.get("address", ""), language_asked_for(), request.remote_addr or "")
        except ValueError:
            return page("link", HTTPStatus.UNPROCESSABLE_ENTITY, wrong=True)
        return page("link_sent") if taken_on else page("later", HTTPStatus.TOO_MANY_REQUESTS)

    @blueprint.get("/sso/link/open")
    def opened() -> Response:
        """Where a mailed link leads. It is used by a click only: programs that look through mail open links too."""
        return page("link_open")

    def secret() -> str:
        """What the form brings along. Raises ValueError for what is no address."""
        given = request.form.get("link", "").strip()
        return urlsplit(given).fragment or given

    def over() -> Response:
        sign_on.refused("a mailed link that can't be opened, or not any more")
        return page("link_over", HTTPStatus.FORBIDDEN)

    def asked(mine: str) -> Response | None:
        """The question before the click, None once it is answered. It names whom the link signs in, since a link may
        be somebody else's, who has it opened here; and it asks whoever is signed in already as another. Raises
        BadSignature.
        """
        person, address = links.look(mine)
        visit = browser.visit()
        other = visit if visit is not None and sign_on.person_id(visit) != person else None
        seen = request.endpoint == "links.sign_in"
        if seen and (other is None or sign_on.is_form_of(other, request.form.get("instead", ""))):
            return None
        told: dict[str, Any] = {"address": masked(address), "secret": mine, "instead": other.form if other else ""}
        # To go on leads to Totara, and some browsers hold that against the policy of the page with the form.
        return page("link_look", posts_to=sign_on.site_url, **told)

    @blueprint.post("/sso/link/look")
    def look() -> Response:
        """Whom the link signs in. Nothing is used up by it."""
        if not is_ours():
            return refused()
        try:
            question = asked(secret())
        except (BadSignature, ValueError):
            return over()
        assert question is not None, "nothing was answered yet"
        return question

    @blueprint.post("/sso/link/open")
    def sign_in() -> Response:
        """The click."""
        if not is_ours():
            return refused()
        try:
            mine = secret()
            if (question := asked(mine)) is not None:
                return question
            session = links.open(mine, browser.secret())
        except (BadSignature, ValueError):
            return over()
        onward = redirect(browser.came_for() or url_for("entrance.go"), HTTPStatus.SEE_OTHER)
        return strict(browser.resumed(browser.signed_in(onward, session, by_link=True)))

    return blueprint
