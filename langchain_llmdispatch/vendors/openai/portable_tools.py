"""How OpenAI spells portable tools, in the Responses API.

Sources: the types of the `openai` package (`WebSearchTool`, `Mcp`, `CodeInterpreter`, `ToolSearchTool`);
developers.openai.com/api/docs/guides/tools-web-search, tools-connectors-mcp.
"""

from __future__ import annotations

from typing import Any

from langchain_llmdispatch.vendors.portable_tools import PortableTool, Tool, label_of


def _web_search(tool: Tool) -> dict[str, Any]:
    out: dict[str, Any] = {"type": "web_search"}
    if domains := tool.get("allowed_domains"):
        out["filters"] = {"allowed_domains": list(domains)}
    if place := tool.get("user_location"):
        out["user_location"] = {"type": "approximate", **place}
    return out


def _code(_: Tool) -> dict[str, Any]:
    return {"type": "code_interpreter", "container": {"type": "auto"}}


def _mcp(tool: Tool) -> dict[str, Any]:
    out: dict[str, Any] = {"type": "mcp", "server_label": label_of(tool)}
    if tool.get("portable"):  # no other vendor waits for approvals, which are the default here
        out["require_approval"] = "never"
    named = ("server_url", "authorization", "allowed_tools")
    return out | {name: tool[name] for name in named if name in tool}


_MCP = frozenset({"server_url", "server_label", "authorization", "allowed_tools", "portable"})
PORTABLE = {
    "web_search": PortableTool(_web_search, frozenset({"allowed_domains", "user_location"})),
    "code_execution": PortableTool(_code),
    "mcp": PortableTool(_mcp, _MCP),
    "tool_search": PortableTool(lambda _: {"type": "tool_search"}),
}
