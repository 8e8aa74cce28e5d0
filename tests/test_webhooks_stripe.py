"""The receiver of Stripe's deliveries: who may speak, what is noted, and that nobody is called."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY
from sqlalchemy import text
from stripe import WebhookSignature

from bridge.errors import BadSignature
from bridge.sandbox.server import Served
from bridge.sandbox.stripe import SANDBOX_KEY, Stripe
from bridge.sandbox.stripe_events import sign
from bridge.store.models import work as table
from bridge.stripe_client import EVENTS, payment_of
from bridge.webhooks import MOST_BYTES, verify_stripe
from bridge.wiring import Bridge
from tests.world import settings_for

PATH = "/webhooks/stripe"
NEW, OLD = "whsec_0123456789abcdefNEW", "whsec_0123456789abcdefOLD"


class Receiver:
    """A bridge that nobody else talks to, and its web application."""

    def __init__(self, database: str, **stripe: Any) -> None:
        section = {"secret_key": SANDBOX_KEY, "webhook_secrets": [NEW, OLD]} | stripe
        settings = settings_for(database, "http://127.0.0.1:9", "http://127.0.0.1:9", stripe=section)
        self.bridge = Bridge(settings)
        self.app = self.bridge.web()
        self.web = self.app.test_client()

    def post(self, event: Any, secret: str = NEW, *, at: float | None = None, header: str | None = None) -> Any:
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        signature = sign([secret], body, int(time.time() if at is None else at)) if header is None else header
        return self.web.post(PATH, data=body, headers={"Stripe-Signature": signature})

    def due(self) -> list[str]:
        """Everything owed: "kind key"."""
        with self.bridge.store.read() as connection:
            rows = connection.execute(table.select().where(table.c.due_at.is_not(None)))
            return sorted(f"{row.kind} {row.key}" for row in rows)


@pytest.fixture
def receiver(database: str) -> Iterator[Receiver]:
    one = Receiver(database)
    yield one
    one.bridge.store.close()


@pytest.fixture
def make(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Callable[..., Receiver]]:
    """Receivers on SQLite, with settings of the test's own."""
    made: list[Receiver] = []

    def new(**stripe: Any) -> Receiver:
        copy = tmp_path / f"bridge{len(made)}.sqlite3"
        copy.write_bytes(migrated_sqlite.read_bytes())
        made.append(Receiver(f"sqlite:///{copy}", **stripe))
        return made[-1]

    yield new
    for one in made:
        one.bridge.store.close()


def event(kind: str = "payment_intent.succeeded", **about: Any) -> dict[str, Any]:
    given = about or {"object": "payment_intent", "id": "pi_1"}
    return {"object": "event", "id": "evt_1", "type": kind, "livemode": False, "data": {"object": given}}


def counted(topic: str, result: str) -> float:
    return REGISTRY.get_sample_value("bridge_deliveries_total", {"topic": topic, "result": result}) or 0.0


# --- who may speak ------------------------------------------------------------------------------------------------


def test_a_signed_delivery_is_durable_when_it_is_answered(receiver: Receiver) -> None:
    before = counted("payment_intent.succeeded", "noted")
    answer = receiver.post(event())
    assert (answer.status_code, answer.data) == (200, b"noted")
    assert receiver.due() == ["payment pi_1"]
    assert counted("payment_intent.succeeded", "noted") == before + 1


def test_any_of_the_secrets_may_sign(make: Callable[..., Receiver]) -> None:
    one = make()
    for secret in (NEW, OLD):
        assert one.post(event(), secret).status_code == 200
    assert one.post(event(), "whsec_0123456789abcdefOTHER").status_code == 401
    assert make(webhook_secrets=[NEW]).post(event(), OLD).status_code == 401


def test_a_secret_that_is_rolled_signs_beside_the_old_one(make: Callable[..., Receiver]) -> None:
    one, body = make(webhook_secrets=[OLD]), json.dumps(event()).encode()
    header = sign([NEW, OLD], body, int(time.time()))
    assert header.count("v1=") == 2
    assert one.post(body, header=header).status_code == 200


@pytest.mark.parametrize(("age", "status"), [(0, 200), (290, 200), (310, 401), (86400, 401)])
def test_an_old_signature_is_not_accepted(make: Callable[..., Receiver], age: float, status: int) -> None:
    one = make()
    assert one.post(event(), at=time.time() - age).status_code == status
    assert one.due() == (["payment pi_1"] if status == 200 else [])


