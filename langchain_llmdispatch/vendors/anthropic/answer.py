"""From an Anthropic answer to a message: content, tool calls, usage, metadata.

Whole bodies and streams end in the functions here, so that the same answer gives the same message either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_llmdispatch.errors import MalformedResponseError
from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.vendors.answer import ToolCalls, checked_blocks, json_object, made_id, model_of
from langchain_llmdispatch.vendors.anthropic.errors import error_inside
from langchain_llmdispatch.vendors.argument_text import arguments_of
from langchain_llmdispatch.vendors.finish_reasons import ending, ending_of
from langchain_llmdispatch.vendors.usage import count_of, grown_counts, sum_of, usage_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.errors import ErrorContext

PROVIDER = "anthropic"

_KEPT = ("id", "stop_reason", "stop_sequence", "stop_details", "container", "context_management", "usage")
_BREAKDOWN = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


def usage_metadata(usage: Mapping[str, Any] | None) -> UsageMetadata | None:
    """Return LangChain's usage for Anthropic's, or None if the vendor sent none.

    Anthropic counts cached tokens apart, LangChain in the total. A breakdown of cache writes by
    lifetime takes the place of the plain count, since consumers add the details up.
    """
    if not usage or not ("input_tokens" in usage or "output_tokens" in usage):
        return None
    read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    lifetimes = _lifetimes(usage.get("cache_creation"))
    known = sum(lifetimes.values())
    total_written = max(count_of(written) or 0, known)
    details = usage.get("output_tokens_details")
    return usage_of(
        sum_of(usage.get("input_tokens"), read, written, total_written - (count_of(written) or 0)),
        sum_of(usage.get("output_tokens")),
        inputs={
            **lifetimes,
            "cache_read": read,
            "cache_creation": None if written is None and not lifetimes else total_written - known,
        },
        outputs={"reasoning": details.get("thinking_tokens") if isinstance(details, dict) else None},
    )


def later_usage(usage: dict[str, Any], update: Any) -> dict[str, Any]:
    """Return the usage of a stream after an update: counters are cumulative.

    With `iterations`, as after a compaction, the prompt of the last iteration takes the place of the first.
    """
    grown: dict[str, Any] = grown_counts(usage, update)
    if isinstance(update, dict) and update.get("iterations"):
        grown |= {name: value for name, value in update.items() if value is not None}
    return grown


def _lifetimes(breakdown: Any) -> dict[str, int]:
    counts = (
        {name: count_of(breakdown.get(name)) for name in _BREAKDOWN} if isinstance(breakdown, dict) else {}
    )
    return {name: count for name, count in counts.items() if count is not None}


def is_cut(answer: Mapping[str, Any]) -> bool:
    """Return whether the last block of an answer may be cut, by its stop reason."""
    return ending_of(answer.get("stop_reason")) in {"length", "context_exceeded"}


def metadata(call: Call, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response metadata of an answer's top-level fields, without absent and null ones.

    Args:
        call: The call that is answered.
        answer: `id`, `model`, `stop_reason`, `stop_sequence`, `usage`, ... as the vendor sent them.

    Raises:
        MalformedResponseError: The stop reason means that there is no answer.
    """
    found: dict[str, Any] = {
        "model_provider": PROVIDER,
        "model_name": model_of(answer, call.model),
        **ending(answer.get("stop_reason")),
    }
    found.update((name, answer[name]) for name in _KEPT if answer.get(name) is not None)
    tier = (answer.get("usage") or {}).get("service_tier")
    if tier is not None:
        found["service_tier"] = tier
    return found


def decode_answer(context: ErrorContext, body: bytes) -> AIMessage:
    """Return the message in the body of an answer that was not streamed.

    Raises:
        MalformedResponseError: It is no message.
        VendorError: It is an error after all.
    """
    answer = json_object(body, context)
    if answer.get("type") == "error":
        raise error_inside(context, answer)
    blocks = answer.get("content")
    if not isinstance(blocks, list) or not all(
        isinstance(b, dict) and isinstance(b.get("type"), str) for b in blocks
    ):
        raise context.error(MalformedResponseError, "the response is no message")
    calls = ToolCalls(context.call.tool_names)
    return AIMessage(
        content=_content(answer, blocks, calls),
        tool_calls=calls.valid,
        invalid_tool_calls=calls.invalid,
        usage_metadata=usage_metadata(answer.get("usage")),
        response_metadata=metadata(context.call, answer),
    )


def _content(
    answer: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]], calls: ToolCalls
) -> str | list[str | dict[str, Any]]:
    """Return the content of an answer's blocks, and add its tool calls to `calls`.

    A single text without citations becomes a string; everything else stays a list of Anthropic's own
    blocks, verbatim. A tool call that is not whole leaves the list, because LangChain's translator would
    show the valid one of its neighbours in its place.
    """
    content: list[str | dict[str, Any]] = []
    cut = len(blocks) - 1 if is_cut(answer) else None
    for index, raw in enumerate(blocks):
        block = clean(raw)
        if block["type"] == "tool_use":
            identity = calls.ids.own(block.get("id") or made_id(answer.get("id"), index))
            block = named(calls.names, {**block, "id": identity, "input": read_input(block.get("input"))})
            if not _add_call(calls, block, raw.get("name"), whole=index != cut):
                continue
        content.append(block)
    return _plain(checked_blocks(content))


def clean(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of `block` without the nulls that stand for absence."""
    return {k: v for k, v in block.items() if v is not None or k not in {"citations", "caller"}}


def named(names: Mapping[str, str], block: dict[str, Any]) -> dict[str, Any]:
    """Return a `tool_use` block under the caller's name for the tool."""
    name = block.get("name") or ""
    return {**block, "name": names.get(name, name)}


def read_input(value: Any) -> Any:
    """Return the input of a call: some gateways send it as text, or none where there are no arguments."""
    if value is None:
        return {}
    args = arguments_of(value) if isinstance(value, str) and value.strip() != "null" else None
    return value if args is None else args


def _add_call(calls: ToolCalls, block: Mapping[str, Any], name: Any, *, whole: bool) -> bool:
    args = block.get("input")
    if whole:
        return calls.add(name, args, block["id"])
    text = args if isinstance(args, str) else dump_json(args).decode()
    return calls.add(name, text, block["id"], "the answer was cut inside the call")


def _plain(blocks: list[str | dict[str, Any]]) -> str | list[str | dict[str, Any]]:
    if not blocks:
        return ""
    first = blocks[0]
    alone = len(blocks) == 1 and isinstance(first, dict) and first.get("type") == "text"
    if alone and isinstance(first, dict) and not first.get("citations"):
        return str(first.get("text") or "")
    return blocks
