"""The Anthropic codec: requests byte for byte, answers whole and streamed, errors, limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint, LimitState, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.anthropic.vendor import AnthropicVendor

VENDOR = AnthropicVendor()
KEY = "sk-ant-api03-not-a-real-key"
HI = [HumanMessage("Hi")]
HI_WIRE = [{"role": "user", "content": "Hi"}]
WEATHER = ToolSpec(
    "weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
CACHED = {"type": "ephemeral"}


def call(messages: list[BaseMessage] | None = None, **fields: Any) -> Call:
    """Return a call with sensible defaults and a fixed `max_tokens`."""
    params = {"max_tokens": 100, **fields.pop("params", {})}
    endpoint = fields.pop("endpoint", Endpoint("https://api.anthropic.com", SecretStr(KEY)))
    model = fields.pop("model", "claude-haiku-5-5")
    return Call(model=model, endpoint=endpoint, messages=messages or HI, params=params, **fields)


def body(asked: Call) -> dict[str, Any]:
    """Return the JSON body of the request for `asked`."""
    return json.loads(VENDOR.encode_request(asked).content)


def turns(*messages: BaseMessage) -> list[dict[str, Any]]:
    """Return the wire's turns for `messages`."""
    return body(call(list(messages)))["messages"]


# -- requests: head ------------------------------------------------------------------------------------


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
    ("endpoint", "header", "value"),
    [
        (Endpoint("https://a.test", SecretStr("any-key")), "x-api-key", "any-key"),
        (Endpoint("https://a.test", SecretStr("sk-ant-oat01-x")), "authorization", "Bearer sk-ant-oat01-x"),
        (Endpoint("https://a.test", SecretStr("Bearer gateway")), "authorization", "Bearer gateway"),
        (Endpoint("https://a.test", token_provider=lambda: "fresh"), "authorization", "Bearer fresh"),
        (Endpoint("https://a.test", headers={"X-Api-Key": "own"}), "x-api-key", "own"),
        (Endpoint("https://a.test", api_version="2026-10-21"), "anthropic-version", "2026-10-21"),
    ],
)
def test_credentials_and_version(endpoint: Endpoint, header: str, value: str) -> None:
    """Keys, bearer tokens, the user's own headers and versions each reach their header."""
    assert VENDOR.encode_request(call(endpoint=endpoint)).headers[header] == value


@pytest.mark.parametrize("base", ["https://gate.test/a", "https://gate.test/a/v1"])
def test_base_url_with_and_without_version(base: str) -> None:
    """People write the base URL either way."""
    assert str(VENDOR.encode_request(call(endpoint=Endpoint(base))).url) == "https://gate.test/a/v1/messages"


def test_beta_features_are_collected() -> None:
    """The user's header, the extra `betas` and what tools and files need share one header."""
    asked = call(
        [HumanMessage([{"type": "file", "file_id": "file_1"}])],
        endpoint=Endpoint("https://a.test", headers={"Anthropic-Beta": "mine-1, mine-2"}),
        server_tools=[{"type": "web_fetch_20250910", "name": "web_fetch"}],
        extra={"betas": ["theirs", "mine-1"]},
    )
    request = VENDOR.encode_request(asked)
    assert (
        request.headers["anthropic-beta"] == "mine-1,mine-2,theirs,web-fetch-2025-09-10,files-api-2025-04-14"
    )
    assert "betas" not in json.loads(request.content)


