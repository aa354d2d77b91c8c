"""Anthropic: from a stream to chunks, at any cut."""

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
from langchain_llmdispatch.types import ToolSpec
from tests.cases import each
from tests.models import summed
from tests.vendors.anthropic.calls import (
    NATIVE,
    VENDOR,
    WEATHER,
    answer,
    call,
    chunks,
    decode,
    events,
    streamed,
    wire,
)


def _comparable(content: Any) -> Any:
    """Return content without what only a stream has: indices, and inputs as the text that came."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    made = []
    for block in content:
        plain = {k: v for k, v in block.items() if k not in {"index", "partial_json"}}
        if block.get("partial_json"):
            plain["input"] = json.loads(block["partial_json"])
        made.append(plain)
    return made


@each("tools", [(), (WEATHER,)])
@each(
    "blocks",
    [[NATIVE[2]], NATIVE, [NATIVE[0], NATIVE[2]], [NATIVE[-1]], [NATIVE[2], NATIVE[2]], [NATIVE[10]], []],
)
def test_the_sum_of_a_stream_is_the_answer(blocks: list[dict[str, Any]], tools: tuple[ToolSpec, ...]) -> None:
    """Content, blocks, calls, usage and metadata are those of the whole answer."""
    raw, sent = answer(blocks), call(tools=tools)
    whole, summed = decode(raw, sent), streamed(raw, sent)
    if tools or not blocks or blocks[0]["type"] != "text" or len(blocks) == 1:
        assert _comparable(summed.content) == _comparable(whole.content)
        assert [_without_index(b) for b in summed.content_blocks] == [
            _without_index(b) for b in whole.content_blocks
        ]
    assert str(summed.text) == str(whole.text)
    assert summed.tool_calls == whole.tool_calls
    assert summed.usage_metadata == whole.usage_metadata
    assert summed.response_metadata == whole.response_metadata


def _without_index(block: Any) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != "index"}


@pytest.mark.parametrize("tools", [(), (WEATHER,)])
def test_every_scalar_comes_once(tools: tuple[ToolSpec, ...]) -> None:
    """Only the last chunk has usage and metadata; no chunk is empty; text comes as it came."""
    made = chunks(wire(*events(answer([{"type": "text", "text": "Hello"}]))), call(tools=tools))
    assert [str(chunk.text) for chunk in made] == ["H", "e", "l", "l", "o", ""]
    for chunk in made[:-1]:
        assert chunk.response_metadata == {"model_provider": "anthropic"}
        assert chunk.usage_metadata is None
        assert chunk.chunk_position is None
    assert made[-1].chunk_position == "last"
    assert isinstance(summed(made).content, list if tools else str)


def test_chunks_share_nothing() -> None:
    """Changing one chunk changes no other."""
    first, second, *_ = chunks(wire(*events(answer([{"type": "text", "text": "ab"}]))))
    first.response_metadata["x"] = 1
    first.additional_kwargs["x"] = 1
    first.tool_calls.append({"name": "f", "args": {}, "id": "1"})
    assert second == AIMessageChunk("b", response_metadata={"model_provider": "anthropic"})


def test_parallel_calls_stream_apart() -> None:
    """Each call has its index; id and name come once; a call without arguments is a call with none."""
    blocks = [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": [1, 2]}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {}},
    ]
    made = chunks(wire(*events(answer(blocks, "tool_use"))), call(tools=[WEATHER]))
    pieces = [piece for chunk in made for piece in chunk.tool_call_chunks]
    assert [piece["id"] for piece in pieces if piece["id"]] == ["a", "b"]
    assert {piece["index"] for piece in pieces} == {0, 1}
    assert [(each["name"], each["args"]) for each in summed(made).tool_calls] == [
        ("f", {"x": [1, 2]}),
        ("g", {}),
    ]


def test_input_given_at_once() -> None:
    """Some servers put the whole input into the block's start."""
    made = events(answer([{"type": "tool_use", "id": "a", "name": "f", "input": {}}], "tool_use"))
    made[1]["content_block"]["input"] = {"x": 1}
    assert summed(chunks(wire(*made))).tool_calls[0]["args"] == {"x": 1}


def test_text_and_thought_in_a_block_start_are_kept() -> None:
    """Opening content may come before any delta."""
    made = events(
        answer([{"type": "thinking", "thinking": "b", "signature": "s"}, {"type": "text", "text": "d"}])
    )
    made[1]["content_block"]["thinking"] = "a"
    made[6]["content_block"]["text"] = "c"
    assert [block.get("thinking") or block.get("text") for block in summed(chunks(wire(*made))).content] == [
        "ab",
        "cd",
    ]


def test_unknown_events_blocks_and_deltas_do_no_harm() -> None:
    """What the vendor may add later is kept or skipped, never an error."""
    made = events(answer([{"type": "from_the_future", "x": 1}]))
    made.insert(2, {"type": "content_block_delta", "index": 0, "delta": {"type": "future_delta", "y": "z"}})
    made.insert(2, {"type": "future_event"})
    assert summed(chunks(wire(*made))).content == [{"type": "from_the_future", "x": 1, "index": 0, "y": "z"}]


