"""The other figures of a call: many at once, paced streams, fallback, import, construction, memory.

    python benchmarks/bars.py                needs langchain-openai for the comparison

`peers.py` measures this package beside others. The server is `vendor.py`; each row says what was measured, the ratio to
ChatOpenAI where there is one, and the bar that the design sets. Nothing is asserted.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from vendor import serving

from langchain_llmdispatch import Deployment, DispatcherChatModel

AT_ONCE, CALLS = 512, 1024
BODY = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "hello"}]}
_PROBE = """
import resource, time
import langchain_core.language_models.chat_models
size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
from langchain_llmdispatch import DispatcherChatModel
print((time.process_time() - start) * 1e3, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size) / 1024)
"""


def row(name: str, value: str, ratio: str = "", bar: str = "") -> None:
    """Print a row."""
    print(f"{name:<46}{value:>20}  {ratio:<14}{bar}", flush=True)


def ours_on(url: str, *more: Deployment, **fields: Any) -> DispatcherChatModel:
    """Return our model on the server, behind `more`."""
    last = Deployment("openai:gpt-5.4-mini", name="good", base_url=url, api_key="k")
    return DispatcherChatModel(models=[*more, last], env={}, **fields)


def theirs_on(url: str) -> Any:
    """Return ChatOpenAI on the server, or None."""
    try:
        from langchain_openai import ChatOpenAI
    except ImportError:
        return None
    return ChatOpenAI(model="gpt-5.4-mini", base_url=url, api_key="k", max_retries=0)


async def throughput(call: Callable[[], Awaitable[object]]) -> float:
    """Return calls per second of CPU time, `AT_ONCE` in flight."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with places:
            await call()

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    start = time.process_time()
    await asyncio.gather(*(one() for _ in range(CALLS)))
    return CALLS / (time.process_time() - start)


def at_once(url: str) -> None:
    """Measure many calls at once."""

    async def run() -> dict[str, float]:
        model, other = ours_on(url), theirs_on(url)
        # With httpx's own limits: with 1,000 connections kept, its pool does not finish in 100 s.
        async with httpx.AsyncClient(timeout=120) as client:
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "ours": lambda: model.ainvoke("hello"),
                "httpx.AsyncClient": lambda: client.post(f"{url}/chat/completions", json=BODY),
            }
            if other is not None:
                calls["ChatOpenAI"] = lambda: other.ainvoke("hello")
            found = {name: await throughput(call) for name, call in calls.items()}
        await model.aclose()
        return found

    found = asyncio.run(run())
    for name, rate in found.items():
        beside = f"ours {found['ours'] / rate:.2f} x" if name != "ours" else ""
        bar = {"ChatOpenAI": ">= 2 x", "httpx.AsyncClient": ">= 3 x with [fast]"}.get(name, "")
        row(f"{AT_ONCE} at once, {name}", f"{rate:.0f} calls/CPU s", beside, bar)


def paced(url: str) -> None:
    """Measure streams whose pieces come one by one, as from real vendors."""
    found = {}
    for name, model in {"ours": ours_on(url), "ChatOpenAI": theirs_on(url)}.items():
        if model is not None:
            sum(1 for _ in model.stream("paced"))
            start = time.process_time()
            chunks = sum(1 for _ in range(5) for _ in model.stream("paced"))
            found[name] = (time.process_time() - start) / chunks * 1e6
    for name, cost in found.items():
        ratio = f"ours {found['ours'] / cost:.2f} x" if name != "ours" else ""
        row(f"paced stream, {name}", f"{cost:.0f} us/chunk", ratio, "<= 0.50 x" if ratio else "")


def fallback(url: str) -> None:
    """Measure what a failed first attempt adds, over the plain call and one more raw request."""
    failing = Deployment("openai:gpt-5.4-mini", name="bad", base_url=f"{url}/fail", api_key="k")
    health = {"retry_policy": {"max_retries": 0}}
    plain = _cost(lambda: ours_on(url), 100)
    with httpx.Client() as client:
        raw = statistics.median(
            _timed(lambda: client.post(f"{url}/fail/chat/completions", json=BODY), 100) for _ in range(5)
        )
    both = _cost(lambda: ours_on(url, failing, **health), 4)  # its breaker opens at the fifth failure
    row("fallback after a failed first attempt, added", f"{both - plain - raw:.0f} us", "", "<= 300 us")


def _cost(make: Callable[[], DispatcherChatModel], calls: int) -> float:
    costs = []
    for _ in range(15):
        with make() as model:
            model.invoke("hello")
            model._engine.health.reset()
            costs.append(_timed(lambda: model.invoke("hello"), calls))
    return statistics.median(costs)


def _timed(call: Callable[[], object], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - start) / calls * 1e6


def standing(url: str) -> None:
    """Measure import, construction and memory."""
    found = []
    for _ in range(5):
        said = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True)
        found.append([float(word) for word in said.stdout.split()])
    row(
        "import of the class, over langchain_core's",
        f"{min(each[0] for each in found):.0f} ms",
        "",
        "<= 60 ms",
    )
    row("", f"{min(each[1] for each in found):.1f} MB", "", "<= 6 MB")
    many = [Deployment("openai:gpt-5.4-mini", name=f"d{n}", base_url=url, api_key="k") for n in range(10)]
    one = min(_timed(lambda: ours_on(url), 20) for _ in range(5))
    ten = min(_timed(lambda: ours_on(url, *many), 20) for _ in range(5))
    row("construction, one deployment", f"{one / 1e3:.2f} ms", "", "<= 2 ms")
    row("construction, each deployment more", f"{(ten - one) / 1e4:.2f} ms", "", "<= 1 ms")
    with ours_on(url) as model:
        for _ in range(2000):
            model.invoke("hello")
        gc.collect()
        before = _resident()
        for _ in range(10_000):
            model.invoke("hello")
        gc.collect()
        row("memory after 10,000 calls more", f"{_resident() - before:+.2f} MB", "", "flat")


def _resident() -> float:
    """Return the megabytes in use; their peak where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Print the table; `python benchmarks/bars.py paced` measures one part."""
    parts = {"at_once": at_once, "paced": paced, "fallback": fallback, "standing": standing}
    with serving() as url:
        for name, part in parts.items():
            if not sys.argv[1:] or name in sys.argv[1:]:
                part(url)


if __name__ == "__main__":
    main()
