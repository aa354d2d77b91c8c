"""Bodies of `/v1/responses`: what becomes of each item and field, and what is refused by its name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.server.failures import RefusedRequestError
from langchain_llmdispatch.server.response_request import response_request
from tests.cases import each


def body(**fields: Any) -> bytes:
    """Return the body of a request with these fields."""
    return json.dumps({"model": "m", "input": "hi", **fields}).encode()


def test_a_text_is_a_question() -> None:
    """Instructions are a developer's message before it."""
    system, human = response_request(body(instructions="Be brief.")).messages
    assert isinstance(system, SystemMessage)
    assert (system.content, human.content, type(human)) == ("Be brief.", "hi", HumanMessage)


def test_items_are_a_conversation() -> None:
    """Calls belong to the answer before them, or to one of their own; reasoning is left out."""
    found = response_request(
        body(
            input=[
                {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "One."}],
                },
                {"type": "function_call", "call_id": "c-1", "name": "f", "arguments": '{"x": 1}'},
                {"type": "function_call", "call_id": "c-2", "name": "g", "arguments": ""},
                {"type": "function_call_output", "call_id": "c-1", "output": "two"},
                {
                    "type": "function_call_output",
                    "call_id": "c-2",
                    "output": [{"type": "input_text", "text": "3"}],
                },
                {"type": "function_call", "call_id": "c-3", "name": "f", "arguments": "{}"},
            ]
        )
    )
    human, answer, first, second, last = found.messages
    assert human.content == [{"type": "text", "text": "hi"}]
    assert isinstance(answer, AIMessage)
    assert answer.text == "One."
    assert [(call["id"], call["name"], call["args"]) for call in answer.tool_calls] == [
        ("c-1", "f", {"x": 1}),
        ("c-2", "g", {}),
    ]
    assert isinstance(first, ToolMessage)
    assert (first.tool_call_id, first.content) == ("c-1", "two")
    assert second.text == "3"
    assert isinstance(last, AIMessage)
    assert len(last.tool_calls) == 1


@each(
    "part, found",
    [
        ({"type": "input_image", "image_url": "data:x", "detail": "low"}, {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}}),
        ({"type": "input_image", "file_id": "file-1"}, {"type": "file", "file": {"file_id": "file-1"}}),
        ({"type": "input_file", "filename": "a.pdf", "file_data": "data:y"}, {"type": "file", "file": {"file_data": "data:y", "filename": "a.pdf"}}),
        ({"type": "input_file", "file_url": "https://x"}, {"type": "file", "url": "https://x", "mime_type": "application/pdf"}),
        ({"type": "refusal", "refusal": "No."}, {"type": "text", "text": "No."}),
    ],
)  # fmt: skip
def test_parts_are_those_of_messages(part: dict[str, Any], found: dict[str, Any]) -> None:
    """Images and files, by data, address or id."""
    request = response_request(body(input=[{"role": "user", "content": [part]}]))
    assert request.messages[0].content == [found]


def test_fields_become_keywords() -> None:
    """Tools, the format of the answer, effort; what only means something there is left out."""
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
    given = {
        "tools": [{"type": "function", **function}, {"type": "web_search"}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {
            "format": {"type": "json_schema", "name": "s", "schema": {}, "strict": True},
            "verbosity": "low",
        },
        "reasoning": {"effort": "high", "summary": "auto"},
        "max_output_tokens": 9,
        "metadata": {"a": "b"},
        "store": True,
        "include": ["reasoning.encrypted_content"],
        "truncation": "disabled",
        "background": False,
        "temperature": 0.5,
    }
    assert response_request(body(**given)).keywords == {
        "tools": [{"type": "function", "function": function}, {"type": "web_search"}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {}, "strict": True},
        },
        "verbosity": "low",
        "reasoning_effort": "high",
        "max_tokens": 9,
        "request_metadata": {"a": "b"},
        "temperature": 0.5,
    }
    plain = response_request(body(text={"format": {"type": "text"}}, tools=[], tool_choice="auto")).keywords
    assert plain == {"tool_choice": "auto"}


@each(
    "fields, param, code",
    [
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": [5]}, "input[0]", "invalid_type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]", "invalid_value"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role", "invalid_value"),
        ({"text": "json"}, "text", "invalid_type"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "unsupported_parameter"),
        ({"background": True}, "background", "unsupported_parameter"),
        ({"messages": []}, "messages", "unsupported_parameter"),
        ({"extra_headers": {}}, "extra_headers", "unknown_parameter"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str, code: str) -> None:
    """What needs a stored answer, too: nothing is stored."""
    with pytest.raises(RefusedRequestError) as caught:
        response_request(body(**fields))
    assert (caught.value.failure.param, caught.value.failure.code) == (param, code)
