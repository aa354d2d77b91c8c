"""Inputs answered with bounded memory: so many are under way, and no more are read ahead."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from concurrent.futures import Future
from contextlib import aclosing
from queue import SimpleQueue
from typing import Any, TypeAlias, cast

from langchain_core.runnables.config import ContextThreadPoolExecutor

from langchain_llmdispatch.errors import ConfigurationError

MAX_IN_FLIGHT = 64
_END: Any = object()
Inputs: TypeAlias = Iterable[Any] | AsyncIterable[Any]


class InputWindow:
    """Which inputs may start, and which results may leave.

    An input is under way from its start until its result leaves, so that a first input that takes long holds
    back the reading of others, not the memory.

    Args:
        size: Inputs that are under way at most.
        ordered: Whether results leave in the order of the inputs; else as they come, with their index.
    """

    def __init__(self, size: int, *, ordered: bool) -> None:
        if size < 1:
            raise ConfigurationError(f"max_in_flight is {size}; it must be at least 1.")
        self._size, self._ordered = size, ordered
        self._started = self._left = 0
        self._held: dict[int, Any] = {}

    @property
    def has_room(self) -> bool:
        """Whether another input may start."""
        return self._started - self._left < self._size

    @property
    def is_empty(self) -> bool:
        """Whether nothing is under way."""
        return self._started == self._left

    def start(self) -> int:
        """Return the index of the input that starts."""
        self._started += 1
        return self._started - 1

    def finish(self, index: int, result: Any) -> Iterator[Any]:
        """Yield the results that may leave now that this one is there."""
        if not self._ordered:
            self._left += 1
            yield index, result
            return
        self._held[index] = result
        while self._left in self._held:
            self._left += 1
            yield self._held.pop(self._left - 1)


def map_inputs(
    call: Callable[[Any], Any],
    inputs: Iterable[Any],
    *,
    max_in_flight: int = MAX_IN_FLIGHT,
    ordered: bool = True,
    return_exceptions: bool = False,
) -> Generator[Any, None, None]:
    """Yield the results of `call` for each input, `max_in_flight` at once in threads.

    Args:
        call: Answers one input.
        inputs: Read as there is room.
        max_in_flight: Inputs that are under way at most.
        ordered: Whether results come in order; else as `(index, result)`, as they come.
        return_exceptions: Whether an exception is a result; else the first one ends the map, and what has not
            started is not started.
    """
    window = InputWindow(max_in_flight, ordered=ordered)
    finished: SimpleQueue[tuple[int, Future[Any]]] = SimpleQueue()
    source = iter(inputs)
    with ContextThreadPoolExecutor(max_in_flight) as pool:
        try:
            while True:
                while window.has_room and (value := next(source, _END)) is not _END:
                    _noted(pool.submit(call, value), window.start(), finished.put)
                if window.is_empty:
                    return
                index, future = finished.get()
                yield from window.finish(index, _outcome(future, return_exceptions))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


async def amap_inputs(
    call: Callable[[Any], Awaitable[Any]],
    inputs: Inputs,
    *,
    max_in_flight: int = MAX_IN_FLIGHT,
    ordered: bool = True,
    return_exceptions: bool = False,
) -> AsyncGenerator[Any, None]:
    """Yield the results of `call` for each input, `max_in_flight` at once; see `map_inputs`.

    Inputs may come from an asynchronous iterator; while it waits, results leave. Whatever is under way when
    the iteration ends early is cancelled.
    """
    window = InputWindow(max_in_flight, ordered=ordered)
    finished: asyncio.Queue[tuple[int, Future[Any]]] = asyncio.Queue()
    running: set[asyncio.Future[Any]] = set()
    async with aclosing(_Source(inputs)) as source:
        try:
            while True:
                if window.has_room and await source.is_ready(finished):
                    task = asyncio.ensure_future(call(source.take()))
                    running.add(task)
                    task.add_done_callback(running.discard)
                    _noted(task, window.start(), finished.put_nowait)
                    continue
                if window.is_empty and source.ended:
                    return
                index, future = await finished.get()
                for result in window.finish(index, _outcome(future, return_exceptions)):
                    yield result
        finally:
            for left in list(running):
                left.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _noted(future: Any, index: int, put: Callable[[tuple[int, Any]], None]) -> None:
    future.add_done_callback(lambda done: put((index, done)))


def _outcome(future: Any, return_exceptions: bool) -> Any:
    if future.cancelled():
        raise asyncio.CancelledError
    error = future.exception()
    if error is None:
        return future.result()
    if return_exceptions and isinstance(error, Exception):
        return error
    raise error


class _Source:
    """Inputs one at a time, from an iterator of either kind.

    Attributes:
        ended: Whether all inputs have been read.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = aiter(inputs) if isinstance(inputs, AsyncIterable) else iter(inputs)
        self._pending: asyncio.Future[Any] | None = None
        self._value: Any = _END
        self.ended = False

    async def is_ready(self, finished: asyncio.Queue[Any]) -> bool:
        """Wait until there is an input, or something has finished; return whether there is an input."""
        if self.ended:
            return False
        if isinstance(self._inputs, Iterator):
            self._value = next(self._inputs, _END)
        elif not await self._pulled(finished):
            return False
        self.ended = self._value is _END
        return not self.ended

    async def _pulled(self, finished: asyncio.Queue[Any]) -> bool:
        if self._pending is None:
            coming: Awaitable[Any] = anext(cast("AsyncIterator[Any]", self._inputs), _END)
            self._pending = asyncio.ensure_future(coming)
        if not self._pending.done():
            ready: asyncio.Future[Any] = asyncio.ensure_future(finished.get())
            await asyncio.wait([self._pending, ready], return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                finished.put_nowait(ready.result())
            ready.cancel()
        if not self._pending.done():
            return False
        self._value, self._pending = self._pending.result(), None
        return True

    def take(self) -> Any:
        """Return the input that is ready."""
        return self._value

    async def aclose(self) -> None:
        """Stop reading; the iterator is its owner's to close."""
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.gather(self._pending, return_exceptions=True)
