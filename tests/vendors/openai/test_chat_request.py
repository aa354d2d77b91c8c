"""Chat completions: from a compiled call to the body of a request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import OutputSchema, ToolChoice, ToolSpec
from tests.cases import each
from tests.vendors.openai.calls import KEY, VENDOR, body, call

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = ToolSpec("weather", "Tells the weather.", CITY)


def turn(message: BaseMessage) -> dict[str, Any]:
    """Return one message on the wire of chat completions."""
    return body(call([message], params={"use_responses_api": False}))["messages"][0]


def test_smallest_request() -> None:
    """Model and messages, the key as a bearer, and nothing else."""
    request = VENDOR.encode_request(call())
    assert str(request.url) == "https://api.openai.com/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content) == {
        "model": "gpt-4.1",
        "messages": [{"role": "user", "content": "Hi"}],
    }


def test_stream_requests_usage() -> None:
    """A stream reports usage only on request."""
    sent = body(call(stream=True))
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}


@each(
    ("fields", "expected"),
    [
        ({"params": {"max_tokens": 9}}, {"max_completion_tokens": 9}),
        ({"params": {"max_tokens": 9}, "model": "gpt-oss-20b"}, {"max_tokens": 9}),
        (
            {"params": {"temperature": 0.5, "stop": ["x"], "seed": 1, "user": "u"}},
            {"temperature": 0.5, "stop": ["x"], "seed": 1, "user": "u"},
        ),
        ({"params": {"logprobs": True, "top_logprobs": 2}}, {"logprobs": True, "top_logprobs": 2}),
        ({"params": {"reasoning_effort": "low"}}, {"reasoning_effort": "low"}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"tool_choice": ToolChoice("auto")}, {"tool_choice": "auto"}),
        ({"tool_choice": ToolChoice("none")}, {"tool_choice": "none"}),
        ({"tool_choice": ToolChoice("any")}, {"tool_choice": "required"}),
        (
            {"tool_choice": ToolChoice("tool", "weather")},
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        ),
        (
            {"tools": [WEATHER]},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "weather",
                            "description": "Tells the weather.",
                            "parameters": CITY,
                        },
                    }
                ]
            },
        ),
        (
            {"tools": [ToolSpec("t", "", {"type": "object"}, strict=True)]},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "t", "parameters": {"type": "object"}, "strict": True},
                    }
                ]
            },
        ),
        (
            {"output": OutputSchema("City", CITY, strict=True, method="json_schema")},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "City", "schema": CITY, "strict": True},
                }
            },
        ),
        (
            {"output": OutputSchema("City", {**CITY, "description": "A city."}, method="json_schema")},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "City",
                        "schema": {**CITY, "description": "A city."},
                        "description": "A city.",
                    },
                }
            },
        ),
        (
            {"output": OutputSchema("City", CITY, method="json_mode")},
            {"response_format": {"type": "json_object"}},
        ),
        ({"extra": {"metadata": {"a": "b"}, "use_responses_api": False}}, {"metadata": {"a": "b"}}),
    ],
)
def test_fields(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each neutral field is spelled in OpenAI's words."""
    sent = body(call(**fields))
    assert {name: sent[name] for name in sent if name not in {"model", "messages"}} == expected


def test_extra_merges_objects() -> None:
    """The caller's own fields win; objects are merged one level deep."""
    sent = body(call(stream=True, extra={"stream_options": {"include_obfuscation": False}, "model": "m"}))
    assert sent["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert sent["model"] == "m"


@each(
    ("message", "expected"),
    [
        (SystemMessage("Be brief."), {"role": "system", "content": "Be brief."}),
        (HumanMessage("Hi", name="bob"), {"role": "user", "content": "Hi", "name": "bob"}),
        (
            HumanMessage([{"type": "text", "text": "a"}, {"type": "text-plain", "text": "b"}]),
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ),
        (AIMessage("Hello"), {"role": "assistant", "content": "Hello"}),
        (
            AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Köln"}, "id": "c1"}]),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Köln"}'},
                    }
                ],
            },
        ),
        (
            AIMessage(
                [
                    {"type": "reasoning", "reasoning": "hm", "id": "rs_1"},
                    {"type": "text", "text": "Let me "},
                    {"type": "text", "text": "see."},
                    {"type": "non_standard", "value": {"type": "compaction"}},
                ]
            ),
            {"role": "assistant", "content": "Let me see."},
        ),
        (
            ToolMessage("21 C", tool_call_id="c1", name="weather"),
            {"role": "tool", "tool_call_id": "c1", "content": "21 C"},
        ),
        (
            ToolMessage([{"type": "text", "text": "21"}, {"type": "text", "text": "C"}], tool_call_id="c1"),
            {"role": "tool", "tool_call_id": "c1", "content": "21\nC"},
        ),
    ],
)
def test_messages(message: BaseMessage, expected: dict[str, Any]) -> None:
    """Each kind of message is spelled in OpenAI's words."""
    assert turn(message) == expected


@each(
    ("block", "expected"),
    [
        (
            {"type": "image", "url": "https://x.test/a.png"},
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        ),
        (
            {"type": "image", "base64": "QQ==", "mime_type": "image/png", "extras": {"detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ==", "detail": "low"}},
        ),
        (
            {"type": "audio", "base64": "QQ==", "mime_type": "audio/mpeg"},
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
        ),
        (
            {"type": "file", "base64": "QQ==", "mime_type": "application/pdf"},
            {
                "type": "file",
                "file": {"filename": "file.pdf", "file_data": "data:application/pdf;base64,QQ=="},
            },
        ),
        (
            {
                "type": "file",
                "base64": "QQ==",
                "mime_type": "application/pdf",
                "extras": {"filename": "a.pdf"},
            },
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}},
        ),
        ({"type": "file", "file_id": "file-1"}, {"type": "file", "file": {"file_id": "file-1"}}),
        ({"type": "non_standard", "value": {"type": "x"}}, {"type": "x"}),
    ],
)
def test_parts(block: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each block of a user turn is spelled as a part."""
    assert turn(HumanMessage([block]))["content"] == [expected]


@each(
    "block",
    [
        {"type": "file", "url": "https://x.test/a.pdf"},
        {"type": "audio", "url": "https://x.test/a.mp3"},
        {"type": "image", "file_id": "file-1"},
        {"type": "non_standard", "value": {"type": "item_reference", "id": "rs_1"}},
        {"type": "hologram"},
    ],
)
def test_parts_without_a_form(block: dict[str, Any]) -> None:
    """What chat completions have no words for is refused before it is sent."""
    with pytest.raises(errors.UnsupportedFeatureError):
        turn(HumanMessage([block]))
