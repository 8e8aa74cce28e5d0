"""bridge explain."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection

import click

from bridge.commands.audit import event_in_words
from bridge.commands.common import as_json, json_option, read_source, with_bridge
from bridge.domain.identity import is_email, normal_email
from bridge.domain.notes import day
from bridge.domain.offers import Item, Kind
from bridge.domain.seats import Wait
from bridge.domain.texts import plain
from bridge.errors import BridgeError
from bridge.explain import Claim, Explained, Explainer, find_persons
from bridge.store import people
from bridge.store.db import utc_now
from bridge.store.ledger import Source
from bridge.store.people import Person
from bridge.wiring import Bridge


def _whole(_context: click.Context, _argument: click.Parameter, words: tuple[str, ...]) -> str:
    return ":".join(words)


@click.command()
@click.argument("who", nargs=-1, required=True, metavar="EMAIL|ORDER|subscription ID|person ID", callback=_whole)
@json_option
@with_bridge
def explain(bridge: Bridge, who: str, json_: bool) -> None:
    """Say in words why somebody has access, or has not. Exit 1 if nobody and nothing of that kind is known.

    For each seat: what pays for it, since when and until when, what it gives, and how it stands in Totara; then what
    is still owed, and what happened, by whom and why. An address is only looked up, and not shown again.

    \b
    Examples:
      bridge explain mia@example.org
      bridge explain 1041
      bridge explain subscription 45 --json
      bridge explain person 7
    """
    explained = _explained(bridge, who)
    if json_:
        as_json([one.as_dict() for one in explained])
        return
    for one in explained:
        _print(one)


def _explained(bridge: Bridge, who: str) -> list[Explained]:
    persons, source = _asked(bridge, who)
    explainer = Explainer(bridge.store, bridge.work, utc_now())
    names = _names(bridge, explainer.items(persons, source))
    found = [explainer.person(person, names) for person in persons]
    if source is not None:
        one = explainer.source(source, names)
        if one is None:
            _unknown(f"{source} is not known. Does the shop have it? `bridge resync` has it looked at")
        else:
            found.append(one)
    return found


def _asked(bridge: Bridge, who: str) -> tuple[list[Person], Source | None]:
    if person_id := re.fullmatch(r"person:([1-9][0-9]{0,17})", who.strip()):
        with bridge.store.read() as connection:
            person = people.get_person(connection, int(person_id[1]))
        return [person] if person else _unknown(f"there is no person {person_id[1]}"), None
    email = normal_email(who)
    if is_email(email):
        said = (
            "nobody with that address is known: no order that was paid for names it. If you know the order, ask by its "
            "number; the shop's account may have another address than the bill"
        )
        return find_persons(bridge.store, email) or _unknown(said), None
    return [], read_source(who, "an address, an order's number, subscription 45 or person 7")


def _unknown(said: str) -> list[Person]:
    click.echo(f"bridge: {said}", err=True)
    sys.exit(1)


def _names(bridge: Bridge, items: Collection[Item]) -> dict[Item, str]:
    """What the courses are called, if Totara says so now; ids have to do if not."""
    courses = {item.id: item for item in items if item.kind is Kind.COURSE}
    try:
        found = bridge.totara.find_courses(courses) if courses else {}
    except BridgeError:
        click.echo("bridge: Totara does not answer: courses are told by their ids", err=True)
        return {}
    return {courses[one]: plain(course.fullname, bridge.settings.shop.language) for one, course in found.items()}


def _print(one: Explained) -> None:
    click.echo(click.style(one.subject[:1].upper() + one.subject[1:], bold=True))
    for said in (*one.facts, *one.has):
        click.echo(f"  {said}")
    for claim in one.claims:
        _print_claim(claim)
    for title, lines in (
        ("What is owed", one.owed),
        ("What happened", [event_in_words(event) for event in one.events]),
    ):
        if lines:
            click.echo(click.style(title, bold=True))
        for line in lines:
            click.echo(f"  {line}")


def _print_claim(claim: Claim) -> None:
    name = f" ({claim.name})" if claim.name else ""
    sits = f"person {claim.person}, {_as(claim)}" if claim.person is not None else "open"
    of = f"line {claim.line}, unit {claim.unit}" if claim.line else f"unit {claim.unit}"
    click.echo(click.style(f"Seat {claim.seat}: {claim.item}{name}, {sits}", bold=True))
    click.echo(f"  {of}, of a purchase that pays for {claim.seats_paid}; {claim.paid_by}")
    if claim.team is not None:
        click.echo(f"  team {claim.team} gives it to its people: `bridge teams show {claim.team}`; pool {claim.pool}")
    click.echo(f"  {_when(claim)}")
    click.echo(f"  {claim.said}")


def _as(claim: Claim) -> str:
    waits: dict[str, str] = {Wait.ANSWER: "asked to take it", Wait.APPROVAL: "waiting for a yes"}
    return waits.get(claim.state, f"as {claim.role}")


def _when(claim: Claim) -> str:
    begins = f", access from {day(claim.starts)}" if claim.starts else ""
    if claim.until:
        return f"since {day(claim.since)}{begins}, until {day(claim.until)}"
    ends = f", for {claim.days} days from the first enrolment" if claim.days else ", without an end"
    return f"since {day(claim.since)}{begins}{ends}"
