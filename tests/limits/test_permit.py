"""Permits in virtual time: deadlines, cancellation, and what is returned at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.limits.permit import Permit
from tests.limits.bench import Bench, target, until, usage


def unsent(bench: Bench, limited: object, tokens: float = 0.0) -> Permit:
    """Return a permit of an attempt that is not sent."""
    permit = bench.limiter.acquire(bench.attempt(limited), tokens=tokens)
    assert permit is not None
    return permit


def test_an_attempt_that_was_never_sent_uses_nothing(bench: Bench) -> None:
    """A permit that is released unsent returns its request and its tokens."""
    limited = target(rpm=10, tpm=6000)
    for _ in range(5):
        unsent(bench, limited, 600).release()
        bench.settled()
    assert bench.clock.monotonic() == 0.0


def test_a_refused_attempt_counts_as_a_request_without_tokens(bench: Bench) -> None:
    """A 500 counts as a request; the tokens that it would have used were not."""
    limited = target(rpm=600, tpm=6000)
    permit = bench.take(limited, 600)
    permit._attempt.answered(500, None)
    permit.release()
    bench.settled()
    assert bench.limiter.headroom(limited) == {"requests": 59.0, "tokens": 600.0}


def test_a_permit_is_released_once(bench: Bench) -> None:
    """A second release returns nothing."""
    limited = target(max_concurrency=2)
    permit = bench.take(limited)
    permit.release()
    permit.release()
    bench.settled()
    assert bench.limiter.headroom(limited) == {"concurrency": 2.0}


def test_a_rate_limit_holds_back_the_queued_attempts(bench: Bench) -> None:
    """After a 429 that names a time, nothing is sent to that deployment before it."""
    limited = target(rpm=600)
    with pytest.raises(errors.RateLimitError), bench.take(limited):
        raise errors.RateLimitError("slow down", retry_after=4.0)
    assert bench.go(limited) == pytest.approx(4.0, abs=1e-3)


# -- deadlines ---------------------------------------------------------------------------------------


def test_a_wait_beyond_the_deadline_is_refused_at_once(bench: Bench) -> None:
    """It costs no time: another deployment may be tried instead."""
    limited = target(rpm=6)
    bench.go(limited)
    with pytest.raises(errors.LimitTimeoutError, match=r"no request for 10\.0 s") as caught:
        bench.take(limited, deadline=5.0)
    assert bench.clock.monotonic() == 0.0
    assert caught.value.retry_after == pytest.approx(10.0)
    assert caught.value.falls_back
    assert bench.take(limited, deadline=15.0)


def test_a_slot_that_is_not_freed_in_time(bench: Bench) -> None:
    """A wait for a slot, whose end is unknown, ends at the deadline."""
    limited = target(max_concurrency=1)
    holder = bench.take(limited)
    failures: list[errors.LimitTimeoutError] = []

    def wait() -> None:
        try:
            bench.take(limited, deadline=5.0)
        except errors.LimitTimeoutError as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: len(bench.queue()._queued) == 1)
    bench.clock.advance(6.0)
    thread.join(60)
    assert [error.retry_after for error in failures] == [None]
    holder.release()
    assert bench.take(limited)


# -- waiters that leave ------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
async def test_cancelled_waiters_take_nothing(bench: Bench, turns: int) -> None:
    """Whenever a waiter is cancelled, its place, its slot and its tokens are free again."""
    limited = target(tpm=6000, max_concurrency=2)
    holders = [bench.take(limited, 300), bench.take(limited, 300)]
    waiters = [
        asyncio.ensure_future(bench.limiter.aacquire(bench.attempt(limited), tokens=10)) for _ in range(5)
    ]
    for _ in range(turns):
        await asyncio.sleep(0.001)
    for waiter in waiters:
        waiter.cancel()
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    for holder in holders:
        holder._attempt.usage = usage(0)
        holder.release()
    bench.settled()
    await asyncio.to_thread(bench.settled)
    assert bench.limiter.headroom(limited) == {"tokens": 600.0, "concurrency": 2.0}
    assert bench.queue().idle


async def test_cancelled_before_the_wait_began(bench: Bench) -> None:
    """A waiter that leaves while the loop is busy leaves its place in the queue too."""
    limited, busy = target(max_concurrency=1), threading.Event()
    holder = bench.take(limited)
    bench.limiter._loop.post(busy.wait)
    waiter = asyncio.ensure_future(bench.limiter.aacquire(bench.attempt(limited)))
    await asyncio.sleep(0)
    assert len(bench.queue()._queued) == 1
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    busy.set()
    holder.release()
    await asyncio.to_thread(bench.settled)
    assert bench.queue().idle


async def test_cancelled_right_after_it_was_granted(bench: Bench) -> None:
    """A slot that was granted to a waiter that is being cancelled is returned."""
    limited = target(max_concurrency=1)
    holder = bench.take(limited)
    waiter = asyncio.ensure_future(bench.limiter.aacquire(bench.attempt(limited)))
    await asyncio.sleep(0.005)
    holder.release()
    bench.settled()  # this loop stands still: the grant is under way to it
    waiter.cancel()
    (result,) = await asyncio.gather(waiter, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError)
    await asyncio.to_thread(bench.settled)
    assert bench.queue().idle


def test_ctrl_c_while_waiting_takes_nothing(bench: Bench) -> None:
    """An interrupted wait leaves the queue; the slot is free for the next attempt."""
    limited = target(max_concurrency=1)
    holder = bench.take(limited)
    bench.settled()  # the loop's thread has started
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    waiter = threading.main_thread().ident
    assert waiter is not None

    def interrupt() -> None:
        while not bench.queue()._queued:  # the wait has not begun
            os.sched_yield()
        signal.pthread_kill(waiter, signal.SIGALRM)

    interrupting = threading.Thread(target=interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupting.start()
            bench.take(limited)
    finally:
        interrupting.join()
        signal.signal(signal.SIGALRM, previous)
    holder.release()
    with bench.take(limited):
        bench.settled()
        assert bench.limiter.headroom(limited) == {"concurrency": 0.0}
