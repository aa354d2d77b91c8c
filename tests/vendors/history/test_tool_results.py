"""Tool calls and their results."""

from __future__ import annotations

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)

from langchain_llmdispatch.vendors.history.tool_results import INTERRUPTED
from tests.vendors.history.threads import SAFE_ID, answer_of, compiled


def test_ids_are_rewritten_alike_and_always_the_same() -> None:
    """Kimi's ids become legal ones for Anthropic, on both sides, deterministically."""
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        answer_of("huggingface"),
        ToolMessage("1", tool_call_id="functions.look:0"),
    ]
    first, kinds = compiled(history, "anthropic")
    second, _ = compiled([*history, HumanMessage("more")], "anthropic")
    assert "tool_id_rewritten" in kinds
    assert first[1] == second[1]
    assert SAFE_ID.fullmatch(first[2].tool_call_id)


def test_an_id_used_in_two_turns_is_distinguished() -> None:
    """Servers that number calls anew in each turn do not confuse results."""
    call = {"name": "look", "args": {}, "id": "call_0"}
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("one", tool_call_id="call_0"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("two", tool_call_id="call_0"),
    ]
    out, kinds = compiled(history, "openai")
    assert kinds.count("tool_id_rewritten") == 1
    assert out[2].tool_call_id == "call_0"
    assert out[4].tool_call_id == out[3].tool_calls[0]["id"] != "call_0"


def test_results_without_ids_answer_by_name_then_order() -> None:
    """Old Gemini and Ollama messages have no ids at all."""
    calls = [{"name": "a", "args": {}, "id": None}, {"name": "b", "args": {}, "id": None}]
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        AIMessage("", tool_calls=calls),
        ToolMessage("B", tool_call_id="", name="b"),
        ToolMessage("A", tool_call_id=""),
    ]
    out, _ = compiled(history, "openai")
    assert [m.content for m in out[2:]] == ["A", "B"]
    assert [m.name for m in out[2:]] == ["a", "b"]
    assert [m.tool_call_id for m in out[2:]] == [c["id"] for c in out[1].tool_calls]


def test_unanswered_calls_get_an_error_result() -> None:
    """A run that broke between call and result can go on."""
    out, kinds = compiled([HumanMessage("hi"), answer_of("openai"), HumanMessage("well?")], "openai")
    assert (out[2].content, out[2].status) == (INTERRUPTED, "error")
    assert kinds == ["result_synthesised"]


def test_results_stand_after_their_calls_in_order() -> None:
    """A user's word between call and result moves behind the result."""
    calls = [{"name": "a", "args": {}, "id": "1"}, {"name": "b", "args": {}, "id": "2"}]
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        AIMessage("", tool_calls=calls),
        ToolMessage("B", tool_call_id="2", name="b"),
        HumanMessage("wait"),
        ToolMessage("A", tool_call_id="1", name="a"),
    ]
    out, kinds = compiled(history, "openai")
    assert [m.content for m in out] == ["hi", "", "A", "B", "wait"]
    assert kinds == ["results_moved"]


def test_orphan_results_become_text() -> None:
    """A trimmed history may begin with a result."""
    out, kinds = compiled([ToolMessage("42", tool_call_id="x", name="sum"), HumanMessage("ok")], "openai")
    assert isinstance(out[0], HumanMessage)
    assert out[0].content == "[Result of a tool call that is no longer part of the conversation: sum]\n42"
    assert kinds == ["orphan_to_text"]


def test_invalid_calls_stay_only_if_answered() -> None:
    """A call whose JSON was cut is no call, unless a result refers to it."""
    bad = AIMessage("hm", invalid_tool_calls=[{"name": "f", "args": '{"a', "id": "1", "error": None}])
    out, kinds = compiled([HumanMessage("hi"), bad, HumanMessage("so?")], "openai")
    assert (out[1].tool_calls, out[1].invalid_tool_calls) == ([], [])
    assert kinds == ["invalid_call_dropped"]
    out, _ = compiled([HumanMessage("hi"), bad, ToolMessage("bad JSON", tool_call_id="1")], "openai")
    assert out[1].tool_calls[0]["args"] == {}


def test_tool_names_are_mapped() -> None:
    """Calls and results have the tools' names at the target."""
    out, _ = compiled(
        [HumanMessage("hi"), answer_of("openai"), ToolMessage("1", tool_call_id="call_A1", name="look")],
        "openai",
        tool_names={"look": "look_1"},
    )
    assert out[1].tool_calls[0]["name"] == out[2].name == "look_1"
