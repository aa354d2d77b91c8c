"""Chat completions: from a stream to chunks, at any cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessageChunk,
)

from langchain_llmdispatch import errors
from tests.cases import each
from tests.models import summed
from tests.vendors.chunks import fed
from tests.vendors.openai.calls import VENDOR, call, decoded, reply


def event(delta: dict[str, Any] | None, finish: str | None = None, **fields: Any) -> bytes:
    """Return one event of a stream."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
    chunk = {**head, "model": "gpt-4.1-2025-04-14", "choices": choices, **fields}
    return f"data: {json.dumps(chunk)}\n\n".encode()


DONE = b"data: [DONE]\n\n"
USAGE = event(None, usage={"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8})


def streamed(*pieces: bytes, vendor: Any = VENDOR, **fields: Any) -> list[AIMessageChunk]:
    """Return the chunks of a stream that arrives in `pieces`."""
    decoder = vendor.stream_decoder(call(stream=True, **fields), {})
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    return chunks + decoder.close()


def tool_delta(index: int | None, args: str, name: str | None = None, identity: Any = None) -> dict[str, Any]:
    """Return a delta with a piece of a tool call, without the fields that are None."""
    function = {"arguments": args, **({"name": name} if name else {})}
    piece = {"index": index, "id": identity, "type": "function", "function": function}
    return {"tool_calls": [{k: v for k, v in piece.items() if v is not None}]}


def test_stream_of_text() -> None:
    """Facts are in the last chunk and nowhere else; nothing empty is handed out."""
    chunks = streamed(
        event({"role": "assistant", "content": "", "refusal": None}, usage=None),
        event({"content": "Hel"}),
        event({"content": "lo"}),
        event({}, "stop"),
        USAGE,
        DONE,
    )
    assert [chunk.content for chunk in chunks] == ["Hel", "lo", ""]
    assert [chunk.response_metadata for chunk in chunks[:2]] == [{"model_provider": "openai"}] * 2
    assert chunks[2].chunk_position == "last"
    total = summed(chunks)
    whole = decoded({"content": "Hello"})
    assert total.usage_metadata == whole.usage_metadata
    assert total.response_metadata == whole.response_metadata
    assert total.content_blocks == [{"type": "text", "text": "Hello"}]


def test_stream_of_tool_calls() -> None:
    """Pieces of parallel calls find together; the sum is what the whole answer would have been."""
    total = summed(
        streamed(
            event({"role": "assistant", "content": None, **tool_delta(0, "", "f", "a")}),
            event(tool_delta(0, '{"x":')),
            event(tool_delta(0, "1}")),
            event(tool_delta(1, "", "g", "b")),
            event({}, "tool_calls"),
            USAGE,
            DONE,
        )
    )
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]
    whole = decoded({"content": None, "tool_calls": calls}, "tool_calls")
    assert total.tool_calls == whole.tool_calls
    assert total.invalid_tool_calls == []
    assert total.response_metadata == whole.response_metadata
    assert total.content_blocks == whole.content_blocks


def test_refusal_in_pieces() -> None:
    """A streamed refusal adds up to the refusal."""
    total = summed(streamed(event({"refusal": "No"}), event({"refusal": "."}), event({}, "stop"), DONE))
    assert total.additional_kwargs == {"refusal": "No."}


def test_logprobs_come_once() -> None:
    """Log probabilities of all pieces are in the last chunk, as a whole answer has them."""

    def piece(text: str) -> bytes:
        raw = event({"content": text}).replace(b'"finish_reason"', b'"logprobs": LP, "finish_reason"')
        entry = {"content": [{"token": text, "logprob": -0.1}], "refusal": None}
        return raw.replace(b"LP", json.dumps(entry).encode())

    chunks = streamed(piece("a"), piece("b"), event({}, "stop"), DONE)
    raw = summed(chunks).response_metadata["logprobs"]
    assert raw == {"content": [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -0.1}]}


def test_finish_reason_ends_the_answer() -> None:
    """Usage and `[DONE]` may stay away after it; then usage is unknown."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    decoder.feed(event({"content": "x"}))
    assert not decoder.finished
    decoder.feed(event({}, "stop"))
    assert decoder.finished
    assert not decoder.done
    (last,) = decoder.close()
    assert last.usage_metadata is None
    assert last.response_metadata["normalized_finish_reason"] == "stop"
    assert decoder.done


def test_a_stamped_finish_reason_ends_nothing() -> None:
    """Where each chunk with content has one, the answer is whole at the end of input or at bookkeeping."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    seen = []
    deltas = [({"content": "x"}, "stop"), ({}, "stop"), ({"content": "y"}, None), ({}, "stop")]
    for delta, finish in deltas:
        chunks = decoder.feed(event(delta, finish))
        seen.append(([chunk.content for chunk in chunks], decoder.finished))
    assert seen == [(["x"], False), ([], False), (["y"], False), ([], False)]
    assert decoder.feed(USAGE) == []
    assert decoder.finished
    assert [chunk.content for chunk in decoder.close()] == [""]


@pytest.mark.parametrize("rest", [event({"content": "y"})[:-9], b'data: {"cho'])
def test_a_cut_chunk_after_a_stamped_finish_reason_is_truncated(rest: bytes) -> None:
    """It may hold the rest of the answer."""
    with pytest.raises(errors.TruncatedStreamError):
        streamed(event({"content": "x"}, "stop") + rest)


def test_stop_takes_back_no_other_reason() -> None:
    """An answer that was cut stays cut, whatever later chunks are stamped with."""
    chunks = streamed(event({"content": "x"}), event({}, "length"), event({}, "stop"), DONE)
    assert chunks[-1].response_metadata["normalized_finish_reason"] == "length"


