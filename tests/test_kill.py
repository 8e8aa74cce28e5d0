"""Processes are killed under load, again and again; in the end everything is as it must be (the short form)."""

from __future__ import annotations

import os
import random

import pytest

from bench.kill import run_kills


@pytest.mark.kill
def test_nothing_is_lost_or_done_twice_when_processes_are_killed(database: str) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
    report = run_kills(database, 6, seed, patience=20.0, tell=print)
    print(report)
    assert report.wrong == [], f"seed {seed}"
    assert report.kills >= 6
    assert report.orders > 0
