"""Calls as LangChain's chat models take them."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_llmdispatch.types import ChatRequest, Endpoint, ToolChoice
from langchain_llmdispatch.vendors.compile.call import compile_call
from langchain_llmdispatch.vendors.langchain.request import invocation
from langchain_llmdispatch.vendors.langchain.vendor import LangChainVendor
from tests.cases import each
from tests.models import ONE_CALL, TOOL
from tests.vendors.langchain.models import LOOP, Joke, Scripted, answered, router


def test_parameters_go_into_the_model_s_own_fields() -> None:
    """Those it has fields for are set on a copy, others are dropped and reported."""
    inner = Scripted(temperature=0.9)
    answer = router(inner).invoke("Hello", temperature=0.1, max_tokens=7, seed=3, stop=["x"])
    assert (inner.received[0]["temperature"], inner.received[0]["max_tokens"]) == (0.1, 7)
    assert inner.received[0]["stop"] == ["x"]
    assert (inner.temperature, inner.max_tokens, "seed" in inner.received[0]) == (0.9, None, False)
    assert [c["kind"] for c in answer.response_metadata["llmdispatch"]["adapted"]] == ["seed_dropped"]


@each("colour", ONE_CALL)
def test_tools_are_bound_per_attempt(colour: str) -> None:
    """Its own `bind_tools` gets them, with names that any vendor takes; the answer has the caller's again."""
    call = {"name": "my_tool", "args": {"input": 3}, "id": "c1"}
    inner = Scripted(steps=[AIMessage("", tool_calls=[call])])
    tool = {"type": "function", "function": {"name": "my tool", "description": "", "parameters": TOOL}}
    answer = answered(colour, router(inner).bind_tools([tool], tool_choice="my tool"), "Hello")
    bound = inner.received[0]
    assert [t["function"]["name"] for t in bound["tools"]] == ["my_tool"]
    assert bound["tool_choice"] == "my_tool"
    assert (answer.tool_calls[0]["name"], answer.response_metadata["normalized_finish_reason"]) == (
        "my tool",
        "tool_call",
    )


def test_a_model_without_tools_is_passed_over() -> None:
    """What cannot call tools does not get the conversation."""
    model = router(FakeListChatModel(responses=["no"]), Scripted(steps=[AIMessage("yes")]))
    assert model.bind_tools([TOOL]).invoke("Hello").text == "yes"


@each("colour", ONE_CALL)
def test_a_structured_answer_comes_by_forced_call(colour: str) -> None:
    """An integration of which nothing is known is made to call a tool; the arguments are the answer."""
    call = {"name": "Joke", "args": {"setup": "a", "punchline": "b"}, "id": "c1"}
    inner = Scripted(steps=[AIMessage("", tool_calls=[call])])
    shaped = router(inner).with_structured_output(Joke)
    got = LOOP.run(shaped.ainvoke("Hello")) if colour[0] == "a" else shaped.invoke("Hello")
    assert got == Joke(setup="a", punchline="b")
    assert inner.received[0]["tool_choice"] == "Joke"


def test_history_is_text_and_calls_for_the_unknown_and_native_for_its_own() -> None:
    """Foreign reasoning is left out; the model's own answer goes back as the object it was."""
    own = AIMessage(
        [{"type": "odd_reasoning", "x": 1}, {"type": "text", "text": "mine"}],
        response_metadata={"model_provider": "langchain", "llmdispatch": {"vendor": "langchain"}},
    )
    foreign = AIMessage(
        [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "theirs"}],
        tool_calls=[{"name": "f", "args": {}, "id": "c 1"}],
        response_metadata={"model_provider": "anthropic"},
    )
    history = [HumanMessage("a"), own, HumanMessage("b"), foreign, ToolMessage("r", tool_call_id="c 1")]
    before = [m.model_copy(deep=True) for m in history]
    inner = Scripted()
    router(inner).invoke(history)
    sent = inner.received[0]["messages"]
    assert sent[1].content == own.content
    assert sent[3].content == "theirs"
    assert sent[3].tool_calls[0]["id"] == sent[4].tool_call_id != "c 1"
    assert history == before


def test_images_for_integrations_that_do_not_read_v1() -> None:
    """OpenAI's form of an image is the one that all integrations read."""
    inner = Scripted()
    image = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
    router(inner).invoke([HumanMessage([{"type": "text", "text": "see"}, image])])
    assert inner.received[0]["messages"][0].content[1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AAAA"},
    }


_MCP = {"type": "mcp", "server_label": "w", "server_url": "https://x.test"}


@pytest.mark.parametrize(
    ("package", "name", "tool", "forced", "expected"),
    [
        ("langchain_openai", "ChatOpenAI", {"type": "web_search"}, True,
         {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}}),
        ("langchain_openai", "ChatOpenAI", _MCP, True,
         {"tools": [_MCP],
          "tool_choice": {"type": "mcp", "server_label": "w"}}),
        ("langchain_anthropic", "ChatAnthropic", {"type": "web_search"}, True,
         {"tools": [{"type": "web_search_20250305", "name": "web_search"}],
          "tool_choice": {"type": "tool", "name": "web_search"}}),
        ("langchain_anthropic", "ChatAnthropic", _MCP, False,
         {"tools": [{"type": "mcp_toolset", "mcp_server_name": "w"}],
          "mcp_servers": [{"type": "url", "name": "w", "url": "https://x.test"}]}),
    ],
)  # fmt: skip
def test_portable_tools_of_langchains_own_packages(
    package: str, name: str, tool: Any, forced: bool, expected: Any
) -> None:
    """They are bound as the model's vendor spells them."""
    model = getattr(pytest.importorskip(package), name)(model="m-1", api_key="k")
    vendor = LangChainVendor.of(model)
    choice = ToolChoice("tool", tool["type"], tool) if forced else None
    request = ChatRequest([HumanMessage("hi")], server_tools=[tool], tool_choice=choice)
    call, _ = compile_call(vendor, request, model="m-1", endpoint=Endpoint(""))
    assert invocation(model, vendor.integration, call, None).kwargs == expected
