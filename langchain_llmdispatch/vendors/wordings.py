"""What the words of an error mean, whichever vendor's API they come through.

Gateways pass other vendors' words on, so the table is shared: `wordings.json`. Its groups come in order of
precedence. Each names the class that its words mean, the classes that they narrow (those that status and code
stand for), and words that it is not used beside (`unless`). Each row has words, and texts in which they were
seen, with who sent them and a source.

In a row, `...` stands for at most 80 characters, `|` divides alternatives, `#` is any number. Words are
compared with a text in lower case, without quotes, addresses and plurals in parentheses, and only as whole
words: "context window" is not found in "context_windows".
"""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from langchain_llmdispatch import errors
from langchain_llmdispatch.errors import VendorError

_LONGEST = 4000  # characters of a text that are read
_ADDRESS = re.compile(r"https?://\S+")
_QUOTES = str.maketrans({**dict.fromkeys("\"'`\\\u2018\u2019\u201c\u201d", None), "\n": " ", "\t": " "})
_NUMBER = re.compile(r"\d(?:[\d,._]*\d)?")
_SPACES = re.compile(r"\s{2,}")
_GAP = r".{0,80}?"


class _Words:
    """The words of one row: pieces in order, each a choice of alternatives."""

    __slots__ = ("_pattern", "_pieces", "first")

    def __init__(self, words: str) -> None:
        self._pieces = [piece.strip().split("|") for piece in words.split("...")]
        self._pattern: re.Pattern[str] | None = None
        self.first = self._pieces[0]

    def are_in(self, text: str) -> bool:
        """Return whether a normal text has them."""
        if not all(any(word in text for word in piece) for piece in self._pieces):
            return False  # most texts; a pattern is compiled when it is first needed
        if self._pattern is None:
            pieces = ("|".join(map(re.escape, piece)) for piece in self._pieces)
            self._pattern = re.compile(_GAP.join(rf"(?<!\w)(?:{piece})(?!\w)" for piece in pieces))
        return self._pattern.search(text) is not None


class _Meaning(NamedTuple):
    means: type[VendorError]
    narrows: frozenset[type[VendorError]]
    unless: _Words | None
    rows: tuple[tuple[str, _Words], ...]  # each with one of the words that it may begin with

    def applies(self, text: str) -> bool:
        for first, words in self.rows:  # a generator costs as much again as the searches
            if first in text and words.are_in(text):
                return self.unless is None or not self.unless.are_in(text)
        return False


def narrowed(cls: type[VendorError], text: str) -> type[VendorError]:
    """Return the narrower class that the words of an error stand for, or `cls` if they stand for none.

    Args:
        cls: The class by status and code.
        text: The vendor's text.
    """
    groups = _groups_by_class().get(cls, ()) if text else ()
    plain = normal(text) if groups else ""
    return next((group.means for group in groups if group.applies(plain)), cls)


def normal(text: str) -> str:
    """Return a text as rows are compared with it."""
    text = text[:_LONGEST].replace("\\n", " ")
    if "://" in text:
        text = _ADDRESS.sub("", text)
    text = text.translate(_QUOTES).lower().replace("(s)", "s")
    text = _NUMBER.sub("#", text)
    plain = "  " not in text and text.isprintable()  # whose only white space are single spaces
    return text if plain else _SPACES.sub(" ", text)


def _words_of(row: Mapping[str, str]) -> _Words:
    return _Words(row["words"])


@cache
def _groups_by_class() -> Mapping[type[VendorError], Sequence[_Meaning]]:
    """Return the groups that narrow a class, in order."""
    found: dict[type[VendorError], list[_Meaning]] = {}
    for group in _groups():
        for cls in group.narrows:
            found.setdefault(cls, []).append(group)
    return found


def _groups() -> tuple[_Meaning, ...]:
    return tuple(
        _Meaning(
            getattr(errors, group["means"]),
            frozenset(getattr(errors, name) for name in group["narrows"]),
            _Words(group["unless"]) if "unless" in group else None,
            tuple((first, row) for row in map(_words_of, group["rows"]) for first in row.first),
        )
        for group in wordings()
    )


def wordings() -> list[dict[str, Any]]:
    """Return the groups of `wordings.json`.

    Raises:
        FileNotFoundError: The installation lacks its data.
    """
    content = pkgutil.get_data("langchain_llmdispatch.vendors", "wordings.json")
    if content is None:  # a loader without data; no ordinary installation has one
        raise FileNotFoundError("wordings.json")
    groups: list[dict[str, Any]] = json.loads(content)
    return groups
