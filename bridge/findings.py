"""What `bridge check` finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.wiring import Bridge


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. ``level`` is ok, note or problem; a problem comes with what to do about it.

    A note is worth knowing, or says what could not be told.
    """

    level: str
    what: str
    said: str
    mend: str = ""


Look = Callable[[Bridge], Iterator[Finding]]


def some(ids: list[int], most: int = 10) -> str:
    """Ids for a sentence, not too many of them."""
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(map(str, ids[:most])) + more
