"""The router: preferences, tool loops, and errors without targets (`routing/decision.py`)."""

from __future__ import annotations

import random
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_llmdispatch import RoutingRule, errors
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.routing.router import Router
from tests.routing.decisions import FLEET, GEMINI, SEARCH, names
from tests.targets import fail, learn, request, routing, targets


def test_default_and_fallback_vendor_are_first_and_last_within_any_strategy() -> None:
    """They divide the strategy's order in three; a rule comes before both."""
    router = Router("lowest_cost", default_vendor="anthropic", fallback_vendor="openai")
    assert names(router.decide(routing(FLEET))) == ["ant", "gem", "oai"]
    rule = RoutingRule(vendor="openai")
    router = Router(rules=[rule], default_vendor="anthropic", fallback_vendor="openai")
    assert names(router.decide(routing(FLEET))) == ["oai", "ant", "gem"]


def test_the_error_without_targets_lists_every_reason() -> None:
    """Each deployment is named with its reason."""
    error = Router(allowed_vendors=["cohere"]).decide(routing(FLEET)).error()
    assert isinstance(error, errors.NoDeploymentError)
    assert all(where.name in str(error) for where in FLEET)


@pytest.mark.parametrize("strategy", ["lowest_latency", "balanced", {"latency": 1, "max_latency_s": 5}])
def test_a_deployment_that_was_slow_gets_its_share_again(strategy: Any) -> None:
    """It is hardly tried while it is slow, and as often as before soon after it has recovered."""
    slow, other = targets("slow", "other")
    health, router, rng = Health(), Router(strategy), random.Random(1)
    tried: list[tuple[float, str]] = []
    for call in range(6000):  # ten a second
        now = call / 10
        decision = router.decide(routing((slow, other), health=health, now=now, seed=rng.randrange(2**32)))
        first = decision.targets[0]
        seconds = 8.0 if first is slow and 100 <= now < 300 else 0.5
        learn(health, first, at=now, latency=seconds, ttft=seconds, tokens=1)
        tried.append((now, first.name))

    def share(begin: float, end: float) -> float:
        names_then = [name for at, name in tried if begin <= at < end]
        return names_then.count("slow") / len(names_then)

    assert share(50, 100) > 0.4
    assert share(150, 300) < 0.02
    assert share(450, 600) > 0.4


def tool_loop(deployment: str) -> list[Any]:
    """Return a conversation in the middle of a tool loop that a deployment began."""
    call = {"name": "search", "args": {}, "id": "1"}
    facts = {"llmdispatch": {"deployment": deployment}}
    answer = AIMessage("", tool_calls=[call], response_metadata=facts)
    return [HumanMessage("find it"), answer, ToolMessage("found", tool_call_id="1")]


def test_a_tool_loop_stays_where_it_began() -> None:
    """The deployment that called the tool gets its result, unless its breaker is open or a rule matches."""
    loop = request(tool_loop("gem"), tools=(SEARCH,))
    decision = Router().decide(routing(FLEET, loop))
    assert (names(decision), decision.pinned) == (["gem", "oai", "ant"], "tool loop")
    over = request([*tool_loop("gem"), AIMessage("there"), HumanMessage("thanks")])
    assert names(Router().decide(routing(FLEET, over)))[0] == "oai"
    health = Health()
    fail(health, GEMINI)
    assert names(Router().decide(routing(FLEET, loop, health=health))) == ["oai", "ant", "gem"]
    rules = [RoutingRule(vendor="anthropic")]
    assert names(Router(rules=rules).decide(routing(FLEET, loop)))[0] == "ant"
