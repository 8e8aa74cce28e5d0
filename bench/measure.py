"""Ours and the floor in alternation, and what is made of the figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

#: How a ratio is held against its goal: a throughput has to be above, a time or a size below.
Sense = Literal["at least", "at most"]


@dataclass(frozen=True)
class Row:
    """One line of the table. ``ratio`` is the median of the pairs' ratios, ours to the floor's."""

    name: str
    database: str
    ours: float
    floor: float
    unit: str
    ratio: float
    goal: float
    sense: Sense
    pairs: int
    more: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the goal was reached."""
        return self.ratio >= self.goal if self.sense == "at least" else self.ratio <= self.goal


def alternate(ours: Callable[[], float], floor: Callable[[], float], pairs: int) -> tuple[list[float], list[float]]:
    """Run both in turns, the floor first in every second pair, so that neither profits from its place."""
    of_ours: list[float] = []
    of_floor: list[float] = []
    for pair in range(pairs):
        if pair % 2:
            of_floor.append(floor())
            of_ours.append(ours())
        else:
            of_ours.append(ours())
            of_floor.append(floor())
    return of_ours, of_floor


def row(
    name: str,
    database: str,
    measured: tuple[Sequence[float], Sequence[float]],
    unit: str,
    goal: float,
    sense: Sense,
    **more: float,
) -> Row:
    """A line of the table from alternating measurements."""
    ours, floor = measured
    return Row(
        name,
        database,
        statistics.median(ours),
        statistics.median(floor),
        unit,
        statistics.median(a / b for a, b in zip(ours, floor, strict=True)),
        goal,
        sense,
        len(ours),
        more,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
