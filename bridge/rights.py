"""Trying the service account's rights in Totara, without changing anything there.

Each right is tried by a call that can't do anything, since what it asks for is not there or is so already, and that
Totara refuses in one way for want of the right and in another for the thing itself. Every probe was measured on a
running Totara 17.3 with and without its right.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import select

from bridge.domain import rights as named
from bridge.domain.enrolments import State
from bridge.domain.lms import NewAccount
from bridge.domain.offers import Item, Kind, Offers
from bridge.errors import NotFound, Refused
from bridge.store.db import Store
from bridge.store.models import access, accounts, products
from bridge.totara_client import FIRST_ACCOUNTS, LOOK_AT_ACCOUNT, NEEDS, TotaraClient

NOBODY = 999_999_999  # the id of no user
ROLE = "give it to the service account's role (Totara: Users > Permissions > Define roles), at system level"
ALLOW_ROLE = f"{ROLE}, and let the role assign Learner (Define roles > Allow role assignments)"
WITNESSES = 5
COMPLETION = "core_completion_get_course_completion_status"


@dataclass(frozen=True, slots=True)
class Right:
    """What a probe found. ``there`` is None where it can't be told. ``marks`` is what reasons say for want of it."""

    name: str
    there: bool | None
    said: str = ""
    mend: str = ROLE
    marks: str = ""

    @property
    def mark(self) -> str:
        """By which a parked reason shows that this right was missing."""
        return self.marks or self.name


@dataclass(frozen=True)
class Used:
    """What the probes are made with: things that are sold, and learners who were seen in their courses."""

    courses: Collection[int] = ()
    witnesses: Mapping[int, Collection[int]] = field(default_factory=dict)  # Totara user -> courses
    items: Collection[Item] = ()

    def of(self, *kinds: Kind) -> list[int]:
        """The ids of the items of these kinds, in order."""
        return sorted(item.id for item in self.items if item.kind in kinds)


_SOLD = select(products.c.course_id).where(products.c.retired.is_(False)).order_by(products.c.course_id)
_WITNESSES = (
    select(accounts.c.totara_id, access.c.item_id)
    .join(access, access.c.person_id == accounts.c.person_id)
    .where(access.c.kind == Kind.COURSE, access.c.state == State.ACTIVE, access.c.verified_at.is_not(None))
    .order_by(access.c.verified_at.desc())
    .limit(WITNESSES)
)


def used(store: Store, offers: Offers) -> Used:
    """What is sold by now, by the catalogue and by the operator's offers, and who was last seen to have access."""
    with store.read() as connection:
        sold = [course for (course,) in connection.execute(_SOLD)]
        seen = list(connection.execute(_WITNESSES))
    witnesses: dict[int, set[int]] = {}
    for user, course in seen:
        witnesses.setdefault(int(user), set()).add(int(course))
    named_here = {item.id for one in offers for item in one.offer.items if item.kind is Kind.COURSE}
    return Used(sorted({*sold, *named_here, *(c for cs in witnesses.values() for c in cs)}), witnesses, offers.sellable)


def why_unseen(store: Store, totara: TotaraClient, user_id: int) -> str:
    """Why a learner whom Totara has just enrolled is not seen in the course, as far as that can be told.

    Totara shows nobody's courses either to whom it shows no accounts (measured on 17.3).
    """
    if not _first_accounts_seen(totara):
        return f"Totara shows no learner's courses: the service account lacks {named.VIEW_USERS}"
    known = used(store, Offers({}, {}))
    others = {user: courses for user, courses in known.witnesses.items() if user != user_id}
    there = _participants(totara, Used(witnesses=others)).there
    if there is False:
        return f"Totara shows no learner's courses: the service account lacks {named.VIEW_PARTICIPANTS}"
    doubt = "" if there else f", or does the service account lack {named.VIEW_PARTICIPANTS}"
    return (
        f"Totara user {user_id} is enrolled but can't enter: is the course hidden, or in another tenant than the "
        f"learner{doubt}?"
    )


# --- the probes ----------------------------------------------------------------------------------------------------

Probe = Callable[[TotaraClient, Used], Iterable[Right]]


