"""The kinds of faults: what each does to a request, or to the body of its response."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.testing.body_streams import END_MARKER, Action, BodyEnd, Delay, EventSplitter
from langchain_llmdispatch.testing.faults.vendor_errors import error_body

_PAYLOAD = re.compile(rb"(?m)^data: ?(.*)$")
FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The response is an error; the request is not sent.

    Attributes:
        status: The HTTP status.
        headers: Headers of the response.
        code: The vendor's error code.
        message: The error's text.
        body: The whole body, JSON or text, instead of the vendor's own form.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    message: str | None = None
    body: Any = None

    def response(self, vendor: str) -> httpx.Response:
        """Return the response as the vendor would write it."""
        body = (
            self.body if self.body is not None else error_body(vendor, self.status, self.code, self.message)
        )
        if isinstance(body, str):
            content, kind = body.encode(), "text/plain"
        else:
            content, kind = dump_json(body), "application/json"
        return httpx.Response(
            self.status, headers={"content-type": kind, **self.headers}, stream=httpx.ByteStream(content)
        )


@dataclass(frozen=True, slots=True)
class Breakage:
    """The connection fails before any response.

    Attributes:
        error: httpx's error class.
        text: Its message.
        waits: Whether the read deadline passes first.
    """

    error: type[httpx.HTTPError]
    text: str
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Damage:
    """The response's head or body does not arrive as it was sent.

    Attributes:
        body_filter: Makes the filter for a body of a content type; None replaces head and body as below.
        content_type: The content type that the head names instead.
        body: What is sent instead of the body; None keeps it.
    """

    body_filter: Callable[[str], EventFilter] | None = None
    content_type: str | None = None
    body: str | None = None


class EventFilter:
    """Acts after a number of events; a plain body counts as one event, cut in its middle.

    Args:
        content_type: The body's content type.
        after_events: How many events pass unchanged.
    """

    def __init__(self, content_type: str, after_events: int) -> None:
        self._splitter = EventSplitter(content_type)
        self._left = after_events
        self._done = False

    def feed(self, piece: bytes) -> Iterator[Action]:
        """Return what replaces a piece."""
        for event in self._splitter.feed(piece):
            yield from self._pass(event)

    def close(self) -> Iterator[Action]:
        """Return what follows the last piece."""
        for event in self._splitter.close():
            yield from self._pass(event)
        if not self._done:
            yield from self.late()

    def _pass(self, event: bytes) -> Iterable[Action]:
        if self._done:
            return [event]
        if self._left > 0 and self._splitter.streams:
            self._left -= 1
            return [event]
        self._done = True
        return self.act(event, plain=not self._splitter.streams)

    def act(self, event: bytes, *, plain: bool) -> Iterable[Action]:
        """Return what replaces the event at the fault's place.

        Args:
            event: The event, whole.
            plain: Whether it is a whole body that is not a stream.
        """
        raise NotImplementedError

    def late(self) -> Iterable[Action]:
        """Return what follows the last event if the fault's place never came."""
        return []


class Cut(EventFilter):
    """The connection closes in the middle of the body, or (`clean`) the body just ends there."""

    def __init__(
        self, content_type: str, after_events: int, *, clean: bool = False, reset: bool = False
    ) -> None:
        super().__init__(content_type, after_events)
        self._clean, self._reset = clean, reset

    def act(self, event: bytes, *, plain: bool) -> Iterable[Action]:
        """Break off; half of a plain body has passed."""
        return [*([event[: len(event) // 2]] if plain else []), *self.late()]

    def late(self) -> Iterable[Action]:
        """Break off."""
        if self._clean:
            return [BodyEnd()]
        if self._reset:
            return [httpx.ReadError("[Errno 104] Connection reset by peer")]
        text = "peer closed connection without sending complete message body (incomplete chunked read)"
        return [httpx.RemoteProtocolError(text)]


class Stall(EventFilter):
    """Silence in the middle of the body, until the read deadline."""

    def act(self, event: bytes, *, plain: bool) -> Iterable[Action]:
        """Fall silent; half of a plain body has passed."""
        return [*([event[: len(event) // 2]] if plain else []), Delay(FOREVER)]

    def late(self) -> Iterable[Action]:
        """Fall silent instead of ending."""
        return [Delay(FOREVER)]


class Pause(EventFilter):
    """A pause before an event."""

    def __init__(self, content_type: str, after_events: int, *, seconds: float) -> None:
        super().__init__(content_type, after_events)
        self._seconds = seconds

    def act(self, event: bytes, *, plain: bool) -> Iterable[Action]:
        """Wait, then go on."""
        return [Delay(self._seconds), event]


class Malformed(EventFilter):
    """One event of broken JSON; a plain body ends within its JSON."""

    def act(self, event: bytes, *, plain: bool) -> Iterable[Action]:
        """Cut the event's JSON in half."""
        if plain:
            return [event[: len(event) // 2], BodyEnd()]
        payload = _PAYLOAD.search(event)
        if payload is None:  # NDJSON: a line
            return [event[: len(event.rstrip()) // 2] + b"\n"]
        start, end = payload.span(1)
        return [event[: start + (end - start) // 2] + event[end:]]


class Repeat(EventFilter):
    """One event arrives twice."""

    def act(self, event: bytes, *, plain: bool) -> Iterable[Action]:
        """Send it again; a plain body is sent once."""
        return [event] if plain else [event, event]


class Endless(EventFilter):
    """The stream ends properly, but without finish reason and end marker."""

    def _pass(self, event: bytes) -> Iterable[Action]:
        if self._done or not self._splitter.streams:
            return [] if self._done else [event]
        self._done = END_MARKER.search(event) is not None
        return [] if self._done else [event]
