"""How Anthropic spells portable tools.

Sources: the types of the `anthropic` package (`WebSearchTool20250305Param`, `BetaMCPToolsetParam`, ...);
platform.claude.com/docs/en/agents-and-tools/mcp-connector. The versions are those that every model has which
has the tool at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_llmdispatch.vendors.portable_tools import PortableTool, Tool, label_of

_DOMAINS = frozenset({"allowed_domains", "blocked_domains", "max_uses"})


def _dated(kind: str, name: str) -> Callable[[Tool], dict[str, Any]]:
    return lambda tool: {"type": kind, "name": name, **_fields(tool)}


def _fields(tool: Tool) -> dict[str, Any]:
    fields = {name: value for name, value in tool.items() if name != "type"}
    if place := fields.get("user_location"):
        fields["user_location"] = {"type": "approximate", **place}
    return fields


def _toolset(tool: Tool) -> dict[str, Any]:
    out: dict[str, Any] = {"type": "mcp_toolset", "mcp_server_name": label_of(tool)}
    if names := tool.get("allowed_tools"):
        out["default_config"] = {"enabled": False}
        out["configs"] = {name: {"enabled": True} for name in names}
    return out


def _server(tool: Tool) -> dict[str, list[Any]]:
    server: dict[str, Any] = {"type": "url", "name": label_of(tool), "url": tool.get("server_url")}
    if token := tool.get("authorization"):
        server["authorization_token"] = token
    return {"mcp_servers": [server]}


PORTABLE = {
    "web_search": PortableTool(
        _dated("web_search_20250305", "web_search"), _DOMAINS | {"user_location"}, one_list=True
    ),
    "web_fetch": PortableTool(_dated("web_fetch_20250910", "web_fetch"), _DOMAINS, one_list=True),
    "code_execution": PortableTool(_dated("code_execution_20250825", "code_execution")),
    "mcp": PortableTool(
        _toolset, frozenset({"server_url", "server_label", "authorization", "allowed_tools"}), _server
    ),
    "tool_search": PortableTool(_dated("tool_search_tool_bm25_20251119", "tool_search_tool_bm25")),
}
