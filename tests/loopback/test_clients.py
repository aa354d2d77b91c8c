"""Clients of third parties accept the server."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.loopback.samples import ASK
from tests.loopback.server import LoopbackServer

TOOL = {
    "type": "function",
    "function": {
        "name": "magic_function",
        "description": "Magic.",
        "parameters": {"type": "object", "properties": {"input": {"type": "integer"}}, "required": ["input"]},
    },
}
Maker = Callable[[LoopbackServer], Any]


def openai(server: LoopbackServer) -> Any:
    """LangChain's client for Chat Completions."""
    module = pytest.importorskip("langchain_openai")
    return module.ChatOpenAI(
        model="gpt-4.1", base_url=server.base_url("openai"), api_key="k", stream_usage=True, max_retries=0
    )


def responses(server: LoopbackServer) -> Any:
    """LangChain's client for Responses."""
    module = pytest.importorskip("langchain_openai")
    return module.ChatOpenAI(
        model="gpt-6-luna",
        base_url=server.base_url("openai"),
        api_key="k",
        use_responses_api=True,
        reasoning={"effort": "low", "summary": "auto"},
        max_retries=0,
    )


def azure(server: LoopbackServer) -> Any:
    """LangChain's client for Azure."""
    module = pytest.importorskip("langchain_openai")
    return module.AzureChatOpenAI(
        azure_deployment="gpt-4.1",
        azure_endpoint=server.base_url("azure"),
        api_version="2024-10-21",
        api_key="k",
        stream_usage=True,
        max_retries=0,
    )


def anthropic(server: LoopbackServer) -> Any:
    """LangChain's client for Anthropic."""
    module = pytest.importorskip("langchain_anthropic")
    return module.ChatAnthropic(
        model="claude-haiku-4-5", base_url=server.base_url("anthropic"), api_key="k", max_retries=0
    )


def google(server: LoopbackServer) -> Any:
    """LangChain's client for Gemini."""
    module = pytest.importorskip("langchain_google_genai")
    return module.ChatGoogleGenerativeAI(
        model="gemini-3.8-flash", base_url=server.base_url("google"), api_key="k", max_retries=0
    )


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    """One server for all clients."""
    with LoopbackServer(chop_seed=3) as started:
        yield started


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Integrations leave connections to the garbage collector: close them here, not in a later test."""
    yield
    gc.collect()
    gc.freeze()  # what the integrations import is large, and stays


@pytest.mark.filterwarnings("default", "ignore::ResourceWarning")
@pytest.mark.parametrize("make", [openai, responses, azure, anthropic, google])
def test_a_tool_loop(server: LoopbackServer, make: Maker) -> None:
    """A call streams in, its result goes out, text comes back, with usage."""
    messages = pytest.importorskip("langchain_core.messages")
    model = make(server).bind_tools([TOOL])
    prompt = [messages.HumanMessage(ASK)]
    parts = list(model.stream(prompt))
    call = parts[0]
    for part in parts[1:]:
        call += part
    assert [made["args"] for made in call.tool_calls] == [{"input": 3}]
    assert call.usage_metadata["total_tokens"] > 0
    result = messages.ToolMessage("five", tool_call_id=call.tool_calls[0]["id"])
    answer = model.invoke([*prompt, call, result])
    assert "five" in answer.text
    assert answer.usage_metadata["output_tokens"] > 0
