"""The connections to one origin are chosen, used again, bounded, and closed when they are no good."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from contextlib import suppress

import httpx
import pytest
import trustme

from langchain_llmdispatch.transport import pool as pools
from langchain_llmdispatch.transport.async_connection import AsyncPool
from langchain_llmdispatch.transport.sync_connection import SyncPool
from langchain_llmdispatch.transport.transport import Transport
from tests.transport.servers import (
    COLOURS,
    answer,
    deadline,
    exchanged,
    leave,
    listening,
    origin,
    post,
    silent,
)

LARGE = 3_000_000
colours = pytest.mark.parametrize("colour", COLOURS)


class Proxy:
    """A proxy that forwards `http` and tunnels `https` to a port of this machine, whatever host is named.

    Attributes:
        requests: The first line and the credentials of what it received.
    """

    def __init__(self, port: int, reply: bytes = b"HTTP/1.0 200 Connection established\r\n\r\n") -> None:
        self.port, self.reply, self.requests = port, reply, list[tuple[bytes, bool]]()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        self.requests.append((lines[0], b"Proxy-Authorization: Basic dXNlcjpwYXNz" in lines))
        theirs, ours = await asyncio.open_connection("127.0.0.1", self.port)
        if head.startswith(b"CONNECT"):
            writer.write(self.reply)
        else:
            ours.write(head)
        await asyncio.gather(_copied(reader, ours), _copied(theirs, writer))


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


def contexts(*hosts: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server with these names and of a client that trusts it."""
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(*hosts).configure_cert(theirs)
    authority.configure_trust(ours)
    return theirs, ours


@colours
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_forwards_and_tunnels(scheme: str, colour: str) -> None:
    """Both ways lead through it with its credentials, over one connection for two requests one by one."""
    theirs, ours = contexts("vendor.test")
    with listening(answer, theirs if scheme == "https" else None) as port:
        proxy = Proxy(port)
        with listening(proxy) as there:
            way = origin(443, scheme, "vendor.test", f"http://user:pass@127.0.0.1:{there}")
            requests = [httpx.Request("POST", f"{scheme}://vendor.test/5", content=b"hi") for _ in range(2)]
            found = exchanged(colour, way, *requests, context=ours if scheme == "https" else None)
    assert [each.content for each in found.responses] == [b"hixxxxx"] * 2
    line = {"http": b"POST http://vendor.test/5 HTTP/1.1", "https": b"CONNECT vendor.test:443 HTTP/1.1"}
    assert proxy.requests == [(line[scheme], True)]


@colours
@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0"]
)
def test_a_proxy_that_refuses_is_named(colour: str, reply: bytes) -> None:
    """No tunnel is no connection: nothing of the request is sent."""
    with listening(answer) as port, listening(Proxy(port, reply)) as there:
        way = origin(443, "https", "vendor.test", f"http://127.0.0.1:{there}")
        with pytest.raises(httpx.ProxyError, match=reply[9:12].decode()):
            exchanged(colour, way, post(way), context=ssl.create_default_context())


@colours
@pytest.mark.parametrize("trusted", [True, False])
def test_tls_is_checked_for_its_certificate(colour: str, trusted: bool) -> None:
    """A certificate that is not trusted ends the connection; a trusted one carries large bodies both ways."""
    theirs, ours = contexts("localhost", "127.0.0.1")
    body = b"y" * LARGE
    with listening(answer, theirs) as port:
        there = origin(port, "https", "localhost")
        requests = [post(there, f"/{LARGE}", body) for _ in range(2)]
        if trusted:
            found = exchanged(colour, there, *requests, context=ours)
            assert all(each.content == body + b"x" * LARGE for each in found.responses)
            assert (found.opened, found.busy) == (1, 0)
        else:
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                exchanged(colour, there, *requests, context=ssl.create_default_context())


@colours
def test_a_silent_server_is_not_waited_for_longer_than_the_deadline(colour: str) -> None:
    """The deadline ends the read, and its connection is closed."""
    with listening(silent) as port, pytest.raises(httpx.TimeoutException):
        exchanged(colour, origin(port), post(origin(port)), seconds=0.02)


@colours
def test_a_closed_port_is_a_connect_error(colour: str) -> None:
    """It is distinguished from a broken answer."""
    with listening(silent) as port:
        pass
    with pytest.raises(httpx.ConnectError):
        exchanged(colour, origin(port), post(origin(port)))


@colours
def test_a_deadline_that_has_passed_begins_nothing(colour: str) -> None:
    """Neither a connection nor, on an idle one, a request."""
    with listening(silent) as port, pytest.raises(httpx.ConnectTimeout):
        exchanged(colour, origin(port), post(origin(port)), seconds=-1)


@colours
def test_what_its_server_closed_is_not_used_again(colour: str) -> None:
    """Answers that are each followed by an unannounced close are whole; the pool forgets what is closed."""
    with listening(leave) as port:
        there = origin(port)
        pool = SyncPool(there, None)
        for _ in range(10):
            assert pool.handle_request(post(there), deadline()).read() == b"ok"
            until = time.monotonic() + 60
            while pool.idle[0].is_fresh() and time.monotonic() < until:
                threading.Event().wait(0.001)  # the close is on its way
        assert len(pool.opened) == 1
        pool.close()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Refuse a request by its head, and close: the body is not read."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")


