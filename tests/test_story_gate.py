"""Stories: to whose account nobody is signed in, by Totara's plugin or by its own OAuth 2, and nothing is given.

On both databases.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from bridge.store import people
from tests.test_commands_people import BY, done
from tests.test_oidc import SSO, Site, answer_of, goes_nowhere, refused, same_page
from tests.test_story_people import as_customer, events
from tests.world import Run, World

NIA = "nia@trader.test"


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world(sso=SSO)


@pytest.fixture
def site(world: World) -> Site:
    """A Totara that tells what kind of accounts it has."""
    site = Site(world)
    site.world.totara.has_plugin = True
    site.world.totara.add_tenant("memberland", "Memberland")
    return site


def by_plugin(site: Site, browser: Client) -> TestResponse:
    """What a browser is answered that Totara's plugin has sent."""
    return browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")


def by_oauth2(site: Site, browser: Client) -> TestResponse:
    """What a browser is answered that Totara's own OAuth 2 has sent."""
    return site.authorize(browser)


def gets_in(answer: TestResponse) -> bool:
    return 'name="token"' in answer.text or "code=" in (answer.location or "")


def moves(site: Site, tenant: str) -> None:
    account = site.account(NIA)
    account.tenant = site.world.totara.tenant(tenant).id if tenant else None


CHANGES: Mapping[str, tuple[Callable[[Site], None], str]] = {
    "suspended": (lambda s: setattr(s.account(NIA), "suspended", True), "the account is suspended, or gone"),
    "deleted": (lambda s: s.world.totara.delete_user(s.account(NIA)), "the account is suspended, or gone"),
    "renamed": (lambda s: setattr(s.account(NIA), "username", "admin2"), "the account was renamed"),
    "made an administrator": (
        lambda s: s.world.totara.administrators.add(s.account(NIA).id),
        "the account is an administrator's, or staff's",
    ),
    "made staff": (
        lambda s: s.world.totara.staff.add(s.account(NIA).id),
        "the account is an administrator's, or staff's",
    ),
    "of a suspended tenant": (
        lambda s: setattr(s.world.totara.tenant("academy"), "suspended", True),
        "the account's tenant is suspended",
    ),
    "moved to a member's tenant": (
        lambda s: moves(s, "memberland"),
        "the account is not the academy's: it belongs to the tenant memberland",
    ),
    "taken out of the tenant": (
        lambda s: moves(s, ""),
        "the account is not the academy's: it belongs to no tenant",
    ),
}


@pytest.mark.parametrize("way", [by_plugin, by_oauth2])
@pytest.mark.parametrize("change", CHANGES)
def test_to_such_an_account_nobody_is_signed_in(
    site: Site, change: str, way: Callable[[Site, Client], TestResponse]
) -> None:
    browser = site.signed_in()
    assert gets_in(way(site, browser))
    person, user = site.world.rows("accounts")[0].person_id, site.account(NIA).id
    changed, why = CHANGES[change]
    changed(site)
    before = site.world.rows("accounts"), site.world.access(), len(events(site.world, "vouched for to Totara"))
    answer = way(site, browser)
    assert (answer.status_code, gets_in(answer), goes_nowhere(answer)) == (403, False, True)
    assert site.refusals() == [why]
    (entry,) = events(site.world, "sign-on refused")
    assert entry.facts == {"person": person, "user": user}
    everybodys = browser.post("/sso/launch", data={"token": "x"}, headers={"Origin": site.shop_url})
    assert same_page(answer, everybodys)
    after = site.world.rows("accounts"), site.world.access(), len(events(site.world, "vouched for to Totara"))
    assert after == before


@pytest.mark.parametrize("change", sorted(set(CHANGES) - {"suspended", "deleted", "renamed"}))
def test_neither_a_code_nor_a_token_from_before_opens_it(site: Site, change: str) -> None:
    browser = site.signed_in()
    code, access = site.code(browser), site.token(site.code(browser)).get_json()["access_token"]
    changed, why = CHANGES[change]
    changed(site)
    assert answer_of(site.authorize(browser, prompt="none"), site.callback)["error"] == "access_denied"
    assert refused(site.token(code)) == (400, "invalid_grant")
    assert refused(site.userinfo(access)) == (401, "invalid_token")
    assert site.refusals() == [why] * 3


@pytest.mark.parametrize("way", [by_plugin, by_oauth2])
@pytest.mark.parametrize(
    "change",
    ["made an administrator", "made staff", "of a suspended tenant", "moved to a member's tenant"],
)
def test_what_totara_does_not_tell_is_held_against_nobody(
    make_world: Callable[..., World], change: str, way: Callable[[Site, Client], TestResponse]
) -> None:
    """Without the plugin's function nothing of it is known, and Totara itself decides."""
    site = Site(make_world(sso=SSO))
    site.world.totara.add_tenant("memberland", "Memberland")
    browser = site.signed_in()
    CHANGES[change][0](site)
    assert gets_in(way(site, browser))


@pytest.mark.parametrize("way", [by_plugin, by_oauth2])
def test_where_no_tenant_is_configured_it_does_not_matter_whose_member_somebody_is(
    make_world: Callable[..., World], way: Callable[[Site, Client], TestResponse]
) -> None:
    site = Site(make_world(sso=SSO, totara={"tenant": ""}))
    site.world.totara.has_plugin = True
    browser = site.signed_in()
    moves(site, "academy")
    assert gets_in(way(site, browser))


