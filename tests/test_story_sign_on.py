"""Stories: from the shop into the course by one click, and nobody gets in who should not. On both databases."""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from sqlalchemy import event
from werkzeug.test import Client, TestResponse

from bridge.errors import Unavailable
from bridge.keys import OVERLAP
from bridge.sso import origin_of
from bridge.store import signon
from tests.world import World

SECRET = "the-secret-that-the-shop-shares-01234567"
OLD = "an-older-secret-that-the-shop-had-0123456"
NIA = "nia@pass.test"


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    made = make_world(sso={"shop_secrets": [SECRET, OLD], "wait_seconds": 0})
    made.bridge.keys.first()
    return made


@pytest.fixture
def nia(world: World) -> int:
    """A customer of the shop."""
    return world.shop.add_customer(NIA, first_name="Nia", last_name="Noon")


def claims(world: World, customer: int, **others: Any) -> dict[str, Any]:
    """What the shop's plugin tells of a customer: with the address that the shop has."""
    now = int(world.now().timestamp())
    return {
        "iss": world.bridge.settings.shop.url,
        "aud": world.bridge.settings.server.public_url,
        "sub": str(customer),
        "email": world.shop.customers[customer]["email"] if customer in world.shop.customers else NIA,
        "email_verified": False,
        "target": "home",
        "iat": now,
        "exp": now + 60,
        "jti": secrets.token_hex(16),
        **others,
    }


def signed(payload: Mapping[str, Any], secret: str = SECRET, typ: str = "launch+jwt", **header: Any) -> str:
    return jwt.encode(dict(payload), secret, algorithm="HS256", headers={"typ": typ, **header})


def launch(world: World, token: str, browser: Client | None = None, **headers: str) -> TestResponse:
    given = {"Origin": origin_of(world.bridge.settings.shop.url), **headers}
    return (browser or Client(world.bridge.web())).post("/sso/launch", data={"token": token}, headers=given)


def bought(world: World, customer: int, course: int) -> int:
    return world.shop.place_order([(world.sell(course), 1)], customer_id=customer, email=NIA)


def refusals(world: World) -> list[str]:
    return [row.cause for row in world.rows("audit") if row.event == "sign-on refused"]


def token_in(page: TestResponse) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def target_in(page: TestResponse) -> object:
    return jwt.decode(token_in(page), options={"verify_signature": False})["target"]


# --- the way in ------------------------------------------------------------------------------------------------------


def test_the_click_is_faster_than_the_webhook_and_leads_into_the_course(world: World, nia: int) -> None:
    """Nothing was delivered: signing in has what was bought looked at."""
    course = world.course("ONE")
    bought(world, nia, course)
    browser = Client(world.bridge.web())
    answer = launch(world, signed(claims(world, nia, target=f"course:{course}")), browser)
    assert (answer.status_code, answer.location) == (303, "/sso/go")
    waiting = browser.get("/sso/go", follow_redirects=True)
    assert (waiting.status_code, waiting.headers["Refresh"]) == (200, "2")
    still = browser.get("/sso/go?again=1&still=1")
    assert "Refresh" not in still.headers and "looks again by itself" not in still.text, "who stops it reads in peace"
    world.settle()
    assert world.access() == {(NIA, course): "active"}
    totara = world.bridge.settings.totara.url
    assert browser.get("/sso/go").location == f"{totara}/auth/bridge/start.php"
    nonce = secrets.token_hex(16)
    page = browser.get(f"/sso/totara?nonce={nonce}")
    assert f'action="{totara}/auth/bridge/login.php"' in page.text
    (key,) = world.web.get("/.well-known/jwks.json").get_json()["keys"]
    token = token_in(page)
    told = jwt.decode(token, jwt.PyJWK(key), algorithms=["RS256"], audience=totara, options={"verify_iat": False})
    user = world.totara.users[world.user(NIA)]
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": key["kid"], "typ": "site+jwt"}
    assert told["exp"] - told["iat"] <= 60
    assert (told["sub"], told["username"], told["nonce"]) == (str(user.id), user.username, nonce)
    assert told["target"] == f"/course/view.php?id={course}"


@pytest.mark.parametrize("by", ["course", "order"])
def test_where_the_course_is_there_the_click_leads_straight_to_totara(world: World, nia: int, by: str) -> None:
    """Also from its order; what the customer bought is owed a look all the same."""
    course = world.course("ONE")
    order = bought(world, nia, course)
    world.look(order)
    browser = Client(world.bridge.web())
    target = f"course:{course}" if by == "course" else f"order:{order}"
    onward = launch(world, signed(claims(world, nia, target=target)), browser)
    assert (onward.status_code, onward.location) == (303, f"{world.bridge.settings.totara.url}/auth/bridge/start.php")
    assert onward.headers["Cache-Control"] == "no-store"
    due = {(row.kind, row.key) for row in world.rows("work") if row.due_at is not None}
    assert ("customer", str(nia)) in due
    assert (("order", str(order)) in due) == (by == "order")
    page = browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")
    assert target_in(page) == f"/course/view.php?id={course}"


@pytest.mark.parametrize("target", ["courses", "team", "resume", "course:999", "order:999"])
def test_all_else_is_looked_at_by_a_page_of_the_bridge(world: World, nia: int, target: str) -> None:
    """Browsers do not send what they came for with the shop's form."""
    world.look(bought(world, nia, world.course("ONE")))
    expected = "/sso/go" if target != "order:999" else f"{world.bridge.settings.totara.url}/auth/bridge/start.php"
    assert launch(world, signed(claims(world, nia, target=target))).location == expected


