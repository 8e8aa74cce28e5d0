"""Stripe's client on the wire: what is sent, what answers mean, and what is never written down."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
import stripe
import structlog

from bridge.domain.payments import Dispute, Payment
from bridge.errors import BridgeError, NotFound, Refused, Unauthorized, Unavailable
from bridge.http import Breaker, Wire
from bridge.sandbox.server import Served
from bridge.sandbox.stripe import SANDBOX_KEY, Stripe
from bridge.stripe_client import URL, VERSION, WRONG_MODE, StripeClient, read_payment, refuse

KEY = "sk_test_0123456789SENSITIVE"
LIVE_KEY = "rk_live_0123456789SENSITIVE"
CHARGE = {
    "id": "ch_1",
    "object": "charge",
    "amount": 12000,
    "amount_captured": 12000,
    "amount_refunded": 0,
    "captured": True,
    "currency": "eur",
    "disputed": False,
    "livemode": False,
    "metadata": {"order_id": "1041"},
    "payment_intent": "pi_1",
    "refunded": False,
    "status": "succeeded",
}
INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 12000,
    "currency": "eur",
    "last_payment_error": None,
    "latest_charge": CHARGE,
    "livemode": False,
    "metadata": {"order_id": "1041"},
    "status": "succeeded",
}


def client(url: str = URL, key: str = KEY, *, tries: int = 1, **wire: Any) -> StripeClient:
    """A client that does not wait between tries for longer than a test can."""
    return StripeClient(key, Wire("stripe", tries=tries, **wire), url=url)


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def fake() -> Stripe:
    made = Stripe()
    made.add_key(LIVE_KEY)
    return made


@pytest.fixture
def served(fake: Stripe) -> Iterator[Served]:
    with Served(fake.app) as running:
        yield running


@pytest.fixture
def ours(served: Served) -> StripeClient:
    return client(served.url, SANDBOX_KEY)


def found(one: StripeClient, reference: str) -> Payment:
    payment = one.find_payment(reference)
    assert payment is not None
    return payment


# --- what is sent -------------------------------------------------------------------------------------------------


def test_one_call_reads_an_intent_with_its_charge_by_the_pinned_version(wire: responses.RequestsMock) -> None:
    wire.get(f"{URL}/v1/payment_intents/pi_1", json=INTENT)
    assert found(client(), "pi_1").charge_id == "ch_1"
    (call,) = wire.calls
    assert parse_qs(urlsplit(call.request.url or "").query) == {"expand[0]": ["latest_charge"]}
    assert call.request.headers["Authorization"] == f"Bearer {KEY}"
    assert call.request.headers["Stripe-Version"] == VERSION
    assert "SENSITIVE" not in (call.request.url or "")


def test_one_call_reads_a_charge_with_its_intent(wire: responses.RequestsMock) -> None:
    wire.get(f"{URL}/v1/charges/ch_1", json={**CHARGE, "payment_intent": {**INTENT, "latest_charge": "ch_1"}})
    payment = found(client(), "ch_1")
    assert (payment.reference, payment.intent_id, payment.charge_id) == ("ch_1", "pi_1", "ch_1")
    assert len(wire.calls) == 1


def test_disputes_are_asked_for_only_where_there_are_any(wire: responses.RequestsMock) -> None:
    disputed = {**CHARGE, "disputed": True}
    wire.get(f"{URL}/v1/payment_intents/pi_1", json={**INTENT, "latest_charge": disputed})
    listed = [{"id": "du_1", "status": "won", "amount": 1}, {"id": "du_2", "status": "needs_response", "amount": 2}]
    wire.get(f"{URL}/v1/disputes", json={"object": "list", "data": listed, "has_more": False, "url": "/v1/disputes"})
    assert found(client(), "pi_1").dispute == Dispute("du_2", "needs_response", 2, "")
    assert parse_qs(urlsplit(wire.calls[1].request.url or "").query) == {"charge": ["ch_1"], "limit": ["100"]}


def test_nothing_is_told_of_this_machine(
    wire: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(stripe, "enable_telemetry", True)
    monkeypatch.setattr("stripe._telemetry_id._loaded", False)  # it looks once in a process
    monkeypatch.setattr("stripe._telemetry_id._cached_id", None)
    wire.get(f"{URL}/v1/payment_intents/pi_1", json=INTENT, headers={"Request-Id": "req_1"})
    one = client()
    for _ in range(2):
        one.find_payment("pi_1")
    assert list(tmp_path.rglob("*")) == []
    for call in wire.calls:
        assert not [name for name in call.request.headers if name.lower().startswith("x-stripe")]
        assert call.request.headers["User-Agent"] == "totara-woocommerce-bridge"


def test_two_clients_do_not_share_their_keys(wire: responses.RequestsMock) -> None:
    wire.get(f"{URL}/v1/payment_intents/pi_1", json=INTENT)
    one, other = client(), client(key=LIVE_KEY)
    one.find_payment("pi_1")
    other.find_payment("pi_1")
    assert [call.request.headers["Authorization"] for call in wire.calls] == [f"Bearer {KEY}", f"Bearer {LIVE_KEY}"]
    assert stripe.api_key is None
    assert (one.live, other.live) == (False, True)


@pytest.mark.parametrize(
    "reference",
    ["", "pi_", "1041", "seti_1", "src_1", "pi_1/../charges", "pi_1?x=1", "pi_1\n", "PI_1", "pi_é", "pi_" + "x" * 61],
)
def test_what_is_no_reference_of_a_payment_is_not_asked_for(wire: responses.RequestsMock, reference: str) -> None:
    assert client().find_payment(reference) is None
    assert len(wire.calls) == 0


def test_a_call_has_the_wire_s_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def slow(self: requests.Session, *_: Any, **options: Any) -> None:
        seen.append(options)
        raise requests.ReadTimeout("of https://api.stripe.com/v1/payment_intents/pi_1")

    monkeypatch.setattr(requests.Session, "request", slow)
    with pytest.raises(Unavailable) as caught:
        client(timeout=3.0).find_payment("pi_1")
    assert seen[0]["timeout"] == (3.0, 3.0)
    assert seen[0]["allow_redirects"] is False
    assert str(caught.value) == "stripe did not answer payment_intents: ReadTimeout"


# --- what is read -------------------------------------------------------------------------------------------------


def test_a_payment_is_the_same_by_each_of_its_references(fake: Stripe, ours: StripeClient) -> None:
    intent = fake.pay(1041, 12000, number="WC-7")
    by_intent, by_charge = found(ours, intent["id"]), found(ours, intent["latest_charge"])
    assert by_intent == Payment(
        reference=intent["id"],
        intent_id=intent["id"],
        charge_id=intent["latest_charge"],
        order_id=1041,
        amount=12000,
        currency="eur",
        succeeded=True,
        captured=True,
        refunded=0,
        dispute=None,
        live=False,
        status="succeeded",
        order_number="WC-7",
    )
    assert by_charge.reference == intent["latest_charge"]
    assert by_charge.name == by_intent.name == intent["id"]
    assert fake.requests == [
        f"GET /v1/payment_intents/{intent['id']}",
        f"GET /v1/charges/{intent['latest_charge']}",
    ]


def test_a_declined_card_and_the_one_after_it(fake: Stripe, ours: StripeClient) -> None:
    intent = fake.pay(1, 100, payment_method="pm_card_chargeDeclined")
    declined = intent["latest_charge"]
    for reference in (intent["id"], declined):
        payment = found(ours, reference)
        assert (payment.succeeded, payment.captured, payment.status) == (False, False, "failed")
    fake.confirm(intent["id"], "pm_card_visa")
    for reference in (intent["id"], declined):
        payment = found(ours, reference)
        assert (payment.succeeded, payment.charge_id) == (True, intent["latest_charge"])
    assert intent["latest_charge"] != declined


def test_an_intent_that_nobody_has_tried_to_pay(fake: Stripe, ours: StripeClient) -> None:
    payment = found(ours, fake.create_intent(False, 100, "eur")["id"])
    assert (payment.status, payment.charge_id, payment.amount) == ("requires_payment_method", "", 100)
    assert (payment.order_id, payment.order_number) == (None, "")


def test_authorised_then_captured_in_part(fake: Stripe, ours: StripeClient) -> None:
    intent = fake.pay(1, 10000, manual=True)
    for reference in (intent["id"], intent["latest_charge"]):
        held = found(ours, reference)
        assert (held.succeeded, held.captured, held.status, held.amount) == (False, False, "requires_capture", 10000)
    fake.capture(intent["id"], 4000)
    taken = found(ours, intent["id"])
    assert (taken.succeeded, taken.captured, taken.amount, taken.refunded) == (True, True, 4000, 0)
    fake.refund(intent["latest_charge"], 1000)
    assert found(ours, intent["id"]).refunded == 1000
    fake.refund(intent["latest_charge"])
    assert found(ours, intent["id"]).refunded == 4000


def test_a_cancelled_one_was_never_taken(fake: Stripe, ours: StripeClient) -> None:
    intent = fake.pay(1, 10000, manual=True)
    fake.cancel(intent["id"])
    payment = found(ours, intent["id"])
    assert (payment.succeeded, payment.captured, payment.status) == (False, False, "canceled")


def test_a_bank_debit_is_on_its_way_and_then_there_or_not(fake: Stripe, ours: StripeClient) -> None:
    for ok, ends in ((True, "succeeded"), (False, "failed")):
        intent = fake.pay(1, 100, payment_method="pm_sepa_debit")
        assert intent["latest_charge"].startswith("py_")
        assert found(ours, intent["latest_charge"]).status == "processing"
        fake.settle(intent["id"], ok=ok)
        payment = found(ours, intent["latest_charge"])
        assert (payment.status, payment.succeeded) == (ends, ok)


def test_refunds_count_what_was_given_back(fake: Stripe, ours: StripeClient) -> None:
    intent = fake.pay(1, 12000)
    fake.refund(intent["latest_charge"], 5000)
    assert found(ours, intent["id"]).refunded == 5000
    fake.refund(intent["latest_charge"])
    assert found(ours, intent["id"]).refunded == 12000
    assert found(ours, intent["id"]).amount == 12000


def test_a_dispute_from_its_beginning_to_its_end(fake: Stripe, ours: StripeClient) -> None:
    intent = fake.pay(1, 12000)
    dispute = fake.dispute(intent["latest_charge"], amount=6000, reason="duplicate")
    assert found(ours, intent["id"]).dispute == Dispute(dispute["id"], "needs_response", 6000, "duplicate")
    fake.respond(dispute["id"], {})
    assert found(ours, intent["latest_charge"]).dispute == Dispute(dispute["id"], "under_review", 6000, "duplicate")
    fake.win(dispute["id"])
    assert found(ours, intent["id"]).dispute == Dispute(dispute["id"], "won", 6000, "duplicate")


def test_a_charge_without_an_intent(wire: responses.RequestsMock) -> None:
    """As the shop's plugin made them until 2019."""
    wire.get(f"{URL}/v1/charges/ch_1", json={**CHARGE, "payment_intent": None})
    payment = found(client(), "ch_1")
    assert (payment.intent_id, payment.charge_id, payment.succeeded, payment.captured) == ("", "ch_1", True, True)
    assert payment.name == "ch_1"
    held = {**CHARGE, "payment_intent": None, "captured": False, "amount_captured": 0}
    wire.replace(responses.GET, f"{URL}/v1/charges/ch_1", json=held)
    payment = found(client(), "ch_1")
    assert (payment.succeeded, payment.captured, payment.amount) == (True, False, 12000)


