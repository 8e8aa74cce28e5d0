"""What lines give: what they were sold with, the operator's file, the products' own meta, the catalogue, the SKU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from sqlalchemy import insert

from bridge.domain.offers import ForWhom, Item, Kind, Offer, Offers, course, read_offers
from bridge.domain.purchases import Buyer, Gives, Line, Subscription, Unresolved
from bridge.errors import Unavailable
from bridge.offering import Offering, ProductShelf, key_of
from bridge.store import ledger
from bridge.store.db import Store
from bridge.store.ledger import Purchase, Source
from bridge.store.models import products
from bridge.woo_client import WooClient
from bridge.woo_rows import ProductFacts

THEN = datetime(2026, 11, 23, tzinfo=UTC)
ORDER, SUBSCRIPTION = Source("order", 1001), Source("subscription", 2001)


class Shop:
    """A shop that knows what its products say of themselves, and remembers what it was asked."""

    def __init__(self) -> None:
        self.products: dict[int, ProductFacts] = {}
        self.variations: dict[tuple[int, int], ProductFacts] = {}
        self.asked: list[Any] = []
        self.down = False

    def says(self, product: int, variation: int = 0, *, type: str = "simple", **meta: str) -> None:
        words = {f"bridge_{name.rstrip('_')}": value for name, value in meta.items()}
        if variation:
            self.variations[product, variation] = ProductFacts(variation, meta=words)
        else:
            self.products[product] = ProductFacts(product, type, meta=words)

    def _answer(self, question: Any) -> None:
        self.asked.append(question)
        if self.down:
            raise Unavailable("the shop is down", system="shop")

    def product_facts(self, product_ids: Iterable[int]) -> dict[int, ProductFacts]:
        wanted = sorted(product_ids)
        self._answer(wanted)
        return {one: self.products[one] for one in wanted if one in self.products}

    def variation_facts(self, product_id: int, variation_id: int) -> ProductFacts | None:
        self._answer((product_id, variation_id))
        return self.variations.get((product_id, variation_id))


@pytest.fixture
def shop() -> Shop:
    return Shop()


class Counter:
    """Tells what lines give, with the file and the memory that a test wants."""

    def __init__(self, store: Store, shop: Shop, offers: Offers) -> None:
        self.offering = Offering(store, cast(WooClient, shop), offers)

    def of(
        self,
        *lines: Line,
        source: Source = ORDER,
        known: Iterable[Purchase] = (),
        subscriptions: Iterable[Subscription] | None = (),
        follows: bool = False,
        given: bool = True,
    ) -> list[Gives | Unresolved]:
        told = None if subscriptions is None else list(subscriptions)
        gives, unresolved = self.offering.of(source, lines, list(known), told, given=given, follows=follows)
        return [*gives, *unresolved]

    def offer(self, one: Line, **more: Any) -> Offer:
        (found,) = self.of(one, **more)
        assert isinstance(found, Gives), found
        assert found.line == one
        return found.offer

    def reason(self, one: Line, **more: Any) -> str:
        (found,) = self.of(one, **more)
        assert isinstance(found, Unresolved), found
        assert found.line == one
        return found.reason


@pytest.fixture
def counter(store: Store, shop: Shop) -> Counter:
    return Counter(store, shop, read_offers(FILE))


FILE = """
may_sell = ["audience:5"]
[[offer]]
product = 200
gives = ["course:20"]
[[offer]]
product = 201
gives = ["course:21"]
[[offer]]
sku = "pack"
gives = ["course:22"]
[[offer]]
product = 299
gives = []
"""


def sold(store: Store, course_id: int, product_id: int) -> None:
    """A product of the catalogue's own."""
    with store.begin() as connection:
        row = {"course_id": course_id, "product_id": product_id, "sent": {}, "seen": {}, "held": {}}
        connection.execute(insert(products), row)


def line(product: int = 50, variation: int = 0, *, number: int = 1, **more: Any) -> Line:
    return Line(number, "First steps", product, variation, more.pop("quantity", 1), more.pop("sku", ""), **more)


