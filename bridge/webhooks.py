"""The receivers. A delivery is a hint: it is verified, "look at order N" is written down, and only then answered 200.

They never call anybody, and believe nothing of a body but which order or payment it is about: WooCommerce builds bodies
when it delivers them, not when things happen; delivery ids collide; bodies may be errors or empty (all measured).
Stripe's events come in any order, and more than once.
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
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from stripe import SignatureVerificationError, WebhookSignature

from bridge import metrics
from bridge.errors import BadSignature, Unavailable
from bridge.kinds import ORDER, PAYMENT, SUBSCRIPTION
from bridge.stripe_client import matters, payment_of
from bridge.sync_jobs import SUBSCRIPTION_TOPICS, TOPICS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()

PATH = "/webhooks/woocommerce"
STRIPE_PATH = "/webhooks/stripe"
MOST_BYTES = 1024 * 1024
_PING = re.compile(rb"webhook_id=\d{1,19}")
_ABOUT = {
    SUBSCRIPTION: re.compile(r"subscription\.|action\.woocommerce_subscription_status_"),
    ORDER: re.compile(r"order\.|action\.woocommerce_(order_|delete_order$|payment_complete$)"),
}


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


def thing_of(topic: str, body: bytes) -> tuple[str, int] | None:
    """What a delivery is about, as (kind of work, id); None for other topics, an error body, an empty list.

    Resources bring their ``id``; actions bring it as ``arg``, or something useless.
    """
    kind = next((kind for kind, topics in _ABOUT.items() if topics.match(topic)), None)
    if kind is None:
        return None
    parsed = object_in(body)
    value = parsed.get("arg") if topic.startswith("action.") else parsed.get("id")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        return None
    return kind, value


def verify_stripe(secrets: Sequence[str], body: bytes, header: str, tolerance: float) -> None:
    """Raises BadSignature unless one of the secrets signed exactly these bytes, at most ``tolerance`` seconds ago.

    https://docs.stripe.com/webhooks/signature - while a secret is rolled, Stripe signs with the old one as well.
    """
    for secret in secrets:
        try:
            WebhookSignature.verify_header(body, header, secret, max(1, int(tolerance)))
        except (SignatureVerificationError, ValueError, TypeError):
            continue  # ValueError: no UTF-8; TypeError: a signature that isn't even ASCII
        return
    raise BadSignature("no configured secret signed this delivery, or not lately")


def object_in(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; an empty one if there is none."""
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


class Door(ABC):
    """``POST`` to one path as a plain WSGI application; all other paths are ``others``'s.

    A view of the framework's would cost more than all that is done here. ``mark(kind, key)`` must be durable on return.
    """

    path: str

    def __init__(self, others: WSGIApplication, mark: Callable[[str, str], None]) -> None:
        self._others = others
        self._mark = mark

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """See PEP 3333."""
        if environ.get("PATH_INFO") != self.path:
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
        return self._delivered(environ, body)

    @abstractmethod
    def _delivered(self, environ: WSGIEnvironment, body: bytes) -> tuple[HTTPStatus, bytes]:
        """A delivery of good size: the answer to it."""

    def _note(
        self, label: str, body: bytes, find: Callable[[bytes], tuple[str, str] | None]
    ) -> tuple[HTTPStatus, bytes]:
        """Owe a look at what ``find`` sees in the body. It raises BadSignature for what nobody of ours has sent."""
        try:
            thing = find(body)
            if thing is not None:
                self._mark(*thing)
        except BadSignature:
            return self._refused(body)
        except Unavailable as err:
            metrics.DELIVERIES.labels(label, "unavailable").inc()
            log.error("delivery not taken", problem=str(err))
            return HTTPStatus.SERVICE_UNAVAILABLE, b"not now"
        except Exception:
            # As text: whoever serves this without our logging would see the values of variables, and so people.
            log.error("delivery not taken", trace=traceback.format_exc())
            return HTTPStatus.INTERNAL_SERVER_ERROR, b"failed"
        metrics.DELIVERIES.labels(label, "noted" if thing else "nothing to note").inc()
        return HTTPStatus.OK, b"noted"

    def _refused(self, body: bytes) -> tuple[HTTPStatus, bytes]:
        metrics.DELIVERIES.labels("unsigned", "refused").inc()
        log.warning("delivery refused: bad signature", path=self.path, bytes=len(body))
        return HTTPStatus.UNAUTHORIZED, b"bad signature"


class Receiver(Door):
    """``POST /webhooks/woocommerce``."""

    path = PATH

    def __init__(self, others: WSGIApplication, secrets: Secrets, mark: Callable[[str, str], None]) -> None:
        super().__init__(others, mark)
        self._secrets = secrets

    def _delivered(self, environ: WSGIEnvironment, body: bytes) -> tuple[HTTPStatus, bytes]:
        signature = environ.get("HTTP_X_WC_WEBHOOK_SIGNATURE", "")
        if not signature and _PING.fullmatch(body):
            # Sent unsigned when a webhook is made; anything but 200 has it repeated after every delivery.
            metrics.DELIVERIES.labels("ping", "answered").inc()
            return HTTPStatus.OK, b"pong"
        topic = environ.get("HTTP_X_WC_WEBHOOK_TOPIC", "").lower()

        def find(body: bytes) -> tuple[str, str] | None:
            self._secrets.verify(body, signature)
            thing = thing_of(topic, body)
            return None if thing is None else (thing[0], str(thing[1]))

        return self._note(topic if topic in (*TOPICS, *SUBSCRIPTION_TOPICS) else "other", body, find)


class StripeReceiver(Door):
    """``POST /webhooks/stripe``, signed by any of ``secrets``; ``live`` is the mode of our key.

    An endpoint for live mode that is given to a bridge with a test key, or the reverse, is no reason for Stripe to try
    again: it is answered 200 and told in the log.
    """

    path = STRIPE_PATH

    def __init__(
        self,
        others: WSGIApplication,
        secrets: Sequence[str],
        mark: Callable[[str, str], None],
        *,
        live: bool,
        tolerance: float = 300.0,
    ) -> None:
        super().__init__(others, mark)
        self._secrets = secrets
        self._live = live
        self._tolerance = tolerance

    def _delivered(self, environ: WSGIEnvironment, body: bytes) -> tuple[HTTPStatus, bytes]:
        try:
            verify_stripe(self._secrets, body, environ.get("HTTP_STRIPE_SIGNATURE", ""), self._tolerance)
        except BadSignature:
            return self._refused(body)
        event = object_in(body)
        label = str(event["type"]) if matters(event) else "stripe.other"
        if event.get("livemode") is not self._live:
            metrics.DELIVERIES.labels(label, "other mode").inc()
            log.warning("delivery of stripe ignored: its mode is not that of our key", live=self._live)
            return HTTPStatus.OK, b"of the other mode"
        payment = payment_of(event)
        return self._note(label, body, lambda _: None if payment is None else (PAYMENT, payment))


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
