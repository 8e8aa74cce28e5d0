"""What a product gives: the operator's file, the meta that staff write in the shop, and what is kept of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.offers import (
    NO_OFFERS,
    ForWhom,
    Item,
    Kind,
    Offer,
    Offers,
    course,
    offer_from_json,
    offer_from_meta,
    read_item,
    read_offers,
)

AUDIENCE, PROGRAM = Item(Kind.AUDIENCE, 5), Item(Kind.PROGRAM, 6)


def moment(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


# --- items ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "item"),
    [
        ("course:12", course(12)),
        ("audience:5", AUDIENCE),
        ("program:6", PROGRAM),
        ("certification:7", Item(Kind.CERTIFICATION, 7)),
        (" Course: 12 ", course(12)),
        ("course:999999999999999999", course(999_999_999_999_999_999)),
    ],
)
def test_a_word_names_a_thing_in_totara(word: str, item: Item) -> None:
    assert read_item(word) == item
    assert read_item(f"{item.kind}:{item.id}") == item


@pytest.mark.parametrize(
    "word",
    [
        "",
        "course",
        "course:",
        "12",
        "course:0",
        "course:-3",
        "course:012",
        "course:1.5",
        "course:1e3",
        "course:²",
        "course:١٢",
        "course:12:13",
        "course:1000000000000000000",
        "cohort:5",
        "kind.course:1",
        "course 12",
    ],
)
def test_a_word_that_names_nothing_is_refused_in_words(word: str) -> None:
    with pytest.raises(ValueError, match="is none of course:12, audience:12, program:12, certification:12") as told:
        read_item(word)
    assert repr(word) in str(told.value)


# --- how long ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "starts", "until", "ends", "from_first"),
    [
        (None, None, None, None, None),
        (30, None, None, None, 30),
        (None, moment(2027, 1, 1), None, None, None),
        (None, None, moment(2027, 1, 1), moment(2027, 1, 1), None),
        (30, None, moment(2027, 1, 1), moment(2027, 1, 1), 30),
        (30, moment(2027, 1, 1), None, moment(2027, 1, 31), None),
        (30, moment(2027, 1, 1), moment(2027, 1, 15), moment(2027, 1, 15), None),
        (30, moment(2027, 1, 1), moment(2027, 3, 1), moment(2027, 1, 31), None),
    ],
)
def test_days_count_from_the_start_if_there_is_one_and_else_from_the_first_enrolment(
    days: int | None, starts: datetime | None, until: datetime | None, ends: datetime | None, from_first: int | None
) -> None:
    offer = Offer((course(7),), days=days, starts=starts, until=until)
    assert (offer.ends, offer.days_from_first) == (ends, from_first)


def test_the_last_day_is_included() -> None:
    offers = read_offers('[[offer]]\nproduct = 5\ngives = ["course:7"]\nstarts = 2027-01-01\nuntil = 2027-01-31\n')
    offer = offers.find(0, 5, "")
    assert offer is not None
    assert (offer.starts, offer.until) == (moment(2027, 1, 1), moment(2027, 2, 1))


# --- the file ------------------------------------------------------------------------------------------------------

FILE = """
may_sell = ["audience:5", "program:9"]

[[offer]]
product = 101
gives = ["course:12", "program:6"]
days = 365
seats = 5
for = "team"

[[offer]]
sku = "Safety-Pack"
gives = ["course:13"]
until = 2027-06-30

