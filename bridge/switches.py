"""Lines of subscriptions that were switched, where the old and the new one may be of different subscriptions.

WooCommerce Subscriptions puts a switched line in the old one's place where both are paid in one rhythm, or where there
is no other line; else it begins another subscription with it, and takes the old one off.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from bridge.domain.purchases import Line, Standing, Subscription, subscribed
from bridge.domain.switching import switched_from
from bridge.errors import Refused, Unavailable
from bridge.kinds import SUBSCRIPTION
from bridge.offering import key_of
from bridge.store import ledger
from bridge.store.db import Store
from bridge.store.ledger import Purchase, Source
from bridge.store.work import Work
from bridge.woo_client import WooClient


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The key of a purchase of another subscription."""

    purchase: int


def within(lines: Sequence[Line], known: Sequence[Purchase]) -> dict[Hashable, Hashable]:
    """Key -> that of the line it was switched for, of lines that were switched within their subscription."""
    made_of = {switched_from(line): key_of(line, known) for line in lines if switched_from(line)}
    there = {key_of(line, known) for line in lines}
    return {one.key: made_of[one.line_id] for one in known if one.line_id in made_of and one.key not in there}


class Switches:
    """Finds out what became of lines that are not there any more."""

    def __init__(self, store: Store, work: Work, shop: WooClient) -> None:
        self._store = store
        self._work = work
        self._shop = shop

    def into(
        self, subscription: Subscription, gone: Collection[Purchase], *, patient: bool
    ) -> dict[Hashable, Elsewhere]:
        """Before somebody's seat ends: the purchases of the customer's other subscriptions that these were switched
        into.

        Nobody shall be without access in between. Raises Unavailable for another subscription of which we have not
        heard, having owed a look at it, as long as we are ``patient``; and Refused if afterwards nobody can tell what
        a switched line gives.
        """
        customer = subscription.buyer.customer_id
        others = self._shop.subscriptions_of_customer(customer) if customer else []
        others = [one for one in others if one.id != subscription.id and subscribed(one) is not Standing.ENDED]
        if patient:
            self._heard_of([one for one in others if subscribed(one).gives])
        else:  # what was never paid for took nobody's line
            others = [one for one in others if subscribed(one) is not Standing.WAITS]
        by_line = {one.line_id: one.key for one in gone}
        switched = [(one, line) for one in others for line in one.lines if switched_from(line) in by_line]
        found = self._purchases(switched)
        missing = sorted({one.id for one, line in switched if line.id not in found})
        if missing:
            self._not_yet(missing, patient=patient)
        return {by_line[switched_from(line)]: Elsewhere(found[line.id]) for _, line in switched}

    def _heard_of(self, others: Collection[Subscription]) -> None:
        with self._store.read() as connection:
            seen = ledger.seen_subscriptions(connection, [one.id for one in others])
        unseen = [one.id for one in others if one.id not in seen or seen[one.id][0] != one.modified]
        if unseen:
            self._not_yet(unseen, patient=True)

    def _purchases(self, switched: Collection[tuple[Subscription, Line]]) -> dict[int, int]:
        """Line -> its purchase, of those that gave what they give."""
        found: dict[int, int] = {}
        with self._store.read() as connection:
            for one, line in switched:
                row = ledger.find_subscription(connection, one.id)
                if row is not None and row.stands != Standing.WAITS:
                    known = ledger.purchases_of(connection, Source("subscription", one.id))
                    ids = {its.key: its.id for its in known}
                    if (number := ids.get(key_of(line, known))) is not None:
                        found[line.id] = number
        return found

    def _not_yet(self, others: Sequence[int], *, patient: bool) -> None:
        first = ", ".join(map(str, others))
        if not patient:
            said = f"a line was switched into subscription {first}, which gives nothing yet: see what is wrong there"
            raise Refused(f"{said}. Until then its people stay where they are")
        self._work.mark_due(SUBSCRIPTION, *others)
        raise Unavailable(f"subscription {first} of the same customer has to be looked at first", system="shop")

    def look_where_they_sat(self, connection: Connection, subscription: Subscription) -> None:
        """Owe a look at other subscriptions that lines of this one were made of, while people sit there."""
        origins = list(_origins(subscription.lines))
        there = ledger.seats_by_line(connection, origins) if origins else []
        others = sorted({one for one, person in there if person is not None} - {subscription.id})
        self._work.mark(connection, SUBSCRIPTION, others)

    def was_others(self, connection: Connection, line: Line, buyer: int) -> bool:
        """Whether the line was made of one on which others sit, and not the buyer: the seats are theirs first."""
        origins = list(_origins([line]))
        sitting = {person for _, person in ledger.seats_by_line(connection, origins)} if origins else set()
        return bool(sitting - {None}) and buyer not in sitting


def _origins(lines: Sequence[Line]) -> Iterator[int]:
    return (origin for line in lines if (origin := switched_from(line)))
