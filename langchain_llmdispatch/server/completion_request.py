"""A body of `/v1/chat/completions` as messages and keywords of a call.

Source: platform.openai.com/docs/api-reference/chat/create. Words that are not OpenAI's go to the vendors that
have them, as `invoke`'s do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_llmdispatch.server.failures import refusal
from langchain_llmdispatch.server.fields import check_fields, fields_of
from langchain_llmdispatch.server.messages import messages_of

# Words of the endpoint itself; the others are keywords of the call.
_OWN = frozenset({"model", "messages", "stream", "stream_options", "n", "max_tokens", "modalities"})
_RENAMED = {"max_completion_tokens": "max_tokens", "metadata": "request_metadata"}
_INSTEAD = {
    "functions": "write tools",
    "function_call": "write tool_choice",
    "audio": "answers are text",
    "input": "write messages",
    "background": "an answer is made while its client waits",
}


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """A client's request for an answer.

    Attributes:
        model: The name that the client wrote.
        messages: The conversation.
        keywords: Parameters, tools and the response format, as `invoke` takes them.
        stream: Whether the answer is streamed.
        include_usage: Whether a stream ends with a chunk of usage.
        fields: The body's own fields, for answers that repeat them.
    """

    model: str
    messages: list[BaseMessage]
    keywords: Mapping[str, Any]
    stream: bool
    include_usage: bool
    fields: Mapping[str, Any]


def completion_request(body: bytes) -> AnswerRequest:
    """Return the request in a body.

    Raises:
        RefusedRequestError: It is no JSON object, or a field is missing or wrong; the failure names it.
    """
    words = fields_of(body)
    check_fields(words, ("model", "messages"), _INSTEAD)
    _check_one_answer(words)
    options: Mapping[str, Any] = words.get("stream_options", {})
    return AnswerRequest(
        model=words["model"],
        messages=messages_of(words["messages"]),
        keywords=_keywords(words),
        stream=words.get("stream", False),
        include_usage=bool(options.get("include_usage")),
        fields=words,
    )


def _keywords(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a call; `max_completion_tokens` wins over the older `max_tokens`."""
    older = {"max_tokens": words["max_tokens"]} if "max_tokens" in words else {}
    return {
        **older,
        **{_RENAMED.get(name, name): value for name, value in words.items() if name not in _OWN},
    }


def _check_one_answer(words: Mapping[str, Any]) -> None:
    if words.get("n", 1) != 1:
        raise refusal("'n': only one choice is made per request.", param="n", code="unsupported_value")
    if words.get("modalities", ["text"]) != ["text"]:
        raise refusal("'modalities': answers are text.", param="modalities", code="unsupported_value")
