"""Migrations: they lead to the tables that the code has, and lose nothing on the way."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Inspector, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

import bridge.store
from bridge.domain.enrolments import Held, Right, State
from bridge.domain.identity import Contact, Identity
from bridge.domain.offers import Offer, course
from bridge.domain.purchases import Line, Role, Seat
from bridge.errors import Unavailable
from bridge.store import learning, ledger, people
from bridge.store.db import Store, migrate, schema_is_current
from bridge.store.ledger import Source
from bridge.store.models import accounts, metadata, purchases, seats
from tests.postgres import Cluster

MIGRATIONS = Path(bridge.store.__file__).parent / "migrations"
THEN = datetime(2026, 11, 23, 9, 30, 15, 123_456, tzinfo=UTC)
LATER = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


NUMBERS = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def make_empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Databases without any table, of each kind."""
    made: list[Store] = []
    name = f"m{next(NUMBERS)}"

    def make() -> Store:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path / f'{len(made)}.sqlite3'}"
        else:
            cluster: Cluster = request.getfixturevalue("cluster")
            url = cluster.create(f"{name}_{len(made)}").replace("postgresql://", "postgresql+psycopg://")
        made.append(Store(url))
        return made[-1]

    yield make
    for store in made:
        store.close()


def config_of(store: Store) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = store.engine
    return config


# --- the shape -----------------------------------------------------------------------------------------------------


def test_the_migrations_lead_to_the_tables_that_the_code_has(make_empty: Callable[[], Store]) -> None:
    store = make_empty()
    migrate(store)
    with store.engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_migrated_and_made_at_once_are_the_same(make_empty: Callable[[], Store]) -> None:
    migrated, made = make_empty(), make_empty()
    migrate(migrated)
    metadata.create_all(made.engine)
    there, wanted = shape_of(inspect(migrated.engine)), shape_of(inspect(made.engine))
    assert there.pop("alembic_version")
    assert there == wanted


def shape_of(inspector: Inspector) -> dict[str, Any]:
    """Every table with its columns, keys and constraints, as the database tells them."""
    return {
        name: {
            "columns": {column["name"]: _column(column) for column in inspector.get_columns(name)},
            "key": inspector.get_pk_constraint(name),
            "foreign": sorted(repr(_foreign(key, inspector.dialect.name)) for key in inspector.get_foreign_keys(name)),
            "unique": sorted(map(repr, inspector.get_unique_constraints(name))),
            "checks": sorted(map(repr, inspector.get_check_constraints(name))),
            "indexes": sorted(map(_index, inspector.get_indexes(name))),
        }
        for name in inspector.get_table_names()
    }


def _foreign(key: Any, dialect: str) -> dict[str, Any]:
    """A foreign key. SQLite does not tell the name of one that came with its column."""
    return {**key, "name": None} if dialect == "sqlite" else dict(key)


def _index(index: Any) -> str:
    where = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return repr((index["name"], index["column_names"], bool(index["unique"]), sorted(where.items())))


def _column(column: Any) -> tuple[object, ...]:
    return repr(column["type"]), column["nullable"], column["default"]


def test_the_migrations_are_one_line_without_a_fork() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert len(scripts.get_heads()) == 1
    numbers = [script.revision for script in scripts.walk_revisions()]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == len(list((MIGRATIONS / "versions").glob("*.py")))


def test_tables_of_another_version_are_told_from_those_of_this_one(make_empty: Callable[[], Store]) -> None:
    store = make_empty()
    assert not schema_is_current(store)
    command.upgrade(config_of(store), "0001")
    assert not schema_is_current(store)
    with pytest.raises(Unavailable, match="run `bridge migrate`"), store.begin() as connection:
        learning.held_by(connection, 1)
    migrate(store)
    assert schema_is_current(store)


def test_nodes_that_start_together_take_turns(make_empty: Callable[[], Store]) -> None:
    first = make_empty()
    if first.is_sqlite:
        pytest.skip("several nodes share a PostgreSQL")
    program = "import sys; from bridge.store.db import Store, migrate; migrate(Store(sys.argv[1]))"
    nodes = [subprocess.Popen([sys.executable, "-c", program, first.url]) for _ in range(3)]
    assert [node.wait(timeout=60) for node in nodes] == [0, 0, 0]
    assert schema_is_current(first)


