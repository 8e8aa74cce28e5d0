"""Operators' commands about people who were asked to take a seat of a team and have not answered: ask one of them, or
all of a pool, again, and take back what waits in vain.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from bridge.commands.common import NUMBER, by_option, why_option, with_bridge, yes_option
from bridge.commands.team_seats import SAID, pool_option, say_who_works, stop_at, team_argument, team_with
from bridge.commands.teams import find_pool, find_team, operator_of
from bridge.desk import Many
from bridge.domain.seats import SeatState, Why
from bridge.store.pooled import Pool
from bridge.store.teams import Team
from bridge.wiring import Bridge

#: Why nobody is asked again.
SAID_AGAIN = {**SAID, Why.NOT_WAITING: "it waits for nobody's answer, or has changed hands meanwhile"}


def _pool_of(bridge: Bridge, team_word: str, pool_key: str) -> tuple[Team, Pool]:
    with bridge.store.read() as connection:
        team = find_team(connection, team_word)
        return team, find_pool(connection, team, pool_key)


def _all(do: Callable[[], Many]) -> int:
    """Do it as often as there are more seats to do it to; to how many it was done."""
    number, many = 0, Many(0, more=True)
    while many.more:
        many = do()
        number += many.seats
    return number


def _seats(number: int) -> str:
    return f"{number} seat{'' if number == 1 else 's'}"


@click.command("resend")
@click.argument("seat", type=NUMBER)
@by_option
@why_option("an operator had the invitation sent again")
@with_bridge
def resend(bridge: Bridge, seat: int, by: str, why: str) -> None:
    """Invite again whoever was asked to take a seat and has not answered: the time to answer begins anew.

    \b
    Examples:
      bridge seats resend 12
      bridge seats resend 12 --by "M. Vella" --why "ticket 88: their mailbox was full"
    """
    team, _ = team_with(bridge, seat)
    stop_at(bridge.desk.resend(operator_of(team, by), seat, why=why), f"seat {seat}", SAID_AGAIN)
    click.echo(f"asked again: seat {seat} of team {team.id}; a worker mails the invitation")
    say_who_works(bridge)


@click.command("resend-all")
@team_argument
@pool_option
@yes_option
@by_option
@why_option("an operator had the invitations sent again")
@with_bridge
def resend_all(bridge: Bridge, team_word: str, pool_key: str, yes: bool, by: str, why: str) -> None:
    """Invite again all who were asked to take a seat of a team and have not answered.

    Left out are those who were asked within the last hour, and those who got as many letters as go out for one
    invitation. So to do it twice writes to nobody twice.

    \b
    Examples:
      bridge seats resend-all 3
      bridge seats resend-all 3 --pool 1f0c --by "M. Vella" --why "ticket 88: the mail server was down"
    """
    team, pool = _pool_of(bridge, team_word, pool_key)
    waiting = _seats(pool.lapsed + pool.counts.get(SeatState.INVITED, 0))
    if not yes:
        told = (
            f"Of team {team.id}, pool {pool.key}, {waiting} wait for an answer: whoever was asked is written to again."
        )
        click.confirm(f"{told}\nGo on?", abort=True)
    actor = operator_of(team, by)
    number = _all(lambda: bridge.desk.resend_all(actor, pool.key, why=why))
    click.echo(f"asked again: {_seats(number)} of the {waiting} of team {team.id} that wait for an answer")
    if number:
        say_who_works(bridge)


@click.command("revoke-lapsed")
@team_argument
@pool_option
@yes_option
@by_option
@why_option("an operator took back the seats that lapsed")
@with_bridge
def revoke_lapsed(bridge: Bridge, team_word: str, pool_key: str, yes: bool, by: str, why: str) -> None:
    """Take back all seats of a team that wait for somebody who did not answer in time: they are open again.

    \b
    Examples:
      bridge seats revoke-lapsed 3
      bridge seats revoke-lapsed 3 --pool 1f0c --by "M. Vella" --why "ticket 88"
    """
    team, pool = _pool_of(bridge, team_word, pool_key)
    if not yes:
        told = f"Of team {team.id}, pool {pool.key}, {_seats(pool.lapsed)} that lapsed are taken back"
        click.confirm(f"{told}, and are open again.\nGo on?", abort=True)
    actor = operator_of(team, by)
    number = _all(lambda: bridge.desk.take_back_lapsed(actor, pool.key, why=why))
    click.echo(f"taken back: {_seats(number)} of team {team.id} that lapsed")
