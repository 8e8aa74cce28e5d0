"""A subscription's line that was switched for another: whoever sits on the old one moves to the new one."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace

from bridge.domain.purchases import Choice, Line, NewSeat, Role, Seat, SeatPlan, Taker, Terms

#: Of which line this one was made: WooCommerce Subscriptions writes it on the subscription's new line, whether that
#: took the old one's place or begins a subscription of its own. The old line's id is not shown any more.
SWITCHED_META = "_switched_subscription_item_id"


def switched_from(line: Line) -> int:
    """The id of the line that this one was made of, 0 for none."""
    told = line.meta.get(SWITCHED_META, "")
    return int(told) if told.isdigit() else 0


def carried(
    plan: SeatPlan,
    seats: Collection[Seat],
    *,
    idle: Collection[int] = (),
    into: Mapping[Hashable, Hashable] | None = None,
) -> SeatPlan:
    """The plan, with people whose seats end moved to the line that theirs was switched ``into``, by key.

    They take its open seats, those that begin and those that live already. Where it has fewer, those who never began
    (``idle``, by seat id) stay behind first; if it has too few for the others too, which of them move is for a person
    to say, and until then they stay where they are. Where it has none, there is nothing to choose.

    Of a line of which nobody told what it was switched into, people take the open seats that begin, in order: a line
    was taken off, and another put on. An open seat that was there before is not theirs.
    """
    into = into or {}
    ended = [seat for seat in plan.end if seat.person is not None]
    for target in dict.fromkeys(into[seat.key] for seat in ended if seat.key in into):
        plan = _moved(plan, seats, target, [seat for seat in ended if into.get(seat.key) == target], idle)
    return _replaced(plan, seats, [seat for seat in ended if seat.key not in into], set(into.values()))


def _moved(
    plan: SeatPlan, seats: Collection[Seat], target: Hashable, movers: Sequence[Seat], idle: Collection[int]
) -> SeatPlan:
    """The plan, with these people moved to the target as far as it has seats."""
    there = _sitting(plan, seats, target)
    going = list({seat.person: seat for seat in reversed(movers) if seat.person not in there}.values())
    going.sort(key=lambda seat: (seat.id in idle, seat.unit))
    begun = [seat for seat in going if seat.id not in idle]
    room = _room(plan, seats, target)
    if room and len(begun) > len(room):
        choice = Choice(begun[0].key, len(begun) - len(room), tuple(begun))
        end = tuple(seat for seat in plan.end if seat not in begun)
        return replace(plan, end=end, undecided=(*plan.undecided, choice))
    return _seated(plan, {place: _taker(seat) for place, seat in zip(room, going, strict=False)})


def _sitting(plan: SeatPlan, seats: Collection[Seat], target: Hashable) -> set[int | None]:
    """Who sits on the target already, once the plan is carried out."""
    stay = [seat for seat in seats if seat.live and seat not in plan.end]
    sitting = {seat.person for seat in (*stay, *plan.revive) if seat.key == target}
    sitting |= {taker.person for seat, taker in plan.take if seat.key == target}
    return sitting | {seat.taker.person for seat in plan.give if seat.taker and seat.key == target}


def _room(plan: SeatPlan, seats: Collection[Seat], target: Hashable) -> list[Seat | NewSeat]:
    """The seats of the target that are open once the plan is carried out."""
    live = [seat for seat in seats if seat.live and seat not in plan.end]
    taken = {seat.id for seat, _ in plan.take}
    there = [seat for seat in (*live, *plan.revive) if seat.person is None and seat.id not in taken]
    room: list[Seat | NewSeat] = list(there)
    room += [seat for seat in plan.give if seat.taker is None]
    return [seat for seat in room if seat.key == target]


def _taker(seat: Seat) -> Taker:
    terms = seat.terms if seat.terms != Terms() else None
    return Taker(int(seat.person or 0), seat.role or Role.ASSIGNED, terms)


def _seated(plan: SeatPlan, takers: Mapping[Seat | NewSeat, Taker]) -> SeatPlan:
    take = tuple((place, taker) for place, taker in takers.items() if isinstance(place, Seat))
    give = tuple(replace(seat, taker=takers[seat]) if seat in takers else seat for seat in plan.give)
    return replace(plan, take=(*plan.take, *take), give=give)


def _replaced(plan: SeatPlan, seats: Collection[Seat], ended: Sequence[Seat], told: Collection[Hashable]) -> SeatPlan:
    """People on seats that end take the open seats that begin, in order; none where they sit already."""
    placed = {seat.taker.person for seat in plan.give if seat.taker}
    placed |= {taker.person for _, taker in plan.take} | {seat.person for seat in plan.revive if seat.person}
    movers = [seat for seat in ended if seat.person not in placed]
    there = {(seat.key, seat.person) for seat in seats if seat.live}
    taken = {seat.id for seat, _ in plan.take}
    again = [seat for seat in plan.revive if seat.person is None and seat.id not in taken]
    takers: dict[Seat | NewSeat, Taker] = {}
    begin: list[Seat | NewSeat] = [*again, *(new for new in plan.give if new.taker is None)]
    for place in begin:
        mover = next((one for one in movers if (place.key, one.person) not in there), None)
        if mover is not None and place.key not in told:
            movers.remove(mover)
            there.add((place.key, mover.person))
            takers[place] = _taker(mover)
    return _seated(plan, takers)
