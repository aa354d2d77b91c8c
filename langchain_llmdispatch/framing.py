"""Decoders from bytes to frames: server-sent events and newline-delimited JSON.

Push decoders without I/O: `feed(bytes)` returns the frames completed so far, `close()` what the end of input
completes. They are independent of vendors. Input may be split anywhere, inside a UTF-8 character too, and no
byte is searched twice, however long a frame is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from langchain_llmdispatch.internal.json_format import dump_json, parse_json

__all__ = [
    "MAX_FRAME_BYTES",
    "FrameTooLongError",
    "LineDecoder",
    "NDJSONDecoder",
    "SSEDecoder",
    "SSEvent",
    "dump_json",
    "parse_json",
]

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""The default limit of a frame. Gemini's images of 4096 x 4096 pixels are events of 10 to 30 MB."""


class FrameTooLongError(ValueError):
    """A frame has more bytes than the decoder's limit."""


_BOM = b"\xef\xbb\xbf"


class SSEvent(NamedTuple):
    """One server-sent event: its type (empty if none was named) and its data."""

    event: str
    data: str


class _Lines:
    """Cuts bytes into lines, in one pass: a line that is not whole yet is kept and not searched again."""

    __slots__ = ("limit", "rest")

    def __init__(self, limit: int) -> None:
        self.limit, self.rest = limit, bytearray()

    def cut(self, data: bytes, kept: int = 0) -> list[bytes]:
        """Return the lines that `data` completes.

        Args:
            data: The next bytes.
            kept: The size of the lines before that belong to a frame which is not whole yet.

        Raises:
            FrameTooLongError: That frame is longer than the limit.
        """
        if kept + len(self.rest) > self.limit:
            raise FrameTooLongError(f"a frame is longer than {self.limit} bytes")
        lines = data.split(b"\n")
        last = lines.pop()
        if self.rest and lines:
            lines[0] = bytes(self.rest + lines[0])
            self.rest.clear()
        if last:
            self.rest += last
        return lines

    def close(self) -> bytes:
        """Return the last line, which has no end."""
        rest, self.rest = bytes(self.rest), bytearray()
        return rest


def _is_one_event(data: bytes) -> bool:
    """Return whether this is one line of data and a blank one: what most vendors write at once."""
    whole = data.startswith(b"data: ") and data.endswith(b"\n\n")
    return whole and data.find(b"\n") == len(data) - 2 and b"\r" not in data


class SSEDecoder:
    """Server-sent events by the WHATWG rules: any line ending, comments skipped, data lines joined.

    Args:
        limit: The most bytes that an event may have.

    Attributes:
        comments: Comment lines seen: keep-alives of the connection, no content.
    """

    __slots__ = ("_after_return", "_between", "_data", "_event", "_lines", "_start", "comments")

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._lines = _Lines(limit)
        self._data: bytes | bytearray | None = None
        self._event = ""
        # The first bytes, as long as they may be a byte order mark; None after that.
        self._start: bytes | None = b""
        self._after_return = False
        self._between = False  # whether nothing of an event has come yet
        self.comments = 0

    def feed(self, data: bytes) -> list[SSEvent]:
        """Return the events that `data` completes.

        Raises:
            FrameTooLongError: What was fed before began an event that is longer than the limit.
        """
        if self._between and _is_one_event(data):
            return [SSEvent("", data[6:-2].decode("utf-8", "replace"))]
        if self._start is not None:
            data = self._start + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._start = data
                return []
            self._start, data = None, data.removeprefix(_BOM)
        if self._after_return and data:
            # An LF here is the other half of the line's end.
            self._after_return, data = False, data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_return = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events = self._take(self._lines.cut(data, len(self._data or b"")))
        self._between = not (self._data is not None or self._event or self._lines.rest or self._after_return)
        return events

    def close(self) -> list[SSEvent]:
        """Return the event that the end of input completes, if any.

        The standard discards an event without its blank line; some vendors end without one. Whether the
        answer is complete is judged by their end marker, not by this line.
        """
        return self._take([(self._start or b"") + self._lines.close(), b""])

    def _take(self, lines: list[bytes]) -> list[SSEvent]:
        events = []
        for line in lines:
            if not line:
                if self._data is not None:
                    events.append(SSEvent(self._event, self._data.decode("utf-8", "replace")))
                    self._data = None
                self._event = ""
            elif self._data is None and line.startswith(b"data: "):  # by far the most frequent
                self._data = line[6:]
            elif line.startswith(b"data:"):
                self._add(line[6:] if line[5:6] == b" " else line[5:])
            else:
                self._field(line)
        return events

    def _add(self, line: bytes) -> None:
        if self._data is None:
            self._data = line
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += b"\n" + line

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if not name:
            self.comments += 1
        elif name == b"event":
            self._event = value.removeprefix(b" ").decode("utf-8", "replace")
        elif name == b"data":
            self._add(b"")


class LineDecoder:
    """Lines that end in a line feed, without it; blank ones are skipped.

    Args:
        limit: The most bytes that a line may have.
    """

    __slots__ = ("_lines",)

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._lines = _Lines(limit)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes.

        Raises:
            FrameTooLongError: What was fed before began a line that is longer than the limit.
        """
        return [line for line in self._lines.cut(data) if line.strip()]

    def close(self) -> list[bytes]:
        """Return the last, unterminated line, if there is one."""
        rest = self._lines.close().strip()
        return [rest] if rest else []


class NDJSONDecoder(LineDecoder):
    """Newline-delimited JSON: one value a line, blank lines skipped."""

    __slots__ = ()

    def feed(self, data: bytes) -> list[Any]:
        """Return the values that `data` completes.

        Raises:
            ValueError: A line is not JSON, or too long.
        """
        return [parse_json(line) for line in super().feed(data)]

    def close(self) -> list[Any]:
        """Return the value in the last, unterminated line, if it is whole.

        Raises:
            ValueError: The rest is not JSON, as after a cut.
        """
        return [parse_json(line) for line in super().close()]
