"""What an order or a subscription pays for: the shop's things as values, and the plan that turns them into seats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from bridge.domain.offers import ForWhom, Item, Offer
from bridge.domain.seats import Wait

# --- the shop's things -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One line item. ``product_id`` is 0 and ``sku`` "" once the product has been deleted; the name stays.

    ``bundled_by`` is the line of the bundle that this one belongs to, 0 for none (the Product Bundles extension).
    """

    id: int
    name: str
    product_id: int
    variation_id: int
    quantity: int
    sku: str = ""
    bundled_by: int = 0
    meta: Mapping[str, str] = field(default_factory=dict)

    @property
    def product(self) -> tuple[int, int]:
        """The product and its variation."""
        return self.product_id, self.variation_id


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who ordered. ``customer_id`` is 0 for a guest, of whom we then know nothing but what was typed."""

    customer_id: int
    email: str
    first_name: str = ""
    last_name: str = ""
    language: str = ""
    company: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the shop tells it now. ``modified`` is UTC, in whole seconds; ``total`` is as the shop writes it.

    ``transaction`` is what the payment is called by whoever took it. ``refunds`` counts those there are.
    """

    id: int
    status: str
    buyer: Buyer
    lines: tuple[Line, ...]
    modified: datetime
    paid_at: datetime | None = None
    payment_method: str = ""
    total: str = "0"
    currency: str = ""
    transaction: str = ""
    refunds: int = 0
    renews: int = 0  # the subscription that this order renews, 0 for none
    switches: int = 0  # the subscription in which it changed a line for another
    number: str = ""  # what the shop calls it to people, where a plugin counts otherwise


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back. ``units`` says of which lines how many; empty when it is an amount only."""

    id: int
    amount: str
    units: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as the shop tells it now. ``recipient_id`` is the customer it was given to, 0 for none."""

    id: int
    status: str
    buyer: Buyer
    lines: tuple[Line, ...]
    modified: datetime
    ends: datetime | None = None
    recipient_id: int = 0
    parent_id: int = 0  # the order it began with


#: The line meta in which the shop writes for whom it was bought: "me" or "team".
FOR_WHOM_META = "_bridge_for"

#: More seats than this on one line are a mistake, or an attempt to drown us.
MOST_SEATS = 5_000

# --- what a status means ---------------------------------------------------------------------------------------------


class Standing(StrEnum):
    """What the state of an order or a subscription means for access."""

    PAYS = "pays"
    WAITS = "waits"  # not paid (yet): gives nothing new, takes nothing away
    GRACE = "grace"  # was paid, and is not by now: what there is stays for some days
    HELD = "held"  # in dispute: what there is rests until that is over
    ENDED = "ended"

    @property
    def gives(self) -> bool:
        """Whether new seats are given."""
        return self is Standing.PAYS


#: Statuses after which nothing is paid for any more.
ENDING = frozenset({"cancelled", "refunded", "failed", "trash"})


def standing(
    order: Order, paid_statuses: Collection[str], *, unconfirmed_cash_pays: bool, was_paid: bool = False
) -> Standing:
    """Does the order pay for its seats now?

    WooCommerce sets cash on delivery to ``processing`` at once, without a payment date: whether that counts is the
    organisation's decision. ``completed`` always counts: somebody has closed the order by hand. An order that was
    paid, as the shop tells or as ``was_paid`` remembers, and is on hold again may be under review.
    """
    if order.status in ENDING:
        return Standing.ENDED
    if order.status not in paid_statuses:
        lapsed = order.status in ("on-hold", "pending") and (order.paid_at is not None or was_paid)
        return Standing.GRACE if lapsed else Standing.WAITS
    unconfirmed = order.payment_method == "cod" and order.paid_at is None and order.status != "completed"
    return Standing.WAITS if unconfirmed and not unconfirmed_cash_pays else Standing.PAYS


_SUBSCRIBED = {
    "active": Standing.PAYS,
    "pending-cancel": Standing.PAYS,  # to its end
    "on-hold": Standing.GRACE,
    "cancelled": Standing.ENDED,
    "expired": Standing.ENDED,
    "switched": Standing.ENDED,
    "trash": Standing.ENDED,
}


