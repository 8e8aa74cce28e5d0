"""What an order pays for: the shop's order as a plain value, and the plan that turns it into seats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Line:
    """One line item. ``product_id`` is 0 and ``sku`` "" once the product has been deleted; the name stays."""

    id: int
    name: str
    product_id: int
    variation_id: int
    quantity: int
    sku: str = ""


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who ordered. ``customer_id`` is 0 for a guest, of whom we then know nothing but what was typed."""

    customer_id: int
    email: str
    first_name: str = ""
    last_name: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the shop tells it now. ``modified`` is UTC, in whole seconds."""

    id: int
    status: str
    buyer: Buyer
    lines: tuple[Line, ...]
    modified: datetime
    paid_at: datetime | None = None
    payment_method: str = ""


#: More seats than this on one line are a mistake, or an attempt to drown us.
MOST_UNITS = 5_000


class Standing(StrEnum):
    """What an order's status means for access."""

    PAYS = "pays"
    WAITS = "waits"  # not paid (yet), or under review: gives nothing new, takes nothing away
    ENDED = "ended"


#: Statuses after which nothing is paid for any more.
ENDING = frozenset({"cancelled", "refunded", "failed", "trash"})


def standing(order: Order, paid_statuses: Collection[str], *, unconfirmed_cash_pays: bool) -> Standing:
    """Does the order pay for its seats now?

    WooCommerce sets cash on delivery to ``processing`` at once, without a payment date: whether that counts is the
    organisation's decision. ``completed`` always counts: somebody has closed the order by hand.
    """
    if order.status in ENDING:
        return Standing.ENDED
    if order.status not in paid_statuses:
        return Standing.WAITS
    unconfirmed = order.payment_method == "cod" and order.paid_at is None and order.status != "completed"
    return Standing.WAITS if unconfirmed and not unconfirmed_cash_pays else Standing.PAYS


@dataclass(frozen=True, slots=True)
class Gives:
    """A line and the course it gives; ``course_id`` is None for a line that gives no course (a book, a webinar)."""

    line: Line
    course_id: int | None


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A line of which nobody can tell what it gives."""

    line: Line
    reason: str


def resolve(
    line: Line, *, remembered: Mapping[int, int | None], by_product: Mapping[int, int], by_sku: int | str | None
) -> Gives | Unresolved:
    """What a line gives: as remembered from an earlier look at it, else by its variation, its product, or its SKU.

    ``remembered`` maps line ids (None: it gave no course then), ``by_product`` product and variation ids; ``by_sku``
    is what the line's SKU says.
    """
    if line.quantity > MOST_UNITS:
        return Unresolved(line, f"line {line.id} is of {line.quantity} units: more than {MOST_UNITS} need a person")
    if (course_id := remembered.get(line.id)) is not None:
        return Gives(line, course_id)
    for product_id in (line.variation_id, line.product_id):
        if product_id and product_id in by_product:
            return Gives(line, by_product[product_id])
    if isinstance(by_sku, str):
        return Unresolved(line, f"line {line.id} ({line.name!r}) has the SKU {line.sku!r}, which is no course's")
    if by_sku is None and not line.product_id and line.id not in remembered:
        return Unresolved(
            line,
            f"line {line.id} ({line.name!r}) is of a product that was deleted before the bridge saw the order",
        )
    return Gives(line, by_sku)


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat in the ledger: one unit of one line."""

    line_id: int
    unit: int
    course_id: int
    taken: bool
    live: bool


@dataclass(frozen=True, slots=True)
class SeatPlan:
    """The difference between the seats an order pays for and those it has. Empty when there is none."""

    give: tuple[Seat, ...] = ()
    take: tuple[Seat, ...] = ()  # open ones that the buyer sits on after all
    revive: tuple[Seat, ...] = ()
    end: tuple[Seat, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.give or self.take or self.revive or self.end)


def plan_seats(stands: Standing, gives: Sequence[Gives], seats: Collection[Seat]) -> SeatPlan:
    """Which seats to give, to give back, or to end.

    A buyer of one unit of a course takes the seat at once; of several, all stay open to be given away. Units are
    counted over the whole order, since one course may stand on two lines. A seat once taken stays with its person; an
    open one is the buyer's when an order of several is reduced to one.
    Nothing changes while an order waits.
    """
    if stands is Standing.WAITS:
        return SeatPlan()
    units: Counter[int] = Counter()
    wanted: dict[tuple[int, int], tuple[int, bool]] = {}
    if stands is Standing.PAYS:
        for gift in gives:
            if gift.course_id is not None and gift.line.quantity > 0:
                units[gift.course_id] += gift.line.quantity
        for gift in gives:
            if gift.course_id is not None:
                for unit in range(1, gift.line.quantity + 1):
                    wanted[gift.line.id, unit] = (gift.course_id, units[gift.course_id] == 1)
    have = {(seat.line_id, seat.unit): seat for seat in seats}
    return SeatPlan(
        give=tuple(
            Seat(line, unit, course, taken, True)
            for (line, unit), (course, taken) in wanted.items()
            if (line, unit) not in have
        ),
        take=tuple(seat for key, seat in have.items() if key in wanted and wanted[key][1] and not seat.taken),
        revive=tuple(seat for key, seat in have.items() if key in wanted and not seat.live),
        end=tuple(seat for key, seat in have.items() if key not in wanted and seat.live),
    )
