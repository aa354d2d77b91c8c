"""Rows of vendors' jobs are paid from the budgets of their model: held when submitted, settled when collected."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from langchain_llmdispatch import Budget
from langchain_llmdispatch.batch import BatchReport, run_batch
from langchain_llmdispatch.testing import FakeClock
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


class Bench:
    """A batch over a vendor's batch API, in virtual time, whose rows cost at most what `max_tokens` allows."""

    def __init__(self, server: LoopbackServer, folder: Path, vendor: str = "openai") -> None:
        self.server, self.sink, self.clock, self.vendor = server, folder / "out.jsonl", FakeClock(), vendor
        server.batch_plan.now = lambda: self.clock.now().timestamp()

    def run(self, rows: int = 10, budgets: Any = (), *, stops: bool = False, **options: Any) -> BatchReport:
        """Run the batch; `stops`: the process ends while it waits for the job."""
        fields = {"budget_usd": options.pop("budget_usd", None), "budget": budgets or None}
        model = model_of(deployment(self.server, self.vendor), clock=self.clock, **fields)
        given = [{"input": f"say {n}", "params": {"max_tokens": 50}} for n in range(rows)]
        clock = Stopping() if stops else self.clock
        return run_batch(model, given, self.sink, **{"via": "batch", "clock": clock, **options})

    @property
    def errors(self) -> list[str]:
        """The errors of rows."""
        lines = [json.loads(line) for line in self.sink.read_text().splitlines()]
        return [line["error"] for line in lines if line["error"]]

    def submitted(self) -> int:
        """How many rows are in jobs."""
        return sum(len(job.rows) for job in self.server.batches[self.vendor].jobs)

    def live(self) -> int:
        """How many live calls were made."""
        return sum(request.path.endswith(("completions", "messages")) for request in self.server.requests)


class Stopping(FakeClock):
    """The process ends when it is about to wait."""

    async def asleep(self, seconds: float) -> None:
        """End."""
        raise KeyError(seconds)


def left(budget: Budget, clock: FakeClock) -> tuple[Decimal, Decimal]:
    """Return what is spent of a budget, and held."""
    state = budget.state(clock.now())
    return state.spent_usd, state.held_usd


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_a_batch_is_paid_from_the_budget(server: LoopbackServer, tmp_path: Path, vendor: str) -> None:
    """What was billed is charged, by batches and live calls together, and nothing stays held."""
    bench, budget = Bench(server, tmp_path, vendor), Budget(1.0, "day")
    outcomes = iter(["500", "expired", "missing", "twice"])
    server.batch_plan.outcome = lambda _: next(outcomes, "ok")
    report = bench.run(10, budget)
    assert (report.done, report.failed, bench.live()) == (10, 0, 3)
    assert left(budget, bench.clock) == (report.cost, 0)
    by = budget.state(bench.clock.now()).by_deployment
    assert by == {vendor: report.cost}


def test_what_does_not_fit_is_not_submitted(server: LoopbackServer, tmp_path: Path) -> None:
    """Those rows are budget errors, as live ones would be; the others are answered."""
    bench = Bench(server, tmp_path)
    report = bench.run(10, Budget(0.00014, "day"))  # a row costs up to 0.000114, and about 0.000009
    assert 1 < report.done < 10
    assert (report.done + report.failed, bench.live(), bench.submitted()) == (10, 0, report.done)
    assert all(error.startswith("BudgetExceededError: openai: up to $") for error in bench.errors)
    report = bench.run(10, Budget(1.0, "day"), retry_failed=True)
    assert (report.done, bench.live()) == (10, 0)


def test_what_does_not_fit_yet_waits(server: LoopbackServer, tmp_path: Path) -> None:
    """Until a job has ended, whose rows cost less than they might have; nothing is called live."""
    bench, budget = Bench(server, tmp_path), Budget(0.0004, "day")
    report = bench.run(10, budget)
    assert (report.done, bench.live()) == (10, 0)
    assert len(server.batches["openai"].jobs) > 2
    assert left(budget, bench.clock) == (report.cost, 0)


def test_a_call_s_own_limit(server: LoopbackServer, tmp_path: Path) -> None:
    """`budget_usd` bounds each row, at the price of batches."""
    bench = Bench(server, tmp_path)
    assert bench.run(3, budget_usd=1.0).done == 3
    bench = Bench(server, tmp_path)
    report = bench.run(3, budget_usd=0.0000001, store=tmp_path / "b.sqlite")
    assert (report.failed, bench.submitted(), bench.live()) == (3, 3, 0)


@pytest.mark.parametrize("same", [True, False])
def test_a_process_that_died_is_charged_once(server: LoopbackServer, tmp_path: Path, same: bool) -> None:
    """The run that collects a job charges it, by what the earlier one has held; by the same budget or another."""
    bench, budget = Bench(server, tmp_path), Budget(1.0, "day")
    with pytest.raises(KeyError):
        bench.run(10, budget, stops=True)
    assert left(budget, bench.clock) == (0, 0)
    budget = budget if same else Budget(1.0, "day")
    report = bench.run(10, budget, via="live")
    assert (report.done, bench.live()) == (10, 0)
    assert left(budget, bench.clock) == (report.cost, 0)
    assert bench.run(10, budget) == report
    assert left(budget, bench.clock) == (report.cost, 0)


def test_a_job_is_charged_to_the_day_of_its_submission(server: LoopbackServer, tmp_path: Path) -> None:
    """And nothing to the day on which it is collected."""
    bench, budget = Bench(server, tmp_path), Budget(1.0, "day")
    server.batch_plan.retry_after = 86_400  # seconds between two polls
    submitted = bench.clock.now()
    report = bench.run(3, budget, deadline=None)
    assert bench.clock.now().date() > submitted.date()
    assert budget.state(bench.clock.now()).spent_usd == 0
    assert report.done == 3


def test_each_user_has_a_budget(server: LoopbackServer, tmp_path: Path) -> None:
    """Rows spend from the account of their user."""
    bench, budget = Bench(server, tmp_path), Budget(0.001, "day", scope="user")
    model = model_of(deployment(server, "openai"), clock=bench.clock, budget=budget)
    rows = [{"input": "hi", "params": {"max_tokens": 50, "user": f"u{n % 2}"}} for n in range(4)]
    report = run_batch(model, rows, bench.sink, via="batch", clock=bench.clock)
    assert report.done == 4
    spent = [budget.state(bench.clock.now(), user).spent_usd for user in ("u0", "u1")]
    assert spent == [report.cost / 2] * 2


def test_many_refusals_end_the_run(server: LoopbackServer, tmp_path: Path) -> None:
    """As many failures in succession do: the rest waits for another day."""
    bench = Bench(server, tmp_path)
    report = bench.run(20, Budget(0.00000001, "day"), max_failures=5)
    assert (report.failed, report.waiting, report.stopped) == (5, 15, "failures")
    assert server.requests == []


def test_a_budget_that_the_model_has_no_more(
    server: LoopbackServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It cannot be charged, and is named."""
    bench = Bench(server, tmp_path)
    with pytest.raises(KeyError):
        bench.run(2, Budget(1.0, "day", name="team"), stops=True)
    assert bench.run(2).done == 2
    assert "paid from Budget('team'), which the model has not" in caplog.text
