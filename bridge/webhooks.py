"""The receiver. A delivery is a hint: it is verified, "look at order N" is written down, and only then answered 200.

It never calls anybody, and believes nothing of a body but which order it is about: WooCommerce builds bodies when it
delivers them, not when things happen; delivery ids collide; bodies may be errors or empty (all measured).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog

from bridge import metrics
from bridge.errors import BadSignature, Unavailable
from bridge.kinds import ORDER, SUBSCRIPTION
from bridge.sync_jobs import SUBSCRIPTION_TOPICS, TOPICS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()

PATH = "/webhooks/woocommerce"
MOST_BYTES = 1024 * 1024
_PING = re.compile(rb"webhook_id=\d{1,19}")
_ORDER_TOPICS = re.compile(r"order\.|action\.woocommerce_(order_|payment_complete$)")
_SUBSCRIPTION_TOPICS = re.compile(r"subscription\.|action\.woocommerce_subscription_status_")


class Secrets:
    """Every secret that may sign a delivery: the configured ones, and those the bridge made and keeps itself.

    The kept ones are read again when nothing matched, at most every ``seconds``: another node may have made one.
    """

    def __init__(self, configured: Sequence[str], kept: Callable[[], Sequence[str]], seconds: float = 5.0) -> None:
        self._configured = [secret.encode() for secret in configured]
        self._kept = kept
        self._found: list[bytes] = []
        self._seconds = seconds
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def verify(self, body: bytes, signature: str) -> None:
        """Raises BadSignature unless one of the secrets signed exactly these bytes."""
        if any(signed_by(secret, body, signature) for secret in (*self._configured, *self._found)):
            return
        with self._reading:  # whoever comes while another reads waits for what that one finds
            if time.monotonic() - self._read_at > self._seconds:
                self._found = [secret.encode() for secret in self._kept()]
                self._read_at = time.monotonic()
        if any(signed_by(secret, body, signature) for secret in self._found):
            return
        raise BadSignature("no configured secret signed this delivery")


def signed_by(secret: bytes, body: bytes, signature: str) -> bool:
    """Whether the signature is WooCommerce's for these bytes: base64 of their HMAC-SHA256. In constant time."""
    expected = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest())
    return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))


def order_of(topic: str, body: bytes) -> int | None:
    """The order a delivery is about, or None: a topic that isn't about orders, an error body, an empty list."""
    return _number_in(topic, body) if _ORDER_TOPICS.match(topic) else None


def subscription_of(topic: str, body: bytes) -> int | None:
    """The subscription a delivery is about, or None. Its number is no order's, though the shop answers as if it were.

    WooCommerce Subscriptions delivers ``[]`` after some changes by REST; the action of the status tells of them all.
    """
    return _number_in(topic, body) if _SUBSCRIPTION_TOPICS.match(topic) else None


def _number_in(topic: str, body: bytes) -> int | None:
    """Resources bring their ``id``; actions bring it as ``arg``, or something useless."""
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        return None
    value = parsed.get("arg") if topic.startswith("action.") else parsed.get("id")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63
    return value if good else None


class Receiver:
    """``POST /webhooks/woocommerce`` as a plain WSGI application; all other paths are ``others``'s.

    A view of the framework's would cost more than all that is done here. ``mark(kind, key)`` must be durable on return.
    """

    def __init__(self, others: WSGIApplication, secrets: Secrets, mark: Callable[[str, str], None]) -> None:
        self._others = others
        self._secrets = secrets
        self._mark = mark

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """See PEP 3333."""
        if environ.get("PATH_INFO") != PATH:
            return self._others(environ, start_response)
        status, words = self._answer(environ)
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(words)))]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "POST"))
        start_response(f"{status} {status.phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [words]

    def _answer(self, environ: WSGIEnvironment) -> tuple[HTTPStatus, bytes]:
        if environ["REQUEST_METHOD"] != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED, b"only POST"
        body = body_of(environ)
        if body is None:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"too large"
        signature = environ.get("HTTP_X_WC_WEBHOOK_SIGNATURE", "")
        if not signature and _PING.fullmatch(body):
            # Sent unsigned when a webhook is made; anything but 200 has it repeated after every delivery.
            metrics.DELIVERIES.labels("ping", "answered").inc()
            return HTTPStatus.OK, b"pong"
        return self._take(environ.get("HTTP_X_WC_WEBHOOK_TOPIC", "").lower(), body, signature)

    def _take(self, topic: str, body: bytes, signature: str) -> tuple[HTTPStatus, bytes]:
        label = topic if topic in (*TOPICS, *SUBSCRIPTION_TOPICS) else "other"
        try:
            self._secrets.verify(body, signature)
            about = {ORDER: order_of(topic, body), SUBSCRIPTION: subscription_of(topic, body)}
            found = [(kind, number) for kind, number in about.items() if number is not None]
            for kind, number in found:
                self._mark(kind, str(number))
        except BadSignature:
            metrics.DELIVERIES.labels("unsigned", "refused").inc()
            log.warning("delivery refused: bad signature", bytes=len(body))
            return HTTPStatus.UNAUTHORIZED, b"bad signature"
        except Unavailable as err:
            metrics.DELIVERIES.labels(label, "unavailable").inc()
            log.error("delivery not taken", problem=str(err))
            return HTTPStatus.SERVICE_UNAVAILABLE, b"not now"
        except Exception:
            # As text: whoever serves this without our logging would see the values of variables, and so people.
            log.error("delivery not taken", trace=traceback.format_exc())
            return HTTPStatus.INTERNAL_SERVER_ERROR, b"failed"
        metrics.DELIVERIES.labels(label, "noted" if found else "nothing to note").inc()
        return HTTPStatus.OK, b"noted"


def body_of(environ: WSGIEnvironment) -> bytes | None:
    """The body of a request, or None if it is longer than MOST_BYTES. One of unknown length is read only so far."""
    told = environ.get("CONTENT_LENGTH") or ""
    if told.isdecimal():
        length = int(told)
        return environ["wsgi.input"].read(length) if length <= MOST_BYTES else None
    if not environ.get("wsgi.input_terminated"):  # reading would wait for what never comes
        return b""
    body: bytes = environ["wsgi.input"].read(MOST_BYTES + 1)
    return body if len(body) <= MOST_BYTES else None