def seen(key: Any, offer: Offer, *, line_id: int = 1) -> Purchase:
    return Purchase(9, line_id, key, offer, 1, 1, None, None, None, None)


def gives(*numbers: int) -> Offer:
    return Offer(tuple(map(course, numbers)))


# --- in which order ------------------------------------------------------------------------------------------------


def test_a_line_gives_what_it_gave_when_it_was_first_seen(counter: Counter, shop: Shop, store: Store) -> None:
    sold(store, 30, 200)
    shop.says(200, gives="course:40")
    kept = replace(gives(7), days=30, for_whom=ForWhom.TEAM)
    assert counter.offer(line(200, sku="totara-course-9"), known=[seen(1, kept)]) == kept
    assert shop.asked == []


def test_then_the_operators_file_tells(counter: Counter, shop: Shop, store: Store) -> None:
    sold(store, 30, 200)
    shop.says(200, gives="course:40")
    assert counter.offer(line(200, sku="totara-course-9")) == gives(20)
    assert counter.offer(line(200, 201)) == gives(21), "of the variation, before its product"
    assert counter.offer(line(50, sku="PACK")) == gives(22)
    assert counter.offer(line(299, sku="totara-course-9")) == Offer(), "and that it gives nothing, too"
    assert shop.asked == [[200], [50], [299]], "no more than whether they are subscriptions, and that once"
    shop.asked.clear()
    assert counter.offer(line(201), source=SUBSCRIPTION) == gives(21)
    assert shop.asked == [], "of a subscription that is no question"


def test_then_the_meta_of_the_variation_and_then_of_its_product(counter: Counter, shop: Shop, store: Store) -> None:
    sold(store, 30, 50)
    shop.says(50, gives="course:40", days="30")
    shop.says(50, 51, gives="course:41")
    assert counter.offer(line(50, sku="totara-course-9")) == replace(gives(40), days=30)
    assert counter.offer(line(50, 51, sku="totara-course-9")) == replace(gives(41), days=30)
    assert counter.offer(line(50, 52)) == replace(gives(40), days=30), "of a variation that says nothing"


def test_meta_that_was_emptied_says_nothing(counter: Counter, shop: Shop) -> None:
    shop.says(50, gives="course:40", days="30")
    shop.says(50, 51, gives=" ", days="")
    assert counter.offer(line(50, 51)) == replace(gives(40), days=30)


def test_then_the_catalogues_product_and_then_the_sku(counter: Counter, shop: Shop, store: Store) -> None:
    sold(store, 30, 50)
    sold(store, 31, 51)
    shop.says(50)
    assert counter.offer(line(50, sku="totara-course-9")) == gives(30)
    assert counter.offer(line(50, 51, sku="totara-course-9")) == gives(31)
    assert counter.offer(line(60, sku="totara-course-9")) == gives(9)
    assert counter.offer(line(60, 61, sku="totara-course-9-large")) == gives(9)


def test_meta_may_say_only_how_the_catalogues_course_is_given(counter: Counter, shop: Shop, store: Store) -> None:
    sold(store, 30, 50)
    shop.says(50, days="30", for_="team")
    shop.says(60, seats="5")
    assert counter.offer(line(50)) == replace(gives(30), days=30, for_whom=ForWhom.TEAM)
    assert counter.offer(line(60, sku="totara-course-9")) == replace(gives(9), seats=5)


def test_a_book_gives_nothing_and_nobody_is_troubled(counter: Counter, shop: Shop) -> None:
    shop.says(50)
    assert counter.offer(line(50, sku="book")) == Offer()
    assert counter.offer(line(70)) == Offer(), "whether or not the shop can tell of it"