@pytest.mark.parametrize(
    ("metadata", "order_id", "number"),
    [
        ({"order_id": "1041"}, 1041, "1041"),
        ({"order_id": "WC-7"}, None, "WC-7"),
        ({"order_id": "WC-7", "signature": "1041:abc"}, 1041, "WC-7"),
        ({"order_id": "7", "signature": "1041:abc"}, 1041, "7"),
        ({"signature": "1041:abc"}, 1041, ""),
        ({"order_id": "7", "signature": "no"}, 7, "7"),
        ({"order_id": "0"}, None, "0"),
        ({"order_id": "9" * 19}, None, "9" * 19),
        ({"order_id": "١"}, None, "١"),
        ({"order_id": ""}, None, ""),
        ({}, None, ""),
        (None, None, ""),
    ],
)
def test_which_order_a_payment_names(metadata: Any, order_id: int | None, number: str) -> None:
    payment = read_payment("pi_1", {**INTENT, "metadata": metadata}, {**CHARGE, "metadata": {}})
    assert (payment.order_id, payment.order_number) == (order_id, number)


def test_an_order_named_by_the_charge_only() -> None:
    assert read_payment("ch_1", {**INTENT, "metadata": {}}, CHARGE).order_id == 1041


@pytest.mark.parametrize("name", ["id", "amount", "currency", "status"])
@pytest.mark.parametrize("value", [None, [], "", 1.5, True])
def test_half_an_answer_is_no_answer(name: str, value: Any) -> None:
    whole = {**CHARGE, "captured": False, "payment_intent": None}
    with pytest.raises(Unavailable, match=f"Stripe answered without {name}"):
        read_payment("ch_1", None, {**whole, name: value})