def test_the_tolerance_is_a_setting(make: Callable[..., Receiver]) -> None:
    assert make(tolerance_seconds=1000).post(event(), at=time.time() - 900).status_code == 200
    assert make(tolerance_seconds=10).post(event(), at=time.time() - 20).status_code == 401
    assert make(tolerance_seconds=0.5).post(event(), at=time.time() - 20).status_code == 401


def header_of(body: bytes) -> str:
    return sign([NEW], body, int(time.time()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda header: "",
        lambda header: "t=1,v1=",
        lambda header: header.replace("v1=", "v0="),
        lambda header: header.replace("t=", "x="),
        lambda header: header.replace("t=", "t=9"),
        lambda header: header[:-1] + ("0" if header[-1] != "0" else "1"),
        lambda header: header.split(",")[0],
        lambda header: header.split(",")[1],
        lambda header: header + "é",
        lambda header: header.replace("v1=", "v1=é"),
        lambda header: "t=" + "9" * 5000 + ",v1=0",
        lambda header: "t=abc,v1=0",
        lambda header: "t",
        lambda header: ",,,=,=",
        lambda header: "t=1," + "v1=0," * 1000,
    ],
)
def test_a_signature_that_is_none_is_401_and_nothing_is_noted(
    make: Callable[..., Receiver], spoil: Callable[[str], str]
) -> None:
    one, body, before = make(), json.dumps(event()).encode(), counted("unsigned", "refused")
    answer = one.post(body, header=spoil(header_of(body)))
    assert (answer.status_code, answer.data) == (401, b"bad signature")
    assert one.due() == []
    assert counted("unsigned", "refused") == before + 1


def test_without_a_header_it_is_401(make: Callable[..., Receiver]) -> None:
    assert make().web.post(PATH, data=json.dumps(event())).status_code == 401


def test_one_byte_more_or_less_is_another_body(make: Callable[..., Receiver]) -> None:
    one, body = make(), json.dumps(event()).encode()
    header = header_of(body)
    for other in (body + b" ", body[:-1], body.replace(b"pi_1", b"pi_2")):
        assert one.post(other, header=header).status_code == 401
    assert one.post(body, header=header).status_code == 200


def test_bytes_that_are_no_text_are_refused_and_never_a_crash(make: Callable[..., Receiver]) -> None:
    one = make()
    for body in (b"\xff\xfe", b"\x00", json.dumps(event()).encode("utf-16")):
        assert one.post(body, header=header_of(body)).status_code in (200, 401)
    assert one.due() == []


def test_the_shop_s_signature_is_none_of_stripe_s(make: Callable[..., Receiver]) -> None:
    answer = make().web.post(PATH, data=b'{"id": 1}', headers={"X-WC-Webhook-Signature": "x"})
    assert answer.status_code == 401


def test_the_check_is_the_library_s() -> None:
    """What we send ourselves in these tests, the library would send as well."""
    body = json.dumps(event())
    moment = int(time.time())
    header = WebhookSignature.generate_signature_header(body, NEW, moment)
    assert header == sign([NEW], body.encode(), moment)
    verify_stripe([OLD, NEW], body.encode(), header, 300)
    with pytest.raises(BadSignature, match="no configured secret"):
        verify_stripe([], body.encode(), header, 300)


# --- what is noted ------------------------------------------------------------------------------------------------

