"""A user's own `httpx` client (`VendorConfig.http_client`): what it adds to a request."""

from __future__ import annotations

import httpx

from langchain_llmdispatch.errors import UnusableDeploymentError
from langchain_llmdispatch.transport.pool import apply_deadlines


def adopt(client: httpx.Client | httpx.AsyncClient, request: httpx.Request) -> None:
    """Add the client's own headers, query parameters and cookies to a request; the request's win.

    Its auth, hooks, proxies and transports apply when it sends the request. Its timeouts do not: those of the
    attempt hold, on connections that it opens from now on.

    Raises:
        UnusableDeploymentError: The client is closed.
    """
    if client.is_closed:
        raise UnusableDeploymentError("the http_client of VendorConfig is closed; the model needs it open")
    params = client.params.merge(request.url.params) if client.params else None
    built = client.build_request(request.method, request.url, headers=request.headers, params=params)
    if "content-length" not in request.headers:
        built.headers.pop("content-length", None)  # the body is not given to `build_request`
    request.url, request.headers = built.url, built.headers
    apply_deadlines(client, request.url)