def test_of_whom_the_shop_tells_nothing_new_a_launch_is_one_write(world: World, nia: int) -> None:
    course = world.course("ONE")
    world.look(bought(world, nia, course))
    token = signed(claims(world, nia, target=f"course:{course}"))
    written: list[str] = []

    def note(*given: Any) -> None:
        written.extend(re.findall(r"\b(?:INSERT INTO|DELETE FROM|UPDATE) [a-z]+|^BEGIN IMMEDIATE", given[2]))

    event.listen(world.bridge.store.engine, "before_cursor_execute", note)
    launch(world, token)
    event.remove(world.bridge.store.engine, "before_cursor_execute", note)
    if written[0] == "BEGIN IMMEDIATE":
        del written[0]
    tables = ["INSERT INTO used", "INSERT INTO visits", "DELETE FROM visits", "INSERT INTO audit", "INSERT INTO work"]
    assert written == tables, "and persons are only read"


def test_a_visit_that_has_ended_meanwhile_is_vouched_for_by_nobody(world: World, nia: int) -> None:
    world.look(bought(world, nia, world.course("ONE")))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia)), browser)
    sign_on, cookie = world.bridge.sign_on, browser.get_cookie("bridge-visit")
    assert sign_on is not None
    assert cookie is not None
    visit = sign_on.visit(cookie.value)
    assert visit is not None
    assert sign_on.site_token(visit, "0" * 32) is not None
    sign_on.leave(visit)
    assert sign_on.site_token(visit, "0" * 32) is None
    assert [row.event for row in world.rows("audit")].count("vouched for to Totara") == 1


def test_a_browser_is_kept_waiting_for_a_moment_and_then_goes_on_by_itself(
    make_world: Callable[..., World], nia: int, world: World
) -> None:
    patient = world.new_bridge(sso={"shop_secrets": [SECRET], "wait_seconds": 20})
    course = world.course("ONE")
    bought(world, nia, course)
    browser = Client(patient.web())
    launch(world, signed(claims(world, nia, target=f"course:{course}")), browser)
    settled = threading.Timer(0.5, world.settle)
    settled.start()
    answer = browser.get("/sso/go")
    settled.join()
    assert answer.location == f"{world.bridge.settings.totara.url}/auth/bridge/start.php"


def test_the_list_of_somebody_who_has_just_bought_waits_for_a_moment_too(world: World, nia: int) -> None:
    patient = world.new_bridge(sso={"shop_secrets": [SECRET], "wait_seconds": 20})
    bought(world, nia, world.course("ONE"))
    browser = Client(patient.web())
    launch(world, signed(claims(world, nia, target="courses")), browser)
    settled = threading.Timer(0.5, world.settle)
    settled.start()
    page = browser.get("/sso/go", follow_redirects=True)
    settled.join()
    assert (page.request.path, "There are no courses" in page.text) == ("/learn", False)


def test_what_is_shown_on_a_page_is_text_whatever_it_is(world: World, nia: int) -> None:
    product = world.shop.add_product("On &lt;i&gt; & more", sku=f"totara-course-{world.course('ONE')}", price="9.00")
    world.look(world.shop.place_order([(product, 1)], customer_id=nia, email=NIA))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="courses")), browser)
    world.settle()
    page = browser.get("/learn").text
    assert "On &lt;i&gt; &amp; more" in page
    assert "<i>" not in page
    assert f'Signed in as <bdi dir="ltr">{NIA}</bdi>' in page, "in a browser that several people use"


def test_whoever_bought_nothing_is_told_so_and_nobody_is_made(world: World, nia: int) -> None:
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="course:77")), browser)
    world.settle()
    page = browser.get("/sso/go", follow_redirects=True)
    assert "Nothing to go to" in page.text
    assert world.rows("persons") == []
    assert world.totara.user_by_email(NIA) is None


def test_orders_of_others_keep_nobody_waiting_for_long(world: World, nia: int) -> None:
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="course:77")), browser)
    world.settle()
    world.owe("order", world.shop.place_order([(world.sell(world.course("ONE")), 1)], email="ida@guest.test"))
    assert "Just a moment" in browser.get("/sso/go", follow_redirects=True).text
    world.clock.advance(minutes=3)
    assert "Nothing to go to" in browser.get("/sso/go", follow_redirects=True).text


def test_what_waits_for_a_person_is_said_in_words_that_tell_no_more(world: World, nia: int) -> None:
    """The address has an account there already, of a member's officer: it was left alone."""
    course = world.course("ONE")
    officer = world.totara.add_user(NIA, username="officer")
    bought(world, nia, course)
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target=f"course:{course}")), browser)
    world.settle()
    page = browser.get("/sso/go", follow_redirects=True)
    assert "An account with your address is there already" in page.text
    assert world.access() == {}
    assert browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}").location == "/sso/go"
    assert world.totara.users[officer].username == "officer"


def test_what_a_visitor_came_for_is_used_up_by_going_there(world: World, nia: int) -> None:
    """Who signs in at Totara later, by a link to another course, comes to that one."""
    course = world.course("ONE")
    world.look(bought(world, nia, course))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target=f"course:{course}")), browser)
    world.settle()
    targets = []
    for _ in range(2):
        page = browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")
        targets.append(json.loads(base64.urlsafe_b64decode(token_in(page).split(".")[1] + "=="))["target"])
    assert targets == [f"/course/view.php?id={course}", "/"]


