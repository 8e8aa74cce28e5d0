"""The keys that sign for Totara, and when each of them does.

A new key is published before it signs, and an old one for some time after it has ceased to: whoever verifies keeps
what we publish for a while, and other nodes keep what they have read of the database.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from bridge.errors import Refused
from bridge.store import signon
from bridge.store.db import Store
from bridge.store.signon import KeptKey

BITS = 2048
#: For how long a new key is published before it signs, and an old one after it has ceased to.
OVERLAP = timedelta(hours=2)
#: For how many seconds a node believes what it has read of the database.
FRESH = 30.0


def thumbprint(public: dict[str, Any]) -> str:
    """What an RSA key is called: its thumbprint by RFC 7638."""
    members = {name: public[name] for name in ("e", "kty", "n")}
    words = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(words.encode()).digest()).rstrip(b"=").decode()


def new_key(now: datetime, signs_from: datetime) -> KeptKey:
    """A new key. Making one takes a part of a second."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    found = RSAAlgorithm.to_jwk(made.public_key(), as_dict=True)
    public = {name: found[name] for name in ("kty", "n", "e")}
    kid = thumbprint(public)
    whole = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, **public}
    return KeptKey(kid, pem.decode(), whole, now, signs_from)


class SigningKeys:
    """The keys of this bridge, kept in its database so that every node signs with the same."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._read_at = float("-inf")
        self._found: Sequence[KeptKey] = ()
        self._lock = Lock()
        self._ready: tuple[str, rsa.RSAPrivateKey] | None = None

    def all(self, *, again: bool = False) -> Sequence[KeptKey]:
        """All keys, the newest first, as they were a moment ago or, ``again``, as they are now."""
        with self._lock:
            if again or not self._found or time.monotonic() - self._read_at > FRESH:
                with self._store.read() as connection:
                    self._found = signon.kept_keys(connection)
                self._read_at = time.monotonic()
            return self._found

    def current(self) -> KeptKey:
        """The key that signs now. Raises Refused while there is none."""
        now = self._now()
        found = next((key for key in self.all() if key.signs_from <= now), None)
        if found is None:
            raise Refused("there is no key to sign with: `bridge sso keygen` makes the first")
        return found

    def published(self) -> Sequence[KeptKey]:
        """The keys by which what we sign may be verified now."""
        now, keys = self._now(), self.all()
        ceased = [None, *(key.signs_from for key in keys[:-1])]  # when the next newer one took over
        return [key for key, since in zip(keys, ceased, strict=True) if since is None or since > now - OVERLAP]

    def sign(self, claims: dict[str, Any], typ: str) -> str:
        """A signed token of these claims. Raises Refused while there is no key."""
        key = self.current()
        return jwt.encode(claims, self._readied(key), algorithm="RS256", headers={"kid": key.kid, "typ": typ})

    def _readied(self, key: KeptKey) -> rsa.RSAPrivateKey:
        """The private half, made ready to sign: that takes a hundred times as long as signing, and is done once."""
        ready = self._ready
        if ready is None or ready[0] != key.kid:
            private = serialization.load_pem_private_key(key.private.encode(), None)
            if not isinstance(private, rsa.RSAPrivateKey):
                raise Refused(f"the key {key.kid} is none to sign with")
            self._ready = ready = (key.kid, private)
        return ready[1]

    # --- what operators do with them -----------------------------------------------------------------------

    def first(self) -> KeptKey:
        """Make the first key, which signs at once. Raises Refused when there is one."""
        if self.all(again=True):
            raise Refused("there is a key already: `bridge sso rotate` makes the next")
        return self._add(self._now())

    def rotate(self, *, at_once: bool = False) -> KeptKey:
        """Make the next key. It signs once it was published for a while; ``at_once``, if the old ones are not to be
        trusted any more: they are forgotten, and what they signed is refused.
        """
        before = self.all(again=True)
        now = self._now()
        return self._add(now if at_once else now + OVERLAP, drop=[key.kid for key in before] if at_once else [])

    def _add(self, signs_from: datetime, drop: Sequence[str] = ()) -> KeptKey:
        key = new_key(self._now(), signs_from)
        with self._store.begin() as connection:
            signon.keep_key(connection, key)
            signon.drop_keys(connection, drop)
        self._read_at = float("-inf")
        return key

    def tidy(self) -> int:
        """Forget the keys that are not published any more; how many."""
        old = sorted({key.kid for key in self.all(again=True)} - {key.kid for key in self.published()})
        if old:
            with self._store.begin() as connection:
                signon.drop_keys(connection, old)
            self._read_at = float("-inf")
        return len(old)
