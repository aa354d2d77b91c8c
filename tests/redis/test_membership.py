"""How many processes share a limit, and what each takes while the server is lost."""

from __future__ import annotations

import uuid
import warnings

import pytest

from langchain_llmdispatch.redis.limits import RedisLimits
from langchain_llmdispatch.redis.membership import Membership
from langchain_llmdispatch.testing import FakeClock
from tests.limits.bench import Bench, target
from tests.processes import in_fork
from tests.redis.process import RedisProcess, quiet


def benches(url: str, count: int, clock: FakeClock, **settings: int) -> list[Bench]:
    """Return benches, as so many processes would have them, on one clock and one server."""
    prefix = uuid.uuid4().hex
    common = {"prefix": prefix, "timeout": 5.0, "clock": clock, **settings}
    return [Bench(clock, shared=RedisLimits(url, **common)) for _ in range(count)]


def known(bench: Bench) -> int:
    """Return how many processes a bench takes to share its limit."""
    (queue,) = bench.limiter._queues.values()
    shared = bench.limiter.shared
    assert shared is not None
    return shared.processes(queue.name)


def test_each_process_takes_its_share_while_the_server_is_lost(fragile: RedisProcess) -> None:
    """Four processes: a quarter of the pace each, so that all of them keep the limit; then it is shared again."""
    clock = FakeClock(1000.0)
    four, limited = benches(fragile.url, 4, clock), target(rpm=240)
    for _ in range(2):
        clock.advance(6.0)
        for bench in four:
            bench.go(limited)
    assert [known(bench) for bench in four] == [4] * 4
    fragile.stop()
    clock.advance(60.0)
    began = clock.monotonic()
    times = [bench.go(limited) - began for _ in range(40) for bench in four]
    assert sum(when < 6.0 for when in times) == pytest.approx(
        4 * (6 + 6), abs=4
    )  # bursts of 6, then one a second
    fragile.start()
    for bench in four:
        clock.advance(5.0)
        bench.go(limited)
        quiet(bench)
        assert bench.limiter.shared.is_up
    clock.advance(120.0)
    began = clock.monotonic()
    assert [four[0].go(limited) - began for _ in range(24)][-1] == 0.0  # the burst of the whole limit
    for bench in four:
        bench.limiter.close()


def test_shares_of_less_than_one_request_do_not_leave_together(fragile: RedisProcess) -> None:
    """Ten processes, six a minute: a minute without the server admits about six, not ten."""
    clock = FakeClock(1000.0)
    ten, limited = benches(fragile.url, 10, clock, processes=10), target(rpm=6)
    fragile.stop()
    began = clock.monotonic()
    waits = []
    for bench in ten:
        bench.limiter.acquire(bench.attempt(target(rpm=6000)))  # the loss
        queue = bench.limiter._queues_of(limited)[0]
        queue._divide(bench.limiter.shared)
        waits.append(queue.paced_in(0.0))
    assert clock.monotonic() == began
    assert max(waits) <= 100.0
    assert len({round(wait, 3) for wait in waits}) > 5
    for bench in ten:
        bench.limiter.close()


def test_a_process_that_draws_nothing_for_a_minute_is_no_longer_counted(url: str) -> None:
    """The count is of those that draw from the limit now."""
    clock = FakeClock(1000.0)
    (one, two), limited = benches(url, 2, clock), target(rpm=600)
    for bench in (one, two, one):
        bench.go(limited)
        clock.advance(6.0)
    assert known(one) == 2
    clock.advance(61.0)
    one.go(limited)
    assert known(one) == 1
    for bench in (one, two):
        bench.limiter.close()


def test_a_loss_is_a_warning_that_people_see_once(
    fragile: RedisProcess, recwarn: pytest.WarningsRecorder
) -> None:
    """`warnings` shows each loss once, with the share; a second loss is another warning."""
    warnings.simplefilter("default")
    clock = FakeClock(1000.0)
    (bench,), limited = benches(fragile.url, 1, clock, processes=4), target(rpm=600)
    for _ in range(2):
        bench.go(limited)
        fragile.stop()
        for _ in range(3):
            bench.go(limited)
        fragile.start()
        for _ in range(5):
            clock.advance(3.0)
            bench.go(limited)
            quiet(bench)
    texts = [str(each.message) for each in recwarn if each.category is RuntimeWarning]
    assert len(texts) == 2
    assert all("this process takes 1/4 of each" in text for text in texts)
    bench.limiter.close()


def test_a_loss_fails_no_call_where_warnings_are_errors(fragile: RedisProcess) -> None:
    """`python -W error`: the call goes on."""
    clock = FakeClock(1000.0)
    (bench,) = benches(fragile.url, 1, clock)
    fragile.stop()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bench.go(target(rpm=60)) == 1000.0
    bench.limiter.close()


def test_a_forked_child_is_a_process_of_its_own() -> None:
    """It has an id of its own, and begins with what its parent knew."""
    members = Membership()
    members.count("a", 4, 0.0)
    own = members.beat("a", 10.0)
    child, guess = in_fork(lambda: (members.beat("a", 0.0), members.of("a")))
    assert child not in {own, ""}
    assert guess == 4
