"""Ollama's streamed answers: lines of JSON, each an answer in small; `"done": true` ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_llmdispatch.errors import TruncatedToolCallError
from langchain_llmdispatch.framing import LineDecoder, SSEDecoder
from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.vendors.answer import CallIds, named_tool, text_chunk, text_of
from langchain_llmdispatch.vendors.ollama.answer import (
    PROVIDER,
    call_parts,
    check_generated,
    metadata,
    usage_metadata,
)
from langchain_llmdispatch.vendors.ollama.errors import error_inside
from langchain_llmdispatch.vendors.stream import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import ToolCallChunk

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

# LangChain's v1 streams number text and reasoning blocks from 0 and merge blocks of one number, so calls
# are numbered far from them.
_FIRST_CALL = 100


class OllamaStreamDecoder(FrameDecoder):
    """Chunks of an answer, line by line."""

    __slots__ = ("_calls", "_filled", "_ids", "_logprobs")

    framing: ClassVar[type[SSEDecoder | LineDecoder]] = LineDecoder
    end_marker: ClassVar[str] = '"done": true'

    def __init__(self, vendor: Vendor, call: Call, headers: Mapping[str, str]) -> None:
        super().__init__(vendor, call, headers)
        self._calls = 0
        self._filled = False
        self._ids = CallIds()
        self._logprobs: list[Any] = []

    def _frame(self, frame: bytes) -> AIMessageChunk | None:
        answer = self._object(frame)
        if error := error_inside(self._context, answer):
            raise error
        message = answer.get("message") or {}
        if answer.get("logprobs"):
            self._logprobs += answer["logprobs"]
        if answer.get("done"):
            return self._last(answer, message)
        return self._chunk(answer, message)

    def _chunk(self, answer: Mapping[str, Any], message: Mapping[str, Any]) -> AIMessageChunk | None:
        text, thinking, calls = message.get("content"), message.get("thinking"), message.get("tool_calls")
        self._filled = self._filled or bool(text or calls)
        if not (thinking or calls):
            return text_chunk(text, PROVIDER) if text else None
        return AIMessageChunk(
            content=text_of(text or ""),
            additional_kwargs={"reasoning_content": text_of(thinking)} if thinking else {},
            tool_call_chunks=self._call_chunks(answer, calls or ()),
            response_metadata={"model_provider": PROVIDER},
        )

    def _last(self, answer: Mapping[str, Any], message: Mapping[str, Any]) -> AIMessageChunk:
        chunk = self._chunk(answer, message) or text_chunk("", PROVIDER)
        if not self._filled:
            check_generated(self._context, answer)
        self.finished = self.done = True
        chunk.chunk_position = "last"
        chunk.usage_metadata = usage_metadata(answer)
        chunk.response_metadata = metadata(self._call, answer, self._logprobs, called=self._calls > 0)
        return chunk

    def _call_chunks(
        self, answer: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]
    ) -> list[ToolCallChunk]:
        chunks = []
        for item in calls:
            name, args, identity = call_parts(answer, item, self._calls)
            if not isinstance(args, dict):
                raise self._error(TruncatedToolCallError, f"the arguments of {name!r} are no JSON object")
            name, identity = named_tool(name, self._call.tool_names), self._ids.own(identity)
            index, text = _FIRST_CALL + self._calls, dump_json(args).decode()
            chunks.append(tool_call_chunk(name=name, args=text, id=identity, index=index))
            self._calls += 1
        return chunks
