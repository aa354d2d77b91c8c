"""What reaches the network: httpcore's pools and the event loop's own connections, against real servers."""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpcore
import httpx
import pytest
import trustme

from langchain_llmdispatch.transport.asyncio_backend import LoopBackend
from langchain_llmdispatch.transport.deadline_backend import AsyncBackend, Backend
from langchain_llmdispatch.transport.pool import AsyncPool, Pool
from tests.end_to_end.test_failover import MODELS, deployment, model_of
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer

LARGE = 3_000_000
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LOOPS = ["asyncio", "uvloop"]


def run(loop: str, main: Callable[[], Awaitable[None]]) -> None:
    """Run on one kind of event loop."""
    if loop == "uvloop":
        if sys.platform == "win32":
            pytest.skip("uvloop is not for this system")
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())  # type: ignore[arg-type]
    else:
        asyncio.run(main())  # type: ignore[arg-type]


@contextmanager
def listening(handle: Handle, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on loopback in a thread; yield the port."""
    ready, found = threading.Event(), list[Any]()

    async def serve() -> None:
        server, over = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context), asyncio.Event()
        found.extend([server.sockets[0].getsockname()[1], asyncio.get_running_loop(), over])
        ready.set()
        await over.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    port, loop, over = found
    yield port
    loop.call_soon_threadsafe(over.set)
    thread.join(10)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with its own body, and with as many bytes more as its path says."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            await answer_one(reader, writer)
    writer.close()


async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request; see `answer`."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    body = await reader.readexactly(length)
    more = b"x" * int(head.split(b" ")[1].rpartition(b"/")[2])
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body + more) + body + more)
    await writer.drain()


async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request, and close the connection a moment later, without having said so."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await writer.drain()
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await reader.read()


class Proxy:
    """A proxy that forwards `http` and tunnels `https` to a port of this machine, whatever host is named.

    Attributes:
        asked: The first line and the credentials of what it was asked.
    """

    def __init__(self, port: int) -> None:
        self.port, self.asked = port, list[tuple[bytes, bool]]()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        self.asked.append((lines[0], b"Proxy-Authorization: Basic dXNlcjpwYXNz" in lines))
        theirs, ours = await asyncio.open_connection("127.0.0.1", self.port)
        if head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            ours.write(head)
        await asyncio.gather(_copied(reader, ours), _copied(theirs, writer))


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_forwards_and_tunnels(scheme: str, colour: str) -> None:
    """Both ways lead through it with its credentials, over one connection for two requests one by one."""
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("vendor.test").configure_cert(theirs)
    authority.configure_trust(ours)
    asked = {"method": "POST", "url": f"{scheme}://vendor.test/5", "content": b"hi"}

    async def main(address: str) -> list[bytes]:
        backend = AsyncBackend(LoopBackend())
        async with AsyncPool(ours, httpx.Limits(max_connections=5), backend, address) as connections:
            return [(await connections.request(**asked)).content for _ in range(2)]

    with listening(answer, theirs if scheme == "https" else None) as port:
        proxy = Proxy(port)
        with listening(proxy) as there:
            address = f"http://user:pass@127.0.0.1:{there}"
            if colour == "async":
                answers = asyncio.run(main(address))
            else:
                backend = Backend(httpcore.SyncBackend())
                with Pool(ours, httpx.Limits(max_connections=5), backend, address) as connections:
                    answers = [connections.request(**asked).content for _ in range(2)]
    assert answers == [b"hixxxxx"] * 2
    line = {"http": b"POST http://vendor.test/5 HTTP/1.1", "https": b"CONNECT vendor.test:443 HTTP/1.1"}
    assert proxy.asked == [(line[scheme], True)]


def apool(limit: int = 10, context: ssl.SSLContext | None = None) -> AsyncPool:
    """Return an async pool."""
    limits = httpx.Limits(max_connections=limit, max_keepalive_connections=limit, keepalive_expiry=60)
    return AsyncPool(
        context or ssl.create_default_context(), limits, AsyncBackend(LoopBackend(), together=True)
    )


def pool(limit: int = 10) -> Pool:
    """Return a sync pool."""
    limits = httpx.Limits(max_connections=limit, max_keepalive_connections=limit, keepalive_expiry=60)
    return Pool(ssl.create_default_context(), limits, Backend(httpcore.SyncBackend(), together=True))


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


def test_connections_are_used_again_and_never_more_than_needed() -> None:
    """60 requests of 6 tasks at once open six connections, whatever the limit."""

    async def main() -> None:
        async with apool(100) as connections:

            async def several() -> None:
                for number in range(10):
                    reply = await connections.request(
                        "POST", f"http://127.0.0.1:{port}/0", content=b"%d" % number
                    )
                    assert reply.content == b"%d" % number

            await asyncio.gather(*(several() for _ in range(6)))
            assert len(connections.connections) == 6
            assert all(each.is_idle() for each in connections.connections)

    with listening(answer) as port:
        asyncio.run(main())


def test_a_full_pool_is_waited_for() -> None:
    """With two connections, 30 requests at once are all answered; nothing stays queued."""

    async def main() -> None:
        async with apool(2) as connections:
            url = f"http://127.0.0.1:{port}/0"
            replies = await asyncio.gather(
                *(connections.request("POST", url, content=b"%d" % n) for n in range(30))
            )
            assert [reply.content for reply in replies] == [b"%d" % n for n in range(30)]
            assert len(connections.connections) == 2
            assert connections._requests == []

    with listening(answer) as port:
        asyncio.run(main())


def test_a_full_pool_gives_up_idle_connections_to_other_servers() -> None:
    """A pool of one goes back and forth between two servers."""
    with listening(answer) as first, listening(answer) as second, pool(1) as connections:
        for port in (first, second, first):
            reply = connections.request("POST", f"http://127.0.0.1:{port}/0", content=b"hi")
            assert reply.content == b"hi"
            assert len(connections.connections) == 1


def test_what_its_server_closed_is_not_used_again() -> None:
    """30 answers, each followed by an unannounced close, are whole; the pool forgets what is closed."""
    with listening(leave) as port, pool(5) as connections:
        for _ in range(30):
            assert connections.request("GET", f"http://127.0.0.1:{port}/").content == b"ok"
            until = time.monotonic() + 10
            while not connections.connections[-1].has_expired() and time.monotonic() < until:
                threading.Event().wait(0.001)  # the close is on its way
        assert len(connections.connections) == 1


def test_threads_share_a_pool() -> None:
    """Eight threads on three connections get their own answers, and leave nothing behind."""
    wrong: list[bytes] = []

    def several(name: int) -> None:
        for number in range(100):
            content = b"%d-%d" % (name, number)
            reply = connections.request("POST", f"http://127.0.0.1:{port}/0", content=content)
            if reply.content != content:
                wrong.append(reply.content)

    with listening(answer) as port, pool(3) as connections:
        threads = [threading.Thread(target=several, args=[name]) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert wrong == []
        assert len(connections.connections) <= 3
        assert connections._requests == []
