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


def without_seat(
    seats: Collection[Seat], named: Collection[int | None], waiting: Collection[int], paid: int
) -> tuple[int, int]:
    """Of those whom one purchase was bought for, how many never sat on a seat of it, and how many seats they may take.

    ``named`` has None for each of whom we never heard; ``paid`` are the seats that are paid for. A seat may be taken if
    it is open, or if whoever sits there waits for an account and is not named any more.
    """
    sat = {seat.person for seat in seats} - {None}
    kept = [
        seat
        for seat in seats
        if seat.live and seat.person is not None
        if seat.role is not Role.RECIPIENT or seat.person in named or seat.person not in waiting
    ]
    new = [person for person in named if person is None or person not in sat]
    return len(new), max(paid - len(kept), 0)
