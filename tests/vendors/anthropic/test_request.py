"""Anthropic: from a compiled call to the body of a request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint, OutputSchema, ToolChoice, ToolSpec
from tests.cases import each
from tests.vendors.anthropic.calls import CACHED, HI, KEY, VENDOR, WEATHER, body, call, turns

HI_WIRE = [{"role": "user", "content": "Hi"}]


def test_the_smallest_request() -> None:
    """Model, limit and messages, and nothing else."""
    request = VENDOR.encode_request(call())
    assert str(request.url) == "https://api.anthropic.com/v1/messages"
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in request.headers
    assert "anthropic-beta" not in request.headers
    assert json.loads(request.content) == {
        "model": "claude-haiku-5-5",
        "max_tokens": 100,
        "messages": HI_WIRE,
    }


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        ("Be brief.", "Be brief."),
        (
            [{"type": "text", "text": "Be brief.", "cache_control": CACHED}],
            [{"type": "text", "text": "Be brief.", "cache_control": CACHED}],
        ),
    ],
)
def test_system(content: Any, wire: Any) -> None:
    """The system message goes to the top, as text or as blocks."""
    made = body(call([SystemMessage(content), *HI]))
    assert made["system"] == wire
    assert made["messages"] == HI_WIRE


def test_parallel_tool_round_trip() -> None:
    """Results of one turn, errors marked, and the user's words after them share one message."""
    sent = AIMessage(
        "Let me see.",
        tool_calls=[
            {"name": "weather", "args": {"city": "A"}, "id": "t1"},
            {"name": "now", "args": {}, "id": "t2"},
        ],
    )
    made = turns(
        *HI,
        sent,
        ToolMessage("sunny", tool_call_id="t1", name="weather"),
        ToolMessage("no clock", tool_call_id="t2", name="now", status="error"),
        HumanMessage("And?"),
    )
    assert made[1]["content"] == [
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "A"}},
        {"type": "tool_use", "id": "t2", "name": "now", "input": {}},
    ]
    assert made[2] == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"},
            {"type": "tool_result", "tool_use_id": "t2", "content": "no clock", "is_error": True},
            {"type": "text", "text": "And?"},
        ],
    }
    assert sent.content == "Let me see."


def test_tool_calls_in_place_are_not_repeated() -> None:
    """A call that the content holds already is not appended again."""
    blocks = [{"type": "tool_call", "id": "t1", "name": "weather", "args": {}}, {"type": "text", "text": "a"}]
    calls = [{"name": "weather", "args": {}, "id": "t1"}, {"name": "now", "args": {}, "id": "t2"}]
    made = turns(*HI, AIMessage(blocks, tool_calls=calls))[1]["content"]
    assert [block.get("id") for block in made] == ["t1", None, "t2"]


def test_tools() -> None:
    """Name, schema, description, strictness and hints; server tools verbatim after them."""
    tool = ToolSpec("f", "", {"properties": {}}, strict=True, extras={"cache_control": CACHED, "other": 1})
    server = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    made = body(call(tools=[WEATHER, tool], server_tools=[server]))
    assert made["tools"] == [
        {"name": "weather", "description": "Tells the weather.", "input_schema": WEATHER.parameters},
        {
            "name": "f",
            "input_schema": {"type": "object", "properties": {}},
            "strict": True,
            "cache_control": CACHED,
        },
        server,
    ]
    assert "tool_choice" not in made


@each(
    ("choice", "parallel", "wire"),
    [
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("any"), True, {"type": "any", "disable_parallel_tool_use": False}),
        (
            ToolChoice("tool", "weather"),
            False,
            {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        ),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, None, None),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, wire: dict[str, Any] | None) -> None:
    """Every mode, with and without parallel calls."""
    made = body(call(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=parallel))
    assert made.get("tool_choice") == wire


