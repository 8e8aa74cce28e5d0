"""Operators' commands about teams: find one, see how it stands. And how other commands find a team and its pools."""

from __future__ import annotations

import re
from typing import Any

import click
from sqlalchemy import Connection

from bridge.commands.common import (
    NUMBER,
    as_json,
    as_table,
    by_option,
    json_option,
    out,
    why_option,
    with_bridge,
    yes_option,
)
from bridge.domain.notes import day
from bridge.domain.seats import SeatState
from bridge.domain.teams import TeamRole
from bridge.errors import NotFound, Refused
from bridge.office import Actor
from bridge.store import batches, placing, pooled
from bridge.store import teams as store
from bridge.store.db import utc_now
from bridge.store.pooled import Pool
from bridge.store.teams import Team
from bridge.wiring import Bridge

#: As many teams are listed.
MOST = 100
#: As many lists of people are told of a team.
LISTS = 5


@click.group()
def teams() -> None:
    """Teams: who manages the seats that a company bought, and how these stand."""


# --- finding ---------------------------------------------------------------------------------------------------------


def find_team(connection: Connection, word: str) -> Team:
    """The team of this number or key. Raises NotFound in words."""
    said = word.strip().lower()
    try:
        found = store.get_team(connection, int(said)) if re.fullmatch(r"[0-9]{1,18}", said) else None
    except LookupError:
        found = None
    found = found or store.find_team(connection, said)
    if found is None:
        raise NotFound("there is no such team: `bridge teams list` shows which there are")
    return found


def find_pool(connection: Connection, team: Team, word: str) -> Pool:
    """The team's pool whose key begins like this; "" is the one it has. Raises Refused in words."""
    pools = pooled.pools_of(connection, team.id, utc_now())
    found = [pool for pool in pools if pool.key.startswith(word.strip().lower())]
    if len(found) == 1:
        return found[0]
    which = "; ".join(f"{pool.key} ({pool.name})" for pool in pools) or "none, since it bought no seats"
    said = "say by --pool which one is meant" if found else "none of them is called so"
    raise Refused(f"team {team.id} has these pools: {which}: {said}")


def operator_of(team: Team, by: str) -> Actor:
    """An operator, who does for a team what its owner may."""
    return Actor(team, TeamRole.OWNER, f"operator {by}"[:64], operator=True)


# --- commands --------------------------------------------------------------------------------------------------------


@teams.command("list")
@click.option("--search", default="", metavar="TEXT", help="A part of the team's name.")
@json_option
@with_bridge
def teams_list(bridge: Bridge, search: str, json_: bool) -> None:
    """List the teams, the newest first; a hundred at most.

    \b
    Examples:
      bridge teams list
      bridge teams list --search harbour --json
    """
    with bridge.store.read() as connection:
        found = store.newest_teams(connection, search, MOST + 1)
    if json_:
        as_json([_team(team) for team in found[:MOST]])
        return
    rows = [(team.id, team.key, team.name, team.buyer, day(team.made_at)) for team in found[:MOST]]
    as_table("Teams", ("team", "key", "name", "buyer: person", "since"), rows, "There is no such team.")
    if len(found) > MOST:
        out.print("There are more: --search for a part of the name.")


def _team(team: Team) -> dict[str, Any]:
    facts = {"team": team.id, "key": team.key, "name": team.name, "buyer": team.buyer}
    return {**facts, "approval": team.approval, "since": team.made_at}


@teams.command("show")
@click.argument("team", metavar="TEAM")
@json_option
@with_bridge
def teams_show(bridge: Bridge, team: str, json_: bool) -> None:
    """Show a team, by its number or key: who manages it, its pools of seats, its orders and its newest lists.

    Persons are told by their numbers; `bridge people show` and `bridge explain` tell who has an address.

    \b
    Examples:
      bridge teams show 3
      bridge teams show 5c0a9d1be4f27788a1b2c3d4 --json
    """
    with bridge.store.read() as connection:
        shown = _shown(connection, find_team(connection, team))
    if json_:
        as_json(shown)
        return
    name = f" ({shown['name']})" if shown["name"] else ""
    click.echo(click.style(f"Team {shown['team']}{name}", bold=True))
    yes = "wait for a manager's yes" if shown["approval"] else "give access at once"
    buyer = f"of person {shown['buyer']}" if shown["buyer"] else "its buyer has left"
    click.echo(f"  key {shown['key']}, since {day(shown['since'])}, {buyer}; acceptances {yes}")
    _print(shown)


