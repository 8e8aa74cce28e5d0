"""Gifts: what was bought for somebody else, who is told by their address."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bridge.domain.purchases import Role, Seat


def corrected(seats: Collection[Seat], named: Sequence[int], waiting: Collection[int]) -> dict[int, int | None]:
    """Seat -> who sits there from now on, since addresses were corrected; None for nobody. Of one purchase.

    ``named`` are all persons whom it was bought for, and ``waiting`` those without an account. Whoever waits and is
    not named any more gives the seat up, to somebody who is named and never sat on one. Which of several takes which
    seat makes no difference: nobody of them was given anything.
    """
    gone = [seat for seat in seats if seat.role is Role.RECIPIENT and seat.person in set(waiting) - set(named)]
    gone.sort(key=lambda seat: (not seat.live, seat.unit))
    sat = {seat.person for seat in seats}
    new = iter([person for person in dict.fromkeys(named) if person not in sat])
    return {seat.id: next(new, None) for seat in gone}
