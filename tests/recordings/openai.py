"""What is in recorded exchanges with OpenAI, read with nothing but `json.loads`, line by line.

Chat completions are read here, the Responses API in `responses`; other servers of the latter are judged with
OpenAI's codec, since that is the one a base URL leads to it.

The other vendors of the family share this reading: their servers differ, the facts are in the same places.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint
from tests.recordings import responses
from tests.recordings.expected import Expected

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDERS: dict[str, tuple[str, ...] | None] = {"openai": None, "openai_compat": ("responses",)}
SKIPPED = {
    "embeddings": "embeddings are no chat",
    "models": "the list of models is no chat",
    **responses.SKIPPED,
}
_FINISH = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "length": "length",
    "content_filter": "content_filter",
    None: "stop",
}
_WORDS: tuple[tuple[str, type[errors.DispatchError]], ...] = (
    ("maximum context length", errors.ContextOverflowError),
    ("context_length_exceeded", errors.ContextOverflowError),
    ("model_not_found", errors.ModelNotFoundError),
    ("Model not found", errors.ModelNotFoundError),
    ("prompt too long", errors.ContextOverflowError),
    ("Request too large", errors.RequestAboveRateLimitError),
    ("Error while downloading", errors.ItemNotFoundError),
    ("without its required following item", errors.ForeignSignatureError),
    ("invalid_function_parameters", errors.UnsupportedParameterError),
    ("invalid_image_format", errors.UnsupportedParameterError),
    ("unsupported MIME type", errors.UnsupportedParameterError),
    ("unsupported_file", errors.UnsupportedParameterError),
    ("Supported values are: 'text'", errors.UnsupportedParameterError),
    ("must contain the word 'json'", errors.UnsupportedParameterError),
    ("Content blocks are expected", errors.UnsupportedParameterError),
    ("Unexpected role", errors.UnsupportedParameterError),
    ("did not match any variant", errors.UnsupportedParameterError),
    ("insufficient_quota", errors.QuotaExceededError),
    ("content_filter", errors.ContentFilterError),
    ("Unsupported parameter", errors.UnsupportedParameterError),
    ("Unsupported value", errors.UnsupportedParameterError),
    ("Unknown parameter", errors.UnsupportedParameterError),
    ("Unrecognized request argument", errors.UnsupportedParameterError),
    ("not supported on this model", errors.UnsupportedParameterError),
    ("extra_forbidden", errors.UnsupportedParameterError),
    ("are not used by the model", errors.UnsupportedParameterError),
    ("template not found", errors.UnsupportedParameterError),
    ("tool_use_failed", errors.MalformedResponseError),
    ("Incorrect API key", errors.AuthenticationError),
)
_BY_STATUS: dict[int, type[errors.DispatchError]] = {
    401: errors.AuthenticationError,
    402: errors.QuotaExceededError,
    403: errors.PermissionDeniedError,
    404: errors.ModelNotFoundError,
    408: errors.ServerError,
    413: errors.RequestTooLargeError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    502: errors.ServerError,
    503: errors.OverloadedError,
    504: errors.ServerError,
}


def call(exchange: dict[str, Any]) -> Call:
    """Return a call like that of the exchange, as far as decoding depends on it."""
    body = exchange["request"].get("body")
    if isinstance(body, str):
        body = json.loads(body) if body.startswith("{") else {}
    body = body or {}
    url = exchange["request"].get("url") or "https://example.test/v1/chat/completions"
    streams = exchange["response"]["body"].lstrip().startswith((":", "data:", "event:"))
    return Call(
        model=body.get("model") or "the-model",
        endpoint=Endpoint(_base(url), SecretStr("key-of-tests")),
        messages=[HumanMessage("hello")],
        stream=streams or bool(body.get("stream")),
        # The exchange decides, whatever the codec would choose for the model.
        extra={"use_responses_api": exchange["api"] == "responses"},
    )


def _base(url: str) -> str:
    return url.partition("?")[0].removesuffix("/chat/completions").removesuffix("/responses")


# -- shared with the family ----------------------------------------------------------------------------


def expected(exchange: dict[str, Any]) -> Expected:
    """Return what must be found in an exchange of either API."""
    response = exchange["response"]
    headers = {name.lower(): value for name, value in (response["headers"] or {}).items()}
    if response["status"] != 200:
        cls = error_class(response["status"], response["body"])
        return Expected(error=cls, retry_after=_wait(headers, response["body"]))
    if exchange["api"] == "responses":
        return responses.answer(response["body"])
    objects, broken = _objects(response["body"])
    for found in objects:
        if found.get("error"):
            return Expected(error=_inside(found))
    if response["body"].lstrip().startswith("{"):
        return _answer(objects[0], objects[0]["choices"][0].get("message") or {}, objects[0]["choices"][0])
    return _streamed(objects, broken=broken)


def error_class(status: int, body: str) -> type[errors.DispatchError]:
    """Return the class that a status and the words in a body stand for."""
    for word, cls in _WORDS:
        if word in body and status in {400, 422, 429}:
            return cls
    default = errors.ServerError if status >= 500 else errors.InvalidRequestError
    return _BY_STATUS.get(status, default)


def _inside(found: dict[str, Any]) -> type[errors.DispatchError]:
    text = json.dumps(found["error"])
    return next((cls for word, cls in _WORDS if word in text), errors.ServerError)


def _wait(headers: dict[str, str], body: str) -> float | None:
    if ms := headers.get("retry-after-ms"):
        return int(ms) / 1000
    if seconds := headers.get("retry-after"):
        return float(seconds)
    return json.loads(body)["estimated_time"] if "estimated_time" in body else None


def _objects(body: str) -> tuple[list[dict[str, Any]], bool]:
    if body.lstrip().startswith("{"):
        return [json.loads(body)], False
    objects, broken = [], False
    for line in body.splitlines():
        text = line.removeprefix("data:").strip()
        if not line.startswith("data:") or text == "[DONE]":
            continue
        try:
            objects.append(json.loads(text))
        except ValueError:
            broken = True
    return objects, broken


def _streamed(objects: list[dict[str, Any]], *, broken: bool) -> Expected:
    choices = [c for o in objects for c in o.get("choices") or [] if c.get("index", 0) == 0]
    finish = [c["finish_reason"] for c in choices if c.get("finish_reason")]
    if broken and not finish:
        return Expected(error=errors.TruncatedStreamError)
    deltas = [c.get("delta") or {} for c in choices]
    calls: dict[Any, dict[str, Any]] = {}
    for piece in (p for d in deltas for p in _calls(d)):
        function = piece.get("function") or {}
        key = piece.get("index", piece.get("id"))
        whole = calls.setdefault(key, {"function": {"name": "", "arguments": ""}})["function"]
        whole["name"] = whole["name"] or function.get("name") or ""
        arguments = function.get("arguments") or ""
        whole["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments)
    message = {
        "content": "".join(_text(d.get("content"), "text") for d in deltas),
        "reasoning": "".join(_reasoning(d) for d in deltas),
        "refusal": "".join(d.get("refusal") or "" for d in deltas),
        "tool_calls": list(calls.values()),
    }
    head = {
        "model": next((o["model"] for o in objects if o.get("model")), None),
        "id": next((o["id"] for o in objects if o.get("id")), None),
        "usage": next((u for o in reversed(objects) if (u := _usage_in(o))), None),
    }
    return _answer(head, message, {"finish_reason": finish[-1]})


def _answer(head: dict[str, Any], message: dict[str, Any], choice: dict[str, Any]) -> Expected:
    calls = [(c["function"]["name"], _arguments(c["function"].get("arguments"))) for c in _calls(message)]
    finish = _FINISH[choice.get("finish_reason")]
    return Expected(
        text=_text(message.get("content"), "text"),
        reasoning=_reasoning(message),
        tool_calls=[(name, args) for name, args in calls if args is not None],
        invalid_tool_calls=sum(args is None for _, args in calls),
        finish="refusal" if message.get("refusal") else "tool_call" if calls and finish == "stop" else finish,
        usage=_usage(_usage_in(head)),
        model=head.get("model") or None,
        id=head.get("id") or None,
    )


def _calls(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    calls = message.get("tool_calls") or []
    yield from [calls] if isinstance(calls, dict) else calls
    if message.get("function_call"):
        yield {"index": 0, "function": message["function_call"]}


def _arguments(found: Any) -> dict[str, Any] | None:
    if isinstance(found, dict):
        return found
    try:
        value = json.loads(found or "{}")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _text(content: Any, kind: str) -> str:
    if isinstance(content, str):
        return content if kind == "text" else ""
    return "".join(
        part["text"] if kind == "text" else _text(part["thinking"], "text")
        for part in content or []
        if part["type"] == kind
    )


def _reasoning(message: dict[str, Any]) -> str:
    beside = message.get("reasoning_content") or message.get("reasoning") or ""
    return beside or _text(message.get("content"), "thinking")


def _usage_in(found: dict[str, Any]) -> dict[str, Any] | None:
    return found.get("usage") or (found.get("x_groq") or {}).get("usage")


def _usage(found: dict[str, Any] | None) -> dict[str, Any] | None:
    if not found:
        return None
    read, written = found.get("prompt_tokens_details") or {}, found.get("completion_tokens_details") or {}
    reasoning = written.get("reasoning_tokens", found.get("reasoning_tokens"))
    # A server that counts reasoning beside the answer is recognised by its total.
    beside = found["total_tokens"] - found["prompt_tokens"] - found["completion_tokens"]
    assert beside in {0, reasoning}
    usage: dict[str, Any] = {
        "input_tokens": found["prompt_tokens"],
        "output_tokens": found["completion_tokens"] + beside,
        "total_tokens": found["total_tokens"],
    }
    cached = read.get("cached_tokens", found.get("cached_tokens"))
    for side, name, value in (
        ("input_token_details", "cache_read", cached),
        ("input_token_details", "audio", read.get("audio_tokens")),
        ("output_token_details", "reasoning", reasoning),
        ("output_token_details", "audio", written.get("audio_tokens")),
    ):
        if value is not None:
            usage.setdefault(side, {})[name] = value
    return usage
