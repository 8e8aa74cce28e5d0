"""The input types of the External GraphQL API, and what the library says of a value that doesn't fit."""

from __future__ import annotations

import json
from typing import Any

from graphql.language import ast, print_ast

from bridge.sandbox.totara_ws import valid_email

_USER_FIELDS = dict.fromkeys(
    [
        "password",
        "idnumber",
        "firstnamephonetic",
        "lastnamephonetic",
        "middlename",
        "alternatename",
        "city",
        "description",
        "descriptionformat",
        "url",
        "skype",
        "institution",
        "department",
        "phone1",
        "phone2",
        "address",
        "country",
        "timezone",
        "lang",
        "theme",
        "auth",
        "calendartype",
    ],
    "String",
) | {
    "emailstop": "Boolean",
    "suspended": "Boolean",
    "tenant": "totara_tenant_tenant_reference",
    "custom_fields": "[core_user_custom_field_input!]",
    "force_password_change": "Boolean",
    "generate_password": "Boolean",
}
_REQUIRED = {"username": "String!", "email": "param_email!", "firstname": "String!", "lastname": "String!"}
_OPTIONAL = {
    "username": "param_username",
    "email": "param_email",
    "firstname": "String",
    "lastname": "String",
}
_SINCE = {"since_timemodified": "core_date", "since_timecreated": "core_date"}
_ENROL = {"user": "core_user_user_reference!", "course": "core_course_course_reference!"}
_MEMBER = {"user": "core_user_user_reference!", "cohort": "core_cohort_cohort_reference!"}
_PAGED = {"pagination": "core_pagination_input", "sort": "[core_sort_input!]"}

_INPUTS_17: dict[str, dict[str, str]] = {
    "core_user_user_reference": {
        "id": "core_id",
        "username": "String",
        "idnumber": "String",
        "email": "String",
    },
    "core_user_create_user_input": _REQUIRED | _USER_FIELDS,
    "core_user_update_user_input": _OPTIONAL | _USER_FIELDS,
    "core_user_users_query": _PAGED,
    "core_pagination_input": {"cursor": "String", "limit": "param_integer", "page": "param_integer"},
    "core_sort_input": {"column": "String!", "direction": "core_sort_direction_enum"},
    "totara_tenant_tenant_reference": {"id": "core_id", "idnumber": "String"},
    "core_user_custom_field_input": {
        "shortname": "String!",
        "data": "String",
        "data_format": "Int",
        "delete": "Boolean",
    },
}
_INPUTS_18: dict[str, dict[str, str]] = {
    "core_user_users_query": _PAGED | {"filters": "core_user_users_filters"},
    "core_user_users_filters": _SINCE | {"status": "core_user_status_filter"},
    "core_course_course_reference": {"id": "core_id", "shortname": "String", "idnumber": "String"},
    "core_course_courses_query": _PAGED | {"filters": "core_course_courses_filters"},
    "core_course_courses_filters": _SINCE | {"tag_filter": "String"},
    "core_role_role_reference": {"id": "core_id", "shortname": "String"},
    "enrol_manual_enrol_user_input": _ENROL
    | {
        "role": "core_role_role_reference",
        "timestart": "core_date",
        "timeend": "core_date",
        "suspended": "Boolean",
    },
    "enrol_manual_unenrol_user_input": _ENROL,
    "core_completion_get_course_completion_query": _ENROL,
    "core_cohort_cohort_reference": {"id": "core_id", "idnumber": "String"},
    "core_cohort_static_cohorts_query": _PAGED | {"filter": "core_cohort_static_cohorts_filter"},
    "core_cohort_static_cohorts_filter": _SINCE | {"tag_filter": "String"},
    "totara_program_program_reference": {"id": "core_id", "idnumber": "String"},
    "totara_program_programs_query": _PAGED | {"filters": "totara_program_programs_filters"},
    "totara_program_programs_filters": _SINCE,
    "totara_certification_certification_reference": {"id": "core_id", "idnumber": "String"},
    "totara_certification_certifications_query": _PAGED | {"filters": "totara_program_programs_filters"},
}
_ENUMS = {
    "core_sort_direction_enum": ("ASC", "DESC"),
    "core_user_status_filter": ("ACTIVE", "SUSPENDED", "ALL"),
}
_SCALARS = {
    "String",
    "Boolean",
    "Int",
    "Float",
    "ID",
    "core_id",
    "core_date",
    "core_format",
    "core_date_format",
}
_SCALARS |= {"param_integer", "param_email", "param_username"}

