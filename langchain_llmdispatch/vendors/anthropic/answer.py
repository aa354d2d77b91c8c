"""What an Anthropic answer says, whole or streamed: content, tool calls, usage, metadata.

`anthropic.py` (one JSON body) and `anthropic_stream.py` (events) both end in the functions here, so that
the same answer means the same message either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_llmdispatch.framing import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import InvalidToolCall, ToolCall

    from langchain_llmdispatch.types import Call, FinishReason

PROVIDER = "anthropic"

FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    # Both pauses mean "send this back and I go on": the answer is not whole.
    "pause_turn": "length",
    "compaction": "length",
    "refusal": "content_filter",
}

CUT = frozenset({"max_tokens", "model_context_window_exceeded"})
"""Stop reasons after which the last block may be cut."""

_KEPT = ("stop_reason", "stop_sequence", "stop_details", "container", "context_management", "usage")
_BREAKDOWN = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


def usage_metadata(usage: Mapping[str, Any] | None) -> UsageMetadata | None:
    """Return LangChain's usage for Anthropic's, or None if the vendor sent none.

    Anthropic counts cached tokens apart; LangChain wants the total. A breakdown of cache writes by
    lifetime takes the place of the plain count, since consumers add the details up.
    """
    if not usage or not ("input_tokens" in usage or "output_tokens" in usage):
        return None
    read = usage.get("cache_read_input_tokens")
    written = usage.get("cache_creation_input_tokens")
    lifetimes = _lifetimes(usage.get("cache_creation"))
    known = sum(lifetimes.values())
    total_written = max(written or 0, known)
    details: dict[str, int] = dict(lifetimes)
    if read is not None:
        details["cache_read"] = read
    if written is not None or lifetimes:
        details["cache_creation"] = total_written - known
    taken = (usage.get("input_tokens") or 0) + (read or 0) + total_written
    given = usage.get("output_tokens") or 0
    result = UsageMetadata(input_tokens=taken, output_tokens=given, total_tokens=taken + given)
    if details:
        result["input_token_details"] = InputTokenDetails(**details)  # type: ignore[typeddict-item]
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
    if thought is not None:
        result["output_token_details"] = OutputTokenDetails(reasoning=thought)
    return result


def _lifetimes(breakdown: Mapping[str, Any] | None) -> dict[str, int]:
    return {name: breakdown[name] for name in _BREAKDOWN if breakdown and breakdown.get(name) is not None}


def merge_usage(usage: dict[str, Any], update: Mapping[str, Any] | None) -> None:
    """Let `update` override `usage`: the counters of a stream are cumulative, absent ones keep."""
    if update:
        usage.update((name, value) for name, value in update.items() if value is not None)


def metadata(call: Call, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response metadata of an answer's top-level fields, absent and null ones left out.

    Args:
        call: What was asked.
        answer: `id`, `model`, `stop_reason`, `stop_sequence`, `usage`, ... as the vendor sent them.
    """
    reason = answer.get("stop_reason")
    said: dict[str, Any] = {
        "model_provider": PROVIDER,
        "model_name": answer.get("model") or call.model,
        "finish_reason": FINISH.get(reason or "", "stop"),
    }
    if answer.get("id"):
        said["id"] = answer["id"]
    said.update((name, answer[name]) for name in _KEPT if answer.get(name) is not None)
    tier = (answer.get("usage") or {}).get("service_tier")
    if tier is not None:
        said["service_tier"] = tier
    return said


def call_id(answer_id: str | None, index: int) -> str:
    """Return a stable id for a tool call that came without one."""
    return f"{answer_id}_call_{index}" if answer_id else f"call_{index}"


class Content(NamedTuple):
    """The content of an answer in LangChain's v0 shape, and its tool calls."""

    content: str | list[str | dict[str, Any]]
    tool_calls: list[ToolCall]
    invalid_tool_calls: list[InvalidToolCall]


def content(call: Call, answer: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]]) -> Content:
    """Return the message content of an answer's blocks.

    A single text without citations becomes a string; everything else stays a list of Anthropic's own
    blocks, verbatim. A tool call that is not whole leaves the list, because LangChain's translator would
    show the valid one of its neighbours in its place.
    """
    result = Content([], [], [])
    cut = len(blocks) - 1 if answer.get("stop_reason") in CUT else None
    for index, raw in enumerate(blocks):
        block = clean(raw)
        if block["type"] == "tool_use":
            block = named(call, {**block, "id": block.get("id") or call_id(answer.get("id"), index)})
            if not _add_call(result, block, whole=index != cut):
                continue
        result.content.append(block)  # type: ignore[union-attr]
    return result._replace(content=_plain(result.content))  # type: ignore[arg-type]


def clean(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of `block` without the nulls that stand for absence."""
    return {k: v for k, v in block.items() if v is not None or k not in {"citations", "caller"}}


def named(call: Call, block: dict[str, Any]) -> dict[str, Any]:
    """Return a `tool_use` block under the name by which the caller knows the tool."""
    name = block.get("name") or ""
    return {**block, "name": call.tool_names.get(name, name)}


def _add_call(into: Content, block: Mapping[str, Any], *, whole: bool) -> bool:
    args = block.get("input")
    if whole and isinstance(args, dict):
        into.tool_calls.append(tool_call(name=block["name"], args=args, id=block["id"]))
        return True
    text = args if isinstance(args, str) else dump_json(args).decode()
    why = "the arguments are no JSON object" if whole else "the answer was cut inside the call"
    into.invalid_tool_calls.append(
        invalid_tool_call(name=block["name"], args=text, id=block["id"], error=why)
    )
    return False


def _plain(blocks: list[str | dict[str, Any]]) -> str | list[str | dict[str, Any]]:
    if not blocks:
        return ""
    first = blocks[0]
    alone = len(blocks) == 1 and isinstance(first, dict) and first.get("type") == "text"
    if alone and isinstance(first, dict) and not first.get("citations"):
        return str(first.get("text") or "")
    return blocks