def test_a_book_that_became_a_course_stays_a_book_for_whoever_bought_it(
    counter: Counter, shop: Shop, store: Store
) -> None:
    book = [seen(1, Offer())]
    sold(store, 30, 50)
    shop.says(61, gives="course:40")
    for product, offer in ((50, gives(30)), (61, gives(40)), (200, gives(20))):
        assert counter.offer(line(product), known=book) == Offer()
        assert counter.offer(line(product), known=book, given=False) == offer, "while nobody has paid for it"
        assert counter.offer(line(product), known=[replace(book[0], ask_anew=True)]) == offer, "when asked to"


# --- what nobody can tell ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sku", ["totara-course-", "totara-course-x", "totara-course-9-1"])
def test_a_sku_that_only_looks_like_a_courses_needs_a_person(counter: Counter, sku: str) -> None:
    assert counter.reason(line(60, sku=sku, number=3)) == (
        f"line 3 ('First steps') has the SKU '{sku}', which is no course's: correct the SKU, or say in the product's "
        "bridge_gives what it gives"
    )


def test_a_duplicate_that_says_itself_what_it_gives_needs_nobody(counter: Counter, shop: Shop) -> None:
    shop.says(60, gives="course:40")
    shop.says(61, gives="nothing")
    assert counter.offer(line(60, sku="totara-course-9-1")) == gives(40)
    assert counter.offer(line(61, sku="totara-course-9-1")) == Offer()
    shop.says(62, days="30")
    assert "which is no course's" in counter.reason(line(62, sku="totara-course-9-1"))


def test_meta_that_makes_no_sense_needs_a_person_who_is_told_why(counter: Counter, shop: Shop) -> None:
    shop.says(60, gives="cohort:4")
    shop.says(61, gives="audience:5,audience:6")
    said = counter.reason(line(60, number=3))
    assert said.startswith("line 3 ('First steps'): product 60 can't be given: bridge_gives: 'cohort:4' is none of")
    assert "audience 6 may not be sold" in counter.reason(line(61))


def test_a_product_may_give_the_audience_that_the_operator_allowed(counter: Counter, shop: Shop) -> None:
    shop.says(60, gives="audience:5")
    assert counter.offer(line(60)) == Offer((Item(Kind.AUDIENCE, 5),))


def test_one_line_of_which_nobody_can_tell_does_not_keep_back_the_others(counter: Counter) -> None:
    found = counter.of(line(60, sku="totara-course-x"), line(200, number=2), line(70, number=3))
    assert [(type(one), one.line.id) for one in found] == [(Gives, 2), (Gives, 3), (Unresolved, 1)]


def test_what_lines_give_is_told_in_the_order_of_the_lines(counter: Counter) -> None:
    lines = [line(200, number=3), line(200, number=1), line(200, number=2)]
    found = counter.of(*lines, known=[seen(2, gives(7))])
    assert [one.line.id for one in found] == [3, 1, 2]


def test_while_the_shop_is_down_nothing_is_guessed(counter: Counter, shop: Shop, store: Store) -> None:
    sold(store, 30, 50)
    shop.down = True
    with pytest.raises(Unavailable):
        counter.of(line(50))
    with pytest.raises(Unavailable):
        counter.of(line(200))  # it may be sold by subscription


# --- a deleted product ---------------------------------------------------------------------------------------------


def test_a_line_of_a_deleted_product_is_known_again(counter: Counter, shop: Shop) -> None:
    assert counter.offer(line(0), known=[seen(1, gives(7))]) == gives(7)
    assert counter.offer(line(0), known=[seen(1, Offer())]) == Offer(), "a book stays a book"
    assert shop.asked == []


def test_a_line_of_a_product_that_was_deleted_unseen_is_told_to_a_person(counter: Counter, store: Store) -> None:
    sold(store, 30, 4)
    said = counter.reason(line(0, number=3), known=[seen(1, gives(7))])
    assert said.startswith("line 3 ('First steps') is of a product that was deleted before the bridge saw the order")


