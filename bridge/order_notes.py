"""The order tells what was done for it: a private note and meta, once for each state of things."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from bridge.domain.catalogue import digest
from bridge.domain.notes import NOTE_MARK, OrderNote, mark_of, order_note
from bridge.domain.offers import Item, Kind, read_item
from bridge.domain.purchases import Standing
from bridge.domain.texts import plain
from bridge.errors import BridgeError, NotFound, Unavailable
from bridge.kinds import LEARNER, WATCH
from bridge.settings import Settings
from bridge.store import learning, ledger
from bridge.store.db import Store
from bridge.store.learning import SeatReport
from bridge.store.work import Claim, Work
from bridge.totara_client import TotaraClient
from bridge.woo_client import WooClient
from bridge.worker import Done

#: For how many seconds a course's name is believed.
NAMES_KEPT = 600.0
#: For how long another note waits that tells of nothing but what a team did with its seats.
TEAMS_WAIT = timedelta(hours=1)


class OrderNotes:
    """Writes to orders."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        work: Work,
        shop: WooClient,
        totara: TotaraClient,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._store = store
        self._work = work
        self._patience = timedelta(seconds=settings.orders.waiting_note_seconds)
        self._shop = shop
        self._totara = totara
        self._now = now
        self._courses: dict[int, tuple[float, str]] = {}

    def write(self, claim: Claim) -> Done | None:
        """Write a private note and meta on the order, once for each state of things.

        That a note is being written is written down first: after a crash the order's notes are looked through for it,
        since the shop would take the same note twice. While somebody is owed a look there is none, since another
        follows from that; only if it takes long does one say so, and why. What a team does with its seats is told once
        in a while, as it stands then.
        """
        order_id = int(claim.key)
        if not self._settings.orders.notes:
            return None
        with self._store.read() as connection:
            row = ledger.find_order(connection, order_id)
            seats = learning.report(connection, order_id)
            needs = ledger.needs_of(connection, order_id)
        if row is None or row.status == "deleted":
            return None
        now = self._now()
        soon = {seat.person_id for seat in seats if seat.person_id and _looked_at_soon(seat, now)}
        owed = self._owed(soon, now)
        if len(owed) < len(soon):
            return None
        if owed and (first := min(since for since, _ in owed.values())) + self._patience > now:
            return Done(lambda connection: None, again_at=first + self._patience)
        said = [word for word in (row.trouble, row.said) if word]
        if not (seats or said or needs or row.note_written):
            return None
        completed = self._completed(row, seats)
        note = order_note(seats, now, said, completed, needs, {person: since for person, (since, _) in owed.items()})
        return self._bring(row, note, seats, self._why(owed))

    def _owed(self, person_ids: Collection[int], now: datetime) -> dict[int, tuple[datetime, str]]:
        """Who of these is owed a look, since when, and why it was put off; also whose look failed for good."""
        found = {}
        for person_id in sorted(person_ids):
            row = self._work.find(LEARNER, str(person_id))
            if row is not None and row.due_at is not None and row.first_due_at <= now:
                found[person_id] = row.first_due_at, row.reason or ""
            elif row is not None and row.parked_at is not None:
                found[person_id] = row.parked_at, row.reason or ""
        return found

    def _why(self, owed: Mapping[int, tuple[datetime, str]]) -> str:
        """What somebody waits for: what the watch saw of Totara, or the reason of the last try. "" when nobody does."""
        if not owed:
            return ""
        with self._store.read() as connection:
            watched = ledger.read_note(connection, WATCH)
        seen = watched[0].get("totara") if watched else ""
        reason = seen or next((reason for _, reason in owed.values() if reason), "") or "it was not tried yet"
        return f"it waits since Totara could not be told: {reason}; it is tried again until it goes through"

    def _bring(self, row: Row[Any], note: OrderNote, seats: Collection[SeatReport], why: str) -> Done | None:
        """Bring the note and the meta of the order to what they should be."""
        # What it says, and what was said before: "ready" after "ended" is another note than the first "ready". Names
        # and reasons are left out of it: one that changes is no news.
        content = digest([note.text, note.meta])[:8]
        try:
            written = row.note_written or ""
            if written == ledger.FORGOTTEN:
                written = self._mended(row.id, note)
            elif written.startswith(content):
                return None
            elif (later := self._when(row, note)) is not None:
                return Done(lambda connection: None, again_at=later)
            else:
                self._shop.set_order_meta(row.id, note.meta)
            if not written.startswith(content):
                mark = content + digest([content, written or None])[:8]
                written = self._noted(row.id, self._shown(note, seats, why), mark, row.note_begun)
        except NotFound as err:
            if err.code != "woocommerce_rest_shop_order_invalid_id":
                raise Unavailable(f"no note can be written: {err}", system="shop") from err
            return None  # deleted meanwhile; its own turn will come
        stays = {"note_written": written, "note_lasting": _lasting(note), "note_at": self._now()}
        return Done(lambda connection: ledger.set_order(connection, row.id, **stays))

    def _when(self, row: Row[Any], note: OrderNote) -> datetime | None:
        """When a note is due of which the last one differs only by a team's doing; None for now."""
        if row.note_at is None or row.note_lasting != _lasting(note):
            return None
        due: datetime = row.note_at + TEAMS_WAIT
        return due if due > self._now() else None

    def _mended(self, order_id: int, note: OrderNote) -> str:
        """Bring the meta in line with what the shop has; the mark of the newest of our notes there, "" for none."""
        there = self._shop.order_meta(order_id)
        if any(there.get(key) != value for key, value in note.meta.items()):
            self._shop.set_order_meta(order_id, note.meta)
        return next((mark for text in self._shop.order_notes(order_id) if (mark := mark_of(text))), "")

    def _noted(self, order_id: int, text: str, mark: str, begun: str | None) -> str:
        """Write the note, unless it was begun before and is there; its mark."""
        if begun != mark:
            with self._store.begin() as connection:
                ledger.set_order(connection, order_id, note_begun=mark)
        elif any(mark_of(old) == mark for old in self._shop.order_notes(order_id)):
            return mark
        self._shop.add_order_note(order_id, f"{text} {NOTE_MARK.format(mark)}")
        return mark

    def _completed(self, row: Row[Any], seats: Collection[SeatReport]) -> list[Item]:
        """What of a renewed subscription was completed before: Totara shows it complete on day one.

        Totara does not tell since when, so it is read once, when the renewal is first seen to pay, and written down.
        """
        if not row.renews or (row.completed is None and not Standing(row.stands).gives):
            return []
        if row.completed is not None:
            return [read_item(word) for word in row.completed]
        asked = {(seat.item, seat.totara_id) for seat in seats if seat.subscription_id and seat.live and seat.verified}
        found = sorted(
            {
                item
                for item, user in asked
                if item.kind is Kind.COURSE and user and self._totara.completed(user, item.id)
            }
        )
        with self._store.begin() as connection:
            ledger.set_order(connection, row.id, completed=[f"{item.kind}:{item.id}" for item in found])
        return found

    def _shown(self, note: OrderNote, seats: Collection[SeatReport], why: str) -> str:
        """The note with the names of what was sold, and of the courses, beside their numbers."""
        return note.shown(self._names({seat.item for seat in seats}), self._settings.shop.language, why)

    def _names(self, items: Collection[Item]) -> Mapping[Item, str]:
        """What the courses are called in Totara; a note does not wait for a name, nor is it written anew for one."""
        courses = sorted(item.id for item in items if item.kind is Kind.COURSE)
        now = time.monotonic()
        unknown = [one for one in courses if one not in self._courses or self._courses[one][0] < now]
        try:
            found = self._totara.find_courses(unknown) if unknown else {}
        except BridgeError:
            found = {}
        for one, course in found.items():
            self._courses[one] = (now + NAMES_KEPT, plain(course.fullname, self._settings.shop.language))
        return {Item(Kind.COURSE, one): self._courses[one][1] for one in courses if one in self._courses}


def _lasting(note: OrderNote) -> str:
    return digest(list(note.lasting))[:8]


def _looked_at_soon(seat: SeatReport, now: datetime) -> bool:
    """Whether somebody sits there whose access is neither seen to be there nor known to wait for a person.

    Whoever was asked to take it, and whoever waits for a yes, is given none before the answer.
    """
    if not seat.live or seat.person_id is None or seat.waits or seat.trouble or seat.verified or seat.held:
        return False
    return not (seat.starts is not None and seat.starts > now) and not (seat.until is not None and seat.until <= now)
