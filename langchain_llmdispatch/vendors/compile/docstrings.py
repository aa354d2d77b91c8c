"""Descriptions in docstrings of Google's style."""

from __future__ import annotations

import inspect
import re
from textwrap import dedent

_SECTION = re.compile(
    r"^(Args|Arguments|Attributes|Returns|Raises|Yields|Examples?|Notes?):[ \t]*$", re.MULTILINE
)
_OF_FIELDS = frozenset({"Args", "Arguments", "Attributes"})
# A name at the margin, then its description, whose further lines are indented.
_FIELD = re.compile(r"^(\w+)(?: ?\([^)\n]*\))?:(.*(?:\n[ \t]+.*)*)", re.MULTILINE)


def documented(cls: type) -> tuple[str | None, dict[str, str]]:
    """Return the description of a class, and those of its fields (`Args:`, `Attributes:`)."""
    text = inspect.getdoc(cls) if cls.__doc__ else None
    if not text:
        return None, {}
    about, *sections = _SECTION.split(text)
    fields: dict[str, str] = {}
    for name, body in zip(sections[::2], sections[1::2], strict=True):
        if name in _OF_FIELDS:
            fields |= {key: " ".join(note.split()) for key, note in _FIELD.findall(dedent(body.strip("\n")))}
    return about.strip() or None, fields
