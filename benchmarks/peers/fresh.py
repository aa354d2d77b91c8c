"""What a fresh process pays: importing a class, a first call, the command line's first character, a decision.

Modules are compiled beforehand, also where `PYTHONDONTWRITEBYTECODE` is set: a first import, which is not measured,
writes their bytecode.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.peers.rows import CORE, OURS, Row

ROOT = Path(__file__).parents[2]
_IMPORT = """
import resource, sys, time
{before}
def resident():
    try:
        return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
memory, cpu = resident(), time.process_time()
{line}
figures = (time.process_time() - cpu) * 1e3, resident() - memory
"""
_CALL = """
import asyncio
from benchmarks.peers.client import NotOfferedError
from benchmarks.peers.rows import BY_NAME
client = BY_NAME[{name!r}].made({url!r})
try:
    client.call()
except NotOfferedError:
    asyncio.run(client.acall())
figures = *figures, time.process_time() * 1e3, resident()
"""
Figure = tuple[str, str, str, float]
"""Of a scenario, a measure and a row: a figure."""


def _environment() -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # or it fetches one at its import


def _printed(command: Sequence[str]) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=True, env=_environment(), cwd=ROOT
    )
    return done.stdout


def _figures(code: str) -> list[float]:
    found: list[float] = json.loads(_printed(["-c", f"{code}\nprint(list(figures))"]).splitlines()[-1])
    return found


def compiled(rows: Sequence[Row]) -> None:
    """Import all once, so that bytecode is written; what cannot be imported shows when it is measured."""
    for row in rows:
        with suppress(subprocess.CalledProcessError):
            _printed(["-c", row.imports])
    for _ in command_line():
        pass


def of_row(row: Row, url: str) -> Iterator[Figure]:
    """Yield milliseconds of CPU and megabytes: of an import, of one over LangChain's core, and after a first call."""
    alone = _IMPORT.format(before="", line=row.imports) + _CALL.format(name=row.name, url=url)
    kinds = {"import": alone}
    if row.chat_model:
        kinds["import over LangChain's core"] = _IMPORT.format(before=CORE, line=row.imports)
    for kind, code in kinds.items():
        figures = iter(_figures(code))
        for scenario, cpu, memory in zip((kind, "start and first call"), figures, figures, strict=False):
            yield scenario, "ms", row.name, cpu
            yield scenario, "MB", row.name, memory


def command_line() -> Iterator[Figure]:
    """Yield milliseconds until the command line's help begins."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "langchain_llmdispatch", "--help"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment(), cwd=ROOT
    ) as process:
        if process.stdout is not None and process.stdout.read(1):
            yield "--help, first character", "ms", OURS, (time.perf_counter() - start) * 1e3
            process.stdout.read()


def decisions() -> Iterator[Figure]:
    """Yield microseconds of the decisions of `decision_time.py`, whose rows are strategies and cases."""
    table = json.loads(_printed([str(ROOT / "benchmarks" / "decision_time.py"), "--json"]))
    for count, figures in table.items():
        for name, value in figures.items():
            yield f"decision, {count} deployments", "cpu", name, value
