"""From the body of a chat completion to a message, and the pieces that streams share with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCall, invalid_tool_call, tool_call

from langchain_llmdispatch.framing import dump_json, parse_json

if TYPE_CHECKING:
    from langchain_core.messages.content import InvalidToolCall

    from langchain_llmdispatch.types import FinishReason

KWARGS = ("refusal", "annotations", "audio", "images")
"""Parts of a message or delta that LangChain keeps in `additional_kwargs`."""
HEAD = frozenset(
    {"id", "system_fingerprint", "service_tier", "prompt_filter_results", "provider", "citations"}
)
"""Fields of the response that are worth keeping as metadata."""
TAIL = ("content_filter_results", "native_finish_reason", "stop_reason", "matched_stop")
"""Fields of the choice that are worth keeping as metadata."""

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",  # OpenAI's legacy functions
    "eos_token": "stop",  # TGI
    "stop_sequence": "stop",  # TGI
    "eos": "stop",  # Together
    "max_tokens": "length",
    "model_length": "length",  # Mistral
    "sensitive": "content_filter",  # Z.ai
    "safety": "content_filter",
}
FAILED = frozenset({"error", "abort", "network_error", "insufficient_system_resource"})
"""Finish reasons that say the answer was given up: OpenRouter and Mistral, vLLM, Z.ai, DeepSeek."""


def finish_reason(raw: Any, *, calls: bool) -> FinishReason:
    """Return the normal form of a finish reason.

    Forced calls end with `stop` on OpenAI, and so do all calls on some servers: what the caller must do
    next is answer them. A word that is not known here is still an end.
    """
    reason = _FINISH.get(raw.lower() if isinstance(raw, str) else "", "stop")
    return "tool_calls" if calls and reason == "stop" else reason


# -- usage ---------------------------------------------------------------------------------------------


def usage_of(reply: Mapping[str, Any]) -> Any:
    """Return what a response or chunk says of usage; Groq's streams put it aside in `x_groq`."""
    return reply.get("usage") or (reply.get("x_groq") or {}).get("usage")


def usage_metadata(usage: Any) -> UsageMetadata | None:
    """Return a chat completion's usage in LangChain's terms, or None if it does not count both sides."""
    if not isinstance(usage, Mapping):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    read, written = _details(usage, "prompt"), _details(usage, "completion")
    reasoning = _first_int(written.get("reasoning_tokens"), usage.get("reasoning_tokens"))
    total = usage.get("total_tokens")
    # xAI counts reasoning beside the completion instead of within it; only the total tells.
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning
    result = UsageMetadata(
        input_tokens=prompt,
        output_tokens=completion,
        total_tokens=total if isinstance(total, int) and total else prompt + completion,
    )
    cached = _first_int(
        read.get("cached_tokens"),
        usage.get("cached_tokens"),  # Together
        usage.get("prompt_cache_hit_tokens"),  # DeepSeek
    )
    inputs = {
        "audio": read.get("audio_tokens"),
        "cache_read": cached,
        "cache_creation": read.get("cache_write_tokens"),
    }
    outputs = {"audio": written.get("audio_tokens"), "reasoning": reasoning}
    return with_details(result, inputs, outputs)


def with_details(
    usage: UsageMetadata, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
) -> UsageMetadata:
    """Return `usage` with those details that the vendor sent as numbers."""
    if found := {k: v for k, v in inputs.items() if isinstance(v, int)}:
        usage["input_token_details"] = InputTokenDetails(**found)  # type: ignore[typeddict-item]
    if found := {k: v for k, v in outputs.items() if isinstance(v, int)}:
        usage["output_token_details"] = OutputTokenDetails(**found)  # type: ignore[typeddict-item]
    return usage


def _details(usage: Mapping[str, Any], side: str) -> Mapping[str, Any]:
    details = usage.get(f"{side}_tokens_details")
    return details if isinstance(details, Mapping) else {}


def _first_int(*values: Any) -> int | None:
    return next((value for value in values if isinstance(value, int)), None)


# -- text, reasoning, tool calls -----------------------------------------------------------------------


def text_of(content: Any) -> tuple[str, str]:
    """Return text and reasoning in a content that is a string, null or (Mistral) a list of parts."""
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list):
        return "", ""
    text, thought = [], []
    for part in content:
        if isinstance(part, Mapping) and part.get("type") == "thinking":
            thought.append(text_of(part.get("thinking"))[0])
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            text.append(part["text"])
    return "".join(text), "".join(thought)


