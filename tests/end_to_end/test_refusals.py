"""Refusals: which ones fall back to another deployment, which end the call, and which close a deployment."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from langchain_core import exceptions as core
from langchain_core.messages import AIMessage

from langchain_llmdispatch import (
    AllDeploymentsFailedError,
    Deployment,
    DispatcherChatModel,
    VendorConfig,
    errors,
)
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, MODELS, VENDORS, deployment, model_of

TOKEN = "canary-0123456789abcdef-token"
BODIES: dict[str, Callable[[str], Any]] = {
    "anthropic": lambda text: {"type": "error", "error": {"type": "invalid_request_error", "message": text}},
    "google": lambda text: {"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}},
    "cohere": lambda text: {"id": "e1", "message": text},
    "ollama": lambda text: {"error": text},
}


def refused(vendor: str, text: str, status: int = 400, **headers: str) -> Fault:
    """Return a refusal in a vendor's form."""
    form = BODIES.get(vendor, lambda text: {"error": {"message": text, "type": "x", "code": None}})
    return Fault(status=status, headers=headers, body=form(text))


def tried(server: LoopbackServer) -> str:
    """Return the accounts that were tried, in order."""
    return "".join(received.account for received in server.requests)


def answer(model: DispatcherChatModel, colour: str = "invoke") -> AIMessage:
    """Return the answer to a question."""
    return COLOURS[colour](model, "hello")


ELSEWHERE = [
    (400, "Invalid 'tools': array too long. Expected an array with maximum length 128, but got 150."),
    (400, "Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'"),
    (422, "tools.0.parameters: schema too complex, too many states for serving"),
    (415, "Unsupported MIME type: image/heic"),
    (413, "Request Entity Too Large"),
    (404, "File not found: file_1"),
    (429, "Request too large for m in organization o on tokens per min (TPM): Limit 8000, Requested 9000"),
    (407, "Proxy Authentication Required"),
    (497, "HTTP Request Sent to HTTPS Port"),
]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("vendor", VENDORS)
def test_what_one_target_refuses_another_one_serves(server: LoopbackServer, vendor: str, colour: str) -> None:
    """Each refusal costs one request, and the next deployment's answer is the call's."""
    for status, text in ELSEWHERE:
        server.clear()
        server.script(vendor, [refused(vendor, text, status)], "a", repeat=True)
        with model_of(deployment(server, vendor, "a"), deployment(server, vendor, "b")) as model:
            facts = answer(model, colour).response_metadata["llmdispatch"]
        assert (tried(server), facts["deployment"]) == ("ab", "b"), text


@pytest.mark.parametrize("colour", COLOURS)
@each("vendor", VENDORS)
def test_the_callers_own_mistake_is_raised(server: LoopbackServer, vendor: str, colour: str) -> None:
    """What is wrong everywhere is tried once."""
    server.script(vendor, [refused(vendor, "temperature must be between 0 and 1")], "a", repeat=True)
    with model_of(deployment(server, vendor, "a"), deployment(server, vendor, "b")) as model:
        with pytest.raises(errors.InvalidRequestError, match="temperature"):
            answer(model, colour)
    assert tried(server) == "a"


@pytest.mark.parametrize("colour", COLOURS)
@each("status", [201, 204, 206, 421, 425, 444, 460, 499, 520])
def test_what_the_way_answers_is_asked_again_and_elsewhere(
    server: LoopbackServer, status: int, colour: str
) -> None:
    """Proxies, balancers and odd servers: retried, then another deployment."""
    body = b"" if status == 204 else {"message": "no answer"}
    server.script("openai", [Fault(status=status, body=body)], "a", repeat=True)
    with model_of(deployment(server, "openai", "a"), deployment(server, "openai", "b")) as model:
        assert answer(model, colour).text
    assert tried(server) == "aaab"


@pytest.mark.parametrize("colour", COLOURS)
def test_an_overflow_goes_to_a_larger_window_only(server: LoopbackServer, colour: str) -> None:
    """A deployment whose window is no larger is not tried."""
    text = "This model's maximum context length is 400000 tokens."
    server.script("openai", [refused("openai", text)], "a", repeat=True)
    same = deployment(server, "openai", "b")
    larger = deployment(server, "google", "c")
    with model_of(deployment(server, "openai", "a"), same, larger) as model:
        assert answer(model, colour).text
    with model_of(deployment(server, "openai", "a"), same) as model:
        with pytest.raises(core.ContextOverflowError):
            answer(model, colour)
    assert tried(server) == "aca"


