"""Characters that a server cut in two between the frames of a stream."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from langchain_llmdispatch.framing import SSEvent
from langchain_llmdispatch.internal.json_format import json_text

# The escapes of a surrogate pair's halves: at the end of one JSON string, at the beginning of another.
_HIGH = re.compile(r'(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}(?=")')
_LOW = re.compile(r'(?<=[^\\]")\\u[dD][c-fC-F][0-9a-fA-F]{2}')


class PairJoiner:
    r"""Joins the halves of surrogate pairs that are in two frames of one stream.

    Some servers cut an emoji: the text of one delta ends with `\ud83d`, the next one begins with `\ude00`
    (elizaOS/eliza#30904). A frame that ends so is kept until the next one comes, whose half moves to it.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: tuple[Any, str, int] | None = None

    def join(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Yield frames, as decoders return them (events or lines), once no half is missing any more."""
        for frame in frames:
            if self._kept is None and not _may_be_cut(frame):
                yield frame
            else:
                yield from self._add(frame)

    def close(self) -> Iterator[Any]:
        """Yield the frame that is still kept."""
        if self._kept is not None:
            (frame, text, _), self._kept = self._kept, None
            yield _with_text(frame, text)

    def _add(self, frame: Any) -> Iterator[Any]:
        text = frame.data if isinstance(frame, SSEvent) else json_text(frame)
        if self._kept is not None:
            first, before, place = self._kept
            if low := _LOW.search(text):
                before = before[:place] + low[0] + before[place:]
                text = text[: low.start()] + text[low.end() :]
            self._kept = None
            yield _with_text(first, before)
        if high := _HIGH.search(text):
            self._kept = frame, text, high.end()
        else:
            yield _with_text(frame, text)


def _may_be_cut(frame: Any) -> bool:
    return "\\u" in frame.data if isinstance(frame, SSEvent) else b"\\u" in frame


def _with_text(frame: Any, text: str) -> Any:
    return frame._replace(data=text) if isinstance(frame, SSEvent) else text
