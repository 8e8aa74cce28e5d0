"""The audit log: only ever added to, and sealed so that whoever alters it after all is found out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from bridge.store import audit as log
from bridge.store.audit import FIRST, Verified, note, seal, trail, verify
from bridge.store.db import Store
from bridge.store.models import audit, audit_seals

THEN = datetime(2026, 11, 23, 9, 30, 15, 123_456, tzinfo=UTC)


def write(store: Store, count: int, first: int = 1) -> None:
    """So many entries, about as many orders."""
    with store.begin() as connection:
        for number in range(first, first + count):
            facts = {
                "item": f"course {number}",
                "until": None,
                "n": 0.1 * number,
                "name": "Café",
                "of": {"b": 1, "a": 2},
            }
            note(connection, "access given", "a seat pays for it", THEN, order_id=number, facts=facts)


def verified(store: Store, head: str = "") -> Verified:
    with store.read() as connection:
        return verify(connection, head)


@contextmanager
def unguarded(store: Store) -> Iterator[Connection]:
    """A connection of somebody who owns the database, and so can do what the bridge can't."""
    with store.engine.connect() as connection, connection.begin():
        if store.is_sqlite:
            names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            for name in names:
                connection.execute(text(f"DROP TRIGGER {name}"))
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection


# --- written down --------------------------------------------------------------------------------------------------


def test_an_entry_says_what_happened_by_whom_and_why(store: Store) -> None:
    with store.begin() as connection:
        note(connection, "access given", "a seat pays for it", THEN, person_id=7, facts={"item": "course 12"})
        note(connection, "seat ended", "they asked for it", THEN, actor="mia" * 30, order_id=1, subscription_id=2)
    with store.read() as connection:
        first, second = connection.execute(select(audit).order_by(audit.c.id)).all()
    assert (first.at, first.actor, first.event, first.cause) == (THEN, "bridge", "access given", "a seat pays for it")
    assert (first.person_id, first.order_id, first.facts) == (7, None, {"item": "course 12"})
    assert second.actor == ("mia" * 30)[:64]
    assert (second.order_id, second.subscription_id, second.facts) == (1, 2, {})


def test_an_entry_is_there_only_if_what_it_tells_of_is(store: Store) -> None:
    def fail() -> None:
        with store.begin() as connection:
            note(connection, "access given", "a seat pays for it", THEN)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert verified(store) == Verified(0, 0, FIRST, ())


def test_a_trail_tells_what_happened_to_each_in_order(store: Store) -> None:
    with store.begin() as connection:
        entries: list[tuple[int, str, dict[str, Any]]] = [
            (2, "third", {"order_id": 5}),
            (0, "first", {"order_id": 5, "person_id": 7}),
            (1, "second", {"subscription_id": 6}),
            (1, "other", {"order_id": 6, "person_id": 5}),
        ]
        for minutes, event, about in entries:
            note(connection, event, "so", THEN + timedelta(minutes=minutes), **about)
    with store.read() as connection:
        assert [row.event for row in trail(connection, orders=[5])] == ["first", "third"]
        assert [row.event for row in trail(connection, persons=[7])] == ["first"]
        assert [row.event for row in trail(connection, orders=[5], subscriptions=[6])] == ["first", "second", "third"]
        assert trail(connection, persons=[99]) == []


def test_a_trail_of_nothing_is_empty(store: Store) -> None:
    write(store, 2)
    with store.read() as connection:
        assert trail(connection) == []


# --- only added to -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [audit, audit_seals], ids=str)
@pytest.mark.parametrize("change", ["update", "delete", "empty", "replace"])
def test_the_database_refuses_to_alter_or_delete_an_entry_or_a_seal(store: Store, table: Any, change: str) -> None:
    write(store, 3)
    seal(store)
    key, text_column = (audit.c.id, "cause") if table is audit else (audit_seals.c.number, "hash")
    with store.read() as connection:
        before = connection.execute(select(table)).all()
    row = dict(before[0]._mapping)
    statements = {
        "update": update(table).where(key == 1).values({text_column: "another"}),
        "delete": delete(table).where(key == 3),
        "empty": delete(table),
        "replace": store.insert(table)
        .values({**row, text_column: "another"})
        .on_conflict_do_update(index_elements=[key], set_={text_column: "another"}),
    }
    with pytest.raises(DBAPIError, match="the audit log is only ever added to"), store.engine.begin() as connection:
        connection.execute(statements[change])
    with store.read() as connection:
        assert connection.execute(select(table)).all() == before


