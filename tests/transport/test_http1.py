"""HTTP/1.1 without a network: requests are written, responses read however they are cut, hostile ones refused."""

from __future__ import annotations

import gzip
import itertools
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.transport.http1 import MOST_HEAD, ResponseReader, request_bytes, tunnel_bytes
from langchain_llmdispatch.transport.pool import Origin

DIRECT = Origin("https", "vendor.test", 443, None)


def read(*pieces: bytes, method: str = "POST", ends: bool = False) -> ResponseReader:
    """Return what was read of a response that came in these pieces; `ends` for one that its close ends."""
    reader = ResponseReader(method)
    for piece in pieces:
        if not reader.over:
            reader.feed(piece)
    if ends:
        reader.feed(b"")
    return reader


def chunked(body: bytes, size: int, *, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """Return a body in chunks."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return chunks + b"0\r\n" + trailer + b"\r\n"


# -- responses of all forms, cut anywhere --------------------------------------------------------------

FORMS = st.sampled_from(["length", "chunks", "close"])
BODIES = st.one_of(
    st.binary(max_size=80), st.sampled_from([b"\r\n" * 9, b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
)


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, str, bytes]:
    """Return a response's bytes, how its body ends, and the body."""
    form, body = draw(FORMS), draw(BODIES)
    interim = draw(
        st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" * 2])
    )
    head = b"HTTP/1.1 200 OK\r\nx-one: 1\r\nX-Two:  a b \t\r\n"
    if form == "length":
        return interim + head + b"Content-Length: %d\r\n\r\n" % len(body) + body, form, body
    if form == "close":
        return interim + head + b"\r\n" + body, form, body
    extension, trailer = (
        draw(st.sampled_from([b"", b";a=b", b" ;x"])),
        draw(st.sampled_from([b"", b"t: 1\r\n"])),
    )
    sent = chunked(body, draw(st.integers(1, 40)), extension=extension, trailer=trailer)
    return interim + head + b"Transfer-Encoding: Chunked\r\n\r\n" + sent, form, body


@given(responses(), st.lists(st.integers(0, 400), max_size=12))
def test_a_response_reads_the_same_however_it_is_cut(
    response: tuple[bytes, str, bytes], cuts: list[int]
) -> None:
    """Head, chunks and trailers may be split at any byte; nothing is lost, doubled or left."""
    data, form, body = response
    marks = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(marks)]
    reader, taken = ResponseReader("POST"), []
    for piece in pieces:
        reader.feed(piece)
        taken.append(reader.take())
    if form == "close":
        assert not reader.over
        reader.feed(b"")
    assert (reader.status, reader.over, reader.keeps) == (200, True, form != "close")
    assert reader.fields.lines[:2] == [("x-one", "1"), ("X-Two", "a b")]
    assert b"".join(taken) == body


@given(responses())
def test_a_response_may_come_byte_by_byte(response: tuple[bytes, str, bytes]) -> None:
    """The worst cut of all."""
    data, form, body = response
    reader = read(*(data[at : at + 1] for at in range(len(data))), ends=form == "close")
    assert (reader.over, reader.take()) == (True, body)


@given(responses(), st.integers(1, 400))
def test_a_response_that_is_cut_short_is_an_error(response: tuple[bytes, str, bytes], most: int) -> None:
    """Wherever a connection ends before the announced end."""
    data, form, _ = response
    if form == "close" and most >= data.rindex(b"\r\n\r\n"):
        return
    if most >= len(data):
        return
    with pytest.raises(httpx.RemoteProtocolError):
        read(data[:most], ends=True)


@given(st.binary(max_size=200))
def test_what_is_no_http_is_an_error_or_waits(data: bytes) -> None:
    """Any bytes at all end in one of three states, and never in another exception."""
    try:
        reader = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", data)
        reader.feed(b"") if not reader.over else None
    except httpx.RemoteProtocolError:
        return
    assert reader.over


# -- how a body ends (RFC 9112, 6.3), and whether the connection is used again (9.3) --------------------


