"""The operations of the External GraphQL API: what each version has, and what each does."""

from __future__ import annotations

import time
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from bridge.sandbox.totara import Course, Totara, User
from bridge.sandbox.totara_graphql import Problem, Resolver
from bridge.sandbox.totara_graphql_shapes import Given, Row, date, page, show_course, show_user
from bridge.sandbox.totara_things import ADMIN, AUTHS_WITH_PASSWORD, GUEST, weak_password

NO_SINGLE_USER = "There was a problem finding a single user record match or you do not have sufficient capabilities."
NO_PASSWORDS = "The authentication plugin dose not support password creation."
CODING_ERROR = "Coding error detected, it must be fixed by a programmer: "
DAY = 86400
_KEPT = {"username", "email", "firstname", "lastname", "idnumber", "auth", "suspended", "city", "country"}
_KEPT |= {"department", "institution", "lang", "timezone"}


def operations_of(version: str, kind: str) -> dict[str, tuple[Resolver, bool]]:
    """The queries or mutations a version has, each with whether it takes the lock by itself."""
    operations: dict[str, tuple[Resolver, bool]] = {}
    if kind == "query":
        operations |= {"totara_webapi_status": (status, False), "core_user_users": (users, False)}
        if version != "17":
            operations |= {"core_user_user": (user, False), "core_course_courses": (courses, False)}
            operations["core_course_is_user_enrolled"] = (is_user_enrolled, False)
            operations["core_completion_get_course_completion"] = (course_completion, False)
        if version == "20":
            operations["core_user_user_v2"] = (user_v2, False)
    elif kind == "mutation":
        operations |= {
            "core_user_create_user": (create_user, True),
            "core_user_update_user": (update_user, False),
        }
        operations["core_user_delete_user"] = (delete_user, False)
        if version != "17":
            operations["enrol_manual_enrol_user"] = (enrol_user, False)
            operations["enrol_manual_unenrol_user"] = (unenrol_user, False)
    from bridge.sandbox.totara_graphql_audiences import audience_operations

    return operations | audience_operations(version, kind)


def status(totara: Totara, given: Given) -> Given:
    """Whether the API answers."""
    return {"status": "ok", "timestamp": date(totara.now())}


def users(totara: Totara, given: Given) -> Given:
    """Accounts by the page.

    With isolation a client of the system sees no members; from 18 on only active ones.
    """
    query = given.get("query") or {}
    if "moodle/user:viewalldetails" in totara.lacking:
        raise Problem("You do not have capabilities to view users.")
    rows = [u for u in totara.live_users() if not (totara.isolation and u.tenant is not None)]
    if totara.version != "17":
        filters = query.get("filters") or {}
        wanted = filters.get("status", "ACTIVE")
        if wanted != "ALL":
            rows = [u for u in rows if u.suspended == (wanted == "SUSPENDED")]
        rows = since(rows, filters)
    return page(
        rows,
        query,
        lambda u: show_user(totara, u),
        ("id", "firstname", "lastname", "username", "timemodified"),
    )


def since(rows: list[Row], filters: Given) -> list[Row]:
    """Rows that were made or changed since the times in ``filters``."""
    for name in ("timemodified", "timecreated"):
        if since := filters.get(f"since_{name}"):
            rows = [row for row in rows if getattr(row, name) >= seconds_of(since)]
    return rows


def seconds_of(value: Any) -> int:
    """A date as it may be sent: seconds, as a number or as text, or in ISO 8601."""
    if isinstance(value, int):
        return value
    text = str(value)
    if text.isdigit():
        return int(text)
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def find_users(totara: Totara, reference: Given) -> list[User]:
    """The accounts one reference names; it must have exactly one key, and case matters in an e-mail."""
    keys = {key: value for key, value in reference.items() if value is not None}
    if len(keys) != 1:
        return []
    ((key, value),) = keys.items()
    return [user for user in totara.live_users() if str(getattr(user, key)) == str(value)]


def one_user(totara: Totara, reference: Given, several: str = NO_SINGLE_USER) -> User:
    """The one account a reference names, or a problem."""
    found = find_users(totara, reference)
    if len(found) > 1 and "email" in reference:
        raise Problem(several)
    if len(found) != 1:
        raise Problem(NO_SINGLE_USER)
    return found[0]


