"""The shop's client on the wire: what is sent, what answers mean, and what is never written down."""

from __future__ import annotations

import base64
import json
import logging
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
import responses
from prometheus_client import generate_latest
from werkzeug.wrappers import Request, Response

from bridge.domain.purchases import FOR_WHOM_META, Buyer
from bridge.errors import NotFound, Refused, Unauthorized, Unavailable
from bridge.http import Breaker, Wire
from bridge.sandbox.server import Served
from bridge.sandbox.shop import Shop
from bridge.woo_client import ERRORS, PAGE, WooClient, judge
from bridge.woo_rows import read_moment, read_order
from tests.world import Clock

ROOT = Path(__file__).parent.parent
REST = ROOT / "tests" / "samples" / "woocommerce-rest"
DELIVERIES = ROOT / "tests" / "samples" / "woocommerce"
HTTPS, HTTP = "https://shop.example", "http://shop.example"
KEY, SECRET = "ck_0123456789SENSITIVE", "cs_0123456789SENSITIVE"
API = "/wp-json/wc/v3/"


def sample(name: str) -> Any:
    return json.loads((REST / f"{name}.json").read_text(encoding="utf-8"))


def client(url: str = HTTPS, *, tries: int = 1, **wire: Any) -> WooClient:
    """A client that does not wait between tries for longer than a test can."""
    return WooClient(url, KEY, SECRET, Wire("shop", tries=tries, **wire))


@pytest.fixture
def shop() -> Shop:
    return Shop(consumer_key=KEY, consumer_secret=SECRET)


@pytest.fixture
def served(shop: Shop) -> Iterator[Served]:
    with Served(shop.app) as running:
        yield running


def query(call: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(call.request.url).query, keep_blank_values=True)


# --- who we are ---------------------------------------------------------------------------------------------------


def test_over_https_the_key_goes_as_basic_and_nowhere_else(wire: responses.RequestsMock) -> None:
    wire.get(f"{HTTPS}{API}orders", json=[])
    wire.post(f"{HTTPS}{API}orders/1/notes", json={"id": 1}, status=201)
    list(client().find_orders(search="x"))
    client().add_order_note(1, "a note")
    for call in wire.calls:
        basic = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
        assert call.request.headers["Authorization"] == f"Basic {basic}"
        assert "oauth" not in (call.request.url or "")
        assert "SENSITIVE" not in (call.request.url or "") + str(call.request.body)


def test_over_http_the_request_is_signed_and_the_key_is_sent_by_no_other_way(wire: responses.RequestsMock) -> None:
    wire.get(f"{HTTP}{API}orders", json=[])
    wire.post(f"{HTTP}{API}orders/1/notes", json={"id": 1}, status=201)
    list(client(HTTP).find_orders(search="x"))
    client(HTTP).add_order_note(1, "a note")
    nonces = set()
    for call in wire.calls:
        sent = query(call)
        assert "Authorization" not in call.request.headers
        assert sent["oauth_consumer_key"] == [KEY]
        assert sent["oauth_signature_method"] == ["HMAC-SHA256"]
        assert {"oauth_timestamp", "oauth_nonce", "oauth_signature"} <= sent.keys()
        assert all(len(values) == 1 for values in sent.values()), "every parameter once"
        assert SECRET not in (call.request.url or "")
        nonces.add(sent["oauth_nonce"][0])
    assert len(nonces) == 2


@pytest.mark.parametrize(
    "text", ["a b", "a+b", "a&b=c", "100%", "%41", "é~ü", "a,b", "a?c#d", "[x]", "'\"<>", "emoji 🎓", "a:b;c"]
)
def test_the_shop_accepts_the_signature_whatever_is_asked_for(shop: Shop, served: Served, text: str) -> None:
    shop.place_order([], email="x@y.test", first_name=text)
    found = list(client(served.url).find_orders(search=text, status=["processing", "completed"]))
    assert [order.buyer.first_name for order in found] == [text]


def test_the_shop_accepts_basic_behind_tls() -> None:
    shop = Shop(consumer_key=KEY, consumer_secret=SECRET, behind_tls=True)
    with Served(shop.app) as served:
        one = client(served.url)
        one._api.is_ssl = True  # as if the address began with https; the peer here speaks plain http
        one.status()
    assert shop.requests == ["GET /wp-json/wc/v3/orders"]


@pytest.mark.parametrize("url", [HTTP, HTTPS])
def test_a_list_is_sent_with_commas(wire: responses.RequestsMock, url: str) -> None:
    wire.get(f"{url}{API}products", json=[])
    list(client(url).products_by_sku(["totara-course-1", "totara-course-2"]))
    list(client(url).products_by_id([7, 8]))
    assert query(wire.calls[0])["sku"] == ["totara-course-1,totara-course-2"]
    assert query(wire.calls[1])["include"] == ["7,8"]


