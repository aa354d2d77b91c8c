"""Ollama: from a stream to chunks, at any cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from tests.cases import each
from tests.models import summed
from tests.vendors.chunks import assert_adds_up
from tests.vendors.ollama.calls import VENDOR, answer, call, decode, lines, stream

TOOL = {"id": "c1", "function": {"index": 0, "name": "weather", "arguments": {"city": "Zürich"}}}
PARTS = [
    {"message": {"content": "", "thinking": "hm "}, "done": False},
    {"message": {"content": "", "thinking": "ja"}, "done": False},
    {"message": {"content": "It is "}, "done": False},
    {"message": {"content": "🌧"}, "done": False},
    {"message": {"content": "", "tool_calls": [TOOL]}, "done": False},
    {"message": {"content": "", "tool_calls": [{**TOOL, "id": "c2"}]}, "done": False},
    answer(content="."),
]
WHOLE = answer(content="It is 🌧.", thinking="hm ja", tool_calls=[TOOL, {**TOOL, "id": "c2"}])


@given(st.lists(st.integers(0, len(lines(*PARTS))), max_size=12))
def test_sum_is_the_whole(cuts: list[int]) -> None:
    """However the bytes arrive, the chunks add up to the answer that was not streamed."""
    chunks = stream(lines(*PARTS), *sorted(cuts))
    assert_adds_up(chunks, decode(WHOLE), "ollama")


def test_nothing_is_no_chunk() -> None:
    """Empty lines and empty deltas are signs of life only."""
    decoder = VENDOR.stream_decoder(call(), {})
    assert decoder.feed(b"\n \r\n" + lines({"message": {"content": ""}, "done": False})) == []
    assert not decoder.finished


def test_cut_everywhere() -> None:
    """A stream that was cut is never called whole, wherever the cut is."""
    data = lines(*PARTS).rstrip()
    for cut in range(len(data)):
        decoder = VENDOR.stream_decoder(call(), {})
        chunks = decoder.feed(data[:cut])
        with pytest.raises(errors.TruncatedStreamError):
            decoder.close()
        assert not any(chunk.chunk_position for chunk in chunks)
        assert not decoder.done


def test_no_newline_at_the_end() -> None:
    """The last line counts when it is whole, newline or not."""
    assert summed(stream(lines(*PARTS).rstrip())).text == "It is 🌧."


def test_garbage_between() -> None:
    """A line that is no JSON is an error, after what came before it was handed out."""
    decoder = VENDOR.stream_decoder(call(), {})
    assert [chunk.content for chunk in decoder.feed(lines(PARTS[2]) + b"<html>\n")] == ["It is "]
    with pytest.raises(errors.MalformedResponseError):
        decoder.feed(lines(PARTS[3]))
    with pytest.raises(errors.MalformedResponseError):
        decoder.close()


INLINE = [
    ("an error was encountered while running the model", errors.ServerError),
    ("the input length exceeds the context length", errors.ContextOverflowError),
    ("you (me) have reached your weekly usage limit, upgrade for higher limits", errors.QuotaExceededError),
]


@each(("text", "cls"), INLINE)
def test_error_inside_a_200(text: str, cls: type[errors.VendorError]) -> None:
    """An error line ends the stream, and an error object is no answer."""
    with pytest.raises(cls) as raised:
        stream(lines({"error": text}))
    assert type(raised.value) is cls
    assert raised.value.status_code is None
    with pytest.raises(cls):
        decode({"error": text})
    decoder = VENDOR.stream_decoder(call(), {})
    assert decoder.feed(lines(PARTS[2], {"error": text}))
    with pytest.raises(cls):
        decoder.close()


def test_v1_blocks_do_not_run_together() -> None:
    """Text, reasoning and calls stay apart in LangChain's v1 streams, which number text from 0."""
    indices = [piece["index"] for chunk in stream(lines(*PARTS)) for piece in chunk.tool_call_chunks]
    assert len(set(indices)) == 2
    assert all(index is not None and index >= 100 for index in indices)
