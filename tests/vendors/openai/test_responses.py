"""Requests to OpenAI's Responses API: which calls go there, and what they say."""

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
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.openai.vendor import OpenAIVendor

VENDOR = OpenAIVendor()
HI: list[BaseMessage] = [HumanMessage("Hi")]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = ToolSpec("weather", "Tells the weather.", CITY)
HERE = {"use_responses_api": True}


def call(messages: list[BaseMessage] | None = None, **fields: Any) -> Call:
    """Return a call that goes to the Responses API."""
    endpoint = Endpoint("https://api.openai.com/v1", SecretStr("sk-not-a-real-key"))
    fields["extra"] = {**HERE, **fields.get("extra", {})}
    return Call(fields.pop("model", "gpt-4.1"), endpoint, messages or HI, **fields)


def body(asked: Call) -> dict[str, Any]:
    """Return the JSON body of the request for `asked`."""
    return json.loads(VENDOR.encode_request(asked).content)


def items(*messages: BaseMessage, **fields: Any) -> list[dict[str, Any]]:
    """Return the input items for messages."""
    return body(call(list(messages), **fields))["input"]


# -- which API -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"model": "gpt-4.1"}, "/v1/chat/completions"),
        ({"model": "gpt-4.1", "extra": HERE}, "/v1/responses"),
        ({"model": "gpt-4.1", "params": HERE}, "/v1/responses"),
        ({"model": "gpt-4.1", "server_tools": [{"type": "web_search"}]}, "/v1/responses"),
        ({"model": "gpt-4.1", "extra": {"previous_response_id": "resp_1"}}, "/v1/responses"),
        ({"model": "gpt-4.1", "params": {"reasoning": {"effort": "low"}}}, "/v1/responses"),
        ({"model": "gpt-6-luna"}, "/v1/chat/completions"),
        ({"model": "gpt-6-luna", "tools": [WEATHER]}, "/v1/responses"),
        (
            {"model": "gpt-6-luna", "tools": [WEATHER], "params": {"reasoning_effort": "none"}},
            "/v1/chat/completions",
        ),
        (
            {"model": "gpt-6-luna", "tools": [WEATHER], "extra": {"use_responses_api": False}},
            "/v1/chat/completions",
        ),
        ({"model": "gpt-5-codex"}, "/v1/responses"),
    ],
)
def test_choice_of_api(fields: dict[str, Any], path: str) -> None:
    """The caller decides; else what only this API has; else the model."""
    asked = Call(fields.pop("model"), Endpoint("https://api.openai.com/v1"), HI, **fields)
    request = VENDOR.encode_request(asked)
    assert request.url.path == path
    assert b"use_responses_api" not in request.content


# -- requests ------------------------------------------------------------------------------------------


