"""Odd answers, odd settings, odd moments: each of these once went wrong."""

from __future__ import annotations

import json
import logging
import socket
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import responses

from bridge.domain.catalogue import Listed, Rule, Rules, course_of
from bridge.domain.texts import clean_html, one_language
from bridge.errors import ConfigError, Refused, Unauthorized, Unavailable, Unsupported
from bridge.totara_client import judge_gql
from bridge.webhooks import MOST_BYTES, Secrets, order_of
from tests import test_domain_catalogue as C
from tests import test_settings as S
from tests import test_totara_client as T
from tests import test_webhooks as H
from tests import test_woo_client as W
from tests.test_settings import nowhere
from tests.test_totara_client import make, wire
from tests.test_webhooks import receiver
from tests.test_work_engine import clock, must, row, work
from tests.world import SECRET


@pytest.mark.parametrize("body", ['{"code":"rest_no_route","data":{"status":404}}', '{"error":"not found"}', "", "[]"])
def test_only_the_shop_s_own_word_says_that_an_order_is_gone(wire, body):
    wire.get(f"{W.HTTPS}{W.API}orders/1", body=body, status=404)
    with pytest.raises(Unavailable):
        W.client().get_order(1)


@pytest.mark.parametrize("body", ["[]", "null", "{}", '"x"', '{"id":1}'])
def test_what_is_no_order_is_unavailable(wire, body):
    wire.get(f"{W.HTTPS}{W.API}orders/1", body=body)
    with pytest.raises(Unavailable):
        W.client().get_order(1)


@pytest.mark.parametrize("body", ['{"a":1}', "null"])
def test_changed_orders_without_a_list(wire, body):
    wire.get(f"{W.HTTPS}{W.API}orders", body=body)
    with pytest.raises(Unavailable):
        list(W.client().orders_modified_after(datetime(2026, 1, 1, tzinfo=UTC)))


def test_batch_error_data_text(wire):
    wire.post(
        f"{W.HTTPS}{W.API}products/batch",
        json={"create": [{"id": 0, "error": {"code": "x", "message": "m", "data": "text"}}]},
    )
    (one,), _ = W.client().batch_products([{}])
    assert isinstance(one, Refused)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("body", ["", "<html>Moved</html>"])
def test_a_redirect_names_the_setting_to_mend(wire, status, body):
    wire.get(f"{W.HTTPS}{W.API}orders/1", status=status, headers={"Location": "https://elsewhere.example/"}, body=body)
    with pytest.raises(Unavailable, match="final"):
        W.client().get_order(1)


def test_credentials_that_are_refused_are_not_tried_again(wire):
    wire.get(f"{W.HTTPS}{W.API}orders", json={"code": "woocommerce_rest_authentication_error"}, status=401)
    with pytest.raises(Unauthorized):
        W.client(tries=3).status()
    assert len(wire.calls) == 1


def test_token_never_accepted_reading(wire):
    tokens = iter(range(100))
    wire.add_callback(
        responses.POST, T.TOKEN, lambda _: (200, {}, json.dumps({"access_token": f"t{next(tokens)}", "expires_in": 60}))
    )
    wire.post(T.API, json=T.sample("gql-bad-token")["response"])
    with pytest.raises(Unauthorized):
        T.client(tries=3)._query("op", "{ op }", {})
    assert len(wire.calls) == 4


def test_a_withdrawn_token_is_renewed_where_totara_tells_no_reasons(make):
    now = [1000.0]
    site = make(response_debug=0)
    one = site.client(clock=lambda: now[0])
    T.status(one)
    site.totara.revoke_tokens()
    now[0] += 120
    T.status(one)
    assert site.calls("token") == 2
    with pytest.raises(Refused):
        one._gql(
            "core_user_create_user",
            "mutation($i: core_user_create_user_input!) { core_user_create_user(input: $i) { user { id username } } }",
            {"i": {"username": "A", "email": "a@b.co", "firstname": "a", "lastname": "b", "password": "Aa1!aaaaaaaa"}},
        )
    assert site.calls("token") == 2


def test_a_category_without_its_parent_is_not_taken_for_the_top(wire):
    wire.post(T.TOKEN, json={"access_token": "t", "expires_in": 60})
    item = {"id": "2", "category": {"id": "5", "name": "Covert"}}
    wire.post(
        T.API,
        json={
            "data": {
                "core_course_courses": {"items": [item], "next_cursor": ""},
                "totara_webapi_status": {"status": "ok"},
            }
        },
    )
    with pytest.raises(Unsupported):
        T.client(ws_token="").tree()


def test_an_account_for_a_tenant_is_never_made_on_the_site(make):
    site = make(graphql=False)
    with pytest.raises(Unsupported):
        site.client(tenant="academy").create_account(T.NEW)
    assert site.totara.user_by_email("mia@guest.test") is None


def test_strange_ws(wire):
    wire.post(
        T.WS,
        body='{"functions": [{"name":"core_enrol_get_users_courses"},{"name":"core_completion_get_course_completion_status"}]}',  # noqa: E501
    )
    one = T.client(client_id="", client_secret="")
    one.capabilities()
    wire.replace(responses.POST, T.WS, body="null")
    with pytest.raises(Unsupported):
        one.reachable_courses(1, [2])
    assert one.completed(1, 2) is None


def test_errors_dict():
    with pytest.raises(Refused):
        judge_gql("op", {"errors": {"message": "x"}})


