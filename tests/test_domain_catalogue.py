"""The rules that select courses, and the plan that changes products. Nothing here calls anybody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.domain.catalogue import (
    FIELDS,
    Change,
    Known,
    Listed,
    PriceRule,
    Rule,
    Rules,
    Totals,
    Wanted,
    course_of,
    digest,
    digests,
    plan_product,
    price_of,
    sku_of,
    staff_changed,
    too_much,
    wanted_product,
)
from bridge.domain.lms import SYSTEM_CATEGORIES, Category, Course, CourseImage, Tree

PUBLIC, BASICS, HS, RESTRICTED, INSIDE, SPACE, BELOW_SPACE, ORPHAN = 1, 2, 3, 10, 11, 20, 21, 30
TREE = Tree(
    [
        Category(PUBLIC, "Public", 0, 1, "pub"),
        Category(BASICS, "Customs basics", PUBLIC, 1, "basics"),
        Category(HS, "Harmonized System", BASICS, 1, ""),
        Category(RESTRICTED, "Enforcement", 0, 1, "enf"),
        Category(INSIDE, "Covert", RESTRICTED, 1, None),
        Category(SPACE, "Space category", 0, 1),
        Category(BELOW_SPACE, "Somebody's space", SPACE, 1),
        Category(ORPHAN, "Below what is not shown", 99, 1),
    ]
)


def course(category: int = HS, **fields: Any) -> Course:
    named: dict[str, Any] = {"id": 7, "fullname": "First steps", "shortname": "HS101", "category_id": category}
    return Course(**named | fields)


def allow_all(*deny: Rule) -> Rules:
    return Rules(allow=[Rule(shortname="*")], deny=deny)


# --- rules: who may be sold --------------------------------------------------------------------------------------


def test_nothing_is_sold_that_no_rule_selects() -> None:
    verdict = Rules().judge(course(), TREE)
    assert (verdict.selected, verdict.denied, verdict.reason) == (False, False, "no rule allows it")


def test_a_deny_rule_beats_every_allow_rule() -> None:
    rules = Rules(
        allow=[Rule(shortname="*"), Rule(category=HS), Rule(shortname="HS101")], deny=[Rule(shortname="HS1*")]
    )
    verdict = rules.judge(course(), TREE)
    assert (verdict.selected, verdict.denied) == (False, True)
    assert verdict.reason == "denied by the rule: shortname HS1*"


@pytest.mark.parametrize("reference", [BASICS, str(BASICS), "Customs basics", "basics"])
def test_a_category_goes_by_its_id_its_name_or_its_idnumber(reference: int | str) -> None:
    assert Rule(category=reference).matches(course(), TREE) is True
    assert Rule(category=reference).matches(course(RESTRICTED), TREE) is False


@pytest.mark.parametrize(
    ("category", "subtree", "matches"),
    [(PUBLIC, True, True), (PUBLIC, False, False), (HS, False, True), (HS, True, True), (RESTRICTED, True, False)],
)
def test_a_category_rule_covers_what_is_below_unless_told_otherwise(
    category: int, subtree: bool, matches: bool
) -> None:
    assert Rule(category=category, subtree=subtree).matches(course(HS), TREE) is matches


@pytest.mark.parametrize("deny", [Rule(category="Enforcment"), Rule(category=404), Rule(category="no such idnumber")])
def test_a_deny_rule_about_a_category_that_is_not_there_denies_everything(deny: Rule) -> None:
    verdict = allow_all(deny).judge(course(), TREE)
    assert (verdict.selected, verdict.denied) == (False, True)
    assert "does not show" in verdict.reason
    assert allow_all(deny).unknown_categories(TREE) == [deny.category]


def test_an_allow_rule_about_a_category_that_is_not_there_allows_nothing() -> None:
    rules = Rules(allow=[Rule(category="Enforcment")])
    assert rules.judge(course(), TREE).selected is False
    assert rules.judge(course(), TREE).denied is False


@pytest.mark.parametrize("category", [ORPHAN, 404, 0])
def test_a_course_whose_place_is_not_known_up_to_the_top_counts_as_denied(category: int) -> None:
    verdict = allow_all(Rule(category=RESTRICTED)).judge(course(category), TREE)
    assert (verdict.selected, verdict.denied) == (False, True)
    assert Rules(allow=[Rule(category=PUBLIC)]).judge(course(category), TREE).selected is False


def test_a_rule_about_a_category_alone_needs_to_know_only_that_category() -> None:
    rules = allow_all(Rule(category=RESTRICTED, subtree=False))
    assert rules.judge(course(ORPHAN), TREE).selected is True
    assert rules.judge(course(404), TREE).denied is True


@pytest.mark.parametrize(
    ("deny", "hidden"),
    [
        (Rule(idnumber="SKU-*"), {"idnumber": None}),
        (Rule(visible=False), {"visible": None}),
        (Rule(tag="restricted"), {"tags": None}),
    ],
)
def test_what_totara_does_not_show_counts_as_denied_and_never_as_allowed(deny: Rule, hidden: dict[str, Any]) -> None:
    shown: dict[str, Any] = {"idnumber": "OTHER", "visible": True, "tags": frozenset[str]()}
    assert allow_all(deny).judge(course(**shown), TREE).selected is True
    verdict = allow_all(deny).judge(course(**shown | hidden), TREE)
    assert (verdict.selected, verdict.denied) == (False, True)
    assert Rules(allow=[deny]).judge(course(**shown | hidden), TREE).selected is False


def test_a_condition_that_does_not_hold_decides_even_where_another_can_not_be_told() -> None:
    rule = Rule(category=RESTRICTED, idnumber="X*")
    assert rule.matches(course(PUBLIC, idnumber=None), TREE) is False
    assert rule.matches(course(RESTRICTED, idnumber=None), TREE) is None
    assert rule.matches(course(RESTRICTED, idnumber="x1"), TREE) is True


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("HS*", "HS101", True),
        ("hs1?1", "HS101", True),
        ("HS101", "hs101", True),
        ("HS", "HS101", False),
        ("*101", "HS101", True),
        ("*", "", True),
        ("?*", "", False),
        ("ÉCOLE*", "école des douanes", True),
        ("a.c", "abc", False),
        ("a+", "aa", False),
        ("^a", "a", False),
        ("[ab]", "a", False),
        ("[restricted] *", "[Restricted] Risk", True),
    ],
)
def test_patterns_know_two_signs_and_ignore_case(pattern: str, value: str, matches: bool) -> None:
    assert Rule(shortname=pattern).matches(course(shortname=value), TREE) is matches
    assert Rule(idnumber=pattern).matches(course(idnumber=value), TREE) is matches
    assert Rule(language=pattern).matches(course(language=value), TREE) is matches


def test_a_deny_rule_with_brackets_denies_the_names_that_have_them() -> None:
    rules = allow_all(Rule(shortname="[restricted] *"))
    assert rules.judge(course(shortname="[Restricted] Risk"), TREE).denied
    assert rules.judge(course(shortname="Risk"), TREE).selected


def test_all_conditions_of_a_rule_must_hold() -> None:
    rule = Rule(category=PUBLIC, shortname="HS*", visible=True, tag="sale", language="en")
    good: dict[str, Any] = {"visible": True, "tags": frozenset({"sale"}), "language": "en"}
    assert rule.matches(course(**good), TREE) is True
    for wrong in ({"visible": False}, {"tags": frozenset({"x"})}, {"language": "fr"}, {"shortname": "X"}):
        assert rule.matches(course(**good | wrong), TREE) is False


@pytest.mark.parametrize("name", sorted(SYSTEM_CATEGORIES))
def test_totara_s_own_containers_are_never_sold(name: str) -> None:
    tree = Tree([Category(1, "Tenant", 0), Category(2, name, 1), Category(3, "Inside", 2), Category(4, "Beside", 1)])
    for category, selected in ((1, True), (2, False), (3, False), (4, True)):
        verdict = allow_all().judge(course(category), tree)
        assert (verdict.selected, verdict.denied) == (selected, not selected)
    assert {category.id for category in tree} == {1, 4}
    assert len(tree) == 2


def test_the_front_page_is_never_sold() -> None:
    verdict = allow_all().judge(course(id=1), TREE)
    assert (verdict.selected, verdict.denied) == (False, True)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"enrol_methods": frozenset({"self"})}, "manual enrolment is off in the course"),
        ({"enrol_methods": frozenset[str]()}, "manual enrolment is off in the course"),
        ({"audience_visible": 3}, "the course is visible to nobody"),
    ],
)
def test_a_course_that_no_seat_could_open_is_not_sold_but_not_denied_either(fields: dict[str, Any], why: str) -> None:
    verdict = allow_all().judge(course(**fields), TREE)
    assert (verdict.selected, verdict.denied, verdict.reason) == (False, False, why)


def test_what_is_not_told_of_a_course_does_not_make_it_unsellable() -> None:
    assert course(enrol_methods=None, audience_visible=None).sellable == ""
    assert course(enrol_methods=frozenset({"manual", "self"}), audience_visible=1).sellable == ""


def test_a_hidden_course_is_sold_only_by_a_rule_that_says_so() -> None:
    hidden = course(visible=False)
    verdict = allow_all().judge(hidden, TREE)
    assert (verdict.selected, verdict.denied, verdict.reason) == (False, False, "it is hidden in Totara")
    assert Rules(allow=[Rule(visible=False)]).judge(hidden, TREE).selected is True
    assert Rules(allow=[Rule(shortname="*", visible=False)]).judge(course(visible=True), TREE).selected is False
    assert allow_all().judge(course(visible=None), TREE).selected is True
    assert allow_all().judge(course(visible=True), TREE).selected is True


def test_a_rule_needs_a_condition_and_knows_no_other_words() -> None:
    wrongs: list[dict[str, Any]] = [{}, {"subtree": False}, {"shortname": "*", "colour": "blue"}]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            Rule(**wrong)
    with pytest.raises(ValidationError):
        PriceRule(price="1.00")


def test_rules_say_what_they_are_in_words() -> None:
    assert str(Rule(category="Basics", shortname="HS*")) == "category Basics, shortname HS*"
    assert str(Rule(category=3, subtree=False)) == "category 3 only"
    assert str(PriceRule(shortname="*", price="9.00")) == "shortname *"


@pytest.mark.parametrize(
    ("rules", "readable"),
    [
        (allow_all(), {PUBLIC, BASICS, HS, RESTRICTED, INSIDE, ORPHAN}),
        (allow_all(Rule(category=RESTRICTED)), {PUBLIC, BASICS, HS}),
        (allow_all(Rule(category=RESTRICTED, subtree=False)), {PUBLIC, BASICS, HS, INSIDE, ORPHAN}),
        (allow_all(Rule(category=RESTRICTED, shortname="X*")), {PUBLIC, BASICS, HS, RESTRICTED, INSIDE, ORPHAN}),
        (Rules(allow=[Rule(category=BASICS)]), {BASICS, HS}),
        (Rules(allow=[Rule(category=BASICS, subtree=False, visible=True)]), {BASICS}),
        (allow_all(Rule(category="misspelt")), set()),
        (Rules(), set()),
    ],
)
def test_a_category_of_which_nothing_can_be_sold_is_never_even_read(rules: Rules, readable: set[int]) -> None:
    every = {PUBLIC, BASICS, HS, RESTRICTED, INSIDE, SPACE, BELOW_SPACE, ORPHAN}
    assert {category for category in every if rules.may_read(category, TREE)} == readable


RULE = st.builds(
    Rule,
    category=st.sampled_from([None, PUBLIC, BASICS, RESTRICTED, INSIDE, "Enforcement", "nowhere"]),
    subtree=st.booleans(),
    idnumber=st.sampled_from([None, "SKU*", "x"]),
    shortname=st.sampled_from(["*", "HS*", "no"]),
    visible=st.sampled_from([None, True, False]),
)
COURSE = st.builds(
    Course,
    id=st.integers(1, 4),
    fullname=st.just("Course"),
    shortname=st.sampled_from(["HS101", "no"]),
    category_id=st.sampled_from([PUBLIC, BASICS, HS, RESTRICTED, INSIDE, SPACE, BELOW_SPACE, ORPHAN, 404]),
    idnumber=st.sampled_from([None, "SKU-1", ""]),
    visible=st.sampled_from([None, True, False]),
    audience_visible=st.sampled_from([None, 2, 3]),
)


@given(st.lists(RULE, max_size=3), st.lists(RULE, max_size=3), COURSE)
def test_no_rule_ever_lets_a_denied_course_through(allow: list[Rule], deny: list[Rule], one: Course) -> None:
    verdict = Rules(allow, deny).judge(one, TREE)
    assert not (verdict.selected and verdict.denied)
    if verdict.selected:
        assert one.id != 1
        assert not TREE.is_system(one.category_id)
        assert any(rule.matches(one, TREE) is True for rule in allow)
        assert all(rule.matches(one, TREE) is False for rule in deny)
        assert Rules(allow, deny).may_read(one.category_id, TREE), "what may be sold must be read"
    for more in deny:
        assert not Rules(allow, [*deny, more]).judge(one, TREE).selected or verdict.selected


@given(COURSE, st.lists(RULE, max_size=3))
def test_showing_less_of_a_course_never_makes_it_sellable(one: Course, deny: list[Rule]) -> None:
    rules = allow_all(*deny)
    less = replace(one, idnumber=None, tags=None)
    if rules.judge(less, TREE).selected:
        assert rules.judge(one, TREE).selected


# --- the tree ----------------------------------------------------------------------------------------------------


def test_a_path_goes_from_the_top_down() -> None:
    assert [c.id for c in TREE.path(HS)] == [PUBLIC, BASICS, HS]
    assert [c.id for c in TREE.path(ORPHAN)] == [ORPHAN]
    assert TREE.path(404) == ()
    assert TREE.is_whole(HS)
    assert not TREE.is_whole(ORPHAN)
    assert not TREE.is_whole(404)


def test_a_tree_that_goes_in_circles_is_not_walked_for_ever() -> None:
    tree = Tree([Category(1, "One", 2), Category(2, "Two", 1), Category(3, "Self", 3)])
    assert {c.id for c in tree.path(1)} == {1, 2}
    assert not tree.is_whole(1)
    assert not tree.is_whole(3)
    assert allow_all(Rule(category="Two")).judge(course(1), tree).denied
    assert allow_all(Rule(category="One", subtree=True)).judge(course(3), tree).denied


# --- prices ------------------------------------------------------------------------------------------------------


def test_the_first_price_that_matches_counts_and_an_unknown_never_does() -> None:
    prices = [
        PriceRule(idnumber="VIP*", price="500.00"),
        PriceRule(category=HS, price="120.00"),
        PriceRule(shortname="*", price="80.00"),
    ]
    assert price_of(course(idnumber=None), TREE, prices) == "120.00"
    assert price_of(course(idnumber="vip-1"), TREE, prices) == "500.00"
    assert price_of(course(BASICS), TREE, prices) == "80.00"
    assert price_of(course(), TREE, prices[:1]) is None
    assert price_of(course(), TREE, []) is None


# --- SKUs --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**18 - 1))
def test_a_sku_says_which_course_it_stands_for(number: int) -> None:
    assert course_of(sku_of(number)) == number
    assert course_of(sku_of(number).upper()) == number
    assert course_of(f"{sku_of(number)}-group-of-5") == number


@pytest.mark.parametrize(
    ("sku", "course_id"),
    [
        ("totara-course-12", 12),
        ("Totara-Course-12", 12),
        ("totara-course-12-", 12),
        ("totara-course-12-en-GB", 12),
        ("totara-course-", None),
        ("totara-course-0", None),
        ("totara-course--12", None),
        ("totara-course-12a", None),
        ("totara-course-a12", None),
        ("totara-course- 12", None),
        ("totara-course-1_2", None),
        ("totara-course-+12", None),
        ("totara-course-12.0", None),
        ("totara-course-٣", None),
        ("totara-course-²", None),
        ("totara-course-" + "9" * 19, None),
        (" totara-course-12", None),
        ("xtotara-course-12", None),
        ("totara-course", None),
        ("12", None),
        ("", None),
        (None, None),
    ],
)
def test_which_course_a_sku_stands_for(sku: str | None, course_id: int | None) -> None:
    assert course_of(sku) == course_id


@given(st.one_of(st.text(), st.text().map("totara-course-".__add__), st.from_regex(r"(?i)totara-course-\d*.*")))
def test_a_hostile_sku_is_no_course_and_no_crash(sku: str) -> None:
    found = course_of(sku)
    assert found is None or (0 < found < 10**18 and sku.lower().startswith("totara-course-"))


# --- what a product should be -------------------------------------------------------------------------------------


def wanted(**options: Any) -> Wanted:
    fields = {"fullname": "A &amp; B <b>bold</b>", "summary": "<p>Text<script>x</script></p>"}
    one = course(**fields | options.pop("course", {}))
    usual = {"language": "en", "price": None, "with_categories": True, "with_image": True}
    return wanted_product(one, TREE, **usual | options)


def test_a_product_says_what_the_course_says() -> None:
    image = CourseImage("https://lms/x.png", "x.png", 5)
    product = wanted(price="10.00", course={"image": image})
    assert product.sku == "totara-course-7"
    assert product.fields == {
        "name": "A &amp; B bold",
        "description": "<p>Text</p>",
        "categories": [HS],
        "image": "https://lms/x.png#5",
        "regular_price": "10.00",
        "status": "publish",
    }
    assert set(product.fields) <= set(FIELDS)


def test_without_a_price_the_staff_publish_it() -> None:
    assert set(wanted().fields) == {"name", "description", "categories"}


def test_without_pictures_and_categories_these_are_left_alone() -> None:
    image = CourseImage("https://lms/x.png", "x.png", 5)
    assert set(wanted(with_categories=False, with_image=False, course={"image": image}).fields) == {
        "name",
        "description",
    }
    assert "categories" not in wanted(course={"category_id": 404}).fields


def test_a_name_is_one_language_and_can_hold_no_markup() -> None:
    both = '<span lang="en" class="multilang">Trade &lt;b&gt;</span><span lang="fr" class="multilang">Commerce</span>'
    assert wanted(course={"fullname": both}).fields["name"] == "Trade &lt;b&gt;"
    assert wanted(course={"fullname": both}, language="fr").fields["name"] == "Commerce"


def test_a_digest_changes_with_the_value_and_with_nothing_else() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest("1") != digest(1)
    values: list[Any] = ["", "a", None, [], [1], {}]
    assert len({digest(value) for value in values}) == 6
    assert digests({"name": "x"}) == {"name": digest("x")}


# --- the plan for one product -------------------------------------------------------------------------------------

NAME, PRICED = {"name": "New"}, {"name": "New", "regular_price": "9.00", "status": "publish"}


def known(fields: dict[str, Any] | None = None, **more: Any) -> Known:
    values: dict[str, Any] = {"product_id": 5, "sent": digests(fields if fields is not None else NAME)}
    return Known(**values | more)


def plan(fields: dict[str, Any] | None, memory: Known | None, listed: Listed | None, **options: Any) -> Change:
    want = None if fields is None else Wanted(7, fields)
    change = plan_product(7, want, memory, listed, verdict="the verdict", **options)
    assert change.course_id == 7
    assert change.reason
    return change


DRAFT, LIVE, OTHER = Listed(5, "draft"), Listed(5, "publish"), Listed(6, "publish")


@pytest.mark.parametrize(
    ("fields", "memory", "listed", "options", "action", "written"),
    [
        # a course to be sold
        (NAME, None, None, {}, "create", {"name": "New", "status": "draft"}),
        (PRICED, None, None, {}, "create", PRICED),
        (PRICED, None, None, {"shop_owns": frozenset({"name"})}, "create", PRICED),
        (PRICED, None, None, {"shop_owns": frozenset({"status"})}, "create", PRICED | {"status": "draft"}),
        (PRICED, None, None, {"binned": True}, "keep", {}),
        (PRICED, known(PRICED), None, {}, "create", PRICED),
        (PRICED, known(PRICED), None, {"binned": True}, "keep", {}),
        (PRICED, None, LIVE, {}, "adopt", PRICED),
        (PRICED, None, DRAFT, {"shop_owns": frozenset({"regular_price", "status"})}, "adopt", NAME),
        (PRICED, known(PRICED), OTHER, {}, "adopt", PRICED),
        (PRICED, known(PRICED), LIVE, {}, "", {}),
        (PRICED, known(PRICED | {"name": "Old"}), LIVE, {}, "update", NAME),
        (PRICED, known(PRICED | {"name": "Old"}, held=frozenset({"name"})), LIVE, {}, "", {}),
        (PRICED, known(PRICED | {"name": "Old"}), LIVE, {"shop_owns": frozenset({"name"})}, "", {}),
        (PRICED, known(NAME), LIVE, {}, "update", {"regular_price": "9.00", "status": "publish"}),
        (NAME, known(PRICED), LIVE, {}, "", {}),
        (PRICED, known({}), LIVE, {"shop_owns": frozenset(FIELDS)}, "", {}),
        # a course that is back
        (PRICED, known(PRICED, retired=True), DRAFT, {}, "update", {"status": "publish"}),
        (PRICED, known(PRICED | {"name": "Old"}, retired=True), DRAFT, {}, "update", NAME | {"status": "publish"}),
        (NAME, known(NAME, retired=True), DRAFT, {}, "keep", {}),
        (NAME, known({"name": "Old"}, retired=True), DRAFT, {}, "update", NAME),
        (NAME, known(NAME, retired=True), LIVE, {}, "", {}),
        (PRICED, known(PRICED, retired=True, held=frozenset({"status"})), DRAFT, {}, "", {}),
        # a course that may not be sold, or that is gone
        (None, None, None, {}, "", {}),
        (None, known(), None, {}, "", {}),
        (None, known(), LIVE, {}, "retire", {"status": "draft"}),
        (None, known(), Listed(5, "future"), {}, "retire", {"status": "draft"}),
        (None, known(), Listed(5, "private"), {}, "retire", {"status": "draft"}),
        (None, known(), DRAFT, {}, "mark", {}),
        (None, known(), Listed(5, "pending"), {}, "mark", {}),
        (None, known(retired=True), DRAFT, {}, "", {}),
        (None, known(retired=True), LIVE, {}, "retire", {"status": "draft"}),
        (None, None, LIVE, {}, "keep", {}),
        (None, None, Listed(5, "private"), {}, "", {}),
        (None, None, DRAFT, {}, "", {}),
        (None, None, LIVE, {"denied": True}, "retire", {"status": "draft"}),
        (None, None, DRAFT, {"denied": True}, "", {}),
        (None, known(), LIVE, {"denied": True}, "retire", {"status": "draft"}),
    ],
)
def test_what_is_done_about_one_product(
    fields: dict[str, Any] | None,
    memory: Known | None,
    listed: Listed | None,
    options: dict[str, Any],
    action: str,
    written: dict[str, Any],
) -> None:
    change = plan(fields, memory, listed, **options)
    assert change.action == action
    assert dict(change.fields) == written
    assert change.writes is (action in ("create", "update", "retire", "adopt"))


def test_adopting_a_product_of_which_the_shop_owns_everything_writes_nothing() -> None:
    change = plan(PRICED, None, LIVE, shop_owns=frozenset(FIELDS))
    assert (change.action, change.writes, dict(change.fields)) == ("adopt", False, {})


def test_every_change_says_why() -> None:
    assert plan(None, known(), LIVE).reason == "the verdict"
    assert "the verdict" in plan(PRICED, None, None).reason
    assert "gone from the shop" in plan(PRICED, known(PRICED), None).reason
    assert "bin" in plan(PRICED, None, None, binned=True).reason
    assert "name" in plan(PRICED, known(PRICED | {"name": "Old"}), LIVE).reason
    assert "not by us" in plan(None, None, LIVE).reason


VALUES = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(["a", "b", "publish"]), max_size=6)
LISTED = st.none() | st.builds(
    Listed, st.sampled_from([5, 6]), st.sampled_from(["publish", "draft", "private", "pending", "future"])
)
KNOWN = st.none() | st.builds(
    known, VALUES, held=st.frozensets(st.sampled_from(FIELDS), max_size=3), retired=st.booleans()
)


@given(st.none() | VALUES, KNOWN, LISTED, st.frozensets(st.sampled_from(FIELDS)), st.booleans(), st.booleans())
def test_whatever_the_situation_what_is_not_ours_is_not_written(
    fields: dict[str, Any] | None,
    memory: Known | None,
    listed: Listed | None,
    owned: frozenset[str],
    denied: bool,
    binned: bool,
) -> None:
    change = plan(fields, memory, listed, shop_owns=owned, denied=denied, binned=binned)
    assert change.action in ("create", "adopt", "update", "retire", "keep", "mark", "")
    assert change.writes or not change.fields
    if change.action in ("adopt", "update"):
        assert not owned & set(change.fields)
    if change.action == "update" and memory is not None:
        assert not (memory.held - {"status"}) & set(change.fields)
        assert change.fields
    if fields is None:
        assert dict(change.fields) in ({}, {"status": "draft"})
    else:
        assert change.action != "retire"
        for name, value in change.fields.items():
            assert value == fields.get(name, "draft") or (name == "status" and value == "draft")
    if change.action == "create":
        assert listed is None
        assert not binned


@given(VALUES, st.frozensets(st.sampled_from(FIELDS)))
def test_a_product_that_was_just_written_is_left_alone(fields: dict[str, Any], owned: frozenset[str]) -> None:
    mine = {name: value for name, value in fields.items() if name not in owned}
    assert plan(fields, known(mine), LIVE, shop_owns=owned).action == ""


# --- what the staff changed ---------------------------------------------------------------------------------------


def test_a_field_that_looks_other_than_after_our_write_was_changed_by_the_staff() -> None:
    memory = known(
        {"name": "Ours"}, seen=digests({"name": "Ours", "description": "<p>x</p>\n", "regular_price": "9.00"})
    )
    shown = digests({"name": "Theirs", "description": "<p>x</p>\n", "status": "publish"})
    assert staff_changed(memory, shown, {}) == {"name"}
    assert staff_changed(memory, shown, digests({"name": "Ours"})) == {"name"}
    assert staff_changed(memory, {}, {}) == frozenset()
    assert staff_changed(Known(5), shown, {}) == frozenset()


def test_a_write_of_ours_that_was_cut_off_is_not_taken_for_the_staff_s() -> None:
    memory = known({"name": "Old"}, seen=digests({"name": "Old", "description": "x"}))
    shown = digests({"name": "New", "description": "Theirs"})
    assert staff_changed(memory, shown, digests({"name": "New"})) == {"description"}


# --- the brake ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("totals", "stops"),
    [
        (Totals(courses=0, live=0), False),
        (Totals(courses=0, live=100), False),
        (Totals(courses=0, live=1, retire=1), True),
        (Totals(courses=0, live=100, retire=100), True),
        (Totals(courses=5, live=1, retire=1), False),
        (Totals(courses=5, live=4, retire=2), False),
        (Totals(courses=5, live=3, retire=2), True),
        (Totals(courses=900, live=1000, retire=100), False),
        (Totals(courses=899, live=1000, retire=101), True),
        (Totals(courses=1000, live=1000, update=101), True),
        (Totals(courses=1000, live=1000, update=60, retire=40), False),
        (Totals(courses=1000, live=1000, update=60, retire=41), True),
        (Totals(courses=100, live=100, update=20), False),
        (Totals(courses=100, live=100, update=21), True),
        (Totals(courses=1000, live=0, create=1000), False),
        (Totals(courses=1000, live=0, adopt=1000), False),
        (Totals(courses=30, live=0, update=21), True),
    ],
)
def test_a_run_that_would_change_much_stops_and_says_so(totals: Totals, stops: bool) -> None:
    assert bool(too_much(totals, share=0.1, count=20)) is stops


def test_the_brake_can_be_set() -> None:
    totals = Totals(courses=100, live=100, update=100)
    assert too_much(totals, share=1.0, count=0) == ""
    assert too_much(totals, share=0.0, count=100) == ""
    assert too_much(totals, share=0.0, count=99) == "100 of 100 products would be changed or taken off sale"
    # The loss of more than half, or an empty answer, stops whatever is set.
    assert too_much(Totals(courses=40, live=100, retire=60), share=1.0, count=1000)
    assert too_much(Totals(courses=0, live=100, retire=1), share=1.0, count=1000)
