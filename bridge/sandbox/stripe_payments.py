"""The embedded Stripe's money: intents, charges and refunds, and what may be done with each of them when."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

from bridge.domain.payments import ALWAYS_00, THREE_DECIMAL
from bridge.sandbox.stripe_events import Events
from bridge.sandbox.stripe_shapes import Json, new_charge, new_intent, new_refund, new_transaction, outcome

#: What comes of paying with Stripe's own test methods: the kind of method, and how it ends.
METHODS = {
    "pm_card_visa": ("card", "succeeded"),
    "pm_card_mastercard": ("card", "succeeded"),
    "pm_card_chargeDeclined": ("card", "declined"),
    "pm_card_authenticationRequired": ("card", "action"),
    "pm_card_createDispute": ("card", "dispute"),
    "pm_card_createDisputeInquiry": ("card", "inquiry"),
    "pm_card_createIssuerFraudRecord": ("card", "warning"),
    "pm_sepa_debit": ("sepa_debit", "processing"),
}
CONFIRMABLE = ("requires_payment_method", "requires_confirmation")
CANCELABLE = (*CONFIRMABLE, "requires_action", "requires_capture", "processing")


class Problem(Exception):
    """A request that Stripe answers with an error."""

    def __init__(self, message: str, *, status: int = 400, code: str = "", param: str = "", **more: Any) -> None:
        super().__init__(message)
        self.status = status
        kind = more.pop("type", "invalid_request_error")
        self.error = {"message": message, "type": kind} | ({"param": param} if param else {}) | more
        if code:
            self.error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}


class Payments:
    """All objects by their ids, of both modes, and the money's way. Safe to use from many threads."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.lock = threading.RLock()
        self.objects: dict[str, Json] = {}
        self.modes: dict[str, bool] = {}
        self._last_id = 0
        self.events = Events(now, self.new_id, self.lock)

    # --- keeping --------------------------------------------------------------------------------------------------

    def new_id(self, prefix: str) -> str:
        """An id as long as Stripe's."""
        with self.lock:
            self._last_id += 1
            return f"{prefix}_3Sandbox{self._last_id:016d}"

    def keep(self, made: Json, live: bool) -> Json:
        """Keep a new object."""
        self.objects[made["id"]], self.modes[made["id"]] = made, live
        return made

    def get(self, kind: str, one: str, live: bool) -> Json:
        """An object of this kind and mode, or the error that Stripe answers."""
        found = self.objects.get(one)
        message = f"No such {kind.rpartition('.')[2]}: '{one}'"
        if found is not None and found["object"] == kind:
            if self.modes[one] is live:
                return found
            there, ours = ("live", "test") if self.modes[one] else ("test", "live")
            message += (
                f"; a similar object exists in {there} mode, but a {ours} mode key was used to make this request."
            )
        param = {"payment_intent": "intent", "charge": "id"}.get(kind, kind)
        raise Problem(message, status=404, code="resource_missing", param=param)

    def every(self, kind: str, live: bool) -> list[Json]:
        """All of a kind, the newest first."""
        found = [one for one in self.objects.values() if one["object"] == kind and self.modes[one["id"]] is live]
        return found[::-1]

    def tell(self, kind: str, about: Json, **previous: Any) -> None:
        """Fire an event about an object."""
        self.events.fire(kind, about, live=self.modes[about["id"]], previous=previous)

    def _moment(self) -> int:
        return int(self.now())

    # --- paying ---------------------------------------------------------------------------------------------------

    def create_intent(self, live: bool, amount: int, currency: str, **fields: Any) -> Json:
        """Something is to be paid."""
        with self.lock:
            check_amount(amount, currency)
            one = self.new_id("pi")
            intent = self.keep(new_intent(one, self._moment(), live, amount, currency, **fields), live)
            if intent["payment_method"]:
                intent["status"] = "requires_confirmation"
            self.tell("payment_intent.created", intent)
            return intent

    def confirm(self, one: str, payment_method: str = "") -> Json:
        """The buyer pays, or tries to. A card that is declined raises Problem, and leaves the intent to be tried."""
        with self.lock:
            intent = self.objects[one]
            require(intent, CONFIRMABLE, "confirm")
            intent["payment_method"] = payment_method or intent["payment_method"]
            if intent["payment_method"] not in METHODS:
                raise Problem(
                    f"No such PaymentMethod: '{intent['payment_method']}'",
                    code="resource_missing",
                    param="payment_method",
                )
            kind, ends = METHODS[intent["payment_method"]]
            intent |= {"last_payment_error": None, "payment_method_types": [kind]}
            if ends == "action":
                redirect = {"return_url": None, "url": "https://hooks.stripe.com/3d_secure_2/hosted"}
                intent |= {"status": "requires_action"}
                intent["next_action"] = {"redirect_to_url": redirect, "type": "redirect_to_url"}
                self.tell("payment_intent.requires_action", intent)
                return intent
            self._attempt(intent, kind, ends)
            return intent

    def authenticate(self, one: str, ok: bool = True) -> Json:
        """The buyer comes back from the bank's page, having proven who they are, or not."""
        with self.lock:
            intent = self.objects[one]
            require(intent, ("requires_action",), "authenticate")
            intent["next_action"] = None
            self._attempt(intent, "card", "succeeded" if ok else "refused")
            return intent

    def settle(self, one: str, ok: bool = True) -> Json:
        """A bank debit that was under way has come, or has come to nothing."""
        with self.lock:
            intent = self.objects[one]
            require(intent, ("processing",), "settle")
            charge = self.objects[intent["latest_charge"]]
            if ok:
                self._succeed(intent, charge)
            else:
                self._fail(intent, charge, "insufficient_funds")
            return intent

    def _attempt(self, intent: Json, kind: str, ends: str) -> None:
        live = intent["livemode"]
        prefix = "ch" if kind == "card" else "py"
        charge = self.keep(new_charge(self.new_id(prefix), self._moment(), intent, kind), live)
        intent["latest_charge"] = charge["id"]
        if ends in ("declined", "refused"):
            self._fail(intent, charge, "generic_decline")
            if ends == "declined":
                intent_now = copy.deepcopy(intent)
                raise Problem(
                    "Your card was declined.",
                    status=402,
                    type="card_error",
                    code="card_declined",
                    decline_code="generic_decline",
                    charge=charge["id"],
                    payment_intent=intent_now,
                )
        elif ends == "processing":
            intent["status"] = "processing"
            self.tell("payment_intent.processing", intent)
            self.tell("charge.pending", charge)
        elif intent["capture_method"] == "manual":
            charge |= {"paid": True, "status": "succeeded"}
            intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
            self.tell("charge.succeeded", charge)
            self.tell("payment_intent.amount_capturable_updated", intent)
        else:
            self._succeed(intent, charge)
            self.happens_next(charge, ends)

    def happens_next(self, charge: Json, ends: str) -> None:
        """What a test method brings about after it has paid."""

    def _succeed(self, intent: Json, charge: Json) -> None:
        self._take(intent, charge, charge["amount"])
        self.tell("charge.succeeded", charge)
        self.tell("payment_intent.succeeded", intent)

    def _take(self, intent: Json, charge: Json, amount: int) -> None:
        charge |= {"paid": True, "captured": True, "status": "succeeded", "amount_captured": amount}
        charge |= {"amount_refunded": charge["amount"] - amount}  # of a part captured, the rest counts as refunded
        charge["balance_transaction"] = self.move(charge, amount, amount * 29 // 1000, "charge")["id"]
        intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}

    def _fail(self, intent: Json, charge: Json, why: str) -> None:
        charge |= {"status": "failed", "failure_code": "card_declined", "failure_message": "Your card was declined."}
        charge["outcome"] = outcome("issuer_declined", "declined_by_network", "The bank refused.", why)
        intent |= {"status": "requires_payment_method", "payment_method": None}
        intent["last_payment_error"] = {
            "charge": charge["id"],
            "code": "card_declined",
            "decline_code": why,
            "message": "Your card was declined.",
            "type": "card_error",
        }
        self.tell("charge.failed", charge)
        self.tell("payment_intent.payment_failed", intent)

    def move(self, source: Json, amount: int, fee: int, kind: str) -> Json:
        """Book a movement of money."""
        made = new_transaction(self.new_id("txn"), self._moment(), source, amount, fee, kind)
        return self.keep(made, self.modes[source["id"]])

    # --- afterwards -----------------------------------------------------------------------------------------------

    def capture(self, one: str, amount: int | None = None) -> Json:
        """Take what was authorised, or a part of it; the rest is released."""
        with self.lock:
            intent = self.objects[one]
            require(intent, ("requires_capture",), "capture")
            taken = intent["amount"] if amount is None else amount
            if not 0 < taken <= intent["amount"]:
                raise Problem("The amount is more than what can be captured.", code="amount_too_large")
            charge = self.objects[intent["latest_charge"]]
            self._take(intent, charge, taken)
            self.tell("charge.captured", charge)
            self.tell("payment_intent.succeeded", intent)
            return intent

    def cancel(self, one: str, reason: str | None = None) -> Json:
        """Nothing is to be paid any more; what was authorised is released."""
        with self.lock:
            intent = self.objects[one]
            require(intent, CANCELABLE, "cancel")
            if intent["status"] == "requires_capture":
                charge = self.objects[intent["latest_charge"]]
                charge |= {"amount_refunded": charge["amount"], "refunded": True}
                self.tell("charge.refunded", charge)
            intent |= {"status": "canceled", "canceled_at": self._moment(), "amount_capturable": 0}
            intent["cancellation_reason"] = reason
            self.tell("payment_intent.canceled", intent)
            return intent

    def refund(
        self, charge_id: str, amount: int | None = None, reason: str | None = None, metadata: Json | None = None
    ) -> Json:
        """Give a charge back, or a part of it."""
        with self.lock:
            charge = self.objects[charge_id]
            if charge["refunded"]:
                raise Problem(f"Charge {charge_id} has already been refunded.", code="charge_already_refunded")
            if charge["disputed"] and not self.refundable(charge_id):
                raise Problem(f"Charge {charge_id} has been charged back.", code="charge_disputed")
            left = charge["amount"] - charge["amount_refunded"]
            given = left if amount is None else amount
            if not charge["captured"] or not 0 < given <= left:
                raise Problem("The refund is greater than what is left of the charge.", param="amount")
            refund = new_refund(self.new_id("re"), self._moment(), charge, given, reason, metadata or {})
            self.keep(refund, charge["livemode"])
            refund["balance_transaction"] = self.move(refund, -given, 0, "refund")["id"]
            before = {"amount_refunded": charge["amount_refunded"]}
            charge["amount_refunded"] += given
            charge["refunded"] = charge["amount_refunded"] == charge["amount"]
            self.tell("refund.created", refund)
            self.tell("charge.refunded", charge, **before)
            return refund

    def refundable(self, charge_id: str) -> bool:
        """Whether a disputed charge may be refunded: while the bank only inquires."""
        disputes = [one for one in self.objects.values() if one["object"] == "dispute" and one["charge"] == charge_id]
        return all(one["is_charge_refundable"] for one in disputes)

    # --- as the shop pays -----------------------------------------------------------------------------------------

    def pay(
        self,
        order_id: int,
        amount: int,
        currency: str = "eur",
        *,
        live: bool = False,
        payment_method: str = "pm_card_visa",
        manual: bool = False,
        number: str = "",
        signed: bool = True,
    ) -> Json:
        """Pay an order as the shop's plugin does; ``signed``: as its versions since November 2024. Gives the intent."""
        metadata = {"order_id": number or str(order_id), "site_url": "https://shop.example"}
        if signed:
            metadata["signature"] = f"{order_id}:{'0' * 32}"
        intent = self.create_intent(
            live,
            amount,
            currency,
            metadata=metadata,
            description=f"Shop - Order {number or order_id}",
            capture_method="manual" if manual else "automatic",
        )
        try:
            return self.confirm(intent["id"], payment_method)
        except Problem:
            return intent  # declined: the buyer may try again


def check_amount(amount: int, currency: str) -> None:
    """Refuse what Stripe refuses: nothing, too much, and fractions that a currency doesn't have."""
    if amount < 1:
        raise Problem(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    if amount > 99_999_999_99:
        raise Problem("Amount must be no more than 99,999,999.99", code="amount_too_large", param="amount")
    if currency in ALWAYS_00 and amount % 100:
        code = "invalid_charge_amount_no_decimal_compatible"
        message = f"Currency {currency.upper()} has become effectively zero-decimal"
        raise Problem(f"Invalid amount. {message} and amounts must be evenly divisible by 100.", code=code)
    if currency in THREE_DECIMAL and amount % 10:
        raise Problem("Invalid amount. Three-decimal amounts must be evenly divisible by 10.", param="amount")


def require(intent: Json, statuses: tuple[str, ...], what: str) -> None:
    """Refuse to do to an intent what its status does not allow."""
    if intent["status"] not in statuses:
        raise Problem(
            f"You cannot {what} this PaymentIntent because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
            payment_intent=copy.deepcopy(intent),
        )
