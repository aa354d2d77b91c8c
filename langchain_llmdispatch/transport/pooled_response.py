"""Responses of our own pools, whose headers become httpx's only when they are read as such.

That would cost more than the rest of the work on a response, and nothing on the way of a plain call needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, overload

import httpx

T = TypeVar("T")
_NO_HEADERS = httpx.Headers()


class ResponseFields(dict[str, str]):
    """The headers of a response by their names; any case of a name finds its value.

    Args:
        lines: Names and values as they were sent; values of one name are joined by commas (RFC 9110, 5.3).
        encoding: How their bytes were decoded, in httpx's words.

    Attributes:
        lines, encoding: As above.
    """

    __slots__ = ("encoding", "lines")

    def __init__(self, lines: Sequence[tuple[str, str]] = (), encoding: str = "ascii") -> None:
        super().__init__([(name.lower(), value) for name, value in lines])
        self.lines, self.encoding = lines, encoding
        if len(self) != len(lines):
            self._join()

    def _join(self) -> None:
        joined: dict[str, str] = {}
        for name, value in self.lines:
            key = name.lower()
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
        self.update(joined)

    @overload
    def get(self, name: str, default: None = None, /) -> str | None: ...
    @overload
    def get(self, name: str, default: T, /) -> str | T: ...
    def get(self, name: str, default: T | None = None, /) -> str | T | None:
        """Return the value of a header."""
        return super().get(name.lower(), default)

    def __missing__(self, name: str) -> str:
        """Return the value of a name that is not in lower case."""
        if (value := self.get(name)) is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a header."""
        return isinstance(name, str) and super().__contains__(name.lower())


class PooledResponse(httpx.Response):
    """A response of a pool of ours.

    Args:
        status: Its status.
        fields: Its headers.
        stream: Yields its body.
        extensions: What httpx's responses hold beside.
        body: The body, if all of it has arrived: then there is nothing to close, and `stream` is not used.

    Attributes:
        fields: The headers; None once they are httpx's, which may then be changed.
        body: The body, if it has arrived and is not packed.
        whole: The stream of that body; a layer that puts another one in its place changes what is read.
    """

    def __init__(
        self,
        status: int,
        fields: ResponseFields,
        stream: httpx.SyncByteStream | httpx.AsyncByteStream,
        extensions: dict[str, bytes],
        body: bytes | None = None,
    ) -> None:
        self.whole = None if body is None else httpx.ByteStream(body)
        super().__init__(status, headers=_NO_HEADERS, stream=self.whole or stream, extensions=extensions)
        self.fields: ResponseFields | None = fields
        self.body = None if "content-encoding" in fields else body

    @property
    def headers(self) -> httpx.Headers:
        """The headers as httpx's."""
        if self.fields is not None:
            self._headers = httpx.Headers([*self.fields.lines], self.fields.encoding)
            self.fields = None
        return self._headers

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        self._headers, self.fields = headers, None
