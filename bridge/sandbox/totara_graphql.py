"""The token endpoint and the External GraphQL API of the embedded Totara: protocol, execution and errors.

As on the real one the served schema isn't validated: an unknown field is left out in silence, an unknown
operation answers ``{"data": []}``. A failure is a 200 with ``errors``; what went wrong is only in
``debugMessage``. The operations are in :mod:`.totara_graphql_fields`.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask import Response, g, request
from graphql import GraphQLSyntaxError, parse
from graphql.language import ast

from bridge.sandbox.totara_graphql_types import coerce_argument, coerce_variable
from bridge.sandbox.totara_ws import PATH as WS_PATH
from bridge.sandbox.totara_ws import json_response, nested, sent_parameters

if TYPE_CHECKING:
    from bridge.sandbox.totara import Totara

TOKEN_PATH = "/totara/oauth2/token.php"  # noqa: S105
API_PATH = "/api/graphql.php"
MAX_DEPTH = 15
NO_HEADER = (
    "The request did not contain the required Authorization header. Ensure you set the header in your "
    "request and that it is not being stripped by your server or proxy configuration."
)
BAD_TOKEN = "Missing, expired or invalid access token. "  # noqa: S105
BAD_TOKEN += "Ensure the Authorization header is set to a valid Bearer token."


class Problem(Exception):
    """Something an operation refuses; ``text`` reaches the caller as the debugMessage, if at all."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Failed(Exception):
    """A request that ends in errors, as they go out."""

    def __init__(self, *errors: dict[str, Any]) -> None:
        super().__init__(str(errors))
        self.errors = errors


def failure(message: str, category: str, **more: Any) -> dict[str, Any]:
    """One error that tells its reason."""
    return {"message": message, "extensions": {"category": category}, **more}


def internal(text: str, **more: Any) -> dict[str, Any]:
    """One error whose reason is for developers only."""
    return {"debugMessage": text, **failure("Internal server error", "internal", **more)}


def install(totara: Totara) -> None:
    """Answer at the addresses of the token endpoint and of the API."""

    def token() -> Response:
        totara.note("token")
        return _token(totara)

    def api() -> Response:
        return _api(totara)

    every = ["GET", "POST", "PUT", "DELETE"]
    totara.app.add_url_rule(TOKEN_PATH, "token", token, methods=every)
    totara.app.add_url_rule(API_PATH, "graphql", api, methods=every)


@lru_cache(maxsize=256)
def parsed(document: str) -> ast.DocumentNode:
    """A document, read; GraphQLSyntaxError if it can't be."""
    return parse(document)


def request_name() -> str:
    """What faults look at: method, path, and the web-service function or the GraphQL operations asked for."""
    if "totara_request_name" not in g:
        called = ""
        if request.path == WS_PATH:
            called = str(nested(sent_parameters()).get("wsfunction", ""))
        elif request.path == API_PATH:
            called = " ".join(_operations(request.get_data(as_text=True)))
        g.totara_request_name = f"{request.method} {request.path} {called}".rstrip()
    return str(g.totara_request_name)


def _operations(body: str) -> Iterator[str]:
    """The top-level fields of every operation in a request's body; nothing if it can't be read."""
    try:
        sent = json.loads(body)
        for one in sent if isinstance(sent, list) else [sent]:
            for definition in parsed(one["query"]).definitions:
                if isinstance(definition, ast.OperationDefinitionNode):
                    for node in definition.selection_set.selections:
                        if isinstance(node, ast.FieldNode):
                            yield node.name.value
    except (ValueError, KeyError, TypeError, GraphQLSyntaxError):
        return


def _token(totara: Totara) -> Response:
    """Give an access token for the client's name and secret, in the form or by HTTP Basic.

    Every refusal is a 200 of type text/html, as the real endpoint can't set its status; every call opens a
    session.
    """
    refused = {"error": "invalid_client", "error_description": "Client authentication failed"}
    refused["message"] = refused["error_description"]
    form = request.form
    given = (form.get("client_id"), form.get("client_secret"))
    if request.authorization is not None and request.authorization.type == "basic":
        given = (request.authorization.username, request.authorization.password)
    if not totara.graphql:
        body: dict[str, Any] = {
            "error": "access_denied",
            "error_description": "Feature api is not available.",
        }
    elif request.method != "POST" or form.get("grant_type") != "client_credentials":
        text = "The authorization grant type is not supported by the authorization server."
        body = {"error": "unsupported_grant_type", "error_description": text}
        body |= {"hint": "Check that all required parameters have been provided", "message": text}
    elif given != (totara.client_id, totara.client_secret):
        body = refused
    else:
        body = {
            "token_type": "Bearer",
            "expires_in": totara.token_seconds,
            "access_token": _new_token(totara),
        }
    answer = Response(json.dumps(body), content_type="text/html; charset=utf-8")
    answer.set_cookie("TotaraSession", secrets.token_hex(13), path="/", httponly=True)
    answer.headers["Cache-Control"] = "no-store, no-cache, must-revalidate"
    return answer


