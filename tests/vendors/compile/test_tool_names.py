"""Names of tools as each vendor accepts them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.compile.tool_names import called_names, compile_names
from langchain_llmdispatch.vendors.rules import ToolNameRules
from tests.cases import each

_VENDORS = builtin_vendors()


@given(st.lists(st.text(min_size=1, max_size=80), max_size=8), st.sampled_from(sorted(_VENDORS)))
def test_names_become_legal_and_stay_apart(names: list[str], vendor: str) -> None:
    """Reversible, collision-free, stable; legal names stay."""
    rules = _VENDORS[vendor].tool_names
    mapping = compile_names(names, rules)
    used = [mapping.get(name, name) for name in dict.fromkeys(names)]
    assert len(set(used)) == len(used)
    assert all(rules.pattern.fullmatch(name) and len(name) <= rules.most for name in used)
    assert mapping == compile_names(names, rules)
    assert compile_names(used, rules) == {}


def test_names_are_readable() -> None:
    """What can be kept of a name is kept; clashes get a hash."""
    rules = ToolNameRules(re.compile(r"[a-zA-Z0-9_]+"))
    mapping = compile_names(["mcp.files/read", "mcp_files_read"], rules)
    assert re.fullmatch(r"mcp_files_read_[0-9a-f]{8}", mapping["mcp.files/read"])


@each(
    ("vendor", "name", "legal"),
    [
        ("openai", "a.b", False),
        ("openai", "a" * 65, False),
        ("anthropic", "a" * 128, True),
        ("google", "a.b:c-d", True),
        ("google", "1a", False),
        ("cohere", "a-b", False),
        ("ollama", "anything / at all", True),
        ("local", "anything / at all", True),
        ("compatible", "a.b", False),
    ],
)
def test_what_each_vendor_accepts(vendor: str, name: str, legal: bool) -> None:
    """By the rules in the vendor's class."""
    assert (compile_names([name], _VENDORS[vendor].tool_names) == {}) is legal


def test_names_in_any_form_of_a_call_are_found() -> None:
    """Valid and invalid calls, content blocks of vendors, the legacy field; each once is enough."""
    answers = [
        AIMessage("", tool_calls=[{"name": "a.b", "args": {}, "id": "1"}]),
        AIMessage("", invalid_tool_calls=[{"name": "c/d", "args": "{", "id": "2", "error": None}]),
        AIMessage(
            [{"type": "tool_use", "name": "e f", "input": {}, "id": "3"}, {"type": "text", "text": "x"}, "y"]
        ),
        AIMessage("", additional_kwargs={"function_call": {"name": "g:h", "arguments": "{}"}}),
        AIMessage("hi"),
    ]
    assert list(called_names([HumanMessage("hi"), *answers])) == ["a.b", "c/d", "e f", "g:h"]
