"""A whole world for a test: a shop, a Totara, and a bridge between them, on one of the two databases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from click.testing import Result
from sqlalchemy import select, update
from werkzeug.test import Client

from bridge.sandbox.clock import Clock as WallClock
from bridge.sandbox.server import Served
from bridge.sandbox.shop import Shop
from bridge.sandbox.totara import Totara
from bridge.settings import Settings
from bridge.store import models
from bridge.wiring import Bridge
from bridge.worker import Worker

Offering = Callable[[str], None]  # takes the text of an offers file

SECRET = "a-secret-of-the-shop-0123"


class Clock:
    """A clock that stands still until a test moves it. In seconds since 1970."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def settings_for(database: str, shop_url: str, totara_url: str, **sections: Mapping[str, Any]) -> Settings:
    """Settings for the embedded systems at these addresses."""
    values: dict[str, dict[str, Any]] = {
        "database": {"url": database},
        "shop": {
            "url": shop_url,
            "consumer_key": "ck_sandbox",
            "consumer_secret": "cs_sandbox",
            "webhook_secrets": [SECRET],
        },
        "totara": {
            "url": totara_url,
            "client_id": "sandbox-client",
            "client_secret": "sandbox-client-secret",
            "ws_token": "sandbox-ws-token",
            "tenant": "academy",
        },
        "catalogue": {
            "allow": [{"shortname": "*"}],
            "deny": [{"category": "Enforcement (restricted)"}],
            "prices": [{"shortname": "*", "price": "100.00"}],
        },
        "work": {"backoff_seconds": 0.01, "backoff_cap_seconds": 0.02, "breaker_seconds": 0.05, "read_tries": 1},
        "orders": {},
        "server": {},
    }
    for section, fields in sections.items():
        values.setdefault(section, {}).update(fields)
    return Settings(**values)  # type: ignore[arg-type]


class World:
    """The three of them, on one clock that can be set. Deliveries and work are done when a test says so."""

    def __init__(self, database: str, *, subscriptions: bool = False, **sections: Mapping[str, Any]) -> None:
        self.clock = WallClock()
        self.shop = Shop(now=self.clock, subscriptions=subscriptions)
        self.totara = Totara(now=self.clock)
        self.totara.add_tenant("academy", "Academy")
        self.tenant_category = self.totara.tenant("academy").category_id
        self.served = [Served(self.shop.app).start(), Served(self.totara.app).start()]
        self.database = database
        self.restricted = self.totara.add_category("Enforcement (restricted)")
        self.public = self.totara.add_category("Public")
        self.suspensions: list[tuple[str, int]] = []  # (address, course), in the order in which Totara was told
        self._sees_suspensions()
        self._sections = sections
        self._bridges: list[Bridge] = []
        self.bridge = self.new_bridge()
        self.web = Client(self.bridge.web())

    def new_bridge(self, **sections: Mapping[str, Any]) -> Bridge:
        """Another bridge on the same database: another process, as far as it knows."""
        shop, totara = self.served
        made = Bridge(settings_for(self.database, shop.url, totara.url, **{**self._sections, **sections}), self.now)
        self._bridges.append(made)
        return made

    def restart(self, **sections: Mapping[str, Any]) -> None:
        """The bridge again, with other settings: what it did not write down is forgotten."""
        self.bridge = self.new_bridge(**sections)
        self.web = Client(self.bridge.web())

    def _sees_suspensions(self) -> None:
        enrol = self.totara.enrol

        def seen(user: int, course: int, **how: Any) -> None:
            before = self.totara.enrolments.get((user, course))
            enrol(user, course, **how)
            if before and before.status == "active" and self.totara.enrolments[user, course].status == "suspended":
                self.suspensions.append((self.totara.users[user].email.lower(), course))

        self.totara.enrol = seen  # type: ignore[method-assign, assignment]

    def now(self) -> datetime:
        """The moment it is for all three."""
        return datetime.fromtimestamp(self.clock(), UTC)

    @property
    def worker(self) -> Worker:
        """A worker of the bridge."""
        return self.bridge.worker()

    def course(self, code: str, *, category: int | None = None, **fields: Any) -> int:
        """A course in Totara."""
        return self.totara.add_course(
            fields.pop("name", f"Course {code}"), shortname=code, category=category or self.public, **fields
        )

    def sell(self, course_id: int, price: str = "100.00") -> int:
        """A product of the shop that gives the course, and that the bridge knows."""
        product = self.shop.add_product(f"Course {course_id}", sku=f"totara-course-{course_id}", price=price)
        self.know(course_id, product)
        return product

    def know(self, course_id: int, product: int) -> None:
        """The bridge remembers the product as the course's."""
        with self.bridge.store.begin() as connection:
            connection.execute(
                models.products.insert().values(course_id=course_id, product_id=product, sent={}, seen={}, held=[])
            )

    def product(self, course_id: int) -> dict[str, Any]:
        """The one product of the shop that has the course's SKU."""
        found = [p for p in self.shop.products.values() if p["sku"] == f"totara-course-{course_id}"]
        assert len(found) == 1, f"{len(found)} products for course {course_id}"
        return found[0]

    def owe(self, kind: str, *keys: object) -> None:
        """Mark something due by hand."""
        self.bridge.work.mark_due(kind, *keys)

    def settle(self, worker: Worker | None = None) -> int:
        """Do everything that is owed now, and what follows from it."""
        return (worker or self.worker).drain()

    def look(self, *orders: int) -> None:
        """Have the bridge look at these orders, and do what follows from it."""
        self.owe("order", *orders)
        self.settle()

    def pass_time(self, seconds: float = 3600.0) -> None:
        """Let whatever waits for its time be due."""
        t = models.work
        with self.bridge.store.begin() as connection:
            connection.execute(
                update(t)
                .where(t.c.due_at.is_not(None))
                .values(due_at=self.now() - timedelta(seconds=1), lease_until=None, lease_owner=None)
            )
        for breaker in self.bridge.breakers.values():
            breaker.note(True)

    def access(self) -> dict[tuple[str, int], str]:
        """Who is enrolled in what, as Totara has it: (address, course) -> "active" or "suspended"."""
        return {
            (self.totara.users[user].email.lower(), course): enrolment.status
            for (user, course), enrolment in self.totara.enrolments.items()
        }

    def user(self, address: str) -> int:
        """The Totara account that has this address."""
        found = self.totara.user_by_email(address)
        assert found is not None, f"nobody has {address}"
        return found.id

    def told(self, order: int) -> str:
        """The last note that the bridge wrote on an order; "" for none."""
        ours = [note["note"] for note in self.shop.notes[order] if "Learning access" in note["note"]]
        return ours[-1] if ours else ""

    def rows(self, table: str) -> list[Any]:
        """All rows of a table of the bridge."""
        with self.bridge.store.read() as connection:
            return list(connection.execute(select(models.metadata.tables[table])))

    def parked(self) -> dict[str, str]:
        """What needs a person: "kind key" -> reason."""
        return {f"{p.kind} {p.key}": p.reason for p in self.bridge.work.parked()}

    def close(self) -> None:
        """Leave nothing running."""
        for bridge in self._bridges:
            bridge.store.close()
        for served in self.served:
            served.stop()


