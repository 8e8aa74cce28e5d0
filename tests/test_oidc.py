"""The OpenID provider, asked as Totara's own plugin asks, and as somebody would who means harm. On both databases."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from werkzeug.test import Client, TestResponse

from bridge.sso import origin_of
from bridge.store import people
from tests.world import World

EXCHANGE = Path(__file__).parent / "samples" / "totara" / "oidc-exchange.jsonl"
CLIENT, CLIENT_SECRET = "totara", "a-client-secret-of-32-signs-or-more"
SHOP_SECRET = "shared-with-the-shops-plugin-0123456789"
SSO = {"shop_secrets": [SHOP_SECRET], "way": "oauth2", "client_id": CLIENT, "client_secret": CLIENT_SECRET}
STATE = "/auth/oauth2/login.php?wantsurl=http%3A%2F%2Ftotara.test%2Fcourse%2Fview.php%3Fid%3D2&sesskey=uba45fdL40&id=1"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636, appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


class Site:
    """A world in which Totara and the shop's plugin are those of its bridge."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.bridge.keys.first()
        self.shop_url, self.totara_url = (served.url for served in world.served)
        self.issuer = world.bridge.settings.server.public_url
        self.callback = f"{self.totara_url}/admin/oauth2callback.php"
        self.course = world.course("HS1")
        self.product = world.sell(self.course)

    def customer(self, email: str, *, buys: bool = True) -> int:
        customer = self.world.shop.add_customer(email, "Nia", "Trader")
        if buys:
            self.world.look(self.world.shop.place_order([(self.product, 1)], customer_id=customer))
        return customer

    def account(self, email: str) -> Any:
        return self.world.totara.users[self.world.user(email)]

    def browser(self) -> Client:
        return Client(self.world.web.application)

    def launch(self, browser: Client, customer: int, target: str = "home") -> TestResponse:
        """Come from the shop, as its plugin sends a customer."""
        now = int(self.world.clock())
        claims = {"iss": self.shop_url, "aud": self.issuer, "iat": now, "exp": now + 60, "jti": secrets.token_hex(16)}
        claims |= {"sub": str(customer), "email": "shown@trader.test", "email_verified": True, "target": target}
        token = jwt.encode(claims, SHOP_SECRET, algorithm="HS256", headers={"typ": "launch+jwt"})
        return browser.post("/sso/launch", data={"token": token}, headers={"Origin": origin_of(self.shop_url)})

    def signed_in(self, email: str = "nia@trader.test") -> Client:
        browser = self.browser()
        assert self.launch(browser, self.customer(email)).status_code == 303
        return browser

    def authorize(self, browser: Client, **changes: str | None) -> TestResponse:
        asked = {
            "client_id": CLIENT,
            "response_type": "code",
            "redirect_uri": self.callback,
            "state": STATE,
            "scope": "openid profile email",
        } | changes
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return browser.get(f"/oidc/authorize?{query}")

    def code(self, browser: Client, **changes: str | None) -> str:
        return answer_of(self.authorize(browser, **changes), self.callback)["code"]

    def token(self, code: str, *, headers: dict[str, str] | None = None, **changes: Any) -> TestResponse:
        form = {
            "code": code,
            "grant_type": "authorization_code",
            "redirect_uri": self.callback,
            "client_id": CLIENT,
            "client_secret": CLIENT_SECRET,
        } | changes
        sent = {name: value for name, value in form.items() if value is not None}
        return self.browser().post("/oidc/token", data=sent, headers=headers)

    def userinfo(self, token: str) -> TestResponse:
        return self.browser().get("/oidc/userinfo", headers={"Authorization": f"Bearer {token}"})

    def refusals(self) -> list[str]:
        return [row.cause for row in self.world.rows("audit") if row.event == "sign-on refused"]


def answer_of(response: TestResponse, callback: str) -> dict[str, str]:
    """What a browser takes back to Totara's callback, and to nowhere else."""
    assert response.status_code == 303, response.text
    address, _, query = response.location.partition("?")
    assert address == callback
    assert len(response.headers.getlist("Location")) == 1
    pairs = parse_qsl(query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def goes_nowhere(response: TestResponse) -> bool:
    """Whether it is the page of a refusal."""
    plain = response.status_code in (400, 403) and response.mimetype == "text/html"
    return plain and "Location" not in response.headers and "you were not signed in" in response.text


def same_page(one: TestResponse, other: TestResponse) -> bool:
    """Whether two browsers are told the same."""
    return re.sub(r'nonce="[^"]+"', "", one.text) == re.sub(r'nonce="[^"]+"', "", other.text)


@pytest.fixture
def site(make_world: Callable[..., World]) -> Site:
    return Site(make_world(sso=SSO))


# --- what Totara does ------------------------------------------------------------------------------------------------


def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in EXCHANGE.read_text(encoding="utf-8").splitlines()]


