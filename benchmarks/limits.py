"""Limits on a real clock: accuracy with 16 threads and 2 event loops, and what an acquire costs.

Run it from the repository: `python -m benchmarks.limits`. It takes about ten seconds.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import threading
import time

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.deployment import Deployment
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.call_state import CallState
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.types import ChatRequest

THREADS, LOOPS = 16, 2


def target(name: str = "m", **limits: float) -> Target:
    """Return a target with limits."""
    resolver = Resolver(VendorTable(), {}, {"OPENAI_API_KEY": "sk-bench"})
    return resolver.target(Deployment("openai:m", name=name, **limits))


def attempt(to: Target) -> Attempt:
    """Return a first attempt at a target."""
    call = CallState(ChatRequest(()), [to], CallPolicy(), Clock())
    return next(Dispatch(call, rng=random.Random(1)).attempts())


def crowd(limiter: Limiter, to: Target, tokens: float, seconds: float) -> list[float]:
    """Send from threads and event loops for so long; return when each went, from the start."""
    went: list[float] = []
    began = time.monotonic()
    together = threading.Barrier(THREADS + LOOPS)

    def in_thread() -> None:
        together.wait()
        while time.monotonic() - began < seconds:
            one = attempt(to)
            with limiter.acquire(one, tokens=tokens):
                one.send()
                went.append(time.monotonic() - began)

    async def in_loop() -> None:
        async def worker() -> None:
            while time.monotonic() - began < seconds:
                one = attempt(to)
                with await limiter.aacquire(one, tokens=tokens):
                    one.send()
                    went.append(time.monotonic() - began)

        await asyncio.gather(*(worker() for _ in range(8)))

    def with_loop() -> None:
        together.wait()
        asyncio.run(in_loop())

    threads = [threading.Thread(target=in_thread) for _ in range(THREADS)]
    threads += [threading.Thread(target=with_loop) for _ in range(LOOPS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [when for when in went if when <= seconds]


def accuracy(name: str, tokens: float, per_minute: float, seconds: float = 3.0, **limits: float) -> None:
    """Print how many went against how many should."""
    limiter = Limiter()
    went = crowd(limiter, target(**limits), tokens, seconds)
    ideal = per_minute * 0.1 + per_minute / 60 * seconds
    print(f"{name:32} went {len(went):6}  ideal {ideal:8.0f}  off {len(went) / ideal - 1:+.1%}")
    limiter.close()


def cost(name: str, rounds: int, **limits: float) -> None:
    """Print what an acquire and a release cost, sync and async."""
    limiter, to = Limiter(), target(**limits)
    one = attempt(to)
    one.send()

    def once() -> float:
        began = time.perf_counter()
        if (permit := limiter.acquire(one, tokens=1.0)) is not None:
            permit.release()
        return time.perf_counter() - began

    async def aonce() -> float:
        began = time.perf_counter()
        if (permit := await limiter.aacquire(one, tokens=1.0)) is not None:
            permit.release()
        return time.perf_counter() - began

    async def many() -> list[float]:
        return [await aonce() for _ in range(rounds)]

    sync, parallel = [once() for _ in range(rounds)], asyncio.run(many())
    per_call, per_await = (statistics.median(each) * 1e6 for each in (sync, parallel))
    print(f"{name:32} sync {per_call:7.1f} us   async {per_await:7.1f} us")
    limiter.close()


def main() -> None:
    """Print all of it."""
    print(f"accuracy, {THREADS} threads and {LOOPS} event loops, 3 s, burst a tenth")
    accuracy("rpm=6000", 0.0, 6_000, rpm=6_000)
    accuracy("rpm=60000", 0.0, 60_000, rpm=60_000)
    accuracy("tpm=6000000, 1000 tokens each", 1000.0, 6_000, tpm=6_000_000)
    print("cost of one acquire and release, nothing to wait for")
    cost("no limits", 20_000)
    cost("rpm", 3_000, rpm=1e9)
    cost("rpm, tpm, max_concurrency", 3_000, rpm=1e9, tpm=1e12, max_concurrency=100)


if __name__ == "__main__":
    main()
