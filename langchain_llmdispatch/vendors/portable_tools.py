"""Portable tools: neutral names for what several vendors run, and how a vendor spells them.

    name            fields                                                        run by
    --------------  ------------------------------------------------------------  -------------------------
    web_search      allowed_domains, blocked_domains, max_uses, user_location     OpenAI, Anthropic, Gemini
    web_fetch       allowed_domains, blocked_domains, max_uses                    Anthropic, Gemini
    code_execution                                                                OpenAI, Anthropic, Gemini
    mcp             server_url, server_label, allowed_tools; authorization and    OpenAI, Anthropic, Gemini
                    portable
    tool_search                                                                   OpenAI, Anthropic

A dict `{"type": NAME, ...}` with these fields alone is portable, though one vendor's own tool may look the
same; with any other field, or another type, it is a vendor's own and goes to that vendor only. An MCP tool
with a token (`authorization`, or one in `server_url`) is spelled as OpenAI's own and goes to OpenAI only,
unless it has `"portable": True`: then each vendor that is tried gets the token, and none waits for
approvals. Without `portable`, OpenAI requires approval, as is its default; `require_approval` makes a tool
OpenAI's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_llmdispatch.vendors.word_secrets import secrets_of_address

Tool = Mapping[str, Any]

_DOMAINS = frozenset({"allowed_domains", "blocked_domains"})
FIELDS: Mapping[str, frozenset[str]] = {
    "web_search": _DOMAINS | {"max_uses", "user_location"},
    "web_fetch": _DOMAINS | {"max_uses"},
    "code_execution": frozenset(),
    "mcp": frozenset({"server_url", "server_label", "authorization", "allowed_tools", "portable"}),
    "tool_search": frozenset(),
}
"""The portable tools, each with its fields."""
BOUNDS = _DOMAINS | {"server_url", "authorization", "allowed_tools"}
"""Fields without which a tool could do more than the caller allows, or nothing at all."""
NEEDLESS = ("tool_search", "tool_search_tool_*")
"""Globs of tools that only save tokens: a vendor without them answers with all tools in the prompt."""


@dataclass(frozen=True, slots=True)
class PortableTool:
    """How a vendor has a portable tool.

    Attributes:
        spell: Returns its own tool for a portable one.
        takes: The fields that it has.
        beside: Returns the fields of the body, all lists, that must stand beside the tool.
        one_list: It takes `allowed_domains` or `blocked_domains`, not both.
    """

    spell: Callable[[Tool], dict[str, Any]]
    takes: frozenset[str] = frozenset()
    beside: Callable[[Tool], dict[str, list[Any]]] | None = None
    one_list: bool = False


def is_portable(tool: Tool) -> bool:
    """Return whether a tool is a portable one: a known name, and only its fields."""
    kind = tool.get("type")
    if not isinstance(kind, str) or kind not in FIELDS or not tool.keys() <= FIELDS[kind] | {"type"}:
        return False
    secret = tool.get("authorization") or secrets_of_address(str(tool.get("server_url") or ""))
    return not secret or tool.get("portable") is True


def label_of(tool: Tool) -> str:
    """Return the label of an MCP server: its own, or its host, in letters that every vendor takes."""
    named = tool.get("server_label") or str(tool.get("server_url", "")).partition("//")[2].partition("/")[0]
    return "".join(letter if letter.isalnum() else "_" for letter in str(named)) or "mcp"
