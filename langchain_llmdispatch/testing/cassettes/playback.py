"""Playback: which recorded interaction responds to a request, and the message where none does."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from langchain_llmdispatch.testing.body_streams import PiecedBody
from langchain_llmdispatch.testing.cassettes.file import Interaction, Tape
from langchain_llmdispatch.testing.cassettes.matching import Matcher, ScrubbedRequest
from langchain_llmdispatch.testing.clock import advance
from langchain_llmdispatch.transport.http1 import CUT

if TYPE_CHECKING:
    from langchain_llmdispatch.clock import Clock

_AGAIN = "Record anew (--llmdispatch-record=rewrite), or "
_NAMED = 5


class UnmatchedRequestError(AssertionError):
    """A request is not among the recorded ones. It counts against no deployment and causes no fallback."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How recordings are replayed.

    Attributes:
        piece_size: Bytes per piece of a body; None is one event each.
        pace: How much of the recorded time passes on fake clocks; 1 is all, 0 is none.
        repeats: Whether the last recording of a request responds to it again and again.
    """

    piece_size: int | None = None
    pace: float = 0.0
    repeats: bool = False


class Playback:
    """The recordings of a tape, each played once, in their order.

    Args:
        tape: The recordings.
        matcher: What compares requests.
        path: Where they are, for messages.
        options: How they are replayed.

    Attributes:
        misses: The errors of requests that were not recorded.
    """

    def __init__(self, tape: Tape, matcher: Matcher, path: Path, options: ReplayOptions) -> None:
        self._recorded, self._matcher, self._path, self._options = tape.interactions, matcher, path, options
        self._places: dict[str, list[int]] = {}
        for number, interaction in enumerate(self._recorded):
            self._places.setdefault(matcher.key(interaction.request.get("body")), []).append(number)
        self._lock = threading.Lock()
        self._played: set[int] = set()
        self._damaged: set[int] = set()
        self.misses: list[UnmatchedRequestError] = []

    def take(self, request: ScrubbedRequest, *, damaged: bool = False) -> Interaction:
        """Return the recording that responds to a request now: the first one that has not been replayed.

        Args:
            request: The request.
            damaged: Whether a fault cuts or changes the response; it may be replayed once more then.

        Raises:
            UnmatchedRequestError: There is none.
        """
        if (interaction := self.find(request, damaged=damaged)) is not None:
            return interaction
        __tracebackhide__ = True
        raise self._miss(request)

    def find(self, request: ScrubbedRequest, *, damaged: bool = False) -> Interaction | None:
        """Return the recording that responds to a request now, or None; see `take`."""
        if not self._recorded:
            return None
        key = self._matcher.key(request.body)
        with self._lock:
            number = self._next(self._fitting(request, key))
            if number is None:
                return None
            self._played.add(number)
            (self._damaged.add if damaged else self._damaged.discard)(number)
            return self._recorded[number]

    def response(self, interaction: Interaction, clock: Clock) -> httpx.Response:
        """Return the response of a recording.

        Args:
            interaction: The recording.
            clock: Where recorded time passes, if it is a fake one.
        """
        recorded, pace = interaction.response, self._options.pace
        pieces, times = interaction.pieces(self._options.piece_size)
        seconds = [at / 1000 * pace for at in times] or [recorded.get("seconds", 0.0) * pace]
        error = httpx.RemoteProtocolError(CUT) if recorded.get("cut") else None
        body = PiecedBody(pieces, _Pacer(clock, seconds) if pace > 0 else None, error)
        return httpx.Response(recorded["status"], headers=recorded["headers"], stream=body)

    def unused(self) -> list[tuple[int, Interaction]]:
        """Return the recordings that were not replayed, with their places."""
        return [(number, item) for number, item in enumerate(self._recorded) if number not in self._played]

    def check_unused(self) -> None:
        """Check that every recording was replayed.

        Raises:
            AssertionError: One was not.
        """
        unused = [f"#{number + 1} ({item.model or item.vendor})" for number, item in self.unused()]
        if unused:
            more = f" and {len(unused) - _NAMED} more" if len(unused) > _NAMED else ""
            raise AssertionError(
                f"{shown(self._path)}: recorded, but not requested: {', '.join(unused[:_NAMED])}{more}. "
                f"{_AGAIN}let recordings be left over (strict=False)."
            )

    def _next(self, fitting: list[int]) -> int | None:
        fresh = next((number for number in fitting if number not in self._played), None)
        if fresh is None:
            fresh = next((number for number in fitting if number in self._damaged), None)
        return fitting[-1] if fresh is None and fitting and self._options.repeats else fresh

    def _fitting(self, request: ScrubbedRequest, key: str) -> list[int]:
        return [n for n in self._places.get(key, ()) if self._matcher.fits(request, self._recorded[n])]

    def _miss(self, request: ScrubbedRequest) -> UnmatchedRequestError:
        lines = [f"no recorded response to {request.method} to {request.vendor} in {shown(self._path)}."]
        if not self._path.is_file():
            lines.append("There is no such file; record it with --llmdispatch-record=once.")
        elif self._fitting(request, self._matcher.key(request.body)):
            lines.append("It is recorded, but each recording of it has been replayed already.")
            lines.append(f"{_AGAIN}replay the last one again (repeats=True).")
        else:
            lines += [*self._nearest(request), f"{_AGAIN}leave fields out of the comparison (ignore=[...])."]
        error = UnmatchedRequestError("\n".join(lines))
        self.misses.append(error)
        return error

    def _nearest(self, request: ScrubbedRequest) -> list[str]:
        if not self._recorded:
            return []
        places = range(len(self._recorded))
        best = max(places, key=lambda n: self._matcher.likeness(request, self._recorded[n]))
        return [f"Nearest is #{best + 1}:", self._matcher.difference(request, self._recorded[best])]


class _Pacer:
    """Moves a fake clock to the moment at which each piece came."""

    def __init__(self, clock: Clock, seconds: list[float]) -> None:
        self._clock, self._seconds, self._at = clock, seconds, 0.0

    def __call__(self, number: int) -> None:
        """Move it before piece `number`."""
        if number < len(self._seconds):
            advance(self._clock, self._seconds[number] - self._at)
            self._at = self._seconds[number]


def shown(path: Path) -> str:
    """Return a path for messages: relative to the current folder, if it is below it."""
    try:
        near = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return str(path) if near.startswith("..") else near
