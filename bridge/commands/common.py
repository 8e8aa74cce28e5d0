"""What the commands share: settings, output, exit codes."""

from __future__ import annotations

import getpass
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import update_wrapper
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bridge import logs
from bridge.errors import BridgeError, ConfigError
from bridge.settings import Settings, load
from bridge.store.db import schema_is_current
from bridge.store.ledger import Source
from bridge.store.work import Claim
from bridge.wiring import Bridge

out = Console()


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "operator"


def _name(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not 0 < len(value.strip()) <= 64:
        raise click.BadParameter("a name of one to 64 letters")
    return value.strip()


def _without_address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if "@" in value:
        raise click.BadParameter("the audit log holds no addresses: name people by their numbers")
    return " ".join(value.split())[:500]


by_option = click.option(
    "--by", metavar="NAME", default=_login, callback=_name, help="Who decided, for the audit log; else your login name."
)


def why_option(default: str) -> Callable[[Any], Any]:
    """--why, for the audit log."""
    text = "Why, for the audit log. Numbers of persons, no names or addresses."
    return click.option("--why", metavar="TEXT", default=default, callback=_without_address, help=text)


yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
json_option = click.option("--json", "json_", is_flag=True, help="Print JSON, for machines.")


#: A number of something in the database or the shop: neither can keep a longer one.
NUMBER = click.IntRange(1, 10**18 - 1)


def read_source(said: str, ask_for: str = "an order's number, or subscription 45") -> Source:
    """``1041``, ``order:1041`` or ``subscription:45``. Raises BadParameter, which says what to give instead."""
    found = re.fullmatch(r"(?:(order|subscription):)?([1-9][0-9]{0,17})", said.strip().lower())
    if not found:
        raise click.BadParameter(f"give {ask_for}")
    return Source("subscription" if found[1] == "subscription" else "order", int(found[2]))


def _source(_context: click.Context, _argument: click.Parameter, words: tuple[str, ...]) -> Source:
    return read_source(":".join(words))


#: An order or a subscription: ``1041``, ``order 1041``, ``subscription 45``, ``subscription:45``.
source_argument = click.argument("source", nargs=-1, required=True, metavar="ORDER|subscription ID", callback=_source)


def as_json(value: Any) -> None:
    """Print for machines."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def as_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print for people."""
    if not rows:
        out.print(empty)
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else escape("" if cell is None else str(cell)) for cell in row))
    out.print(table)


def load_or_exit() -> Settings:
    """The settings; all their problems in one message and exit 2 when there are any."""
    try:
        settings = load()
    except ConfigError as err:
        click.echo(str(err), err=True)
        sys.exit(2)
    logs.set_up(settings.log.level, settings.log.format)
    return settings


@contextmanager
def in_words() -> Iterator[None]:
    """Known errors as one line on standard error and exit 1, without a traceback."""
    try:
        yield
    except BridgeError as err:
        click.echo(f"bridge: {err}", err=True)
        sys.exit(1)


@contextmanager
def opened(settings: Settings) -> Iterator[Bridge]:
    """A bridge whose connections are closed at the end."""
    bridge = Bridge(settings)
    try:
        yield bridge
    finally:
        bridge.store.close()


def with_bridge(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command a bridge made from the settings, on a database with this version's tables."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with in_words(), opened(load_or_exit()) as bridge:
            if not schema_is_current(bridge.store):
                click.echo("bridge: the database has no tables of this version; run `bridge migrate`", err=True)
                sys.exit(1)
            return command(bridge, *args, **kwargs)

    return update_wrapper(run, command)


@contextmanager
def holding(bridge: Bridge, kind: str, key: str, *, only_look: bool = False) -> Iterator[Claim]:
    """Hold one work row while a command does by hand what a worker else would."""
    claim = bridge.work.take(kind, key)
    if claim is None:
        click.echo(f"bridge: a worker is busy with {kind} just now; try again in a minute", err=True)
        sys.exit(1)
    with bridge.work.keeping(claim):
        try:
            yield claim
        except BaseException:
            bridge.work.release(claim)
            raise
        if only_look:
            bridge.work.release(claim)
        else:
            bridge.work.settle(claim)
