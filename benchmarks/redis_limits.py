"""Limits shared by four processes on a Redis server, on a real clock.

Run it from the repository: `python -m benchmarks.redis_limits`. It starts Debian's `redis-server` on a free
loopback port and takes about fifteen seconds.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.limits import attempt, target
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.redis.limits import RedisLimits

PROCESSES, THREADS, SECONDS = 4, 4, 5.0


@contextmanager
def redis() -> Iterator[str]:
    """Run a server, and yield its address."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise SystemExit("redis-server is not installed (apt install redis-server)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as directory:
        command = [binary, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        server = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()
            server.wait()


def worker(url: str, limits: dict[str, float], sizes: tuple[float, ...], start: Any, results: Any) -> None:
    """Send from a few threads and one event loop for so long; put when and how much."""
    limiter, to = Limiter(shared=RedisLimits(url)), target(**limits)
    went: list[tuple[float, float]] = []
    limiter.acquire(attempt(target("other", rpm=1e6))).release()  # connects, imports
    start.wait()
    until = time.monotonic() + SECONDS

    def in_thread(seed: int) -> None:
        rng = random.Random(seed)
        while time.monotonic() < until:
            one, size = attempt(to), rng.choice(sizes)
            with limiter.acquire(one, tokens=size):
                one.send()
                went.append((time.monotonic(), size))

    async def in_loop() -> None:
        async def one_task(seed: int) -> None:
            rng = random.Random(seed)
            while time.monotonic() < until:
                one, size = attempt(to), rng.choice(sizes)
                with await limiter.aacquire(one, tokens=size):
                    one.send()
                    went.append((time.monotonic(), size))

        await asyncio.gather(*(one_task(seed) for seed in range(THREADS)))

    threads = [threading.Thread(target=in_thread, args=(seed,)) for seed in range(THREADS)]
    threads.append(threading.Thread(target=lambda: asyncio.run(in_loop())))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put([(when, size) for when, size in went if when <= until])
    limiter.close()


def measure(url: str, name: str, per_minute: float, sizes: tuple[float, ...], **limits: float) -> None:
    """Print how much went through four processes against how much should."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(PROCESSES), context.Queue()
    workers = [
        context.Process(target=worker, args=(url, limits, sizes, start, results)) for _ in range(PROCESSES)
    ]
    for process in workers:
        process.start()
    each = [results.get() for _ in workers]
    for process in workers:
        process.join()
    went = sum(size for one in each for _, size in one)
    ideal = per_minute * 0.1 + per_minute / 60 * SECONDS
    shares = " ".join(f"{sum(size for _, size in one) / went:.0%}" for one in each)
    print(f"{name:34} went {went:9.0f}  ideal {ideal:9.0f}  off {went / ideal - 1:+.1%}  shares {shares}")


def cost(url: str) -> None:
    """Print what one acquire costs where there is nothing to wait for."""
    limiter, one = Limiter(shared=RedisLimits(url)), attempt(target(rpm=1e9, tpm=1e12))
    one.send()
    times = []
    for _ in range(2000):
        began = time.perf_counter()
        limiter.acquire(one, tokens=1.0).release()
        times.append((time.perf_counter() - began) * 1e6)
    times.sort()
    print(
        f"one acquire: median {statistics.median(times):.0f} us, p99 {times[len(times) * 99 // 100]:.0f} us"
    )
    limiter.close()


def main() -> None:
    """Print all of it."""
    with redis() as url:
        print(f"{PROCESSES} processes x ({THREADS} threads + 1 event loop), {SECONDS:.0f} s, burst a tenth")
        measure(url, "rpm=3000", 3_000, (1.0,), rpm=3_000)
        measure(url, "rpm=30000", 30_000, (1.0,), rpm=30_000)
        measure(url, "tpm=600000, 100 to 2000 tokens", 600_000, (100.0, 500.0, 2000.0), tpm=600_000)
        cost(url)


if __name__ == "__main__":
    main()
