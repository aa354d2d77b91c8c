"""`explain` before a call and the call itself agree."""

from __future__ import annotations

import random
from typing import Any

import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, errors
from langchain_llmdispatch.testing import FakeClock
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer


def model(server: LoopbackServer, *accounts: str, **fields: Any) -> DispatcherChatModel:
    """Return a model over accounts of the loopback server, in virtual time."""
    models = [
        Deployment("openai:gpt-5.4-mini", name=name, base_url=server.base_url("openai", name), api_key="k")
        for name in accounts
    ]
    defaults = {"retry_policy": RetryPolicy(jitter=False), "clock": FakeClock(), "rng": random.Random(1)}
    return DispatcherChatModel(models=models, env={}, **{**defaults, **fields})


@pytest.mark.parametrize(
    "strategy",
    ["ordered", "weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost", "balanced"],
)
def test_the_call_does_what_the_plan_says(strategy: str) -> None:
    """Ten calls with faults: each message lists the deployments in the order that `explain` gave before."""
    with LoopbackServer() as server:
        dispatcher = model(server, "a", "b", "c", strategy=strategy, retry_policy=RetryPolicy(max_retries=0))
        chance = random.Random(4)
        for _ in range(10):
            plan = dispatcher.explain("hello")
            failing = chance.randrange(3)
            for planned in plan.candidates[:failing]:
                server.script("openai", [Fault.error("server_error")], planned.deployment)
            message = dispatcher.invoke("hello")
            tried = [each["deployment"] for each in message.response_metadata["llmdispatch"]["attempts"]]
            assert tried == [planned.deployment for planned in plan.candidates[: failing + 1]]


def test_explaining_sends_and_changes_nothing() -> None:
    """Explained a hundred times, the plan is the same, and nothing is sent or counted."""
    with LoopbackServer() as server:
        dispatcher = model(server, "a", "b", "c", strategy="weighted")
        plans = {str(dispatcher.explain("hello")) for _ in range(100)}
        assert len(plans) == 1
        assert server.requests == []
        assert dispatcher.get_stats().total_requests == 0


def test_explain_takes_what_invoke_takes() -> None:
    """Messages, bound tools, a route, a run's options; the plan lists what would be adapted."""
    with LoopbackServer() as server:
        dispatcher = model(server, "a", "b")
        assert dispatcher.explain("hi", model="b").candidates[0].deployment == "b"
        assert dispatcher.explain("hi", {"configurable": {"route": "b"}}).route == "b"
        assert dispatcher.explain([("user", "hi")], {"configurable": {"deadline": 7}}).bound.seconds == 7
        plan = dispatcher.explain("hi", temperature=0.3, top_k=5)
        assert {change.kind for change in plan.candidates[0].changes} >= {"top_k_dropped"}
        with pytest.raises(errors.ConfigurationError):
            dispatcher.explain("hi", model="cohere:command-a-03-2025")
