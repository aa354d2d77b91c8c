"""What a request cost whose vendor did not report its usage: it was left, cut, timed out, or reports nothing.

Vendors bill the prompt from the moment they read it, and the answer as far as they wrote it. So the prompt is
charged, and what was streamed so far; both are counted from their bytes, as far as the vendor did not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessageChunk, BaseMessage

from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.routing.needs import BYTES_PER_TOKEN, Needs

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

_TEXTS = ("text", "thinking", "reasoning", "arguments", "partial_json", "refusal")


def estimated_cost(attempt: Attempt, needs: Needs) -> Cost:
    """Return the cost of a request by estimate.

    Args:
        attempt: The attempt; its request was sent and not refused.
        needs: The needs of its request.
    """
    target, used = attempt.target, attempt.usage
    factor = target.vendor.characters_per_token
    written = ceil(sum(map(_size, [*attempt.chunks, *attempt.unseen])) / factor)
    if (most := needs.output_limit_on(target) or target.facts.max_output_tokens) is not None:
        written = min(written, most)
    if used is None:
        read = ceil(needs.tokens * BYTES_PER_TOKEN / factor)
        usage: dict[str, Any] = {"input_tokens": read, "output_tokens": written}
    else:
        usage = {**used, "output_tokens": max(used["output_tokens"], written)}
    usage["total_tokens"] = usage["input_tokens"] + usage["output_tokens"]
    price = target.price.on(needs.terms_on(target))
    return replace(price.cost(cast("UsageMetadata", usage), attempt.call.clock.now()), estimated=True)


def _size(message: BaseMessage) -> int:
    """Return the bytes of what a model wrote in a message or a piece of one."""
    content = message.content
    blocks: Iterable[Any] = [content] if isinstance(content, str) else content
    texts = [block if isinstance(block, str) else _text(block) for block in blocks]
    texts.append(str(message.additional_kwargs.get("reasoning_content") or ""))
    if isinstance(message, AIMessageChunk):
        texts += [(call["name"] or "") + (call["args"] or "") for call in message.tool_call_chunks]
    else:
        texts += [call["name"] + repr(call["args"]) for call in getattr(message, "tool_calls", ())]
    return sum(len(text.encode(errors="replace")) for text in texts)


def _text(block: Mapping[str, Any]) -> str:
    if block.get("type") in {"tool_use", "function_call", "tool_call", "input_json_delta"}:
        return ""  # counted among the tool calls
    return "".join(text for name in _TEXTS if isinstance(text := block.get(name), str))
