"""Chunks that only add a piece to what an earlier chunk began, and the sum of all chunks of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessageChunk

_PLAIN = {"type", "index"}
# The field that grows in a plain block of content, by the block's type.
_GROWING: Mapping[str, str] = {"text": "text", "thinking": "thinking", "input_json_delta": "partial_json"}
_REASONING = "reasoning_content"


@dataclass(frozen=True, slots=True)
class Piece:
    """What a chunk adds.

    Attributes:
        shape: Where it stands in the chunk; pieces of one shape add to one block.
        text: What it adds.
        message: The chunk.
    """

    shape: tuple[Any, ...]
    text: str
    message: AIMessageChunk

    def with_text(self, text: str) -> AIMessageChunk:
        """Return the chunk with another text in this place."""
        message, place = copy(self.message), self.shape[0]
        if place == "content":
            message.__dict__["content"] = text
        elif place == _REASONING:
            message.__dict__["additional_kwargs"] = {_REASONING: text}
        if place in {"block", "input"}:
            block: Any = self.message.content[0]
            message.__dict__["content"] = [{**block, _GROWING[block["type"]]: text}]
        if place in {"call", "input"}:
            message.__dict__["tool_call_chunks"] = [{**self.message.tool_call_chunks[0], "args": text}]
        return message


def piece_of(message: AIMessageChunk) -> Piece | None:
    """Return the one piece that a chunk is; None if it is more, or holds more."""
    if message.chunk_position is not None or message.usage_metadata is not None:
        return None
    content, calls, words = message.content, message.tool_call_chunks, message.additional_kwargs
    if not calls and not words:
        if content.__class__ is str:
            return Piece(("content",), content, message)
        block = _plain_block(content)
        return None if block is None else Piece(("block", block[0], block[1]), block[2], message)
    if calls:
        return _call_piece(message, content, calls) if len(calls) == 1 and not words else None
    if content == "" and len(words) == 1 and isinstance(text := words.get(_REASONING), str):
        return Piece((_REASONING,), text, message)
    return None


def _call_piece(message: AIMessageChunk, content: Any, calls: Any) -> Piece | None:
    call = calls[0]
    if call["id"] or call["name"] or not call["args"]:
        return None
    if content == "":
        return Piece(("call", call["index"]), call["args"], message)
    block = _plain_block(content)
    if block is None or block[2] != call["args"]:
        return None
    return Piece(("input", block[1]), call["args"], message)


def _plain_block(content: Any) -> tuple[str, Any, str] | None:
    """Return type, index and text of the one block in a content that only grows."""
    if len(content) != 1 or not isinstance(block := content[0], dict):
        return None
    field = _GROWING.get(block.get("type", ""))
    if field is None or block.keys() != {*_PLAIN, field}:
        return None
    return block["type"], block["index"], block[field]


class ChunkSum:
    """The sum of an answer's chunks; pieces of one shape in a row are joined first."""

    __slots__ = ("_chunks", "_last", "_texts")

    def __init__(self) -> None:
        self._chunks: list[AIMessageChunk] = []
        self._last: Piece | None = None
        self._texts: list[str] = []

    def add(self, message: AIMessageChunk) -> None:
        """Add a chunk."""
        self._join()
        self._chunks.append(message)

    def add_piece(self, piece: Piece) -> None:
        """Add a chunk that is a piece."""
        if self._last is None or self._last.shape != piece.shape:
            self._join()
            self._last = piece
        self._texts.append(piece.text)

    def message(self) -> AIMessageChunk:
        """Return the sum."""
        self._join()
        first, *rest = self._chunks
        return first + rest if rest else first

    def _join(self) -> None:
        if self._last is not None:
            self._chunks.append(self._last.with_text("".join(self._texts)))
            self._last, self._texts = None, []
