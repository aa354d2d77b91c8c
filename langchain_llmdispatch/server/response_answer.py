"""An answer, or its events, as `/v1/responses` has it.

Source: platform.openai.com/docs/api-reference/responses/object and `.../responses-streaming`. Reasoning is a
summary.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from langchain_llmdispatch.server.answer_form import StreamTotals, as_json, details_of, texts_of
from langchain_llmdispatch.server.failures import Failure
from langchain_llmdispatch.server.response_items import CallItem, MessageItem, OutputItem, ReasoningItem
from langchain_llmdispatch.vendors.word_secrets import without_credentials

# Fields of a request that its answer repeats, with their defaults.
_REPEATED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
_INCOMPLETE = {
    "length": "max_output_tokens",
    "context_exceeded": "max_output_tokens",
    "content_filter": "content_filter",
}


def _usage(usage: UsageMetadata | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    cached, written, reasoning = details_of(usage)
    return {
        "input_tokens": usage["input_tokens"],
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": usage["output_tokens"],
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": usage["total_tokens"],
    }


def _shown_tool(tool: Any) -> Any:
    """Return a tool as an answer repeats it: without the token of an MCP server, as OpenAI's own answers do.

    Source: platform.openai.com/docs/guides/tools-connectors-mcp, "Authentication".
    """
    if not isinstance(tool, Mapping) or tool.get("type") in {"function", "custom"}:
        return tool
    return without_credentials(tool)


@dataclass(slots=True)
class ResponseAnswer:
    """One answer, as it is sent to a client.

    Attributes:
        fields: The fields of the request.
        id: The id of the answer.
        created: When it was made, in seconds since 1970.
    """

    fields: Mapping[str, Any]
    id: str = field(default_factory=lambda: f"resp_{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    last: ClassVar[str] = ""
    _items: list[OutputItem] = field(default_factory=list)
    _calls: dict[Any, CallItem] = field(default_factory=dict)
    _events: int = 0

    # -- whole -----------------------------------------------------------------------------------------

    def body(self, message: AIMessage) -> dict[str, Any]:
        """Return the whole answer."""
        texts = texts_of(message)
        logprobs = (message.response_metadata.get("logprobs") or {}).get("content") or []
        if reasoning := texts.get("reasoning_content"):
            self._items.append(ReasoningItem(len(self._items), reasoning))
        for name in ("content", "refusal"):
            if text := texts.get(name):
                self._items.append(MessageItem(len(self._items), name, text, logprobs))
        for call in message.tool_calls:
            arguments = as_json(call["args"])
            self._items.append(CallItem(len(self._items), arguments, call["name"], call["id"] or ""))
        return self._whole(StreamTotals(message.usage_metadata, message.response_metadata))

    def _whole(self, totals: StreamTotals) -> dict[str, Any]:
        reason = _INCOMPLETE.get(str(totals.metadata.get("normalized_finish_reason")))
        status = "completed" if reason is None else "incomplete"
        return {
            **self._object(status),
            "incomplete_details": None if reason is None else {"reason": reason},
            "output": [item.done() for item in self._items],
            "usage": _usage(totals.usage),
        }

    def _object(self, status: str) -> dict[str, Any]:
        repeated = {name: self.fields.get(name, usual) for name, usual in _REPEATED.items()}
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": self.fields.get("model"),
            "output": [],
            "previous_response_id": None,
            "store": False,
            "usage": None,
            **repeated,
            "tools": [_shown_tool(tool) for tool in repeated["tools"] or ()],
        }

    # -- streamed --------------------------------------------------------------------------------------

    def begin(self) -> Iterator[dict[str, Any]]:
        """Yield the events before the first chunk."""
        for name in ("created", "in_progress"):
            yield {"type": f"response.{name}", "response": self._object("in_progress")}

    def chunks(self, chunk: AIMessageChunk) -> Iterator[dict[str, Any]]:
        """Yield the events of one chunk: an item begins where another kind of content does."""
        texts = texts_of(chunk)
        if reasoning := texts.get("reasoning_content"):
            yield from self._add(ReasoningItem(len(self._items)), reasoning)
        for name in ("content", "refusal"):
            if text := texts.get(name):
                yield from self._add(MessageItem(len(self._items), name), text)
        for piece in chunk.tool_call_chunks:
            yield from self._add_call(piece)

    def _add(self, fresh: OutputItem, text: str) -> Iterator[dict[str, Any]]:
        """Add a text to the open item, if it is of its kind, or to a new one."""
        item = self._items[-1] if self._items else None
        if item is None or item.is_done or item.kind != fresh.kind:
            yield from self._close()
            self._items.append(item := fresh)
            yield from item.begin()
        yield from item.add(text)

    def _add_call(self, piece: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        item = self._calls.get(piece["index"])
        if item is None:
            yield from self._close()
            item = CallItem(len(self._items), "", piece["name"] or "", piece["id"] or "")
            self._calls[piece["index"]] = item
            self._items.append(item)
            yield from item.begin()
        if piece["args"]:
            yield from item.add(piece["args"])

    def _close(self) -> Iterator[dict[str, Any]]:
        """End the last item, if it is one of text; calls may go on beside each other until the end."""
        if self._items and not isinstance(self._items[-1], CallItem):
            yield from self._items[-1].end()

    def end(self, totals: StreamTotals) -> Iterator[dict[str, Any]]:
        """Yield the events after the last chunk; the last one has the whole answer."""
        logprobs = (totals.metadata.get("logprobs") or {}).get("content") or []
        for item in self._items:
            if isinstance(item, MessageItem) and item.part == "content":
                item.logprobs = logprobs
            yield from item.end()
        answer = self._whole(totals)
        yield {"type": f"response.{answer['status']}", "response": answer}

    def fail(self, failure: Failure) -> Iterator[dict[str, Any]]:
        """Yield the error, and the answer that has failed."""
        error = failure.body()["error"]
        yield {"type": "error", **{name: error[name] for name in ("code", "message", "param")}}
        failed = {"code": "server_error", "message": failure.message}
        output = [item.done() for item in self._items if item.is_done]
        yield {
            "type": "response.failed",
            "response": {**self._object("failed"), "error": failed, "output": output},
        }

    def frame(self, event: dict[str, Any]) -> str:
        """Return an event as it is sent, numbered."""
        numbered = {"type": event["type"], "sequence_number": self._events, **event}
        self._events += 1
        return f"event: {event['type']}\ndata: {as_json(numbered)}\n\n"
