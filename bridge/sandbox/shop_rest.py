"""What all routes of the embedded shop's REST interface share: answers, parameters, lists and their pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from flask import request

from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_shapes import Json
from bridge.sandbox.shop_world import WpError


@dataclass
class Answer:
    """What a handler answers with."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[..., Answer]


def no_route(shop: Shop, **ids: Any) -> Answer:
    """There is nothing here."""
    raise WpError("rest_no_route", "No route was found matching the URL and request method.", 404)


def pick(body: Any, names: str) -> Any:
    """``_fields``: keys at the top, ``billing.email`` below them; but nothing below a list gets through."""
    if not names:
        return body
    if isinstance(body, list):
        return [pick(item, names) for item in body]
    picked: Json = {}
    for name in names.split(","):
        top, _, rest = name.strip().partition(".")
        if top not in body:
            continue
        if not rest:
            picked[top] = body[top]
        elif isinstance(body[top], dict):
            picked[top] = picked.get(top, {}) | pick(body[top], rest)
        else:
            picked[top] = []
    return picked


# --- parameters -------------------------------------------------------------------------------------------


def one_arg(name: str, default: str = "") -> str:
    """A parameter of the query. Sent twice (the usual client does it), the last one counts."""
    values = request.args.getlist(name)
    return values[-1] if values else default


def list_arg(name: str) -> list[str]:
    """A parameter that is a list: with commas, or as ``name[]`` or ``name[0]``."""
    nested = [value for key, value in parse_qsl(request.query_string.decode()) if key.startswith(f"{name}[")]
    values = nested or one_arg(name).split(",")
    return [value.strip() for value in values if value.strip()]


def ids_arg(name: str) -> list[int]:
    return [int(value) for value in list_arg(name) if value.lstrip("-").isdigit()]


def is_true(name: str) -> bool:
    return one_arg(name).lower() in ("1", "true", "yes")


def body_of() -> Json:
    if not request.data:
        return request.form.to_dict()
    given = request.get_json(silent=True, force=True)
    if given is None:
        raise WpError("rest_invalid_json", "Invalid JSON body passed.", 400, json_error_code=4)
    return given if isinstance(given, dict) else {}


def invalid(problems: dict[str, tuple[str, str]]) -> WpError:
    """``rest_invalid_param`` from name -> (code, text)."""
    texts = {name: text for name, (_, text) in problems.items()}
    details = {name: {"code": code, "message": text, "data": None} for name, (code, text) in problems.items()}
    message = f"Invalid parameter(s): {', '.join(texts)}"
    return WpError("rest_invalid_param", message, 400, params=texts, details=details)


def require(body: Json, *names: str) -> None:
    absent = [name for name in names if name not in body]
    if absent:
        text = f"Missing parameter(s): {', '.join(absent)}"
        raise WpError("rest_missing_callback_param", text, 400, params=absent)


def number_arg(name: str, default: int, least: int, most: int | None = None) -> int:
    text = one_arg(name, str(default))
    if not text.lstrip("-").isdigit():
        raise invalid({name: ("rest_invalid_type", f"{name} is not of type integer.")})
    value = int(text)
    if most is not None and not least <= value <= most:
        text = f"{name} must be between {least} (inclusive) and {most} (inclusive)"
        raise invalid({name: ("rest_out_of_bounds", text)})
    if value < least:
        raise invalid({name: ("rest_out_of_bounds", f"{name} must be greater than or equal to {least}")})
    return value


def check_choice(name: str, values: Iterable[str], allowed: Iterable[str]) -> None:
    choices = list(allowed)
    for at, value in enumerate(values):
        if value not in choices:
            text = f"{', '.join(choices[:-1])}, and {choices[-1]}"
            label = f"{name}[{at}]" if name == "status" else name
            raise invalid({name: ("rest_not_in_enum", f"{label} is not one of {text}.")})


def date_arg(name: str, offset: int) -> str | None:
    """A date filter as WordPress understands it.

    With Z or an offset, it is turned into shop time; without, it is taken as it stands. Which column it is
    then compared with is another matter (``dates_are_gmt``), so that both together are off by the shop's
    offset.
    """
    text = one_arg(name)
    if not text:
        return None
    try:
        if "T" not in text.upper().replace(" ", "T", 1):
            raise ValueError(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid({name: ("rest_invalid_date", "Invalid date.")}) from None
    if moment.tzinfo:
        moment = moment.astimezone(UTC) + timedelta(seconds=offset)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


# --- lists ------------------------------------------------------------------------------------------------


def by_date(shop: Shop, items: list[Json]) -> list[Json]:
    """modified_after, modified_before, after, before: strictly, in whole seconds."""
    suffix = "_gmt" if is_true("dates_are_gmt") else ""
    for name, column in (("modified_", "date_modified"), ("", "date_created")):
        after = date_arg(f"{name}after", shop.utc_offset)
        before = date_arg(f"{name}before", shop.utc_offset)
        if after:
            items = [item for item in items if item[column + suffix] > after]
        if before:
            items = [item for item in items if item[column + suffix] < before]
    return items


def by_id(items: list[Json]) -> list[Json]:
    """include and exclude."""
    if include := ids_arg("include"):
        items = [item for item in items if item["id"] in include]
    exclude = ids_arg("exclude")
    return [item for item in items if item["id"] not in exclude]


def in_order(items: list[Json], default: str = "date") -> list[Json]:
    by, order = one_arg("orderby", default), one_arg("order", "asc" if default == "name" else "desc")
    check_choice("order", [order], ["asc", "desc"])
    columns = {"date": "date_created_gmt", "modified": "date_modified_gmt", "title": "name", "slug": "slug"}
    if by == "include":
        include = ids_arg("include")
        return sorted(items, key=lambda item: include.index(item["id"]) if item["id"] in include else -1)
    check_choice("orderby", [by], [*columns, "id", "include", "name", "registered_date", "menu_order", "price"])
    column = columns.get(by, by if by in ("name", "menu_order") else "id")
    return sorted(items, key=lambda item: (item[column], item["id"]), reverse=order == "desc")


def one_page(items: list[Json], show: Callable[[int], Json], *, none_past_end: bool = False) -> Answer:
    """One page. Past the end it is empty, and for orders even the total is 0 there."""
    size = number_arg("per_page", 10, 1, 100)
    page = number_arg("page", 1, 1)
    start = number_arg("offset", (page - 1) * size, 0)
    shown = [show(item["id"]) for item in items[start : start + size]]
    total = 0 if none_past_end and not shown else len(items)
    pages = -(-total // size)
    headers = {"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)}
    # The whole query is echoed, with the OAuth values in it: nothing to follow, nothing to log.
    query = {key: value for key, value in parse_qsl(request.query_string.decode()) if key != "page"}
    around = []
    if page > 1:
        around.append(f'<{_address(query, min(page - 1, max(pages, 1)))}>; rel="prev"')
    if page < pages:
        around.append(f'<{_address(query, page + 1)}>; rel="next"')
    if around:
        headers["Link"] = ", ".join(around)
    return Answer(shown, 200, headers)


def _address(query: dict[str, str], page: int) -> str:
    return f"{request.base_url}?{urlencode(query | {'page': str(page)}, quote_via=quote, safe='')}"
