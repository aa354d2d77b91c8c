"""A budget that two processes share."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.batch import run_batch
from langchain_llmdispatch.budgets.state import BudgetState
from langchain_llmdispatch.redis.budget import RedisBudget
from langchain_llmdispatch.redis.state import RedisState
from langchain_llmdispatch.testing import FakeClock
from tests.batch.test_funds import Stopping
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ROWS = [{"input": f"say {n}", "params": {"max_tokens": 50}} for n in range(5)]


def test_a_budget_is_spent_together(states: tuple[RedisState, RedisState]) -> None:
    """What one process reserved or spent is not left for the other; a new period begins at zero."""
    one, two = (RedisBudget(state, "team", 1, "day") for state in states)
    held = one.reserve(Decimal("0.6"), NOON)
    assert held is not None
    two.left(NOON)
    assert states[0].sync()
    assert states[1].sync()
    assert two.left(NOON) == Decimal("0.4")
    assert two.reserve(Decimal("0.5"), NOON) is None
    held.settle(Decimal("0.1"))
    assert states[0].sync()
    two.spent(NOON)
    assert states[1].sync()
    assert (two.spent(NOON), two.left(NOON)) == (Decimal("0.1"), Decimal("0.9"))
    assert two.reserve(Decimal("0.5"), NOON) is not None
    assert two.left(NOON.replace(day=25)) == Decimal(1)


def test_a_job_is_charged_once_on_the_server(server: LoopbackServer, tmp_path: Path, url: str) -> None:
    """The hold outlives the process that made it; the process that collects the job replaces it by what was billed."""
    clock, prefix, sink = FakeClock(), uuid.uuid4().hex, tmp_path / "out.jsonl"
    server.batch_plan.now = lambda: clock.now().timestamp()
    first, second = (RedisState(url, prefix=prefix, timeout=5.0, refresh=0.0) for _ in range(2))

    def known(state: RedisState) -> BudgetState:
        budget = RedisBudget(state, "team", 1.0, "day")
        budget.state(clock.now())
        assert state.sync()
        return budget.state(clock.now())

    with pytest.raises(KeyError), _model(server, first, clock) as model:
        run_batch(model, ROWS, sink, via="batch", clock=Stopping())
    assert known(first).held_usd > known(first).spent_usd == 0
    with _model(server, second, clock) as model:
        report = run_batch(model, ROWS, sink, via="batch", clock=clock)
    assert second.sync()
    assert (report.done, len(server.batches["openai"].jobs)) == (5, 1)
    assert (known(second).spent_usd, known(second).held_usd) == (round(report.cost, 9), 0)
    for state in (first, second):
        state.close()


def _model(server: LoopbackServer, state: RedisState, clock: FakeClock) -> DispatcherChatModel:
    return model_of(deployment(server, "openai"), clock=clock, budget=RedisBudget(state, "team", 1.0, "day"))
