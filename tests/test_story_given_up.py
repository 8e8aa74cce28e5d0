"""Stories: an address that a customer has given up in the shop is nobody's any more, whoever has the mailbox by now.

Over the wire, on both databases.
"""

from __future__ import annotations

import secrets

import pytest
from werkzeug.test import Client

from bridge.domain.identity import How
from bridge.errors import Refused
from bridge.who import prove
from bridge.woo_client import WooClient
from tests.test_mail import Inbox
from tests.test_story_links import ask, mailed, opened
from tests.test_story_sign_on import asked, claims, launch, refusals, signed, target_in
from tests.test_story_teams import BOSS, buys, give
from tests.world import World

OLD, NEW = "old@b.test", "new@b.test"


@pytest.fixture
def world(world_with_letters: World) -> World:
    return world_with_letters


@pytest.fixture
def course(world: World) -> int:
    return world.course("ONE")


@pytest.fixture
def nia(world: World, course: int, inbox: Inbox) -> int:
    """A customer with a course, whose address the shop has checked; her letters are read."""
    customer = world.shop.add_customer(OLD, "Nia", "Noon")
    world.look(world.shop.place_order([(world.sell(course), 1)], customer_id=customer, email=OLD))
    comes(world, customer, OLD, verified=True)
    world.settle()
    inbox.mails.clear()
    return customer


def comes(world: World, customer: int, email: str, *, verified: bool) -> Client:
    """The customer comes from the shop, which has this address for them; their browser."""
    world.shop.change_customer(customer, {"email": email})
    browser, token = Client(world.bridge.web()), signed(claims(world, customer, email=email, email_verified=verified))
    assert launch(world, token, browser).status_code == 303
    return browser


def entries(world: World, event: str) -> list[int | None]:
    return [row.person_id for row in world.rows("audit") if row.event == event]


def is_in(browser: Client) -> bool:
    return browser.get("/learn").status_code == 200


def mails_for(world: World, inbox: Inbox, address: str) -> list[str]:
    """To whom a link is mailed that somebody asks for."""
    inbox.mails.clear()
    ask(world, address)
    world.settle()
    assert world.rows("link_requests") == []
    return [str(mail["To"]) for mail in inbox.mails]


@pytest.mark.parametrize("verified", [True, False])
def test_no_link_is_mailed_to_an_address_that_the_shop_has_no_more(
    world: World, nia: int, inbox: Inbox, verified: bool
) -> None:
    """Whoever has that mailbox by now is nobody of ours."""
    assert mails_for(world, inbox, OLD) == ["Nia Noon <old@b.test>"]
    comes(world, nia, NEW, verified=verified)
    assert mails_for(world, inbox, OLD) == []
    assert mails_for(world, inbox, NEW) == (["Nia Noon <new@b.test>"] if verified else [])
    assert entries(world, "address given up") == [world.rows("persons")[0].id]
    assert OLD not in str([row._mapping for row in world.rows("audit")])


def test_the_shop_is_asked_for_its_customers_address_before_a_link_is_mailed(
    world: World, nia: int, inbox: Inbox
) -> None:
    """The customer never came since: nothing but the shop's own record tells of it."""
    world.shop.change_customer(nia, {"email": NEW})
    assert mails_for(world, inbox, OLD) == []
    assert (world.rows("links"), len(entries(world, "address given up"))) == ([], 1)


