"""This package beside its peers: one vendor on another core, a process for each row, rows in turn.

    make bench            everything, under ten minutes; writes results/peers.json, results/peers.md, README and documentation
    make bench-quick      one short round of the most telling rows, under a minute; only prints

    python -m benchmarks.peers [--quick] [--only ROW ...] [--scenarios NAME ...] [--rounds N] [--report]

The peers come with the dependency group `bench`, in an environment of their own. A peer that cannot be imported, or
fails, has no row or no figure, and a line on stderr names the reason. A ratio is the median of the ratios of single rounds; figures
are medians, with half of their spread. `--report` writes the Markdown from the figures that there are.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.peers import report
from benchmarks.peers.figures import RESULTS, Figures
from benchmarks.peers.rows import ROWS, Row
from benchmarks.peers.run import FULL, QUICK, Plan, Run
from benchmarks.peers.scenarios import SCENARIOS
from benchmarks.peers.worker import Worker, allow_connections, pin
from benchmarks.vendor import ceiling, serving

PACKAGES = (
    "langchain-llmdispatch",
    "langchain-core",
    "httpx",
    "httpx2",
    "aiohttp",
    "openai",
    "langchain-openai",
    "langchain-anthropic",
    "litellm",
    "langchain-litellm",
    "pydantic-ai-slim",
)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _machine(cores: Sequence[int]) -> str:
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux, or another architecture's words
    return f"{name}, {len(cores)} cores"


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


@contextmanager
def _running(rows: Sequence[Row], url: str, core: int) -> Iterator[list[Worker]]:
    started = [Worker(row, url, [core]) for row in rows]
    try:
        yield [worker for worker in started if worker.ready()]
    finally:
        for worker in started:
            worker.stop()


def measure(plan: Plan, names: Sequence[str]) -> dict[str, Any]:
    """Return the figures, and under which conditions they were taken."""
    cores, began = _cores(), time.monotonic()
    client, vendor = cores[0], cores[-1]
    found: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine(cores),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else 0.0,
        "rounds": plan.rounds,
        "versions": _versions(),
    }

    def note(text: str) -> None:
        print(f"{time.monotonic() - began:4.0f} s  {text}", file=sys.stderr, flush=True)

    allow_connections()
    apart = len(cores) > 1 and shutil.which("taskset")
    with serving(["taskset", "-c", str(vendor)] if apart else []) as url:
        pin([client])
        tops = [asyncio.run(ceiling(url, streams=streams)) for streams in (False, True)]
        found["ceiling"] = {"calls": round(tops[0]), "streams": round(tops[1])}
        print("ceiling of the vendor: {calls:,} calls/s, {streams:,} streams/s".format(**found["ceiling"]))
        pin(cores)
        rows = [row for row in ROWS if (row.name in names if names else plan.whole or row.telling)]
        with _running(rows, url, client) as workers:
            note(f"rows: {', '.join(worker.row.name for worker in workers)}")
            run = Run(plan, workers, url, note)
            return {**found, "figures": run.all(), "requests": run.sent, "connections": run.connected}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="one short round of a few rows; writes nothing")
    names = [row.name for row in ROWS]
    parser.add_argument("--only", nargs="+", default=[], choices=names, help="these rows; writes nothing")
    parser.add_argument(
        "--scenarios", nargs="+", default=[], choices=list(SCENARIOS), help="these scenarios; writes nothing"
    )
    parser.add_argument("--rounds", type=int, help=f"samples of each row; default: {FULL.rounds}")
    parser.add_argument("--report", action="store_true", help="only write the Markdown anew")
    chosen = parser.parse_args(arguments)
    if chosen.report:
        report.write(Figures.read())
        return 0
    plan = QUICK if chosen.quick else FULL
    rounds = chosen.rounds or plan.rounds
    plan = dataclasses.replace(
        plan, rounds=rounds, starts=min(rounds, plan.starts), only=tuple(chosen.scenarios)
    )
    found = measure(plan, chosen.only)
    figures = Figures(found)
    print(f"\n{report.full(figures)}\n\n{report.summary(figures)}")
    if not (chosen.quick or chosen.only or chosen.scenarios):
        (RESULTS / "peers.json").write_text(_text(found), encoding="utf-8")
        report.write(figures)
    return 0


def _text(found: dict[str, Any]) -> str:
    """Return JSON with the figures of a row in one line, rounded: the file is read in differences."""
    for measures in found["figures"].values():
        for rows in measures.values():
            for row, values in rows.items():
                rows[row] = [float(f"{value:.5g}") for value in values]
    lines = json.dumps(found, indent=1)
    return _joined(lines) + "\n"


def _joined(text: str) -> str:
    return re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda found: "[" + re.sub(r"\s+", " ", found[1]) + "]", text)


if __name__ == "__main__":
    raise SystemExit(main())
