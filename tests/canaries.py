"""Canaries: secrets that are looked for everywhere, in every spelling."""

from __future__ import annotations

import base64
import json
import pickle
import traceback
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from langchain_llmdispatch.errors import DispatchError


def spellings(canary: str) -> set[str]:
    """Return a canary as base64, URLs, JSON and Python spell it."""
    data = canary.encode()
    shifted = [base64.b64encode(bytes(shift) + data)[4:-4].decode() for shift in range(3)]
    safe = [base64.urlsafe_b64encode(bytes(shift) + data)[4:-4].decode() for shift in range(3)]
    escaped = "".join(f"\\u{ord(char):04x}" for char in canary)
    as_json = json.dumps(canary)[1:-1]
    return {
        *(canary, repr(canary)[1:-1], quote(canary, safe=""), quote_plus(canary), quote(canary)),
        *(as_json, as_json.replace("/", "\\/"), escaped, repr(escaped)[1:-1], data.hex()),
        *(quote(canary, safe="").lower(), data.decode("latin-1")),
        *shifted,
        *safe,
    }


def found(canaries: Iterable[str], shown: Iterable[tuple[str, str]]) -> list[str]:
    """Return where canaries are, as `place: canary as spelt: the text around it`."""
    needles = [(canary, spelt) for canary in canaries for spelt in spellings(canary)]
    out = []
    for place, text in shown:
        for canary, spelt in needles:
            if spelt in text:
                at = text.index(spelt)
                out.append(f"{place}: {canary} as {spelt}: ...{text[max(0, at - 120) : at + 80]}")
    return out


def shown_by(*errors: BaseException) -> Iterator[tuple[str, str]]:
    """Yield everything that exceptions and those behind them show: texts, attributes, frames, pickles."""
    waiting: list[Any] = [*errors]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        name = type(each).__name__
        yield f"{name} str", str(each)
        yield f"{name} repr", repr(each)
        yield f"{name} args", repr(each.args)
        yield f"{name} attributes", repr({**getattr(each, "__dict__", {}), "doc": getattr(each, "doc", "")})
        yield from _frames(name, each)
        if isinstance(each, DispatchError):
            yield f"{name} pickle", pickle.dumps(each).decode("latin-1")
        inner = (*getattr(each, "errors", ()), *getattr(each, "exceptions", ()))
        waiting += [each.__cause__, each.__context__, *inner]


def _frames(name: str, error: BaseException) -> Iterator[tuple[str, str]]:
    yield f"{name} alone", "".join(traceback.format_exception_only(error))
    passed = traceback.walk_tb(error.__traceback__)
    for frame in traceback.StackSummary.extract(passed, capture_locals=True, lookup_lines=False):
        if "/tests/" not in frame.filename:
            yield f"{name} in {frame.filename}:{frame.lineno} {frame.name}", repr(frame.locals)
