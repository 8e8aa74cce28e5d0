"""What Totara's answers mean: refusals as the errors that callers know, and rows as what the bridge works with.

Nothing is sent here. Texts of Totara's error answers never leave this module: its debug messages may quote all that was
sent, a password too. Behaviour described as measured was measured on a running Totara 17.3.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bridge.domain import rights
from bridge.domain.lms import Account, Category, Completion, Course, CourseImage, per_cent_of
from bridge.errors import NotFound, Refused, Unauthorized, Unavailable, Unsupported

SYSTEM = "totara"

# --- refusals --------------------------------------------------------------------------------------------------------

#: What a web service's errorcode means to the caller. Everything else is Refused with that code.
WS_ERRORS: dict[str, tuple[type[Unavailable] | type[Refused], str]] = {
    "invalidtoken": (Unauthorized, "the web service token is not valid"),
    "accessexception": (
        Unsupported,
        f"the function is not in the token's service, or the account may not use REST ({rights.USE_REST})",
    ),
    "invalidrecordunknown": (NotFound, "Totara has no such record, or no such function"),
    "nopermissions": (Refused, "the service account lacks a capability"),
    "requireloginerror": (
        Refused,
        f"the service account may not enter the course: it lacks {rights.VIEW_COURSES} or, for a hidden course, "
        f"{rights.VIEW_HIDDEN}",
    ),
    "errorcoursecontextnotvalid": (Refused, "the service account may not enter one of the courses"),
    "wsnoinstance": (Refused, "the course has no enabled manual enrolment"),
    "wsusercannotassign": (
        Refused,
        "the service account may not assign the learner role in the course: it lacks "
        f"{rights.ASSIGN_ROLE}, or its role is not allowed to assign Learner",
    ),
    "cannotviewreport": (Refused, f"the service account lacks {rights.VIEW_COMPLETION}"),
    "error:cannotupdateassignment": (
        Refused,
        f"the service account lacks {rights.ASSIGN_PROGRAMS}, or the program has expired",
    ),
    "codingerror": (Refused, "the user does not exist or is deleted"),
    "invalidparameter": (
        Refused,
        "Totara does not accept a value: an unknown course or user, or one that is taken",
    ),
    "invalidresponse": (Refused, "Totara could not put its own answer in order"),
    "usernotenroled": (Refused, "the user has no active enrolment in the course"),
    "nocriteriaset": (Refused, "the course has no completion criteria"),
    "dmlwriteexception": (Unavailable, "Totara's database did not take a write"),
    "dmlreadexception": (Unavailable, "Totara's database did not answer"),
    "sitemaintenance": (Unavailable, "Totara is in maintenance mode"),
    "upgraderunning": (Unavailable, "Totara is being upgraded"),
    "servicenotavailable": (Unavailable, "Totara's web services are not available"),
}

#: How a GraphQL debugMessage begins (it is there unless the client's error response is set to "None"), the code we
#: give it, and what it means.
GQL_ERRORS: Sequence[tuple[str, type[Unavailable] | type[Refused], str, str]] = (
    (
        "Missing, expired or invalid access token",
        Unauthorized,
        "badtoken",
        "the access token is not accepted",
    ),
    (
        "The request did not contain the required Authorization header",
        Unauthorized,
        "noheader",
        "the Authorization header did not arrive: a web server or proxy before Totara strips it",
    ),
    ("API user is invalid", Unauthorized, "apiuserinvalid", "the API client's service account is not usable"),
    ("Username already exists", Refused, "duplicateusername", "the username is taken"),
    ("Email address already exists", Refused, "duplicateemail", "the e-mail address is taken"),
    ("Idnumber already exists", Refused, "duplicateidnumber", "the ID number is taken"),
    (
        "Tenant reference must identify",
        Refused,
        "badtenant",
        "Totara has no tenant with the configured idnumber",
    ),
    ("There was a problem finding a single user", NotFound, "nouser", "no such user, or it may not be seen"),
    (
        "You do not have capabilities to create a user for the tenant",
        Refused,
        "nopermissions",
        f"the service account lacks {rights.CREATE_USERS}, or tenants are switched off in Totara",
    ),
    (
        "You do not have capabilities to create a user",
        Refused,
        "nopermissions",
        f"the service account lacks {rights.CREATE_USERS}",
    ),
    (
        "You do not have capabilities to view users",
        Refused,
        "nopermissions",
        f"the service account lacks {rights.VIEW_USERS}",
    ),
    ("You do not have capabilities", Refused, "nopermissions", "the service account lacks a capability"),
    ("Multiple users returned", Refused, "severalusers", "several users have the address"),
    (
        "invalid enrol instance",
        Refused,
        "notmanualfirst",
        "Manual enrolments is not the first enabled method",
    ),
    ("The enrolment start date can not be in the past", Refused, "paststart", "the start lies in the past"),
)


def judge_ws(function: str, body: Any) -> Any:
    """A web service's answer, or the exception that it means. Totara says 200 to everything, errors too."""
    if not isinstance(body, dict) or "exception" not in body:
        return body
    code = str(body.get("errorcode", ""))
    kind, meaning = WS_ERRORS.get(code, (Refused, f"errorcode {code or 'missing'}"))
    if code == "nopermissions" and (capability := rights.missing_for(function, str(body.get("message", "")))):
        meaning = f"the service account lacks {capability}"
    message = f"Totara refused {function}: {meaning}"
    if issubclass(kind, Unavailable):
        raise kind(message, system=SYSTEM)
    raise kind(message, code=code)


