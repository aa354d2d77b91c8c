"""Tools that a vendor runs itself: they go to their vendor alone, and come back as standard blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_llmdispatch import Deployment, DispatcherChatModel, errors
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.vendors.compile.server_tools import runs_itself
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import MODELS

TOOLS: Mapping[str, dict[str, Any]] = {
    "openai": {"type": "web_search", "search_context_size": "low"},
    "anthropic": {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
    "google": {"google_search": {}},
}
OWNERS = {"openai": {"openai", "azure"}, "anthropic": {"anthropic"}, "google": {"google"}}

ANTHROPIC = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "cats"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [
                {
                    "type": "web_search_result",
                    "url": "https://cats.example",
                    "title": "Cats",
                    "encrypted_content": "EqgfCioIARgB",
                    "page_age": None,
                }
            ],
        },
        {"type": "text", "text": "Cats purr."},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 7, "server_tool_use": {"web_search_requests": 1}},
}
OPENAI = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "gpt-5.4-mini",
    "error": None,
    "incomplete_details": None,
    "output": [
        {
            "id": "ws_1",
            "type": "web_search_call",
            "status": "completed",
            "action": {"type": "search", "query": "cats"},
        },
        {
            "id": "msg_1",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Cats purr.", "annotations": [], "logprobs": []}],
        },
    ],
    "usage": {"input_tokens": 9, "output_tokens": 7, "total_tokens": 16},
}
GOOGLE = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
                    {"text": "Cats purr."},
                ],
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 7, "totalTokenCount": 16},
    "modelVersion": "gemini-2.5-flash",
    "responseId": "r1",
}
ANSWERS = {"anthropic": ANTHROPIC, "openai": OPENAI, "google": GOOGLE}
VERSIONS = ("v0", "v1")


def deployment(vendor: str, server: LoopbackServer) -> Deployment:
    """Return a deployment on a loopback vendor."""
    return Deployment(f"{vendor}:{MODELS[vendor]}", base_url=server.base_url(vendor), api_key="key")


def router(server: LoopbackServer, *vendors: str, **fields: Any) -> DispatcherChatModel:
    """Return a router over vendors, in order."""
    deployments = [deployment(vendor, server) for vendor in vendors]
    return DispatcherChatModel(models=deployments, env={}, clock=FakeClock(), **fields)


@each("owner", TOOLS)
@each("vendor", MODELS)
def test_they_make_other_vendors_ineligible(vendor: str, owner: str, server: LoopbackServer) -> None:
    """A request with a server tool goes to its vendor though another is preferred."""
    tool = TOOLS[owner]
    question = HumanMessage("Hello")
    if vendor in OWNERS[owner]:
        router(server, vendor).bind_tools([tool]).invoke([question])
        spelled = {"google_search": {}} if vendor == "google" else tool
        assert spelled in server.requests[-1].body["tools"]
        return
    model = router(server, vendor, owner).bind_tools([tool])
    facts = model.invoke([question]).response_metadata["llmdispatch"]
    assert (facts["vendor"], len(facts["attempts"])) == (owner, 1)
    assert not server.requests_to(vendor)
    with pytest.raises(errors.DispatchError, match=r"run by|no deployment"):
        router(server, vendor).bind_tools([tool]).invoke([question])
    assert not server.requests_to(vendor)


def test_they_are_dropped_where_that_is_wanted(server: LoopbackServer) -> None:
    """With `unsupported_params="drop"` the request goes on without, and the answer shows it."""
    model = router(server, "ollama", unsupported_params="drop").bind_tools([TOOLS["anthropic"]])
    adapted = model.invoke("Hello").response_metadata["llmdispatch"]["adapted"]
    assert [change["kind"] for change in adapted] == ["server_tool_dropped"]
    assert "tools" not in server.requests[-1].body


def searched(vendor: str, server: LoopbackServer, version: str) -> AIMessage:
    """Return a vendor's answer for which it ran a tool."""
    server.script(vendor, [Fault(status=200, body=ANSWERS[vendor])])
    tool = {"code_execution": {}} if vendor == "google" else TOOLS[vendor]
    return router(server, vendor, output_version=version).bind_tools([tool]).invoke("What do cats do?")


@each("version", VERSIONS)
@each("vendor", ANSWERS)
def test_they_come_back_as_standard_blocks(vendor: str, version: str, server: LoopbackServer) -> None:
    """A call, its result, and the text; never a tool call that the caller would have to run."""
    answer = searched(vendor, server, version)
    kinds = [block["type"] for block in answer.content_blocks]
    assert kinds == ["server_tool_call", "server_tool_result", "text"]
    assert (answer.text, answer.tool_calls) == ("Cats purr.", [])
    assert answer.response_metadata["normalized_finish_reason"] == "stop"


@pytest.mark.parametrize("version", VERSIONS)
@each("target", MODELS)
@pytest.mark.parametrize("source", ANSWERS)
def test_a_thread_with_them_goes_on(source: str, target: str, version: str, server: LoopbackServer) -> None:
    """Their own vendor gets them back; others get what can be read, and nothing that only one can read."""
    turn = searched(source, server, version)
    history = [HumanMessage("What do cats do?"), turn, HumanMessage("Why?")]
    before = [message.model_copy(deep=True) for message in history]
    server.clear()
    # An earlier server tool's turns need the tool declared at Anthropic and no one else.
    tools = [TOOLS[target]] if target == source and target in TOOLS else []
    model = router(server, target, output_version=version)
    answer = (model.bind_tools(tools) if tools else model).invoke(history)
    assert answer.text
    received = server.requests[-1]
    assert received.rejected is None
    body = json.dumps(received.body)
    assert "Cats purr." in body
    native = {"anthropic": "EqgfCioIARgB", "google": "executableCode", "openai": "ws_1"}
    for vendor, mark in native.items():
        if vendor != target or source != target:
            assert mark not in body, vendor
    if source == target == "anthropic":
        assert [block["type"] for block in received.body["messages"][1]["content"]] == [
            "server_tool_use",
            "web_search_tool_result",
            "text",
        ]
    assert history == before


@each(
    ("kind", "owners"),
    [
        ("web_search_20260318", {"anthropic"}),
        ("computer_20250124", {"anthropic"}),
        ("web_search_preview", {"openai", "azure"}),
        ("web_search_2025_08_26", {"openai", "azure"}),
        ("computer_use_preview", {"openai", "azure"}),
        ("google_search", {"google"}),
        ("code_execution", {"google"}),
        ("acme_search", set()),
    ],
)
def test_names_that_two_vendors_share_are_distinguished(
    kind: str, owners: set[str], server: LoopbackServer
) -> None:
    """Anthropic dates its tools without hyphens, OpenAI with underscores."""
    model = router(server, *MODELS)
    found = {name for name in MODELS if runs_itself(model.get_vendor(name), {"type": kind})}
    assert found == owners