def test_somebody_elses_order_leads_nowhere_of_theirs(world: World, nia: int) -> None:
    other = world.shop.add_customer("eve@pass.test")
    order = bought(world, nia, world.course("ONE"))
    world.look(order)
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, other, email="eve@pass.test", target=f"order:{order}")), browser)
    world.settle()
    assert "Nothing to go to" in browser.get("/sso/go", follow_redirects=True).text


def test_ones_own_order_leads_to_its_course_or_to_the_list(world: World, nia: int) -> None:
    one, two = world.course("ONE"), world.course("TWO")
    first = bought(world, nia, one)
    both = world.shop.place_order([(world.product(one)["id"], 1), (world.sell(two), 1)], customer_id=nia, email=NIA)
    world.look(first, both)
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target=f"order:{first}")), browser)
    world.settle()
    page = browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")
    payload = json.loads(base64.urlsafe_b64decode(token_in(page).split(".")[1] + "=="))
    assert payload["target"] == f"/course/view.php?id={one}"
    launch(world, signed(claims(world, nia, target=f"order:{both}")), browser)
    world.settle()
    assert browser.get("/sso/go").location == "/learn"


def test_my_courses_and_the_way_out(world: World, nia: int) -> None:
    course = world.course("ONE")
    world.look(bought(world, nia, course))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="courses")), browser)
    world.settle()
    page = browser.get("/sso/go", follow_redirects=True)
    assert f"Course {course}" in page.text
    assert f'<a href="{world.bridge.settings.shop.url}">Back to the shop</a>' in page.text
    form = re.search(r'name="form" value="([^"]+)"', page.text)
    assert form
    page_of_all = plain(launch(world, "x"))
    is_refused(world, browser.post("/learn/go", data={"target": f"course:{course}", "form": "x"}), page_of_all)
    is_refused(world, browser.post("/learn/go", data={"target": "//evil", "form": form[1]}), page_of_all)
    assert refusals(world)[1:] == ["a form that was not given to this visitor", "a target that is not of the list"]
    chosen = browser.post("/learn/go", data={"target": f"course:{course}", "form": form[1]})
    assert chosen.location == "/sso/go"
    is_refused(world, browser.post("/sso/sign-out", data={"form": "x"}), page_of_all)
    assert len(refusals(world)) == 4
    out = browser.post("/sso/sign-out", data={"form": form[1]})
    assert "/login/logout.php" in out.text
    assert browser.get("/learn").location.startswith(world.bridge.settings.shop.url)
    assert world.rows("visits") == []


def test_whoever_comes_from_totara_first_signs_in_to_the_shop_and_goes_on(world: World, nia: int) -> None:
    world.look(bought(world, nia, world.course("ONE")))
    browser = Client(world.bridge.web())
    asked = f"/sso/totara?nonce={secrets.token_hex(16)}"
    shop = world.bridge.settings.shop.url
    assert browser.get(asked).location == f"{shop}/?academy_bridge=launch&target=resume"
    # Browsers send the cookie that remembers it with the way on, and not with the POST from another site.
    assert launch(world, signed(claims(world, nia, target="resume")), browser).location == "/sso/go"
    assert browser.get("/sso/go").location == asked
    assert target_in(browser.get(asked)) == "/", "Totara knows which page was wanted"


def test_what_a_browser_came_for_is_not_forgotten_when_shop_and_bridge_are_of_different_sites(
    world: World, nia: int
) -> None:
    """Then browsers send no cookie along with what the shop's page posts, but do with the redirect that follows."""
    browser = Client(world.bridge.web())
    browser.get("/learn")
    (kept,) = [name for name in ("bridge-resume", "__Host-bridge-resume") if browser.get_cookie(name)]
    posting = Client(world.bridge.web())
    answer = launch(world, signed(claims(world, nia, target="resume")), posting)
    for line in answer.headers.getlist("Set-Cookie"):
        assert kept not in line, "the post leaves it alone"
        name, _, value = line.partition(";")[0].partition("=")
        browser.set_cookie(name, value)
    assert browser.get("/sso/go").location == "/learn"
    assert browser.get_cookie(kept) is None, "and it is gone back to once"


def test_what_somebody_came_for_is_gone_to_once(world: World, nia: int) -> None:
    """They sign in again from another page of Totara's while the visit here still stands: it leads to that page."""
    course = world.course("ONE")
    world.look(bought(world, nia, course))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target=f"course:{course}")), browser)
    ended = [target_in(browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")) for _ in range(2)]
    assert ended == [f"/course/view.php?id={course}", "/"]
    written = [row for row in world.rows("audit") if row.event == "vouched for to Totara"]
    user = world.user(NIA)
    assert [(row.cause, row.facts) for row in written] == [
        ("by the plugin", {"user": user, "target": f"course:{course}"}),
        ("by the plugin", {"user": user, "target": "resume"}),
    ]
    assert {row.person_id for row in written} == {world.rows("persons")[0].id}


@pytest.mark.parametrize(("word", "path"), [("home", "/totara/dashboard/index.php"), ("courses", "/"), ("team", "/")])
def test_a_target_that_is_no_page_of_totara_leaves_the_page_to_it(world: World, nia: int, word: str, path: str) -> None:
    world.look(bought(world, nia, world.course("ONE")))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target=word)), browser)
    assert target_in(browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")) == path


def test_a_visit_that_rests_for_an_hour_ends(world: World, nia: int) -> None:
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="courses")), browser)
    seen = []
    for minutes in (59, 59, 61):
        world.clock.advance(minutes=minutes)
        seen.append(browser.get("/learn").status_code)
    assert seen == [200, 200, 303], "what is looked at in between goes on"


