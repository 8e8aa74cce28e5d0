"""The pages of the embedded Totara for whoever watches it from outside, and the files of its courses."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flask import Response, abort, redirect, render_template, request

from bridge.sandbox.totara_text import cleaned, in_language
from bridge.sandbox.totara_ws import json_response

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from bridge.sandbox.totara import Course, Enrolment, Totara


def install(totara: Totara) -> None:
    """Answer for pages and files."""
    app = totara.app
    app.add_template_filter(in_language, "in_language")
    app.add_template_filter(day, "day")

    def home() -> str:
        with totara.lock:
            return render_template("totara_courses.html", categories=shelves(totara))

    def user() -> str:
        with totara.lock:
            return render_template("totara_users.html", people=people(totara))

    def course(course_id: int) -> str:
        with totara.lock:
            found = totara.courses.get(course_id) or abort(404)
            summary = cleaned(in_language(found.summary))
            learners = [(totara.users[number], status(totara, number, found)) for number in totara.learners(course_id)]
            done = {number for number, course in totara.completions if course == course_id}
            lessons = {user.id: totara.lessons_of(user.id, course_id) for user, _ in learners}
            given = {"course": found, "summary": summary, "learners": learners, "done": done, "lessons": lessons}
            return render_template("totara_course.html", **given)

    def complete(course_id: int, user_id: int) -> AnyResponse:
        if course_id not in totara.courses or user_id not in totara.users:
            abort(404)
        totara.complete(user_id, course_id)
        return redirect(f"/course/{course_id}", 303)

    def finish(course_id: int, user_id: int) -> AnyResponse:
        if course_id not in totara.courses or user_id not in totara.users:
            abort(404)
        try:
            totara.finish(user_id, course_id, request.form.get("lesson", ""))
        except ValueError:
            abort(400)
        return redirect(f"/course/{course_id}", 303)

    def audiences() -> str:
        with totara.lock:
            held = [(one, named(totara, totara.members_of(one.id))) for one in totara.audiences.values()]
            programs = [(one, named(totara, totara.program_learners(one.id))) for one in totara.programs.values()]
            return render_template("totara_audiences.html", held=held, programs=programs, courses=totara.courses)

    def picture(course_id: int) -> Response:
        found = totara.courses.get(course_id)
        if found is None or found.image is None:
            abort(404)
        return Response(found.image, mimetype="image/png")

    def file(context: int, path: str) -> Response:
        return course_file(totara, context, path)

    app.add_url_rule("/", "home", home)
    app.add_url_rule("/user", "user", user)
    app.add_url_rule("/audiences", "audiences", audiences)
    app.add_url_rule("/course/<int:course_id>", "course", course)
    app.add_url_rule("/course/<int:course_id>/picture", "picture", picture)
    app.add_url_rule("/course/<int:course_id>/complete/<int:user_id>", "complete", complete, methods=["POST"])
    app.add_url_rule("/course/<int:course_id>/finish/<int:user_id>", "finish", finish, methods=["POST"])
    app.add_url_rule(
        "/webservice/pluginfile.php/<int:context>/course/<path:path>", "file", file, methods=["GET", "POST"]
    )


def course_file(totara: Totara, context: int, path: str) -> Response:
    """A file of a course, for the service's token: a file of its overview, or the picture of its card.

    Without a token the refusal is JSON with status 200; what doesn't exist is JSON with 404.
    """
    token = request.values.get("token")
    if not token:
        return file_error("A required parameter (token) was missing", "missingparam")
    if token != totara.ws_token:
        return file_error("Invalid token - token not found", "invalidtoken")
    totara.note(f"file {path}")
    for course in list(totara.courses.values()):
        if course.context_id == context and course.image is not None and path in _paths(course, path):
            return Response(course.image, mimetype="image/png")
    return file_error("Sorry, the requested file could not be found", "filenotfound", 404)


def _paths(course: Course, path: str) -> tuple[str, ...]:
    revision = path.split("/")[1] if "/" in path else ""
    return f"overviewfiles/{course.image_name}", f"images/{revision}/image"


def file_error(message: str, code: str, status: int = 200) -> Response:
    """A refusal as the file server of the web services words it."""
    answer = json_response({"error": message, "errorcode": code, "stacktrace": None, "debuginfo": None})
    answer.status_code = status
    return answer


def day(seconds: int) -> str:
    """A time, to the minute, for a reader."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y, %H:%M UTC") if seconds else ""


def named(totara: Totara, users: Iterable[int]) -> list[str]:
    """The names of these people, in the order of the names."""
    return sorted(totara.users[one].fullname for one in users)


def shelves(totara: Totara) -> list[dict[str, Any]]:
    """The categories that hold courses, in the site's order, with the courses and their learners' number."""
    orders = totara.course_orders(totara.courses.values())
    found = []
    for number in totara.category_orders():
        category = totara.categories[number]
        inside = [c for c in totara.courses.values() if c.category == number]
        if not inside:
            continue
        above = category.parent
        names: list[str] = []
        while above:
            names.insert(0, totara.categories[above].name)
            above = totara.categories[above].parent
        tenant = totara.tenants[category.tenant].name if category.tenant is not None else ""
        courses = [(c, len(totara.learners(c.id))) for c in sorted(inside, key=lambda c: orders[c.id])]
        found.append({"name": category.name, "above": names, "tenant": tenant, "courses": courses})
    return found


def people(totara: Totara) -> list[dict[str, Any]]:
    """Every account with its tenant and its enrolments."""
    found: list[dict[str, Any]] = []
    for user in totara.live_users():
        tenant = totara.tenants[user.tenant].name if user.tenant is not None else ""
        courses = [
            (totara.courses[course], status(totara, user.id, totara.courses[course]))
            for number, course in sorted(totara.enrolments.keys() | totara.other_enrolments.keys())
            if number == user.id and course in totara.courses
        ]
        found.append({"user": user, "tenant": tenant, "courses": courses})
    return found


def status(totara: Totara, user_id: int, course: Course) -> dict[str, Any]:
    """What to say of one enrolment: a word, since when, until when, by which method, and whether it opens."""
    key, now = (user_id, course.id), totara.now()
    held: list[Enrolment] = [e for e in (totara.enrolments.get(key), totara.other_enrolments.get(key)) if e]
    best = max(held, key=lambda one: one.active(now))
    word = best.status
    if word == "active" and best.timeend and best.timeend <= now:
        word = "ended"
    elif word == "active" and best.timestart > now:
        word = "not begun"
    elif word == "active" and not totara.reachable(user_id, course.id):
        word = "active, but out of reach"
    when = totara.completions.get(key)
    return {
        "word": word,
        "since": best.timestart or best.since,
        "until": best.timeend,
        "method": best.method,
    } | {"completed": when}
