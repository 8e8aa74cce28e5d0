"""Who may do what on a team's pages: every route there is, for everybody, with what is theirs, others', and not there.

The routes are read from the application, what each takes from its ``team_action``, and who may do that from the one
table of the domain. A new route is among them by itself. If its address names a new kind of thing, the test fails
until :data:`THINGS` tells how to come by one; if it is behind no door, until :data:`OUTSIDE` says why.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from sqlalchemy import func, insert, select, update
from werkzeug.routing import Rule
from werkzeug.test import Client, TestResponse

from bridge import sso
from bridge.domain.identity import Contact, Identity
from bridge.domain.seats import Wait, Why
from bridge.domain.teams import LEAST, Action, TeamRole, may
from bridge.office import Actor
from bridge.store import models, people, placing, pooled, teams
from bridge.store.batches import Invitee
from bridge.store.pooled import Pool
from bridge.web.teams.door import ACTION
from tests.test_mail import Server
from tests.test_story_letters import mail
from tests.test_story_sign_on import claims, launch, signed
from tests.test_story_teams import SECRET
from tests.world import World

#: Routes that are behind no door of a team, and why.
OUTSIDE = {
    "teams.home": "whoever is signed in sees the teams that are theirs",
    "teams.invitation": "whoever has the secret of an invitation",
    "teams.look": "whoever has the secret of an invitation",
    "teams.accept": "whoever has the secret of an invitation",
    "teams.decline": "whoever has the secret of an invitation",
    "teams.mine": "a learner's own consents",
    "teams.withdraw": "a learner's own consents",
}
#: A number and a key that nothing has.
NO_NUMBER, NO_KEY = 987_654_321, "0" * 24
#: What no database keeps as a number.
BEYOND = (-1, 2**63, 10**30)


@dataclass(frozen=True)
class Company:
    """A team and what it has bought."""

    actor: Actor
    pool: Pool

    @property
    def key(self) -> str:
        return self.actor.team.key


#: How to come by a thing of a team that an address names, made anew for each request. ``key`` is the team itself.
THINGS: Mapping[str, Callable[[World, Company], object]] = {
    "key": lambda world, company: company.key,
    "pool": lambda world, company: company.pool.key,
    "seat": lambda world, company: given(world, company),
    "number": lambda world, company: listed(world, company),
    "person": lambda world, company: member(world, company, TeamRole.VIEWER),
    "token": lambda world, company: token(world, company),
}
#: The same where only one of a kind will do.
FOR: Mapping[tuple[str, str], Callable[[World, Company], object]] = {
    ("teams.approve", "seat"): lambda world, company: waiting(world, company),
}
#: What a form has to bring for a route to do what it is there for.
FORMS: Mapping[str, Callable[[World, Company], dict[str, object]]] = {
    "teams.give": lambda world, company: {"email": anybody()},
    "teams.upload": lambda world, company: {"people": f"{anybody()}, {anybody()}"},
    "teams.find": lambda world, company: {"search": "corp"},
    "teams.export": lambda world, company: {"format": "xlsx"},
    "teams.configure": lambda world, company: {"name": "Corp"},
    "teams.invite_member": lambda world, company: {"email": anybody(), "role": "viewer"},
    "teams.change_member": lambda world, company: {"role": "viewer"},
    "teams.hand_over": lambda world, company: {"to": member(world, company, TeamRole.MANAGER), "sure": "yes"},
    "teams.make_token": lambda world, company: {"name": "HR", "role": "viewer"},
    "teams.reassign": lambda world, company: {"email": anybody()},
}
#: What whoever may is answered, where that is not the page, or for a form the way back to one.
ANSWERS: Mapping[str, int] = {
    "teams.export": 200,  # the file
    "teams.hand_over": 200,  # that it was done: the settings are theirs no more
    "teams.left": 200,  # the same
    "teams.make_token": 200,  # the secret
}


def anybody() -> str:
    """An address that nobody had before."""
    return f"{secrets.token_hex(4)}@corp.test"


def waiting(world: World, company: Company) -> int:
    """A seat that was accepted, and waits for a yes."""
    seat = given(world, company)
    with world.bridge.store.begin() as connection:
        row = pooled.find_seat(connection, company.actor.team.id, seat, world.now())
        assert row is not None
        assert placing.take_seat(connection, seat, int(row.seat.person or 0), Wait.APPROVAL, world.now())
    return seat


def given(world: World, company: Company) -> int:
    """A seat that somebody was asked to take."""
    ((why, seat),) = world.bridge.desk.give(company.actor, company.pool, [Invitee(1, anybody())]).values()
    assert why is Why.GIVEN
    assert seat is not None
    return seat


def listed(world: World, company: Company) -> int:
    """A list that was not confirmed."""
    rows = [Invitee(1, anybody())]
    return world.bridge.desk.prepare(company.actor, company.pool, rows, secrets.token_hex(8)).id


def token(world: World, company: Company) -> int:
    """A token of the team's machines."""
    row = {"name": "HR", "team_id": company.actor.team.id, "role": "viewer", "made_by": company.actor.person}
    with world.bridge.store.begin() as connection:
        t = models.team_tokens
        made = insert(t).values(**row, made_at=world.now(), digest=secrets.token_hex(32)).returning(t.c.id)
        return int(connection.execute(made).scalar_one())