def test_nothing_is_no_answer_either() -> None:
    with pytest.raises(Unavailable):
        read_payment("ch_1", None, None)


# --- modes --------------------------------------------------------------------------------------------------------


def test_a_payment_of_the_other_mode_is_refused_and_not_taken_for_missing(fake: Stripe, served: Served) -> None:
    real, trial = fake.pay(1, 100, live=True), fake.pay(2, 100)
    for key, own, other, mode in (
        (SANDBOX_KEY, trial, real, "live"),
        (LIVE_KEY, real, trial, "test"),
    ):
        one = client(served.url, key)
        assert found(one, own["id"]).live is (key == LIVE_KEY)
        for reference in (other["id"], other["latest_charge"]):
            with pytest.raises(Refused) as caught:
                one.find_payment(reference)
            assert caught.value.code == WRONG_MODE
            assert f"exists in {mode} mode only" in str(caught.value)


def test_an_unknown_payment_is_none(ours: StripeClient) -> None:
    for reference in ("pi_none", "ch_none", "py_none"):
        assert ours.find_payment(reference) is None


# --- status -------------------------------------------------------------------------------------------------------


def test_status_tells_mode_and_version(fake: Stripe, served: Served) -> None:
    status = client(served.url, SANDBOX_KEY).status()
    assert (status.live, status.version) == (False, VERSION)
    assert client(served.url, LIVE_KEY).status().live is True
    assert set(fake.requests) == {"GET /v1/payment_intents", "GET /v1/charges", "GET /v1/disputes"}


