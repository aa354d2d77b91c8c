"""LangChain's rate limiters, within a call's time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from langchain_core.rate_limiters import BaseRateLimiter, InMemoryRateLimiter

from langchain_llmdispatch.errors import AttemptTimeoutError, DeadlineExceededError
from langchain_llmdispatch.vendors.langchain.pacing import DeferredRateLimiter, apace, deferred, pace
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, deployment, model_of


class Gate(BaseRateLimiter):
    """Admits so many requests without waiting; a wait has no end. It stops an event loop that lets it wait."""

    def __init__(self, admitted: int) -> None:
        self.left = admitted

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take one."""
        assert not blocking
        self.left -= 1
        return self.left >= 0

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Take one."""
        return self.acquire(blocking=blocking)


class Hanging(Gate):
    """Waits for ever, whatever `blocking` is."""

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Wait."""
        await asyncio.Event().wait()
        return blocking


def test_an_open_one_is_not_waited_for() -> None:
    """In either colour."""
    assert pace(Gate(1), 1.0) == 0.0
    assert asyncio.run(apace(Gate(1), float("inf"))) == 0.0


@pytest.mark.parametrize("limiter", [Gate(0), Hanging(0)])
def test_a_closed_one_is_a_timeout(limiter: Gate) -> None:
    """Also where there is no time at all."""
    with pytest.raises(AttemptTimeoutError, match="rate_limiter"):
        pace(limiter, 0.01)
    with pytest.raises(AttemptTimeoutError, match="rate_limiter"):
        asyncio.run(apace(limiter, 0.01))
    with pytest.raises(AttemptTimeoutError, match="rate_limiter"):
        pace(limiter, 0.0)


def test_a_limiter_is_deferred_once() -> None:
    """Copies of a model hand it on."""
    one = deferred(Gate(1))
    assert isinstance(one, DeferredRateLimiter)
    assert deferred(one) is one
    assert deferred(None) is None


FOUR = ("invoke", "stream", "ainvoke", "astream")


@pytest.mark.parametrize("colour", FOUR)
def test_a_models_own_limiter_is_within_the_deadline(server: LoopbackServer, colour: str) -> None:
    """It admits each call once, whatever is tried; without a permit in time the call ends, and nothing is sent."""
    gate = Gate(2)
    model = model_of(deployment(server, "openai"), rate_limiter=gate)
    for _ in range(2):
        assert "hello" in COLOURS[colour](model, "hello").text
    assert (gate.left, len(server.requests)) == (0, 2)
    with pytest.raises(DeadlineExceededError, match="rate_limiter"):
        COLOURS[colour](model.model_copy(update={"deadline": 0.02}), "hello")
    assert len(server.requests) == 2
    assert model.get_stats().vendor_stats["openai"].failures == 0


def test_the_event_loop_goes_on(server: LoopbackServer) -> None:
    """While a call waits for LangChain's own limiter, other tasks run."""
    slow = InMemoryRateLimiter(requests_per_second=1e-9, max_bucket_size=1)
    model = model_of(deployment(server, "openai"), rate_limiter=slow, deadline=0.06)
    turns: list[float] = []

    async def turn() -> None:
        while True:
            turns.append(time.monotonic())
            await asyncio.sleep(0)

    async def main() -> Any:
        task = asyncio.create_task(turn())
        try:
            return await model.ainvoke("hello")
        finally:
            task.cancel()

    with pytest.raises(DeadlineExceededError):
        asyncio.run(main())
    assert len(turns) > 3
