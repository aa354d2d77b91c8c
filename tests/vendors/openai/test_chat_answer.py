"""Chat completions: from a whole answer to a message."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch import errors
from tests.cases import each
from tests.models import summed
from tests.vendors.openai.calls import VENDOR, call, decoded, reply
from tests.vendors.openai.test_chat_stream import DONE, event, streamed


def test_plain_answer() -> None:
    """Text stays a string; facts of the answer are in its metadata."""
    message = decoded({"content": "Hello", "refusal": None}, system_fingerprint="fp", service_tier="flex")
    assert message.content == "Hello"
    assert message.response_metadata == {
        "model_provider": "openai",
        "model_name": "gpt-4.1-2025-04-14",
        "finish_reason": "stop",
        "normalized_finish_reason": "stop",
        "finish_state": "complete",
        "id": "chatcmpl-1",
        "system_fingerprint": "fp",
        "service_tier": "flex",
    }
    assert message.usage_metadata == {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    assert message.id is None


def test_refusal_is_kept_aside() -> None:
    """A refusal is no text, and becomes a block of its own."""
    message = decoded({"content": None, "refusal": "No."})
    assert (message.content, message.additional_kwargs) == ("", {"refusal": "No."})
    assert {"type": "refusal", "refusal": "No."} in message.content_blocks
    facts = message.response_metadata
    assert (facts["finish_reason"], facts["normalized_finish_reason"]) == ("stop", "refusal")


def test_tool_calls() -> None:
    """Arguments are parsed; what is no object is invalid, and keeps its id."""
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"id": "c", "type": "function", "function": {"name": "h", "arguments": "null"}},
        {"id": "d", "type": "function", "function": {"name": "i", "arguments": '{"x":'}},
        {"id": "e", "type": "function", "function": {"name": "j", "arguments": "[1]"}},
        {"id": "f", "type": "custom", "custom": {"name": "k", "input": "free"}},
    ]
    message = decoded({"content": None, "tool_calls": calls}, "tool_calls")
    assert [(c["name"], c["args"], c["id"]) for c in message.tool_calls] == [
        ("f", {"x": 1}, "a"),
        ("g", {}, "b"),
        ("h", {}, "c"),
        ("k", {"__arg1": "free"}, "f"),
    ]
    assert [(c["name"], c["args"], c["id"]) for c in message.invalid_tool_calls] == [
        ("i", '{"x":', "d"),
        ("j", "[1]", "e"),
    ]


@each(
    ("raw", "calls", "expected"),
    [
        ("stop", False, "stop"),
        ("stop", True, "tool_call"),
        ("tool_calls", True, "tool_call"),
        ("length", True, "length"),
        ("content_filter", False, "content_filter"),
        ("something_new", False, "other"),
        (None, False, "stop"),
    ],
)
def test_finish_reasons(raw: str | None, calls: bool, expected: str) -> None:
    """A forced call ends with `stop` on the wire, and still waits for its result."""
    given = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}] if calls else []
    message = decoded({"content": "x", "tool_calls": given}, raw)
    assert message.response_metadata["normalized_finish_reason"] == expected


def test_tool_names_are_mapped_back() -> None:
    """A name that had to be changed for the vendor is the caller's again."""
    given = {"tool_calls": [{"id": "a", "function": {"name": "my_tool", "arguments": "{}"}}]}
    compiled = call(tool_names={"my_tool": "my tool"})
    answer = reply({"message": given, "finish_reason": "tool_calls"})
    assert VENDOR.decode_response(compiled, answer, {}).tool_calls[0]["name"] == "my tool"


def test_usage_details() -> None:
    """Cache, reasoning and audio are details within the totals, and only where they were sent."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 3, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 32, "audio_tokens": None},
    }
    assert decoded({"content": "x"}, usage=usage).usage_metadata == {
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "input_token_details": {"audio": 0, "cache_read": 64, "cache_creation": 3},
        "output_token_details": {"reasoning": 32},
    }


@each("usage", [None, {}, {"prompt_tokens": 3}, {"prompt_tokens": None}, "much"])
def test_no_usage_is_invented(usage: Any) -> None:
    """Usage that does not count both sides is unknown."""
    assert decoded({"content": "x"}, usage=usage).usage_metadata is None


def test_audio_and_annotations_ride_along() -> None:
    """What LangChain has no place for in a string answer stays in `additional_kwargs`."""
    given = {"content": "x", "annotations": [{"type": "url_citation"}], "audio": {"id": "audio_1"}}
    assert decoded(given).additional_kwargs == {
        "annotations": [{"type": "url_citation"}],
        "audio": {"id": "audio_1"},
    }


@each("answer", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[null]}'])
def test_nonsense_is_malformed(answer: bytes) -> None:
    """A body that is no answer raises, and is worth another try."""
    with pytest.raises(errors.VendorError) as raised:
        VENDOR.decode_response(call(), answer, {})
    assert raised.value.is_retryable


@each(
    ("content", "text"),
    [
        (None, ""),
        ([], ""),
        ("Hi", "Hi"),
        ({"type": "text", "text": "Hi"}, "Hi"),
        (["H", {"type": "text", "text": "i"}, None, {"type": "image"}], "Hi"),
    ],
)
def test_content_in_other_shapes(content: Any, text: str) -> None:
    """Parts and strings are read, streamed or not."""
    assert decoded({"content": content, "reasoning_content": "Hm"}).content == text
    chunks = streamed(event({"content": content, "reasoning_content": "Hm"}), event({}, "stop"), DONE)
    assert summed(chunks).content == text


@each("content", [0, 42, True, [42], [[]], {"type": "text", "text": 42}])
def test_content_that_is_no_text_is_malformed(content: Any) -> None:
    """It does not get lost beside reasoning."""
    with pytest.raises(errors.MalformedResponseError):
        decoded({"content": content, "reasoning_content": "Hm"})
    with pytest.raises(errors.MalformedResponseError):
        streamed(event({"content": content, "reasoning_content": "Hm"}), event({}, "stop"), DONE)
