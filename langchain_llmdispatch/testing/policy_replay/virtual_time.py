"""Virtual time for a simulation: one event loop for everything, whose clock moves whenever all tasks wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.limits.loop_thread import ClockLoop, LoopThread
from langchain_llmdispatch.testing.clock import FakeClock

if TYPE_CHECKING:
    from concurrent.futures import Executor

T = TypeVar("T")
# Real seconds until a simulation that waits for something outside it counts as stuck.
_STUCK = 30.0


class SimulationClock(FakeClock):
    """The clock of a simulation's loop."""

    def sleep(self, seconds: float) -> None:
        """Refuse: the wait of one call would stop all others.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(f"a simulation cannot wait {seconds:g} s synchronously")

    async def asleep(self, seconds: float) -> None:
        """Wait on the loop."""
        await asyncio.sleep(seconds)

    def select(
        self,
        select: Callable[[float | None], list[T]],
        timeout: float | None,
        *,
        idle: bool,
    ) -> list[T]:
        """Return the events there are; without any, move time.

        Raises:
            RuntimeError: The simulation waits for something outside it.
        """
        if timeout is None:
            if not (ready := select(_STUCK)):
                raise RuntimeError("the simulation waits for something outside it")
            return ready
        ready = select(0)
        if not ready and timeout > 0:
            self.advance(timeout)
        return ready


class SimulationLoop(ClockLoop):
    """An event loop in virtual time that starts no threads.

    Args:
        start: The time of day at its beginning, in seconds since 1970.

    Attributes:
        clock: The clock of its timers; its monotonic seconds begin at 0.
    """

    def __init__(self, start: float = 0.0) -> None:
        self.clock = SimulationClock(date=datetime.fromtimestamp(start, UTC))
        super().__init__(self.clock)

    def run_in_executor(  # type: ignore[override] # one signature is more precise than the loop's
        self,
        executor: Executor | None,
        func: Callable[..., Any],
        *args: Any,
    ) -> asyncio.Future[Any]:
        """Call a function at once: virtual time would move while another thread does it."""
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - for the task that awaits it
            done.set_exception(error)
        return done


class SimulationLimiter(Limiter):
    """A limiter on the simulation's loop, in place of a thread of its own."""

    def __init__(self, loop: SimulationLoop) -> None:
        super().__init__(clock=loop.clock)
        self._loop = _LoopThread(loop)


class _LoopThread(LoopThread):
    def __init__(self, loop: SimulationLoop) -> None:
        super().__init__(loop.clock)
        self._loop = loop

    def close(self) -> None:
        """Do nothing: the simulation closes its loop."""
