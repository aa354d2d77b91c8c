"""A vendor on the loopback interface, in a process of its own: OpenAI's chat completions and Anthropic's messages.

The prompt of a stream chooses it: `long` has 2,000 chunks, `paced` 50 of them 2 ms apart, another one 200 in one
burst. A request with tools is answered with a call of the first, one with a schema with JSON; below `/fail/` every
request gets a 500. Heads carry the headers that real vendors send (rate limits, a request id). `GET /counts` returns how many
requests and connections there were. `python benchmarks/vendor.py` serves and prints its port.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PACE = 0.002
"""Seconds between two events of a paced stream."""
CHUNKS = {"short": 200, "long": 2000, "paced": 50}
TEXT = "Hello there, how are you?"
FACTS = {"city": "Paris", "celsius": 21}
"""What a call of a tool, and an answer by a schema, say."""
_HEAD = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4.1-mini"}
_BROKEN = {
    "message": (
        "The server had an error while processing your request. Sorry about that! Please contact us through our help "
        "center if the error persists. (Please include the request ID req_0123456789abcdef in your message.)"
    ),
    "type": "server_error",
    "param": None,
    "code": None,
}
_USAGE = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
_CLAUDE_USAGE = {"input_tokens": 9, "output_tokens": 8}
_HEADERS = {
    "openai": (
        "date: Sat, 28 Nov 2026 12:00:00 GMT\r\nserver: loopback\r\nx-request-id: req_0123456789abcdef\r\n"
        "openai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\nx-ratelimit-limit-requests: 30000\r\n"
        "x-ratelimit-limit-tokens: 150000000\r\nx-ratelimit-remaining-requests: 29999\r\n"
        "x-ratelimit-remaining-tokens: 149999967\r\nx-ratelimit-reset-requests: 2ms\r\nx-ratelimit-reset-tokens: 0s\r\n"
    ),
    "anthropic": (
        "date: Sat, 28 Nov 2026 12:00:00 GMT\r\nserver: loopback\r\nrequest-id: req_0123456789abcdef\r\n"
        "anthropic-ratelimit-requests-limit: 4000\r\nanthropic-ratelimit-requests-remaining: 3999\r\n"
        "anthropic-ratelimit-requests-reset: 2026-11-28T12:00:01Z\r\nanthropic-ratelimit-tokens-limit: 4000000\r\n"
        "anthropic-ratelimit-tokens-remaining: 4000000\r\nanthropic-ratelimit-tokens-reset: 2026-11-28T12:00:01Z\r\n"
    ),
}


def _response(wire: str, kind: str, body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{_HEADERS[wire]}content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _json(wire: str, found: dict[str, Any], status: str = "200 OK") -> bytes:
    return _response(wire, "application/json", json.dumps(found).encode(), status)


# -- OpenAI's wire ---------------------------------------------------------------------------------


def _completion(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}
    return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}


def _event(choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = {**_HEAD, "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _delta(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return _event([{"index": 0, "delta": delta, "finish_reason": finish}])


def _openai_events(count: int) -> list[bytes]:
    tokens = [_delta({"content": f" token{n % 10}"}) for n in range(count)]  # LiteLLM refuses repeated ones
    tokens[0] = _delta({"role": "assistant", "content": ""}) + tokens[0]
    return [*tokens, _delta({}, "stop"), _event([], usage=_USAGE) + b"data: [DONE]\n\n"]


def _openai_tool(name: str) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(FACTS)}
    return _completion(
        {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]},
        "tool_calls",
    )


# -- Anthropic's wire ------------------------------------------------------------------------------


def _message(content: list[dict[str, Any]], stop: str | None = "end_turn") -> dict[str, Any]:
    fixed = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5"}
    return {
        **fixed,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": _CLAUDE_USAGE,
    }


def _claude(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _anthropic_events(count: int) -> list[bytes]:
    tokens = [
        _claude("content_block_delta", index=0, delta={"type": "text_delta", "text": f" token{n % 10}"})
        for n in range(count)
    ]
    block = {"type": "text", "text": ""}
    start = _claude("message_start", message=_message([], None))
    tokens[0] = start + _claude("content_block_start", index=0, content_block=block) + tokens[0]
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    last = _claude("content_block_stop", index=0) + _claude("message_delta", delta=ended, usage=_CLAUDE_USAGE)
    return [*tokens, last, _claude("message_stop")]


def _anthropic_tool(name: str) -> dict[str, Any]:
    return _message([{"type": "tool_use", "id": "toolu_1", "name": name, "input": FACTS}], "tool_use")


# -- both ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wire:
    """All answers in one vendor's format, made beforehand."""

    name: str
    answer: bytes
    by_schema: bytes
    failure: bytes
    bursts: dict[str, bytes]
    pieces: list[bytes]
    head: bytes

    def reply(self, body: bytes) -> bytes | None:
        """Return the whole reply to a request, or None where it is a paced stream."""
        if b'"stream":true' in body.replace(b": ", b":"):
            if b"paced" in body:
                return None
            return self.bursts["long" if b"long" in body else "short"]
        if b'"response_format"' in body or b'"output_config"' in body:
            return self.by_schema
        return self._tool_call(body) if b'"tools"' in body else self.answer

    def _tool_call(self, body: bytes) -> bytes:
        tool = json.loads(body)["tools"][0]
        name = tool.get("name") or tool["function"]["name"]
        return _json(self.name, _openai_tool(name) if self.name == "openai" else _anthropic_tool(name))


