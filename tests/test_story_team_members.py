"""Stories: whose a team is, who is in it, and what becomes of that when people come, go, or turn out to be one. Over
the wire, on both databases.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from bridge import deciding, office
from bridge.domain.teams import TeamRole
from bridge.errors import BadSignature, Refused
from bridge.invitations import Answer
from bridge.office import Actor, TooManyLetters
from bridge.store import people, pooled, teams
from bridge.store.batches import Invitee
from tests.test_mail import Inbox, Server
from tests.test_story_letters import mail
from tests.test_story_people import person_of, proves
from tests.test_story_subscriptions import line_of, monthly, switch_apart
from tests.test_story_teams import ADA, BO, BOSS, SECRET, accepts, boss, buys, counts, give, owner, world
from tests.world import World

__all__ = ["boss", "world"]

CO, HOME = "co@corp.test", "bea@home.test"
OWNER, MANAGER, VIEWER = TeamRole.OWNER, TeamRole.MANAGER, TeamRole.VIEWER


def asks(world: World, address: str, role: TeamRole = MANAGER) -> bool:
    """The owner asks somebody to help manage the team, and the letter is sent."""
    asked = world.bridge.desk.invite_member(owner(world), Invitee(1, address), role)
    world.settle()
    return asked


def colleague(world: World, inbox: Inbox, address: str = CO, role: TeamRole = MANAGER) -> int:
    """Somebody who was asked to help manage the team, and does; their number."""
    asks(world, address, role)
    accepts(world, inbox, address)
    with world.bridge.store.read() as connection:
        (found,) = [one.person for one in teams.members(connection, owner(world).team.id) if one.email == address]
    return found


def hands_over(world: World, heir: int) -> None:
    assert world.bridge.desk.hand_over(owner(world), heir)


def parts(world: World) -> set[tuple[int, int, str, bool]]:
    """Team, person, role, and whether they have said yes."""
    return {(row.team_id, row.person_id, row.role, row.accepted_at is not None) for row in world.rows("team_members")}


def buyers(world: World) -> dict[int, int | None]:
    return {row.id: row.buyer_id for row in world.rows("teams")}


def seats_of(world: World, team: int) -> int:
    with world.bridge.store.read() as connection:
        return sum(pool.total for pool in pooled.pools_of(connection, team, world.now()))


def as_member(world: World, team: int, person: int) -> Actor:
    """A person who does something for a team, as what they are there."""
    with world.bridge.store.read() as connection:
        role = teams.role_in(connection, team, person)
        assert role is not None
        return Actor(teams.get_team(connection, team), role, f"person {person}", person)


# --- whose team a purchase goes to -----------------------------------------------------------------------------------


@pytest.mark.parametrize("payment", ["unpaid", "bacs", "declined"])
def test_an_order_that_is_not_paid_makes_no_team(world: World, boss: int, payment: str) -> None:
    number = buys(world, boss, world.sell(world.course("ONE")), 3, payment=payment)
    assert (world.rows("teams"), world.rows("team_members")) == ([], [])
    world.shop.set_status(number, "processing")
    world.look(number)
    assert counts(world) == {"open": 3}


def test_a_buyer_who_handed_over_and_stays_buys_for_the_team_still(world: World, boss: int, inbox: Inbox) -> None:
    product = world.sell(world.course("ONE"))
    buys(world, boss, product, 2)
    hands_over(world, colleague(world, inbox))
    buys(world, boss, product, 5)
    assert len(world.rows("teams")) == 1
    assert seats_of(world, 1) == 7


@pytest.mark.parametrize("goes", ["leaves", "is removed"])
def test_a_buyer_who_is_gone_buys_for_a_team_of_their_own(world: World, boss: int, inbox: Inbox, goes: str) -> None:
    product = world.sell(world.course("ONE"))
    first = buys(world, boss, product, 2)
    bea = person_of(world, boss)
    heir = colleague(world, inbox)
    hands_over(world, heir)
    if goes == "leaves":
        assert world.bridge.desk.leave(as_member(world, 1, bea))
    else:
        assert world.bridge.desk.change_member(as_member(world, 1, heir), bea, None)
    assert buyers(world) == {1: None}
    buys(world, boss, product, 5)
    world.look(first)
    assert buyers(world) == {1: None, 2: bea}
    assert (seats_of(world, 1), seats_of(world, 2)) == (2, 5), "what was bought before stays"
    assert parts(world) == {(1, heir, OWNER, True), (2, bea, OWNER, True)}


def test_whoever_was_handed_a_team_buys_for_it(world: World, boss: int, inbox: Inbox) -> None:
    product = world.sell(world.course("ONE"))
    buys(world, boss, product, 2)
    customer = world.shop.add_customer(CO, "Col", "League")
    hands_over(world, colleague(world, inbox))
    world.look(world.shop.place_order([(world.sell(world.course("OWN")), 1)], customer_id=customer, email=CO))
    proves(world, person_of(world, customer), CO)
    number = world.shop.place_order([(product, 4)], customer_id=customer, email=CO, company="Else")
    world.look(number)
    assert len(world.rows("teams")) == 1
    assert seats_of(world, 1) == 6


def test_whoever_owns_two_teams_and_made_neither_gets_a_third(world: World, boss: int, inbox: Inbox) -> None:
    """Nobody can tell which of the two they mean."""
    product = world.sell(world.course("ONE"))
    buys(world, boss, product, 2)
    heir = colleague(world, inbox)
    hands_over(world, heir)
    other = world.shop.add_customer("eve@else.test")
    world.look(world.shop.place_order([(product, 2)], customer_id=other, email="eve@else.test", company="Else"))
    eve = as_member(world, 2, person_of(world, other))
    assert world.bridge.desk.invite_member(eve, Invitee(1, CO), MANAGER)
    world.settle()
    accepts(world, inbox, CO)
    assert world.bridge.desk.hand_over(eve, heir)
    world.look(world.shop.place_order([(product, 3)], email=CO, company="Third"))
    assert buyers(world)[3] == heir
    assert [seats_of(world, team) for team in (1, 2, 3)] == [2, 2, 3]


@pytest.mark.parametrize("how", ["another line", "a switch", "a switch into a subscription of its own"])
def test_what_a_subscription_gave_a_team_it_goes_on_giving_to_it(
    make_world: Callable[..., World], server: Server, inbox: Inbox, how: str
) -> None:
    """Though its buyer is gone by then."""
    world = make_world(subscriptions=True, sso={"shop_secrets": [SECRET], "wait_seconds": 0}, mail=mail(server))
    boss = world.shop.add_customer(BOSS)
    one, two = monthly(world, world.course("ONE")), monthly(world, world.course("TWO"))
    number = buys(world, boss, one, 3)
    (subscription,) = world.shop.subscriptions
    assert seats_of(world, 1) == 3
    hands_over(world, colleague(world, inbox))
    assert world.bridge.desk.leave(as_member(world, 1, person_of(world, boss)))
    if how == "another line":
        world.shop.add_subscription_line(subscription, (two, 2))
    elif how == "a switch":
        world.shop.switch(subscription, line_of(world, subscription), two)
    else:
        switch_apart(world, subscription, line_of(world, subscription), two, 4)
    for one in world.shop.subscriptions:
        world.owe("subscription", one)
    world.look(number)
    assert len(world.rows("teams")) == 1
    assert seats_of(world, 1) == {"another line": 5, "a switch": 3}.get(how, 4)


def test_the_team_goes_on_when_its_owners_account_in_the_shop_is_deleted(world: World, boss: int, inbox: Inbox) -> None:
    number = buys(world, boss, world.sell(world.course("ONE")), 3)
    manager = colleague(world, inbox)
    world.shop.delete_customer(boss)
    world.look(number)
    assert parts(world) == {(1, person_of(world, boss), OWNER, True), (1, manager, MANAGER, True)}
    give(world, ADA)
    assert accepts(world, inbox, ADA).answer is Answer.TAKEN
    assert counts(world) == {"open": 2, "taken": 1}
    hands_over(world, manager)
    assert (1, manager, OWNER, True) in parts(world)


# --- two who turn out to be one --------------------------------------------------------------------------------------


def bought_as_guest(world: World, units: int = 2, email: str = BOSS, product: int = 0) -> int:
    """A guest buys seats for others; the product."""
    product = product or world.sell(world.course("TEAM"))
    world.look(world.shop.place_order([(product, units)], email=email, company="Harbour & Sons"))
    return product


def registers(world: World, email: str = BOSS) -> int:
    """Somebody opens an account, buys for themselves by it, and is known from then on; their number."""
    customer = world.shop.add_customer(email, "Bea", "Boss")
    world.look(world.shop.place_order([(world.sell(world.course("OWN")), 1)], customer_id=customer, email=email))
    return person_of(world, customer)


def customer_of(world: World, person: int) -> int:
    return int(next(row.customer_id for row in world.rows("persons") if row.id == person))


def links(world: World, one: int, other: int) -> None:
    """An operator says that two are one; of two accounts the first one's is kept."""
    with world.bridge.store.begin() as connection:
        first = people.get_person(connection, one)
        assert first is not None
        union = deciding.plan_union(connection, one, other, first.totara_id)
        keep = first.totara_id if union.both else None
        deciding.unite(connection, world.bridge.work, union, keep, world.now(), by="operator Vella", why="ticket 88")
    world.settle()


