"""Operators' commands about the shop: its webhooks, and the catalogue in it."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from bridge.catalogue import CatalogueSync, Outcome, Plan
from bridge.catalogue_show import CatalogueShow, HeldField
from bridge.commands.common import as_json, as_table, holding, out, with_bridge
from bridge.commands.orders import json_option
from bridge.domain.catalogue import FIELDS, Change, too_much
from bridge.kinds import ALL, CATALOGUE, WATCH
from bridge.store import ledger
from bridge.store.db import utc_now
from bridge.sync_jobs import WEBHOOK_NAME
from bridge.wiring import SECRET_NOTE, Bridge

MOST_HELD = 50  # so many fields that the staff hold are shown


@click.group()
def webhooks() -> None:
    """The shop's webhooks, by which it tells the bridge of orders."""


def install_webhooks(bridge: Bridge, *, rotate: bool = False) -> list[tuple[str, str]]:
    """Register what is missing and wake what sleeps; returns (topic, what was done).

    The secret is the first configured one, else one that the bridge makes and keeps in its database. A rotation makes
    a new one; deliveries signed with the former one are still taken.
    """
    configured = [secret.get_secret_value() for secret in bridge.settings.shop.webhook_secrets]
    kept = list(bridge.kept_secrets())
    if rotate or not (configured or kept):
        kept = [secrets.token_urlsafe(32), *kept][:2]
        with bridge.store.begin() as connection:
            ledger.write_note(bridge.store, connection, SECRET_NOTE, kept, utc_now())
    secret = kept[0] if rotate or not configured else configured[0]
    url = bridge.jobs.delivery_url
    ours = {hook["topic"]: hook for hook in bridge.jobs.our_webhooks()}
    done = []
    for topic in bridge.jobs.topics():
        hook = ours.get(topic)
        if hook is None:
            bridge.shop.create_webhook(name=f"{WEBHOOK_NAME}{topic}", topic=topic, url=url, secret=secret)
            done.append((topic, "registered"))
        elif rotate:
            bridge.shop.update_webhook(int(hook["id"]), secret=secret, status="active")
            done.append((topic, "has a new secret"))
        else:
            # Also sets the secret: it can't be read back, and one that differs would have every delivery refused.
            bridge.shop.update_webhook(int(hook["id"]), secret=secret, status="active")
            done.append((topic, "was there" if hook["status"] == "active" else "is active again"))
    bridge.work.mark_due(WATCH, ALL)
    return done


@webhooks.command("install")
@click.option("--rotate", is_flag=True, help="Make a new secret and give it to the webhooks that are there.")
@json_option
@with_bridge
def webhooks_install(bridge: Bridge, rotate: bool, json_: bool) -> None:
    """Register the webhooks that are missing, and wake those that the shop has disabled. May be run again.

    They deliver to server.public_url, which the shop must be able to reach. They are signed with the first of
    shop.webhook_secrets; if none is set, the bridge makes a secret and keeps it in its database.

    \b
    Example:
      bridge webhooks install
    """
    if rotate and bridge.settings.shop.webhook_secrets:
        raise click.UsageError("shop.webhook_secrets is set: put the new secret before the old one there, then install")
    done = install_webhooks(bridge, rotate=rotate)
    if json_:
        as_json([{"topic": topic, "done": what} for topic, what in done])
        return
    as_table(f"Webhooks to {bridge.jobs.delivery_url}", ("topic", ""), done, "")


@webhooks.command("list")
@json_option
@with_bridge
def webhooks_list(bridge: Bridge, json_: bool) -> None:
    """List the shop's webhooks, ours and others'.

    \b
    Example:
      bridge webhooks list
    """
    url = bridge.jobs.delivery_url
    rows = [
        (
            hook["id"],
            hook["topic"],
            hook["status"],
            "ours" if hook["delivery_url"] == url else "",
            hook["name"],
        )
        for hook in bridge.shop.webhooks()
    ]
    if json_:
        as_json([dict(zip(("id", "topic", "status", "whose", "name"), row, strict=True)) for row in rows])
        return
    as_table("Webhooks", ("id", "topic", "status", "", "name"), rows, "The shop has no webhooks.")


@webhooks.command("remove")
@with_bridge
def webhooks_remove(bridge: Bridge) -> None:
    """Remove our webhooks from the shop; sweeps go on finding orders.

    \b
    Example:
      bridge webhooks remove
    """
    ours = [hook for hook in bridge.shop.webhooks() if hook["delivery_url"] == bridge.jobs.delivery_url]
    for hook in ours:
        bridge.shop.delete_webhook(int(hook["id"]))
    click.echo(f"{len(ours)} removed")


@click.group()
def catalogue() -> None:
    """The courses on sale: plan first, then apply."""


@contextmanager
def _with_progress(bridge: Bridge, json_: bool) -> Iterator[CatalogueSync]:
    """The catalogue, with bars on a terminal and in silence elsewhere."""
    if json_ or not sys.stderr.isatty():
        yield bridge.catalogue
        return
    from rich.console import Console

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield CatalogueSync(bridge.settings, bridge.store, bridge.shop, bridge.totara, progress=show)


