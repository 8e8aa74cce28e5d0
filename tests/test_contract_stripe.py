"""Hold the embedded Stripe to the official library: its typed fields, its way of asking, its check of signatures."""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe

from bridge.sandbox.server import Served
from bridge.sandbox.stripe import SANDBOX_KEY, Stripe
from bridge.sandbox.stripe_shapes import VERSION
from bridge.stripe_client import EVENTS
from bridge.stripe_client import VERSION as OURS

LIVE_KEY = "sk_live_sandbox0123456789"


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
def real(served: Served, monkeypatch: pytest.MonkeyPatch) -> stripe.StripeClient:
    """The official client, asking the embedded Stripe."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)  # it would write into the home folder
    return stripe.StripeClient(SANDBOX_KEY, base_addresses={"api": served.url})


# --- what objects look like ---------------------------------------------------------------------------------------


def named(name: str) -> Any:
    """The library's class of an object that another one refers to."""
    name = name.removesuffix("Resource")  # the library's own alias for stripe.Card
    return getattr(stripe, name, None) or getattr(stripe.radar, name)


def problems(value: Any, kind: Any, path: str) -> Iterator[str]:
    """Where a value does not fit the library's annotation of it."""
    kind = named(kind.__forward_arg__) if isinstance(kind, typing.ForwardRef) else kind
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if all(list(problems(value, one, path)) for one in inner):
            closest = [one for one in inner if isinstance(one, type) and issubclass(one, stripe.StripeObject)]
            yield from (
                problems(value, closest[0], path)
                if closest and isinstance(value, dict)
                else [f"{path}: {value!r} is none of {inner}"]
            )
    elif origin is typing.Literal:
        if value not in inner:
            yield f"{path}: {value!r} is not in {inner}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
        else:
            for item in value:
                yield from problems(item, inner[0], f"{path}[]")
    elif kind is Any:
        return
    elif isinstance(origin or kind, type) and issubclass(origin or kind, stripe.StripeObject):
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no object"
        else:
            yield from fields(value, origin or kind, path)
    elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        yield f"{path}: {value!r} is no {kind.__name__}"


def fields(value: dict[str, Any], kind: Any, path: str) -> Iterator[str]:
    """The same for an object: all that must be there is, and nothing that the library does not know."""
    known = {
        name: hint
        for name, hint in kind.__annotations__.items()
        if name not in ("OBJECT_NAME",) and not name.startswith("_")
    }
    if not known:
        return  # metadata, and other free forms
    for name, hint in known.items():
        if name in value:
            yield from problems(value[name], hint, f"{path}.{name}")
        elif type(None) not in typing.get_args(hint):
            yield f"{path}.{name}: is missing"
    for name in value.keys() - known.keys():
        yield f"{path}.{name}: the library knows no such field"


KINDS: dict[str, Any] = {
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "dispute": stripe.Dispute,
    "review": stripe.Review,
    "radar.early_fraud_warning": stripe.radar.EarlyFraudWarning,
    "balance_transaction": stripe.BalanceTransaction,
    "webhook_endpoint": stripe.WebhookEndpoint,
    "event": stripe.Event,
}


def live_through(fake: Stripe) -> None:
    """Everything that may happen to payments."""
    paid = fake.pay(1, 12000)["latest_charge"]
    fake.refund(paid, 5000, "requested_by_customer")
    fake.refund(paid)
    won = fake.pay(2, 500, "jpy")["latest_charge"]
    fake.review(won)
    fake.warn(won)
    fake.win(fake.dispute(won)["id"])
    fake.close_review(fake.objects[won]["review"])
    lost = fake.dispute(fake.pay(3, 5120, "kwd", live=True)["latest_charge"], inquiry=True)
    fake.respond(lost["id"], {"uncategorized_text": "They learned."})
    fake.escalate(lost["id"])
    fake.lose(lost["id"])
    fake.win(fake.dispute(fake.pay(4, 700)["latest_charge"], inquiry=True)["id"])
    fake.lose(fake.dispute(fake.pay(5, 700)["latest_charge"])["id"], prevented=True)
    fake.pay(6, 900, payment_method="pm_card_chargeDeclined")
    fake.authenticate(fake.pay(7, 900, payment_method="pm_card_authenticationRequired")["id"])
    fake.authenticate(fake.pay(8, 900, payment_method="pm_card_authenticationRequired")["id"], ok=False)
    fake.capture(fake.pay(9, 900, manual=True)["id"], 400)
    fake.cancel(fake.pay(10, 900, manual=True)["id"], "requested_by_customer")
    fake.settle(fake.pay(11, 900, payment_method="pm_sepa_debit")["id"])
    fake.settle(fake.pay(12, 900, payment_method="pm_sepa_debit")["id"], ok=False)
    fake.pay(13, 900, payment_method="pm_card_createDispute")
    fake.pay(14, 900, payment_method="pm_card_createDisputeInquiry")
    fake.pay(15, 900, payment_method="pm_card_createIssuerFraudRecord")
    fake.cancel(fake.create_intent(False, 900, "eur")["id"])