def separates(world: World, person: int) -> None:
    with world.bridge.store.begin() as connection:
        parting = deciding.plan_parting(connection, person)
        deciding.part(connection, world.bridge.work, parting, world.now(), by="operator Vella", why="ticket 89")
    world.settle()


def put(world: World, person: int, role: TeamRole, accepted: bool) -> None:
    """Somebody has this part in the first team."""
    with world.bridge.store.begin() as connection:
        first = MANAGER if role is OWNER else role
        assert teams.put_member(world.bridge.store, connection, 1, person, first, world.now())
        if accepted:
            teams.accept_member(connection, 1, person, world.now())
        if role is OWNER:
            assert teams.hand_over(connection, 1, teams.owner_of(connection, 1), person)


def two(world: World) -> tuple[int, int]:
    """A guest and a customer of the shop, who are one: their numbers."""
    world.look(world.shop.place_order([(world.sell(world.course("HIS")), 1)], email=HOME))
    return max(row.id for row in world.rows("persons")), registers(world, "bea@shop.test")


def test_a_guest_who_registers_tops_up_the_same_team(world: World) -> None:
    product = bought_as_guest(world)
    bea = registers(world)
    proves(world, bea, BOSS)
    assert (buyers(world), parts(world)) == ({1: bea}, {(1, bea, OWNER, True)})
    customer = customer_of(world, bea)
    world.look(world.shop.place_order([(product, 4)], customer_id=customer, email=BOSS, company="Harbour & Sons"))
    assert len(world.rows("teams")) == 1
    assert seats_of(world, 1) == 6


