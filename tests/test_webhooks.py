"""The receiver: every recorded delivery, and everything that is no good delivery."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import event, text
from werkzeug.test import Client

from bridge.errors import Unavailable
from bridge.sandbox.server import Served
from bridge.store import ledger
from bridge.store.db import Store, utc_now
from bridge.store.models import work as table
from bridge.webhooks import MOST_BYTES, Secrets, signed_by, thing_of
from bridge.webhooks import Receiver as WebReceiver
from bridge.wiring import SECRET_NOTE, Bridge
from tests.world import SECRET, World, settings_for

SAMPLES = Path(__file__).parent / "samples" / "woocommerce"
RECORDED = sorted(SAMPLES.glob("*.json"))
LAB_SECRET = "lab-webhook-secret"
PATH = "/webhooks/woocommerce"

#: What a delivery of each topic is about: the order or subscription in this field of its body, nothing, or a ping.
TOPICS = {
    "order.created": "id",
    "order.updated": "id",
    "order.deleted": "id",
    "action.woocommerce_payment_complete": "arg",
    "action.woocommerce_order_refunded": "arg",
    "action.woocommerce_order_status_completed": "arg",
    "action.woocommerce_subscription_renewal_payment_complete": None,
    "customer.created": None,
    "customer.updated": None,
    "product.created": None,
    "product.updated": None,
    "product.deleted": None,
    "subscription.created": "id",
    "subscription.updated": "id",
    "subscription.deleted": "id",
}
#: Signed errors in place of the order: the webhook's user lost the right, or the shop had no route at that moment.
NO_ORDER_IN_IT = {
    "order.updated-WEBHOOK-USER-LACKS-CAPABILITY--webhook-user-no-capability",
    "order.created--sync-checkout",
    "order.updated--sync-checkout",
}


def signature(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def headers(topic: str, body: bytes, secret: str = SECRET, **others: str) -> dict[str, str]:
    named = {"X-WC-Webhook-Topic": topic, "X-WC-Webhook-Signature": signature(body, secret)}
    return named | {"Content-Type": "application/json"} | others


class Receiver:
    """A bridge that nobody else talks to, and its web application."""

    def __init__(self, database: str, secrets: Sequence[str] = (SECRET,)) -> None:
        settings = settings_for(database, "http://127.0.0.1:9", "http://127.0.0.1:9")
        shop = settings.shop.model_copy(update={"webhook_secrets": [SecretStr(secret) for secret in secrets]})
        self.bridge = Bridge(settings.model_copy(update={"shop": shop}))
        self.web = self.bridge.web().test_client()

    def post(self, topic: str, body: bytes, secret: str = SECRET, **others: str) -> Any:
        return self.web.post(PATH, data=body, headers=headers(topic, body, secret, **others))

    def due(self) -> list[str]:
        """Everything owed: "kind key"."""
        with self.bridge.store.read() as connection:
            rows = connection.execute(table.select().where(table.c.due_at.is_not(None)))
            return sorted(f"{row.kind} {row.key}" for row in rows)

    def keep_secret(self, *secrets: str) -> None:
        """What `bridge webhooks` does when it makes a secret."""
        with self.bridge.store.begin() as connection:
            ledger.write_note(self.bridge.store, connection, SECRET_NOTE, list(secrets), utc_now())


@pytest.fixture
def receiver(database: str) -> Iterator[Receiver]:
    one = Receiver(database)
    yield one
    one.bridge.store.close()


@pytest.fixture
def make(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Callable[..., Receiver]]:
    """Receivers on SQLite, with settings of the test's own."""
    made: list[Receiver] = []

    def new(secrets: Sequence[str] = (SECRET,)) -> Receiver:
        copy = tmp_path / f"bridge{len(made)}.sqlite3"
        copy.write_bytes(migrated_sqlite.read_bytes())
        made.append(Receiver(f"sqlite:///{copy}", secrets))
        return made[-1]

    yield new
    for one in made:
        one.bridge.store.close()


def counted(topic: str, result: str) -> float:
    return REGISTRY.get_sample_value("bridge_deliveries_total", {"topic": topic, "result": result}) or 0.0


# --- recorded deliveries -----------------------------------------------------------------------------------------


