"""Watching the service account's rights: what is missing is said, and what it held up is done once it is given back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

import structlog

from bridge import rights
from bridge.domain import rights as named
from bridge.domain.offers import Offers
from bridge.errors import Refused
from bridge.rights import Right
from bridge.store import ledger
from bridge.store.db import Store
from bridge.store.work import Work
from bridge.totara_client import TotaraClient

log = structlog.get_logger()

NOTE = "rights"  # the note that says what was missing when we last looked


class RightsWatch:
    """Looks at the rights again and again."""

    def __init__(
        self, store: Store, work: Work, totara: TotaraClient, offers: Offers, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._work = work
        self._totara = totara
        self._offers = offers
        self._now = now

    def look(self) -> str:
        """Try every right; what is missing, in words, "" for nothing.

        Whatever was parked for want of a right that is there again is due again: once, so that what lacks it in one
        course only is not tried for ever. Raises Unavailable when Totara does not answer.
        """
        found = self._probe()
        with self._store.read() as connection:
            note = ledger.read_note(connection, NOTE)
        before: Mapping[str, str] = note[0] if note else {}
        there = {right.mark for right in found if right.there}
        missing = {right.mark: f"{right.name}: {right.said}" for right in found if right.there is False}
        # What can't be told now, for want of another right, is as it was.
        untold = {right.mark for right in found} - there - missing.keys()
        missing |= {mark: said for mark, said in before.items() if mark in untold}
        self._give_back(before.keys() & there, there, note[1] if note else None)
        now = self._now()
        with self._store.begin() as connection:
            ledger.write_note(self._store, connection, NOTE, missing, now)
        return "; ".join(f"the service account lacks {said}" for said in missing.values())

    def _probe(self) -> list[Right]:
        try:
            self._totara.capabilities(again=True)
        except Refused as err:
            return [Right(named.USE_REST, False, str(err))]
        known = rights.used(self._store, self._offers)
        return [Right(named.USE_REST, True), *rights.probe(self._totara, known)]

    def _give_back(self, again: Collection[str], there: Collection[str], last: datetime | None) -> None:
        """Have tried again what was parked for rights that are there again, or that came and went since we looked."""
        due = [
            (item.kind, item.key)
            for item in self._work.parked()
            if any(mark in item.reason for mark in again)
            or (last is not None and item.since > last and any(mark in item.reason for mark in there))
        ]
        if due:
            self._work.mark_many(due)
            log.info("rights are there again, and what waited for them is tried again", count=len(due))
