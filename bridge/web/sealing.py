"""What others keep for us, and shall neither read nor change."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken


class Seal:
    """Closes things so that only who has the secret can open them, or could have made them. ``purpose``: a seal for
    something else does not open them.
    """

    def __init__(self, purpose: str, secret: str) -> None:
        key = hashlib.sha256(f"{purpose} {secret}".encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def close(self, *things: str | int | None) -> str:
        """The things, closed: letters that may stand in addresses and cookies."""
        return self._fernet.encrypt(json.dumps(things, ensure_ascii=False).encode()).decode()

    def open(self, closed: str) -> list[Any] | None:
        """The things again; None if they were not closed with this seal, or were changed."""
        try:
            things: list[Any] = json.loads(self._fernet.decrypt(closed.encode("utf-8", "replace")))
        except InvalidToken:
            return None
        return things