def body_of(path: Path) -> bytes:
    return path.with_suffix(".body").read_bytes() if path.with_suffix(".body").exists() else b""


def test_there_are_recordings_of_every_kind() -> None:
    assert len(RECORDED) > 150
    topics = {json.loads(path.read_text())["headers"].get("X-WC-Webhook-Topic", "") for path in RECORDED}
    assert topics - {""} == set(TOPICS)
    assert all(path.with_suffix(".body").exists() for path in RECORDED)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Receiver]:
    """One receiver for all recordings; each starts from an empty list of what is owed."""
    copy = tmp_path_factory.mktemp("lab") / "bridge.sqlite3"
    copy.write_bytes(migrated_sqlite.read_bytes())
    one = Receiver(f"sqlite:///{copy}", [SECRET, LAB_SECRET])
    yield one
    one.bridge.store.close()


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_delivery_is_taken_and_its_order_becomes_due(lab: Receiver, path: Path) -> None:
    with lab.bridge.store.begin() as connection:
        connection.execute(table.delete())
    recorded, body = json.loads(path.read_text()), body_of(path)
    sent = {k: v for k, v in recorded["headers"].items() if k not in ("Host", "Content-Length", "Connection")}
    answer = lab.web.post(PATH, data=body, headers=sent)
    assert answer.status_code == 200
    topic = sent.get("X-WC-Webhook-Topic", "")
    field = TOPICS[topic] if topic else None
    if field is None or path.stem in NO_ORDER_IN_IT:
        assert lab.due() == []
    else:
        number = recorded["body_json"][field]
        assert isinstance(number, int)
        assert lab.due() == [f"{'subscription' if topic.startswith('subscription.') else 'order'} {number}"]
    assert answer.data == (b"noted" if topic else b"pong")


@pytest.mark.parametrize("path", [p for p in RECORDED if not p.stem.startswith("ping")][::12], ids=lambda p: p.stem)
def test_a_recorded_delivery_with_one_byte_changed_is_refused(lab: Receiver, path: Path) -> None:
    with lab.bridge.store.begin() as connection:
        connection.execute(table.delete())
    recorded, body = json.loads(path.read_text()), body_of(path)
    sent = {k: v for k, v in recorded["headers"].items() if k not in ("Host", "Content-Length", "Connection")}
    answer = lab.web.post(PATH, data=body[:-1] + bytes([body[-1] ^ 1]), headers=sent)
    assert answer.status_code == 401
    assert lab.due() == []


def test_a_body_that_was_parsed_and_written_again_no_longer_verifies(lab: Receiver) -> None:
    path = SAMPLES / "order.created--purchase-block-card.json"
    recorded = json.loads(path.read_text())
    again = json.dumps(recorded["body_json"]).encode()
    assert again != body_of(path)
    assert not signed_by(LAB_SECRET.encode(), again, recorded["headers"]["X-WC-Webhook-Signature"])


def test_the_raw_request_a_shop_sent_verifies_byte_for_byte() -> None:
    head, _, body = (SAMPLES / "00-delivery.raw.http").read_bytes().partition(b"\r\n\r\n")
    if not body:
        head, _, body = (SAMPLES / "00-delivery.raw.http").read_bytes().partition(b"\n\n")
    found = re.search(rb"X-WC-Webhook-Signature: (\S+)", head)
    length = re.search(rb"Content-Length: (\d+)", head)
    assert found is not None
    assert length is not None
    assert len(body) == int(length[1])


# --- who may speak -----------------------------------------------------------------------------------------------


def test_a_signed_delivery_is_durable_when_it_is_answered(receiver: Receiver) -> None:
    answer = receiver.post("order.updated", b'{"id": 31}')
    assert (answer.status_code, answer.data) == (200, b"noted")
    other = Store(receiver.bridge.store.url)
    with other.read() as connection:
        assert [row.key for row in connection.execute(table.select())] == ["31"]
    other.close()


