"""What makes a run of the tests cheap, and no test weaker."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from jinja2 import Environment
from sqlalchemy import Engine, create_engine
from werkzeug.routing import Rule

from bridge import keys
from bridge.store import db
from bridge.store.signon import KeptKey

#: What a folder in memory must have free, in bytes: a container's usual 64 MiB would be full at once.
_ROOM = 2**30
#: How many keys to sign with a run makes: more than any test asks for.
_KEYS = 10
#: How many compiled statements are kept: more than a run has, but for what is written at random.
_STATEMENTS = 5000


def fast_folder() -> str | None:
    """A folder that is kept in memory, or None where there is none with room. Files in it wait for no disk.

    Processes that are killed lose nothing of what they had written there, as on a disk.
    """
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= _ROOM):
        return None
    return str(memory)


def keep_files_in_memory() -> None:
    """Have pytest make the tests' folders in memory, unless somebody said where."""
    if folder := fast_folder():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", folder)


def collect_rarely() -> None:
    """Have Python look for cycles of garbage a hundred times less often, and never among what all tests share: a run
    has modules without end in memory, and walking through them is a seventh of its work.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


#: All that becomes of a route when it is compiled, and that depends on nothing but what it says.
_COMPILED = ("_parts", "_trace", "_converters", "arguments")


@contextmanager
def routes_compiled_once() -> Iterator[None]:
    """A route is compiled once in a run, not by each application that has it.

    An embedded system has dozens of routes, and compiling them is most of the work of making one.
    """
    done: dict[Any, Rule] = {}
    compile_one = Rule.compile

    def once(rule: Rule) -> None:
        if rule.defaults or rule.host or rule.subdomain:
            compile_one(rule)
            return
        key = (rule.rule, rule.merge_slashes, rule.is_leaf, tuple(rule.map.converters.items()))
        like = done.get(key)
        if like is None:
            compile_one(rule)
            done[key] = rule
            return
        for name in _COMPILED:
            setattr(rule, name, getattr(like, name))
        for name in ("_build", "_build_unknown"):
            setattr(rule, name, getattr(like, name).__func__.__get__(rule, None))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "compile", once)
        yield


class _Statements(dict[Any, Any]):
    """SQLAlchemy's statements as they were compiled, whichever engine it was for, as long as it was of this kind."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        if len(self) >= _STATEMENTS:
            self.clear()
        super().__setitem__((type(key[0]), *key[1:]), compiled)


@contextmanager
def statements_compiled_once() -> Iterator[None]:
    """An SQL statement is compiled once in a run, not by each store: a bridge has hundreds, and a test has a bridge.

    All stores of a kind have the same dialect with the same options, and the same server.
    """
    make, statements = create_engine, _Statements()

    def sharing(url: str, **options: Any) -> Engine:
        return make(url, **options, execution_options={"compiled_cache": statements})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "create_engine", sharing)
        yield


def _settings_of(templates: Environment) -> Any:
    """All by which Jinja compiles one source to different code."""
    escape = templates.autoescape
    return (
        type(templates),
        escape if isinstance(escape, bool) else getattr(escape, "__func__", escape),
        (templates.trim_blocks, templates.lstrip_blocks, templates.keep_trailing_newline, templates.newline_sequence),
        (templates.undefined, templates.is_async, *templates.extensions),
        (*templates.filters, None, *templates.tests),
    )


@contextmanager
def templates_compiled_once() -> Iterator[None]:
    """A template is compiled once in a run, not by each bridge and each embedded system that shows it.

    Each still looks up its own filters when it is shown: none is given what is known when it is compiled.
    """
    done: dict[Any, Any] = {}
    compile_one: Callable[..., Any] = Environment.compile

    def once(templates: Environment, source: Any, name: str | None = None, filename: str | None = None) -> Any:
        key = (source, name, filename, _settings_of(templates))
        if key not in done:
            done[key] = compile_one(templates, source, name, filename)
        return done[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Environment, "compile", once)
        yield


@contextmanager
def keys_used_again() -> Iterator[None]:
    """The first keys to sign with that a run makes are given out again, in turn: finding primes takes long.

    Between two appearances of a key are so many others that no test sees one twice. Reading a key, which checks its
    primes, is done once for each.
    """
    made: list[KeptKey] = []
    lock, make, number = threading.Lock(), keys.new_key, itertools.count()

    def used_again(now: datetime, signs_from: datetime) -> KeptKey:
        with lock:
            turn = next(number)
            if turn < _KEYS:
                made.append(make(now, signs_from))
            return replace(made[turn % _KEYS], made=now, signs_from=signs_from)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "new_key", used_again)
        patch.setattr(serialization, "load_pem_private_key", cache(serialization.load_pem_private_key))
        yield
