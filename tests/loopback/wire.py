"""HTTP/1.1 on asyncio streams: just what an API server needs."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import responses
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

CHUNK_END = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Message:
    """An HTTP request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None


class Connection:
    """One client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._prepared = bytearray()

    async def receive(self) -> Message | None:
        """The next request; None when the client has left."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            fields = (line.partition(":") for line in lines[1:] if line)
            headers = {name.strip().lower(): value.strip() for name, _, value in fields}
            content = await self._content(headers)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return Message(method, unquote(parts.path), query, headers, content)

    async def _content(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self._reader.readexactly(int(headers.get("content-length", "0")))
        content = b""
        while size := int((await self._reader.readline()).split(b";")[0], 16):
            content += await self._reader.readexactly(size)
            await self._reader.readline()
        await self._reader.readline()
        return content

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Prepare the status line and the headers."""
        phrase = responses.get(status, "Overloaded")
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def write(self, data: bytes) -> None:
        """Prepare bytes as they are."""
        self._prepared += data

    def chunk(self, data: bytes) -> None:
        """Prepare one chunk of a chunked body."""
        if data:
            self.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def flush(self) -> None:
        """Send what was prepared, in one go."""
        data, self._prepared = bytes(self._prepared), bytearray()
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self, seconds: float | None = None) -> bool:
        """Wait for the client to leave, for some time at most; whether it left."""
        try:
            async with asyncio.timeout(seconds):
                await self._reader.read(1)
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def close(self) -> None:
        """End the connection after what was sent."""
        self._writer.close()

    def reset(self) -> None:
        """End the connection as if the cable were cut."""
        raw = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
