"""How the External GraphQL API shows a thing, and how it gives many of them by the page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import request

from bridge.sandbox.totara import Category, Course, Totara, User
from bridge.sandbox.totara_audiences import Audience, Program
from bridge.sandbox.totara_graphql import Problem
from bridge.sandbox.totara_text import cleaned, in_language, stripped

Given = dict[str, Any]
Row = TypeVar("Row", User, Course, Audience, Program)


def date(seconds: int | None) -> Callable[..., Any]:
    """A time, as the ``format`` argument of its field wants it: seconds unless told otherwise."""

    def shown(format: str = "TIMESTAMP") -> Any:
        if not seconds:
            return None
        if format == "TIMESTAMP":
            return seconds
        moment = datetime.fromtimestamp(seconds, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S+0000" if format == "ISO8601" else "%d/%m/%Y, %H:%M")

    return shown


def show_user(totara: Totara, user: User) -> Given:
    """An account.

    Its e-mail is null unless the service account may see identities; its tenant isn't a field.
    """
    seen = totara.email_visible or user.maildisplay == 1
    empty = [
        "middlename",
        "alternatename",
        "address",
        "phone1",
        "phone2",
        "description",
        "theme",
        "skype",
        "url",
    ]
    return {
        "__typename": "core_user",
        "id": str(user.id),
        "idnumber": user.idnumber,
        "username": user.username,
        "fullname": user.fullname,
        "firstname": user.firstname,
        "lastname": user.lastname,
        "email": user.email if seen else None,
        "city": user.city,
        "country": user.country,
        "department": user.department,
        "institution": user.institution,
        "lang": user.lang,
        "timezone": user.timezone,
        "suspended": user.suspended,
        "firstaccess": date(user.firstaccess),
        "lastaccess": date(user.lastaccess),
        "custom_fields": [],
        "job_assignments": [],
        **dict.fromkeys(empty, ""),
    }


def show_category(totara: Totara, category: Category | None) -> Given | None:
    """A category with those above it."""
    if category is None:
        return None
    return {
        "__typename": "core_category",
        "id": str(category.id),
        "name": lambda format="PLAIN": _name(totara, category.name, format),
        "idnumber": category.idnumber or None,
        "description": "",
        "parent": lambda: show_category(totara, totara.categories.get(category.parent)),
        "coursecount": lambda: sum(c.category == category.id for c in totara.courses.values()),
    }


def _name(totara: Totara, name: str, format: str) -> str | None:
    """A name: plain by default, and raw only to who may update the course."""
    if format == "RAW":
        return name if totara.may_update_courses else None
    return stripped(in_language(name) if totara.multilang_filter else name)


def show_course(totara: Totara, course: Course) -> Given:
    """A course. There is no field for its visibility, its audience visibility or its tags.

    ``completion`` is the service account's own, so always null.
    """

    def summary(format: str = "HTML") -> str | None:
        if format == "RAW":
            return course.summary if totara.may_update_courses else None
        return cleaned(in_language(course.summary) if totara.multilang_filter else course.summary)

    site = request.host_url.rstrip("/")
    place = f"{site}/pluginfile.php/{course.context_id}/course/images/{course.image_modified}/image"
    return {
        "__typename": "core_course",
        "id": str(course.id),
        "idnumber": course.idnumber,
        "fullname": lambda format="PLAIN": _name(totara, course.fullname, format),
        "shortname": lambda format="PLAIN": _name(totara, course.shortname, format),
        "summary": summary,
        "summaryformat": "HTML",
        "timecreated": date(course.timecreated),
        "timemodified": date(course.timemodified),
        "category": show_category(totara, totara.categories.get(course.category)),
        "categoryid": str(course.category),
        "startdate": date(course.startdate),
        "enddate": date(course.enddate),
        "lang": course.lang,
        "format": "topics",
        "coursetype": 0,
        "image": place if course.image is not None else None,
        "url": f"{site}/course/view.php?id={course.id}",
        "completionenabled": True,
        "completion": None,
        "criteria": [],
        "custom_fields": [],
    }


def page(rows: list[Row], query: Given | None, show: Callable[[Row], Given], columns: tuple[str, ...]) -> Given:
    """A page of rows.

    The cursor holds the limit and the sorted column only, and what comes next is strictly beyond it: rows
    that tie with the last one of a page on a column that isn't unique are lost.
    """
    pagination = (query or {}).get("pagination") or {}
    sort = (query or {}).get("sort") or [{"column": "id"}]
    sort = sort if isinstance(sort, list) else [sort]
    if len(sort) > 1:
        raise Problem("Sorting by more than one column is not currently supported.")
    names = sort[0]["column"].split(",")
    if set(names) - set(columns):
        raise Problem(f"Invalid sort column: {sort[0]['column']}")
    down = sort[0].get("direction") == "DESC"
    limit, after = int(pagination.get("limit") or 20), None
    if pagination.get("cursor"):
        limit, held = _read_cursor(pagination["cursor"])
        names = list(held)
        after = [int(v) if n in ("id", "timemodified", "timecreated") else v for n, v in held.items()]

    def place(row: Row) -> list[Any]:
        return [getattr(row, name) for name in names]

    ordered = sorted(sorted(rows, key=lambda row: row.id), key=place, reverse=down)
    if after is not None:
        ordered = [row for row in ordered if (place(row) < after if down else place(row) > after)]
    shown = ordered[:limit]
    cursor = ""
    if len(ordered) > limit:
        held = {name: str(value) for name, value in zip(names, place(shown[-1]), strict=True)}
        cursor = base64.b64encode(
            json.dumps({"limit": limit, "columns": held}, separators=(",", ":")).encode()
        ).decode()
    return {"items": [show(row) for row in shown], "total": len(rows), "next_cursor": cursor}


def _read_cursor(cursor: str) -> tuple[int, dict[str, str]]:
    try:
        read = json.loads(base64.b64decode(cursor))
        return int(read["limit"]), dict(read["columns"])
    except (ValueError, KeyError, TypeError) as error:
        raise Problem("Invalid cursor") from error
