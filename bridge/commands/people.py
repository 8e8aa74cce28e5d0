"""Operators' commands about persons: conflicts about addresses, and who is who."""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack
from typing import Any

import click

from bridge.commands.common import NUMBER, as_json, by_option, holding, json_option, out, why_option, with_bridge
from bridge.deciding import Parting, Union, conflicts, link, linkable, part, plan_parting, plan_union, unite
from bridge.domain.identity import Ruling, Says, is_email, normal_email
from bridge.domain.lms import Account
from bridge.domain.notes import day
from bridge.errors import BridgeError, Refused
from bridge.kinds import LEARNER
from bridge.store import people as persons
from bridge.store.db import utc_now
from bridge.store.people import Person
from bridge.wiring import Bridge

_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def people() -> None:
    """Persons: conflicts about addresses, which of them are one, and whose a Totara account is."""


@people.command("conflicts")
@json_option
@with_bridge
def people_conflicts(bridge: Bridge, json_: bool) -> None:
    """List the learners who wait because of an address, each with what you may do about it.

    \b
    Example:
      bridge people conflicts
    """
    found = conflicts(bridge.store, bridge.work)
    if json_:
        as_json([one.as_dict() for one in found])
        return
    for one in found:
        click.echo(click.style(f"Person {one.person}: {one.kind}", bold=True))
        click.echo(f"  since {day(one.since)}: {one.reason}")
        click.echo(f"  the address: {one.proven}; orders: {', '.join(map(str, one.orders)) or 'none'}")
        for choice in one.choices:
            click.echo(f"  - {choice}")
    if not found:
        out.print("Nobody waits because of an address.")


# --- show ------------------------------------------------------------------------------------------------------------


@people.command("show")
@click.argument("who", metavar="EMAIL|PERSON")
@json_option
@with_bridge
def people_show(bridge: Bridge, who: str, json_: bool) -> None:
    """Show who somebody is: to the shop, to Totara and to us, what was proven and who turned out to be one.

    An address is only looked up, and not shown again.

    \b
    Examples:
      bridge people show mia@example.org
      bridge people show 7
    """
    shown = [_as_dict(bridge, person) for person in _asked(bridge, who)]
    if json_:
        as_json(shown)
        return
    for one in shown:
        click.echo(click.style(f"Person {one['person']}", bold=True))
        for said in one["said"]:
            click.echo(f"  {said}")


def _asked(bridge: Bridge, who: str) -> list[Person]:
    number = re.fullmatch(r"(?:person:)?([1-9][0-9]{0,17})", who.strip())
    email = normal_email(who)
    if not number and not is_email(email):
        raise click.UsageError("give an address, or a person's number")
    with bridge.store.read() as connection:
        found = [persons.get_person(connection, int(number[1]))] if number else persons.persons_with(connection, email)
    if not found or found[0] is None:
        click.echo("bridge: nobody like that is known", err=True)
        sys.exit(1)
    return [person for person in found if person is not None]


def _as_dict(bridge: Bridge, person: Person) -> dict[str, Any]:
    with bridge.store.read() as connection:
        proofs = persons.proofs_of(connection, person.id)
        parts = [part.id for part in persons.merged_into(connection, person.id)]
    ways = [{"how": str(one.how), "at": one.at, "current": one.email == person.email} for one in proofs.values()]
    facts: dict[str, Any] = {
        "person": person.id,
        "customer": person.customer_id,
        "totara_user": person.totara_id,
        "linked": bool(person.linked),
        "merged_into": person.merged_into,
        "parts": parts,
        "proofs": ways,
    }
    return {**facts, "said": [*_said(facts), _in_the_shop(bridge, person), *_in_totara(bridge, person)]}


def _said(facts: dict[str, Any]) -> list[str]:
    said = [f"customer {facts['customer']} of the shop" if facts["customer"] else "a guest of the shop"]
    said += [f"turned out to be person {facts['merged_into']}"] if facts["merged_into"] else []
    said += [f"was known as person {', '.join(map(str, facts['parts']))} too"] if facts["parts"] else []
    for proof in facts["proofs"]:
        which = "the address" if proof["current"] else "another address"
        said.append(f"has proven {which}, by {proof['how']}, on {day(proof['at'])}")
    if not facts["proofs"]:
        said.append("has proven no address")
    return said


def _in_the_shop(bridge: Bridge, person: Person) -> str:
    """Whether the shop still has the customer, and under which address, without telling it."""
    if person.customer_id is None:
        return "the shop knows the address only, by what was typed at the checkout"
    try:
        customer = bridge.shop.find_customer(person.customer_id)
    except BridgeError as err:
        return f"the shop can't tell of the customer now: {err}"
    if customer is None:
        return "the shop has deleted the customer: access goes on as the orders say"
    if normal_email(customer.email) == person.email:
        return "the shop has the address that we know"
    return (
        "the shop has another address than we know: the account stays as it is, the old address counts no more, and "
        "the new one once the shop has checked it and the customer signs in"
    )


def _in_totara(bridge: Bridge, person: Person) -> list[str]:
    if person.totara_id is None:
        return ["has no Totara account"]
    said = f"Totara user {person.totara_id}, " + ("linked: it was there before us" if person.linked else "made by us")
    try:
        account = bridge.totara.find_account(person.totara_id)
    except BridgeError as err:
        return [said, f"Totara can't tell of the account now: {err}"]
    if account is None:
        return [said, "the account was deleted in Totara"]
    words = ["the account is suspended in Totara"] if account.suspended else []
    same = normal_email(account.email) == person.email
    return [said, *words, *([] if same else ["the account has another address than the person"])]


# --- link ------------------------------------------------------------------------------------------------------------


