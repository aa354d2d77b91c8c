"""What is in Cohere's recorded exchanges, read without the codec: plain `json.loads`, event by event."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint
from tests.recordings.expected import Expected

SKIPPED: dict[str, str] = {
    "v1.chat": "the v1 API is another dialect, which this codec does not speak",
    "chat.completions": "Cohere's OpenAI-compatible endpoint speaks another vendor's dialect",
    "embeddings": "the embeddings endpoint answers no chat",
    "models": "the list of models is no chat",
}
"""APIs of this vendor's recordings that are not this codec's, and why."""

_FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_call"}
_FAILED = {"ERROR": errors.MalformedResponseError, "TIMEOUT": errors.ServerError}
_BY_STATUS = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    402: errors.QuotaExceededError,
    403: errors.PermissionDeniedError,
    404: errors.ModelNotFoundError,
    422: errors.InvalidRequestError,
    429: errors.RateLimitError,
    498: errors.ContentFilterError,
    500: errors.ServerError,
    503: errors.OverloadedError,
}


def expected(exchange: dict[str, Any]) -> Expected:
    """Return what must be found in the exchange."""
    response = exchange["response"]
    if response["status"] >= 400:
        return _error(response)
    if response["body"].lstrip().startswith("{"):
        return _whole(exchange, json.loads(response["body"]))
    return _streamed(exchange, response["body"])


def call(exchange: dict[str, Any]) -> Call:
    """Return a call like that of the exchange, as far as decoding depends on it."""
    body = _request(exchange)
    return Call(
        model=_model(exchange),
        endpoint=Endpoint(base_url="https://api.cohere.com", api_key=SecretStr("not-a-real-cohere-key")),
        messages=_messages(body),
        extra={name: body[name] for name in ("documents", "citation_options") if body.get(name)},
        stream=not exchange["response"]["body"].lstrip().startswith("{"),
    )


def _request(exchange: dict[str, Any]) -> dict[str, Any]:
    body = exchange["request"].get("body")
    body = json.loads(body) if isinstance(body, str) and body.startswith("{") else body
    # One recorder wrapped the body once more.
    inner = body.get("content") if isinstance(body, dict) else None
    return inner if isinstance(inner, dict) else body if isinstance(body, dict) else {}


def _model(exchange: dict[str, Any]) -> str:
    # Cohere's answers do not name the model: the requested one answered.
    return str(_request(exchange).get("model") or "command-a-03-2025")


def _messages(body: dict[str, Any]) -> list[BaseMessage]:
    # Only that there are tool results matters: answers about them may hold citations.
    if not any(message.get("role") == "tool" for message in body.get("messages") or []):
        return [HumanMessage("a question")]
    calling = AIMessage("", tool_calls=[{"name": "a_tool", "args": {}, "id": "c1", "type": "tool_call"}])
    return [HumanMessage("a question"), calling, ToolMessage("a result", tool_call_id="c1", name="a_tool")]


def _error(response: dict[str, Any]) -> Expected:
    try:
        text = json.loads(response["body"])["message"]
    except (ValueError, KeyError, TypeError):
        text = response["body"]
    kind = _BY_STATUS[response["status"]]
    if "too many tokens" in text:
        kind = errors.ContextOverflowError
    if "unknown field" in text:
        kind = errors.UnsupportedParameterError
    return Expected(error=kind, retryable=kind.is_retryable)


def _whole(exchange: dict[str, Any], answer: dict[str, Any]) -> Expected:
    if answer["finish_reason"] in _FAILED:
        return Expected(error=_FAILED[answer["finish_reason"]])
    message = answer["message"]
    blocks = message.get("content") or []
    functions = [item["function"] for item in message.get("tool_calls") or []]
    return Expected(
        text=(message.get("tool_plan") or "") + "".join(block.get("text") or "" for block in blocks),
        reasoning="".join(block.get("thinking") or "" for block in blocks),
        tool_calls=[(function["name"], _arguments(function["arguments"])) for function in functions],
        finish=_FINISH[answer["finish_reason"]],
        usage=_usage(answer.get("usage")),
        model=_model(exchange),
        id=answer["id"],
    )


def _streamed(exchange: dict[str, Any], body: str) -> Expected:
    lines = [line[5:].strip() for line in body.replace("\r\n", "\n").split("\n") if line.startswith("data:")]
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    end = next(event["delta"] for event in events if event["type"] == "message-end")
    if end["finish_reason"] in _FAILED:
        return Expected(error=_FAILED[end["finish_reason"]])
    found = [event for event in events if event["type"] in {"content-start", "content-delta"}]
    contents = [event["delta"]["message"]["content"] for event in found]
    plans = [event["delta"]["message"]["tool_plan"] for event in events if event["type"] == "tool-plan-delta"]
    return Expected(
        text="".join(plans) + "".join(content.get("text") or "" for content in contents),
        reasoning="".join(content.get("thinking") or "" for content in contents),
        tool_calls=_streamed_calls(events),
        finish=_FINISH[end["finish_reason"]],
        usage=_usage(end.get("usage")),
        model=_model(exchange),
        id=next(event["id"] for event in events if event["type"] == "message-start"),
    )


def _streamed_calls(events: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    calls = []
    for start in (event for event in events if event["type"] == "tool-call-start"):
        function = start["delta"]["message"]["tool_calls"]["function"]
        text = function["arguments"] + "".join(
            event["delta"]["message"]["tool_calls"]["function"]["arguments"]
            for event in events
            if event["type"] == "tool-call-delta" and event["index"] == start["index"]
        )
        calls.append((function["name"], _arguments(text)))
    return calls


def _arguments(text: str) -> dict[str, Any]:
    return json.loads(text or "{}") or {}


def _usage(found: dict[str, Any] | None) -> dict[str, Any] | None:
    if not found:
        return None
    taken, given = found["tokens"]["input_tokens"], found["tokens"]["output_tokens"]
    usage: dict[str, Any] = {"input_tokens": taken, "output_tokens": given, "total_tokens": taken + given}
    if "cached_tokens" in found:
        usage["input_token_details"] = {"cache_read": found["cached_tokens"]}
    if "reasoning_tokens" in found["tokens"]:
        usage["output_token_details"] = {"reasoning": found["tokens"]["reasoning_tokens"]}
    return usage
