"""Queues in virtual time: order, slots, and limits that several processes share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from langchain_llmdispatch.limits.queue import Admission, Demand, LimitQueue, Limits, Waiter
from tests.limits.bench import Bench, FrozenClock, target, until, usage


def test_first_come_first_served(bench: Bench) -> None:
    """Small requests do not overtake a large one."""
    limited = target(tpm=6000)
    went = asyncio.run(bench.agoes(limited, [600, 500, 1, 1, 400, 1]))
    assert [number for number, _ in went] == [0, 1, 2, 3, 4, 5]


def test_no_request_overtakes_one_that_waits_already() -> None:
    """A small request that the limits would admit waits behind a large one that they do not."""
    clock = FrozenClock()
    bench, limited = Bench(clock), target(tpm=6000)
    bench.go(limited, 400)
    went: dict[str, float] = {}
    threads = []
    for place, (name, tokens) in enumerate([("large", 300), ("small", 100)], 1):

        def work(name: str = name, tokens: float = tokens) -> None:
            went[name] = bench.go(limited, tokens)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        until(lambda place=place: len(bench.queue()._queued) == place)
    assert went == {}
    clock.frozen = False
    for thread in threads:
        thread.join(60)
    assert went == {"large": pytest.approx(1.0, abs=0.01), "small": pytest.approx(2.0, abs=0.01)}
    bench.limiter.close()


def test_a_refund_wakes_the_request_that_waits() -> None:
    """It is sent as soon as an earlier reservation turns out too large, not when it was first due."""
    bench = Bench(FrozenClock())
    limited = target(tpm=6000)
    first = bench.take(limited, 600)
    done: list[float] = []
    thread = threading.Thread(target=lambda: done.append(bench.go(limited, 600)))
    thread.start()
    until(lambda: bench.queue()._tokens._waiting is not None and bench.queue()._tokens._drawn)
    first._attempt.usage = usage(0)
    first.release()
    thread.join(60)
    assert done == [0.0]
    bench.limiter.close()


def test_the_number_of_requests_in_flight_is_bounded(bench: Bench) -> None:
    """Sixteen threads never hold more than three slots."""
    limited = target(max_concurrency=3)
    inside, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(10):
            with bench.take(limited):
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert 1 <= most <= 3
    bench.settled()
    assert bench.limiter.headroom(limited) == {"concurrency": 3.0}
    holders = [bench.take(limited) for _ in range(3)]
    assert bench.limiter.headroom(limited) == {"concurrency": 0.0}
    for holder in holders:
        holder.release()


class SlowLimits:
    """Shared limits that answer only when released, and record the corrections."""

    def __init__(self) -> None:
        self.reached, self.answer = threading.Event(), threading.Event()
        self.corrected: list[float] = []

    async def reserve(self, name: str, demands: Sequence[Demand], max_wait: float) -> Admission:
        """Grant everything, when released."""
        self.reached.set()
        await asyncio.to_thread(self.answer.wait)
        return Admission(0.0, True, 1.0, [demand.amount for demand in demands])

    async def correct(self, name: str, demand: Demand, at: float, difference: float) -> None:
        """Record it."""
        self.corrected.append(difference)


async def test_a_grant_of_shared_limits_that_comes_too_late_is_returned() -> None:
    """A waiter that is cancelled before the server answers takes nothing, although the server granted it."""
    shared = SlowLimits()
    bench, limited = Bench(shared=shared), target(rpm=60, tpm=600)
    waiter = asyncio.ensure_future(bench.limiter.aacquire(bench.attempt(limited), tokens=30))
    assert await asyncio.to_thread(shared.reached.wait, 5)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    shared.answer.set()
    await asyncio.to_thread(until, lambda: len(shared.corrected) == 2)
    assert sorted(shared.corrected) == [-30, -1]
    assert bench.limiter.headroom(limited) == {"requests": 6.0, "tokens": 60.0}
    bench.limiter.close()


def test_a_slot_is_expected_by_how_many_wait_for_it() -> None:
    """Each is held for a second until more is learned; free slots are there at once."""
    queue = LimitQueue("q", Limits(None, None, 2), 0.1, FrozenClock(), lambda *_: None)
    waiters = [Waiter(0.0, 10.0) for _ in range(3)]
    expected = []
    for waiter in waiters:
        expected.append(queue.slot_in())
        queue.try_enter(waiter)
    assert expected == [0.0, 0.0, 0.5]
    queue.join(waiters[2])
    assert queue.slot_in() == 1.0
    assert queue.headroom() == {"concurrency": 0.0}
    queue.free_slot(waiters[0], 3.0)
    assert queue.headroom() == {"concurrency": 1.0}
    assert queue.slot_in() > 0.5


def test_the_expected_output_follows_the_answers() -> None:
    """Each answer moves it a part of the way, up or down."""
    queue = LimitQueue("q", Limits(None, 1000, None), 0.1, FrozenClock(), lambda *_: None)
    before = queue.output_tokens
    queue.learn(before + 100)
    assert before < queue.output_tokens < before + 100
    for _ in range(200):
        queue.learn(7)
    assert queue.output_tokens == pytest.approx(7, abs=0.5)
