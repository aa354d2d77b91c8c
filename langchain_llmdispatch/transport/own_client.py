"""A user's own httpx client: what it adds to a request, and what its hooks and auth may raise."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx

from langchain_llmdispatch.errors import UnusableDeploymentError

_NOT_OF_A_VALUE = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")


def adopt(client: httpx.Client | httpx.AsyncClient, request: httpx.Request) -> None:
    """Add the client's own headers, query parameters and cookies to a request; the request's win.

    Its auth, hooks, proxies and transports apply when it sends the request. Its timeouts do not: those of the
    attempt hold, on connections that it opens from now on.

    Raises:
        UnusableDeploymentError: The client is closed, or a header of its own is none of HTTP.
    """
    if client.is_closed:
        raise UnusableDeploymentError("the http_client of VendorConfig is closed; the model needs it open")
    for raw, value in client.headers.raw:
        name = raw.decode("ascii", "replace")
        if _NOT_OF_A_VALUE.search(value):
            raise UnusableDeploymentError(
                f"the http_client of VendorConfig: HTTP does not allow the value of its header {name!r}"
            )
    params = client.params.merge(request.url.params) if client.params else None
    built = client.build_request(request.method, request.url, headers=request.headers, params=params)
    if "content-length" not in request.headers:
        built.headers.pop("content-length", None)  # the body is not given to `build_request`
    request.url, request.headers = built.url, built.headers


def additions(client: httpx.Client | httpx.AsyncClient) -> Iterator[tuple[str, str]]:
    """Yield names and values of everything that the client adds to a request, which may be credentials."""
    yield from client.headers.items()
    yield from client.params.items()
    yield from (("cookie", cookie.value) for cookie in client.cookies.jar if cookie.value)
    for value in vars(client.auth).values() if client.auth is not None else ():
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if isinstance(text, str):
            yield "auth", text


def answer_in(error: Exception) -> httpx.Response:
    """Return the response that a hook of a user's own client refused (`raise_for_status`), for the codec.

    The client has closed it; its body is there only if the hook has read it.

    Raises:
        UnusableDeploymentError: The client's own code failed, and names no response.
        httpx.HTTPError: The request failed.
    """
    response = getattr(error, "response", None)
    if isinstance(response, httpx.Response):
        body = response.content if hasattr(response, "_content") else b""
        headers = {name: value for name, value in response.headers.items() if name not in _OF_THE_BODY}
        return httpx.Response(response.status_code, headers=headers, content=body)
    if isinstance(error, (httpx.HTTPError, httpx.InvalidURL)):
        raise error
    text = f"the http_client of VendorConfig failed: {type(error).__name__}: {error}"
    raise UnusableDeploymentError(text) from error


_OF_THE_BODY = frozenset({"content-encoding", "content-length", "transfer-encoding"})
