"""Stripe, through its official library on our pooled session: the state of a payment, read and never changed.

Knows nothing of orders but what a payment says of its own. The library keeps no global state here: the key, the
version of the interface and the session belong to the client, and its own retries are off, since ours are one layer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit

import stripe

from bridge.domain.payments import Dispute, Payment, gravity
from bridge.errors import NotFound, Refused, Unauthorized, Unavailable
from bridge.http import Wire

SYSTEM = "stripe"
URL = "https://api.stripe.com"
#: The version of the interface that this code was written against, whatever the account's default is.
VERSION = "2026-10-28.endive"
#: A payment intent, a charge, or a charge by another way than a card. No longer than a key of owed work may be.
REFERENCE = re.compile(r"(pi|ch|py)_[A-Za-z0-9_]{1,60}", re.ASCII)
_ONE_MODE_ONLY = re.compile(r"similar object exists in (live|test) mode")

#: What an error of the library means to the caller. The library sorts by status, and the first that fits counts.
ERRORS: tuple[tuple[type[stripe.StripeError], type[Unavailable] | type[Refused], str], ...] = (
    (stripe.AuthenticationError, Unauthorized, "the secret key is not accepted"),
    (stripe.PermissionError, Unauthorized, "the secret key may not do this"),
    (stripe.RateLimitError, Unavailable, "too many requests"),
    (stripe.IdempotencyError, Refused, "the same request was made with other values"),
    (stripe.CardError, Refused, "the card was declined"),
    (stripe.InvalidRequestError, Refused, "the request is not valid"),
    # 409, 424, and whatever is no error of ours.
    (stripe.StripeError, Unavailable, "Stripe could not do it"),
)
#: Codes that say more than the status does.
CODES: dict[str, tuple[type[Unavailable] | type[Refused], str]] = {
    "resource_missing": (NotFound, "there is no such thing"),
    "secret_key_required": (Unauthorized, "the key is not a secret key"),
    "testmode_charges_only": (Unauthorized, "the account has not been activated"),
    "lock_timeout": (Unavailable, "it is being changed at this moment"),
    "rate_limit": (Unavailable, "too many requests"),
}
MOST_PAGES = 1_000
#: Our own code of the error for a payment that is there in the other mode only.
WRONG_MODE = "wrong_mode"


@dataclass(frozen=True, slots=True)
class Status:
    """What a look at Stripe found. ``version`` is that of the interface which answered."""

    live: bool
    version: str


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


class StripeClient:
    """One Stripe account, in the mode of its key. Made without network; safe to use from many threads."""

    def __init__(self, key: str, wire: Wire, *, url: str = URL) -> None:
        self.live = is_live(key)
        self._wire = wire
        # The library would else write an id of this machine into the home folder, and send it along.
        stripe.enable_telemetry = False
        self._api = stripe.StripeClient(
            key,
            stripe_version=VERSION,
            base_addresses={"api": url},
            http_client=_OnWire(wire),
        )

    def find_payment(self, reference: str) -> Payment | None:
        """A payment as it stands now, or None if Stripe has none of this reference: ``pi_…``, ``ch_…`` or ``py_…``.

        One call; a second for disputes, only where there are any, or when the charge is not the last of its intent.
        Raises Refused with the code WRONG_MODE for a payment that is only there in the other mode.
        https://docs.stripe.com/api/payment_intents/retrieve and https://docs.stripe.com/api/charges/retrieve
        """
        if not REFERENCE.fullmatch(reference):
            return None
        try:
            intent, charge = self._intent(reference) if reference.startswith("pi_") else self._charge(reference)
            disputes = self._disputes(charge) if charge and charge.get("disputed") else []
            return read_payment(reference, intent, charge, disputes)
        except NotFound:
            return None

    def _intent(self, intent_id: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
        retrieve = self._api.v1.payment_intents.retrieve
        intent = self._call("payment_intents", lambda: retrieve(intent_id, {"expand": ["latest_charge"]}))
        charge = intent.get("latest_charge")
        return intent, charge if isinstance(charge, dict) else None

    def _charge(self, charge_id: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """A charge with its intent. Of an intent's charges all but the last have failed, and the last one counts."""
        retrieve = self._api.v1.charges.retrieve
        charge = self._call("charges", lambda: retrieve(charge_id, {"expand": ["payment_intent"]}))
        intent = charge.get("payment_intent")
        if not isinstance(intent, dict):
            return None, charge
        if intent.get("latest_charge") not in (None, charge_id):
            return self._intent(_text(intent, "id"))
        return intent, charge

    def _disputes(self, charge: Mapping[str, Any]) -> list[dict[str, Any]]:
        """https://docs.stripe.com/api/disputes/list - a charge itself tells only that there are some."""
        charge_id = _text(charge, "id")
        listed = self._call("disputes", lambda: self._api.v1.disputes.list({"charge": charge_id, "limit": 100}))
        return [found for found in listed.get("data") or [] if isinstance(found, dict)]

    def payments_since(self, moment: datetime) -> Iterator[str]:
        """The payments that something happened to since then, the newest first, one perhaps more than once.

        Stripe keeps events for thirty days. https://docs.stripe.com/api/events/list
        """
        asked: dict[str, Any] = {"created": {"gte": int(moment.timestamp())}, "types": sorted(EVENTS), "limit": 100}
        for _ in range(MOST_PAGES):
            page = self._call("events", lambda: self._api.v1.events.list(cast("Any", asked)))  # noqa: B023  called at once
            events = [event for event in page.get("data") or [] if isinstance(event, dict)]
            yield from (payment for payment in map(payment_of, events) if payment)
            if not page.get("has_more") or not events:
                return
            asked = {**asked, "starting_after": _text(events[-1], "id")}

    def status(self) -> Status:
        """Whether the key is accepted and may read what is needed. Raises Unauthorized if not."""
        v1 = self._api.v1
        answered = VERSION
        for what, look in (
            ("payment_intents", lambda: v1.payment_intents.list({"limit": 1})),
            ("charges", lambda: v1.charges.list({"limit": 1})),
            ("disputes", lambda: v1.disputes.list({"limit": 1})),
        ):
            answered = self._call(what, look, whole=True).last_response.headers.get("Stripe-Version", VERSION)
        return Status(self.live, answered)

    # --- the one way in --------------------------------------------------------------------------------------

    def _call(self, what: str, call: Callable[[], Any], *, whole: bool = False) -> Any:
        """One read, with our retries: its object as plain dicts, or ``whole``, as the library has it."""

        def once() -> Any:
            try:
                return call()
            except stripe.StripeError as err:
                refuse(what, err)

        answer = self._wire.reading(once)
        return answer if whole else answer.to_dict()


