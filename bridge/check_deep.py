"""What `bridge check --deep` tries: an account made for nothing else enters every course that is sold, and leaves it.

Totara tells neither whose a tenant's category is, nor whether tenants are isolated, and takes every enrolment without
a word. Only an account in the academy's tenant that is enrolled, and looked at, tells what a learner will be able to
enter. That account, the canary, is made once and used again; its enrolments are suspended at the end, and would run
out by themselves within the hour should we be cut off. No learner's account is touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta

from bridge import rights
from bridge.check_totara import not_given
from bridge.domain.identity import new_key, normal_email
from bridge.domain.lms import Category, NewAccount
from bridge.errors import Refused, Unavailable
from bridge.findings import Finding, some
from bridge.store import audit, ledger
from bridge.wiring import Bridge

WHAT = "canary"
NOTE = "canary"  # the note that holds the key of its username
LASTS = timedelta(hours=1)
_CHOOSE = "choose an address of your own that no Totara account has, by totara.canary_address or --canary"


def deep(bridge: Bridge, address: str) -> Iterator[Finding]:
    """Every sold course, entered by the canary, in words. Raises BridgeError when that can't even begin."""
    if not address:
        yield Finding("problem", WHAT, "has no address to be made with", _CHOOSE)
        return
    if bridge.settings.totara.tenant and bridge.totara.tenant_exists() is False:
        yield Finding("problem", WHAT, "is not made, since the tenant is not there", "see totara.tenant")
        return
    user = _canary(bridge, normal_email(address))
    tenant = bridge.settings.totara.tenant
    whose = f"a member of {tenant}" if tenant else "a user of the whole site, as customers are: no tenant is configured"
    yield Finding("ok", WHAT, f"is Totara user {user}, {whose}")
    courses = _sold(bridge)
    if not courses:
        yield Finding("note", WHAT, "found no course on sale to enter")
        return
    entered, refused, stuck = _tried(bridge, user, courses)
    yield from _courses_told(bridge, user, courses, entered, refused)
    for course, why in stuck.items():
        said = f"is still enrolled in course {course}, until {LASTS} after the check: {why}"
        yield Finding("problem", WHAT, said, f"suspend Totara user {user} there by hand")
    if tenant:
        yield from _isolation(tenant, _homes(bridge, courses), entered, set(courses) - set(refused))


# --- the account -----------------------------------------------------------------------------------------------------


def _canary(bridge: Bridge, address: str) -> int:
    """The canary's Totara user; made if it is not there. Raises Refused if the address is somebody's.

    Its username holds a key that nobody can guess, written down before the account is made, as with learners.
    """
    username = bridge.settings.totara.username_prefix + "canary-" + _key(bridge)
    account = bridge.totara.find_account_by_username(username)
    if account is not None:
        return account.id
    if found := bridge.totara.find_accounts(address):
        raise Refused(f"the canary's address is that of Totara user {found[0].id}, which was left alone: {_CHOOSE}")
    user = bridge.totara.create_account(NewAccount(username, address, "Canary", "(the bridge's check, nobody)"))
    with bridge.store.begin() as connection:
        audit.note(connection, "canary made", "bridge check --deep", bridge.now(), facts={"user": user})
    return user


def _key(bridge: Bridge) -> str:
    with bridge.store.begin() as connection:
        if (note := ledger.read_note(connection, NOTE)) is None:
            ledger.write_note(bridge.store, connection, NOTE, new_key(), bridge.now())
            note = ledger.read_note(connection, NOTE)
        return str(note[0]) if note else ""


# --- the courses -----------------------------------------------------------------------------------------------------


def _sold(bridge: Bridge) -> list[int]:
    """The courses on sale that rules select now; of the others the check tells anyway, and nobody is put into them."""
    ids = sorted(rights.used(bridge.store, bridge.offers).courses)
    tree = bridge.totara.tree()
    found = bridge.totara.find_courses(ids)
    return [course for course in ids if not not_given(bridge, course, found.get(course), tree)[0]]


def _tried(
    bridge: Bridge, user: int, courses: Collection[int]
) -> tuple[set[int], Mapping[int, str], Mapping[int, str]]:
    """What the canary could enter; what it was refused, and what it could not leave, each with the reason."""
    ends = int((bridge.now() + LASTS).timestamp())
    refused: dict[int, str] = {}
    stuck: dict[int, str] = {}
    begun: list[int] = []
    entered: set[int] = set()
    try:
        for course in courses:
            begun.append(course)  # before the answer, which may get lost
            try:
                bridge.totara.ensure_enrolment(user, course, ends=ends)
            except Refused as err:
                refused[course] = str(err)
        entered = bridge.totara.reachable_courses(user, set(courses) - set(refused))
    finally:
        for course in begun:
            if course not in refused and (why := _left(bridge, user, course, ends)):
                stuck[course] = why
    return entered, refused, stuck


def _left(bridge: Bridge, user: int, course: int, ends: int) -> str:
    """Suspend the canary's enrolment; why that did not go."""
    try:
        bridge.totara.ensure_enrolment(user, course, suspended=True, ends=ends)
    except (Refused, Unavailable) as err:
        return str(err)
    return ""


def _courses_told(
    bridge: Bridge, user: int, courses: Collection[int], entered: set[int], refused: Mapping[int, str]
) -> Iterator[Finding]:
    for course, why in refused.items():
        yield Finding("problem", WHAT, f"can't be enrolled in course {course}: {why}", "see `bridge check`, rights")
    shut = sorted(set(courses) - entered - set(refused))
    if shut:
        why = rights.why_unseen(bridge.store, bridge.totara, user) if not entered else "hidden, or another tenant's"
        said = f"was enrolled in the courses {some(shut)} and can't enter them: {why}"
        yield Finding("problem", WHAT, said, "show them, move them to the tenant's category, or take them off sale")
    if entered:
        only = "" if bridge.totara.has("core_enrol_get_users_courses") else "; without a web service no more is told"
        said = f"entered {len(entered)} of {len(courses)} courses on sale, and left them again{only}"
        yield Finding("ok" if len(entered) == len(courses) else "note", WHAT, said)


# --- isolation -------------------------------------------------------------------------------------------------------


def _homes(bridge: Bridge, courses: Collection[int]) -> dict[int, Category | None]:
    tree = bridge.totara.tree()
    return {one.id: tree.tenant_home(one.category_id) for one in bridge.totara.find_courses(courses).values()}


def _isolation(
    tenant: str, homes: Mapping[int, Category | None], entered: set[int], tried: set[int]
) -> Iterator[Finding]:
    """Whether tenants are isolated, told by which courses a member could enter."""
    common = {course for course, home in homes.items() if home is None} & tried
    own = {course for course, home in homes.items() if home is not None} & entered
    if common & entered:
        yield Finding("ok", "tenant", f"members of {tenant} enter courses that are no tenant's: no isolation")
    elif common and own:
        said = f"tenants are isolated: members of {tenant} enter courses of its own category only"
        yield Finding("note", "tenant", said, f"sell only courses in the category of {tenant}")
    else:
        said = f"whether tenants are isolated can't be told by what is on sale: all of it is in {tenant}'s category"
        yield Finding("note", "tenant", said if own else "whether tenants are isolated can't be told")