def test_null_as_text_is_no_finish_reason() -> None:
    """Some servers send it on each chunk (DashScope)."""
    with pytest.raises(errors.TruncatedStreamError):
        streamed(event({"content": "x"}, "null"), DONE)


def test_done_ends_the_stream() -> None:
    """Nothing is read after `[DONE]`, and it comes with the last chunk."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    chunks = decoder.feed(event({"content": "x"}, "stop") + USAGE + DONE + event({"content": "y"}))
    assert decoder.done
    assert [chunk.content for chunk in chunks] == ["x", ""]
    assert decoder.close() == []


@each(
    "pieces",
    [
        [],
        [event({"content": "x"})],
        [event({"content": "x"}), DONE],
        [event({"content": "x"}), event({}, "stop")[:-9]],
        [b": keep-alive\n\n"],
    ],
)
def test_truncated_stream(pieces: list[bytes]) -> None:
    """Without a finish reason there is no whole answer."""
    with pytest.raises(errors.TruncatedStreamError):
        streamed(*pieces)


def test_cut_after_the_finish_reason_is_bookkeeping() -> None:
    """A broken usage event after the finish reason costs the usage, not the answer."""
    total = summed(streamed(event({"content": "x"}), event({}, "stop"), USAGE[:-9]))
    assert (total.content, total.usage_metadata) == ("x", None)


@each("args", ['{"x":', "[1]", '"x"', "nul"])
def test_cut_tool_call_is_no_call(args: str) -> None:
    """Arguments that are no JSON object never become a valid call."""
    with pytest.raises(errors.TruncatedToolCallError):
        streamed(event(tool_delta(0, args, "f", "a")), event({}, "length"), DONE)


def test_error_in_the_stream() -> None:
    """What came before an error is handed out first, however the network cut it."""
    error = b'data: {"error":{"message":"boom","type":"server_error","code":null}}\n\n'
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    (chunk,) = decoder.feed(event({"content": "x"}) + error)
    assert chunk.content == "x"
    assert not decoder.finished
    for _ in range(2):
        with pytest.raises(errors.ServerError, match="boom"):
            decoder.close()


@pytest.mark.parametrize("data", [b"data: {oops}\n\n", b"data: 7\n\n"])
def test_nonsense_in_the_stream(data: bytes) -> None:
    """An event that is no JSON object is malformed."""
    with pytest.raises(errors.MalformedResponseError):
        streamed(event({"content": "x"}), data)


def test_n_above_one() -> None:
    """Only the first of several answers is the answer."""
    other = event({"content": "other"}).replace(b'"index": 0', b'"index": 1')
    total = summed(streamed(event({"content": "x"}), other, event({}, "stop"), DONE))
    assert total.content == "x"


def test_plain_json_in_place_of_a_stream() -> None:
    """A server that does not stream still answers, or reports what is wrong."""
    raw = [{"id": "a", "function": {"name": "f", "arguments": '{"x":1}'}}]
    answer = reply({"message": {"content": "Hi", "tool_calls": raw}, "finish_reason": "tool_calls"})
    (chunk,) = streamed(answer[:20], answer[20:])
    assert chunk.chunk_position == "last"
    assert (chunk.content, chunk.tool_calls[0]["args"]) == ("Hi", {"x": 1})
    assert chunk.usage_metadata is not None
    with pytest.raises(errors.QuotaExceededError):
        streamed(b'{"error":{"message":"pay","code":"insufficient_quota"}}')
    with pytest.raises(errors.TruncatedStreamError):
        streamed(answer[:20])


STREAM = b"".join(
    [
        event({"role": "assistant", "content": ""}),
        event({"content": "Grüße 👋"}),
        event(tool_delta(0, '{"städt', "f", "a")),
        event(tool_delta(0, 'e":["Köln"]}')),
        event({}, "tool_calls"),
        USAGE,
        DONE,
    ]
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_pieces_decide_nothing(cuts: list[int]) -> None:
    """However the network cuts the bytes, the answer is the same."""
    total = summed(fed(VENDOR.stream_decoder(call(stream=True), {}), STREAM, *sorted(cuts)))
    whole = summed(streamed(STREAM))
    assert total.model_dump(exclude={"id"}) == whole.model_dump(exclude={"id"})


IMAGES = [
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}, "index": 0} for data in "ab"
]
NOTES = [{"type": "url_citation", "index": 0, "url_citation": {"url": f"https://{host}"}} for host in "ab"]
SPEECH = [{"id": "au", "data": "aG", "transcript": "Hel"}, {"id": "au", "data": "k=", "transcript": "lo"}]


@each(
    ("name", "pieces", "expected"),
    [
        ("images", [[image] for image in IMAGES], IMAGES),
        ("annotations", [[note] for note in NOTES], NOTES),
        ("audio", [*SPEECH, {"expires_at": 1}, {"expires_at": 2}],
         {"id": "au", "data": "aGk=", "transcript": "Hello", "expires_at": 2}),
        ("audio", [{"id": "au", "score": 0.5}, {"score": 0.7}], {"id": "au", "score": 0.7}),
    ],
)  # fmt: skip
def test_what_comes_beside_the_content(name: str, pieces: list[Any], expected: Any) -> None:
    """Elements with one index stay apart, numbers are not added, and a whole answer is the same."""
    message = summed(streamed(*[event({name: piece}) for piece in pieces], event({}, "stop"), DONE))
    assert message.additional_kwargs == {name: expected}
    assert decoded({"content": "", name: expected}).additional_kwargs == {name: expected}


def test_a_message_in_place_of_a_delta() -> None:
    """Servers that answer a stream by one event with a whole message."""
    whole = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    assert summed(streamed(event(None, choices=[whole]), DONE)).content == "Hello"
