"""Calls and answers that the tests of Google share."""

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

from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors.google.vendor import GoogleVendor

VENDOR = GoogleVendor()
KEY = "AIza-not-a-real-key-000000"
OLD, NEW = "gemini-2.5-flash", "gemini-3.5-flash"


def call(*messages: BaseMessage, model: str = OLD, **fields: Any) -> Call:
    """Return a call with a fake endpoint."""
    endpoint = fields.pop("endpoint", Endpoint("https://g.test", SecretStr(KEY)))
    return Call(model, endpoint, list(messages) or [HumanMessage("Hi")], **fields)


def body_of(request_call: Call) -> dict[str, Any]:
    """Return the JSON that is sent for a call."""
    return json.loads(VENDOR.encode_request(request_call).content)


def parts_of(message: BaseMessage, model: str = OLD) -> list[dict[str, Any]]:
    """Return the parts that one message becomes."""
    return body_of(call(message, model=model))["contents"][0]["parts"]


def decode(body: Any, **fields: Any) -> AIMessage:
    """Return the message in a response body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return VENDOR.decode_response(call(**fields), raw, {})


def sse(events: list[Any]) -> bytes:
    """Return events as Gemini frames them."""
    return "".join(f"data: {json.dumps(event)}\r\n\r\n" for event in events).encode()


def stream(data: bytes, sizes: list[int] | None = None, **fields: Any) -> list[AIMessageChunk]:
    """Return all chunks of a stream, fed in pieces of the given sizes."""
    decoder = VENDOR.stream_decoder(call(stream=True, **fields), {})
    chunks: list[AIMessageChunk] = []
    position = 0
    for size in sizes or [len(data)]:
        chunks += decoder.feed(data[position : position + size])
        position += size
    return [*chunks, *decoder.feed(data[position:]), *decoder.close()]
