"""Resuming a stream that broke after content: how another answer continues it.

What was handed to the caller cannot be taken back, so the new answer must join it exactly. A target that
continues an assistant's turn (prefill) is sent the delivered text and answers the rest. Any other target
answers from the start, and the delivered text is skipped, character by character: an answer that differs is
not joined. Only text is resumed: a delivered tool call, refusal or annotation ends the call, and so does
reasoning without text after it. Reasoning of the new answer is dropped, because the old one's precedes the
same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import (
    DispatchError,
    PendingAnswerError,
    SpliceError,
    StreamInterruptedError,
)
from langchain_llmdispatch.types import Call

_REASONING = frozenset(["reasoning", "reasoning_content", "thinking", "redacted_thinking"])
# Keys of a text block that holds nothing but text.
_PLAIN = frozenset(["type", "text", "index", "id", "phase"])
# Parameters that make a model reason: then no vendor continues an assistant's turn.
_THINKING = frozenset(["reasoning_effort", "thinking", "thinking_budget", "thinking_level", "reasoning"])


# -- for the dispatch ----------------------------------------------------------------------------------


def caused(error: DispatchError, cause: DispatchError) -> DispatchError:
    """Return `error` with its cause."""
    error.__cause__ = cause
    return error


def interrupted(error: DispatchError, delivered: Sequence[AIMessageChunk]) -> DispatchError:
    """Return the error of a stream that broke, with all delivered chunks."""
    where = {name: getattr(error, name) for name in ("vendor", "deployment", "code", "request_id")}
    text = f"the stream broke after content was delivered: {error.message}"
    broken = StreamInterruptedError(text, partial=_sum(delivered), **where)
    if isinstance(error, PendingAnswerError):
        broken.response_id = error.response_id
    return caused(broken, error)


def deciding(error: DispatchError, delivered: Sequence[AIMessageChunk], *, resume: bool) -> DispatchError:
    """Return the error that decides on the next attempt: for a stream to be resumed, its cause."""
    cause = error.__cause__
    if resume and isinstance(error, StreamInterruptedError) and isinstance(cause, DispatchError):
        return cause if resumable(delivered) else error
    return error


def resumable(delivered: Sequence[AIMessageChunk]) -> bool:
    """Return whether only text, and reasoning before it, was delivered."""
    return any(chunk.text for chunk in delivered) and all(_is_plain(chunk) for chunk in delivered)


# -- for an exchange -----------------------------------------------------------------------------------


class Splicer:
    """Joins the chunks of a new answer to those that were delivered; one per attempt.

    Args:
        delivered: The delivered chunks.
        known: The part of their text that the target was sent to continue.
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
        self._known_metadata = set(total.response_metadata)

    def join(self, chunk: AIMessageChunk) -> AIMessageChunk | None:
        """Return the part of a chunk that has not been delivered yet, or None.

        Raises:
            SpliceError: It differs from what was delivered.
        """
        blocks = self._blocks(chunk)
        last = chunk.chunk_position == "last"
        if self._rest and (last or chunk.tool_call_chunks):
            raise SpliceError("the new answer ends before what was delivered")
        kwargs = {k: v for k, v in chunk.additional_kwargs.items() if k not in _REASONING}
        if not (blocks or chunk.tool_call_chunks or kwargs or last):
            return None
        metadata = {k: v for k, v in chunk.response_metadata.items() if k not in self._known_metadata}
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
            raise SpliceError("the new answer differs from what was delivered")
        self._rest = ""
        return text[len(rest) :]

    def _placed(self, block: dict[str, Any]) -> dict[str, Any]:
        if self._rest:
            raise SpliceError("the new answer has other content before what was delivered")
        place = self._places.setdefault(block.get("index"), self._free + len(self._places))
        return {**block, "index": place}

    def _content(self, blocks: list[dict[str, Any]]) -> str | list[str | dict[str, Any]]:
        plain = all(block.keys() == {"type", "text", "index"} for block in blocks)
        if self._listed or not plain:
            return list(blocks)
        return "".join(block["text"] for block in blocks)


def resumed(delivered: Sequence[AIMessageChunk], call: Call, facts: ModelFacts) -> tuple[Call, Splicer]:
    """Return the call that resumes a broken answer on a target, and the splicer of the new answer.

    Args:
        delivered: The delivered chunks; `resumable`.
        call: The call, compiled for the target.
        facts: The facts of the target's model.
    """
    known = _sum(delivered).text.rstrip() if _continues(delivered, call, facts) else ""
    if known:
        call = replace(call, messages=[*call.messages, AIMessage(content=known)])
    return call, Splicer(delivered, known)


def _continues(delivered: Sequence[AIMessageChunk], call: Call, facts: ModelFacts) -> bool:
    """Return whether the target continues an assistant's turn: not if it reasons or follows a schema."""
    forced = call.tool_choice is not None and call.tool_choice.mode in {"any", "tool"}
    structured = forced or call.output is not None
    reasons = bool(_THINKING & {*call.params, *call.extra}) or any(map(_has_reasoning, delivered))
    return facts.prefill and not structured and not reasons


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
