"""Stories: the catalogue in the shop follows Totara, and never destroys anything. On both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge.domain.catalogue import Change
from bridge.errors import Refused, Unavailable
from bridge.sandbox.server import Served
from bridge.store import ledger
from bridge.store.models import products
from bridge.sync_jobs import ALL, CATALOGUE
from tests.world import World

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 64


def plan(world: World) -> dict[int, Change]:
    """The plan, by course."""
    world.bridge.catalogue.plan()
    return {change.course_id: change for change in world.bridge.catalogue.changes()}


def writes(world: World) -> list[str]:
    """The shop's requests that were not reads."""
    return [request for request in world.shop.requests if not request.startswith("GET")]


def test_a_selected_course_appears_with_name_text_category_and_price(world: World) -> None:
    top = world.totara.add_category("Customs & trade")
    sub = world.totara.add_category("Valuation", parent=top)
    name = '<span lang="en" class="multilang">R&D "law"</span><span lang="fr" class="multilang">Droit</span>'
    course = world.course(
        "VAL", category=sub, name=name, summary="<p>One <b>two</b></p><script>x()</script>", idnumber="V-1"
    )
    world.bridge.catalogue.sync()
    made = world.product(course)
    assert made["name"] == 'R&amp;D "law"'
    assert made["description"].startswith("<p>One <b>two</b></p>")
    assert "script" not in made["description"]
    assert (made["regular_price"], made["status"], made["virtual"], made["type"]) == (
        "100.00",
        "publish",
        True,
        "simple",
    )
    (category,) = made["categories"]
    parent = world.shop.categories[world.shop.categories[category["id"]]["parent"]]
    assert (category["name"], parent["name"]) == ("Valuation", "Customs &amp; trade")
    assert {m["key"]: m["value"] for m in made["meta_data"]}["_totara_course_id"] == str(course)


def test_the_shops_language_is_taken(make_world: Callable[..., World]) -> None:
    world = make_world(shop={"language": "fr"})
    name = '<span lang="en" class="multilang">Law</span><span lang="fr" class="multilang">Droit</span>'
    course = world.course("VAL", name=name)
    world.bridge.catalogue.sync()
    assert world.product(course)["name"] == "Droit"


def test_without_a_price_it_is_a_draft_and_stays_the_staffs_to_publish(make_world: Callable[..., World]) -> None:
    world = make_world(catalogue={"prices": []})
    course = world.course("ONE")
    world.bridge.catalogue.sync()
    made = world.product(course)
    assert (made["status"], made["regular_price"]) == ("draft", "")
    world.shop.edit_product(made["id"], status="publish", regular_price="75.00")
    world.totara.edit_course(course, summary="<p>More</p>")
    world.bridge.catalogue.sync()
    made = world.product(course)
    assert (made["status"], made["regular_price"]) == ("publish", "75.00")
    assert "More" in made["description"]


@pytest.mark.parametrize("why", ["denied category", "no rule", "hidden", "no manual enrolment", "system category"])
def test_what_may_not_be_sold_never_gets_into_the_shop(make_world: Callable[..., World], why: str) -> None:
    world = make_world(catalogue={"allow": [{"idnumber": "SELL-*"}]})
    fields: dict[str, Any] = {"idnumber": "SELL-1"}
    if why == "denied category":
        fields["category"] = world.totara.add_category("Below", parent=world.restricted)
    elif why == "no rule":
        fields["idnumber"] = "KEEP-1"
    elif why == "hidden":
        fields["visible"] = 0
    elif why == "no manual enrolment":
        fields["enrol_methods"] = ("self",)
    else:
        fields["category"] = next(c.id for c in world.totara.categories.values() if c.name == "Space category")
    world.course("ONE", **fields)
    good = world.course("TWO", idnumber="sell-2")
    world.bridge.catalogue.sync()
    assert [p["sku"] for p in world.shop.products.values()] == [f"totara-course-{good}"]


def test_a_denied_category_is_not_even_read(world: World) -> None:
    world.course("SECRET", category=world.restricted)
    world.course("ONE")
    world.totara.requests.clear()
    world.bridge.catalogue.sync()
    assert world.totara.requests.count("ws core_course_get_courses_by_field") == 1


