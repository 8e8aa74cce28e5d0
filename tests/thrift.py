"""What makes a run of the tests cheap, and no test weaker."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from werkzeug.routing import Rule

from bridge import keys
from bridge.store.signon import KeptKey

#: What a folder in memory must have free, in bytes: a container's usual 64 MiB would be full at once.
_ROOM = 2**30
#: How many keys to sign with a run makes: more than any test asks for.
_KEYS = 10


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


@contextmanager
def routes_compiled_once() -> Iterator[None]:
    """What builds the addresses of a route is compiled once in a run, not by each application that has the route.

    An embedded system has dozens of routes, and compiling them is most of the work of making one.
    """
    compiled: dict[Any, Any] = {}
    compile_one = Rule._compile_builder

    def once(rule: Rule, append_unknown: bool = True) -> Any:
        if rule.defaults:
            return compile_one(rule, append_unknown)
        key = (rule.rule, tuple(rule._trace), append_unknown)  # a builder asks the rule it is bound to for the rest
        if key not in compiled:
            compiled[key] = compile_one(rule, append_unknown)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", once)
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