def test_while_the_shop_cannot_be_asked_a_customers_link_waits_and_a_guests_does_not(
    world: World, nia: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.look(world.shop.place_order([(world.sell(world.course("TWO")), 1)], email="mia@guest.test"))
    inbox.mails.clear()

    def refuses(*_given: object) -> None:
        raise Refused("the shop refused customer: no")

    monkeypatch.setattr(WooClient, "find_customer", refuses)
    for address in (OLD, "mia@guest.test"):
        ask(world, address)
    world.settle()
    assert [str(mail["To"]) for mail in inbox.mails] == ["mia@guest.test"]
    assert [row.email for row in world.rows("link_requests")] == [OLD]
    monkeypatch.undo()
    world.pass_time()
    world.settle()
    assert [str(mail["To"]) for mail in inbox.mails[1:]] == ["Nia Noon <old@b.test>"]


def test_a_link_that_was_mailed_before_opens_nothing_and_whoever_came_by_one_is_signed_out(
    world: World, nia: int, inbox: Inbox
) -> None:
    came, other = Client(world.bridge.web()), comes(world, nia, OLD, verified=False)
    opened(world, mailed(world, inbox, OLD), came)
    unopened = mailed(world, inbox, OLD)
    assert (is_in(came), is_in(other)) == (True, True)
    comes(world, nia, NEW, verified=False)
    assert world.rows("links") == []
    assert opened(world, unopened).status_code == 403
    assert (is_in(came), is_in(other)) == (False, True), "who came from the shop stays"


def test_what_is_bought_for_the_old_address_is_not_the_customers(world: World, nia: int, course: int) -> None:
    """As a guest, and as a gift; seen before the customer came again, since the shop is asked."""
    world.shop.change_customer(nia, {"email": NEW})
    two, three = world.course("TWO"), world.course("THREE")
    gift = {"product_id": world.sell(three), "quantity": 1, "meta": {"_bridge_gift_to": OLD}}
    guest = world.shop.place_order([(world.sell(two), 1)], email=OLD)
    given = world.shop.place_order([gift], email="uncle@b.test")
    world.look(guest, given)
    nias = next(row.id for row in world.rows("persons") if row.customer_id == nia)
    assert {row.id: row.person_id for row in world.rows("orders")}[guest] != nias
    assert world.access() == {(OLD, course): "active"}, "the account is still hers, and nobody else gets one"
    assert len([row for row in world.rows("seats") if row.person_id == nias]) == 1


def test_a_gift_alone_has_the_shop_asked_too(world: World, nia: int, course: int) -> None:
    world.shop.change_customer(nia, {"email": NEW})
    gift = {"product_id": world.sell(world.course("TWO")), "quantity": 1, "meta": {"_bridge_gift_to": OLD}}
    world.look(world.shop.place_order([gift], email="uncle@b.test"))
    assert world.access() == {(OLD, course): "active"}
    assert len(entries(world, "address given up")) == 1


def test_what_the_new_owner_of_the_mailbox_bought_opens_what_is_theirs_alone(
    world: World, nia: int, course: int, inbox: Inbox
) -> None:
    comes(world, nia, NEW, verified=False)
    two = world.course("TWO")
    world.look(world.shop.place_order([(world.sell(two), 1)], email=OLD, first_name="Tom"))
    browser = Client(world.bridge.web())
    opened(world, mailed(world, inbox, OLD), browser)
    page = browser.get("/learn").text
    assert (f"Course {course}" in page, f"Course {two}" in page) == (False, True)
    assert browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}").status_code == 303, "with no account to go to"


def test_no_invitation_is_mailed_to_the_old_address(world: World, nia: int, inbox: Inbox) -> None:
    """It would sign in whoever opens it; the shop is asked first, as for a link."""
    buys(world, world.shop.add_customer(BOSS), world.sell(world.course("TEAM")), 2)
    world.shop.change_customer(nia, {"email": NEW})
    inbox.mails.clear()
    give(world, OLD)
    assert (inbox.mails, world.rows("links")) == ([], [])
    assert any("an invitation can't be sent" in why for why in world.parked().values())


def test_the_address_counts_again_once_the_shop_has_it_again(world: World, nia: int, inbox: Inbox) -> None:
    comes(world, nia, NEW, verified=False)
    comes(world, nia, OLD, verified=False)
    assert mails_for(world, inbox, OLD) == ["Nia Noon <old@b.test>"]
    assert world.rows("persons")[0].shop_email is None


def test_an_address_that_was_checked_by_and_by_is_written_to(world: World, nia: int, inbox: Inbox) -> None:
    browser = comes(world, nia, NEW, verified=False)
    comes(world, nia, NEW, verified=True)
    assert mails_for(world, inbox, NEW) == ["Nia Noon <new@b.test>"]
    (person,) = world.rows("persons")
    assert (person.email, person.shop_email, entries(world, "address changed")) == (NEW, None, [person.id])
    assert target_in(browser.get(f"/sso/totara?nonce={secrets.token_hex(16)}")), "nothing about the account changed"


