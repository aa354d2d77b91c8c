"""LangChain's middleware around the router in `create_agent`: every way to run, with a fallback in the middle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
    LLMToolSelectorMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    SummarizationMiddleware,
    ToolCallLimitMiddleware,
)
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_llmdispatch import DispatcherChatModel
from tests.cases import each
from tests.end_to_end.test_agents import deployment, magic_function, router, run
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer, ToolCall
from tests.loopback.server import LoopbackServer
from tests.models import ONE_CALL

QUESTION = "What is magic_function(3)? Use the tool."
CALL = Answer(tool_calls=(ToolCall("magic_function", {"input": 3}),))
DOWN = Fault.error("overloaded")
colours = pytest.mark.parametrize("colour", ONE_CALL)
each_colour = each("colour", ONE_CALL)


def middleware(name: str) -> Any:
    """Return one of LangChain's middleware that older versions have not."""
    module: Any = pytest.importorskip("langchain.agents.middleware")
    return getattr(module, name, None) or pytest.skip(f"this langchain has no {name}")


def pair(server: LoopbackServer, *vendors: str, **fields: Any) -> DispatcherChatModel:
    """Return a router over vendors, tried in order; each has its own account."""
    return router(*(deployment(vendor, server, vendor) for vendor in vendors), max_retries=0, **fields)


def vendors_of(messages: Sequence[Any]) -> list[str]:
    """Return who gave each answer."""
    return [m.response_metadata["llmdispatch"]["vendor"] for m in messages if isinstance(m, AIMessage)]


class EagerCaching(AnthropicPromptCachingMiddleware):
    """Marks requests of any model, as middleware for Anthropic that checks no classes would."""

    def _should_apply_caching(self, request: Any) -> bool:
        return True


@colours
def test_cache_marks_reach_anthropic_alone(server: LoopbackServer, colour: str) -> None:
    """System, tools and request are marked there; on the vendor that is fallen back to nothing is."""
    server.script("anthropic", [CALL, DOWN], "anthropic")
    agent = create_agent(
        pair(server, "anthropic", "openai"),
        tools=[magic_function],
        system_prompt="Be brief.",
        middleware=[EagerCaching()],
    )
    messages, _ = run(colour, agent, QUESTION)
    first, refused, second = (request.body for request in server.requests)
    mark = {"type": "ephemeral", "ttl": "5m"}
    for body in (first, refused):
        assert body["system"][-1]["cache_control"] == body["tools"][-1]["cache_control"] == mark
        assert body["cache_control"] == mark
    assert "cache_control" not in json.dumps(second)
    assert vendors_of(messages) == ["anthropic", "openai"]


@colours
def test_a_summary_is_written_by_whichever_vendor_answers(server: LoopbackServer, colour: str) -> None:
    """The middleware's own call falls back, and the agent goes on from the summary."""
    server.script("openai", [CALL, DOWN], "openai")
    model = pair(server, "openai", "anthropic")
    summarize = SummarizationMiddleware(
        model, trigger=("messages", 3), keep=("messages", 2), token_counter=model.token_counter
    )
    messages, _ = run(colour, create_agent(model, tools=[magic_function], middleware=[summarize]), QUESTION)
    assert isinstance(messages[0], HumanMessage)
    assert "summary" in messages[0].text
    assert isinstance(messages[-2], ToolMessage)
    assert "42" in messages[-1].text
    assert [request.rejected for request in server.requests] == [None] * len(server.requests)


@colours
def test_a_fallback_of_langchain_after_one_of_ours(server: LoopbackServer, colour: str) -> None:
    """All of one router's deployments fail; the next router, whose first one fails, too, answers."""
    for vendor in ("openai", "anthropic", "cohere"):
        server.script(vendor, [DOWN], vendor, repeat=True)
    second = pair(server, "cohere", "google")
    agent = create_agent(
        pair(server, "openai", "anthropic"),
        tools=[magic_function],
        middleware=[ModelFallbackMiddleware(second)],
    )
    messages, _ = run(colour, agent, QUESTION)
    assert vendors_of(messages) == ["google", "google"]
    assert "42" in messages[-1].text


