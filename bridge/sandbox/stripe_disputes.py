"""The embedded Stripe's quarrels: disputes and inquiries from the first letter to the end, reviews, fraud warnings."""

from __future__ import annotations

from bridge.sandbox.stripe_payments import Payments, Problem
from bridge.sandbox.stripe_shapes import Json, new_dispute, new_review, new_warning

OPEN = ("needs_response", "under_review")
INQUIRIES = ("warning_needs_response", "warning_under_review")
#: What a test writes into the evidence to decide a dispute, as with Stripe's own test mode.
DECIDES = {"winning_evidence": True, "losing_evidence": False}


class Disputes(Payments):
    """What banks and Radar do to a payment after it was made."""

    def happens_next(self, charge: Json, ends: str) -> None:
        """See Payments."""
        if ends in ("dispute", "inquiry"):
            self.dispute(charge["id"], inquiry=ends == "inquiry")
        elif ends == "warning":
            self.warn(charge["id"])

    def dispute(
        self, charge_id: str, *, inquiry: bool = False, amount: int | None = None, reason: str = "fraudulent"
    ) -> Json:
        """The buyer's bank takes the money back, or at first only inquires."""
        with self.lock:
            charge = self.objects[charge_id]
            if not charge["captured"]:
                raise Problem(f"Charge {charge_id} has not been paid.")
            status = "warning_needs_response" if inquiry else "needs_response"
            disputed = charge["amount_captured"] if amount is None else amount
            dispute = new_dispute(self.new_id("du"), self._moment(), charge, status, disputed, reason)
            self.keep(dispute, charge["livemode"])
            charge["disputed"] = True
            self.tell("charge.dispute.created", dispute)
            if not inquiry:
                self._withdraw(dispute)
            return dispute

    def escalate(self, one: str) -> Json:
        """An inquiry becomes a dispute."""
        with self.lock:
            dispute = self._open(one, INQUIRIES)
            before = dispute["status"]
            dispute |= {"status": "needs_response", "is_charge_refundable": False}
            self.tell("charge.dispute.updated", dispute, status=before)
            self._withdraw(dispute)
            return dispute

    def respond(self, one: str, evidence: Json, *, submit: bool = True) -> Json:
        """Evidence is added, and handed to the bank. Stripe's magic words decide at once."""
        with self.lock:
            dispute = self._open(one, (*OPEN, *INQUIRIES))
            before, details = dispute["status"], dispute["evidence_details"]
            dispute["evidence"] |= evidence
            details["has_evidence"] = True
            if submit:
                details |= {"submission_count": details["submission_count"] + 1, "submission_method": "manual"}
                dispute["status"] = "warning_under_review" if before in INQUIRIES else "under_review"
            self.tell("charge.dispute.updated", dispute, status=before)
            decided = DECIDES.get(str(evidence.get("uncategorized_text")))
            if submit and decided is not None and before in OPEN:
                return self.win(one) if decided else self.lose(one)
            return dispute

    def win(self, one: str) -> Json:
        """The bank decides for the shop; of an inquiry, it lets the matter rest."""
        with self.lock:
            dispute = self._open(one, (*OPEN, *INQUIRIES))
            was_inquiry = dispute["status"] in INQUIRIES
            dispute["status"] = "warning_closed" if was_inquiry else "won"
            if not was_inquiry:
                moved = self.move(dispute, dispute["amount"], 0, "adjustment")
                dispute["balance_transactions"].append(moved)
                self.tell("charge.dispute.funds_reinstated", dispute)
            self.tell("charge.dispute.closed", dispute)
            return dispute

    def lose(self, one: str, *, prevented: bool = False) -> Json:
        """The bank decides for the buyer, or the shop gives in; ``prevented``: the network paid the buyer back."""
        with self.lock:
            dispute = self._open(one, OPEN)
            dispute["status"] = "prevented" if prevented else "lost"
            self.tell("charge.dispute.closed", dispute)
            return dispute

    def _withdraw(self, dispute: Json) -> None:
        dispute["balance_transactions"].append(self.move(dispute, -dispute["amount"], 1500, "adjustment"))
        self.tell("charge.dispute.funds_withdrawn", dispute)

    def _open(self, one: str, statuses: tuple[str, ...]) -> Json:
        dispute = self.objects[one]
        if dispute["status"] not in statuses:
            raise Problem(f"This dispute is already {dispute['status']}")
        return dispute

    # --- Radar ----------------------------------------------------------------------------------------------------

    def review(self, charge_id: str) -> Json:
        """A rule puts a payment aside, for a person to look at."""
        with self.lock:
            charge = self.objects[charge_id]
            review = self.keep(new_review(self.new_id("prv"), self._moment(), charge), charge["livemode"])
            charge["review"] = review["id"]
            if charge["payment_intent"]:
                self.objects[charge["payment_intent"]]["review"] = review["id"]
            self.tell("review.opened", review)
            return review

    def close_review(self, one: str, why: str = "approved") -> Json:
        """Somebody has looked."""
        with self.lock:
            review = self.objects[one]
            review |= {"open": False, "reason": why, "closed_reason": why}
            self.tell("review.closed", review)
            return review

    def warn(self, charge_id: str, kind: str = "made_with_stolen_card") -> Json:
        """The bank warns of fraud, before any dispute."""
        with self.lock:
            charge = self.objects[charge_id]
            warning = self.keep(new_warning(self.new_id("issfr"), self._moment(), charge, kind), charge["livemode"])
            self.tell("radar.early_fraud_warning.created", warning)
            return warning
