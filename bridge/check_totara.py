"""What `bridge check` looks at in Totara: the service account's rights, the tenant, and the courses on sale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select

from bridge import rights
from bridge.domain import rights as named
from bridge.domain.catalogue import Rules
from bridge.domain.enrolments import State
from bridge.domain.lms import Category, Course, Tree
from bridge.domain.offers import Kind
from bridge.errors import Refused
from bridge.findings import Finding, some
from bridge.store.models import access, products
from bridge.wiring import Bridge

CATEGORIES = 50  # so many at most are counted through for hidden courses


def connection(bridge: Bridge) -> Iterator[Finding]:
    """By which ways Totara answers."""
    try:
        can = bridge.totara.capabilities(again=True)
    except Refused as err:
        mend = f"{rights.ROLE}: {named.USE_REST}; and core_webservice_get_site_info must be in the web service"
        yield Finding("problem", "totara", str(err), mend)
        return
    ways = [name for name, there in (("GraphQL API", can.graphql), ("web services", can.web_services)) if there]
    yield Finding("ok", "totara", f"answers by {' and '.join(ways) or 'nothing'}")
    yield Finding("ok", "totara", f"shows {len(bridge.totara.tree())} course categories")


def capabilities(bridge: Bridge) -> Iterator[Finding]:
    """Every right, tried."""
    seen, short = _readable(bridge)
    known = rights.used(bridge.store, bridge.offers)
    if not known.courses:  # nothing is sold yet: what could be does as well
        known = replace(known, courses=[course.id for course in seen if not course.sellable][:3])
    for right in rights.probe(bridge.totara, known):
        level = {True: "ok", False: "problem", None: "note"}[right.there]
        said = f"{right.name}: {right.said}" if "/" in right.name else right.said
        yield Finding(level, "rights", said, right.mend if right.there is False else "")
    yield from _seeing(bridge, seen, short)


def _readable(bridge: Bridge) -> tuple[list[Course], list[int]]:
    """The courses in the categories that rules allow, and those of the categories that do not show all of theirs."""
    if not bridge.totara.has("core_course_get_courses_by_field"):
        return [], []
    tree = bridge.totara.tree()
    wanted = Rules(bridge.settings.catalogue.allow, bridge.settings.catalogue.deny)
    seen: list[Course] = []
    short: list[int] = []
    for category in [one for one in tree if one.courses and wanted.may_read(one.id, tree)][:CATEGORIES]:
        courses = bridge.totara.courses_in(category.id)
        seen += courses
        short += [category.id] if len(courses) < category.courses else []
    return seen, short


def _seeing(bridge: Bridge, seen: list[Course], short: list[int]) -> Iterator[Finding]:
    """Whether hidden courses, and what rules ask for, are shown. A category's count counts the hidden ones too."""
    if not seen and not short:
        yield Finding("note", "rights", f"{named.VIEW_COURSES}: can't be told, since rules allow no courses yet")
        return
    yield from _updating(bridge, seen)
    if short:
        said = f"not all courses of the categories {some(short)} are shown: hidden ones look deleted"
        yield Finding("problem", "rights", f"{named.VIEW_HIDDEN}: {said}", rights.ROLE)
    else:
        yield Finding("ok", "rights", f"{named.VIEW_HIDDEN}: all courses are shown where rules allow any")


def _updating(bridge: Bridge, seen: list[Course]) -> Iterator[Finding]:
    if not seen:
        yield Finding("problem", "rights", f"{named.VIEW_COURSES}: no course is shown", rights.ROLE)
    elif any(course.idnumber is None for course in seen):
        config = bridge.settings.catalogue
        asked = any(rule.idnumber for rule in (*config.allow, *config.deny, *config.prices))
        needed = asked or config.visibility == "audience" or any(course.visible is None for course in seen)
        said = f"{named.UPDATE_COURSES}: courses' ID numbers are not shown, nor their audience visibility"
        more = "" if needed else ". No rule asks for them"
        yield Finding("problem" if needed else "note", "rights", said + more, rights.ROLE if needed else "")
    else:
        yield Finding("ok", "rights", f"{named.UPDATE_COURSES}: courses' ID numbers are shown")


# --- the tenant ------------------------------------------------------------------------------------------------


def tenant(bridge: Bridge) -> Iterator[Finding]:
    """Whether the tenant is there, and whether its members can enter what is sold."""
    name = bridge.settings.totara.tenant
    if not name:
        said = "none is configured: customers become users of the whole site, and see what site users see"
        yield Finding("note", "tenant", said, "set totara.tenant if the site has tenants")
        return
    there = bridge.totara.tenant_exists()
    if there is None:
        said = f"whether {name} exists can't be told: it needs the API client and core_webservice_get_site_info"
        yield Finding("note", "tenant", said)
    elif there:
        yield Finding("ok", "tenant", f"{name} exists")
    else:
        yield Finding("problem", "tenant", f"{name} does not exist", "see totara.tenant; Totara: Users > Tenants")
        return
    yield from _reach(bridge, name)


