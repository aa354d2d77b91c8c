"""Response bodies that tests make: in pieces, shaped, or watched while they pass."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import httpx

if TYPE_CHECKING:
    from langchain_llmdispatch.transport.deadline import ReadDeadline

_SSE_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
# What marks the end of an answer in any vendor's stream: finish reasons and final events.
END_MARKER = re.compile(
    rb'data:\s*\[DONE\]|"finish_?[rR]eason"\s*:\s*"|"stop_reason"\s*:\s*"|"type"\s*:\s*"message[_-](?:stop|end)"'
    rb'|"type"\s*:\s*"response\.(?:completed|incomplete|failed)"|"done"\s*:\s*true',
)


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause within a body.

    Attributes:
        seconds: How long; infinity is until read_deadline ends.
    """

    seconds: float


class End:
    """The body ends here, whatever the server still sends."""


Action: TypeAlias = "bytes | Wait | End | httpx.HTTPError"


class Shaper(Protocol):
    """Turns the pieces of a body into what the client is to see: bytes, pauses, errors, an early end."""

    def feed(self, piece: bytes) -> Iterable[Action]:
        """Return what a piece becomes."""

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
    """Return how long to pause; at most until read_deadline ends.

    Raises:
        AssertionError: The pause would never end.
    """
    left = read_deadline.left()
    if min(seconds, left) == float("inf"):
        raise AssertionError("this stall would never end: the model has no timeout and no deadline")
    return max(0.0, min(seconds, left))


class ShapedBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a response, through a shaper."""

    def __init__(self, response: httpx.Response, shaper: Shaper, read_deadline: ReadDeadline) -> None:
        self._response, self._shaper, self._patience = response, shaper, read_deadline

    def __iter__(self) -> Iterator[bytes]:
        """Yield what the client sees."""
        for actions in self._rounds():
            for action in actions:
                if isinstance(action, bytes):
                    yield action
                elif isinstance(action, Wait):
                    self._patience.clock.sleep(pause(self._patience, action.seconds))
                    _check(self._patience)
                elif isinstance(action, End):
                    return
                else:
                    raise action

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what the client sees."""
        async for actions in self._arounds():
            for action in actions:
                if isinstance(action, bytes):
                    yield action
                elif isinstance(action, Wait):
                    await self._patience.clock.asleep(pause(self._patience, action.seconds))
                    _check(self._patience)
                elif isinstance(action, End):
                    return
                else:
                    raise action

    def close(self) -> None:
        """Close the response beneath."""
        self._response.close()

    async def aclose(self) -> None:
        """Close the response beneath."""
        await self._response.aclose()

    def _rounds(self) -> Iterator[Iterable[Action]]:
        yield self._shaper.feed(b"")
        for piece in self._response.iter_bytes():
            yield self._shaper.feed(piece)
        yield self._shaper.close()

    async def _arounds(self) -> AsyncIterator[Iterable[Action]]:
        yield self._shaper.feed(b"")
        async for piece in self._response.aiter_bytes():
            yield self._shaper.feed(piece)
        yield self._shaper.close()


def _check(read_deadline: ReadDeadline) -> None:
    if read_deadline.left() <= 0:
        raise httpx.ReadTimeout("timed out")


def shaped(response: httpx.Response, shaper: Shaper, read_deadline: ReadDeadline) -> httpx.Response:
    """Return the response with its body through a shaper; its encoding is undone."""
    stream = ShapedBody(response, shaper, read_deadline)
    return httpx.Response(
        response.status_code, headers=plain_headers(response), stream=stream, extensions=response.extensions
    )


def plain_headers(response: httpx.Response) -> list[tuple[str, str]]:
    """Return the headers of a response whose body has been decoded."""
    gone = {"content-encoding", "content-length", "transfer-encoding"}
    return [(name, value) for name, value in response.headers.multi_items() if name not in gone]


class PiecedBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that arrives in pieces; `advance` moves the clock before each."""

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


class Watch(Protocol):
    """Whoever listens to a body that passes."""

    def piece(self, piece: bytes) -> None:
        """A piece has arrived."""

    def closed(self, *, whole: bool) -> None:
        """The body is over; `whole` where it came to its end. Told once."""


class WatchedBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that passes unchanged, but for its encoding, and is listened to."""

    def __init__(self, response: httpx.Response, watch: Watch) -> None:
        self._response, self._watch = response, watch
        self._over = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces."""
        for piece in self._response.iter_bytes():
            self._watch.piece(piece)
            yield piece
        self._end(whole=True)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces."""
        async for piece in self._response.aiter_bytes():
            self._watch.piece(piece)
            yield piece
        self._end(whole=True)

    def close(self) -> None:
        """Close the response beneath."""
        self._response.close()
        self._end(whole=False)

    async def aclose(self) -> None:
        """Close the response beneath."""
        await self._response.aclose()
        self._end(whole=False)

    def _end(self, *, whole: bool) -> None:
        if not self._over:
            self._over = True
            self._watch.closed(whole=whole)
