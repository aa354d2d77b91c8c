"""The choice among tools in neutral form."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch.types import ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.compile.neutral_choice import neutral_choice, parallel_of
from tests.cases import each

_F = ToolSpec("find_city", "", {})


@each(
    ("choice", "mode", "name"),
    [
        ("auto", "auto", None),
        ("none", "none", None),
        ("any", "any", None),
        ("required", "any", None),
        (True, "any", None),
        ("find_city", "tool", "find_city"),
        ({"type": "function", "function": {"name": "find_city"}}, "tool", "find_city"),
        ({"type": "function", "name": "find_city"}, "tool", "find_city"),
        ({"type": "tool", "name": "find_city"}, "tool", "find_city"),
        ({"type": "any"}, "any", None),
        ({"any": {}}, "any", None),
        ({"tool": {"name": "find_city"}}, "tool", "find_city"),
        ({"function_calling_config": {"mode": "ANY"}}, "any", None),
        (
            {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["find_city"]}},
            "tool",
            "find_city",
        ),
        (ToolChoice("any"), "any", None),
        ("validated", "validated", None),
        ({"function_calling_config": {"mode": "VALIDATED"}}, "validated", None),
        ({"type": "auto", "disable_parallel_tool_use": True}, "auto", None),
    ],
)
def test_every_form_of_a_choice(choice: Any, mode: Any, name: str | None) -> None:
    """Words, names, booleans and four vendors' dicts."""
    assert neutral_choice(choice, [_F]) == ToolChoice(mode, name)


def test_choices_that_are_none_or_wrong() -> None:
    """None and False demand nothing; an unknown name points to the nearest."""
    assert neutral_choice(None, [_F]) is neutral_choice(False, [_F]) is None
    with pytest.raises(ValueError, match="did you mean 'find_city'"):
        neutral_choice("find_citty", [_F])
    with pytest.raises(ValueError, match="not known"):
        neutral_choice({"type": "maybe"}, [_F])
    with pytest.raises(ValueError, match="neither"):
        neutral_choice(3, [_F])


_SEARCH = {"type": "web_search"}
_DATED = {"type": "web_search_20250305", "name": "web_search"}
_MCP = {"type": "mcp", "server_label": "wiki", "server_url": "https://x.example"}
_CODE = {"type": "custom", "name": "code"}


@each(
    ("choice", "tool", "name"),
    [
        ("web_search", _SEARCH, "web_search"),
        ({"type": "web_search"}, _SEARCH, "web_search"),
        ({"type": "tool", "name": "web_search"}, _DATED, "web_search"),
        ({"type": "mcp", "server_label": "wiki"}, _MCP, "wiki"),
        ({"type": "mcp", "server_label": "wiki", "name": "read"}, _MCP, "read"),
        ({"type": "custom", "name": "code"}, _CODE, "code"),
        ({"type": "custom", "custom": {"name": "code"}}, _CODE, "code"),
        ("google_search", {"google_search": {}}, "google_search"),
    ],
)
def test_tools_that_a_vendor_runs_are_named(choice: Any, tool: Any, name: str) -> None:
    """By their name, type or server's label."""
    assert neutral_choice(choice, [_F], [_CODE, tool]) == ToolChoice("tool", name, tool)


@pytest.mark.parametrize("nested", [True, False])
def test_only_some_tools_are_allowed(nested: bool) -> None:
    """OpenAI's form of either API, with tools of the caller's and of the vendor's."""
    function = (
        {"type": "function", "function": {"name": "find_city"}}
        if nested
        else {
            "type": "function",
            "name": "find_city",
        }
    )
    listed = {"mode": "required", "tools": [function, {"type": "web_search"}]}
    choice = {"type": "allowed_tools", **({"allowed_tools": listed} if nested else listed)}
    found = neutral_choice(choice, [_F], [_SEARCH])
    assert found == ToolChoice("any", allowed=("find_city", "web_search"))
    with pytest.raises(ValueError, match="'file_search', which is not one of"):
        neutral_choice({"type": "allowed_tools", "tools": [{"type": "file_search"}]}, [_F], [_SEARCH])


def test_gemini_allows_some_functions() -> None:
    """Several names are no demand for one of them."""
    other = ToolSpec("other", "", {})
    names = {"allowedFunctionNames": ["find_city", "other"]}
    choice = {"functionCallingConfig": {"mode": "ANY", **names}}
    assert neutral_choice(choice, [_F, other]) == ToolChoice("any", allowed=("find_city", "other"))


def test_anthropic_switches_parallel_calls_in_the_choice() -> None:
    """It means `parallel_tool_calls`, with the sign turned."""
    assert parallel_of({"type": "auto", "disable_parallel_tool_use": True}) is False
    assert parallel_of({"type": "any", "disable_parallel_tool_use": False}) is True
    assert parallel_of({"type": "any"}) is parallel_of("auto") is None