def test_a_visit_ends_by_itself(world: World, nia: int) -> None:
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="courses")), browser)
    for _ in range(13):
        assert browser.get("/learn").status_code == 200
        world.clock.advance(minutes=55)
    assert browser.get("/learn").status_code == 200
    world.clock.advance(minutes=61)
    assert browser.get("/learn").status_code == 303
    launch(world, signed(claims(world, nia, target="courses")), browser)
    for _ in range(14):
        world.clock.advance(minutes=55)
        last = browser.get("/learn").status_code
    assert last == 303, "twelve hours at the longest"


def test_an_account_that_was_suspended_is_not_signed_in(world: World, nia: int) -> None:
    world.look(bought(world, nia, world.course("ONE")))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia)), browser)
    world.totara.users[world.user(NIA)].suspended = True
    answer = browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")
    assert refusals(world) == ["the account is suspended, or gone"]
    is_refused(world, answer, plain(launch(world, "x")))
    assert "ask the shop’s team" in answer.text, "and is not sent in circles"
    french = browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}", headers={"Accept-Language": "fr"})
    assert "adressez-vous à l’équipe de la boutique" in french.text


def test_a_member_of_a_suspended_tenant_is_not_signed_in_where_totara_tells_so(world: World, nia: int) -> None:
    world.totara.has_plugin = True
    world.look(bought(world, nia, world.course("ONE", category=world.tenant_category)))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia)), browser)
    for tenant in world.totara.tenants.values():
        tenant.suspended = True
    answer = browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")
    assert refusals(world) == ["the account's tenant is suspended"]
    is_refused(world, answer, plain(launch(world, "x")))


def test_whoever_has_no_account_and_comes_from_totara_is_shown_the_list(world: World, nia: int) -> None:
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="courses")), browser)
    world.settle()
    page = browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}", follow_redirects=True)
    assert (page.request.path, page.status_code) == ("/learn", 200)


def test_while_totara_is_away_the_page_looks_again_by_itself(world: World, nia: int) -> None:
    world.look(bought(world, nia, world.course("ONE")))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia)), browser)
    asked = f"/sso/totara?nonce={secrets.token_hex(16)}"
    world.totara.faults.down()
    page = browser.get(asked)
    assert (page.status_code, page.headers["Cache-Control"]) == (503, "no-store")
    assert (page.headers["Refresh"], "does not answer just now" in page.text) == ("5", True)
    assert f'href="?{asked.split("?")[1]}&amp;still=1"' in page.text
    assert "Refresh" not in browser.get(f"{asked}&still=1").headers
    assert "being prepared" not in page.text and "tries again by itself" in page.text
    assert "ne répond pas pour l’instant" in browser.get(asked, headers={"Accept-Language": "fr"}).text
    world.totara.faults.clear()
    assert token_in(browser.get(asked)), "and goes on once it answers"


def test_while_the_bridge_cannot_write_a_launch_is_not_called_refused(
    world: World, nia: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_anything: object, **_more: object) -> None:
        raise Unavailable("the database is locked", system="database")

    monkeypatch.setattr(signon.Entering, "coming_in", locked)
    page = launch(world, signed(claims(world, nia)))
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    assert "try once more in a minute" in page.text and "not signed in" not in page.text
    assert "Refresh" not in page.headers, "looking again would send the form once more"


def test_without_a_key_nobody_is_sent_in_a_circle_and_the_operator_is_told(
    make_world: Callable[..., World],
) -> None:
    world = make_world(sso={"shop_secrets": [SECRET], "wait_seconds": 0})
    nia = world.shop.add_customer(NIA, first_name="Nia", last_name="Noon")
    world.look(bought(world, nia, world.course("ONE")))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia)), browser)
    page = browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")
    assert (page.status_code, "Our team looks into it" in page.text) == (200, True)
    assert "bridge sso keygen" in refusals(world)[0]
    world.bridge.keys.first()
    assert token_in(browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}"))


# --- attacks ---------------------------------------------------------------------------------------------------------


def unsigned(payload: Mapping[str, Any], **header: Any) -> str:
    parts = [json.dumps(part).encode() for part in (header, dict(payload))]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


