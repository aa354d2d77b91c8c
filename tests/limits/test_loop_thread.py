"""One limit for all threads and event loops, in virtual time."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter

import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.limits.permit import Permit
from langchain_llmdispatch.limits.quota import Quota
from tests.limits.bench import Bench, target

THREADS, LOOPS, EACH = 16, 2, 40


def crowd(bench: Bench, limited: Target, tokens: float) -> list[tuple[str, float]]:
    """Send from sixteen threads and two event loops at once; return their names and moments."""
    went: list[tuple[str, float]] = []
    together = threading.Barrier(THREADS + LOOPS)

    def in_thread(name: str) -> None:
        together.wait()
        went.extend((name, bench.go(limited, tokens)) for _ in range(EACH))

    async def in_loop(name: str) -> None:
        async def one() -> None:
            went.append((name, await bench.ago(limited, tokens)))

        await asyncio.gather(*(one() for _ in range(EACH)))

    def with_loop(name: str) -> None:
        together.wait()
        asyncio.run(in_loop(name))

    works = [(in_thread, f"thread {n}") for n in range(THREADS)]
    works += [(with_loop, f"loop {n}") for n in range(LOOPS)]
    threads = [threading.Thread(target=work, args=(name,)) for work, name in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return went


@pytest.mark.parametrize(
    ("limits", "tokens", "ideal"),
    [
        ({"rpm": 600}, 0.0, (THREADS + LOOPS) * EACH / 10 - 6),
        ({"tpm": 60_000}, 100.0, (THREADS + LOOPS) * EACH / 10 - 6),
        ({"rpm": 6000, "tpm": 60_000, "max_concurrency": 4}, 100.0, (THREADS + LOOPS) * EACH / 10 - 6),
    ],
)
def test_threads_and_loops_share_one_limit(
    bench: Bench, limits: dict[str, float], tokens: float, ideal: float
) -> None:
    """All together they are as fast as the limit allows, within a tenth, and no faster; none starves."""
    went = crowd(bench, target(**limits), tokens)
    assert len(went) == (THREADS + LOOPS) * EACH
    last = max(when for _, when in went)
    assert ideal * 0.99 <= last <= ideal * 1.1
    moments = sorted(when for _, when in went)
    worst = max(sum(1 for when in moments if start <= when < start + 60) for start in moments)
    assert worst <= 660
    assert set(Counter(name for name, _ in went).values()) == {EACH}


def test_repeated_event_loops_share_the_limit(bench: Bench) -> None:
    """`asyncio.run` again and again, as scripts and notebooks do, goes on where the last one stopped."""
    limited = target(rpm=60)
    for _ in range(3):
        asyncio.run(bench.agoes(limited, [0.0] * 4))
    assert bench.clock.monotonic() == pytest.approx(6.0, abs=0.01)
    assert bench.go(limited) == pytest.approx(7.0, abs=0.01)


async def test_a_sync_call_inside_a_running_loop_just_waits(bench: Bench) -> None:
    """A notebook's cell may call sync: the limiter never needs the loop that runs there."""
    limited = target(rpm=60)
    assert [bench.go(limited) for _ in range(8)][-1] == pytest.approx(2.0, abs=0.01)


def test_closing_while_others_wait_hangs_none(bench: Bench) -> None:
    """An attempt that waits at that moment gets an error; later ones begin anew."""
    limited, ended = target(rpm=6_000_000, max_concurrency=1), []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                permit = bench.limiter.acquire(bench.attempt(limited))
                assert permit is not None
                permit.release()
            except errors.LimitTimeoutError:
                ended.append("closed")
        ended.append("done")

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for _ in range(1500):
            bench.limiter.close()
        stop.set()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(switch)
    assert ended.count("done") == len(threads)


def test_a_queue_of_a_closed_limiter_refuses_and_is_replaced(bench: Bench) -> None:
    """A request that was queued while the limiter was closed is refused with a reason, and only that one."""
    limited = target(max_concurrency=1)
    held = bench.take(limited)
    queues = bench.limiter._queues_of(limited)
    waiting = Permit(bench.attempt(limited), queues, Quota(bench.clock), 0.0, bench.clock)
    waiting.enqueue()
    assert waiting.granted is not None
    ended = asyncio.new_event_loop()
    ended.close()
    for queue in queues:
        queue.belongs_to(ended)
    bench.limiter._loop.post(bench.limiter._start, waiting, queues)
    with pytest.raises(errors.LimitTimeoutError, match="closed"):
        waiting.granted.result(60)
    held.release()
    bench.settled()
    assert bench.go(limited) == 0.0