def test_the_recorded_exchange_of_a_real_totara_is_answered_as_it_needs(site: Site) -> None:
    """Every request that a Totara 17.3 sent, with its own site's address, code and secret put in."""
    nia, mia = site.signed_in("nia@trader.test"), site.signed_in("mia@trader.test")
    names = [site.account(f"{who}@trader.test").username for who in ("nia", "mia")]
    code = access = ""
    states, seen = [], []
    for turn, sent in enumerate(recorded()):
        path = sent["p"].replace(quote("http://127.0.0.1:8082", safe=""), quote(site.totara_url, safe=""))
        headers = {name: sent[key] for name, key in (("Accept", "accept"), ("User-Agent", "ua")) if sent[key]}
        if path.startswith("/authorize?"):
            answer = (nia, mia)[turn % 2].get(f"/oidc{path}", headers=headers)
            told = answer_of(answer, site.callback)
            assert told.keys() == {"code", "state"}
            assert told["state"] == parse_qs(urlsplit(path).query)["state"][0]
            code = told["code"]
            states.append(told["state"])
        elif path == "/token":
            form = dict(parse_qsl(sent["body"])) | {"code": code, "client_secret": CLIENT_SECRET}
            form["redirect_uri"] = form["redirect_uri"].replace("http://127.0.0.1:8082", site.totara_url)
            body = urlencode(form)
            answer = site.browser().post("/oidc/token", data=body, content_type=sent["ct"], headers=headers)
            assert (answer.status_code, answer.mimetype) == (200, "application/json")
            assert answer.headers["Cache-Control"] == "no-store"
            told = answer.get_json()
            assert told["token_type"] == "Bearer"
            assert 0 < told["expires_in"] <= 10
            access = told["access_token"]
        else:
            assert path == "/userinfo"
            answer = site.browser().get("/oidc/userinfo", headers={**headers, "Authorization": f"Bearer {access}"})
            assert (answer.status_code, answer.mimetype) == (200, "application/json")
            seen.append(answer.get_json()["sub"])
    assert len(states) == 13
    assert set(seen) == set(names)
    assert site.refusals() == []


def test_that_totara_was_told_is_written_down_once_for_each_code(site: Site) -> None:
    code = site.code(site.signed_in())
    assert site.token(code).status_code == 200
    assert site.token(code).status_code == 400
    assert site.token(site.code(site.signed_in("moe@trader.test")), redirect_uri="x").status_code == 400
    written = [row for row in site.world.rows("audit") if row.event == "vouched for to Totara"]
    user = site.account("nia@trader.test").id
    person = jwt.decode(code, options={"verify_signature": False})["person"]
    assert [(row.cause, row.person_id, row.facts) for row in written] == [("by OAuth 2", person, {"user": user})]


def test_who_it_is_that_totara_is_told(site: Site) -> None:
    browser = site.signed_in()
    account = site.account("nia@trader.test")
    told = site.token(site.code(browser, nonce="n-0S6_WzA2Mj")).get_json()
    assert site.userinfo(told["access_token"]).get_json() == {
        "sub": account.username,
        "preferred_username": account.username,
        "email": "nia@trader.test",
        "email_verified": True,
        "given_name": "Nia",
        "family_name": "Trader",
    }
    keys = jwt.PyJWKSet.from_dict(browser.get("/.well-known/jwks.json").get_json())
    kid = jwt.get_unverified_header(told["id_token"])["kid"]
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(
        told["id_token"], keys[kid], algorithms=["RS256"], audience=CLIENT, issuer=site.issuer, options=options
    )
    assert (claims["sub"], claims["nonce"]) == (account.username, "n-0S6_WzA2Mj")
    assert set(told["scope"].split()) == {"openid", "profile", "email"}


