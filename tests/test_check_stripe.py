"""What `bridge check` says of Stripe, and what is there when it is configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bridge.check import check
from bridge.findings import Finding
from bridge.sandbox.server import Served
from bridge.sandbox.stripe import SANDBOX_KEY, Stripe
from bridge.stripe_client import VERSION
from tests.world import World

SECRET = "whsec_0123456789abcdef"


@pytest.fixture
def fake() -> Stripe:
    return Stripe()


@pytest.fixture
def served(fake: Stripe) -> Iterator[Served]:
    with Served(fake.app) as running:
        yield running


def found(world: World) -> list[Finding]:
    return [finding for finding in check(world.bridge) if finding.what == "stripe"]


def test_without_a_key_it_is_off_and_check_says_so(world: World) -> None:
    assert world.bridge.stripe is None
    (said,) = found(world)
    assert (said.level, said.said) == ("note", "is not configured: what the shop calls paid is taken as paid")


def test_a_key_that_works_is_told_with_its_mode(make_world: Callable[..., World], served: Served) -> None:
    world = make_world(stripe={"secret_key": SANDBOX_KEY, "webhook_secrets": [SECRET], "url": served.url})
    (said,) = found(world)
    assert (said.level, said.said) == ("ok", f"answers, in test mode, by version {VERSION}")
    assert world.bridge.stripe is world.bridge.stripe


def test_without_a_signing_secret_it_says_where_stripe_should_deliver_to(
    make_world: Callable[..., World], served: Served
) -> None:
    server = {"public_url": "https://bridge.example"}
    world = make_world(stripe={"secret_key": SANDBOX_KEY, "url": served.url}, server=server)
    works, said = found(world)
    assert (works.level, said.level) == ("ok", "problem")
    assert "https://bridge.example/webhooks/stripe" in said.mend


def test_a_key_that_is_not_accepted_or_may_too_little_is_a_problem(
    make_world: Callable[..., World], fake: Stripe, served: Served
) -> None:
    fake.add_key("rk_test_0123456789", {"payment_intents", "charges"})
    for key, says in (
        ("sk_test_0123456789", "the secret key is not accepted"),
        ("rk_test_0123456789", "refused disputes: the secret key may not do this"),
    ):
        world = make_world(stripe={"secret_key": key, "url": served.url})
        (said,) = found(world)
        assert said.level == "problem"
        assert says in said.said
        assert key not in said.said + said.mend


def test_a_stripe_that_is_down_does_not_hide_the_rest(
    make_world: Callable[..., World], fake: Stripe, served: Served
) -> None:
    fake.faults.down()
    world = make_world(stripe={"secret_key": SANDBOX_KEY, "url": served.url})
    findings = check(world.bridge)
    assert [one.level for one in findings if one.what == "stripe"] == ["problem"]
    assert [one.level for one in findings if one.what == "tenant"] == ["ok"]
    assert world.bridge.breakers["stripe"].ready
