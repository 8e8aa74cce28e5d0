"""A learner: all live seats of one person become the enrolments that stand in Totara."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from bridge.domain.catalogue import Rules
from bridge.domain.enrolments import State, plan_enrolments
from bridge.domain.identity import names_of
from bridge.domain.lms import Account, Course, NewAccount, Tree
from bridge.errors import Refused
from bridge.settings import Settings
from bridge.store import ledger
from bridge.store.db import Store
from bridge.store.ledger import Person
from bridge.store.work import Claim
from bridge.totara_client import TotaraClient
from bridge.worker import Done

log = structlog.get_logger()

T = TypeVar("T")


class Recent:
    """A value that is read again when it is older than ``seconds``."""

    def __init__(self, seconds: float, read: Callable[[], T]) -> None:
        self._seconds = seconds
        self._read = read
        self._value: tuple[float, Any] | None = None
        self._lock = Lock()

    def __call__(self) -> Any:
        with self._lock:
            if self._value is None or time.monotonic() - self._value[0] > self._seconds:
                self._value = time.monotonic(), self._read()
            return self._value[1]


@dataclass
class _Look:
    """One look at one person: what was found and done, to be written down at its end."""

    person: Person
    troubles: dict[int, str] = field(default_factory=dict)
    records: dict[int, dict[str, Any]] = field(default_factory=dict)

    def trouble(self, course_ids: Collection[int], problem: object) -> None:
        """These courses wait for a person. What was known of their enrolments stays."""
        for course_id in course_ids:
            self.troubles[course_id] = str(problem)

    def reason(self) -> str:
        """All troubles in one message; "" when there is none."""
        return "; ".join(sorted(set(self.troubles.values())))


class Learners:
    """Settles learners. ``owe_notes`` marks, in a transaction, the notes of a person's orders as due."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        totara: TotaraClient,
        owe_notes: Callable[[Connection, int], None],
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._store = store
        self._totara = totara
        self._owe_notes = owe_notes
        self._now = now
        self._rules = Rules(settings.catalogue.allow, settings.catalogue.deny)
        self._tree = Recent(60.0, totara.tree)
        self._tags = {
            tag: Recent(60.0, lambda tag=tag: totara.tagged(tag))  # type: ignore[misc]
            for tag in {rule.tag for rule in (*settings.catalogue.allow, *settings.catalogue.deny) if rule.tag}
        }

    def settle(self, claim: Claim) -> Done | None:
        """Bring Totara in line with all live seats of one person.

        1. Compare the courses that are paid for with the enrolments we gave. Equal and verified: no call at all.
        2. Suspend what nothing pays for any more, having read completion first.
        3. Of what is paid for, leave out what a deny rule forbids by now.
        4. Make sure of the account: ours, or newly made in the academy's tenant; never somebody else's.
        5. Enrol, and look whether the learner can enter.
        6. Write down, and owe a note to each order.

        What went well is kept when something else did not; the rest needs a person, in one message.
        """
        person_id = int(claim.key)
        with self._store.read() as connection:
            person = ledger.get_person(connection, person_id)
            if person is None:
                return None
            held = ledger.held_enrolments(connection, person_id)
            plan = plan_enrolments(ledger.wanted_courses(connection, person_id), held)
        look = _Look(person)
        if plan.suspend:
            self._suspend(look, plan.suspend)
        if plan.enrol or plan.verify:
            self._give(look, plan.enrol, plan.verify)

        def write(connection: Connection) -> Mapping[str, Any] | None:
            now = self._now()
            for course_id, values in sorted(look.records.items()):
                ledger.record_enrolment(self._store, connection, person_id, course_id, now, **values)
            untouched = {course: trouble for course, trouble in look.troubles.items() if course not in look.records}
            for course_id, trouble in sorted(untouched.items()):
                state = held[course_id].state if course_id in held else State.WANTED
                ledger.record_enrolment(
                    self._store, connection, person_id, course_id, now, state=state, trouble=trouble
                )
            self._owe_notes(connection, person_id)
            return self._told(look)

        return Done(write, parked=look.reason())

    def _told(self, look: _Look) -> Mapping[str, Any] | None:
        states = {course: values["state"] for course, values in look.records.items() if course not in look.troubles}
        given = sorted(course for course, state in states.items() if state is State.ACTIVE)
        ended = sorted(course for course, state in states.items() if state is State.SUSPENDED)
        return {"user": look.person.totara_id, "access": given, "ended": ended} if states else None

    # --- giving ------------------------------------------------------------------------------------------------

    def _give(self, look: _Look, enrol: Collection[int], verify: Collection[int]) -> None:
        """Enrol in what is wanted, and look again at what was given before."""
        if look.person.totara_id is not None and not self._usable(look, {*enrol, *verify}):
            return
        reachable = self._totara.reachable_courses(look.person.totara_id, verify) if look.person.totara_id else set()
        # Those that were there once, and that somebody has taken away, are given again, by the same rules.
        allowed = self._allowed(look, {*enrol, *verify} - reachable)
        done = set(verify) & reachable
        if allowed:
            try:
                user_id = self._ensure_account(look, allowed)
            except Refused as err:
                look.trouble(allowed, err)
            else:
                done |= self._enrol(look, user_id, allowed)
                reachable = self._totara.reachable_courses(user_id, done)
        for course_id in done:
            self._verified(look, course_id, course_id in reachable)

    def _usable(self, look: _Look, course_ids: Collection[int]) -> bool:
        """Whether the account is one that can be used: staff may have suspended or deleted it meanwhile."""
        account = self._totara.find_account(int(look.person.totara_id or 0))
        if account is not None and not account.suspended:
            return True
        state = "is suspended" if account else "was deleted"
        look.trouble(course_ids, f"Totara user {look.person.totara_id} {state} in Totara: nobody can sign in with it")
        return False

    def _allowed(self, look: _Look, course_ids: Collection[int]) -> list[int]:
        """Those of the courses that may be given by the rules as they are now."""
        courses = self._totara.find_courses(course_ids)
        allowed = []
        for course_id in sorted(course_ids):
            try:
                self._may_enrol(course_id, courses.get(course_id))
                allowed.append(course_id)
            except Refused as err:
                look.trouble([course_id], f"course {course_id}: {err}")
        return allowed

    def _may_enrol(self, course_id: int, course: Course | None) -> None:
        """The deny rules, once more: a course may have been restricted since it was sold."""
        if course is None:
            raise Refused("it is not in Totara any more, or the service account may not see it")
        tree: Tree = self._tree()
        verdict = self._rules.judge(self.as_judged(course), tree)
        if verdict.denied:
            raise Refused(verdict.reason)
        if not verdict.selected and not self._was_sold(course_id):
            raise Refused(f"it was never for sale: {verdict.reason}")

    def as_judged(self, course: Course) -> Course:
        """The course with everything that the catalogue judges it by."""
        tagged = self._with_tags(course)
        if self._settings.catalogue.visibility != "audience":
            return tagged
        seen = self._totara.audience_visibility([course.id]).get(course.id)
        return replace(tagged, audience_visible=seen, visible=None if seen is None else seen in (1, 2))

    def _with_tags(self, course: Course) -> Course:
        if not self._tags or course.visible is False:  # a search by tag leaves hidden courses out: it can't be told
            return course
        return replace(course, tags=frozenset(tag for tag, courses in self._tags.items() if course.id in courses()))

    def _was_sold(self, course_id: int) -> bool:
        with self._store.read() as connection:
            return ledger.is_our_product(connection, course_id)

    def _enrol(self, look: _Look, user_id: int, course_ids: Collection[int]) -> set[int]:
        """Enrol; which of them Totara took."""
        done = set()
        for course_id in course_ids:
            try:
                self._totara.ensure_enrolment(user_id, course_id)
                done.add(course_id)
            except Refused as err:
                look.trouble([course_id], f"course {course_id}: {err}")
                look.records[course_id] = {"state": State.WANTED, "trouble": look.troubles[course_id]}
        return done

    def _verified(self, look: _Look, course_id: int, reachable: bool) -> None:
        """Given is what the learner can enter: Totara enrols without a word where nobody can."""
        if not reachable:
            look.trouble(
                [course_id],
                f"course {course_id}: Totara user {look.person.totara_id} is enrolled but can't enter: is the course "
                "hidden, or in another tenant?",
            )
        look.records[course_id] = {
            "state": State.ACTIVE,
            "verified_at": self._now() if reachable else None,
            "trouble": look.troubles.get(course_id),
        }

    # --- the account -----------------------------------------------------------------------------------------------

    def _ensure_account(self, look: _Look, course_ids: Collection[int]) -> int:
        """The person's Totara user id, and the enrolments of these courses in doubt, both written down.

        The address is reserved in our own database before Totara is asked, since nothing there keeps two accounts
        from having one address. An account that is there already and does not carry our key is somebody else's: an
        address proves nothing, and it is left alone.
        """
        person = look.person
        user_id = person.totara_id or self._find_or_make(person)
        with self._store.begin() as connection:
            if person.totara_id is None:
                ledger.account_made(connection, person.id, user_id, self._now())
            self._in_doubt(connection, person.id, {course_id: {} for course_id in course_ids})
        look.person = replace(person, totara_id=user_id)
        return user_id

    def _find_or_make(self, person: Person) -> int:
        if person.reserved != person.email:
            with self._store.begin() as connection:
                other = ledger.reserve_account(self._store, connection, person.id, person.email)
            if other is not None:
                raise Refused(
                    f"the address of person {person.id} is that of person {other} already: "
                    "it has to be proven before both can be one"
                )
        username = self._settings.totara.username_prefix + person.key
        user_id = self._our_account(person, username)
        if user_id is not None:
            return user_id
        first, last = names_of(person.first_name, person.last_name, person.email)
        try:
            user_id = self._totara.create_account(NewAccount(username, person.email, first, last))
        except Refused:
            # Taken meanwhile, or made by a call whose answer got lost: look, don't guess from the message.
            mine = self._totara.find_account_by_username(username)
            user_id = mine.id if mine else self._our_account(person, username)
            if user_id is None:
                raise
        log.info("account made", person=person.id, user=user_id)
        return user_id

    def _our_account(self, person: Person, username: str) -> int | None:
        """The id of the account that carries our key, if the address leads to one; Refused if it is somebody else's."""
        found: list[Account] = self._totara.find_accounts(person.email)
        ours = [account for account in found if account.username == username]
        if found and not ours:
            # The address may have been changed since ours was made and the answer lost: the key tells for certain.
            ours = [account for account in (self._totara.find_account_by_username(username),) if account]
        if found and not ours:
            raise Refused(
                f"the address of person {person.id} belongs to Totara user {found[0].id}, an account the bridge did "
                "not make: it was left alone, and the seat waits"
            )
        return ours[0].id if ours else None

    # --- ending ----------------------------------------------------------------------------------------------------

    def _suspend(self, look: _Look, course_ids: Collection[int]) -> None:
        """End access without deleting anything. Completion can't be read any more afterwards."""
        user_id = int(look.person.totara_id or 0)
        completed: dict[int, bool | None] = {}
        gone: set[int] = set()
        for course_id in course_ids:
            try:
                completed[course_id] = self._totara.completed(user_id, course_id)
            except Refused as err:
                self._not_ended(look, course_id, err, gone)
        told = {c: {} if it is None else {"completed": it} for c, it in completed.items()}
        if told:
            with self._store.begin() as connection:
                self._in_doubt(connection, look.person.id, told)
        for course_id in completed:
            try:
                self._totara.ensure_enrolment(user_id, course_id, suspended=True)
                look.records[course_id] = {**_ENDED, "verified_at": self._now(), **told[course_id]}
            except Refused as err:
                self._not_ended(look, course_id, err, gone)
        for course_id in gone:
            look.records[course_id] = {**_ENDED, "verified_at": self._now()}

    def _not_ended(self, look: _Look, course_id: int, err: Refused, gone: set[int]) -> None:
        # An unknown course is "invalidparameter"; one that is only hidden from the service account is not.
        if err.code == "invalidparameter" and not self._totara.find_courses([course_id]):
            gone.add(course_id)  # and the enrolment with it
        else:
            look.trouble([course_id], f"course {course_id}: {err}")

    def _in_doubt(self, connection: Connection, person_id: int, values: Mapping[int, Mapping[str, Any]]) -> None:
        """Written down before Totara is told: should we die before the answer, the next look must not believe that
        things are as they were. It then sees for itself, and gives or ends the access as is due by then.
        """
        now = self._now()
        for course_id, told in sorted(values.items()):
            ledger.record_enrolment(
                self._store, connection, person_id, course_id, now, state=State.ACTIVE, verified_at=None, **told
            )


_ENDED: Mapping[str, Any] = {"state": State.SUSPENDED, "trouble": None}
