"""Transports beside each other: CPU of the client per request, the same prepared request, one vendor, rows in turn.

    python benchmarks/transports.py [rounds]        prints; docs/decisions/transport.md has the figures

Each candidate sends the same `httpx.Request`, and its response is read to the end; so the rows differ in nothing but
what is below httpx's interface of a transport. A package that is not installed has no row. httptools is a parser, not
a transport: the last table compares parsers alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import math
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
from vendor import ANSWER, serving

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.transport.async_connection import AsyncPool
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.http1 import ResponseReader
from langchain_llmdispatch.transport.pool import Origin
from langchain_llmdispatch.transport.sync_connection import SyncPool

LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)
HEADERS = {
    "authorization": "Bearer k",
    "content-type": "application/json",
    "accept": "*/*",
    "user-agent": "b",
}
Send = Callable[[httpx.Request], httpx.Response]
Asend = Callable[[httpx.Request], Awaitable[httpx.Response]]


class _Httpx2Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _httpx2() -> tuple[Send, Asend]:
    httpx2 = importlib.import_module("httpx2")
    limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=1000)
    sync, other = httpx2.HTTPTransport(limits=limits), httpx2.AsyncHTTPTransport(limits=limits)

    def copied(request: httpx.Request) -> Any:
        url = str(request.url)
        return httpx2.Request(request.method, url, headers=request.headers.raw, content=request.content)

    def answered(found: Any) -> httpx.Response:
        return httpx.Response(found.status_code, headers=found.headers.raw, stream=_Httpx2Body(found.stream))

    async def asend(request: httpx.Request) -> httpx.Response:
        return answered(await other.handle_async_request(copied(request)))

    return lambda request: answered(sync.handle_request(copied(request))), asend


def _ours(url: str) -> tuple[Send, Asend]:
    parts, deadline = httpx.URL(url), ReadDeadline(Clock(), float("inf"), "it")
    origin = Origin("http", parts.host, parts.port or 80, None)
    sync, other = SyncPool(origin, None), AsyncPool(origin, None)
    return (
        lambda request: sync.handle_request(request, deadline),
        lambda request: other.handle_async_request(request, deadline),
    )


def candidates(url: str) -> dict[str, tuple[Send | None, Asend]]:
    """Return how each candidate sends: from a thread, and from a task."""
    client = httpx.Client(limits=LIMITS, timeout=600)
    aclient = httpx.AsyncClient(limits=LIMITS, timeout=600)
    found: dict[str, tuple[Send | None, Asend]] = {
        "httpx client": (
            lambda request: client.send(request, stream=True),
            lambda request: aclient.send(request, stream=True),
        ),
        "httpx transport": (
            httpx.HTTPTransport(limits=LIMITS).handle_request,
            httpx.AsyncHTTPTransport(limits=LIMITS).handle_async_request,
        ),
    }
    with contextlib.suppress(ImportError):
        found["httpx2 transport"] = _httpx2()
    with contextlib.suppress(ImportError):
        aiohttp = importlib.import_module("httpx_aiohttp")
        found["httpx-aiohttp"] = (None, aiohttp.AiohttpTransport(limits=LIMITS).handle_async_request)
    return {**found, "ours": _ours(url)}


def _request(url: str, prompt: str, *, stream: bool = False) -> httpx.Request:
    text = '{"model":"m","stream":%s,"messages":[{"role":"user","content":"%s"}]}'
    body = text % ("true" if stream else "false", prompt)
    return httpx.Request("POST", f"{url}/chat/completions", headers=HEADERS, content=body.encode())


def _read(send: Send, request: httpx.Request) -> int:
    response = send(request)
    stream: Any = response.stream
    try:
        return sum(len(piece) for piece in stream)
    finally:
        response.close()


async def _aread(send: Asend, request: httpx.Request) -> int:
    response = await send(request)
    stream: Any = response.stream
    try:
        return sum([len(piece) async for piece in stream])
    finally:
        await response.aclose()


async def _at_once(send: Asend, request: httpx.Request, places: int, calls: int) -> None:
    free = asyncio.Semaphore(places)

    async def one() -> None:
        async with free:
            await _aread(send, request)

    await asyncio.gather(*(one() for _ in range(calls)))


async def _one_by_one(send: Asend, request: httpx.Request, calls: int) -> None:
    for _ in range(calls):
        await _aread(send, request)


def scenarios(url: str, loop: asyncio.AbstractEventLoop) -> dict[str, Callable[[Send | None, Asend], int]]:
    """Return what is measured: each runs, and returns by how much its time is divided."""
    whole, burst = _request(url, "hello"), _request(url, "long", stream=True)
    paced, run = _request(url, "paced", stream=True), loop.run_until_complete

    def sync(request: httpx.Request, times: int, parts: int) -> Callable[[Send | None, Asend], int]:
        return lambda send, _: sum(_read(send, request) > 0 for _ in range(times)) * parts if send else 0

    return {
        "a request": sync(whole, 200, 1),
        "a request, async": lambda _, send: run(_one_by_one(send, whole, 200)) or 200,
        "64 in flight": lambda _, send: run(_at_once(send, whole, 64, 500)) or 500,
        "512 in flight": lambda _, send: run(_at_once(send, whole, 512, 1000)) or 1000,
        "event in bursts": sync(burst, 3, 2000),
        "event in bursts, async": lambda _, send: run(_one_by_one(send, burst, 3)) or 6000,
        "event, paced": sync(paced, 2, 50),
        "event, paced, async": lambda _, send: run(_one_by_one(send, paced, 2)) or 100,
    }


def _cost(run: Callable[[], int]) -> float:
    start = time.process_time()
    count = run()
    return (time.process_time() - start) / count * 1e6 if count else float("nan")


def measure(url: str, rounds: int) -> None:
    """Print the table: medians in microseconds, and the ratio to httpx's transport."""
    loop, found = asyncio.new_event_loop(), candidates(url)
    gc.collect()
    gc.freeze()
    print(f"| CPU us | {' | '.join(found)} |\n|{'---|' * (len(found) + 1)}")
    for name, scenario in scenarios(url, loop).items():
        costs: dict[str, list[float]] = {candidate: [] for candidate in found}
        for number in range(rounds + 1):  # the first one warms up
            for candidate, (send, asend) in found.items():
                cost = _cost(lambda send=send, asend=asend, scenario=scenario: scenario(send, asend))
                costs[candidate] += [cost] if number else []
        base = costs["httpx transport"]
        cells = []
        for each in costs.values():
            ratio = statistics.median(one / other for one, other in zip(each, base, strict=True))
            cells.append("-" if math.isnan(ratio) else f"{statistics.median(each):,.1f} ({ratio:.2f})")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


