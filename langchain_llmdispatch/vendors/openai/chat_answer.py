"""From the body of a chat completion to a message, and the pieces that streams share with it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_llmdispatch.internal.json_format import dump_json, part_of
from langchain_llmdispatch.vendors.answer import ToolCalls, text_of
from langchain_llmdispatch.vendors.argument_text import arguments_of
from langchain_llmdispatch.vendors.finish_reasons import ending
from langchain_llmdispatch.vendors.openai.billing import SERVER_TOOLS, stated_cost
from langchain_llmdispatch.vendors.server_state import (
    call_state,
    message_state,
    reasoning_in,
    state_kwargs,
)
from langchain_llmdispatch.vendors.usage import count_of, sum_of, usage_of

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

KWARGS = ("annotations", "audio", "images")
"""Parts of a message or delta that LangChain keeps in `additional_kwargs`, beside refusal and reasoning."""
HEAD = ("id", "system_fingerprint", "service_tier", "prompt_filter_results", "provider", "citations")
"""Fields of the response that are worth keeping as metadata."""
TAIL = ("content_filter_results", "native_finish_reason", "stop_reason", "matched_stop")
"""Fields of the choice that are worth keeping as metadata."""
_STATELESS = frozenset({"role", "content", "refusal", "annotations", "audio", "tool_calls", "function_call"})
"""Fields of a message that hold no opaque state."""

# -- usage ---------------------------------------------------------------------------------------------

_COUNTS = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
_TOKENS = _COUNTS | {"prompt_tokens_details", "completion_tokens_details"}


def usage_metadata(usage: Any) -> UsageMetadata | None:
    """Return a chat completion's usage in LangChain's terms, or None if it does not count both sides."""
    if not isinstance(usage, Mapping):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    total = count_of(usage.get("total_tokens"))
    if usage.keys() <= _COUNTS:  # no details
        return usage_of(prompt, completion, total)
    read, written = part_of(usage, "prompt_tokens_details"), part_of(usage, "completion_tokens_details")
    reasoning = _first_count(written.get("reasoning_tokens"), usage.get("reasoning_tokens"))
    # xAI counts reasoning beside the completion instead of within it; only the total shows that.
    if reasoning and total == sum_of(prompt, completion, reasoning):
        completion = sum_of(completion, reasoning)
    cached = _first_count(
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
    return usage_of(prompt, completion, total, inputs=inputs, outputs=outputs)


def price_facts(usage: Any, model: str) -> dict[str, Any]:
    """Return metadata that bear on the price: a stated cost, and the search of a search model."""
    plain = not isinstance(usage, Mapping) or usage.keys() <= _TOKENS
    facts = {} if plain else stated_cost(usage)
    return {**facts, SERVER_TOOLS: {"search_model": 1}} if "-search-" in model else facts


def raw_usage(chunk: Mapping[str, Any]) -> Any:
    """Return the usage of a chunk; Groq's streams put it aside in `x_groq`."""
    return chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage")


def _first_count(*values: Any) -> int | None:
    return next((count for value in values if (count := count_of(value)) is not None), None)


# -- text, reasoning, tool calls -----------------------------------------------------------------------


def text_and_reasoning(content: Any) -> tuple[str, str]:
    """Return text and reasoning in a content that is a string, null, a part or (Mistral) a list of parts.

    Raises:
        TypeError: It is something else, which must not get lost.
    """
    if isinstance(content, str):
        return content, ""
    text, reasoning = [], []
    parts = () if content is None else content
    for part in [parts] if isinstance(parts, Mapping) else parts:
        if isinstance(part, Mapping) and part.get("type") == "thinking":
            reasoning.append(text_and_reasoning(part.get("thinking"))[0])
        elif (found := part.get("text") if isinstance(part, Mapping) else part) is not None:
            text.append(text_of(found))
    return "".join(text), "".join(reasoning)


_REASONING = frozenset({"reasoning_content", "reasoning", "reasoning_text", "reasoning_details"})


def reasoning_of(message: Mapping[str, Any]) -> str:
    """Return reasoning text beside the content; servers that send several fields send the same in each."""
    if _REASONING.isdisjoint(message):  # nearly always
        return ""
    for name in ("reasoning_content", "reasoning", "reasoning_text"):
        if isinstance(found := message.get(name), str) and found:
            return found
    details = message.get("reasoning_details")
    return reasoning_in(details) if details else ""


