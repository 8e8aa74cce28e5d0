"""What is on record of a team: who did what and when, and what was ordered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from flask import Blueprint, request
from werkzeug.wrappers import Response

from bridge.domain.teams import Action
from bridge.domain.texts import plain
from bridge.errors import BridgeError
from bridge.office import Actor
from bridge.store import audit, placing
from bridge.store.db import Store
from bridge.store.placing import Bought
from bridge.store.signon import Visit
from bridge.web.browser import words_asked_for
from bridge.web.teams.door import Door
from bridge.web.teams.telling import told
from bridge.woo_client import WooClient
from bridge.woo_rows import Billed

log = structlog.get_logger()

#: Entries and purchases of one page.
MOST, MOST_ORDERS = 50, 25


@dataclass(frozen=True, slots=True)
class Billings:
    """Reads from the shop whom orders were billed to; ``po_meta`` are the keys of purchase-order numbers."""

    shop: WooClient
    po_meta: Sequence[str]

    def of(self, bought: Sequence[Bought]) -> Told:
        """What the shop tells of these; that it is away is told, and raises nothing."""
        orders = sorted({one.order for one in bought if one.order is not None})
        others = sorted({one.subscription for one in bought if one.order is None and one.subscription is not None})
        try:
            return Told(self.shop.billed("orders", orders), self.shop.billed("subscriptions", others))
        except BridgeError as err:
            log.warning("a team's orders can't be read", error=str(err))
            return Told(away=True)

    def purchase_order(self, billed: Billed) -> str:
        """The purchase-order number, "" for none."""
        return next((billed.meta[key].strip() for key in self.po_meta if billed.meta.get(key, "").strip()), "")


@dataclass(frozen=True, slots=True)
class Told:
    """What the shop told. ``away``: nothing."""

    orders: Mapping[int, Billed] = field(default_factory=dict)
    subscriptions: Mapping[int, Billed] = field(default_factory=dict)
    away: bool = False

    def of(self, one: Bought) -> Billed | None:
        """Of one purchase; None of what is not there any more."""
        return self.orders.get(one.order) if one.order is not None else self.subscriptions.get(one.subscription or 0)


def add_records(blueprint: Blueprint, door: Door, store: Store, billings: Billings) -> None:
    """``/team/KEY/history`` and ``/team/KEY/orders``."""

    @blueprint.get("/<key>/history")
    @door.guards(Action.HISTORY)
    def history(*, actor: Actor, visit: Visit) -> Response:
        """Who did what and when, the newest first."""
        with store.read() as connection:
            entries = audit.of_team(connection, actor.team.id, most=MOST + 1, before=_before())
            lines = told(connection, actor, entries[:MOST], words_asked_for())
        earlier = entries[MOST - 1].id if len(entries) > MOST else None
        return door.page("history", actor, visit, lines=lines, earlier=earlier, later=_before() is not None)

    @blueprint.get("/<key>/orders")
    @door.guards(Action.ORDERS)
    def orders(*, actor: Actor, visit: Visit) -> Response:
        """What was bought, by which orders. Only the team's own are ever asked for."""
        with store.read() as connection:
            bought = placing.orders_of_team(connection, actor.team.id, most=MOST_ORDERS + 1, before=_before())
        shown = bought[:MOST_ORDERS]
        earlier = shown[-1].id if len(bought) > MOST_ORDERS else None
        shop, language = billings.of(shown), words_asked_for()["language"]
        rows = [(one, plain(one.name, language), shop.of(one)) for one in shown]
        more: dict[str, Any] = {"earlier": earlier, "later": _before() is not None, "po": billings.purchase_order}
        return door.page("orders", actor, visit, rows=rows, away=shop.away, **more)


def _before() -> int | None:
    """After which entry the page begins."""
    word = request.args.get("before", "")
    return int(word) if word.isascii() and word.isdigit() and len(word) < 19 else None
