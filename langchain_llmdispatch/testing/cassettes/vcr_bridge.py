"""The bridge to vcrpy: requests of other HTTP clients of the process go through the same cassette.

vcrpy patches requests, urllib3, aiohttp, boto3, httpx, httpx2 and more. Models' own requests pass through its
patches unchanged: they have been recorded or replayed before, without being read to their end first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import httpx

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing.cassettes.file import Interaction
from langchain_llmdispatch.testing.cassettes.matching import ScrubbedRequest
from langchain_llmdispatch.testing.cassettes.recording import packed_body
from langchain_llmdispatch.testing.no_network import PASSING

try:
    from vcr.cassette import Cassette as VcrCassette
    from vcr.filters import decode_response
    from vcr.record_mode import RecordMode
    from vcr.stubs.httpx_stubs import vcr_handle_async_request, vcr_handle_request
except ImportError as error:  # pragma: no cover - depends on the installation
    raise ConfigurationError("cassettes need vcrpy: pip install 'langchain-llmdispatch[testing]'") from error

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_llmdispatch.testing.cassettes.playback import Playback
    from langchain_llmdispatch.testing.cassettes.recording import Recorder
    from langchain_llmdispatch.testing.cassettes.scrubbing import Scrubber


def bridge(
    path: Path,
    playback: Playback,
    recorder: Recorder | None,
    scrubber: Scrubber,
    allow_hosts: Iterable[str] = (),
) -> AbstractContextManager[Any]:
    """Return a context in which other clients' requests go through a cassette.

    Args:
        path: The file, for messages.
        playback: Replays requests.
        recorder: Records requests; None replays them.
        scrubber: Removes secrets.
        allow_hosts: Globs of hosts whose requests go past the cassette.
    """
    context: AbstractContextManager[Any] = _Bridge.use(
        path=str(path),
        playback=playback,
        recorder=recorder,
        scrubber=scrubber,
        globs=(*PASSING, *allow_hosts),
    )
    return context


@contextmanager
def past_other_recorders() -> Iterator[None]:
    """Keep models' requests out of other recorders, which do not scrub vendors' keys."""
    owners = ((httpx.HTTPTransport, "handle_request"), (httpx.AsyncHTTPTransport, "handle_async_request"))
    outer = [getattr(owner, name) for owner, name in owners]
    for (owner, name), handle in zip(owners, outer, strict=True):
        setattr(owner, name, _dispatched(inspect.unwrap(handle), handle))
    try:
        yield
    finally:
        for (owner, name), handle in zip(owners, outer, strict=True):
            setattr(owner, name, handle)


def _dispatched(real: Callable[..., Any], recorded: Callable[..., Any]) -> Callable[..., Any]:
    """Return a handler that sends models' requests straight on, others through a recorder; sync or async."""

    def handle(self: Any, request: httpx.Request) -> Any:
        return (real if "llmdispatch" in request.extensions else recorded)(self, request)

    return handle


class _Bridge(VcrCassette):  # type: ignore[misc] # vcrpy has no types
    """vcrpy's cassette, as a view of ours."""

    def __init__(
        self,
        path: str,
        playback: Playback,
        recorder: Recorder | None,
        scrubber: Scrubber,
        globs: tuple[str, ...],
    ) -> None:
        mode = RecordMode.NONE if recorder is None else RecordMode.ALL
        super().__init__(path, record_mode=mode, custom_patches=_patches(self))
        self._playback, self._recorder, self._scrubber, self._globs = playback, recorder, scrubber, globs

    def can_play_response_for(self, request: Any) -> bool:
        """Return whether a request is replayed; an unknown one raises when it is played."""
        return self._recorder is None and self.filter_request(request) is not None

    def play_response(self, request: Any) -> dict[str, Any]:
        """Return the recorded response."""
        interaction = self._playback.take(self._scrubbed(request))
        response, body = interaction.response, b"".join(interaction.pieces()[0])
        return {
            "status": {"code": response["status"], "message": ""},
            "headers": {name: [value] for name, value in response["headers"].items()},
            "body": {"string": body},
        }

    def append(self, request: Any, response: dict[str, Any]) -> None:
        """Record an exchange."""
        if self._recorder is None or not self.filter_request(request):
            return
        sent, scrubber = self._scrubbed(request), self._scrubber
        plain = decode_response({**response, "headers": dict(response["headers"])})
        pairs = [(name, _text(values)) for name, values in plain["headers"].items()]
        head = {"status": plain["status"]["code"], "headers": scrubber.response_headers(pairs)}
        packed = packed_body(plain["body"]["string"] or b"", _content_type(pairs), scrubber)
        interaction = Interaction(sent.vendor, sent.to_dict(), {**head, **packed})
        self._recorder.keep(self._recorder.slot(), interaction)

    def filter_request(self, request: Any) -> Any:
        """Return the request, or None if it goes past the cassette."""
        return None if any(fnmatchcase(request.host or "", glob) for glob in self._globs) else request

    def _scrubbed(self, request: Any) -> ScrubbedRequest:
        scrubber = self._scrubber
        headers = [(name, _text(value)) for name, value in request.headers.items()]
        for name, value in headers:
            if name.casefold() in {"authorization", "x-api-key", "api-key", "x-goog-api-key"}:
                scrubber.secrets.add(value.partition(" ")[2] or value)
        url = scrubber.url(request.uri)
        body = request.body if isinstance(request.body, bytes) else bytes(request.body_bytes or b"")
        return ScrubbedRequest(
            vendor=request.host or "",
            method=request.method,
            url=url,
            path=httpx.URL(url).path,
            body=scrubber.request_body(body, _content_type(headers)),
            headers=scrubber.request_headers(headers),
        )

    def _load(self) -> None:
        """Load nothing: the file is ours."""

    def _save(self, force: bool = False) -> None:  # vcrpy's signature
        """Save nothing: the file is ours."""


def _content_type(headers: Iterable[tuple[str, str]]) -> str:
    return next((value for name, value in headers if name.casefold() == "content-type"), "")


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
        (httpx.HTTPTransport, "handle_request", _dispatched(real, recorded)),
        (httpx.AsyncHTTPTransport, "handle_async_request", _dispatched(areal, arecorded)),
        *((owner, name, inspect.unwrap(getattr(owner, name))) for owner, name in inside),
    )
