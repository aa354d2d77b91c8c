"""Assertions name each attempt when they fail."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch.testing import (
    Faults,
    assert_attempts,
    assert_cost,
    assert_route,
    route_of,
)
from tests.loopback.server import LoopbackServer
from tests.testing.models import deployment, model_of


def test_assertions_show_what_happened(server: LoopbackServer) -> None:
    """A failed assertion names every attempt; unknown prices are not zero."""
    priced = deployment(server, "openai", input_price=1.0, output_price=1.0)
    with model_of(priced) as model, Faults() as faults:
        faults.fail(status=503, times=1)
        message = model.invoke("hello")
    with pytest.raises(
        AssertionError, match=r"(?s)expected: \['anthropic:\*'\].*503  (Server|Overloaded)Error.*answered"
    ):
        assert_route(message, ["anthropic:*"])
    with pytest.raises(AssertionError, match="2 attempts, expected at most 1"):
        assert_attempts(message, at_most=1)
    assert_cost(message, at_most="0.01")
    with pytest.raises(AssertionError, match="more than 0.0000001 USD"):
        assert_cost({"messages": [message]}, at_most="0.0000001")
    message.response_metadata["llmdispatch"]["cost_usd"] = None
    with pytest.raises(AssertionError, match="unknown"):
        assert_cost(message, at_most=1)
    with pytest.raises(AssertionError, match="no dispatch metadata"):
        route_of(AIMessageChunk("hello"))