# --- linked accounts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [by_plugin, by_oauth2])
@pytest.mark.parametrize("vouched", [True, False])
def test_a_linked_account_of_a_members_tenant_is_opened_by_an_operators_word_only(
    site: Site, vouched: bool, way: Callable[[Site, Client], TestResponse]
) -> None:
    browser = site.signed_in()
    user = site.world.totara.add_user("nia@old.test", username="nia.trader", tenant="memberland")
    with site.world.bridge.store.begin() as connection:
        people.account_made(connection, 1, user, site.world.now(), linked=True, vouched=vouched)
    assert gets_in(way(site, browser)) is vouched
    assert len(site.refusals()) == (0 if vouched else 1)


@pytest.mark.parametrize("way", [by_plugin, by_oauth2])
@pytest.mark.parametrize("change", ["made an administrator", "made staff", "of a suspended tenant", "suspended"])
def test_no_operators_word_signs_anybody_in_to_these(
    site: Site, change: str, way: Callable[[Site, Client], TestResponse]
) -> None:
    browser = site.signed_in()
    with site.world.bridge.store.begin() as connection:
        people.vouch(connection, 1)
    CHANGES[change][0](site)
    assert not gets_in(way(site, browser))


@pytest.mark.parametrize("change", ["moved to a member's tenant", "taken out of the tenant", "renamed"])
def test_an_operator_may_say_that_a_moved_account_is_theirs_all_the_same(
    site: Site, bridge_command: Run, change: str
) -> None:
    browser, world = site.signed_in(), site.world
    CHANGES[change][0](site)
    assert not gets_in(by_plugin(site, browser))
    made = world.rows("accounts")[0]
    done(bridge_command, "link", "1", "--totara", str(made.totara_id), *BY)
    assert (gets_in(by_plugin(site, browser)), gets_in(by_oauth2(site, browser))) == (True, True)
    (account,) = world.rows("accounts")
    assert (account.totara_id, account.linked, account.vouched) == (made.totara_id, False, True)
    (entry,) = events(world, "account linked")
    assert (entry.actor, entry.facts) == ("M. Vella", {"user": made.totara_id})


# --- what is given ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tenant", ["memberland", ""])
def test_to_an_account_that_became_a_members_nothing_more_is_given(
    site: Site, bridge_command: Run, tenant: str
) -> None:
    world = site.world
    nia = site.customer(NIA)
    moves(site, tenant)
    two = world.course("TWO")
    order = as_customer(world, nia, two)
    assert world.access() == {(NIA, site.course): "active"}
    where = f"the tenant {tenant}" if tenant else "no tenant"
    user = site.account(NIA).id
    assert world.parked()["learner 1"] == (
        f"Totara user {user} is not the academy's any more, it belongs to {where}: nothing is given to it"
    )
    assert "waiting" in world.told(order)
    done(bridge_command, "link", "1", "--totara", str(user), *BY)
    world.settle()
    assert world.access() == {(NIA, site.course): "active", (NIA, two): "active"}
    assert world.parked() == {}


def test_what_is_not_paid_for_any_more_ends_there_all_the_same(site: Site) -> None:
    world = site.world
    customer = world.shop.add_customer(NIA, "Nia", "Trader")
    order = as_customer(world, customer, world.course("TWO"))
    moves(site, "memberland")
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert set(world.access().values()) == {"suspended"}


def test_where_totara_does_not_tell_things_are_given_as_before(make_world: Callable[..., World]) -> None:
    site = Site(make_world(sso=SSO))
    site.world.totara.add_tenant("memberland", "Memberland")
    nia, two = site.customer(NIA), site.world.course("TWO")
    moves(site, "memberland")
    as_customer(site.world, nia, two)
    assert site.world.access()[NIA, two] == "active"


# --- other requests that are refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"request": "x"}, "request_not_supported"),
        ({"code_challenge": "x" * 43, "code_challenge_method": "plain"}, "invalid_request"),
        ({"nonce": "x" * 300}, "invalid_request"),
    ],
)
def test_a_request_of_a_kind_that_is_not_served_is_written_down(site: Site, asked: dict[str, Any], error: str) -> None:
    told = answer_of(site.authorize(site.signed_in(), **asked), site.callback)
    assert (told["error"], "code" in told) == (error, False)
    (why,) = site.refusals()
    assert re.match("a request of a kind that is not served: .", why)


def test_nothing_is_written_down_of_somebody_who_only_has_to_sign_in_first(site: Site) -> None:
    site.authorize(site.browser(), prompt="none")
    site.authorize(site.browser())
    assert site.refusals() == []


def test_what_totara_itself_asks_amiss_is_written_down(site: Site) -> None:
    code = site.code(site.signed_in())
    site.token(code, grant_type="password")
    site.token("")
    assert refused(site.token("x" * 20_000)) == (400, "invalid_request")
    assert [why.split(":")[0] for why in site.refusals()] == [
        "a request of a kind that is not served",
        "a request of a kind that is not served",
        "more was sent than any form of ours has",
    ]
    assert site.token(code).status_code == 200
