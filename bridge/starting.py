"""Whether somebody has begun to learn: asked before anything is taken from them, and before nobody asked is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bridge.domain.offers import Item, Kind
from bridge.domain.seats import Begun
from bridge.errors import NotFound
from bridge.store import people, placing, progress
from bridge.store.db import Store
from bridge.totara_client import TotaraClient


class Starting:
    """Looks into the ledger first, and asks Totara where that can't tell: outside of any transaction."""

    def __init__(self, store: Store, totara: TotaraClient) -> None:
        self._store = store
        self._totara = totara

    def begun(self, person_id: int, seat_id: int) -> Begun:
        """Whether a person has begun to learn anything that a seat of theirs gives. Raises Unavailable while Totara is
        away and only it can tell.
        """
        with self._store.read() as connection:
            person = people.get_person(connection, person_id)
            learnt = progress.learnt_by(connection, person_id)
            items = placing.items_of_seat(connection, seat_id)
            since = placing.taken_since(connection, seat_id)
        if any(item in learnt and learnt[item].begun for item in items):
            return Begun.YES
        if person is None or person.totara_id is None:
            return Begun.NO
        return self._asked(person.totara_id, items, since)

    def _asked(self, user_id: int, items: Sequence[Item], since: datetime) -> Begun:
        try:
            opened = self._totara.insight(user_id).opened
        except NotFound:  # whoever is deleted learns no more
            return Begun.NO
        if opened is None:
            return self._told_by_others(user_id, items, since)
        if any(item.kind is Kind.COURSE and item.id in opened for item in items):
            return Begun.YES
        # Which courses a program consists of is not asked for: any course may be one of them.
        return Begun.NO if not opened or all(item.kind is Kind.COURSE for item in items) else Begun.UNKNOWN

    def _told_by_others(self, user_id: int, items: Sequence[Item], since: datetime) -> Begun:
        """Without the plugin: whoever was not there since then has not begun; whoever has done some of it has."""
        account = self._totara.find_account(user_id)
        if account is None or (account.seen_at is not None and account.seen_at < since):
            return Begun.NO
        found = [self._totara.completion(user_id, item.id) for item in items if item.kind is Kind.COURSE]
        did = any(one is not None and (one.completed or one.progress) for one in found)
        return Begun.YES if did else Begun.UNKNOWN
