"""bridge check."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click
from rich.text import Text

from bridge.check import check as look
from bridge.commands.common import as_json, as_table, load_or_exit, opened, out
from bridge.commands.orders import json_option


@click.command()
@json_option
def check(json_: bool) -> None:
    """Try every connection, right, capability, webhook, tenant and sold course; say what to mend. Exit 1 if anything.

    Changes nothing anywhere.

    \b
    Example:
      bridge check
    """
    with opened(load_or_exit()) as bridge:
        findings = look(bridge)
    bad = [finding for finding in findings if finding.level == "problem"]
    if json_:
        as_json({"ok": not bad, "findings": [asdict(finding) for finding in findings]})
        sys.exit(1 if bad else 0)
    colours = {"ok": "green", "note": "yellow", "problem": "red"}
    rows = [(Text(f.level, colours[f.level]), f.what, f.said, f.mend) for f in findings]
    as_table("Check", ("", "what", "found", "to do"), rows, "")
    out.print(f"[red]{len(bad)} problems[/]" if bad else "[green]everything an order needs is there[/]")
    sys.exit(1 if bad else 0)