def test_no_cookie_is_kept_and_nothing_of_the_environment_is_used(
    wire: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine shop.example login other password other\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    wire.get(f"{HTTPS}{API}orders", json=[], headers={"Set-Cookie": "session=1; path=/"})
    one = client()
    one.status()
    one.status()
    assert all("Cookie" not in call.request.headers for call in wire.calls)
    assert all("other" not in call.request.headers["Authorization"] for call in wire.calls)
    assert one._wire.session.trust_env is False


def test_one_connection_serves_many_calls() -> None:
    opened: list[int] = []

    def app(environ: Any, start: Any) -> Any:
        opened.append(environ["REMOTE_PORT"])
        return Response("[]", mimetype="application/json")(environ, start)

    with Served(app) as served:
        one = client(served.url)
        for _ in range(5):
            one.status()
    assert len(set(opened)) == 1


# --- what answers mean --------------------------------------------------------------------------------------------


def recorded_errors() -> list[tuple[str, int, Any]]:
    """Every recorded answer that is an error, those inside of a batch too."""
    found: list[tuple[str, int, Any]] = []
    for path in sorted(REST.glob("*.json")):
        recorded = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(recorded, dict) and recorded.get("status", 200) >= 400:
            found.append((path.stem, recorded["status"], recorded["body"]))
    for kind, rows in sample("batch-errors")["body"].items():
        found += [(f"batch-{kind}-{row['id']}", row["error"]["data"]["status"], row["error"]) for row in rows]
    for path in sorted(DELIVERIES.glob("*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))["body_json"]
        if isinstance(body, dict) and "code" in body and "data" in body:
            found.append((path.stem, body["data"]["status"], body))
    return found


#: What each recorded error is to the caller.
MEANING: dict[str, type[Exception]] = {
    "woocommerce_rest_cannot_view": Unauthorized,
    "woocommerce_rest_shop_order_invalid_id": NotFound,
    "product_invalid_sku": Refused,
    "woocommerce_rest_product_invalid_id": NotFound,
    "rest_no_route": NotFound,
}


@pytest.mark.parametrize(("name", "status", "body"), recorded_errors(), ids=lambda value: str(value)[:60])
def test_a_recorded_error_is_what_it_is_to_the_caller(name: str, status: int, body: Any) -> None:
    expected = MEANING[body["code"]]
    with pytest.raises(Exception) as caught:
        judge("something", status, body)
    assert type(caught.value) is expected
    if isinstance(caught.value, Refused):
        assert caught.value.code == body["code"]
        assert caught.value.data == body["data"]
    assert body["message"] not in str(caught.value), "the shop's own words may quote anything"


def test_there_are_recorded_errors_of_every_meaning() -> None:
    assert {body["code"] for _, _, body in recorded_errors()} == MEANING.keys()


@pytest.mark.parametrize("code", sorted(ERRORS))
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_known_code_decides_whatever_the_status(code: str, status: int) -> None:
    with pytest.raises(ERRORS[code][0]) as caught:
        judge("x", status, {"code": code, "message": "m", "data": {"status": status}})
    assert type(caught.value) is ERRORS[code][0]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"code": "rest_invalid_param"}, Refused),
        (401, {"code": "something_else"}, Unauthorized),
        (401, None, Unauthorized),
        (403, {}, Unauthorized),
        (404, [], NotFound),
        (404, "gone", NotFound),
        (405, {}, Refused),
        (409, {}, Refused),
        (410, {"code": "woocommerce_rest_already_trashed"}, NotFound),
        (413, {"code": "woocommerce_rest_request_entity_too_large"}, Refused),
        (422, {"code": 7, "data": "text"}, Refused),
        (501, {"code": "woocommerce_rest_trash_not_supported"}, Refused),
    ],
)
def test_an_unknown_code_is_judged_by_its_status(status: int, body: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        judge("x", status, body)
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [{}, [], None, 0, {"code": "not an error"}])
def test_a_good_status_is_no_error(body: Any) -> None:
    assert judge("x", 200, body) == body
    assert judge("x", 201, body) == body


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524])
@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "", '{"code":"rest_no_route"}', "null"])
def test_not_now_is_unavailable_whatever_the_body(wire: responses.RequestsMock, status: int, body: str) -> None:
    wire.get(f"{HTTPS}{API}orders/1", body=body, status=status)
    with pytest.raises(Unavailable) as caught:
        client().get_order(1)
    assert type(caught.value) is Unavailable
    assert caught.value.system == "shop"
    assert str(status) in str(caught.value)


@pytest.mark.parametrize("status", [200, 201, 400, 401, 403, 404])
@pytest.mark.parametrize(
    "body", ["<html><h1>Checking your browser</h1></html>", "<br />\nWarning: PHP[]", '[{"id"', "\x00"]
)
def test_what_is_not_json_is_unavailable_whatever_the_status(
    wire: responses.RequestsMock, status: int, body: str
) -> None:
    wire.get(f"{HTTPS}{API}orders/1", body=body, status=status)
    with pytest.raises(Unavailable) as caught:
        client().get_order(1)
    assert type(caught.value) is Unavailable
    assert "browser" not in str(caught.value)


@pytest.mark.parametrize("body", ["", "[]", "null", "{}", '"x"', '{"id":1}'])
def test_what_is_no_order_where_one_was_due_is_unavailable(wire: responses.RequestsMock, body: str) -> None:
    wire.get(f"{HTTPS}{API}orders/1", body=body)
    with pytest.raises(Unavailable):
        client().get_order(1)


@pytest.mark.parametrize("body", ['{"code":"rest_no_route","data":{"status":404}}', '{"error":"not found"}', "", "[]"])
def test_only_the_shop_s_own_word_says_that_an_order_is_gone(wire: responses.RequestsMock, body: str) -> None:
    wire.get(f"{HTTPS}{API}orders/1", body=body, status=404)
    with pytest.raises(Unavailable):
        client().get_order(1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("body", ["", "<html>Moved</html>"])
def test_a_redirect_is_not_followed_with_our_key_in_hand_and_names_the_setting_to_mend(
    wire: responses.RequestsMock, status: int, method: str, body: str
) -> None:
    elsewhere = "https://elsewhere.example/wp-json/wc/v3/orders/1"
    for path in ("orders/1", "orders/1/notes"):
        wire.add(method, f"{HTTPS}{API}{path}", status=status, headers={"Location": elsewhere}, body=body)
    with pytest.raises(Unavailable, match="the address in the settings must be its final one"):
        client().get_order(1) if method == "GET" else client().add_order_note(1, "x")
    assert [call.request.url for call in wire.calls if "elsewhere" in (call.request.url or "")] == []
    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("products", lambda one: one.products_by_sku(["a"])),
        ("orders", lambda one: one.orders_modified_after(datetime(2026, 1, 1, tzinfo=UTC))),
    ],
    ids=["products", "changed orders"],
)
@pytest.mark.parametrize("body", ['{"message": "ok"}', "null"])
def test_a_body_that_is_no_list_where_a_list_was_due_is_unavailable(
    wire: responses.RequestsMock, path: str, read: Callable[[WooClient], Iterator[Any]], body: str
) -> None:
    wire.get(f"{HTTPS}{API}{path}", body=body)
    with pytest.raises(Unavailable, match="without a list"):
        list(read(client()))