@pytest.mark.parametrize("statement", ["TRUNCATE audit CASCADE", "TRUNCATE audit_seals", "TRUNCATE audit, audit_seals"])
def test_postgresql_refuses_to_truncate_the_log(store: Store, statement: str) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite has no TRUNCATE")
    write(store, 3)
    seal(store)
    with pytest.raises(DBAPIError, match="the audit log is only ever added to"), store.engine.begin() as connection:
        connection.execute(text(statement))
    assert verified(store).sealed == 3


def test_nor_is_an_entry_replaced_by_the_way_that_sqlite_has_for_it(store: Store) -> None:
    if not store.is_sqlite:
        pytest.skip("PostgreSQL has no such statement")
    write(store, 1)
    seal(store)
    replace = insert(audit).prefix_with("OR REPLACE")
    row = {"id": 1, "at": THEN, "actor": "bridge", "event": "another", "cause": "so", "facts": {}}
    with pytest.raises(DBAPIError, match="the audit log is only ever added to"), store.engine.begin() as connection:
        connection.execute(replace, row)
    replace = insert(audit_seals).prefix_with("OR REPLACE")
    with pytest.raises(DBAPIError, match="the audit log is only ever added to"), store.engine.begin() as connection:
        connection.execute(replace, {"number": 1, "audit_id": 1, "hash": FIRST})
    assert verified(store).problems == ()


# --- sealed --------------------------------------------------------------------------------------------------------


def test_sealed_in_several_goes_it_is_one_chain(store: Store, reset_database: Any) -> None:
    write(store, 5)
    assert seal(store) == 5
    assert seal(store) == 0
    at_once = verified(store)
    assert (at_once.sealed, at_once.unsealed, at_once.problems) == (5, 0, ())

    store.close()
    reset_database()
    write(store, 3)
    assert [seal(store, most=2), seal(store, most=2)] == [2, 1]
    half = verified(store)
    write(store, 2, first=4)
    assert verified(store) == Verified(3, 2, half.head, ())
    assert seal(store, most=2) == 2
    assert verified(store, half.head) == at_once


def test_every_entry_changes_the_head(store: Store) -> None:
    heads = [verified(store).head]
    assert heads == [FIRST]
    for number in range(1, 4):
        write(store, 1, first=number)
        seal(store)
        heads.append(verified(store).head)
    assert len(set(heads)) == 4
    assert all(verified(store, head).problems == () for head in heads), "each was the head once"


def test_an_entry_that_was_written_earlier_and_committed_later_is_sealed_too(store: Store) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    with store.engine.begin() as slow:
        note(slow, "access given", "a slow one", THEN)
        write(store, 2)
        assert seal(store) == 2
    assert verified(store).unsealed == 1
    assert seal(store) == 1
    with store.read() as connection:
        order = connection.execute(select(audit_seals.c.audit_id).order_by(audit_seals.c.number)).scalars().all()
    assert order == [2, 3, 1]
    assert verified(store) == Verified(3, 0, verified(store).head, ())


def test_two_who_seal_at_once_make_no_two_chains(store: Store) -> None:
    write(store, 40)
    failed: list[BaseException] = []

    def go() -> None:
        try:
            while seal(store, most=3):
                pass
        except DBAPIError as err:  # the key on the number refuses the second; its work is tried again
            failed.append(err)

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while seal(store):
        pass
    found = verified(store)
    assert (found.sealed, found.unsealed, found.problems) == (40, 0, ())
    assert len(failed) < 3


def test_a_hash_does_not_depend_on_how_the_database_tells_the_time(store: Store) -> None:
    write(store, 1)
    with store.read() as connection:
        row = connection.execute(select(audit)).one()
    elsewhere = Row({**row._mapping, "at": row.at.astimezone(timezone(timedelta(hours=9)))})
    assert log.hash_of(FIRST, elsewhere) == log.hash_of(FIRST, row)  # type: ignore[arg-type]


