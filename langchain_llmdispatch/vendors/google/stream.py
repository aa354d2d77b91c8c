"""Gemini's streams: server-sent events without an end marker.

A stream is whole when it ends after an event with a finish reason, or with a blocked prompt. Older servers
and translators put a finish reason on every event, so only the end of input shows which one was the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch.errors import TruncatedToolCallError
from langchain_llmdispatch.framing import SSEvent
from langchain_llmdispatch.internal.json_format import json_text, parse_json
from langchain_llmdispatch.vendors.answer import blocks_chunk, joined_pieces, text_chunk
from langchain_llmdispatch.vendors.google.answer import AnswerBuilder
from langchain_llmdispatch.vendors.google.server_tools import standardised
from langchain_llmdispatch.vendors.stream import FrameDecoder, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor
    from langchain_llmdispatch.vendors.google.function_calls import AnswerDelta


class GoogleStreamDecoder(FrameDecoder):
    """Chunks of an answer."""

    __slots__ = ("_answer", "_filled", "_provider")

    end_marker: ClassVar[str] = "a finish reason"

    def __init__(self, vendor: Vendor, call: Call, headers: Mapping[str, str]) -> None:
        super().__init__(vendor, call, headers)
        self._answer = AnswerBuilder(self._context)
        self._provider = vendor.provider
        self._filled = False

    @property
    def used(self) -> UsageMetadata | None:
        """The usage that the vendor has reported so far."""
        return self._answer.usage()

    def _decode(self, frames: Iterable[SSEvent]) -> Iterator[AIMessageChunk]:
        return super()._decode(event for frame in frames for event in self._events(frame))

    def _whole(self, body: bytes) -> Iterator[AIMessageChunk]:
        # Errors come as plain JSON even under `text/event-stream`; without `alt=sse` so does the stream.
        return self._decode([SSEvent("", json_text(body))])

    def _words(self, frame: Any) -> None:
        """Return None: `_events` has left out what holds no JSON."""

    def _events(self, frame: SSEvent) -> list[Any]:
        if super()._words(frame) is not None:
            return []
        lines = frame.data.splitlines()
        if len(lines) > 1:
            try:
                parse_json(frame.data)
            except ValueError:
                # Some proxies end events with a single line feed.
                return [self._json(line) for line in lines if words_of(line) is None]
        event = self._json(frame.data)
        return event if isinstance(event, list) else [event]

    def _frame(self, frame: Any) -> AIMessageChunk | None:
        delta = self._answer.add(frame)
        if not delta.blocks and not delta.calls:
            return None
        self._filled = True
        content = self._answer.content(delta)
        if self._call.server_tools:
            return standardised(self._mixed(content, delta))
        if delta.calls or delta.kwargs:
            return self._mixed(content, delta)
        if isinstance(content, list):
            return blocks_chunk(content, self._provider)
        return text_chunk(content, self._provider)

    def _mixed(self, content: str | list[Any], delta: AnswerDelta) -> AIMessageChunk:
        return AIMessageChunk(
            content=content,
            additional_kwargs=delta.kwargs,
            response_metadata={"model_provider": self._provider},
            tool_call_chunks=joined_pieces(delta.calls),
        )

    def _finish(self) -> AIMessageChunk | None:
        answer = self._answer
        if not answer.ended:
            return super()._finish()
        self.finished = True
        metadata = answer.metadata()
        if answer.calls.result().invalid:
            raise self._error(TruncatedToolCallError, "the arguments of a function call are not whole")
        content: str | list[Any] = [] if answer.structured and self._filled else ""
        if "grounding_metadata" in metadata and answer.structured and answer.text_index is not None:
            # The translator hangs citations on the text of the same chunk.
            content = [{"type": "text", "text": "", "index": answer.text_index}]
        last = AIMessageChunk(
            content=content,
            additional_kwargs=answer.audio(),
            response_metadata=metadata,
            usage_metadata=answer.usage(),
            chunk_position="last",
        )
        return standardised(last, answer.ran) if self._call.server_tools and self._filled else last