def member(world: World, company: Company, role: TeamRole, person: int | None = None) -> int:
    """Somebody who has this part in the team, whatever they were before; somebody new, if it is not said who."""
    now, team, address = world.now(), company.actor.team.id, anybody()
    with world.bridge.store.begin() as connection:
        if person is None:
            who = Contact(Identity(None, address), address)
            person = people.ensure_person(world.bridge.store, connection, who, now)
        teams.put_member(world.bridge.store, connection, team, person, role, now)
        teams.accept_member(connection, team, person, now)
        mine = (models.team_members.c.team_id == team, models.team_members.c.person_id == person)
        connection.execute(update(models.team_members).where(*mine).values(role=role))
    return person


# --- who visits ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Visitor:
    """Somebody's browser, and the word that their forms bring along."""

    browser: Client
    form: str
    person: int

    def asks(self, method: str, url: str, form: Mapping[str, object]) -> TestResponse:
        if method == "GET":
            return self.browser.get(url)
        return self.browser.post(url, data={"form": self.form, **form})


def visitor(world: World, address: str) -> Visitor:
    """A customer of the shop who is signed in, and whose address is known to be theirs."""
    customer = world.shop.add_customer(address)
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, customer, email=address, email_verified=True, target="courses")), browser)
    found = re.search(r'name="form" value="([^"]+)"', browser.get("/learn").text)
    assert found is not None
    with world.bridge.store.read() as connection:
        person = people.find_person(connection, Identity(customer, None))
    assert person is not None
    return Visitor(browser, found[1], person.id)


def company(world: World, address: str) -> tuple[Company, Visitor]:
    """A customer of the shop has bought seats for others; and their browser."""
    owner = visitor(world, address)
    (customer,) = [one["id"] for one in world.shop.customers.values() if one["email"] == address]
    product = world.sell(world.course(secrets.token_hex(3)))
    world.look(world.shop.place_order([(product, 250)], customer_id=customer, email=address, company="Corp"))
    with world.bridge.store.read() as connection:
        ((team, role),) = teams.teams_of(connection, owner.person)
        (pool,) = pooled.pools_of(connection, team.id, world.now())
    assert role is TeamRole.OWNER
    return Company(Actor(team, role, f"person {owner.person}", owner.person), pool), owner


