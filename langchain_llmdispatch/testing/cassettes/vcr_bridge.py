"""The bridge to vcrpy: what other HTTP clients of the process send goes through the same cassette.

vcrpy patches requests, urllib3, aiohttp, boto3, httpx, httpx2 and more. Models' own requests pass through its
patches untouched: they have been recorded or answered before, without being read to their end first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import httpx

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing.cassettes.file import Interaction
from langchain_llmdispatch.testing.cassettes.matching import Asked
from langchain_llmdispatch.testing.cassettes.recording import packed_body
from langchain_llmdispatch.testing.no_network import PASSING

try:
    from vcr.cassette import Cassette as VcrCassette
    from vcr.filters import decode_response
    from vcr.record_mode import RecordMode
    from vcr.stubs.httpx_stubs import vcr_handle_async_request, vcr_handle_request
except ImportError as error:  # pragma: no cover - depends on the installation
    raise ConfigurationError('cassettes need vcrpy: pip install "langchain-llmdispatch[testing]"') from error

if TYPE_CHECKING:
    from langchain_llmdispatch.testing.cassettes.cassette import Cassette


def other_clients(cassette: Cassette) -> AbstractContextManager[Any]:
    """Return a context in which other clients' requests go through the cassette, or past it."""
    if cassette.other_hosts == "pass":
        return _past_other_recorders()
    bridge: AbstractContextManager[Any] = _Bridge.use(path=str(cassette.path), ours=cassette)
    return bridge


@contextmanager
def _past_other_recorders() -> Iterator[None]:
    """Keep models' requests out of other recorders: they know nothing of vendors' keys."""
    owners = ((httpx.HTTPTransport, "handle_request"), (httpx.AsyncHTTPTransport, "handle_async_request"))
    outer = [getattr(owner, name) for owner, name in owners]
    for (owner, name), handle in zip(owners, outer, strict=True):
        setattr(owner, name, _sorted_out(inspect.unwrap(handle), handle))
    try:
        yield
    finally:
        for (owner, name), handle in zip(owners, outer, strict=True):
            setattr(owner, name, handle)


def _sorted_out(real: Callable[..., Any], recorded: Callable[..., Any]) -> Callable[..., Any]:
    """Return what sends models' requests straight on, and others through a recorder; sync or async."""

    def handle(self: Any, request: httpx.Request) -> Any:
        return (real if "llmdispatch" in request.extensions else recorded)(self, request)

    return handle


class _Bridge(VcrCassette):  # type: ignore[misc] # vcrpy has no types
    """vcrpy's cassette, as a view of ours."""

    def __init__(self, path: str, ours: Cassette) -> None:
        mode = RecordMode.ALL if ours.records else RecordMode.NONE
        super().__init__(path, record_mode=mode, custom_patches=_patches(self))
        self._ours = ours

    def can_play_response_for(self, request: Any) -> bool:
        """Return whether a request is answered from the recording; an unknown one fails when it is played."""
        return not self._ours.records and self.filter_request(request) is not None

    def play_response(self, request: Any) -> dict[str, Any]:
        """Return the recorded answer."""
        held = self._ours.playback.take(self._asked(request))
        body = b"".join(held.pieces()[0])
        return {
            "status": {"code": held.response["status"], "message": ""},
            "headers": {name: [value] for name, value in held.response["headers"].items()},
            "body": {"string": body},
        }

    def append(self, request: Any, response: dict[str, Any]) -> None:
        """Record an exchange."""
        if not self._ours.records or not self.filter_request(request):
            return
        asked, ours = self._asked(request), self._ours
        plain = decode_response({**response, "headers": dict(response["headers"])})
        pairs = [(name, _text(values)) for name, values in plain["headers"].items()]
        kind = next((value for name, value in pairs if name.casefold() == "content-type"), "")
        head = {"status": plain["status"]["code"], "headers": ours.scrubber.response_headers(pairs)}
        packed = packed_body(plain["body"]["string"] or b"", kind, ours.scrubber)
        sent = {"method": asked.method, "url": asked.url, "headers": dict(asked.headers)}
        if asked.body is not None:
            sent["body"] = asked.body
        ours.recorder.keep(ours.recorder.slot(), Interaction(asked.vendor, sent, {**head, **packed}))

    def filter_request(self, request: Any) -> Any:
        """Return the request, or None if it is not the cassette's business."""
        globs = (*PASSING, *self._ours.allow_hosts)
        return None if any(fnmatchcase(request.host or "", glob) for glob in globs) else request

    def _asked(self, request: Any) -> Asked:
        scrubber = self._ours.scrubber
        headers = [(name, _text(value)) for name, value in request.headers.items()]
        for name, value in headers:
            if name.casefold() in {"authorization", "x-api-key", "api-key", "x-goog-api-key"}:
                self._ours.secrets.add(value.partition(" ")[2] or value)
        url = scrubber.url(request.uri)
        body = request.body if isinstance(request.body, bytes) else bytes(request.body_bytes or b"")
        kind = next((value for name, value in headers if name.casefold() == "content-type"), "")
        return Asked(
            vendor=request.host or "",
            method=request.method,
            url=url,
            path=httpx.URL(url).path,
            body=scrubber.request_body(body, kind),
            headers=scrubber.request_headers(headers),
        )

    def _load(self) -> None:
        """Load nothing: the file is ours."""

    def _save(self, force: bool = False) -> None:  # vcrpy's signature
        """Save nothing: the file is ours."""


def _text(value: Any) -> str:
    first = value[0] if isinstance(value, (list, tuple)) and value else value
    return first.decode("latin-1") if isinstance(first, bytes) else str(first)


def _patches(bridge: _Bridge) -> tuple[tuple[Any, str, Any], ...]:
    """Return patches over vcrpy's own: models' requests and in-process servers go straight through."""
    real = inspect.unwrap(httpx.HTTPTransport.handle_request)
    areal = inspect.unwrap(httpx.AsyncHTTPTransport.handle_async_request)
    recorded = vcr_handle_request(bridge, real, httpx)
    arecorded = vcr_handle_async_request(bridge, areal, httpx)
    inside = [
        (httpx.MockTransport, "handle_request"),
        (httpx.MockTransport, "handle_async_request"),
        (httpx.WSGITransport, "handle_request"),
        (httpx.ASGITransport, "handle_async_request"),
    ]
    return (
        (httpx.HTTPTransport, "handle_request", _sorted_out(real, recorded)),
        (httpx.AsyncHTTPTransport, "handle_async_request", _sorted_out(areal, arecorded)),
        *((owner, name, inspect.unwrap(getattr(owner, name))) for owner, name in inside),
    )
