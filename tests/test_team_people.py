"""Stories: the pages of whoever is invited, of a team's owner, and of a learner. Over the wire, on both databases."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from bridge.domain.seats import Why
from bridge.domain.teams import TeamRole
from bridge.store import teams
from bridge.store.models import purchases
from bridge.web.words import words_for
from tests.test_mail import Inbox
from tests.test_story_letters import text
from tests.test_story_links import mailed, opened
from tests.test_story_sign_on import claims, launch, signed
from tests.test_story_teams import ADA, BO, BOSS, buys, counts, give, invitation, owner
from tests.test_story_teams import seats as seats_of
from tests.world import World

EVE = "eve@else.test"
UNDELIVERED = "The letter could not be delivered."


@pytest.fixture
def world(world_with_letters: World) -> World:
    return world_with_letters


@pytest.fixture
def boss(world: World) -> int:
    """A customer of the shop, whose company buys."""
    return world.shop.add_customer(BOSS, first_name="Bea", last_name="Boss")


@pytest.fixture
def seats(world: World, boss: int) -> int:
    """The course that the company has three seats of."""
    course = world.course("ONE")
    buys(world, boss, world.sell(course), 3)
    return course


def browser(world: World) -> Client:
    return Client(world.bridge.web())


def answers(world: World, secret: str, step: str, by: Client | None = None, **form: str) -> TestResponse:
    """What one of the invitation's forms answers, sent by a page of the bridge."""
    ours = {"Origin": world.bridge.settings.server.public_url}
    form = {"first_name": "Ada", "last_name": "Byte", **form} if step == "accept" else form
    return (by or browser(world)).post(f"/team/invitation/{step}", data={"invitation": secret, **form}, headers=ours)


def signed_in(world: World, customer: int) -> Client:
    """A browser in which a customer of the shop is signed in."""
    one = browser(world)
    launch(world, signed(claims(world, customer, target="team")), one)
    return one


def accepted(world: World, inbox: Inbox, address: str, **form: str) -> Client:
    """The browser of an employee who was given a seat, and has accepted."""
    give(world, address)
    one = browser(world)
    assert answers(world, invitation(inbox, address), "accept", one, **form).status_code in (200, 303)
    world.settle()
    return one


def home(world: World, *more: object) -> str:
    """The address of a page of the first team."""
    return "/".join(map(str, ["/team", world.rows("teams")[0].key, *more]))