class Stage:
    """Two companies, and whoever may come to the pages of the first."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ours, owner = company(world, "boss@corp.test")
        self.theirs, stranger = company(world, "eve@else.test")
        viewer, manager, learner = (visitor(world, f"{name}@corp.test") for name in ("vic", "max", "lea"))
        self.members = {TeamRole.VIEWER: viewer, TeamRole.MANAGER: manager, TeamRole.OWNER: owner}
        # Operators have commands, and no way in here that others have not: on pages they are whoever they are.
        operator = visitor(world, "ops@academy.test")
        self.strangers = {"another team's owner": stranger, "a learner": learner, "an operator": operator}
        self.restore()
        self._sits(learner.person)

    def restore(self) -> None:
        """Everybody is what they are called again, whatever a route did."""
        with self.world.bridge.store.begin() as connection:
            m = models.team_members
            mine = (m.c.team_id == self.ours.actor.team.id, m.c.role == TeamRole.OWNER)
            connection.execute(update(m).where(*mine).values(role=TeamRole.MANAGER))
        for role, one in self.members.items():
            member(self.world, self.ours, role, one.person)

    def _sits(self, person: int) -> None:
        seat = given(self.world, self.ours)
        with self.world.bridge.store.begin() as connection:
            taken = update(models.seats).where(models.seats.c.id == seat)
            connection.execute(taken.values(person_id=person, waits=None, taken_at=self.world.now()))

    def refusals(self) -> int:
        with self.world.bridge.store.read() as connection:
            a = models.audit
            return int(connection.execute(select(func.count()).where(a.c.event == "sign-on refused")).scalar_one())


@pytest.fixture
def stage(make_world: Callable[..., World], server: Server, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(sso, "MOST_REFUSALS", 1_000_000)  # each of them is looked for
    world = make_world(sso={"shop_secrets": [SECRET], "wait_seconds": 0}, mail=mail(server))
    world.bridge.keys.first()
    return Stage(world)


# --- the matrix ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Route:
    """A route behind a team's door."""

    endpoint: str
    method: str
    rule: Rule
    action: Action

    @property
    def things(self) -> list[str]:
        """What its address names beside the team."""
        return sorted(self.rule.arguments - {"key"})

    def url(self, **values: object) -> str:
        built = self.rule.build(values)
        assert built is not None, f"{self.endpoint} has no address with {values}"
        return built[1]


def rules(world: World) -> list[Rule]:
    return [rule for rule in world.bridge.web().url_map.iter_rules() if rule.endpoint.startswith("teams.")]


def routes(world: World) -> Iterator[Route]:
    views = world.bridge.web().view_functions
    for rule in rules(world):
        action = getattr(views[rule.endpoint], ACTION, None)
        if action is not None:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield Route(rule.endpoint, method, rule, action)


def test_every_route_is_behind_a_door_or_said_to_need_none(world_with_pages: World) -> None:
    world = world_with_pages
    guarded = {route.endpoint for route in routes(world)}
    assert {rule.endpoint for rule in rules(world)} - guarded - OUTSIDE.keys() == set()
    assert guarded & OUTSIDE.keys() == set()
    assert {"teams.overview", "teams.upload", "teams.give_back", "teams.export"} <= guarded
    for rule in rules(world):
        if rule.endpoint in guarded:
            assert "key" in rule.arguments, f"{rule.endpoint} is of no team"
            assert rule.arguments - THINGS.keys() == set(), f"tell in THINGS how to come by what {rule.endpoint} names"


@pytest.fixture
def world_with_pages(make_world: Callable[..., World]) -> World:
    return make_world(sso={"shop_secrets": [SECRET]})


def values_of(stage: Stage, route: Route, of: Company, **other: object) -> dict[str, object]:
    """What the address names: the things of a company."""
    named = {thing: FOR.get((route.endpoint, thing), THINGS[thing])(stage.world, of) for thing in route.things}
    return {"key": stage.ours.key, **named, **other}


def form_of(stage: Stage, route: Route) -> Mapping[str, object]:
    return FORMS[route.endpoint](stage.world, stage.ours) if route.endpoint in FORMS else {}