def test_status_tries_every_right_that_is_needed(fake: Stripe, served: Served) -> None:
    rights = {"payment_intents", "charges", "disputes"}
    for missing in rights:
        fake.add_key(f"rk_test_{missing}", rights - {missing})
        with pytest.raises(Unauthorized, match=f"refused {missing}: the secret key may not do this"):
            client(served.url, f"rk_test_{missing}").status()
    fake.add_key("rk_test_enough", rights)
    assert client(served.url, "rk_test_enough").status().live is False


def test_a_key_that_is_not_accepted_is_not_tried_again(fake: Stripe, served: Served) -> None:
    with pytest.raises(Unauthorized, match="the secret key is not accepted"):
        client(served.url, "sk_test_other", tries=3).status()
    assert fake.requests == []


# --- what answers mean --------------------------------------------------------------------------------------------

WORDS = "SENSITIVE: sk_test_0123 of buyer@private.test at https://api.stripe.com/v1/x"


@pytest.mark.parametrize(
    ("status", "error", "kind", "says"),
    [
        (401, {"type": "invalid_request_error"}, Unauthorized, "the secret key is not accepted"),
        (401, {"code": "api_key_expired"}, Unauthorized, "the secret key is not accepted (api_key_expired)"),
        (401, {"code": "secret_key_required"}, Unauthorized, "the key is not a secret key (secret_key_required)"),
        (403, {"type": "invalid_request_error"}, Unauthorized, "the secret key may not do this"),
        (400, {"code": "testmode_charges_only"}, Unauthorized, "the account has not been activated"),
        (400, {"code": "rate_limit"}, Unavailable, "too many requests (rate_limit)"),
        (400, {"code": "lock_timeout"}, Unavailable, "it is being changed at this moment (lock_timeout)"),
        (409, {"code": "lock_timeout"}, Unavailable, "it is being changed at this moment (lock_timeout)"),
        (409, {"code": "idempotency_key_in_use"}, Unavailable, "Stripe could not do it (idempotency_key_in_use)"),
        (424, {"type": "api_error"}, Unavailable, "Stripe could not do it"),
        (418, {"type": "api_error"}, Unavailable, "Stripe could not do it"),
        (404, {"code": "resource_missing"}, NotFound, "there is no such thing (resource_missing)"),
        (404, {"type": "invalid_request_error"}, Refused, "the request is not valid"),
        (400, {"code": "parameter_unknown"}, Refused, "the request is not valid (parameter_unknown)"),
        (400, {"type": "idempotency_error"}, Refused, "the same request was made with other values"),
        (402, {"code": "card_declined"}, Refused, "the card was declined (card_declined)"),
        (429, {"code": "rate_limit"}, Unavailable, "stripe answered 429 to disputes"),
        (500, {"type": "api_error"}, Unavailable, "stripe answered 500 to disputes"),
        (503, {"type": "api_error"}, Unavailable, "stripe answered 503 to disputes"),
    ],
)
def test_what_each_error_means(
    wire: responses.RequestsMock, status: int, error: dict[str, str], kind: type[BridgeError], says: str
) -> None:
    wire.get(f"{URL}/v1/disputes", json={"error": {"message": WORDS, **error}}, status=status)
    with pytest.raises(BridgeError) as caught:
        client()._disputes(CHARGE)
    assert type(caught.value) is kind
    assert says in str(caught.value)
    assert not any(word in str(caught.value) for word in ("SENSITIVE", "sk_test", "private", "https:"))
    if isinstance(caught.value, Refused):
        assert caught.value.code == error.get("code", "")
    elif isinstance(caught.value, Unavailable):
        assert caught.value.system == "stripe"


