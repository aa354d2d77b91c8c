"""OpenAI's Responses API: which calls go there, what they say, and what comes back, whole and streamed."""

from __future__ import annotations

import copy
import json
from itertools import pairwise
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
from langchain_llmdispatch.types import Call, Endpoint, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.history.compile import compile_messages
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


def test_output_may_not_be_missing() -> None:
    """A response without output is malformed."""
    with pytest.raises(errors.MalformedResponseError):
        VENDOR.decode_response(call(), b'{"id":"resp_1","status":"completed"}', {})


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
        ({"params": {"max_tokens": 9, "temperature": 0.5}}, {"max_output_tokens": 9, "temperature": 0.5}),
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
    assert len(items(*HI, AIMessage(thought), extra={"store": True})) == 3
    assert len(items(*HI, AIMessage(thought))) == 2


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


# -- answers -------------------------------------------------------------------------------------------

REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."}],
    "encrypted_content": "gAAAA-cipher",
    "status": None,
}
SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "weather"},
}
CITED = {"type": "url_citation", "url": "https://x.test", "title": "X", "start_index": 0, "end_index": 3}
MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "phase": "final_answer",
    "content": [{"type": "output_text", "text": "It rains.", "annotations": [CITED], "logprobs": []}],
}
CALLED = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city":"Köln"}',
    "status": "completed",
}
OUTPUT = [REASONING, SEARCH, MESSAGE, CALLED]
USAGE = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 16},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 50,
}


def response(output: list[Any], **fields: Any) -> dict[str, Any]:
    """Return a finished response."""
    head = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-6-luna-2026-09-01"}
    return {**head, "output": output, "usage": USAGE, "error": None, "incomplete_details": None, **fields}


def decoded(output: list[Any], **fields: Any) -> AIMessage:
    """Return what is decoded from a response."""
    return VENDOR.decode_response(call(), json.dumps(response(output, **fields)).encode(), {})


def test_answer() -> None:
    """Items stay in order and in LangChain's shape; facts are beside them."""
    message = decoded(OUTPUT)
    assert [block["type"] for block in message.content_blocks] == [
        "reasoning",
        "reasoning",
        "server_tool_call",
        "server_tool_result",
        "text",
        "tool_call",
    ]
    assert message.text == "It rains."
    assert message.tool_calls == [
        {"name": "weather", "args": {"city": "Köln"}, "id": "call_1", "type": "tool_call"}
    ]
    (cited,) = (block for block in message.content_blocks if block["type"] == "text")
    assert cited["annotations"][0]["url"] == "https://x.test"
    assert message.usage_metadata == {
        "input_tokens": 30,
        "output_tokens": 20,
        "total_tokens": 50,
        "input_token_details": {"cache_read": 16},
        "output_token_details": {"reasoning": 12},
    }
    assert message.response_metadata == {
        "model_provider": "openai",
        "model_name": "gpt-6-luna-2026-09-01",
        "finish_reason": "tool_calls",
        "id": "resp_1",
    }