def test_a_subscriptions_line_is_known_by_its_product_or_else_by_itself(counter: Counter) -> None:
    known = [seen((50, 51), gives(7), line_id=1), seen((60, 0), gives(8), line_id=2)]
    assert key_of(line(50, 51, number=77), known) == (50, 51)
    assert key_of(line(0, number=2), known) == (60, 0)
    assert key_of(line(0, number=3), known) == (0, 0)
    assert counter.offer(line(50, 51, number=77), source=SUBSCRIPTION, known=known) == gives(7)
    assert counter.offer(line(0, number=2), source=SUBSCRIPTION, known=known) == gives(8)
    assert "was deleted before" in counter.reason(line(0, number=3), source=SUBSCRIPTION, known=known)


def test_another_product_on_a_subscription_is_not_taken_for_the_old_one(counter: Counter) -> None:
    assert counter.offer(line(200, number=1), source=SUBSCRIPTION, known=[seen((50, 0), gives(7))]) == gives(20)


# --- subscriptions -------------------------------------------------------------------------------------------------


def subscription(*lines: Line, number: int = 2001) -> Subscription:
    return Subscription(number, "active", Buyer(1, ""), lines, THEN)


BY_SUBSCRIPTION = Offer(by_subscription=True)


def test_an_order_gives_nothing_for_a_line_that_its_subscription_pays_for(counter: Counter, shop: Shop) -> None:
    mine = [subscription(line(200, number=71), line(60, 61, number=72))]
    assert counter.offer(line(200), subscriptions=mine) == BY_SUBSCRIPTION
    assert counter.offer(line(60, 61), subscriptions=mine) == BY_SUBSCRIPTION
    assert counter.offer(line(201), subscriptions=mine) == gives(21), "bought beside it, once"
    assert counter.offer(line(60, 62, sku="totara-course-9"), subscriptions=mine) == gives(9)


def test_a_line_that_was_paid_for_by_a_subscription_is_remembered_so(counter: Counter, shop: Shop) -> None:
    assert counter.offer(line(200), known=[seen(1, BY_SUBSCRIPTION)]) == BY_SUBSCRIPTION
    assert shop.asked == []


def test_a_product_that_a_switch_took_off_the_subscription_is_still_its(counter: Counter, store: Store) -> None:
    with store.begin() as connection:
        ledger.record_subscription(store, connection, 2001, None, status="active", looked_at=THEN, stands="pays")
        ledger.record_purchase(store, connection, SUBSCRIPTION, line(200), gives(20), quantity=1, paid=1)
    now = subscription(line(201))
    assert counter.offer(line(200), subscriptions=[now]) == BY_SUBSCRIPTION
    assert counter.offer(line(200), subscriptions=[replace(now, id=2002)]) == gives(20)


@pytest.mark.parametrize("type", ["subscription", "variable-subscription"])
def test_a_product_that_is_a_subscription_is_paid_for_by_it(counter: Counter, shop: Shop, type: str) -> None:
    shop.says(200, type=type, gives="course:40")
    shop.says(299, type=type)
    assert counter.offer(line(200), subscriptions=[subscription()]) == BY_SUBSCRIPTION
    assert "tells of none" in counter.reason(line(200)), "in the bin, or never made: nobody can tell"
    assert counter.offer(line(200), follows=True) == BY_SUBSCRIPTION, "that order says itself that it is one's"
    assert counter.offer(line(299)) == BY_SUBSCRIPTION, "what gives nothing needs nobody"
    assert counter.offer(line(200), source=SUBSCRIPTION) == gives(20)


def test_while_the_plugin_is_away_a_product_with_a_period_may_be_a_subscription(counter: Counter, shop: Shop) -> None:
    """Measured: such a product is a simple one then, and its meta stays."""
    shop.products[200] = ProductFacts(200, "simple", meta={"_subscription_period": "month"})
    assert "is away" in counter.reason(line(200), subscriptions=None)
    assert counter.offer(line(200), subscriptions=()) == gives(20), "with the plugin there, the type counts"
    assert counter.offer(line(201), subscriptions=None) == gives(21)
    chosen = line(201, meta={"_wcsatt_scheme": "1_month"})
    assert "is away" in counter.reason(chosen, subscriptions=None)


