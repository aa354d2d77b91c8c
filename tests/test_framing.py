"""Framing: server-sent events and JSON lines, whole, byte by byte and in random pieces."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.framing import (
    FrameTooLongError,
    LineDecoder,
    NDJSONDecoder,
    SSEDecoder,
    SSEvent,
    parse_json,
)


def decoded(decoder: Any, pieces: list[bytes]) -> list[Any]:
    """Return all frames in these pieces."""
    return [*(frame for piece in pieces for frame in decoder.feed(piece)), *decoder.close()]


def ways(data: bytes) -> list[list[bytes]]:
    """Return the data whole, byte by byte, and in random pieces, empty ones included."""
    rng = random.Random(len(data))
    cuts = sorted(rng.choices(range(len(data) + 1), k=5))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [[data], [data[n : n + 1] for n in range(len(data))], pieces]


EVENTS = {
    "line feeds": (b"data: a\n\ndata: b\n\n", ["a", "b"]),
    "carriage returns": (b"data: a\r\rdata: b\r\r", ["a", "b"]),
    "both": (b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
    "several data lines": (b"data: a\ndata: b\ndata\n\n", ["a\nb\n"]),
    "one space is dropped": (b"data:a\n\ndata:  b\n\n", ["a", " b"]),
    "comments and unknown fields": (b": hello\nid: 7\nretry: 3\ndata: a\n\n:\n\n", ["a"]),
    "nothing but blank lines": (b"\n\n\r\n", []),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
    "no blank line at the end": (b"data: a\n\ndata: b\n", ["a", "b"]),
    "no line end at the end": (b"data: a\n\ndata: b", ["a", "b"]),
    "characters of several bytes": ("data: é€😀\n\n".encode(), ["é€😀"]),
    "bytes that are no UTF-8": (b"data: \xff\n\n", ["\N{REPLACEMENT CHARACTER}"]),
}


@pytest.mark.parametrize(("data", "expected"), EVENTS.values(), ids=EVENTS)
def test_server_sent_events(data: bytes, expected: list[str]) -> None:
    """The rules of WHATWG, however the bytes arrive; a last event without its blank line counts."""
    for pieces in ways(data):
        assert [event.data for event in decoded(SSEDecoder(), pieces)] == expected


def test_the_type_of_an_event_ends_with_it() -> None:
    """A named event keeps its name, the next one has none, and an event without data is none."""
    data = b"event: first\ndata: a\n\ndata: b\n\nevent: empty\n\ndata: c\n\n"
    for pieces in ways(data):
        assert decoded(SSEDecoder(), pieces) == [SSEvent("first", "a"), SSEvent("", "b"), SSEvent("", "c")]


def test_comments_are_counted() -> None:
    """Keep-alives differ from silence."""
    decoder = SSEDecoder()
    assert decoded(decoder, [b": one\n", b"data: a\n:two\n\n"]) == [SSEvent("", "a")]
    assert decoder.comments == 2


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=5),
    st.data(),
)
def test_any_text_survives_any_cut(texts: list[str], draw: st.DataObject) -> None:
    """Whatever is written as events is read again."""
    data = b"".join(f"data: {text}\n\n".encode() for text in texts)
    cut = draw.draw(st.integers(0, len(data)))
    assert [event.data for event in decoded(SSEDecoder(), [data[:cut], data[cut:]])] == texts


LINES = b'{"a": 1}\n\n  \n["\xc3\xa9"]\r\n7'


def test_lines_of_json() -> None:
    """One value a line, blank lines skipped, the last line without its end."""
    for pieces in ways(LINES):
        assert decoded(NDJSONDecoder(), pieces) == [{"a": 1}, ["é"], 7]
        assert [parse_json(line) for line in decoded(LineDecoder(), pieces)] == [{"a": 1}, ["é"], 7]


@pytest.mark.parametrize("data", [b'{"a": 1\n', b'{"a": 1'])
def test_a_line_that_is_cut_is_an_error(data: bytes) -> None:
    """Half a value is not taken for one."""
    with pytest.raises(ValueError, match=r"."):
        decoded(NDJSONDecoder(), [data])


ENDS = st.sampled_from(["\n", "\r", "\r\n"])
FIELDS = st.sampled_from(["data: a", "data:b", "data", "event: e", ": ping", "id: 1", ""])


@given(st.lists(st.tuples(FIELDS, ENDS), max_size=8), st.booleans())
def test_events_are_the_same_at_every_cut(lines: list[tuple[str, str]], marked: bool) -> None:
    """Any mixture of fields and line ends, cut anywhere, is read as when it comes in one piece."""
    data = b"\xef\xbb\xbf" * marked + "".join(field + end for field, end in lines).encode()
    decoder = SSEDecoder()
    expected = decoded(decoder, [data])
    for cut in range(len(data) + 1):
        other = SSEDecoder()
        assert decoded(other, [data[:cut], b"", data[cut:]]) == expected
        assert other.comments == decoder.comments


@pytest.mark.parametrize(
    ("decoder", "start", "more", "end"),
    [
        (SSEDecoder, b"data: ", b"x", b"\n\n"),
        (SSEDecoder, b"", b"data: x\n", b"\n"),
        (SSEDecoder, b"", b"data\n", b"\n"),
        (SSEDecoder, b"", b"x", b"\n\n"),
        (LineDecoder, b"", b"x", b"\n"),
        (NDJSONDecoder, b"1", b"1", b"\n"),
    ],
    ids=["a line", "lines", "empty lines", "an unknown field", "a line of text", "a line of JSON"],
)
def test_a_frame_has_a_limit(decoder: Any, start: bytes, more: bytes, end: bytes) -> None:
    """What never ends is an error soon after the limit, not a full memory; many short frames are none."""
    short = start + more * 5 + end
    endless = decoder(limit=100)
    for _ in range(100):
        endless.feed(short)
    endless.feed(start)
    with pytest.raises(FrameTooLongError, match="100 bytes"):
        for _ in range(200):
            endless.feed(more)


def test_frames_before_one_that_is_too_long() -> None:
    """They are returned; the error comes with the next bytes."""
    decoder = SSEDecoder(limit=100)
    assert decoder.feed(b"data: a\n\ndata: " + b"x" * 200) == [SSEvent("", "a")]
    with pytest.raises(FrameTooLongError):
        decoder.feed(b"x")


@pytest.mark.parametrize("decoder", [SSEDecoder, LineDecoder])
def test_a_long_frame_in_many_pieces(decoder: Any) -> None:
    """It is one frame, whatever the number of pieces."""
    text = "abcdefgh" * 40_000
    pieces = [f"data: {text}\n\n".encode()[at : at + 64] for at in range(0, len(text) + 8, 64)]
    (frame,) = decoded(decoder(), pieces)
    assert frame == (SSEvent("", text) if decoder is SSEDecoder else f"data: {text}".encode())


def test_a_blank_line_that_comes_alone_ends_its_event() -> None:
    """A line feed is the other half of a carriage return only right after it."""
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\ndata: b\n") == []
    assert decoder.feed(b"\n") == [SSEvent("", "a\nb")]
    assert SSEDecoder().feed(b"\n\ndata: a\n\n") == [SSEvent("", "a")]


def test_what_is_no_text_is_replaced() -> None:
    """In the data, and in the event's name."""
    assert SSEDecoder().feed(b"event: \xff\ndata: \xfe\n\n") == [SSEvent("\ufffd", "\ufffd")]


def test_a_frame_may_be_as_long_as_its_limit() -> None:
    """The limit itself is allowed, the next byte is not."""
    decoder = LineDecoder(limit=10)
    assert decoder.feed(b"x" * 10) == []
    assert decoder.feed(b"\n") == [b"x" * 10]
    assert decoder.feed(b"x" * 11) == []
    with pytest.raises(FrameTooLongError):
        decoder.feed(b"\n")
