"""Writes that belong together, and transactions that are shared. On both databases."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, bindparam, event, insert, select

from bridge.errors import Unavailable
from bridge.store import signon
from bridge.store.db import Store, utc_now
from bridge.store.models import Moment, used, visits
from bridge.store.together import Together, gone, named, put
from bridge.store.work import CHANNEL, Work

NOW = utc_now()
USE = {"used_name": "a token", "used_until": NOW + timedelta(minutes=1)}
OWED = ("one", "two")


def together(store: Store) -> Together:
    values = {"name": bindparam("used_name"), "until": bindparam("used_until", type_=Moment)}
    first = store.insert(used).values(values).on_conflict_do_nothing().returning(used.c.name)
    begun = put(store, visits, ("name", "target", "form", "began", "seen"), of=("visit",))
    return Together(store, first, begun, gone(visits, visits.c.name == bindparam("old")), Work(store).marking(OWED))


def values_of(work: Work, visit: str, old: str = "") -> dict[str, Any]:
    row = {"name": visit, "target": "home", "form": "", "began": NOW, "seen": NOW}
    owed = named("one", work.owed("customer", 5)) | named("two", work.owed("order", 7))
    return {**USE, **named("visit", row), **owed, "old": old}


def names(store: Store) -> list[str]:
    with store.read() as connection:
        return sorted(connection.execute(select(visits.c.name)).scalars())


def test_what_follows_is_written_if_the_first_did_something_and_only_then(store: Store) -> None:
    work, write = Work(store), together(store)
    assert store.together(partial(write, values=values_of(work, "first")))
    assert not store.together(partial(write, values=values_of(work, "second", old="first")))
    assert names(store) == ["first"], "nothing was put in, and nothing taken out"
    later = {**values_of(work, "third", old="first"), "used_name": "another token"}
    assert store.together(partial(write, values=later))
    assert names(store) == ["third"]
    for kind, key in (("customer", "5"), ("order", "7")):
        row = work.find(kind, key)
        assert row is not None
        assert (row.hints, row.due_at is not None) == (2, True)


def test_on_postgresql_it_is_one_statement_and_whoever_listens_is_told(store: Store) -> None:
    if store.is_sqlite:
        pytest.skip("waits for no server")
    done: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *given: done.append(given[2]))
    work, write = Work(store), together(store)
    with psycopg.connect(store.url.replace("+psycopg", ""), autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        assert store.together(partial(write, values=values_of(work, "first")))
        assert len(list(listener.notifies(timeout=0.2))) == 1
        assert not store.together(partial(write, values=values_of(work, "second")))
        assert list(listener.notifies(timeout=0.2)) == []
    assert len(done) == 2


# --- transactions that are shared ------------------------------------------------------------------------------------


def begins(name: str) -> Callable[[Connection], str]:
    def write(connection: Connection) -> str:
        connection.execute(insert(visits).values(name=name, target="home", form="", began=NOW, seen=NOW))
        return name

    return write


def fails(_connection: Connection) -> str:
    raise ZeroDivisionError


def while_another_writes(store: Store, writes: list[Callable[[Connection], str]]) -> list[Any]:
    """What came of writes that all came while somebody else's transaction was under way."""

    def outcome(write: Callable[[Connection], str]) -> str | type[Exception]:
        try:
            return store.together(write)
        except (ZeroDivisionError, Unavailable) as err:
            return type(err)

    with ThreadPoolExecutor(len(writes)) as pool:
        with store.begin():
            coming = [pool.submit(outcome, write) for write in writes]
            until = time.monotonic() + 10
            while sum(not one.running() for one in coming) and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(0.2)  # they run; until they wait, too
        return [one.result(30) for one in coming]


@pytest.fixture
def commits(store: Store) -> list[None]:
    counted: list[None] = []
    event.listen(store.engine, "commit", lambda _connection: counted.append(None))
    return counted


def test_on_sqlite_those_who_come_meanwhile_commit_together(store: Store, commits: list[None]) -> None:
    if not store.is_sqlite:
        pytest.skip("groups commits by itself")
    expected = [f"visit {n}" for n in range(8)]
    assert while_another_writes(store, [begins(name) for name in expected]) == expected
    assert names(store) == expected
    assert len(commits) == 2, "the other's, and theirs"


def test_one_that_fails_takes_no_other_with_it(store: Store) -> None:
    assert while_another_writes(store, [begins("a"), fails, begins("b"), fails, begins("c")]) == [
        "a",
        ZeroDivisionError,
        "b",
        ZeroDivisionError,
        "c",
    ]
    assert names(store) == ["a", "b", "c"]


def test_while_the_database_is_away_all_of_them_are_told_and_none_tries_again(store: Store) -> None:
    if not store.is_sqlite:
        pytest.skip("each waits for the server by itself")
    tried: list[None] = []

    def away(_connection: Connection) -> str:
        tried.append(None)
        raise Unavailable("the database is locked", system="database")

    assert while_another_writes(store, [away, away, away]) == [Unavailable] * 3
    assert len(tried) == 1
    assert store.together(begins("later")) == "later", "and the next is not held up"


# --- what is looked up at each request -------------------------------------------------------------------------------


def test_a_visit_and_who_visits_are_found_by_their_keys(store: Store) -> None:
    """And not by reading all persons there are."""
    if not store.is_sqlite:
        pytest.skip("plans by how many rows there are, and here there are none")
    asked: list[tuple[str, Any]] = []
    event.listen(store.engine, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
    with store.read() as connection:
        assert signon.find_visit(connection, "nobody's", seen_after=NOW, began_after=NOW) is None
        statement, values = asked[-1]
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert [step for step in plan if "SCAN" in step] == []
    assert len([step for step in plan if "SEARCH" in step]) == 4, plan