ATTACKS: Mapping[str, Callable[[World, dict[str, Any]], str]] = {
    "nothing": lambda w, c: "",
    "no token at all": lambda w, c: "a.b",
    "alg none": lambda w, c: unsigned(c, alg="none", typ="launch+jwt"),
    "another secret": lambda w, c: signed(c, "x" * 40),
    "the public key as the secret": lambda w, c: signed(c, public_pem(w)),
    "HS512": lambda w, c: jwt.encode(c, SECRET + "x" * 40, algorithm="HS512", headers={"typ": "launch+jwt"}),
    "of another kind": lambda w, c: signed(c, typ="read+jwt"),
    "of no kind": lambda w, c: signed(c, typ="JWT"),
    "jku": lambda w, c: signed(c, jku="https://evil.example/keys"),
    "x5u": lambda w, c: signed(c, x5u="https://evil.example/cert"),
    "jwk": lambda w, c: signed(c, jwk={"kty": "oct", "k": "AAAA"}),
    "kid": lambda w, c: signed(c, kid="../../dev/null"),
    "crit": lambda w, c: signed(c, crit=["exp"]),
    "expired": lambda w, c: signed({**c, "iat": c["iat"] - 120, "exp": c["iat"] - 60}),
    "from the future": lambda w, c: signed({**c, "iat": c["iat"] + 60, "exp": c["exp"] + 60}),
    "6 seconds from the future": lambda w, c: signed({**c, "iat": c["iat"] + 6}),
    "expired 5 seconds ago": lambda w, c: signed({**c, "iat": c["iat"] - 65, "exp": c["iat"] - 5}),
    "not before a moment that has come": lambda w, c: signed({**c, "nbf": c["iat"] - 10}),
    "not before a moment to come": lambda w, c: signed({**c, "nbf": c["iat"] + 30}),
    "61 seconds long": lambda w, c: signed({**c, "exp": c["iat"] + 61}),
    "two hours long": lambda w, c: signed({**c, "exp": c["iat"] + 7200}),
    "without an end": lambda w, c: signed({k: v for k, v in c.items() if k != "exp"}),
    "an end that is no number": lambda w, c: signed({**c, "exp": str(c["exp"])}),
    "an end that is true": lambda w, c: signed({**c, "iat": 0, "exp": True}),
    "another audience": lambda w, c: signed({**c, "aud": "https://other.example"}),
    "several audiences": lambda w, c: signed({**c, "aud": [c["aud"], "https://other.example"]}),
    "another issuer": lambda w, c: signed({**c, "iss": "https://other.example"}),
    "without an id": lambda w, c: signed({k: v for k, v in c.items() if k != "jti"}),
    "an id of another form": lambda w, c: signed({**c, "jti": "short"}),
    "customer 0": lambda w, c: signed({**c, "sub": "0"}),
    "a customer in other digits": lambda w, c: signed({**c, "sub": "٣"}),
    "no address": lambda w, c: signed({**c, "email": ""}),
    "an address with a line": lambda w, c: signed({**c, "email": "a@b.test\nBcc: x@y.test"}),
    "much too long": lambda w, c: signed({**c, "given_name": "x" * 9_000}),
}
TARGETS = (
    "//evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "https://user@learn.example/",
    "/course/view.php?id=1",
    "course:1\r\nLocation: https://evil.example",
    "course:%31",
    "course:-1",
    "course:0",
    "course:01",
    "course:1;course:2",
    "course:٣",
    "course:1 ",
    "",
    "COURSE:1",
    "javascript:alert(1)",
)


def public_pem(world: World) -> str:
    key = jwt.PyJWK(world.bridge.keys.current().public).key
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return str(pem.decode()).replace("-----BEGIN PUBLIC KEY-----", "").replace("-----END PUBLIC KEY-----", "")


@pytest.fixture
def untouched(world: World, nia: int) -> Iterator[None]:
    """Nothing about anybody is changed by what is refused."""
    world.look(bought(world, nia, world.course("ONE")))
    before = [world.rows(table) for table in ("persons", "accounts", "visits", "used")], world.access()
    yield
    assert ([world.rows(table) for table in ("persons", "accounts", "visits", "used")], world.access()) == before


def plain(answer: TestResponse) -> str:
    """A page without what differs each time."""
    return re.sub(r'nonce="[^"]+"', "", answer.text)


def is_refused(world: World, answer: TestResponse, page: str) -> None:
    assert answer.status_code == 403
    assert plain(answer) == page
    assert "Set-Cookie" not in answer.headers or "bridge-visit" not in answer.headers["Set-Cookie"]


@pytest.fixture
def page(world: World) -> str:
    """What everybody is told who is refused."""
    return plain(launch(world, "x"))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_is_refused_with_the_same_page_and_written_down(
    world: World, nia: int, page: str, attack: str
) -> None:
    before = len(refusals(world))
    is_refused(world, launch(world, ATTACKS[attack](world, claims(world, nia))), page)
    assert len(refusals(world)) == before + 1


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_is_none_of_the_list_is_refused(world: World, nia: int, page: str, target: str) -> None:
    is_refused(world, launch(world, signed(claims(world, nia, target=target))), page)
    assert len(refusals(world)) == 2, "the one of the page to compare with, and this one"


@pytest.mark.usefixtures("untouched")
def test_a_bit_that_is_flipped_anywhere_is_noticed(world: World, nia: int) -> None:
    token = signed(claims(world, nia))
    tokens = world.bridge.sign_on
    assert tokens is not None
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for at, sign in enumerate(token):
        if sign == ".":
            continue
        for bit in range(6):
            flipped = token[:at] + alphabet[alphabet.index(sign) ^ (1 << bit)] + token[at + 1 :]
            with pytest.raises(Exception, match="it"):
                tokens.tokens.launch(flipped)
    for part in range(3):  # and as a browser hands it over: one sign of each part
        parts = token.split(".")
        parts[part] = parts[part][:5] + ("A" if parts[part][5] != "A" else "B") + parts[part][6:]
        answer = launch(world, ".".join(parts))
        assert (answer.status_code, len(refusals(world))) == (403, part + 1)
    assert world.rows("visits") == []


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "http://127.0.0.1"])
def test_a_token_that_another_page_hands_over_is_refused(world: World, nia: int, page: str, origin: str) -> None:
    """Else somebody could sign another's browser in as themselves, and watch what they do."""
    is_refused(world, launch(world, signed(claims(world, nia)), Origin=origin), page)