def reasoning_of(message: Mapping[str, Any]) -> str:
    """Return reasoning text beside the content; servers that send both fields send the same twice."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(found := message.get(name), str) and found:
            return found
    return ""


def raw_calls(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the tool calls of a message or delta: a list, one object (TGI), or a legacy function call."""
    calls = message.get("tool_calls")
    if isinstance(calls, Mapping):
        calls = [calls]
    if not calls and isinstance(legacy := message.get("function_call"), Mapping):
        calls = [{"index": 0, "function": legacy}]
    return [call for call in calls or () if isinstance(call, Mapping)]


def call_parts(call: Mapping[str, Any]) -> tuple[Any, str]:
    """Return name and argument text of a raw tool call or a piece of one."""
    if isinstance(custom := call.get("custom"), Mapping):
        # LangChain's convention for a tool that takes free text.
        return custom.get("name"), dump_json({"__arg1": custom.get("input", "")}).decode()
    function = call.get("function")
    if not isinstance(function, Mapping):
        return None, ""
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        return function.get("name"), arguments
    # TGI sends an object where the family sends its text.
    return function.get("name"), "" if arguments is None else dump_json(arguments).decode()


def seed_of(reply: Mapping[str, Any]) -> str:
    """Return what tells this answer from others: its id, or its time where there is none (TGI)."""
    return str(reply.get("id") or reply.get("created") or "")


def call_id(raw: Any, seed: str, index: int) -> str:
    """Return the vendor's call id, or one that the same answer always gets (TGI sends 0 or nothing)."""
    if isinstance(raw, str) and raw:
        return raw
    return f"call_{sha256(seed.encode()).hexdigest()[:12]}_{index}"


def arguments(text: str) -> dict[str, Any] | None:
    """Return the arguments in `text`, or None if it is no JSON object; nothing and null mean none."""
    if not text.strip():
        return {}
    try:
        value = parse_json(text)
    except ValueError:
        return None
    if value is None:
        return {}
    return value if isinstance(value, dict) else None


class Calls(NamedTuple):
    """Tool calls by validity."""

    valid: list[ToolCall]
    invalid: list[InvalidToolCall]


def tool_calls(pieces: Iterable[tuple[str, Any, str]], names: Mapping[str, str]) -> Calls:
    """Return calls from `(id, name, argument text)`, under the names that the caller knows."""
    calls = Calls([], [])
    for identity, name, text in pieces:
        args = arguments(text)
        if args is None or not isinstance(name, str) or not name:
            error = "no name" if args is not None else "arguments are no JSON object"
            calls.invalid.append(invalid_tool_call(name=name or None, args=text, id=identity, error=error))
        else:
            calls.valid.append(tool_call(name=names.get(name, name), args=args, id=identity))
    return calls


# -- the message ---------------------------------------------------------------------------------------


def chat_message(
    reply: Mapping[str, Any],
    choice: Mapping[str, Any],
    *,
    provider: str,
    model: str,
    names: Mapping[str, str],
) -> AIMessage:
    """Return the message in the first choice of a chat completion."""
    said = choice.get("message") or {}  # Azure leaves it out where its filter took everything
    text, thought = text_of(said.get("content"))
    kwargs = {name: said[name] for name in KWARGS if said.get(name)}
    if thought := reasoning_of(said) or thought:
        kwargs["reasoning_content"] = thought
    pieces = [
        (call_id(call.get("id"), seed_of(reply), index), *call_parts(call))
        for index, call in enumerate(raw_calls(said))
    ]
    calls = tool_calls(pieces, names)
    metadata = {
        "model_provider": provider,
        "model_name": reply.get("model") or model,
        "finish_reason": finish_reason(choice.get("finish_reason"), calls=bool(pieces)),
        **{name: reply[name] for name in HEAD if reply.get(name)},
        **{name: choice[name] for name in (*TAIL, "logprobs") if choice.get(name)},
    }
    return AIMessage(
        content=text,
        additional_kwargs=kwargs,
        tool_calls=calls.valid,
        invalid_tool_calls=calls.invalid,
        usage_metadata=usage_metadata(usage_of(reply)),
        response_metadata=metadata,
    )
