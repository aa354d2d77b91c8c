"""A user's own httpx client: what it adds to a request, and what its hooks and auth may raise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx

from langchain_llmdispatch.errors import UnusableDeploymentError

if TYPE_CHECKING:
    import httpx2

    SyncClient: TypeAlias = httpx.Client | httpx2.Client
    AsyncClient: TypeAlias = httpx.AsyncClient | httpx2.AsyncClient
    OwnClient: TypeAlias = SyncClient | AsyncClient


def additions(client: OwnClient) -> Iterator[tuple[str, str]]:
    """Yield names and values of everything that the client adds to a request, which may be credentials."""
    yield from client.headers.items()
    yield from client.params.items()
    yield from (("cookie", cookie.value) for cookie in client.cookies.jar if cookie.value)
    for value in vars(client.auth).values() if client.auth is not None else ():
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if isinstance(text, str):
            yield "auth", text
    held = vars(client)
    for sender in (held.get("_transport"), *held.get("_mounts", {}).values()):
        yield from _of_proxy(getattr(sender, "_pool", None))


def _of_proxy(pool: Any) -> Iterator[tuple[str, str]]:
    """Yield what a pool of httpcore's adds for its proxy: headers, or a name and a password of SOCKS."""
    for name, value in getattr(pool, "_proxy_headers", None) or ():
        yield f"proxy {name.decode('latin-1')}", value.decode("latin-1")
    for part in getattr(pool, "_proxy_auth", None) or ():
        yield "proxy auth", part.decode("latin-1")


def answer_in(error: Exception) -> httpx.Response:
    """Return the response that a hook of a user's own client refused (`raise_for_status`), for the codec.

    The client has closed it; its body is there only if the hook has read it.

    Raises:
        UnusableDeploymentError: The client's own code failed, and names no response.
        httpx.HTTPError: The request failed.
    """
    response = getattr(error, "response", None)
    if isinstance(response, httpx.Response):
        return read_response(response)
    if isinstance(error, (httpx.HTTPError, httpx.InvalidURL)):
        raise error
    text = f"the http_client of VendorConfig failed: {type(error).__name__}: {error}"
    raise UnusableDeploymentError(text) from error


def read_response(response: Any) -> httpx.Response:
    """Return a response of httpx or httpx2 that is closed, with the body that was read of it, if any."""
    body = response.content if hasattr(response, "_content") else b""
    headers = {name: value for name, value in response.headers.items() if name not in _OF_THE_BODY}
    return httpx.Response(response.status_code, headers=headers, content=body)


_OF_THE_BODY = frozenset({"content-encoding", "content-length", "transfer-encoding"})
