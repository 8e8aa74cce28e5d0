"""Stories: a run of the catalogue works out only what has moved, misses nothing that has, and is one run."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import event

from bridge import catalogue_plan
from bridge.catalogue import CatalogueSync
from bridge.errors import BridgeError, Unavailable
from bridge.sandbox.shop_world import WpError
from bridge.store.db import utc_now
from bridge.store.models import products, shelf
from bridge.store.shelf import Shelf
from tests.world import World


@contextmanager
def writing(world: World) -> Iterator[list[int]]:
    """How many rows of its own shelf and products the bridge changes meanwhile, a number for each statement."""
    rows: list[int] = []
    verbs = ("insert into", "update", "delete from")
    ours = tuple(f"{verb} {table}" for verb in verbs for table in ("shelf", "products"))

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.lower().startswith(ours) and cursor.rowcount > 0:
            rows.append(cursor.rowcount)

    event.listen(world.bridge.store.engine, "after_cursor_execute", note)
    yield rows
    event.remove(world.bridge.store.engine, "after_cursor_execute", note)


def settled(world: World, courses: int = 4, **fields: Any) -> list[int]:
    """So many courses on sale, and a run since in which nothing was to do."""
    made = [world.course(f"C{n}", **fields) for n in range(courses)]
    world.bridge.catalogue.sync()
    world.bridge.catalogue.sync()
    return made


def planned(world: World, *, afresh: bool = False) -> dict[int, tuple[str, dict[str, Any]]]:
    """What a run would write to the shop, by course."""
    world.bridge.catalogue.plan(afresh=afresh)
    return {c.course_id: (c.action, dict(c.fields)) for c in world.bridge.catalogue.changes() if c.writes}


def looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The courses that are worked out from here on."""
    courses: list[int] = []
    work_out = catalogue_plan.Planner._item

    def note(planner: Any, course: Any, basis: str) -> Any:
        courses.append(course.id)
        return work_out(planner, course, basis)

    monkeypatch.setattr(catalogue_plan.Planner, "_item", note)
    return courses


def test_what_has_not_moved_is_neither_worked_out_nor_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(world)
    worked_out = looked_at(world, monkeypatch)
    with writing(world) as written:
        world.bridge.catalogue.sync()
        assert (worked_out, written) == ([], [])
        world.bridge.catalogue.plan(afresh=True)
    assert (len(worked_out), sum(written)) == (4, 4), "asked for by hand, all of it is worked out anew"


def test_only_the_course_that_moved_is_worked_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    courses = settled(world)
    worked_out = looked_at(world, monkeypatch)
    world.totara.edit_course(courses[2], fullname="Another name")
    assert planned(world) == {courses[2]: ("update", {"name": "Another name"})}
    assert worked_out == [courses[2]]


@pytest.mark.parametrize(
    "moved", ["deleted for good", "off sale", "on sale again", "another product", "forgotten by us", "handed back"]
)
def test_what_moves_on_our_side_of_a_settled_course_is_seen(world: World, moved: str) -> None:
    course, *_ = settled(world)
    (product,) = [p["id"] for p in world.shop.products.values() if p["sku"] == f"totara-course-{course}"]
    if moved == "deleted for good":
        world.shop.delete_product(product, force=True)
    elif moved == "off sale":
        world.shop.edit_product(product, status="draft")
        world.totara.edit_course(course, visible=0)
    elif moved == "on sale again":
        world.totara.edit_course(course, visible=0)
        world.bridge.catalogue.sync()
        world.bridge.catalogue.sync()
        world.shop.edit_product(product, status="publish")
    elif moved == "another product":
        world.shop.edit_product(product, sku="")
        world.shop.add_product("Another", sku=f"totara-course-{course}")
    elif moved == "forgotten by us":
        with world.bridge.store.begin() as connection:
            connection.execute(products.delete())
    else:
        world.shop.edit_product(product, name="By the staff")
        world.totara.edit_course(course, fullname="Again")
        world.bridge.catalogue.sync()
        world.bridge.catalogue.sync()
        assert world.bridge.catalogue.hand_back(course) == ["name"]
    world.bridge.catalogue.plan()
    actions = {c.course_id: c.action for c in world.bridge.catalogue.changes()}
    expected = {"deleted for good": "create", "off sale": "mark", "on sale again": "retire", "another product": "adopt",
                "forgotten by us": "adopt", "handed back": "update"}  # fmt: skip
    assert actions[course] == expected[moved]
    if moved == "forgotten by us":
        assert len(actions) == 4


@pytest.mark.parametrize(
    ("section", "fields", "acts"),
    [
        ("catalogue", {"prices": [{"shortname": "*", "price": "120.00"}]}, "update"),
        ("catalogue", {"categories": "none"}, None),
        ("catalogue", {"allow": [{"shortname": "nothing-*"}]}, "retire"),
        ("catalogue", {"deny": [{"category": "Public"}]}, "retire"),
        ("catalogue", {"visibility": "audience"}, None),
        ("shop", {"language": "fr"}, "update"),
    ],
)
def test_a_setting_that_moves_is_seen_in_every_course(
    world: World, section: str, fields: dict[str, Any], acts: str | None
) -> None:
    name = '<span lang="en" class="multilang">Law</span><span lang="fr" class="multilang">Droit</span>'
    courses = settled(world, name=name)
    other = world.new_bridge(**{section: {**world.bridge.settings.model_dump()[section], **fields}})
    world.bridge = other
    found = planned(world)
    assert {course: action for course, (action, _) in found.items()} == dict.fromkeys(courses if acts else [], acts)
    assert found == planned(world, afresh=True)