def test_every_object_has_the_fields_and_values_that_the_library_knows(fake: Stripe) -> None:
    live_through(fake)
    fake.events.add_endpoint("https://bridge.example/webhooks/stripe")
    everything = [*fake.objects.values(), *fake.events.endpoints.values()]
    assert {one["object"] for one in everything} == KINDS.keys() - {"event"}
    found = {problem for one in everything for problem in fields(one, KINDS[one["object"]], one["object"])}
    assert found == set()


def test_every_event_is_one_that_the_library_knows_and_shows_an_object_as_it_is(fake: Stripe) -> None:
    live_through(fake)
    found = set()
    for event in fake.events.events.values():
        about = event["data"]["object"]
        found |= set(problems(event, stripe.Event, "event"))
        found |= set(fields(about, KINDS[about["object"]], event["type"]))
    assert found == set()


def test_the_check_of_fields_sees_what_is_wrong(fake: Stripe) -> None:
    charge = fake.objects[fake.pay(1, 12000)["latest_charge"]]
    assert list(fields(charge, stripe.Charge, "charge")) == []
    for wrong, says in (
        ({"amount": "12000"}, "charge.amount"),
        ({"captured": 1}, "charge.captured"),
        ({"amount": True}, "charge.amount"),
        ({"dispute": None}, "charge.dispute: the library knows no such field"),
        ({"outcome": {"type": 3}}, "charge.outcome.type"),
        ({"metadata": []}, "charge.metadata"),
    ):
        assert any(problem.startswith(says) for problem in fields(charge | wrong, stripe.Charge, "charge")), wrong
    without = {name: value for name, value in charge.items() if name != "currency"}
    assert list(fields(without, stripe.Charge, "charge")) == ["charge.currency: is missing"]


def test_all_the_events_that_the_bridge_listens_to_can_be_had(fake: Stripe) -> None:
    live_through(fake)
    told = {event["type"] for event in fake.events.events.values()}
    # A refund that fails or changes later is not imitated.
    assert EVENTS - told == {"refund.failed", "refund.updated"}


def test_the_bridge_listens_to_events_that_there_are() -> None:
    assert set(typing.get_args(stripe.Event.__annotations__["type"])) >= EVENTS


def test_the_pinned_version_is_the_library_s_own() -> None:
    assert VERSION == OURS == stripe.StripeClient("sk_test_x")._requestor._options.stripe_version


# --- how it is asked ----------------------------------------------------------------------------------------------


def test_the_official_client_goes_through_a_payment(real: stripe.StripeClient) -> None:
    intent = real.v1.payment_intents.create(
        {"amount": 12000, "currency": "EUR", "metadata": {"order_id": "1041"}, "capture_method": "manual"}
    )
    assert (intent.status, intent.currency, intent.metadata["order_id"]) == ("requires_payment_method", "eur", "1041")
    intent = real.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 12000)
    intent = real.v1.payment_intents.capture(intent.id, {"expand": ["latest_charge.balance_transaction"]})
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert isinstance(intent.latest_charge.balance_transaction, stripe.BalanceTransaction)
    assert intent.latest_charge.metadata["order_id"] == "1041"
    refund = real.v1.refunds.create({"payment_intent": intent.id, "amount": 2000, "reason": "duplicate"})
    assert (refund.amount, refund.status) == (2000, "succeeded")
    charge = real.v1.charges.retrieve(intent.latest_charge.id, {"expand": ["payment_intent"]})
    assert isinstance(charge.payment_intent, stripe.PaymentIntent)
    assert (charge.amount_refunded, charge.refunded) == (2000, False)
    assert [one.id for one in real.v1.refunds.list({"charge": charge.id}).data] == [refund.id]


