"""Google: from a stream to chunks, at any cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
)

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.history.answer_blocks import SIGNATURES
from tests.cases import each
from tests.models import summed
from tests.vendors.google.calls import NEW, OLD, VENDOR, call, decode, sse, stream


def events_of(parts: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the events of a stream; usage is cumulative, the reason is in the last."""
    events: list[dict[str, Any]] = []
    for n, some in enumerate(parts):
        usage = {"promptTokenCount": 5, "candidatesTokenCount": n, "totalTokenCount": 5 + n}
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": some}, "index": 0}
        if n == len(parts) - 1:
            candidate["finishReason"] = "STOP"
        events.append(
            {"candidates": [candidate], "usageMetadata": usage, "modelVersion": OLD, "responseId": "r1"}
        )
    return events


SIGNED = [
    [{"text": "hm ", "thought": True}],
    [{"text": "hm", "thought": True}],
    [{"text": "Hel"}, {"text": "lo"}],
    [{"text": " wörld"}],
    [{"text": "", "thoughtSignature": "S1"}],
    [{"functionCall": {"name": "f", "args": {"ä": [1, {"b": None}]}}, "thoughtSignature": "S2"}],
    [{"functionCall": {"name": "g", "id": "n"}}],
]
PLAIN = [[{"text": "Hel"}], [{"text": "lo"}], [{"text": "."}]]


def merged(parts: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return all parts of a stream as one body would have them."""
    return [part for some in parts for part in some]


def comparable(message: AIMessage) -> dict[str, Any]:
    """Return a message's content, without what only serves to merge chunks."""
    content = message.content
    if not isinstance(content, str):
        content = [{k: v for k, v in block.items() if k != "index"} for block in content]
    return {
        "content": content,
        "tool_calls": message.tool_calls,
        "additional_kwargs": message.additional_kwargs,
        "usage": message.usage_metadata,
        "metadata": message.response_metadata,
    }


@each("parts", [SIGNED, PLAIN])
@each("model", [OLD, NEW])
def test_stream_sums_to_the_answer(parts: list[list[dict[str, Any]]], model: str) -> None:
    """The sum of all chunks equals the decoded body of the same answer, and its blocks are right."""
    events = events_of(parts)
    body = {
        **events[-1],
        "candidates": [{**events[-1]["candidates"][0], "content": {"parts": merged(parts)}}],
    }
    total = summed(stream(sse(events), model=model))
    whole = decode(body, model=model)
    assert comparable(total) == comparable(whole)
    assert [block["type"] for block in total.content_blocks] == [b["type"] for b in whole.content_blocks]
    if parts is PLAIN:
        assert [block["type"] for block in total.content_blocks] == ["text"]


@pytest.mark.parametrize("model", [OLD, NEW])
def test_each_fact_in_one_chunk(model: str) -> None:
    """Only the last chunk has usage, reason, model and id; only its provider is on the others."""
    chunks = stream(sse(events_of(SIGNED)), model=model)
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    for chunk in chunks[:-1]:
        assert chunk.response_metadata == {"model_provider": "google_genai"}
        assert chunk.usage_metadata is None
    assert chunks[-1].usage_metadata == {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11}


def test_v1_blocks_of_chunks_merge() -> None:
    """Under output version v1 each chunk is translated alone, and the sum has one text block."""
    chunks = stream(sse(events_of([*PLAIN, [{"text": "", "thoughtSignature": "S"}]])), model=NEW)
    for chunk in chunks:
        chunk.content = chunk.content_blocks
        chunk.response_metadata["output_version"] = "v1"
    assert summed(chunks).content == [
        {"type": "text", "text": "Hello.", "extras": {"signature": "S"}, "index": 0}
    ]


@given(st.lists(st.integers(min_value=0, max_value=60)))
def test_any_split_gives_the_same(sizes: list[int]) -> None:
    """Where the bytes are cut into pieces changes nothing."""
    data = sse(events_of(SIGNED))
    assert stream(data, sizes or None, model=NEW) == stream(data, model=NEW)


@given(st.integers(min_value=0, max_value=len(sse(events_of(PLAIN))) - 1))
def test_cut_streams_raise(cut: int) -> None:
    """A stream cut before its last event is never an answer."""
    data = sse(events_of(PLAIN))
    if data[cut:].strip():
        with pytest.raises(errors.TruncatedStreamError):
            stream(data[:cut])
    else:
        assert stream(data[:cut])[-1].chunk_position == "last"


def test_finished_is_the_last_event_only() -> None:
    """Old servers put a reason on each event: the answer goes on until the end of input."""
    events = events_of(PLAIN)
    for event in events:
        event["candidates"][0]["finishReason"] = "STOP"
    events.append({"candidates": [{"finishReason": "RECITATION", "index": 0}]})
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    chunks = decoder.feed(sse(events))
    assert not decoder.finished
    chunks += decoder.close()
    assert (decoder.finished, decoder.done) == (True, True)
    assert summed(chunks).content == "Hello."
    assert chunks[-1].response_metadata["normalized_finish_reason"] == "content_filter"


def test_streamed_arguments() -> None:
    """Arguments by JSON path are put together; a call that is not closed is an error."""
    deep = {"jsonPath": "$.a.b[1]['c d']"}
    events = events_of(
        [
            [{"functionCall": {"name": "f", "willContinue": True}, "thoughtSignature": "S"}],
            [{"functionCall": {"partialArgs": [{**deep, "stringValue": "x"}], "willContinue": True}}],
            [{"functionCall": {"partialArgs": [{**deep, "stringValue": "y"}], "willContinue": True}}],
            [
                {
                    "functionCall": {
                        "partialArgs": [
                            {"jsonPath": "$.n", "numberValue": 2},
                            {"jsonPath": "$.t", "boolValue": True},
                            {"jsonPath": "$.z", "nullValue": "NULL_VALUE"},
                        ],
                        "willContinue": True,
                    }
                }
            ],
            [{"functionCall": {}}],
        ]
    )  # fmt: skip
    total = summed(stream(sse(events)))
    assert [(c["name"], c["args"]) for c in total.tool_calls] == [
        ("f", {"a": {"b": [None, {"c d": "xy"}]}, "n": 2, "t": True, "z": None})
    ]
    assert total.additional_kwargs == {SIGNATURES: {"r1_call_0": "S"}}
    events[-1]["candidates"][0]["content"]["parts"] = []
    with pytest.raises(errors.TruncatedToolCallError):
        stream(sse(events))


def test_error_in_a_stream_after_content() -> None:
    """An error event is raised by its code, after the content that came with it was delivered."""
    failing = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow"}}
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    assert [chunk.content for chunk in decoder.feed(sse([events_of(PLAIN)[0], failing]))] == ["Hel"]
    for step in (lambda: decoder.feed(b""), decoder.close):
        with pytest.raises(errors.RateLimitError) as caught:
            step()
        assert caught.value.status_code is None


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: [error]])
def test_plain_json_error_instead_of_a_stream(wrap: Any) -> None:
    """Errors come as plain JSON under `text/event-stream`, also wrapped in a list."""
    body = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}
    with pytest.raises(errors.OverloadedError):
        stream(json.dumps(wrap(body), indent=1).encode())