# --- nothing is lost -----------------------------------------------------------------------------------------------

Rows = list[dict[str, Any]]

PERSONS: Rows = [
    {"id": 3, "key": "k3", "customer_id": 33, "guest_email": None, "email": "mia@shop.test"},
    {"id": 5, "key": "k5", "customer_id": None, "guest_email": "noa@guest.test", "email": "noa@guest.test"},
    {"id": 9, "key": "k9", "customer_id": 99, "guest_email": None, "email": "leo@shop.test"},
]
ACCOUNTS: Rows = [
    {"person_id": 3, "email": "mia@shop.test", "totara_id": 55, "made_at": THEN},
    {"person_id": 5, "email": "noa@guest.test", "totara_id": None, "made_at": None},
]
ORDERS: Rows = [
    {"id": 1001, "status": "processing", "person_id": 3, "modified": THEN, "note_begun": "b", "note_written": "w"},
    {"id": 1002, "status": "cancelled", "person_id": 5, "modified": None, "note_begun": None, "note_written": None},
    {"id": 1003, "status": "pending", "person_id": None, "modified": THEN, "note_begun": None, "note_written": None},
    {"id": 1004, "status": "deleted", "person_id": 9, "modified": THEN, "note_begun": None, "note_written": None},
]
PURCHASES: Rows = [
    {"id": 11, "order_id": 1001, "line_id": 1, "course_id": 7, "quantity": 1},
    {"id": 12, "order_id": 1001, "line_id": 2, "course_id": None, "quantity": 40},
    {"id": 14, "order_id": 1001, "line_id": 3, "course_id": 8, "quantity": 3},
    {"id": 17, "order_id": 1002, "line_id": 1, "course_id": 7, "quantity": 1},
    {"id": 19, "order_id": 1004, "line_id": 9, "course_id": 8, "quantity": 0},
]
SEATS: Rows = [
    {"id": 21, "purchase_id": 11, "unit": 1, "person_id": 3, "since": THEN, "ended_at": None, "ended_why": None},
    {"id": 22, "purchase_id": 14, "unit": 1, "person_id": 5, "since": THEN, "ended_at": None, "ended_why": None},
    {"id": 23, "purchase_id": 14, "unit": 2, "person_id": None, "since": THEN, "ended_at": None, "ended_why": None},
    {"id": 24, "purchase_id": 14, "unit": 4, "person_id": None, "since": THEN, "ended_at": LATER, "ended_why": "less"},
    {"id": 28, "purchase_id": 17, "unit": 1, "person_id": 5, "since": THEN, "ended_at": LATER, "ended_why": "over"},
]
ENROLMENTS: Rows = [
    {"person_id": 3, "course_id": 7, "state": "active", "verified_at": LATER, "completed": True, "trouble": None},
    {"person_id": 5, "course_id": 7, "state": "suspended", "verified_at": None, "completed": False, "trouble": None},
    {"person_id": 5, "course_id": 8, "state": "wanted", "verified_at": None, "completed": None, "trouble": "closed"},
    {"person_id": 9, "course_id": 8, "state": "active", "verified_at": None, "completed": None, "trouble": None},
]
OTHERS: dict[str, dict[str, Any]] = {
    "work": {"kind": "order", "key": "1001", "due_at": THEN, "hints": 2, "attempts": 1, "reason": "so"},
    "products": {"course_id": 7, "product_id": 50, "sent": {"a": 1}, "seen": {}, "held": {}, "retired": True},
    "pictures": {"name": "7.png", "fingerprint": "f", "body": b"\x89PNG", "mime": "image/png"},
    "shelf": {"course_id": 7, "product_id": 50, "status": "publish", "verdict": "on sale", "read": True},
    "product_categories": {"category_id": 4, "term_id": 44, "sent": "s"},
    "notes": {"name": "sweep", "value": "2026-11-23T09:30:15+00:00", "at": THEN},
}


