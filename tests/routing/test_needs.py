"""Needs: sizes of prompts."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_llmdispatch.routing.needs import Needs
from tests.routing.decisions import SEARCH
from tests.targets import request


def test_needs_are_counted_in_any_script_and_media_not_by_their_bytes() -> None:
    """About four bytes a token; an image is some hundreds of tokens, however large its file."""
    assert Needs(request("x" * 4000)).tokens == pytest.approx(1000, abs=10)
    assert Needs(request("字" * 4000)).tokens == pytest.approx(3000, abs=10)
    picture = {"type": "image", "base64": "A" * 4_000_000, "mime_type": "image/png"}
    assert Needs(request([HumanMessage([picture])])).tokens < 2000
    assert Needs(request(tools=(SEARCH,) * 10)).tokens > 100


def test_what_stands_before_the_latest_turn_may_be_cached() -> None:
    """The prompt up to the last answer is the prefix; without an answer there is none."""
    history = [HumanMessage("x" * 4000), AIMessage("y" * 400), HumanMessage("and?")]
    assert Needs(request(history)).prefix_tokens == pytest.approx(1100, abs=20)
    assert Needs(request("x" * 4000)).prefix_tokens == 0


def test_a_tool_loop_belongs_to_the_deployment_that_called_the_tool() -> None:
    """Only while the last message is a tool's result, and only if the answer names its deployment."""
    call = {"name": "search", "args": {}, "id": "1"}
    named = AIMessage("", tool_calls=[call], response_metadata={"llmdispatch": {"deployment": "a"}})
    result = ToolMessage("found", tool_call_id="1")
    assert Needs(request([HumanMessage("find"), named, result])).tool_loop_deployment == "a"
    assert (
        Needs(request([HumanMessage("find"), named, result, HumanMessage("?")])).tool_loop_deployment is None
    )
    anonymous = AIMessage("", tool_calls=[call])
    assert Needs(request([HumanMessage("find"), anonymous, result])).tool_loop_deployment is None
