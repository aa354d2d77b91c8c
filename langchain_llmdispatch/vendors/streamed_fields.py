"""Fields that come in pieces beside an answer's text, in a form that LangChain can add up.

When chunks are added, texts are joined and numbers added, the elements of lists with one `index` are melted
into one, and values of other types, or of two types, raise TypeError (`langchain_core.utils._merge`). So only
text that continues text is handed out as it comes. Everything else is held, and handed out once, at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


class StreamedFields:
    """The fields of one part of an answer: of a content block, or of a message beside its content.

    Args:
        begun: Fields that were handed out as they are. What cannot be added to one of them is left out.
        texts: The fields that come in pieces of text; None for each that holds text.
    """

    __slots__ = ("_begun", "_held", "_texts")

    def __init__(self, begun: Mapping[str, Any], texts: Collection[str] | None = None) -> None:
        self._begun = {name: value for name, value in begun.items() if value is not None}
        self._held: dict[str, Any] = {}
        self._texts = texts

    def add(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """Return the pieces of text among `fields`, and hold the others."""
        pieces = {}
        for name, value in fields.items():
            if isinstance(value, str) and self._continues(name):
                pieces[name] = self._begun[name] = value
            elif value is not None and name not in self._begun:
                self._held[name] = _joined(self._held.get(name), value)
        return pieces

    def rest(self) -> dict[str, Any]:
        """Return what is held, and hold it no longer."""
        held, self._held = self._held, {}
        self._begun |= held
        return held

    def _continues(self, name: str) -> bool:
        is_text = isinstance(self._begun.get(name, ""), str) and name not in self._held
        return is_text and (self._texts is None or name in self._texts)


def _joined(before: Any, value: Any) -> Any:
    """Return a held value with what comes of it later: the elements of lists, else the latest value."""
    if isinstance(before, list):
        return [*before, *(value if isinstance(value, list) else [value])]
    if isinstance(before, dict) and isinstance(value, dict):
        return {**before, **value}
    return value
