"""Serve a WSGI application on a loopback port of this process, in threads."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from waitress.server import create_server
from waitress.wasyncore import close_all, loop

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# It warns when requests queue up, which under load they should.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)


class Served:
    """A running server that keeps connections open, as real ones do. ``url`` has no trailing slash."""

    def __init__(self, app: WSGIApplication, port: int = 0, threads: int = 16) -> None:
        self._sockets: dict[int, object] = {}
        self._server = create_server(
            app,
            map=self._sockets,
            host="127.0.0.1",
            port=port,
            threads=threads,
            ident="",
            clear_untrusted_proxy_headers=False,
        )
        self.port = int(self._server.effective_port)
        self.url = f"http://127.0.0.1:{self.port}"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Served:
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer no more, and free the port. May be called again."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._server.pull_trigger()  # the loop need not wait for its time
        self._thread.join(5)
        close_all(self._sockets, ignore_all=True)
        self._server.task_dispatcher.shutdown(timeout=1)

    def _run(self) -> None:
        while not self._stopping.is_set():
            loop(timeout=0.1, map=self._sockets, count=1)

    def __enter__(self) -> Served:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()