def _new_token(totara: Totara) -> str:
    """A token that looks like the real one, a signed JWT, and is remembered until it expires."""
    now = totara.seconds()
    claims = {"aud": totara.client_id, "jti": secrets.token_hex(40), "iat": now, "nbf": now}
    claims |= {"exp": now + totara.token_seconds, "sub": "", "scopes": []}
    parts = [json.dumps(part).encode() for part in ({"typ": "JWT", "alg": "RS256"}, claims)]
    parts.append(secrets.token_bytes(256))
    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    with totara.lock:
        totara.tokens[token] = now + totara.token_seconds
    return token


def _api(totara: Totara) -> Response:
    """Carry out one operation, or a batch of them."""
    if request.method != "POST":
        return _answered(_errors(totara, failure("Only POST requests are allowed.", "internal")), 400)
    if not totara.graphql:
        return _answered(_errors(totara, failure("Feature api is not available.", "internal")), 400)
    try:
        _check_token(totara)
        sent = request.get_json(force=True, silent=True)
        if isinstance(sent, list):
            return _answered([_one(totara, each) for each in sent])
        return _answered(_one(totara, sent))
    except Failed as failed:
        return _answered(_errors(totara, *failed.errors))


def _answered(body: Any, status: int = 200) -> Response:
    answer = json_response(body)
    answer.status_code = status
    answer.content_type = "application/json; charset=utf-8"
    answer.headers["Cache-Control"] = "no-store, no-cache, must-revalidate, post-check=0, pre-check=0"
    return answer


def _errors(totara: Totara, *errors: dict[str, Any]) -> dict[str, Any]:
    """The body of an answer without data."""
    if totara.response_debug < 1:
        errors = tuple({k: v for k, v in error.items() if k != "debugMessage"} for error in errors)
    return {"errors": list(errors), "error": "\n".join(error["message"] for error in errors)}


def _check_token(totara: Totara) -> None:
    header = request.headers.get("Authorization", "")
    if not header:
        raise Failed(internal(NO_HEADER))
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or totara.tokens.get(token.strip(), 0) <= totara.seconds():
        raise Failed(internal(BAD_TOKEN))


def _one(totara: Totara, sent: Any) -> dict[str, Any]:
    """Carry out one request of a batch; its failure is its own."""
    try:
        if not isinstance(sent, dict) or not isinstance(sent.get("query"), str):
            raise Failed(internal("Invalid request, request body must hold a query"))
        return {"data": Execution(totara, sent).run()}
    except Failed as failed:
        return _errors(totara, *failed.errors)


Resolver = Callable[..., Any]


