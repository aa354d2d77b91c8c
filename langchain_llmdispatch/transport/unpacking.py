"""Unpacking of compressed bodies, in pieces of a bounded size, so that a small body cannot fill the memory.

httpx's decoders return everything that a piece holds: 600 MB for one of 600 KB.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias

import httpx

Unpacker: TypeAlias = Callable[[bytes], Iterator[bytes]]

_PIECE = 64 * 1024
_GZIP = b"\x1f\x8b"
# A block of zstd has 4 bytes at least and 128 KB unpacked at most (RFC 8878, 3.1.1.2), so a slice gives 8 MB.
_ZSTD_SLICE = 256
# A command of brotli has 4 bytes, if it copies much, and at most 16 MB unpacked (RFC 7932, 5).
_BROTLI_SLICE = 4
_ZSTD_WINDOW = 8 * 1024 * 1024  # the most that a client has to support (RFC 9659)


def unpacker(headers: Mapping[str, str]) -> Unpacker | None:
    """Return what unpacks the pieces of a body with these headers; None if it is not packed.

    Codings that are unknown or not installed are passed on as they are, as httpx does.
    """
    codings = headers.get("content-encoding")
    if not codings:
        return None
    names = codings.lower().split(",")
    makers = [maker for name in reversed(names) if (maker := _CODINGS.get(name.strip())) is not None]
    unpackers = [made for maker in makers if (made := maker()) is not None]
    return partial(_through, unpackers) if unpackers else None


def _through(unpackers: list[Unpacker], data: bytes) -> Iterator[bytes]:
    first, *rest = unpackers
    for piece in first(data):
        if rest:
            yield from _through(rest, piece)
        else:
            yield piece


class _Zlib:
    """Unpacks gzip or deflate.

    Args:
        formats: The `wbits` of the formats that it may have; what comes first shows which one it is.
    """

    def __init__(self, *formats: int) -> None:
        self._format, *self._others = formats
        self._stream = zlib.decompressobj(self._format)
        self._start = b""  # the bytes so far, as long as another format may be the right one

    def __call__(self, data: bytes) -> Iterator[bytes]:
        if self._others:
            self._start += data
            if len(self._start) > _PIECE:
                self._others = []
        try:
            yield from self._unpack(data)
        except zlib.error as error:
            if not self._others:
                raise httpx.DecodingError(str(error)) from None
            self._format = self._others.pop()
            self._stream = zlib.decompressobj(self._format)
            yield from self(self._start)

    def _unpack(self, data: bytes) -> Iterator[bytes]:
        piece = b""
        while data or len(piece) == _PIECE:
            piece = self._stream.decompress(data, _PIECE)
            if piece:
                self._others = []
                yield piece
            data = self._stream.unconsumed_tail
            if self._stream.eof and self._stream.unused_data.startswith(_GZIP):
                # A body may have several members; anything else after the end is passed over.
                data, self._stream = self._stream.unused_data, zlib.decompressobj(self._format)


class _Brotli:
    """Unpacks brotli: bounded by its package from 1.2 on, and before that a command or two at a time."""

    def __init__(self, package: Any) -> None:
        stream = package.Decompressor()
        self._error = package.error
        self._decompress = getattr(stream, "process", None) or stream.decompress
        bounds = hasattr(stream, "can_accept_more_data")
        self._options = {"output_buffer_limit": _PIECE} if bounds else {}
        self._slice = _PIECE if bounds else _BROTLI_SLICE

    def __call__(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), self._slice):
            part, piece = data[start : start + self._slice], bytes(_PIECE)
            while part or (self._options and len(piece) >= _PIECE):
                try:
                    piece = self._decompress(part, **self._options)
                except self._error as error:
                    raise httpx.DecodingError(str(error)) from None
                yield piece
                part = b""


class _Zstandard:
    """Unpacks zstd, a few blocks at a time."""

    def __init__(self, package: Any) -> None:
        self._package = package
        self._stream = self._frame()

    def _frame(self) -> Any:
        return self._package.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()

    def __call__(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_SLICE):
            part = data[start : start + _ZSTD_SLICE]
            while part:
                if self._stream.eof:
                    self._stream = self._frame()
                try:
                    yield self._stream.decompress(part)
                except self._package.ZstdError as error:
                    raise httpx.DecodingError(str(error)) from None
                part = self._stream.unused_data


def _installed(make: Callable[[Any], Unpacker], *packages: str) -> Unpacker | None:
    for name in packages:
        try:
            return make(import_module(name))
        except ImportError:
            continue
    return None


_CODINGS: Mapping[str, Callable[[], Unpacker | None]] = {
    "gzip": partial(_Zlib, zlib.MAX_WBITS | 16),
    "x-gzip": partial(_Zlib, zlib.MAX_WBITS | 16),
    "deflate": partial(_Zlib, zlib.MAX_WBITS, -zlib.MAX_WBITS),
    "br": partial(_installed, _Brotli, "brotli", "brotlicffi"),
    "zstd": partial(_installed, _Zstandard, "zstandard"),
}