@pytest.mark.parametrize(
    ("response", "body", "keeps"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK", b"ok", False),
        (b"HTTP/1.1 204 No Content\r\n\r\nbody", b"", False),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"ok",
            False,
        ),
        (b"HTTP/1.1 200 OK\r\nx-long: a\r\n\t b\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
    ],
)
def test_the_end_of_a_body(response: bytes, body: bytes, keeps: bool) -> None:
    """Lengths, chunks, statuses without a body; and what is doubtful is not used again."""
    reader = read(response)
    assert (reader.over, reader.take(), reader.keeps) == (True, body, keeps)


def test_a_response_to_head_has_no_body() -> None:
    """Whatever length it announces."""
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", method="HEAD").over


def test_the_reason_and_the_version_are_kept() -> None:
    """As httpx's own transports keep them."""
    reader = read(b"HTTP/1.0 503 Try again \xe9\r\n\r\n", ends=True)
    assert reader.extensions == {"http_version": b"HTTP/1.0", "reason_phrase": b"Try again \xe9"}


@pytest.mark.parametrize("value", [b"plain", "gr\u00fc\u00dfe".encode(), "gr\u00fc\u00dfe".encode("latin-1")])
def test_headers_are_decoded_as_httpx_does(value: bytes) -> None:
    """As ASCII, UTF-8 or Latin-1, whichever the first is that all of them are."""
    reader, pairs = ResponseReader("GET"), [(b"X-One", b"1"), (b"x-two", value)]
    reader.feed(
        b"HTTP/1.1 204 No\r\n" + b"".join(name + b": " + own + b"\r\n" for name, own in pairs) + b"\r\n"
    )
    response, plain = reader.response(httpx.ByteStream(b"")), httpx.Response(204, headers=pairs)
    assert dict(response.headers) == dict(plain.headers)
    assert response.headers.encoding == plain.headers.encoding


