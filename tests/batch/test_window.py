"""Maps: order, bounds, exceptions, early ends; the same in threads and in an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_llmdispatch.batch.window import InputWindow, amap_inputs, map_inputs
from langchain_llmdispatch.errors import ConfigurationError

Map = Callable[..., list[Any]]


def in_threads(call: Callable[[Any], Any], inputs: Iterable[Any], **options: Any) -> list[Any]:
    """Return all results of the map in threads."""
    return list(map_inputs(call, inputs, **options))


def in_a_loop(call: Callable[[Any], Any], inputs: Iterable[Any], **options: Any) -> list[Any]:
    """Return all results of the map in an event loop."""

    async def acall(value: Any) -> Any:
        await asyncio.sleep(0)
        return call(value)

    async def collect() -> list[Any]:
        return [result async for result in amap_inputs(acall, inputs, **options)]

    return asyncio.run(collect())


both = pytest.mark.parametrize("run", [in_threads, in_a_loop])


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 6), st.booleans(), st.randoms())
@settings(max_examples=60, deadline=None)
def test_each_input_leaves_once_within_the_window(
    oks: list[bool], size: int, ordered: bool, rng: Any
) -> None:
    """Whatever finishes first: never more than `size` are under way, all leave, in order where that is set."""
    window, under_way, left, coming = InputWindow(size, ordered=ordered), [], [], len(oks)
    while coming or under_way:
        while coming and window.has_room:
            under_way.append(window.start())
            coming -= 1
        assert len(under_way) <= size
        index = under_way.pop(rng.randrange(len(under_way)))
        left += list(window.finish(index, index))
    indices = left if ordered else [index for index, _ in left]
    assert sorted(indices) == list(range(len(oks)))
    assert not ordered or indices == sorted(indices)
    assert window.is_empty


@both
def test_results_come_in_order(run: Map) -> None:
    """With any number in flight; unordered ones carry their index."""
    assert run(lambda n: n * 2, range(50), max_in_flight=7) == [n * 2 for n in range(50)]
    found = run(lambda n: n * 2, range(50), max_in_flight=7, ordered=False)
    assert sorted(found) == [(n, n * 2) for n in range(50)]


@both
def test_inputs_are_read_as_there_is_room(run: Map) -> None:
    """A million inputs are not read ahead of what is under way."""
    read, done, ahead = 0, 0, 0

    def source() -> Iterator[int]:
        nonlocal read
        for number in range(500):
            read += 1
            yield number

    def call(number: int) -> int:
        nonlocal done, ahead
        ahead = max(ahead, read - done)
        done += 1
        return number

    assert len(run(call, source(), max_in_flight=8)) == 500
    assert ahead <= 9


def fails_at(place: int) -> Callable[[int], int]:
    """Return a call that fails for one input."""

    def call(number: int) -> int:
        if number == place:
            raise ValueError("no")
        return number

    return call


@both
def test_an_exception_ends_the_map_or_is_a_result(run: Map) -> None:
    """The first one is raised, what has not started is not read; or it takes its result's place."""
    source = iter(range(1000))
    with pytest.raises(ValueError, match="no"):
        run(fails_at(3), source, max_in_flight=4)
    assert next(source) < 20
    results = run(fails_at(3), range(6), return_exceptions=True)
    assert [type(each).__name__ for each in results] == ["int"] * 3 + ["ValueError"] + ["int"] * 2


@both
def test_a_window_of_none_is_refused(run: Map) -> None:
    """The message names the field."""
    with pytest.raises(ConfigurationError, match="max_in_flight is 0"):
        run(str, [], max_in_flight=0)


def test_what_is_under_way_is_cancelled_when_an_async_map_is_left() -> None:
    """No task outlives the iteration."""
    ended: list[str] = []

    async def call(number: int) -> int:
        try:
            await asyncio.sleep(0 if number == 0 else 3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return number

    async def leave() -> None:
        results = amap_inputs(call, range(100), max_in_flight=5)
        assert await anext(results) == 0
        await results.aclose()

    asyncio.run(leave())
    assert ended == ["cancelled"] * len(ended)
    assert 4 <= len(ended) <= 5


def test_results_leave_while_an_async_source_waits() -> None:
    """A source that is slow holds nothing back."""

    async def slow(gate: asyncio.Event) -> AsyncIterator[int]:
        yield 1
        await gate.wait()
        yield 2

    async def call(number: int) -> int:
        return number

    async def collect() -> list[int]:
        gate, found = asyncio.Event(), []
        async for each in amap_inputs(call, slow(gate)):
            found.append(each)
            gate.set()
        return found

    assert asyncio.run(collect()) == [1, 2]


def test_a_thread_map_that_is_left_starts_nothing_more() -> None:
    """What runs is waited for; what has not started does not start."""
    gate, started = threading.Event(), []

    def call(number: int) -> int:
        started.append(number)
        if number:
            gate.wait(10)
        return number

    results = map_inputs(call, range(100), max_in_flight=3)
    assert next(results) == 0
    gate.set()
    results.close()
    assert len(started) <= 4
