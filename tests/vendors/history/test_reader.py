"""Messages of any class, read into turns."""

from __future__ import annotations

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
)

from tests.vendors.history.threads import compiled


def test_other_message_classes() -> None:
    """Roles, functions, chunks, raw calls in `additional_kwargs`, Anthropic's inline results."""
    raw = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    history: list[BaseMessage] = [
        ChatMessage("sys", role="developer"),
        ChatMessage("hi", role="user"),
        AIMessage("", additional_kwargs={"tool_calls": [raw]}),
        HumanMessage([{"type": "tool_result", "tool_use_id": "c1", "content": "1", "is_error": True}]),
        AIMessage("", additional_kwargs={"function_call": {"name": "g", "arguments": "{}"}}),
        FunctionMessage("2", name="g"),
        AIMessageChunk("bye"),
    ]
    out, _ = compiled(history, "openai")
    assert [type(m).__name__ for m in out] == [
        "SystemMessage", "HumanMessage", "AIMessage", "ToolMessage", "AIMessage", "ToolMessage", "AIMessage",
    ]  # fmt: skip
    assert out[3].status == "error"
    assert out[5].tool_call_id == out[4].tool_calls[0]["id"]


def test_what_is_no_message_to_send_is_an_error() -> None:
    """`RemoveMessage` edits a graph's state."""
    with pytest.raises(ValueError, match="RemoveMessage"):
        compiled([RemoveMessage(id="1")], "openai")