@pytest.mark.parametrize("times", [(5, 60), (-64, -4)])
def test_two_clocks_may_differ_by_five_seconds_and_no_more(world: World, nia: int, times: tuple[int, int]) -> None:
    token = claims(world, nia)
    token |= {"iat": token["iat"] + times[0], "exp": token["iat"] + times[1]}
    assert launch(world, signed(token)).status_code == 303


def test_a_token_that_was_used_is_refused_as_everything_else_is(world: World, nia: int, page: str) -> None:
    token = signed(claims(world, nia))
    assert launch(world, token).status_code == 303
    before = [world.rows(table) for table in ("persons", "accounts", "visits", "used")]
    is_refused(world, launch(world, token), page)
    assert refusals(world)[1:] == ["it was used before"]
    (entry,) = [row for row in world.rows("audit") if row.cause == "it was used before"]
    assert entry.facts == {"customer": nia}
    assert [world.rows(table) for table in ("persons", "accounts", "visits", "used")] == before


@pytest.mark.parametrize("path", ["/sso/launch", "/sso/link", "/sso/link/open", "/learn/go", "/sso/sign-out"])
def test_more_than_any_form_has_is_refused_as_everything_else_is(world: World, nia: int, page: str, path: str) -> None:
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia)), browser)
    origin = world.bridge.settings.shop.url if path == "/sso/launch" else world.bridge.settings.server.public_url
    headers = {"Origin": origin_of(origin)}
    for body in ({"token": "x" * 20_000}, {"form": "x" * 20_000}):
        answer = browser.post(path, data=body, headers=headers)
        is_refused(world, answer, page)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("known", [False, True])
def test_a_token_is_good_once_however_many_come_at_once(world: World, nia: int, known: bool) -> None:
    if known:
        world.look(bought(world, nia, world.course("ONE")))
    token = signed(claims(world, nia, target="courses"))
    app = world.bridge.web()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: launch(world, token, Client(app)).status_code, range(50)))
    assert sorted(answers) == [303] + [403] * 49
    assert len(world.rows("visits")) == 1


def test_a_session_from_before_is_never_gone_on_with(world: World, nia: int) -> None:
    browser = Client(world.bridge.web())
    browser.set_cookie("bridge-visit", "planted-by-somebody-0123456789")
    launch(world, signed(claims(world, nia, target="courses")), browser)
    cookie = browser.get_cookie("bridge-visit")
    assert cookie is not None
    assert cookie.value != "planted-by-somebody-0123456789"
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    again = cookie.value
    launch(world, signed(claims(world, nia, target="courses")), browser)
    after = browser.get_cookie("bridge-visit")
    assert after is not None
    assert after.value != again
    assert again not in str(world.rows("visits"))


def test_nobody_fills_the_audit_log_by_knocking(world: World) -> None:
    browser = Client(world.bridge.web())
    assert {launch(world, "x", browser).status_code for _ in range(150)} == {403}
    assert len(refusals(world)) == 100


def test_an_older_secret_is_taken_until_it_is_removed(world: World, nia: int) -> None:
    assert launch(world, signed(claims(world, nia), OLD)).status_code == 303
    world.restart(sso={"shop_secrets": [SECRET]})
    assert launch(world, signed(claims(world, nia), OLD)).status_code == 403


def test_a_shop_account_with_a_victims_address_gets_nothing_of_the_victims(world: World) -> None:
    """Registering an address in the shop proves nothing (measured): what counts is the customer's number."""
    victim = world.shop.add_customer("vic@pass.test")
    order = world.shop.place_order([(world.sell(world.course("ONE")), 1)], customer_id=victim, email="vic@pass.test")
    world.look(order)
    thief = world.shop.add_customer("thief@pass.test")
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, thief, email="vic@pass.test", email_verified=False)), browser)
    world.settle()
    assert "Nothing to go to" in browser.get("/sso/go", follow_redirects=True).text
    assert browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}").location == "/sso/go"


def test_a_nonce_that_is_none_is_refused(world: World, nia: int, page: str) -> None:
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia)), browser)
    for nonce in ("", "x", "0" * 31, "g" * 32, "0" * 32 + "\n"):
        is_refused(world, browser.get("/sso/totara", query_string={"nonce": nonce}), page)
    assert refusals(world)[1:] == ["it is no nonce of Totara's plugin"] * 5


