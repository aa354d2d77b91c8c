"""Plain conversations are recognised, and pass as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_llmdispatch.vendors.history.compile import _compile as compile_in_full
from langchain_llmdispatch.vendors.history.plain import has_only_text, is_plain
from langchain_llmdispatch.vendors.history.reader import HistoryReader
from langchain_llmdispatch.vendors.history.turns import message_of
from tests.cases import each
from tests.vendors.history.threads import RULES, answer_of, compiled, loops


def test_plain_messages_pass_by_identity() -> None:
    """Nothing is copied that needs no change, beside messages that do."""
    history: list[BaseMessage] = [SystemMessage("s"), HumanMessage("a"), AIMessage("b"), HumanMessage("c")]
    for target in RULES:
        assert all(x is y for x, y in zip(compiled(history, target)[0], history, strict=True))
    loop = [*history, answer_of("openai"), ToolMessage("1", tool_call_id="call_A1", name="look")]
    out, _ = compiled(loop, "openai")
    assert all(x is y for x, y in zip(out, loop, strict=True))


@pytest.mark.parametrize("target", RULES)
@given(history=loops)
def test_the_shortcut_for_plain_histories_skips_nothing(target: str, history: list[BaseMessage]) -> None:
    """Where a history is plain, compiling it in full changes nothing."""
    if is_plain(history, RULES[target]):
        reader = HistoryReader(RULES[target], "m-1", "")
        turns = compile_in_full(history, reader, {})
        assert reader.changes == reader.reasons == []
        assert all(message_of(t) is m for t, m in zip(turns, history, strict=True))


@each(
    ("message", "alone", "with_calls"),
    [
        (AIMessage("hi"), True, True),
        (AIMessage(""), False, False),
        (AIMessage(" "), False, False),
        (AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}]), False, True),
        (AIMessage("hi", tool_calls=[{"name": "f", "args": {}, "id": "1"}]), False, True),
        (
            AIMessage("hi", invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": None}]),
            False,
            False,
        ),
        (AIMessage("hi", additional_kwargs={"reasoning_content": "r"}), False, False),
        (AIMessage("hi", additional_kwargs={"refusal": None, "parsed": 1}), True, True),
        (AIMessage([{"type": "text", "text": "hi"}]), False, False),
    ],
)
def test_what_only_text_is(message: AIMessage, alone: bool, with_calls: bool) -> None:
    """A string that is not blank; calls may stand beside it if that is allowed."""
    assert has_only_text(message) is alone
    assert has_only_text(message, with_calls=True) is with_calls
