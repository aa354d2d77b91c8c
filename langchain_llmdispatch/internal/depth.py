"""How deep a value is nested, measured without recursion: input of any depth has a message, and no crash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_llmdispatch.internal.json_format import MAX_DEPTH

_SHOWN = 60  # characters of a place, before what is deeper in it is left out
_FAST = (str, int, float, bool, bytes, type(None))


def deep_place(value: Any, name: str) -> str | None:
    """Return where in `value` a part is nested deeper than JSON's `MAX_DEPTH`, or None.

    Args:
        value: Any value; what is neither a mapping nor a list has no parts.
        name: What it is: `tools[0]`.
    """
    level = {id(value): (name, value)}
    for _ in range(MAX_DEPTH + 1):
        # What stands in several places of a level counts once: a value may hold itself many times.
        level = {
            id(part): (where if len(where) > _SHOWN else f"{where}{step}", part)
            for where, outer in level.values()
            for step, part in _steps(outer)
            if not isinstance(part, _FAST)
        }
        if not level:
            return None
    return next(iter(level.values()))[0]


def _steps(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f".{name}", part) for name, part in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
