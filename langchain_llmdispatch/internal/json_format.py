"""JSON, read and written without loss, and as fast as the installation allows.

All JSON that goes to vendors or comes from them is written by `dump_json` and read by `parse_json`. orjson,
where it is installed, makes them faster and changes nothing: what it refuses or would alter (integers beyond
64 bits, halves of surrogate pairs, NaN, keys that are no strings) goes to Python's `json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

MAX_DEPTH = 200
"""How deep a JSON text may be nested. Stored messages end at 255: pydantic writes nothing deeper."""

# A text at a glance: digits become zeros, opening brackets ones, and all else blanks.
_GLANCE = bytes.maketrans(
    bytes(range(256)), bytes(48 if chr(n).isdecimal() else 49 if chr(n) in "[{" else 32 for n in range(256))
)
_LONG = b"0" * 19  # a number of so many digits may exceed 64 bits
_TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"
_EXACT = frozenset({str, int, bool, type(None)})
_LEAVES = _EXACT | {float}


class UnwritableError(TypeError):
    """A part of a value has no JSON form. The message names the place, and shows no text."""


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
    if _LONG not in glance:
        try:
            value = _fast_loads(data)
        except (TypeError, ValueError):
            pass
        else:
            may_be_deep = len(glance) > 2 * MAX_DEPTH and glance.count(b"1") > MAX_DEPTH
            return _shallow(value) if may_be_deep else value
    return _read(data)


def _read(data: bytes | bytearray | str) -> Any:
    text = json_text(data)
    try:
        value = json.loads(text, strict=False)
        if "\\ud" in text or "\\uD" in text:
            written = json.dumps(value, ensure_ascii=False)
            mended = _paired(written)
            value = value if mended is written else json.loads(mended)
    except RecursionError:
        fault = _TOO_DEEP
    except ValueError as error:
        fault = str(error)
    else:
        return _shallow(value)
    raise ValueError(fault)  # not the error of `json`, which holds the text


def _shallow(value: Any) -> Any:
    """Return a value that is not nested too deeply."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [part for outer in level for part in _parts(outer) if type(part) not in _LEAVES]
        if not level:
            return value
    raise ValueError(_TOO_DEEP)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def json_text(data: bytes | bytearray | str) -> str:
    """Return a JSON text that may be bytes, without their byte order mark; what is no character is U+FFFD."""
    return _paired(data if isinstance(data, str) else data.decode(json.detect_encoding(data), "replace"))


def part_of(value: Any, name: str) -> Mapping[str, Any]:
    """Return an object within a JSON object; empty if there is none under this name."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def dump_json(value: Any, *, allow_nan: bool = True, path: str = "", finite: str = "") -> bytes:
    """Return a value as compact JSON in UTF-8.

    Keys may be numbers, booleans and None, which become strings. Dates, times, UUIDs, enumerations and
    dataclasses are written as pydantic writes them, integers with all their digits, and half a surrogate pair
    as U+FFFD.

    Args:
        value: What is written.
        allow_nan: Whether NaN and the infinities are written, as `NaN` and `Infinity`: Python and JavaScript
            read them, but JSON does not have them.
        path: What the value is, for the message of the error.
        finite: The key of a part that is known to hold neither NaN nor infinities, and may be long.

    Raises:
        UnwritableError: A part has no JSON form.
    """
    try:
        written = _fast_dumps(value)
    except TypeError:
        pass
    else:
        # orjson writes null for NaN.
        if b"null" not in written or is_finite({**value, finite: None} if finite else value):
            return written
    return _write(value, allow_nan, path)


def _write(value: Any, allow_nan: bool, path: str) -> bytes:
    if (text := _written(value, allow_nan)) is not None:
        return _paired(text).encode()
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
    if isinstance(value, float):
        return isfinite(value)
    cls = type(value)
    parts = value.values() if cls is dict else value if cls is list else _parts(value)
    return all(is_finite(part) for part in parts if type(part) not in _EXACT)


def _paired(text: str) -> str:
    """Return `text`, the halves of surrogate pairs joined, or replaced where the other half is missing."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


_fast_dumps, _fast_loads = _fast_codec()