def test_the_unsigned_ping_is_answered_200_and_owes_nothing(receiver: Receiver) -> None:
    answer = receiver.web.post(
        PATH, data=b"webhook_id=35", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (answer.status_code, answer.data) == (200, b"pong")
    assert receiver.due() == []


@pytest.mark.parametrize(
    "body",
    [b"webhook_id=", b"webhook_id=x", b"webhook_id=1&id=2", b"webhook_id=1\n", b"", b"webhook_id=" + b"1" * 20],
)
def test_what_only_looks_like_a_ping_is_refused(receiver: Receiver, body: bytes) -> None:
    answer = receiver.web.post(PATH, data=body, headers={"X-WC-Webhook-Topic": "order.updated"})
    assert answer.status_code == 401
    assert receiver.due() == []


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "x",
        signature(b'{"id": 31}', "another-secret-of-somebody"),
        signature(b'{"id":31}'),
        hmac.new(SECRET.encode(), b'{"id": 31}', hashlib.sha256).hexdigest(),
        signature(b'{"id": 31}') + " ",  # a server strips it around a header, and here there is none
        signature(b'{"id": 31}').rstrip("="),
        "é" * 10,
    ],
)
def test_a_wrong_signature_or_none_is_401_and_owes_nothing(receiver: Receiver, given: str | None) -> None:
    sent = {"X-WC-Webhook-Topic": "order.updated", "Content-Type": "application/json"}
    if given is not None:
        sent["X-WC-Webhook-Signature"] = given
    environ = {f"HTTP_{k.upper().replace('-', '_')}": v.encode().decode("latin-1") for k, v in sent.items()}
    answer = receiver.web.post(PATH, data=b'{"id": 31}', environ_overrides=environ)
    assert (answer.status_code, answer.data) == (401, b"bad signature")
    assert receiver.due() == []


def test_the_signature_binds_the_bytes_not_the_topic(receiver: Receiver) -> None:
    assert receiver.post("Order.Updated", b'{"id": 5}').status_code == 200
    assert receiver.due() == ["order 5"]


def test_each_of_several_configured_secrets_signs(make: Callable[..., Receiver]) -> None:
    secrets = ["the-new-secret-000001", "the-old-secret-000001"]
    receiver = make(secrets)
    for number, secret in enumerate([*secrets, SECRET], 1):
        receiver.post("order.updated", json.dumps({"id": number}).encode(), secret)
    assert receiver.due() == ["order 1", "order 2"]


def test_without_any_secret_nothing_is_taken(make: Callable[..., Receiver]) -> None:
    receiver = make([])
    assert receiver.post("order.updated", b'{"id": 1}', "").status_code == 401
    assert receiver.post("order.updated", b'{"id": 1}').status_code == 401
    assert receiver.due() == []


def test_a_secret_kept_in_the_database_is_found_without_a_restart(receiver: Receiver) -> None:
    kept = "a-secret-the-bridge-made"
    receiver.keep_secret(kept)
    assert receiver.post("order.updated", b'{"id": 1}', kept).status_code == 200
    assert receiver.post("order.updated", b'{"id": 2}', "a-secret-of-nobody").status_code == 401
    assert receiver.post("order.updated", b'{"id": 3}').status_code == 200
    assert receiver.due() == ["order 1", "order 3"]


def test_a_secret_made_while_running_is_found_after_a_moment() -> None:
    kept: list[str] = []
    reads: list[int] = []

    def read() -> list[str]:
        reads.append(1)
        return kept

    secrets = Secrets([SECRET], read, seconds=0.05)
    with pytest.raises(Exception, match="no configured secret"):
        secrets.verify(b"x", signature(b"x", "made-later-000000"))
    kept.append("made-later-000000")
    threading.Event().wait(0.1)
    secrets.verify(b"x", signature(b"x", "made-later-000000"))
    assert len(reads) == 2
    secrets.verify(b"y", signature(b"y", "made-later-000000"))
    secrets.verify(b"y", signature(b"y"))
    assert len(reads) == 2, "a known secret costs no look into the database"


def test_junk_does_not_have_the_database_read_each_time() -> None:
    reads: list[int] = []

    def read() -> list[str]:
        reads.append(1)
        return []

    secrets = Secrets([SECRET], read)
    for number in range(50):
        with pytest.raises(Exception, match="no configured secret"):
            secrets.verify(b"x", f"junk {number}")
    assert len(reads) == 1


