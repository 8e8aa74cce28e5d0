"""The operations of the External GraphQL API about audiences (from 18 on), programs and certifications (20)."""

from __future__ import annotations

from bridge.sandbox.totara import Totara
from bridge.sandbox.totara_audiences import Audience, Program
from bridge.sandbox.totara_graphql import Problem, Resolver
from bridge.sandbox.totara_graphql_fields import one_user, since
from bridge.sandbox.totara_graphql_shapes import Given, date, page, show_user

STATIC_ONLY = "You can only add member to static audience."


def audience_operations(version: str, kind: str) -> dict[str, tuple[Resolver, bool]]:
    """The queries or mutations about audiences and programs that a version has."""
    found: dict[str, Resolver] = {}
    if version != "17" and kind == "query":
        found |= {"core_cohort_static_cohorts": static_audiences, "core_cohort_is_user_member": is_member}
    if version == "20" and kind == "query":
        found |= {
            "totara_program_programs_v2": programs,
            "totara_program_program_v2": program,
            "totara_certification_certifications_v2": certifications,
            "totara_certification_certification_v2": certification,
        }
    if version != "17" and kind == "mutation":
        found |= {"core_cohort_add_cohort_member": add_member, "core_cohort_remove_cohort_member": remove_member}
    return {name: (resolver, False) for name, resolver in found.items()}


def show_audience(totara: Totara, audience: Audience) -> Given:
    """An audience."""
    return {
        "__typename": "core_cohort",
        "id": str(audience.id),
        "name": audience.name,
        "idnumber": audience.idnumber,
        "description": audience.description,
        "active": True,
        "members_count": len(totara.members_of(audience.id)),
        "timecreated": date(audience.timecreated),
        "timemodified": date(audience.timemodified),
    }


def _static(totara: Totara) -> list[Audience]:
    return [one for one in totara.audiences.values() if one.visible and not one.dynamic and one.tenant is None]


def static_audiences(totara: Totara, given: Given) -> Given:
    """The static audiences by the page. What narrows them down is called ``filter`` here and not ``filters``."""
    query = given.get("query") or {}
    rows = since(_static(totara), query.get("filter") or {})
    columns = ("id", "name", "timecreated", "timemodified")
    return page(rows, query, lambda one: show_audience(totara, one), columns)


def _one(totara: Totara, reference: Given) -> Audience:
    keys = {key: value for key, value in reference.items() if value is not None}
    found = []
    if len(keys) == 1:
        ((key, value),) = keys.items()
        found = [one for one in totara.audiences.values() if str(getattr(one, key)) == str(value)]
    if len(found) != 1:
        raise Problem("There was a problem finding a single audience record match.")
    return found[0]


def is_member(totara: Totara, given: Given) -> Given:
    """Whether somebody is in an audience."""
    audience, user = _one(totara, given["cohort"]), one_user(totara, given["user"])
    return {"user_is_member": user.id in totara.members_of(audience.id)}


def add_member(totara: Totara, given: Given) -> Given:
    """Put somebody into a static audience; it may be said again."""
    audience, user = _one(totara, given["cohort"]), one_user(totara, given["user"])
    if audience.dynamic or audience.tenant is not None:
        raise Problem(STATIC_ONLY)
    already = user.id in audience.members
    totara.add_member(audience.id, user.id)
    shown = {"user": show_user(totara, user), "cohort": show_audience(totara, audience)}
    return {"success": True, "was_already_member": already, **shown}


def remove_member(totara: Totara, given: Given) -> Given:
    """Take somebody out of a static audience; it may be said again."""
    audience, user = _one(totara, given["cohort"]), one_user(totara, given["user"])
    if audience.dynamic or audience.tenant is not None:
        raise Problem(STATIC_ONLY.replace("add member to", "remove member from"))
    was = user.id in audience.members
    totara.remove_member(audience.id, user.id)
    shown = {"user": show_user(totara, user), "cohort": show_audience(totara, audience)}
    return {"success": True, "user_was_member": was, **shown}


# --- programs and certifications --------------------------------------------------------------------------


def _show_program(held: Program) -> Given:
    shown = {key: getattr(held, key) for key in ("fullname", "shortname", "idnumber", "visible")}
    return {"__typename": "totara_program", "id": str(held.id), **shown}


def _page_of(totara: Totara, given: Given, certification: bool) -> Given:
    query = given.get("query") or {}
    rows = [one for one in totara.programs.values() if one.certification == certification]
    return page(since(rows, query.get("filters") or {}), query, _show_program, ("id", "fullname", "timemodified"))


def _found(totara: Totara, given: Given, certification: bool) -> Given | None:
    keys = {key: str(value) for key, value in given["reference"].items() if value is not None}
    for one in totara.programs.values():
        mine = {"id": str(one.id), "idnumber": one.idnumber}
        if one.certification == certification and len(keys) == 1 and keys.items() <= mine.items():
            return _show_program(one)
    return None


def programs(totara: Totara, given: Given) -> Given:
    """The programs by the page."""
    return _page_of(totara, given, False)


def certifications(totara: Totara, given: Given) -> Given:
    """The certifications by the page."""
    return _page_of(totara, given, True)


def program(totara: Totara, given: Given) -> Given:
    """One program, or that there is none."""
    found = _found(totara, given, False)
    return {"found": found is not None, "program": found}


def certification(totara: Totara, given: Given) -> Given:
    """One certification, or that there is none."""
    found = _found(totara, given, True)
    return {"found": found is not None, "certification": found}
