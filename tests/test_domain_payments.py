"""Whether Stripe confirms an order: amounts in every kind of currency, whose payment it is, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.payments import (
    ALWAYS_00,
    GONE,
    INQUIRY,
    SETTLED,
    THREE_DECIMAL,
    ZERO_DECIMAL,
    Dispute,
    Payment,
    PaymentVerdict,
    gravity,
    in_words,
    judge_payment,
    minor_units,
    paid_by_stripe,
)

PAID = Payment("ch_1", "pi_1", "ch_1", 1041, 12000, "eur", True, True, 0, None, True)
V = PaymentVerdict


def judged(payment: Payment | None, total: str = "120.00", currency: str = "EUR", **more) -> PaymentVerdict:
    return judge_payment(1041, total, currency, payment, live=more.pop("live", True), **more)[0]


def reason(payment: Payment | None, total: str = "120.00", currency: str = "EUR", **more) -> str:
    return judge_payment(1041, total, currency, payment, live=more.pop("live", True), **more)[1]


# --- amounts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "currency", "amount"),
    [
        ("120.00", "EUR", 12000),
        ("120.00", "eur", 12000),
        ("120", "USD", 12000),
        ("0.00", "EUR", 0),
        ("0.01", "EUR", 1),
        ("10.1", "EUR", 1010),
        ("10.1000", "EUR", 1010),
        ("19.99", "USD", 1999),
        ("1234567.89", "USD", 123456789),
        ("500", "JPY", 500),
        ("500.00", "JPY", 500),
        ("5.120", "KWD", 5120),
        ("5.12", "KWD", 5120),
        ("5.124", "KWD", 5120),  # as the shop's plugin rounds it
        ("5.129", "TND", 5120),
        ("5", "BHD", 5000),
        ("5", "ISK", 500),
        ("5.00", "UGX", 500),
        ("10.45", "HUF", 1045),
        ("800.45", "TWD", 80045),
        ("7.00", "XOF", 7),
    ],
)
def test_a_total_in_stripe_s_minor_units(total: str, currency: str, amount: int) -> None:
    assert minor_units(total, currency) == amount


@pytest.mark.parametrize(
    ("total", "currency"),
    [
        ("120.005", "EUR"),
        ("500.50", "JPY"),
        ("5.1245", "KWD"),
        ("5.50", "ISK"),
        ("5.01", "UGX"),
        ("-1.00", "EUR"),
        ("", "EUR"),
        ("1,50", "EUR"),
        ("1e3", "EUR"),
        ("NaN", "EUR"),
        (" 1.00", "EUR"),
        ("1.00\n", "EUR"),
        ("١.00", "EUR"),
        ("1" * 16, "EUR"),
        ("1.", "EUR"),
        ("1.00", ""),
        ("1.00", "EURO"),
        ("1.00", "E1R"),
    ],
)
def test_what_does_not_fit_is_refused(total: str, currency: str) -> None:
    with pytest.raises(ValueError, match=r"no total|no currency|more decimals"):
        minor_units(total, currency)


def test_the_lists_are_stripe_s_and_do_not_overlap() -> None:
    assert (len(ZERO_DECIMAL), len(THREE_DECIMAL), len(ALWAYS_00)) == (15, 5, 2)
    assert not ZERO_DECIMAL & THREE_DECIMAL
    assert not ALWAYS_00 & (ZERO_DECIMAL | THREE_DECIMAL)


@given(st.integers(0, 10**10), st.sampled_from(["eur", "usd", "jpy", "krw", "huf", "kwd", "isk", "ugx"]))
def test_an_amount_in_words_is_the_amount_again(amount: int, currency: str) -> None:
    amount = amount * 100 if currency in ALWAYS_00 else amount * 10 if currency in THREE_DECIMAL else amount
    text, code = in_words(amount, currency).split(" ")
    assert code == currency.upper()
    assert minor_units(text, code) == amount


@given(st.decimals(0, 10**9, places=2))
def test_euros_are_a_hundred_cents(total: Decimal) -> None:
    assert minor_units(f"{total:f}", "EUR") == int(total * 100)


@pytest.mark.parametrize(
    ("method", "by_stripe"),
    [
        ("stripe", True),
        ("stripe_sepa_debit", True),
        ("", False),
        ("bacs", False),
        ("stripes", False),
        ("a_stripe_", False),
    ],
)
def test_which_orders_are_paid_by_stripe(method: str, by_stripe: bool) -> None:
    assert paid_by_stripe(method) is by_stripe


# --- paid ---------------------------------------------------------------------------------------------------------


def test_a_succeeded_payment_of_this_order_amount_and_currency_confirms_it() -> None:
    assert judge_payment(1041, "120.00", "EUR", PAID, live=True) == (V.CONFIRMED, "")


@pytest.mark.parametrize(
    ("total", "currency", "amount"), [("500", "JPY", 500), ("5.120", "KWD", 5120), ("5.00", "ISK", 500)]
)
def test_other_currencies_too(total: str, currency: str, amount: int) -> None:
    payment = replace(PAID, amount=amount, currency=currency.lower())
    assert judged(payment, total, currency) is V.CONFIRMED
    assert judged(replace(payment, amount=amount * 10), total, currency) is V.MISMATCH
    assert judged(replace(payment, amount=amount // 10), total, currency) is V.MISMATCH


@pytest.mark.parametrize(
    "other",
    [
        {"amount": 11999},
        {"amount": 12001},
        {"amount": 120},
        {"currency": "usd"},
        {"order_id": 1042, "order_number": "1042"},
        {"order_id": None, "order_number": "WC-1042"},
        {"live": False},
    ],
)
def test_another_amount_currency_order_or_mode_is_a_mismatch_told_with_ids(other: dict[str, object]) -> None:
    payment = replace(PAID, **other)  # type: ignore[arg-type]
    assert judged(payment) is V.MISMATCH
    assert "pi_1" in reason(payment)


def test_what_differs_is_told() -> None:
    assert reason(replace(PAID, amount=9900)) == "order 1041 is of 120.00 EUR, pi_1 of 99.00 EUR"
    assert reason(replace(PAID, order_id=7, order_number="7")) == "pi_1 is a payment of order 7, not of order 1041"
    assert "live mode" in reason(PAID, live=False)
    assert "test mode" in reason(replace(PAID, live=False))


def test_a_test_payment_confirms_where_our_key_is_for_tests() -> None:
    assert judged(replace(PAID, live=False), live=False) is V.CONFIRMED


def test_an_older_plugin_names_no_order() -> None:
    assert judged(replace(PAID, order_id=None)) is V.CONFIRMED


def test_an_order_whose_number_is_not_its_id() -> None:
    signed = replace(PAID, order_number="WC-77")  # its id is known by the signature
    assert judged(signed) is V.CONFIRMED
    assert judged(replace(signed, order_id=None), number="WC-77") is V.CONFIRMED
    assert judged(replace(signed, order_id=None), number="WC-78") is V.MISMATCH
    assert judged(replace(signed, order_id=None)) is V.MISMATCH
    assert judged(replace(PAID, order_id=77, order_number="77"), number="77") is V.CONFIRMED
    assert judged(replace(PAID, order_id=77, order_number="77")) is V.MISMATCH


def test_without_a_payment_only_an_order_of_nothing_is_paid() -> None:
    assert judged(None) is V.MISMATCH
    assert "1041 of 120.00 EUR" in reason(None)
    assert judge_payment(1041, "0.00", "EUR", None, live=True) == (V.CONFIRMED, "")
    assert judged(None, "free", "EUR") is V.MISMATCH
    assert judged(PAID, "0.00") is V.MISMATCH


def test_a_total_that_no_charge_can_have_is_a_mismatch() -> None:
    assert judged(replace(PAID, amount=500, currency="jpy"), "500.50", "JPY") is V.MISMATCH


# --- not there ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "verdict", "says"),
    [
        ("processing", V.PENDING, "not paid yet (processing)"),
        ("requires_action", V.PENDING, "not paid yet (requires_action)"),
        ("requires_confirmation", V.PENDING, "not paid yet"),
        ("requires_payment_method", V.PENDING, "not paid yet"),
        ("requires_capture", V.PENDING, "authorised, and has not been captured"),
        ("a_status_to_come", V.PENDING, "not paid yet (a_status_to_come)"),
        ("canceled", V.FAILED, "was cancelled"),
        ("failed", V.FAILED, "failed"),
    ],
)
def test_what_each_status_means(status: str, verdict: PaymentVerdict, says: str) -> None:
    payment = replace(PAID, succeeded=False, captured=False, status=status)
    assert judged(payment) is verdict
    assert reason(payment).startswith("pi_1 over 120.00 EUR ")
    assert says in reason(payment)


def test_an_authorised_charge_without_an_intent_waits_for_its_capture() -> None:
    charge = replace(PAID, intent_id="", captured=False)
    assert judged(charge) is V.PENDING
    assert reason(charge).startswith("ch_1 ")


def test_a_part_captured_pays_only_for_an_order_of_that_part() -> None:
    part = replace(PAID, amount=8000)
    assert judged(part) is V.MISMATCH
    assert judged(part, "80.00") is V.CONFIRMED


# --- refunds ------------------------------------------------------------------------------------------------------


def test_a_refund_is_the_shop_s_to_judge_but_one_in_full_is_told() -> None:
    assert judge_payment(1041, "120.00", "EUR", replace(PAID, refunded=5000), live=True) == (V.CONFIRMED, "")
    told = judge_payment(1041, "120.00", "EUR", replace(PAID, refunded=12000), live=True)
    assert told == (V.CONFIRMED, "pi_1 was refunded in full, and the order is still paid in the shop")


# --- disputes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("needs_response", V.DISPUTED),
        ("under_review", V.DISPUTED),
        ("appeal_needs_response", V.DISPUTED),
        ("appeal_under_review", V.DISPUTED),
        ("a_status_to_come", V.DISPUTED),
        ("lost", V.LOST),
        ("prevented", V.LOST),
        ("won", V.CONFIRMED),
        ("warning_needs_response", V.CONFIRMED),
        ("warning_under_review", V.CONFIRMED),
        ("warning_closed", V.CONFIRMED),
    ],
)
def test_what_each_dispute_means(status: str, verdict: PaymentVerdict) -> None:
    payment = replace(PAID, dispute=Dispute("du_1", status))
    assert judged(payment) is verdict
    told = reason(payment)
    assert ("du_1" in told) is (status not in SETTLED)
    assert (told == "") is (status in SETTLED)


def test_a_dispute_suspends_whatever_the_staff_did_to_the_order_meanwhile() -> None:
    payment = replace(PAID, dispute=Dispute("du_1", "needs_response"))
    assert judged(payment, "20.00") is V.DISPUTED
    assert judged(replace(payment, dispute=Dispute("du_1", "won")), "20.00") is V.MISMATCH


def test_another_order_s_dispute_says_nothing() -> None:
    payment = replace(PAID, order_id=7, order_number="7", dispute=Dispute("du_1", "lost"))
    assert judged(payment) is V.MISMATCH


def test_the_gravest_dispute_counts() -> None:
    statuses = ["won", "warning_needs_response", "under_review", "lost"]
    ranks = [gravity(Dispute("du", status)) for status in statuses]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 4
    assert gravity(Dispute("du", "a_status_to_come")) == gravity(Dispute("du", "needs_response"))
    assert not (GONE & INQUIRY | GONE & SETTLED | INQUIRY & SETTLED)
