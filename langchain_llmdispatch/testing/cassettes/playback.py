"""Playback: which recording answers a request now, and what to say where none does."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from langchain_llmdispatch.testing.cassettes.file import Interaction, Tape
from langchain_llmdispatch.testing.cassettes.matching import Asked, Matcher

_AGAIN = "Record anew (--llmdispatch-record=rewrite), or "


class UnmatchedRequestError(AssertionError):
    """A request is not among the recorded ones. No deployment is blamed for it, and none is tried instead."""


class Playback:
    """The recordings of a tape, each played once, in their order.

    Args:
        tape: The recordings.
        matcher: What compares requests.
        path: Where they are, for messages.
        repeats: Let the last recording of a request answer it again and again.

    Attributes:
        misses: What was raised for requests that were not recorded.
    """

    def __init__(self, tape: Tape, matcher: Matcher, path: Path, *, repeats: bool = False) -> None:
        self._held, self._matcher, self._path, self._repeats = tape.interactions, matcher, path, repeats
        self._places: dict[str, list[int]] = {}
        for number, held in enumerate(self._held):
            self._places.setdefault(matcher.key(held.request.get("body")), []).append(number)
        self._lock = threading.Lock()
        self._played: set[int] = set()
        self._spoilt: set[int] = set()
        self.misses: list[UnmatchedRequestError] = []

    def take(self, asked: Asked, *, spoilt: bool = False) -> Interaction:
        """Return the recording that answers a request now: the first one that has not been replayed.

        Args:
            asked: The request.
            spoilt: Whether a fault will keep the answer from arriving whole: it may answer once more, then.

        Raises:
            UnmatchedRequestError: There is none.
        """
        if (held := self.find(asked, spoilt=spoilt)) is not None:
            return held
        __tracebackhide__ = True
        raise self._miss(asked)

    def find(self, asked: Asked, *, spoilt: bool = False) -> Interaction | None:
        """Return the recording that answers a request now, or None; see `take`."""
        if not self._held:
            return None
        key = self._matcher.key(asked.body)
        with self._lock:
            number = self._next(self._fitting(asked, key))
            if number is None:
                return None
            self._played.add(number)
            (self._spoilt.add if spoilt else self._spoilt.discard)(number)
            return self._held[number]

    def unused(self) -> list[tuple[int, Interaction]]:
        """Return the recordings that were not replayed, with their places."""
        return [(number, item) for number, item in enumerate(self._held) if number not in self._played]

    def _next(self, fitting: list[int]) -> int | None:
        fresh = next((number for number in fitting if number not in self._played), None)
        if fresh is None:
            fresh = next((number for number in fitting if number in self._spoilt), None)
        return fitting[-1] if fresh is None and fitting and self._repeats else fresh

    def _fitting(self, asked: Asked, key: str) -> list[int]:
        return [n for n in self._places.get(key, ()) if self._matcher.fits(asked, self._held[n])]

    def _miss(self, asked: Asked) -> UnmatchedRequestError:
        lines = [f"no recorded answer for {asked.method} to {asked.vendor} in {shown(self._path)}."]
        if not self._path.is_file():
            lines.append("There is no such file; record it with --llmdispatch-record=once.")
        elif self._fitting(asked, self._matcher.key(asked.body)):
            lines.append("It is recorded, but each recording of it has been replayed already.")
            lines.append(f"{_AGAIN}let the last recording answer again (repeats=True).")
        else:
            lines += [*self._nearest(asked), f"{_AGAIN}let fields not count (ignore=[...])."]
        error = UnmatchedRequestError("\n".join(lines))
        self.misses.append(error)
        return error

    def _nearest(self, asked: Asked) -> list[str]:
        if not self._held:
            return []
        best = max(range(len(self._held)), key=lambda n: self._matcher.likeness(asked, self._held[n]))
        return [f"Nearest is #{best + 1}:", self._matcher.difference(asked, self._held[best])]


def shown(path: Path) -> str:
    """Return a path as people look for it: from the folder where they stand, if it is below it."""
    try:
        near = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return str(path) if near.startswith("..") else near
