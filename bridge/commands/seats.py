"""Operators' commands about seats: see them, and decide which go."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.text import Text

from bridge.commands.common import (
    NUMBER,
    as_json,
    as_table,
    by_option,
    holding,
    json_option,
    out,
    read_source,
    source_argument,
    why_option,
    with_bridge,
)
from bridge.commands.team_answers import resend, resend_all, revoke_lapsed
from bridge.commands.team_import import import_
from bridge.commands.team_seats import assign, list_of_team, pool_option, reassign, revoke
from bridge.domain.seats import SeatState
from bridge.seating import Decision, LaidOut, carry_out, decide, lay_out
from bridge.store.db import utc_now
from bridge.store.ledger import Source
from bridge.wiring import Bridge


@click.group()
def seats() -> None:
    """The seats of an order, a subscription or a team: who sits there, who is to sit there, and which of them go."""


for command in (assign, revoke, revoke_lapsed, reassign, resend, resend_all, import_):
    seats.add_command(command)


def print_seats(laid_out: Sequence[LaidOut]) -> None:
    """For people: one table for each purchase, and how many seats have to go."""
    for purchase in laid_out:
        rows = [
            (
                seat.id,
                seat.unit,
                seat.person if seat.person is not None else "open",
                seat.user,
                seat.since.strftime("%Y-%m-%d %H:%M"),
                Text(seat.state, "" if seat.live else "dim"),
                seat.said,
            )
            for seat in purchase.seats
        ]
        of = f", of team {purchase.team}, pool {purchase.pool}" if purchase.team is not None else ""
        title = f"{purchase.name}: {', '.join(purchase.gives)}, pays for {purchase.pays_for}{of}"
        as_table(title, ("seat", "unit", "person", "Totara user", "since (UTC)", "", "how it stands"), rows, "")
        if purchase.to_go:
            out.print(f"[red]{purchase.to_go} of these have to go[/], and which is for you to say", highlight=False)


def _whose(_context: click.Context, _argument: click.Parameter, words: tuple[str, ...]) -> Source | str:
    """An order or a subscription, or what a team is called by."""
    said = ":".join(words)
    kind, _, team = said.partition(":")
    if kind.strip().lower() == "team" and team.strip():
        return team
    return read_source(said, "an order's number, subscription 45, or team 3")


@seats.command("list")
@click.argument("whose", nargs=-1, required=True, metavar="ORDER|subscription ID|team TEAM", callback=_whose)
@pool_option
@click.option(
    "--state",
    "states",
    type=click.Choice([one.value for one in SeatState]),
    multiple=True,
    help="Of a team's: only these.",
)
@click.option("--search", default="", metavar="TEXT", help="Of a team's: a part of the name or the address.")
@json_option
@with_bridge
def seats_list(
    bridge: Bridge, whose: Source | str, pool_key: str, states: tuple[str, ...], search: str, json_: bool
) -> None:
    """List the seats of an order or of a subscription, and how many of them have to go; or those of a team.

    A team is called by its number or its key. Persons are told by their numbers.

    \b
    Examples:
      bridge seats list 1041
      bridge seats list subscription 45 --json
      bridge seats list team 3
      bridge seats list team 3 --pool 1f0c --state invited --state lapsed
      bridge seats list team 3 --search mia@example.org --json
    """
    if isinstance(whose, str):
        list_of_team(bridge, whose, pool_key, states, search, json_=json_)
    elif pool_key or states or search:
        raise click.UsageError("--pool, --state and --search are for the seats of a team")
    else:
        _list_of_source(bridge, whose, json_=json_)


def _list_of_source(bridge: Bridge, source: Source, *, json_: bool) -> None:
    with bridge.store.read() as connection:
        laid_out = lay_out(connection, source, utc_now())
    if json_:
        as_json({"kind": source.kind, "id": source.id, "purchases": [one.as_dict() for one in laid_out]})
        return
    print_seats(laid_out)
    if not laid_out:
        out.print(f"{source} has no seats.", highlight=False)


@seats.command("decide")
@source_argument
@click.option("--end", "chosen", type=NUMBER, metavar="SEAT", multiple=True, required=True)
@click.option("--anyway", is_flag=True, help="Also end access to seats that are still paid for.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@by_option
@why_option("an operator decided which seats go")
@with_bridge
def seats_decide(
    bridge: Bridge, source: Source, chosen: tuple[int, ...], anyway: bool, yes: bool, by: str, why: str
) -> None:
    """Decide which seats go, where fewer are paid for than are in use.

    Refuses seats that are still paid for. With --anyway their access ends too: such a seat stays the order's, so that
    no other is given in its place.

    \b
    Examples:
      bridge seats decide order 1041 --end 12 --end 14
      bridge seats decide subscription 45 --end 7 --by "M. Vella" --why "ticket 88"
    """
    with bridge.store.read() as connection:
        decide(connection, source, chosen, utc_now())  # nothing is held, and no row made, for what is not there
    with holding(bridge, source.kind, str(source.id)):
        with bridge.store.read() as connection:
            decision = decide(connection, source, chosen, utc_now())
        _allowed(source, decision, anyway=anyway)
        if not yes:
            click.confirm(f"{_told(source, decision)}\nGo on?", abort=True)
        with bridge.store.begin() as connection:
            carry_out(connection, bridge.work, source, decision, utc_now(), by=by, why=why)
    bridge.store.bell.ring()
    click.echo(f"decided: a worker ends the access, and looks at {source} again")


def _allowed(source: Source, decision: Decision, *, anyway: bool) -> None:
    if decision.cut_short and not anyway:
        paid = ", ".join(f"seat {one}" for one in decision.cut_short)
        go = len(decision.end) or "none"
        said = f"{go} of these have to go; still paid for: {paid} of {source}. Nothing was changed"
        click.echo(f"bridge: {said} (--anyway ends access to them too)", err=True)
        sys.exit(1)


def _told(source: Source, decision: Decision) -> str:
    parts = []
    if len(decision.end) == 1:
        parts.append(f"{source}: seat {decision.end[0]} ends, and the access that it pays for.")
    elif decision.end:
        parts.append(f"{source}: seats {', '.join(map(str, decision.end))} end, and the access that they pay for.")
    if decision.cut_short:
        which = "seat" if len(decision.cut_short) == 1 else "seats"
        short, paid = ", ".join(map(str, decision.cut_short)), "it is" if which == "seat" else "they are"
        parts.append(f"{source}: access to {which} {short} ends now, though {paid} paid for.")
    return "\n".join(parts)