def probe(totara: TotaraClient, known: Used) -> list[Right]:
    """Every right that an order needs, tried. Raises Unavailable when Totara does not answer."""
    looks: dict[Probe, tuple[str, ...]] = {
        _functions: (),
        _accounts: (named.VIEW_USERS, named.VIEW_IDENTITY),
        _making: (named.CREATE_USERS,),
        _enrolling: (named.VIEW_COURSES, named.ENROL, named.ASSIGN_ROLE),
        _entering: (named.VIEW_PARTICIPANTS,),
        _completion: (named.VIEW_COMPLETION,),
        _certificates: (named.VIEW_CERTIFICATES,),
        _audiences: (named.VIEW_AUDIENCES, named.ASSIGN_AUDIENCES),
        _programs: (named.ASSIGN_PROGRAMS,),
        _insight: (named.LOOK_AT_ACCOUNTS,),
    }
    found: list[Right] = []
    for look, names in looks.items():
        try:
            found.extend(look(totara, known))
        except Refused as err:  # a function that it needs is not there: that is told by itself
            found += [Right(name, None, f"can't be told: {err}") for name in names]
    return found


def _code(call: Callable[[], object]) -> str:
    """The code with which Totara refuses a call; "" when it does not."""
    try:
        call()
    except Refused as err:
        return err.code or "refused"
    return ""


def _functions(totara: TotaraClient, known: Used) -> Iterator[Right]:
    can = totara.capabilities()
    for purpose, names in NEEDS.items():
        there = next((name for name in names if can.can(name)), "")
        said = f"can {purpose} ({there})" if there else f"can't {purpose} on this site"
        mend = f"allow {names[0]} in the web service of totara.ws_token"
        yield Right(names[0], bool(there), said, mend, marks=f"refused {names[0]}: the function is not in")
    for name in sorted(_functions_for(known.items)):
        if not can.can(name) and not can.can(_GRAPHQL_WAY.get(name, name)):
            said = f"{name} is not allowed, which what is sold needs"
            mend = f"allow {name} in the web service of totara.ws_token"
            yield Right(name, False, said, mend, marks=f"refused {name}: the function is not in")


#: The GraphQL operation of later versions that does the same.
_GRAPHQL_WAY = {
    "core_cohort_add_cohort_members": "core_cohort_add_cohort_member",
    "core_cohort_delete_cohort_members": "core_cohort_remove_cohort_member",
    "core_cohort_get_cohort_members": "core_cohort_is_user_member",
}


def _functions_for(items: Collection[Item]) -> set[str]:
    kinds = {item.kind for item in items}
    names = set(_GRAPHQL_WAY) if Kind.AUDIENCE in kinds else set()
    if kinds & {Kind.PROGRAM, Kind.CERTIFICATION}:
        names |= {"totara_program_assignment_create", "totara_program_assignment_delete"}
    return names


def _accounts(totara: TotaraClient, known: Used) -> Iterator[Right]:
    """The first accounts of the site are shown, or not; the guest's with its address, or not."""
    seen = _first_accounts_seen(totara)
    if not seen:
        yield Right(named.VIEW_USERS, False, "accounts are not shown: no learner's account can be recognised")
        yield Right(named.VIEW_IDENTITY, None, f"can't be told without {named.VIEW_USERS}")
        return
    yield Right(named.VIEW_USERS, True, "accounts are shown")
    # The first administrator's address is shown to everybody.
    shown = bool(seen[FIRST_ACCOUNTS[0]]) if FIRST_ACCOUNTS[0] in seen else None
    said = {
        True: "e-mail addresses are shown",
        False: "e-mail addresses are not shown: nobody can tell whose an account is",
    }
    unknown = "can't be told: the site's guest account is not shown"
    yield Right(named.VIEW_IDENTITY, shown, unknown if shown is None else said[shown])


def _first_accounts_seen(totara: TotaraClient) -> dict[int, str | None]:
    """Those of the first accounts that are shown, with their addresses."""
    rows = {int(row["id"]): row.get("email") for row in _first_accounts(totara)}
    return {number: email for number, email in rows.items() if number in FIRST_ACCOUNTS}


def _first_accounts(totara: TotaraClient) -> list[dict[str, Any]]:
    if totara.has("core_user_get_users_by_field"):
        rows: Any = totara.web_service("core_user_get_users_by_field", field="id", values=list(FIRST_ACCOUNTS))
        return list(rows or ())
    document = "query($q: core_user_users_query) { core_user_users(query: $q) { items { id email } } }"
    query = {"pagination": {"limit": 3}, "sort": [{"column": "id", "direction": "ASC"}]}
    try:
        body = totara.graphql("core_user_users", document, {"q": query})
    except Refused:
        return []
    return list((body or {}).get("items") or ())