def environment(world: World, **more: str) -> dict[str, str]:
    """The settings of the world, as the environment of a process."""
    shop, totara = world.served
    rules = {
        "BRIDGE_CATALOGUE_ALLOW": '[{"shortname": "*"}]',
        "BRIDGE_CATALOGUE_DENY": '[{"category": "Enforcement (restricted)"}]',
        "BRIDGE_CATALOGUE_PRICES": '[{"shortname": "*", "price": "100.00"}]',
    }
    return {
        "BRIDGE_DATABASE_URL": world.database,
        "BRIDGE_SHOP_URL": shop.url,
        "BRIDGE_SHOP_CONSUMER_KEY": "ck_sandbox",
        "BRIDGE_SHOP_CONSUMER_SECRET": "cs_sandbox",
        "BRIDGE_SHOP_WEBHOOK_SECRETS": SECRET,
        "BRIDGE_TOTARA_URL": totara.url,
        "BRIDGE_TOTARA_CLIENT_ID": "sandbox-client",
        "BRIDGE_TOTARA_CLIENT_SECRET": "sandbox-client-secret",
        "BRIDGE_TOTARA_WS_TOKEN": "sandbox-ws-token",
        "BRIDGE_TOTARA_TENANT": "academy",
        "BRIDGE_WORK_READ_TRIES": "1",
        "BRIDGE_LOG_LEVEL": "warning",
        **rules,
        **more,
    }


#: Runs ``bridge …`` with a world's settings.
Run = Callable[..., Result]


@contextmanager
def logging_kept() -> Iterator[None]:
    """Whatever is done to this process's logging inside of it is undone: what :func:`bridge.logs.set_up` changes."""
    loggers = [logging.getLogger(name) for name in (None, "urllib3", "urllib3.connection")]
    before = [(logger.handlers[:], logger.level) for logger in loggers]
    events = structlog.get_config()
    try:
        yield
    finally:
        for logger, (handlers, level) in zip(loggers, before, strict=True):
            logger.handlers[:] = handlers
            logger.setLevel(level)
        structlog.configure(**events)