def _wire(name: str, answer: dict[str, Any], schema: dict[str, Any], events: Any) -> Wire:
    def burst(count: int) -> bytes:
        return _response(name, "text/event-stream", b"".join(events(count)))

    pieces = events(CHUNKS["paced"])
    head = burst(CHUNKS["paced"]).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    return Wire(
        name,
        _json(name, answer),
        _json(name, schema),
        _json(name, {"error": _BROKEN}, "500 Internal Server Error"),
        {kind: burst(CHUNKS[kind]) for kind in ("short", "long")},
        pieces,
        head,
    )


OPENAI = _wire(
    "openai", _completion({"content": TEXT}), _completion({"content": json.dumps(FACTS)}), _openai_events
)
ANTHROPIC = _wire(
    "anthropic",
    _message([{"type": "text", "text": TEXT}]),
    _message([{"type": "text", "text": json.dumps(FACTS)}]),
    _anthropic_events,
)
ANSWER = OPENAI.answer


@dataclass
class Counts:
    """What was served."""

    requests: int = 0
    connections: int = 0


class Connection(asyncio.Protocol):
    """Answers the requests of one connection, one after the other."""

    def __init__(self, counts: Counts) -> None:
        self._counts, self._read = counts, b""
        counts.connections += 1

    def connection_made(self, transport: Any) -> None:
        """Keep where to write."""
        self._transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request once it is whole."""
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if len(rest) >= size:
            self._read = rest[size:]
            self._answer(head, rest[:size])

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /counts"):
            self._transport.write(_json("openai", vars(self._counts)))
            return
        self._counts.requests += 1
        line = head[: head.index(b"\r\n")]
        wire = ANTHROPIC if b"/messages" in line else OPENAI
        reply = wire.failure if b"/fail/" in line else wire.reply(body)
        if reply is None:
            self._transport.write(wire.head)
            self._next(iter(wire.pieces))
        else:
            self._transport.write(reply)

    def _next(self, pieces: Iterator[bytes]) -> None:
        piece = next(pieces, None)
        if piece is not None and not self._transport.is_closing():  # or the reader went
            self._transport.write(piece)
            asyncio.get_running_loop().call_later(PACE, self._next, pieces)


async def _main() -> None:
    counts = Counts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counts), "127.0.0.1", 0, backlog=1024)
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


class _Caller(asyncio.Protocol):
    """Sends a request again as soon as it is answered."""

    def __init__(self, request: bytes, size: int) -> None:
        self._request, self._size, self._read, self.done = request, size, 0, 0

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._read += len(data)
        if self._read >= self._size:
            self._read, self.done = 0, self.done + 1
            self._transport.write(self._request)


async def ceiling(url: str, *, at_once: int = 64, seconds: float = 1.0, streams: bool = False) -> float:
    """Return the calls (or streams of 200 chunks) per second that it answers to bare sockets: no client is faster."""
    host, port = url.split("/")[2].split(":")
    body = b'{"stream":true}' if streams else b"{}"
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )
    size = len(OPENAI.bursts["short"] if streams else OPENAI.answer)
    loop = asyncio.get_running_loop()
    callers = [
        await loop.create_connection(lambda: _Caller(request, size), host, int(port)) for _ in range(at_once)
    ]
    await asyncio.sleep(seconds)
    for transport, _ in callers:
        transport.close()
    return sum(caller.done for _, caller in callers) / seconds


if __name__ == "__main__":
    asyncio.run(_main())
