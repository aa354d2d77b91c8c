"""This package beside its peers: CPU of the client per call, one vendor, one run, rows in turn.

    make bench            all scenarios, under ten minutes; writes results/peers.md and results/peers.json
    make bench-quick      fewer rounds and calls, under one minute; prints only

The peers come with the dependency group `bench`, in an environment of their own. A peer that is not installed has
no row. The vendor runs in another process, on another core; its ceiling is printed. Every round measures each row
once, so that a busy machine slows all alike: a ratio is the median of the ratios of single rounds, and figures are
medians with their spread (highest minus lowest, over the median). CPU time excludes the vendor and waiting.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import httpx
from vendor import ceiling, serving

RESULTS = Path(__file__).with_name("results")
PACKAGES = (
    "langchain-llmdispatch",
    "langchain-core",
    "httpx",
    "langchain-openai",
    "openai",
    "litellm",
    "langchain-litellm",
)
MODEL, FLOOR, RIVAL = "gpt-4.1-mini", "httpx", "ChatOpenAI"
BODY: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
_IMPORTS = {
    "ours": "from langchain_llmdispatch import DispatcherChatModel",
    "httpx": "import httpx",
    "ChatOpenAI": "from langchain_openai import ChatOpenAI",
    "litellm.Router": "from litellm import Router",
    "ChatLiteLLMRouter": "from langchain_litellm import ChatLiteLLMRouter",
}
_PROBE = "import time; import {first}; start = time.process_time(); {line}; print((time.process_time() - start) * 1e6)"


@dataclass(frozen=True)
class Row:
    """One client: how it is called in each manner, and its calls with a first deployment that fails."""

    name: str
    call: Callable[[], object]
    acall: Callable[[], Awaitable[object]]
    stream: Callable[[str], Iterator[object]]
    astream: Callable[[str], AsyncIterator[object]]
    fallback: Callable[[], object] | None = None
    abatch: Callable[[int], Awaitable[object]] | None = None


def _langchain(name: str, model: Any, fallback: Callable[[], object] | None = None) -> Row:
    return Row(
        name,
        lambda: model.invoke("hello"),
        lambda: model.ainvoke("hello"),
        model.stream,
        model.astream,
        fallback,
        lambda count: model.abatch(["hello"] * count),
    )


def _httpx(url: str) -> Row:
    client, aclient, path = (
        httpx.Client(timeout=120),
        httpx.AsyncClient(timeout=120),
        f"{url}/chat/completions",
    )

    def body(prompt: str) -> dict[str, Any]:
        return {**BODY, "messages": [{"role": "user", "content": prompt}], "stream": True}

    def stream(prompt: str) -> Iterator[object]:
        with client.stream("POST", path, json=body(prompt)) as response:
            yield from (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: {"))

    async def astream(prompt: str) -> AsyncIterator[object]:
        async with aclient.stream("POST", path, json=body(prompt)) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[6:])

    async def acall() -> object:
        return (await aclient.post(path, json=BODY)).json()

    return Row(FLOOR, lambda: client.post(path, json=BODY).json(), acall, stream, astream)


def _ours(url: str) -> Row:
    from langchain_llmdispatch import Deployment, DispatcherChatModel

    def deployment(name: str, base: str) -> Deployment:
        return Deployment(f"openai:{MODEL}", name=name, base_url=base, api_key="k")

    def failing() -> object:  # the breaker would leave the failing deployment out from the fifth call on
        model._engine.health.reset()
        return model.invoke("hello")

    both = [deployment("bad", f"{url}/fail"), deployment("good", url)]
    model = DispatcherChatModel(models=both, env={}, retry_policy={"max_retries": 0})
    return _langchain("ours", DispatcherChatModel(models=both[1:], env={}), failing)


def _chat_openai(url: str) -> Row:
    from langchain_openai import ChatOpenAI

    def at(base: str) -> Any:
        return ChatOpenAI(model=MODEL, base_url=base, api_key="k", max_retries=0)

    both = at(f"{url}/fail").with_fallbacks([at(url)])
    return _langchain(RIVAL, at(url), lambda: both.invoke("hello"))


def _router(url: str) -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it fetches one at its import
    import litellm

    litellm.suppress_debug_info = True
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    one = {"model": f"openai/{MODEL}", "api_base": url, "api_key": "k"}
    return litellm.Router(model_list=[{"model_name": "m", "litellm_params": one}], num_retries=0)


def _litellm(url: str) -> Row:
    router = _router(url)

    def asked(prompt: str) -> dict[str, Any]:
        return {"model": "m", "messages": [{"role": "user", "content": prompt}]}

    async def astream(prompt: str) -> AsyncIterator[object]:
        async for chunk in await router.acompletion(**asked(prompt), stream=True):
            yield chunk

    return Row(
        "litellm.Router",
        lambda: router.completion(**asked("hello")),
        lambda: router.acompletion(**asked("hello")),
        lambda prompt: iter(router.completion(**asked(prompt), stream=True)),
        astream,
    )


def _chat_litellm(url: str) -> Row:
    from langchain_litellm import ChatLiteLLMRouter

    return _langchain("ChatLiteLLMRouter", ChatLiteLLMRouter(router=_router(url), model="m"))


def rows(url: str) -> list[Row]:
    """Return a row for each client that is installed."""
    made = []
    for make in (_httpx, _ours, _chat_openai, _litellm, _chat_litellm):
        try:
            made.append(make(url))
        except ImportError as error:
            print(f"no row of {make.__name__}: {error}", file=sys.stderr)
    return made


# -- scenarios: CPU microseconds per call, or per chunk ------------------------------------------------


def _cost(run: Callable[[], int]) -> float:
    start = time.process_time()
    count = run()
    return (time.process_time() - start) / count * 1e6


async def _at_once(row: Row, places: int, calls: int) -> int:
    free = asyncio.Semaphore(places)

    async def one() -> None:
        async with free:
            await row.acall()

    await asyncio.gather(*(one() for _ in range(calls)))
    return calls


def _threads(row: Row, calls: int) -> int:
    with ThreadPoolExecutor(16) as pool:
        return len(list(pool.map(lambda _: row.call(), range(calls))))


async def _acalls(row: Row, calls: int) -> int:
    for _ in range(calls):
        await row.acall()
    return calls


async def _astreamed(row: Row, prompt: str) -> int:
    return len([chunk async for chunk in row.astream(prompt)])


async def _abatch(row: Row, count: int) -> int:
    if row.abatch is None:
        return await _at_once(row, count, count)
    await row.abatch(count)
    return count


def _scenarios(loop: asyncio.AbstractEventLoop, calls: int) -> Mapping[str, Callable[[Row], int]]:
    run = loop.run_until_complete
    return {
        "one call": lambda row: len([row.call() for _ in range(calls)]),
        "one call, async": lambda row: run(_acalls(row, calls)),
        "16 threads": lambda row: _threads(row, calls * 2),
        "64 in flight": lambda row: run(_at_once(row, 64, calls * 2)),
        "512 in flight": lambda row: run(_at_once(row, 512, max(calls * 6, 128))),
        "abatch": lambda row: run(_abatch(row, calls * 4)),
        "chunk of 200": lambda row: len(list(row.stream("hello"))),
        "chunk of 2,000": lambda row: len(list(row.stream("long"))),
        "chunk of 200, async": lambda row: run(_astreamed(row, "hello")),
        "chunk of 2,000, async": lambda row: run(_astreamed(row, "long")),
        "chunk, paced": lambda row: len(list(row.stream("paced"))),
        "chunk, paced, async": lambda row: run(_astreamed(row, "paced")),
        "first chunk": lambda row: len([next(iter(row.stream("hello")))]),
        "fallback after a 500": lambda row: (
            len([row.fallback() for _ in range(calls // 4)]) if row.fallback else 0
        ),
    }


def measure(found: list[Row], rounds: int, calls: int) -> dict[str, dict[str, list[float]]]:
    """Return the figures of each scenario and row, one per round."""
    gc.collect()
    gc.freeze()  # the heap of one peer (LiteLLM's is 150 MB) must not be searched at the cost of another's calls
    loop = asyncio.new_event_loop()
    table: dict[str, dict[str, list[float]]] = {}
    for name, scenario in _scenarios(loop, calls).items():
        for number in range(rounds + 1):  # the first one warms up
            for row in found:
                if name.startswith("fallback") and row.fallback is None:
                    continue
                cost = _cost(lambda row=row, scenario=scenario: scenario(row))
                if number:
                    table.setdefault(name, {}).setdefault(row.name, []).append(cost)
        print(line(name, table[name]), flush=True)
    name = "import"
    for _ in range(rounds):
        for row in found:
            first = "sys" if row.name == FLOOR else "langchain_core.language_models.chat_models"
            code = _PROBE.format(first=first, line=_IMPORTS[row.name])
            said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            table.setdefault(name, {}).setdefault(row.name, []).append(float(said.stdout.split()[-1]))
    print(line(name, table[name]), flush=True)
    return table


def line(name: str, figures: Mapping[str, list[float]]) -> str:
    """Return a row of the Markdown table: median, spread, and the ratios of ours to httpx and ChatOpenAI."""
    cells = []
    for values in figures.values():
        middle = statistics.median(values)
        cells.append(f"{middle:,.0f} ±{(max(values) - min(values)) / middle / 2:.0%}")
    ours = figures.get("ours", [])
    for other in (FLOOR, RIVAL):
        ratios = [a / b for a, b in zip(ours, figures.get(other, []), strict=False)]
        cells.append(f"{statistics.median(ratios):.2f}" if ratios else "-")
    return " | ".join(["", name, *cells, ""]).strip()


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "-"
    return found


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and calls; writes nothing")
    quick = parser.parse_args().quick
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    apart = len(cores) > 1
    with serving(["taskset", "-c", str(cores[-1])] if apart else []) as url:
        if apart:
            os.sched_setaffinity(0, {cores[0]})
        top = asyncio.run(ceiling(url))
        found = rows(url)
        names = [row.name for row in found]
        print(f"ceiling of the vendor: {top:,.0f} calls/s; CPU us\n")
        print(f"| scenario | {' | '.join(names)} | ours / {FLOOR} | ours / {RIVAL} |")
        table = measure(found, *((1, 10) if quick else (5, 100)))
    if not quick:
        write(table, names, top)


def write(table: Mapping[str, Mapping[str, list[float]]], names: list[str], top: float) -> None:
    """Write the table as Markdown and JSON, with all versions."""
    versions = _versions()
    heads = ["CPU us", *names, f"ours / {FLOOR}", f"ours / {RIVAL}"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for scenario, figures in table.items():
        cells = line(scenario, figures).strip("|").split("|")[1:]
        held = iter(cells)
        row = [next(held).strip() if name in figures else "-" for name in names]
        lines.append(f"| {' | '.join([scenario, *row, *(cell.strip() for cell in held)])} |")
    text = ", ".join(f"{name} {number}" for name, number in versions.items())
    about = f"`make bench`: {text}. Ceiling of the vendor: {top:,.0f} calls/s. Medians ± half the spread."
    (RESULTS / "peers.md").write_text("\n".join([about, "", *lines, ""]), encoding="utf-8")
    found = {"versions": versions, "ceiling": round(top), "figures": table}
    (RESULTS / "peers.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