@pytest.mark.parametrize(
    "problem",
    [
        requests.ConnectionError("refused https://shop.example/?oauth_signature=SENSITIVE"),
        requests.ConnectTimeout("SENSITIVE"),
        requests.ReadTimeout("SENSITIVE"),
        requests.exceptions.ChunkedEncodingError("SENSITIVE"),
        requests.exceptions.ContentDecodingError("SENSITIVE"),
        requests.exceptions.SSLError("SENSITIVE"),
        requests.TooManyRedirects("SENSITIVE"),
        requests.exceptions.InvalidURL("SENSITIVE"),
    ],
)
def test_no_answer_is_unavailable_and_the_library_s_words_are_dropped(
    wire: responses.RequestsMock, problem: Exception
) -> None:
    wire.get(f"{HTTP}{API}orders/1", body=problem)
    with pytest.raises(Unavailable) as caught:
        client(HTTP).get_order(1)
    told = f"{caught.value} {caught.value.__cause__} {caught.getrepr(style='short')}"
    assert type(problem).__name__ in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert KEY not in told


def test_a_shop_that_does_not_answer_in_time_is_unavailable(shop: Shop, served: Served) -> None:
    shop.faults.slow(1.0)
    with pytest.raises(Unavailable, match="ReadTimeout"):
        client(served.url, timeout=0.1).status()


def test_a_port_where_nobody_listens_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match="ConnectionError"):
        client(f"http://127.0.0.1:{port}").status()


# --- trying again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        lambda one: one.status(),
        lambda one: one.get_order(1),
        lambda one: list(one.find_orders()),
        lambda one: list(one.orders_modified_after(datetime(2026, 1, 1, tzinfo=UTC))),
        lambda one: one.refunds(1),
        lambda one: one.subscriptions(1),
        lambda one: one.order_notes(1),
        lambda one: one.find_customer(1),
        lambda one: list(one.products_by_sku(["a"])),
        lambda one: list(one.products_by_id([1])),
        lambda one: one.webhooks(),
        lambda one: one.set_order_meta(1, {"a": "b"}),
        lambda one: one.rename_category(1, "a", 0),
        lambda one: one.update_webhook(1, status="active"),
    ],
)
def test_a_read_or_what_may_be_repeated_is_tried_three_times(
    wire: responses.RequestsMock, read: Callable[[WooClient], Any]
) -> None:
    wire.add(responses.GET, re.compile(".*"), status=503)
    wire.add(responses.PUT, re.compile(".*"), status=503)
    with pytest.raises(Unavailable):
        read(client(tries=3))
    assert len(wire.calls) == 3


@pytest.mark.parametrize(
    "write",
    [
        lambda one: one.add_order_note(1, "note"),
        lambda one: one.batch_products(create=[{"name": "a"}]),
        lambda one: one.create_webhook(name="a", topic="order.updated", url="https://b", secret="c"),
        lambda one: one.ensure_category("a", 0),
        lambda one: one.delete_webhook(1),
    ],
)
@pytest.mark.parametrize("outcome", [503, "cut", "html"])
def test_a_write_that_may_have_been_done_is_sent_exactly_once(
    wire: responses.RequestsMock, write: Callable[[WooClient], Any], outcome: Any
) -> None:
    for method in (responses.POST, responses.DELETE):
        if outcome == "cut":
            wire.add(method, re.compile(".*"), body=requests.ConnectionError("reset by peer"))
        else:
            wire.add(method, re.compile(".*"), status=outcome if outcome == 503 else 200, body="<html>")
    with pytest.raises(Unavailable):
        write(client(tries=3))
    assert len(wire.calls) == 1


def test_a_note_whose_answer_got_lost_stands_once_in_the_shop(shop: Shop, served: Served) -> None:
    order = shop.place_order([], email="x@y.test")
    shop.faults.cut("POST")
    with pytest.raises(Unavailable):
        client(served.url, tries=3).add_order_note(order, "Learning access: ready. [bridge 1]")
    shop.faults.clear()
    notes = client(served.url).order_notes(order)
    assert [note for note in notes if "[bridge 1]" in note] == ["Learning access: ready. [bridge 1]"]


def test_a_read_that_fails_once_is_not_noticed(shop: Shop, served: Served) -> None:
    order = shop.place_order([], email="x@y.test")
    shop.faults.down(times=2)
    assert client(served.url, tries=3).get_order(order).id == order


@pytest.mark.parametrize(
    ("header", "status", "asked"),
    [("120", 503, 120.0), ("120", 429, 120.0), (None, 429, 60.0), (None, 503, None), ("99999", 429, 3600.0),
     ("soon", 503, None), ("soon", 429, 60.0), ("²", 503, None), ("-5", 503, None)],
)  # fmt: skip
def test_a_wait_that_was_asked_for_is_told_to_the_caller(
    wire: responses.RequestsMock, header: str | None, status: int, asked: float | None
) -> None:
    wire.get(f"{HTTPS}{API}orders/1", status=status, headers={"Retry-After": header} if header else {})
    with pytest.raises(Unavailable) as caught:
        client().get_order(1)
    assert caught.value.retry_after == asked


