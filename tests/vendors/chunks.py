"""Streams of a decoder, fed in pieces, and what their chunks must add up to."""

from __future__ import annotations

from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch.vendors.base import StreamDecoder
from tests.models import summed


def fed(decoder: StreamDecoder, data: bytes, *cuts: int) -> list[AIMessageChunk]:
    """Return the chunks of a stream whose bytes arrive in pieces, cut at these places."""
    chunks: list[AIMessageChunk] = []
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        chunks += decoder.feed(data[start:end])
    return chunks + decoder.close()


def assert_adds_up(chunks: list[AIMessageChunk], expected: AIMessage, provider: str) -> None:
    """Check that chunks add up to an answer that was not streamed."""
    total = summed(chunks)
    for name in ("content", "tool_calls", "invalid_tool_calls", "usage_metadata", "additional_kwargs"):
        assert getattr(total, name) == getattr(expected, name)
    assert total.response_metadata == expected.response_metadata
    assert total.content_blocks == expected.content_blocks
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    assert all(chunk.response_metadata == {"model_provider": provider} for chunk in chunks[:-1])