def test_two_first_deliveries_at_once_under_a_kept_secret_are_both_taken() -> None:
    """The second comes while the first has the database read, and waits for what is found."""
    made, reads = "made-by-the-bridge", 0
    reading, go_on = threading.Event(), threading.Event()

    def read() -> list[str]:
        nonlocal reads
        reads += 1
        reading.set()
        assert go_on.wait(10)
        return [made]

    secrets = Secrets([SECRET], read)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(secrets.verify, b"x", signature(b"x", made))
        assert reading.wait(10)
        second = pool.submit(secrets.verify, b"y", signature(b"y", made))
        assert not wait([second], timeout=0.2).done
        go_on.set()
        assert (first.result(10), second.result(10)) == (None, None), "neither was refused"
    assert reads == 1


def test_a_kept_secret_that_the_database_could_not_tell_is_read_again_at_once() -> None:
    answers: list[Unavailable | list[str]] = [Unavailable("gone", system="database"), ["made-by-the-bridge"]]

    def read() -> list[str]:
        answer = answers.pop(0)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    secrets = Secrets([SECRET], read)
    with pytest.raises(Unavailable):
        secrets.verify(b"x", signature(b"x", "made-by-the-bridge"))
    secrets.verify(b"x", signature(b"x", "made-by-the-bridge"))
    assert answers == []


# --- what it is about --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "body", "order"),
    [
        ("order.created", '{"id": 7}', 7),
        ("order.updated", '{"id": 7, "status": "trash"}', 7),
        ("order.deleted", '{"id":37}', 37),
        ("order.restored", '{"id": "37"}', 37),
        ("order.updated", '{"id": "007"}', 7),
        ("order.updated", '{"id": 9223372036854775807}', 2**63 - 1),
        ("action.woocommerce_order_status_changed", '{"action":"woocommerce_order_status_changed","arg":8}', 8),
        ("action.woocommerce_order_status_completed", '{"arg":"8"}', 8),
        ("action.woocommerce_payment_complete", '{"arg":8}', 8),
        # nothing to see
        ("action.woocommerce_payment_complete_order_status", '{"arg":8}', None),
        ("action.woocommerce_subscription_renewal_payment_complete", '{"arg":{"refunds":[]}}', None),
        ("action.woocommerce_order_refunded", '{"arg":{"id":8}}', None),
        ("action.woocommerce_order_refunded", '{"id":8}', None),
        ("order.updated", '{"arg":8}', None),
        ("subscription.updated", "[]", None),
        ("action.woocommerce_delete_order", '{"action":"x","arg":8}', 8),
        ("product.updated", '{"id":8}', None),
        ("customer.updated", '{"id":8}', None),
        ("coupon.updated", '{"id":8}', None),
        ("xorder.updated", '{"id":8}', None),
        ("", '{"id":8}', None),
        ("order", '{"id":8}', None),
        # bodies that are not the order
        ("order.updated", "[]", None),
        ("order.updated", "null", None),
        ("order.updated", "8", None),
        ("order.updated", "", None),
        ("order.updated", "{", None),
        ("order.updated", "<html>", None),
        ("order.updated", "{}", None),
        ("order.updated", '{"code":"rest_no_route","data":{"status":404}}', None),
        ("order.updated", '{"code":"woocommerce_rest_shop_order_invalid_id","data":{"status":404}}', None),
        ("order.updated", '{"code":"woocommerce_rest_cannot_view","data":{"status":401}}', None),
        # ids that are none
        ("order.updated", '{"id":0}', None),
        ("order.updated", '{"id":-8}', None),
        ("order.updated", '{"id":"-8"}', None),
        ("order.updated", '{"id":true}', None),
        ("order.updated", '{"id":null}', None),
        ("order.updated", '{"id":8.0}', None),
        ("order.updated", '{"id":"8.0"}', None),
        ("order.updated", '{"id":"8 "}', None),
        ("order.updated", '{"id":"٨"}', None),
        ("order.updated", '{"id":"²"}', None),
        ("order.updated", '{"id":""}', None),
        ("order.updated", '{"id":[8]}', None),
        ("order.updated", '{"id":NaN}', None),
        ("order.updated", '{"id":1e400}', None),
        ("order.updated", '{"id":9223372036854775808}', None),
        ("order.updated", f'{{"id":"{"9" * 19}"}}', None),
        pytest.param("order.updated", f'{{"id":{"9" * 5000}}}', None, id="order.updated-an id of 5000 digits-None"),
        pytest.param("order.updated", "[" * 500_000, None, id="order.updated-lists in lists, very deep-None"),
    ],
)
def test_which_order_a_delivery_is_about(lab: Receiver, topic: str, body: str, order: int | None) -> None:
    with lab.bridge.store.begin() as connection:
        connection.execute(table.delete())
    assert thing_of(topic, body.encode()) == (None if order is None else ("order", order))
    answer = lab.post(topic, body.encode())
    assert answer.status_code == 200
    assert lab.due() == ([] if order is None else [f"order {order}"])


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b'{"id": 8}\xff', "{}".encode("utf-16")])
def test_bytes_that_are_no_text_are_taken_and_owe_nothing(lab: Receiver, body: bytes) -> None:
    with lab.bridge.store.begin() as connection:
        connection.execute(table.delete())
    assert lab.post("order.updated", body).status_code == 200
    assert lab.due() == []


