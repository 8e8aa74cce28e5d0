"""Whether anybody may be signed in to an account of the ledger's: one answer for every way into Totara."""

from __future__ import annotations

from bridge.domain.identity import astray, barred
from bridge.domain.lms import Account
from bridge.errors import Refused
from bridge.store.people import Person
from bridge.totara_client import TotaraClient


class Barred(Refused):
    """There is an account, and nobody may be signed in to it. Why is for the audit log."""


def admitted(totara: TotaraClient, person: Person, *, named: str = "") -> Account:
    """The person's account as Totara has it at this moment, if they may be signed in to it. Raises Barred.

    The bridge ends the name of every account that it makes with a key that nobody can guess: another name says that it
    was given to somebody else. ``named`` is what it was called when it was last asked for, "" if it was not.
    """
    account = totara.find_account(person.totara_id) if person.totara_id is not None else None
    if account is None or account.suspended:
        raise Barred("the account is suspended, or gone")
    known = person.linked or person.vouched or account.username.endswith(person.key)
    if not known or named not in ("", account.username):
        raise Barred("the account was renamed")
    if why := barred(totara.insight(account.id), academy=totara.tenant, vouched=bool(person.vouched)):
        raise Barred(why)
    return account


def elsewhere(totara: TotaraClient, person: Person) -> str:
    """Where the person's account belongs that is not the academy's any more; "" if it is, or where that is not told."""
    if person.totara_id is None or person.vouched or not totara.tenant:
        return ""
    return astray(totara.insight(person.totara_id), academy=totara.tenant, vouched=False)
