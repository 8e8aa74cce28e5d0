"""Operators' commands about the letters to learners."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import click

from bridge.commands.common import in_words, load_or_exit, opened
from bridge.domain.letters import Letter
from bridge.letters.render import check_templates
from bridge.letters.samples import sample
from bridge.wiring import Bridge

_KINDS = click.Choice([kind.value for kind in Letter])


@click.group()
def mail() -> None:
    """The letters to learners: how they look, and whether they get out."""


def _language(bridge: Bridge, wanted: str | None) -> str:
    there = bridge.letters.languages
    if wanted and wanted not in there:
        raise click.BadParameter(f"there are templates in {', '.join(there)}", param_hint="--language")
    return wanted or bridge.settings.mail.language


@mail.command("preview")
@click.argument("kind", type=_KINDS)
@click.option("--language", metavar="CODE", help="In this language instead of mail.language.")
@click.option("--html", "html", is_flag=True, help="The HTML instead of the plain text.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def mail_preview(kind: str, language: str | None, html: bool, output: Path | None) -> None:
    """Show a letter with made-up values, by the templates in force.

    Tries all templates meanwhile, and tells what is wrong with them on standard error. Sends nothing.

    \b
    Examples:
      bridge mail preview ready --language fr
      bridge mail preview ended --html --output ended.html
    """
    with in_words(), opened(load_or_exit()) as bridge:
        message = sample(Letter(kind), language=_language(bridge, language))
        config = bridge.settings.mail
        problems = check_templates(Path(config.templates) if config.templates else None, language=config.language)
        for problem in problems:
            click.echo(f"bridge: {problem}", err=True)
        written = bridge.letters.write(message)
        text = written.html if html else f"Subject: {written.subject}\n\n{written.text}"
        _write(text, output)
    sys.exit(1 if problems else 0)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as err:
        raise click.FileError(str(output), err.strerror) from err


@mail.command("test")
@click.argument("address")
@click.option("--kind", type=_KINDS, default=Letter.READY.value, show_default=True, help="Which letter to send.")
@click.option("--language", metavar="CODE", help="In this language instead of mail.language.")
def mail_test(address: str, kind: str, language: str | None) -> None:
    """Send one letter with made-up values to ADDRESS, by the mail server that is configured.

    \b
    Example:
      bridge mail test you@example.org --kind ends_soon
    """
    with in_words(), opened(load_or_exit()) as bridge:
        if bridge.mailer is None:
            click.echo("bridge: no mail server is configured; see mail.host", err=True)
            sys.exit(1)
        message = sample(Letter(kind), to_address=address, language=_language(bridge, language))
        bridge.mailer.send(message, key=f"test {secrets.token_hex(16)}")
        click.echo("the mail server has taken it")
