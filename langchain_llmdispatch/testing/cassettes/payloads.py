"""Bodies in readable form: JSON as structure, SSE and NDJSON as events; anything else as text.

`pack` returns the fields that a cassette holds, `unpack` the bytes again. Packing tries the few ways in which
servers write JSON and SSE and keeps which one it was, so that nearly every body comes back byte for byte; the
others come back with the same events and the same values. What cannot come back so stays text.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from langchain_llmdispatch.framing import SSEDecoder

Fields: TypeAlias = dict[str, Any]

# How JSON is written, by name; the first one is the default and is not named in a file.
_STYLES: dict[str, dict[str, Any]] = {
    "compact": {"separators": (",", ":"), "ensure_ascii": False},
    "spaced": {"separators": (", ", ": "), "ensure_ascii": False},
    "compact-ascii": {"separators": (",", ":")},
    "ascii": {"separators": (", ", ": ")},
    "indented": {"indent": 2, "ensure_ascii": False},
}
_FEW = 3
_SSE_TYPE, _NDJSON_TYPES = "text/event-stream", ("application/x-ndjson", "application/stream+json")


def loads(text: str) -> Any:
    """Return the JSON value in `text`.

    Raises:
        ValueError: It is not JSON, or an object names a field twice.
    """
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object names a field twice")
    return value


def dumps(value: Any, style: str = "compact") -> str:
    """Return JSON, written in a style."""
    return json.dumps(value, **_STYLES[style])


def pack(body: bytes, content_type: str, tidy: Callable[[Any], Any] = lambda value: value) -> Fields:
    """Return the fields that stand for a body.

    Args:
        body: The body, decoded.
        content_type: Its type.
        tidy: What is done to each JSON value on the way.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
    kind = content_type.partition(";")[0].strip().casefold()
    if not text:
        return {}
    if kind == _SSE_TYPE:
        return _pack_events(text, tidy) or {"text": text}
    if kind in _NDJSON_TYPES:
        return _pack_lines(text, tidy) or {"text": text}
    return _pack_json(text, tidy) or {"text": text}


def unpack(fields: Mapping[str, Any]) -> tuple[bytes, list[int]]:
    """Return the body that fields stand for, and where each of its events ends."""
    style, each = fields.get("json", "compact"), fields.get("each") or {}
    after = [fields["after"].encode()] if "after" in fields else []
    if "events" in fields:
        events = [_with(event, each) for event in fields["events"]]
        return _sum([*(_event(event, style, fields.get("sse", "")) for event in events), *after])
    if "lines" in fields:
        lines = [{**each, **line} if isinstance(line, dict) else line for line in fields["lines"]]
        return _sum([*((dumps(line, style) + "\n").encode() for line in lines), *after])
    if "body" in fields:
        body = (dumps(fields["body"], style) + fields.get("after", "")).encode()
    elif "base64" in fields:
        body = base64.b64decode(fields["base64"])
    else:
        body = str(fields.get("text", "")).encode()
    return body, [len(body)]


def _sum(parts: Iterable[bytes]) -> tuple[bytes, list[int]]:
    body, ends = b"", []
    for part in parts:
        body += part
        ends.append(len(body))
    return body, ends


def _pack_json(text: str, tidy: Callable[[Any], Any]) -> Fields | None:
    core = text.rstrip()
    value = _value(core)
    if value is _NONE:
        return None
    style = _style([(core, value)])
    fields: Fields = {"body": tidy(value)}
    if style != "compact":
        fields["json"] = style
    if core != text:
        fields["after"] = text[len(core) :]
    return fields


def _pack_lines(text: str, tidy: Callable[[Any], Any]) -> Fields | None:
    lines = [line for line in text.split("\n") if line.strip()]
    after = lines.pop() if lines and not text.endswith("\n") and _value(lines[-1]) is _NONE else ""
    values = [_value(line) for line in lines]
    if not lines or any(value is _NONE for value in values):
        return None
    style = _style(list(zip(lines, values, strict=True)))
    tidied = [tidy(value) for value in values]
    fields: Fields = {"json": style} if style != "compact" else {}
    if each := _common(tidied):
        fields["each"] = each
        tidied = [_rest(value, each) for value in tidied]
    return {**fields, "lines": tidied, **({"after": after} if after else {})}


