"""What all pages share: who is signed in by which cookie, headers that keep browsers strict, and pages in words."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as AnyResponse

from bridge.sso import SignOn, origin_of
from bridge.store.signon import Visit
from bridge.web.words import LANGUAGES, Words, words_for

R = TypeVar("R", bound=AnyResponse)

#: The cookie of a visit. With TLS its name makes browsers insist on this host, on TLS and on the whole site.
VISIT, RESUME, WAY, LAST_IN = "bridge-visit", "bridge-resume", "bridge-way", "bridge-last-in"
#: Seconds for which a browser remembers what it came for, while its user signs in to the shop.
REMEMBERED = 600
#: Seconds for which it remembers by which way somebody signed in.
WAY_REMEMBERED = 180 * 86_400
#: Seconds for which it remembers whom Totara was told that it is: for longer than any session there may rest.
LAST_IN_REMEMBERED = 180 * 86_400
#: What may be come back to after signing in to the shop.
_RESUMABLE = ("/sso/totara?", "/oidc/authorize?", "/learn", "/team/")


class Browser:
    """The browser of one request, as the bridge's pages see it."""

    def __init__(self, sign_on: SignOn) -> None:
        self._sign_on = sign_on
        self._secure = sign_on.bridge_url.startswith("https://")

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self._secure else name

    def visit(self) -> Visit | None:
        """Who is signed in, if anybody."""
        return self._sign_on.visit(secret) if (secret := self.secret()) else None

    def secret(self) -> str:
        """What the browser's cookie says, "" for nothing. With what another site's page posts, browsers send none."""
        secret = request.cookies.get(self._name(VISIT), "")
        return secret if len(secret) < 100 else ""

    def _set(self, answer: AnyResponse, name: str, value: str, max_age: int | None) -> None:
        how: dict[str, Any] = {"secure": self._secure, "httponly": True, "samesite": "Lax", "path": "/"}
        answer.set_cookie(self._name(name), value, max_age=max_age, **how)

    def signed_in(self, answer: AnyResponse, secret: str, *, by_link: bool = False) -> AnyResponse:
        """The answer, with a new visit. By which way it came is remembered, for the next time."""
        self._set(answer, VISIT, secret, None)
        self._set(answer, WAY, "link" if by_link else "", WAY_REMEMBERED if by_link else 0)
        return answer

    def signed_out(self, answer: AnyResponse) -> AnyResponse:
        """The answer, with nobody signed in."""
        self._set(answer, VISIT, "", 0)
        return answer

    def to_sign_in(self) -> AnyResponse:
        """To the shop's own sign-in, and back here to what was asked for; whoever came by a mailed link the last time,
        or comes by a letter to somebody without an account there, is sent to where one asks for them.
        """
        ways, by_link = self._sign_on.ways, "link" in (request.cookies.get(self._name(WAY)), request.args.get("by"))
        answer = redirect(ways.by_link if by_link else ways.by_shop("resume"), HTTPStatus.SEE_OTHER)
        came_for = request.full_path if request.query_string else request.path
        if came_for.startswith(_RESUMABLE) and len(came_for) < 3000:
            self._set(answer, RESUME, came_for, REMEMBERED)
        return strict(answer)

    def comes_back(self, answer: AnyResponse, path: str) -> None:
        """Has the browser come back to a path of ours once its user has signed in to the shop."""
        self._set(answer, RESUME, path, REMEMBERED)

    def came_for(self) -> str:
        """What the browser came for before it was sent to the shop: a path of ours, "" for nothing.

        Not to be asked at the shop's own POST: from another site's page browsers send no such cookie along.
        """
        path = request.cookies.get(self._name(RESUME), "")
        return path if path.startswith(_RESUMABLE) and "\\" not in path and path.isprintable() else ""

    def resumed(self, answer: AnyResponse) -> AnyResponse:
        """The answer, with what it came for forgotten."""
        self._set(answer, RESUME, "", 0)
        return answer

    def told(self, answer: R, user_id: int | None) -> R:
        """The answer by which Totara is told who this browser's user is, or by which nobody is in there any more."""
        mark = "" if user_id is None else self._sign_on.last_in.mark(user_id)
        self.keep(answer, LAST_IN, mark, LAST_IN_REMEMBERED)
        return answer

    def last_in(self) -> str:
        """The mark of whoever was let into Totara from here the last time, "" for nobody."""
        return self.kept(LAST_IN)

    def keep(self, answer: AnyResponse, name: str, value: str, seconds: int | None = None) -> None:
        """Has the browser keep something for so long, or for as long as it runs; "" for no longer."""
        self._set(answer, name, value, seconds if value else 0)

    def kept(self, name: str) -> str:
        """What the browser was to keep, "" for nothing. It may have been changed by whoever has the browser."""
        return request.cookies.get(self._name(name), "")

    def page(
        self,
        name: str,
        status: int = HTTPStatus.OK,
        *,
        posts_to: str = "",
        language: str = "",
        again: int = 0,
        **values: Any,
    ) -> Response:
        """A page of ours, in the visitor's language. ``posts_to`` is the one other site that its form may go to.

        After ``again`` seconds the page looks again by itself. Whoever reads slowly, or is read to, stops that by
        ``?still=1``: the page has to have a link there.
        """
        nonce, still = secrets.token_urlsafe(16), "still" in request.args
        values |= {"nonce": nonce, "shop": self._sign_on.shop_url, "by_itself": bool(again) and not still}
        words = words_for(language) if language else words_asked_for()
        answer = Response(render_template(f"{name}.html.j2", words=words, **values), status, mimetype="text/html")
        if again and not still:
            answer.headers["Refresh"] = str(again)
        return strict(answer, nonce=nonce, posts_to=posts_to)


#: Why more than any form has is refused.
TOO_LARGE = "more was sent than any form of ours has"


def takes_no_more(blueprint: Blueprint, most: int, refuse: Callable[[str], AnyResponse]) -> None:
    """Let nobody send more than so many bytes to the pages of a blueprint. ``refuse`` answers whoever does, and writes
    down why.
    """

    @blueprint.before_request
    def _small() -> None:
        request.max_content_length = most
        request.max_form_memory_size = most

    @blueprint.errorhandler(RequestEntityTooLarge)
    def _too_large(_err: RequestEntityTooLarge) -> AnyResponse:
        return refuse(TOO_LARGE)


def words_asked_for() -> Words:
    """The words of the language that the request asks for."""
    return words_for(language_asked_for())


def language_asked_for() -> str:
    """The language of ours that the request asks for."""
    return request.accept_languages.best_match(LANGUAGES) or LANGUAGES[0]


def strict(answer: R, *, nonce: str = "", posts_to: str = "") -> R:
    """The answer, with headers that keep it out of caches, frames and referrers, and scripts of others out of it."""
    script = f"'nonce-{nonce}'" if nonce else "'none'"
    forms = f"'self' {origin_of(posts_to)}" if posts_to else "'self'"
    policy = f"default-src 'none'; script-src {script}; style-src {script}; img-src 'self'; form-action {forms}; "
    headers: Mapping[str, str] = {
        "Content-Security-Policy": policy + "frame-ancestors 'none'; base-uri 'none'",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    answer.headers.update(headers)
    return answer
