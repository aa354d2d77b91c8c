"""An answer that its vendor paused, and that another request of the call continues.

Anthropic ends a turn with `pause_turn` where its own tools take long; the content is sent back as it is, and
the next response goes on: platform.claude.com/docs/en/build-with-claude/handling-stop-reasons. The caller
gets one message, or one stream. What is still paused when attempts or time are used up is returned as it is,
with the state `suspended`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_usage

from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.vendors.answer import content_blocks


@dataclass(frozen=True, slots=True)
class PausedAnswer:
    """What has come of a paused answer so far, of all requests together.

    Attributes:
        target: The target that gave it.
        message: The parts as one message.
        costs: What each part has cost; None where that is unknown.
        outputs: Builds what the caller gets if it is not continued.
        delivered: The chunks that the caller has.
        held: The chunks that are held back until the whole answer is accepted.
    """

    target: Target
    message: AIMessage
    costs: Sequence[Cost | None]
    outputs: Callable[[], list[Any]]
    delivered: Sequence[AIMessageChunk] = ()
    held: Sequence[AIMessageChunk] = ()
    next_index: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "next_index", _next_index([*self.delivered, *self.held]))

    @property
    def tokens(self) -> int:
        """Tokens that sending it back takes at most: what its parts have read and written."""
        usage = self.message.usage_metadata
        return usage["total_tokens"] if usage else len(repr(self.message.content))

    def joined(self, message: AIMessage) -> AIMessage:
        """Return the parts and the next one as one message."""
        before = self.message
        return message.model_copy(
            update={
                "content": _joined(before.content, message.content),
                "tool_calls": [*before.tool_calls, *message.tool_calls],
                "invalid_tool_calls": [*before.invalid_tool_calls, *message.invalid_tool_calls],
                "additional_kwargs": {**before.additional_kwargs, **message.additional_kwargs},
                "usage_metadata": self.total(message),
            }
        )

    def total(self, message: AIMessage) -> Any:
        """Return the usage of the parts and the next one; None if it is not known of one of them."""
        known = self.message.usage_metadata, message.usage_metadata
        return add_usage(*known) if all(known) else None

    def shifted(self, chunk: AIMessageChunk) -> AIMessageChunk:
        """Return a chunk of the next part, its blocks numbered after those of the parts before."""
        offset = self.next_index
        pieces = [{**piece, "index": _moved(piece["index"], offset)} for piece in chunk.tool_call_chunks]
        update: dict[str, Any] = {"tool_call_chunks": pieces} if pieces else {}
        if isinstance(chunk.content, list):
            update["content"] = [
                {**block, "index": _moved(block["index"], offset)}
                if isinstance(block, dict) and "index" in block
                else block
                for block in chunk.content
            ]
        return chunk.model_copy(update=update) if update else chunk


def _moved(index: Any, offset: int) -> Any:
    return index + offset if isinstance(index, int) else index


def _next_index(chunks: Sequence[AIMessageChunk]) -> int:
    blocks = [block for chunk in chunks if isinstance(chunk.content, list) for block in chunk.content]
    indices = [block.get("index") for block in blocks if isinstance(block, dict)]
    return max((index for index in indices if isinstance(index, int)), default=-1) + 1


def _joined(first: str | list[Any], second: str | list[Any]) -> str | list[Any]:
    if isinstance(first, str) and isinstance(second, str):
        return first + second
    return [*content_blocks(first), *content_blocks(second)]
