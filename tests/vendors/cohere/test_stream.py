"""Cohere: from a stream to chunks, at any cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from tests.cases import each
from tests.models import summed
from tests.vendors.chunks import assert_adds_up
from tests.vendors.cohere.calls import (
    DONE,
    START,
    VENDOR,
    answer,
    call,
    decode,
    delta,
    end,
    events,
    stream,
    tool,
)

PARTS = [
    START,
    delta("content-start", 0, content={"type": "thinking", "thinking": ""}),
    delta("content-delta", 0, content={"thinking": "hm "}),
    delta("content-delta", 0, content={"thinking": "ja"}),
    {"type": "content-end", "index": 0},
    delta("tool-plan-delta", tool_plan="I will "),
    delta("tool-plan-delta", tool_plan="look 🌧."),
    delta("tool-call-start", 0, tool_calls=tool("")),
    delta("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"city":'}}),
    delta("tool-call-delta", 0, tool_calls={"function": {"arguments": ' "Zürich"}'}}),
    {"type": "tool-call-end", "index": 0},
    delta("tool-call-start", 1, tool_calls=tool("", 1)),
    delta("tool-call-delta", 1, tool_calls={"function": {"arguments": "null"}}),
    {"type": "tool-call-end", "index": 1},
    {"type": "debug", "prompt": "of no use"},
    end("TOOL_CALL"),
]
DATA = events(*PARTS) + DONE
WHOLE = answer(
    "TOOL_CALL",
    content=[{"type": "thinking", "thinking": "hm ja"}],
    tool_plan="I will look 🌧.",
    tool_calls=[tool('{"city": "Zürich"}'), tool("null", 1)],
)


@given(st.lists(st.integers(0, len(DATA)), max_size=12))
def test_sum_is_the_whole(cuts: list[int]) -> None:
    """However the bytes arrive, the chunks add up to the answer that was not streamed."""
    chunks = stream(DATA, *sorted(cuts))
    assert_adds_up(chunks, decode(WHOLE), "cohere")


def test_cut_everywhere() -> None:
    """A stream that was cut is never called whole, wherever the cut is."""
    for cut in range(len(events(*PARTS)) - 3):
        decoder = VENDOR.stream_decoder(call(), {})
        chunks = decoder.feed(DATA[:cut])
        with pytest.raises(errors.TruncatedStreamError):
            decoder.close()
        assert not any(chunk.chunk_position for chunk in chunks)
        assert not decoder.finished


def test_done_follows_the_end() -> None:
    """The answer is whole at `message-end`; `[DONE]` only marks that nothing follows."""
    decoder = VENDOR.stream_decoder(call(), {})
    decoder.feed(events(*PARTS))
    assert (decoder.finished, decoder.done) == (True, False)
    assert decoder.feed(DONE) == []
    assert decoder.done
    without = VENDOR.stream_decoder(call(), {})
    without.feed(events(*PARTS))
    assert without.close() == []
    early = VENDOR.stream_decoder(call(), {})
    assert early.feed(events(START) + DONE) == []
    with pytest.raises(errors.TruncatedStreamError):
        early.close()


BROKEN = [
    b"data: <html>\n\n",
    b"data: 3\n\n",
    events({"type": "content-delta", "index": 0}),
    events(delta("content-delta", 0, content=None)),
    events(delta("tool-call-delta", 4, tool_calls={"function": {"arguments": "{}"}})),
    events({"type": "message-end"}),
]


@each("data", BROKEN)
def test_broken_event(data: bytes) -> None:
    """An event that makes no sense is an error, after what came before it was handed out."""
    decoder = VENDOR.stream_decoder(call(), {})
    before = events(START, delta("content-delta", 0, content={"text": "hi"}))
    assert [chunk.content for chunk in decoder.feed(before + data)] == ["hi"]
    with pytest.raises(errors.MalformedResponseError):
        decoder.feed(b"\n")


def test_error_event() -> None:
    """An error in the place of an event is that error."""
    with pytest.raises(errors.ContextOverflowError):
        stream(events(START, {"type": "error", "message": "too many tokens: size limit exceeded"}))
    with pytest.raises(errors.ServerError):
        stream(b'data: {"id": "x", "message": "internal server error"}\n\n')


def test_logprobs() -> None:
    """Log probabilities of all deltas arrive once, at the end."""
    item = {"text": "hi", "token_ids": [1], "logprobs": [-0.5]}
    raw = [{**delta("content-delta", 0, content={"text": "hi"}), "logprobs": item} for _ in range(2)]
    chunks = stream(events(START, *raw, end()))
    assert "logprobs" not in chunks[0].response_metadata
    assert summed(chunks).response_metadata["logprobs"] == [item, item]


def test_citations_of_no_text() -> None:
    """Those that were not foreseen stay apart, though they have one index, and are as in a whole answer."""
    cited = [{"start": 0, "end": 2, "index": 0, "sources": [{"type": "document", "id": id_}]} for id_ in "ab"]
    notes = [delta("citation-start", 0, citations=each) for each in cited]
    chunks = stream(events(START, delta("content-delta", 0, content={"text": "hi"}), *notes, end()))
    assert summed(chunks).additional_kwargs == {"citations": cited}