def test_where_both_had_a_team_they_have_two_and_buy_for_that_of_the_account(world: World) -> None:
    product = bought_as_guest(world)
    customer = world.shop.add_customer(BOSS, "Bea", "Boss")
    order: dict[str, Any] = {"customer_id": customer, "email": BOSS, "company": "Harbour & Sons"}
    world.look(world.shop.place_order([(product, 3)], **order))
    bea = person_of(world, customer)
    proves(world, bea, BOSS)
    assert (buyers(world), parts(world)) == ({1: None, 2: bea}, {(1, bea, OWNER, True), (2, bea, OWNER, True)})
    world.look(world.shop.place_order([(product, 4)], **order))
    assert (seats_of(world, 1), seats_of(world, 2)) == (2, 7)


@pytest.mark.parametrize(
    ("guest", "account", "then"),
    [
        ((OWNER, True), (MANAGER, True), (OWNER, True)),
        ((OWNER, True), (VIEWER, False), (OWNER, True)),
        ((MANAGER, True), (VIEWER, True), (MANAGER, True)),
        ((VIEWER, True), (MANAGER, True), (MANAGER, True)),
        ((VIEWER, True), (MANAGER, False), (VIEWER, True)),
        ((MANAGER, False), (VIEWER, True), (VIEWER, True)),
        ((VIEWER, False), (MANAGER, False), (MANAGER, False)),
        ((MANAGER, False), None, (MANAGER, False)),
        ((OWNER, True), None, (OWNER, True)),
        (None, (OWNER, True), (OWNER, True)),
    ],
)
def test_of_two_parts_in_one_team_the_one_that_may_more_stays(
    world: World,
    boss: int,
    guest: tuple[TeamRole, bool] | None,
    account: tuple[TeamRole, bool] | None,
    then: tuple[TeamRole, bool],
) -> None:
    """And the team has an owner still."""
    buys(world, boss, world.sell(world.course("TEAM")), 2)
    home, bea = two(world)
    for person, part in ((home, guest), (bea, account)):
        if part is not None:
            put(world, person, *part)
    links(world, bea, home)
    assert [(role, accepted) for _, person, role, accepted in parts(world) if person == bea] == [then]
    assert home not in {person for _, person, _, _ in parts(world)}
    assert [role for _, _, role, _ in parts(world)].count(OWNER) == 1


