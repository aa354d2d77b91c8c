"""LangChain's agents on the router: every vendor, every way to run, shaped answers, a fallback mid-loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from pydantic import BaseModel

from langchain_llmdispatch import Deployment, DispatcherChatModel
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer, ToolCall
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, ONE_CALL


def magic_function(input: int) -> int:  # noqa: A002 - the loopback vendors look for this argument
    """Return the magic number for `input`."""
    return input + 39


def deployment(vendor: str, server: LoopbackServer, account: str = "") -> Deployment:
    """Return a deployment on a loopback vendor."""
    url = server.base_url(vendor, account)
    return Deployment(f"{vendor}:{MODELS[vendor]}", base_url=url, api_key="key")


def router(*deployments: Deployment, **fields: Any) -> DispatcherChatModel:
    """Return a router that waits for nothing."""
    return DispatcherChatModel(models=deployments, env={}, clock=FakeClock(), **fields)


def run(colour: str, agent: Any, text: str) -> tuple[list[Any], list[AIMessageChunk]]:
    """Run an agent; return its messages, and the streamed ones that its model gave."""
    question = {"messages": [HumanMessage(text)]}
    if colour == "invoke":
        return agent.invoke(question)["messages"], []
    if colour == "ainvoke":
        return asyncio.run(agent.ainvoke(question))["messages"], []
    if colour == "stream":
        pieces = list(agent.stream(question, stream_mode=["messages", "values"]))
    else:

        async def collect() -> list[Any]:
            return [piece async for piece in agent.astream(question, stream_mode=["messages", "values"])]

        pieces = asyncio.run(collect())
    values = [data for mode, data in pieces if mode == "values"]
    chunks = [data[0] for mode, data in pieces if mode == "messages" and isinstance(data[0], AIMessageChunk)]
    return values[-1]["messages"], chunks


@pytest.mark.parametrize("colour", ONE_CALL)
@pytest.mark.parametrize("vendor", MODELS)
def test_parallel_tools(vendor: str, colour: str, server: LoopbackServer) -> None:
    """Two calls in one turn are both answered, and the answer speaks of them."""
    agent = create_agent(model=router(deployment(vendor, server)), tools=[magic_function])
    messages, chunks = run(colour, agent, "What is magic_function(3)? Use the tool, in parallel.")
    assert [type(m).__name__ for m in messages] == [
        "HumanMessage",
        "AIMessage",
        "ToolMessage",
        "ToolMessage",
        "AIMessage",
    ]
    assert [m.status for m in messages if isinstance(m, ToolMessage)] == ["success", "success"]
    assert messages[2].content in messages[-1].text
    assert all(r.rejected is None for r in server.requests)
    assert [r.stream for r in server.requests] == ["stream" in colour] * 2
    if chunks:
        assert "".join(chunk.text for chunk in chunks).endswith(messages[-1].text)
    for message in messages:
        if isinstance(message, AIMessage):
            assert len(message.response_metadata["llmdispatch"]["attempts"]) == 1
            assert message.usage_metadata["total_tokens"] > 0


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


@each("colour", ["invoke", "ainvoke", "stream"])
@each("strategy", [ProviderStrategy, ToolStrategy])
@each("vendor", MODELS)
def test_shaped_answers(vendor: str, strategy: Any, colour: str, server: LoopbackServer) -> None:
    """Natively where there is a schema, else by a forced call; the agent gets its object either way."""
    agent = create_agent(model=router(deployment(vendor, server)), tools=[], response_format=strategy(Joke))
    if vendor == "ollama" and strategy is ToolStrategy:
        # It cannot be made to call a tool: what a willing model does is scripted.
        call = ToolCall("Joke", {"setup": "a", "punchline": "b"})
        server.script(vendor, [Answer(tool_calls=(call,))])
    question = {"messages": [HumanMessage("Tell me a joke about cats.")]}
    if colour == "invoke":
        result = agent.invoke(question)
    elif colour == "ainvoke":
        result = asyncio.run(agent.ainvoke(question))
    else:
        result = list(agent.stream(question, stream_mode="values"))[-1]
    assert isinstance(result["structured_response"], Joke)
    assert all(r.rejected is None for r in server.requests)


@pytest.mark.parametrize("vendor", MODELS)
def test_tools_and_a_shaped_answer(vendor: str, server: LoopbackServer) -> None:
    """First the tool, then the shape."""
    agent = create_agent(
        model=router(deployment(vendor, server)),
        tools=[magic_function],
        response_format=ProviderStrategy(Joke),
    )
    call = ToolCall("magic_function", {"input": 3})
    server.script(vendor, [Answer(tool_calls=(call,)), Answer('{"setup": "a", "punchline": "42"}')])
    result = agent.invoke({"messages": [HumanMessage("Tell me a joke about magic_function(3).")]})
    assert result["structured_response"] == Joke(setup="a", punchline="42")
    assert "42" in [m.content for m in result["messages"] if isinstance(m, ToolMessage)]


@pytest.mark.parametrize("colour", ONE_CALL)
@pytest.mark.parametrize(
    ("first", "second"),
    [("openai", "anthropic"), ("anthropic", "google"), ("google", "openai"), ("cohere", "ollama")],
)
def test_two_vendors_and_a_fallback_between_call_and_result(
    first: str, second: str, colour: str, server: LoopbackServer
) -> None:
    """The vendor that called the tool is gone when the result is there: the other one finishes."""
    model = router(deployment(first, server, "a"), deployment(second, server, "b"), max_retries=0)
    agent = create_agent(model=model, tools=[magic_function])
    server.script(first, [Answer(tool_calls=(ToolCall("magic_function", {"input": 3}),))], "a")
    server.script(first, [Fault.error("overloaded")], "a", repeat=True)
    messages, chunks = run(colour, agent, "What is magic_function(3)? Use the tool.")
    called, answered = (m.response_metadata["llmdispatch"] for m in messages if isinstance(m, AIMessage))
    assert "42" in messages[-1].text
    assert (called["vendor"], called["fallback"]) == (first, False)
    assert (answered["vendor"], answered["fallback"]) == (second, True)
    assert [a["error"] is None for a in answered["attempts"]] == [False, True]
    assert "".join(chunk.text for chunk in chunks).count(messages[-1].text) == bool(chunks)
    stats = model.get_stats()
    assert (stats.total_requests, stats.failed_requests, stats.fallbacks) == (3, 1, 1)
    assert {name: s.requests for name, s in stats.vendor_stats.items()} == {first: 2, second: 1}
