"""The endpoints, as OpenAI's own client sees them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel
from langchain_llmdispatch.server import create_app
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment
from tests.server.running import running, running_alone, wait_until

GREETING = "Hello! You said: hi Is there anything else?"
HI: Any = [{"role": "user", "content": "hi"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def two_vendors(server: LoopbackServer) -> DispatcherChatModel:
    """Return a router over two vendors, with a route."""
    first, second = deployment(server, "openai"), deployment(server, "anthropic")
    return DispatcherChatModel(models=[first, second], routes={"smart": [second]}, env={}, max_retries=0)


@pytest.fixture
def client(server: LoopbackServer) -> Iterator[openai.OpenAI]:
    """Return OpenAI's client of a server without keys."""
    with (
        running(two_vendors(server)) as url,
        openai.OpenAI(base_url=url, api_key="k", max_retries=0) as found,
    ):
        yield found


def test_an_answer_is_a_chat_completion(client: openai.OpenAI) -> None:
    """Text, usage and the deployment that answered."""
    raw = client.chat.completions.with_raw_response.create(model="default", messages=HI, max_tokens=50)
    answer = raw.parse()
    assert answer.model == "default"
    assert answer.choices[0].message.content == GREETING
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert raw.headers["x-llmdispatch-deployment"] == "openai"


def test_a_stream_is_chunks_and_usage(client: openai.OpenAI) -> None:
    """The pieces make the answer; the last chunk has the usage."""
    options: Any = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model="smart", messages=HI, **options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == GREETING
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["default", "smart"])
def test_tools_make_their_way_and_back(client: openai.OpenAI, model: str, stream: bool) -> None:
    """A call comes back with its arguments; its result is answered."""
    question: Any = [{"role": "user", "content": "Use the tool: what is the weather in Paris?"}]
    choice: Any = {"type": "function", "function": {"name": "weather"}}
    with client.chat.completions.stream(
        model=model, messages=question, tools=[TOOL], tool_choice=choice
    ) as events:
        streamed = events.get_final_completion() if stream else None
    whole = streamed or client.chat.completions.create(
        model=model, messages=question, tools=[TOOL], tool_choice=choice
    )
    message = whole.choices[0].message
    assert whole.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls
    (call,) = message.tool_calls
    assert (call.type, call.function.name) == ("function", "weather")
    assert "city" in call.function.arguments
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    again: Any = [*question, message.model_dump(exclude_none=True, exclude={"parsed"}), result]
    assert (
        client.chat.completions.create(model=model, messages=again, tools=[TOOL]).choices[0].message.content
    )


def test_another_vendor_answers_when_the_first_fails(client: openai.OpenAI, server: LoopbackServer) -> None:
    """The client sees one answer."""
    server.script("openai", [Fault(status=500)])
    raw = client.chat.completions.with_raw_response.create(model="default", messages=HI)
    assert raw.headers["x-llmdispatch-deployment"] == "anthropic"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "cls"),
    [
        (Fault(status=400), openai.BadRequestError),
        (Fault(status=429), openai.RateLimitError),
        (Fault(status=401), openai.InternalServerError),
        (Fault(status=500), openai.InternalServerError),
    ],
)
def test_errors_have_openai_s_form(
    client: openai.OpenAI,
    server: LoopbackServer,
    fault: Fault,
    cls: type[openai.APIStatusError],
    stream: bool,
) -> None:
    """A failed call is the exception that its kind is; our key's refusal is not the client's."""
    for vendor in ("openai", "anthropic"):
        server.script(vendor, [fault], repeat=True)
    with pytest.raises(cls) as caught:
        client.chat.completions.create(model="default", messages=HI, stream=stream)
    assert caught.value.body is not None
    assert "API key" not in caught.value.response.text


def test_a_stream_that_breaks_ends_in_an_error(client: openai.OpenAI, server: LoopbackServer) -> None:
    """What was delivered stays; the error is the last event."""
    server.script("openai", [Fault.cut(after_events=2)])
    found = ""
    with pytest.raises(openai.APIError):
        for chunk in client.chat.completions.create(model="default", messages=HI, stream=True):
            found += chunk.choices[0].delta.content or ""
    assert GREETING.startswith(found)


@each(
    "fields, status, param, code",
    [
        ({"model": "gpt-9"}, 404, "model", "model_not_found"),
        ({"n": 2}, 400, "n", "unsupported_value"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, 400, "messages[0].role", "invalid_value"),
        ({"api_key": "sk-other"}, 400, None, None),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}}, 400, "tool_choice", None),
        ({"response_format": {"type": "xml"}}, 400, "response_format", None),
        ({"deadline": 0}, 400, "deadline", None),
    ],
)  # fmt: skip
def test_a_wrong_request_is_named(
    server: LoopbackServer, fields: Any, status: int, param: str | None, code: str | None
) -> None:
    """By the field, where it is one; nothing is sent."""
    with running(two_vendors(server)) as url:
        answer = httpx.post(f"{url}/chat/completions", json={"model": "default", "messages": HI, **fields})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (status, "invalid_request_error")
    assert (error["param"], error["code"]) == (param, code)
    assert "sk-other" not in answer.text
    assert server.requests == []