def one_course(totara: Totara, reference: Given) -> Course:
    """The one course a reference names, or a problem."""
    keys = {key: value for key, value in reference.items() if value is not None}
    found = []
    if len(keys) == 1:
        ((key, value),) = keys.items()
        found = [c for c in totara.courses.values() if str(getattr(c, key)) == str(value) and c.viewable]
    if len(found) != 1:
        raise Problem(NO_SINGLE_USER.replace("user", "course"))
    return found[0]


def user(totara: Totara, given: Given) -> Given:
    """One account; none and several are errors."""
    found = one_user(totara, given["reference"], several="Multiple users returned with the same email.")
    return {"user": show_user(totara, found)}


def user_v2(totara: Totara, given: Given) -> Given:
    """One account, or that there is none."""
    reference = given["reference"]
    if not find_users(totara, reference):
        return {"found": False, "user": None}
    return {"found": True} | user(totara, given)


def _tenant_id(totara: Totara, reference: Given) -> int:
    values = [value for value in reference.values() if value is not None]
    for tenant in totara.tenants.values():
        if len(values) == 1 and reference in (
            {"idnumber": tenant.idnumber},
            {"id": tenant.id},
            {"id": str(tenant.id)},
        ):
            return tenant.id
    raise Problem("Tenant reference must identify exactly one tenant.")


def _check_user(totara: Totara, given: Given, but: User | None = None) -> None:
    """The checks of a new or changed account. E-mails are compared as written; idnumbers must be unique."""
    others = [other for other in totara.live_users() if other is not but]
    username = given.get("username")
    if username is not None:
        if username != username.lower():
            raise Problem("The username must be in lower case")
        if not username or set(username) - set("abcdefghijklmnopqrstuvwxyz0123456789_-.@"):
            raise Problem(
                "The username can only contain alphanumeric lowercase characters (letters and numbers), "
                "underscore (_), hyphen (-), period (.) or at symbol (@)."
            )
    for key, title in (("username", "Username"), ("idnumber", "Idnumber"), ("email", "Email address")):
        value = given.get(key)
        if value and any(getattr(other, key) == value for other in others):
            raise Problem(f"{title} already exists: {value}")
    if given.get("auth", "manual") not in AUTHS_WITH_PASSWORD:
        raise Problem(NO_PASSWORDS)
    if given.get("password") and (faults := weak_password(given["password"])):
        raise Problem(" ".join(faults))


def create_user(totara: Totara, given: Given) -> Given:
    """Make an account, in a tenant if one is named: the only API that makes a member."""
    sent = given["input"]
    with nullcontext() if totara.race_window else totara.lock:
        with totara.lock:
            tenant = _tenant_id(totara, sent["tenant"]) if sent.get("tenant") is not None else None
            if "moodle/user:create" in totara.lacking:
                place = "" if tenant is None else " for the tenant"
                raise Problem(f"You do not have capabilities to create a user{place}.")
            if not sent.get("password") and not sent.get("generate_password"):
                raise Problem(f"{CODING_ERROR}Required parameter - password not being passed")
            _check_user(totara, sent)
        if totara.race_window:
            time.sleep(totara.race_window)
        with totara.lock:
            fields = {key: value for key, value in sent.items() if key in _KEPT and value is not None}
            try:
                made = totara.insert_user(**fields, tenant=tenant)
            except ValueError as error:
                raise Problem("Error writing to database") from error
    return {"user": show_user(totara, made)}


def update_user(totara: Totara, given: Given) -> Given:
    """Change an account; with nothing to change it is a look-up that touches ``timemodified``."""
    found = one_user(totara, given["target_user"])
    sent = {key: value for key, value in given["input"].items() if value is not None}
    changes = {key: value for key, value in sent.items() if key in _KEPT}
    if "tenant" in sent:
        if not totara.may_move_tenants:
            raise Problem("You do not have capabilities to update user tenancy membership.")
        changes["tenant"] = _tenant_id(totara, sent["tenant"])
    if sent.get("auth") == found.auth:
        del sent["auth"]
    _check_user(totara, sent, but=found)
    totara.change_user(found, changes)
    return {"user": show_user(totara, found)}


def delete_user(totara: Totara, given: Given) -> Given:
    """Delete an account for good; never an administrator's or the guest's."""
    found = one_user(totara, given["target_user"])
    if found.id in (ADMIN, GUEST):
        kind = "Admin" if found.id == ADMIN else "Guest"
        raise Problem(f"For deleting a user: {kind} user can not be specified for User.")
    totara.delete_user(found)
    return {"user_id": str(found.id)}


