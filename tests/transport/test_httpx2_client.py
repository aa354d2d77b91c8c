"""A user's own client of httpx2: requests, responses and errors pass in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import httpx2
import pytest

from langchain_llmdispatch.transport.httpx2_client import asend_with, send_with

COLOURS = pytest.mark.parametrize("colour", ["sync", "async"])


class Broken(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that breaks after its first piece."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield a piece, and fail."""
        yield b"one"
        raise httpx2.ReadError("reset")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield a piece, and fail."""
        yield b"one"
        raise httpx2.ReadError("reset")

    def close(self) -> None:
        """Note it."""
        self.closed = True

    async def aclose(self) -> None:
        """Note it."""
        self.closed = True


class Whole(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that arrives while it is read."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield it."""
        yield b"body"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield it."""
        yield b"body"


def sent(
    colour: str, request: httpx.Request, handle: Any, **settings: Any
) -> tuple[httpx.Response, list[bytes]]:
    """Return the response and the pieces of its body, of a client whose server is a function."""
    transport, pieces = httpx2.MockTransport(handle), list[bytes]()

    async def main() -> httpx.Response:
        async with httpx2.AsyncClient(transport=transport, **settings) as client:
            response = await asend_with(client, request)
            try:
                async for piece in response.aiter_raw():
                    pieces.append(piece)
            finally:
                await response.aclose()
            return response

    if colour == "async":
        return asyncio.run(main()), pieces
    with httpx2.Client(transport=transport, **settings) as client:
        response = send_with(client, request)
        try:
            pieces.extend(response.iter_raw())
        finally:
            response.close()
        return response, pieces


@COLOURS
def test_a_request_and_its_response_are_the_same_there(colour: str) -> None:
    """Method, address, headers and body; only what is unpacked here may be packed."""
    seen: list[Any] = []

    def handle(request: Any) -> Any:
        seen.append((request.method, str(request.url), request.headers, request.content))
        return httpx2.Response(202, headers=[("x-a", "1"), ("x-a", "2")], stream=Whole())

    request = httpx.Request("POST", "https://vendor.test/v1?q=%2F", headers={"x-own": "1"}, content=b"{}")
    response, pieces = sent(colour, request, handle)
    method, url, headers, body = seen[0]
    assert (method, url, headers["x-own"], body) == ("POST", "https://vendor.test/v1?q=%2F", "1", b"{}")
    assert headers["accept-encoding"] == "gzip, deflate"
    assert (response.status_code, response.headers.get_list("x-a"), b"".join(pieces)) == (
        202,
        ["1", "2"],
        b"body",
    )


async def _apieces() -> AsyncIterator[bytes]:
    for piece in (b"a", b"b"):
        yield piece


@COLOURS
def test_a_body_that_is_not_in_memory_stays_an_iterator(colour: str) -> None:
    """Uploads, in either colour."""
    seen: list[bytes] = []

    def handle(request: Any) -> Any:
        seen.append(request.read())
        return httpx2.Response(200, stream=Whole())

    async def ahandle(request: Any) -> Any:
        seen.append(await request.aread())
        return httpx2.Response(200, stream=Whole())

    content: Any = iter([b"a", b"b"]) if colour == "sync" else _apieces()
    request = httpx.Request("POST", "https://vendor.test/", content=content)
    sent(colour, request, handle if colour == "sync" else ahandle)
    assert seen == [b"ab"]


@COLOURS
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx2.ConnectTimeout("late"), httpx.ConnectTimeout),
        (httpx2.ConnectError("no"), httpx.ConnectError),
        (httpx2.RemoteProtocolError("odd"), httpx.RemoteProtocolError),
        (LookupError("a hook's"), LookupError),
    ],
)
def test_errors_have_httpxs_names(colour: str, error: Exception, expected: type[Exception]) -> None:
    """So the retry policy recognises them; what is not httpx2's stays as it is."""

    def handle(_: Any) -> Any:
        raise error

    with pytest.raises(expected):
        sent(colour, httpx.Request("GET", "https://vendor.test/"), handle)


@COLOURS
def test_a_stream_that_breaks_is_httpxs_error(colour: str) -> None:
    """What came before is delivered, and the response is closed."""
    body = Broken()
    with pytest.raises(httpx.ReadError, match="reset"):
        sent(
            colour, httpx.Request("GET", "https://vendor.test/"), lambda _: httpx2.Response(200, stream=body)
        )
    assert body.closed
