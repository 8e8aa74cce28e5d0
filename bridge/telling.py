"""Telling learners: what has come to be true about their access becomes letters, each fact once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from bridge.domain.enrolments import Held, Right, lasting, wanted
from bridge.domain.letters import CourseLine, Letter, Message, Reason
from bridge.domain.news import Ended, Fact, facts, next_fact
from bridge.domain.offers import Item, Kind
from bridge.domain.texts import plain
from bridge.errors import BridgeError
from bridge.kinds import ORDER, SUBSCRIPTION, SWEEP
from bridge.mail import Mailer
from bridge.settings import Settings
from bridge.store import learning, ledger, people, teams
from bridge.store.db import Store
from bridge.store.people import Person
from bridge.store.teams import Team
from bridge.store.work import Claim, Work
from bridge.totara_client import TotaraClient
from bridge.ways_in import WaysIn
from bridge.worker import Done

#: How many sweeps may fail in a row before we no longer know what the shop has sold.
_SWEEPS_MISSED = 3

#: The pages of Totara where each kind of thing is found, by its id. An audience has none.
_PAGES: Mapping[Kind, str] = {
    Kind.COURSE: "/course/view.php?id={}",
    Kind.PROGRAM: "/totara/program/view.php?id={}",
    Kind.CERTIFICATION: "/totara/program/view.php?id={}",
}


class Telling:
    """Writes to learners."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        work: Work,
        totara: TotaraClient,
        mailer: Mailer,
        now: Callable[[], datetime],
    ) -> None:
        self._site = settings.totara.url
        self._ways = WaysIn(settings)
        self._language = settings.mail.language
        self._soon = timedelta(days=settings.mail.soon_days)
        self._swept = timedelta(seconds=settings.orders.sweep_seconds)
        self._store = store
        self._work = work
        self._totara = totara
        self._mailer = mailer
        self._now = now

    def settle(self, claim: Claim) -> Done | None:
        """Write to one person about everything that is a fact now and was not told.

        That a letter is being written is written down before it is sent. Should we die before the mail server's
        answer is, it is sent again under the same Message-ID, by which mail systems know it for the same letter.

        That access ends soon is not told while the shop was not heard of lately: something may have been bought again.
        """
        person_id = int(claim.key)
        now = self._now()
        with self._store.read() as connection:
            person = people.get_person(connection, person_id)
            if person is None or person.merged_into is not None:  # who is another is written as the other
                return None
            rights = learning.rights_of(connection, person_id)
            held, items = _with_grace(learning.held_by(connection, person_id), rights, now)
            told = learning.told(connection, person_id)
            seats = learning.last_of_each(connection, person_id)
        sent = [fact for fact, taken in told.items() if taken]
        ended = {item: ended_of(row, now) for item, row in seats.items()}
        due = facts(held, items, ended, sent, now, self._soon)
        again = next_fact(held, now, self._soon)
        if any(fact.kind is Letter.ENDS_SOON for fact in due) and not self._knows_the_shop(now):
            due = [fact for fact in due if fact.kind is not Letter.ENDS_SOON]
            again = now + max(self._swept, timedelta(seconds=30))
        names = self._names(due, seats, person.language or self._language)
        of_teams = {fact.item: self._team_of(fact, held, seats) for fact in due}

        def of_one_letter(fact: Fact) -> tuple[str, str, int]:
            team = of_teams[fact.item]
            return str(fact.kind), str(fact.reason or ""), team.id if team else 0

        for _, group in groupby(sorted(due, key=of_one_letter), key=of_one_letter):
            about = list(group)
            self._send(person, about, names, seats, of_teams[about[0].item])

        def write(connection: Connection) -> Mapping[str, Any] | None:
            return {"letters": sorted(fact.key for fact in due)} if due else None

        return Done(write, again_at=again)

    def _knows_the_shop(self, now: datetime) -> bool:
        """Whether a sweep has lately asked the shop what had changed, and all that is known of was looked at.

        After an outage the letters are the first to be due.
        """
        with self._store.read() as connection:
            swept = ledger.read_note(connection, SWEEP)
        fresh = swept is not None and swept[1] >= now - _SWEEPS_MISSED * self._swept
        return fresh and not self._work.waiting((ORDER, SUBSCRIPTION))

    def _team_of(self, fact: Fact, held: Mapping[Item, Held], seats: Mapping[Item, Any]) -> Team | None:
        """The team that gave the place that something is told of, or took it back."""
        seat = seats.get(fact.item)
        of = held[fact.item].let_go_team if fact.reason is Reason.TAKEN_BACK else seat.team_id if seat else None
        if of is None:
            return None
        with self._store.read() as connection:
            return teams.get_team(connection, of)

    def _send(
        self,
        person: Person,
        about: Sequence[Fact],
        names: Mapping[Item, str],
        seats: Mapping[Item, Any],
        team: Team | None,
    ) -> None:
        """Write one letter. The order by which a team bought the place is none of its learner's."""
        keys = [fact.key for fact in about]
        items = [fact.item for fact in about if fact.item in seats] if team is None else []
        ready = [fact.item for fact in about if fact.kind is Letter.READY]
        message = Message(
            kind=about[0].kind,
            to_address=person.email,
            name=person.name,
            language=person.language,
            courses=tuple(CourseLine(names[fact.item], self._page(fact.item), fact.until) for fact in about),
            reason=about[0].reason,
            order_numbers=tuple(sorted({str(seats[item].order_id) for item in items if seats[item].order_id})),
            start_url=self._ways.for_learner(person.customer_id is not None, ready) if ready else "",
            team=team.name if team else "",
            of_team=team is not None,
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
            names[item] = plain(there.fullname if there else sold_as, language) or str(item)
        return names

    def _page(self, item: Item) -> str:
        return f"{self._site}{_PAGES[item.kind].format(item.id)}" if item.kind in _PAGES else ""


def _with_grace(
    held: Mapping[Item, Held], rights: Sequence[Right], now: datetime
) -> tuple[dict[Item, Held], Mapping[Item, datetime | None]]:
    """The access, and what is paid for, with the end of grace too: Totara is not told it, but the learner is."""
    lapsing = {right.item for right in rights if right.grace is not None}
    ends = wanted([replace(right, until=lasting((right.until, right.grace))) for right in rights], now).items
    both = lapsing & set(ends)
    return {item: replace(it, until=ends[item]) if item in both else it for item, it in held.items()}, ends


def ended_of(row: Any, now: datetime) -> Ended:
    """Why the seat of a row of :func:`bridge.store.learning.last_of_each` pays no more, if it does not."""
    until = lasting((row.until, row.grace_until, row.seat_until))
    over = row.ended_at is None and until is not None and until <= now
    by_grace = over and row.grace_until is not None
    return Ended(
        row.ended_why or "",
        over and not by_grace,
        held=row.ended_at is None and bool(row.held),
        by_grace=by_grace,
        at=row.ended_at,
    )
