"""The skeleton of stream decoders, and its guard, with the events of each vendor."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.answer import text_chunk
from langchain_llmdispatch.vendors.base import StreamDecoder
from langchain_llmdispatch.vendors.stream import EventDecoder
from tests.cases import each
from tests.models import summed
from tests.vendors.samples import ODD, OPENAI, SAMPLES, Sample, sse, variants


class Letters(EventDecoder):
    """Text, a failure, an end, and bookkeeping after it."""

    __slots__ = ("passed",)

    end_marker: ClassVar[str] = "the end"

    def __init__(self, **headers: str) -> None:
        super().__init__(OPENAI.codec, OPENAI.call(stream=True), headers)
        self.passed: list[Any] = []

    def _text(self, event: dict[str, Any]) -> AIMessageChunk | None:
        return text_chunk(event["text"], "x") if event["text"] else None

    def _fail(self, event: dict[str, Any]) -> None:
        raise self._error(errors.OverloadedError, event["why"])

    def _end(self, _: dict[str, Any]) -> AIMessageChunk:
        self.finished = True
        return AIMessageChunk("", chunk_position="last")

    def _over(self, _: dict[str, Any]) -> None:
        self.done = True

    def _other(self, event: dict[str, Any]) -> None:
        self.passed.append(event)

    def _finish(self) -> AIMessageChunk | None:
        return None if self.finished else super()._finish()

    handlers: ClassVar[Mapping[str, Callable[[Any, dict[str, Any]], AIMessageChunk | None]]] = {
        "text": _text,
        "fail": _fail,
        "end": _end,
        "over": _over,
    }


def text(letters: str) -> bytes:
    """Return an event with text."""
    return sse({"type": "text", "text": letters})


END, OVER = sse({"type": "end"}), sse({"type": "over"})


def fed(decoder: StreamDecoder, data: bytes) -> list[str]:
    """Return the texts of the chunks that `data` completes."""
    return [str(chunk.content) for chunk in decoder.feed(data)]


def test_a_stream() -> None:
    """Events are handled by type or by name; the others are passed over, and nothing is read after `done`."""
    decoder = Letters()
    assert fed(decoder, text("a") + text("") + b'event: text\ndata: {"text": "b"}\n\n') == ["a", "b"]
    assert fed(decoder, sse({"type": "new", "x": 1}) + END) == [""]
    assert (decoder.finished, decoder.done, decoder.passed) == (True, False, [{"type": "new", "x": 1}])
    assert fed(decoder, OVER + b"data: {oops}\n\n") == []
    assert decoder.done
    assert decoder.close() == []


def test_an_error_waits_for_what_came_before_it() -> None:
    """The chunks before an error in the same bytes are returned; then it is raised, again and again."""
    decoder = Letters()
    assert fed(decoder, text("a") + sse({"type": "fail", "why": "busy"}) + text("b")) == ["a"]
    for act in (lambda: decoder.feed(text("c")), decoder.close, decoder.close):
        with pytest.raises(errors.OverloadedError, match="busy"):
            act()
    with pytest.raises(errors.OverloadedError, match="busy"):
        Letters().feed(sse({"type": "fail", "why": "busy"}))


def test_an_error_after_the_end_is_no_whole_answer() -> None:
    """A failure takes back that the answer is finished."""
    decoder = Letters()
    decoder.feed(END)
    with pytest.raises(errors.OverloadedError):
        decoder.feed(sse({"type": "fail", "why": "busy"}))
    assert not decoder.finished


@each("rest", [b"", b"data", b'data: {"type": "te', b": ping\n\n"])
def test_the_end_of_input_before_the_end_marker(rest: bytes) -> None:
    """A stream that just ends, or is cut within an event, is truncated, and the marker is named."""
    decoder = Letters()
    decoder.feed(text("a") + rest)
    with pytest.raises(errors.TruncatedStreamError, match=r"without the end|not whole JSON"):
        decoder.close()


def test_what_is_cut_after_the_end_is_bookkeeping() -> None:
    """Once the answer is whole, a cut event is ignored."""
    decoder = Letters()
    decoder.feed(END + b'data: {"type": "ov')
    assert decoder.close() == []


@each(
    "data", [b"data: {oops}\n\n", b"data: 7\n\n", b"data: [1]\n\n", sse({"type": "text"}), sse({"type": [1]})]
)
def test_odd_events_are_malformed(data: bytes) -> None:
    """No JSON, no object, a missing field, a type that is no word: one error, with the request's id."""
    decoder = Letters(**{"x-request-id": "r1", "retry-after": "7"})
    with pytest.raises(errors.MalformedResponseError) as raised:
        decoder.feed(data)
    assert (raised.value.request_id, raised.value.retry_after) == ("r1", None)
    assert (decoder.finished, decoder.done) == (False, False)


