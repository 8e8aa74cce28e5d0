"""A learner: all live seats of one person become the access that stands in Totara."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from bridge.admission import elsewhere
from bridge.domain.catalogue import Rules
from bridge.domain.enrolments import LAST_LOOK, Held, Right, Run, State, Wanted, plan_access, too_many, wanted
from bridge.domain.identity import names_of
from bridge.domain.lms import Account, Course, NewAccount, Tree
from bridge.domain.offers import Item, Kind, Offers
from bridge.errors import NotFound, Refused
from bridge.giving import NOT_OURS, Giver
from bridge.rights import why_unseen
from bridge.settings import Settings
from bridge.store import audit, learning, ledger, people
from bridge.store.db import Store
from bridge.store.people import Person
from bridge.store.work import Claim
from bridge.totara_client import TotaraClient
from bridge.who import TAKEN, Who
from bridge.worker import Done

log = structlog.get_logger()

T = TypeVar("T")

BRAKE = "brake"  # the note that says until when a person lets access end
BRAKED = "so much access would end at once that a person has to say so: `bridge brake release` lets it end"


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
    held: Mapping[Item, Held]
    rights: Sequence[Right]
    wanted: Wanted
    troubles: dict[Item, str] = field(default_factory=dict)
    records: dict[Item, dict[str, Any]] = field(default_factory=dict)

    def trouble(self, items: Collection[Item], problem: object) -> None:
        """These wait for a person. What was known of them stays."""
        self.troubles |= dict.fromkeys(items, str(problem))

    def reason(self) -> str:
        """All troubles in one message; "" when there is none."""
        return "; ".join(sorted(set(self.troubles.values())))

    def begun(self) -> dict[int, Run]:
        """The seats whose days have begun: the learner can enter something that they give."""
        active = {item for item, it in self.held.items() if it.state is State.ACTIVE and it.verified}
        active |= {item for item, values in self.records.items() if values["state"] is State.ACTIVE}
        seats = {right.seat for right in self.rights if right.item in active - set(self.troubles)}
        return {seat: run for seat, run in self.wanted.begin.items() if seat in seats}

    @property
    def user_id(self) -> int:
        """The person's Totara user; there is one whenever access was given."""
        return int(self.person.totara_id or 0)