@pytest.fixture
def old(make_empty: Callable[[], Store]) -> Store:
    """A database of the first version, in which a shop has been at work."""
    store = make_empty()
    command.upgrade(config_of(store), "0001")
    names = {"first_name": "Mia", "last_name": "Ng", "created_at": THEN}
    fill(store, "persons", [row | names for row in PERSONS])
    fill(store, "accounts", ACCOUNTS)
    fill(store, "orders", [row | {"looked_at": LATER} for row in ORDERS])
    fill(store, "purchases", PURCHASES)
    fill(store, "seats", SEATS)
    fill(store, "enrolments", [row | {"since": THEN} for row in ENROLMENTS])
    for table, row in OTHERS.items():
        fill(store, table, [row])
    if not store.is_sqlite:  # as they stand after rows were given their ids by the database, some of which failed
        with store.begin() as connection:
            for table, last in (("persons", 12), ("purchases", 30), ("seats", 28)):
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last})"))
    return store


def fill(store: Store, table: str, rows: list[dict[str, Any]]) -> None:
    """Write rows as the first version did, whose columns the models know no more."""
    with store.begin() as connection:
        for row in rows:
            values = {name: _as_kept(store, table, name, value) for name, value in row.items()}
            names = ", ".join(f'"{name}"' for name in values)
            connection.execute(
                text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in values)})"), values
            )


def _as_kept(store: Store, table: str, name: str, value: Any) -> Any:
    if isinstance(value, datetime) and store.is_sqlite:
        return value.replace(tzinfo=None).isoformat(" ", "microseconds")
    if name in ("sent", "seen", "held", "value") and table in ("products", "notes"):
        return json.dumps(value)
    return value


