"""Whether anything stands between httpx and the network: what records or traces requests is put there.

httpcore is not imported here: a plain call needs nothing of it, and where it is patched, it is there.
"""

from __future__ import annotations

from sys import modules
from types import FunctionType
from typing import Any

import httpx


def is_patched() -> bool:
    """Return whether vcrpy, respx, OpenTelemetry or their like see what httpx sends, and nothing else."""
    if (httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request) != _ORIGINAL:
        return True
    core: Any = modules.get("httpcore")
    if core is None:
        return False
    try:
        found = (
            core.ConnectionPool.handle_request,
            core.AsyncConnectionPool.handle_async_request,
            core.HTTPConnection.handle_request,
            core.AsyncHTTPConnection.handle_async_request,
        )
    except AttributeError:  # another thread is importing it: nothing has patched it yet
        return False
    return found != (_of_core.get("original") or _kept(found))


def _kept(found: tuple[Any, ...]) -> tuple[Any, ...]:
    """Keep httpcore's functions, unless one of them is patched already."""
    if original := _originals(found):
        _of_core["original"] = original
    return original


def _originals(found: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the functions, or nothing where one of them is patched already."""
    return found if all(map(_is_original, found)) else ()


def _is_original(function: Any) -> bool:
    # By its module's names, which a wrapper does not copy; wrapt's stand-ins are of another type.
    return type(function) is FunctionType and function.__globals__["__name__"].startswith(
        ("httpx.", "httpcore.")
    )


_ORIGINAL = _originals((httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request))
_of_core: dict[str, tuple[Any, ...]] = {}  # the same of httpcore, once it is imported and not patched
