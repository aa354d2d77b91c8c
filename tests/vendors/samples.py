"""A whole answer, a stream and an error of each vendor, and the same with one value of another shape."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.base import Vendor

ODD: tuple[Any, ...] = (None, 7, -1.5, True, "", "x", [], {}, [None], [7], [[]], {"x": None}, {"0": [1]})
"""Values that may stand where another one is expected."""


def sse(event: dict[str, Any]) -> bytes:
    """Return a server-sent event, named as its type if it has one."""
    name = event.get("type")
    head = f"event: {name}\n" if isinstance(name, str) and name else ""
    return f"{head}data: {json.dumps(event)}\n\n".encode()


def line(event: dict[str, Any]) -> bytes:
    """Return a line of JSON."""
    return json.dumps(event).encode() + b"\n"


@dataclass(frozen=True)
class Sample:
    """What one vendor sends.

    Attributes:
        vendor: The vendor's name.
        model: One of its models.
        whole: A whole answer with text and a tool call.
        events: The same as a stream.
        error: The body of an error response.
        frame: How an event is framed.
        extra: Fields of the call.
    """

    vendor: str
    model: str
    whole: dict[str, Any]
    events: list[dict[str, Any]]
    error: dict[str, Any]
    frame: Callable[[dict[str, Any]], bytes] = sse
    extra: dict[str, Any] | None = None

    @property
    def codec(self) -> Vendor:
        """The vendor."""
        return builtin_vendors()[self.vendor]

    def call(self, *, stream: bool = False) -> Call:
        """Return a call of the vendor."""
        endpoint = Endpoint("https://vendor.test", SecretStr("key-0123456789"))
        messages = [HumanMessage("Hi")]
        return Call(self.model, endpoint, messages, stream=stream, extra=self.extra or {})

    def with_arguments(self, text: str) -> tuple[bytes, bytes]:
        """Return the whole answer and the stream, with `text` as the arguments of the tool call."""
        whole = _with_arguments(json.dumps(_marked(self.whole, text)), text)
        frames = [self.frame(_marked(event, text)).decode() for event in self.events]
        return whole, _with_arguments("".join(frames), text)


_ARGUMENTS, _MARK = {"city": "Oslo"}, "arguments as JSON"


def _marked(value: Any, text: str) -> Any:
    """Return a document with `text` in place of the arguments, and a mark where they are no text."""
    if value == _ARGUMENTS:
        return _MARK
    if isinstance(value, dict):
        return {name: _marked(part, text) for name, part in value.items()}
    if isinstance(value, list):
        return [_marked(part, text) for part in value]
    return text if value == '{"city":"Oslo"}' else value


def _with_arguments(document: str, text: str) -> bytes:
    return document.replace(f'"{_MARK}"', text).encode()


def variants(document: Any) -> Iterator[Any]:
    """Yield `document` with each of its values replaced by each odd one, or left out."""
    for path in _paths(document):
        for odd in ODD:
            changed = copy.deepcopy(document)
            _holder(changed, path)[path[-1]] = copy.deepcopy(odd)
            yield changed
        changed = copy.deepcopy(document)
        del _holder(changed, path)[path[-1]]
        yield changed


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from _paths(item, (*path, key))


def _holder(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        value = value[key]
    return value


# -- the vendors ---------------------------------------------------------------------------------------

_FUNCTION = {"name": "weather", "arguments": '{"city":"Oslo"}'}
_OPENAI_CALL = {"id": "c1", "type": "function", "function": _FUNCTION}
_OPENAI_USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 3,
    "total_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def _chunk(delta: dict[str, Any], finish: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "a1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **fields}


OPENAI = Sample(
    "openai",
    "gpt-4.1-mini",
    {
        "id": "a1",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "logprobs": {"content": [{"token": "H"}]},
                "message": {
                    "role": "assistant",
                    "content": "Hello",
                    "refusal": None,
                    "reasoning_content": "Hm",
                    "annotations": [{"type": "url_citation"}],
                    "tool_calls": [_OPENAI_CALL],
                },
            }
        ],
        "usage": _OPENAI_USAGE,
    },
    [
        _chunk({"role": "assistant", "content": "", "reasoning_content": "H"}),
        _chunk({"reasoning_content": "m", "refusal": "N"}),
        _chunk({"content": "", "refusal": "o", "annotations": [{"type": "url_citation"}]}),
        _chunk({"content": "Hello"}),
        _chunk({"tool_calls": [{"index": 0, **_OPENAI_CALL}]}),
        _chunk({}, "tool_calls", usage=_OPENAI_USAGE),
    ],
    {"error": {"message": "no", "type": "invalid_request_error", "code": "model_not_found", "param": None}},
)
_ITEMS: list[dict[str, Any]] = [
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hello", "annotations": [{"type": "url_citation"}]}],
    },
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "c1",
        "name": "weather",
        "arguments": '{"city":"Oslo"}',
    },
]
_RESPONSE = {
    "id": "resp_1",
    "model": "m",
    "status": "completed",
    "output": _ITEMS,
    "usage": {
        "input_tokens": 5,
        "output_tokens": 3,
        "total_tokens": 8,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens_details": {"reasoning_tokens": 1},
    },
}
_PLACE = {"output_index": 1, "item_id": "msg_1", "content_index": 0}
RESPONSES = Sample(
    "openai",
    "gpt-6-luna",
    _RESPONSE,
    [
        {"type": "response.output_item.added", "output_index": 0, "item": {**_ITEMS[0], "summary": []}},
        {
            "type": "response.reasoning_summary_text.delta",
            "output_index": 0,
            "item_id": "rs_1",
            "summary_index": 0,
            "delta": "Hm",
        },
        {"type": "response.output_item.done", "output_index": 0, "item": _ITEMS[0]},
        {
            "type": "response.output_item.added",
            "output_index": 1,
            "item": {"type": "message", "id": "msg_1", "content": []},
        },
        {"type": "response.output_text.delta", **_PLACE, "delta": "Hello"},
        {
            "type": "response.output_text.annotation.added",
            **_PLACE,
            "annotation": {"type": "url_citation"},
        },
        {"type": "response.output_item.done", "output_index": 1, "item": _ITEMS[1]},
        {"type": "response.output_item.added", "output_index": 2, "item": {**_ITEMS[2], "arguments": ""}},
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 2,
            "item_id": "fc_1",
            "delta": '{"city":"Oslo"}',
        },
        {"type": "response.output_item.done", "output_index": 2, "item": _ITEMS[2]},
        {"type": "response.completed", "response": _RESPONSE},
    ],
    OPENAI.error,
    extra={"use_responses_api": True},
)
_TOOL_USE = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}
_CLAUDE: dict[str, Any] = {
    "id": "a1",
    "type": "message",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "Hm", "signature": "S"},
        {"type": "text", "text": "Hello", "citations": [{"type": "x"}]},
        _TOOL_USE,
    ],
    "stop_reason": "tool_use",
    "usage": {
        "input_tokens": 5,
        "output_tokens": 3,
        "cache_read_input_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 1},
        "output_tokens_details": {"thinking_tokens": 1},
    },
}
ANTHROPIC = Sample(
    "anthropic",
    "claude-haiku-5-5",
    _CLAUDE,
    [
        {"type": "message_start", "message": {**_CLAUDE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "H"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "m"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "S"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "content_block_start", "index": 2, "content_block": {**_TOOL_USE, "input": {}}},
        {
            "type": "content_block_delta",
            "index": 2,
            "delta": {"type": "input_json_delta", "partial_json": '{"city":"Oslo"}'},
        },
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ],
    {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "no", "details": {"error_code": "x"}},
        "request_id": "r1",
    },
)


def _event(*parts: dict[str, Any], **candidate: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": [*parts]}
    return {
        "candidates": [{"content": content, "index": 0, **candidate}],
        "modelVersion": "m",
        "responseId": "a1",
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 3,
            "totalTokenCount": 8,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}],
        },
    }


_CALLED = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "S"}
_GROUNDED = {"groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 2}}]}
GOOGLE = Sample(
    "google",
    "gemini-3.8-flash",
    _event({"text": "Hello"}, _CALLED, finishReason="STOP", groundingMetadata=_GROUNDED),
    [
        _event({"text": "Hm", "thought": True}),
        _event({"text": "Hello"}),
        _event(_CALLED, finishReason="STOP", groundingMetadata=_GROUNDED),
    ],
    {
        "error": {
            "code": 429,
            "message": "no",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"reason": "x", "violations": [{"quotaId": "PerDay"}], "retryDelay": "3s"}],
        }
    },
)
_COHERE_USAGE = {"tokens": {"input_tokens": 5, "output_tokens": 3}, "cached_tokens": 1}


def _delta(kind: str, **message: Any) -> dict[str, Any]:
    return {"type": kind, "index": 0, "delta": {"message": message}}


COHERE = Sample(
    "cohere",
    "command-a-03-2025",
    {
        "id": "a1",
        "finish_reason": "TOOL_CALL",
        "message": {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hello"}],
            "citations": [{"start": 0, "end": 2, "sources": [{"document": {"title": "t"}}]}],
            "tool_calls": [_OPENAI_CALL],
        },
        "usage": _COHERE_USAGE,
    },
    [
        {"type": "message-start", "id": "a1", "delta": {"message": {"role": "assistant"}}},
        _delta("content-delta", content={"thinking": "H"}),
        _delta("content-delta", content={"thinking": "m"}),
        _delta("content-start", content={"type": "text", "text": ""}),
        _delta("content-delta", content={"text": "Hello"}),
        _delta("citation-start", citations={"start": 0, "end": 2, "sources": [{"document": {}}]}),
        _delta("tool-call-start", tool_calls=_OPENAI_CALL),
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": _COHERE_USAGE}},
    ],
    {"message": "no", "error_type": "TOO_MANY_TOKENS", "id": "e1"},
    extra={"documents": ["a text"]},
)
_OLLAMA_CALL = {"id": "c1", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
_COUNTERS = {"prompt_eval_count": 5, "eval_count": 3, "done_reason": "stop"}
OLLAMA = Sample(
    "ollama",
    "llama3.1",
    {
        "model": "m",
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"content": "Hello", "thinking": "Hm", "tool_calls": [_OLLAMA_CALL]},
        "done": True,
        **_COUNTERS,
    },
    [
        {"model": "m", "message": {"content": "", "thinking": "H"}, "done": False},
        {"model": "m", "message": {"content": "", "thinking": "m"}, "done": False},
        {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": False},
        {"model": "m", "message": {"content": "", "tool_calls": [_OLLAMA_CALL]}, "done": False},
        {"model": "m", "message": {"content": ""}, "done": True, "logprobs": [{"token": "H"}], **_COUNTERS},
    ],
    {"error": "model not found"},
    frame=line,
)
SAMPLES = {
    "openai": OPENAI,
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "google": GOOGLE,
    "cohere": COHERE,
    "ollama": OLLAMA,
}
