"""The capabilities that the service account needs in Totara, and how Totara says that one is missing.

Totara's error texts may quote what was sent. So nothing of them is kept but what is found in the tables here; a site in
another language is understood by which function it refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

USE_REST = "webservice/rest:use"
VIEW_COURSES = "moodle/course:view"
VIEW_HIDDEN = "moodle/course:viewhiddencourses"
UPDATE_COURSES = "moodle/course:update"
VIEW_PARTICIPANTS = "moodle/course:viewparticipants"
ENROL = "enrol/manual:enrol"
ASSIGN_ROLE = "moodle/role:assign"
CREATE_USERS = "moodle/user:create"
VIEW_USERS = "moodle/user:viewalldetails"
VIEW_IDENTITY = "moodle/site:viewuseridentity"
VIEW_COMPLETION = "report/completion:view"
VIEW_CERTIFICATES = "mod/certificate:view"
VIEW_HIDDEN_ACTIVITIES = "moodle/course:viewhiddenactivities"
VIEW_AUDIENCES = "moodle/cohort:view"
ASSIGN_AUDIENCES = "moodle/cohort:assign"
ASSIGN_PROGRAMS = "totara/program:configureassignments"
LOOK_AT_ACCOUNTS = "auth/bridge:lookataccount"  # of the bridge's own plugin in Totara

#: What Totara calls a capability in English, in brackets at the end of its refusal (measured on 17.3).
_CALLED: Mapping[str, str] = {
    "Enrol users": ENROL,
    "Assign roles to users": ASSIGN_ROLE,
    "Create users": CREATE_USERS,
    "View courses without participation": VIEW_COURSES,
    "View hidden courses": VIEW_HIDDEN,
    "View participants": VIEW_PARTICIPANTS,
    "View site-wide audiences": VIEW_AUDIENCES,
    "Add and remove audience members": ASSIGN_AUDIENCES,
    "Configure program assignments": ASSIGN_PROGRAMS,
    "Be told what kind of account somebody has": LOOK_AT_ACCOUNTS,
}

#: The one capability for want of which a function says "nopermissions", in whatever language.
_NEEDED: Mapping[str, str] = {
    "enrol_manual_enrol_users": ENROL,
    "core_user_create_users": CREATE_USERS,
    "core_cohort_get_cohorts": VIEW_AUDIENCES,
    "core_cohort_get_cohort_members": VIEW_AUDIENCES,
    "core_cohort_add_cohort_members": ASSIGN_AUDIENCES,
    "core_cohort_delete_cohort_members": ASSIGN_AUDIENCES,
    "totara_program_assignment_create": ASSIGN_PROGRAMS,
    "totara_program_assignment_delete": ASSIGN_PROGRAMS,
    "totara_program_assignment_filter": ASSIGN_PROGRAMS,
    "auth_bridge_look_at_account": LOOK_AT_ACCOUNTS,
}


def missing_for(function: str, message: str) -> str:
    """The capability that a refusal with "nopermissions" is about, "" if that can't be told."""
    in_brackets = re.search(r"\(([^()]*)\)\s*$", message)
    called = in_brackets.group(1).strip() if in_brackets else ""
    return _CALLED.get(called) or _NEEDED.get(function, "")


def named_in(reason: str) -> set[str]:
    """The capabilities that a reason of ours names."""
    return set(re.findall(r"\b[a-z]+/[a-z]+:[a-z]+\b", reason))
