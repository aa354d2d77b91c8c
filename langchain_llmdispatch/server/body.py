"""The body of a request, bounded in bytes and in time."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from langchain_llmdispatch.server.failures import Failure, RefusedRequestError

BODY_SECONDS = 120.0
"""Seconds in which a whole body must have come."""


async def read_body(request: Request, most: int, seconds: float = BODY_SECONDS) -> bytes:
    """Return the body of a request.

    Args:
        request: The request.
        most: The most bytes; a longer one is refused by its announced length, before it is read.
        seconds: Seconds in which it must have come.

    Raises:
        RefusedRequestError: It is too long (413) or too slow (408).
        ClientDisconnect: The client has left.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_long(most)
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, most)
    except TimeoutError:
        text = f"the body did not come within {seconds:g} s."
        raise RefusedRequestError(Failure(408, "timeout_error", text, "request_timeout")) from None


async def _read(request: Request, most: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise _too_long(most)
    return bytes(body)


def _too_long(most: int) -> RefusedRequestError:
    text = f"the body has more than {most} bytes."
    return RefusedRequestError(Failure(413, "invalid_request_error", text, "request_too_large"))
