"""Requests that something patched must see: it stands between httpx and the network."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any

import httpcore
import httpx
import pytest

from langchain_llmdispatch.transport.seams import _is_original, is_patched
from langchain_llmdispatch.transport.transport import Transport
from tests.transport.servers import answer, listening, origin, post, sent

SEAMS = [
    (httpx.HTTPTransport, "handle_request"),
    (httpcore.ConnectionPool, "handle_request"),
    (httpcore.HTTPConnection, "handle_request"),
    (httpx.AsyncHTTPTransport, "handle_async_request"),
    (httpcore.AsyncConnectionPool, "handle_async_request"),
    (httpcore.AsyncHTTPConnection, "handle_async_request"),
]


@pytest.mark.parametrize(("owner", "name"), SEAMS, ids=lambda each: getattr(each, "__name__", each))
def test_what_is_patched_sees_the_requests(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """vcrpy, respx, pytest-httpx and OpenTelemetry replace these methods, at any time, and undo it."""
    colour, seen = "async" if "async" in name else "sync", list[str]()
    original = getattr(owner, name)

    def wrapper(self: Any, request: Any) -> Any:
        seen.append(request.method if isinstance(request.method, str) else request.method.decode())
        return original(self, request)

    with listening(answer) as port:
        transport, there = Transport(environment={}), origin(port)
        assert sent(transport, post(there), colour) == b"hi"
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, wrapper)
            assert is_patched()
            assert sent(transport, post(there), colour) == b"hi"
        assert not is_patched()
        assert sent(transport, post(there), colour) == b"hi"
        transport.close()
    assert seen == ["POST"]


def test_a_wrapper_is_no_original() -> None:
    """Neither one that copies a function's names nor a stand-in; so a patch from before the import counts, too."""

    @functools.wraps(httpx.HTTPTransport.handle_request)
    def wrapper(*args: Any) -> Any:
        return args

    assert _is_original(httpx.HTTPTransport.handle_request)
    assert not _is_original(wrapper)
    assert not _is_original(functools.partial(httpx.HTTPTransport.handle_request))


def test_httpcore_is_imported_with_the_first_request_that_httpx_sends() -> None:
    """A plain call needs nothing of it; what patched it before our first request counts."""
    code = """
import sys, httpx
from langchain_llmdispatch.transport.seams import is_patched
from langchain_llmdispatch.transport.transport import Transport
assert not is_patched() and "httpcore" not in sys.modules
import httpcore
original = httpcore.ConnectionPool.handle_request
httpcore.ConnectionPool.handle_request = lambda *_: None
assert is_patched()
httpcore.ConnectionPool.handle_request = original
assert not is_patched()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
