"""Stories: a paid order becomes an enrolment."""

from __future__ import annotations

from tests.world import World


def test_a_guest_pays_and_is_enrolled_in_the_academy(world: World) -> None:
    course = world.course("FIRE101")
    product = world.sell(course)
    order = world.shop.place_order([(product, 1)], email="Mia@guest.test", first_name="Mia", last_name="Guest")
    world.owe("order", order)
    world.settle()
    assert world.access() == {("mia@guest.test", course): "active"}
    user = world.totara.user_by_email("mia@guest.test")
    assert user is not None
    assert user.tenant == world.totara.tenant("academy").id
    assert world.totara.reachable(user.id, course)
    assert world.parked() == {}