@pytest.mark.parametrize(("scheme", "offer"), [("1_month", BY_SUBSCRIPTION), ("0", gives(20)), ("", gives(20))])
def test_a_plan_that_was_chosen_on_an_ordinary_product_is_a_subscription(
    counter: Counter, scheme: str, offer: Offer
) -> None:
    chosen = line(200, meta={"_wcsatt_scheme": scheme})
    assert counter.offer(chosen, subscriptions=[subscription()]) == offer


def test_a_deleted_product_on_a_subscription_does_not_stand_for_all_others(counter: Counter) -> None:
    gone = subscription(line(0, number=71))
    assert counter.offer(line(0), subscriptions=[gone]).by_subscription  # of the same name
    another = replace(line(0), name="Another thing")
    assert "was deleted before" in counter.reason(another, subscriptions=[gone])


def test_a_subscription_gives_as_long_as_it_stands_and_not_for_days(counter: Counter, shop: Shop) -> None:
    shop.says(60, gives="course:7", days="31")
    assert counter.offer(line(60), source=SUBSCRIPTION) == gives(7)
    assert counter.offer(line(60)) == replace(gives(7), days=31)
    kept = seen((60, 0), replace(gives(7), days=31))
    assert counter.offer(line(60), source=SUBSCRIPTION, known=[kept]) == gives(7)


# --- bundles and too much ------------------------------------------------------------------------------------------


def test_what_a_bundle_gives_its_lines_do_not_give_once_more(counter: Counter, shop: Shop) -> None:
    shop.says(60, gives="course:20,course:7")
    found = counter.of(
        line(60, number=1), line(200, number=2, bundled_by=1), line(201, number=3, bundled_by=1), line(200, number=4)
    )
    assert [one.offer for one in found if isinstance(one, Gives)] == [gives(20, 7), Offer(), gives(21), gives(20)]


def test_more_seats_than_anybody_means_need_a_person(counter: Counter, shop: Shop) -> None:
    shop.says(60, gives="course:7", seats="1000")
    assert counter.offer(line(60, quantity=5)).seats == 1000
    assert counter.reason(line(60, quantity=6, number=3)) == ("line 3 is of 6000 seats: more than 5000 need a person")
    assert counter.offer(line(200, quantity=5000)) == gives(20)
    remembered = [seen(1, gives(7))]
    assert "is of 5001 seats" in counter.reason(line(50, quantity=5001), known=remembered)


def test_five_thousand_and_one_books_are_just_books(counter: Counter) -> None:
    assert counter.offer(line(70, quantity=5001)) == Offer()


# --- asking the shop -----------------------------------------------------------------------------------------------


def test_the_shop_is_asked_once_for_all_lines_and_then_not_for_a_while(counter: Counter, shop: Shop) -> None:
    shop.says(50, gives="course:40")
    for _ in range(3):
        counter.of(line(50), line(50, 51, number=2), line(60, number=3), line(0, number=4), line(200, number=5))
    assert shop.asked == [[50, 60, 200], (50, 51)]
    counter.of(line(61))
    assert shop.asked == [[50, 60, 200], (50, 51), [61]]


def test_what_staff_changed_is_seen_soon(shop: Shop) -> None:
    shelf = ProductShelf(cast(WooClient, shop), seconds=0.0)
    shop.says(50, gives="course:40")
    before = shelf.facts([line(50)])
    shop.says(50, gives="course:41")
    after = shelf.facts([line(50)])
    assert [facts[50, 0].meta["bridge_gives"] for facts in (before, after) if facts[50, 0]] == [
        "course:40",
        "course:41",
    ]
    assert shelf.facts([line(51)]) == {(51, 0): None}


def test_an_answer_that_did_not_come_is_not_remembered(shop: Shop) -> None:
    shelf = ProductShelf(cast(WooClient, shop))
    shop.down = True
    with pytest.raises(Unavailable):
        shelf.facts([line(50)])
    shop.down = False
    shop.says(50, gives="course:40")
    assert shelf.facts([line(50)])[50, 0] == shop.products[50]
