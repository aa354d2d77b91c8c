"""The choice among tools, as each vendor takes it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from langchain_llmdispatch.errors import UnsupportedParameterError
from langchain_llmdispatch.types import ToolChoice, ToolSpec
from tests.cases import each
from tests.vendors.compile.calls import SCHEMA as _SCHEMA
from tests.vendors.compile.calls import TOOL as _TOOL
from tests.vendors.compile.calls import VENDORS as _VENDORS
from tests.vendors.compile.calls import compiled as _call

_OTHER = ToolSpec("other", "", _SCHEMA)
_THIRD = ToolSpec("third", "", _SCHEMA)
_MCP = {"type": "mcp", "server_label": "wiki", "server_url": "https://x.test"}


def _body(vendor: str, **given: Any) -> tuple[dict[str, Any], list[str]]:
    call, kinds = _call(vendor, model=given.pop("model", "gpt-5.4-mini"), **given)
    return json.loads(_VENDORS[vendor].encode_request(call).content), kinds


@each(
    ("vendor", "tool", "name", "choice"),
    [
        ("openai", {"type": "web_search"}, "web_search", {"type": "web_search"}),
        ("openai", {"type": "code_execution"}, "code_execution", {"type": "code_interpreter"}),
        ("openai", _MCP, "wiki", {"type": "mcp", "server_label": "wiki"}),
        ("openai", _MCP, "read", {"type": "mcp", "server_label": "wiki", "name": "read"}),
        ("openai", {"type": "image_generation"}, "image_generation", {"type": "image_generation"}),
        ("anthropic", {"type": "web_search"}, "web_search", {"type": "tool", "name": "web_search"}),
    ],
)
def test_a_tool_that_the_vendor_runs_is_forced(vendor: str, tool: Any, name: str, choice: Any) -> None:
    """In the vendor's own form."""
    body, kinds = _body(vendor, server_tools=[tool], tool_choice=ToolChoice("tool", name, tool))
    assert (body["tool_choice"], kinds) == (choice, [])


def test_gemini_cannot_be_made_to_call_its_own_tools() -> None:
    """They are offered alone, and an instruction stands in for the choice."""
    tool = {"google_search": {}}
    given = {"tools": [_TOOL], "server_tools": [tool, {"url_context": {}}]}
    choice = ToolChoice("tool", "google_search", tool)
    call, kinds = _call("google", **given, tool_choice=choice)
    assert (call.tools, call.server_tools, kinds) == ([], [tool], ["tool_choice_relaxed"])
    assert "google_search" in str(call.messages[0].content)
    with pytest.raises(UnsupportedParameterError, match="tool_choice='google_search'"):
        _call("google", **given, tool_choice=choice, unsupported_params="raise")


def test_anthropic_forces_tools_by_name_only() -> None:
    """A server's toolset has none."""
    choice = ToolChoice("tool", "wiki", _MCP)
    call, kinds = _call("anthropic", tools=[_TOOL], server_tools=[_MCP], tool_choice=choice)
    assert (call.tools, call.tool_choice, kinds) == ([], ToolChoice("auto"), ["tool_choice_relaxed"])


def test_a_choice_of_a_tool_that_was_left_out_is_left_out() -> None:
    """And reported."""
    tool = {"type": "web_search_20250305", "name": "web_search"}
    choice = ToolChoice("tool", "web_search", tool)
    call, kinds = _call(
        "ollama", tools=[_TOOL], server_tools=[tool], tool_choice=choice, unsupported_params="drop"
    )
    assert (call.tool_choice, kinds) == (None, ["server_tool_dropped", "tool_choice_dropped"])


_LIMITED = ToolChoice("any", allowed=("look", "third"))


def test_openai_takes_the_allowed_tools_as_they_are() -> None:
    """Tools of its own among them; the prompt stays the same, and with it the cache."""
    choice = ToolChoice("auto", allowed=("look", "web_search"))
    tools = {"tools": [_TOOL, _OTHER], "server_tools": [{"type": "web_search"}]}
    body, kinds = _body("openai", **tools, tool_choice=choice)
    listed = [{"type": "function", "name": "look"}, {"type": "web_search"}]
    assert (body["tool_choice"], kinds) == ({"type": "allowed_tools", "mode": "auto", "tools": listed}, [])
    assert len(body["tools"]) == 3
    chat = {"use_responses_api": False}
    body, _ = _body("openai", tools=[_TOOL, _OTHER, _THIRD], tool_choice=_LIMITED, params=chat)
    names = [{"type": "function", "function": {"name": name}} for name in ("look", "third")]
    inner = {"mode": "required", "tools": names}
    assert body["tool_choice"] == {"type": "allowed_tools", "allowed_tools": inner}


def test_gemini_takes_the_allowed_functions_where_one_must_be_called() -> None:
    """With `VALIDATED` too; where none need be called only they are declared."""
    given = {"tools": [_TOOL, _OTHER, _THIRD], "model": "gemini-3.8-flash"}
    forced = ToolChoice("any", allowed=("look", "third"))
    for choice, word in ((forced, "ANY"), (replace(forced, mode="validated"), "VALIDATED")):
        body, _ = _body("google", **given, tool_choice=choice)
        config = body["toolConfig"]["functionCallingConfig"]
        assert config == {"mode": word, "allowedFunctionNames": ["look", "third"]}
    body, kinds = _body("google", **given, tool_choice=ToolChoice("auto", allowed=("look",)))
    assert [tool["name"] for tool in body["tools"][0]["functionDeclarations"]] == ["look"]
    assert kinds == ["tools_limited"]


@each("vendor", sorted(_VENDORS.keys() - {"openai", "azure", "google"}))
def test_only_the_allowed_tools_are_offered_elsewhere(vendor: str) -> None:
    """Which comes to the same."""
    call, kinds = _call(vendor, tools=[_TOOL, _OTHER, _THIRD], tool_choice=_LIMITED)
    assert ([tool.name for tool in call.tools], call.tool_choice) == (["look", "third"], ToolChoice("any"))
    assert kinds == ["tools_limited"]


@each("vendor", sorted(_VENDORS))
def test_validated_is_geminis_word_for_auto(vendor: str) -> None:
    """No other vendor gets it."""
    call, kinds = _call(vendor, tools=[_TOOL], tool_choice=ToolChoice("validated"))
    assert call.tool_choice is not None
    assert (call.tool_choice.mode, kinds) == ("validated" if vendor == "google" else "auto", [])
