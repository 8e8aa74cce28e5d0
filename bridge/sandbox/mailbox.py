"""The embedded mail server: it takes every letter on, delivers none, and keeps the newest for a person to read."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import Envelope
from flask import Flask

#: Letters that are kept, and bytes that one may have.
KEPT, MOST_BYTES = 300, 1_000_000


@dataclass(frozen=True, slots=True)
class Received:
    """A letter as it came. ``to`` is whom it was delivered to, whatever its head says; a part it has not got is ""."""

    number: int
    at: datetime
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str

    def is_for(self, address: str) -> bool:
        """Whether it was delivered to this address, in whatever case that is written."""
        return address.strip().casefold() in map(str.casefold, self.to)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self) | {"at": self.at.isoformat()}


class Mailbox:
    """Everybody's letters, in memory. ``handle_DATA`` takes them from smtp.py; ``app`` shows them."""

    def __init__(self, *, kept: int = KEPT, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._letters: deque[Received] = deque(maxlen=kept)
        self.app: Flask = self._make_app()

    async def handle_DATA(self, _server: object, _session: object, envelope: Envelope) -> str:
        """Take a letter on, by the name that aiosmtpd gives this."""
        assert isinstance(envelope.content, bytes)  # so aiosmtpd has it, unless told to decode
        self.take(envelope.content, envelope.mail_from or "", envelope.rcpt_tos)
        return "250 taken"

    def take(self, content: bytes, sender: str, to: list[str]) -> None:
        """Keep a letter; the oldest goes where there are too many."""
        mail = message_from_bytes(content, policy=default)
        subject, text, html = str(mail["Subject"] or ""), _part(mail, "plain"), _part(mail, "html")
        with self._lock:
            self._letters.append(Received(next(self._numbers), self._now(), sender, tuple(to), subject, text, html))

    def letters(self, to: str = "") -> list[Received]:
        """The letters to an address, or all, the newest first."""
        with self._lock:
            return [letter for letter in reversed(self._letters) if not to or letter.is_for(to)]

    def find_letter(self, number: int) -> Received | None:
        """One letter, None if it never was or is gone."""
        return next((letter for letter in self.letters() if letter.number == number), None)

    def _make_app(self) -> Flask:
        from bridge.sandbox.mailbox_pages import make_pages

        app = Flask("bridge.sandbox")
        app.register_blueprint(make_pages(self))
        return app


def _part(mail: EmailMessage, kind: str) -> str:
    """A letter's text of one kind. In a character set that nobody knows, what is ASCII in it."""
    part = mail.get_body((kind,))
    if part is None:
        return ""
    try:
        text = str(part.get_content())
    except LookupError:
        content = part.get_payload(decode=True)
        text = content.decode("ascii", "replace") if isinstance(content, bytes) else ""
    return text.replace("\r\n", "\n")