def test_what_is_told_may_be_asked_by_post_too_and_is_kept_by_no_cache(site: Site) -> None:
    access = site.token(site.code(site.signed_in())).get_json()["access_token"]
    answer = site.browser().post("/oidc/userinfo", headers={"Authorization": f"bearer {access}"})
    assert answer.get_json()["email"] == "nia@trader.test"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_discovery_document_tells_what_is_so(site: Site) -> None:
    told = site.browser().get("/.well-known/openid-configuration").get_json()
    assert told["issuer"] == site.issuer
    endpoints = {name: url for name, url in told.items() if name.endswith("_endpoint")}
    assert endpoints == {
        "authorization_endpoint": f"{site.issuer}/oidc/authorize",
        "token_endpoint": f"{site.issuer}/oidc/token",
        "userinfo_endpoint": f"{site.issuer}/oidc/userinfo",
    }
    assert site.browser().get(urlsplit(told["jwks_uri"]).path).get_json()["keys"]
    assert told["response_types_supported"] == ["code"]
    assert told["subject_types_supported"] == ["public"]
    assert told["id_token_signing_alg_values_supported"] == ["RS256"]
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert set(told["token_endpoint_auth_methods_supported"]) == {"client_secret_post", "client_secret_basic"}
    assert told["request_uri_parameter_supported"] is False


def test_without_a_client_there_is_no_provider(make_world: Callable[..., World]) -> None:
    world = make_world(sso={"shop_secrets": [SHOP_SECRET]})
    for path in ("/.well-known/openid-configuration", "/oidc/authorize", "/oidc/userinfo"):
        assert world.web.get(path).status_code == 404
    assert world.web.post("/oidc/token").status_code == 404


# --- whose visit it is -----------------------------------------------------------------------------------------------


def test_who_is_not_signed_in_goes_by_the_shops_sign_in_and_comes_back(site: Site) -> None:
    browser, customer = site.browser(), site.customer("nia@trader.test")
    away = site.authorize(browser)
    assert away.status_code == 303
    assert away.location == f"{site.shop_url}/?academy_bridge=launch&target=resume"
    site.launch(browser, customer, "resume")
    back = browser.get("/sso/go")
    assert back.location.startswith("/oidc/authorize?")
    told = answer_of(browser.get(back.location), site.callback)
    assert told["state"] == STATE
    assert site.token(told["code"]).status_code == 200


def test_who_is_not_signed_in_and_must_not_be_asked_is_told_of_to_totara(site: Site) -> None:
    told = answer_of(site.authorize(site.browser(), prompt="none"), site.callback)
    assert (told["error"], told["state"]) == ("login_required", STATE)


def test_who_has_no_account_yet_is_told_the_truth_by_the_bridge(site: Site) -> None:
    browser = site.browser()
    site.launch(browser, site.customer("new@trader.test", buys=False))
    answer = site.authorize(browser)
    assert (answer.status_code, answer.location) == (303, "/sso/go")
    silent = answer_of(site.authorize(browser, prompt="none"), site.callback)
    assert silent["error"] == "interaction_required"


def suspended(site: Site) -> None:
    site.account("nia@trader.test").suspended = True


def renamed(site: Site) -> None:
    site.account("nia@trader.test").username = "admin2"


def deleted(site: Site) -> None:
    site.world.totara.delete_user(site.account("nia@trader.test"))


def hidden(site: Site) -> None:
    site.account("nia@trader.test").email = ""


@pytest.mark.parametrize("change", [suspended, renamed, deleted, hidden])
def test_an_account_that_cannot_be_used_is_opened_at_no_step(site: Site, change: Callable[[Site], None]) -> None:
    browser = site.signed_in()
    code, access = site.code(browser), site.token(site.code(browser)).get_json()["access_token"]
    assert site.userinfo(access).status_code == 200
    assert site.refusals() == []
    change(site)
    page = site.authorize(browser)
    assert (page.status_code, goes_nowhere(page)) == (403, True)
    assert same_page(page, site.authorize(browser, client_id="another")), "as everybody is told who is refused"
    assert answer_of(site.authorize(browser, prompt="none"), site.callback)["error"] == "access_denied"
    assert refused(site.token(code)) == (400, "invalid_grant")
    assert refused(site.userinfo(access)) == (401, "invalid_token")
    assert len(site.refusals()) == 5
    person, user = site.world.rows("accounts")[0].person_id, site.world.rows("accounts")[0].totara_id
    entries = [row for row in site.world.rows("audit") if row.event == "sign-on refused" and row.facts]
    assert len(entries) == 4
    assert all(entry.facts == {"person": person, "user": user} for entry in entries)


