"""Ollama: from a compiled call to the body of a request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import OutputSchema, ToolChoice, ToolSpec
from tests.cases import each
from tests.vendors.ollama.calls import VENDOR, call

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSpec(name="weather", description="Tells the weather", parameters=SCHEMA)
CLOCK = ToolSpec(name="clock", description="", parameters={"type": "object", "properties": {}})
PIXEL = "iVBORw0KGgo="


def body(**fields: Any) -> dict[str, Any]:
    """Return the JSON body of the request for `call(**fields)`."""
    return dict(json.loads(VENDOR.encode_request(call(**fields)).content))


def turn(message: Any) -> dict[str, Any]:
    """Return one message as the server reads it."""
    return dict(body(messages=[message])["messages"][0])


def test_smallest_request() -> None:
    """`stream` is always sent, because a server streams by default."""
    expected = {"model": "llama3.1", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    assert body() == expected
    assert body(stream=True) == {**expected, "stream": True}


def test_params() -> None:
    """Neutral names become model options; log probabilities stand beside them."""
    params = {
        "max_tokens": 5, "temperature": 0.1, "top_p": 0.9, "top_k": 3, "seed": 1, "stop": ["x"],
        "presence_penalty": 0.2, "frequency_penalty": 0.3, "logprobs": True, "top_logprobs": 2,
    }  # fmt: skip
    sent = body(params=params)
    assert sent["options"] == {
        "num_predict": 5, "temperature": 0.1, "top_p": 0.9, "top_k": 3, "seed": 1, "stop": ["x"],
        "presence_penalty": 0.2, "frequency_penalty": 0.3,
    }  # fmt: skip
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 2)


THINK = [
    ("qwen3", {"reasoning_effort": "low"}, True),
    ("qwen3", {"reasoning_effort": "none"}, False),
    ("gpt-oss:20b", {"reasoning_effort": "minimal"}, "low"),
    ("gpt-oss:20b", {"reasoning_effort": "medium"}, "medium"),
    ("gpt-oss:20b", {"reasoning_effort": "max"}, "high"),
    ("qwen3", {"thinking": {"type": "enabled"}}, True),
    ("qwen3", {"thinking": {"type": "disabled"}, "reasoning_effort": "high"}, False),
    ("qwen3", {"thinking": False}, False),
    ("qwen3", {"thinking": "high"}, "high"),
]


@each(("model", "params", "think"), THINK)
def test_think(model: str, params: dict[str, Any], think: bool | str) -> None:
    """Effort is a level for gpt-oss and a switch for all other models."""
    assert body(model=model, params=params)["think"] == think


def test_extra() -> None:
    """Extra fields are merged last, at their places."""
    extra = {"options": {"num_gpu": 1, "num_ctx": 8192}, "keep_alive": "10m", "stream": True}
    sent = body(params={"temperature": 0}, extra=extra)
    assert sent["options"] == {"temperature": 0, "num_gpu": 1, "num_ctx": 8192}
    assert sent["keep_alive"] == "10m"
    assert sent["stream"] is True
    assert "num_ctx" not in sent


CHOICES = [
    (None, ["weather", "clock"]),
    (ToolChoice("auto"), ["weather", "clock"]),
    (ToolChoice("any"), ["weather", "clock"]),
    (ToolChoice("tool", "clock"), ["clock"]),
    (ToolChoice("none"), None),
]


@each(("choice", "names"), CHOICES)
def test_tools(choice: ToolChoice | None, names: list[str] | None) -> None:
    """There is no tool_choice: the tools offered stand for it."""
    sent = body(tools=[WEATHER, CLOCK], tool_choice=choice)
    assert "tool_choice" not in sent
    tools = sent.get("tools")
    assert (tools and [tool["function"]["name"] for tool in tools]) == names


def test_tool_shape() -> None:
    """A tool is a function with a schema."""
    function = {"name": "weather", "description": "Tells the weather", "parameters": SCHEMA}
    assert body(tools=[WEATHER])["tools"] == [{"type": "function", "function": function}]


def test_output() -> None:
    """A schema is the format itself; JSON mode is the word."""
    assert body(output=OutputSchema("c", SCHEMA, method="json_schema"))["format"] == SCHEMA
    assert body(output=OutputSchema("c", SCHEMA, method="json_mode"))["format"] == "json"
    assert body(output=OutputSchema("c", None, method="json_schema"))["format"] == "json"


CALL = {"name": "weather", "args": {"city": "Oslo"}, "id": "c1", "type": "tool_call"}
SENT_CALL = {"id": "c1", "function": {"index": 0, "name": "weather", "arguments": {"city": "Oslo"}}}
TURNS = [
    (SystemMessage("be brief"), {"role": "system", "content": "be brief"}),
    (
        HumanMessage(
            [
                {"type": "text", "text": "what"},
                {"type": "image", "base64": PIXEL, "mime_type": "image/png"},
                {"type": "image", "url": f"data:image/png;base64,{PIXEL}"},
                {"type": "text-plain", "text": "is this", "mime_type": "text/plain"},
            ]
        ),
        {"role": "user", "content": "what\nis this", "images": [PIXEL, PIXEL]},
    ),
    (AIMessage("yes"), {"role": "assistant", "content": "yes"}),
    (
        AIMessage("", tool_calls=[CALL]),
        {"role": "assistant", "content": "", "tool_calls": [SENT_CALL]},
    ),
    (
        AIMessage(
            [
                {"type": "reasoning", "reasoning": "hm"},
                {"type": "text", "text": "I"},
                {"type": "text", "text": " look"},
                dict(CALL),
            ],
            tool_calls=[CALL],
        ),
        {"role": "assistant", "content": "I look", "thinking": "hm", "tool_calls": [SENT_CALL]},
    ),
    (
        ToolMessage("rain", tool_call_id="c1", name="weather"),
        {"role": "tool", "content": "rain", "tool_name": "weather", "tool_call_id": "c1"},
    ),
    (
        ToolMessage([{"type": "text", "text": "rain"}], tool_call_id="c1", name="weather", status="error"),
        {"role": "tool", "content": "rain", "tool_name": "weather", "tool_call_id": "c1"},
    ),
]


@each(("message", "expected"), TURNS)
def test_turn(message: Any, expected: dict[str, Any]) -> None:
    """Each kind of message is spelled as the API has it, and left as it was."""
    before = message.model_dump()
    assert turn(message) == expected
    assert message.model_dump() == before


def test_image_url_is_refused() -> None:
    """Ollama fetches nothing: a URL is an error of ours, not a silent loss."""
    with pytest.raises(errors.UnsupportedFeatureError):
        turn(HumanMessage([{"type": "image", "url": "https://example.org/cat.png"}]))