@pytest.mark.parametrize("pieces", [1, 7])
def test_plain_json_in_place_of_events(pieces: int) -> None:
    """A whole answer, or an error, comes out as from a response that was not streamed; a cut one is truncated."""
    body = b"\n " + json.dumps(OPENAI.whole).encode()
    decoder = Letters()
    for start in range(0, len(body), pieces):
        assert decoder.feed(body[start : start + pieces]) == []
    (chunk,) = decoder.close()
    assert (chunk.content, chunk.tool_calls[0]["name"], chunk.chunk_position) == ("Hello", "weather", "last")
    assert (decoder.finished, decoder.done) == (True, True)
    failed = Letters()
    failed.feed(json.dumps(OPENAI.error).encode())
    with pytest.raises(errors.ModelNotFoundError):
        failed.close()
    cut = Letters()
    cut.feed(body[:-1])
    with pytest.raises(errors.TruncatedStreamError):
        cut.close()


def test_a_cut_call_in_plain_json() -> None:
    """A tool call whose arguments are no object is an error, not a chunk."""
    body = json.dumps(OPENAI.whole).replace('{\\"city\\":', "").encode()
    decoder = Letters()
    decoder.feed(body)
    with pytest.raises(errors.TruncatedToolCallError):
        decoder.close()


# -- the vendors ---------------------------------------------------------------------------------------


def outcome(sample: Sample, data: bytes, *cuts: int) -> dict[str, Any] | str:
    """Return the sum of a stream, or the error's class; any exception but a vendor's error is a failure."""
    decoder, chunks = sample.codec.stream_decoder(sample.call(stream=True), {}), []
    try:
        for start, stop in zip((0, *cuts), (*cuts, len(data)), strict=True):
            chunks += decoder.feed(data[start:stop])
        chunks += decoder.close()
    except errors.VendorError as error:
        assert not decoder.finished
        return type(error).__name__
    assert decoder.finished
    assert [bool(chunk.chunk_position) for chunk in chunks] == [*[False] * (len(chunks) - 1), True]
    total = summed(chunks)
    assert isinstance(total.content_blocks, list)  # what LangChain's translators make of it
    return total.model_dump(exclude={"id"})


def framed(sample: Sample, events: list[Any]) -> bytes:
    """Return events as the vendor frames them."""
    return b"".join(map(sample.frame, events))


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_events_of_another_shape(sample: Sample) -> None:
    """Whatever stands where something else is expected: an answer, or an error of the vendor."""
    assert isinstance(outcome(sample, framed(sample, sample.events)), dict)
    for place, event in enumerate(sample.events):
        for odd in variants(event):
            events = [*sample.events[:place], odd, *sample.events[place + 1 :]]
            outcome(sample, framed(sample, events))


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_events_that_come_again_in_another_shape(sample: Sample) -> None:
    """Pieces of two shapes, which LangChain cannot add, are an answer or an error of the vendor all the same."""
    for place, event in enumerate(sample.events[:-1]):
        for odd in islice(variants(event), place % 3, None, 3):  # each shape at some place
            events = [*sample.events[: place + 1], odd, *sample.events[place + 1 :]]
            outcome(sample, framed(sample, events))


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_odd_values_in_place_of_events(sample: Sample) -> None:
    """Values that are no event at all are an answer without them, or an error of the vendor."""
    prefix = b"" if sample.vendor == "ollama" else b"data: "
    suffix = b"\n" if sample.vendor == "ollama" else b"\n\n"
    for odd in ODD:
        data = prefix + json.dumps(odd).encode() + suffix
        outcome(sample, data)
        outcome(sample, framed(sample, sample.events[:1]) + data + framed(sample, sample.events[1:]))


