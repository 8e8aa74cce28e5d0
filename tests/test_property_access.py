"""Whatever happens in the shop, and to the bridge meanwhile: in the end Totara has who is paid for, and nobody else.

Random purchases, payments, refunds, edits and ends are played in the embedded shop, while either system is away, an
answer is lost, the bridge sleeps or crashes, and hints come in any order and twice. A few lines (:meth:`Play.rights`)
read from the shop's own state who may learn what; the bridge's rules are not used for it.

``BRIDGE_EXAMPLES`` asks for so many examples, and other ones each time.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from bridge.sandbox.server import Served
from bridge.sandbox.shop_world import WpError
from bridge.sandbox.stripe import SANDBOX_KEY, Stripe
from bridge.sandbox.stripe_disputes import INQUIRIES, OPEN
from tests.test_story_crash import crashes, world_is_sqlite
from tests.test_story_subscriptions import line_of, tiers
from tests.world import World

T = TypeVar("T")
Right = tuple[str, int]  # an address, and the course that it may learn

MOST_MOVES = 8
DAYS = 25
EVER = datetime(1970, 1, 1, tzinfo=UTC)
PAID = ("processing", "completed")
GUEST = "gus@guest.test"

MEANWHILE = ("nothing", "nothing", "asleep", "shop away", "totara away", "note lost", "answer lost", "crash")


@dataclass(frozen=True)
class Move:
    """Something that happens: ``which`` and ``how`` choose among what there is, ``meanwhile`` is what else goes on."""

    name: str
    which: int
    how: int
    meanwhile: str
    chance: int


class Play:
    """A world in which moves are made, and what follows from the shop's state."""

    def __init__(self, world: World, stripe: Stripe) -> None:
        self.world, self.shop, self.stripe = world, world.shop, stripe
        take = stripe.take  # what costs nothing is not paid
        world.shop.gateway = lambda order, total, money: take(order, total, money) if float(total) else ("", "")
        self.courses = [world.course(code) for code in ("ONE", "TWO", "THREE")]
        one, two, three = self.courses
        self.tiers = tiers(world, ("basic", [one, two]), ("plus", [one, three]))
        self.passes = dict(zip(self.tiers, ([one, two], [one, three]), strict=True))
        self.goods = {world.product(course)["id"]: course for course in self.courses}
        self.timed = world.course("FOUR")
        gives = [{"key": "bridge_gives", "value": f"course:{self.timed}"}, {"key": "bridge_days", "value": str(DAYS)}]
        self.days = self.shop.add_product("For some days", sku="days", price="9.00", meta_data=gives)
        self.customers = {self.shop.add_customer(email): email for email in ("nia@pass.test", "ida@pass.test")}
        self.pending: list[tuple[str, Any]] = []  # what changed, and nobody has told the bridge
        self.had: set[Right] = set()
        self.ever: set[Right] = set()
        self.lapses: Counter[Right] = Counter()
        self.behind = False

    # --- who may learn what ----------------------------------------------------------------------------------------

    def rights(self, *, begun: bool = False) -> set[Right]:
        """Who may learn what, as the shop has it now. ``begun`` leaves out days of which nobody has told the bridge."""
        found = set()
        for order, line in self._paid_lines():
            mine = line["quantity"] == 1 or _is_for_me(line)  # of several units all are open, unless it says so
            if line["product_id"] in self.goods and mine:
                found.add((order["billing"]["email"], self.goods[line["product_id"]]))
        for held in filter(self._stands, self.shop.subscriptions.values()):
            tiers = (line["variation_id"] for line in held["line_items"])
            found |= {(held["billing"]["email"], course) for tier in tiers for course in self.passes[tier]}
        return found | {who for who, end in self.ends(begun=begun).items() if end > self.world.now()}

    def _paid_lines(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Order and line, of every line of which something is paid for."""
        for number, order in self.shop.orders.items():
            back = Counter[int]()
            for line in (line for refund in self.shop.refunds[number] for line in refund["line_items"]):
                of = next(meta["value"] for meta in line["meta_data"] if meta["key"] == "_refunded_item_id")
                back[int(of)] -= line["quantity"]
            for line in order["line_items"] if order["status"] in PAID and self._is_there(order) else ():
                if line["quantity"] > back[line["id"]]:
                    yield order, line

    def ends(self, *, begun: bool = False) -> dict[Right, datetime]:
        """When the days run out that are paid for: they follow one another, from when each could first be used.

        When that was, nobody but the bridge can say; where the days end follows from it without the bridge's rules.
        """
        lines = {row.id: row.line_id for row in self.world.rows("purchases")}
        first = {lines[seat.purchase_id]: seat.begun_at for seat in self.world.rows("seats") if seat.begun_at}
        paid = [(order, line["id"]) for order, line in self._paid_lines() if line["product_id"] == self.days]
        found: dict[Right, datetime] = {}
        for order, line in sorted(paid, key=lambda each: first.get(each[1], self.world.now())):
            if line in first or not begun:
                who = order["billing"]["email"], self.timed
                begin = max(first.get(line, self.world.now()), found.get(who, EVER))
                found[who] = (begin + timedelta(days=DAYS)).replace(microsecond=0)
        return found

    def _stands(self, held: dict[str, Any]) -> bool:
        """Its status stands, no payment of it is disputed, and the newest one was not lost."""
        related = {one for ids in self.shop.related(held["id"]).values() for one in ids}
        paid = [order for one in sorted(related) if (order := self.shop.orders[one])["status"] in (*PAID, "on-hold")]
        paid = [order for order in paid if order["status"] in PAID or order["date_paid"]]
        if (paid and not self._is_there(paid[-1])) or any(self._disputes(order, OPEN) for order in paid):
            return False
        if held["status"] != "pending-cancel":
            return bool(held["status"] == "active")
        return datetime.fromisoformat(held["end_date_gmt"]).replace(tzinfo=UTC) > self.world.now()

    def _is_there(self, order: dict[str, Any]) -> bool:
        """Whether the money for an order is there: nothing was to be paid, it goes another way, or Stripe has it."""
        if order["payment_method"] != "stripe" or not float(order["total"]):
            return True
        return self._charge(order) is not None and not self._disputes(order, (*OPEN, "lost"))

    def _charge(self, order: dict[str, Any]) -> dict[str, Any] | None:
        return self.stripe.objects.get(order["transaction_id"])

    def _disputes(self, order: dict[str, Any], statuses: Collection[str]) -> list[dict[str, Any]]:
        all_of_them = self.stripe.every("dispute", self.stripe.live)
        mine = [one for one in all_of_them if one["charge"] == order["transaction_id"]]
        return [one for one in mine if one["status"] in statuses]

    def learning(self) -> set[Right]:
        """Who can learn what, as Totara has it now."""
        totara = self.world.totara
        return {
            (totara.users[user].email.lower(), course)
            for (user, course), held in totara.enrolments.items()
            if held.status == "active" and (held.timeend == 0 or held.timeend > totara.now())
        }

    def unclear(self) -> set[str]:
        """Paid orders whose subscription is in the bin: if it was there at the first look, a person has to say."""
        binned = {held["parent_id"] for held in self.shop.subscriptions.values() if held["status"] == "trash"}
        found = {f"order {one}" for one in binned if self.shop.orders[one]["status"] in PAID}
        # What staff has completed without a payment.
        return found | {f"order {n}" for n, order in self.shop.orders.items() if self._without_payment(order)}

    def _without_payment(self, order: dict[str, Any]) -> bool:
        return order["payment_method"] == "stripe" and float(order["total"]) > 0 and self._charge(order) is None

    # --- moves -----------------------------------------------------------------------------------------------------

    def step(self, move: Move) -> None:
        """One move, and the bridge's answer to it."""
        before = self._state()
        with suppress(WpError):  # what the shop does not let its staff do
            getattr(self, f"_{move.name}")(move.which, move.how)
        self.pending += [thing for thing, state in self._state().items() if before.get(thing) != state]
        now = self.rights(begun=True)  # days that ended while nobody had told of others did end
        self.lapses.update(self.had - now)
        self.ever |= self.rights()
        self.had = now
        self._answer(move.meanwhile, random.Random(move.chance))
        self.had |= self.rights(begun=True)  # days may have begun only now

    def _state(self) -> dict[tuple[str, Any], str]:
        state = {("order", one): repr((order, self.shop.refunds[one])) for one, order in self.shop.orders.items()}
        state |= {("subscription", one): repr(held) for one, held in self.shop.subscriptions.items()}
        disputes = self.stripe.every("dispute", self.stripe.live)
        return state | {("payment", one["charge"]): repr(one) for one in disputes}

    def _buy(self, which: int, how: int) -> None:
        """One or two courses: one unit, two units for whomever, or one for oneself that may become more."""
        courses = list(self.goods)[which % 3 :][: 1 + how % 2]
        kind = ("one", "two", "me", "one", "me", "one")[how]
        line: dict[str, Any] = {"quantity": 2 if kind == "two" else 1}
        if kind == "me":
            line["meta"] = {"_bridge_for": "me"}
        who: dict[str, Any] = {"email": GUEST}
        if kind == "me":  # another way to pay: what staff edits afterwards would not fit a payment by Stripe
            who["method"] = ("ppcp-gateway", "PayPal")
        if which < 4:
            customer = list(self.customers)[which % 2]
            who = {"customer_id": customer, "email": self.customers[customer]}
        self.shop.place_order([{"product_id": product, **line} for product in courses], **who)

    def _days(self, which: int, how: int) -> None:
        """Some days of a course, and soon more of them."""
        customer = list(self.customers)[which % 2]
        for _ in range(1 + how % 2):
            self.shop.place_order([(self.days, 1)], customer_id=customer, email=self.customers[customer])

    def _take_back(self, which: int, _how: int) -> None:
        """A refund was a mistake: it is deleted, of which nobody is told, and the order is complete."""
        if refunded := [one for one, refunds in self.shop.refunds.items() if refunds]:
            one = _pick(refunded, which)
            self.shop.delete_refund(one, self.shop.refunds[one][0]["id"])
            self.shop.set_status(one, "completed")

    def _subscribe(self, which: int, how: int) -> None:
        customer = list(self.customers)[which % 2]
        self.shop.place_order(
            [(self.tiers[how % 2], 1)],
            customer_id=customer,
            email=self.customers[customer],
            payment="declined" if how == 5 else "card",
        )

    def _renew(self, which: int, how: int) -> None:
        if one := self._subscription(which, "active"):
            self.shop.renew(one, ("card", "declined")[how % 2], early=how == 4)

    def _pay(self, which: int, _how: int) -> None:
        if one := self._order(which, "failed", "pending", "on-hold"):
            self.shop.pay_order(one)

    def _refund(self, which: int, how: int) -> None:
        if one := self._order(which, *PAID):
            lines = [line for line in self.shop.orders[one]["line_items"] if line["quantity"] == 1 or _is_for_me(line)]
            if lines:
                self.shop.refund(one, lines={_pick(lines, how)["id"]: 1})

    def _set(self, which: int, how: int) -> None:
        """A status by hand; "completed" also of what was cancelled or refunded before."""
        if one := self._order(which):
            wanted = ("cancelled", "completed", "on-hold", "completed", "refunded", "cancelled")[how]
            self.shop.set_status(one, wanted)

    def _bin(self, which: int, _how: int) -> None:
        """Into the bin, with the subscriptions that it began, or out of it, without them."""
        if one := self._order(which, "trash"):
            self.shop.restore_order(one)
        elif one := self._order(which):
            self.shop.trash_order(one)

    def _edit(self, which: int, how: int) -> None:
        """Another quantity of a line of which the buyer has one in any case."""
        mine = [(n, line) for n, o in self.shop.orders.items() for line in o["line_items"] if _is_for_me(line)]
        if mine:
            one, line = _pick(mine, which)
            self.shop.edit_line(one, line["id"], 1 + how % 3)

    def _dispute(self, which: int, how: int) -> None:
        """A buyer's bank takes the money back, only asks, decides for the shop, or for the buyer."""
        paid = [order for order in self.shop.orders.values() if self._charge(order) is not None]
        if not paid:
            return
        order = _pick(paid, which)
        undecided = self._disputes(order, (*OPEN, *INQUIRIES))
        if not undecided and not self._disputes(order, ("won", "lost", "warning_closed")):
            self.stripe.dispute(order["transaction_id"], inquiry=how == 5)
        for dispute in undecided:
            if how % 2 or dispute["status"] in INQUIRIES:
                self.stripe.win(dispute["id"])
            else:
                self.stripe.lose(dispute["id"])

    def _leave(self, which: int, how: int) -> None:
        """A subscription is cancelled, by the customer or at once, put on hold, or goes on."""
        if one := self._subscription(which, "active", "on-hold", "pending-cancel"):
            if how < 3:
                self.shop.cancel_subscription(one)
            else:
                self.shop.change_subscription(one, ("cancelled", "on-hold", "active")[how - 3])

    def _switch(self, which: int, _how: int) -> None:
        if one := self._subscription(which, "active"):
            has = self.shop.subscriptions[one]["line_items"][0]["variation_id"]
            other = next(tier for tier in self.tiers if tier != has)
            self.shop.switch(one, line_of(self.world, one), other)

    def _wait(self, which: int, how: int) -> None:
        """Days go by, and the shop does what it does by itself, or its scheduler hangs."""
        self.world.clock.advance(days=(1, 20, 32)[which % 3])
        if how:
            self.shop.run_schedule("declined" if how == 1 else "card")

    def _order(self, which: int, *statuses: str) -> int:
        found = [n for n, order in self.shop.orders.items() if not statuses or order["status"] in statuses]
        return _pick(found or [0], which)

    def _subscription(self, which: int, *statuses: str) -> int:
        found = [n for n, held in self.shop.subscriptions.items() if held["status"] in statuses]
        return _pick(found or [0], which)

    # --- what the bridge makes of it -------------------------------------------------------------------------------

    def _answer(self, meanwhile: str, chance: random.Random) -> None:
        if meanwhile == "asleep":
            self.behind = True
            return
        self.world.pass_time()
        self._hint(chance)
        shop, totara = self.shop.faults, self.world.totara.faults
        faults: Mapping[str, Callable[[], None]] = {
            "shop away": shop.down,
            "totara away": totara.down,
            "note lost": lambda: shop.cut("POST", times=1 + chance.randrange(2)),
            "answer lost": lambda: totara.cut(times=1 + chance.randrange(4)),
        }
        if meanwhile in faults:
            faults[meanwhile]()
        if meanwhile == "crash" and not self.behind:
            crashes(self.world, 1 + chance.randrange(60))
        else:
            self.world.settle()
        shop.clear()
        totara.clear()
        self.behind = False

    def _hint(self, chance: random.Random) -> None:
        """What changed, some of what did not, and the learners, in any order and twice.

        Where the bridge has missed several moves, learners come last, and it does not crash: a right that has gone
        over from one order to another meanwhile would look as lapsed to whoever has only heard of the one.
        """
        others = [thing for thing in self._state() if chance.random() < 0.3]
        learners = [("learner", row.id) for row in self.world.rows("persons") if chance.random() < 0.5]
        told = 2 * (self.pending + others)
        groups = [told, 2 * learners] if self.behind else [told + 2 * learners]
        for group in groups:
            chance.shuffle(group)
            for kind, key in group:
                self.world.owe(kind, key)
        self.pending = []

    def rest(self) -> None:
        """Nothing happens any more, until nothing is due. What waits for its day, days ahead, goes on to wait."""
        self._answer("nothing", random.Random(0))
        for _ in range(30):
            self.world.pass_time()
            self.world.settle()
            soon = self.world.now() + timedelta(minutes=1)
            if not any(row.due_at is not None and row.due_at < soon for row in self.world.rows("work")):
                return
        pytest.fail("there is always something due")


def _is_for_me(line: dict[str, Any]) -> bool:
    return any(meta["key"] == "_bridge_for" for meta in line["meta_data"])


def _pick(among: Sequence[T], which: int) -> T:
    return among[which % len(among)]


BEGINNINGS = ("buy", "subscribe", "days")
ENDS = ("refund", "refund", "take_back", "set", "set", "bin", "leave")
NAMES: tuple[str, ...] = (
    *BEGINNINGS,
    *BEGINNINGS,
    *ENDS,
    "renew",
    "pay",
    "edit",
    "switch",
    "wait",
    "wait",
    "dispute",
    "dispute",
)


def moves(names: Collection[str]) -> st.SearchStrategy[Move]:
    """One of these moves."""
    few = st.integers(0, 5)
    return st.builds(Move, st.sampled_from(list(names)), few, few, st.sampled_from(MEANWHILE), st.integers(0, 999))


#: Two that begin something, so that the others have what to choose among.
STORIES = st.tuples(
    st.lists(moves(BEGINNINGS), min_size=2, max_size=2), st.lists(moves(NAMES), min_size=4, max_size=MOST_MOVES - 2)
).map(lambda parts: parts[0] + parts[1])


def told(*moves: tuple[str, int, int, str]) -> list[Move]:
    """A story that is always played, so that each kind of move is, however few examples there are."""
    return [Move(*move, chance) for chance, move in enumerate(moves)]


LINES = told(
    ("buy", 3, 3, "nothing"),
    ("subscribe", 0, 0, "answer lost"),
    ("refund", 0, 0, "note lost"),
    ("switch", 0, 0, "crash"),
    ("buy", 5, 2, "totara away"),
    ("edit", 0, 1, "asleep"),
    ("refund", 2, 0, "nothing"),
    ("edit", 0, 0, "shop away"),
)
RENEWALS = told(
    ("subscribe", 0, 5, "asleep"),
    ("pay", 0, 0, "nothing"),
    ("renew", 0, 4, "nothing"),
    ("renew", 0, 1, "totara away"),
    ("pay", 0, 0, "crash"),
    ("leave", 0, 0, "shop away"),
    ("wait", 1, 2, "nothing"),
    ("wait", 2, 0, "nothing"),
)
DISPUTED = told(
    ("subscribe", 0, 0, "nothing"),
    ("dispute", 0, 0, "asleep"),
    ("renew", 0, 1, "nothing"),
    ("dispute", 0, 0, "crash"),
    ("pay", 0, 0, "nothing"),
    ("dispute", 1, 1, "shop away"),
    ("buy", 5, 0, "nothing"),
    ("dispute", 2, 5, "nothing"),
)
BINNED = told(
    ("subscribe", 0, 0, "asleep"),
    ("bin", 0, 0, "asleep"),
    ("bin", 0, 0, "nothing"),
    ("subscribe", 1, 0, "nothing"),
    ("bin", 1, 0, "crash"),
    ("bin", 0, 0, "shop away"),
)
ONE_AFTER_THE_OTHER = told(
    ("buy", 0, 0, "nothing"),
    ("buy", 0, 0, "asleep"),
    ("set", 0, 0, "nothing"),
    ("set", 1, 4, "crash"),
    ("set", 0, 1, "answer lost"),
    ("bin", 0, 0, "shop away"),
    ("bin", 0, 0, "nothing"),
    ("buy", 0, 1, "crash"),
)
DAY_BY_DAY = told(
    ("days", 0, 1, "nothing"),
    ("wait", 1, 0, "nothing"),
    ("days", 0, 0, "answer lost"),
    ("refund", 0, 0, "nothing"),
    ("take_back", 0, 0, "totara away"),
    ("refund", 1, 0, "crash"),
    ("wait", 2, 0, "nothing"),
    ("set", 2, 0, "nothing"),
)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_whatever_happened_totara_has_who_is_paid_for_and_nobody_lost_what_was(
    make_world: Callable[..., World], database: str, reset_database: Callable[[], None]
) -> None:
    asked = os.environ.get("BRIDGE_EXAMPLES", "")
    few = 12 if database.startswith("sqlite") else 3

    @settings(
        max_examples=int(asked or few),
        deadline=None,
        derandomize=not asked,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(STORIES)
    @example(LINES)
    @example(RENEWALS)
    @example(BINNED)
    @example(DISPUTED)
    @example(ONE_AFTER_THE_OTHER)
    @example(DAY_BY_DAY)
    def play(story: list[Move]) -> None:
        reset_database()
        stripe = Stripe()
        with Served(stripe.app) as served:
            config = {"secret_key": SANDBOX_KEY, "url": served.url, "webhook_secrets": ["whsec_" + "s" * 32]}
            world = make_world(subscriptions=True, stripe=config, orders={"grace_days": 0})
            assert world_is_sqlite(world) == database.startswith("sqlite")
            try:
                _ends_well(Play(world, stripe), story)
            finally:
                world.close()

    play()


def _ends_well(play: Play, story: list[Move]) -> None:
    for move in story:
        play.step(move)
    play.rest()
    world = play.world
    assert play.learning() == play.rights()
    assert play.rights() <= set(world.access()) <= play.ever
    assert set(world.parked()) <= play.unclear()
    held = {
        (world.totara.users[user].email.lower(), course): it for (user, course), it in world.totara.enrolments.items()
    }
    for who, end in play.ends().items():
        assert end <= world.now() or held[who].timeend == end.timestamp()
    # Nobody's access was interrupted more often than the right to it.
    assert Counter(world.suspensions) <= play.lapses
