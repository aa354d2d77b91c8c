"""Bodies of chat completions: what becomes of each field, and what is refused by its name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.server.completion_request import completion_request
from langchain_llmdispatch.server.failures import RefusedRequestError
from tests.cases import each

HI: list[Any] = [{"role": "user", "content": "hi"}]
CALL = {"id": "c-1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


def body(**fields: Any) -> bytes:
    """Return the body of a request with these fields."""
    return json.dumps({"model": "m", "messages": HI, **fields}).encode()


def test_a_conversation_has_all_roles() -> None:
    """`developer` is a system message that stays a developer's; an answer of calls alone has no text."""
    found = completion_request(
        body(
            messages=[
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "ann"},
                {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None},
                {"role": "tool", "tool_call_id": "c-1", "content": "2"},
            ]
        )
    )
    system, human, answer, result = found.messages
    assert isinstance(system, SystemMessage)
    assert system.additional_kwargs == {"__openai_role__": "developer"}
    assert isinstance(human, HumanMessage)
    assert human.name == "ann"
    assert isinstance(answer, AIMessage)
    assert (answer.content, answer.tool_calls[0]["args"]) == ("", {"x": 1})
    assert isinstance(result, ToolMessage)


def test_parameters_become_keywords() -> None:
    """OpenAI's names, and those of vendors; null is nothing, and the newer limit of tokens wins."""
    given = {
        "temperature": 0.5,
        "max_tokens": 9,
        "max_completion_tokens": 5,
        "metadata": {"a": "b"},
        "n": 1,
        "seed": None,
        "store": True,
        "user": "u",
        "reasoning_effort": "low",
        "modalities": ["text"],
        "top_k": 3,
    }
    assert completion_request(body(**given)).keywords == {
        "temperature": 0.5,
        "max_tokens": 5,
        "request_metadata": {"a": "b"},
        "store": True,
        "user": "u",
        "reasoning_effort": "low",
        "top_k": 3,
    }


def test_streams_end_with_usage_where_that_is_wanted() -> None:
    """`stream_options` may be null."""
    plain = completion_request(body(stream_options=None))
    counted = completion_request(body(stream=True, stream_options={"include_usage": True}))
    assert (plain.stream, plain.include_usage, counted.stream, counted.include_usage) == (
        False,
        False,
        True,
        True,
    )


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"model": ""}, "model", "missing_required_parameter"),
    ({"model": None}, "model", "missing_required_parameter"),
    ({"model": 5}, "model", "invalid_type"),
    ({"messages": []}, "messages", "missing_required_parameter"),
    ({"messages": "hi"}, "messages", "invalid_type"),
    ({"messages": ["x"]}, "messages[0]", "invalid_type"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role", "invalid_value"),
    ({"messages": [*HI, {"role": "user", "content": 5}]}, "messages[1].content", "invalid_type"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]", "invalid_value"),
    ({"temperature": "hot"}, "temperature", "invalid_type"),
    ({"temperature": float("nan")}, "temperature", "invalid_type"),
    ({"temperature": 9}, "temperature", "invalid_value"),
    ({"top_p": True}, "top_p", "invalid_type"),
    ({"max_tokens": -1}, "max_tokens", "invalid_value"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens", "invalid_type"),
    ({"n": 2}, "n", "unsupported_value"),
    ({"stream": "yes"}, "stream", "invalid_type"),
    ({"stream_options": 5}, "stream_options", "invalid_type"),
    ({"stop": [1]}, "stop", "invalid_type"),
    ({"tools": "x"}, "tools", "invalid_type"),
    ({"tool_choice": 5}, "tool_choice", "invalid_type"),
    ({"response_format": "json"}, "response_format", "invalid_type"),
    ({"modalities": ["text", "audio"]}, "modalities", "unsupported_value"),
    ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
    ({"audio": {"voice": "alloy"}}, "audio", "unsupported_parameter"),
    ({"config": {}}, "config", "unknown_parameter"),
    ({"callbacks": [1]}, "callbacks", "unknown_parameter"),
    ({"extra_headers": {"authorization": "x"}}, "extra_headers", "unknown_parameter"),
    ({"vendor_params": {"openai": {"extra_headers": {}}}}, "vendor_params", "invalid_value"),
    ({"resume_from": "r"}, "resume_from", "unknown_parameter"),
]


@each("fields, param, code", WRONG)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str, code: str) -> None:
    """By the field, as OpenAI's API does it."""
    with pytest.raises(RefusedRequestError) as caught:
        completion_request(body(**fields))
    failure = caught.value.failure
    assert (failure.status, failure.type) == (400, "invalid_request_error")
    assert (failure.param, failure.code) == (param, code)


@each("sent", [b"", b"{", b"[1]", b"\xff\xfe\xfa", b"[" * 100_000])
def test_what_is_no_object_of_json_is_refused(sent: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(RefusedRequestError) as caught:
        completion_request(sent)
    assert caught.value.failure.code == "invalid_json"
