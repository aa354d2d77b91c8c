"""Cohere's streamed answers: events in, LangChain chunks out.

    message-start (tool-plan-delta | content-* | citation-* | tool-call-*)* message-end [DONE]

`message-end` ends an answer and carries finish reason and usage; `[DONE]`, without an event name, follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.messages.tool import tool_call_chunk

from langchain_llmdispatch.errors import (
    MalformedResponseError,
    TruncatedStreamError,
    TruncatedToolCallError,
    VendorError,
)
from langchain_llmdispatch.framing import SSEDecoder, parse_json
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.cohere.answer import (
    PROVIDER,
    annotation,
    arguments,
    call_id,
    cited_place,
    metadata,
    tool_name,
    usage_metadata,
)
from langchain_llmdispatch.vendors.cohere.errors import failed_answer

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

    A stream must choose between a string and a list of blocks before it knows the answer, since LangChain
    cannot turn the one into the other afterwards.
    """
    if (call.extra.get("citation_options") or {}).get("mode") in _OFF:
        return False
    return bool(call.extra.get("documents")) or any(isinstance(m, ToolMessage) for m in call.messages)


class CohereStream:
    """Decodes one streamed answer."""

    __slots__ = (
        "_args", "_call", "_cited", "_headers", "_held", "_id", "_last_text", "_logprobs", "_opened",
        "_places", "_sse", "_vendor", "done", "finished",
    )  # fmt: skip

    def __init__(self, vendor: Vendor, call: Call, headers: Mapping[str, str]) -> None:
        self._vendor, self._call, self._headers = vendor, call, headers
        self._sse = SSEDecoder()
        self._cited = may_cite(call)
        self._held: VendorError | None = None
        self._id: str | None = None
        self._logprobs: list[Any] = []
        # Where there is text to cite, None for the tool plan.
        self._places: set[int | None] = set()
        self._last_text = 0
        # Arguments so far by call, and the calls whose arguments were seen to begin as an object.
        self._args: dict[int, list[str]] = {}
        self._opened: set[int] = set()
        self.done = False
        self.finished = False

    def feed(self, data: bytes) -> list[AIMessageChunk]:
        """Return the chunks that `data` completes; an error after some of them waits for the next call."""
        if self._held:
            raise self._held
        return self._decode(self._sse.feed(data), MalformedResponseError)

    def close(self) -> list[AIMessageChunk]:
        """Return what the end of input completes, or raise if the answer is not whole."""
        if self._held:
            raise self._held
        chunks = self._decode(self._sse.close(), TruncatedStreamError)
        if not self.finished and not self._held:
            self._held = self._error(TruncatedStreamError, "the stream ended without message-end")
        if self._held:
            raise self._held
        self.done = True
        return chunks

    def _decode(self, events: list[SSEvent], unreadable: type[VendorError]) -> list[AIMessageChunk]:
        chunks: list[AIMessageChunk] = []
        try:
            for event in events:
                if self.finished:
                    self.done = self.done or event.data.strip() == "[DONE]"
                elif chunk := self._take(event.data, unreadable):
                    chunks.append(chunk)
        except VendorError as error:
            if not chunks:
                raise
            self._held = error
        return chunks

    def _take(self, data: str, unreadable: type[VendorError]) -> AIMessageChunk | None:
        if data.startswith("[DONE]"):
            raise self._error(TruncatedStreamError, "[DONE] came without message-end")
        try:
            event = parse_json(data)
        except ValueError:
            raise self._error(unreadable, "an event is not whole JSON") from None
        if not isinstance(event, dict):
            raise self._error(MalformedResponseError, "an event is no JSON object")
        handle = self._HANDLERS.get(event.get("type") or "")
        if handle is None:
            self._pass_over(event)
            return None
        return handle(self, event, event.get("delta"))

    def _pass_over(self, event: Event) -> None:
        """Pass over an event of a kind we do not know, unless it is an error."""
        message = event.get("message") or event.get("error")
        if event.get("type") in {None, "error"} and message:
            said = {"error": message, "error_type": event.get("error_type")}
            failed = failed_answer(self._vendor, self._call, self._headers, None, said)
            if failed:
                raise failed

    def _at(self, delta: Any, *path: str) -> Event:
        """Return the object under `path`."""
        for name in path:
            delta = delta.get(name) if isinstance(delta, dict) else None
        if not isinstance(delta, dict):
            raise self._error(MalformedResponseError, f"an event without {'.'.join(path) or 'delta'}")
        return delta

    # -- events ----------------------------------------------------------------------------------------

    def _start(self, event: Event, _: Any) -> None:
        self._id = event.get("id")

    def _plan(self, _: Event, delta: Any) -> AIMessageChunk | None:
        text = self._at(delta, "message").get("tool_plan")
        return self._text(text, None, _PLAN) if text else None

    def _content(self, event: Event, delta: Any) -> AIMessageChunk | None:
        if event.get("logprobs"):
            self._logprobs.append(event["logprobs"])
        said = self._at(delta, "message", "content")
        if thinking := said.get("thinking"):
            return self._chunk(additional_kwargs={"reasoning_content": thinking})
        text = said.get("text")
        if not text:
            return None
        place = self._last_text = event.get("index") or 0
        return self._text(text, place, _FIRST_TEXT + place)

    def _text(self, text: str, place: int | None, index: int) -> AIMessageChunk:
        if not self._cited:
            return self._chunk(text)
        self._places.add(place)
        return self._chunk([{"type": "text", "text": text, "index": index}])

    def _citation(self, _: Event, delta: Any) -> AIMessageChunk:
        citation = self._at(delta, "message", "citations")
        place = cited_place(citation, self._last_text)
        if place not in self._places:  # not foreseen, or of something that is no text: kept as it came
            return self._chunk(additional_kwargs={"citations": [citation]})
        index = _PLAN if place is None else _FIRST_TEXT + place
        block = {"type": "text", "text": "", "annotations": [annotation(citation)], "index": index}
        return self._chunk([block])

    def _call_start(self, event: Event, delta: Any) -> AIMessageChunk:
        index, said = event.get("index") or 0, self._at(delta, "message", "tool_calls")
        function = self._at(said, "function")
        self._args[index] = []
        text = self._add_args(index, function.get("arguments") or "")
        name, id_ = tool_name(self._call, function), said.get("id") or call_id(self._id, index)
        return self._call_chunk(index, text, name, id_)

    def _call_delta(self, event: Event, delta: Any) -> AIMessageChunk | None:
        index = event.get("index") or 0
        if index not in self._args:
            raise self._error(MalformedResponseError, f"arguments of tool call {index}, which never began")
        said = self._at(delta, "message", "tool_calls", "function")
        text = self._add_args(index, said.get("arguments") or "")
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
        self, index: int, args: str, name: str | None = None, id_: str | None = None
    ) -> AIMessageChunk:
        return self._chunk(tool_call_chunks=[_tool_chunk(index, args, name, id_)])

    def _end(self, event: Event, delta: Any) -> AIMessageChunk:
        said = self._at(delta)
        reason = said.get("finish_reason")
        failed = failed_answer(self._vendor, self._call, self._headers, reason, said)
        if failed:
            raise failed
        answer = {
            "id": self._id or event.get("id"),
            "finish_reason": reason,
            "usage": said.get("usage"),
            "logprobs": self._logprobs,
        }
        calls = self._finished_calls()
        self.finished = True
        return AIMessageChunk(
            content=[] if self._cited else "",
            tool_call_chunks=calls,
            usage_metadata=usage_metadata(said.get("usage")),
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

    def _chunk(self, content: Any = None, **fields: Any) -> AIMessageChunk:
        if content is None:
            content = [] if self._cited else ""
        return AIMessageChunk(content=content, response_metadata={"model_provider": PROVIDER}, **fields)

    def _error(self, cls: type[VendorError], message: str) -> VendorError:
        return vendor_error(cls, self._vendor, self._call, ErrorBody(message), headers=self._headers)

    _HANDLERS: ClassVar[Mapping[str, Callable[[CohereStream, Event, Any], AIMessageChunk | None]]] = {
        "message-start": _start,
        "tool-plan-delta": _plan,
        "content-start": _content,
        "content-delta": _content,
        "citation-start": _citation,
        "tool-call-start": _call_start,
        "tool-call-delta": _call_delta,
        "message-end": _end,
    }


def _tool_chunk(index: int, args: str, name: str | None = None, id_: str | None = None) -> ToolCallChunk:
    return tool_call_chunk(name=name, args=args, id=id_, index=_FIRST_CALL + index)