def test_the_official_client_goes_through_a_dispute(fake: Stripe, real: stripe.StripeClient) -> None:
    for words, ends in (("winning_evidence", "won"), ("losing_evidence", "lost")):
        charge = fake.pay(1, 12000, payment_method="pm_card_createDispute")["latest_charge"]
        (dispute,) = real.v1.disputes.list({"charge": charge}).data
        assert (dispute.status, dispute.amount) == ("needs_response", 12000)
        held = real.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": words}, "submit": False})
        assert held.status == "needs_response"
        decided = real.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": words}})
        assert decided.status == ends
    given_up = fake.dispute(fake.pay(2, 500)["latest_charge"])
    assert real.v1.disputes.close(given_up["id"]).status == "lost"


def test_the_official_client_reads_reviews_warnings_events_and_endpoints(
    fake: Stripe, real: stripe.StripeClient
) -> None:
    charge = fake.pay(1, 12000)["latest_charge"]
    review, warning = fake.review(charge), fake.warn(charge)
    assert real.v1.reviews.approve(review["id"]).closed_reason == "approved"
    assert real.v1.radar.early_fraud_warnings.list({"charge": charge}).data[0].id == warning["id"]
    newest = real.v1.events.list({"limit": 1}).data[0]
    assert newest.type == "review.closed"
    assert real.v1.events.retrieve(newest.id).id == newest.id
    made = real.v1.webhook_endpoints.create({"url": "https://b.example/", "enabled_events": ["charge.refunded"]})
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    (listed,) = real.v1.webhook_endpoints.list().data
    assert "secret" not in listed
    assert real.v1.webhook_endpoints.delete(made.id).deleted is True
    assert real.v1.webhook_endpoints.list().data == []


def test_the_official_client_pages_through_a_list(fake: Stripe, real: stripe.StripeClient) -> None:
    made = [fake.pay(number, 100)["id"] for number in range(1, 8)]
    first = real.v1.payment_intents.list({"limit": 3})
    assert [one.id for one in first.data] == made[:3:-1]
    assert first.has_more is True
    assert [one.id for one in first.auto_paging_iter()] == made[::-1]
    before = real.v1.payment_intents.list({"limit": 3, "ending_before": made[1]})
    assert [one.id for one in before.data] == [made[4], made[3], made[2]]


NO_CURRENCY: Any = {"amount": 1}
A_COLOUR: Any = {"amount": 1, "currency": "eur", "colour": "red"}


@pytest.mark.parametrize(
    ("ask", "error", "status", "code"),
    [
        (lambda c: c.v1.charges.retrieve("ch_none"), stripe.InvalidRequestError, 404, "resource_missing"),
        (lambda c: c.v1.events.retrieve("evt_none"), stripe.InvalidRequestError, 404, "resource_missing"),
        (
            lambda c: c.v1.payment_intents.create({"amount": 0, "currency": "eur"}),
            stripe.InvalidRequestError,
            400,
            "parameter_invalid_integer",
        ),
        (lambda c: c.v1.payment_intents.create(NO_CURRENCY), stripe.InvalidRequestError, 400, "parameter_missing"),
        (
            lambda c: c.v1.payment_intents.create(A_COLOUR),
            stripe.InvalidRequestError,
            400,
            "parameter_unknown",
        ),
        (
            lambda c: c.v1.payment_intents.create({"amount": 550, "currency": "isk"}),
            stripe.InvalidRequestError,
            400,
            "invalid_charge_amount_no_decimal_compatible",
        ),
        (
            lambda c: c.v1.payment_intents.create(
                {"amount": 1, "currency": "eur", "payment_method": "pm_card_chargeDeclined", "confirm": True}
            ),
            stripe.CardError,
            402,
            "card_declined",
        ),
        (lambda c: c.v1.charges.list({"limit": 101}), stripe.InvalidRequestError, 400, "parameter_invalid_integer"),
        (lambda c: c.v1.charges.list({"expand": ["data.dispute"]}), stripe.InvalidRequestError, 400, None),
        (lambda c: c.v1.customers.list(), stripe.InvalidRequestError, 404, None),
    ],
)
def test_what_can_not_be_done_is_the_error_that_the_library_expects(
    fake: Stripe,
    real: stripe.StripeClient,
    ask: Callable[[stripe.StripeClient], Any],
    error: type[stripe.StripeError],
    status: int,
    code: str | None,
) -> None:
    fake.pay(1, 100)
    with pytest.raises(error) as caught:
        ask(real)
    assert (caught.value.http_status, caught.value.code) == (status, code)
    assert caught.value.request_id is not None


