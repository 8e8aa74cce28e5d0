"""Operators' commands about the seats of teams: list them, give them, take them back, give them to others."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from bridge.commands.common import (
    NUMBER,
    as_json,
    as_table,
    by_option,
    why_option,
    with_bridge,
    yes_option,
)
from bridge.commands.teams import find_pool, find_team, operator_of
from bridge.domain.notes import day
from bridge.domain.offers import Item, read_item
from bridge.domain.roster_cells import Problem
from bridge.domain.rosters import row_of
from bridge.domain.seats import SeatState, Why
from bridge.errors import NotFound
from bridge.health import NO_WORKER, is_worked
from bridge.store import placing, pooled, teams
from bridge.store.batches import Invitee
from bridge.store.db import utc_now
from bridge.store.pooled import SeatRow, Wanted
from bridge.store.teams import Team
from bridge.wiring import Bridge

#: So many seats are read at once.
PAGE = 500

#: What became of somebody who was to be given a seat, or why a seat stays as it is.
SAID = {
    Why.GIVEN: "given",
    Why.NO_SEATS: "no seat of the pool may be given now",
    Why.HAS_ONE: "has a seat of the pool already, or was asked to take one",
    Why.NOT_OPEN: "its last day to be given has passed",
    Why.NOT_WAITING: "nobody has it, or it has changed hands meanwhile",
    Why.BEGUN: "whoever has it has completed what it gives",
    Why.MAYBE_BEGUN: "whoever has it has been in Totara, and may have begun",
    Why.TOO_OFTEN: "it was given as often as one seat may be",
    Why.WRITTEN_OFTEN: "as many letters went out as do for one invitation",
    Why.ENDED: "it is not paid for any more",
    Why.BOUGHT_FOR: "it was bought for just this person: change whom the line of the order is for",
    Why.NOT_OF_TEAM: "it is none of the team's",
    Why.NO_ADDRESS: "there is no address to write to",
    Why.DECLINED: "said no to a seat of the pool, and was not asked by name since",
    Why.NOTHING_PICKED: "--pick names one thing of the pool where its seats give one of several, and is left out else",
    Why.STOPPED: "whoever confirmed the list may not give seats any more",
}
PROBLEMS = {
    Problem.NO_ADDRESS: "has no address",
    Problem.NOT_AN_ADDRESS: "what stands for the address is none",
    Problem.TWICE: "has the address of row {first}",
    Problem.NAME_TOO_LONG: "the name is too long",
    Problem.NAME_SIGNS: "the name has signs that nobody sees, or that turn others round",
    Problem.FORMULA: "the name is a formula to a spreadsheet",
    Problem.TOO_LONG: "the address is too long",
}


def _pick(_context: click.Context, _option: click.Parameter, value: str | None) -> Item | None:
    if value is None:
        return None
    try:
        return read_item(value)
    except ValueError as err:
        raise click.BadParameter(str(err)) from err


pool_option = click.option(
    "--pool", "pool_key", default="", metavar="POOL", help="Its key or how that begins; not needed if there is one."
)
pick_option = click.option(
    "--pick", "picked", metavar="course:12", callback=_pick, help="Where a seat gives one of several things: which."
)
team_argument = click.argument("team_word", metavar="TEAM")
address_options = (
    click.option("--email", metavar="ADDRESS", required=True, help="Whom to ask to take the seat."),
    click.option("--first", default="", metavar="NAME", help="First name."),
    click.option("--last", default="", metavar="NAME", help="Last name."),
    click.option("--language", default="", metavar="CODE", help="Of the letter, if we know of none: fr."),
)


def _addressed(command: Any) -> Any:
    for option in reversed(address_options):
        command = option(command)
    return command


def invitee(email: str, first: str, last: str, language: str) -> Invitee:
    """Who is to be asked. Raises BadParameter in words that do not repeat what was typed."""
    row = row_of(1, email, first, last, language)
    if row.problem is not None:
        raise click.BadParameter(PROBLEMS[row.problem])
    return Invitee(1, row.email, row.first_name, row.last_name, row.language)


def say_who_works(bridge: Bridge) -> bool:
    """Say so if no worker runs that would do the rest; whether one does."""
    works = is_worked(bridge.store, watch_seconds=bridge.settings.work.watch_seconds)
    if not works:
        click.echo(f"bridge: {NO_WORKER} It is written down, and done as soon as one is", err=True)
    return works


def stop_at(why: Why, what: str, said: Mapping[Why, str] = SAID) -> None:
    """Exit 1, in words, unless it was done."""
    if why is not Why.GIVEN:
        click.echo(f"bridge: {what}: {said[why]}. Nothing was changed", err=True)
        sys.exit(1)


def team_with(bridge: Bridge, seat: int) -> tuple[Team, SeatRow]:
    """The team whose a seat is, and the seat. Raises NotFound in words."""
    with bridge.store.read() as connection:
        team_id = placing.team_of_seat(connection, seat)
        if team_id is None:
            raise NotFound(f"seat {seat} is no seat of a team: `bridge seats list team TEAM` shows which are")
        row = pooled.find_seat(connection, team_id, seat, utc_now())
        assert row is not None, "it is the team's"
        return teams.get_team(connection, team_id), row


# --- list ------------------------------------------------------------------------------------------------------------


def list_of_team(
    bridge: Bridge, word: str, pool_key: str, states: tuple[str, ...], search: str, *, json_: bool
) -> None:
    """The seats of a team that match."""
    with bridge.store.read() as connection:
        team = find_team(connection, word)
        pool = find_pool(connection, team, pool_key).key if pool_key else ""
        wanted = Wanted(pool, frozenset(map(SeatState, states)), search.strip())
        rows: list[SeatRow] = []
        while page := pooled.seats_page(connection, team.id, wanted, utc_now(), most=PAGE, after=len(rows)):
            rows += page
    if json_:
        as_json({"team": team.id, "key": team.key, "seats": [_as_dict(row) for row in rows]})
        return
    columns = ("seat", "person", "", "since", "to be answered until", "gives", "order", "subscription")
    as_table(f"Seats of team {team.id}", columns, [_in_words(row) for row in rows], "There are no such seats.")


def _as_dict(row: SeatRow) -> dict[str, Any]:
    seat = row.seat
    return {
        "seat": seat.id,
        "person": seat.person,
        "state": str(row.state),
        "taken": seat.taken_at,
        "answer_until": seat.answer_until,
        "undelivered": row.undelivered,
        "assign_until": seat.assign_until,
        "until": seat.until,
        "times": seat.times,
        "picked": f"{seat.picked.kind}:{seat.picked.id}" if seat.picked else None,
        "order": row.order,
        "subscription": row.subscription,
    }


def _in_words(row: SeatRow) -> tuple[object, ...]:
    seat = row.seat
    moments = [day(moment) if moment else "" for moment in (seat.taken_at, seat.answer_until)]
    state = f"{row.state}, not delivered" if row.undelivered else row.state
    return (seat.id, seat.person, state, *moments, seat.picked or "", row.order, row.subscription)


# --- give ------------------------------------------------------------------------------------------------------------


@click.command("assign")
@team_argument
@pool_option
@_addressed
@pick_option
@by_option
@why_option("an operator gave the seat")
@with_bridge
def assign(
    bridge: Bridge,
    team_word: str,
    pool_key: str,
    email: str,
    first: str,
    last: str,
    language: str,
    picked: Item | None,
    by: str,
    why: str,
) -> None:
    """Ask somebody to take a seat of a team, by its number or key. They are mailed, and have access once they accept.

    \b
    Examples:
      bridge seats assign 3 --email mia@example.org
      bridge seats assign 3 --pool 1f0c --email mia@example.org --first Mia --last Vella --language fr
      bridge seats assign 3 --email mia@example.org --pick course:12 --by "M. Vella" --why "ticket 88"
    """
    row = invitee(email, first, last, language)
    with bridge.store.read() as connection:
        team = find_team(connection, team_word)
        pool = find_pool(connection, team, pool_key)
    result, seat = bridge.desk.give(operator_of(team, by), pool, [row], picked, why=why)[row.number]
    stop_at(result, "nobody was given a seat")
    click.echo(f"given: seat {seat} of team {team.id}; a worker mails the invitation")
    say_who_works(bridge)


# --- take back -------------------------------------------------------------------------------------------------------


@click.command("revoke")
@click.argument("seat", type=NUMBER)
@click.option("--anyway", is_flag=True, help="Also from somebody who has begun, or may have.")
@yes_option
@by_option
@why_option("an operator took the seat back")
@with_bridge
def revoke(bridge: Bridge, seat: int, anyway: bool, yes: bool, by: str, why: str) -> None:
    """Take a seat back from whoever has it, or was asked to take it: it is open again, for the team to give.

    Refuses if they have begun to learn, or may have. With --anyway they lose access all the same: Totara keeps what
    they learnt, and gives it back with their next access.

    \b
    Examples:
      bridge seats revoke 12
      bridge seats revoke 12 --anyway --by "M. Vella" --why "ticket 88: left the company"
    """
    team, row = team_with(bridge, seat)
    if not yes:
        click.confirm(f"{_told(team, row)} and is open again.\nGo on?", abort=True)
    result = bridge.desk.give_back(operator_of(team, by), seat, why=why, anyway=anyway)
    if result in (Why.BEGUN, Why.MAYBE_BEGUN):
        said = f"seat {seat}: {SAID[result]}. Nothing was changed (--anyway takes it back all the same)"
        click.echo(f"bridge: {said}", err=True)
        sys.exit(1)
    stop_at(result, f"seat {seat}")
    click.echo(f"taken back: seat {seat} of team {team.id} is open; a worker ends the access, if there is any")
    say_who_works(bridge)


@click.command("reassign")
@click.argument("seat", type=NUMBER)
@_addressed
@pick_option
@yes_option
@by_option
@why_option("an operator gave the seat to somebody else")
@with_bridge
def reassign(
    bridge: Bridge,
    seat: int,
    email: str,
    first: str,
    last: str,
    language: str,
    picked: Item | None,
    yes: bool,
    by: str,
    why: str,
) -> None:
    """Take a seat back from whoever has it, and ask somebody else to take it, at once. Where it gives one of several
    things it gives the same as before, unless --pick names another.

    \b
    Examples:
      bridge seats reassign 12 --email bo@example.org
      bridge seats reassign 12 --email bo@example.org --first Bo --last Byte --by "M. Vella" --why "ticket 88"
    """
    to = invitee(email, first, last, language)
    team, row = team_with(bridge, seat)
    if not yes:
        click.confirm(f"{_told(team, row)}, and somebody else is asked to take it.\nGo on?", abort=True)
    stop_at(bridge.desk.reassign(operator_of(team, by), seat, to, picked=picked, why=why), f"seat {seat}")
    click.echo(f"given: seat {seat} of team {team.id}; a worker mails the invitation")
    say_who_works(bridge)


def _told(team: Team, row: SeatRow) -> str:
    who = f"from person {row.seat.person}" if row.seat.person is not None else "from nobody"
    return f"Seat {row.seat.id} of team {team.id} ({row.state}) is taken back {who}"