@colours
def test_an_early_refusal_is_the_answer(colour: str) -> None:
    """A server may respond before it has read a body, and close; the connection is not used again."""

    async def refuse_and_wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await refuse(reader, writer)
        writer.write_eof()
        while await reader.read(65_536):
            pass

    with listening(refuse_and_wait) as port:
        there = origin(port)
        found = exchanged(colour, there, post(there, content=b"x" * LARGE))
    assert (found.responses[0].status_code, found.responses[0].content) == (413, b"no")


def test_expired_connections_are_closed() -> None:
    """What was idle for a minute is not used, and is closed when others become idle."""
    with listening(answer) as port:
        there = origin(port)
        pool = SyncPool(there, None)
        for _ in range(2):
            assert pool.handle_request(post(there), deadline()).read() == b"hi"
            (held,) = pool.idle
            held.idle_since -= pools.IDLE_SECONDS
        assert len(pool.opened) == 1
        assert held in pool.opened
        pool.sweep(time.monotonic())
        assert pool.opened == []


def test_a_pool_without_requests_is_swept_by_the_others() -> None:
    """What is idle at a vendor that gets no requests any more is closed, too."""
    with listening(answer) as one, listening(answer) as two:
        transport = Transport(environment={})
        for port in (one, two):
            assert transport.send(post(origin(port)), deadline()).read() == b"hi"
        first, second = transport._sync.values()
        assert isinstance(first, SyncPool)
        assert isinstance(second, SyncPool)
        first.idle[0].idle_since -= pools.IDLE_SECONDS
        second._swept -= 1
        assert transport.send(post(origin(two)), deadline()).read() == b"hi"
        assert (first.opened, len(second.opened)) == ([], 1)
        transport.close()


def test_tasks_use_connections_again_and_never_more_than_needed() -> None:
    """60 requests of 6 tasks at once open six connections, whatever the limit."""

    async def main() -> None:
        pool = AsyncPool(there, None)

        async def several() -> None:
            for number in range(10):
                reply = await pool.handle_async_request(post(there, content=b"%d" % number), deadline())
                assert await reply.aread() == b"%d" % number

        await asyncio.gather(*(several() for _ in range(6)))
        assert (len(pool.opened), len(pool.idle)) == (6, 6)
        await pool.aclose()

    with listening(answer) as port:
        there = origin(port)
        asyncio.run(main())


def test_a_full_pool_is_waited_for() -> None:
    """With two connections, 30 requests at once are all answered, whichever of them is cancelled meanwhile."""

    async def main() -> None:
        pool = AsyncPool(there, None, 2)

        async def one(number: int) -> bytes:
            reply = await pool.handle_async_request(post(there, content=b"%d" % number), deadline())
            return await reply.aread()

        tasks = [asyncio.create_task(one(number)) for number in range(30)]
        while not tasks[0].done():
            await asyncio.sleep(0)
        for cancelled in tasks[5:25:5]:
            cancelled.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        right = [reply == b"%d" % number for number, reply in enumerate(found) if isinstance(reply, bytes)]
        assert all(right)
        assert len(right) >= 26
        assert len(pool.opened) <= 2
        assert pool.busy == []
        await pool.end()

    with listening(answer) as port:
        there = origin(port)
        asyncio.run(main())


@pytest.mark.parametrize("colour", ["sync", "asyncio"])
def test_a_full_pool_gives_up_at_the_deadline(colour: str) -> None:
    """A request for which no connection becomes idle raises that."""

    async def main() -> None:
        apool = AsyncPool(there, None, 1)
        held = await apool.handle_async_request(post(there, "/9000000"), deadline())
        with pytest.raises(httpx.PoolTimeout):
            await apool.handle_async_request(post(there), deadline(0.02))
        await held.aclose()
        assert await (await apool.handle_async_request(post(there), deadline())).aread() == b"hi"
        await apool.end()

    with listening(answer) as port:
        there = origin(port)
        if colour == "asyncio":
            asyncio.run(main())
            return
        pool = SyncPool(there, None, 1)
        held = pool.handle_request(post(there, "/9000000"), deadline())
        with pytest.raises(httpx.PoolTimeout):
            pool.handle_request(post(there), deadline(0.02))
        held.close()
        assert pool.handle_request(post(there), deadline()).read() == b"hi"
        pool.close()


def test_threads_share_a_pool() -> None:
    """Eight threads on three connections get their own answers, and leave nothing behind."""
    wrong: list[bytes] = []

    def several(name: int) -> None:
        for number in range(50):
            content = b"%d-%d" % (name, number)
            reply = pool.handle_request(post(there, content=content), deadline()).read()
            if reply != content:
                wrong.append(reply)

    with listening(answer) as port:
        there = origin(port)
        pool = SyncPool(there, None, 3)
        threads = [threading.Thread(target=several, args=[name]) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []
        assert len(pool.opened) <= 3
        assert pool.busy == []
        pool.close()


async def trailing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with more than was announced."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            more = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + more)
            await reader.readexactly(1)


@colours
def test_an_answer_without_a_request_is_no_one_elses(colour: str) -> None:
    """A connection with bytes after a response is closed: the next request opens another."""
    with listening(trailing) as port:
        there = origin(port)
        found = exchanged(colour, there, *(post(there, content=b"%d" % n) for n in range(5)))
    assert [each.content for each in found.responses] == [b"ok"] * 5
