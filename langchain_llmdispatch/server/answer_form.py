"""What the forms of an answer share: their parts, and how a call is answered in either of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_llmdispatch.server.failures import Failure


@dataclass(slots=True)
class StreamTotals:
    """What the chunks of a stream add up to, without their content.

    Attributes:
        usage: The tokens, or None where none are reported.
        metadata: The response's metadata, each of which one chunk has.
    """

    usage: UsageMetadata | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def add(self, chunk: AIMessageChunk) -> None:
        """Add a chunk."""
        if chunk.usage_metadata:
            self.usage = add_usage(self.usage, chunk.usage_metadata)
        if chunk.response_metadata:
            self.metadata |= chunk.response_metadata


class AnswerForm(Protocol):
    """One answer, as it is sent to a client: whole, or as events."""

    last: ClassVar[str]
    """What a stream ends with, after its events."""

    def body(self, message: AIMessage) -> dict[str, Any]:
        """Return the whole answer."""

    def begin(self) -> Iterator[dict[str, Any]]:
        """Yield the events before the first chunk."""

    def chunks(self, chunk: AIMessageChunk) -> Iterator[dict[str, Any]]:
        """Yield the events of one chunk."""

    def end(self, totals: StreamTotals) -> Iterator[dict[str, Any]]:
        """Yield the events after the last chunk."""

    def fail(self, failure: Failure) -> Iterator[dict[str, Any]]:
        """Yield the events of a stream that breaks."""

    def frame(self, event: dict[str, Any]) -> str:
        """Return an event as it is sent."""


def as_json(value: Any) -> str:
    """Return JSON as it is sent."""
    return json.dumps(value, ensure_ascii=False)


def texts_of(message: AIMessage) -> dict[str, str]:
    """Return text, reasoning and refusal of a message, those that it has."""
    if isinstance(message.content, str) and not message.additional_kwargs:  # most chunks
        return {"content": message.content} if message.content else {}
    found = {"content": "", "reasoning_content": "", "refusal": ""}
    for block in message.content_blocks:
        value: dict[str, Any] = dict(block)
        kind = value["type"]
        if kind == "text":
            found["content"] += str(value.get("text", ""))
        elif kind == "reasoning":
            found["reasoning_content"] += str(value.get("reasoning", ""))
        elif "refusal" in (kind, value.get("value", {}).get("type") if kind == "non_standard" else ""):
            inner = value.get("value", value)
            found["refusal"] += str(inner.get("refusal", ""))
    return {name: text for name, text in found.items() if text}


def details_of(usage: UsageMetadata) -> tuple[int, int, int]:
    """Return the tokens read from a cache, written to one, and of reasoning."""
    read, written = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    return read.get("cache_read", 0), read.get("cache_creation", 0), written.get("reasoning", 0)