# -- requests: turns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "wire"),
    [
        (
            {"type": "text", "text": "a", "cache_control": CACHED},
            {"type": "text", "text": "a", "cache_control": CACHED},
        ),
        (
            {"type": "text", "text": "a", "extras": {"cache_control": CACHED}, "id": "lc_1"},
            {"type": "text", "text": "a", "cache_control": CACHED},
        ),
        (
            {"type": "image", "url": "https://x.test/a.png"},
            {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        ),
        (
            {"type": "image", "base64": "QUJD", "mime_type": "image/jpeg"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}},
        ),
        (
            {"type": "image", "url": "data:image/gif;base64,QUJD"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "QUJD"}},
        ),
        (
            {"type": "file", "base64": "QUJD", "mime_type": "application/pdf", "extras": {"title": "T"}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"},
                "title": "T",
            },
        ),
        (
            {"type": "file", "url": "https://x.test/a.pdf", "extras": {"citations": {"enabled": True}}},
            {
                "type": "document",
                "source": {"type": "url", "url": "https://x.test/a.pdf"},
                "citations": {"enabled": True},
            },
        ),
        (
            {"type": "file", "base64": "QUJD", "mime_type": "text/csv"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ABC"}},
        ),
        (
            {"type": "text-plain", "text": "words", "mime_type": "text/plain", "title": "T", "context": "C"},
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                "title": "T",
                "context": "C",
            },
        ),
        (
            {
                "type": "non_standard",
                "value": {"type": "search_result", "source": "s", "title": "t", "content": []},
            },
            {"type": "search_result", "source": "s", "title": "t", "content": []},
        ),
    ],
)
def test_input_blocks(block: dict[str, Any], wire: dict[str, Any]) -> None:
    """Each block of a user's turn, and of a tool's result, in Anthropic's words."""
    assert turns(HumanMessage([block])) == [{"role": "user", "content": [wire]}]
    used = AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "t1"}])
    *_, last = turns(*HI, used, ToolMessage([block], tool_call_id="t1"))
    assert last["content"] == [{"type": "tool_result", "tool_use_id": "t1", "content": [wire]}]


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
    asked = AIMessage(
        "Let me see.",
        tool_calls=[
            {"name": "weather", "args": {"city": "A"}, "id": "t1"},
            {"name": "now", "args": {}, "id": "t2"},
        ],
    )
    made = turns(
        *HI,
        asked,
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
    assert asked.content == "Let me see."


NATIVE = [
    {"type": "thinking", "thinking": "Hm\u2028, ä", "signature": "EqQB+/=="},
    {"type": "redacted_thinking", "data": "Ek0B/+=="},
    {"type": "text", "text": "I search."},
    {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "q"},
        "caller": {"type": "direct"},
    },
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "E/+="}],
        "caller": {"type": "direct"},
    },
    {"type": "server_tool_use", "id": "srvtoolu_2", "name": "code_execution", "input": {"code": "1"}},
    {
        "type": "code_execution_tool_result",
        "tool_use_id": "srvtoolu_2",
        "content": {"type": "x", "stdout": "1"},
    },
    {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "ask", "server_name": "s", "input": {}},
    {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": False, "content": []},
    {"type": "compaction", "content": "earlier"},
    {
        "type": "text",
        "text": "Found.",
        "citations": [
            {
                "type": "web_search_result_location",
                "cited_text": "c",
                "url": "u",
                "title": "t",
                "encrypted_index": "E/=",
            },
            {
                "type": "char_location",
                "cited_text": "c",
                "document_index": 0,
                "document_title": None,
                "start_char_index": 0,
                "end_char_index": 1,
            },
            {
                "type": "page_location",
                "cited_text": "c",
                "document_index": 0,
                "document_title": "D",
                "start_page_number": 1,
                "end_page_number": 2,
            },
            {
                "type": "content_block_location",
                "cited_text": "c",
                "document_index": 0,
                "document_title": "D",
                "start_block_index": 0,
                "end_block_index": 1,
            },
            {
                "type": "search_result_location",
                "cited_text": "c",
                "search_result_index": 0,
                "source": "s",
                "title": "t",
                "start_block_index": 0,
                "end_block_index": 1,
            },
        ],
    },
    {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "weather",
        "input": {"city": "A"},
        "caller": {"type": "direct"},
    },
]