def test_structured_output_and_effort_share_output_config() -> None:
    """The schema goes out as it was compiled, and effort stands beside it."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
    made = body(
        call(output=OutputSchema("S", schema, method="json_schema"), params={"reasoning_effort": "high"})
    )
    assert made["output_config"] == {"effort": "high", "format": {"type": "json_schema", "schema": schema}}


def test_json_mode_without_a_schema_is_refused() -> None:
    """There is no such mode here; saying nothing would be worse."""
    with pytest.raises(errors.UnsupportedFeatureError):
        body(call(output=OutputSchema("S", None, method="json_mode")))


@each(
    ("params", "wire"),
    [
        ({"temperature": 0.0, "top_p": 0.5, "top_k": 3}, {"temperature": 0.0, "top_p": 0.5, "top_k": 3}),
        ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"stop": []}, {}),
        ({"user": "u1"}, {"metadata": {"user_id": "u1"}}),
        ({"service_tier": "standard_only"}, {"service_tier": "standard_only"}),
        ({"thinking": {"type": "disabled"}}, {"thinking": {"type": "disabled"}}),
    ],
)
def test_parameters(params: dict[str, Any], wire: dict[str, Any]) -> None:
    """Neutral names become Anthropic's."""
    made = body(call(params=params))
    assert made == {"model": "claude-haiku-5-5", "max_tokens": 100, "messages": HI_WIRE, **wire}


ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@each(
    ("model", "params", "wire"),
    [
        ("claude-sonnet-5", {"reasoning_effort": "low"}, (ADAPTIVE, {"effort": "low"}, 100)),
        ("claude-sonnet-5", {"reasoning_effort": "minimal"}, (ADAPTIVE, {"effort": "low"}, 100)),
        ("claude-sonnet-5", {"reasoning_effort": "none"}, ({"type": "disabled"}, None, 100)),
        ("claude-opus-5-5", {"reasoning_effort": "none"}, (None, {"effort": "low"}, 100)),
        (
            "claude-sonnet-5",
            {"reasoning_effort": "max", "thinking": {"type": "adaptive"}},
            ({"type": "adaptive"}, {"effort": "max"}, 100),
        ),
        (
            "claude-sonnet-4-5",
            {"reasoning_effort": "high", "max_tokens": 20_000},
            ({"type": "enabled", "budget_tokens": 16_000}, None, 20_000),
        ),
        ("claude-sonnet-4-5", {"reasoning_effort": "high"}, (None, None, 100)),
        (
            "claude-opus-4-5",
            {"reasoning_effort": "low", "max_tokens": 8000},
            ({"type": "enabled", "budget_tokens": 2048}, {"effort": "low"}, 8000),
        ),
        ("claude-3-haiku-20240307", {"reasoning_effort": "low", "max_tokens": 8000}, (None, None, 8000)),
    ],
)
def test_reasoning_effort(model: str, params: dict[str, Any], wire: tuple[Any, Any, int]) -> None:
    """Effort is adaptive thinking on newer models, a budget on older ones that leaves room to answer."""
    made = body(call(model=model, params=params))
    assert (made.get("thinking"), made.get("output_config"), made["max_tokens"]) == wire


def test_a_budget_makes_way() -> None:
    """Derived budgets drop the sampling they forbid, and yield to a forced tool."""
    params = {"reasoning_effort": "low", "max_tokens": 9000, "temperature": 0.2, "top_k": 1}
    made = body(call(model="claude-sonnet-4-5", params=params))
    assert "thinking" in made
    assert not {"temperature", "top_k"} & set(made)
    forced = call(model="claude-sonnet-4-5", params=params, tools=[WEATHER], tool_choice=ToolChoice("any"))
    assert "thinking" not in body(forced)
    assert body(forced)["temperature"] == 0.2


@each(
    ("model", "most"),
    [("claude-haiku-5-5", 32_000), ("claude-3-haiku-20240307", 4096), ("some-proxy-model", 4096)],
)
def test_default_max_tokens(model: str, most: int) -> None:
    """The required limit comes from the model's facts, within reason."""
    compiled = Call(model=model, endpoint=Endpoint("https://a.test"), messages=HI)
    assert body(compiled)["max_tokens"] == most


def test_extras_are_merged_last() -> None:
    """The caller's own fields win, dicts merge one level deep."""
    extra = {"output_config": {"task_budget": 1}, "max_tokens": 7, "container": "c", "inference_geo": "eu"}
    made = body(call(params={"reasoning_effort": "low"}, extra=extra))
    assert made["output_config"] == {"effort": "low", "task_budget": 1}
    assert (made["max_tokens"], made["container"], made["inference_geo"]) == (7, "c", "eu")


def test_stream_flag() -> None:
    """A stream is requested in the body."""
    assert body(call(stream=True))["stream"] is True


@each(("budget", "most"), [(2048, 32_000), (40_000, 44_096), (63_000, 64_000)])
def test_the_limit_holds_a_budget_of_thinking(budget: int, most: int) -> None:
    """Where the caller names none: the answer needs room beside it."""
    thinking = {"type": "enabled", "budget_tokens": budget}
    made = body(call(model="claude-haiku-4-5", params={"max_tokens": None, "thinking": thinking}))
    assert made["max_tokens"] == most
