"""What Stripe's objects look like, by the published reference of version 2026-10-28.

Only what a shop that sells courses gets to see: fields of Connect, invoices and terminals are null or left out.
"""

from __future__ import annotations

import copy
from typing import Any

Json = dict[str, Any]
VERSION = "2026-10-28.endive"


def new_intent(one: str, created: int, live: bool, amount: int, currency: str, **fields: Any) -> Json:
    """A payment intent before anybody has tried to pay it."""
    return {
        "id": one,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": f"{one}_secret_sandbox",
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        "customer": None,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": live,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    } | fields


def new_charge(one: str, created: int, intent: Json, kind: str) -> Json:
    """The attempt to pay an intent by a card or by another ``kind`` of method, not decided yet."""
    return {
        "id": one,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {"address": _nowhere(), "email": None, "name": None, "phone": None, "tax_id": None},
        "calculated_statement_descriptor": "SANDBOX",
        "captured": False,
        "created": created,
        "currency": intent["currency"],
        "customer": None,
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": intent["livemode"],
        "metadata": copy.deepcopy(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": outcome("authorized", "approved_by_network", "Payment complete."),
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": intent["payment_method"],
        "payment_method_details": _method(kind),
        "radar_options": {},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
    }


def outcome(kind: str, status: str, message: str, reason: str | None = None) -> Json:
    """How the network and Radar took an attempt."""
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": status,
        "reason": reason,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": message,
        "type": kind,
    }


def _nowhere() -> Json:
    return {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}


def _method(kind: str) -> Json:
    if kind != "card":
        return {kind: {"bank_code": "37040044", "country": "DE", "last4": "3000"}, "type": kind}
    card = {
        "amount_authorized": None,
        "brand": "visa",
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": "sandbox",
        "funding": "credit",
        "installments": None,
        "last4": "4242",
        "mandate": None,
        "network": "visa",
        "network_token": {"used": False},
        "network_transaction_id": "000000000000000",
        "three_d_secure": None,
        "wallet": None,
    }
    return {"card": card, "type": "card"}


def new_refund(one: str, created: int, charge: Json, amount: int, reason: str | None, metadata: Json) -> Json:
    """A refund that has gone through."""
    return {
        "id": one,
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "destination_details": {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)


def new_dispute(one: str, created: int, charge: Json, status: str, amount: int, reason: str) -> Json:
    """A dispute of a charge, or an inquiry about it, by its status."""
    return {
        "id": one,
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": created + 7 * 86400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": status.startswith("warning_"),
        "livemode": charge["livemode"],
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "83"},
            "type": "card",
        },
        "reason": reason,
        "status": status,
    }


def new_transaction(one: str, created: int, source: Json, amount: int, fee: int, kind: str) -> Json:
    """A movement on the account's balance; negative when money goes away."""
    fees = [{"amount": fee, "application": None, "currency": source["currency"], "type": "stripe_fee"}]
    return {
        "id": one,
        "object": "balance_transaction",
        "amount": amount,
        "available_on": created,
        "balance_type": "payments",
        "created": created,
        "currency": source["currency"],
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [entry | {"description": "Stripe processing fees"} for entry in fees if fee],
        "net": amount - fee,
        "reporting_category": {"payment": "charge", "adjustment": "dispute"}.get(kind, kind),
        "source": source["id"],
        "status": "pending",
        "type": kind,
    }


def new_review(one: str, created: int, charge: Json) -> Json:
    """A payment that Radar put aside for a person to look at."""
    return {
        "id": one,
        "object": "review",
        "billing_zip": None,
        "charge": charge["id"],
        "closed_reason": None,
        "created": created,
        "ip_address": None,
        "ip_address_location": None,
        "livemode": charge["livemode"],
        "open": True,
        "opened_reason": "rule",
        "payment_intent": charge["payment_intent"],
        "reason": "rule",
        "session": None,
    }


def new_warning(one: str, created: int, charge: Json, kind: str) -> Json:
    """The card's bank believes that the payment was fraud: often, a dispute follows."""
    return {
        "id": one,
        "object": "radar.early_fraud_warning",
        "actionable": not charge["refunded"] and not charge["disputed"],
        "charge": charge["id"],
        "created": created,
        "fraud_type": kind,
        "livemode": charge["livemode"],
        "payment_intent": charge["payment_intent"],
    }


def new_endpoint(one: str, created: int, live: bool, url: str, events: list[str]) -> Json:
    """A webhook endpoint, without its secret: that is told once, when it is made."""
    return {
        "id": one,
        "object": "webhook_endpoint",
        "api_version": VERSION,
        "application": None,
        "created": created,
        "description": None,
        "enabled_events": events,
        "livemode": live,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }


def new_event(one: str, created: int, live: bool, kind: str, about: Json, previous: Json | None) -> Json:
    """An event: the object as it was at that moment, and what it was before where something changed."""
    data = {"object": copy.deepcopy(about)} | ({"previous_attributes": previous} if previous else {})
    return {
        "id": one,
        "object": "event",
        "api_version": VERSION,
        "created": created,
        "data": data,
        "livemode": live,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }
