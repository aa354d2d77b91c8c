"""HTTP/1.1 without the waiting (RFC 9112): the bytes of a request, a response from whatever pieces arrive.

What a peer sends is judged as h11 judges it. Whatever makes the end of a response doubtful is an error, or
ends its connection: the next answer on it could be another call's.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable

import httpx

from langchain_llmdispatch.transport.pool import Origin

MOST_HEAD = 100 * 1024
"""Bytes of a head, interim responses before it included: h11's limit under httpcore."""
_MOST_SIZE_LINE = 4096  # bytes of a chunk's size with its extensions
_TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_TEXT = rb"[^\x00-\x08\x0a-\x1f\x7f]"
_VISIBLE = rb"[^\x00-\x20\x7f]"
_SENT = re.compile(rb"(?:%b: (?:%b(?:%b*%b)?)?\r\n)+" % (_TOKEN, _VISIBLE, _TEXT, _VISIBLE))
_TARGET = re.compile(rb"(%b) ([\x21-\x7e]+)" % _TOKEN)
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")  # a header's value on a further line, which is out of use
_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: (%b*))?\r?(?:\n|$)" % _TEXT)
_FIELD = re.compile(rb"^(%b):[ \t]*(%b*)\r?$" % (_TOKEN, _TEXT), re.MULTILINE)
_SIZE = rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;%b*)?\r\n" % _TEXT
_FIRST_SIZE, _NEXT_SIZE = re.compile(_SIZE), re.compile(rb"\r\n" + _SIZE)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_FRAMES = {14: b"content-length", 17: b"transfer-encoding"}  # by their lengths
_SWITCHING, _FINAL, _REDIRECTION = 101, 200, 300
_BODILESS = frozenset({204, 304})
_GONE = "Server disconnected without sending a response."
_CUT = "peer closed connection without sending complete message body"


def request_bytes(request: httpx.Request, origin: Origin) -> bytes:
    """Return head and body of a request whose body is in memory.

    Raises:
        httpx.LocalProtocolError: HTTP does not allow its target or a header, or the headers announce another
            body; no value is quoted.
    """
    target, more, content = request.url.raw_path, b"", request.content
    fields = request.headers.raw
    announced = [value for name, value in fields if len(name) in _FRAMES and name.lower() in _FRAMES.values()]
    if announced != [b"%d" % len(content)] and (announced or content):
        raise httpx.LocalProtocolError("the request's headers announce another body")
    if origin.proxy is not None and origin.scheme == "http":
        target = b"http://%b%b" % (request.url.netloc, target)
        more = _credentials(origin.proxy)
    return _head_bytes(request.method.encode(), target, fields, more) + content


