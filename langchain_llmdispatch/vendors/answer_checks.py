"""Checks of answers: nothing empty, cut, half or of another shape passes for a whole one."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from langchain_llmdispatch.errors import DispatchError, EmptyAnswerError, TruncatedToolCallError
from langchain_llmdispatch.vendors.errors import ErrorContext, Method

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import AIMessage, AIMessageChunk

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

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


def guards_answer(decode: Method) -> Method:
    """Return a vendor's `decode_response` that raises `MalformedResponseError` for JSON of another shape."""

    @wraps(decode)
    def guarded(vendor: Vendor, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        try:
            message: AIMessage = decode(vendor, call, body, headers)
        except DispatchError:
            raise
        except Exception as cause:
            raise ErrorContext(vendor, call, headers).malformed("the answer", cause) from cause
        return message

    return cast("Method", guarded)


def check_answer(message: AIMessage) -> None:
    """Raise if an answer is empty or cut.

    Raises:
        EmptyAnswerError: It ended normally and holds nothing.
        TruncatedToolCallError: A tool call's arguments are no whole JSON object.
    """
    if message.invalid_tool_calls:
        names = ", ".join(repr(call.get("name")) for call in message.invalid_tool_calls)
        raise TruncatedToolCallError(f"the arguments of tool call {names} are not whole JSON")
    if message.response_metadata.get("finish_reason") in {"stop", "tool_calls"} and is_empty(message):
        raise EmptyAnswerError("the answer is empty")


def is_empty(message: AIMessage | AIMessageChunk) -> bool:
    """Return whether a message or chunk holds no text, reasoning, media or tool call."""
    if message.content and not isinstance(message.content, str):
        filled = any(_filled(block) for block in message.content)
    else:
        filled = bool(message.content)
    return not (
        filled
        or message.tool_calls
        or message.invalid_tool_calls
        or getattr(message, "tool_call_chunks", None)
        or message.additional_kwargs
    )


def _filled(block: str | dict[str, Any]) -> bool:
    if isinstance(block, str):
        return bool(block)
    kind = block.get("type", "")
    if kind in {"text", "thinking", "reasoning"}:
        return any(block.get(key) for key in _CONTENT_KEYS)
    return bool(kind)
