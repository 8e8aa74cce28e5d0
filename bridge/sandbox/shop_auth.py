"""Who calls the embedded shop's REST interface: Basic over https, OAuth 1.0a over http, as WooCommerce does
both.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import OrderedDict
from urllib.parse import quote, unquote

from flask import request

from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_world import Key, WpError

OAUTH = ("oauth_consumer_key", "oauth_timestamp", "oauth_nonce", "oauth_signature", "oauth_signature_method")
WINDOW = 15 * 60
REMEMBERED = 10_000


class Authenticator:
    """Checks requests against the shop's keys. Remembers the nonces it has seen."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._nonces: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def key(self) -> Key | None:
        """The key of the current request, None without credentials. Raises :class:`WpError` (401) for bad
        ones.
        """
        if self._is_tls() and (found := self._basic()):
            return found
        if any(name in request.args for name in OAUTH):
            return self._oauth()
        return None

    def _is_tls(self) -> bool:
        forwarded = request.headers.get("X-Forwarded-Proto", "")
        return self._shop.behind_tls or forwarded == "https" or request.scheme == "https"

    def _basic(self) -> Key | None:
        key, secret = request.args.get("consumer_key"), request.args.get("consumer_secret")
        if request.authorization and request.authorization.type == "basic":
            key, secret = request.authorization.username, request.authorization.password
        found = self._shop.keys.get(key or "")
        if found and not hmac.compare_digest(found.secret.encode(), (secret or "").encode()):
            raise refused("Consumer secret is invalid.")
        return found

    def _oauth(self) -> Key:
        missing = [name for name in OAUTH if name not in request.args]
        if missing:
            text = f"Missing OAuth parameter{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
            raise WpError("woocommerce_rest_authentication_missing_parameter", text, 401)
        key = self._shop.keys.get(request.args["oauth_consumer_key"])
        if key is None:
            raise refused("Consumer key is invalid.")
        self._check_signature(key)
        self._check_freshness()
        return key

    def _check_signature(self, key: Key) -> None:
        # Of a parameter that was sent twice PHP keeps the last.
        given = {name: values[-1] for name, values in request.args.lists()}
        signature = unquote(given.pop("oauth_signature").replace(" ", "+"))
        kind = given["oauth_signature_method"]
        if kind not in ("HMAC-SHA1", "HMAC-SHA256"):
            raise refused("Invalid signature - signature method is invalid.")
        scheme = "https" if self._is_tls() else "http"
        pairs = "%26".join(f"{_twice(name)}%3D{_twice(given[name])}" for name in sorted(given))
        base = f"{request.method}&{_once(f'{scheme}://{request.host}{request.path}')}&{pairs}"
        algorithm = hashlib.sha1 if kind == "HMAC-SHA1" else hashlib.sha256
        digest = hmac.new(f"{key.secret}&".encode(), base.encode(), algorithm).digest()
        if not hmac.compare_digest(base64.b64encode(digest), signature.encode()):
            raise refused("Invalid signature - provided signature does not match.")

    def _check_freshness(self) -> None:
        name, nonce, at = (request.args[k] for k in ("oauth_consumer_key", "oauth_nonce", "oauth_timestamp"))
        if not at.isdigit() or abs(int(at) - self._shop.auth_now()) > WINDOW:
            raise refused("Invalid timestamp.")
        with self._shop.lock:
            if (name, at, nonce) in self._nonces:
                raise refused("Invalid nonce - nonce has already been used.")
            self._nonces[name, at, nonce] = None
            if len(self._nonces) > REMEMBERED:
                self._nonces.popitem(last=False)


def refused(text: str) -> WpError:
    """Credentials which are no good."""
    return WpError("woocommerce_rest_authentication_error", text, 401)


def _once(text: str) -> str:
    return quote(text, safe="~")


def _twice(text: str) -> str:
    return _once(unquote(text)).replace("%", "%25")
