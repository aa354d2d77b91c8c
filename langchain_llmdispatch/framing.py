"""JSON, and decoders from bytes to frames: server-sent events and newline-delimited JSON.

Push decoders without I/O: `feed(bytes)` returns the frames completed so far, `close()` what the end of input
completes. They are independent of vendors. Input may be split anywhere, inside a UTF-8 character too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

_BOM = b"\xef\xbb\xbf"


def _json_codec() -> tuple[Callable[[Any], bytes], Callable[[bytes | str], Any]]:
    """Return orjson's functions where it is installed (LangChain's tracing needs it), else slower ones."""
    try:
        import orjson  # noqa: PLC0415 - optional
    except ImportError:  # pragma: no cover - depends on the installation
        return lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), json.loads
    return orjson.dumps, orjson.loads


dump_json, parse_json = _json_codec()
"""Return a value as compact JSON (TypeError if part of it has no JSON form); return the value in a JSON text
(ValueError if it is not JSON)."""


class SSEvent(NamedTuple):
    """One server-sent event: its type (empty if none was named) and its data."""

    event: str
    data: str


class SSEDecoder:
    """Server-sent events by the WHATWG rules: any line ending, comments skipped, data lines joined.

    Attributes:
        comments: Comment lines seen: keep-alives of the connection, no content.
    """

    __slots__ = ("_buffer", "_data", "_event", "_started", "comments")

    def __init__(self) -> None:
        self._buffer = b""
        self._data: list[bytes] = []
        self._event = b""
        self._started = False
        self.comments = 0

    def feed(self, data: bytes) -> list[SSEvent]:
        """Return the events that `data` completes."""
        buffer = self._buffer + data if self._buffer else data
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            buffer = buffer.removeprefix(_BOM)
            self._started = True
        if b"\r" in buffer:
            # A CR at the very end may be half of a CRLF: keep it for the next piece.
            held = b"\r" if buffer.endswith(b"\r") else b""
            body = buffer[: len(buffer) - len(held)]
            buffer = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
        *lines, self._buffer = buffer.split(b"\n")
        return self._take(lines)

    def close(self) -> list[SSEvent]:
        """Return the event that the end of input completes, if any.

        The standard discards an event without its blank line; some vendors end without one. Whether the
        answer is complete is judged by their end marker, not by this line.
        """
        rest, self._buffer = self._buffer.removesuffix(b"\r"), b""
        return self._take([rest, b""])

    def _take(self, lines: list[bytes]) -> list[SSEvent]:
        events = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(self._flush())
                self._event = b""
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            else:
                self._field(line)
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if not name:
            self.comments += 1
        elif name == b"event":
            self._event = value.removeprefix(b" ")
        elif name == b"data":
            self._data.append(b"")

    def _flush(self) -> SSEvent:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data = []
        return SSEvent(self._event.decode("utf-8", "replace"), data.decode("utf-8", "replace"))


class LineDecoder:
    """Lines that end in a line feed, without it; blank ones are skipped."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes."""
        *lines, self._buffer = (self._buffer + data if self._buffer else data).split(b"\n")
        return [line for line in lines if line.strip()]

    def close(self) -> list[bytes]:
        """Return the last, unterminated line, if there is one."""
        rest, self._buffer = self._buffer.strip(), b""
        return [rest] if rest else []


class NDJSONDecoder:
    """Newline-delimited JSON: one value a line, blank lines skipped."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = LineDecoder()

    def feed(self, data: bytes) -> list[Any]:
        """Return the values that `data` completes.

        Raises:
            ValueError: A line is not JSON.
        """
        return [parse_json(line) for line in self._lines.feed(data)]

    def close(self) -> list[Any]:
        """Return the value in the last, unterminated line, if it is whole.

        Raises:
            ValueError: The rest is not JSON, as after a cut.
        """
        return [parse_json(line) for line in self._lines.close()]
