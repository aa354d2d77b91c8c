"""The Responses API: the history as input items."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_llmdispatch import errors
from tests.cases import each
from tests.vendors.openai.responses_calls import HI, items


@each(
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
                [{"type": "image", "url": "https://x.test/a.png"}],
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


@each(
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
    assert items(HumanMessage([block]))[0]["content"] == [expected]


def test_no_video() -> None:
    """What the API has no word for is refused before it is sent."""
    with pytest.raises(errors.UnsupportedFeatureError):
        items(HumanMessage([{"type": "video", "url": "https://x.test/v.mp4"}]))


THOUGHT: dict[str, Any] = {
    "type": "reasoning",
    "id": "rs_1",
    "reasoning": "First.",
    "encrypted_content": "gAAAA-cipher",
}


def kinds(*blocks: dict[str, Any], **fields: Any) -> list[str]:
    """Return the types of the items for an assistant's blocks between two questions."""
    turn: Any = list(blocks)
    return [item["type"] for item in items(*HI, AIMessage(turn), *HI, **fields)][1:-1]


def test_reasoning_without_what_follows_it() -> None:
    """Reasoning at the end of a turn, as a low output limit leaves it, stays out: the vendor refuses it."""
    text = {"type": "text", "text": "x"}
    assert kinds(THOUGHT, model="gpt-6-luna") == []
    assert kinds(THOUGHT, model="gpt-6-luna", extra={"store": True}) == []
    assert kinds(THOUGHT, text, {**THOUGHT, "id": "rs_2"}, model="gpt-6-luna") == ["reasoning", "message"]


@each(("model", "taken"), [("gpt-6-luna", True), ("gpt-4.1-mini", False), ("of-unknown-name", True)])
def test_reasoning_for_models_that_do_not_reason(model: str, taken: bool) -> None:
    """A model that is known not to reason gets no reasoning item; an unknown one may reason."""
    raw = kinds(THOUGHT, {"type": "text", "text": "x"}, model=model)
    assert raw == (["reasoning", "message"] if taken else ["message"])


def test_code_run_elsewhere() -> None:
    """A run without its container goes on as text, and printed text as the vendor's own log."""
    run: Any = {"type": "server_tool_call", "name": "code_interpreter", "id": "ci_1", "args": {"code": "1+1"}}
    printed: Any = {"type": "server_tool_result", "tool_call_id": "ci_1", "status": "success", "output": "2"}
    _, foreign = items(*HI, AIMessage([run, printed]))
    assert foreign["content"][0]["text"] == "[Result of a tool]\n2"
    assert items(*HI, AIMessage([run]))[1:] == []
    _, own = items(*HI, AIMessage([{**run, "extras": {"container_id": "cntr_1"}}, printed]))
    assert own["type"] == "code_interpreter_call"
    assert own["container_id"] == "cntr_1"
    assert own["outputs"] == [{"type": "logs", "logs": "2"}]
