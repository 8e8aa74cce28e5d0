"""Telling learners: what has come to be true about their access becomes letters, each fact once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from bridge.domain.enrolments import Held, Right, lasting, wanted
from bridge.domain.letters import CourseLine, Message
from bridge.domain.news import Ended, Fact, facts, next_fact
from bridge.domain.offers import Item, Kind
from bridge.domain.texts import one_language
from bridge.errors import BridgeError
from bridge.mail import Mailer
from bridge.settings import Settings
from bridge.store import learning, people
from bridge.store.db import Store
from bridge.store.people import Person
from bridge.store.work import Claim
from bridge.totara_client import TotaraClient
from bridge.worker import Done

#: The pages of Totara where each kind of thing is found, by its id. An audience has none.
_PAGES: Mapping[Kind, str] = {
    Kind.COURSE: "/course/view.php?id={}",
    Kind.PROGRAM: "/totara/program/view.php?id={}",
    Kind.CERTIFICATION: "/totara/program/view.php?id={}",
}


class Telling:
    """Writes to learners."""

    def __init__(
        self, settings: Settings, store: Store, totara: TotaraClient, mailer: Mailer, now: Callable[[], datetime]
    ) -> None:
        self._site = settings.totara.url
        self._language = settings.mail.language
        self._soon = timedelta(days=settings.mail.soon_days)
        self._store = store
        self._totara = totara
        self._mailer = mailer
        self._now = now

    def settle(self, claim: Claim) -> Done | None:
        """Write to one person about everything that is a fact now and was not told.

        That a letter is being written is written down before it is sent. Should we die before the mail server's
        answer is, it is sent again under the same Message-ID, by which mail systems know it for the same letter.
        """
        person_id = int(claim.key)
        now = self._now()
        with self._store.read() as connection:
            person = people.get_person(connection, person_id)
            if person is None:
                return None
            rights = learning.rights_of(connection, person_id)
            held = _with_grace(learning.held_by(connection, person_id), rights, now)
            items = wanted(rights, now).items
            told = learning.told(connection, person_id)
            seats = learning.last_of_each(connection, person_id)
        sent = [fact for fact, taken in told.items() if taken]
        ended = {item: _ended(row, now) for item, row in seats.items()}
        due = facts(held, items, ended, sent, now, self._soon)
        names = self._names(due, seats, person.language or self._language)
        for _, group in groupby(sorted(due, key=_of_one_letter), key=_of_one_letter):
            self._send(person, list(group), names, seats)

        def write(connection: Connection) -> Mapping[str, Any] | None:
            return {"letters": sorted(fact.key for fact in due)} if due else None

        return Done(write, again_at=next_fact(held, now, self._soon))

    def _send(
        self, person: Person, about: Sequence[Fact], names: Mapping[Item, str], seats: Mapping[Item, Any]
    ) -> None:
        keys = [fact.key for fact in about]
        items = [fact.item for fact in about if fact.item in seats]
        message = Message(
            kind=about[0].kind,
            to_address=person.email,
            name=" ".join(f"{person.first_name} {person.last_name}".split()),
            language=person.language,
            courses=tuple(CourseLine(names[fact.item], self._page(fact.item), fact.until) for fact in about),
            reason=about[0].reason,
            order_numbers=tuple(sorted({str(seats[item].order_id) for item in items if seats[item].order_id})),
        )
        with self._store.begin() as connection:
            learning.begin_letters(self._store, connection, person.id, keys, self._now())
        self._mailer.send(message, key=f"{person.key} {' '.join(sorted(keys))}")
        with self._store.begin() as connection:
            learning.letters_sent(connection, person.id, keys, self._now())

    def _names(self, due: Collection[Fact], seats: Mapping[Item, Any], language: str) -> dict[Item, str]:
        """What each thing is called: a course by Totara where it answers, all else as it was sold."""
        courses = [fact.item.id for fact in due if fact.item.kind is Kind.COURSE]
        try:
            found = self._totara.find_courses(courses)
        except BridgeError:  # a letter does not wait for a nicer name
            found = {}
        names = {}
        for fact in due:
            item = fact.item
            sold_as = seats[item].name if item in seats else ""
            there = found.get(item.id) if item.kind is Kind.COURSE else None
            names[item] = (one_language(there.fullname, language) if there else sold_as) or str(item)
        return names

    def _page(self, item: Item) -> str:
        return f"{self._site}{_PAGES[item.kind].format(item.id)}" if item.kind in _PAGES else ""


def _with_grace(held: Mapping[Item, Held], rights: Sequence[Right], now: datetime) -> dict[Item, Held]:
    """The access with the end of the days of grace too, which Totara is not told, but the learner is."""
    lapsing = {right.item for right in rights if right.grace is not None}
    ends = wanted([replace(right, until=lasting((right.until, right.grace))) for right in rights], now).items
    return {item: replace(it, until=ends[item]) if item in lapsing & set(ends) else it for item, it in held.items()}


def _of_one_letter(fact: Fact) -> tuple[str, str]:
    return str(fact.kind), str(fact.reason or "")


def _ended(row: Any, now: datetime) -> Ended:
    until = lasting((row.until, row.grace_until, row.seat_until))
    by_date = row.ended_at is None and until is not None and until <= now and row.grace_until is None
    return Ended(row.ended_why or "", by_date, held=row.ended_at is None and bool(row.held))