def answer(blocks: list[dict[str, Any]], reason: str = "end_turn", **fields: Any) -> dict[str, Any]:
    """Return an answer of the vendor holding `blocks`."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5-20260801",
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        **fields,
    }


def decode(said: dict[str, Any], asked: Call | None = None) -> AIMessage:
    """Return the message in `said`."""
    return VENDOR.decode_response(asked or call(), json.dumps(said).encode(), {})


def test_native_blocks_return_byte_for_byte() -> None:
    """Whatever the vendor said goes back verbatim: from its own blocks, and from v1 blocks."""
    message = decode(answer(NATIVE, "tool_use"))
    assert message.content == NATIVE
    native, standard = (
        turns(*HI, AIMessage(content, tool_calls=message.tool_calls))[1]["content"]
        for content in (message.content, message.content_blocks)
    )
    assert native == NATIVE
    assert standard == NATIVE


def test_streamed_native_blocks_return_byte_for_byte() -> None:
    """The sum of a stream goes back like the whole answer, its indices and raw inputs left behind."""
    message = streamed(answer(NATIVE, "tool_use"))
    native, standard = (
        turns(*HI, AIMessage(content, tool_calls=message.tool_calls))[1]["content"]
        for content in (message.content, message.content_blocks)
    )
    assert native == NATIVE
    assert standard == NATIVE


def test_unsigned_reasoning_and_refusals_stay_behind() -> None:
    """The API takes neither."""
    blocks = [
        {"type": "reasoning", "reasoning": "x"},
        {"type": "refusal", "refusal": "no"},
        {"type": "text", "text": "a"},
    ]
    assert turns(*HI, AIMessage(blocks))[1]["content"] == [{"type": "text", "text": "a"}]


def test_tool_calls_in_place_are_not_repeated() -> None:
    """A call that the content holds already is not appended again."""
    blocks = [{"type": "tool_call", "id": "t1", "name": "weather", "args": {}}, {"type": "text", "text": "a"}]
    calls = [{"name": "weather", "args": {}, "id": "t1"}, {"name": "now", "args": {}, "id": "t2"}]
    made = turns(*HI, AIMessage(blocks, tool_calls=calls))[1]["content"]
    assert [block.get("id") for block in made] == ["t1", None, "t2"]


# -- requests: tools, output, parameters ---------------------------------------------------------------


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


@pytest.mark.parametrize(
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
    """The schema is closed, its unenforced limits become words, and effort stands beside it."""
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "A number."},
            "o": {"$ref": "#/$defs/O"},
        },
        "$defs": {"O": {"type": "object", "properties": {"minimum": {"type": "string"}}}},
    }
    made = body(
        call(output=OutputSchema("S", schema, method="json_schema"), params={"reasoning_effort": "high"})
    )
    assert made["output_config"] == {
        "effort": "high",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {
                    "n": {"type": "integer", "description": "A number. (minimum: 1)"},
                    "o": {"$ref": "#/$defs/O"},
                },
                "$defs": {
                    "O": {
                        "type": "object",
                        "properties": {"minimum": {"type": "string"}},
                        "additionalProperties": False,
                    }
                },
                "additionalProperties": False,
            },
        },
    }


def test_json_mode_without_a_schema_is_refused() -> None:
    """There is no such mode here; saying nothing would be worse."""
    with pytest.raises(errors.UnsupportedFeatureError):
        body(call(output=OutputSchema("S", None, method="json_mode")))


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
    ("model", "most"),
    [("claude-haiku-5-5", 32_000), ("claude-3-haiku-20240307", 4096), ("some-proxy-model", 4096)],
)
def test_default_max_tokens(model: str, most: int) -> None:
    """The required limit comes from the model's facts, within reason."""
    asked = Call(model=model, endpoint=Endpoint("https://a.test"), messages=HI)
    assert body(asked)["max_tokens"] == most


def test_extras_are_merged_last() -> None:
    """The caller's own fields win, dicts merge one level deep."""
    extra = {"output_config": {"task_budget": 1}, "max_tokens": 7, "container": "c", "inference_geo": "eu"}
    made = body(call(params={"reasoning_effort": "low"}, extra=extra))
    assert made["output_config"] == {"effort": "low", "task_budget": 1}
    assert (made["max_tokens"], made["container"], made["inference_geo"]) == (7, "c", "eu")


def test_stream_flag() -> None:
    """A stream is asked for in the body."""
    assert body(call(stream=True))["stream"] is True


