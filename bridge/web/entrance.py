"""The way in from the shop, and on to Totara; the list of one's courses; the way out."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, jsonify, redirect, request, url_for
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.wrappers import Response

from bridge.admission import Barred
from bridge.domain.letters import Reason
from bridge.domain.targets import Place, read_target
from bridge.errors import BadSignature, Refused, Unavailable
from bridge.keys import SigningKeys
from bridge.seen import OURS, Seen, State
from bridge.sharing import Sharing
from bridge.sso import SignOn
from bridge.store.signon import Visit
from bridge.web.browser import Browser, language_asked_for, strict, takes_no_more
from bridge.web.dates import day
from bridge.web.waiting import Waiting

_NONCE = re.compile(r"[0-9a-f]{32}", re.ASCII)
#: Seconds between two looks while a browser is kept waiting.
_PAUSE = 0.1
#: Seconds after which a page looks again by itself: while access is prepared, and while something does not answer.
LOOKING, LOOK_AGAIN = 2, 5
#: Why a form is refused that has not the word which its visitor's forms have.
FOREIGN_FORM = "a form that was not given to this visitor"
#: Bytes that a form may have.
MOST_BYTES = 16 * 1024


def entrance(sign_on: SignOn, keys: SigningKeys, sharing: Sharing, waiting: Waiting) -> Blueprint:
    """``/sso/…``, ``/learn`` and ``/.well-known/jwks.json``. For whom there is no place among those ``waiting``, the
    page looks again by itself from the beginning.
    """
    blueprint = Blueprint("entrance", __name__, template_folder="templates")
    browser = Browser(sign_on)

    def refused(why: str = "") -> Response:
        """The page that tells nothing; ``why`` is for the audit log, if it is not written down yet."""
        if why:
            sign_on.refused(why)
        return browser.page("refused", HTTPStatus.FORBIDDEN)

    takes_no_more(blueprint, MOST_BYTES, refused)

    @blueprint.errorhandler(Unavailable)
    def unavailable(_err: Unavailable) -> Response:
        """Nobody is refused because something is down: the same address looks again."""
        again = LOOK_AGAIN if request.method == "GET" else 0
        answer = browser.page("away", HTTPStatus.SERVICE_UNAVAILABLE, again=again)
        answer.headers["Retry-After"] = "5"
        return answer

    @blueprint.get("/.well-known/jwks.json")
    def jwks() -> Response:
        """The keys by which our tokens may be verified."""
        answer = jsonify({"keys": [key.public for key in keys.published()]})
        answer.headers["Cache-Control"] = "public, max-age=300"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    @blueprint.post("/sso/launch")
    def launch() -> Response:
        """From the shop, with its token. What went wrong is told to nobody but the audit log."""
        try:
            token, origin = request.form.get("token", ""), request.headers.get("Origin", "")
            came = sign_on.launch(token, origin, browser.secret())
        except BadSignature:
            return refused()
        onward = came.onward or url_for("entrance.go")
        answer = strict(browser.signed_in(redirect(onward, HTTPStatus.SEE_OTHER), came.secret))
        return answer if came.target.place is Place.RESUME else browser.resumed(answer)

    @blueprint.get("/sso/go")
    def go() -> Response:
        """On to where the visitor wants to, once that is there; until then the truth about it."""
        visit = browser.visit()
        if visit is None:
            return browser.to_sign_in()
        if visit.target == Place.RESUME and (came_for := browser.came_for()):
            return strict(browser.resumed(redirect(came_for, HTTPStatus.SEE_OTHER)))
        seen = sign_on.look(visit) if request.args.get("again") else settled(visit)
        if seen.target.place in OURS:
            onward = "entrance.learn" if seen.target.place is Place.COURSES else "teams.home"
            return strict(redirect(url_for(onward), HTTPStatus.SEE_OTHER))
        if seen.state is State.LOOKING and not request.args.get("again"):
            return strict(redirect(url_for("entrance.go", again=1), HTTPStatus.SEE_OTHER))
        if seen.state is not State.READY:
            return browser.page("state", seen=seen, again=LOOKING if seen.state is State.LOOKING else 0)
        if sign_on.is_anothers(visit, mark := browser.last_in()):
            return another(visit, mark)
        return strict(redirect(sign_on.onward(seen.target), HTTPStatus.SEE_OTHER))

    def another(visit: Visit, mark: str) -> Response:
        """Another was let into Totara from this browser, and may still be in there. Its sign-out is told where to come
        back to: so asked, Totara 17.3 ends the session without a question, and comes back also where there is none.
        """
        back = f"{sign_on.bridge_url}{url_for('entrance.left')}?{urlencode({'of': mark})}"
        sign_out = f"{sign_on.site_url}/login/logout.php?{urlencode({'redirecturl': back})}"
        return browser.page("another", posts_to=sign_on.site_url, sign_out=sign_out, form=visit.form)

    @blueprint.get("/sso/left")
    def left() -> Response:
        """Back from Totara's sign-out. Nobody can bring that about who does not know the browser's mark."""
        answer = strict(redirect(url_for("entrance.go"), HTTPStatus.SEE_OTHER))
        mark = browser.last_in()
        known = secrets.compare_digest(
            mark.encode("utf-8", "replace"), request.args.get("of", "").encode("utf-8", "replace")
        )
        return browser.told(answer, None) if known else answer

    @blueprint.post("/sso/left")
    def left_by_hand() -> Response:
        """The visitor says that nobody else is in there. Taken for this once: the mark stays until Totara asks."""
        visit = _by_our_form()
        if visit is None:
            return refused(FOREIGN_FORM)
        seen = sign_on.look(visit)
        leads_there = seen.state is State.READY and seen.target.place not in OURS
        onward = sign_on.onward(seen.target) if leads_there else url_for("entrance.go")
        return strict(redirect(onward, HTTPStatus.SEE_OTHER))

    def settled(visit: Visit) -> Seen:
        """How it stands, after a moment of waiting if it is being looked at, and if there is a place to wait."""
        seen = sign_on.look(visit)
        if seen.state is not State.LOOKING:
            return seen
        with waiting.place(visit.name) as may_wait:
            until = time.monotonic() + (sign_on.wait_seconds if may_wait else 0.0)
            while seen.state is State.LOOKING and time.monotonic() < until:
                time.sleep(_PAUSE)
                seen = sign_on.look(visit)
        return seen

    @blueprint.get("/sso/totara")
    def to_totara() -> Response:
        """Back from Totara's plugin, with the nonce of the browser's session there."""
        if request.method == "HEAD":  # a token is for whoever goes on with it
            raise MethodNotAllowed(["GET"])
        nonce = request.args.get("nonce", "")
        if not _NONCE.fullmatch(nonce):
            return refused("it is no nonce of Totara's plugin")
        visit = browser.visit()
        if visit is None:
            return browser.to_sign_in()
        try:
            vouched = sign_on.site_token(visit, nonce)
        except Barred:
            return refused()
        except Refused:
            return stopped(visit)
        if vouched is None:
            return browser.to_sign_in()
        action = f"{sign_on.site_url}/auth/bridge/login.php"
        answer = browser.page("going", posts_to=sign_on.site_url, action=action, token=vouched.token)
        return browser.told(answer, vouched.user_id)

    def stopped(visit: Visit) -> Response:
        """For whom there is no way on to Totara. Sent to where all seems ready, they would come back here for ever."""
        seen = sign_on.look(visit)
        if seen.state is not State.READY or seen.target.place in OURS:
            return strict(redirect(url_for("entrance.go"), HTTPStatus.SEE_OTHER))
        return browser.page("state", seen=replace(seen, state=State.WAITING, reason=Reason.OTHER))

    @blueprint.get("/learn")
    def learn() -> Response:
        """The visitor's courses, what their teams see of them, and the way to the teams that they manage."""
        visit = browser.visit()
        if visit is None:
            return browser.to_sign_in()
        # Some browsers hold what a form leads on to against the policy too, and "Open" leads on to Totara.
        site, person = sign_on.site_url, sign_on.person_id(visit)
        shown: dict[str, Any] = {
            "courses": sign_on.courses(visit, language_asked_for()),
            "who": visit.visitor.email if visit.visitor is not None else "",
            "form": visit.form,
            "site": site,
            "day": day,
        }
        shown["shares"] = sharing.of(person) if person is not None else ()
        shown["waits"] = person is not None and sharing.waits(person)
        shown["manages"] = sharing.manages(person) if person is not None else ()
        return browser.page("learn", posts_to=site, **shown)

    @blueprint.post("/learn/sharing")
    def share() -> Response:
        """Let a team see how one gets on, or no longer."""
        visit, team, gives = _by_our_form(), request.form.get("team", ""), request.form.get("gives")
        person = sign_on.person_id(visit) if visit is not None else None
        if person is None or gives not in ("yes", "no"):
            return refused(FOREIGN_FORM)
        if not sharing.decide(person, team, gives == "yes"):
            sign_on.refused("no team that could see how they get on", person=person)
            return browser.page("team/nothing", HTTPStatus.NOT_FOUND)
        return strict(redirect(url_for("entrance.learn"), HTTPStatus.SEE_OTHER))

    @blueprint.post("/learn/go")
    def choose() -> Response:
        """To one of them."""
        visit = _by_our_form()
        if visit is None:
            return refused(FOREIGN_FORM)
        try:
            target = read_target(request.form.get("target"))
        except ValueError:
            return refused("a target that is not of the list")
        sign_on.go_to(visit, target)
        return strict(redirect(url_for("entrance.go"), HTTPStatus.SEE_OTHER))

    @blueprint.post("/sso/sign-out")
    def sign_out() -> Response:
        """The end of the visit here."""
        visit = _by_our_form()
        if visit is None:
            return refused(FOREIGN_FORM)
        sign_on.leave(visit)
        return browser.signed_out(signed_out(sign_on.site_url))

    @blueprint.get("/sso/ended")
    def ended() -> Response:
        """From Totara, whose session has ended, with what it was told to end the visit here by.

        The answer is the same whatever that is, and leads nowhere but to the shop.
        """
        sign_on.signed_out_by_totara(request.args.get("sid", ""))
        return browser.told(signed_out(), None)

    def signed_out(site: str = "") -> Response:
        return browser.page("signed_out", site=site, shop_sign_out=sign_on.ways.shop_sign_out)

    def _by_our_form() -> Visit | None:
        """Who is signed in, if the form is one that we gave to them."""
        visit = browser.visit()
        return visit if visit is not None and sign_on.is_form_of(visit, request.form.get("form", "")) else None

    return blueprint