def test_an_order_that_nobody_knows_is_noted_all_the_same(receiver: Receiver) -> None:
    receiver.post("order.updated", b'{"id": 999999999}')
    assert receiver.due() == ["order 999999999"]


def test_the_same_delivery_ten_times_is_one_thing_owed(receiver: Receiver) -> None:
    for _ in range(10):
        assert receiver.post("order.updated", b'{"id": 31}').status_code == 200
    assert receiver.due() == ["order 31"]
    row = receiver.bridge.work.find("order", "31")
    assert row is not None
    assert row.hints == 10


def test_two_orders_under_one_delivery_id_are_both_noted(receiver: Receiver) -> None:
    for number in (21, 22):
        receiver.post("order.updated", json.dumps({"id": number}).encode(), **{"X-WC-Webhook-Delivery-ID": "same"})
    assert receiver.due() == ["order 21", "order 22"]


def test_unknown_topics_are_taken_and_counted_under_one_name(receiver: Receiver) -> None:
    before = counted("other", "nothing to note")
    for topic in ("wc_lab.nothing", "product.updated", "x" * 500, "a{b}", ""):
        assert receiver.post(topic, b'{"id": 1}').status_code == 200
    assert counted("other", "nothing to note") == before + 5
    assert receiver.due() == []


def test_what_was_noted_and_what_was_refused_is_counted(receiver: Receiver) -> None:
    noted, refused, pings = (
        counted("order.updated", "noted"),
        counted("unsigned", "refused"),
        counted("ping", "answered"),
    )
    receiver.post("order.updated", b'{"id": 1}')
    receiver.post("order.updated", b'{"id": 1}', "not-our-secret-at-all")
    receiver.web.post(PATH, data=b"webhook_id=1")
    assert counted("order.updated", "noted") == noted + 1
    assert counted("unsigned", "refused") == refused + 1
    assert counted("ping", "answered") == pings + 1


# --- sizes and methods -------------------------------------------------------------------------------------------


def padded(size: int) -> bytes:
    start, end = b'{"id": 31, "x": "', b'"}'
    return start + b"x" * (size - len(start) - len(end)) + end


def test_a_body_of_just_a_mebibyte_is_read(receiver: Receiver) -> None:
    assert receiver.post("order.updated", padded(MOST_BYTES)).status_code == 200
    assert receiver.due() == ["order 31"]


def test_a_larger_body_is_413_by_its_length(receiver: Receiver) -> None:
    assert receiver.post("order.updated", padded(MOST_BYTES + 1)).status_code == 413
    assert receiver.due() == []