@pytest.mark.parametrize(
    ("fields", "finish"),
    [
        ({}, "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
    ],
)
def test_finish_reasons(fields: dict[str, Any], finish: str) -> None:
    """Status and details become LangChain's finish reason."""
    assert decoded([MESSAGE], **fields).response_metadata["finish_reason"] == finish


def test_refusal() -> None:
    """A refusal is a block of its own, and no text."""
    part = {"type": "refusal", "refusal": "No."}
    message = decoded([{**MESSAGE, "content": [part]}])
    assert message.text == ""
    assert message.content_blocks[0]["type"] == "refusal"


def test_cut_call_is_invalid() -> None:
    """A call cut by the output limit is no valid call."""
    message = decoded([{**CALLED, "arguments": '{"city":', "status": "incomplete"}], status="incomplete")
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["id"] == "call_1"


def test_free_text_tool() -> None:
    """A custom tool's text is one argument, as LangChain has it, and its result goes back as such."""
    said = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c9", "name": "sql", "input": "select 1"}
    message = decoded([said])
    assert message.tool_calls[0]["args"] == {"__arg1": "select 1"}
    native: Any = [{"type": "non_standard", "value": said}]
    turn = AIMessage(native, tool_calls=message.tool_calls)
    sent = items(*HI, turn, ToolMessage("1", tool_call_id="c9"))
    assert sent[1:] == [said, {"type": "custom_tool_call_output", "call_id": "c9", "output": "1"}]


@pytest.mark.parametrize(
    ("reply", "cls"),
    [
        ({"status": "failed", "error": {"code": "server_error", "message": "x"}}, errors.ServerError),
        (
            {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "x"}},
            errors.RateLimitError,
        ),
        ({"status": "in_progress"}, errors.MalformedResponseError),
        ({"status": "cancelled"}, errors.MalformedResponseError),
    ],
)
def test_no_answers(reply: dict[str, Any], cls: type[errors.VendorError]) -> None:
    """A failed or unfinished response is no answer."""
    with pytest.raises(errors.VendorError) as raised:
        decoded([], **reply)
    assert type(raised.value) is cls


@pytest.mark.parametrize("source", ["whole", "streamed"])
def test_round_trip(source: str) -> None:
    """What the vendor said goes back as it was: reasoning with its cipher, search, text, call."""
    said = decoded(OUTPUT) if source == "whole" else summed(streamed(STREAM))
    thread = [*HI, said, ToolMessage("wet", tool_call_id="call_1", name="weather")]
    before = copy.deepcopy(thread)
    compiled, _ = compile_messages(thread, VENDOR.history, model="gpt-6-luna", vendor="openai")
    sent = items(*compiled)
    assert thread == before
    assert sent[1:] == [
        {k: v for k, v in REASONING.items() if v is not None},
        SEARCH,
        {
            "type": "message",
            "role": "assistant",
            "phase": "final_answer",
            "content": [{"type": "output_text", "text": "It rains.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Köln"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "wet"},
    ]


@pytest.mark.parametrize(
    "item",
    [
        {
            "type": "file_search_call",
            "id": "fs_1",
            "status": "completed",
            "queries": ["q"],
            "results": [{"a": 1}],
        },
        {
            "type": "code_interpreter_call",
            "id": "ci_1",
            "status": "completed",
            "code": "1+1",
            "container_id": "cntr_1",
            "outputs": [{"type": "logs", "logs": "2"}],
        },
        {
            "type": "mcp_call",
            "id": "mcp_1",
            "name": "roll",
            "server_label": "dice",
            "arguments": '{"n":1}',
            "output": "4",
        },
        {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "dice", "tools": [{"name": "roll"}]},
        {
            "type": "computer_call",
            "id": "cu_1",
            "call_id": "c1",
            "action": {"type": "click"},
            "status": "completed",
        },
    ],
)
def test_server_tools_round_trip(item: dict[str, Any]) -> None:
    """Calls that ran at the vendor go back as the items they were."""
    said = decoded([item, MESSAGE])
    compiled, _ = compile_messages([*HI, said, *HI], VENDOR.history, model="gpt-6-luna", vendor="openai")
    assert item in items(*compiled)


# -- streams -------------------------------------------------------------------------------------------


def events(*said: dict[str, Any]) -> bytes:
    """Return events as OpenAI frames them."""
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in said)


def item_event(kind: str, index: int, item: dict[str, Any]) -> dict[str, Any]:
    """Return the event that an item begins or is done."""
    return {"type": f"response.output_item.{kind}", "output_index": index, "item": item}


def delta(kind: str, index: int, text: str, **fields: Any) -> dict[str, Any]:
    """Return a piece of an item."""
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": text, **fields}


def summary(part: int, text: str) -> dict[str, Any]:
    """Return a piece of a reasoning summary."""
    return delta("reasoning_summary_text", 0, text, item_id="rs_1", summary_index=part)


HEAD = events(
    {"type": "response.created", "response": response([], status="in_progress", usage=None)},
    {"type": "response.in_progress", "response": response([], status="in_progress", usage=None)},
)
STREAM = HEAD + events(
    item_event("added", 0, {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "half"}),
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0},
    summary(0, "Fir"),
    summary(0, "st."),
    summary(1, "Then."),
    item_event("done", 0, REASONING),
    item_event("added", 1, {**SEARCH, "status": "in_progress"}),
    {"type": "response.web_search_call.searching", "output_index": 1, "item_id": "ws_1"},
    item_event("done", 1, SEARCH),
    item_event("added", 2, {**MESSAGE, "content": [], "status": "in_progress"}),
    delta("output_text", 2, "It ", content_index=0, item_id="msg_1", logprobs=[]),
    delta("output_text", 2, "rains.", content_index=0, item_id="msg_1"),
    {
        "type": "response.output_text.annotation.added",
        "output_index": 2,
        "content_index": 0,
        "annotation": CITED,
    },
    item_event("done", 2, MESSAGE),
    item_event("added", 3, {**CALLED, "arguments": "", "status": "in_progress"}),
    delta("function_call_arguments", 3, '{"city":', item_id="fc_1"),
    delta("function_call_arguments", 3, '"Köln"}', item_id="fc_1"),
    item_event("done", 3, CALLED),
    {"type": "response.completed", "response": response(OUTPUT)},
)


