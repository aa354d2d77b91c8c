"""What the encoders of requests share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_llmdispatch.types import ToolSpec


def merged(body: dict[str, Any], extra: Mapping[str, Any], without: Collection[str] = ()) -> dict[str, Any]:
    """Return `body` with the caller's own fields: theirs win, objects are merged one level deep.

    Args:
        body: The body so far; it is changed.
        extra: The caller's fields.
        without: Fields that are not sent.
    """
    for name, value in extra.items():
        if name not in without:
            old = body.get(name)
            body[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, Mapping) else value
    return body


def function_tool(tool: ToolSpec) -> dict[str, Any]:
    """Return a tool as OpenAI's format and its descendants take it, without strictness."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}
