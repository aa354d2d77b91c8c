"""A model's connections, against real servers: reused, shared by colours and loops, shut when a race is lost."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, deployment, model_of
from tests.transport.servers import LOOPS, run


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("colour", ["ainvoke", "astream"])
def test_a_model_answers_on_either_loop(server: LoopbackServer, loop: str, colour: str) -> None:
    """Servers run on uvloop, notebooks on asyncio: both get the answer, twice over one connection."""
    model = model_of(deployment(server, "openai"))
    before = server.accepted_connections

    async def main() -> None:
        for _ in range(2):
            if colour == "ainvoke":
                assert "hello" in (await model.ainvoke("hello")).text
            else:
                assert "hello" in "".join([chunk.text async for chunk in model.astream("hello")])
        await model.aclose()

    run(loop, main)
    assert server.accepted_connections == before + 1


@pytest.mark.parametrize("loop", LOOPS)
def test_a_lost_race_is_ended_on_either_loop(server: LoopbackServer, loop: str) -> None:
    """The connection of the request that lost is shut under its reader, at once."""
    server.script("openai", [Fault.slow_head(60)])
    before = server.open_connections
    model = model_of(deployment(server, "openai"), deployment(server, "anthropic"), hedge_after=0.02)

    async def main() -> None:
        message = await asyncio.wait_for(model.ainvoke("hello"), 20)
        assert message.response_metadata["llmdispatch"]["vendor"] == "anthropic"
        await model.aclose()

    run(loop, main)
    until = time.monotonic() + 10
    while server.open_connections > before and time.monotonic() < until:
        threading.Event().wait(0.005)
    assert server.open_connections <= before


@pytest.mark.parametrize("colour", ["stream", "astream"])
@pytest.mark.parametrize("vendor", sorted(MODELS))
def test_streams_leave_their_connection_to_the_next(vendor: str, colour: str, server: LoopbackServer) -> None:
    """Three streams one after the other need one connection: HTTP's end is read after the answer's."""
    model = model_of(deployment(server, vendor))
    before = server.accepted_connections

    async def main() -> None:
        for _ in range(3):
            assert [chunk async for chunk in model.astream("hello")]
        await model.aclose()

    if colour == "astream":
        asyncio.run(main())
    else:
        for _ in range(3):
            assert list(model.stream("hello"))
    assert server.accepted_connections == before + 1
