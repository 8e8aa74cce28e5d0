"""The embedded Totara's sign-on lets in whom the plugin would, and nobody else."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from flask import Flask, jsonify
from werkzeug.test import Client, TestResponse

from bridge.keys import new_key
from bridge.sandbox.clock import Clock
from bridge.sandbox.server import Served
from bridge.sandbox.totara import Totara
from bridge.sandbox.totara_sign_on import local_path
from bridge.sandbox.totara_visitors import COOKIE, REFUSED
from bridge.store.signon import KeptKey

SITE = "http://learn.test"


def make_key() -> KeptKey:
    now = datetime.now(UTC)
    return new_key(now, now)


KEY, OTHER = make_key(), make_key()


@dataclass
class Site:
    """A Totara with a course and a learner, and a bridge of which only the published keys are there."""

    totara: Totara
    bridge: str
    learner: int
    course: int
    published: list[KeptKey]
    asked: list[str] = field(default_factory=list)

    def browser(self) -> Client:
        return Client(self.totara.app)

    def begin(self, browser: Client) -> str:
        """Begin a sign-on; its nonce."""
        address = browser.get("/auth/bridge/start.php").location
        assert address.startswith(f"{self.bridge}/sso/totara?nonce=")
        return parse_qs(urlsplit(address).query)["nonce"][0]

    def claims(self, nonce: str, **others: Any) -> dict[str, Any]:
        now, user = self.totara.now(), self.totara.users[others.pop("user", self.learner)]
        said = {"iss": self.bridge, "aud": SITE, "sub": str(user.id), "username": user.username, "nonce": nonce}
        page = {"target": f"/course/view.php?id={self.course}", "iat": now, "exp": now + 60}
        return {**said, **page, "jti": secrets.token_hex(16), **others}

    def hand(self, browser: Client, token: str, **fields: str) -> TestResponse:
        return browser.post("/auth/bridge/login.php", data={"token": token, **fields})

    def reasons(self) -> list[str]:
        return [reason for outcome, reason, _ in self.totara.sign_on.log if outcome == "refused"]


def signed(claims: Mapping[str, Any], key: KeptKey = KEY, **header: Any) -> str:
    return jwt.encode(
        dict(claims), key.private, algorithm="RS256", headers={"typ": "site+jwt", "kid": key.kid, **header}
    )


@pytest.fixture
def site() -> Iterator[Site]:
    totara = Totara(now=Clock(frozen=True))
    totara.add_tenant("academy", "Academy")
    course = totara.add_course("Rules of origin", shortname="ORIGIN", category=totara.add_category("Public"))
    learner = totara.add_user("nia@learn.test", firstname="Nia", lastname="Noon", tenant="academy")
    totara.enrol(learner, course)
    made = Site(totara, "", learner, course, [KEY])
    app = Flask("keys")

    @app.get("/.well-known/jwks.json")
    def keys() -> Any:
        made.asked.append("keys")
        return jsonify({"keys": [key.public for key in made.published]})

    with Served(app) as served:
        made.bridge = served.url
        totara.sign_on.connect(served.url, SITE)
        yield made


def test_a_token_made_for_this_browser_leads_to_the_page_it_names(site: Site) -> None:
    browser = site.browser()
    nonce = site.begin(browser)
    before = browser.get_cookie(COOKIE)
    answer = site.hand(browser, signed(site.claims(nonce)))
    assert (answer.status_code, answer.location) == (303, f"/course/view.php?id={site.course}")
    after = browser.get_cookie(COOKIE)
    assert before and after and before.value != after.value, "the session has a new name"
    page = browser.get(answer.location).text
    assert "Rules of origin" in page and "Nia Noon" in page
    assert site.totara.sign_on.log == [("accepted", "", site.learner)]
    user = site.totara.users[site.learner]
    assert user.firstaccess == user.lastaccess == site.totara.now(), "web services tell that the account was used"


def test_a_course_is_for_its_learners(site: Site) -> None:
    other = site.totara.add_course("Valuation", shortname="VAL", category=1)
    browser = site.browser()
    assert browser.get(f"/course/view.php?id={other}").location == "/login/index.php"
    answer = site.hand(browser, signed(site.claims(site.begin(browser), target="/")))
    assert answer.location == f"/course/view.php?id={other}", "what was wanted before signing in"
    page = browser.get(answer.location)
    assert (page.status_code, "not enrolled" in page.text, "Valuation" in page.text) == (403, True, False)
    dashboard = browser.get("/totara/dashboard/index.php").text
    assert "Rules of origin" in dashboard and "Valuation" not in dashboard
    assert browser.get("/course/view.php?id=99").status_code == 404


def test_a_certificate_is_for_whoever_has_completed_its_course(site: Site) -> None:
    course = site.totara.courses[site.course]
    course.certificate = "Certificate of origin"
    path = f"/mod/certificate/view.php?id={course.certificate_id}"
    browser = site.browser()
    assert browser.get(path).location == "/login/index.php"
    assert site.hand(browser, signed(site.claims(site.begin(browser), target="/"))).location == path
    assert browser.get(path).status_code == 403
    assert path not in browser.get(f"/course/view.php?id={site.course}").text
    site.totara.complete(site.learner, site.course)
    assert path in browser.get(f"/course/view.php?id={site.course}").text
    page = browser.get(path)
    assert (page.status_code, "Nia Noon has completed" in page.text) == (200, True)
    assert browser.get("/mod/certificate/view.php?id=7").status_code == 404


def test_a_browser_that_keeps_its_cookie_back_has_one_more_chance(site: Site) -> None:
    browser, fresh = site.browser(), site.browser()
    token = signed(site.claims(site.begin(browser)))
    page = site.hand(fresh, token)
    assert (page.status_code, 'name="again" value="1"' in page.text) == (200, True)
    assert "Set-Cookie" not in page.headers
    assert site.hand(browser, token, again="1").location == f"/course/view.php?id={site.course}"


def test_somebody_else_is_signed_out_first(site: Site) -> None:
    browser, second = site.browser(), site.totara.add_user("omar@learn.test", firstname="Omar", tenant="academy")
    site.hand(browser, signed(site.claims(site.begin(browser))))
    token = signed(site.claims(site.begin(browser), user=second))
    assert 'name="again"' in site.hand(browser, token).text
    assert "You are signed in" not in browser.get("/").text
    assert site.hand(browser, token, again="1").status_code == 303
    assert "Omar" in browser.get("/").text
    assert site.hand(browser, token, again="1").location == "/login/index.php", "it was handed over once"


def log_out(browser: Client) -> str | None:
    """Where somebody is led who logs out."""
    return browser.post("/login/logout.php").location


def test_whoever_came_by_the_bridge_and_logs_out_is_sent_on_to_it(site: Site) -> None:
    browser = site.browser()
    site.hand(browser, signed(site.claims(site.begin(browser), sid="a" * 32)))
    site.hand(browser, signed(site.claims(site.begin(browser), sid="b" * 32)))
    assert browser.get("/login/logout.php").status_code == 200, "it asks first"
    assert log_out(browser) == f"{site.bridge}/sso/ended?sid={'b' * 32}"
    assert log_out(browser) == "/login/index.php", "and once"
    site.hand(browser, signed(site.claims(site.begin(browser))))
    assert log_out(browser) == "/login/index.php", "a bridge of the version before says nothing of it"
    site.hand(browser, signed(site.claims(site.begin(browser), sid="c" * 32)))
    site.totara.sign_on.end_visit = False
    assert log_out(browser) == "/login/index.php"


ATTACKS: Mapping[str, Callable[[Site, dict[str, Any]], str]] = {
    "key": lambda s, c: signed(c, OTHER),
    "signature": lambda s, c: signed(c, OTHER, kid=KEY.kid),
    "header": lambda s, c: signed(c, typ="launch+jwt"),
    "header ": lambda s, c: signed(c, jku="https://evil.test/keys"),
    "header  ": lambda s, c: jwt.encode(c, "x" * 40, algorithm="HS256", headers={"typ": "site+jwt", "kid": KEY.kid}),
    "malformed": lambda s, c: signed(c) + "=",
    "issuer": lambda s, c: signed({**c, "iss": "https://evil.test"}),
    "malformed ": lambda s, c: signed({**c, "aud": [SITE, "https://other.test"]}),
    "audience": lambda s, c: signed({**c, "aud": "https://other.test"}),
    "expired": lambda s, c: signed({**c, "iat": c["iat"] - 65, "exp": c["exp"] - 65}),
    "future": lambda s, c: signed({**c, "iat": c["iat"] + 6, "exp": c["exp"] + 6}),
    "lifetime": lambda s, c: signed({**c, "exp": c["iat"] + 61}),
    "claims": lambda s, c: signed({**c, "exp": True}),
    "claims ": lambda s, c: signed({**c, "sub": 5}),
    "claims  ": lambda s, c: signed({**c, "sid": "&x=" + "a" * 29}),
    "nonce": lambda s, c: signed({**c, "nonce": secrets.token_hex(16)}),
    "username": lambda s, c: signed({**c, "username": "admin"}),
    "target": lambda s, c: signed({**c, "target": "//evil.test"}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_wrong_token_is_refused_with_the_one_message(site: Site, attack: str) -> None:
    browser = site.browser()
    answer = site.hand(browser, ATTACKS[attack](site, site.claims(site.begin(browser))))
    assert answer.location == "/login/index.php"
    assert REFUSED in browser.get("/login/index.php").text
    assert REFUSED not in browser.get("/login/index.php").text, "it is said once"
    assert site.reasons() == [attack.strip()]
    assert "You are signed in" not in browser.get("/").text


def test_a_token_and_a_nonce_are_good_once_and_a_nonce_for_five_minutes(site: Site) -> None:
    browser = site.browser()
    nonces = [site.begin(browser) for _ in range(3)]
    claims = site.claims(nonces[0])
    assert site.hand(browser, signed(claims)).location.startswith("/course")
    site.hand(browser, signed(claims))
    site.hand(browser, signed({**claims, "nonce": nonces[1]}))
    site.totara.clock.advance(seconds=300)
    site.hand(browser, signed(site.claims(nonces[2])))
    assert site.reasons() == ["nonce", "replay", "nonce"]


@pytest.mark.parametrize("why", ["suspended", "nouser", "guest", "authmethod", "administrator", "capability", "tenant",
                                 "tenantsuspended"])  # fmt: skip
def test_whom_the_plugin_keeps_out(site: Site, why: str) -> None:
    who, totara = {"guest": 1, "administrator": 2, "capability": 3}.get(why, site.learner), site.totara
    browser = site.browser()
    token = signed(site.claims(site.begin(browser), user=who))
    user = totara.users[who]
    if why == "suspended":
        user.suspended = True
    elif why == "nouser":
        user.deleted = True
    elif why == "authmethod":
        user.auth = "ldap"
    elif why == "tenant":
        totara.sign_on.connect(site.bridge, SITE, tenant="memberland")
    elif why == "tenantsuspended":
        totara.suspend_tenant("academy")
    site.hand(browser, token)
    assert site.reasons() == [why]


def test_keys_are_kept_for_an_hour_and_asked_for_at_most_once_a_minute(site: Site) -> None:
    def come(key: KeptKey) -> bool:
        browser = site.browser()
        return site.hand(browser, signed(site.claims(site.begin(browser)), key)).location.startswith("/course")

    assert come(KEY) and come(KEY)
    site.published.append(OTHER)
    assert not come(OTHER)
    assert site.asked == ["keys"]
    site.totara.clock.advance(seconds=61)
    assert come(OTHER)
    site.published.clear()
    site.totara.clock.advance(hours=2)
    assert come(KEY), "an answer without a key is none"
    assert len(site.asked) == 3


def test_a_site_that_is_not_set_up_lets_nobody_begin() -> None:
    totara = Totara()
    assert totara.app.test_client().get("/auth/bridge/start.php").location == "/login/index.php"
    assert totara.sign_on.log == [("refused", "notconfigured", 0)]


@pytest.mark.parametrize(
    "path", ["//evil.test", "/\\evil.test", "https://evil.test", "/a/../b", "/a%2fb", "/a%0ab", "/a b", ""]
)
def test_what_could_lead_out_of_the_site_is_no_target(path: str) -> None:
    assert local_path(path) is None
    assert local_path("/course/view.php?id=7#section-1") == "/course/view.php?id=7#section-1"