def subscribed(subscription: Subscription) -> Standing:
    """Does the subscription pay for its seats now? The status tells, never the dates."""
    return _SUBSCRIBED.get(subscription.status, Standing.WAITS)


@dataclass(frozen=True, slots=True)
class Paying:
    """An order that pays for a subscription, as it was last seen: what it stands for, and what is wrong with its
    payment.
    """

    stands: Standing
    trouble: str = ""

    @property
    def pays(self) -> bool:
        """Whether its payment was seen to be there."""
        return self.stands in (Standing.PAYS, Standing.GRACE, Standing.HELD)


def subscribed_and_paid(stands: Standing, orders: Sequence[Paying], *, had: bool) -> tuple[Standing, str]:
    """What a subscription pays for, by its status and by what became of its payments (the newest first), and why.

    An open dispute of any of its payments suspends. Otherwise the newest payment counts, since it is for the time that
    runs now: lost, it ends what it paid for; not confirmed, it gives nothing, and whoever ``had`` access gets the days
    of grace that any late renewal gets. The reason is "" where the status alone decides.
    """
    if stands not in (Standing.PAYS, Standing.GRACE):
        return stands, ""
    disputed = next((order for order in orders if order.stands is Standing.HELD), None)
    if disputed is not None:
        return Standing.HELD if had else Standing.WAITS, disputed.trouble
    newest = next((order for order in orders if order.trouble or order.pays), None)
    if newest is None or newest.pays:
        return stands, ""
    if newest.stands is Standing.ENDED:
        return Standing.ENDED, newest.trouble
    return Standing.GRACE if had else Standing.WAITS, newest.trouble


# --- what a line gives -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gives:
    """A line and its offer."""

    line: Line
    offer: Offer


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A line of which nobody can tell what it gives."""

    line: Line
    reason: str


def paid_units(lines: Sequence[Line], refunds: Collection[Refund]) -> dict[int, int]:
    """Line id -> units paid for and not refunded.

    A line that belongs to a bundle has no more than its share of what is left of the bundle: where the bundle has the
    price, only the bundle's line is refunded.
    """
    back: Counter[int] = Counter()
    for refund in refunds:
        back.update(refund.units)
    left = {line.id: max(line.quantity - back[line.id], 0) for line in lines}
    by_id = {line.id: line for line in lines}
    for line in lines:
        bundle = by_id.get(line.bundled_by)
        if bundle is not None and bundle.quantity > 0:
            left[line.id] = min(left[line.id], line.quantity * left[bundle.id] // bundle.quantity)
    return left


def without_repeats(gives: Sequence[Gives], settled: Collection[int] = ()) -> list[Gives]:
    """The same, with nothing given twice within one bundle, by its own line or by those that belong to it.

    What two of them give stays with the bundle's own line, else with the one that gives the most seats of it. Lines
    that were sold so before (``settled``) stay as they are.
    """
    bundles = _bundles(gives)
    places = {gift.line.id: n for n, gift in enumerate(gives)}

    def first(gift: Gives) -> tuple[bool, bool, int, int]:
        line = gift.line
        return line.id not in settled, line.bundled_by in places, -line.quantity * gift.offer.seats, places[line.id]

    given: dict[int, set[Item]] = {bundle: set() for bundle in bundles.values()}
    found: dict[int, Gives] = {}
    for gift in sorted(gives, key=first):
        before = given[bundles[gift.line.id]]
        kept = gift.line.id in settled
        found[gift.line.id] = gift if kept else replace(gift, offer=gift.offer.without(before))
        before.update(gift.offer.items)
    return [found[gift.line.id] for gift in gives]


def _bundles(gives: Sequence[Gives]) -> dict[int, int]:
    """Line -> the line of its bundle, or itself; the bundle's line itself need not be among them."""
    return {gift.line.id: gift.line.bundled_by or gift.line.id for gift in gives}


# --- seats -----------------------------------------------------------------------------------------------------------


class Role(StrEnum):
    """As whom somebody came to sit on a seat."""

    BUYER = "buyer"
    RECIPIENT = "recipient"
    ASSIGNED = "assigned"


