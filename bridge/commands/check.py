"""bridge check."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click
from rich.text import Text

from bridge.check import check as look
from bridge.commands.common import as_json, as_table, load_or_exit, opened, out
from bridge.commands.orders import json_option
from bridge.domain.identity import is_email, normal_email


def _address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if value and not is_email(normal_email(value)):
        raise click.BadParameter("an address such as canary@example.org")
    return value


@click.command()
@click.option("--deep", is_flag=True, help="Also have an account made for it enter every course on sale.")
@click.option(
    "--canary", metavar="ADDRESS", default="", callback=_address, help="That account's address; else the setting's."
)
@json_option
def check(deep: bool, canary: str, json_: bool) -> None:
    """Try every connection, right, capability, webhook, tenant and sold course; say what to mend. Exit 1 if anything.

    Changes nothing anywhere. With --deep an account of its own, the canary, is made in Totara's tenant, or used again;
    it is enrolled in every course on sale, looked at there, and its enrolments are suspended again.

    \b
    Examples:
      bridge check
      bridge check --deep --canary canary@example.org
    """
    if canary and not deep:
        raise click.UsageError("--canary goes with --deep")
    with opened(load_or_exit()) as bridge:
        findings = look(bridge, (canary or bridge.settings.totara.canary_address) if deep else None)
    bad = [finding for finding in findings if finding.level == "problem"]
    if json_:
        as_json({"ok": not bad, "findings": [asdict(finding) for finding in findings]})
        sys.exit(1 if bad else 0)
    colours = {"ok": "green", "note": "yellow", "problem": "red"}
    rows = [(Text(f.level, colours[f.level]), f.what, f.said, f.mend) for f in findings]
    as_table("Check", ("", "what", "found", "to do"), rows, "")
    out.print(f"[red]{len(bad)} problems[/]" if bad else "[green]everything an order needs is there[/]")
    sys.exit(1 if bad else 0)
