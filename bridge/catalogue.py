"""The catalogue: courses become products. Plan, look at the plan, and have it carried out.

Everything goes some hundreds at a time, and the plan lies in the database (see store/shelf.py), so that memory does not
grow with the catalogue; of a course that was read, a run keeps no more than its id. Nothing is written to the shop
before both sides have been read to the end and the plan as a whole is found sound: an answer that is cut short or
empty changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select, update

from bridge.catalogue_plan import Planner, Progress
from bridge.catalogue_writer import CatalogueWriter
from bridge.domain.catalogue import Change, Rules, Totals, digest, too_much
from bridge.domain.lms import Tree
from bridge.errors import Refused
from bridge.settings import Settings
from bridge.store import ledger
from bridge.store.db import Store, utc_now
from bridge.store.models import products
from bridge.store.shelf import Shelf, plan_that_lies, unsettle
from bridge.totara_client import TotaraClient
from bridge.woo_client import WooClient

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that lies on the shelf, the run that made it, and Totara's categories as they were then."""

    totals: Totals
    shelf: Shelf
    tree: Tree


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did: how many products by action, and what could not be done."""

    totals: Totals
    done: Mapping[str, int]
    troubles: Sequence[str] = ()


class CatalogueSync:
    """One catalogue. Only one run may go on at a time: hold the work row ("catalogue", "all") around each method.

    A run whose hold was lost, and that another has overtaken, raises Unavailable at its next step.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        shop: WooClient,
        totara: TotaraClient,
        *,
        now: Callable[[], datetime] = utc_now,
        progress: Progress = lambda stage, done, total: None,
    ) -> None:
        self._config = settings.catalogue
        self._language = settings.shop.language
        self._public_url = settings.server.public_url
        self._store = store
        self._shop = shop
        self._totara = totara
        self._now = now
        self._progress = progress
        self._rules = Rules(self._config.allow, self._config.deny)

    def sync(self) -> None:
        """Plan and apply. Raises Refused when the plan would change too much, or when parts of it could not be done."""
        outcome = self.apply(self.plan())
        if outcome.troubles:
            shown = "; ".join(outcome.troubles[:10])
            more = f"; and {len(outcome.troubles) - 10} more" if len(outcome.troubles) > 10 else ""
            raise Refused(f"{len(outcome.troubles)} products could not be made right: {shown}{more}")

    def plan(self, *, afresh: bool = False) -> Plan:
        """Read both sides, and put down what each product needs and why. Changes nothing in the shop.

        ``afresh`` works everything out again, whatever is remembered of the last time.
        """
        shelf = Shelf.taken_over(self._store, self._now())
        tree = self._totara.tree()
        if unknown := self._rules.unknown_categories(tree):
            raise Refused(
                f"nothing was changed: rules name categories that Totara does not show: {', '.join(map(str, unknown))} "
                "(give a category's id or name; its ID number is shown only to accounts with moodle/category:manage)"
            )
        planner = Planner(
            shelf,
            tree,
            self._shop,
            self._totara,
            self._config,
            language=self._language,
            progress=self._progress,
        )
        return Plan(planner.plan(afresh=afresh), shelf, tree)

    def changes(self) -> Iterator[Change]:
        """The plan as it lies there: everything that has something to say."""
        for row in plan_that_lies(self._store):
            yield Change(row.action, row.course_id, row.product_id, row.reason, row.fields or {})

    def fingerprint(self) -> str:
        """A short name for the plan as it lies there: the same plan has the same name."""
        summing = hashlib.sha256()
        for change in self.changes():
            summing.update(digest([change.action, change.course_id, change.product_id, change.fields]).encode())
        return summing.hexdigest()[:12]

    def apply(self, plan: Plan, *, anyway: bool = False) -> Outcome:
        """Carry out the plan, and nothing else. Raises Refused when it would change too much."""
        totals = plan.totals
        why = too_much(totals, share=self._config.max_change, count=self._config.max_change_count)
        if why and not anyway:
            raise Refused(
                f"nothing was changed: {why}. See `bridge catalogue plan`, then `bridge catalogue apply --anyway`"
            )
        writer = CatalogueWriter(
            plan.shelf,
            plan.tree,
            self._store,
            self._shop,
            self._totara,
            language=self._language,
            public_url=self._public_url,
        )
        todo = totals.create + totals.adopt + totals.update + totals.retire
        writer.write(lambda finished: self._progress("writing to the shop", finished, todo))
        with plan.shelf.writing() as connection:
            summary = {
                "courses": totals.courses,
                "unresolved": plan.shelf.strangers(connection),
                "troubles": len(writer.troubles),
                **writer.done,
            }
            ledger.write_note(self._store, connection, "catalogue", summary, self._now())
        if writer.done or writer.troubles:
            log.info("catalogue applied", **writer.done, troubles=len(writer.troubles))
        return Outcome(totals, writer.done, writer.troubles)

    def hand_back(self, course_id: int, fields: Collection[str] = ()) -> list[str]:
        """Take fields back from the shop's staff: the next run writes them again. All held ones if none are named."""
        with self._store.begin() as connection:
            row = connection.execute(select(products).where(products.c.course_id == course_id)).first()
            if row is None:
                raise Refused(f"course {course_id} has no product of ours")
            back = sorted(set(row.held) & set(fields) if fields else set(row.held))
            left = sorted(set(row.held) - set(back))
            sent = {name: value for name, value in row.sent.items() if name not in back}
            seen = {name: value for name, value in row.seen.items() if name not in back}
            connection.execute(
                update(products).where(products.c.course_id == course_id).values(held=left, sent=sent, seen=seen)
            )
            unsettle(connection, course_id)
        return back
