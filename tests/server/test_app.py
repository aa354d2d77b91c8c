"""The endpoints, as OpenAI's own client sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment
from tests.server.running import running

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
    asked: Any = [{"role": "user", "content": "Use the tool: what is the weather in Paris?"}]
    choice: Any = {"type": "function", "function": {"name": "weather"}}
    with client.chat.completions.stream(
        model=model, messages=asked, tools=[TOOL], tool_choice=choice
    ) as events:
        streamed = events.get_final_completion() if stream else None
    whole = streamed or client.chat.completions.create(
        model=model, messages=asked, tools=[TOOL], tool_choice=choice
    )
    message = whole.choices[0].message
    assert whole.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls
    (call,) = message.tool_calls
    assert (call.type, call.function.name) == ("function", "weather")
    assert "city" in call.function.arguments
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    again: Any = [*asked, message.model_dump(exclude_none=True, exclude={"parsed"}), result]
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


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"model": "gpt-9"}, 404, "there is no model 'gpt-9'; known are default, smart, openai, anthropic."),
        ({"n": 2}, 400, "n: only one choice"),
        ({"messages": []}, 400, "messages: a list of messages is required"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, 400, "messages[0]: "),
        ({"messages": ["x"]}, 400, "messages[0]: an object is required"),
        ({"functions": [{"name": "f"}]}, 400, "functions: write tools"),
        ({"api_key": "sk-other"}, 400, "api_key"),
    ],
)
def test_a_wrong_request_is_named(
    client: openai.OpenAI, server: LoopbackServer, fields: Any, status: int, message: str
) -> None:
    """Nothing is sent."""
    body = {"model": "default", "messages": HI, **fields}
    answer = httpx.post(f"{client.base_url}chat/completions", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(message) or message in answer.text
    assert server.requests == []


def test_models_are_routes_and_deployments(client: openai.OpenAI) -> None:
    """And `default`, for the model's own choice."""
    assert [model.id for model in client.models.list()] == ["default", "smart", "openai", "anthropic"]
    assert client.models.retrieve("smart").id == "smart"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


def test_keys_are_checked(server: LoopbackServer) -> None:
    """Without one of the keys nothing is answered but health and metrics."""
    with running(two_vendors(server), api_keys=["first-key", "second-key"]) as url:
        for key in ("first-key", "second-key"):
            with openai.OpenAI(base_url=url, api_key=key) as known:
                known.models.list()
        with openai.OpenAI(base_url=url, api_key="third-key") as unknown:
            with pytest.raises(openai.AuthenticationError):
                unknown.models.list()
        assert httpx.get(f"{url}/models").status_code == 401
        root = url.removesuffix("/v1")
        assert httpx.get(f"{root}/healthz").json()["status"] == "ok"


def test_metrics_are_prometheus(client: openai.OpenAI) -> None:
    """Each call is counted once."""
    client.chat.completions.create(model="default", messages=HI)
    text = httpx.get(str(client.base_url).replace("/v1/", "/metrics")).text
    assert 'llmdispatch_requests_total{deployment="openai"' in text


def test_a_server_without_a_vendor_is_unhealthy(server: LoopbackServer) -> None:
    """503 tells a load balancer."""
    server.script("openai", [Fault(status=401)], repeat=True)
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={}, max_retries=0)
    with running(model) as url:
        httpx.post(f"{url}/chat/completions", json={"model": "default", "messages": HI})
        answer = httpx.get(url.replace("/v1", "/healthz"))
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_its_call(server: LoopbackServer, stream: bool) -> None:
    """The vendor's request is closed, and the statistics count the call as left."""
    server.script("openai", [Fault.stall()], repeat=True)
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={}, max_retries=0)
    body = {"model": "default", "messages": HI, "stream": stream}

    async def leave(url: str) -> None:
        async with httpx.AsyncClient() as client:
            sending = asyncio.ensure_future(client.post(f"{url}/chat/completions", json=body))
            await asyncio.to_thread(server.wait_for_requests, 1)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    with running(model) as url:
        asyncio.run(leave(url))
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