def test_stream_as_a_json_array() -> None:
    """Without `alt=sse` the stream is one array: understood too, at its end."""
    data = json.dumps(events_of(PLAIN), indent=1).encode()
    assert summed(stream(b"\n" + data, [1, 2, 3])).content == "Hello."
    with pytest.raises(errors.TruncatedStreamError):
        stream(data[:-5])


@each(
    "data",
    [b"data: {nope}\n\n", b"data: 5\n\n", b'data: {"candidates": ["x"]}\n\n', b'data: {"candidates": 5}\n\n'],
)
def test_events_that_make_no_sense(data: bytes) -> None:
    """Such events are errors, not silence."""
    with pytest.raises(errors.MalformedResponseError):
        stream(data)


def test_keepalives_are_nothing() -> None:
    """Comments, blank lines and events without content give no chunk."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    assert decoder.feed(b": ping\n\n\r\n" + sse([{"candidates": []}, {"usageMetadata": {}}])) == []
    assert not decoder.finished
    with pytest.raises(errors.TruncatedStreamError):
        decoder.close()


def test_a_streamed_call_in_one_event() -> None:
    """LangChain joins the pieces of different chunks only, so a chunk has one for each call."""
    begun = {"functionCall": {"name": "f", "id": "a", "willContinue": True}}
    piece = {"functionCall": {"partialArgs": [{"jsonPath": "$.x", "numberValue": 1}], "willContinue": True}}
    parts = [begun, piece, {"functionCall": {}}]
    event = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP", "index": 0}]}
    message = summed(stream(sse([event])))
    assert [(call["name"], call["args"], call["id"]) for call in message.tool_calls] == [("f", {"x": 1}, "a")]
