"""Fetching ahead: in order, not too far, and nothing goes on behind anybody's back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bridge.ahead import Ahead, in_chunks


def test_everything_comes_in_its_order_and_from_another_thread() -> None:
    threads = set()

    def items() -> Iterator[int]:
        for n in range(50):
            threads.add(threading.get_ident())
            yield n

    with Ahead(items(), 3) as fetched:
        assert list(fetched) == list(range(50))
    assert threading.get_ident() not in threads


def test_the_next_is_fetched_meanwhile_and_no_more_than_was_allowed() -> None:
    begun = [threading.Event() for _ in range(6)]

    def items() -> Iterator[int]:
        for n, event in enumerate(begun):
            event.set()
            yield n

    with Ahead(items(), 2) as fetched:
        rest = iter(fetched)
        assert next(rest) == 0
        assert begun[2].wait(5), "two were to be fetched while the first is worked on"
        assert not begun[3].wait(0.05), "but not three"
        assert list(rest) == [1, 2, 3, 4, 5]


def test_an_error_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    got = []
    with Ahead(items()) as fetched, pytest.raises(KeyError, match="three"):
        for item in fetched:
            got.append(item)  # noqa: PERF402
    assert got == [1, 2]


def test_whoever_leaves_early_waits_for_what_is_under_way_and_nothing_comes_after() -> None:
    begun, go_on, done, closed = threading.Event(), threading.Event(), [], []

    def inner() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.append("inner")

    def items() -> Iterator[int]:
        with Ahead(inner()) as numbers:
            for n in numbers:
                if n == 1:
                    begun.set()
                    assert go_on.wait(5)
                done.append(n)
                yield n

    with Ahead(items()) as fetched:
        assert next(iter(fetched)) == 0
        assert begun.wait(5)
        threading.Timer(0.05, go_on.set).start()
    assert done == [0, 1]
    assert closed == ["inner"]
    assert not [thread for thread in threading.enumerate() if "_fetch" in thread.name]


def test_chunks_are_full_but_for_the_last() -> None:
    assert list(in_chunks(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(in_chunks([], 3)) == []