def test_nobody_is_vouched_for_to_a_program_that_only_looks(world: World, nia: int) -> None:
    """Of a HEAD nobody goes on with the answer: no token is made, nothing is used up and nothing written down."""
    course = world.course("ONE")
    world.look(bought(world, nia, course))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target=f"course:{course}")), browser)
    before = len(world.rows("audit"))
    answer = browser.head(f"/sso/totara?nonce={secrets.token_hex(16)}")
    assert (answer.status_code, len(world.rows("audit"))) == (405, before)
    assert target_in(browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")) == f"/course/view.php?id={course}"


def test_pages_are_kept_out_of_caches_frames_and_scripts_of_others(world: World, nia: int) -> None:
    browser = Client(world.bridge.web())
    for answer in (launch(world, signed(claims(world, nia, target="courses")), browser), browser.get("/learn")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)


def test_a_host_that_somebody_made_up_leads_nowhere(world: World, nia: int) -> None:
    """All addresses are made from the settings: a page kept by a cache, or mailed on, leads to nobody else's server."""
    forged = {"Host": "evil.test", "X-Forwarded-Host": "evil.test"}
    browser = Client(world.bridge.web())
    came = launch(world, signed(claims(world, nia, target="courses")), browser, **forged)
    seen = [
        came,
        browser.get("/learn", headers=forged),
        browser.get("/sso/go", headers=forged),
        Client(world.bridge.web()).get("/learn", headers=forged),
        Client(world.bridge.web()).get("/sso/link", headers=forged),
        Client(world.bridge.web()).get("/sso/link/open", headers=forged),
    ]
    assert [answer.status_code for answer in seen] == [303, 200, 303, 303, 200, 200]
    assert "evil" not in "".join(f"{answer.text}{answer.headers}" for answer in seen)


def test_names_in_tokens_and_courses_do_no_harm_to_the_page(world: World, nia: int) -> None:
    course = world.course("ONE")
    world.sell(course)
    product = world.product(course)["id"]
    world.shop.change_product(product, {"name": "<script>alert(1)</script>"})
    world.look(world.shop.place_order([(product, 1)], customer_id=nia, email=NIA))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="courses")), browser)
    assert "<script>alert" not in browser.get("/learn").text


def test_no_form_of_the_whole_bridge_is_taken_from_another_page(world: World, nia: int) -> None:
    """Whatever takes a POST: of a visitor who is signed in, sent by a page of somebody else, or without the visit's
    word. The rest is asked by machines, which send no cookies.
    """
    world.look(bought(world, nia, world.course("ONE")))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="courses")), browser)
    machines = ("api.", "oidc.", "team_api.", "webhooks.")
    posts = [rule for rule in world.bridge.web().url_map.iter_rules() if "POST" in (rule.methods or ())]
    forms = [rule for rule in posts if not rule.endpoint.startswith(machines) and "." in rule.endpoint]
    assert {"/sso/launch", "/sso/link", "/sso/link/look", "/sso/sign-out", "/learn/go"} <= {one.rule for one in forms}
    before = [world.rows(table) for table in ("persons", "visits", "link_requests", "links", "seats", "consents")]
    for rule in forms:
        built = rule.build({name: "1" * 14 if name == "key" else 1 for name in rule.arguments})
        assert built is not None, rule.rule
        for word in ({}, {"form": "x"}):
            answer = browser.post(built[1], data=word, headers={"Origin": "https://evil.test"})
            assert (rule.rule, answer.status_code) == (rule.rule, 403)
    assert [
        world.rows(table) for table in ("persons", "visits", "link_requests", "links", "seats", "consents")
    ] == before


@pytest.mark.parametrize(
    "planted",
    [
        "//evil.test",
        "https://evil.test/learn",
        "/\\evil.test",
        "/learn\\evil.test",
        "\\\\evil.test",
        "/team\\..\\evil.test",
        "/%2f%2fevil.test",
        "@evil.test",
        "javascript:alert(1)",
        "/sso/launch",
    ],
)
def test_what_a_browser_came_for_leads_nowhere_but_to_pages_of_ours(world: World, nia: int, planted: str) -> None:
    """Also where somebody could write the cookie, as from another host of the same domain."""
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="resume")), browser)
    browser.set_cookie("bridge-resume", planted)
    came = browser.get("/sso/go")
    assert (
        came.location is None
        or came.location.startswith(f"{world.bridge.settings.totara.url}/")
        or (came.location == "/sso/go?again=1")
    )
    browser.set_cookie("bridge-resume", "/learn?x=1")
    assert browser.get("/sso/go").location == "/learn?x=1"


def test_over_tls_the_cookies_are_bound_to_this_host_and_to_tls(make_world: Callable[..., World]) -> None:
    """By their names and attributes browsers send them nowhere else, and take them from nobody else."""
    world = make_world(sso={"shop_secrets": [SECRET]}, server={"public_url": "https://bridge.example"})
    nia = world.shop.add_customer(NIA)
    browser = Client(world.bridge.web())
    came = browser.get("/learn", base_url="https://bridge.example")
    went = launch(world, signed(claims(world, nia, target="courses")), browser)
    out = [*came.headers.getlist("Set-Cookie"), *went.headers.getlist("Set-Cookie")]
    assert {cookie.partition("=")[0] for cookie in out} >= {"__Host-bridge-visit", "__Host-bridge-resume"}
    for cookie in out:
        assert cookie.startswith("__Host-")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


# --- keys ------------------------------------------------------------------------------------------------------------


def kids(world: World) -> list[str]:
    return [key["kid"] for key in world.web.get("/.well-known/jwks.json").get_json()["keys"]]


def test_keys_change_without_a_gap(world: World, nia: int) -> None:
    """A new key is published before it signs, and an old one for a while after it has ceased to."""
    old = world.bridge.keys.current().kid
    new = world.bridge.keys.rotate().kid
    assert (kids(world), world.bridge.keys.current().kid) == ([new, old], old)
    world.clock.advance(seconds=OVERLAP.total_seconds() + 1)
    assert (kids(world), world.bridge.keys.current().kid) == ([new, old], new)
    world.clock.advance(seconds=OVERLAP.total_seconds() + 1)
    assert kids(world) == [new]
    assert world.bridge.keys.tidy() == 1
    assert [row.kid for row in world.rows("signing_keys")] == [new]


