"""One request of a race, until its first piece."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeAlias

from langchain_llmdispatch.dispatch.attempt import Attempt

Lane: TypeAlias = AsyncGenerator[Any, None]
"""Sends one request, and yields the pieces of its answer: lists of what the caller gets."""

_NOTHING = object()


class Runner:
    """One request until its first piece.

    Args:
        attempt: Its attempt.
        lane: Sends it.
        changed: Notified when it is done.

    Attributes:
        done: Whether its first piece, its end or an error has come.
        error: The error.
    """

    def __init__(self, attempt: Attempt, lane: Lane, changed: threading.Condition) -> None:
        self.attempt, self.changed, self._lane = attempt, changed, lane
        self.error: BaseException | None = None
        self.done = self._left = False
        self._piece: Any = _NOTHING

    async def run(self) -> None:
        """Wait for the first piece; the errors are raised by `race`."""
        piece, error = _NOTHING, None
        try:
            piece = await anext(self._lane, _NOTHING)
        except BaseException as failure:  # noqa: BLE001 - raised by the caller of the race
            error = failure
        with self.changed:
            self._piece, self.error, self.done = piece, error, True
            self.changed.notify_all()
            left = self._left
        if left:
            await self._lane.aclose()

    async def rest(self) -> Lane:
        """Yield its first piece and those that follow."""
        async with aclosing(self._lane):
            if self._piece is not _NOTHING:
                yield self._piece
                async for piece in self._lane:
                    yield piece

    async def leave(self) -> bool:
        """Close it once it is done, and return whether it is already."""
        with self.changed:
            self._left, done = True, self.done
        if done:
            await self._lane.aclose()
        return done
