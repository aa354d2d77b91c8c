"""Answers of OpenAI's Responses API: what is read from them, and how they go back."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.answer_checks import check_answer
from langchain_llmdispatch.vendors.history.compile import compile_messages
from tests.cases import each
from tests.vendors.openai.responses_calls import HI, VENDOR, call, items

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
        "finish_reason": "completed",
        "normalized_finish_reason": "tool_call",
        "finish_state": "complete",
        "id": "resp_1",
        "server_tool_use": {"web_search": 1},
    }


def test_output_may_not_be_missing() -> None:
    """A response without output is malformed."""
    with pytest.raises(errors.MalformedResponseError):
        VENDOR.decode_response(call(), b'{"id":"resp_1","status":"completed"}', {})


@each(
    ("fields", "finish"),
    [
        ({}, "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": {"reason": "SAFETY"}}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": {"reason": "stop"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "new"}}, "length"),
        ({"status": "incomplete", "incomplete_details": None}, "length"),
    ],
)
def test_finish_reasons(fields: dict[str, Any], finish: str) -> None:
    """Status and details become LangChain's finish reason."""
    assert decoded([MESSAGE], **fields).response_metadata["normalized_finish_reason"] == finish


def test_refusal() -> None:
    """A refusal is a block of its own, and no text."""
    part = {"type": "refusal", "refusal": "No."}
    message = decoded([{**MESSAGE, "content": [part]}])
    assert message.text == ""
    assert message.content_blocks[0]["type"] == "refusal"
    assert message.response_metadata["normalized_finish_reason"] == "refusal"


def test_cut_call_is_invalid() -> None:
    """A call cut by the output limit is no valid call."""
    message = decoded([{**CALLED, "arguments": '{"city":', "status": "incomplete"}], status="incomplete")
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["id"] == "call_1"


def test_free_text_tool() -> None:
    """A custom tool's text is one argument, as LangChain has it, and its result goes back as such."""
    given = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c9", "name": "sql", "input": "select 1"}
    message = decoded([given])
    assert message.tool_calls[0]["args"] == {"__arg1": "select 1"}
    native: Any = [{"type": "non_standard", "value": given}]
    turn = AIMessage(native, tool_calls=message.tool_calls)
    sent = items(*HI, turn, ToolMessage("1", tool_call_id="c9"))
    assert sent[1:] == [given, {"type": "custom_tool_call_output", "call_id": "c9", "output": "1"}]


@each(
    ("reply", "cls"),
    [
        ({"status": "failed", "error": {"code": "server_error", "message": "x"}}, errors.ServerError),
        (
            {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "x"}},
            errors.RateLimitError,
        ),
        ({"status": "in_progress"}, errors.MalformedResponseError),
        ({"status": "queued"}, errors.MalformedResponseError),
        ({"status": "cancelled"}, errors.MalformedResponseError),
    ],
)
def test_no_answers(reply: dict[str, Any], cls: type[errors.VendorError]) -> None:
    """A failed or unfinished response is no answer."""
    with pytest.raises(errors.VendorError) as raised:
        decoded([], **reply)
    assert type(raised.value) is cls


@each("status", ["queued", "in_progress"])
@each("output", [{"output": []}, {}])
def test_an_answer_in_the_background(status: str, output: dict[str, Any]) -> None:
    """The caller gets its id and status, and it does not count as whole."""
    reply = {"id": "resp_1", "status": status, "usage": None, **output}
    message = VENDOR.decode_response(call(extra={"background": True}), json.dumps(reply).encode(), {})
    metadata = message.response_metadata
    assert (message.content, metadata["id"], metadata["status"]) == ([], "resp_1", status)
    assert (metadata["normalized_finish_reason"], metadata["finish_state"]) == ("other", "suspended")
    check_answer(message)
    with pytest.raises(errors.MalformedResponseError):
        failed = {**reply, "status": "cancelled"}
        VENDOR.decode_response(call(extra={"background": True}), json.dumps(failed).encode(), {})


