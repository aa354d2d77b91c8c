"""A stream that broke after content: how another answer may take it up again.

What was handed to the caller cannot be taken back, so the new answer is joined to it without a seam or not at
all. Where the target continues an assistant's turn (prefill), it is asked for the rest only. Elsewhere it is
asked again from the start, and what was delivered is skipped, character by character: an answer that reads
otherwise is not spliced. Only text is taken up: a tool call, a refusal or an annotation that was delivered
ends the call, and so does reasoning that has not led to text yet. Reasoning of the new answer is withheld,
for the old one's stands before the same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch.errors import DispatchError, SpliceError, StreamInterruptedError

if TYPE_CHECKING:
    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.types import Call

_REASONING = frozenset(["reasoning", "reasoning_content", "thinking", "redacted_thinking"])
# Keys under which a text block holds nothing but its text and its place.
_PLAIN = frozenset(["type", "text", "index", "id", "phase"])
# Keywords with which a model reasons: then no vendor continues an assistant's turn.
_THINKING = frozenset(["reasoning_effort", "thinking", "thinking_budget", "thinking_level", "reasoning"])


# -- what the iterator of attempts asks --------------------------------------------------------------


def caused(error: DispatchError, cause: DispatchError) -> DispatchError:
    """Return `error` with its cause."""
    error.__cause__ = cause
    return error


def interrupted(error: DispatchError, delivered: Sequence[AIMessageChunk]) -> DispatchError:
    """Return the error of a stream that broke, with everything that was delivered."""
    where = {name: getattr(error, name) for name in ("vendor", "deployment", "code", "request_id")}
    text = f"the stream broke after content was delivered: {error.message}"
    return caused(StreamInterruptedError(text, partial=_sum(delivered), **where), error)


def deciding(error: DispatchError, delivered: Sequence[AIMessageChunk], *, resume: bool) -> DispatchError:
    """Return the error that decides on the next attempt: of a stream to be resumed, why it broke."""
    cause = error.__cause__
    if resume and isinstance(error, StreamInterruptedError) and isinstance(cause, DispatchError):
        return cause if resumable(delivered) else error
    return error


def may_continue(facts: ModelFacts, error: DispatchError) -> bool:
    """Whether a target may succeed where another one's answer did not fit: it must continue by prefill."""
    return facts.prefill or not isinstance(error, SpliceError)


def resumable(delivered: Sequence[AIMessageChunk]) -> bool:
    """Whether nothing but text, and reasoning that led to it, was delivered."""
    return any(chunk.text for chunk in delivered) and all(_is_plain(chunk) for chunk in delivered)


# -- what an exchange asks -------------------------------------------------------------------------