@dataclass(frozen=True, slots=True)
class Terms:
    """How a seat was given to whoever sits there by a team: what it waits for ("" for nothing), until when an answer is
    taken, how often the seat was given, since when it was taken, and what was picked.
    """

    waits: str = ""
    answer_until: datetime | None = None
    times: int = 0
    taken: datetime | None = None
    picked: Item | None = None


@dataclass(frozen=True, slots=True)
class Taker:
    """Somebody who is to sit on a seat; ``terms`` are those on which they sit on the seat that they come from."""

    person: int
    role: Role
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat in the ledger: one unit of one purchase. ``key`` tells which; ``person`` is None while it is open."""

    id: int
    key: Hashable
    unit: int
    person: int | None
    live: bool
    role: Role | None = None
    ended: datetime | None = None
    terms: Terms = Terms()


@dataclass(frozen=True, slots=True)
class Want:
    """How many seats one purchase pays for, and who is to sit on the first of them."""

    key: Hashable
    seats: int
    takers: tuple[Taker, ...] = ()


@dataclass(frozen=True, slots=True)
class NewSeat:
    """A seat to be given; open without a taker."""

    key: Hashable
    unit: int
    taker: Taker | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Seats of which ``count`` have to go, and all of them are in use: which, is for a person to say."""

    key: Hashable
    count: int
    among: tuple[Seat, ...]


@dataclass(frozen=True, slots=True)
class SeatPlan:
    """The difference between the seats that are paid for and those there are. Empty when there is none."""

    give: tuple[NewSeat, ...] = ()
    take: tuple[tuple[Seat, Taker], ...] = ()  # open ones on which somebody sits after all
    revive: tuple[Seat, ...] = ()
    end: tuple[Seat, ...] = ()
    undecided: tuple[Choice, ...] = ()

    @property
    def changes(self) -> tuple[tuple[object, ...], ...]:
        """What it would change: given, taken, revived, ended."""
        return self.give, self.take, self.revive, self.end

    @property
    def uses(self) -> bool:
        """Whether seats go, or have to, that somebody has."""
        return bool(self.undecided) or any(seat.person is not None for seat in self.end)

    def __bool__(self) -> bool:
        return any(self.changes)


def plan_seats(
    wants: Collection[Want],
    seats: Collection[Seat],
    *,
    grow: bool = True,
    idle: Collection[int] = (),
) -> SeatPlan:
    """Which seats to give, to give back, or to end.

    Seats that are too many go in this order: open ones, those that wait for an answer, those that wait for a yes, those
    of people who never began (``idle``, by seat id), then those in use, of which all go or none: to pick one is for a
    person. Seats given back are those that were taken, first, and of these the last to end: what a person chose to go
    stays away when the rest comes back. A seat once taken stays with its person. Without ``grow`` nothing new is given.
    """
    plans = [_plan_one(key, wants, seats, grow, idle) for key in _keys(wants, seats)]
    return SeatPlan(*(tuple(x for plan in plans for x in getattr(plan, name)) for name in SeatPlan.__slots__))


def _keys(wants: Collection[Want], seats: Collection[Seat]) -> list[Hashable]:
    return list(dict.fromkeys([*(want.key for want in wants), *(seat.key for seat in seats)]))


def _plan_one(
    key: Hashable, wants: Collection[Want], seats: Collection[Seat], grow: bool, idle: Collection[int]
) -> SeatPlan:
    """The plan for one purchase."""
    want = next((want for want in wants if want.key == key), Want(key, 0))
    mine = sorted((seat for seat in seats if seat.key == key), key=lambda seat: seat.unit)
    live = [seat for seat in mine if seat.live]
    missing = want.seats - len(live) if grow else 0
    if missing <= 0:
        end, undecided = _which_go(key, live, len(live) - want.seats, idle)
        stay = [seat for seat in live if seat not in end]
        return SeatPlan(take=_taken(stay, want.takers) if grow else (), end=end, undecided=undecided)
    revive = sorted((seat for seat in mine if not seat.live), key=_back_first)[:missing]
    there = [*live, *revive]
    take = _taken(there, want.takers)
    seated = {seat.person for seat in there} | {taker.person for _, taker in take}
    waiting = [taker for taker in want.takers if taker.person not in seated]
    first = max((seat.unit for seat in mine), default=0) + 1
    give = [NewSeat(key, first + n, waiting[n] if n < len(waiting) else None) for n in range(missing - len(revive))]
    return SeatPlan(give=tuple(give), take=take, revive=tuple(revive))