def test_a_rule_about_a_category_that_is_not_there_stops_everything(make_world: Callable[..., World]) -> None:
    world = make_world(catalogue={"deny": [{"category": "Renamed since"}]})
    world.course("ONE")
    with pytest.raises(Refused, match="Renamed since"):
        world.bridge.catalogue.sync()
    assert world.shop.products == {}


def test_nothing_changed_means_no_write_at_all(world: World) -> None:
    for n in range(3):
        world.course(f"C{n}", image=PNG)
    with Served(world.bridge.web()) as served:
        world.bridge.catalogue._public_url = served.url
        world.bridge.catalogue.sync()
        world.shop.requests.clear()
        world.totara.requests.clear()
        world.bridge.catalogue.sync()
    assert writes(world) == []
    assert [r for r in world.totara.requests if r.startswith("file")] == []


def test_the_picture_is_copied_once_and_its_token_goes_nowhere(world: World) -> None:
    course = world.course("ONE", image=PNG)
    with Served(world.bridge.web()) as served:
        world.bridge.catalogue._public_url = served.url
        world.bridge.catalogue.sync()
        first = world.product(course)["images"]
        assert len(first) == 1
        body, _ending = world.shop.attachments[first[0]["id"]]
        assert body == PNG
        world.totara.edit_course(course, summary="<p>Changed</p>")
        world.bridge.catalogue.sync()
        assert world.product(course)["images"][0]["id"] == first[0]["id"]
        assert len(world.shop.attachments) == 1
        # Deleted in the shop, it comes back with the picture it has already.
        world.shop.delete_product(world.product(course)["id"], force=True)
        world.bridge.catalogue.sync()
        assert world.product(course)["images"][0]["id"] == first[0]["id"]
        assert len(world.shop.attachments) == 1
    assert "sandbox-ws-token" not in str(world.shop.products) + str(world.rows("pictures")) + str(world.rows("shelf"))


def test_a_picture_that_the_shop_cannot_fetch_does_not_keep_the_course_from_being_sold(world: World) -> None:
    course = world.course("ONE", image=PNG)
    world.bridge.catalogue._public_url = "http://127.0.0.1:9"
    with pytest.raises(Refused, match="picture"):
        world.bridge.catalogue.sync()
    assert world.product(course)["status"] == "publish"
    with Served(world.bridge.web()) as served:
        world.bridge.catalogue._public_url = served.url
        world.bridge.catalogue.sync()
    assert len(world.product(course)["images"]) == 1


@pytest.mark.parametrize("answer", ["an error", "half of it", "nothing at all", "HTML"])
def test_an_answer_that_is_not_whole_changes_nothing(world: World, answer: str) -> None:
    other = world.totara.add_category("Other")
    for n in range(4):
        world.course(f"C{n}", category=other if n % 2 else None)
    world.bridge.catalogue.sync()
    before = {p["id"]: (p["status"], p["date_modified"]) for p in world.shop.products.values()}
    world.shop.requests.clear()
    if answer == "an error":
        world.totara.faults.down("core_course_get_courses_by_field")
    elif answer == "HTML":
        world.totara.faults.down("core_course_get_courses_by_field", status=200)
    elif answer == "half of it":
        world.totara.faults.down("core_course_get_courses_by_field", times=1)
    else:
        for course in world.totara.courses.values():
            course.viewable = False
    with pytest.raises((Unavailable, Refused)):
        world.bridge.catalogue.sync()
    assert writes(world) == []
    assert {p["id"]: (p["status"], p["date_modified"]) for p in world.shop.products.values()} == before


def test_losing_most_of_the_courses_stops_and_says_so_until_a_person_agrees(world: World) -> None:
    courses = [world.course(f"C{n}") for n in range(5)]
    world.bridge.catalogue.sync()
    for course in courses[:3]:
        world.totara.delete_course(course)
    world.owe(CATALOGUE, ALL)
    world.settle()
    assert "3 of 5 products would be taken off sale" in world.parked()["catalogue all"]
    assert all(p["status"] == "publish" for p in world.shop.products.values())
    sync = world.bridge.catalogue
    sync.apply(sync.plan(), anyway=True)
    assert sorted(p["status"] for p in world.shop.products.values()) == ["draft"] * 3 + ["publish"] * 2