def test_an_account_renamed_between_the_token_and_the_question_is_not_told_of(site: Site) -> None:
    access = site.token(site.code(site.signed_in())).get_json()["access_token"]
    account = site.account("nia@trader.test")
    account.username = f"other-{account.username}"
    assert refused(site.userinfo(access)) == (401, "invalid_token")


def test_a_persons_code_opens_nothing_once_the_account_is_anothers(site: Site) -> None:
    code = site.code(site.signed_in())
    with site.world.bridge.store.begin() as connection:
        connection.exec_driver_sql("UPDATE accounts SET totara_id = 2")
    assert refused(site.token(code)) == (400, "invalid_grant")


def test_the_accounts_of_others_are_never_told_of(site: Site) -> None:
    """Somebody registers in the shop with an administrator's address: there is no account of theirs to tell of."""
    browser = site.browser()
    site.launch(browser, site.customer("admin@totara.example"))
    answer = site.authorize(browser)
    assert (answer.status_code, answer.location) == (303, "/sso/go")


@pytest.mark.parametrize("role", ["administrators", "staff"])
def test_an_account_that_became_staffs_is_not_told_of_where_totara_tells_so(site: Site, role: str) -> None:
    site.world.totara.has_plugin = True
    browser = site.signed_in()
    code, access = site.code(browser), site.token(site.code(browser)).get_json()["access_token"]
    getattr(site.world.totara, role).add(site.account("nia@trader.test").id)
    assert goes_nowhere(site.authorize(browser))
    assert refused(site.token(code)) == (400, "invalid_grant")
    assert refused(site.userinfo(access)) == (401, "invalid_token")
    assert site.refusals() == ["the account is an administrator's, or staff's"] * 3


def test_a_member_of_a_suspended_tenant_is_not_told_of_where_totara_tells_so(site: Site) -> None:
    """Totara's own OAuth 2 plugin lets them in (measured), so nobody but the bridge keeps them out."""
    totara = site.world.totara
    totara.has_plugin = True
    browser = site.signed_in()
    code, access = site.code(browser), site.token(site.code(browser)).get_json()["access_token"]
    tenant = totara.tenants[site.account("nia@trader.test").tenant]
    tenant.suspended = True
    assert goes_nowhere(site.authorize(browser))
    assert refused(site.token(code)) == (400, "invalid_grant")
    assert refused(site.userinfo(access)) == (401, "invalid_token")
    assert site.refusals() == ["the account's tenant is suspended"] * 3
    tenant.suspended = False
    assert site.userinfo(site.token(site.code(browser)).get_json()["access_token"]).status_code == 200


def test_a_linked_account_is_told_of_by_the_name_that_it_has(site: Site) -> None:
    browser = site.signed_in()
    user = site.world.totara.add_user("nia@old.test", username="nia.trader", tenant="academy")
    with site.world.bridge.store.begin() as connection:
        people.account_made(connection, 1, user, site.world.now(), linked=True)
    told = site.userinfo(site.token(site.code(browser)).get_json()["access_token"]).get_json()
    assert (told["sub"], told["email"]) == ("nia.trader", "nia@old.test")
    access = site.token(site.code(browser)).get_json()["access_token"]
    site.world.totara.users[user].username = "admin"
    site.world.totara.users[2].username = "was-admin"
    assert refused(site.userinfo(access)) == (401, "invalid_token")


@pytest.mark.parametrize("spelt", ["nia@trader.test", "Nia@Trader.TEST"])
def test_an_account_whose_address_another_has_too_is_not_told_of(site: Site, spelt: str) -> None:
    """Totara goes by the address when it links, and would open the other one if ours were unconfirmed there."""
    access = site.token(site.code(site.signed_in())).get_json()["access_token"]
    site.world.totara.add_user(spelt, username="an-administrator")
    assert refused(site.userinfo(access)) == (401, "invalid_token")
    assert site.refusals() == ["another account has the same address"]


