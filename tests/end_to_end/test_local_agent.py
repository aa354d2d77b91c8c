"""The real model on this machine, through the router: streamed, behind a dead deployment, in an agent."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy
from tests.local.test_server import available

pytestmark = pytest.mark.local_model


@pytest.fixture(autouse=True, scope="module")
def _model_is_here() -> None:
    if not available("qwen2.5-coder-0.5b"):
        pytest.skip("no local model in the cache; LLMDISPATCH_TEST_LOCAL=1 downloads it")


def _model(**fields: Any) -> DispatcherChatModel:
    dead = Deployment("openai:gpt-6-luna", base_url="http://127.0.0.1:9/v1", api_key="key")
    return DispatcherChatModel(
        models=[dead, "local:qwen2.5-coder-0.5b"],
        retry_policy=RetryPolicy(max_retries=0),
        temperature=0,
        env={},
        **fields,
    )


def test_a_real_answer_is_streamed_although_the_first_deployment_is_dead() -> None:
    """The first port is closed; the model on this machine answers sensibly, and the message shows it."""
    chunks = list(_model().stream("In one word: what is the capital of France?"))
    assert "Paris" in "".join(chunk.text for chunk in chunks)
    facts = chunks[-1].response_metadata["llmdispatch"]
    assert (facts["vendor"], facts["fallback"], facts["cost_usd"]) == ("local", True, "0")
    assert [attempt["error"] for attempt in facts["attempts"]] == ["ConnectionFailedError", None]


def test_an_agent_calls_its_tool_and_answers() -> None:
    """`create_agent` with one tool runs its loop on the real model."""
    agents = pytest.importorskip("langchain.agents")

    def get_weather(city: str) -> str:
        """Return the weather in a city."""
        return f"It is sunny and 21 degrees in {city}."

    agent = agents.create_agent(model=_model(), tools=[get_weather])
    state = agent.invoke({"messages": [("user", "What is the weather in Paris?")]})
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert "sunny" in state["messages"][-1].text
