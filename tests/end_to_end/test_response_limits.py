"""A response that is too long is the vendor's fault: bounded in memory, known by its name, answered by another."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest

from langchain_llmdispatch import AllDeploymentsFailedError, Deployment, DispatcherChatModel, VendorConfig
from langchain_llmdispatch.errors import ResponseTooLargeError, StreamInterruptedError
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, ONE_CALL, deployment, model_of
from tests.transport.servers import Handle, listening

LIMIT = 200_000
DELTA = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"a" * 2_000)


def endless(piece: bytes, status: int = 200) -> Handle:
    """Return a server whose responses never end."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 99999999999\r\n\r\n" % status)
        with suppress(ConnectionError):
            while True:
                writer.write(piece)
                await writer.drain()

    return handle


def packed(coding: str, body: bytes, status: int = 200) -> Handle:
    """Return a server whose responses are small, and unpack to much."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} x\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        with suppress(ConnectionError):
            await writer.drain()

    return handle


WHOLE = b'{"choices": [{"message": {"content": "'
BODIES: dict[str, Callable[[int], Handle]] = {
    "endless": lambda status: endless(b" " * 5000, status),
    "gzip": lambda status: packed("gzip", gzip.compress(WHOLE + b" " * 5_000_000), status),
    "deflate": lambda status: packed("deflate", zlib.compress(b" " * 5_000_000), status),
    "gzip in gzip": lambda status: packed(
        "gzip, gzip", gzip.compress(gzip.compress(bytes(9_000_000))), status
    ),
}
EVENTS: dict[str, Handle] = {
    "a line": endless(b"data: x" * 1000),
    "data lines": endless(b"data: words\n" * 500),
    "plain JSON": endless(b"{" * 5000),
    "comments": endless(b": ping, and what else there is to say\n" * 100),
    "a packed line": packed("gzip", gzip.compress(b"data: " + b"x" * 5_000_000)),
}
colours = pytest.mark.parametrize("colour", ONE_CALL)


@pytest.fixture(params=["ours", "the user's"])
def client(request: pytest.FixtureRequest) -> Iterator[dict[str, VendorConfig]]:
    """Return settings with clients of the user, or none."""
    if request.param == "ours":
        yield {}
        return
    with httpx.Client() as sync:
        config = VendorConfig(http_client=sync, http_async_client=httpx.AsyncClient())
        yield {"compatible": config}


def at(port: int) -> Deployment:
    """Return a deployment on the server at this port."""
    return Deployment("compatible:qwen3-4b", name="long", base_url=f"http://127.0.0.1:{port}", api_key="key")


def run(model: DispatcherChatModel, colour: str) -> list[str | None]:
    """Return the errors of a call's attempts; the last one has answered."""
    attempts = COLOURS[colour](model, "hello").response_metadata["llmdispatch"]["attempts"]
    return [attempt["error"] for attempt in attempts]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(
    ("status", "colour"),
    [(200, "invoke"), (200, "ainvoke"), (400, "ainvoke"), (400, "stream"), (400, "astream")],
)
def test_bodies(
    server: LoopbackServer,
    client: dict[str, VendorConfig],
    body: Callable[[int], Handle],
    status: int,
    colour: str,
) -> None:
    """Whole bodies, of answers and refusals, are read to the limit, and the next deployment answers."""
    with listening(body(status)) as port:
        model = model_of(at(port), deployment(server, "openai"), vendors=client, max_response_bytes=LIMIT)
        assert run(model, colour) == ["ResponseTooLargeError", None]


@colours
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_long_errors_mean_what_their_status_does(
    server: LoopbackServer, body: Callable[[int], Handle], colour: str
) -> None:
    """A page of error as long as a book is still a server's error."""
    with listening(body(500)) as port:
        model = model_of(at(port), deployment(server, "openai"), max_response_bytes=LIMIT, max_retries=0)
        assert run(model, colour) == ["ServerError", None]


@pytest.mark.parametrize("colour", ["stream", "astream"])
@pytest.mark.parametrize("events", EVENTS.values(), ids=EVENTS)
def test_events(server: LoopbackServer, client: dict[str, VendorConfig], events: Handle, colour: str) -> None:
    """An event that never ends, and a stream without any, are left for the next deployment."""
    with listening(events) as port:
        model = model_of(at(port), deployment(server, "openai"), vendors=client, max_response_bytes=LIMIT)
        assert run(model, colour) == ["ResponseTooLargeError", None]


@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_a_stream_that_never_ends(colour: str) -> None:
    """It may be four times as long as its limit, since each word comes in an envelope; then it is broken."""
    with listening(endless(DELTA)) as port:
        model = model_of(at(port), max_response_bytes=100_000)
        with pytest.raises(StreamInterruptedError, match="400000 bytes") as raised:
            COLOURS[colour](model, "hello")
    assert 200_000 < len(raised.value.partial.text) < 400_000


def test_the_error_names_the_setting() -> None:
    """The error shows how to let such responses pass, and the deployment is not tried again."""
    with listening(endless(b" " * 5000)) as port:
        with pytest.raises(AllDeploymentsFailedError, match="200000 bytes.*max_response_bytes") as raised:
            model_of(at(port), max_response_bytes=LIMIT).invoke("hello")
    assert [type(error) for error in raised.value.errors] == [ResponseTooLargeError]


async def long_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with a text as long as a large image, streamed in one event."""
    head = await reader.readuntil(b"\r\n\r\n")
    sent = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    streamed = b'"stream":true' in await reader.readexactly(sent)
    message, end = {"role": "assistant", "content": "x" * 20_000_000}, {"finish_reason": "stop"}
    body = json.dumps(
        {"choices": [{"delta" if streamed else "message": message, "index": 0, **end}]}
    ).encode()
    body = b"data: %s\n\ndata: [DONE]\n\n" % body if streamed else body
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()


@colours
def test_what_is_as_long_as_real_answers_passes(colour: str) -> None:
    """The limit that is set by default is not met by an image of 4096 x 4096 pixels."""
    with listening(long_answer) as port:
        assert len(COLOURS[colour](model_of(at(port)), "hello").text) == 20_000_000
