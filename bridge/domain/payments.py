"""What Stripe says of an order's payment, as plain values, and whether that confirms the order.

The shop decides what was bought and what was given back; Stripe decides whether the money for it is there. Amounts are
whole numbers in Stripe's minor units, currencies three small letters. Reasons are sentences for people: ids and
amounts, nothing personal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

# Stripe's page "Supported currencies": zero-decimal, three-decimal and special cases.
ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
#: Without decimals in the world, but written with two in Stripe's interface, always 00. (Forint and Taiwan dollar are
#: whole only in payouts: a charge of 10.45 is possible.)
ALWAYS_00 = frozenset({"isk", "ugx"})


def paid_by_stripe(payment_method: str) -> bool:
    """Whether an order's payment method is one of the shop's Stripe plugin: ``stripe``, ``stripe_klarna`` and so on."""
    return payment_method == "stripe" or payment_method.startswith("stripe_")


def decimals(currency: str) -> int:
    """How many digits of an amount in Stripe's minor units stand behind the point."""
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def minor_units(total: str, currency: str) -> int:
    """An order's total as the amount that Stripe takes for it.

    Of three decimals Stripe takes only tens, and the shop's plugin rounds down to them: 5.124 dinars are 5120.
    Raises ValueError, in words, for what is no total, or has more decimals than the currency.
    """
    small = currency.lower()
    if not re.fullmatch(r"[a-z]{3}", small):
        raise ValueError(f"{currency!r} is no currency")
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,10})?", total, re.ASCII):
        raise ValueError(f"{total!r} is no total")
    amount = Decimal(total).scaleb(decimals(small))
    if amount != int(amount) or (small in ALWAYS_00 and amount % 100):
        raise ValueError(f"{total} has more decimals than {small.upper()}")
    return int(amount) // 10 * 10 if small in THREE_DECIMAL else int(amount)


def in_words(amount: int, currency: str) -> str:
    """An amount in minor units for people: 12000 of "eur" is 120.00 EUR."""
    return f"{Decimal(amount).scaleb(-decimals(currency)):f} {currency.upper()}"


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute of a charge. ``status`` and ``reason`` are Stripe's words; the disputed amount may be a part."""

    id: str
    status: str
    amount: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as Stripe tells it now: an intent with its latest charge, or a charge that has no intent.

    ``reference`` is what was asked for. ``amount`` is what was taken, or, before that, what is to be taken.
    ``refunded`` leaves out what was released by capturing a part only. ``status`` is the intent's word, or "failed"
    when its last attempt came to nothing. ``order_number`` is what the shop's plugin wrote as ``order_id``, which is
    the order's *number*; ``order_id`` is the id behind it, as far as the payment tells: newer versions sign with it
    (``signature`` begins "1041:"), with older ones it is the number if that is one. ``dispute`` is the gravest.
    """

    reference: str
    intent_id: str
    charge_id: str
    order_id: int | None
    amount: int
    currency: str
    succeeded: bool
    captured: bool
    refunded: int
    dispute: Dispute | None
    live: bool
    status: str = "succeeded"
    order_number: str = ""

    @property
    def name(self) -> str:
        """The id that people look it up by."""
        return self.intent_id or self.charge_id or self.reference


class PaymentVerdict(StrEnum):
    """What a payment means for its order."""

    CONFIRMED = "confirmed"
    PENDING = "pending"  # not there yet: authorised only, under way, waiting for the buyer
    DISPUTED = "disputed"  # the bank has taken the money back for the time being
    LOST = "lost"  # and for good
    FAILED = "failed"  # cancelled, or the last attempt failed
    MISMATCH = "mismatch"  # not a payment of this order: a person has to look


#: Intents that are over without money. Everything else that has not succeeded may still do so.
OVER = frozenset({"canceled", "failed"})
#: An inquiry: the bank asks, and nothing was taken. Most end there; of one that grows into a dispute Stripe tells.
INQUIRY = frozenset({"warning_needs_response", "warning_under_review"})
#: The money is ours, or stayed ours.
SETTLED = frozenset({"won", "warning_closed"})
#: The money went back to the buyer. "prevented" too: the network settled the case by giving it back before it became
#: a chargeback.
GONE = frozenset({"lost", "prevented"})


def gravity(dispute: Dispute) -> int:
    """How much a dispute weighs, to pick the gravest of several. A status that we don't know counts as open."""
    ranks = ((GONE, 3), (INQUIRY, 1), (SETTLED, 0))
    return next((rank for statuses, rank in ranks if dispute.status in statuses), 2)