class Splicer:
    """Where a new answer is joined to what was delivered; one per attempt.

    Args:
        delivered: What the caller has.
        known: How much of its text the target was given to continue.
    """

    def __init__(self, delivered: Sequence[AIMessageChunk], known: str = "") -> None:
        total = _sum(delivered)
        self._rest = total.text.removeprefix(known)
        blocks = [block for block in total.content if isinstance(block, dict)]
        self._listed = not isinstance(total.content, str)
        self._index = next((b["index"] for b in reversed(blocks) if _is_text(b) and "index" in b), 0)
        taken = [b["index"] for b in blocks if isinstance(b.get("index"), int)]
        self._free = max(taken, default=0) + 1
        self._places: dict[Any, int] = {}
        self._said = set(total.response_metadata)

    def join(self, chunk: AIMessageChunk) -> AIMessageChunk | None:
        """Return what the caller does not have yet of a chunk, or None if there is nothing.

        Raises:
            SpliceError: It is not what was delivered.
        """
        blocks = self._blocks(chunk)
        last = chunk.chunk_position == "last"
        if self._rest and (last or chunk.tool_call_chunks):
            raise SpliceError("the new answer ends before what was delivered")
        kwargs = {k: v for k, v in chunk.additional_kwargs.items() if k not in _REASONING}
        if not (blocks or chunk.tool_call_chunks or kwargs or last):
            return None
        metadata = {k: v for k, v in chunk.response_metadata.items() if k not in self._said}
        return chunk.model_copy(
            update={
                "content": self._content(blocks),
                "additional_kwargs": kwargs,
                "response_metadata": metadata,
            }
        )

    def _blocks(self, chunk: AIMessageChunk) -> list[dict[str, Any]]:
        content = chunk.content
        pieces = [{"type": "text", "text": content}] if isinstance(content, str) else content
        out = []
        for piece in pieces:
            block = {"type": "text", "text": piece} if isinstance(piece, str) else piece
            if _is_text(block):
                out += self._text(block)
            elif block.get("type") not in _REASONING:
                out.append(self._placed(block))
        return out

    def _text(self, block: dict[str, Any]) -> list[dict[str, Any]]:
        text = self._skip(block.get("text") or "")
        notes = {k: v for k, v in block.items() if k not in _PLAIN and v and not self._rest}
        return [{"type": "text", "text": text, **notes, "index": self._index}] if text or notes else []

    def _skip(self, text: str) -> str:
        rest = self._rest
        if rest.startswith(text):
            self._rest = rest[len(text) :]
            return ""
        if not text.startswith(rest):
            raise SpliceError("the new answer reads otherwise than what was delivered")
        self._rest = ""
        return text[len(rest) :]

    def _placed(self, block: dict[str, Any]) -> dict[str, Any]:
        if self._rest:
            raise SpliceError("the new answer holds something else before what was delivered")
        place = self._places.setdefault(block.get("index"), self._free + len(self._places))
        return {**block, "index": place}

    def _content(self, blocks: list[dict[str, Any]]) -> str | list[str | dict[str, Any]]:
        plain = all(block.keys() == {"type", "text", "index"} for block in blocks)
        if self._listed or not plain:
            return list(blocks)
        return "".join(block["text"] for block in blocks)


def resumed(delivered: Sequence[AIMessageChunk], call: Call, facts: ModelFacts) -> tuple[Call, Splicer]:
    """Return how a target is asked to take up a broken answer, and where the new one is joined.

    Args:
        delivered: What the caller has; `resumable`.
        call: The call, compiled for the target.
        facts: What the target can do.
    """
    known = _sum(delivered).text.rstrip() if _continues(delivered, call, facts) else ""
    if known:
        call = replace(call, messages=[*call.messages, AIMessage(content=known)])
    return call, Splicer(delivered, known)


def _continues(delivered: Sequence[AIMessageChunk], call: Call, facts: ModelFacts) -> bool:
    """Whether the target continues an assistant's turn: not while it reasons or is held to a shape."""
    forced = call.tool_choice is not None and call.tool_choice.mode in {"any", "tool"}
    held = forced or call.output is not None
    thinks = bool(_THINKING & {*call.params, *call.extra}) or any(map(_has_reasoning, delivered))
    return facts.prefill and not held and not thinks


def _sum(chunks: Sequence[AIMessageChunk]) -> AIMessageChunk:
    first, *rest = chunks
    return first + rest if rest else first


def _is_text(block: dict[str, Any]) -> bool:
    return block.get("type") == "text"


def _is_plain(chunk: AIMessageChunk) -> bool:
    if chunk.tool_call_chunks or chunk.additional_kwargs.keys() - _REASONING:
        return False
    return isinstance(chunk.content, str) or all(_is_plain_block(block) for block in chunk.content)


def _is_plain_block(block: str | dict[str, Any]) -> bool:
    if isinstance(block, str) or block.get("type") in _REASONING:
        return True
    return _is_text(block) and not any(v for k, v in block.items() if k not in _PLAIN)


def _has_reasoning(chunk: AIMessageChunk) -> bool:
    if chunk.additional_kwargs.keys() & _REASONING:
        return True
    return any(isinstance(block, dict) and block.get("type") in _REASONING for block in chunk.content)