class Row:
    """A row with values of the test's own."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._mapping = values
        self.at = values["at"]


# --- found out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("cause", "another"),
        ("actor", "mia"),
        ("event", "seat given"),
        ("order_id", 99),
        ("order_id", None),
        ("subscription_id", 3),
        ("person_id", 3),
        ("at", THEN + timedelta(microseconds=1)),
        ("facts", {"item": "course 3"}),
    ],
)
def test_an_entry_that_was_altered_is_found(store: Store, column: str, value: Any) -> None:
    write(store, 5)
    seal(store)
    head = verified(store).head
    with unguarded(store) as connection:
        connection.execute(update(audit).where(audit.c.id == 3).values({column: value}))
    assert verified(store, head).problems == ("entry 3 is not what was sealed as number 3",)


def test_a_seal_that_was_made_to_fit_is_found_by_the_next(store: Store) -> None:
    write(store, 4)
    seal(store)
    with unguarded(store) as connection:
        connection.execute(update(audit).where(audit.c.id == 2).values(cause="another"))
        rows = {row.id: row for row in connection.execute(select(audit))}
        before = connection.execute(select(audit_seals.c.hash).where(audit_seals.c.number == 1)).scalar_one()
        forged = log.hash_of(before, rows[2])
        connection.execute(update(audit_seals).where(audit_seals.c.number == 2).values(hash=forged))
    assert verified(store).problems == ("entry 3 is not what was sealed as number 3",)


def test_an_entry_that_was_deleted_is_found(store: Store) -> None:
    write(store, 3)
    seal(store)
    with store.engine.connect() as connection:
        if store.is_sqlite:
            connection.execute(text("ROLLBACK"))
            for statement in ("PRAGMA foreign_keys = OFF", "DROP TRIGGER audit_no_delete", "BEGIN"):
                connection.exec_driver_sql(statement)
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(delete(audit).where(audit.c.id == 2))
        connection.commit()
        connection.invalidate()
    assert verified(store).problems == ("entry 2 is not what was sealed as number 2",)


def test_a_seal_that_is_missing_is_found(store: Store) -> None:
    write(store, 4)
    seal(store)
    with unguarded(store) as connection:
        connection.execute(delete(audit_seals).where(audit_seals.c.number == 2))
    found = verified(store)
    assert found.problems == ("seal 2 is missing", "entry 3 is not what was sealed as number 3")
    assert (found.sealed, found.unsealed) == (3, 1)


def test_an_end_that_was_cut_off_is_found_by_whoever_kept_the_head(store: Store) -> None:
    write(store, 3)
    seal(store)
    earlier = verified(store).head
    write(store, 2, first=4)
    seal(store)
    head = verified(store).head
    with unguarded(store) as connection:
        connection.execute(delete(audit_seals).where(audit_seals.c.number > 3))
        connection.execute(delete(audit).where(audit.c.id > 3))
    assert verified(store).problems == (), "nothing in the log itself tells"
    assert verified(store, earlier).problems == ()
    (problem,) = verified(store, head).problems
    assert "the end was cut off" in problem


def test_a_chain_that_was_made_anew_is_found_by_whoever_kept_the_head(store: Store) -> None:
    write(store, 3)
    seal(store)
    head = verified(store).head
    with unguarded(store) as connection:
        connection.execute(delete(audit_seals))
        connection.execute(update(audit).where(audit.c.id == 2).values(cause="another"))
    seal(store)
    assert verified(store).problems == ()
    assert len(verified(store, head).problems) == 1


def test_more_entries_than_are_read_at_once_are_walked_through(store: Store) -> None:
    with store.begin() as connection:
        row = {"at": THEN, "actor": "bridge", "event": "tick", "cause": "so", "facts": {}}
        connection.execute(insert(audit), [row] * 2_100)
    while seal(store) == 1_000:
        pass
    found = verified(store)
    assert (found.sealed, found.unsealed, found.problems) == (2_100, 0, ())
    with unguarded(store) as connection:
        connection.execute(update(audit).where(audit.c.id == 2_050).values(cause="another"))
    assert verified(store, found.head).problems == ("entry 2050 is not what was sealed as number 2050",)