def _print_plan(sync: CatalogueSync, plan: Plan, bridge: Bridge, json_: bool) -> None:
    totals = plan.totals
    stop = too_much(
        totals, share=bridge.settings.catalogue.max_change, count=bridge.settings.catalogue.max_change_count
    )
    show = CatalogueShow(bridge.settings, bridge.store, bridge.shop, bridge.totara, plan.tree)
    named = show.names_and_prices(change.course_id for change in sync.changes())
    if json_:
        as_json(
            {
                "plan": sync.fingerprint(),
                "totals": asdict(totals),
                "stops": stop or None,
                "changes": [_as_dict(change, named) for change in sync.changes()],
                "held": [asdict(one) for one in show.held()],
            }
        )
        return
    rows = [_as_row(change, named) for change in sync.changes()]
    columns = ("action", "course", "name", "price", "product", "fields", "why")
    as_table(f"Plan {sync.fingerprint()}", columns, rows, "Nothing to change.")
    _print_held(list(show.held()))
    out.print(
        f"{totals.courses} courses read; {totals.live} products of ours on sale. To create {totals.create}, adopt "
        f"{totals.adopt}, update {totals.update}, retire {totals.retire}.",
        highlight=False,
    )
    if stop:
        out.print(f"[red]apply would stop[/]: {stop} (--anyway goes ahead)", highlight=False)


def _as_dict(change: Change, named: Mapping[int, tuple[str, str]]) -> dict[str, object]:
    name, price = named.get(change.course_id, ("", ""))
    return {**asdict(change), "fields": dict(change.fields), "name": name or None, "price": price or None}


def _as_row(change: Change, named: Mapping[int, tuple[str, str]]) -> tuple[object, ...]:
    name, price = named.get(change.course_id, ("", ""))
    fields = ", ".join(change.fields)
    return change.action, change.course_id, name, price, change.product_id, fields, change.reason


def _print_held(held: Sequence[HeldField]) -> None:
    """What the staff hold, a screenful of it."""
    if not held:
        return
    rows = [(one.course_id, one.name, one.field, one.ours, one.theirs) for one in held[:MOST_HELD]]
    as_table("Held by the shop's staff", ("course", "name", "field", "by the rules", "in the shop"), rows, "")
    more = f"{len(held) - MOST_HELD} more are held. " if len(held) > MOST_HELD else ""
    out.print(f"{more}`bridge catalogue handback COURSE FIELD` has the rules write one again.", highlight=False)


@catalogue.command("plan")
@json_option
@with_bridge
def catalogue_plan(bridge: Bridge, json_: bool) -> None:
    """Show each change that apply would make, and why, and what the shop's staff hold. Changes nothing.

    The plan has a short name; `bridge catalogue apply --plan NAME` applies that plan and no other.

    \b
    Example:
      bridge catalogue plan
    """
    with holding(bridge, CATALOGUE, ALL, only_look=True), _with_progress(bridge, json_) as sync:
        _print_plan(sync, sync.plan(afresh=True), bridge, json_)


@catalogue.command("apply")
@click.option("--plan", "named", metavar="NAME", help="Only if this is still the plan.")
@click.option("--anyway", is_flag=True, help="Also when it would change more than catalogue.max_change allows.")
@json_option
@with_bridge
def catalogue_apply(bridge: Bridge, named: str | None, anyway: bool, json_: bool) -> None:
    """Make the shop's products right. Does what plan shows, and nothing else.

    \b
    Examples:
      bridge catalogue apply
      bridge catalogue apply --plan 1f0c2a7b9e44
    """
    with holding(bridge, CATALOGUE, ALL), _with_progress(bridge, json_) as sync:
        plan = sync.plan(afresh=True)
        if named and named != sync.fingerprint():
            click.echo(f"bridge: the plan is {sync.fingerprint()} by now; nothing was changed", err=True)
            sys.exit(1)
        outcome = sync.apply(plan, anyway=anyway)
    _print_outcome(outcome, json_)
    sys.exit(1 if outcome.troubles else 0)


def _print_outcome(outcome: Outcome, json_: bool) -> None:
    if json_:
        as_json({"done": dict(outcome.done), "troubles": list(outcome.troubles)})
        return
    done = ", ".join(f"{action} {count}" for action, count in outcome.done.items()) or "nothing to change"
    out.print(f"done: {done}", highlight=False)
    for trouble in outcome.troubles:
        out.print(f"[red]not done[/]: {escape(trouble)}", highlight=False)


@catalogue.command("handback")
@click.argument("course_id", type=click.IntRange(2, 10**18 - 1))
@click.argument("fields", nargs=-1, type=click.Choice(FIELDS))
@with_bridge
def catalogue_handback(bridge: Bridge, course_id: int, fields: tuple[str, ...]) -> None:
    """Take back fields that somebody changed in the shop: the next apply writes them again. All if none is named.

    \b
    Example:
      bridge catalogue handback 42 name description
    """
    back = bridge.catalogue.hand_back(course_id, fields)
    click.echo(f"handed back: {', '.join(back)}" if back else "nothing was held by the shop")
