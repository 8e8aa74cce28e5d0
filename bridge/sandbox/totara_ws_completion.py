"""The web-service functions about completion, and about what is in a course."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bridge.sandbox.totara_things import SERVICE_ACCOUNT, Course
from bridge.sandbox.totara_ws import Call, WsError, function, invalid_parameter, no_record
from bridge.sandbox.totara_ws_courses import name_of

SELF, ACTIVITY = 1, 4  # types of criteria


@function("core_completion_get_course_completion_status", {"courseid": "int", "userid": "int"})
def get_course_completion_status(call: Call, courseid: int, userid: int) -> dict[str, Any]:
    """Whether somebody completed a course; refused once the enrolment has ended or is suspended.

    The completion outlives the enrolment: who is enrolled again is complete at once.
    """
    totara = call.totara
    course, user = totara.courses.get(courseid), totara.users.get(userid)
    if course is None or user is None or user.deleted:
        raise no_record()
    if "report/completion:view" in totara.lacking and userid != SERVICE_ACCOUNT:
        raise WsError("moodle_exception", "cannotviewreport", "You cannot view this report")
    if not totara.enrolled(userid, courseid, only_active=True):
        raise WsError("moodle_exception", "usernotenroled", "User is not enrolled in this course")
    when = totara.completions.get((userid, courseid))
    if course.lessons:
        done = totara.lessons_of(userid, courseid)
        criteria = [_criterion(ACTIVITY, "Activity completion", name, done[name]) for name in course.lessons]
    elif course.self_completion:
        criteria = [_criterion(SELF, "Self completion", "Self completion", when)]
    else:
        raise WsError("moodle_exception", "nocriteriaset", "No completion criteria set for this course")
    status = {"completed": when is not None, "aggregation": 1, "completions": criteria}
    return {"completionstatus": status, "warnings": []}


def _criterion(kind: int, title: str, name: str, when: int | None) -> dict[str, Any]:
    details = {"type": title, "criteria": name, "requirement": "Marking yourself complete", "status": ""}
    if kind == ACTIVITY:
        details["status"] = "Not completed" if when is None else "Completed"
    return {
        "type": kind,
        "title": title,
        "status": "No" if when is None else "Yes",
        "complete": when is not None,
        "timecompleted": when,
        "details": details,
    }


_OPTIONS = ("excludemodules", "excludecontents", "sectionid", "sectionnumber", "cmid", "modname", "modid")


@function("core_course_get_contents", {"courseid": "int", "options?": [{"name": "text", "value": "text"}]})
def get_contents(call: Call, courseid: int, options: Sequence[dict[str, str]] = ()) -> list[dict[str, Any]]:
    """The sections of a course with the activities that the service account sees. Of the options only those that
    leave out by the kind of module are imitated.

    A certificate is seen with mod/certificate:view; one that waits for lessons with
    moodle/course:viewhiddenactivities too.
    """
    totara = call.totara
    course = totara.courses.get(courseid)
    if course is None:
        raise no_record()
    if any(one["name"] not in _OPTIONS for one in options):
        raise invalid_parameter()
    wanted = {one["value"] for one in options if one["name"] == "modname"}
    sections = [("General", [_forum(call, course)]), ("Topic 1", _topic(call, course))]
    return [
        {
            "id": 2 * course.id + number,
            "name": name,
            "visible": 1,
            "summary": "",
            "summaryformat": 1,
            "section": number,
            "hiddenbynumsections": 0,
            "modules": [one for one in modules if not wanted or one["modname"] in wanted],
        }
        for number, (name, modules) in enumerate(sections)
    ]


def _forum(call: Call, course: Course) -> dict[str, Any]:
    return _module(call, course.module_id(0), "forum", "Announcements")


def _topic(call: Call, course: Course) -> list[dict[str, Any]]:
    modules = []
    for number, lesson in enumerate(course.lessons, start=1):
        described = f'<div class="no-overflow"><p>{lesson}</p></div>'
        modules.append(_module(call, course.module_id(number), "label", lesson, description=described))
    lacking = call.totara.lacking
    waits = bool(course.lessons)
    shown = "mod/certificate:view" not in lacking and not (waits and "moodle/course:viewhiddenactivities" in lacking)
    if course.certificate and shown:
        last = course.module_id(len(course.lessons))
        rule = {"op": "&", "showc": [True], "c": [{"type": "completion", "cm": last, "e": 1}]}
        opens = json.dumps(rule, separators=(",", ":")) if waits else None
        modules.append(_module(call, course.certificate_id, "certificate", course.certificate, opens=opens))
    return modules


def _module(
    call: Call, number: int, kind: str, name: str, *, description: str = "", opens: str | None = None
) -> dict[str, Any]:
    """A label has no page of its own, and what it says is its description."""
    module: dict[str, Any] = {"id": number, "name": name_of(call, name), "instance": number, "visible": 1}
    if kind != "label":
        module["url"] = f"{call.site_url}/mod/{kind}/view.php?id={number}"
    if description:
        module["description"] = description
    module |= {"modname": kind, "modplural": f"{kind.capitalize()}s", "indent": 0}
    module["modicon"] = f"{call.site_url}/theme/image.php/ventura/{kind}/1/icon"
    if call.totara.may_update_courses or "moodle/course:viewhiddenactivities" not in call.totara.lacking:
        module["availability"] = opens
    return module
