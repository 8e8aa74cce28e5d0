"""The web-service functions about accounts and enrolments."""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import nullcontext
from html import escape
from typing import Any

from bridge.sandbox.totara import Totara
from bridge.sandbox.totara_things import ADMIN, GUEST, SERVICE_ACCOUNT, Course, Enrolment, User, weak_password
from bridge.sandbox.totara_ws import Call, WsError, function, invalid_parameter, no_permission, no_record, valid_email
from bridge.sandbox.totara_ws_courses import name_of, summary_of

STUDENT = 5

_TEXTS = (
    "auth country timezone description firstnamephonetic lastnamephonetic middlename alternatename interests "
    "url skype idnumber institution department phone1 phone2 address city lang calendartype theme password"
)
_PROFILE: dict[str, Any] = {f"{name}?": "text" for name in _TEXTS.split()}
_PROFILE |= {"maildisplay?": "int", "mailformat?": "int"}
_PROFILE |= {f"{name}?": [{"type": "text", "value": "text"}] for name in ("customfields", "preferences")}
_KEPT = {"username", "email", "firstname", "lastname", "idnumber", "auth", "suspended", "city", "country"}
_KEPT |= {"department", "institution", "lang", "timezone", "maildisplay"}
_NEW_USER = {"username": "username", "firstname": "text", "lastname": "text", "email": "text"}
_CHANGE = {"id": "int", "username?": "username", "firstname?": "text", "lastname?": "text", "email?": "text"}


def _seen(totara: Totara) -> list[User]:
    """The accounts that are shown to the service account: its own always, others by a capability."""
    alone = "moodle/user:viewalldetails" in totara.lacking
    return [user for user in totara.live_users() if user.id == SERVICE_ACCOUNT or not alone]


def _user(call: Call, user: User) -> dict[str, Any]:
    """An account as the service account sees it; its tenant isn't told, and its e-mail only by a capability."""
    picture = f"{call.site_url}/theme/image.php/ventura/core/1/u/f"
    answer: dict[str, Any] = {
        "id": user.id,
        "username": user.username,
        "firstname": user.firstname,
        "lastname": user.lastname,
        "fullname": user.fullname,
        "email": user.email,
        "department": user.department,
        "idnumber": user.idnumber,
        "firstaccess": user.firstaccess,
        "lastaccess": user.lastaccess,
        "auth": user.auth,
        "suspended": user.suspended,
        "confirmed": True,
        "lang": user.lang,
        "theme": "",
        "timezone": user.timezone,
        "mailformat": 1,
        "url": "",
        "profileimageurlsmall": f"{picture}2",
        "profileimageurl": f"{picture}1",
        "preferences": [
            {"name": "auth_manual_passwordupdatetime", "value": str(user.timecreated)},
            {"name": "_lastloaded", "value": call.totara.now()},
        ],
    }
    if user.city:
        answer["city"] = user.city
    own = user.id == SERVICE_ACCOUNT or user.maildisplay == 1
    if "moodle/site:viewuseridentity" in call.totara.lacking and not own:
        del answer["email"]
    return answer


@function("auth_bridge_look_at_account", {"userid": "int"})
def look_at_account(call: Call, userid: int) -> dict[str, Any]:
    """What the bridge's own plugin tells of an account."""
    if "auth/bridge:lookataccount" in call.totara.lacking:
        raise no_permission("Be told what kind of account somebody has")
    user = call.totara.users.get(userid)
    if user is None or user.deleted:
        raise no_record()
    tenant = call.totara.tenants[user.tenant] if user.tenant is not None else None
    administrators = call.totara.administrators
    return {
        "administrator": user.id in administrators,
        "staff": user.id in call.totara.staff | administrators | {SERVICE_ACCOUNT},
        "tenant": tenant.idnumber if tenant else "",
        "tenant_suspended": tenant is not None and tenant.suspended,
        "suspended": user.suspended,
        "opened": sorted(course for who, course in call.totara.visited if who == userid),
    }


