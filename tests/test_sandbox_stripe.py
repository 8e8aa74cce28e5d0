"""What the embedded Stripe does: the ways of money that the rest of the tests rely on to be there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from werkzeug.test import Client

from bridge.sandbox.server import Served
from bridge.sandbox.stripe import SANDBOX_KEY, Stripe
from bridge.sandbox.stripe_form import parse_form
from bridge.sandbox.stripe_pages import ACTIONS
from bridge.sandbox.stripe_payments import METHODS, Problem

START = datetime(2026, 11, 23, 15, 0, 0, tzinfo=UTC).timestamp()
DAY = 86400.0


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Receiver:
    """Listens to deliveries. ``status`` is its answer."""

    def __init__(self) -> None:
        self.status = 200
        self.heard: list[bytes] = []

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.heard.append(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        start_response(f"{self.status} Whatever", [("Content-Length", "0")])
        return [b""]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> Stripe:
    return Stripe(now=clock)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def url(receiver: Receiver) -> Iterator[str]:
    with Served(receiver) as served:
        yield served.url


def told(fake: Stripe) -> list[str]:
    """The types of all events so far; and forget them."""
    types = [event["type"] for event in fake.events.events.values()]
    fake.events.events.clear()
    return types


def charge_of(fake: Stripe, intent: dict[str, Any]) -> dict[str, Any]:
    return fake.objects[intent["latest_charge"]]


# --- the money's way ----------------------------------------------------------------------------------------------


def test_a_payment_of_an_order_as_the_shop_s_plugin_makes_it(fake: Stripe) -> None:
    intent = fake.pay(1041, 12000, number="WC-7")
    charge = charge_of(fake, intent)
    assert intent["metadata"]["order_id"] == charge["metadata"]["order_id"] == "WC-7"
    assert intent["metadata"]["signature"].startswith("1041:")
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 12000)
    assert (charge["paid"], charge["captured"], charge["amount_captured"]) == (True, True, 12000)
    assert told(fake) == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    assert "signature" not in fake.pay(1042, 100, signed=False)["metadata"]


def test_a_declined_card_leaves_the_same_intent_to_be_paid(fake: Stripe) -> None:
    intent = fake.pay(1, 100, payment_method="pm_card_chargeDeclined")
    assert (intent["status"], intent["last_payment_error"]["code"]) == ("requires_payment_method", "card_declined")
    assert charge_of(fake, intent)["status"] == "failed"
    assert told(fake)[1:] == ["charge.failed", "payment_intent.payment_failed"]
    fake.confirm(intent["id"], "pm_card_visa")
    assert (intent["status"], intent["last_payment_error"]) == ("succeeded", None)
    assert len(fake.every("charge", False)) == 2


def test_money_that_is_authorised_is_taken_in_part_and_the_rest_released(fake: Stripe) -> None:
    intent = fake.pay(1, 900, manual=True)
    assert (intent["status"], charge_of(fake, intent)["captured"]) == ("requires_capture", False)
    with pytest.raises(Problem, match="more than what can be captured"):
        fake.capture(intent["id"], 901)
    fake.capture(intent["id"], 400)
    charge = charge_of(fake, intent)
    assert (charge["amount_captured"], charge["amount_refunded"], charge["refunded"]) == (400, 500, False)
    assert intent["amount_received"] == 400
    assert told(fake)[-2:] == ["charge.captured", "payment_intent.succeeded"]


def test_what_is_authorised_may_be_let_go(fake: Stripe) -> None:
    intent = fake.pay(1, 900, manual=True)
    fake.cancel(intent["id"], "abandoned")
    assert (intent["status"], intent["cancellation_reason"]) == ("canceled", "abandoned")
    assert charge_of(fake, intent)["refunded"] is True
    assert told(fake)[-2:] == ["charge.refunded", "payment_intent.canceled"]


@pytest.mark.parametrize("ok", [True, False])
def test_a_bank_debit_takes_its_time(fake: Stripe, ok: bool) -> None:
    intent = fake.pay(1, 900, payment_method="pm_sepa_debit")
    assert (intent["status"], charge_of(fake, intent)["status"]) == ("processing", "pending")
    assert intent["latest_charge"].startswith("py_")
    fake.settle(intent["id"], ok=ok)
    assert charge_of(fake, intent)["status"] == ("succeeded" if ok else "failed")
    assert told(fake)[-1] == ("payment_intent.succeeded" if ok else "payment_intent.payment_failed")


@pytest.mark.parametrize("ok", [True, False])
def test_a_bank_that_asks_who_is_there(fake: Stripe, ok: bool) -> None:
    intent = fake.pay(1, 900, payment_method="pm_card_authenticationRequired")
    assert (intent["status"], intent["latest_charge"]) == ("requires_action", None)
    fake.authenticate(intent["id"], ok=ok)
    assert intent["status"] == ("succeeded" if ok else "requires_payment_method")


def test_refunds_add_up_to_the_whole(fake: Stripe) -> None:
    charge = charge_of(fake, fake.pay(1, 900))
    fake.refund(charge["id"], 400)
    assert (charge["amount_refunded"], charge["refunded"]) == (400, False)
    with pytest.raises(Problem, match="greater than what is left"):
        fake.refund(charge["id"], 501)
    fake.refund(charge["id"])
    assert (charge["amount_refunded"], charge["refunded"]) == (900, True)
    with pytest.raises(Problem, match="already been refunded"):
        fake.refund(charge["id"], 1)
    assert told(fake)[3:] == ["refund.created", "charge.refunded"] * 2


@pytest.mark.parametrize(
    "do",
    [
        lambda fake, one: fake.confirm(one, "pm_card_visa"),
        lambda fake, one: fake.capture(one),
        lambda fake, one: fake.cancel(one),
        lambda fake, one: fake.settle(one),
        lambda fake, one: fake.authenticate(one),
    ],
)
def test_what_has_succeeded_stays_so(fake: Stripe, do: Callable[[Stripe, str], object]) -> None:
    intent = fake.pay(1, 900)
    with pytest.raises(Problem, match="because it has a status of succeeded") as caught:
        do(fake, intent["id"])
    assert caught.value.error["code"] == "payment_intent_unexpected_state"
    assert intent["status"] == "succeeded"


def test_a_method_that_nobody_knows(fake: Stripe) -> None:
    intent = fake.create_intent(False, 900, "eur")
    with pytest.raises(Problem, match="No such PaymentMethod"):
        fake.confirm(intent["id"], "pm_card_gold")
    assert "pm_card_gold" not in METHODS


@pytest.mark.parametrize(("amount", "currency"), [(0, "eur"), (10**10, "eur"), (550, "isk"), (1, "ugx"), (5124, "kwd")])
def test_amounts_that_stripe_does_not_take(fake: Stripe, amount: int, currency: str) -> None:
    with pytest.raises(Problem):
        fake.create_intent(False, amount, currency)


# --- quarrels -----------------------------------------------------------------------------------------------------


def balance(dispute: dict[str, Any]) -> list[int]:
    return [moved["amount"] for moved in dispute["balance_transactions"]]


def test_a_dispute_takes_the_money_and_a_win_brings_it_back(fake: Stripe) -> None:
    charge = charge_of(fake, fake.pay(1, 900))
    told(fake)
    dispute = fake.dispute(charge["id"])
    assert (dispute["status"], charge["disputed"], balance(dispute)) == ("needs_response", True, [-900])
    with pytest.raises(Problem, match="charged back"):
        fake.refund(charge["id"])
    fake.win(dispute["id"])
    assert (dispute["status"], charge["disputed"], balance(dispute)) == ("won", True, [-900, 900])
    assert told(fake) == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    ]


@pytest.mark.parametrize(("prevented", "status"), [(False, "lost"), (True, "prevented")])
def test_a_loss_is_the_end(fake: Stripe, prevented: bool, status: str) -> None:
    dispute = fake.dispute(fake.pay(1, 900)["latest_charge"])
    fake.lose(dispute["id"], prevented=prevented)
    assert (dispute["status"], balance(dispute)) == (status, [-900])
    assert told(fake)[-1] == "charge.dispute.closed"
    for more in (fake.win, fake.lose, fake.escalate):
        with pytest.raises(Problem, match=f"already {status}"):
            more(dispute["id"])


def test_an_inquiry_takes_nothing_until_it_becomes_a_dispute(fake: Stripe) -> None:
    charge = charge_of(fake, fake.pay(1, 900))
    told(fake)
    dispute = fake.dispute(charge["id"], inquiry=True)
    assert (dispute["status"], balance(dispute), told(fake)) == (
        "warning_needs_response",
        [],
        ["charge.dispute.created"],
    )
    fake.respond(dispute["id"], {"product_description": "a course"})
    assert dispute["status"] == "warning_under_review"
    fake.escalate(dispute["id"])
    assert (dispute["status"], balance(dispute)) == ("needs_response", [-900])
    assert told(fake)[-2:] == ["charge.dispute.updated", "charge.dispute.funds_withdrawn"]


def test_an_inquiry_may_come_to_rest_or_be_refunded(fake: Stripe) -> None:
    charge = charge_of(fake, fake.pay(1, 900))
    dispute = fake.dispute(charge["id"], inquiry=True)
    fake.refund(charge["id"], 100)
    fake.win(dispute["id"])
    assert (dispute["status"], balance(dispute)) == ("warning_closed", [])


def test_only_what_was_paid_is_disputed(fake: Stripe) -> None:
    with pytest.raises(Problem, match="has not been paid"):
        fake.dispute(fake.pay(1, 900, manual=True)["latest_charge"])


def test_a_review_is_opened_and_closed(fake: Stripe) -> None:
    intent = fake.pay(1, 900)
    review = fake.review(intent["latest_charge"])
    assert intent["review"] == charge_of(fake, intent)["review"] == review["id"]
    fake.close_review(review["id"], "refunded_as_fraud")
    assert (review["open"], review["closed_reason"]) == (False, "refunded_as_fraud")
    assert told(fake)[-2:] == ["review.opened", "review.closed"]


# --- deliveries ---------------------------------------------------------------------------------------------------


def test_events_go_to_the_endpoints_that_want_them_in_their_mode(fake: Stripe, url: str, receiver: Receiver) -> None:
    fake.pay(1, 900)  # before anybody listened
    fake.events.add_endpoint(url, ["charge.succeeded"])
    live = fake.events.add_endpoint(url, live=True)
    off = fake.events.add_endpoint(url)
    off["status"] = "disabled"
    fake.pay(2, 900)
    fake.pay(3, 900, live=True)
    assert fake.events.deliver() == 1 + 3
    assert {sent["endpoint"] for sent in fake.events.deliveries if sent["type"] != "charge.succeeded"} == {live["id"]}
    assert fake.events.deliver() == 0
    assert len(receiver.heard) == 4
    assert all(event["pending_webhooks"] == 0 for event in fake.events.events.values())


def test_an_event_shows_the_object_as_it_was(fake: Stripe) -> None:
    charge = charge_of(fake, fake.pay(1, 900))
    fake.refund(charge["id"], 100)
    fake.refund(charge["id"], 200)
    refunds = [event for event in fake.events.events.values() if event["type"] == "charge.refunded"]
    assert [event["data"]["object"]["amount_refunded"] for event in refunds] == [100, 300]
    assert [event["data"]["previous_attributes"] for event in refunds] == [
        {"amount_refunded": 0},
        {"amount_refunded": 100},
    ]


def test_what_is_not_taken_is_tried_again_ever_less_often_for_three_days(
    fake: Stripe, url: str, receiver: Receiver, clock: Clock
) -> None:
    fake.events.add_endpoint(url, ["charge.succeeded"])
    receiver.status = 500
    fake.pay(1, 900)
    assert fake.events.deliver() == 0
    assert fake.events.deliver() == 0
    assert len(receiver.heard) == 1
    clock.now += 121
    fake.events.deliver()
    assert len(receiver.heard) == 2
    clock.now += 121
    fake.events.deliver()
    assert len(receiver.heard) == 2
    receiver.status = 200
    assert fake.events.deliver(at_once=True) == 1
    assert fake.events.waiting() == []
    receiver.status = 302
    fake.pay(2, 900)
    for _ in range(80):
        fake.events.deliver()
        clock.now += DAY / 20
    assert fake.events.waiting() == []
    assert 10 < len(receiver.heard) < 20


def test_each_try_is_signed_anew(fake: Stripe, url: str, receiver: Receiver, clock: Clock) -> None:
    fake.events.add_endpoint(url, ["charge.succeeded"])
    receiver.status = 503
    fake.pay(1, 900)
    for _ in range(2):
        fake.events.deliver(at_once=True)
        clock.now += 1000
    first, second = (sent["signature"].split(",")[0] for sent in fake.events.deliveries)
    assert (first, second) == (f"t={int(START)}", f"t={int(START) + 1000}")


def test_an_event_may_come_again_and_in_another_order(fake: Stripe, url: str, receiver: Receiver) -> None:
    fake.events.add_endpoint(url)
    for number in range(5):
        fake.pay(number, 900)
    order = fake.events.waiting()
    fake.events.shuffle(7)
    assert fake.events.waiting() != order
    assert sorted(fake.events.waiting()) == sorted(order)
    fake.events.deliver()
    fake.events.resend(next(iter(fake.events.events)))
    fake.events.deliver()
    assert len(receiver.heard) == 16


def test_an_endpoint_that_is_gone_hears_nothing(fake: Stripe, url: str, receiver: Receiver) -> None:
    made = fake.events.add_endpoint(url)
    fake.pay(1, 900)
    del fake.events.endpoints[made["id"]]
    assert fake.events.deliver() == 0
    assert (fake.events.waiting(), receiver.heard) == ([], [])


def test_it_delivers_by_itself(fake: Stripe, url: str, receiver: Receiver) -> None:
    fake.events.add_endpoint(url)
    fake.events.start(every=0.01)
    try:
        fake.pay(1, 900)
        for _ in range(500):
            if not fake.events.waiting():
                break
            fake.events._stopped.wait(0.01)  # type: ignore[union-attr]
    finally:
        fake.events.stop()
    assert len(receiver.heard) == 3


# --- on the wire --------------------------------------------------------------------------------------------------


def test_forms_are_nested() -> None:
    pairs = [("a", "1"), ("b[c]", "2"), ("b[d][e]", "3"), ("f[]", "4"), ("f[]", "5"), ("g[0]", "6"), ("g[1][h]", "7")]
    assert parse_form(pairs) == {"a": "1", "b": {"c": "2", "d": {"e": "3"}}, "f": ["4", "5"], "g": ["6", {"h": "7"}]}
    with pytest.raises(Problem, match="Invalid hash"):
        parse_form([("a", "1"), ("a[b]", "2")])


@pytest.mark.parametrize("auth", [None, ("", ""), ("sk_test_other", "")])
def test_nobody_asks_without_a_key(fake: Stripe, auth: tuple[str, str] | None) -> None:
    answer = Client(fake.app).get("/v1/charges", auth=auth)
    assert answer.status_code == 401
    assert answer.json is not None
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert fake.requests == []


def test_a_key_may_come_as_basic_too(fake: Stripe) -> None:
    assert Client(fake.app).get("/v1/charges", auth=(SANDBOX_KEY, "")).status_code == 200


def test_faults_hit_it_as_they_hit_the_others(fake: Stripe) -> None:
    with Served(fake.app) as served:
        session = requests.Session()
        session.auth = (SANDBOX_KEY, "")
        fake.faults.down("GET /v1/charges", times=1)
        assert session.get(f"{served.url}/v1/charges", timeout=5).status_code == 503
        assert session.get(f"{served.url}/v1/charges", timeout=5).status_code == 200
        fake.faults.rate_limited(times=1)
        assert session.get(f"{served.url}/v1/charges", timeout=5).status_code == 429
        fake.faults.cut("POST /v1/payment_intents", times=1)
        values = {"amount": "100", "currency": "eur"}
        headers = {"Idempotency-Key": "one"}
        for status in (502, 200):  # carried out, and the answer lost; then told
            answer = session.post(f"{served.url}/v1/payment_intents", values, headers=headers, timeout=5)
            assert answer.status_code == status
        assert len(fake.every("payment_intent", False)) == 1


# --- the page -----------------------------------------------------------------------------------------------------


@pytest.fixture
def page(fake: Stripe) -> Client:
    return Client(fake.app)


def press(page: Client, action: str, one: str) -> str:
    """Press a button, and see the page that follows."""
    answer = page.post(f"/do/{action}/{one}", follow_redirects=True)
    assert answer.status_code == 200
    return answer.text


def test_the_page_lists_payments_with_what_may_happen_next(fake: Stripe, page: Client) -> None:
    assert "No payments yet." in page.get("/").text
    intent = fake.pay(1041, 12000)
    fake.pay(1042, 500, "jpy", live=True)
    shown = page.get("/").text
    assert "120.00 EUR" in shown
    assert "500 JPY" in shown
    assert "1041" in shown
    assert f'action="/do/dispute/{intent["latest_charge"]}"' in shown
    assert "Shop wins" not in shown


def test_every_button_does_what_it_says(fake: Stripe, page: Client) -> None:
    charge = fake.pay(1, 900)["latest_charge"]
    assert "Approve" in press(page, "review", charge)
    press(page, "approve", fake.objects[charge]["review"])
    press(page, "warn", charge)
    assert "4.50 EUR given back" in press(page, "half", charge)
    assert "Make it a dispute" in press(page, "inquire", charge)
    (dispute,) = fake.every("dispute", False)
    assert "Shop wins" in press(page, "escalate", dispute["id"])
    assert "won" in press(page, "win", dispute["id"])
    lost = fake.dispute(fake.pay(2, 900)["latest_charge"])
    assert "lost" in press(page, "lose", lost["id"])
    assert "needs response" in press(page, "dispute", fake.pay(3, 900)["latest_charge"])
    assert "9.00 EUR given back" in press(page, "refund", fake.pay(4, 900)["latest_charge"])
    for action, status in (("capture", "succeeded"), ("cancel", "canceled")):
        held = fake.pay(5, 900, manual=True)
        press(page, action, held["id"])
        assert held["status"] == status
    for action, status in (("settle", "succeeded"), ("bounce", "requires_payment_method")):
        debit = fake.pay(6, 900, payment_method="pm_sepa_debit")
        press(page, action, debit["id"])
        assert debit["status"] == status
    assert len(ACTIONS) == 14


def test_what_can_not_be_done_is_told_on_the_page(fake: Stripe, page: Client) -> None:
    charge = fake.pay(1, 900)["latest_charge"]
    fake.refund(charge)
    assert "has already been refunded" in press(page, "refund", charge)
    assert page.post(f"/do/nothing/{charge}").status_code == 404
    assert page.post("/do/refund/ch_none").status_code == 404


def test_the_page_shows_no_markup_of_others(fake: Stripe, page: Client) -> None:
    fake.pay(1, 900, number="<script>alert(1)</script>")
    assert "<script>" not in page.get("/").text
    assert "<script>" not in page.get("/?problem=<script>").text
