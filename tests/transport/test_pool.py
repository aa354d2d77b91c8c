"""The pools on httpcore's underscored names: connections are chosen, reused, bounded and given back."""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import trustme

import langchain_llmdispatch
from langchain_llmdispatch.transport.pool import AsyncPool, Pool
from tests.transport.servers import answer, apool, leave, listening, pool


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
    try:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
    finally:
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
        async with AsyncPool(ours, httpx.Limits(max_connections=5), address) as connections:
            return [(await connections.request(**asked)).content for _ in range(2)]

    with listening(answer, theirs if scheme == "https" else None) as port:
        proxy = Proxy(port)
        with listening(proxy) as there:
            address = f"http://user:pass@127.0.0.1:{there}"
            if colour == "async":
                answers = asyncio.run(main(address))
            else:
                with Pool(ours, httpx.Limits(max_connections=5), address) as connections:
                    answers = [connections.request(**asked).content for _ in range(2)]
    assert answers == [b"hixxxxx"] * 2
    line = {"http": b"POST http://vendor.test/5 HTTP/1.1", "https": b"CONNECT vendor.test:443 HTTP/1.1"}
    assert proxy.asked == [(line[scheme], True)]


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
            until = time.monotonic() + 60
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
            thread.join(60)
        assert wrong == []
        assert len(connections.connections) <= 3
        assert connections._requests == []


def test_only_one_module_uses_underscored_names_of_httpx_and_httpcore() -> None:
    """An update of either can break `pool.py`, and nothing else."""
    private = re.compile(
        r"\._(pool|network_backend|transport_for_url|connections|requests|max_connections|optional_thread_lock)\b"
    )
    package = Path(langchain_llmdispatch.__file__).parent
    used = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"^import (httpx|httpcore)", text := path.read_text(encoding="utf-8"), re.MULTILINE)
        and private.search(text)
    }
    assert used == {"transport/pool.py"}
