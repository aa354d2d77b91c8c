"""What is in Ollama's recorded exchanges, read without the codec: plain `json.loads`, line by line."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import HumanMessage

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint
from tests.recordings.expected import Expected

SKIPPED: dict[str, str] = {
    "api.generate": "the completion endpoint answers no chat",
    "chat.completions": "Ollama's OpenAI-compatible endpoint speaks another vendor's dialect",
    "embeddings": "the embeddings endpoint answers no chat",
    "models": "the list and details of models are no chat",
}
"""APIs of this vendor's recordings that are not this codec's, and why."""

_BY_STATUS = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    404: errors.ModelNotFoundError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    503: errors.OverloadedError,
}


def expected(exchange: dict[str, Any]) -> Expected:
    """Return what must be found in the exchange."""
    response = exchange["response"]
    if response["status"] >= 400:
        return _error(response)
    lines = [json.loads(line) for line in response["body"].splitlines() if line.strip()]
    failed = [line["error"] for line in lines if "error" in line]
    return Expected(error=errors.ServerError) if failed else _answer(lines)


def call(exchange: dict[str, Any]) -> Call:
    """Return a call like that of the exchange, as far as decoding depends on it."""
    body = exchange["request"].get("body")
    body = body if isinstance(body, dict) else {}
    last = json.loads([line for line in exchange["response"]["body"].splitlines() if line.strip()][-1])
    return Call(
        model=body.get("model") or last.get("model") or "llama3.1",
        endpoint=Endpoint(base_url="http://127.0.0.1:11434"),
        messages=[HumanMessage("a question")],
        # A server streams unless the request switches it off; some were published without their request.
        stream=body["stream"] if "stream" in body else "stream" in exchange["tags"],
    )


def _error(response: dict[str, Any]) -> Expected:
    text = str(json.loads(response["body"]).get("error"))
    if "context length" in text:
        return Expected(error=errors.ContextOverflowError, retryable=False)
    if "does not support" in text:
        return Expected(error=errors.UnsupportedParameterError, retryable=False)
    kind = _BY_STATUS[response["status"]]
    return Expected(error=kind, retryable=kind.is_retryable)


def _answer(lines: list[dict[str, Any]]) -> Expected:
    messages = [line.get("message") or {} for line in lines]
    calls = [item["function"] for message in messages for item in message.get("tool_calls") or []]
    last = lines[-1]
    assert last["done"] is True
    reason = last.get("done_reason", "stop")
    return Expected(
        text="".join(message.get("content") or "" for message in messages),
        reasoning="".join(message.get("thinking") or "" for message in messages),
        tool_calls=[(function["name"], function["arguments"]) for function in calls],
        finish="tool_call" if calls and reason == "stop" else reason,
        usage=_usage(last),
        model=last["model"],
    )


def _usage(last: dict[str, Any]) -> dict[str, Any] | None:
    if "prompt_eval_count" not in last or "eval_count" not in last:
        return None
    taken, given = last["prompt_eval_count"], last["eval_count"]
    return {"input_tokens": taken, "output_tokens": given, "total_tokens": taken + given}
