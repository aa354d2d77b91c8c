"""The end of a run from outside: nothing is lost, nothing is begun."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_llmdispatch.batch import run_batch
from langchain_llmdispatch.batch.interrupt import Interrupt
from langchain_llmdispatch.testing import FakeClock
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


@pytest.mark.parametrize("thread", [False, True])
def test_what_is_under_way_ends(tmp_path: Path, thread: bool) -> None:
    """No further row is taken; a later run goes on with the rest."""
    interrupt, seen = Interrupt(), list[str]()

    async def answer(text: str) -> str:
        seen.append(text)
        if len(seen) == 5:
            if thread:
                threading.Thread(target=interrupt.request).start()
            else:
                interrupt.request()
            while not interrupt.requested:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        return text

    rows, sink = [f"row {n}" for n in range(30)], tmp_path / "out.jsonl"
    options: dict[str, Any] = {"max_in_flight": 3, "clock": FakeClock()}
    report = run_batch(RunnableLambda(answer), rows, sink, interrupt=interrupt, **options)
    assert report.stopped == "interrupt"
    assert 5 <= report.done == len(seen) < 10
    assert len(sink.read_text().splitlines()) == report.done
    assert str(report).count("waiting (interrupt)") == 1
    report = run_batch(RunnableLambda(answer), rows, sink, **options)
    assert (report.done, report.stopped, len(seen)) == (30, None, 30)


def test_a_pause_is_cut_short(tmp_path: Path) -> None:
    """Before the next try of rows that failed."""
    interrupt = Interrupt()

    class Waiting(FakeClock):
        async def asleep(self, seconds: float) -> None:
            interrupt.request()
            await asyncio.Event().wait()

    def fail(_: str) -> str:
        raise OSError("no")

    report = run_batch(
        RunnableLambda(fail), ["a"], tmp_path / "o.jsonl", interrupt=interrupt, clock=Waiting()
    )
    assert (report.waiting, report.stopped) == (1, "interrupt")


def test_jobs_are_left_to_a_later_run(server: LoopbackServer, tmp_path: Path) -> None:
    """They go on at the vendor; what was submitted is collected, the rest submitted."""
    clock, interrupt = FakeClock(), Interrupt()
    server.batch_plan.now = lambda: clock.now().timestamp()

    class Waiting(FakeClock):
        async def asleep(self, seconds: float) -> None:
            interrupt.request()
            await asyncio.Event().wait()

    model, sink = model_of(deployment(server, "openai"), clock=clock), tmp_path / "out.jsonl"
    rows = [f"say {n}" for n in range(5)]
    report = run_batch(model, rows, sink, via="batch", clock=Waiting(), interrupt=interrupt)
    assert (report.waiting, report.stopped, len(server.batches["openai"].jobs)) == (5, "interrupt", 1)
    assert not server.batches["openai"].jobs[0].cancelled
    report = run_batch(model, rows, sink, via="batch", clock=clock)
    assert (report.done, len(server.batches["openai"].jobs)) == (5, 1)
    assert json.loads(sink.read_text().splitlines()[0])["text"]


def test_a_run_that_is_interrupted_before_it_begins(tmp_path: Path) -> None:
    """It takes no row."""
    interrupt = Interrupt()
    interrupt.request()
    report = run_batch(RunnableLambda(str), ["a", "b"], tmp_path / "out.jsonl", interrupt=interrupt)
    assert (report.done, report.waiting, report.stopped) == (0, 2, "interrupt")
