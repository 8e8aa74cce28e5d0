"""The kinds of work there are, by the names under which they are owed."""

from __future__ import annotations

from collections.abc import Mapping

ORDER, SUBSCRIPTION, PAYMENT = "order", "subscription", "payment"
LEARNER, NOTE, LETTERS = "learner", "note", "letters"
LINKS = "links"  # letters with a link, for whoever asked for one
INVITATION, BATCH = "invitation", "batch"  # letters to whoever was asked to take a seat; lists of people
CUSTOMER = "customer"  # what somebody who signs in has bought lately
PROGRESS = "progress"  # how far somebody who looks at their courses is in them
SWEEP, PAYMENTS, WATCH, CATALOGUE = "sweep", "payments", "watch", "catalogue"
RECONCILE, SEAL, TIDY = "reconcile", "seal", "tidy"
ALL = "all"  # the key of work that is about everything

#: What each kind of work can't do without: while one of them is down, the work waits undisturbed.
SYSTEMS: Mapping[str, frozenset[str]] = {
    ORDER: frozenset({"shop"}),
    SUBSCRIPTION: frozenset({"shop"}),
    PAYMENT: frozenset({"stripe"}),
    CUSTOMER: frozenset({"shop"}),
    LEARNER: frozenset({"totara"}),
    PROGRESS: frozenset({"totara"}),
    NOTE: frozenset({"shop"}),
    LETTERS: frozenset({"mail"}),
    LINKS: frozenset({"mail"}),
    INVITATION: frozenset({"mail"}),
    BATCH: frozenset(),
    SWEEP: frozenset({"shop"}),
    PAYMENTS: frozenset({"stripe"}),
    WATCH: frozenset(),
    CATALOGUE: frozenset({"shop", "totara"}),
    RECONCILE: frozenset({"shop"}),
    SEAL: frozenset(),
    TIDY: frozenset(),
}