# -- parsers alone -------------------------------------------------------------------------------------


def _parse_ours(data: bytes) -> None:
    reader = ResponseReader("POST")
    reader.feed(data)
    assert reader.over
    assert reader.take()


def _parse_h11(data: bytes) -> None:
    h11 = importlib.import_module("h11")
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "h"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    while type(connection.next_event()) is not h11.EndOfMessage:
        pass


class _Httptools:
    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.over = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        self.over = True


def _parse_httptools(data: bytes) -> None:
    httptools = importlib.import_module("httptools")
    reader = _Httptools()
    parser = httptools.HttpResponseParser(reader)
    parser.feed_data(data)
    assert reader.over
    assert parser.get_status_code() == 200
    assert b"".join(reader.pieces)


def parsers() -> None:
    """Print what parsing a response costs: an answer with 15 headers, and a stream of 200 chunks that came at once."""
    more = b"".join(b"x-header-%d: value of a header\r\n" % number for number in range(13))
    head, body = ANSWER.split(b"\r\n\r\n", 1)
    answer = head + b"\r\n" + more + b"\r\n" + body
    event = b"data: " + b"x" * 190 + b"\n\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for _ in range(200)) + b"0\r\n\r\n"
    stream = b"HTTP/1.1 200 OK\r\n" + more + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    print("\n| CPU us, parsing alone | an answer | a chunk of 200 |\n|---|---|---|")
    for name, parse in (("ours", _parse_ours), ("h11", _parse_h11), ("httptools", _parse_httptools)):
        with contextlib.suppress(ImportError):
            cells = []
            for data, parts in ((answer, 1), (stream, 200)):
                costs = [_cost(lambda d=data, p=parse: [p(d) for _ in range(200)] and 200) for _ in range(9)]
                cells.append(f"{statistics.median(costs) / parts:,.2f}")
            print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Measure on two cores, one of them the vendor's."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    apart = len(cores) > 1
    with serving(["taskset", "-c", str(cores[-1])] if apart else []) as url:
        if apart:
            os.sched_setaffinity(0, {cores[0]})
        measure(url, rounds)
    parsers()


if __name__ == "__main__":
    main()
