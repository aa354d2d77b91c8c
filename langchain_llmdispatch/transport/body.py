"""Headers and bodies of responses: read piece by piece, unpacked, within a deadline and a number of bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from datetime import UTC
from email.utils import format_datetime
from typing import Any

import httpx

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import DispatchError, ResponseTooLargeError
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.pooled_response import PooledResponse, ResponseFields
from langchain_llmdispatch.transport.transport import failure_of, timed_out
from langchain_llmdispatch.transport.unpacking import Unpacker, unpacker

# The limit of an error's body: a part of that of an answer's, but never less than so many bytes.
_ERROR_PART, _LEAST_ERROR_BYTES = 64, 64 * 1024
# A refusal that is not read to its end may be anything; other errors are known by their status.
_READ_WHOLE = frozenset({400, 422})


def dated_headers(response: httpx.Response, clock: Clock) -> Mapping[str, str]:
    """Return the headers of a response; a refusal without a date was made now, by `clock`."""
    headers: Mapping[str, str] = getattr(response, "fields", None) or response.headers
    if response.status_code == httpx.codes.OK or "date" in headers:
        return headers
    now = format_datetime(clock.now().astimezone(UTC), usegmt=True)
    return ResponseFields([*headers.items(), ("date", now)])


def read(response: httpx.Response, read_deadline: ReadDeadline, limit: int) -> Iterator[bytes]:
    """Yield the body's pieces as they arrive, unpacked if the server compressed them.

    Args:
        response: The response, its body unread.
        read_deadline: When waiting for it ends.
        limit: The most bytes that it may have, packed or unpacked.

    Raises:
        ConnectionFailedError: The connection broke.
        AttemptTimeoutError: The deadline passed.
        ResponseTooLargeError: The body has more bytes.
        MalformedResponseError: It cannot be unpacked.
    """
    failure: DispatchError | None = None
    left = packed_left = limit
    unpack = _unpacker_of(response)
    # The stream itself skips httpx's chunker, byte counter and decoders.
    source: Any = response.iter_bytes() if response.is_stream_consumed else response.stream
    try:
        for raw in source:
            packed_left -= len(raw)
            for piece in (raw,) if unpack is None else unpack(raw):
                left -= len(piece)
                if left < 0:
                    break
                yield piece
            if (failure := _stopped(min(left, packed_left), limit, read_deadline)) is not None:
                break
    except httpx.HTTPError as error:
        failure = failure_of(error, read_deadline)
    if failure is not None:
        raise failure


async def aread(response: httpx.Response, read_deadline: ReadDeadline, limit: int) -> AsyncIterator[bytes]:
    """Yield the body's pieces as they arrive; see `read`."""
    failure: DispatchError | None = None
    left = packed_left = limit
    unpack = _unpacker_of(response)
    source: Any = response.aiter_bytes() if response.is_stream_consumed else response.stream
    try:
        async for raw in source:
            packed_left -= len(raw)
            for piece in (raw,) if unpack is None else unpack(raw):
                left -= len(piece)
                if left < 0:
                    break
                yield piece
            if (failure := _stopped(min(left, packed_left), limit, read_deadline)) is not None:
                break
    except httpx.HTTPError as error:
        failure = failure_of(error, read_deadline)
    if failure is not None:
        raise failure


def whole(response: httpx.Response, read_deadline: ReadDeadline, limit: int) -> bytes:
    """Return a whole body, or the beginning of a long one if its error status explains it; see `read`."""
    if (body := _arrived(response, limit)) is not None:
        return body
    pieces: list[bytes] = []
    try:
        pieces.extend(read(response, read_deadline, _limit_of(response, limit)))
    except ResponseTooLargeError:
        if _needs_all(response):
            raise
    return b"".join(pieces)


async def awhole(response: httpx.Response, read_deadline: ReadDeadline, limit: int) -> bytes:
    """Return a whole body; see `whole`."""
    if (body := _arrived(response, limit)) is not None:
        return body
    pieces: list[bytes] = []
    try:
        async for piece in aread(response, read_deadline, _limit_of(response, limit)):
            pieces.append(piece)  # noqa: PERF401 - what came before the limit is kept
    except ResponseTooLargeError:
        if _needs_all(response):
            raise
    return b"".join(pieces)


def close(opened: Any) -> None:
    """Close a response, or its pieces."""
    stream = _open_stream(opened)
    if stream is not None:
        stream.close()


async def aclose(opened: Any) -> None:
    """Close a response, or its pieces; see `close`."""
    stream = _open_stream(opened)
    if stream is not None:
        await stream.aclose()


def finish(pieces: Iterator[bytes]) -> None:
    """Discard a body's rest, within the deadline, so that its connection can be used again."""
    with suppress(DispatchError):
        for _ in pieces:
            pass


async def afinish(pieces: AsyncIterator[bytes]) -> None:
    """Discard a body's rest; see `finish`."""
    with suppress(DispatchError):
        async for _ in pieces:
            pass


def _open_stream(opened: Any) -> Any:
    """Return what is to be closed; None where it is closed already.

    Beside the stream, `Response.close` only gives the request to an error, at four times the cost.
    """
    if not isinstance(opened, httpx.Response):
        return opened
    if opened.is_closed:
        return None
    opened.is_closed = True
    return opened.stream


def _arrived(response: httpx.Response, limit: int) -> bytes | None:
    """Return a body that arrived with its head, and close the response; None if it did not, or is long."""
    if not isinstance(response, PooledResponse) or response.stream is not response.whole:
        return None
    body = response.body
    if body is None or response.fields is None or len(body) > min(limit, _LEAST_ERROR_BYTES):
        return None  # headers that were read as httpx's may say now that it is packed
    response.is_closed = True
    return body


def _limit_of(response: httpx.Response, limit: int) -> int:
    return limit if response.is_success else min(limit, max(limit // _ERROR_PART, _LEAST_ERROR_BYTES))


def _needs_all(response: httpx.Response) -> bool:
    return response.is_success or response.status_code in _READ_WHOLE


def _stopped(left: int, limit: int, read_deadline: ReadDeadline) -> DispatchError | None:
    """Return why reading stops before the end of the body, if it does."""
    if left < 0:
        text = f"the response has more than {limit} bytes; a larger max_response_bytes lets it pass"
        return ResponseTooLargeError(text)
    late = read_deadline.until <= read_deadline.clock.monotonic()
    return timed_out(read_deadline) if late else None


def _unpacker_of(response: httpx.Response) -> Unpacker | None:
    # A body that is there already (`httpx.MockTransport`) is unpacked, too.
    if response.is_stream_consumed:
        return None
    return unpacker(getattr(response, "fields", None) or response.headers)