def test_while_totara_cannot_be_asked_nobody_is_let_in_and_nobody_refused(site: Site) -> None:
    browser = site.signed_in()
    code, access = site.code(browser), site.token(site.code(browser)).get_json()["access_token"]
    site.world.served[1].stop()
    page = site.authorize(browser)
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    assert page.headers["Refresh"] == "5" and "does not answer just now" in page.text
    assert refused(site.token(code)) == (503, "temporarily_unavailable")
    assert refused(site.userinfo(access)) == (503, "temporarily_unavailable")
    assert site.refusals() == []


# --- where the browser is sent ---------------------------------------------------------------------------------------


def refused(response: TestResponse) -> tuple[int, str]:
    """How a question of Totara's was refused. No token is in it."""
    body = response.get_json()
    assert not body.keys() & {"access_token", "id_token", "sub", "email"}
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, body["error"]


ELSEWHERE = (
    "https://evil.test/admin/oauth2callback.php",
    "//evil.test/admin/oauth2callback.php",
    "{site}/admin/oauth2callback.php/",
    "{site}/admin/oauth2callback.php?x=1",
    "{site}/admin/oauth2callback.php#x",
    "{site}/admin/../admin/oauth2callback.php",
    "{site}/admin/oauth2callback.php%0d%0aLocation: https://evil.test",
    "{site}/admin/oauth2callback.php\r\nLocation: https://evil.test",
    "{site}/ADMIN/oauth2callback.php",
    "{site}@evil.test/admin/oauth2callback.php",
    "{site}.evil.test/admin/oauth2callback.php",
    "\\\\evil.test/admin/oauth2callback.php",
    "javascript:alert(1)",
    "/admin/oauth2callback.php",
    "{site}/auth/oauth2/login.php",
    " {site}/admin/oauth2callback.php",
    "",
)


@pytest.mark.parametrize("signed_in", [True, False])
def test_nobody_is_sent_anywhere_but_to_totaras_own_callback(site: Site, signed_in: bool) -> None:
    browser = site.signed_in() if signed_in else site.browser()
    for prompt in ("none", None):
        for address in ELSEWHERE:
            answer = site.authorize(browser, redirect_uri=address.format(site=site.totara_url), prompt=prompt)
            assert goes_nowhere(answer), address
            assert answer.status_code == 400
        assert goes_nowhere(site.authorize(browser, redirect_uri=None, prompt=prompt))
    assert set(site.refusals()) == {"another client than ours, or another address to go back to"}


@pytest.mark.parametrize("client", ["Totara", "totara ", "", None, "other"])
def test_another_client_is_sent_nowhere(site: Site, client: str | None) -> None:
    assert goes_nowhere(site.authorize(site.signed_in(), client_id=client))


def test_a_parameter_that_is_there_twice_is_sent_nowhere(site: Site) -> None:
    browser = site.signed_in()
    query = urlencode({"client_id": CLIENT, "response_type": "code", "scope": "openid", "redirect_uri": site.callback})
    for more in ("redirect_uri=https%3A%2F%2Fevil.test", f"redirect_uri={quote(site.callback)}", "client_id=totara"):
        assert goes_nowhere(browser.get(f"/oidc/authorize?{query}&{more}"))
        assert goes_nowhere(browser.get(f"/oidc/authorize?{more}&{query}"))


@pytest.mark.parametrize(
    "state",
    [
        "%0D%0ALocation%3A%20https%3A%2F%2Fevil.test%0D%0A%0D%0A",
        "%250d%250aSet-Cookie%253A%2520a%253Db",
        "a%26code%3Dstolen%26redirect_uri%3Dhttps%3A%2F%2Fevil.test",
        "%23fragment%3Fand%2Bplus%20space",
        "%E2%82%AC%FF%00",
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "",
    ],
)
@pytest.mark.parametrize("error", [True, False])
def test_the_state_goes_back_byte_for_byte_and_is_nothing_but_a_parameter(site: Site, state: str, error: bool) -> None:
    query = urlencode({"client_id": CLIENT, "response_type": "code", "scope": "openid", "redirect_uri": site.callback})
    browser = site.browser() if error else site.signed_in()
    answer = browser.get(f"/oidc/authorize?{query}&state={state}{'&prompt=none' if error else ''}")
    assert answer.status_code == 303
    assert answer.location.startswith(f"{site.callback}?")
    sent = parse_qs(f"state={state}", keep_blank_values=True, encoding="latin-1")["state"]
    told = parse_qs(urlsplit(answer.location).query, keep_blank_values=True, encoding="latin-1")
    assert told["state"] == sent
    assert told.keys() == ({"error", "error_description", "state"} if error else {"code", "state"})
    kept = [cookie.partition("=")[0] for cookie in answer.headers.getlist("Set-Cookie")]
    assert kept == ([] if error else ["bridge-last-in"])
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"scope": "profile email"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://evil.test/request"}, "request_uri_not_supported"),
        ({"prompt": "login"}, "login_required"),
        ({"nonce": "n" * 256}, "invalid_request"),
        ({"nonce": "a\r\nb"}, "invalid_request"),
        ({"code_challenge": CHALLENGE}, "invalid_request"),
        ({"code_challenge": CHALLENGE, "code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "=", "code_challenge_method": "S256"}, "invalid_request"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
    ],
)
def test_what_is_not_served_is_told_to_totara_by_the_protocols_word(
    site: Site, changes: dict[str, str | None], error: str
) -> None:
    told = answer_of(site.authorize(site.signed_in(), **changes), site.callback)
    assert (told["error"], told["state"]) == (error, STATE)
    assert "code" not in told


