"""A user's own client of httpx2, httpx's successor: requests, responses and errors in its terms and back.

httpx2 is not imported here: where there is a client, it is there.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from langchain_llmdispatch.transport.own_client import read_response


def send_with(client: Any, request: httpx.Request) -> httpx.Response:
    """Send a request with a client of httpx2, and return the response with its body unread.

    Raises:
        httpx.HTTPError: As httpx would raise it.
        Exception: Whatever the client's own hooks and auth raise.
    """
    with _translated():
        body: Any = request.stream
        there = _request(request, iter(body) if (read := _content(request)) is None else read)
        return _response(client.send(there, stream=True, follow_redirects=False))


async def asend_with(client: Any, request: httpx.Request) -> httpx.Response:
    """Send a request with an async client of httpx2; see `send_with`."""
    with _translated():
        body: Any = request.stream
        there = _request(request, aiter(body) if (read := _content(request)) is None else read)
        return _response(await client.send(there, stream=True, follow_redirects=False))


def _content(request: httpx.Request) -> bytes | None:
    try:
        return request.content
    except httpx.RequestNotRead:
        return None


def _request(request: httpx.Request, content: Any) -> Any:
    make: Any = sys.modules["httpx2"].Request
    # The client names what it unpacks; here it is unpacked by us, which needs no package for these two.
    request.headers["accept-encoding"] = "gzip, deflate"
    headers, extensions = request.headers.raw, request.extensions
    return make(request.method, str(request.url), headers=headers, content=content, extensions=extensions)


def _response(found: Any) -> httpx.Response:
    if found.is_stream_consumed:  # a hook has read it
        return read_response(found)
    return httpx.Response(
        found.status_code, headers=found.headers.raw, stream=_Stream(found), extensions=found.extensions
    )


@contextmanager
def _translated() -> Iterator[None]:
    """Raise errors of httpx2, and of the transports below it, as those of httpx with the same name."""
    try:
        yield
    except Exception as error:
        names = [each.__name__ for each in type(error).__mro__ if _is_foreign(each)]
        cls = next((known for name in names if (known := getattr(httpx, name, None)) is not None), None)
        if cls is None:
            raise
        response = getattr(error, "response", None)
        if response is not None:
            request = httpx.Request("POST", str(response.request.url))
            raise cls(str(error), request=request, response=read_response(response)) from error
        raise cls(str(error)) from error


def _is_foreign(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in {"httpx2", "httpcore2", "httpcore"}


class _Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a response of httpx2, as it was sent."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        """Yield what arrives."""
        with _translated():
            yield from self._response.stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what arrives."""
        with _translated():
            async for piece in self._response.stream:
                yield piece

    def close(self) -> None:
        """Close the response."""
        self._response.close()

    async def aclose(self) -> None:
        """Close the response."""
        await self._response.aclose()