def test_packed_bodies_pass_as_they_are() -> None:
    """Unpacking is the reader's of the body."""
    packed = gzip.compress(b"text")
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(packed), packed).take() == packed


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HOSTILE: dict[str, bytes] = {
    "no http": b"SSH-2.0-OpenSSH\r\n\r\n",
    "http 2": b"HTTP/2 200 OK\r\n\r\n",
    "a status of words": b"HTTP/1.1 OK 200\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "an empty line first": b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "a head without end": OK + b"x: " + b"y" * MOST_HEAD,
    "a long head": OK + b"x: y\r\n" * (MOST_HEAD // 5) + b"\r\n",
    "interim responses without end": b"HTTP/1.1 102 Processing\r\n\r\n" * (MOST_HEAD // 20),
    "a name with a space": OK + b"Content-Length : 2\r\n\r\nok",
    "a line without a colon": OK + b"Content-Length 2\r\n\r\nok",
    "a name of nothing": OK + b": 2\r\n\r\nok",
    "a zero byte": OK + b"x: \x00\r\nContent-Length: 2\r\n\r\nok",
    "a bare carriage return": OK + b"x: a\rContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "a list of lengths": OK + b"Content-Length: 2, 3\r\n\r\nok",
    "a negative length": OK + b"Content-Length: -2\r\n\r\nok",
    "a signed length": OK + b"Content-Length: +2\r\n\r\nok",
    "a length of letters": OK + b"Content-Length: 0x2\r\n\r\nok",
    "an empty length": OK + b"Content-Length: \r\n\r\nok",
    "a length without end": OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nok",
    "another coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a chunk of letters": CHUNKS + b"zz\r\nok\r\n",
    "a negative chunk": CHUNKS + b"-2\r\nok\r\n",
    "a chunk in 0x": CHUNKS + b"0x2\r\nok\r\n",
    "a chunk without size": CHUNKS + b"\r\nok\r\n",
    "a huge chunk": CHUNKS + b"f" * 17 + b"\r\n",
    "a chunk that is longer than its size": CHUNKS + b"2\r\nokay\r\n0\r\n\r\n",
    "a chunk that ends otherwise": CHUNKS + b"2\r\nok\n\n0\r\n\r\n",
    "a chunk's line of a bare line feed": CHUNKS + b"2\nok\r\n",
    "an extension without end": CHUNKS + b"2;" + b"x" * 5000,
    "an extension with a zero byte": CHUNKS + b"2;\x00\r\nok\r\n",
    "a trailer without end": CHUNKS + b"0\r\n" + b"x: y\r\n" * (MOST_HEAD // 5),
    "a trailer of nonsense": CHUNKS + b"0\r\nnonsense\r\n\r\n",
}


@pytest.mark.parametrize("response", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_response_is_an_error(response: bytes) -> None:
    """None hangs, is guessed at, or is quoted in the error."""
    with pytest.raises(httpx.RemoteProtocolError) as caught:
        read(response)
    assert "okay" not in str(caught.value)


def test_spaces_cost_no_time() -> None:
    """A head of spaces alone is judged in one pass; were it judged in squares, this would take minutes."""
    with pytest.raises(httpx.RemoteProtocolError):
        read(OK + (b"x:" + b" " * 1000 + b"\r\n") * 90 + b"x\r\n\r\n")


# -- requests ------------------------------------------------------------------------------------------


def test_a_request_is_written_at_once() -> None:
    """Line, headers in their order and form, body."""
    request = httpx.Request("POST", "https://vendor.test/v1/a b?q=%2F", headers={"X-One": "1"}, content=b"{}")
    assert request_bytes(request, DIRECT) == (
        b"POST /v1/a%20b?q=%2F HTTP/1.1\r\nHost: vendor.test\r\nX-One: 1\r\nContent-Length: 2\r\n\r\n{}"
    )


def test_a_proxy_gets_the_whole_address_and_the_credentials() -> None:
    """Only where it forwards; through a tunnel they are in the request for the tunnel."""
    proxy = "http://us%65r:p%40ss@proxy.test:3128"
    request = httpx.Request("GET", "http://vendor.test:81/v1")
    sent = request_bytes(request, Origin("http", "vendor.test", 81, proxy))
    assert sent.startswith(b"GET http://vendor.test:81/v1 HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n" in sent
    there = Origin("https", "::1", 443, proxy)
    request = httpx.Request("GET", "https://[::1]/v1")
    assert request_bytes(request, there).startswith(b"GET /v1 HTTP/1.1\r\nHost: [::1]\r\n")
    assert b"Proxy" not in request_bytes(request, there)
    assert tunnel_bytes(there).startswith(b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n")
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n" in tunnel_bytes(there)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer s3cret\r\nX-Evil: 1"),
        ("Authorization", "Bearer s3cret\nX-Evil: 1"),
        ("Authorization", "Bearer s3cret\n"),
        ("Authorization", " s3cret"),
        ("Authorization", "s3cret\x00"),
        ("Bad name", "s3cret"),
        ("Bad\r\nX-Evil", "s3cret"),
        ("", "s3cret"),
    ],
)
def test_a_header_that_would_be_another_is_refused(name: str, value: str) -> None:
    """Nothing is sent, and the value, which may be a key, is not in the error."""
    request: Any = httpx.Request("POST", "https://vendor.test/", headers={name: value}, content=b"")
    with pytest.raises(httpx.LocalProtocolError) as caught:
        request_bytes(request, DIRECT)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "1"},
        {"Content-Length": "3"},
        {"content-length": "2, 2"},
        {"transfer-encoding": "chunked", "content-length": "2"},
        {"Transfer-Encoding": "chunked"},
        [("content-length", "2"), ("Content-Length", "2")],
    ],
)
def test_another_body_than_is_announced_is_refused(headers: Any) -> None:
    """The rest of it would be a request of its own to the server."""
    with pytest.raises(httpx.LocalProtocolError):
        request_bytes(httpx.Request("POST", "https://vendor.test/", headers=headers, content=b"{}"), DIRECT)


@pytest.mark.parametrize("method", ["GET /evil HTTP/1.1\r\nX:", "", "G T"])
def test_a_method_that_is_none_is_refused(method: str) -> None:
    """It is written into the first line."""
    with pytest.raises(httpx.LocalProtocolError):
        request_bytes(httpx.Request(method, "https://vendor.test/"), DIRECT)


@given(st.text(max_size=20), st.text(max_size=30))
def test_no_header_can_add_a_line(name: str, value: str) -> None:
    """Whatever its name and value: refused, or one line."""
    try:
        request = httpx.Request("GET", "https://vendor.test/", headers={"a": "1", name or "n": value})
        sent = request_bytes(request, DIRECT)
    except (httpx.LocalProtocolError, UnicodeEncodeError):
        return
    assert sent.count(b"\r\n") == sent.count(b"\n") == sent.count(b"\r") == 2 + len(request.headers.raw)
