"""What learners are written: the kinds of letter, and what each one tells. How it is worded is a template's affair."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Letter(StrEnum):
    """What a letter says."""

    READY = "ready"
    WAITING = "waiting"
    ENDS_SOON = "ends_soon"
    ENDED = "ended"
    LINK = "link"  # one that signs in, for whoever asked for it
    INVITATION = "invitation"  # to take a seat that somebody's company bought
    MANAGE = "manage"  # to help manage a team's seats
    APPROVAL = "approval"  # somebody waits for the yes of those who manage a team
    OWNER = "owner"  # a team was handed over to them


class Reason(StrEnum):
    """Why, as a learner may know it. What the bridge itself knows is full of ids, and not for customers."""

    ADDRESS_TAKEN = "address_taken"
    COURSE_CLOSED = "course_closed"
    PAYMENT_REVIEW = "payment_review"
    TERM_OVER = "term_over"
    ORDER_CANCELLED = "order_cancelled"
    REFUNDED = "refunded"
    SUBSCRIPTION_ENDED = "subscription_ended"
    NOT_PAID = "not_paid"  # what was due did not come, or was taken back
    TAKEN_BACK = "taken_back"  # by the team that gave the place
    OTHER = "other"


#: The reasons that each kind of letter may give; a letter without any gives none.
REASONS: Mapping[Letter, tuple[Reason, ...]] = {
    Letter.READY: (),
    Letter.WAITING: (Reason.ADDRESS_TAKEN, Reason.COURSE_CLOSED, Reason.PAYMENT_REVIEW, Reason.OTHER),
    Letter.ENDS_SOON: (),
    Letter.ENDED: (
        Reason.TERM_OVER,
        Reason.ORDER_CANCELLED,
        Reason.REFUNDED,
        Reason.SUBSCRIPTION_ENDED,
        Reason.NOT_PAID,
        Reason.TAKEN_BACK,
        Reason.OTHER,
    ),
    Letter.LINK: (),
    Letter.INVITATION: (),
    Letter.MANAGE: (),
    Letter.APPROVAL: (),
    Letter.OWNER: (),
}

#: The letters that have to have a link, and those that are about no course.
WITH_LINK = frozenset({Letter.LINK, Letter.INVITATION, Letter.MANAGE, Letter.APPROVAL, Letter.OWNER})
WITHOUT_COURSES = frozenset({Letter.LINK, Letter.MANAGE, Letter.APPROVAL, Letter.OWNER})


@dataclass(frozen=True, slots=True)
class CourseLine:
    """One course in a letter: its name as plain text, its page in Totara ("" for none), when access ends, and as what
    it was sold where that is something else.
    """

    name: str
    url: str = ""
    until: datetime | None = None
    sold_as: str = ""

    def __post_init__(self) -> None:
        if self.url and not self.url.startswith(("https://", "http://")):
            raise ValueError("a course's address begins with https://")
        if self.until and self.until.tzinfo is None:
            raise ValueError("the end of access needs its timezone")


@dataclass(frozen=True, slots=True)
class Message:
    """One letter to one person: all that a template may tell.

    ``language`` is a code as the shop or Totara writes it ("fr", "fr_CA"), "" when it is not known. ``start_url`` is a
    link that leads there by way of signing in, "" when there is none. ``team`` is the company that invites, or
    with ``of_team`` the one that gave the place ("" where it has no name), and ``answer_until`` until when it waits for
    an answer. Raises ValueError for what no letter could say.
    """

    kind: Letter
    to_address: str
    name: str
    language: str
    courses: tuple[CourseLine, ...]
    reason: Reason | None = None
    order_numbers: tuple[str, ...] = ()
    start_url: str = ""
    team: str = ""
    answer_until: datetime | None = None
    of_team: bool = False

    def __post_init__(self) -> None:
        if self.kind in WITH_LINK and not self.start_url:
            raise ValueError("a letter with a link has one")
        if self.kind not in WITHOUT_COURSES and not self.courses:
            raise ValueError("a letter is about at least one course")
        allowed = REASONS[self.kind]
        if (self.reason in allowed) is not bool(allowed) or (self.reason is not None and not allowed):
            raise ValueError(f"{self.reason} is no reason for the letter {self.kind}")
        if self.kind is Letter.ENDS_SOON and not all(course.until for course in self.courses):
            raise ValueError("a letter that access ends tells when")


def choose_language(wanted: str, there: Collection[str], default: str) -> str:
    """The language to write in: the wanted one, else its parent ("fr" for "fr-CA"), else the default."""
    code = wanted.strip().replace("-", "_").lower()
    return next((one for one in (code, code.split("_")[0]) if one in there), default)


def one_line(text: str) -> str:
    """A text fit for a header: no line breaks, no control characters, white space folded."""
    kept = "".join(sign if unicodedata.category(sign) not in ("Cc", "Cs") else " " for sign in text)
    return " ".join(kept.split())


def greeting_name(name: str) -> str:
    """A name to greet somebody by, or "" for what is none.

    Whoever orders types name and address: with a link for a name, the letter would carry it to somebody else.
    """
    name = one_line(name)
    return "" if len(name) > 60 or re.search(r"[/@:<>\\]|\w\.\w{2,}", name) else name.strip("- ")