def rows_of(store: Store, table: str) -> list[dict[str, Any]]:
    with store.begin() as connection:
        return [dict(row._mapping) for row in connection.execute(select(metadata.tables[table]))]


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Whether these rows are there, whatever else is known of them, and no others."""
    told = [{name: row[name] for name in expected[0]} for row in found]
    return sorted(map(repr, told)) == sorted(map(repr, expected))


def test_people_orders_and_all_that_did_not_change_are_kept(old: Store) -> None:
    migrate(old)
    assert same(rows_of(old, "persons"), PERSONS)
    assert same(rows_of(old, "accounts"), ACCOUNTS)
    assert same(rows_of(old, "orders"), ORDERS)
    for table, row in OTHERS.items():
        assert same(rows_of(old, table), [row])
    for order in rows_of(old, "orders"):
        assert (order["looked_at"], order["refunds"], order["payment"]) == (LATER, 0, None)


def test_what_was_bought_is_what_it_was(old: Store) -> None:
    migrate(old)
    found = {row["id"]: row for row in rows_of(old, "purchases")}
    assert sorted(found) == [row["id"] for row in PURCHASES]
    for row in PURCHASES:
        assert same([found[row["id"]]], [{name: row[name] for name in ("id", "order_id", "line_id", "quantity")}])
        assert found[row["id"]]["paid"] == row["quantity"]
        assert found[row["id"]]["subscription_id"] is None
    with old.begin() as connection:
        kept = {one.line_id: one.offer for one in ledger.purchases_of(connection, Source("order", 1001))}
    assert kept == {1: Offer((course(7),)), 2: Offer(), 3: Offer((course(8),))}
    items = {(row["purchase_id"], row["kind"], row["item_id"]) for row in rows_of(old, "purchase_items")}
    assert items == {(11, "course", 7), (14, "course", 8), (17, "course", 7), (19, "course", 8)}


def test_everybody_sits_where_they_sat(old: Store) -> None:
    migrate(old)
    found = rows_of(old, "seats")
    assert same(found, SEATS)
    assert {row["id"]: row["role"] for row in found} == {21: "buyer", 22: "buyer", 23: None, 24: None, 28: "buyer"}
    assert all(row["until"] is None for row in found)
    with old.begin() as connection:
        assert sorted(ledger.seats_of(connection, {14: "b"}), key=lambda seat: seat.id) == [
            Seat(22, "b", 1, 5, True, Role.BUYER),
            Seat(23, "b", 2, None, True),
            Seat(24, "b", 4, None, False, ended=LATER),
        ]
        assert learning.rights_of(connection, 3) == [Right(21, course(7))]
        assert learning.rights_of(connection, 5) == [Right(22, course(8))]


def test_access_stands_as_it_stood(old: Store) -> None:
    migrate(old)
    found = rows_of(old, "access")
    expected = [
        {name: value for name, value in row.items() if name != "course_id"}
        | {"kind": "course", "item_id": row["course_id"], "since": THEN}
        for row in ENROLMENTS
    ]
    assert same(found, expected)
    with old.begin() as connection:
        assert learning.held_by(connection, 3) == {
            course(7): Held(course(7), State.ACTIVE, True, times=1, completed=True, since=THEN)
        }
        assert learning.held_by(connection, 5) == {
            course(7): Held(course(7), State.SUSPENDED, False, completed=False, since=THEN),
            course(8): Held(course(8), State.WANTED, False, trouble="closed", since=THEN),
        }
        assert learning.orders_of(connection, 5) == [1001, 1002]


def test_an_order_that_gave_seats_is_known_to_have_been_paid(old: Store) -> None:
    migrate(old)
    stands = {row["id"]: row["stands"] for row in rows_of(old, "orders")}
    assert stands == {1001: "pays", 1002: "ended", 1003: "waits", 1004: "ended"}


def test_new_rows_get_new_ids(old: Store) -> None:
    migrate(old)
    with old.begin() as connection:
        line = Line(4, "First steps", 50, 0, 2)
        made = ledger.record_purchase(
            old, connection, Source("order", 1001), line, Offer((course(9),)), quantity=2, paid=2
        )
        again = ledger.record_purchase(
            old, connection, Source("order", 1001), line, Offer((course(9),)), quantity=3, paid=3
        )
        assert made == again
        assert made > max(row["id"] for row in PURCHASES)
        row = {"purchase_id": made, "unit": 1, "since": LATER}
        seat = connection.execute(insert(seats).values(row).returning(seats.c.id)).scalar_one()
        assert seat > max(row["id"] for row in SEATS)
        person = people.ensure_person(old, connection, _contact(), LATER)
        assert person > max(row["id"] for row in PERSONS)


def _contact() -> Contact:
    return Contact(Identity(None, "eva@guest.test"), "eva@guest.test")


def test_an_empty_database_of_the_first_version_counts_from_the_beginning(make_empty: Callable[[], Store]) -> None:
    store = make_empty()
    command.upgrade(config_of(store), "0001")
    migrate(store)
    with store.begin() as connection:
        ledger.record_order(store, connection, 1, None, status="processing", looked_at=THEN)
        offer = Offer((course(7),))
        line = Line(1, "First steps", 50, 0, 1)
        assert ledger.record_purchase(store, connection, Source("order", 1), line, offer, quantity=1, paid=1) >= 1


def test_to_migrate_again_changes_nothing(old: Store) -> None:
    migrate(old)
    before = {table.name: rows_of(old, table.name) for table in metadata.sorted_tables}
    migrate(old)
    assert {table.name: rows_of(old, table.name) for table in metadata.sorted_tables} == before
    assert schema_is_current(old)


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("seats", {"purchase_id": 11, "unit": 1, "since": THEN}),
        ("seats", {"purchase_id": 11, "unit": 0, "since": THEN}),
        ("seats", {"purchase_id": 99, "unit": 1, "since": THEN}),
        ("seats", {"purchase_id": 11, "unit": 2, "since": THEN, "person_id": 3}),
        ("seats", {"purchase_id": 11, "unit": 2, "since": THEN, "role": "buyer"}),
        ("seats", {"purchase_id": 11, "unit": 2, "since": THEN, "person_id": 77, "role": "buyer"}),
        ("purchases", {"order_id": 1001, "line_id": 1, "offer": {}, "quantity": 1}),
        ("purchases", {"line_id": 1, "offer": {}, "quantity": 1}),
        ("purchases", {"order_id": 1001, "subscription_id": 2001, "line_id": 8, "offer": {}, "quantity": 1}),
        ("purchases", {"order_id": 4711, "line_id": 1, "offer": {}, "quantity": 1}),
        ("purchase_items", {"purchase_id": 11, "kind": "course", "item_id": 7}),
        ("access", {"person_id": 3, "kind": "course", "item_id": 9, "state": "perhaps", "since": THEN}),
        ("access", {"person_id": 3, "kind": "course", "item_id": 7, "state": "active", "since": THEN}),
        ("accounts", {"person_id": 9, "email": "mia@shop.test"}),
        ("accounts", {"person_id": 9, "email": "leo@shop.test", "totara_id": 55}),
    ],
)  # fmt: skip
def test_afterwards_as_before_the_database_forbids_what_must_not_be(
    old: Store, table: str, row: dict[str, Any]
) -> None:
    migrate(old)
    with pytest.raises(IntegrityError), old.begin() as connection:
        connection.execute(insert(metadata.tables[table]), row)


def test_a_migration_that_fails_leaves_everything_as_it_was(old: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def count(connection: Connection) -> int:
        return int(connection.execute(text("SELECT count(*) FROM enrolments")).scalar_one())

    with old.engine.begin() as connection:  # in the way of a table to come
        connection.execute(text("CREATE TABLE letters (id INTEGER)"))
    with pytest.raises((Unavailable, ProgrammingError)):
        migrate(old)
    with old.engine.begin() as connection:
        assert count(connection) == len(ENROLMENTS)
        assert connection.execute(select(func.count()).select_from(accounts)).scalar_one() == len(ACCOUNTS)
        assert connection.execute(text("SELECT count(course_id) FROM purchases")).scalar_one() == 4
        assert inspect(connection).has_table("audit") is False
        connection.execute(text("DROP TABLE letters"))
    migrate(old)
    with old.engine.begin() as connection:
        assert connection.execute(select(func.count()).select_from(purchases)).scalar_one() == len(PURCHASES)


# --- teams ---------------------------------------------------------------------------------------------------------

TEAMS: Rows = [
    {"id": 4, "key": "a" * 24, "buyer_id": 3, "name": "Harbour", "approval": True, "made_at": THEN},
    {"id": 6, "key": "b" * 24, "buyer_id": 5, "name": "Mill", "approval": False, "made_at": LATER},
]
MEMBERS: Rows = [
    {"team_id": 4, "person_id": 3, "role": "owner", "asked_at": THEN, "accepted_at": THEN},
    {"team_id": 6, "person_id": 5, "role": "viewer", "asked_at": THEN, "accepted_at": None},
    {"team_id": 6, "person_id": 9, "role": "owner", "asked_at": THEN, "accepted_at": THEN},
]


def test_teams_keep_all_that_points_at_them_and_let_go_whoever_left(old: Store) -> None:
    """SQLite makes their table anew."""
    command.upgrade(config_of(old), "0016")
    fill(old, "teams", TEAMS)
    fill(old, "team_members", MEMBERS)
    with old.begin() as connection:
        connection.execute(text("UPDATE purchases SET team_id = 4 WHERE id = 14"))
    migrate(old)
    assert same(rows_of(old, "teams"), [TEAMS[0], {**TEAMS[1], "buyer_id": None}])
    assert same(rows_of(old, "team_members"), MEMBERS)
    assert {row["id"] for row in rows_of(old, "purchases") if row["team_id"] == 4} == {14}
    for wrong in ("DELETE FROM teams WHERE id = 4", "UPDATE purchases SET team_id = 5 WHERE id = 14"):
        with pytest.raises(IntegrityError), old.begin() as connection:
            connection.execute(text(wrong))
    with old.begin() as connection:
        row = {"key": "c" * 24, "name": "", "made_at": THEN}
        made = connection.execute(insert(metadata.tables["teams"]).values(row)).inserted_primary_key
        if old.is_sqlite:
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    assert made is not None