def _back_first(seat: Seat) -> tuple[bool, float]:
    return seat.person is None, -seat.ended.timestamp() if seat.ended else 0.0


def _taken(seats: Sequence[Seat], takers: Sequence[Taker]) -> tuple[tuple[Seat, Taker], ...]:
    """Who of the takers has no seat yet, and an open one for each while there are any."""
    seated = {seat.person for seat in seats}
    free = [seat for seat in seats if seat.person is None]
    return tuple(zip(free, [taker for taker in takers if taker.person not in seated], strict=False))


def _which_go(
    key: Hashable, live: Sequence[Seat], count: int, idle: Collection[int]
) -> tuple[tuple[Seat, ...], tuple[Choice, ...]]:
    if count <= 0:
        return (), ()
    if count >= len(live):
        return tuple(live), ()
    free = [seat for seat in reversed(live) if seat.person is None]
    taken = [seat for seat in live if seat.person is not None]
    asked = sorted((seat for seat in reversed(taken) if seat.terms.waits), key=_has_answered)
    begun = [seat for seat in taken if seat.id not in idle and not seat.terms.waits]
    unbegun = [seat for seat in reversed(taken) if seat.id in idle and not seat.terms.waits]
    gone = tuple((*free, *asked, *unbegun)[:count])
    left = count - len(gone)
    return gone, (Choice(key, left, tuple(begun)),) if left else ()


def _has_answered(seat: Seat) -> bool:
    return seat.terms.waits == Wait.APPROVAL


def said_of(line: Line, meta: str, gives: Sequence[Gives]) -> str:
    """What the line's meta says, or else that of the line of its bundle; "" for nothing."""
    bundles = (gift.line for gift in gives if gift.line.id == line.bundled_by)
    return next((word for one in (line, *bundles) if (word := one.meta.get(meta, ""))), "")


def seat_counts(gives: Sequence[Gives], units: Mapping[int, int]) -> dict[int, int]:
    """Line id -> the seats it pays for. A line without items has none."""
    return {gift.line.id: units[gift.line.id] * gift.offer.seats if gift.offer.items else 0 for gift in gives}


def for_one(gift: Gives, gives: Sequence[Gives], counts: Mapping[int, int]) -> bool:
    """Whether the buyer takes the seat of this line.

    What is picked for each seat is nobody's at once. Where the offer does not say, a buyer of one unit takes the seat
    at once; of several, all stay open to be given away. Several are units of one line, and units of lines, or of
    bundles as a whole, that give just the same. Where two give the same only in part, they are two different things,
    and the buyer takes a seat of each. What else the buyer has bought does not count: of two orders, either may be
    heard of first.
    """
    if gift.offer.pick:
        return False
    whom = gift.offer.for_whom
    told = said_of(gift.line, FOR_WHOM_META, gives) if whom is ForWhom.ASK else str(whom)
    if told in ("team", "me", "buyer"):
        return told != "team"
    bundles, wholes = _bundles(gives), _wholes(gives)
    mine = bundles[gift.line.id]
    units = {bundle: 0 for bundle, whole in wholes.items() if whole == wholes[mine]}
    for other in gives:
        if (bundle := bundles[other.line.id]) in units:
            units[bundle] = max(units[bundle], counts[other.line.id])
    return counts[gift.line.id] + sum(units.values()) - units[mine] == 1


def _wholes(gives: Sequence[Gives]) -> dict[int, frozenset[Item]]:
    """Bundle, or line that belongs to none -> all that it gives."""
    wholes: dict[int, frozenset[Item]] = {}
    for gift in gives:
        bundle = gift.line.bundled_by or gift.line.id
        wholes[bundle] = wholes.get(bundle, frozenset()) | set(gift.offer.items)
    return wholes