def test_a_change_of_very_many_products_stops(make_world: Callable[..., World]) -> None:
    world = make_world(catalogue={"max_change": 0.2, "max_change_count": 3})
    courses = [world.course(f"C{n}") for n in range(8)]
    world.bridge.catalogue.sync()
    for course in courses[:4]:
        world.totara.edit_course(course, fullname="Renamed")
    with pytest.raises(Refused, match="4 of 8"):
        world.bridge.catalogue.sync()
    assert not any(p["name"] == "Renamed" for p in world.shop.products.values())


def test_a_course_that_is_gone_becomes_a_draft_and_comes_back(world: World) -> None:
    courses = [world.course(f"C{n}") for n in range(4)]
    world.bridge.catalogue.sync()
    one = world.product(courses[0])["id"]
    world.totara.edit_course(courses[0], visible=0)
    world.bridge.catalogue.sync()
    assert world.shop.products[one]["status"] == "draft"
    world.totara.edit_course(courses[0], visible=1)
    world.bridge.catalogue.sync()
    assert world.shop.products[one]["status"] == "publish"
    assert len(world.shop.products) == 4


def test_a_course_moved_into_a_restricted_category_goes_off_sale(world: World) -> None:
    courses = [world.course(f"C{n}") for n in range(4)]
    world.bridge.catalogue.sync()
    world.totara.move_course(courses[0], world.restricted)
    world.bridge.catalogue.sync()
    assert world.product(courses[0])["status"] == "draft"


def test_what_the_staff_wrote_stays_until_they_hand_it_back(world: World) -> None:
    course = world.course("ONE", summary="<p>Old</p>")
    world.bridge.catalogue.sync()
    one = world.product(course)["id"]
    world.shop.edit_product(one, name="Our own name", regular_price="12.00", short_description="<p>SEO</p>")
    world.totara.edit_course(course, fullname="Totara's new name", summary="<p>New</p>")
    change = plan(world)[course]
    assert "name" in change.reason
    assert "left as it is" in change.reason
    assert set(change.fields) == {"description"}
    world.bridge.catalogue.sync()
    made = world.shop.products[one]
    assert (made["name"], made["regular_price"]) == ("Our own name", "12.00")
    assert made["description"].startswith("<p>New</p>")
    assert made["short_description"].startswith("<p>SEO</p>")
    assert world.bridge.catalogue.hand_back(course, ["name"]) == ["name"]
    world.bridge.catalogue.sync()
    assert world.shop.products[one]["name"] == "Totara's new name"
    assert world.shop.products[one]["regular_price"] == "12.00"


def test_a_field_that_belongs_to_the_shop_is_filled_once_and_never_touched_again(
    make_world: Callable[..., World],
) -> None:
    world = make_world(catalogue={"shop_owns": ["description", "regular_price"]})
    course = world.course("ONE", summary="<p>First</p>")
    world.bridge.catalogue.sync()
    assert world.product(course)["description"].startswith("<p>First</p>")
    world.totara.edit_course(course, summary="<p>Second</p>", fullname="Second")
    world.bridge.catalogue.sync()
    assert world.product(course)["description"].startswith("<p>First</p>")
    assert world.product(course)["name"] == "Second"


def test_a_product_that_has_the_sku_already_is_adopted_and_only_its_gaps_are_filled(world: World) -> None:
    course = world.course("ONE", summary="<p>From Totara</p>")
    one = world.shop.add_product("Made by hand", sku=f"TOTARA-course-{course}", price="55.00")
    world.bridge.catalogue.sync()
    made = world.shop.products[one]
    assert len(world.shop.products) == 1
    assert (made["name"], made["regular_price"]) == ("Made by hand", "55.00")
    assert made["description"].startswith("<p>From Totara</p>")
    world.totara.edit_course(course, fullname="Another")
    world.bridge.catalogue.sync()
    assert world.shop.products[one]["name"] == "Made by hand"


def test_a_lost_database_knows_its_own_products_again(world: World) -> None:
    course = world.course("ONE")
    world.bridge.catalogue.sync()
    with world.bridge.store.begin() as connection:
        connection.execute(products.delete())
    world.shop.requests.clear()
    world.bridge.catalogue.sync()
    assert writes(world) == []
    world.totara.edit_course(course, fullname="Renamed")
    world.bridge.catalogue.sync()
    assert world.product(course)["name"] == "Renamed"


