"""The web-service functions about audiences, and about assignments to programs and certifications."""

from __future__ import annotations

from typing import Any

from bridge.sandbox.totara import Totara
from bridge.sandbox.totara_audiences import AUDIENCE, INDIVIDUAL, Assignment, Audience
from bridge.sandbox.totara_things import User
from bridge.sandbox.totara_ws import Call, WsError, function, invalid_parameter, no_permission, no_record

_BY = {"type": "text", "value": "text"}
_AUDIENCE = {"categorytype": _BY, "name": "text", "idnumber": "text", "description?": "text"}
_AUDIENCE |= {"descriptionformat?": "int", "visible?": "bool"}


def _view(totara: Totara) -> None:
    if not totara.may_view_audiences:
        raise no_permission("View site-wide audiences")


def _assign(totara: Totara) -> None:
    if not totara.may_assign_audiences:
        raise no_permission("Add and remove audience members")


def _manage(totara: Totara) -> None:
    if not totara.may_manage_audiences:
        raise no_permission("Manage audiences")


def _shown(audience: Audience) -> dict[str, Any]:
    """An audience; that of a tenant's participants has no idnumber."""
    return {
        "id": audience.id,
        "name": audience.name,
        "idnumber": audience.idnumber if audience.tenant is None else None,
        "description": audience.description,
        "descriptionformat": 1,
        "visible": audience.visible,
    }


def _audiences(totara: Totara, ids: list[int]) -> list[Audience]:
    """Those asked for; one that isn't there fails the call."""
    if any(one not in totara.audiences for one in ids):
        raise no_record()
    return [totara.audiences[one] for one in ids]


@function("core_cohort_get_cohorts", {"cohortids?": ["int"]})
def get_cohorts(call: Call, cohortids: list[int] | None = None) -> list[dict[str, Any]]:
    """Audiences by their ids, or every one: those of the tenants' participants too. Unknown ids are left out."""
    _view(call.totara)
    wanted = cohortids or list(call.totara.audiences)
    return [_shown(call.totara.audiences[one]) for one in wanted if one in call.totara.audiences]


@function("core_cohort_get_cohort_members", {"cohortids": ["int"]})
def get_cohort_members(call: Call, cohortids: list[int]) -> list[dict[str, Any]]:
    """Who is in these audiences."""
    totara = call.totara
    _view(totara)
    found = _audiences(totara, cohortids)
    return [{"cohortid": one.id, "userids": sorted(totara.members_of(one.id))} for one in found]


