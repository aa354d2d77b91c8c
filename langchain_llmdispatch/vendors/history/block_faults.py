"""What is wrong with a content block that no vendor can take: a missing field, or one of another type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

from langchain_llmdispatch.vendors.history.media_types import MEDIA

_Kinds = tuple[type, ...]

MALFORMED = "malformed"
"""The type of the block that stands for one with a fault; its `fault` names block, field and fault."""
SOURCES = ("url", "base64", "file_id")

_TEXT: _Kinds = (str,)
_MAYBE_TEXT: _Kinds = (str, NoneType)
_MAYBE_OBJECT: _Kinds = (dict, NoneType)
_OF_ALL: Mapping[str, _Kinds] = {
    "id": _MAYBE_TEXT,
    "extras": _MAYBE_OBJECT,
    "mime_type": _MAYBE_TEXT,
    **dict.fromkeys(SOURCES, _MAYBE_TEXT),
}
_CALL: Mapping[str, _Kinds] = {"name": _TEXT}
_FIELDS: Mapping[str, Mapping[str, _Kinds]] = {
    "text": {"text": _TEXT},
    "text-plain": {"text": _TEXT},
    "reasoning": {"reasoning": _MAYBE_TEXT},
    "refusal": {"refusal": _MAYBE_TEXT},
    "tool_call": _CALL,
    "tool_call_chunk": _CALL,
    "invalid_tool_call": {"name": _MAYBE_TEXT},
    "server_tool_call": {"id": _TEXT, "name": _TEXT, "args": _MAYBE_OBJECT},
    "server_tool_result": {"tool_call_id": _TEXT},
    "non_standard": {"value": (dict,)},
}
_NEEDED: Mapping[str, Sequence[str]] = {
    "image_url": ("image_url.url",),
    "input_audio": ("input_audio.data",),
    "input_image": ("image_url", "file_id"),
    "input_file": ("file_url", "file_data", "file_id"),
    "input_text": ("text",),
    "document": ("source", "document"),
    "media": ("data", "file_uri"),
}
"""Fields of vendors' own input blocks of which one must be filled."""
_READ = frozenset({"image_url", "input_audio", "input_text"})
"""Those that are always read if they are whole, and then have a v1 form."""
_NAMES = {str: "text", dict: "an object", list: "a list", NoneType: "null", bytes: "bytes"}


def with_fault(block: Mapping[str, Any], place: int) -> dict[str, Any]:
    """Return a v1 block, or one of type `MALFORMED` in its place.

    Args:
        block: The block.
        place: Its place in the message's content.
    """
    fault = fault_of(block)
    if fault is None:
        return block if isinstance(block, dict) else dict(block)
    named = block["value"] if block.get("type") == "non_standard" and block.get("value") else block
    return {"type": MALFORMED, "fault": f"content block {place} ({_kind(named)}): {fault}"}


def fault_of(block: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a v1 block; None for nothing."""
    kind = block.get("type")
    if not isinstance(kind, str):
        return f"`type` must be text, not {_named(kind)}"
    for field, kinds in {**_OF_ALL, **_FIELDS.get(kind, {})}.items():
        value = block.get(field)
        if not isinstance(value, kinds):
            return f"`{field}` must be {_named(kinds[0]())}, not {_named(value)}"
    if kind in MEDIA and not any(block.get(field) for field in SOURCES):
        return f"it has none of {', '.join(SOURCES)}"
    if kind != "non_standard":
        return None
    inner = block["value"]
    if not isinstance(inner.get("type", ""), str):
        return f"`value.type` must be text, not {_named(inner['type'])}"
    if fields := _NEEDED.get(inner.get("type", "")):
        known = inner["type"] not in _READ and any(inner.get(field) for field in fields)
        return None if known else f"it has no {' or '.join(fields)} that can be read"
    return None if inner else "it is empty"


def _kind(block: Any) -> str:
    kind = block.get("type") if isinstance(block, Mapping) else None
    return kind if isinstance(kind, str) else "without a type"


def _named(value: Any) -> str:
    return _NAMES.get(type(value), type(value).__name__)