class Execution:
    """One operation on its way through: parsed, measured, its variables read, its fields resolved one by one.

    The first failing field ends it: mutations before it stay done, those after it aren't run, and the answer
    holds no data at all.
    """

    def __init__(self, totara: Totara, sent: dict[str, Any]) -> None:
        self.totara = totara
        self.complexity = 0
        name = sent.get("operationName")
        if name is not None and not re.fullmatch(r"[a-z][a-z0-9_]+", str(name)):
            raise Failed(internal("Invalid request, operationName is not valid"))
        try:
            document = parsed(sent["query"])
        except GraphQLSyntaxError as error:
            places = [{"line": place.line, "column": place.column} for place in error.locations or []]
            raise Failed(failure(error.message, "graphql", locations=places)) from error
        operations = [d for d in document.definitions if isinstance(d, ast.OperationDefinitionNode)]
        self.fragments = {d.name.value: d for d in document.definitions if isinstance(d, ast.FragmentDefinitionNode)}
        if name is not None:
            operations = [d for d in operations if d.name and d.name.value == name]
            if not operations:
                raise Failed(failure(f'Unknown operation named "{name}".', "graphql"))
        elif len(operations) != 1:
            text = "Must provide operation name if query contains multiple operations."
            raise Failed(failure(text, "graphql"))
        self.operation = operations[0]
        depth = self._depth(self.operation.selection_set, 0)
        if depth > MAX_DEPTH:
            raise Failed(failure(f"Max query depth should be {MAX_DEPTH} but got {depth}.", "graphql"))
        if self._introspects(self.operation.selection_set):
            text = "GraphQL introspection is not allowed, but the query contained __schema or __type"
            raise Failed(failure(text, "graphql"))
        variables = sent.get("variables") or {}
        self.variables = self._variables(variables if isinstance(variables, dict) else {})

    def run(self) -> dict[str, Any] | list[Any]:
        """The data; PHP makes an empty answer a list."""
        from bridge.sandbox.totara_graphql_fields import operations_of

        known = operations_of(self.totara.version, self.operation.operation.value)
        price = 10 if self.operation.operation.value == "mutation" else 5
        data: dict[str, Any] = {}
        for node in self._fields(self.operation.selection_set):
            name, key = node.name.value, _key(node)
            if name == "__typename":
                data[key] = self.operation.operation.value.title()
            if name not in known:
                continue
            resolver, locks = known[name]
            self.complexity += price
            self.totara.note(f"gql {name}")
            if locks:
                data[key] = self._resolve(node, resolver)
            else:
                with self.totara.lock:
                    data[key] = self._resolve(node, resolver)
        return data or []

    def _resolve(self, node: ast.FieldNode, resolver: Resolver) -> Any:
        """One top-level field with all below it."""
        place = node.loc.start_token if node.loc else None
        where = {
            "locations": [{"line": place.line, "column": place.column}] if place else [],
            "path": [_key(node)],
        }
        try:
            arguments = self._arguments(node)
            missing = coerce_argument(self.totara.version, node.name.value, arguments)
            if missing:
                raise Failed(failure(missing, "graphql", **where))
            value = self._complete(node, resolver(self.totara, arguments))
        except Problem as problem:
            raise Failed(internal(problem.text, **where)) from problem
        if self.complexity > self.totara.max_complexity:
            text = f"Max query complexity should be {self.totara.max_complexity} but got {self.complexity}."
            raise Failed(failure(text, "query_complexity"))
        return value

    def _complete(self, node: ast.FieldNode, value: Any) -> Any:
        """What was asked for of a value: fields it doesn't have are left out."""
        if isinstance(value, list):
            return [self._complete(node, each) for each in value]
        if not isinstance(value, dict):
            return value
        answer = {}
        for below in self._fields(node.selection_set):
            name = below.name.value
            if name in value:
                self.complexity += 1
                found = value[name]
                answer[_key(below)] = self._complete(
                    below, found(**self._arguments(below)) if callable(found) else found
                )
        return answer

    def _fields(self, selections: ast.SelectionSetNode | None) -> Iterator[ast.FieldNode]:
        """The fields of a selection, fragments opened and what is skipped left out."""
        for node in selections.selections if selections else ():
            if not self._wanted(node):
                continue
            if isinstance(node, ast.FieldNode):
                yield node
            elif isinstance(node, ast.InlineFragmentNode):
                yield from self._fields(node.selection_set)
            elif isinstance(node, ast.FragmentSpreadNode) and node.name.value in self.fragments:
                yield from self._fields(self.fragments[node.name.value].selection_set)

    def _wanted(self, node: ast.SelectionNode) -> bool:
        for directive in node.directives or ():
            condition = next((self._value(a.value) for a in directive.arguments or () if a.name.value == "if"), None)
            if (directive.name.value, condition) in (("include", False), ("skip", True)):
                return False
        return True

    def _arguments(self, node: ast.FieldNode) -> dict[str, Any]:
        given = {}
        for argument in node.arguments or ():
            if isinstance(argument.value, ast.VariableNode) and argument.value.name.value not in self.variables:
                continue
            given[argument.name.value] = self._value(argument.value)
        return given

    def _value(self, node: ast.ValueNode) -> Any:
        """A literal or a variable as a plain value."""
        if isinstance(node, ast.VariableNode):
            return self.variables.get(node.name.value)
        if isinstance(node, ast.NullValueNode):
            return None
        if isinstance(node, ast.IntValueNode):
            return int(node.value)
        if isinstance(node, ast.FloatValueNode):
            return float(node.value)
        if isinstance(node, ast.ListValueNode):
            return [self._value(each) for each in node.values]
        if isinstance(node, ast.ObjectValueNode):
            return {field.name.value: self._value(field.value) for field in node.fields}
        if isinstance(node, ast.StringValueNode | ast.BooleanValueNode | ast.EnumValueNode):
            return node.value
        raise TypeError(f"not a value: {node.kind}")

    def _variables(self, given: dict[str, Any]) -> dict[str, Any]:
        """The variables, checked against the types they are declared with.

        All that is wrong is told at once.
        """
        values, errors = {}, []
        for definition in self.operation.variable_definitions or ():
            name = definition.variable.name.value
            start = definition.loc.start_token if definition.loc else None
            where = {"locations": [{"line": start.line, "column": start.column}] if start else []}
            if name not in given and definition.default_value is not None:
                values[name] = self._value(definition.default_value)
                continue
            problems = coerce_variable(self.totara.version, definition.type, name, given)
            errors += [failure(text, "graphql", **where) for text in problems]
            if name in given:
                values[name] = given[name]
        if errors:
            raise Failed(*errors)
        return values

    def _depth(self, selections: ast.SelectionSetNode, depth: int) -> int:
        """How deep fields with fields below them are nested; the first level counts 0."""
        nested_fields = [node for node in self._fields_as_written(selections) if node.selection_set]
        return max(
            (max(depth, self._depth(n.selection_set, depth + 1)) for n in nested_fields if n.selection_set),
            default=0,
        )

    def _fields_as_written(self, selections: ast.SelectionSetNode) -> Iterator[ast.FieldNode]:
        for node in selections.selections:
            if isinstance(node, ast.FieldNode):
                yield node
            elif isinstance(node, ast.InlineFragmentNode):
                yield from self._fields_as_written(node.selection_set)
            elif isinstance(node, ast.FragmentSpreadNode) and node.name.value in self.fragments:
                yield from self._fields_as_written(self.fragments[node.name.value].selection_set)

    def _introspects(self, selections: ast.SelectionSetNode) -> bool:
        return any(node.name.value in ("__schema", "__type") for node in self._fields_as_written(selections))


def _key(node: ast.FieldNode) -> str:
    return node.alias.value if node.alias else node.name.value
