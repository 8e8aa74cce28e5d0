"""Who is who: what may be said of a person by what the shop tells, and what only by a proof or an operator's word."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bridge.domain.lms import Account, Insight

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_ADDRESS = re.compile(r"[^@\s<>()\[\],;:\\\"]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")

#: As many characters as Totara keeps of a first or a last name.
MOST_OF_NAME = 100
#: Part of how Persian and many an Indian name is written.
JOINERS = "\u200c\u200d"


@dataclass(frozen=True, slots=True)
class Identity:
    """How the shop knows somebody: a customer id, or for a guest the address that was typed. Never both."""

    customer_id: int | None
    guest_email: str | None


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody as the shop tells of them. ``email`` is normal, and mail could be sent there. The names and the language
    are made fit to be kept, whoever typed them: see :func:`clean_name`.
    """

    identity: Identity
    email: str
    first_name: str = ""
    last_name: str = ""
    language: str = ""

    def __post_init__(self) -> None:
        for name, most in (("first_name", MOST_OF_NAME), ("last_name", MOST_OF_NAME), ("language", 16)):
            object.__setattr__(self, name, clean_name(getattr(self, name))[:most])


def clean_name(text: str) -> str:
    """A name as it is kept: one line, white space folded, as many characters as Totara keeps.

    Without what can't be seen: a null byte or half a character can't be written down at all, and signs that turn the
    order of writing around would show another name. Joiners stay.
    """
    if not text.isprintable():
        text = "".join(map(_seen, text))
    return " ".join(text.split())[:MOST_OF_NAME].rstrip()


def _seen(sign: str) -> str:
    category = unicodedata.category(sign)
    if category == "Cf":
        return sign if sign in JOINERS else ""
    return " " if category in ("Cc", "Cs") else sign


def normal_email(address: str) -> str:
    """An address as we compare it: lower case, no white space around."""
    return address.strip().lower()


def is_email(address: str) -> bool:
    """Whether mail could be sent there: one @, a dotted host, nothing that could mean something else.

    Nor anything that is not seen: with such signs, or those that turn the order of writing around, one address is taken
    for another, and a null byte can't be written down on PostgreSQL.
    """
    return len(address) <= 100 and address.isprintable() and _ADDRESS.fullmatch(address) is not None


def masked(address: str) -> str:
    """An address by which only those know it again who know it: "a…@c….example"."""
    local, _, host = address.rpartition("@")
    name, _, end = host.rpartition(".")
    return f"{local[:1]}…@{name[:1]}….{end}"


def identity_of(customer_id: int, email: str) -> Identity:
    """The identity of a buyer. A registered customer is the customer id, whatever address the order shows."""
    return Identity(customer_id, None) if customer_id else Identity(None, normal_email(email))


def new_key() -> str:
    """A name that nobody can guess: it marks a Totara account as ours even if we crash before writing its id down."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(14))


def throwaway_password() -> str:
    """A password that meets any usual policy, to be forgotten at once: Totara won't make an account without one."""
    return "Aa1!" + secrets.token_urlsafe(32)


def names_of(first: str, last: str, email: str) -> tuple[str, str]:
    """A first and a last name, neither empty, since Totara insists on both."""
    first, last = clean_name(first), clean_name(last)
    return first or email.split("@", 1)[0][:MOST_OF_NAME], last or "-"


# --- proofs ----------------------------------------------------------------------------------------------------------


class How(StrEnum):
    """How somebody has proven an address, or that an operator said it is not so."""

    LINK = "link"  # by a link that we mailed there
    SHOP = "shop"  # by the shop's own check of its customers' addresses
    OPERATOR = "operator"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Proof:
    """That an address is a person's."""

    person: int
    email: str
    how: How
    at: datetime


def standing(proofs: Sequence[Proof]) -> Proof | None:
    """The newest proof that counts, of those of one person and one address, the oldest first.

    Once an operator has withdrawn it, only an operator's word brings it back: whoever is wrongly taken for the owner
    of an address can often prove it again, and would undo what the operator did.
    """
    said = [proof.how for proof in proofs if proof.how in (How.OPERATOR, How.WITHDRAWN)]
    if said and said[-1] is How.WITHDRAWN:
        return None
    return next((proof for proof in reversed(proofs) if proof.how is not How.WITHDRAWN), None)


# --- may two be one? -------------------------------------------------------------------------------------------------


