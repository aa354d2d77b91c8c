"""The Responses API: which calls go there, and the bodies of requests."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from langchain_llmdispatch.types import Call, Endpoint, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.openai.azure import AzureVendor
from tests.cases import each
from tests.vendors.openai.responses_calls import HERE, HI, VENDOR, body, call, items

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = ToolSpec("weather", "Tells the weather.", CITY)


@each(
    ("fields", "path"),
    [
        ({"model": "gpt-4.1"}, "/v1/chat/completions"),
        ({"model": "gpt-4.1", "extra": HERE}, "/v1/responses"),
        ({"model": "gpt-4.1", "server_tools": [{"type": "web_search"}]}, "/v1/responses"),
        ({"model": "gpt-4.1", "extra": {"previous_response_id": "resp_1"}}, "/v1/responses"),
        ({"model": "gpt-4.1", "extra": {"reasoning": {"effort": "low"}}}, "/v1/responses"),
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
    compiled = Call(fields.pop("model"), Endpoint("https://api.openai.com/v1"), HI, **fields)
    request = VENDOR.encode_request(compiled)
    assert request.url.path == path
    assert b"use_responses_api" not in request.content


@each("azure", [True, False])
@each(
    ("block", "part"),
    [
        (
            {"type": "file", "url": "https://x.test/a.pdf"},
            {"type": "input_file", "file_url": "https://x.test/a.pdf"},
        ),
        (
            {"type": "image", "file_id": "file-1"},
            {"type": "input_image", "detail": "auto", "file_id": "file-1"},
        ),
        (
            {"type": "non_standard", "value": {"type": "item_reference", "id": "rs_1"}},
            {"type": "item_reference", "id": "rs_1"},
        ),
        ({"type": "file", "file_id": "file-1"}, None),
        ({"type": "image", "url": "https://x.test/a.png"}, None),
    ],
)
def test_blocks_that_chat_cannot_take_choose_responses(block: Any, part: Any, azure: bool) -> None:
    """PDF by URL, images by id, items; but not what both take."""
    vendor = AzureVendor() if azure else VENDOR
    url = "https://r.openai.azure.com" if azure else "https://api.openai.com/v1"
    request = vendor.encode_request(Call("gpt-4.1", Endpoint(url), [HumanMessage([block])]))
    assert request.url.path.endswith("/responses") is (part is not None)
    if part is not None:
        (item,) = json.loads(request.content)["input"]
        assert part in {"message": item.get("content"), part["type"]: [item]}[item["type"]]


def test_smallest_request() -> None:
    """Nothing is stored at the vendor."""
    assert body(call()) == {
        "model": "gpt-4.1",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "store": False,
    }


@each(
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
    sent = body(call(**fields))
    assert {name: sent[name] for name in sent if name not in {"model", "input", "store"}} == expected


def test_reasoning_travels_encrypted() -> None:
    """Ciphertext is requested of reasoning models, beside what the caller includes."""
    sent = body(call(model="gpt-6-luna", extra={"include": ["web_search_call.action.sources"]}))
    assert sent["include"] == ["web_search_call.action.sources", "reasoning.encrypted_content"]
    assert sent["store"] is False


def test_stored_conversations() -> None:
    """Storing is the caller's choice, and then ids lead somewhere."""
    sent = body(call(model="gpt-6-luna", extra={"store": True}))
    assert sent["store"] is True
    assert "include" not in sent
    thought: Any = [{"type": "reasoning", "id": "rs_1"}, {"type": "text", "text": "x"}]
    assert len(items(*HI, AIMessage(thought), extra={"store": True}, model="gpt-6-luna")) == 3
    assert len(items(*HI, AIMessage(thought), model="gpt-6-luna")) == 2
