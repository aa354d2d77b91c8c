"""The way back of a structured answer that a target could only give as a tool call.

Where a target takes no schema, the compiler adds a tool named after the schema, whose arguments are the
answer. The caller expects an answer, not a call: here the call's arguments become the answer's text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.types import Call, ChatRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

# Content blocks in which vendors repeat their tool calls.
_CALL_BLOCKS = frozenset(["tool_use", "input_json_delta", "tool_call", "tool_call_chunk", "function_call"])


def output_tool(request: ChatRequest, call: Call) -> str | None:
    """Return the caller's name of the tool whose arguments are the answer, or None if the answer is text.

    A call of this tool in an answer must be turned into text: its arguments as JSON.
    """
    if request.output is None or call.output is not None:
        return None
    given = {tool.name for tool in request.tools}
    made = (call.tool_names.get(tool.name, tool.name) for tool in call.tools)
    return next((name for name in made if name not in given), None)


class OutputUnwrapper:
    """Turns calls of the output tool into text; one per answer, since streamed calls come in pieces.

    Args:
        name: The output tool's name, as answers spell it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._index: int | None = None
        self._other_calls = False

    def message(self, message: AIMessage) -> AIMessage:
        """Return a whole answer with the output tool's call as its text."""
        found = next((call for call in message.tool_calls if call["name"] == self._name), None)
        if found is None:
            return message
        others = [call for call in message.tool_calls if call is not found]
        return AIMessage(
            content=dump_json(found["args"]).decode(),
            tool_calls=others,
            invalid_tool_calls=message.invalid_tool_calls,
            usage_metadata=message.usage_metadata,
            response_metadata=self._finished(message.response_metadata, bool(others)),
            additional_kwargs=message.additional_kwargs,
        )

    def chunk(self, chunk: AIMessageChunk) -> AIMessageChunk:
        """Return a chunk with the pieces of the output tool's arguments as text."""
        ours, others = self._split(chunk.tool_call_chunks)
        metadata = chunk.response_metadata
        if chunk.chunk_position == "last" and self._index is not None:
            metadata = self._finished(metadata, self._other_calls)
        elif not ours:
            return chunk
        text = "".join(piece["args"] or "" for piece in ours)
        return AIMessageChunk(
            content=_content(chunk.content, text),
            tool_call_chunks=others,
            usage_metadata=chunk.usage_metadata,
            response_metadata=metadata,
            additional_kwargs=chunk.additional_kwargs,
            chunk_position=chunk.chunk_position,
        )

    def _split(self, pieces: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        ours: list[Any] = []
        others: list[Any] = []
        for piece in pieces:
            if piece.get("name") == self._name:
                self._index = piece.get("index")
            (ours if self._index is not None and piece.get("index") == self._index else others).append(piece)
        self._other_calls = self._other_calls or bool(others)
        return ours, others

    @staticmethod
    def _finished(metadata: dict[str, Any], other_calls: bool) -> dict[str, Any]:
        if metadata.get("normalized_finish_reason") == "tool_call" and not other_calls:
            return {**metadata, "normalized_finish_reason": "stop"}
        return metadata


def _content(content: str | list[Any], text: str) -> str | list[Any]:
    if isinstance(content, str):
        return content + text
    kept = [b for b in content if not (isinstance(b, dict) and b.get("type") in _CALL_BLOCKS)]
    index = next((b["index"] for b in content if isinstance(b, dict) and "index" in b), 0)
    return [*kept, {"type": "text", "text": text, "index": index}] if text else kept