OBJECTS: list[tuple[dict[str, Any], str | None]] = [
    ({"object": "payment_intent", "id": "pi_1", "latest_charge": "ch_1"}, "pi_1"),
    ({"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}, "pi_1"),
    ({"object": "charge", "id": "ch_1", "payment_intent": None}, "ch_1"),
    ({"object": "charge", "id": "py_1"}, "py_1"),
    ({"object": "charge", "id": "ch_1", "payment_intent": {"object": "payment_intent", "id": "pi_1"}}, "pi_1"),
    ({"object": "dispute", "id": "du_1", "charge": "ch_1", "payment_intent": "pi_1"}, "pi_1"),
    ({"object": "dispute", "id": "du_1", "charge": "ch_1", "payment_intent": None}, "ch_1"),
    ({"object": "dispute", "id": "du_1", "charge": {"object": "charge", "id": "ch_1"}}, "ch_1"),
    ({"object": "refund", "id": "re_1", "charge": "py_1"}, "py_1"),
    ({"object": "review", "id": "prv_1", "charge": None, "payment_intent": "pi_1"}, "pi_1"),
    ({"object": "radar.early_fraud_warning", "id": "issfr_1", "charge": "ch_1"}, "ch_1"),
    ({"object": "refund", "id": "re_1"}, None),
    ({"object": "dispute", "id": "du_1", "charge": ""}, None),
    ({"object": "charge", "id": 5}, None),
    ({"object": "charge", "id": "ch_1'; DROP TABLE work"}, None),
    ({"object": "charge", "id": "ch_" + "x" * 100}, None),
    ({"object": "charge", "id": "ch_é"}, None),
    ({"object": "review", "payment_intent": ["pi_1"]}, None),
]


@pytest.mark.parametrize(("about", "payment"), OBJECTS)
def test_which_payment_an_object_is_about(
    make: Callable[..., Receiver], about: dict[str, Any], payment: str | None
) -> None:
    one = make()
    assert payment_of(event("charge.dispute.created", **about)) == payment
    assert one.post(event("charge.dispute.created", **about)).status_code == 200
    assert one.due() == ([f"payment {payment}"] if payment else [])


def test_everything_that_may_change_what_is_paid_for_matters() -> None:
    assert {
        "charge.dispute.created",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
        "charge.refunded",
        "refund.created",
        "refund.updated",
        "refund.failed",
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "review.opened",
        "review.closed",
        "radar.early_fraud_warning.created",
    } <= EVENTS


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_event_that_matters_is_noted(make: Callable[..., Receiver], kind: str) -> None:
    one = make()
    assert one.post(event(kind)).data == b"noted"
    assert one.due() == ["payment pi_1"]


def test_the_guide_names_the_events_that_are_noted() -> None:
    guide = Path(__file__).parent.parent / "docs" / "operators.md"
    section = guide.read_text(encoding="utf-8").split("\n## Stripe\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`((?:charge|payment_intent|refund|review|radar)\.[a-z_.]+)`", section))
    assert named == EVENTS


@pytest.mark.parametrize("kind", ["customer.created", "payment_intent.created", "invoice.paid", "", "Charge.Refunded"])
def test_other_events_are_answered_and_counted(make: Callable[..., Receiver], kind: str) -> None:
    one, before = make(), counted("stripe.other", "nothing to note")
    assert one.post(event(kind)).status_code == 200
    assert one.due() == []
    assert counted("stripe.other", "nothing to note") == before + 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b"{",
        b"[" * 100_000,
        b'{"livemode": false}',
        b'{"livemode": false, "type": ["charge.refunded"], "data": {"object": {"id": "ch_1"}}}',
        b'{"livemode": false, "type": {"a": 1}}',
        b'{"livemode": false, "type": "charge.refunded", "data": null}',
        b'{"livemode": false, "type": "charge.refunded", "data": {"object": "ch_1"}}',
        b'{"object": "v2.core.event", "livemode": false, "type": "v1.charge.refunded", "related_object": null}',
    ],
)
def test_a_signed_body_of_any_form_is_taken_and_does_nothing(make: Callable[..., Receiver], body: bytes) -> None:
    one = make()
    assert one.post(body).status_code == 200
    assert one.due() == []


def test_told_twice_and_in_any_order_it_is_due_once(receiver: Receiver) -> None:
    for kind in ("charge.dispute.closed", "charge.dispute.created", "charge.dispute.closed"):
        assert receiver.post(event(kind, object="dispute", id="du_1", payment_intent="pi_1")).status_code == 200
    assert receiver.due() == ["payment pi_1"]


# --- modes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "live", "noted"),
    [
        (SANDBOX_KEY, False, True),
        (SANDBOX_KEY, True, False),
        ("rk_live_0123456789", True, True),
        ("rk_live_0123456789", False, False),
        (SANDBOX_KEY, None, False),
        (SANDBOX_KEY, 0, False),
    ],
)
def test_events_of_the_other_mode_are_told_and_ignored(
    make: Callable[..., Receiver], key: str, live: bool | None, noted: bool
) -> None:
    one, before = make(secret_key=key), counted("payment_intent.succeeded", "other mode")
    with structlog.testing.capture_logs() as logs:
        answer = one.post({**event(), "livemode": live})
    assert answer.status_code == 200
    assert one.due() == (["payment pi_1"] if noted else [])
    assert counted("payment_intent.succeeded", "other mode") == before + (not noted)
    assert [line["log_level"] for line in logs] == ([] if noted else ["warning"])


