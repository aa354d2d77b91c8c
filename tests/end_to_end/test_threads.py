"""Long conversations: what a model keeps of them changes no request, over whole calls."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_llmdispatch import Deployment, DispatcherChatModel, VendorConfig

_ANSWER = {
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}]
}


def recorded(bodies: list[dict[str, Any]], *deployments: Deployment, **fields: Any) -> DispatcherChatModel:
    """Return a model whose requests are recorded; those below `/fail/` are answered with a 500."""

    def reply(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(500 if "/fail/" in request.url.path else 200, json=_ANSWER)

    transport = httpx.MockTransport(reply)
    clients = VendorConfig(
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
    )
    models = deployments or (Deployment("openai:gpt-4.1-mini", api_key="k"),)
    return DispatcherChatModel(models=models, vendors={"openai": clients}, env={}, **fields)


def conversation(count: int = 40) -> list[BaseMessage]:
    """Return a long conversation that ends with the user."""
    turns = [(HumanMessage(f"Question {n}?"), AIMessage(f"Answer {n}.")) for n in range(count // 2)]
    return [SystemMessage("Be kind."), *[each for turn in turns for each in turn], HumanMessage("And then?")]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_thread_that_goes_on_is_sent_as_it_is(*, is_async: bool) -> None:
    """Each call sends all messages, edits in place included, with the words of its own."""
    bodies: list[dict[str, Any]] = []
    model, messages = recorded(bodies), conversation()

    def call(**words: Any) -> None:
        asyncio.run(model.ainvoke(messages, **words)) if is_async else model.invoke(messages, **words)

    for turn in range(4):
        call(temperature=turn / 10)
        assert bodies[-1]["temperature"] == turn / 10
        assert [each["content"] for each in bodies[-1]["messages"]] == [each.content for each in messages]
        messages += [AIMessage("Yes."), HumanMessage(f"And {turn}?")]
        messages[turn].content = f"Edited {turn}."


def test_two_deployments_of_one_call_have_dialects_of_their_own() -> None:
    """The fallback's model takes instructions as a developer's, the first one's as the system's."""
    bodies: list[dict[str, Any]] = []
    bad = Deployment("openai:gpt-4.1-mini", name="bad", base_url="https://host.example/fail/v1", api_key="k")
    good = Deployment("openai:o3-mini", name="good", api_key="k")
    model = recorded(bodies, bad, good, retry_policy={"max_retries": 0})
    for _ in range(2):
        model.invoke(conversation())
    roles = [body["messages"][0]["role"] for body in bodies]
    assert roles[:2] == ["system", "developer"]
    assert roles[-1] == "developer"


def test_a_model_and_its_copy_share_nothing() -> None:
    """Nor does a model that was closed with itself before."""
    bodies: list[dict[str, Any]] = []
    model = recorded(bodies)
    model.invoke(conversation())
    twin = model.model_copy(update={"temperature": 0.5})
    twin.invoke(conversation())
    assert bodies[0]["messages"] == bodies[1]["messages"]
    model.close()
    model.invoke(conversation())
    assert bodies[0]["messages"] == bodies[2]["messages"]
