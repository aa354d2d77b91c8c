"""Cohere's streamed answers: events in, LangChain chunks out.

    message-start (tool-plan-delta | content-* | citation-* | tool-call-*)* message-end [DONE]

`message-end` ends an answer and carries finish reason and usage; `[DONE]`, without an event name, follows.
Calls and texts are separated by their start events: servers have given all of them the index 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.messages.tool import tool_call_chunk

from langchain_llmdispatch.errors import MalformedResponseError, TruncatedToolCallError
from langchain_llmdispatch.vendors.answer import (
    CallIds,
    blocks_chunk,
    made_id,
    named_tool,
    text_chunk,
    text_of,
)
from langchain_llmdispatch.vendors.cohere.answer import (
    PROVIDER,
    annotation,
    argument_text,
    metadata,
    usage_metadata,
)
from langchain_llmdispatch.vendors.cohere.errors import error_inside
from langchain_llmdispatch.vendors.stream import EventDecoder
from langchain_llmdispatch.vendors.streamed_blocks import INPUT, StreamedBlock, StreamedBlocks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.messages import ToolCallChunk

    from langchain_llmdispatch.framing import SSEvent
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

Event = dict[str, Any]

# LangChain's v1 streams number blocks without an index from 0 and merge blocks of one number; ours start
# far from there: the tool plan, then the content blocks, then the tool calls.
_PLAN = 10
_FIRST_TEXT = 11
_FIRST_CALL = 100
_OFF = frozenset({"OFF", "DISABLED"})


def may_cite(call: Call) -> bool:
    """Return whether the answer to `call` may hold citations: Cohere cites documents and tool results.

    A stream must choose between a string and a list of blocks before the answer is there, since LangChain
    cannot turn the one into the other afterwards.
    """
    if (call.extra.get("citation_options") or {}).get("mode") in _OFF:
        return False
    documents = call.extra.get("documents") or call.messages[-1].additional_kwargs.get("documents")
    return bool(documents) or any(isinstance(m, ToolMessage) for m in call.messages)


class CohereStreamDecoder(EventDecoder):
    """Chunks of an answer."""

    __slots__ = ("_calls", "_cited", "_content", "_id", "_ids", "_logprobs", "_stray", "_texts")

    end_marker: ClassVar[str] = "message-end"

    def __init__(self, vendor: Vendor, call: Call, headers: Mapping[str, str]) -> None:
        super().__init__(vendor, call, headers)
        self._cited = may_cite(call)
        self._id: str | None = None
        self._logprobs: list[Any] = []
        self._content, self._calls = StreamedBlocks(), StreamedBlocks()
        self._ids = CallIds()
        self._stray: list[Any] = []  # citations of no text
        self._texts: set[int] = set()  # the numbers, as given out, of the blocks with text that may be cited

    def _marked(self) -> None:
        self.done = self.finished

    def _frame(self, frame: SSEvent) -> AIMessageChunk | None:
        return None if self.finished else super()._frame(frame)

    def _finish(self) -> AIMessageChunk | None:
        # `[DONE]` may be missing.
        return None if self.finished else super()._finish()

    def _other(self, event: Event) -> None:
        """Pass over an event of an unknown kind, unless it is an error."""
        message = event.get("message") or event.get("error")
        if event.get("type") in {None, "error"} and message:
            error = {"error": message, "error_type": event.get("error_type")}
            if failed := error_inside(self._context, None, error):
                raise failed

    def _at(self, event: Event, *path: str) -> Event:
        """Return the object under `path` in an event's delta."""
        found: Any = event.get("delta")
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise self._error(MalformedResponseError, f"an event without {'.'.join(path) or 'delta'}")
        return found

    # -- events ----------------------------------------------------------------------------------------

    def _start(self, event: Event) -> None:
        self._id = event.get("id")

    def _plan(self, event: Event) -> AIMessageChunk | None:
        text = self._at(event, "message").get("tool_plan")
        return self._text(text, _PLAN) if text else None

    def _content_start(self, event: Event) -> AIMessageChunk | None:
        content = self._at(event, "message", "content")
        kind = "thinking" if "thinking" in {content.get("type"), *content} else "text"
        self._content.begin(event.get("index"), kind)
        return self._content_delta(event)

    def _content_delta(self, event: Event) -> AIMessageChunk | None:
        if event.get("logprobs"):
            self._logprobs.append(event["logprobs"])
        content, place = self._at(event, "message", "content"), event.get("index")
        if thinking := content.get("thinking"):
            return self._chunk(additional_kwargs={"reasoning_content": text_of(thinking)})
        text = content.get("text")
        if not text:
            return None
        block = self._content.of(place, "text") or self._content.begin(place, "text")
        return self._text(text, _FIRST_TEXT + block.number)

    def _text(self, text: str, index: int) -> AIMessageChunk:
        if not self._cited:
            return text_chunk(text, PROVIDER)
        self._texts.add(index)
        return blocks_chunk([{"type": "text", "text": text, "index": index}], PROVIDER)

    def _citation(self, event: Event) -> AIMessageChunk | None:
        citation = self._at(event, "message", "citations")
        index = self._cited_text(citation)
        if index not in self._texts:  # not foreseen, or of something that is no text: kept as it came
            self._stray.append(citation)
            return None
        block = {"type": "text", "text": "", "annotations": [annotation(citation)], "index": index}
        return blocks_chunk([block], PROVIDER)

    def _cited_text(self, citation: Event) -> int | None:
        if citation.get("type") == "PLAN":
            return _PLAN
        block = self._content.of(citation.get("content_index"), "text")
        return None if block is None else _FIRST_TEXT + block.number

    def _call_start(self, event: Event) -> AIMessageChunk | None:
        raw, place = self._at(event, "message", "tool_calls"), event.get("index")
        function = self._at(event, "message", "tool_calls", "function")
        block = self._calls.begin(place, "tool_use", raw.get("id"))
        identity = self._ids.own(raw.get("id") or made_id(self._id, block.number))
        name = named_tool(function.get("name"), self._call.tool_names)
        return self._call_chunk(block, argument_text(function), name=name, id=identity)

    def _call_delta(self, event: Event) -> AIMessageChunk | None:
        raw = self._at(event, "message", "tool_calls")
        function = self._at(event, "message", "tool_calls", "function")
        block = self._calls.of(event.get("index"), INPUT, raw.get("id"))
        return self._call_chunk(block, argument_text(function))

    def _call_end(self, event: Event) -> None:
        self._calls.end(event.get("index"))

    def _call_chunk(self, block: StreamedBlock | None, text: str, **fields: str) -> AIMessageChunk | None:
        if block is None or block.args is None:
            return None
        args = block.args.add(text)
        if not args and not fields:
            return None
        piece = tool_call_chunk(args=args, index=_FIRST_CALL + block.number, **fields)
        return self._chunk(tool_call_chunks=[piece])

    def _end(self, event: Event) -> AIMessageChunk:
        delta = self._at(event)
        reason = delta.get("finish_reason")
        if failed := error_inside(self._context, reason, delta):
            raise failed
        answer = {
            "id": self._id or event.get("id"),
            "finish_reason": reason,
            "usage": delta.get("usage"),
            "logprobs": self._logprobs,
        }
        calls = self._finished_calls()
        self.finished = True
        return AIMessageChunk(
            content=[] if self._cited else "",
            additional_kwargs={"citations": self._stray} if self._stray else {},
            tool_call_chunks=calls,
            usage_metadata=usage_metadata(delta.get("usage")),
            response_metadata=metadata(self._call, answer, called=bool(self._calls)),
            chunk_position="last",
        )

    def _finished_calls(self) -> list[ToolCallChunk]:
        """Return `{}` for the calls without arguments, once all calls are known to be whole."""
        for block, args in self._calls.calls:
            if args.value is None:
                text = f"tool call {block.number}: arguments are not whole JSON"
                raise self._error(TruncatedToolCallError, text)
        return [
            tool_call_chunk(args="{}", index=_FIRST_CALL + block.number)
            for block, args in self._calls.calls
            if args.empty
        ]

    # -- chunks ----------------------------------------------------------------------------------------

    def _chunk(self, **fields: Any) -> AIMessageChunk:
        content: list[Any] | str = [] if self._cited else ""
        return AIMessageChunk(content=content, response_metadata={"model_provider": PROVIDER}, **fields)

    handlers: ClassVar[Mapping[str, Callable[[Any, Event], AIMessageChunk | None]]] = {
        "message-start": _start,
        "tool-plan-delta": _plan,
        "content-start": _content_start,
        "content-delta": _content_delta,
        "citation-start": _citation,
        "tool-call-start": _call_start,
        "tool-call-delta": _call_delta,
        "tool-call-end": _call_end,
        "message-end": _end,
    }
