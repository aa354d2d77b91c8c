"""Verifying: how a live answer differs in form from the recorded one. Words may differ, shapes may not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_llmdispatch.testing.cassettes.payloads import Fields


class RecordingOutdatedError(AssertionError):
    """The server answers in another form than it did when the cassette was recorded."""


def differences(recorded: Fields, live: Fields) -> list[str]:
    """Return what is missing or of another kind in a live response: status, type, fields of the body."""
    found = [
        f"{name}: recorded {was!r}, now {now!r}"
        for name, was, now in (
            ("status", recorded["status"], live["status"]),
            ("content type", _type(recorded), _type(live)),
        )
        if was != now
    ]
    if found:
        return found
    was, now = _shape(recorded), _shape(live)
    for path, kinds in sorted(was.items()):
        if path not in now:
            found.append(f"{path}: recorded {_words(kinds)}, now absent")
        elif not (kinds & now[path]) and "null" not in kinds | now[path]:
            found.append(f"{path}: recorded {_words(kinds)}, now {_words(now[path])}")
    return found


def novelties(recorded: Fields, live: Fields) -> list[str]:
    """Return the fields that only the live response has."""
    was, now = _shape(recorded), _shape(live)
    return [f"{path}: new, {_words(kinds)}" for path, kinds in sorted(now.items()) if path not in was]


def _type(response: Fields) -> str:
    return str(response["headers"].get("content-type", "")).partition(";")[0]


def _shape(response: Fields) -> dict[str, set[str]]:
    shape: dict[str, set[str]] = {}
    for name in ("body", "each", "events", "lines"):
        if name in response:
            _collect(response[name], name, shape)
    return shape


def _collect(value: Any, path: str, shape: dict[str, set[str]]) -> None:
    shape.setdefault(path, set()).add(_kind(value))
    if isinstance(value, Mapping):
        for name, item in value.items():
            _collect(item, f"{path}.{name}", shape)
    elif isinstance(value, list):
        for item in value:
            kind = item.get("type") if isinstance(item, Mapping) else None
            _collect(item, f"{path}[]<{kind}>" if isinstance(kind, str) else f"{path}[]", shape)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    kinds = ((str, "text"), ((int, float), "number"), (list, "list"))
    return next((word for classes, word in kinds if isinstance(value, classes)), "object")


def _words(kinds: set[str]) -> str:
    return " or ".join(sorted(kinds))
