"""Seats of one pool stand in for one another: what is refunded is taken from those that nobody uses, whatever paid for
them. Nothing here asks anybody.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bridge.domain.purchases import Role, Seat, SeatPlan


@dataclass(frozen=True, slots=True)
class Spare:
    """A seat that something else pays for and nobody uses. ``asked``: somebody was asked to, and has not begun."""

    id: int
    purchase: int
    unit: int
    asked: bool


def stand_ins(plan: SeatPlan, spare: Mapping[Hashable, Sequence[Spare]]) -> list[tuple[Seat, Spare]]:
    """Which seats change places, so that the ones that go by a plan are ones that nobody uses.

    ``spare`` has for the key of a purchase what its pool has beyond it; the same seat may be there for several keys.
    People in use are seated for open ones, then for those that only wait for somebody's answer or yes; whoever only
    waits, for open ones. Those who sit there the longest come first. A seat that the shop's buyer takes or gives in the
    shop is not the pool's to move.
    """
    pairs: list[tuple[Seat, Spare]] = []
    left = {one.id: one for key in spare for one in spare[key]}
    for key in spare:
        using, waiting = _going(plan, key)
        for seat in (*using, *waiting):
            fits = (one for one in spare[key] if one.id in left and not (one.asked and seat.terms.waits))
            other = min(fits, key=lambda one: (one.asked, one.purchase, one.unit), default=None)
            if other is not None:
                pairs.append((seat, left.pop(other.id)))
    return pairs


def _going(plan: SeatPlan, key: Hashable) -> tuple[list[Seat], list[Seat]]:
    """Whose seats of a purchase go, or may have to: who uses theirs, and who only waits."""
    stays = {taker.person for _, taker in plan.take} | {seat.taker.person for seat in plan.give if seat.taker}
    ended = [seat for seat in plan.end if seat.key == key and seat.person not in {None, *stays}]
    gone = sorted((seat for seat in (*_chosen(plan, key), *ended) if seat.role is Role.ASSIGNED), key=_oldest)
    return [seat for seat in gone if not seat.terms.waits], [seat for seat in gone if seat.terms.waits]


def _chosen(plan: SeatPlan, key: Hashable) -> Iterator[Seat]:
    """Of those of whom some have to go, as many."""
    for choice in plan.undecided:
        if choice.key == key:
            yield from sorted(choice.among, key=_oldest)[: choice.count]


def _oldest(seat: Seat) -> int:
    return seat.unit