# --- codes -----------------------------------------------------------------------------------------------------------


def test_a_code_is_good_once(site: Site) -> None:
    code = site.code(site.signed_in())
    first = site.token(code).get_json()
    assert refused(site.token(code)) == (400, "invalid_grant")
    assert site.userinfo(first["access_token"]).status_code == 200
    site.world.clock.advance(seconds=11)
    assert refused(site.userinfo(first["access_token"])) == (401, "invalid_token")
    assert site.refusals() == ["a code: it was used before", "an access token: it has expired"]


def test_of_twenty_at_once_exactly_one_gets_in(site: Site) -> None:
    code = site.code(site.signed_in())
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: site.token(code), range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 19
    assert {refused(answer) for answer in answers if answer.status_code != 200} == {(400, "invalid_grant")}


def test_a_code_is_good_on_another_node_too_and_only_on_one(site: Site) -> None:
    code = site.code(site.signed_in())
    other = Client(site.world.new_bridge().web())
    form = {"code": code, "grant_type": "authorization_code", "redirect_uri": site.callback}
    form |= {"client_id": CLIENT, "client_secret": CLIENT_SECRET}
    assert other.post("/oidc/token", data=form).status_code == 200
    assert refused(site.token(code)) == (400, "invalid_grant")


def test_a_code_runs_out(site: Site) -> None:
    browser = site.signed_in()
    early, late = site.code(browser), site.code(browser)
    site.world.clock.advance(seconds=50)
    assert site.token(early).status_code == 200
    site.world.clock.advance(seconds=11)
    assert refused(site.token(late)) == (400, "invalid_grant")


def test_a_code_is_refused_in_other_hands_and_is_used_up_by_being_shown(site: Site) -> None:
    browser = site.signed_in()
    for changes in ({"redirect_uri": "https://evil.test/"}, {"redirect_uri": None}, {"code_verifier": VERIFIER}):
        code = site.code(browser)
        assert refused(site.token(code, **changes)) == (400, "invalid_grant")
        assert refused(site.token(code)) == (400, "invalid_grant")


def test_a_flipped_bit_anywhere_spoils_a_code(site: Site) -> None:
    code = site.code(site.signed_in())
    for place in range(0, len(code), 7):
        spoilt = code[:place] + ("A" if code[place] != "A" else "B") + code[place + 1 :]
        assert refused(site.token(spoilt)) == (400, "invalid_grant"), place
    last = chr(ord(code[-1]) + 1)
    assert refused(site.token(code[:-1] + last)) == (400, "invalid_grant")
    assert site.token(code).status_code == 200


