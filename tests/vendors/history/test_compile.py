"""The history compiler: one rule per incompatibility, and properties that hold for any history."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
from hypothesis import given
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.vendors.base import HistoryRules
from langchain_llmdispatch.vendors.history.blocks import media_kinds
from langchain_llmdispatch.vendors.history.compile import (
    FIRST_USER,
    LAST_USER,
    check_messages,
    compile_messages,
)
from tests.cases import each
from tests.vendors.history.threads import RULES, TURNS, answer_of, compiled, histories, types


@each("target", RULES)
@pytest.mark.parametrize("source", TURNS)
def test_a_tool_loop_begun_anywhere_goes_on_anywhere(source: str, target: str) -> None:
    """Seven by seven: text, call and result arrive; reasoning only at home; ids agree."""
    turn = answer_of(source)
    call_id = turn.tool_calls[0]["id"] or ""
    history: list[BaseMessage] = [HumanMessage("hi"), turn, ToolMessage("found", tool_call_id=call_id)]
    before = copy.deepcopy(history)
    out, _ = compiled(history, target)
    assert history == before
    answer, result = out[1], out[2]
    assert isinstance(answer, AIMessage)
    assert isinstance(result, ToolMessage)
    assert "Let me look." in answer.text
    assert [(c["name"], c["args"]) for c in answer.tool_calls] == [("look", {"q": "x"})]
    assert (result.tool_call_id, result.name) == (answer.tool_calls[0]["id"], "look")
    if (pattern := RULES[target].tool_id) is not None:
        assert pattern.fullmatch(result.tool_call_id)
    native = RULES[target].provider == turn.response_metadata["model_provider"]
    kept = native and RULES[target].reasoning != "drop" and source not in {"openai", "cohere"}
    assert ("reasoning" in types(answer)) is kept
    if target == "google":
        blocks = [b for b in answer.content if isinstance(b, dict) and b["type"] == "tool_call"]
        assert blocks[0]["extras"]["signature"] == ("CCC" if source == "google" else "skip")
    again, changes = compiled(out, target)
    assert (again, changes) == (out, [])


def test_late_system_messages_become_tagged_user_turns() -> None:
    """`leading`: the front is folded, the rest tagged; `anywhere`: nothing happens."""
    history: list[BaseMessage] = [
        SystemMessage("a"),
        SystemMessage("b"),
        HumanMessage("hi"),
        AIMessage("yo"),
        SystemMessage("be brief"),
        HumanMessage("and?"),
    ]
    out, kinds = compiled(history, "google")
    assert [type(m).__name__ for m in out] == [
        "SystemMessage",
        *["HumanMessage", "AIMessage"],
        *["HumanMessage"] * 2,
    ]
    assert (out[0].content, out[3].content) == ("a\n\nb", "<system>\nbe brief\n</system>")
    assert kinds == ["system_folded", "system_to_user"]
    merged, _ = compiled(history, "anthropic")
    assert merged[3].content == "<system>\nbe brief\n</system>\n\nand?"
    same, kinds = compiled(history, "openai")
    assert all(a is b for a, b in zip(same, history, strict=True))
    assert kinds == []


def test_first_and_last_turn_are_the_users_where_they_must() -> None:
    """A placeholder before a leading assistant turn, one after a trailing one."""
    out, kinds = compiled([SystemMessage("s"), AIMessage("hello")], "anthropic")
    assert [m.content for m in out] == ["s", FIRST_USER, "hello", LAST_USER]
    assert kinds == ["first_user_added", "last_user_added"]
    alone, _ = compiled([SystemMessage("s")], "anthropic")
    assert [m.content for m in alone] == ["s", FIRST_USER]


def test_empty_turns_vanish_and_neighbours_merge() -> None:
    """Anthropic and Gemini refuse what they themselves sometimes return: nothing."""
    history: list[BaseMessage] = [HumanMessage("a"), AIMessage(""), HumanMessage("b"), HumanMessage("  ")]
    out, kinds = compiled(history, "anthropic")
    assert [m.content for m in out] == ["a\n\nb"]
    assert kinds == ["empty_turn_dropped", "empty_turn_dropped", "turns_merged"]
    out, kinds = compiled([HumanMessage("")], "openai")
    assert [m.content for m in out] == [""]


def test_verdicts() -> None:
    """Legal where everything arrives, lossy where something does not."""
    assert check_messages([HumanMessage("hi")], RULES["cohere"], model="m").verdict == "legal"
    named: list[BaseMessage] = [HumanMessage("hi", name="bob")]
    assert check_messages(named, RULES["cohere"], model="m").verdict == "lossy"


def test_a_fallback_in_the_middle_of_a_tool_loop() -> None:
    """Anthropic thinks and calls, Gemini takes over, OpenAI ends: each sees a legal history."""
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        answer_of("anthropic"),
        ToolMessage("1", tool_call_id="toolu_1"),
        answer_of("google"),
        ToolMessage("2", tool_call_id="g1"),
    ]
    gemini, _ = compiled(history, "google")
    signatures = [
        b["extras"]["signature"]
        for m in gemini
        for b in m.content
        if isinstance(b, dict) and b["type"] == "tool_call"
    ]
    assert signatures == ["skip", "CCC"]
    claude, kinds = compiled(history, "anthropic")
    assert types(claude[1])[0] == "reasoning"
    assert claude[3].content == "Let me look."
    assert kinds.count("reasoning_dropped") == 1
    final, _ = compiled(history, "openai")
    assert [types(m) for m in final] == [["text"]] * 5


def _check_legal(out: list[BaseMessage], rules: HistoryRules) -> None:
    unanswered: list[str] = []
    seen: set[str] = set()
    for place, message in enumerate(out):
        assert type(message) in {SystemMessage, HumanMessage, AIMessage, ToolMessage}
        if isinstance(message, ToolMessage):
            assert message.tool_call_id == unanswered.pop(0)
            assert message.name
        else:
            assert not unanswered
        if isinstance(message, AIMessage):
            unanswered = [str(call["id"]) for call in message.tool_calls]
            assert not seen & set(unanswered)
            seen |= set(unanswered)
            assert rules.tool_id is None or all(rules.tool_id.fullmatch(id_) for id_ in unanswered)
            assert unanswered or message.content
            if rules.call_signature and unanswered:
                assert any(
                    "signature" in b.get("extras", {}) for b in message.content if b["type"] == "tool_call"
                )
        if rules.system == "leading":
            assert place == 0 or not isinstance(message, SystemMessage)
        _check_blocks(message, rules)
    assert not unanswered
    _check_order(out, rules)


def _check_blocks(message: BaseMessage, rules: HistoryRules) -> None:
    if isinstance(message.content, str):
        assert (
            isinstance(message, ToolMessage)
            or rules.blank_text
            or message.content.strip()
            or message.tool_calls
        )
        return
    for block in message.content:
        assert isinstance(block, dict)
        blank = block["type"] == "text" and not block["text"].strip()
        assert not blank or rules.blank_text or block.get("extras")
        assert rules.cache_control or "cache_control" not in block
        if block["type"] in {"image", "file", "audio", "video"}:
            allowed = rules.tool_media if isinstance(message, ToolMessage) else rules.user_media
            assert not isinstance(message, AIMessage)
            assert set(media_kinds(block)) & allowed


def _check_order(out: list[BaseMessage], rules: HistoryRules) -> None:
    talk = [m for m in out if not isinstance(m, SystemMessage)]
    if rules.alternate:
        assert all(type(a) is not type(b) or isinstance(a, ToolMessage) for a, b in pairwise(out))
    if rules.first_user:
        assert not talk or isinstance(talk[0], HumanMessage)
    if rules.last_user:
        assert not isinstance(out[-1], AIMessage)


@pytest.mark.parametrize("target", RULES)
@given(history=histories)
def test_any_history_becomes_legal(target: str, history: list[BaseMessage]) -> None:
    """Legal, unmutated, deterministic, and compiled twice the same."""
    rules = RULES[target]
    before = copy.deepcopy(history)
    verdict = check_messages(history, rules, model="m-1")
    if verdict.verdict == "illegal":
        with pytest.raises(UnsupportedFeatureError):
            compile_messages(history, rules, model="m-1")
        assert history == before
        return
    out, changes = compile_messages(history, rules, model="m-1")
    assert history == before
    assert (out, changes) == compile_messages(history, rules, model="m-1")
    assert tuple(changes) == verdict.changes
    _check_legal(out, rules)
    middle = copy.deepcopy(out)
    again, more = compile_messages(out, rules, model="m-1")
    assert out == middle
    assert again == out
    assert more == []


def test_a_merged_turn_keeps_the_reasoning_that_is_the_targets_own() -> None:
    """Another vendor's turn before it does not make it foreign when the thread is compiled again."""
    history = [
        AIMessage("no", response_metadata={"model_name": "m-1", "model_provider": "openai"}),
        AIMessage(
            [{"type": "thinking", "thinking": "t"}],
            response_metadata={"model_name": "m-1", "model_provider": "huggingface"},
        ),
    ]
    out, _ = compile_messages(history, RULES["huggingface"], model="m-1")
    assert {"type": "reasoning", "reasoning": "t"} in out[-1].content_blocks
    assert compile_messages(out, RULES["huggingface"], model="m-1") == (out, [])