NAMED = {
    "openai": (404, "Item with id 'rs_1' not found."),
    "azure": (404, "Previous response with id 'resp_1' not found."),
    "compatible": (404, "Conversation with id 'conv_1' not found."),
    "anthropic": (404, "File not found: file_1"),
    "google": (403, "CachedContent not found (or permission denied)"),
}


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("vendor", NAMED)
def test_what_a_request_names_closes_no_deployment(
    server: LoopbackServer, vendor: str, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One user's expired file is no other's matter: the next call tries the same deployment, unwarned."""
    caplog.set_level(logging.WARNING)
    status, text = NAMED[vendor]
    server.script(vendor, [refused(vendor, text, status)], "a")
    with model_of(deployment(server, vendor, "a"), deployment(server, vendor, "b")) as model:
        assert answer(model, colour).text
        assert answer(model, colour).text
    assert tried(server) == "aba"
    assert "settings" not in caplog.text


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("status", "text"), [(404, "The model `m` does not exist."), (404, "Not Found"), (403, "Forbidden")]
)
def test_a_missing_model_closes_its_deployment(
    server: LoopbackServer, vendor: str, status: int, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And that is logged: only its owner can help."""
    server.script(vendor, [refused(vendor, text, status)], "a", repeat=True)
    with model_of(deployment(server, vendor, "a"), deployment(server, vendor, "b")) as model:
        assert answer(model).text
        assert answer(model).text
    assert tried(server) == "abb"
    assert "check its settings" in caplog.text


@each("colour", COLOURS)
def test_a_request_above_a_whole_rate_limit(server: LoopbackServer, colour: str) -> None:
    """No wait helps: it is not repeated, and is a rate limit to LangChain's callers."""
    fault = refused("openai", "Request too large for m on tokens per min (TPM)", 429, **{"retry-after": "1"})
    server.script("openai", [fault], "a", repeat=True)
    clock = FakeClock()
    with model_of(deployment(server, "openai", "a"), clock=clock) as model:
        for _ in range(2):
            with pytest.raises(core.ModelRateLimitError) as raised:
                answer(model, colour)
            assert isinstance(raised.value, AllDeploymentsFailedError)
    assert (tried(server), clock.slept) == ("aa", [])


# -- a user's own client ----------------------------------------------------------------------------


def raises(response: httpx.Response) -> None:
    """Refuse what is not 2xx, as many programs have their clients do."""
    response.raise_for_status()


async def araises(response: httpx.Response) -> None:
    """Refuse what is not 2xx."""
    response.raise_for_status()


@pytest.fixture
def vendors() -> Iterator[dict[str, VendorConfig]]:
    """Return vendors whose clients are a user's own, with hooks that raise."""
    no_pool = httpx.Limits(max_keepalive_connections=0)  # no loop is left to close a kept connection
    client = httpx.Client(event_hooks={"response": [raises]})
    async_client = httpx.AsyncClient(event_hooks={"response": [araises]}, limits=no_pool)
    yield {"openai": VendorConfig(http_client=client, http_async_client=async_client)}
    client.close()


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("status", "requests", "error"),
    [
        (503, "aaa", errors.OverloadedError),
        (429, "aaa", errors.RateLimitError),
        (401, "a", errors.AuthenticationError),
        (404, "a", errors.ModelNotFoundError),
        (400, "a", errors.InvalidRequestError),
    ],
)
def test_a_hook_that_raises_for_the_status(
    server: LoopbackServer,
    vendors: dict[str, VendorConfig],
    status: int,
    requests: str,
    error: type[Exception],
    colour: str,
) -> None:
    """The response is classified as if there were no hook."""
    server.script("openai", [refused("openai", "no", status)], "a", repeat=True)
    with model_of(deployment(server, "openai", "a"), vendors=vendors) as model:
        with pytest.raises(errors.DispatchError) as raised:
            answer(model, colour)
    last = getattr(raised.value, "errors", (raised.value,))[-1]
    assert (tried(server), type(last), last.status_code) == (requests, error, status)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_hook_that_raises_keeps_what_the_headers_say(
    server: LoopbackServer, vendors: dict[str, VendorConfig], colour: str
) -> None:
    """The time to wait, among others."""
    server.script("openai", [refused("openai", "no", 503, **{"retry-after": "4"})], "a")
    clock = FakeClock()
    with model_of(deployment(server, "openai", "a"), vendors=vendors, clock=clock) as model:
        assert answer(model, colour).text
    assert (tried(server), clock.slept) == ("aa", [4.0])


@each("colour", COLOURS)
def test_a_time_to_wait_that_is_a_date_counts_from_our_clock(colour: str) -> None:
    """Where the response has no date of its own."""
    clock, sent = FakeClock(), []

    def send(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        until = format_datetime(clock.now() + timedelta(seconds=5), usegmt=True)
        return httpx.Response(503, headers={"retry-after": until}, json={})

    ways = httpx.MockTransport(send)
    own = VendorConfig(
        http_client=httpx.Client(transport=ways), http_async_client=httpx.AsyncClient(transport=ways)
    )
    target = Deployment("openai:gpt-5.4-mini", api_key="key")
    with model_of(target, vendors={"openai": own}, clock=clock, max_retries=1) as model:
        with pytest.raises(errors.DispatchError) as raised:
            answer(model, colour)
    assert raised.value.errors[-1].retry_after == 5.0
    assert (len(sent), clock.slept) == (2, [5.0])


# -- what vendors repeat ----------------------------------------------------------------------------


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": lambda: TOKEN},
        {"headers": {"authorization": f"Bearer {TOKEN}"}},
        {"headers": {"x-api-key": TOKEN}},
        {"headers": {"cookie": f"session={TOKEN}"}},
    ],
    ids=["key function", "authorization", "x-api-key", "cookie"],
)
def test_what_was_sent_as_a_secret_is_not_repeated(
    server: LoopbackServer, fields: dict[str, Any], colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An error's text that quotes a token or a credential of the headers loses it."""
    caplog.set_level(logging.DEBUG)
    server.script("openai", [refused("openai", f"no access for {TOKEN} here", 403)], "a", repeat=True)
    own = Deployment(
        f"openai:{MODELS['openai']}",
        name="a",
        base_url=server.base_url("openai", "a"),
        **{"api_key": "key", **fields},
    )
    with model_of(own) as model:
        with pytest.raises(errors.DispatchError, match="no access for") as raised:
            answer(model, colour)
    assert TOKEN in json.dumps(dict(server.requests[0].headers))
    assert TOKEN not in f"{raised.value} {raised.value.errors} {raised.value.attempts} {caplog.text}"
