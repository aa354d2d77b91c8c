"""Calls and answers that the tests of Cohere share."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from pydantic import SecretStr

from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors.cohere.vendor import CohereVendor
from tests.vendors.chunks import fed

VENDOR = CohereVendor()
KEY = "cohere-test-key-0123456789"
ASKED = AIMessage(
    "", tool_calls=[{"name": "weather", "args": {"city": "Oslo"}, "id": "c1", "type": "tool_call"}]
)
RESULT = ToolMessage("rain", tool_call_id="c1", name="weather")
USAGE = {
    "billed_units": {"input_tokens": 4, "output_tokens": 3},
    "tokens": {"input_tokens": 70.0, "output_tokens": 30.0, "reasoning_tokens": 9},
    "cached_tokens": 16,
}


def call(**fields: Any) -> Call:
    """Return a call with what a test does not care about filled in."""
    fields = {"model": "command-a-03-2025", "messages": [HumanMessage("hi")], **fields}
    return Call(**{"endpoint": Endpoint("https://api.cohere.com", SecretStr(KEY)), **fields})


def body(**fields: Any) -> dict[str, Any]:
    """Return the JSON body of the request for `call(**fields)`."""
    return dict(json.loads(VENDOR.encode_request(call(**fields)).content))


def turn(message: Any) -> dict[str, Any]:
    """Return one message as the API reads it."""
    return dict(body(messages=[message])["messages"][0])


def answer(finish: str = "COMPLETE", **message: Any) -> dict[str, Any]:
    """Return a whole answer with these message fields."""
    return {"id": "a1", "finish_reason": finish, "message": {"role": "assistant", **message}, "usage": USAGE}


def text(raw: str) -> dict[str, Any]:
    """Return a text block."""
    return {"type": "text", "text": raw}


def tool(arguments: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a tool call as Cohere has it."""
    function = {"name": "weather", "arguments": arguments}
    return {"id": f"c{index}", "type": "function", "function": function, **fields}


def decode(raw: Any, **fields: Any) -> AIMessage:
    """Return the message in a whole answer."""
    return VENDOR.decode_response(call(**fields), json.dumps(raw).encode(), {})


def events(*raw: dict[str, Any]) -> bytes:
    """Return server-sent events."""
    parts = [f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n" for event in raw]
    return "".join(parts).encode()


def delta(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    """Return an event with a message's delta."""
    place = {} if index is None else {"index": index}
    return {"type": kind, **place, "delta": {"message": message}}


START = {"id": "a1", **delta("message-start", role="assistant", content=[], tool_plan="", tool_calls=[])}
DONE = b"data: [DONE]\n\n"


def end(finish: str = "COMPLETE", **fields: Any) -> dict[str, Any]:
    """Return the last event."""
    return {"type": "message-end", "delta": {"finish_reason": finish, "usage": USAGE, **fields}}


def stream(data: bytes, *cuts: int, **fields: Any) -> list[AIMessageChunk]:
    """Return the chunks of a stream, fed in pieces."""
    return fed(VENDOR.stream_decoder(call(**fields), {}), data, *cuts)
