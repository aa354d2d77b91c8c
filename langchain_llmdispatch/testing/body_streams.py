"""Bodies of responses in tests: made of pieces, changed on their way, or observed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import httpx

if TYPE_CHECKING:
    from langchain_llmdispatch.transport.deadline import ReadDeadline

_SSE_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
# The end of an answer in any vendor's stream: finish reasons and final events.
END_MARKER = re.compile(
    rb'data:\s*\[DONE\]|"finish_?[rR]eason"\s*:\s*"|"stop_reason"\s*:\s*"|"type"\s*:\s*"message[_-](?:stop|end)"'
    rb'|"type"\s*:\s*"response\.(?:completed|incomplete|failed)"|"done"\s*:\s*true',
)


@dataclass(frozen=True, slots=True)
class Delay:
    """A pause within a body.

    Attributes:
        seconds: How long; infinity is until the read deadline.
    """

    seconds: float


class BodyEnd:
    """The body ends here, whatever the server still sends."""


Action: TypeAlias = "bytes | Delay | BodyEnd | httpx.HTTPError"


class BodyFilter(Protocol):
    """Turns the pieces of a body into what the client receives: bytes, pauses, an error, an early end."""

    def feed(self, piece: bytes) -> Iterable[Action]:
        """Return what replaces a piece."""

    def close(self) -> Iterable[Action]:
        """Return what follows the last piece."""


class EventSplitter:
    """Cuts a body into whole events without changing a byte: SSE and NDJSON; anything else is one event."""

    def __init__(self, content_type: str) -> None:
        kind = content_type.partition(";")[0].strip().casefold()
        self.streams = kind in {"text/event-stream", "application/x-ndjson", "application/stream+json"}
        self._end = _SSE_END if kind == "text/event-stream" else re.compile(rb"\n")
        self._buffer = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the events that a piece completes."""
        self._buffer += piece
        if not self.streams:
            return []
        events, start = [], 0
        for match in self._end.finditer(self._buffer):
            if match.end() > start:
                events.append(self._buffer[start : match.end()])
                start = match.end()
        self._buffer = self._buffer[start:]
        return events

    def close(self) -> list[bytes]:
        """Return the rest as one event."""
        rest, self._buffer = self._buffer, b""
        return [rest] if rest else []


def pause(read_deadline: ReadDeadline, seconds: float) -> float:
    """Return how long to pause: `seconds`, at most until the read deadline.

    Raises:
        AssertionError: The pause would never end.
    """
    left = read_deadline.left()
    if min(seconds, left) == float("inf"):
        raise AssertionError("this stall would never end: the model has no timeout and no deadline")
    return max(0.0, min(seconds, left))


class _WrappedBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a response, its encoding undone. Subclasses yield its pieces."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    def close(self) -> None:
        """Close the response."""
        self._response.close()

    async def aclose(self) -> None:
        """Close the response."""
        await self._response.aclose()


class FilteredBody(_WrappedBody):
    """A body through a filter."""

    def __init__(
        self, response: httpx.Response, body_filter: BodyFilter, read_deadline: ReadDeadline
    ) -> None:
        super().__init__(response)
        self._filter, self._deadline = body_filter, read_deadline
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield what the client receives."""
        for actions in self._rounds():
            for step in self._steps(actions):
                if isinstance(step, bytes):
                    yield step
                else:
                    self._deadline.clock.sleep(step)
            if self._ended:
                return

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what the client receives."""
        async for actions in self._arounds():
            for step in self._steps(actions):
                if isinstance(step, bytes):
                    yield step
                else:
                    await self._deadline.clock.asleep(step)
            if self._ended:
                return

    def _steps(self, actions: Iterable[Action]) -> Iterator[bytes | float]:
        """Yield bytes to pass on and seconds to sleep."""
        for action in actions:
            if isinstance(action, bytes):
                yield action
            elif isinstance(action, Delay):
                yield pause(self._deadline, action.seconds)
                if self._deadline.left() <= 0:
                    raise httpx.ReadTimeout("timed out")
            elif isinstance(action, BodyEnd):
                self._ended = True
                return
            else:
                raise action

    def _rounds(self) -> Iterator[Iterable[Action]]:
        yield self._filter.feed(b"")
        for piece in self._response.iter_bytes():
            yield self._filter.feed(piece)
        yield self._filter.close()

    async def _arounds(self) -> AsyncIterator[Iterable[Action]]:
        yield self._filter.feed(b"")
        async for piece in self._response.aiter_bytes():
            yield self._filter.feed(piece)
        yield self._filter.close()


def filtered(
    response: httpx.Response, body_filter: BodyFilter, read_deadline: ReadDeadline
) -> httpx.Response:
    """Return the response with its body through a filter; its encoding is undone."""
    return httpx.Response(
        response.status_code,
        headers=decoded_headers(response),
        stream=FilteredBody(response, body_filter, read_deadline),
        extensions=response.extensions,
    )


def decoded_headers(response: httpx.Response) -> list[tuple[str, str]]:
    """Return the headers of a response whose body has been decoded."""
    dropped = {"content-encoding", "content-length", "transfer-encoding"}
    return [(name, value) for name, value in response.headers.multi_items() if name not in dropped]


class PiecedBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that arrives in pieces.

    Args:
        pieces: The pieces.
        advance: Called with each piece's number before it is yielded.
        error: Raised after the last piece.
    """

    def __init__(
        self,
        pieces: Iterable[bytes],
        advance: Callable[[int], None] | None = None,
        error: httpx.HTTPError | None = None,
    ) -> None:
        self._pieces, self._advance, self._error = pieces, advance, error

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces."""
        for number, piece in enumerate(self._pieces):
            if self._advance is not None:
                self._advance(number)
            yield piece
        if self._error is not None:
            raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces."""
        for piece in self:
            yield piece


class BodyObserver(Protocol):
    """Is notified of the pieces of a body."""

    def piece(self, piece: bytes) -> None:
        """A piece has arrived."""

    def closed(self, *, whole: bool) -> None:
        """The body is over; `whole` where it came to its end. Called once."""


class ObservedBody(_WrappedBody):
    """A body that passes unchanged, but for its encoding, while an observer is notified of it."""

    def __init__(self, response: httpx.Response, observer: BodyObserver) -> None:
        super().__init__(response)
        self._observer, self._over = observer, False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces."""
        for piece in self._response.iter_bytes():
            self._observer.piece(piece)
            yield piece
        self._end(whole=True)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces."""
        async for piece in self._response.aiter_bytes():
            self._observer.piece(piece)
            yield piece
        self._end(whole=True)

    def close(self) -> None:
        """Close the response."""
        super().close()
        self._end(whole=False)

    async def aclose(self) -> None:
        """Close the response."""
        await super().aclose()
        self._end(whole=False)

    def _end(self, *, whole: bool) -> None:
        if not self._over:
            self._over = True
            self._observer.closed(whole=whole)
