"""Hedging: if a deployment is late, a second one is tried beside it, and the first to begin answers.

A second request is worth its price where a few answers take very much longer than most.
`CallPolicy.hedge_after` is the delay, `Dispatch.hedge` chooses the second deployment, and `Race` decides
which of the two requests wins. Nothing here waits or sends: `drivers/hedge_race.py` does.
"""

from __future__ import annotations

import threading
from typing import Protocol


class LostRaceError(Exception):
    """Control flow: raised inside the request that lost a race, and recorded, but never raised to the caller.

    It is therefore not in the tree of `errors`.
    """


OVERTAKEN = LostRaceError.__name__
"""What a record has as its error if another request of the call answered first."""


class Racer(Protocol):
    """One request of a race. Its methods may be called from any thread."""

    @property
    def attempt(self) -> object:
        """Its attempt, which identifies it."""

    def lose(self) -> None:
        """End the attempt as lost, and stop waiting for its answer."""

    def abandon(self) -> None:
        """Stop waiting for its answer; its driver records how the attempt ended."""


class Race:
    """Two requests of one call: which one answers, and the end of the other.

    Attributes:
        winner: The attempt that answers, or None so far.
        over: Whether no attempt can win any more: the caller has left, or a failure decided the call.
    """

    def __init__(self) -> None:
        self.winner: object | None = None
        self.over = False
        self._lock = threading.Lock()
        self._racers: list[Racer] = []

    def enter(self, racer: Racer) -> None:
        """Add a request.

        Raises:
            LostRaceError: The race is decided.
        """
        with self._lock:
            if self.over or self.winner is not None:
                raise LostRaceError
            self._racers.append(racer)

    def is_lost_for(self, attempt: object) -> bool:
        """Return whether an attempt cannot win any more."""
        return self.over or self.winner not in {None, attempt}

    def claim(self, attempt: object) -> None:
        """Let an attempt win, and the others lose.

        Raises:
            LostRaceError: Another one has won, or the caller has left.
        """
        with self._lock:
            if self.winner is attempt:
                return
            if self.over or self.winner is not None:
                raise LostRaceError
            self.winner = attempt
            others = [racer for racer in self._racers if racer.attempt is not attempt]
        for racer in others:
            racer.lose()

    def end(self) -> bool:
        """End the race without a winner; return whether that was possible: none has won meanwhile."""
        with self._lock:
            self.over = self.winner is None
            return self.over

    def leave(self, first: Racer) -> None:
        """End the race without a winner, if there is none; the driver records the first request's outcome."""
        with self._lock:
            if self.winner is not None:
                return
            self.over = True
            racers = list(self._racers)
        for racer in racers:
            if racer is not first:
                racer.lose()
        first.abandon()
