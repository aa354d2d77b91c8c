"""The skeleton of the vendors' stream decoders: bytes to frames, frames to chunks, the end judged once.

    feed(bytes) -> frames -> `_frame` -> chunks      as often as bytes come
    close()     -> the rest, then `_finish`          at the end of input

A subclass defines what one frame means, by `_frame`, or by `handlers`, a table from an event's type to a
method. It sets `finished` when the answer is whole and `done` when nothing more needs reading.

Where the network cuts the bytes changes nothing: the chunks of frames before a bad one are returned first,
and the error is held for the next `feed` or for `close`. Whatever odd bytes raise becomes a `VendorError` in
`_collect`, and only there.

Frames without JSON are passed over in every dialect: gateways send empty data, `null`, `ping` or another
dialect's `[DONE]`. Whether the answer is whole depends on its own end marker alone.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_llmdispatch.errors import (
    MalformedResponseError,
    ResponseTooLargeError,
    ServerError,
    TruncatedStreamError,
    TruncatedToolCallError,
    VendorError,
)
from langchain_llmdispatch.framing import FrameTooLongError, LineDecoder, SSEDecoder, SSEvent
from langchain_llmdispatch.internal.json_format import parse_json
from langchain_llmdispatch.vendors.answer import whole_chunk
from langchain_llmdispatch.vendors.errors import ErrorContext
from langchain_llmdispatch.vendors.surrogates import PairJoiner

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import ErrorBody, Vendor

# What may stand before a body of JSON: blanks, and the byte order marks of UTF-8 and UTF-16.
_BEFORE_JSON = b" \t\r\n\xef\xbb\xbf\xfe\xff"
_WORDS = re.compile(r"[\[(]*[a-z][a-z0-9_ .:!/-]{0,63}[\])]*", re.IGNORECASE)
_NOTHING = frozenset({"", "[]", '""', '"[DONE]"'})


def words_of(data: str) -> str | None:
    """Return the words of a frame without JSON, in lower case; None if it may hold part of an answer."""
    if data[:1] == "{":
        return None
    text = data.strip()
    if text in _NOTHING or _WORDS.fullmatch(text):
        return text.strip('"[]').lower()
    return None


class FrameDecoder(ABC):
    """Decodes one streamed answer; see `StreamDecoder` for what callers may rely on.

    Attributes:
        finished: Whether the answer is whole; what may still come is bookkeeping.
        done: Whether nothing more needs reading.
        frames: How many frames have come; keep-alives of the connection are none.
    """

    __slots__ = (
        "_body",
        "_call",
        "_closing",
        "_context",
        "_failure",
        "_frames",
        "_pairs",
        "done",
        "finished",
        "frames",
    )

    framing: ClassVar[type[SSEDecoder | LineDecoder]] = SSEDecoder
    """How bytes are cut into frames."""
    end_marker: ClassVar[str] = "its end marker"
    """What ends an answer, for the message of the error where it never comes."""

    def __init__(self, vendor: Vendor, call: Call, headers: Mapping[str, str]) -> None:
        self._context = ErrorContext(vendor, call, headers)
        self._call = call
        self._frames = self.framing(call.max_response_bytes)
        # None until a JSON escape has come: most streams have none, and it takes time.
        self._pairs: PairJoiner | None = None
        # A body of plain JSON in place of events; None once events have come.
        self._body: bytearray | None = bytearray() if self.framing is SSEDecoder else None
        self._failure: VendorError | None = None
        self._closing = False
        self.finished = self.done = False
        self.frames = 0

    @property
    def used(self) -> UsageMetadata | None:
        """The usage that the vendor has reported so far."""
        return None

    def feed(self, data: bytes) -> list[AIMessageChunk]:
        """Return the chunks that `data` completes.

        Raises:
            VendorError: The vendor reported an error inside the stream, or it makes no sense.
        """
        if self._failure is not None:
            raise self._failure
        if self._body is not None:
            data = self._begin(self._body, data)
        try:
            frames: Iterable[Any] = self._frames.feed(data)
        except FrameTooLongError:
            raise self._too_large() from None
        if self._pairs is None and (b"\\u" in data or data.endswith(b"\\")):
            self._pairs = PairJoiner()
        return self._collect(self._decode(frames if self._pairs is None else self._pairs.join(frames)))

    def close(self) -> list[AIMessageChunk]:
        """Return what the end of input completes.

        Raises:
            TruncatedStreamError: The end marker never came.
            VendorError: As for `feed`.
        """
        if self._failure is not None:
            raise self._failure
        self._closing = True
        chunks = self._collect(self._at_end())
        self.done = True
        return chunks

    def restart(self) -> None:
        """Forget the beginning of a frame that broke off: the stream goes on with a whole one."""
        self._frames = self.framing(self._call.max_response_bytes)

    # -- what subclasses define --------------------------------------------------------------------

    @abstractmethod
    def _frame(self, frame: Any) -> AIMessageChunk | None:
        """Return what one frame adds to the answer; None if nothing."""

    def _marked(self) -> AIMessageChunk | None:
        """Return what `[DONE]` adds to the answer; in some dialects it means the end."""
        return None

    def _finish(self) -> AIMessageChunk | None:
        """Return the last chunk where no event gave it; the end of input has come before the end marker."""
        raise self._error(TruncatedStreamError, f"the stream ended without {self.end_marker}")

    def _whole(self, body: bytes) -> Iterator[AIMessageChunk]:
        """Yield the answer in a body of plain JSON: some servers send that, errors most of all."""
        self._json(body)
        message = self._context.vendor.decode_response(self._call, body, self._context.headers)
        if message.invalid_tool_calls:
            raise self._error(TruncatedToolCallError, "the arguments of a tool call are no JSON object")
        self.finished = self.done = True
        yield whole_chunk(message)

    # -- the template ------------------------------------------------------------------------------

    def _begin(self, body: bytearray, data: bytes) -> bytes:
        """Return `data` once it is known to be events; keep it in `body` where it is plain JSON."""
        if not body:
            data = data.lstrip(_BEFORE_JSON)
            if data[:1] not in b"{[":
                self._body = None
                return data
        body += data
        if len(body) > self._call.max_response_bytes:
            raise self._too_large()
        return b""

    def _too_large(self) -> VendorError:
        limit = self._call.max_response_bytes
        error = self._error(ResponseTooLargeError, f"one event has more than max_response_bytes={limit}")
        self._failure, self.finished = error, False
        return error

    def _decode(self, frames: Iterable[Any]) -> Iterator[AIMessageChunk]:
        for frame in frames:
            if self.done:
                return
            self.frames += 1
            is_json = frame.__class__ is SSEvent and frame.data[:1] == "{"  # by far the most frequent
            words = None if is_json else self._words(frame)
            if words is None:
                chunk = self._frame(frame)
            elif words == "done":
                chunk = self._marked()
            else:
                continue
            if chunk is not None:
                yield chunk

    def _words(self, frame: Any) -> str | None:
        """Return the words of a frame without JSON; None for any other frame.

        Raises:
            ServerError: It is an error in words.
        """
        if not isinstance(frame, SSEvent):
            return words_of(frame if isinstance(frame, str) else frame.decode("utf-8", "replace"))
        words = words_of(frame.data)
        if words is not None and frame.event == "error":
            raise self._error(ServerError, frame.data.strip() or "an error without words")
        return words

    def _at_end(self) -> Iterator[AIMessageChunk]:
        if self._body:
            yield from self._whole(bytes(self._body))
        else:
            frames: Iterable[Any] = self._frames.close()
            if self._pairs is not None:
                frames = [*self._pairs.join(frames), *self._pairs.close()]
            yield from self._decode(frames)
        if not self.done and (last := self._finish()) is not None:
            yield last

    def _collect(self, chunks: Iterator[AIMessageChunk]) -> list[AIMessageChunk]:
        """Return the chunks, or hold the error that comes after some of them; odd bytes end here."""
        collected: list[AIMessageChunk] = []
        try:
            for chunk in chunks:
                collected.append(chunk)  # noqa: PERF402 - what came before an error is kept
        except VendorError as error:
            failure = error
        except Exception as cause:  # noqa: BLE001 - JSON of another shape raises anything
            failure = self._context.malformed("an event", cause)
        else:
            return collected
        self._failure, self.finished = failure, False
        if collected and not self._closing:
            return collected
        raise failure

    # -- for subclasses ----------------------------------------------------------------------------

    def _json(self, data: str | bytes) -> Any:
        try:
            return parse_json(data)
        except ValueError as cause:
            cls = TruncatedStreamError if self._closing else MalformedResponseError
            raise self._error(cls, f"an event is not whole JSON: {cause}") from cause

    def _object(self, data: str | bytes) -> dict[str, Any]:
        """Return the JSON object in a frame; what cannot be read after the answer is whole is nothing.

        Raises:
            TruncatedStreamError: It is cut by the end of input.
            MalformedResponseError: It is no object.
        """
        try:
            event = parse_json(data)
        except ValueError:
            if self.finished:
                return {}
            event = self._json(data)
        if isinstance(event, dict):
            return event
        if self.finished:
            return {}
        raise self._error(MalformedResponseError, "an event is no JSON object")

    def _error(self, cls: type[VendorError], body: ErrorBody | str) -> VendorError:
        return self._context.error(cls, body)


class EventDecoder(FrameDecoder):
    """Decodes a stream of server-sent events, each of them an object with a `type`."""

    __slots__ = ()

    handlers: ClassVar[Mapping[str, Callable[[Any, dict[str, Any]], AIMessageChunk | None]]] = {}
    """Methods by the type of the event that they handle."""

    def _frame(self, frame: SSEvent) -> AIMessageChunk | None:
        return self._handled(self._object(frame.data), frame)

    def _handled(self, event: dict[str, Any], frame: SSEvent) -> AIMessageChunk | None:
        handle = self.handlers.get(event.get("type") or frame.event)
        return handle(self, event) if handle is not None else self._other(event)

    def _other(self, event: dict[str, Any]) -> AIMessageChunk | None:
        """Handle an event of a type without a handler; None passes it over."""
