"""Tokens by which a team's machines come in: who makes them, and what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bridge.domain.teams import TeamRole
from bridge.errors import Refused
from bridge.office import MOST_TOKENS, Actor, NotAllowed
from bridge.store import team_tokens
from tests.test_story_teams import boss, buys, owner, world
from tests.world import World

__all__ = ["boss", "world"]


@pytest.fixture
def actor(world: World, boss: int) -> Actor:
    """The owner of a team."""
    buys(world, boss, world.sell(world.course("ONE")), 2)
    return owner(world)


def test_a_secret_is_told_once_and_only_its_digest_kept(world: World, actor: Actor) -> None:
    number, secret = world.bridge.desk.make_token(actor, "Payroll", TeamRole.MANAGER)
    assert secret.startswith("bridge_team_") and len(secret) == len("bridge_team_") + 43
    (token,) = world.bridge.desk.tokens(actor)
    assert (token.id, token.name, token.role, token.made_by) == (number, "Payroll", TeamRole.MANAGER, actor.person)
    assert token.used_at is None
    (row,) = world.rows("team_tokens")
    assert secret not in str(row) and secret[12:] not in str(row)
    (made,) = [entry for entry in world.rows("audit") if entry.event == "token made"]
    assert (made.team_id, made.actor, made.facts) == (actor.team.id, actor.name, {"token": number, "role": "manager"})


def test_a_revoked_token_is_found_no_more(world: World, actor: Actor) -> None:
    number, secret = world.bridge.desk.make_token(actor, "Payroll", TeamRole.VIEWER)
    with world.bridge.store.read() as connection:
        found = team_tokens.find_token(connection, secret)
        assert found is not None and (found.id, found.team) == (number, actor.team.id)
        assert team_tokens.find_token(connection, secret[:-1]) is None
    assert world.bridge.desk.revoke_token(actor, number)
    assert not world.bridge.desk.revoke_token(actor, number)
    with world.bridge.store.read() as connection:
        assert team_tokens.find_token(connection, secret) is None
    assert [entry.event for entry in world.rows("audit")][-1] == "token revoked"


def test_only_an_owner_makes_lists_and_revokes_tokens(world: World, actor: Actor) -> None:
    number, _ = world.bridge.desk.make_token(actor, "Payroll", TeamRole.VIEWER)
    for role in (TeamRole.MANAGER, TeamRole.VIEWER):
        other = replace(actor, role=role)
        with pytest.raises(NotAllowed):
            world.bridge.desk.make_token(other, "Mine", TeamRole.VIEWER)
        with pytest.raises(NotAllowed):
            world.bridge.desk.tokens(other)
        with pytest.raises(NotAllowed):
            world.bridge.desk.revoke_token(other, number)
    assert len(world.rows("team_tokens")) == 1


def test_no_token_is_an_owners_and_no_token_makes_tokens(world: World, actor: Actor) -> None:
    with pytest.raises(Refused):
        world.bridge.desk.make_token(actor, "All", TeamRole.OWNER)
    with pytest.raises(Refused):
        world.bridge.desk.make_token(replace(actor, person=None), "Another", TeamRole.VIEWER)


def test_a_team_has_only_so_many(world: World, actor: Actor) -> None:
    for n in range(MOST_TOKENS):
        world.bridge.desk.make_token(actor, f"{n}", TeamRole.VIEWER)
    with pytest.raises(Refused, match="already"):
        world.bridge.desk.make_token(actor, "One more", TeamRole.VIEWER)


def test_another_teams_token_is_not_revoked(world: World, actor: Actor) -> None:
    number, _ = world.bridge.desk.make_token(actor, "Payroll", TeamRole.VIEWER)
    other = world.shop.place_order([(world.sell(world.course("TWO")), 2)], email="eve@else.test", company="Else")
    world.look(other)
    eve = next(row for row in world.rows("teams") if row.id != actor.team.id)
    stranger = replace(actor, team=replace(actor.team, id=eve.id))
    assert not world.bridge.desk.revoke_token(stranger, number)
    assert world.bridge.desk.tokens(stranger) == []
    assert len(world.bridge.desk.tokens(actor)) == 1


def test_when_it_was_used_is_written_down_once_a_minute(world: World, actor: Actor) -> None:
    number, _ = world.bridge.desk.make_token(actor, "Payroll", TeamRole.VIEWER)
    first = world.now()
    for seconds, kept in ((0, 0), (59, 0), (60, 60), (61, 60)):
        with world.bridge.store.begin() as connection:
            team_tokens.token_used(connection, number, first + timedelta(seconds=seconds))
        (token,) = world.bridge.desk.tokens(actor)
        assert token.used_at == first + timedelta(seconds=kept)