def test_a_body_that_tells_no_length_is_read_up_to_the_same_size(receiver: Receiver) -> None:
    for size in (MOST_BYTES, MOST_BYTES + 1):
        body = padded(size)
        answer = receiver.web.post(
            PATH,
            input_stream=io.BytesIO(body),
            headers=headers("order.updated", body) | {"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
        )
        assert answer.status_code == (200 if size == MOST_BYTES else 413)
    row = receiver.bridge.work.find("order", "31")
    assert row is not None
    assert row.hints == 1


def test_over_a_real_connection_chunks_are_read_and_bounded(make: Callable[..., Receiver]) -> None:
    receiver = make()
    with Served(receiver.bridge.web()) as served:
        for size, statuses in ((1000, [200]), (MOST_BYTES + 1, [401, 413])):
            body = padded(size)
            parts = (body[at : at + 65536] for at in range(0, size, 65536))
            try:
                answer = requests.post(
                    served.url + PATH, data=parts, headers=headers("order.updated", body), timeout=30
                )
            except requests.ConnectionError:
                assert size > MOST_BYTES, "the server may hang up on what it does not read"
            else:
                assert answer.status_code in statuses
    assert receiver.due() == ["order 31"]


def test_without_a_length_or_an_end_nothing_is_waited_for(receiver: Receiver) -> None:
    unread = io.BytesIO(b'{"id": 31}')
    for told in ("", "-1", "1e3", "²"):
        answer = receiver.web.post(
            PATH,
            input_stream=unread,
            headers=headers("order.updated", b'{"id": 31}'),
            environ_overrides={"wsgi.input_terminated": False, "CONTENT_LENGTH": told},
        )
        assert answer.status_code == 401
    assert unread.tell() == 0
    assert receiver.due() == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
def test_only_post_is_taken(receiver: Receiver, method: str) -> None:
    body = b'{"id": 1}'
    answer = receiver.web.open(PATH, method=method, data=body, headers=headers("order.updated", body))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.data == (b"" if method == "HEAD" else b"only POST")
    assert receiver.due() == []


@pytest.mark.parametrize("path", [PATH + "/", PATH + "/x", PATH[:-1], "/x" + PATH])
def test_no_other_path_takes_deliveries(receiver: Receiver, path: str) -> None:
    body = b'{"id": 1}'
    assert receiver.web.post(path, data=body, headers=headers("order.updated", body)).status_code == 404
    assert receiver.due() == []


# --- when the database is not there ------------------------------------------------------------------------------


def test_a_postgresql_that_is_gone_is_503_and_claims_nothing() -> None:
    receiver = Receiver("postgresql://bridge@/bridge?host=/nonexistent/folder&connect_timeout=2")
    before = counted("order.updated", "noted"), counted("order.updated", "unavailable")
    answer = receiver.post("order.updated", b'{"id": 1}')
    assert (answer.status_code, answer.data) == (503, b"not now")
    after = counted("order.updated", "noted"), counted("order.updated", "unavailable")
    assert after == (before[0], before[1] + 1)
    # Whether somebody else's signature is good can't be told either: some secrets are in the database.
    assert receiver.post("order.updated", b'{"id": 1}', "made-by-the-bridge-itself").status_code == 503
    receiver.bridge.store.close()


def test_a_ping_needs_no_database() -> None:
    receiver = Receiver("postgresql://bridge@/bridge?host=/nonexistent/folder&connect_timeout=2")
    assert receiver.web.post(PATH, data=b"webhook_id=1").status_code == 200
    receiver.bridge.store.close()


def test_a_postgresql_that_goes_away_and_comes_back(postgresql_url: str, cluster: Any) -> None:
    receiver = Receiver(postgresql_url)
    try:
        assert receiver.post("order.updated", b'{"id": 1}').status_code == 200
        with receiver.bridge.store.read() as connection:
            connection.execute(text("SELECT 1"))
        killer = Store(receiver.bridge.store.url)
        with killer.begin() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            )
        killer.close()
        answers = [receiver.post("order.updated", json.dumps({"id": n}).encode()).status_code for n in range(2, 12)]
        assert set(answers) <= {200, 503}
        assert answers[-1] == 200
        noted = {f"order {n}" for n, status in enumerate(answers, 2) if status == 200}
        assert noted <= set(receiver.due()), "200 was said for something that is not owed"
    finally:
        with receiver.bridge.store.begin() as connection:
            connection.execute(table.delete())
        receiver.bridge.store.close()


def test_a_sqlite_that_takes_no_writes_is_503_and_claims_nothing(make: Callable[..., Receiver]) -> None:
    writable = make()
    path = writable.bridge.store.url.removeprefix("sqlite:///")
    writable.post("order.updated", b'{"id": 1}')
    receiver = Receiver(f"sqlite:///file:{path}?mode=ro&uri=true")
    answer = receiver.post("order.updated", b'{"id": 2}')
    assert (answer.status_code, answer.data) == (503, b"not now")
    assert writable.due() == ["order 1"]
    receiver.bridge.store.close()


