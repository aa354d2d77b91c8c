"""Connections on asyncio's own transports, on either event loop, against real servers."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from contextlib import suppress

import httpcore
import pytest
import trustme

from langchain_llmdispatch.transport.asyncio_backend import AsyncioBackend
from tests.transport.servers import LOOPS, answer, apool, listening, run, silent

LARGE = 3_000_000


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("trusted", [True, False])
def test_tls_is_asked_for_its_certificate(loop: str, trusted: bool) -> None:
    """A certificate that is not trusted ends the connection; a trusted one carries large bodies both ways."""
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(theirs)
    if trusted:
        authority.configure_trust(ours)
    body = b"y" * LARGE

    async def main() -> None:
        async with apool(context=ours) as connections:
            for _ in range(2):
                reply = await connections.request("POST", f"https://localhost:{port}/{LARGE}", content=body)
                assert reply.content == body + b"x" * LARGE
            assert len(connections.connections) == 1

    with listening(answer, theirs) as port:
        if trusted:
            run(loop, main)
        else:
            with pytest.raises(httpcore.ConnectError, match="certificate verify failed"):
                run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_silent_server_is_not_waited_for_longer_than_asked(loop: str) -> None:
    """The read's time limit ends it, and the connection is gone from the pool."""

    async def main() -> None:
        async with apool() as connections:
            with pytest.raises(httpcore.ReadTimeout):
                await connections.request(
                    "GET", f"http://127.0.0.1:{port}/", extensions={"timeout": {"read": 0.02}}
                )
            await connections.aclose()
            assert connections.connections == []

    with listening(silent) as port:
        run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_nobody_there_is_a_connect_error(loop: str) -> None:
    """A closed port is told apart from a broken answer."""
    with listening(silent) as port:
        pass

    async def main() -> None:
        async with apool() as connections:
            with pytest.raises(httpcore.ConnectError):
                await connections.request("GET", f"http://127.0.0.1:{port + 1}/")

    run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_is_cancelled_is_closed(loop: str) -> None:
    """At whatever step of connecting the caller leaves, no socket is left to the garbage collector."""

    async def main() -> None:
        for steps in range(12):
            task = asyncio.ensure_future(AsyncioBackend().connect_tcp("127.0.0.1", port))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await (await task).aclose()

    with socket.create_server(("127.0.0.1", 0)) as listener:  # the system connects, and nothing accepts
        port = listener.getsockname()[1]
        run(loop, main)
    gc.collect()  # an open socket is a warning then, which is an error here