def cells(stage: Stage, route: Route) -> Iterator[tuple[str, dict[str, object]]]:
    """Everything that an address can name: ours, others', and what is not there."""
    yield "ours", values_of(stage, route, stage.ours)
    yield "another team", values_of(stage, route, stage.theirs, key=stage.theirs.key)
    yield "no team", values_of(stage, route, stage.ours, key=NO_KEY)
    for thing in route.things:
        foreign = THINGS[thing](stage.world, stage.theirs)
        missing = NO_KEY if isinstance(foreign, str) else NO_NUMBER
        yield f"another team's {thing}", values_of(stage, route, stage.ours, **{thing: foreign})
        yield f"no {thing}", values_of(stage, route, stage.ours, **{thing: missing})


def test_everybody_may_do_what_their_part_in_the_team_allows_and_nothing_else(stage: Stage) -> None:
    wrong = []
    for route in routes(stage.world):
        form = form_of(stage, route)
        for what, values in cells(stage, route):
            url = route.url(**values)
            for who, got, noted in asked(stage, route, what, url, form):
                wrong += judged(route, who, what, got, noted)
    assert wrong == []


def asked(
    stage: Stage, route: Route, what: str, url: str, form: Mapping[str, object]
) -> Iterator[tuple[TeamRole | str, int, int]]:
    """Everybody asks for an address: who, what they were answered, and how many refusals were written down."""
    nobody = Visitor(Client(stage.world.bridge.web()), "", 0)
    everybody: list[tuple[TeamRole | str, Visitor]] = [("nobody", nobody), *stage.strangers.items()]
    for who, one in [*everybody, *stage.members.items()]:
        if what == "another team" and who == "another team's owner":
            continue  # it is theirs
        done = isinstance(who, TeamRole) and what == "ours" and may(who, route.action)
        if done:  # it is really done: to something that nothing was done to before
            stage.restore()
            url = route.url(**values_of(stage, route, stage.ours))
            form = form_of(stage, route)
        before = stage.refusals()
        got = one.asks(route.method, url, form).status_code
        yield who, got, stage.refusals() - before
    stage.restore()


def judged(route: Route, who: TeamRole | str, what: str, got: int, noted: int) -> list[str]:
    """What is wrong with an answer, if anything is."""
    if who == "nobody":
        right = got == (303 if route.method == "GET" else 403)
    elif not isinstance(who, TeamRole) or what in ("another team", "no team"):
        right = (got, noted) == (404, 1)
    elif who.rank < LEAST[route.action].rank:
        right = (got, noted) == (403, 1)
    elif what != "ours":
        right = (got, noted) == (404, 1)
    else:
        usual = 200 if route.method == "GET" else 303
        owner_stays = route.endpoint == "teams.left" and who is TeamRole.OWNER
        right = (got, noted) == (409 if owner_stays else ANSWERS.get(route.endpoint, usual), 0)
    return [] if right else [f"{route.method} {route.endpoint}, {who}, {what}: {got}, {noted} refusals noted"]


def test_a_number_that_is_none_is_nowhere(stage: Stage) -> None:
    """For nobody, and in no address: there is no such page, and nothing fails."""
    everybody = [Visitor(Client(stage.world.bridge.web()), "", 0), *stage.strangers.values(), *stage.members.values()]
    wrong, looked = [], 0
    for route in routes(stage.world):
        values = values_of(stage, route, stage.ours)
        for thing in [one for one in route.things if isinstance(values[one], int)]:
            for number in BEYOND:
                url = with_number(route.url(**values), values[thing], number)
                for one in everybody:
                    got = one.asks(route.method, url, form_of(stage, route)).status_code
                    looked += 1
                    # 405 of what is there by GET too: the router looks at methods first.
                    wrong += [] if got in (404, 405) else [f"{route.method} {url}: {got}"]
    assert wrong == []
    assert looked >= 10 * len(BEYOND) * len(everybody)


def with_number(url: str, number: object, other: int) -> str:
    """An address in which another number stands. It may be none that the application would build."""
    parts = url.split("/")
    at = len(parts) - 1 - parts[::-1].index(str(number))
    return "/".join([*parts[:at], str(other), *parts[at + 1 :]])