def judge_gql(operation: str, body: Any) -> Any:
    """The data of one GraphQL operation, or the exception that the answer means.

    The schema is not validated on this endpoint: an operation that a version does not know gives ``{"data": []}``.
    """
    if not isinstance(body, dict):
        raise Unavailable(f"Totara answered {operation} with something that is no GraphQL answer", system=SYSTEM)
    errors = body.get("errors")
    if errors:
        first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
        extensions = first.get("extensions") or {}
        debug = str(first.get("debugMessage") or extensions.get("debugMessage") or "")
        for begins, kind, code, meaning in GQL_ERRORS:
            if begins in debug:
                message = f"Totara refused {operation}: {meaning}"
                if issubclass(kind, Unavailable):
                    raise kind(message, system=SYSTEM)
                raise kind(message, code=code)
        if first.get("message") == "Feature api is not available.":
            raise Unsupported("Totara's API feature is switched off", code="apioff")
        category = str(extensions.get("category", "unknown"))
        if category in ("graphql", "query_complexity"):
            raise Refused(f"Totara can't read {operation}: {category}", code=category)
        hint = "" if debug else '; set the API client\'s error response to "Normal" to be told why'
        untold = category == "internal" and not debug
        message = f"Totara refused {operation} without a reason that we know{hint}"
        raise Refused(message, code=category, data={"untold": untold})
    data = body.get("data")
    if not isinstance(data, dict) or operation not in data:
        raise Unsupported(f"this Totara has no {operation}", code="nooperation")
    return data[operation]


def whole(operation: str, item: Any, *names: str) -> Any:
    """The item, if it holds every field that was asked for: an unknown or forbidden one is left out silently."""
    missing = [name for name in names if not isinstance(item, dict) or name not in item]
    if missing:
        raise Unsupported(f"Totara left out {', '.join(missing)} from {operation}", code="missingfield")
    return item


# --- rows ------------------------------------------------------------------------------------------------------------

_NAMES = ("fullname", "displayname", "shortname", "name")


def marked(body: Any, *, raw: bool) -> Any:
    """The rows, with names that are not raw turned from HTML into text."""
    if not raw:
        rows = body.get("courses", []) if isinstance(body, dict) else body
        for row in rows:
            row |= {name: html.unescape(row[name]) for name in _NAMES if isinstance(row.get(name), str)}
    return body


def category_of(row: Mapping[str, Any]) -> Category:
    """A category, as core_course_get_categories tells it."""
    whole("core_course_get_categories", row, "id", "name", "parent", "coursecount")
    return Category(int(row["id"]), row["name"], int(row["parent"]), int(row["coursecount"]), row.get("idnumber"))


def course_of(row: Mapping[str, Any]) -> Course:
    """A course, as core_course_get_courses_by_field tells it."""
    whole("core_course_get_courses_by_field", row, "id", "fullname", "shortname", "categoryid")
    files = [f for f in row.get("overviewfiles") or () if str(f.get("mimetype", "")).startswith("image/")]
    methods = row.get("enrollmentmethods")
    return Course(
        id=int(row["id"]),
        fullname=row["fullname"],
        shortname=row["shortname"],
        category_id=int(row["categoryid"]),
        summary=row.get("summary") or "",
        idnumber=row.get("idnumber"),
        language=row.get("lang") or "",
        visible=bool(row["visible"]) if "visible" in row else None,
        enrol_methods=frozenset(methods) if methods is not None else None,
        image=CourseImage(files[0]["fileurl"], files[0]["filename"], int(files[0].get("timemodified") or 0))
        if files
        else None,
    )


def graphql_course_of(row: Mapping[str, Any]) -> Course:
    """A course, as the API's core_course_courses tells it."""
    whole("core_course_courses", row, "id", "fullname", "shortname", "category")
    return Course(
        id=int(row["id"]),
        fullname=row["fullname"],
        shortname=row["shortname"],
        category_id=int((row["category"] or {}).get("id") or 0),
        summary=row.get("summary") or "",
        idnumber=row.get("idnumber"),
        language=row.get("lang") or "",
    )


def completion_of(status: Mapping[str, Any]) -> Completion:
    """How far somebody is, as core_completion_get_course_completion_status tells it. Its ``aggregation`` is 2 where any
    of the criteria will do, and 1 where all have to be met.
    """
    completed, criteria = bool(status["completed"]), dicts(status.get("completions"))
    met = [(int(one.get("type") or 0), bool(one.get("complete"))) for one in criteria]
    return Completion(completed, 100 if completed else per_cent_of(met, any_will_do=status.get("aggregation") == 2))


def graphql_completion_of(told: Mapping[str, Any] | None) -> Completion | None:
    """How far somebody is, as the API tells it; None where it tells nothing."""
    if not told:
        return None
    completed, progress = bool(told.get("timecompleted")), told.get("progress")
    share = int(progress) if isinstance(progress, (int, float)) and 0 <= progress <= 100 else None
    return Completion(completed, 100 if completed else share)


def dicts(rows: Any) -> list[dict[str, Any]]:
    """The rows that are rows, of whatever came."""
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def others(rows: Any) -> list[dict[str, Any]]:
    """The accounts of an answer. Raises Refused when there is none, not even one of those that every site has."""
    if not rows:
        said = f"Totara shows no accounts: the service account lacks {rights.VIEW_USERS}"
        raise Refused(said, code="nopermissions")
    return list(rows)


def account_of(row: Mapping[str, Any]) -> Account:
    """An account, by whichever way it was asked for."""
    whole("user", row, "id", "username")
    # A last access of 0 is Totara's way to say "never".
    seen = datetime.fromtimestamp(row["lastaccess"], UTC) if isinstance(row.get("lastaccess"), int) else None
    email, suspended = row.get("email") or "", bool(row.get("suspended"))
    return Account(int(row["id"]), row["username"], email, row.get("auth"), suspended, seen)