@each("reply", [{"id": None, "status": "queued"}, {"status": "in_progress", "output": []}])
def test_an_unfinished_answer_without_an_id(reply: dict[str, Any]) -> None:
    """It cannot be read later, and is no empty answer."""
    with pytest.raises(errors.MalformedResponseError):
        VENDOR.decode_response(call(extra={"background": True}), json.dumps(reply).encode(), {})


def test_an_unfinished_answer_in_place_of_a_stream() -> None:
    """A server that knows no streams in the background answers by plain JSON, which is no empty answer."""
    decoder = VENDOR.stream_decoder(call(extra={"background": True}, stream=True), {})
    decoder.feed(json.dumps({"id": "resp_1", "status": "queued", "output": []}).encode())
    with pytest.raises(errors.MalformedResponseError, match="not finished: queued"):
        decoder.close()


def check_round_trip(given: AIMessage) -> None:
    """Check that the items of `OUTPUT` go back as they were."""
    thread = [*HI, given, ToolMessage("wet", tool_call_id="call_1", name="weather")]
    before = copy.deepcopy(thread)
    compiled, _ = compile_messages(thread, VENDOR.history, model="gpt-6-luna", vendor="openai")
    sent = items(*compiled, model="gpt-6-luna")
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


def test_round_trip() -> None:
    """The vendor's own items go back as they were: reasoning with its cipher, search, text, call."""
    check_round_trip(decoded(OUTPUT))


@each(
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
    given = decoded([item, MESSAGE])
    compiled, _ = compile_messages([*HI, given, *HI], VENDOR.history, model="gpt-6-luna", vendor="openai")
    assert item in items(*compiled)


# -- raw reasoning, and what else servers send ---------------------------------------------------------

RAW = {
    "type": "reasoning",
    "id": "rs_1",
    "status": "completed",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "Hm. "}, {"type": "reasoning_text", "text": "Yes."}],
    "encrypted_content": "cipher",
}


def test_raw_reasoning_is_shown() -> None:
    """Raw text of open models becomes reasoning blocks, and goes back as raw text."""
    given = decoded([RAW, MESSAGE])
    blocks = [block for block in given.content_blocks if block["type"] == "reasoning"]
    assert [block["reasoning"] for block in blocks] == ["Hm. ", "Yes."]
    compiled, _ = compile_messages([*HI, given, *HI], VENDOR.history, model="gpt-6-luna", vendor="openai")
    sent = items(*compiled, model="gpt-6-luna")[1]
    assert sent == {name: value for name, value in RAW.items() if name != "status"}


def test_raw_reasoning_beside_a_summary() -> None:
    """Both are shown, each once."""
    summary = [{"type": "summary_text", "text": "Short."}]
    given = decoded([{**RAW, "summary": summary}])
    shown = [block["reasoning"] for block in given.content_blocks if block["type"] == "reasoning"]
    assert shown == ["Hm. ", "Yes.", "Short."]


def test_content_filters_of_azure() -> None:
    """What Azure's filters found is kept."""
    found = [{"blocked": False, "source_type": "prompt", "content_filter_results": {}}]
    assert decoded([MESSAGE], content_filters=found).response_metadata["content_filters"] == found
    assert "content_filters" not in decoded([MESSAGE], content_filters=None).response_metadata


def test_empty_parts_are_left_out() -> None:
    """An empty text is no block, as in a stream."""
    assert decoded([{**MESSAGE, "content": [{"type": "output_text", "text": ""}]}]).content == []


def test_unknown_status_is_an_end() -> None:
    """A server's own word for completed is an answer."""
    assert decoded([MESSAGE], status="complete").text == "It rains."


def test_unknown_model_of_xai() -> None:
    """A 400 about a model that is not there concerns the model, not the request."""
    body = b'{"code":"invalid-argument","error":"Model not found: grok-0"}'
    assert type(VENDOR.decode_error(call(), 400, {}, body)) is errors.ModelNotFoundError
