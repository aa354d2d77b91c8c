"""Tests of an application: an agent from a cassette, a fallback by fault, a budget, and time."""

from __future__ import annotations

from typing import Any

import app
import pytest

from langchain_llmdispatch import AllDeploymentsFailedError
from langchain_llmdispatch.errors import BudgetExceededError
from langchain_llmdispatch.testing import (
    Cassette,
    FakeClock,
    Faults,
    NoNetwork,
    assert_attempts,
    assert_cost,
    assert_route,
    calls_of,
    route_of,
)


@pytest.mark.llmdispatch_cassette
def test_the_agent_looks_up_the_hours() -> None:
    """The agent calls the tool and ends with an answer."""
    state = app.shop_agent().invoke({"messages": [("user", "When is the shop open on Sunday?")]})
    assert state["messages"][1].tool_calls[0]["name"] == "opening_hours"
    assert "closed" in state["messages"][2].content
    assert state["messages"][-1].text
    assert [route_of(call) for call in calls_of(state)] == [["shop"], ["shop"]]


@pytest.mark.llmdispatch_cassette("streamed", piece_size=1)
async def test_answers_are_streamed(llmdispatch_cassette: Cassette) -> None:
    """An answer arrives in pieces, in an async test too."""
    pieces = [chunk.text async for chunk in app.shop_model().astream("Name three colours.")]
    assert len([piece for piece in pieces if piece]) > 2
    assert not llmdispatch_cassette.misses


@pytest.mark.llmdispatch_cassette("question")
@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_several_tests_share_a_cassette(colour: str) -> None:
    """One file can serve several tests."""
    model, question = app.shop_model(), "What is the capital of France? Answer in one word."
    message = model.invoke(question) if colour == "sync" else await model.ainvoke(question)
    assert "Paris" in message.text


@pytest.fixture
def answering(llmdispatch_faults: Faults) -> Faults:
    """Let the second vendor answer without a network: its answer is a fault whose status is 200."""
    llmdispatch_faults.fail("anthropic:*", status=200, body=ANSWER)
    return llmdispatch_faults


ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": "We open at nine."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 12, "output_tokens": 6},
}


def test_another_vendor_answers_when_one_is_down(
    answering: Faults, llmdispatch_clock: FakeClock, llmdispatch_no_network: NoNetwork
) -> None:
    """An overloaded vendor is tried again, then another one; no time passes and nothing is sent."""
    answering.fail("openai:*", status=503)
    message = app.answer("When do you open?")
    assert message.text == "We open at nine."
    assert_route(message, ["openai:*", "openai:*", "openai:*", "anthropic:*"])
    assert_attempts(message, at_most=4)
    assert_cost(message, at_most="0.001")
    assert 0 < llmdispatch_clock.monotonic() < 30


def test_a_rate_limit_is_waited_for(llmdispatch_faults: Faults, llmdispatch_clock: FakeClock) -> None:
    """With every deployment limited, the call waits for the Retry-After, and fails in the end."""
    llmdispatch_faults.fail(status=429, retry_after=7)
    with pytest.raises(AllDeploymentsFailedError) as raised:
        app.answer("When do you open?", deadline=20)
    assert_attempts(raised.value, at_most=6)
    assert 7 <= llmdispatch_clock.monotonic() <= 20


def test_a_dear_call_is_not_made(llmdispatch_no_network: NoNetwork) -> None:
    """A call that may cost more than the budget is refused before it is sent."""
    with pytest.raises(BudgetExceededError):
        app.answer("Tell me everything. " * 1000, budget_usd=0.000001)
    assert llmdispatch_no_network.tried == []
