"""Portable server tools: one name, run by whichever vendor answers, and read in one form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_llmdispatch import Deployment, DispatcherChatModel, errors
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, ONE_CALL

MODELS = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5", "google": "gemini-3.8-flash"}
OTHERS = {
    "cohere": "command-a-03-2025",
    "huggingface": "openai/gpt-oss-120b",
    "ollama": "llama3.1",
    "compatible": "qwen3-4b",
}
URL = "https://cats.example"
TEXT = "Cats purr."
TOKEN = "canary-of-the-mcp-server"


def router(server: LoopbackServer, *vendors: str, **fields: Any) -> DispatcherChatModel:
    """Return a router over vendors, in order."""
    known = {**MODELS, **OTHERS, "azure": MODELS["openai"]}
    deployments = [
        Deployment(f"{name}:{known[name]}", name=name, base_url=server.base_url(name), api_key="key")
        for name in vendors
    ]
    fields = {"env": {}, "clock": FakeClock(), **fields}
    return DispatcherChatModel(models=deployments, **fields)


# -- answers -------------------------------------------------------------------------------------------

_USED = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"}
_FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [{"type": "web_search_result", "url": URL, "title": "Cats", "encrypted_content": "E"}],
}
_CITED = {"type": "web_search_result_location", "cited_text": "purr", "url": URL, "title": "Cats"}
_CITED |= {"encrypted_index": "I"}
_QUERY = {"query": "cats"}
_MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5"}
_MESSAGE |= {"stop_sequence": None}
ANTHROPIC = {
    **_MESSAGE,
    "content": [{**_USED, "input": _QUERY}, _FOUND, {"type": "text", "text": TEXT, "citations": [_CITED]}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 9, "output_tokens": 7},
}
ANTHROPIC_EVENTS = [
    {"type": "message_start", "message": {**_MESSAGE, "content": [], "usage": {"input_tokens": 9}}},
    {"type": "content_block_start", "index": 0, "content_block": {**_USED, "input": {}}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": json.dumps(_QUERY)},
    },
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": _FOUND},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": TEXT}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "citations_delta", "citation": _CITED}},
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
]
_NOTE = {"type": "url_citation", "url": URL, "title": "Cats", "start_index": 0, "end_index": 10}
_PART = {"type": "output_text", "text": TEXT, "annotations": [_NOTE], "logprobs": []}
_ITEMS = [
    {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", **_QUERY}},
    {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [_PART]},
]
OPENAI = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5.4-mini",
    "output": _ITEMS,
    "usage": {"input_tokens": 9, "output_tokens": 7, "total_tokens": 16},
}
_AT = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
OPENAI_EVENTS = [
    {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
    {"type": "response.output_item.added", "output_index": 0, "item": {**_ITEMS[0], "status": "searching"}},
    {"type": "response.output_item.done", "output_index": 0, "item": _ITEMS[0]},
    {"type": "response.output_item.added", "output_index": 1, "item": {**_ITEMS[1], "content": []}},
    {"type": "response.output_text.delta", **_AT, "delta": TEXT},
    {"type": "response.output_text.annotation.added", **_AT, "annotation_index": 0, "annotation": _NOTE},
    {"type": "response.output_item.done", "output_index": 1, "item": _ITEMS[1]},
    {"type": "response.completed", "response": OPENAI},
]
_GROUNDING = {
    "webSearchQueries": ["cats"],
    "groundingChunks": [{"web": {"uri": URL, "title": "Cats"}}],
    "groundingSupports": [{"segment": {"endIndex": 10, "text": TEXT}, "groundingChunkIndices": [0]}],
}
_GEMINI = {"modelVersion": "gemini-3.8-flash", "responseId": "r1"}
_TOKENS = {"promptTokenCount": 9, "candidatesTokenCount": 7, "totalTokenCount": 16}


def _gemini(parts: list[Any], **candidate: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": parts}
    return {
        "candidates": [{"content": content, "index": 0, **candidate}],
        "usageMetadata": _TOKENS,
        **_GEMINI,
    }


_END = {"finishReason": "STOP", "groundingMetadata": _GROUNDING}
GOOGLE = _gemini([{"text": TEXT}], **_END)
GOOGLE_EVENTS = [_gemini([{"text": TEXT[:5]}]), _gemini([{"text": TEXT[5:]}], **_END)]
WHOLE: Mapping[str, Any] = {"anthropic": ANTHROPIC, "openai": OPENAI, "google": GOOGLE}
EVENTS: Mapping[str, list[Any]] = {
    "anthropic": ANTHROPIC_EVENTS,
    "openai": OPENAI_EVENTS,
    "google": GOOGLE_EVENTS,
}


def _sse(events: list[Any]) -> Fault:
    lines = (f"event: {e['type']}\n" if "type" in e else "" for e in events)
    body = "".join(f"{line}data: {json.dumps(e)}\n\n" for line, e in zip(lines, events, strict=True))
    return Fault(status=200, headers={"content-type": "text/event-stream"}, body=body)


@each("version", ["v0", "v1"])
@each("colour", ONE_CALL)
@each("vendor", MODELS)
def test_a_search_comes_back_in_one_form(
    vendor: str, colour: str, version: str, server: LoopbackServer
) -> None:
    """The call, its result, and a cited text, whole and streamed, of every vendor that has the tool."""
    fault = _sse(EVENTS[vendor]) if "stream" in colour else Fault(status=200, body=WHOLE[vendor])
    server.script(vendor, [fault])
    model = router(server, vendor, output_version=version).bind_tools([{"type": "web_search"}])
    answer = COLOURS[colour](model, "What do cats do?")
    blocks = {block["type"]: block for block in answer.content_blocks}
    assert set(blocks) == {"server_tool_call", "server_tool_result", "text"}
    assert blocks["server_tool_call"]["name"] == "web_search"
    assert "cats" in json.dumps(blocks["server_tool_call"]["args"])
    assert blocks["server_tool_result"]["tool_call_id"] == blocks["server_tool_call"]["id"]
    (citation,) = blocks["text"]["annotations"]
    assert (citation["type"], citation["url"], citation["title"]) == ("citation", URL, "Cats")
    assert (answer.text, answer.tool_calls) == (TEXT, [])


@each("target", {**MODELS, **OTHERS})
@each("source", MODELS)
def test_the_thread_goes_on_anywhere(source: str, target: str, server: LoopbackServer) -> None:
    """With the tool where the target has it; nothing foreign is sent, nothing stored is altered."""
    server.script(source, [Fault(status=200, body=WHOLE[source])])
    tool = {"type": "web_search"}
    turn = router(server, source).bind_tools([tool]).invoke("What do cats do?")
    assert isinstance(turn, AIMessage)
    history = [HumanMessage("What do cats do?"), turn, HumanMessage("Why?")]
    before = [message.model_copy(deep=True) for message in history]
    model = router(server, target, unsupported_params="drop").bind_tools([tool])
    assert model.invoke(history).text
    received = server.requests[-1]
    assert (received.rejected, history) == (None, before)
    body = json.dumps(received.body)
    assert TEXT in body
    marks = {"anthropic": "srvtoolu_1", "openai": "ws_1"}
    assert [vendor for vendor, mark in marks.items() if mark in body] == [source] * (
        source == target and source in marks
    )


@each("other", OTHERS)
def test_a_vendor_without_it_is_not_tried(other: str, server: LoopbackServer) -> None:
    """`explain()` names the reason; with `drop` it is tried, and the answer names what was left out."""
    model = router(server, other, "anthropic").bind_tools([{"type": "web_search"}])
    assert model.invoke("Hello").response_metadata["llmdispatch"]["vendor"] == "anthropic"
    plan = router(server, other, "anthropic").explain("Hello", tools=[{"type": "web_search"}])
    assert [(left.deployment, left.reason) for left in plan.excluded] == [
        (other, "the vendor does not run the tool 'web_search'")
    ]
    model = router(server, other, unsupported_params="drop").bind_tools([{"type": "web_search"}])
    facts = model.invoke("Hello").response_metadata["llmdispatch"]
    assert [change["kind"] for change in facts["adapted"]] == ["server_tool_dropped"]


MCP = {"type": "mcp", "server_label": "wiki", "server_url": "https://wiki.test", "authorization": TOKEN}
PORTABLE = {**MCP, "portable": True}


@each("vendor", MODELS)
def test_the_token_of_a_portable_server_goes_with_it(vendor: str, server: LoopbackServer) -> None:
    """To the vendor that is tried, and nowhere that a person or a program may see."""
    model = router(server, vendor).bind_tools([PORTABLE])
    answer = model.invoke("Hello")
    assert server.requests[-1].rejected is None
    assert TOKEN in json.dumps(server.requests[-1].body)
    plan = router(server, vendor).explain("Hello", tools=[PORTABLE])
    shown = [answer.model_dump_json(), repr(model), repr(plan), plan._repr_html_()]
    assert TOKEN not in " ".join(shown)


def test_functions_beside_it_leave_out_an_older_gemini(server: LoopbackServer) -> None:
    """In the plan, with the reason."""
    old = Deployment("google:gemini-2.5-flash", name="old", base_url=server.base_url("google"), api_key="key")
    model = DispatcherChatModel(models=[old, *router(server, "openai").models], env={}, clock=FakeClock())
    tools = [{"type": "web_search"}, {"title": "look", "type": "object", "properties": {}}]
    plan = model.explain("Hello", tools=tools)
    assert [candidate.deployment for candidate in plan.candidates] == ["openai"]
    assert "either functions or" in plan.excluded[0].reason


@pytest.mark.parametrize("spared", ["anthropic", "google", "azure", *OTHERS])
def test_the_token_of_a_vendors_own_server_goes_to_it_alone(spared: str, server: LoopbackServer) -> None:
    """Though that vendor is out, and another could run such a tool."""
    server.script("openai", [Fault.error("overloaded")], repeat=True)
    own = {**MCP, "require_approval": "never", "headers": {"x-key": TOKEN}}
    for policy in ("adapt", "drop"):
        model = router(server, "openai", spared, unsupported_params=policy).bind_tools([own])
        if policy == "adapt":
            with pytest.raises(errors.DispatchError):
                model.invoke("Hello")
        else:
            assert model.invoke("Hello").response_metadata["llmdispatch"]["vendor"] == spared
    assert TOKEN in json.dumps([request.body for request in server.requests_to("openai")])
    assert TOKEN not in json.dumps([request.body for request in server.requests_to(spared)])
