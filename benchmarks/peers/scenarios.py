"""What is measured: each scenario makes calls of one row, and takes the CPU and the time that they took.

A scenario runs in the row's own process. CPU is the process's, all threads together; it excludes the vendor and
waiting. What a scenario prepares, and the garbage of the one before it, is outside the watch.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import resource
import sys
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.peers.client import Client
from benchmarks.vendor import CHUNKS

TURNS = 200
"""Messages of a long thread."""
VARIANTS = (
    "tool",
    "structured output",
    "10 deployments, weighted",
    "100 deployments, weighted",
    "10 deployments, by latency",
    "100 deployments, by latency",
    "10 deployments, balanced",
    "100 deployments, balanced",
    "statistics off",
    "limits on",
    "a callback",
)
Figures = dict[str, float]
ADDED = "added"
"""Among them, for calls that are made in turn with plain ones: microseconds of CPU that one costs more."""
SPENT = "spent"
"""Among a sample's figures: seconds of CPU of the whole sample, by which the next one's size is chosen."""


class Watch:
    """Adds up CPU and time while it is entered, and what was done in them."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0
        self.count = 0

    def __enter__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cpu += time.process_time() - self._cpu
        self.wall += time.perf_counter() - self._wall

    def figures(self) -> Figures:
        """Return microseconds of both, for each call or chunk."""
        each = {"cpu": self.cpu / self.count * 1e6, "wall": self.wall / self.count * 1e6}
        return {**each, SPENT: self.cpu}


Loop = asyncio.AbstractEventLoop


@dataclass(frozen=True)
class Scenario:
    """A scenario.

    Attributes:
        run: Makes so many calls (or streams) under the watch, or returns figures of its own.
        least: Calls in a sample, at least.
        most: And at most; between them, as many as take the sample's time.
        warm: Calls of the sample that warms up and is thrown away; default: `least`.
        requests: That each call sends, for a check; 0 if it is not checked.
        longer: How many times as much CPU a sample takes as others do.
    """

    run: Callable[[Client, Watch, int, Loop], Figures | None]
    least: int = 8
    most: int = 400
    warm: int | None = None
    requests: int = 1
    longer: float = 1.0

    def sample(self, client: Client, count: int, loop: Loop) -> Figures:
        """Return the figures of one sample."""
        gc.collect()
        watch = Watch()
        return self.run(client, watch, count, loop) or watch.figures()


def _calls(client: Client, watch: Watch, count: int, _: Loop) -> None:
    with watch:
        for _n in range(count):
            client.call()
    watch.count += count


def _acalls(client: Client, watch: Watch, count: int, loop: Loop) -> None:
    async def run() -> None:
        for _n in range(count):
            await client.acall()

    _awaited(run(), watch, count, loop)


def _awaited(run: Awaitable[None], watch: Watch, count: int, loop: Loop) -> None:
    async def watched() -> None:
        with watch:
            await run

    loop.run_until_complete(watched())
    watch.count += count


def _threads(client: Client, watch: Watch, count: int, _: Loop) -> None:
    client.threads()
    client.call()  # what is not offered must not be raised by a thread
    together = threading.Barrier(16)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _n: together.wait(), range(16)))  # all threads exist before the watch
        with watch:
            list(pool.map(lambda _n: client.call(), range(count)))
    watch.count += count


def _in_flight(places: int) -> Callable[[Client, Watch, int, Loop], None]:
    async def run(client: Client, count: int) -> None:
        left = iter(range(count))

        async def one() -> None:
            for _n in left:
                await client.acall()

        await asyncio.gather(*(one() for _ in range(places)))

    return lambda client, watch, count, loop: _awaited(run(client, count), watch, count, loop)


def _abatch(client: Client, watch: Watch, count: int, loop: Loop) -> None:
    _awaited(client.abatch(count), watch, count, loop)


# -- streams ---------------------------------------------------------------------------------------


def _whole(got: int, prompt: str) -> int:
    """Return the vendor's number of chunks, whatever number the client makes of them; fewer mean a lost piece."""
    if got < CHUNKS[prompt]:
        raise RuntimeError(f"{got} chunks of {CHUNKS[prompt]}")
    return CHUNKS[prompt]


def _streams(prompt: str) -> Callable[[Client, Watch, int, Loop], None]:
    def run(client: Client, watch: Watch, count: int, _: Loop) -> None:
        for _n in range(count):
            with watch:
                got = sum(1 for _chunk in client.stream(prompt))
            watch.count += _whole(got, prompt)

    return run


def _astreams(prompt: str) -> Callable[[Client, Watch, int, Loop], None]:
    async def run(client: Client, watch: Watch, count: int) -> None:
        for _n in range(count):
            got = 0
            with watch:
                async for _chunk in client.astream(prompt):
                    got += 1
            watch.count += _whole(got, prompt)

    return lambda client, watch, count, loop: loop.run_until_complete(run(client, watch, count))


def _left(chunks: Any) -> None:
    if hasattr(chunks, "close"):
        chunks.close()


def _first(client: Client, watch: Watch, count: int, _: Loop) -> None:
    for _n in range(count):
        with watch:
            chunks = client.stream("paced")
            next(chunks)
        _left(chunks)
    watch.count += count


def _afirst(client: Client, watch: Watch, count: int, loop: Loop) -> None:
    async def run() -> None:
        for _n in range(count):
            with watch:
                chunks = client.astream("paced")
                await anext(chunks)
            await chunks.aclose()

    loop.run_until_complete(run())
    watch.count += count