def _pack_events(text: str, tidy: Callable[[Any], Any]) -> Fields | None:
    newline = "\r\n" if "\r\n" in text else "\n"
    blocks = text.split(newline * 2)
    tail = blocks.pop()  # not empty where the stream ends within an event
    events = [_fields_of(block.split(newline)) for block in blocks if block]
    if not events or any(event is None for event in events):
        return None
    data = [(e["data"], v) for e in events if e and "data" in e and (v := _value(e["data"])) is not _NONE]
    style = _style(data)
    packed: Fields = {}
    after = {"after": tail} if tail.strip() else {}
    tight = any(line.startswith("data:") and line[5:6] != " " for line in text.splitlines())
    how = ("crlf " if newline == "\r\n" else "") + ("tight" if tight else "")
    if how.strip():
        packed["sse"] = how.strip()
    if style != "compact":
        packed["json"] = style
    plain = [_structured(event, tidy=lambda v: v) for event in events if event]
    if not _same(unpack({**packed, "events": plain, **after})[0], text):
        return None
    tidied = [_structured(event, tidy=tidy) for event in events if event]
    if each := _common([event["data"] for event in tidied if isinstance(event.get("data"), dict)]):
        packed["each"] = each
        tidied = [{**e, "data": _rest(e["data"], each)} if "data" in e else e for e in tidied]
    return {**packed, "events": tidied, **after}


def _common(values: list[Any]) -> Fields:
    """Return the fields that all objects begin with: written once, they make a stream's file small."""
    if len(values) < _FEW or not all(isinstance(value, dict) for value in values):
        return {}
    each: Fields = {}
    for number, (name, item) in enumerate(values[0].items()):
        places = [list(value.items())[number : number + 1] for value in values]
        if any(place != [(name, item)] for place in places):
            break
        each[name] = item
    return each


def _rest(value: Any, each: Fields) -> Any:
    return {n: item for n, item in value.items() if n not in each} if isinstance(value, dict) else value


def _with(event: Mapping[str, Any], each: Fields) -> Mapping[str, Any]:
    data = event.get("data")
    return {**event, "data": {**each, **data}} if isinstance(data, dict) else event


def _fields_of(lines: list[str]) -> dict[str, str] | None:
    """Return an event's lines by name; None where they cannot stand in a mapping."""
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name or "comment"
        if name in fields or name not in {"comment", "event", "data", "id", "retry"} or not colon:
            return None
        fields[name] = value.removeprefix(" ")
    return fields


def _structured(event: dict[str, str], tidy: Callable[[Any], Any]) -> Fields:
    value = _value(event["data"]) if "data" in event else _NONE
    # A bare string or number would be taken for text when it is read back.
    return {**event, "data": tidy(value)} if isinstance(value, (dict, list)) else dict(event)


def _event(event: Mapping[str, Any], style: str, how: str) -> bytes:
    newline = "\r\n" if "crlf" in how else "\n"
    space = "" if "tight" in how else " "
    lines = []
    for name, value in event.items():
        text = dumps(value, style) if isinstance(value, (dict, list)) else str(value)
        lines.append(f"{'' if name == 'comment' else name}:{space}{text}")
    return (newline.join(lines) + newline * 2).encode()


def _same(body: bytes, text: str) -> bool:
    return body == text.encode() or _meaning(body) == _meaning(text.encode())


def _meaning(body: bytes) -> tuple[list[tuple[str, Any]], int]:
    decoder = SSEDecoder()
    events = [*decoder.feed(body), *decoder.close()]
    values = [(e.event, e.data if (v := _value(e.data)) is _NONE else v) for e in events]
    return values, decoder.comments


_NONE = object()


def _value(text: str) -> Any:
    """Return the JSON value in `text`, or `_NONE`."""
    try:
        value = loads(text)
        dumps(value).encode()  # half a surrogate pair has no bytes
    except (ValueError, RecursionError):
        return _NONE
    return value


def _style(samples: list[tuple[str, Any]]) -> str:
    """Return the style in which all samples were written, or the default if there is none."""
    for style in _STYLES:
        if all(dumps(value, style) == text for text, value in samples):
            return style
    return "compact"
