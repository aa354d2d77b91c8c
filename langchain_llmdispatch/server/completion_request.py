"""A body of `/v1/chat/completions` as messages and keywords of a call.

Source: platform.openai.com/docs/api-reference/chat/create.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages

# Words of the endpoint itself; the others are keywords of the call.
_OWN = frozenset({"model", "messages", "stream", "stream_options", "n", "functions", "function_call"})
_RENAMED = {"max_completion_tokens": "max_tokens"}


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a client wants answered.

    Attributes:
        model: The name that the client wrote.
        messages: The conversation.
        keywords: Parameters, tools and the response format, as `invoke` takes them.
        stream: Whether the answer is streamed.
        include_usage: Whether a stream ends with a chunk of usage.
    """

    model: str
    messages: list[BaseMessage]
    keywords: Mapping[str, Any]
    stream: bool
    include_usage: bool


def completion_request(body: bytes) -> CompletionRequest:
    """Return the request in a body.

    Raises:
        ValueError: It is no JSON object, or a field is missing or wrong; the message names it.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON.") from None
    if not isinstance(fields, dict):
        raise ValueError("the body is not a JSON object.")  # noqa: TRY004 - a value of the client's
    _check(fields)
    words: dict[str, Any] = fields
    return CompletionRequest(
        model=fields["model"],
        messages=_messages(fields["messages"]),
        keywords={
            _RENAMED.get(name, name): value for name, value in words.items() if _is_keyword(name, value)
        },
        stream=bool(fields.get("stream")),
        include_usage=bool((fields.get("stream_options") or {}).get("include_usage")),
    )


def _is_keyword(name: str, value: Any) -> bool:
    return name not in _OWN and value is not None


def _check(fields: Mapping[str, Any]) -> None:
    for name, kind in (("model", str), ("messages", list)):
        if not isinstance(fields.get(name), kind) or not fields[name]:
            raise ValueError(f"{name}: a {'text' if kind is str else 'list of messages'} is required.")
    if fields.get("n") not in (None, 1):
        raise ValueError("n: only one choice is made.")
    for name in ("functions", "function_call"):
        if fields.get(name):
            raise ValueError(f"{name}: write tools and tool_choice.")
    if not isinstance(fields.get("stream_options") or {}, Mapping):
        raise ValueError("stream_options: an object is required.")  # noqa: TRY004 - as above


def _messages(values: Collection[Any]) -> list[BaseMessage]:
    messages = []
    for number, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise ValueError(f"messages[{number}]: an object is required.")  # noqa: TRY004 - as above
        try:
            messages += convert_to_messages([_with_text(value)])
        except (ValueError, TypeError, KeyError, NotImplementedError) as error:
            raise ValueError(f"messages[{number}]: {error}") from None
    return messages


def _with_text(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message whose content is at least an empty text; answers with tool calls have null."""
    fields = {name: value for name, value in message.items() if value is not None}
    refusal = fields.pop("refusal", "")
    return {**fields, "content": fields.get("content") or refusal or ""}
