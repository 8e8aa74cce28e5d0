"""Addresses that are none, and pages that are only sent to: answered like everything else there, not in the
framework's own words.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Flask, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Response

from bridge.sso import SignOn
from bridge.web.browser import Browser
from bridge.web.strict_json import problem

#: Below these people go by browser, and below that companies' machines. The rest is other systems'.
_PAGES, _MACHINES = ("/team/", "/learn", "/sso/"), "/api/v1/team"


def answers_the_unknown(app: Flask, sign_on: SignOn) -> None:
    """Have people read a page in their language, and companies' machines a problem, where nothing has this address, or
    nothing takes it in this way: where the address of a form's answer is opened anew, say.
    """

    def answered(err: HTTPException) -> Response | HTTPException:
        if request.path.startswith(_PAGES):
            return _like(err, Browser(sign_on).page("team/nothing", err.code or HTTPStatus.NOT_FOUND))
        if request.path == _MACHINES or request.path.startswith(f"{_MACHINES}/"):
            return _like(err, _problem(err))
        return err

    app.register_error_handler(NotFound, answered)
    app.register_error_handler(MethodNotAllowed, answered)


def _problem(err: HTTPException) -> Response:
    if isinstance(err, MethodNotAllowed):
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, "invalid", "This can't be asked in this way.")
    return problem(HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this address.")


def _like(err: HTTPException, answer: Response) -> Response:
    """The answer, which tells too what is allowed there instead."""
    if isinstance(err, MethodNotAllowed):
        answer.headers["Allow"] = ", ".join(sorted(err.valid_methods or ()))
    return answer
