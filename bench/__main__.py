"""``python -m bench``: every figure of docs/performance.md, measured here."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from bench.accept import accept
from bench.catalogue import catalogue, memory
from bench.cold import cold
from bench.launch import launch
from bench.measure import Row
from bench.orders import drain, hint
from bench.places import Places, places
from bench.teams import seated, team
from bench.unchanged import unchanged
from bridge import logs

Measurement = Callable[..., Iterator[Row]]
MEASUREMENTS: dict[str, Measurement] = {
    "accept": accept,
    "launch": launch,
    "hint": hint,
    "drain": drain,
    "cold": cold,
    "unchanged": unchanged,
    "catalogue": catalogue,
    "memory": memory,
    "team": team,
    "seated": seated,
}


def _all(names: Sequence[str], made: Places, quick: bool, tell: Console) -> Iterator[Row]:
    for name in names:
        for kind in made.kinds():
            began = time.monotonic()
            tell.print(f"[dim]{name}, {kind} …[/]")
            yield from MEASUREMENTS[name](made, kind, quick=quick)
            tell.print(f"[dim]  {time.monotonic() - began:.0f} s[/]")


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title="Ours to the floor, in alternation; medians", title_justify="left", header_style="bold")
    for column in ("what", "database", "ours", "floor", "", "ratio", "goal", "met", "more"):
        table.add_column(column, justify="right" if column in ("ours", "floor", "ratio") else "left")
    for one in rows:
        table.add_row(
            one.name,
            one.database,
            _shown(one.ours),
            _shown(one.floor),
            one.unit,
            f"{one.ratio:.2f}",
            f"{'≥' if one.sense == 'at least' else '≤'} {one.goal:.2f}",
            "[green]yes[/]" if one.met else "[red]no[/]",
            ", ".join(f"{name} {value:g}" for name, value in one.more.items()),
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """From the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(MEASUREMENTS), help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: for a first look, not for a verdict")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    logs.set_up("error")
    tell = Console(stderr=True, quiet=options.json)
    with places() as made:
        rows = list(_all(options.only or list(MEASUREMENTS), made, options.quick, tell))
    if options.json:
        print(json.dumps([{**asdict(one), "met": one.met} for one in rows], indent=2))
    else:
        Console().print(_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
