"""What httpx sends: requests that no pool of ours sends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

import langchain_llmdispatch
from langchain_llmdispatch.transport.httpx_transports import AsyncDelegate, SyncDelegate
from langchain_llmdispatch.transport.pool import Origin
from langchain_llmdispatch.transport.transport import Transport
from tests.transport.servers import deadline, listening, origin, post, sent

COLOURS = pytest.mark.parametrize("colour", ["sync", "async"])


async def _apieces() -> AsyncIterator[bytes]:
    for piece in (b"ab", b"c"):
        yield piece


async def count_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the chunks of the request's body."""
    with suppress(asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@COLOURS
def test_a_body_that_is_not_in_memory_is_sent_piece_by_piece(colour: str) -> None:
    """A large upload stays an iterator to the socket."""
    with listening(count_chunks) as port:
        content: Any = iter([b"ab", b"c"]) if colour == "sync" else _apieces()
        request = httpx.Request("POST", f"http://127.0.0.1:{port}/", content=content)
        transport = Transport(environment={})
        assert sent(transport, request, colour) == b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        transport.close()


@pytest.mark.parametrize(
    ("proxy", "direct"),
    [
        (None, True),
        ("http://proxy.test:3128", True),
        ("https://proxy.test", False),
        ("socks5://proxy.test", False),
    ],
)
def test_who_goes_through_a_proxy(proxy: str | None, direct: bool) -> None:
    """TLS to a proxy, and SOCKS, are httpx's."""
    assert Origin("https", "vendor.test", 443, proxy).is_direct is direct


@COLOURS
def test_a_delegate_applies_the_deadline(colour: str) -> None:
    """Each of its reads ends with it."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.005)

    async def main() -> None:
        delegate = AsyncDelegate(there, None)
        try:
            await delegate.handle_async_request(post(there), deadline(0.05))
        finally:
            await delegate.end()

    with listening(drip) as port, pytest.raises(httpx.TimeoutException):
        there = origin(port)
        if colour == "async":
            asyncio.run(main())
        SyncDelegate(there, None).handle_request(post(there), deadline(0.05))


def test_only_one_module_uses_underscored_names_of_httpx_and_httpcore() -> None:
    """An update of either can break `httpx_transports.py`, and nothing else."""
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
    assert used == {"transport/httpx_transports.py"}
