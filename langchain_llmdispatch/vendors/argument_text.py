"""The arguments of one tool call as their text arrives, without what servers put before and behind them.

Some servers send an empty object first and the arguments then, or the whole arguments at a call's start and
again in pieces. One object is the call's; text is handed out once, and each piece is read once.
"""

from __future__ import annotations

import re
from typing import Any

from langchain_llmdispatch.vendors.answer import arguments

_MARKS = re.compile(r'["{}\[\]]|\\.?', re.DOTALL)
# No arguments, or the beginning of that: such text is held back, since others may follow it.
_NONE = re.compile(r"\s*(?:n|nu|nul|null|\{\s*\}?)?\s*")
_EMPTY = re.compile(r"\s*\{\s*\}")
_LONGEST_HELD = 100


class ArgumentText:
    """The text of one call's arguments.

    Args:
        text: What has come already.

    Attributes:
        repeats: Whether the same object may come once more; else whatever comes after one is another call's.
        whole: Whether an object, be it empty, is closed, and nothing has come since.
    """

    __slots__ = ("_again", "_depth", "_escaped", "_held", "_object", "_pieces", "_quoted", "repeats", "whole")

    def __init__(self, text: str = "") -> None:
        self._pieces: list[str] = []  # of the object that is open
        self._object: str | None = None  # the first one that is not empty
        self._again = True  # whether what came after it was the same, or empty
        self._held: str | None = ""  # what may mean no arguments; None once text was handed out
        self._depth = 0
        self._quoted = self._escaped = self.whole = False
        self.repeats = True
        self.add(text)

    def add(self, text: str) -> str:
        """Return what can be handed out now, of `text` and of what was held back."""
        out = ""
        if self._held and self._held.strip() == "null" and text.lstrip().startswith("{"):
            self._held, self._pieces = "", []
        while text:
            end, closed = self._end(text)
            piece, text = text[:end], text[end:]
            self._pieces.append(piece)
            if self._object is None:
                out += self._released(piece)
            if closed:
                self._close()
            elif not piece.isspace():
                self.whole = False
        return out

    def rest(self) -> str:
        """Return what is held back, once no more is to come: an empty object, or nothing."""
        return "{}" if self.whole and self._held is not None else ""

    @property
    def empty(self) -> bool:
        """Whether no text has been handed out."""
        return self._held is not None

    @property
    def is_null(self) -> bool:
        """Whether there is nothing but `null`."""
        return self._held is not None and self._held.strip() == "null"

    @property
    def value(self) -> dict[str, Any] | None:
        """The arguments; None if they are no whole JSON object. Nothing and `null` mean none."""
        rest = "".join(self._pieces)
        if self._object is None:
            return arguments(rest)
        return arguments(self._object) if self._again and not rest.strip() else None

    def _end(self, text: str) -> tuple[int, bool]:
        """Return the place in `text` where the object is closed, or its length, and whether it is closed."""
        start, self._escaped = int(self._escaped), False
        for mark in _MARKS.finditer(text, start):
            sign = mark.group()
            if sign[0] == "\\":
                self._escaped = self._quoted and len(sign) == 1
            elif sign == '"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._depth = max(0, self._depth + (1 if sign in "{[" else -1))
                if not self._depth:
                    return mark.end(), True
        return len(text), False

    def _released(self, piece: str) -> str:
        if self._held is None:
            return piece
        self._held += piece
        if len(self._held) < _LONGEST_HELD and _NONE.fullmatch(self._held):
            return ""
        text, self._held = self._held, None
        return text

    def _close(self) -> None:
        text, self._pieces, self.whole = "".join(self._pieces), [], True
        if _EMPTY.fullmatch(text) and (self._object or self._held is not None):
            self._held = self._held and ""
        elif self._object is None:
            self._object = text
        else:
            self._again = self._again and self.repeats and arguments(text) == arguments(self._object)


def arguments_of(text: str) -> dict[str, Any] | None:
    """Return the arguments in a whole text; see `ArgumentText.value`."""
    value = arguments(text)
    return ArgumentText(text).value if value is None else value
