"""Stories: a company buys seats and gives them to its people. Over the wire, on both databases."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bridge import wiring
from bridge.domain.purchases import FOR_WHOM_META
from bridge.domain.seats import SeatState, Why
from bridge.domain.teams import TeamRole
from bridge.errors import BadSignature, Refused, Unavailable
from bridge.handing_out import MOST_ASKED, MOST_BESIDE
from bridge.invitations import Answer, Answered
from bridge.office import Actor
from bridge.store import people, pooled, teams
from bridge.store.batches import Invitee
from bridge.store.models import access, purchases
from bridge.store.pooled import Pool, SeatRow, Wanted
from tests.test_mail import Inbox, Server
from tests.test_story_access import gift
from tests.test_story_letters import mail, text
from tests.test_story_refunds import line_of
from tests.world import World

SECRET = "the-secret-that-the-shop-shares-01234567"
BOSS, ADA, BO = "boss@corp.test", "ada@corp.test", "bo@corp.test"


@pytest.fixture
def world(make_world: Callable[..., World], server: Server) -> World:
    return make_world(sso={"shop_secrets": [SECRET], "wait_seconds": 0}, mail=mail(server))


@pytest.fixture
def boss(world: World) -> int:
    """A customer of the shop, whose company buys."""
    return world.shop.add_customer(BOSS, first_name="Bea", last_name="Boss")


def buys(world: World, boss: int, product: int, units: int, **order: Any) -> int:
    """The company buys so many units, and the bridge has looked at it."""
    order = {"company": "Harbour & Sons", **order}
    number = world.shop.place_order([(product, units)], customer_id=boss, email=BOSS, **order)
    world.look(number)
    return number


def owner(world: World) -> Actor:
    """The owner of the one team there is."""
    with world.bridge.store.read() as connection:
        (row,) = world.rows("teams")
        return Actor(teams.get_team(connection, row.id), TeamRole.OWNER, f"person {row.buyer_id}", row.buyer_id)


def pools(world: World) -> list[Pool]:
    with world.bridge.store.read() as connection:
        return pooled.pools_of(connection, owner(world).team.id, world.now())


def seats(world: World, **wanted: Any) -> list[SeatRow]:
    with world.bridge.store.read() as connection:
        return pooled.seats_page(connection, owner(world).team.id, Wanted(**wanted), world.now(), most=100)


def counts(world: World) -> dict[str, int]:
    """Of the one pool, how many seats stand how."""
    (pool,) = pools(world)
    return {state.value: number for state, number in pool.counts.items()}


def give(world: World, *addresses: str, pool: Pool | None = None, **how: Any) -> list[Why]:
    rows = [Invitee(n, address, "Ada" if address == ADA else "Bo", "Byte") for n, address in enumerate(addresses, 1)]
    results = world.bridge.desk.give(owner(world), pool or pools(world)[0], rows, **how)
    world.settle()
    return [results[row.number][0] for row in rows]


def invitation(inbox: Inbox, address: str) -> str:
    """The secret of the newest invitation that was mailed to an address."""
    for number in reversed(range(len(inbox.mails))):
        found = re.search(r"/team/invitation#(\S+)", text(inbox, number))
        if found and address in str(inbox.mails[number]["To"]):
            return found[1]
    raise AssertionError(f"no invitation was mailed to {address}")


def accepts(world: World, inbox: Inbox, address: str, **how: Any) -> Answered:
    answered = world.bridge.invitations.accept(invitation(inbox, address), **how)
    world.settle()
    return answered


def told(world: World) -> list[str]:
    """What the team's history says happened."""
    return [row.event for row in world.rows("audit") if row.team_id is not None]


# --- buying ----------------------------------------------------------------------------------------------------------


def test_the_first_purchase_for_others_makes_a_team_of_the_buyers_company(world: World, boss: int) -> None:
    product = world.sell(world.course("ONE"))
    buys(world, boss, product, 3)
    (team,) = world.rows("teams")
    (member,) = world.rows("team_members")
    assert (team.name, member.role, member.person_id) == ("Harbour & Sons", "owner", team.buyer_id)
    assert counts(world) == {"open": 3}
    assert world.access() == {}


def test_whoever_buys_for_themselves_has_no_team(world: World, boss: int) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 1)
    assert world.rows("teams") == []


def notes(world: World, order: int) -> int:
    """How many notes the bridge wrote on an order."""
    return sum(1 for note in world.shop.notes[order] if "Learning access" in note["note"])


def an_hour_later(world: World) -> None:
    world.clock.advance(hours=1)
    world.settle()


def test_the_orders_note_follows_while_somebody_is_still_asked(world: World, boss: int, inbox: Inbox) -> None:
    """Whoever was asked is owed no look, so that no note waits for one."""
    number = buys(world, boss, world.sell(world.course("ONE")), 4)
    assert give(world, ADA, BO, "cy@corp.test") == [Why.GIVEN] * 3
    accepts(world, inbox, ADA)
    an_hour_later(world)
    assert "1 × access ready" in world.told(number) and "2 × seat that somebody was asked to take" in world.told(number)
    world.bridge.invitations.decline(invitation(inbox, BO))
    an_hour_later(world)
    assert "2 × open seat" in world.told(number)
    (seat,) = seats(world, search=ADA)
    assert world.bridge.desk.give_back(owner(world), seat.seat.id) is Why.GIVEN
    an_hour_later(world)
    assert "3 × open seat" in world.told(number) and "access ready" not in world.told(number)
    world.shop.refund(number, lines={line_of(world, number): 2})
    world.look(number)
    assert "1 × open seat" in world.told(number)


