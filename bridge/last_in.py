"""Whom a browser was let into Totara as the last time: so that nobody goes on into the session of another unaware.

By its own OAuth 2, Totara asks who somebody is only where nobody is signed in. Measured on Totara 17.3: where the
session of another still lives, a course's page opens as theirs. No page of the bridge can see that session, or end it.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence


class LastIn:
    """Marks of accounts, for browsers to keep. Without the secrets nobody can tell whose one is, or make another's.

    As of the shop's secrets: the first one makes marks, and marks by all of them are known.
    """

    def __init__(self, shop_secrets: Sequence[str], site_url: str) -> None:
        self._secrets = [secret.encode() for secret in shop_secrets]
        self._site_url = site_url

    def mark(self, user_id: int) -> str:
        """The mark of a Totara account."""
        return self._marks(user_id)[0]

    def is_anothers(self, mark: str, user_id: int) -> bool:
        """Whether it is a mark, and not this account's. By no mark, nobody was let in from here that we know of."""
        given = mark.encode("utf-8", "replace")
        return bool(mark) and not any(hmac.compare_digest(given, one.encode()) for one in self._marks(user_id))

    def _marks(self, user_id: int) -> list[str]:
        said = f"let into {self._site_url} as {user_id}".encode()
        return [hmac.digest(secret, said, "sha256").hex() for secret in self._secrets]
