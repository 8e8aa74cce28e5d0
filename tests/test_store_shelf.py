"""The shelf belongs to one run, and many rows go onto it by one statement. On both databases."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select

from bridge.errors import Unavailable
from bridge.store.db import Store, utc_now
from bridge.store.models import products, shelf
from bridge.store.shelf import LOOKED_AT, Shelf
from bridge.store.upsert import Upsert


def row(course_id: int, **fields: Any) -> dict[str, Any]:
    """A row as a run puts it down."""
    values = {"read": True, "denied": False, "action": "", "settled": True, **fields, "course_id": course_id}
    return {name: values.get(name) for name in ("course_id", *LOOKED_AT)}


def rows(store: Store, *columns: Any) -> list[Any]:
    with store.read() as connection:
        return [tuple(one) for one in connection.execute(select(*columns).order_by(columns[0]))]


def begin(store: Store) -> Shelf:
    return Shelf.taken_over(store, utc_now())


def test_a_run_that_was_overtaken_can_neither_write_nor_send(store: Store) -> None:
    first = begin(store)
    first.check()
    first.put({1: row(1, reason="first")})
    second = begin(store)
    for step in (
        first.check,
        lambda: first.put({2: row(2)}),
        lambda: first.offer([{"course_id": 3, "product_id": 4, "status": "publish"}]),
        lambda: first.keep_read({7}),
    ):
        with pytest.raises(Unavailable, match="another run"):
            step()
    second.check()
    assert rows(store, shelf.c.course_id, shelf.c.read) == [(1, True)]


def test_another_run_does_not_begin_in_the_middle_of_a_write(store: Store) -> None:
    first = begin(store)
    begun = threading.Event()

    def overtake() -> None:
        begin(store)
        begun.set()

    other = threading.Thread(target=overtake)
    with first.writing():
        other.start()
        assert not begun.wait(0.2)
    assert begun.wait(10)
    other.join()


@pytest.mark.parametrize("moved", ["product", "status", "gone from the shop", "forgotten by us", "gone from Totara"])
def test_whatever_moves_takes_the_mark_away(store: Store, moved: str) -> None:
    with store.begin() as connection:
        connection.execute(products.insert().values(course_id=5, product_id=50, sent={}, seen={}, held=[]))
    run = begin(store)
    run.offer([{"course_id": 5, "product_id": 50, "status": "publish"}])
    run.put({5: row(5, digest="d")})
    assert run.standing([5])[5].settled
    run.offer([{"course_id": 5, "product_id": 50, "status": "publish"}])
    run.keep_offered({5})
    run.keep_read({5})
    assert run.standing([5])[5].settled, "nothing has moved yet"
    if moved == "product":
        run.offer([{"course_id": 5, "product_id": 51, "status": "publish"}])
    elif moved == "status":
        run.offer([{"course_id": 5, "product_id": 50, "status": "draft"}])
    elif moved == "gone from the shop":
        run.keep_offered({6})
    elif moved == "gone from Totara":
        run.keep_read({6})
    else:
        with store.begin() as connection:
            connection.execute(products.delete())
    assert not run.standing([5])[5].settled
    assert list(run.unread(everything=False)) == ([[5]] if moved == "gone from Totara" else [])


def test_every_product_of_ours_has_a_row_and_rows_of_nothing_go(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(products.insert().values(course_id=5, product_id=50, sent={}, seen={}, held=[]))
        for values in ({"course_id": 6}, {"course_id": 7, "product_id": 70}, {"course_id": 8, "read": True}):
            connection.execute(shelf.insert().values(values))
    begin(store)
    assert rows(store, shelf.c.course_id) == [(5,), (7,), (8,)]


def test_rows_go_in_and_are_changed_as_they_were_given(store: Store) -> None:
    put = Upsert(store, shelf, ("verdict", "wanted", "fields", "settled"))
    texts = {"a": "quote \" backslash \\ tab \t line \n umlaut ü 🎓 : % { } ' ;", "b": [1, None, {"c": True}]}
    given: list[dict[str, Any]] = [
        {"course_id": 1, "verdict": 'it\'s \\ "fine" :x %s', "wanted": texts, "fields": None, "settled": True},
        {"course_id": 2**40, "verdict": None, "wanted": {}, "fields": [], "settled": False},
    ]
    with store.begin() as connection:
        put(connection, [{**one, "verdict": "old", "wanted": None} for one in given])
        put(connection, given)
        put(connection, [])
    columns = (shelf.c.course_id, shelf.c.verdict, shelf.c.wanted, shelf.c.fields, shelf.c.settled)
    assert rows(store, *columns) == [tuple(one.values()) for one in given]
    with store.read() as connection:
        null = connection.execute(select(shelf.c.course_id).where(shelf.c.fields.is_(None))).scalars()
        assert list(null) == [1], "nothing is NULL, not the JSON of it"


def test_what_an_upsert_does_not_name_stays(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(shelf.insert().values(course_id=1, reason="stays", status="draft", settled=True))
        Upsert(store, shelf, ["status"], {"settled": False})(connection, [{"course_id": 1, "status": "publish"}])
    assert rows(store, shelf.c.course_id, shelf.c.reason, shelf.c.status, shelf.c.settled) == [
        (1, "stays", "publish", False)
    ]
