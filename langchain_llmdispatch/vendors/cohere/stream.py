"""Cohere's streamed answers: events in, LangChain chunks out.

    message-start (tool-plan-delta | content-* | citation-* | tool-call-*)* message-end [DONE]

`message-end` ends an answer and carries finish reason and usage; `[DONE]`, without an event name, follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.messages.tool import tool_call_chunk

from langchain_llmdispatch.errors import MalformedResponseError, TruncatedStreamError, TruncatedToolCallError
from langchain_llmdispatch.vendors.answer import arguments, blocks_chunk, made_id, text_chunk, text_of
from langchain_llmdispatch.vendors.cohere.answer import (
    PROVIDER,
    annotation,
    cited_place,
    metadata,
    usage_metadata,
)
from langchain_llmdispatch.vendors.cohere.errors import error_inside
from langchain_llmdispatch.vendors.stream import EventDecoder

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
    return bool(call.extra.get("documents")) or any(isinstance(m, ToolMessage) for m in call.messages)


class CohereStreamDecoder(EventDecoder):
    """Chunks of an answer."""

    __slots__ = ("_args", "_cited", "_id", "_last_text", "_logprobs", "_opened", "_places")

    end_marker: ClassVar[str] = "message-end"

    def __init__(self, vendor: Vendor, call: Call, headers: Mapping[str, str]) -> None:
        super().__init__(vendor, call, headers)
        self._cited = may_cite(call)
        self._id: str | None = None
        self._logprobs: list[Any] = []
        # Where there is text to cite, None for the tool plan.
        self._places: set[int | None] = set()
        self._last_text = 0
        # Arguments so far by call, and the calls whose arguments were seen to begin as an object.
        self._args: dict[int, list[str]] = {}
        self._opened: set[int] = set()

    def _frame(self, frame: SSEvent) -> AIMessageChunk | None:
        end = frame.data.startswith("[DONE]")
        if self.finished:
            self.done = end
            return None
        if end:
            raise self._error(TruncatedStreamError, "[DONE] came without message-end")
        return super()._frame(frame)

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
        return self._text(text, None, _PLAN) if text else None

    def _content(self, event: Event) -> AIMessageChunk | None:
        if event.get("logprobs"):
            self._logprobs.append(event["logprobs"])
        content = self._at(event, "message", "content")
        if thinking := content.get("thinking"):
            return self._chunk(additional_kwargs={"reasoning_content": text_of(thinking)})
        text = content.get("text")
        if not text:
            return None
        place = self._last_text = event.get("index") or 0
        return self._text(text, place, _FIRST_TEXT + place)

    def _text(self, text: str, place: int | None, index: int) -> AIMessageChunk:
        if not self._cited:
            return text_chunk(text, PROVIDER)
        self._places.add(place)
        return blocks_chunk([{"type": "text", "text": text, "index": index}], PROVIDER)

    def _citation(self, event: Event) -> AIMessageChunk:
        citation = self._at(event, "message", "citations")
        place = cited_place(citation, self._last_text)
        if place not in self._places:  # not foreseen, or of something that is no text: kept as it came
            return self._chunk(additional_kwargs={"citations": [citation]})
        index = _PLAN if place is None else _FIRST_TEXT + place
        block = {"type": "text", "text": "", "annotations": [annotation(citation)], "index": index}
        return blocks_chunk([block], PROVIDER)

    def _call_start(self, event: Event) -> AIMessageChunk:
        index, raw = event.get("index") or 0, self._at(event, "message", "tool_calls")
        function = self._at(event, "message", "tool_calls", "function")
        self._args[index] = []
        text = self._add_args(index, function.get("arguments") or "")
        name, identity = function.get("name") or "", raw.get("id") or made_id(self._id, index)
        return self._call_chunk(index, text, self._call.tool_names.get(name, name), identity)

    def _call_delta(self, event: Event) -> AIMessageChunk | None:
        index = event.get("index") or 0
        if index not in self._args:
            raise self._error(MalformedResponseError, f"arguments of tool call {index}, which never began")
        function = self._at(event, "message", "tool_calls", "function")
        text = self._add_args(index, function.get("arguments") or "")
        return self._call_chunk(index, text) if text else None

    def _add_args(self, index: int, text: str) -> str:
        """Return the arguments to emit now: a tool without any gets `null`, which must not get out."""
        parts = self._args[index]
        parts.append(text)
        if index in self._opened:
            return text
        held = "".join(parts)
        if not held.lstrip().startswith("{"):
            return ""
        self._opened.add(index)
        return held

    def _call_chunk(
        self, index: int, args: str, name: str | None = None, identity: str | None = None
    ) -> AIMessageChunk:
        return self._chunk(tool_call_chunks=[_tool_chunk(index, args, name, identity)])

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
            tool_call_chunks=calls,
            usage_metadata=usage_metadata(delta.get("usage")),
            response_metadata=metadata(self._call, answer, called=bool(self._args)),
            chunk_position="last",
        )

    def _finished_calls(self) -> list[ToolCallChunk]:
        """Return `{}` for the calls without arguments, once all calls are known to be whole."""
        for index, parts in self._args.items():
            if arguments("".join(parts)) is None:
                raise self._error(TruncatedToolCallError, f"tool call {index}: arguments are not whole JSON")
        return [_tool_chunk(index, "{}") for index in self._args if index not in self._opened]

    # -- chunks ----------------------------------------------------------------------------------------

    def _chunk(self, **fields: Any) -> AIMessageChunk:
        content: list[Any] | str = [] if self._cited else ""
        return AIMessageChunk(content=content, response_metadata={"model_provider": PROVIDER}, **fields)

    handlers: ClassVar[Mapping[str, Callable[[Any, Event], AIMessageChunk | None]]] = {
        "message-start": _start,
        "tool-plan-delta": _plan,
        "content-start": _content,
        "content-delta": _content,
        "citation-start": _citation,
        "tool-call-start": _call_start,
        "tool-call-delta": _call_delta,
        "message-end": _end,
    }


def _tool_chunk(index: int, args: str, name: str | None = None, identity: str | None = None) -> ToolCallChunk:
    return tool_call_chunk(name=name, args=args, id=identity, index=_FIRST_CALL + index)