def _abandoned(client: Client, watch: Watch, count: int, _: Loop) -> None:
    with watch:
        for _n in range(count):
            chunks = client.stream("paced")
            next(chunks)
            _left(chunks)
            del chunks
    watch.count += count


# -- kinds of calls --------------------------------------------------------------------------------


def _beside_plain(
    client: Client, watch: Watch, calls: Iterator[Callable[[], object]], block: int = 1
) -> Figures:
    """Watch calls in turn with plain ones: what they cost more must not depend on when either was measured.

    Args:
        client: The client.
        watch: The watch.
        calls: The calls.
        block: As many plain ones, and then as many of these, are made one after the other.
    """
    plain = Watch()
    while some := list(itertools.islice(calls, block)):
        with plain:
            for _call in some:
                client.call()
        with watch:
            for call in some:
                call()
        watch.count += len(some)
    added = (watch.cpu - plain.cpu) / watch.count * 1e6
    return {**watch.figures(), ADDED: added, SPENT: watch.cpu + plain.cpu}


def _fallback(client: Client, watch: Watch, count: int, _: Loop) -> Figures:
    return _beside_plain(client, watch, itertools.repeat(_prepared(client, "fallback"), count), block=10)


def _next_calls(client: Client, watch: Watch, count: int, _: Loop) -> Figures:
    return _beside_plain(client, watch, _in_threads(client, count, again=True))


def _first_calls(client: Client, watch: Watch, count: int, _: Loop) -> None:
    for call in _in_threads(client, count, again=False):
        with watch:
            call()
    watch.count += count


def _in_threads(client: Client, count: int, *, again: bool) -> Iterator[Callable[[], object]]:
    """Yield calls with a thread that no call has seen; `again`: the call after it, with its answer and a question."""
    for _n in range(count):
        number = next(_THREADS)
        turns = [
            (("user", "assistant")[n % 2], f"Turn {n} of thread {number}. " + "Some words more. " * 6)
            for n in range(TURNS - 1)
        ]
        messages = client.messages(turns)
        if again:
            answer = client.call(messages)
            messages = [*messages, client.reply(answer), *client.messages([("user", "And then?")])]
        yield partial(client.call, messages)


def _variant(name: str) -> Callable[[Client, Watch, int, Loop], None]:
    def run(client: Client, watch: Watch, count: int, _: Loop) -> None:
        call = _prepared(client, name)
        with watch:
            for _n in range(count):
                call()
        watch.count += count

    return run


def _prepared(client: Client, name: str) -> Callable[[], object]:
    if name not in _PREPARED:
        _PREPARED[name] = client.variant(name)
    return _PREPARED[name]


_THREADS = itertools.count()
_PREPARED: dict[str, Callable[[], object]] = {}
"""Of this process's one client, by variant."""


# -- memory ----------------------------------------------------------------------------------------


def _memory(client: Client, _watch: Watch, count: int, _loop: Loop) -> Figures:
    """Count what a call leaves: bytes at its peak, blocks that only the collector frees, blocks that stay."""
    client.call()
    gc.collect()
    before = sys.getallocatedblocks()
    gc.disable()
    for _n in range(count):
        client.call()
    cyclic = sys.getallocatedblocks() - before
    gc.enable()
    gc.collect()
    kept = sys.getallocatedblocks() - before
    tracemalloc.start()
    client.call()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    client.call()
    peak = tracemalloc.get_traced_memory()[1] - held
    tracemalloc.stop()
    return {"peak": peak / 1e3, "cyclic": cyclic / count, "kept": kept / count * 1000}


def resident() -> float:
    """Return the megabytes in use; their peak where the system does not show them."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return pages * resource.getpagesize() / 1e6


SCENARIOS: Mapping[str, Scenario] = {
    "one call": Scenario(_calls, least=24),
    "one call, async": Scenario(_acalls, least=24),
    "16 threads": Scenario(_threads, least=64),
    "64 in flight": Scenario(_in_flight(64), least=128, most=512),
    "512 in flight": Scenario(_in_flight(512), least=1024, most=1024, warm=512),
    "abatch of 1,000": Scenario(_abatch, least=1000, most=1000, warm=100),
    "chunk of 200": Scenario(_streams("short"), least=1, most=40),
    "chunk of 2,000": Scenario(_streams("long"), least=1, most=4),
    "chunk of 200, async": Scenario(_astreams("short"), least=1, most=40),
    "chunk of 2,000, async": Scenario(_astreams("long"), least=1, most=4),
    "chunk, paced": Scenario(_streams("paced"), least=1, most=2),
    "chunk, paced, async": Scenario(_astreams("paced"), least=1, most=2),
    "first chunk": Scenario(_first, most=60),
    "first chunk, async": Scenario(_afirst, most=60),
    "abandoned stream": Scenario(_abandoned, most=60),
    "thread of 200, first call": Scenario(_first_calls, most=60),
    "thread of 200, next call": Scenario(_next_calls, most=60, requests=3),
    "memory of a call": Scenario(_memory, least=100, most=100),
    "resident memory": Scenario(
        lambda _client, _watch, _count, _loop: {"MB": resident()}, least=1, most=1, requests=0
    ),
    "fallback": Scenario(_fallback, requests=3, longer=3.0),
    **{name: Scenario(_variant(name)) for name in VARIANTS},
    "construction": Scenario(_variant("construction"), least=2, most=100, requests=0),
    "construction, 10 deployments": Scenario(
        _variant("construction, 10 deployments"), least=2, most=100, requests=0
    ),
}