def test_a_product_in_the_bin_is_left_there_and_said(world: World) -> None:
    course = world.course("ONE")
    world.bridge.catalogue.sync()
    world.shop.delete_product(world.product(course)["id"])
    assert "bin" in plan(world)[course].reason
    world.bridge.catalogue.sync()
    assert len(world.shop.products) == 1


def test_one_product_that_fails_does_not_keep_the_others(world: World) -> None:
    good = [world.course(f"C{n}") for n in range(3)]
    taken = world.course("TAKEN")
    sold = world.shop.add_product("Variable", sku="v", type="variable")
    world.shop.add_variation(sold, sku=f"totara-course-{taken}", price="1.00", attributes=[("A", "b")])
    with pytest.raises(Refused, match=f"course {taken}"):
        world.bridge.catalogue.sync()
    assert all(world.product(course)["status"] == "publish" for course in good)


def test_a_product_sold_under_our_sku_that_gives_nothing_is_reported(world: World) -> None:
    world.course("ONE")
    world.shop.add_product("Ghost", sku="totara-course-4711", price="10.00")
    world.bridge.catalogue.sync()
    with world.bridge.store.read() as connection:
        note = ledger.read_note(connection, "catalogue")
    assert note is not None
    assert note[0]["unresolved"] == 1
    answer = world.web.get("/readyz")
    assert any("give nothing" in problem for problem in answer.json["problems"])  # type: ignore[index]


def test_a_product_on_sale_for_a_restricted_course_is_taken_off_sale_whoever_made_it(world: World) -> None:
    course = world.course("SECRET", category=world.restricted)
    for n in range(3):
        world.course(f"C{n}")
    world.bridge.catalogue.sync()
    leak = world.shop.add_product("Leak", sku=f"totara-course-{course}", price="1.00")
    world.bridge.catalogue.sync()
    # The category is not read, so the bridge can't tell this course from one that is not there: it says so.
    change = plan(world)[course]
    assert change.action == "keep"
    assert world.shop.products[leak]["status"] == "publish"
    # And nobody is let in by it, which is what counts.
    world.owe("order", world.shop.place_order([(leak, 1)], email="x@guest.test"))
    world.settle()
    assert world.access() == {}


def test_the_plan_is_what_apply_does(world: World) -> None:
    for n in range(4):
        world.course(f"C{n}")
    planned = {course: dict(change.fields) for course, change in plan(world).items()}
    name = world.bridge.catalogue.fingerprint()
    assert writes(world) == []
    world.bridge.catalogue.apply(world.bridge.catalogue.plan())
    assert {int(p["sku"].rsplit("-", 1)[1]) for p in world.shop.products.values()} == set(planned)
    world.bridge.catalogue.plan()
    assert world.bridge.catalogue.fingerprint() != name


def test_two_hundred_and_fifty_courses_in_three_batches(world: World) -> None:
    for n in range(250):
        world.course(f"C{n}")
    world.bridge.catalogue.sync()
    assert len(world.shop.products) == 250
    assert world.shop.requests.count("POST /wp-json/wc/v3/products/batch") == 3
    with world.bridge.store.read() as connection:
        assert connection.execute(select(func.count()).select_from(products)).scalar() == 250


@pytest.mark.parametrize("fault", ["down", "cut"])
def test_a_batch_that_failed_on_the_wire_is_made_good_by_the_next_run(world: World, fault: str) -> None:
    for n in range(3):
        world.course(f"C{n}")
    getattr(world.shop.faults, fault)("batch", times=1)
    world.owe(CATALOGUE, ALL)
    world.settle()
    world.pass_time()
    world.settle()
    assert len(world.shop.products) == 3
    assert [(row.retired, row.held) for row in world.rows("products")] == [(False, [])] * 3
    assert world.parked() == {}


def test_a_category_renamed_in_totara_is_renamed_in_the_shop(world: World) -> None:
    course = world.course("ONE")
    world.bridge.catalogue.sync()
    (category,) = world.product(course)["categories"]
    world.totara.categories[world.public].name = "Public & open"
    world.course("TWO")
    world.bridge.catalogue.sync()
    assert world.shop.categories[category["id"]]["name"] == "Public &amp; open"