def raw_calls(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the tool calls of a message or delta: a list, one object (TGI), or a legacy function call."""
    calls = message.get("tool_calls")
    if isinstance(calls, Mapping):
        calls = [calls]
    if not calls and isinstance(legacy := message.get("function_call"), Mapping):
        calls = [{"index": 0, "function": legacy}]
    return [call for call in calls or () if isinstance(call, Mapping)]


def call_parts(call: Mapping[str, Any]) -> tuple[Any, str, str | None]:
    """Return name, argument text and a custom tool's free text of a raw tool call or a piece of one."""
    if isinstance(custom := call.get("custom"), Mapping):
        return custom.get("name"), "", text_of(custom.get("input") or "")
    function = call.get("function")
    if not isinstance(function, Mapping):
        return None, "", None
    args = function.get("arguments")
    if isinstance(args, str):
        return function.get("name"), args, None
    # TGI sends an object where the family sends its text.
    return function.get("name"), "" if args is None else dump_json(args).decode(), None


def free_arguments(text: str) -> str:
    """Return the free text of a custom tool's call as arguments: LangChain's convention."""
    return dump_json({"__arg1": text}).decode()


def seed_of(reply: Mapping[str, Any]) -> str:
    """Return what distinguishes this answer from others: its id, or its time where there is none (TGI)."""
    return str(reply.get("id") or reply.get("created") or "")


def ending_metadata(word: Any, *, calls: bool, refused: bool) -> dict[str, Any]:
    """Return the facts of an answer's end.

    Forced calls end with `stop` on OpenAI, and so do all calls on some servers: they must be answered next
    all the same.

    Raises:
        MalformedResponseError: The answer failed on the way.
    """
    if word == "stop" and not calls and not refused:  # nearly every answer
        return {"finish_reason": word, "normalized_finish_reason": word, "finish_state": "complete"}
    facts = ending(word, calls=calls)
    return facts | {"normalized_finish_reason": "refusal"} if refused else facts


def given_id(raw: Any) -> str | None:
    """Return a call's id as the server gave it; None if it gave none (TGI: 0, Mistral: the word `null`)."""
    return raw if isinstance(raw, str) and raw not in {"", "null"} else None


def call_id(raw: Any, seed: str, index: int) -> str:
    """Return the server's id of a call, or one that the same answer always gets."""
    return given_id(raw) or f"call_{sha256(seed.encode(errors='surrogatepass')).hexdigest()[:12]}_{index}"


# -- the message ---------------------------------------------------------------------------------------


def chat_message(
    reply: Mapping[str, Any],
    choice: Mapping[str, Any],
    *,
    provider: str,
    model: str,
    names: Mapping[str, str],
    host: str = "",
) -> AIMessage:
    """Return the message in the first choice of a chat completion.

    Args:
        reply: The chat completion.
        choice: Its first choice.
        provider: The block translator that reads the message.
        model: The model that was requested.
        names: The caller's names of tools by the vendor's.
        host: The server, for state that it needs back.
    """
    raw = choice.get("message") or {}  # Azure leaves it out where its filter took everything
    text, reasoning, kwargs = raw.get("content"), "", {}
    if not isinstance(text, str):
        text, reasoning = text_and_reasoning(text)
    if raw.get("refusal"):
        kwargs["refusal"] = text_of(raw["refusal"])
    for name in KWARGS:
        if raw.get(name):
            kwargs[name] = raw[name]
    if reasoning := reasoning_of(raw) or reasoning:
        kwargs["reasoning_content"] = reasoning
    states: dict[str, Any] = {}
    called = raw.get("tool_calls") or raw.get("function_call")
    calls = _calls(reply, raw, names, states) if called else None
    metadata = {
        "model_provider": provider,
        "model_name": named if isinstance(named := reply.get("model"), str) and named else model,
        **ending_metadata(choice.get("finish_reason"), calls=calls is not None, refused="refusal" in kwargs),
    }
    for source, kept in ((reply, HEAD), (choice, TAIL), (choice, ("logprobs",))):
        for name in kept:
            if source.get(name):
                metadata[name] = source[name]
    metadata |= price_facts(reply.get("usage"), model)
    fields = {} if raw.keys() <= _STATELESS else message_state(raw)
    if fields or states:
        kwargs |= state_kwargs(host, model, fields, states)
    return AIMessage(
        content=text,
        additional_kwargs=kwargs,
        tool_calls=calls.valid if calls else [],
        invalid_tool_calls=calls.invalid if calls else [],
        usage_metadata=usage_metadata(reply.get("usage")),
        response_metadata=metadata,
    )


def _calls(
    reply: Mapping[str, Any], raw: Mapping[str, Any], names: Mapping[str, str], states: dict[str, Any]
) -> ToolCalls | None:
    """Return the calls of a message, and put the state of each into `states`, by its id."""
    calls, seed = ToolCalls(names), seed_of(reply)
    for index, call in enumerate(raw_calls(raw)):
        name, text, free = call_parts(call)
        text = text if free is None else free_arguments(free)
        args = arguments_of(text)
        identity = calls.ids.own(call_id(call.get("id"), seed, index))
        calls.add(name, text if args is None else args, identity)
        if state := call_state(call):
            states[identity] = state
    return calls or None