def test_a_key_that_is_not_to_be_trusted_any_more_is_gone_at_once(world: World) -> None:
    new = world.bridge.keys.rotate(at_once=True).kid
    assert (kids(world), world.bridge.keys.current().kid) == ([new], new)


def test_nothing_private_is_published(world: World) -> None:
    (key,) = world.web.get("/.well-known/jwks.json").get_json()["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}


# --- what the shop's plugin asks -------------------------------------------------------------------------------------


def asked(world: World, path: str, token: str, method: str = "GET") -> TestResponse:
    return world.web.open(f"/api/v1{path}", method=method, headers={"Authorization": f"Bearer {token}"})


def test_a_customers_courses_are_told_to_the_shop_and_only_theirs(world: World, nia: int) -> None:
    course = world.course("ONE")
    world.look(bought(world, nia, course))
    answer = asked(world, f"/customers/{nia}/courses", signed(claims(world, nia), typ="read+jwt"))
    (one,) = answer.get_json()["courses"]
    assert (one["item"], one["state"], one["target"]) == (f"course:{course}", "ready", f"course:{course}")
    assert asked(world, f"/customers/{nia}/courses", signed(claims(world, nia + 1), typ="read+jwt")).status_code == 403
    assert asked(world, "/status", signed(claims(world, nia), typ="read+jwt")).status_code == 403
    written = [(row.cause, row.facts) for row in world.rows("audit") if row.event == "sign-on refused"]
    assert written == [
        ("the token is for another customer", {"at": f"/api/v1/customers/{nia}/courses", "customer": nia + 1}),
        ("the token is for a customer", {"at": "/api/v1/status", "customer": nia}),
    ]
    assert asked(world, f"/customers/{nia}/courses", signed(claims(world, nia))).status_code == 401
    assert asked(world, f"/customers/{nia}/courses", "x").status_code == 401
    assert world.web.get(f"/api/v1/customers/{nia}/courses").status_code == 401
    stranger = asked(world, "/customers/999/courses", signed(claims(world, 999), typ="read+jwt"))
    assert stranger.get_json()["courses"] == []


def test_why_a_course_waits_is_told_to_the_shop_in_words_of_its_customers_language(world: World, nia: int) -> None:
    world.totara.add_user(NIA, username="officer")
    world.look(bought(world, nia, world.course("ONE")))
    token = signed(claims(world, nia), typ="read+jwt")
    said = {}
    for language in ("en-US", "fr-FR", "es-ES", "ar-MA", "de-DE"):
        headers = {"Authorization": f"Bearer {token}", "Accept-Language": language}
        (one,) = world.web.get(f"/api/v1/customers/{nia}/courses", headers=headers).get_json()["courses"]
        assert one["state"] == "waiting"
        said[language] = one["reason"].split(".")[0]
    english = "An account with your address is there already"
    assert said == {
        "en-US": english,
        "fr-FR": "Un compte avec votre adresse existe déjà",
        "es-ES": "Ya existe una cuenta con su dirección",
        "ar-MA": "يوجد بالفعل حساب بعنوانك",
        "de-DE": english,
    }


def test_whoever_asks_too_often_is_told_to_wait(world: World, nia: int) -> None:
    token = signed(claims(world, nia), typ="read+jwt")
    answers = [asked(world, f"/customers/{nia}/courses", token).status_code for _ in range(61)]
    assert answers == [200] * 60 + [429]


def test_a_poke_has_the_order_looked_at(world: World, nia: int) -> None:
    course = world.course("ONE")
    order = bought(world, nia, course)
    answer = asked(world, "/pokes", signed(claims(world, 0, order=order), typ="poke+jwt"), "POST")
    assert (answer.status_code, answer.get_json()) == (202, {"order": order})
    world.settle()
    assert world.access() == {(NIA, course): "active"}
    for wrong in (0, -1, True, "1", None, 2**63):
        assert asked(world, "/pokes", signed(claims(world, 0, order=wrong), typ="poke+jwt"), "POST").status_code == 401


def test_the_shop_can_try_whether_it_is_understood(world: World) -> None:
    assert asked(world, "/status", signed(claims(world, 0), typ="read+jwt")).get_json()["ok"] is True
    assert asked(world, "/status", signed(claims(world, 0), "x" * 40, typ="read+jwt")).status_code == 401


def test_without_a_shared_secret_there_is_no_way_in(make_world: Callable[..., World]) -> None:
    world = make_world()
    assert world.web.post("/sso/launch", data={"token": "x"}).status_code == 404
    assert world.web.get("/.well-known/jwks.json").status_code == 404


# --- who is who ------------------------------------------------------------------------------------------------------


def test_what_a_guest_bought_is_the_customers_once_the_shop_has_checked_the_address(world: World, nia: int) -> None:
    course = world.course("ONE")
    world.look(world.shop.place_order([(world.sell(course), 1)], email=NIA))
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="courses", email_verified=False)), browser)
    world.settle()
    assert f"Course {course}" not in browser.get("/learn").text
    launch(world, signed(claims(world, nia, target="courses", email_verified=True)), browser)
    world.settle()
    assert f"Course {course}" in browser.get("/learn").text
    assert world.access() == {(NIA, course): "active"}
    assert token_in(browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}"))


@pytest.mark.parametrize("verified", ["true", 1, None, "yes"])
def test_only_the_word_true_says_that_an_address_was_checked(world: World, nia: int, verified: Any) -> None:
    launch(world, signed(claims(world, nia, email_verified=verified)))
    assert world.rows("proofs") == []
