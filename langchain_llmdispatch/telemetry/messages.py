"""Messages in the form of the GenAI conventions, for traces that capture content."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_llmdispatch.internal.json_format import json_text
from langchain_llmdispatch.vendors.finish_reasons import normalized

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROLES = {"human": "user", "ai": "assistant"}


def as_json(messages: Iterable[BaseMessage]) -> str:
    """Return messages as JSON: role, parts, and for an answer what it ended with."""
    written = json.dumps([_message(message) for message in messages], default=str, ensure_ascii=False)
    return json_text(written)  # exporters send UTF-8


def _message(message: BaseMessage) -> dict[str, Any]:
    out: dict[str, Any] = {"role": _ROLES.get(message.type, message.type), "parts": list(_parts(message))}
    if reason := normalized(message.response_metadata):
        out["finish_reason"] = reason
    return out


def _parts(message: BaseMessage) -> Iterable[dict[str, Any]]:
    if isinstance(message, ToolMessage):
        yield {"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}
        return
    for block in message.content_blocks:
        if block["type"] == "text":
            yield {"type": "text", "content": block["text"]}
        elif block["type"] == "reasoning":
            yield {"type": "reasoning", "content": block.get("reasoning", "")}
        elif block["type"] not in {"tool_call", "tool_call_chunk"}:
            yield dict(block)
    for call in message.tool_calls if isinstance(message, AIMessage) else ():
        yield {"type": "tool_call", "id": call["id"], "name": call["name"], "arguments": call["args"]}
