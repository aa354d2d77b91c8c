"""A server that sends back what it was sent, in every part of a response and in every spelling."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

from tests.loopback import errors
from tests.loopback.neutral import RejectedError
from tests.loopback.routing import BASES
from tests.transport.servers import listening

SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "base64": lambda text: base64.b64encode(text.encode("latin-1")).decode(),
    "url": lambda text: quote(text, safe=""),
    "escaped": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "json": lambda text: json.dumps(text).replace("/", "\\/"),
}


def _reply(status: str, body: str, kind: str = "application/json", more: str = "") -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\nconnection: close\r\n{more}\r\n"
    return head.encode("latin-1") + data


def _error(status: str, kind: str) -> Callable[[str, str, str], bytes]:
    def reply(vendor: str, echo: str, line: str) -> bytes:
        return _reply(status, json.dumps(errors.body(vendor, RejectedError(echo, kind=kind), "1")))

    return reply


def _coded(_: str, echo: str, line: str) -> bytes:
    inner = {"message": "no", "type": echo, "code": echo, "status": echo, "param": echo}
    body = {"error": inner, "type": echo, "error_type": echo, "id": echo, "message": "no"}
    return _reply("429 No", json.dumps(body), more=f"x-request-id: {line}\r\nrequest-id: {line}\r\n")


def _odd(_: str, echo: str, line: str) -> bytes:
    usage = {"prompt_tokens": echo, "completion_tokens": [echo], "input_tokens": echo, "tokens": echo}
    choice = {"index": echo, "message": {"content": {echo: echo}}, "finish_reason": [echo]}
    part = {"content": {"parts": [{"text": [echo]}]}, "finishReason": {echo: 1}}
    body = {
        "choices": [choice], "usage": usage, "content": [{"type": "text", "text": {echo: echo}}], "candidates": [part],
        "message": {"content": [{"text": {echo: echo}}]}, "done": echo, "output": [{"type": echo}],
        "usageMetadata": {"promptTokenCount": echo},
    }  # fmt: skip
    return _reply("200 OK", json.dumps(body))


def _stream(text: str) -> bytes:
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    data = text.encode()
    return head.encode() + f"{len(data):x}\r\n".encode() + data + b"\r\n"


SILENT = "silent"
UNREACHED = ("refused", "tls")
"""Modes in which no request arrives."""
Mode = Callable[[str, str, str], bytes]
MODES: dict[str, Mode] = {
    "auth": _error("401 No", "auth"),
    "rate": _error("429 No", "rate_limit"),
    "server": _error("500 No", "server_error"),
    "missing": _error("404 No", "not_found"),
    "coded": _coded,
    "odd": _odd,
    "text": lambda _, echo, line: _reply("500 No", echo, "text/plain"),
    "html": lambda _, echo, line: _reply("502 No", f"<html><title>{echo}</title>", "text/html"),
    "pydantic": lambda _, echo, line: _reply(
        "503 No", json.dumps({"detail": [{"loc": [echo], "msg": echo}]})
    ),
    "cut_json": lambda _, echo, line: _reply("200 OK", json.dumps({"error": echo})[:-3]),
    "bare_json": lambda _, echo, line: _reply("200 OK", json.dumps([echo])),
    "inside": lambda _, echo, line: _reply("200 OK", json.dumps({"error": {"message": echo, "type": echo}})),
    "status_line": lambda _, echo, line: f"{line}\r\n\r\n".encode(),
    "header_line": lambda _, echo, line: f"HTTP/1.1 200 OK\r\n{line.replace(':', ' ')}\r\n\r\n".encode(),
    "redirect": lambda _, echo, line: _reply("307 No", "", more=f"location: /?{quote(line)}\r\n"),
    "gzip": lambda _, echo, line: _reply("200 OK", echo, more="content-encoding: gzip\r\n"),
    "cut": lambda _, echo, line: _stream(f"data: {json.dumps({'error': {'message': echo}})}\n\n"),
    "odd_event": lambda _, echo, line: _stream(f'data: {{"{line}": \n\n'),
    "chunk": lambda _, echo, line: _stream("data: {}\n\n") + f"{line}\r\n".encode(),
    "nothing": lambda _, echo, line: b"",
    SILENT: lambda _, echo, line: b"HTTP",
}
"""What a request at `/MODE/SPELLING/...` gets, of the vendor, of the echo, and of the echo in one line."""
INVALID: dict[str, Mode] = {"invalid": _error("400 No", "invalid_request")}
"""What ends a call."""


class EchoServer:
    """The server.

    Attributes:
        heads: The requests' lines and headers, each with its body.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.heads: list[str] = []

    def proxy(self, user: str, password: str) -> str:
        """Return the address of the server as a proxy."""
        return f"http://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{self._port}"

    def url(self, vendor: str, mode: str, spelling: str = "raw") -> str:
        """Return the base URL of a vendor that responds so."""
        scheme, port = ("https" if mode == "tls" else "http"), (1 if mode == "refused" else self._port)
        return f"{scheme}://127.0.0.1:{port}/{mode}/{spelling}{BASES[vendor]}"


@contextmanager
def echoing() -> Iterator[EchoServer]:
    """Serve while the context lasts."""
    served: list[EchoServer] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (first := await reader.read(1)) not in {b"P", b"C"}:
            return  # it begins with TLS
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if first == b"C":  # a tunnel through a proxy
            line = " ".join(head.split())
            writer.write(_reply(f"407 {line}", line, "text/plain", f"proxy-authenticate: {line}\r\n"))
            return
        length = head.lower().partition("content-length:")[2].partition("\r\n")[0]
        body = await reader.readexactly(int(length or 0))
        served[0].heads.append(head + body.decode())
        _, mode, spelling, vendor = urlsplit(head.split(" ")[1]).path.split("/")[:4]
        sent = f"{head.partition(' ')[2]}{body.decode()}"
        echo, line = SPELLINGS[spelling](sent), SPELLINGS[spelling](" ".join(sent.split()))
        writer.write({**MODES, **INVALID}[mode](vendor, echo, line))
        await writer.drain()
        if mode == SILENT:
            await reader.read()

    with listening(handle) as port:
        served.append(EchoServer(port))
        yield served[0]
