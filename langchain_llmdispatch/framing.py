"""JSON, and decoders from bytes to frames: server-sent events and newline-delimited JSON.

All JSON that goes to vendors or comes from them is written by `dump_json` and read by `parse_json`. orjson,
where it is installed, makes them faster and changes nothing: what it refuses or would alter (integers beyond
64 bits, halves of surrogate pairs, NaN, keys that are no strings) goes to Python's `json`.

The decoders are push decoders without I/O: `feed(bytes)` returns the frames completed so far, `close()` what
the end of input completes. They are independent of vendors. Input may be split anywhere, inside a UTF-8
character too, and no byte is searched twice, however long a frame is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from enum import Enum
from math import isfinite
from typing import Any, NamedTuple
from uuid import UUID

MAX_DEPTH = 200
"""How deep a JSON text may be nested. Stored messages end at 255: pydantic writes nothing deeper."""
MAX_FRAME_BYTES = 64 * 1024 * 1024
"""The default limit of a frame. Gemini's images of 4096 x 4096 pixels are events of 10 to 30 MB."""

# -- JSON ----------------------------------------------------------------------------------------------

# A text at a glance: digits become zeros, opening brackets ones, and all else blanks.
_GLANCE = bytes.maketrans(
    bytes(range(256)), bytes(48 if chr(n).isdecimal() else 49 if chr(n) in "[{" else 32 for n in range(256))
)
_LONG = b"0" * 19  # a number of so many digits may exceed 64 bits
_LEAVES = frozenset({str, int, bool, type(None)})


class UnwritableError(TypeError):
    """A part of a value has no JSON form. The message says where it is, and shows no text."""


def _refuse(_: Any) -> Any:
    raise TypeError


def _fast_codec() -> tuple[Callable[[Any], bytes], Callable[[Any], Any]]:
    """Return orjson's functions where it is installed (LangChain's tracing needs it), or two that refuse."""
    try:
        import orjson  # noqa: PLC0415 - optional
    except ImportError:  # pragma: no cover - depends on the installation
        return _refuse, _refuse
    options = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
    return lambda value: orjson.dumps(value, _plain, options), orjson.loads


def parse_json(data: bytes | bytearray | str) -> Any:
    r"""Return the value in a JSON text, read as Python's `json` reads it.

    Numbers may be of any size, and NaN or Infinity; strings may hold raw control characters. Bytes are UTF-8,
    -16 or -32, with or without a byte order mark; bytes that are no character become U+FFFD, and so does an
    escape such as `\ud83d` without its other half.

    Raises:
        ValueError: It is not JSON, nests deeper than `MAX_DEPTH`, or has an integer of thousands of digits.
    """
    glance = (data.encode(errors="replace") if isinstance(data, str) else data).translate(_GLANCE)
    if _LONG in glance:
        return _read(data)
    try:
        value = _fast_loads(data)
    except (TypeError, ValueError):
        return _read(data)
    return _shallow(value) if glance.count(b"1") > MAX_DEPTH else value


def _read(data: bytes | bytearray | str) -> Any:
    text = json_text(data)
    try:
        value = json.loads(text, strict=False)
        if "\\ud" in text or "\\uD" in text:
            written = json.dumps(value, ensure_ascii=False)
            mended = _paired(written)
            value = value if mended is written else json.loads(mended)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    return _shallow(value)


