"""Gemini's streams: server-sent events without an end marker.

A stream is whole when it ends after an event with a finish reason, or with a blocked prompt. Older servers
put a finish reason on every event, so only the end of input says which one was the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch.errors import (
    MalformedResponseError,
    TruncatedStreamError,
    TruncatedToolCallError,
    VendorError,
)
from langchain_llmdispatch.framing import SSEDecoder, parse_json
from langchain_llmdispatch.vendors.google.answer import Answer, Piece

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor


class GoogleStream:
    """Decoder of one streamed answer."""

    __slots__ = ("_answer", "_document", "_error", "_events", "_provider", "_started", "done")

    def __init__(self, vendor: Vendor, call: Call) -> None:
        self._answer = Answer(vendor, call)
        self._events = SSEDecoder()
        self._provider = vendor.provider
        self._started = False
        # Errors come as plain JSON even under `text/event-stream`; without `alt=sse` so does the stream.
        self._document: bytearray | None = None
        self._error: VendorError | None = None
        self.done = False

    @property
    def finished(self) -> bool:
        """Whether the last event carried a finish reason or a blocked prompt."""
        return self._answer.ended

    def feed(self, data: bytes) -> list[AIMessageChunk]:
        """Return the chunks that `data` completes.

        Raises:
            VendorError: An error inside the stream, or an event that makes no sense.
        """
        if self._error is not None:
            raise self._error
        if not self._started:
            data = data.lstrip()
            if not data:
                return []
            self._started = True
            if data[:1] in b"[{":
                self._document = bytearray()
        if self._document is not None:
            self._document += data
            return []
        return self._chunks([event.data for event in self._events.feed(data)])

    def close(self) -> list[AIMessageChunk]:
        """Return what the end of input completes: at least the last chunk.

        Raises:
            TruncatedStreamError: No finish reason came, or the last event is cut.
        """
        if self._error is not None:
            raise self._error
        if self._document is not None:
            chunks = self._chunks([self._document], last=True)
        else:
            chunks = self._chunks([event.data for event in self._events.close()], last=True)
        if self._error is not None:
            raise self._error
        chunks.append(self._last())
        self.done = True
        return chunks

    @property
    def used(self) -> UsageMetadata | None:
        """What the vendor has said of usage so far."""
        return self._answer.usage()

    def _chunks(self, texts: list[Any], *, last: bool = False) -> list[AIMessageChunk]:
        """Return a chunk for each event that says something.

        What came before an error in the same bytes is still delivered; the error follows.
        """
        chunks: list[AIMessageChunk] = []
        try:
            for text in texts:
                for event in self._parsed(text, last):
                    piece = self._answer.take(event)
                    if piece.blocks or piece.calls:
                        chunks.append(self._chunk(piece))
        except VendorError as error:
            self._error = error
            if not chunks:
                raise
        return chunks

    def _parsed(self, text: Any, last: bool) -> list[Any]:
        try:
            try:
                event = parse_json(text)
            except ValueError:
                # Some proxies end events with a single line feed.
                lines = text.splitlines()
                return [parse_json(line) for line in lines] if len(lines) > 1 else [parse_json(text)]
        except ValueError as error:
            cls = TruncatedStreamError if last else MalformedResponseError
            raise self._answer.error(cls, "an event that is no JSON") from error
        return event if isinstance(event, list) else [event]

    def _chunk(self, piece: Piece) -> AIMessageChunk:
        answer = self._answer
        answer.spoke = True
        metadata = {"model_provider": self._provider}
        if not piece.calls and not piece.kwargs:
            return _plain_chunk(answer.content(piece), metadata)
        return AIMessageChunk(
            content=answer.content(piece),
            additional_kwargs=piece.kwargs,
            response_metadata=metadata,
            tool_call_chunks=piece.calls,
        )

    def _last(self) -> AIMessageChunk:
        answer = self._answer
        if not answer.ended:
            raise answer.error(TruncatedStreamError, "the stream ended without a finish reason")
        metadata = answer.metadata()
        if answer.assembly.cut:
            raise answer.error(TruncatedToolCallError, "a function call whose arguments are not whole")
        content: str | list[Any] = [] if answer.structured and answer.spoke else ""
        if "grounding_metadata" in metadata and answer.structured and answer.text_index is not None:
            # The translator hangs citations on the text of the same chunk.
            content = [{"type": "text", "text": "", "index": answer.text_index}]
        return AIMessageChunk(
            content=content,
            additional_kwargs=answer.audio(),
            response_metadata=metadata,
            usage_metadata=answer.usage(),
            chunk_position="last",
        )


_EMPTY = AIMessageChunk(content="")


def _plain_chunk(content: str | list[Any], metadata: dict[str, Any]) -> AIMessageChunk:
    """Return a chunk with content only: a copy of a valid one, at half the cost of validating anew."""
    chunk = _EMPTY.__copy__()
    chunk.__dict__.update(
        content=content,
        response_metadata=metadata,
        additional_kwargs={},
        tool_calls=[],
        invalid_tool_calls=[],
        tool_call_chunks=[],
    )
    return chunk
