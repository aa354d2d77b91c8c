"""A batch over vendors' batch APIs dies between any two steps, and no row is submitted twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from langchain_llmdispatch.batch import BatchReport, run_batch
from langchain_llmdispatch.errors import DispatchError
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.testing.middleware import installed
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.transport.deadline import ReadDeadline
    from langchain_llmdispatch.transport.middleware import Flow

ROOT = Path(__file__).parents[2]
ROWS = [f"say {n}" for n in range(5)]
LIVE = ("chat/completions", "/responses", "/messages", ":generateContent")


class CrashError(Exception):
    """The process ends here."""


class Crash:
    """Ends the process at a request: before it leaves, or when its answer is there."""

    depth, replays = 50, False

    def __init__(self, at: int, *, after: bool) -> None:
        self.at, self.after, self.seen = at, after, 0

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Forward the request, or crash."""
        self.seen += 1
        crashes = self.seen == self.at
        if crashes and not self.after:
            raise CrashError
        response = yield request
        if crashes:
            yield response
            raise CrashError
        return response


def batch(
    server: LoopbackServer, vendor: str, folder: Path, crash: Crash, clock: FakeClock
) -> BatchReport | None:
    """Run the batch; return None if it crashed."""
    model = model_of(deployment(server, vendor), clock=clock)
    with installed(crash, model):
        try:
            return run_batch(model, ROWS, folder / "out.jsonl", via="batch", clock=clock)
        except CrashError:
            return None


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google", "mistralai", "xai"])
@pytest.mark.parametrize("lost", [0, 1])
def test_a_crash_between_any_two_steps(
    server: LoopbackServer, tmp_path: Path, vendor: str, lost: int
) -> None:
    """Each row is billed once, none is called live, whether or not a creation's answer was lost as well."""
    moments = [(at, after) for at in range(1, 4 if lost else 8) for after in (False, True)]

    @each("moment", moments)
    def _check(moment: tuple[int, bool]) -> None:
        at, after = moment
        server.clear()
        clock, crash = FakeClock(), Crash(at, after=after)
        server.batch_plan.now = lambda: clock.now().timestamp()
        server.batch_plan.lost, server.batch_plan.polls = lost, 2
        folder = tmp_path / f"{at}{after}"
        folder.mkdir()
        report = batch(server, vendor, folder, crash, clock)
        if report is None:
            report = batch(server, vendor, folder, Crash(0, after=False), clock)
        assert report is not None
        assert (report.done, report.waiting) == (5, 0)
        billed = server.batches[vendor].billed
        assert (len(billed), sum(billed.values())) == (5, 5)
        assert not [request for request in server.requests if request.path.endswith(LIVE)]

    _check()


def test_a_strangers_job_is_not_taken_for_ours(server: LoopbackServer, tmp_path: Path) -> None:
    """Anthropic keeps no token: another job of the same size and time is recognised by its results."""
    clock = FakeClock()
    server.batch_plan.now = lambda: clock.now().timestamp()
    other = model_of(deployment(server, "anthropic"), clock=clock)
    run_batch(other, [f"stranger {n}" for n in range(5)], tmp_path / "a.jsonl", via="batch", clock=clock)
    crash = Crash(1, after=False)  # `creating` is written, the request has not left
    assert batch(server, "anthropic", tmp_path, crash, clock) is None
    report = batch(server, "anthropic", tmp_path, Crash(0, after=False), clock)
    assert report is not None
    assert report.done == 5
    billed = server.batches["anthropic"].billed
    assert (len(billed), max(billed.values()), len(server.batches["anthropic"].jobs)) == (10, 1, 2)


def test_a_killed_process_submits_nothing_twice(server: LoopbackServer, tmp_path: Path) -> None:
    """Killed when the answer to the creation was there, and nothing of it was written."""
    clock = FakeClock()
    server.batch_plan.now = lambda: clock.now().timestamp()
    command = [sys.executable, "-m", "tests.batch.job_worker", str(tmp_path / "out.jsonl")]
    environment = {**os.environ, "KILL_AT": "2"}
    process = subprocess.run([*command, server.base_url("openai")], cwd=ROOT, env=environment, check=False)
    assert process.returncode == -9
    model = model_of(deployment(server, "openai"), clock=clock)
    report = run_batch(model, ROWS, tmp_path / "out.jsonl", via="batch", clock=clock)
    assert (report.done, len(server.batches["openai"].jobs)) == (5, 1)
    assert sum(server.batches["openai"].billed.values()) == 5


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google", "mistralai", "xai"])
def test_what_cannot_be_looked_for_is_not_created_again(
    server: LoopbackServer, tmp_path: Path, vendor: str
) -> None:
    """The run ends with the vendor's error; a later one goes on."""
    clock = FakeClock()
    server.batch_plan.now = lambda: clock.now().timestamp()
    server.batch_plan.lost, server.batch_plan.unlisted = 1, True
    for _ in range(2):
        with pytest.raises(DispatchError, match="Not Found|not found"):
            batch(server, vendor, tmp_path, Crash(0, after=False), clock)
    server.batch_plan.unlisted = False
    report = batch(server, vendor, tmp_path, Crash(0, after=False), clock)
    assert report is not None
    assert (report.done, len(server.batches[vendor].jobs)) == (5, 1)
    assert not [request for request in server.requests if request.path.endswith(LIVE)]


def test_a_strangers_job_is_not_cancelled(server: LoopbackServer, tmp_path: Path) -> None:
    """At the deadline, a job that may be another program's is left alone."""
    clock = FakeClock()
    server.batch_plan.now = lambda: clock.now().timestamp()
    server.batch_plan.lost, server.batch_plan.stuck = 1, True
    model = model_of(deployment(server, "anthropic"), clock=clock)
    report = run_batch(model, ROWS, tmp_path / "out.jsonl", via="batch", clock=clock, deadline=60)
    assert report.done == 5
    assert not server.batches["anthropic"].jobs[0].cancelled


@pytest.mark.parametrize("vendor", ["openai", "google", "mistralai"])
def test_our_clock_is_hours_ahead(server: LoopbackServer, tmp_path: Path, vendor: str) -> None:
    """A job is found by its token among others, whatever its vendor's clock shows."""
    clock = FakeClock()
    server.batch_plan.now = lambda: clock.now().timestamp() - 5 * 3600
    assert batch(server, vendor, tmp_path, Crash(1 if vendor == "google" else 2, after=True), clock) is None
    other = model_of(deployment(server, vendor), clock=clock)
    for n in range(3):  # newer ones, so that ours is on a later page
        run_batch(other, ["stranger"], tmp_path / f"{n}.jsonl", via="batch", clock=clock)
    report = batch(server, vendor, tmp_path, Crash(0, after=False), clock)
    assert report is not None
    assert (report.done, len(server.batches[vendor].jobs)) == (5, 4)
