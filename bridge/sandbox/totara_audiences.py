"""The embedded Totara's audiences, programs and certifications: who is in them, and what that opens.

An audience may enrol its members in courses, and does so at once; it may be assigned to programs; and it may be
who sees a course or a program. Being assigned to a program enrols nobody: its learner is enrolled in a course of
it when first opening that course.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge.sandbox.totara_progress import Completions
from bridge.sandbox.totara_things import Course, Enrolment, User

INDIVIDUAL, AUDIENCE = 5, 3  # the kinds of assignment to a program that are imitated


@dataclass
class Audience:
    """An audience. ``tenant``: it is the one of that tenant's participants, which no API may change."""

    id: int
    name: str
    idnumber: str = ""
    description: str = ""
    visible: bool = True
    dynamic: bool = False
    tenant: int | None = None
    timecreated: int = 0
    timemodified: int = 0
    members: set[int] = field(default_factory=set)
    courses: set[int] = field(default_factory=set)  # members are enrolled in these


@dataclass
class Program:
    """A program, or a certification. ``audiencevisible`` is as in a course: 0 the assigned only, 1 they and the
    audiences ``seen_by``, 2 everybody, 3 nobody.
    """

    id: int
    fullname: str
    shortname: str
    idnumber: str = ""
    category: int = 0
    courses: tuple[int, ...] = ()
    certification: bool = False
    visible: bool = True
    audiencevisible: int = 2
    timecreated: int = 0
    timemodified: int = 0
    seen_by: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Assignment:
    """Somebody (kind 5) or an audience (kind 3) is assigned to a program."""

    id: int
    program: int
    kind: int
    item: int