def test_what_a_team_does_with_its_seats_is_noted_once_in_an_hour(world: World, boss: int, inbox: Inbox) -> None:
    number = buys(world, boss, world.sell(world.course("ONE")), 8)
    assert (notes(world, number), "8 × open seat" in world.told(number)) == (1, True)
    people = [f"p{one}@corp.test" for one in range(6)]
    give(world, *people)
    for address in people[:5]:
        world.clock.advance(minutes=1)
        accepts(world, inbox, address)
    world.bridge.invitations.decline(invitation(inbox, people[5]))
    world.settle()
    assert notes(world, number) == 1
    an_hour_later(world)
    assert notes(world, number) == 2
    assert "5 × access ready" in world.told(number) and "3 × open seat" in world.told(number)
    assert "Totara user" not in world.told(number)
    world.clock.advance(hours=5)
    (seat, *_) = seats(world, search=people[0])
    world.bridge.desk.give_back(owner(world), seat.seat.id)
    world.settle()
    assert (notes(world, number), "4 × access ready" in world.told(number)) == (3, True)  # the last one is long ago


def test_what_a_refund_does_is_noted_at_once_whatever_the_team_did_before(
    world: World, boss: int, inbox: Inbox
) -> None:
    number = buys(world, boss, world.sell(world.course("ONE")), 4)
    give(world, ADA)
    accepts(world, inbox, ADA)
    assert notes(world, number) == 1
    world.shop.refund(number, lines={line_of(world, number): 2})
    world.look(number)
    assert notes(world, number) == 2
    assert "1 × access ready" in world.told(number) and "2 × unused seat ended" in world.told(number)
    world.shop.set_status(number, "cancelled")
    world.look(number)
    assert (notes(world, number), "access ready" in world.told(number)) == (3, False)
    an_hour_later(world)
    assert notes(world, number) == 3


def test_teams_are_never_joined_by_name(world: World, boss: int) -> None:
    other = world.shop.add_customer("eve@else.test")
    one, two = world.sell(world.course("ONE")), world.sell(world.course("TWO"))
    buys(world, boss, one, 2)
    number = world.shop.place_order([(two, 2)], customer_id=other, email="eve@else.test", company="Harbour & Sons")
    world.look(number)
    assert [row.name for row in world.rows("teams")] == ["Harbour & Sons", "Harbour & Sons"]


def test_a_top_up_counts_once_however_often_it_is_delivered(world: World, boss: int) -> None:
    product = world.sell(world.course("ONE"))
    buys(world, boss, product, 3)
    more = buys(world, boss, product, 2)
    for _ in range(10):
        world.look(more)
    assert counts(world) == {"open": 5}
    assert len(world.rows("teams")) == 1


# --- giving ----------------------------------------------------------------------------------------------------------


def test_a_top_up_delivered_ten_times_at_once_counts_once(world: World, boss: int) -> None:
    product = world.sell(world.course("ONE"))
    buys(world, boss, product, 2)
    more = world.shop.place_order([(product, 5)], customer_id=boss, email=BOSS)

    def delivered(_: int) -> int:
        world.owe("order", more)
        return world.settle(world.bridge.worker())

    with ThreadPoolExecutor(5) as pool:
        assert sum(pool.map(delivered, range(10))) >= 1
    world.settle()
    assert counts(world) == {"open": 7}
    assert len(world.rows("seats")) == 7


def test_an_employee_is_invited_accepts_and_begins(world: World, boss: int, inbox: Inbox) -> None:
    course = world.course("ONE")
    buys(world, boss, world.sell(course), 3)
    assert give(world, ADA) == [Why.GIVEN]
    assert counts(world) == {"open": 2, "invited": 1}
    assert world.access() == {}
    assert world.totara.user_by_email(ADA) is None, "nobody has an account before they say yes"
    assert "Harbour & Sons invites you" in str(inbox.mails[-1]["Subject"])
    answered = accepts(world, inbox, ADA, first_name="Augusta", last_name="King")
    assert (answered.answer, answered.target) == (Answer.TAKEN, f"course:{course}")
    assert world.access() == {(ADA, course): "active"}
    account = world.totara.users[world.user(ADA)]
    assert (account.firstname, account.lastname) == ("Augusta", "King")
    assert counts(world) == {"open": 2, "taken": 1}
    assert [proof.how for proof in world.rows("proofs")] == ["link"]
    assert told(world) == ["seats", "seat given", "invitation sent", "invitation accepted"]


