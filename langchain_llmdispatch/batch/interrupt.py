"""The end of a run from outside: what is under way ends, nothing else begins."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from langchain_llmdispatch.clock import Clock


class Interrupt:
    """Ends a run early: no further row is taken, what is under way is finished, jobs are left to a later run.

    Any thread, and a signal's handler, may call `request`.

    Attributes:
        requested: Whether the run is to end.
    """

    def __init__(self) -> None:
        self.requested = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()

    def request(self) -> None:
        """End the run."""
        self.requested = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: the run has ended
                self._loop.call_soon_threadsafe(self._event.set)

    def begin(self) -> None:
        """Listen in the event loop that runs now."""
        self._loop = asyncio.get_running_loop()
        if self.requested:
            self._event.set()

    async def wait(self) -> None:
        """Wait until the run is to end."""
        await self._event.wait()

    async def sleep(self, clock: Clock, seconds: float) -> None:
        """Wait for so many seconds, or until the run is to end."""
        sleeping, stopping = (asyncio.ensure_future(each) for each in (clock.asleep(seconds), self.wait()))
        try:
            await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if sleeping.done():
                sleeping.result()
        finally:
            for each in (sleeping, stopping):
                each.cancel()
