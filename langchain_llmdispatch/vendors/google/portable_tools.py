"""How Gemini spells portable tools.

Sources: the types of the `google-genai` package (`Tool`, `GoogleSearch`, `McpServer`): domains can only be
excluded on Vertex AI, and an MCP server's tools cannot be chosen. The API takes either spelling; the SDK's is
what `langchain-google-genai` takes, too.
"""

from __future__ import annotations

from typing import Any

from langchain_llmdispatch.vendors.portable_tools import PortableTool, Tool, label_of


def _mcp(tool: Tool) -> dict[str, Any]:
    transport: dict[str, Any] = {"url": tool.get("server_url")}
    if token := tool.get("authorization"):
        transport["headers"] = {"Authorization": f"Bearer {token}"}
    return {"mcp_servers": [{"name": label_of(tool), "streamable_http_transport": transport}]}


PORTABLE = {
    "web_search": PortableTool(lambda _: {"google_search": {}}),
    "web_fetch": PortableTool(lambda _: {"url_context": {}}),
    "code_execution": PortableTool(lambda _: {"code_execution": {}}),
    "mcp": PortableTool(_mcp, frozenset({"server_url", "server_label", "authorization"})),
}