def test_what_the_bridge_signs_for_one_purpose_is_taken_for_no_other(site: Site) -> None:
    browser = site.signed_in()
    told = site.token(site.code(browser)).get_json()
    provider = site.world.bridge.sign_on
    assert provider is not None
    visit = provider.visit(browser.get_cookie("bridge-visit").value)  # type: ignore[union-attr]
    assert visit is not None
    vouched = provider.site_token(visit, "0" * 32)
    assert vouched is not None
    site_token = vouched.token
    for other in (told["access_token"], told["id_token"], site_token):
        assert refused(site.token(other)) == (400, "invalid_grant")
    for other in (site.code(browser), told["id_token"], site_token, "", "a.b.c", "é"):
        assert refused(site.userinfo(other)) == (401, "invalid_token")
    # Nor by the right purpose's type alone, or its audience alone.
    keys, now = site.world.bridge.keys, int(site.world.clock())
    ours = jwt.decode(told["access_token"], options={"verify_signature": False})
    whole = {**ours, "iat": now, "exp": now + 9, "jti": "0" * 32}
    users, codes = f"{site.issuer}/oidc/userinfo", f"{site.issuer}/oidc/token"
    assert site.userinfo(keys.sign({**whole, "aud": users}, "at+jwt")).status_code == 200
    for aud, typ in ((users, "code+jwt"), (users, "JWT"), (codes, "at+jwt"), (codes, "JWT"), (CLIENT, "at+jwt")):
        assert refused(site.userinfo(keys.sign({**whole, "aud": aud}, typ))) == (401, "invalid_token")
        assert refused(site.token(keys.sign({**whole, "aud": aud}, typ))) == (400, "invalid_grant")


def test_what_others_sign_is_nothing(site: Site) -> None:
    browser = site.signed_in()
    code, access = site.code(browser), site.token(site.code(browser)).get_json()["access_token"]
    public = jwt.PyJWK(site.world.bridge.keys.current().public).key
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    for token, send, expected in (
        (code, site.token, (400, "invalid_grant")),
        (access, site.userinfo, (401, "invalid_token")),
    ):
        header = jwt.get_unverified_header(token)
        body = token.split(".")[1]
        forged = [f"{_part({**header, 'alg': 'none'})}.{body}."]
        for key in (pem, CLIENT_SECRET, SHOP_SECRET):
            signed = f"{_part({**header, 'alg': 'HS256'})}.{body}"
            forged.append(f"{signed}.{_base64(_hmac(key, signed))}")
        headers = ({"jku": "https://evil.test/k"}, {"jwk": {"kty": "oct", "k": "AA"}}, {"kid": "none"})
        forged += [f"{_part({**header, **more})}.{body}.{token.split('.')[2]}" for more in headers]
        assert [refused(send(one)) for one in forged] == [expected] * len(forged)


def test_codes_of_keys_that_are_not_trusted_any_more_are_refused(site: Site) -> None:
    code = site.code(site.signed_in())
    site.world.bridge.keys.rotate(at_once=True)
    assert refused(site.token(code)) == (400, "invalid_grant")


def test_a_code_tells_nobody_who_sees_it_whose_it_is(site: Site) -> None:
    code = site.code(site.signed_in())
    told = jwt.decode(code, options={"verify_signature": False})
    assert told.keys() == {"iss", "aud", "person", "user", "iat", "exp", "jti"}
    assert told["exp"] - told["iat"] == 60


# --- PKCE ------------------------------------------------------------------------------------------------------------


def test_a_challenge_that_was_offered_is_demanded(site: Site) -> None:
    browser = site.signed_in()
    offered = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    assert site.token(site.code(browser, **offered), code_verifier=VERIFIER).status_code == 200
    for verifier in (None, "", CHALLENGE, VERIFIER[:-1], VERIFIER[:-1] + "K", VERIFIER + "\n", "é" * 43):
        code = site.code(browser, **offered)
        assert refused(site.token(code, code_verifier=verifier)) == (400, "invalid_grant")


# --- the client ------------------------------------------------------------------------------------------------------


def basic(client: str, secret: str) -> dict[str, str]:
    both = base64.b64encode(f"{quote(client, safe='')}:{quote(secret, safe='')}".encode()).decode()
    return {"Authorization": f"Basic {both}"}


def test_the_client_may_say_who_it_is_by_basic(make_world: Callable[..., World]) -> None:
    secret = "a secret with: signs+%25 that are encoded é"
    site = Site(make_world(sso={**SSO, "client_secret": secret}))
    browser = site.signed_in()
    without = {"client_id": None, "client_secret": None}
    assert site.token(site.code(browser), headers=basic(CLIENT, secret), **without).status_code == 200
    wrong = site.token(site.code(browser), headers=basic(CLIENT, secret + "x"), **without)
    assert refused(wrong) == (401, "invalid_client")
    assert wrong.headers["WWW-Authenticate"].startswith("Basic ")
    both = site.token(site.code(browser), headers=basic(CLIENT, secret), client_secret=secret)
    assert refused(both) == (400, "invalid_request")


