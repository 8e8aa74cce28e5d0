"""Reading how far somebody is in their courses: when they look at the list of them, and not before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bridge.domain.offers import Item
from bridge.errors import Refused
from bridge.store import people
from bridge.store import progress as learnt
from bridge.store.db import Store
from bridge.store.progress import Learnt
from bridge.store.work import Claim
from bridge.totara_client import TotaraClient
from bridge.worker import Done

#: What was read within this time is told as it is.
FRESH = timedelta(minutes=3)


class Progress:
    """Reads Totara about one person, outside of any transaction, and writes down what has moved."""

    def __init__(self, store: Store, totara: TotaraClient, now: Callable[[], datetime]) -> None:
        self._store = store
        self._totara = totara
        self._now = now

    def settle(self, claim: Claim) -> Done | None:
        """Ask once about each course that the person can enter.

        What Totara refuses to tell is as it was: it is for nobody to mend but who gives the service account its rights,
        and `bridge check` says so. Nothing is parked for it.
        """
        person_id = int(claim.key)
        with self._store.read() as connection:
            person = people.get_person(connection, person_id)
            known = learnt.learnt_by(connection, person_id)
            asked = learnt.readable(connection, person_id)
        if person is None or person.totara_id is None or not asked:
            return None
        user_id, now = person.totara_id, self._now()
        opened = self._opened(user_id, [known[item] for item in asked])
        found = {item: self._look(user_id, item, known[item], opened) for item in asked}
        moved = {item: now_known for item, now_known in found.items() if now_known != known[item]}

        def write(connection: Connection) -> Mapping[str, Any] | None:
            there = people.get_person(connection, person_id)
            if there is None or there.totara_id != user_id:  # the account is another's by now, and so is what was read
                return None
            learnt.record(connection, person_id, asked, moved, now)
            return {"moved": [str(item) for item in sorted(moved)]} if moved else None

        return Done(write)

    def _opened(self, user_id: int, known: Sequence[Learnt]) -> frozenset[int]:
        """The courses that they have opened; not asked for once they are known to have begun with each."""
        if all(one.begun for one in known):
            return frozenset()
        try:
            return self._totara.insight(user_id).opened or frozenset()
        except Refused:
            return frozenset()

    def _look(self, user_id: int, item: Item, before: Learnt, opened: frozenset[int]) -> Learnt:
        before = replace(before, opened=True) if item.id in opened else before
        try:
            found = self._totara.completion(user_id, item.id)
        except Refused:
            return before
        if found is None:
            return before
        certificate = self._certificate(item, before) if found.completed else before.certificate
        return Learnt(found.completed, found.progress, certificate, before.opened)

    def _certificate(self, item: Item, before: Learnt) -> str | None:
        """Looked for once the course is completed: before, nobody has earned it."""
        try:
            return self._totara.certificate(item.id)
        except Refused:
            return before.certificate
