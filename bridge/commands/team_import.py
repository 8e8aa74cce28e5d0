"""bridge seats import: a list of people, each of whom is asked to take a seat of a team."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import sleep
from typing import Any, BinaryIO

import click

from bridge.commands.common import as_json, by_option, json_option, why_option, with_bridge, yes_option
from bridge.commands.team_seats import (
    PROBLEMS,
    SAID,
    pick_option,
    pool_option,
    say_who_works,
    team_argument,
)
from bridge.commands.teams import find_pool, find_team, operator_of
from bridge.domain.offers import Item
from bridge.domain.rosters import MOST_BYTES, MOST_ROWS, Doubt, Roster, Row, Unreadable, read_file
from bridge.domain.seats import Why
from bridge.errors import Refused
from bridge.store import batches
from bridge.store.batches import Invitee, Result
from bridge.store.pooled import Pool
from bridge.store.teams import Team
from bridge.wiring import Bridge

#: So often it is looked how far a worker is, in seconds.
EVERY = 0.5
#: What is to be looked at before anybody is written to.
DOUBTS = {
    Doubt.COLUMN: "look whether the addresses are in this column",
    Doubt.LETTERS: "look whether these names have the right letters (the file does not say which it is written with)",
}
#: These have a seat afterwards.
SEATED = (Why.GIVEN, Why.HAS_ONE)


@dataclass(frozen=True)
class _Import:
    """What is to be done: a list for a pool."""

    team: Team
    pool: Pool
    roster: Roster
    picked: Item | None

    @property
    def people(self) -> list[Invitee]:
        """Those who can be asked."""
        rows = self.roster.good
        return [Invitee(row.number, row.email, row.first_name, row.last_name, row.language) for row in rows]

    def as_dict(self, results: Sequence[Result] = (), batch: int | None = None) -> dict[str, Any]:
        """For machines: rows by their numbers, no addresses."""
        found = {one.invitee.number: one for one in results}
        rows = [_row(row, found.get(row.number)) for row in self.roster.rows]
        return {"team": self.team.id, "pool": self.pool.key, "open": self.pool.open, "list": batch, "rows": rows}


def _row(row: Row, result: Result | None) -> dict[str, Any]:
    why = str(result.why) if result and result.why else None
    facts = {"row": row.number, "problem": str(row.problem) if row.problem else None, "same_as": row.first}
    return {**facts, "result": why, "seat": result.seat if result else None}


@click.command("import")
@team_argument
@click.argument("file", type=click.File("rb"), metavar="FILE")
@pool_option
@pick_option
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@yes_option
@json_option
@by_option
@why_option("an operator gave a list of people seats")
@with_bridge
def import_(
    bridge: Bridge,
    team_word: str,
    file: BinaryIO,
    pool_key: str,
    picked: Item | None,
    dry_run: bool,
    yes: bool,
    json_: bool,
    by: str,
    why: str,
) -> None:
    """Ask everybody on a list to take a seat of a team, by its number or key.

    FILE is CSV as a spreadsheet saves it, or addresses one a line; "-", with --yes, reads what is piped in. It is
    shown what is wrong with it, row by row, and asked; then a worker gives the seats, and the command waits and tells
    the results. If you stop waiting, the worker goes on. Exit 1 if anybody of the list has no seat afterwards.

    \b
    Examples:
      bridge seats import 3 people.csv --dry-run
      bridge seats import 3 people.csv --pool 1f0c --by "M. Vella" --why "ticket 88"
      bridge seats import 3 people.csv --pick course:12 --yes --json
    """
    roster = _read(file)
    with bridge.store.read() as connection:
        team = find_team(connection, team_word)
        pool = find_pool(connection, team, pool_key)
    if not pool.may_give(picked):
        raise Refused(f"{SAID[Why.NOTHING_PICKED]}. Nothing was changed")
    wanted = _Import(team, pool, roster, picked)
    if not (json_ and dry_run):
        _preview(wanted)
    if dry_run:
        if json_:
            as_json(wanted.as_dict())
        sys.exit(1 if roster.wrong else 0)
    if not roster.good:
        raise Refused("nobody on the list can be given a seat. Nothing was changed")
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    _give(bridge, wanted, by=by, why=why, json_=json_)


def _read(file: BinaryIO) -> Roster:
    try:
        return read_file(file.read(MOST_BYTES + 1))
    except Unreadable as err:
        raise Refused(f"the list can't be read: {err}. Nothing was changed") from err


def _preview(wanted: _Import) -> None:
    """What would be done, and what is wrong, on standard error: standard output is for the results."""
    good, free = len(wanted.roster.good), wanted.pool.to_give
    pool = f"pool {wanted.pool.key} ({wanted.pool.name})"
    click.echo(f"{good} people for {free} open seats of team {wanted.team.id}, {pool}", err=True)
    if good > free:
        click.echo(f"{good - free} of them get none, unless as many have one already", err=True)
    for doubt, told in wanted.roster.doubts.items():
        click.echo(f"{DOUBTS[doubt]}: {told}", err=True)
    for row in wanted.roster.wrong:
        if row.problem is not None:
            click.echo(f"row {row.number} is left out: {PROBLEMS[row.problem].format(first=row.first)}", err=True)


def _give(bridge: Bridge, wanted: _Import, *, by: str, why: str, json_: bool) -> None:
    actor = operator_of(wanted.team, by)
    key = f"operator:{secrets.token_hex(12)}"
    batch = bridge.desk.prepare(actor, wanted.pool, wanted.people, key, wanted.picked)
    bridge.desk.confirm(actor, batch.id, why=why)
    click.echo(f"list {batch.id} is written down; a worker gives the seats", err=True)
    done = say_who_works(bridge) and _wait(bridge, wanted, batch.id)
    with bridge.store.read() as connection:
        results = batches.results_of(connection, batch.id, most=MOST_ROWS)
    if json_:
        as_json(wanted.as_dict(results, batch.id))
    elif done:
        _print(results)
    if not done:
        click.echo(f"bridge: `bridge teams show {wanted.team.id}` tells how far list {batch.id} is", err=True)
    seated = all(result.why in SEATED for result in results)
    sys.exit(0 if seated and not wanted.roster.wrong else 1)


def _wait(bridge: Bridge, wanted: _Import, batch_id: int) -> bool:
    """Wait until every row has a result; False for whoever will not wait."""
    told = -1
    try:
        while True:
            with bridge.store.read() as connection:
                batch = batches.find_batch(connection, batch_id, wanted.team.id)
                waiting = batches.progress(connection, batch_id).get(None, 0)
            if batch is None or batch.done is not None:
                return True
            if waiting != told:
                click.echo(f"{waiting} are still to be looked at", err=True)
                told = waiting
            sleep(EVERY)
    except KeyboardInterrupt:
        click.echo("\nnot waiting any longer: the worker goes on", err=True)
        return False


def _print(results: Sequence[Result]) -> None:
    for result in results:
        if result.why is not None and result.why is not Why.GIVEN:
            click.echo(f"row {result.invitee.number}: {SAID[result.why]}")
    given = sum(result.why is Why.GIVEN for result in results)
    click.echo(f"given: {given} seats; a worker mails the invitations")