def test_an_error_of_the_library_itself_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="Stripe could not do it"):
        refuse("charges", stripe.APIError("SENSITIVE"))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("<html>502</html>", 502),
        ("<html>captive portal</html>", 200),
        ("", 200),
        ('{"id": "pi_1"', 200),
        ('{"error": "a word"}', 401),
        ("[]", 400),
        ("[]", 200),
        ('"pi_1"', 200),
        ("{}", 200),
        ('{"error": {}}', 500),
    ],
)
def test_an_answer_that_is_not_stripe_s_is_unavailable(wire: responses.RequestsMock, body: str, status: int) -> None:
    wire.get(f"{URL}/v1/payment_intents/pi_1", body=body, status=status)
    with pytest.raises(Unavailable):
        client().find_payment("pi_1")


def test_an_answer_in_another_encoding_does_not_trip_the_library(wire: responses.RequestsMock) -> None:
    wire.get(f"{URL}/v1/payment_intents/pi_1", body=json.dumps(INTENT).encode("utf-16"))
    assert found(client(), "pi_1").order_id == 1041


def test_a_redirect_is_not_followed_with_the_key(wire: responses.RequestsMock) -> None:
    wire.get(f"{URL}/v1/payment_intents/pi_1", status=302, headers={"Location": "https://evil.example/"})
    with pytest.raises(Unavailable, match="redirects"):
        client().find_payment("pi_1")
    assert len(wire.calls) == 1


