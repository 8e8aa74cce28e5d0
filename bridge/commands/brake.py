"""Operators' commands about the brake, which keeps much access from ending at once."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from bridge.commands.common import as_json, by_option, json_option, out, why_option, with_bridge
from bridge.domain.notes import day
from bridge.kinds import LEARNER
from bridge.learners import BRAKE, BRAKED
from bridge.store import audit, learning, ledger
from bridge.store.db import utc_now
from bridge.wiring import Bridge


@click.group()
def brake() -> None:
    """The brake: much access ends at once only when a person says so."""


def _braked(bridge: Bridge) -> list[int]:
    """The learners who are parked by the brake."""
    return [int(one.key) for one in bridge.work.parked() if one.kind == LEARNER and BRAKED in one.reason]


@brake.command("status")
@json_option
@with_bridge
def brake_status(bridge: Bridge, json_: bool) -> None:
    """Whether access is being kept from ending, how much has ended lately, and how much may.

    \b
    Example:
      bridge brake status
    """
    config, now, waiting = bridge.settings.orders, utc_now(), _braked(bridge)
    window = now - timedelta(seconds=config.brake_seconds)
    with bridge.store.read() as connection:
        note = ledger.read_note(connection, BRAKE)
        ended, there = learning.ended_since(connection, max(window, note[1]) if note else window)
    until = datetime.fromisoformat(note[0]) if note else None
    released = until is not None and until > now
    if json_:
        facts = {"released_until": until if released else None, "learners": waiting, "ended": ended, "there": there}
        as_json({**facts, "share": config.brake_share, "count": config.brake_count, "seconds": config.brake_seconds})
        return
    if released and until is not None:
        out.print(f"[yellow]released[/] until {day(until)}", highlight=False)
    state = f"[red]holds {len(waiting)} learners[/]" if waiting else "[green]holds nobody[/]"
    out.print(f"The brake {state}. {ended} ended lately before their time, of {ended + there}.", highlight=False)
    limit = f"more than {config.brake_count}, and more than {config.brake_share:.0%} of all access"
    out.print(f"It holds when {limit}, would end so within {config.brake_seconds / 60:.0f} minutes.", highlight=False)


@brake.command("release")
@click.option(
    "--for",
    "minutes",
    type=click.IntRange(1, 7 * 24 * 60),
    metavar="MINUTES",
    default=60,
    show_default=True,
    help="For how long access may end, however much.",
)
@by_option
@why_option("an operator let access end")
@with_bridge
def brake_release(bridge: Bridge, minutes: int, by: str, why: str) -> None:
    """Let access end, however much of it, for some minutes; those who wait for that are due at once.

    \b
    Example:
      bridge brake release --for 30 --why "the reseller's contract has ended"
    """
    now, waiting = utc_now(), _braked(bridge)
    until = (now + timedelta(minutes=minutes)).replace(microsecond=0)
    with bridge.store.begin() as connection:
        ledger.write_note(bridge.store, connection, BRAKE, until.isoformat(), now)
        facts = {"until": until.isoformat(), "learners": len(waiting)}
        audit.note(connection, "brake released", why, now, actor=by, facts=facts)
        for person in waiting:
            audit.note(connection, "brake released", why, now, actor=by, person_id=person)
        bridge.work.mark(connection, LEARNER, waiting)
    bridge.store.bell.ring()
    click.echo(f"access may end until {day(until)}; {len(waiting)} learners are due")