def _reach(bridge: Bridge, name: str) -> Iterator[Finding]:
    """Totara tells neither whose a tenant's category is, nor whether tenants are isolated. What learners could enter
    so far tells both."""
    known = rights.used(bridge.store, bridge.offers)
    tree = bridge.totara.tree()
    homes = {
        course.id: tree.tenant_home(course.category_id) for course in bridge.totara.find_courses(known.courses).values()
    }
    entered = _entered(bridge)
    shut = sorted(course for course, seen in entered.items() if seen is None and course in homes)
    if shut:
        said = f"learners were enrolled in the courses {some(shut)} and can't enter them"
        mend = f"move them to {name}'s category, or end the isolation of tenants; see `bridge parked list` too"
        yield Finding("problem", "tenant", said, mend)
    open_homes = {home.id if home else 0 for course, home in homes.items() if entered.get(course) is not None}
    yield from _foreign(name, homes, open_homes)
    yield from _common(name, homes, open_homes)


def _entered(bridge: Bridge) -> dict[int, datetime | None]:
    """The courses that learners were given: when one was last seen to be able to enter, None for not yet."""
    query = (
        select(access.c.item_id, func.max(access.c.verified_at))
        .where(access.c.kind == Kind.COURSE, access.c.state == State.ACTIVE)
        .where(access.c.verified_at.is_not(None) | access.c.trouble.is_not(None))
        .group_by(access.c.item_id)
    )
    with bridge.store.read() as connection:
        return {int(course): seen for course, seen in connection.execute(query)}


def _foreign(name: str, homes: Mapping[int, Category | None], entered: set[int]) -> Iterator[Finding]:
    """Courses in the categories of several tenants, of which one at most is ours."""
    of: dict[int, list[int]] = {}
    for course, home in sorted(homes.items()):
        if home is not None:
            of.setdefault(home.id, []).append(course)
    ours = entered & of.keys()
    if len(of) == 1 and not ours:
        said = f"the courses {some(next(iter(of.values())))} are in a tenant's category ({next(iter(of))})"
        yield Finding("note", "tenant", f"{said}; whether it is {name}'s can't be told before a learner enters one")
    elif len(of) > 1:
        for place, courses in of.items():
            if place not in ours:
                whose = "another tenant's category" if ours else "the categories of several tenants, one of them"
                said = f"the courses {some(courses)} are in {whose} ({place}): members of {name} can't enter both"
                mend = f"move them to {name}'s category, or deny category {place} in [catalogue]"
                yield Finding("problem", "tenant", said, mend)


def _common(name: str, homes: Mapping[int, Category | None], entered: set[int]) -> Iterator[Finding]:
    """Courses of the site itself, which members can enter unless tenants are isolated."""
    common = sorted(course for course, home in homes.items() if home is None)
    if not common:
        return
    if 0 in entered:
        yield Finding("ok", "tenant", "learners enter courses that are no tenant's: tenants are not isolated")
        return
    said = f"the courses {some(common)} are no tenant's: if tenants are isolated, members of {name} can't enter them"
    mend = "Totara does not tell: see isolation under Users > Tenants, or buy one of them"
    yield Finding("note", "tenant", said, mend)


# --- rules and courses -----------------------------------------------------------------------------------------


def rules(bridge: Bridge) -> Iterator[Finding]:
    """Whether the rules name categories that are there."""
    wanted = Rules(bridge.settings.catalogue.allow, bridge.settings.catalogue.deny)
    for name in wanted.unknown_categories(bridge.totara.tree()):
        said = f"a rule names the category {name!r}, which Totara does not show"
        yield Finding("problem", "rules", said, "give the category's id or name in [catalogue]")


def sold(bridge: Bridge) -> Iterator[Finding]:
    """Whether every course that is on sale can be given."""
    with bridge.store.read() as connection:
        query = select(products.c.course_id).where(products.c.retired.is_(False)).order_by(products.c.course_id)
        ids = [course for (course,) in connection.execute(query)]
    if not ids:
        mend = "run `bridge catalogue plan`, then `bridge catalogue apply`"
        if not bridge.settings.catalogue.allow:
            mend = f"set [[catalogue.allow]] rules, then {mend}"
        yield Finding("note", "courses on sale", "none yet", mend)
        return
    tree = bridge.totara.tree()
    good, blind = 0, False
    for start in range(0, len(ids), 100):
        part = ids[start : start + 100]
        found = bridge.totara.find_courses(part)
        for course_id in part:
            said, mend = not_given(bridge, course_id, found.get(course_id), tree)
            blind = blind or (course_id in found and found[course_id].visible is None)
            good += not said
            if said:
                yield Finding("problem", "courses on sale", said, mend)
    if blind:
        said = "whether a course is hidden can't be read, and hidden ones may be sold"
        mend = f"give the service account {named.UPDATE_COURSES}, or take {named.VIEW_HIDDEN} from it"
        yield Finding("problem", "courses on sale", said, mend)
    yield Finding(
        "ok" if good == len(ids) else "note", "courses on sale", f"{good} of {len(ids)} are selected by rules"
    )


def not_given(bridge: Bridge, course_id: int, course: Course | None, tree: Tree) -> tuple[str, str]:
    """Why a course can't be given, and what to do; two empty texts if it can."""
    if course is None:
        said = f"course {course_id} is not in Totara, or is hidden and not shown to the service account"
        return said, f"run `bridge catalogue apply`; or give the role {named.VIEW_COURSES} and {named.VIEW_HIDDEN}"
    verdict = Rules(bridge.settings.catalogue.allow, bridge.settings.catalogue.deny).judge(
        bridge.jobs.learners.as_judged(course), tree
    )
    if verdict.selected:
        return "", ""
    return f"course {course_id} is on sale but {verdict.reason}", "run `bridge catalogue apply`, or mend the course"