class Audiences(Completions):
    """The part of a Totara that is about audiences and programs."""

    users: dict[int, User]
    enrolments: dict[tuple[int, int], Enrolment]
    other_enrolments: dict[tuple[int, int], Enrolment]

    def __init__(self) -> None:
        super().__init__()
        self.audiences: dict[int, Audience] = {}
        self.programs: dict[int, Program] = {}
        self.assignments: dict[int, Assignment] = {}
        # Rights of the service account, for a test to take away.
        self.may_view_audiences = True  # moodle/cohort:view or :manage
        self.may_assign_audiences = True  # moodle/cohort:assign or :manage
        self.may_manage_audiences = True  # moodle/cohort:manage
        self.may_assign_programs = True  # totara/program:configureassignments
        self._opened: set[tuple[int, int]] = set()  # user, course: opened as one of a program
        self.visited: set[tuple[int, int]] = set()  # user, course: opened in whatever way

    def _next(self, kind: str) -> int:
        raise NotImplementedError

    def enrolled(self, user_id: int, course_id: int, *, only_active: bool) -> bool:
        """Whether somebody is enrolled by any method."""
        raise NotImplementedError

    def tenancy_allows(self, user: User, course: Course) -> bool:
        """The rule of tenants."""
        raise NotImplementedError

    # --- audiences ----------------------------------------------------------------------------------------

    def add_audience(
        self,
        name: str,
        *,
        idnumber: str = "",
        members: Iterable[int] = (),
        courses: Iterable[int] = (),
        description: str = "",
        visible: bool = True,
        dynamic: bool = False,
        tenant: int | None = None,
    ) -> int:
        """An audience whose members are enrolled in these courses. Gives its id."""
        with self.lock:
            one, now = self._next("audience"), self.now()
            held = Audience(one, name, idnumber, description, visible, dynamic, tenant, now, now)
            held.courses |= set(courses)
            self.audiences[one] = held
            for user in members:
                self.add_member(one, user)
            return one

    def add_member(self, audience_id: int, user_id: int) -> None:
        """Somebody is in an audience from now on, and enrolled at once where it enrols."""
        with self.lock:
            self.audiences[audience_id].members.add(user_id)
            self.follow_audiences()

    def remove_member(self, audience_id: int, user_id: int) -> None:
        """Somebody is in an audience no more, and enrolled no more where nothing else enrols."""
        with self.lock:
            self.audiences[audience_id].members.discard(user_id)
            self.follow_audiences()

    def enrol_audience(self, audience_id: int, *course_ids: int) -> None:
        """Enrol an audience in more courses: its members now, and whoever becomes one."""
        with self.lock:
            self.audiences[audience_id].courses |= set(course_ids)
            self.follow_audiences()

    def delete_audience(self, audience_id: int) -> None:
        """An audience goes, and with it what came of it."""
        with self.lock:
            del self.audiences[audience_id]
            gone = [a.id for a in self.assignments.values() if (a.kind, a.item) == (AUDIENCE, audience_id)]
            for one in gone:
                del self.assignments[one]
            self.follow_audiences()

    def members_of(self, audience_id: int) -> set[int]:
        """Who is in an audience; in a tenant's, its members and its participants."""
        held = self.audiences[audience_id]
        theirs = {u.id for u in self.users.values() if held.tenant is not None and u.tenant == held.tenant}
        return {one for one in held.members | theirs if one in self.users and not self.users[one].deleted}

    def follow_audiences(self) -> None:
        """Bring enrolments by audience and by program in line with who is in them now."""
        wanted = {
            (user, course): "cohort"
            for held in self.audiences.values()
            for course in held.courses & self.courses.keys()
            for user in self.members_of(held.id)
        }
        wanted |= {pair: "totara_program" for pair in self._opened if pair not in wanted and self._by_program(*pair)}
        for pair, held in list(self.other_enrolments.items()):
            if held.method in ("cohort", "totara_program") and held.followed and pair not in wanted:
                del self.other_enrolments[pair]
        for (user, course), method in wanted.items():
            if (user, course) not in self.other_enrolments:
                made = Enrolment(method=method, since=self.now(), followed=True)
                self.other_enrolments[user, course] = made

    # --- programs and certifications ----------------------------------------------------------------------

    def add_program(
        self,
        fullname: str,
        *,
        shortname: str,
        courses: Iterable[int] = (),
        idnumber: str = "",
        category: int = 0,
        certification: bool = False,
        visible: bool = True,
        audiencevisible: int = 2,
        seen_by: Iterable[int] = (),
    ) -> int:
        """A program, or a certification, of these courses. Gives its id."""
        with self.lock:
            one, now = self._next("program"), self.now()
            held = Program(one, fullname, shortname, idnumber, category, tuple(courses), certification, visible)
            held.audiencevisible, held.timecreated, held.timemodified = audiencevisible, now, now
            held.seen_by |= set(seen_by)
            self.programs[one] = held
            return one

    def assign(self, program_id: int, *, user: int = 0, audience: int = 0) -> int:
        """Assign somebody or an audience to a program. Gives the assignment's id, 0 if that was so already."""
        with self.lock:
            kind, item = (AUDIENCE, audience) if audience else (INDIVIDUAL, user)
            same = (program_id, kind, item)
            if any((a.program, a.kind, a.item) == same for a in self.assignments.values()):
                return 0
            one = self._next("assignment")
            self.assignments[one] = Assignment(one, *same)
            self.follow_audiences()
            return one

    def unassign(self, assignment_id: int) -> None:
        """Take an assignment back, and the enrolments that came of it."""
        with self.lock:
            del self.assignments[assignment_id]
            self.follow_audiences()

    def program_learners(self, program_id: int) -> set[int]:
        """Who is assigned to a program, alone or by an audience."""
        found: set[int] = set()
        for one in self.assignments.values():
            if one.program == program_id:
                found |= {one.item} if one.kind == INDIVIDUAL else self.members_of(one.item)
        return found

    def _by_program(self, user_id: int, course_id: int) -> bool:
        held = (p for p in self.programs.values() if course_id in p.courses)
        return any(user_id in self.program_learners(p.id) for p in held)

    def open_course(self, user_id: int, course_id: int) -> bool:
        """A learner opens a course: one of an assigned program enrols at that. Says whether they get in."""
        with self.lock:
            if self._by_program(user_id, course_id):
                self._opened.add((user_id, course_id))
                self.follow_audiences()
            gets_in = self.enrolled(user_id, course_id, only_active=True)
            if gets_in:
                self.visited.add((user_id, course_id))
            return gets_in

    def program_complete(self, user_id: int, program_id: int) -> bool:
        """Whether somebody has completed every course of a program."""
        courses = self.programs[program_id].courses
        return bool(courses) and all((user_id, course) in self.completions for course in courses)

    # --- who sees what ------------------------------------------------------------------------------------

    def sees_course(self, user_id: int, course_id: int) -> bool:
        """Whether a course is in this person's catalogue."""
        user, course = self.users[user_id], self.courses[course_id]
        if not course.visible or not self.tenancy_allows(user, course):
            return False
        among = self.enrolled(user_id, course_id, only_active=True)
        return self._seen(course.audiencevisible, among, user_id, course.seen_by)

    def sees_program(self, user_id: int, program_id: int) -> bool:
        """Whether a program or certification is in this person's catalogue."""
        program = self.programs[program_id]
        among = user_id in self.program_learners(program_id)
        return program.visible and self._seen(program.audiencevisible, among, user_id, program.seen_by)

    def _seen(self, rule: int, among: bool, user_id: int, audiences: set[int]) -> bool:
        if rule in (2, 3):
            return rule == 2
        invited = rule == 1 and any(user_id in self.members_of(one) for one in audiences if one in self.audiences)
        return among or invited