def _shallow(value: Any) -> Any:
    """Return a value that is not nested too deeply."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [part for outer in level for part in _parts(outer) if type(part) not in _LEAVES]
        if not level:
            return value
    raise ValueError("the JSON is nested too deeply")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def json_text(data: bytes | bytearray | str) -> str:
    """Return a JSON text that may be bytes, without a byte order mark; what is no character is U+FFFD."""
    if not isinstance(data, str):
        data = data.decode(json.detect_encoding(data), "replace")
    return _paired(data.removeprefix("\ufeff"))


def dump_json(value: Any, *, allow_nan: bool = True) -> bytes:
    """Return a value as compact JSON in UTF-8.

    Keys may be numbers, booleans and None, which become strings. Dates, times, UUIDs, enumerations and
    dataclasses are written as pydantic writes them, integers with all their digits, and half a surrogate pair
    as U+FFFD.

    Args:
        value: What is written.
        allow_nan: Whether NaN and the infinities are written, as `NaN` and `Infinity`: Python and JavaScript
            read them, but JSON does not have them.

    Raises:
        UnwritableError: A part has no JSON form.
    """
    try:
        written = _fast_dumps(value)
    except TypeError:
        return _write(value, allow_nan)
    # orjson writes null for NaN.
    return written if b"null" not in written or is_finite(value) else _write(value, allow_nan)


def _write(value: Any, allow_nan: bool) -> bytes:
    if (text := _written(value, allow_nan)) is not None:
        return _paired(text).encode()
    path = ""
    for _ in range(MAX_DEPTH):
        parts = ((name, part) for name, part in _named(value) if _written(part, allow_nan) is None)
        if (found := next(parts, None)) is None:
            raise UnwritableError(f"{path.removeprefix('.') or 'it'} {_fault(value)}")
        path, value = path + found[0], found[1]
    raise UnwritableError("it is nested too deeply, or inside itself")


def _written(value: Any, allow_nan: bool) -> str | None:
    try:
        return json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), default=_plain, allow_nan=allow_nan
        )
    except (TypeError, ValueError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    """Return the JSON form of a value that is no plain data.

    Raises:
        TypeError: It has none.
    """
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError


def _named(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f".{name}", part) for name, part in value.items())
    else:
        yield from ((f"[{index}]", part) for index, part in enumerate(_parts(value)))


def _fault(value: Any) -> str:
    """Return what keeps a value from being written, though its parts can be."""
    if isinstance(value, dict):
        return "has a key that is neither a string nor a number"
    if isinstance(value, float):
        return f"is {value}, which JSON does not have"
    if isinstance(value, int):
        return "is an integer of too many digits"
    return f"is of type {type(value).__name__}, which JSON does not have"


def is_finite(value: Any) -> bool:
    """Return whether no number in a JSON value is NaN or infinite."""
    cls = type(value)
    if cls is float:
        return isfinite(value)
    parts = value.values() if cls is dict else value if cls is list else _parts(value)
    return all(is_finite(part) for part in parts if type(part) not in _LEAVES)


def _paired(text: str) -> str:
    """Return `text`, the halves of surrogate pairs joined, or replaced where the other half is missing."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


_fast_dumps, _fast_loads = _fast_codec()


# -- frames --------------------------------------------------------------------------------------------


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
        *lines, last = data.split(b"\n")
        if not lines:
            self.rest += last
            return lines
        if self.rest:
            lines[0] = bytes(self.rest + lines[0])
        self.rest = bytearray(last)
        return lines

    def close(self) -> bytes:
        """Return the last line, which has no end."""
        rest, self.rest = bytes(self.rest), bytearray()
        return rest


class SSEDecoder:
    """Server-sent events by the WHATWG rules: any line ending, comments skipped, data lines joined.

    Args:
        limit: The most bytes that an event may have.

    Attributes:
        comments: Comment lines seen: keep-alives of the connection, no content.
    """

    __slots__ = ("_after_return", "_data", "_event", "_lines", "_start", "comments")

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._lines = _Lines(limit)
        self._data: bytes | bytearray | None = None
        self._event = b""
        # The first bytes, as long as they may be a byte order mark; None after that.
        self._start: bytes | None = b""
        self._after_return = False
        self.comments = 0

    def feed(self, data: bytes) -> list[SSEvent]:
        """Return the events that `data` completes.

        Raises:
            FrameTooLongError: What was fed before began an event that is longer than the limit.
        """
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
        return self._take(self._lines.cut(data, len(self._data or b"")))

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
                    events.append(self._flush(self._data))
                self._event = b""
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
            self._event = value.removeprefix(b" ")
        elif name == b"data":
            self._add(b"")

    def _flush(self, data: bytes | bytearray) -> SSEvent:
        self._data = None
        return SSEvent(self._event.decode("utf-8", "replace"), data.decode("utf-8", "replace"))


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
