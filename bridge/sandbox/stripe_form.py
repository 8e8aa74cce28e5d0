"""How requests to the embedded Stripe are written: nested names in forms, lists, and what is to be expanded."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from bridge.sandbox.stripe_payments import Problem
from bridge.sandbox.stripe_shapes import Json

#: The fields that hold an id and can be answered with the object instead.
EXPANDABLE = {"balance_transaction", "charge", "latest_charge", "payment_intent", "review"}


def parse_form(pairs: Iterable[tuple[str, str]]) -> Json:
    """``a[b]=1``, ``a[]=1`` and ``a[0][b]=1`` as nested dicts and lists."""
    tree: Json = {}
    for name, value in pairs:
        path = [re.split(r"\[", name, maxsplit=1)[0], *re.findall(r"\[([^\]]*)\]", name)]
        into = tree
        for key in path[:-1]:
            into = into.setdefault(key or str(len(into)), {})
            if not isinstance(into, dict):
                raise Problem(f"Invalid hash: {name}", param=path[0])
        into[path[-1] or str(len(into))] = value
    return {key: _listed(value) for key, value in tree.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    found = {key: _listed(inner) for key, inner in value.items()}
    return list(found.values()) if found and all(key.isdigit() for key in found) else found


def check_names(params: Json, allowed: Collection[str]) -> None:
    """Refuse parameters that the route does not know."""
    for name in params:
        if name not in allowed:
            raise Problem(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def need(params: Json, name: str) -> str:
    """A parameter that must be there."""
    if name not in params or params[name] == "":
        raise Problem(f"Missing required param: {name}.", code="parameter_missing", param=name)
    return str(params[name])


def whole(params: Json, name: str) -> int | None:
    """A parameter that is a whole number, or None without it."""
    if name not in params:
        return None
    text = str(params[name])
    if not re.fullmatch(r"-?[0-9]{1,12}", text):
        raise Problem(f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
    return int(text)


def expanded(objects: dict[str, Json], shown: Json, paths: Iterable[str]) -> Json:
    """The answer with objects in place of ids along these paths: ``latest_charge``, ``data.payment_intent``."""
    for path in paths:
        _expand(objects, shown, path, path)
    return shown


def _expand(objects: dict[str, Json], shown: Json, path: str, whole_path: str) -> None:
    name, _, rest = path.partition(".")
    if shown.get("object") == "list":
        if name != "data" or not rest:
            raise Problem(f"This property cannot be expanded ({whole_path}).", param="expand")
        for item in shown["data"]:
            _expand(objects, item, rest, whole_path)
        return
    if name not in EXPANDABLE or name not in shown:
        raise Problem(f"This property cannot be expanded ({whole_path}).", param="expand")
    if isinstance(shown[name], str):
        shown[name] = dict(objects[shown[name]])
    if rest and isinstance(shown[name], dict):
        _expand(objects, shown[name], rest, whole_path)