def _making(totara: TotaraClient, known: Used) -> Iterator[Right]:
    """An account under a name that is taken can't be made; whether we may is looked at before the name is."""
    taken = totara.own_username()
    if not taken:
        yield Right(named.CREATE_USERS, None, "can't be told without a web service")
        return
    try:
        totara.create_account(NewAccount(taken, "nobody@invalid.invalid", "Nobody", "Nobody"))
    except Refused as err:
        code, why = err.code, str(err)
    else:  # it was not taken after all: that can't be
        code, why = "made", ""
    if code == "nopermissions":
        yield Right(named.CREATE_USERS, False, f"accounts can't be made: {why}", _IN_TENANT if totara.tenant else ROLE)
    elif code in ("duplicateusername", "duplicateemail") or (code == "invalidparameter" and not totara.tenant):
        yield Right(named.CREATE_USERS, True, "accounts can be made")
    elif code != "badtenant":  # which is told by itself
        yield Right(named.CREATE_USERS, None, f"can't be told: {why or code}")


_IN_TENANT = f"{ROLE}; and tenants must be switched on (Totara: Configure features)"


def _enrolling(totara: TotaraClient, known: Used) -> Iterator[Right]:
    """Nobody is enrolled: the rights are looked at before the user is."""
    code, course = "nocourse", 0
    for course in list(known.courses)[:3] if totara.has("enrol_manual_enrol_users") else ():
        code = _code(partial(totara.ensure_enrolment, NOBODY, course, suspended=True, ends=1))
        if code not in ("invalidparameter", "requireloginerror"):
            break
    if code == "requireloginerror":
        said = f"the service account may not enter course {course}, nor enrol anybody in it"
        yield Right(named.VIEW_COURSES, False, said, f"{ROLE}; for a hidden course {named.VIEW_HIDDEN} too")
        return
    if code in ("nopermissions", "wsusercannotassign", "codingerror", "wsnoinstance"):  # all of them from inside
        yield Right(named.VIEW_COURSES, True, "courses that are sold can be entered")
    may_enrol = {"nopermissions": False, "wsusercannotassign": True, "codingerror": True, "wsnoinstance": True}.get(
        code
    )
    may_assign = {"wsusercannotassign": False, "codingerror": True, "wsnoinstance": True}.get(code)
    untold = "can't be told before a course is on sale" if code == "nocourse" else f"can't be told: {code}"
    yield Right(named.ENROL, may_enrol, _words("learners can be enrolled", may_enrol, untold))
    yield Right(
        named.ASSIGN_ROLE, may_assign, _words("the learner role can be assigned", may_assign, untold), ALLOW_ROLE
    )


def _words(what: str, there: bool | None, untold: str) -> str:
    if there is None:
        return untold
    return what if there else what.replace(" can be ", " can't be ").replace(" is ", " is not ")


def _entering(totara: TotaraClient, known: Used) -> Iterator[Right]:
    if _first_accounts_seen(totara):
        yield _participants(totara, known)
    else:
        yield Right(named.VIEW_PARTICIPANTS, None, f"can't be told without {named.VIEW_USERS}")


def _participants(totara: TotaraClient, known: Used) -> Right:
    """A learner who was seen in a course is seen again, or another one is."""
    what = "which courses a learner can enter is shown"
    untold = "can't be told before a learner is seen in a course"
    if not totara.has("core_enrol_get_users_courses") or not known.witnesses:
        return Right(named.VIEW_PARTICIPANTS, None, untold)
    enrolled = False
    for user, courses in known.witnesses.items():
        try:
            if totara.reachable_courses(user, courses):
                return Right(named.VIEW_PARTICIPANTS, True, what)
        except NotFound:
            continue  # deleted meanwhile
        enrolled = enrolled or any(_enrolled(totara, user, course) for course in courses)
    if not enrolled:
        return Right(named.VIEW_PARTICIPANTS, None, untold)
    said = "Totara shows no courses of learners who are in them: nobody can tell who can enter"
    return Right(named.VIEW_PARTICIPANTS, False, said)


def _enrolled(totara: TotaraClient, user_id: int, course_id: int) -> bool:
    """Whether somebody is still enrolled, as completion tells, which needs another right."""
    if not totara.has(COMPLETION):
        return False
    code = _code(partial(totara.web_service, COMPLETION, courseid=course_id, userid=user_id))
    return code in ("", "nocriteriaset")  # whoever is not enrolled is told so before the criteria are looked at


def _completion(totara: TotaraClient, known: Used) -> Iterator[Right]:
    """Of somebody else, in a course that is sold: refused for want of the right before anything else is looked at."""
    if not totara.has(COMPLETION):
        return
    code = _completion_code(totara, list(known.courses)[:1])
    told = {"cannotviewreport": False, "nocourse": None, "invalidrecordunknown": None}.get(code, True)
    untold = "can't be told before a course is on sale" if code == "nocourse" else f"can't be told: {code}"
    said = "completion can't be read, and so access can't be ended" if told is False else ""
    yield Right(named.VIEW_COMPLETION, told, said or _words("completion can be read", told, untold))


