"""The outermost run of a call: by metadata, by a tracer, by the run around."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

from langchain_llmdispatch import Budget
from langchain_llmdispatch.chat_model.run_root import root_run
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


def _nested(server: LoopbackServer, budget: Budget, config: Any) -> None:
    """Call a model twice, each time in a chain within one chain."""
    model = model_of(
        deployment(server, "openai", input_price=1, output_price=1), budget=budget, max_tokens=50
    )
    inner = RunnableLambda(lambda text: model.invoke(text).text) | RunnableLambda(str)
    RunnableLambda(lambda text: [inner.invoke(text), inner.invoke(text)]).invoke("hello", config)


def test_a_tracer_knows_the_outermost_run(server: LoopbackServer) -> None:
    """Chains within chains are one run where a tracer is attached."""
    budget = Budget(usd=1, per="run")
    _nested(server, budget, {"callbacks": [RunCollectorCallbackHandler()]})
    assert len(budget.states()) == 1


def test_a_run_may_be_named_in_the_metadata(server: LoopbackServer) -> None:
    """As LangGraph's server does."""
    budget = Budget(usd=1, per="run")
    for _ in range(2):
        _nested(server, budget, {"metadata": {"run_id": "r-1"}})
    assert [state.account for state in budget.states()] == ["r-1"]


def test_outside_of_runs_there_is_none() -> None:
    """A call without a manager has no run."""
    assert root_run({}) == ""
