"""What is in Anthropic's recorded exchanges, read without the codec: plain `json.loads`, line by line."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint, ToolSpec
from tests.recordings.expected import Expected

SKIPPED: dict[str, str] = {
    "count_tokens": "the token counting endpoint answers no chat",
    "models": "the list of models is no chat",
    "chat.completions": "Anthropic's OpenAI-compatible endpoint speaks another vendor's dialect",
}
"""APIs of this vendor's recordings that are not this codec's, and why."""

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_call",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_exceeded",
    "pause_turn": "other",
    "compaction": "other",
    "refusal": "refusal",
    "stop": "stop",
    None: "stop",
}
_BY_TYPE = {
    "authentication_error": errors.AuthenticationError,
    "billing_error": errors.QuotaExceededError,
    "permission_error": errors.PermissionDeniedError,
    "not_found_error": errors.ModelNotFoundError,
    "request_too_large": errors.RequestTooLargeError,
    "rate_limit_error": errors.RateLimitError,
    "api_error": errors.ServerError,
    "timeout_error": errors.ServerError,
    "overloaded_error": errors.OverloadedError,
}
_BY_STATUS = {
    401: errors.AuthenticationError,
    402: errors.QuotaExceededError,
    403: errors.PermissionDeniedError,
    404: errors.ModelNotFoundError,
    413: errors.RequestTooLargeError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    502: errors.ServerError,
    503: errors.OverloadedError,
    504: errors.ServerError,
    529: errors.OverloadedError,
}


def expected(exchange: dict[str, Any]) -> Expected:
    """Return what must be found in the exchange."""
    response = exchange["response"]
    if response["status"] >= 400:
        return _error(response)
    if response["body"].lstrip().startswith("{"):
        return _whole(json.loads(response["body"]))
    return _streamed(response["body"])


def call(exchange: dict[str, Any]) -> Call:
    """Return a call like that of the exchange, as far as decoding depends on it."""
    body = exchange["request"].get("body")
    body = body if isinstance(body, dict) else {}
    tools = [tool for tool in body.get("tools") or _lost_tools(exchange) if isinstance(tool, dict)]
    named = {"context_management", "mcp_servers", "container", "betas", "fallbacks"}
    streams = "event-stream" in _header(exchange["response"], "content-type") or bool(body.get("stream"))
    return Call(
        model=body.get("model") or "claude-haiku-5-5",
        endpoint=Endpoint(
            base_url="https://api.anthropic.com", api_key=SecretStr("sk-ant-api-not-a-real-key")
        ),
        messages=[HumanMessage(_question(body))],
        params={"thinking": body["thinking"]} if body.get("thinking") else {},
        tools=[
            ToolSpec(name=tool["name"], description="", parameters=tool["input_schema"])
            for tool in tools
            if "input_schema" in tool
        ],
        server_tools=[tool for tool in tools if "input_schema" not in tool],
        extra={name: body[name] for name in named if body.get(name)},
        stream=streams,
    )


def _lost_tools(exchange: dict[str, Any]) -> list[dict[str, Any]]:
    # Some were published without their request: what the answer used was requested.
    used = "server_tool_use" in exchange["response"]["body"] and exchange["fidelity"] in _REQUESTLESS
    return [{"type": "code_execution_20250825", "name": "code_execution"}] if used else []


_REQUESTLESS = {"response-only", "reframed"}


def _question(body: dict[str, Any]) -> Any:
    # Only that there are documents matters: answers about them may hold citations.
    if '"document"' in json.dumps(body.get("messages", [])):
        return [{"type": "text-plain", "mime_type": "text/plain", "text": "a document"}]
    return "a question"


def _header(response: dict[str, Any], name: str) -> str:
    values = {key.lower(): value for key, value in response["headers"].items()}
    return str(values.get(name) or "")


def _error(response: dict[str, Any]) -> Expected:
    status, should = response["status"], _header(response, "x-should-retry")
    try:
        found = json.loads(response["body"])["error"]
    except (ValueError, KeyError):
        found = {}
    by_type, by_status = _BY_TYPE.get(found.get("type")), _BY_STATUS.get(status)
    kind: type[errors.DispatchError] = by_type or by_status or errors.InvalidRequestError
    if found.get("type") == "invalid_request_error":
        kind = _invalid(found["message"])
    retryable = kind.is_retryable
    after = _header(response, "retry-after")
    if status == 429 and should == "false" and not after:
        kind, retryable = errors.RequestAboveRateLimitError, False
    if should == "false":
        retryable = False
    return Expected(error=kind, retryable=retryable, retry_after=float(after) if after else None)


def _invalid(message: str) -> type[errors.DispatchError]:
    if "prompt is too long" in message:
        return errors.ContextOverflowError
    if "credit balance" in message:
        return errors.QuotaExceededError
    if "any of the expected tags" in message:
        return errors.UnsupportedParameterError
    if "Unable to download" in message:
        return errors.ItemNotFoundError
    return errors.InvalidRequestError


def _whole(answer: dict[str, Any]) -> Expected:
    if answer.get("type") == "error":
        return Expected(error=_BY_TYPE[answer["error"]["type"]])
    blocks = answer["content"]
    return Expected(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        reasoning="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        tool_calls=[(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        finish=_FINISH[answer.get("stop_reason")],
        usage=_usage(answer.get("usage")),
        model=answer["model"],
        id=answer["id"],
    )


def _streamed(body: str) -> Expected:
    lines = body.replace("\r\n", "\n").split("\n")
    events = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    failed = [event for event in events if event["type"] == "error"]
    if failed:
        return Expected(error=_BY_TYPE[failed[0]["error"]["type"]])
    start = next(event["message"] for event in events if event["type"] == "message_start")
    blocks = {
        event["index"]: event["content_block"] for event in events if event["type"] == "content_block_start"
    }
    deltas = [(event["index"], event["delta"]) for event in events if event["type"] == "content_block_delta"]
    usage, reason = dict(start.get("usage") or {}), None
    for event in events:
        if event["type"] == "message_delta":
            usage.update({k: v for k, v in (event.get("usage") or {}).items() if v is not None})
            reason = event["delta"].get("stop_reason") or reason
    calls = []
    for index, block in sorted(blocks.items()):
        if block["type"] == "tool_use":
            text = "".join(delta.get("partial_json", "") for i, delta in deltas if i == index)
            calls.append((block["name"], json.loads(text) if text.strip() else block["input"]))
    return Expected(
        text=_joined(blocks, deltas, "text", "text"),
        reasoning=_joined(blocks, deltas, "thinking", "thinking"),
        tool_calls=calls,
        finish=_FINISH[reason],
        usage=_usage(usage),
        model=start["model"],
        id=start["id"],
    )


def _joined(blocks: dict[int, Any], deltas: list[tuple[int, Any]], kind: str, field: str) -> str:
    parts = []
    for index, block in sorted(blocks.items()):
        if block["type"] == kind:
            parts.append(block.get(field) or "")
            parts.extend(delta.get(field) or "" for i, delta in deltas if i == index)
    return "".join(parts)


def _usage(found: dict[str, Any] | None) -> dict[str, Any] | None:
    if not found:
        return None
    read, written = found.get("cache_read_input_tokens"), found.get("cache_creation_input_tokens")
    taken = found.get("input_tokens", 0) + (read or 0) + (written or 0)
    usage: dict[str, Any] = {
        "input_tokens": taken,
        "output_tokens": found["output_tokens"],
        "total_tokens": taken + found["output_tokens"],
    }
    if read is not None:
        usage["input_token_details"] = {"cache_read": read}
    thought = (found.get("output_tokens_details") or {}).get("thinking_tokens")
    if thought is not None:
        usage["output_token_details"] = {"reasoning": thought}
    return usage