def _shown(connection: Connection, team: Team) -> dict[str, Any]:
    members = [
        {"person": one.person, "role": str(one.role), "asked": one.asked_at, "accepted": one.accepted_at}
        for one in store.members(connection, team.id)
    ]
    orders = [
        {"order": one.order, "subscription": one.subscription, "name": one.name, "units": one.units}
        for one in placing.orders_of_team(connection, team.id)
    ]
    pools = [_pool(pool) for pool in pooled.pools_of(connection, team.id, utc_now())]
    lists = [_list(connection, one) for one in batches.batches_of(connection, team.id, LISTS)]
    return {**_team(team), "members": members, "pools": pools, "orders": orders, "lists": lists}


def _pool(pool: Pool) -> dict[str, Any]:
    counts = {str(state): pool.counts[state] for state in SeatState if state in pool.counts}
    gives = [f"{item.kind}:{item.id}" for item in pool.offer.items]
    return {"pool": pool.key, "name": pool.name, "gives": gives, "pick": pool.offer.pick, "seats": counts}


def _list(connection: Connection, batch: batches.Batch) -> dict[str, Any]:
    counts = {str(why or "waiting"): count for why, count in batches.progress(connection, batch.id).items()}
    facts = {"list": batch.id, "pool": batch.pool, "by": batch.actor, "confirmed": batch.begun, "done": batch.done}
    return {**facts, "people": counts}


def _print(shown: dict[str, Any]) -> None:
    managers = [
        (one["person"], one["role"], day(one["asked"]), day(one["accepted"]) if one["accepted"] else "not yet")
        for one in shown["members"]
    ]
    as_table("Who manages it", ("person", "as", "asked", "accepted"), managers, "Nobody manages it.")
    pools = [
        (one["pool"], one["name"], (" or " if one["pick"] else ", ").join(one["gives"]), _counts(one["seats"]))
        for one in shown["pools"]
    ]
    as_table("Pools", ("pool", "name", "a seat gives", "seats"), pools, "It has no seats.")
    orders = [(one["order"], one["subscription"], one["name"], one["units"]) for one in shown["orders"]]
    as_table("Bought by", ("order", "subscription", "name", "units paid for"), orders, "")
    lists = [
        (one["list"], one["by"], day(one["confirmed"]), day(one["done"]) if one["done"] else "", _counts(one["people"]))
        for one in shown["lists"]
    ]
    as_table("Newest lists of people", ("list", "by", "confirmed", "done", "people"), lists, "No list was given in.")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in counts.items())


# --- handing over ----------------------------------------------------------------------------------------------------


@teams.command("hand-over")
@click.argument("word", metavar="TEAM")
@click.option("--to", "heir", metavar="PERSON", type=NUMBER, required=True, help="Whose it is from now on, by number.")
@yes_option
@by_option
@why_option("an operator handed the team over")
@with_bridge
def teams_hand_over(bridge: Bridge, word: str, heir: int, yes: bool, by: str, why: str) -> None:
    """Make somebody the owner of a team, where its owner can't: they left the company, or nobody owns it.

    Whoever owned it is a manager from then on. The new owner need not have been a member, but has to have proven an
    address: `bridge people show` tells.

    \b
    Examples:
      bridge teams hand-over 3 --to 12
      bridge teams hand-over 3 --to 12 --by "M. Vella" --why "ticket 88: the owner left the company"
    """
    with bridge.store.read() as connection:
        team = find_team(connection, word)
        owner = store.owner_of(connection, team.id)
    if not yes:
        before = f"Person {owner}, who owns it now, stays a manager." if owner else "Nobody owns it now."
        click.confirm(f"Team {team.id} is person {heir}'s from now on. {before}\nGo on?", abort=True)
    if not bridge.desk.hand_over(operator_of(team, by), heir, why=why):
        raise Refused(f"team {team.id} is theirs already, or changed hands just now. Nothing was changed")
    click.echo(f"handed over: team {team.id} is person {heir}'s")