@each(
    "method, path, status, code",
    [
        ("POST", "/v1/embeddings", 404, "unknown_url"),
        ("POST", "/v1/completions", 404, "unknown_url"),
        ("POST", "/chat/completions", 404, "unknown_url"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("GET", "/v1/responses/resp_1", 404, "unknown_url"),
    ],
)
def test_what_is_not_served_is_openai_s_error(
    server: LoopbackServer, method: str, path: str, status: int, code: str
) -> None:
    """Other endpoints, and other methods of those that are there."""
    with running(two_vendors(server)) as url:
        answer = httpx.request(method, url.removesuffix("/v1") + path, json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert f"{method} {path}" in answer.json()["error"]["message"]


def test_models_are_routes_and_deployments(client: openai.OpenAI) -> None:
    """And `default`, for the model's own choice."""
    assert [model.id for model in client.models.list()] == ["default", "smart", "openai", "anthropic"]
    assert client.models.retrieve("smart").id == "smart"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


def test_keys_are_checked(server: LoopbackServer) -> None:
    """Without one of the keys nothing is answered but health and figures."""
    with running(two_vendors(server), api_keys=["first-key", "second-key"]) as url:
        for key in ("first-key", "second-key"):
            with openai.OpenAI(base_url=url, api_key=key) as known:
                known.models.list()
        with openai.OpenAI(base_url=url, api_key="third-key") as unknown:
            with pytest.raises(openai.AuthenticationError):
                unknown.models.list()
        refused = httpx.get(f"{url}/models")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert refused.json()["error"]["code"] == "invalid_api_key"
        root = url.removesuffix("/v1")
        assert httpx.get(f"{root}/healthz").json()["status"] == "ok"


@each("stream, events", [(False, 0), (True, 0), (True, 3)])
def test_a_client_that_leaves_cancels_its_call(server: LoopbackServer, stream: bool, events: int) -> None:
    """Before an answer or in the middle of it: the vendor's request is closed, and the call counts as left."""
    server.script("openai", [Fault.stall(after_events=events)], repeat=True)
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={}, max_retries=0)
    body = {"model": "default", "messages": HI, "stream": stream}

    async def leave(url: str) -> None:
        async with httpx.AsyncClient() as client:
            sending = client.build_request("POST", f"{url}/chat/completions", json=body)
            answering = asyncio.ensure_future(client.send(sending, stream=True))
            await asyncio.to_thread(server.wait_for_requests, 1)
            if events:
                await anext((await answering).aiter_lines())
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    with running(model) as url:
        asyncio.run(leave(url))
        wait_until(lambda: model.get_stats().calls.abandoned == 1)
        wait_until(lambda: server.open_connections == 0)
    stats = model.get_stats()
    assert (stats.total_requests, stats.calls.abandoned, stats.in_flight) == (1, 1, 0)


def test_deployments_answer_by_name(server: LoopbackServer) -> None:
    """A name with slashes and colons is a model like any other."""
    own = Deployment("compatible:org/model:tag", base_url=server.base_url("compatible"), api_key="k")
    model = DispatcherChatModel(models=[own], env={})
    with running(model) as url, openai.OpenAI(base_url=url, api_key="k") as client:
        name = client.models.list().data[1].id
        assert client.models.retrieve(name).id == name
        assert client.chat.completions.create(model=name, messages=HI).choices[0].message.content


def test_a_request_has_an_id(server: LoopbackServer) -> None:
    """The client's own, if it is one, else a new one; OpenAI's client reads it."""
    with running(two_vendors(server)) as url, openai.OpenAI(base_url=url, api_key="k") as client:
        raw = client.models.with_raw_response.list(extra_headers={"x-request-id": "mine-1"})
        assert raw.headers["x-request-id"] == "mine-1"
        assert int(raw.headers["openai-processing-ms"]) >= 0
        odd = httpx.get(f"{url}/models", headers={"x-request-id": "a b"}).headers["x-request-id"]
        assert odd.startswith("req_")
        answer = client.chat.completions.create(model="default", messages=HI)
        assert str(answer._request_id).startswith("req_")


def test_a_long_body_is_refused(server: LoopbackServer) -> None:
    """By its announced length before it is read, and by its own."""
    with running(two_vendors(server), max_body_bytes=100) as url:
        announced = httpx.post(f"{url}/chat/completions", content=b"x" * 101)
        counted = httpx.post(f"{url}/chat/completions", content=iter([b"x" * 60, b"x" * 60]))
    for answer in (announced, counted):
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
        assert answer.headers["connection"] == "close"


def test_a_slow_body_is_refused(server: LoopbackServer) -> None:
    """Its client would hold the connection for as long as it likes."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{"
    app = create_app(two_vendors(server), body_seconds=0.01)
    with running_alone(app) as url:
        assert b"408 Request Timeout" in exchanged(url, head)


def test_a_connection_without_a_request_is_closed(server: LoopbackServer) -> None:
    """A head that does not come whole, of a first request or of a later one."""
    whole = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    with running_alone(create_app(two_vendors(server)), head_seconds=0.05) as url:
        assert exchanged(url, b"GET /livez HTTP/1.1\r\nhost:") == b""
        assert exchanged(url, whole, whole[:9]).count(b"HTTP/1.1 200 OK") == 1


def exchanged(url: str, sent: bytes, then: bytes = b"") -> bytes:
    """Send bytes to a server, more after its answer, and return what it answers until it closes."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(sent)
        received = connection.recv(65_536) if then else b""
        connection.sendall(then)
        while piece := connection.recv(65_536):
            received += piece
    return received


def test_pages_of_other_origins_use_it_where_that_is_configured(server: LoopbackServer) -> None:
    """By default no browser lets them."""
    origin = {"origin": "https://app.example"}
    with running(two_vendors(server)) as url:
        assert "access-control-allow-origin" not in httpx.get(f"{url}/models", headers=origin).headers
    with running(two_vendors(server), cors_origins=["https://app.example"]) as url:
        headers = httpx.get(f"{url}/models", headers=origin).headers
    assert headers["access-control-allow-origin"] == "https://app.example"