def test_smallest_request() -> None:
    """Nothing is stored at the vendor."""
    assert body(call()) == {
        "model": "gpt-4.1",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "store": False,
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"params": {"max_tokens": 90, "temperature": 0.5}}, {"max_output_tokens": 90, "temperature": 0.5}),
        ({"params": {"max_tokens": 9}}, {"max_output_tokens": 16}),
        ({"params": {"reasoning_effort": "low"}}, {"reasoning": {"effort": "low"}}),
        (
            {"params": {"reasoning_effort": "low", "reasoning": {"summary": "auto"}}},
            {"reasoning": {"effort": "low", "summary": "auto"}},
        ),
        ({"params": {"verbosity": "low"}}, {"text": {"verbosity": "low"}}),
        ({"params": {"stop": ["x"], "seed": 1, "presence_penalty": 1}}, {}),
        (
            {"params": {"logprobs": True, "top_logprobs": 2}},
            {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
        ),
        ({"stream": True}, {"stream": True}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"tool_choice": ToolChoice("any")}, {"tool_choice": "required"}),
        (
            {"tool_choice": ToolChoice("tool", "weather")},
            {"tool_choice": {"type": "function", "name": "weather"}},
        ),
        (
            {"tools": [WEATHER], "server_tools": [{"type": "web_search"}]},
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "weather",
                        "description": "Tells the weather.",
                        "parameters": CITY,
                        "strict": False,
                    },
                    {"type": "web_search"},
                ]
            },
        ),
        (
            {"tools": [ToolSpec("t", "", CITY, strict=True, extras={"defer_loading": True})]},
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "t",
                        "parameters": CITY,
                        "strict": True,
                        "defer_loading": True,
                    }
                ]
            },
        ),
        (
            {"output": OutputSchema("City", CITY, strict=True, method="json_schema")},
            {"text": {"format": {"type": "json_schema", "name": "City", "schema": CITY, "strict": True}}},
        ),
        (
            {"output": OutputSchema("City", None, method="json_mode"), "params": {"verbosity": "low"}},
            {"text": {"verbosity": "low", "format": {"type": "json_object"}}},
        ),
        ({"extra": {"truncation": "auto"}}, {"truncation": "auto"}),
    ],
)
def test_fields(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each neutral field is spelled in this API's words."""
    asked = body(call(**fields))
    assert {name: asked[name] for name in asked if name not in {"model", "input", "store"}} == expected


def test_reasoning_travels_encrypted() -> None:
    """Reasoning models are asked for their ciphertext, beside what the caller wants included."""
    asked = body(call(model="gpt-6-luna", extra={"include": ["web_search_call.action.sources"]}))
    assert asked["include"] == ["web_search_call.action.sources", "reasoning.encrypted_content"]
    assert asked["store"] is False


def test_stored_conversations() -> None:
    """Who wants the vendor to store says so, and ids lead somewhere."""
    asked = body(call(model="gpt-6-luna", extra={"store": True}))
    assert asked["store"] is True
    assert "include" not in asked
    thought: Any = [{"type": "reasoning", "id": "rs_1"}, {"type": "text", "text": "x"}]
    assert len(items(*HI, AIMessage(thought), extra={"store": True}, model="gpt-6-luna")) == 3
    assert len(items(*HI, AIMessage(thought), model="gpt-6-luna")) == 2


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (SystemMessage("s"), [{"type": "message", "role": "system", "content": "s"}]),
        (HumanMessage("x", name="bob"), [{"type": "message", "role": "user", "content": "x"}]),
        (
            ToolMessage("21 C", tool_call_id="c1"),
            [{"type": "function_call_output", "call_id": "c1", "output": "21 C"}],
        ),
        (
            ToolMessage(
                [{"type": "image", "url": "https://x.test/a.png"}],  # type: ignore[list-item]
                tool_call_id="c1",
            ),
            [
                {
                    "type": "function_call_output",
                    "call_id": "c1",
                    "output": [
                        {"type": "input_image", "detail": "auto", "image_url": "https://x.test/a.png"}
                    ],
                }
            ],
        ),
        (
            AIMessage("Sure.", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c1"}]),
            [
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Sure.", "annotations": []}],
                },
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"x":1}'},
            ],
        ),
    ],
)
def test_messages(message: BaseMessage, expected: list[dict[str, Any]]) -> None:
    """Each kind of message is spelled as items."""
    assert items(message) == expected


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "text", "text": "x"}, {"type": "input_text", "text": "x"}),
        (
            {"type": "image", "base64": "QQ==", "mime_type": "image/png", "extras": {"detail": "high"}},
            {"type": "input_image", "detail": "high", "image_url": "data:image/png;base64,QQ=="},
        ),
        ({"type": "image", "file_id": "f1"}, {"type": "input_image", "detail": "auto", "file_id": "f1"}),
        (
            {"type": "file", "url": "https://x.test/a.pdf"},
            {"type": "input_file", "file_url": "https://x.test/a.pdf"},
        ),
        ({"type": "file", "file_id": "f1"}, {"type": "input_file", "file_id": "f1"}),
        (
            {"type": "audio", "base64": "QQ==", "mime_type": "audio/wav"},
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
        ),
    ],
)
def test_parts(block: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each block of a user turn is spelled as an input part."""
    assert items(HumanMessage([block]))[0]["content"] == [expected]  # type: ignore[list-item]


def test_no_video() -> None:
    """What the API has no word for is refused before it is sent."""
    with pytest.raises(errors.UnsupportedFeatureError):
        items(HumanMessage([{"type": "video", "url": "https://x.test/v.mp4"}]))


# -- what is not sent again ----------------------------------------------------------------------------

THOUGHT: dict[str, Any] = {
    "type": "reasoning",
    "id": "rs_1",
    "reasoning": "First.",
    "encrypted_content": "gAAAA-cipher",
}


def kinds(*blocks: dict[str, Any], **fields: Any) -> list[str]:
    """Return the types of the items for an assistant's blocks between two questions."""
    turn: Any = list(blocks)
    return [item["type"] for item in items(*HI, AIMessage(turn), *HI, **fields)][1:-1]


def test_reasoning_without_what_follows_it() -> None:
    """Reasoning at the end of a turn, as a low output limit leaves it, stays out: the vendor refuses it."""
    text = {"type": "text", "text": "x"}
    assert kinds(THOUGHT, model="gpt-6-luna") == []
    assert kinds(THOUGHT, model="gpt-6-luna", extra={"store": True}) == []
    assert kinds(THOUGHT, text, {**THOUGHT, "id": "rs_2"}, model="gpt-6-luna") == ["reasoning", "message"]


@pytest.mark.parametrize(
    ("model", "taken"), [("gpt-6-luna", True), ("gpt-4.1-mini", False), ("of-unknown-name", True)]
)
def test_reasoning_for_models_that_do_not_reason(model: str, taken: bool) -> None:
    """A model that is known not to reason gets no reasoning item; an unknown one may reason."""
    said = kinds(THOUGHT, {"type": "text", "text": "x"}, model=model)
    assert said == (["reasoning", "message"] if taken else ["message"])


def test_code_run_elsewhere() -> None:
    """A run without its container goes on as text, and printed text as the log that the vendor knows."""
    run: Any = {"type": "server_tool_call", "name": "code_interpreter", "id": "ci_1", "args": {"code": "1+1"}}
    printed: Any = {"type": "server_tool_result", "tool_call_id": "ci_1", "status": "success", "output": "2"}
    _, foreign = items(*HI, AIMessage([run, printed]))
    assert foreign["content"][0]["text"] == "[Result of a tool]\n2"
    assert items(*HI, AIMessage([run]))[1:] == []
    _, own = items(*HI, AIMessage([{**run, "extras": {"container_id": "cntr_1"}}, printed]))
    assert own["type"] == "code_interpreter_call"
    assert own["container_id"] == "cntr_1"
    assert own["outputs"] == [{"type": "logs", "logs": "2"}]
