"""A vendor on the loopback interface, in a process of its own: OpenAI's chat completions, whole and streamed.

The prompt chooses the answer: `long` streams 2,000 chunks, `paced` 50 of them 2 ms apart, another one 200; below
`/fail/` every request is answered with a 500. `python benchmarks/vendor.py` serves and prints its port.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_HEAD = {"id": "c", "created": 1, "model": "gpt-4.1-mini"}
_USAGE = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
_MESSAGE = {"role": "assistant", "content": "Hello there, how are you?"}
_CHOICE = {"index": 0, "finish_reason": "stop", "message": _MESSAGE}
PACE = 0.002
"""Seconds between two events of a paced stream."""


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _events(count: int) -> list[bytes]:
    first, last = _event({"role": "assistant", "content": ""}), _event({}, "stop")
    tokens = (_event({"content": f" token{n % 10}"}) for n in range(count))  # LiteLLM refuses repeated ones
    return [first, *tokens, last, b"data: [DONE]\n\n"]


_WHOLE = json.dumps({**_HEAD, "object": "chat.completion", "choices": [_CHOICE], "usage": _USAGE}).encode()
ANSWER = _response("200 OK", "application/json", _WHOLE)
FAILURE = _response("500 Internal Server Error", "application/json", b"{}")
STREAMS = {count: _response("200 OK", "text/event-stream", b"".join(_events(count))) for count in (200, 2000)}
PIECES = _events(50)
PACED = _response("200 OK", "text/event-stream", b"".join(PIECES)).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            await _answer(head, await reader.readexactly(size), writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _answer(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
    if b"/fail/" in head:
        writer.write(FAILURE)
    elif b'"stream":true' not in body.replace(b" ", b""):
        writer.write(ANSWER)
    elif b"paced" not in body:
        writer.write(STREAMS[2000 if b"long" in body else 200])
    else:
        writer.write(PACED)
        for piece in PIECES:
            writer.write(piece)
            await asyncio.sleep(PACE)


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def serving(prefix: Sequence[str] = ()) -> Iterator[str]:
    """Yield the base URL of a vendor in another process; `prefix` is a command to start it with (`taskset`)."""
    command = [*prefix, sys.executable, __file__]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    if server.stdout is None:
        raise RuntimeError("the vendor has no output")
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
    finally:
        server.kill()
        server.wait()


async def ceiling(url: str, *, at_once: int = 64, seconds: float = 1.0) -> float:
    """Return the calls per second that the vendor answers to bare sockets: no client can be faster."""
    host, port = url.split("/")[2].split(":")
    request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}"
    end, done = time.perf_counter() + seconds, 0

    async def one() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection(host, int(port))
        while time.perf_counter() < end:
            writer.write(request)
            await reader.readexactly(len(ANSWER))
            done += 1
        writer.close()

    await asyncio.gather(*(one() for _ in range(at_once)))
    return done / seconds


if __name__ == "__main__":
    asyncio.run(_main())