# The arguments that must be there, by operation.
_ARGUMENTS = {
    "core_user_create_user": {"input": "core_user_create_user_input!"},
    "core_user_update_user": {
        "target_user": "core_user_user_reference!",
        "input": "core_user_update_user_input!",
    },
    "core_user_delete_user": {"target_user": "core_user_user_reference!"},
    "core_user_users": {"query": "core_user_users_query"},
    "core_user_user": {"reference": "core_user_user_reference!"},
    "core_user_user_v2": {"reference": "core_user_user_reference!"},
    "core_course_courses": {"query": "core_course_courses_query"},
    "core_course_is_user_enrolled": _ENROL,
    "enrol_manual_enrol_user": {"input": "enrol_manual_enrol_user_input!"},
    "enrol_manual_unenrol_user": {"input": "enrol_manual_unenrol_user_input!"},
    "core_completion_get_course_completion": {"query": "core_completion_get_course_completion_query!"},
    "core_cohort_static_cohorts": {"query": "core_cohort_static_cohorts_query"},
    **dict.fromkeys(
        ("core_cohort_is_user_member", "core_cohort_add_cohort_member", "core_cohort_remove_cohort_member"), _MEMBER
    ),
    "totara_program_programs_v2": {"query": "totara_program_programs_query"},
    "totara_program_program_v2": {"reference": "totara_program_program_reference!"},
    "totara_certification_certifications_v2": {"query": "totara_certification_certifications_query"},
    "totara_certification_certification_v2": {"reference": "totara_certification_certification_reference!"},
}


def _inputs(version: str) -> dict[str, dict[str, str]]:
    return _INPUTS_17 if version == "17" else _INPUTS_17 | _INPUTS_18


def coerce_variable(version: str, declared: ast.TypeNode, name: str, given: dict[str, Any]) -> list[str]:
    """What is wrong with a variable, in the library's words; empty if nothing."""
    wanted = print_ast(declared)
    bare = wanted.strip("[]!")
    if bare not in _inputs(version) and bare not in _SCALARS and bare not in _ENUMS:
        return [f'Variable "${name}" expected value of type "{wanted}" which cannot be used as an input type.']
    if given.get(name) is None:
        if not wanted.endswith("!"):
            return []
        told = "must not be null" if name in given else "was not provided"
        return [f'Variable "${name}" of required type "{wanted}" {told}.']
    shown = json.dumps(given[name], separators=(",", ":"), ensure_ascii=False)
    faults = _faults(version, wanted, given[name], "value")
    return [f'Variable "${name}" got invalid value {shown}; {fault}' for fault in faults]


def coerce_argument(version: str, operation: str, given: dict[str, Any]) -> str | None:
    """What is wrong with the arguments of an operation.

    Unlike in a variable, an unknown key is no mistake.
    """
    for name, wanted in _ARGUMENTS.get(operation, {}).items():
        if given.get(name) is None:
            if wanted.endswith("!"):
                return f'Argument "{name}" of required type "{wanted}" was not provided.'
        elif _faults(version, wanted, given[name], "value", strict=False):
            return f'Argument "{name}" has invalid value {json.dumps(given[name])}.'
    return None


def _faults(version: str, wanted: str, value: Any, where: str, strict: bool = True) -> list[str]:
    """What is wrong with a value of an input type; ``where`` is its place in the variable."""
    if value is None:
        return [f"Expected non-nullable type {wanted} not to be null at {where}."] if wanted.endswith("!") else []
    wanted = wanted.rstrip("!")
    if wanted.startswith("["):
        each = value if isinstance(value, list) else [value]
        below = (_faults(version, wanted[1:-1], v, f"{where}[{i}]", strict) for i, v in enumerate(each))
        return [fault for faults in below for fault in faults]
    fields = _inputs(version).get(wanted)
    if fields is None:
        fault = _scalar_fault(wanted, value)
        return [f"Expected type {wanted} at {where}; {fault}"] if fault else []
    if not isinstance(value, dict):
        return [f"Expected type {wanted} to be an object at {where}."]
    found = []
    for name, kind in fields.items():
        if name not in value:
            if kind.endswith("!"):
                found.append(f"Field {where}.{name} of required type {kind} was not provided.")
        else:
            found += _faults(version, kind, value[name], f"{where}.{name}", strict)
    if strict:
        found += [f'Field "{name}" is not defined by type {wanted}.' for name in value if name not in fields]
    return found


def _scalar_fault(kind: str, value: Any) -> str | None:
    if kind in _ENUMS:
        return None if value in _ENUMS[kind] else "did you mean " + " or ".join(_ENUMS[kind]) + "?"
    if isinstance(value, dict | list):
        return f"{kind} cannot represent an array value"
    if kind == "Boolean" and not isinstance(value, bool):
        return f"Boolean cannot represent a non boolean value: {value}"
    if kind in ("Int", "param_integer") and (isinstance(value, bool) or not str(value).lstrip("-").isdigit()):
        return f"Int cannot represent non-integer value: {value}"
    if kind == "String" and not isinstance(value, str | int | float | bool):
        return f"String cannot represent a non string value: {value}"
    if kind == "core_id" and (isinstance(value, bool) or not str(value).isdigit()):
        return f"core_id cannot represent value: {value}"
    if kind == "param_email" and not valid_email(str(value)):
        return "Invalid parameter value detected"
    return None