def streamed(*pieces: bytes) -> list[AIMessageChunk]:
    """Return the chunks of a stream that arrives in `pieces`."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    chunks += decoder.close()
    assert decoder.finished
    assert decoder.done
    return chunks


def summed(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    """Return the sum of chunks, as LangChain makes it."""
    total, *rest = chunks
    return total.__add__(rest) if rest else total  # type: ignore[operator,no-any-return]


def without_index(value: Any) -> Any:
    """Return content without the marks by which chunks find together."""
    if isinstance(value, dict):
        return {name: without_index(inner) for name, inner in value.items() if name != "index"}
    return [without_index(inner) for inner in value] if isinstance(value, list) else value


def test_stream_adds_up() -> None:
    """The sum of the chunks is the whole answer, block for block."""
    chunks = streamed(STREAM)
    total, whole = summed(chunks), decoded(OUTPUT)
    assert without_index(total.content) == without_index(whole.content)
    assert without_index(total.content_blocks) == without_index(whole.content_blocks)
    assert total.tool_calls == whole.tool_calls
    assert total.usage_metadata == whole.usage_metadata
    assert total.response_metadata == whole.response_metadata
    for chunk in chunks[:-1]:
        assert chunk.response_metadata == {"model_provider": "openai"}
        assert chunk.content
    assert chunks[-1].chunk_position == "last"


def test_plain_text_is_one_block() -> None:
    """However many pieces: one text block, under the v1 view too."""
    data = HEAD + events(
        item_event("added", 0, {**MESSAGE, "content": []}),
        *(delta("output_text", 0, text, content_index=0, item_id="msg_1") for text in "abc"),
        {"type": "response.completed", "response": response([MESSAGE])},
    )
    total = summed(streamed(data))
    assert total.text == "abc"
    assert [block["type"] for block in total.content_blocks] == ["text"]


def test_refusal_in_pieces() -> None:
    """A streamed refusal is one block."""
    data = HEAD + events(
        item_event("added", 0, {**MESSAGE, "content": []}),
        delta("refusal", 0, "N", content_index=0),
        delta("refusal", 0, "o.", content_index=0),
        {"type": "response.completed", "response": response([])},
    )
    (block,) = summed(streamed(data)).content_blocks
    assert block["type"] == "refusal"
    assert block["refusal"] == "No."


def test_arguments_in_one_piece_at_the_end() -> None:
    """A server that sends no deltas still sends the call."""
    data = events(
        item_event("added", 0, {**CALLED, "arguments": ""}),
        item_event("done", 0, CALLED),
        {"type": "response.completed", "response": response([CALLED])},
    )
    assert summed(streamed(data)).tool_calls == decoded([CALLED]).tool_calls


def test_silent_reasoning_and_free_text_tool() -> None:
    """Reasoning without a summary keeps its cipher; a custom call comes whole."""
    silent = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c"}
    custom = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c9", "name": "sql", "input": "select 1"}
    data = events(
        item_event("added", 0, {**silent, "encrypted_content": "half"}),
        item_event("done", 0, silent),
        item_event("added", 1, {**custom, "input": ""}),
        delta("custom_tool_call_input", 1, "select 1"),
        item_event("done", 1, custom),
        {"type": "response.completed", "response": response([silent, custom])},
    )
    total, whole = summed(streamed(data)), decoded([silent, custom])
    assert without_index(total.content) == whole.content
    assert total.tool_calls == whole.tool_calls


def test_reasoning_text_of_open_models() -> None:
    """Servers of open models stream reasoning as text."""
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "hm."}],
    }
    data = events(
        item_event("added", 0, {"type": "reasoning", "id": "rs_1", "summary": []}),
        delta("reasoning_text", 0, "h", item_id="rs_1", content_index=0),
        delta("reasoning_text", 0, "m.", item_id="rs_1", content_index=0),
        item_event("done", 0, item),
        {"type": "response.completed", "response": response([item])},
    )
    assert without_index(summed(streamed(data)).content) == decoded([item]).content


def test_incomplete_is_an_end() -> None:
    """An answer cut by the output limit is whole for the wire, and says `length`."""
    said = response([], status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    data = events(
        delta("output_text", 0, "It", content_index=0, item_id="msg_1"),
        {"type": "response.incomplete", "response": said},
    )
    assert summed(streamed(data)).response_metadata["finish_reason"] == "length"


def test_cut_call() -> None:
    """A call whose arguments are cut never becomes a valid one."""
    said = response([], status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    data = events(
        item_event("added", 0, {**CALLED, "arguments": ""}),
        delta("function_call_arguments", 0, '{"city":'),
        {"type": "response.incomplete", "response": said},
    )
    with pytest.raises(errors.TruncatedToolCallError):
        streamed(data)


@pytest.mark.parametrize(
    ("said", "cls"),
    [
        ({"type": "error", "code": "server_error", "message": "boom"}, errors.ServerError),
        (
            {"type": "error", "error": {"type": "too_many", "code": "rate_limit_exceeded"}},
            errors.RateLimitError,
        ),
        (
            {
                "type": "response.failed",
                "response": response(
                    [], status="failed", error={"code": "rate_limit_exceeded", "message": "x"}
                ),
            },
            errors.RateLimitError,
        ),
        ({"error": {"code": "insufficient_quota", "message": "pay"}}, errors.QuotaExceededError),
    ],
)
def test_errors_in_the_stream(said: dict[str, Any], cls: type[errors.VendorError]) -> None:
    """Both kinds of failure events raise the right class."""
    data = f"data: {json.dumps(said)}\n\n".encode()
    with pytest.raises(errors.VendorError) as raised:
        streamed(HEAD + data)
    assert type(raised.value) is cls


@given(st.integers(0, len(STREAM) - 3))
@settings(max_examples=60, deadline=None)
def test_a_cut_stream_is_no_answer(cut: int) -> None:
    """Before the final event there is no whole answer, wherever the cut is."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    chunks = decoder.feed(STREAM[:cut])
    assert not any(chunk.chunk_position for chunk in chunks)
    with pytest.raises(errors.TruncatedStreamError):
        decoder.close()


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
@settings(max_examples=40, deadline=None)
def test_pieces_decide_nothing(cuts: list[int]) -> None:
    """However the network cuts the bytes, the answer is the same."""
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(places)]
    total, whole = summed(streamed(*pieces)), summed(streamed(STREAM))
    assert total.model_dump(exclude={"id"}) == whole.model_dump(exclude={"id"})
