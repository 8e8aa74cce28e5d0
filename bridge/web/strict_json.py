"""JSON in and out, strictly: what is not exactly as described is refused, and a refusal says where, but repeats nothing
of what it was sent. Refusals are application/problem+json (RFC 9457) with a ``code`` that programs go by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

from flask import Response, jsonify, request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import HTTPException

#: So many errors are told of one request.
MOST_ERRORS = 20
_LONGEST_NAME = 64

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A body: types as they are, and no field that is not known."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Asked(BaseModel):
    """What stands behind the question mark of an address: text, read as what it has to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Wrong(HTTPException):
    """Answers with a problem at once, from wherever it is raised."""

    def __init__(self, status: HTTPStatus, code: str, detail: str, **more: Any) -> None:
        super().__init__(response=problem(status, code, detail, **more))


def answer(body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """An answer that nobody keeps."""
    made = jsonify(body)
    made.status_code = status
    made.headers["Cache-Control"] = "no-store"
    made.headers["X-Content-Type-Options"] = "nosniff"
    return made


def problem(status: HTTPStatus, code: str, detail: str, **more: Any) -> Response:
    """A refusal."""
    said = {"type": "about:blank", "title": status.phrase, "status": status.value, "code": code, "detail": detail}
    made = answer({**said, **more}, status)
    made.mimetype = "application/problem+json"
    return made


def body_as(model: type[M]) -> M:
    """The request's body. Raises Wrong."""
    return _as(model, _parsed(_text()))


def no_body() -> None:
    """Raises Wrong if the request brings anything along."""
    if request.get_data().strip() not in (b"", b"{}"):
        raise Wrong(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "This takes no body.")


def query_as(model: type[M]) -> M:
    """The request's query, each name at most once. Raises Wrong."""
    given = request.args.to_dict(flat=False)
    if any(len(values) > 1 for values in given.values()):
        raise Wrong(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "A parameter was given twice.")
    return _as(model, {name: values[0] for name, values in given.items()})


def _text() -> str:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset != "utf-8":
        raise Wrong(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json", "The body has to be application/json in UTF-8.")
    try:
        return request.get_data().decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong(HTTPStatus.BAD_REQUEST, "not_json", "The body is not in UTF-8.") from None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Wrong(HTTPStatus.BAD_REQUEST, "not_json", "The body is no JSON, or names a field twice.") from None


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Of a name that is given twice, each program would take another one."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name was given twice")
    return found


def _no_number(_word: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


def _as(model: type[M], value: Any) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as err:
        found = err.errors(include_url=False, include_context=False, include_input=False)
        errors = [{"at": _at(one["loc"]), "problem": one["type"]} for one in found[:MOST_ERRORS]]
        raise Wrong(
            HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "The request is not as described.", errors=errors
        ) from None


def _at(names: Sequence[str | int]) -> str:
    return "/".join(str(name)[:_LONGEST_NAME] for name in names)
