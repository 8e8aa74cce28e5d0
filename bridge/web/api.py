"""What the shop's plugin asks of the bridge, version 1. Every request is signed by the shop, for one purpose."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request

import bridge
from bridge.errors import BadSignature, Unavailable
from bridge.kinds import ORDER
from bridge.my_courses import MyCourse
from bridge.often import Often
from bridge.sso import SignOn
from bridge.store.work import Work
from bridge.web.browser import words_asked_for
from bridge.web.strict_json import answer

#: Questions about one customer that one process answers within a minute; so many sign-outs of one customer, and hints
#: at one order, it takes.
MOST_A_MINUTE = 60


def api(sign_on: SignOn, work: Work) -> Blueprint:
    """``/api/v1/…``; described in docs/openapi.yaml."""
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
    often, often_out, often_poked = Often(MOST_A_MINUTE), Often(MOST_A_MINUTE), Often(MOST_A_MINUTE)

    def problem(status: HTTPStatus, code: str, message: str) -> Response:
        return answer({"error": {"code": code, "message": message}}, status)

    def too_many() -> Response:
        return problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many", "Asked too often: try again in a minute.")

    @blueprint.errorhandler(BadSignature)
    def unsigned(err: BadSignature) -> Response:
        sign_on.refused(str(err), at=request.path)
        return problem(HTTPStatus.UNAUTHORIZED, "unauthorized", "The token is missing, or not right.")

    def anothers(customer: int) -> Response:
        """The token is right, and for another customer than the one who is asked about."""
        sign_on.refused("the token is for another customer", at=request.path, customer=customer)
        return problem(HTTPStatus.FORBIDDEN, "forbidden", "The token is for another customer.")

    @blueprint.errorhandler(Unavailable)
    def unavailable(_err: Unavailable) -> Response:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "The bridge can't tell just now.")

    def token() -> str:
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise BadSignature("there was no token")
        return value.strip()

    @blueprint.get("/status")
    def status() -> Response:
        if named := sign_on.tokens.reads(token()):
            sign_on.refused("the token is for a customer", at=request.path, customer=named)
            return problem(HTTPStatus.FORBIDDEN, "forbidden", "The token is for a customer.")
        return answer({"bridge": bridge.__version__, "ok": True})

    @blueprint.get("/customers/<int:customer>/courses")
    def courses(customer: int) -> Response:
        named = sign_on.tokens.reads(token())
        if named != customer or not 0 < customer < 2**63:
            return anothers(named)
        if often(customer):
            return too_many()
        words = words_asked_for()
        found = [
            _as_json(course, words, sign_on.site_url) for course in sign_on.courses_of(customer, words["language"])
        ]
        seen = {"teams": sign_on.teams_of(customer), "checked_at": _moment(datetime.now(UTC))}
        return answer({"customer": customer, "courses": found, **seen})

    @blueprint.post("/customers/<int:customer>/sign-out")
    def sign_out(customer: int) -> Response:
        named, shop_session = sign_on.tokens.signed_out(token())
        if named != customer or not 0 < customer < 2**63:
            return anothers(named)
        if often_out(customer):
            return too_many()
        return answer({"customer": customer, "ended": sign_on.signed_out_by_shop(customer, shop_session)})

    @blueprint.post("/pokes")
    def poke() -> Response:
        order = sign_on.tokens.poked(token())
        if often_poked(order):  # what is owed is owed already, or was just looked at; the webhook comes all the same
            return too_many()
        work.mark_due(ORDER, order)
        return answer({"order": order}, HTTPStatus.ACCEPTED)

    return blueprint


def _as_json(course: MyCourse, words: Mapping[str, str], site_url: str) -> dict[str, Any]:
    """A course as the shop shows it, its reason in words. What Totara has not told is null."""
    return {
        "item": f"{course.item.kind}:{course.item.id}",
        "name": course.name,
        "sold_as": course.sold_as,
        "state": course.standing,
        "reason": words[course.reason] if course.reason else "",
        "target": str(course.target),
        "starts": _moment(course.starts),
        "until": _moment(course.until),
        "progress": course.progress,
        "completed": course.completed,
        "certificate": f"{site_url}{course.certificate}" if course.certificate else None,
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
