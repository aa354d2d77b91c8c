"""What decoders of answers share: tool calls, texts, whole answers as chunks."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.answer import (
    ToolCalls,
    arguments,
    blocks_chunk,
    checked_blocks,
    json_object,
    made_id,
    text_chunk,
    whole_chunk,
)
from langchain_llmdispatch.vendors.answer_checks import check_answer
from langchain_llmdispatch.vendors.errors import ErrorContext
from tests.cases import each
from tests.models import summed
from tests.vendors.samples import OPENAI, SAMPLES, Sample


@each("body", [b"", b"<html>", b"[]", b"7", b"null"])
def test_no_object(body: bytes) -> None:
    """Anything but a JSON object is malformed."""
    with pytest.raises(errors.MalformedResponseError, match="is not JSON|no JSON object"):
        json_object(body, ErrorContext(OPENAI.codec, OPENAI.call(), {}))


@each(
    ("text", "args"),
    [("", {}), (" ", {}), ("null", {}), ("{}", {}), ('{"a": 1}', {"a": 1}), ("[1]", None), ('{"a"', None)],
)
def test_arguments(text: str, args: dict[str, Any] | None) -> None:
    """Nothing and `null` mean no arguments; what is no object is none."""
    assert arguments(text) == args


def test_tool_calls_by_validity() -> None:
    """Names are the caller's; a call without a name or an object is invalid, with the reason."""
    calls = ToolCalls({"vendor_name": "weather"})
    assert not calls
    assert calls.add("vendor_name", {"a": 1}, "c1")
    assert not calls.add("other", '{"a', "c2")
    assert not calls.add(None, {}, "c3")
    assert not calls.add("list", [1], "c4", "cut")
    assert calls
    assert [(call["name"], call["args"], call["id"]) for call in calls.valid] == [("weather", {"a": 1}, "c1")]
    assert [(call["name"], call["args"], call["error"]) for call in calls.invalid] == [
        ("other", '{"a', "the arguments are no JSON object"),
        (None, "{}", "the call has no name"),
        ("list", "[1]", "cut"),
    ]


def test_ids_are_made_from_the_answer() -> None:
    """The same answer gives the same id, another answer another one."""
    assert made_id("a1", 0) == "a1_call_0"
    assert made_id(None, 1) == "call_1"


def test_chunks_with_content_share_nothing() -> None:
    """Each has its own metadata and lists, and equals a chunk that was validated."""
    one, other = text_chunk("a", "openai"), blocks_chunk([{"type": "text", "text": "b"}], "openai")
    one.tool_calls.append({"name": "x", "args": {}, "id": "1"})
    one.response_metadata["x"] = 1
    assert other.tool_calls == []
    assert other.response_metadata == {"model_provider": "openai"}
    assert other.model_dump() == type(other)(**other.model_dump(exclude={"type"})).model_dump()


@each("odd", [None, 7, ["x"], {"x": 1}])
def test_only_text_is_text(odd: Any) -> None:
    """LangChain does not check what is within blocks; null stands for absence there."""
    with pytest.raises(TypeError):
        text_chunk(odd, "openai")
    with pytest.raises((TypeError, AttributeError)):
        blocks_chunk([odd] if odd != {"x": 1} else [{"type": "text", "text": odd}], "openai")
    assert checked_blocks([{"type": "text", "text": None}]) == [{"type": "text", "text": None}]


def test_a_whole_answer_as_one_chunk() -> None:
    """It is the last chunk and holds all that the message holds, invalid calls included."""
    message = AIMessage(
        "Hi",
        tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c1"}],
        invalid_tool_calls=[{"name": "g", "args": "[1]", "id": "c2", "error": "no object"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        response_metadata={"finish_reason": "stop"},
        additional_kwargs={"reasoning_content": "hm"},
    )
    chunk = whole_chunk(message)
    assert chunk.chunk_position == "last"
    assert [(call["name"], call["args"]) for call in chunk.tool_calls] == [("f", {"a": 1})]
    assert [(call["name"], call["args"]) for call in chunk.invalid_tool_calls] == [("g", "[1]")]
    assert [call["index"] for call in chunk.tool_call_chunks] == [0, 1]
    for name in ("content", "usage_metadata", "response_metadata", "additional_kwargs"):
        assert getattr(chunk, name) == getattr(message, name)


# -- the vendors ---------------------------------------------------------------------------------------


def whole_and_streamed(sample: Sample, text: str) -> list[AIMessage]:
    """Return the answer of a vendor with `text` as the arguments of its call, whole and as the sum of a stream."""
    body, stream = sample.with_arguments(text)
    decoder = sample.codec.stream_decoder(sample.call(stream=True), {})
    chunks = [*decoder.feed(stream), *decoder.close()]
    return [sample.codec.decode_response(sample.call(), body, {}), summed(chunks)]


@pytest.mark.parametrize(
    ("text", "args"),
    [
        (f'{{"id": {10**24 + 1}, "more": [{-(2**64)}]}}', {"id": 10**24 + 1, "more": [-(2**64)]}),
        ('{"x": 0.30000000000000004, "y": 1e400}', {"x": 0.30000000000000004, "y": float("inf")}),
        ('{"code": "if x:\\n\treturn\x0b 1"}', {"code": "if x:\n\treturn\x0b 1"}),
        ('{"face": "\\ud83d\\ude00"}', {"face": "\N{GRINNING FACE}"}),
        ('{"deep": ' + "[" * 150 + "]" * 150 + "}", None),
    ],
    ids=["integers", "floats", "control characters", "a pair of escapes", "deep"],
)
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_arguments_of_each_vendor(sample: Sample, text: str, args: dict[str, Any] | None) -> None:
    """Whole and streamed they are what the model wrote, with every digit."""
    for message in whole_and_streamed(sample, text):
        (call,) = message.tool_calls
        assert args is None or repr(call["args"]) == repr(args)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_no_numbers_of_each_vendor(sample: Sample) -> None:
    """NaN is read as Python reads it, whole and streamed."""
    for message in whole_and_streamed(sample, '{"x": [NaN, -Infinity]}'):
        assert repr(message.tool_calls[0]["args"]) == "{'x': [nan, -inf]}"


@pytest.mark.parametrize(
    "text",
    [
        '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"x": ' + "[" * 300 + "]" * 300 + "}",
        f'{{"x": {"9" * 5000}}}',
    ],
    ids=["deeper than any stack", "deeper than messages are stored", "thousands of digits"],
)
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_arguments_that_nothing_can_hold(sample: Sample, text: str) -> None:
    """They are the vendor's error, whole and streamed, not Python's."""
    body, stream = sample.with_arguments(text)
    with pytest.raises(errors.MalformedResponseError):
        check_answer(sample.codec.decode_response(sample.call(), body, {}))
    decoder = sample.codec.stream_decoder(sample.call(stream=True), {})
    with pytest.raises(errors.MalformedResponseError):
        [*decoder.feed(stream), *decoder.close()]