# -- answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "content_filter"),
        ("a_new_one", "stop"),
    ],
)
def test_finish_reasons(reason: str, finish: str) -> None:
    """Every stop reason, whole and streamed, with the vendor's word beside ours."""
    said = answer([{"type": "text", "text": "a"}], reason)
    for message in (decode(said), streamed(said)):
        assert message.response_metadata["finish_reason"] == finish
        assert message.response_metadata["stop_reason"] == reason


def test_plain_answer() -> None:
    """A single text is a string, and metadata says who answered."""
    message = decode(answer([{"type": "text", "text": "Hello", "citations": None}]))
    assert message.content == "Hello"
    assert message.response_metadata == {
        "model_provider": "anthropic",
        "model_name": "claude-haiku-5-5-20260801",
        "finish_reason": "stop",
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
    said = answer([{"type": "text", "text": "a"}], "refusal", **fields)
    for message in (decode(said), streamed(said)):
        assert {name: message.response_metadata[name] for name in fields} == fields
        assert message.content_blocks[-1]["type"] == "refusal"


@pytest.mark.parametrize(
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
    said = answer([{"type": "text", "text": "a"}], usage=usage)
    assert decode(said).usage_metadata == expected
    assert streamed(said).usage_metadata == expected


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
    said = answer([{"type": "tool_use", "id": "t", "name": "f", "input": {}}], "max_tokens")
    assert not decode(said).tool_calls
    assert len(decode(said).invalid_tool_calls) == 1
    with pytest.raises(errors.TruncatedToolCallError):
        streamed(said)


def test_missing_ids_and_mapped_names() -> None:
    """A call without an id gets a stable one; the caller's own tool name returns."""
    said = answer([{"type": "tool_use", "name": "a_b", "input": {"x": 1}}], "tool_use")
    asked = call(tools=[WEATHER], tool_names={"a_b": "a.b"})
    for message in (decode(said, asked), streamed(said, asked)):
        assert [(each["id"], each["name"]) for each in message.tool_calls] == [("msg_1_call_0", "a.b")]
        assert message.content_blocks[0]["name"] == "a.b"


@pytest.mark.parametrize("said", [b"", b"<html>", b"[]", b"{}", b'{"content": "x"}', b'{"content": [1]}'])
def test_no_answer(said: bytes) -> None:
    """A 200 that holds no message is malformed."""
    with pytest.raises(errors.MalformedResponseError):
        VENDOR.decode_response(call(), said, {})


def test_error_inside_a_200() -> None:
    """It is the error it says, without the `retry-after` of successful responses."""
    said = {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "r",
    }
    with pytest.raises(errors.OverloadedError) as caught:
        VENDOR.decode_response(call(), json.dumps(said).encode(), {"retry-after": "9"})
    assert (caught.value.retry_after, caught.value.request_id, caught.value.status_code) == (None, "r", None)


# -- streams -------------------------------------------------------------------------------------------


def wire(*events: dict[str, Any]) -> bytes:
    """Return `events` as server-sent events, padded as the vendor pads them."""
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}   \n\n".encode() for e in events)


def _deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    kind = block["type"]
    if kind == "text":
        cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
        return [*cited, *({"type": "text_delta", "text": letter} for letter in block["text"])]
    if kind == "thinking":
        said = [{"type": "thinking_delta", "thinking": letter} for letter in block["thinking"]]
        return [*said, {"type": "signature_delta", "signature": block["signature"]}]
    if kind == "compaction":
        return [{"type": "compaction_delta", "content": block["content"]}]
    if "input" in block:
        text = json.dumps(block["input"]) if block["input"] else ""
        return [{"type": "input_json_delta", "partial_json": piece} for piece in ("", text[:5], text[5:])]
    return []


_SHELLS = {"text": "", "thinking": "", "signature": "", "input": {}}


def events(said: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events by which the vendor would stream `said`."""
    late = ("stop_reason", "stop_sequence", "stop_details", "container")
    usage = said["usage"]
    started = {**said, "content": [], "usage": {**usage, "output_tokens": 1} if usage else usage}
    made = [{"type": "message_start", "message": {k: v for k, v in started.items() if k not in late}}]
    for index, block in enumerate(said["content"]):
        shell = {name: _SHELLS.get(name, value) for name, value in block.items()}
        if block["type"] == "compaction":
            shell["content"] = None
        if shell.get("citations"):
            shell["citations"] = []
        made.append({"type": "content_block_start", "index": index, "content_block": shell})
        made.append({"type": "ping"})
        made.extend(
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in _deltas(block)
        )
        made.append({"type": "content_block_stop", "index": index})
    delta = {name: said[name] for name in late if name in said}
    made.append({"type": "message_delta", "delta": delta, "usage": usage})
    if "context_management" in said:
        made[-1]["context_management"] = said["context_management"]
    return [*made, {"type": "message_stop"}]


def chunks(data: bytes, asked: Call | None = None, *, sizes: list[int] | None = None) -> list[AIMessageChunk]:
    """Return all chunks of a stream, fed whole or in pieces of `sizes`."""
    decoder = VENDOR.stream_decoder(asked or call(), {})
    made: list[AIMessageChunk] = []
    for size in sizes or []:
        made += decoder.feed(data[:size])
        data = data[size:]
    made += decoder.feed(data)
    return made + decoder.close()


def total(made: list[AIMessageChunk]) -> AIMessageChunk:
    """Return the sum of chunks."""
    first, *rest = made
    for chunk in rest:
        first = first + chunk
    return first


def streamed(said: dict[str, Any], asked: Call | None = None) -> AIMessageChunk:
    """Return the sum of the stream of `said`."""
    return total(chunks(wire(*events(said)), asked))


def _comparable(content: Any) -> Any:
    """Return content without what only a stream has: indices, and inputs as the text that came."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    made = []
    for block in content:
        plain = {k: v for k, v in block.items() if k not in {"index", "partial_json"}}
        if block.get("partial_json"):
            plain["input"] = json.loads(block["partial_json"])
        made.append(plain)
    return made


@pytest.mark.parametrize("tools", [(), (WEATHER,)])
@pytest.mark.parametrize(
    "blocks",
    [[NATIVE[2]], NATIVE, [NATIVE[0], NATIVE[2]], [NATIVE[-1]], [NATIVE[2], NATIVE[2]], [NATIVE[10]], []],
)
def test_the_sum_of_a_stream_is_the_answer(blocks: list[dict[str, Any]], tools: tuple[ToolSpec, ...]) -> None:
    """Content, blocks, calls, usage and metadata are those of the whole answer."""
    said, asked = answer(blocks), call(tools=tools)
    whole, summed = decode(said, asked), streamed(said, asked)
    if tools or not blocks or blocks[0]["type"] != "text" or len(blocks) == 1:
        assert _comparable(summed.content) == _comparable(whole.content)
        assert [_without_index(b) for b in summed.content_blocks] == [
            _without_index(b) for b in whole.content_blocks
        ]
    assert str(summed.text) == str(whole.text)
    assert summed.tool_calls == whole.tool_calls
    assert summed.usage_metadata == whole.usage_metadata
    assert summed.response_metadata == whole.response_metadata


def _without_index(block: Any) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != "index"}


@pytest.mark.parametrize("tools", [(), (WEATHER,)])
def test_every_scalar_is_said_once(tools: tuple[ToolSpec, ...]) -> None:
    """Only the last chunk has usage and metadata; no chunk is empty; text comes as it came."""
    made = chunks(wire(*events(answer([{"type": "text", "text": "Hello"}]))), call(tools=tools))
    assert [str(chunk.text) for chunk in made] == ["H", "e", "l", "l", "o", ""]
    for chunk in made[:-1]:
        assert chunk.response_metadata == {"model_provider": "anthropic"}
        assert chunk.usage_metadata is None
        assert chunk.chunk_position is None
    assert made[-1].chunk_position == "last"
    assert isinstance(total(made).content, list if tools else str)


def test_chunks_share_nothing() -> None:
    """Changing one chunk changes no other."""
    first, second, *_ = chunks(wire(*events(answer([{"type": "text", "text": "ab"}]))))
    first.response_metadata["x"] = 1
    first.additional_kwargs["x"] = 1
    first.tool_calls.append({"name": "f", "args": {}, "id": "1"})
    assert second == AIMessageChunk("b", response_metadata={"model_provider": "anthropic"})


def test_parallel_calls_stream_apart() -> None:
    """Each call has its index; id and name come once; a call without arguments is a call with none."""
    blocks = [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": [1, 2]}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {}},
    ]
    made = chunks(wire(*events(answer(blocks, "tool_use"))), call(tools=[WEATHER]))
    pieces = [piece for chunk in made for piece in chunk.tool_call_chunks]
    assert [piece["id"] for piece in pieces if piece["id"]] == ["a", "b"]
    assert {piece["index"] for piece in pieces} == {0, 1}
    assert [(each["name"], each["args"]) for each in total(made).tool_calls] == [
        ("f", {"x": [1, 2]}),
        ("g", {}),
    ]


def test_input_given_at_once() -> None:
    """Some servers put the whole input into the block's start."""
    made = events(answer([{"type": "tool_use", "id": "a", "name": "f", "input": {}}], "tool_use"))
    made[1]["content_block"]["input"] = {"x": 1}
    assert total(chunks(wire(*made))).tool_calls[0]["args"] == {"x": 1}


def test_text_and_thought_in_a_block_start_are_kept() -> None:
    """Opening content may come before any delta."""
    made = events(
        answer([{"type": "thinking", "thinking": "b", "signature": "s"}, {"type": "text", "text": "d"}])
    )
    made[1]["content_block"]["thinking"] = "a"
    made[6]["content_block"]["text"] = "c"
    assert [block.get("thinking") or block.get("text") for block in total(chunks(wire(*made))).content] == [
        "ab",
        "cd",
    ]


def test_unknown_events_blocks_and_deltas_do_no_harm() -> None:
    """What the vendor may add later is kept or skipped, never an error."""
    made = events(answer([{"type": "from_the_future", "x": 1}]))
    made.insert(2, {"type": "content_block_delta", "index": 0, "delta": {"type": "future_delta", "y": "z"}})
    made.insert(2, {"type": "future_event"})
    assert total(chunks(wire(*made))).content == [{"type": "from_the_future", "x": 1, "index": 0, "y": "z"}]


def test_usage_takes_the_last_values() -> None:
    """Counters are cumulative: later ones replace, absent and null ones keep."""
    made = events(answer([{"type": "text", "text": "a"}]))
    made[0]["message"]["usage"] = {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1}
    made[-2]["usage"] = {"input_tokens": 8, "cache_read_input_tokens": None, "output_tokens": 7}
    usage = total(chunks(wire(*made))).usage_metadata
    assert usage is not None
    assert (usage["input_tokens"], usage["output_tokens"]) == (10, 7)


def test_refused_arguments() -> None:
    """Arguments that are cut or no object never become a valid call."""
    for text in ('{"x": ', "[1]", "null"):
        made = events(answer([{"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}], "tool_use"))
        made = [each for each in made if "delta" not in each or each["type"] == "message_delta"]
        delta = {"type": "input_json_delta", "partial_json": text}
        made.insert(2, {"type": "content_block_delta", "index": 0, "delta": delta})
        decoder = VENDOR.stream_decoder(call(tools=[WEATHER]), {})
        got = decoder.feed(wire(*made))
        assert all(chunk.chunk_position is None for chunk in got)
        with pytest.raises(errors.TruncatedToolCallError):
            decoder.close()


@pytest.mark.parametrize(
    ("data", "cls"),
    [
        (b"", errors.TruncatedStreamError),
        (b"event: message_stop\ndata: {", errors.TruncatedStreamError),
        (b"event: x\ndata: {\n\n", errors.MalformedResponseError),
        (b"event: x\ndata: [1]\n\n", errors.MalformedResponseError),
        (
            b'event: content_block_delta\ndata: {"type": "content_block_delta"}\n\n',
            errors.MalformedResponseError,
        ),
        (
            b'data: {"type": "error", "error": {"type": "overloaded_error", "message": "O"}}\n\n',
            errors.OverloadedError,
        ),
        (
            b'data: {"error":{"type":"invalid_request_error", "message": "prompt is too long"}}\n\n',
            errors.ContextOverflowError,
        ),
    ],
)
def test_broken_streams(data: bytes, cls: type[errors.DispatchError]) -> None:
    """Nothing, half an event, nonsense and errors in the stream each raise their own class."""
    with pytest.raises(cls) as caught:
        chunks(data)
    assert type(caught.value) is cls


def test_text_before_an_error_is_not_lost() -> None:
    """What came in the same bytes is delivered first, the error at the next call."""
    made = events(answer([{"type": "text", "text": "ab"}]))[:4]
    data = wire(*made, {"type": "error", "error": {"type": "api_error", "message": "Internal"}})
    decoder = VENDOR.stream_decoder(call(), {})
    assert [chunk.text for chunk in decoder.feed(data)] == ["a"]
    assert not decoder.done
    with pytest.raises(errors.ServerError):
        decoder.feed(b"")


STREAM = wire(*events(answer(NATIVE, "tool_use")))
WHOLE = total(chunks(STREAM, call(tools=[WEATHER])))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 300), max_size=60))
def test_any_split_means_the_same(sizes: list[int]) -> None:
    """Where the bytes are cut into pieces makes no difference."""
    assert total(chunks(STREAM, call(tools=[WEATHER]), sizes=sizes)) == WHOLE


@settings(max_examples=50, deadline=None)
@given(st.integers(0, STREAM.rindex(b"message_stop") - 1))
def test_any_cut_is_noticed(end: int) -> None:
    """A stream that ends before its end marker raises, and no chunk says it was the last."""
    decoder = VENDOR.stream_decoder(call(tools=[WEATHER]), {})
    got = decoder.feed(STREAM[:end])
    assert all(chunk.chunk_position is None for chunk in got)
    with pytest.raises(errors.TruncatedStreamError):
        decoder.close()


# -- errors and limits ---------------------------------------------------------------------------------


def refused(status: int, said: Any, headers: dict[str, str] | None = None) -> errors.VendorError:
    """Return the error of a response."""
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    return VENDOR.decode_error(call(), status, headers or {}, data)


def error(kind: str, message: str = "m", **details: Any) -> dict[str, Any]:
    """Return an error body."""
    inner = {"type": kind, "message": message, **({"details": details} if details else {})}
    return {"type": "error", "error": inner, "request_id": "req_body"}


@pytest.mark.parametrize(
    ("status", "said", "cls", "retryable"),
    [
        (400, error("invalid_request_error"), errors.InvalidRequestError, False),
        (401, error("authentication_error"), errors.AuthenticationError, False),
        (402, error("billing_error"), errors.QuotaExceededError, False),
        (403, error("permission_error"), errors.PermissionDeniedError, False),
        (404, error("not_found_error"), errors.ModelNotFoundError, False),
        (409, error("conflict_error"), errors.ServerError, True),
        (413, error("request_too_large"), errors.RequestTooLargeError, False),
        (429, error("rate_limit_error"), errors.RateLimitError, True),
        (
            429,
            error("rate_limit_error", error_code="enforced_spend_limit_reached"),
            errors.QuotaExceededError,
            False,
        ),
        (429, error("rate_limit_error", error_code="ramp_limit_exceeded"), errors.RateLimitError, True),
        (500, error("api_error"), errors.ServerError, True),
        (504, error("timeout_error"), errors.ServerError, True),
        (529, error("overloaded_error"), errors.OverloadedError, True),
        (408, b"", errors.ServerError, True),
        (413, b"<html>413 Request Entity Too Large</html>", errors.RequestTooLargeError, False),
        (422, {"detail": "x"}, errors.InvalidRequestError, False),
        (502, b"Bad Gateway", errors.ServerError, True),
        (503, b"upstream connect error", errors.OverloadedError, True),
    ],
)
def test_errors_by_type_and_status(
    status: int, said: Any, cls: type[errors.VendorError], retryable: bool
) -> None:
    """Anthropic's types, its codes, and the statuses of proxies that speak no JSON."""
    found = refused(status, said)
    assert type(found) is cls
    assert found.is_retryable is retryable
    assert found.status_code == status


@pytest.mark.parametrize(
    ("message", "cls"),
    [
        ("prompt is too long: 200016 tokens > 200000 maximum", errors.ContextOverflowError),
        ("input length and `max_tokens` exceed context limit: 1 + 2 > 2", errors.ContextOverflowError),
        ("Your credit balance is too low to access the Anthropic API.", errors.QuotaExceededError),
        ("You have reached your specified API usage limits.", errors.QuotaExceededError),
        ("Output blocked by content filtering policy", errors.ContentFilterError),
        ("messages.1.content.0: Invalid `signature` in `thinking` block", errors.ForeignSignatureError),
        (
            "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified",
            errors.ForeignSignatureError,
        ),
        (
            "Expected `thinking` or `redacted_thinking`, but found `tool_use`.",
            errors.ForeignSignatureError,
        ),
        ("`temperature` is deprecated for this model.", errors.UnsupportedParameterError),
        ("adaptive thinking is not supported on this model", errors.UnsupportedParameterError),
        ("This model does not support assistant message prefill.", errors.UnsupportedParameterError),
        ("temperature: Extra inputs are not permitted", errors.UnsupportedParameterError),
        (
            "`temperature` may only be set to 1 when thinking is enabled.",
            errors.UnsupportedParameterError,
        ),
        ("messages.0.content: Input should be a valid list", errors.InvalidRequestError),
        ("`max_tokens` must be greater than `thinking.budget_tokens`.", errors.InvalidRequestError),
    ],
)
def test_errors_by_text(message: str, cls: type[errors.VendorError]) -> None:
    """One type covers many causes; its texts tell those apart that another target may not have."""
    assert type(refused(400, error("invalid_request_error", message))) is cls


@pytest.mark.parametrize(
    ("status", "kind", "headers", "cls", "retryable", "after"),
    [
        (
            429,
            "rate_limit_error",
            {"retry-after": "7", "x-should-retry": "true"},
            errors.RateLimitError,
            True,
            7.0,
        ),
        (429, "rate_limit_error", {"x-should-retry": "true"}, errors.RateLimitError, True, None),
        (429, "rate_limit_error", {"x-should-retry": "false"}, errors.RequestTooLargeError, False, None),
        (500, "api_error", {"x-should-retry": "false"}, errors.ServerError, False, None),
        (529, "overloaded_error", {"retry-after-ms": "250"}, errors.OverloadedError, True, 0.25),
    ],
)
def test_the_vendors_word_on_retrying(
    status: int, kind: str, headers: dict[str, str], cls: type[Any], retryable: bool, after: float | None
) -> None:
    """`x-should-retry` and `retry-after` are believed."""
    found = refused(status, error(kind), headers)
    assert (type(found), found.is_retryable, found.retry_after) == (cls, retryable, after)


def test_request_ids_and_keys_in_errors() -> None:
    """The header's id wins over the body's; a key that the vendor repeats is blotted out."""
    assert refused(400, error("invalid_request_error")).request_id == "req_body"
    assert refused(400, error("api_error"), {"request-id": "req_head"}).request_id == "req_head"
    assert KEY not in str(refused(401, error("authentication_error", f"bad key {KEY}")))


def test_limits() -> None:
    """Requests and tokens, with seconds counted from the response's own date."""
    headers = {
        "date": "Wed, 11 Feb 2026 23:43:50 GMT",
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-02-11T23:43:57Z",
        "anthropic-ratelimit-input-tokens-limit": "30000",
        "anthropic-ratelimit-input-tokens-remaining": "-1",
        "anthropic-ratelimit-input-tokens-reset": "nonsense",
        "anthropic-ratelimit-output-tokens-remaining": "8000",
    }
    assert VENDOR.limits(headers) == [
        LimitState("requests", 0, 50, 7.0),
        LimitState("tokens", None, 30_000, None),
        LimitState("tokens", 8000, None, None),
    ]
    assert VENDOR.limits({}) == []


def test_capabilities() -> None:
    """Known models have a profile, unknown ones none."""
    profile = VENDOR.capabilities("claude-haiku-5-5")
    assert profile is not None
    assert profile["tool_calling"]
    assert VENDOR.capabilities("no-such-model") is None
