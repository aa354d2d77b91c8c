"""Calls and answers that the tests of Ollama share."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage

from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors.ollama.vendor import OllamaVendor
from tests.vendors.chunks import fed

VENDOR = OllamaVendor()
KEY = "ollama-test-key-0123456789"


def call(**fields: Any) -> Call:
    """Return a call with what a test does not care about filled in."""
    fields = {"model": "llama3.1", "messages": [HumanMessage("hi")], **fields}
    return Call(**{"endpoint": Endpoint(base_url="http://127.0.0.1:11434"), **fields})


def answer(**message: Any) -> dict[str, Any]:
    """Return a whole answer with these message fields."""
    return {
        "model": "llama3.1", "created_at": "2026-11-01T10:00:00Z",
        "message": {"role": "assistant", "content": "", **message},
        "done": True, "done_reason": "stop", "total_duration": 5, "prompt_eval_count": 7, "eval_count": 3,
    }  # fmt: skip


def decode(raw: Any, **fields: Any) -> AIMessage:
    """Return the message in a whole answer."""
    return VENDOR.decode_response(call(**fields), json.dumps(raw).encode(), {})


def lines(*raw: Any) -> bytes:
    """Return newline-delimited JSON."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in raw)


def stream(data: bytes, *cuts: int, **fields: Any) -> list[AIMessageChunk]:
    """Return the chunks of a stream, fed in pieces."""
    return fed(VENDOR.stream_decoder(call(**fields), {}), data, *cuts)
