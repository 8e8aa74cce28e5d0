"""The work engine, on both databases: what is owed is done once, by one, and never forgotten."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select

from bridge.store.db import Store
from bridge.store.models import work as table
from bridge.store.work import CHANNEL, Claim, Work, owner_name

BEGAN = datetime(2026, 11, 23, 12, 0, 0, 250000, tzinfo=UTC)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def work(store: Store, clock: Clock) -> Work:
    return Work(store, lease=60, backoff=2, cap=300, now=clock, owner="first")


@pytest.fixture
def other(store: Store, clock: Clock) -> Work:
    """Another process on the same database."""
    return Work(store, lease=60, backoff=2, cap=300, now=clock, owner="second")


def must(claim: Claim | None) -> Claim:
    assert claim is not None
    return claim


def row(work: Work, key: object = "1", kind: str = "order") -> Any:
    found = work.find(kind, str(key))
    assert found is not None
    return found


# --- marking ---------------------------------------------------------------------------------------------------


def test_marking_twice_is_marking_once(work: Work) -> None:
    work.mark_due("order", 1)
    work.mark_due("order", 1)
    claim = must(work.claim(["order"]))
    assert (claim.kind, claim.key, claim.attempts, claim.hints) == ("order", "1", 0, 2)
    assert work.settle(claim)
    assert work.claim(["order"]) is None


def test_one_call_marks_many_and_the_same_key_in_it_counts_once(work: Work) -> None:
    work.mark_due("order", 3, "3", 1, 2)
    taken = [must(work.claim(["order"])) for _ in range(3)]
    assert sorted(claim.key for claim in taken) == ["1", "2", "3"]
    assert {claim.hints for claim in taken} == {1}
    assert work.claim(["order"]) is None


def test_things_of_several_kinds_are_marked_in_one_go(work: Work) -> None:
    work.mark_many([("order", "1"), ("learner", "1"), ("order", "2")])
    assert {kind: counts["due"] for kind, counts in work.counts().items()} == {"learner": 1, "order": 2}


def test_more_things_than_one_statement_holds_are_all_marked(work: Work) -> None:
    work.mark_many([("order", str(number)) for number in range(2500)])
    work.mark_many([("order", str(number)) for number in range(2499, -1, -1)])
    assert work.counts()["order"]["due"] == 2500
    assert {row(work, key).hints for key in (0, 1, 999, 1000, 2499)} == {2}


def test_the_same_thing_twice_in_one_mark_is_no_error(work: Work) -> None:
    with work.store.begin() as connection:
        work.mark(connection, "order", [3, "3", 1, 3])
    work.mark_many([("order", "1"), ("order", "1")])
    assert (row(work, 1).hints, row(work, 3).hints) == (2, 1)


def test_what_was_marked_by_itself_leaves_later_transactions_whole(work: Work) -> None:
    for number in range(5):
        work.mark_many([("order", str(number))])
    with pytest.raises(ZeroDivisionError), work.store.begin() as connection:
        work.mark(connection, "learner", [7])
        raise ZeroDivisionError
    assert work.find("learner", "7") is None


@pytest.mark.parametrize("own_transaction", [True, False])
def test_whoever_listens_on_postgresql_is_told_once_of_what_is_due_now(store: Store, own_transaction: bool) -> None:
    if store.is_sqlite:
        pytest.skip("one process, which has the bell")
    work = Work(store)
    url = store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def told() -> int:
        return len(list(listener.notifies(timeout=0.2)))

    with psycopg.connect(url, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        for at, times in ((None, 1), (BEGAN, 0)):
            if own_transaction:
                with store.begin() as connection:
                    work.mark(connection, "order", [1, 2, 3], at)
                    assert told() == 0, "not before it has committed"
            else:
                work.mark_due("order", 1, 2, 3, at=at)
            assert told() == times


def test_marking_nothing_is_nothing(work: Work) -> None:
    work.mark_due("order")
    work.mark_many([])
    assert work.counts() == {}


def test_a_thing_that_is_due_stays_due_at_the_earlier_moment(work: Work, clock: Clock) -> None:
    later, earlier = clock() + timedelta(hours=2), clock() + timedelta(hours=1)
    for at in (later, earlier, later):
        work.mark_due("learner", 1, at=at)
    assert row(work, kind="learner").due_at == earlier
    assert work.claim(["learner"]) is None
    work.mark_due("learner", 1)
    assert must(work.claim(["learner"])).key == "1"


def test_what_is_owed_later_is_not_given_out_before(work: Work, clock: Clock) -> None:
    work.mark_due("learner", 1, at=clock() + timedelta(seconds=10))
    clock.pass_seconds(9.9)
    assert work.claim(["learner"]) is None
    assert work.counts()["learner"]["due"] == 0
    clock.pass_seconds(0.1)
    assert must(work.claim(["learner"])).key == "1"


def test_a_mark_that_is_rolled_back_was_never_made(work: Work) -> None:
    with pytest.raises(ZeroDivisionError), work.store.begin() as connection:
        work.mark(connection, "learner", [7])
        raise ZeroDivisionError
    assert work.find("learner", "7") is None


def test_a_mark_commits_with_what_made_it_necessary(work: Work) -> None:
    with work.store.begin() as connection:
        work.mark(connection, "learner", [7])
        assert work.find("learner", "7") is None, "nobody sees it yet"
    assert must(work.claim(["learner"])).key == "7"


def test_marking_rings_the_bell(work: Work) -> None:
    woken = threading.Event()

    def wait() -> None:
        work.store.bell.wait(30)
        woken.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    work.mark_due("order", 1)
    waiter.join(10)
    assert woken.is_set()


# --- claiming ---------------------------------------------------------------------------------------------------


def test_the_longest_due_comes_first(work: Work, clock: Clock) -> None:
    for key, age in (("young", 1), ("old", 100), ("middle", 10)):
        work.mark_due("order", key, at=clock() - timedelta(seconds=age))
    work.mark_due("learner", "oldest", at=clock() - timedelta(seconds=1000))
    assert [must(work.claim(["order", "learner"])).key for _ in range(4)] == ["oldest", "old", "middle", "young"]


def test_only_the_kinds_asked_for_are_given(work: Work) -> None:
    work.mark_due("order", 1)
    assert work.claim(["learner"]) is None
    assert work.claim([]) is None
    assert must(work.claim(["learner", "order"])).kind == "order"


@pytest.mark.parametrize("size", [2, 500])
def test_a_claim_takes_one_thing_and_leaves_the_others_alone(work: Work, size: int) -> None:
    work.mark_due("order", *range(size))
    for taken in range(1, 3):
        must(work.claim(["order"]))
        with work.store.read() as connection:
            leased = connection.execute(select(func.count()).where(table.c.lease_owner.is_not(None))).scalar_one()
        assert leased == taken


def test_what_one_holds_another_does_not_get(work: Work, other: Work) -> None:
    work.mark_due("order", 1)
    must(work.claim(["order"]))
    assert other.claim(["order"]) is None
    assert other.take("order", "1") is None
    assert work.claim(["order"]) is None


@pytest.mark.parametrize("nodes", [1, 4])
def test_two_that_claim_at_once_never_get_the_same(store: Store, nodes: int) -> None:
    works = [Work(store, owner=f"node {number}") for number in range(nodes)]
    works[0].mark_due("order", *range(120))
    start = threading.Barrier(8)

    def take_all(number: int) -> list[str]:
        mine, node = [], works[number % nodes]
        start.wait()
        while claim := node.claim(["order"]):
            mine.append(claim.key)
        return mine

    with ThreadPoolExecutor(8) as pool:
        taken = Counter(key for keys in pool.map(take_all, range(8)) for key in keys)
    # On PostgreSQL a row that another is just looking at is skipped: whoever looks again gets what is left.
    while claim := works[0].claim(["order"]):
        taken[claim.key] += 1
    assert len(taken) == 120
    assert set(taken.values()) == {1}


def test_eight_that_want_one_and_the_same_thing_get_it_once(store: Store) -> None:
    works = [Work(store, owner=f"node {number}") for number in range(8)]
    start = threading.Barrier(8)

    def take(one: Work) -> Claim | None:
        start.wait()
        return one.take("catalogue", "all")

    with ThreadPoolExecutor(8) as pool:
        assert len([claim for claim in pool.map(take, works) if claim]) == 1


def test_marks_from_many_threads_are_all_counted(store: Store) -> None:
    work = Work(store)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: work.mark_many([("order", str(number % 3)), ("learner", "1")]), range(48)))
    assert {key: row(work, key).hints for key in range(3)} == {0: 16, 1: 16, 2: 16}
    assert row(work, kind="learner").hints == 48


# --- settling ---------------------------------------------------------------------------------------------------


def test_a_settled_thing_is_owed_no_more(work: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    assert work.settle(must(work.claim(["order"])))
    clock.pass_seconds(10_000)
    assert work.claim(["order"]) is None
    after = row(work)
    assert (after.due_at, after.first_due_at, after.lease_owner, after.attempts) == (None, None, None, 0)
    assert after.settled_at == BEGAN


def test_a_hint_while_working_leaves_it_due(work: Work, other: Work) -> None:
    work.mark_due("order", 1)
    claim = must(work.claim(["order"]))
    other.mark_due("order", 1)
    assert work.claim(["order"]) is None, "still held"
    assert work.settle(claim)
    again = must(other.claim(["order"]))
    assert (again.key, again.hints) == ("1", 2)
    assert other.settle(again)
    assert work.claim(["order"]) is None


def test_a_hint_while_working_beats_a_later_appointment(work: Work, clock: Clock) -> None:
    work.mark_due("learner", 1)
    claim = must(work.claim(["learner"]))
    work.mark_due("learner", 1)
    assert work.settle(claim, again_at=clock() + timedelta(days=90))
    assert must(work.claim(["learner"])).key == "1"


def test_settling_with_an_appointment_owes_it_again_then(work: Work, clock: Clock) -> None:
    work.mark_due("learner", 1)
    assert work.settle(must(work.claim(["learner"])), again_at=clock() + timedelta(days=90))
    clock.pass_seconds(89 * 86400)
    assert work.claim(["learner"]) is None
    clock.pass_seconds(86400)
    assert must(work.claim(["learner"])).key == "1"


def test_settling_forgets_earlier_failures_and_that_it_was_parked(work: Work) -> None:
    work.mark_due("order", 1)
    work.park(must(work.claim(["order"])), "a person has to look")
    work.mark_due("order", 1)
    assert work.settle(must(work.claim(["order"])))
    after = row(work)
    assert (after.attempts, after.parked_at, after.reason) == (0, None, None)
    assert work.parked() == []


@pytest.mark.parametrize(
    "end",
    [
        lambda work, claim: work.settle(claim),
        lambda work, claim: work.later(claim, "no answer"),
        lambda work, claim: work.park(claim, "look"),
        lambda work, claim: work.release(claim),
    ],
    ids=["settle", "later", "park", "release"],
)
def test_who_lost_the_lease_can_change_nothing(
    work: Work, other: Work, clock: Clock, end: Callable[[Work, Claim], bool]
) -> None:
    work.mark_due("order", 1)
    lost = must(work.claim(["order"]))
    clock.pass_seconds(61)
    theirs = must(other.claim(["order"]))
    before = row(work)
    assert end(work, lost) is False
    assert row(work) == before
    assert other.settle(theirs) is True


def test_a_thing_is_settled_only_once(work: Work) -> None:
    work.mark_due("order", 1)
    claim = must(work.claim(["order"]))
    assert work.settle(claim) is True
    assert work.settle(claim) is False


# --- leases -----------------------------------------------------------------------------------------------------


def test_a_lease_that_is_not_renewed_runs_out(work: Work, other: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    must(work.claim(["order"]))
    clock.pass_seconds(59)
    assert other.claim(["order"]) is None
    clock.pass_seconds(2)
    assert must(other.claim(["order"])).key == "1"


def test_a_renewed_lease_lasts(work: Work, other: Work, clock: Clock) -> None:
    work.mark_due("order", 1, 2)
    claims = [must(work.claim(["order"])) for _ in range(2)]
    for _ in range(5):
        clock.pass_seconds(50)
        work.renew(claims)
        work.renew([])
        assert other.claim(["order"]) is None
    assert all(work.settle(claim) for claim in claims)


def test_a_lost_lease_is_not_renewed_out_of_anothers_hands(work: Work, other: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    lost = must(work.claim(["order"]))
    clock.pass_seconds(61)
    must(other.claim(["order"]))
    until = row(work).lease_until
    clock.pass_seconds(30)
    work.renew([lost])
    assert row(work).lease_until == until
    assert row(work).lease_owner.startswith("second")


def test_a_lease_lost_to_another_thread_of_the_same_process_is_lost(work: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    lost = must(work.claim(["order"]))
    clock.pass_seconds(61)
    held = must(work.claim(["order"]))
    until = row(work).lease_until
    clock.pass_seconds(30)
    assert work.settle(lost) is False
    work.renew([lost])
    assert row(work).lease_until == until
    assert work.settle(held) is True


def test_keeping_renews_for_as_long_as_the_block_takes(store: Store) -> None:
    work, other = Work(store, lease=0.6, owner="first"), Work(store, lease=0.6, owner="second")
    work.mark_due("catalogue", "all")
    claim = must(work.claim(["catalogue"]))
    taken: list[Claim | None] = []
    with work.keeping(claim):
        for _ in range(15):
            threading.Event().wait(0.1)
            taken.append(other.take("catalogue", "all"))
    assert taken == [None] * 15
    assert work.settle(claim)


def test_released_work_is_there_for_another_at_once_and_no_attempt_is_counted(work: Work, other: Work) -> None:
    work.mark_due("order", 1)
    assert work.release(must(work.claim(["order"])))
    assert must(other.claim(["order"])).attempts == 0


def test_no_two_processes_have_the_same_name() -> None:
    assert len({owner_name() for _ in range(50)}) == 50
    assert all(len(owner_name()) <= 64 for _ in range(3))


# --- trying again ----------------------------------------------------------------------------------------------


def wait_after(work: Work, clock: Clock, **options: float) -> float:
    """Claim, fail, and say how many seconds it then waits."""
    claim = must(work.claim(["order"]))
    assert work.later(claim, "the shop did not answer", **options)  # type: ignore[arg-type]
    seconds = (row(work).due_at - clock()).total_seconds()
    clock.pass_seconds(seconds)
    return float(seconds)


def test_the_wait_grows_up_to_the_cap_and_no_further(work: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    waits = [wait_after(work, clock) for _ in range(45)]
    nominal = [min(300.0, 2.0 * 2**attempt) for attempt in range(45)]
    for attempt, (waited, most) in enumerate(zip(waits, nominal, strict=True)):
        assert most / 2 <= waited <= most, attempt
    assert row(work).attempts == 45


def test_the_wait_is_jittered_so_that_all_do_not_come_back_together(work: Work, clock: Clock) -> None:
    work.mark_due("order", *range(20))
    for _ in range(20):
        work.later(must(work.claim(["order"])), "no answer", counts=False)
    assert len({row(work, key).due_at for key in range(20)}) > 10


def test_a_wait_that_was_asked_for_is_kept_even_beyond_the_cap(work: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    assert wait_after(work, clock, wait=1800.0) == 1800.0
    assert wait_after(work, clock, wait=0.001) >= 1.0, "the growing wait is the least"


def test_an_attempt_that_does_not_count_is_not_counted(work: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    for _ in range(3):
        assert wait_after(work, clock, counts=False) <= 2.0
    after = row(work)
    assert (after.attempts, after.reason, after.parked_at) == (0, "the shop did not answer", None)


def test_a_thing_put_off_is_still_owed_since_the_first_time(work: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    for _ in range(4):
        wait_after(work, clock)
    assert row(work).first_due_at == BEGAN
    assert work.counts()["order"]["oldest"] == BEGAN


def test_a_thing_to_be_looked_at_later_is_owed_since_it_was_marked(work: Work, clock: Clock) -> None:
    work.mark_due("learner", 1, at=BEGAN + timedelta(days=30))
    work.mark_due("learner", 1)
    assert (row(work, 1, "learner").due_at, row(work, 1, "learner").first_due_at) == (BEGAN, BEGAN)


def test_a_hint_while_working_does_not_jump_the_queue_but_one_that_comes_later_does(work: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    claim = must(work.claim(["order"]))
    work.mark_due("order", 1)
    work.later(claim, "no answer", wait=100.0)
    assert work.claim(["order"]) is None
    work.mark_due("order", 1)
    assert must(work.claim(["order"])).attempts == 1


# --- parking ---------------------------------------------------------------------------------------------------


def test_a_parked_thing_waits_for_a_person_with_its_reason(work: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    assert work.park(must(work.claim(["order"])), "Totara knows no such course")
    clock.pass_seconds(10_000)
    assert work.claim(["order"]) is None
    (parked,) = work.parked()
    assert (parked.kind, parked.key, parked.reason, parked.since, parked.attempts, parked.due) == (
        "order", "1", "Totara knows no such course", BEGAN, 1, False,
    )  # fmt: skip


def test_a_new_hint_tries_a_parked_thing_again_and_it_stays_in_the_list_meanwhile(work: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    work.park(must(work.claim(["order"])), "first reason")
    clock.pass_seconds(100)
    work.mark_due("order", 1)
    assert [(p.key, p.due) for p in work.parked()] == [("1", True)]
    work.park(must(work.claim(["order"])), "second reason")
    (parked,) = work.parked()
    assert (parked.reason, parked.since, parked.due) == ("second reason", BEGAN, False)


def test_a_hint_while_a_thing_is_being_parked_tries_it_again(work: Work) -> None:
    work.mark_due("order", 1)
    claim = must(work.claim(["order"]))
    work.mark_due("order", 1)
    assert work.park(claim, "look")
    assert [p.due for p in work.parked()] == [True]
    assert must(work.claim(["order"])).key == "1"


def test_the_longest_parked_comes_first(work: Work, clock: Clock) -> None:
    for key in ("a", "b", "c"):
        work.mark_due("order", key)
        work.park(must(work.claim(["order"])), "look")
        clock.pass_seconds(1)
    assert [parked.key for parked in work.parked()] == ["a", "b", "c"]


# --- taking and dropping by hand ---------------------------------------------------------------------------------


def test_one_particular_thing_can_be_taken_due_or_not(work: Work, other: Work, clock: Clock) -> None:
    claim = must(work.take("catalogue", "all"))
    assert (claim.hints, claim.attempts) == (0, 0)
    assert other.take("catalogue", "all") is None
    assert work.release(claim)
    assert work.claim(["catalogue"]) is None, "it was never owed"
    work.mark_due("catalogue", "all", at=clock() + timedelta(hours=1))
    taken = must(other.take("catalogue", "all"))
    assert other.settle(taken)
    assert row(work, "all", "catalogue").due_at is None


def test_taking_a_parked_thing_and_settling_it_ends_its_parking(work: Work) -> None:
    work.mark_due("order", 1)
    work.park(must(work.claim(["order"])), "look")
    assert work.settle(must(work.take("order", "1")))
    assert work.parked() == []


def test_a_dropped_thing_is_owed_no_more(work: Work) -> None:
    work.mark_due("order", 1)
    assert work.drop("order", "1") is True
    assert work.drop("order", "1") is False
    assert work.find("order", "1") is None


def test_what_somebody_works_on_is_not_dropped_under_their_hands(work: Work, other: Work) -> None:
    work.mark_due("order", 1)
    claim = must(work.claim(["order"]))
    assert other.drop("order", "1") is False
    assert work.settle(claim)


# --- recurring ---------------------------------------------------------------------------------------------------


def test_recurring_work_marked_by_three_nodes_runs_once_a_period(store: Store, clock: Clock) -> None:
    nodes = [Work(store, now=clock, owner=f"node {number}") for number in range(3)]
    ran: list[float] = []
    began = clock()
    for tick in range(240):  # ten periods, every node's clock ticking at its own moment
        nodes[tick % 3].mark_recurring("sweep", "orders", 24.0)
        if claim := nodes[(tick + 1) % 3].claim(["sweep"]):
            ran.append((clock() - began).total_seconds())
            assert nodes[(tick + 1) % 3].settle(claim)
        clock.pass_seconds(1)
    assert 9 <= len(ran) <= 11
    assert all(later - earlier >= 0.9 * 24 for earlier, later in pairwise(ran))


def test_three_nodes_that_tick_in_the_same_moment_owe_it_once(store: Store) -> None:
    nodes = [Work(store, owner=f"node {number}") for number in range(3)]
    for _ in range(3):
        start = threading.Barrier(3)

        def tick(node: Work, start: threading.Barrier = start) -> list[Claim]:
            start.wait()
            node.mark_recurring("sweep", "orders", 3600.0)
            claim = node.claim(["sweep"])
            if claim:
                assert node.settle(claim)
            return [claim] if claim else []

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(tick, nodes))
        if claim := nodes[0].claim(["sweep"]):  # a node may have been skipped while another looked at the row
            nodes[0].settle(claim)
    assert row(nodes[0], "orders", "sweep").hints == 1


def test_recurring_work_that_is_owed_or_held_is_not_owed_again(work: Work, clock: Clock) -> None:
    work.mark_recurring("sweep", "orders", 10.0)
    clock.pass_seconds(25)
    work.mark_recurring("sweep", "orders", 10.0)
    claim = must(work.claim(["sweep"]))
    clock.pass_seconds(25)
    work.mark_recurring("sweep", "orders", 10.0)
    assert (claim.hints, row(work, "orders", "sweep").hints) == (1, 1)
    assert work.settle(claim)
    assert work.claim(["sweep"]) is None


def test_recurring_work_that_failed_comes_back_by_itself_and_is_not_hurried(work: Work, clock: Clock) -> None:
    work.mark_recurring("sweep", "orders", 10.0)
    work.later(must(work.claim(["sweep"])), "no answer", wait=200.0)
    clock.pass_seconds(50)
    work.mark_recurring("sweep", "orders", 10.0)
    assert work.claim(["sweep"]) is None
    clock.pass_seconds(150)
    assert must(work.claim(["sweep"])).attempts == 1


def test_parked_recurring_work_is_tried_again_in_its_next_period(work: Work, clock: Clock) -> None:
    work.mark_recurring("catalogue", "all", 10.0)
    work.park(must(work.claim(["catalogue"])), "too much would change")
    clock.pass_seconds(10)
    work.mark_recurring("catalogue", "all", 10.0)
    assert must(work.claim(["catalogue"])).key == "all"


# --- counting ----------------------------------------------------------------------------------------------------


def test_the_counts_tell_due_held_and_parked_and_the_oldest(work: Work, clock: Clock) -> None:
    work.mark_due("order", 1, at=clock() - timedelta(seconds=90))
    work.mark_due("order", 2, 3)
    work.mark_due("order", 4, at=clock() + timedelta(days=1))
    work.mark_due("learner", 1, at=clock() + timedelta(days=1))
    held = must(work.claim(["order"]))
    work.park(must(work.claim(["order"])), "look")
    counts = work.counts()
    assert counts["order"] == {"due": 2, "held": 1, "parked": 1, "oldest": clock() - timedelta(seconds=90)}
    assert counts["learner"] == {"due": 0, "held": 0, "parked": 0, "oldest": None}
    assert work.settle(held)
    assert work.counts()["order"] == {"due": 1, "held": 0, "parked": 1, "oldest": BEGAN}


def test_a_lease_that_ran_out_counts_as_due_and_not_as_held(work: Work, clock: Clock) -> None:
    work.mark_due("order", 1)
    must(work.claim(["order"]))
    clock.pass_seconds(61)
    assert work.counts()["order"]["held"] == 0
    assert work.counts()["order"]["due"] == 1


def test_moments_keep_their_fraction_and_their_timezone(work: Work) -> None:
    work.mark_due("order", 1)
    assert row(work).due_at == BEGAN
    assert row(work).due_at.tzinfo is not None
    with pytest.raises(Exception, match="timezone"):
        work.mark_due("order", 2, at=datetime(2026, 1, 1))  # noqa: DTZ001
