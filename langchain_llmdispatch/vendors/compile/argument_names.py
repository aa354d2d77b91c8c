"""The way back of calls whose tools have arguments that the target could only name otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_llmdispatch.framing import dump_json
from langchain_llmdispatch.types import Call
from langchain_llmdispatch.vendors.answer import arguments
from langchain_llmdispatch.vendors.compile.property_keys import callers_keys

_ARGUMENTS = ("input", "args", "arguments")
"""Where content blocks that repeat a call hold its arguments."""


@dataclass(slots=True)
class _HeldCall:
    """A streamed call whose arguments are held back: a name can be cut anywhere.

    Attributes:
        names: The target's names of its arguments -> the caller's.
        pieces: Its arguments so far, as JSON.
        repeated: The content repeats them.
    """

    names: Mapping[str, str]
    pieces: list[str] = field(default_factory=list)
    repeated: bool = False

    @property
    def restored(self) -> str:
        """The arguments with the caller's names; what is no JSON object stays as it is."""
        text = "".join(self.pieces)
        value = arguments(text)
        return dump_json(callers_keys(value, self.names)).decode() if value else text


class ArgumentRestorer:
    """Gives the arguments of calls the caller's names; one per answer, since streamed calls come in pieces.

    Args:
        call: The compiled call, with the names that differ.
    """

    def __init__(self, call: Call) -> None:
        self._names = {call.tool_names.get(tool, tool): names for tool, names in call.argument_names.items()}
        self._held: dict[Any, _HeldCall] = {}

    def message(self, message: AIMessage) -> AIMessage:
        """Return a whole answer with the caller's names."""
        if not any(call["name"] in self._names for call in message.tool_calls):
            return message
        calls = [{**call, "args": self._restored(call["name"], call["args"])} for call in message.tool_calls]
        content = message.content
        if isinstance(content, list):
            content = [self._block(block) for block in content]
        return message.model_copy(update={"content": content, "tool_calls": calls})

    def chunk(self, chunk: AIMessageChunk) -> AIMessageChunk:
        """Return a chunk without arguments that are held back; the last one has them all."""
        pieces = [self._piece(piece) for piece in chunk.tool_call_chunks]
        if not self._held:
            return chunk
        content = chunk.content
        if isinstance(content, list):
            content = [kept for block in content if (kept := self._block_piece(block)) is not None]
        if chunk.chunk_position == "last":
            rest = {index: call.restored for index, call in self._held.items()}
            pieces = [{**p, "args": rest.pop(p["index"])} if p["index"] in rest else p for p in pieces]
            pieces += [tool_call_chunk(args=args, index=index) for index, args in rest.items()]
            if isinstance(content, list):
                content += [_delta(index, call) for index, call in self._held.items() if call.repeated]
        return AIMessageChunk(
            content=content,
            tool_call_chunks=pieces,
            usage_metadata=chunk.usage_metadata,
            response_metadata=chunk.response_metadata,
            additional_kwargs=chunk.additional_kwargs,
            chunk_position=chunk.chunk_position,
            id=chunk.id,
        )

    def _restored(self, tool: str, args: Any) -> Any:
        return callers_keys(args, self._names.get(tool, {}))

    def _block(self, block: Any) -> Any:
        if not isinstance(block, dict) or block.get("name") not in self._names:
            return block
        held = [key for key in _ARGUMENTS if isinstance(block.get(key), dict)]
        return {**block, **{key: self._restored(block["name"], block[key]) for key in held}}

    def _piece(self, piece: Any) -> Any:
        index = piece.get("index")
        if piece.get("name") in self._names:
            self._held[index] = _HeldCall(self._names[piece["name"]])
        if index not in self._held:
            return piece
        self._held[index].pieces.append(piece.get("args") or "")
        return {**piece, "args": ""}

    def _block_piece(self, block: Any) -> Any:
        """Return a content block without arguments that are held back; None if nothing else is in it."""
        held = self._held.get(block.get("index")) if isinstance(block, dict) else None
        if held is None:
            return block
        held.repeated = True
        if block.get("type") == "input_json_delta":
            return None
        return {**block, **{key: {} for key in _ARGUMENTS if isinstance(block.get(key), dict)}}


def _delta(index: Any, call: _HeldCall) -> dict[str, Any]:
    return {"type": "input_json_delta", "partial_json": call.restored, "index": index}