def _like(pattern: str) -> re.Pattern[str]:
    """SQL's LIKE: % is any text, _ any character, and case doesn't matter."""
    parts = [{"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern]
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)


@function("core_user_get_users", {"criteria": [{"key": "text", "value": "text"}]})
def get_users(call: Call, criteria: list[dict[str, str]]) -> dict[str, Any]:
    """Accounts that meet all criteria; e-mail and names are patterns, so the caller has to compare again."""
    keys = [one["key"] for one in criteria]
    if len(set(keys)) < len(keys):
        raise invalid_parameter()
    found, warnings = _seen(call.totara), []
    for one in criteria:
        key, value = one["key"], one["value"]
        if key in ("email", "firstname", "lastname"):
            pattern = _like(value)
            found = [user for user in found if pattern.fullmatch(getattr(user, key))]
        elif key in ("id", "idnumber", "username", "auth"):
            found = [user for user in found if str(getattr(user, key)) == value]
        else:
            message = f"The search key '{key}' is not supported, look at the web service documentation"
            warnings.append({"item": key, "warningcode": "invalidfieldparameter", "message": message})
    return {"users": [_user(call, user) for user in found], "warnings": warnings}


@function("core_user_get_users_by_field", {"field": "text", "values": ["text"]})
def get_users_by_field(call: Call, field: str, values: list[str]) -> list[dict[str, Any]]:
    """Accounts by an exact value, upper and lower case told apart; unknown values are passed over."""
    if field not in ("id", "idnumber", "username", "email"):
        raise invalid_parameter()
    return [_user(call, user) for user in _seen(call.totara) if str(getattr(user, field)) in values]


@function("core_user_create_users", {"users": [_NEW_USER | {"createpassword?": "bool"} | _PROFILE]}, locks=True)
def create_users(call: Call, users: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make system accounts (there is no parameter for a tenant); one bad account undoes the whole call.

    E-mails are compared as they are written, and nothing but the look beforehand keeps them apart.
    """
    totara = call.totara
    if "moodle/user:create" in totara.lacking:
        raise no_permission("Create users")
    made: list[User] = []
    with nullcontext() if totara.race_window else totara.lock:
        try:
            for given in users:
                with totara.lock:
                    _check_new(totara, given)
                if totara.race_window:
                    time.sleep(totara.race_window)
                with totara.lock:
                    made.append(_insert(totara, given))
        except WsError:
            with totara.lock:
                for user in made:
                    del totara.users[user.id]
            raise
    return [{"id": user.id, "username": user.username} for user in made]


def _check_new(totara: Totara, given: dict[str, Any]) -> None:
    if any(user.username == given["username"] for user in totara.users.values()):
        raise invalid_parameter()
    email = given["email"].strip()
    if not valid_email(email) or any(user.email == email for user in totara.live_users()):
        raise invalid_parameter()
    if given.get("auth", "manual") in ("oauth2", "nologin") or given.get("createpassword"):
        return
    if not given.get("password"):
        raise invalid_parameter()
    if faults := weak_password(given["password"]):
        text = escape("".join(f"<div>{fault}</div>" for fault in faults), quote=False)
        raise WsError("moodle_exception", "notlocalisederrormessage", text)


def _insert(totara: Totara, given: dict[str, Any]) -> User:
    fields = {key: value for key, value in given.items() if key in _KEPT}
    try:
        return totara.insert_user(**fields | {"email": given["email"].strip()})
    except ValueError as error:
        raise WsError("dml_write_exception", "dmlwriteexception", "Error writing to database") from error


@function("core_user_update_users", {"users": [_CHANGE | {"suspended?": "bool", "userpicture?": "int"} | _PROFILE]})
def update_users(call: Call, users: list[dict[str, Any]]) -> None:
    """Change accounts.

    One that is unknown, deleted, the guest or an administrator is skipped without a word, and so is one
    whose new e-mail is malformed or taken.
    """
    totara = call.totara
    for given in users:
        user = totara.users.get(given["id"])
        if user is None or user.deleted or user.id in (GUEST, ADMIN):
            continue
        email = given.get("email", user.email)
        taken = any(other.email.lower() == email.lower() for other in totara.live_users() if other is not user)
        if email != user.email and (taken or not valid_email(email)):
            continue
        totara.change_user(user, {key: value for key, value in given.items() if key in _KEPT})


@function("core_user_delete_users", {"userids": ["int"]})
def delete_users(call: Call, userids: list[int]) -> None:
    """Delete accounts for good."""
    for number in userids:
        user = call.totara.users.get(number)
        if user is None or user.deleted:
            raise no_record()
        call.totara.delete_user(user)


def _no_manual_instance() -> WsError:
    """Nobody can be enrolled by hand in this course. The hole in the message is Totara's own."""
    text = "Manual enrolment plugin instance doesn't exist or is disabled for the course"
    return WsError("moodle_exception", "wsnoinstance", f"{text} (id = {{$a->courseid}})")


@function(
    "enrol_manual_enrol_users",
    {
        "enrolments": [
            {"roleid": "int", "userid": "int", "courseid": "int", "timestart?": "int", "timeend?": "int"}
            | {"suspend?": "int"}
        ]
    },
)
def enrol_users(call: Call, enrolments: list[dict[str, int]]) -> None:
    """Enrol, or change enrolments, all or none.

    What isn't sent is not left alone: no times mean 0, no ``suspend`` means active. Whether the learner can
    get into the course isn't looked at: a member of another tenant is enrolled with success and stays
    outside.
    """
    totara = call.totara
    wanted: dict[tuple[int, int], Enrolment] = {}
    for given in enrolments:
        course = totara.courses.get(given["courseid"])
        if course is None:
            raise invalid_parameter()
        if not course.enterable or not totara.shows_course(course):
            raise WsError("require_login_exception", "requireloginerror", "Course or activity not accessible.")
        if "enrol/manual:enrol" in totara.lacking:
            raise no_permission("Enrol users")
        if given["roleid"] != STUDENT or "moodle/role:assign" in totara.lacking:
            raise WsError(
                "moodle_exception",
                "wsusercannotassign",
                f"You don't have the permission to assign this role ({given['roleid']}) "
                f"to this user ({given['userid']}) in this course({course.id}).",
            )
        if "manual" not in course.enrol_methods:
            raise _no_manual_instance()
        user = totara.users.get(given["userid"])
        if user is None or user.deleted:
            text = "Coding error detected, it must be fixed by a programmer: "
            raise WsError("coding_exception", "codingerror", f"{text}User ID does not exist or is deleted!")
        status = "suspended" if given.get("suspend") else "active"
        wanted[user.id, course.id] = Enrolment(status, given.get("timestart", 0), given.get("timeend", 0))
    for (user_id, course_id), to_be in wanted.items():
        totara.enrol(user_id, course_id, status=to_be.status, timestart=to_be.timestart, timeend=to_be.timeend)


@function("enrol_manual_unenrol_users", {"enrolments": [{"userid": "int", "courseid": "int", "roleid?": "int"}]})
def unenrol_users(call: Call, enrolments: list[dict[str, int]]) -> None:
    """End manual enrolments; who isn't enrolled is no error, and other ways of enrolment stay."""
    totara = call.totara
    for given in enrolments:
        course = totara.courses.get(given["courseid"])
        if course is None:
            raise no_record()
        user = totara.users.get(given["userid"])
        if user is None or user.deleted:
            raise invalid_parameter()
        if "manual" not in course.enrol_methods:
            raise _no_manual_instance()
    for given in enrolments:
        totara.enrolments.pop((given["userid"], given["courseid"]), None)


def _own_courses(totara: Totara, user: User) -> list[Course]:
    """The courses a learner finds among the own ones, in the site's order."""
    pairs = {pair for kept in (totara.enrolments, totara.other_enrolments) for pair in kept if pair[0] == user.id}
    mine = [totara.courses[course] for _, course in pairs if course in totara.courses]
    shown = [course for course in mine if totara.listed(user, course)]
    if len(shown) < 2:
        return shown
    orders = totara.course_orders(shown)
    return sorted(shown, key=lambda course: orders[course.id])


@function("core_enrol_get_users_courses", {"userid": "int"})
def get_users_courses(call: Call, userid: int) -> list[dict[str, Any]]:
    """The courses somebody is actively enrolled in and can reach, given tenant and isolation."""
    totara = call.totara
    user = totara.users.get(userid)
    if user is None or user.deleted:
        raise no_record()
    # Without a word, for want of either.
    if {"moodle/course:viewparticipants", "moodle/user:viewalldetails"} & totara.lacking and userid != SERVICE_ACCOUNT:
        return []
    mine = _own_courses(totara, user)
    wanted = {course.id for course in mine}
    pairs = totara.enrolments.keys() | totara.other_enrolments.keys()
    counts = Counter(course for _, course in pairs if course in wanted)
    return [
        {
            "id": course.id,
            "shortname": name_of(call, course.shortname, any_markup=True),
            "fullname": name_of(call, course.fullname, any_markup=True),
            "enrolledusercount": counts[course.id],
            "idnumber": course.idnumber,
            "visible": course.visible,
            "summary": summary_of(call, course.summary),
            "summaryformat": 1,
            "format": "topics",
            "showgrades": True,
            "lang": course.lang,
            "enablecompletion": True,
            "category": course.category,
            "startdate": course.startdate,
            "enddate": course.enddate,
        }
        for course in mine
    ]


@function("core_enrol_get_enrolled_users", {"courseid": "int", "options?": [{"name": "text", "value": "text"}]})
def get_enrolled_users(call: Call, courseid: int, options: list[dict[str, str]] | None = None) -> list[dict[str, Any]]:
    """Everybody enrolled, the suspended too unless ``onlyactive``; how and until when isn't told."""
    totara = call.totara
    if courseid not in totara.courses:
        raise no_record()
    wishes = {option["name"]: option["value"] for option in options or []}
    only_active = wishes.get("onlyactive") == "1"
    fields = {"id", "fullname", *wishes["userfields"].split(",")} if wishes.get("userfields") else None
    chosen = [u for u in totara.learners(courseid) if totara.enrolled(u, courseid, only_active=only_active)]
    start, number = int(wishes.get("limitfrom", 0)), int(wishes.get("limitnumber", 0))
    answers = []
    for user_id in chosen[start : start + number if number else None]:
        user = totara.users[user_id]
        answer = _user(call, user)
        for absent in ("auth", "suspended", "confirmed", "lang", "theme", "timezone", "mailformat"):
            del answer[absent]
        answer["roles"] = [{"roleid": STUDENT, "name": "", "shortname": "student", "sortorder": 0}]
        answer["enrolledcourses"] = [
            {
                "id": c.id,
                "fullname": name_of(call, c.fullname, any_markup=True),
                "shortname": name_of(call, c.shortname, any_markup=True),
            }
            for c in _own_courses(totara, user)
        ]
        answers.append({key: value for key, value in answer.items() if fields is None or key in fields})
    return answers