class _OnWire(stripe.HTTPClient):
    """The library's idea of an HTTP client, on our wire: its timeouts, circuit breaker, metrics and errors.

    It has no retries of its own and no telemetry, and tells of our machine nothing but who we are.
    """

    name = "requests"

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def request_with_retries(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
        max_network_retries: int | None = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        """One request, once. Raises Unavailable, which passes through the library as it is."""
        sent = {name: value for name, value in headers.items() if not name.lower().startswith("x-stripe-client")}
        sent |= {"User-Agent": "totara-woocommerce-bridge", "Accept": "application/json"}
        # /v1/charges/ch_1 is a call of "charges": a metric holds no ids.
        what = urlsplit(url).path.removeprefix("/v1/").partition("/")[0]
        answer, body = self._wire.send_json(method.upper(), url, what=what, headers=sent, data=post_data)
        wrong = answer.status_code >= 400 and not (isinstance(body, dict) and isinstance(body.get("error"), dict))
        if wrong or not isinstance(body, dict):  # the library trips over both
            raise Unavailable(f"{SYSTEM} answered {what} in another form ({answer.status_code})", system=SYSTEM)
        return json.dumps(body), answer.status_code, answer.headers  # other encodings it would trip over, too

    def close(self) -> None:
        """The session belongs to the wire."""


def payment_of(event: Mapping[str, Any]) -> str | None:
    """The payment that an event of Stripe is about: its intent where it has one, else the charge.

    Intents and charges are it themselves; disputes, refunds, reviews and fraud warnings name it.
    """
    data = event.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    if not matters(event) or not isinstance(about, dict):
        return None
    for name in ("payment_intent", "charge", "id"):  # an intent has neither of the first two
        value = about.get(name)
        value = value.get("id") if isinstance(value, dict) else value
        if isinstance(value, str) and REFERENCE.fullmatch(value):
            return value
    return None


def matters(event: Mapping[str, Any]) -> bool:
    kind = event.get("type")
    return isinstance(kind, str) and kind in EVENTS


def is_live(key: str) -> bool:
    """Whether a secret or restricted key is for live mode."""
    return key[2:].startswith("_live_")


def refuse(what: str, err: stripe.StripeError) -> NoReturn:
    """Raise what an error of the library means. Its own message is left out: it quotes keys and what was sent."""
    body = err.json_body if isinstance(err.json_body, dict) else {}
    said = body.get("error")  # the library takes the code out of some errors only
    code = str(said.get("code") or "") if isinstance(said, dict) else ""
    fits = next((kind, meaning) for theirs, kind, meaning in ERRORS if isinstance(err, theirs))
    kind, meaning = CODES.get(code, fits)
    if only := _ONE_MODE_ONLY.search(err.user_message or ""):
        kind, code, meaning = Refused, WRONG_MODE, f"it exists in {only[1]} mode only, and our key is for the other"
    message = f"Stripe refused {what}: {meaning}" + (f" ({code})" if code and code != WRONG_MODE else "")
    if issubclass(kind, Unavailable):
        raise kind(message, system=SYSTEM) from None
    raise kind(message, code=code) from None


# --- reading ------------------------------------------------------------------------------------------------------


def read_payment(
    reference: str,
    intent: Mapping[str, Any] | None,
    charge: Mapping[str, Any] | None,
    disputes: Iterable[Mapping[str, Any]] = (),
) -> Payment:
    """The value of an intent with its latest charge, or of one of them. Raises Unavailable for what is neither."""
    main = intent or charge
    if main is None:
        raise Unavailable(f"Stripe answered {reference} with nothing", system=SYSTEM)
    order_id, number = _order_of(main, charge or {})
    succeeded = _text(main, "status") == "succeeded"
    captured = succeeded and bool(charge is None or charge.get("captured"))
    taken = _number(charge, "amount_captured") if charge and captured else 0
    found = sorted((_dispute(one) for one in disputes), key=gravity)
    return Payment(
        reference=reference,
        intent_id=_text(intent, "id") if intent else "",
        charge_id=_text(charge, "id") if charge else "",
        order_id=order_id,
        order_number=number,
        amount=taken or _number(main, "amount"),
        currency=_text(main, "currency").lower(),
        succeeded=succeeded,
        captured=captured,
        refunded=_refunded(charge, taken) if charge else 0,
        dispute=found[-1] if found else None,
        live=main.get("livemode") is True,
        status=_status(intent, charge),
    )


def _status(intent: Mapping[str, Any] | None, charge: Mapping[str, Any] | None) -> str:
    """The intent's status, but "failed" for one whose last attempt did: that it would take another says little."""
    if intent is None:
        return _text(charge or {}, "status")
    status = _text(intent, "status")
    tried = intent.get("last_payment_error") or (charge or {}).get("status") == "failed"
    return "failed" if status == "requires_payment_method" and tried else status


def _refunded(charge: Mapping[str, Any], taken: int) -> int:
    """What was given back of what was taken: of a part captured, the rest counts as refunded for Stripe as well."""
    if charge.get("refunded") is True:
        return taken
    released = max(0, _number(charge, "amount") - taken) if taken else 0
    return max(0, _number(charge, "amount_refunded") - released)


def _order_of(*objects: Mapping[str, Any]) -> tuple[int | None, str]:
    """The order's id and number that the shop's plugin wrote into the metadata, as far as it did."""
    for one in objects:
        metadata = one.get("metadata")
        if not isinstance(metadata, dict) or not ("order_id" in metadata or "signature" in metadata):
            continue
        number = str(metadata.get("order_id", ""))
        signed = str(metadata.get("signature", "")).partition(":")[0]
        return _id(signed) or _id(number), number
    return None, ""


def _id(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,17}", text, re.ASCII) else None


def _dispute(found: Mapping[str, Any]) -> Dispute:
    return Dispute(_text(found, "id"), _text(found, "status"), _number(found, "amount"), str(found.get("reason") or ""))


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise Unavailable(f"Stripe answered without {name}", system=SYSTEM)
    return value


def _number(found: Mapping[str, Any], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unavailable(f"Stripe answered without {name}", system=SYSTEM)
    return value
