"""Calls and answers that the tests of Anthropic share."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
)
from pydantic import SecretStr

from langchain_llmdispatch.types import Call, Endpoint, ToolSpec
from langchain_llmdispatch.vendors.anthropic.vendor import AnthropicVendor
from tests.models import summed

VENDOR = AnthropicVendor()
KEY = "sk-ant-api03-not-a-real-key"
HI = [HumanMessage("Hi")]
WEATHER = ToolSpec(
    "weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
CACHED = {"type": "ephemeral"}


def call(messages: list[BaseMessage] | None = None, **fields: Any) -> Call:
    """Return a call with sensible defaults and a fixed `max_tokens`."""
    params = {"max_tokens": 100, **fields.pop("params", {})}
    endpoint = fields.pop("endpoint", Endpoint("https://api.anthropic.com", SecretStr(KEY)))
    model = fields.pop("model", "claude-haiku-5-5")
    return Call(model=model, endpoint=endpoint, messages=messages or HI, params=params, **fields)


def body(compiled: Call) -> dict[str, Any]:
    """Return the JSON body of the request for `compiled`."""
    return json.loads(VENDOR.encode_request(compiled).content)


def turns(*messages: BaseMessage) -> list[dict[str, Any]]:
    """Return the wire's turns for `messages`."""
    return body(call(list(messages)))["messages"]


NATIVE = [
    {"type": "thinking", "thinking": "Hm\u2028, ä", "signature": "EqQB+/=="},
    {"type": "redacted_thinking", "data": "Ek0B/+=="},
    {"type": "text", "text": "I search."},
    {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "q"},
        "caller": {"type": "direct"},
    },
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "E/+="}],
        "caller": {"type": "direct"},
    },
    {"type": "server_tool_use", "id": "srvtoolu_2", "name": "code_execution", "input": {"code": "1"}},
    {
        "type": "code_execution_tool_result",
        "tool_use_id": "srvtoolu_2",
        "content": {"type": "x", "stdout": "1"},
    },
    {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "ask", "server_name": "s", "input": {}},
    {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": False, "content": []},
    {"type": "compaction", "content": "earlier"},
    {
        "type": "text",
        "text": "Found.",
        "citations": [
            {
                "type": "web_search_result_location",
                "cited_text": "c",
                "url": "u",
                "title": "t",
                "encrypted_index": "E/=",
            },
            {
                "type": "char_location",
                "cited_text": "c",
                "document_index": 0,
                "document_title": None,
                "start_char_index": 0,
                "end_char_index": 1,
            },
            {
                "type": "page_location",
                "cited_text": "c",
                "document_index": 0,
                "document_title": "D",
                "start_page_number": 1,
                "end_page_number": 2,
            },
            {
                "type": "content_block_location",
                "cited_text": "c",
                "document_index": 0,
                "document_title": "D",
                "start_block_index": 0,
                "end_block_index": 1,
            },
            {
                "type": "search_result_location",
                "cited_text": "c",
                "search_result_index": 0,
                "source": "s",
                "title": "t",
                "start_block_index": 0,
                "end_block_index": 1,
            },
        ],
    },
    {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "weather",
        "input": {"city": "A"},
        "caller": {"type": "direct"},
    },
]


def answer(blocks: list[dict[str, Any]], reason: str = "end_turn", **fields: Any) -> dict[str, Any]:
    """Return an answer of the vendor holding `blocks`."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5-20260801",
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        **fields,
    }


def decode(raw: dict[str, Any], compiled: Call | None = None) -> AIMessage:
    """Return the message in `raw`."""
    return VENDOR.decode_response(compiled or call(), json.dumps(raw).encode(), {})


def wire(*events: dict[str, Any]) -> bytes:
    """Return `events` as server-sent events, padded as the vendor pads them."""
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}   \n\n".encode() for e in events)


def _deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    kind = block["type"]
    if kind == "text":
        cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
        return [*cited, *({"type": "text_delta", "text": letter} for letter in block["text"])]
    if kind == "thinking":
        raw = [{"type": "thinking_delta", "thinking": letter} for letter in block["thinking"]]
        return [*raw, {"type": "signature_delta", "signature": block["signature"]}]
    if kind == "compaction":
        return [{"type": "compaction_delta", "content": block["content"]}]
    if "input" in block:
        text = json.dumps(block["input"]) if block["input"] else ""
        return [{"type": "input_json_delta", "partial_json": piece} for piece in ("", text[:5], text[5:])]
    return []


_SHELLS = {"text": "", "thinking": "", "signature": "", "input": {}}


def events(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events by which the vendor would stream `raw`."""
    late = ("stop_reason", "stop_sequence", "stop_details", "container")
    usage = raw["usage"]
    started = {**raw, "content": [], "usage": {**usage, "output_tokens": 1} if usage else usage}
    made = [{"type": "message_start", "message": {k: v for k, v in started.items() if k not in late}}]
    for index, block in enumerate(raw["content"]):
        shell = {name: _SHELLS.get(name, value) for name, value in block.items()}
        if block["type"] == "compaction":
            shell["content"] = None
        if shell.get("citations"):
            shell["citations"] = []
        made.append({"type": "content_block_start", "index": index, "content_block": shell})
        made.append({"type": "ping"})
        made.extend(
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in _deltas(block)
        )
        made.append({"type": "content_block_stop", "index": index})
    delta = {name: raw[name] for name in late if name in raw}
    made.append({"type": "message_delta", "delta": delta, "usage": usage})
    if "context_management" in raw:
        made[-1]["context_management"] = raw["context_management"]
    return [*made, {"type": "message_stop"}]


def chunks(
    data: bytes, compiled: Call | None = None, *, sizes: list[int] | None = None
) -> list[AIMessageChunk]:
    """Return all chunks of a stream, fed whole or in pieces of `sizes`."""
    decoder = VENDOR.stream_decoder(compiled or call(), {})
    made: list[AIMessageChunk] = []
    for size in sizes or []:
        made += decoder.feed(data[:size])
        data = data[size:]
    made += decoder.feed(data)
    return made + decoder.close()


def streamed(raw: dict[str, Any], compiled: Call | None = None) -> AIMessageChunk:
    """Return the sum of the stream of `raw`."""
    return summed(chunks(wire(*events(raw)), compiled))
