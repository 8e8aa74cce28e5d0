"""What an order or a subscription pays for: whether it pays now, how many units, and which seats follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bridge.domain.offers import ForWhom, Offer, course
from bridge.domain.purchases import (
    Buyer,
    Gives,
    Line,
    Order,
    Refund,
    Standing,
    Subscription,
    for_one,
    paid_units,
    seat_counts,
    standing,
    subscribed,
    without_repeats,
)

THEN = datetime(2026, 11, 23, tzinfo=UTC)
PAID = ("processing", "completed")


def order(status: str, *, method: str = "stripe", paid: bool = True) -> Order:
    return Order(1, status, Buyer(0, "mia@guest.test"), (), THEN, THEN if paid else None, method)


OF_8_AND_9 = Offer((course(8), course(9)))


def line(number: int = 1, quantity: int = 1, *, bundled_by: int = 0, told: str = "") -> Line:
    meta = {"_bridge_for": told} if told else {}
    return Line(number, "First steps", 50, 0, quantity, bundled_by=bundled_by, meta=meta)


# --- does it pay? -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "stands"),
    [
        ("processing", Standing.PAYS),
        ("completed", Standing.PAYS),
        ("pending", Standing.WAITS),
        ("on-hold", Standing.WAITS),
        ("checkout-draft", Standing.WAITS),
        ("auto-draft", Standing.WAITS),
        ("a-status-of-a-plugin", Standing.WAITS),
        ("", Standing.WAITS),
        ("cancelled", Standing.ENDED),
        ("refunded", Standing.ENDED),
        ("failed", Standing.ENDED),
        ("trash", Standing.ENDED),
    ],
)
def test_what_each_status_means(status: str, stands: Standing) -> None:
    for cash in (True, False):
        assert standing(order(status, paid=False), PAID, unconfirmed_cash_pays=cash) is stands


@pytest.mark.parametrize("status", ["on-hold", "pending"])
@pytest.mark.parametrize(("paid", "was_paid"), [(True, False), (False, True), (True, True)])
def test_an_order_that_was_paid_and_is_in_question_again_keeps_what_there_is_for_a_while(
    status: str, paid: bool, was_paid: bool
) -> None:
    stands = standing(order(status, paid=paid), PAID, unconfirmed_cash_pays=False, was_paid=was_paid)
    assert stands is Standing.GRACE
    assert not stands.gives


@pytest.mark.parametrize("status", ["checkout-draft", "a-status-of-a-plugin", ""])
def test_another_status_of_an_order_that_was_paid_changes_nothing(status: str) -> None:
    assert standing(order(status), PAID, unconfirmed_cash_pays=False, was_paid=True) is Standing.WAITS


def test_which_statuses_count_as_paid_is_configured() -> None:
    assert standing(order("completed"), ["processing"], unconfirmed_cash_pays=True) is Standing.WAITS
    assert standing(order("invoiced"), [*PAID, "invoiced"], unconfirmed_cash_pays=True) is Standing.PAYS
    assert standing(order("on-hold", paid=False), ["on-hold"], unconfirmed_cash_pays=False) is Standing.PAYS


@pytest.mark.parametrize("status", ["cancelled", "refunded", "failed", "trash"])
def test_what_is_over_does_not_pay_even_if_somebody_lists_it_as_paid(status: str) -> None:
    assert standing(order(status), [status], unconfirmed_cash_pays=True, was_paid=True) is Standing.ENDED


@pytest.mark.parametrize(
    ("status", "method", "paid", "counts", "stands"),
    [
        ("processing", "cod", False, True, Standing.PAYS),
        ("processing", "cod", False, False, Standing.WAITS),
        ("processing", "cod", True, False, Standing.PAYS),
        ("completed", "cod", False, False, Standing.PAYS),
        ("processing", "", False, False, Standing.PAYS),
        ("processing", "bacs", False, False, Standing.PAYS),
        ("cancelled", "cod", False, False, Standing.ENDED),
    ],
)
def test_whether_cash_that_nobody_confirmed_counts_is_configured(
    status: str, method: str, paid: bool, counts: bool, stands: Standing
) -> None:
    assert standing(order(status, method=method, paid=paid), PAID, unconfirmed_cash_pays=counts) is stands


@pytest.mark.parametrize(
    ("status", "stands"),
    [
        ("active", Standing.PAYS),
        ("pending-cancel", Standing.PAYS),
        ("on-hold", Standing.GRACE),
        ("cancelled", Standing.ENDED),
        ("expired", Standing.ENDED),
        ("switched", Standing.ENDED),
        ("trash", Standing.ENDED),
        ("pending", Standing.WAITS),
        ("draft", Standing.WAITS),
        ("a-status-of-a-plugin", Standing.WAITS),
    ],
)
def test_the_status_of_a_subscription_tells_and_its_dates_do_not(status: str, stands: Standing) -> None:
    for ends in (None, datetime(2001, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)):
        assert subscribed(Subscription(9, status, Buyer(1, ""), (), THEN, ends)) is stands


def test_only_what_pays_gives_anything_new() -> None:
    assert [stands for stands in Standing if stands.gives] == [Standing.PAYS]


# --- how many units ------------------------------------------------------------------------------------------------


def test_units_that_were_refunded_are_not_paid_for() -> None:
    lines = [line(1, 3), line(2, 1), line(3, 2)]
    refunds = [Refund(71, "10", {1: 1}), Refund(72, "10", {1: 1, 2: 1}), Refund(73, "5")]
    assert paid_units(lines, refunds) == {1: 1, 2: 0, 3: 2}


def test_more_given_back_than_was_bought_is_nothing_left() -> None:
    assert paid_units([line(1, 2)], [Refund(71, "30", {1: 3})]) == {1: 0}
    assert paid_units([line(1, 0), line(2, -1)], []) == {1: 0, 2: 0}


def test_a_refund_of_a_line_that_is_no_longer_there_takes_nothing_from_others() -> None:
    assert paid_units([line(1, 2)], [Refund(71, "30", {9: 2})]) == {1: 2}


def test_what_is_in_a_bundle_is_paid_for_as_far_as_the_bundle_is() -> None:
    lines = [line(1, 2), line(2, 4, bundled_by=1), line(3, 2, bundled_by=1), line(4, 2)]
    assert paid_units(lines, [Refund(71, "30", {1: 1})]) == {1: 1, 2: 2, 3: 1, 4: 2}
    assert paid_units(lines, [Refund(71, "60", {1: 2})]) == {1: 0, 2: 0, 3: 0, 4: 2}


def test_a_refund_of_one_thing_in_a_bundle_is_of_that_only() -> None:
    lines = [line(1, 2), line(2, 4, bundled_by=1), line(3, 2, bundled_by=1)]
    assert paid_units(lines, [Refund(71, "5", {2: 3})]) == {1: 2, 2: 1, 3: 2}


def test_a_bundle_that_is_not_among_the_lines_decides_nothing() -> None:
    assert paid_units([line(2, 4, bundled_by=1)], []) == {2: 4}
    assert paid_units([line(1, 0), line(2, 4, bundled_by=1)], []) == {1: 0, 2: 4}


def test_what_a_bundle_gives_itself_its_lines_do_not_give_once_more() -> None:
    bundle = Gives(line(1), Offer((course(7), course(8))))
    inside = Gives(line(2, bundled_by=1), Offer((course(8), course(9)), days=30))
    beside = Gives(line(3), Offer((course(7),)))
    lone = Gives(line(4, bundled_by=99), Offer((course(7),)))
    assert without_repeats([bundle, inside, beside, lone]) == [
        bundle,
        Gives(inside.line, Offer((course(9),), days=30)),
        beside,
        lone,
    ]


def test_of_what_two_lines_of_a_bundle_give_the_one_with_more_seats_keeps_it() -> None:
    one, two = Gives(line(2, bundled_by=1), Offer((course(7), course(8)))), Gives(line(3, 2, bundled_by=1), OF_8_AND_9)
    beside = Gives(line(4, bundled_by=99), OF_8_AND_9)
    assert without_repeats([one, two, beside]) == [Gives(one.line, Offer((course(7),))), two, beside]
    even = replace(two, line=line(3, bundled_by=1))
    assert without_repeats([one, even]) == [one, Gives(even.line, Offer((course(9),)))]


def test_what_a_line_of_a_bundle_was_sold_with_stays_whatever_the_others_turn_out_to_give() -> None:
    bundle = Gives(line(1), Offer((course(7), course(8))))
    inside = Gives(line(2, bundled_by=1), OF_8_AND_9)
    assert without_repeats([bundle, inside], {2}) == [Gives(bundle.line, Offer((course(7),))), inside]
    assert without_repeats([bundle, inside], {1, 2}) == [bundle, inside]


def test_a_line_is_of_as_many_seats_as_its_units_give_and_of_none_without_items() -> None:
    gives = [
        Gives(line(1, 3), Offer((course(7),))),
        Gives(line(2, 3), Offer((course(7), course(8)), seats=5)),
        Gives(line(3, 3), Offer(seats=5)),
        Gives(line(4, 3), Offer((course(7),))),
    ]
    assert seat_counts(gives, {1: 3, 2: 2, 3: 3, 4: 0}) == {1: 3, 2: 10, 3: 0, 4: 0}


# --- for whom ------------------------------------------------------------------------------------------------------


def buys_for_one(gives: Sequence[Gives]) -> list[bool]:
    counts = seat_counts(gives, {gift.line.id: gift.line.quantity for gift in gives})
    return [for_one(gift, gives, counts) for gift in gives]


def sold(
    number: int, quantity: int, *courses: int, whom: ForWhom = ForWhom.ASK, told: str = "", bundle: int = 0
) -> Gives:
    of = line(number, quantity, told=told, bundled_by=bundle)
    return Gives(of, Offer(tuple(map(course, courses)), for_whom=whom))


def test_one_unit_is_the_buyers_and_of_several_none_is() -> None:
    assert buys_for_one([sold(1, 1, 7)]) == [True]
    assert buys_for_one([sold(1, 3, 7)]) == [False]


def test_one_course_on_two_lines_is_several_units() -> None:
    assert buys_for_one([sold(1, 1, 7), sold(2, 1, 7), sold(3, 1, 8)]) == [False, False, True]
    assert buys_for_one([sold(1, 1, 7, 8), sold(2, 1, 8, 7)]) == [False, False], "in whatever order"


def test_what_gives_the_same_only_in_part_is_two_different_things() -> None:
    assert buys_for_one([sold(1, 1, 7, 8), sold(2, 1, 8, 9)]) == [True, True]
    assert buys_for_one([sold(1, 1, 7), sold(2, 1, 7, 8)]) == [True, True]
    assert buys_for_one([sold(1, 3, 7), sold(2, 1, 7, 8)]) == [False, True]


def test_a_bundle_is_bought_as_a_whole() -> None:
    bundle = [sold(1, 1), sold(2, 1, 7, bundle=1), sold(3, 1, 8, bundle=1)]
    again = [sold(4, 1), sold(5, 1, 7, bundle=4), sold(6, 1, 8, bundle=4)]
    assert buys_for_one([*bundle, sold(7, 1, 7)])[1:] == [True, True, True], "and a part of it beside it"
    assert not any(buys_for_one([*bundle, *again])[n] for n in (1, 2, 4, 5)), "twice"
    assert not any(buys_for_one([*bundle, sold(7, 1, 7, 8)])[1:]), "and once more in one line"
    assert buys_for_one([sold(1, 1), sold(2, 2, 7, bundle=1), sold(3, 1, 8, bundle=1)])[1:] == [False, True]


def test_a_line_of_which_nothing_is_paid_for_does_not_count() -> None:
    assert buys_for_one([sold(1, 0, 7), sold(2, 1, 7)])[1]
    assert not buys_for_one([sold(1, 2, 7), sold(2, 1, 7)])[1]


@pytest.mark.parametrize(("told", "mine"), [("me", True), ("buyer", True), ("team", False)])
def test_what_the_buyer_said_on_the_line_counts_where_the_offer_leaves_it_to_them(told: str, mine: bool) -> None:
    assert buys_for_one([sold(1, 1, 7, told=told)]) == [mine]
    assert buys_for_one([sold(1, 3, 7, told=told)]) == [mine]


def test_a_word_that_means_nothing_is_as_if_nothing_had_been_said() -> None:
    assert buys_for_one([sold(1, 1, 7, told="my aunt")]) == [True]
    assert buys_for_one([sold(1, 2, 7, told="my aunt")]) == [False]


@pytest.mark.parametrize("told", ["", "me", "team"])
def test_an_offer_that_says_for_whom_it_is_leaves_nothing_to_be_said(told: str) -> None:
    for quantity in (1, 3):
        assert buys_for_one([sold(1, quantity, 7, whom=ForWhom.TEAM, told=told)]) == [False]
        assert buys_for_one([sold(1, quantity, 7, whom=ForWhom.BUYER, told=told)]) == [True]
