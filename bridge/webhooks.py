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
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from flask import Blueprint, Response, abort, request
from stripe import SignatureVerificationError, WebhookSignature

from bridge import metrics
from bridge.domain.payments import PAYMENT
from bridge.errors import BadSignature, Unavailable
from bridge.stripe_client import REFERENCE
from bridge.sync_jobs import ORDER, TOPICS

log = structlog.get_logger()

MOST_BYTES = 1024 * 1024
_PING = re.compile(rb"webhook_id=\d{1,19}")
#: Stripe's events after which a payment may stand otherwise than before.
EVENTS = frozenset(
    {
        "charge.dispute.closed",
        "charge.dispute.created",
        "charge.dispute.funds_reinstated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.refunded",
        "payment_intent.canceled",
        "payment_intent.payment_failed",
        "payment_intent.succeeded",
        "radar.early_fraud_warning.created",
        "refund.created",
        "refund.failed",
        "refund.updated",
        "review.closed",
        "review.opened",
    }
)
_ORDER_TOPICS = re.compile(r"order\.|action\.woocommerce_(order_|payment_complete$)")


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
    """The order a delivery is about, or None: a topic that isn't about orders, an error body, an empty list.

    Resources bring their ``id``; actions bring it as ``arg``, or something useless.
    """
    if not _ORDER_TOPICS.match(topic):
        return None
    parsed = _object(body)
    value = parsed.get("arg") if topic.startswith("action.") else parsed.get("id")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63
    return value if good else None


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


def payment_of(event: Mapping[str, Any]) -> str | None:
    """The payment that an event of Stripe is about: its intent where it has one, else the charge.

    Intents and charges are it themselves; disputes, refunds, reviews and fraud warnings name it.
    """
    data = event.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    if not _matters(event) or not isinstance(about, dict):
        return None
    for name in ("payment_intent", "charge", "id"):  # an intent has neither of the first two
        value = about.get(name)
        value = value.get("id") if isinstance(value, dict) else value
        if isinstance(value, str) and REFERENCE.fullmatch(value):
            return value
    return None


def _matters(event: Mapping[str, Any]) -> bool:
    kind = event.get("type")
    return isinstance(kind, str) and kind in EVENTS


def receiver(secrets: Secrets, mark: Callable[[str, str], None]) -> Blueprint:
    """``POST /webhooks/woocommerce``. ``mark(kind, key)`` must be durable on return."""
    blueprint = Blueprint("webhooks", __name__)

    @blueprint.post("/webhooks/woocommerce")
    def woocommerce() -> Response:
        body = _body()
        signature = request.headers.get("X-WC-Webhook-Signature", "")
        topic = request.headers.get("X-WC-Webhook-Topic", "").lower()
        if not signature and _PING.fullmatch(body):
            # Sent unsigned when a webhook is made; anything but 200 has it repeated after every delivery.
            metrics.DELIVERIES.labels("ping", "answered").inc()
            return _text("pong", 200)
        label = topic if topic in TOPICS else "other"
        try:
            secrets.verify(body, signature)
            order = order_of(topic, body)
            if order is not None:
                mark(ORDER, str(order))
        except BadSignature:
            metrics.DELIVERIES.labels("unsigned", "refused").inc()
            log.warning("delivery refused: bad signature", bytes=len(body))
            return _text("bad signature", 401)
        except Unavailable as err:
            metrics.DELIVERIES.labels(label, "unavailable").inc()
            log.error("delivery not taken", problem=str(err))
            return _text("not now", 503)
        metrics.DELIVERIES.labels(label, "noted" if order else "nothing to note").inc()
        return _text("noted", 200)

    return blueprint


def stripe_receiver(
    secrets: Sequence[str], mark: Callable[[str, str], None], *, live: bool, tolerance: float = 300.0
) -> Blueprint:
    """``POST /webhooks/stripe``. ``mark(kind, key)`` must be durable on return; ``live`` is the mode of our key.

    An endpoint for live mode that is given to a bridge with a test key, or the reverse, is no reason for Stripe to try
    again: it is answered 200 and told in the log.
    """
    blueprint = Blueprint("stripe", __name__)

    @blueprint.post("/webhooks/stripe")
    def stripe() -> Response:
        body = _body()
        try:
            verify_stripe(secrets, body, request.headers.get("Stripe-Signature", ""), tolerance)
        except BadSignature:
            metrics.DELIVERIES.labels("unsigned", "refused").inc()
            log.warning("delivery of stripe refused: bad signature", bytes=len(body))
            return _text("bad signature", 401)
        event = _object(body)
        label = str(event["type"]) if _matters(event) else "stripe.other"
        if event.get("livemode") is not live:
            metrics.DELIVERIES.labels(label, "other mode").inc()
            log.warning("delivery of stripe ignored: its mode is not that of our key", live=live)
            return _text("of the other mode", 200)
        payment = payment_of(event)
        try:
            if payment is not None:
                mark(PAYMENT, payment)
        except Unavailable as err:
            metrics.DELIVERIES.labels(label, "unavailable").inc()
            log.error("delivery not taken", problem=str(err))
            return _text("not now", 503)
        metrics.DELIVERIES.labels(label, "noted" if payment else "nothing to note").inc()
        return _text("noted", 200)

    return blueprint


def _body() -> bytes:
    """The bytes of the request as they came; ends it with 413 if they are too many."""
    if (request.content_length or 0) > MOST_BYTES:
        abort(413)
    request.max_content_length = MOST_BYTES + 1  # without a length, reading just stops there
    body = request.get_data(cache=False)
    if len(body) > MOST_BYTES:
        abort(413)
    return body


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; an empty one if there is none."""
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _text(words: str, status: int) -> Response:
    return Response(words, status, mimetype="text/plain")
