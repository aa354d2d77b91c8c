"""A model's connections, against real servers: reused, shared by colours and loops, shut when a race is lost."""

from __future__ import annotations

import asyncio
import gc
import gzip
import os
import threading
import time
import weakref
from contextlib import suppress

import httpx
import pytest

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.transport import ASYNC_CLIENT, SYNC_CLIENT, Transport
from tests.cases import each
from tests.drivers.script import Body
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, deployment, model_of
from tests.transport.servers import LOOPS, deadline, listening, origin, post, run


def open_until(server: LoopbackServer, most: int) -> int:
    """Return the server's open connections, as soon as there are no more than so many."""
    until = time.monotonic() + 60
    while server.open_connections > most and time.monotonic() < until:
        threading.Event().wait(0.005)
    return server.open_connections


@each("loop", LOOPS)
@each("colour", ["ainvoke", "astream"])
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
def test_a_request_is_not_kept_while_its_answer_is_waited_for(loop: str) -> None:
    """Hundreds of calls may wait, each with a long prompt: once it is sent, it is free."""
    received: list[bytes] = []

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        await asyncio.sleep(600)

    async def main() -> None:
        request = post(origin(port))
        sent = weakref.ref(request)
        waiting = asyncio.ensure_future(Transport().asend(request, deadline()))
        del request
        while not received:
            await asyncio.sleep(0)
        assert sent() is None
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting

    with listening(silent) as port:
        run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_lost_race_is_ended_on_either_loop(server: LoopbackServer, loop: str) -> None:
    """The connection of the request that lost is shut under its reader, at once."""
    server.script("openai", [Fault.slow_head(600)])
    before = server.open_connections
    model = model_of(deployment(server, "openai"), deployment(server, "anthropic"), hedge_after=0.02)

    async def main() -> None:
        message = await asyncio.wait_for(model.ainvoke("hello"), 120)
        assert message.response_metadata["llmdispatch"]["vendor"] == "anthropic"
        await model.aclose()

    run(loop, main)
    assert open_until(server, before) <= before


@each("colour", ["stream", "astream"])
@each("vendor", sorted(MODELS))
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


def test_a_dropped_model_leaves_no_connection() -> None:
    """Without `close` its connections end with it."""
    with LoopbackServer() as server:
        model = model_of(deployment(server, "openai"))
        model.invoke("hello")
        assert server.open_connections == 1
        del model
        gc.collect()
        assert open_until(server, 0) == 0


def test_a_closed_model_may_be_used_again() -> None:
    """It connects anew, and closes again."""
    with LoopbackServer() as server:
        model = model_of(deployment(server, "openai"))
        for _ in range(2):
            model.invoke("hello")
            assert server.open_connections == 1
            model.close()
            assert open_until(server, 0) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_end_of_a_forked_child_leaves_the_parents_connections(server: LoopbackServer) -> None:
    """Whatever the child closes, it waits for no lock, and the parent reads on."""
    transport = Transport()
    response = transport.send(httpx.Request("GET", server.url), ReadDeadline(Clock(), float("inf"), "it"))
    (pool,) = transport._sync.values()
    with pool._freed:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                transport.close()
                response.close()
                code = 0 if not transport._sync else 2
            finally:
                os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert response.read()
    transport.close()


@each("read", [True, False])
@each("colour", ["sync", "async"])
def test_a_response_that_a_hook_refuses_is_the_answer(colour: str, read: bool) -> None:
    """Status and headers are kept, and the body if the hook has read it; the original is closed."""
    clock, refused = FakeClock(), list[httpx.Response]()

    def hook(response: httpx.Response) -> None:
        refused.append(response)
        if read:
            response.read()
        response.raise_for_status()

    async def ahook(response: httpx.Response) -> None:
        refused.append(response)
        if read:
            await response.aread()
        response.raise_for_status()

    def send(request: httpx.Request) -> httpx.Response:
        headers = {"retry-after": "3", "content-encoding": "gzip"}
        return httpx.Response(503, headers=headers, stream=Body(gzip.compress(b'{"error": "busy"}')))

    ways = httpx.MockTransport(send)
    request = httpx.Request("POST", "https://api.test/v1")
    request.extensions = {
        SYNC_CLIENT: httpx.Client(transport=ways, event_hooks={"response": [hook]}),
        ASYNC_CLIENT: httpx.AsyncClient(transport=ways, event_hooks={"response": [ahook]}),
    }
    deadline = ReadDeadline(clock, 9.0, "the answer")

    async def asent() -> tuple[httpx.Response, bytes]:
        response = await Transport().asend(request, deadline)
        return response, await response.aread()

    if colour == "sync":
        response = Transport().send(request, deadline)
        body = response.read()
    else:
        response, body = asyncio.run(asent())
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")
    assert body == (b'{"error": "busy"}' if read else b"")
    assert refused[0].is_closed
