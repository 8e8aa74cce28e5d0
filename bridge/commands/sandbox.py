"""bridge sandbox: everything on one machine, to see it work."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from bridge.commands.common import as_json, in_words, out

if TYPE_CHECKING:
    from bridge.sandbox.town import Town


@click.command()
@click.option("--tour", is_flag=True, help="Go through it step by step, check each step, and end.")
@click.option("--json", "json_", is_flag=True, help="With --tour: print the outcome as JSON.")
@click.option(
    "--port", default=8080, show_default=True, help="The bridge's port; the others take the next five. 0: any."
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Keep the bridge's database here.")
def sandbox(tour: bool, json_: bool, port: int, data: Path | None) -> None:
    """Run the bridge with an embedded shop, Totara, Stripe and mail server beside it.

    Needs no settings. Open the shop's page, buy a course with an account, press "Start learning", and be in the course
    in Totara; or buy as a guest, and sign in by the letter that comes. No mail leaves this machine. Taken ports are
    replaced by free ones. Shop, Totara and mail server forget everything when it ends.

    \b
    Examples:
      bridge sandbox
      bridge sandbox --tour --json
    """
    from bridge.sandbox.tour import Tour
    from bridge.sandbox.town import Town

    if json_ and not tour:
        raise click.UsageError("--json goes with --tour")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(stopping, tour))
    with in_words(), Town(data, port=port, quiet=tour) as town:
        if tour:
            sys.exit(_tour(Tour(town), json_))
        out.print()
        for name, where in _addresses(town):
            out.print(f"  [bold]{name:<11}[/] {escape(where)}", soft_wrap=True)
        out.print()
        while not stopping.wait(0.5):
            if not town.alive():
                click.echo("bridge: the bridge's process has ended", err=True)
                sys.exit(1)


def _addresses(town: Town) -> Sequence[tuple[str, str]]:
    return (
        ("The shop", f"{town.shop_url}/   buy a course here"),
        ("Totara", f"{town.totara_url}/   and see the enrolment here"),
        ("Stripe", f"{town.stripe_url}/   refund or dispute a payment here"),
        ("Mail", f"{town.mail_url}/   read the letters to learners here"),
        ("The bridge", f"{town.url}/readyz   its log follows; Ctrl-C ends all of them"),
        ("By command", f". {shlex.quote(str(town.env_file))}   in another shell, and then .venv/bin/bridge status"),
    )


def _stop(stopping: threading.Event, tour: bool) -> None:
    stopping.set()
    if tour:
        raise KeyboardInterrupt


def _tour(tour: object, json_: bool) -> int:
    from bridge.sandbox.tour import Tour

    assert isinstance(tour, Tour)
    steps = []
    for step in tour.steps():
        steps.append(step)
        if not json_:
            mark = "[green]ok[/]" if step.ok else "[red]WRONG[/]"
            out.print(f"\n[bold]{len(steps)}. {step.told}[/]", highlight=False)
            out.print(f"   {mark}  {escape(step.found)}  [dim]({step.seconds} s)[/]", highlight=False)
    good = all(step.ok for step in steps)
    if json_:
        as_json({"ok": good, "steps": [step.as_dict() for step in steps]})
    else:
        wrong = sum(not step.ok for step in steps)
        out.print("\n[green]All as it should be.[/]" if good else f"\n[red]{wrong} steps went wrong.[/]")
    return 0 if good else 1
