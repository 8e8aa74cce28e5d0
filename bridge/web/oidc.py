"""The addresses of the OpenID provider. Only Totara's stock OAuth 2 plugin is a client of it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_plus

from flask import Blueprint, Response, jsonify, redirect, request, url_for
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.wrappers import Response as AnyResponse

from bridge.errors import Refused, Unavailable
from bridge.oidc import Provider, Wrong
from bridge.web.browser import Browser, strict, takes_no_more
from bridge.web.entrance import LOOK_AGAIN, MOST_BYTES


def oidc(provider: Provider) -> Blueprint:
    """``/.well-known/openid-configuration`` and ``/oidc/…``."""
    blueprint = Blueprint("oidc", __name__, template_folder="templates")
    browser = Browser(provider.sign_on)

    def too_large(why: str) -> AnyResponse:
        """What only Totara itself sends is refused as it expects it."""
        provider.sign_on.refused(why)
        return wrong(Wrong("invalid_request", why))

    takes_no_more(blueprint, MOST_BYTES, too_large)

    @blueprint.errorhandler(Unavailable)
    def unavailable(_err: Unavailable) -> AnyResponse:
        """Nobody is refused because something is down: a browser looks again at the same address."""
        if request.endpoint == "oidc.authorize":
            answer = browser.page("away", again=LOOK_AGAIN)
        else:
            answer = _json({"error": "temporarily_unavailable"})
        answer.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        answer.headers["Retry-After"] = "5"
        return answer

    @blueprint.get("/.well-known/openid-configuration")
    def discovery() -> Response:
        """What Totara's administrators let it read when they set the bridge up there."""
        answer = _json(provider.discovery())
        answer.headers["Cache-Control"] = "public, max-age=300"
        return answer

    @blueprint.get("/oidc/authorize")
    def authorize() -> AnyResponse:
        """A browser that Totara sent, which goes back there with a code, or by the shop's sign-in first."""
        if request.method == "HEAD":  # a code is for whoever goes on with it
            raise MethodNotAllowed(["GET"])
        try:
            query = provider.query(request.query_string)
        except Refused:
            return browser.page("refused", HTTPStatus.BAD_REQUEST)
        try:
            return answered(query)
        except Wrong as err:
            return _onward(provider.back(query, error=err.code, error_description=str(err)))

    def answered(query: Mapping[str, str]) -> AnyResponse:
        """Back with a code, or to the page that the visitor needs. Raises Wrong."""
        asked = provider.asked(query)
        visit = browser.visit()
        if visit is None:
            return asked.or_page("login_required", browser.to_sign_in())
        person = provider.person(visit)
        if person is None or person.totara_id is None:
            return asked.or_page("interaction_required", _onward(url_for("entrance.go")))
        try:
            # Whoever else may be in there: Totara asks from its login page, and puts whom it is told of in their place.
            answer = _onward(provider.back(query, code=provider.code(person, asked)))
            return browser.told(answer, person.totara_id)
        except Refused:
            return asked.or_page("access_denied", browser.page("refused", HTTPStatus.FORBIDDEN))

    @blueprint.post("/oidc/token")
    def token() -> Response:
        """Totara itself, with a code."""
        form = _form()
        provider.authenticate(*_credentials(form))
        return _json(provider.exchange(form))

    @blueprint.route("/oidc/userinfo", methods=["GET", "POST"])
    def userinfo() -> Response:
        """Totara itself, with an access token."""
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return _challenged(_json({}), "Bearer")
        return _json(provider.userinfo(value.strip()))

    @blueprint.errorhandler(Wrong)
    def wrong(err: Wrong) -> Response:
        answer = _json({"error": err.code, "error_description": str(err)})
        if err.code == "invalid_client":
            return _challenged(answer, 'Basic realm="bridge"')
        if err.code == "invalid_token":
            return _challenged(answer, 'Bearer error="invalid_token"')
        answer.status_code = HTTPStatus.BAD_REQUEST
        return answer

    return blueprint


def _form() -> dict[str, str]:
    """The fields of the request's form. Raises Wrong if one is there twice."""
    fields = request.form.to_dict(flat=False)
    if any(len(values) > 1 for values in fields.values()):
        raise Wrong("invalid_request", "a parameter is there twice")
    return {name: values[0] for name, values in fields.items()}


def _credentials(form: Mapping[str, str]) -> tuple[str, str]:
    """The client's id and secret, from the form or, encoded as in a form, by Basic. Raises Wrong."""
    if "Authorization" not in request.headers:
        return form.get("client_id", ""), form.get("client_secret", "")
    if "client_secret" in form:
        raise Wrong("invalid_request", "the secret is there in two ways")
    given = request.authorization
    if given is None or given.type != "basic":
        return "", ""
    return unquote_plus(given.username or ""), unquote_plus(given.password or "")


def _json(body: Mapping[str, Any]) -> Response:
    answer = strict(jsonify(body))
    answer.headers["Pragma"] = "no-cache"
    return answer


def _challenged(answer: Response, how: str) -> Response:
    answer.status_code = HTTPStatus.UNAUTHORIZED
    answer.headers["WWW-Authenticate"] = how
    return answer


def _onward(url: str) -> AnyResponse:
    return strict(redirect(url, HTTPStatus.SEE_OTHER))