def test_an_address_checked_while_another_has_it_reserved_is_no_reason_to_keep_the_old_one(
    world: World, nia: int, inbox: Inbox
) -> None:
    world.look(world.shop.place_order([(world.sell(world.course("TWO")), 1)], email=NEW))
    world.settle()
    comes(world, nia, NEW, verified=True)
    assert mails_for(world, inbox, OLD) == []


def test_what_an_operator_gave_is_kept_until_an_operator_takes_it(world: World, nia: int, inbox: Inbox) -> None:
    person = world.rows("persons")[0].id
    with world.bridge.store.begin() as connection:
        prove(world.bridge.store, connection, person, OLD, How.OPERATOR, world.now())
    comes(world, nia, NEW, verified=False)
    assert mails_for(world, inbox, OLD) == ["Nia Noon <old@b.test>"]
    assert entries(world, "address given up") == []


def test_before_there_is_an_account_it_is_made_with_what_the_shop_has_by_then(world: World, course: int) -> None:
    world.totara.add_user(OLD)  # somebody's, so that the learner waits
    nia = world.shop.add_customer(OLD, "Nia", "Noon")
    world.look(world.shop.place_order([(world.sell(course), 1)], customer_id=nia, email=OLD))
    assert world.access() == {}
    comes(world, nia, NEW, verified=False)
    world.owe("learner", world.rows("persons")[0].id)
    world.settle()
    assert world.access() == {(NEW, course): "active"}


def test_an_account_with_the_old_address_is_not_linked(world: World, course: int) -> None:
    """The proof that counted when the order came counts no more when the account is looked for."""
    world.totara.has_plugin = True
    nia = world.shop.add_customer(OLD, "Nia", "Noon")
    order = world.shop.place_order([(world.sell(course), 1)], customer_id=nia, email=OLD)
    world.owe("order", order)
    comes(world, nia, OLD, verified=True)
    world.totara.add_user(OLD, tenant="academy")
    comes(world, nia, NEW, verified=False)
    world.settle()
    assert world.access() == {(NEW, course): "active"}
    assert [row.linked for row in world.rows("accounts")] == [False]


# --- sign out everywhere ---------------------------------------------------------------------------------------------


def leaves(world: World, customer: int, **others: object) -> int:
    token = signed(claims(world, customer, **others), typ="sign-out+jwt")
    answer = asked(world, f"/customers/{customer}/sign-out", token, "POST")
    assert answer.status_code == 200
    return int(answer.get_json()["ended"])


def test_a_new_password_ends_visits_that_began_with_a_mailed_link_too(world: World, nia: int, inbox: Inbox) -> None:
    thief, shop = Client(world.bridge.web()), comes(world, nia, OLD, verified=True)
    opened(world, mailed(world, inbox, OLD), thief)
    unopened = mailed(world, inbox, OLD)
    assert leaves(world, nia) == 3, "the one by the link, this one from the shop, and her first"
    assert (is_in(thief), is_in(shop)) == (False, False)
    assert (world.rows("visits"), world.rows("links")) == ([], [])
    assert opened(world, unopened).status_code == 403
    assert refusals(world)[-1].startswith("a mailed link")


def test_also_the_visit_of_the_guest_that_the_customer_was(world: World, inbox: Inbox, course: int) -> None:
    world.look(world.shop.place_order([(world.sell(course), 1)], email=OLD))
    inbox.mails.clear()
    guest = Client(world.bridge.web())
    opened(world, mailed(world, inbox, OLD), guest)
    nia = world.shop.add_customer(OLD, "Nia", "Noon")
    comes(world, nia, OLD, verified=True)
    world.settle()
    assert is_in(guest)
    leaves(world, nia)
    assert not is_in(guest)


def test_one_login_that_ends_leaves_links_and_others_alone(world: World, nia: int, inbox: Inbox) -> None:
    world.look(world.shop.place_order([(world.sell(world.course("TWO")), 1)], email="mia@guest.test"))
    hers, other = Client(world.bridge.web()), Client(world.bridge.web())
    opened(world, mailed(world, inbox, OLD), hers)
    opened(world, mailed(world, inbox, "mia@guest.test"), other)
    mailed(world, inbox, "mia@guest.test")
    assert leaves(world, nia, sid="a" * 43) == 0
    assert (is_in(hers), is_in(other)) == (True, True)
    leaves(world, nia)
    assert (is_in(hers), is_in(other), len(world.rows("links"))) == (False, True, 1)