@pytest.mark.parametrize(
    ("guest", "account", "then"),
    [
        ("stands", None, "stands"),
        ("withdrawn", None, "withdrawn"),
        (None, "stands", "stands"),
        ("stands", "stands", "stands"),
        ("withdrawn", "stands", "withdrawn"),
        ("stands", "withdrawn", "withdrawn"),
    ],
)
def test_of_two_words_on_what_a_team_may_see_a_withdrawn_one_counts(
    world: World, boss: int, guest: str | None, account: str | None, then: str
) -> None:
    buys(world, boss, world.sell(world.course("TEAM")), 2)
    home, bea = two(world)
    with world.bridge.store.begin() as connection:
        for person, word in ((home, guest), (bea, account)):
            if word is not None:
                teams.give_consent(world.bridge.store, connection, 1, person, "2026-11", world.now())
            if word == "withdrawn":
                teams.withdraw_consent(connection, 1, person, world.now())
    links(world, bea, home)
    found = [(row.person_id, "withdrawn" if row.withdrawn_at else "stands") for row in world.rows("consents")]
    assert found == [(bea, then)]


def test_two_again_have_what_each_brought(world: World, boss: int) -> None:
    """Who was taken for another manages that one's team no more, and shows that one's teams nothing."""
    bought_as_guest(world, email=HOME)
    (home,) = (row.buyer_id for row in world.rows("teams"))
    bea = registers(world, "bea@shop.test")
    with world.bridge.store.begin() as connection:
        teams.give_consent(world.bridge.store, connection, 1, home, "2026-11", world.now())
    links(world, bea, home)
    assert (buyers(world), parts(world)) == ({1: bea}, {(1, bea, OWNER, True)})
    assert [row.person_id for row in world.rows("consents")] == [bea]
    separates(world, home)
    assert (buyers(world), parts(world)) == ({1: home}, {(1, home, OWNER, True)})
    assert [row.person_id for row in world.rows("consents")] == [home]


def test_a_part_that_both_had_stays_when_they_are_two_again(world: World, boss: int) -> None:
    buys(world, boss, world.sell(world.course("TEAM")), 2)
    home, bea = two(world)
    put(world, home, MANAGER, True)
    put(world, bea, VIEWER, True)
    links(world, bea, home)
    separates(world, home)
    assert [one for one in parts(world) if one[2] != OWNER] == [(1, bea, MANAGER, True)]


def test_an_invitation_to_manage_is_answered_though_two_became_one(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("TEAM")), 2)
    asks(world, CO)
    col = registers(world, CO)
    proves(world, col, CO)
    accepts(world, inbox, CO)
    assert (1, col, MANAGER, True) in parts(world)


# --- asked, and asked again ------------------------------------------------------------------------------------------


def letters_to(inbox: Inbox, address: str) -> int:
    return len([one for one in inbox.mails if address in str(one["To"])])


