"""Anthropic: from a whole answer to a message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from langchain_llmdispatch import errors
from tests.cases import each
from tests.vendors.anthropic.calls import VENDOR, WEATHER, answer, call, decode, streamed


@each(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_call"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "context_exceeded"),
        ("pause_turn", "other"),
        ("refusal", "refusal"),
        ("a_new_one", "other"),
    ],
)
def test_finish_reasons(reason: str, finish: str) -> None:
    """Every stop reason, whole and streamed, beside the common word; a paused answer is suspended."""
    raw = answer([{"type": "text", "text": "a"}], reason)
    for message in (decode(raw), streamed(raw)):
        assert message.response_metadata["normalized_finish_reason"] == finish
        assert message.response_metadata["stop_reason"] == reason
        assert message.response_metadata["finish_reason"] == reason
        assert (message.response_metadata["finish_state"] == "suspended") == (reason == "pause_turn")


def test_plain_answer() -> None:
    """A single text is a string, and metadata names model and vendor."""
    message = decode(answer([{"type": "text", "text": "Hello", "citations": None}]))
    assert message.content == "Hello"
    assert message.response_metadata == {
        "model_provider": "anthropic",
        "model_name": "claude-haiku-5-5-20260801",
        "finish_reason": "end_turn",
        "normalized_finish_reason": "stop",
        "finish_state": "complete",
        "id": "msg_1",
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }
    assert message.id is None


def test_native_metadata_is_kept() -> None:
    """Stop sequence, refusal details, container and context management stay under their own names."""
    fields = {
        "stop_sequence": "END",
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": "no"},
        "container": {"id": "c", "expires_at": "2026-01-01T00:00:00Z"},
        "context_management": {"applied_edits": []},
    }
    raw = answer([{"type": "text", "text": "a"}], "refusal", **fields)
    for message in (decode(raw), streamed(raw)):
        assert {name: message.response_metadata[name] for name in fields} == fields
        assert message.content_blocks[-1]["type"] == "refusal"


@each(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        (
            {"input_tokens": 3, "output_tokens": 2},
            {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        ),
        (
            {
                "input_tokens": 3,
                "output_tokens": 9,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 50,
                "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
                "output_tokens_details": {"thinking_tokens": 4},
            },
            {
                "input_tokens": 153,
                "output_tokens": 9,
                "total_tokens": 162,
                "input_token_details": {
                    "cache_read": 100,
                    "cache_creation": 0,
                    "ephemeral_5m_input_tokens": 20,
                    "ephemeral_1h_input_tokens": 30,
                },
                "output_token_details": {"reasoning": 4},
            },
        ),
        (
            {
                "input_tokens": 3,
                "output_tokens": 2,
                "cache_creation_input_tokens": 50,
                "cache_read_input_tokens": None,
            },
            {
                "input_tokens": 53,
                "output_tokens": 2,
                "total_tokens": 55,
                "input_token_details": {"cache_creation": 50},
            },
        ),
    ],
)
def test_usage(usage: dict[str, Any] | None, expected: dict[str, Any] | None) -> None:
    """Input counts what was cached; details only where they were sent; nothing is invented."""
    raw = answer([{"type": "text", "text": "a"}], usage=usage)
    assert decode(raw).usage_metadata == expected
    assert streamed(raw).usage_metadata == expected


def test_no_input() -> None:
    """A call whose input is null or absent has no arguments, as in a stream."""
    blocks = [
        {"type": "tool_use", "id": "a", "name": "f", "input": None},
        {"type": "tool_use", "id": "b", "name": "g"},
    ]
    message = decode(answer(blocks, "tool_use"))
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [("f", {}), ("g", {})]
    assert message.invalid_tool_calls == []


def test_empty_content() -> None:
    """`content: []` with `end_turn` is an empty string; judging it is the engine's business."""
    assert decode(answer([])).content == ""
    assert streamed(answer([])).content == ""


@pytest.mark.parametrize(
    ("block", "args"),
    [
        ({"type": "tool_use", "id": "t", "name": "f", "input": "{oops"}, "{oops"),
        ({"type": "tool_use", "id": "t", "name": "f", "input": [1]}, "[1]"),
    ],
)
def test_arguments_that_are_no_object(block: dict[str, Any], args: str) -> None:
    """They are an invalid call, and no valid one stands in their place."""
    valid = {"type": "tool_use", "id": "v", "name": "g", "input": {}}
    message = decode(answer([block, valid], "tool_use"))
    assert [(bad["id"], bad["args"]) for bad in message.invalid_tool_calls] == [("t", args)]
    assert [each["name"] for each in message.tool_calls] == ["g"]
    assert [each["name"] for each in message.content_blocks if each["type"] == "tool_call"] == ["g"]


def test_a_tool_call_cut_by_the_limit_is_not_valid() -> None:
    """The last block of a cut answer is not whole, even where what came is an object."""
    raw = answer([{"type": "tool_use", "id": "t", "name": "f", "input": {}}], "max_tokens")
    assert not decode(raw).tool_calls
    assert len(decode(raw).invalid_tool_calls) == 1
    with pytest.raises(errors.TruncatedToolCallError):
        streamed(raw)


def test_missing_ids_and_mapped_names() -> None:
    """A call without an id gets a stable one; the caller's own tool name returns."""
    raw = answer([{"type": "tool_use", "name": "a_b", "input": {"x": 1}}], "tool_use")
    compiled = call(tools=[WEATHER], tool_names={"a_b": "a.b"})
    for message in (decode(raw, compiled), streamed(raw, compiled)):
        assert [(each["id"], each["name"]) for each in message.tool_calls] == [("msg_1_call_0", "a.b")]
        assert message.content_blocks[0]["name"] == "a.b"


@each("raw", [b"", b"<html>", b"[]", b"{}", b'{"content": "x"}', b'{"content": [1]}'])
def test_no_answer(raw: bytes) -> None:
    """A 200 that holds no message is malformed."""
    with pytest.raises(errors.MalformedResponseError):
        VENDOR.decode_response(call(), raw, {})


def test_error_inside_a_200() -> None:
    """It is raised as such, without the `retry-after` of successful responses."""
    raw = {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "r",
    }
    with pytest.raises(errors.OverloadedError) as caught:
        VENDOR.decode_response(call(), json.dumps(raw).encode(), {"retry-after": "9"})
    assert (caught.value.retry_after, caught.value.request_id, caught.value.status_code) == (None, "r", None)