@pytest.mark.parametrize(
    "changes",
    [
        {"client_secret": CLIENT_SECRET[:-1]},
        {"client_secret": CLIENT_SECRET + " "},
        {"client_secret": ""},
        {"client_secret": None},
        {"client_secret": "é\ud800".encode("utf-8", "replace").decode()},
        {"client_id": "other"},
        {"client_id": None},
    ],
)
def test_a_wrong_client_is_refused_and_spoils_no_code(site: Site, changes: dict[str, Any]) -> None:
    code = site.code(site.signed_in())
    assert refused(site.token(code, **changes)) == (401, "invalid_client")
    assert site.refusals() == ["another client than ours, or a wrong secret"]
    assert site.token(code).status_code == 200


def test_a_header_of_another_kind_makes_no_client(site: Site) -> None:
    code = site.code(site.signed_in())
    for value in ("Bearer x", "Basic", "Basic !!!", f"Digest username={CLIENT}"):
        answer = site.token(code, headers={"Authorization": value}, client_secret=None)
        assert refused(answer) == (401, "invalid_client")


@pytest.mark.parametrize("grant", ["refresh_token", "password", "client_credentials", "", None])
def test_there_is_one_grant(site: Site, grant: str | None) -> None:
    code = site.code(site.signed_in())
    assert refused(site.token(code, grant_type=grant)) == (400, "unsupported_grant_type")


def test_a_form_without_a_code_or_with_two_is_no_request(site: Site) -> None:
    assert refused(site.token("")) == (400, "invalid_request")
    code = site.code(site.signed_in())
    form = urlencode([("client_id", CLIENT), ("client_secret", CLIENT_SECRET), ("code", code), ("code", code)])
    answer = site.browser().post("/oidc/token", data=form, content_type="application/x-www-form-urlencoded")
    assert refused(answer) == (400, "invalid_request")


def test_the_secret_is_taken_from_no_address(site: Site) -> None:
    query = urlencode({"client_id": CLIENT, "client_secret": CLIENT_SECRET, "grant_type": "authorization_code"})
    assert refused(site.browser().post(f"/oidc/token?{query}")) == (401, "invalid_client")
    access = site.token(site.code(site.signed_in())).get_json()["access_token"]
    assert site.browser().get(f"/oidc/userinfo?access_token={access}").status_code == 401


# --- other methods, and what is left behind --------------------------------------------------------------------------


def test_other_methods_do_nothing(site: Site) -> None:
    browser = site.signed_in()
    before = len(site.world.rows("audit")), len(site.world.rows("used"))
    assert browser.get("/oidc/token").status_code == 405
    assert browser.post("/oidc/authorize").status_code == 405
    query = urlencode({"client_id": CLIENT, "response_type": "code", "scope": "openid", "redirect_uri": site.callback})
    head = browser.head(f"/oidc/authorize?{query}")
    assert (head.status_code, head.headers.get("Location")) == (405, None)
    for path in ("/oidc/authorize", "/oidc/token", "/oidc/userinfo", "/.well-known/openid-configuration"):
        answer = browser.options(f"{path}?{query}", headers={"Origin": "https://evil.test"})
        assert answer.status_code == 200
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert browser.head("/oidc/userinfo").status_code == 401
    assert (len(site.world.rows("audit")), len(site.world.rows("used"))) == before


def test_without_a_token_nothing_is_told_and_nothing_is_written(site: Site) -> None:
    before = len(site.world.rows("audit"))
    for headers in ({}, {"Authorization": "Basic dG90YXJhOng="}):
        answer = site.browser().get("/oidc/userinfo", headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"], answer.get_json()) == (401, "Bearer", {})
    assert len(site.world.rows("audit")) == before


def test_no_secret_no_code_and_no_address_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    browser = site.signed_in()
    code = site.code(browser)
    access = site.token(code).get_json()["access_token"]
    site.userinfo(access)
    site.token(code)
    site.token(code, client_secret="wrong-secret")
    site.account("nia@trader.test").suspended = True
    site.userinfo(access)
    written = caplog.text + json.dumps([[row.cause, row.facts] for row in site.world.rows("audit")])
    for word in (code, access, CLIENT_SECRET, "wrong-secret", "nia@trader.test", "uba45fdL40"):
        assert word not in written


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _part(header: dict[str, Any]) -> str:
    return _base64(json.dumps(header).encode())


def _hmac(key: str, signed: str) -> bytes:
    return hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