def _completion_code(totara: TotaraClient, courses: Collection[int]) -> str:
    code = "nocourse"
    for course, user in ((course, user) for course in courses for user in reversed(FIRST_ACCOUNTS)):
        code = _code(partial(totara.web_service, COMPLETION, courseid=course, userid=user))
        if code != "invalidrecordunknown":
            break
    return code


def _certificates(totara: TotaraClient, known: Used) -> Iterator[Right]:
    """A certificate is seen in a course on sale, or nobody can tell why not: most courses have none. Access does not
    need it, so that nothing is missing without.
    """
    if not totara.has("core_course_get_contents"):
        said = "learners are shown no certificates: allow core_course_get_contents in the web service for that"
        yield Right(named.VIEW_CERTIFICATES, None, said)
        return
    for course in list(known.courses)[:3]:
        try:
            if totara.certificate(course):
                yield Right(named.VIEW_CERTIFICATES, True, "certificates of courses that are sold are seen")
                return
        except Refused:
            continue
    said = "no certificate is seen in the courses that were tried: if they have one, the role lacks this"
    yield Right(named.VIEW_CERTIFICATES, None, f"{said}, or {named.VIEW_HIDDEN_ACTIVITIES}")


# --- what is good to have --------------------------------------------------------------------------------------------


def _insight(totara: TotaraClient, known: Used) -> Iterator[Right]:
    """Of nobody: refused for want of the right before the account is looked for. Orders do without it."""
    name = named.LOOK_AT_ACCOUNTS
    asked = "an operator will be asked about each account that is there already"
    if not totara.has(LOOK_AT_ACCOUNT):
        said = f"{LOOK_AT_ACCOUNT} is not in the web service, of the bridge's plugin in Totara: {asked}"
        yield Right(name, None, said)
        return
    code = _code(partial(totara.web_service, LOOK_AT_ACCOUNT, userid=NOBODY))
    said = f"Totara does not tell what kind of account somebody has: {asked}. To change that, {ROLE}"
    if code == "invalidrecordunknown":
        yield Right(name, True, "what kind of account somebody has is told")
    else:
        yield Right(name, None, said if code == "nopermissions" else f"can't be told: {code}")


# --- what only some shops sell -------------------------------------------------------------------------------------


def _audiences(totara: TotaraClient, known: Used) -> Iterator[Right]:
    ids = known.of(Kind.AUDIENCE)
    if not ids:
        return
    if totara.has("core_cohort_get_cohort_members"):
        code = _code(lambda: totara.web_service("core_cohort_get_cohort_members", cohortids=ids[:1]))
        there = {"nopermissions": False, "": True}.get(code)
        yield Right(named.VIEW_AUDIENCES, there, _words("audiences can be read", there, f"can't be told: {code}"))
    if totara.has("core_cohort_delete_cohort_members"):
        # The guest is in no audience, so that nobody is taken out of it.
        member = {"cohortid": ids[0], "userid": FIRST_ACCOUNTS[0]}
        code = _code(lambda: totara.web_service("core_cohort_delete_cohort_members", members=[member]))
        there = {"nopermissions": False, "": True}.get(code)
        said = _words("members of audiences can be added and removed", there, f"can't be told: {code}")
        yield Right(named.ASSIGN_AUDIENCES, there, said)


def _programs(totara: TotaraClient, known: Used) -> Iterator[Right]:
    ids = known.of(Kind.PROGRAM, Kind.CERTIFICATION)
    if not ids:
        return
    what = "learners can be assigned to programs"
    if not totara.has("totara_program_assignment_filter"):
        untold = "can't be told without totara_program_assignment_filter in the web service"
        yield Right(named.ASSIGN_PROGRAMS, None, _words(what, None, untold))
        return
    code = _code(lambda: assignments(totara, ids[0]))
    there = {"nopermissions": False, "": True}.get(code)
    yield Right(named.ASSIGN_PROGRAMS, there, _words(what, there, f"can't be told: {code}"))


def assignments(totara: TotaraClient, program_id: int) -> object:
    """Asks for a program's assignments, by a name that none has. Raises NotFound for a program that is not there."""
    asked = {"categories": [5], "recent": 0, "term": "no-such-name-0", "program_id": program_id}
    return totara.web_service("totara_program_assignment_filter", **asked)
