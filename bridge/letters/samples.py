"""Made-up letters: what `bridge mail preview` shows, and what templates are tried with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from bridge.domain.letters import REASONS, WITH_LINK, WITHOUT_COURSES, CourseLine, Letter, Message, Reason

#: Must never appear like this in HTML.
UNESCAPED = "<level 2>"

_COURSES = (
    CourseLine(
        f"Rules of origin & valuation {UNESCAPED}",
        "https://learn.example.org/course/view.php?id=7&x=1",
        datetime(2027, 3, 1, 14, 30, tzinfo=UTC),
    ),
    CourseLine(
        "The Harmonized System",
        "https://learn.example.org/course/view.php?id=8",
        datetime(2027, 6, 15, 22, 0, tzinfo=UTC),
    ),
)
_LINK = "https://bridge.example.org/sso/link/open#Qm9uam91ci4gQ2UgbidlY3QgcGFzIHVuIHNlY3JldC4"


def sample(kind: Letter, *, to_address: str = "learner@example.org", language: str = "") -> Message:
    """One letter of this kind, about two courses, or with a link."""
    if kind in WITH_LINK:
        courses = () if kind in WITHOUT_COURSES else _COURSES[:1]
        bare = Message(kind, to_address, "Marie", language, courses, start_url=_LINK)
        return bare if kind is Letter.LINK else replace(bare, team="Harbour & Sons", answer_until=_COURSES[0].until)
    reason = next(iter(REASONS[kind]), None)
    return Message(kind, to_address, "Marie", language, _COURSES, reason, ("1041",))


def samples(kind: Letter) -> Iterator[Message]:
    """Letters of this kind that together say all that such a letter can say."""
    if kind in WITH_LINK:
        yield sample(kind)
        yield replace(sample(kind), name="", team="", answer_until=None)
        yield replace(sample(kind), team=UNESCAPED)
        if kind not in WITHOUT_COURSES:
            yield replace(sample(kind), courses=tuple(replace(one, sold_as=UNESCAPED) for one in _COURSES))
        return
    reasons: tuple[Reason | None, ...] = REASONS[kind] or (None,)
    for reason in reasons:
        full = replace(sample(kind), reason=reason)
        yield full
        yield replace(full, order_numbers=(UNESCAPED,))
        yield replace(full, order_numbers=(), of_team=True, team="Harbour & Sons")
        yield replace(full, order_numbers=(), of_team=True, team="")
        yield replace(full, courses=_COURSES[:1], order_numbers=("1041", UNESCAPED), start_url="https://example.org/go")
        bare = CourseLine("A course", until=_COURSES[0].until if kind is Letter.ENDS_SOON else None)
        yield replace(full, name="", order_numbers=(), courses=(bare,))