def judge_payment(
    order_id: int, total: str, currency: str, payment: Payment | None, *, live: bool, number: str = ""
) -> tuple[PaymentVerdict, str]:
    """Whether Stripe confirms that an order is paid, and why not.

    ``live`` is the mode of our key, ``number`` the order's number where that is not its id. Beside CONFIRMED a reason
    stands only where a person should be told of something; else it is "".

    The order of the questions: whose payment it is comes first, since another order's dispute says nothing of this
    one; then whether the money is there; the amount last, so that a disputed payment suspends even if staff changed
    the order meanwhile. Refunds are no question: the shop's refunds decide on the seats.
    """
    if payment is None:
        return _without_payment(order_id, total, currency)
    if payment.live != live:
        mode = "live" if payment.live else "test"
        return PaymentVerdict.MISMATCH, f"{payment.name} is a payment in {mode} mode, and our key is for the other"
    if (payment.order_id is not None or payment.order_number) and not _is_of(payment, order_id, number):
        whose = payment.order_number or payment.order_id
        return PaymentVerdict.MISMATCH, f"{payment.name} is a payment of order {whose}, not of order {order_id}"
    return _not_there(payment) or _in_dispute(payment) or _of_amount(order_id, total, currency, payment)


def _is_of(payment: Payment, order_id: int, number: str) -> bool:
    return payment.order_id == order_id or payment.order_number in {number or str(order_id), str(order_id)}


def _without_payment(order_id: int, total: str, currency: str) -> tuple[PaymentVerdict, str]:
    """Without a payment an order is paid only if there was nothing to pay, as for a subscription's free trial."""
    try:
        nothing_due = minor_units(total, currency) == 0
    except ValueError as err:
        return PaymentVerdict.MISMATCH, f"order {order_id}: {err}"
    if nothing_due:
        return PaymentVerdict.CONFIRMED, ""
    return PaymentVerdict.MISMATCH, f"Stripe knows of no payment for order {order_id} of {total} {currency.upper()}"


def _not_there(payment: Payment) -> tuple[PaymentVerdict, str] | None:
    if payment.succeeded and payment.captured:
        return None
    what = f"{payment.name} over {in_words(payment.amount, payment.currency)}"
    if payment.status in OVER:
        came = "was cancelled" if payment.status == "canceled" else "failed"
        return PaymentVerdict.FAILED, f"{what} {came}"
    if payment.status == "requires_capture" or payment.succeeded:
        return PaymentVerdict.PENDING, f"{what} is authorised, and has not been captured"
    return PaymentVerdict.PENDING, f"{what} is not paid yet ({payment.status})"


def _in_dispute(payment: Payment) -> tuple[PaymentVerdict, str] | None:
    dispute = payment.dispute
    if dispute is None or dispute.status in SETTLED | INQUIRY:
        return None
    if dispute.status in GONE:
        return PaymentVerdict.LOST, f"the dispute {dispute.id} of {payment.name} is {dispute.status}"
    return PaymentVerdict.DISPUTED, f"{payment.name} is disputed ({dispute.id}, {dispute.status})"


def _of_amount(order_id: int, total: str, currency: str, payment: Payment) -> tuple[PaymentVerdict, str]:
    try:
        due = minor_units(total, currency)
    except ValueError as err:
        return PaymentVerdict.MISMATCH, f"order {order_id}: {err}"
    if (due, currency.lower()) != (payment.amount, payment.currency):
        paid = in_words(payment.amount, payment.currency)
        return PaymentVerdict.MISMATCH, f"order {order_id} is of {total} {currency.upper()}, {payment.name} of {paid}"
    return PaymentVerdict.CONFIRMED, _worth_telling(payment)


def _worth_telling(payment: Payment) -> str:
    if payment.refunded >= payment.amount > 0:
        return f"{payment.name} was refunded in full, and the order is still paid in the shop"
    if payment.dispute and payment.dispute.status in INQUIRY:
        return f"the buyer's bank inquires about {payment.name} ({payment.dispute.id}, {payment.dispute.status})"
    return ""
