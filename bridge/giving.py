"""Giving and ending access in Totara: enrolments in courses, membership in audiences, assignments to programs.

Whatever is given is given to one user, may be given again, and can be told to be there or not, as far as the site can
tell. An audience is the cleanest way to a program or a certification, since membership can be read and taken back; an
assignment by the web service can be taken back only by the number that it was given when it was made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from bridge.domain.enrolments import Held, State
from bridge.domain.offers import Item, Kind
from bridge.errors import NotFound, Refused, Unsupported
from bridge.totara_client import PAGE, TotaraClient

#: What is not ours: it was there before us, and stays when our reason for it ends.
NOT_OURS = 0
INDIVIDUAL = 5  # the type of an assignment to one user

#: What a warning of the audiences' web service means: it answers so instead of with an error (measured on 17.3).
_UNKNOWN, _ALREADY = "2", "3"


class Giver:
    """Gives, ends, and looks."""

    def __init__(self, totara: TotaraClient) -> None:
        self._totara = totara

    def reachable(self, user_id: int, items: Collection[Item]) -> set[Item]:
        """Those of the items that the user has now. An assignment can't be read: it is believed once it was made."""
        found = {item for item in items if item.kind in (Kind.PROGRAM, Kind.CERTIFICATION)}
        courses = {item.id: item for item in items if item.kind is Kind.COURSE}
        if courses:
            found |= {courses[number] for number in self._totara.reachable_courses(user_id, courses)}
        return found | {i for i in items if i.kind is Kind.AUDIENCE and self._seen_in(user_id, i.id)}

    def before(self, user_id: int, item: Item, held: Held | None, *, linked: bool = False) -> dict[str, int | None]:
        """Of an audience that we have not given: whose the membership will be, as ``reference``.

        To be asked, and its answer written down, before it is given: afterwards nobody can tell. In an account that
        was there before us (``linked``) others may have given a course, too.
        """
        if item.kind is Kind.COURSE and linked and not _given(held):
            return {"reference": NOT_OURS if self.reachable(user_id, [item]) else None}
        if item.kind is not Kind.AUDIENCE or _given(held):
            return {}
        return {"reference": NOT_OURS if self._is_member(user_id, item.id) else None}

    def give(self, user_id: int, item: Item, until: datetime | None, held: Held | None) -> int | None:
        """Give it, again too. Totara's id of what was made, where ending it needs one; NOT_OURS if it was there.

        Raises Refused when Totara does not give it.
        """
        if item.kind is Kind.COURSE:
            self._totara.ensure_enrolment(user_id, item.id, ends=int(until.timestamp()) if until else 0)
            return None
        if item.kind is Kind.AUDIENCE:
            self._join(user_id, item)
            return None
        return self._assign(user_id, item, held)

    def end(self, user_id: int, item: Item, held: Held) -> None:
        """End it. Of a course, the enrolment is suspended and keeps its record. What is not ours stays.

        Raises NotFound where the thing itself is gone from Totara, Refused when it can't be ended from here.
        """
        if held.reference == NOT_OURS:
            return
        if item.kind is Kind.COURSE:
            self._end_enrolment(user_id, item, held)
        elif item.kind is Kind.AUDIENCE:
            self._leave(user_id, item)
        elif held.reference is None:
            raise Refused(f"{item}: Totara does not tell by which assignment user {user_id} has it: take it off there")
        else:
            self._totara.web_service("totara_program_assignment_delete", assignment_id=held.reference)

    def completed(self, user_id: int, item: Item) -> bool | None:
        """Whether it has been completed; None when that can't be told, as of everything but courses."""
        return self._totara.completed(user_id, item.id) if item.kind is Kind.COURSE else None

    # --- courses ---------------------------------------------------------------------------------------------------

    def _end_enrolment(self, user_id: int, item: Item, held: Held) -> None:
        ends = int(held.until.timestamp()) if held.until else 0
        try:
            self._totara.ensure_enrolment(user_id, item.id, suspended=True, ends=ends)
        except Refused as err:
            # An unknown course is "invalidparameter"; one that is only hidden from the service account is not.
            if err.code == "invalidparameter" and not self._totara.find_courses([item.id]):
                raise NotFound(f"{item} is not in Totara any more") from err
            raise

    # --- audiences -------------------------------------------------------------------------------------------------

    def _is_member(self, user_id: int, audience_id: int) -> bool:
        if self._totara.has("core_cohort_get_cohort_members"):
            rows = self._totara.web_service("core_cohort_get_cohort_members", cohortids=[audience_id])
            return any(user_id in (row.get("userids") or ()) for row in rows)
        body = self._totara.graphql(
            "core_cohort_is_user_member",
            "query($u: core_user_user_reference!, $c: core_cohort_cohort_reference!) "
            "{ core_cohort_is_user_member(user: $u, cohort: $c) { user_is_member } }",
            {"u": {"id": user_id}, "c": {"id": audience_id}},
        )
        return bool(_told(body, "user_is_member"))

    def _seen_in(self, user_id: int, audience_id: int) -> bool:
        """The same, and of an audience that is gone, or can't be seen, nobody is a member."""
        try:
            return self._is_member(user_id, audience_id)
        except Refused:
            return False

    def _join(self, user_id: int, item: Item) -> None:
        if self._totara.has("core_cohort_add_cohort_members"):
            member = {"cohorttype": {"type": "id", "value": item.id}, "usertype": {"type": "id", "value": user_id}}
            body = self._totara.web_service("core_cohort_add_cohort_members", members=[member])
            codes = {str(warning.get("warningcode")) for warning in _told(body, "warnings")}
            if _UNKNOWN in codes:
                raise Refused(f"{item} is not in Totara, or is not for the service account to see")
            if codes - {_ALREADY}:
                raise Refused(f"Totara did not put user {user_id} into {item}")
        else:
            self._group("core_cohort_add_cohort_member", user_id, item)

    def _leave(self, user_id: int, item: Item) -> None:
        if self._totara.has("core_cohort_delete_cohort_members"):
            member = {"cohortid": item.id, "userid": user_id}
            self._totara.web_service("core_cohort_delete_cohort_members", members=[member])
        else:
            self._group("core_cohort_remove_cohort_member", user_id, item)

    def _group(self, operation: str, user_id: int, item: Item) -> None:
        document = (
            "mutation($u: core_user_user_reference!, $c: core_cohort_cohort_reference!) "
            f"{{ {operation}(user: $u, cohort: $c) {{ success }} }}"
        )
        body = self._totara.graphql(operation, document, {"u": {"id": user_id}, "c": {"id": item.id}})
        if not _told(body, "success"):
            raise Refused(f"Totara did not do {operation} for user {user_id} and {item}")

    # --- programs and certifications -------------------------------------------------------------------------------

    def _assign(self, user_id: int, item: Item, held: Held | None) -> int | None:
        """A number of 0 says that the user is assigned already: by ourselves, if we were cut off, or by others."""
        given = _given(held)
        if given and held is not None and held.reference:
            return held.reference
        body = self._totara.web_service(
            "totara_program_assignment_create", programid=item.id, typeid=INDIVIDUAL, items=[user_id]
        )
        rows = _told(body, "items")
        if not rows:
            raise Refused(f"Totara did not assign user {user_id} to {item}")
        number = int(_told(rows[0], "id"))
        return number or (None if given else NOT_OURS)