@each_colour
@each("vendor", ["anthropic", "google", "openai"])
def test_a_refusal_is_an_error_that_is_fallen_back_from(
    server: LoopbackServer, vendor: str, colour: str
) -> None:
    """The refusal of a vendor, itself reached by a fallback, is raised; LangChain's fallback catches it."""
    refusal = middleware("ModelRefusalMiddleware")
    server.script("cohere", [DOWN], "cohere", repeat=True)
    server.script(vendor, [Answer("I will not.", finish="content_filter")], vendor, repeat=True)
    agent = create_agent(
        pair(server, "cohere", vendor),
        middleware=[ModelFallbackMiddleware(pair(server, "ollama")), refusal()],
    )
    messages, _ = run(colour, agent, "hello")
    assert vendors_of(messages) == ["ollama"]


# What each vendor calls its own search among tools; None where it has none.
SEARCHES = {"anthropic": "tool_search_tool_bm25", "openai": "tool_search", "google": None, "cohere": None}


@colours
@pytest.mark.parametrize(
    ("first", "second"),
    [("anthropic", "openai"), ("openai", "anthropic"), ("anthropic", "google"), ("openai", "cohere")],
)
def test_an_injected_tool_search_costs_no_fallback(
    server: LoopbackServer, first: str, second: str, colour: str
) -> None:
    """Each vendor gets its own search tool; one that has none gets all tools without it."""
    search = middleware("ProviderToolSearchMiddleware")
    server.script(first, [CALL, DOWN], first)
    agent = create_agent(
        pair(server, first, second),
        tools=[tool(magic_function), other_function],
        middleware=[search(searchable_tools=["other_function"])],
    )
    messages, _ = run(colour, agent, QUESTION)
    assert vendors_of(messages) == [first, second]
    for vendor, request in zip((first, first, second), server.requests, strict=True):
        tools, own = json.dumps(request.body["tools"]), SEARCHES[vendor]
        assert "other_function" in tools
        assert {"tool_search" in tools, "defer_loading" in tools} == {own is not None}
        assert own is None or any(each.get("type", "").startswith(own) for each in request.body["tools"])


@tool
def other_function(text: str) -> str:
    """Return the text backwards."""
    return text[::-1]


@colours
def test_the_tools_are_selected_by_whichever_vendor_answers(server: LoopbackServer, colour: str) -> None:
    """The selection is structured output: it falls back, and the agent gets the selected tools alone."""
    server.script("openai", [DOWN, CALL], "openai")
    server.script("anthropic", [Answer('{"tools": ["magic_function"]}')], "anthropic")
    model = pair(server, "openai", "anthropic")
    selector = LLMToolSelectorMiddleware(model=model, max_tools=1)
    agent = create_agent(model, tools=[tool(magic_function), other_function], middleware=[selector])
    messages, _ = run(colour, agent, QUESTION)
    assert vendors_of(messages) == ["openai", "openai"]
    assert "42" in messages[-1].text
    tools = json.dumps(server.requests[2].body["tools"])  # after the selection by either vendor
    assert "magic_function" in tools
    assert "other_function" not in tools


@colours
def test_limits_count_answers_not_attempts(server: LoopbackServer, colour: str) -> None:
    """A call that falls back is one model call; a tool call of either vendor is one tool call."""
    server.script("openai", [DOWN], "openai", repeat=True)
    server.script("anthropic", [CALL, CALL, CALL], "anthropic")
    limits = [ModelCallLimitMiddleware(run_limit=2), ToolCallLimitMiddleware(run_limit=1)]
    agent = create_agent(pair(server, "openai", "anthropic"), tools=[magic_function], middleware=limits)
    messages, _ = run(colour, agent, QUESTION)
    answers = [m for m in messages if isinstance(m, AIMessage) and m.response_metadata]
    assert vendors_of(answers) == ["anthropic", "anthropic"]
    assert [m.status for m in messages if isinstance(m, ToolMessage)] == ["success", "error"]
    assert len(server.requests_to("anthropic", "anthropic")) == 2