class Says(StrEnum):
    """Who may have it done."""

    YES = "yes"  # nobody needs to be asked
    OPERATOR = "operator"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether something may be done, and in words why not, or why it is for an operator to say."""

    says: Says
    why: str = ""


@dataclass(frozen=True, slots=True)
class Party:
    """A person of ours, as far as it matters whether two are one."""

    id: int
    customer: bool
    account: int | None = None  # the Totara user
    merged: bool = False


def may_be_one(stays: Party, goes: Party, *, proven: bool, claimed: bool = False) -> Ruling:
    """Whether ``goes`` may become ``stays``. ``proven``: the one who stays has proven the address of the one who goes;
    ``claimed``: so has somebody else.

    Without an operator only a guest ever becomes another: the one who has proven the address that the guest typed. Two
    customers of the shop never do by themselves: an address that moves from one to another is not the same human.
    """
    if stays.id == goes.id or stays.merged or goes.merged:
        return Ruling(Says.NEVER, f"persons {stays.id} and {goes.id} are one already, or one of them is another's part")
    both = f"persons {stays.id} and {goes.id}"
    if stays.account and goes.account:
        why = f"{both} each have a Totara account (users {stays.account} and {goes.account}): which stays is for you"
        return Ruling(Says.OPERATOR, f"{why} to say")
    if goes.customer:
        return Ruling(
            Says.OPERATOR, f"person {goes.id} is a registered customer of the shop, as is or may be the other"
        )
    if not stays.customer:
        return Ruling(Says.OPERATOR, f"{both} are guests with addresses of their own")
    if claimed:
        return Ruling(Says.OPERATOR, f"more than one person has proven the address of person {goes.id}")
    if not proven:
        return Ruling(Says.OPERATOR, f"person {stays.id} has not proven the address of person {goes.id}")
    return Ruling(Says.YES)


# --- may an account be linked that we did not make? ------------------------------------------------------------------

#: The accounts that every site begins with, by id and by name: the guest's and the first administrator's.
_FIRST = frozenset({1, 2, "guest", "admin"})
#: Accounts that nobody signs in with: they belong to programs.
_SYSTEM_AUTH = frozenset({"nologin", "webservice"})


def may_link(
    account: Account, seen: Insight, *, academy: str, proven: bool, never: Collection[str] = (), own: str = ""
) -> Ruling:
    """Whether a Totara account that we did not make may become a person's.

    ``academy`` is the tenant whose members we make, "" for none; ``proven``: the person has proven the account's
    address; ``never`` are the accounts that the settings keep out (usernames, ids, ``@domain``); ``own`` is the
    service account's username. What the site does not tell counts against it, so that an operator is asked.
    """
    if why := _never(account, seen, never, own):
        return Ruling(Says.NEVER, f"Totara user {account.id} {why}: it is never linked")
    reasons = [
        *([] if proven else ["its address was not proven"]),
        *(["it is suspended"] if account.suspended else []),
        *_tenancy(seen.tenant, academy),
        *_tenant_standing(seen),
        *([] if seen.administrator is False else ["Totara does not tell whether it is an administrator's"]),
        *(["it belongs to staff"] if seen.staff else []),
        *(["Totara does not tell whether it belongs to staff"] if seen.staff is None else []),
    ]
    return Ruling(Says.OPERATOR, ", ".join(reasons)) if reasons else Ruling(Says.YES)


def _never(account: Account, seen: Insight, never: Collection[str], own: str) -> str:
    if {account.id, account.username} & _FIRST:
        return "is the guest's or the first administrator's"
    if seen.administrator:
        return "is an administrator's"
    if account.username == own or account.auth in _SYSTEM_AUTH:
        return "is a system account"
    kept = {word.lower() for word in never}
    domain = "@" + account.email.lower().rpartition("@")[2]
    if kept & {str(account.id), account.username.lower(), domain}:
        return "is kept out by totara.never_link"
    return ""


def _tenancy(tenant: str | None, academy: str) -> list[str]:
    if not academy or tenant == academy:  # a site without tenants has nothing to tell
        return []
    if tenant is None:
        return ["Totara does not tell which tenant it belongs to"]
    return [f"it belongs to the tenant {tenant}" if tenant else "it belongs to no tenant"]


def _tenant_standing(seen: Insight) -> list[str]:
    if not seen.tenant:  # of no tenant, or that is told of already
        return []
    if seen.tenant_suspended is None:
        return ["Totara does not tell whether its tenant is suspended"]
    return ["its tenant is suspended"] if seen.tenant_suspended else []


# --- may anybody be signed in to an account? -------------------------------------------------------------------------


def barred(seen: Insight, *, academy: str, vouched: bool) -> str:
    """Why nobody may be signed in to an account of a person's, "" if they may be.

    Only what the site tells is held against it: most tell nothing of this, and such accounts were made as learners' by
    the bridge, or linked after an operator looked at them.
    """
    if seen.tenant_suspended:
        return "the account's tenant is suspended"
    if seen.administrator or seen.staff:
        return "the account is an administrator's, or staff's"
    return f"the account is not the academy's: {why}" if (why := astray(seen, academy=academy, vouched=vouched)) else ""


def astray(seen: Insight, *, academy: str, vouched: bool) -> str:
    """Where an account belongs that is not the academy's, "" for one that is, or where that is not told.

    ``academy`` is the tenant whose members we make, "" for none; ``vouched``: an operator said whose the account is,
    and where it belongs does not matter.
    """
    told = [] if vouched or seen.tenant is None else _tenancy(seen.tenant, academy)
    return told[0] if told else ""
