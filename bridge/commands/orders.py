"""Operators' commands about orders and what is owed: resync, reconcile, status, parked."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click
from rich.markup import escape

from bridge.commands.common import NUMBER, as_json, as_table, holding, out, with_bridge
from bridge.commands.common import json_option as json_option  # for the others, who know it by this module
from bridge.commands.seats import print_seats
from bridge.domain.notes import day
from bridge.errors import NotFound
from bridge.health import problems
from bridge.kinds import ALL, LEARNER, ORDER, RECONCILE, SUBSCRIPTION
from bridge.seating import LaidOut, lay_out
from bridge.store import learning, ledger
from bridge.store.db import utc_now
from bridge.store.ledger import Source
from bridge.store.work import Parked
from bridge.wiring import Bridge


@click.command()
@click.argument("order_ids", nargs=-1, type=NUMBER, metavar="ORDER...")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    help="Every order and subscription modified since this moment (UTC).",
)
@click.option(
    "--subscription",
    "subscription_ids",
    type=NUMBER,
    metavar="ID",
    multiple=True,
    help="A subscription, by its number.",
)
@click.option("--gave-nothing", "anew", is_flag=True, help="Ask anew what lines give that gave nothing when sold.")
@with_bridge
def resync(
    bridge: Bridge, order_ids: tuple[int, ...], since: datetime | None, subscription_ids: tuple[int, ...], anew: bool
) -> None:
    """Have orders looked at again, their learners' access verified in Totara, and their notes in the shop.

    Marks them due; a worker does the rest. May be run at any time: what is right already stays as it is. So does what
    gave nothing when it was sold, but with --gave-nothing: for staff who set late what a product gives.

    \b
    Examples:
      bridge resync 1041 1042
      bridge resync 1041 --gave-nothing
      bridge resync --subscription 45
      bridge resync --since 2026-11-01
    """
    if bool(order_ids or subscription_ids) == bool(since):
        raise click.UsageError("give either numbers of orders or of subscriptions, or --since")
    if since:
        found = bridge.jobs.sweep(since.replace(tzinfo=UTC), anew=anew)
        click.echo(f"{found} orders and subscriptions are due")
        return
    learners = bridge.jobs.look_again(ORDER, order_ids, anew=anew) if order_ids else 0
    learners += bridge.jobs.look_again(SUBSCRIPTION, subscription_ids, anew=anew) if subscription_ids else 0
    things = [f"{len(order_ids)} orders"] if order_ids else []
    things += [f"{len(subscription_ids)} subscriptions"] if subscription_ids else []
    click.echo(f"{', '.join(things)} and {learners} learners are due")


@click.command()
@with_bridge
def reconcile(bridge: Bridge) -> None:
    """Look for what nothing tells of, now and not only once a day: orders and refunds that were deleted for good,
    and access that is not what is paid for.

    Marks them due; a worker does the rest.

    \b
    Example:
      bridge reconcile
    """
    with holding(bridge, RECONCILE, ALL):
        found = bridge.jobs.reconcile()
    click.echo(f"{found} orders, subscriptions and learners are due")


@click.command()
@json_option
@with_bridge
def status(bridge: Bridge, json_: bool) -> None:
    """What is owed, what needs a person, and whether an order would get through. Exit 1 if it would not.

    \b
    Example:
      bridge status --json
    """
    found = problems(bridge.store, bridge.work, watch_seconds=bridge.settings.work.watch_seconds)
    counts = bridge.work.counts()
    with bridge.store.read() as connection:
        totals = dict(ledger.counts(connection, utc_now()))
    if json_:
        as_json({"ready": not found, "problems": found, "work": counts, "ledger": totals})
    else:
        now = utc_now()
        as_table(
            "Work",
            ("kind", "due", "being done", "parked", "oldest owed for"),
            [
                (kind, c["due"], c["held"], c["parked"], _age(now, c["oldest"]) if c["oldest"] else "")
                for kind, c in counts.items()
            ],
            "Nothing was ever owed.",
        )
        as_table("Ledger", ("", "now"), [(name.replace("_", " "), count) for name, count in totals.items()], "")
        for problem in found:
            out.print(f"[red]not ready[/]: {escape(problem)}", highlight=False)
        if not found:
            out.print("[green]ready[/]: an order would get through")
    sys.exit(1 if found else 0)


def _age(now: datetime, then: datetime) -> str:
    seconds = int((now - then).total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


@click.group()
def parked() -> None:
    """What needs a person: work that was refused, and why."""


def _as_dict(item: Parked) -> dict[str, object]:
    return {
        "kind": item.kind,
        "key": item.key,
        "reason": item.reason,
        "since": item.since,
        "attempts": item.attempts,
        "being_retried": item.due,
    }


@parked.command("list")
@json_option
@with_bridge
def parked_list(bridge: Bridge, json_: bool) -> None:
    """List everything that is parked, the oldest first.

    \b
    Example:
      bridge parked list
    """
    items = bridge.work.parked()
    if json_:
        as_json([_as_dict(item) for item in items])
        return
    rows = [(item.kind, item.key, item.since.strftime("%Y-%m-%d %H:%M"), item.reason) for item in items]
    as_table("Parked", ("kind", "key", "since (UTC)", "reason"), rows, "Nothing is parked.")


@parked.command("show")
@click.argument("kind")
@click.argument("key")
@json_option
@with_bridge
def parked_show(bridge: Bridge, kind: str, key: str, json_: bool) -> None:
    """Show one parked thing, and which orders it concerns. Where seats have to be chosen, these are laid out.

    \b
    Examples:
      bridge parked show learner 17
      bridge parked show order 1041
    """
    item = _find(bridge, kind, key)
    concerned: list[int] = []
    with bridge.store.read() as connection:
        if kind == LEARNER:
            concerned = learning.orders_of(connection, int(key))
    choices = _choices(bridge, item)
    if json_:
        as_json({**_as_dict(item), "orders": concerned, "choices": [choice.as_dict() for choice in choices]})
        return
    told = {
        "since": day(item.since),
        "being_retried": "yes" if item.due else "no",
        "orders": ", ".join(map(str, concerned)),
    }
    for name, value in {**_as_dict(item), **told}.items():
        if value not in (None, ""):
            out.print(f"[bold]{name.replace('_', ' ')}[/]: {escape(str(value))}", highlight=False, soft_wrap=True)
    print_seats(choices)


def _choices(bridge: Bridge, item: Parked) -> list[LaidOut]:
    """The purchases of which somebody has to choose the seats that go."""
    if item.kind not in (ORDER, SUBSCRIPTION):
        return []
    source = Source("order" if item.kind == ORDER else "subscription", int(item.key))
    try:
        with bridge.store.read() as connection:
            return [one for one in lay_out(connection, source, utc_now()) if one.to_go]
    except NotFound:  # parked before it could be written down
        return []


@parked.command("retry")
@click.argument("kind", required=False)
@click.argument("key", required=False)
@click.option("--all", "all_", is_flag=True, help="Everything that is parked.")
@with_bridge
def parked_retry(bridge: Bridge, kind: str | None, key: str | None, all_: bool) -> None:
    """Try again, after mending what was wrong.

    \b
    Examples:
      bridge parked retry order 1041
      bridge parked retry --all
    """
    if all_ == bool(kind and key):
        raise click.UsageError("give either KIND and KEY, or --all")
    items = bridge.work.parked() if all_ else [_find(bridge, kind or "", key or "")]
    if items:
        bridge.work.mark_many([(item.kind, item.key) for item in items])
    click.echo(f"{len(items)} due again")


@parked.command("drop")
@click.argument("kind")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_bridge
def parked_drop(bridge: Bridge, kind: str, key: str, yes: bool) -> None:
    """Give up on one parked thing. What is in the ledger stays; a new hint brings it back.

    \b
    Example:
      bridge parked drop order 1041 --yes
    """
    item = _find(bridge, kind, key)
    if not yes:
        click.confirm(f"{item.kind} {item.key}: {item.reason}\nGive up on it?", abort=True)
    if not bridge.work.drop(kind, key):
        click.echo("bridge: it is being worked on just now; try again", err=True)
        sys.exit(1)
    click.echo("dropped")


def _find(bridge: Bridge, kind: str, key: str) -> Parked:
    found = next((item for item in bridge.work.parked() if (item.kind, item.key) == (kind, key)), None)
    if found is None:
        click.echo(f"bridge: {kind} {key} is not parked; `bridge parked list` shows what is", err=True)
        sys.exit(1)
    return found