def test_whoever_declines_leaves_the_seat_open(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    assert world.bridge.invitations.decline(invitation(inbox, ADA)).answer is Answer.DECLINED
    world.settle()
    assert counts(world) == {"open": 2}
    with pytest.raises(BadSignature):
        world.bridge.invitations.accept(invitation(inbox, ADA))


def test_nobody_is_given_two_seats_of_a_pool_and_none_that_is_not_there(world: World, boss: int) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    assert give(world, ADA, ADA, BO, "cy@corp.test") == [Why.GIVEN, Why.HAS_ONE, Why.GIVEN, Why.NO_SEATS]
    assert "cy@corp.test" not in {row.email for row in world.rows("persons")}, "nobody is kept for whom no seat is left"
    assert give(world, "no address") == [Why.NO_ADDRESS]


def test_an_invitation_runs_out_and_is_sent_again(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    old = invitation(inbox, ADA)
    world.clock.advance(days=15)
    assert counts(world) == {"open": 1, "lapsed": 1}
    with pytest.raises(BadSignature):
        world.bridge.invitations.accept(old)
    (row,) = seats(world, states=frozenset({SeatState.LAPSED}))
    assert world.bridge.desk.resend(owner(world), row.seat.id) is Why.GIVEN
    world.settle()
    assert accepts(world, inbox, ADA).answer is Answer.TAKEN


def test_nobody_is_flooded_with_invitations(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    (row,) = seats(world, search="ada@")
    found = []
    for _ in range(6):
        found.append(world.bridge.desk.resend(owner(world), row.seat.id))
        world.settle()
    assert found == [Why.GIVEN] * 4 + [Why.WRITTEN_OFTEN] * 2
    assert len([one for one in inbox.mails if ADA in str(one["To"])]) == 5


def test_whoever_types_an_address_does_not_learn_who_is_behind_it(world: World, boss: int, inbox: Inbox) -> None:
    """Ada is a guest of the shop's with a name; the team sees it once she has said yes."""
    world.look(world.shop.place_order([(world.sell(world.course("OWN")), 1)], email=ADA, first_name="Augusta"))
    buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    (row,) = seats(world, search="ada@")
    assert (row.name, row.language, seats(world, search="augusta")) == ("", "", [])
    accepts(world, inbox, ADA)
    (row,) = seats(world, search="augusta")
    assert row.name.startswith("Augusta")


def test_whoever_has_the_course_already_leaves_the_seat_open(world: World, boss: int, inbox: Inbox) -> None:
    course = world.course("ONE")
    product = world.sell(course)
    world.look(world.shop.place_order([(product, 1)], email=ADA, first_name="Ada"))
    buys(world, boss, product, 2)
    give(world, ADA)
    assert accepts(world, inbox, ADA).answer is Answer.HAS_IT
    assert counts(world) == {"open": 2}
    assert world.access() == {(ADA, course): "active"}


def test_a_member_officer_is_left_alone_and_the_seat_kept(world: World, boss: int, inbox: Inbox) -> None:
    officer = world.totara.add_user(ADA, username="officer")
    buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    assert accepts(world, inbox, ADA).answer is Answer.TAKEN
    assert (counts(world), world.access()) == ({"open": 1, "taken": 1}, {})
    assert world.totara.users[officer].username == "officer"
    assert list(world.parked()) != []


def test_where_a_team_says_so_an_acceptance_waits_for_a_yes(world: World, boss: int, inbox: Inbox) -> None:
    course = world.course("ONE")
    buys(world, boss, world.sell(course), 2)
    world.bridge.desk.configure(owner(world), name="Harbour", approval=True)
    give(world, ADA)
    assert accepts(world, inbox, ADA).answer is Answer.WAITS
    assert (counts(world), world.access()) == ({"open": 1, "approval": 1}, {})
    (row,) = seats(world, states=frozenset({SeatState.APPROVAL}))
    assert world.bridge.desk.approve(owner(world), row.seat.id) is Why.GIVEN
    world.settle()
    assert world.access() == {(ADA, course): "active"}


# --- taking back -----------------------------------------------------------------------------------------------------


def taken(world: World, boss: int, inbox: Inbox, units: int = 2) -> int:
    """Ada has taken one of the seats; its id."""
    buys(world, boss, world.sell(world.course("ONE")), units)
    give(world, ADA)
    accepts(world, inbox, ADA)
    (row,) = seats(world, search="ada@")
    return row.seat.id


def test_whoever_takes_a_seat_back_does_not_wait_long_for_a_totara_that_hangs(
    world: World, boss: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "PATIENCE", 0.3)
    seat = taken(world, boss, inbox)
    world.totara.faults.slow(2.0, times=1)
    world.restart()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        world.bridge.desk.give_back(owner(world), seat)
    assert time.monotonic() - began < 1.5
    assert counts(world) == {"open": 1, "taken": 1}


def test_a_seat_is_given_to_another_before_anybody_began(world: World, boss: int, inbox: Inbox) -> None:
    seat = taken(world, boss, inbox)
    assert world.bridge.desk.reassign(owner(world), seat, Invitee(1, BO, "Bo", "Byte")) is Why.GIVEN
    world.settle()
    assert set(world.access().values()) == {"suspended"}
    assert accepts(world, inbox, BO).answer is Answer.TAKEN
    assert sorted(world.access().values()) == ["active", "suspended"]
    assert counts(world) == {"open": 1, "taken": 1}


def test_a_seat_that_rests_is_given_to_nobody_else_meanwhile(world: World, boss: int, inbox: Inbox) -> None:
    """They would be told of nothing, and could not answer."""
    seat = taken(world, boss, inbox)
    with world.bridge.store.begin() as connection:
        connection.execute(purchases.update().values(held="a dispute"))
    assert world.bridge.desk.reassign(owner(world), seat, Invitee(1, BO, "Bo", "Byte")) is Why.NOT_OPEN
    assert [row.email for row in seats(world) if row.email] == [ADA]


def test_nobody_who_learns_is_thrown_out(world: World, boss: int, inbox: Inbox) -> None:
    seat = taken(world, boss, inbox)
    world.totara.users[world.user(ADA)].lastaccess = int(world.clock())
    assert world.bridge.desk.give_back(owner(world), seat) is Why.MAYBE_BEGUN
    assert counts(world) == {"open": 1, "taken": 1}


def test_within_the_days_that_the_organisation_allows_they_are(
    make_world: Callable[..., World], server: Server, inbox: Inbox
) -> None:
    world = make_world(sso={"shop_secrets": [SECRET]}, mail=mail(server), teams={"reclaim_days": 3})
    boss = world.shop.add_customer(BOSS)
    seat = taken(world, boss, inbox)
    world.totara.users[world.user(ADA)].lastaccess = int(world.clock())
    world.clock.advance(days=4)
    assert world.bridge.desk.give_back(owner(world), seat) is Why.MAYBE_BEGUN
    world.clock.advance(days=-2)
    assert world.bridge.desk.give_back(owner(world), seat) is Why.GIVEN


def test_one_seat_is_given_only_so_often(make_world: Callable[..., World], server: Server, inbox: Inbox) -> None:
    world = make_world(sso={"shop_secrets": [SECRET]}, mail=mail(server), teams={"most_times": 2})
    product = world.shop.add_product(
        "For two", sku=f"totara-course-{world.course('ONE')}", price="9.00", meta={"bridge_for": "team"}
    )
    buys(world, world.shop.add_customer(BOSS), product, 1)
    for n in (1, 2):
        assert give(world, f"no{n}@corp.test") == [Why.GIVEN]
        world.bridge.invitations.decline(invitation(inbox, f"no{n}@corp.test"))
    for n in (1, 2):
        assert give(world, f"x{n}@corp.test") == [Why.GIVEN], "whoever declines used nothing up"
        accepts(world, inbox, f"x{n}@corp.test")
        assert world.bridge.desk.give_back(owner(world), seats(world)[0].seat.id) is Why.GIVEN
    assert give(world, ADA) == [Why.NO_SEATS]
    with world.bridge.store.read() as connection:
        team = owner(world).team
        operator = Actor(team, TeamRole.OWNER, "operator Vella", operator=True)
        (pool,) = pooled.pools_of(connection, team.id, world.now())
    given = world.bridge.desk.give(operator, pool, [Invitee(1, ADA, "Ada", "Byte")])
    assert given[1][0] is Why.GIVEN, "an operator may go on"


def test_taking_back_and_giving_writes_no_letters_without_end(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    most = MOST_ASKED * 2 + MOST_BESIDE
    for n in range(most):
        assert give(world, f"x{n}@corp.test") == [Why.GIVEN]
        world.bridge.desk.give_back(owner(world), seats(world, search="x")[0].seat.id)
    assert give(world, ADA) == [Why.NO_SEATS]
    assert len(inbox.mails) == most
    world.clock.advance(days=1)
    assert give(world, ADA) == [Why.GIVEN]


def test_accepting_and_taking_back_at_once_wait_for_each_other_and_one_wins(
    world: World, boss: int, inbox: Inbox
) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 12)
    people = [f"p{n}@corp.test" for n in range(12)]
    assert set(give(world, *people)) == {Why.GIVEN}
    places = {row.email: row.seat.id for row in seats(world)}

    def accept(secret: str) -> str:
        try:
            return str(world.bridge.invitations.accept(secret).answer)
        except BadSignature:
            return "too late"

    def take_back(seat: int) -> str:
        return str(world.bridge.desk.give_back(owner(world), seat))

    with ThreadPoolExecutor(2) as pool:
        for address in people:
            accepting = pool.submit(accept, invitation(inbox, address))
            taking = pool.submit(take_back, places[address])
            assert (accepting.result(), taking.result()) in {
                ("too late", "given"),
                ("taken", "not_waiting"),
                ("taken", "given"),
            }
    world.settle()
    assert sum(counts(world).values()) == 12


def test_the_brake_holds_nothing_that_a_team_takes_back(
    make_world: Callable[..., World], server: Server, inbox: Inbox
) -> None:
    world = make_world(sso={"shop_secrets": [SECRET]}, mail=mail(server), orders={"brake_count": 1})
    boss = world.shop.add_customer(BOSS)
    people = [f"p{n}@corp.test" for n in range(4)]
    order = buys(world, boss, world.sell(world.course("ONE")), 4)
    give(world, *people)
    for address in people:
        accepts(world, inbox, address)
    for row in seats(world)[:3]:
        assert world.bridge.desk.give_back(owner(world), row.seat.id) is Why.GIVEN
        world.settle()
    assert sorted(world.access().values()) == ["active", "suspended", "suspended", "suspended"]
    give(world, *people[:3])
    for address in people[:3]:
        accepts(world, inbox, address)
    assert set(world.access().values()) == {"active"}
    world.shop.set_status(order, "cancelled")
    world.look(order)
    assert list(world.access().values()).count("suspended") == 1, "what nobody said is held as before"


# --- refunds ---------------------------------------------------------------------------------------------------------


def test_a_refund_takes_open_seats_then_invitations_and_no_seat_in_use_silently(
    world: World, boss: int, inbox: Inbox
) -> None:
    course = world.course("ONE")
    order = buys(world, boss, world.sell(course), 3)
    give(world, ADA, BO)
    accepts(world, inbox, ADA)
    world.shop.refund(order, lines={line_of(world, order): 1})
    world.look(order)
    assert counts(world) == {"invited": 1, "taken": 1}
    world.shop.refund(order, lines={line_of(world, order): 1})
    world.look(order)
    assert counts(world) == {"taken": 1}
    with pytest.raises(BadSignature):
        world.bridge.invitations.accept(invitation(inbox, BO))


# --- at once ---------------------------------------------------------------------------------------------------------


def test_what_is_refunded_goes_from_the_open_seats_of_the_whole_pool(world: World, boss: int, inbox: Inbox) -> None:
    """Whatever order paid for a seat: who has one keeps it, and what was written of it stays with it."""
    product = world.sell(world.course("ONE"))
    first, second = buys(world, boss, product, 2), buys(world, boss, product, 3)
    give(world, ADA, BO)
    accepts(world, inbox, ADA)
    accepts(world, inbox, BO)
    before = {row.email: row.seat.id for row in seats(world) if row.email}
    world.shop.refund(first, lines={line_of(world, first): 2})
    world.look(first)
    assert counts(world) == {"open": 1, "taken": 2}
    assert set(world.access().values()) == {"active"}
    assert world.suspensions == [] and world.parked() == {}
    assert {row.email: (row.seat.id, row.order) for row in seats(world) if row.email} == {
        email: (seat, second) for email, seat in before.items()
    }
    assert "2 × unused seat ended" in world.told(first), "nobody waits for the note"
    world.look(first, second)
    assert counts(world) == {"open": 1, "taken": 2}, "and it stays like that"


def test_then_invitations_go_wherever_they_are_and_those_in_use_are_asked_about(
    world: World, boss: int, inbox: Inbox
) -> None:
    product = world.sell(world.course("ONE"))
    first, second = buys(world, boss, product, 3), buys(world, boss, product, 2)
    give(world, ADA, BO, "cy@corp.test", "di@corp.test", "ed@corp.test")
    for address in (ADA, BO, "cy@corp.test", "di@corp.test"):
        accepts(world, inbox, address)
        world.totara.users[world.user(address)].lastaccess = int(world.clock())
    world.shop.refund(first, lines={line_of(world, first): 1})
    world.look(first)
    assert counts(world) == {"taken": 4}, "who was only asked has no seat any more"
    assert set(world.access().values()) == {"active"}
    world.shop.refund(first, lines={line_of(world, first): 1})
    world.look(first)
    assert counts(world) == {"taken": 4}
    assert "seats in use have to go" in " ".join(world.parked().values())
    assert second != first


CY, DI = "cy@corp.test", "di@corp.test"


def learn(world: World, inbox: Inbox, *addresses: str, begun: str = "") -> None:
    """These accept, one after the other; of them those in ``begun`` have been in Totara since."""
    give(world, *addresses)
    for address in addresses:
        accepts(world, inbox, address)
        world.totara.users[world.user(address)].lastaccess = int(world.clock()) if address in begun else 0


def who_learns(world: World) -> set[str]:
    return {email for (email, _), state in world.access().items() if state == "active"}


def test_then_whoever_never_began_goes_whatever_order_paid_for_their_seat(
    world: World, boss: int, inbox: Inbox
) -> None:
    product = world.sell(world.course("ONE"))
    first, second = buys(world, boss, product, 2), buys(world, boss, product, 2)
    learn(world, inbox, ADA, BO, CY, DI, begun=f"{ADA} {BO} {DI}")
    world.shop.refund(first, lines={line_of(world, first): 1})
    world.look(first)
    assert (who_learns(world), world.parked()) == ({ADA, BO, DI}, {})
    assert "1 × access ended, fewer units are paid for" in world.told(first)
    world.look(first, second)
    assert (who_learns(world), counts(world)) == ({ADA, BO, DI}, {"taken": 3})
    world.shop.refund(second, lines={line_of(world, second): 1})
    world.look(second)
    assert "1 of 2 seats in use have to go" in str(world.parked()), "all who are left have begun"


def test_whoever_began_has_what_is_open_before_whoever_did_not(world: World, boss: int, inbox: Inbox) -> None:
    product = world.sell(world.course("ONE"))
    first = buys(world, boss, product, 3)
    learn(world, inbox, CY, ADA, BO, begun=f"{ADA} {BO}")
    buys(world, boss, product, 2)
    learn(world, inbox, DI, begun=DI)
    world.shop.refund(first, lines={line_of(world, first): 2})
    world.look(first)
    assert (who_learns(world), world.parked()) == ({ADA, BO, DI}, {})


def test_of_a_cancelled_order_whoever_began_is_seated_before_whoever_did_not(
    world: World, boss: int, inbox: Inbox
) -> None:
    product = world.sell(world.course("ONE"))
    first, second = buys(world, boss, product, 2), buys(world, boss, product, 2)
    learn(world, inbox, CY, ADA, DI, BO, begun=f"{ADA} {BO}")
    world.shop.set_status(first, "cancelled")
    world.look(first)
    assert (who_learns(world), counts(world)) == ({ADA, BO}, {"taken": 2})
    world.shop.set_status(first, "completed")
    world.look(first, second)
    assert (who_learns(world), counts(world)) == ({ADA, BO, CY, DI}, {"taken": 4})


def test_a_cancelled_order_throws_nobody_out_whom_another_can_seat(world: World, boss: int, inbox: Inbox) -> None:
    product = world.sell(world.course("ONE"))
    first = buys(world, boss, product, 2)
    line = {"product_id": product, "quantity": 1, "meta": {FOR_WHOM_META: "team"}}
    second = world.shop.place_order([line], customer_id=boss, email=BOSS)
    world.look(second)
    give(world, ADA, BO)
    accepts(world, inbox, ADA)
    accepts(world, inbox, BO)
    world.shop.set_status(first, "cancelled")
    world.look(first)
    assert counts(world) == {"taken": 1}
    assert sorted(world.access().values()) == ["active", "suspended"]
    world.shop.set_status(first, "completed")
    world.look(first)
    assert counts(world) == {"taken": 2, "open": 1}
    assert set(world.access().values()) == {"active"}
    assert second != first


def test_one_more_for_the_team_is_bought_as_such(world: World, boss: int) -> None:
    product = world.sell(world.course("ONE"))
    buys(world, boss, product, 3)
    line = {"product_id": product, "quantity": 1, "meta": {FOR_WHOM_META: "team"}}
    world.look(world.shop.place_order([line], customer_id=boss, email=BOSS))
    assert counts(world) == {"open": 4}
    assert world.access() == {}


def test_one_unit_that_is_left_stays_the_teams(world: World, boss: int) -> None:
    order = buys(world, boss, world.sell(world.course("ONE")), 3)
    world.shop.refund(order, lines={line_of(world, order): 2})
    world.look(order)
    assert counts(world) == {"open": 1}
    assert world.access() == {}


def test_whom_a_gift_was_for_keeps_the_seat_as_the_order_says(world: World, boss: int) -> None:
    """Whom it is for is changed in the shop; the next look at the order would seat them again."""
    course = world.course("ONE")
    product = world.sell(course)
    order = world.shop.place_order([gift(product, ADA, quantity=4)], customer_id=boss, email=BOSS)
    world.look(order)
    assert counts(world) == {"open": 3, "taken": 1}
    (row,) = seats(world, search="ada@")
    assert world.bridge.desk.give_back(owner(world), row.seat.id) is Why.BOUGHT_FOR
    world.look(order)
    assert counts(world) == {"open": 3, "taken": 1}
    assert world.access() == {(ADA, course): "active"}


def test_what_the_order_changes_is_in_the_teams_history(world: World, boss: int) -> None:
    order = buys(world, boss, world.sell(world.course("ONE")), 3)
    world.shop.refund(order, lines={line_of(world, order): 1})
    world.look(order)
    facts = [row.facts for row in world.rows("audit") if row.event == "seats" and row.team_id == owner(world).team.id]
    assert facts == [{"given": 3}, {"ended": 1}]


def test_two_lists_of_thirty_into_thirty_seats_at_once_give_thirty(world: World, boss: int) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 30)
    actor, (pool,) = owner(world), pools(world)

    def upload(word: str) -> list[Why]:
        rows = [Invitee(n, f"{word}{n}@corp.test") for n in range(30)]
        return [why for why, _ in world.new_bridge().desk.give(actor, pool, rows).values()]

    with ThreadPoolExecutor(2) as pool_of_two:
        results = [why for found in pool_of_two.map(upload, ("a", "b")) for why in found]
    assert (results.count(Why.GIVEN), results.count(Why.NO_SEATS)) == (30, 30)
    assert counts(world) == {"invited": 30}


def test_seats_given_while_others_are_refunded_are_never_more_than_are_paid_for(
    world: World, boss: int, inbox: Inbox
) -> None:
    order = buys(world, boss, world.sell(world.course("ONE")), 20)
    actor, (pool,) = owner(world), pools(world)
    rows = [Invitee(n, f"x{n}@corp.test") for n in range(20)]
    world.shop.refund(order, lines={line_of(world, order): 12})
    world.owe("order", order)
    with ThreadPoolExecutor(2) as both:
        given = both.submit(world.new_bridge().desk.give, actor, pool, rows)
        both.submit(world.settle).result()
        asked = [seat for why, seat in given.result().values() if why is Why.GIVEN]
    world.look(order)
    assert sum(counts(world).values()) == 8
    live = [row.seat.id for row in seats(world) if row.seat.person is not None]
    assert set(live) <= set(asked)
    gone = next(row for row in world.rows("seats") if row.ended_at is not None)
    assert gone.ended_why == "fewer units are paid for"


def test_accepted_twice_at_once_is_accepted_once(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    secret = invitation(inbox, ADA)

    def accept(_: int) -> bool:
        try:
            world.bridge.invitations.accept(secret)
        except (BadSignature, Refused):
            return False
        return True

    with ThreadPoolExecutor(8) as many:
        assert sorted(many.map(accept, range(20))) == [False] * 19 + [True]


# --- how they get on --------------------------------------------------------------------------------------------------


def test_whoever_completes_is_shown_as_done_and_nobody_else(world: World, boss: int, inbox: Inbox) -> None:
    """And only as far as they let their team see it."""
    course = world.course("ONE")
    buys(world, boss, world.sell(course), 3)
    give(world, ADA, BO)
    for address in (ADA, BO):
        accepts(world, inbox, address, consents=True)
    ada = next(row.seat.person for row in seats(world) if row.email == ADA)
    with world.bridge.store.begin() as connection:
        connection.execute(access.update().where(access.c.person_id == ada).values(completed=True))
    assert {row.email: row.state for row in seats(world) if row.email} == {
        ADA: SeatState.COMPLETED,
        BO: SeatState.TAKEN,
    }
    assert [row.email for row in seats(world, states=frozenset({SeatState.COMPLETED}))] == [ADA]


def test_a_teams_look_has_totara_asked_for_the_next_one(world: World, boss: int, inbox: Inbox) -> None:
    course = world.course("ONE", lessons=["Test"])
    buys(world, boss, world.sell(course), 3)
    give(world, ADA, BO)
    accepts(world, inbox, ADA, consents=True)
    accepts(world, inbox, BO)
    for address in (ADA, BO):
        world.totara.complete(world.user(address), course)
    for _ in range(2):
        world.bridge.desk.look_how_far(seats(world))
    assert [row.key for row in world.rows("work") if row.kind == "progress" and row.due_at] == [
        str(row.seat.person) for row in seats(world) if row.email == ADA
    ], "of whoever shares it, and once"
    world.settle()
    world.bridge.desk.look_how_far(seats(world))
    assert not [row for row in world.rows("work") if row.kind == "progress" and row.due_at]
    assert {row.email: row.state.value for row in seats(world) if row.email} == {ADA: "completed", BO: "taken"}


# --- training credits ------------------------------------------------------------------------------------------------


def test_whoever_is_invited_to_one_of_several_is_told_to_which(
    world: World, boss: int, inbox: Inbox, offers: Any
) -> None:
    courses = [world.course(f"C{n}", name=f"Course number {n}") for n in range(3)]
    product = world.shop.add_product("Training credit", sku="CREDIT", price="90.00")
    gives = ", ".join(f'"course:{one}"' for one in courses)
    offers(f'[[offer]]\nsku = "CREDIT"\ngives = [{gives}]\npick = true\n')
    buys(world, boss, product, 2)
    (pool,) = pools(world)
    give(world, ADA, picked=pool.offer.items[1])
    assert "* Course number 1 (Training credit)" in text(inbox, -1)
    assert "to “Course number 1”" in str(inbox.mails[-1]["Subject"])
    found = world.bridge.invitations.look(invitation(inbox, ADA))
    assert (found.gives, found.name) == (("Course number 1",), "Training credit")
    assert accepts(world, inbox, ADA).answer is Answer.TAKEN
    assert learns_of(world, ADA) == [("Course number 1", "Training credit")]


def test_of_a_pool_of_several_courses_each_is_named(world: World, boss: int, inbox: Inbox, offers: Any) -> None:
    courses = [world.course(f"C{n}", name=f"Course number {n}") for n in range(2)]
    product = world.shop.add_product("Both courses", sku="BOTH", price="90.00")
    offers(f'[[offer]]\nsku = "BOTH"\ngives = ["course:{courses[0]}", "course:{courses[1]}"]\nfor = "team"\n')
    buys(world, boss, product, 2)
    give(world, ADA)
    assert "* Course number 0 (Both courses)" in text(inbox, -1) and "* Course number 1 (Both courses)" in text(
        inbox, -1
    )
    accepts(world, inbox, ADA)
    assert learns_of(world, ADA) == [("Course number 0", "Both courses"), ("Course number 1", "Both courses")]


def test_what_one_product_gives_is_called_as_it_was_sold(world: World, boss: int, inbox: Inbox) -> None:
    course = world.course("ONE", name="In Totara")
    buys(world, boss, world.sell(course), 2)
    give(world, ADA)
    assert f"* Course {course}\r\n" in text(inbox, -1), "as the shop calls it"
    accepts(world, inbox, ADA)
    assert [sold_as for _, sold_as in learns_of(world, ADA)] == [""]


def learns_of(world: World, address: str) -> list[tuple[str, str]]:
    """What somebody's courses are called on their page, and as what they were sold."""
    sign_on = world.bridge.sign_on
    assert sign_on is not None
    person = next(row.id for row in world.rows("persons") if row.email == address)
    with world.bridge.store.read() as connection:
        who = people.get_person(connection, person)
    return [(one.name, one.sold_as) for one in sign_on._listed(lambda _: who, "en")]


def test_any_one_of_five_is_picked_when_a_seat_is_given(world: World, boss: int, inbox: Inbox, offers: Any) -> None:
    courses = [world.course(f"C{n}") for n in range(3)]
    product = world.shop.add_product("Training credit", sku="CREDIT", price="90.00")
    gives = ", ".join(f'"course:{one}"' for one in courses)
    offers(f'[[offer]]\nsku = "CREDIT"\ngives = [{gives}]\npick = true\n')
    buys(world, boss, product, 2)
    assert counts(world) == {"open": 2}
    (pool,) = pools(world)
    assert give(world, ADA) == [Why.NOTHING_PICKED]
    picked = pool.offer.items[1]
    assert give(world, ADA, picked=picked) == [Why.GIVEN]
    accepts(world, inbox, ADA)
    assert world.access() == {(ADA, picked.id): "active"}


# --- letters to whoever sits on a seat that a team gave ---------------------------------------------------------------


def test_letters_name_the_team_that_gave_the_place_and_none_of_its_orders(
    world: World, boss: int, inbox: Inbox
) -> None:
    number = buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    accepts(world, inbox, ADA)
    ready = text(inbox, -1)
    assert "the place that Harbour & Sons gave you. Your access is ready" in ready
    assert "order" not in ready and str(number) not in ready.replace("\r\n", " ").split(" because of ")[-1]
    (seat,) = seats(world, search=ADA)
    assert world.bridge.desk.give_back(owner(world), seat.seat.id) is Why.GIVEN
    world.settle()
    ended = text(inbox, -1)
    assert "Harbour & Sons has taken back the place that it gave you." in ended and "order" not in ended


def test_when_it_is_not_paid_for_any_more_the_letter_says_so_of_the_place(
    world: World, boss: int, inbox: Inbox
) -> None:
    number = buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    accepts(world, inbox, ADA)
    world.shop.set_status(number, "cancelled")
    world.look(number)
    ended = text(inbox, -1)
    assert "The place that Harbour & Sons gave you is not paid for any more." in ended and "order" not in ended


def test_while_a_place_waits_for_a_person_nobody_is_thanked_for_an_order(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    give(world, ADA)
    world.totara.add_user(ADA, username="officer")
    accepts(world, inbox, ADA)
    waits = text(inbox, -1)
    assert "You have the place that Harbour & Sons gave you. We have not been able" in waits and "order" not in waits


def mailed_to(inbox: Inbox, address: str, subject: str) -> int:
    """How many letters with these words in their subject somebody has."""
    return sum(address in str(one["To"]) and subject in str(one["Subject"]) for one in inbox.mails)


def test_whoever_may_say_yes_is_written_to_once_a_day_while_somebody_waits(
    world: World, boss: int, inbox: Inbox
) -> None:
    waits = "somebody waits for your yes"
    buys(world, boss, world.sell(world.course("ONE")), 4)
    desk, actor = world.bridge.desk, owner(world)
    for address, role in (("mia@corp.test", TeamRole.MANAGER), ("vic@corp.test", TeamRole.VIEWER)):
        desk.invite_member(actor, Invitee(1, address), role)
        world.settle()
        accepts(world, inbox, address)
    desk.configure(actor, name="Harbour & Sons", approval=True)
    give(world, ADA, BO)
    accepts(world, inbox, ADA)
    assert [mailed_to(inbox, one, waits) for one in (BOSS, "mia@corp.test", "vic@corp.test")] == [1, 1, 0]
    assert "/team/" in text(inbox, -1) or "target=team" in text(inbox, -1)
    accepts(world, inbox, BO)
    assert mailed_to(inbox, BOSS, waits) == 1
    world.clock.advance(hours=25)
    world.settle()
    assert mailed_to(inbox, BOSS, waits) == 2
    for row in seats(world, states=frozenset({SeatState.APPROVAL})):
        desk.approve(actor, row.seat.id)
    for _ in range(2):
        world.clock.advance(hours=25)
        world.settle()
    assert mailed_to(inbox, BOSS, waits) == 2


def test_nobody_is_reminded_for_ever_of_somebody_who_waits(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    world.bridge.desk.configure(owner(world), name="Harbour & Sons", approval=True)
    give(world, ADA)
    accepts(world, inbox, ADA)
    for _ in range(12):
        world.clock.advance(hours=25)
        world.settle()
    assert 2 <= mailed_to(inbox, BOSS, "somebody waits for your yes") <= 8


def test_whoever_is_handed_a_team_is_told(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    desk, actor = world.bridge.desk, owner(world)
    desk.invite_member(actor, Invitee(1, "mia@corp.test"), TeamRole.MANAGER)
    world.settle()
    accepts(world, inbox, "mia@corp.test")
    (mia,) = [row.person_id for row in world.rows("team_members") if row.role == "manager"]
    assert desk.hand_over(actor, mia)
    world.settle()
    assert mailed_to(inbox, "mia@corp.test", "Harbour & Sons is yours to manage now") == 1
    assert "/team/" in text(inbox, -1)


def test_a_letter_that_nobody_takes_is_seen_on_the_seat(world: World, boss: int, inbox: Inbox) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 2)
    inbox.answers["RCPT"] = "550 5.1.1 No such user here"
    give(world, ADA)
    assert [row.undelivered for row in seats(world, search=ADA)] == [True]
    del inbox.answers["RCPT"]
    give(world, BO)
    assert [row.undelivered for row in seats(world, search=BO)] == [False]
    (ada,) = seats(world, search=ADA)
    assert world.bridge.desk.reassign(owner(world), ada.seat.id, Invitee(1, "ada@corp2.test")) is Why.GIVEN
    assert [row.undelivered for row in seats(world)] == [False, False], "of the new letter nobody can say that yet"
    world.settle()
    assert [row.undelivered for row in seats(world)] == [False, False]


def test_a_newer_list_corrects_the_name_of_whoever_is_known_by_lists_alone(
    world: World, boss: int, inbox: Inbox
) -> None:
    buys(world, boss, world.sell(world.course("ONE")), 3)
    desk, actor = world.bridge.desk, owner(world)

    def named(first: str, language: str) -> tuple[str, str]:
        desk.give(actor, pools(world)[0], [Invitee(1, ADA, first, "Byte", language)])
        world.settle()
        (row,) = [row for row in world.rows("persons") if row.email == ADA]
        return row.first_name, row.language

    assert named("Adda", "en") == ("Adda", "en")
    assert named("Ada", "fr") == ("Ada", "fr")
    accepts(world, inbox, ADA)
    assert named("Eve", "es") == ("Ada", "fr")


def test_who_bought_for_themselves_is_called_as_they_said(world: World, boss: int) -> None:
    other = world.sell(world.course("TWO"))
    buys(world, boss, world.sell(world.course("ONE")), 3)
    world.totara.add_user(ADA, username="officer")  # so that none is made for her
    world.look(world.shop.place_order([(other, 1)], email=ADA, first_name="Ada", last_name="Byte"))
    world.bridge.desk.give(owner(world), pools(world)[0], [Invitee(1, ADA, "Eve", "Else", "")])
    assert [row.first_name for row in world.rows("persons") if row.email == ADA] == ["Ada"]
