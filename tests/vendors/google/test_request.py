"""Google: from a compiled call to the body of a request."""

from __future__ import annotations

from typing import Any

from langchain_llmdispatch.types import OutputSchema, ToolChoice, ToolSpec
from tests.cases import each
from tests.vendors.google.calls import NEW, body_of, call

WEATHER = ToolSpec("weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}})


def test_parameters() -> None:
    """Neutral parameters get Gemini's words; extras are merged one level deep, last."""
    params = {
        "temperature": 0.5, "max_tokens": 9, "top_p": 0.9, "top_k": 4, "stop": ["x"], "seed": 1,
        "presence_penalty": 0.1, "frequency_penalty": 0.2, "top_logprobs": 3, "service_tier": "flex",
    }  # fmt: skip
    extra = {"safetySettings": [], "generationConfig": {"responseModalities": ["TEXT"]}}
    body = body_of(call(params=params, extra=extra))
    assert body["generationConfig"] == {
        "temperature": 0.5, "maxOutputTokens": 9, "topP": 0.9, "topK": 4, "stopSequences": ["x"], "seed": 1,
        "presencePenalty": 0.1, "frequencyPenalty": 0.2, "logprobs": 3, "responseLogprobs": True,
        "responseModalities": ["TEXT"],
    }  # fmt: skip
    assert body["serviceTier"] == "flex"
    assert body["safetySettings"] == []


@each(
    ("model", "params", "config"),
    [
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, {"thinkingBudget": 128}),
        ("gemini-2.5-pro", {"reasoning_effort": "high"}, {"thinkingBudget": 24576, "includeThoughts": True}),
        (
            "gemini-3-pro-preview",
            {"reasoning_effort": "medium"},
            {"thinkingLevel": "high", "includeThoughts": True},
        ),
        (
            "gemini-3-pro-preview",
            {"reasoning_effort": "medium", "thinking": {"include_thoughts": False}},
            {"thinkingLevel": "high", "includeThoughts": False},
        ),
        ("gemini-3-pro-preview", {"reasoning_effort": "none"}, {"thinkingLevel": "low"}),
        (
            "gemini-3-flash-preview",
            {"reasoning_effort": "minimal"},
            {"thinkingLevel": "minimal", "includeThoughts": True},
        ),
        (
            "gemini-4-argon",
            {"reasoning_effort": "xhigh"},
            {"thinkingLevel": "high", "includeThoughts": True},
        ),
        (
            "gemini-4-argon",
            {"reasoning_effort": "low", "thinking": {"include_thoughts": True}},
            {"thinkingLevel": "low", "includeThoughts": True},
        ),
        (
            "gemini-2.5-flash",
            {"reasoning_effort": "low", "thinking": {"thinkingBudget": 7}},
            {"thinkingBudget": 7},
        ),
    ],
)
def test_thinking(model: str, params: dict[str, Any], config: dict[str, Any]) -> None:
    """Effort is a budget for Gemini 2.5 and a level from 3 on, and requests thoughts; explicit fields win."""
    assert body_of(call(model=model, params=params))["generationConfig"]["thinkingConfig"] == config


@each(
    ("choice", "config"),
    [
        (None, None),
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("any"), {"mode": "ANY"}),
        (ToolChoice("tool", "weather"), {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_tools_and_choice(choice: ToolChoice | None, config: dict[str, Any] | None) -> None:
    """Tools are declarations with JSON Schema; the choice is a mode."""
    body = body_of(call(tools=[WEATHER], tool_choice=choice))
    declaration = {"name": "weather", "description": "Tells it.", "parametersJsonSchema": WEATHER.parameters}
    assert body["tools"] == [{"functionDeclarations": [declaration]}]
    assert body.get("toolConfig") == (config and {"functionCallingConfig": config})


def test_server_tools() -> None:
    """Google's own tools pass in either spelling; beside functions Gemini 3 needs a switch."""
    own = [{"google_search": {}}, {"type": "code_execution"}, {"type": "url_context", "x": 1}]
    spelled = [{"google_search": {}}, {"codeExecution": {}}, {"urlContext": {"x": 1}}]
    assert body_of(call(server_tools=own))["tools"] == spelled
    mixed = body_of(call(model=NEW, tools=[WEATHER], server_tools=own, tool_choice=ToolChoice("auto")))
    assert mixed["tools"][1:] == spelled
    assert mixed["toolConfig"] == {"includeServerSideToolInvocations": True}


def test_output() -> None:
    """A schema is a JSON Schema of the answer; JSON mode has none."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    native = body_of(call(output=OutputSchema("A", schema, method="json_schema")))
    assert native["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    free = body_of(call(output=OutputSchema("A", None, method="json_mode")))
    assert free["generationConfig"] == {"responseMimeType": "application/json"}


def test_a_schema_of_the_callers_states_json() -> None:
    """It is refused without the MIME type; a caller's own type stays."""
    schema = {"responseJsonSchema": {"type": "object"}}
    made = body_of(call(extra={"generationConfig": schema}))
    assert made["generationConfig"]["responseMimeType"] == "application/json"
    own = {**schema, "responseMimeType": "text/x.enum"}
    assert body_of(call(extra={"generationConfig": own}))["generationConfig"] == own
