"""The embedded Totara for somebody who is signed in: the login page, the dashboard, a course; and how one gets in.

There are no passwords: the one way in is the bridge's plugin.
"""

from __future__ import annotations

import base64
import hashlib
import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from bridge.sandbox.totara_oauth2 import CALLBACK, LOGIN, OAuth2Pages
from bridge.sandbox.totara_sign_on import NotLetIn, Session
from bridge.sandbox.totara_text import cleaned, in_language
from bridge.sandbox.totara_things import Course, User

if TYPE_CHECKING:
    from bridge.sandbox.totara import Totara

COOKIE = "TotaraSession"
REFUSED = "Signing in with the academy shop did not work. Please start again from the shop, or sign in here."
_SCRIPT = "document.forms[0].submit();"
_TOKEN = re.compile(r"[\w.-]{1,4096}", re.ASCII)


class Visitors:
    """The pages of one site, as views."""

    def __init__(self, totara: Totara) -> None:
        self._totara = totara
        self._sign_on = totara.sign_on

    # --- who is there ----------------------------------------------------------------------------------------------

    def session(self) -> tuple[str, Session]:
        """The session of the browser that asks, and its name."""
        name = request.cookies.get(COOKIE, "")
        return name, self._sign_on.find_session(name)

    def visitor(self) -> User | None:
        """Who is signed in in the browser that asks."""
        return self._sign_on.user(self.session()[1])

    def _with(self, answer: AnyResponse, name: str) -> AnyResponse:
        # Totara's cookie does not say; browsers then take it for this. A form of another site comes without it.
        answer.set_cookie(COOKIE, name, httponly=True, samesite="Lax", path="/")
        return answer

    def _strict(self, answer: AnyResponse) -> AnyResponse:
        answer.headers.update({"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
        return answer

    # --- the plugin ------------------------------------------------------------------------------------------------

    def start(self) -> AnyResponse:
        """start.php: a nonce for this browser, and on to the bridge."""
        name, session = self.session()
        try:
            address = self._sign_on.begin(session)
        except NotLetIn as refused:
            return self._refuse(name, session, refused)
        answer = redirect(address, HTTPStatus.SEE_OTHER)
        return self._strict(self._with(answer, self._sign_on.keep(name, session)))

    def login(self) -> AnyResponse:
        """login.php: takes the token that the bridge made for this browser."""
        name, session = self.session()
        token = request.form.get("token", "")
        if not _TOKEN.fullmatch(token):
            return self._refuse(name, session, NotLetIn("malformed"))
        if not request.form.get("again") and not session.nonces:
            # The browser may have kept its cookie back, as the form came from another site. It has one more chance.
            return self._post_again(token)
        try:
            user, target, claims = self._sign_on.accept(token, name, session)
        except NotLetIn as refused:
            return self._refuse(name, session, refused)
        if session.user_id not in (0, user.id):
            fresh = self._sign_on.renew(name, Session())
            self._sign_on.hand_over(claims.jti, fresh)
            return self._with(self._post_again(token), fresh)
        self._sign_on.let_in(user)
        answer = redirect(target, HTTPStatus.SEE_OTHER)
        session.sid = claims.sid
        if session.user_id != user.id:
            session.user_id, session.wanted = user.id, ""
            name = self._sign_on.renew(name, session)
        return self._strict(self._with(answer, name))

    def _post_again(self, token: str) -> AnyResponse:
        page = make_response(render_template("totara_again.html", token=token, script=_SCRIPT))
        digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
        policy = f"default-src 'none'; script-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"
        page.headers["Content-Security-Policy"] = policy
        return self._strict(page)

    def _refuse(self, name: str, session: Session, refused: NotLetIn) -> AnyResponse:
        """One and the same message for every reason; the reason goes to the log."""
        self._sign_on.log.append(("refused", refused.reason, refused.user_id))
        session.message = REFUSED
        answer = redirect("/login/index.php", HTTPStatus.SEE_OTHER)
        return self._strict(self._with(answer, self._sign_on.keep(name, session)))

    # --- pages -----------------------------------------------------------------------------------------------------

    def login_page(self) -> AnyResponse:
        """The login page, and once what went wrong."""
        name, session = self.session()
        message, session.message = session.message, ""
        shown = {"button": bool(self._sign_on.bridge_url), "oauth2": self._totara.oauth2.begins_at(session)}
        page = make_response(render_template("totara_login.html", message=message, **shown))
        return self._with(page, self._sign_on.keep(name, session)) if shown["oauth2"] else page

    def enter(self, user: User | None, target: str) -> AnyResponse:
        """Let in whom the other site told of, in the place of whoever was in; or say that nobody was."""
        name, session = self.session()
        if user is None:
            return self._refuse(name, session, NotLetIn("oauth2"))
        self._sign_on.let_in(user)
        session.user_id, session.wanted, session.sid = user.id, "", ""
        return self._with(redirect(target, HTTPStatus.SEE_OTHER), self._sign_on.renew(name, session))

    def logout(self) -> AnyResponse:
        """Asks first, since a link of another site could lead here; then the session is ended, and whoever came by the
        bridge is sent on to it. Measured on Totara 17.3: where it is told what to go to afterwards, it does not ask.
        """
        back = request.args.get("redirecturl", "")
        if request.method == "GET" and not back:
            return make_response(render_template("totara_logout.html"))
        name, session = self.session()
        self._sign_on.sessions.pop(name, None)
        answer = redirect(self._sign_on.ends_visit_at(session) or back or "/login/index.php", HTTPStatus.SEE_OTHER)
        answer.delete_cookie(COOKIE)
        return answer

    def _to_login(self) -> AnyResponse:
        """Sign in first; the page that was wanted is kept in the session."""
        name, session = self.session()
        session.wanted = f"{request.path}?{quote(request.query_string, safe='=&')}".removesuffix("?")
        return self._with(redirect("/login/index.php", HTTPStatus.SEE_OTHER), self._sign_on.keep(name, session))

    def dashboard(self) -> AnyResponse:
        """Whoever is signed in, and their courses."""
        user = self.visitor()
        if user is None:
            return self._to_login()
        with self._totara.lock:
            courses = [course for course in self._totara.courses.values() if self._opens(user, course)]
            return make_response(render_template("totara_dashboard.html", courses=courses))

    def course(self) -> AnyResponse:
        """A course, for its learners; 403 for everybody else who is signed in."""
        course = self._totara.courses.get(request.args.get("id", 0, int)) or abort(HTTPStatus.NOT_FOUND)
        user = self.visitor()
        if user is None:
            return self._to_login()
        with self._totara.lock:
            opens = self._opens(user, course)
            summary = cleaned(in_language(course.summary))
            done = (user.id, course.id) in self._totara.completions
            given = {"course": course, "summary": summary, "opens": opens, "done": done}
            page = render_template("totara_learn.html", lessons=self._totara.lessons_of(user.id, course.id), **given)
        return make_response(page, HTTPStatus.OK if opens else HTTPStatus.FORBIDDEN)

    def certificate(self) -> AnyResponse:
        """A course's certificate, for whoever has completed it; 403 for everybody else who is signed in."""
        number = request.args.get("id", 0, int)
        given = (one for one in self._totara.courses.values() if one.certificate and one.certificate_id == number)
        course = next(given, None) or abort(HTTPStatus.NOT_FOUND)
        user = self.visitor()
        if user is None:
            return self._to_login()
        with self._totara.lock:
            earned = self._opens(user, course) and (user.id, course.id) in self._totara.completions
            page = render_template("totara_certificate.html", course=course, earned=earned)
        return make_response(page, HTTPStatus.OK if earned else HTTPStatus.FORBIDDEN)

    def _opens(self, user: User, course: Course) -> bool:
        return self._totara.reachable(user.id, course.id)


def install(totara: Totara) -> None:
    """Answer for the pages of those who sign in."""
    visitors, app = Visitors(totara), totara.app
    by_oauth2 = OAuth2Pages(visitors, totara.oauth2)
    app.context_processor(lambda: {"visitor": visitors.visitor(), "sitename": totara.sitename})
    for rule, name, view, methods in (
        ("/auth/bridge/start.php", "start", visitors.start, ["GET"]),
        ("/auth/bridge/login.php", "login", visitors.login, ["POST"]),
        (LOGIN, "oauth2_login", by_oauth2.login, ["GET"]),
        (CALLBACK, "oauth2_callback", by_oauth2.callback, ["GET"]),
        ("/login/index.php", "login_page", visitors.login_page, ["GET"]),
        ("/login/logout.php", "logout", visitors.logout, ["GET", "POST"]),
        ("/totara/dashboard/index.php", "dashboard", visitors.dashboard, ["GET"]),
        ("/course/view.php", "learn", visitors.course, ["GET"]),
        ("/mod/certificate/view.php", "certificate", visitors.certificate, ["GET"]),
    ):
        app.add_url_rule(rule, name, view, methods=methods)
