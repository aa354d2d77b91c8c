"""Which recorded interaction a request matches: by method, vendor and canonical JSON; and how one differs."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from langchain_llmdispatch.testing.cassettes.file import Interaction

# Fields whose values are drawn at random: what counts is which of them are the same.
_IDS = frozenset(["id", "tool_call_id", "tool_use_id", "call_id", "item_id", "toolUseId"])
# Objects that are content: a field called `id` in a tool's arguments means something.
_CONTENT = frozenset(["input", "args", "arguments", "parameters", "properties", "input_schema"])
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class ScrubbedRequest:
    """A request without secrets, as it is compared with recorded ones and kept.

    Attributes:
        vendor: The vendor's name, or the host.
        method: The HTTP method.
        url: The scrubbed URL.
        path: The path, without the part that belongs to the address of the deployment.
        body: The body's JSON value or text; None if empty.
        headers: The headers that are kept.
    """

    vendor: str
    method: str
    url: str
    path: str
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return what a file holds of it."""
        body = {} if self.body is None else {"body": self.body}
        return {"method": self.method, "url": self.url, "headers": dict(self.headers), **body}


class Matcher:
    """Compares requests.

    Args:
        ignore: Paths in JSON bodies that do not count: `metadata.user_id`, `messages.*.name`, `**.timestamp`;
            also `url.query.NAME` for parameters of the query.
    """

    def __init__(self, ignore: Iterable[str] = ()) -> None:
        paths = [path.removeprefix("$.") for path in ignore]
        self._query = {p.removeprefix("url.query.") for p in paths if p.startswith("url.query.")}
        self._ignore = [path.split(".") for path in paths if not path.startswith("url.query.")]

    def canonical(self, body: Any) -> Any:
        """Return a body's JSON value without what does not count, random ids numbered."""
        value = body
        for path in self._ignore:
            value = _without(value, path)
        return _numbered(value, {})

    def key(self, body: Any) -> str:
        """Return the canonical value as text; equal bodies have equal keys."""
        return json.dumps(self.canonical(body), sort_keys=True, ensure_ascii=False)

    def fits(self, request: ScrubbedRequest, recorded: Interaction) -> bool:
        """Return whether method, vendor and address are the same; the body is compared by `key`."""
        if request.method != recorded.request["method"]:
            return False
        ours, theirs = urlsplit(request.url), urlsplit(recorded.request["url"])
        if self._parameters(ours.query) != self._parameters(theirs.query):
            return False
        if request.vendor == recorded.vendor:
            return str(theirs.path).endswith(request.path)
        same_host = recorded.vendor == theirs.hostname == ours.hostname
        return same_host and bool(theirs.path == ours.path)

    def _parameters(self, query: str) -> list[str]:
        return sorted(part for part in query.split("&") if part.partition("=")[0] not in self._query)

    def difference(self, request: ScrubbedRequest, recorded: Interaction) -> str:
        """Return how a request differs from a recorded one, line by line."""
        before, now = recorded.request, request.to_dict()
        lines = list(
            difflib.unified_diff(
                [_title(recorded.vendor, before), *self._lines(before.get("body"))],
                [_title(request.vendor, now), *self._lines(now.get("body"))],
                "recorded",
                "now",
                lineterm="",
                n=1,
            )
        )
        more = [f"... and {len(lines) - _SHOWN} lines more"] if len(lines) > _SHOWN else []
        return "\n".join([*lines[:_SHOWN], *more])

    def likeness(self, request: ScrubbedRequest, recorded: Interaction) -> float:
        """Return how alike two requests are; more is more."""
        same = float(request.vendor == recorded.vendor) + float(request.method == recorded.request["method"])
        now, before = self.key(request.body)[:20_000], self.key(recorded.request.get("body"))[:20_000]
        return same + difflib.SequenceMatcher(None, now, before, autojunk=True).quick_ratio()

    def _lines(self, body: Any) -> list[str]:
        if isinstance(body, str):
            return body.splitlines()
        return json.dumps(self.canonical(body), indent=1, sort_keys=True, ensure_ascii=False).splitlines()


def _title(vendor: str, request: Mapping[str, Any]) -> str:
    return f"{request['method']} {re.sub(r'^https?://', '', request['url'])} ({vendor})"


def _without(value: Any, path: list[str]) -> Any:
    """Return a JSON value without what a path leads to."""
    head, rest = path[0], path[1:]
    if head == "**":
        inner = _without(value, rest)
        if isinstance(inner, dict):
            return {name: _without(item, path) for name, item in inner.items()}
        return [_without(item, path) for item in inner] if isinstance(inner, list) else inner
    if isinstance(value, list):
        return [
            (_without(item, rest) if rest else None) if head in {"*", str(number)} else item
            for number, item in enumerate(value)
        ]
    if isinstance(value, dict):
        out = {}
        for name, item in value.items():
            if head not in {"*", name}:
                out[name] = item
            elif rest:
                out[name] = _without(item, rest)
        return out
    return value


def _numbered(value: Any, seen: dict[str, str]) -> Any:
    """Return a JSON value with ids numbered in the order in which they appear."""
    if isinstance(value, list):
        return [_numbered(item, seen) for item in value]
    if isinstance(value, dict):
        return {name: _field(name, item, seen) for name, item in value.items()}
    return value


def _field(name: str, value: Any, seen: dict[str, str]) -> Any:
    if name in _IDS and isinstance(value, str):
        return seen.setdefault(value, f"id-{len(seen) + 1}")
    return value if name in _CONTENT and isinstance(value, dict) else _numbered(value, seen)