def test_a_tag_that_is_taken_off_is_seen(make_world: Callable[..., World]) -> None:
    world = make_world(catalogue={"allow": [{"tag": "1"}]})
    courses = [world.course(f"C{n}", tags={"sold"}) for n in range(3)]
    world.bridge.catalogue.sync()
    world.bridge.catalogue.sync()
    world.totara.courses[courses[1]].tags = set()
    assert planned(world) == {courses[1]: ("retire", {"status": "draft"})}


def test_the_rows_of_the_version_before_are_worked_out_anew(world: World) -> None:
    courses = settled(world)
    with world.bridge.store.begin() as connection:  # as that version writes them: all new, without our columns
        connection.execute(shelf.delete())
        for course in (*courses, 4711):
            connection.execute(
                shelf.insert().values(
                    course_id=course, read=True, action="create", reason="old", fields={"name": "Old"}
                )
            )
    assert planned(world) == {}
    assert sorted(row.course_id for row in world.rows("shelf") if row.read) == courses


# --- the same as if all were worked out anew ----------------------------------------------------------------------


def move(world: World, chance: random.Random) -> None:
    """Something happens, in Totara, in the shop, or to the bridge."""
    courses = sorted(course for course in world.totara.courses if course > 1)
    shown = [p["id"] for p in world.shop.products.values() if p["status"] != "trash"]
    course, n = chance.choice(courses), chance.randrange(10**6)
    product = chance.choice(shown or [0])
    what = chance.randrange(13)
    if what == 0:
        world.course(f"N{n}")
    elif what == 1 and len(courses) > 4:
        world.totara.delete_course(course)
    elif what == 2:
        world.totara.edit_course(course, fullname=f"Renamed {n}")
    elif what == 3:
        world.totara.edit_course(course, visible=chance.randrange(2))
    elif what == 4:
        world.totara.move_course(course, chance.choice([world.public, world.restricted]))
    elif what == 5 and product:
        world.shop.delete_product(product, force=bool(n % 2))
    elif what == 6 and product:
        world.shop.edit_product(product, status=chance.choice(["draft", "publish", "private"]))
    elif what == 7 and product:
        world.shop.edit_product(product, sku=chance.choice(["", f"totara-course-{course + 100}"]))
    elif what == 8:
        world.bridge.catalogue.hand_back(chance.choice(sorted(row.course_id for row in world.rows("products")) or [0]))
    elif what == 9:
        world.totara.categories[world.public].name = f"Public {n}"
    elif what == 10:
        (world.shop.faults if n % 2 else world.totara.faults).down(times=1)
    elif what == 11:
        world.shop.faults.cut("batch", times=1)
    elif world.rows("products"):
        with world.bridge.store.begin() as connection:
            chosen = chance.choice(sorted(row.course_id for row in world.rows("products")))
            connection.execute(products.delete().where(products.c.course_id == chosen))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.timeout(120)
def test_whatever_happens_a_plan_says_what_one_made_afresh_says(world: World, seed: int) -> None:
    chance = random.Random(seed)
    for n in range(6):
        world.course(f"C{n}")
    acted = 0
    for _ in range(12):
        for _ in range(chance.randrange(4)):
            with suppress(BridgeError, WpError):
                move(world, chance)
        with suppress(BridgeError):  # a run that is cut off, somewhere
            world.bridge.catalogue.plan()
        for faults in (world.shop.faults, world.totara.faults):
            faults.clear()
        for breaker in world.bridge.breakers.values():
            breaker.note(True)
        found = planned(world)
        assert found == planned(world, afresh=True)
        acted += bool(found)
        with suppress(BridgeError):
            world.bridge.catalogue.apply(world.bridge.catalogue.plan(), anyway=True)
    assert acted > 2, "too little happened for this to say anything"


# --- one run at a time --------------------------------------------------------------------------------------------


def overtaken_at(world: World, stage: str) -> CatalogueSync:
    """The catalogue in a bridge that another overtakes as soon as it has done something of this stage."""
    other = world.new_bridge()

    def overtake(now: str, done: int, total: int | None) -> None:
        if now == stage:
            Shelf.taken_over(other.store, utc_now())

    bridge = world.bridge
    return CatalogueSync(bridge.settings, bridge.store, bridge.shop, bridge.totara, progress=overtake)


@pytest.mark.parametrize("stage", ["reading the shop", "reading Totara"])
def test_a_run_that_is_overtaken_while_it_reads_sends_nothing(world: World, stage: str) -> None:
    for n in range(3):
        world.course(f"C{n}")
    world.shop.add_product("Listed", sku="totara-course-4711")
    world.shop.requests.clear()
    with pytest.raises(Unavailable, match="another run"):
        overtaken_at(world, stage).sync()
    assert [told for told in world.shop.requests if not told.startswith("GET")] == []


def test_a_run_that_is_overtaken_before_it_writes_sends_nothing(world: World) -> None:
    world.course("ONE")
    late = world.bridge.catalogue.plan()
    world.new_bridge().catalogue.plan()
    with pytest.raises(Unavailable, match="another run"):
        world.bridge.catalogue.apply(late)
    assert world.shop.products == {}


def test_a_run_that_is_overtaken_while_it_writes_stops_and_the_next_makes_it_good(world: World) -> None:
    for n in range(400):
        world.course(f"C{n}")
    with pytest.raises(Unavailable, match="another run"):
        overtaken_at(world, "writing to the shop").sync()
    assert 100 <= len(world.shop.products) <= 300, "what was under way, and no more"
    world.bridge.catalogue.sync()
    skus = [product["sku"] for product in world.shop.products.values()]
    assert len(skus) == len(set(skus)) == 400
    assert planned(world) == {}
    assert len(world.rows("products")) == 400
