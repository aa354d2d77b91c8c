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
from langchain_llmdispatch.transport.pooled_response import PooledResponse, ResponseFields
from langchain_llmdispatch.vendors.request import JsonRequest

MOST_HEAD = 100 * 1024
"""Bytes of a head, interim responses before it included: h11's limit under httpcore."""
_MOST_SIZE_LINE = 4096  # bytes of a chunk's size with its extensions
_TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_TEXT = rb"[^\x00-\x08\x0a-\x1f\x7f]"
_VISIBLE = rb"[^\x00-\x20\x7f]"
_SENT = re.compile(rb"(?:%b: (?:%b(?:%b*%b)?)?\r\n)+" % (_TOKEN, _VISIBLE, _TEXT, _VISIBLE))
_TARGET = re.compile(rb"(%b) ([\x21-\x7e]+)" % _TOKEN)
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_FOLD = re.compile(r"\r?\n[ \t]+")  # a header's value on a further line, which is out of use
_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: (%b*))?\r?(?:\n|$)" % _TEXT)
_FIELD = re.compile(
    (rb"^(%b):[ \t]*((?:%b*%b)?)[ \t]*\r?$" % (_TOKEN, _TEXT, _VISIBLE)).decode(), re.MULTILINE
)
_SIZE = rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;%b*)?\r\n" % _TEXT
_FIRST_SIZE, _NEXT_SIZE = re.compile(_SIZE), re.compile(rb"\r\n" + _SIZE)
_LENGTH = re.compile("[0-9]{1,18}")
_FRAMES = {14: "content-length", 17: "transfer-encoding"}  # by their lengths
_SPACE = " \t"
_SWITCHING, _FINAL, _REDIRECTION = 101, 200, 300
_BODILESS = frozenset({204, 304})
_NO_FIELDS = ResponseFields()
_GONE = "Server disconnected without sending a response."
CUT = "peer closed connection without sending complete message body"
"""The message of the error of a body that is cut, as httpcore has it."""


def request_bytes(request: httpx.Request, origin: Origin) -> bytes:
    """Return head and body of a request whose body is in memory.

    Raises:
        httpx.LocalProtocolError: HTTP does not allow its target or a header, or the headers announce another
            body; no value is quoted.
    """
    target, more, content = request.url.raw_path, b"", request.content
    fields = _fields_of(request)
    announced = [value for name, value in fields if len(name) in _FRAMES and name.lower() in _FRAMES.values()]
    if announced != [str(len(content))] and (announced or content):
        raise httpx.LocalProtocolError("the request's headers announce another body")
    if origin.proxy is not None and origin.scheme == "http":
        target = b"http://%b%b" % (request.url.netloc, target)
        more = _credentials(origin.proxy)
    return _head_bytes(request.method.encode(), target, fields, more) + content


def _fields_of(request: httpx.Request) -> list[tuple[str, str]]:
    if isinstance(request, JsonRequest) and request.fields is not None:
        return [*request.fields.items()]
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]


def tunnel_bytes(origin: Origin) -> bytes:
    """Return the request for a tunnel through the proxy of an origin."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    target = f"{host}:{origin.port}"
    fields = [("Host", target), ("Accept", "*/*")]
    return _head_bytes(b"CONNECT", target.encode(), fields, _credentials(origin.proxy))


def _credentials(proxy: str | None) -> bytes:
    held = None if proxy is None else httpx.Proxy(proxy).raw_auth
    return b"" if held is None else b"Proxy-Authorization: Basic %b\r\n" % b64encode(b":".join(held))


def _head_bytes(method: bytes, target: bytes, fields: list[tuple[str, str]], more: bytes) -> bytes:
    text, start = "".join([f"{name}: {value}\r\n" for name, value in fields]), b"%b %b" % (method, target)
    lines = text.encode("latin-1", "replace")
    # A value with a line's end would pass as two fields: so their number is compared.
    if (
        _SENT.fullmatch(lines) is None
        or lines.count(b"\n") != len(fields)
        or _TARGET.fullmatch(start) is None
        or (not text.isascii() and text != lines.decode("latin-1"))
    ):
        raise httpx.LocalProtocolError("the request cannot be written as HTTP")
    return b"%b HTTP/1.1\r\n%b%b\r\n" % (start, lines, more)


class ResponseReader:
    """One response, as its bytes arrive.

    Args:
        method: The request's method: a response to `HEAD` has no body, a tunnel that `CONNECT` opens neither.

    Attributes:
        status: Its status; 0 until the head is complete. Interim responses (1xx) are passed over.
        fields: Its headers.
        extensions: What httpx's responses hold beside: `http_version` and `reason_phrase`.
        over: Whether it is complete.
        keeps: Whether its connection may be used again when it is over.
        exceeded: Whether bytes came after its end.
    """

    __slots__ = (
        "_left", "_method", "_pieces", "_rest", "_size", "_spent", "_step",
        "exceeded", "extensions", "fields", "keeps", "over", "status",
    )  # fmt: skip

    def __init__(self, method: str) -> None:
        self.status, self.over, self.keeps, self.exceeded = 0, False, True, False
        self.fields = _NO_FIELDS
        self.extensions: dict[str, bytes] = {}
        self._method, self._rest = method, b""
        self._pieces: list[bytes] = []
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
        body = self.take() if self.over else None
        return PooledResponse(self.status, self.fields, stream, self.extensions, body)

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
            self.fields = _fields(data[start.end() : end.start()])
            self.extensions = {"http_version": b"HTTP/1." + start[1], "reason_phrase": start[3] or b""}
            self._frame(status, since_1_1=start[1] != b"0")
            self.status = status
        return data[end.end() :]

    def _frame(self, status: int, *, since_1_1: bool) -> None:
        """Choose how the body ends (RFC 9112, 6.3)."""
        self.keeps = since_1_1 and "close" not in self.fields.get("connection", "").lower()
        coding, length = self.fields.get("transfer-encoding"), self.fields.get("content-length")
        tunnels = self._method == "CONNECT" and status < _REDIRECTION
        if tunnels or self._method == "HEAD" or status in _BODILESS:
            self.over = True
        elif coding is not None:
            self._frame_chunks(coding, length)
        elif length is not None:
            self._frame_length(length)
        else:
            self._step, self.keeps = ResponseReader._until_close, False

    def _frame_chunks(self, coding: str, length: str | None) -> None:
        if coding.lower() != "chunked":
            raise httpx.RemoteProtocolError("a Transfer-Encoding other than 'chunked' is not supported")
        self._step = ResponseReader._chunks
        self.keeps &= length is None  # one of both is wrong

    def _frame_length(self, length: str) -> None:
        first, *others = [part.strip(_SPACE) for part in length.split(",")] if "," in length else (length,)
        if _LENGTH.fullmatch(first) is None or others.count(first) != len(others):
            raise httpx.RemoteProtocolError("the response's Content-Length is no number, or several")
        self._left, self._step = int(first), ResponseReader._fixed
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
            raise httpx.RemoteProtocolError(CUT if self.status else _GONE)


def _fields(block: bytes) -> ResponseFields:
    """Return the headers in the lines of a head, decoded as httpx does."""
    encoding = "ascii"
    try:
        text = block.decode()
        if not block.isascii():
            encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "iso-8859-1"
        text = block.decode(encoding)
    text = text.removesuffix("\r")
    if not text:
        return _NO_FIELDS
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    found = _FIELD.findall(text)
    if len(found) != text.count("\n") + 1:
        raise httpx.RemoteProtocolError("a line of the response's head is no header")
    return ResponseFields(found, encoding)