# --- tries, and the breaker ---------------------------------------------------------------------------------------


def test_a_read_is_tried_again_by_our_one_layer_only(fake: Stripe, served: Served) -> None:
    intent = fake.pay(1, 100)
    fake.faults.down(times=2)
    assert found(client(served.url, SANDBOX_KEY, tries=3), intent["id"]).succeeded
    fake.requests.clear()
    fake.faults.down()
    began = time.perf_counter()
    with pytest.raises(Unavailable, match="stripe answered 503 to payment_intents"):
        client(served.url, SANDBOX_KEY, tries=1).find_payment(intent["id"])
    assert time.perf_counter() - began < 0.4  # the library's first wait is half a second
    assert fake.requests == []


def test_a_long_wait_that_is_asked_for_is_passed_on(wire: responses.RequestsMock) -> None:
    wire.get(f"{URL}/v1/payment_intents/pi_1", status=429, headers={"Retry-After": "30"}, json={"error": {}})
    with pytest.raises(Unavailable) as caught:
        client(tries=3).find_payment("pi_1")
    assert caught.value.retry_after == 30.0
    assert len(wire.calls) == 1


def test_the_breaker_keeps_calls_from_a_stripe_that_is_down(fake: Stripe, served: Served) -> None:
    intent = fake.pay(1, 100)
    now = [0.0]
    breaker = Breaker("stripe", failures=2, seconds=10.0, clock=lambda: now[0])
    one = client(served.url, SANDBOX_KEY, breaker=breaker)
    fake.faults.down(times=2)
    for _ in range(2):
        with pytest.raises(Unavailable, match="503"):
            one.find_payment(intent["id"])
    with pytest.raises(Unavailable, match="has just failed several times"):
        one.find_payment(intent["id"])
    assert fake.requests == []
    now[0] = 11.0
    assert found(one, intent["id"]).succeeded
    assert breaker.ready


def test_a_refusal_is_an_answer_and_does_not_open_the_breaker(ours: StripeClient) -> None:
    for _ in range(10):
        assert ours.find_payment("pi_none") is None
    assert ours._wire.breaker.ready


# --- what is written down -----------------------------------------------------------------------------------------


def test_an_exception_shows_neither_the_library_s_words_nor_the_key(wire: responses.RequestsMock) -> None:
    wire.get(f"{URL}/v1/payment_intents/pi_1", json={"error": {"message": WORDS}}, status=400)
    with pytest.raises(Refused) as caught:
        client().find_payment("pi_1")
    assert caught.value.__suppress_context__
    assert "SENSITIVE" not in repr(caught.value)


def test_the_library_logs_nothing_that_we_write_down(
    fake: Stripe, ours: StripeClient, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """It would log whole answers, with whoever paid in them."""
    from bridge import logs

    level = logging.getLogger("stripe").level
    request.addfinalizer(lambda: logging.getLogger("stripe").setLevel(level))
    request.addfinalizer(structlog.reset_defaults)
    logs.set_up("debug", "json")
    intent = fake.pay(1, 100)
    fake.objects[intent["latest_charge"]]["billing_details"]["email"] = "buyer@private.test"
    found(ours, intent["id"])
    assert "private" not in capsys.readouterr().err


def test_the_sample_answers_are_of_the_embedded_one_s_shape(fake: Stripe) -> None:
    """The hand-made answers above name only fields that a whole one has."""
    charge = fake.objects[fake.pay(1, 100)["latest_charge"]]
    assert CHARGE.keys() <= charge.keys()
    assert INTENT.keys() <= fake.objects[charge["payment_intent"]].keys()
    assert json.loads(json.dumps(CHARGE)) == CHARGE
