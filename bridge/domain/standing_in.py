"""Seats of one pool stand in for one another: what is refunded is taken from those that nobody uses, whatever paid for
them. Nothing here asks anybody.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bridge.domain.purchases import Role, Seat, SeatPlan


@dataclass(frozen=True, slots=True)
class Spare:
    """A seat that something else pays for and nobody uses. ``asked``: somebody was asked to, and has not begun.
    ``taken``: they have taken it, even so.
    """

    id: int
    purchase: int
    unit: int
    asked: bool
    taken: bool = False


def stand_ins(
    plan: SeatPlan, spare: Mapping[Hashable, Sequence[Spare]], idle: Collection[int] = ()
) -> list[tuple[Seat, Spare]]:
    """Which seats change places, so that the ones that go by a plan are ones that nobody uses.

    ``spare`` has for the key of a purchase what its pool has beyond it; the same seat may be there for several keys.
    People in use are seated for open ones, then for those that only wait for somebody's answer or yes, then for those
    of people who never began; whoever never began themselves (``idle``, by seat id), for none of these last; whoever
    only waits, for open ones. Who has begun comes first, then whoever sits there the longest. A seat that the shop's
    buyer takes or gives in the shop is not the pool's to move.
    """
    pairs: list[tuple[Seat, Spare]] = []
    left = {one.id: one for key in spare for one in spare[key]}
    for key in spare:
        using, waiting = _going(plan, key)
        for seat in (*sorted(using, key=lambda seat: seat.id in idle), *waiting):
            fits = (one for one in spare[key] if one.id in left and _fits(seat, one, idle))
            other = min(fits, key=lambda one: (one.taken, one.asked, one.purchase, one.unit), default=None)
            if other is not None:
                pairs.append((seat, left.pop(other.id)))
    return pairs


def _fits(seat: Seat, other: Spare, idle: Collection[int]) -> bool:
    return not (other.asked and seat.terms.waits) and not (other.taken and seat.id in idle)


def seatless(
    plan: SeatPlan, spare: Mapping[Hashable, Sequence[Spare]], idle: Collection[int] = ()
) -> dict[Hashable, list[Seat]]:
    """Whose seats in use go by a plan, or may have to, though all changed places that can; not who never began."""
    moved = {seat.id for seat, _ in stand_ins(plan, spare, idle)} | set(idle)
    left = {key: [seat for seat in _going(plan, key)[0] if seat.id not in moved] for key in spare}
    return {key: seats for key, seats in left.items() if seats}


def in_use(plan: SeatPlan, key: Hashable) -> list[Seat]:
    """Of whose seats in use some go by a plan, or may have to."""
    among = [seat for choice in plan.undecided if choice.key == key for seat in choice.among]
    return list({seat.id: seat for seat in (*among, *_going(plan, key)[0])}.values())


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
