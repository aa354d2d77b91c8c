"""The tool calls in the chunks of a LangChain model, kept apart where two have one index or one id."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessageChunk, ToolCallChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_llmdispatch.vendors.answer import CallIds, made_id
from langchain_llmdispatch.vendors.argument_text import ArgumentText

_FIRST_FREE = 10_000
"""Indices from here on are ours."""


class _StreamedCall:
    """One call: its index and id in the model's chunks, those that it has here, and its arguments."""

    __slots__ = ("args", "given_id", "index", "raw_id")

    def __init__(self, index: Any, raw_id: str | None) -> None:
        self.index, self.raw_id = index, raw_id
        self.given_id: str | None = None
        self.args = ArgumentText()


class ChunkCalls:
    """The calls of one answer."""

    __slots__ = ("_calls", "_current", "_ids")

    def __init__(self) -> None:
        self._calls: list[_StreamedCall] = []
        self._current: dict[Any, _StreamedCall] = {}
        self._ids = CallIds()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._calls)

    @property
    def whole(self) -> bool:
        """Whether the arguments of all are whole."""
        return all(call.args.value is not None for call in self._calls)

    def add(self, chunk: AIMessageChunk) -> AIMessageChunk:
        """Return a chunk whose pieces of calls have the indices and ids of the calls that they belong to."""
        pieces = [self._placed(piece) for piece in chunk.tool_call_chunks]
        if pieces == chunk.tool_call_chunks:
            return chunk
        update = {"tool_call_chunks": pieces, "tool_calls": [], "invalid_tool_calls": []}
        return AIMessageChunk.model_validate({**dict(chunk), **update})  # which reads the calls anew

    def rest(self) -> list[ToolCallChunk]:
        """Return what is held back, once no more is to come: the empty objects of calls without arguments."""
        held = [(call.index, call.args.rest()) for call in self._calls if call.index is not None]
        return [tool_call_chunk(index=index, args=text) for index, text in held if text]

    def _placed(self, piece: ToolCallChunk) -> ToolCallChunk:
        call = self._of(piece)
        call.raw_id = call.raw_id or piece["id"]
        if not call.given_id and (piece["id"] or piece["name"]):
            call.given_id = self._ids.own(piece["id"] or made_id(None, len(self._calls) - 1))
            named = True
        else:
            named = bool(piece["id"])
        args = call.args.add(piece["args"] or "")
        args += call.args.rest() if call.index is None else ""
        return {
            **piece,
            "index": call.index,
            "id": call.given_id if named else None,
            "args": args if args or piece["args"] else piece["args"],
        }

    def _of(self, piece: ToolCallChunk) -> _StreamedCall:
        index, raw_id = piece["index"], piece["id"]
        call = self._current.get(index) if index is not None else None  # without an index it is a whole call
        if call is not None and not (raw_id and call.raw_id and raw_id != call.raw_id):
            return call
        begun = _StreamedCall(index if call is None else _FIRST_FREE + len(self._calls), raw_id)
        self._calls.append(begun)
        self._current[index] = begun
        return begun