@each(
    ("start", "deltas", "expected"),
    [
        ({}, [{"score": 0.5}, {"score": 0.7}], {"score": 0.7}),
        ({}, [{"a": {"b": 1}}, {"a": {"b": "x"}}], {"a": {"b": "x"}}),
        ({}, [{"y": "u"}, {"y": "v"}, {"y": [1]}], {"y": "uv"}),
        ({"y": {"z": 1}}, [{"y": "u"}], {"y": {"z": 1}}),
        ({}, [{"index": 7, "citations": "x"}], {}),
    ],
)
def test_unknown_deltas_can_be_added_up(
    start: dict[str, Any], deltas: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    """Fields whose pieces LangChain cannot add are given once, at the block's end or the answer's."""
    made = events(answer([{"type": "from_the_future", "x": 1, **start}]))
    made[2:2] = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "future", **delta}} for delta in deltas
    ]
    for sent in (made, [event for event in made if event["type"] != "content_block_stop"]):
        block = {"type": "from_the_future", "x": 1, "index": 0, **expected}
        assert summed(chunks(wire(*sent))).content == [block]


@each("tools", [(), (WEATHER,)])
def test_unknown_deltas_of_a_text(tools: tuple[ToolSpec, ...]) -> None:
    """They are fields of its block, if the answer has blocks; LangChain's translator can read it either way."""
    made = events(answer([{"type": "text", "text": "Hi"}]))
    made[3:3] = [{"type": "content_block_delta", "index": 0, "delta": {"type": "future", "score": 0.5}}] * 2
    for sent in (made, [event for event in made if event["type"] != "content_block_stop"]):
        message = summed(chunks(wire(*sent), call(tools=tools)))
        assert message.text == "Hi"
        assert [block["type"] for block in message.content_blocks] == ["text"]
        assert ("score" in repr(message.content)) == bool(tools)


def test_progress_of_thinking_is_no_part_of_it() -> None:
    """`estimated_tokens` (thinking-display-updates) would be added up, and is refused when it goes back."""
    made = events(answer([{"type": "thinking", "thinking": "ab", "signature": "s"}]))
    for number, event in enumerate(made):
        if event.get("delta", {}).get("type") == "thinking_delta":
            event["delta"]["estimated_tokens"] = 50 * number
    assert summed(chunks(wire(*made))).content == [
        {"type": "thinking", "thinking": "ab", "index": 0, "signature": "s"}
    ]


def test_usage_takes_the_last_values() -> None:
    """Counters are cumulative: later ones replace, absent and null ones keep."""
    made = events(answer([{"type": "text", "text": "a"}]))
    made[0]["message"]["usage"] = {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1}
    made[-2]["usage"] = {"input_tokens": 8, "cache_read_input_tokens": None, "output_tokens": 7}
    usage = summed(chunks(wire(*made))).usage_metadata
    assert usage is not None
    assert (usage["input_tokens"], usage["output_tokens"]) == (10, 7)


def test_refused_arguments() -> None:
    """Arguments that are cut or no object never become a valid call."""
    for text in ('{"x": ', "[1]", "null"):
        made = events(answer([{"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}], "tool_use"))
        made = [each for each in made if "delta" not in each or each["type"] == "message_delta"]
        delta = {"type": "input_json_delta", "partial_json": text}
        made.insert(2, {"type": "content_block_delta", "index": 0, "delta": delta})
        decoder = VENDOR.stream_decoder(call(tools=[WEATHER]), {})
        got = decoder.feed(wire(*made))
        assert all(chunk.chunk_position is None for chunk in got)
        with pytest.raises(errors.TruncatedToolCallError):
            decoder.close()


@each(
    ("data", "cls"),
    [
        (b"", errors.TruncatedStreamError),
        (b"event: message_stop\ndata: {", errors.TruncatedStreamError),
        (b"event: x\ndata: {\n\n", errors.MalformedResponseError),
        (b"event: x\ndata: [1]\n\n", errors.MalformedResponseError),
        (
            b'event: content_block_delta\ndata: {"type": "content_block_delta"}\n\n',
            errors.MalformedResponseError,
        ),
        (
            b'data: {"type": "error", "error": {"type": "overloaded_error", "message": "O"}}\n\n',
            errors.OverloadedError,
        ),
        (
            b'data: {"error":{"type":"invalid_request_error", "message": "prompt is too long"}}\n\n',
            errors.ContextOverflowError,
        ),
    ],
)
def test_broken_streams(data: bytes, cls: type[errors.DispatchError]) -> None:
    """Nothing, half an event, nonsense and errors in the stream each raise their own class."""
    with pytest.raises(cls) as caught:
        chunks(data)
    assert type(caught.value) is cls


def test_text_before_an_error_is_not_lost() -> None:
    """What came in the same bytes is delivered first, the error at the next call."""
    made = events(answer([{"type": "text", "text": "ab"}]))[:4]
    data = wire(*made, {"type": "error", "error": {"type": "api_error", "message": "Internal"}})
    decoder = VENDOR.stream_decoder(call(), {})
    assert [chunk.text for chunk in decoder.feed(data)] == ["a"]
    assert not decoder.done
    with pytest.raises(errors.ServerError):
        decoder.feed(b"")


STREAM = wire(*events(answer(NATIVE, "tool_use")))
WHOLE = summed(chunks(STREAM, call(tools=[WEATHER])))


@given(st.lists(st.integers(1, 300), max_size=60))
def test_any_split_means_the_same(sizes: list[int]) -> None:
    """Where the bytes are cut into pieces makes no difference."""
    assert summed(chunks(STREAM, call(tools=[WEATHER]), sizes=sizes)) == WHOLE


@given(st.integers(0, STREAM.rindex(b"message_stop") - 1))
def test_any_cut_is_noticed(end: int) -> None:
    """A stream that ends before its end marker raises, and no chunk is marked as the last."""
    decoder = VENDOR.stream_decoder(call(tools=[WEATHER]), {})
    got = decoder.feed(STREAM[:end])
    assert all(chunk.chunk_position is None for chunk in got)
    with pytest.raises(errors.TruncatedStreamError):
        decoder.close()