def word(page: TestResponse) -> str:
    found = re.search(r'name="form" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def posts(one: Client, path: str, **form: Any) -> TestResponse:
    """A form of the visitor's, with the word that was given to them."""
    return one.post(path, data={"form": word(one.get("/learn")), **form})


def events(world: World, event: str) -> list[Any]:
    return [row for row in world.rows("audit") if row.event == event]


def refusals(world: World) -> list[str]:
    return [row.cause for row in events(world, "sign-on refused")]


@pytest.mark.parametrize("role", ["seat", "member"])
def test_an_invitation_is_no_link_to_sign_in_by(world: World, seats: int, boss: int, inbox: Inbox, role: str) -> None:
    """It is answered on a page that says what it is about, and can be declined."""
    if role == "seat":
        give(world, ADA)
    else:
        posts(signed_in(world, boss), home(world, "settings", "members"), email=ADA, role="manager")
        world.settle()
    secret, ours = invitation(inbox, ADA), {"Origin": world.bridge.settings.server.public_url}
    one, before = browser(world), len(world.rows("visits"))
    assert one.post("/sso/link/open", data={"link": secret}, headers=ours).status_code == 403
    assert (len(world.rows("visits")), one.get("/learn").status_code) == (before, 303)
    assert refusals(world)[-1] == "a mailed link that can't be opened, or not any more"


# --- the invited employee --------------------------------------------------------------------------------------------


def test_an_employee_accepts_and_goes_straight_into_the_course(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    secret = invitation(inbox, ADA)
    one = browser(world)
    assert "See the invitation" in one.get("/team/invitation").text
    page = answers(world, secret, "look", one)
    assert "Harbour &amp; Sons has bought a place for you" in page.text
    assert f"Course {seats}" in page.text
    assert 'value="Ada"' in page.text
    assert "checked" not in page.text
    assert counts(world) == {"open": 2, "invited": 1}, "looking uses nothing up"
    went = answers(world, secret, "accept", one, first_name="Augusta", last_name="King", consents="yes")
    assert (went.status_code, went.location) == (303, "/sso/go")
    world.settle()
    assert world.access() == {(ADA, seats): "active"}
    assert world.totara.users[world.user(ADA)].firstname == "Augusta"
    assert one.get("/sso/go").location == f"{world.bridge.settings.totara.url}/auth/bridge/start.php"
    assert [row.withdrawn_at for row in world.rows("consents")] == [None]


@pytest.mark.parametrize(
    ("first", "last", "wrong", "told"),
    [
        ("  ", "  ", {"first_name", "last_name"}, "Please give this name."),
        ("", "King", {"first_name"}, "Please give this name."),
        ("Ada", "", {"last_name"}, "Please give this name."),
        ("\u202egnik\u202c", "King", {"first_name"}, "signs in it that can’t be seen"),
        ("Ada", "=cmd|&#39; /C calc&#39;!A1", {"last_name"}, "would take this name for a formula"),
        ("A\x00B", "King", {"first_name"}, "signs in it that can’t be seen"),
        ("A" * 101, "King", {"first_name"}, "The name is too long"),
    ],
)
def test_a_name_for_the_certificate_is_one_and_nothing_is_used_up_by_one_that_is_none(
    world: World, seats: int, inbox: Inbox, first: str, last: str, wrong: set[str], told: str
) -> None:
    give(world, ADA)
    secret, one = invitation(inbox, ADA), browser(world)
    page = answers(world, secret, "accept", one, first_name=first, last_name=last, consents="yes")
    assert page.status_code == 422
    assert set(re.findall(r'name="(\w+)"[^>]*aria-invalid', page.text)) == wrong
    assert 'role="alert"' in page.text
    assert told in page.text
    assert 'value="yes" checked' in page.text
    assert counts(world) == {"open": 2, "invited": 1}
    went = answers(world, secret, "accept", one, first_name=" Augusta  Ada ", last_name="King")
    assert went.status_code == 303
    world.settle()
    user = world.totara.users[world.user(ADA)]
    assert (user.firstname, user.lastname) == ("Augusta Ada", "King")


def test_whoever_accepted_is_asked_for_a_link_the_next_time_and_not_for_a_shop_account(
    world: World, seats: int, inbox: Inbox
) -> None:
    one = accepted(world, inbox, ADA)
    world.clock.advance(hours=13)
    assert one.get("/learn").location == f"{world.bridge.settings.server.public_url}/sso/link"


def test_consent_is_not_given_by_accepting(world: World, seats: int, inbox: Inbox) -> None:
    accepted(world, inbox, ADA, first_name="Ada", last_name="Byte")
    assert world.rows("consents") == []


def test_what_a_mail_scanner_opens_is_not_used_up(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    for _ in range(3):
        assert browser(world).get("/team/invitation").status_code == 200
        assert answers(world, invitation(inbox, ADA), "look").status_code == 200
    assert answers(world, invitation(inbox, ADA), "accept").status_code == 303


def test_the_whole_link_may_be_pasted(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    whole = f" {world.bridge.settings.server.public_url}/team/invitation#{invitation(inbox, ADA)} "
    assert "Harbour" in answers(world, whole, "look").text


def test_where_the_offer_reports_it_is_said_and_nobody_is_asked(
    world: World, boss: int, inbox: Inbox, offers: Any
) -> None:
    product = world.shop.add_product("Reported", sku="REPORTED", price="90.00")
    offers(f'[[offer]]\nsku = "REPORTED"\ngives = ["course:{world.course("ONE")}"]\nreport = true\n')
    buys(world, boss, product, 2)
    give(world, ADA)
    page = answers(world, invitation(inbox, ADA), "look").text
    assert "this is part of what was bought" in page
    assert "checkbox" not in page


def test_whoever_declines_is_thanked_and_the_seat_is_open(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    one = browser(world)
    page = answers(world, invitation(inbox, ADA), "decline", one)
    assert "You have declined" in page.text
    assert counts(world) == {"open": 3}
    assert one.get("/learn").status_code == 303, "nobody is signed in by declining"


def test_an_invitation_is_in_the_language_of_whoever_is_invited(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    with world.bridge.store.begin() as connection:
        connection.exec_driver_sql("UPDATE persons SET language = 'fr' WHERE email = 'ada@corp.test'")
    page = answers(world, invitation(inbox, ADA), "look").text
    assert '<html lang="fr"' in page
    assert 'name="language" value="fr"' in page
    thanks = answers(world, invitation(inbox, ADA), "decline", language="fr").text
    assert '<html lang="fr"' in thanks


def test_whoever_waits_for_a_yes_is_told_so(world: World, seats: int, inbox: Inbox) -> None:
    world.bridge.desk.configure(owner(world), name="Harbour", approval=True)
    give(world, ADA)
    page = answers(world, invitation(inbox, ADA), "accept")
    assert "It waits for your company’s yes" in page.text
    assert counts(world) == {"open": 2, "approval": 1}


def test_until_the_company_said_yes_their_courses_say_what_is_waited_for(
    world: World, seats: int, inbox: Inbox
) -> None:
    with world.bridge.store.begin() as connection:
        teams.set_team(connection, owner(world).team.id, approval=True)
    give(world, ADA)
    secret = invitation(inbox, ADA)
    assert "has to confirm it before you can begin" in answers(world, secret, "look").text
    one = browser(world)
    answers(world, secret, "accept", by=one)
    page = one.get("/learn").text
    assert "Your company has to confirm a place for you first" in page and "There are no courses for you" not in page
    (seat,) = seats_of(world, search=ADA)
    assert world.bridge.desk.approve(owner(world), seat.seat.id) is Why.GIVEN
    world.settle()
    assert "has to confirm" not in one.get("/learn").text


def test_an_invitation_to_a_place_that_rests_is_kept(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    secret = invitation(inbox, ADA)
    with world.bridge.store.begin() as connection:
        connection.execute(purchases.update().values(held="the payment is in dispute"))
    for step in ("look", "accept", "decline"):
        page = answers(world, secret, step)
        assert (page.status_code, "This place rests for the moment" in page.text) == (409, True), step
    with world.bridge.store.begin() as connection:
        connection.execute(purchases.update().values(held=None))
    assert answers(world, secret, "look").status_code == 200


def test_whoever_has_the_course_is_told_that_nothing_was_wasted(world: World, seats: int, inbox: Inbox) -> None:
    product = next(p["id"] for p in world.shop.products.values() if p["sku"] == f"totara-course-{seats}")
    world.look(world.shop.place_order([(product, 1)], email=ADA, first_name="Ada"))
    give(world, ADA)
    page = answers(world, invitation(inbox, ADA), "look").text
    assert 'name="first_name"' not in page, "an account was made with their name"
    assert "You have this course already" in answers(world, invitation(inbox, ADA), "accept").text
    assert counts(world) == {"open": 3}


def test_a_member_officer_is_told_plainly_and_the_seat_is_kept(world: World, seats: int, inbox: Inbox) -> None:
    world.totara.add_user(ADA, username="officer")
    one = accepted(world, inbox, ADA)
    page = one.get("/sso/go", follow_redirects=True).text
    assert "An account with your address is there already." in page
    assert "kept for you" in page
    assert counts(world) == {"open": 2, "taken": 1}


@pytest.mark.parametrize("spoil", ["used", "reclaimed", "lapsed", "wrong", "long", "nothing"])
def test_an_invitation_that_is_over_gets_one_page_whatever_the_reason(
    world: World, seats: int, inbox: Inbox, spoil: str
) -> None:
    give(world, ADA)
    secret = invitation(inbox, ADA)
    if spoil == "used":
        answers(world, secret, "accept")
    elif spoil == "reclaimed":
        (row,) = [row for row in world.rows("seats") if row.person_id is not None]
        world.bridge.desk.give_back(owner(world), row.id)
    elif spoil == "lapsed":
        world.clock.advance(days=15)
    else:
        secret = {"wrong": secret[:-1] + ("x" if secret[-1] != "x" else "y"), "long": "a" * 3000, "nothing": ""}[spoil]
    before = counts(world)
    pages = [answers(world, secret, step) for step in ("look", "accept", "decline")]
    assert {page.status_code for page in pages} == {403}
    assert all("Ask whoever invited you for a new one" in page.text for page in pages)
    assert len({re.sub(r'nonce="[^"]*"', "", page.text) for page in pages}) == 1
    assert all("Set-Cookie" not in page.headers for page in pages)
    assert len(refusals(world)) == 3
    assert counts(world) == before


@pytest.mark.parametrize("origin", ["https://evil.test", "null", ""])
@pytest.mark.parametrize("step", ["look", "accept", "decline"])
def test_only_the_bridges_own_pages_may_answer(world: World, seats: int, inbox: Inbox, origin: str, step: str) -> None:
    give(world, ADA)
    form = {"invitation": invitation(inbox, ADA)}
    page = browser(world).post(f"/team/invitation/{step}", data=form, headers={"Origin": origin} if origin else {})
    assert page.status_code == 403
    assert counts(world) == {"open": 2, "invited": 1}


def test_nothing_of_the_secret_is_in_an_address_or_the_log(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    secret = invitation(inbox, ADA)
    page = answers(world, secret, "look")
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert not [href for href in re.findall(r'(?:href|action|formaction)="([^"]*)"', page.text) if secret in href]
    went = answers(world, secret, "accept")
    assert secret not in went.location + str(world.rows("audit"))


def test_names_are_shown_and_not_run(world: World, boss: int, inbox: Inbox) -> None:
    product = world.sell(world.course("ONE"))
    buys(world, boss, product, 2, company="<script>alert(1)</script>{team}")
    give(world, "x@corp.test")
    page = answers(world, invitation(inbox, "x@corp.test"), "look").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{team} has bought" in page


def test_whoever_was_signed_in_before_is_not_any_more(world: World, seats: int, boss: int, inbox: Inbox) -> None:
    """The manager tries an employee's letter in her own browser, where she is signed in."""
    one, other = signed_in(world, boss), browser(world)
    for cookie in ("bridge-visit",):
        kept = one.get_cookie(cookie)
        assert kept is not None
        other.set_cookie(cookie, kept.value)
    give(world, ADA)
    answers(world, invitation(inbox, ADA), "accept", one)
    assert one.get(home(world) + "/").status_code == 404, "Ada manages nothing"
    assert other.get("/learn").status_code == 303, "the former visit has ended"


def test_an_invitation_is_not_mailed_to_what_somebody_typed_into_an_account_of_the_shop(
    world: World, seats: int, inbox: Inbox
) -> None:
    """Eve was invited, registers, and then has the shop write another's address into her account. A click of that one
    would make Eve the owner of the address, and the one who clicks would be signed in as Eve.
    """
    give(world, EVE)
    boss, eve, victim = owner(world), world.shop.add_customer(EVE), "victim@else.test"
    launch(world, signed(claims(world, eve, email=EVE, email_verified=True)))
    world.settle()
    world.shop.change_customer(eve, {"email": victim})
    order = world.shop.place_order([(world.sell(world.course("OWN")), 2)], customer_id=eve, email=victim, company="Eve")
    world.look(order)
    (seat,) = [row for row in world.rows("seats") if row.person_id is not None]
    assert person(world, victim) == seat.person_id, "the ledger has the address that was typed"
    first = invitation(inbox, EVE)
    inbox.mails.clear()
    world.bridge.desk.resend(boss, seat.id)
    world.settle()
    assert victim not in [str(one["To"]) for one in inbox.mails if "/team/invitation#" in str(one)]
    assert "not proven the address" in world.parked()[f"invitation {seat.id}"]
    assert answers(world, first, "accept").status_code == 403, "what was mailed to an address she gave up"


def test_twenty_clicks_at_once_accept_once(world: World, seats: int, inbox: Inbox) -> None:
    give(world, ADA)
    secret = invitation(inbox, ADA)
    app = world.bridge.web()
    with ThreadPoolExecutor(8) as many:
        codes = list(many.map(lambda _: answers(world, secret, "accept", Client(app)).status_code, range(20)))
    assert (codes.count(303), codes.count(403)) == (1, 19)
    assert counts(world) == {"open": 2, "taken": 1}


# --- who manages a team ----------------------------------------------------------------------------------------------


def invited(world: World, inbox: Inbox, boss: Client, address: str, role: str) -> Client:
    """The browser of somebody who was asked to help manage the team, and does."""
    asked = posts(boss, home(world, "settings", "members"), email=address, role=role)
    assert (asked.status_code, asked.location) == (303, home(world, "settings") + "?done=invited")
    world.settle()
    one = browser(world)
    assert answers(world, invitation(inbox, address), "accept", one).location == "/team/"
    return one


def person(world: World, address: str) -> int:
    return next(int(row.id) for row in world.rows("persons") if row.email == address)


def roles(world: World) -> dict[str, str]:
    addresses = {row.id: row.email for row in world.rows("persons")}
    return {addresses[row.person_id]: row.role for row in world.rows("team_members")}


@pytest.fixture
def bea(world: World, boss: int, seats: int) -> Client:
    """The browser of the team's owner."""
    one = signed_in(world, boss)
    assert one.get(home(world, "settings")).status_code == 200
    return one


def test_an_owner_names_the_team_and_has_acceptances_wait(world: World, bea: Client) -> None:
    done = posts(bea, home(world, "settings"), name="  Harbour \n Academy ", approval="yes")
    assert done.location == home(world, "settings") + "?done=saved"
    (team,) = world.rows("teams")
    assert (team.name, team.approval) == ("Harbour Academy", True)
    page = bea.get(done.location).text
    assert "Saved." in page
    assert re.search(r'name="approval" value="yes"[^>]* checked', page)
    posts(bea, home(world, "settings"), name="Harbour Academy")
    assert not world.rows("teams")[0].approval


def test_somebody_is_asked_to_manage_accepts_and_is_made_a_viewer(world: World, bea: Client, inbox: Inbox) -> None:
    posts(bea, home(world, "settings", "members"), email=BO, role="manager", first_name="Bo")
    world.settle()
    assert "was asked, has not answered yet" in bea.get(home(world, "settings")).text
    page = answers(world, invitation(inbox, BO), "look").text
    assert "Harbour &amp; Sons asks you to help manage its courses" in page
    assert ("Manager" in page, "checkbox" in page, 'name="first_name"' in page) == (True, False, False)
    one = browser(world)
    answers(world, invitation(inbox, BO), "accept", one)
    assert one.get("/team/").location == home(world) + "/"
    assert one.get(home(world) + "/").status_code == 200
    assert one.get(home(world, "orders")).status_code == 200
    changed = posts(bea, home(world, "settings", "members", person(world, BO), "role"), role="viewer")
    assert changed.status_code == 303
    assert roles(world) == {BOSS: "owner", BO: "viewer"}
    assert one.get(home(world, "orders")).status_code == 403
    assert [row.facts["role"] for row in events(world, "member changed")] == ["viewer"]


def test_the_letter_to_a_colleague_without_an_account_in_the_shop_leads_in_by_a_mailed_link(
    world: World, bea: Client, inbox: Inbox
) -> None:
    posts(bea, home(world, "settings", "members"), email=BO, role="manager")
    world.settle()
    answers(world, invitation(inbox, BO), "accept")
    assert world.bridge.desk.hand_over(owner(world), person(world, BO))
    world.settle()
    (address,) = re.findall(r"http\S+/team/\S*", text(inbox))
    ours = world.bridge.settings.server.public_url
    another = browser(world)  # not the one in which the invitation was accepted
    assert another.get(address.removeprefix(ours)).location == f"{ours}/sso/link"
    went = opened(world, mailed(world, inbox, BO), another)
    assert another.get(went.location).location == home(world) + "/"


def test_a_colleague_whom_no_letter_reaches_is_shown_as_such(world: World, bea: Client, inbox: Inbox) -> None:
    inbox.answers["RCPT"] = "550 5.1.1 No such user here"
    asks = {"email": "mia@corp.test", "role": "manager"}
    posts(bea, home(world, "settings", "members"), **asks)
    assert UNDELIVERED not in bea.get(home(world, "settings")).text
    world.settle()
    assert UNDELIVERED in bea.get(home(world, "settings")).text
    del inbox.answers["RCPT"]
    posts(bea, home(world, "settings", "members"), **asks)
    world.settle()
    page = bea.get(home(world, "settings")).text
    assert (UNDELIVERED in page, "was asked, has not answered yet" in page) == (False, True)


def test_an_invitation_to_manage_is_cancelled(world: World, bea: Client, inbox: Inbox) -> None:
    posts(bea, home(world, "settings", "members"), email=BO, role="manager")
    world.settle()
    secret = invitation(inbox, BO)
    assert posts(bea, home(world, "settings", "members", person(world, BO), "remove")).status_code == 303
    assert answers(world, secret, "accept").status_code == 403
    assert roles(world) == {BOSS: "owner"}


def test_whoever_declines_to_manage_is_no_member(world: World, bea: Client, inbox: Inbox) -> None:
    posts(bea, home(world, "settings", "members"), email=BO, role="manager")
    world.settle()
    assert "You have declined" in answers(world, invitation(inbox, BO), "decline").text
    assert roles(world) == {BOSS: "owner"}


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"email": "no address", "role": "manager"}, "This is no e-mail address."),
        ({"email": BO, "role": "owner"}, "This is no e-mail address."),
    ],
)
def test_an_invitation_that_can_not_be_is_told_beside_its_field(
    world: World, bea: Client, form: dict[str, str], told: str
) -> None:
    page = posts(bea, home(world, "settings", "members"), **form)
    assert (page.status_code, told in page.text, 'role="alert"' in page.text) == (422, True, True)
    assert roles(world) == {BOSS: "owner"}


def test_whoever_manages_already_is_not_asked_again(world: World, bea: Client, inbox: Inbox) -> None:
    invited(world, inbox, bea, BO, "manager")
    again = posts(bea, home(world, "settings", "members"), email=BO, role="viewer")
    assert again.location == home(world, "settings") + "?done=member"
    assert roles(world)[BO] == "manager"


def test_nobody_mails_the_world_by_inviting_it(world: World, bea: Client) -> None:
    codes = [
        posts(bea, home(world, "settings", "members"), email=f"x{n}@corp.test", role="viewer").status_code
        for n in range(12)
    ]
    assert codes == [303] * 10 + [429] * 2


def test_a_team_is_handed_over_after_being_asked_once_more(world: World, bea: Client, inbox: Inbox) -> None:
    invited(world, inbox, bea, BO, "manager")
    sure = posts(bea, home(world, "settings", "hand-over"), to=person(world, BO))
    assert (sure.status_code, BO in sure.text, roles(world)[BO]) == (200, True, "manager")
    done = posts(bea, home(world, "settings", "hand-over"), to=person(world, BO), sure="yes")
    assert "The team was handed over." in done.text
    assert roles(world) == {BOSS: "manager", BO: "owner"}
    assert bea.get(home(world, "settings")).status_code == 403


def test_a_team_is_not_handed_to_whoever_has_not_accepted(world: World, bea: Client) -> None:
    posts(bea, home(world, "settings", "members"), email=BO, role="manager")
    for heir in (person(world, BO), person(world, BOSS), 999, "x"):
        assert posts(bea, home(world, "settings", "hand-over"), to=heir, sure="yes").status_code == 404
    assert roles(world)[BOSS] == "owner"


def test_a_team_that_is_handed_to_two_at_once_has_one_owner(world: World, bea: Client, inbox: Inbox) -> None:
    heirs = {BO: invited(world, inbox, bea, BO, "manager"), EVE: invited(world, inbox, bea, EVE, "viewer")}
    desk, actor = world.bridge.desk, owner(world)
    with ThreadPoolExecutor(8) as many:
        given = [many.submit(desk.hand_over, actor, person(world, heir)) for heir in (BO, EVE) * 4]
        left = [posts(one, home(world, "leave")).status_code for one in heirs.values()]
    assert sum(one.result() for one in given) <= 1
    assert list(roles(world).values()).count("owner") == 1
    assert set(left) <= {200, 409, 404}


def test_a_member_leaves_and_an_owner_does_not(world: World, bea: Client, inbox: Inbox) -> None:
    bo = invited(world, inbox, bea, BO, "viewer")
    assert "Leave the team" in bo.get(home(world, "leave")).text
    assert "You no longer help manage this team." in posts(bo, home(world, "leave")).text
    assert bo.get(home(world) + "/").status_code == 404
    assert posts(bea, home(world, "leave")).status_code == 409
    assert roles(world) == {BOSS: "owner"}
    assert [row.actor for row in events(world, "member left")] == [f"person {person(world, BO)}"]


@pytest.mark.parametrize(
    "what", ["settings/members/{}/role", "settings/members/{}/remove", "settings/tokens/{}/revoke"]
)
def test_nobody_elses_members_and_tokens_are_reached_by_counting(
    world: World, bea: Client, inbox: Inbox, what: str
) -> None:
    eve = world.shop.add_customer(EVE)
    other = world.shop.place_order([(world.sell(world.course("TWO")), 2)], customer_id=eve, email=EVE, company="Else")
    world.look(other)
    hers = signed_in(world, eve)
    (her_key,) = [row.key for row in world.rows("teams") if row.name == "Else"]
    invited(world, inbox, bea, BO, "manager")
    posts(bea, home(world, "settings", "tokens"), name="HR", role="manager")
    before = (roles(world), len(world.rows("team_tokens")))
    for number in range(1, 12):
        answer = posts(hers, f"/team/{her_key}/{what.format(number)}", role="viewer")
        assert answer.status_code == 404, number
        assert posts(hers, home(world, what.format(number)), role="viewer").status_code == 404
    assert (roles(world), len(world.rows("team_tokens"))) == before
    assert "no team of theirs" in refusals(world)


@pytest.mark.parametrize(
    "path",
    ["settings", "settings/members", "settings/members/1/role", "settings/members/1/remove", "settings/hand-over",
     "settings/tokens", "settings/tokens/1/revoke", "leave"],
)  # fmt: skip
def test_a_form_without_the_visits_word_changes_nothing(world: World, bea: Client, path: str) -> None:
    for form in ({}, {"form": "guessed"}):
        assert bea.post(home(world, path), data=form).status_code == 403
    assert len(world.rows("teams")) == 1
    assert "a form that was not given to this visitor" in refusals(world)


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_revoked(world: World, bea: Client) -> None:
    page = posts(bea, home(world, "settings", "tokens"), name="<b>HR</b>", role="manager")
    found = re.search(r">(bridge_team_[^<]+)<", page.text)
    assert found
    assert page.headers["Cache-Control"] == "no-store"
    assert found[1] not in str(world.rows("team_tokens"))
    settings = bea.get(home(world, "settings")).text
    assert ("&lt;b&gt;HR&lt;/b&gt;" in settings, "<b>HR" in settings) == (True, False)
    assert found[1] not in settings
    (token,) = world.rows("team_tokens")
    assert posts(bea, home(world, "settings", "tokens", token.id, "revoke")).status_code == 303
    assert world.rows("team_tokens") == []


def test_a_token_needs_a_name_and_is_no_owners(world: World, bea: Client) -> None:
    for form in ({"name": " ", "role": "viewer"}, {"name": "HR", "role": "owner"}, {}):
        assert posts(bea, home(world, "settings", "tokens"), **form).status_code == 422
    for n in range(20):
        posts(bea, home(world, "settings", "tokens"), name=f"n{n}", role="viewer")
    full = posts(bea, home(world, "settings", "tokens"), name="more", role="viewer")
    assert (full.status_code, "as many tokens as it can have" in full.text) == (409, True)


# --- what is on record -----------------------------------------------------------------------------------------------


def test_the_history_tells_who_did_what(world: World, bea: Client, inbox: Inbox) -> None:
    posts(bea, home(world, "settings", "tokens"), name="HR & more", role="manager")
    invited(world, inbox, bea, BO, "viewer")
    accepted(world, inbox, ADA, first_name="Augusta", last_name="King")
    page = bea.get(home(world, "history")).text
    for told in ("Bea Boss", ADA, "seat given", "token made", "HR &amp; more", "Viewer"):
        assert told in page, told
    assert page.index("invitation accepted") < page.index("seat given"), "the newest first"
    assert ("person 1" in page, "Augusta" in page) == (False, False), "who is no member is told by their address"


def test_whoever_types_an_address_learns_no_name_by_it(world: World, bea: Client) -> None:
    world.look(world.shop.place_order([(world.sell(world.course("OWN")), 1)], email=EVE, first_name="Evelyn"))
    posts(bea, home(world, "settings", "members"), email=EVE, role="viewer")
    give(world, EVE)
    pages = [bea.get(home(world, page)).text for page in ("settings", "history", "")]
    assert [("Evelyn" in page, EVE in page) for page in pages[:2]] == [(False, True)] * 2
    assert "Evelyn" not in pages[2]


def test_the_history_names_programs_and_tells_no_operators_name(world: World, bea: Client) -> None:
    desk, actor = world.bridge.desk, owner(world)
    token, _ = desk.make_token(actor, "Payroll", TeamRole.MANAGER)
    for name in (f"token {token}", "token 77", "joan@office", "person 12345"):
        desk.configure(replace(actor, name=name), name="Harbour", approval=False)
    page = bea.get(home(world, "history")).text
    for told in ("a program (Payroll)", "a program (token 77)", "the organisation"):
        assert told in page, told
    assert ("joan" in page, "person 12345" in page) == (False, False)


@pytest.mark.parametrize("language", ["en", "fr", "es", "ar"])
def test_the_history_tells_what_a_program_was_refused_in_the_readers_words(
    world: World, bea: Client, language: str
) -> None:
    _, token = world.bridge.desk.make_token(owner(world), "Payroll", TeamRole.VIEWER)
    shown = {"Authorization": f"Bearer {token}"}
    assert world.web.get("/api/v1/team/seats/999999", headers=shown).status_code == 404
    assert world.web.delete(f"/api/v1/team/seats/{seats_of(world)[0].seat.id}/holder", headers=shown).status_code == 403
    page = bea.get(home(world, "history"), headers={"Accept-Language": language}).text
    words = words_for(language)
    for told in (words["team_event_refused"], words["team_event_refused_missing"]):
        assert f">{told}" in page, told
    assert ("no such" in page, "may not" in page) == (False, False), "our own words for the audit log"


def test_a_long_history_is_paged_by_key(world: World, bea: Client) -> None:
    for n in range(60):
        world.bridge.desk.configure(owner(world), name=f"Harbour {n}", approval=False)
    first = bea.get(home(world, "history")).text
    assert first.count("settings changed") == 50
    (more,) = re.findall(r'href="([^"]*\?before=\d+)"', first)
    second = bea.get(more).text
    assert second.count("settings changed") == 10
    for word in ("x", "-1", "9" * 30, "0"):
        assert bea.get(home(world, f"history?before={word}")).status_code == 200


def test_the_orders_are_as_the_shop_has_them_now(world: World, bea: Client) -> None:
    order = next(iter(world.shop.orders.values()))
    order["billing"] |= {"company": "Harbour <now> GmbH", "address_1": "Quay 1", "city": "Hamburg", "postcode": "20457"}
    order["meta_data"].append({"id": 9001, "key": "_po_number", "value": "PO-4711"})
    page = bea.get(home(world, "orders")).text
    for told in ("Harbour &lt;now&gt; GmbH", "Quay 1", "20457 Hamburg", "PO-4711", "3 seats", str(order["number"])):
        assert told in page, told


def test_while_the_shop_is_away_the_orders_are_told_as_the_bridge_knows_them(world: World, bea: Client) -> None:
    world.served[0].stop()
    page = bea.get(home(world, "orders"))
    assert (page.status_code, "The shop does not answer just now" in page.text) == (200, True)
    assert "3 seats" in page.text


def test_an_order_that_is_gone_is_told_as_the_bridge_knows_it(world: World, bea: Client) -> None:
    number = next(iter(world.shop.orders))
    world.shop.delete_order(number)
    page = bea.get(home(world, "orders"))
    assert (page.status_code, "does not answer" in page.text, str(number) in page.text) == (200, False, True)


def test_nobody_sees_another_companys_order(world: World, bea: Client, inbox: Inbox) -> None:
    eve = world.shop.add_customer(EVE)
    other = world.shop.place_order([(world.sell(world.course("TWO")), 2)], customer_id=eve, email=EVE, company="Else")
    world.look(other)
    assert "Else" not in bea.get(home(world, "orders")).text
    viewer = invited(world, inbox, bea, BO, "viewer")
    assert viewer.get(home(world, "orders")).status_code == 403


# --- what a learner lets a team see ----------------------------------------------------------------------------------


def sees(world: World) -> list[bool]:
    """Whether the team sees how each of its learners gets on."""
    return [row.shows for row in seats_of(world) if row.email]


def test_a_learner_gives_and_withdraws_consent_at_any_time(world: World, seats: int, inbox: Inbox) -> None:
    ada = accepted(world, inbox, ADA)
    page = ada.get("/learn").text
    assert "Harbour &amp; Sons does not see your progress." in page
    assert "Your teams" not in page, "she manages none"
    assert sees(world) == [False]
    key = world.rows("teams")[0].key
    for gives, told in (("yes", "sees your progress and whether"), ("no", "does not see your progress")):
        for _ in range(2):
            assert posts(ada, "/learn/sharing", team=key, gives=gives).location == "/learn"
        assert told in ada.get("/learn").text
        assert sees(world) == [gives == "yes"]
    assert [len(events(world, f"consent {what}")) for what in ("given", "withdrawn")] == [1, 1]
    assert {row.team_id for row in events(world, "consent given")} == {world.rows("teams")[0].id}


def test_consent_can_be_withdrawn_after_the_seat_has_gone(world: World, seats: int, inbox: Inbox) -> None:
    ada = accepted(world, inbox, ADA, consents="yes")
    (row,) = [row for row in seats_of(world) if row.email]
    world.bridge.desk.give_back(owner(world), row.seat.id)
    assert "No longer share my progress" in ada.get("/learn").text
    posts(ada, "/learn/sharing", team=world.rows("teams")[0].key, gives="no")
    assert "Harbour" not in ada.get("/learn").text


def test_whoever_was_only_invited_shares_nothing_yet(world: World, seats: int, boss: int, inbox: Inbox) -> None:
    boris = world.shop.add_customer("boris@corp.test")
    with_course = world.shop.place_order(
        [(world.sell(world.course("OWN")), 1)], customer_id=boris, email="boris@corp.test"
    )
    world.look(with_course)
    give(world, "boris@corp.test")
    page = signed_in(world, boris).get("/learn").text
    assert "Harbour" not in page


@pytest.mark.parametrize(
    ("form", "code"), [({"team": "none"}, 404), ({"gives": "maybe"}, 403), ({"form": "x"}, 403), ({}, 404)]
)
def test_nobody_decides_for_others(world: World, seats: int, inbox: Inbox, form: dict[str, str], code: int) -> None:
    accepted(world, inbox, ADA)
    stranger = signed_in(world, world.shop.add_customer(EVE))
    own = world.shop.place_order(
        [(world.sell(world.course("OWN")), 1)], email=EVE, customer_id=max(world.shop.customers)
    )
    world.look(own)
    given = {"team": world.rows("teams")[0].key, "gives": "yes", **form}
    assert posts(stranger, "/learn/sharing", **given).status_code == code
    assert world.rows("consents") == []


def test_whoever_manages_a_team_finds_it_from_their_courses(world: World, bea: Client) -> None:
    assert 'href="/team/"' in bea.get("/learn").text
    assert bea.get("/team/").location == home(world) + "/"
