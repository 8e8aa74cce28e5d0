"""Payments by Stripe: an order that was paid by it counts as paid only when Stripe says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from bridge.domain.payments import PaymentVerdict, judge_payment, paid_by_stripe
from bridge.domain.purchases import Order, Standing
from bridge.errors import Refused
from bridge.stripe_client import StripeClient

#: What a verdict makes of an order that the shop takes for paid. One that is not here is none against it.
_STANDS: Mapping[PaymentVerdict, Standing] = {
    PaymentVerdict.PENDING: Standing.WAITS,
    PaymentVerdict.FAILED: Standing.WAITS,
    PaymentVerdict.MISMATCH: Standing.WAITS,
    PaymentVerdict.DISPUTED: Standing.HELD,
    PaymentVerdict.LOST: Standing.ENDED,
}


class StripePayments:
    """What Stripe says of the shop's payments."""

    def __init__(self, stripe: StripeClient) -> None:
        self._stripe = stripe

    def covers(self, order: Order) -> bool:
        """Whether the order was paid by Stripe, so that it has to confirm it."""
        return paid_by_stripe(order.payment_method)

    def judge(self, order: Order) -> tuple[Standing | None, str]:
        """What the payment means for the order (None: nothing against it), and why, in words."""
        try:
            payment = self._stripe.find_payment(order.transaction) if order.transaction else None
        except Refused as err:  # a test payment for a live key, or no name of a payment at all
            return Standing.WAITS, str(err)
        verdict, why = judge_payment(
            order.id, order.total, order.currency, payment, live=self._stripe.live, number=order.number
        )
        return _STANDS.get(verdict), why

    def changed_since(self, moment: datetime) -> Iterator[str]:
        """The payments that something happened to since then, whether a delivery told of it or not."""
        return self._stripe.payments_since(moment)

    def about(self, reference: str) -> tuple[frozenset[str], int | None]:
        """Every name that a payment has, and the order that it says it is for."""
        payment = self._stripe.find_payment(reference)
        if payment is None:
            return frozenset({reference}), None
        names = {payment.reference, payment.intent_id, payment.charge_id, reference}
        return frozenset(name for name in names if name), payment.order_id
