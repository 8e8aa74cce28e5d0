"""Operators' commands about the audit log."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import Row

from bridge.commands.common import NUMBER, as_json, json_option, with_bridge
from bridge.store import audit as log
from bridge.wiring import Bridge


@click.group()
def audit() -> None:
    """The audit log: what happened, by whom and why, sealed so that nobody alters it unnoticed."""


@audit.command("verify")
@click.option("--head", default="", metavar="HASH", help="A hash that was kept from an earlier time.")
@json_option
@with_bridge
def audit_verify(bridge: Bridge, head: str, json_: bool) -> None:
    """Walk the whole chain. Prints the newest hash, to be kept elsewhere. Exit 1 if anything is wrong.

    With a hash kept from an earlier time it is also noticed that the end of the log was cut off.

    \b
    Example:
      bridge audit verify --head 9f2c…
    """
    kept = head.strip().lower()
    if kept and not re.fullmatch("[0-9a-f]{64}", kept):
        raise click.BadParameter("must be a hash as this command prints it: 64 signs, 0-9 and a-f", param_hint="--head")
    with bridge.store.read() as connection:
        found = log.verify(connection, kept)
    if json_:
        as_json({"ok": not found.problems, **asdict(found)})
    else:
        click.echo(f"{found.sealed} entries are sealed, {found.unsealed} are not yet")
        click.echo(f"newest hash: {found.head}")
        for problem in found.problems:
            click.echo(f"bridge: {problem}", err=True)
    sys.exit(1 if found.problems else 0)


def event_as_dict(event: Row[Any]) -> dict[str, Any]:
    """An entry for machines."""
    return dict(event._mapping)


def event_in_words(event: Row[Any]) -> str:
    """An entry in a line."""
    ids = ((name, getattr(event, f"{name}_id")) for name in ("order", "subscription", "person", "team"))
    about = ", ".join(f"{name} {one}" for name, one in ids if one is not None)
    facts = ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in event.facts.items() if value)
    told = f" ({facts})" if facts else ""
    of = f", {about}" if about else ""
    because = f": {event.cause}" if event.cause else ""
    return f"{event.at:%Y-%m-%d %H:%M:%S} UTC  {event.actor}: {event.event}{of}{because}{told}"


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@audit.command("show")
@click.option("--order", type=NUMBER, multiple=True, metavar="N", help="What happened to this order.")
@click.option("--subscription", type=NUMBER, multiple=True, metavar="N", help="What happened to this subscription.")
@click.option("--person", type=NUMBER, multiple=True, metavar="N", help="What happened to this person.")
@click.option("--team", type=NUMBER, multiple=True, metavar="N", help="What happened to this team.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    help="From this moment on (UTC).",
)
@json_option
@with_bridge
def audit_show(
    bridge: Bridge,
    order: tuple[int, ...],
    subscription: tuple[int, ...],
    person: tuple[int, ...],
    team: tuple[int, ...],
    since: datetime | None,
    json_: bool,
) -> None:
    """Show what happened, in order: all of it, or to some orders, subscriptions, persons or teams.

    \b
    Examples:
      bridge audit show --order 1041
      bridge audit show --team 3
      bridge audit show --since 2026-11-01 --json
    """
    moment = since.replace(tzinfo=UTC) if since else None
    with bridge.store.read() as connection:
        about = {"orders": order, "subscriptions": subscription, "persons": person, "teams": team}
        named = any(about.values())
        events = log.trail(connection, **about, since=moment) if named else log.everything(connection, moment)
        if json_:
            as_json([event_as_dict(event) for event in events])
            return
        none = True
        for event in events:
            none = False
            click.echo(event_in_words(event))
        if none:
            click.echo("There are no such entries.")
