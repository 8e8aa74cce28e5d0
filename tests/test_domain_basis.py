"""Whatever decides about a course moves its digest, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from bridge.domain.basis import Basis
from bridge.domain.catalogue import PriceRule, Rule
from bridge.domain.lms import Category, Course, CourseImage, Tree

TOP, SUB, OTHER = Category(1, "Top", 0), Category(2, "Sub", 1, 5), Category(3, "Other", 0)
TREE = Tree([TOP, SUB, OTHER])
IMAGE = CourseImage("https://lms.example/x.png", "x.png", 7)
COURSE = Course(
    9,
    "Full",
    "SHORT",
    2,
    "<p>Text</p>",
    "ID",
    "en",
    True,
    2,
    frozenset({"manual", "self"}),
    frozenset({"4", "5"}),
    IMAGE,
)
RULES = [Rule(category="Sub"), PriceRule(category="Nowhere", price="1.00")]


def basis(tree: Tree = TREE, rules: list[Rule] = RULES, given: Any = ("en",)) -> str:
    return Basis(tree, rules, given).digest(COURSE)


@pytest.mark.parametrize(
    "moved",
    [
        {"id": 10}, {"fullname": "Full "}, {"shortname": "S"}, {"category_id": 3}, {"summary": ""}, {"idnumber": None},
        {"language": "fr"}, {"visible": None}, {"audience_visible": None}, {"enrol_methods": frozenset({"manual"})},
        {"enrol_methods": None}, {"tags": frozenset()}, {"tags": None}, {"image": None},
        {"image": replace(IMAGE, modified=8)},
    ],
    ids=str,
)  # fmt: skip
def test_each_thing_that_totara_tells_of_a_course_counts(moved: dict[str, Any]) -> None:
    one = Basis(TREE, RULES)
    assert one.digest(COURSE) == one.digest(replace(COURSE))
    assert one.digest(replace(COURSE, **moved)) != one.digest(COURSE)


@pytest.mark.parametrize(
    "tree",
    [
        Tree([replace(TOP, name="Renamed"), SUB, OTHER]),
        Tree([TOP, replace(SUB, parent=3), OTHER]),
        Tree([TOP, replace(SUB, idnumber="S"), OTHER]),
        Tree([SUB, OTHER]),
        Tree([TOP, SUB, OTHER, Category(4, "Nowhere", 0)]),  # a price is asked for by it
    ],
)
def test_the_categories_above_it_count_and_so_does_what_rules_ask_of_the_tree(tree: Tree) -> None:
    assert basis(tree) != basis()


@pytest.mark.parametrize(
    "tree",
    [Tree([TOP, replace(SUB, courses=6), OTHER]), Tree([TOP, SUB, replace(OTHER, name="X")]), Tree([OTHER, SUB, TOP])],
)
def test_other_categories_and_how_many_courses_there_are_do_not(tree: Tree) -> None:
    assert basis(tree) == basis()


@pytest.mark.parametrize(
    "rules",
    [
        [], RULES[:1], RULES[::-1], [Rule(category="Sub", subtree=False), RULES[1]],
        [RULES[0], PriceRule(category="Nowhere", price="2.00")],
    ],
)  # fmt: skip
def test_rules_and_prices_count(rules: list[Rule]) -> None:
    assert basis(rules=rules) != basis()


def test_settings_and_versions_count() -> None:
    assert basis(given=("fr",)) != basis()


def test_it_is_the_same_in_every_process() -> None:
    program = "from tests.test_domain_basis import basis; print(basis())"
    told = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert told == {f"{basis()}\n"}