class Learners:
    """Settles learners. ``owe`` marks, in a transaction, what follows for a person: the notes, the letters."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        totara: TotaraClient,
        offers: Offers,
        who: Who,
        owe: Callable[[Connection, int], None],
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._store = store
        self._totara = totara
        self._giver = Giver(totara)
        self._sellable = offers.sellable
        self._who = who
        self._owe = owe
        self._now = now
        self._rules = Rules(settings.catalogue.allow, settings.catalogue.deny)
        self._tree = Recent(60.0, totara.tree)
        self._tags = {
            tag: Recent(60.0, lambda tag=tag: totara.tagged(tag))  # type: ignore[misc]
            for tag in {rule.tag for rule in (*settings.catalogue.allow, *settings.catalogue.deny) if rule.tag}
        }

    def settle(self, claim: Claim) -> Done | None:
        """Bring Totara in line with all live seats of one person.

        1. Make one with the person whoever is, by an address that was proven.
        2. Compare what is paid for now with what we gave. Equal, verified, and with the same ends: no call at all.
        3. End what nothing pays for any more, having read completion first, unless that would be too much at once.
        4. Of what is paid for, leave out what a rule forbids by now.
        5. Make sure of the account: ours, or newly made in the academy's tenant; never somebody else's.
        6. Give, and look whether the learner has it.
        7. Write down; owe the notes and letters that follow, and the next look when something begins or ends by itself.

        What went well is kept when something else did not; the rest needs a person, in one message.
        """
        person_id = int(claim.key)
        now = self._now()
        with self._store.read() as connection:
            person = people.get_person(connection, person_id)
        if person is None:
            return None
        if (elsewhere := self._who.moved_on(person)) is not None:
            return elsewhere
        apart = self._who.gather(person, now)
        with self._store.read() as connection:
            person = people.get_person(connection, person_id) or person
            held = learning.held_by(connection, person_id)
            rights = learning.rights_of(connection, person_id)
        look = _Look(person, held, rights, wanted(rights, now))
        plan = plan_access(look.wanted.items, held)
        if plan.end:
            self._end(look, plan.end, now)
        if plan.give or plan.verify:
            try:
                self._give(look, plan.give, plan.verify)
            except Refused as err:  # the moments to come are kept all the same
                look.trouble({*plan.give, *plan.verify}, err)
        self._last_look(look, now)

        def write(connection: Connection) -> Mapping[str, Any] | None:
            self._write(connection, look)
            self._owe(connection, person_id)
            return self._told(look)

        return Done(write, parked="; ".join(filter(None, [look.reason(), *apart])), again_at=look.wanted.next_look)

    # --- writing down ----------------------------------------------------------------------------------------------

    def _write(self, connection: Connection, look: _Look) -> None:
        now = self._now()
        person_id = look.person.id
        for item, values in sorted(look.records.items()):
            self._record(connection, look, item, values, now)
            self._audit(connection, look, item, values, now)
        for item in sorted(set(look.troubles) - set(look.records)):
            learning.record_trouble(self._store, connection, person_id, item, look.troubles[item], now)
        ledger.begin_days(connection, look.begun())
        self._move_days(connection, look, now)

    def _move_days(self, connection: Connection, look: _Look, now: datetime) -> None:
        """Days begun before end at another time, since something else was given back, or is paid for again."""
        ledger.move_days(connection, look.wanted.moved)
        for seat, until in sorted(look.wanted.moved.items()):
            facts = {"seat": seat, "until": until.isoformat()}
            cause = "what else is paid for has changed"
            audit.note(connection, "days moved", cause, now, person_id=look.person.id, facts=facts)

    def _record(
        self, connection: Connection, look: _Look, item: Item, values: Mapping[str, Any], now: datetime
    ) -> None:
        before = look.held.get(item)
        anew = before is None or before.state is not values["state"]
        learning.record_access(self._store, connection, look.person.id, item, now, anew=anew, **values)

    def _audit(self, connection: Connection, look: _Look, item: Item, values: Mapping[str, Any], now: datetime) -> None:
        before = look.held.get(item)
        same = before is not None and before.state is values["state"] and before.verified
        same = same and ("until" not in values or before is None or before.until == values["until"])
        if item in look.troubles or same:
            return
        event = "access ended" if values["state"] is State.SUSPENDED else "access given"
        until = values.get("until")
        facts = {"item": str(item), "user": look.person.totara_id, "until": until.isoformat() if until else None}
        cause = "nothing pays for it any more" if event == "access ended" else "a seat pays for it"
        audit.note(connection, event, cause, now, person_id=look.person.id, facts=facts)

    def _told(self, look: _Look) -> Mapping[str, Any] | None:
        states = {item: values["state"] for item, values in look.records.items() if item not in look.troubles}
        given = sorted(str(item) for item, state in states.items() if state is State.ACTIVE)
        ended = sorted(str(item) for item, state in states.items() if state is State.SUSPENDED)
        return {"user": look.person.totara_id, "access": given, "ended": ended} if states else None

    # --- giving ------------------------------------------------------------------------------------------------

    def _give(self, look: _Look, give: Collection[Item], verify: Collection[Item]) -> None:
        """Give what is wanted, and look again at what was given before."""
        if look.person.totara_id is not None and not self._usable(look, {*give, *verify}):
            return
        there = self._giver.reachable(look.user_id, verify) if look.person.totara_id and verify else set()
        # What was there once, and was taken away by somebody, is given again, by the same rules.
        allowed = self._allowed(look, {*give, *verify} - there)
        done = set(verify) & there
        if allowed:
            try:
                user_id, known = self._ensure_account(look, allowed)
            except Refused as err:
                look.trouble(allowed, err)
            else:
                done |= self._given(look, user_id, known)
                there = self._giver.reachable(user_id, done) if done else set()
        for item in done:
            self._verified(look, item, item in there)

    def _usable(self, look: _Look, items: Collection[Item]) -> bool:
        """Whether the account is one that can be used: staff may have suspended or deleted it meanwhile, or moved it to
        another tenant, to whose members we give nothing.
        """
        account, user = self._totara.find_account(look.user_id), f"Totara user {look.user_id}"
        if account is None or account.suspended:
            state = "is suspended" if account else "was deleted"
            look.trouble(items, f"{user} {state} in Totara: nobody can sign in with it")
            return False
        if where := elsewhere(self._totara, look.person):
            look.trouble(items, f"{user} is not the academy's any more, {where}: nothing is given to it")
            return False
        return True

    def _allowed(self, look: _Look, items: Collection[Item]) -> list[Item]:
        """Those of the items that may be given by the rules as they are now."""
        courses = self._totara.find_courses(item.id for item in items if item.kind is Kind.COURSE)
        allowed = []
        for item in sorted(items):
            try:
                if item.kind is Kind.COURSE:
                    self._may_enrol(item.id, courses.get(item.id))
                elif item not in self._sellable:
                    raise Refused("it is not for sale: name it in the offers file")
                allowed.append(item)
            except Refused as err:
                look.trouble([item], f"{item}: {err}")
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

    def _given(self, look: _Look, user_id: int, items: Mapping[Item, Mapping[str, Any]]) -> set[Item]:
        """Give; which of them Totara took. What others gave before stays as it is."""
        done = set()
        for item in items:
            if items[item].get("reference") == NOT_OURS:
                look.records[item] = {}
                done.add(item)
                continue
            try:
                reference = self._giver.give(user_id, item, look.wanted.items[item], look.held.get(item))
                look.records[item] = {} if reference is None else {"reference": reference}
                done.add(item)
            except Refused as err:
                look.trouble([item], f"{item}: {err}")
                look.records[item] = {"state": State.WANTED, "trouble": look.troubles[item]}
        return done

    def _verified(self, look: _Look, item: Item, there: bool) -> None:
        """Given is what the learner can enter: Totara enrols without a word where nobody can."""
        before = look.held.get(item)
        anew = before is None or before.state is not State.ACTIVE or before.times == 0
        if not there:
            look.trouble([item], f"{item}: {why_unseen(self._store, self._totara, look.user_id)}")
        look.records.setdefault(item, {}).update(
            state=State.ACTIVE,
            until=look.wanted.items[item],
            verified_at=self._now() if there else None,
            trouble=look.troubles.get(item),
            times=(before.times if before else 0) + (there and anew),
        )

    # --- the account -----------------------------------------------------------------------------------------------

    def _ensure_account(self, look: _Look, items: Collection[Item]) -> tuple[int, Mapping[Item, Mapping[str, Any]]]:
        """The person's Totara user id, and the access to these items in doubt, both written down.

        Of items that Totara refuses to tell of, nothing is.

        The address is reserved in our own database before Totara is asked, since nothing there keeps two accounts
        from having one address. An account that is there already and does not carry our key is somebody else's: an
        address proves nothing, and it is left alone.
        """
        person = look.person
        user_id, linked = person.totara_id, bool(person.linked)
        if user_id is None:
            user_id, linked = self._find_or_make(person)
        doubtful = self._before(look, user_id, items, linked=linked)
        with self._store.begin() as connection:
            if person.totara_id is None:
                people.account_made(connection, person.id, user_id, self._now(), linked=linked)
                if linked:
                    why = "the person has proven the address that it has"
                    facts = {"user": user_id}
                    audit.note(connection, "account linked", why, self._now(), person_id=person.id, facts=facts)
            self._in_doubt(connection, look, doubtful)
        look.person = replace(person, totara_id=user_id, linked=linked)
        return user_id, doubtful

    def _before(
        self, look: _Look, user_id: int, items: Collection[Item], *, linked: bool
    ) -> dict[Item, dict[str, Any]]:
        """What is to be written down of each item before it is given."""
        told: dict[Item, dict[str, Any]] = {}
        for item in items:
            try:
                before = self._giver.before(user_id, item, look.held.get(item), linked=linked)
                told[item] = {"until": look.wanted.items[item], **before}
            except Refused as err:
                look.trouble([item], f"{item}: {err}")
        return told

    def _find_or_make(self, person: Person) -> tuple[int, bool]:
        """The person's Totara user, and whether it was there before us."""
        if person.reserved != person.email:
            with self._store.begin() as connection:
                other = people.reserve_account(self._store, connection, person.id, person.email)
            if other is not None:
                raise Refused(f"the address of person {person.id} is that of person {other} already: it {TAKEN}")
        username = self._settings.totara.username_prefix + person.key
        if (account := self._account_of(person, username)) is not None:
            return account
        first, last = names_of(person.first_name, person.last_name, person.email)
        try:
            user_id = self._totara.create_account(NewAccount(username, person.email, first, last))
        except Refused:
            # Taken meanwhile, or made by a call whose answer got lost: look, don't guess from the message.
            mine = self._totara.find_account_by_username(username)
            account = (mine.id, False) if mine else self._account_of(person, username)
            if account is None:
                raise
            return account
        log.info("account made", person=person.id, user=user_id)
        return user_id, False

    def _account_of(self, person: Person, username: str) -> tuple[int, bool] | None:
        """The account that carries our key, if the address leads to one, or else one that the person has proven to be
        theirs, and that it was there before us; Refused if it is somebody else's."""
        found: list[Account] = self._totara.find_accounts(person.email)
        ours = [account for account in found if account.username == username]
        if found and not ours:
            # The address may have been changed since ours was made and the answer lost: the key tells for certain.
            ours = [account for account in (self._totara.find_account_by_username(username),) if account]
        if found and not ours:
            return self._who.existing(person, found).id, True
        return (ours[0].id, False) if ours else None

    # --- ending ----------------------------------------------------------------------------------------------------

    def _end(self, look: _Look, items: Collection[Item], now: datetime) -> None:
        """End access without deleting anything. Completion can't be read any more afterwards."""
        if self._braked(look, items, now):
            look.trouble(items, BRAKED)
            return
        told: dict[Item, dict[str, Any]] = {}
        for item in items:
            try:
                completed = self._giver.completed(look.user_id, item)
                told[item] = {} if completed is None else {"completed": completed}
            except Refused as err:
                if self._gone_with_account(look, err):
                    told[item] = {}
                else:
                    look.trouble([item], f"{item}: {err}")
        if told:
            with self._store.begin() as connection:
                self._in_doubt(connection, look, told)
        for item in told:
            try:
                self._giver.end(look.user_id, item, look.held[item])
            except NotFound:
                told[item] = {}  # gone, and the access with it
            except Refused as err:
                if not self._gone_with_account(look, err):
                    look.trouble([item], f"{item}: {err}")
                    continue
            ended = {"state": State.SUSPENDED, "trouble": None, "verified_at": self._now(), "reference": None}
            look.records[item] = {**ended, **told[item]}

    def leave(self, person_id: int) -> None:
        """End all that we gave somebody, before the account is theirs no more. The caller holds their work.

        Raises Refused when something could not be ended; what could is written down.
        """
        with self._store.read() as connection:
            person = people.get_person(connection, person_id)
            held = learning.held_by(connection, person_id)
        if person is None:
            return
        look = _Look(person, held, (), Wanted())
        active = [item for item, it in held.items() if it.state is State.ACTIVE]
        if active:
            self._end(look, active, self._now())
        with self._store.begin() as connection:
            self._write(connection, look)
        if look.troubles:
            raise Refused(look.reason())

    def _gone_with_account(self, look: _Look, error: Refused) -> bool:
        """Whether Totara refused because the account was deleted there: whatever it had went with it."""
        untold = isinstance(error, NotFound) or error.code == "codingerror"
        return untold and self._totara.find_account(look.user_id) is None

    def _braked(self, look: _Look, items: Collection[Item], now: datetime) -> bool:
        """Whether ending these is part of a mass withdrawal.

        What ends by a date that it was sold with does not count, and neither does what a person let go. The end of
        grace does: Totara was not told of it.
        """
        unasked = [item for item in items if look.held[item].let_go_at is None]
        sudden = [item for item in unasked if (until := look.held[item].until) is None or until > now]
        if not sudden:
            return False
        brake = self._settings.orders
        with self._store.read() as connection:
            released = ledger.read_note(connection, BRAKE)
            window = now - timedelta(seconds=brake.brake_seconds)
            if released is not None and datetime.fromisoformat(released[0]) > now:
                return False
            ended, there = learning.ended_since(connection, max(window, released[1]) if released else window)
        return too_many(len(sudden), ended, there, share=brake.brake_share, count=brake.brake_count)

    def _last_look(self, look: _Look, now: datetime) -> None:
        """Read completion while it can be read: Totara itself ends the enrolment at the moment it was told."""
        for item, until in look.wanted.items.items():
            held = look.held.get(item)
            if until is None or until - LAST_LOOK > now or held is None or held.state is not State.ACTIVE:
                continue
            try:
                completed = self._giver.completed(look.user_id, item)
            except Refused:  # it is for the books only
                continue
            if completed is not None and completed != held.completed:
                look.records.setdefault(item, {"state": State.ACTIVE})["completed"] = completed

    def _in_doubt(self, connection: Connection, look: _Look, values: Mapping[Item, Mapping[str, Any]]) -> None:
        """Written down before Totara is told: should we die before the answer, the next look must not believe that
        things are as they were. It then sees for itself, and gives or ends the access as is due by then.
        """
        now = self._now()
        for item, told in sorted(values.items()):
            doubtful = {"state": State.ACTIVE, "verified_at": None, **told}
            self._record(connection, look, item, doubtful, now)