def _given(held: Held | None) -> bool:
    """Whether we gave it, or may have, and have not ended it since."""
    return held is not None and held.state is State.ACTIVE and held.reference != NOT_OURS


def audiences_there(totara: TotaraClient, ids: Collection[int]) -> set[int]:
    """Those of the audiences that Totara has. Raises Refused where that can't be told."""
    found = set()
    for number in sorted(ids):
        try:
            totara.web_service("core_cohort_get_cohort_members", cohortids=[number])
            found.add(number)
        except NotFound:
            continue
    return found


def static_audiences(totara: TotaraClient) -> set[int] | None:
    """The static audiences of the site; None where they can't be told from dynamic ones, as on 17."""
    document = (
        "query($q: core_cohort_static_cohorts_query) { core_cohort_static_cohorts(query: $q) "
        "{ next_cursor items { id } } }"
    )
    found: set[int] = set()
    cursor = ""
    for _ in range(1_000):
        pagination: Mapping[str, Any] = {"cursor": cursor} if cursor else {"limit": PAGE}
        query = {"pagination": pagination, "sort": [{"column": "id", "direction": "ASC"}]}
        try:
            page = totara.graphql("core_cohort_static_cohorts", document, {"q": query})
        except Refused:
            return None
        found |= {int(row["id"]) for row in _told(page, "items")}
        cursor = str(page.get("next_cursor") or "")
        if not cursor:
            break
    return found


def _told(body: Any, name: str) -> Any:
    if not isinstance(body, Mapping) or name not in body:
        raise Unsupported(f"Totara left {name} out of its answer", code="missingfield")
    return body[name]
