"""What is counted, in Prometheus' terms. Labels never hold ids or addresses."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

DELIVERIES = Counter(
    "bridge_deliveries_total", "Webhook deliveries by topic and what became of them", ["topic", "result"]
)
WORK = Counter("bridge_work_total", "Work done by kind and outcome", ["kind", "outcome"])
WORK_SECONDS = Histogram("bridge_work_seconds", "How long one piece of work took", ["kind"])
CALLS = Histogram(
    "bridge_calls_seconds",
    "Calls to the shop, to Totara, to Stripe and to the mail server",
    ["system", "call", "outcome"],
)
CATALOGUE = Counter("bridge_catalogue_changes_total", "Products changed by action", ["action"])
