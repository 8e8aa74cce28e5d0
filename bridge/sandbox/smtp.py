"""Take mail over SMTP on a loopback port of this process, in a thread."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any
from weakref import WeakSet

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP


class Smtp(Controller):
    """aiosmtpd on 127.0.0.1. ``port`` is known, and taken, as soon as it is made; it answers from ``start``.

    ``handler`` has aiosmtpd's ``handle_…`` methods, which run in the server's thread. Raises OSError for a taken port.
    """

    def __init__(self, handler: object, port: int = 0, **options: Any) -> None:
        self._sessions: WeakSet[SMTP] = WeakSet()
        self._socket = socket.create_server(("127.0.0.1", port))
        # What it accepts inherits this. asyncio sees to it for sockets that it made; without, a greeting of several
        # lines waits 40 ms for the client's acknowledgement of the first.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(handler, hostname="127.0.0.1", port=self._socket.getsockname()[1], **options)

    def factory(self) -> SMTP:
        """A session, for one connection."""
        session: SMTP = super().factory()  # type: ignore[no-untyped-call]
        self._sessions.add(session)
        return session

    def _create_server(self) -> Coroutine[Any, Any, asyncio.Server]:
        return self.loop.create_server(self._factory_invoker, sock=self._socket, ssl=self.ssl_context)

    def stop(self, no_assert: bool = False) -> None:
        """Answer no more, and free the port.

        Hangs up first: a loop that is closed before its connections leaves them open, with a warning.
        """
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result(5.0)
        super().stop(no_assert)

    async def _hang_up(self) -> None:
        for session in self._sessions:
            if isinstance(session.transport, asyncio.WriteTransport):
                session.transport.abort()
        for _ in range(5):
            await asyncio.sleep(0)
