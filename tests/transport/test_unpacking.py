"""Compressed bodies come out whole, in pieces that are small whatever they hold."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.transport.unpacking import unpacker
from tests.cases import each

TEXT = b"".join(b'{"n": %d}\n' % number for number in range(20_000))


def raw_deflate(data: bytes) -> bytes:
    """Return deflate without zlib's head, as some servers send it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def brotli(data: bytes) -> bytes:
    """Return brotli, where its package is installed."""
    return bytes(pytest.importorskip("brotli", minversion="1.2").compress(data, quality=4))


def zstd(data: bytes) -> bytes:
    """Return zstd, where its package is installed."""
    return bytes(pytest.importorskip("zstandard").compress(data))


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "another name": ("X-GZip", gzip.compress),
    "several members": ("gzip", lambda data: gzip.compress(data[:999]) + gzip.compress(data[999:])),
    "deflate": ("deflate", zlib.compress),
    "deflate without a head": ("deflate", raw_deflate),
    "br": ("br", brotli),
    "zstd": ("zstd", zstd),
    "several frames": ("zstd", lambda data: zstd(data[:999]) + zstd(data[999:])),
    "twice": ("deflate, identity , gzip", lambda data: gzip.compress(zlib.compress(data))),
}
packed = pytest.mark.parametrize(("name", "pack"), PACKERS.values(), ids=PACKERS)


def pieces(name: str, data: bytes, size: int) -> list[bytes]:
    """Return what comes out when `data` goes in in pieces of this size."""
    unpack = unpacker({"content-encoding": name})
    assert unpack is not None
    return [piece for at in range(0, len(data), size) for piece in unpack(data[at : at + size])]


@packed
def test_a_body_comes_out_whole(name: str, pack: Callable[[bytes], bytes]) -> None:
    """However it arrives."""
    data = pack(TEXT)
    for size in (1, 7, 1000, len(data)):
        assert b"".join(pieces(name, data, size)) == TEXT


@packed
def test_a_small_body_that_holds_much(name: str, pack: Callable[[bytes], bytes]) -> None:
    """It comes in pieces that a caller can count, and stop at, before there are many."""
    data, most = pack(b" " * 50_000_000), 9_000_000
    unpack = unpacker({"content-encoding": name})
    assert unpack is not None
    first = next(piece for at in range(0, len(data), 4096) for piece in unpack(data[at : at + 4096]) if piece)
    assert len(first) <= most


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd", "br"])
def test_what_is_packed_otherwise(name: str) -> None:
    """It is httpx's error, which the transport translates."""
    if name in {"zstd", "br"}:
        pytest.importorskip({"zstd": "zstandard", "br": "brotli"}[name])
    with pytest.raises(httpx.DecodingError):
        pieces(name, b"data: plain text, no more\n\n" * 20, 100)


@pytest.mark.parametrize("end", [b"\0" * 9, b"\r\n", b"\x1f"])
def test_what_follows_the_end_is_passed_over(end: bytes) -> None:
    """Some servers pad what they pack."""
    for size in (1, 1000):
        assert b"".join(pieces("gzip", gzip.compress(TEXT) + end, size)) == TEXT
        assert b"".join(pieces("deflate", zlib.compress(TEXT) + end, size)) == TEXT


def test_damage_after_the_beginning() -> None:
    """A second format is tried for the first bytes only."""
    data = bytearray(zlib.compress(TEXT))
    data[2000:2100] = bytes(100)
    with pytest.raises(httpx.DecodingError):
        pieces("deflate", bytes(data), 500)


@each("headers", [{}, {"content-encoding": ""}, {"content-encoding": "identity, new"}])
def test_bodies_that_are_not_packed(headers: dict[str, str]) -> None:
    """They are left as they are, and so is what nothing here can unpack."""
    assert unpacker(headers) is None


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its coding is passed on, as httpx does."""
    for package in ("brotli", "brotlicffi", "zstandard"):
        monkeypatch.setitem(sys.modules, package, None)
    assert unpacker({"content-encoding": "br"}) is None
    assert unpacker({"content-encoding": "zstd"}) is None


def test_a_brotli_package_that_bounds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions before 1.2 return everything that a piece holds: they get small ones."""
    sizes: list[int] = []

    def process(data: bytes) -> bytes:
        sizes.append(len(data))
        return data

    old: Any = SimpleNamespace(Decompressor=lambda: SimpleNamespace(process=process), error=ValueError)
    monkeypatch.setitem(sys.modules, "brotli", old)
    assert b"".join(pieces("br", TEXT, 1000)) == TEXT
    assert max(sizes) <= 4


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_body(data: bytes, size: int) -> None:
    """Any bytes, cut anywhere."""
    assert b"".join(pieces("gzip", gzip.compress(data), size)) == data
    assert b"".join(pieces("deflate", zlib.compress(data), size)) == data
    assert b"".join(pieces("deflate", raw_deflate(data), size)) == data
