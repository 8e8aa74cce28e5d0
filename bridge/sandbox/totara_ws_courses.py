"""The web-service functions about courses and categories."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bridge.sandbox.totara_text import MULTILANG, cleaned, escaped, in_language, stripped
from bridge.sandbox.totara_things import SITE_COURSE, Course
from bridge.sandbox.totara_ws import Call, WsError, function, invalid_parameter

_FORMAT_OPTIONS = {
    **dict.fromkeys(("hiddensections", "coursedisplay", "collapsiblesections", "headercolor"), 0),
    "numsections": 1,
    "collapsiblesectionscollapseall": 0,
    "headerbgcolor": "",
    "headerfgcolor": "",
}


def name_of(call: Call, name: str, any_markup: bool = False) -> str:
    """A name for an answer: escaped and without tags, so that its languages run together.

    Raw it is sent as written; but most answers promise plain text with no other markup than that of the
    languages, and a single name with other tags then fails the whole call.
    """
    if call.raw:
        if not any_markup and "<" in MULTILANG.sub("", name):
            raise WsError("invalid_response_exception", "invalidresponse", "Invalid response value detected")
        return name
    if call.filtered and call.totara.multilang_filter:
        name = in_language(name)
    return escaped(stripped(name) if call.totara.strip_names else name)


def summary_of(call: Call, html: str) -> str:
    """A summary for an answer: cleaned, unless the caller asked for it raw - then its scripts are in it."""
    if call.raw:
        return html
    if call.filtered and call.totara.multilang_filter:
        html = in_language(html)
    return cleaned(html)


@function(
    "core_course_get_categories",
    {"criteria?": [{"key": "text", "value": "text"}], "addsubcategories?": "int"},
)
def get_categories(
    call: Call, criteria: list[dict[str, str]] | None = None, addsubcategories: int = 1
) -> list[dict[str, Any]]:
    """The categories, Totara's own containers among them, in the order of their sort order read as text.

    Nothing in the answer tells which tenant a category belongs to.
    """
    totara = call.totara
    orders = totara.category_orders()
    counts = Counter(course.category for course in totara.courses.values())
    paths: dict[int, str] = {}
    for number in orders:
        paths[number] = f"{paths.get(totara.categories[number].parent, '')}/{number}"
    wanted = set(orders)
    for one in criteria or []:
        key, value = one["key"], one["value"]
        if key not in ("id", "ids", "name", "parent", "idnumber"):
            raise WsError("moodle_exception", "criteriaerror", "criteriaerror")
        values = value.split(",") if key == "ids" else [value]
        kept = {c.id for c in totara.categories.values() if str(getattr(c, key.rstrip("s"))) in values}
        if addsubcategories:
            kept |= {n for n, path in paths.items() if kept & set(map(int, path.strip("/").split("/")))}
        wanted &= kept
    answers = []
    for number in sorted(wanted, key=lambda n: str(orders[n])):
        category = totara.categories[number]
        answer = {
            "id": number,
            "name": name_of(call, category.name),
            "description": category.description,
            "descriptionformat": 1,
            "parent": category.parent,
            "sortorder": orders[number],
            "coursecount": counts[number],
            "depth": paths[number].count("/"),
            "path": paths[number],
        }
        if totara.may_manage_categories:
            answer |= {
                "idnumber": category.idnumber,
                "visible": 1,
                "visibleold": 1,
                "timemodified": 0,
                "theme": "",
            }
        answers.append(answer)
    return answers


@function("core_course_get_courses", {"options?": {"ids?": ["int"]}})
def get_courses(call: Call, options: dict[str, list[int]] | None = None) -> list[dict[str, Any]]:
    """All courses, or those asked for, the site's front page included. All or nothing.

    One course the service account may not enter fails the whole call.
    """
    totara = call.totara
    ids = (options or {}).get("ids", [])
    chosen = [totara.courses[n] for n in ids if n in totara.courses] if ids else list(totara.courses.values())
    for course in chosen:
        if not course.enterable:
            raise WsError(
                "moodle_exception",
                "errorcoursecontextnotvalid",
                f"You cannot execute functions in the course context (course id:{course.id}). "
                "The context error message was: Course or activity not accessible.",
            )
    orders = totara.course_orders(chosen)
    answers = [_course(call, course, orders[course.id]) for course in chosen]
    if not ids or SITE_COURSE in ids:
        site = _course(call, _front_page(call), 1) | {"format": "site"}
        site["courseformatoptions"] = [{"name": "numsections", "value": 1}]
        if totara.may_update_courses:
            site |= {"newsitems": 3, "enablecompletion": 0, "completionstartonenrol": 0}
            del site["hiddensections"]
        # The order is the database's: the front page needn't come first.
        answers.insert(min(2, len(answers)), site)
    return answers


def _front_page(call: Call) -> Course:
    return Course(SITE_COURSE, call.totara.sitename, call.totara.site_shortname, 0, enrol_methods=[])


def _course(call: Call, course: Course, order: int) -> dict[str, Any]:
    """A course as core_course_get_courses gives it; most of it only to who may update the course."""
    name = name_of(call, course.fullname)
    answer: dict[str, Any] = {
        "id": course.id,
        "shortname": name_of(call, course.shortname),
        "categoryid": course.category,
        "fullname": name,
        "displayname": name,
        "summary": summary_of(call, course.summary),
        "summaryformat": 1,
        "format": "topics",
        "startdate": course.startdate,
        "enddate": course.enddate,
        "numsections": 1,
        "courseformatoptions": [{"name": key, "value": value} for key, value in _FORMAT_OPTIONS.items()],
    }
    if call.totara.may_update_courses:
        answer |= {
            "categorysortorder": order,
            "idnumber": course.idnumber,
            "showgrades": 1,
            "newsitems": 1,
            "maxbytes": 0,
            "showreports": 0,
            "visible": course.visible,
            "hiddensections": 0,
            "groupmode": 0,
            "groupmodeforce": 0,
            "defaultgroupingid": 0,
            "timecreated": course.timecreated,
            "timemodified": course.timemodified,
            "enablecompletion": 1,
            "completionstartonenrol": 1,
            "completionnotify": 0,
            "lang": course.lang,
            "forcetheme": "",
            "audiencevisible": course.audiencevisible,
            "coursetype": 0,
            "completionprogressonview": 0,
        }
    return answer


@function("core_course_get_courses_by_field", {"field?": "text", "value?": "text"})
def get_courses_by_field(call: Call, field: str = "", value: str = "") -> dict[str, Any]:
    """The courses with this value in this field; all of them, the front page included, without a field.

    What the account can't see is left out in silence, and ``audiencevisible`` isn't told.
    """
    totara = call.totara
    if field not in ("", "id", "ids", "shortname", "idnumber", "category"):
        raise invalid_parameter()
    if field == "idnumber" and not totara.may_update_courses:
        return {"courses": [], "warnings": []}
    values = value.split(",") if field == "ids" else [value]
    if field in ("id", "ids"):
        numbers = [int(v) for v in values if v.strip().isdigit()]
        chosen = [totara.courses[n] for n in dict.fromkeys(numbers) if n in totara.courses]
    else:
        chosen = [c for c in totara.courses.values() if not field or str(getattr(c, field)) == value]
    orders = totara.course_orders(chosen)
    answers = [_found(call, c) | _details(call, c, orders[c.id]) for c in chosen if totara.shows_course(c)]
    if not field or (field in ("id", "ids") and str(SITE_COURSE) in values):
        front = _front_page(call)
        site = _found(call, front) | _details(call, front, 1) | {"format": "site", "newsitems": 3}
        if totara.may_update_courses:
            site["enablecompletion"] = 0
        answers.insert(0, site)
    return {"courses": answers, "warnings": []}


def _found(call: Call, course: Course) -> dict[str, Any]:
    """A course as a search gives it."""
    name = name_of(call, course.fullname)
    category = call.totara.categories.get(course.category)
    files = []
    if course.image is not None:
        place = f"/webservice/pluginfile.php/{course.context_id}/course/overviewfiles/{course.image_name}"
        file = {"filename": course.image_name, "filepath": "/", "filesize": len(course.image)}
        file |= {
            "fileurl": call.site_url + place,
            "timemodified": course.image_modified,
            "mimetype": "image/png",
        }
        files.append(file)
    return {
        "id": course.id,
        "fullname": name,
        "displayname": name,
        "shortname": name_of(call, course.shortname),
        "categoryid": course.category,
        "categoryname": name_of(call, category.name) if category else "",
        "summary": summary_of(call, course.summary),
        "summaryformat": 1,
        "summaryfiles": [],
        "overviewfiles": files,
        "contacts": [],
        "enrollmentmethods": list(course.enrol_methods),
    }


def _details(call: Call, course: Course, order: int) -> dict[str, Any]:
    """What core_course_get_courses_by_field adds, less of it to who may not update the course."""
    details: dict[str, Any] = {
        "idnumber": course.idnumber,
        "format": "topics",
        "showgrades": 1,
        "newsitems": 1,
        "startdate": course.startdate,
        "enddate": course.enddate,
        "maxbytes": 0,
        "showreports": 0,
        "visible": course.visible,
        "groupmode": 0,
        "groupmodeforce": 0,
        "defaultgroupingid": 0,
        "enablecompletion": 1,
        "completionnotify": 0,
        "lang": course.lang,
        "theme": "",
        "sortorder": order,
        "marker": 0,
        "legacyfiles": 0,
        "calendartype": "",
        "timecreated": course.timecreated,
        "timemodified": course.timemodified,
        "requested": 0,
        "cacherev": course.timemodified,
        "filters": [
            {"filter": name, "localstate": 0, "inheritedstate": 1} for name in ("activitynames", "mediaplugin")
        ],
    }
    if not call.totara.may_update_courses:
        for hidden in ("idnumber", "legacyfiles", "calendartype", "timecreated", "timemodified", "requested"):
            del details[hidden]
        del details["cacherev"]
    return details


@function(
    "core_course_search_courses",
    {
        "criterianame": "text",
        "criteriavalue": "text",
        "page?": "int",
        "perpage?": "int",
        "limittoenrolled?": "bool",
    },
)
def search_courses(
    call: Call,
    criterianame: str,
    criteriavalue: str,
    page: int = 0,
    perpage: int = 0,
    limittoenrolled: bool = False,
) -> dict[str, Any]:
    """Courses by a word in their texts or by the id of a tag, a page at a time.

    Hidden ones are never among them, not even for an account that may see them.
    """
    totara = call.totara
    visible = [c for c in totara.courses.values() if totara.shows_course(c) and c.shown]
    if criterianame == "search":
        word = criteriavalue.lower()
        found = [c for c in visible if word in f"{c.fullname}\n{c.shortname}\n{c.idnumber}\n{c.summary}".lower()]
    elif criterianame == "tagid":
        tag = totara.tag_name(int(criteriavalue)) if criteriavalue.isdigit() else None
        found = [c for c in visible if tag in c.tags]
    else:
        raise invalid_parameter()
    orders = totara.course_orders(found)
    found.sort(key=lambda c: orders[c.id])
    shown = found[page * perpage : (page + 1) * perpage] if perpage else found
    return {"total": len(found), "courses": [_found(call, c) for c in shown], "warnings": []}
