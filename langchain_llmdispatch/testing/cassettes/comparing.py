"""Comparing: how a live response differs in form from the recorded one. Texts may differ, shapes must not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.testing.cassettes.payloads import Fields
from langchain_llmdispatch.testing.cassettes.recording import packed_body

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.testing.cassettes.file import Interaction, Tape
    from langchain_llmdispatch.testing.cassettes.scrubbing import Scrubber


class RecordingOutdatedError(AssertionError):
    """The server's response has another form than when the cassette was recorded."""


class Comparison:
    """Live responses beside the recorded ones.

    Args:
        tape: The recordings.
        scrubber: Removes secrets.

    Attributes:
        differences: What is missing from live responses, or of another kind in them.
        novelties: What live responses have besides.
    """

    def __init__(self, tape: Tape, scrubber: Scrubber) -> None:
        self._tape, self._scrubber = tape, scrubber
        self.differences: list[str] = []
        self.novelties: list[str] = []

    def add(self, interaction: Interaction, live: httpx.Response) -> None:
        """Compare a recording with a live response whose body has been read."""
        packed = packed_body(live.content, live.headers.get("content-type", ""), self._scrubber)
        headers = self._scrubber.response_headers(live.headers.multi_items())
        now = {"status": live.status_code, "headers": headers, **packed}
        number = self._tape.interactions.index(interaction) + 1
        self.differences += [f"#{number} {line}" for line in differences(interaction.response, now)]
        self.novelties += [f"#{number} {line}" for line in novelties(interaction.response, now)]

    def check(self, where: str) -> None:
        """Check that no live response has another form.

        Raises:
            RecordingOutdatedError: One has; `where` is named in the message.
        """
        if self.differences:
            lines = "\n".join(f"  {line}" for line in [*self.differences, *self.novelties])
            raise RecordingOutdatedError(
                f"{where} is out of date:\n{lines}\nRecord anew (--llmdispatch-record=rewrite)."
            )


def differences(recorded: Fields, live: Fields) -> list[str]:
    """Return what is missing or of another kind in a live response: status, type, fields of the body."""
    found = [
        f"{name}: recorded {before!r}, now {now!r}"
        for name, before, now in (
            ("status", recorded["status"], live["status"]),
            ("content type", _type(recorded), _type(live)),
        )
        if before != now
    ]
    if found:
        return found
    before, after = _shape(recorded), _shape(live)
    for path, kinds in sorted(before.items()):
        if path not in after:
            found.append(f"{path}: recorded {_words(kinds)}, now absent")
        elif not (kinds & after[path]) and "null" not in kinds | after[path]:
            found.append(f"{path}: recorded {_words(kinds)}, now {_words(after[path])}")
    return found


def novelties(recorded: Fields, live: Fields) -> list[str]:
    """Return the fields that only the live response has."""
    before, after = _shape(recorded), _shape(live)
    return [f"{path}: new, {_words(kinds)}" for path, kinds in sorted(after.items()) if path not in before]


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
