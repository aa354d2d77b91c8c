"""Reading bodies: within a deadline and a number of bytes, in both colours, whichever client made the response."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.transport.body import afinish, aread, awhole, finish, read, whole
from langchain_llmdispatch.transport.deadline import ReadDeadline
from tests.cases import each
from tests.drivers.script import Body

LIMIT = 100_000


def deadline(seconds: float = 60.0) -> ReadDeadline:
    """Return a deadline in virtual time."""
    clock = FakeClock()
    return ReadDeadline(clock, clock.monotonic() + seconds, "the answer")


def _read(response: httpx.Response, until: ReadDeadline) -> list[bytes]:
    return list(read(response, until, LIMIT))


def _aread(response: httpx.Response, until: ReadDeadline) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [piece async for piece in aread(response, until, LIMIT)]

    return asyncio.run(collect())


def _whole(response: httpx.Response, until: ReadDeadline) -> list[bytes]:
    return [whole(response, until, LIMIT)]


def _awhole(response: httpx.Response, until: ReadDeadline) -> list[bytes]:
    return [asyncio.run(awhole(response, until, LIMIT))]


READERS = {"read": _read, "aread": _aread, "whole": _whole, "awhole": _awhole}
Reader = Callable[[httpx.Response, ReadDeadline], list[bytes]]
readers = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)


def answer(*pieces: bytes | Exception, status: int = 200, **headers: str) -> tuple[httpx.Response, Body]:
    """Return a response, and its body."""
    body = Body(*pieces)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, stream=body), body


@readers
def test_a_body_as_long_as_it_may_be(reader: Reader) -> None:
    """The last byte that is allowed passes, packed or not."""
    text = b"x" * LIMIT
    assert b"".join(reader(answer(text[:7], text[7:])[0], deadline())) == text
    packed = gzip.compress(text)
    assert b"".join(reader(answer(packed[:9], packed[9:], content_encoding="gzip")[0], deadline())) == text


@readers
@pytest.mark.parametrize("packed", [False, True])
def test_a_body_that_is_too_long(reader: Reader, packed: bool) -> None:
    """The error names the limit and how to raise it; what follows is not read."""
    text = b"x" * (LIMIT + 1)
    pieces = [gzip.compress(text)] if packed else [text[:7], text[7:]]
    response, body = answer(*pieces, *[b"more"] * 9, **({"content_encoding": "gzip"} if packed else {}))
    with pytest.raises(errors.ResponseTooLargeError, match="100000 bytes.*max_response_bytes"):
        reader(response, deadline())
    assert body.read == len(pieces)


@readers
@pytest.mark.parametrize(
    ("coding", "head", "more"),
    [("gzip", b"\x1f\x8b\x08\x08" + bytes(6), b"name" * 1000), ("deflate", b"", b"\0\0\0\xff\xff" * 1000)],
    ids=["a name that never ends", "blocks of nothing"],
)
def test_a_body_that_unpacks_to_nothing(reader: Reader, coding: str, head: bytes, more: bytes) -> None:
    """What arrives counts as well."""
    response, body = answer(head, *[more] * 500, content_encoding=coding)
    with pytest.raises(errors.ResponseTooLargeError):
        reader(response, deadline())
    assert body.read < 50


@readers
def test_a_body_that_is_there_already(reader: Reader) -> None:
    """A client of the user may have read it; httpx has unpacked it then."""
    text = b"x" * LIMIT
    response = httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(text))
    assert b"".join(reader(response, deadline())) == text
    with pytest.raises(errors.ResponseTooLargeError):
        reader(httpx.Response(200, content=text + b"x"), deadline())


@readers
def test_failures_on_the_way(reader: Reader) -> None:
    """A broken connection, a coding that is none, and a deadline that passes are errors of ours."""
    broken = answer(b"a", httpx.ReadError("reset"))[0]
    with pytest.raises(errors.ConnectionFailedError, match="reset"):
        reader(broken, deadline())
    with pytest.raises(errors.MalformedResponseError, match="DecodingError") as raised:
        reader(answer(b"no gzip", content_encoding="gzip")[0], deadline())
    assert raised.value.__context__ is None  # httpx's error may hold the request
    with pytest.raises(errors.AttemptTimeoutError, match="the answer"):
        reader(answer(b"a", b"b")[0], deadline(0))


@each("reader", [_whole, _awhole])
@each("status", [401, 404, 429, 500, 503])
def test_a_long_error_is_known_by_its_status(reader: Reader, status: int) -> None:
    """Its beginning is enough; much less is read than of an answer."""
    response, body = answer(*[b"x" * 10_000] * 50, status=status)
    (text,) = reader(response, deadline())
    assert (len(text), body.read) == (60_000, 7)


@each("reader", [_whole, _awhole])
@each("status", [400, 422])
def test_a_long_refusal_may_be_anything(reader: Reader, status: int) -> None:
    """Whether the request is to blame is in its text: unread, it is the vendor's fault."""
    with pytest.raises(errors.ResponseTooLargeError):
        reader(answer(*[b"x" * 10_000] * 50, status=status)[0], deadline())


def test_the_rest_is_discarded() -> None:
    """To the end, or to the first error, or to the limit; nothing is raised."""
    endless: list[Any] = [b"x" * 10_000] * 50
    for pieces, taken in (([b"a", b"b"], 2), ([b"a", httpx.ReadError("reset"), b"b"], 2), (endless, 11)):
        response, body = answer(*pieces)
        finish(read(response, deadline(), LIMIT))
        assert body.read == taken
        response, body = answer(*pieces)
        asyncio.run(afinish(aread(response, deadline(), LIMIT)))
        assert body.read == taken
