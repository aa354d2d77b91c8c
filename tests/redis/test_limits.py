"""Limits that two processes share on a real Redis server."""

from __future__ import annotations

import asyncio
import random

import pytest

from langchain_llmdispatch import errors
from tests.limits.bench import Bench, target, usage
from tests.redis.process import quiet


def test_two_processes_share_one_limit(pair: tuple[Bench, Bench]) -> None:
    """Six of 60 a minute are sent at once, from either process; then one a second."""
    limited = target(rpm=60)
    times = [pair[n % 2].go(limited) - 1000 for n in range(12)]
    assert times[5] == 0.0
    assert times[11] == pytest.approx(6.0, abs=0.01)


def test_tokens_are_shared_too_and_the_scarcer_limit_sets_the_pace(pair: tuple[Bench, Bench]) -> None:
    """Both buckets are drawn from in one step."""
    limited = target(rpm=600, tpm=6000)
    times = [pair[n % 2].go(limited, 300) - 1000 for n in range(12)]
    assert times[-1] == pytest.approx(30.0, abs=0.1)


def test_no_minute_of_all_processes_admits_more_than_a_tenth_above_the_limit(
    pair: tuple[Bench, Bench],
) -> None:
    """Small or nearly the whole limit at once, from either process: no minute sees more than 1.1 limits."""
    rng, limited = random.Random(5), target(tpm=1000)
    went = []
    for _ in range(80):
        size = rng.choice([5.0, 50.0, 300.0, 900.0])
        if rng.random() < 0.2:
            pair[0].clock.advance(rng.uniform(0, 40))
        went.append((rng.choice(pair).go(limited, size), size))
    worst = max(sum(n for when, n in went if start <= when < start + 59.999) for start, _ in went)
    assert worst <= 1100.001


def test_tokens_that_were_not_used_are_returned_to_all(pair: tuple[Bench, Bench]) -> None:
    """A reservation of 600 of which 100 were used leaves 500 for the other process."""
    limited = target(tpm=6000)
    with pair[0].take(limited, 600) as permit:
        permit._attempt.usage = usage(100)
    quiet(pair[0])
    assert pair[1].go(limited, 500) - 1000 == pytest.approx(0.0, abs=0.01)
    assert pair[1].go(limited, 100) - 1000 == pytest.approx(1.0, abs=0.02)


def test_a_request_above_the_whole_limit_is_not_refused(pair: tuple[Bench, Bench]) -> None:
    """It waits for a full bucket, and is owed afterwards."""
    limited = target(tpm=600)
    pair[0].go(limited, 60)
    assert pair[1].go(limited, 1200) - 1000 == pytest.approx(61.0, abs=1.0)
    assert pair[0].go(limited, 1) - 1000 >= 114.0


def test_a_wait_beyond_the_deadline_takes_nothing(pair: tuple[Bench, Bench]) -> None:
    """A request that cannot wait so long leaves the bucket as it was."""
    limited = target(rpm=6)
    pair[0].go(limited)
    with pytest.raises(errors.LimitTimeoutError) as caught:
        pair[1].take(limited, deadline=5.0)
    assert caught.value.retry_after == pytest.approx(10.0, abs=0.1)
    assert pair[1].go(limited) - 1000 == pytest.approx(10.0, abs=0.1)


def test_ready_in_counts_what_others_took(pair: tuple[Bench, Bench]) -> None:
    """After one exchange a process predicts from what all have used."""
    limited = target(rpm=60)
    for _ in range(5):
        pair[0].go(limited)
    pair[1].go(limited)
    assert pair[1].limiter.ready_in(limited) == pytest.approx(1.0, abs=0.01)


async def test_cancelled_waiters_return_what_they_took(pair: tuple[Bench, Bench]) -> None:
    """A waiter that leaves the queue leaves nothing behind on the server."""
    bench, limited = pair[0], target(rpm=60, max_concurrency=1)
    holder = await bench.limiter.aacquire(bench.attempt(limited))
    assert holder is not None
    waiters = [asyncio.ensure_future(bench.limiter.aacquire(bench.attempt(limited))) for _ in range(3)]
    await asyncio.sleep(0.01)
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)
    holder.release()
    await asyncio.to_thread(quiet, bench)
    assert [await asyncio.to_thread(pair[1].go, limited) - 1000 for _ in range(6)][-1] == 0.0