def test_a_long_wait_is_left_to_the_caller_and_holds_up_nothing(wire: responses.RequestsMock) -> None:
    wire.get(f"{HTTPS}{API}orders/1", status=503, headers={"Retry-After": "6"})
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        client(tries=3).get_order(1)
    assert time.monotonic() - began < 2
    assert (len(wire.calls), caught.value.retry_after) == (1, 6.0)


def test_a_short_wait_is_waited_out(wire: responses.RequestsMock) -> None:
    wire.get(f"{HTTPS}{API}orders", status=429, headers={"Retry-After": "1"})
    wire.get(f"{HTTPS}{API}orders", json=[])
    began = time.monotonic()
    client(tries=3).status()
    assert 1.0 <= time.monotonic() - began < 5
    assert len(wire.calls) == 2


def test_what_the_shop_refuses_is_not_asked_again(wire: responses.RequestsMock) -> None:
    wire.get(f"{HTTPS}{API}orders/1", status=404, json=sample("order-404")["body"])
    wire.get(f"{HTTPS}{API}orders/2", status=400, json={"code": "rest_invalid_param"})
    for number in (1, 2):
        with pytest.raises(Refused):
            client(tries=3).get_order(number)
    assert len(wire.calls) == 2


def test_a_key_that_the_shop_refuses_is_not_tried_again(wire: responses.RequestsMock) -> None:
    wire.get(f"{HTTPS}{API}orders", json={"code": "woocommerce_rest_authentication_error"}, status=401)
    with pytest.raises(Unauthorized):
        client(tries=3).status()
    assert len(wire.calls) == 1


# --- the circuit breaker -------------------------------------------------------------------------------------------


def test_after_several_failures_nothing_is_sent_for_a_while(wire: responses.RequestsMock) -> None:
    now = [0.0]
    breaker = Breaker("shop", failures=3, seconds=10, clock=lambda: now[0])
    one = client(breaker=breaker)
    wire.get(f"{HTTPS}{API}orders", status=503)
    for _ in range(5):
        with pytest.raises(Unavailable):
            one.status()
    assert len(wire.calls) == 3
    assert not breaker.ready
    now[0] = 4.0
    with pytest.raises(Unavailable) as caught:
        one.status()
    assert caught.value.retry_after == 6.0
    now[0] = 10.0
    assert breaker.ready
    with pytest.raises(Unavailable):
        one.status()  # the one that tries
    assert len(wire.calls) == 4
    with pytest.raises(Unavailable):
        one.status()
    assert len(wire.calls) == 4
    now[0] = 20.0
    wire.replace(responses.GET, f"{HTTPS}{API}orders", json=[])
    one.status()
    one.status()
    assert len(wire.calls) == 6


def test_while_it_tries_again_only_one_gets_through() -> None:
    now = [0.0]
    breaker = Breaker("shop", failures=1, seconds=10, clock=lambda: now[0])
    breaker.note(False)
    now[0] = 10.0
    passed: list[int] = []

    def enter(number: int) -> None:
        try:
            breaker.enter()
        except Unavailable:
            return
        passed.append(number)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 1


def test_answers_without_json_open_it_too(wire: responses.RequestsMock) -> None:
    wire.get(f"{HTTPS}{API}orders", body="<html>Maintenance</html>")
    one = client(breaker=Breaker("shop", failures=3))
    for _ in range(10):
        with pytest.raises(Unavailable):
            one.status()
    assert len(wire.calls) == 3


def test_refusals_do_not_open_it(wire: responses.RequestsMock) -> None:
    wire.get(f"{HTTPS}{API}orders/1", status=404, json=sample("order-404")["body"])
    one = client(breaker=Breaker("shop", failures=2))
    for _ in range(10):
        with pytest.raises(NotFound):
            one.get_order(1)
    assert len(wire.calls) == 10


def test_an_order_of_a_company_is_read_as_it_was_recorded(wire: responses.RequestsMock) -> None:
    """Three seats for a team; two of them were refunded, by the line, one after the other."""
    wire.get(f"{HTTPS}{API}orders/316", json=sample("order-of-a-company")["body"])
    order = client().get_order(316)
    (line,) = order.lines
    assert (order.buyer.company, order.buyer.customer_id, order.refunds) == ("Harbour & Daughters Ltd", 31, 2)
    assert (line.quantity, line.meta[FOR_WHOM_META]) == (3, "team"), "the quantity stays what was bought"


def test_whom_orders_were_billed_to_is_read_as_it_was_recorded(wire: responses.RequestsMock) -> None:
    """The number that the shop's purchase-order plugin kept comes along; what the shop does not have is left out."""
    wire.get(f"{HTTPS}{API}orders", json=sample("billed")["body"])
    told = client().billed("orders", [316, 326, 999999])
    assert query(wire.calls[0])["_fields"] == [sample("billed")["params"]["_fields"]]
    assert set(told) == {316, 326}
    assert told[316].address == ("Tess Keeper", "Quay 7", "1000 Brussels", "BE")
    assert told[316].date == datetime(2026, 11, 24, 11, 50, 45, tzinfo=UTC)
    assert {one.company for one in told.values()} == {"Harbour & Daughters Ltd"}
    assert (told[316].meta.get("_po_number"), told[326].meta.get("_po_number")) == ("PO-2026-0042", None)


# --- what is never written down --------------------------------------------------------------------------------------