def tunnel_bytes(origin: Origin) -> bytes:
    """Return the request for a tunnel through the proxy of an origin."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    target = f"{host}:{origin.port}".encode()
    fields = [(b"Host", target), (b"Accept", b"*/*")]
    return _head_bytes(b"CONNECT", target, fields, _credentials(origin.proxy))


def _credentials(proxy: str | None) -> bytes:
    held = None if proxy is None else httpx.Proxy(proxy).raw_auth
    return b"" if held is None else b"Proxy-Authorization: Basic %b\r\n" % b64encode(b":".join(held))


def _head_bytes(method: bytes, target: bytes, fields: list[tuple[bytes, bytes]], more: bytes) -> bytes:
    lines = b"".join([b"%b: %b\r\n" % field for field in fields])
    start = b"%b %b" % (method, target)
    # A value with a line's end would pass as two fields: so their number is compared.
    if (
        _SENT.fullmatch(lines) is None
        or lines.count(b"\n") != len(fields)
        or _TARGET.fullmatch(start) is None
    ):
        raise httpx.LocalProtocolError("the request cannot be written as HTTP")
    return b"%b HTTP/1.1\r\n%b%b\r\n" % (start, lines, more)


class ResponseReader:
    """One response, as its bytes arrive.

    Args:
        method: The request's method: a response to `HEAD` has no body, a tunnel that `CONNECT` opens neither.

    Attributes:
        status: Its status; 0 until the head is complete. Interim responses (1xx) are passed over.
        headers: Names and values as they were sent.
        extensions: What httpx's responses hold beside: `http_version` and `reason_phrase`.
        over: Whether it is complete.
        keeps: Whether its connection may be used again when it is over.
        exceeded: Whether bytes came after its end.
    """

    __slots__ = (
        "_ascii", "_left", "_method", "_pieces", "_rest", "_size", "_spent", "_step",
        "exceeded", "extensions", "headers", "keeps", "over", "status",
    )  # fmt: skip

    def __init__(self, method: str) -> None:
        self.status, self.over, self.keeps, self.exceeded = 0, False, True, False
        self.headers: list[tuple[bytes, bytes]] = []
        self.extensions: dict[str, bytes] = {}
        self._ascii = False
        self._method, self._pieces, self._rest = method, list[bytes](), b""
        self._spent, self._left, self._size = 0, 0, _FIRST_SIZE
        self._step: Callable[[ResponseReader, bytes], bytes] = ResponseReader._head

    def feed(self, data: bytes) -> None:
        """Read what has arrived; nothing at the end of input.

        Raises:
            httpx.RemoteProtocolError: It is no response of HTTP, or ends too early.
        """
        if not data:
            self._end()
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        while data and not self.over:
            data = self._step(self, data)
        if data:
            self.keeps, self.exceeded = False, True

    def take(self) -> bytes:
        """Return what has arrived of the body since the last time."""
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data

    def response(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> httpx.Response:
        """Return the response, once its head is complete; `stream` yields its body."""
        made = httpx.Response(self.status, headers=self.headers, stream=stream, extensions=self.extensions)
        if self._ascii:  # httpx would decode all headers twice to find that out
            made.headers.encoding = "ascii"
        return made

    def check_tunnel(self) -> None:
        """Check that a proxy has opened a tunnel.

        Raises:
            httpx.ProxyError: It has not.
        """
        if self.status >= _REDIRECTION or self.exceeded:
            raise httpx.ProxyError(f"{self.status} {self.extensions['reason_phrase'].decode('latin-1')}")

    # -- the steps: each reads what it can, keeps the beginning of the next part, and returns the rest ----

    def _head(self, data: bytes) -> bytes:
        end = _END_OF_HEAD.search(data)
        if end is None or self._spent + end.end() > MOST_HEAD:
            if self._spent + len(data) > MOST_HEAD:
                raise httpx.RemoteProtocolError("the response's head is too long")
            self._rest = data
            return b""
        self._spent += end.end()
        start = _STATUS.match(data, 0, end.start() + 1)
        if start is None:
            raise httpx.RemoteProtocolError("the response has no line of status")
        status = int(start[2])
        if status == _SWITCHING:
            raise httpx.RemoteProtocolError("the server switches to another protocol")
        if status >= _FINAL:
            block = data[start.end() : end.start()]
            self.headers, self._ascii = _fields(block), block.isascii()
            self.extensions = {"http_version": b"HTTP/1." + start[1], "reason_phrase": start[3] or b""}
            self._frame(status, since_1_1=start[1] != b"0")
            self.status = status
        return data[end.end() :]

    def _frame(self, status: int, *, since_1_1: bool) -> None:
        """Choose how the body ends (RFC 9112, 6.3)."""
        self.keeps = since_1_1
        lengths, codings = set[bytes](), list[bytes]()
        for name, value in self.headers:
            match name.lower():
                case b"content-length":
                    lengths.update(part.strip() for part in value.split(b","))
                case b"transfer-encoding":
                    codings.append(value.lower())
                case b"connection":
                    self.keeps &= b"close" not in value.lower()
        tunnels = self._method == "CONNECT" and status < _REDIRECTION
        if tunnels or self._method == "HEAD" or status in _BODILESS:
            self.over = True
        elif codings:
            self._frame_chunks(codings, lengths)
        elif lengths:
            self._frame_length(lengths)
        else:
            self._step, self.keeps = ResponseReader._until_close, False

    def _frame_chunks(self, codings: list[bytes], lengths: set[bytes]) -> None:
        if codings != [b"chunked"]:
            raise httpx.RemoteProtocolError("a Transfer-Encoding other than 'chunked' is not supported")
        self._step = ResponseReader._chunks
        self.keeps &= not lengths  # one of both is wrong

    def _frame_length(self, lengths: set[bytes]) -> None:
        if len(lengths) != 1 or _LENGTH.fullmatch(length := lengths.pop()) is None:
            raise httpx.RemoteProtocolError("the response's Content-Length is no number, or several")
        self._left, self._step = int(length), ResponseReader._fixed
        self.over = not self._left

    def _fixed(self, data: bytes) -> bytes:
        part = data if len(data) <= self._left else data[: self._left]
        self._pieces.append(part)
        self._left -= len(part)
        self.over = not self._left
        return data[len(part) :]

    def _until_close(self, data: bytes) -> bytes:
        self._pieces.append(data)
        return b""

    def _chunks(self, data: bytes) -> bytes:
        at = 0
        while True:
            if self._left:
                piece = data[at : at + self._left]
                if not piece:
                    return b""
                self._pieces.append(piece)
                self._left -= len(piece)
                at += len(piece)
                continue
            line = self._size.match(data, at)
            if line is None:
                self._await_size(data[at:])
                return b""
            self._left, self._size, at = int(line[1], 16), _NEXT_SIZE, line.end()
            if not self._left:
                self._step = ResponseReader._trailer
                return data[at:]

    def _await_size(self, rest: bytes) -> None:
        """Keep the beginning of a chunk's size."""
        lead = b"\r\n" if self._size is _NEXT_SIZE else b""
        whole = rest.find(b"\n", len(lead)) >= 0 or len(rest) > _MOST_SIZE_LINE
        if whole or not rest.startswith(lead[: len(rest)]):
            raise httpx.RemoteProtocolError("a chunk of the response has no size, or another length")
        self._rest = rest

    def _trailer(self, data: bytes) -> bytes:
        if data.startswith(b"\r\n"):
            self.over = True
            return data[2:]
        end = data.find(b"\r\n\r\n")
        if end >= 0:
            _fields(data[:end])
            self.over = True
            return data[end + 4 :]
        if len(data) > MOST_HEAD:
            raise httpx.RemoteProtocolError("the response's trailer is too long")
        self._rest = data
        return b""

    def _end(self) -> None:
        self.keeps = False
        if self._step is ResponseReader._until_close:
            self.over = True
        elif not self.over:
            raise httpx.RemoteProtocolError(_CUT if self.status else _GONE)


def _fields(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return the names and values in the lines of a head."""
    block = block.removesuffix(b"\r")
    if not block:
        return []
    if b"\n " in block or b"\n\t" in block:
        block = _FOLD.sub(b" ", block)
    found = [(name, value.rstrip(b" \t")) for name, value in _FIELD.findall(block)]
    if len(found) != block.count(b"\n") + 1:
        raise httpx.RemoteProtocolError("a line of the response's head is no header")
    return found