def test_keys_are_accepted_by_their_mode_and_rights(fake: Stripe, served: Served, real: stripe.StripeClient) -> None:
    def by(key: str) -> stripe.StripeClient:
        return stripe.StripeClient(key, base_addresses={"api": served.url})

    intent = fake.pay(1, 100, live=True)
    assert by(LIVE_KEY).v1.payment_intents.retrieve(intent["id"]).livemode is True
    with pytest.raises(stripe.InvalidRequestError, match="a similar object exists in live mode, but a test mode key"):
        real.v1.payment_intents.retrieve(intent["id"])
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key"):
        by("sk_test_other").v1.charges.list()
    with pytest.raises(stripe.AuthenticationError, match="publishable"):
        by("pk_test_other").v1.charges.list()
    fake.add_key("rk_test_charges", {"charges"})
    assert by("rk_test_charges").v1.charges.list().data == []
    with pytest.raises(stripe.PermissionError):
        by("rk_test_charges").v1.disputes.list()


def test_what_is_asked_twice_with_one_key_is_done_once(fake: Stripe, real: stripe.StripeClient) -> None:
    values: Any = {"amount": 100, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    other: Any = {**values, "amount": 200}
    once = real.v1.payment_intents.create(values, {"idempotency_key": "order-1"})
    again = real.v1.payment_intents.create(values, {"idempotency_key": "order-1"})
    assert once.id == again.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert len(fake.every("charge", False)) == 1
    with pytest.raises(stripe.IdempotencyError):
        real.v1.payment_intents.create(other, {"idempotency_key": "order-1"})
    declined: Any = {**values, "payment_method": "pm_card_chargeDeclined"}
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            real.v1.payment_intents.create(declined, {"idempotency_key": "order-2"})
    assert len(fake.every("charge", False)) == 2


def test_the_version_asked_for_is_the_version_answered(real: stripe.StripeClient) -> None:
    asked = real.v1.charges.list({}, {"stripe_version": "2025-01-27.acacia"})
    assert asked.last_response is not None
    assert asked.last_response.headers["Stripe-Version"] == "2025-01-27.acacia"
    with pytest.raises(stripe.InvalidRequestError, match="version"):
        real.v1.charges.list({}, {"stripe_version": "tomorrow"})


# --- deliveries ---------------------------------------------------------------------------------------------------


def test_the_library_accepts_the_signatures_and_builds_the_events(fake: Stripe) -> None:
    endpoint = fake.events.add_endpoint("http://127.0.0.1:9/")
    (secret,) = fake.events.secrets[endpoint["id"]]
    live_through(fake)
    fake.events.timeout = 0.5
    assert fake.events.deliver() == 0  # nobody listens
    assert len(fake.events.deliveries) > 50
    for sent in fake.events.deliveries:
        event = stripe.Webhook.construct_event(sent["body"], sent["signature"], secret)
        assert event.type == sent["type"]
        assert event.livemode is False
        assert event.api_version == VERSION
        assert event.data.object["id"] == json.loads(sent["body"])["data"]["object"]["id"]
    assert re.fullmatch(r"t=\d{10},v1=[0-9a-f]{64}", fake.events.deliveries[0]["signature"])


def test_while_a_secret_is_rolled_both_sign(fake: Stripe) -> None:
    endpoint = fake.events.add_endpoint("http://127.0.0.1:9/", secret="whsec_old")
    fake.events.roll_secret(endpoint["id"], "whsec_new")
    fake.pay(1, 100)
    fake.events.deliver()
    sent = fake.events.deliveries[0]
    for secret in ("whsec_old", "whsec_new"):
        stripe.Webhook.construct_event(sent["body"], sent["signature"], secret)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(sent["body"], sent["signature"], "whsec_other")
