"""Checks of answers: nothing empty, cut or half passes for a whole one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.errors import EmptyAnswerError, TruncatedToolCallError
from langchain_llmdispatch.vendors.finish_reasons import normalized
from langchain_llmdispatch.vendors.server_state import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import AIMessage, AIMessageChunk

_ENDED = frozenset({"stop", "tool_call", "other"})

# A block with one of these filled holds content; `index`, `type` and `id` alone do not.
_CONTENT_KEYS = (
    "text",
    "thinking",
    "reasoning",
    "signature",
    "input",
    "args",
    "data",
    "url",
    "base64",
    "value",
)


def check_answer(message: AIMessage) -> None:
    """Raise if an answer is empty or cut.

    Raises:
        EmptyAnswerError: It ended normally and holds nothing.
        TruncatedToolCallError: A tool call's arguments are no whole JSON object.
    """
    if message.invalid_tool_calls:
        names = ", ".join(repr(call.get("name")) for call in message.invalid_tool_calls)
        raise TruncatedToolCallError(f"the arguments of tool call {names} are not whole JSON")
    if has_content(message.response_metadata) and is_empty(message):
        raise EmptyAnswerError("the answer is empty")


def has_content(metadata: Mapping[str, Any]) -> bool:
    """Return whether an answer must hold something, by the facts of its end."""
    return metadata.get("finish_state") != "suspended" and normalized(metadata) in _ENDED


def is_empty(message: AIMessage | AIMessageChunk) -> bool:
    """Return whether a message or chunk holds no text, reasoning, media or tool call."""
    content = message.content
    if content and isinstance(content, str):
        return False
    filled = any(map(_filled, content))
    return not (
        filled
        or message.tool_calls
        or message.invalid_tool_calls
        or getattr(message, "tool_call_chunks", None)
        or message.additional_kwargs.keys() - {KEY}
    )


def _filled(block: str | dict[str, Any]) -> bool:
    if isinstance(block, str):
        return bool(block)
    kind = block.get("type", "")
    if kind in ("text", "thinking", "reasoning"):  # no set: what a vendor sends may have no hash
        return any(block.get(key) for key in _CONTENT_KEYS)
    return bool(kind)
