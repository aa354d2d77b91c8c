"""A user's own client: what it adds is sent, its own timeouts give way to the attempt's."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import httpx
import httpx2
import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, VendorConfig
from langchain_llmdispatch.errors import AttemptTimeoutError, DispatchError, UnusableDeploymentError
from langchain_llmdispatch.transport.transport import adopt
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of
from tests.transport.servers import listening

PACKAGES = pytest.mark.parametrize("package", [httpx, httpx2], ids=lambda package: package.__name__)
COLOURS = pytest.mark.parametrize("colour", ["sync", "async"])
ADDED: dict[str, Any] = {
    "headers": {"X-Tenant": "acme", "Content-Type": "text/plain"},
    "params": {"region": "eu", "own": "no"},
    "cookies": {"sid": "1"},
}


def client_of(colour: str, package: Any = httpx, **settings: Any) -> Any:
    """Return a client of one colour."""
    return package.Client(**settings) if colour == "sync" else package.AsyncClient(**settings)


@PACKAGES
@COLOURS
def test_what_the_client_adds_is_on_the_request(colour: str, package: Any) -> None:
    """Headers, parameters and cookies are added; what the request has itself stays."""
    client = client_of(colour, package, **ADDED)
    request = httpx.Request("POST", "http://vendor.test/v1?own=yes", json={}, headers={"X-Own": "1"})
    adopt(client, request)
    assert request.url.params.multi_items() == [("region", "eu"), ("own", "yes")]
    assert request.headers["x-tenant"] == "acme"
    assert request.headers["x-own"] == "1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["cookie"] == "sid=1"
    assert request.headers["content-length"] == "2"


@PACKAGES
@COLOURS
def test_a_body_of_unknown_length_keeps_its_form(colour: str, package: Any) -> None:
    """A chunked request gets no length."""
    request = httpx.Request("POST", "http://vendor.test/", content=iter([b"a", b"b"]))
    adopt(client_of(colour, package), request)
    assert request.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in request.headers


def invoke(server: LoopbackServer, colour: str, client: Any, *more: Any, **fields: Any) -> Any:
    """Call a model on this client, once."""
    config = VendorConfig(**{"http_client" if colour == "sync" else "http_async_client": client})
    model = model_of(
        deployment(server, "openai"),
        *more,
        vendors={"openai": config},
        retry_policy=RetryPolicy(max_retries=0),
        **fields,
    )

    async def main() -> Any:
        async with client:
            return await model.ainvoke("hello")

    if colour == "async":
        return asyncio.run(main())
    with client:
        return model.invoke("hello")


@PACKAGES
@COLOURS
def test_a_model_sends_what_the_client_adds(server: LoopbackServer, colour: str, package: Any) -> None:
    """The whole way: client, model, server; hooks and auth apply, redirects are not followed."""
    seen: list[httpx.Request] = []

    async def anote(request: httpx.Request) -> None:
        seen.append(request)

    hook = seen.append if colour == "sync" else anote
    client = client_of(colour, package, **ADDED, event_hooks={"request": [hook]}, follow_redirects=True)
    assert "hello" in invoke(server, colour, client).text
    assert seen[0].headers["x-tenant"] == "acme"
    assert seen[0].url.params["region"] == "eu"


@PACKAGES
@COLOURS
def test_a_head_that_drips_ends_with_the_timeout(server: LoopbackServer, colour: str, package: Any) -> None:
    """The attempt's timeout holds for each read on the client's connections."""
    server.script("openai", [Fault.slow_head(60)])
    with pytest.raises(DispatchError) as caught:
        invoke(server, colour, client_of(colour, package, timeout=600), timeout=0.05)
    assert isinstance(caught.value.errors[0], AttemptTimeoutError)


def test_an_async_hook_that_hangs_ends_with_the_timeout(server: LoopbackServer) -> None:
    """What is no read of ours is bounded as well."""

    async def hang(_: httpx.Request) -> None:
        await asyncio.Event().wait()

    client = client_of("async", event_hooks={"request": [hang]})
    with pytest.raises(DispatchError) as caught:
        invoke(server, "async", client, timeout=0.05)
    assert isinstance(caught.value.errors[0], AttemptTimeoutError)


@PACKAGES
@COLOURS
def test_a_closed_client_falls_back(server: LoopbackServer, colour: str, package: Any) -> None:
    """A deployment whose client is closed is passed over."""
    client = client_of(colour, package)
    (client.close() if colour == "sync" else asyncio.run(client.aclose()))
    config = VendorConfig(**{"http_client" if colour == "sync" else "http_async_client": client})
    model = model_of(
        deployment(server, "openai"), deployment(server, "anthropic"), vendors={"openai": config}
    )
    message = model.invoke("hello") if colour == "sync" else asyncio.run(model.ainvoke("hello"))
    first, last = message.response_metadata["llmdispatch"]["attempts"]
    assert (first["error"], last["error"]) == (UnusableDeploymentError.__name__, None)


STATUSES = [
    (401, "AuthenticationError"),
    (403, "PermissionDeniedError"),
    (404, "ModelNotFoundError"),
    (429, "RateLimitError"),
    (500, "ServerError"),
    (503, "OverloadedError"),
]


@PACKAGES
@COLOURS
@pytest.mark.parametrize(("status", "expected"), STATUSES)
@pytest.mark.parametrize("reads", [True, False])
def test_a_hook_that_raises_for_a_status(
    server: LoopbackServer, colour: str, package: Any, status: int, expected: str, reads: bool
) -> None:
    """`raise_for_status` in a hook is the response's status to us, with its body if the hook has read that."""

    def hook(response: httpx.Response) -> None:
        if reads:
            response.read()
        response.raise_for_status()

    async def ahook(response: httpx.Response) -> None:
        if reads:
            await response.aread()
        response.raise_for_status()

    server.script("openai", [Fault(status=status)])
    client = client_of(colour, package, event_hooks={"response": [hook if colour == "sync" else ahook]})
    message = invoke(server, colour, client, deployment(server, "anthropic"))
    first, last = message.response_metadata["llmdispatch"]["attempts"]
    assert (first["status"], first["error"], last["error"]) == (status, expected, None)