def test_a_sqlite_that_is_locked_is_503_and_claims_nothing(make: Callable[..., Receiver]) -> None:
    receiver = make()
    blocker = Store(receiver.bridge.store.url)

    def hurry(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA busy_timeout=50")

    event.listen(receiver.bridge.store.engine, "connect", hurry)
    with blocker.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        assert receiver.post("order.updated", b'{"id": 1}').status_code == 503
        connection.rollback()
    assert receiver.post("order.updated", b'{"id": 2}').status_code == 200
    assert receiver.due() == ["order 2"]
    blocker.close()


def test_what_fails_in_a_group_is_told_to_everybody_in_it(make: Callable[..., Receiver]) -> None:
    writable = make()
    path = writable.bridge.store.url.removeprefix("sqlite:///")
    receiver = Receiver(f"sqlite:///file:{path}?mode=ro&uri=true")
    app = receiver.bridge.web()

    def post(number: int) -> int:
        body = json.dumps({"id": number}).encode()
        return app.test_client().post(PATH, data=body, headers=headers("order.updated", body)).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(post, range(1, 49))) == {503}
    assert writable.due() == []
    receiver.bridge.store.close()


def test_a_fault_of_our_own_is_500_and_tells_the_shop_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    def mark(_kind: str, _key: str) -> None:
        raise ZeroDivisionError("a fault of our own")

    web = Client(WebReceiver(Flask("others"), Secrets([SECRET], list), mark))
    body = json.dumps({"id": 31, "billing": {"email": "mia@guest.test"}}).encode()
    answer = web.post(PATH, data=body, headers=headers("order.updated", body))
    assert (answer.status_code, answer.data) == (500, b"failed")
    said = "".join(capfd.readouterr())
    assert "ZeroDivisionError" in said
    assert "mia@guest.test" not in said


# --- many at once -----------------------------------------------------------------------------------------------


def test_fifty_deliveries_of_one_order_at_once_owe_it_once_and_call_nobody(world: World) -> None:
    app = world.bridge.web()
    body = b'{"id": 31}'
    start = threading.Barrier(25)

    def post(number: int) -> int:
        if number < 25:
            start.wait()
        return app.test_client().post(PATH, data=body, headers=headers("order.updated", body)).status_code

    with ThreadPoolExecutor(25) as pool:
        assert set(pool.map(post, range(50))) == {200}
    (row,) = world.rows("work")
    assert (row.kind, row.key, row.due_at is not None) == ("order", "31", True)
    assert 1 <= row.hints <= 50
    assert world.shop.requests == []
    assert world.totara.requests == []


def test_two_hundred_orders_at_once_are_all_owed(receiver: Receiver) -> None:
    app = receiver.bridge.web()

    def post(number: int) -> int:
        body = json.dumps({"id": number}).encode()
        return app.test_client().post(PATH, data=body, headers=headers("order.updated", body)).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(post, range(1, 201))) == {200}
    assert receiver.due() == sorted(f"order {n}" for n in range(1, 201))


# --- what is written down ---------------------------------------------------------------------------------------


def test_no_address_no_secret_and_no_signature_is_logged(
    receiver: Receiver, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps({"id": 31, "billing": {"email": "mia@guest.test"}}).encode()
    receiver.post("order.updated", body)
    receiver.post("order.updated", body, "not-our-secret-at-all")
    receiver.post("order.updated", b"{mia@guest.test")
    said = "".join(capfd.readouterr()) + caplog.text
    assert "mia@guest.test" not in said
    assert SECRET not in said
    assert signature(body) not in said
    assert signature(body, "not-our-secret-at-all") not in said
    assert "bad signature" in said


def test_answers_are_plain_words_and_say_nothing_of_the_inside(receiver: Receiver) -> None:
    for answer in (
        receiver.post("order.updated", b'{"id": 1}'),
        receiver.post("order.updated", b'{"id": 1}', "not-our-secret-at-all"),
    ):
        assert answer.mimetype == "text/plain"
        assert len(answer.data) < 30