def test_no_key_no_secret_no_signature_in_anything_that_is_said(
    shop: Shop, served: Served, caplog: pytest.LogCaptureFixture, wire_levels: None
) -> None:
    one = client(served.url, timeout=0.3)
    said: list[str] = []

    def attempt(call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception as err:
            said.append(f"{err!r} {err} {err.__cause__!r}")

    shop.faults.down(status=500, times=1)
    attempt(one.status)
    shop.faults.down(status=200, times=1)
    attempt(one.status)
    shop.faults.rate_limited(times=1)
    attempt(one.status)
    shop.faults.slow(1.0, times=1)
    attempt(one.status)
    attempt(lambda: one.get_order(404))
    attempt(lambda: one.add_order_note(404, "note"))
    attempt(lambda: client("http://127.0.0.1:9").status())
    attempt(lambda: WooClient(served.url, KEY, "wrong-SENSITIVE", Wire("shop", tries=1)).status())
    assert len(said) == 8
    everything = "\n".join(said) + caplog.text + "".join(str(record.args) for record in caplog.records)
    assert "SENSITIVE" not in everything
    assert "oauth_" not in everything
    assert "Basic " not in everything


@pytest.fixture
def wire_levels(logging_undone: None) -> None:
    """The level that :func:`bridge.logs.set_up` gives to urllib3, whatever the bridge's own."""
    logging.getLogger("urllib3").setLevel(logging.WARNING)


@pytest.mark.parametrize("form", ["json", "text"])
def test_at_its_most_talkative_the_bridge_writes_no_address(shop: Shop, served: Served, form: str) -> None:
    program = f"""
import logging
from bridge import logs
logs.set_up("debug", {form!r})
from bridge.http import Wire
from bridge.woo_client import WooClient
one = WooClient({served.url!r}, {KEY!r}, {SECRET!r}, Wire("shop", tries=2))
one.status()
for url in ({served.url!r}, "http://127.0.0.1:9"):
    try:
        WooClient(url, {KEY!r}, "wrong-SENSITIVE", Wire("shop", tries=2)).status()
    except Exception:
        logging.getLogger("bridge").exception("a call failed")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "a call failed" in done.stderr
    assert "SENSITIVE" not in done.stderr + done.stdout
    assert "oauth_" not in done.stderr + done.stdout


# --- lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "pages"), [(0, 1), (1, 1), (99, 1), (100, 2), (101, 2), (200, 3), (250, 3)])
def test_a_list_is_read_page_by_page_to_its_end(wire: responses.RequestsMock, rows: int, pages: int) -> None:
    def page(request: Any) -> tuple[int, dict[str, str], str]:
        asked = dict(parse_qsl(urlsplit(request.url).query))
        size, number = int(asked["per_page"]), int(asked["page"])
        shown = list(range(rows))[(number - 1) * size : number * size]
        link = f'<{request.url}&oauth_signature=x>; rel="next"'
        return 200, {"X-WP-Total": "0", "Link": link}, json.dumps([{"id": one} for one in shown])

    wire.add_callback(responses.GET, f"{HTTPS}{API}products", page)
    read = list(client().products_with_sku_like("totara-course-", "id"))
    assert [row["id"] for rows_ in read for row in rows_] == list(range(rows))
    assert all(page for page in read), "no empty page is given"
    assert len(wire.calls) == pages


def test_a_page_is_asked_for_only_when_it_is_wanted(wire: responses.RequestsMock) -> None:
    wire.get(f"{HTTPS}{API}products", json=[{"id": number} for number in range(PAGE)])
    pages = client().products_with_sku_like("x", "id")
    assert len(wire.calls) == 0
    next(pages)
    assert len(wire.calls) == 1


def test_products_are_found_by_sku_in_pieces_of_a_hundred(shop: Shop, served: Served) -> None:
    for number in range(120):
        shop.add_product(f"Course {number}", sku=f"totara-course-{number}", price="1.00")
    parent = shop.add_product("Variable", sku="totara-course-500", type="variable")
    shop.add_variation(parent, sku="totara-course-500-group")
    binned = shop.add_product("Binned", sku="totara-course-600")
    shop.delete_product(binned)
    one = client(served.url)
    found = list(one.products_by_sku(f"totara-course-{number}" for number in range(150)))
    assert sorted(row["sku"] for row in found) == sorted(f"totara-course-{number}" for number in range(120))
    assert [row["sku"] for row in one.products_by_sku(["totara-course-500-group"])] == ["totara-course-500-group"]
    assert list(one.products_by_sku(["totara-course-600"])) == []
    assert [row["id"] for row in one.products_by_sku(["totara-course-600"], status="trash")] == [binned]
    assert list(one.products_by_sku([])) == []


def test_products_are_found_by_id_in_pieces_of_a_hundred_and_in_any_status(shop: Shop, served: Served) -> None:
    ids = [shop.add_product(f"P{number}", status="draft" if number % 2 else "publish") for number in range(130)]
    found = list(client(served.url).products_by_id([*ids, 999_999]))
    assert sorted(row["id"] for row in found) == ids
    assert list(client(served.url).products_by_id([])) == []


def test_every_product_with_a_sku_of_ours_is_listed_once(shop: Shop, served: Served) -> None:
    for number in range(205):
        shop.add_product(f"Course {number}", sku=f"totara-course-{number}")
    shop.add_product("A book", sku="book-1")
    pages = list(client(served.url).products_with_sku_like("totara-course-", "id,sku,status"))
    assert [len(page) for page in pages] == [100, 100, 5]
    assert len({row["id"] for page in pages for row in page}) == 205
    assert {frozenset(row) for page in pages for row in page} == {frozenset({"id", "sku", "status"})}


# --- orders that changed ---------------------------------------------------------------------------------------------


def test_the_question_for_changed_orders_is_in_utc_without_a_z_and_says_so(wire: responses.RequestsMock) -> None:
    wire.get(f"{HTTPS}{API}orders", json=[])
    moment = datetime(2026, 11, 23, 7, 30, 59, 999999, tzinfo=UTC).astimezone(datetime.now().astimezone().tzinfo)
    list(client().orders_modified_after(moment))
    list(client().orders_modified_after(moment, binned=True))
    asked = {name: values[0] for name, values in query(wire.calls[0]).items()}
    assert asked == {
        "modified_after": "2026-11-23T07:30:59",
        "dates_are_gmt": "true",
        "orderby": "modified",
        "order": "asc",
        "per_page": "100",
        "page": "1",
        "_fields": "id,date_modified_gmt",
    }
    assert {name: values[0] for name, values in query(wire.calls[1]).items()} == asked | {"status": "trash"}


def busy_shop(orders: int, every: float) -> tuple[Shop, Clock, list[int]]:
    """A shop in New York with many orders, one every so many seconds."""
    clock = Clock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp())
    shop = Shop(consumer_key=KEY, consumer_secret=SECRET, now=clock)
    placed = []
    for _ in range(orders):
        placed.append(shop.place_order([], email="x@y.test"))
        clock.now += every
    return shop, clock, placed


@pytest.mark.parametrize("every", [1.0, 0.1, 7.0])
def test_no_changed_order_is_missed_while_orders_move(every: float) -> None:
    shop, clock, placed = busy_shop(250, every)
    since = datetime(2026, 11, 23, 11, 59, tzinfo=UTC)
    with Served(shop.app) as served:
        seen: list[int] = []
        last = since
        for number, page in enumerate(client(served.url).orders_modified_after(since)):
            for order, moment in page:
                seen.append(order)
                assert moment >= last
            last = page[-1][1] - timedelta(seconds=1)
            # While we look at this page, orders of this one and of later ones are changed: they go to the end.
            if number < 3:
                clock.now += 5
                for order in (
                    placed[number * 20 : number * 20 + 20] + placed[150 + number * 10 : 150 + number * 10 + 10]
                ):
                    shop.set_status(order, "on-hold")
    assert set(seen) == set(placed)
    assert len(seen) < 3 * len(placed)


def test_no_order_is_missed_when_more_than_a_page_changed_in_one_second() -> None:
    shop, clock, placed = busy_shop(50, 1.0)
    for _ in range(230):
        placed.append(shop.place_order([], email="x@y.test"))
    clock.now += 1
    placed.append(shop.place_order([], email="x@y.test"))
    with Served(shop.app) as served:
        pages = list(client(served.url).orders_modified_after(datetime(2026, 11, 23, 11, 59, tzinfo=UTC)))
    assert {order for page in pages for order, _ in page} == set(placed)
    assert len(pages) < 10


def test_only_what_changed_after_the_moment_is_given() -> None:
    shop, _, placed = busy_shop(10, 10.0)
    with Served(shop.app) as served:
        one = client(served.url)
        moment = datetime(2026, 11, 23, 12, 0, 50, tzinfo=UTC)
        assert [order for page in one.orders_modified_after(moment) for order, _ in page] == placed[6:]
        in_tokyo = moment.astimezone(datetime.fromisoformat("2026-01-01T00:00+09:00").tzinfo)
        assert [order for page in one.orders_modified_after(in_tokyo) for order, _ in page] == placed[6:]
        assert list(one.orders_modified_after(datetime(2027, 1, 1, tzinfo=UTC))) == []


def test_orders_in_the_bin_are_asked_for_on_their_own() -> None:
    shop, _, placed = busy_shop(5, 1.0)
    shop.trash_order(placed[2])
    since = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
    with Served(shop.app) as served:
        one = client(served.url)
        assert placed[2] not in {order for page in one.orders_modified_after(since) for order, _ in page}
        assert [order for page in one.orders_modified_after(since, binned=True) for order, _ in page] == [placed[2]]


# --- single things ---------------------------------------------------------------------------------------------------


def test_an_order_is_read_as_it_is_now(shop: Shop, served: Served) -> None:
    product = shop.add_product("Course 7", sku="totara-course-7", price="10.00")
    number = shop.place_order([(product, 3)], email="Mia@Guest.test", first_name="Mia", last_name="Guest")
    order = client(served.url).get_order(number)
    assert (order.id, order.status) == (number, "processing")
    assert order.buyer == Buyer(0, "Mia@Guest.test", "Mia", "Guest")
    (line,) = order.lines
    assert (line.product_id, line.variation_id, line.quantity, line.sku) == (product, 0, 3, "totara-course-7")
    assert order.paid_at is not None
    assert order.paid_at.tzinfo is UTC
    with pytest.raises(NotFound) as caught:
        client(served.url).get_order(999)
    assert caught.value.code == "woocommerce_rest_shop_order_invalid_id"


def test_a_shop_without_the_plugin_has_no_subscriptions(shop: Shop, served: Served) -> None:
    number = shop.place_order([], email="x@y.test")
    assert client(served.url).subscriptions(number) is None


def test_the_subscriptions_of_an_order_are_read() -> None:
    shop = Shop(consumer_key=KEY, consumer_secret=SECRET, subscriptions=True)
    number = shop.place_order([], email="x@y.test")
    subscription = shop.subscribe(number)
    with Served(shop.app) as served:
        one = client(served.url)
        assert [found.id for found in one.subscriptions(number) or ()] == [subscription]
        with pytest.raises(NotFound):
            one.subscriptions(999)


def test_refunds_are_read_with_their_lines(shop: Shop, served: Served) -> None:
    product = shop.add_product("Course 7", sku="totara-course-7", price="10.00")
    number = shop.place_order([(product, 3)], email="x@y.test")
    line = client(served.url).get_order(number).lines[0].id
    shop.refund(number, "10.00", {line: 1})
    (refund,) = client(served.url).refunds(number)
    assert (refund.amount, refund.units) == ("10.00", {line: 1})


def test_a_customer_is_found_or_not(shop: Shop, served: Served) -> None:
    number = shop.add_customer("Mia@Guest.test", "Mia", "Guest")
    one = client(served.url)
    assert one.find_customer(number) == Buyer(number, "Mia@Guest.test", "Mia", "Guest")
    assert one.find_customer(987) is None


def test_meta_is_set_by_key_and_the_rest_stays(shop: Shop, served: Served) -> None:
    number = shop.place_order([], email="x@y.test")
    before = {row["key"] for row in shop.show_order(number)["meta_data"]}
    one = client(served.url)
    one.set_order_meta(number, {"_bridge_access": "waiting"})
    one.set_order_meta(number, {"_bridge_access": "ready"})
    meta = [(row["key"], row["value"]) for row in shop.show_order(number)["meta_data"]]
    assert meta.count(("_bridge_access", "ready")) == 1
    assert before <= {key for key, _ in meta}
    assert ("_bridge_access", "waiting") not in meta


def test_notes_are_private(wire: responses.RequestsMock) -> None:
    wire.post(f"{HTTPS}{API}orders/1/notes", json={"id": 1}, status=201)
    client().add_order_note(1, "Access – ready")
    assert json.loads(wire.calls[0].request.body or b"") == {"note": "Access – ready", "customer_note": False}


# --- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("create", "update"), [(101, 0), (0, 101), (60, 41)])
def test_a_batch_of_more_than_a_hundred_is_never_sent(wire: responses.RequestsMock, create: int, update: int) -> None:
    with pytest.raises(ValueError, match="a batch takes 100"):
        client().batch_products([{"name": "x"}] * create, [{"id": 1}] * update)
    assert len(wire.calls) == 0


def test_a_batch_of_a_hundred_is_one_call(shop: Shop, served: Served) -> None:
    made, changed = client(served.url).batch_products([{"name": f"P{number}"} for number in range(100)])
    assert len({row["id"] for row in made if isinstance(row, dict)}) == 100
    assert changed == []
    assert shop.requests == ["POST /wp-json/wc/v3/products/batch"]


def test_a_recorded_batch_tells_for_each_item_what_became_of_it(wire: responses.RequestsMock) -> None:
    recorded = sample("batch-errors")
    wire.post(f"{HTTPS}{API}products/batch", json=recorded["body"], status=recorded["status"])
    (created,), (updated,) = client().batch_products([{"sku": "TOT-101-1"}], [{"id": 999999}])
    assert isinstance(created, Refused)
    assert (created.code, created.data["resource_id"]) == ("product_invalid_sku", 10)
    assert isinstance(updated, Refused)
    assert updated.code == "woocommerce_rest_product_invalid_id"


def test_a_batch_s_error_that_brings_text_for_data_is_a_refusal_like_any_other(wire: responses.RequestsMock) -> None:
    error = {"code": "x", "message": "m", "data": "text"}
    wire.post(f"{HTTPS}{API}products/batch", json={"create": [{"id": 0, "error": error}]})
    (created,), changed = client().batch_products([{}])
    assert isinstance(created, Refused)
    assert created.code == "x"
    assert changed == []


def test_good_and_bad_items_of_a_batch_keep_their_places(shop: Shop, served: Served) -> None:
    taken = shop.add_product("Taken", sku="totara-course-1")
    created, updated = client(served.url).batch_products(
        [{"name": "A", "sku": "totara-course-2"}, {"name": "B", "sku": "totara-course-1"}, {"name": "C"}],
        [{"id": 424242, "name": "nobody"}, {"id": taken, "name": "Renamed"}],
    )
    assert [isinstance(outcome, Refused) for outcome in created] == [False, True, False]
    assert isinstance(created[1], Refused)
    assert created[1].data["resource_id"] == taken
    assert [isinstance(outcome, Refused) for outcome in updated] == [True, False]
    assert shop.show_product(taken)["name"] == "Renamed"


@pytest.mark.parametrize("body", [{}, {"create": []}, {"create": None}, {"create": [{"id": 1}, {"id": 2}]}])
def test_a_batch_that_answers_for_another_number_of_items_is_not_believed(
    wire: responses.RequestsMock, body: Any
) -> None:
    wire.post(f"{HTTPS}{API}products/batch", json=body)
    with pytest.raises(Unavailable, match="another number of products"):
        client().batch_products([{"name": "x"}])


def test_an_empty_part_of_a_batch_may_be_left_out_of_the_answer(wire: responses.RequestsMock) -> None:
    wire.post(f"{HTTPS}{API}products/batch", json={"update": [{"id": 1}]})
    assert client().batch_products([], [{"id": 1}]) == ([], [{"id": 1}])


# --- categories and webhooks -----------------------------------------------------------------------------------------


def test_a_category_is_made_once_and_found_again(shop: Shop, served: Served) -> None:
    one = client(served.url)
    top = one.ensure_category("Trade & customs", 0)
    assert one.ensure_category("Trade & customs", 0) == top
    below = one.ensure_category("Trade & customs", top)
    assert below != top
    one.rename_category(below, "Origin", top)
    with pytest.raises(NotFound):
        one.rename_category(99999, "Origin", 0)


def test_a_webhook_is_made_listed_changed_and_removed(shop: Shop, served: Served) -> None:
    one = client(served.url)
    row = one.create_webhook(
        name="Bridge", topic="order.updated", url=f"{served.url}/nobody", secret="0123456789abcdef"
    )
    assert row["status"] == "active"
    one.update_webhook(row["id"], status="paused")
    assert [(hook["id"], hook["topic"], hook["status"]) for hook in one.webhooks()] == [
        (row["id"], "order.updated", "paused")
    ]
    assert "0123456789abcdef" not in json.dumps(one.webhooks())
    one.delete_webhook(row["id"])
    assert one.webhooks() == []


def test_a_topic_that_the_shop_swallowed_is_told(wire: responses.RequestsMock) -> None:
    wire.post(f"{HTTPS}{API}webhooks", json={"id": 1, "topic": ""}, status=201)
    with pytest.raises(Refused, match=r"does not know the topic order\.nonsense"):
        client().create_webhook(name="a", topic="order.nonsense", url="https://b", secret="c")


# --- reading rows ----------------------------------------------------------------------------------------------------


def recorded_orders() -> list[tuple[str, dict[str, Any]]]:
    """Every recorded order: answers of REST, lists of them, and bodies of deliveries."""
    found: list[tuple[str, dict[str, Any]]] = []
    for path in sorted([*REST.glob("*order*.json"), *DELIVERIES.glob("order.*.json")]):
        recorded = json.loads(path.read_text(encoding="utf-8"))
        body = recorded.get("body", recorded.get("body_json"))
        rows = body if isinstance(body, list) else [body]
        found += [(f"{path.stem}-{row['id']}", row) for row in rows if isinstance(row, dict) and "billing" in row]
    return found


def test_there_are_recorded_orders_of_every_kind() -> None:
    rows = [row for _, row in recorded_orders()]
    assert len(rows) > 60
    assert {row["status"] for row in rows} >= {
        "pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "trash",
    }  # fmt: skip
    lines = [line for row in rows for line in row["line_items"]]
    assert any(line["variation_id"] for line in lines)
    assert any(row["date_paid_gmt"] is None for row in rows)
    assert any(row["customer_id"] for row in rows)


@pytest.mark.parametrize(("name", "row"), recorded_orders(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_recorded_order_is_read(name: str, row: dict[str, Any]) -> None:
    order = read_order(row)
    assert (order.id, order.status, order.payment_method) == (row["id"], row["status"], row["payment_method"])
    assert order.buyer.customer_id == row["customer_id"]
    assert order.buyer.email == row["billing"]["email"]
    assert order.modified.isoformat() == f"{row['date_modified_gmt']}+00:00"
    assert (order.paid_at is None) is (row["date_paid_gmt"] is None)
    assert [(line.id, line.product_id, line.variation_id, line.quantity, line.name) for line in order.lines] == [
        (one["id"], one["product_id"], one["variation_id"], one["quantity"], one["name"]) for one in row["line_items"]
    ]
    for line, one in zip(order.lines, row["line_items"], strict=True):
        assert line.sku == (one["sku"] or "")


def test_a_line_of_a_deleted_product_keeps_its_name(shop: Shop, served: Served) -> None:
    product = shop.add_product("Course 7", sku="totara-course-7", price="10.00")
    number = shop.place_order([(product, 2)], email="x@y.test")
    shop.delete_product(product, force=True)
    raw = shop.show_order(number)["line_items"][0]
    assert (raw["product_id"], raw["sku"]) == (0, None)
    (line,) = client(served.url).get_order(number).lines
    assert (line.name, line.product_id, line.sku, line.quantity) == ("Course 7", 0, "", 2)


def order_row(**fields: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "id": 1,
        "status": "processing",
        "line_items": [],
        "date_modified_gmt": "2026-11-23T12:00:00",
    }
    return usual | fields


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"billing": None, "customer_id": None, "payment_method": None, "date_paid_gmt": ""},
        {"billing": {"email": None, "first_name": None}, "customer_id": 0},
        {"billing": []},
        {"line_items": [{"id": 1}]},
        {
            "line_items": [
                {"id": 1, "product_id": None, "variation_id": None, "quantity": None, "sku": None, "name": None}
            ]
        },
    ],
)
def test_what_may_be_absent_or_null_is_nothing(fields: dict[str, Any]) -> None:
    order = read_order(order_row(**fields))
    assert order.buyer == Buyer(0, "")
    assert order.paid_at is None
    assert all((line.product_id, line.quantity, line.sku, line.name) == (0, 0, "", "") for line in order.lines)


def test_an_order_without_the_date_of_a_change_has_that_of_its_making() -> None:
    order = read_order(order_row(date_modified_gmt=None, date_created_gmt="2026-11-01T00:00:00"))
    assert order.modified == datetime(2026, 11, 1, tzinfo=UTC)
    with pytest.raises(Unavailable, match="order 1 without a date"):
        read_order(order_row(date_modified_gmt=None))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T14:39:14", datetime(2026, 11, 23, 14, 39, 14, tzinfo=UTC)),
        ("", None),
        (None, None),
    ],
)
def test_a_gmt_date_is_utc(text: str | None, moment: datetime | None) -> None:
    assert read_moment(text) == moment


def test_a_client_is_made_without_a_network_or_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *question, **_: asked.append(question))
    monkeypatch.setattr(socket, "socket", lambda *question, **_: asked.append(question))
    WooClient("https://nobody.invalid", KEY, SECRET, Wire("shop"))
    assert asked == []


def test_what_was_asked_is_counted_without_ids(served: Served, shop: Shop) -> None:
    order = shop.place_order([], email="x@y.test")
    client(served.url).get_order(order)
    text = generate_latest().decode()
    assert 'bridge_calls_seconds_count{call="order",outcome="answered",system="shop"}' in text
    assert "orders/" not in text


def test_the_served_shop_is_a_wsgi_application(shop: Shop) -> None:
    """The peer of these tests refuses what a real shop refuses: an unsigned call."""
    answer = Request.from_values(f"{API}orders", "http://x.test").environ
    assert answer["REQUEST_METHOD"] == "GET"
    assert shop.app.test_client().get(f"{API}orders").status_code == 401