def test_expires(wire):
    wire.post(T.TOKEN, json={"access_token": "t", "expires_in": "soon"})
    wire.post(T.API, json={"data": {"op": 1}})
    assert T.client()._gql("op", "{ op }", {}) == 1


def test_two_first_deliveries_under_a_kept_secret_are_both_taken():
    reading, go_on = threading.Event(), threading.Event()

    def read():
        reading.set()
        go_on.wait(10)
        return ["made-by-the-bridge"]

    secrets = Secrets([SECRET], read)
    first = threading.Thread(target=secrets.verify, args=(b"x", H.signature(b"x", "made-by-the-bridge")))
    first.start()
    reading.wait(10)
    threading.Timer(0.2, go_on.set).start()
    secrets.verify(b"y", H.signature(b"y", "made-by-the-bridge"))
    first.join()


def test_after_a_database_outage():
    answers: list[Any] = [Unavailable("gone", system="database"), ["made-by-the-bridge"]]

    def read():
        a = answers.pop(0)
        if isinstance(a, Exception):
            raise a
        return a

    secrets = Secrets([SECRET], read)
    with pytest.raises(Unavailable):
        secrets.verify(b"x", H.signature(b"x", "made-by-the-bridge"))
    secrets.verify(b"x", H.signature(b"x", "made-by-the-bridge"))


def test_deep():
    assert order_of("order.updated", b"[" * 500000) is None


def test_chunked_413(receiver):
    import io

    body = H.padded(MOST_BYTES + 1)
    a = receiver.web.post(
        H.PATH,
        input_stream=io.BytesIO(body),
        headers=H.headers("order.updated", body) | {"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert a.status_code == 413


def test_brackets_in_a_pattern_mean_brackets():
    rules = Rules(allow=[Rule(shortname="*")], deny=[Rule(shortname="[restricted] *")])
    assert rules.judge(C.course(shortname="[Restricted] Risk"), C.TREE).denied
    assert Rule(shortname="[ab]").matches(C.course(shortname="a"), C.TREE) is False


def test_held_status():
    c = C.plan(C.PRICED, C.known(C.PRICED, retired=True, held=frozenset({"status"})), Listed(5, "draft"))
    assert "status" not in c.fields


def test_zero():
    assert course_of("totara-course-0") is None


def test_lost_text():
    t = '<span lang="en" class="multilang">A</span> text <span lang="en" class="multilang">B</span><span lang="fr" class="multilang">C</span>'  # noqa: E501
    assert one_language(t, "en").endswith(" text B")


def test_word():
    t = '<p><span lang="EN-GB">Part one</span><span lang="EN-GB"> part two</span></p>'
    assert one_language(t, "en") == t


@pytest.mark.timeout(20)
def test_time():
    for t in (('<span lang="en" class="multilang">A</span>x') * 8000,):
        one_language(t, "fr")


def test_bad_json():
    ps = S.problems_of({"BRIDGE_CATALOGUE_ALLOW": "nonsense", "BRIDGE_SHOP_LANGUAGE": "fr"})
    assert any(p.startswith("shop.url") for p in ps) and any(p.startswith("BRIDGE_CATALOGUE_ALLOW") for p in ps)


def test_int_url(nowhere):
    e = {k: v for k, v in S.NEEDED.items() if k != "BRIDGE_DATABASE_URL"}
    (p,) = S.problems_of(e, S.written(nowhere, "[database]\nurl = 5\n"))
    assert p.startswith("database.url")


def test_price():
    (p,) = S.problems_of(S.NEEDED | {"BRIDGE_CATALOGUE_PRICES": '[{"shortname":"*","price":"١٢"}]'})
    assert "is not a price" in p


def test_a_lease_lost_to_the_same_process_is_lost(work, clock):
    work.mark_due("order", 1)
    lost = must(work.claim(["order"]))
    clock.pass_seconds(61)
    mine = must(work.claim(["order"]))
    assert work.settle(lost) is False
    work.renew([lost])
    assert work.settle(mine) is True


def test_header_parse(caplog):
    import subprocess
    import sys

    srv = socket.socket()
    srv.bind(("127.0.0.1", 0))
    srv.listen()

    def serve():
        c, _ = srv.accept()
        c.recv(65536)
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nBroken header without colon\r\nX: y\r\n\r\n[]")
        c.close()

    t = threading.Thread(target=serve)
    t.start()
    p = f"""
from bridge import logs
logs.set_up("debug", "json")
from bridge.http import Wire
from bridge.woo_client import WooClient
try: WooClient("http://127.0.0.1:{srv.getsockname()[1]}", "ck_SENSITIVE", "cs", Wire("shop", tries=1)).status()
except Exception: pass
"""
    d = subprocess.run([sys.executable, "-c", p], capture_output=True, text=True)
    t.join()
    srv.close()
    assert "SENSITIVE" not in d.stderr, d.stderr


def test_while_woocommerce_is_switched_off_nobody_loses_access(make_world):
    world = make_world()
    gone = {"code": "rest_no_route", "message": "No route was found.", "data": {"status": 404}}
    off: list[bool] = []
    world.shop.app.before_request_funcs.setdefault(None, []).append(lambda: (gone, 404) if off else None)
    course = world.course("FIRE101")
    order = world.shop.place_order([(world.sell(course), 1)], email="mia@guest.test", first_name="M", last_name="G")
    world.owe("order", order)
    world.settle()
    assert world.access() == {("mia@guest.test", course): "active"}
    off.append(True)  # an update of WooCommerce is under way
    world.owe("order", order)
    world.settle()
    assert world.access() == {("mia@guest.test", course): "active"}
