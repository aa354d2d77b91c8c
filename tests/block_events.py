"""The same chunks as a message, as `stream` gives it, and as content-block events, as `stream_events` does."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, cast

from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.outputs import ChatGenerationChunk
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_llmdispatch.chat_model.event_maker import EventMaker
from tests.models import summed

# Blocks that LangChain's `ChatModelStream` leaves out of its message, though their events have come.
LEFT_OUT = {"refusal", "text-plain"}


def message_of_chunks(chunks: Sequence[ChatGenerationChunk]) -> AIMessage:
    """Return the sum of chunks as a message."""
    messages = [cast("AIMessageChunk", each.message) for each in deepcopy(chunks)]
    return cast("AIMessage", message_chunk_to_message(summed(messages)))


def events_of(chunks: Sequence[ChatGenerationChunk]) -> list[dict[str, Any]]:
    """Return the events of chunks; they keep LangChain's rules."""
    maker = EventMaker()
    events = [event for chunk in deepcopy(chunks) for event in maker.of_chunk(chunk)]
    events += maker.of_end()
    assert_valid_event_stream(events)
    return events


def message_of_events(events: Sequence[dict[str, Any]]) -> AIMessage:
    """Return the message that LangChain makes of events."""
    stream = ChatModelStream()
    for event in deepcopy(events):
        stream.dispatch(event)
    assert stream.output_message is not None
    return stream.output_message


def assert_same(one: AIMessage, other: AIMessage) -> None:
    """Assert that two messages say the same: blocks, calls, usage, metadata, further words.

    Events number blocks as they begin; LangChain puts reasoning and calls that a message has beside its
    content before and after the text. The order of blocks of different kinds may therefore differ.
    """
    for kind in {block["type"] for message in (one, other) for block in _blocks(message)}:
        assert _blocks(one, kind) == _blocks(other, kind), kind
    assert one.text == other.text
    assert one.tool_calls == other.tool_calls
    assert len(one.invalid_tool_calls) == len(other.invalid_tool_calls)
    assert one.usage_metadata == other.usage_metadata
    assert one.additional_kwargs == other.additional_kwargs
    first, second = dict(one.response_metadata), dict(other.response_metadata)
    for metadata in (first, second):
        metadata.pop("output_version", None)
    assert first == second


def _blocks(message: AIMessage, kind: str | None = None) -> list[dict[str, Any]]:
    """Return a message's blocks (of a kind) without their places, which events number by themselves."""
    return [
        {name: value for name, value in block.items() if name != "index"}
        for block in message.content_blocks
        if block["type"] not in LEFT_OUT and kind in {None, block["type"]}
    ]