@people.command("link")
@click.argument("person", type=NUMBER)
@click.option("--totara", "user", metavar="USER", help="A Totara account, by its id or username.")
@click.option("--person", "other", type=NUMBER, metavar="OTHER", help="Another person who is the same human.")
@click.option("--keep", type=NUMBER, metavar="USER", help="Which Totara account stays, where each has one.")
@_yes
@by_option
@why_option("an operator said who is who")
@with_bridge
def people_link(
    bridge: Bridge, person: int, user: str | None, other: int | None, keep: int | None, yes: bool, by: str, why: str
) -> None:
    """Say that a Totara account is a person's, or that two persons are one.

    Everything is looked at again in Totara. Administrators', guests' and system accounts are never linked.

    \b
    Examples:
      bridge people link 7 --totara 412 --why "ticket 88, identified by phone"
      bridge people link 7 --person 3
      bridge people link 7 --person 3 --keep 412
    """
    if (user is None) is (other is None) or (keep is not None and other is None):
        raise click.UsageError("give either --totara USER, or --person OTHER, which --keep goes with")
    if user is not None:
        _link_account(bridge, person, user, yes=yes, by=by, why=why)
    elif other is not None:
        _link_persons(bridge, person, other, keep, yes=yes, by=by, why=why)
    bridge.store.bell.ring()


def _link_account(bridge: Bridge, person_id: int, user: str, *, yes: bool, by: str, why: str) -> None:
    account, ruling = _looked_at(bridge, person_id, user)
    if not yes:
        doubts = f"\nBeware: {ruling.why}." if ruling.why else ""
        told = (
            f"Totara user {account.id} becomes the account of person {person_id}, who will enter with what is bought."
        )
        click.confirm(f"{told}{doubts}\nGo on?", abort=True)
        account, _ = _looked_at(bridge, person_id, str(account.id))  # time has passed
    with holding(bridge, LEARNER, str(person_id)), bridge.store.begin() as connection:
        link(bridge.store, connection, bridge.work, person_id, account, utc_now(), by, why)
    click.echo(f"linked: a worker gives person {person_id} what waits")


def _looked_at(bridge: Bridge, person_id: int, user: str) -> tuple[Account, Ruling]:
    """The account as Totara tells of it now. Raises Refused for one that is never linked."""
    with bridge.store.read() as connection:
        linkable(connection, person_id)
    name = user.strip()
    found = bridge.totara.find_account(int(name)) if name.isdigit() else bridge.totara.find_account_by_username(name)
    if found is None:
        raise Refused("Totara has no such user, or it was deleted")
    with bridge.store.read() as connection:
        person = linkable(connection, person_id, found.id)
        proven = set(persons.proofs_of(connection, person_id))
    ruling = bridge.jobs.who.ruling(found, proven=normal_email(found.email) in proven)
    if ruling.says is Says.NEVER:
        raise Refused(ruling.why)
    if normal_email(found.email) != person.email:
        words = [ruling.why, "its address is not the person's"]
        ruling = Ruling(Says.OPERATOR, ", ".join(filter(None, words)))
    return found, ruling


def _link_persons(bridge: Bridge, first: int, second: int, keep: int | None, *, yes: bool, by: str, why: str) -> None:
    with bridge.store.read() as connection:
        union = plan_union(connection, first, second, keep)
    if not yes:
        click.confirm(f"{_union_told(union, keep)}\nGo on?", abort=True)
    with ExitStack() as held:
        for one in sorted((union.stays.id, union.goes.id)):
            held.enter_context(holding(bridge, LEARNER, str(one)))
        with bridge.store.begin() as connection:
            unite(connection, bridge.work, union, keep, utc_now(), by=by, why=why)
    click.echo(f"linked: person {union.goes.id} is person {union.stays.id} from now on")


def _union_told(union: Union, keep: int | None) -> str:
    told = f"Person {union.goes.id} becomes person {union.stays.id}, with all that was bought and given."
    if union.both:
        users = {union.stays.totara_id, union.goes.totara_id} - {keep}
        told += (
            f" The access in Totara user {users.pop()} ends, and is given in user {keep}; what was learnt stays there."
        )
    return f"{told}\nBeware: {union.why_asked}." if union.why_asked else told


# --- separate --------------------------------------------------------------------------------------------------------


@people.command("separate")
@click.argument("person", type=NUMBER)
@_yes
@by_option
@why_option("an operator said who is not who")
@with_bridge
def people_separate(bridge: Bridge, person: int, yes: bool, by: str, why: str) -> None:
    """Undo a wrong link: make two again of two who became one, or let go of an account that was linked.

    Says what can't be undone, and asks. Afterwards only an operator can link them again.

    \b
    Example:
      bridge people separate 7 --why "ticket 91: father and son"
    """
    with bridge.store.read() as connection:
        parting = plan_parting(connection, person)
    if not yes:
        click.confirm(f"{parting.told[:1].upper()}{parting.told[1:]}\nGo on?", abort=True)
    _part(bridge, parting, by=by, why=why)
    bridge.store.bell.ring()
    click.echo(f"separated: {parting.told}")


def _part(bridge: Bridge, parting: Parting, *, by: str, why: str) -> None:
    with ExitStack() as held:
        for one in sorted(parting.persons):
            held.enter_context(holding(bridge, LEARNER, str(one)))
        with bridge.store.read() as connection:
            again = plan_parting(connection, parting.person.id)
        if again.persons != parting.persons or again.linked != parting.linked:
            raise Refused(f"person {parting.person.id} has changed meanwhile: nothing was done")
        if again.linked is not None:
            bridge.jobs.learners.leave(again.person.id)
        with bridge.store.begin() as connection:
            part(connection, bridge.work, again, utc_now(), by=by, why=why)