@colours
def test_a_human_decides_between_two_vendors(server: LoopbackServer, colour: str) -> None:
    """The vendor that called the tool is gone when the human has approved; the other one finishes."""
    server.script("openai", [CALL], "openai")
    server.script("openai", [DOWN], "openai", repeat=True)
    agent = create_agent(
        pair(server, "openai", "anthropic"),
        tools=[magic_function],
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"magic_function": True})],
        checkpointer=InMemorySaver(),
    )
    config = {"configurable": {"thread_id": "t"}}
    assert walk(colour, agent, {"messages": [HumanMessage(QUESTION)]}, config)["__interrupt__"]
    approved = Command(resume={"decisions": [{"type": "approve"}]})
    messages = walk(colour, agent, approved, config)["messages"]
    assert vendors_of(messages) == ["openai", "anthropic"]
    assert "42" in messages[-1].text


def walk(colour: str, agent: Any, given: Any, config: Any) -> Any:
    """Return the state after a run that may be interrupted."""

    async def last() -> Any:
        return [state async for state in agent.astream(given, config, stream_mode="values")][-1]

    if colour == "invoke":
        return agent.invoke(given, config)
    if colour == "ainvoke":
        return asyncio.run(agent.ainvoke(given, config))
    return (
        list(agent.stream(given, config, stream_mode="values"))[-1]
        if colour == "stream"
        else asyncio.run(last())
    )


@colours
def test_a_router_of_models_chooses_a_router_of_vendors(server: LoopbackServer, colour: str) -> None:
    """The chosen model falls back by itself in the run."""
    choice, routing = middleware("ModelChoice"), middleware("ModelRouterMiddleware")
    server.script("google", [CALL, DOWN], "google")
    fast, deep = pair(server, "openai"), pair(server, "google", "anthropic")
    choices = {
        "fast": choice(model=fast, criteria="simple tasks"),
        "deep": choice(model=deep, criteria="tasks with tools"),
    }
    agent = create_agent(
        fast,
        tools=[magic_function],
        middleware=[routing(choices=choices, instructions="Choose.", classifier=classifier())],
    )
    messages, _ = run(colour, agent, QUESTION)
    assert vendors_of(messages) == ["google", "anthropic"]


def classifier() -> Any:
    """Return a decision model that always chooses `deep`."""
    decisions: Any = pytest.importorskip("langchain_core.decisions")

    class Deep(decisions.BaseDecisionModel):
        @property
        def _provider(self) -> str:
            return "test"

        def _classify(self, state: Any, questions: Any) -> Any:
            answers = {
                name: {"type": "choice", "choice": "deep", "confidence": 1.0, "probabilities": {"deep": 1.0}}
                for name in questions
            }
            return decisions.ClassifierResponse.model_validate({"answers": answers, "id": "1", "model": "m"})

    return Deep(model="m")


@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_an_agent_streams_content_block_events(server: LoopbackServer, colour: str) -> None:
    """LangGraph's own events carry the answers of both vendors."""
    server.script("openai", [CALL, DOWN], "openai")
    agent: Any = create_agent(pair(server, "openai", "anthropic"), tools=[magic_function])
    question = {"messages": [HumanMessage(QUESTION)]}

    async def gathered() -> list[Any]:
        stream = await agent.astream_events(question, version="v3")
        return [await message.output async for message in stream.messages]

    if colour == "astream":
        messages = asyncio.run(gathered())
    else:
        messages = [message.output for message in agent.stream_events(question, version="v3").messages]
    assert vendors_of(messages) == ["openai", "anthropic"]
    assert [call["args"] for call in messages[0].tool_calls] == [{"input": 3}]
    assert "42" in messages[-1].text