def test_whoever_is_asked_again_is_what_they_were_asked_last(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    assert asks(world, CO, VIEWER)
    assert asks(world, CO, MANAGER)
    asked = [row.facts for row in world.rows("audit") if row.event == "member invited"]
    assert asked == [{"role": "viewer"}, {"role": "manager"}]
    assert {role for _, _, role, accepted in parts(world) if not accepted} == {MANAGER}
    accepts(world, inbox, CO)
    assert not asks(world, CO, VIEWER), "a role that was accepted is changed, and not asked for"
    assert {role for _, _, role, accepted in parts(world) if accepted} == {OWNER, MANAGER}


@pytest.mark.parametrize("taken_back", [False, True])
def test_nobody_is_flooded_with_letters_that_ask_for_help(
    world: World, boss: int, inbox: Inbox, taken_back: bool
) -> None:
    """Whichever process is asked, and though it is taken back in between."""
    buys(world, boss, world.sell(world.course("ONE")), 2)
    actor = owner(world)
    for n in range(5):
        world.clock.advance(days=1)
        assert world.new_bridge().desk.invite_member(actor, Invitee(1, CO), MANAGER), n
        world.settle()
        if taken_back:
            (person,) = [one for _, one, role, _ in parts(world) if role == MANAGER]
            assert world.new_bridge().desk.change_member(actor, person, None)
    with pytest.raises(TooManyLetters):
        world.new_bridge().desk.invite_member(actor, Invitee(1, CO), MANAGER)
    world.settle()
    assert letters_to(inbox, CO) == 5
    world.clock.advance(days=12)
    assert asks(world, CO), "the first letters have run out"
    assert letters_to(inbox, CO) == 6


def test_a_letter_that_was_asked_for_too_early_to_be_counted_is_not_sent(world: World, boss: int, inbox: Inbox) -> None:
    """One is asked for while another is being sent."""
    buys(world, boss, world.sell(world.course("ONE")), 2)
    for _ in range(5):
        asks(world, CO)
    (person,) = [one for _, one, role, _ in parts(world) if role == MANAGER]
    world.owe("invitation", f"member:1:{person}")
    world.settle()
    assert letters_to(inbox, CO) == 5
    assert world.parked() == {}


def test_an_invitation_that_was_taken_back_is_answered_by_nobody(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    asks(world, CO)
    (person,) = [one for _, one, role, _ in parts(world) if role == MANAGER]
    assert world.bridge.desk.change_member(owner(world), person, None)
    with pytest.raises(BadSignature):
        accepts(world, inbox, CO)
    assert [role for _, _, role, _ in parts(world)] == [OWNER]


# --- at once ---------------------------------------------------------------------------------------------------------


def at_once(patch: pytest.MonkeyPatch, name: str, do: Callable[[], Any]) -> list[Future[Any]]:
    """As soon as this was read of the teams, somebody else does something, and is waited for as long as the database
    lets them. What comes of it.
    """
    real = getattr(teams, name)
    begun: list[Future[Any]] = []

    def read(*args: Any, **named: Any) -> Any:
        found = real(*args, **named)
        if not begun:
            begun.append(Future())  # what the other one reads begins nothing
            begun[0] = ThreadPoolExecutor(1).submit(do)
            with suppress(TimeoutError):
                begun[0].result(timeout=0.5)
        return found

    patch.setattr(teams, name, read)
    return begun


def test_an_heir_who_leaves_while_the_team_is_handed_to_them_owns_it(
    world: World, boss: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The team is without an owner at no time."""
    buys(world, boss, world.sell(world.course("ONE")), 2)
    heir = colleague(world, inbox)
    actor, leaves, other = owner(world), as_member(world, 1, heir), world.new_bridge().desk
    left = at_once(monkeypatch, "role_in", lambda: other.leave(leaves))
    assert world.bridge.desk.hand_over(actor, heir)
    assert left[0].result() is False
    assert (1, heir, OWNER, True) in parts(world)


def test_a_team_handed_to_two_at_once_is_one_persons(
    world: World, boss: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    heir, second = colleague(world, inbox), colleague(world, inbox, "cy@corp.test")
    actor, other = owner(world), world.new_bridge().desk
    also = at_once(monkeypatch, "role_in", lambda: other.hand_over(actor, second))
    handed = [world.bridge.desk.hand_over(actor, heir), also[0].result()]
    assert sorted(handed) == [False, True]
    assert [role for _, _, role, _ in parts(world)].count(OWNER) == 1


def test_two_asked_at_once_are_no_more_than_a_team_can_have(
    world: World, boss: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    monkeypatch.setattr(office, "MOST_MEMBERS", 2)
    actor, other = owner(world), world.new_bridge().desk
    also = at_once(monkeypatch, "members", lambda: other.invite_member(actor, Invitee(1, CO), VIEWER))
    assert world.bridge.desk.invite_member(actor, Invitee(1, "cy@corp.test"), VIEWER)
    with pytest.raises(Refused, match="has 2 members already"):
        also[0].result()
    assert len(parts(world)) == 2
    assert world.bridge.desk.invite_member(actor, Invitee(1, "cy@corp.test"), MANAGER), (
        "who is asked may be asked again"
    )


def test_a_team_has_a_hundred_members_at_most(world: World, boss: int) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    actor = owner(world)
    for n in range(99):
        assert world.bridge.desk.invite_member(actor, Invitee(1, f"x{n}@corp.test"), VIEWER)
    with pytest.raises(Refused):
        world.bridge.desk.invite_member(actor, Invitee(1, CO), VIEWER)
    assert len(parts(world)) == 100


# --- approval --------------------------------------------------------------------------------------------------------


def test_when_approval_is_switched_off_all_who_wait_are_given_access(world: World, boss: int, inbox: Inbox) -> None:
    course = world.course("ONE")
    buys(world, boss, world.sell(course), 3)
    world.bridge.desk.configure(owner(world), name="Harbour", approval=True)
    give(world, ADA, BO)
    for address in (ADA, BO):
        assert accepts(world, inbox, address).answer is Answer.WAITS
    assert (counts(world), world.access()) == ({"open": 1, "approval": 2}, {})
    world.bridge.desk.configure(owner(world), name="Harbour", approval=False)
    world.settle()
    assert counts(world) == {"open": 1, "taken": 2}
    assert world.access() == {(ADA, course): "active", (BO, course): "active"}
    assert [row.event for row in world.rows("audit")].count("acceptance approved") == 2
