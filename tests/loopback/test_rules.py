"""Every rule fires on what it forbids, and lets the ordinary request pass."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cases import each
from tests.loopback.dialects import DIALECTS
from tests.loopback.rules.foreign import ANTHROPIC_SIGNATURE, GOOGLE_SIGNATURE, OPENAI_REASONING
from tests.loopback.samples import JSON, SCHEMA, VENDORS, post, prompt, service
from tests.loopback.server import LoopbackServer

USER = {"role": "user", "content": "Hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "3"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
FUNCTION = {"name": "f", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
USE = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
USED = {"type": "tool_result", "tool_use_id": "c1", "content": "3"}
MADE = {
    "role": "model",
    "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": GOOGLE_SIGNATURE}],
}
GIVEN = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "3"}}}]}
GOOGLE_USER = {"role": "user", "parts": [{"text": "Hi"}]}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
CATALOG: dict[str, list[tuple[str, JSON]]] = {
    "openai": [
        ("unknown field", {"top_k": 3}),
        ("model", {"model": None}),
        ("messages", {"messages": []}),
        ("messages", {"messages": None}),
        ("roles", {"messages": [{"role": "model", "content": "x"}]}),
        ("content", {"messages": [{"role": "user", "content": None}]}),
        ("content parts", {"messages": [USER, CALLING, RESULT | {"content": [IMAGE]}]}),
        ("name", {"messages": [USER | {"name": "Jane Doe"}]}),
        ("tool pairs", {"messages": [USER, CALLING]}),
        ("tool pairs", {"messages": [USER, RESULT]}),
        ("tool pairs", {"messages": [USER, CALLING, USER, RESULT]}),
        (
            "tool calls",
            {
                "messages": [
                    USER,
                    CALLING | {"tool_calls": [CALL | {"id": "x" * 41}]},
                    RESULT | {"tool_call_id": "x" * 41},
                ]
            },
        ),
        ("sampling", {"model": "gpt-5.4-mini", "temperature": 0.2}),
        ("sampling", {"model": "gpt-6-luna", "temperature": 0}),
        ("sampling", {"model": "o3", "top_p": 0.5}),
        ("max_tokens", {"model": "gpt-6-luna", "max_tokens": 10}),
        ("stop", {"model": "o4-mini", "stop": ["x"]}),
        ("tool options", {"tool_choice": "auto"}),
        ("tool options", {"tools": []}),
        ("tools", {"tools": [{"type": "function", "function": {"name": "a b"}}]}),
        ("tool choice", {"tools": [TOOL], "tool_choice": "any"}),
        (
            "strict schema",
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": OPEN}}]},
        ),
        ("schema name", {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}}),
        ("json word", {"response_format": {"type": "json_object"}}),
        ("stream options", {"stream_options": {"include_usage": True}}),
    ],
    "responses": [
        ("unknown field", {"max_tokens": 3}),
        ("model", {"model": None}),
        ("input", {"input": []}),
        ("content parts", {"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}),
        (
            "item ids",
            {
                "input": [
                    {"type": "function_call", "id": "c1", "call_id": "c1", "name": "f", "arguments": "{}"}
                ]
            },
        ),
        (
            "tool pairs",
            {"input": [{"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}]},
        ),
        ("tool pairs", {"input": [{"type": "function_call_output", "call_id": "c1", "output": "3"}]}),
        ("tool form", {"tools": [TOOL]}),
        ("sampling", {"model": "gpt-6-luna", "temperature": 0}),
    ],
    "huggingface": [("model", {"model": ""}), ("tool pairs", {"messages": [USER, RESULT]})],
    "anthropic": [
        ("output schema", {"output_config": {"format": {"type": "json_schema", "schema": OPEN}}}),
        ("tools", {"tools": [{"name": "f", "input_schema": OPEN | {"properties": {"a[]": {}}}}]}),
        ("unknown field", {"seed": 3}),
        ("required", {"max_tokens": None}),
        ("required", {"max_tokens": 0}),
        ("required", {"messages": []}),
        ("roles", {"messages": [USER, {"role": "system", "content": "x"}]}),
        ("roles", {"messages": [{"role": "assistant", "content": "x"}]}),
        ("empty content", {"messages": [{"role": "user", "content": ""}]}),
        ("blank text", {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}),
        ("blank text", {"messages": [{"role": "user", "content": " \n"}]}),
        ("trailing space", {"messages": [USER, {"role": "assistant", "content": "So "}]}),
        ("call ids", {"messages": [USER, {"role": "assistant", "content": [USE | {"id": "a.b"}]}]}),
        ("tool pairs", {"messages": [USER, {"role": "assistant", "content": [USE]}, USER]}),
        ("tool pairs", {"messages": [{"role": "user", "content": [USED]}]}),
        (
            "tool pairs",
            {"messages": [USER, {"role": "assistant", "content": "x"}, {"role": "user", "content": [USED]}]},
        ),
        (
            "results first",
            {
                "messages": [
                    USER,
                    {"role": "assistant", "content": [USE]},
                    {"role": "user", "content": [{"type": "text", "text": "x"}, USED]},
                ]
            },
        ),
        ("sampling", {"model": "claude-sonnet-5-5", "temperature": 0}),
        ("sampling", {"model": "claude-fable-5-2", "top_k": 3}),
        ("forced choice", {"tool_choice": {"type": "any"}}),
        (
            "forced choice",
            {
                "model": "claude-sonnet-5-5",
                "tools": [{"name": "f", "input_schema": SCHEMA}],
                "tool_choice": {"type": "any"},
            },
        ),
        ("thinking", {"thinking": {"type": "enabled", "budget_tokens": 5000}}),
        ("thinking", {"model": "claude-opus-5-5", "thinking": {"type": "enabled", "budget_tokens": 500}}),
        (
            "signatures",
            {
                "messages": [
                    USER,
                    {
                        "role": "assistant",
                        "content": [{"type": "thinking", "thinking": "x", "signature": GOOGLE_SIGNATURE}],
                    },
                    USER,
                ]
            },
        ),
        ("tools", {"tools": [{"name": "a b", "input_schema": SCHEMA}]}),
        ("tools", {"tools": [{"name": "f", "input_schema": {}}]}),
        ("stop sequences", {"stop_sequences": ["\n"]}),
        (
            "cache marks",
            {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5},
        ),
    ],
    "google": [
        ("unknown field", {"temperature": 1}),
        ("unknown field", {"generationConfig": {"max_tokens": 1}}),
        ("contents", {"contents": []}),
        ("parts", {"contents": [{"role": "user", "parts": []}]}),
        ("parts", {"contents": [{"role": "user", "parts": [{"text": ""}]}]}),
        ("roles", {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}),
        ("tool pairs", {"contents": [GOOGLE_USER, GIVEN]}),
        ("tool pairs", {"contents": [GOOGLE_USER, MADE, GOOGLE_USER]}),
        ("last call", {"contents": [GOOGLE_USER, MADE]}),
        (
            "function responses",
            {
                "contents": [
                    GOOGLE_USER,
                    MADE,
                    {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": "3"}}]},
                ]
            },
        ),
        (
            "thought signature",
            {
                "contents": [
                    GOOGLE_USER,
                    {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
                    GIVEN,
                ]
            },
        ),
        (
            "foreign signature",
            {
                "contents": [
                    {"role": "model", "parts": [{"text": "x", "thoughtSignature": ANTHROPIC_SIGNATURE}]},
                    GOOGLE_USER,
                ]
            },
        ),
        (
            "schema words",
            {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"$ref": "#/x"}}]}]},
        ),
        (
            "schema words",
            {
                "generationConfig": {
                    "responseMimeType": "application/json",
                    "responseSchema": OPEN | {"additionalProperties": False},
                }
            },
        ),
        (
            "schema words",
            {
                "tools": [
                    {"functionDeclarations": [{"name": "f", "parameters": {"type": ["string", "null"]}}]}
                ]
            },
        ),
        ("functions", {"tools": [{"functionDeclarations": [{"name": "1f"}]}]}),
        (
            "tool choice",
            {
                "tools": [{"functionDeclarations": [FUNCTION]}],
                "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["f"]}},
            },
        ),
        ("response shape", {"generationConfig": {"responseSchema": OPEN}}),
        ("thinking", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "low"}}}),
        (
            "thinking",
            {"model": "gemini-2.5-flash", "generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}},
        ),
        ("stop sequences", {"generationConfig": {"stopSequences": ["a"] * 6}}),
        (
            "JSON schema",
            {
                "generationConfig": {
                    "responseMimeType": "application/json",
                    "responseJsonSchema": OPEN | {"minLength": 1},
                }
            },
        ),
    ],
    "cohere": [
        ("unknown field", {"top_p": 0.5}),
        ("unknown field", {"top_k": 5}),
        ("required", {"model": None}),
        ("roles", {"messages": [{"role": "developer", "content": "x"}]}),
        ("content", {"messages": [{"role": "user", "content": ""}]}),
        ("tool pairs", {"messages": [USER, CALLING]}),
        ("tool pairs", {"messages": [USER, RESULT]}),
        ("tool results", {"messages": [USER, CALLING, RESULT | {"content": [IMAGE]}]}),
        ("tools", {"tools": [{"type": "function", "function": {}}]}),
        ("tool choice", {"tools": [TOOL], "tool_choice": "required"}),
        ("response format", {"tools": [TOOL], "response_format": {"type": "json_object"}}),
        ("response format", {"response_format": {"type": "json_object", "schema": OPEN}}),
        ("limits", {"p": 1.0}),
    ],
    "ollama": [
        ("unknown field", {"temperature": 0}),
        ("model", {"model": ""}),
        ("messages", {"messages": []}),
        ("messages", {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}),
        ("arguments", {"messages": [USER, CALLING | {"content": ""}]}),
        ("images", {"messages": [USER | {"images": ["data:image/png;base64,AA=="]}]}),
        ("format", {"format": "yaml"}),
    ],
}
CASES = [(vendor, rule, change) for vendor, cases in CATALOG.items() for rule, change in cases]


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    """One server for all rules."""
    with LoopbackServer() as started:
        yield started


def rejection(server: LoopbackServer, vendor: str) -> Any:
    """The rule that the last request of a vendor broke."""
    return server.requests_to(service(vendor))[-1].rejected


@each(("vendor", "rule", "change"), CASES)
def test_the_rule_fires(server: LoopbackServer, vendor: str, rule: str, change: JSON) -> None:
    body = {**copy.deepcopy(prompt(vendor, "Hi")), **change}
    response = post(server, vendor, {key: value for key, value in body.items() if value is not None})
    assert rejection(server, vendor) == rule
    assert response.status_code in {400, 422}
    assert response.headers["content-type"].startswith("application/json")


def test_every_rule_is_tried() -> None:
    untried = {"version header", "api-version", "tools", "tool choice", "tool options", "strict schema"}
    for (vendor, api), dialect in DIALECTS.items():
        cases = CATALOG.get("responses" if api == "responses" else vendor, CATALOG["openai"])
        if vendor not in {"huggingface", "compatible"}:
            assert {rule.name for rule in dialect.rules} - {rule for rule, _ in cases} <= untried
        assert all(rule.source for rule in dialect.rules)


@each("vendor", VENDORS)
def test_bad_and_missing_keys(server: LoopbackServer, vendor: str) -> None:
    none = {"authorization": None, "api-key": None, "x-api-key": None, "x-goog-api-key": None}
    bad = {
        "anthropic": {"x-api-key": "bad-key"},
        "google": {"x-goog-api-key": "bad-key"},
        "azure": {"api-key": "bad-key"},
    }
    status = 400 if vendor == "google" else 401
    for headers in (bad.get(vendor, {"authorization": "Bearer bad-key"}), {} if vendor == "ollama" else none):
        response = post(server, vendor, prompt(vendor, "Hi"), headers=headers)
        assert response.status_code == (status if headers else 200)
    if vendor == "google":
        assert response.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_headers_and_addresses(server: LoopbackServer) -> None:
    post(server, "anthropic", prompt("anthropic", "Hi"), headers={"anthropic-version": None})
    assert rejection(server, "anthropic") == "version header"
    newest = {"anthropic-version": "2026-10-21"}
    post(server, "anthropic", prompt("anthropic", "Hi") | {"temperature": 1}, headers=newest)
    assert rejection(server, "anthropic") == "sampling"
    assert post(server, "anthropic", prompt("anthropic", "Hi"), headers=newest).status_code == 200
    post(server, "google", prompt("google", "Hi") | {"model": "gemini-3.8-flash:generateContent?key=k#"})
    assert rejection(server, "google") == "key in the address"


@each(
    ("vendor", "change"),
    [
        ("openai", {"model": "gpt-6-luna", "temperature": 0.2, "reasoning_effort": "none"}),
        ("openai", {"messages": [USER, CALLING, RESULT, USER]}),
        (
            "anthropic",
            {
                "messages": [
                    USER,
                    USER,
                    {"role": "assistant", "content": [USE]},
                    {"role": "user", "content": [USED]},
                ]
            },
        ),
        ("anthropic", {"temperature": 0.3, "top_k": 4}),
        ("google", {"contents": [GOOGLE_USER, MADE, GIVEN]}),
        (
            "google",
            {
                "model": "gemini-2.5-flash",
                "contents": [
                    GOOGLE_USER,
                    {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
                    GIVEN,
                ],
            },
        ),
        (
            "google",
            {
                "contents": [
                    GOOGLE_USER,
                    {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
                    GIVEN,
                    {"role": "model", "parts": [{"text": "3"}]},
                    GOOGLE_USER,
                ]
            },
        ),
        (
            "google",
            {
                "tools": [
                    {
                        "functionDeclarations": [
                            {"name": "f", "parametersJsonSchema": OPEN | {"additionalProperties": False}}
                        ]
                    }
                ]
            },
        ),
        ("cohere", {"p": 0.5, "k": 4, "messages": [USER, CALLING, RESULT]}),
        (
            "ollama",
            {
                "messages": [
                    USER,
                    {
                        "role": "assistant",
                        "content": "",
                        "tool_calls": [{"function": {"name": "f", "arguments": {}}}],
                    },
                    {"role": "tool", "content": "3"},
                ]
            },
        ),
    ],
)
def test_ordinary_requests_pass(server: LoopbackServer, vendor: str, change: JSON) -> None:
    response = post(server, vendor, prompt(vendor, "Hi") | change)
    assert response.status_code == 200, response.text


def test_leniency_can_be_asked_for() -> None:
    with LoopbackServer(strict=False) as server:
        assert post(
            server, "openai", prompt("openai", "Hi") | {"top_k": 3}, headers={"authorization": None}
        ).is_success


def test_signatures_are_distinguished() -> None:
    assert len({ANTHROPIC_SIGNATURE, GOOGLE_SIGNATURE, OPENAI_REASONING}) == 3
