"""What is in recorded exchanges with Gemini (folders `gemini` and `vertex`), read without the codec."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint, ToolSpec
from tests.recordings.expected import Expected

FOLDERS = {"gemini": None, "vertex": None}

SKIPPED = {
    "chat.completions": "Google's OpenAI-compatible endpoint: the OpenAI codec's business",
    "count_tokens": "no chat",
    "embeddings": "no chat",
    "models": "no chat",
    "cachedContents": "published as generateContent, but the body is a resource of the cache API",
}
"""Why an exchange is none of this codec's, by API."""

_FINISH = {
    "STOP": "stop", "1": "stop", "MAX_TOKENS": "length", "2": "length",
    "SAFETY": "content_filter", "RECITATION": "content_filter", "MODEL_ARMOR": "content_filter",
}  # fmt: skip
_BROKEN = {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"}
_INVALID = (  # what texts of HTTP 400 mean, each in its recorded words
    ("API key not valid", errors.AuthenticationError),
    ("The input token count", errors.ContextOverflowError),
    ("Cached content model does not match", errors.ItemNotFoundError),
    ("Responsible AI practices", errors.ContentFilterError),
    ("User location is not supported", errors.PermissionDeniedError),
    ("Function calling with a response mime type", errors.UnsupportedParameterError),
    ("Penalty is not enabled", errors.UnsupportedParameterError),
    ("Unknown name", errors.UnsupportedParameterError),
)
_BY_HTTP = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.ModelNotFoundError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    503: errors.OverloadedError,
}


def skipped(exchange: dict[str, Any]) -> str | None:
    """Return why `exchange` is none of this codec's, or None."""
    if exchange["api"] in SKIPPED:
        return SKIPPED[exchange["api"]]
    if '"name": "cachedContents/' in exchange["response"]["body"]:
        return SKIPPED["cachedContents"]
    return None


def call(exchange: dict[str, Any]) -> Call:
    """Return a minimal call for `exchange`."""
    url = exchange["request"]["url"]
    model = re.search(r"models/([^:?]+)", url)
    body = exchange["request"].get("body")
    body = json.loads(body) if isinstance(body, str) and body.startswith("{") else body or {}
    tools = [tool for tool in body.get("tools") or [] if isinstance(tool, dict)]
    declared = any("functionDeclarations" in tool or "function_declarations" in tool for tool in tools)
    return Call(
        model=model[1] if model else "unknown",
        endpoint=Endpoint("https://generativelanguage.googleapis.com", SecretStr("test-key")),
        messages=[],
        tools=[ToolSpec("anything", "", {})] if declared else [],
        server_tools=[
            tool for tool in tools if not {"functionDeclarations", "function_declarations"} & tool.keys()
        ],
        stream="streamGenerateContent" in url,
    )


def expected(exchange: dict[str, Any]) -> Expected:
    """Return what must be found in `exchange`."""
    response = exchange["response"]
    if response["status"] >= 400:
        return _error(response["status"], response["body"])
    return _answer(_events(response["body"]), exchange)


def _error(status: int, body: str) -> Expected:
    cls: type[errors.DispatchError] = _BY_HTTP[status]
    wait = re.search(r'"retryDelay": ?"([\d.]+)s"', body)
    for words, better in _INVALID:
        if status == 400 and words in body:
            cls = better
    return Expected(
        error=cls,
        retryable=status in {429, 500, 503},
        retry_after=float(wait[1]) if wait else None,
    )


def _events(body: str) -> list[dict[str, Any]]:
    if body.lstrip().startswith("data:"):
        return [json.loads(line[5:]) for line in body.splitlines() if line.startswith("data:")]
    document = json.loads(body)
    return document if isinstance(document, list) else [document]


def _answer(events: list[dict[str, Any]], exchange: dict[str, Any]) -> Expected:
    candidates = [event["candidates"][0] for event in events if event.get("candidates")]
    parts = [part for one in candidates for part in (one.get("content") or {}).get("parts") or []]
    reasons = [str(one["finishReason"]) for one in candidates if one.get("finishReason")]
    blocked = any((event.get("promptFeedback") or {}).get("blockReason") for event in events)
    calls = _calls(parts)
    reason = reasons[-1] if reasons else None
    if reason in _BROKEN or (reason == "OTHER" and not parts):
        return Expected(error=errors.MalformedResponseError, retryable=True)
    if reason is None and not blocked:
        return Expected(error=errors.EmptyAnswerError)
    finish = "content_filter" if blocked else _FINISH.get(str(reason), "other")
    return Expected(
        text="".join(part.get("text", "") for part in parts if not part.get("thought")),
        reasoning="".join(part.get("text", "") for part in parts if part.get("thought")),
        tool_calls=calls,
        finish="tool_call" if calls and finish == "stop" else finish,
        usage=_usage(events),
        model=next((event["modelVersion"] for event in events if event.get("modelVersion")), None),
        id=next((event["responseId"] for event in events if event.get("responseId")), None),
    )


def _calls(parts: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Return the calls; streamed arguments are all strings directly under the root."""
    calls: list[tuple[str, dict[str, Any]]] = []
    for part in parts:
        function = part.get("functionCall")
        if function is None:
            continue
        if "name" in function:
            calls.append((function["name"], dict(function.get("args") or {})))
        for partial in function.get("partialArgs") or []:
            name = partial["jsonPath"].removeprefix("$.")
            calls[-1][1][name] = calls[-1][1].get(name, "") + partial["stringValue"]
    return calls


def _usage(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    counts = [event.get("usageMetadata") or {} for event in events]
    counts = [count for count in counts if "totalTokenCount" in count]
    if not counts:
        return None
    last = counts[-1]
    usage: dict[str, Any] = {
        "input_tokens": last.get("promptTokenCount", 0) + last.get("toolUsePromptTokenCount", 0),
        "output_tokens": last.get("candidatesTokenCount", 0) + last.get("thoughtsTokenCount", 0),
        "total_tokens": last["totalTokenCount"],
    }
    if "thoughtsTokenCount" in last:
        usage["output_token_details"] = {"reasoning": last["thoughtsTokenCount"]}
    if "cachedContentTokenCount" in last:
        usage["input_token_details"] = {"cache_read": last["cachedContentTokenCount"]}
    return usage
