"""The value of a JSON text while it is streamed: each piece is scanned once, and what is open is closed.

LangChain's parser scans the whole text again, character by character, for each piece of it: an answer of
20 KB took 14 seconds.
"""

from __future__ import annotations

import re
from typing import Any

from langchain_llmdispatch.internal.json_format import MAX_DEPTH, parse_json

_MARKS = re.compile(r'\\(?:.|\Z)|["{}\[\],:]', re.DOTALL)
# An escape that is not whole, or half a pair of them, at the end of an open text.
_OPEN_ESCAPE = re.compile(
    r"(?<!\\)(?:\\\\)*((?:\\u[dD][89abAB][0-9a-fA-F]{2})?(?:\\(?:u[0-9a-fA-F]{0,3})?)?)\Z"
)
_LONGEST_ESCAPE = 64
_LITERALS = ("true", "false", "null")


class PartialJson:
    """One object or array, as it comes.

    Attributes:
        broken: Whether it is no JSON.
    """

    __slots__ = ("_cut", "_is_key", "_key_next", "_quoted", "_seen", "_stack", "_text", "broken")

    def __init__(self) -> None:
        self._text = ""
        self._seen = 0
        self._stack: list[str] = []  # what closes the open objects and arrays
        self._cut = 0  # the end of what may be kept outside an open text; nothing was opened or closed since
        self._quoted = self._is_key = self._key_next = self.broken = False

    def add(self, piece: str) -> None:
        """Add what comes next; what follows the end of the value is not read."""
        self._text += piece
        for mark in _MARKS.finditer(self._text, self._seen):
            if mark[0] == "\\":  # the next piece has the rest of it
                self._seen = mark.start()
                return
            if self._cut and not self._stack:
                break
            self._mark(mark[0], mark.start(), mark.end())
        self._seen = len(self._text)

    def value(self) -> Any:
        """Return what there is so far, an open text as far as it came; None for nothing.

        A number at the end is left out: more digits may come.
        """
        if self.broken or not self._cut or len(self._stack) > MAX_DEPTH:
            return None
        try:
            return parse_json(self._closed())
        except (ValueError, RecursionError):
            return None

    def _mark(self, mark: str, start: int, end: int) -> None:
        if self._quoted:
            if mark == '"':
                self._quoted = False
                if not self._is_key:
                    self._cut = end
        elif mark == '"':
            self._quoted, self._is_key = True, self._key_next
        elif mark in "{[":
            self._stack.append("}" if mark == "{" else "]")
            self._key_next = mark == "{"
            self._cut = end
        elif mark in "}]":
            self.broken = self.broken or not self._stack or self._stack.pop() != mark
            self._key_next = False
            self._cut = end
        elif mark == ",":
            self._key_next = self._stack[-1:] == ["}"]
            self._cut = start
        elif mark == ":":
            self._key_next = False

    def _closed(self) -> str:
        text, closers = self._text, "".join(reversed(self._stack))
        if self._quoted and not self._is_key:
            tail = text[-_LONGEST_ESCAPE:]
            open_escape = _OPEN_ESCAPE.search(tail)
            whole = text if open_escape is None else text[: len(text) - len(open_escape[1])]
            return f'{whole}"{closers}'
        if self._stack and not self._quoted and text.rstrip().endswith(_LITERALS):
            return text + closers
        return text[: self._cut] + closers
