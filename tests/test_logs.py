"""What gets into the log, and what never does."""

from __future__ import annotations

import json
import logging
import socket
import threading

import pytest

from bridge import logs
from bridge.http import Wire
from bridge.store.work import Claim
from bridge.woo_client import WooClient
from tests.world import World

pytestmark = pytest.mark.usefixtures("logging_undone")


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_traceback_of_a_mistake_shows_no_values(
    world: World, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Local variables hold orders, and orders hold people."""
    logs.set_up("info", form)

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


def test_the_libraries_write_down_no_addresses() -> None:
    """urllib3 would log every request's address, signature and all, when told to log all."""
    logs.set_up("debug", "json")
    assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.INFO)


def answer_once(listening: socket.socket, answer: bytes) -> None:
    """Give the first who asks this answer, whatever the question."""
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


def test_an_answer_with_a_broken_header_does_not_have_its_address_written_down(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """urllib3 would warn of it, and quote the address: over http, with the key and the signature."""
    logs.set_up("debug", "json")
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nBroken header without colon\r\nX: y\r\n\r\n[]"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=answer_once, args=(listening, broken))
        server.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        WooClient(url, "ck_SENSITIVE", "cs_SENSITIVE", Wire("shop", tries=1)).status()
        server.join(10)
    logging.getLogger("bridge").warning("the end")
    said = capsys.readouterr().err
    assert "the end" in said
    assert "SENSITIVE" not in said
    assert "oauth_" not in said