@given(data=st.data())
def test_cuts_change_nothing(data: st.DataObject) -> None:
    """A good or an odd stream means the same, however the network cuts its bytes."""
    sample = data.draw(st.sampled_from([*SAMPLES.values()]))
    events = [*sample.events]
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(events) - 1))
        events[place] = data.draw(st.sampled_from([*variants(events[place])]))
    stream = framed(sample, events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    assert outcome(sample, stream, *cuts) == outcome(sample, stream)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_a_character_in_two_deltas(sample: Sample) -> None:
    """An emoji whose halves are in two events is one in the answer, wherever the bytes are cut."""
    place = next(at for at, event in enumerate(sample.events) if "Hello" in json.dumps(event))
    texts = "Hello \ud83d", "\ude00\ud83d", "\ude00!"
    deltas = [
        json.loads(json.dumps(sample.events[place]).replace('"Hello"', json.dumps(text))) for text in texts
    ]
    stream = framed(sample, [*sample.events[:place], *deltas, *sample.events[place + 1 :]])
    for cut in range(0, len(stream), 7):
        assert "Hello \N{GRINNING FACE}\N{GRINNING FACE}!" in repr(outcome(sample, stream, cut))


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_half_a_character(sample: Sample) -> None:
    """A half without the other one is replaced, in events and in whole answers."""
    events, whole = json.dumps(sample.events), json.dumps(sample.whole)
    stream = framed(sample, json.loads(events.replace('"Hello"', '"Hello \\ud83d"')))
    assert "Hello \ufffd" in repr(outcome(sample, stream))
    message = sample.codec.decode_response(
        sample.call(), whole.replace("Hello", "Hello \\ude00").encode(), {}
    )
    assert "Hello \ufffd" in message.text


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize(
    "endless", [b"x" * 99, b"data: word\n" * 9, b"{" * 99], ids=["a line", "lines", "a body"]
)
def test_an_event_that_is_too_long(sample: Sample, endless: bytes) -> None:
    """It is the vendor's error, which names the limit and is not retried on the same deployment."""
    if sample.vendor == "ollama":
        endless = endless.replace(b"\n", b"")  # each line is a frame
    call = replace(sample.call(stream=True), max_response_bytes=10_000)
    decoder, good = sample.codec.stream_decoder(call, {}), framed(sample, sample.events[:1])
    if endless[:1] != b"{":
        decoder.feed(good)
    with pytest.raises(errors.ResponseTooLargeError, match="max_response_bytes=10000") as raised:
        for _ in range(2_000):
            decoder.feed(endless)
    assert (raised.value.is_retryable, raised.value.falls_back) == (False, True)
    with pytest.raises(errors.ResponseTooLargeError):
        decoder.close()
    assert not decoder.finished


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_many_events_are_no_long_one(sample: Sample) -> None:
    """Only what is kept counts."""
    place = next(at for at, event in enumerate(sample.events) if "Hello" in json.dumps(event))
    call = replace(sample.call(stream=True), max_response_bytes=10_000)
    decoder = sample.codec.stream_decoder(call, {})
    decoder.feed(framed(sample, sample.events[: place + 1]))
    for _ in range(500):
        assert decoder.feed(framed(sample, [sample.events[place]]))


@each("coding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_plain_json_in_other_codings(coding: str) -> None:
    """A body in place of events is read like a whole answer."""
    decoder, body = Letters(), json.dumps(OPENAI.whole).encode(coding)
    for start in range(0, len(body), 7):
        assert decoder.feed(body[start : start + 7]) == []
    assert [chunk.content for chunk in decoder.close()] == ["Hello"]


# -- frames without JSON -------------------------------------------------------------------------------

SILENT = [
    b": ping\n\n",
    b"data: \n\n",
    b"data\n\n",
    b"data:  \n\n",
    b"event: ping\ndata:\n\n",
    b"event: ping\n\n",
    b"event: ping\ndata: {}\n\n",
    b"data: null\n\n",
    b"data: []\n\n",
    b'data: ""\n\n',
    b"data: ping\n\n",
    b"data: keep-alive\n\n",
    b"event: heartbeat\ndata: still working ...\n\n",
]
DONE = [b"data: [DONE]\n\n", b"data:[DONE] \n\n", b'data: "[DONE]"\n\n', b"data: DONE\n\n"]
LINES = [b"\n", b"  \n", b"null\n", b"ping\n", b"[]\n", b"[DONE]\n"]


def silent(name: str) -> list[bytes]:
    """Return frames that mean nothing to a vendor before the end of its answer."""
    if name == "ollama":
        return LINES
    return SILENT if name == "openai" else [*SILENT, *DONE]  # there [DONE] is an end


@pytest.mark.parametrize(("name", "sample"), SAMPLES.items(), ids=SAMPLES)
def test_frames_without_json_are_passed_over(name: str, sample: Sample) -> None:
    """Before, between and after the events: the answer is the same."""
    frames = [sample.frame(event) for event in sample.events]
    expected = outcome(sample, b"".join(frames))
    assert isinstance(expected, dict)
    for frame in silent(name):
        assert outcome(sample, frame + frame.join(frames) + frame) == expected, frame


@pytest.mark.parametrize(("name", "sample"), SAMPLES.items(), ids=SAMPLES)
def test_no_frame_without_json_is_an_end(name: str, sample: Sample) -> None:
    """Without the vendor's own end marker the stream is truncated, whatever marker of another dialect there is."""
    events = [event for event in sample.events[:-1] if event.get("type") != "message_stop"]
    data = framed(sample, events if name != "google" else sample.events[:-1])
    for frame in [*silent(name), *([] if name == "ollama" else DONE)]:
        assert outcome(sample, data + frame) == "TruncatedStreamError", frame


@each("frame", [*DONE, *SILENT, b"data: {oops\n\n", b"data: 7\n\n", b"data: [1]\n\n"])
def test_after_a_finish_reason_what_cannot_be_read_is_bookkeeping(frame: bytes) -> None:
    """It costs the usage at most."""
    expected = outcome(OPENAI, framed(OPENAI, OPENAI.events))
    assert outcome(OPENAI, framed(OPENAI, OPENAI.events) + frame) == expected


@pytest.mark.parametrize(("name", "sample"), SAMPLES.items(), ids=SAMPLES)
def test_errors_in_words(name: str, sample: Sample) -> None:
    """An event named `error` is one, though it holds no JSON."""
    if name == "ollama":
        pytest.skip("lines have no names")
    decoder = sample.codec.stream_decoder(sample.call(stream=True), {})
    decoder.feed(sample.frame(sample.events[0]))
    with pytest.raises(errors.ServerError, match="upstream connect error"):
        decoder.feed(b"event: error\ndata: upstream connect error\n\n")
    wordless = sample.codec.stream_decoder(sample.call(stream=True), {})
    with pytest.raises(errors.ServerError):
        wordless.feed(b"event: error\ndata:\n\n")


def test_frames_are_counted() -> None:
    """Comments are none: they keep the connection alive and tell nothing of the answer."""
    decoder = Letters()
    decoder.feed(b": ping\n\n" + text("a") + b"data: ping\n\n" + text("b")[:-1])
    assert decoder.frames == 2


def test_json_with_a_word_before_it_is_no_word() -> None:
    """Half of an answer is not passed over."""
    for data in (b'data: ok {"type": "text"}\n\n', b'data: "Hello"\n\n', b"data: Hello, world.\n\n"):
        with pytest.raises(errors.MalformedResponseError):
            Letters().feed(data)
