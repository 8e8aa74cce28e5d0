"""What gets into the log, and what never does."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from bridge import logs
from bridge.store.work import Claim
from tests.world import World


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_traceback_of_a_mistake_shows_no_values(
    world: World, form: str, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """Local variables hold orders, and orders hold people."""
    logs.set_up("info", form)
    request.addfinalizer(structlog.reset_defaults)

    def mistaken(claim: Claim) -> None:
        address = "private@guest.test"
        raise ZeroDivisionError(len(address) - len(address))

    worker = world.worker
    worker._handlers = {"order": mistaken}
    world.owe("order", 1)
    worker.run_once()
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert "private@" not in said
    if form == "json":
        assert json.loads(said.splitlines()[-1])["event"] == "failed"


def test_the_libraries_write_down_no_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    """urllib3 would log every request's address, signature and all, when told to log all."""
    before = list(logging.getLogger().handlers), logging.getLogger().level, logging.getLogger("urllib3").level
    try:
        logs.set_up("debug", "json")
        assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.INFO)
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers, level, urllib3 = before
        logging.getLogger().setLevel(level)
        logging.getLogger("urllib3").setLevel(urllib3)
