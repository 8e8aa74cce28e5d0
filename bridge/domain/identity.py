"""Who is who: what may be said of a person by what the shop tells."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_ADDRESS = re.compile(r"[^@\s<>()\[\],;:\\\"]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")


@dataclass(frozen=True, slots=True)
class Identity:
    """How the shop knows somebody: a customer id, or for a guest the address that was typed. Never both."""

    customer_id: int | None
    guest_email: str | None


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody as the shop tells of them. ``email`` is normal, and mail could be sent there."""

    identity: Identity
    email: str
    first_name: str = ""
    last_name: str = ""
    language: str = ""


def normal_email(address: str) -> str:
    """An address as we compare it: lower case, no white space around."""
    return address.strip().lower()


def is_email(address: str) -> bool:
    """Whether mail could be sent there: one @, a dotted host, nothing that could mean something else."""
    return len(address) <= 100 and _ADDRESS.fullmatch(address) is not None


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
    first, last = " ".join(first.split())[:100], " ".join(last.split())[:100]
    return first or email.split("@", 1)[0][:100], last or "-"
