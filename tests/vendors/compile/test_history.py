"""A conversation compiled for a target that is named."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_llmdispatch.vendors.compile.history import compile_history
from tests.vendors.compile.calls import VENDORS as _VENDORS


def test_histories_are_compiled_for_targets_by_name() -> None:
    """`vendor:model`, aliases, vendors themselves, and a lookup of one's own."""
    late: list[BaseMessage] = [HumanMessage("hi"), AIMessage("yo"), SystemMessage("s")]
    out, changes = compile_history(late, "claude:claude-haiku-5-5")
    assert [change.kind for change in changes] == ["system_to_user"]
    assert compile_history(late, _VENDORS["anthropic"], model="m")[0] == out
    assert compile_history(late, "mine:m", lookup=lambda _: _VENDORS["openai"])[1] == []
    with pytest.raises(LookupError, match="unknown"):
        compile_history(late, "unknown:m")
