"""What others wrote is text on our pages, never a part of them."""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.test import Client

from tests.test_story_sign_on import NIA, SECRET, bought, claims, launch, signed
from tests.world import World


def test_the_name_of_a_course_is_no_html_on_the_list_of_courses(make_world: Callable[..., World]) -> None:
    """Flask would take it for some, by the names of our templates: they end in .j2."""
    world = make_world(sso={"shop_secrets": [SECRET], "wait_seconds": 0})
    nia = world.shop.add_customer(NIA)
    course = world.course("ONE")
    order = bought(world, nia, course)
    named = "<i>Origin</i> & more"
    world.shop.orders[order]["line_items"][0]["name"] = named
    world.look(order)
    browser = Client(world.bridge.web())
    launch(world, signed(claims(world, nia, target="courses")), browser)
    page = browser.get("/learn").text
    assert named not in page
    assert "<strong>&lt;i&gt;Origin&lt;/i&gt; &amp; more</strong>" in page
