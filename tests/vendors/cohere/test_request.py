"""Cohere: from a compiled call to the body of a request."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.types import OutputSchema, ToolChoice, ToolSpec
from tests.cases import each
from tests.vendors.cohere.calls import ASKED, KEY, RESULT, VENDOR, body, call, text, turn

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSpec(name="weather", description="Tells the weather", parameters=SCHEMA)
CLOCK = ToolSpec(name="clock", description="", parameters={"type": "object", "properties": {}})


def test_smallest_request() -> None:
    """Model, messages and whether to stream; the key is a bearer token and nowhere else."""
    request = VENDOR.encode_request(call())
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(request.url)
    expected = {
        "model": "command-a-03-2025",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
    }
    assert json.loads(request.content) == expected
    assert body(stream=True) == {**expected, "stream": True}


def test_params() -> None:
    """Neutral names in Cohere's words."""
    params = {
        "max_tokens": 5, "temperature": 0.1, "top_p": 0.9, "top_k": 3, "seed": 1, "stop": ["x"],
        "presence_penalty": 0.2, "frequency_penalty": 0.3, "logprobs": True,
    }  # fmt: skip
    sent = body(params=params)
    assert {name: sent[name] for name in sent if name not in {"model", "messages", "stream"}} == {
        "max_tokens": 5, "temperature": 0.1, "p": 0.9, "k": 3, "seed": 1, "stop_sequences": ["x"],
        "presence_penalty": 0.2, "frequency_penalty": 0.3, "logprobs": True,
    }  # fmt: skip


THINKING = [
    ({"reasoning_effort": "none"}, {"type": "disabled"}),
    ({"reasoning_effort": "low"}, {"type": "enabled", "token_budget": 2048}),
    ({"reasoning_effort": "high"}, {"type": "enabled"}),
    ({"thinking": {"type": "enabled", "token_budget": 7}}, {"type": "enabled", "token_budget": 7}),
    ({"thinking": {"type": "enabled", "budget_tokens": 7}}, {"type": "enabled", "token_budget": 7}),
    ({"thinking": False, "reasoning_effort": "high"}, {"type": "disabled"}),
]


@each(("params", "expected"), THINKING)
def test_thinking(params: dict[str, Any], expected: dict[str, Any]) -> None:
    """Reasoning is a switch with a budget."""
    assert body(params=params)["thinking"] == expected


CHOICES = [
    (None, ["weather", "clock"], None),
    (ToolChoice("auto"), ["weather", "clock"], None),
    (ToolChoice("any"), ["weather", "clock"], "REQUIRED"),
    (ToolChoice("tool", "clock"), ["clock"], "REQUIRED"),
    (ToolChoice("none"), ["weather", "clock"], "NONE"),
]


@each(("choice", "names", "word"), CHOICES)
def test_tool_choice(choice: ToolChoice | None, names: list[str], word: str | None) -> None:
    """A named tool is offered alone and required."""
    sent = body(tools=[WEATHER, CLOCK], tool_choice=choice)
    assert [item["function"]["name"] for item in sent["tools"]] == names
    assert sent.get("tool_choice") == word


STRICT = [((None, None), None), ((True, None), True), ((True, False), None), ((False, None), None)]


@each(("wishes", "strict"), STRICT)
def test_strict_tools(wishes: tuple[bool | None, ...], strict: bool | None) -> None:
    """One switch for all tools: no tool's "no" is overruled."""
    tools = [ToolSpec("t", "", SCHEMA, strict=wish) for wish in wishes]
    assert body(tools=tools).get("strict_tools") is strict


def test_output() -> None:
    """JSON mode, with a schema or without."""
    schema = OutputSchema("c", SCHEMA, method="json_schema")
    assert body(output=schema)["response_format"] == {"type": "json_object", "json_schema": SCHEMA}
    mode = OutputSchema("c", SCHEMA, method="json_mode")
    assert body(output=mode)["response_format"] == {"type": "json_object"}


def test_extra() -> None:
    """Extra fields are merged last, objects one level deep."""
    documents = [{"id": "d1", "data": {"text": "rain"}}]
    extra = {"documents": documents, "thinking": {"token_budget": 9}, "safety_mode": "STRICT"}
    sent = body(params={"reasoning_effort": "high"}, extra=extra)
    assert sent["documents"] == documents
    assert sent["thinking"] == {"type": "enabled", "token_budget": 9}
    assert sent["safety_mode"] == "STRICT"


SENT_CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
THOUGHT = {"type": "reasoning", "reasoning": "hm"}
TURNS = [
    (SystemMessage("be brief"), {"role": "system", "content": "be brief"}),
    (SystemMessage([text("be"), text("brief")]), {"role": "system", "content": "be\nbrief"}),
    (
        HumanMessage(
            [
                text("what"),
                {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/jpeg"},
                {"type": "image", "url": "https://example.org/cat.png", "extras": {"detail": "low"}},
                {"type": "text-plain", "text": "notes", "mime_type": "text/plain"},
            ]
        ),
        {
            "role": "user",
            "content": [
                text("what"),
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,iVBORw0KGgo="}},
                {"type": "image_url", "image_url": {"url": "https://example.org/cat.png", "detail": "low"}},
                text("notes"),
            ],
        },
    ),
    (AIMessage("yes"), {"role": "assistant", "content": "yes"}),
    (AIMessage([THOUGHT, text("yes")]), {
        "role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, text("yes")]
    }),
    (ASKED, {"role": "assistant", "tool_calls": [SENT_CALL]}),
    (
        AIMessage([THOUGHT, text("I look"), dict(ASKED.tool_calls[0])], tool_calls=ASKED.tool_calls),
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}],
            "tool_plan": "I look",
            "tool_calls": [SENT_CALL],
        },
    ),
    (RESULT, {"role": "tool", "tool_call_id": "c1", "content": "rain"}),
    (
        ToolMessage([text("rain")], tool_call_id="c1", name="weather"),
        {"role": "tool", "tool_call_id": "c1", "content": [text("rain")]},
    ),
    (
        ToolMessage(
            [{"type": "text-plain", "text": "rain", "title": "Sky", "id": "d1", "mime_type": "text/plain"}],
            tool_call_id="c1",
            name="weather",
        ),
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [
                {"type": "document", "document": {"data": {"title": "Sky", "text": "rain"}, "id": "d1"}}
            ],
        },
    ),
    (
        ToolMessage("", tool_call_id="c1", name="weather"),
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "document", "document": {"data": {"output": ""}}}],
        },
    ),
]  # fmt: skip


@each(("message", "expected"), TURNS)
def test_turn(message: Any, expected: dict[str, Any]) -> None:
    """Each kind of message is spelled as the API has it, and left as it was."""
    before = message.model_dump()
    assert turn(message) == expected
    assert message.model_dump() == before