# --- limits -------------------------------------------------------------------------------------------------------


def test_a_large_body_is_refused_unread(make: Callable[..., Receiver]) -> None:
    one = make()
    padded = {**event(), "padding": "x" * MOST_BYTES}
    assert one.post(padded).status_code == 413
    exact = json.dumps(event()).encode()
    exact += b" " * (MOST_BYTES - len(exact))
    assert one.post(exact).status_code == 200
    assert one.post(exact + b" ").status_code == 413


def test_only_post_is_answered(make: Callable[..., Receiver]) -> None:
    assert make().web.get(PATH).status_code == 405


def test_without_a_key_or_a_secret_there_is_no_such_address(make: Callable[..., Receiver]) -> None:
    assert make(secret_key="", webhook_secrets=[]).post(event()).status_code == 404
    one = make(webhook_secrets=[])
    assert one.post(event()).status_code == 404
    assert one.bridge.stripe is not None
    assert make(secret_key="", webhook_secrets=[]).bridge.stripe is None


def test_a_database_that_is_down_is_503_and_stripe_tries_again(receiver: Receiver) -> None:
    before = counted("payment_intent.succeeded", "unavailable")
    with receiver.bridge.store.begin() as connection:
        connection.execute(text("ALTER TABLE work RENAME TO work_away"))
    try:
        answer = receiver.post(event())
    finally:
        with receiver.bridge.store.begin() as connection:
            connection.execute(text("ALTER TABLE work_away RENAME TO work"))
    assert (answer.status_code, answer.data) == (503, b"not now")
    assert counted("payment_intent.succeeded", "unavailable") == before + 1
    assert receiver.post(event()).status_code == 200
    assert receiver.due() == ["payment pi_1"]


def test_it_calls_nobody(make: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the receiver opened a socket")

    one = make()
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert one.post(event()).status_code == 200


def test_nothing_of_a_delivery_is_logged(make: Callable[..., Receiver]) -> None:
    one = make()
    personal = {"object": "charge", "id": "ch_1", "billing_details": {"email": "buyer@private.test"}}
    with structlog.testing.capture_logs() as logs:
        one.post(event("charge.refunded", **personal))
        one.post(event("charge.refunded", **personal), "whsec_0123456789abcdefOTHER")
        one.post({**event("charge.refunded", **personal), "livemode": True})
    assert len(logs) == 2
    assert not any(word in str(logs) for word in ("private", "whsec", "v1="))


def test_many_at_once_are_all_noted(receiver: Receiver) -> None:
    def send(number: int) -> None:
        body = json.dumps(event(object="payment_intent", id=f"pi_{number}")).encode()
        answer = receiver.app.test_client().post(PATH, data=body, headers={"Stripe-Signature": header_of(body)})
        statuses.append(answer.status_code)

    statuses: list[int] = []
    threads = [threading.Thread(target=send, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 20
    assert len(receiver.due()) == 20


# --- with the embedded Stripe -------------------------------------------------------------------------------------


def test_whatever_happens_to_a_payment_it_becomes_due(receiver: Receiver) -> None:
    fake = Stripe()
    with Served(receiver.app) as bridge:
        fake.events.add_endpoint(f"{bridge.url}{PATH}", secret=NEW)
        paid = fake.pay(1041, 12000)
        disputed = fake.pay(1042, 100, payment_method="pm_card_createDispute")
        fake.pay(1043, 100, payment_method="pm_card_chargeDeclined")
        fake.pay(1044, 100, live=True)
        waiting = len(fake.events.waiting())
        fake.events.shuffle(1)
        assert fake.events.deliver() == waiting
    due = receiver.due()
    assert {f"payment {paid['id']}", f"payment {disputed['id']}"} < set(due)
    assert len(due) == 3
    assert all(sent["status"] == 200 for sent in fake.events.deliveries)
