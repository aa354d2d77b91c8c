"""How far a batch is, by its journal: also while a run has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_llmdispatch.batch import run_batch
from langchain_llmdispatch.batch.status import status_of
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing import FakeClock
from tests.batch.test_funds import Stopping
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


def test_a_batch_that_runs(tmp_path: Path) -> None:
    """Another process may read it; nothing is changed."""
    sink, seen = tmp_path / "out.jsonl", []

    def answer(text: str) -> str:
        seen.append(status_of(f"{sink}.sqlite"))
        return text

    run_batch(RunnableLambda(answer), ["a", "b", "c"], sink, max_in_flight=1)
    assert [(each.report.done, each.report.waiting, each.is_running) for each in seen] == [
        (0, 3, True),
        (1, 2, True),
        (2, 1, True),
    ]
    assert not status_of(f"{sink}.sqlite").is_running
    assert str(status_of(f"{sink}.sqlite")) == (
        "3 of 3 rows answered, 0 failed; 0 tokens, $0.0000\nno process works on it"
    )


def test_jobs_at_vendors(server: LoopbackServer, tmp_path: Path) -> None:
    """With their id, state and rows."""
    model, sink = model_of(deployment(server, "openai"), clock=FakeClock()), tmp_path / "out.jsonl"
    with pytest.raises(KeyError):
        run_batch(model, ["a", "b"], sink, via="batch", clock=Stopping())
    status = status_of(f"{sink}.sqlite")
    (job,) = status.jobs
    assert (job.deployment, job.handle, job.state, job.open, job.rows) == (
        "openai",
        "batch_0",
        "running",
        2,
        2,
    )
    assert "\njob at openai: batch_0, running, 2 rows, since 20" in str(status)


def test_the_most_frequent_errors(server: LoopbackServer, tmp_path: Path) -> None:
    """What failed alike is one line."""
    server.script("openai", [*[Fault(status=400)] * 3, Fault(status=404), Fault(status=400)])
    model, sink = model_of(deployment(server, "openai"), max_retries=0), tmp_path / "out.jsonl"
    run_batch(model, ["a"] * 5, sink, max_in_flight=1)
    lines = status_of(f"{sink}.sqlite").failures()
    assert [line.partition(" failed with ")[0] for line in lines] == ["4", "1"]
    assert "InvalidRequestError" in lines[0]


def test_what_is_no_journal(tmp_path: Path) -> None:
    """Nothing is made of it, and none is created."""
    (tmp_path / "x").write_text("no database, however long it may be" * 20)
    with pytest.raises(ConfigurationError, match="x: is no journal of a batch"):
        status_of(tmp_path / "x")
    with pytest.raises(ConfigurationError, match="there is no journal"):
        status_of(tmp_path / "y")
    assert not (tmp_path / "y").exists()
