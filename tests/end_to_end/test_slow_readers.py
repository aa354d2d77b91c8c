"""Readers are not vendors: a reader's own pauses count against no limit, and against no deployment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from langchain_llmdispatch import StreamInterruptedError
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, deployment, model_of

COLOURS = pytest.mark.parametrize("colour", ["stream", "astream"])
each_colour = each("colour", ["stream", "astream"])


def read(model: Any, colour: str, clock: FakeClock, seconds: float) -> str:
    """Read a stream, with so many seconds between two chunks; return its text."""

    async def main() -> str:
        text = ""
        async for chunk in model.astream("hello"):
            text += chunk.text
            clock.advance(seconds)
        return text

    if colour == "astream":
        return asyncio.run(main())
    text = ""
    for chunk in model.stream("hello"):
        text += chunk.text
        clock.advance(seconds)
    return text


@each_colour
@each("vendor", sorted(MODELS))
def test_a_slow_reader_gets_the_whole_answer(server: LoopbackServer, vendor: str, colour: str) -> None:
    """A day between two chunks is longer than the idle limit, the timeout and the deadline."""
    clock = FakeClock()
    model = model_of(deployment(server, vendor), clock=clock, stream_idle_timeout=5, timeout=10, deadline=20)
    assert "hello" in read(model, colour, clock, 86_400)
    stats = model.get_stats()
    assert (stats.failed_requests, stats.in_flight) == (0, 0)
    assert stats.p50_latency < 60


@COLOURS
def test_the_vendors_silence_counts_after_a_pause(server: LoopbackServer, colour: str) -> None:
    """The reader's pause is left out of the limit, not the limit of the call."""
    server.script("openai", [Fault.stall(after_events=3)])
    clock = FakeClock()
    model = model_of(deployment(server, "openai"), clock=clock, stream_idle_timeout=0.1, max_retries=0)
    with pytest.raises(StreamInterruptedError, match="next piece"):
        read(model, colour, clock, 1000)
