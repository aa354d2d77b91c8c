"""The decoder of a streamed chat completion of the OpenAI family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk

from langchain_llmdispatch.errors import (
    MalformedResponseError,
    TruncatedStreamError,
    TruncatedToolCallError,
    VendorError,
)
from langchain_llmdispatch.framing import SSEDecoder, SSEvent, dump_json, parse_json
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.openai import chat_answer as answers
from langchain_llmdispatch.vendors.openai.errors import error_body, error_inside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor


class Frames:
    """Bytes to the data of events, for a decoder that handles one event at a time.

    What an event before a failure said is still handed out: the failure is kept and raised by the next
    `feed` or by `close`, so that the pieces the network happened to cut decide nothing.
    """

    __slots__ = ("_body", "_call", "_failure", "_sse", "_vendor")

    def __init__(self, vendor: Vendor, call: Call) -> None:
        self._vendor = vendor
        self._call = call
        self._sse = SSEDecoder()
        self._failure: VendorError | None = None
        self._body: bytes | None = b""
        """The beginning of the body until it is known to be events; a whole body that is JSON instead."""

    @property
    def finished(self) -> bool:
        """Whether the answer is whole."""
        return False

    @property
    def done(self) -> bool:
        """Whether nothing more needs reading."""
        return False

    def feed(self, data: bytes) -> list[AIMessageChunk]:
        """Return the chunks that `data` completes; see `StreamDecoder`."""
        if self._failure:
            raise self._failure
        if self._body is not None:
            data = self._begin(data)
        chunks: list[AIMessageChunk] = []
        try:
            for event in self._sse.feed(data):
                if self.done:
                    break
                if chunk := self._event(event):
                    chunks.append(chunk)
        except VendorError as error:
            self._failure = error
            if not chunks:
                raise
        return chunks

    def close(self) -> list[AIMessageChunk]:
        """Return what the end of input completes; see `StreamDecoder`."""
        if self._failure:
            raise self._failure
        if self.done:
            return []
        if self._body is not None and self._body.strip():
            return self._whole(self._body)
        events = self._sse.close()
        chunks = [chunk for event in events if self._complete(event) and (chunk := self._event(event))]
        if not self.done:
            chunks.append(self._last())
        return chunks

    def _complete(self, event: SSEvent) -> bool:
        # What is cut here is bookkeeping if the answer is finished; if not, `_last` says so.
        try:
            parse_json(event.data)
        except ValueError:
            return event.data == "[DONE]"
        return True

    def _begin(self, data: bytes) -> bytes:
        # Some servers answer a request for a stream with plain JSON, errors most of all.
        self._body = (self._body or b"") + data
        head = self._body.lstrip()
        if not head or head[:1] in b"{[":
            return b""
        data, self._body = self._body, None
        return data

    def _json(self, data: str | bytes) -> dict[str, Any]:
        try:
            value = parse_json(data)
        except ValueError:
            raise self._malformed("an event is not JSON") from None
        if not isinstance(value, dict):
            raise self._malformed("an event is no JSON object")
        return value

    def _event(self, event: SSEvent) -> AIMessageChunk | None:
        raise NotImplementedError

    def _last(self) -> AIMessageChunk:
        raise NotImplementedError

    def _whole(self, body: bytes) -> list[AIMessageChunk]:
        """Return a message that came in one piece, as the last chunk."""
        try:
            value = parse_json(body)
        except ValueError:
            raise self._truncated() from None
        if not isinstance(value, dict) or value.get("error"):
            raise error_inside(self._vendor, self._call, error_body(value))
        message = self._vendor.decode_response(self._call, body, {})
        if message.invalid_tool_calls:
            raise self._error(TruncatedToolCallError, "a tool call's arguments are no JSON object")
        chunks = [
            ToolCallChunk(
                type="tool_call_chunk",
                name=call["name"],
                args=dump_json(call["args"]).decode(),
                id=call["id"],
                index=index,
            )
            for index, call in enumerate(message.tool_calls)
        ]
        whole = message.model_dump(exclude={"type", "tool_calls", "invalid_tool_calls"})
        self._body = None
        return [AIMessageChunk(**whole, tool_call_chunks=chunks, chunk_position="last")]

    def _error(self, cls: type[VendorError], text: str) -> VendorError:
        return vendor_error(cls, self._vendor, self._call, ErrorBody(text))

    def _malformed(self, text: str) -> VendorError:
        return self._error(MalformedResponseError, text)

    def _truncated(self) -> VendorError:
        return self._error(TruncatedStreamError, "the stream ended before the answer did")


class _Call:
    """One tool call as its pieces arrive."""

    __slots__ = ("args", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.args: list[str] = []


class StreamedCalls:
    """Tool calls of a stream, told apart though servers omit or repeat indices, ids and names."""

    __slots__ = ("_by_wire", "_calls", "_names")

    def __init__(self, names: Mapping[str, str]) -> None:
        self._calls: list[_Call] = []
        self._by_wire: dict[int, int] = {}
        self._names = names

    def __bool__(self) -> bool:
        """Whether there was any."""
        return bool(self._calls)

    def take(self, pieces: list[Mapping[str, Any]], seed: str) -> list[ToolCallChunk]:
        """Return chunks for `pieces`; id and name appear once per call."""
        return [self._take(piece, seed) for piece in pieces]

    def _take(self, piece: Mapping[str, Any], seed: str) -> ToolCallChunk:
        name, args = answers.call_parts(piece)
        index = self._index(piece, name)
        call = self._calls[index]
        chunk = ToolCallChunk(type="tool_call_chunk", name=None, args=None, id=None, index=index)
        if not call.id:
            chunk["id"] = call.id = answers.call_id(piece.get("id"), seed, index)
        if name and not call.name:
            call.name = name
            chunk["name"] = self._names.get(name, name)
        if args and not (args == "null" and not call.args):
            call.args.append(args)
            chunk["args"] = args
        return chunk

    def _index(self, piece: Mapping[str, Any], name: Any) -> int:
        wire, identity = piece.get("index"), piece.get("id")
        known = self._by_wire.get(wire) if isinstance(wire, int) else len(self._calls) - 1
        # Some servers give every call index 0, or none: a new id beside a name begins a new call.
        if known is None or known < 0 or (name and identity and identity != self._calls[known].id):
            self._calls.append(_Call())
            known = len(self._calls) - 1
            if isinstance(wire, int):
                self._by_wire[wire] = known
        return known

    def cut(self) -> str | None:
        """Return what is wrong with the calls, or None if all are whole."""
        for call in self._calls:
            if not call.name:
                return "a tool call has no name"
            if answers.arguments("".join(call.args)) is None:
                return "a tool call's arguments are no whole JSON object"
        return None


class ChatStreamDecoder(Frames):
    """Chunks of a chat completion.

    A finish reason ends the answer; usage and `[DONE]` may follow or not. The last chunk is held back for
    them, so that `close` gives it where they never come.
    """

    __slots__ = ("_calls", "_done", "_finish", "_head", "_logprobs", "_model", "_provider", "_seed", "_usage")

    def __init__(
        self, vendor: Vendor, call: Call, provider: str, extras: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(vendor, call)
        self._provider = provider
        self._calls = StreamedCalls(call.tool_names)
        self._head: dict[str, Any] = dict(extras or {})
        self._model = ""
        self._seed = ""
        self._finish: str | None = None
        self._usage: Any = None
        self._logprobs: dict[str, Any] = {}
        self._done = False

    @property
    def finished(self) -> bool:
        """Whether a finish reason was seen."""
        return self._finish is not None and self._failure is None

    @property
    def done(self) -> bool:
        """Whether `[DONE]` was seen."""
        return self._done

    @property
    def used(self) -> UsageMetadata | None:
        """What the vendor has said of usage so far."""
        return answers.usage_metadata(self._usage)

    def _event(self, event: SSEvent) -> AIMessageChunk | None:
        data = event.data
        if data == "[DONE]":
            return self._last()
        if not data.strip():
            return None
        chunk = self._json(data)
        if chunk.get("error") or event.event == "error" or chunk.get("object") == "error":
            raise error_inside(self._vendor, self._call, error_body(chunk))
        if not self._seed or chunk.get("usage"):
            self._bookkeeping(chunk)
        choices = chunk.get("choices")
        if not choices:
            return None
        choice = choices[0]
        if choice.get("index"):  # n > 1: the first answer is the answer
            return None
        delta = choice.get("delta")
        message = self._delta(delta) if delta else None
        if choice.get("logprobs"):
            self._take_logprobs(choice["logprobs"])
        if choice.get("content_filter_results"):  # Azure: the one at the end is often empty
            self._head["content_filter_results"] = choice["content_filter_results"]
        if choice.get("finish_reason"):
            self._end(chunk, choice)
        return message

    def _bookkeeping(self, chunk: Mapping[str, Any]) -> None:
        self._model = self._model or chunk.get("model") or ""
        self._seed = self._seed or answers.seed_of(chunk)
        for name in answers.HEAD & chunk.keys():
            if chunk[name]:
                self._head[name] = chunk[name]
        if usage := answers.usage_of(chunk):
            self._usage = usage

    def _take_logprobs(self, logprobs: Mapping[str, Any]) -> None:
        for name, value in logprobs.items():
            if isinstance(value, list):
                self._logprobs.setdefault(name, []).extend(value)

    def _end(self, chunk: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        reason = str(choice["finish_reason"])
        if reason in answers.FAILED:
            raise self._error(MalformedResponseError, f"the answer was given up: {reason}")
        self._finish = reason
        self._bookkeeping(chunk)
        for name in answers.TAIL:
            if choice.get(name):
                self._head[name] = choice[name]

    def _delta(self, delta: Mapping[str, Any]) -> AIMessageChunk | None:
        text = delta.get("content")
        if text.__class__ is str and len(delta) == 1:  # by far the most frequent: text alone
            if not text:
                return None
            return AIMessageChunk(content=text, response_metadata={"model_provider": self._provider})
        text, thought = answers.text_of(text)
        kwargs = {name: delta[name] for name in answers.KWARGS if delta.get(name)}
        if thought := answers.reasoning_of(delta) or thought:
            kwargs["reasoning_content"] = thought
        pieces = answers.raw_calls(delta)
        if not text and not kwargs and not pieces:
            return None
        return AIMessageChunk(
            content=text,
            additional_kwargs=kwargs,
            tool_call_chunks=self._calls.take(pieces, self._seed),
            response_metadata={"model_provider": self._provider},
        )

    def _last(self) -> AIMessageChunk:
        if self._finish is None:
            raise self._truncated()
        if wrong := self._calls.cut():
            raise self._error(TruncatedToolCallError, wrong)
        self._done = True
        metadata = {
            "model_provider": self._provider,
            "model_name": self._model or self._call.model,
            "finish_reason": answers.finish_reason(self._finish, calls=bool(self._calls)),
            **self._head,
        }
        if self._logprobs:
            metadata["logprobs"] = self._logprobs
        return AIMessageChunk(
            content="",
            usage_metadata=answers.usage_metadata(self._usage),
            response_metadata=metadata,
            chunk_position="last",
        )