[[offer]]
product = 102
gives = []
"""
PACK = Offer((course(13),), until=moment(2027, 7, 1))


@pytest.fixture(scope="module")
def offers() -> Offers:
    return read_offers(FILE)


def test_the_file_is_read_as_it_is_meant(offers: Offers) -> None:
    assert offers.find(0, 101, "") == Offer((course(12), PROGRAM), days=365, seats=5, for_whom=ForWhom.TEAM)
    assert [str(one) for one in offers] == ["product 101", "product 102", "SKU Safety-Pack"]


def test_an_offer_is_found_by_the_variation_then_the_product_then_the_sku_in_any_case(offers: Offers) -> None:
    assert offers.find(102, 101, "safety-pack") == Offer()
    assert offers.find(999, 101, "safety-pack") == offers.find(0, 101, "")
    assert offers.find(0, 999, "SAFETY-PACK") == PACK
    assert offers.find(0, 999, "safety-pack-2") is None
    assert offers.find(0, 0, "") is None


def test_that_a_product_gives_nothing_is_an_offer_too(offers: Offers) -> None:
    assert offers.find(0, 102, "") == Offer()


def test_what_the_file_names_may_be_sold_but_for_courses_which_the_catalogue_judges(offers: Offers) -> None:
    assert offers.sellable == {AUDIENCE, Item(Kind.PROGRAM, 9), PROGRAM}
    assert NO_OFFERS.sellable == frozenset()


def test_an_empty_file_offers_nothing() -> None:
    assert read_offers("") == NO_OFFERS
    assert list(NO_OFFERS) == []


def problems(text: str) -> list[str]:
    with pytest.raises(ValueError, match=r"\S") as told:
        read_offers(text)
    return str(told.value).splitlines()


def test_every_problem_is_told_at_once_and_where_it_is() -> None:
    found = problems(
        """
        may_sell = ["course"]
        offers = 3
        [[offer]]
        product = 0
        gives = ["course:12", "cohort:4"]
        days = 0
        [[offer]]
        product = 7
        gives = ["course:12"]
        seats = 1001
        for = "friends"
        price = 3
        [[offer]]
        product = 8
        """
    )
    places = [problem.partition(": ")[0] for problem in found]
    first = ["offer.1.days", "offer.1.gives", "offer.1.product"]
    second = ["offer.2.for", "offer.2.price", "offer.2.seats"]
    assert sorted(places) == ["may_sell", *first, *second, "offer.3.gives", "offers"]
    assert any("'cohort:4' is none of course:12" in problem for problem in found)
    assert not any("Value error" in problem or "https://" in problem for problem in found)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('gives = ["course:1"]', "an offer is for a product or for a sku: give one of them"),
        ('product = 1\nsku = "a"\ngives = ["course:1"]', "an offer is for a product or for a sku: give one of them"),
        ('product = 1\ngives = ["course:1", " Course:1"]', "gives names the same thing twice"),
        ('product = 1\ngives = []\nstarts = 2027-02-01\nuntil = 2027-01-31', "until lies before starts"),
        ('product = 1\ngives = ["course:1"]\npick = true', "pick needs more than one thing that it gives"),
        ('product = 1\ngives = []\npick = true', "pick needs more than one thing that it gives"),
        (
            'product = 1\ngives = ["course:1", "course:2"]\npick = true\nfor = "buyer"',
            "what is picked is picked for each seat: for can't be buyer",
        ),
    ],
)  # fmt: skip
def test_an_offer_that_makes_no_sense_is_told_in_words(lines: str, said: str) -> None:
    assert problems(f"[[offer]]\n{lines}") == [f"offer.1: {said}"]


def test_one_day_is_long_enough() -> None:
    found = read_offers("[[offer]]\nproduct = 1\ngives = []\nstarts = 2027-02-01\nuntil = 2027-02-01").find(0, 1, "")
    assert found is not None
    assert found.starts is not None
    assert found.ends == found.starts + timedelta(days=1)


def test_two_offers_for_one_thing_are_all_told() -> None:
    offer = "[[offer]]\n{}\ngives = []\n"
    keys = ["product = 7", "product = 7", 'sku = "Pack"', 'sku = "pack"', "product = 8", "product = 7", 'sku = "7"']
    assert problems("".join(offer.format(key) for key in keys)) == [
        "two offers are for product 7",
        "two offers are for sku pack",
    ]


def test_what_is_no_toml_is_told_with_its_line() -> None:
    assert "line 2" in problems("[[offer]]\nproduct 7")[0]


@pytest.mark.parametrize("value", ["0", "86400", "1798761600", "20271231", '"0"', '"1798761600"', '"31.12.2027"', '""'])
@pytest.mark.parametrize("name", ["starts", "until", "assign_until"])
def test_a_day_is_written_as_a_date_and_a_number_is_none(name: str, value: str) -> None:
    (found,) = problems(f"[[offer]]\nproduct = 1\ngives = []\n{name} = {value}")
    assert found == f"offer.1.{name}: a day is written like 2027-12-31"


@pytest.mark.parametrize("value", ["9999-12-31", "3000-01-01", "1999-12-31", "0001-01-01"])
def test_for_ever_is_said_by_leaving_the_day_out(value: str) -> None:
    (found,) = problems(f"[[offer]]\nproduct = 1\ngives = []\nuntil = {value}")
    assert found == f"offer.1.until: {value} lies too far away; for no limit leave it out"


def test_the_last_day_there_can_be_is_counted_from() -> None:
    text = "[[offer]]\nproduct = 1\ngives = []\ndays = 36500\nstarts = 2999-12-31"
    found = read_offers(text).find(0, 1, "")
    assert found is not None
    assert found.ends is not None


# --- a product's meta ----------------------------------------------------------------------------------------------

FALLBACK = Offer((course(7),))


def from_meta(fallback: Offer | None = FALLBACK, **meta: str) -> Offer | None:
    return offer_from_meta({f"bridge_{name.rstrip('_')}": value for name, value in meta.items()}, {AUDIENCE}, fallback)


def test_meta_says_everything_that_the_file_can_say() -> None:
    found = from_meta(
        gives="course:12, audience:5", days="30", starts="2027-01-01", until="2027-01-10", seats="5", for_="team"
    )
    assert found == Offer(
        (course(12), AUDIENCE), 30, moment(2027, 1, 1), moment(2027, 1, 11), seats=5, for_whom=ForWhom.TEAM
    )


def test_without_a_word_of_ours_the_fallback_counts() -> None:
    assert offer_from_meta({}, (), FALLBACK) is FALLBACK
    assert offer_from_meta({"_price": "9", "gives": "course:1", "bridge_other": "x"}, (), FALLBACK) is FALLBACK
    assert from_meta(gives="  ", days="") is FALLBACK
    assert offer_from_meta({}, (), None) is None


def test_meta_that_does_not_say_what_is_given_changes_how_it_is_given() -> None:
    assert from_meta(days="30", for_="team") == Offer((course(7),), days=30, for_whom=ForWhom.TEAM)


def test_meta_that_says_how_and_has_nothing_to_give_is_told_to_a_person() -> None:
    with pytest.raises(ValueError, match="bridge_gives is missing"):
        from_meta(None, days="30")


@pytest.mark.parametrize("word", ["nothing", " nothing ", "Nothing"])
def test_that_a_product_of_the_catalogue_gives_nothing_is_said_with_a_word(word: str) -> None:
    assert from_meta(gives=word) == Offer()


@pytest.mark.parametrize("gives", [",", " , ,", "nothing, course:7", "course:7;course:8", "cohort:7"])
def test_what_is_given_is_never_guessed(gives: str) -> None:
    with pytest.raises(ValueError, match=r"^bridge_gives: .*is none of course:12"):
        from_meta(gives=gives)


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"days": "0"}, "bridge_days: "),
        ({"days": "soon"}, "bridge_days: "),
        ({"days": "36501"}, "bridge_days: "),
        ({"seats": "0"}, "bridge_seats: "),
        ({"seats": "1001"}, "bridge_seats: "),
        ({"for_": "friends"}, "bridge_for: "),
        ({"until": "31.12.2027"}, "bridge_until: a day is written like 2027-12-31"),
        ({"until": "0"}, "bridge_until: a day is written like 2027-12-31"),
        ({"starts": "1798761600"}, "bridge_starts: a day is written like 2027-12-31"),
        ({"starts": "2027-02-01", "until": "2027-01-01"}, "until lies before starts"),
        ({"gives": "course:7,course:7"}, "gives names the same thing twice"),
        ({"pick": "yes"}, "pick needs more than one thing that it gives"),
        ({"gives": "course:7,course:8", "pick": "yes", "for_": "buyer"}, "what is picked is picked for each seat"),
        ({"pick": "perhaps"}, "bridge_pick: "),
        ({"report": "2"}, "bridge_report: "),
        ({"assign_days": "0"}, "bridge_assign_days: "),
        ({"assign_days": "36501"}, "bridge_assign_days: "),
        ({"assign_until": "31.12.2027"}, "bridge_assign_until: a day is written like 2027-12-31"),
    ],
)
def test_meta_that_makes_no_sense_is_told_in_words(meta: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as told:
        from_meta(FALLBACK, **meta)
    assert str(told.value).startswith(said)
    assert "\n" not in str(told.value)


def test_every_problem_of_a_products_meta_is_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"bridge_days: .*; bridge_seats: .*; bridge_for: "):
        from_meta(days="0", seats="0", for_="friends")


def test_the_shops_staff_may_sell_what_the_operator_allowed_and_every_course_is_judged_by_the_catalogue() -> None:
    assert from_meta(gives="audience:5,course:99") == Offer((AUDIENCE, course(99)))
    with pytest.raises(ValueError, match=r"^program 6, audience 8 may not be sold: name it under may_sell"):
        from_meta(gives="audience:5,program:6,audience:8")


def test_what_the_fallback_gives_may_be_given() -> None:
    assert from_meta(Offer((PROGRAM,)), days="30") == Offer((PROGRAM,), days=30)


MOMENTS = st.none() | st.dates(date(2020, 1, 1), date(2100, 1, 1)).map(lambda day: moment(day.year, day.month, day.day))
ITEMS = st.builds(Item, st.sampled_from(Kind), st.integers(1, 10**18 - 1))
OFFERS = st.builds(
    Offer,
    items=st.lists(ITEMS, max_size=4, unique=True).map(tuple),
    days=st.none() | st.integers(1, 36_500),
    starts=MOMENTS,
    until=MOMENTS,
    seats=st.integers(1, 1000),
    for_whom=st.sampled_from(ForWhom),
    by_subscription=st.booleans(),
    pick=st.booleans(),
    assign_days=st.none() | st.integers(1, 36_500),
    assign_until=MOMENTS,
    report=st.booleans(),
)


# --- for teams -----------------------------------------------------------------------------------------------------

CREDIT = """
[[offer]]
sku = "CREDIT"
gives = ["course:7", "course:8"]
pick = true
assign_days = 90
assign_until = 2027-12-31
report = true
"""


def test_a_training_credit_is_written_in_the_file_and_in_meta_alike() -> None:
    offer = Offer((course(7), course(8)), pick=True, assign_days=90, assign_until=moment(2028, 1, 1), report=True)
    assert read_offers(CREDIT).find(0, 0, "credit") == offer
    meta = {"pick": "yes", "assign_days": "90", "assign_until": "2027-12-31", "report": "true"}
    assert from_meta(None, gives="course:7, course:8", **meta) == offer


@pytest.mark.parametrize(("word", "meant"), [("yes", True), ("1", True), ("on", True), ("no", False), ("0", False)])
def test_staff_say_yes_and_no_as_they_like(word: str, meant: bool) -> None:
    assert from_meta(report=word) == Offer((course(7),), report=meant)


@pytest.mark.parametrize(
    ("days", "until", "last"),
    [
        (None, None, None),
        (30, None, moment(2027, 1, 31)),
        (None, moment(2027, 7, 1), moment(2027, 7, 1)),
        (30, moment(2027, 7, 1), moment(2027, 1, 31)),
        (365, moment(2027, 7, 1), moment(2027, 7, 1)),
    ],
)
def test_the_last_day_to_give_a_seat_is_whichever_comes_first(
    days: int | None, until: datetime | None, last: datetime | None
) -> None:
    offer = Offer((course(7),), assign_days=days, assign_until=until)
    assert offer.last_day_from(moment(2027, 1, 1)) == last


@given(OFFERS, st.randoms())
def test_seats_that_give_the_same_on_the_same_terms_are_of_one_pool(offer: Offer, chance: Random) -> None:
    turned = list(offer.items)
    chance.shuffle(turned)
    other = replace(
        offer, items=tuple(turned), seats=7, for_whom=ForWhom.TEAM, assign_days=3, assign_until=moment(2030, 1, 1)
    )
    assert other.pool == offer.pool
    assert offer_from_json(json.loads(json.dumps(offer.as_json()))).pool == offer.pool


@pytest.mark.parametrize(
    "terms",
    [
        {"items": (course(7),)},
        {"days": 30},
        {"starts": moment(2027, 1, 1)},
        {"until": moment(2027, 1, 1)},
        {"pick": True},
        {"report": True},
        {"by_subscription": True},
    ],
)
def test_seats_on_other_terms_are_of_another_pool(terms: dict[str, Any]) -> None:
    offer = Offer((course(7), course(8)))
    assert len(offer.pool) == 16
    assert replace(offer, **terms).pool != offer.pool


# --- what is kept --------------------------------------------------------------------------------------------------


@given(OFFERS)
def test_an_offer_is_read_again_as_it_was_kept(offer: Offer) -> None:
    assert offer_from_json(json.loads(json.dumps(offer.as_json()))) == offer


def test_what_was_kept_before_there_was_more_to_say_is_read() -> None:
    assert offer_from_json({"gives": ["course:7"]}) == Offer((course(7),))
    assert offer_from_json({"gives": []}) == Offer()
    assert Offer((course(7),)).as_json() == {"gives": ["course:7"]}


@given(OFFERS, st.lists(ITEMS, max_size=3))
def test_without_what_another_gives_all_else_stays(offer: Offer, others: list[Item]) -> None:
    less = offer.without([*others, *offer.items[:1]])
    assert less.items == tuple(item for item in offer.items[1:] if item not in others)
    assert less.as_json() | {"gives": []} == offer.as_json() | {"gives": []}
