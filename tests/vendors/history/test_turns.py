"""Turns made into messages again."""

from __future__ import annotations

from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_llmdispatch.vendors.history.turns import HistoryTurn, message_of


def test_a_turn_that_is_still_its_source_is_the_source() -> None:
    """No copy is made of a message that needs no change."""
    human, answer = HumanMessage("a", name="n"), AIMessage("b")
    result = ToolMessage("c", tool_call_id="1", name="f")
    assert message_of(HistoryTurn("user", "a", human, name="n")) is human
    assert message_of(HistoryTurn("assistant", "b", answer)) is answer
    assert message_of(HistoryTurn("tool", "c", result, name="f", call_id="1")) is result


def test_a_turn_that_was_changed_is_a_copy() -> None:
    """The source is not touched; ids and metadata of an answer stay."""
    source = AIMessage("b", id="run-1", response_metadata={"model_name": "m"}, additional_kwargs={"x": 1})
    made = message_of(HistoryTurn("assistant", "other", source))
    assert (made.content, made.id, made.response_metadata) == ("other", "run-1", {"model_name": "m"})
    assert (source.content, source.additional_kwargs) == ("b", {"x": 1})
    merged = message_of(HistoryTurn("user", "text", SystemMessage("text")))
    assert type(merged) is HumanMessage


def test_text_and_then_calls_are_a_string() -> None:
    """Anything else is v1 blocks, and marked as such."""
    call = {"type": "tool_call", "name": "f", "args": {}, "id": "1"}
    text = {"type": "text", "text": "t"}
    made = message_of(HistoryTurn("assistant", [text, call]))
    assert (made.content, made.tool_calls) == ("t", [call])
    made = message_of(HistoryTurn("assistant", [call, text]))
    assert made.content == [call, text]
    assert made.response_metadata == {"output_version": "v1"}
    signed = {**call, "extras": {"signature": "s"}}
    assert message_of(HistoryTurn("assistant", [signed])).content == [signed]
