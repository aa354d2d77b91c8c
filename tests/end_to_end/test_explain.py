"""`explain` before a call and the call itself agree."""

from __future__ import annotations

import random
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_llmdispatch import (
    Deployment,
    DispatcherChatModel,
    DispatcherConfig,
    RetryPolicy,
    RetryQuota,
    RoutingRule,
    errors,
)
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
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


def test_the_systems_randomness_is_explained_as_far_as_it_can_be() -> None:
    """What `SystemRandom` will draw is not known; the plan lists who may be tried all the same."""
    with LoopbackServer() as server:
        dispatcher = model(server, "a", "b", strategy="weighted", rng=random.SystemRandom())
        assert {planned.deployment for planned in dispatcher.explain("hello").candidates} == {"a", "b"}
        assert dispatcher.invoke("hello").text


def tool_loop() -> list[BaseMessage]:
    """Return a conversation whose last tool call was made by `b`."""
    call = {"name": "search", "args": {}, "id": "1"}
    calling = AIMessage("", tool_calls=[call], response_metadata={"llmdispatch": {"deployment": "b"}})
    return [HumanMessage("find it"), calling, ToolMessage("found", tool_call_id="1")]


@each(
    ("fields", "config", "messages"),
    [
        ({"tags": ["own"], "routing_rules": [RoutingRule(deployment="b", tags={"own"})]}, None, "hi"),
        (
            {"metadata": {"tier": 1}, "routing_rules": [RoutingRule(deployment="b", metadata={"tier": 1})]},
            None,
            "hi",
        ),
        ({"routing_rules": [RoutingRule(deployment="b", tags={"run"})]}, {"tags": ["run"]}, "hi"),
        (
            {"metadata": {"tier": 1}, "routing_rules": [RoutingRule(deployment="b", metadata={"tier": 2})]},
            {"metadata": {"tier": 2}},
            "hi",
        ),
        (
            {"metadata": {"tier": 1}, "routing_rules": [RoutingRule(deployment="b", metadata={"tier": 1})]},
            {"metadata": {"tier": 2}},
            "hi",
        ),
        ({}, None, tool_loop()),
        ({"model_kwargs": {"tools": []}}, None, tool_loop()),
    ],
)
@each("colour", ["invoke", "stream"])
def test_rules_on_tags_metadata_and_tool_loops_are_explained_as_called(
    fields: Any, config: Any, messages: Any, colour: str
) -> None:
    """The tags and metadata of the model and of the run, and the deployment that called a tool."""
    with LoopbackServer() as server:
        dispatcher = model(server, "a", "b", **fields)
        planned = dispatcher.explain(messages, config).candidates[0].deployment
        answer = (
            dispatcher.invoke(messages, config)
            if colour == "invoke"
            else list(dispatcher.stream(messages, config))
        )
        last = (
            answer if colour == "invoke" else next(c for c in answer if "llmdispatch" in c.response_metadata)
        )
        assert last.response_metadata["llmdispatch"]["deployment"] == planned


def test_the_hedge_is_explained() -> None:
    """The plan names the deployment that is tried beside the first one if that is late."""
    with LoopbackServer() as server:
        dispatcher = model(server, "a", "b", "c", hedge_after=2.0)
        plan = dispatcher.explain("hello")
        assert [planned.why for planned in plan.candidates] == [(), ("hedge",), ()]
        assert (plan.hedge_after, plan.to_dict()["hedge_after"]) == (2.0, 2.0)
        assert model(server, "a", "b", hedge_after=2.0, max_attempts=1).explain("hi").candidates[1].why == ()


def test_an_exhausted_retry_quota_is_explained_and_counted() -> None:
    """The plan states that there are no retries; statistics and the answer count what was stopped."""
    with LoopbackServer() as server:
        dispatcher = model(server, "a", "b", retry_quota=RetryQuota(ratio=0, floor=0))
        assert "no retries now" in str(dispatcher.explain("hello"))
        server.script("openai", [Fault.error("server_error")], "a")
        facts = dispatcher.invoke("hello").response_metadata["llmdispatch"]
        assert (facts["deployment"], facts["retries_refused"]) == ("b", 1)
        assert dispatcher.get_stats().calls.retries_refused == 1
        assert dispatcher.get_stats().to_dict()["calls"]["retries_refused"] == 1
        assert model(server, "a", retry_quota=None).explain("hello").retries_left is None
        assert model(server, "a").explain("hello").retries_left == 60


def test_the_retry_quota_is_a_field_of_files() -> None:
    """A mapping, or null for none; a misspelt field is an error."""
    assert DispatcherConfig.load({"retry_quota": {"ratio": 0.5}}).retry_quota == RetryQuota(ratio=0.5)
    assert DispatcherConfig.load({"retry_quota": None}).retry_quota is None
    with pytest.raises(errors.ConfigurationError, match="ratio"):
        DispatcherConfig.load({"retry_quota": {"ration": 0.5}})


def test_what_cannot_be_interrupted_is_explained() -> None:
    """A sync call of a LangChain model ends when the model lets it."""
    dispatcher = DispatcherChatModel(models=[FakeListChatModel(responses=["hi"])], env={})
    plan = dispatcher.explain("hello")
    assert "cannot be interrupted" in str(plan)
    assert "cannot be interrupted" in plan.to_dict()["candidates"][0]["note"]
    with LoopbackServer() as server:
        assert "interrupted" not in str(model(server, "a").explain("hello"))
