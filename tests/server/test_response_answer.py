"""`/v1/responses`, as OpenAI's own client sees it, over vendors that have nothing like it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from langchain_llmdispatch import DispatcherChatModel
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import deployment
from tests.server.running import running

GREETING = "Hello! You said: hi Is there anything else?"
ASKED = "Use the tool: what is the weather in Paris?"
TOOL: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


@pytest.fixture(params=["anthropic", "openai"])
def client(server: LoopbackServer, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    """Return OpenAI's client of a server over one vendor."""
    model = DispatcherChatModel(models=[deployment(server, request.param)], env={}, max_retries=0)
    with running(model) as url, openai.OpenAI(base_url=url, api_key="k", max_retries=0) as found:
        yield found


def test_an_answer_is_a_response(client: openai.OpenAI) -> None:
    """Text, usage, and what the request had."""
    answer = client.responses.create(model="default", input="hi", temperature=0.5, metadata={"a": "b"})
    assert (answer.output_text, answer.status, answer.model) == (GREETING, "completed", "default")
    assert (answer.temperature, answer.metadata) == (0.5, {"a": "b"})
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


def test_the_token_of_an_mcp_server_is_not_repeated(server: LoopbackServer) -> None:
    """The answer repeats the tools, as OpenAI's does, without what opens another server."""
    mcp = {
        "type": "mcp",
        "server_label": "x",
        "server_url": "https://mcp.test",
        "authorization": "t0ken-012345",
    }
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={}, max_retries=0)
    words = {"model": "default", "input": "hi", "tools": [mcp, TOOL]}
    with running(model) as url:
        answer = httpx.post(f"{url}/responses", json=words)
    assert "t0ken-012345" in str(server.requests[0].body)
    assert "t0ken-012345" not in answer.text
    assert answer.json()["tools"] == [{name: mcp[name] for name in mcp if name != "authorization"}, TOOL]


def test_a_stream_is_events(client: openai.OpenAI) -> None:
    """Numbered, each item begun and ended; the last one has the whole answer."""
    events = list(client.responses.create(model="default", input="hi", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    with client.responses.stream(model="default", input="hi") as stream:
        final = stream.get_final_response()
    assert final.output_text == GREETING
    assert final.usage is not None


@pytest.mark.parametrize("stream", [False, True])
def test_tools_make_their_way_and_back(client: openai.OpenAI, stream: bool) -> None:
    """A call comes back with its arguments; its result is answered."""
    question: Any = [{"role": "user", "content": ASKED}]
    words: Any = {"model": "default", "tools": [TOOL]}
    if stream:
        with client.responses.stream(input=question, tool_choice="required", **words) as events:
            answer: Any = events.get_final_response()
    else:
        answer = client.responses.create(input=question, tool_choice="required", **words)
    call = answer.output[-1]
    assert (call.type, call.name, "Paris" in call.arguments) == ("function_call", "weather", True)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    back = [*question, *(item.model_dump(exclude_none=True) for item in answer.output), result]
    assert "sunny" in client.responses.create(input=back, **words).output_text


def test_an_answer_has_the_schema_that_is_wanted(client: openai.OpenAI) -> None:
    """`text_format`, as the client parses it."""

    class City(BaseModel):
        name: str

    assert isinstance(
        client.responses.parse(model="default", input="hi", text_format=City).output_parsed, City
    )


def test_reasoning_is_an_item_of_its_own(server: LoopbackServer) -> None:
    """Before the message, whole and streamed."""
    answer = Answer("Four.", reasoning="Two and two.")
    server.script("anthropic", [answer, answer])
    model = DispatcherChatModel(models=[deployment(server, "anthropic")], env={}, reasoning_effort="high")
    with running(model) as url, openai.OpenAI(base_url=url, api_key="k") as client:
        whole = client.responses.create(model="default", input="2 + 2?")
        with client.responses.stream(model="default", input="2 + 2?") as stream:
            streamed = stream.get_final_response()
    for found in (whole, streamed):
        reasoning, message = found.output
        assert reasoning.type == "reasoning"
        assert reasoning.summary[0].text == "Two and two."
        assert message.type == "message"
        assert found.output_text == "Four."


def test_an_answer_that_is_cut_is_incomplete(client: openai.OpenAI) -> None:
    """By the limit of tokens."""
    answer = client.responses.create(model="default", input="hi", max_output_tokens=5)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_a_stream_that_breaks_has_failed(server: LoopbackServer) -> None:
    """The error, and the response without an answer."""
    server.script("openai", [Fault.cut(after_events=4)])
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={}, max_retries=0)
    body = {"model": "default", "input": "hi", "stream": True}
    with running(model) as url:
        text = httpx.post(f"{url}/responses", json=body).text
    assert text.index("event: error") < text.index("event: response.failed")
    assert "[DONE]" not in text


def test_errors_are_openai_s(client: openai.OpenAI) -> None:
    """As for chat completions."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="default", input="hi", previous_response_id="resp_1")
    assert (caught.value.param, caught.value.code) == ("previous_response_id", "unsupported_parameter")
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="other", input="hi")