@PACKAGES
@COLOURS
def test_a_hook_with_a_bug_falls_back(server: LoopbackServer, colour: str, package: Any) -> None:
    """It is its deployment's failure, and not one of this package; the final error names it and its cause."""

    def hook(_: httpx.Request) -> None:
        raise LookupError("no signature")

    async def ahook(_: httpx.Request) -> None:
        raise LookupError("no signature")

    hooks = {"request": [hook if colour == "sync" else ahook]}
    message = invoke(
        server, colour, client_of(colour, package, event_hooks=hooks), deployment(server, "anthropic")
    )
    assert message.response_metadata["llmdispatch"]["fallback"]
    with pytest.raises(DispatchError, match="http_client of VendorConfig failed: LookupError") as caught:
        invoke(server, colour, client_of(colour, package, event_hooks=hooks))
    assert isinstance(caught.value.errors[0].__cause__, LookupError)


@PACKAGES
@pytest.mark.parametrize("own", [True, False])
@COLOURS
@pytest.mark.parametrize("drip", [b"HTTP/1.1 102 Processing\r\n\r\n", b"H"])
def test_a_head_that_never_ends(colour: str, package: Any, own: bool, drip: bytes) -> None:
    """1xx for ever, and a head that comes byte by byte, end with the attempt's timeout; own client or not."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(drip)
                await writer.drain()
                await asyncio.sleep(0.005)

    with listening(handle) as port:
        one = Deployment("openai:x", base_url=f"http://127.0.0.1:{port}/v1", api_key="k", timeout=0.05)
        name = "http_client" if colour == "sync" else "http_async_client"
        config = VendorConfig(**({name: client_of(colour, package, timeout=600)} if own else {}))
        made = DispatcherChatModel(models=[one], vendors={"openai": config}, max_attempts=1, env={})
        with pytest.raises(DispatchError) as caught:
            made.invoke("hello") if colour == "sync" else asyncio.run(made.ainvoke("hello"))
    assert isinstance(caught.value.errors[0], AttemptTimeoutError)