def courses(totara: Totara, given: Given) -> Given:
    """Courses by the page: hidden ones too, those the account can't see not; the front page isn't one."""
    query = given.get("query") or {}
    filters = query.get("filters") or {}
    rows = since([c for c in totara.courses.values() if c.viewable], filters)
    if tag := filters.get("tag_filter"):
        rows = [course for course in rows if tag in course.tags]
    columns = ("id", "fullname", "shortname", "timecreated", "timemodified")
    return page(rows, query, lambda c: show_course(totara, c), columns)


def is_user_enrolled(totara: Totara, given: Given) -> Given:
    """Whether somebody is enrolled, by any method, actively."""
    course, found = one_course(totara, given["course"]), one_user(totara, given["user"])
    return {"user_currently_enrolled": totara.enrolled(found.id, course.id, only_active=True)}


def _manual_or_problem(course: Course) -> None:
    """The first enrolment method is taken, whatever it is; if it isn't the manual one, enrolling breaks."""
    if not course.enrol_methods:
        raise Problem("Manual enrolment is not available for this course.")
    if course.enrol_methods[0] != "manual":
        raise Problem(f"{CODING_ERROR}invalid enrol instance!")


def enrol_user(totara: Totara, given: Given) -> Given:
    """Enrol, or bring an enrolment to what is sent: unsent is active, from now, for ever."""
    sent = given["input"]
    found, course = one_user(totara, sent["user"]), one_course(totara, sent["course"])
    role = {key: str(value) for key, value in (sent.get("role") or {"id": 5}).items() if value is not None}
    if role not in ({"id": "5"}, {"shortname": "student"}):
        raise Problem("You do not have the permission to assign this role in this course.")
    tenant = totara.tenant_of_course(course)
    if found.tenant is not None and tenant is not None and found.tenant != tenant:
        raise Problem("The user is not allowed to be enrolled in a course of another tenant.")
    _manual_or_problem(course)
    now = totara.now()
    start = seconds_of(sent["timestart"]) if sent.get("timestart") else now
    if start < now - DAY:
        raise Problem("The enrolment start date can not be in the past.")
    start = max(start, now)
    end = seconds_of(sent["timeend"]) if sent.get("timeend") else 0
    if end and end < start:
        raise Problem("The enrolment end date can not be before the enrolment start date.")
    already = totara.enrolled(found.id, course.id, only_active=False)
    suspended = bool(sent.get("suspended"))
    totara.enrol(found.id, course.id, status="suspended" if suspended else "active", timestart=start, timeend=end)
    enrolment = {"timestart": date(start), "timeend": date(end), "suspended": suspended, "enrol": "manual"}
    return {
        "success": True,
        "was_already_enrolled": already,
        "user": show_user(totara, found),
        "course": show_course(totara, course),
        "role": {"id": "5", "shortname": "student"},
        "enrolment": enrolment,
    }


def unenrol_user(totara: Totara, given: Given) -> Given:
    """End a manual enrolment that is active.

    One that is suspended, over or to come isn't found, and stays.
    """
    sent = given["input"]
    found, course = one_user(totara, sent["user"]), one_course(totara, sent["course"])
    held = totara.enrolments.get((found.id, course.id))
    had = held is not None and held.active(totara.now())
    if had:
        _manual_or_problem(course)
        del totara.enrolments[found.id, course.id]
    return {
        "success": True,
        "user_had_manual_enrolment": had,
        "user": show_user(totara, found),
        "course": show_course(totara, course),
    }


def course_completion(totara: Totara, given: Given) -> Given:
    """Somebody's completion of a course, with its time; null if the course was never begun."""
    sent = given["query"]
    found, course = one_user(totara, sent["user"]), one_course(totara, sent["course"])
    when = totara.completions.get((found.id, course.id))
    completion = None
    if when is not None:
        completion = {
            "status": "Complete",
            "statuskey": "complete",
            "progress": 100.0,
            "timecompleted": date(when),
        }
    elif totara.enrolled(found.id, course.id, only_active=False):
        done = float(totara.per_cent(found.id, course.id))
        word = ("In progress", "inprogress") if done else ("Not yet started", "notyetstarted")
        completion = {"status": word[0], "statuskey": word[1], "progress": done}
        completion["timecompleted"] = None
    return {"user": show_user(totara, found), "course": show_course(totara, course), "completion": completion}
