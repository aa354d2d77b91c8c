"""An answer, or its chunks, as a chat completion.

Source: platform.openai.com/docs/api-reference/chat/object and `.../streaming`. Reasoning is in
`reasoning_content`, as DeepSeek, vLLM and LiteLLM have it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from langchain_llmdispatch.server.answer_form import StreamTotals, as_json, details_of, texts_of
from langchain_llmdispatch.server.failures import Failure

_REASONS = {
    "stop": "stop",
    "length": "length",
    "context_exceeded": "length",
    "tool_call": "tool_calls",
    "refusal": "stop",
    "content_filter": "content_filter",
}


def _usage(usage: UsageMetadata | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    cached, _, reasoning = details_of(usage)
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


@dataclass(slots=True)
class Completion:
    """One answer, as it is sent to a client.

    Attributes:
        model: The name that the client wrote.
        id: The id of the completion.
        created: When it was made, in seconds since 1970.
        counts: Whether a stream ends with a chunk of usage; the others have it as null.
    """

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    counts: bool = False
    last: ClassVar[str] = "data: [DONE]\n\n"
    _calls: dict[Any, int] = field(default_factory=dict)
    _began: bool = False

    def body(self, message: AIMessage) -> dict[str, Any]:
        """Return the whole answer."""
        texts = texts_of(message)
        answer: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, **texts}
        if message.tool_calls:
            answer["tool_calls"] = [
                _call(call["id"], call["name"], json.dumps(call["args"], ensure_ascii=False))
                for call in message.tool_calls
            ]
        choice = {
            "index": 0,
            "message": answer,
            "logprobs": message.response_metadata.get("logprobs"),
            "finish_reason": _reason(message),
        }
        return {
            **self._frame("chat.completion"),
            "choices": [choice],
            "usage": _usage(message.usage_metadata),
        }

    def chunks(self, chunk: AIMessageChunk) -> Iterator[dict[str, Any]]:
        """Yield the events of one chunk: its delta, and the finish reason where it has one."""
        delta: dict[str, Any] = dict(texts_of(chunk))
        if calls := [self._piece(piece) for piece in chunk.tool_call_chunks]:
            delta["tool_calls"] = calls
        if not self._began:
            self._began = True
            delta = {"role": "assistant", "content": "", **delta}
        if delta:
            yield self._event(delta, None)
        if chunk.response_metadata.get("finish_reason"):
            logprobs = chunk.response_metadata.get("logprobs")
            yield self._event({}, _reason(chunk, called=bool(self._calls)), logprobs)

    def begin(self) -> Iterator[dict[str, Any]]:
        """Yield nothing: the first chunk has the role."""
        yield from ()

    def end(self, totals: StreamTotals) -> Iterator[dict[str, Any]]:
        """Yield the chunk of usage, where it is requested."""
        if self.counts:
            usage = _usage(totals.usage)
            yield {**self._frame("chat.completion.chunk"), "choices": [], "usage": usage}

    def fail(self, failure: Failure) -> Iterator[dict[str, Any]]:
        """Yield the error, which is the last event."""
        yield failure.body()

    def frame(self, event: dict[str, Any]) -> str:
        """Return an event as it is sent."""
        return f"data: {as_json(event)}\n\n"

    def _piece(self, piece: Mapping[str, Any]) -> dict[str, Any]:
        index = self._calls.setdefault(piece["index"], len(self._calls))
        named = _call(piece["id"], piece["name"], piece["args"] or "") if piece["name"] else None
        return {"index": index, **(named or {"function": {"arguments": piece["args"] or ""}})}

    def _event(self, delta: Mapping[str, Any], reason: str | None, logprobs: Any = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        counts = {"usage": None} if self.counts else {}
        return {**self._frame("chat.completion.chunk"), "choices": [choice], **counts}

    def _frame(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def _call(name: str | None, function: str | None, arguments: str) -> dict[str, Any]:
    return {"id": name, "type": "function", "function": {"name": function, "arguments": arguments}}


def _reason(message: AIMessage, *, called: bool = False) -> str:
    if called or message.tool_calls:
        return "tool_calls"
    facts = message.response_metadata
    return _REASONS.get(str(facts.get("normalized_finish_reason")), "stop")
