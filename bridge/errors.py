"""Errors, sorted by what the caller does next.

Messages are sentences with ids in them, never with secrets, addresses of people, or URLs.
"""

from __future__ import annotations


class BridgeError(Exception):
    """Anything that goes wrong in a way we know."""


class Unavailable(BridgeError):
    """The other side can't answer now; try later, for as long as it takes.

    ``system`` names who ("shop", "totara", "stripe", "database"); ``retry_after`` is the wait in seconds it asked for,
    if any.
    """

    def __init__(self, message: str, *, system: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.system = system
        self.retry_after = retry_after


class Unauthorized(Unavailable):
    """Our credentials are not accepted. Nothing gets through and nothing is lost: all of it waits until a person
    has mended them, since parking each thing by itself would only make more to mend."""


class Refused(BridgeError):
    """The other side answered, and it will not do this however often we ask: a person has to look.

    ``code`` is the other side's own word for the reason ("wsnoinstance", "product_invalid_sku"), "" when it has none.
    ``data`` is what else it said, for the client's own use.
    """

    def __init__(self, message: str, *, code: str = "", data: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data or {}


class NotFound(Refused):
    """The thing asked for by id is not there."""


class Unsupported(Refused):
    """This site or this account can't do that at all: `bridge check` says what to switch on."""


class BadSignature(BridgeError):
    """A delivery that none of our secrets signed."""


class ConfigError(BridgeError):
    """The settings are wrong. The message lists every problem found."""