@function("core_cohort_create_cohorts", {"cohorts": [_AUDIENCE]})
def create_cohorts(call: Call, cohorts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make static audiences, all or none. A taken idnumber is refused."""
    totara = call.totara
    _manage(totara)
    taken = [one.idnumber for one in totara.audiences.values()] + [given["idnumber"] for given in cohorts]
    if any(given["idnumber"] and taken.count(given["idnumber"]) > 1 for given in cohorts):
        raise invalid_parameter()
    made = []
    for given in cohorts:
        kept = {key: given[key] for key in ("idnumber", "description", "visible") if key in given}
        made.append(totara.audiences[totara.add_audience(given["name"], **kept)])
    return [_shown(one) for one in made]


@function("core_cohort_update_cohorts", {"cohorts": [{"id": "int"} | _AUDIENCE]})
def update_cohorts(call: Call, cohorts: list[dict[str, Any]]) -> None:
    """Change audiences, all or none."""
    _manage(call.totara)
    found = _audiences(call.totara, [given["id"] for given in cohorts])
    for held, given in zip(found, cohorts, strict=True):
        for key in ("name", "idnumber", "description", "visible"):
            setattr(held, key, given.get(key, getattr(held, key)))
        held.timemodified = call.totara.now()


@function("core_cohort_delete_cohorts", {"cohortids": ["int"]})
def delete_cohorts(call: Call, cohortids: list[int]) -> None:
    """Delete audiences, and with them the enrolments that came of them."""
    _manage(call.totara)
    for one in _audiences(call.totara, cohortids):
        call.totara.delete_audience(one.id)


@function("core_cohort_add_cohort_members", {"members": [{"cohorttype": _BY, "usertype": _BY}]})
def add_cohort_members(call: Call, members: list[dict[str, dict[str, str]]]) -> dict[str, Any]:
    """Put people into audiences. What can't be done is a warning and no error, and the rest is done.

    Where the audience enrols, its new members are enrolled before the answer.
    """
    totara, warnings = call.totara, []
    _assign(totara)
    for given in members:
        audience, user = given["cohorttype"], given["usertype"]
        found, person = _one_audience(totara, audience), _one_user(totara, user)
        names = [f"{each['type']}={each['value']}" for each in (audience, user)]
        if found is None or person is None:
            missing = f"cohort {names[0]}" if found is None else f"user {names[1]}"
            warnings.append({"warningcode": "2", "message": f"{missing} not exists"})
        elif person.id in totara.members_of(found.id):
            text = f"record already exists: cohort({names[0]} {names[1]})"
            warnings.append({"warningcode": "3", "message": text})
        elif found.tenant is not None:
            # The misspelling is Totara's.
            warnings.append({"warningcode": "1", "message": "Canot modify plugin cohorts"})
        else:
            totara.add_member(found.id, person.id)
    return {"warnings": warnings}


def _one_audience(totara: Totara, by: dict[str, str]) -> Audience | None:
    key = "id" if by["type"] == "id" else "idnumber"
    found = (one for one in totara.audiences.values() if str(getattr(one, key)) == by["value"])
    return next(found, None)


def _one_user(totara: Totara, by: dict[str, str]) -> User | None:
    key = "id" if by["type"] == "id" else "username"
    return next((one for one in totara.live_users() if str(getattr(one, key)) == by["value"]), None)


@function("core_cohort_delete_cohort_members", {"members": [{"cohortid": "int", "userid": "int"}]})
def delete_cohort_members(call: Call, members: list[dict[str, int]]) -> None:
    """Take people out of audiences, all or none; who isn't in it is no error. Enrolments go before the answer."""
    totara = call.totara
    for given in members:
        user = totara.users.get(given["userid"])
        if given["cohortid"] not in totara.audiences or user is None or user.deleted:
            raise no_record()
    _assign(totara)
    for given in members:
        totara.remove_member(given["cohortid"], given["userid"])


# --- programs and certifications --------------------------------------------------------------------------


def _status(totara: Totara, program: int) -> dict[str, Any]:
    number = len(totara.program_learners(program))
    text = "Caution: Program is live - there are learners who will see or be affected by changes you make"
    count = f"{number} learner(s) assigned: {number} active, 0 exception(s)."
    text += f'<br /><span class="assignmentcount">{count}</span><br /><span></span>'
    return {"status_string": text, "state": "warning", "exception_count": 0}


def _assignment(totara: Totara, one: int, kind: int, item: int) -> dict[str, Any]:
    alone = kind == INDIVIDUAL
    return {
        "id": one,
        "name": totara.users[item].fullname if alone else totara.audiences[item].name,
        "type": "Individual" if alone else "Audience",
        "type_id": kind,
        "checkbox": False,
        "dropdown": False,
        "includechildren": 0,
        "duedate": "",
        "duedateupdatable": True,
        "actualduedate": "No due date" if alone else "",
        "learnercount": 1 if alone else len(totara.members_of(item)),
    }


@function("totara_program_assignment_create", {"programid": "int", "typeid": "int", "items": ["int"]})
def create_assignments(call: Call, programid: int, typeid: int, items: list[int]) -> dict[str, Any]:
    """Assign people (5) or audiences (3) to a program or a certification. Of what was assigned already the
    answer has the id 0.
    """
    totara = call.totara
    if not totara.may_assign_programs:
        raise WsError("moodle_exception", "error:cannotupdateassignment", "Program assignment cannot be updated")
    if programid not in totara.programs:
        raise no_record()
    if typeid not in (INDIVIDUAL, AUDIENCE):
        raise invalid_parameter()
    known = totara.audiences.keys() if typeid == AUDIENCE else {user.id for user in totara.live_users()}
    if set(items) - set(known):
        raise no_record()
    who = "audience" if typeid == AUDIENCE else "user"
    made = [(totara.assign(programid, **{who: item}), item) for item in items]
    rows = [_assignment(totara, one, typeid, item) for one, item in made]
    return {"status": _status(totara, programid), "items": rows}


@function("totara_program_assignment_delete", {"assignment_id": "int"})
def delete_assignment(call: Call, assignment_id: int) -> dict[str, Any]:
    """Take an assignment back."""
    if not call.totara.may_assign_programs:
        raise no_permission("Configure program assignments")
    held: Assignment | None = call.totara.assignments.get(assignment_id)
    if held is None:
        raise no_record()
    call.totara.unassign(assignment_id)
    return {"status": _status(call.totara, held.program), "success": True}


@function(
    "totara_program_assignment_filter",
    {"categories": ["int"], "recent": "bool", "term": "text", "program_id": "int"},
)
def filter_assignments(call: Call, categories: list[int], recent: bool, term: str, program_id: int) -> dict[str, Any]:
    """The assignments of a program by their kinds and a part of their names."""
    totara = call.totara
    if program_id not in totara.programs:
        raise no_record()
    if not totara.may_assign_programs:
        raise no_permission("Configure program assignments")
    rows = [
        _assignment(totara, one.id, one.kind, one.item)
        for one in totara.assignments.values()
        if one.program == program_id and (not categories or one.kind in categories)
    ]
    rows = [row for row in rows if term.lower() in row["name"].lower()]
    return {"items": rows, "count": len(rows), "toomany": False}
